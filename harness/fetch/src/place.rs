//! Placing: bytes are hashed as they come, and a file gets its name only when it is whole and right.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use eval::model::{BackendKind, Model};
use eval::weights::hex;
use sha2::{Digest as _, Sha256};

use crate::error::SourceError;
use crate::progress::Transfer;

/// Bytes that are read at once.
pub(crate) const CHUNK: usize = 1 << 18;

/// What a file should be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) sha256: Option<&'a str>,
    pub(crate) size: Option<u64>,
}

impl<'a> Wanted<'a> {
    /// What a model's one file should be.
    pub(crate) fn of(model: &'a Model) -> Self {
        // The size of a scripted model's answers says nothing about weights.
        let size = model.size.filter(|_| model.backend == BackendKind::Candle);
        Self { sha256: model.sha256.as_deref(), size }
    }

    pub(crate) fn check(self, sha256: &str, size: u64) -> Result<(), SourceError> {
        match self {
            Self { size: Some(wanted), .. } if wanted != size => {
                Err(SourceError::WrongSize { wanted, found: size })
            }
            Self { sha256: Some(wanted), .. } if wanted != sha256 => {
                Err(SourceError::WrongHash { wanted: wanted.to_owned(), found: sha256.to_owned() })
            }
            _ => Ok(()),
        }
    }
}

/// A file that is not whole yet. It outlives an interruption, so that the next fetch goes on with it.
pub(crate) struct Partial {
    path: PathBuf,
    file: File,
    hasher: Sha256,
    length: u64,
}

impl Partial {
    /// Opens what an earlier fetch left, or an empty file.
    pub(crate) fn open(path: PathBuf) -> Result<Self, SourceError> {
        let failed = |error| SourceError::io(&path, error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let mut hasher = Sha256::new();
        let length = feed(&mut file, &mut hasher, |_| {}).map_err(failed)?;
        Ok(Self { path, file, hasher, length })
    }

    /// Bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of the bytes so far.
    pub(crate) fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    /// Forgets the bytes so far.
    pub(crate) fn restart(&mut self) -> Result<(), SourceError> {
        use std::io::Seek as _;

        let failed = |error| SourceError::io(&self.path, error);
        self.file.set_len(0).map_err(failed)?;
        self.file.rewind().map_err(failed)?;
        self.hasher = Sha256::new();
        self.length = 0;
        Ok(())
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), SourceError> {
        // A full disk may take a part of the bytes: then the file is cut to what was hashed.
        if let Err(error) = self.file.write_all(bytes) {
            let _ = self.file.set_len(self.length);
            return Err(SourceError::io(&self.path, error));
        }
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Removes the file.
    pub(crate) fn discard(self) {
        // One that stays is found wrong by the next fetch.
        let _ = std::fs::remove_file(&self.path);
    }

    /// Gives the file its place, where what is there is always whole and right. One that is not as wanted is removed.
    pub(crate) fn place(self, wanted: Wanted<'_>, destination: &Path) -> Result<(), SourceError> {
        if let Err(wrong) = wanted.check(&self.sha256(), self.length) {
            self.discard();
            return Err(wrong);
        }
        let sealed = |file: &File| -> std::io::Result<()> {
            #[cfg(unix)]
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
            file.sync_all()
        };
        sealed(&self.file).map_err(|error| SourceError::io(&self.path, error))?;
        let failed = |error| SourceError::io(destination, error);
        let folder = destination.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        std::fs::rename(&self.path, destination).map_err(failed)?;
        // The name survives a crash of the machine only once the folder is written.
        File::open(folder).and_then(|it| it.sync_all()).map_err(failed)
    }
}

/// Reads a file of the cache or of this machine; gives its hash and size, or says that it is not what it should be.
pub(crate) fn check(
    path: &Path,
    wanted: Wanted<'_>,
    transfer: &dyn Transfer,
) -> Result<(String, u64), SourceError> {
    let failed = |error| SourceError::io(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if let Some(wanted) = wanted.size
        && wanted != size
    {
        return Err(SourceError::WrongSize { wanted, found: size });
    }
    let mut hasher = Sha256::new();
    let size = feed(&mut file, &mut hasher, |done| transfer.at(done, Some(size))).map_err(failed)?;
    let sha256 = hex(&hasher.finalize());
    wanted.check(&sha256, size)?;
    Ok((sha256, size))
}

fn feed(file: &mut File, hasher: &mut Sha256, mut on_count: impl FnMut(u64)) -> std::io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(done),
            count => {
                hasher.update(&buffer[..count]);
                done += count as u64;
                on_count(done);
            }
        }
    }
}

/// `gguf` by its first bytes, `safetensors` by its name, else what the name ends in.
pub(crate) fn format_of(files: &[PathBuf]) -> String {
    let magic = |path: &PathBuf| {
        let mut start = [0; 4];
        File::open(path).and_then(|mut it| it.read_exact(&mut start)).is_ok_and(|()| &start == b"GGUF")
    };
    if files.iter().any(magic) {
        return "gguf".to_owned();
    }
    let extensions: Vec<String> = files
        .iter()
        .filter_map(|it| Some(it.extension()?.to_str()?.to_ascii_lowercase()))
        .filter(|it| it.len() > 1 && it.chars().all(|letter| letter.is_ascii_lowercase()))
        .collect();
    if extensions.iter().any(|it| it == "safetensors") {
        return "safetensors".to_owned();
    }
    extensions.into_iter().next().unwrap_or_else(|| "other".to_owned())
}
