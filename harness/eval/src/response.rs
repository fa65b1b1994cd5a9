//! Responses: what came back from a model, and when.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::backend::{Backend, BackendError, Likelihood, Request, StopReason, TokenLogprobs};

/// What came back from a model, and when.
///
/// Times are raw: each metric is derived from them, here, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The text.
    pub text: String,
    /// Why generation ended.
    pub reason: StopReason,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens produced.
    pub output_tokens: u32,
    /// From sending the request to the backend's beginning with it.
    pub queued: Duration,
    /// When tokens arrived.
    pub arrivals: Vec<Arrival>,
    /// From sending the request to its end.
    pub ended: Duration,
    /// Of the continuations that were asked for.
    pub likelihoods: Vec<Likelihood>,
    /// Of the tokens produced, where that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprobs>,
}

/// Tokens that arrived together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// From sending the request.
    pub at: Duration,
    /// How many.
    pub tokens: u32,
}

/// Asks, and notes what comes when.
#[expect(clippy::disallowed_methods, reason = "the moment of sending is read here and nowhere else")]
pub fn ask(backend: &dyn Backend, request: &Request) -> Result<Response, BackendError> {
    let sent = Instant::now();
    let mut text = String::new();
    let mut arrivals = Vec::new();
    let mut logprobs = Vec::new();
    let finish = backend.answer(request, &mut |chunk| {
        text.push_str(chunk.text);
        logprobs.extend_from_slice(chunk.logprobs);
        if chunk.tokens > 0 {
            arrivals.push(Arrival { at: chunk.at.saturating_duration_since(sent), tokens: chunk.tokens });
        }
    })?;
    Ok(Response {
        text,
        reason: finish.reason,
        prompt_tokens: finish.prompt_tokens,
        output_tokens: finish.output_tokens,
        queued: finish.started.saturating_duration_since(sent),
        arrivals,
        ended: sent.elapsed(),
        likelihoods: finish.likelihoods,
        logprobs,
    })
}

/// Asks one request after the other. Of several, which score continuations, the response has the likelihoods in order,
/// the longest prompt and the time of all.
pub fn ask_all(backend: &dyn Backend, requests: &[Request]) -> Result<Response, BackendError> {
    let mut all: Option<Response> = None;
    for request in requests {
        let next = ask(backend, request)?;
        all = Some(match all {
            None => next,
            Some(mut all) => {
                all.likelihoods.extend(next.likelihoods);
                all.prompt_tokens = all.prompt_tokens.max(next.prompt_tokens);
                all.ended += next.ended;
                all
            }
        });
    }
    all.ok_or_else(|| BackendError::Unsupported("nothing is asked".to_owned()))
}

/// What a piece of work gave, and how long it took.
#[expect(clippy::disallowed_methods, reason = "durations that are reported are measured here")]
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

impl Response {
    /// Time to first token: from sending the request to the first token's arrival; queueing, prefill and one step.
    ///
    /// `None` where no token came.
    pub fn ttft(&self) -> Option<Duration> {
        self.arrivals.first().map(|it| it.at)
    }

    /// Time per output token: the mean over the tokens after the first arrival, as vLLM defines it.
    ///
    /// `None`, not zero, where nothing came after it.
    pub fn tpot(&self) -> Option<Duration> {
        let [first, rest @ ..] = self.arrivals.as_slice() else { return None };
        let last = rest.last()?;
        let tokens = rest.iter().map(|it| it.tokens).sum();
        last.at.saturating_sub(first.at).checked_div(tokens)
    }

    /// Prefill speed in tokens per second: the prompt's tokens by the time from the backend's beginning with the
    /// request, after any queue, to the first token's arrival.
    ///
    /// `None` where no token came.
    pub fn prefill_speed(&self) -> Option<f64> {
        let time = self.ttft()?.checked_sub(self.queued)?;
        (!time.is_zero()).then(|| f64::from(self.prompt_tokens) / time.as_secs_f64())
    }

    /// Decode speed in tokens per second: 1 by the time per output token.
    pub fn decode_speed(&self) -> Option<f64> {
        self.tpot().filter(|it| !it.is_zero()).map(|it| 1.0 / it.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arrivals: &[(u64, u32)], ttft: Option<u64>, tpot: Option<u64>, prefill: Option<f64>) {
        let arrivals =
            arrivals.iter().map(|&(at, tokens)| Arrival { at: Duration::from_millis(at), tokens }).collect();
        let response = Response {
            text: String::new(),
            reason: StopReason::Stop,
            prompt_tokens: 10,
            output_tokens: 0,
            queued: Duration::from_millis(20),
            arrivals,
            ended: Duration::from_secs(1),
            likelihoods: Vec::new(),
            logprobs: Vec::new(),
        };
        assert_eq!(response.ttft(), ttft.map(Duration::from_millis));
        assert_eq!(response.tpot(), tpot.map(Duration::from_millis));
        assert_eq!(response.prefill_speed(), prefill);
    }

    #[test]
    fn metrics_of_arrivals() {
        //    (ms, tokens)                      TTFT       TPOT       prefill, tokens/s
        check(&[], None, None, None);
        check(&[(120, 1)], Some(120), None, Some(100.0));
        check(&[(120, 1), (140, 1), (160, 1)], Some(120), Some(20), Some(100.0));
        check(&[(120, 1), (160, 2)], Some(120), Some(20), Some(100.0));
        // No work before the answer came: nothing to divide by.
        check(&[(20, 1)], Some(20), None, None);
    }
}
