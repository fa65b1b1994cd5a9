//! Perplexity: how likely the model finds a text.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::json;

use super::coherence::above_one;
use super::quantity::Quantity;
use super::written::{self, Per};
use super::{Evidence, Finding, Grader, Metric, cut, mistake};
use crate::count::counted;
use crate::yaml::{Malformed, Span};

/// How likely the model finds a text; no text is generated.
///
/// The text is `text`, read as a continuation of the prompt, or, without it, the prompt itself: its one message as plain text
/// without the chat template, after the token that begins a text and nothing else. Of a text that is longer than the
/// context, each part of a context's length is read by itself, as lm-evaluation-harness's `loglikelihood_rolling` reads it.
///
/// With L, the sum of the natural-log probabilities of its tokens, as there:
///
/// - **perplexity** of a token: exp(−L / tokens); only models with one tokenizer compare by it;
/// - **word-perplexity**: exp(−L / words), words being what runs of white space part;
/// - **byte-perplexity**: exp(−L / bytes of the text in UTF-8);
/// - **bits-per-byte**: −L / bytes / ln 2.
///
/// All four are reported. The score is 1 if the perplexity `per` word (as lm-evaluation-harness's `word_perplexity`), byte or
/// token is `at_most` that, and the bits per byte are at most `bits_per_byte`, the bounds included; else 0. A mean of
/// perplexities over cases is not the perplexity of all their texts: their logarithms weighted by length are.
#[derive(Clone, Debug)]
pub(super) struct Perplexity {
    text: Option<String>,
    at_most: Option<Quantity>,
    per: Per,
    bits_per_byte: Option<Quantity>,
    /// The limits, in words.
    limits: String,
}

static SPACE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\s+").expect("the pattern is sound"));

impl Perplexity {
    pub(super) fn check(
        written: &written::Perplexity,
        place: Span,
        mistakes: &mut Vec<Malformed>,
    ) -> Option<Self> {
        let text = match &written.text.0 {
            Some(text) => Some(super::text(text, mistakes)?),
            None => None,
        };
        let at_most = written.at_most.0.as_ref().map(|it| above_one("at_most", it, mistakes));
        let bits = written.bits_per_byte.0.as_ref();
        if let Some(bits) = bits
            && (bits.value.numeral.percent || bits.value.numeral.quantity.is_negative())
        {
            mistakes.push(mistake(
                bits.span,
                format!("`bits_per_byte` is {}: it is 0 or more", bits.value.written),
            ));
        }
        if at_most.is_none() && bits.is_none() {
            mistakes.push(mistake(place, "no limit is given: `at_most` or `bits_per_byte`"));
        }
        if at_most.is_none()
            && let Some(per) = &written.per.0
        {
            mistakes.push(mistake(per.span, "`per` is only for `at_most`"));
        }
        let per = written.per.value().copied().unwrap_or(Per::Word);
        let name = match per {
            Per::Word => "word",
            Per::Byte => "byte",
            Per::Token => "token",
        };
        let perplexity =
            written.at_most.value().map(|it| format!("a perplexity of at most {} per {name}", it.written));
        let bytes = bits.map(|it| format!("at most {} bits per byte", it.value.written));
        let limits = perplexity.into_iter().chain(bytes).collect::<Vec<_>>().join(" and ");
        Some(Self { text, at_most, per, bits_per_byte: bits.map(|it| it.value.numeral.quantity), limits })
    }
}

impl Grader for Perplexity {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let [likelihood] = evidence.likelihoods else {
            return Err(format!("{} for one text", counted(evidence.likelihoods.len(), "likelihood")));
        };
        let text = self.text.as_deref().unwrap_or(evidence.text);
        let nats = -likelihood.logprob;
        if !nats.is_finite() || likelihood.tokens == 0 || text.is_empty() {
            return Err("the likelihood of the text is not a finite number".to_owned());
        }
        let words = SPACE.split(text).count();
        let bytes = text.len() as f64;
        let token = (nats / f64::from(likelihood.tokens)).exp();
        let word = (nats / words as f64).exp();
        let byte = (nats / bytes).exp();
        let bits = nats / bytes / std::f64::consts::LN_2;
        let measured = match self.per {
            Per::Word => word,
            Per::Byte => byte,
            Per::Token => token,
        };
        // A perplexity of a word can be beyond floats where the text is one long word.
        let within = |limit: &Option<Quantity>, value: f64| limit.is_none_or(|it| value <= it.approximate());
        let is_right = within(&self.at_most, measured) && within(&self.bits_per_byte, bits);
        let reason = format!(
            "perplexity {word:.2} per word, {byte:.3} per byte, {token:.2} per token; {bits:.3} bits per byte"
        );
        let mut finding =
            Finding::new(f64::from(u8::from(is_right)), reason, Some(cut(text, 200).into_owned()));
        let metrics = [
            ("perplexity", token),
            ("word-perplexity", word),
            ("byte-perplexity", byte),
            ("bits-per-byte", bits),
        ];
        finding.metrics = metrics
            .iter()
            .filter(|it| it.1.is_finite())
            .map(|(name, value)| Metric::new(name, *value))
            .collect();
        Ok(finding)
    }

    fn wanted(&self) -> String {
        self.limits.clone()
    }

    fn canonical(&self) -> serde_json::Value {
        json!({
            "text": self.text,
            "at_most": self.at_most.map(Quantity::canonical),
            "per": format!("{:?}", self.per),
            "bits_per_byte": self.bits_per_byte.map(Quantity::canonical),
        })
    }

    fn targets(&self) -> Vec<String> {
        self.text.iter().cloned().collect()
    }

    fn continuations(&self) -> Option<Vec<String>> {
        self.text.clone().map(|it| vec![it])
    }

    fn reads_prompt(&self) -> bool {
        self.text.is_none()
    }
}
