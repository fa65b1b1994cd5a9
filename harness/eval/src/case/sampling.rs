//! Sampling as a case writes it, and what is wrong with it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::mistake;
use crate::backend::Sampling;
use crate::yaml::{Malformed, Spanned};

/// How tokens are chosen.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSampling {
    /// Flattens the distribution; 0, the default, always takes the likeliest token.
    temperature: Option<Spanned<f64>>,
    /// Keep the k likeliest tokens.
    top_k: Option<Spanned<u32>>,
    /// Keep the smallest set of tokens with this probability together.
    top_p: Option<Spanned<f64>>,
    /// Keep the tokens with at least this part of the likeliest token's probability.
    min_p: Option<Spanned<f64>>,
    /// Above 1, makes tokens of the prompt and of the answer so far less likely.
    repetition_penalty: Option<Spanned<f64>>,
    /// Above 0, makes tokens less likely, the more so the more often the answer has them.
    frequency_penalty: Option<Spanned<f64>>,
    /// Above 0, makes tokens less likely that the answer has.
    presence_penalty: Option<Spanned<f64>>,
    /// Makes the draw repeatable; the n-th repeat uses the seed plus n − 1.
    seed: Option<u64>,
    /// How often each variant is asked.
    repeats: Option<Spanned<u32>>,
    /// Keeps the log-probability of each token of the answer in the store, and of this many of the likeliest in its place.
    logprobs: Option<Spanned<u32>>,
}

/// The most likeliest tokens that are kept, as in `OpenAI`'s API.
const MOST_LOGPROBS: u32 = 20;

/// A case's own sampling over its file's, how often it is asked, and whether log-probabilities are kept.
pub(super) fn check(
    own: &WrittenSampling,
    default: &WrittenSampling,
    mistakes: &mut Vec<Malformed>,
) -> (Sampling, u32, Option<u32>) {
    let temperature = own.temperature.or(default.temperature);
    let top_k = own.top_k.or(default.top_k);
    let top_p = own.top_p.or(default.top_p);
    let min_p = own.min_p.or(default.min_p);
    let repetition_penalty = own.repetition_penalty.or(default.repetition_penalty);
    let frequency_penalty = own.frequency_penalty.or(default.frequency_penalty);
    let presence_penalty = own.presence_penalty.or(default.presence_penalty);
    let repeats = own.repeats.or(default.repeats);
    let greedy = temperature.is_none_or(|it| it.value == 0.0);
    if let Some(it) = temperature
        && !(0.0..=100.0).contains(&it.value)
    {
        mistakes.push(mistake("a temperature lies between 0 and 100", it.span));
    }
    if let Some(it) = top_k
        && it.value == 0
    {
        mistakes.push(mistake("`top_k` keeps at least one token", it.span));
    }
    if let Some(it) = top_p
        && !(it.value > 0.0 && it.value <= 1.0)
    {
        mistakes.push(mistake("`top_p` lies above 0 and is at most 1", it.span));
    }
    if let Some(it) = min_p
        && !(0.0..=1.0).contains(&it.value)
    {
        mistakes.push(mistake("`min_p` lies between 0 and 1", it.span));
    }
    if let Some(it) = repetition_penalty
        && !(it.value > 0.0 && it.value <= 10.0)
    {
        mistakes.push(mistake("`repetition_penalty` lies above 0 and is at most 10", it.span));
    }
    for (name, penalty) in [("frequency_penalty", frequency_penalty), ("presence_penalty", presence_penalty)]
    {
        if let Some(it) = penalty
            && !(-2.0..=2.0).contains(&it.value)
        {
            mistakes.push(mistake(format!("`{name}` lies between -2 and 2"), it.span));
        }
    }
    let logprobs = own.logprobs.or(default.logprobs);
    if let Some(it) = logprobs
        && it.value > MOST_LOGPROBS
    {
        mistakes.push(mistake(format!("`logprobs` is at most {MOST_LOGPROBS}"), it.span));
    }
    if let Some(it) = repeats {
        if it.value == 0 || it.value > 1_000 {
            mistakes.push(mistake("`repeats` lies between 1 and 1000", it.span));
        } else if it.value > 1 && greedy {
            mistakes.push(Malformed {
                help: Some("give a `temperature` above 0".to_owned()),
                ..mistake("repeats at temperature 0 give one answer again and again", it.span)
            });
        }
    }
    let sampling = Sampling {
        temperature: temperature.map_or(0.0, |it| it.value),
        top_k: top_k.map(|it| it.value),
        top_p: top_p.map(|it| it.value),
        min_p: min_p.map(|it| it.value),
        repetition_penalty: repetition_penalty.map(|it| it.value),
        frequency_penalty: frequency_penalty.map(|it| it.value),
        presence_penalty: presence_penalty.map(|it| it.value),
        seed: own.seed.or(default.seed).unwrap_or(0),
    };
    (sampling, repeats.map_or(1, |it| it.value), logprobs.map(|it| it.value))
}
