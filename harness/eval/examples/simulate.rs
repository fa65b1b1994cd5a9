//! The table of docs/statistics.md: `cargo run --release -p eval --example simulate -- 5000`.
#![expect(clippy::print_stdout, reason = "it prints a table")]

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use eval::stats::Range;
use simulation::{APART, BAD, Design, EQUAL, Effect, Found, SCORES, Truths, WORSE, designs};

fn main() {
    let runs = std::env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(1_000u32);
    println!(
        "{runs} runs of each line; in brackets Student's t with CR2 alone. Standard error of a share near 0.95 or 0.025: {:.4}, {:.4}.",
        (0.95f64 * 0.05 / f64::from(runs)).sqrt(),
        (0.025f64 * 0.975 / f64::from(runs)).sqrt()
    );
    println!();
    println!("| truth | clusters | topics | effect | covered | regressed | not worse | width |");
    println!("|---|---|---|---|---|---|---|---|");
    for (range, truths) in [
        (Range::DIFFERENCE, EQUAL),
        (Range::DIFFERENCE, WORSE),
        (Range::DIFFERENCE, BAD),
        (Range::DIFFERENCE, APART),
        (Range::SCORE, SCORES),
    ] {
        lines(range, truths, runs as usize);
    }
}

fn lines(range: Range, truths: &Truths, runs: usize) {
    for (name, truth) in truths {
        for design in designs(range, *truth) {
            let Design { clusters, strata, effect, .. } = design;
            let Found { covered, regressed, not_worse, plain, width } = design.simulate(runs, 20_261_126);
            let effect = match effect {
                Effect::None => "none",
                Effect::Half => "half",
                Effect::Whole => "whole",
            };
            let verdict = |share: f64, alone: f64| {
                if range == Range::SCORE { "–".to_owned() } else { format!("{share:.3} ({alone:.3})") }
            };
            println!(
                "| {name} | {clusters} | {strata} | {effect} | {covered:.3} ({:.3}) | {} | {} | {:.3} ({:.3}) |",
                plain[0],
                verdict(regressed, plain[1]),
                verdict(not_worse, plain[2]),
                width[0],
                width[1]
            );
        }
    }
}
