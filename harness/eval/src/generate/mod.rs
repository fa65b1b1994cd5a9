//! Generated cases: variables drawn from a seed, and what follows from them, computed.
//!
//! The language is total: there is no recursion, every loop runs over a list or a bounded number of steps, and a draw
//! has a bounded number of steps altogether. Numbers are exact. `docs/generate.md` defines it.

mod evaluate;
pub(crate) mod filters;
pub mod functions;
mod lex;
mod parse;
pub mod source;
pub mod value;
pub(crate) mod written;

use std::ops::Range;
use std::sync::Arc;

use crate::yaml::{Malformed, Node, Span, Value as Yaml};
use evaluate::Machine;
use parse::Expression;
use source::Source;
use value::Value;
use written::Written;

/// Draws of a family unless it says otherwise.
const DRAWS: u64 = 3;

/// The most draws of a family.
const MOST_DRAWS: u64 = 1_000;

/// How often a draw is tried until its conditions hold.
pub(crate) const ATTEMPTS: u64 = 1_000;

/// Steps that one draw may take, all of its attempts together.
const FUEL: u64 = 4_000_000;

/// What is wrong with an expression, and which bytes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    /// A lower-case fragment.
    pub message: String,
    /// Bytes of the expression.
    pub span: Range<usize>,
    /// What to do.
    pub help: Option<String>,
}

impl Wrong {
    fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), span, help: None }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// The value of an expression over variables, within so many steps; draws come from a key's stream.
///
/// For a family, [`crate::case`] does all of this; here the language can be tried by itself.
pub fn evaluate(text: &str, variables: &[(&str, Value)], key: &str, fuel: u64) -> Result<Value, Wrong> {
    let expression = Expression::parse(text)?;
    let names: Vec<(Arc<str>, Value)> =
        variables.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect();
    let known: Vec<Arc<str>> = names.iter().map(|it| Arc::clone(&it.0)).collect();
    let mut wrong = Vec::new();
    expression.check(&known, &mut Vec::new(), &mut wrong);
    match wrong.into_iter().next() {
        Some(wrong) => Err(wrong),
        None => Machine { names, fuel, source: Source::new(key) }.evaluate(&expression),
    }
}

/// The checked `generate:` of a case.
#[derive(Debug)]
pub(crate) struct Generator {
    pub(crate) draws: u64,
    steps: Vec<Step>,
    /// Names of the variables, with their places, in order.
    pub(crate) variables: Vec<(Arc<str>, Span)>,
    /// Variables that other expressions use.
    pub(crate) used: Vec<Arc<str>>,
    /// Where it begins.
    place: Span,
}

/// What is done for a draw, in order.
#[derive(Debug)]
enum Step {
    /// A variable gets a value, from the stream of its own name.
    Let(Arc<str>, Expression, Written),
    /// A condition must hold, or the draw is drawn again; each as soon as its variables are known.
    Where(Expression, Written, usize),
}

/// What one attempt at a draw comes to.
pub(crate) enum Attempt {
    /// Values of the variables, in order.
    Drawn(Vec<(Arc<str>, Value)>),
    /// The n-th condition does not hold.
    Refused(usize),
}

impl Generator {
    /// Reads and checks a `generate:` node; `outer` are variables of the case's matrix.
    pub(crate) fn read(
        node: &Node,
        file: &str,
        outer: &[Arc<str>],
        mistakes: &mut Vec<Malformed>,
    ) -> Option<Self> {
        let before = mistakes.len();
        let Yaml::Map(entries) = &node.value else {
            mistakes.push(at(node.place(), format!("expected a mapping with `let`, found {}", node.kind())));
            return None;
        };
        let known = ["draws", "let", "where"];
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.name.as_str())) {
            let meant = crate::yaml::nearest(&key.name, known).map(|it| format!(": did you mean `{it}`?"));
            let message = format!("unknown key `{}`{}", key.name, meant.unwrap_or_default());
            let help = Some("known here: `draws`, `let`, `where`".to_owned());
            mistakes.push(Malformed { help, ..at(key.span, message) });
        }
        let draws = match node.field("draws").map(|it| (&it.value, it.place())) {
            None => DRAWS,
            Some((Yaml::Integer(it), place)) => match u64::try_from(*it) {
                Ok(draws) if (1..=MOST_DRAWS).contains(&draws) => draws,
                _ => {
                    mistakes.push(at(place, format!("`draws` lies between 1 and {MOST_DRAWS}")));
                    DRAWS
                }
            },
            Some((_, place)) => {
                mistakes.push(at(place, "`draws` is a whole number"));
                DRAWS
            }
        };
        let mut generator =
            Self { draws, steps: Vec::new(), variables: Vec::new(), used: Vec::new(), place: node.place() };
        let variables = match node.field("let").map(|it| (&it.value, it.place())) {
            Some((Yaml::Map(variables), _)) if !variables.is_empty() => &variables[..],
            Some((_, place)) => {
                let help = Some("write `name: expression`, one a line".to_owned());
                mistakes.push(Malformed { help, ..at(place, "expected variables") });
                return None;
            }
            None => {
                mistakes.push(at(node.place(), "`let` is missing: nothing is drawn"));
                return None;
            }
        };
        let mut names: Vec<Arc<str>> = outer.to_vec();
        for (key, node) in variables {
            if !is_variable(&key.name) {
                let help = (key.name.contains([')', ']', '"']))
                    .then(|| "variables stand one a line: a comma within { } ends an expression".to_owned());
                mistakes.push(Malformed {
                    help,
                    ..at(key.span, format!("`{}` is no name of a variable", key.name))
                });
                continue;
            }
            if outer.iter().any(|it| **it == *key.name) {
                mistakes.push(at(key.span, format!("`{}` is a variable of the matrix already", key.name)));
            }
            let name: Arc<str> = Arc::from(key.name.as_str());
            if let Some((expression, written)) = read_expression(node, file, mistakes) {
                check(&expression, &written, &names, &mut generator.used, mistakes);
                generator.steps.push(Step::Let(Arc::clone(&name), expression, written));
            }
            generator.variables.push((Arc::clone(&name), key.span));
            names.push(name);
        }
        if let Some(conditions) = node.field("where") {
            generator.read_conditions(conditions, file, &names, mistakes);
        }
        (mistakes.len() == before).then_some(generator)
    }

    fn read_conditions(
        &mut self,
        node: &Node,
        file: &str,
        names: &[Arc<str>],
        mistakes: &mut Vec<Malformed>,
    ) {
        let mut parsed: Vec<(Expression, Written)> = Vec::new();
        match &node.value {
            // In brackets it is one list in our own language: YAML would part `gcd(a, b) == 1` at its comma.
            Yaml::List(items) if Written::of(node, file).is_none() => {
                parsed.extend(items.iter().filter_map(|it| read_expression(it, file, mistakes)));
            }
            _ => {
                if let Some((expression, written)) = read_expression(node, file, mistakes) {
                    let texts = |items: &[Expression]| {
                        items.iter().any(|it| matches!(it.node, parse::Node::Constant(Value::Text(_))))
                    };
                    match (expression.node, &node.value) {
                        // Conditions that stand in YAML's quotes.
                        (parse::Node::List(items), Yaml::List(nodes)) if texts(&items) => {
                            parsed.extend(nodes.iter().filter_map(|it| read_expression(it, file, mistakes)));
                        }
                        (parse::Node::List(items), _) => {
                            parsed.extend(items.into_iter().map(|it| (it, written.clone())));
                        }
                        (node, _) => parsed.push((Expression { node, ..expression }, written)),
                    }
                }
            }
        }
        for (number, (condition, written)) in parsed.into_iter().enumerate() {
            let mut used = Vec::new();
            check(&condition, &written, names, &mut used, mistakes);
            // After the last variable that it needs, and after the conditions that are there already.
            let last =
                self.steps.iter().rposition(|it| matches!(it, Step::Let(name, ..) if used.contains(name)));
            let mut place = last.map_or(0, |it| it + 1);
            while matches!(self.steps.get(place), Some(Step::Where(..))) {
                place += 1;
            }
            self.used.extend(used);
            self.steps.insert(place, Step::Where(condition, written, number));
        }
    }

    /// One attempt at a draw. `key` names the seed, the suite, the case, the draw and the attempt.
    pub(crate) fn attempt(
        &self,
        key: &str,
        outer: &[(Arc<str>, Value)],
        fuel: &mut u64,
    ) -> Result<Attempt, Malformed> {
        let mut machine = Machine { names: outer.to_vec(), fuel: *fuel, source: Source::new(key) };
        for step in &self.steps {
            let outcome = match step {
                Step::Let(name, expression, written) => {
                    machine.source = Source::new(&format!("{key}{name}\n"));
                    let value = machine.evaluate(expression).map_err(|it| written.mistake(it));
                    value.map(|it| {
                        machine.names.push((Arc::clone(name), it));
                        None
                    })
                }
                Step::Where(condition, written, number) => {
                    machine.source = Source::new(&format!("{key}where {number}\n"));
                    let truth = machine.truth(condition).map_err(|it| written.mistake(it));
                    truth.map(|it| (!it).then_some(*number))
                }
            };
            *fuel = machine.fuel;
            if let Some(refused) = outcome? {
                return Ok(Attempt::Refused(refused));
            }
        }
        Ok(Attempt::Drawn(machine.names.split_off(outer.len())))
    }

    /// The steps of one draw.
    pub(crate) fn fuel() -> u64 {
        FUEL
    }

    /// Where a condition stands.
    pub(crate) fn condition(&self, number: usize) -> Span {
        let found = self.steps.iter().find_map(|it| match it {
            Step::Where(condition, written, it) if *it == number => {
                Some(written.place(condition.span.clone()))
            }
            _ => None,
        });
        found.unwrap_or(self.place)
    }

    /// Where it begins.
    pub(crate) fn place(&self) -> Span {
        self.place
    }
}

/// Words of templates, which no variable can be called by.
const TEMPLATE_WORDS: [&str; 6] = ["none", "None", "True", "False", "is", "loop"];

/// Letters, digits and `_`, no digit first, and no word of the language or of templates.
fn is_variable(name: &str) -> bool {
    if lex::WORDS.iter().chain(&TEMPLATE_WORDS).any(|it| *it == name) {
        return false;
    }
    let plain = name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
    plain && !name.starts_with(|it: char| it.is_ascii_digit()) && !name.is_empty()
}

fn at(span: Span, message: impl Into<String>) -> Malformed {
    Malformed { message: message.into(), span: Some(span), help: None }
}

/// A scalar or a list in brackets is an expression; a list with dashes is one of expressions.
fn read_expression(node: &Node, file: &str, mistakes: &mut Vec<Malformed>) -> Option<(Expression, Written)> {
    let Some(written) = Written::of(node, file) else {
        mistakes.push(at(node.place(), format!("expected an expression, found {}", node.kind())));
        return None;
    };
    match Expression::parse(&written.text) {
        Ok(expression) => Some((expression, written)),
        Err(wrong) => {
            mistakes.push(written.mistake(wrong));
            None
        }
    }
}

fn check(
    expression: &Expression,
    written: &Written,
    names: &[Arc<str>],
    used: &mut Vec<Arc<str>>,
    mistakes: &mut Vec<Malformed>,
) {
    let mut wrong = Vec::new();
    expression.check(names, used, &mut wrong);
    mistakes.extend(wrong.into_iter().map(|it| written.mistake(it)));
}
