//! Disk space: there must be enough before a download begins.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::error::SourceError;

/// The room below one folder, and how much of it is promised.
pub(crate) struct Space {
    folder: PathBuf,
    promised: Mutex<u64>,
}

/// Room for one model: what it has not written yet is kept from the others.
pub(crate) struct Claim<'a> {
    space: &'a Space,
    left: Mutex<u64>,
}

impl Space {
    pub(crate) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), promised: Mutex::new(0) }
    }

    /// Promises room for so many bytes, or says that there is too little.
    pub(crate) fn claim(&self, needed: u64) -> Result<Claim<'_>, SourceError> {
        let mut promised = self.promised.lock().expect("no thread panics while it counts");
        let free = free_of(&self.folder)?.saturating_sub(*promised);
        if needed > free {
            let folder = self.folder.display().to_string();
            return Err(SourceError::NoSpace { folder, needed, free });
        }
        *promised += needed;
        Ok(Claim { space: self, left: Mutex::new(needed) })
    }
}

impl Claim<'_> {
    /// So many bytes are on the disk now: they show there and need no promise.
    pub(crate) fn wrote(&self, count: u64) {
        let mut left = self.left.lock().expect("no thread panics while it counts");
        let count = count.min(*left);
        *left -= count;
        *self.space.promised.lock().expect("no thread panics while it counts") -= count;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.wrote(u64::MAX);
    }
}

fn free_of(folder: &Path) -> Result<u64, SourceError> {
    // The folder may not be there yet: what it will be on is its nearest ancestor's disk.
    let there = folder.ancestors().find(|it| it.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let room = rustix::fs::statvfs(there).map_err(|error| SourceError::io(there, error.into()))?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_is_not_promised_again() {
        let folder = tempfile::tempdir().unwrap();
        let space = Space::of(&folder.path().join("not/there/yet"));
        let free = free_of(folder.path()).unwrap();
        assert!(matches!(space.claim(u64::MAX), Err(SourceError::NoSpace { .. })));
        let most = space.claim(free / 10 * 9).unwrap();
        assert!(matches!(space.claim(free / 2), Err(SourceError::NoSpace { .. })));
        most.wrote(free / 10 * 8);
        drop(space.claim(free / 2).unwrap());
        drop(most);
        assert_eq!(*space.promised.lock().unwrap(), 0);
    }
}
