//! Exact: the answer is a given text.

use serde_json::json;

use super::{Evidence, Finding, Form, Grader, Text, cut, mistake, quoted, text, texts, written};
use crate::yaml::Malformed;

/// The answer equals one of the texts.
///
/// On both sides white space at the ends is removed and each run of it inside becomes one space; with `ignore_case`
/// both are put in lower case (Unicode's, without regard to language). Nothing else is forgiven, not a full stop.
#[derive(Clone, Debug)]
pub(super) struct Exact {
    any: Vec<String>,
    ignore_case: bool,
}

impl Exact {
    pub(super) fn check(form: &Form<Text, written::Exact>, mistakes: &mut Vec<Malformed>) -> Option<Self> {
        let (any, ignore_case) = match form {
            Form::Short(short) => (vec![text(short, mistakes)?], false),
            Form::Long(long) => (texts("any", &long.any, mistakes), long.ignore_case),
        };
        let any: Vec<String> = any.iter().map(|it| fold(it, ignore_case)).collect();
        for (at, text) in any.iter().enumerate() {
            if any[..at].contains(text) {
                let span = form.long().map_or_else(Default::default, |it| it.any.span);
                mistakes.push(mistake(span, format!("`{}` is in the list twice", cut(text, 60))));
            }
        }
        Some(Self { any, ignore_case })
    }
}

/// White space folded and, if so wished, case too.
pub(super) fn fold(text: &str, ignore_case: bool) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    if ignore_case { folded.to_lowercase() } else { folded }
}

impl Grader for Exact {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let found = fold(evidence.text, self.ignore_case);
        Ok(if self.any.contains(&found) {
            Finding::right(format!("found `{}`", cut(&found, 60)), None)
        } else if found.is_empty() {
            Finding::wrong(format!("wanted {}, found nothing", quoted(&self.any, "or")))
        } else {
            Finding::wrong(format!("wanted {}, found `{}`", quoted(&self.any, "or"), cut(&found, 60)))
        })
    }

    fn wanted(&self) -> String {
        format!("the text {}", quoted(&self.any, "or"))
    }

    fn canonical(&self) -> serde_json::Value {
        json!({ "any": self.any, "ignore_case": self.ignore_case })
    }

    fn targets(&self) -> Vec<String> {
        self.any.clone()
    }
}
