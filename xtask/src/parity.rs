//! `cargo xtask parity`: a checkpoint's logits beside those of a trusted implementation.

use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Parity {
    /// Folders with config.json, model.safetensors or shards, and reference.safetensors
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// The largest difference of two logits that is accepted
    #[arg(long, default_value_t = 1e-4)]
    tolerance: f32,
}

/// Compares each folder; fails if one cannot be read or differs, after all were looked at.
pub(crate) fn run(arguments: &Parity) -> ExitCode {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut differs = false;
    for folder in &arguments.folders {
        println!("{}", folder.display());
        let differences = engine::parity::Parity::open(folder, None, threads).and_then(|it| it.differences());
        let differences = match differences {
            Ok(it) => it,
            Err(reason) => {
                eprintln!("error: {reason}");
                differs = true;
                continue;
            }
        };
        for (prompt, it) in differences.iter().enumerate() {
            let within = it.largest <= arguments.tolerance && it.token.is_none();
            differs |= !within;
            let token = it.token.map_or_else(
                || "all greedy tokens are equal".to_owned(),
                |token| format!("greedy token {token} is the first that differs"),
            );
            let verdict = if within { "ok" } else { "OUT OF TOLERANCE" };
            println!("  prompt {prompt}: largest difference {:.2e}, {token}: {verdict}", it.largest);
        }
    }
    if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
