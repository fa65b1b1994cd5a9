//! Data sets: the prompts, answers and scores of lm-evaluation-harness, which wrote `tests/fixtures/tasks/expected.json`
//! by `benches/peers/tasks.py`.
#![expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests leaves out the functions that they share"
)]

mod files;
mod mistakes;
mod python;
mod session;
mod tasks;

use std::path::Path;
use std::sync::LazyLock;

use eval::case::{self, Loaded};
use eval::dataset::Selection;
use eval::model::Models;
use eval::weights::Cache;
use serde_json::Value;

/// Where the task files are; paths in them begin at the repository, as its tests run there.
const TASKS: &str = "tests/fixtures/tasks";

static EXPECTED: LazyLock<Value> = LazyLock::new(|| {
    in_repository();
    serde_json::from_str(&std::fs::read_to_string(format!("{TASKS}/expected.json")).unwrap()).unwrap()
});

/// All tests here run where the harness runs.
fn in_repository() {
    static THERE: LazyLock<()> = LazyLock::new(|| {
        std::env::set_current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap();
    });
    LazyLock::force(&THERE);
}

fn models() -> Models {
    in_repository();
    Models::load(Path::new("models.yaml")).unwrap()
}

/// What a folder of cases gives to somebody with nothing in the cache.
fn load(folder: &Path, suites: &[&str], cache: &Path) -> Loaded {
    let suites = suites.iter().map(|it| (*it).to_owned()).collect();
    case::load_selected(
        folder,
        &models(),
        &Selection { suites, filter: None, cache: Cache::at(cache), seed: None },
    )
}
