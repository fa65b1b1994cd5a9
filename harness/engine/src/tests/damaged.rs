//! Folders of safetensors that are damaged or made to do harm: each is an error that says what is wrong.

use std::path::Path;

use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fixture::checkpoint;
use crate::checkpoint::Checkpoint;

/// A safetensors file of this header and so many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

/// A folder with the settings of `llama-3` and these weights.
fn folder(weights: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(checkpoint("llama-3").join("config.json"), folder.path().join("config.json")).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    folder
}

#[track_caller]
fn refused(path: &Path, reason: &str) {
    let message = Checkpoint::open(path).err().expect("the checkpoint was taken");
    assert!(message.contains(reason), "{message}");
    assert!(message.len() < 1000, "a message of {} bytes", message.len());
}

fn reference() -> Vec<u8> {
    std::fs::read(checkpoint("llama-3").join("model.safetensors")).unwrap()
}

/// The reference's weights with another header.
fn changed(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Vec<u8> {
    let bytes = reference();
    let length = usize::try_from(u64::from_le_bytes(*bytes.first_chunk().unwrap())).unwrap();
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(header.as_object_mut().unwrap());
    [&file(&header.to_string(), 0), &bytes[8 + length..]].concat()
}

fn one(entry: &str, data: usize) -> Vec<u8> {
    file(&format!("{{\"weight\":{entry}}}"), data)
}

#[rstest]
#[case::empty(&[], "is empty")]
#[case::short(&[1, 2, 3], "too short")]
#[case::header_length(&[0xff; 64], "header of 18446744073709551615 bytes")]
#[case::header_cut(&file("{}", 0)[..9], "header of 2 bytes does not fit")]
#[case::long_header(&file(&" ".repeat(9 << 20), 0), "where at most 8388608 are read")]
#[case::no_json(&file("weights", 0), "malformed")]
#[case::list(&file("[]", 0), "malformed")]
#[case::deep(&file(&"[".repeat(1 << 20), 0), "malformed")]
#[case::deep_metadata(&file(&format!("{{\"__metadata__\":{}", "[".repeat(1 << 20)), 0), "malformed")]
#[case::no_type(&one(r#"{"shape":[1],"data_offsets":[0,4]}"#, 4), "dtype")]
#[case::unknown_key(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}"#, 4), "`x`")]
#[case::unknown_type(&one(r#"{"dtype":"F9","shape":[1],"data_offsets":[0,4]}"#, 4), "unknown type `F9`")]
#[case::negative(&one(r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#, 4), "malformed")]
#[case::huge_shape(
    &one(r#"{"dtype":"F32","shape":[1152921504606846976,64],"data_offsets":[0,4]}"#, 4),
    "impossible shape"
)]
#[case::no_elements(&one(r#"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#, 0), "impossible shape")]
#[case::dimensions(
    &one(&format!(r#"{{"dtype":"F32","shape":[1{}],"data_offsets":[0,4]}}"#, ",1".repeat(1 << 20)), 4),
    "1048577 dimensions"
)]
#[case::count(&one(r#"{"dtype":"F32","shape":[2],"data_offsets":[0,4]}"#, 4), "needs 8 bytes")]
#[case::backwards(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[4,0]}"#, 4), "needs 4 bytes")]
#[case::beyond(
    &one(r#"{"dtype":"U8","shape":[1152921504606846976],"data_offsets":[0,1152921504606846976]}"#, 4),
    "ends at 1152921504606846976"
)]
#[case::gap(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#, 8), "leave a gap")]
#[case::rest(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#, 5), "end at 4")]
#[case::overlap(
    &file(
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
        12
    ),
    "overlap at 4"
)]
#[case::twice(
    &file(
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
        8
    ),
    "`a` is there twice"
)]
#[case::long_name(
    &file(
        &format!(r#"{{"{}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#, "n".repeat(1 << 20)),
        4
    ),
    "name has 1048576 bytes"
)]
#[case::other_model(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#, 4), "no tensor `model.embed_tokens.weight`")]
fn headers(#[case] weights: &[u8], #[case] reason: &str) {
    refused(folder(weights).path(), reason);
}

type Header = serde_json::Map<String, Value>;

#[rstest]
#[case::missing(|it: &mut Header| {
    let norm = it.remove("model.norm.weight").unwrap();
    it.insert("model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(), norm);
}, "no tensor `model.norm.weight`")]
#[case::stranger(|it: &mut Header| {
    let norm = it.remove("model.layers.0.input_layernorm.weight").unwrap();
    it.insert("model.layers.0.other.weight".to_owned(), norm);
}, "no tensor `model.layers.0.input_layernorm.weight`")]
#[case::shape(|it: &mut Header| {
    it["model.layers.1.self_attn.q_proj.weight"]["shape"] = json!([32, 128]);
}, "`model.layers.1.self_attn.q_proj.weight` has the shape [32, 128], not [64, 64]")]
#[case::flat(|it: &mut Header| {
    it["model.norm.weight"]["shape"] = json!([8, 8]);
}, "`model.norm.weight` has the shape [8, 8], not [64]")]
#[case::vocabulary(|it: &mut Header| {
    it["model.embed_tokens.weight"]["shape"] = json!([640, 32]);
}, "`model.embed_tokens.weight` has the shape [640, 32], not [320, 64]")]
#[case::integers(|it: &mut Header| {
    it["lm_head.weight"]["dtype"] = json!("I32");
}, "`lm_head.weight` is stored as I32")]
fn tensors(#[case] change: fn(&mut Header), #[case] reason: &str) {
    refused(folder(&changed(change)).path(), reason);
}

/// The settings of a folder of the reference, changed.
fn with_settings(name: &str, change: impl FnOnce(&mut Header)) -> TempDir {
    let config = std::fs::read_to_string(checkpoint(name).join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    change(config.as_object_mut().unwrap());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    std::fs::copy(checkpoint(name).join("model.safetensors"), folder.path().join("model.safetensors"))
        .unwrap();
    folder
}

#[rstest]
#[case::vocabulary("llama-3", "vocab_size", json!(321), "`model.embed_tokens.weight` has the shape [320, 64], not [321, 64]")]
#[case::layers("llama-3", "num_hidden_layers", json!(1), "of layers beyond its 1")]
#[case::more_layers("llama-3", "num_hidden_layers", json!(3), "no tensor `model.layers.2.")]
#[case::bias("llama-3", "attention_bias", json!(true), "no tensor `model.layers.0.self_attn.q_proj.bias`")]
#[case::no_bias("stablelm-2", "use_qkv_bias", json!(false), "which `stablelm` with these settings has not")]
#[case::head_size("llama-3", "head_dim", json!(32), "has the shape [64, 64], not [128, 64]")]
#[case::grouped("falcon-7b", "new_decoder_architecture", json!(true), "has the shape [96, 64], not [192, 64]")]
#[case::serial("falcon-7b", "parallel_attn", json!(false), "no tensor `transformer.h.0.post_attention_layernorm.weight`")]
#[case::many_queries("starcoder", "multi_query", json!(false), "`num_key_value_heads` is 1")]
#[case::experts("mixtral", "num_local_experts", json!(5), "has the shape [4, 64], not [5, 64]")]
#[case::biases("mpt", "no_bias", json!(false), "no tensor `transformer.blocks.0.attn.Wqkv.bias`")]
#[case::positions("mpt", "attn_config", json!({ "alibi": false }), "no tensor `transformer.wpe.weight`")]
#[case::norms("stablelm-2", "use_parallel_residual", json!(true), "post_attention_layernorm")]
#[case::query_norms("stablelm-2", "qk_layernorm", json!(true), "q_layernorm.norms.0.weight")]
fn settings(#[case] name: &str, #[case] key: &str, #[case] value: Value, #[case] reason: &str) {
    let folder = with_settings(name, |it| {
        it.insert(key.to_owned(), value);
    });
    refused(folder.path(), reason);
}

#[test]
fn a_head_that_is_missing_is_no_other_matrix() {
    let folder = with_settings("qwen2", |it| {
        it.insert("tie_word_embeddings".to_owned(), json!(false));
    });
    refused(folder.path(), "no tensor `lm_head.weight`");
}

#[test]
fn buffers_beside_the_weights_do_no_harm() {
    let data = [0; 8];
    let bytes = changed(|header| {
        let end = header.values().filter_map(|it| it["data_offsets"][1].as_u64()).max().unwrap();
        header.insert(
            "model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(),
            json!({ "dtype": "F64", "shape": [1], "data_offsets": [end, end + 8] }),
        );
    });
    Checkpoint::open(folder(&[&bytes, &data[..]].concat()).path()).unwrap();
}

#[test]
fn every_cut_of_a_file_is_an_error() {
    let bytes = reference();
    for length in (0..bytes.len()).step_by(9973).chain(0..64) {
        assert!(Checkpoint::open(folder(&bytes[..length]).path()).is_err(), "{length} bytes");
    }
}

/// The reference's weights in two shards, and an index that places them.
fn sharded() -> (TempDir, serde_json::Map<String, Value>) {
    let bytes = reference();
    let length = usize::try_from(u64::from_le_bytes(*bytes.first_chunk().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let data = &bytes[8 + length..];
    let folder = folder(&[]);
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let mut map = Header::new();
    for (number, shard) in ["model-1.safetensors", "model-2.safetensors"].into_iter().enumerate() {
        let (mut part, mut values) = (Header::new(), Vec::new());
        let entries = header.as_object().unwrap().iter().filter(|it| it.0 != "__metadata__");
        for (_, (name, it)) in entries.enumerate().filter(|(index, _)| index % 2 == number) {
            let at = |end: usize| usize::try_from(it["data_offsets"][end].as_u64().unwrap()).unwrap();
            let begin = values.len();
            values.extend(&data[at(0)..at(1)]);
            let mut it = it.clone();
            it["data_offsets"] = json!([begin, values.len()]);
            part.insert(name.clone(), it);
            map.insert(name.clone(), json!(shard));
        }
        let file = [file(&Value::from(part).to_string(), 0), values].concat();
        std::fs::write(folder.path().join(shard), file).unwrap();
    }
    (folder, map)
}

fn index(folder: &TempDir, map: &Header) {
    let index = json!({ "metadata": { "total_size": 1 }, "weight_map": map }).to_string();
    std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
}

#[test]
fn shards_are_one_checkpoint() {
    let (folder, map) = sharded();
    index(&folder, &map);
    let shards = Checkpoint::open(folder.path()).unwrap();
    let whole = Checkpoint::open(&checkpoint("llama-3")).unwrap();
    assert_eq!(shards.spec(), whole.spec());
    assert_eq!(shards.size(), whole.size());
    for which in whole.contents().0 {
        assert!(whole.matrix(which).unwrap().rows == shards.matrix(which).unwrap().rows, "{which:?}");
    }
}

#[rstest]
#[case::absent("model-3.safetensors", "model-3.safetensors")]
#[case::elsewhere("../model-1.safetensors", "no file name")]
#[case::root("/etc/passwd", "no file name")]
#[case::nothing("", "no file name")]
#[case::up("..", "no file name")]
#[case::wrong("model-2.safetensors", "which lacks it")]
fn an_index_that_misleads(#[case] shard: &str, #[case] reason: &str) {
    let (folder, mut map) = sharded();
    let first = map.iter().find(|it| it.1 == "model-1.safetensors").unwrap().0.clone();
    map.insert(first, json!(shard));
    index(&folder, &map);
    refused(folder.path(), reason);
}

#[test]
fn a_tensor_in_two_shards() {
    let (folder, map) = sharded();
    std::fs::copy(folder.path().join("model-1.safetensors"), folder.path().join("model-2.safetensors"))
        .unwrap();
    index(&folder, &map);
    refused(folder.path(), "in another shard");
}

#[test]
fn weights_that_can_run_code() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(checkpoint("llama-3").join("config.json"), folder.path().join("config.json")).unwrap();
    refused(folder.path(), "neither model.safetensors nor");
    let pickle = folder.path().join("pytorch_model.bin");
    std::fs::write(&pickle, b"PK").unwrap();
    refused(folder.path(), "save_pretrained");
    refused(&pickle, "pickled weights");
}

#[rstest]
#[case::no_settings(None, "config.json")]
#[case::empty(Some(""), "config.json")]
#[case::list(Some("[]"), "config.json is not an object")]
#[case::deep(Some("[[[["), "config.json")]
#[case::no_type(Some("{}"), "no `model_type`")]
fn settings_that_are_none(#[case] settings: Option<&str>, #[case] reason: &str) {
    let folder = folder(&reference());
    let config = folder.path().join("config.json");
    std::fs::remove_file(&config).unwrap();
    if let Some(it) = settings {
        std::fs::write(&config, it).unwrap();
    }
    refused(folder.path(), reason);
}

#[test]
fn settings_without_end() {
    let folder = folder(&reference());
    std::fs::write(folder.path().join("config.json"), vec![b' '; 2 << 20]).unwrap();
    refused(folder.path(), "longer than 1048576 bytes");
}

#[test]
fn what_is_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    refused(&folder.path().join("absent"), "absent");
    refused(&checkpoint("llama-3").join("model.safetensors"), "name its folder");
    refused(&checkpoint("llama-3").join("config.json"), "not a GGUF file");
    std::fs::create_dir(folder.path().join("model.safetensors")).unwrap();
    refused(folder.path(), "is not a file");
}
