//! Filters of templates: how exact values are written.

use minijinja::{Environment, Error, ErrorKind, Value as Foreign};
use num_bigint::BigInt;
use num_rational::BigRational;

use super::functions::texts;
use super::value::{Value, decimal, exact, index};

/// Adds the filters.
pub(crate) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("decimal", |value: Foreign, digits: usize| {
        number(&value).map(|it| decimal(&it, digits.min(100)))
    });
    environment.add_filter("percent", |value: Foreign, digits: Option<usize>| {
        let hundred = BigRational::from_integer(BigInt::from(100));
        number(&value).map(|it| format!("{}%", decimal(&(it * hundred), digits.unwrap_or(0).min(100))))
    });
    environment.add_filter("thousands", |value: Foreign| {
        number(&value).map(|it| texts::thousands(&it.to_integer()))
    });
    environment.add_filter("ordinal", |value: Foreign| {
        let n = index(&number(&value)?).ok_or_else(|| wrong("expected a whole number from 0"))?;
        Ok::<_, Error>(texts::ordinal(n))
    });
    environment.add_filter("counted", |value: Foreign, noun: &str, many: Option<&str>| {
        let word = if number(&value)? == super::value::one() {
            noun.to_owned()
        } else {
            many.map_or_else(|| format!("{noun}s"), str::to_owned)
        };
        Ok::<_, Error>(format!("{value} {word}"))
    });
    environment.add_filter("series", |value: Foreign, word: Option<&str>| {
        let items: Vec<String> = value.try_iter()?.map(|it| it.to_string()).collect();
        Ok::<_, Error>(texts::series(&items, word.unwrap_or("and")))
    });
    environment.add_filter("rows", |value: Foreign| {
        let rows = exact(&value).and_then(|it| texts::rows(&it));
        rows.ok_or_else(|| wrong("expected a list of lists"))
    });
}

fn number(value: &Foreign) -> Result<BigRational, Error> {
    match exact(value) {
        Some(Value::Number(number)) => Ok(number),
        _ => Err(wrong(format!("expected a number, found {}", value.kind()))),
    }
}

fn wrong(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
