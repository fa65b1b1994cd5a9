//! A GPU's logits beside reference logits, the CPU's, and its own.
//!
//! `cargo test --features cuda --test cuda -- --ignored`, where there is a GPU.
#![cfg(feature = "cuda")]

use std::path::{Path, PathBuf};

use engine::Device;
use engine::parity::{Parity, Reading, relative};
use rstest::rstest;
use serde_json::{Value, json};

/// The length of the difference of logits, as a part of their length: what 16 bits allow.
const TOLERANCE: f32 = 2e-2;

/// Ways to read prompts, none of which may change a bit.
const READINGS: [Reading; 4] =
    [Reading::Chunks(1), Reading::Chunks(3), Reading::Chunks(100), Reading::Together];

#[rstest]
#[ignore = "needs a GPU"]
fn logits_are_near_those_of_the_reference(
    #[files("tests/fixtures/checkpoints/*/config.json")] config: PathBuf,
) {
    let folder = config.parent().unwrap();
    let parity = Parity::open(folder, Device::Cuda, None, 2).unwrap();
    let settings = serde_json::from_str(&std::fs::read_to_string(&config).unwrap()).unwrap();
    let tolerance = tolerance(&settings);
    for (prompt, difference) in parity.differences().unwrap().into_iter().enumerate() {
        assert!(difference.relative <= tolerance, "{} prompt {prompt}: {difference:?}", folder.display());
    }
    let prompts: Vec<&[u32]> = parity.references().iter().map(|it| &it.tokens[..]).collect();
    readings_agree(&parity, &prompts);
}

/// Sizes that the fixtures do not have: several ranges of columns, every size of heads, many heads that share keys,
/// windows, and positions of several segments.
#[rstest]
#[case::smollm2(json!({"hidden_size": 576, "num_attention_heads": 9, "num_key_value_heads": 3}))]
#[case::llama(json!({"hidden_size": 1024, "num_attention_heads": 8, "num_key_value_heads": 8}))]
#[case::shared_keys(json!({"hidden_size": 640, "num_attention_heads": 20, "num_key_value_heads": 1, "head_dim": 32}))]
#[case::odd_heads(json!({"hidden_size": 400, "num_attention_heads": 5, "num_key_value_heads": 5, "head_dim": 80}))]
#[case::heads_of_96(json!({"hidden_size": 192, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 96}))]
#[case::large_heads(json!({"hidden_size": 300, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 256}))]
#[case::window(json!({
    "model_type": "mistral", "hidden_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2,
    "sliding_window": 300,
}))]
#[case::some_experts(json!({
    "model_type": "mixtral", "hidden_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2,
    "num_local_experts": 8, "num_experts_per_tok": 2,
}))]
#[case::all_experts(json!({
    "model_type": "mixtral", "hidden_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2,
    "num_local_experts": 8, "num_experts_per_tok": 8,
}))]
#[ignore = "needs a GPU"]
fn logits_are_near_those_of_the_cpu(#[case] settings: Value) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &settings);
    let ours = Parity::without_references(folder.path(), Device::Cuda, None, 2).unwrap();
    let reference = Parity::without_references(folder.path(), Device::Cpu, None, 8).unwrap();
    let token = |it: u32| it.wrapping_mul(7_919).wrapping_add(13) % VOCABULARY;
    let all: Vec<u32> = (0..1_100).map(token).collect();
    let prompts = [&all[..700], &all[700..1_000], &all[1_000..1_033], &all[1_033..1_034], &all[1_034..]];
    let found = ours.logits_of(&prompts, Reading::Chunks(256)).unwrap();
    let wanted = reference.logits_of(&prompts, Reading::Chunks(256)).unwrap();
    let tolerance = tolerance(&settings);
    for (prompt, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
        let difference = relative(found, wanted);
        assert!(difference <= tolerance, "{settings} prompt {prompt}: {difference}");
    }
    readings_agree(&ours, &prompts);
}

/// Where the router nearly ties, 16 bits send a token to another expert.
fn tolerance(settings: &Value) -> f32 {
    let chosen = settings.get("num_experts_per_tok").is_some_and(|it| *it != settings["num_local_experts"]);
    if chosen { 2e-1 } else { TOLERANCE }
}

#[track_caller]
fn readings_agree(parity: &Parity, prompts: &[&[u32]]) {
    let bits = |reading| -> Vec<u32> {
        parity.logits_of(prompts, reading).unwrap().into_iter().flatten().map(f32::to_bits).collect()
    };
    let whole = bits(Reading::Whole);
    for reading in READINGS {
        let found = bits(reading);
        assert_eq!(found.len(), whole.len());
        let others = found.iter().zip(&whole).filter(|(a, b)| a != b).count();
        assert_eq!(others, 0, "{reading:?}: of {} logits", whole.len());
    }
}

const VOCABULARY: u32 = 1_000;

/// A checkpoint of two layers with random weights.
fn write(folder: &Path, settings: &Value) {
    let mut config = json!({
        "model_type": "llama", "hidden_act": "silu", "intermediate_size": 560, "num_hidden_layers": 2,
        "vocab_size": VOCABULARY, "max_position_embeddings": 2_048, "rms_norm_eps": 1e-5, "rope_theta": 10_000.0,
        "tie_word_embeddings": false,
    });
    config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let number = |name: &str| config[name].as_u64().map(|it| usize::try_from(it).unwrap());
    let [hidden, inner, heads, kv_heads] =
        ["hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"]
            .map(|it| number(it).unwrap());
    let size = number("head_dim").unwrap_or(hidden / heads);
    let vocabulary = VOCABULARY as usize;
    let mut tensors = vec![
        ("model.embed_tokens.weight".to_owned(), vec![vocabulary, hidden]),
        ("model.norm.weight".to_owned(), vec![hidden]),
        ("lm_head.weight".to_owned(), vec![vocabulary, hidden]),
    ];
    for layer in 0..2 {
        let mut add = |name: &str, shape: &[usize]| {
            tensors.push((format!("model.layers.{layer}.{name}.weight"), shape.to_vec()));
        };
        add("input_layernorm", &[hidden]);
        add("post_attention_layernorm", &[hidden]);
        add("self_attn.q_proj", &[heads * size, hidden]);
        add("self_attn.k_proj", &[kv_heads * size, hidden]);
        add("self_attn.v_proj", &[kv_heads * size, hidden]);
        add("self_attn.o_proj", &[hidden, heads * size]);
        if let Some(experts) = number("num_local_experts") {
            add("block_sparse_moe.gate", &[experts, hidden]);
            for expert in 0..experts {
                add(&format!("block_sparse_moe.experts.{expert}.w1"), &[inner, hidden]);
                add(&format!("block_sparse_moe.experts.{expert}.w2"), &[hidden, inner]);
                add(&format!("block_sparse_moe.experts.{expert}.w3"), &[inner, hidden]);
            }
        } else {
            add("mlp.gate_proj", &[inner, hidden]);
            add("mlp.up_proj", &[inner, hidden]);
            add("mlp.down_proj", &[hidden, inner]);
        }
    }
    let (mut header, mut bytes) = (serde_json::Map::new(), Vec::new());
    let mut state = 1_u64;
    for (name, shape) in tensors {
        let from = bytes.len();
        for _ in 0..shape.iter().product() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let uniform = (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0;
            let weight =
                if shape.len() == 1 { 1.0 + uniform / 4.0 } else { uniform * 2.0 / (hidden as f32).sqrt() };
            // Weights that 16 bits hold, so that both compute with the same.
            bytes.extend_from_slice(&(weight.to_bits() >> 16).to_le_bytes()[..2]);
        }
        header.insert(name, json!({"dtype": "BF16", "shape": shape, "data_offsets": [from, bytes.len()]}));
    }
    let header = serde_json::to_vec(&header).unwrap();
    let length = (header.len() as u64).to_le_bytes();
    std::fs::write(folder.join("model.safetensors"), [&length[..], &header, &bytes].concat()).unwrap();
}
