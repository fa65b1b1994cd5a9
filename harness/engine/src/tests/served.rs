//! Folders of safetensors, opened and asked through the trait, against transformers' answers.

use std::collections::HashMap;
use std::path::Path;

use candle_core::Tensor;
use eval::backend::{
    Backend as _, Finish, Generate, Message, Request, Role, Sampling, Score, StopReason, TokenLogprobs,
};
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fixture::{checkpoint, json as fixture, tensors};
use crate::{Engine, Options, open, supports};

/// A checkpoint with the tokenizer of 320 tokens.
fn folder(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for from in [checkpoint(name), checkpoint("../tokenizers/small")] {
        for file in from.read_dir().unwrap() {
            let file = file.unwrap();
            if !["reference.safetensors", "expected.json"].contains(&file.file_name().to_str().unwrap()) {
                std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
            }
        }
    }
    folder
}

/// The same with its weights in two shards.
fn sharded(name: &str) -> TempDir {
    let folder = folder(name);
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let mut shards: [HashMap<String, Tensor>; 2] = Default::default();
    let mut places = HashMap::new();
    for (index, (name, tensor)) in tensors(name, "model.safetensors").into_iter().enumerate() {
        places.insert(name.clone(), format!("model-0000{}-of-00002.safetensors", index % 2 + 1));
        shards[index % 2].insert(name, tensor);
    }
    for (shard, tensors) in shards.iter().enumerate() {
        let path = folder.path().join(format!("model-0000{}-of-00002.safetensors", shard + 1));
        candle_core::safetensors::save(tensors, path).unwrap();
    }
    let index = json!({ "metadata": {}, "weight_map": places }).to_string();
    std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    folder
}

/// In `f32`, as transformers computed.
fn open_folder(folder: &TempDir) -> Engine {
    open(folder.path(), Options { dense: true, ..Options::default() }).unwrap()
}

fn messages(chat: &Value) -> Vec<Message> {
    let turn = |it: &Value| Message {
        role: match it["role"].as_str().unwrap() {
            "system" => Role::System,
            "user" => Role::User,
            _ => Role::Assistant,
        },
        content: it["content"].as_str().unwrap().to_owned(),
    };
    chat["messages"].as_array().unwrap().iter().map(turn).collect()
}

fn generate(engine: &Engine, messages: Vec<Message>) -> (String, Finish) {
    let (text, finish, logprobs) = generate_with(engine, messages, Sampling::GREEDY, None);
    assert_eq!(logprobs, []);
    (text, finish)
}

fn generate_with(
    engine: &Engine,
    messages: Vec<Message>,
    sampling: Sampling,
    logprobs: Option<u32>,
) -> (String, Finish, Vec<TokenLogprobs>) {
    let (max_tokens, stop, ignore_eos) = (24, Vec::new(), false);
    let request = Request::Generate(Generate { messages, sampling, max_tokens, stop, ignore_eos, logprobs });
    let (mut text, mut logprobs) = (String::new(), Vec::new());
    let finish = engine.answer(&request, &mut |chunk| {
        text.push_str(chunk.text);
        logprobs.extend_from_slice(chunk.logprobs);
    });
    (text, finish.unwrap(), logprobs)
}

fn expected(name: &str) -> (Value, Vec<String>) {
    let expected = fixture("tokenizers/small/expected.json");
    let models = expected["models"].as_array().unwrap();
    let model = models.iter().find(|it| it["checkpoint"] == name).unwrap();
    (model.clone(), serde_json::from_value(expected["continuations"].clone()).unwrap())
}

#[rstest]
#[case::llama("llama-3", folder("llama-3"))]
#[case::gemma("gemma-3", folder("gemma-3"))]
#[case::starcoder("starcoder", folder("starcoder"))]
#[case::falcon("falcon-7b", folder("falcon-7b"))]
#[case::mixtral("mixtral", folder("mixtral"))]
#[case::shards("llama-3", sharded("llama-3"))]
fn answers_are_those_of_transformers(#[case] name: &str, #[case] folder: TempDir) {
    supports(folder.path()).unwrap();
    let engine = open_folder(&folder);
    let (expected, continuations) = expected(name);
    for chat in expected["chats"].as_array().unwrap() {
        let prompt = engine.prompt(&messages(chat)).unwrap();
        assert_eq!(json!(prompt.tokens), chat["ids"]);
        assert!(prompt.template.is_some());
        let (text, finish) = generate(&engine, messages(chat));
        assert_eq!((json!(text), finish.reason), (chat["text"].clone(), StopReason::Length));
        let score = Score { messages: messages(chat), continuations: continuations.clone() };
        let finish = engine.answer(&Request::Score(score), &mut |_| {}).unwrap();
        for (found, wanted) in finish.likelihoods.iter().zip(chat["scores"].as_array().unwrap()) {
            let wanted = wanted.as_f64().unwrap();
            assert!((found.logprob - wanted).abs() < 2e-4, "{} {wanted}", found.logprob);
        }
        assert_eq!(finish.likelihoods.len(), continuations.len());
    }
}

#[rstest]
#[case::llama("llama-3")]
#[case::gemma("gemma-3")]
fn logprobs_are_those_of_transformers(#[case] name: &str) {
    let folder = folder(name);
    let engine = open_folder(&folder);
    let texts = fixture("tokenizers/small/tokenizer.json")["model"]["vocab"].clone();
    let close = |ours: f64, theirs: &Value| {
        let theirs = theirs.as_f64().unwrap();
        assert!((ours - theirs).abs() < 1e-4, "{ours} {theirs}");
    };
    for chat in expected(name).0["chats"].as_array().unwrap() {
        let (text, finish, logprobs) = generate_with(&engine, messages(chat), Sampling::GREEDY, Some(3));
        assert_eq!((json!(text), logprobs.len()), (chat["text"].clone(), finish.output_tokens as usize));
        for (index, it) in logprobs.iter().enumerate() {
            assert_eq!(json!(it.chosen.id), chat["answer"][index]);
            close(it.chosen.logprob, &chat["logprobs"][index]);
            assert_eq!((it.top.len(), &it.top[0]), (3, &it.chosen), "the likeliest is taken");
            for (ours, theirs) in it.top.iter().zip(chat["top"][index].as_array().unwrap()) {
                assert_eq!(json!(ours.id), theirs[0]);
                close(ours.logprob, &theirs[1]);
                if ours.text.chars().all(|it| it.is_ascii_graphic()) {
                    assert_eq!(texts[&ours.text], theirs[0]);
                }
            }
        }
        // Penalties and temperature choose another way, and leave the numbers as they are.
        let sampling = Sampling {
            temperature: 2.0,
            top_k: Some(3),
            presence_penalty: Some(2.0),
            seed: 7,
            ..Sampling::GREEDY
        };
        let (drawn, _, logprobs) = generate_with(&engine, messages(chat), sampling.clone(), Some(1));
        assert_eq!(drawn, generate_with(&engine, messages(chat), sampling, None).0);
        close(logprobs[0].top[0].logprob, &chat["top"][0][0][1]);
    }
}

#[test]
fn the_context_is_the_one_of_the_configuration() {
    assert_eq!(open_folder(&folder("llama-3")).context_length(), 256);
    assert_eq!(open_folder(&folder("falcon-7b")).context_length(), 2048);
}

/// What ends an answer is said in one of several files.
#[rstest]
#[case::generation("generation_config.json", |id| json!({ "eos_token_id": [2, id] }))]
#[case::one_token("generation_config.json", |id| json!({ "eos_token_id": id }))]
#[case::configuration("config.json", |id| {
    let mut config = fixture("checkpoints/llama-3/config.json");
    config["eos_token_id"] = json!(id);
    config
})]
fn a_token_that_ends_the_answer(#[case] file: &str, #[case] content: fn(u64) -> Value) {
    let folder = folder("llama-3");
    let chat = expected("llama-3").0["chats"][0].clone();
    let whole = generate(&open_folder(&folder), messages(&chat)).0;
    let answer: Vec<u64> = serde_json::from_value(chat["answer"].clone()).unwrap();
    let last = answer[6];
    let length = answer.iter().position(|it| *it == last).unwrap();
    std::fs::remove_file(folder.path().join("generation_config.json")).unwrap();
    std::fs::write(folder.path().join(file), content(last).to_string()).unwrap();
    let (text, finish) = generate(&open_folder(&folder), messages(&chat));
    assert_eq!((finish.reason, finish.output_tokens as usize), (StopReason::Stop, length));
    assert!(whole.starts_with(text.trim_end_matches('\u{fffd}')), "{text:?} {whole:?}");
}

#[track_caller]
fn refused(folder: &Path, reason: &str) {
    let message = supports(folder).unwrap_err();
    assert!(message.contains(reason) && message.contains(&folder.display().to_string()), "{message}");
}

#[test]
fn folders_that_lack_something() {
    for (file, reason) in [
        ("tokenizer.json", "no tokenizer.json"),
        ("config.json", "config.json"),
        ("model.safetensors", "holds neither model.safetensors nor"),
    ] {
        let folder = folder("llama-3");
        std::fs::remove_file(folder.path().join(file)).unwrap();
        refused(folder.path(), reason);
    }
    let folder = folder("llama-3");
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    std::fs::write(folder.path().join("pytorch_model.bin"), "pickle").unwrap();
    refused(folder.path(), "pickled weights");
    // A tokenizer of more tokens than the weights know.
    let folder = self::folder("llama-3");
    std::fs::copy(
        checkpoint("../tokenizers/byte-level/tokenizer.json"),
        folder.path().join("tokenizer.json"),
    )
    .unwrap();
    refused(folder.path(), "beyond the 320 tokens");
}

#[test]
fn a_base_model_reads_the_plain_text() {
    let folder = folder("llama-3");
    std::fs::remove_file(folder.path().join("chat_template.jinja")).unwrap();
    let engine = open_folder(&folder);
    let prompt = engine.prompt(&[Message { role: Role::User, content: "a</s>".to_owned() }]).unwrap();
    assert_eq!((prompt.text.as_str(), prompt.template), ("a</s>", None));
    assert_eq!(prompt.tokens[0], 1, "its tokenizer.json puts `<s>` before a text");
    assert!(!prompt.tokens.contains(&2), "what a user writes is text");
}
