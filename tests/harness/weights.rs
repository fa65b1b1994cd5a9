//! Weights that are gone, other than they should be, or cannot be loaded.

use crate::place::Place;

const PINNED: &str = "
version: 1
defaults: { family: none, class: small }
models:
  tiny: { backend: scripted, sources: [{ file: tiny.yaml }] }
  pinned:
    backend: candle
    sources: [{ pypi: some-weights==1.0, path: some/weights.gguf }]
    sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    size: 7
";

const LOCK: &str = "
version: 1
models:
  pinned:
    source: some-weights==1.0
    format: gguf
    files:
      - name: weights.gguf
        sha256: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
        size: 7
";

#[test]
fn a_lock_that_disagrees_is_a_failure() {
    let place = Place::with_two_cases().write("models.yaml", PINNED).write("models.lock", LOCK);
    let ran = place.run(&[]).failed().shown("lock-differs");
    assert_eq!(ran.outcomes()["every-case::pinned"], "FAILED");
    assert_eq!(ran.outcomes()["sums/small/a::tiny"], "ok");
    assert_eq!(place.totals(), [2, 0, 0, 2]);
    // Not only in a whole run: whoever asks for the model hears of it.
    let ran = place.run(&["--exact", "sums/small/a::pinned"]);
    assert!(ran.told().contains("models.lock recorded"), "{}", ran.told());
}

#[test]
fn weights_that_were_deleted_are_ignored_with_the_remedy() {
    let place = Place::with_two_cases().write("models.yaml", PINNED);
    let ran = place.run(&[]).passed();
    let reason = "ignored (not fetched: run `cargo xtask fetch pinned` (7 B))";
    assert_eq!(ran.outcomes()["every-case::pinned"], reason);
}

#[test]
fn weights_that_were_cut_are_a_failure() {
    let file = "cache/files/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/weights.gguf";
    let place = Place::with_two_cases().write("models.yaml", PINNED).write(file, "short");
    let ran = place.run(&[]).failed().says("has 5 bytes, not 7: run `cargo xtask fetch pinned`");
    assert_eq!(ran.outcomes()["every-case::pinned"], "FAILED");
}

#[test]
fn weights_of_another_hash_are_told_once() {
    let place = Place::with_two_cases();
    let hash = "a".repeat(64);
    place.edit("models.yaml", "tiny: {", &format!("tiny: {{ sha256: {hash},"));
    let ran = place.run(&[]).failed().says("tiny.yaml has sha256");
    assert_eq!(ran.stdout.matches("has sha256").count(), 1, "{}", ran.told());
    assert_eq!(
        ran.stdout.matches("tiny could not be loaded: see sums/small/a::tiny").count(),
        1,
        "{}",
        ran.told()
    );
    assert_eq!(place.totals(), [0, 0, 2, 0]);
}

/// The files of a repository of the hub, as `models.lock` recorded them.
#[test]
fn every_file_of_a_model_counts() {
    let commit = ".cache/huggingface/hub/models--o--m/snapshots/c1";
    let script = "version: 1\notherwise: '42'\n";
    let entry = |name: &str, text: &str| {
        let hash = eval::weights::sha256_of_text(text);
        format!("      - {{ name: {name}, sha256: {hash}, size: {} }}\n", text.len())
    };
    let files = [entry("a.yaml", script), entry("b.bin", "weights")].concat();
    let place = Place::with_two_cases()
        .write(
            "models.lock",
            format!("version: 1\nmodels:\n  tiny:\n    source: hf\n    revision: c1\n    format: x\n    files:\n{files}"),
        )
        .write(&format!("{commit}/a.yaml"), script)
        .write(&format!("{commit}/b.bin"), "weights");
    place.edit("models.yaml", "{ file: tiny.yaml }", "{ hf: o/m@main, files: [a.yaml, b.bin] }");
    place.run(&[]).passed();
    place.put(&format!("{commit}/b.bin"), "WEIGHTS");
    let ran = place.run(&[]).failed().says("b.bin has sha256");
    assert_eq!(ran.stdout.matches("has sha256").count(), 1, "{}", ran.told());
    place.put(&format!("{commit}/b.bin"), "short");
    place.run(&[]).failed().says("b.bin has 5 bytes, not 7: run `cargo xtask fetch tiny`");
    std::fs::remove_file(place.path(&format!("{commit}/b.bin"))).unwrap();
    place.run(&[]).passed().says("not fetched: run `cargo xtask fetch tiny`");
}

#[test]
fn a_model_that_cannot_be_loaded_tells_its_story_once() {
    let place =
        Place::with_two_cases().write("tiny.yaml", "version: 1\nbroken: the file ends in the middle\n");
    place.run(&[]).failed().shown("broken-model");
    assert_eq!(place.totals(), [0, 0, 2, 0]);
}

/// As many threads as there are by default meet the broken model at once.
#[test]
fn many_threads_tell_one_story() {
    for _ in 0..10 {
        let place = Place::many(100).write("tiny.yaml", "version: 1\nbroken: the file ends in the middle\n");
        let ran = crate::place::Ran::from(place.command(&[]).output().unwrap()).failed();
        assert_eq!(ran.stdout.matches("the file ends in the middle").count(), 1, "{}", ran.told());
        assert_eq!(
            ran.stdout.matches("tiny could not be loaded: see slow/sums/c").count(),
            99,
            "{}",
            ran.told()
        );
        assert_eq!(place.totals(), [0, 0, 100, 0]);
    }
}

#[test]
fn a_script_that_cannot_be_read_points_at_its_mistake() {
    let place = Place::with_two_cases().write("tiny.yaml", "version: 1\notherwize: '42'\n");
    let ran = place.run(&[]).failed().says("unknown key `otherwize`: did you mean `otherwise`?");
    assert_eq!(ran.stdout.matches("otherwize").count(), 2, "{}", ran.told());
}

#[test]
fn a_request_that_fails_is_an_error_of_its_trial() {
    let place = Place::with_two_cases()
        .write("tiny.yaml", "version: 1\nanswers: [{ when: 6 * 7, fail: no luck }]\notherwise: '42'\n");
    place.run(&[]).failed().shown("errored");
    assert_eq!(place.totals(), [1, 0, 1, 0]);
}

#[test]
fn an_error_is_never_accepted() {
    let place = Place::with_two_cases();
    place.run(&[]).passed();
    place.accept();
    place.put("tiny.yaml", "version: 1\nanswers: [{ when: 6 * 7, fail: no luck }]\notherwise: '42'\n");
    place.run(&[]).failed().says("1 same");
    assert_eq!(place.files(".snap.new").len(), 0);
}

#[test]
fn an_empty_answer_is_an_answer() {
    let place = Place::with_two_cases().write("tiny.yaml", "version: 1\notherwise: ''\n");
    let ran = place.run(&[]).failed().says("below its threshold").says("response     \"\"");
    assert_eq!(place.totals(), [2, 0, 0, 0]);
    place.accept();
    drop(ran);
    place.run(&[]).passed().says("2 same");
}

#[test]
fn a_choice_by_likelihood_needs_no_text() {
    let place = Place::new()
        .write(
            "cases/words/choice.yaml",
            "
version: 1
cases:
  - id: colour
    prompt: What is the colour of the sky?
    grade: { choice: { answer: B, options: { A: green, B: blue }, by: likelihood } }
",
        )
        .write("tiny.yaml", "version: 1\notherwise: blue\n");
    place.run(&[]).passed();
    place.accept();
    place.run(&[]).passed().says("1 same");
    place.edit("tiny.yaml", "blue", "green");
    place.run(&[]).failed().shown("likelihood");
}
