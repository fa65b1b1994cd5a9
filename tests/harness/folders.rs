//! Models in folders of safetensors, answered by the engine.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::place::Place;

const MODELS: &str = "
version: 1
defaults: { family: none, class: small }
models:
  tiny: { sources: [{ file: checkpoint }], context: 200 }
";

/// One answer as text, one by likelihood; whatever the tiny model says, it passes.
const CASES: &str = "
version: 1
defaults: { limits: { max_tokens: 8 }, threshold: 0 }
cases:
  - id: text
    prompt: What is 2 + 2?
    grade: { length: { max_chars: 1000 } }
  - id: choice
    prompt: Is the sky blue?
    grade: { choice: { answer: A, options: { A: yes, B: no }, by: likelihood } }
";

/// The files of a checkpoint with a tokenizer, as they are published.
fn files() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files = Vec::new();
    for folder in ["checkpoints/llama-3", "tokenizers/small"] {
        for entry in fixtures.join(folder).read_dir().expect("the fixtures are there") {
            let path = entry.expect("the fixtures can be read").path();
            if !path.ends_with("reference.safetensors") && !path.ends_with("expected.json") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// A place whose model is a folder.
fn place() -> Place {
    let place = Place::new().write("models.yaml", MODELS).write("cases/words/small.yaml", CASES);
    for file in files() {
        let name = file.file_name().and_then(|it| it.to_str()).expect("names here are ASCII");
        place.put(&format!("checkpoint/{name}"), std::fs::read(&file).expect("the fixtures can be read"));
    }
    place
}

#[test]
fn a_folder_answers() {
    let place = place();
    place.run(&[]).passed();
    assert_eq!(place.totals(), [2, 0, 0, 0]);
    assert_eq!(place.accept(), 1);
    place.run(&[]).passed().says("2 same");
    place.xtask(&["fetch", "tiny"]).says("tiny: is there, and right");
}

/// What the model is known by covers every file that answers depend on, and no other.
#[test]
fn every_file_of_a_folder_counts() {
    let place = place();
    let known = |place: &Place| {
        place.run(&[]);
        let newest = "SELECT sha256 FROM model ORDER BY run DESC LIMIT 1";
        place.store().query_row(newest, [], |row| row.get::<_, String>(0)).unwrap()
    };
    let before = known(&place);
    place.put("checkpoint/README.md", "A model.");
    place.put("checkpoint/pytorch_model.bin", "its pickles");
    assert_eq!(known(&place), before);
    let config = place.text("checkpoint/generation_config.json");
    place.put("checkpoint/generation_config.json", format!("{config} "));
    assert_ne!(known(&place), before);
}

#[test]
fn a_folder_that_lacks_something_is_ignored_with_the_reason() {
    let place = place();
    std::fs::remove_file(place.path("checkpoint/tokenizer.json")).unwrap();
    place.run(&[]).passed().says("no tokenizer.json");
    std::fs::remove_file(place.path("checkpoint/model.safetensors")).unwrap();
    place.run(&[]).passed().says("holds neither model.safetensors nor model.safetensors.index.json");
}

#[test]
fn a_folder_has_no_hash_of_its_own() {
    let place = place();
    place.edit("models.yaml", "context: 200", &format!("sha256: {}", "a".repeat(64)));
    let message = "is a folder, but `sha256` is of one file: leave it out";
    place.run(&[]).failed().says(message);
    place.xtask(&["fetch", "tiny"]).refused().says(message);
}

/// Computed in another way, a model is gated by no golden of the first, and changes none.
#[test]
fn goldens_of_other_numerics_never_mix() {
    let place = place();
    let standings = |place: &Place| {
        let run = "SELECT max(id) FROM run";
        let one = format!("SELECT DISTINCT numerics || ': ' || standing FROM trial WHERE run = ({run})");
        place.store().query_row(&one, [], |row| row.get::<_, String>(0)).unwrap()
    };
    place.run(&[]).passed();
    assert_eq!(place.accept(), 1);
    let golden = place.text("golden/words/small@tiny.snap");
    place.edit("models.yaml", "context: 200", "numerics: f32");
    place.run(&[]).passed().says("2 undecided");
    assert_eq!(place.files(".snap.new").len(), 0);
    assert!(standings(&place).ends_with(" cpu-f32: golden of other numerics"), "{}", standings(&place));
    // Accepted by hand, it is of these numerics alone.
    place.xtask(&["bless", "text"]).passed();
    let mixed = place.text("golden/words/small@tiny.snap");
    assert_eq!((mixed.matches("cpu-f32").count(), mixed.matches(" cpu\"").count()), (1, 1), "{mixed}");
    place.run(&["--exact", "words/small/text::tiny"]).passed().says("1 same");
    place.run(&["--exact", "words/small/choice::tiny"]).passed().says("1 undecided");
    place.edit("models.yaml", "numerics: f32", "numerics: auto");
    place.run(&["--exact", "words/small/text::tiny"]).passed().says("1 undecided");
    place.put("golden/words/small@tiny.snap", golden);
    place.run(&[]).passed().says("2 same");
    assert!(standings(&place).ends_with(" cpu: golden"), "{}", standings(&place));
}

/// What a case asks for beside its answers is stored, and changes none.
#[test]
fn logprobs_are_kept_where_a_case_asks() {
    let place = place();
    place.run(&["text"]).passed();
    assert_eq!(place.accept(), 1);
    let kept = |query: &str| {
        place.count(&format!("SELECT {query} FROM trial WHERE run = (SELECT max(id) FROM run)"))
    };
    assert_eq!(kept("json_extract(response, '$.logprobs') IS NULL"), 1);
    place.edit("cases/words/small.yaml", "threshold: 0 }", "threshold: 0, sampling: { logprobs: 2 } }");
    place.run(&["text"]).passed().says("1 same");
    assert_eq!(
        kept("json_array_length(response, '$.logprobs')"),
        kept("json_extract(response, '$.output_tokens')")
    );
    assert_eq!(kept("json_array_length(response, '$.logprobs[0].top')"), 2);
    assert_eq!(kept("json_extract(response, '$.logprobs[0].chosen.logprob') < 0"), 1);
}

/// The entry's context is the engine's.
#[test]
fn what_does_not_fit_the_entrys_context_is_an_error() {
    let place = place();
    place.edit("models.yaml", "context: 200", "context: 10");
    place.run(&["text"]).failed().says("but the context holds 10");
    assert_eq!(place.totals(), [0, 0, 1, 0]);
}

/// A repository of the hub, fetched: its files are links in the folder of its commit.
#[test]
fn a_repository_answers() {
    let place = place();
    place.run(&[]).passed();
    assert_eq!(place.accept(), 1);
    let snapshot = ".cache/huggingface/hub/models--o--m/snapshots/c1";
    let mut lock = "version: 1\nmodels:\n  tiny:\n    source: hf o/m@main\n    revision: c1\n    \
                    format: safetensors\n    files:\n"
        .to_owned();
    std::fs::create_dir_all(place.path(snapshot)).unwrap();
    for file in files() {
        let name = file.file_name().unwrap().to_str().unwrap();
        std::os::unix::fs::symlink(&file, place.path(&format!("{snapshot}/{name}"))).unwrap();
        let hash = eval::weights::sha256_of(&file).unwrap();
        let size = file.metadata().unwrap().len();
        writeln!(lock, "      - {{ name: {name}, sha256: {hash}, size: {size} }}").unwrap();
    }
    place.put("models.lock", lock);
    place.edit("models.yaml", "{ file: checkpoint }", "{ hf: o/m@main, files: [model.safetensors] }");
    place.run(&[]).passed().says("2 same");
    place.xtask(&["fetch", "tiny"]).says("tiny: is there, and right");

    // Another client of the cache brought a file that would change what the model reads.
    place.put(&format!("{snapshot}/special_tokens_map.json"), "{}");
    place.run(&[]).failed().says("is none of the files that models.lock recorded, but would be read");
}
