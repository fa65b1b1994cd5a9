//! The interval and the verdict are held to their word where the truth is known.
//!
//! Few runs, so that it takes seconds: what is allowed is three standard errors of so many runs beside what is
//! promised. `cargo run --release -p eval --example simulate` makes the runs of docs/statistics.md.

#[expect(dead_code, reason = "the example prints more of it")]
mod simulation;

use eval::stats::Range;
use rstest::rstest;
use simulation::{APART, Design, EQUAL, Effect, Found, SCORES, Truths, WORSE, designs};

/// Runs of each design.
const RUNS: usize = 120;

/// Three standard errors of a share of all runs.
fn chance(share: f64) -> f64 {
    3.0 * (share * (1.0 - share) / RUNS as f64).sqrt()
}

/// With and without effects of clusters; that of values that are all alike is left to the example.
#[rstest]
#[case::no_difference(Range::DIFFERENCE, EQUAL, true, false)]
#[case::losses_of_the_margin(Range::DIFFERENCE, WORSE, false, true)]
#[case::topics_that_differ(Range::DIFFERENCE, APART, false, false)]
#[case::scores(Range::SCORE, SCORES, false, false)]
fn interval_and_verdict_keep_their_word(
    #[case] range: Range,
    #[case] truths: &Truths,
    #[case] equal: bool,
    #[case] worse: bool,
) {
    let mut wrong = Vec::new();
    for (name, truth) in truths {
        for design in designs(range, *truth).into_iter().filter(|it| it.effect != Effect::Whole) {
            let found = design.simulate(RUNS, 20_261_126);
            let keeps = found.covered >= 0.94 - chance(0.94)
                && !(equal && found.regressed > 0.025 + chance(0.025))
                && !(worse && found.not_worse > 0.025 + chance(0.025));
            if !keeps {
                let Design { clusters, strata, effect, .. } = design;
                wrong.push(format!(
                    "{name}, {clusters} clusters, {strata} topics, effect {effect:?}: {found:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the simulations are for: the interval that is used everywhere else fails them.
#[test]
fn student_alone_would_not_do() {
    let mut designs = designs(Range::DIFFERENCE, WORSE[0].1);
    designs.retain(|it| it.clusters == 5);
    let found: Vec<Found> = designs.iter().map(|it| it.simulate(RUNS, 20_261_126)).collect();
    assert!(found.iter().all(|it| it.plain[2] > 0.2 && it.not_worse <= 0.025), "{found:?}");
}
