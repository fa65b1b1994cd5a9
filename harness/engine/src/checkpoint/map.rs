//! Files as slices of memory: the one place with `unsafe` code.
#![expect(unsafe_code, reason = "a mapped file is a slice only as long as nobody cuts or rewrites it")]

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, UncheckedAdvice};

/// A file's bytes, read from the disk as they are touched.
///
/// # Invariants
///
/// - The mapping is never written to and never handed out mutably.
/// - Its bytes are only ever read as numbers and text that are checked: no bit pattern is invalid, so a file that
///   is rewritten while it is mapped makes wrong numbers or an error, not a wrong `bool` or an index out of bounds.
/// - A file that is cut while it is read ends the process with a signal; [`Map::check`] before a long read finds one
///   that was cut since it was mapped. Fetched weights are moved into place whole and never changed afterwards, so
///   this takes somebody who changes the files of a running model.
pub(super) struct Map {
    bytes: Mmap,
    file: File,
    path: PathBuf,
}

impl Map {
    /// Maps a whole file. What is not a plain file is refused before it is opened: opening a pipe would block.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let fault = |err: std::io::Error| format!("{}: {err}", path.display());
        let metadata = std::fs::metadata(path).map_err(fault)?;
        if !metadata.is_file() {
            return Err(format!("{} is not a file", path.display()));
        }
        if metadata.len() == 0 {
            return Err(format!("{} is empty", path.display()));
        }
        let file = File::open(path).map_err(fault)?;
        // SAFETY: see the invariants of `Map`; the mapping keeps the file's pages after the handle is closed.
        let map = unsafe { Mmap::map(&file) }.map_err(fault)?;
        Ok(Self { bytes: map, file, path: path.to_owned() })
    }

    /// Whether the file is still as long as it was when it was mapped.
    pub(super) fn check(&self) -> Result<(), String> {
        let fault = |what: String| format!("{}: {what}", self.path.display());
        let length = self.file.metadata().map_err(|err| fault(err.to_string()))?.len();
        if length == self.bytes.len() as u64 {
            return Ok(());
        }
        Err(fault(format!("it had {} bytes when it was opened, and has {length} now", self.bytes.len())))
    }

    /// Tells the system that no page is needed for now. Pages are read again from the file when they are touched.
    pub(super) fn release(&self) {
        // SAFETY: the mapping is shared and backed by a file, so a dropped page comes back with the file's bytes.
        let advised = unsafe { self.bytes.unchecked_advise(UncheckedAdvice::DontNeed) };
        // Advice that is not taken costs memory, nothing else.
        drop(advised);
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
