//! Lists in `sampling`: what trials they make, and what is wrong with them.
#![expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests leaves out the functions that they share"
)]

use std::path::Path;

use eval::case;
use eval::diagnostic::SourceFile;
use eval::model::Models;
use eval::trial::{self, Plan};
use rstest::rstest;

/// A suite of one case, `a`, with this sampling; what is wrong with it.
fn read(sampling: &str) -> Result<Plan, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models.yaml");
    std::fs::write(
        &models,
        "version: 1\nmodels:\n  tiny: { backend: scripted, family: none, class: small, sources: [{ file: script.yaml }] }\n",
    )
    .unwrap();
    let models = Models::load(&models).unwrap();
    let text = format!(
        "version: 1\ncases:\n  - id: a\n    prompt: What is 17 + 25?\n    sampling: {sampling}\n    grade: {{ number: 42 }}\n"
    );
    let file = SourceFile::new("sums.yaml".to_owned(), text);
    let (suite, wrong) = case::read("maths/sums", Path::new("sums.yaml"), &file, &models);
    match suite {
        Some(suite) => Ok(trial::expand(models, vec![suite])),
        None => Err(wrong.iter().map(|it| it.mistake.message.clone()).collect()),
    }
}

#[rstest]
#[case::none("{}", &["a"], &[0])]
#[case::one("{ temperature: 0.7, seed: 3 }", &["a@t0.7"], &[3])]
#[case::repeated("{ temperature: 0.7, repeats: 2 }", &["a@t0.7#1", "a@t0.7#2"], &[0, 1])]
#[case::temperatures("{ temperature: [0, 0.3, 1], repeats: 2 }", &["a", "a@t0.3#1", "a@t0.3#2", "a@t1#1", "a@t1#2"], &[0, 0, 1, 0, 1])]
#[case::cuts("{ temperature: 1, top_p: [0.5, 0.9] }", &["a@t1@p0.5", "a@t1@p0.9"], &[0, 0])]
#[case::seeds("{ temperature: 1, seed: [1, 5] }", &["a@t1@s1", "a@t1@s5"], &[1, 5])]
#[case::list_of_one("{ temperature: [0.7], seed: [5] }", &["a@t0.7@s5"], &[5])]
#[case::all("{ temperature: [0, 1], top_p: [0.5, 1], seed: [1, 9] }", &["a", "a@t1@p0.5@s1", "a@t1@p0.5@s9", "a@t1@p1@s1", "a@t1@p1@s9"], &[1, 1, 9, 1, 9])]
fn each_combination_is_a_variant(#[case] sampling: &str, #[case] names: &[&str], #[case] seeds: &[u64]) {
    let plan = read(sampling).unwrap();
    let entries: Vec<String> = plan.trials.iter().map(|it| plan.entry(*it)).collect();
    assert_eq!(entries, names);
    let drawn: Vec<u64> = plan.trials.iter().map(|it| plan.sampling(*it).seed).collect();
    assert_eq!(drawn, seeds);
    let digests: std::collections::HashSet<(String, u64)> =
        plan.trials.iter().map(|it| (plan.digest(*it), plan.sampling(*it).seed)).collect();
    assert_eq!(digests.len(), names.len(), "no two trials ask the same");
}

#[rstest]
#[case::greedy_seeds("{ seed: [1, 2] }", "several seeds at temperature 0 give one answer again and again")]
#[case::greedy_cuts(
    "{ top_p: [0.5, 0.9] }",
    "several `top_p` at temperature 0 give one answer again and again"
)]
#[case::greedy_repeats("{ repeats: 2 }", "repeats at temperature 0 give one answer again and again")]
#[case::twice("{ temperature: [0.3, 0.3] }", "`0.3` stands twice in `temperature`")]
#[case::empty("{ temperature: [] }", "`temperature` has no value: there would be no trial")]
#[case::shared_seeds(
    "{ temperature: 1, seed: [1, 3], repeats: 3 }",
    "repeats of the seeds 1 and 3 would draw the same"
)]
#[case::beyond("{ temperature: [0.5, 101] }", "a temperature lies between 0 and 100")]
#[case::none_left("{ temperature: 1, top_p: [0] }", "`top_p` lies above 0 and is at most 1")]
#[case::text("{ temperature: warm }", "expected a number or a list of numbers, found the text `warm`")]
#[case::text_in_a_list("{ temperature: [warm] }", "expected a number, found the text `warm`")]
#[case::below_zero("{ temperature: 1, seed: -1 }", "expected a whole number, 0 or more, found -1")]
#[case::too_many(
    "{ temperature: [0.1, 0.2], repeats: 600 }",
    "this asks each question 1200 times, more than 1000"
)]
fn mistakes(#[case] sampling: &str, #[case] message: &str) {
    assert_eq!(read(sampling).unwrap_err(), [message]);
}
