//! What is wrong with a task file, and where.

use std::path::Path;

use eval::case;
use eval::diagnostic::SourceFile;
use rstest::rstest;

use crate::models;

const RIGHT: &str = "task: t
dataset_path: json
dataset_kwargs: { data_files: { test: tests/fixtures/tasks/data/facts.jsonl } }
test_split: test
output_type: multiple_choice
doc_to_text: query
doc_to_choice: \"{{options.text}}\"
doc_to_target: gold
";

/// The mistakes of a file, each with its line.
fn mistakes(text: &str) -> Vec<String> {
    let file = SourceFile::new("t.yaml", text);
    let (suite, wrong) = case::read("made/t", Path::new("t.yaml"), &file, &models());
    assert_eq!(suite.is_none(), !wrong.is_empty());
    let line = |at: usize| 1 + text[..at].matches('\n').count();
    wrong
        .iter()
        .map(|it| format!("{}: {}", it.mistake.at.map_or(0, |it| line(it.offset())), it.mistake.message))
        .collect()
}

#[rstest]
#[case::right("", "", "")]
#[case::function(
    "doc_to_text: query",
    "doc_to_text: !function utils.text",
    "6: `!function utils.text` is not supported"
)]
#[case::function_in_a_list(
    "output_type: multiple_choice",
    "output_type: multiple_choice\nmetric_list:\n  - metric: !function utils.pass_at_k",
    "7: `!function utils.pass_at_k` is not supported"
)]
#[case::code(
    "test_split: test",
    "test_split: test\nprocess_docs: !function utils.p",
    "5: `process_docs` is not supported"
)]
#[case::no_code("test_split: test", "test_split: test\nprocess_docs: null", "")]
#[case::key("test_split", "test_splits", "4: unknown key `test_splits`: did you mean `test_split`?")]
#[case::kind(
    "multiple_choice",
    "multiple_choices",
    "5: unknown output type `multiple_choices`: did you mean"
)]
#[case::hub("dataset_path: json", "dataset_path: cais/mmlu", "2: `cais/mmlu` is on a hub")]
#[case::split("test_split: test", "test_split: dev", "3: unknown split `dev`")]
#[case::file("facts.jsonl", "fact.jsonl", "3: tests/fixtures/tasks/data/fact.jsonl: cannot be read")]
#[case::address("tests/fixtures", "https://example.org", "3: this is an address")]
#[case::metric(
    "test_split: test",
    "test_split: test\nmetric_list: [{ metric: accc }]",
    "5: unknown metric `accc`: did you mean `acc`?"
)]
#[case::corpus(
    "test_split: test",
    "test_split: test\nmetric_list: [{ metric: bleu }]",
    "5: the metric `bleu` is not supported"
)]
#[case::only_a_pair(
    "test_split: test",
    "test_split: test\nmetric_list: [{ metric: f1 }]",
    "5: no metric is of single documents"
)]
#[case::score(
    "test_split: test",
    "test_split: test\nscore: acc_nrm",
    "5: unknown score `acc_nrm`: did you mean `acc_norm`?"
)]
#[case::field("query", "\"{{quest}}\"", "6: document 0: it uses something that the document does not have")]
#[case::template("query", "\"{{ query\"", "6: this is no template")]
#[case::options("\"{{options.text}}\"", "\"{{query}}\"", "7: document 0: it must write a list")]
#[case::few(
    "test_split: test",
    "test_split: test\nnum_fewshot: 7",
    "7: document 0: 7 worked examples are wanted, there are 6"
)]
#[case::sampler(
    "test_split: test",
    "test_split: test\nfewshot_config: { sampler: first }",
    "5: unknown sampler `first`: did you mean `first_n`?"
)]
#[case::include("task: t", "task: t\ninclude: nowhere.yaml", "2: cannot be included")]
#[case::majority(
    "test_split: test",
    "test_split: test\nrepeats: 3\nfilter_list: [{ name: a, filter: [{ function: majority_vote }] }]",
    "6: `majority_vote` over several repeats is not supported"
)]
#[case::after_the_first(
    "test_split: test",
    "test_split: test\nfilter_list: [{ name: a, filter: [{ function: take_first }, { function: lowercase }] }]",
    "5: after `take_first` there is one text"
)]
fn of_task_files(#[case] old: &str, #[case] new: &str, #[case] message: &str) {
    let found = mistakes(&RIGHT.replacen(old, new, 1));
    match message {
        "" => assert!(found.is_empty(), "{found:?}"),
        message => assert!(found.iter().any(|it| it.starts_with(message)), "{found:?}"),
    }
}

#[rstest]
#[case::both("cases: []\n", "`cases` or a `dataset`, not both")]
#[case::limits("defaults: { limits: { max_tokens: 3 } }\n", "`limits` has no place beside a `dataset`")]
#[case::threshold("defaults: { threshold: 3 }\n", "a threshold lies between 0 and 1")]
#[case::models("defaults: { models: [nobody] }\n", "unknown model `nobody`")]
fn of_suites(#[case] more: &str, #[case] message: &str) {
    let dataset = format!("  {}\n", RIGHT.trim_end().replace('\n', "\n  "));
    let found = mistakes(&format!("version: 1\n{more}dataset:\n{dataset}"));
    assert!(found.iter().any(|it| it.contains(message)), "{found:?}");
}
