//! The gate: whether a trial passes.

use crate::golden::{Digests, Entry};
use crate::store::Outcome;

/// What has to hold for a trial to pass; `PROOFMARK_GATE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// Not below its golden; without one, its threshold.
    #[default]
    Golden,
    /// Its threshold, whatever was accepted.
    Absolute,
    /// As `Golden`, and no other text than the accepted one.
    Strict,
}

impl Gate {
    /// The words for `PROOFMARK_GATE`.
    pub const WORDS: [&'static str; 3] = ["golden", "absolute", "strict"];

    /// The gate that a word means.
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "golden" => Some(Self::Golden),
            "absolute" => Some(Self::Absolute),
            "strict" => Some(Self::Strict),
            _ => None,
        }
    }
}

/// What a trial's golden can say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was accepted.
    None,
    /// The case was changed since.
    CaseChanged,
    /// The prompt was changed since.
    PromptChanged,
    /// The model's chat template was changed since.
    TemplateChanged,
    /// It was accepted with other numerics.
    OtherNumerics,
    /// The answer is drawn, so that one trial says nothing.
    Sampled,
    /// It holds for this very trial.
    Fresh,
}

impl Standing {
    /// What a golden can say of a trial.
    pub fn of(golden: Option<&Entry>, digests: &Digests, numerics: &str, greedy: bool) -> Self {
        let Some(golden) = golden else { return Self::None };
        if golden.digests.prompt != digests.prompt {
            Self::PromptChanged
        } else if golden.digests.case != digests.case {
            Self::CaseChanged
        } else if golden.digests.template != digests.template {
            Self::TemplateChanged
        } else if !greedy {
            Self::Sampled
        } else if golden.numerics != numerics {
            Self::OtherNumerics
        } else {
            Self::Fresh
        }
    }

    /// Whether what was accepted is of another question.
    pub fn is_stale(self) -> bool {
        matches!(self, Self::CaseChanged | Self::PromptChanged | Self::TemplateChanged)
    }

    /// The words for it.
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "no golden",
            Self::CaseChanged => "stale golden: how the case is asked or graded was changed",
            Self::PromptChanged => "stale golden: the prompt was changed",
            Self::TemplateChanged => "stale golden: the chat template was changed",
            Self::OtherNumerics => "golden of other numerics",
            Self::Sampled => "golden of a drawn answer",
            Self::Fresh => "golden",
        }
    }
}

/// What the gate says of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// As accepted, to the letter.
    Same,
    /// Scored as accepted, with another text.
    Drifted,
    /// Scored above what was accepted.
    Better,
    /// Scored below what was accepted.
    Regressed,
    /// It reached its threshold.
    Reached,
    /// It did not reach its threshold.
    Missed,
    /// One trial decides nothing here: only the model's mean can.
    Undecided,
    /// It was answered, but cannot be judged.
    Unscored,
    /// It was not answered.
    Errored,
}

impl Ruling {
    /// What the gate says of a trial.
    pub fn of(
        gate: Gate,
        outcome: &Outcome,
        threshold: f64,
        standing: Standing,
        golden: Option<&Entry>,
        response_digest: &str,
    ) -> Self {
        let score = match outcome {
            Outcome::Scored(grade) => grade.score,
            Outcome::Unscored(_) => return Self::Unscored,
            Outcome::Errored(_) | Outcome::Skipped(_) => return Self::Errored,
        };
        let by_threshold = if score >= threshold { Self::Reached } else { Self::Missed };
        let Some(golden) = golden.filter(|_| gate != Gate::Absolute && !standing.is_stale()) else {
            return by_threshold;
        };
        match standing {
            Standing::OtherNumerics | Standing::Sampled => Self::Undecided,
            _ if score < golden.score => Self::Regressed,
            _ if score > golden.score => Self::Better,
            _ if response_digest == golden.digests.response => Self::Same,
            _ => Self::Drifted,
        }
    }

    /// Whether the test passes.
    pub fn passes(self, gate: Gate) -> bool {
        match self {
            Self::Same | Self::Better | Self::Reached | Self::Undecided => true,
            Self::Drifted => gate != Gate::Strict,
            Self::Regressed | Self::Missed | Self::Unscored | Self::Errored => false,
        }
    }
}
