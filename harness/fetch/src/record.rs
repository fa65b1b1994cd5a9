//! Records: `models.lock`, and the lock that keeps two fetches apart.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use eval::lock::{Lock, Locked};
use eval::weights::Cache;

use crate::error::FetchError;
use crate::progress::Progress;

/// Writes down what a model is, beside what others wrote down meanwhile.
pub(crate) fn record(path: &Path, model: &str, locked: &Locked) -> Result<(), FetchError> {
    let failed = |error| FetchError::Record { path: path.display().to_string(), error };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // The folder itself is locked, which leaves nothing behind in it. Some network file systems cannot; there the last
    // of two writers wins, and the other's entry is repaired by the next fetch.
    let held = File::open(folder).map_err(failed)?;
    let _ = held.lock();
    let mut lock = Lock::load(path).map_err(FetchError::LockFile)?;
    if lock.models.get(model) == Some(locked) {
        return Ok(());
    }
    lock.models.insert(model.to_owned(), locked.clone());
    let written = folder.join(format!(".models.lock.{}", std::process::id()));
    let write = || {
        let mut file = File::create(&written)?;
        file.write_all(lock.text().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&written, path)
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&written);
        failed(error)
    })
}

/// The right to write to a cache; the system takes it back when the process ends, however it ends.
pub(crate) struct Held(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

impl Held {
    /// Waits while another process fetches into the same cache.
    pub(crate) fn take(cache: &Cache, progress: &dyn Progress) -> std::io::Result<Self> {
        std::fs::create_dir_all(cache.root())?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(cache.root().join("fetch.lock"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                // It may not have written its number yet, or the file may hold anything.
                let _ = (&file).take(20).read_to_string(&mut process);
                let process: String = process.chars().filter(char::is_ascii_digit).collect();
                progress.say(&format!("another fetch (process {process}) is at work: waiting"));
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut sign = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        // Only a message needs it.
        let _ = sign();
        Ok(Self(file))
    }
}
