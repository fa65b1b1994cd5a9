//! What several answers to one question come to: by temperature, over repeats, over wordings.

use std::collections::{BTreeMap, HashMap};

use super::{AtK, Repeats, Temperature};
use crate::stats::{CONFIDENCE, Estimate, Observation, Range, Sample, repeats};
use crate::store::{Outcome, TrialRow};

/// The variable of a matrix whose values are one question in several wordings.
const WORDING: &str = "wording=";

/// The parts of a trial's name below its suite: `case[k=v,…]`, `@t0.7@p0.9@s3`, `#2`.
struct Parts<'a> {
    question: &'a str,
    drawn: &'a str,
    repeat: &'a str,
}

fn parts(entry: &str) -> Parts<'_> {
    // A value of a matrix may hold any of the signs.
    let end = entry.find(']').map_or_else(|| entry.find(['@', '#']).unwrap_or(entry.len()), |it| it + 1);
    let (question, rest) = entry.split_at(end);
    let (drawn, repeat) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
    Parts { question, drawn, repeat }
}

/// The question without its wording; `None` where it has none.
fn without_wording(question: &str) -> Option<String> {
    let (case, labels) = question.strip_suffix(']')?.split_once('[')?;
    let labels: Vec<&str> = labels.split(',').collect();
    let others: Vec<&str> = labels.iter().copied().filter(|it| !it.starts_with(WORDING)).collect();
    (others.len() < labels.len()).then(|| format!("{case}[{}]", others.join(",")))
}

/// What was found in a response: the answer, else the text itself.
fn answer(row: &TrialRow) -> Option<&str> {
    let Outcome::Scored(grade) = &row.outcome else { return None };
    grade.answer.as_deref().or_else(|| row.response.as_ref().map(|it| it.text.trim()))
}

/// A value of each of some rows, in their clusters.
fn estimate<'a>(values: impl IntoIterator<Item = (&'a TrialRow, f64)>) -> Option<Estimate> {
    let values = values.into_iter().map(|(row, value)| Observation {
        stratum: &row.suite,
        cluster: &row.cluster,
        value,
    });
    Sample::new(Range::SCORE, values).estimate(CONFIDENCE)
}

/// The score, with its interval.
pub(super) fn scored(rows: &[&TrialRow]) -> Option<Estimate> {
    estimate(rows.iter().filter_map(|it| Some((*it, it.outcome.score()?))))
}

/// Score by temperature, over the questions that were asked at several; empty where none was.
pub(super) fn temperatures(rows: &[&TrialRow]) -> Vec<Temperature> {
    let mut asked: BTreeMap<(&str, &str), BTreeMap<u64, Vec<&TrialRow>>> = BTreeMap::new();
    for row in rows {
        let question = (row.suite.as_str(), parts(&row.entry).question);
        // Temperatures are not negative: their bits ascend as they do.
        let temperature = row.sampling.temperature.to_bits();
        asked.entry(question).or_default().entry(temperature).or_default().push(row);
    }
    asked.retain(|_, by| by.len() > 1);
    let mut all: Vec<u64> = asked.values().flat_map(|it| it.keys().copied()).collect();
    all.sort_unstable();
    all.dedup();
    let curve = all.into_iter().filter_map(|bits| {
        let there = || asked.values().filter_map(|by| Some((by, by.get(&bits)?)));
        let score = scored(&there().flat_map(|(_, rows)| rows.iter().copied()).collect::<Vec<_>>())?;
        let changed = there().flat_map(|(by, rows)| {
            let greedy = by.get(&0f64.to_bits()).and_then(|it| answer(it[0])).filter(|_| bits != 0);
            rows.iter().filter_map(move |row| Some((*row, f64::from(u8::from(answer(row)? != greedy?)))))
        });
        Some(Temperature { temperature: f64::from_bits(bits), score, changed: estimate(changed) })
    });
    curve.collect()
}

/// What repeats of one question come to; `None` where none was asked several times in the same way.
pub(super) fn over(rows: &[&TrialRow]) -> Option<Repeats> {
    let mut groups: BTreeMap<(&str, &str, &str), Vec<&TrialRow>> = BTreeMap::new();
    for row in rows.iter().filter(|it| it.outcome.score().is_some()) {
        let Parts { question, drawn, repeat } = parts(&row.entry);
        if !repeat.is_empty() {
            groups.entry((&row.suite, question, drawn)).or_default().push(row);
        }
    }
    groups.retain(|_, rows| rows.len() > 1);
    let most = groups.values().map(Vec::len).max()?;
    let right = |rows: &[&TrialRow]| rows.iter().filter(|it| it.outcome.score() >= Some(1.0)).count();
    let at_k = |k: usize| {
        let each = |of: fn(usize, usize, usize) -> Option<f64>| {
            estimate(groups.values().filter_map(|rows| Some((rows[0], of(rows.len(), right(rows), k)?))))
        };
        Some(AtK { k, pass_at_k: each(repeats::pass_at_k)?, pass_hat_k: each(repeats::pass_hat_k)? })
    };
    let powers = (0..).map(|it| 1usize << it).take_while(|it| *it < most);
    let majority = groups.values().filter_map(|rows| {
        let tries: Vec<(Option<&str>, f64)> =
            rows.iter().filter_map(|it| Some((answer(it), it.outcome.score()?))).collect();
        Some((rows[0], repeats::majority(&tries)?))
    });
    let agreement = groups.values().filter_map(|rows| {
        let answers: Vec<_> = rows.iter().map(|it| answer(it)).collect();
        Some((rows[0], repeats::agreement(&answers)?))
    });
    Some(Repeats {
        most,
        at_k: powers.chain([most]).filter_map(at_k).collect(),
        majority: estimate(majority),
        agreement: estimate(agreement),
    })
}

/// How far the answers to one question in several wordings agree; `None` where none is.
pub(super) fn wordings(rows: &[&TrialRow]) -> Option<Estimate> {
    let mut groups: HashMap<(&str, String, &str, &str), Vec<&TrialRow>> = HashMap::new();
    let mut order = Vec::new();
    for row in rows.iter().filter(|it| it.outcome.score().is_some()) {
        let Parts { question, drawn, repeat } = parts(&row.entry);
        let Some(question) = without_wording(question) else { continue };
        let key = (row.suite.as_str(), question, drawn, repeat);
        let group = groups.entry(key.clone()).or_default();
        if group.is_empty() {
            order.push(key);
        }
        group.push(row);
    }
    estimate(order.iter().filter_map(|key| {
        let rows = &groups[key];
        let answers: Vec<_> = rows.iter().map(|it| answer(it)).collect();
        Some((rows[0], repeats::agreement(&answers)?))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_parts() {
        for (entry, wanted) in [
            ("case", ("case", "", "")),
            ("case@t0.7", ("case", "@t0.7", "")),
            ("case[n=3,k=#1]@t0.7@p0.9@s3#2", ("case[n=3,k=#1]", "@t0.7@p0.9@s3", "#2")),
            ("case#2", ("case", "", "#2")),
        ] {
            let Parts { question, drawn, repeat } = parts(entry);
            assert_eq!((question, drawn, repeat), wanted);
        }
        assert_eq!(without_wording("case[n=3,wording=#1]").as_deref(), Some("case[n=3]"));
        assert_eq!(without_wording("case[n=3]"), None);
        assert_eq!(without_wording("case"), None);
    }
}
