//! Attacks: programs that try to break out, to use too much, or to outlive their run.
//!
//! Each is a file in `attacks/`, runs contained in every way there is here, and says WORKED for what it must not be
//! able to do. What it says counts for little: the test looks at the targets afterwards.
#![expect(clippy::unwrap_used, reason = "clippy's exception for tests leaves out what they share")]

mod common;

use std::time::Duration;

use common::{Targets, each};
use rstest::rstest;
use sandbox::{Containment, Ended, Language, Limits, Program, Run};

const PRELUDE: &str = include_str!("attacks/prelude.py");

/// How an attack may end.
enum By {
    /// By itself: it was given errors.
    Itself,
    /// With the limit that it runs into.
    Limit(Ended),
    /// By this signal.
    Signal(i32),
    /// In any way: that nothing worked is what counts.
    Any,
}

fn limits() -> Limits {
    Limits { cpu: Duration::from_secs(2), wall: Duration::from_mins(2), ..Limits::default() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]).into_owned()
}

#[track_caller]
fn check(source: &str, limits: &Limits, processes: bool, by: &By) {
    for sandbox in each() {
        let mut targets = Targets::new();
        let program = Program {
            files: vec![targets.told()],
            limits: limits.clone(),
            processes,
            ..Program::new(Language::Python, format!("{PRELUDE}\n{source}"))
        };
        let run = sandbox.run(&program).unwrap();
        let told = text(&run.stdout);
        assert!(!told.contains("WORKED"), "{}:\n{told}\n{}", run.containment, text(&run.stderr));
        let is_as_said = match by {
            By::Itself => run.ended == Ended::Exited(0),
            By::Limit(limit) => run.ended == *limit,
            By::Signal(signal) => run.ended == Ended::Signalled(*signal),
            By::Any => true,
        };
        assert!(is_as_said, "{}: {}:\n{told}\n{}", run.containment, run.ended, text(&run.stderr));
        targets.assert_untouched();
    }
}

#[rstest]
#[case::read_files(include_str!("attacks/read_files.py"))]
#[case::write_files(include_str!("attacks/write_files.py"))]
#[case::links(include_str!("attacks/links.py"))]
#[case::network(include_str!("attacks/network.py"))]
#[case::processes(include_str!("attacks/processes.py"))]
#[case::first_process(include_str!("attacks/first_process.py"))]
#[case::descriptors(include_str!("attacks/descriptors.py"))]
#[case::namespaces(include_str!("attacks/namespaces.py"))]
#[case::kernel(include_str!("attacks/kernel.py"))]
#[case::memory(include_str!("attacks/memory.py"))]
#[case::many_files(include_str!("attacks/many_files.py"))]
fn is_refused(#[case] source: &str) {
    check(source, &limits(), false, &By::Itself);
}

#[rstest]
#[case::fork_bomb(include_str!("attacks/fork_bomb.py"))]
#[case::daemon(include_str!("attacks/daemon.py"))]
#[case::set_user(include_str!("attacks/set_user.py"))]
#[case::network(include_str!("attacks/network.py"))]
#[case::processes(include_str!("attacks/processes.py"))]
#[case::namespaces(include_str!("attacks/namespaces.py"))]
fn is_refused_to_what_may_start_processes(#[case] source: &str) {
    check(source, &limits(), true, &By::Itself);
}

#[rstest]
#[case::cpu(include_str!("attacks/loop.py"), Ended::CpuLimit)]
#[case::cpu_after_the_warning(include_str!("attacks/loop_on.py"), Ended::CpuLimit)]
#[case::output(include_str!("attacks/flood.py"), Ended::OutputLimit)]
#[case::errors(include_str!("attacks/flood_of_errors.py"), Ended::OutputLimit)]
fn runs_into_a_limit(#[case] source: &str, #[case] limit: Ended) {
    check(source, &Limits { cpu: Duration::from_secs(1), ..limits() }, false, &By::Limit(limit));
}

#[rstest]
#[case::sleep(include_str!("attacks/sleep.py"))]
#[case::stop_itself(include_str!("attacks/stop_itself.py"))]
fn runs_out_of_time(#[case] source: &str) {
    let limits = Limits { wall: Duration::from_secs(1), ..limits() };
    check(source, &limits, false, &By::Limit(Ended::WallLimit));
}

#[test]
fn writes_no_more_than_it_may() {
    check(include_str!("attacks/large_files.py"), &limits(), false, &By::Any);
}

#[test]
fn takes_no_more_memory_with_children_than_alone() {
    let limits = Limits { cpu: Duration::from_secs(10), ..limits() };
    check(include_str!("attacks/memory_of_children.py"), &limits, true, &By::Any);
}

#[test]
fn starts_no_more_threads_than_it_may() {
    for sandbox in each() {
        let source = format!("{PRELUDE}\n{}", include_str!("attacks/threads.py"));
        let (limits, files) = (limits(), vec![Targets::new().told()]);
        let tasks = limits.tasks;
        let run = sandbox.run(&Program { limits, files, ..Program::new(Language::Python, source) }).unwrap();
        let told = text(&run.stdout);
        let started: u64 = told.rsplit_once("started ").unwrap().1.trim().parse().unwrap();
        // Without a user of its own, those of the same user count too, and cannot be told apart.
        let others = if run.containment == Containment::Reduced { common::tasks() } else { 0 };
        assert!(started > 10 && started <= tasks + others, "{}: {told}", run.containment);
    }
}

#[test]
fn is_killed_for_calls_of_another_kind() {
    check(include_str!("attacks/x32.py"), &limits(), false, &By::Signal(31));
}

/// What an honest program finds.
#[track_caller]
fn run(language: Language, source: &str) -> Vec<(Containment, Run)> {
    let limits = Limits { wall: Duration::from_mins(1), ..Limits::default() };
    let program = Program { limits, stdin: b"3 4\n".to_vec(), ..Program::new(language, source) };
    each().into_iter().map(|it| (it.containment(), it.run(&program).unwrap())).collect()
}

#[test]
fn reads_its_input_and_prints() {
    let source = "a, b = map(int, input().split())\nprint(a + b)\nimport sys; sys.exit(3)";
    for (containment, run) in run(Language::Python, source) {
        assert_eq!(
            (run.ended, text(&run.stdout).as_str()),
            (Ended::Exited(3), "7\n"),
            "{}",
            text(&run.stderr)
        );
        assert_eq!(run.containment, containment);
        assert!(run.cpu > Duration::ZERO && run.peak_bytes > 1 << 20, "{run:?}");
    }
}

#[test]
fn sees_the_same_wherever_it_runs() {
    let source = "import os, sys, time\n\
        print(sorted(os.environ.items()), hash('a'), time.tzname, sys.flags.safe_path, sys.path, id(object) > 0)\n\
        print({'a', 'b', 'c', 'd'}, sys.getdefaultencoding(), sys.stdout.encoding)";
    let told: Vec<String> =
        (0..3).flat_map(|_| run(Language::Python, source)).map(|it| text(&it.1.stdout)).collect();
    assert!(told.iter().all(|it| it == &told[0] && it.contains("UTC")), "{told:#?}");
}
