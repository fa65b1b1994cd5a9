//! What tensors are called, architecture by architecture.

use super::tensors::Tensors;

/// Where queries, keys and values stand.
#[derive(Clone, Copy, Debug)]
pub(super) enum QueryKeyValueNames {
    Separate([&'static str; 3]),
    Fused(&'static str),
}

/// The names of one architecture's tensors, without `.weight` and `.bias`. Those of a layer follow `layers.N.`; in
/// those of an expert `{}` stands for its number. An empty name is one that the architecture does not have.
#[derive(Debug)]
pub(super) struct Names {
    /// What may stand before all names, and before the head's.
    pub(super) prefixes: &'static [(&'static str, &'static str)],
    pub(super) embedding: &'static str,
    pub(super) embedding_norm: &'static str,
    pub(super) positions: &'static str,
    pub(super) last_norm: &'static str,
    pub(super) head: &'static str,
    pub(super) layers: &'static str,
    pub(super) attention_norm: &'static str,
    pub(super) query_key_value: QueryKeyValueNames,
    /// Where the same is fused in other files.
    pub(super) fused: &'static str,
    pub(super) query_norm: &'static str,
    pub(super) key_norm: &'static str,
    pub(super) output: &'static str,
    pub(super) post_attention_norm: &'static str,
    pub(super) mlp_norm: &'static str,
    pub(super) post_mlp_norm: &'static str,
    pub(super) gate: &'static str,
    pub(super) up: &'static str,
    pub(super) down: &'static str,
    pub(super) router: &'static str,
    pub(super) expert_gate: &'static str,
    pub(super) expert_up: &'static str,
    pub(super) expert_down: &'static str,
}

pub(super) static LLAMA: Names = LLAMA_NAMES;
pub(super) static QWEN3: Names =
    Names { query_norm: "self_attn.q_norm", key_norm: "self_attn.k_norm", ..LLAMA_NAMES };
pub(super) static GEMMA2: Names = GEMMA2_NAMES;
pub(super) static GEMMA3: Names = Names {
    prefixes: &[
        ("model.", ""),
        ("language_model.model.", "language_model."),
        ("model.language_model.", ""),
        ("", ""),
    ],
    query_norm: "self_attn.q_norm",
    key_norm: "self_attn.k_norm",
    ..GEMMA2_NAMES
};
pub(super) static STABLELM: Names = Names {
    query_norm: "self_attn.q_layernorm.norms.{}",
    key_norm: "self_attn.k_layernorm.norms.{}",
    ..LLAMA_NAMES
};
pub(super) static PHI: Names = Names {
    last_norm: "final_layernorm",
    query_norm: "self_attn.q_layernorm",
    key_norm: "self_attn.k_layernorm",
    output: "self_attn.dense",
    gate: "",
    up: "mlp.fc1",
    down: "mlp.fc2",
    ..LLAMA_NAMES
};
pub(super) static FALCON: Names = FALCON_NAMES;
/// Falcon where attention and MLP have norms of their own.
pub(super) static FALCON_TWO_NORMS: Names =
    Names { attention_norm: "ln_attn", mlp_norm: "ln_mlp", ..FALCON_NAMES };
pub(super) static BLOOM: Names = Names { embedding_norm: "word_embeddings_layernorm", ..FALCON_NAMES };
pub(super) static GPT_NEOX: Names = Names {
    prefixes: &[("gpt_neox.", ""), ("", "")],
    embedding: "embed_in",
    last_norm: "final_layer_norm",
    head: "embed_out",
    layers: "layers",
    query_key_value: QueryKeyValueNames::Fused("attention.query_key_value"),
    output: "attention.dense",
    ..FALCON_NAMES
};
pub(super) static MPT: Names = Names {
    embedding: "wte",
    positions: "wpe",
    last_norm: "norm_f",
    layers: "blocks",
    attention_norm: "norm_1",
    query_key_value: QueryKeyValueNames::Fused("attn.Wqkv"),
    output: "attn.out_proj",
    mlp_norm: "norm_2",
    up: "ffn.up_proj",
    down: "ffn.down_proj",
    ..FALCON_NAMES
};
pub(super) static GPT_BIGCODE: Names = Names {
    embedding: "wte",
    positions: "wpe",
    attention_norm: "ln_1",
    query_key_value: QueryKeyValueNames::Fused("attn.c_attn"),
    output: "attn.c_proj",
    mlp_norm: "ln_2",
    up: "mlp.c_fc",
    down: "mlp.c_proj",
    ..FALCON_NAMES
};
/// llama.cpp's names, the same for all.
pub(super) static GGUF: Names = GGUF_NAMES;
/// llama.cpp's names of Falcon where attention has a norm of its own: the second is attention's.
pub(super) static GGUF_FALCON_TWO_NORMS: Names =
    Names { attention_norm: "attn_norm_2", mlp_norm: "attn_norm", ..GGUF_NAMES };

const LLAMA_NAMES: Names = Names {
    prefixes: &[("model.", ""), ("", "")],
    embedding: "embed_tokens",
    embedding_norm: "",
    positions: "",
    last_norm: "norm",
    head: "lm_head",
    layers: "layers",
    attention_norm: "input_layernorm",
    query_key_value: QueryKeyValueNames::Separate([
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
    ]),
    fused: "",
    query_norm: "",
    key_norm: "",
    output: "self_attn.o_proj",
    post_attention_norm: "",
    mlp_norm: "post_attention_layernorm",
    post_mlp_norm: "",
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    down: "mlp.down_proj",
    router: "block_sparse_moe.gate",
    expert_gate: "block_sparse_moe.experts.{}.w1",
    expert_up: "block_sparse_moe.experts.{}.w3",
    expert_down: "block_sparse_moe.experts.{}.w2",
};

const GEMMA2_NAMES: Names = Names {
    post_attention_norm: "post_attention_layernorm",
    mlp_norm: "pre_feedforward_layernorm",
    post_mlp_norm: "post_feedforward_layernorm",
    ..LLAMA_NAMES
};

const FALCON_NAMES: Names = Names {
    prefixes: &[("transformer.", ""), ("", "")],
    embedding: "word_embeddings",
    last_norm: "ln_f",
    layers: "h",
    query_key_value: QueryKeyValueNames::Fused("self_attention.query_key_value"),
    output: "self_attention.dense",
    gate: "",
    up: "mlp.dense_h_to_4h",
    down: "mlp.dense_4h_to_h",
    router: "",
    expert_gate: "",
    expert_up: "",
    expert_down: "",
    ..LLAMA_NAMES
};

const GGUF_NAMES: Names = Names {
    prefixes: &[("", "")],
    embedding: "token_embd",
    embedding_norm: "token_embd_norm",
    positions: "position_embd",
    last_norm: "output_norm",
    head: "output",
    layers: "blk",
    attention_norm: "attn_norm",
    query_key_value: QueryKeyValueNames::Separate(["attn_q", "attn_k", "attn_v"]),
    fused: "attn_qkv",
    query_norm: "attn_q_norm",
    key_norm: "attn_k_norm",
    output: "attn_output",
    post_attention_norm: "post_attention_norm",
    mlp_norm: "ffn_norm",
    post_mlp_norm: "post_ffw_norm",
    gate: "ffn_gate",
    up: "ffn_up",
    down: "ffn_down",
    router: "ffn_gate_inp",
    expert_gate: "ffn_gate_exps",
    expert_up: "ffn_up_exps",
    expert_down: "ffn_down_exps",
};

impl Names {
    /// What stands before all names in these files, and before the head's: the prefix that the embedding has.
    pub(super) fn prefix(&self, tensors: &Tensors) -> Result<(&'static str, &'static str), String> {
        let there = |prefix: &str| tensors.get(&format!("{prefix}{}.weight", self.embedding)).is_some();
        self.prefixes.iter().copied().find(|it| there(it.0)).ok_or_else(|| {
            let first = self.prefixes.first().map_or("", |it| it.0);
            format!("no tensor `{first}{}.weight`", self.embedding)
        })
    }
}

/// Buffers that were saved beside the weights: masks and tables that are computed from the settings, and the parts
/// of a model that reads images.
pub(super) fn is_harmless(name: &str) -> bool {
    let buffers = [
        ".rotary_emb.inv_freq",
        ".rotary_emb.cos_cached",
        ".rotary_emb.sin_cached",
        ".maybe_rotary.inv_freq",
        ".attention.bias",
        ".attention.masked_bias",
        ".attn.bias",
        ".attn.masked_bias",
        ".attn_rot_embd.weight",
    ];
    let images =
        ["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."];
    buffers.iter().any(|it| name.ends_with(it)) || images.iter().any(|it| name.starts_with(it))
}
