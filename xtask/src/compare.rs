//! `cargo xtask compare`: two sides on the same trials, as a table and an exit code.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use eval::model::Models;
use eval::report::compare::{self, By, Compared, Side};
use eval::settings::Settings;
use eval::store::{RunRow, Store};

/// Compare two runs or models on the same trials.
#[derive(clap::Args)]
pub(crate) struct Compare {
    /// The old side: RUN, MODEL, RUN:MODEL, or a report written with `--format json`
    old: String,
    /// The new side
    new: String,
    /// What the table is broken down by
    #[arg(long, value_enum, default_value_t = Breakdown::Category)]
    by: Breakdown,
    /// Write JSON
    #[arg(long)]
    json: bool,
    /// What may be lost, from 0 to 1; as models.yaml says unless given
    #[arg(long)]
    margin: Option<f64>,
}

pub(crate) const HELP: &str = "\
A side is a RUN of the store by its number, with all of its models; a MODEL by its name, in the newest whole run that \
asked it, else the newest; RUN:MODEL; or the path of a report that `cargo xtask report --format json` wrote. Two runs are compared model \
by model; two single models with each other, whatever their names.

Exit codes: 0 not worse, 1 or 2 could not run, 3 regressed, 4 cannot tell.";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Breakdown {
    Category,
    Topic,
    Cluster,
}

pub(crate) fn run(arguments: &Compare) -> anyhow::Result<ExitCode> {
    let settings = crate::settings()?;
    let margin = margin(arguments, &settings)?;
    let by = match arguments.by {
        Breakdown::Category => By::Category,
        Breakdown::Topic => By::Topic,
        Breakdown::Cluster => By::Cluster,
    };
    let old = sides(&arguments.old, &settings)?;
    let new = sides(&arguments.new, &settings)?;
    let mut compared = Vec::new();
    for (old, new) in matched(&old, &new)? {
        let none = || format!("{} and {} have no scored trial in common", old.name, new.name);
        compared.push(Compared::of(old, new, by, margin).with_context(none)?);
    }
    if arguments.json {
        print!("{}", compare::json(&compared));
    } else {
        for it in &compared {
            print!("{}", it.text());
        }
    }
    Ok(ExitCode::from(compare::exit_code(&compared)))
}

fn margin(arguments: &Compare, settings: &Settings) -> anyhow::Result<f64> {
    match arguments.margin {
        Some(margin) if margin > 0.0 && margin < 1.0 => Ok(margin),
        Some(margin) => bail!("a margin lies between 0 and 1, and {margin} does not: five points are 0.05"),
        None => {
            let models: Models = crate::load_models(settings)?;
            Ok(models.margin)
        }
    }
}

/// The models that an argument means.
fn sides(word: &str, settings: &Settings) -> anyhow::Result<Vec<Side>> {
    if Path::new(word).is_file() {
        let text = std::fs::read_to_string(word).with_context(|| format!("{word} cannot be read"))?;
        let sides = Side::of_json(word, &text).map_err(anyhow::Error::msg)?;
        if sides.is_empty() {
            bail!("{word} has no trial");
        }
        return Ok(sides);
    }
    if Path::new(word).extension().is_some_and(|it| it == "json") {
        bail!("there is no file {word}");
    }
    let store = Store::open_existing(&settings.store)?;
    let runs = store.runs()?;
    let number = |word: &str| word.parse::<i64>().ok();
    let found = |number: i64| {
        runs.iter().find(|it| it.id == number).with_context(|| {
            let known: Vec<String> = runs.iter().take(10).map(|it| it.id.to_string()).collect();
            format!("there is no run {number}; the newest are {}", known.join(", "))
        })
    };
    let of_run = |run: &RunRow| Ok::<_, anyhow::Error>(Side::of_run(run.id, &store.trials(run.id)?));
    let of_model = |run: &RunRow, model: &str| {
        let sides = of_run(run)?;
        let asked = sides.iter().map(|it| it.model.clone()).collect::<Vec<_>>().join(", ");
        let side = sides.into_iter().find(|it| it.model == model);
        side.with_context(|| format!("run {} did not ask `{model}`; it asked {asked}", run.id))
    };
    if let Some(number) = number(word) {
        let sides = of_run(found(number)?)?;
        if sides.is_empty() {
            bail!("run {number} has no trial");
        }
        return Ok(sides);
    }
    if let Some((run, model)) = word.split_once(':')
        && let Some(number) = number(run)
    {
        return Ok(vec![of_model(found(number)?, model)?]);
    }
    // The newest whole run that asked it, else the newest that did.
    let mut newest: Vec<&RunRow> = runs.iter().collect();
    newest.sort_by_key(|it| (it.ended_at.is_some() && !it.begun.partial, it.id));
    for run in newest.into_iter().rev() {
        if store.models(run.id)?.iter().any(|it| it.name == word && it.planned > 0 && it.skipped.is_none())
            && let Ok(side) = of_model(run, word)
        {
            if run.begun.partial || run.ended_at.is_none() {
                let why = if run.begun.partial { "a filter left trials out" } else { "it did not end" };
                eprintln!("note: no whole run asked `{word}`; taken is run {}, a part: {why}", run.id);
            }
            return Ok(vec![side]);
        }
    }
    bail!("`{word}` is no file, no number of a run, and no model that a stored run asked")
}

/// Which model is compared with which.
fn matched<'a>(old: &'a [Side], new: &'a [Side]) -> anyhow::Result<Vec<(&'a Side, &'a Side)>> {
    if let ([old], [new]) = (old, new) {
        return Ok(vec![(old, new)]);
    }
    let same = |it: &'a Side| Some((it, new.iter().find(|other| other.model == it.model)?));
    let matched: Vec<_> = old.iter().filter_map(same).collect();
    for side in old.iter().chain(new) {
        if !matched.iter().any(|(one, other)| one.model == side.model || other.model == side.model) {
            eprintln!("{}: not compared, it is on one side only", side.name);
        }
    }
    if matched.is_empty() {
        bail!("the two sides have no model in common: name one of each as RUN:MODEL");
    }
    Ok(matched)
}
