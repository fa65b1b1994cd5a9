//! Evaluation: from a tree and names to a value, within a number of steps.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use num_bigint::BigInt;
use num_integer::Integer as _;
use num_rational::BigRational;
use num_traits::{Signed as _, ToPrimitive as _, Zero as _};

use super::Wrong;
use super::functions::Call;
use super::parse::{Arrow, Clause, Expression, Node, Operator, Relation};
use super::source::Source;
use super::value::{List, MOST_BITS, Value, bits};
use crate::count::counted;

/// The longest list.
pub(super) const LONGEST_LIST: usize = 100_000;

/// The longest text, in bytes.
pub(super) const LONGEST_TEXT: usize = 1 << 18;

/// What evaluates expressions: the names known, the steps left, and where draws come from.
pub(super) struct Machine {
    pub(super) names: Vec<(Arc<str>, Value)>,
    pub(super) fuel: u64,
    pub(super) source: Source,
}

impl Machine {
    /// Takes steps; there is an end to them.
    pub(super) fn pay(&mut self, steps: u64, span: &Range<usize>) -> Result<(), Wrong> {
        if let Some(left) = self.fuel.checked_sub(steps) {
            self.fuel = left;
            return Ok(());
        }
        self.fuel = 0;
        let wrong = Wrong::new("this takes more steps than a draw may", span.clone());
        Err(wrong.help("draw smaller lists or numbers, or put the `where:` that fails most often first"))
    }

    /// A list, unless it is too long or too deep.
    pub(super) fn list(&mut self, items: Vec<Value>, span: &Range<usize>) -> Result<Value, Wrong> {
        self.pay(items.len() as u64, span)?;
        if items.len() > LONGEST_LIST {
            return Err(Wrong::new(format!("a list has at most {LONGEST_LIST} items"), span.clone()));
        }
        List::new(items).map(Value::List).map_err(|message| Wrong::new(message, span.clone()))
    }

    /// A number, unless it is too long.
    pub(super) fn number(&mut self, number: BigRational, span: &Range<usize>) -> Result<Value, Wrong> {
        self.bounded(number, span).map(Value::Number)
    }

    fn bounded(&mut self, number: BigRational, span: &Range<usize>) -> Result<BigRational, Wrong> {
        let bits = bits(&number);
        self.pay(bits / 64, span)?;
        if bits > MOST_BITS {
            let message = format!("this number has more than the {MOST_BITS} bits that are computed with");
            return Err(Wrong::new(message, span.clone()));
        }
        Ok(number)
    }

    /// Arithmetic within the bounds of numbers, paid for by their length.
    pub(super) fn compute(
        &mut self,
        operator: Operator,
        a: &BigRational,
        b: &BigRational,
        span: &Range<usize>,
    ) -> Result<BigRational, Wrong> {
        let (left, right) = (bits(a) / 64, bits(b) / 64);
        // A product takes as long as both are; a fraction is reduced, which takes as long as the longer.
        let is_whole = operator != Operator::Divide && a.is_integer() && b.is_integer();
        self.pay(if is_whole { left * right } else { 4 * (left + right).pow(2) }, span)?;
        let number = arithmetic(operator, a, b).map_err(|message| Wrong::new(message, span.clone()))?;
        self.bounded(number, span)
    }

    /// A text, unless it is too long.
    pub(super) fn text(&mut self, text: String, span: &Range<usize>) -> Result<Value, Wrong> {
        self.pay(text.len() as u64 / 8, span)?;
        if text.len() > LONGEST_TEXT {
            return Err(Wrong::new(format!("a text has at most {LONGEST_TEXT} bytes"), span.clone()));
        }
        Ok(Value::text(text))
    }

    pub(super) fn evaluate(&mut self, expression: &Expression) -> Result<Value, Wrong> {
        let span = &expression.span;
        self.pay(1, span)?;
        match &expression.node {
            Node::Constant(value) => {
                self.pay(value.length(), span)?;
                Ok(value.clone())
            }
            Node::Name(name) => {
                let found = self.names.iter().rev().find(|(it, _)| it == name);
                let value = found.map(|(_, value)| value.clone());
                let value =
                    value.ok_or_else(|| Wrong::new(format!("nothing is called `{name}`"), span.clone()))?;
                self.pay(value.length() / 8, span)?;
                Ok(value)
            }
            Node::List(items) => {
                let items = items.iter().map(|it| self.evaluate(it)).collect::<Result<Vec<_>, _>>()?;
                self.list(items, span)
            }
            Node::Negative(inner) => {
                let value = self.evaluate(inner)?;
                match value {
                    Value::Number(number) => Ok(Value::Number(-number)),
                    other => Err(mismatch("a number", &other, &inner.span)),
                }
            }
            Node::Not(inner) => self.truth(inner).map(|it| Value::Boolean(!it)),
            Node::And(both) => Ok(Value::Boolean(self.truth(&both[0])? && self.truth(&both[1])?)),
            Node::Or(both) => Ok(Value::Boolean(self.truth(&both[0])? || self.truth(&both[1])?)),
            Node::If(three) => {
                let [condition, value, other] = &**three;
                if self.truth(condition)? { self.evaluate(value) } else { self.evaluate(other) }
            }
            Node::Binary(operator, both) => {
                let (left, right) = (self.evaluate(&both[0])?, self.evaluate(&both[1])?);
                self.binary(*operator, left, right, both, span)
            }
            Node::Comparison(first, rest) => {
                let mut left = self.evaluate(first)?;
                for (relation, next) in rest {
                    let right = self.evaluate(next)?;
                    self.pay(left.size().min(right.size()), span)?;
                    if !self.holds(*relation, &left, &right, span)? {
                        return Ok(Value::Boolean(false));
                    }
                    left = right;
                }
                Ok(Value::Boolean(true))
            }
            Node::Index(both) => {
                let (list, index) = (self.evaluate(&both[0])?, self.evaluate(&both[1])?);
                element(&list, &index, both)
            }
            Node::Call(function, arguments) => {
                let mut call = Call::new(self, arguments, span.clone())?;
                (function.run)(&mut call)
            }
            Node::Comprehension(item, clauses) => {
                let before = self.names.len();
                let mut items = Vec::new();
                self.comprehend(item, clauses, &mut items)?;
                self.names.truncate(before);
                self.list(items, span)
            }
        }
    }

    /// Evaluates a condition.
    pub(super) fn truth(&mut self, expression: &Expression) -> Result<bool, Wrong> {
        match self.evaluate(expression)? {
            Value::Boolean(truth) => Ok(truth),
            other => Err(mismatch("a truth value", &other, &expression.span)),
        }
    }

    /// The value of an arrow's body, with these values for its names.
    pub(super) fn apply(&mut self, arrow: &Arrow, values: &[Value]) -> Result<Value, Wrong> {
        let before = self.names.len();
        self.names.extend(arrow.names.iter().cloned().zip(values.iter().cloned()));
        let result = self.evaluate(&arrow.body);
        self.names.truncate(before);
        result
    }

    fn comprehend(
        &mut self,
        item: &Expression,
        clauses: &[Clause],
        items: &mut Vec<Value>,
    ) -> Result<(), Wrong> {
        let Some((clause, inner)) = clauses.split_first() else {
            if items.len() >= LONGEST_LIST {
                return Err(Wrong::new(
                    format!("a list has at most {LONGEST_LIST} items"),
                    item.span.clone(),
                ));
            }
            items.push(self.evaluate(item)?);
            return Ok(());
        };
        let list = match self.evaluate(&clause.list)? {
            Value::List(list) => list,
            other => return Err(mismatch("a list", &other, &clause.list.span)),
        };
        for value in list.iter() {
            self.pay(1, &clause.list.span)?;
            let before = self.names.len();
            match &clause.names[..] {
                [name] => self.names.push((Arc::clone(name), value.clone())),
                names => match value {
                    Value::List(parts) if parts.len() == names.len() => {
                        self.names.extend(names.iter().cloned().zip(parts.iter().cloned()));
                    }
                    other => {
                        let message = format!("{} for {}", counted(names.len(), "name"), other.told());
                        return Err(Wrong::new(message, clause.list.span.clone()));
                    }
                },
            }
            let mut kept = true;
            for condition in &clause.conditions {
                kept = kept && self.truth(condition)?;
            }
            if kept {
                self.comprehend(item, inner, items)?;
            }
            self.names.truncate(before);
        }
        Ok(())
    }

    fn binary(
        &mut self,
        operator: Operator,
        left: Value,
        right: Value,
        parts: &[Expression; 2],
        span: &Range<usize>,
    ) -> Result<Value, Wrong> {
        match (operator, left, right) {
            (_, Value::Number(a), Value::Number(b)) => {
                self.compute(operator, &a, &b, span).map(Value::Number)
            }
            (Operator::Add, Value::Text(a), Value::Text(b)) => self.text(format!("{a}{b}"), span),
            (Operator::Add, Value::List(a), Value::List(b)) => {
                self.list(a.iter().chain(b.iter()).cloned().collect(), span)
            }
            (Operator::Multiply, Value::Text(text), Value::Number(times)) => {
                let times = count(&times, LONGEST_TEXT / text.len().max(1), &parts[1].span)?;
                self.text(text.repeat(times), span)
            }
            (Operator::Multiply, Value::List(list), Value::Number(times)) => {
                let times = count(&times, LONGEST_LIST / list.len().max(1), &parts[1].span)?;
                let items = std::iter::repeat_n(&list, times).flat_map(|it| it.iter().cloned());
                self.list(items.collect(), span)
            }
            (operator, left, right) => {
                let sign = match operator {
                    Operator::Add => "+",
                    Operator::Subtract => "-",
                    Operator::Multiply => "*",
                    Operator::Divide => "/",
                    Operator::Floor => "//",
                    Operator::Modulo => "%",
                    Operator::Power => "**",
                };
                let message = format!("`{sign}` of {} and {}", left.told(), right.told());
                let wrong = Wrong::new(message, span.clone());
                Err(match (&left, &right) {
                    (Value::Text(_), _) | (_, Value::Text(_)) => {
                        wrong.help("`text(…)` makes a text of a number")
                    }
                    _ => wrong,
                })
            }
        }
    }

    fn holds(
        &mut self,
        relation: Relation,
        left: &Value,
        right: &Value,
        span: &Range<usize>,
    ) -> Result<bool, Wrong> {
        let order = |wanted: fn(Ordering) -> bool| {
            left.order(right).map(wanted).ok_or_else(|| {
                Wrong::new(format!("{} and {} have no order", left.told(), right.told()), span.clone())
            })
        };
        match relation {
            Relation::Equal => Ok(left == right),
            Relation::Unequal => Ok(left != right),
            Relation::Less => order(Ordering::is_lt),
            Relation::AtMost => order(Ordering::is_le),
            Relation::Greater => order(Ordering::is_gt),
            Relation::AtLeast => order(Ordering::is_ge),
            Relation::In | Relation::NotIn => {
                let found = match right {
                    Value::List(list) => {
                        self.pay(right.cost(), span)?;
                        list.contains(left)
                    }
                    Value::Text(text) => match left {
                        Value::Text(part) => text.contains(&**part),
                        other => return Err(mismatch("text", other, span)),
                    },
                    other => return Err(mismatch("a list or text", other, span)),
                };
                Ok(found == (relation == Relation::In))
            }
        }
    }
}

/// The message for a value of another kind.
pub(super) fn mismatch(wanted: &str, found: &Value, span: &Range<usize>) -> Wrong {
    Wrong::new(format!("expected {wanted}, found {}", found.told()), span.clone())
}

/// A whole number from 0 to `most`.
pub(super) fn count(number: &BigRational, most: usize, span: &Range<usize>) -> Result<usize, Wrong> {
    super::value::index(number).filter(|it| *it <= most).ok_or_else(|| {
        let found = Value::Number(number.clone()).told();
        Wrong::new(format!("expected a whole number from 0 to {most}, found {found}"), span.clone())
    })
}

fn element(list: &Value, index: &Value, parts: &[Expression; 2]) -> Result<Value, Wrong> {
    let Value::Number(number) = index else { return Err(mismatch("a whole number", index, &parts[1].span)) };
    let place = |length: usize| {
        let from_end = number.is_negative();
        let at = super::value::index(&number.abs()).filter(|_| number.is_integer());
        let at = at.and_then(|at| if from_end { length.checked_sub(at) } else { Some(at) });
        at.filter(|it| *it < length).ok_or_else(|| {
            let message = format!("there is no place {index} among {length}");
            Wrong::new(message, parts[1].span.clone()).help("the first is at 0, the last at -1")
        })
    };
    match list {
        Value::List(list) => Ok(list[place(list.len())?].clone()),
        Value::Text(text) => {
            let letters: Vec<char> = text.chars().collect();
            Ok(Value::text(letters[place(letters.len())?].to_string()))
        }
        other => Err(mismatch("a list or text", other, &parts[0].span)),
    }
}

/// Exact arithmetic; the error is a fragment.
pub(super) fn arithmetic(
    operator: Operator,
    a: &BigRational,
    b: &BigRational,
) -> Result<BigRational, String> {
    let wholes = a.is_integer() && b.is_integer();
    let whole = |it: BigInt| Ok(BigRational::from_integer(it));
    match operator {
        Operator::Add if wholes => whole(a.numer() + b.numer()),
        Operator::Subtract if wholes => whole(a.numer() - b.numer()),
        Operator::Multiply if wholes => whole(a.numer() * b.numer()),
        Operator::Add => Ok(a + b),
        Operator::Subtract => Ok(a - b),
        Operator::Multiply => Ok(a * b),
        Operator::Divide | Operator::Floor | Operator::Modulo if b.is_zero() => {
            Err("division by zero".to_owned())
        }
        Operator::Divide => Ok(a / b),
        Operator::Floor if wholes => whole(a.numer().div_floor(b.numer())),
        Operator::Floor => Ok((a / b).floor()),
        Operator::Modulo if wholes => whole(a.numer().mod_floor(b.numer())),
        Operator::Modulo => Ok(a - (a / b).floor() * b),
        Operator::Power => power(a, b),
    }
}

fn power(base: &BigRational, exponent: &BigRational) -> Result<BigRational, String> {
    if !exponent.is_integer() {
        return Err("an exponent is a whole number: what is irrational is not computed".to_owned());
    }
    if base.is_zero() && exponent.is_negative() {
        return Err("division by zero".to_owned());
    }
    let is_unit = base.abs() == super::value::one() || base.is_zero();
    let exponent = exponent.numer();
    if is_unit {
        let odd = exponent.is_odd();
        return Ok(if exponent.is_zero() {
            super::value::one()
        } else if base.is_negative() && !odd {
            base.abs()
        } else {
            base.clone()
        });
    }
    let times = exponent
        .abs()
        .to_u32()
        .filter(|it| bits(base).saturating_sub(1).saturating_mul(u64::from(*it)) <= MOST_BITS);
    let Some(times) = times else {
        return Err(format!("this number has more than the {MOST_BITS} bits that are computed with"));
    };
    let power = BigRational::new_raw(base.numer().pow(times), base.denom().pow(times));
    Ok(if exponent.is_negative() { power.recip() } else { power })
}
