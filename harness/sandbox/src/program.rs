//! Programs: what is run, under which limits, and what came of it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a program is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Python 3.
    Python,
    /// Rust, compiled by `rustc` without other crates.
    Rust,
    /// JavaScript, run by Node.
    JavaScript,
    /// SQL, run by `sqlite3` on an empty database.
    Sql,
    /// A script for `sh`.
    Shell,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Python, Self::Rust, Self::JavaScript, Self::Sql, Self::Shell];

    /// As it is called in a case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Rust => "rust",
            Self::JavaScript => "javascript",
            Self::Sql => "sql",
            Self::Shell => "shell",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a run may use.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// Time on the clock, the start of the language included.
    pub wall: Duration,
    /// CPU time of each process.
    pub cpu: Duration,
    /// Memory of each process; of all of them together where the machine has control groups.
    pub memory_bytes: u64,
    /// What it may print, both streams together.
    pub output_bytes: u64,
    /// What it may write to files, and how large one of them may be.
    pub scratch_bytes: u64,
    /// Threads and processes at a time.
    pub tasks: u64,
}

impl Default for Limits {
    /// 5 s of CPU time, 20 s on the clock, 512 MiB of memory, 1 MiB of output, 64 MiB of files, 64 tasks.
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(20),
            cpu: Duration::from_secs(5),
            memory_bytes: 512 << 20,
            output_bytes: 1 << 20,
            scratch_bytes: 64 << 20,
            tasks: 64,
        }
    }
}

/// A file beside a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name: no folders.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A program, and what it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What it is written in.
    pub language: Language,
    /// Its text.
    pub source: String,
    /// Files beside it, in the folder that it works in.
    pub files: Vec<File>,
    /// What it reads from standard input.
    pub stdin: Vec<u8>,
    /// What it may use.
    pub limits: Limits,
    /// Whether it may start processes. Scripts for a shell always may.
    pub processes: bool,
}

impl Program {
    /// A program with the usual limits, nothing beside it and nothing to read.
    pub fn new(language: Language, source: impl Into<String>) -> Self {
        Self {
            language,
            source: source.into(),
            files: Vec::new(),
            stdin: Vec::new(),
            limits: Limits::default(),
            processes: false,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that was none of the limits' below.
    Signalled(i32),
    /// It took too long on the clock.
    WallLimit,
    /// It used too much CPU time.
    CpuLimit,
    /// It used too much memory, as a control group or the watch over it found. (A program that is merely refused
    /// more memory ends in its own way.)
    MemoryLimit,
    /// It printed too much.
    OutputLimit,
    /// Whoever had started it was done with it.
    Stopped,
    /// It did not compile; standard error has the compiler's words.
    NotCompiled,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "ended with code {code}"),
            Self::Signalled(signal) => write!(f, "ended by signal {signal}"),
            Self::WallLimit => f.write_str("took too long"),
            Self::CpuLimit => f.write_str("used too much CPU time"),
            Self::MemoryLimit => f.write_str("used too much memory"),
            Self::OutputLimit => f.write_str("printed too much"),
            Self::Stopped => f.write_str("was stopped"),
            Self::NotCompiled => f.write_str("does not compile"),
        }
    }
}

/// What contains a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Containment {
    /// Namespaces of its own, a root folder of its own, resource limits, Landlock and seccomp.
    Namespaces,
    /// Landlock, seccomp and resource limits alone: it cannot start processes nor write files.
    Reduced,
}

impl fmt::Display for Containment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "namespaces",
            Self::Reduced => "reduced (Landlock and seccomp without namespaces)",
        })
    }
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// How it ended.
    pub ended: Ended,
    /// What it printed, up to the limit.
    pub stdout: Vec<u8>,
    /// What it printed to standard error, up to the limit.
    pub stderr: Vec<u8>,
    /// CPU time of all its processes.
    pub cpu: Duration,
    /// Time on the clock.
    pub wall: Duration,
    /// The largest resident size of one of its processes; 0 where it was killed before that could be read.
    pub peak_bytes: u64,
    /// What contained it.
    pub containment: Containment,
}

/// Why nothing was run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotRun {
    /// The language is not on this machine; what to install.
    #[error("{0}")]
    Missing(String),
    /// It could not be contained; what to change.
    #[error("the sandbox refuses: {0}")]
    Refused(String),
}
