//! What a suite of a data set asks, a line of JSON for each document: its id, its prompt and the continuations that are scored.
//! `cargo run -p eval --example requests -- published/hellaswag`, at the root of the repository.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints what is asked")]

use std::path::Path;
use std::process::ExitCode;

use eval::case;
use eval::dataset::Selection;
use eval::model::Models;
use serde_json::json;

fn main() -> ExitCode {
    let suites: Vec<String> = std::env::args().skip(1).collect();
    let models = match Models::load(Path::new("models.yaml")) {
        Ok(models) => models,
        Err(mistakes) => {
            for mistake in mistakes {
                println!("{mistake}");
            }
            return ExitCode::FAILURE;
        }
    };
    let selection = Selection { suites, ..Selection::default() };
    let loaded = case::load_selected(Path::new("cases"), &models, &selection);
    for suite in loaded.suites.iter().filter(|it| selection.suites.contains(&it.name)) {
        for case in &suite.cases {
            for variant in &case.variants {
                let prompt: Vec<&str> = variant.messages.iter().map(|it| it.content.as_str()).collect();
                let continuations = variant.rubric.continuations();
                println!("{}", json!({ "id": case.id, "prompt": prompt, "continuations": continuations }));
            }
        }
    }
    for wrong in
        loaded.wrong.iter().filter(|it| selection.suites.iter().any(|suite| it.name.starts_with(suite)))
    {
        eprintln!("{}: {}", wrong.name, wrong.mistake);
    }
    for (name, reason) in &loaded.missing {
        eprintln!("{name}: {reason}");
    }
    ExitCode::SUCCESS
}
