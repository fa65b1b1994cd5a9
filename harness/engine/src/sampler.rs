//! How the next token is chosen.

use candle_core::Tensor;
use candle_transformers::generation::{LogitsProcessor, Sampling as Method};

use eval::backend::{BackendError, Sampling};

/// Chooses tokens by candle's samplers; equal seeds and logits give equal tokens.
pub(crate) struct Sampler(LogitsProcessor);

impl Sampler {
    /// Refuses what means nothing instead of sampling by something else.
    pub(crate) fn new(sampling: &Sampling) -> Result<Self, BackendError> {
        let &Sampling { temperature, top_k, top_p, seed } = sampling;
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
        let method = match (top_k.map(|it| it as usize), top_p) {
            _ if sampling.is_greedy() => Method::ArgMax,
            (None, None) => Method::All { temperature },
            (Some(k), None) => Method::TopK { k, temperature },
            (None, Some(p)) => Method::TopP { p, temperature },
            (Some(k), Some(p)) => Method::TopKThenTopP { k, p, temperature },
        };
        Ok(Self(LogitsProcessor::from_sampling(seed, method)))
    }

    /// The next token for one row of logits, `[vocabulary]`.
    pub(crate) fn sample(&mut self, logits: &Tensor) -> Result<u32, BackendError> {
        let failed = |err: candle_core::Error| BackendError::Failed(err.to_string());
        let token = self.0.sample(logits).map_err(failed)?;
        let logit = logits.get(token as usize).and_then(|it| it.to_scalar::<f32>()).map_err(failed)?;
        if !logit.is_finite() {
            return Err(BackendError::Failed(format!("token {token} was chosen with a logit of {logit}")));
        }
        Ok(token)
    }
}
