//! Attacks: programs that try to break out, to use too much, or to outlive their run.
//!
//! Each is a file in `attacks/`, runs contained in every way there is here, and says WORKED for what it must not be
//! able to do. What it says counts for little: the test looks at the targets afterwards.
#![expect(clippy::unwrap_used, reason = "clippy's exception for tests leaves out what they share")]

mod common;

use std::time::Duration;

use common::{Targets, each};
use rstest::rstest;
use sandbox::{Containment, Ended, Language, Limits, NotRun, Program, Run};

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
#[case::shared_memory(include_str!("attacks/shared_memory.py"))]
#[case::tables(include_str!("attacks/tables.py"))]
#[case::signals_by_descriptors(include_str!("attacks/signals_by_descriptors.py"))]
#[case::sockets(include_str!("attacks/sockets.py"))]
#[case::watches(include_str!("attacks/watches.py"))]
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
#[case::kernel(include_str!("attacks/kernel.py"))]
#[case::signals_by_descriptors(include_str!("attacks/signals_by_descriptors.py"))]
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

#[test]
fn makes_no_calls_of_another_architecture() {
    check(include_str!("attacks/other_architecture.py"), &limits(), false, &By::Any);
}

/// One run leaves nothing that the next one finds.
#[test]
fn tells_nothing_to_the_next() {
    let source = format!("{PRELUDE}\n{}", include_str!("attacks/message.py"));
    for sandbox in each() {
        let told: Vec<String> = (0..2)
            .map(|_| {
                let files = vec![Targets::new().told()];
                let run = sandbox.run(&Program { files, ..Program::new(Language::Python, source.clone()) });
                text(&run.unwrap().stdout)
            })
            .collect();
        assert!(!told.concat().contains("WORKED") && told.iter().all(|it| it.contains("looked")), "{told:?}");
    }
}

/// What is expected of programs is likely where the harness works, which may be within the system's folders.
#[test]
fn does_not_see_where_the_harness_works() {
    let Ok(folder) = tempfile::tempdir_in("/usr/local") else {
        assert!(!is_root(), "root can make folders");
        // Nobody else works there.
        return;
    };
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), mode).unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let told = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "works_elsewhere", "--ignored", "--nocapture"])
        .env("SANDBOX_SECRET", &secret)
        .env("SANDBOX_HELPER", common::helper())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = text(&told.stdout);
    assert!(told.contains("contained: read what is beside") && !told.contains("WORKED"), "{told}");
}

#[test]
#[ignore = "started by another test, in a folder that it makes"]
fn works_elsewhere() {
    let Ok(secret) = std::env::var("SANDBOX_SECRET") else { return };
    let source = format!(
        "{PRELUDE}\nattempt('read what is beside', lambda: open({secret:?}).read())\n\
         attempt('list it', lambda: os.listdir(os.path.dirname({secret:?})) or 1 / 0)"
    );
    for sandbox in each() {
        let program =
            Program { files: vec![Targets::new().told()], ..Program::new(Language::Python, source.clone()) };
        let run = sandbox.run(&program).unwrap();
        assert!(run.ended == Ended::Exited(0), "{run:?}");
        let told = text(&run.stdout);
        std::io::Write::write_all(&mut std::io::stdout(), told.as_bytes()).unwrap();
    }
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
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

/// Each language that this machine has runs in each containment that can run it.
#[rstest]
#[case(Language::Python, "print(int(input()[0]) + 4)")]
#[case(Language::JavaScript, "console.log(3 + 4, require('crypto').createHash('sha256') ? '' : 1)")]
#[case(Language::Sql, "select 3 + 4;")]
#[case(Language::Shell, "echo $((3 + 4))")]
#[case(Language::Rust, "fn main() { println!(\"{}\", 3 + 4) }")]
fn runs_wherever_it_can(#[case] language: Language, #[case] source: &str) {
    for sandbox in each() {
        match sandbox.run(&Program { stdin: b"3 4\n".to_vec(), ..Program::new(language, source) }) {
            Ok(run) => assert_eq!(
                (run.ended, text(&run.stdout).trim()),
                (Ended::Exited(0), "7"),
                "{}: {}",
                run.containment,
                text(&run.stderr)
            ),
            // Not here, or not without namespaces.
            Err(NotRun::Missing(reason)) => assert!(reason.starts_with(&format!("{language} ")), "{reason}"),
            Err(refused) => panic!("{}: {refused}", sandbox.containment()),
        }
    }
}
