//! What is left after a run: nothing, whether it ended well, badly, or with the harness itself.
#![expect(clippy::unwrap_used, reason = "clippy's exception for tests leaves out what they share")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{each, running};
use sandbox::judge::{Call, Candidate, Judged, Task};
use sandbox::{Ended, Language, Limits, Program};

/// Process ids of the children of a process.
fn children_of(parent: u32) -> BTreeSet<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|it| it.file_name().to_str()?.parse().ok());
    ids.filter(|pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(')').map_or("", |it| it.1);
        rest.split_whitespace().nth(1) == Some(&parent.to_string())
    })
    .collect()
}

/// Mounts, descriptors, children, and files and groups of ours.
fn here() -> (usize, usize, BTreeSet<u32>, Vec<String>) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap().lines().count();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let groups = groups.lines().filter_map(|it| it.splitn(3, ':').nth(2));
    let groups = groups.flat_map(|it| [format!("/sys/fs/cgroup/memory{it}"), format!("/sys/fs/cgroup{it}")]);
    let folders = groups.chain([std::env::temp_dir().to_str().unwrap().to_owned()]);
    let entries = folders.flat_map(|it| std::fs::read_dir(it).into_iter().flatten().flatten());
    let names = entries.filter_map(|it| it.file_name().into_string().ok());
    let children = children_of(std::process::id());
    (mounts, descriptors, children, names.filter(|it| it.starts_with("proofmark-sandbox-")).collect())
}

/// The only test of this executable beside those that are started by hand: it counts what the process has.
#[test]
fn candidates_leave_nothing_and_are_judged_alike_each_time() {
    let calls = vec![Call::read("f(20) == 210").unwrap()];
    let task = Task::Calls { calls, tolerance: 0.0 };
    // Each with a set of text, whose order would tell if hashes were random.
    let candidates = [
        ("def f(n):\n    return sum(range(n + 1))", Judged::Right),
        ("def f(n):\n    return 210 if list({'a', 'b', 'c', 'd'})[0] == 'z' else 0", Judged::Wrong),
        ("import os\ndef f(n):\n    os._exit(0)", Judged::Wrong),
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\ndef f(n):\n    return 0",
            Judged::Wrong,
        ),
    ];
    for sandbox in each() {
        let before = here();
        for (source, wanted) in candidates {
            let limits = Limits { wall: Duration::from_mins(1), ..Limits::default() };
            let candidate = Candidate { language: Language::Python, source: source.to_owned(), limits };
            // A right one and a wrong one; those that end by force are slower.
            let repeats = if source.contains("import") { 5 } else { 20 };
            let verdicts: Vec<_> = (0..repeats).map(|_| sandbox.judge(&candidate, &task).unwrap()).collect();
            assert!(verdicts.iter().all(|it| *it == verdicts[0] && it.result == wanted), "{verdicts:#?}");
        }
        assert_eq!(here(), before);
    }
    a_killed_harness_leaves_nothing();
}

fn a_killed_harness_leaves_nothing() {
    for sandbox in each() {
        let token = format!("outlives-{}-{:?}", std::process::id(), sandbox.containment());
        let mut harness = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "harness_that_is_killed", "--ignored"])
            .env("SANDBOX_TOKEN", &token)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let wait_for = |what: &dyn Fn() -> bool| {
            let until = (0..600).find(|_| {
                std::thread::sleep(Duration::from_millis(50));
                what()
            });
            assert!(until.is_some(), "30 s were not enough");
        };
        wait_for(&|| running(&token).len() >= 2);
        let helpers = children_of(harness.id());
        assert!(!helpers.is_empty());
        harness.kill().unwrap();
        harness.wait().unwrap();
        // A moment is enough; a busy machine may take longer.
        wait_for(&|| {
            let helper_left = helpers.iter().any(|it| Path::new(&format!("/proc/{it}")).exists());
            running(&token).is_empty() && !helper_left
        });
    }
}

#[test]
#[ignore = "started by another test, which kills it"]
fn harness_that_is_killed() {
    let Ok(token) = std::env::var("SANDBOX_TOKEN") else { return };
    let source = format!(
        "import os, sys\nos.execv(sys.executable, ['python3', '-c', 'import time; time.sleep(600)', '{token}'])"
    );
    let sandbox = each().into_iter().find(|it| token.contains(&format!("{:?}", it.containment()))).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let limits = Limits { wall: Duration::from_mins(10), ..Limits::default() };
                let program = Program { limits, ..Program::new(Language::Python, source.clone()) };
                let ended = sandbox.run(&program).unwrap().ended;
                assert_eq!(ended, Ended::WallLimit);
            });
        }
    });
}
