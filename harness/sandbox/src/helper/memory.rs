//! Memory of all of a program's processes together: a control group where there is one, else a watch.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process;

use super::{Step, said, sys};

/// Limits of swap, and whether memory is part of what they count.
const SWAP: [(&str, bool); 2] = [("memory.swap.max", false), ("memory.memsw.limit_in_bytes", true)];

/// A control group for one run; goes when dropped.
pub(crate) struct Group {
    folder: PathBuf,
    processes: File,
    events: &'static str,
}

/// What folders of ours are called, before the process id.
pub(crate) const NAME: &str = "proofmark-sandbox-";

impl Group {
    /// A new group with a limit; `None` where this process cannot make one.
    pub(crate) fn new(bytes: u64) -> Option<Self> {
        let name = format!("{NAME}{}", process::id());
        parents().into_iter().find_map(|(parent, limit, events)| {
            let folder = parent.join(&name);
            fs::create_dir(&folder).ok()?;
            let made = fs::write(folder.join(limit), bytes.to_string())
                .and_then(|()| OpenOptions::new().write(true).open(folder.join("cgroup.procs")));
            // Nor may more go into swap, where that is counted.
            for (file, all) in SWAP {
                let most = if all { bytes } else { 0 };
                drop(fs::write(folder.join(file), most.to_string()));
            }
            if made.is_err() {
                drop(fs::remove_dir(&folder));
            }
            made.ok().map(|processes| Self { folder, processes, events })
        })
    }

    /// Puts the calling process into the group.
    pub(crate) fn join(&self) -> Step<()> {
        (&self.processes).write_all(b"0").map_err(said("joining the control group"))
    }

    /// Whether the kernel had to kill something here.
    pub(crate) fn overflowed(&self) -> bool {
        let events = fs::read_to_string(self.folder.join(self.events)).unwrap_or_default();
        events.lines().any(|it| it.strip_prefix("oom_kill ").is_some_and(|count| count != "0"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What was just killed may be on its way out.
        for _ in 0..50 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

/// Where groups of ours may be made: the folder, the file of the limit, the file that counts kills.
fn parents() -> Vec<(PathBuf, &'static str, &'static str)> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    own.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
            match controllers {
                "" => Some((PathBuf::from("/sys/fs/cgroup").join(path), "memory.max", "memory.events")),
                it if it.split(',').any(|it| it == "memory") => Some((
                    PathBuf::from("/sys/fs/cgroup/memory").join(path),
                    "memory.limit_in_bytes",
                    "memory.oom_control",
                )),
                _ => None,
            }
        })
        .collect()
}

/// Removes groups that helpers left when they were killed themselves.
pub(crate) fn sweep() {
    for (parent, ..) in parents() {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|it| it.strip_prefix(NAME)).and_then(|it| it.parse().ok());
            if pid.is_some_and(|pid: u32| !PathBuf::from(format!("/proc/{pid}")).exists()) {
                drop(fs::remove_dir(entry.path()));
            }
        }
    }
}

/// The children of a process, by any of its threads.
pub(crate) fn children(pid: sys::pid_t) -> Vec<sys::pid_t> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|it| fs::read_to_string(it.path().join("children")).ok())
        .flat_map(|it| it.split_whitespace().filter_map(|it| it.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Bytes that a process and all below it keep in memory, the tables of their addresses and what is swapped out too.
pub(crate) fn resident(pid: sys::pid_t) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kilobytes = |line: &str| {
        let kept = ["VmRSS:", "VmPTE:", "VmSwap:"].iter().find_map(|it| line.strip_prefix(it))?;
        kept.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    let own: u64 = status.lines().filter_map(kilobytes).sum();
    own * 1024 + children(pid).into_iter().map(resident).sum::<u64>()
}
