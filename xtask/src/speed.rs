//! `cargo xtask speed`: how fast a checkpoint is computed, whether it has a tokenizer or not.

use std::path::PathBuf;
use std::time::Duration;

use engine::Device;

#[derive(clap::Args)]
pub(crate) struct Speed {
    /// A folder with config.json and safetensors, or a GGUF file
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Sequences that are computed together
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    batch: Vec<usize>,
    /// Tokens of each prompt
    #[arg(long, default_value_t = 128)]
    prompt: usize,
    /// Tokens that are added to each sequence, after as many to warm up
    #[arg(long, default_value_t = 128)]
    steps: usize,
}

/// Measures each path.
pub(crate) fn run(arguments: &Speed) -> Result<(), String> {
    let device = Device::choose()?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let Speed { prompt, steps, .. } = *arguments;
    for path in &arguments.paths {
        let speed = engine::speed::Speed::open(path, device, threads)?;
        let bandwidth = speed.bandwidth()?;
        let ceiling = bandwidth.map_or_else(String::new, |it| format!(", {:.2} TB/s read", it / 1e12));
        println!("{} on {}{ceiling}", path.display(), speed.device());
        println!("  batch  prefill ms  tokens/s  decode ms  tokens/s  GB a step  of the memory's speed");
        for &batch in &arguments.batch {
            speed.run(batch, prompt, steps)?;
            let run = speed.run(batch, prompt, steps)?;
            let (prefill, step) = (run.prefill.as_secs_f64(), median(run.steps).as_secs_f64());
            let bytes = speed.step_bytes(batch, prompt + steps / 2) as f64;
            let share =
                bandwidth.map_or_else(|| "–".to_owned(), |it| format!("{:.0} %", 100.0 * bytes / it / step));
            println!(
                "  {batch:>5}  {:>10.2}  {:>8.0}  {:>9.3}  {:>8.0}  {:>9.3}  {share:>21}",
                1e3 * prefill,
                (batch * prompt) as f64 / prefill,
                1e3 * step,
                batch as f64 / step,
                bytes / 1e9,
            );
        }
    }
    Ok(())
}

/// The middle one, the later of two.
fn median(mut steps: Vec<Duration>) -> Duration {
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or_default()
}
