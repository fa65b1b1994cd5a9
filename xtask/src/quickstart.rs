//! `cargo xtask quickstart`: from nothing to a report.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use eval::model::Model;
use eval::store::Store;

/// From nothing to a report.
#[derive(clap::Args)]
pub(crate) struct Quickstart {
    /// Accept the terms of this name, such as `gemma`; repeatable
    #[arg(long, value_name = "TERMS")]
    accept_license: Vec<String>,
}

/// Where the page is written.
const PAGE: &str = ".proofmark/report.html";

pub(crate) fn run(arguments: &Quickstart) -> anyhow::Result<ExitCode> {
    let settings = crate::settings()?;
    let models = crate::load_models(&settings)?;
    let accepted: Vec<String> = settings.accepted.iter().chain(&arguments.accept_license).cloned().collect();
    let default = models.models.iter().filter(|it| it.tags.iter().any(|tag| tag == "default"));
    let (chosen, refused): (Vec<&Model>, Vec<&Model>) =
        default.partition(|it| it.terms.as_ref().is_none_or(|terms| accepted.contains(&terms.name)));
    if chosen.is_empty() {
        bail!("{} has no model with the tag `default`", settings.models.display());
    }

    eprintln!("1/4  fetching {}", names(&chosen));
    for model in &refused {
        if let Some(terms) = &model.terms {
            eprintln!(
                "     without {}: its terms are at {}; `cargo xtask quickstart --accept-license {}` accepts them",
                model.name, terms.url, terms.name
            );
        }
    }
    let options = fetch::Options { offline: settings.offline, accepted, ..fetch::Options::from_env() };
    let failed = crate::fetch_chosen(&settings, &chosen, &options);
    if failed.len() == chosen.len() {
        bail!("no model was fetched");
    }

    eprintln!("2/4  asking every case of every model that is there (cargo test --test quality)");
    let quality = cargo(&["test", "--test", "quality"], &[])?;

    eprintln!("3/4  measuring speed (cargo bench --bench generate, short)");
    // The test profile is optimised as far as models go: what is built for the tests serves here too.
    let bench =
        cargo(&["bench", "--bench", "generate", "--profile", "dev"], &[("PROOFMARK_BENCH", "short")])?;

    eprintln!("4/4  writing the report");
    let store = Store::open_existing(&settings.store)?;
    let (report, number) = crate::load_report(&store, None)?;
    crate::write_whole(Path::new(PAGE), &report.html())?;
    println!("{}", report.terminal());
    let page = std::path::absolute(PAGE).context("there is no working folder")?;
    println!("the report of run {number}: {}", page.display());
    if !quality {
        eprintln!("some tests failed: the list above says which, and how to run each again");
    }
    if !bench {
        eprintln!("the bench failed");
    }
    Ok(if quality && bench && failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn names(models: &[&Model]) -> String {
    models.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Runs cargo, and says whether it succeeded.
fn cargo(arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<bool> {
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .envs(variables.iter().copied())
        .status()
        .with_context(|| format!("`cargo {}` cannot be run", arguments.join(" ")))?;
    Ok(status.success())
}
