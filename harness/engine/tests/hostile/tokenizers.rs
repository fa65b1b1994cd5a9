//! Tokenizers, of GGUF files and of folders.

use engine::Tokenizer;
use rstest::rstest;
use serde_json::{Value, json};

use crate::gguf::File;
use crate::readers::{folder, folder_tokenizer, gguf_tokenizer};
use crate::tiny;
use crate::watch::watched;

fn named(name: &str) -> File {
    tiny::tokenizers().into_iter().find(|it| it.0 == name).unwrap().1
}

#[rstest]
fn tiny_tokenizers_are_read(#[values("byte-level", "deepseek", "pieces", "unigram")] name: &str) {
    watched(|| gguf_tokenizer(&named(name).bytes())).unwrap();
}

#[test]
fn tiny_published_tokenizers_are_read() {
    for (name, source) in tiny::FOLDER_TOKENIZERS {
        let outcome = watched(|| folder_tokenizer(source.as_bytes()));
        assert_eq!(outcome, Ok(()), "{name}");
    }
}

#[rstest]
#[case::long_control("byte-level", |it: File| with_first(it, "<".repeat(1 << 20)), "the special token 0 has more than 512 bytes")]
#[case::long_piece("unigram", |it: File| with_fifth(it, "a".repeat(1 << 20)), "a piece has 1048576 bytes")]
#[case::score("unigram", |it: File| it.floats("tokenizer.ggml.scores", &[f32::INFINITY; 9]), "a score is not a number")]
#[case::score_nan("pieces", |it: File| it.floats("tokenizer.ggml.scores", &[f32::NAN; 9]), "not a number")]
#[case::scores("pieces", |it: File| it.floats("tokenizer.ggml.scores", &[0.0; 8]), "does not fit the tokens")]
#[case::unknown("unigram", |it: File| it.count("tokenizer.ggml.unknown_token_id", 9), "beyond the 9 tokens")]
#[case::trie("unigram", |it: File| it.integers("tokenizer.ggml.precompiled_charsmap", &[0xff; 8]), "table of replacements is broken")]
#[case::replacement(
    "unigram",
    |it: File| it.integers("tokenizer.ggml.precompiled_charsmap", &tiny::charsmap(&"x".repeat(1 << 20))),
    "a character is replaced by 1048576 bytes"
)]
#[case::merge("byte-level", |it: File| it.texts("tokenizer.ggml.merges", &[String::new()]), "is not a pair")]
fn gguf_tokenizers(#[case] name: &str, #[case] change: fn(File) -> File, #[case] reason: &str) {
    let bytes = change(named(name)).bytes();
    let message = watched(|| gguf_tokenizer(&bytes)).expect_err("the tokenizer was taken");
    assert!(message.contains(reason), "{message}");
}

fn with_first(file: File, token: String) -> File {
    let mut tokens = tiny::TOKENS.map(str::to_owned).to_vec();
    tokens[0] = token;
    file.texts("tokenizer.ggml.tokens", &tokens)
}

fn with_fifth(file: File, token: String) -> File {
    let mut tokens = vec![String::new(); 9];
    tokens[5] = token;
    file.texts("tokenizer.ggml.tokens", &tokens)
}

/// The first of the tiny tokenizers of folders, changed.
fn published(change: impl FnOnce(&mut Value)) -> Value {
    let mut value = serde_json::from_str(tiny::FOLDER_TOKENIZERS[0].1).unwrap();
    change(&mut value);
    value
}

#[rstest]
#[case::growth(
    |it: &mut Value| it["normalizer"] = json!({
        "type": "Sequence",
        "normalizers": vec![json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aa" }); 40],
    }),
    "its steps can make a text 1099511627776 times as long"
)]
#[case::growth_between(
    |it: &mut Value| it["normalizer"] = json!({ "type": "Replace", "pattern": { "Regex": "" }, "content": "a".repeat(1 << 20) }),
    "1048577 times as long"
)]
#[case::growth_of_bytes(
    |it: &mut Value| it["pre_tokenizer"] = json!({
        "type": "Sequence",
        "pretokenizers": vec![json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false }); 50],
    }),
    "times as long"
)]
#[case::steps(
    |it: &mut Value| it["normalizer"] = json!({ "type": "Sequence", "normalizers": vec![json!({ "type": "NFC" }); 100_000] }),
    "more than 64 steps"
)]
#[case::added(
    |it: &mut Value| it["added_tokens"] = (7..100_000).map(|id| json!({ "id": id, "content": id.to_string() })).collect(),
    "99993 added tokens of"
)]
#[case::added_long(
    |it: &mut Value| it["added_tokens"][1]["content"] = json!("x".repeat(4 << 20)),
    "2 added tokens of 4194308 bytes"
)]
#[case::far(|it: &mut Value| it["model"]["vocab"]["x"] = json!(u32::MAX), "beyond the 2097152 tokens")]
#[case::far_added(|it: &mut Value| it["added_tokens"][1]["id"] = json!(1 << 21), "beyond the 2097152 tokens")]
#[case::merge(|it: &mut Value| it["model"]["merges"] = json!(["ab"]), "is not a pair")]
#[case::merge_of_nothing(|it: &mut Value| it["model"]["merges"] = json!(["x y"]), "")]
#[case::expression(
    |it: &mut Value| it["normalizer"] = json!({ "type": "Replace", "pattern": { "Regex": "(((((a{1000}){1000}){1000}){1000}){1000})" }, "content": "" }),
    ""
)]
#[case::table(
    |it: &mut Value| it["normalizer"] = json!({ "type": "Precompiled", "precompiled_charsmap": "/////w==" }),
    "table of replacements is broken"
)]
fn published_tokenizers(#[case] change: fn(&mut Value), #[case] reason: &str) {
    let bytes = published(change).to_string().into_bytes();
    let message = watched(|| folder_tokenizer(&bytes)).expect_err("the tokenizer was taken");
    assert!(message.contains(reason), "{message}");
    assert!(message.len() < 2000, "a message of {} bytes", message.len());
}

/// Each is compared with those before it, by a search that must not be a walk over all.
#[test]
fn added_tokens_of_two_files() {
    let count = 1 << 15;
    let added = |id: u32| json!({ "id": id, "content": format!("<{id}>"), "special": true });
    let file = published(|it| it["added_tokens"] = (1 << 22..(1 << 22) + count).map(added).collect());
    let decoder: serde_json::Map<_, _> =
        (0..count).map(|id| (id.to_string(), added(id + (1 << 22)))).collect();
    let config = json!({ "added_tokens_decoder": decoder }).to_string();
    let folder = folder(&[
        ("tokenizer.json", file.to_string().as_bytes()),
        ("tokenizer_config.json", config.as_bytes()),
    ]);
    watched(|| Tokenizer::open(folder.path()).map(drop)).unwrap();
}

#[rstest]
#[case::lists("[".repeat(100_000))]
#[case::objects(r#"{"model":"#.repeat(100_000))]
#[case::normalizers(format!(r#"{{"normalizer":{}"#, r#"{"type":"Sequence","normalizers":["#.repeat(100_000)))]
fn nesting(#[case] source: String) {
    let message = watched(|| folder_tokenizer(source.as_bytes())).expect_err("the tokenizer was taken");
    let told = ["recursion limit", "EOF while parsing", "invalid type: sequence"];
    assert!(told.iter().any(|it| message.contains(it)), "{message}");
}
