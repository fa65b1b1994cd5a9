//! `cargo bench --bench pipeline`: the harness's own work, with canned answers, over 100 000 trials.
//!
//! `PROOFMARK_BENCH=short` measures 10 000.
#![expect(clippy::print_stderr, reason = "a bench speaks to its user")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};
use eval::availability;
use eval::backend::Backend;
use eval::case;
use eval::gate::Gate;
use eval::grade::Evidence;
use eval::lock::Lock;
use eval::machine;
use eval::model::Models;
use eval::report;
use eval::scripted::Scripted;
use eval::session::{Options, Session, Told};
use eval::store::{NewRun, Store};
use eval::trial::{self, Plan};
use eval::weights::{Cache, bytes};

/// Cases of one file.
const SUITE: usize = 1_000;

/// Threads that ask.
const CLIENTS: usize = 64;

fn main() {
    let short = std::env::var("PROOFMARK_BENCH").is_ok_and(|it| it == "short");
    let trials = if short { 10_000 } else { 100_000 };
    let folder = tempfile::tempdir().expect("there is room for a temporary folder");
    write_cases(folder.path(), trials);
    let mut criterion = Criterion::default()
        .configure_from_args()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_secs(1));
    let mut group = criterion.benchmark_group(format!("pipeline/{trials}"));
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(trials as u64));
    machine::reset_peak_memory();
    group.bench_function("expand", |bencher| bencher.iter_with_large_drop(|| load(folder.path())));
    let plan = load(folder.path());
    group.bench_function("grade", |bencher| {
        bencher.iter(|| {
            for trial in &plan.trials {
                let evidence =
                    Evidence { text: "After some thought, the answer is 42.", likelihoods: &[], found: &[] };
                black_box(plan.variant(*trial).rubric.grade(&evidence));
            }
        });
    });
    drop(plan);
    let mut run = 0;
    group.bench_function("answer, grade and store", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut time = Duration::ZERO;
            for _ in 0..iterations {
                run += 1;
                let session = begin(folder.path(), &folder.path().join(format!("runs-{run}.db")));
                time += eval::response::timed(|| run_all(&session, trials)).1;
            }
            time
        });
    });
    let store = Store::open(&folder.path().join("runs-1.db")).expect("the store was just written");
    group.bench_function("report", |bencher| {
        bencher.iter(|| {
            let runs = store.runs().expect("the store can be read");
            let chosen = report::choose(&runs).expect("there is a run");
            let models = store.models(chosen.id).expect("the store can be read");
            let rows = store.trials(chosen.id).expect("the store can be read");
            black_box(report::build(chosen, &models, &rows).markdown())
        });
    });
    group.finish();
    let peak = machine::peak_memory().map_or_else(|| "not measured".to_owned(), bytes);
    eprintln!("peak resident memory {peak}");
    criterion.final_summary();
}

fn write_cases(folder: &Path, trials: usize) {
    let write = |path: &Path, text: &str| {
        std::fs::create_dir_all(path.parent().expect("the path has a folder")).expect("it can be made");
        std::fs::write(path, text).expect("it can be written");
    };
    write(
        &folder.join("models.yaml"),
        "version: 1\nmodels:\n  canned:\n    backend: scripted\n    family: canned\n    class: small\n    sources: \
         [{ file: script.yaml }]\n",
    );
    write(&folder.join("script.yaml"), "version: 1\notherwise: The answer is 42.\n");
    for suite in 0..trials / SUITE {
        let mut text = String::from("version: 1\ncases:\n");
        for case in 0..SUITE {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "  - id: case-{case}\n    prompt: What is {case} + {suite}? Think, then give the answer.\n    grade: {{ \
                 number: {} }}\n",
                case + suite
            );
        }
        write(&folder.join(format!("cases/made/suite-{suite}.yaml")), &text);
    }
}

fn load(folder: &Path) -> Plan {
    let models = Models::load(&folder.join("models.yaml")).expect("models.yaml is right");
    let loaded = case::load(&folder.join("cases"), &models);
    assert!(loaded.wrong.is_empty(), "the cases are right");
    trial::expand(models, loaded.suites)
}

fn begin(folder: &Path, store: &Path) -> Session {
    let plan = load(folder);
    let chosen: Vec<usize> = (0..plan.trials.len()).collect();
    let available = availability::look(&plan.models, &Lock::default(), &Cache::at(folder), &|_, _| Ok(()));
    let options = Options {
        gate: Gate::Golden,
        golden: folder.join("golden"),
        partial: false,
        resume: false,
        propose: false,
        mistaken: std::collections::HashSet::new(),
        run: NewRun {
            planned: 0,
            partial: false,
            concurrency: CLIENTS,
            machine: "{}".to_owned(),
            versions: "{}".to_owned(),
            options: "{}".to_owned(),
            git_commit: None,
        },
    };
    let store = Store::open(store).expect("the folder can be written");
    let open = |_: &_, weights: &eval::weights::Weights| match Scripted::load(&weights.path) {
        Ok(scripted) => Ok(Arc::new(scripted) as Arc<dyn Backend>),
        Err(mistake) => Err(mistake.to_string()),
    };
    let begun = Session::begin(
        plan,
        &chosen,
        available,
        options,
        store,
        Box::new(open),
        Box::new(eval::grade::Nowhere),
    );
    begun.expect("the store can be written").0
}

fn run_all(session: &Session, trials: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let position = next.fetch_add(1, Ordering::Relaxed);
                    if position >= trials {
                        return;
                    }
                    assert!(!matches!(session.run(position), Told::Ignored(_)), "the model can be asked");
                }
            });
        }
    });
    assert!(session.finish().failures.is_empty(), "everything is accounted for");
}
