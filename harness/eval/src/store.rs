//! The store: every run, trial and response, in one SQLite file.
//!
//! A trial is written when it ends, in one transaction of its own under WAL: a crash at any instant loses at most the
//! trials in flight.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use thiserror::Error;

use crate::grade::Grade;
use crate::response::Response;

/// The version of the tables, kept in SQLite's `user_version`.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    started_at INTEGER NOT NULL,   -- milliseconds since 1970
    ended_at INTEGER,              -- null while it goes on, and after a crash
    planned INTEGER NOT NULL,      -- trials, those of models that cannot run here included
    partial INTEGER NOT NULL,      -- 1 if a filter left trials out
    pid INTEGER NOT NULL,
    concurrency INTEGER NOT NULL,
    machine TEXT NOT NULL,         -- JSON
    versions TEXT NOT NULL,        -- JSON
    options TEXT NOT NULL,         -- JSON
    git_commit TEXT
);
CREATE TABLE model (
    run INTEGER NOT NULL REFERENCES run,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,     -- in models.yaml
    planned INTEGER NOT NULL,      -- trials
    skipped TEXT,                  -- why it cannot run here; then all of its trials are skipped
    sha256 TEXT,
    numerics TEXT,
    template TEXT,                 -- SHA-256 of the chat template
    weights_bytes INTEGER,
    load_us INTEGER,
    peak_bytes INTEGER,            -- largest resident memory of the process while it was loaded
    joules REAL,                   -- energy while it was loaded, of all that could be measured
    meter TEXT,                    -- what measured the energy
    info TEXT NOT NULL,            -- JSON: class, price, …
    PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE TABLE trial (
    run INTEGER NOT NULL REFERENCES run,
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    suite TEXT NOT NULL,
    entry TEXT NOT NULL,           -- the name below the suite, without the model
    position INTEGER NOT NULL,     -- in the plan
    cluster TEXT NOT NULL,
    key TEXT,                      -- equal keys have equal answers; null where the prompt could not be made
    outcome TEXT NOT NULL CHECK (outcome IN ('scored', 'unscored', 'errored', 'skipped')),
    score REAL,
    threshold REAL NOT NULL,
    greedy INTEGER NOT NULL,
    standing TEXT NOT NULL,        -- beside the golden: fresh, stale, none, …
    golden REAL,                   -- the accepted score
    passed INTEGER NOT NULL,
    grade TEXT,                    -- JSON
    reason TEXT,                   -- of what is not scored
    prompt TEXT,                   -- as the model read it
    response TEXT,                 -- JSON: text, arrivals, tokens
    case_digest TEXT NOT NULL,
    prompt_digest TEXT NOT NULL,
    template TEXT,
    numerics TEXT,
    PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE INDEX trial_key ON trial (key);
";

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

/// A run as it begins.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// All of its trials.
    pub planned: usize,
    /// Whether a filter left trials out.
    pub partial: bool,
    /// Threads that ask at once.
    pub concurrency: usize,
    /// JSON.
    pub machine: String,
    /// JSON.
    pub versions: String,
    /// JSON.
    pub options: String,
    /// The commit of the folder of cases.
    pub git_commit: Option<String>,
}

/// A run as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRow {
    /// Its number.
    pub id: i64,
    /// Milliseconds since 1970.
    pub started_at: i64,
    /// Milliseconds since 1970; `None` while it goes on, and after a crash.
    pub ended_at: Option<i64>,
    /// All of its trials.
    pub planned: usize,
    /// Whether a filter left trials out.
    pub partial: bool,
    /// Threads that ask at once.
    pub concurrency: usize,
    /// JSON.
    pub machine: String,
    /// JSON.
    pub versions: String,
    /// JSON.
    pub options: String,
    /// The commit of the folder of cases.
    pub git_commit: Option<String>,
}

/// A model in a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModelRow {
    /// Its name.
    pub name: String,
    /// In `models.yaml`.
    pub position: usize,
    /// Its trials.
    pub planned: usize,
    /// Why it cannot run here.
    pub skipped: Option<String>,
    /// SHA-256 of its weights.
    pub sha256: Option<String>,
    /// What can change its answers' bits.
    pub numerics: Option<String>,
    /// SHA-256 of its chat template.
    pub template: Option<String>,
    /// Bytes of its weights.
    pub weights_bytes: Option<u64>,
    /// How long loading took.
    pub load: Option<Duration>,
    /// Largest resident memory of the process while it was loaded, in bytes.
    pub peak_bytes: Option<u64>,
    /// Energy while it was loaded.
    pub joules: Option<f64>,
    /// What measured the energy.
    pub meter: Option<String>,
    /// JSON: class, price, ….
    pub info: String,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Outcome {
    /// It was judged.
    Scored(Grade),
    /// It was answered, but cannot be judged.
    Unscored(String),
    /// It was not answered.
    Errored(String),
    /// It was not asked.
    Skipped(String),
}

impl Outcome {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Scored(_) => "scored",
            Self::Unscored(_) => "unscored",
            Self::Errored(_) => "errored",
            Self::Skipped(_) => "skipped",
        }
    }

    /// The score of what was judged.
    pub fn score(&self) -> Option<f64> {
        match self {
            Self::Scored(grade) => Some(grade.score),
            _ => None,
        }
    }
}

/// A trial in a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialRow {
    /// `category/topic/case::model`.
    pub name: String,
    /// The model.
    pub model: String,
    /// `category/topic`.
    pub suite: String,
    /// The name below the suite, without the model.
    pub entry: String,
    /// In the plan.
    pub position: usize,
    /// Trials that stand or fall together.
    pub cluster: String,
    /// Equal keys have equal answers.
    pub key: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The score that passes where no golden applies.
    pub threshold: f64,
    /// Whether the likeliest token is always taken.
    pub greedy: bool,
    /// Beside the golden.
    pub standing: String,
    /// The accepted score.
    pub golden: Option<f64>,
    /// Whether the test passed.
    pub passed: bool,
    /// As the model read it.
    pub prompt: Option<String>,
    /// What came back.
    pub response: Option<Response>,
    /// SHA-256 of how it is asked and judged.
    pub case_digest: String,
    /// SHA-256 of the messages.
    pub prompt_digest: String,
    /// SHA-256 of the chat template.
    pub template: Option<String>,
    /// What can change the answer's bits.
    pub numerics: Option<String>,
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

impl Store {
    /// Opens a store, or makes it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|cause| Self::refused(path, "made", &cause))?;
        }
        let connection = Connection::open(path).map_err(|cause| Self::broken(path, "opened", &cause))?;
        let store = Self { path: path.to_owned(), connection: Mutex::new(connection) };
        store.prepare().map_err(|cause| match cause {
            Ok(cause) => Self::broken(path, "written", &cause),
            Err(version) => version,
        })?;
        Ok(store)
    }

    /// Opens a store that is there, to read it.
    pub fn open_existing(path: &Path) -> Result<Self, StoreError> {
        if path.exists() {
            return Self::open(path);
        }
        Err(StoreError::File {
            path: path.display().to_string(),
            action: "read",
            cause: "there is no such file".to_owned(),
            help: "run `cargo test --test quality`, or set PROOFMARK_STORE".to_owned(),
        })
    }

    fn prepare(&self) -> Result<(), Result<rusqlite::Error, StoreError>> {
        let connection = self.lock();
        connection.busy_timeout(Duration::from_secs(30)).map_err(Ok)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(Ok)?;
        // Under WAL this survives a killed process; only a power cut could take the last transactions.
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(Ok)?;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(Ok)?;
        let version: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(Ok)?;
        match version {
            VERSION => {}
            0 => {
                connection.execute_batch(TABLES).map_err(Ok)?;
                connection.pragma_update(None, "user_version", VERSION).map_err(Ok)?;
            }
            found => {
                return Err(Err(StoreError::Version { path: self.path.display().to_string(), found }));
            }
        }
        connection.execute_batch("COMMIT").map_err(Ok)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A statement is whole or was rolled back: nothing is half-done when a thread panics.
        self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
        use rusqlite::ErrorCode;
        let help = match cause.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "the disk is full: make room, then resume with PROOFMARK_RESUME=1",
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                "set PROOFMARK_STORE to a file that can be written"
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                "it is no store: move it away, or set PROOFMARK_STORE"
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "another process holds it",
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
    pub fn begin(&self, run: &NewRun) -> Result<(i64, Alive), StoreError> {
        let id = self.act("written", |connection| {
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
        })?;
        let alive = self.alive(id)?.expect("nobody else knows of a run that was just made");
        Ok((id, alive))
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
                     score, threshold, greedy, standing, golden, passed, grade, reason, prompt, response, case_digest,
                     prompt_digest, template, numerics)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                    trial.standing,
                    trial.golden,
                    trial.passed,
                    grade,
                    reason,
                    trial.prompt,
                    trial.response.as_ref().map(json),
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

const RUN_COLUMNS: &str =
    "id, started_at, ended_at, planned, partial, concurrency, machine, versions, options, git_commit";

fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        id: row.get("id")?,
        started_at: row.get("started_at")?,
        ended_at: row.get("ended_at")?,
        planned: count(row, "planned")?,
        partial: row.get("partial")?,
        concurrency: count(row, "concurrency")?,
        machine: row.get("machine")?,
        versions: row.get("versions")?,
        options: row.get("options")?,
        git_commit: row.get("git_commit")?,
    })
}

fn model_row(row: &Row<'_>) -> rusqlite::Result<ModelRow> {
    let unsigned = |name: &str| -> rusqlite::Result<Option<u64>> {
        Ok(row.get::<_, Option<i64>>(name)?.and_then(|it| u64::try_from(it).ok()))
    };
    Ok(ModelRow {
        name: row.get("name")?,
        position: count(row, "position")?,
        planned: count(row, "planned")?,
        skipped: row.get("skipped")?,
        sha256: row.get("sha256")?,
        numerics: row.get("numerics")?,
        template: row.get("template")?,
        weights_bytes: unsigned("weights_bytes")?,
        load: unsigned("load_us")?.map(Duration::from_micros),
        peak_bytes: unsigned("peak_bytes")?,
        joules: row.get("joules")?,
        meter: row.get("meter")?,
        info: row.get("info")?,
    })
}

fn trial_row(row: &Row<'_>) -> rusqlite::Result<TrialRow> {
    let reason = || Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>("reason")?.unwrap_or_default());
    let outcome = match row.get::<_, String>("outcome")?.as_str() {
        "scored" => Outcome::Scored(parsed(row, "grade")?.ok_or(rusqlite::Error::InvalidQuery)?),
        "unscored" => Outcome::Unscored(reason()?),
        "errored" => Outcome::Errored(reason()?),
        _ => Outcome::Skipped(reason()?),
    };
    Ok(TrialRow {
        name: row.get("name")?,
        model: row.get("model")?,
        suite: row.get("suite")?,
        entry: row.get("entry")?,
        position: count(row, "position")?,
        cluster: row.get("cluster")?,
        key: row.get("key")?,
        outcome,
        threshold: row.get("threshold")?,
        greedy: row.get("greedy")?,
        standing: row.get("standing")?,
        golden: row.get("golden")?,
        passed: row.get("passed")?,
        prompt: row.get("prompt")?,
        response: parsed(row, "response")?,
        case_digest: row.get("case_digest")?,
        prompt_digest: row.get("prompt_digest")?,
        template: row.get("template")?,
        numerics: row.get("numerics")?,
    })
}

/// A count as SQLite takes it.
fn integer(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn count(row: &Row<'_>, column: &str) -> rusqlite::Result<usize> {
    Ok(usize::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn parsed<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is stored has only text keys")
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
