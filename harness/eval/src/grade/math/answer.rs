//! Where the final answer of a text is.

use std::sync::LazyLock;

use regex::Regex;

use super::super::number::boxed;

/// What announces the final answer.
static CUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)answer(?:\s{1,4}is\b|[*_"'}\s]{0,8}[:=])\s{0,4}:?|####"#).expect("the pattern is sound")
});

/// Text between the marks of mathematics. Between single dollar signs no space stands at the ends and no digit behind
/// them, as Pandoc has it: `$5 or $7` is money.
static MARKED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|\$([^\s$](?:[^$\n]*[^\s$])?)\$(?:\D|\z)")
        .expect("the pattern is sound")
});

/// What a sentence goes on with behind its result.
static REST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i),?\s(?:because|since|which|where|as|for|so|by|when|after|per our)\s|[.;]\s")
        .expect("the pattern is sound")
});

/// Texts to be read as the final answer, the first that can be read being it:
///
/// 1. the last `\boxed{…}` that is closed and not empty; nothing else if there is one;
/// 2. else, behind the last "answer is", "answer:", "answer =" or "####": what is marked as mathematics there at once, the
///    rest of the line, its beginning up to the end of the sentence or a "because" or the like, what is marked as
///    mathematics in it; if nothing stands on that line, the next line that holds something;
/// 3. else the last that is marked as mathematics (`$…$`, `$$…$$`, `\(…\)`, `\[…\]`);
/// 4. else the last line that is not empty, and in it what follows the last "=", " is ", " are " or ":".
pub(super) fn candidates(text: &str) -> Vec<&str> {
    if let Some(boxed) = boxed(text).next() {
        return vec![boxed];
    }
    let mut found = Vec::new();
    if let Some(cue) = CUE.find_iter(text).last() {
        let rest = text[cue.end()..].trim_start_matches(|it: char| it.is_whitespace() || "*_:".contains(it));
        let line = rest.lines().next().unwrap_or("");
        if let Some(marked) = MARKED.captures(rest).filter(|it| it.get(0).is_some_and(|it| it.start() == 0)) {
            found.extend(inner(&marked));
        }
        found.push(line);
        found.extend(REST.find(line).map(|it| &line[..it.start()]));
        found.extend(MARKED.captures(line).and_then(|it| inner(&it)));
        found.extend(behind(line));
    } else if let Some(marked) = MARKED.captures_iter(text).last() {
        found.extend(inner(&marked));
    } else if let Some(line) = text.lines().rev().find(|it| !it.trim().is_empty()) {
        found.push(line);
        found.extend(behind(line));
    }
    found.iter().map(|it| bare(it)).filter(|it| !it.is_empty()).collect()
}

fn inner<'a>(marked: &regex::Captures<'a>) -> Option<&'a str> {
    marked.iter().skip(1).flatten().next().map(|it| it.as_str())
}

/// What follows the last word that leads to a result.
fn behind(line: &str) -> Option<&str> {
    let ends = ["=", " is ", " are ", ":"].iter().filter_map(|it| line.rfind(it).map(|at| at + it.len()));
    ends.max().map(|it| &line[it..])
}

/// A text without markup and punctuation at its ends.
fn bare(text: &str) -> &str {
    text.trim()
        .trim_matches(|it: char| it.is_whitespace() || "*`_\"".contains(it))
        .trim_end_matches(['.', ',', ';', ' '])
}
