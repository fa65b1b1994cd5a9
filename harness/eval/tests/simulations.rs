//! The interval and the verdict are held to their word where the truth is known.
//!
//! Few runs, so that it takes seconds: what is allowed is three standard errors of so many runs beside what is
//! promised. `cargo run --release -p eval --example simulate` makes the runs of docs/statistics.md.

#[expect(dead_code, reason = "the example prints more of it")]
mod simulation;

use eval::stats::Range;
use rstest::rstest;
use simulation::{APART, Design, EQUAL, Found, SCORES, Truths, WORSE, designs};

/// Runs of each design.
const RUNS: usize = 200;

/// Three standard errors of a share of all runs.
fn chance(share: f64) -> f64 {
    3.0 * (share * (1.0 - share) / RUNS as f64).sqrt()
}

#[track_caller]
fn each(range: Range, truths: &Truths, check: impl Fn(&Found) -> bool) {
    let mut wrong = Vec::new();
    for (name, truth) in truths {
        for design in designs(range, *truth) {
            let found = design.simulate(RUNS, 20_261_126);
            if !check(&found) {
                let Design { clusters, strata, effect, .. } = design;
                wrong.push(format!(
                    "{name}, {clusters} clusters, {strata} topics, effect {effect:?}: {found:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[rstest]
#[case::differences(Range::DIFFERENCE, EQUAL)]
#[case::losses(Range::DIFFERENCE, WORSE)]
#[case::topics(Range::DIFFERENCE, APART)]
#[case::scores(Range::SCORE, SCORES)]
fn intervals_cover_the_truth(#[case] range: Range, #[case] truths: &Truths) {
    each(range, truths, |it| it.covered >= 0.94 - chance(0.94));
}

#[test]
fn what_did_not_change_did_not_regress() {
    each(Range::DIFFERENCE, EQUAL, |it| it.regressed <= 0.025 + chance(0.025));
}

#[test]
fn what_lost_the_margin_is_not_told_to_be_no_worse() {
    each(Range::DIFFERENCE, WORSE, |it| it.not_worse <= 0.025 + chance(0.025));
}

/// What the simulations are for: the interval that is used everywhere else fails them.
#[test]
fn student_alone_would_not_do() {
    let found: Vec<Found> =
        designs(Range::DIFFERENCE, WORSE[0].1).iter().map(|it| it.simulate(RUNS, 1)).collect();
    assert!(found.iter().any(|it| it.plain[2] > 0.1), "{found:?}");
}
