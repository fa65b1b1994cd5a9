//! Numbers to words: who wins, by how much, how sure.

use std::collections::{HashMap, HashSet};

use super::{Report, Status, Trial, text};
use crate::stats::{CONFIDENCE, Estimate, Observation, Range, Sample};

/// A model's scores, by what was asked.
struct Scored<'a> {
    model: &'a str,
    scores: HashMap<&'a str, &'a Trial>,
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
    let mut ranked: Vec<(&Scored<'_>, Estimate)> =
        group.iter().filter_map(|it| Some((*it, over(it, &common)?))).collect();
    ranked.sort_by(|one, other| other.1.mean.total_cmp(&one.1.mean));
    let mut sentences = Vec::new();
    match ranked.as_slice() {
        [first, second, rest @ ..] => {
            sentences.push(comparison(first, second, rest.len(), &common));
            sentences.push(paired(first.0, second.0, &common));
            let all: HashSet<&str> = group.iter().flat_map(|it| it.scores.keys().copied()).collect();
            let left_out = all.len() - common.len();
            if left_out > 0 {
                sentences.push(format!(
                    "Left out of this comparison: {} not scored for every model in it.",
                    text::counted(left_out, "trial")
                ));
            }
        }
        [(only, it)] => sentences.push(format!(
            "{} scores {} {} on {}; there is no other model to compare it with.",
            only.model,
            text::score(it.mean),
            text::interval(it.interval),
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
    let scores = mine.filter_map(|it| it.score.and(Some((it.name.strip_suffix(&suffix)?, it)))).collect();
    Scored { model, scores }
}

/// A value of each common trial, in their clusters; they are known by what was asked.
fn sample(
    common: &HashSet<&str>,
    one: &Scored<'_>,
    range: Range,
    value: impl Fn(&str) -> f64,
) -> Option<Estimate> {
    let mut keys: Vec<&str> = common.iter().copied().collect();
    // A sum of floats depends on its order.
    keys.sort_unstable();
    let values = keys.into_iter().map(|key| {
        let Trial { suite, cluster, .. } = one.scores[key];
        Observation { stratum: suite, cluster, value: value(key) }
    });
    Sample::new(range, values).estimate(CONFIDENCE)
}

fn over(scored: &Scored<'_>, common: &HashSet<&str>) -> Option<Estimate> {
    sample(common, scored, Range::SCORE, |key| scored.of(key))
}

impl Scored<'_> {
    fn of(&self, key: &str) -> f64 {
        self.scores[key].score.unwrap_or_default()
    }
}

fn comparison(
    (first, best): &(&Scored<'_>, Estimate),
    (second, next): &(&Scored<'_>, Estimate),
    rest: usize,
    common: &HashSet<&str>,
) -> String {
    let (one, two) = (text::score(best.mean), text::score(next.mean));
    let (one_range, two_range) = (text::interval(best.interval), text::interval(next.interval));
    let trials = text::counted(common.len(), "trial");
    let place = if rest > 0 { format!(" of {} models", rest + 2) } else { String::new() };
    if one == two {
        return format!(
            "{} and {} score the same{}: {one} {one_range} on the same {trials}.",
            first.model,
            second.model,
            if rest > 0 { format!(", highest{place}") } else { String::new() },
        );
    }
    let difference = sample(common, first, Range::DIFFERENCE, |key| first.of(key) - second.of(key));
    let sure = difference.map_or_else(String::new, |it| {
        let sure = if it.interval.low > 0.0 {
            "which chance alone would hardly make"
        } else {
            "so this run cannot tell them apart"
        };
        let (mean, range) = (text::difference(it.mean), text::differences(it.interval));
        let clusters = text::counted(it.clusters, "cluster");
        format!("; the difference is {mean} {range} over {clusters}, {sure}")
    });
    format!(
        "{} scores highest{place}: {one} {one_range} against {two} {two_range} of {} on the same {trials}{sure}.",
        first.model, second.model
    )
}

fn paired(first: &Scored<'_>, second: &Scored<'_>, common: &HashSet<&str>) -> String {
    let (mut above, mut below) = (0, 0);
    for key in common {
        let (one, other) = (first.of(key), second.of(key));
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
