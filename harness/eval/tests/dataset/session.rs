//! A whole run over data sets, answered by a script.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use eval::backend::Backend;
use eval::case;
use eval::dataset::Selection;
use eval::gate::Gate;
use eval::golden::{Golden, path_of};
use eval::grade::Nowhere;
use eval::lock::Lock;
use eval::model::Models;
use eval::scripted::Scripted;
use eval::session::{Options, Session, Told};
use eval::store::{NewRun, Outcome, Store};
use eval::weights::Cache;
use eval::{availability, bless, trial};

const OPTIONS: &str = "version: 1
dataset:
  dataset_path: json
  dataset_kwargs: { data_files: { test: rows.jsonl } }
  test_split: test
  output_type: multiple_choice
  doc_to_text: \"{{q}}\"
  doc_to_choice: [red, green]
  doc_to_target: a
  metric_list: [{ metric: acc }, { metric: acc_mutual_info }]
";

const TEXTS: &str = "task: made_texts
dataset_path: json
dataset_kwargs: { data_files: { test: rows.jsonl } }
test_split: test
doc_to_text: \"{{q}}\"
doc_to_target: \"{{ ['red', 'green'][a] }}\"
filter_list: [{ name: stripped, filter: [{ function: remove_whitespace }, { function: take_first }] }]
";

const ROWS: &str = "{\"q\": \"A secret question?\", \"a\": 0}\n{\"q\": \"Another secret?\", \"a\": 1}\n";

#[test]
fn a_golden_of_a_data_set_keeps_no_text() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "models.yaml",
        "version: 1\ndefaults: { backend: scripted, family: none, class: small, sources: [{ file: script.yaml }] }\n\
         models: { m: {} }\n",
    );
    write("script.yaml", "version: 1\nanswers: [{ when: A secret, say: ' red ' }]\notherwise: red\n");
    write("cases/made/options.yaml", OPTIONS);
    write("cases/made/texts.yaml", TEXTS);
    write("cases/made/rows.jsonl", ROWS);
    let models = Models::load(&folder.path().join("models.yaml")).unwrap();
    let loaded = case::load_selected(&folder.path().join("cases"), &models, &Selection::default());
    assert!(loaded.wrong.is_empty(), "{:?}", loaded.wrong);
    let plan = trial::expand(models.clone(), loaded.suites.clone());
    let golden = folder.path().join("golden");
    let options = Options {
        gate: Gate::Golden,
        golden: golden.clone(),
        partial: false,
        resume: false,
        propose: true,
        mistaken: HashSet::new(),
        run: NewRun {
            planned: 0,
            partial: false,
            concurrency: 1,
            machine: "{}".to_owned(),
            versions: "{}".to_owned(),
            options: "{}".to_owned(),
            git_commit: None,
        },
    };
    let store = Store::open(&folder.path().join("runs.db")).unwrap();
    let available = availability::look(&models, &Lock::default(), &Cache::at(folder.path()), &|_, _| Ok(()));
    let chosen: Vec<usize> = (0..plan.trials.len()).collect();
    let open = |_: &eval::model::Model, weights: &eval::weights::Weights| {
        let scripted = Scripted::load(&weights.path).map_err(|it| it.to_string())?;
        Ok(Arc::new(scripted) as Arc<dyn Backend>)
    };
    let begun = Session::begin(plan, &chosen, available, options, store, Box::new(open), Box::new(Nowhere));
    let session = begun.unwrap().0;
    for position in chosen {
        assert_eq!(session.run(position), Told::Passed, "a benchmark measures, whatever the score");
    }
    assert_eq!(session.finish().failures, [""; 0]);
    let trials = Store::open(&folder.path().join("runs.db")).unwrap().trials(session.number()).unwrap();
    let scores: Vec<f64> = trials.iter().map(|it| it.outcome.score().unwrap()).collect();
    assert_eq!(scores, [1.0, 0.0, 1.0, 0.0], "{trials:?}");
    let Outcome::Scored(grade) = &trials[0].outcome else { panic!("{:?}", trials[0].outcome) };
    let parts: Vec<(&str, f64)> = grade.parts.iter().map(|it| (it.name.as_str(), it.weight)).collect();
    assert_eq!(parts, [("acc", 1.0), ("acc_mutual_info", 0.0)]);
    assert_eq!(
        trials[0].response.as_ref().unwrap().likelihoods.len(),
        4,
        "after the question, and after nothing"
    );
    assert_eq!(trials[2].prompt.as_deref(), Some("A secret question?"), "the store has it all");

    let proposed =
        std::fs::read_to_string(path_of(&golden, "made/texts", "m").with_extension("snap.new")).unwrap();
    for text in ["secret", "red"] {
        assert!(!proposed.contains(text), "{proposed}");
    }
    let plan = trial::expand(models, loaded.suites);
    bless::bless(&plan, &golden, &trials, &[]).unwrap();
    check(&golden, "made/texts", &[1.0, 0.0]);
    check(&golden, "made/options", &[1.0, 0.0]);
}

#[track_caller]
fn check(folder: &Path, suite: &str, scores: &[f64]) {
    let golden = Golden::load(&path_of(folder, suite, "m")).unwrap().unwrap();
    let found: Vec<f64> = golden.entries.iter().map(|it| it.score).collect();
    assert_eq!(found, scores);
    assert!(golden.entries.iter().all(|it| it.response.is_none() && it.answer.is_none()));
}
