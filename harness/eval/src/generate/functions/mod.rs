//! Functions of expressions: the table, and how one is given its arguments.
//!
//! Each is total: it ends, within the steps of its draw, with a value or with a message.

mod chances;
mod draws;
mod filler;
mod graphs;
mod lists;
mod machines;
mod matrices;
mod numbers;
mod numeric;
mod optimal;
mod puzzles;
mod sql;
pub(super) mod texts;
mod units;

use std::ops::Range;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{ToPrimitive as _, Zero as _};

use super::Wrong;
use super::evaluate::{self, Machine, mismatch};
use super::parse::{Argument, Arrow, Operator};
use super::value::{List, Value};
use crate::count::counted;

/// A function of the language.
#[derive(Debug)]
pub struct Function {
    /// How it is called: `name(a, b?, …)`, with `?` after what may be left out, `…` for more of the same, and
    /// `(a, b) => …` for an expression that it evaluates itself.
    pub form: &'static str,
    /// What it gives.
    pub what: &'static str,
    /// Computes it.
    pub(super) run: fn(&mut Call<'_, '_>) -> Result<Value, Wrong>,
}

/// Functions of one field.
#[derive(Debug)]
pub struct Field {
    /// The field.
    pub name: &'static str,
    /// Its functions.
    pub functions: &'static [Function],
}

/// Every function, by field.
pub const FIELDS: [Field; 14] = [
    Field { name: "Draws", functions: draws::FUNCTIONS },
    Field { name: "Numbers", functions: numbers::FUNCTIONS },
    Field { name: "Lists", functions: lists::FUNCTIONS },
    Field { name: "Text", functions: texts::FUNCTIONS },
    Field { name: "Linear algebra", functions: matrices::FUNCTIONS },
    Field { name: "Probability and statistics", functions: chances::FUNCTIONS },
    Field { name: "Polynomials and numerical methods", functions: numeric::FUNCTIONS },
    Field { name: "Optimisation", functions: optimal::FUNCTIONS },
    Field { name: "Graphs", functions: graphs::FUNCTIONS },
    Field { name: "Scheduling, caches, state machines", functions: machines::FUNCTIONS },
    Field { name: "Puzzles", functions: puzzles::FUNCTIONS },
    Field { name: "SQL", functions: sql::FUNCTIONS },
    Field { name: "Units", functions: units::FUNCTIONS },
    Field { name: "Long texts", functions: filler::FUNCTIONS },
];

/// Every function.
pub(super) fn all() -> impl Iterator<Item = &'static Function> {
    FIELDS.iter().flat_map(|it| it.functions)
}

/// The function of a name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    all().find(|it| it.name() == name)
}

impl Function {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.form.split('(').next().unwrap_or(self.form)
    }

    /// Its arguments, as they are written in its form.
    fn parameters(&self) -> Vec<&'static str> {
        let inner = &self.form[self.name().len() + 1..self.form.len() - 1];
        let mut parameters = Vec::new();
        let (mut depth, mut start) = (0, 0);
        for (at, it) in inner.char_indices() {
            match it {
                '(' => depth += 1,
                ')' => depth -= 1,
                ',' if depth == 0 => {
                    parameters.push(inner[start..at].trim());
                    start = at + 1;
                }
                _ => {}
            }
        }
        parameters.push(inner[start..].trim());
        parameters.retain(|it| !it.is_empty());
        parameters
    }

    /// Looks whether these arguments are of the right number and kinds; the error is a fragment.
    pub(super) fn accepts(&self, arguments: &[Argument]) -> Result<(), String> {
        let parameters = self.parameters();
        let more = parameters.last() == Some(&"…");
        let named = parameters.len() - usize::from(more);
        let least = parameters[..named].iter().filter(|it| !it.ends_with('?')).count();
        let most = if more { usize::MAX } else { named };
        if arguments.len() < least || arguments.len() > most {
            let wanted = match (least, most) {
                (least, most) if least == most => counted(least, "argument"),
                (least, usize::MAX) => format!("at least {}", counted(least, "argument")),
                (least, most) => format!("{least} to {}", counted(most, "argument")),
            };
            return Err(format!("`{}` takes {wanted}, not {}", self.name(), arguments.len()));
        }
        for (parameter, argument) in parameters.iter().zip(arguments) {
            let arity = parameter.split_once("=>").map(|(names, _)| names.split(',').count());
            match (arity, argument) {
                (None, Argument::Arrow(_)) if *parameter != "…" => {
                    return Err(format!("`{}` takes a value for `{parameter}`, no `=>`", self.name()));
                }
                (Some(_), Argument::Value(_)) => {
                    return Err(format!("`{}` takes `{parameter}` here", self.name()));
                }
                (Some(arity), Argument::Arrow(arrow)) if arrow.names.len() != arity => {
                    return Err(format!(
                        "`{}` takes `{parameter}` here: {} before `=>`",
                        self.name(),
                        counted(arity, "name")
                    ));
                }
                _ => {}
            }
        }
        let arrows = arguments.iter().skip(named).any(|it| matches!(it, Argument::Arrow(_)));
        if arrows { Err(format!("`{}` takes values, no `=>`", self.name())) } else { Ok(()) }
    }
}

/// One call: the arguments' values, and what evaluates them.
pub(super) struct Call<'m, 'e> {
    pub(super) machine: &'m mut Machine,
    arguments: &'e [Argument],
    /// Of arrows, `false`.
    values: Vec<Value>,
    pub(super) span: Range<usize>,
}

/// What a function comes to.
type Outcome = Result<Value, Wrong>;

impl<'m, 'e> Call<'m, 'e> {
    pub(super) fn new(
        machine: &'m mut Machine,
        arguments: &'e [Argument],
        span: Range<usize>,
    ) -> Result<Self, Wrong> {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(match argument {
                Argument::Value(it) => machine.evaluate(it)?,
                Argument::Arrow(_) => Value::Boolean(false),
            });
        }
        let cost = values.iter().map(Value::cost).fold(0, u64::saturating_add);
        machine.pay(cost, &span)?;
        Ok(Self { machine, arguments, values, span })
    }

    /// How many arguments there are.
    fn len(&self) -> usize {
        self.values.len()
    }

    fn place(&self, at: usize) -> Range<usize> {
        match self.arguments.get(at) {
            Some(Argument::Value(it)) => it.span.clone(),
            Some(Argument::Arrow(it)) => it.span.clone(),
            None => self.span.clone(),
        }
    }

    /// A mistake in an argument.
    fn wrong(&self, at: usize, message: impl Into<String>) -> Wrong {
        Wrong::new(message, self.place(at))
    }

    /// A mistake in the call as a whole.
    fn fails(&self, message: impl Into<String>) -> Wrong {
        Wrong::new(message, self.span.clone())
    }

    fn pay(&mut self, steps: u64) -> Result<(), Wrong> {
        self.machine.pay(steps, &self.span)
    }

    /// Arithmetic as an expression's own: bounded, and paid for.
    fn compute(
        &mut self,
        operator: Operator,
        a: &BigRational,
        b: &BigRational,
    ) -> Result<BigRational, Wrong> {
        self.machine.compute(operator, a, b, &self.span)
    }

    fn sum(&mut self, a: &BigRational, b: &BigRational) -> Result<BigRational, Wrong> {
        self.compute(Operator::Add, a, b)
    }

    fn difference(&mut self, a: &BigRational, b: &BigRational) -> Result<BigRational, Wrong> {
        self.compute(Operator::Subtract, a, b)
    }

    fn product(&mut self, a: &BigRational, b: &BigRational) -> Result<BigRational, Wrong> {
        self.compute(Operator::Multiply, a, b)
    }

    fn quotient(&mut self, a: &BigRational, b: &BigRational) -> Result<BigRational, Wrong> {
        self.compute(Operator::Divide, a, b)
    }

    /// The sum of numbers.
    fn total<'a>(
        &mut self,
        numbers: impl IntoIterator<Item = &'a BigRational>,
    ) -> Result<BigRational, Wrong> {
        let mut total = BigRational::zero();
        for it in numbers {
            total = self.sum(&total, it)?;
        }
        Ok(total)
    }

    fn value(&self, at: usize) -> &Value {
        &self.values[at]
    }

    fn number(&self, at: usize) -> Result<BigRational, Wrong> {
        match &self.values[at] {
            Value::Number(number) => Ok(number.clone()),
            other => Err(mismatch("a number", other, &self.place(at))),
        }
    }

    fn integer(&self, at: usize) -> Result<BigInt, Wrong> {
        match &self.values[at] {
            Value::Number(number) if number.is_integer() => Ok(number.to_integer()),
            other => Err(mismatch("a whole number", other, &self.place(at))),
        }
    }

    /// A whole number of 32 bits: so small that a few can be added and multiplied without a look at their size.
    fn small(&self, at: usize) -> Result<i64, Wrong> {
        self.small_of(at, &self.values[at])
    }

    fn small_of(&self, at: usize, value: &Value) -> Result<i64, Wrong> {
        let small = match value {
            Value::Number(number) if number.is_integer() => number.numer().to_i32(),
            other => return Err(mismatch("a whole number", other, &self.place(at))),
        };
        small.map(i64::from).ok_or_else(|| self.wrong(at, format!("{} is too large here", value.told())))
    }

    /// A whole number from 0 to `most`.
    fn count(&self, at: usize, most: usize) -> Result<usize, Wrong> {
        evaluate::count(&self.number(at)?, most, &self.place(at))
    }

    fn text(&self, at: usize) -> Result<String, Wrong> {
        match &self.values[at] {
            Value::Text(text) => Ok(text.to_string()),
            other => Err(mismatch("text", other, &self.place(at))),
        }
    }

    fn list(&self, at: usize) -> Result<List, Wrong> {
        match &self.values[at] {
            Value::List(list) => Ok(list.clone()),
            other => Err(mismatch("a list", other, &self.place(at))),
        }
    }

    fn numbers(&self, at: usize) -> Result<Vec<BigRational>, Wrong> {
        self.numbers_of(at, &self.values[at])
    }

    fn numbers_of(&self, at: usize, value: &Value) -> Result<Vec<BigRational>, Wrong> {
        let Value::List(list) = value else {
            return Err(mismatch("a list of numbers", value, &self.place(at)));
        };
        let numbers = list.iter().map(|it| match it {
            Value::Number(number) => Ok(number.clone()),
            other => Err(mismatch("a number in the list", other, &self.place(at))),
        });
        numbers.collect()
    }

    fn smalls(&self, at: usize) -> Result<Vec<i64>, Wrong> {
        self.list(at)?.iter().map(|it| self.small_of(at, it)).collect()
    }

    /// Rows of the same number of columns, at least one of each.
    fn matrix(&self, at: usize) -> Result<Vec<Vec<BigRational>>, Wrong> {
        let rows = self.list(at)?.iter().map(|it| self.numbers_of(at, it)).collect::<Result<Vec<_>, _>>()?;
        let columns = rows.first().map_or(0, Vec::len);
        if columns == 0 || rows.iter().any(|it| it.len() != columns) {
            return Err(
                self.wrong(at, "this is no matrix: rows have as many numbers as the first, and at least one")
            );
        }
        if rows.len() > 12 || columns > 12 {
            return Err(self.wrong(at, "a matrix has at most 12 rows and 12 columns"));
        }
        Ok(rows)
    }

    /// Lists of this many values each: edges, jobs, claims.
    fn tuples(&self, at: usize, width: usize, what: &str) -> Result<Vec<Vec<Value>>, Wrong> {
        let rows = self.list(at)?;
        let rows = rows.iter().map(|it| match it {
            Value::List(parts) if parts.len() == width => Ok(parts.to_vec()),
            other => Err(self.wrong(at, format!("expected {what}, found {}", other.told()))),
        });
        rows.collect()
    }

    /// The value of the arrow with these values for its names.
    fn apply(&mut self, at: usize, values: &[Value]) -> Result<Value, Wrong> {
        let arrow: &Arrow = match &self.arguments[at] {
            Argument::Arrow(arrow) => arrow,
            Argument::Value(_) => return Err(self.wrong(at, "expected `=>`")),
        };
        self.machine.apply(arrow, values)
    }

    /// The truth of the arrow with these values for its names.
    fn test(&mut self, at: usize, values: &[Value]) -> Result<bool, Wrong> {
        match self.apply(at, values)? {
            Value::Boolean(truth) => Ok(truth),
            other => Err(mismatch("a truth value", &other, &self.place(at))),
        }
    }

    fn new_list(&mut self, items: Vec<Value>) -> Outcome {
        self.machine.list(items, &self.span)
    }

    fn new_text(&mut self, text: String) -> Outcome {
        self.machine.text(text, &self.span)
    }

    fn new_number(&mut self, number: BigRational) -> Outcome {
        self.machine.number(number, &self.span)
    }
}
