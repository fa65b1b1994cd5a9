//! What the sandbox costs, and that it leaves nothing: prints times, and what was there before and after.
//!
//!     cargo run --release -p sandbox --example measure -- [candidates, 1000 unless given]

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use sandbox::judge::{Call, Candidate, Judged, Task};
use sandbox::{Language, Limits, Program, Sandbox};

#[expect(clippy::disallowed_methods, reason = "this measures")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    sandbox::child();
    let count = std::env::args().nth(1).map_or(Ok(1000), |it| it.parse())?;
    let out = &mut io::stdout();
    let begin = Instant::now();
    let sandbox = Sandbox::open()?;
    writeln!(out, "contained by {}, self-test {:?}", sandbox.containment(), begin.elapsed())?;

    for (language, source) in [
        (Language::Shell, "exit 0"),
        (Language::Python, "pass"),
        (Language::JavaScript, ""),
        (Language::Sql, ""),
        (Language::Rust, "fn main() {}"),
    ] {
        let program = Program::new(language, source);
        match sandbox.run(&program) {
            Err(error) => writeln!(out, "{language}: {error}")?,
            Ok(_) => writeln!(
                out,
                "{language}, an empty program: {}",
                middle(5, || sandbox.run(&program).map(drop))?
            )?,
        }
    }

    let calls = (0..50).map(|it| Call::read(&format!("add({it}, 1) == {}", it + 1)));
    let calls = calls.collect::<Result<Vec<_>, _>>().map_err(|mistake| mistake.message)?;
    let candidate = Candidate {
        language: Language::Python,
        source: "def add(a, b):\n    return a + b".to_owned(),
        limits: Limits::default(),
    };
    let task = Task::Calls { calls, tolerance: 0.0 };
    let judge = || match sandbox.judge(&candidate, &task) {
        Ok(verdict) if verdict.result == Judged::Right => Ok(()),
        Ok(verdict) => Err(sandbox::NotRun::Refused(verdict.reason)),
        Err(error) => Err(error),
    };
    writeln!(out, "50 calls of one candidate, all of it: {}", middle(21, judge)?)?;

    // Wrong ones, too, and such as leave something behind.
    let sources = [
        candidate.source.as_str(),
        "def add(a, b):\n    return 0",
        "import os\ndef add(a, b):\n    os._exit(0)",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\ndef add(a, b):\n    return 0",
        "open('left', 'w').write('x')\ndef add(a, b):\n    return 0",
    ];
    judge()?;
    let before = Left::here()?;
    let begin = Instant::now();
    for place in 0..count {
        let candidate = Candidate { source: sources[place % sources.len()].to_owned(), ..candidate.clone() };
        sandbox.judge(&candidate, &task)?;
    }
    let each = begin.elapsed() / u32::try_from(count.max(1))?;
    let after = Left::here()?;
    writeln!(
        out,
        "{count} candidates, one after the other: {each:?} each\nbefore: {before:?}\nafter:  {after:?}"
    )?;
    if before == after { Ok(()) } else { Err("something is left".into()) }
}

/// The median of some rounds.
#[expect(clippy::disallowed_methods, reason = "this measures")]
fn middle(
    rounds: usize,
    mut work: impl FnMut() -> Result<(), sandbox::NotRun>,
) -> Result<String, sandbox::NotRun> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let begin = Instant::now();
        work()?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    let milliseconds = |it: Duration| it.as_secs_f64() * 1e3;
    let (least, median) = (milliseconds(times[0]), milliseconds(times[rounds / 2]));
    Ok(format!("{median:.1} ms (median of {rounds}, least {least:.1})"))
}

/// What a run could leave behind.
#[derive(Debug, PartialEq)]
struct Left {
    children: usize,
    descriptors: usize,
    mounts: usize,
    files: usize,
    groups: usize,
}

impl Left {
    fn here() -> io::Result<Self> {
        let mine = std::process::id().to_string();
        let parent_of = |pid: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let rest = stat.rsplit_once(')').map_or("", |it| it.1).to_owned();
            rest.split_whitespace().nth(1).map(str::to_owned)
        };
        let names = |folder: &str| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.filter_map(|it| it.file_name().into_string().ok()).collect::<Vec<_>>()
        };
        let ours =
            |folder: &str| names(folder).iter().filter(|it| it.starts_with("proofmark-sandbox-")).count();
        let own_groups = std::fs::read_to_string("/proc/self/cgroup")?;
        let groups = own_groups.lines().filter_map(|it| it.splitn(3, ':').nth(2));
        let temporary = std::env::temp_dir();
        Ok(Self {
            children: names("/proc").iter().filter(|it| parent_of(it).as_deref() == Some(&mine)).count(),
            descriptors: names("/proc/self/fd").len(),
            mounts: std::fs::read_to_string("/proc/self/mounts")?.lines().count(),
            files: ours(&temporary.to_string_lossy()),
            groups: groups
                .map(|it| ours(&format!("/sys/fs/cgroup/memory{it}")) + ours(&format!("/sys/fs/cgroup{it}")))
                .sum(),
        })
    }
}
