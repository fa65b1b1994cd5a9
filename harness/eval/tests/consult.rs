//! A session whose graders ask other models.
#![expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests leaves out the functions that they share"
)]

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use eval::availability;
use eval::backend::{Backend, BackendError, Chunk, Finish, Message, Numerics, Prompt, Request};
use eval::case;
use eval::gate::Gate;
use eval::grade::{Found, Nowhere};
use eval::lock::Lock;
use eval::model::Models;
use eval::scripted::Scripted;
use eval::session::{Options, Session, Told};
use eval::store::{NewRun, Outcome, Store, TrialRow};
use eval::trial;
use eval::weights::Cache;

/// What happened to models, in order.
type Log = Arc<Mutex<Vec<String>>>;

/// A model that tells when it comes, is asked and goes.
struct Watched {
    name: String,
    scripted: Scripted,
    log: Log,
}

impl Watched {
    fn tell(&self, what: &str) {
        self.log.lock().unwrap().push(format!("{} {what}", self.name));
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.tell("goes");
    }
}

impl Backend for Watched {
    fn numerics(&self) -> &Numerics {
        self.scripted.numerics()
    }

    fn prompt(&self, messages: &[Message]) -> Result<Prompt, BackendError> {
        self.scripted.prompt(messages)
    }

    fn answer(&self, request: &Request, on_chunk: &mut dyn FnMut(Chunk<'_>)) -> Result<Finish, BackendError> {
        let what = match request {
            Request::Read(_) => "reads",
            Request::Generate(it) if it.messages[0].content.starts_with("You grade") => "judges",
            _ => "answers",
        };
        self.tell(what);
        self.scripted.answer(request, on_chunk)
    }
}

/// Runs all trials of a suite's cases with the models `small` and `big`, by as many threads; the rows, what tests
/// say, and what happened to the models.
fn run(cases: &str, resume: bool, folder: &Path) -> (Vec<TrialRow>, Vec<Told>, Vec<String>) {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "models.yaml",
        "version: 1\ndefaults: { backend: scripted, family: none, class: small }\nmodels:\n  small: { sources: [{ file: \
         small.yaml }] }\n  big: { sources: [{ file: big.yaml }] }\n  absent: { sources: [{ file: absent.yaml }] }\n",
    );
    write("small.yaml", "version: 1\notherwise: 'It is held too long.'\ndelay_ms: 2\n");
    write(
        "big.yaml",
        "version: 1\nanswers:\n  - { when: Weigh it, say: 'VERDICT: 4' }\n  - { when: held too long, say: \"It names the cause.\\nVERDICT: 5\" }\n  - { when: It is slow, \
         say: 'VERDICT: 1' }\notherwise: 'It is held too long.'\n",
    );
    write("cases/sums/small.yaml", &format!("version: 1\ncases:\n{cases}"));
    let models = Models::load(&folder.join("models.yaml")).unwrap();
    let loaded = case::load(&folder.join("cases"), &models);
    assert!(loaded.wrong.is_empty(), "{:?}", loaded.wrong);
    let plan = trial::expand(models, loaded.suites);
    let chosen: Vec<usize> = (0..plan.trials.len()).collect();
    let available = availability::look(&plan.models, &Lock::default(), &Cache::at(folder), &|_, _| Ok(()));
    let log: Log = Log::default();
    let opened = {
        let log = Arc::clone(&log);
        move |model: &eval::model::Model, weights: &eval::weights::Weights| {
            let scripted = Scripted::load(&weights.path).map_err(|it| it.to_string())?;
            let watched = Watched { name: model.name.clone(), scripted, log: Arc::clone(&log) };
            watched.tell("comes");
            Ok(Arc::new(watched) as Arc<dyn Backend>)
        }
    };
    let options = Options {
        gate: Gate::Golden,
        golden: folder.join("golden"),
        partial: false,
        resume,
        propose: false,
        mistaken: HashSet::new(),
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
    let store = Store::open(&folder.join("runs.db")).unwrap();
    let begun = Session::begin(plan, &chosen, available, options, store, Box::new(opened), Box::new(Nowhere));
    let session = begun.unwrap().0;
    let told = std::thread::scope(|scope| {
        let threads: Vec<_> = chosen.iter().map(|it| scope.spawn(|| session.run(*it))).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let number = session.number();
    session.finish();
    let rows = Store::open(&folder.join("runs.db")).unwrap().trials(number).unwrap();
    let log = log.lock().unwrap().clone();
    (rows, told, log)
}

const JUDGED: &str = "judge: { model: big, rubric: 5 names the cause., labelled: [{ answer: It is slow., label: 1 }, { answer: \
                      The lock is held too long., label: 5 }] }";

fn count(log: &[String], what: &str) -> usize {
    log.iter().filter(|it| *it == what).count()
}

/// The judge is a model under test, too: it comes once, and goes at the end.
#[test]
fn a_judge_is_opened_once() {
    let folder = tempfile::tempdir().unwrap();
    let case = |it: usize| format!("  - {{ id: c{it}, prompt: 'Why {it}?', grade: {{ {JUDGED} }} }}\n");
    let cases = (0..6).map(case).collect::<Vec<_>>().concat();
    let (rows, told, log) = run(&cases, false, folder.path());
    // The file of the third model is not there.
    assert_eq!(told.iter().filter(|it| **it == Told::Passed).count(), 12, "{told:?}");
    assert!(rows.iter().all(|it| it.found.len() == 3), "its verdict, and those on the labelled answers");
    for model in ["small", "big"] {
        assert_eq!(
            (count(&log, &format!("{model} comes")), count(&log, &format!("{model} goes"))),
            (1, 1),
            "{log:?}"
        );
        assert_eq!(count(&log, &format!("{model} answers")), 6, "{log:?}");
    }
    // Equal questions are asked once: both models answer alike.
    assert_eq!(count(&log, "big judges"), 3, "{log:?}");
    assert_eq!(log.last().unwrap(), "big goes");
    let Outcome::Scored(grade) = &rows[0].outcome else { panic!("{:?}", rows[0]) };
    assert!(
        grade.reason.contains("big says 5 of 1 to 5; on 2 labelled answers α = 1.00, κ = 1.00"),
        "{grade:?}"
    );
}

#[test]
fn a_judge_weighs_replies() {
    let folder = tempfile::tempdir().unwrap();
    let judged = JUDGED.replace("rubric: 5 names the cause.", "by: likelihood, rubric: Weigh it.");
    let cases =
        format!("  - {{ id: a, prompt: Why?, models: [small], threshold: 0.7, grade: {{ {judged} }} }}\n");
    let (rows, told, log) = run(&cases, false, folder.path());
    assert_eq!(told, [Told::Passed]);
    let Outcome::Scored(grade) = &rows[0].outcome else { panic!("{:?}", rows[0]) };
    assert!(grade.reason.contains("big says 4 of 1 to 5; on 2 labelled answers"), "{grade:?}");
    assert!(rows[0].found.iter().all(|it| matches!(it, Found::Weighed(all) if all.len() == 5)), "{rows:?}");
    assert_eq!(count(&log, "big judges"), 0, "it writes nothing: {log:?}");
}

/// Only a grader asks it.
#[test]
fn a_judge_need_not_be_asked_itself() {
    let folder = tempfile::tempdir().unwrap();
    let cases = format!("  - {{ id: a, prompt: Why?, models: [small], grade: {{ {JUDGED} }} }}\n");
    let (_, told, log) = run(&cases, false, folder.path());
    assert_eq!(told, [Told::Passed]);
    assert_eq!(
        log,
        [
            "small comes",
            "small answers",
            "big comes",
            "big judges",
            "big judges",
            "big judges",
            "small goes",
            "big goes"
        ]
    );
}

#[test]
fn a_judge_without_weights_skips_its_trials() {
    let folder = tempfile::tempdir().unwrap();
    let judged = JUDGED.replace("big", "absent");
    let cases = format!("  - {{ id: a, prompt: Why?, models: [small], grade: {{ {judged} }} }}\n");
    let (rows, told, _) = run(&cases, false, folder.path());
    assert!(matches!(&told[..], [Told::Ignored(reason)] if reason.contains("`absent`")), "{told:?}");
    assert!(matches!(rows[0].outcome, Outcome::Skipped(_)));
}

#[test]
fn a_verdict_that_cannot_be_read_is_unscored() {
    let folder = tempfile::tempdir().unwrap();
    let judged = JUDGED.replace("rubric: 5 names the cause.", "rubric: It is slow and held too long.");
    let judged = judged.replace("model: big", "model: small");
    let cases = format!("  - {{ id: a, prompt: Why?, models: [small], grade: {{ {judged} }} }}\n");
    let (rows, told, _) = run(&cases, false, folder.path());
    assert!(
        matches!(&rows[0].outcome, Outcome::Unscored(reason) if reason.contains("cannot be read")),
        "{rows:?}"
    );
    assert!(matches!(&told[..], [Told::Failed(_)]));
}

#[test]
fn a_text_is_read_and_an_answer_too() {
    let folder = tempfile::tempdir().unwrap();
    let cases = "  - { id: a, prompt: One two three., models: [small], grade: { perplexity: { at_most: 8.1 } } }\n  - { id: b, prompt: \
                 Why?, models: [small], grade: { coherence: { perplexity: { model: big, at_most: 4 } } } }\n";
    let (rows, told, log) = run(cases, false, folder.path());
    assert_eq!(told[0], Told::Passed, "{told:?}");
    let scores: Vec<f64> = rows
        .iter()
        .map(|it| match &it.outcome {
            Outcome::Scored(grade) => grade.score,
            other => panic!("{other:?}"),
        })
        .collect();
    // A script finds each word as likely as one of eight.
    assert!((scores[0] - 1.0).abs() < 1e-9 && (scores[1] - 0.5).abs() < 1e-9, "{scores:?}");
    assert_eq!((count(&log, "small reads"), count(&log, "big reads")), (1, 1));
    assert!(matches!(rows[1].found[..], [Found::Read(_)]));
}
