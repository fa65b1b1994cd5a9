//! Suites below a folder: which are asked, whose data are missing, what lies in packages.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use eval::case::Loaded;
use eval::dataset::{self, arrow, rows};
use eval::weights::Cache;
use serde_json::json;
use tempfile::TempDir;

use crate::{in_repository, load};

fn place(files: &[(&str, &str)]) -> TempDir {
    in_repository();
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

const SHA: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn packed() -> TempDir {
    let pin = format!("package: {{ name: some-data, version: 1.2.0, sha256: {SHA} }}\n");
    place(&[
        ("cases/p/_pin.yaml", pin.as_str()),
        (
            "cases/p/asked.yaml",
            "version: 1\ndefault: false\ndataset:\n  include: _pin.yaml\n  dataset_path: json\n  \
             dataset_kwargs: { data_files: { test: in/the/wheel.jsonl } }\n  test_split: test\n  \
             doc_to_text: \"{{q}}\"\n  doc_to_target: a\n  id: name\n  limit: 2\n  apply_chat_template: true\n",
        ),
        ("cases/q/plain.yaml", "version: 1\ncases: [{ id: one, prompt: One?, grade: { exact: one } }]\n"),
    ])
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.suites.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn only_those_that_are_asked_are_read() {
    let folder = packed();
    let (cases, cache) = (folder.path().join("cases"), folder.path().join("cache"));
    let loaded = load(&cases, &[], &cache);
    assert_eq!((names(&loaded), &loaded.unasked[..]), (vec!["q/plain"], &["p/asked".to_owned()][..]));
    assert!(loaded.missing.is_empty() && loaded.wrong.is_empty());
    for asked in ["p/asked", "p", "p/"] {
        let loaded = load(&cases, &[asked], &cache);
        let reason = "no data: run `cargo xtask bench-data fetch some-data`".to_owned();
        assert_eq!(loaded.missing, [("p/asked".to_owned(), reason)]);
        assert!(loaded.suites.is_empty() && loaded.wrong.is_empty());
    }
    let wrong = load(&cases, &["p/asket"], &cache).wrong;
    assert_eq!(wrong[0].mistake.message, "no suite is called `p/asket`: did you mean `p/asked`?");
}

#[test]
fn what_has_to_be_asked_for_says_why() {
    let folder = packed();
    let path = folder.path().join("cases/p/asked.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("  include:", "  on_request: it is disputed\n  include:")).unwrap();
    let needed = dataset::needed(&folder.path().join("cases"));
    assert_eq!(needed[0].on_request.as_deref(), Some("it is disputed"));
    let loaded = load(&folder.path().join("cases"), &["p"], &folder.path().join("cache"));
    let reason = "no data: run `cargo xtask bench-data fetch` with the name of this suite (it is disputed)";
    assert_eq!(loaded.missing, [("p/asked".to_owned(), reason.to_owned())]);
}

#[test]
fn what_a_package_ships_is_read() {
    let folder = packed();
    let (cases, cache) = (folder.path().join("cases"), folder.path().join("cache"));
    let needed = dataset::needed(&cases);
    assert_eq!(needed.len(), 1);
    assert_eq!(needed[0].files, ["in/the/wheel.jsonl"]);
    let file = needed[0].package.folder(&Cache::at(&cache)).join(&needed[0].files[0]);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(
        file,
        "{\"q\":\"A?\",\"a\":\"b\",\"name\":\"X/1\"}\n".to_string()
            + "{\"q\":\"B?\",\"a\":\"b\",\"name\":\"X/2\"}\n{\"q\":\"C?\"}\n",
    )
    .unwrap();
    let loaded = load(&cases, &["p"], &cache);
    assert!(loaded.wrong.is_empty(), "{:?}", loaded.wrong);
    let [suite] = &loaded.suites[..] else { panic!("{loaded:?}") };
    let ids: Vec<&str> = suite.cases.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["x-1", "x-2"]);
    assert_eq!(suite.cases[0].variants[0].messages[0].role, eval::backend::Role::User);
    assert!(suite.cases.iter().all(|it| it.threshold == 0.0));
}

#[test]
fn documents_are_judged_by_graders() {
    let folder = place(&[
        (
            "cases/c/graded.yaml",
            "version: 1\ndataset:\n  dataset_path: json\n  dataset_kwargs: { data_files: { test: rows.jsonl } }\n  \
          test_split: test\n  id: n\n  exclude: [2]\n  doc_to_text: \"{{q}}\"\n  grade: { exact: \"{{ a.strip() }}!\", length: { max_words: 3 } }\n",
        ),
        (
            "cases/c/rows.jsonl",
            "{\"q\":\"A?\",\"a\":\" b \",\"n\":1}\n{\"q\":\"B?\",\"a\":\"c\",\"n\":2}\n{\"q\":\"C?\",\"a\":\"d\",\"n\":3}\n",
        ),
    ]);
    let loaded = load(&folder.path().join("cases"), &[], folder.path());
    assert!(loaded.wrong.is_empty(), "{:?}", loaded.wrong);
    let told: Vec<(&str, String)> =
        loaded.suites[0].cases.iter().map(|it| (it.id.as_str(), it.variants[0].rubric.wanted())).collect();
    assert_eq!(told.len(), 2);
    assert_eq!((told[0].0, told[1].0), ("1", "3"));
    assert!(told[0].1.starts_with("the text `b!`") && told[1].1.starts_with("the text `d!`"), "{told:?}");
}

/// Every suite of ours names files that its package has, all of one package or of another.
#[test]
fn the_published_suites_are_pinned() {
    in_repository();
    let needed = dataset::needed(Path::new("cases"));
    let suites: BTreeSet<&str> = needed.iter().map(|it| it.suite.as_str()).collect();
    assert_eq!(suites.iter().filter(|it| it.starts_with("published/mmlu/")).count(), 57);
    for suite in ["gsm8k", "humaneval", "mbpp", "arc-easy", "arc-challenge", "hellaswag"] {
        assert!(suites.contains(format!("published/{suite}").as_str()), "{suite}");
    }
    let loaded = load(Path::new("cases"), &[], Path::new("nowhere"));
    assert!(loaded.missing.is_empty(), "no published suite is asked by default");
    let loaded = load(Path::new("cases"), &["published"], Path::new("nowhere"));
    assert!(loaded.wrong.is_empty(), "{:?}", loaded.wrong);
    assert_eq!(loaded.missing.len(), needed.len());
}

#[test]
fn rows_of_files() {
    let folder = place(&[
        ("list.json", "[{\"a\": 1}, {\"b\": [2.5]}]"),
        ("one.json", "{\n  \"a\": 1\n}"),
        ("lines.jsonl", "{\"a\": 1}\n\n{\"a\": 1.5}\n"),
        ("wrong.jsonl", "{\"a\": 1}\n{\"a\n"),
        (
            "wrapped.jsonl",
            "{\"k\":1,\"d\":{\"a\":1}}\n{\"k\":1,\"d\":{\"a\":2}}\n{\"k\":2,\"d\":{\"a\":3}}\n",
        ),
    ]);
    let read = |name: &str, records: &rows::Records| {
        rows::read(&[folder.path().join(name)], rows::Format::Json, records)
    };
    let all = rows::Records::default();
    assert_eq!(
        json!(read("list.json", &all).unwrap()),
        json!([{ "a": 1, "b": null }, { "b": [2.5], "a": null }])
    );
    assert_eq!(json!(read("one.json", &all).unwrap()), json!([{ "a": 1 }]));
    assert_eq!(json!(read("lines.jsonl", &all).unwrap()), json!([{ "a": 1.0 }, { "a": 1.5 }]));
    assert!(read("wrong.jsonl", &all).unwrap_err().contains("wrong.jsonl: line 2 is no JSON"));
    let within = rows::Records { field: Some("d".to_owned()), unique: Some("k".to_owned()) };
    assert_eq!(json!(read("wrapped.jsonl", &within).unwrap()), json!([{ "a": 1 }, { "a": 3 }]));
    let packed = folder.path().join("lines.jsonl.gz");
    let mut encoder =
        flate2::write::GzEncoder::new(std::fs::File::create(&packed).unwrap(), flate2::Compression::fast());
    encoder.write_all(b"{\"a\": \"zipped\"}\n").unwrap();
    encoder.finish().unwrap();
    assert_eq!(json!(rows::read(&[packed], rows::Format::Json, &all).unwrap()), json!([{ "a": "zipped" }]));
}

#[test]
fn columns_of_every_kind() {
    in_repository();
    let read = |name: &str, format| {
        rows::read(&[Path::new("tests/fixtures/tasks/data").join(name)], format, &rows::Records::default())
    };
    let columns = read("kinds.arrow", rows::Format::Arrow).unwrap();
    assert_eq!(json!(columns), json!(read("kinds.jsonl", rows::Format::Json).unwrap()));
}

/// Whatever becomes of a byte, it is read or refused, and never believed.
#[test]
fn damaged_columns_are_refused() {
    in_repository();
    let whole = std::fs::read("tests/fixtures/tasks/data/kinds.arrow").unwrap();
    assert!(arrow::rows(&whole).is_ok());
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            let _ = arrow::rows(&damaged);
        }
        let _ = arrow::rows(&whole[..at]);
    }
    assert!(arrow::rows(&whole[..whole.len() / 2]).is_err());
    assert!(arrow::rows(b"no stream").is_err());
    assert!(arrow::rows(b"").is_err());
}
