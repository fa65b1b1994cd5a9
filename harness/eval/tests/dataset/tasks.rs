//! Task files as lm-evaluation-harness has them, unchanged.

use std::path::Path;

use eval::backend::{Likelihood, Message, Role};
use eval::case::{Case, Suite};
use eval::grade::{Evidence, Judgement, Part};
use eval::weights::sha256_of_text;
use rstest::rstest;
use serde_json::Value;

use crate::{EXPECTED, TASKS, load};

fn suites() -> Vec<Suite> {
    let loaded = load(Path::new(TASKS), &[], Path::new("nowhere"));
    assert!(loaded.wrong.is_empty(), "{:?}", loaded.wrong);
    loaded.suites
}

/// The contexts and continuations of a document, as lm-evaluation-harness hands them to a model.
fn requests(case: &Case) -> Vec<Vec<String>> {
    let variant = &case.variants[0];
    let text = |messages: &[Message]| match messages {
        [Message { role: Role::Text, content }] => content.clone(),
        other => panic!("one plain text, not {other:?}"),
    };
    let Some(scorings) = variant.rubric.scorings() else { return vec![vec![text(&variant.messages)]] };
    let pairs = scorings.iter().flat_map(|it| {
        let context = text(it.prompt.as_deref().unwrap_or(&variant.messages));
        it.continuations.iter().map(move |continuation| vec![context.clone(), continuation.clone()])
    });
    pairs.collect()
}

/// The made-up likelihood that the script gave too.
fn likelihood(context: &str, continuation: &str) -> Likelihood {
    let digest = sha256_of_text(&format!("{context}\0{continuation}"));
    let byte = |at: usize| u16::from_str_radix(&digest[2 * at..2 * at + 2], 16).unwrap();
    let logprob = -f64::from((byte(0) * 256 + byte(1)) % 4000) / 64.0 - 0.5;
    Likelihood { logprob, tokens: 1, greedy: byte(2) % 4 == 0 }
}

fn parts(case: &Case, text: &str, likelihoods: &[Likelihood]) -> Vec<Part> {
    let evidence = Evidence { text, likelihoods, found: &[] };
    match case.variants[0].rubric.grade(&evidence) {
        Judgement::Scored(grade) => {
            let main: Vec<&Part> = grade.parts.iter().filter(|it| it.weight > 0.0).collect();
            assert_eq!(main.len(), 1, "one metric is the score");
            assert!((grade.score - main[0].score).abs() < 1e-12);
            grade.parts
        }
        Judgement::Unscored(reason) => panic!("unscored: {reason}"),
    }
}

/// The number that lm-evaluation-harness goes on with, from ours.
#[track_caller]
fn check_metric(name: &str, expected: &Value, part: &Part) {
    let close = |found: f64, wanted: f64| {
        assert!(
            (found - wanted).abs() < 1e-6 * wanted.abs().max(1.0),
            "{name}: {found} is not {wanted}: {part:?}"
        );
    };
    let numbers =
        |it: &Value| -> Vec<f64> { it.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect() };
    match name {
        "f1" | "mcc" => {
            let pair = numbers(expected);
            assert_eq!(part.reason, format!("right is {}, picked is {}", pair[0], pair[1]));
        }
        "brier_score" => {
            let right = expected[0].as_u64().unwrap();
            let softmax = numbers(&expected[1]);
            let distance = |(at, it): (usize, &f64)| (it - f64::from(u8::from(at as u64 == right))).powi(2);
            let brier: f64 = softmax.iter().enumerate().map(distance).sum();
            close(part.reason.parse().unwrap(), brier);
            close(part.score, 1.0 - brier / 2.0);
        }
        "perplexity" => close(part.score, expected.as_f64().unwrap().exp()),
        "word_perplexity" | "byte_perplexity" => {
            let pair = numbers(expected);
            close(part.score, (pair[0] / pair[1]).exp());
        }
        "bits_per_byte" => {
            let pair = numbers(expected);
            close(part.reason.parse().unwrap(), -pair[0] / pair[1] / 2_f64.ln());
        }
        _ => close(part.score, expected.as_f64().unwrap()),
    }
}

#[rstest]
#[case::drawn_examples("sums")]
#[case::examples_of_the_split_that_is_asked("sums-again")]
#[case::examples_that_are_written_out("sums-shown")]
#[case::options_by_text("facts")]
#[case::options_by_letter("letters")]
#[case::several_inputs("blanks")]
#[case::whole_texts("texts")]
#[case::ends_of_texts("ends")]
#[case::several_right_answers("several")]
#[case::comma_separated("capitals")]
fn as_lm_evaluation_harness(#[case] name: &str) {
    let expected = EXPECTED["tasks"][name].as_array().unwrap();
    let suites = suites();
    let suite = suites.iter().find(|it| it.name == name).unwrap();
    assert_eq!(suite.cases.len(), expected.len());
    for (case, expected) in suite.cases.iter().zip(expected) {
        let requests = requests(case);
        assert_eq!(serde_json::to_value(&requests).unwrap(), expected["requests"], "document {}", case.id);
        if let Some(until) = expected["settings"].get("until") {
            let until = until.as_str().map_or_else(|| until.clone(), |it| serde_json::json!([it]));
            assert_eq!(serde_json::to_value(&case.stop).unwrap(), until);
            assert_eq!(u64::from(case.max_tokens), expected["settings"]["max_gen_toks"]);
        }
        for answer in expected["results"].as_array().unwrap() {
            let likelihoods: Vec<Likelihood> =
                requests.iter().filter_map(|it| Some(likelihood(it.first()?, it.get(1)?))).collect();
            let parts = parts(case, answer["response"].as_str().unwrap_or_default(), &likelihoods);
            let metrics = answer["metrics"].as_object().unwrap();
            assert_eq!(parts.len(), metrics.len(), "{parts:?}");
            for (name, expected) in metrics {
                let part = parts.iter().find(|it| it.name == *name).unwrap_or_else(|| panic!("no {name}"));
                check_metric(name, expected, part);
            }
        }
    }
}

#[test]
fn groups_and_tags_select() {
    let suites = suites();
    let tags = |name: &str| suites.iter().find(|it| it.name == name).unwrap().cases[0].tags.clone();
    assert_eq!(tags("sums"), ["t_made", "t_sums_tag", "t_group"], "a group holds tasks by their tag");
    assert_eq!(tags("facts"), ["t_group"], "and by their name");
    assert!(tags("ends").is_empty());
    assert!(suites.iter().all(|it| !it.name.starts_with('_') && it.name != "made"));
}

#[test]
fn documents_that_are_alike_have_cases_of_their_own() {
    let suites = suites();
    let suite = suites.iter().find(|it| it.name == "facts").unwrap();
    let ids: Vec<&str> = suite.cases.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["0", "1", "2", "3", "4", "5"]);
    assert!(suite.dataset, "its goldens repeat nothing of it");
    let digests: std::collections::HashSet<String> =
        suite.cases.iter().map(|it| it.digest(&it.variants[0], &it.drawn[0])).collect();
    assert_eq!(digests.len(), suite.cases.len());
}
