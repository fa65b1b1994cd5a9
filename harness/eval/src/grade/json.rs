//! JSON: one value that satisfies a schema.

use jsonschema::{PatternOptions, Validator};
use serde_json::{Value, json};

use super::{Evidence, Finding, Grader, cut, mistake, written};
use crate::yaml::{Malformed, Node, Value as Yaml};

/// The answer holds one JSON value that satisfies the schema.
///
/// The value is, in this order: the whole answer; the content of the last code fence, closed or not; the first
/// object or array in the text, begun at the first `{` or `[` that one can be read from. (Where reading breaks off,
/// all that was read up to there is passed over.) Values nested deeper than 127 levels are refused.
///
/// The schema is of draft 2020-12 unless it names another. Its patterns are those of the crate `regex`, its
/// references stay inside it; nothing is fetched.
#[derive(Clone, Debug)]
pub(super) struct Json {
    schema: Value,
    validator: Validator,
}

/// Above so many bytes only the first violation is looked for: there may be one for every byte.
const LARGE: usize = 64 << 10;

const TOO_DEEP: &str = "the JSON is nested too deep";

impl Json {
    pub(super) fn check(written: &written::Json, node: &Node, mistakes: &mut Vec<Malformed>) -> Option<Self> {
        let schema = &written.schema.value;
        if *schema == Value::Bool(false) {
            mistakes.push(mistake(written.schema.span, "the schema `false` allows nothing"));
            return None;
        }
        let patterns = PatternOptions::regex().size_limit(4 << 20);
        match jsonschema::options().offline().with_pattern_options(patterns).build(schema) {
            Ok(validator) => Some(Self { schema: schema.clone(), validator }),
            Err(error) => {
                let at = node.field("schema").map(|it| at_pointer(it, error.instance_path().as_str()));
                let span = at.map_or(written.schema.span, Node::place);
                mistakes.push(mistake(span, format!("not a JSON Schema: {}", cut(&error.to_string(), 160))));
                None
            }
        }
    }
}

/// The node that a JSON pointer leads to, or as near as it leads.
fn at_pointer<'a>(mut node: &'a Node, pointer: &str) -> &'a Node {
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let next = match &node.value {
            Yaml::List(items) => step.parse().ok().and_then(|at: usize| items.get(at)),
            _ => node.field(&step),
        };
        match next {
            Some(next) => node = next,
            None => break,
        }
    }
    node
}

impl Grader for Json {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let value = match found(evidence.text) {
            Ok(value) => value,
            Err(reason) => return Ok(Finding::wrong(reason)),
        };
        let answer = Some(cut(&value.to_string(), 200).into_owned());
        if self.validator.is_valid(&value) {
            return Ok(Finding::right("the schema is satisfied", answer));
        }
        let most = if evidence.text.len() > LARGE { 1 } else { 3 };
        let errors = match most {
            1 => self.validator.validate(&value).err().into_iter().collect(),
            _ => self.validator.iter_errors(&value).take(most).collect::<Vec<_>>(),
        };
        let reasons = errors.iter().map(|error| {
            let path = error.instance_path().as_str();
            let path = if path.is_empty() { "the value".to_owned() } else { cut(path, 60).into_owned() };
            format!("{path}: {}", cut(&error.masked_with("it").to_string(), 100))
        });
        let reason = reasons.collect::<Vec<_>>().join(", ");
        Ok(Finding::new(0.0, reason, answer))
    }

    fn wanted(&self) -> String {
        "JSON that satisfies the schema".to_owned()
    }

    fn canonical(&self) -> Value {
        json!({ "schema": sorted(&self.schema) })
    }
}

/// The same value with every object's keys in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(entries) => {
            let mut entries: Vec<_> =
                entries.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        other => other.clone(),
    }
}

/// The JSON value of an answer, or why there is none.
fn found(text: &str) -> Result<Value, String> {
    let text = text.trim();
    let whole = serde_json::from_str(text);
    if let Ok(value) = whole {
        return Ok(value);
    }
    if let Some(fenced) = last_fence(text) {
        return serde_json::from_str(fenced).map_err(|error| match explained(&error) {
            Some(reason) => reason.to_owned(),
            None => format!("the code fence holds no JSON: {}", cut(&error.to_string(), 80)),
        });
    }
    let mut reason = "no JSON found";
    let mut from = 0;
    while let Some(at) = text[from..].find(['{', '[']) {
        let start = from + at;
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter();
        match values.next() {
            Some(Ok(value)) => return Ok(value),
            Some(Err(error)) => {
                reason = explained(&error).unwrap_or(reason);
                if reason == TOO_DEEP {
                    break;
                }
                from = (start + read_by(&error, &text[start..])).max(start + 1);
                from = (from..=text.len()).find(|it| text.is_char_boundary(*it)).unwrap_or(text.len());
            }
            None => break,
        }
    }
    Err(reason.to_owned())
}

/// How many bytes were read when the error was met, the one in error not counted.
fn read_by(error: &serde_json::Error, text: &str) -> usize {
    if error.is_eof() {
        return text.len();
    }
    let line: usize = text.split_inclusive('\n').take(error.line() - 1).map(str::len).sum();
    (line + error.column().saturating_sub(1)).min(text.len())
}

fn explained(error: &serde_json::Error) -> Option<&'static str> {
    if error.is_eof() {
        Some("the JSON breaks off")
    } else if error.to_string().starts_with("recursion limit exceeded") {
        Some(TOO_DEEP)
    } else {
        None
    }
}

/// The content of the last code fence; one that is left open ends with the text.
fn last_fence(text: &str) -> Option<&str> {
    let marks: Vec<usize> = text.match_indices("```").map(|it| it.0).collect();
    let last = marks.len().checked_sub(1)? & !1;
    let inside = &text[marks[last] + 3..marks.get(last + 1).copied().unwrap_or(text.len())];
    // What stands behind the opening mark names the language.
    let unnamed = inside.trim_start_matches(|it: char| it.is_alphanumeric() || "+-_.".contains(it));
    Some(if inside.starts_with(char::is_alphabetic) { unnamed.trim() } else { inside.trim() })
}
