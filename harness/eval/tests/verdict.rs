//! The verdict of a model beside its goldens, as a harness asks for it: after the trials, on one thread or on many.
#![expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests leaves out the functions that they share"
)]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use eval::backend::Backend;
use eval::gate::Gate;
use eval::grade::Nowhere;
use eval::lock::Lock;
use eval::model::Models;
use eval::scripted::Scripted;
use eval::session::{Options, Session, Summary, Told};
use eval::store::{NewRun, Store};
use eval::weights::Cache;
use eval::{availability, bless, case, trial};
use rstest::rstest;

/// A folder with one model and so many cases, whose right answer is 42.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(cases: usize) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let mut text = "version: 1\ncases:\n".to_owned();
        for it in 0..cases {
            writeln!(text, "  - {{ id: c{it}, prompt: 'Question {it}', grade: {{ number: 42 }} }}").unwrap();
        }
        place.write("cases/maths/sums.yaml", &text);
        place.write(
            "models.yaml",
            "version: 1\nmodels:\n  tiny: { backend: scripted, family: none, class: small, sources: [{ file: script.yaml }] }\n",
        );
        place
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Asks the first of the cases on some threads, then for the verdict; the model answers so.
    fn run(&self, answer: &str, asked: usize, threads: usize, gate: Gate) -> (Told, Summary) {
        self.write("script.yaml", &format!("version: 1\notherwise: '{answer}'\n"));
        let models = Models::load(&self.path().join("models.yaml")).unwrap();
        let plan = trial::expand(models.clone(), case::load(&self.path().join("cases"), &models).suites);
        let partial = asked < plan.trials.len();
        let chosen: Vec<usize> = (0..asked.min(plan.trials.len())).collect();
        let available =
            availability::look(&plan.models, &Lock::default(), &Cache::at(self.path()), &|_, _| Ok(()));
        let run = NewRun {
            planned: 0,
            partial,
            concurrency: threads,
            machine: "{}".to_owned(),
            versions: "{}".to_owned(),
            options: "{}".to_owned(),
            git_commit: None,
        };
        let golden = self.path().join("golden");
        let options =
            Options { gate, golden, partial, resume: false, propose: false, mistaken: HashSet::new(), run };
        let store = Store::open(&self.path().join("runs.db")).unwrap();
        let open = |_: &eval::model::Model, weights: &eval::weights::Weights| {
            let scripted = Scripted::load(&weights.path).map_err(|it| it.to_string())?;
            Ok(Arc::new(scripted) as Arc<dyn Backend>)
        };
        let begun =
            Session::begin(plan, &chosen, available, options, store, Box::new(open), Box::new(Nowhere));
        let session = begun.unwrap().0;
        // As a harness takes its tests: each thread the next one, the verdict the last.
        let next = AtomicUsize::new(0);
        let told = std::thread::scope(|scope| {
            let work = || {
                loop {
                    match next.fetch_add(1, Ordering::SeqCst) {
                        it if it < chosen.len() => drop(session.run(chosen[it])),
                        it if it == chosen.len() => return Some(session.verdict(0)),
                        _ => return None,
                    }
                }
            };
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().find_map(|it| it.join().unwrap())
        });
        (told.unwrap(), session.finish())
    }

    /// Accepts the newest run.
    fn accept(&self) {
        let models = Models::load(&self.path().join("models.yaml")).unwrap();
        let plan = trial::expand(models.clone(), case::load(&self.path().join("cases"), &models).suites);
        let store = Store::open(&self.path().join("runs.db")).unwrap();
        let trials = store.trials(store.runs().unwrap()[0].id).unwrap();
        bless::bless(&plan, &self.path().join("golden"), &trials, &[]).unwrap();
    }
}

#[track_caller]
fn failed(told: &Told, texts: &[&str]) {
    let Told::Failed(story) = told else { panic!("{told:?}") };
    for text in texts {
        assert!(story.contains(text), "{text}: {story}");
    }
}

#[rstest]
#[case::alone(1)]
#[case::two(2)]
#[case::many(64)]
fn the_same_answers_are_not_worse(#[case] threads: usize) {
    let place = Place::new(80);
    place.run("42", 80, threads, Gate::Golden);
    place.accept();
    let (told, summary) = place.run("42", 80, threads, Gate::Golden);
    assert_eq!(told, Told::Passed);
    let line = summary.lines.iter().find(|it| it.contains("verdict")).unwrap();
    assert!(line.contains("not worse within 5.00 points: difference 0.000"), "{line}");
}

#[test]
fn wrong_answers_have_regressed() {
    let place = Place::new(20);
    place.run("42", 20, 8, Gate::Golden);
    place.accept();
    let (told, _) = place.run("43", 20, 8, Gate::Golden);
    failed(
        &told,
        &["regressed: difference −1.000", "over 20 trials of 20 clusters", "maths", "rerun: cargo test"],
    );
}

#[test]
fn few_cases_cannot_tell() {
    let place = Place::new(20);
    place.run("42", 20, 8, Gate::Golden);
    place.accept();
    let (told, summary) = place.run("42", 20, 8, Gate::Golden);
    assert_eq!(told, Told::Passed);
    assert!(
        summary
            .lines
            .iter()
            .any(|it| it.starts_with("  warning: verdict: cannot tell") && it.contains("72 clusters")),
        "{:?}",
        summary.lines
    );
    let (told, _) = place.run("42", 20, 8, Gate::Strict);
    failed(&told, &["cannot tell", "PROOFMARK_GATE=strict"]);
}

#[test]
fn a_filter_is_said() {
    let place = Place::new(20);
    place.run("42", 20, 8, Gate::Golden);
    place.accept();
    let (told, _) = place.run("43", 12, 8, Gate::Golden);
    failed(&told, &["over 12 trials", "over the asked trials alone: a filter left 8 out"]);
    let (told, _) = place.run("43", 0, 8, Gate::Golden);
    assert_eq!(told, Told::Ignored("none of its trials was asked: a filter left them out".to_owned()));
}

#[test]
fn without_goldens_there_is_no_verdict() {
    let place = Place::new(3);
    let (told, summary) = place.run("42", 3, 2, Gate::Golden);
    let Told::Ignored(reason) = told else { panic!("{told:?}") };
    assert!(reason.starts_with("no golden to compare with"), "{reason}");
    assert!(!summary.lines.iter().any(|it| it.contains("verdict")), "{:?}", summary.lines);
    place.accept();
    let (told, _) = place.run("43", 3, 2, Gate::Absolute);
    assert!(matches!(told, Told::Ignored(_)), "{told:?}");
}
