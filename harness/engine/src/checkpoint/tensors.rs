//! The tensors of a checkpoint's files, by name: one file or many shards, safetensors or GGUF.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::map::Map;
use super::safetensors;
use crate::gguf::Gguf;

/// The longest `config.json`.
const MAX_CONFIG: u64 = 1 << 20;
/// The longest index of shards.
const MAX_INDEX: u64 = 4 << 20;

/// A tensor, where it stands.
pub(super) struct Stored {
    file: usize,
    range: Range<usize>,
    /// How its elements are stored, or what a type is called that the decoder cannot read.
    pub(super) format: Result<GgmlDType, String>,
    /// Outermost dimension first.
    pub(super) shape: Vec<usize>,
}

/// All tensors of a checkpoint.
pub(crate) struct Tensors {
    files: Vec<Map>,
    by_name: HashMap<String, Stored>,
}

impl Tensors {
    /// Those of a GGUF file.
    pub(super) fn of_gguf(path: &Path) -> Result<(Self, Gguf), String> {
        let map = Map::open(path)?;
        let gguf = Gguf::read(&map[..], map.len() as u64).map_err(|err| err.to_string())?;
        let stored = gguf.tensors().iter().map(|(name, it)| {
            let place =
                gguf.place(name).ok_or_else(|| format!("`{name}` lies beyond this machine's memory"))?;
            Ok((name.clone(), Stored { file: 0, range: place, format: Ok(it.kind), shape: it.shape.clone() }))
        });
        let by_name = stored.collect::<Result<_, String>>()?;
        Ok((Self { files: vec![map], by_name }, gguf))
    }

    /// Those of `model.safetensors` in a folder, or of the shards that its index names.
    pub(super) fn of_folder(folder: &Path) -> Result<Self, String> {
        let mut tensors = Self { files: Vec::new(), by_name: HashMap::new() };
        let single = folder.join("model.safetensors");
        let index = folder.join("model.safetensors.index.json");
        if single.exists() {
            tensors.add(&single)?;
            return Ok(tensors);
        }
        if !index.exists() {
            return Err(without_weights(folder));
        }
        let Index { weight_map } = read_json(&index, MAX_INDEX)?;
        let mut shards: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, shard) in &weight_map {
            // A shard lies beside its index: a path could lead anywhere.
            if Path::new(shard).file_name().is_none_or(|it| it != shard.as_str()) {
                return Err(format!(
                    "model.safetensors.index.json places `{name}` in {shard:?}, no file name"
                ));
            }
            shards.entry(shard).or_default().push(name);
        }
        for (shard, names) in shards {
            tensors.add(&folder.join(shard))?;
            let file = tensors.files.len() - 1;
            for name in names {
                if tensors.by_name.get(name).is_none_or(|it| it.file != file) {
                    return Err(format!(
                        "model.safetensors.index.json places `{name}` in {shard}, which lacks it"
                    ));
                }
            }
        }
        Ok(tensors)
    }

    fn add(&mut self, path: &Path) -> Result<(), String> {
        let map = Map::open(path)?;
        let described = safetensors::read(&map).map_err(|err| format!("{}: {err}", path.display()))?;
        let file = self.files.len();
        self.files.push(map);
        for (name, it) in described {
            let format = match it.kind.as_str() {
                "F32" => Ok(GgmlDType::F32),
                "F16" => Ok(GgmlDType::F16),
                "BF16" => Ok(GgmlDType::BF16),
                _ => Err(it.kind),
            };
            let stored = Stored { file, range: it.range, format, shape: it.shape };
            if self.by_name.contains_key(&name) {
                return Err(format!("{}: `{name}` is in another shard, too", path.display()));
            }
            self.by_name.insert(name, stored);
        }
        Ok(())
    }

    /// Tensors of these names and shapes without any bytes, for readers of settings.
    #[cfg(test)]
    pub(crate) fn described(tensors: &[(&str, &[usize])]) -> Self {
        let stored = |&(name, shape): &(&str, &[usize])| {
            let stored = Stored { file: 0, range: 0..0, format: Ok(GgmlDType::F32), shape: shape.to_vec() };
            (name.to_owned(), stored)
        };
        Self { files: Vec::new(), by_name: tensors.iter().map(stored).collect() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Stored> {
        self.by_name.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.by_name.keys()
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The bytes of a tensor of this checkpoint.
    pub(super) fn bytes(&self, stored: &Stored) -> &[u8] {
        // Readers have compared every range with the length of the file, and a mapping keeps its length.
        &self.files[stored.file][stored.range.clone()]
    }

    /// All elements of a norm, a bias, a list of factors.
    pub(super) fn floats(&self, name: &str, stored: &Stored) -> Result<Vec<f32>, String> {
        let bytes = self.bytes(stored);
        let halves = || bytes.as_chunks::<2>().0.iter();
        Ok(match stored.format.clone()? {
            GgmlDType::F32 => bytes.as_chunks::<4>().0.iter().map(|it| f32::from_le_bytes(*it)).collect(),
            GgmlDType::F16 => halves().map(|it| half::f16::from_le_bytes(*it).to_f32()).collect(),
            GgmlDType::BF16 => halves().map(|it| half::bf16::from_le_bytes(*it).to_f32()).collect(),
            other => {
                return Err(format!("`{name}` is quantized, as {other:?}, where plain numbers are possible"));
            }
        })
    }

    /// Bytes of all tensors together.
    pub(super) fn size(&self) -> u64 {
        self.by_name.values().map(|it| it.range.len() as u64).sum()
    }

    /// Whether the files are as they were when they were opened, as far as their lengths tell.
    pub(super) fn check(&self) -> Result<(), String> {
        self.files.iter().try_for_each(Map::check)
    }

    pub(super) fn release(&self) {
        for file in &self.files {
            file.release();
        }
    }
}

/// Which shard holds which tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

/// The settings of a checkpoint's folder.
pub(super) fn read_config(folder: &Path) -> Result<serde_json::Value, String> {
    read_json(&folder.join("config.json"), MAX_CONFIG)
}

/// A file of settings beside them; `None` where there is none.
pub(super) fn read_settings(path: &Path) -> Result<Option<serde_json::Value>, String> {
    if path.exists() { read_json(path, MAX_CONFIG).map(Some) } else { Ok(None) }
}

/// Reads a JSON file of bounded length.
fn read_json<T: DeserializeOwned>(path: &Path, most: u64) -> Result<T, String> {
    let fault = |err: &dyn std::fmt::Display| format!("{}: {err}", path.display());
    if !std::fs::metadata(path).map_err(|err| fault(&err))?.is_file() {
        return Err(fault(&"not a file"));
    }
    let file = std::fs::File::open(path).map_err(|err| fault(&err))?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|err| fault(&err))?;
    if bytes.len() as u64 > most {
        return Err(fault(&format!("longer than {most} bytes")));
    }
    serde_json::from_slice(&bytes).map_err(|err| fault(&err))
}

/// What to say of a folder that holds no safetensors.
fn without_weights(folder: &Path) -> String {
    let pickled = std::fs::read_dir(folder).ok().and_then(|entries| {
        let mut paths: Vec<PathBuf> = entries.filter_map(|it| Some(it.ok()?.path())).collect();
        paths.sort();
        paths.into_iter().find(|it| is_pickle(it))
    });
    match pickled {
        Some(it) => refused_pickle(&it),
        None => {
            format!("{} holds neither model.safetensors nor model.safetensors.index.json", folder.display())
        }
    }
}

/// Whether a file's name says that its weights are pickled.
pub(super) fn is_pickle(path: &Path) -> bool {
    let kinds = ["bin", "pt", "pth", "ckpt", "pkl"];
    path.extension().is_some_and(|it| kinds.iter().any(|kind| it.eq_ignore_ascii_case(kind)))
}

pub(super) fn refused_pickle(path: &Path) -> String {
    format!(
        "{} holds pickled weights, which can run any code when they are read; convert them where that does no \
         harm: `python -c \"from transformers import AutoModelForCausalLM as M; \
         M.from_pretrained('FOLDER').save_pretrained('FOLDER')\"` writes safetensors",
        path.display()
    )
}
