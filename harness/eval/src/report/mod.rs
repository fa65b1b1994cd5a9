//! Reports: what a run comes to, derived once from its rows, and written in four formats.
//!
//! | step | module |
//! |---|---|
//! | rows to numbers | `build`, `repeats` |
//! | numbers to words: who wins, by how much, how sure | `verdict` |
//! | two runs, or two models, beside each other | [`compare`] |
//! | numbers to cells, the same in every format | `tables`, `heat`, `text` |
//! | the formats | `terminal`, `markdown`, `html` with `svg`; JSON is [`Report`] itself |

mod build;
pub mod compare;
mod heat;
mod html;
mod markdown;
mod repeats;
mod svg;
mod tables;
mod terminal;
mod text;
mod verdict;

use serde::Serialize;
use serde_json::Value;

pub use build::build;

use crate::stats::{Estimate, Interval, Method};
use crate::store::RunRow;

/// The version of [`Report::json`].
const VERSION: u32 = 2;

/// What a number in a report means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Metric {
    /// What it is called.
    pub name: &'static str,
    /// In what it is counted.
    pub unit: &'static str,
    /// How it is made.
    pub definition: &'static str,
}

const fn metric(name: &'static str, unit: &'static str, definition: &'static str) -> Metric {
    Metric { name, unit, definition }
}

/// Every number in a report.
pub const METRICS: [Metric; 22] = [
    metric(
        "trials",
        "count",
        "Planned for the model: scored + unscored + errored + skipped. Scored was answered and judged; unscored was \
         answered but could not be judged; errored was not answered; skipped was not asked.",
    ),
    metric(
        "passed, failed",
        "count",
        "Tests by the gate of the run: what was not skipped either passed or failed.",
    ),
    metric(
        "score",
        "0 to 1",
        "Mean grade of the scored trials. Unscored, errored and skipped trials are not in it.",
    ),
    metric(
        "95 % interval",
        "0 to 1",
        "Of the mean: Student's t with a cluster-robust standard error (CR2), topics as strata, widened where few clusters \
         differ; Wilson's for scores of 0 and 1 with one trial a cluster. docs/statistics.md has the formulas.",
    ),
    metric("n", "count", "Scored trials, repeats included: those that the mean is over."),
    metric(
        "clusters",
        "count",
        "What the interval is over: a case with all its variants and repeats, a generated family, a passage with several \
         questions.",
    ),
    metric(
        "change",
        "difference of scores",
        "Mean of score now − accepted score, over scored trials whose golden is fresh: of the same question and the same \
         numerics, with greedy decoding.",
    ),
    metric(
        "better, same, worse",
        "count",
        "Scored trials with a fresh golden, by their score beside the accepted one. Same is the same score; the text may \
         differ.",
    ),
    metric(
        "undecided, stale, new",
        "count",
        "Scored trials without a fresh golden: accepted under other numerics or drawn, so that one trial says nothing; \
         accepted for another question; not accepted yet.",
    ),
    metric(
        "changed answers",
        "0 to 1",
        "Share of answers at a temperature that are not the greedy answer to the same question; of the text where a grader \
         finds no answer in it.",
    ),
    metric(
        "pass@k, pass^k, majority",
        "0 to 1",
        "Over repeats of one question: the chance that at least one of k tries scores 1, 1 − C(n−c, k) / C(n, k), that all of \
         them do, C(c, k) / C(n, k), and the score of the most common answer of all of them.",
    ),
    metric(
        "agreement",
        "0 to 1",
        "Share of pairs of answers to one question that are the same: of its repeats, or of its wordings.",
    ),
    metric(
        "TTFT",
        "ms; seconds in JSON",
        "Time to first token: from sending the request to the first token's arrival; queueing, prefill and one step.",
    ),
    metric(
        "TPOT",
        "ms; seconds in JSON",
        "Time per output token: (last − first arrival) / (tokens after the first arrival). None where nothing came after \
         the first.",
    ),
    metric(
        "prefill speed",
        "tokens/s",
        "Prompt tokens / time from the backend's beginning with the request, after any queue, to the first token's \
         arrival.",
    ),
    metric("decode speed", "tokens/s", "1 / TPOT, for one request among those in flight."),
    metric(
        "p50, p90, p99",
        "as the metric",
        "Percentiles over answered trials, by linear interpolation between closest ranks. No p99 of fewer than 100 \
         values.",
    ),
    metric("output tokens", "count", "Sum over answered trials; the token that ends a turn is not counted."),
    metric("load", "s", "Time that loading the model took."),
    metric(
        "peak memory",
        "bytes",
        "Largest resident memory of the whole process while the model was loaded.",
    ),
    metric(
        "energy",
        "J; J per output token",
        "Joules of everything that the meter sees, from before the model is loaded to its last trial; per output token, \
         divided by output tokens. It depends on how many requests are in flight.",
    ),
    metric(
        "cost",
        "US dollars",
        "Prompt tokens × price of input + output tokens × price of output, over answered trials. None for a price by the \
         hour: a model's wall time is not kept.",
    ),
];

/// What a run comes to.
///
/// What is absent was not measured, or cannot be: it is `None`, never 0, and never in a mean.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Of this structure, as JSON.
    pub version: u32,
    /// What was run, when and where.
    pub run: Run,
    /// Who wins, by how much, how sure: sentences.
    pub verdict: Vec<String>,
    /// What does not add up.
    pub problems: Vec<String>,
    /// Models that were asked, in the order of `models.yaml`.
    pub models: Vec<Model>,
    /// Models that could not be asked.
    pub skipped: Vec<Skipped>,
    /// The trials, in the order of the plan.
    pub trials: Vec<Trial>,
    /// What the numbers mean.
    pub metrics: Vec<Metric>,
}

/// What was run, when and where.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Its number in the store.
    pub number: i64,
    /// How far it came.
    pub status: Status,
    /// In UTC.
    pub started: String,
    /// In UTC.
    pub ended: Option<String>,
    /// Trials, those of skipped models included.
    pub planned: usize,
    /// Trials that ended, or were skipped.
    pub accounted: usize,
    /// Requests in flight at most.
    pub concurrency: usize,
    /// As [`crate::machine::Machine`].
    pub machine: Value,
    /// Of what ran, by name.
    pub versions: Value,
    /// What the run was told.
    pub options: Value,
    /// The commit of the folder of cases.
    pub commit: Option<String>,
}

/// How far a run came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All trials, to the end.
    Complete,
    /// To the end, but a filter left trials out.
    Partial,
    /// It goes on, or was interrupted.
    Unfinished,
}

/// A model's results.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// What `models.yaml` says of it.
    pub info: Value,
    /// What can change its answers' bits.
    pub numerics: Option<String>,
    /// Of its weights.
    pub sha256: Option<String>,
    /// All of its trials.
    pub scores: Scores,
    /// Tokens per second.
    pub prefill_speed: Distribution,
    /// Tokens per second.
    pub decode_speed: Distribution,
    /// In seconds.
    pub ttft: Distribution,
    /// In seconds.
    pub tpot: Distribution,
    /// Over answered trials.
    pub prompt_tokens: Option<u64>,
    /// Over answered trials.
    pub output_tokens: Option<u64>,
    /// How long loading took.
    pub load_seconds: Option<f64>,
    /// On disk.
    pub weights_bytes: Option<u64>,
    /// Of the whole process, while the model was loaded.
    pub peak_memory_bytes: Option<u64>,
    /// While the model was loaded.
    pub energy_joules: Option<f64>,
    /// The same, by output tokens.
    pub joules_per_output_token: Option<f64>,
    /// What measured the energy.
    pub meter: Option<String>,
    /// In US dollars.
    pub cost_dollars: Option<f64>,
    /// Score by temperature, of what was asked at several; else empty.
    pub temperatures: Vec<Temperature>,
    /// Of what was asked several times.
    pub repeats: Option<Repeats>,
    /// How far answers to one question in several wordings agree.
    pub wordings: Option<Estimate>,
    /// Its trials, by the first part of their suite's name.
    pub categories: Vec<Category>,
}

/// A category's results with one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Category {
    /// Its name.
    pub name: String,
    /// All of its trials.
    pub scores: Scores,
    /// Score by temperature, of what was asked at several; else empty.
    pub temperatures: Vec<Temperature>,
    /// Of what was asked several times.
    pub repeats: Option<Repeats>,
    /// Its suites.
    pub topics: Vec<Topic>,
}

/// What questions come to at one of several temperatures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Temperature {
    /// The temperature.
    pub temperature: f64,
    /// The mean score.
    pub score: Estimate,
    /// The share of answers that are not the greedy answer; `None` of the greedy ones, and where there are none.
    pub changed: Option<Estimate>,
}

/// What several answers to one question come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Repeats {
    /// How often a question was asked at most.
    pub most: usize,
    /// For k of 1, 2, 4, …, and the most there are, over the questions that were asked as often.
    pub at_k: Vec<AtK>,
    /// The score of the most common answer.
    pub majority: Option<Estimate>,
    /// How far the answers to one question agree.
    pub agreement: Option<Estimate>,
}

/// What k tries come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AtK {
    /// How many tries.
    pub k: usize,
    /// The chance that at least one scores 1.
    pub pass_at_k: Estimate,
    /// The chance that all score 1.
    pub pass_hat_k: Estimate,
}

/// A suite's results with one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Topic {
    /// Its name, below its category.
    pub name: String,
    /// All of its trials.
    pub scores: Scores,
}

/// What came of some trials: `trials` is `scored + unscored + errored + skipped`, and `scored` is the sum over `change`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scores {
    /// All of them.
    pub trials: usize,
    /// Answered and judged.
    pub scored: usize,
    /// Answered, but not judged.
    pub unscored: usize,
    /// Not answered.
    pub errored: usize,
    /// Not asked.
    pub skipped: usize,
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Mean score of what was scored.
    pub mean: Option<f64>,
    /// What the interval is over.
    pub clusters: usize,
    /// Of the mean, 95 %.
    pub interval: Option<Interval>,
    /// How the interval came about.
    pub method: Option<Method>,
    /// Beside the goldens.
    pub change: Change,
}

/// What was scored, beside the goldens.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Change {
    /// Above a fresh golden's score.
    pub better: usize,
    /// A fresh golden's score.
    pub same: usize,
    /// Below a fresh golden's score.
    pub worse: usize,
    /// With a golden of other numerics, or drawn.
    pub undecided: usize,
    /// With a golden of another question.
    pub stale: usize,
    /// Without a golden.
    pub new: usize,
    /// Mean of score now − accepted score, where the golden is fresh.
    pub mean: Option<f64>,
}

/// Values, by their percentiles.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// How many there are.
    pub n: usize,
    /// The median.
    pub p50: Option<f64>,
    /// The 90th percentile.
    pub p90: Option<f64>,
    /// The 99th percentile; `None` of fewer than 100 values.
    pub p99: Option<f64>,
}

/// A model that could not be asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Trials that were skipped.
    pub trials: usize,
}

/// A trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// `category/topic/case::model`.
    pub name: String,
    /// The model.
    pub model: String,
    /// `category/topic`.
    pub suite: String,
    /// What it stands or falls with.
    pub cluster: String,
    /// `scored`, `unscored`, `errored` or `skipped`.
    pub outcome: &'static str,
    /// Whether the test passed.
    pub passed: bool,
    /// Of what was scored.
    pub score: Option<f64>,
    /// The accepted score, if it is of the same question.
    pub golden: Option<f64>,
    /// What the golden can say.
    pub standing: String,
    /// The score that passes where no golden applies.
    pub threshold: f64,
    /// The answer that was found in the response.
    pub answer: Option<String>,
    /// The answer that was wanted.
    pub wanted: Option<String>,
    /// Why it was graded so, or not graded, answered or asked.
    pub reason: String,
    /// As the model read it.
    #[serde(skip)]
    pub prompt: Option<String>,
    /// The text that came back.
    #[serde(skip)]
    pub response: Option<String>,
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// Tokens produced.
    pub output_tokens: Option<u32>,
    /// Time to first token.
    pub ttft_seconds: Option<f64>,
    /// Time per output token.
    pub tpot_seconds: Option<f64>,
    /// Tokens per second.
    pub prefill_speed: Option<f64>,
    /// Tokens per second.
    pub decode_speed: Option<f64>,
}

/// Which run to show: the newest complete one that ended, else the newest.
pub fn choose(runs: &[RunRow]) -> Option<&RunRow> {
    let complete = runs.iter().filter(|it| it.ended_at.is_some() && !it.begun.partial);
    complete.max_by_key(|it| it.id).or_else(|| runs.iter().max_by_key(|it| it.id))
}

impl Report {
    /// Plain text, at most 100 columns wide.
    pub fn terminal(&self) -> String {
        terminal::write(self)
    }

    /// GitHub's Markdown, as for `$GITHUB_STEP_SUMMARY`.
    pub fn markdown(&self) -> String {
        markdown::write(self)
    }

    /// This structure: every number as it is, in seconds, tokens per second, bytes and joules.
    ///
    /// Prompts and responses stay in the store.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has only text keys") + "\n"
    }

    /// One page that needs nothing else.
    pub fn html(&self) -> String {
        html::write(self)
    }

    /// What does not add up: each planned trial is scored, unscored, errored or skipped.
    ///
    /// In a run that did not end, trials may be missing; all else is a problem there too.
    pub fn problems(&self) -> Vec<String> {
        self.problems.clone()
    }

    /// How far the run came, in words.
    fn status(&self) -> String {
        let Run { accounted, planned, .. } = self.run;
        match self.run.status {
            Status::Complete => format!(
                "complete: {} of {} accounted for",
                text::count(accounted as u64),
                text::counted(planned, "trial")
            ),
            Status::Partial => "partial: a filter left trials out, so there is no verdict".to_owned(),
            Status::Unfinished => format!(
                "interrupted, or still going on: {} of {}; PROOFMARK_RESUME=1 goes on with it",
                text::count(accounted as u64),
                text::counted(planned, "trial")
            ),
        }
    }

    /// What a reader of times has to know.
    fn load_note(&self) -> String {
        match self.run.concurrency {
            1 => "Measured with 1 request in flight.".to_owned(),
            many => format!(
                "Measured with up to {many} requests in flight: TTFT includes the time in the queue, prefill speed does not, \
                 and TPOT is that of one request among them."
            ),
        }
    }

    /// Trials whose test failed.
    fn failing(&self) -> Vec<&Trial> {
        self.trials.iter().filter(|it| it.failed()).collect()
    }
}

impl Trial {
    fn failed(&self) -> bool {
        !self.passed && self.outcome != "skipped"
    }

    /// What the score is, and what it was held against.
    fn held_against(&self) -> String {
        let now = self.score.map_or_else(|| self.outcome.to_owned(), |it| format!("{} now", text::score(it)));
        match self.golden {
            Some(golden) => format!("{now}, {} accepted ({})", text::score(golden), self.standing),
            None => format!("{now}, {} wanted ({})", text::score(self.threshold), self.standing),
        }
    }
}
