//! What holds of every answer and every number.

use eval::grade::{Evidence, Judgement, Rubric};
use proptest::prelude::*;

use crate::{check, rubric};

fn separated(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const ALL: [&str; 13] = [
    "exact: { any: [a, b c], ignore_case: true }",
    "contains: { any: [a, b], all: [c d], none: [e], words: true }",
    "regex: { pattern: '(\\w+) (\\w*)', group: 2, equals: x }",
    "number: { value: 75%, tolerance: 0.5 }",
    "choice: { answer: B, options: { A: one, B: two (2), C: '3' } }",
    "choice: C",
    "json: { schema: { type: object, required: [a] } }",
    "length: { min_words: 2, max_chars: 9, max_lines: 2 }",
    "math: { value: '\\frac{1}{2}, x', simplified: true }",
    "math: '(1, 2]'",
    "sql: { schema: 'CREATE TABLE a (b)', rows: [[1]] }",
    "steps: { of: [1, 42, one], answer: 10 }",
    "coherence: { language: de }",
];

/// Text out of what graders look for.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "0",
        "1",
        "42",
        ",",
        ".",
        "/",
        "-",
        "−",
        "–",
        "+",
        "^",
        "**",
        "e",
        "E",
        "x",
        "×",
        "\\times",
        "10",
        "\\frac",
        "{",
        "}",
        "\\boxed{",
        "$",
        "%",
        "\\%",
        " ",
        "\u{a0}",
        "\u{2009}",
        "\n",
        "½",
        "³",
        "⁻",
        "√",
        "π",
        "answer is ",
        "answer:",
        "####",
        "A",
        "B",
        "C",
        "a",
        "b",
        "(",
        ")",
        "is wrong",
        " or ",
        "so ",
        "not ",
        "two (2)",
        "one",
        "```",
        "```json",
        "[",
        "]",
        "\"",
        ":",
        "\\",
        "_",
        "'",
        "é",
        "中",
        "İ",
        "\u{0}",
        "😀",
        "=",
        "\\sqrt",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|it| it.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn integers_round_trip(number: i64, spaced in any::<bool>()) {
        let sign = if number < 0 { "-" } else { "" };
        let mut text = format!("{sign}{}", separated(number.unsigned_abs()));
        if spaced {
            text = text.replace(',', "\u{202f}");
        }
        check(&format!("number: {number}"), &format!("It is {text}."), 1.0, &text);
    }

    #[test]
    fn fractions_round_trip(top in -1_000_000_i64..1_000_000, bottom in 1_u32..1_000_000, common in 1_i64..1000) {
        let written = format!("number: \"{top}/{bottom}\"");
        let (more, below) = (top * common, i64::from(bottom) * common);
        check(&written, &format!("{more}/{below}"), 1.0, "");
        let sign = if top < 0 { "-" } else { "" };
        check(&written, &format!("$\\boxed{{{sign}\\frac{{{}}}{{{below}}}}}$ (1)", more.abs()), 1.0, "");
        check(&written, &format!("{}/{bottom}", top + 1), 0.0, "");
    }

    #[test]
    fn decimals_round_trip(number in -1e15..1e15_f64, exponent in -30..30_i32) {
        check(&format!("number: {number:?}"), &format!("{number}"), 1.0, "");
        check(&format!("number: '{number}e{exponent}'"), &format!("{number} \\times 10^{{{exponent}}}"), 1.0, "");
    }

    #[test]
    fn tolerances_are_inclusive(value in -1_000_000_i64..1_000_000, tolerance in 0_i64..1_000_000, digits in 0_usize..7) {
        let shown = |it: i64| format!("{it}e-{digits}");
        let written = format!("number: {{ value: '{}', tolerance: '{}' }}", shown(value), shown(tolerance));
        check(&written, &shown(value + tolerance), 1.0, "");
        check(&written, &shown(value - tolerance), 1.0, "");
        check(&written, &shown(value + tolerance + 1), 0.0, "");
        check(&written, &shown(value - tolerance - 1), 0.0, "");
    }

    #[test]
    fn every_answer_gets_a_grade(text in prop_oneof![any::<String>(), hostile()]) {
        for written in ALL {
            let Judgement::Scored(grade) = rubric(written).grade(&Evidence { text: &text, likelihoods: &[], found: &[] }) else {
                panic!("{written} of {text:?}");
            };
            prop_assert!((0.0..=1.0).contains(&grade.score));
            prop_assert!(grade.reason.chars().count() < 600, "{}", grade.reason);
            prop_assert!(grade.answer.is_none_or(|it| it.chars().count() <= 201));
        }
    }

    #[test]
    fn equal_rubrics_have_equal_text(
        text in "[a-z]{1,5}( [a-z]{1,5})?",
        number in -1000_i32..1000,
        weight in 1..9_u32,
        swapped: bool,
    ) {
        let one = format!("exact: {{ any: ['{text}'], weight: {weight} }}");
        let other = format!("number: {{ value: {number}, weight: {weight}.0 }}");
        let written = if swapped { format!("{{ {other}, {one} }}") } else { format!("{{ {one}, {other} }}") };
        let plain = format!("{{ exact: {{ any: [' {text}  '], weight: '{weight}' }}, number: {{ value: '{number}.0', weight: {weight} }} }}");
        prop_assert_eq!(rubric(&written).canonical(), rubric(&plain).canonical());
    }

    #[test]
    fn no_yaml_panics(text in "\\PC{0,40}") {
        for key in [
            "exact", "contains", "regex", "number", "choice", "json", "length", "math", "sql", "steps", "coherence", "perplexity",
            "judge",
        ] {
            if let Ok(node) = eval::yaml::parse(&format!("{key}: {text}")) {
                let _ = Rubric::read(&node);
            }
        }
    }
}
