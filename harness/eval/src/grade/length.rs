//! Length: limits on the size of the answer.

use std::cmp::Ordering;

use serde_json::json;

use super::{Count, Evidence, Finding, Given, Grader, mistake, written};
use crate::count::counted;
use crate::yaml::{Malformed, Span};

/// The answer keeps all the limits, each of them inclusive.
///
/// White space at the ends does not count. Words are what Unicode white space parts, characters are Unicode scalar
/// values, lines are parted by `\n` or `\r\n`; an empty answer has none of any.
#[derive(Clone, Debug)]
pub(super) struct Length {
    min_words: Option<usize>,
    max_words: Option<usize>,
    min_chars: Option<usize>,
    max_chars: Option<usize>,
    max_lines: Option<usize>,
}

impl Length {
    pub(super) fn check(written: &written::Length, span: Span, mistakes: &mut Vec<Malformed>) -> Self {
        let written::Length { min_words, max_words, min_chars, max_chars, max_lines, weight: _ } = written;
        let limit = |it: &Given<Count>| it.value().map(|it| it.0);
        let grader = Self {
            min_words: limit(min_words),
            max_words: limit(max_words),
            min_chars: limit(min_chars),
            max_chars: limit(max_chars),
            max_lines: limit(max_lines),
        };
        if grader.limits().next().is_none() {
            mistakes.push(mistake(span, "no limit is given"));
        }
        for (name, limit) in [("min_words", min_words), ("min_chars", min_chars)] {
            if let Some(limit) = limit.0.filter(|it| it.value.0 == 0) {
                mistakes.push(mistake(limit.span, format!("`{name}: 0` limits nothing")));
            }
        }
        let mut never = |given: &Given<Count>, least: usize, most: Option<usize>, message: &str| {
            if let (Some(given), Some(most)) = (&given.0, most)
                && least > most
            {
                mistakes.push(mistake(given.span, message));
            }
        };
        let words = grader.min_words.unwrap_or(0);
        let chars = grader.min_chars.unwrap_or(0);
        never(min_words, words, grader.max_words, "`min_words` is above `max_words`");
        never(min_chars, chars, grader.max_chars, "`min_chars` is above `max_chars`");
        // Words have a character each, and one between them.
        never(
            min_words,
            (2 * words).saturating_sub(1),
            grader.max_chars,
            "`max_chars` is too few for `min_words`",
        );
        never(min_words, words.min(1), grader.max_lines, "`max_lines` is too few for `min_words`");
        never(min_chars, chars.min(1), grader.max_lines, "`max_lines` is too few for `min_chars`");
        never(min_chars, chars.min(1), grader.max_words, "`max_words` is too few for `min_chars`");
        grader
    }

    /// The limits: what an answer must not be, how much of it, and of what.
    fn limits(&self) -> impl Iterator<Item = (Ordering, usize, &'static str)> {
        [
            (Ordering::Less, self.min_words, "word"),
            (Ordering::Greater, self.max_words, "word"),
            (Ordering::Less, self.min_chars, "character"),
            (Ordering::Greater, self.max_chars, "character"),
            (Ordering::Greater, self.max_lines, "line"),
        ]
        .into_iter()
        .filter_map(|(wrong, limit, unit)| Some((wrong, limit?, unit)))
    }
}

fn limit(wrong: Ordering, limit: usize, unit: &str) -> String {
    let bound = if wrong == Ordering::Less { "at least" } else { "at most" };
    format!("{bound} {}", counted(limit, unit))
}

impl Grader for Length {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let text = evidence.text.trim();
        let size = |unit| match unit {
            "word" => text.split_whitespace().count(),
            "line" => text.lines().count(),
            _ => text.chars().count(),
        };
        let broken: Vec<String> = self
            .limits()
            .filter(|(wrong, limit, unit)| size(unit).cmp(limit) == *wrong)
            .map(|(wrong, most, unit)| format!("wanted {}, found {}", limit(wrong, most, unit), size(unit)))
            .collect();
        Ok(if broken.is_empty() {
            Finding::right("all limits are kept", None)
        } else {
            Finding::wrong(broken.join(", "))
        })
    }

    fn wanted(&self) -> String {
        self.limits().map(|(wrong, most, unit)| limit(wrong, most, unit)).collect::<Vec<_>>().join(", ")
    }

    fn canonical(&self) -> serde_json::Value {
        json!({
            "min_words": self.min_words,
            "max_words": self.max_words,
            "min_chars": self.min_chars,
            "max_chars": self.max_chars,
            "max_lines": self.max_lines,
        })
    }
}
