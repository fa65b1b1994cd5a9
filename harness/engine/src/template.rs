//! Chat templates: the model's own Jinja that turns messages into one prompt.
//!
//! A template comes with the weights and is hostile until checked: it runs with a budget that bounds both
//! its steps and the bytes it makes, on a stack that its deepest nesting cannot exhaust, and reaches nothing
//! but the messages. What it finds there is what transformers gives it.

use std::fmt::Write as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, context};
use sha2::{Digest as _, Sha256};

use eval::backend::{BackendError, Message, Role};

use crate::python::{self, LONGEST};
use crate::source;
use crate::tokenizer::Tokenizer;

/// What `strftime_now` answers in every template, so that prompts do not change from day to day.
pub const TEMPLATE_DATE: &str = "2025-01-01";

/// Steps a template may take; 64 bytes of text count as a step.
const FUEL: u64 = 500_000;
/// The deepest source and the deepest value that the budget allows need less; what is not used is never touched.
const STACK: usize = 192 << 20;

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
        self.limited(messages, begin, end, true).map_err(BackendError::Template)
    }

    /// The control token that it writes where the model's turn ends, if there is one.
    pub(crate) fn turn_end(&self, tokenizer: &Tokenizer) -> Option<u32> {
        // Found again whatever is written around it.
        const ANSWER: &str = "\u{f8ff}";
        let turn = |role, content: &str| Message { role, content: content.to_owned() };
        let messages = [turn(Role::User, "a"), turn(Role::Assistant, ANSWER)];
        // One that refuses such a conversation says so when it is asked.
        let text = self.limited(&messages, tokenizer.begin(), tokenizer.end(), false).ok()?;
        let (_, rest) = text.rsplit_once(ANSWER)?;
        tokenizer.control().at(rest.trim_start()).map(|(id, _)| id)
    }

    fn limited(&self, messages: &[Message], begin: &str, end: &str, header: bool) -> Result<String, String> {
        // Nested syntax and nested values are walked by recursion.
        std::thread::scope(|scope| {
            let run = || self.run(messages, begin, end, header);
            let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run);
            let thread = thread.map_err(|err| format!("no thread to run it: {err}"))?;
            thread.join().unwrap_or_else(|_| Err("it made minijinja panic".to_owned()))
        })
    }

    fn run(&self, messages: &[Message], begin: &str, end: &str, header: bool) -> Result<String, String> {
        let source = source::checked(&self.source)?;
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("the usual delimiters"));
        python::extend(&mut environment);
        let messages: Vec<_> = messages
            .iter()
            .map(|it| {
                let role = match it.role {
                    Role::System => "system",
                    Role::User | Role::Text => "user",
                    Role::Assistant => "assistant",
                };
                context! { role, content => it.content.as_str() }
            })
            .collect();
        let values = context! {
            messages,
            tools => (),
            documents => (),
            bos_token => begin,
            eos_token => end,
            add_generation_prompt => header,
        };
        let text = environment.render_str(&source, values).map_err(|err| {
            // The outer error says only that the call failed; the template's own words are within.
            let reason = err.detail().map_or_else(|| err.to_string(), str::to_owned);
            match err.line() {
                Some(line) => format!("{reason} (line {line})"),
                None => reason,
            }
        })?;
        if text.len() > LONGEST {
            return Err(format!("it wrote {} bytes", text.len()));
        }
        Ok(text)
    }
}

/// The prompt for these messages as text and as tokens. What looks like a control token in a message's content is
/// tokenized as text.
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
