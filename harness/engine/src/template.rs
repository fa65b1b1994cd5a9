//! Chat templates: the model's own Jinja that turns messages into one prompt.
//!
//! A template comes with the weights and is hostile until checked: it runs with a budget that bounds both
//! its steps and the bytes it makes, and reaches nothing but the messages.

use std::fmt::Write as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, State, context};
use sha2::{Digest as _, Sha256};

use eval::backend::{BackendError, Message, Role};

use crate::tokenizer::Tokenizer;

/// What `strftime_now` answers in every template, so that prompts do not change from day to day.
///
/// Formatted by the template's own format, of which `%d`, `%m`, `%Y`, `%b` and `%B` are known.
pub const TEMPLATE_DATE: &str = "2025-01-01";

/// Steps a template may take; 64 bytes of text count as a step.
const FUEL: u64 = 500_000;
/// The longest prompt, in bytes.
const LONGEST: usize = 16 << 20;

/// A chat template.
#[derive(Debug)]
pub(crate) struct Template {
    source: String,
    digest: String,
}

impl Template {
    pub(crate) fn new(source: String) -> Self {
        let mut digest = String::new();
        for byte in Sha256::digest(&source) {
            write!(digest, "{byte:02x}").expect("a string takes all");
        }
        Self { source, digest }
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// SHA-256 of the source.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// The prompt for these messages, with the header of the model's turn.
    pub(crate) fn render(
        &self,
        messages: &[Message],
        begin: &str,
        end: &str,
    ) -> Result<String, BackendError> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("the usual delimiters"));
        environment.set_unknown_method_callback(method);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", |format: String| {
            let known = [("%d", "01"), ("%m", "01"), ("%Y", "2025"), ("%b", "Jan"), ("%B", "January")];
            known.iter().fold(format, |text, (letter, value)| text.replace(letter, value))
        });
        environment.add_filter("tojson", to_json);
        let messages: Vec<_> = messages
            .iter()
            .map(|it| {
                let role = match it.role {
                    Role::System => "system",
                    Role::User => "user",
                    Role::Assistant => "assistant",
                };
                context! { role, content => it.content.as_str() }
            })
            .collect();
        let values =
            context! { messages, bos_token => begin, eos_token => end, add_generation_prompt => true };
        let text = environment.render_str(&self.source, values).map_err(|err| {
            // The outer error says only that the call failed; the template's own words are within.
            let reason = err.detail().map_or_else(|| err.to_string(), str::to_owned);
            BackendError::Template(match err.line() {
                Some(line) => format!("{reason} (line {line})"),
                None => reason,
            })
        })?;
        if text.len() > LONGEST {
            return Err(BackendError::Template(format!("it wrote {} bytes", text.len())));
        }
        Ok(text)
    }
}

/// As Python's `json.dumps` writes it, which is what templates were written against: nothing is escaped for
/// HTML, as minijinja's own filter does.
#[expect(clippy::needless_pass_by_value, reason = "filters take options by value")]
fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<Value> = options.get("indent")?;
    // Templates name it because Python escapes other alphabets by default; nothing is escaped here.
    let _: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    let json =
        minijinja::filters::tojson(value, indent, Kwargs::from_iter::<[(&str, Value); 0]>([]))?.to_string();
    let mut plain = String::with_capacity(json.len());
    let mut rest = json.as_str();
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let escaped = [("\\u003c", "<"), ("\\u003e", ">"), ("\\u0026", "&"), ("\\u0027", "'")];
        let found = escaped.iter().find(|(escape, _)| rest[at..].starts_with(escape));
        let (length, text) = match found {
            Some((escape, text)) => (escape.len(), *text),
            // The character after a backslash belongs to it, another backslash included.
            None => (2, &rest[at..at + 2]),
        };
        plain.push_str(text);
        rest = &rest[at + length..];
    }
    plain.push_str(rest);
    Ok(plain)
}

/// Python's methods. Those whose result can be far longer than what they work on are bounded first: they are
/// paid for only once the result is there.
fn method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let text = |it: &Value| it.as_str().map_or(0, str::len);
    let length = match (method, value.as_str(), args) {
        ("replace", Some(within), [old, new, ..]) => {
            let count = old.as_str().map_or(0, |old| within.matches(old).count());
            count.saturating_mul(text(new)).saturating_add(within.len())
        }
        ("join", Some(between), [parts]) => parts
            .try_iter()?
            .fold(0_usize, |sum, it| sum.saturating_add(text(&it)).saturating_add(between.len())),
        // A width in a format has no bound.
        ("format", Some(_), _) => {
            return Err(Error::new(ErrorKind::UnknownMethod, "`format` is not there for templates"));
        }
        _ => 0,
    };
    if length > LONGEST {
        return Err(Error::new(ErrorKind::OutOfFuel, format!("`{method}` would make {length} bytes")));
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

/// The prompt for these messages as text and as tokens. What looks like a control token in a message's content is
/// tokenized as text.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the engine has its own copy as long as it opens files alone")
)]
pub(crate) fn prompt(
    template: &Template,
    tokenizer: &Tokenizer,
    messages: &[Message],
) -> Result<(String, Vec<u32>), BackendError> {
    // A character of the private use area that occurs nowhere keeps look-alikes apart.
    let guard = ('\u{e000}'..='\u{f8ff}').find(|&it| {
        !template.source().contains(it) && !messages.iter().any(|message| message.content.contains(it))
    });
    let guard =
        guard.ok_or_else(|| BackendError::Unsupported("a prompt of all private characters".to_owned()))?;
    let guarded: Vec<_> = messages
        .iter()
        .map(|it| Message { role: it.role, content: tokenizer.control().guarded(&it.content, guard) })
        .collect();
    let marked = template.render(&guarded, tokenizer.begin(), tokenizer.end())?;
    let tokens = tokenizer.encode_marked(&marked, guard).map_err(BackendError::Failed)?;
    Ok((marked.replace(guard, ""), tokens))
}
