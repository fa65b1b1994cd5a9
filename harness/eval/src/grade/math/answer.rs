//! Where the final answer of a text is.

use std::sync::LazyLock;

use regex::Regex;

use super::super::number::{boxed, is_denied};

/// What announces the final answer.
static CUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)answers?(?:\s{1,4}(?:is|are)\b|[*_"'}\s]{0,8}[:=])\s{0,4}:?|####"#)
        .expect("the pattern is sound")
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

/// What may stand before a result and says nothing of it.
static LEAD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:approximately|about|roughly|exactly|simply|just|equal to|equals|given by)\s{1,4}")
        .expect("the pattern is sound")
});

/// How much of a text is looked through for formulas, in bytes: one that never ends costs as much as all behind it.
const LOOKED: usize = 8 << 10;

/// Texts to be read as the final answer, the first that can be read being it:
///
/// 1. the last `\boxed{…}` that is closed and not empty; nothing else if there is one;
/// 2. else, behind the last "answer is", "answers are", "answer:", "answer =" or "####": what is marked as mathematics there
///    at once, the rest of the line, its beginning up to the end of the sentence or a "because" or the like, what is marked
///    as mathematics in it; if nothing stands on that line, the next line that holds something;
/// 3. else the last that is marked as mathematics (`$…$`, `$$…$$`, `\(…\)`, `\[…\]`), in the last 8 KiB;
/// 4. else the last line that is not empty, its beginning as above, and in both what follows the last "=", " is ", " are ",
///    " equals " or ":".
///
/// Formulas with nothing but an "or", an "and" and commas between them are one: `$3$ or $-3$`; behind "answer is" commas
/// alone will do.
pub(super) fn candidates(text: &str) -> Vec<&str> {
    if let Some(boxed) = boxed(text).next() {
        return vec![boxed];
    }
    let mut found = Vec::new();
    if let Some(cue) = CUE.find_iter(text).last() {
        let rest = text[cue.end()..].trim_start_matches(|it: char| it.is_whitespace() || "*_:".contains(it));
        let line = rest.lines().next().unwrap_or("");
        found.extend(formulas(head(rest), true).first().filter(|it| it.0 == 0).map(|it| it.1));
        found.push(line);
        found.extend(beginning(line));
        let affirmed = |it: &regex::Captures<'_>| it.get(0).is_some_and(|it| !is_denied(&line[..it.start()]));
        found.extend(MARKED.captures(line).filter(affirmed).and_then(|it| inner(&it)));
        found.extend(behind(line));
    } else if let formulas = formulas(tail(text), false)
        && !formulas.is_empty()
    {
        let affirmed = formulas.iter().rfind(|it| !is_denied(&tail(text)[..it.0]));
        found.extend(affirmed.map(|it| it.1));
    } else if let Some(line) = text.lines().rev().find(|it| !it.trim().is_empty()) {
        found.push(line);
        found.extend(beginning(line));
        found.extend(behind(line));
        found.extend(beginning(line).and_then(behind));
    }
    found.iter().map(|it| bare(it)).filter(|it| !it.is_empty()).collect()
}

/// The first bytes of a text.
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(LOOKED)]
}

/// The last bytes of a text.
fn tail(text: &str) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(LOOKED))..]
}

/// What is marked as mathematics, each with where its mark begins; those that belong together are one. Commas alone join
/// formulas only `with_commas`: "since $x = 2$, $y = 3$".
fn formulas(text: &str, with_commas: bool) -> Vec<(usize, &str)> {
    let mut found: Vec<(usize, &str)> = Vec::new();
    // Of the chain that is being read: how many formulas, where the last one ends, whether a word joins them.
    let (mut chain, mut end, mut word) = (0, 0, false);
    for marked in MARKED.captures_iter(text) {
        let (Some(whole), Some(formula)) = (marked.get(0), inner(&marked)) else { continue };
        let after = formula.as_ptr() as usize - text.as_ptr() as usize + formula.len();
        let mark = if text[after..].starts_with('$') && !text[after..].starts_with("$$") { 1 } else { 2 };
        let joint = joint(&text[end..whole.start()], &text[after + mark..]).filter(|_| chain > 0);
        if let Some(by_word) = joint {
            (chain, word) = (chain + 1, word || by_word);
        } else {
            join(text, &mut found, if word || with_commas { chain } else { 1 }, end);
            (chain, word) = (1, false);
        }
        found.push((whole.start(), formula));
        end = after + mark;
    }
    join(text, &mut found, if word || with_commas { chain } else { 1 }, end);
    found
}

/// Makes one of the last formulas, which end there.
fn join<'a>(text: &'a str, found: &mut Vec<(usize, &'a str)>, count: usize, end: usize) {
    if count > 1
        && let Some(first) = found.len().checked_sub(count)
    {
        found.truncate(first + 1);
        found[first].1 = &text[found[first].0..end];
    }
}

/// Whether what stands between two formulas joins them, and by a word, given what stands behind the second: after an
/// "and" a new sentence may begin with it.
fn joint(between: &str, behind: &str) -> Option<bool> {
    let words = between.trim().trim_start_matches([',', ';']).trim();
    let behind = behind.trim_start_matches([' ', '*']);
    let goes_on = !behind.is_empty()
        && !behind.starts_with(['.', ',', ';', '\n', '\r', '!'])
        && !["and ", "or "].iter().any(|it| behind.starts_with(it));
    match words {
        "" => (between.contains([',', ';']) && !goes_on).then_some(false),
        "or" => Some(true),
        "and" => (!goes_on).then_some(true),
        _ => None,
    }
}

fn inner<'a>(marked: &regex::Captures<'a>) -> Option<&'a str> {
    marked.iter().skip(1).flatten().next().map(|it| it.as_str())
}

/// A line up to where its sentence ends or goes on.
fn beginning(line: &str) -> Option<&str> {
    REST.find(line).map(|it| &line[..it.start()])
}

/// What follows the last word that leads to a result.
fn behind(line: &str) -> Option<&str> {
    let words = ["=", " is ", " are ", " equals ", ":"];
    let ends = words.iter().filter_map(|it| line.rfind(it).map(|at| at + it.len()));
    ends.max().map(|it| &line[it..])
}

/// A text without markup, punctuation and idle words at its ends.
fn bare(text: &str) -> &str {
    let text = text
        .trim()
        .trim_matches(|it: char| it.is_whitespace() || "*`_\"".contains(it))
        .trim_end_matches(['.', ',', ';', ' ']);
    LEAD.find(text).map_or(text, |it| text[it.end()..].trim_start())
}
