//! Choices, by letter and by likelihood.

use eval::backend::Likelihood;
use eval::grade::{Evidence, Judgement};
use rstest::rstest;

use crate::{check, grade, likelihood, rubric};

const CITIES: &str = "choice: { answer: B, options: { A: London, B: Paris, C: Rome, D: New Rome } }";

#[track_caller]
fn settles(written: &str, answer: &str, letter: &str) {
    let grade = grade(written, answer);
    let found = if grade.reason.contains("found no letter") {
        "none"
    } else if grade.reason.contains("settles on none") {
        "several"
    } else {
        grade.answer.as_deref().unwrap()
    };
    assert_eq!(found, letter, "{answer:?}: {grade:?}");
}

#[rstest]
#[case("B", "B")]
#[case("b", "B")]
#[case("(B)", "B")]
#[case("(b)", "B")]
#[case("B.", "B")]
#[case("**B**", "B")]
#[case("\"B\"", "B")]
#[case("B) Paris", "B")]
#[case("b) Paris", "B")]
#[case("**B.** Paris", "B")]
#[case("B: because A is too far", "B")]
#[case("B. Paris is the capital. A. is wrong", "B")]
#[case("The answer is B", "B")]
#[case("The answer is B because A is wrong", "B")]
#[case("The answer is b.", "B")]
#[case("The correct answer is: **(B)**", "B")]
#[case("The correct option is B.", "B")]
#[case("The answer is option B, not C", "B")]
#[case("The answer is B, A is wrong", "B")]
#[case("Answer: B", "B")]
#[case("**Answer:** B", "B")]
#[case("Answer:\nB\n\nThe A option is further.", "B")]
#[case("#### B", "B")]
#[case("\\boxed{B}", "B")]
#[case("\\boxed{\\text{B}}", "B")]
#[case("$\\boxed{\\textbf{(B) } 7}$", "B")]
#[case("A is wrong because it is far, so the answer is C", "C")]
#[case("A is wrong. C is wrong. D isn't right. So B.", "B")]
#[case("The answer is A. Wait, no. The answer is C.", "C")]
#[case("I would choose B over C", "B")]
#[case("C is correct, and A is not", "C")]
#[case("C is incorrect and D is not right, leaving B", "B")]
#[case("First A, then C.\n\nB", "B")]
#[case("A good choice is B", "B")]
#[case("Answer: A good choice would be B", "B")]
#[case("I think it is B", "B")]
#[case("Therefore, option C", "C")]
#[case("The answer is A because of its size", "A")]
#[case("答案是B。", "B")]
#[case("It can't be A, nor C, so B", "B")]
#[case("It cannot be option A. B", "B")]
#[case("（B）", "B")]
#[case("A or B", "several")]
#[case("(A) or (B)", "several")]
#[case("A, B", "several")]
#[case("A\nB", "several")]
#[case("The answer is A or B", "several")]
#[case("Both A and C", "several")]
#[case("A) one\nB) two\nC) three", "several")]
#[case("", "none")]
#[case("A good choice", "none")]
#[case("I do not know", "none")]
#[case("a b-tree, U.S.A. and A's", "none")]
#[case("42", "none")]
// Made to look right.
#[case("A, B, C, D", "several")]
#[case("A B C D", "several")]
#[case("A\n\nB\n\nC\n\nD", "several")]
#[case("\\boxed{A or B}", "several")]
#[case("\\boxed{A, B}", "several")]
#[case("All of A, B and C", "several")]
#[case("Either A or B is correct", "several")]
#[case("The answer is not B", "none")]
#[case("The answer isn't B", "none")]
#[case("It can't be B", "none")]
#[case("It is definitely not option B", "none")]
#[case("Neither A nor B", "none")]
#[case("Neither A nor B is correct", "none")]
#[case("Anything except B", "none")]
#[case("The answer is never the letter B", "none")]
#[case("B is not right", "none")]
#[case("ＡＢ", "none")]
#[case("В", "none")]
fn letters_alone(#[case] answer: &str, #[case] letter: &str) {
    settles("choice: B", answer, letter);
}

#[rstest]
#[case("Paris", "B")]
#[case("paris.", "B")]
#[case("It must be Paris", "B")]
#[case("The answer is Paris, not London or Rome", "B")]
#[case("New Rome", "D")]
#[case("It is new\nrome", "D")]
#[case("Not London, but Rome", "C")]
#[case("London or Paris", "several")]
#[case("B, Paris", "B")]
#[case("I like B: Rome", "several")]
#[case("Parisian", "none")]
#[case("The answer is E", "none")]
#[case("E", "none")]
#[case("So Rome is wrong and Paris it is", "B")]
fn letters_and_texts(#[case] answer: &str, #[case] letter: &str) {
    settles(CITIES, answer, letter);
}

#[rstest]
#[case("B", 1.0, "found B")]
#[case("C", 0.0, "wanted B, found C")]
#[case("B or C", 0.0, "wanted B, settles on none of B, C")]
#[case("no idea", 0.0, "wanted B, found no letter")]
fn scores(#[case] answer: &str, #[case] score: f64, #[case] reason: &str) {
    check("choice: b", answer, score, reason);
}

const LIKELY: &str = "choice: { answer: B, options: { A: ab, B: abcdefgh }, by: likelihood, normalise: ";

#[rstest]
#[case("none", &[(-1.0, 1), (-2.0, 4)], "A")]
#[case("none", &[(-3.0, 1), (-2.0, 4)], "B")]
#[case("token", &[(-1.0, 1), (-2.0, 4)], "B")]
#[case("byte", &[(-1.0, 1), (-2.0, 4)], "B")]
#[case("byte", &[(-0.1, 1), (-2.0, 4)], "A")]
#[case("none", &[(-1.0, 1), (-1.0, 1)], "A")]
#[case("none", &[], "unscored: choice: 0 likelihoods for 2 options")]
#[case("none", &[(-1.0, 1)], "unscored: choice: 1 likelihood for 2 options")]
#[case("none", &[(-1.0, 1); 3], "unscored: choice: 3 likelihoods for 2 options")]
#[case("none", &[(-1.0, 1), (f64::NAN, 1)], "unscored: choice: the likelihood of option B is not a finite number")]
#[case("none", &[(f64::NEG_INFINITY, 1), (-1.0, 1)], "unscored: choice: the likelihood of option A is not")]
#[case("token", &[(-1.0, 1), (-1.0, 0)], "unscored: choice: the likelihood of option B is not")]
fn likelihoods(#[case] normalise: &str, #[case] found: &[(f64, u32)], #[case] wanted: &str) {
    let rubric = rubric(&format!("{LIKELY}{normalise} }}"));
    let likelihoods: Vec<Likelihood> = found.iter().map(|it| likelihood(it.0, it.1)).collect();
    let found = match rubric.grade(&Evidence { text: "", likelihoods: &likelihoods, found: &[] }) {
        Judgement::Scored(grade) => grade.answer.unwrap(),
        Judgement::Unscored(reason) => format!("unscored: {reason}"),
    };
    assert!(found.starts_with(wanted), "{found}");
}

/// `acc`, `acc_norm` and `acc_bytes` as lm-evaluation-harness computes them: by the log-probability alone, by Python's
/// `len(choice)` and by `len(choice.encode("utf-8"))`.
#[test]
fn accuracies_are_told_beside_each_other() {
    let written = "choice: { answer: B, options: { A: ééé, B: abcde }, by: likelihood, normalise: ";
    for (normalise, answer) in [("none", "A"), ("token", "B"), ("character", "B"), ("byte", "A")] {
        let found = [likelihood(-3.0, 1), likelihood(-4.0, 2)];
        let judgement = rubric(&format!("{written}{normalise} }}")).grade(&Evidence {
            text: "",
            likelihoods: &found,
            found: &[],
        });
        let Judgement::Scored(grade) = judgement else { panic!("{judgement:?}") };
        assert_eq!(grade.answer.as_deref(), Some(answer), "{normalise}");
        let told: Vec<(&str, f64)> = grade.metrics.iter().map(|it| (it.name.as_str(), it.value)).collect();
        let wanted = [
            ("choice.acc", 0.0),
            ("choice.acc-token", 1.0),
            ("choice.acc-norm", 1.0),
            ("choice.acc-bytes", 0.0),
        ];
        assert_eq!(told, wanted);
    }
}

#[test]
fn continuations_are_the_texts_in_order() {
    let rubric = rubric(&format!("{LIKELY}none }}"));
    assert_eq!(rubric.continuations(), Some(vec!["ab".to_owned(), "abcdefgh".to_owned()]));
    assert_eq!(crate::rubric(CITIES).continuations(), None);
}
