//! References: whether the graders of a case find right what the case holds to be right, and nothing less.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Found, shown, told};
use crate::case::{Case, Suite, Variant, WrongCase};
use crate::grade::{Evidence, Examiner, Judgement, Unanswered};

/// What came of having references judged.
#[derive(Debug, Default)]
pub struct References {
    /// How many variants have a reference that is sound, in the sense of [`Looked::Sound`].
    pub sound: usize,
    /// What must be changed, each with its place.
    pub wrong: Vec<WrongCase>,
    /// Why the references of other variants could not be judged here, and of how many.
    pub skipped: BTreeMap<String, usize>,
}

/// What came of having one variant's reference judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It is right; an empty answer, and the prompt as an answer, are not.
    Sound,
    /// What is wrong, each in a sentence that begins with its subject.
    Wrong(Vec<String>),
    /// It cannot be judged here, and why.
    Skipped(String),
}

/// Has the references of all variants judged that have one, as many at a time as there are CPUs.
pub fn references(suites: &[Suite], examiner: &dyn Examiner) -> References {
    let all: Vec<(&Suite, &Case, &Variant)> = suites
        .iter()
        .flat_map(|suite| suite.cases.iter().map(move |case| (suite, case)))
        .flat_map(|(suite, case)| case.variants.iter().map(move |variant| (suite, case, variant)))
        .filter(|(_, _, variant)| variant.reference.is_some())
        .collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(all.len().max(1));
    let next = AtomicUsize::new(0);
    let mut looked: Vec<(usize, Looked)> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((_, case, variant)) = all.get(at) else { return done };
                done.extend(look(case, variant, examiner).map(|it| (at, it)));
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|it| it.join().expect("judging does not panic")).collect()
    });
    looked.sort_by_key(|(at, _)| *at);
    let mut references = References::default();
    for (at, looked) in looked {
        let (suite, case, variant) = all[at];
        match looked {
            Looked::Sound => references.sound += 1,
            Looked::Skipped(reason) => *references.skipped.entry(reason).or_default() += 1,
            Looked::Wrong(sentences) => {
                let name = shown(suite, case, variant);
                let found: Vec<Found<'_>> =
                    sentences.into_iter().map(|it| (case, format!("`{name}`: {it}"), None)).collect();
                told(suite, &found, &mut references.wrong);
            }
        }
    }
    references
}

/// Has a variant's own graders judge three answers: its reference, which must score 1, and an empty one and what is asked
/// itself, which must not reach the case's threshold. `None` where there is no reference.
pub fn look(case: &Case, variant: &Variant, examiner: &dyn Examiner) -> Option<Looked> {
    let reference = variant.reference.as_deref()?;
    if let [model, ..] = &variant.rubric.models()[..] {
        return Some(Looked::Skipped(format!("`{model}` would have to judge it")));
    }
    let asked = variant.messages.last().map_or("", |it| it.content.as_str());
    let mut wrong = Vec::new();
    match judged(variant, reference, examiner) {
        Ok((score, _)) if score >= 1.0 => {}
        Ok((score, reason)) => {
            wrong.push(format!("the reference scores {score}, not 1, by its own graders: {reason}"));
        }
        Err(Unanswered::Skipped(reason)) => return Some(Looked::Skipped(reason)),
        Err(Unanswered::Errored(reason) | Unanswered::Unscored(reason)) => {
            wrong.push(format!("the reference cannot be judged: {reason}"));
        }
    }
    for (answer, text) in [("an empty answer", ""), ("the prompt, as an answer,", asked)] {
        if let Ok((score, _)) = judged(variant, text, examiner)
            && score >= case.threshold
        {
            wrong.push(format!("{answer} scores {score}, which passes"));
        }
    }
    Some(if wrong.is_empty() { Looked::Sound } else { Looked::Wrong(wrong) })
}

/// The score of an answer, and why.
fn judged(variant: &Variant, text: &str, examiner: &dyn Examiner) -> Result<(f64, String), Unanswered> {
    let inquiries = variant.rubric.inquiries(text);
    let found = inquiries.iter().map(|it| examiner.examine(it)).collect::<Result<Vec<_>, _>>()?;
    match variant.rubric.grade(&Evidence { text, likelihoods: &[], found: &found }) {
        Judgement::Scored(grade) => Ok((grade.score, grade.reason)),
        Judgement::Unscored(reason) => Err(Unanswered::Unscored(reason)),
    }
}
