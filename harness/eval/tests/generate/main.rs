//! Generated cases: the language, its mistakes, what it computes, and what is drawn.

mod families;
mod fields;
mod language;
mod properties;

use eval::generate::{Wrong, evaluate};

/// Steps enough for whatever is tried here.
const FUEL: u64 = 1_000_000;

fn value(text: &str) -> Result<String, Wrong> {
    value_within(text, FUEL)
}

/// The value, within so many steps.
fn value_within(text: &str, fuel: u64) -> Result<String, Wrong> {
    evaluate(text, &[], "test", fuel).map(|it| it.to_string())
}

/// The expression has this value.
#[track_caller]
fn gives(text: &str, wanted: &str) {
    assert_eq!(value(text).as_deref(), Ok(wanted), "{text}");
}

/// The expression is mistaken: the message, and what is underlined.
#[track_caller]
fn fails(text: &str, message: &str, underlined: &str) {
    let wrong = value(text).expect_err(text);
    assert_eq!((wrong.message.as_str(), &text[wrong.span]), (message, underlined), "{text}");
}
