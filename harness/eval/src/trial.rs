//! Trials: one case variant, asked of one model, once.

use std::fmt::Write as _;

use crate::backend::Sampling;
use crate::case::{Case, Drawn, Suite, Variant};
use crate::model::{Model, Models};

/// Everything that is asked: the models, the suites, and their product.
#[derive(Debug)]
pub struct Plan {
    /// Who is asked.
    pub models: Models,
    /// What is asked.
    pub suites: Vec<Suite>,
    /// The trials, by model, then in the order of the files: no model is loaded twice.
    pub trials: Vec<Trial>,
}

/// The place of a trial in its [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trial {
    /// Position in [`Models::models`].
    pub model: u32,
    /// Position in [`Plan::suites`].
    pub suite: u32,
    /// Position in [`Suite::cases`].
    pub case: u32,
    /// Position in [`Case::variants`].
    pub variant: u32,
    /// Position in [`Case::drawn`].
    pub drawn: u32,
    /// The n-th trial of the same variant, drawn in the same way, from 1.
    pub repeat: u32,
}

/// Crosses models with cases.
pub fn expand(models: Models, suites: Vec<Suite>) -> Plan {
    let mut plan = Plan { models, suites, trials: Vec::new() };
    for model in 0..index(plan.models.models.len()) {
        for suite in 0..index(plan.suites.len()) {
            let trials = plan.trials_of(model, suite);
            plan.trials.extend(trials);
        }
    }
    plan
}

fn index(it: usize) -> u32 {
    u32::try_from(it).expect("a plan has fewer than 2^32 of anything")
}

impl Plan {
    /// The model that a trial asks.
    pub fn model(&self, trial: Trial) -> &Model {
        &self.models.models[trial.model as usize]
    }

    /// The suite that a trial is of.
    pub fn suite(&self, trial: Trial) -> &Suite {
        &self.suites[trial.suite as usize]
    }

    /// The case that a trial is of.
    pub fn case(&self, trial: Trial) -> &Case {
        &self.suite(trial).cases[trial.case as usize]
    }

    /// The variant that a trial asks.
    pub fn variant(&self, trial: Trial) -> &Variant {
        &self.case(trial).variants[trial.variant as usize]
    }

    /// The way in which a trial's answer is drawn.
    pub fn drawn(&self, trial: Trial) -> &Drawn {
        &self.case(trial).drawn[trial.drawn as usize]
    }

    /// SHA-256 of how a trial's answer is produced and judged, beside the prompt.
    pub fn digest(&self, trial: Trial) -> String {
        self.case(trial).digest(self.variant(trial), self.drawn(trial))
    }

    /// How a trial chooses tokens: each repeat has a seed of its own.
    pub fn sampling(&self, trial: Trial) -> Sampling {
        let sampling = &self.drawn(trial).sampling;
        Sampling { seed: sampling.seed.wrapping_add(u64::from(trial.repeat) - 1), ..sampling.clone() }
    }

    /// The name without the model: what one golden entry is called, below its suite.
    pub fn entry(&self, trial: Trial) -> String {
        let case = self.case(trial);
        let mut name = case.id.clone();
        let label = &self.variant(trial).label;
        // Writing to a String cannot fail.
        if !label.is_empty() {
            let _ = write!(name, "[{label}]");
        }
        let drawn = self.drawn(trial);
        name += &drawn.label;
        if drawn.repeats > 1 {
            let _ = write!(name, "#{}", trial.repeat);
        }
        name
    }

    /// The name: `category/topic/case[k=v,…]@t0.7@p0.9@s3#2::model`, each part only where it is used.
    pub fn name(&self, trial: Trial) -> String {
        format!("{}/{}::{}", self.suite(trial).name, self.entry(trial), self.model(trial).name)
    }

    /// Whether each model is asked by a grader of one of these trials.
    pub(crate) fn asked_by_graders(&self, trials: &[usize]) -> Vec<bool> {
        let mut asked = vec![false; self.models.models.len()];
        for index in trials {
            for name in self.variant(self.trials[*index]).rubric.models() {
                if let Some(position) = self.models.models.iter().position(|it| it.name == name) {
                    asked[position] = true;
                }
            }
        }
        asked
    }

    /// The trials of one suite that one model is asked, in order.
    pub fn trials_of(&self, model: u32, suite: u32) -> Vec<Trial> {
        let mut trials = Vec::new();
        for (case, it) in self.suites[suite as usize].cases.iter().enumerate() {
            if it.models.as_ref().is_some_and(|only| !only.contains(&(model as usize))) {
                continue;
            }
            for variant in 0..it.variants.len() {
                for (drawn, way) in it.drawn.iter().enumerate() {
                    let (case, variant, drawn) = (index(case), index(variant), index(drawn));
                    let repeats = 1..=way.repeats;
                    trials.extend(repeats.map(|repeat| Trial { model, suite, case, variant, drawn, repeat }));
                }
            }
        }
        trials
    }

    /// What a model's golden entries of a suite are called, in order.
    pub fn entries_of(&self, model: u32, suite: u32) -> Vec<String> {
        self.trials_of(model, suite).into_iter().map(|it| self.entry(it)).collect()
    }
}
