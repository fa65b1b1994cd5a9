//! Sampling as a case writes it, and what is wrong with it.

use std::fmt::{self, Write as _};

use schemars::JsonSchema;
use serde::de::{self, IntoDeserializer as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Drawn, mistake};
use crate::backend::Sampling;
use crate::yaml::{Malformed, Span, Spanned};

/// How tokens are chosen.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSampling {
    /// Flattens the distribution; 0, the default, always takes the likeliest token. Of a list, each is a variant.
    temperature: Option<Each<f64>>,
    /// Keep the k likeliest tokens.
    top_k: Option<Spanned<u32>>,
    /// Keep the smallest set of tokens with this probability together. Of a list, each is a variant.
    top_p: Option<Each<f64>>,
    /// Keep the tokens with at least this part of the likeliest token's probability.
    min_p: Option<Spanned<f64>>,
    /// Above 1, makes tokens of the prompt and of the answer so far less likely.
    repetition_penalty: Option<Spanned<f64>>,
    /// Above 0, makes tokens less likely, the more so the more often the answer has them.
    frequency_penalty: Option<Spanned<f64>>,
    /// Above 0, makes tokens less likely that the answer has.
    presence_penalty: Option<Spanned<f64>>,
    /// Makes the draw repeatable; the n-th repeat uses the seed plus n − 1. Of a list, each is a variant.
    seed: Option<Each<u64>>,
    /// How often each variant is asked.
    repeats: Option<Spanned<u32>>,
    /// Keeps the log-probability of each token of the answer in the store, and of this many of the likeliest in its place.
    logprobs: Option<Spanned<u32>>,
}

/// One value, or a list of them.
#[derive(Clone)]
struct Each<T> {
    values: Vec<Spanned<T>>,
    is_list: bool,
    span: Span,
}

/// The same, before a value by itself gets its field's place.
enum OneOrMany<T> {
    One(T),
    Many(Vec<Spanned<T>>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Each<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, span } = Spanned::<OneOrMany<T>>::deserialize(deserializer)?;
        Ok(match value {
            OneOrMany::One(value) => Self { values: vec![Spanned { value, span }], is_list: false, span },
            OneOrMany::Many(values) => Self { values, is_list: true, span },
        })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Numbers<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a list of numbers")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(OneOrMany::One)
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(OneOrMany::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = items.next_element()? {
                    values.push(value);
                }
                Ok(OneOrMany::Many(values))
            }
        }

        deserializer.deserialize_any(Numbers(std::marker::PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Each<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Each_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "minItems": 1, "items": one }] })
    }
}

impl<T: Copy + PartialEq + fmt::Display> Each<T> {
    /// The values of a case's own field, else of its file's, each once; `None` for neither.
    fn chosen<'a>(
        name: &str,
        own: Option<&'a Self>,
        default: Option<&'a Self>,
        mistakes: &mut Vec<Malformed>,
    ) -> Option<&'a Self> {
        let each = own.or(default)?;
        if each.values.is_empty() {
            mistakes.push(mistake(format!("`{name}` has no value: there would be no trial"), each.span));
            return None;
        }
        for (index, it) in each.values.iter().enumerate() {
            if each.values[..index].iter().any(|other| other.value == it.value) {
                mistakes.push(mistake(format!("`{}` stands twice in `{name}`", it.value), it.span));
            }
        }
        Some(each)
    }

    /// The values, or the one that stands for none given.
    fn or(each: Option<&Self>, default: T) -> Vec<T> {
        each.map_or_else(|| vec![default], |it| it.values.iter().map(|it| it.value).collect())
    }
}

/// The most likeliest tokens that are kept, as in `OpenAI`'s API.
const MOST_LOGPROBS: u32 = 20;

/// The most trials that a variant of a case may have with one model.
const MOST_TRIALS: usize = 1_000;

/// A case's own sampling over its file's, one for each combination of its lists, and whether log-probabilities are kept.
pub(super) fn check(
    own: &WrittenSampling,
    default: &WrittenSampling,
    mistakes: &mut Vec<Malformed>,
) -> (Vec<Drawn>, Option<u32>) {
    let temperatures =
        Each::chosen("temperature", own.temperature.as_ref(), default.temperature.as_ref(), mistakes);
    let top_ps = Each::chosen("top_p", own.top_p.as_ref(), default.top_p.as_ref(), mistakes);
    let seeds = Each::chosen("seed", own.seed.as_ref(), default.seed.as_ref(), mistakes);
    let top_k = own.top_k.or(default.top_k);
    let min_p = own.min_p.or(default.min_p);
    let repetition_penalty = own.repetition_penalty.or(default.repetition_penalty);
    let frequency_penalty = own.frequency_penalty.or(default.frequency_penalty);
    let presence_penalty = own.presence_penalty.or(default.presence_penalty);
    let repeats = own.repeats.or(default.repeats);
    for it in temperatures.into_iter().flat_map(|it| &it.values) {
        if !(0.0..=100.0).contains(&it.value) {
            mistakes.push(mistake("a temperature lies between 0 and 100", it.span));
        }
    }
    if let Some(it) = top_k
        && it.value == 0
    {
        mistakes.push(mistake("`top_k` keeps at least one token", it.span));
    }
    for it in top_ps.into_iter().flat_map(|it| &it.values) {
        if !(it.value > 0.0 && it.value <= 1.0) {
            mistakes.push(mistake("`top_p` lies above 0 and is at most 1", it.span));
        }
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
    let greedy = Each::or(temperatures, 0.0).iter().all(|it| *it == 0.0);
    check_repeats(greedy, top_ps, seeds, repeats, mistakes);
    let first = Sampling {
        temperature: 0.0,
        top_k: top_k.map(|it| it.value),
        top_p: top_ps.map(|it| it.values[0].value),
        min_p: min_p.map(|it| it.value),
        repetition_penalty: repetition_penalty.map(|it| it.value),
        frequency_penalty: frequency_penalty.map(|it| it.value),
        presence_penalty: presence_penalty.map(|it| it.value),
        seed: seeds.map_or(0, |it| it.values[0].value),
    };
    let repeats = repeats.map_or(1, |it| it.value);
    let mut drawn = Vec::new();
    for temperature in Each::or(temperatures, 0.0) {
        if temperature == 0.0 {
            // The likeliest token is the same whatever is kept beside it, and whatever is drawn.
            drawn.push(Drawn { sampling: first.clone(), label: String::new(), repeats: 1 });
            continue;
        }
        for top_p in
            top_ps.map_or_else(|| vec![None], |it| it.values.iter().map(|it| Some(it.value)).collect())
        {
            for seed in Each::or(seeds, 0) {
                let mut label = format!("@t{temperature}");
                // Writing to a String cannot fail.
                if let Some(top_p) = top_p.filter(|_| top_ps.is_some_and(|it| it.is_list)) {
                    let _ = write!(label, "@p{top_p}");
                }
                if seeds.is_some_and(|it| it.is_list) {
                    let _ = write!(label, "@s{seed}");
                }
                let sampling = Sampling { temperature, top_p, seed, ..first.clone() };
                drawn.push(Drawn { sampling, label, repeats });
            }
        }
    }
    let trials: usize = drawn.iter().map(|it| it.repeats as usize).sum();
    // More repeats than that are a mistake by themselves.
    if let Some(it) = temperatures.filter(|_| trials > MOST_TRIALS && repeats as usize <= MOST_TRIALS) {
        let message = format!("this asks each question {trials} times, more than {MOST_TRIALS}");
        mistakes.push(mistake(message, it.span));
    }
    (drawn, logprobs.map(|it| it.value))
}

/// What would ask the same again.
fn check_repeats(
    greedy: bool,
    top_ps: Option<&Each<f64>>,
    seeds: Option<&Each<u64>>,
    repeats: Option<Spanned<u32>>,
    mistakes: &mut Vec<Malformed>,
) {
    let again = |what: &str, span| Malformed {
        help: Some("give a `temperature` above 0".to_owned()),
        ..mistake(format!("{what} at temperature 0 give one answer again and again"), span)
    };
    if let Some(it) = repeats {
        if it.value == 0 || it.value > 1_000 {
            mistakes.push(mistake("`repeats` lies between 1 and 1000", it.span));
        } else if it.value > 1 && greedy {
            mistakes.push(again("repeats", it.span));
        }
    }
    if let Some(it) = top_ps.filter(|it| greedy && it.values.len() > 1) {
        mistakes.push(again("several `top_p`", it.span));
    }
    let Some(seeds) = seeds else { return };
    if greedy && seeds.values.len() > 1 {
        mistakes.push(again("several seeds", seeds.span));
    }
    let mut sorted: Vec<u64> = seeds.values.iter().map(|it| it.value).collect();
    sorted.sort_unstable();
    let repeats = repeats.map_or(1, |it| u64::from(it.value));
    if let Some([one, other]) = sorted.windows(2).find(|it| it[1] != it[0] && it[1] - it[0] < repeats) {
        mistakes.push(Malformed {
            help: Some(format!(
                "the n-th repeat uses the seed plus n - 1: write seeds {repeats} apart or more"
            )),
            ..mistake(format!("repeats of the seeds {one} and {other} would draw the same"), seeds.span)
        });
    }
}
