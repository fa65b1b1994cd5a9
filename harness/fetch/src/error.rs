//! What can go wrong, in words that say what to do.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use eval::diagnostic::Mistake;
use eval::weights::bytes;
use thiserror::Error;

/// Why a model is not there.
#[derive(Debug, Error)]
pub enum FetchError {
    /// There is nothing to fetch.
    #[error("`{model}` has no weights: {note}")]
    NoSource {
        /// The model.
        model: String,
        /// What its entry says.
        note: String,
    },
    /// Its terms have to be accepted first.
    #[error(
        "`{model}` is under the {name} terms, {url}\nif you accept them, run \
         `cargo xtask fetch {model} --accept-license {name}` or set PROOFMARK_ACCEPT_LICENSE={name}"
    )]
    Terms {
        /// The model.
        model: String,
        /// What `--accept-license` takes.
        name: String,
        /// Where they can be read.
        url: String,
    },
    /// No source gave it.
    #[error("{}", reasons_of(.model, .reasons))]
    Sources {
        /// The model.
        model: String,
        /// Each source with its own reason, in the order they were tried.
        reasons: Vec<(String, SourceError)>,
    },
    /// `models.lock` cannot be read.
    #[error("{0}")]
    LockFile(Box<Mistake>),
    /// `models.lock` cannot be written.
    #[error("{path} cannot be written: {error}")]
    Record {
        /// The file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The cache cannot be used.
    #[error("the cache {path} cannot be used: {message}; PROOFMARK_CACHE names another folder")]
    Cache {
        /// The folder.
        path: String,
        /// What the system says.
        message: String,
    },
}

fn reasons_of(model: &str, reasons: &[(String, SourceError)]) -> String {
    match reasons {
        [(source, reason)] => format!("`{model}` cannot be had from {source}: {reason}"),
        _ => reasons.iter().fold(
            format!("`{model}` cannot be had from any source"),
            |mut text, (source, reason)| {
                // Writing to a String cannot fail.
                let _ = write!(text, "\n  {source}: {}", reason.to_string().replace('\n', "\n    "));
                text
            },
        ),
    }
}

/// Why one source does not give a model.
#[derive(Debug, Error)]
pub enum SourceError {
    /// It would have to be downloaded.
    #[error("the cache does not have it as it should be, and nothing is downloaded {0}")]
    Offline(&'static str),
    /// There is no Python.
    #[error("`{python}` cannot be run ({error}): install Python 3 with pip")]
    NoPython {
        /// The command.
        python: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// pip failed.
    #[error("pip cannot download {requirement}{}\n{excerpt}", hint.map(|it| format!(": {it}")).unwrap_or_default())]
    Pip {
        /// The package.
        requirement: String,
        /// The end of what pip wrote.
        excerpt: String,
        /// What to do.
        hint: Option<&'static str>,
    },
    /// A wheel is not what it should be.
    #[error("the wheel of {requirement} cannot be used: {problem}")]
    Wheel {
        /// The package.
        requirement: String,
        /// What is wrong.
        problem: String,
    },
    /// A server refused.
    #[error("the server answered {status}{}", meaning_of(*.status))]
    Status {
        /// The status of HTTP.
        status: u16,
    },
    /// A connection failed, again and again.
    #[error("{0}: check the network and HTTPS_PROXY, then run it again: it goes on where it stopped")]
    Network(String),
    /// The hub wants its user to have accepted something.
    #[error(
        "the hub answered {status}: {repo} does not exist, or it is gated: accept the terms at {endpoint}/{repo} and \
         set HF_TOKEN"
    )]
    Gated {
        /// The status of HTTP.
        status: u16,
        /// The hub.
        endpoint: String,
        /// The repository.
        repo: String,
    },
    /// The hub does not have it.
    #[error("the hub has no {what}")]
    NotOnHub {
        /// What was asked for.
        what: String,
    },
    /// A pattern fits no file.
    #[error("`{pattern}` fits none of the {count} files of {repo}")]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// Files there are.
        count: usize,
        /// The repository.
        repo: String,
    },
    /// The hub or its crate did something odd.
    #[error("{0}")]
    Hub(String),
    /// A file of a commit is another than when `models.lock` was written: a commit's bytes never change by themselves.
    #[error(
        "`{name}` has sha256 {found}, but models.lock recorded {recorded} for the same commit: do not use it before \
         you know why; `--force` records it anew"
    )]
    Changed {
        /// The file.
        name: String,
        /// What models.lock says.
        recorded: String,
        /// What came.
        found: String,
    },
    /// The bytes are not the ones wanted.
    #[error("its sha256 is {found}, not {wanted}, as models.yaml has it")]
    WrongHash {
        /// What it should be.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// There are more or fewer bytes than wanted.
    #[error("it has {found} bytes, not {wanted}")]
    WrongSize {
        /// What it should have.
        wanted: u64,
        /// What it has.
        found: u64,
    },
    /// There is no room.
    #[error(
        "it needs {} on the disk of {folder}, where {} are free: make room, or set PROOFMARK_CACHE (HF_HOME for the \
         hub) to another disk",
        bytes(*.needed),
        bytes(*.free)
    )]
    NoSpace {
        /// The folder.
        folder: String,
        /// Bytes that are still to be written.
        needed: u64,
        /// Bytes that are free and not promised to another model.
        free: u64,
    },
    /// The disk became full.
    #[error("the disk of {0} became full: make room and run it again; what came so far is kept there")]
    Full(String),
    /// The file system failed.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// A folder is pinned as if it were a file.
    #[error("{0} is a folder, but `sha256` is of one file: leave it out")]
    FolderPinned(String),
    /// A file of this machine is not there.
    #[error("there is no file {0}")]
    Missing(String),
    /// The cache could not keep a file of this name.
    #[error("`{0}` is no plain name for a file")]
    Name(String),
}

impl SourceError {
    /// What the file system said about a path.
    pub(crate) fn io(path: &Path, error: std::io::Error) -> Self {
        use std::io::ErrorKind;

        let name = path.display().to_string();
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(name),
            _ => Self::Io { path: name, error },
        }
    }
}

fn meaning_of(status: u16) -> &'static str {
    match status {
        401 | 403 => " (not allowed)",
        404 | 410 => " (not there)",
        429 => " (too many requests): try again later",
        500..=599 => " (its own trouble): try again later",
        _ => "",
    }
}

/// Whether a path's every part is a plain name, so that it stays below the folder it is joined to.
pub(crate) fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', '\0'])
        && path.split('/').all(|it| !it.is_empty() && it != "." && it != "..")
        && PathBuf::from(path).is_relative()
}
