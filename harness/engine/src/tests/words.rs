//! Ways of cutting words, each against llama.cpp's ids.

use rstest::rstest;
use serde_json::Value;

use super::fixture::{digest, json};
use super::gguf::File;
use super::text::tokenizer;

/// `benches/peers/token_ids.py` wrote it: a vocabulary whose merges cross every border between words.
fn words() -> Value {
    json("tokenizers/words.json")
}

fn texts(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap()
}

fn file(words: &Value) -> File {
    File::default()
        .text("tokenizer.ggml.model", "gpt2")
        .texts("tokenizer.ggml.tokens", &texts(&words["tokens"]))
        .texts("tokenizer.ggml.merges", &texts(&words["merges"]))
        .flag("tokenizer.ggml.add_bos_token", false)
}

#[test]
fn every_way_cuts_as_llama_cpp_does() {
    let words = words();
    let ways = words["ids"].as_object().unwrap();
    assert_eq!(ways.len(), 52);
    for (way, hashes) in ways {
        let file = file(&words).text("tokenizer.ggml.pre", way);
        let tokenizer = tokenizer(&file, words["tokens"].as_array().unwrap().len());
        let hashes = hashes.as_str().unwrap().as_bytes().as_chunks::<8>().0;
        for (text, hash) in texts(&words["texts"]).iter().zip(hashes) {
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!(format!("{:08x}", digest(&ids)).as_bytes(), hash, "{way}: {text:?} is {ids:?}");
        }
    }
}

#[test]
fn a_file_without_a_name_gets_the_default() {
    let words = words();
    let count = words["tokens"].as_array().unwrap().len();
    let named = tokenizer(&file(&words).text("tokenizer.ggml.pre", "default"), count);
    let unnamed = tokenizer(&file(&words), count);
    for text in texts(&words["texts"]) {
        assert_eq!(unnamed.encode(&text), named.encode(&text));
    }
}

#[rstest]
#[case::spaces(" ")]
#[case::letters("a")]
#[case::digits("7")]
fn long_runs(#[case] run: &str) {
    let words = words();
    let count = words["tokens"].as_array().unwrap().len();
    for way in ["gpt-2", "llama-bpe", "tekken", "deepseek-llm"] {
        let tokenizer = tokenizer(&file(&words).text("tokenizer.ggml.pre", way), count);
        let text = run.repeat(100_000);
        let mut bytes = Vec::new();
        for id in tokenizer.encode(&text).unwrap() {
            tokenizer.bytes(id, &mut bytes);
        }
        assert_eq!(bytes, text.as_bytes(), "{way}");
        // Longer ones are refused where the expressions could give up unseen, never cut wrongly.
        if let Ok(ids) = tokenizer.encode(&run.repeat(3_000_000)) {
            let mut bytes = Vec::new();
            for id in ids {
                tokenizer.bytes(id, &mut bytes);
            }
            assert_eq!(bytes.len(), 3_000_000, "{way}");
        }
    }
}
