//! Grading: from a response to a score.
//!
//! A grade is a function of the grader, the response and stored evidence: the same three give the same grade, so a
//! stored run is graded again without a model. The doc comment of each grader is its definition.

mod choice;
mod code;
mod coherence;
mod contains;
mod exact;
mod extract;
mod fence;
mod form;
mod inquiry;
mod json;
mod judge;
mod language;
mod leak;
mod length;
mod letter;
mod math;
mod number;
mod numeral;
mod perplexity;
mod quantity;
mod regex;
mod sql;
mod steps;
pub mod task;
pub mod written;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::code::Contained;
pub use self::form::{Cell, Count, Figure, Form, Given, Mapping, Options, Text};
pub use self::inquiry::{Examiner, Found, Inquiry, Nowhere, Question, Unanswered};
use crate::backend::Likelihood;
use crate::yaml::{self, Malformed, Span, Spanned, Value};

/// What a response offers to a grader.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The text of the response.
    pub text: &'a str,
    /// One for each of [`Rubric::continuations`], in order; empty where there are none.
    pub likelihoods: &'a [Likelihood],
    /// One for each of [`Rubric::inquiries`], in order; empty where there are none.
    pub found: &'a [Found],
}

/// The verdict on one response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// From 0 to 1.
    pub score: f64,
    /// What was judged: what the first grader that extracts something extracted, else the text, either cut to 200
    /// characters; `None` where there is no text.
    pub answer: Option<String>,
    /// What the answer should be.
    pub wanted: String,
    /// Why the score is what it is.
    pub reason: String,
    /// The score of each grader.
    pub parts: Vec<Part>,
    /// What graders measured beside the score, called `grader.metric`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

/// A number that a grader measured; the unit is part of its definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// What was measured.
    pub name: String,
    /// How much it is.
    pub value: f64,
}

impl Metric {
    fn new(name: &str, value: f64) -> Self {
        Self { name: name.to_owned(), value }
    }
}

/// What one grader among several says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The grader, as it is called in a case.
    pub name: String,
    /// How much it counts.
    pub weight: f64,
    /// From 0 to 1.
    pub score: f64,
    /// Why.
    pub reason: String,
}

/// How judging ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Judgement {
    /// With a grade.
    Scored(Grade),
    /// Without one, and why: some grader cannot judge what it was given.
    Unscored(String),
}

/// The checked `grade:` of one case: graders and their weights.
///
/// The order in which a case names its graders means nothing; here they have the order of [`written::Rubric`].
#[derive(Clone, Debug)]
pub struct Rubric {
    graders: Vec<Weighted>,
}

#[derive(Clone, Debug)]
struct Weighted {
    name: Cow<'static, str>,
    weight: f64,
    grader: Arc<dyn Grader>,
}

/// A way to judge a response, and what it wants.
trait Grader: fmt::Debug + Send + Sync {
    /// Judges; an error says why it cannot.
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String>;

    /// What the answer should be, in words.
    fn wanted(&self) -> String;

    /// Equal for graders that judge alike.
    fn canonical(&self) -> serde_json::Value;

    /// The texts that would give the answer away.
    fn targets(&self) -> Vec<String> {
        Vec::new()
    }

    /// The target that a prompt gives away, if it does.
    ///
    /// Unless a grader has a rule of its own: the first of its targets that stands in the prompt as whole words.
    fn leak(&self, prompt: &str) -> Option<String> {
        self.targets().into_iter().find(|it| leak::gives_away(prompt, it))
    }

    /// An answer that the case itself holds to be right, as one that is compared with, if this grader has it.
    fn reference(&self) -> Option<String> {
        None
    }

    /// Whether the answer is run: then a reader does not see whether it can be right.
    fn runs_answer(&self) -> bool {
        false
    }

    /// The texts to be scored, for a grader that goes by likelihood.
    fn continuations(&self) -> Option<Vec<String>> {
        None
    }

    /// Whether the model reads the prompt as a text, instead of answering it.
    fn reads_prompt(&self) -> bool {
        false
    }

    /// The other models that it asks, by their names.
    fn models(&self) -> Vec<String> {
        Vec::new()
    }

    /// What has to be found out before a text can be judged; what comes back is in [`Evidence::found`], in order.
    fn inquiries(&self, _text: &str) -> Vec<Inquiry> {
        Vec::new()
    }

    /// The same as the continuations, for a task's document: each with the prompt that it follows.
    fn scorings(&self) -> Option<&[task::Scoring]> {
        None
    }
}

/// What one grader finds.
struct Finding {
    score: f64,
    reason: String,
    /// What it extracted.
    answer: Option<String>,
    /// What it measured beside the score.
    metrics: Vec<Metric>,
}

impl Finding {
    fn new(score: f64, reason: impl Into<String>, answer: Option<String>) -> Self {
        Self { score, reason: reason.into(), answer, metrics: Vec::new() }
    }

    fn right(reason: impl Into<String>, answer: Option<String>) -> Self {
        Self::new(1.0, reason, answer)
    }

    fn wrong(reason: impl Into<String>) -> Self {
        Self::new(0.0, reason, None)
    }
}

impl Rubric {
    /// Reads and checks a `grade:` node; every mistake found, each with its place.
    pub fn read(node: &yaml::Node) -> Result<Self, Vec<Malformed>> {
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a mapping of graders, found {}", node.kind());
            return Err(vec![mistake(node.place(), message)]);
        };
        let mut mistakes = Vec::new();
        if entries.is_empty() {
            let help = "name a grader, such as `exact`, `number` or `choice`".to_owned();
            mistakes.push(Malformed {
                help: Some(help),
                ..mistake(node.place(), "no grader: nothing is judged")
            });
        }
        let mut graders = Vec::new();
        for (key, value) in entries {
            // By itself, so that one mistake hides no other.
            let alone = yaml::Node { span: node.span, value: Value::Map(vec![(key.clone(), value.clone())]) };
            match yaml::read::<written::Rubric>(&alone) {
                Ok(written) => graders.extend(grader(&written, value, &mut mistakes)),
                Err(malformed) => mistakes.push(malformed),
            }
        }
        graders.sort_by_key(|it| it.0);
        let graders: Vec<Weighted> = graders.into_iter().map(|it| it.1).collect();
        let alone = graders.iter().find(|it| it.grader.continuations().is_some() || it.grader.reads_prompt());
        if let Some(alone) = alone.filter(|_| graders.len() > 1) {
            let what = if alone.name == "choice" { "a choice by likelihood" } else { "`perplexity`" };
            let others = entries.iter().filter(|(key, _)| key.name != alone.name);
            mistakes.extend(others.map(|(key, _)| {
                mistake(key.span, format!("{what} stands alone: there is no text for another grader"))
            }));
        }
        if mistakes.is_empty() { Ok(Self { graders }) } else { Err(mistakes) }
    }

    /// Judges a response: the mean of the graders' scores by weight.
    pub fn grade(&self, evidence: &Evidence<'_>) -> Judgement {
        // Divided by the largest, so that no sum is beyond `f64`.
        let largest = self.graders.iter().fold(f64::MIN_POSITIVE, |largest, it| largest.max(it.weight));
        let (mut sum, mut total) = (0.0, 0.0);
        let mut answer = None;
        let mut parts = Vec::new();
        let mut metrics = Vec::new();
        let mut unread = evidence.found;
        for Weighted { name, weight, grader } in &self.graders {
            let Some((found, rest)) = unread.split_at_checked(grader.inquiries(evidence.text).len()) else {
                return Judgement::Unscored(format!("{name}: what it has to know was not found out"));
            };
            unread = rest;
            let finding = match grader.grade(&Evidence { found, ..*evidence }) {
                Ok(finding) => finding,
                Err(reason) => return Judgement::Unscored(format!("{name}: {reason}")),
            };
            sum += finding.score * (weight / largest);
            total += weight / largest;
            answer = answer.or(finding.answer);
            metrics.extend(
                finding.metrics.into_iter().map(|it| Metric::new(&format!("{name}.{}", it.name), it.value)),
            );
            let reason = finding.reason;
            parts.push(Part { name: name.to_string(), weight: *weight, score: finding.score, reason });
        }
        let reason = match &parts[..] {
            [only] => only.reason.clone(),
            several => {
                let is_right = several.iter().all(|it| it.score >= 1.0);
                let told = several.iter().filter(|it| is_right || it.score < 1.0);
                told.map(|it| format!("{}: {}", it.name, it.reason)).collect::<Vec<_>>().join("; ")
            }
        };
        let text = evidence.text.trim();
        let answer = answer.or_else(|| (!text.is_empty()).then(|| cut(text, 200).into_owned()));
        let score = (sum / total).clamp(0.0, 1.0);
        Judgement::Scored(Grade { score, answer, wanted: self.wanted(), reason, parts, metrics })
    }

    /// The continuations to be scored, in order, if a grader goes by likelihood: such a case asks for no text.
    ///
    /// The texts alone; whoever asks adds what parts them from the prompt.
    pub fn continuations(&self) -> Option<Vec<String>> {
        self.graders.iter().find_map(|it| it.grader.continuations())
    }

    /// Whether the model is asked how likely the prompt itself is, as a text: such a case asks for no answer, and
    /// [`Evidence::text`] is the text that was read.
    pub fn reads_prompt(&self) -> bool {
        self.graders.iter().any(|it| it.grader.reads_prompt())
    }

    /// Whether a text is asked for, and judged.
    pub fn reads_answer(&self) -> bool {
        !self.reads_prompt() && self.continuations().is_none()
    }

    /// Whether the answer is run.
    pub fn runs_answer(&self) -> bool {
        self.graders.iter().any(|it| it.grader.runs_answer())
    }

    /// An answer that the grader itself holds to be right, where it is the only one: a reference query, definitions, or
    /// a solution to compare with.
    pub fn reference(&self) -> Option<String> {
        match &self.graders[..] {
            [only] => only.grader.reference(),
            _ => None,
        }
    }

    /// The other models that graders ask, by their names in `models.yaml`; sorted.
    pub fn models(&self) -> Vec<String> {
        let mut models: Vec<String> = self.graders.iter().flat_map(|it| it.grader.models()).collect();
        models.sort();
        models.dedup();
        models
    }

    /// What has to be found out before a response with this text can be judged, in the order of [`Evidence::found`].
    pub fn inquiries(&self, text: &str) -> Vec<Inquiry> {
        self.graders.iter().flat_map(|it| it.grader.inquiries(text)).collect()
    }

    /// What the answer should be, in words ("the number 42").
    pub fn wanted(&self) -> String {
        self.graders.iter().map(|it| it.grader.wanted()).collect::<Vec<_>>().join("; ")
    }

    /// Text for digests: equal rubrics give equal text, however they are written.
    pub fn canonical(&self) -> String {
        let graders = self.graders.iter().map(|Weighted { name, weight, grader }| {
            // A single grader's weight means nothing.
            let weight = if self.graders.len() == 1 { 1.0 } else { *weight };
            serde_json::json!([name, weight, grader.canonical()])
        });
        graders.collect::<serde_json::Value>().to_string()
    }

    /// The texts that would give the answer away in a prompt: texts that are wanted, the number as it is written,
    /// the letter and the text of the right option.
    pub fn targets(&self) -> Vec<String> {
        self.graders.iter().flat_map(|it| it.grader.targets()).collect()
    }

    /// The target that a prompt gives away, if it does; each grader defines when.
    pub fn leak(&self, prompt: &str) -> Option<String> {
        self.graders.iter().find_map(|it| it.grader.leak(prompt))
    }
}

/// The one grader that is written, with its rank.
fn grader(
    written: &written::Rubric,
    node: &yaml::Node,
    mistakes: &mut Vec<Malformed>,
) -> Option<(u8, Weighted)> {
    fn boxed(grader: Option<impl Grader + 'static>) -> Option<Arc<dyn Grader>> {
        grader.map(|it| Arc::new(it) as Arc<dyn Grader>)
    }
    let known = mistakes.len();
    let (rank, name, weight, grader) = if let Some(form) = written.exact.value() {
        (0, "exact", form.long().map(|it| &it.weight), boxed(exact::Exact::check(form, mistakes)))
    } else if let Some(form) = written.contains.value() {
        (
            1,
            "contains",
            form.long().map(|it| &it.weight),
            boxed(contains::Contains::check(form, node.place(), mistakes)),
        )
    } else if let Some(form) = written.regex.value() {
        (2, "regex", form.long().map(|it| &it.weight), boxed(regex::Regex::check(form, mistakes)))
    } else if let Some(form) = written.number.value() {
        (3, "number", form.long().map(|it| &it.weight), boxed(number::Number::check(form, mistakes)))
    } else if let Some(form) = written.choice.value() {
        (4, "choice", form.long().map(|it| &it.weight), boxed(choice::Choice::check(form, mistakes)))
    } else if let Some(Mapping(written)) = written.json.value() {
        (5, "json", Some(&written.weight), boxed(json::Json::check(written, node, mistakes)))
    } else if let Some(Mapping(written)) = written.length.value() {
        (
            6,
            "length",
            Some(&written.weight),
            boxed(Some(length::Length::check(written, node.place(), mistakes))),
        )
    } else if let Some(form) = written.math.value() {
        (7, "math", form.long().map(|it| &it.weight), boxed(math::Math::check(form, mistakes)))
    } else if let Some(Mapping(written)) = written.sql.value() {
        (8, "sql", Some(&written.weight), boxed(sql::Sql::check(written, node.place(), mistakes)))
    } else if let Some(Mapping(written)) = written.steps.value() {
        (9, "steps", Some(&written.weight), boxed(Some(steps::Steps::check(written, mistakes))))
    } else if let Some(Mapping(written)) = written.coherence.value() {
        (10, "coherence", Some(&written.weight), boxed(coherence::Coherence::check(written, mistakes)))
    } else if let Some(Mapping(written)) = written.perplexity.value() {
        let place = node.place();
        (
            11,
            "perplexity",
            Some(&written.weight),
            boxed(perplexity::Perplexity::check(written, place, mistakes)),
        )
    } else if let Some(Mapping(written)) = written.code.value() {
        (13, "code", Some(&written.weight), boxed(code::Code::check(written, node.place(), mistakes)))
    } else {
        let Mapping(written) = written.judge.value()?;
        (12, "judge", Some(&written.weight), boxed(judge::Judge::check(written, node.place(), mistakes)))
    };
    let weight = match weight.and_then(|it| it.0.as_ref()) {
        None => 1.0,
        Some(Spanned { value, span }) => {
            let weight = value.numeral.quantity.approximate();
            if value.numeral.percent || weight <= 0.0 {
                mistakes.push(mistake(
                    *span,
                    format!("`weight` is {}: it must be a number above 0", value.written),
                ));
            }
            weight
        }
    };
    let grader = grader.filter(|_| mistakes.len() == known)?;
    Some((rank, Weighted { name: name.into(), weight, grader }))
}

fn mistake(span: Span, message: impl Into<String>) -> Malformed {
    Malformed { message: message.into(), span: Some(span), help: None }
}

/// The texts of a list that must not be empty, nor any of them.
fn texts(name: &str, list: &Spanned<Vec<Spanned<Text>>>, mistakes: &mut Vec<Malformed>) -> Vec<String> {
    if list.value.is_empty() {
        mistakes.push(mistake(list.span, format!("`{name}` is empty")));
    }
    list.value.iter().filter_map(|it| text(it, mistakes)).collect()
}

/// Text that must not be empty.
fn text(text: &Spanned<Text>, mistakes: &mut Vec<Malformed>) -> Option<String> {
    if text.value.0.trim().is_empty() {
        mistakes.push(mistake(text.span, "an empty text"));
        return None;
    }
    Some(text.value.0.clone())
}

/// A text without white space at its ends, cut to a number of characters.
fn cut(text: &str, most: usize) -> Cow<'_, str> {
    let text = text.trim();
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}…", text[..end].trim_end())),
        None => Cow::Borrowed(text),
    }
}

/// Texts in back quotes: `` `a`, `b` or `c` ``.
fn quoted(texts: &[String], word: &str) -> String {
    let quoted: Vec<String> = texts.iter().map(|it| format!("`{}`", cut(it, 60))).collect();
    match &quoted[..] {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} {word} {last}", most.join(", ")),
    }
}
