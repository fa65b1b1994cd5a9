//! `cargo xtask parity`: a checkpoint's logits beside those of a trusted implementation.

use std::path::PathBuf;
use std::process::ExitCode;

use engine::Device;
use engine::parity::{Difference, Reading};

#[derive(clap::Args)]
pub(crate) struct Parity {
    /// Folders with config.json, model.safetensors or shards, and reference.safetensors
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// The largest difference of two logits that is accepted, 1e-4 unless given. On a GPU, which computes in 16 bits:
    /// the length of the difference as a part of the reference's length, 2e-2 unless given
    #[arg(long)]
    tolerance: Option<f32>,
}

/// Compares each folder; fails if one cannot be read or differs, after all were looked at.
pub(crate) fn run(arguments: &Parity) -> ExitCode {
    let device = match Device::choose() {
        Ok(device) => device,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let mut differs = false;
    for folder in &arguments.folders {
        println!("{}", folder.display());
        match compare(folder, device, arguments.tolerance) {
            Ok(same) => differs |= !same,
            Err(reason) => {
                eprintln!("error: {reason}");
                differs = true;
            }
        }
    }
    if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn compare(folder: &std::path::Path, device: Device, tolerance: Option<f32>) -> Result<bool, String> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let parity = engine::parity::Parity::open(folder, device, None, threads)?;
    let mut same = true;
    for (prompt, it) in parity.differences()?.iter().enumerate() {
        let Difference { largest, relative, token } = *it;
        let within = match device {
            Device::Cpu => largest <= tolerance.unwrap_or(1e-4) && token.is_none(),
            // Tokens that are nearly as likely may change places.
            Device::Cuda => relative <= tolerance.unwrap_or(2e-2),
        };
        same &= within;
        let token = token.map_or_else(
            || "all greedy tokens are equal".to_owned(),
            |token| format!("greedy token {token} is the first that differs"),
        );
        let verdict = if within { "ok" } else { "OUT OF TOLERANCE" };
        println!(
            "  prompt {prompt}: largest difference {largest:.2e}, relative {relative:.2e}, {token}: {verdict}"
        );
    }
    let bits = |reading| {
        let logits = parity.logits(reading)?.into_iter().flatten().map(f32::to_bits);
        Ok::<Vec<u32>, String>(logits.collect())
    };
    let whole = bits(Reading::Whole)?;
    for (reading, how) in [
        (Reading::Chunks(1), "token by token"),
        (Reading::Chunks(3), "by threes"),
        (Reading::Chunks(8), "by eights"),
        (Reading::Together, "all prompts in one batch"),
    ] {
        let found = bits(reading)?;
        let others = found.iter().zip(&whole).filter(|(a, b)| a != b).count();
        if others > 0 || found.len() != whole.len() {
            same = false;
            println!("  read {how}: {others} of {} logits are OTHER BITS", whole.len());
        }
    }
    Ok(same)
}
