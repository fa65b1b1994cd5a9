//! Tasks: the settings of a data set, checked, and the cases that its documents become.

use std::path::Path;
use std::sync::Arc;

use super::document::{Document, Failure, Field};
use super::files::{Files, package};
use super::filter::Filter;
use super::generation::generation;
use super::judge::Judge;
use super::metrics::{self, MetricOf, OutputType};
use super::prompt::{Composer, Examples, Form, Style};
use super::random::Random;
use super::rows::{self, Row};
use super::settings::{Setting, Settings};
use crate::backend::{Message, Sampling};
use crate::diagnostic::Mistake;
use crate::grade::Rubric;
use crate::weights::Cache;
use crate::yaml::{self, Node};

/// What worked examples are drawn by unless the task says otherwise, as in lm-evaluation-harness.
const SEED: u64 = 1234;

/// A document as it is asked and judged.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its number in the split, or what its own field says.
    pub(super) id: String,
    /// What is asked.
    pub(super) messages: Vec<Message>,
    /// How an answer is judged.
    pub(super) rubric: Rubric,
}

/// A task's documents and what holds for all of them.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// The documents.
    pub(super) items: Vec<Item>,
    /// Words that its cases are selected by.
    pub(super) tags: Vec<String>,
    /// The most tokens of an answer.
    pub(super) max_tokens: u32,
    /// Strings that end an answer.
    pub(super) stop: Vec<String>,
    /// How tokens are chosen.
    pub(super) sampling: Sampling,
    /// How often each document is asked.
    pub(super) repeats: u32,
}

/// What came of reading a task.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Its documents.
    Read(Box<Task>),
    /// Its data are not there, and what to do.
    Missing(String),
    /// It is mistaken.
    Wrong,
}

/// Reads a task: its settings, its files, its documents.
pub(super) fn read(
    settings: &Settings,
    path: &Path,
    place: &Node,
    cache: &Cache,
    mistakes: &mut Vec<Mistake>,
) -> Outcome {
    let before = mistakes.len();
    let output = OutputType::read(settings, mistakes);
    let repeats = settings.typed::<u32>("repeats", mistakes).unwrap_or(1).max(1);
    let graded = settings.get("grade").cloned();
    let metrics = if graded.is_some() { Vec::new() } else { metrics::metrics(settings, output, mistakes) };
    let filters = metrics::filters(settings, repeats, mistakes);
    let score = main_metric(settings, output, &metrics, &filters, mistakes);
    let generation = generation(settings, output, mistakes);
    let form = form(settings, mistakes);
    let composer = composer(settings, output, mistakes);
    let tags = tags(settings, mistakes);
    let id: Option<String> = settings.text("id", mistakes);
    let excluded: Vec<serde_json::Value> = settings.typed("exclude", mistakes).unwrap_or_default();
    let excluded: Vec<String> = excluded.iter().map(rows::id_of).collect();
    let limit: Option<usize> = settings.typed("limit", mistakes);
    let package = package(settings, mistakes);
    let on_request: Option<String> = settings.typed("on_request", mistakes);
    let split = split(settings, place, mistakes);
    let files = Files::read(settings, path, package.as_ref(), cache, mistakes);
    let (Some(mut composer), Some(split), Some(files)) = (composer, split, files) else {
        return Outcome::Wrong;
    };
    if mistakes.len() > before {
        return Outcome::Wrong;
    }
    if let Some(package) = &package
        && !files.paths().all(|it| it.is_file())
    {
        return Outcome::Missing(match on_request {
            None => format!("no data: {}", package.remedy()),
            Some(why) => {
                format!("no data: run `cargo xtask bench-data fetch` with the name of this suite ({why})")
            }
        });
    }
    let built = (|| -> Result<Vec<Item>, Failure> {
        let documents: Vec<Document> = files.rows(&split)?.into_iter().map(Document::new).collect();
        composer.features = documents.first().map(|it| it.row.keys().cloned().collect()).unwrap_or_default();
        composer.examples.documents = examples(settings, &files, &split)?;
        let first = |mut mistake: Failure| {
            mistake.message = format!("document 0: {}", mistake.message);
            mistake
        };
        let several = match documents.first() {
            Some(document) => composer.look(document, output).map_err(first)?,
            None => false,
        };
        let judge = Judge {
            output,
            metrics: &metrics,
            filters: &filters,
            score: score.as_deref(),
            several,
            form,
            graded: graded.as_ref(),
        };
        let count = limit.unwrap_or(usize::MAX);
        let mut items = Vec::new();
        for (number, document) in documents.iter().enumerate().take(count) {
            let at = |mut mistake: Failure| {
                mistake.message = format!("document {number}: {}", mistake.message);
                mistake
            };
            let asked = composer.ask(document, form).map_err(at)?;
            let id = match id.as_ref().and_then(|it| document.row.get(it)) {
                Some(value) => rows::id_of(value),
                None => number.to_string(),
            };
            if !excluded.contains(&id) {
                items.push(judge.item(id, asked, document, &composer).map_err(at)?);
            }
        }
        Ok(items)
    })();
    match built {
        Ok(items) => Outcome::Read(Box::new(Task {
            items,
            tags,
            max_tokens: generation.max_tokens,
            stop: generation.stop,
            sampling: generation.sampling,
            repeats,
        })),
        Err(mistake) => {
            mistakes.push(*mistake);
            Outcome::Wrong
        }
    }
}

/// The name of the metric, and its filter, that is the score.
fn main_metric(
    settings: &Settings,
    output: OutputType,
    metrics: &[MetricOf],
    filters: &[Arc<Filter>],
    mistakes: &mut Vec<Mistake>,
) -> Option<String> {
    let names: Vec<String> = metrics
        .iter()
        .filter(|it| it.is_of_documents())
        .flat_map(|it| filters.iter().map(|filter| name_of(output, it, filter)))
        .collect();
    let written = settings.text("score", mistakes);
    if let (Some(written), Some(setting)) = (written, settings.get("score")) {
        let found = names.iter().find(|it| **it == written || it.split(',').next() == Some(&written));
        if found.is_none() {
            let known = names.iter().map(String::as_str);
            mistakes.push(metrics::unknown(setting, setting.node.place(), "score", &written, known));
        }
        return found.cloned();
    }
    if names.is_empty()
        && !metrics.is_empty()
        && let Some(setting) = settings.get("metric_list")
    {
        let help = "add one that each document has, such as `acc`".to_owned();
        let message = "no metric is of single documents: there would be no score";
        mistakes.push(setting.at(setting.node.place(), message, Some(help)));
    }
    names.into_iter().next()
}

/// As lm-evaluation-harness calls a result; what goes by likelihood has no filter.
pub(super) fn name_of(output: OutputType, metric: &MetricOf, filter: &Filter) -> String {
    match output {
        OutputType::Generate => format!("{},{}", metric.name, filter.name),
        _ => metric.name.clone(),
    }
}

fn form(settings: &Settings, mistakes: &mut Vec<Mistake>) -> Form {
    let chat = settings.typed("apply_chat_template", mistakes).unwrap_or(false);
    let turns = settings.typed("fewshot_as_multiturn", mistakes).unwrap_or(false);
    if let (true, Some(prefix)) = (chat, settings.get("gen_prefix")) {
        let message = "`gen_prefix` and `apply_chat_template` together are not supported: an answer that is begun has no \
                       place in most chat templates";
        mistakes.push(prefix.wrong(message, None));
    }
    match (chat, turns) {
        (false, false) => Form::Plain,
        (true, false) => Form::OneTurn,
        (true, true) => Form::Turns,
        (false, true) => {
            if let Some(setting) = settings.get("fewshot_as_multiturn") {
                let message =
                    "`fewshot_as_multiturn` wants `apply_chat_template: true`: without it there are no turns";
                mistakes.push(setting.wrong(message, None));
            }
            Form::Plain
        }
    }
}

fn tags(settings: &Settings, mistakes: &mut Vec<Mistake>) -> Vec<String> {
    let mut tags = Vec::new();
    for name in ["tag", "group"] {
        let Some(setting) = settings.get(name) else { continue };
        match &setting.node.value {
            yaml::Value::String(tag) => tags.push(tag.clone()),
            _ => tags.extend(settings.typed::<Vec<String>>(name, mistakes).unwrap_or_default()),
        }
    }
    tags
}

/// The split that is asked.
fn split(settings: &Settings, place: &Node, mistakes: &mut Vec<Mistake>) -> Option<String> {
    let test = settings.text("test_split", mistakes);
    let split = test.or_else(|| settings.text("validation_split", mistakes));
    if split.is_none()
        && let Some(setting) = settings.get("task").or(settings.get("dataset_path"))
    {
        mistakes.push(setting.at(
            place.place(),
            "there is no `test_split` and no `validation_split`: nothing is asked",
            None,
        ));
    }
    split
}

/// The settings of worked examples.
const KNOWN: [&str; 9] = [
    "sampler",
    "split",
    "samples",
    "doc_to_text",
    "doc_to_choice",
    "doc_to_target",
    "gen_prefix",
    "fewshot_delimiter",
    "target_delimiter",
];

/// Reads a field; a mistaken one is as good as none.
fn field(setting: &Setting, mistakes: &mut Vec<Mistake>) -> Option<Field> {
    match Field::new(setting) {
        Ok(field) => Some(field),
        Err(mistake) => {
            mistakes.push(*mistake);
            None
        }
    }
}

/// How worked examples are written, and whether they are taken in order.
fn shown(settings: &Settings, style: &Style, mistakes: &mut Vec<Mistake>) -> Option<(Style, bool)> {
    let mut shown = style.clone();
    let mut first = false;
    if let Some(setting) = settings.get("fewshot_config") {
        let yaml::Value::Map(entries) = &setting.node.value else {
            mistakes.push(
                setting.mistake(&setting.node, format!("expected a mapping, found {}", setting.node.kind())),
            );
            return None;
        };
        for (key, node) in entries.iter().filter(|(_, node)| node.value != yaml::Value::Null) {
            let own = Setting { key: key.clone(), node: node.clone(), file: Arc::clone(&setting.file) };
            match (key.name.as_str(), &node.value) {
                ("sampler", yaml::Value::String(word)) if word == "first_n" => first = true,
                ("sampler", yaml::Value::String(word)) if word == "default" => first = false,
                ("sampler", yaml::Value::String(word)) => {
                    mistakes.push(metrics::unknown(
                        setting,
                        node.place(),
                        "sampler",
                        word,
                        ["default", "first_n"],
                    ));
                }
                ("split" | "samples", _) => {}
                ("doc_to_text", _) => shown.text = field(&own, mistakes).unwrap_or(shown.text),
                ("doc_to_target", _) => shown.target = field(&own, mistakes),
                ("doc_to_choice", _) => shown.choice = field(&own, mistakes),
                ("gen_prefix", _) => shown.prefix = field(&own, mistakes),
                ("fewshot_delimiter", yaml::Value::String(text)) => shown.fewshot_delimiter.clone_from(text),
                ("target_delimiter", yaml::Value::String(text)) => shown.target_delimiter.clone_from(text),
                ("fewshot_indices", _) => {
                    let message = "`fewshot_indices` is not supported: lm-evaluation-harness 0.4.13 reads it and takes no \
                                   heed of it";
                    mistakes.push(own.wrong(message, None));
                }
                ("process_docs", _) => {
                    mistakes.push(own.wrong("`process_docs` is not supported: it is Python code", None));
                }
                (other, _) if KNOWN.contains(&other) => {
                    mistakes.push(own.mistake(node, format!("expected text, found {}", node.kind())));
                }
                (other, _) => mistakes.push(metrics::unknown(
                    setting,
                    key.span,
                    "setting of worked examples",
                    other,
                    KNOWN,
                )),
            }
        }
    }
    Some((shown, first))
}

fn composer(settings: &Settings, output: OutputType, mistakes: &mut Vec<Mistake>) -> Option<Composer> {
    let known = mistakes.len();
    let named =
        |name: &str, mistakes: &mut Vec<Mistake>| settings.get(name).and_then(|it| field(it, mistakes));
    let text = named("doc_to_text", mistakes);
    let target = named("doc_to_target", mistakes);
    let choice = named("doc_to_choice", mistakes);
    let prefix = named("gen_prefix", mistakes);
    let description = named("description", mistakes);
    let delimiter = |name: &str, default: &str, mistakes: &mut Vec<Mistake>| {
        settings.text(name, mistakes).unwrap_or_else(|| default.to_owned())
    };
    let target_delimiter = delimiter("target_delimiter", " ", mistakes);
    let fewshot_delimiter = delimiter("fewshot_delimiter", "\n\n", mistakes);
    let anchor = settings.get("task").or(settings.get("dataset_path")).or(settings.get("doc_to_target"));
    let missing = |name: &str, mistakes: &mut Vec<Mistake>| {
        if let Some(anchor) = anchor {
            mistakes.push(anchor.wrong(format!("`{name}` is missing"), None));
        }
    };
    if text.is_none() && settings.get("doc_to_text").is_none() {
        missing("doc_to_text", mistakes);
    }
    if target.is_none() && settings.get("doc_to_target").is_none() && settings.get("grade").is_none() {
        missing("doc_to_target", mistakes);
    }
    if output == OutputType::Choice && settings.get("doc_to_choice").is_none() {
        missing("doc_to_choice", mistakes);
    }
    let style = Style { text: text?, target, choice, prefix, target_delimiter, fewshot_delimiter };
    let (shown, first) = shown(settings, &style, mistakes)?;
    let count = settings.typed::<usize>("num_fewshot", mistakes).unwrap_or(0);
    if output == OutputType::Rolling
        && count > 0
        && let Some(setting) = settings.get("num_fewshot")
    {
        mistakes.push(setting.wrong("a text that follows nothing has no worked examples", None));
    }
    let overlap = fewshot_split(settings, mistakes) == settings.text("test_split", mistakes);
    let seed = settings.typed::<u64>("fewshot_seed", mistakes).unwrap_or(SEED);
    let examples = Examples::new(count, first, overlap, Random::new(seed));
    let composer =
        Composer { style, shown, description, examples, features: Vec::new(), multiple_inputs: false };
    (mistakes.len() == known).then_some(composer)
}

/// The split that is named for worked examples.
fn fewshot_split(settings: &Settings, mistakes: &mut Vec<Mistake>) -> Option<String> {
    let own = settings.get("fewshot_config").and_then(|it| it.node.field("split"));
    match own.map(|it| &it.value) {
        Some(yaml::Value::String(split)) => Some(split.clone()),
        _ => settings.text("fewshot_split", mistakes),
    }
}

/// The documents of worked examples: of the named split, else those that are written out, else of the training split,
/// the validation split, the test split.
fn examples(settings: &Settings, files: &Files, asked: &str) -> Result<Vec<Document>, Failure> {
    let mut mistakes = Vec::new();
    if settings.typed::<usize>("num_fewshot", &mut mistakes).unwrap_or(0) == 0 {
        return Ok(Vec::new());
    }
    let samples = settings.get("fewshot_config").and_then(|it| Some((it, it.node.field("samples")?)));
    let split = match (fewshot_split(settings, &mut mistakes), samples) {
        (Some(split), _) => split,
        (None, Some((setting, node))) => {
            let rows: Vec<Row> =
                yaml::read(node).map_err(|malformed| Box::new(setting.file.mistake(malformed)))?;
            return Ok(rows.into_iter().map(Document::new).collect());
        }
        (None, None) => {
            let named = ["training_split", "validation_split"].map(|it| settings.text(it, &mut mistakes));
            named.into_iter().flatten().next().unwrap_or_else(|| asked.to_owned())
        }
    };
    Ok(files.rows(&split)?.into_iter().map(Document::new).collect())
}
