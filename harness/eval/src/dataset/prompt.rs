//! Prompts: worked examples and a question, put together as lm-evaluation-harness does.

use std::collections::HashMap;

use serde_json::Value;

use super::document::{Document, Failure, Field};
use super::metrics::OutputType;
use super::python::is_space;
use super::random::Random;
use super::rows::same;
use crate::backend::{Message, Role};

/// How a question and its answer are written.
#[derive(Clone, Debug)]
pub(super) struct Style {
    pub(super) text: Field,
    pub(super) target: Option<Field>,
    pub(super) choice: Option<Field>,
    pub(super) prefix: Option<Field>,
    pub(super) target_delimiter: String,
    pub(super) fewshot_delimiter: String,
}

/// What a task's prompts are made of.
#[derive(Debug)]
pub(super) struct Composer {
    /// Of the question.
    pub(super) style: Style,
    /// Of worked examples.
    pub(super) shown: Style,
    pub(super) description: Option<Field>,
    pub(super) examples: Examples,
    /// The fields that documents have.
    pub(super) features: Vec<String>,
    /// Whether the question differs from option to option, and the answer does not.
    pub(super) multiple_inputs: bool,
}

/// Where worked examples come from, and how they are drawn.
#[derive(Debug)]
pub(super) struct Examples {
    pub(super) documents: Vec<Document>,
    pub(super) count: usize,
    /// In order, rather than drawn.
    pub(super) first: bool,
    /// Whether the question itself may be among them, and is then left out.
    pub(super) overlap: bool,
    pub(super) random: Random,
    /// The turns of examples that were written before, by their positions.
    written: HashMap<usize, Vec<Turn>>,
}

impl Examples {
    /// Examples of documents that are still to come.
    pub(super) fn new(count: usize, first: bool, overlap: bool, random: Random) -> Self {
        Self { documents: Vec::new(), count, first, overlap, random, written: HashMap::new() }
    }

    /// The positions of a question's examples. Each question's draw goes on where the one before it stopped.
    fn of(&mut self, question: &Document) -> Result<Vec<usize>, String> {
        let count = self.count;
        if count == 0 {
            return Ok(Vec::new());
        }
        let all = self.documents.len();
        let other = |at: &usize| !same(&self.documents[*at].row, &question.row);
        let few = |found: usize| format!("{count} worked examples are wanted, there are {found}");
        // A question without a field stands for none.
        let overlap = self.overlap && (self.first || !question.row.is_empty());
        if self.first {
            let pool: Vec<usize> = (0..all).filter(|it| !overlap || other(it)).take(count).collect();
            return if pool.len() == count { Ok(pool) } else { Err(few(pool.len())) };
        }
        if !overlap {
            return self.random.sample(all, count).ok_or_else(|| few(all));
        }
        let drawn = self.random.sample(all, count + 1).ok_or_else(|| few(all.saturating_sub(1)))?;
        let mut kept: Vec<usize> = drawn.into_iter().filter(other).take(count).collect();
        if kept.len() < count {
            let pool: Vec<usize> = (0..all).filter(other).collect();
            let again = self.random.sample(pool.len(), count).ok_or_else(|| few(pool.len()))?;
            kept = again.into_iter().map(|it| pool[it]).collect();
        }
        Ok(kept)
    }
}

/// One turn, and what stands behind it in plain text.
#[derive(Clone, Debug)]
struct Turn {
    role: Role,
    content: String,
    delimiter: String,
}

/// A question as it is asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The turns, or the one text, of each context; more than one only where inputs are several.
    pub(super) contexts: Vec<Vec<Message>>,
    /// What `doc_to_text` gave: with several inputs, the number of the right one.
    pub(super) question: Value,
    pub(super) options: Option<Vec<String>>,
    pub(super) target: Value,
}

/// How turns become what a model reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One text, without a chat template.
    Plain,
    /// A system turn and one of the user's.
    OneTurn,
    /// Each worked example as two turns.
    Turns,
}

impl Composer {
    /// Looks at the first document, which decides for all: whether inputs are several, and, as given, whether right
    /// answers are.
    pub(super) fn look(&mut self, document: &Document, output: OutputType) -> Result<bool, Failure> {
        let has_options = self.style.choice.is_some();
        if let Some(choice) = &self.style.choice {
            choice.options(document, &self.features)?;
            let question = self.style.text.question(document, &self.features, true)?;
            self.multiple_inputs = output == OutputType::Choice && question.is_number();
        }
        let Some(target) = &self.style.target else { return Ok(false) };
        let target = target.target(document, &self.features, has_options)?;
        Ok(target.as_array().is_some_and(|it| !it.is_empty()))
    }

    /// A document's question, answer and prompt.
    pub(super) fn ask(&mut self, document: &Document, form: Form) -> Result<Asked, Failure> {
        let examples = self.examples.of(document).map_err(|message| self.style.text.wrong(message))?;
        let options = match &self.style.choice {
            Some(choice) => Some(choice.options(document, &self.features)?),
            None => None,
        };
        let has_options = options.is_some();
        let question = self.style.text.question(document, &self.features, has_options)?;
        let target = match &self.style.target {
            Some(target) => target.target(document, &self.features, has_options)?,
            None => Value::String(String::new()),
        };
        let prefix = match &self.style.prefix {
            Some(prefix) => Some(prefix.words(document)?).filter(|it| !it.is_empty()),
            None => None,
        };
        let mut turns = Vec::new();
        if let Some(description) = &self.description {
            let content = description.words(document)?;
            if !content.is_empty() {
                turns.push(Turn { role: Role::System, content, delimiter: String::new() });
            }
        }
        for at in examples {
            if !self.examples.written.contains_key(&at) {
                let written = self.example(&self.examples.documents[at])?;
                self.examples.written.insert(at, written);
            }
            turns.extend(self.examples.written[&at].iter().cloned());
        }
        let context = |question: &str, delimiter: &str| {
            let mut turns = turns.clone();
            turns.extend(asked(question, prefix.as_deref(), delimiter));
            messages(turns, form)
        };
        let contexts = if self.multiple_inputs {
            options.as_deref().unwrap_or_default().iter().map(|it| context(it, "")).collect()
        } else {
            let Value::String(text) = &question else {
                return Err(self.style.text.wrong(format!("the question is `{question}`, which is no text")));
            };
            vec![context(text, &self.style.target_delimiter)]
        };
        Ok(Asked { contexts, question, options, target })
    }

    /// Writes a worked example.
    fn example(&self, document: &Document) -> Result<Vec<Turn>, Failure> {
        let Style { text, target, choice, prefix, target_delimiter, fewshot_delimiter } = &self.shown;
        let question = text.question(document, &self.features, choice.is_some())?;
        let options = match choice {
            Some(choice) => Some(choice.options(document, &self.features)?),
            None => None,
        };
        let Some(target) = target else { return Err(text.wrong("`doc_to_target` is missing")) };
        let answer = target.target(document, &self.features, choice.is_some())?;
        let prefix = match prefix {
            Some(prefix) => prefix.words(document)?,
            None => String::new(),
        };
        let (question, options) = match question {
            Value::String(question) => (question, options),
            Value::Number(number) if self.multiple_inputs => {
                let at = number.as_u64().and_then(|it| usize::try_from(it).ok());
                let input = at.and_then(|at| options.as_ref()?.get(at).cloned());
                (input.ok_or_else(|| text.wrong(format!("there is no option {number}")))?, None)
            }
            other => return Err(text.wrong(format!("the question is `{other}`, which is no text"))),
        };
        let written = match &answer {
            Value::String(answer) => Some(answer.clone()),
            Value::Number(number) => {
                let at = number.as_u64().and_then(|it| usize::try_from(it).ok());
                at.and_then(|at| options.as_ref()?.get(at).cloned())
            }
            Value::Array(items) => items.first().and_then(Value::as_str).map(str::to_owned),
            _ => None,
        };
        let written = written.ok_or_else(|| {
            target.wrong(format!("the answer of a worked example is `{answer}`, which is no text"))
        })?;
        let has_answer = answer != Value::String(String::new());
        let delimiter =
            if (has_answer && prefix.is_empty()) || (!prefix.is_empty() && parted(&question, &prefix)) {
                target_delimiter.clone()
            } else {
                String::new()
            };
        let mut turns = vec![Turn { role: Role::User, content: question, delimiter }];
        if has_answer {
            let content = joined(&prefix, &written);
            turns.push(Turn { role: Role::Assistant, content, delimiter: fewshot_delimiter.clone() });
        } else if !prefix.is_empty() {
            turns.push(Turn { role: Role::Assistant, content: prefix, delimiter: String::new() });
        }
        Ok(turns)
    }
}

/// The turns of a question without its answer.
fn asked(question: &str, prefix: Option<&str>, delimiter: &str) -> Vec<Turn> {
    let delimiter = match prefix {
        Some(prefix) if parted(question, prefix) => delimiter.to_owned(),
        _ => String::new(),
    };
    let mut turns = vec![Turn { role: Role::User, content: question.to_owned(), delimiter }];
    if let Some(prefix) = prefix {
        let content = prefix.to_owned();
        turns.push(Turn { role: Role::Assistant, content, delimiter: String::new() });
    }
    turns
}

/// Whether nothing parts two texts yet.
fn parted(before: &str, after: &str) -> bool {
    !before.is_empty() && !before.ends_with(is_space) && !after.starts_with(is_space)
}

/// Two texts with a space between them, unless there is one.
fn joined(before: &str, after: &str) -> String {
    if before.is_empty() || after.is_empty() || !parted(before, after) {
        format!("{before}{after}")
    } else {
        format!("{before} {after}")
    }
}

fn messages(turns: Vec<Turn>, form: Form) -> Vec<Message> {
    let text =
        |turns: &[Turn]| turns.iter().flat_map(|it| [it.content.as_str(), &it.delimiter]).collect::<String>();
    match form {
        Form::Plain => vec![Message { role: Role::Text, content: text(&turns) }],
        Form::Turns => turns.into_iter().map(|it| Message { role: it.role, content: it.content }).collect(),
        Form::OneTurn => {
            let system = turns.iter().take_while(|it| it.role == Role::System).count().min(1);
            let (system, rest) = turns.split_at(system);
            // What would stand behind the last of them belongs to nothing.
            let content = match rest.split_last() {
                Some((last, before)) => format!("{}{}", text(before), last.content),
                None => String::new(),
            };
            let mut messages: Vec<Message> =
                system.iter().map(|it| Message { role: it.role, content: it.content.clone() }).collect();
            messages.push(Message { role: Role::User, content });
            messages
        }
    }
}
