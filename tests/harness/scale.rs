//! A hundred thousand cases: what is listed, and what that takes.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use eval::response::timed;

use crate::place::Place;

/// A hundred suites of a thousand cases, and four models.
fn place() -> Place {
    let place = Place::new().write(
        "models.yaml",
        "
version: 1
defaults: { backend: scripted, family: none, class: small, sources: [{ file: tiny.yaml }] }
models: { one: {}, two: {}, three: {}, four: {} }
",
    );
    for suite in 0..100 {
        let mut text = "version: 1\ncases:\n".to_owned();
        for case in 0..1_000 {
            let _ = writeln!(
                text,
                "  - id: sum-{case}\n    prompt: |\n      A shelf holds {case} books, {suite} more are put on it.\n      \
                 How many books does it hold now?\n    grade:\n      number: {}\n    tags: [easy, sums]",
                case + suite
            );
        }
        place.put(&format!("cases/category-{}/topic-{suite}.yaml", suite % 4), text);
    }
    place
}

/// No time is asserted: machines differ. What was measured is printed.
#[test]
#[expect(clippy::print_stderr, reason = "a measurement is shown to whoever asks with --nocapture")]
fn a_hundred_thousand_cases_are_listed() {
    let place = place();
    let quality = place.command(&["--list"]);
    let measures = Path::new("/usr/bin/time").exists();
    let mut command = if measures {
        let mut command = Command::new("/usr/bin/time");
        command.args(["-o", "measured", "-f", "%M kB, %U s of CPU"]).arg(quality.get_program()).arg("--list");
        command.current_dir(place.path("")).env_clear().stdin(Stdio::null());
        command.envs(quality.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    } else {
        quality
    };
    let (output, time) = timed(|| command.output().expect("the harness can be started"));
    let memory = if measures { place.text("measured") } else { "unknown".to_owned() };
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {told} {memory}", output.status);
    let lines = String::from_utf8_lossy(&output.stdout).lines().count();
    // And a verdict for each model.
    assert_eq!(lines, 400_004);
    eprintln!(
        "100 000 cases x 4 models listed in {:.2} s, peak memory {}",
        time.as_secs_f64(),
        memory.trim()
    );
}
