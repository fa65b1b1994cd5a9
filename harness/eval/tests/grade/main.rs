//! Graders: what each of them makes of answers, and of mistakes in a case.
#![expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests leaves out the functions that they share"
)]

mod choice;
mod coherence;
mod json;
mod judge;
mod math;
mod mistakes;
mod number;
mod properties;
mod rubric;
mod sql;
mod steps;
mod text;

use eval::backend::Likelihood;
use eval::grade::{Evidence, Grade, Judgement, Rubric};
use eval::yaml;

#[track_caller]
fn rubric(written: &str) -> Rubric {
    let node = yaml::parse(written).unwrap();
    Rubric::read(&node).unwrap_or_else(|mistakes| panic!("{written}: {mistakes:?}"))
}

#[track_caller]
fn grade(written: &str, answer: &str) -> Grade {
    match rubric(written).grade(&Evidence { text: answer, likelihoods: &[], found: &[] }) {
        Judgement::Scored(grade) => grade,
        Judgement::Unscored(reason) => panic!("{written} of {answer:?} is unscored: {reason}"),
    }
}

#[track_caller]
fn check(written: &str, answer: &str, score: f64, reason: &str) {
    let grade = grade(written, answer);
    let context = format!("{written} of {answer:?}: {grade:?}");
    assert!((grade.score - score).abs() < 1e-12, "{context}");
    assert!(grade.reason.contains(reason), "{context}, wanted the reason {reason:?}");
}

fn likelihood(logprob: f64, tokens: u32) -> Likelihood {
    Likelihood { logprob, tokens, greedy: false }
}

/// The time that grading takes, in debug builds too, of an answer that is made to be slow.
#[track_caller]
fn check_fast(written: &str, answer: &str) {
    let rubric = rubric(written);
    let took = || {
        let start = std::time::SystemTime::now();
        let judgement = rubric.grade(&Evidence { text: answer, likelihoods: &[], found: &[] });
        assert!(matches!(judgement, Judgement::Scored(_)));
        start.elapsed().unwrap_or_default()
    };
    // Far above what it takes, far below what anything quadratic would take. A busy machine may be as slow once, but
    // hardly each time.
    let fastest = (0..5).map(|_| took()).find(|it| it.as_secs() < 5);
    assert!(fastest.is_some(), "{written} of {answer:.40}… takes 5 s or more");
}

/// A megabyte of each, made of what graders look for.
fn large_answers() -> Vec<String> {
    let pieces = [
        "1",
        "1,",
        "1.",
        "1 ",
        "-1",
        "1/",
        "1 / ",
        "1 1/2 ",
        "10^",
        "{",
        "}",
        "\\",
        "\\boxed{",
        "\\frac{1}{",
        "\\frac{",
        "$",
        "$5",
        "_",
        "_5",
        "____5",
        "answer is ",
        "answer: 1 = ",
        "####",
        "#### 1",
        "[",
        "[0,",
        "[[0],",
        "{\"a\":",
        "{\"a\":[0,",
        "\"",
        "```",
        "```json\n",
        "```json [1] ```",
        "A ",
        "A or ",
        "A is ",
        "A\n",
        "(A) ",
        "so A ",
        "not A ",
        "answer: A, B ",
        "Paris ",
        "Paris",
        "中A",
        "I ",
        "e5",
        "1e5",
        "½",
        "⁵",
        "10⁵",
        " ",
        "\n",
        "\u{a0}",
        "1\u{2009}",
        "a",
        "İ",
        "Σ",
        "-",
        "–5",
        "%",
        "5%",
        "x^{5} ",
        "\\[ $a$ ",
        "$1$ or ",
        "$a$, ",
        "\\( ",
        "1 or ",
        "1, or ",
        "not 1 ",
        "≠1",
        "cannot be the ",
        "answers are ",
        "= ",
        "\u{200b}",
        "\u{305}",
    ];
    let mut answers: Vec<String> = pieces.iter().map(|it| it.repeat((1 << 20) / it.len())).collect();
    answers.push("\\boxed{".repeat(70_000) + "5" + &"}".repeat(70_000));
    answers.push("\\boxed{".repeat(70_000) + "A" + &"}".repeat(70_000));
    answers.push("{".repeat(500_000) + &"}".repeat(500_000));
    answers.push("[".repeat(500_000) + &"]".repeat(500_000));
    answers.push("####".repeat(250_000) + "5");
    answers.push("\\frac{1".repeat(140_000) + &"}".repeat(140_000));
    answers
}

#[test]
fn no_answer_is_slow() {
    let rubrics = [
        "exact: { any: [x, y], ignore_case: true }",
        "contains: { any: [a a, 1 1], none: [zz], words: true }",
        "regex: '(\\d+)$'",
        "number: 42",
        "choice: B",
        "choice: { answer: B, options: { A: Paris, B: Rome, C: 'A', D: '1' } }",
        "json: { schema: { type: array, items: { type: string } } }",
        "length: { max_words: 10, max_chars: 10, max_lines: 10 }",
        "math: '\\frac{1}{2}'",
        "math: { value: '{1, 2, 3}', ordered: true }",
        "math: '\\text{Yes}'",
        "sql: { schema: 'CREATE TABLE t (a)', rows: [[1]] }",
        "steps: { of: [1, 5, x, answer], answer: 5 }",
        "coherence: {}",
    ];
    let answers = large_answers();
    for written in rubrics {
        for answer in &answers {
            check_fast(written, answer);
        }
    }
}
