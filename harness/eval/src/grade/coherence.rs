//! Coherence: signs of a text that fell apart, without a judge.

use std::collections::HashSet;

use serde_json::json;

use super::fence::{fences, is_open};
use super::form::Figure;
use super::language::{LANGUAGES, Language, words};
use super::quantity::Quantity;
use super::{Evidence, Finding, Found, Grader, Inquiry, Metric, mistake, written};
use crate::count::counted;
use crate::yaml::{Malformed, Spanned};

/// Signs of a text that fell apart: it repeats itself, breaks off, changes its language, or is unlikely.
///
/// Words are runs of letters, digits and apostrophes in small letters (each Han or Kana letter is one), outside code
/// fences. Reported are:
///
/// - **repeated**: 1 − different runs of 4 words / runs of 4 words; 0 of fewer than 4 words. (seq-rep-4 of Welleck et al.,
///   Neural Text Generation with Unlikelihood Training, 2020.)
/// - **distinct-1**, **distinct-2**: different words, or pairs of neighbouring words, / all of them; 1 of none. (Li et al., A
///   Diversity-Promoting Objective Function for Neural Conversation Models, 2016.)
/// - **unfinished**: 1 if the last code fence is left open, or if a text of more than 3 words ends with neither `.`, `!`, `?`,
///   `…` or their like in other scripts (closing quotes, brackets and markup may follow), nor a closed fence, a row of a
///   table (`|`), a formula (`$`, `\]`), nor is its last line a list's or a heading's; else 0;
/// - **drift**: the share of words in another language than `language`, as [`Language::drift`] has it;
/// - **perplexity**, where `perplexity` names a model: exp(−log-probability of the text / its tokens) under that model, the
///   text read alone, from the beginning.
///
/// The score is (1 − repeated) × min(1, distinct-2 / 0.5) × (1 − drift) × (¾ if unfinished) × min(1, `at_most` /
/// perplexity). A text without words scores 0. In a long text without loops, distinct-2 is above 0.5; there it costs
/// nothing.
#[derive(Clone, Debug)]
pub(super) struct Coherence {
    language: Language,
    reference: Option<Reference>,
}

#[derive(Clone, Debug)]
struct Reference {
    model: String,
    at_most: Quantity,
}

/// The share of different pairs of words from which on a text is not held to repeat them.
const DISTINCT: f64 = 0.5;
/// What is left of the score of a text that breaks off.
const UNFINISHED: f64 = 0.75;
/// A text of so few words needs no end.
const SHORT: usize = 3;

impl Coherence {
    pub(super) fn check(written: &written::Coherence, mistakes: &mut Vec<Malformed>) -> Option<Self> {
        let code = written.language.value().map_or("en", |it| it.0.as_str());
        let language = LANGUAGES.iter().find(|it| it.code == code);
        if let (None, Some(language)) = (language, &written.language.0) {
            let known: Vec<&str> = LANGUAGES.iter().map(|it| it.code).collect();
            let message = format!("the language `{code}` is not known: {}", known.join(", "));
            mistakes.push(mistake(language.span, message));
        }
        let reference = written.perplexity.value().map(|it| Reference {
            model: it.0.model.value.0.clone(),
            at_most: above_one("at_most", &it.0.at_most, mistakes),
        });
        Some(Self { language: *language?, reference })
    }
}

/// A perplexity: none is below 1.
pub(super) fn above_one(name: &str, figure: &Spanned<Figure>, mistakes: &mut Vec<Malformed>) -> Quantity {
    let numeral = figure.value.numeral;
    if numeral.percent || numeral.quantity.approximate() < 1.0 {
        mistakes.push(mistake(
            figure.span,
            format!("`{name}` is {}: no perplexity is below 1", figure.value.written),
        ));
    }
    numeral.quantity
}

/// The share of different ones among all runs of n words.
fn distinct(words: &[String], n: usize) -> Option<f64> {
    let runs: HashSet<&[String]> = words.windows(n).collect();
    let count = (words.len() + 1).checked_sub(n).filter(|it| *it > 0)?;
    Some(runs.len() as f64 / count as f64)
}

/// A text without what is in code fences.
fn prose(text: &str) -> String {
    let mut prose = String::new();
    let mut from = 0;
    for fence in fences(text) {
        let start = fence.code.as_ptr() as usize - text.as_ptr() as usize;
        prose.push_str(&text[from..start]);
        from = start + fence.code.len();
    }
    prose.push_str(&text[from..]);
    prose
}

fn is_unfinished(text: &str, words: usize) -> bool {
    if is_open(text) {
        return true;
    }
    let text = text.trim();
    let last = text.lines().last().unwrap_or("").trim();
    let item = last.trim_start_matches(|it: char| it.is_ascii_digit());
    let is_item = last.starts_with(['-', '*', '•', '+', '#', '|'])
        || item.len() < last.len() && item.starts_with(['.', ')']);
    let bare = text.trim_end_matches(|it: char| it.is_whitespace() || "\"'”’»)]}*_`>".contains(it));
    let ends = bare.ends_with(['.', '!', '?', '…', '。', '！', '？', '؟', '।', ':', '|', '$', '։'])
        || text.ends_with(['`', '~', ']', '}', '|']);
    words > SHORT && !is_item && !ends
}

impl Grader for Coherence {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let text = evidence.text;
        let words = words(&prose(text));
        if words.is_empty() {
            return Ok(Finding::wrong("no words"));
        }
        let repeated = distinct(&words, 4).map_or(0.0, |it| 1.0 - it);
        let (one, two) = (distinct(&words, 1).unwrap_or(1.0), distinct(&words, 2).unwrap_or(1.0));
        let unfinished = is_unfinished(text, words.len());
        let drift = self.language.drift(&words);
        let mut metrics = vec![
            Metric::new("repeated", repeated),
            Metric::new("distinct-1", one),
            Metric::new("distinct-2", two),
            Metric::new("unfinished", f64::from(u8::from(unfinished))),
            Metric::new("drift", drift),
        ];
        let mut score = (1.0 - repeated) * (two / DISTINCT).min(1.0) * (1.0 - drift);
        if unfinished {
            score *= UNFINISHED;
        }
        let mut reason = format!(
            "{}, {:.0} % of runs of 4 repeated, distinct-2 {two:.2}, {}, {:.0} % in another language",
            counted(words.len(), "word"),
            100.0 * repeated,
            if unfinished { "breaks off" } else { "ends" },
            100.0 * drift,
        );
        if let Some(Reference { model, at_most }) = &self.reference {
            let [Found::Read(likelihood)] = evidence.found else {
                return Err(format!("the text's likelihood under `{model}` is missing"));
            };
            let perplexity = (-likelihood.logprob / f64::from(likelihood.tokens)).exp();
            if !perplexity.is_finite() || perplexity <= 0.0 {
                return Err(format!("the text has no finite perplexity under `{model}`"));
            }
            score *= (at_most.approximate() / perplexity).min(1.0);
            reason = format!("{reason}, perplexity {perplexity:.1} under {model}");
            metrics.push(Metric::new("perplexity", perplexity));
        }
        let mut finding = Finding::new(score, reason, None);
        finding.metrics = metrics;
        Ok(finding)
    }

    fn wanted(&self) -> String {
        let code = self.language.code;
        match &self.reference {
            None => format!("a coherent text ({code})"),
            Some(Reference { model, at_most }) => {
                let at_most = at_most.approximate();
                format!("a coherent text ({code}) with a perplexity of at most {at_most} under {model}")
            }
        }
    }

    fn canonical(&self) -> serde_json::Value {
        let reference = self.reference.as_ref().map(|it| json!([it.model, it.at_most.canonical()]));
        json!({ "language": self.language.code, "perplexity": reference })
    }

    fn inquiries(&self, text: &str) -> Vec<Inquiry> {
        let ask = |it: &Reference| Inquiry::Read { model: it.model.clone(), text: text.to_owned() };
        self.reference.iter().filter(|_| !words(&prose(text)).is_empty()).map(ask).collect()
    }

    fn models(&self) -> Vec<String> {
        self.reference.iter().map(|it| it.model.clone()).collect()
    }
}
