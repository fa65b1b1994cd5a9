//! Coherence and perplexity.

use eval::backend::Likelihood;
use eval::grade::{Evidence, Found, Grade, Inquiry, Judgement};
use rstest::rstest;

use crate::{check, grade, rubric};

#[track_caller]
fn metric(grade: &Grade, name: &str) -> f64 {
    grade.metrics.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("{name} of {grade:?}")).value
}

#[rstest]
#[case("The lock is held by one thread at a time, so no other can read half of a change.", 1.0)]
#[case("Paris", 1.0)]
#[case("", 0.0)]
#[case("!!! ???", 0.0)]
#[case("The lock is held by one thread at a time, so no other can read half of a", 0.75)]
#[case("Use this:\n```rust\nlet a = 1; let a = 1; let a = 1;\n```", 1.0)]
#[case("Use this one here:\n```rust\nlet a = 1;", 0.75)]
#[case("Steps to take now:\n1. Lock it\n2. Read it", 1.0)]
#[case("| a | b | c | d |\n|---|---|---|---|\n| 1 | 2 | 3 | 4 |", 1.0)]
#[case("我们先取得锁，然后再读取数据。", 0.0)]
#[case(
    "Die Sperre ist nicht frei und der Faden wird auf die anderen warten, die von der Sperre auch nicht lassen.",
    0.0
)]
fn scores(#[case] answer: &str, #[case] score: f64) {
    check("coherence: {}", answer, score, "");
}

#[rstest]
#[case("zh", "我们先取得锁，然后再读取数据。", 1.0)]
#[case(
    "de",
    "Die Sperre ist nicht frei und der Faden wird auf die anderen warten, die von der Sperre auch nicht lassen.",
    1.0
)]
#[case("ru", "Замок держит один поток.", 1.0)]
#[case("ru", "The lock is held by one.", 0.0)]
#[case("ja", "ロックを取ります。", 1.0)]
fn languages(#[case] language: &str, #[case] answer: &str, #[case] score: f64) {
    check(&format!("coherence: {{ language: {language} }}"), answer, score, "");
}

#[test]
fn a_loop_is_nothing() {
    let grade = grade("coherence: {}", &"and then it goes on ".repeat(60));
    assert!(grade.score < 0.001, "{grade:?}");
    assert!(metric(&grade, "coherence.repeated") > 0.95);
    assert!(metric(&grade, "coherence.distinct-2") < 0.05);
    // Five words a round: five different runs of four among 297.
    assert!((metric(&grade, "coherence.repeated") - (1.0 - 5.0 / 297.0)).abs() < 1e-12);
    assert!((metric(&grade, "coherence.distinct-1") - 5.0 / 300.0).abs() < 1e-12);
}

#[test]
fn a_change_of_language_is_a_share() {
    let english = "the lock is held by one thread and this is what the others wait for when it is not free ";
    let german = "die Sperre ist nicht frei und der Faden wird auf die anderen warten die von der Sperre nicht lassen können ";
    let grade = grade("coherence: {}", &format!("{english}{german}."));
    assert!((metric(&grade, "coherence.drift") - 0.5).abs() < 0.02, "{grade:?}");
    let names =
        grade_of("It is written by Владимир and 张伟 in the θ system of two lines of code that are fine.");
    assert!(metric(&names, "coherence.drift") < 0.2, "{names:?}");
}

fn grade_of(text: &str) -> Grade {
    grade("coherence: {}", text)
}

fn likely(logprob: f64, tokens: u32) -> Likelihood {
    Likelihood { logprob, tokens, greedy: false }
}

#[test]
fn a_reference_model_is_asked() {
    let rubric = rubric("coherence: { perplexity: { model: small, at_most: 10 } }");
    assert_eq!(rubric.models(), ["small"]);
    assert_eq!(
        rubric.inquiries("A lock."),
        [Inquiry::Read { model: "small".to_owned(), text: "A lock.".to_owned() }]
    );
    assert_eq!(rubric.inquiries(" !"), []);
    let score = |logprob: f64, tokens: u32| {
        let found = [Found::Read(likely(logprob, tokens))];
        rubric.grade(&Evidence { text: "A lock.", likelihoods: &[], found: &found })
    };
    let Judgement::Scored(grade) = score(-3.0 * 20_f64.ln(), 3) else { panic!("unscored") };
    assert!((grade.score - 0.5).abs() < 1e-12, "{grade:?}");
    assert!((metric(&grade, "coherence.perplexity") - 20.0).abs() < 1e-9);
    let Judgement::Scored(grade) = score(-3.0 * 5_f64.ln(), 3) else { panic!("unscored") };
    assert!((grade.score - 1.0).abs() < 1e-12, "{grade:?}");
    for (logprob, tokens) in [(f64::NAN, 3), (f64::NEG_INFINITY, 3), (0.0, 0), (f64::INFINITY, 1)] {
        assert!(matches!(score(logprob, tokens), Judgement::Unscored(_)), "{logprob} {tokens}");
    }
    let nothing = rubric.grade(&Evidence { text: "A lock.", likelihoods: &[], found: &[] });
    assert!(matches!(nothing, Judgement::Unscored(_)));
}

#[track_caller]
fn perplexity(written: &str, prompt: &str, found: &[Likelihood]) -> Result<Grade, String> {
    match rubric(written).grade(&Evidence { text: prompt, likelihoods: found, found: &[] }) {
        Judgement::Scored(grade) => Ok(grade),
        Judgement::Unscored(reason) => Err(reason),
    }
}

/// As lm-evaluation-harness computes them: by `re.split(r"\s+", text)` and `len(text.encode("utf-8"))`.
#[test]
fn perplexities_as_defined() {
    // Four words, 20 bytes, five tokens, 12 nats.
    let grade =
        perplexity("perplexity: { at_most: 21 }", "Das Schloß ist frei", &[likely(-12.0, 5)]).unwrap();
    let close = |name: &str, value: f64| {
        assert!((metric(&grade, &format!("perplexity.{name}")) - value).abs() < 1e-9, "{name}: {grade:?}");
    };
    close("word-perplexity", (12.0_f64 / 4.0).exp());
    close("byte-perplexity", (12.0_f64 / 20.0).exp());
    close("perplexity", (12.0_f64 / 5.0).exp());
    close("bits-per-byte", 12.0 / 20.0 / std::f64::consts::LN_2);
    assert!((grade.score - 1.0).abs() < 1e-12);
}

#[rstest]
#[case("{ at_most: 20.1 }", 1.0)]
#[case("{ at_most: 20 }", 0.0)]
#[case("{ at_most: 11.1, per: token }", 1.0)]
#[case("{ at_most: 11, per: token }", 0.0)]
#[case("{ at_most: 1.83, per: byte }", 1.0)]
#[case("{ bits_per_byte: 0.87 }", 1.0)]
#[case("{ bits_per_byte: 0.86 }", 0.0)]
#[case("{ at_most: 20.1, bits_per_byte: 0.86 }", 0.0)]
#[case("{ text: 'Das Schloß ist frei', at_most: 20.1 }", 1.0)]
fn limits(#[case] written: &str, #[case] score: f64) {
    let grade =
        perplexity(&format!("perplexity: {written}"), "Das Schloß ist frei", &[likely(-12.0, 5)]).unwrap();
    assert!((grade.score - score).abs() < 1e-12, "{written}: {grade:?}");
}

#[test]
fn what_is_not_finite_is_unscored() {
    let written = "perplexity: { at_most: 10 }";
    for found in [&[][..], &[likely(f64::NAN, 1)], &[likely(f64::NEG_INFINITY, 1)], &[likely(-1.0, 0)]] {
        assert!(perplexity(written, "a b", found).is_err(), "{found:?}");
    }
    // One word of so many nats that its perplexity is beyond floats: measured by bytes all the same.
    let long = "x".repeat(2000);
    let grade = perplexity(written, &long, &[likely(-2000.0, 10)]).unwrap();
    assert!(grade.score == 0.0 && grade.metrics.iter().all(|it| it.value.is_finite()), "{grade:?}");
}

#[test]
fn what_is_asked() {
    let whole = rubric("perplexity: { at_most: 10 }");
    assert!(whole.reads_prompt() && whole.continuations().is_none());
    let after = rubric("perplexity: { text: 'a b', at_most: 10 }");
    assert!(!after.reads_prompt());
    assert_eq!(after.continuations(), Some(vec!["a b".to_owned()]));
}

#[rstest]
#[case("coherence: { language: xx }", &["the language `xx` is not known: en, de @ xx"])]
#[case("coherence: { perplexity: { model: m, at_most: 0.5 } }", &["`at_most` is 0.5: no perplexity is below 1 @ 0.5"])]
#[case("coherence: { perplexity: { model: m } }", &["`at_most` is missing"])]
#[case("perplexity: {}", &["no limit is given"])]
#[case("perplexity: { at_most: 0 }", &["no perplexity is below 1"])]
#[case("perplexity: { bits_per_byte: -1 }", &["`bits_per_byte` is -1"])]
#[case("perplexity: { bits_per_byte: 1, per: word }", &["`per` is only for `at_most`"])]
#[case("perplexity: { text: '', at_most: 3 }", &["an empty text"])]
#[case("{ perplexity: { at_most: 3 }, length: { max_words: 3 } }", &["`perplexity` stands alone: there is no text for another grader @ length"])]
fn mistakes(#[case] written: &str, #[case] wanted: &[&str]) {
    crate::mistakes::check(written, wanted);
}
