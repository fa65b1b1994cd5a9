//! GGUF files made by hand.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use tempfile::NamedTempFile;

use super::gguf::File;
use crate::{Engine, Options};

impl File {
    pub(super) fn open(&self) -> Engine {
        crate::open(write(&self.bytes()).path(), Options::default()).unwrap()
    }
}

pub(super) fn write(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A file under `tests/fixtures`.
pub(super) fn fixture(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name))
        .unwrap()
}

pub(super) fn json(name: &str) -> serde_json::Value {
    serde_json::from_str(&fixture(name)).unwrap()
}

/// FNV-1a of 32 bits over ids as little-endian words.
pub(super) fn digest(ids: &[u32]) -> u32 {
    let bytes = ids.iter().flat_map(|it| it.to_le_bytes());
    bytes.fold(0x811c_9dc5, |value, byte| (value ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

pub(super) fn checkpoint(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/checkpoints").join(name)
}

pub(super) fn tensors(name: &str, file: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(checkpoint(name).join(file), &Device::Cpu).unwrap()
}

/// A checkpoint of the reference as a GGUF file, with a tokenizer of single bytes.
pub(super) fn model(name: &str) -> File {
    let config = std::fs::read_to_string(checkpoint(name).join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let count = |key: &str| u32::try_from(config[key].as_u64().unwrap()).unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "GGUF holds f32")]
    let float = |key: &str| config[key].as_f64().unwrap() as f32;
    let gemma = name.starts_with("gemma");
    let prefix = if gemma { "gemma3" } else { "llama" };
    let key = |it: &str| format!("{prefix}.{it}");
    let mut file = with_bytes(File::default().text("general.architecture", prefix))
        .count(&key("context_length"), count("max_position_embeddings"))
        .count(&key("embedding_length"), count("hidden_size"))
        .count(&key("block_count"), count("num_hidden_layers"))
        .count(&key("feed_forward_length"), count("intermediate_size"))
        .count(&key("attention.head_count"), count("num_attention_heads"))
        .count(&key("attention.head_count_kv"), count("num_key_value_heads"))
        .count(&key("attention.key_length"), count("head_dim"))
        .float(&key("attention.layer_norm_rms_epsilon"), float("rms_norm_eps"))
        .float(&key("rope.freq_base"), float("rope_theta"));
    if gemma {
        file = file
            .count(&key("attention.sliding_window"), count("sliding_window"))
            .count(&key("attention.sliding_window_pattern"), count("sliding_window_pattern"));
    }
    let mut weights: Vec<_> = tensors(name, "model.safetensors").into_iter().collect();
    weights.sort_by(|a, b| a.0.cmp(&b.0));
    for (hf, tensor) in weights {
        let tensor = if gemma && hf.ends_with("norm.weight") {
            (tensor + 1.0).unwrap()
        } else if !gemma && (hf.contains("q_proj") || hf.contains("k_proj")) {
            let (rows, columns) = tensor.dims2().unwrap();
            let size = count("head_dim") as usize;
            let halves = tensor.reshape((rows / size, 2, size / 2, columns)).unwrap();
            halves.transpose(1, 2).unwrap().reshape((rows, columns)).unwrap()
        } else {
            tensor
        };
        let values = tensor.flatten_all().unwrap().to_vec1().unwrap();
        file = file.tensor(&gguf_name(&hf, gemma), tensor.dims(), values);
    }
    file
}

fn gguf_name(hf: &str, gemma: bool) -> String {
    let name = hf.strip_prefix("model.").unwrap_or(hf);
    let Some((layer, rest)) = name.strip_prefix("layers.").and_then(|it| it.split_once('.')) else {
        let table = [
            ("embed_tokens.weight", "token_embd.weight"),
            ("norm.weight", "output_norm.weight"),
            ("lm_head.weight", "output.weight"),
        ];
        return table.iter().find(|it| it.0 == name).unwrap().1.to_owned();
    };
    let inner = match rest.strip_suffix(".weight").unwrap() {
        "input_layernorm" => "attn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "post_attention_layernorm" if gemma => "post_attention_norm",
        "post_attention_layernorm" | "pre_feedforward_layernorm" => "ffn_norm",
        "post_feedforward_layernorm" => "post_ffw_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        other => panic!("no name for `{other}`"),
    };
    format!("blk.{layer}.{inner}.weight")
}

/// The printable stand-in of a byte in byte-level BPE.
fn stand_in(byte: u8) -> char {
    let printable = |it: &u8| matches!(it, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    if printable(&byte) {
        return char::from(byte);
    }
    let index = (0..byte).filter(|it| !printable(it)).count();
    ('\u{100}'..).nth(index).unwrap()
}

/// A byte-level tokenizer of 320 tokens: three special ones, all bytes, a few merges, fillers.
fn with_bytes(file: File) -> File {
    let mut tokens: Vec<String> = ["<pad>", "<|start|>", "<|end|>"].map(str::to_owned).to_vec();
    tokens.extend((0..=255).map(|it| stand_in(it).to_string()));
    tokens.extend(["he", "ll", "hell", "hello", "\u{120}t", "\u{120}the", "\n\n"].map(str::to_owned));
    let merges = ["h e", "l l", "he ll", "hell o", "\u{120} t", "\u{120}t he"].map(str::to_owned);
    tokens.extend((tokens.len()..320).map(|it| format!("[filler {it}]")));
    let kinds: Vec<i32> = (0..320)
        .map(|id| match id {
            0..3 => 3,
            265 => 4,
            _ => 1,
        })
        .collect();
    file.text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", "smollm")
        .texts("tokenizer.ggml.tokens", &tokens)
        .texts("tokenizer.ggml.merges", &merges)
        .integers("tokenizer.ggml.token_type", &kinds)
        .count("tokenizer.ggml.bos_token_id", 1)
        .count("tokenizer.ggml.eos_token_id", 2)
        .flag("tokenizer.ggml.add_bos_token", false)
}
