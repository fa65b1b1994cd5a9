//! After the last trial: everything accounted for, goldens that changed proposed.

use std::collections::HashSet;
use std::path::PathBuf;

use super::{Ledger, Session, Tally, lock};
use crate::count::counted;
use crate::golden::{self, Golden};
use crate::stats::Estimate;
use crate::store::ModelRow;

/// What is told after the last trial.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Lines for people.
    pub lines: Vec<String>,
    /// What went wrong beside the trials; the run failed if there is any.
    pub failures: Vec<String>,
}

impl Session {
    /// Ends the run: goldens that changed are proposed, and everything is accounted for.
    pub fn finish(&self) -> Summary {
        let mut summary = Summary::default();
        self.pool.close();
        let ledger = lock(&self.ledger);
        for (model, (row, tally)) in ledger.models.iter().zip(&ledger.tallies).enumerate() {
            let all = tally.scored.len() + tally.unscored + tally.errored + tally.skipped;
            if all != row.planned && self.store_broke.get().is_none() {
                summary.failures.push(format!(
                    "{}: {} planned, {all} accounted for",
                    row.name,
                    counted(row.planned, "trial")
                ));
            }
            if row.planned > 0 && row.skipped.is_none() {
                summary.lines.extend(self.lines_of(row, tally));
                summary.lines.extend(self.verdict_line(model, tally));
            }
        }
        let skipped: Vec<&ModelRow> =
            ledger.models.iter().filter(|it| it.skipped.is_some() && it.planned > 0).collect();
        if !skipped.is_empty() {
            let trials: usize = skipped.iter().map(|it| it.planned).sum();
            let (models, trials) = (counted(skipped.len(), "model"), counted(trials, "trial"));
            summary.lines.push(format!("{models} skipped, with {trials}"));
        }
        if ledger.served > 0 {
            summary.lines.push(format!(
                "{} came from the run that was taken up again",
                counted(ledger.served, "answer")
            ));
        }
        if let Some((error, _)) = self.store_broke.get() {
            summary.failures.push(error.clone());
        } else if let Err(error) = self.store.end(self.run) {
            summary.failures.push(error.to_string());
        }
        if self.options.propose {
            self.propose(&ledger, &mut summary);
        }
        self.report_orphans(&mut summary);
        if self.options.partial {
            summary.lines.push(
                "partial: a filter left trials out, so a verdict is over the asked trials alone".to_owned(),
            );
        }
        summary
    }

    fn lines_of(&self, row: &ModelRow, tally: &Tally) -> Vec<String> {
        let Tally { scored, unscored, errored, skipped, rulings, stale, .. } = tally;
        let mut lines = vec![format!(
            "{}: {} = {} scored + {unscored} unscored + {errored} errored + {skipped} skipped",
            row.name,
            counted(row.planned, "trial"),
            scored.len(),
        )];
        if let (Some(Estimate { mean, interval, n, clusters, .. }), false) =
            (tally.estimate(), self.options.partial)
        {
            lines.push(format!(
                "  mean score {mean:.3}, 95 % interval {:.3} to {:.3} (n = {n}, {})",
                interval.low,
                interval.high,
                counted(clusters, "cluster")
            ));
        }
        let order = ["same", "drifted", "better", "regressed", "undecided", "reached", "missed"];
        let mut parts: Vec<String> =
            order.iter().filter_map(|it| rulings.get(it).map(|count| format!("{count} {it}"))).collect();
        if *stale > 0 {
            parts.push(format!("{stale} with a stale golden"));
        }
        if !parts.is_empty() {
            lines.push(format!("  beside the goldens: {}", parts.join(", ")));
        }
        lines
    }

    fn propose(&self, ledger: &Ledger, summary: &mut Summary) {
        let mut proposed = 0;
        let mut keys: Vec<_> = ledger.entries.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            let (model, suite) = key;
            let model_name = &self.plan.models.models[model as usize].name;
            let suite_name = &self.plan.suites[suite as usize].name;
            let path = golden::path_of(&self.options.golden, suite_name, model_name);
            let new = path.with_extension("snap.new");
            let old = self.goldens.get(&key);
            if self.options.partial && self.unreadable.contains(&key) {
                // A part cannot replace what is there of the rest.
                continue;
            }
            // What an earlier run proposed of the trials that a filter left out still holds.
            let earlier = if self.options.partial { Golden::load(&new).ok().flatten() } else { None };
            let mut golden =
                earlier.or_else(|| old.cloned()).unwrap_or_else(|| Golden::new(suite_name, model_name));
            golden.merge(ledger.entries[&key].clone(), &self.kept(model, suite, &golden));
            if old == Some(&golden) {
                // What an earlier run proposed holds no more.
                drop(std::fs::remove_file(new));
                continue;
            }
            match golden.write(&new) {
                Ok(()) => proposed += 1,
                Err(error) => summary.failures.push(format!("{} cannot be written: {error}", new.display())),
            }
        }
        if proposed > 0 {
            summary.lines.push(format!(
                "{} would change: `cargo insta review` shows what, `cargo xtask bless` accepts all",
                counted(proposed, "golden")
            ));
        }
    }

    /// What the entries of a golden may be called, in order: those of its suite, then those of mistaken cases.
    fn kept(&self, model: u32, suite: u32, golden: &Golden) -> Vec<String> {
        let mut names = self.plan.entries_of(model, suite);
        let mistaken =
            golden.entries.iter().map(|it| &it.case).filter(|it| self.is_mistaken(&golden.suite, it));
        names.extend(mistaken.cloned());
        names
    }

    /// Whether an entry is of a case that is there, but mistaken.
    fn is_mistaken(&self, suite: &str, entry: &str) -> bool {
        let id = entry.split(['[', '@', '#']).next().unwrap_or(entry);
        self.options.mistaken.contains(suite) || self.options.mistaken.contains(&format!("{suite}/{id}"))
    }

    fn report_orphans(&self, summary: &mut Summary) {
        let known: HashSet<PathBuf> = self
            .plan
            .models
            .names()
            .flat_map(|model| {
                let mistaken = &self.options.mistaken;
                // A suite of nothing but mistaken cases is no part of the plan.
                let of_cases = mistaken.iter().filter_map(|it| Some(it.rsplit_once('/')?.0));
                let whole = self.plan.suites.iter().map(|it| &it.name).chain(mistaken).map(String::as_str);
                whole.chain(of_cases).map(move |suite| (model, suite))
            })
            .map(|(model, suite)| golden::path_of(&self.options.golden, suite, model))
            .collect();
        for orphan in golden::orphans(&self.options.golden, |it| known.contains(it)) {
            summary.lines.push(format!("{}: orphaned golden, its model or suite is gone", orphan.display()));
        }
        let mut goldens: Vec<_> = self.goldens.iter().collect();
        goldens.sort_unstable_by_key(|(key, _)| **key);
        for ((model, suite), golden) in goldens {
            let entries: HashSet<String> = self.kept(*model, *suite, golden).into_iter().collect();
            for entry in golden.entries.iter().filter(|it| !entries.contains(&it.case)) {
                summary.lines.push(format!(
                    "{}/{}::{}: orphaned golden entry, its case is gone",
                    golden.suite, entry.case, golden.model
                ));
            }
        }
    }
}
