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
