//! Watching: output up to the limit, time, memory, the end of the harness; then the end of everything.
#![expect(clippy::disallowed_methods, reason = "a limit on the clock needs the clock")]

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::memory::{Group, NAME, children, resident};
use super::{Files, Started, Step, Word, root, said, start, sys};
use crate::job::{Job, Level, Report};
use crate::program::Ended;

/// How often the memory of several processes is looked at where no control group does it.
const LOOK: Duration = Duration::from_millis(10);

/// How long the first process has, after the program was killed, to say what the program used.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Both streams, and the file that was asked for.
type Streams = [Vec<u8>; 3];

/// Runs the job to its end.
pub(super) fn run(
    job: &Job,
    files: &Files,
    stdin: &[u8],
    channel: Option<OwnedFd>,
    control: &UnixStream,
) -> (Report, Streams) {
    let begin = Instant::now();
    let mut report = Report {
        outcome: Ok(Ended::Stopped),
        cpu: Duration::ZERO,
        wall: Duration::ZERO,
        peak_bytes: 0,
        stdout: 0,
        stderr: 0,
        brought: None,
    };
    let watched = (|| {
        // Who becomes another user could not remove it.
        let is_removable = job.level != Level::User || sys::user().0 != 0;
        let group = is_removable.then(|| Group::new(job.limits.memory_bytes)).flatten();
        let folder = (job.level == Level::Landlock).then(|| Folder::new(files)).transpose()?;
        let folder = folder.as_ref().map(|it| it.0.as_path());
        let started = start(job, files, stdin, channel, group.as_ref(), folder)?;
        Watched::new(job, started, control, group.as_ref(), begin)?.watch(&mut report)
    })();
    report.wall = begin.elapsed();
    let streams = watched.unwrap_or_else(|refusal| {
        report.outcome = Err(refusal);
        Streams::default()
    });
    (report.stdout, report.stderr) = (streams[0].len(), streams[1].len());
    report.brought = report.brought.map(|_| streams[2].len());
    (report, streams)
}

/// The folder of a program without a root of its own; goes when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &Files) -> Step<Self> {
        let folder = Self(std::env::temp_dir().join(format!("{NAME}{}", std::process::id())));
        fs::create_dir(&folder.0).map_err(|error| format!("mkdir {}: {error}", folder.0.display()))?;
        fs::set_permissions(&folder.0, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(said("chmod"))?;
        root::put(files, &folder.0)?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A program that runs.
struct Watched<'a> {
    job: &'a Job,
    started: Started,
    control: &'a UnixStream,
    group: Option<&'a Group>,
    end: OwnedFd,
    deadline: Instant,
    streams: Streams,
    word: Vec<u8>,
    /// Which of the pipes still have something to come: standard output, standard error, the word.
    open: [bool; 3],
}

impl<'a> Watched<'a> {
    fn new(
        job: &'a Job,
        started: Started,
        control: &'a UnixStream,
        group: Option<&'a Group>,
        begin: Instant,
    ) -> Step<Self> {
        let prepared = (|| {
            for pipe in [started.stdout.as_fd(), started.stderr.as_fd(), started.word.as_fd()] {
                sys::set_nonblocking(pipe)?;
            }
            sys::watch(started.pid)
        })();
        let end = prepared.map_err(|error| {
            drop(sys::kill(started.pid, libc::SIGKILL));
            format!("watching: {error}")
        })?;
        let deadline = begin + job.limits.wall;
        let (streams, word) = (Streams::default(), Vec::new());
        Ok(Self { job, started, control, group, end, deadline, streams, word, open: [true; 3] })
    }

    /// Watches until the program is over, by itself or not, and nothing of it is left.
    fn watch(mut self, report: &mut Report) -> Step<Streams> {
        let pid = self.started.pid;
        let cut = self.until_over();
        if cut.is_some() {
            self.stop();
        }
        // For a first process this returns when its namespace is empty.
        drop(sys::kill(pid, libc::SIGKILL));
        let reaped = sys::wait(pid).map_err(said("wait"))?;
        self.drain();
        let (mut status, mut brought) = (None, None);
        if self.job.level == Level::Landlock {
            (status, report.cpu, report.peak_bytes) = (Some(reaped.status), reaped.cpu, reaped.peak_bytes);
        }
        let mut rest = std::mem::take(&mut self.word);
        if let Some(length) = rest.iter().position(|it| *it == b'\n') {
            let line: Vec<u8> = rest.drain(..=length).collect();
            match serde_json::from_slice(&line) {
                Ok(Word::Refused(reason)) => return Err(reason),
                Ok(Word::Over { status: code, cpu_micros, peak_bytes, brought: bytes }) => {
                    status = Some(code);
                    report.cpu = Duration::from_micros(cpu_micros);
                    report.peak_bytes = peak_bytes;
                    brought = bytes;
                }
                Err(error) => return Err(format!("a word from the first process: {error}")),
            }
        }
        report.brought = brought.filter(|length| *length == rest.len());
        self.streams[2] = if report.brought.is_some() { rest } else { Vec::new() };
        let own_end = status.map(|it| ended(it, report.cpu, self.job.limits.cpu));
        report.outcome = Ok(match cut {
            // Over by itself in the moment that it was to be stopped.
            Some(Ended::Stopped) if own_end.is_some_and(|it| it != Ended::Signalled(libc::SIGKILL)) => {
                own_end.unwrap_or(Ended::Stopped)
            }
            Some(ended) => ended,
            None if self.group.is_some_and(Group::overflowed) => Ended::MemoryLimit,
            None => own_end.ok_or_else(|| "the first process ended without a word".to_owned())?,
        });
        Ok(self.streams)
    }

    /// Reads until the program is over; what cut it off, if anything did.
    fn until_over(&mut self) -> Option<Ended> {
        let look = self.job.processes && self.group.is_none();
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(Ended::WallLimit);
            }
            let [out, error, word] = self.open;
            let mut asked = [
                sys::readable(Some(self.control.as_fd())),
                sys::readable(Some(self.end.as_fd())),
                sys::readable(Some(self.started.stdout.as_fd()).filter(|_| out)),
                sys::readable(Some(self.started.stderr.as_fd()).filter(|_| error)),
                sys::readable(Some(self.started.word.as_fd()).filter(|_| word)),
            ];
            if sys::poll(&mut asked, if look { left.min(LOOK) } else { left }).is_err() {
                return Some(Ended::Stopped);
            }
            self.drain();
            if self.printed() > self.job.limits.output_bytes {
                return Some(Ended::OutputLimit);
            }
            if asked[1].revents != 0 {
                return None;
            }
            if asked[0].revents != 0 {
                return Some(Ended::Stopped);
            }
            if look && resident(self.started.pid) > self.job.limits.memory_bytes {
                return Some(Ended::MemoryLimit);
            }
        }
    }

    fn printed(&self) -> u64 {
        (self.streams[0].len() + self.streams[1].len()) as u64
    }

    /// Reads what is there: output up to the limit, and a word of any length that a first process may have.
    fn drain(&mut self) {
        let most = usize::try_from(self.job.limits.output_bytes).unwrap_or(usize::MAX);
        let files = usize::try_from(self.job.limits.scratch_bytes).unwrap_or(usize::MAX);
        let [out, error, _] = &mut self.streams;
        let [out_open, error_open, word_open] = &mut self.open;
        take(&mut self.started.stdout, out, most, out_open);
        take(&mut self.started.stderr, error, most, error_open);
        take(&mut self.started.word, &mut self.word, files.saturating_add(1 << 16), word_open);
    }

    /// Kills the program, so that its first process can say what it used; that has a moment for it.
    fn stop(&mut self) {
        if self.job.level == Level::Landlock {
            return;
        }
        let programs: Vec<_> =
            children(self.started.pid).into_iter().filter_map(|it| sys::watch(it).ok()).collect();
        for program in &programs {
            drop(sys::kill_watched(program.as_fd()));
        }
        let until = Instant::now() + LAST_WORDS;
        while !programs.is_empty() && Instant::now() < until {
            let word = Some(self.started.word.as_fd()).filter(|_| self.open[2]);
            let mut asked = [sys::readable(Some(self.end.as_fd())), sys::readable(word)];
            if sys::poll(&mut asked, LAST_WORDS).is_err() || asked[0].revents != 0 {
                break;
            }
            self.drain();
        }
    }
}

/// Reads what is there without waiting; beyond `most` one byte is kept, so that it shows.
fn take(pipe: &mut impl Read, into: &mut Vec<u8>, most: usize, open: &mut bool) {
    let mut buffer = vec![0; 1 << 16];
    while *open {
        match pipe.read(&mut buffer) {
            Ok(0) => *open = false,
            Ok(count) => {
                into.extend_from_slice(&buffer[..count]);
                if into.len() > most {
                    into.truncate(most.saturating_add(1));
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => *open = false,
        }
    }
}

/// What a status means.
fn ended(status: i32, used: Duration, cpu: Duration) -> Ended {
    if libc::WIFEXITED(status) {
        return Ended::Exited(libc::WEXITSTATUS(status));
    }
    match libc::WTERMSIG(status) {
        libc::SIGXCPU => Ended::CpuLimit,
        libc::SIGKILL if used >= cpu => Ended::CpuLimit,
        signal => Ended::Signalled(signal),
    }
}

/// Removes folders that helpers left when they were killed themselves.
pub(crate) fn sweep() {
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|it| it.strip_prefix(NAME)).and_then(|it| it.parse().ok());
        if pid.is_some_and(|pid: u32| !Path::new(&format!("/proc/{pid}")).exists()) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}
