//! What was accepted: how goldens come to be, what they let pass, and what is said when they no longer hold.

use crate::place::Place;

const GOLDEN: &str = "golden/sums/small@tiny.snap";
const NEW: &str = "golden/sums/small@tiny.snap.new";
const CASES: &str = "cases/sums/small.yaml";

/// `a` is answered right, `b` wrong.
fn place() -> Place {
    Place::with_two_cases().write(
        "tiny.yaml",
        "
version: 1
answers:
  - { when: 17 + 25, say: It is 42. }
  - { when: 6 * 7, say: \"Six times seven,\\nthat is 41.\" }
",
    )
}

/// The same, accepted as it is.
fn accepted() -> Place {
    let place = place();
    place.run(&[]).failed();
    assert_eq!(place.accept(), 1);
    place
}

#[test]
fn without_a_golden_the_threshold_decides() {
    let place = place();
    let ran = place.run(&[]).failed().shown("first-run");
    assert_eq!(ran.outcomes()["sums/small/a::tiny"], "ok");
    assert_eq!(ran.outcomes()["sums/small/b::tiny"], "FAILED");
    assert!(!place.path(GOLDEN).exists(), "nothing is accepted by itself");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../golden/shown");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("golden-file", place.text(NEW).replace("---\n", "===\n")));
}

#[test]
fn a_lower_threshold_passes_what_it_says() {
    let place = place();
    place.edit(CASES, "id: b\n", "id: b\n    threshold: 0\n");
    place.run(&[]).passed().says("2 reached");
}

#[test]
fn what_was_accepted_passes_as_long_as_it_is_no_worse() {
    let place = accepted();
    place.run(&[]).passed().shown("accepted");
    assert_eq!(place.files(".snap.new").len(), 0, "there is nothing to accept");
}

/// insta writes what it accepts in its own words: they must be ours, or every file would change at the first review.
#[test]
fn accepting_changes_no_byte() {
    let place = place();
    place.run(&[]).failed();
    let proposed = place.text(NEW);
    place.accept();
    assert_eq!(place.text(GOLDEN), proposed);
}

#[test]
fn an_answer_below_its_golden_has_regressed() {
    let place = accepted();
    place.edit(GOLDEN, "- case: \"b\"\n    score: 0", "- case: \"b\"\n    score: 1");
    let ran = place.run(&[]).failed().shown("regressed");
    let rerun =
        ran.stdout.lines().find_map(|it| it.strip_prefix("rerun: cargo test --test quality -- ")).unwrap();
    // The command that is shown reruns just this trial.
    let arguments: Vec<&str> = rerun.split(' ').map(|it| it.trim_matches('\'')).collect();
    let again = place.run(&arguments).failed().says("regressed");
    assert_eq!(again.outcomes().len(), 1);
}

#[test]
fn another_answer_shows_how_it_differs() {
    let place = accepted();
    place.edit("tiny.yaml", "It is 42.", "It is forty.");
    place.run(&[]).failed().shown("other-answer");
    assert!(place.text(NEW).contains("It is forty."), "it can be accepted all the same");
}

#[test]
fn a_response_that_was_edited_is_not_believed() {
    let place = accepted();
    place.edit(GOLDEN, "that is 41.", "that is 42.");
    place.run(&[]).failed().shown("edited-response");
}

#[test]
fn a_golden_that_is_no_yaml_is_told() {
    let place = accepted();
    place.edit(GOLDEN, "cases:\n", "cases: [\n");
    place.run(&[]).failed().says("test golden::golden/sums/small@tiny.snap").says("cargo xtask bless");
}

/// A filter must not make a broken golden look like one that was never there.
#[test]
fn a_golden_that_cannot_be_read_is_told_in_a_part_of_a_run() {
    let place = accepted();
    place.edit(GOLDEN, "that is 41.", "that is 42.");
    place.run(&["--exact", "sums/small/a::tiny"]).says("the response of `b` was edited");
    assert!(!place.path(NEW).exists(), "what was accepted of `b` would be gone");
}

#[test]
fn a_changed_prompt_makes_its_golden_stale() {
    let place = accepted();
    place.edit(CASES, "What is 6 * 7?", "What is, please, 6 * 7?");
    place.run(&[]).failed().shown("stale-prompt");
    // `a` is not concerned.
    place.run(&["small/a"]).passed().says("1 same");
}

#[test]
fn a_changed_grader_makes_its_golden_stale() {
    let place = accepted();
    place.edit(CASES, "grade: { number: 42 }\n  - id: b", "grade: { exact: It is 42. }\n  - id: b");
    place
        .run(&[])
        .passed()
        .says("beside the goldens: 1 same, 1 reached, 1 with a stale golden")
        .says("cargo insta review");
    assert_eq!(place.accept(), 1);
    place.run(&[]).passed().says("beside the goldens: 2 same").never_says("stale");
}

#[test]
fn how_it_is_written_makes_no_golden_stale() {
    let place = accepted();
    place.edit(
        CASES,
        "prompt: What is 6 * 7?\n",
        "why: Slips by one.\n    prompt: |\n      What is 6 * 7?\n",
    );
    place.edit(CASES, "grade: { number: 42 }\n  - id: b", "grade: { number: { value: '42' } }\n  - id: b");
    place.run(&[]).passed().says("beside the goldens: 2 same").never_says("stale");
}

#[test]
fn with_other_numerics_a_single_answer_decides_nothing() {
    let place = accepted();
    place.edit("tiny.yaml", "version: 1\n", "version: 1\nrevision: 2\n");
    place.edit("tiny.yaml", "It is 42.", "It is 43.");
    place.run(&[]).passed().says("beside the goldens: 2 undecided").says("mean score 0.000");
    assert_eq!(place.files(".snap.new").len(), 0, "no reason to accept something else");
    // The same answer with the numerics of its golden fails.
    place.edit("tiny.yaml", "revision: 2\n", "");
    place.run(&[]).failed().says("regressed: scored below its golden");
}

#[test]
fn a_drawn_answer_decides_nothing() {
    let place = place();
    place.edit(CASES, "id: a\n", "id: a\n    sampling: { temperature: 1 }\n");
    place.run(&["small/a"]).passed();
    place.accept();
    place.edit("tiny.yaml", "It is 42.", "It is 43.");
    place.run(&["small/a"]).passed().says("1 undecided");
}

#[test]
fn a_better_answer_passes_and_is_said() {
    let place = accepted();
    place.edit("tiny.yaml", "that is 41.", "that is 42.");
    place.run(&[]).passed().says("beside the goldens: 1 same, 1 better").says("cargo insta review");
    assert_eq!(place.accept(), 1);
    place.run(&[]).passed().says("beside the goldens: 2 same");
    // What was once reached is now held.
    place.edit("tiny.yaml", "that is 42.", "that is 41.");
    place.run(&[]).failed().says("score        0 now, 1 accepted");
}

#[test]
fn the_absolute_gate_asks_for_every_threshold() {
    let place = accepted();
    let ran = place.run_with("PROOFMARK_GATE", "absolute", &[]).failed();
    assert_eq!(ran.outcomes()["sums/small/a::tiny"], "ok");
    assert_eq!(ran.outcomes()["sums/small/b::tiny"], "FAILED");
    ran.says("below its threshold").says("1 reached, 1 missed");
}

#[test]
fn the_strict_gate_asks_for_the_same_text() {
    let place = accepted();
    // Of two cases nothing can be told as a whole, which this gate does not let pass.
    place.run_with("PROOFMARK_GATE", "strict", &["--skip", "verdict"]).passed();
    place.edit("tiny.yaml", "It is 42.", "\"It's 42.\"");
    place.run(&[]).passed().says("beside the goldens: 1 same, 1 drifted").says("cargo insta review");
    place.run_with("PROOFMARK_GATE", "strict", &["--skip", "verdict"]).failed().shown("drifted");
}

#[test]
fn the_strict_gate_asks_for_a_verdict() {
    let place = accepted();
    let ran = place.run_with("PROOFMARK_GATE", "strict", &[]).failed();
    assert_eq!(ran.outcomes()["verdict::tiny"], "FAILED");
    ran.says("cannot tell: difference 0.000 [−0.842, +0.842] over 2 trials of 2 clusters")
        .says("(PROOFMARK_GATE=strict)");
}

/// Quotes are part of an answer, so a difference in them is one that is shown.
#[test]
fn a_difference_in_quotes_is_shown() {
    let place = accepted();
    place.edit("tiny.yaml", "say: It is 42.", "say: '\"It is 42.\"'");
    place.run_with("PROOFMARK_GATE", "strict", &[]).failed().says("- It is 42.\n").says("+ \"It is 42.\"\n");
}

/// A model must not be able to colour, clear or rename a terminal.
#[test]
fn no_control_character_of_an_answer_reaches_the_terminal() {
    let place = place();
    place.edit(CASES, "grade: { number: 42 }\n  - id: b", "grade: { exact: fine }\n  - id: b");
    place.edit("tiny.yaml", "say: It is 42.", r#"say: "\e[31mred\e]0;title\a""#);
    place.run(&[]).failed().says("red").never_says("\u{1b}").never_says("\u{7}");
    place.accept();
    place.edit("tiny.yaml", "red", "blue");
    place.run_with("PROOFMARK_GATE", "strict", &[]).failed().never_says("\u{1b}").never_says("\u{7}");
}

#[test]
fn what_has_no_case_any_more_is_told() {
    let place = accepted().write(
        "models.yaml",
        "
version: 1
defaults: { backend: scripted, family: none, class: small }
models:
  small: { sources: [{ file: tiny.yaml }] }
  tiny: { sources: [{ file: tiny.yaml }] }
",
    );
    place.put("golden/sums/gone@tiny.snap", place.text(GOLDEN).replace("sums/small", "sums/gone"));
    place.put("golden/sums/small@gone.snap", place.text(GOLDEN).replace("tiny", "gone"));
    place.put("golden/shown/list@1.snap", "---\nsource: tests/golden.rs\n---\nnot one of a model\n");
    place.edit(CASES, "id: b", "id: c");
    let ran = place
        .run(&["::tiny"])
        .says("golden/sums/gone@tiny.snap: orphaned golden, its model or suite is gone")
        .says("golden/sums/small@gone.snap: orphaned golden, its model or suite is gone")
        .says("sums/small/b::tiny: orphaned golden entry, its case is gone")
        .never_says("golden/shown");
    assert_eq!(ran.stderr.matches("orphaned").count(), 3, "{}", ran.told());
    assert!(!place.text(NEW).contains("\"b\""), "accepting removes what has no case");
}

/// Its case is there, only mistaken: nothing is gone.
#[test]
fn a_wrong_case_keeps_what_was_accepted_of_it() {
    let place = accepted();
    place.edit(CASES, "prompt: What is 6 * 7?", "promt: What is 6 * 7?");
    place.edit("tiny.yaml", "It is 42.", "Surely 42.");
    place.run(&[]).failed().never_says("orphaned");
    assert!(place.text(NEW).contains("case: \"b\""), "{}", place.text(NEW));
}

#[test]
fn a_wrong_suite_keeps_what_was_accepted_of_it() {
    let place = accepted();
    place.edit(CASES, "version: 1\n", "version: 2\n");
    place.run(&[]).failed().never_says("orphaned");
}

#[test]
fn a_suite_of_wrong_cases_keeps_what_was_accepted_of_it() {
    let place = accepted();
    place.edit(CASES, "grade:", "grad:");
    place.edit(CASES, "grade:", "grad:");
    place.run(&[]).failed().never_says("orphaned");
}

#[test]
fn a_part_of_a_run_proposes_only_its_own() {
    let place = accepted();
    place.edit("tiny.yaml", "It is 42.", "Surely 42.");
    place.edit("tiny.yaml", "that is 41.", "that is 40.");
    place.run(&["small/a"]).passed().says("partial:");
    let proposed = place.text(NEW);
    assert!(proposed.contains("Surely 42.") && proposed.contains("that is 41."), "{proposed}");
}

#[test]
fn tags_propose_only_their_own() {
    let place = place();
    place.edit(CASES, "id: a\n", "id: a\n    tags: [easy]\n");
    place.run(&[]).failed();
    place.accept();
    place.edit("tiny.yaml", "It is 42.", "Surely 42.");
    place.run_with("PROOFMARK_TAGS", "easy", &[]).passed().says("1 drifted").never_says("orphaned");
    let proposed = place.text(NEW);
    assert!(proposed.contains("Surely 42.") && proposed.contains("that is 41."), "{proposed}");
}

/// First everything is run, then one case again: what the first run proposed of the others is still there.
#[test]
fn a_part_of_a_run_keeps_what_was_proposed_of_the_rest() {
    let place = place();
    place.run(&[]).failed();
    place.run(&["small/a"]).passed();
    let proposed = place.text(NEW);
    assert!(proposed.contains("It is 42.") && proposed.contains("that is 41."), "{proposed}");
    place.accept();
    place.edit("tiny.yaml", "that is 41.", "that is 40.");
    place.run(&[]).passed();
    place.run(&["small/a"]).passed();
    assert!(place.text(NEW).contains("that is 40."), "{}", place.text(NEW));
}

#[test]
fn nothing_is_proposed_in_ci() {
    let place = place();
    place.run_with("CI", "true", &[]).failed().never_says("insta");
    assert_eq!(place.files("").len(), 0);
}

#[test]
fn an_old_proposal_goes_when_it_no_longer_holds() {
    let place = accepted();
    place.edit("tiny.yaml", "It is 42.", "Surely 42.");
    place.run(&[]).passed();
    assert!(place.path(NEW).exists());
    place.edit("tiny.yaml", "Surely 42.", "It is 42.");
    place.run(&[]).passed();
    assert!(!place.path(NEW).exists());
}

#[test]
fn goldens_of_another_line_ending_are_read() {
    let place = accepted();
    place.put(GOLDEN, place.text(GOLDEN).replace('\n', "\r\n"));
    place.run(&[]).passed().says("2 same");
}
