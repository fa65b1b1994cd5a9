//! Mistakes in what people write: each is a failing test that points at itself, and hides nothing else.

use rstest::rstest;

use crate::place::Place;

#[test]
fn no_case_at_all_is_a_failure() {
    Place::new().run(&[]).failed().shown("no-case");
}

#[test]
fn a_folder_that_is_not_there_is_a_failure() {
    Place::new().set("PROOFMARK_CASES", "casse").run(&[]).failed().shown("no-folder");
}

#[test]
fn a_wrong_case_fails_alone() {
    let place = Place::with_two_cases();
    place.edit("cases/sums/small.yaml", "prompt: What is 6 * 7?", "promt: What is 6 * 7?");
    let ran = place.run(&[]).failed().shown("wrong-case");
    assert_eq!(ran.outcomes()["sums/small/a::tiny"], "ok");
    assert_eq!(ran.outcomes()["sums/small/b"], "FAILED");
}

#[rstest]
#[case("tiny")]
#[case("small/b::tiny")]
fn a_filter_on_a_model_leaves_no_mistake_out(#[case] filter: &str) {
    let place = Place::with_two_cases();
    place.edit("cases/sums/small.yaml", "prompt: What is 6 * 7?", "promt: What is 6 * 7?");
    let ran = place.run(&[filter]).failed();
    assert_eq!(ran.outcomes()["sums/small/b::tiny"], "FAILED");
    place.run(&["small/a"]).never_says("promt");
}

#[test]
fn a_wrong_file_does_not_hide_the_others() {
    let ran = Place::with_two_cases()
        .write("cases/sums/broken.yaml", "version: 1\ncases:\n  - id: [a\n")
        .run(&[])
        .failed()
        .shown("wrong-file");
    assert_eq!(ran.outcomes()["sums/broken"], "FAILED");
    assert_eq!(ran.outcomes()["sums/small/b::tiny"], "ok");
}

#[test]
fn every_mistake_in_the_file_of_models_is_told() {
    Place::with_two_cases()
        .write(
            "models.yaml",
            "
version: 1
models:
  tiny: { backend: scripted, sources: [{ file: tiny.yaml }], familly: none, class: small }
  huge: { backend: scripted, sources: [], family: none, class: huge }
  hub: { sources: [{ hf: org/name, files: [a.gguf] }], family: none, class: small }
",
        )
        .run(&[])
        .failed()
        .shown("wrong-models");
}

#[test]
fn a_file_of_models_that_is_not_there_is_a_failure() {
    let ran = Place::with_two_cases().set("PROOFMARK_MODELS", "modles.yaml").run(&[]).failed();
    ran.says("modles.yaml cannot be read: No such file or directory");
}

#[test]
fn mistakes_are_told_whatever_is_filtered() {
    let place = Place::with_two_cases().write("models.yaml", "version: 1\n");
    place.run(&["--exact", "sums/small/a::tiny"]).failed().says("`models` is missing");
}

#[test]
fn a_variable_that_is_not_known_is_refused() {
    let place = Place::with_two_cases();
    place
        .run_with("PROOFMARK_GATES", "strict", &[])
        .failed()
        .says("error: unknown variable PROOFMARK_GATES: did you mean PROOFMARK_GATE?");
    place
        .run_with("PROOFMARK_GATE", "soft", &[])
        .failed()
        .says("PROOFMARK_GATE is one of golden, absolute, strict");
    place.run_with("PROOFMARK_RESUME", "yes", &[]).failed().says("PROOFMARK_RESUME is 0 or 1, not `yes`");
    // Set to nothing is not set, as shells have it.
    place.run_with("PROOFMARK_GATE", "", &[]).passed();
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::with_two_cases();
    let mut command = place.command(&[]);
    command.env("PROOFMARK_CASES", std::ffi::OsStr::from_bytes(b"cases-\xff"));
    crate::place::Ran::from(command.output().unwrap()).failed().says("PROOFMARK_CASES");
}

#[test]
fn a_flag_that_is_not_known_is_refused() {
    let ran = Place::with_two_cases().run(&["--resume"]);
    assert_ne!(ran.code, Some(0));
    ran.says("unexpected argument '--resume'");
}

#[test]
fn suites_of_one_name_are_a_mistake() {
    Place::with_two_cases()
        .write(
            "cases/sums/small.yml",
            "{ version: 1, cases: [{ id: c, prompt: Say 42., grade: { exact: '42' } }] }",
        )
        .run(&[])
        .failed()
        .says("are one suite")
        .says("rename one of the files");
}

#[test]
fn a_link_that_leads_nowhere_is_a_mistake() {
    let place = Place::with_two_cases();
    std::os::unix::fs::symlink("nowhere.yaml", place.path("cases/sums/link.yaml")).unwrap();
    place.run(&[]).failed().says("link.yaml").says("cannot be read");
}

#[test]
fn a_link_to_its_own_folder_ends() {
    let place = Place::with_two_cases();
    std::os::unix::fs::symlink(".", place.path("cases/sums/again")).unwrap();
    let ran = place.run(&[]).failed().says("cannot be read");
    assert_eq!(ran.outcomes()["sums/small/a::tiny"], "ok");
}

/// Whoever reads the message of a wrong case must not be fooled by its id.
#[test]
fn an_id_cannot_write_lines_of_its_own() {
    let ran = Place::new()
        .write(
            "cases/sums/small.yaml",
            "{ version: 1, cases: [{ id: \"a\\ntest result: ok. 9 passed\", prompt: Say 42., grade: { exact: '42' } }] }",
        )
        .run(&[])
        .failed();
    assert!(!ran.stdout.lines().any(|it| it.starts_with("test result: ok")), "{}", ran.told());
}
