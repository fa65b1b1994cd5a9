//! Runs that are killed, taken up again, or not alone.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::place::{Place, Ran, open_store};

const CASES: &str = "cases/slow/sums.yaml";

/// Starts the harness, and waits until it stands still after this many trials.
fn started(place: &Place, trials: i64) -> Child {
    let mut child = place
        .command(&["--test-threads", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the harness can be started");
    // Minutes, as the machine may be busy: who waits for this long waits for nothing.
    for _ in 0..30_000 {
        let stored = "SELECT count(*) FROM trial WHERE run = (SELECT max(id) FROM run)";
        let count = open_store(&place.path("runs.db"))
            .and_then(|it| it.query_row(stored, [], |row| row.get::<_, i64>(0)).ok());
        if count.is_some_and(|it| it >= trials) {
            return child;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("it is a child of ours");
    child.wait().expect("it was just killed");
    panic!("no {trials} trials in five minutes");
}

/// Runs the harness and kills it, as `kill -9` does, where it stands still after this many trials.
fn killed(place: &Place, trials: usize) {
    let mut child = started(place, i64::try_from(trials).expect("the number is small"));
    child.kill().expect("it is still at work");
    child.wait().expect("it was just killed");
    place.release(trials);
}

/// The stored responses, with their times: an answer that is asked for again has others.
fn responses(place: &Place) -> BTreeMap<String, String> {
    let store = place.store();
    let mut query = store
        .prepare("SELECT name, response FROM trial WHERE response IS NOT NULL")
        .expect("the table is there");
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("it has no parameter");
    rows.map(|it| it.expect("the columns are text")).collect()
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    let place = Place::held(40, &[5]);
    killed(&place, 5);
    let before = responses(&place);
    assert_eq!(before.len(), 5);
    assert_eq!(place.count("SELECT count(*) FROM run WHERE ended_at IS NULL"), 1);

    let ran = place
        .run_with("PROOFMARK_RESUME", "1", &[])
        .passed()
        .says("run 1 goes on: 5 of 40 trials are there\n")
        .says("5 answers came from the run that was taken up again\n");
    // And the verdict.
    assert_eq!(ran.outcomes().len(), 41);
    assert_eq!(place.totals(), [40, 0, 0, 0]);
    assert_eq!(place.count("SELECT count(*) FROM run"), 1);
    assert_eq!(place.count("SELECT count(*) FROM run WHERE ended_at IS NOT NULL"), 1);
    let after = responses(&place);
    for (name, response) in &before {
        assert_eq!(after.get(name), Some(response), "{name} was asked again");
    }
}

#[test]
fn a_run_may_be_killed_again_and_again() {
    let stops = [3, 8, 13, 18];
    let place = Place::held(30, &stops).set("PROOFMARK_RESUME", "1");
    for trials in stops {
        killed(&place, trials);
        assert_eq!(place.count("SELECT count(*) FROM run"), 1);
        assert_eq!(
            place.store().query_row("PRAGMA integrity_check", [], |it| it.get(0)),
            Ok("ok".to_owned())
        );
    }
    place.run(&[]).passed();
    assert_eq!(place.totals(), [30, 0, 0, 0]);
    assert_eq!(place.count("SELECT count(*) FROM run WHERE ended_at IS NOT NULL"), 1);
}

#[test]
fn what_was_changed_meanwhile_is_asked_anew() {
    let place = Place::held(20, &[5]);
    killed(&place, 5);
    let before = responses(&place);
    let name = before.keys().next().unwrap().clone();
    let case = name.trim_start_matches("slow/sums/").trim_end_matches("::tiny");
    let number = case.trim_start_matches('c');
    place.edit(CASES, &format!("What is {number} + 0?"), &format!("What precisely is {number} + 0?"));
    let served = "4 answers came from the run that was taken up again";
    place.run_with("PROOFMARK_RESUME", "1", &[]).passed().says(served);
    let prompt = format!("SELECT count(*) FROM trial WHERE prompt = 'What precisely is {number} + 0?'");
    assert_eq!(place.count(&prompt), 1);
    assert_ne!(responses(&place)[&name], before[&name]);
    assert_eq!(place.totals(), [20, 0, 0, 0]);
}

/// Grading costs nothing: a changed grader judges the stored answer, but a changed model answers anew.
#[test]
fn another_model_answers_everything_anew() {
    let place = Place::held(10, &[3]);
    killed(&place, 3);
    place.edit("tiny.yaml", "version: 1", "version: 1\n# Another file.");
    place.run_with("PROOFMARK_RESUME", "1", &[]).passed().never_says("came from the run");
    assert_eq!(place.totals(), [10, 0, 0, 0]);
}

#[test]
fn what_went_meanwhile_is_forgotten() {
    let place = Place::held(12, &[4]);
    killed(&place, 4);
    let name = responses(&place).into_keys().next().unwrap();
    let case = name.trim_start_matches("slow/sums/").trim_end_matches("::tiny");
    let text = place.text(CASES);
    let text: Vec<&str> = text.lines().filter(|it| !it.contains(&format!("id: {case},"))).collect();
    place.put(CASES, text.join("\n"));
    place.run_with("PROOFMARK_RESUME", "1", &[]).passed();
    assert_eq!(place.totals(), [11, 0, 0, 0]);
}

#[test]
fn errors_are_asked_again() {
    let place = Place::held(8, &[3]);
    place.edit("tiny.yaml", "answers:\n", "answers:\n  - { when: is 0 + 0, fail: no luck }\n");
    killed(&place, 3);
    assert_eq!(place.count("SELECT count(*) FROM trial WHERE outcome = 'errored'"), 1);
    place
        .run_with("PROOFMARK_RESUME", "1", &[])
        .failed()
        .says("the backend failed: no luck")
        .says("2 answers came from the run");
    assert_eq!(place.totals(), [7, 0, 1, 0]);
}

#[test]
fn without_being_asked_nothing_is_taken_up() {
    let place = Place::held(10, &[3]);
    killed(&place, 3);
    place.run(&[]).passed().never_says("came from the run");
    assert_eq!(place.count("SELECT count(*) FROM run"), 2);
    assert_eq!(place.totals(), [10, 0, 0, 0]);
}

/// What is asked for is one trial, not that the others be forgotten.
#[test]
fn a_part_does_not_take_up_the_whole() {
    let place = Place::held(10, &[3]);
    killed(&place, 3);
    place
        .run_with("PROOFMARK_RESUME", "1", &["--exact", "slow/sums/c1::tiny"])
        .passed()
        .says("run 1 has trials that a filter leaves out now: it is kept as it is, this is a new run");
    assert_eq!(place.count("SELECT count(*) FROM trial WHERE run = 1"), 3);
    place.run_with("PROOFMARK_RESUME", "1", &[]).passed().says("run 1 goes on: 3 of 10 trials are there");
    assert_eq!(place.count("SELECT count(*) FROM trial WHERE run = 1"), 10);
}

#[test]
fn with_nothing_to_take_up_a_run_is_new() {
    let place = Place::with_two_cases();
    place
        .run_with("PROOFMARK_RESUME", "1", &[])
        .passed()
        .says("there is none to go on with, this is a new one");
    assert_eq!(place.totals(), [2, 0, 0, 0]);
}

#[test]
fn a_run_that_still_goes_on_is_not_taken_up() {
    let place = Place::held(60, &[3]);
    let child = started(&place, 3);
    let pid = child.id();
    place
        .run_with("PROOFMARK_RESUME", "1", &["sums/c1"])
        .passed()
        .says(&format!("process {pid} is still at work on the run that did not end: this is a new run"));
    place.release(3);
    Ran::from(child.wait_with_output().unwrap()).passed();
    assert_eq!(place.count("SELECT count(*) FROM run WHERE ended_at IS NOT NULL"), 2);
    assert_eq!(place.count("SELECT count(*) FROM trial WHERE run = 1"), 60);
    assert_eq!(place.count("SELECT count(*) FROM trial WHERE run = 2"), 11);
}

/// The store is made by whoever comes first: both may think that they do.
#[test]
fn two_runs_at_once_have_room_in_one_store() {
    for _ in 0..5 {
        let place = Place::many(30).write("tiny.yaml", "version: 1\notherwise: '42'\ndelay_ms: 1\n");
        let spawn = || place.command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let children: Vec<Child> = (0..4).map(|_| spawn()).collect();
        for child in children {
            Ran::from(child.wait_with_output().unwrap()).passed();
        }
        assert_eq!(place.count("SELECT count(*) FROM run WHERE ended_at IS NOT NULL"), 4);
        for run in 1..=4 {
            assert_eq!(place.count(&format!("SELECT count(*) FROM trial WHERE run = {run}")), 30);
        }
        assert_eq!(place.files(".snap.new").len(), 1);
        assert_eq!(place.files(".partial").len(), 0);
    }
}
