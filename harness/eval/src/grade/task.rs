//! Metrics of tasks: what lm-evaluation-harness measures of one document.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Evidence, Finding, Grader, Rubric, Weighted, cut};
use crate::backend::{Likelihood, Message};
use crate::count::counted;
use crate::dataset::filter::Filter;
use crate::dataset::pattern::Pattern;
use crate::dataset::python;

/// Continuations that are scored after a prompt of their own.
#[derive(Clone, Debug)]
pub struct Scoring {
    /// The prompt; `None` for the case's own.
    pub prompt: Option<Vec<Message>>,
    /// The continuations, with all that parts them from the prompt.
    pub continuations: Vec<String>,
}

/// A metric's name, what it counts for, and how it is found.
///
/// The score of a document is its main metric's, which alone has a weight; the others are told beside it.
#[derive(Clone, Debug)]
pub struct Metric {
    /// The name, with the filter's after a comma where there is one.
    pub name: String,
    /// 1 for the main metric, 0 for the others.
    pub weight: f64,
    /// How it is found.
    pub measure: Measure,
}

/// How a metric is found for one document. The formulas are lm-evaluation-harness's, version 0.4.13.
#[derive(Clone, Debug)]
pub enum Measure {
    /// `exact_match` of a text: what the filter reads from it equals a right answer.
    Match(Arc<Match>),
    /// A comparison of options by likelihood.
    Pick(Pick, Arc<Options>),
    /// The likelihood of a text.
    Likelihood(OfText, Arc<Told>),
}

/// How a text is compared with the right answers.
#[derive(Clone, Debug)]
pub struct Match {
    /// How the answer is read.
    pub filter: Arc<Filter>,
    /// The texts of the options, for filters that look for them.
    pub options: Vec<String>,
    /// The right answers, one of which will do.
    pub right: Vec<Value>,
    /// What is looked past.
    pub lenience: Arc<Lenience>,
}

/// What `exact_match` looks past, on both sides.
#[derive(Clone, Debug, Default)]
pub struct Lenience {
    /// What is taken out first.
    pub regexes: Vec<Pattern>,
    /// Whether letters are made small.
    pub case: bool,
    /// Whether ASCII's punctuation is taken out.
    pub punctuation: bool,
    /// Whether ASCII's digits are taken out.
    pub numbers: bool,
}

/// A comparison of options, whose log-probabilities are of all their tokens together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// `acc`: 1 if the right option is the likeliest; of equal ones the first counts.
    Accuracy,
    /// `acc_norm`: each log-probability is divided by the characters of its option.
    Characters,
    /// `acc_bytes`: each is divided by the bytes of its option.
    Bytes,
    /// `acc_mutual_info`: from each is taken its log-probability after no prompt.
    MutualInformation,
    /// `exact_match`: 1 if greedy decoding writes the right option.
    Greedy,
    /// `brier_score`: over the softmax of the log-probabilities, the sum of squared distances from the right answer,
    /// from 0 to 2; the score is 1 less half of it.
    Brier,
    /// `f1` and `mcc` are of a whole suite: what is told of a document is which option was right, and which was picked.
    Pair,
}

/// Options and which of them is right.
#[derive(Clone, Debug)]
pub struct Options {
    /// Their texts.
    pub texts: Vec<String>,
    /// The right one; `Err` where the document names none of them.
    pub right: Right,
    /// What is scored: the options first, then, for mutual information, the same after no prompt.
    pub scorings: Vec<Scoring>,
}

/// Which option is right.
#[derive(Clone, Debug, PartialEq)]
pub enum Right {
    /// One.
    One(i64),
    /// Any of several.
    Several(Vec<i64>),
    /// None that there is: every answer is wrong.
    Unknown(String),
}

/// A metric of a text's likelihood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfText {
    /// `acc`: 1 if greedy decoding writes the text.
    Greedy,
    /// `perplexity`: exp(−ℓ), with ℓ the log-probability of the text; the score is its inverse.
    Perplexity,
    /// `word_perplexity`: exp(−ℓ / words), words being what white space parts; the score is its inverse.
    Words,
    /// `byte_perplexity`: exp(−ℓ / bytes); the score is its inverse.
    Bytes,
    /// `bits_per_byte`: −ℓ / bytes / ln 2; the score is the byte perplexity's inverse.
    Bits,
}

/// A text that is scored.
#[derive(Clone, Debug)]
pub struct Told {
    /// The text.
    pub text: String,
    /// What is scored.
    pub scorings: Vec<Scoring>,
}

impl Rubric {
    /// The rubric of a task's document; one of the metrics has a weight.
    pub fn of_task(metrics: Vec<Metric>) -> Self {
        let grader =
            |it: Metric| Weighted { name: it.name.into(), weight: it.weight, grader: Arc::new(it.measure) };
        Self { graders: metrics.into_iter().map(grader).collect() }
    }

    /// What is scored, if a task's document goes by likelihood; the likelihoods are of all continuations, in order.
    pub fn scorings(&self) -> Option<&[Scoring]> {
        self.graders.iter().find_map(|it| it.grader.scorings())
    }
}

impl Grader for Measure {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        match self {
            Self::Match(it) => it.grade(evidence.text),
            Self::Pick(pick, options) => options.grade(*pick, evidence.likelihoods),
            Self::Likelihood(of, told) => told.grade(*of, evidence.likelihoods),
        }
    }

    fn wanted(&self) -> String {
        match self {
            Self::Match(it) => {
                let right: Vec<String> = it.right.iter().map(python::text).collect();
                format!("the text {}", super::quoted(&right, "or"))
            }
            Self::Pick(_, options) => match &options.right {
                Right::One(at) => match usize::try_from(*at).ok().and_then(|it| options.texts.get(it)) {
                    Some(text) => format!("option {at}, `{}`", cut(text, 60)),
                    None => format!("option {at}"),
                },
                Right::Several(all) => format!("one of the options {all:?}"),
                Right::Unknown(named) => format!("`{}`, which is no option", cut(named, 60)),
            },
            Self::Likelihood(_, told) => format!("the text `{}`", cut(&told.text, 60)),
        }
    }

    fn canonical(&self) -> Value {
        match self {
            Self::Match(it) => json!({
                "filter": format!("{:?}", it.filter.steps),
                "options": it.options,
                "right": it.right,
                "lenience": format!("{:?}", it.lenience),
            }),
            Self::Pick(pick, options) => json!({
                "pick": format!("{pick:?}"),
                "options": options.texts,
                "right": format!("{:?}", options.right),
                "scored": scored(&options.scorings),
            }),
            Self::Likelihood(of, told) => json!({
                "of": format!("{of:?}"),
                "text": told.text,
                "scored": scored(&told.scorings),
            }),
        }
    }

    fn targets(&self) -> Vec<String> {
        match self {
            Self::Match(it) => it.right.iter().map(python::text).collect(),
            Self::Pick(..) | Self::Likelihood(..) => Vec::new(),
        }
    }

    fn continuations(&self) -> Option<Vec<String>> {
        let texts = |it: &Scoring| it.continuations.clone();
        self.scorings().map(|it| it.iter().flat_map(texts).collect())
    }

    fn scorings(&self) -> Option<&[Scoring]> {
        match self {
            Self::Match(_) => None,
            Self::Pick(_, options) => Some(&options.scorings),
            Self::Likelihood(_, told) => Some(&told.scorings),
        }
    }
}

fn scored(scorings: &[Scoring]) -> Value {
    let prompt = |it: &Scoring| {
        let turns =
            it.prompt.as_deref().map(|turns| turns.iter().map(|it| format!("{:?} {}", it.role, it.content)));
        turns.map(Iterator::collect::<Vec<_>>)
    };
    scorings.iter().map(|it| json!([prompt(it), it.continuations])).collect()
}

impl Match {
    fn grade(&self, text: &str) -> Result<Finding, String> {
        let found = self.filter.apply(text, &self.options)?;
        let answer = Some(cut(&python::text(&found), 200).into_owned());
        let read = self.lenience.read(&found);
        let hit = self.right.iter().any(|it| self.lenience.read(&like(it, &found)) == read);
        let shown = format!("`{}`", cut(&python::text(&found), 60));
        Ok(if hit {
            Finding::right(format!("found {shown}"), answer)
        } else {
            let right: Vec<String> = self.right.iter().map(python::text).collect();
            let reason = format!("wanted {}, found {shown}", super::quoted(&right, "or"));
            Finding { score: 0.0, reason, answer, metrics: Vec::new() }
        })
    }
}

/// A right answer as a value of the kind that was found: text for text, a number for a number.
fn like(right: &Value, found: &Value) -> Value {
    match (right, found) {
        (Value::String(text), Value::Number(_)) => {
            let number = python::strip(text).parse::<i64>();
            number.map_or_else(|_| right.clone(), Value::from)
        }
        (other, Value::String(_)) => Value::String(python::text(other)),
        _ => right.clone(),
    }
}

impl Lenience {
    fn read(&self, value: &Value) -> Value {
        let Value::String(text) = value else { return value.clone() };
        let mut text = text.clone();
        for pattern in &self.regexes {
            text = pattern.replace(&text, "", 0);
        }
        if self.case {
            text = text.to_lowercase();
        }
        text.retain(|it| {
            !(self.punctuation && it.is_ascii_punctuation() || self.numbers && it.is_ascii_digit())
        });
        Value::String(text)
    }
}

/// The position of the largest value, of equal ones the first; `None` if one is no number.
fn largest(values: &[f64]) -> Option<usize> {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if value.is_nan() {
            return None;
        }
        if *value > values[best] {
            best = at;
        }
    }
    (!values.is_empty()).then_some(best)
}

impl Options {
    fn grade(&self, pick: Pick, likelihoods: &[Likelihood]) -> Result<Finding, String> {
        let wanted: usize = self.scorings.iter().map(|it| it.continuations.len()).sum();
        if likelihoods.len() != wanted || wanted < self.texts.len() {
            let found = counted(likelihoods.len(), "likelihood");
            return Err(format!("{found} for {}", counted(wanted, "continuation")));
        }
        let (own, alone) = likelihoods.split_at(self.texts.len());
        let logprobs: Vec<f64> = own.iter().map(|it| it.logprob).collect();
        let by = |length: fn(&str) -> usize| -> Vec<f64> {
            logprobs.iter().zip(&self.texts).map(|(it, text)| it / length(text) as f64).collect()
        };
        let values = match pick {
            Pick::Characters => by(|it| it.chars().count()),
            Pick::Bytes => by(str::len),
            Pick::MutualInformation => {
                if alone.len() != own.len() {
                    return Err("there is no likelihood of the options after no prompt".to_owned());
                }
                own.iter().zip(alone).map(|(it, alone)| it.logprob - alone.logprob).collect()
            }
            Pick::Accuracy | Pick::Greedy | Pick::Brier | Pick::Pair => logprobs.clone(),
        };
        let picked = largest(&values).ok_or("the likelihood of an option is no number")?;
        let right = |at: usize| match &self.right {
            Right::One(right) => i64::try_from(at) == Ok(*right),
            Right::Several(all) => all.iter().any(|it| i64::try_from(at) == Ok(*it)),
            Right::Unknown(_) => false,
        };
        let answer = Some(picked.to_string());
        let wanted = match &self.right {
            Right::One(at) => at.to_string(),
            Right::Several(all) => all.iter().map(i64::to_string).collect::<Vec<_>>().join(" or "),
            Right::Unknown(named) => format!("`{}`", cut(named, 60)),
        };
        Ok(match pick {
            Pick::Greedy => {
                let hit = own.iter().enumerate().any(|(at, it)| it.greedy && right(at));
                let reason =
                    if hit { "greedy decoding writes it" } else { "greedy decoding writes something else" };
                Finding {
                    score: f64::from(u8::from(hit)),
                    reason: reason.to_owned(),
                    answer,
                    metrics: Vec::new(),
                }
            }
            Pick::Brier => {
                let most = values[picked];
                let weights: Vec<f64> = values.iter().map(|it| (it - most).exp()).collect();
                let sum: f64 = weights.iter().sum();
                let distance =
                    |(at, weight): (usize, &f64)| (weight / sum - f64::from(u8::from(right(at)))).powi(2);
                let brier: f64 = weights.iter().enumerate().map(distance).sum();
                Finding {
                    score: 1.0 - brier / 2.0,
                    reason: format!("{brier:.6}"),
                    answer,
                    metrics: Vec::new(),
                }
            }
            Pick::Pair => {
                let score = f64::from(u8::from(right(picked)));
                Finding {
                    score,
                    reason: format!("right is {wanted}, picked is {picked}"),
                    answer,
                    metrics: Vec::new(),
                }
            }
            _ if right(picked) => Finding::right(format!("the likeliest is {picked}"), answer),
            _ => {
                let reason = format!("wanted {wanted}, the likeliest is {picked}");
                Finding { score: 0.0, reason, answer, metrics: Vec::new() }
            }
        })
    }
}

impl Told {
    fn grade(&self, of: OfText, likelihoods: &[Likelihood]) -> Result<Finding, String> {
        let [likelihood] = likelihoods else {
            return Err(format!("{} for one text", counted(likelihoods.len(), "likelihood")));
        };
        let logprob = likelihood.logprob;
        if !logprob.is_finite() {
            return Err("the likelihood of the text is no finite number".to_owned());
        }
        // What white space parts, empty at an end that it stands at.
        let words = 1 + WHITE.find_iter(&self.text).count();
        let bytes = self.text.len();
        let inverse = |parts: usize| (logprob / parts.max(1) as f64).exp();
        let (score, reason) = match of {
            OfText::Greedy => {
                let hit = likelihood.greedy;
                let reason =
                    if hit { "greedy decoding writes it" } else { "greedy decoding writes something else" };
                (f64::from(u8::from(hit)), reason.to_owned())
            }
            OfText::Perplexity => (inverse(1), format!("{:.6}", 1.0 / inverse(1))),
            OfText::Words => (inverse(words), format!("{:.6}", 1.0 / inverse(words))),
            OfText::Bytes => (inverse(bytes), format!("{:.6}", 1.0 / inverse(bytes))),
            OfText::Bits => {
                let bits = -logprob / bytes.max(1) as f64 / std::f64::consts::LN_2;
                (inverse(bytes), format!("{bits:.6}"))
            }
        };
        Ok(Finding { score: score.clamp(0.0, 1.0), reason, answer: None, metrics: Vec::new() })
    }
}

static WHITE: std::sync::LazyLock<regex::Regex> =
    std::sync::LazyLock::new(|| regex::Regex::new(r"[\s\x1c-\x1f]+").expect("white space, as Python has it"));
