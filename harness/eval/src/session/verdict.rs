//! The verdict of a model: what its trials come to beside their goldens, as a whole.

use std::fmt::Write as _;

use super::{Session, Tally, Told, lock};
use crate::count::counted;
use crate::gate::Gate;
use crate::report::compare::{Analysis, By, Pair, analyse};
use crate::stats::compare::Verdict;
use crate::stats::{CONFIDENCE, Estimate, Observation, Range, Sample};

/// A trial that was scored.
#[derive(Clone, Debug)]
pub(super) struct Scored {
    pub(super) position: usize,
    pub(super) suite: String,
    pub(super) cluster: String,
    pub(super) score: f64,
    /// The accepted score, if it is of the same question.
    pub(super) golden: Option<f64>,
}

impl Tally {
    /// In the order of the plan: a sum of floats depends on its order.
    fn ordered(&self) -> Vec<&Scored> {
        let mut scored: Vec<&Scored> = self.scored.iter().collect();
        scored.sort_by_key(|it| it.position);
        scored
    }

    /// The mean score, and how sure it is.
    pub(super) fn estimate(&self) -> Option<Estimate> {
        let observation = |it: &'_ &Scored| (it.suite.clone(), it.cluster.clone(), it.score);
        let values: Vec<_> = self.ordered().iter().map(observation).collect();
        let values =
            values.iter().map(|(stratum, cluster, value)| Observation { stratum, cluster, value: *value });
        Sample::new(Range::SCORE, values).estimate(CONFIDENCE)
    }

    /// The trials that have a golden beside it.
    pub(super) fn analysis(&self, margin: f64) -> Option<Analysis> {
        let pairs: Vec<Pair> = self
            .ordered()
            .into_iter()
            .filter_map(|it| {
                let (suite, cluster) = (it.suite.clone(), it.cluster.clone());
                Some(Pair { suite, cluster, old: it.golden?, new: it.score })
            })
            .collect();
        analyse(&pairs, By::Category, margin)
    }
}

impl Session {
    /// What a model, by its position, comes to beside its goldens; blocks until the last of its chosen trials is done.
    ///
    /// [`Session::run`] must be going on, or be over, for each of them: a harness that takes its tests in order and has
    /// this one behind them never waits for what nobody began, on one thread as on many.
    pub fn verdict(&self, model: usize) -> Told {
        let mut ledger = lock(&self.ledger);
        let planned = ledger.models[model].planned;
        while ledger.tallies[model].done < planned {
            ledger = self.ended.wait(ledger).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        let tally = ledger.tallies[model].clone();
        drop(ledger);
        if planned == 0 {
            return Told::Ignored("none of its trials was asked: a filter left them out".to_owned());
        }
        if self.options.gate == Gate::Absolute {
            return Told::Ignored("PROOFMARK_GATE=absolute compares with no golden".to_owned());
        }
        let Some(analysis) = tally.analysis(self.plan.models.margin) else {
            return Told::Ignored(
                "no golden to compare with: `cargo xtask bless` accepts this run's answers".to_owned(),
            );
        };
        let fails = match analysis.verdict {
            Verdict::NotWorse => false,
            Verdict::Regressed => true,
            Verdict::CannotTell => self.options.gate == Gate::Strict,
        };
        if !fails {
            return Told::Passed;
        }
        let name = &self.plan.models.models[model].name;
        let strict = if analysis.verdict == Verdict::CannotTell { " (PROOFMARK_GATE=strict)" } else { "" };
        Told::Failed(format!(
            "{}{strict}\n\n{}\nrerun: cargo test --test quality -- ::{name}",
            self.told(model, &tally, &analysis),
            analysis.table(&format!("{name}: beside its goldens")).trim_start_matches('\n'),
        ))
    }

    /// The verdict in a sentence, with what it is over.
    fn told(&self, model: usize, tally: &Tally, analysis: &Analysis) -> String {
        let mut sentence = analysis.sentence();
        let left = tally.done - analysis.whole.difference.n;
        if left > 0 {
            // Writing to a String cannot fail.
            let left = counted(left, "trial");
            let _ = write!(sentence, "; {left} left out: no score, or no golden that holds");
        }
        let all = self.plan.trials.iter().filter(|it| it.model as usize == model).count();
        if tally.done < all {
            let _ = write!(sentence, "; over the asked trials alone: a filter left {} out", all - tally.done);
        }
        sentence
    }

    /// The line of the summary; `None` where there is nothing to compare with.
    pub(super) fn verdict_line(&self, model: usize, tally: &Tally) -> Option<String> {
        if self.options.gate == Gate::Absolute {
            return None;
        }
        let analysis = tally.analysis(self.plan.models.margin)?;
        let sentence = self.told(model, tally, &analysis);
        Some(match analysis.verdict {
            Verdict::CannotTell => format!("  warning: verdict: {sentence}"),
            Verdict::NotWorse | Verdict::Regressed => format!("  verdict: {sentence}"),
        })
    }
}
