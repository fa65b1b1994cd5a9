//! Files as slices of memory: the one place with `unsafe` code.
#![expect(unsafe_code, reason = "a mapped file is a slice only as long as nobody cuts or rewrites it")]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::{Mmap, UncheckedAdvice};

/// A file's bytes, read from the disk as they are touched.
///
/// # Invariants
///
/// - The mapping is never written to and never handed out mutably.
/// - Its bytes are only ever read as numbers and text that are checked: no bit pattern is invalid, so a file that
///   is rewritten while it is mapped makes wrong numbers or an error, not a wrong `bool` or an index out of bounds.
/// - A file that is cut while it is mapped ends the process with a signal. Fetched weights are moved into place
///   whole and never changed afterwards, so this takes somebody who changes the files of a running model.
pub(super) struct Map(Mmap);

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
        Ok(Self(map))
    }

    /// Tells the system that no page is needed for now. Pages are read again from the file when they are touched.
    pub(super) fn release(&self) {
        // SAFETY: the mapping is shared and backed by a file, so a dropped page comes back with the file's bytes.
        let advised = unsafe { self.0.unchecked_advise(UncheckedAdvice::DontNeed) };
        // Advice that is not taken costs memory, nothing else.
        drop(advised);
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
