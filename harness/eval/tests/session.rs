//! A session over several models, as many threads run it.
#![expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests leaves out the functions that they share"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use eval::availability;
use eval::backend::{Backend, BackendError, Chunk, Finish, Message, Numerics, Prompt, Request};
use eval::case;
use eval::gate::Gate;
use eval::grade::Nowhere;
use eval::lock::Lock;
use eval::model::Models;
use eval::scripted::Scripted;
use eval::session::{Options, Session, Told};
use eval::store::{NewRun, Store};
use eval::trial;
use eval::weights::Cache;

/// A model that knows how many are there at once.
struct Counted {
    scripted: Scripted,
    there: Arc<AtomicUsize>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.there.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Backend for Counted {
    fn numerics(&self) -> &Numerics {
        self.scripted.numerics()
    }

    fn prompt(&self, messages: &[Message]) -> Result<Prompt, BackendError> {
        self.scripted.prompt(messages)
    }

    fn answer(&self, request: &Request, on_chunk: &mut dyn FnMut(Chunk<'_>)) -> Result<Finish, BackendError> {
        self.scripted.answer(request, on_chunk)
    }
}

/// How models `m0`, `m1`, … of this number are asked two cases each by more threads than there are trials; `open` may
/// refuse a model by its name. Gives what each trial came to, and the most models that were there at once.
fn run(models: usize, open: fn(&str) -> Result<(), String>) -> (Vec<Told>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let entries = (0..models).map(|it| format!("  m{it}: {{}}\n")).collect::<Vec<_>>().concat();
    write(
        "models.yaml",
        &format!(
            "version: 1\ndefaults: {{ backend: scripted, family: none, class: small, sources: [{{ file: script.yaml }}] }}\n\
             models:\n{entries}"
        ),
    );
    write("script.yaml", "version: 1\notherwise: '42'\ndelay_ms: 2\n");
    write(
        "cases/sums/small.yaml",
        "version: 1\ncases:\n  - { id: a, prompt: What is 17 + 25?, grade: { number: 42 } }\n  - { id: b, prompt: What is \
         6 * 7?, grade: { number: 42 } }\n",
    );
    let models = Models::load(&folder.path().join("models.yaml")).unwrap();
    let plan = trial::expand(models.clone(), case::load(&folder.path().join("cases"), &models).suites);
    let chosen: Vec<usize> = (0..plan.trials.len()).collect();
    let available =
        availability::look(&plan.models, &Lock::default(), &Cache::at(folder.path()), &|_, _| Ok(()));
    let (there, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let opened = {
        let (there, most) = (Arc::clone(&there), Arc::clone(&most));
        move |model: &eval::model::Model, weights: &eval::weights::Weights| {
            open(&model.name)?;
            most.fetch_max(there.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let scripted = Scripted::load(&weights.path).map_err(|it| it.to_string())?;
            Ok(Arc::new(Counted { scripted, there: Arc::clone(&there) }) as Arc<dyn Backend>)
        }
    };
    let options = Options {
        gate: Gate::Golden,
        golden: folder.path().join("golden"),
        partial: false,
        resume: false,
        propose: false,
        mistaken: std::collections::HashSet::new(),
        run: NewRun {
            planned: 0,
            partial: false,
            concurrency: chosen.len(),
            machine: "{}".to_owned(),
            versions: "{}".to_owned(),
            options: "{}".to_owned(),
            git_commit: None,
        },
    };
    let store = Store::open(&folder.path().join("runs.db")).unwrap();
    let session =
        Session::begin(plan, &chosen, available, options, store, Box::new(opened), Box::new(Nowhere))
            .unwrap()
            .0;
    let told = std::thread::scope(|scope| {
        // Begun in the order of the plan, as a harness does.
        let threads: Vec<_> = chosen.iter().map(|it| scope.spawn(|| session.run(*it))).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let summary = session.finish();
    assert_eq!(summary.failures, [""; 0]);
    assert_eq!(there.load(Ordering::SeqCst), 0, "a model goes after its last trial");
    (told, most.load(Ordering::SeqCst))
}

/// With few trials each, threads wait for several models while one is still there.
#[test]
fn no_two_models_are_loaded_at_once() {
    for _ in 0..5 {
        let (told, most) = run(12, |_| Ok(()));
        assert_eq!(told, vec![Told::Passed; 24]);
        assert_eq!(most, 1);
    }
}

#[test]
fn a_model_that_cannot_be_opened_keeps_no_other_out() {
    let (told, most) = run(6, |name| match name {
        "m1" => Err("it ends in the middle".to_owned()),
        "m3" => panic!("a bug in reading it"),
        _ => Ok(()),
    });
    let passed = told.iter().filter(|it| **it == Told::Passed).count();
    assert_eq!((passed, most), (8, 1), "{told:?}");
    let says = |text: &str| {
        told.iter().filter(|it| matches!(it, Told::Failed(story) if story.contains(text))).count()
    };
    assert_eq!(says("errored: there is no answer"), 3, "{told:?}");
    assert_eq!(says("could not be loaded: see"), 1, "{told:?}");
    assert_eq!(says("a bug in reading it"), 2, "{told:?}");
}
