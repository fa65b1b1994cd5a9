//! The settings of a task, as they are written: one file over those that it includes, each with its place.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keys::{self, Use};
use crate::diagnostic::{Mistake, SourceFile};
use crate::yaml::{self, Key, Malformed, Node, Span, Value};

/// Files that include each other, one within the next.
const DEEPEST: usize = 16;

/// One setting and the file that it stands in.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) key: Key,
    pub(super) node: Node,
    pub(super) file: Arc<SourceFile>,
}

impl Setting {
    /// A mistake at a node of the setting.
    pub(super) fn mistake(&self, node: &Node, message: impl Into<String>) -> Mistake {
        self.at(node.place(), message, None)
    }

    pub(super) fn at(&self, span: Span, message: impl Into<String>, help: Option<String>) -> Mistake {
        self.file.mistake(Malformed { message: message.into(), span: Some(span), help })
    }

    /// A mistake at the setting's name.
    pub(super) fn wrong(&self, message: impl Into<String>, help: Option<String>) -> Mistake {
        self.at(self.key.span, message, help)
    }
}

/// The settings of a task.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    settings: Vec<Setting>,
}

impl Settings {
    /// Reads the settings of a mapping and of the files that it includes; each file's mistakes are added.
    pub(super) fn read(
        node: &Node,
        file: &Arc<SourceFile>,
        path: &Path,
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let mut settings = Self::default();
        settings.add(node, file, path, &mut HashSet::new(), 0, mistakes);
        settings
    }

    fn add(
        &mut self,
        node: &Node,
        file: &Arc<SourceFile>,
        path: &Path,
        seen: &mut HashSet<PathBuf>,
        depth: usize,
        mistakes: &mut Vec<Mistake>,
    ) {
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a mapping of settings, found {}", node.kind());
            mistakes.push(file.mistake(Malformed { message, span: Some(node.place()), help: None }));
            return;
        };
        let setting =
            |key: &Key, node: &Node| Setting { key: key.clone(), node: node.clone(), file: Arc::clone(file) };
        // What a file says itself goes over what it includes.
        for (key, node) in entries.iter().filter(|(key, _)| key.name == "include") {
            let setting = setting(key, node);
            let paths: Vec<&Node> = match &node.value {
                Value::List(items) => items.iter().collect(),
                _ => vec![node],
            };
            for written in paths {
                match self.include(&setting, written, path, seen, depth, mistakes) {
                    Ok(()) => {}
                    Err(mistake) => mistakes.push(*mistake),
                }
            }
        }
        for (key, node) in entries.iter().filter(|(key, _)| key.name != "include") {
            let setting = setting(key, node);
            check(&setting, mistakes);
            self.settings.retain(|it| it.key.name != key.name);
            self.settings.push(setting);
        }
    }

    fn include(
        &mut self,
        setting: &Setting,
        written: &Node,
        path: &Path,
        seen: &mut HashSet<PathBuf>,
        depth: usize,
        mistakes: &mut Vec<Mistake>,
    ) -> Result<(), Box<Mistake>> {
        let Value::String(name) = &written.value else {
            return Err(Box::new(
                setting.mistake(written, format!("expected a path, found {}", written.kind())),
            ));
        };
        let included = path.parent().unwrap_or(Path::new("")).join(name);
        let known = std::fs::canonicalize(&included).unwrap_or_else(|_| included.clone());
        if depth >= DEEPEST || !seen.insert(known.clone()) {
            return Err(Box::new(setting.mistake(written, format!("`{name}` is included by itself"))));
        }
        let file = SourceFile::load(&included).map_err(|mistake| {
            Box::new(setting.mistake(written, format!("cannot be included: {mistake}")))
        })?;
        match yaml::parse(&file.text) {
            Ok(root) => self.add(&root, &Arc::new(file), &included, seen, depth + 1, mistakes),
            Err(malformed) => mistakes.push(file.mistake(malformed)),
        }
        // Two files may include a third; only within itself it has no end.
        seen.remove(&known);
        Ok(())
    }

    /// A setting that is given and not nothing.
    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|it| it.key.name == name && it.node.value != Value::Null)
    }

    /// A setting's text.
    pub(super) fn text(&self, name: &str, mistakes: &mut Vec<Mistake>) -> Option<String> {
        self.typed(name, mistakes)
    }

    /// A setting of a type; a wrong one is a mistake and as good as none.
    pub(super) fn typed<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<T> {
        let setting = self.get(name)?;
        match yaml::read(&setting.node) {
            Ok(value) => Some(value),
            Err(malformed) => {
                mistakes.push(setting.file.mistake(malformed));
                None
            }
        }
    }
}

/// Refuses names that are not known, what is known and not supported, and functions of Python's.
fn check(setting: &Setting, mistakes: &mut Vec<Mistake>) {
    let name = setting.key.name.as_str();
    match keys::find(name) {
        Some((_, Use::Refused(why), _)) if setting.node.value != Value::Null => {
            mistakes.push(setting.wrong(format!("`{name}` is not supported: {why}"), None));
        }
        Some(_) => {}
        None => {
            let message = match yaml::nearest(name, keys::names()) {
                Some(meant) => format!("unknown key `{name}`: did you mean `{meant}`?"),
                None => format!("unknown key `{name}`"),
            };
            let help = Some("docs/datasets.md lists the keys".to_owned());
            mistakes.push(setting.wrong(message, help));
        }
    }
    functions(setting, &setting.node, mistakes);
}

/// What stands before a function of Python's.
const FUNCTION: &str = "!function";

fn functions(setting: &Setting, node: &Node, mistakes: &mut Vec<Mistake>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|it| functions(setting, it, mistakes)),
        Value::Map(entries) => entries.iter().for_each(|(_, it)| functions(setting, it, mistakes)),
        Value::String(called) => {
            // A tag is no part of the value, but of the text before it.
            let text = &setting.file.text;
            let start = (node.span.start as usize).min(text.len());
            let before = text.get(..start).unwrap_or_default().trim_end();
            let tagged =
                before.ends_with(FUNCTION) || text.get(start..).unwrap_or_default().starts_with(FUNCTION);
            if tagged {
                let help = "a function is Python code, which is never run: write the same as a template, or prepare \
                            the data with it once";
                let message = format!("`!function {called}` is not supported");
                mistakes.push(setting.at(node.place(), message, Some(help.to_owned())));
            }
        }
        _ => {}
    }
}
