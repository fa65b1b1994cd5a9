//! Values: calls as they are written, and what is the same.

use proptest::prelude::*;
use rstest::rstest;
use sandbox::judge::plain::Plain;
use sandbox::judge::{Call, Wanted};

fn value(text: &str) -> Plain {
    Plain::read(text).unwrap_or_else(|mistake| panic!("{text}: {mistake:?}"))
}

#[rstest]
#[case("None", "None")]
#[case("True", "True")]
#[case("-0", "0")]
#[case("1_000", "1000")]
#[case("-340282366920938463463374607431768211455", "-340282366920938463463374607431768211455")]
#[case("340282366920938463463374607431768211456", "0x100000000000000000000000000000000")]
#[case("1.", "1.0")]
#[case(".5", "0.5")]
#[case("-2e3", "-2000.0")]
#[case("float('-inf')", "-inf")]
#[case("-inf", "-inf")]
#[case("nan", "nan")]
#[case("'it\\'s'", "\"it's\"")]
#[case("\"\\u00e9\\n\"", "\"é\\n\"")]
#[case("b'\\x00a'", "b\"\\x00a\"")]
#[case("[1, [2], ]", "[1, [2]]")]
#[case("()", "()")]
#[case("(1)", "1")]
#[case("(1,)", "(1,)")]
#[case("(1, 'a')", "(1, \"a\")")]
#[case("{1, 2}", "{1, 2}")]
#[case("set()", "set()")]
#[case("frozenset({1})", "frozenset([1])")]
#[case("{}", "{}")]
#[case("{'a': 1, (1, 2): [None]}", "{\"a\": 1, (1, 2): [None]}")]
fn literals(#[case] written: &str, #[case] shown: &str) {
    assert_eq!(value(written).to_string(), shown);
}

#[rstest]
#[case("", "expected a value", 0)]
#[case("a", "`a` is no literal", 0)]
#[case("[1, b]", "`b` is no literal", 4)]
#[case("[1 2]", "expected `]`", 3)]
#[case("[1", "expected `]`", 2)]
#[case("'a", "does not end", 0)]
#[case("'\\q'", "a backslash", 0)]
#[case("1x", "does not end", 1)]
#[case("1 2", "expected the end", 2)]
#[case("{1: 2, 3}", "expected `:`", 8)]
#[case("float(1)", "no literal of `float`", 0)]
#[case("--1", "expected a number", 0)]
fn no_literals(#[case] written: &str, #[case] message: &str, #[case] at: usize) {
    let mistake = Plain::read(written).unwrap_err();
    assert!(mistake.message.contains(message) && mistake.at == at, "{mistake:?}");
}

#[test]
fn brackets_have_an_end() {
    let deep = "[".repeat(100_000);
    assert!(Plain::read(&deep).unwrap_err().message.contains("too deep"));
    assert!(Plain::read(&"9".repeat(100_000)).is_err());
}

#[rstest]
#[case("f() == 1", "f", 0, 0)]
#[case("f(1, [2], key=3)==None", "f", 2, 1)]
#[case(" f ( 'a)' , ) == {'=='} ", "f", 1, 0)]
fn calls(#[case] written: &str, #[case] function: &str, #[case] arguments: usize, #[case] named: usize) {
    let call = Call::read(written).unwrap();
    assert_eq!(
        (call.function.as_str(), call.arguments.len(), call.named.len()),
        (function, arguments, named)
    );
}

#[rstest]
#[case("f", "expected `(`")]
#[case("f(1", "expected `)`")]
#[case("f(1)", "expected `==`")]
#[case("f(1) = 2", "expected `==`")]
#[case("f(a=1, 2) == 3", "without a name")]
#[case("f(1) == 2 == 3", "expected the end")]
#[case("2 == f(1)", "expected the name of a function")]
#[case("f(1) raises", "expected `==`")]
#[case("f(g(1)) == 2", "`g` is no literal")]
fn no_calls(#[case] written: &str, #[case] message: &str) {
    let mistake = Call::read(written).unwrap_err();
    assert!(mistake.message.contains(message), "{mistake:?}");
}

#[test]
fn a_call_may_raise() {
    let call = Call::read("f(1) raises ValueError").unwrap();
    assert_eq!(call.wanted, Wanted::Raises("ValueError".to_owned()));
}

#[rstest]
#[case("1", "1", true)]
#[case("1", "1.0", false)]
#[case("1", "True", false)]
#[case("0", "False", false)]
#[case("0.0", "-0.0", true)]
#[case("nan", "nan", true)]
#[case("nan", "0.0", false)]
#[case("inf", "inf", true)]
#[case("inf", "1e308", false)]
#[case("[1]", "(1,)", false)]
#[case("[1, 2]", "[2, 1]", false)]
#[case("{1, 2}", "{2, 1}", true)]
#[case("{1}", "{1.0}", false)]
#[case("{1}", "frozenset({1})", false)]
#[case("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}", true)]
#[case("{'a': 1}", "{'a': True}", false)]
#[case("{1: 0}", "{True: 0}", false)]
#[case("'a'", "b'a'", false)]
#[case("None", "0", false)]
fn same(#[case] a: &str, #[case] b: &str, #[case] wanted: bool) {
    assert_eq!(value(a).is(&value(b), 0.0), wanted);
    assert_eq!(value(b).is(&value(a), 0.0), wanted);
}

#[rstest]
#[case("0.1", "0.1000001", 1e-6, true)]
#[case("1000001.0", "1000000.0", 1e-6, true)]
#[case("1000002.0", "1000000.0", 1e-6, false)]
#[case("nan", "1.0", 1e9, false)]
#[case("inf", "1.0", 1e9, false)]
#[case("1", "1.0", 1e9, false)]
#[case("[{'a': 0.5}]", "[{'a': 0.5000001}]", 1e-6, true)]
fn near(#[case] a: &str, #[case] b: &str, #[case] tolerance: f64, #[case] wanted: bool) {
    assert_eq!(value(a).is(&value(b), tolerance), wanted);
}

proptest! {
    #[test]
    fn reading_ends_for_any_text(text in "\\PC{0,40}") {
        drop(Plain::read(&text));
        drop(Call::read(&text));
        drop(Call::read(&format!("f({text}) == {text}")));
    }

    #[test]
    fn integers_are_what_they_are(number in any::<i128>()) {
        prop_assert_eq!(value(&number.to_string()).to_string(), number.to_string());
    }

    #[test]
    fn what_is_shown_reads_the_same(numbers in prop::collection::vec(any::<f64>(), 0..5), text in "[a-z'\\\\\"]{0,9}") {
        let floats = Plain::List(numbers.into_iter().map(Plain::Float).collect());
        let tuple = Plain::Tuple(vec![floats, Plain::Text(text)]);
        prop_assert!(value(&tuple.to_string()).is(&tuple, 0.0));
    }
}
