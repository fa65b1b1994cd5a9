//! `models.lock`: what each model was when it was fetched.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::diagnostic::{Mistake, SourceFile};
use crate::yaml;

/// The version of `models.lock` that is read and written.
const VERSION: u32 = 1;

/// What was fetched, by the model's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// The models.
    pub models: BTreeMap<String, Locked>,
}

/// What a model was when it was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Where it came from.
    pub source: String,
    /// The commit of a hub repository.
    pub revision: Option<String>,
    /// `gguf`, `safetensors`, …
    pub format: String,
    /// Its files.
    pub files: Vec<LockedFile>,
}

/// A fetched file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedFile {
    /// Its name, or its path in the repository.
    pub name: String,
    /// SHA-256 of its bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// Its bytes.
    pub size: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    models: BTreeMap<String, Locked>,
}

impl Lock {
    /// The lock that belongs to a `models.yaml`: the file beside it.
    pub fn path_of(models: &Path) -> PathBuf {
        models.with_extension("lock")
    }

    /// Reads a lock; one that does not exist is empty.
    pub fn load(path: &Path) -> Result<Self, Box<Mistake>> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let file = SourceFile::load(path)?;
        let written: Written = yaml::parse(&file.text)
            .and_then(|root| yaml::read(&root))
            .map_err(|malformed| Box::new(file.mistake(malformed)))?;
        if written.version != VERSION {
            let message = format!("{} has version {}, not {VERSION}", file.name, written.version);
            let help = "remove it and run `cargo xtask fetch`".to_owned();
            return Err(Box::new(Mistake::of_file(&file.name, message, Some(help))));
        }
        Ok(Self { models: written.models })
    }

    /// The text of the file: [`Lock::load`] reads it back.
    pub fn text(&self) -> String {
        let mut text = format!(
            "# Written by `cargo xtask fetch`: what each model was when it was fetched.\nversion: {VERSION}\nmodels:"
        );
        if self.models.is_empty() {
            text.push_str(" {}");
        }
        text.push('\n');
        let quoted = |it: &str| serde_json::Value::from(it).to_string();
        for (name, locked) in &self.models {
            let Locked { source, revision, format, files } = locked;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {}:\n    source: {}", quoted(name), quoted(source));
            if let Some(revision) = revision {
                let _ = writeln!(text, "    revision: {}", quoted(revision));
            }
            let _ = writeln!(text, "    format: {format}\n    files:");
            for LockedFile { name, sha256, size } in files {
                let _ = writeln!(
                    text,
                    "      - name: {}\n        sha256: {}\n        size: {size}",
                    quoted(name),
                    quoted(sha256)
                );
            }
        }
        text
    }
}
