//! Cheats: candidates that try to pass without being right. None may, whatever they are judged by.
#![expect(clippy::unwrap_used, reason = "clippy's exception for tests leaves out what they share")]

mod common;

use std::time::Duration;

use common::{each, sandbox};
use rstest::rstest;
use sandbox::judge::{Call, Candidate, Judged, Task, TestCode, Verdict};
use sandbox::{Language, Limits, Sandbox};

fn candidate(source: &str) -> Candidate {
    let limits = Limits { cpu: Duration::from_secs(3), wall: Duration::from_secs(4), ..Limits::default() };
    Candidate { language: Language::Python, source: source.to_owned(), limits }
}

fn calls() -> Task {
    // What is wanted is found nowhere in what is sent.
    let calls = ["add(2, 3) == 5", "add(1, 0) == 1", "add(1000003, 31337) == 1031340"];
    Task::Calls { calls: calls.map(|it| Call::read(it).unwrap()).into(), tolerance: 0.0 }
}

fn tests() -> Task {
    let tests = "\
def check(candidate):
    assert candidate(2, 3) == 5
    assert type(candidate(1, 0)) is int
    assert candidate(1000003, 31337) == 1031340
    assert abs(candidate(0.5, 0.25) - 0.75) < 1e-9
";
    Task::Tests(TestCode {
        entries: vec!["add".to_owned()],
        given: String::new(),
        tests: tests.to_owned(),
        reference: None,
    })
}

#[track_caller]
fn judge(sandbox: &Sandbox, source: &str, task: &Task) -> Verdict {
    sandbox.judge(&candidate(source), task).unwrap()
}

#[rstest]
#[case::exits_at_once(include_str!("cheats/exits_at_once.py"))]
#[case::exits_when_called(include_str!("cheats/exits_when_called.py"))]
#[case::equals_everything(include_str!("cheats/equals_everything.py"))]
#[case::subclass_of_int(include_str!("cheats/subclass_of_int.py"))]
#[case::pretends_its_class(include_str!("cheats/pretends_its_class.py"))]
#[case::says_the_markers(include_str!("cheats/says_the_markers.py"))]
#[case::floods_with_answers(include_str!("cheats/floods_with_answers.py"))]
#[case::answers_every_nonce(include_str!("cheats/answers_every_nonce.py"))]
#[case::answers_twice(include_str!("cheats/answers_twice.py"))]
#[case::patches_unittest(include_str!("cheats/patches_unittest.py"))]
#[case::patches_builtins(include_str!("cheats/patches_builtins.py"))]
#[case::walks_the_frames(include_str!("cheats/walks_the_frames.py"))]
#[case::looks_for_what_is_wanted(include_str!("cheats/looks_for_what_is_wanted.py"))]
#[case::traces_the_tests(include_str!("cheats/traces_the_tests.py"))]
#[case::nests_deep(include_str!("cheats/nests_deep.py"))]
#[case::returns_deep(include_str!("cheats/returns_deep.py"))]
#[case::returns_itself(include_str!("cheats/returns_itself.py"))]
#[case::returns_much(include_str!("cheats/returns_much.py"))]
#[case::never_ends_a_line(include_str!("cheats/never_ends_a_line.py"))]
#[case::returns_nan(include_str!("cheats/returns_nan.py"))]
#[case::returns_a_bool(include_str!("cheats/returns_a_bool.py"))]
#[case::returns_a_float(include_str!("cheats/returns_a_float.py"))]
#[case::returns_text(include_str!("cheats/returns_text.py"))]
#[case::leaves_a_thread(include_str!("cheats/leaves_a_thread.py"))]
#[case::leaves_a_process(include_str!("cheats/leaves_a_process.py"))]
#[case::ends_with_a_claim(include_str!("cheats/ends_with_a_claim.py"))]
#[case::raises_what_passes(include_str!("cheats/raises_what_passes.py"))]
#[case::recurses(include_str!("cheats/recurses.py"))]
#[case::kills_itself(include_str!("cheats/kills_itself.py"))]
#[case::closes_the_channel(include_str!("cheats/closes_the_channel.py"))]
#[case::replaces_the_module(include_str!("cheats/replaces_the_module.py"))]
#[case::hides_in_containers(include_str!("cheats/hides_in_containers.py"))]
#[case::calls_what_is_not_there(include_str!("cheats/calls_what_is_not_there.py"))]
#[case::returns_what_is_no_data(include_str!("cheats/returns_what_is_no_data.py"))]
#[case::sleeps(include_str!("cheats/sleeps.py"))]
#[case::returns_a_deep_key(include_str!("cheats/returns_a_deep_key.py"))]
#[case::raises_everything(include_str!("cheats/raises_everything.py"))]
#[case::answers_in_another_type(include_str!("cheats/answers_in_another_type.py"))]
#[case::changes_its_name(include_str!("cheats/changes_its_name.py"))]
#[case::starts_threads_that_answer(include_str!("cheats/starts_threads_that_answer.py"))]
#[case::patches_what_is_beside(include_str!("cheats/patches_what_is_beside.py"))]
#[case::wrong("def add(a, b):\n    return 0")]
#[case::nothing("")]
#[case::no_code("I am sorry, I cannot do that.")]
#[case::no_text("\0")]
fn does_not_pass(#[case] source: &str) {
    for sandbox in each() {
        for task in [calls(), tests()] {
            let verdict = judge(&sandbox, source, &task);
            assert_eq!(verdict.result, Judged::Wrong, "{}", verdict.reason);
            assert!(verdict.reason.len() < 400, "{}", verdict.reason);
        }
    }
}

/// Messages of the wrong shape, under the right nonce.
#[test]
fn does_not_pass_by_what_is_no_answer() {
    for shape in [
        r#"{"r": {"i": 5}}"#,
        r#"{"r": {"i": "5"}}"#,
        r#"{"r": {"i": "0x"}}"#,
        r#"{"r": {"i": "0x5", "f": "5.0"}}"#,
        r#"{"r": {"f": "five"}}"#,
        r#"{"r": {"l": null}}"#,
        r#"{"r": {"d": [[1]]}}"#,
        r#"{"r": {"S": [{"i": "0x1"}, {"i": "0x01"}]}}"#,
        r#"{"r": {"function": 0}}"#,
        r#"{"r": {}}"#,
        r#"{"r": 5}"#,
        r#"{"r": []}"#,
        r#"{"x": []}"#,
        r#"{"x": [5], "m": ""}"#,
        r#"{"x": ["ValueError"]}"#,
        r#"{"u": 5}"#,
        r#"{"ask": 0}"#,
        r#"{"ask": 0, "a": [5]}"#,
        r#"{"load": "ok"}"#,
        r#"{"end": "passed"}"#,
        "{}",
    ] {
        let source = format!(
            "import json, sys\ndef add(a, b):\n    inside = sys._getframe(1).f_locals\n    \
             inside['send']({{'n': inside['call']['n'], **json.loads('{shape}')}})\n    return a + b"
        );
        for task in [calls(), tests()] {
            let verdict = judge(&sandbox(), &source, &task);
            assert_eq!(verdict.result, Judged::Wrong, "{shape}: {}", verdict.reason);
        }
    }
}

const PAIRS: &str = "\
def slow(a, t):
    return any(a[i] + a[j] == t for i in range(len(a)) for j in range(i))
";

/// Work is compared with a reference's, and a candidate that is slow finds a way to look fast.
#[rstest]
#[case::keeps_results(
    "kept = {}\ndef pair(a, t):\n    key = repr(a)\n    if key not in kept:\n        kept[key] = slow(a, t)\n    return kept[key]"
)]
#[case::gives_up_on_large("def pair(a, t):\n    return slow(a, t) if t == 3 else None")]
#[case::guesses_on_large("def pair(a, t):\n    return slow(a, t) if t == 3 else 1")]
#[case::ends_with_its_answer(
    "import os, sys\ndef pair(a, t):\n    inside = sys._getframe(1).f_locals\n    \
     inside['send']({'n': inside['call']['n'], 'r': slow(a, t)})\n    if len(a) > 100: os._exit(0)\n    raise SystemExit"
)]
#[case::works_in_a_thread(
    "import threading\ndef pair(a, t):\n    found = []\n    \
     work = threading.Thread(target=lambda: found.append(slow(a, t)))\n    work.start()\n    work.join()\n    return found[0]"
)]
#[case::works_on_after_its_answer(
    "import threading\ndef pair(a, t):\n    threading.Thread(target=slow, args=(a, t)).start()\n    return slow(a, t)"
)]
fn does_not_look_fast(#[case] source: &str) {
    let task = Task::Tests(TestCode {
        entries: vec!["pair".to_owned()],
        given: String::new(),
        tests: "large = list(range(0, 3000, 2))\nassert pair(large, 3) == False\nassert slowdown(large, 5999) < 10"
            .to_owned(),
        reference: Some("def pair(a, t):\n    seen = set(a)\n    return any(t - it in seen for it in a)".to_owned()),
    });
    let verdict = judge(&sandbox(), &format!("{PAIRS}{source}"), &task);
    assert_eq!(verdict.result, Judged::Wrong, "{}", verdict.reason);
}

/// One that makes everybody wait is wrong: what waits for it does not run out of time, which would be no verdict.
#[test]
fn does_not_use_up_the_time_of_the_reference() {
    let task = Task::Tests(TestCode {
        entries: vec!["add".to_owned()],
        given: String::new(),
        tests: "add(1, 2)\nreference(1, 2)\nassert add(1, 2) == 3".to_owned(),
        reference: Some("import time\ndef add(a, b):\n    time.sleep(1)\n    return a + b".to_owned()),
    });
    let verdict = judge(&sandbox(), "import time\ndef add(a, b):\n    time.sleep(3.4)\n    return 3", &task);
    assert_eq!(verdict.result, Judged::Wrong, "{}", verdict.reason);
}

/// Tests are written as people write them, and a candidate finds the gap.
#[rstest]
#[case::ends_the_loop(
    "def add(a, b):\n    raise StopIteration",
    "assert all(map(lambda it: add(it, 1) == it + 1, range(5)))"
)]
#[case::ends_the_loop_by_a_class_of_its_own(
    "class Stop(StopIteration): pass\ndef add(a, b):\n    raise Stop",
    "assert [*map(add, [1], [2])] != [1]"
)]
#[case::empties_its_argument(
    "def add(a, b):\n    a.clear()\n    return []",
    "items = [3, 1, 2]\nassert add(items, None) == sorted(items)"
)]
#[case::is_no_skip(
    "import unittest\ndef add(a, b):\n    raise unittest.SkipTest",
    "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(add(1, 2), 3)"
)]
#[case::is_no_exit("def add(a, b):\n    raise SystemExit(0)", "assert add(1, 2) == 3")]
#[case::is_no_interrupt("def add(a, b):\n    raise KeyboardInterrupt", "assert add(1, 2) == 3")]
#[case::wants_more_than_a_message("def add(a, b):\n    return b'\\xff'.decode()", "assert add(1, 2) == 3")]
fn does_not_pass_loose_tests(#[case] source: &str, #[case] tests: &str) {
    let (given, tests) = (String::new(), tests.to_owned());
    let task = Task::Tests(TestCode { entries: vec!["add".to_owned()], given, tests, reference: None });
    let verdict = judge(&sandbox(), source, &task);
    assert_eq!(verdict.result, Judged::Wrong, "{}", verdict.reason);
}

#[test]
fn what_is_right_passes_each_time() {
    let source = "def add(a, b):\n    print('hello')\n    return a + b";
    for sandbox in each() {
        for task in [calls(), tests()] {
            for _ in 0..5 {
                let verdict = judge(&sandbox, source, &task);
                assert_eq!(verdict.result, Judged::Right, "{}", verdict.reason);
                assert_eq!(verdict.containment, sandbox.containment());
            }
        }
    }
}

/// Tests that are code are the model's here, and what they say of themselves counts for nothing.
#[rstest]
#[case::good(
    "def test_add():\n    assert add(2, 3) == 5\n    assert add(0, 2) == 2\n    assert add(-1, 1) == 0",
    Judged::Right
)]
#[case::plain("assert add(2, 3) == 5\nassert add(0, 2) == 2", Judged::Right)]
#[case::imported(
    "from solution import add\ndef test(): assert add(2, 3) == 5 and add(0, 2) == 2",
    Judged::Right
)]
#[case::units(
    "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(add(2, 3), 5)\n        self.assertEqual(add(0, 2), 2)",
    Judged::Right
)]
#[case::weak("assert add(2, 3) == 5", Judged::Caught { caught: 1, of: 2 })]
#[case::empty("", Judged::Wrong)]
#[case::without_a_call("assert True", Judged::Wrong)]
#[case::always_passes("try:\n    assert add(2, 3) == 0\nexcept AssertionError: pass", Judged::Caught { caught: 0, of: 2 })]
#[case::always_fails("add(1, 1)\nassert False", Judged::Wrong)]
#[case::ends_early("import os\nadd(1, 1)\nos._exit(0)", Judged::Wrong)]
#[case::claims("import os\nos.write(3, b'{\"end\": \"passed\", \"why\": \"\"}\\n')", Judged::Caught { caught: 0, of: 2 })]
#[case::claims_in_turn(
    "import os, time\nos.write(3, b'{\"end\": \"%s\", \"why\": \"\"}\\n' % (b'passed', b'failed')[time.time_ns() // 1000 % 2])\nos._exit(0)",
    Judged::Wrong
)]
#[case::reads_the_other(
    "import os\nsource = open('/box/candidate.py').read()\nassert 'a + b' in source\nassert add(1, 1) == 2",
    Judged::Wrong
)]
#[case::no_code("I would test that it adds.", Judged::Wrong)]
fn mutants(#[case] source: &str, #[case] wanted: Judged) {
    let task = Task::Mutants {
        entries: vec!["add".to_owned()],
        right: "def add(a, b):\n    return a + b".to_owned(),
        wrong: vec![
            "def add(a, b):\n    return a * b".to_owned(),
            "def add(a, b):\n    return a + b if a else 0".to_owned(),
        ],
    };
    let verdict = judge(&sandbox(), source, &task);
    if source.contains("time_ns") {
        // A guess for each of three cannot be right for long.
        let guesses: Vec<_> = (0..6).map(|_| judge(&sandbox(), source, &task).result).collect();
        assert!(guesses.iter().any(|it| *it != Judged::Right), "{guesses:?}");
        return;
    }
    assert_eq!(verdict.result, wanted, "{}", verdict.reason);
}

/// Tests that tell implementations apart by something else than what they do.
#[rstest]
#[case::by_what_is_beside(
    "import __main__ as runner\n\
     runner.send({'call': 'total', 'to': 'candidate', 'a': [{'i': '0x1'}, {'i': '0x2'}], 'k': {}})\n\
     assert 'r' in runner.json.loads(runner.lines.readline())\nassert add(1, 1) == 2"
)]
#[case::by_its_code("assert add.__code__.co_consts\nassert add(1, 1) == 2")]
#[case::by_its_source("import inspect\nassert 'total' in inspect.getsource(add)\nassert add(1, 1) == 2")]
#[case::by_its_module("import solution\nassert solution.total\nassert add(1, 1) == 2")]
#[case::by_a_reference("assert reference(1, 1) == 2\nassert add(1, 1) == 2")]
fn tests_that_cheat(#[case] source: &str) {
    let right = "def total(a, b):\n    return a + b\ndef add(a, b):\n    return total(a, b)";
    let task = Task::Mutants {
        entries: vec!["add".to_owned()],
        right: right.to_owned(),
        wrong: vec!["def add(a, b):\n    return a + b if a < 9 else 0".to_owned()],
    };
    let verdict = judge(&sandbox(), source, &task);
    assert_eq!(verdict.result, Judged::Wrong, "{}", verdict.reason);
}
