//! What the tables hold, and how a row becomes a value.

use std::time::Duration;

use rusqlite::Row;
use serde::Serialize;

use crate::backend::Sampling;
use crate::grade::{Found, Grade};
use crate::response::Response;

pub(super) const TABLES: &str = "
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
    sampling TEXT NOT NULL,        -- JSON: temperature, seed, …
    standing TEXT NOT NULL,        -- beside the golden: fresh, stale, none, …
    golden REAL,                   -- the accepted score
    passed INTEGER NOT NULL,
    grade TEXT,                    -- JSON
    reason TEXT,                   -- of what is not scored
    prompt TEXT,                   -- as the model read it
    response TEXT,                 -- JSON: text, arrivals, tokens
    found TEXT,                    -- JSON: what graders had to know beside it; null for nothing
    case_digest TEXT NOT NULL,
    prompt_digest TEXT NOT NULL,
    template TEXT,
    numerics TEXT,
    PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE INDEX trial_key ON trial (key);
";

/// A run as it begins.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// As it began.
    pub begun: NewRun,
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
    /// How tokens were chosen, with the seed of this very trial.
    pub sampling: Sampling,
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
    /// What graders had to know beside it.
    pub found: Vec<Found>,
    /// SHA-256 of how it is asked and judged.
    pub case_digest: String,
    /// SHA-256 of the messages.
    pub prompt_digest: String,
    /// SHA-256 of the chat template.
    pub template: Option<String>,
    /// What can change the answer's bits.
    pub numerics: Option<String>,
}

pub(super) const RUN_COLUMNS: &str =
    "id, started_at, ended_at, planned, partial, concurrency, machine, versions, options, git_commit";

pub(super) fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        id: row.get("id")?,
        started_at: row.get("started_at")?,
        ended_at: row.get("ended_at")?,
        begun: NewRun {
            planned: count(row, "planned")?,
            partial: row.get("partial")?,
            concurrency: count(row, "concurrency")?,
            machine: row.get("machine")?,
            versions: row.get("versions")?,
            options: row.get("options")?,
            git_commit: row.get("git_commit")?,
        },
    })
}

pub(super) fn model_row(row: &Row<'_>) -> rusqlite::Result<ModelRow> {
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

pub(super) fn trial_row(row: &Row<'_>) -> rusqlite::Result<TrialRow> {
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
        sampling: parsed(row, "sampling")?.ok_or(rusqlite::Error::InvalidQuery)?,
        standing: row.get("standing")?,
        golden: row.get("golden")?,
        passed: row.get("passed")?,
        prompt: row.get("prompt")?,
        response: parsed(row, "response")?,
        found: parsed(row, "found")?.unwrap_or_default(),
        case_digest: row.get("case_digest")?,
        prompt_digest: row.get("prompt_digest")?,
        template: row.get("template")?,
        numerics: row.get("numerics")?,
    })
}

/// A count as SQLite takes it.
pub(super) fn integer(count: usize) -> i64 {
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

pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is stored has only text keys")
}
