//! What a task measures: its filters and metrics, read and checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::filter::{FALLBACK, Filter, Search, Step};
use super::pattern::Pattern;
use super::settings::{Setting, Settings};
use crate::diagnostic::Mistake;
use crate::grade::task::{Lenience, OfText, Pick};
use crate::yaml::{self, Node, Span, Spanned};

/// What a model is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputType {
    /// Text.
    Generate,
    /// The likelihood of each option.
    Choice,
    /// The likelihood of a text after the prompt.
    Likelihood,
    /// The likelihood of a text after nothing.
    Rolling,
}

impl OutputType {
    const WORDS: [(&'static str, Self); 4] = [
        ("generate_until", Self::Generate),
        ("multiple_choice", Self::Choice),
        ("loglikelihood", Self::Likelihood),
        ("loglikelihood_rolling", Self::Rolling),
    ];

    pub(super) fn read(settings: &Settings, mistakes: &mut Vec<Mistake>) -> Self {
        let Some(setting) = settings.get("output_type") else { return Self::Generate };
        let Some(word) = settings.text("output_type", mistakes) else { return Self::Generate };
        let found = Self::WORDS.iter().find(|it| it.0 == word);
        if found.is_none() {
            let known = Self::WORDS.map(|it| it.0);
            mistakes.push(unknown(setting, setting.node.place(), "output type", &word, known));
        }
        found.map_or(Self::Generate, |it| it.1)
    }
}

/// A word that is none of those that are known.
pub(super) fn unknown<'a>(
    setting: &Setting,
    span: Span,
    what: &str,
    word: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Mistake {
    let message = match yaml::nearest(word, known.clone()) {
        Some(meant) => format!("unknown {what} `{word}`: did you mean `{meant}`?"),
        None => format!("unknown {what} `{word}`"),
    };
    let known: Vec<String> = known.into_iter().map(|it| format!("`{it}`")).collect();
    setting.at(span, message, Some(format!("known here: {}", known.join(", "))))
}

/// A metric, without what a document brings.
#[derive(Clone, Debug)]
pub(super) struct MetricOf {
    pub(super) name: String,
    pub(super) kind: KindOf,
}

#[derive(Clone, Debug)]
pub(super) enum KindOf {
    Match(Arc<Lenience>),
    Pick(Pick),
    Text(OfText),
}

impl MetricOf {
    /// Whether it can be the score of one document.
    pub(super) fn is_of_documents(&self) -> bool {
        !matches!(self.kind, KindOf::Pick(Pick::Pair))
    }
}

fn kind(output: OutputType, name: &str) -> Option<KindOf> {
    Some(match (output, name) {
        (OutputType::Generate, "exact_match") => KindOf::Match(Arc::default()),
        (OutputType::Choice, "acc") => KindOf::Pick(Pick::Accuracy),
        (OutputType::Choice, "acc_norm") => KindOf::Pick(Pick::Characters),
        (OutputType::Choice, "acc_bytes") => KindOf::Pick(Pick::Bytes),
        (OutputType::Choice, "acc_mutual_info") => KindOf::Pick(Pick::MutualInformation),
        (OutputType::Choice, "exact_match") => KindOf::Pick(Pick::Greedy),
        (OutputType::Choice, "brier_score") => KindOf::Pick(Pick::Brier),
        (OutputType::Choice, "f1" | "mcc") => KindOf::Pick(Pick::Pair),
        (OutputType::Likelihood, "acc") => KindOf::Text(OfText::Greedy),
        (OutputType::Likelihood, "perplexity") => KindOf::Text(OfText::Perplexity),
        (OutputType::Rolling, "word_perplexity") => KindOf::Text(OfText::Words),
        (OutputType::Rolling, "byte_perplexity") => KindOf::Text(OfText::Bytes),
        (OutputType::Rolling, "bits_per_byte") => KindOf::Text(OfText::Bits),
        _ => return None,
    })
}

const NAMES: [&str; 12] = [
    "exact_match",
    "acc",
    "acc_norm",
    "acc_bytes",
    "acc_mutual_info",
    "brier_score",
    "f1",
    "mcc",
    "perplexity",
    "word_perplexity",
    "byte_perplexity",
    "bits_per_byte",
];

/// Metrics of lm-evaluation-harness that are not measured here, and why.
const REFUSED: [(&str, &str); 8] = [
    ("bleu", "it is of a whole corpus of translations"),
    ("chrf", "it is of a whole corpus of translations"),
    ("chrf++", "it is of a whole corpus of translations"),
    ("ter", "it is of a whole corpus of translations"),
    ("likelihood", "it is no number"),
    ("acc_all", "it is of several documents together"),
    ("bypass", "it measures nothing"),
    ("rouge", "it is code of its tasks"),
];

const AGGREGATIONS: [&str; 13] = [
    "mean",
    "nanmean",
    "median",
    "perplexity",
    "weighted_perplexity",
    "bits_per_byte",
    "f1",
    "matthews_corrcoef",
    "brier_score",
    "bleu",
    "chrf",
    "ter",
    "bypass",
];

/// Reads the metrics; where none is given, those that lm-evaluation-harness takes.
pub(super) fn metrics(settings: &Settings, output: OutputType, mistakes: &mut Vec<Mistake>) -> Vec<MetricOf> {
    let Some(setting) = settings.get("metric_list") else {
        let names: &[&str] = match output {
            OutputType::Generate => &["exact_match"],
            OutputType::Choice => &["acc", "acc_norm"],
            OutputType::Likelihood => &["perplexity", "acc"],
            OutputType::Rolling => &["word_perplexity", "byte_perplexity", "bits_per_byte"],
        };
        let metric = |name: &&str| Some(MetricOf { name: (*name).to_owned(), kind: kind(output, name)? });
        return names.iter().filter_map(metric).collect();
    };
    let yaml::Value::List(items) = &setting.node.value else {
        mistakes.push(
            setting
                .mistake(&setting.node, format!("expected a list of metrics, found {}", setting.node.kind())),
        );
        return Vec::new();
    };
    let mut metrics: Vec<MetricOf> = Vec::new();
    for item in items {
        if let Some(metric) = metric(setting, item, output, mistakes) {
            // As in lm-evaluation-harness, a later one of the same name goes over an earlier one.
            metrics.retain(|it| it.name != metric.name);
            metrics.push(metric);
        }
    }
    if items.is_empty() {
        mistakes.push(setting.mistake(&setting.node, "there is no metric: nothing is measured"));
    }
    metrics
}

fn metric(
    setting: &Setting,
    item: &Node,
    output: OutputType,
    mistakes: &mut Vec<Mistake>,
) -> Option<MetricOf> {
    let known = mistakes.len();
    let Some((yaml::Value::String(name), place)) =
        item.field("metric").map(|node| (&node.value, node.place()))
    else {
        mistakes.push(setting.mistake(item, "`metric` is missing"));
        return None;
    };
    let name = name.clone();
    let kind = kind(output, &name);
    if kind.is_none() {
        mistakes.push(match REFUSED.iter().find(|it| it.0 == name) {
            Some((_, why)) => setting.at(place, format!("the metric `{name}` is not supported: {why}"), None),
            None if NAMES.contains(&name.as_str()) => {
                setting.at(place, format!("the metric `{name}` is not of this `output_type`"), None)
            }
            None => unknown(setting, place, "metric", &name, NAMES),
        });
    }
    let mut lenience = Lenience::default();
    let yaml::Value::Map(entries) = &item.value else { return None };
    for (key, node) in entries {
        let mut flag = |target: &mut bool| match yaml::read::<bool>(node) {
            Ok(value) => *target = value,
            Err(malformed) => mistakes.push(setting.file.mistake(malformed)),
        };
        match key.name.as_str() {
            "metric" | "higher_is_better" | "hf_evaluate" => {}
            "aggregation" => match yaml::read::<String>(node) {
                Ok(word) if AGGREGATIONS.contains(&word.as_str()) => {}
                Ok(word) => mistakes.push(unknown(setting, node.place(), "aggregation", &word, AGGREGATIONS)),
                Err(malformed) => mistakes.push(setting.file.mistake(malformed)),
            },
            "ignore_case" => flag(&mut lenience.case),
            "ignore_punctuation" => flag(&mut lenience.punctuation),
            "ignore_numbers" => flag(&mut lenience.numbers),
            "regexes_to_ignore" => lenience.regexes = patterns(setting, node, mistakes),
            other => {
                const KNOWN: [&str; 8] = [
                    "metric",
                    "aggregation",
                    "higher_is_better",
                    "ignore_case",
                    "ignore_punctuation",
                    "ignore_numbers",
                    "regexes_to_ignore",
                    "hf_evaluate",
                ];
                mistakes.push(unknown(setting, key.span, "setting of a metric", other, KNOWN));
            }
        }
    }
    let kind = match kind? {
        KindOf::Match(_) => KindOf::Match(Arc::new(lenience)),
        other => other,
    };
    (mistakes.len() == known).then_some(MetricOf { name, kind })
}

fn patterns(setting: &Setting, node: &Node, mistakes: &mut Vec<Mistake>) -> Vec<Pattern> {
    let written: Vec<Spanned<String>> = match yaml::read(node) {
        Ok(written) => written,
        Err(malformed) => {
            mistakes.push(setting.file.mistake(malformed));
            return Vec::new();
        }
    };
    written.iter().filter_map(|it| pattern(setting, it.span, &it.value, mistakes)).collect()
}

fn pattern(setting: &Setting, span: Span, written: &str, mistakes: &mut Vec<Mistake>) -> Option<Pattern> {
    match Pattern::new(written) {
        Ok(pattern) => Some(pattern),
        Err(message) => {
            mistakes.push(setting.at(span, message, None));
            None
        }
    }
}

/// Reads the filters; where none is given, the text is taken as it is.
pub(super) fn filters(settings: &Settings, repeats: u32, mistakes: &mut Vec<Mistake>) -> Vec<Arc<Filter>> {
    let none = || vec![Arc::new(Filter { name: "none".to_owned(), steps: vec![Step::TakeFirst] })];
    let Some(setting) = settings.get("filter_list") else { return none() };
    let yaml::Value::List(items) = &setting.node.value else {
        mistakes.push(
            setting
                .mistake(&setting.node, format!("expected a list of filters, found {}", setting.node.kind())),
        );
        return none();
    };
    let mut filters = Vec::new();
    for item in items {
        let Some(yaml::Value::String(name)) = item.field("name").map(|it| &it.value) else {
            mistakes.push(setting.mistake(item, "the filter has no `name`"));
            continue;
        };
        let name = name.clone();
        let Some(yaml::Value::List(written)) = item.field("filter").map(|it| &it.value) else {
            mistakes.push(setting.mistake(item, "`filter` must be a list of steps"));
            continue;
        };
        let mut steps: Vec<Step> = Vec::new();
        for node in written {
            if matches!(steps.last(), Some(Step::TakeFirst)) {
                let message =
                    "after `take_first` there is one text, which another step would take letter by letter";
                mistakes.push(setting.mistake(node, message));
            }
            steps.extend(step(setting, node, repeats, mistakes));
        }
        filters.push(Arc::new(Filter { name, steps }));
    }
    if items.is_empty() {
        mistakes.push(setting.mistake(&setting.node, "there is no filter: leave `filter_list` out"));
    }
    filters
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    function: Spanned<String>,
    regex_pattern: Option<Spanned<String>>,
    group_select: Option<i64>,
    fallback: Option<String>,
    ignore_case: Option<bool>,
    ignore_punctuation: Option<bool>,
    regexes_to_ignore: Option<Vec<Spanned<String>>>,
    mapping_dict: Option<BTreeMap<String, Value>>,
    default_value: Option<Value>,
    k: Option<u32>,
}

const FUNCTIONS: [&str; 9] = [
    "regex",
    "multi_choice_regex",
    "remove_whitespace",
    "lowercase",
    "uppercase",
    "map",
    "take_first",
    "take_first_k",
    "majority_vote",
];

fn step(setting: &Setting, node: &Node, repeats: u32, mistakes: &mut Vec<Mistake>) -> Option<Step> {
    let written: WrittenStep = match yaml::read(node) {
        Ok(written) => written,
        Err(malformed) => {
            mistakes.push(setting.file.mistake(malformed));
            return None;
        }
    };
    let function = &written.function;
    let search = |mistakes: &mut Vec<Mistake>| {
        let (span, text) = match &written.regex_pattern {
            Some(it) => (it.span, it.value.as_str()),
            None => (function.span, r"#### (\-?[0-9\.\,]+)"),
        };
        let pattern = pattern(setting, span, text, mistakes)?;
        let fallback = written.fallback.clone().unwrap_or_else(|| FALLBACK.to_owned());
        Some(Search { pattern, select: written.group_select.unwrap_or(0), fallback })
    };
    match function.value.as_str() {
        "regex" => search(mistakes).map(Step::Regex),
        "multi_choice_regex" => {
            let search = search(mistakes)?;
            let ignored = written.regexes_to_ignore.iter().flatten();
            let ignored = ignored.filter_map(|it| pattern(setting, it.span, &it.value, mistakes)).collect();
            Some(Step::MultiChoice {
                search,
                ignore_case: written.ignore_case.unwrap_or(false),
                ignore_punctuation: written.ignore_punctuation.unwrap_or(false),
                ignored,
            })
        }
        "remove_whitespace" => Some(Step::RemoveWhitespace),
        "lowercase" => Some(Step::Lowercase),
        "uppercase" => Some(Step::Uppercase),
        "map" => Some(Step::Map {
            entries: written.mapping_dict.unwrap_or_default().into_iter().collect(),
            otherwise: written.default_value.unwrap_or(Value::Null),
        }),
        "take_first" => Some(Step::TakeFirst),
        // One answer is the first, and the most common, of itself; it stays a list of one.
        "take_first_k" | "majority_vote" if repeats == 1 && written.k.unwrap_or(1) == 1 => None,
        name @ ("take_first_k" | "majority_vote") => {
            let help = "each repeat is a trial of its own here; what the most of them say is a number of the report's";
            let message = format!("`{name}` over several repeats is not supported");
            mistakes.push(setting.at(function.span, message, Some(help.to_owned())));
            None
        }
        name @ ("custom" | "regex_pos" | "format_span" | "decontaminate") => {
            let message = format!("the filter `{name}` is not supported");
            mistakes.push(setting.at(function.span, message, None));
            None
        }
        name => {
            mistakes.push(unknown(setting, function.span, "filter", name, FUNCTIONS));
            None
        }
    }
}
