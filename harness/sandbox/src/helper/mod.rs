//! The helper: a process with one thread that shuts itself away, starts one program, watches it and ends it.
//!
//! | step | module |
//! |---|---|
//! | namespaces, the program's process, and what it inherits | this one |
//! | a root folder of its own | `root.rs` |
//! | memory of all its processes together | `memory.rs` |
//! | resource limits, capabilities, Landlock, seccomp | `confine.rs`, `filter.rs` |
//! | output, time, the end | `watch.rs` |
//! | attempts to break out | `attempts.rs` |
//! | system calls | `sys.rs` |
//!
//! The harness holds the other end of standard input: when it closes, for whatever reason, all is over here. An
//! error on the way is a refusal: then nothing is executed.

mod attempts;
mod confine;
mod filter;
mod memory;
mod root;
pub(crate) mod sys;
mod watch;

use std::fmt::Display;
use std::io::{PipeReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::job::{self, Job, Level};

/// The argument that makes an executable a helper.
pub(crate) const HELPER: &str = "proofmark-sandbox-helper";

/// Whether this process can start itself as a helper.
pub(crate) static CALLED: AtomicBool = AtomicBool::new(false);

pub(crate) use memory::{NAME, children};
pub(crate) use root::SYSTEM;

/// Bytes that the self-test may have.
pub(crate) const SELF_TEST_MEMORY: u64 = attempts::MEMORY as u64;

/// How many attempts to break out the self-test makes.
pub(crate) const ATTEMPTS: usize = attempts::NAMES.len();

/// Removes what helpers left on the machine when they were killed themselves.
pub(crate) fn sweep() {
    memory::sweep();
    watch::sweep();
}

/// The folder that a program works in, in its own root.
const BOX: &str = "/box";

/// Is the helper, and does not return, if the harness has started this process as one.
///
/// The first line of `main` in an executable that opens a sandbox: a helper is the same executable started anew.
pub fn child() {
    if std::env::args().nth(1).is_none_or(|it| it != HELPER) {
        CALLED.store(true, Ordering::Relaxed);
        return;
    }
    process::exit(i32::from(serve().is_err()));
}

/// A step that failed, in words.
type Step<T> = Result<T, String>;

/// Names the step that an error ended.
fn said<E: Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}

/// What a process on the way to the program says through its pipe.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    /// A step failed: nothing is executed.
    Refused(String),
    /// The program is over; this many bytes of the file that was asked for follow.
    Over { status: i32, cpu_micros: u64, peak_bytes: u64, brought: Option<usize> },
}

/// The files beside a program: name, bytes, whether they may be executed.
type Files = Vec<(String, Vec<u8>, bool)>;

/// A started program, seen from the helper.
struct Started {
    /// The first process of its namespace, or itself where it has none.
    pid: sys::pid_t,
    stdout: PipeReader,
    stderr: PipeReader,
    word: PipeReader,
}

fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let mut control = UnixStream::from(sys::adopt(0)?);
    let job: Job = job::take(&mut control)?;
    let mut files = Files::new();
    for (name, length, executable) in &job.files {
        files.push((name.clone(), job::take_bytes(*length, &mut control)?, *executable));
    }
    let stdin = job::take_bytes(job.stdin, &mut control)?;
    let channel = job.channel.then(|| sys::adopt(1)).transpose()?;
    let (report, streams) = watch::run(&job, &files, &stdin, channel, &control);
    job::put(&report, &mut control)?;
    for bytes in streams {
        control.write_all(&bytes)?;
    }
    Ok(())
}

/// What the program's process is given.
struct Inheritance {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    channel: Option<OwnedFd>,
    word: OwnedFd,
}

/// Where [`Word`]s are written to, in the processes after the helper. The next program does not inherit it.
const WORD: i32 = 4;

impl Inheritance {
    /// Puts each where it is expected, and closes everything else.
    fn arrange(self) -> Step<()> {
        let high = |fd: &OwnedFd| sys::duplicate_above(fd.as_fd(), 16).map_err(said("dup"));
        let places = [high(&self.stdin)?, high(&self.stdout)?, high(&self.stderr)?, high(&self.word)?];
        let channel = self.channel.as_ref().map(high).transpose()?;
        for (place, fd) in places[..3].iter().enumerate() {
            sys::place(fd.as_fd(), i32::try_from(place).expect("three"), true).map_err(said("dup"))?;
        }
        sys::place(places[3].as_fd(), WORD, false).map_err(said("dup"))?;
        match channel {
            Some(fd) => sys::place(fd.as_fd(), WORD - 1, true).map_err(said("dup"))?,
            None => sys::close_between(WORD - 1, WORD - 1).map_err(said("close_range"))?,
        }
        sys::close_from(WORD + 1).map_err(said("close_range"))?;
        // They are closed already, by number.
        std::mem::forget((self, places));
        Ok(())
    }
}

/// Starts the program: forks, once or twice.
fn start(
    job: &Job,
    files: &Files,
    stdin: &[u8],
    channel: Option<OwnedFd>,
    memory: Option<&memory::Group>,
    folder: Option<&Path>,
) -> Step<Started> {
    let pipe = || std::io::pipe().map_err(said("pipe"));
    let ((stdout, stdout_end), (stderr, stderr_end), (word, word_end)) = (pipe()?, pipe()?, pipe()?);
    let inheritance = Inheritance {
        stdin: sys::sealed_file(stdin).map_err(said("memfd_create"))?,
        stdout: stdout_end.into(),
        stderr: stderr_end.into(),
        channel,
        word: word_end.into(),
    };
    let user = chosen_user();
    let is_root = sys::user().0 == 0;
    if job.level == Level::User && is_root {
        sys::become_user(user).map_err(said("becoming another user"))?;
        // The maps of the namespace are written by way of /proc/self.
        sys::set_dumpable(true).map_err(said("prctl"))?;
    }
    if job.level != Level::Landlock {
        leave_namespaces(job.level)?;
    }
    if let Some(pid) = sys::fork().map_err(said("fork"))? {
        return Ok(Started { pid, stdout, stderr, word });
    }
    // Only what was arranged is left of the helper's.
    let result = (|| {
        sys::new_session().map_err(said("setsid"))?;
        if let Some(group) = memory {
            group.join()?;
        }
        inheritance.arrange()?;
        sys::die_with_parent().map_err(said("prctl"))?;
        if sys::is_abandoned(WORD) {
            return Err("the helper is gone".to_owned());
        }
        let new_user = is_root.then_some(user).filter(|_| job.level != Level::User);
        match folder {
            Some(folder) => {
                std::env::set_current_dir(folder).map_err(said("chdir"))?;
                confine::program(job, new_user, Path::new("."))?;
                Err(become_program(job))
            }
            None => first_process(job, files, new_user),
        }
    })();
    refuse(result);
    sys::exit(126)
}

/// Leaves the namespaces of the machine for new ones; children are in a new one for process ids.
fn leave_namespaces(level: Level) -> Step<()> {
    let (user, group) = sys::user();
    let namespaces = libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    if level == Level::Root {
        return sys::unshare(namespaces).map_err(said("unshare"));
    }
    sys::unshare(namespaces | libc::CLONE_NEWUSER).map_err(said("unshare with a user namespace"))?;
    let write = |file: &str, text: String| std::fs::write(file, text).map_err(said(file));
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("1000 {user} 1"))?;
    write("/proc/self/gid_map", format!("1000 {group} 1"))
}

/// A user that nobody else is: derived from the helper's process id.
fn chosen_user() -> u32 {
    const FREE: u32 = 1_900_000_000;
    // In a user namespace only some ids exist; then those below 65534, seldom used, are shared.
    let all = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let exists = all.lines().any(|line| {
        let mut numbers = line.split_whitespace().filter_map(|it| it.parse::<u64>().ok());
        let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
        first.zip(count).is_some_and(|(first, count)| first <= FREE.into() && first + count > 2_000_000_000)
    });
    if exists { FREE + process::id() } else { 60_000 + process::id() % 5_000 }
}

/// The first process of the namespace: builds the root folder, starts the program, reaps whatever ends.
fn first_process(job: &Job, files: &Files, user: Option<u32>) -> Step<()> {
    sys::set_host_name("box").map_err(said("sethostname"))?;
    root::build(job, files, user)?;
    // Before there is a program that could look into this process. Executing takes it back in the program's own.
    sys::set_dumpable(false).map_err(said("prctl"))?;
    let Some(program) = sys::fork().map_err(said("fork"))? else {
        refuse(confine::program(job, user, Path::new(BOX)).and_then(|()| Err(become_program(job))));
        sys::exit(126)
    };
    sys::close_between(0, WORD - 1).map_err(said("close_range"))?;
    match user {
        // The program's own user, so that everything it leaves behind can be ended.
        Some(user) => sys::become_user(user).map_err(said("becoming another user"))?,
        None => sys::drop_capabilities().map_err(said("capset"))?,
    }
    // A change of user takes this back.
    sys::die_with_parent().map_err(said("prctl"))?;
    let (mut status, mut cpu, mut peak_bytes) = (0, std::time::Duration::ZERO, 0);
    let mut count = |reaped: sys::Reaped, status: &mut i32| {
        cpu += reaped.cpu;
        peak_bytes = reaped.peak_bytes.max(peak_bytes);
        *status = reaped.status;
        reaped.pid
    };
    while count(sys::wait(-1).map_err(said("wait"))?, &mut status) != program {}
    // What it leaves behind ends with it.
    drop(sys::kill(-1, libc::SIGKILL));
    while let Ok(reaped) = sys::wait(-1) {
        count(reaped, &mut 0);
    }
    let brought = job.bring.as_ref().and_then(|name| root::bring(name, job.limits.scratch_bytes));
    let cpu_micros = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
    say(&Word::Over { status, cpu_micros, peak_bytes, brought: brought.as_ref().map(Vec::len) });
    if let Some(bytes) = brought {
        drop(sys::write_all(WORD, &bytes));
    }
    sys::exit(0)
}

/// Executes the command, or the attempts to break out.
fn become_program(job: &Job) -> String {
    if let Some(targets) = &job.attempt {
        attempts::report(targets);
        sys::exit(0);
    }
    let mut environment: Vec<(String, String)> = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", BOX),
        ("TMPDIR", "/box/tmp"),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("PYTHONHASHSEED", "0"),
        // Node ends if it may not read the machine's, and its being missing is something else.
        ("OPENSSL_CONF", "/dev/null"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    environment.extend(job.environment.iter().cloned());
    let error = sys::exec(&job.command, &environment);
    let told = format!("executing {}: {error}", job.command.join(" "));
    // What was compiled of a program's own source may be nothing that can be executed: its fault, and no refusal.
    let is_its_own = job.command.first().is_some_and(|it| it.starts_with("./"));
    if is_its_own && error.raw_os_error() != Some(libc::EACCES) {
        drop(sys::write_all(2, told.as_bytes()));
        sys::exit(126);
    }
    told
}

fn refuse(result: Step<()>) {
    if let Err(reason) = result {
        say(&Word::Refused(reason));
    }
}

/// Tells the helper, which may be gone.
fn say(word: &Word) {
    let mut line = serde_json::to_vec(word).expect("numbers and text become JSON");
    line.push(b'\n');
    drop(sys::write_all(WORD, &line));
}
