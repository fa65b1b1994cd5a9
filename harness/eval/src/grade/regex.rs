//! Regex: a pattern in the answer.

use regex::RegexBuilder;
use regex_syntax::hir::Hir;
use serde_json::json;

use super::{Evidence, Finding, Form, Grader, Text, cut, mistake, text, written};
use crate::count::counted;
use crate::yaml::{Malformed, Span};

/// The pattern is found in the answer; with `equals`, a group of its last match is that text.
///
/// The syntax is that of the crate `regex`: no look-around, no back-references, so that no answer makes it slow; `^`
/// and `$` are the ends of the whole answer unless `(?m)` says otherwise. `group` is 0 for the whole match; it is 1
/// unless given, or 0 where the pattern has no groups. Both sides of `equals` lose white space at their ends. The
/// answer is the group of the last match.
#[derive(Clone, Debug)]
pub(super) struct Regex {
    pattern: regex::Regex,
    group: usize,
    equals: Option<String>,
}

/// Bytes of a compiled pattern.
const LARGEST: usize = 4 << 20;

impl Regex {
    pub(super) fn check(form: &Form<Text, written::Regex>, mistakes: &mut Vec<Malformed>) -> Option<Self> {
        let (written, group, equals) = match form {
            Form::Short(short) => (short, None, None),
            Form::Long(long) => (&long.pattern, long.group.0.as_ref(), long.equals.0.as_ref()),
        };
        let equals = equals.and_then(|it| text(it, mistakes)).map(|it| it.trim().to_owned());
        let source = text(written, mistakes)?;
        let tree = parsed(&source, written.span, mistakes)?;
        let pattern = RegexBuilder::new(&source)
            .size_limit(LARGEST)
            .build()
            .map_err(|error| {
                mistakes.push(mistake(written.span, format!("the pattern is too large: {error}")));
            })
            .ok()?;
        let groups = pattern.captures_len() - 1;
        let chosen = group.map_or(groups.min(1), |it| it.value.0);
        if let Some(group) = group.filter(|_| chosen > groups) {
            let message = match groups {
                0 => format!("there is no group {chosen}: the pattern has no groups"),
                _ => format!("there is no group {chosen}: the pattern has {}", counted(groups, "group")),
            };
            mistakes.push(mistake(group.span, message));
        }
        let properties = tree.properties();
        if properties.minimum_len().is_none() {
            mistakes.push(mistake(written.span, "the pattern can match nothing"));
        } else if properties.minimum_len() == Some(0) && properties.look_set().is_empty() && equals.is_none()
        {
            mistakes
                .push(mistake(written.span, "the pattern matches every answer: it matches the empty text"));
        }
        Some(Self { pattern, group: chosen, equals })
    }
}

fn parsed(pattern: &str, span: Span, mistakes: &mut Vec<Malformed>) -> Option<Hir> {
    let (what, start, length) = match regex_syntax::parse(pattern) {
        Ok(tree) => return Some(tree),
        Err(regex_syntax::Error::Parse(error)) => {
            (error.kind().to_string(), error.span().start.offset, pattern.len())
        }
        Err(regex_syntax::Error::Translate(error)) => {
            (error.kind().to_string(), error.span().start.offset, pattern.len())
        }
        Err(error) => (error.to_string(), 0, 0),
    };
    let place = pattern.get(start..).filter(|it| length > 0 && !it.is_empty());
    let place = place.map(|it| format!(", at `{}`", cut(it, 20))).unwrap_or_default();
    mistakes.push(mistake(span, format!("the pattern is no regular expression: {what}{place}")));
    None
}

impl Grader for Regex {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let Some(last) = self.pattern.find_iter(evidence.text).last() else {
            return Ok(Finding::wrong("the pattern is not found"));
        };
        let group = self.pattern.captures_at(evidence.text, last.start()).and_then(|it| it.get(self.group));
        let found = group.map(|it| it.as_str().trim());
        let answer = found.map(|it| cut(it, 200).into_owned());
        Ok(match (&self.equals, found) {
            (None, _) => Finding::right(format!("found `{}`", cut(last.as_str(), 60)), answer),
            (Some(wanted), Some(found)) if wanted == found => {
                Finding::right(format!("found `{}`", cut(found, 60)), answer)
            }
            (Some(wanted), Some(found)) => {
                Finding::new(0.0, format!("wanted `{}`, found `{}`", cut(wanted, 60), cut(found, 60)), answer)
            }
            (Some(_), None) => Finding::wrong(format!("group {} is not in the last match", self.group)),
        })
    }

    fn wanted(&self) -> String {
        let pattern = cut(self.pattern.as_str(), 80);
        match (&self.equals, self.group) {
            (None, _) => format!("a match of `{pattern}`"),
            (Some(equals), 0) => format!("`{}` as the last match of `{pattern}`", cut(equals, 60)),
            (Some(equals), group) => {
                format!("`{}` as group {group} of the last match of `{pattern}`", cut(equals, 60))
            }
        }
    }

    fn canonical(&self) -> serde_json::Value {
        json!({ "pattern": self.pattern.as_str(), "group": self.group, "equals": self.equals })
    }

    fn targets(&self) -> Vec<String> {
        self.equals.iter().cloned().collect()
    }

    /// The prompt holds the text that is wanted, and the pattern finds no other in it: between several one has to choose.
    fn leak(&self, prompt: &str) -> Option<String> {
        let found = self.pattern.captures_iter(prompt).filter_map(|it| it.get(self.group));
        let wanted = self.equals.as_ref().filter(|it| super::leak::gives_away(prompt, it))?;
        let several = found.into_iter().any(|it| it.as_str() != wanted);
        (!several).then(|| wanted.clone())
    }
}
