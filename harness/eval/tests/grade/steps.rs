//! Steps.

use rstest::rstest;

use crate::{check, grade};

const TRAIN: &str = "steps: { of: [60, 90, carry the one, 3/2], answer: 150 }";

#[rstest]
#[case(
    "60 and 90, carry the one, 1.5. The answer is 150.",
    1.0,
    "4 of 4 steps in order, the first 4 without a gap; the right answer follows"
)]
#[case("60, 90. Carry the\nOne: \\frac{3}{2}. So 150", 1.0, "")]
#[case("60 and 90, carry the one, 1.5. The answer is 151.", 2.0 / 3.0, "the final answer is wrong")]
#[case("150", 0.0, "the final answer is right but follows no step")]
#[case("", 0.0, "0 of 4 steps")]
#[case("The answer is 150, as 60 and 90, carry the one, 1.5.", 0.0, "0 of 4 steps")]
#[case("60. The answer is 150", (0.25 + 0.25 + 1.0) / 3.0, "1 of 4 steps in order, the first 1 without a gap, `90` not found there")]
#[case("90, carry the one, 1.5 is 150", (0.75 + 0.0 + 1.0) / 3.0, "3 of 4 steps in order, the first 0 without a gap")]
#[case("1.5, carry the one, 90, 60, 150", (0.25 + 0.25 + 1.0) / 3.0, "1 of 4 steps")]
#[case("60, 1.5, 90, carry the one, 150", (0.75 + 0.75 + 1.0) / 3.0, "3 of 4 steps in order, the first 3")]
#[case("160, 900, carry the ones, 150", 0.0, "0 of 4 steps")]
#[case("6O, 9O, 150", 0.0, "0 of 4 steps")]
fn steps(#[case] answer: &str, #[case] score: f64, #[case] reason: &str) {
    check(TRAIN, answer, score, reason);
}

#[test]
fn a_list_of_numbers_derives_nothing() {
    let numbers: Vec<String> = (0..200).map(|it| it.to_string()).collect();
    check(
        "steps: { of: [60, 90, 120], answer: 150 }",
        &format!("{}. The answer is 150.", numbers.join(" ")),
        0.0,
        "derives nothing",
    );
}

#[test]
fn steps_alone() {
    check("steps: { of: [lock, read, unlock] }", "First lock, then read and unlock.", 1.0, "3 of 3");
    check("steps: { of: [lock, read, unlock] }", "Unlock, lock, read.", 2.0 / 3.0, "2 of 3");
    check("steps: { of: [1, 2], answer: done }", "1, then 2: Done. 3", 1.0, "the right answer follows");
    check("steps: { of: [1, 2], answer: done }", "1, then 2.", 2.0 / 3.0, "the final answer is wrong");
    check("steps: { of: [1, 2], answer: done }", "1, then 2, and it is not done.", 2.0 / 3.0, "is wrong");
    check("steps: { of: [1, 2], answer: 3 }", "1, then 2. The answer is 3 or 4.", 2.0 / 3.0, "is wrong");
    check("steps: { of: [1, 2], answer: 3 }", "1, then 2. The answer is not 3.", 1.0 / 3.0, "is wrong");
}

#[test]
fn shares_are_metrics() {
    let grade = grade(TRAIN, "60. The answer is 150");
    let metrics: Vec<(&str, f64)> = grade.metrics.iter().map(|it| (it.name.as_str(), it.value)).collect();
    assert_eq!(metrics, [("steps.recall", 0.25), ("steps.prefix", 0.25), ("steps.follows", 1.0)]);
}

#[rstest]
#[case("steps: {}", &["`of` is missing"])]
#[case("steps: { of: [] }", &["`of` is empty"])]
#[case("steps: { of: [1, ''] }", &["an empty text"])]
#[case("steps: [1, 2]", &["expected a mapping, found a list"])]
fn mistakes(#[case] written: &str, #[case] wanted: &[&str]) {
    crate::mistakes::check(written, wanted);
}
