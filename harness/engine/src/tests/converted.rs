//! The reference's checkpoints in llama.cpp's form: another layout of the same weights must read as the same model.

use std::collections::BTreeMap;

use candle_core::Tensor;
use rstest::rstest;
use serde_json::Value;

use super::fixture::{checkpoint, tensors, write};
use super::gguf::File;
use crate::checkpoint::{Checkpoint, Matrix};
use crate::spec::{Positions, Spec};

/// The converter's names: outside of layers, then within.
const NAMES: [(&str, &str); 41] = [
    ("embed_tokens", "token_embd"),
    ("word_embeddings", "token_embd"),
    ("embed_in", "token_embd"),
    ("wte", "token_embd"),
    ("word_embeddings_layernorm", "token_embd_norm"),
    ("wpe", "position_embd"),
    ("norm", "output_norm"),
    ("ln_f", "output_norm"),
    ("norm_f", "output_norm"),
    ("final_layer_norm", "output_norm"),
    ("final_layernorm", "output_norm"),
    ("lm_head", "output"),
    ("embed_out", "output"),
    ("input_layernorm", "attn_norm"),
    ("ln_attn", "attn_norm_2"),
    ("ln_mlp", "attn_norm"),
    ("ln_1", "attn_norm"),
    ("norm_1", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    ("ln_2", "ffn_norm"),
    ("norm_2", "ffn_norm"),
    ("q_proj", "attn_q"),
    ("k_proj", "attn_k"),
    ("v_proj", "attn_v"),
    ("q_norm", "attn_q_norm"),
    ("k_norm", "attn_k_norm"),
    ("query_key_value", "attn_qkv"),
    ("Wqkv", "attn_qkv"),
    ("c_attn", "attn_qkv"),
    ("o_proj", "attn_output"),
    ("dense", "attn_output"),
    ("out_proj", "attn_output"),
    ("gate_proj", "ffn_gate"),
    ("up_proj", "ffn_up"),
    ("down_proj", "ffn_down"),
    ("dense_h_to_4h", "ffn_up"),
    ("dense_4h_to_h", "ffn_down"),
    ("fc1", "ffn_up"),
    ("fc2", "ffn_down"),
];

fn name(hf: &str, gemma: bool) -> String {
    let parts: Vec<&str> = hf.split('.').collect();
    let [.., last, kind] = parts[..] else { panic!("{hf}") };
    let before = parts.iter().rev().nth(2).copied().unwrap_or_default();
    let inner = match (last, before) {
        ("post_attention_layernorm", _) if gemma => "post_attention_norm",
        ("c_proj", "attn") => "attn_output",
        ("c_proj", _) => "ffn_down",
        ("c_fc", _) => "ffn_up",
        ("gate", "block_sparse_moe") => "ffn_gate_inp",
        _ => NAMES.iter().find(|it| it.0 == last).unwrap_or_else(|| panic!("no name for `{hf}`")).1,
    };
    match parts.iter().find_map(|it| it.parse::<usize>().ok()) {
        Some(layer) => format!("blk.{layer}.{inner}.{kind}"),
        None => format!("{inner}.{kind}"),
    }
}

/// Rows in blocks, `[blocks, within, ..]`, brought into the order of `within` first.
fn transposed(tensor: &Tensor, shape: (usize, usize, usize)) -> Tensor {
    let flat = tensor.reshape((shape.0, shape.1, shape.2, tensor.elem_count() / tensor.dims()[0])).unwrap();
    flat.transpose(1, 2).unwrap().contiguous().unwrap().reshape(tensor.dims()).unwrap()
}

struct Sizes {
    heads: usize,
    kv_heads: usize,
    head: usize,
}

/// Queries first, then keys, then values, from groups of each key head's.
fn ungrouped(tensor: &Tensor, sizes: &Sizes) -> Tensor {
    let group = sizes.heads / sizes.kv_heads;
    let parts = |from: usize, count: usize| -> Vec<Tensor> {
        let block = |index: usize| {
            tensor.narrow(0, (index * (group + 2) + from) * sizes.head, count * sizes.head).unwrap()
        };
        (0..sizes.kv_heads).map(block).collect()
    };
    let all: Vec<Tensor> = [parts(0, group), parts(group, 1), parts(group + 1, 1)].concat();
    Tensor::cat(&all, 0).unwrap()
}

/// What the converter writes of the settings.
fn described(config: &Value, spec: &Spec, arch: &str) -> File {
    let number = |it: usize| u32::try_from(it).unwrap();
    let key = |it: &str| format!("{arch}.{it}");
    let &Spec { attention, mlp, .. } = spec;
    let sizes = Sizes { heads: attention.heads, kv_heads: attention.kv_heads, head: attention.head_size };
    let epsilon = match spec.norm {
        crate::spec::NormKind::Rms { epsilon } => ("attention.layer_norm_rms_epsilon", epsilon),
        crate::spec::NormKind::Layer { epsilon } => ("attention.layer_norm_epsilon", epsilon),
    };
    let mut file = File::default()
        .text("general.architecture", arch)
        .count(&key("context_length"), number(spec.context))
        .count(&key("embedding_length"), number(spec.hidden))
        .count(&key("block_count"), number(spec.layers.len()))
        .count(&key("feed_forward_length"), number(mlp.size))
        .count(&key("attention.head_count"), number(sizes.heads))
        .count(&key("attention.head_count_kv"), number(sizes.kv_heads))
        .float(&key(epsilon.0), epsilon.1);
    if let Positions::Rotary(tables) = &spec.positions {
        let theta =
            config["rope_theta"].as_f64().or_else(|| config["rope_parameters"]["rope_theta"].as_f64());
        #[expect(clippy::cast_possible_truncation, reason = "GGUF holds f32")]
        let theta = theta.unwrap_or(10_000.0) as f32;
        file = file
            .count(&key("rope.dimension_count"), number(2 * tables[0].frequencies.len()))
            .float(&key("rope.freq_base"), theta);
    }
    if let Some(experts) = mlp.experts {
        file = file
            .count(&key("expert_count"), number(experts.count))
            .count(&key("expert_used_count"), number(experts.used));
    }
    match arch {
        "mpt" => file = file.float(&key("attention.max_alibi_bias"), 8.0),
        "gptneox" => {
            let parallel = config["use_parallel_residual"].as_bool().unwrap();
            file = file.flag(&key("use_parallel_residual"), parallel);
        }
        "gemma2" | "gemma3" | "qwen3" => {
            file = file
                .count(&key("attention.key_length"), number(sizes.head))
                .count(&key("attention.value_length"), number(sizes.head));
            if arch == "gemma3" {
                file = file.count(&key("attention.sliding_window_pattern"), 2);
            }
        }
        "falcon" => file = file.text(&key("tensor_data_layout"), "jploski"),
        _ => {}
    }
    if let Some(cap) = attention.cap {
        file = file.float(&key("attn_logit_softcapping"), cap);
    }
    if let Some(cap) = spec.logit_cap {
        file = file.float(&key("final_logit_softcapping"), cap);
    }
    if let Some(window) = spec.layers[0].window {
        file = file.count(&key("attention.sliding_window"), number(window));
    }
    file
}

/// What the converter writes for a folder.
fn converted(folder: &str) -> File {
    let config = std::fs::read_to_string(checkpoint(folder).join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let model_type = config["model_type"].as_str().unwrap();
    let arch = match model_type {
        "mistral" | "mixtral" => "llama",
        "gemma3_text" => "gemma3",
        "gpt_neox" => "gptneox",
        "gpt_bigcode" => "starcoder",
        "phi" => "phi2",
        other => other,
    };
    let spec = Checkpoint::open(&checkpoint(folder)).unwrap().spec().clone();
    let attention = spec.attention;
    let sizes = Sizes { heads: attention.heads, kv_heads: attention.kv_heads, head: attention.head_size };
    let mut file = described(&config, &spec, arch);
    if folder == "llama-3.1-rope-scaling" {
        file = file.tensor("rope_freqs.weight", &[sizes.head / 2], llama3_factors(sizes.head));
    }

    let mut experts: BTreeMap<String, BTreeMap<usize, Tensor>> = BTreeMap::new();
    let mut weights: Vec<_> = tensors(folder, "model.safetensors").into_iter().collect();
    weights.sort_by(|a, b| a.0.cmp(&b.0));
    for (hf, mut tensor) in weights {
        if let Some((before, after)) = hf.split_once(".block_sparse_moe.experts.") {
            let (expert, which) = after.split_once('.').unwrap();
            let which = match which {
                "w1.weight" => "gate",
                "w2.weight" => "down",
                "w3.weight" => "up",
                other => panic!("{other}"),
            };
            let layer = before.rsplit('.').next().unwrap();
            let name = format!("blk.{layer}.ffn_{which}_exps.weight");
            experts.entry(name).or_default().insert(expert.parse().unwrap(), tensor);
            continue;
        }
        let heads = if hf.contains("q_proj") { sizes.heads } else { sizes.kv_heads };
        if arch == "llama" && (hf.contains("q_proj") || hf.contains("k_proj")) {
            tensor = transposed(&tensor, (heads, 2, sizes.head / 2));
        } else if hf.contains("query_key_value") {
            tensor = ungrouped(&tensor, &sizes);
        } else if arch.starts_with("gemma") && hf.ends_with("norm.weight") {
            tensor = (tensor + 1.0).unwrap();
        }
        let values = tensor.flatten_all().unwrap().to_vec1().unwrap();
        file = file.tensor(&name(&hf, arch.starts_with("gemma")), tensor.dims(), values);
    }
    for (name, tensors) in experts {
        let stacked = Tensor::stack(&tensors.into_values().collect::<Vec<_>>(), 0).unwrap();
        file = file.tensor(&name, stacked.dims(), stacked.flatten_all().unwrap().to_vec1().unwrap());
    }
    file
}

/// As the converter computes them, for the reference's settings.
fn llama3_factors(head_size: usize) -> Vec<f32> {
    let (factor, low, high, original) = (8.0, 1.0, 4.0, 64.0);
    (0..head_size / 2)
        .map(|pair| {
            let frequency = 500_000_f64.powf(-((2 * pair) as f64) / head_size as f64);
            let wavelength = 2.0 * std::f64::consts::PI / frequency;
            #[expect(clippy::cast_possible_truncation, reason = "GGUF holds f32")]
            let single = |it: f64| it as f32;
            single(if wavelength < original / high {
                1.0
            } else if wavelength > original / low {
                factor
            } else {
                let smooth = (original / wavelength - low) / (high - low);
                1.0 / ((1.0 - smooth) / factor + smooth)
            })
        })
        .collect()
}

#[rstest]
fn another_layout_is_the_same_model(
    #[values(
        "bloom",
        "code-llama",
        "falcon-40b-180b",
        "falcon-7b",
        "gemma-2",
        "gemma-3",
        "h2o-danube",
        "llama-2",
        "llama-3",
        "llama-3.1-rope-scaling",
        "mistral",
        "mixtral",
        "mpt",
        "phi-2",
        "pythia",
        "qwen2",
        "qwen3",
        "redpajama-incite",
        "stablelm-2",
        "starcoder"
    )]
    folder: &str,
) {
    let published = Checkpoint::open(&checkpoint(folder)).unwrap();
    let file = write(&converted(folder).bytes());
    let mut converted = Checkpoint::open(file.path()).unwrap();
    assert!(converted.metadata().is_some());

    let mut spec = converted.spec().clone();
    spec.architecture.clone_from(&published.spec().architecture);
    if let (Positions::Rotary(ours), Positions::Rotary(wanted)) =
        (&mut spec.positions, &published.spec().positions)
    {
        // The factors of Llama 3.1 are written as f32.
        for (ours, wanted) in ours.iter_mut().zip(wanted) {
            for (ours, wanted) in ours.frequencies.iter_mut().zip(&wanted.frequencies) {
                assert!((*ours / wanted - 1.0).abs() < 1e-6, "{ours} {wanted}");
                *ours = *wanted;
            }
        }
    }
    assert_eq!(spec, *published.spec());

    let (matrices, norms) = published.contents();
    assert_eq!((&matrices, &norms), (&converted.contents().0, &converted.contents().1));
    // Queries and keys of a head may stand in any order that both share, but here it is the same.
    for which in matrices {
        let rows = |it: &Checkpoint, which: Matrix| it.matrix(which).unwrap().rows.concat();
        assert!(rows(&published, which) == rows(&converted, which), "{which:?}");
        assert_eq!(published.bias(which).unwrap(), converted.bias(which).unwrap(), "{which:?}");
    }
    for which in norms {
        assert_eq!(published.norm(which).unwrap(), converted.norm(which).unwrap(), "{which:?}");
    }
}

#[rstest]
#[case::option(|it: File| it.count("llama.mup_scale", 3), "`llama.mup_scale` is an option")]
#[case::layers(|it: File| it.count("llama.block_count", 1), "of layers beyond its 1")]
#[case::many_layers(|it: File| it.count("llama.block_count", 1 << 24), "`llama.block_count` is 16777216")]
#[case::more_layers(|it: File| it.count("llama.block_count", 3), "no tensor `blk.2.")]
#[case::no_heads(|it: File| it.count("llama.attention.head_count", 0), "head_count` is 0")]
#[case::many_heads(|it: File| it.count("llama.attention.head_count", 1 << 30), "head_count` is 1073741824")]
#[case::key_heads(|it: File| it.count("llama.attention.head_count_kv", 3), "cannot share 3")]
#[case::odd_head(|it: File| it.count("llama.attention.key_length", 15), "would turn")]
#[case::wide_rotation(|it: File| it.count("llama.rope.dimension_count", 32), "32 of a head size of 16")]
#[case::values(|it: File| it.count("llama.attention.value_length", 8), "value_length` is 8")]
#[case::epsilon(|it: File| it.float("llama.attention.layer_norm_rms_epsilon", f32::NAN), "finite")]
#[case::scaling(|it: File| it.text("llama.rope.scaling.type", "longrope"), "`longrope`")]
#[case::base(|it: File| it.float("llama.rope.freq_base", 0.5), "freq_base` is 0.5")]
#[case::experts(|it: File| it.count("llama.expert_count", 8), "0 experts are used, of 8")]
#[case::no_experts(
    |it: File| it.count("llama.expert_count", 8).count("llama.expert_used_count", 2),
    "no tensor `blk.0.ffn_gate_inp.weight`"
)]
#[case::many_experts(|it: File| it.count("llama.expert_count", 1 << 20), "expert_count` is 1048576")]
#[case::bias(|it: File| it.tensor("blk.1.attn_q.bias", &[64], vec![0.0; 64]), "`blk.1.attn_q.bias`")]
#[case::half_a_bias(|it: File| it.tensor("blk.0.attn_q.bias", &[64], vec![0.0; 64]), "no tensor `blk.0.attn_k.bias`")]
#[case::stranger(|it: File| it.tensor("blk.0.ffn_sub_norm.weight", &[64], vec![0.0; 64]), "ffn_sub_norm")]
#[case::factors(|it: File| it.tensor("rope_freqs.weight", &[4], vec![1.0; 4]), "8 factors above 0")]
#[case::no_factor(|it: File| it.tensor("rope_freqs.weight", &[8], vec![0.0; 8]), "8 factors above 0")]
#[case::tokens(|it: File| it.texts("tokenizer.ggml.tokens", &["a".to_owned()]), "weights for 320")]
#[case::part(|it: File| it.count("split.count", 2), "llama-gguf-split")]
#[case::hidden(
    |it: File| it.count("llama.embedding_length", 32).count("llama.attention.key_length", 16),
    "has the shape"
)]
fn files_that_make_no_model(#[case] change: fn(File) -> File, #[case] reason: &str) {
    let file = write(&change(converted("llama-3")).bytes());
    let message = Checkpoint::open(file.path()).err().unwrap();
    assert!(message.contains(reason), "{message}");
}

#[test]
fn partly_turning_neighbours_come_first() {
    let file = converted("llama-3").count("llama.rope.dimension_count", 8);
    let stored = write(&file.bytes());
    let part = Checkpoint::open(stored.path()).unwrap();
    let whole = write(&converted("llama-3").bytes());
    let whole = Checkpoint::open(whole.path()).unwrap();
    let Positions::Rotary(tables) = &part.spec().positions else { panic!("no tables") };
    assert_eq!(tables[0].frequencies.len(), 4);
    let (part, whole) =
        (part.matrix(Matrix::QueryKeyValue(0)).unwrap(), whole.matrix(Matrix::QueryKeyValue(0)).unwrap());
    // Stored rows of a head, as the whole permutation shows them: even ones first, odd ones from 8 on.
    let at = |row: usize| if row.is_multiple_of(2) { row / 2 } else { 8 + row / 2 };
    let order = [0, 2, 4, 6, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    for head in 0..6 {
        for (ours, stored) in order.into_iter().enumerate() {
            assert_eq!(part.rows[16 * head + ours], whole.rows[16 * head + at(stored)]);
        }
    }
    assert_eq!(part.rows[96..], whole.rows[96..]);
}
