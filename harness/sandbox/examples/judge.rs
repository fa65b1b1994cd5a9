//! Judges many candidates by tests that are code: a line in is
//! `{"name": …, "source": …, "entries": […], "given": …, "tests": …}`, a line out its name and verdict, as JSON.
//!
//!     cargo run --release -p sandbox --example judge < questions.jsonl
//!
//! `benches/peers/programs.py` asks it about `HumanEval` and MBPP.

use std::io::{self, BufRead as _, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use sandbox::judge::{Candidate, Task, TestCode};
use sandbox::{Language, Limits, Sandbox};
use serde::Deserialize;

#[derive(Deserialize)]
struct Question {
    name: String,
    source: String,
    entries: Vec<String>,
    given: String,
    tests: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    sandbox::child();
    let sandbox = Sandbox::open()?;
    let lines = Mutex::new(io::stdin().lock().lines().collect::<Result<Vec<_>, _>>()?.into_iter());
    let workers = std::thread::available_parallelism()?.get();
    let next = || lines.lock().ok()?.next();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(line) = next() {
                    let told =
                        judged(&sandbox, &line).unwrap_or_else(|error| format!("{{\"error\": {error:?}}}"));
                    // Whoever reads may have gone.
                    drop(writeln!(io::stdout(), "{told}"));
                }
            });
        }
    });
    Ok(())
}

fn judged(sandbox: &Sandbox, line: &str) -> Result<String, String> {
    let question: Question = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let limits = Limits { cpu: Duration::from_secs(10), wall: Duration::from_mins(1), ..Limits::default() };
    let candidate = Candidate { language: Language::Python, source: question.source, limits };
    let (entries, given, tests) = (question.entries, question.given, question.tests);
    let task = Task::Tests(TestCode { entries, given, tests, reference: None });
    let verdict = sandbox.judge(&candidate, &task).map_err(|error| error.to_string())?;
    Ok(serde_json::json!({ "name": question.name, "verdict": verdict }).to_string())
}
