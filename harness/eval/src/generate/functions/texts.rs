//! Text: how values are written.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Signed as _;

use super::Function;
use crate::generate::value::{Value, decimal};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "text(x)",
        what: "x as templates write it: `-3/4`, `[1, 2]`",
        run: |call| {
            let text = call.value(0).to_string();
            call.new_text(text)
        },
    },
    Function {
        form: "join(list, between)",
        what: "the items as text, with a text between them",
        run: |call| {
            let items: Vec<String> = call.list(0)?.iter().map(Value::to_string).collect();
            let between = call.text(1)?;
            call.pay((items.len() * between.len()) as u64 / 8)?;
            call.new_text(items.join(&between))
        },
    },
    Function {
        form: "series(list, word?)",
        what: "the items in a sentence: `a, b and c`; with another word than `and`, if one is given",
        run: |call| {
            let items: Vec<String> = call.list(0)?.iter().map(Value::to_string).collect();
            let word = if call.len() > 1 { call.text(1)? } else { "and".to_owned() };
            call.new_text(series(&items, &word))
        },
    },
    Function {
        form: "lines(list)",
        what: "the items as text, one a line",
        run: |call| {
            let items: Vec<String> = call.list(0)?.iter().map(Value::to_string).collect();
            call.new_text(items.join("\n"))
        },
    },
    Function {
        form: "rows(matrix)",
        what: "a line for each row, its items with a space between them",
        run: |call| {
            let text = rows(call.value(0)).ok_or_else(|| call.wrong(0, "expected a list of lists"))?;
            call.new_text(text)
        },
    },
    Function {
        form: "letters(text)",
        what: "the characters of a text, as a list",
        run: |call| {
            let letters: Vec<Value> = call.text(0)?.chars().map(|it| Value::text(it.to_string())).collect();
            call.new_list(letters)
        },
    },
    Function {
        form: "letter(i)",
        what: "the letter at place i, from 0: `A` to `Z`",
        run: |call| {
            let at = call.count(0, 25)?;
            call.new_text(char::from(b'A' + u8::try_from(at).unwrap_or(0)).to_string())
        },
    },
    Function {
        form: "upper(text)",
        what: "with capital letters",
        run: |call| {
            let text = call.text(0)?.to_uppercase();
            call.new_text(text)
        },
    },
    Function {
        form: "lower(text)",
        what: "with small letters",
        run: |call| {
            let text = call.text(0)?.to_lowercase();
            call.new_text(text)
        },
    },
    Function {
        form: "split(text, between)",
        what: "the parts between a text that is not empty",
        run: |call| {
            let (text, between) = (call.text(0)?, call.text(1)?);
            if between.is_empty() {
                return Err(call.wrong(1, "nothing can stand between parts: `letters` takes a text apart"));
            }
            call.new_list(text.split(&between).map(Value::text).collect())
        },
    },
    Function {
        form: "replace(text, old, new)",
        what: "the text with `new` for every `old`",
        run: |call| {
            let (text, old, new) = (call.text(0)?, call.text(1)?, call.text(2)?);
            if old.is_empty() {
                return Err(call.wrong(1, "nothing cannot be replaced"));
            }
            let times = text.matches(&old).count();
            call.pay((times * new.len()) as u64 / 8)?;
            if times * new.len() > crate::generate::evaluate::LONGEST_TEXT {
                return Err(call.fails("this text is too long"));
            }
            call.new_text(text.replace(&old, &new))
        },
    },
    Function {
        form: "padded(x, width)",
        what: "x as text, with spaces before it up to a width of characters",
        run: |call| {
            let (text, width) = (call.value(0).to_string(), call.count(1, 1_000)?);
            call.new_text(format!("{text:>width$}"))
        },
    },
    Function {
        form: "decimal(x, digits)",
        what: "x with so many digits after the point, as text; halves are rounded away from zero",
        run: |call| {
            let (x, digits) = (call.number(0)?, call.count(1, 100)?);
            call.new_text(decimal(&x, digits))
        },
    },
    Function {
        form: "percent(x, digits?)",
        what: "100 x and a percent sign, with so many digits after the point, 0 unless given",
        run: |call| {
            let digits = if call.len() > 1 { call.count(1, 100)? } else { 0 };
            let hundredfold = call.number(0)? * BigRational::from_integer(BigInt::from(100));
            call.new_text(format!("{}%", decimal(&hundredfold, digits)))
        },
    },
    Function {
        form: "thousands(n)",
        what: "a whole number with a comma between groups of three digits",
        run: |call| {
            let n = call.integer(0)?;
            call.new_text(thousands(&n))
        },
    },
    Function {
        form: "counted(n, noun, many?)",
        what: "`1 node`, `2 nodes`; with another plural than noun + s, if one is given",
        run: |call| {
            let (n, noun) = (call.number(0)?, call.text(1)?);
            let many = if call.len() > 2 { call.text(2)? } else { format!("{noun}s") };
            let word = if n == super::super::value::one() { noun } else { many };
            call.new_text(format!("{} {word}", Value::Number(n)))
        },
    },
    Function {
        form: "ordinal(n)",
        what: "`1st`, `2nd`, `3rd`, `4th`, for n from 0",
        run: |call| {
            let n = call.count(0, 1_000_000)?;
            call.new_text(ordinal(n))
        },
    },
];

/// Items in a sentence.
pub(in crate::generate) fn series(items: &[String], word: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} {word} {last}", most.join(", ")),
    }
}

/// A line for each row; `None` for what is no list of lists.
pub(in crate::generate) fn rows(value: &Value) -> Option<String> {
    let Value::List(rows) = value else { return None };
    let rows = rows.iter().map(|row| match row {
        Value::List(row) => Some(row.iter().map(Value::to_string).collect::<Vec<_>>().join(" ")),
        _ => None,
    });
    rows.collect::<Option<Vec<_>>>().map(|it| it.join("\n"))
}

/// With a comma between groups of three digits.
pub(in crate::generate) fn thousands(n: &BigInt) -> String {
    let digits = n.abs().to_string();
    let first = digits.len() % 3;
    let mut groups: Vec<&str> = if first > 0 { vec![&digits[..first]] } else { Vec::new() };
    groups.extend((first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
    format!("{}{}", if n.is_negative() { "-" } else { "" }, groups.join(","))
}

/// A number and its ending.
pub(in crate::generate) fn ordinal(n: usize) -> String {
    let ending = match (n % 100, n % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}
