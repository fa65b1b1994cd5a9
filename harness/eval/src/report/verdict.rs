//! Numbers to words: who wins, by how much, how sure.

use std::collections::{HashMap, HashSet};

use super::{Report, Status, text};
use crate::stats::{self, Interval};

/// A model's scores, by what was asked.
struct Scored<'a> {
    model: &'a str,
    scores: HashMap<&'a str, f64>,
}

/// The opening sentences; none where the run gives no verdict.
///
/// Models are compared only over trials that are scored for each of them.
pub(super) fn sentences(report: &Report) -> Vec<String> {
    if report.run.status != Status::Complete {
        return Vec::new();
    }
    let mut scored: Vec<Scored<'_>> = report.models.iter().map(|it| scored(report, &it.name)).collect();
    scored.retain(|it| !it.scores.is_empty());
    // Stable: the order of `models.yaml` decides between equals.
    scored.sort_by_key(|it| std::cmp::Reverse(it.scores.len()));
    let Some((widest, others)) = scored.split_first() else {
        return vec!["Nothing was scored, so there is nothing to compare.".to_owned()];
    };
    let mut common: HashSet<&str> = widest.scores.keys().copied().collect();
    let mut group = vec![widest];
    let mut apart = Vec::new();
    for other in others {
        let shared: HashSet<&str> =
            common.iter().copied().filter(|it| other.scores.contains_key(it)).collect();
        // One model with few scores must not take the others' away.
        if shared.len() * 2 < common.len() {
            apart.push(other.model);
        } else {
            common = shared;
            group.push(other);
        }
    }
    let mut ranked: Vec<(&Scored<'_>, f64, Interval)> = group
        .iter()
        .filter_map(|it| over(it, &common).map(|(mean, interval)| (*it, mean, interval)))
        .collect();
    ranked.sort_by(|one, other| other.1.total_cmp(&one.1));
    let mut sentences = Vec::new();
    match ranked.as_slice() {
        [first, second, rest @ ..] => {
            sentences.push(comparison(first, second, rest.len(), common.len()));
            sentences.push(paired(first.0, second.0, &common));
            if first.1 > second.1 && first.2.low <= second.2.high {
                sentences.push(
                    "Overlap of intervals is a cautious test: a paired one may find a difference that it misses."
                        .to_owned(),
                );
            }
            let all: HashSet<&str> = group.iter().flat_map(|it| it.scores.keys().copied()).collect();
            let left_out = all.len() - common.len();
            if left_out > 0 {
                sentences.push(format!(
                    "Left out of this comparison: {} not scored for every model in it.",
                    text::counted(left_out, "trial")
                ));
            }
        }
        [(only, mean, interval)] => sentences.push(format!(
            "{} scores {} {} on {}; there is no other model to compare it with.",
            only.model,
            text::score(*mean),
            text::interval(*interval),
            text::counted(common.len(), "trial")
        )),
        [] => {}
    }
    if !apart.is_empty() {
        sentences.push(format!("Not compared, for too few of the same scored trials: {}.", apart.join(", ")));
    }
    sentences
}

fn scored<'a>(report: &'a Report, model: &'a str) -> Scored<'a> {
    let suffix = format!("::{model}");
    let mine = report.trials.iter().filter(|it| it.model == model);
    let scores = mine.filter_map(|it| Some((it.name.strip_suffix(&suffix)?, it.score?))).collect();
    Scored { model, scores }
}

fn over(scored: &Scored<'_>, common: &HashSet<&str>) -> Option<(f64, Interval)> {
    let mut keys: Vec<&&str> = common.iter().collect();
    // A sum of floats depends on its order.
    keys.sort_unstable();
    let values: Vec<f64> = keys.into_iter().map(|it| scored.scores[it]).collect();
    let mean = stats::mean(&values)?;
    Some((mean, stats::wilson(mean, values.len(), stats::CONFIDENCE)?))
}

fn comparison(
    (first, best, interval): &(&Scored<'_>, f64, Interval),
    (second, next, other): &(&Scored<'_>, f64, Interval),
    rest: usize,
    n: usize,
) -> String {
    let (one, two) = (text::score(*best), text::score(*next));
    let (one_range, two_range) = (text::interval(*interval), text::interval(*other));
    let trials = text::counted(n, "trial");
    let place = if rest > 0 { format!(" of {} models", rest + 2) } else { String::new() };
    if one == two {
        return format!(
            "{} and {} score the same{}: {one} {one_range} on the same {trials}.",
            first.model,
            second.model,
            if rest > 0 { format!(", highest{place}") } else { String::new() },
        );
    }
    let sure = if interval.low > other.high {
        "the intervals do not overlap: if trials are independent, chance alone would hardly make this difference"
    } else {
        "the intervals overlap, so this run cannot tell them apart by its means"
    };
    format!(
        "{} scores highest{place}: {one} {one_range} against {two} {two_range} of {} on the same {trials}; {sure}.",
        first.model, second.model
    )
}

fn paired(first: &Scored<'_>, second: &Scored<'_>, common: &HashSet<&str>) -> String {
    let (mut above, mut below) = (0, 0);
    for key in common {
        let (one, other) = (first.scores[key], second.scores[key]);
        above += usize::from(one > other);
        below += usize::from(one < other);
    }
    format!(
        "Trial by trial, {} scores above {} on {above} of {}, below it on {below}, and the same on {}.",
        first.model,
        second.model,
        common.len(),
        common.len() - above - below
    )
}
