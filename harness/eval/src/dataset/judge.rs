//! Judging: what a document's right answer is, and the rubric that follows from it.

use std::sync::Arc;

use serde_json::Value;

use super::document::{Document, Failure};
use super::filter::Filter;
use super::metrics::{KindOf, MetricOf, OutputType};
use super::prompt::{Asked, Composer, Form};
use super::settings::Setting;
use super::task::{Item, name_of};
use crate::backend::{Message, Role};
use crate::grade::Rubric;
use crate::grade::task::{Match, Measure, Metric, Options, Pick, Right, Scoring, Told};

/// What a document is judged by.
pub(super) struct Judge<'a> {
    pub(super) output: OutputType,
    pub(super) metrics: &'a [MetricOf],
    pub(super) filters: &'a [Arc<Filter>],
    pub(super) score: Option<&'a str>,
    /// Whether a target that is a list names several right answers.
    pub(super) several: bool,
    pub(super) form: Form,
    pub(super) graded: Option<&'a Setting>,
}

impl Judge<'_> {
    pub(super) fn item(
        &self,
        id: String,
        asked: Asked,
        document: &Document,
        composer: &Composer,
    ) -> Result<Item, Failure> {
        let wrong = |message: String| match &composer.style.target {
            Some(target) => target.wrong(message),
            None => composer.style.text.wrong(message),
        };
        let Asked { mut contexts, question, options, target } = asked;
        let messages = contexts.first().cloned().unwrap_or_default();
        if let Some(setting) = self.graded {
            let rubric = document.grade(setting)?;
            return Ok(Item { id, messages, rubric });
        }
        let mut metrics = Vec::new();
        let mut add = |name: String, measure: Measure| {
            let weight = if self.score == Some(name.as_str()) { 1.0 } else { 0.0 };
            metrics.push(Metric { name, weight, measure });
        };
        match self.output {
            OutputType::Generate => {
                let right = right_texts(&target, options.as_deref(), self.several).map_err(wrong)?;
                let options = document.row.get("choices").map(texts_of).or(options).unwrap_or_default();
                for filter in self.filters {
                    for metric in self.metrics {
                        let KindOf::Match(lenience) = &metric.kind else { continue };
                        let (filter, lenience) = (Arc::clone(filter), Arc::clone(lenience));
                        let name = name_of(self.output, metric, &filter);
                        let options = options.clone();
                        add(
                            name,
                            Measure::Match(Arc::new(Match {
                                filter,
                                options,
                                right: right.clone(),
                                lenience,
                            })),
                        );
                    }
                }
            }
            OutputType::Choice => {
                let texts = options.unwrap_or_default();
                let named = if composer.multiple_inputs { &question } else { &target };
                let right =
                    right_option(named, &texts, self.several && !composer.multiple_inputs).map_err(wrong)?;
                // A turn begins anew; in plain text the delimiter parts the question from its answer.
                let delimiter =
                    if self.form == Form::Plain { composer.style.target_delimiter.as_str() } else { "" };
                let all: Vec<String> = texts.iter().map(|it| format!("{delimiter}{it}")).collect();
                let mut scorings = if composer.multiple_inputs {
                    let Value::String(answer) = &target else {
                        return Err(wrong(format!("the answer is `{target}`, which is no text")));
                    };
                    let after = |prompt| Scoring {
                        prompt: Some(prompt),
                        continuations: vec![format!("{delimiter}{answer}")],
                    };
                    contexts.drain(..).map(after).collect()
                } else {
                    vec![Scoring { prompt: None, continuations: all.clone() }]
                };
                if self.metrics.iter().any(|it| matches!(it.kind, KindOf::Pick(Pick::MutualInformation))) {
                    scorings.push(Scoring { prompt: Some(nothing()), continuations: all });
                }
                let options = Arc::new(Options { texts, right, scorings });
                for metric in self.metrics {
                    if let KindOf::Pick(pick) = metric.kind {
                        add(metric.name.clone(), Measure::Pick(pick, Arc::clone(&options)));
                    }
                }
            }
            OutputType::Likelihood | OutputType::Rolling => {
                let Value::String(text) = target else {
                    return Err(wrong(format!("the text is `{target}`, which is no text")));
                };
                let prompt = (self.output == OutputType::Rolling).then(nothing);
                let scorings = vec![Scoring { prompt, continuations: vec![text.clone()] }];
                let told = Arc::new(Told { text, scorings });
                for metric in self.metrics {
                    if let KindOf::Text(of) = metric.kind {
                        add(metric.name.clone(), Measure::Likelihood(of, Arc::clone(&told)));
                    }
                }
            }
        }
        let messages = if self.output == OutputType::Rolling { nothing() } else { messages };
        Ok(Item { id, messages, rubric: Rubric::of_task(metrics) })
    }
}

/// A prompt of no text: what follows it follows the token that texts begin with.
fn nothing() -> Vec<Message> {
    vec![Message { role: Role::Text, content: String::new() }]
}

fn texts_of(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(super::python::text).collect()
}

/// The right answers of a question that is answered by a text.
fn right_texts(target: &Value, options: Option<&[String]>, several: bool) -> Result<Vec<Value>, String> {
    if let Some(options) = options {
        let at =
            target.as_i64().ok_or_else(|| format!("with options the target is a number, not `{target}`"))?;
        let at = if at < 0 { at.checked_add_unsigned(options.len() as u64) } else { Some(at) };
        let option = at.and_then(|it| options.get(usize::try_from(it).ok()?));
        return Ok(vec![Value::from(option.ok_or_else(|| format!("there is no option {target}"))?.as_str())]);
    }
    Ok(match target {
        Value::Array(items) if several => items.clone(),
        // A text of several characters would be several right answers of one.
        Value::String(text) if several => text.chars().map(|it| Value::from(it.to_string())).collect(),
        other => vec![Value::String(super::python::text(other))],
    })
}

/// The right option of a question that is answered by a choice.
fn right_option(named: &Value, options: &[String], several: bool) -> Result<Right, String> {
    let exists = |at: i64| at < i64::try_from(options.len()).unwrap_or(i64::MAX);
    let number = |value: &Value| match value {
        Value::Bool(it) => Some(i64::from(*it)),
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() < 1e15)?;
            #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
            Some(float as i64)
        }),
        _ => None,
    };
    match named {
        Value::Array(items) if several => {
            let numbers: Option<Vec<i64>> = items.iter().map(number).collect();
            let numbers = numbers.ok_or_else(|| format!("the right options are numbers, not `{named}`"))?;
            Ok(Right::Several(numbers.into_iter().filter(|it| exists(*it)).collect()))
        }
        Value::String(text) => Ok(match options.iter().position(|it| it == text) {
            Some(at) => Right::One(i64::try_from(at).unwrap_or(i64::MAX)),
            None => Right::Unknown(text.clone()),
        }),
        other => match number(other) {
            Some(at) if exists(at) => Ok(Right::One(at)),
            _ => Ok(Right::Unknown(super::python::text(other))),
        },
    }
}
