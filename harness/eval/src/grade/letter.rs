//! Letters: the option that an answer in words settles on.

use std::sync::LazyLock;

use regex::Regex;

use super::exact::fold;
use super::number::boxed;

/// What an answer says about the options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It settles on one.
    Settled(char),
    /// It names several and settles on none.
    Several(Vec<char>),
    /// It names none.
    Nothing,
}

/// The letter that an answer settles on. The first of these rules that finds something decides:
///
/// 1. the last place in the answer that settles: a closed `\boxed{…}` that holds a letter; a line that is a letter and
///    nothing else but markup (`B`, `(b)`, `**B**`, `B.`); a letter, or the text of an option, straight after "answer
///    is" or "answer:" (or "option", "choice"), "####", "so", "thus", "hence", "therefore", "choose", "pick",
///    "select", "go with", "it is" or "it's" ("the", "correct", "option" and the like may stand between); a letter
///    before "is correct", "is right", "is the answer" and the like. If such a place names a second letter ("the
///    answer is A or B", or two such lines after one another), nothing is settled;
/// 2. the letter that the answer begins with, followed by `.`, `)` or `:` (`B) because…`), unless another line begins with
///    another letter in that way: then it repeats the options;
/// 3. the options that are named at all, by a capital letter, a letter in parentheses or their text, if there is
///    exactly one.
///
/// A letter is one that stands alone: no letter, digit, `_`, apostrophe or hyphen touches it, and no point with
/// a letter behind (`U.S.A`). A small one counts only in markup or where nothing but the end or punctuation follows.
/// "A" before a word is an article and "I" before a word a pronoun, unless that word is one that follows neither
/// ("A is", "A because"). A letter or text that is denied ("not A", "can't be option A", "neither A", "A is wrong") is
/// not named. A text is found in any case and between the borders of words; where one text is part of a longer one, only
/// the longer one is found.
pub(super) fn read(answer: &str, options: &[(char, String)]) -> Reading {
    let answer = answer.trim();
    let reader = Reader { answer, options, texts: texts(answer, options) };
    reader.last_settled().or_else(|| reader.leading()).unwrap_or_else(|| reader.named())
}

/// An option that is named, and where.
#[derive(Clone, Copy, Debug)]
struct Mention {
    start: usize,
    end: usize,
    letter: char,
}

struct Reader<'a> {
    answer: &'a str,
    options: &'a [(char, String)],
    /// Where the options' texts are found.
    texts: Vec<Mention>,
}

static CUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?i)(?:\b(?:answer|option|choice)(?:\s{1,4}is\b|[*_"'}\s]{0,8}[:=])|####"#,
        r"|\b(?:so|thus|hence|therefore|choose|pick|select|go(?:ing)?\s+with|it\s+is|it's)\b),?",
        r"(?:[\s:]{1,4}(?:the|correct|right|best|final|most|likely|answer|must|should|would|be|is|option|choice|letter)\b:?){0,6}",
    ))
    .expect("the pattern is sound")
});

static VERDICT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)^[\s)*_.\]}]{0,6}\b(?:is|must\s+be|would\s+be|seems)\s+(?:the\s+|most\s+|likely\s+){0,3}",
        r"(?:correct|right|best|true|answer|one)\b",
    ))
    .expect("the pattern is sound")
});

static DENIED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)^[\s)*_.\]}]{0,6}\b(?:(?:is|are|was|does|do|can|could|would|cannot|must|has|seems)\s*",
        r"(?:not\b|n['’]t\b|wrong\b|incorrect\b|false\b|out\b|ruled\b)|isn['’]t\b|doesn['’]t\b|can['’]t\b|wasn['’]t\b|cannot\b)",
    ))
    .expect("the pattern is sound")
});

static SECOND: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^[\s)*_.\]}]{0,6}(?:,|/|&|\bor\b|\band\b)\s{0,3}(?:or\b|and\b|maybe\b|perhaps\b|possibly\b)?[\s(*_\[]{0,6}")
        .expect("the pattern is sound")
});

/// Words that follow neither an article nor, in an answer, a pronoun.
const AFTER_LETTER: [&str; 12] =
    ["is", "because", "since", "as", "or", "and", "but", "not", "for", "with", "seems", "would"];

/// Words that deny what they stand before.
const DENYING: [&str; 7] = ["not", "cannot", "neither", "nor", "never", "except", "without"];

/// Words that may stand between one that denies and what it denies: "cannot be option B".
const IDLE: [&str; 14] = [
    "be",
    "the",
    "option",
    "choice",
    "letter",
    "answer",
    "correct",
    "right",
    "necessarily",
    "really",
    "actually",
    "definitely",
    "simply",
    "likely",
];

/// How many of them there may be.
const MOST_IDLE: usize = 5;

impl Reader<'_> {
    fn last_settled(&self) -> Option<Reading> {
        let mut above = None;
        let lines = self.lines().filter_map(|(start, line)| {
            let letter = self.known(bare(line));
            let several = above.filter(|it| letter.is_some_and(|letter| *it != letter));
            above = letter;
            let letter = letter?;
            Some((start, several.map_or(Reading::Settled(letter), |it| Reading::Several(vec![it, letter]))))
        });
        // The first few suffice: one in another has no other letter.
        let boxes = boxed(self.answer).take(8).filter_map(|inner| {
            let start = inner.as_ptr() as usize - self.answer.as_ptr() as usize;
            let inner = bare(inner);
            let labelled = inner.split_once(['.', ')', ':']).map_or(inner, |it| bare(it.0));
            Some((start, Reading::Settled(self.known(inner).or_else(|| self.known(labelled))?)))
        });
        let cues = CUE.find_iter(self.answer).filter_map(|cue| {
            let mention = self.straight_after(cue.end())?;
            (!self.is_denied(mention)).then(|| (mention.start, self.settled(mention)))
        });
        let verdicts = self.letters().filter(|it| VERDICT.is_match(self.after(*it)) && !self.is_denied(*it));
        let verdicts = verdicts.map(|it| match self.first_of_two(it) {
            Some(first) => (it.start, Reading::Several(vec![first.letter, it.letter])),
            None => (it.start, Reading::Settled(it.letter)),
        });
        lines.chain(boxes).chain(cues).chain(verdicts).max_by_key(|it| it.0).map(|it| it.1)
    }

    /// A mention settles unless a second one is joined to it.
    fn settled(&self, mention: Mention) -> Reading {
        let after = self.after(mention);
        if let Some(joined) = SECOND.find(after)
            && let Some(second) = self.mention_at(mention.end + joined.end())
            && second.letter != mention.letter
            && !self.is_denied(second)
        {
            return Reading::Several(vec![mention.letter, second.letter]);
        }
        Reading::Settled(mention.letter)
    }

    /// The letter that an "or" or "and" joins another to: "A or B is right".
    fn first_of_two(&self, second: Mention) -> Option<Mention> {
        let before = self.answer[..second.start].trim_end_matches([' ', '(', '*', '_']);
        let before = [" or", " and", "/", "&"].iter().find_map(|it| before.strip_suffix(it))?;
        let before = before.trim_end_matches([' ', ',', ')', '*', '_']);
        let first = self.letter_at(before.len().checked_sub(1)?)?;
        (first.letter != second.letter && !self.is_denied(first)).then_some(first)
    }

    fn leading(&self) -> Option<Reading> {
        let mut labels = self.lines().filter_map(|(start, line)| {
            let inner = line.trim_start_matches(is_markup);
            let label = inner.chars().next()?;
            let rest = inner[label.len_utf8()..].trim_start_matches(['*', '_']);
            let letter = self.known(inner.get(..1)?)?;
            let start = start + line.len() - inner.len();
            rest.starts_with(['.', ')', ':', ']', '}']).then_some(Mention { start, end: start + 1, letter })
        });
        let first = labels.next().filter(|it| self.answer[..it.start].chars().all(is_markup))?;
        let repeats = labels.any(|it| it.letter != first.letter);
        (!repeats).then(|| self.settled(first))
    }

    fn named(&self) -> Reading {
        let bare_answer = bare(self.answer).to_lowercase();
        if let Some(option) = self.options.iter().find(|it| bare(&it.1).to_lowercase() == bare_answer) {
            return Reading::Settled(option.0);
        }
        let texts = self.texts.iter().copied();
        let mut named: Vec<char> =
            self.letters().chain(texts).filter(|it| !self.is_denied(*it)).map(|it| it.letter).collect();
        named.sort_unstable();
        named.dedup();
        match named[..] {
            [] => Reading::Nothing,
            [only] => Reading::Settled(only),
            _ => Reading::Several(named),
        }
    }

    /// The lines that hold something, and where they start.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut start = 0;
        self.answer.split('\n').filter_map(move |line| {
            let at = start;
            start += line.len() + 1;
            (!line.trim().is_empty()).then_some((at, line.trim()))
        })
    }

    /// The letter of an option, if the text is one.
    fn known(&self, text: &str) -> Option<char> {
        let mut letters = text.chars();
        let letter = letters.next().filter(|it| it.is_ascii_alphabetic() && letters.next().is_none())?;
        let letter = letter.to_ascii_uppercase();
        (self.options.is_empty() || self.options.iter().any(|it| it.0 == letter)).then_some(letter)
    }

    fn after(&self, mention: Mention) -> &str {
        // Long enough for every pattern, short enough that no answer makes this slow.
        let rest = &self.answer[mention.end..];
        let end = rest.char_indices().nth(64).map_or(rest.len(), |it| it.0);
        &rest[..end]
    }

    /// The letter or text that follows with nothing but markup between.
    fn straight_after(&self, end: usize) -> Option<Mention> {
        let rest = &self.answer[end..];
        let markup = rest.char_indices().take(64).find(|(_, it)| !is_markup(*it)).map(|it| it.0)?;
        let inner = &rest[markup..];
        let commands = ["\\boxed{", "\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{"];
        let inner = commands.iter().fold(inner, |inner, it| inner.strip_prefix(it).unwrap_or(inner));
        self.mention_at(self.answer.len() - inner.len())
    }

    fn mention_at(&self, at: usize) -> Option<Mention> {
        let found = self.texts.binary_search_by_key(&at, |it| it.start);
        found.ok().map(|it| self.texts[it]).or_else(|| self.letter_at(at))
    }

    /// Every letter that stands alone in the answer.
    fn letters(&self) -> impl Iterator<Item = Mention> {
        let bytes = self.answer.as_bytes();
        let alone = bytes.iter().enumerate().filter(|(at, byte)| {
            let near = [at.checked_sub(1), Some(at + 1)];
            byte.is_ascii_alphabetic()
                && near.iter().flatten().all(|it| !bytes.get(*it).is_some_and(u8::is_ascii_alphanumeric))
        });
        alone.filter_map(|(at, _)| self.letter_at(at)).filter(|it| {
            self.answer.as_bytes()[it.start].is_ascii_uppercase()
                || self.answer[..it.start].ends_with('(') && self.answer[it.end..].starts_with(')')
        })
    }

    fn letter_at(&self, at: usize) -> Option<Mention> {
        let letter = self.known(self.answer.get(at..=at)?)?;
        let (before, after) = (&self.answer[..at], &self.answer[at + 1..]);
        // Scripts without cases do not part words from letters by spaces.
        let touches =
            |it: char| it.is_lowercase() || it.is_uppercase() || it.is_numeric() || "_'’-‑".contains(it);
        let mut next = after.chars();
        let follows = next.next();
        let behind = next.next();
        let is_inside = follows == Some('.') && behind.is_some_and(char::is_alphanumeric)
            || before.strip_suffix('.').is_some_and(|it| it.ends_with(char::is_alphanumeric));
        if before.ends_with(touches) || follows.is_some_and(touches) || is_inside {
            return None;
        }
        let word: String = match after.strip_prefix([' ', '\u{a0}']) {
            Some(rest) => rest.chars().take_while(|it| it.is_alphabetic()).take(16).collect(),
            None => String::new(),
        };
        let is_word = match self.answer.as_bytes()[at] {
            b'A' | b'I' => !word.is_empty() && !AFTER_LETTER.contains(&word.to_lowercase().as_str()),
            b'a'..=b'z' => !word.is_empty(),
            _ => false,
        };
        (!is_word).then_some(Mention { start: at, end: at + 1, letter })
    }

    fn is_denied(&self, mention: Mention) -> bool {
        let mut before = self.answer[..mention.start].trim_end_matches(['(', '*', '_', '"', '\'']);
        // The last word before it that says something.
        for _ in 0..MOST_IDLE {
            before = before.strip_suffix(' ').unwrap_or(before);
            let letters = before.chars().rev().take_while(|it| it.is_alphabetic() || "'’".contains(*it));
            // Longer than any word that is looked for.
            let letters: Vec<char> = letters.take(16).collect();
            let word: String = letters.iter().rev().collect::<String>().to_lowercase().replace('’', "'");
            if DENYING.contains(&word.as_str()) || word.ends_with("n't") {
                return true;
            }
            if !IDLE.contains(&word.as_str()) {
                break;
            }
            before = &before[..before.len() - letters.iter().map(|it| it.len_utf8()).sum::<usize>()];
        }
        DENIED.is_match(self.after(mention))
    }
}

/// Where the texts of the options stand in the answer: between borders of words, the longest at each place.
fn texts(answer: &str, options: &[(char, String)]) -> Vec<Mention> {
    let lone = |text: &str| text.chars().nth(1).is_none() && text.chars().all(char::is_alphabetic);
    let known: Vec<_> = options.iter().filter(|it| !lone(bare(&it.1))).collect();
    if known.is_empty() {
        return Vec::new();
    }
    let mut longest: Vec<(String, char)> = known.iter().map(|it| (fold(bare(&it.1), true), it.0)).collect();
    longest.sort_by_key(|it| std::cmp::Reverse(it.0.len()));
    let is_word = |it: char| it.is_alphanumeric() || it == '_';
    let border = |is_needed: bool| if is_needed { r"\b" } else { "" };
    let patterns = longest.iter().map(|(text, _)| {
        let words: Vec<String> = text.split(' ').map(regex::escape).collect();
        let (before, after) = (border(text.starts_with(is_word)), border(text.ends_with(is_word)));
        format!("{before}{}{after}", words.join(r"\s+"))
    });
    let pattern = patterns.collect::<Vec<_>>().join("|");
    // Texts too long for a pattern are not looked for.
    let Ok(pattern) = regex::RegexBuilder::new(&pattern).case_insensitive(true).build() else {
        return Vec::new();
    };
    let mentions = pattern.find_iter(answer).filter_map(|found| {
        let folded = fold(found.as_str(), true);
        let letter = longest.iter().find(|it| it.0 == folded)?.1;
        Some(Mention { start: found.start(), end: found.end(), letter })
    });
    mentions.collect()
}

fn is_markup(letter: char) -> bool {
    letter.is_whitespace() || ":*_\"'`$\\([{“‘>#".contains(letter)
}

/// A text without the markup and punctuation around it.
fn bare(text: &str) -> &str {
    let text = text.trim();
    let text = ["\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{", "$\\boxed{", "\\boxed{"]
        .iter()
        .fold(text, |text, it| text.strip_prefix(it).unwrap_or(text));
    let ends = |it: char| it.is_whitespace() || ".,:;!*_\"'`$()[]{}“”‘’\\".contains(it);
    text.trim_matches(ends)
}
