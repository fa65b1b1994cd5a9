//! Folders of safetensors.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::readers::{folder, read_folder};
use crate::tiny;
use crate::watch::watched;

#[track_caller]
fn refused(path: &Path, reason: &str) {
    let message = watched(|| read_folder(path)).expect_err("the folder was taken");
    assert!(message.contains(reason), "{message}");
    assert!(message.len() < 1000, "a message of {} bytes", message.len());
}

/// A folder of these weights, beside the settings of a tiny Llama.
fn of_weights(bytes: &[u8]) -> TempDir {
    folder(&[("config.json", tiny::CONFIG.as_bytes()), ("model.safetensors", bytes)])
}

fn of_header(header: &str) -> TempDir {
    of_weights(&[&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 64]].concat())
}

#[test]
fn a_tiny_llama_is_read() {
    let folder = of_weights(&tiny::file_of(&tiny::llama()));
    std::fs::write(folder.path().join("reference.safetensors"), tiny::reference()).unwrap();
    watched(|| read_folder(folder.path())).unwrap();
}

const DEEP: usize = 100_000;

#[rstest]
#[case::shape(
    r#"{"a":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,64]}}"#,
    "`a` needs 4611686018427387904 bytes"
)]
#[case::bytes(
    r#"{"a":{"dtype":"U8","shape":[1152921504606846976],"data_offsets":[0,64]}}"#,
    "`a` needs 1152921504606846976 bytes"
)]
#[case::end(
    r#"{"a":{"dtype":"F32","shape":[16],"data_offsets":[18446744073709551552,18446744073709551616]}}"#,
    "malformed"
)]
#[case::wraps(
    r#"{"a":{"dtype":"F32","shape":[16],"data_offsets":[18446744073709551615,63]}}"#,
    "`a` needs 64 bytes"
)]
#[case::shape_wraps(
    r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,64]}}"#,
    "impossible shape"
)]
#[case::overlap(
    r#"{"a":{"dtype":"F32","shape":[8],"data_offsets":[0,32]},"b":{"dtype":"F32","shape":[12],"data_offsets":[16,64]}}"#,
    "overlap at 16"
)]
#[case::fraction(r#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,6]}}"#, "malformed")]
#[case::deep_shape(&format!(r#"{{"a":{{"dtype":"F32","shape":{}"#, "[".repeat(DEEP)), "malformed")]
#[case::deep_metadata(&format!(r#"{{"__metadata__":{}"#, r#"{"a":"#.repeat(DEEP)), "malformed")]
#[case::long_shape(
    &format!(r#"{{"a":{{"dtype":"F32","shape":[1{}],"data_offsets":[0,4]}}}}"#, ",1".repeat(4_100_000)),
    "dimensions"
)]
#[case::many_tensors(
    &format!("{{{}}}", (0..150_000).map(|it| format!(r#""{it}":{{"dtype":"U8","shape":[],"data_offsets":[0,1]}}"#)).collect::<Vec<_>>().join(",")),
    "overlap at 0"
)]
fn headers(#[case] header: &str, #[case] reason: &str) {
    refused(of_header(header).path(), reason);
}

#[rstest]
#[case::integers(5, "I32", "`model.layers.0.self_attn.q_proj.weight` ")]
#[case::eight_bits(5, "F8_E4M3", "`model.layers.0.self_attn.q_proj.weight` ")]
#[case::norm(1, "I64", "`model.norm.weight` ")]
#[case::embedding(0, "BOOL", "`model.embed_tokens.weight` ")]
fn types(#[case] index: usize, #[case] kind: &str, #[case] reason: &str) {
    let place = |index: usize| if index == 5 { 4 } else { index };
    let tensors = tiny::llama();
    let size = match kind {
        "I64" => 8,
        "I32" => 4,
        _ => 1,
    };
    let tensors: Vec<_> = tensors
        .iter()
        .enumerate()
        .map(|(at, (name, was, shape))| {
            let (kind, size) =
                if at == place(index) { (kind, size) } else { (*was, if *was == "F32" { 4 } else { 2 }) };
            (*name, kind, &shape[..], vec![0; size * shape.iter().product::<usize>()])
        })
        .collect();
    refused(of_weights(&tiny::safetensors(&tensors)).path(), reason);
}

type Settings = serde_json::Map<String, Value>;

#[rstest]
#[case::heads_0(|it: &mut Settings| it["num_attention_heads"] = json!(0), "`num_attention_heads` is 0")]
#[case::heads(|it: &mut Settings| it["num_attention_heads"] = json!(1_u64 << 31), "`num_attention_heads` is 2147483648")]
#[case::heads_below(|it: &mut Settings| it["num_attention_heads"] = json!(-2), "`num_attention_heads` is -2")]
#[case::heads_uneven(|it: &mut Settings| it["num_attention_heads"] = json!(3), "8 hidden elements do not make 3 heads")]
#[case::key_heads_0(|it: &mut Settings| it["num_key_value_heads"] = json!(0), "`num_key_value_heads` is 0")]
#[case::key_heads(|it: &mut Settings| it["num_key_value_heads"] = json!(3), "2 heads cannot share 3")]
#[case::head_0(|it: &mut Settings| drop(it.insert("head_dim".to_owned(), json!(0))), "`head_dim` is 0")]
#[case::head(|it: &mut Settings| drop(it.insert("head_dim".to_owned(), json!(1 << 14))), "has the shape [8, 8], not [32768, 8]")]
#[case::head_odd(|it: &mut Settings| drop(it.insert("head_dim".to_owned(), json!(3))), "3 of the 3 elements of a head would turn")]
#[case::hidden_0(|it: &mut Settings| it["hidden_size"] = json!(0), "`hidden_size` is 0")]
#[case::hidden(|it: &mut Settings| it["hidden_size"] = json!(u64::MAX), "`hidden_size` is 18446744073709551615")]
#[case::hidden_other(|it: &mut Settings| it["hidden_size"] = json!(16), "has the shape [6, 8], not [6, 16]")]
#[case::layers_0(|it: &mut Settings| it["num_hidden_layers"] = json!(0), "`num_hidden_layers` is 0")]
#[case::layers(|it: &mut Settings| it["num_hidden_layers"] = json!(1_u64 << 32), "`num_hidden_layers` is 4294967296")]
#[case::layers_more(|it: &mut Settings| it["num_hidden_layers"] = json!(1024), "no tensor `model.layers.1.")]
#[case::vocabulary_0(|it: &mut Settings| it["vocab_size"] = json!(0), "`vocab_size` is 0")]
#[case::vocabulary(|it: &mut Settings| it["vocab_size"] = json!(7), "has the shape [6, 8], not [7, 8]")]
#[case::mlp_0(|it: &mut Settings| it["intermediate_size"] = json!(0), "`intermediate_size` is 0")]
#[case::context_0(|it: &mut Settings| it["max_position_embeddings"] = json!(0), "`max_position_embeddings` is 0")]
#[case::context(|it: &mut Settings| it["max_position_embeddings"] = json!(1_u64 << 63), "`max_position_embeddings` is 9223372036854775808")]
#[case::epsilon_0(|it: &mut Settings| it["rms_norm_eps"] = json!(0.0), "`rms_norm_eps` is 0")]
#[case::epsilon_below(|it: &mut Settings| it["rms_norm_eps"] = json!(-1e-5), "`rms_norm_eps` is -")]
#[case::epsilon_none(|it: &mut Settings| it["rms_norm_eps"] = json!("NaN"), "`rms_norm_eps` is \"NaN\"")]
#[case::theta(|it: &mut Settings| it["rope_theta"] = json!(1), "`rope_theta` is 1")]
#[case::theta_0(|it: &mut Settings| it["rope_theta"] = json!(0), "`rope_theta` is 0")]
#[case::experts_0(
    |it: &mut Settings| {
        it["model_type"] = json!("mixtral");
        it.insert("num_local_experts".to_owned(), json!(0));
    },
    "`num_local_experts` is 0"
)]
#[case::experts(
    |it: &mut Settings| {
        it["model_type"] = json!("mixtral");
        it.insert("num_local_experts".to_owned(), json!(2));
        it.insert("num_experts_per_tok".to_owned(), json!(3));
    },
    "`num_experts_per_tok` is 3, more than the 2 experts"
)]
#[case::share(
    |it: &mut Settings| {
        it["model_type"] = json!("stablelm");
        it.insert("partial_rotary_factor".to_owned(), json!(1.5));
    },
    "`partial_rotary_factor` is 1.5"
)]
#[case::share_odd(
    |it: &mut Settings| {
        it["model_type"] = json!("stablelm");
        it.insert("partial_rotary_factor".to_owned(), json!(0.3));
    },
    "1 of the 4 elements of a head would turn"
)]
#[case::scaling_no_factor(
    |it: &mut Settings| drop(it.insert("rope_scaling".to_owned(), json!({ "type": "linear", "factor": 0 }))),
    "`rope_scaling.factor` is 0"
)]
#[case::scaling_infinite(
    |it: &mut Settings| drop(it.insert("rope_scaling".to_owned(), json!({ "type": "linear", "factor": 5e-324 }))),
    "no finite frequencies"
)]
#[case::scaling_itself(
    |it: &mut Settings| drop(it.insert("rope_scaling".to_owned(), json!({ "type": "linear", "factor": 2, "rope_scaling": {} }))),
    "`rope_scaling.rope_scaling` is {}"
)]
fn settings(#[case] change: fn(&mut Settings), #[case] reason: &str) {
    let mut settings: Settings = serde_json::from_str(tiny::CONFIG).unwrap();
    change(&mut settings);
    let folder = of_weights(&tiny::file_of(&tiny::llama()));
    std::fs::write(folder.path().join("config.json"), Value::from(settings).to_string()).unwrap();
    refused(folder.path(), reason);
}

#[rstest]
#[case::lists("[".repeat(DEEP), "recursion limit")]
#[case::objects(r#"{"a":"#.repeat(DEEP), "recursion limit")]
#[case::many(format!("[0{}]", ",0".repeat(500_000)), "config.json is not an object")]
#[case::long(" ".repeat(2 << 20), "longer than 1048576 bytes")]
#[case::number(r#"{"model_type":"llama","vocab_size":1e999}"#.to_owned(), "number out of range")]
#[case::name(format!(r#"{{"model_type":"{}"}}"#, "x".repeat(1 << 19)), "`model_type` is `xxx")]
fn settings_that_are_none(#[case] settings: String, #[case] reason: &str) {
    let folder = of_weights(&tiny::file_of(&tiny::llama()));
    std::fs::write(folder.path().join("config.json"), settings).unwrap();
    refused(folder.path(), reason);
}

/// A folder whose index says this, beside the one shard.
fn indexed(index: &str) -> TempDir {
    let files: [(&str, &[u8]); 3] = [
        ("config.json", tiny::CONFIG.as_bytes()),
        ("1.safetensors", &tiny::file_of(&tiny::llama())),
        ("model.safetensors.index.json", index.as_bytes()),
    ];
    folder(&files)
}

fn placed(shard: &str) -> String {
    json!({ "weight_map": { "model.norm.weight": shard } }).to_string()
}

#[rstest]
#[case::itself(placed("model.safetensors.index.json"), "header of")]
#[case::settings(placed("config.json"), "header of")]
#[case::elsewhere(placed("../1.safetensors"), "no file name")]
#[case::within(placed("x/1.safetensors"), "no file name")]
#[case::root(placed("/dev/zero"), "no file name")]
#[case::here(placed("."), "no file name")]
#[case::slash(placed("1.safetensors/"), "no file name")]
#[case::zero(placed("1.safetensors\0"), "NUL byte")]
#[case::long(placed(&"x".repeat(1 << 20)), "xxx")]
#[case::absent(placed("2.safetensors"), "2.safetensors")]
#[case::deep(format!(r#"{{"weight_map":{}"#, r#"{"a":"#.repeat(DEEP)), "model.safetensors.index.json")]
#[case::deep_beside(format!(r#"{{"metadata":{}"#, "[".repeat(DEEP)), "EOF while parsing")]
#[case::numbers(r#"{"weight_map":{"a":1}}"#.to_owned(), "model.safetensors.index.json")]
#[case::none("{}".to_owned(), "`weight_map`")]
#[case::empty(r#"{"weight_map":{}}"#.to_owned(), "no tensor `model.embed_tokens.weight`")]
#[case::many(
    format!(r#"{{"weight_map":{{{}}}}}"#, (0..200_000).map(|it| format!(r#""{it}":"{it}""#)).collect::<Vec<_>>().join(",")),
    "No such file"
)]
fn indexes(#[case] index: String, #[case] reason: &str) {
    refused(indexed(&index).path(), reason);
}

#[rstest]
#[case::device("/dev/zero", "is not a file")]
#[case::itself("2.safetensors", "symbolic links")]
#[case::folder(".", "is not a file")]
#[case::absent("3.safetensors", "No such file")]
fn links(#[case] target: PathBuf, #[case] reason: &str) {
    let folder = indexed(&placed("2.safetensors"));
    symlink(target, folder.path().join("2.safetensors")).unwrap();
    refused(folder.path(), reason);
}
