//! Contains: texts that must and must not be in the answer.

use serde_json::json;

use super::{Evidence, Finding, Form, Grader, Text, cut, mistake, quoted, text, texts, written};
use crate::yaml::{Malformed, Span, Spanned};

/// The answer contains one of `any`, each of `all` and nothing of `none`.
///
/// The score is the share of the demands that are met: `any` is one, each text of `all` and of `none` is one.
/// Unless `ignore_case` is false, both sides are put in lower case (Unicode's, without regard to language). With
/// `words` an occurrence counts only if the characters before and after it, if any, are no letters or digits of any
/// script and no underscore. White space counts as it is written.
#[derive(Clone, Debug)]
pub(super) struct Contains {
    any: Vec<String>,
    all: Vec<String>,
    none: Vec<String>,
    ignore_case: bool,
    words: bool,
}

impl Contains {
    pub(super) fn check(
        form: &Form<Text, written::Contains>,
        span: Span,
        mistakes: &mut Vec<Malformed>,
    ) -> Option<Self> {
        let long = match form {
            Form::Short(short) => {
                let all = vec![text(short, mistakes)?.to_lowercase()];
                return Some(Self {
                    any: Vec::new(),
                    all,
                    none: Vec::new(),
                    ignore_case: true,
                    words: false,
                });
            }
            Form::Long(long) => long,
        };
        let mut list = |name, list: &Option<Spanned<Vec<Spanned<Text>>>>| {
            let texts = list.as_ref().map(|it| texts(name, it, mistakes)).unwrap_or_default();
            if long.ignore_case { texts.iter().map(|it| it.to_lowercase()).collect() } else { texts }
        };
        let any = list("any", &long.any.0);
        let all = list("all", &long.all.0);
        let none = list("none", &long.none.0);
        let grader = Self { any, all, none, ignore_case: long.ignore_case, words: long.words };
        if long.any.0.is_none() && long.all.0.is_none() && long.none.0.is_none() {
            let message = "nothing is demanded: give `any`, `all` or `none`";
            mistakes.push(mistake(span, message));
        }
        for (name, wanted) in [("any", &long.any), ("all", &long.all)] {
            for text in wanted.value().into_iter().flatten() {
                let written = &text.value.0;
                let folded = if long.ignore_case { written.to_lowercase() } else { written.clone() };
                if let Some(forbidden) = grader.none.iter().find(|it| grader.holds(&folded, it)) {
                    let message = format!(
                        "`{name}` wants `{}`, but `none` forbids `{}`",
                        cut(written, 40),
                        cut(forbidden, 40)
                    );
                    mistakes.push(mistake(text.span, message));
                }
            }
        }
        Some(grader)
    }

    /// Whether a text that is already folded contains another.
    fn holds(&self, text: &str, sought: &str) -> bool {
        if !self.words {
            return text.contains(sought);
        }
        let is_word = |it: char| it.is_alphanumeric() || it == '_';
        let mut from = 0;
        while let Some(found) = text[from..].find(sought) {
            let (start, end) = (from + found, from + found + sought.len());
            let before = text[..start].chars().next_back();
            if !before.is_some_and(is_word) && !text[end..].starts_with(is_word) {
                return true;
            }
            // Occurrences may overlap.
            from = start + text[start..].chars().next().map_or(1, char::len_utf8);
        }
        false
    }
}

impl Grader for Contains {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let folded = self.ignore_case.then(|| evidence.text.to_lowercase());
        let text = folded.as_deref().unwrap_or(evidence.text);
        let lacks_any = !self.any.is_empty() && !self.any.iter().any(|it| self.holds(text, it));
        let missing: Vec<String> = self.all.iter().filter(|it| !self.holds(text, it)).cloned().collect();
        let forbidden: Vec<String> = self.none.iter().filter(|it| self.holds(text, it)).cloned().collect();
        let demands = usize::from(!self.any.is_empty()) + self.all.len() + self.none.len();
        let unmet = usize::from(lacks_any) + missing.len() + forbidden.len();
        if unmet == 0 {
            return Ok(Finding::right("all demands are met", None));
        }
        let mut reasons = Vec::new();
        if lacks_any {
            reasons.push(format!("none of {} is there", quoted(&self.any, "or")));
        }
        if !missing.is_empty() {
            reasons.push(format!("{} is missing", quoted(&missing, "and")));
        }
        if !forbidden.is_empty() {
            reasons.push(format!("{} is forbidden", quoted(&forbidden, "and")));
        }
        let score = (demands - unmet) as f64 / demands as f64;
        Ok(Finding::new(score, reasons.join(", "), None))
    }

    fn wanted(&self) -> String {
        let any = (!self.any.is_empty()).then(|| quoted(&self.any, "or"));
        let all = (!self.all.is_empty()).then(|| quoted(&self.all, "and"));
        let none = (!self.none.is_empty()).then(|| format!("without {}", quoted(&self.none, "or")));
        let with = [any, all].into_iter().flatten().collect::<Vec<_>>().join(", and ");
        let with = (!with.is_empty()).then(|| format!("with {with}"));
        format!("text {}", [with, none].into_iter().flatten().collect::<Vec<_>>().join(", "))
    }

    fn canonical(&self) -> serde_json::Value {
        // One alternative is no alternative.
        let (any, mut all) = match &self.any[..] {
            [only] => (&[][..], vec![only]),
            any => (any, Vec::new()),
        };
        all.extend(&self.all);
        json!({ "any": any, "all": all, "none": self.none, "ignore_case": self.ignore_case, "words": self.words })
    }

    fn targets(&self) -> Vec<String> {
        self.any.iter().chain(&self.all).cloned().collect()
    }

    /// One of `any` or all of `all` stand in the prompt, and nothing of `none`: with both there, one has to choose.
    fn leak(&self, prompt: &str) -> Option<String> {
        let given = |it: &&String| super::leak::gives_away(prompt, it);
        if self.none.iter().any(|it| super::leak::gives_away(prompt, it)) {
            return None;
        }
        let all = self.all.first().filter(|_| self.all.iter().all(|it| given(&it)));
        self.any.iter().find(given).or(all).cloned()
    }
}
