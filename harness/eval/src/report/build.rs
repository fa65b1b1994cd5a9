//! Rows to numbers.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use serde_json::Value;

use super::{
    Category, Change, Distribution, METRICS, Model, Report, Run, Scores, Skipped, Status, Topic, Trial,
    VERSION, repeats, text, verdict,
};
use crate::gate::Standing;
use crate::response::Response;
use crate::stats;
use crate::store::{ModelRow, Outcome, RunRow, TrialRow};

/// What a run comes to, from its rows.
pub fn build(run: &RunRow, models: &[ModelRow], trials: &[TrialRow]) -> Report {
    let mut rows: HashMap<&str, Vec<&TrialRow>> = HashMap::new();
    for row in trials {
        rows.entry(&row.model).or_default().push(row);
    }
    let rows_of = |it: &ModelRow| rows.get(it.name.as_str()).map_or(&[][..], Vec::as_slice);
    let accounted = models.iter().map(|it| rows_of(it).len() + unasked(it, rows_of(it))).sum();
    let status = match run.ended_at {
        None => Status::Unfinished,
        Some(_) if run.begun.partial => Status::Partial,
        Some(_) => Status::Complete,
    };
    let (asked, skipped): (Vec<_>, Vec<_>) = models
        .iter()
        .filter(|it| it.planned > 0 || !rows_of(it).is_empty())
        .partition(|it| it.skipped.is_none() || !rows_of(it).is_empty());
    let mut report = Report {
        version: VERSION,
        run: Run {
            number: run.id,
            status,
            started: text::date(run.started_at),
            ended: run.ended_at.map(text::date),
            planned: run.begun.planned,
            accounted,
            concurrency: run.begun.concurrency,
            machine: parsed(&run.begun.machine),
            versions: parsed(&run.begun.versions),
            options: parsed(&run.begun.options),
            commit: run.begun.git_commit.clone(),
        },
        verdict: Vec::new(),
        problems: problems(run, models, trials, &rows),
        models: asked.into_iter().map(|it| model(it, rows_of(it))).collect(),
        skipped: skipped
            .into_iter()
            .map(|it| Skipped {
                name: it.name.clone(),
                reason: it.skipped.clone().unwrap_or_default(),
                trials: it.planned,
            })
            .collect(),
        trials: trials.iter().map(trial).collect(),
        metrics: METRICS.to_vec(),
    };
    report.verdict = verdict::sentences(&report);
    report
}

/// A skipped model's trials have no rows: those that it has are of an earlier attempt at the run.
fn unasked(model: &ModelRow, rows: &[&TrialRow]) -> usize {
    if model.skipped.is_some() { model.planned.saturating_sub(rows.len()) } else { 0 }
}

fn problems(
    run: &RunRow,
    models: &[ModelRow],
    trials: &[TrialRow],
    rows: &HashMap<&str, Vec<&TrialRow>>,
) -> Vec<String> {
    let mut problems = Vec::new();
    let ended = run.ended_at.is_some();
    for model in models {
        let mine = rows.get(model.name.as_str()).map_or(&[][..], Vec::as_slice);
        let scores = scores(mine, unasked(model, mine));
        let found = scores.trials;
        if found > model.planned || (ended && found < model.planned) {
            let Scores { scored, unscored, errored, skipped, .. } = scores;
            problems.push(format!(
                "{}: {} planned, but {scored} scored + {unscored} unscored + {errored} errored + {skipped} skipped = {found}",
                model.name,
                text::counted(model.planned, "trial"),
            ));
        }
    }
    let planned: usize = models.iter().map(|it| it.planned).sum();
    if planned != run.begun.planned {
        problems.push(format!(
            "the run planned {}, its models {planned}",
            text::counted(run.begun.planned, "trial")
        ));
    }
    let known: HashSet<&str> = models.iter().map(|it| it.name.as_str()).collect();
    let mut names = HashSet::new();
    for row in trials {
        if !known.contains(row.model.as_str()) {
            problems.push(format!("{}: its model is not in the run", row.name));
        }
        if !names.insert(&row.name) {
            problems.push(format!("{}: counted twice", row.name));
        }
        if let Some(score) = row.outcome.score().filter(|it| !(0.0..=1.0).contains(it)) {
            problems.push(format!("{}: its score {score} is not between 0 and 1", row.name));
        }
    }
    problems
}

fn model(row: &ModelRow, rows: &[&TrialRow]) -> Model {
    let responses: Vec<_> = rows.iter().filter_map(|it| it.response.as_ref()).collect();
    let total = |count: fn(&Response) -> u32| {
        (!responses.is_empty()).then(|| responses.iter().map(|it| u64::from(count(it))).sum::<u64>())
    };
    let prompt_tokens = total(|it| it.prompt_tokens);
    let output_tokens = total(|it| it.output_tokens);
    let info = parsed(&row.info);
    let per_million = |kind: &str| info.pointer(&format!("/price/{kind}")).and_then(Value::as_f64);
    let cost = |tokens: Option<u64>, kind: &str| Some(tokens? as f64 / 1e6 * per_million(kind)?);
    Model {
        name: row.name.clone(),
        numerics: row.numerics.clone(),
        sha256: row.sha256.clone(),
        scores: scores(rows, unasked(row, rows)),
        prefill_speed: distribution(responses.iter().filter_map(|it| it.prefill_speed())),
        decode_speed: distribution(responses.iter().filter_map(|it| it.decode_speed())),
        ttft: distribution(responses.iter().filter_map(|it| it.ttft()).map(|it| it.as_secs_f64())),
        tpot: distribution(responses.iter().filter_map(|it| it.tpot()).map(|it| it.as_secs_f64())),
        prompt_tokens,
        output_tokens,
        load_seconds: row.load.map(|it| it.as_secs_f64()),
        weights_bytes: row.weights_bytes,
        peak_memory_bytes: row.peak_bytes,
        energy_joules: row.joules,
        joules_per_output_token: row
            .joules
            .zip(output_tokens.filter(|it| *it > 0))
            .map(|(joules, tokens)| joules / tokens as f64),
        meter: row.meter.clone(),
        cost_dollars: cost(prompt_tokens, "input").zip(cost(output_tokens, "output")).map(|(a, b)| a + b),
        temperatures: repeats::temperatures(rows),
        repeats: repeats::over(rows),
        wordings: repeats::wordings(rows),
        categories: grouped(rows, |it| split(&it.suite).0)
            .into_iter()
            .map(|(name, rows)| Category {
                name: name.to_owned(),
                scores: scores(&rows, 0),
                temperatures: repeats::temperatures(&rows),
                repeats: repeats::over(&rows),
                topics: grouped(&rows, |it| split(&it.suite).1)
                    .into_iter()
                    .map(|(name, rows)| Topic { name: name.to_owned(), scores: scores(&rows, 0) })
                    .collect(),
            })
            .collect(),
        info,
    }
}

/// `category/topic` in its two parts; a suite outside of any folder is its own category.
pub(super) fn split(suite: &str) -> (&str, &str) {
    suite.split_once('/').unwrap_or((suite, suite))
}

/// Rows by a key, in the order in which the keys first come.
fn grouped<'a, K: Copy + Eq + Hash>(
    rows: &[&'a TrialRow],
    key: impl Fn(&'a TrialRow) -> K,
) -> Vec<(K, Vec<&'a TrialRow>)> {
    let mut places = HashMap::new();
    let mut groups: Vec<(K, Vec<&TrialRow>)> = Vec::new();
    for row in rows {
        let key = key(row);
        let place = *places.entry(key).or_insert(groups.len());
        if place == groups.len() {
            groups.push((key, Vec::new()));
        }
        groups[place].1.push(row);
    }
    groups
}

fn scores(rows: &[&TrialRow], unasked: usize) -> Scores {
    let mut counts = Scores { trials: rows.len() + unasked, skipped: unasked, ..Scores::default() };
    for row in rows {
        match &row.outcome {
            Outcome::Scored(_) => counts.scored += 1,
            Outcome::Unscored(_) => counts.unscored += 1,
            Outcome::Errored(_) => counts.errored += 1,
            Outcome::Skipped(_) => {
                counts.skipped += 1;
                continue;
            }
        }
        if row.passed {
            counts.passed += 1;
        } else {
            counts.failed += 1;
        }
    }
    if let Some(it) = repeats::scored(rows) {
        counts.mean = Some(it.mean);
        counts.clusters = it.clusters;
        counts.interval = Some(it.interval);
        counts.method = Some(it.method);
    }
    counts.change = change(rows);
    counts
}

fn change(rows: &[&TrialRow]) -> Change {
    let mut change = Change::default();
    let mut differences = Vec::new();
    for row in rows {
        let Some(score) = row.outcome.score() else { continue };
        match (standing(&row.standing), row.golden) {
            (Some(Standing::Fresh), Some(golden)) => {
                differences.push(score - golden);
                match () {
                    () if score > golden => change.better += 1,
                    () if score < golden => change.worse += 1,
                    () => change.same += 1,
                }
            }
            (Some(it), _) if it.is_stale() => change.stale += 1,
            (_, Some(_)) => change.undecided += 1,
            (_, None) => change.new += 1,
        }
    }
    change.mean = stats::mean(&differences);
    change
}

/// The standing that a row has in words.
fn standing(words: &str) -> Option<Standing> {
    use Standing::{CaseChanged, Fresh, None, OtherNumerics, PromptChanged, Sampled, TemplateChanged};
    [None, CaseChanged, PromptChanged, TemplateChanged, OtherNumerics, Sampled, Fresh]
        .into_iter()
        .find(|it| it.words() == words)
}

fn distribution(values: impl Iterator<Item = f64>) -> Distribution {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let percentile = |p| stats::percentile(&sorted, p);
    Distribution { n: sorted.len(), p50: percentile(50.0), p90: percentile(90.0), p99: percentile(99.0) }
}

fn trial(row: &TrialRow) -> Trial {
    let response = row.response.as_ref();
    let (answer, wanted, reason) = match &row.outcome {
        Outcome::Scored(grade) => (grade.answer.clone(), Some(grade.wanted.clone()), &grade.reason),
        Outcome::Unscored(reason) | Outcome::Errored(reason) | Outcome::Skipped(reason) => {
            (None, None, reason)
        }
    };
    Trial {
        name: row.name.clone(),
        model: row.model.clone(),
        suite: row.suite.clone(),
        cluster: row.cluster.clone(),
        outcome: row.outcome.word(),
        passed: row.passed,
        score: row.outcome.score(),
        golden: row.golden,
        standing: row.standing.clone(),
        threshold: row.threshold,
        answer,
        wanted,
        reason: reason.clone(),
        prompt: row.prompt.clone(),
        response: response.map(|it| it.text.clone()),
        prompt_tokens: response.map(|it| it.prompt_tokens),
        output_tokens: response.map(|it| it.output_tokens),
        ttft_seconds: response.and_then(Response::ttft).map(|it| it.as_secs_f64()),
        tpot_seconds: response.and_then(Response::tpot).map(|it| it.as_secs_f64()),
        prefill_speed: response.and_then(Response::prefill_speed),
        decode_speed: response.and_then(Response::decode_speed),
    }
}

/// What is stored as JSON; as text, if it is none.
fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.to_owned()))
}
