//! The store: every run, trial and response, in one SQLite file.
//!
//! A trial is written when it ends, in one transaction of its own under WAL: a crash at any instant loses at most the
//! trials in flight.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};
use thiserror::Error;

use crate::response::timed;
pub use rows::{ModelRow, NewRun, Outcome, RunRow, TrialRow};
use rows::{RUN_COLUMNS, TABLES, integer, json, model_row, run_row, trial_row};

mod rows;

/// The version of the tables, kept in SQLite's `user_version`.
const VERSION: i64 = 3;

/// Why the store cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file or its folder.
    #[error("the store {path} cannot be {action}: {cause}\n  help: {help}")]
    File {
        /// The file.
        path: String,
        /// `opened`, `written`, ….
        action: &'static str,
        /// What the system says.
        cause: String,
        /// What to do.
        help: String,
    },
    /// Written by another version of Proofmark.
    #[error(
        "the store {path} has version {found}, this is version {VERSION}: move it away, or set PROOFMARK_STORE"
    )]
    Version {
        /// The file.
        path: String,
        /// Its version.
        found: i64,
    },
}

/// The store.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Mutex<Connection>,
}

/// A run that did not end, or the process that is still at work on it.
pub type Unfinished = Result<(RunRow, Alive), u32>;

/// Held while a run goes on: another process sees by it that the run is alive.
#[derive(Debug)]
pub struct Alive {
    _file: File,
    path: PathBuf,
}

impl Drop for Alive {
    fn drop(&mut self) {
        // Only a crash leaves the file behind, and then nobody holds it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// How long a process waits for another that writes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two tries of what does not wait by itself.
const PAUSE: Duration = Duration::from_millis(10);

/// Why a connection cannot be used yet, or at all.
enum Unready {
    Sqlite(rusqlite::Error),
    Version(i64),
}

impl From<rusqlite::Error> for Unready {
    fn from(cause: rusqlite::Error) -> Self {
        Self::Sqlite(cause)
    }
}

fn is_busy(cause: &rusqlite::Error) -> bool {
    // The last of them is what SQLite says when too many open a store at once.
    matches!(
        cause.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
    )
}

/// A connection that only reads, and the version of the tables.
fn reader(path: &Path) -> rusqlite::Result<(Connection, i64)> {
    versioned(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
}

/// The same where no lock can be taken, as the folder cannot be written. `None` if a run is at work on the store or
/// was killed there: what it wrote last is beside the file, and would be missed.
fn frozen(path: &Path) -> Option<rusqlite::Result<(Connection, i64)>> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if Path::new(&log).metadata().is_ok_and(|it| it.len() > 0) {
        return None;
    }
    let name = path.to_str()?.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags);
    Some(connection.and_then(versioned))
}

fn versioned(connection: Connection) -> rusqlite::Result<(Connection, i64)> {
    connection.busy_timeout(PATIENCE)?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((connection, version))
}

impl Store {
    /// Opens a store, or makes it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|cause| Self::refused(path, "made", &cause))?;
        }
        let connection = Connection::open(path).map_err(|cause| Self::broken(path, "opened", &cause))?;
        let mut store = Self { path: path.to_owned(), connection: Mutex::new(connection) };
        let mut waited = Duration::ZERO;
        loop {
            let (ready, took) = timed(|| store.prepare());
            waited += took + PAUSE;
            match ready {
                Ok(()) => return Ok(store),
                // The switch to WAL does not wait for others, whatever the busy timeout says.
                Err(Unready::Sqlite(cause)) if is_busy(&cause) && waited < PATIENCE => {
                    std::thread::sleep(PAUSE);
                }
                Err(Unready::Sqlite(cause)) => return Err(Self::broken(path, "written", &cause)),
                Err(Unready::Version(found)) => {
                    return Err(StoreError::Version { path: path.display().to_string(), found });
                }
            }
        }
    }

    /// Opens a store that is there, to read it: it may be where nobody can write.
    pub fn open_existing(path: &Path) -> Result<Self, StoreError> {
        let unread = |cause: &str| StoreError::File {
            path: path.display().to_string(),
            action: "read",
            cause: cause.to_owned(),
            help: "run `cargo test --test quality`, or set PROOFMARK_STORE".to_owned(),
        };
        if !path.exists() {
            return Err(unread("there is no such file"));
        }
        let opened = reader(path).or_else(|cause| match cause.sqlite_error_code() {
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => frozen(path).unwrap_or(Err(cause)),
            _ => Err(cause),
        });
        match opened.map_err(|cause| Self::broken(path, "read", &cause))? {
            (connection, VERSION) => Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) }),
            (_, 0) => Err(unread("no run was ever stored in it")),
            (_, found) => Err(StoreError::Version { path: path.display().to_string(), found }),
        }
    }

    /// Sets the connection up, and makes the tables of a new store.
    fn prepare(&mut self) -> Result<(), Unready> {
        let connection = self.connection.get_mut().unwrap_or_else(PoisonError::into_inner);
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // Under WAL this survives a killed process; only a power cut could take the last transactions.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match change.pragma_query_value(None, "user_version", |row| row.get(0))? {
            VERSION => {}
            0 => {
                change.execute_batch(TABLES)?;
                change.pragma_update(None, "user_version", VERSION)?;
            }
            found => return Err(Unready::Version(found)),
        }
        Ok(change.commit()?)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A statement is whole or was rolled back: nothing is half-done when a thread panics.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(path: &Path, action: &'static str, cause: &std::io::Error) -> StoreError {
        StoreError::File {
            path: path.display().to_string(),
            action,
            cause: cause.to_string(),
            help: "set PROOFMARK_STORE to a file that can be written".to_owned(),
        }
    }

    fn broken(path: &Path, action: &'static str, cause: &rusqlite::Error) -> StoreError {
        let help = match cause.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "the disk is full: make room, then resume with PROOFMARK_RESUME=1",
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                "set PROOFMARK_STORE to a file that can be written"
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                "it is no store: move it away, or set PROOFMARK_STORE"
            }
            _ if is_busy(cause) => {
                "another process holds it: wait for it, or set PROOFMARK_STORE to another file"
            }
            _ => "set PROOFMARK_STORE to another file",
        };
        StoreError::File {
            path: path.display().to_string(),
            action,
            cause: cause.to_string(),
            help: help.to_owned(),
        }
    }

    fn run_lock(&self, run: i64) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".run-{run}.lock"));
        PathBuf::from(name)
    }

    fn alive(&self, run: i64) -> Result<Option<Alive>, StoreError> {
        let path = self.run_lock(run);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|cause| Self::refused(&path, "locked", &cause))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Alive { _file: file, path })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(cause)) => Err(Self::refused(&path, "locked", &cause)),
        }
    }

    fn act<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        work(&self.lock()).map_err(|cause| Self::broken(&self.path, action, &cause))
    }

    /// Begins a run.
    ///
    /// It is held before others can see it: nobody takes up a run that is about to start.
    pub fn begin(&self, run: &NewRun) -> Result<(i64, Alive), StoreError> {
        let broken = |cause| Self::broken(&self.path, "written", &cause);
        let connection = self.lock();
        let change =
            Transaction::new_unchecked(&connection, TransactionBehavior::Immediate).map_err(broken)?;
        let id = Self::insert(&change, run).map_err(broken)?;
        let Some(alive) = self.alive(id)? else {
            return Err(StoreError::File {
                path: self.run_lock(id).display().to_string(),
                action: "locked",
                cause: format!("a process is at work on run {id} of a store that is gone"),
                help: "wait until it ends, or set PROOFMARK_STORE to another file".to_owned(),
            });
        };
        change.commit().map_err(broken)?;
        Ok((id, alive))
    }

    fn insert(connection: &Connection, run: &NewRun) -> rusqlite::Result<i64> {
        connection.execute(
            "INSERT INTO run (started_at, planned, partial, pid, concurrency, machine, versions, options, git_commit)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                now(),
                integer(run.planned),
                run.partial,
                std::process::id(),
                integer(run.concurrency),
                run.machine,
                run.versions,
                run.options,
                run.git_commit,
            ],
        )?;
        Ok(connection.last_insert_rowid())
    }

    /// The newest run that did not end, if the process that made it is gone.
    ///
    /// `Err(pid)` if that process still goes on.
    pub fn unfinished(&self) -> Result<Option<Unfinished>, StoreError> {
        let found = self.act("read", |connection| {
            connection
                .query_row(
                    &format!(
                        "SELECT {RUN_COLUMNS}, pid FROM run WHERE ended_at IS NULL ORDER BY id DESC LIMIT 1"
                    ),
                    [],
                    |row| Ok((run_row(row)?, row.get::<_, u32>("pid")?)),
                )
                .optional()
        })?;
        let Some((run, pid)) = found else { return Ok(None) };
        Ok(Some(self.alive(run.id)?.map(|alive| (run, alive)).ok_or(pid)))
    }

    /// Takes an unfinished run up again: its plan is now this one.
    pub fn resume(&self, id: i64, run: &NewRun) -> Result<(), StoreError> {
        self.act("written", |connection| {
            connection.execute(
                "UPDATE run SET planned = ?, partial = ?, pid = ?, concurrency = ?, options = ? WHERE id = ?",
                params![
                    integer(run.planned),
                    run.partial,
                    std::process::id(),
                    integer(run.concurrency),
                    run.options,
                    id
                ],
            )?;
            Ok(())
        })
    }

    /// Ends a run.
    pub fn end(&self, run: i64) -> Result<(), StoreError> {
        self.act("written", |connection| {
            connection.execute("UPDATE run SET ended_at = ? WHERE id = ?", params![now(), run])?;
            Ok(())
        })
    }

    /// Writes what is known of a model in a run, over what was known before.
    pub fn put_model(&self, run: i64, model: &ModelRow) -> Result<(), StoreError> {
        let bytes = |it: Option<u64>| it.and_then(|it| i64::try_from(it).ok());
        self.act("written", |connection| {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO model (run, name, position, planned, skipped, sha256, numerics, template,
                     weights_bytes, load_us, peak_bytes, joules, meter, info)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    run,
                    model.name,
                    integer(model.position),
                    integer(model.planned),
                    model.skipped,
                    model.sha256,
                    model.numerics,
                    model.template,
                    bytes(model.weights_bytes),
                    model.load.and_then(|it| i64::try_from(it.as_micros()).ok()),
                    bytes(model.peak_bytes),
                    model.joules,
                    model.meter,
                    model.info,
                ])?;
            Ok(())
        })
    }

    /// Writes a trial that ended.
    pub fn put_trial(&self, run: i64, trial: &TrialRow) -> Result<(), StoreError> {
        let (grade, reason) = match &trial.outcome {
            Outcome::Scored(grade) => (Some(json(grade)), None),
            Outcome::Unscored(reason) | Outcome::Errored(reason) | Outcome::Skipped(reason) => {
                (None, Some(reason))
            }
        };
        self.act("written", |connection| {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO trial (run, name, model, suite, entry, position, cluster, key, outcome,
                     score, threshold, greedy, sampling, standing, golden, passed, grade, reason, prompt, response, found,
                     case_digest, prompt_digest, template, numerics)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    run,
                    trial.name,
                    trial.model,
                    trial.suite,
                    trial.entry,
                    integer(trial.position),
                    trial.cluster,
                    trial.key,
                    trial.outcome.word(),
                    trial.outcome.score(),
                    trial.threshold,
                    trial.greedy,
                    json(&trial.sampling),
                    trial.standing,
                    trial.golden,
                    trial.passed,
                    grade,
                    reason,
                    trial.prompt,
                    trial.response.as_ref().map(json),
                    (!trial.found.is_empty()).then(|| json(&trial.found)),
                    trial.case_digest,
                    trial.prompt_digest,
                    trial.template,
                    trial.numerics,
                ])?;
            Ok(())
        })
    }

    /// Removes a run's trials that its plan no longer has.
    pub fn forget(&self, run: i64, names: &[String]) -> Result<(), StoreError> {
        self.act("written", |connection| {
            for name in names {
                connection.execute("DELETE FROM trial WHERE run = ? AND name = ?", params![run, name])?;
            }
            Ok(())
        })
    }

    /// All runs, the newest first.
    pub fn runs(&self) -> Result<Vec<RunRow>, StoreError> {
        self.act("read", |connection| {
            connection
                .prepare(&format!("SELECT {RUN_COLUMNS} FROM run ORDER BY id DESC"))?
                .query_map([], run_row)?
                .collect()
        })
    }

    /// The models of a run, in the order of `models.yaml`.
    pub fn models(&self, run: i64) -> Result<Vec<ModelRow>, StoreError> {
        self.act("read", |connection| {
            connection
                .prepare(
                    "SELECT name, position, planned, skipped, sha256, numerics, template, weights_bytes, load_us,
                     peak_bytes, joules, meter, info FROM model WHERE run = ? ORDER BY position",
                )?
                .query_map([run], model_row)?
                .collect()
        })
    }

    /// The trials of a run, in the order of the plan.
    pub fn trials(&self, run: i64) -> Result<Vec<TrialRow>, StoreError> {
        self.act("read", |connection| {
            connection
                .prepare("SELECT * FROM trial WHERE run = ? ORDER BY position")?
                .query_map([run], trial_row)?
                .collect()
        })
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
