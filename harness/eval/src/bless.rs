//! Blessing: what a run gave becomes what is accepted.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::diagnostic::Mistake;
use crate::golden::{self, Entry, Golden};
use crate::session::entry_of;
use crate::store::TrialRow;
use crate::trial::{Plan, Trial};

/// What blessing did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blessing {
    /// The goldens that it changed.
    pub changed: Vec<Blessed>,
    /// How many scored trials were chosen.
    pub chosen: usize,
    /// Names of chosen trials that were left out, as their case was changed since.
    pub outdated: Vec<String>,
}

/// What blessing did to one golden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blessed {
    /// The file.
    pub path: PathBuf,
    /// Entries that were accepted, new or changed.
    pub accepted: Vec<String>,
    /// Entries that went, as their case is gone.
    pub dropped: Vec<String>,
}

/// Why nothing was blessed.
#[derive(Debug, thiserror::Error)]
pub enum BlessError {
    /// A golden that cannot be read is not written over unless all of it is blessed.
    #[error("{0}")]
    Unreadable(Box<Mistake>),
    /// A golden cannot be written.
    #[error("{path} cannot be written: {cause}")]
    Unwritable {
        /// The file.
        path: String,
        /// What the system says.
        cause: std::io::Error,
    },
}

/// Accepts the scored trials whose names contain one of the filters, or all if there is none.
///
/// Trials whose case was changed since the run are left out: what would be accepted of them is stale at once.
pub fn bless(
    plan: &Plan,
    folder: &Path,
    trials: &[TrialRow],
    filters: &[String],
) -> Result<Blessing, BlessError> {
    let now: HashMap<String, Trial> = plan.trials.iter().map(|it| (plan.name(*it), *it)).collect();
    let is_outdated = |row: &TrialRow| {
        now.get(&row.name).is_some_and(|it| {
            let variant = plan.variant(*it);
            row.case_digest != plan.digest(*it) || row.prompt_digest != variant.prompt_digest()
        })
    };
    let mut blessing = Blessing::default();
    let mut entries: BTreeMap<(&str, &str), Vec<Entry>> = BTreeMap::new();
    for row in trials {
        let chosen = filters.is_empty() || filters.iter().any(|it| row.name.contains(it.as_str()));
        let Some(mut entry) = entry_of(row).filter(|_| chosen) else { continue };
        if plan.suites.iter().any(|it| it.dataset && it.name == row.suite) {
            entry = entry.without_texts();
        }
        blessing.chosen += 1;
        if is_outdated(row) {
            blessing.outdated.push(row.name.clone());
        } else {
            entries.entry((&row.model, &row.suite)).or_default().push(entry);
        }
    }
    let index = |position: Option<usize>| position.and_then(|it| u32::try_from(it).ok());
    for ((model, suite), new) in entries {
        let path = golden::path_of(folder, suite, model);
        let old = match Golden::load(&path) {
            Ok(old) => old.unwrap_or_else(|| Golden::new(suite, model)),
            Err(_) if filters.is_empty() => Golden::new(suite, model),
            Err(mistake) => return Err(BlessError::Unreadable(mistake)),
        };
        let model = index(plan.models.names().position(|it| it == model));
        let suite = index(plan.suites.iter().position(|it| it.name == suite));
        let order = match (model, suite) {
            (Some(model), Some(suite)) => plan.entries_of(model, suite),
            // The whole suite or model is gone; so would be what was just accepted.
            _ => continue,
        };
        let mut golden = old.clone();
        golden.merge(new, &order);
        let before: HashMap<&str, &Entry> = old.entries.iter().map(|it| (it.case.as_str(), it)).collect();
        let accepted: Vec<String> = golden
            .entries
            .iter()
            .filter(|it| before.get(it.case.as_str()) != Some(it))
            .map(|it| it.case.clone())
            .collect();
        let dropped: Vec<String> =
            old.entries.iter().filter(|it| !order.contains(&it.case)).map(|it| it.case.clone()).collect();
        if !accepted.is_empty() || !dropped.is_empty() {
            golden
                .write(&path)
                .map_err(|cause| BlessError::Unwritable { path: path.display().to_string(), cause })?;
        }
        let new = path.with_extension("snap.new");
        // What was proposed of the trials that a filter left out still waits for an answer.
        if filters.is_empty() || Golden::load(&new).is_ok_and(|it| it.as_ref() == Some(&golden)) {
            drop(std::fs::remove_file(new));
        }
        if !accepted.is_empty() || !dropped.is_empty() {
            blessing.changed.push(Blessed { path, accepted, dropped });
        }
    }
    Ok(blessing)
}
