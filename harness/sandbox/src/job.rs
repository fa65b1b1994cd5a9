//! Jobs: what the harness tells a helper, and what it hears back.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::program::{Ended, Limits};

/// How a program is contained, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Level {
    /// Namespaces that root makes; the program is a user that nobody else is.
    Root,
    /// Namespaces that a user namespace makes possible.
    User,
    /// No namespaces.
    Landlock,
}

/// A run, as a helper is told of it; the files' bytes and standard input follow in this order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) level: Level,
    /// The program, by its full path or beside its files, and its arguments.
    pub(crate) command: Vec<String>,
    /// Variables beside those that every program has.
    pub(crate) environment: Vec<(String, String)>,
    /// Names, lengths, and whether they may be executed.
    pub(crate) files: Vec<(String, usize, bool)>,
    pub(crate) stdin: usize,
    /// Files and folders that it may read, beside the system's.
    pub(crate) readable: Vec<PathBuf>,
    /// Folders that it may not read though they are within the system's.
    pub(crate) hidden: Vec<PathBuf>,
    pub(crate) limits: Limits,
    /// Whether it may start processes.
    pub(crate) processes: bool,
    /// Whether the helper's standard output is to be the program's descriptor 3.
    pub(crate) channel: bool,
    /// A file to bring back.
    pub(crate) bring: Option<String>,
    /// Instead of the command: attempts to break out.
    pub(crate) attempt: Option<Targets>,
}

/// What the self-test attacks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Targets {
    /// A file that may not be read, in a folder that may not be written to.
    pub(crate) secret: PathBuf,
    /// A process that may not be touched.
    pub(crate) process: i32,
}

/// What came of a run; both streams and the file that was asked for follow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) outcome: Result<Ended, String>,
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    pub(crate) peak_bytes: u64,
    pub(crate) stdout: usize,
    pub(crate) stderr: usize,
    pub(crate) brought: Option<usize>,
}

/// Writes a header with its length before it.
pub(crate) fn put(header: &impl Serialize, to: &mut impl Write) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    let length = u32::try_from(header.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&header)
}

/// Reads what [`put`] wrote.
pub(crate) fn take<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let header = take_bytes(u32::from_le_bytes(length) as usize, from)?;
    Ok(serde_json::from_slice(&header)?)
}

/// Reads so many bytes.
pub(crate) fn take_bytes(length: usize, from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}
