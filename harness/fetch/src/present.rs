//! What is there already, and right: each file is read once and compared.

use std::path::{Path, PathBuf};

use eval::lock::{Lock, Locked, LockedFile};
use eval::model::{Model, Source};
use eval::weights::{Cache, file_name, files_of};

use crate::error::{SourceError, is_plain};
use crate::hub::fits;
use crate::place::{self, Wanted};
use crate::progress::Progress;

/// A model's files.
pub(crate) struct Present {
    pub(crate) files: Vec<PathBuf>,
    /// What `models.lock` should say; nothing of a file outside the cache.
    pub(crate) locked: Option<Locked>,
}

/// The files of the first source whose files are all there and right.
pub(crate) fn present(model: &Model, lock: &Lock, cache: &Cache, progress: &dyn Progress) -> Option<Present> {
    let recorded = lock.models.get(&model.name);
    model.sources.iter().find_map(|source| match source {
        Source::File(path) if path.is_dir() && model.sha256.is_none() => {
            Some(Present { files: files_of(path).ok()?, locked: None })
        }
        Source::File(path) => {
            check(model, path, Wanted::of(model), progress).ok()?;
            Some(Present { files: vec![path.clone()], locked: None })
        }
        Source::Packages(_) | Source::Url(_) => {
            let sha256 = model.sha256.clone()?;
            let name = file_name(model, source);
            let path = cache.file(&sha256, &name);
            let (_, size) = check(model, &path, Wanted::of(model), progress).ok()?;
            let files = vec![LockedFile { name, sha256, size }];
            // Two sources may give the same file: the one that it came from stays recorded.
            let locked = recorded.filter(|it| it.files == files).cloned().unwrap_or_else(|| Locked {
                source: source.to_string(),
                revision: None,
                format: place::format_of(std::slice::from_ref(&path)),
                files,
            });
            Some(Present { files: vec![path], locked: Some(locked) })
        }
        Source::Hub { repo, files: patterns, .. } => {
            // Without a record nobody knows which commit was meant: the hub is asked.
            let recorded = recorded.filter(|it| it.source == source.to_string())?;
            let commit = recorded.revision.as_deref().filter(|it| is_plain(it))?;
            let whole =
                patterns.iter().all(|pattern| recorded.files.iter().any(|it| fits(pattern, &it.name)));
            if !whole {
                return None;
            }
            if let ([only], Some(wanted)) = (recorded.files.as_slice(), &model.sha256)
                && only.sha256 != *wanted
            {
                return None;
            }
            let files: Option<Vec<PathBuf>> = recorded
                .files
                .iter()
                .map(|it| {
                    let path = is_plain(&it.name).then(|| cache.hub_file(repo, commit, &it.name))?;
                    let wanted = Wanted { sha256: Some(&it.sha256), size: Some(it.size) };
                    check(model, &path, wanted, progress).ok()?;
                    Some(path)
                })
                .collect();
            Some(Present { files: files?, locked: Some(recorded.clone()) })
        }
    })
}

/// Why a file of this machine will not do.
pub(crate) fn wrong_file(model: &Model, path: &Path, progress: &dyn Progress) -> SourceError {
    if path.is_dir() && model.sha256.is_some() {
        return SourceError::FolderPinned(path.display().to_string());
    }
    match check(model, path, Wanted::of(model), progress) {
        Err(SourceError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {
            SourceError::Missing(path.display().to_string())
        }
        Err(wrong) => wrong,
        Ok(_) => SourceError::Io {
            path: path.display().to_string(),
            error: std::io::Error::other("it changed while it was looked at: run it again"),
        },
    }
}

/// Reads a file if it is there, and shows that.
fn check(
    model: &Model,
    path: &Path,
    wanted: Wanted<'_>,
    progress: &dyn Progress,
) -> Result<(String, u64), SourceError> {
    path.metadata().map_err(|error| SourceError::io(path, error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let transfer = progress.begin(&format!("{}: checking {name}", model.name));
    place::check(path, wanted, transfer.as_ref())
}
