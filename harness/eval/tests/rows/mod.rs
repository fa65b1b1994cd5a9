//! Rows that are made by hand.

use std::time::Duration;

use eval::backend::{Sampling, StopReason};
use eval::gate::Standing;
use eval::report::{self, Report};
use eval::response::{Arrival, Response};
use eval::store::{ModelRow, NewRun, Outcome, RunRow, TrialRow};
use serde_json::json;

/// A run that ended, with all trials.
pub(crate) fn run(planned: usize) -> RunRow {
    RunRow {
        id: 7,
        started_at: 1_793_534_400_000,
        ended_at: Some(1_793_534_645_000),
        begun: NewRun {
            planned,
            partial: false,
            concurrency: 16,
            machine: json!({
                "cpu": "Example CPU", "cores": 8, "vectors": "avx512", "memory": 34_359_738_368_u64, "os": "linux", "gpus": [],
            })
            .to_string(),
            versions: json!({ "proofmark": "0.1.0" }).to_string(),
            options: json!({ "gate": "golden" }).to_string(),
            git_commit: Some("3f9c2d1".to_owned()),
        },
    }
}

/// A model that was asked, with nothing measured.
pub(crate) fn model(name: &str, planned: usize) -> ModelRow {
    ModelRow { name: name.to_owned(), planned, info: "{}".to_owned(), ..ModelRow::default() }
}

/// The outcome of a trial with this score.
pub(crate) fn scored(score: f64) -> Outcome {
    let grade = json!({
        "score": score, "answer": "43", "wanted": "the number 42", "reason": "43 is not 42", "parts": [],
    });
    Outcome::Scored(serde_json::from_value(grade).expect("it has every field of a grade"))
}

/// A trial without a golden; it passes with a score of 1.
pub(crate) fn trial(model: &str, suite: &str, entry: &str, outcome: Outcome) -> TrialRow {
    let passed = outcome.score().is_some_and(|it| it >= 1.0);
    TrialRow {
        name: format!("{suite}/{entry}::{model}"),
        model: model.to_owned(),
        suite: suite.to_owned(),
        entry: entry.to_owned(),
        position: 0,
        cluster: entry.to_owned(),
        key: None,
        outcome,
        threshold: 1.0,
        greedy: true,
        sampling: Sampling::GREEDY,
        standing: Standing::None.words().to_owned(),
        golden: None,
        passed,
        prompt: Some("What is 17 + 25?".to_owned()),
        response: Some(response(10, 100, &[200, 220, 240])),
        found: Vec::new(),
        case_digest: String::new(),
        prompt_digest: String::new(),
        template: None,
        numerics: None,
    }
}

/// A response, from milliseconds.
pub(crate) fn response(queued: u64, prompt_tokens: u32, arrivals: &[u64]) -> Response {
    Response {
        text: "It is 43.".to_owned(),
        reason: StopReason::Stop,
        prompt_tokens,
        output_tokens: u32::try_from(arrivals.len()).expect("a few"),
        queued: Duration::from_millis(queued),
        arrivals: arrivals.iter().map(|it| Arrival { at: Duration::from_millis(*it), tokens: 1 }).collect(),
        ended: Duration::from_millis(arrivals.last().copied().unwrap_or(0)),
        likelihoods: Vec::new(),
        logprobs: Vec::new(),
    }
}

/// The suites of this repository.
const SUITES: [&str; 20] = [
    "code-generation/algorithm-implementation",
    "code-generation/bug-fixing",
    "code-generation/code-optimization",
    "code-generation/design-patterns",
    "code-generation/test-generation",
    "mathematical-reasoning/algorithm-complexity",
    "mathematical-reasoning/linear-algebra",
    "mathematical-reasoning/numerical-methods",
    "mathematical-reasoning/optimization",
    "mathematical-reasoning/probability-statistics",
    "multi-step-reasoning/architecture-tradeoffs",
    "multi-step-reasoning/logic-puzzles",
    "multi-step-reasoning/performance-optimization",
    "multi-step-reasoning/security-assessment",
    "multi-step-reasoning/system-debugging",
    "system-design/api-design",
    "system-design/database-schema",
    "system-design/distributed-systems",
    "system-design/infrastructure-planning",
    "system-design/microservices",
];

/// Numbers that look random, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Two models that were asked everything, and one that was skipped, with numbers that look real.
pub(crate) fn sample() -> Report {
    let mut random = Random(20_261_101);
    let mut trials = Vec::new();
    for (name, percent, pace, queue) in [("smollm2-135m", 30, 21, 900), ("gemma-3-270m", 52, 34, 1_600)] {
        for suite in SUITES {
            let percent = percent + random.below(40) - 20;
            for case in 1..=6 {
                let score = match random.below(100) {
                    it if it < percent => 1.0,
                    it if it < percent + 15 => 0.5,
                    _ => 0.0,
                };
                let mut row = trial(name, suite, &format!("case-{case}"), scored(score));
                row.position = trials.len();
                let first = random.below(queue) + 60 + random.below(4 * pace);
                let gap = pace * 85 / 100 + random.below(pace * 40 / 100);
                let arrivals: Vec<u64> = (0..8 + random.below(60)).map(|it| first + gap * it).collect();
                let prompt_tokens = 60 + u32::try_from(random.below(120)).expect("a few");
                let queued = first.saturating_sub(60 + random.below(4 * pace));
                row.response = Some(response(queued, prompt_tokens, &arrivals));
                decide(&mut row, score, random.below(100));
                trials.push(row);
            }
        }
    }
    let asked = |name: &str, peak: u64, load: u64, numerics: &str| ModelRow {
        peak_bytes: Some(peak),
        load: Some(Duration::from_millis(load)),
        numerics: Some(numerics.to_owned()),
        ..model(name, 120)
    };
    let models = [
        asked("smollm2-135m", 412_000_000, 310, "engine 1, avx512, Q4_1"),
        asked("gemma-3-270m", 689_000_000, 540, "engine 1, avx512, Q8_0"),
        ModelRow {
            skipped: Some("no weights: run `cargo xtask fetch qwen2.5-0.5b`".to_owned()),
            ..model("qwen2.5-0.5b", 120)
        },
    ];
    report::build(&run(360), &models, &trials)
}

/// What becomes of a trial, by a number below 100.
fn decide(row: &mut TrialRow, score: f64, fate: u64) {
    match fate {
        0..2 => row.outcome = Outcome::Unscored("the program needs more than 512 MiB".to_owned()),
        2..3 => {
            row.outcome = Outcome::Errored("the backend failed: out of memory".to_owned());
            row.response = None;
        }
        3..8 => {}
        8..11 => Standing::PromptChanged.words().clone_into(&mut row.standing),
        _ => {
            Standing::Fresh.words().clone_into(&mut row.standing);
            row.golden = Some(match fate {
                11..14 => 1.0,
                14..19 => 0.0,
                _ => score,
            });
        }
    }
    row.passed = row.outcome.score().is_some_and(|it| it >= row.golden.unwrap_or(0.0));
}
