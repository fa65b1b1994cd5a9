//! `cargo test --test quality`: one test for each model and case, gated against `golden/`, and one verdict a model.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use eval::availability;
use eval::backend::Backend;
use eval::case::{self, Loaded, WrongCase};
use eval::dataset::Selection;
use eval::diagnostic::Mistake;
use eval::grade::Contained;
use eval::lock::Lock;
use eval::machine::Machine;
use eval::model::{BackendKind, Model, Models};
use eval::scripted::Scripted;
use eval::session::{Availability, Options, Session, Told};
use eval::settings::Settings;
use eval::store::{NewRun, Store};
use eval::trial::{self, Plan, Trial};
use eval::weights::{Cache, Weights};
use libtest_mimic::{Arguments, Completion, Failed};

/// Threads are the clients of one engine, which answers many at once.
const THREADS: usize = 64;

fn main() -> ExitCode {
    sandbox::child();
    let mut arguments = Arguments::from_args();
    let threads = *arguments.test_threads.get_or_insert(THREADS);
    let settings = match Settings::from_env() {
        Ok(settings) => settings,
        Err(message) => return refuse(&message),
    };
    let (models, lock) = match Models::load(&settings.models).and_then(|models| {
        Ok((models, Lock::load(&Lock::path_of(&settings.models)).map_err(|it| vec![*it])?))
    }) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            let tests = mistakes.iter().map(|it| failing("models.yaml".to_owned(), rendered(it)));
            return libtest_mimic::run(&Arguments { filter: None, ..arguments }, tests.collect()).exit_code();
        }
    };
    let cache = Cache::from_env();
    let selection = Selection {
        suites: settings.suites.clone(),
        filter: arguments.filter.clone(),
        cache: cache.clone(),
        seed: settings.seed,
    };
    let Loaded { suites, wrong, unasked, missing } =
        case::load_selected(&settings.cases, &models, &selection);
    let plan = trial::expand(models, suites);
    let available = availability::look(&plan.models, &lock, &cache, &supports);
    let absent = unasked.into_iter().chain(missing.iter().map(|it| it.0.clone())).collect();
    let quality = Quality {
        plan,
        available,
        arguments,
        tags: settings.tags.clone(),
        limit: settings.limit,
        missing,
        absent,
    };
    if quality.arguments.list {
        let tests = quality.tests(&Arc::new(OnceLock::new()), &wrong);
        return libtest_mimic::run(&quality.arguments, tests).exit_code();
    }
    quality.run(&settings, &wrong, threads)
}

struct Quality {
    plan: Plan,
    available: Vec<Availability>,
    arguments: Arguments,
    /// Only cases with one of these; all if there is none.
    tags: Vec<String>,
    /// Only the first so many documents of each data set.
    limit: Option<usize>,
    /// Suites whose data are not there, with what to do.
    missing: Vec<(String, String)>,
    /// Suites that are there, but not asked.
    absent: Vec<String>,
}

impl Quality {
    /// One test for each trial; a model that cannot run here is one test, unless the filter names it.
    fn tests(&self, session: &Arc<OnceLock<Session>>, wrong: &[WrongCase]) -> Vec<libtest_mimic::Trial> {
        let mut tests = Vec::with_capacity(self.plan.trials.len());
        let mut last = None;
        for (position, trial) in self.plan.trials.iter().enumerate().filter(|(_, it)| self.is_asked(**it)) {
            let model = self.plan.model(*trial);
            let first = last.replace(trial.model) != Some(trial.model);
            match &self.available[trial.model as usize] {
                Availability::Wrong(reason) if self.names(model) => {
                    tests.push(failing(self.plan.name(*trial), format!("{}: {reason}", model.name)));
                }
                Availability::Wrong(reason) if first => {
                    tests.push(failing(whole(model), format!("{}: {reason}", model.name)));
                }
                Availability::Skipped(reason) if self.names(model) => {
                    tests.push(ignored(self.plan.name(*trial), reason.clone()));
                }
                Availability::Skipped(reason) if first => tests.push(ignored(whole(model), reason.clone())),
                Availability::Wrong(_) | Availability::Skipped(_) => {}
                Availability::Ready(_) => {
                    let session = Arc::clone(session);
                    tests.push(libtest_mimic::Trial::ignorable_test(self.plan.name(*trial), move || {
                        told(session.get().expect("the session begins before its tests").run(position))
                    }));
                }
            }
        }
        tests.extend(wrong.iter().map(|it| failing(self.name_of_wrong(&it.name), rendered(&it.mistake))));
        tests.extend(
            self.missing
                .iter()
                .map(|(suite, reason)| ignored(format!("{suite}/every-document"), reason.clone())),
        );
        // Tests are taken in this order: when a verdict waits for its model's trials, others are at work on them.
        tests.extend(self.judged().map(|model| {
            let session = Arc::clone(session);
            libtest_mimic::Trial::ignorable_test(verdict(&self.plan.models.models[model]), move || {
                told(session.get().expect("the session begins before its tests").verdict(model))
            })
        }));
        tests
    }

    /// What the test of a wrong case or suite is called: its own name, or where the filter means a model's trials, as a
    /// trial of that model would be. So it fails there too, instead of being left out.
    fn name_of_wrong(&self, name: &str) -> String {
        let Some(filter) = &self.arguments.filter else { return name.to_owned() };
        let is_meant =
            |it: &str| if self.arguments.exact { it == filter } else { it.contains(filter.as_str()) };
        let of_models = self.plan.models.models.iter().map(|it| format!("{name}::{}", it.name));
        let mut names = std::iter::once(name.to_owned()).chain(of_models);
        names.find(|it| is_meant(it)).unwrap_or_else(|| name.to_owned())
    }

    /// The models, by position, that have a trial which can be run here.
    fn judged(&self) -> impl Iterator<Item = usize> {
        let has_trials = |model: &usize| {
            let mut trials = self.plan.trials.iter().filter(|it| it.model as usize == *model);
            trials.any(|it| self.is_asked(*it))
        };
        let ready = |model: &usize| matches!(self.available[*model], Availability::Ready(_));
        (0..self.plan.models.models.len()).filter(move |it| ready(it) && has_trials(it))
    }

    /// Whether the filter means trials of this very model.
    fn names(&self, model: &Model) -> bool {
        let filter = self.arguments.filter.as_deref().unwrap_or_default();
        filter.rsplit("::").next().is_some_and(|it| it == model.name)
            && filter != whole(model)
            && filter != verdict(model)
    }

    /// Whether the tags and the limit leave a trial.
    fn is_asked(&self, trial: Trial) -> bool {
        let beyond = self.limit.is_some_and(|it| self.plan.suite(trial).dataset && trial.case as usize >= it);
        if beyond {
            return false;
        }
        self.tags.is_empty() || self.plan.case(trial).tags.iter().any(|it| self.tags.contains(it))
    }

    /// The trials that the filter leaves, those of models that cannot run here included.
    fn chosen(&self) -> Vec<usize> {
        let arguments = &self.arguments;
        if arguments.filter.is_none()
            && arguments.skip.is_empty()
            && !arguments.ignored
            && self.tags.is_empty()
            && self.limit.is_none()
        {
            return (0..self.plan.trials.len()).collect();
        }
        let left = |name: String| !arguments.is_filtered_out(&ignored(name, String::new()));
        let chosen = |position: &usize| {
            let trial = self.plan.trials[*position];
            if !self.is_asked(trial) {
                return false;
            }
            match &self.available[trial.model as usize] {
                Availability::Ready(_) => !arguments.ignored && left(self.plan.name(trial)),
                _ if self.names(self.plan.model(trial)) => left(self.plan.name(trial)),
                _ => left(whole(self.plan.model(trial))),
            }
        };
        (0..self.plan.trials.len()).filter(chosen).collect()
    }

    fn run(self, settings: &Settings, wrong: &[WrongCase], threads: usize) -> ExitCode {
        let cell = Arc::new(OnceLock::new());
        let mut tests = self.tests(&cell, wrong);
        let chosen = self.chosen();
        let options = Options {
            gate: settings.gate,
            golden: settings.golden.clone(),
            partial: chosen.len() < self.plan.trials.len() || !settings.suites.is_empty(),
            resume: settings.resume,
            propose: std::env::var_os("CI").is_none(),
            mistaken: wrong.iter().map(|it| &it.name).chain(&self.absent).cloned().collect(),
            run: new_run(settings, threads),
        };
        let store = match Store::open(&settings.store) {
            Ok(store) => store,
            Err(error) => return refuse(&error.to_string()),
        };
        let begun = Session::begin(
            self.plan,
            &chosen,
            self.available,
            options,
            store,
            Box::new(open),
            Box::new(Contained),
        );
        let (session, notes, unreadable) = match begun {
            Ok(begun) => begun,
            Err(error) => return refuse(&error.to_string()),
        };
        for note in notes {
            say(&note);
        }
        let unreadable = unreadable.iter().map(|it| (format!("golden::{}", it.file()), rendered(it)));
        // A filter is about trials; what is wrong with their goldens is told all the same.
        let (hidden, told): (Vec<_>, Vec<_>) = unreadable
            .partition(|(name, _)| self.arguments.is_filtered_out(&failing(name.clone(), String::new())));
        tests.extend(told.into_iter().map(|(name, story)| failing(name, story)));
        let session = cell.get_or_init(|| session);
        let conclusion = libtest_mimic::run(&self.arguments, tests);
        let summary = session.finish();
        for line in &summary.lines {
            say(line);
        }
        for failure in summary.failures.iter().chain(hidden.iter().map(|(_, story)| story)) {
            say(&format!("error: {failure}"));
        }
        say(&format!(
            "run {} is in {}: `cargo xtask report` shows it",
            session.number(),
            settings.store.display()
        ));
        let well = summary.failures.is_empty() && hidden.is_empty();
        if well { conclusion.exit_code() } else { ExitCode::from(101) }
    }
}

/// The name of the one test that stands for all trials of a model that cannot run here.
fn whole(model: &Model) -> String {
    format!("every-case::{}", model.name)
}

/// The name of the last test of a model.
fn verdict(model: &Model) -> String {
    format!("verdict::{}", model.name)
}

fn told(told: Told) -> Result<Completion, Failed> {
    match told {
        Told::Passed => Ok(Completion::Completed),
        Told::Ignored(reason) => Ok(Completion::ignored_with(reason)),
        Told::Failed(story) => Err(Failed::from(story)),
    }
}

fn failing(name: String, story: String) -> libtest_mimic::Trial {
    libtest_mimic::Trial::test(name, || Err(Failed::from(story)))
}

fn ignored(name: String, reason: String) -> libtest_mimic::Trial {
    libtest_mimic::Trial::ignorable_test(name, || Ok(Completion::ignored_with(reason)))
}

fn rendered(mistake: &Mistake) -> String {
    let mut text = String::new();
    let theme = miette::GraphicalTheme::unicode_nocolor();
    miette::GraphicalReportHandler::new_themed(theme)
        .render_report(&mut text, mistake)
        .expect("writing to a String does not fail");
    text
}

fn supports(model: &Model, weights: &Weights) -> Result<(), String> {
    match model.backend {
        BackendKind::Scripted => Ok(()),
        BackendKind::Candle | BackendKind::Server => engine::supports(&weights.path),
    }
}

fn open(model: &Model, weights: &Weights) -> Result<Arc<dyn Backend>, String> {
    match model.backend {
        BackendKind::Scripted => match Scripted::load(&weights.path) {
            Ok(scripted) => Ok(Arc::new(scripted)),
            Err(mistake) => Err(rendered(&mistake)),
        },
        BackendKind::Candle => match engine::open(&weights.path, engine::Options::of(model)) {
            Ok(engine) => Ok(Arc::new(engine)),
            Err(error) => Err(error.to_string()),
        },
        BackendKind::Server => Err("its backend `server` is not part of this build".to_owned()),
    }
}

fn new_run(settings: &Settings, threads: usize) -> NewRun {
    let machine = serde_json::to_string(&Machine::look()).expect("a machine has only text keys");
    let versions = serde_json::json!({ "proofmark": env!("CARGO_PKG_VERSION") }).to_string();
    let options = serde_json::json!({
        "gate": format!("{:?}", settings.gate).to_lowercase(),
        "models": settings.models,
        "cases": settings.cases,
        "golden": settings.golden,
        "tags": settings.tags,
        "seed": settings.seed,
        "suites": settings.suites,
        "limit": settings.limit,
    });
    let git = std::process::Command::new("git")
        .arg("-C")
        .arg(&settings.cases)
        .args(["rev-parse", "HEAD"])
        .stderr(std::process::Stdio::null())
        .output();
    let commit = git.ok().filter(|it| it.status.success());
    NewRun {
        planned: 0,
        partial: false,
        concurrency: threads,
        machine,
        versions,
        options: options.to_string(),
        git_commit: commit.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned()),
    }
}

#[expect(clippy::print_stderr, reason = "a test harness speaks to its user")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// Nothing can be run.
fn refuse(message: &str) -> ExitCode {
    say(&format!("error: {message}"));
    ExitCode::from(101)
}
