//! How the next token is chosen, and how likely tokens are.
//!
//! The steps and their order are vLLM's (`vllm.v1.sample.sampler`, version 0.22, steps 6 and 7 of its documentation):
//!
//! 1. Repetition penalty `r`, on tokens of prompt and output: a logit below 0 is multiplied by `r`, another divided by
//!    it (CTRL, <https://arxiv.org/abs/1909.05858>, as transformers' `RepetitionPenaltyLogitsProcessor` has it).
//! 2. Frequency and presence penalty, on tokens of the output: a logit loses the frequency penalty as often as its token
//!    came, and the presence penalty once (OpenAI's API reference).
//! 3. Greedy: the first of the largest logits. The steps that follow could not change it.
//! 4. Temperature: logits are divided by it.
//! 5. Min-p: tokens below this part of the likeliest token's probability go (<https://arxiv.org/abs/2407.01082>).
//! 6. Top-k: all but the k likeliest tokens go.
//! 7. Top-p: of the likeliest tokens that are left, as many stay as have this probability together
//!    (<https://arxiv.org/abs/1904.09751>); the one that crosses it stays.
//! 8. The draw, from the tokens that are left: their weights are summed up in order of token id until a random part of
//!    the whole is passed.
//!
//! Of tokens that are equally likely, the one with the lower id stays; min-p cuts by value and so keeps or drops them
//! together.
//!
//! One seed gives one text, whatever else is in the batch and whichever machine computes, as long as the logits are the
//! same: arithmetic is in `f64`, sums have a fixed order, `exp` and `log` are those of the pure-Rust `libm` and not the
//! platform's, and the random number for the n-th token of an output is a function of seed and n alone. So a sequence
//! that is preempted, and read again later, goes on as if nothing had happened.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use eval::backend::{BackendError, Sampling};

use crate::kernels::Path;
use crate::kernels::rows::sum_of_exponentials;

/// Candidates that are ordered at once while top-p looks for its border: most of a text's distributions end here.
const FIRST_ORDERED: usize = 256;
/// Candidates that are collected at least before the largest of them are selected.
const FIRST_SELECTED: usize = 1024;

/// Chooses tokens; it keeps nothing from one to the next, so one sampler may serve many threads.
pub(crate) struct Sampler(Sampling);

impl Sampler {
    /// Refuses what means nothing instead of sampling by something else.
    pub(crate) fn new(sampling: &Sampling) -> Result<Self, BackendError> {
        let Sampling { temperature, top_k, top_p, min_p, .. } = *sampling;
        let Sampling { repetition_penalty, frequency_penalty, presence_penalty, .. } = *sampling;
        let refuse = |what: String| Err(BackendError::Unsupported(what));
        if !temperature.is_finite() || temperature < 0.0 {
            return refuse(format!("a temperature of {temperature}"));
        }
        if top_k == Some(0) {
            return refuse("a top-k of 0, which keeps no token".to_owned());
        }
        if let Some(p) = top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return refuse(format!("a top-p of {p}, which is not a probability above 0"));
        }
        if let Some(p) = min_p.filter(|p| !(0.0..=1.0).contains(p)) {
            return refuse(format!("a min-p of {p}, which is not between 0 and 1"));
        }
        if let Some(it) = repetition_penalty.filter(|it| !(it.is_finite() && *it > 0.0)) {
            return refuse(format!("a repetition penalty of {it}, which is not above 0"));
        }
        for (name, penalty) in [("frequency", frequency_penalty), ("presence", presence_penalty)] {
            if let Some(it) = penalty.filter(|it| !it.is_finite()) {
                return refuse(format!("a {name} penalty of {it}"));
            }
        }
        Ok(Self(sampling.clone()))
    }

    /// Whether the next token is [`greedy`], whatever came before.
    pub(crate) fn takes_likeliest(&self) -> bool {
        let Sampling { repetition_penalty, frequency_penalty, presence_penalty, .. } = self.0;
        let penalties = [repetition_penalty, frequency_penalty, presence_penalty];
        self.0.is_greedy() && penalties.iter().all(Option::is_none)
    }

    /// The next token after `prompt` and `output`, for one row of logits, `[vocabulary]`.
    ///
    /// Logits that are infinite or not numbers are an error. Tokens of the sequence that are not in the vocabulary
    /// have no logit, so no penalty falls on them.
    pub(crate) fn sample(&self, logits: &[f32], prompt: &[u32], output: &[u32]) -> Result<u32, BackendError> {
        let Sampling { temperature, top_k, top_p, min_p, seed, .. } = self.0;
        let penalized = self.penalized(logits, prompt, output);
        let scores = || scores(logits, &penalized);
        let most = if penalized.is_empty() { largest_logit(logits)? } else { likeliest(scores())? };
        if self.0.is_greedy() {
            return Ok(most.token);
        }
        let weight = |it: &Candidate| libm::exp((it.score - most.score) / temperature);
        let floor = min_p.map_or(f64::NEG_INFINITY, libm::log);
        let probable = scores().filter(|it| (it.score - most.score) / temperature >= floor);
        let mut kept: Vec<Candidate> = match top_k {
            Some(k) => largest(probable, k as usize),
            None => probable.collect(),
        };
        if let Some(p) = top_p.filter(|p| *p < 1.0) {
            truncate_to_mass(&mut kept, p, weight);
        }
        let weights: Vec<f64> = kept.iter().map(weight).collect();
        let drawn = uniform(seed, output.len() as u64) * weights.iter().sum::<f64>();
        let mut passed = 0.0;
        for (candidate, weight) in kept.iter().zip(weights) {
            passed += weight;
            if passed > drawn {
                return Ok(candidate.token);
            }
        }
        // The same additions in the same order end above any part of their sum.
        Ok(most.token)
    }

    /// Tokens on which a penalty falls, with what is left of their logits; in order of token.
    fn penalized(&self, logits: &[f32], prompt: &[u32], output: &[u32]) -> Vec<Candidate> {
        let Sampling { repetition_penalty, frequency_penalty, presence_penalty, .. } = self.0;
        if repetition_penalty.or(frequency_penalty).or(presence_penalty).is_none() {
            return Vec::new();
        }
        let mut times: BTreeMap<u32, u32> = BTreeMap::new();
        if repetition_penalty.is_some() {
            times.extend(prompt.iter().map(|token| (*token, 0)));
        }
        for token in output {
            *times.entry(*token).or_default() += 1;
        }
        let repetition = repetition_penalty.unwrap_or(1.0);
        let frequency = frequency_penalty.unwrap_or(0.0);
        let presence = presence_penalty.unwrap_or(0.0);
        let penalize = |(token, times): (u32, u32)| {
            let logit = f64::from(*logits.get(token as usize)?);
            let score = if logit < 0.0 { logit * repetition } else { logit / repetition };
            let presence = if times > 0 { presence } else { 0.0 };
            Some(Candidate { token, score: score - frequency * f64::from(times) - presence })
        };
        times.into_iter().filter_map(penalize).collect()
    }
}

/// The natural logarithms of the probabilities that a row of logits means: before penalties, temperature and cuts, as
/// vLLM's `raw_logprobs`.
pub(crate) struct Logprobs<'a> {
    logits: &'a [f32],
    /// Log of the sum of the exponentials of the logits.
    normalizer: f64,
    /// The first of the likeliest tokens: what greedy decoding takes.
    pub(crate) likeliest: u32,
}

impl<'a> Logprobs<'a> {
    /// Of one row, `[vocabulary]`. Logits that are infinite or not numbers are an error.
    pub(crate) fn of(path: Path, logits: &'a [f32]) -> Result<Self, BackendError> {
        let most = largest_logit(logits)?;
        let sum = sum_of_exponentials(path, logits, logits[most.token as usize]);
        Ok(Self { logits, normalizer: most.score + libm::log(sum), likeliest: most.token })
    }

    /// Of one token; `None` where it is not in the vocabulary.
    pub(crate) fn of_token(&self, token: u32) -> Option<f64> {
        self.logits.get(token as usize).map(|it| f64::from(*it) - self.normalizer)
    }

    /// Of the `count` likeliest tokens, the likeliest first, equals in order of id.
    pub(crate) fn top(&self, count: usize) -> Vec<(u32, f64)> {
        if count == 0 {
            return Vec::new();
        }
        let mut top = largest(scores(self.logits, &[]), count);
        top.sort_unstable_by(by_rank);
        top.into_iter().map(|it| (it.token, it.score - self.normalizer)).collect()
    }
}

/// A token that may come next.
#[derive(Clone, Copy)]
struct Candidate {
    token: u32,
    /// Its logit after penalties, before temperature.
    score: f64,
}

/// The likelier first, equals in order of id.
fn by_rank(one: &Candidate, other: &Candidate) -> Ordering {
    // Finite scores always compare, and -0 equals 0.
    other.score.partial_cmp(&one.score).unwrap_or(Ordering::Equal).then(one.token.cmp(&other.token))
}

/// Every token, in order of id; `penalized` are in this order too.
fn scores<'a>(logits: &'a [f32], penalized: &'a [Candidate]) -> impl Iterator<Item = Candidate> + 'a {
    let mut penalized = penalized.iter().copied().peekable();
    (0..).zip(logits).map(move |(token, logit)| {
        let penalized = penalized.next_if(|it| it.token == token);
        penalized.unwrap_or(Candidate { token, score: f64::from(*logit) })
    })
}

/// The first of the largest logits: what greedy decoding takes. Logits that are infinite or not numbers are an error.
pub(crate) fn greedy(logits: &[f32]) -> Result<u32, BackendError> {
    largest_logit(logits).map(|it| it.token)
}

/// [`likeliest`] without penalties, for a whole vocabulary at each step: some lanes at once.
fn largest_logit(logits: &[f32]) -> Result<Candidate, BackendError> {
    const LANES: usize = 16;
    let (whole, rest) = logits.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    let mut sound = [true; LANES];
    for some in whole {
        for lane in 0..LANES {
            most[lane] = if some[lane] > most[lane] { some[lane] } else { most[lane] };
            sound[lane] &= some[lane].abs() <= f32::MAX;
        }
    }
    let sound = sound.iter().all(|it| *it) && rest.iter().all(|it| it.is_finite());
    let most = most.iter().chain(rest).fold(f32::NEG_INFINITY, |most, it| most.max(*it));
    // Nothing is larger, so this is the first that is as large.
    match (0..).zip(logits).find(|(_, it)| **it >= most) {
        Some((token, _)) if sound => Ok(Candidate { token, score: f64::from(most) }),
        // What is wrong is said there.
        _ => likeliest(scores(logits, &[])),
    }
}

/// The first of the likeliest; all are looked at, so a row with one bad logit is an error wherever it stands.
fn likeliest(scores: impl Iterator<Item = Candidate>) -> Result<Candidate, BackendError> {
    let mut likeliest: Option<Candidate> = None;
    for it in scores {
        if !it.score.is_finite() {
            let message = format!("the logit of token {} is {}, not a finite number", it.token, it.score);
            return Err(BackendError::Failed(message));
        }
        if likeliest.is_none_or(|most| it.score > most.score) {
            likeliest = Some(it);
        }
    }
    likeliest.ok_or_else(|| BackendError::Failed("there are no logits to choose a token by".to_owned()))
}

/// The `count` likeliest of candidates that come in order of id, in that order; `count` is not 0.
fn largest(scores: impl Iterator<Item = Candidate>, count: usize) -> Vec<Candidate> {
    // With room for as many again, the cost of a selection is shared by `count` newcomers.
    let room = count.saturating_mul(2).max(FIRST_SELECTED);
    let mut kept: Vec<Candidate> = Vec::new();
    let mut floor = f64::NEG_INFINITY;
    for it in scores {
        // Of equals the first stays, so a later one has to be likelier than the last of those that are kept.
        if it.score <= floor {
            continue;
        }
        kept.push(it);
        if kept.len() == room {
            kept.select_nth_unstable_by(count - 1, by_rank);
            kept.truncate(count);
            floor = kept[count - 1].score;
        }
    }
    if kept.len() > count {
        kept.select_nth_unstable_by(count - 1, by_rank);
        kept.truncate(count);
    }
    kept.sort_unstable_by_key(|it| it.token);
    kept
}

/// Keeps the likeliest candidates that have the part `p` of the weight of all, in order of id.
fn truncate_to_mass(kept: &mut Vec<Candidate>, p: f64, weight: impl Fn(&Candidate) -> f64) {
    let weights: Vec<f64> = kept.iter().map(&weight).collect();
    let total: f64 = weights.iter().sum();
    let mass = p * total;
    // All that are lighter than this weigh half of what may go, together: they need no order. The other half is far
    // above what rounding adds to a sum, unless next to nothing may go.
    let floor = if p < 1.0 - 1e-6 { (1.0 - p) * total / 2.0 / weights.len() as f64 } else { 0.0 };
    let mut weights = weights.into_iter();
    kept.retain(|_| weights.next().is_some_and(|it| it >= floor));
    let (mut ordered, mut next, mut passed) = (0, FIRST_ORDERED, 0.0);
    // Ever larger pieces, as the border is near the front in all but the flattest distributions.
    'border: while ordered < kept.len() {
        let end = ordered.saturating_add(next).min(kept.len());
        if end < kept.len() {
            kept[ordered..].select_nth_unstable_by(end - ordered - 1, by_rank);
        }
        kept[ordered..end].sort_unstable_by(by_rank);
        for index in ordered..end {
            passed += weight(&kept[index]);
            if passed >= mass {
                kept.truncate(index + 1);
                break 'border;
            }
        }
        (ordered, next) = (end, next.saturating_mul(8));
    }
    kept.sort_unstable_by_key(|it| it.token);
}

/// The random number for the n-th token of an output, from 0 inclusive to 1 exclusive.
///
/// The upper 53 bits of the first two words of the block whose key is the seed and whose counter is n.
pub(crate) fn uniform(seed: u64, n: u64) -> f64 {
    let [lower, upper] = halves(n);
    let [low, high, ..] = philox([lower, upper, 0, 0], halves(seed));
    let bits = ((u64::from(high) << 32) | u64::from(low)) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

/// The lower and the upper 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "each half is what is meant")]
fn halves(it: u64) -> [u32; 2] {
    [it as u32, (it >> 32) as u32]
}

/// Philox4x32-10, a random function of counter and key: Salmon, Moraes, Dror and Shaw, *Parallel random numbers: as easy
/// as 1, 2, 3* (SC 2011), <https://doi.org/10.1145/2063384.2063405>.
///
/// The generator of cuRAND and of `PyTorch` on GPUs; unlike a stream it has no state that could get lost.
pub(crate) fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [low_0, high_0] = halves(0xD251_1F53 * u64::from(counter[0]));
        let [low_1, high_1] = halves(0xCD9E_8D57 * u64::from(counter[2]));
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}
