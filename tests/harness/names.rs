//! Which tests there are, what they are called, and which of them a filter leaves.

use crate::place::Place;

/// Cases whose names have every part that a name can have, and a model that cannot run here.
fn place() -> Place {
    Place::new()
        .write(
            "models.yaml",
            "
version: 1
defaults: { backend: scripted, family: none, class: small }
models:
  tiny: { sources: [{ file: tiny.yaml }] }
  absent: { backend: candle, sources: [{ file: absent.gguf }] }
  tiny-2: { sources: [{ file: tiny.yaml }], tags: [second] }
",
        )
        .write(
            "cases/sums/carry.yaml",
            "
version: 1
defaults: { tags: [all] }
cases:
  - id: plain
    prompt: What is 17 + 25?
    grade: { number: 42 }
    tags: [easy]
  - id: matrix
    prompt: What is {{ a }} + {{ b }}, {{ politely }}?
    matrix: { a: [40, 41.5], b: [2], politely: [please, 'if you would be so kind: tell'] }
    grade: { regex: '42' }
  - id: warm
    prompt: What is {{ a }} + 2?
    matrix: { a: [40] }
    grade: { number: 42 }
    sampling: { temperature: 0.7, repeats: 2 }
  - id: for-one
    prompt: What is 40 + 2?
    grade: { number: 42 }
    models: ['tag:second']
",
        )
        .write(
            "cases/words/echo.yml",
            "{ version: 1, cases: [{ id: plain, prompt: Say 42., grade: { exact: '42' } }] }",
        )
}

#[test]
fn names_have_each_part_only_where_it_is_used() {
    place().run(&["--list"]).passed().shown("list");
}

#[test]
fn each_listed_name_selects_one_test() {
    let place = place();
    let list = place.run(&["--list"]).passed().stdout;
    let names: Vec<&str> = list.lines().filter_map(|it| it.strip_suffix(": test")).collect();
    assert_eq!(names.len(), 20, "{list}");
    for name in names {
        let ran = place.run(&["--exact", name]).passed().says("running 1 test\n");
        assert_eq!(ran.outcomes().keys().collect::<Vec<_>>(), [name]);
    }
}

#[test]
fn a_filter_is_a_part_of_a_name() {
    let ran = place().run(&["words/"]).passed().says("partial: a filter left trials out");
    let names: Vec<String> = ran.outcomes().into_keys().collect();
    assert_eq!(names, ["words/echo/plain::tiny", "words/echo/plain::tiny-2"]);
}

#[test]
fn what_is_skipped_is_not_run() {
    let place = place();
    let ran =
        place.run(&["--skip", "matrix", "--skip", "warm", "--skip", "tiny-2"]).passed().says("partial:");
    let names: Vec<String> = ran.outcomes().into_keys().collect();
    assert_eq!(
        names,
        ["every-case::absent", "sums/carry/plain::tiny", "verdict::tiny", "words/echo/plain::tiny"]
    );
    assert_eq!(place.totals(), [2, 0, 0, 8]);
}

#[test]
fn a_model_that_cannot_run_here_is_one_ignored_test() {
    let place = place();
    let ran = place.run(&[]).passed().shown("skipped");
    let reason = "ignored (not fetched: run `cargo xtask fetch absent`)";
    assert_eq!(ran.outcomes()["every-case::absent"], reason);
    assert_eq!(place.totals(), [17, 0, 0, 8]);
}

#[test]
fn a_model_that_is_named_has_its_own_tests() {
    let reason = "ignored (not fetched: run `cargo xtask fetch absent`)";
    let place = place();
    let ran = place.run(&["--exact", "sums/carry/plain::absent"]).passed();
    assert_eq!(ran.outcomes()["sums/carry/plain::absent"], reason);
    assert_eq!(place.totals(), [0, 0, 0, 1]);
    assert_eq!(place.run(&["::absent"]).passed().outcomes().len(), 8);
    assert_eq!(place.totals(), [0, 0, 0, 8]);
    // As long as its end is no model's name, a filter means tests.
    assert_eq!(place.run(&["absen"]).passed().outcomes().len(), 1);
}

#[test]
fn threads_change_nothing() {
    let place = place();
    for threads in ["1", "2", "64"] {
        let output = place.command(&["--test-threads", threads]).output().unwrap();
        let ran = crate::place::Ran::from(output).passed();
        assert_eq!(ran.outcomes().len(), 20, "{}", ran.told());
        assert_eq!(place.totals(), [17, 0, 0, 8]);
    }
    assert_eq!(place.count("SELECT count(*) FROM run WHERE ended_at IS NOT NULL"), 3);
    let concurrency = |run| place.count(&format!("SELECT concurrency FROM run WHERE id = {run}"));
    assert_eq!([concurrency(1), concurrency(2), concurrency(3)], [1, 2, 64]);
}

#[test]
fn tags_select_cases() {
    let ran = place().run_with("PROOFMARK_TAGS", "easy, unused", &[]).passed().says("partial:");
    let names: Vec<String> = ran.outcomes().into_keys().collect();
    assert_eq!(
        names,
        [
            "every-case::absent",
            "sums/carry/plain::tiny",
            "sums/carry/plain::tiny-2",
            "verdict::tiny",
            "verdict::tiny-2"
        ]
    );
}

#[test]
fn a_whole_run_gives_a_mean_and_a_part_does_not() {
    let place = Place::with_two_cases();
    place
        .run(&[])
        .passed()
        .says("tiny: 2 trials = 2 scored + 0 unscored + 0 errored + 0 skipped")
        .says("mean score 1.000");
    place.run(&["small/a"]).passed().says("tiny: 1 trial = 1 scored").never_says("mean score");
}

#[test]
fn a_filter_that_leaves_nothing_asks_nothing() {
    let place = Place::with_two_cases();
    place.run(&["no-such-case"]).passed().says("running 0 tests");
    assert_eq!(place.totals(), [0, 0, 0, 0]);
}
