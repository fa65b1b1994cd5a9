//! `cargo xtask bench-data`: the data of published benchmarks.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use eval::dataset::{self, Needed, Package};
use eval::weights::Cache;
use fetch::Data;

#[derive(Args)]
pub(crate) struct BenchData {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch what suites need: of these packages, suites or folders of suites, or of all. Suites with
    /// `on_request` must be named
    Fetch(Fetch),
}

#[derive(Args)]
struct Fetch {
    /// Packages, suites, or folders of suites
    names: Vec<String>,
    /// Use no network
    #[arg(long)]
    offline: bool,
    /// Fetch again what is there
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(arguments: &BenchData) -> anyhow::Result<ExitCode> {
    let Command::Fetch(arguments) = &arguments.command;
    let settings = super::settings()?;
    let needed = dataset::needed(&settings.cases);
    let within = |outer: &str, inner: &str| {
        inner.strip_prefix(outer.trim_end_matches('/')).is_some_and(|it| it.is_empty() || it.starts_with('/'))
    };
    let is_of = |it: &Needed, name: &str| {
        it.suite == name || it.on_request.is_none() && (it.package.name == name || within(name, &it.suite))
    };
    for name in &arguments.names {
        if !needed.iter().any(|it| is_of(it, name)) {
            let known: BTreeSet<&str> = needed.iter().map(|it| it.package.name.as_str()).collect();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            bail!(
                "no suite below {} is `{name}` or needs such a package; known packages: {known}",
                settings.cases.display()
            );
        }
    }
    let mut packages: Vec<(&Package, BTreeSet<String>)> = Vec::new();
    let chosen = |it: &&Needed| {
        arguments.names.is_empty() && it.on_request.is_none()
            || arguments.names.iter().any(|name| is_of(it, name))
    };
    for Needed { suite, package, files, .. } in needed.iter().filter(chosen) {
        match packages.iter_mut().find(|(other, _)| other.name == package.name) {
            Some((other, _)) if *other != package => {
                bail!("{suite} pins {} otherwise than another suite does", package.name)
            }
            Some((_, all)) => all.extend(files.iter().cloned()),
            None => packages.push((package, files.iter().cloned().collect())),
        }
    }
    let mut options = fetch::Options::from_env();
    options.offline = arguments.offline || settings.offline;
    options.force = arguments.force;
    let progress = fetch::bars();
    let cache = Cache::from_env();
    let results: Vec<_> = packages
        .iter()
        .map(|(package, files)| (package, fetch::fetch_data(package, files, &cache, &options, &*progress)))
        .collect();
    drop(progress);
    let mut code = ExitCode::SUCCESS;
    for (Package { name, version, .. }, result) in results {
        match result {
            Ok(Data::Already) => eprintln!("{name} {version}: is there"),
            Ok(Data::Fetched { files, bytes }) => {
                let files = eval::count::counted(files, "file");
                eprintln!("{name} {version}: {files}, {}", eval::weights::bytes(bytes));
            }
            Err(error) => {
                eprintln!("{error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
