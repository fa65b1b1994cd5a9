//! Jinja as lm-evaluation-harness renders it: over the fields of one document, strict about what is not defined, with
//! line breaks at the end kept, Python's methods, and values written as Python's `str` writes them.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use super::pattern::Pattern;
use super::python;
use crate::template::longest_expression;

/// Instructions that one rendering may take: a template that loops for long is a mistake.
const FUEL: u64 = 5_000_000;

/// The longest expression, in bytes: the compiler goes down a level for an operator, and the stack ends.
const LONGEST_EXPRESSION: usize = 8_000;

/// The longest text that a template may give, in bytes.
const LONGEST: usize = 16 << 20;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("the usual delimiters"));
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(method);
    environment.set_formatter(|out, _, value| {
        if value.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        out.write_str(&written(value)?).map_err(Error::from)
    });
    environment.add_filter("regex_replace", regex_replace);
    environment.add_filter("string", |value: Value| written(&value));
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.remove_global("debug");
    environment
});

/// A template over the fields of a document.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
}

impl Template {
    /// Parses a template; the error is a fragment that says what is wrong.
    pub fn new(source: &str) -> Result<Self, String> {
        if longest_expression(source) > LONGEST_EXPRESSION {
            return Err(format!("an expression has more than {LONGEST_EXPRESSION} bytes"));
        }
        ENVIRONMENT.template_from_str(source).map_err(|error| explain(&error))?;
        Ok(Self { source: source.to_owned() })
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text for one document.
    pub fn render(&self, document: &Value) -> Result<String, String> {
        if !self.source.contains('{') {
            return Ok(self.source.clone());
        }
        let template = ENVIRONMENT.template_from_str(&self.source).map_err(|error| explain(&error))?;
        let text = template.render(document.clone()).map_err(|error| explain(&error))?;
        if text.len() > LONGEST {
            return Err(format!("the text has {} bytes, more than {LONGEST}", text.len()));
        }
        Ok(text)
    }
}

fn explain(error: &Error) -> String {
    let detail = error.detail().map(|it| format!(": {it}")).unwrap_or_default();
    match error.kind() {
        ErrorKind::UndefinedError => format!("it uses something that the document does not have{detail}"),
        ErrorKind::OutOfFuel => "it takes too long".to_owned(),
        kind => format!("{kind}{detail}"),
    }
}

fn wrong(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// What Python's `str` makes of a value.
fn written(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    if value.kind() == ValueKind::Plain {
        return Ok(value.to_string());
    }
    Ok(python::text(&read_back(value, 0)?))
}

/// A value as templates see it.
pub fn value_of(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::from(()),
        Json::Bool(it) => Value::from(*it),
        Json::Number(it) => match (it.as_i64(), it.as_u64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(whole)) => Value::from(whole),
            (None, None) => Value::from(it.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(it) => Value::from(it.as_str()),
        Json::Array(items) => Value::from(items.iter().map(value_of).collect::<Vec<_>>()),
        Json::Object(entries) => fields_of(entries),
    }
}

/// A document's fields as templates see them.
pub fn fields_of(entries: &serde_json::Map<String, serde_json::Value>) -> Value {
    Value::from_pairs(entries.iter().map(|(key, it)| (Value::from(key.as_str()), value_of(it))))
}

/// How deep values that are written may be nested.
const DEEPEST: usize = 64;

fn read_back(value: &Value, depth: usize) -> Result<serde_json::Value, Error> {
    use serde_json::Value as Json;
    if depth > DEEPEST {
        return Err(wrong("a value is nested too deeply"));
    }
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => {
            match (value.as_i64().filter(|_| value.is_integer()), f64::try_from(value.clone())) {
                (Some(whole), _) => Json::from(whole),
                (None, Ok(float)) if !value.is_integer() => {
                    // What JSON has no number for is written out all the same.
                    serde_json::Number::from_f64(float)
                        .map_or_else(|| Json::from(python::float_repr(float)), Json::Number)
                }
                _ => Json::from(value.to_string()),
            }
        }
        ValueKind::Seq | ValueKind::Iterable => value
            .try_iter()?
            .map(|it| read_back(&it, depth + 1))
            .collect::<Result<_, _>>()
            .map(Json::Array)?,
        ValueKind::Map => {
            let entry = |key: Value| {
                let item = read_back(&value.get_item(&key)?, depth + 1)?;
                Ok((written(&key)?, item))
            };
            value.try_iter()?.map(entry).collect::<Result<_, Error>>().map(Json::Object)?
        }
        _ => Json::from(value.to_string()),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "filters take their values so")]
fn regex_replace(
    text: String,
    pattern: String,
    replacement: String,
    options: Kwargs,
) -> Result<String, Error> {
    let count = options.get::<Option<usize>>("count")?.unwrap_or(0);
    options.assert_all_used()?;
    Ok(compiled(pattern)?.replace(&text, &replacement, count))
}

/// A compiled pattern; those of a template are the same for every document.
fn compiled(written: String) -> Result<Arc<Pattern>, Error> {
    static KNOWN: Mutex<BTreeMap<String, Arc<Pattern>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pattern) = known.get(&written) {
        return Ok(Arc::clone(pattern));
    }
    let pattern = Arc::new(Pattern::new(&written).map_err(wrong)?);
    // Patterns can be made of documents too: then none is worth keeping.
    if known.len() < 256 {
        known.insert(written, Arc::clone(&pattern));
    }
    Ok(pattern)
}

/// Python's methods.
fn method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let first = args.first().and_then(Value::as_str);
    match (method, value.as_str(), first) {
        ("index", None, _) if value.kind() == ValueKind::Seq && args.len() == 1 => {
            let at = value.try_iter()?.position(|it| it == args[0]);
            return at.map(Value::from).ok_or_else(|| wrong("the value is not in the list"));
        }
        ("index", Some(text), Some(part)) => {
            let at = text.find(part).ok_or_else(|| wrong("substring not found"))?;
            return Ok(text[..at].chars().count().into());
        }
        ("removeprefix", Some(text), Some(part)) => {
            return Ok(text.strip_prefix(part).unwrap_or(text).into());
        }
        ("removesuffix", Some(text), Some(part)) => {
            return Ok(text.strip_suffix(part).unwrap_or(text).into());
        }
        ("rsplit", Some(text), Some(part)) if !part.is_empty() => {
            let most = args.get(1).and_then(Value::as_usize);
            let mut parts: Vec<Value> = match most {
                Some(most) => text.rsplitn(most.saturating_add(1), part).map(Value::from).collect(),
                None => text.rsplit(part).map(Value::from).collect(),
            };
            parts.reverse();
            return Ok(parts.into());
        }
        _ => {}
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}
