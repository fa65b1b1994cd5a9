//! Several graders in one case.

use eval::grade::written;
use rstest::rstest;

use crate::{check, grade, rubric};

#[rstest]
#[case(
    "{ number: 42, length: { max_words: 3 } }",
    "42",
    1.0,
    "number: found 42; length: all limits are kept"
)]
#[case("{ number: 42, length: { max_words: 3 } }", "43", 0.5, "number: wanted 42, found 43")]
#[case("{ number: { value: 42, weight: 3 }, length: { max_words: 3 } }", "43", 0.25, "")]
#[case("{ number: { value: 42, weight: 1e308 }, length: { max_words: 3, weight: 1e308 } }", "43", 0.5, "")]
#[case("{ contains: { any: [a], all: [b], weight: 2 }, exact: a }", "a", 2.0 / 3.0, "contains: `b` is missing")]
fn means(#[case] written: &str, #[case] answer: &str, #[case] score: f64, #[case] reason: &str) {
    check(written, answer, score, reason);
}

#[test]
fn the_answer_is_the_first_that_is_extracted() {
    assert_eq!(grade("{ length: { max_words: 9 }, number: 1 }", "it is 42").answer.as_deref(), Some("42"));
    assert_eq!(grade("exact: x", "  it is 42 ").answer.as_deref(), Some("it is 42"));
    assert_eq!(grade("exact: x", " ").answer, None);
    let long = grade("exact: x", &"é".repeat(300)).answer.unwrap();
    assert_eq!(long, "é".repeat(200) + "…");
}

#[rstest]
#[case("exact: a", "exact: { any: [a] }")]
#[case("exact: a", "exact: { any: ['  a '], weight: 2 }")]
#[case("number: 0.5", "number: { value: 1/2, tolerance: 0 }")]
#[case("number: 1,000", "number: 1e3")]
#[case("{ exact: a, number: 1 }", "{ number: 1, exact: a }")]
#[case("contains: A", "contains: { any: [a] }")]
#[case("choice: b", "choice: { answer: B, by: letter }")]
#[case("regex: '(a)'", "regex: { pattern: '(a)', group: 1 }")]
#[case("json: { schema: { a: 1, b: { c: 1, d: 2 } } }", "json: { schema: { b: { d: 2, c: 1 }, a: 1 } }")]
fn canonical_of_equal_rubrics(#[case] one: &str, #[case] other: &str) {
    assert_eq!(rubric(one).canonical(), rubric(other).canonical());
}

#[rstest]
#[case("exact: a", "exact: b")]
#[case("exact: a", "contains: a")]
#[case("number: 75", "number: 75%")]
#[case("number: 1", "number: { value: 1, tolerance: 1 }")]
#[case("{ exact: a, number: 1 }", "{ exact: { any: [a], weight: 2 }, number: 1 }")]
fn canonical_of_different_rubrics(#[case] one: &str, #[case] other: &str) {
    assert_ne!(rubric(one).canonical(), rubric(other).canonical());
}

#[rstest]
#[case("number: 42", "the number 42", &["42"])]
#[case("number: { value: 1/3, tolerance: 0.1 }", "the number 1/3 within 0.1", &["1/3"])]
#[case("exact: { any: [a, b, c] }", "the text `a`, `b` or `c`", &["a", "b", "c"])]
#[case("contains: { any: [a, b], all: [c], none: [d] }", "text with `a` or `b`, and `c`, without `d`", &["a", "b", "c"])]
#[case("contains: { none: [d] }", "text without `d`", &[])]
#[case("regex: { pattern: '(\\d)', equals: 4 }", "`4` as group 1 of the last match of `(\\d)`", &["4"])]
#[case("choice: b", "option B", &["B"])]
#[case("choice: { answer: B, options: { A: x, B: yes } }", "option B, `yes`", &["B", "yes"])]
#[case("json: { schema: true }", "JSON that satisfies the schema", &[])]
#[case("{ length: { min_words: 1, max_lines: 2 }, exact: a }", "the text `a`; at least 1 word, at most 2 lines", &["a"])]
fn wanted_and_targets(#[case] written: &str, #[case] wanted: &str, #[case] targets: &[&str]) {
    assert_eq!(rubric(written).wanted(), wanted);
    assert_eq!(rubric(written).targets(), targets);
}

#[test]
fn schema_accepts_what_is_read() {
    let schema = serde_json::to_value(schemars::schema_for!(written::Rubric)).unwrap();
    let validator = jsonschema::options().offline().build(&schema).unwrap();
    for (written, is_valid) in [
        ("exact: a", true),
        ("exact: { any: [a, 1] }", true),
        ("exact: { any: [] }", false),
        ("exact: { any: [a], wight: 1 }", false),
        ("number: 1/3", true),
        ("number: 42", true),
        ("number: { value: 42, tolerance: '0.5' }", true),
        ("number: { value: 42, tolerance: null }", false),
        ("choice: { answer: B, options: { A: x, B: y }, by: likelihood, normalise: byte }", true),
        ("choice: { answer: B, options: { A: x } }", false),
        ("choice: { answer: B, by: mail }", false),
        ("json: { schema: { type: object } }", true),
        ("length: {}", false),
        ("length: { max_words: 3 }", true),
        ("{}", false),
        ("numbr: 3", false),
    ] {
        let node = eval::yaml::parse(written).unwrap();
        let value: serde_json::Value = eval::yaml::read(&node).unwrap();
        assert_eq!(validator.is_valid(&value), is_valid, "{written}: {schema:#}");
    }
    let number = &schema["properties"]["number"];
    assert_eq!(number["description"], "The answer's final number is the value.", "{number:#}");
}

#[test]
fn grades_survive_storing() {
    let grade = grade("{ number: 42, exact: a }", "43");
    let stored = serde_json::to_string(&grade).unwrap();
    assert_eq!(serde_json::from_str::<eval::grade::Grade>(&stored).unwrap(), grade);
}
