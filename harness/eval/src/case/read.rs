//! Reading: from a folder to suites, from a file to one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{Case, Defaults, Loaded, Origin, Suite, VERSION, WrongCase, filter, mistake, read_case};
use crate::dataset::{self, Aside, Frame, Selection};
use crate::diagnostic::{Mistake, SourceFile};
use crate::model::{Models, entries_of, is_name};
use crate::yaml::{self, Malformed, Node, Value};

/// Reads every suite below a folder that is asked unless somebody says otherwise; no mistake hides another.
pub fn load(folder: &Path, models: &Models) -> Loaded {
    load_selected(folder, models, &Selection::default())
}

/// Reads the suites below a folder that are asked; no mistake hides another.
pub fn load_selected(folder: &Path, models: &Models, selection: &Selection) -> Loaded {
    let mut files = Vec::new();
    let mut loaded = Loaded::default();
    let whole = |name: &str, message: String, help: &str| WrongCase {
        name: name.to_owned(),
        mistake: Mistake::of_file(name, message, Some(help.to_owned())),
    };
    for entry in walkdir::WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        match entry {
            Ok(entry) => {
                let yaml = entry.path().extension().is_some_and(|it| it == "yaml" || it == "yml");
                if entry.file_type().is_file() && yaml {
                    files.push(entry.into_path());
                }
            }
            Err(error) => {
                let message = format!("{} cannot be read: {error}", folder.display());
                loaded.wrong.push(whole("cases", message, "PROOFMARK_CASES names the folder of cases"));
            }
        }
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(files.len().max(1));
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut read: Vec<(usize, Result<FileRead, Box<WrongCase>>)> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some(path) = files.get(index) else { return done };
                done.push((index, load_file(folder, path, models, selection)));
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|it| it.join().expect("reading a file does not panic")).collect()
    });
    read.sort_by_key(|(index, _)| *index);
    let mut names: HashMap<String, PathBuf> = HashMap::new();
    let mut groups = Vec::new();
    for (_, file) in read {
        match file {
            Ok(FileRead { name, suite, wrong, aside }) => {
                loaded.wrong.extend(wrong);
                match aside {
                    Some(Aside::Unasked) => loaded.unasked.push(name),
                    Some(Aside::Missing(reason)) => loaded.missing.push((name, reason)),
                    Some(Aside::Group(group, members)) => groups.push((group, members)),
                    Some(Aside::Included) | None => {}
                }
                let Some(suite) = suite else { continue };
                if let Some(other) = names.insert(suite.name.clone(), suite.path.clone()) {
                    let message = format!("{} and {} are one suite", other.display(), suite.path.display());
                    loaded.wrong.push(whole(&suite.name, message, "rename one of the files"));
                    continue;
                }
                loaded.suites.push(suite);
            }
            Err(wrong) => loaded.wrong.push(*wrong),
        }
    }
    dataset::join_groups(&mut loaded.suites, &groups);
    for asked in &selection.suites {
        let alone = Selection { suites: vec![asked.clone()], filter: None, ..selection.clone() };
        let suites = loaded.suites.iter().map(|it| &it.name).chain(loaded.missing.iter().map(|it| &it.0));
        let mut known = suites.chain(loaded.wrong.iter().map(|it| &it.name));
        if !known.any(|it| alone.names(it)) {
            let near = yaml::nearest(asked, loaded.unasked.iter().map(String::as_str));
            let meant = near.map_or_else(String::new, |it| format!(": did you mean `{it}`?"));
            let message = format!("no suite is called `{asked}`{meant}");
            let help = "PROOFMARK_SUITES names suites, or folders of them, below the folder of cases";
            loaded.wrong.push(whole("cases", message, help));
        }
    }
    let empty = loaded.suites.is_empty() && loaded.missing.is_empty() && loaded.unasked.is_empty();
    if empty && loaded.wrong.is_empty() {
        let message = format!("there is no case below {}", folder.display());
        loaded.wrong.push(whole("cases", message, "write one: docs/cases.md says how"));
    }
    loaded
}

/// What a file gave.
struct FileRead {
    /// `category/topic`.
    name: String,
    suite: Option<Suite>,
    wrong: Vec<WrongCase>,
    aside: Option<Aside>,
}

fn load_file(
    folder: &Path,
    path: &Path,
    models: &Models,
    selection: &Selection,
) -> Result<FileRead, Box<WrongCase>> {
    let relative = path.strip_prefix(folder).unwrap_or(path).with_extension("");
    let name = relative.components().map(|it| it.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
    if !name.split('/').all(is_name) {
        let message = format!("`{name}` is no name for a suite");
        let help = "letters, digits, `-`, `_` and `.` make names of folders and files".to_owned();
        return Err(Box::new(WrongCase { mistake: Mistake::of_file(&name, message, Some(help)), name }));
    }
    if !selection.admits(&name) {
        return Ok(FileRead { name, suite: None, wrong: Vec::new(), aside: Some(Aside::Unasked) });
    }
    let file =
        SourceFile::load(path).map_err(|it| Box::new(WrongCase { name: name.clone(), mistake: *it }))?;
    Ok(read_selected(&name, path, &file, models, selection))
}

/// Reads the text of a suite.
pub fn read(name: &str, path: &Path, file: &SourceFile, models: &Models) -> (Option<Suite>, Vec<WrongCase>) {
    read_seeded(name, path, file, models, None)
}

/// Reads the text of a suite; generated cases are drawn with this seed, if there is one, in place of the suite's.
pub fn read_seeded(
    name: &str,
    path: &Path,
    file: &SourceFile,
    models: &Models,
    seed: Option<u64>,
) -> (Option<Suite>, Vec<WrongCase>) {
    // Given a file, it is that one which is asked.
    let selection = Selection { suites: vec![name.to_owned()], seed, ..Selection::default() };
    let FileRead { suite, wrong, .. } = read_selected(name, path, file, models, &selection);
    (suite, wrong)
}

fn read_selected(
    name: &str,
    path: &Path,
    file: &SourceFile,
    models: &Models,
    selection: &Selection,
) -> FileRead {
    let mut mistakes = Vec::new();
    let mut wrong = Vec::new();
    let wrong_file = |malformed| WrongCase { name: name.to_owned(), mistake: file.mistake(malformed) };
    let only = |wrong, aside| FileRead { name: name.to_owned(), suite: None, wrong, aside };
    let root = match yaml::parse(&file.text) {
        Ok(root) => root,
        Err(malformed) => return only(vec![wrong_file(malformed)], None),
    };
    let of_dataset =
        |node: &Node, description, frame: &Frame| match dataset::read(node, file, path, frame, selection) {
            dataset::Read::Cases(cases) => {
                let task = node.field("task").and_then(|it| yaml::read(it).ok());
                let (path, name) = (path.to_owned(), name.to_owned());
                let suite = Suite { name: name.clone(), path, description, cases, dataset: true, task };
                FileRead { name, suite: Some(suite), wrong: Vec::new(), aside: None }
            }
            dataset::Read::Aside(aside) => only(Vec::new(), Some(aside)),
            dataset::Read::Wrong(mistakes) => only(
                mistakes.into_iter().map(|it| WrongCase { name: name.to_owned(), mistake: it }).collect(),
                None,
            ),
        };
    match dataset::aside(&root, path) {
        Some(Ok(aside)) => return only(Vec::new(), Some(aside)),
        Some(Err(malformed)) => return only(vec![wrong_file(malformed)], None),
        None if dataset::is_task(&root) => {
            let frame = Frame { tags: Vec::new(), models: None, threshold: None };
            return of_dataset(&root, String::new(), &frame);
        }
        None => {}
    }
    entries_of(
        &root,
        &["version", "description", "seed", "default", "defaults", "cases", "dataset"],
        VERSION,
        &mut mistakes,
    );
    let defaults: Defaults = field(&root, "defaults", &mut mistakes).unwrap_or_default();
    let by_default = field(&root, "default", &mut mistakes).unwrap_or(true);
    if !by_default && !selection.names(name) && mistakes.is_empty() {
        return only(Vec::new(), Some(Aside::Unasked));
    }
    let description: String = field(&root, "description", &mut mistakes).unwrap_or_default();
    let own_seed = field(&root, "seed", &mut mistakes).unwrap_or(0);
    if let Some(node) = root.field("dataset") {
        let frame = frame(&root, &defaults, models, &mut mistakes);
        if mistakes.is_empty() {
            return of_dataset(node, description, &frame);
        }
        return only(mistakes.into_iter().map(wrong_file).collect(), None);
    }
    let origin = Origin { suite: name, file, seed: selection.seed.unwrap_or(own_seed) };
    let cases = cases(&root, &origin, &defaults, models, &mut mistakes, &mut wrong);
    let broken = !mistakes.is_empty();
    let mut all: Vec<WrongCase> = mistakes.into_iter().map(wrong_file).collect();
    all.extend(wrong);
    // A suite whose frame is wrong is not used: its defaults may not be what was meant.
    let suite = (!broken && !cases.is_empty()).then(|| Suite {
        name: name.to_owned(),
        path: path.to_owned(),
        description,
        cases,
        dataset: false,
        task: None,
    });
    FileRead { name: name.to_owned(), suite, wrong: all, aside: None }
}

/// Reads one of a file's own settings; a mistaken one is as good as none.
fn field<T: serde::de::DeserializeOwned>(
    root: &Node,
    name: &str,
    mistakes: &mut Vec<Malformed>,
) -> Option<T> {
    match yaml::read(root.field(name)?) {
        Ok(value) => Some(value),
        Err(malformed) => {
            mistakes.push(malformed);
            None
        }
    }
}

/// Reads the cases of a suite: what is wrong with the list is a mistake, what is wrong with one of them is the case's.
fn cases(
    root: &Node,
    origin: &Origin<'_>,
    defaults: &Defaults,
    models: &Models,
    mistakes: &mut Vec<Malformed>,
    wrong: &mut Vec<WrongCase>,
) -> Vec<Case> {
    let mut cases = Vec::new();
    match root.field("cases").map(|node| (&node.value, node.place())) {
        Some((Value::List(entries), place)) => {
            if entries.is_empty() {
                mistakes.push(mistake("the suite has no case", place));
            }
            let mut ids: HashMap<String, usize> = HashMap::new();
            for (index, entry) in entries.iter().enumerate() {
                let line = origin.file.line(entry.place());
                let mut own = Vec::new();
                let case = read_case(entry, line, origin, defaults, models, &mut own);
                // What is no id would not do as a part of a test's name either.
                let id = match entry.field("id").map(|it| &it.value) {
                    Some(Value::String(id)) if is_name(id) => id.clone(),
                    _ => format!("{}", index + 1),
                };
                if let Some(first) = ids.insert(id.clone(), line) {
                    let span = entry.field("id").map_or(entry.place(), Node::place);
                    own.push(mistake(format!("`{id}` is the id of another case, in line {first}"), span));
                }
                let own = own.into_iter().map(|it| WrongCase {
                    name: format!("{}/{id}", origin.suite),
                    mistake: origin.file.mistake(it),
                });
                let before = wrong.len();
                wrong.extend(own);
                cases.extend(case.filter(|_| wrong.len() == before));
            }
        }
        Some((_, place)) => mistakes.push(mistake("expected a list of cases", place)),
        None => mistakes.push(mistake("`cases` is missing", root.place())),
    }
    cases
}

/// What holds for all cases of a data set: the rest of `defaults` is the data set's own to say.
fn frame(root: &Node, defaults: &Defaults, models: &Models, mistakes: &mut Vec<Malformed>) -> Frame {
    if let Some(node) = root.field("cases") {
        mistakes.push(mistake("a suite has `cases` or a `dataset`, not both", node.place()));
    }
    if let Some(Value::Map(entries)) = root.field("defaults").map(|it| &it.value) {
        let own = |it: &str| !["tags", "models", "threshold"].contains(&it);
        for (key, _) in entries.iter().filter(|(key, _)| own(&key.name)) {
            let help = Some("`dataset` says how documents are asked".to_owned());
            let message = format!("`{}` has no place beside a `dataset`", key.name);
            mistakes.push(Malformed { message, span: Some(key.span), help });
        }
    }
    if let Some(threshold) = defaults.threshold
        && !(0.0..=1.0).contains(&threshold.value)
    {
        mistakes.push(mistake("a threshold lies between 0 and 1", threshold.span));
    }
    let models_of = defaults.models.as_ref();
    Frame {
        tags: defaults.tags.clone(),
        models: models_of.map(|it| filter::check(it, models, root.place(), mistakes)),
        threshold: defaults.threshold.map(|it| it.value),
    }
}
