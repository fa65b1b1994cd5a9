//! Settings as they are published, in both spellings, and what they mean; options that nobody can follow.

use rstest::rstest;
use serde_json::{Value, json};

use crate::checkpoint::{Checkpoint, Tensors};
use crate::spec::{Activation, Experts, NormKind, Positions, QueryKeyNorm, Residual, Spec};

/// The embedding under all names, so that any architecture finds its own.
fn read(config: &Value) -> Result<Spec, String> {
    let names = [
        "model.embed_tokens.weight",
        "transformer.word_embeddings.weight",
        "gpt_neox.embed_in.weight",
        "transformer.wte.weight",
    ];
    let tensors: Vec<(&str, &[usize])> = names.iter().map(|it| (*it, &[8_usize, 8][..])).collect();
    Checkpoint::read_config(config, &Tensors::described(&tensors))
}

/// `{"model_type": kind}` and these settings: what is not said has the class's default.
fn with(kind: &str, mut settings: Value) -> Value {
    settings["model_type"] = json!(kind);
    settings
}

fn windows(spec: &Spec) -> Vec<Option<usize>> {
    spec.layers.iter().map(|it| it.window).collect()
}

/// The first frequencies of the first table, and how many there are.
fn rotary(spec: &Spec) -> (usize, f64) {
    let Positions::Rotary(tables) = &spec.positions else { panic!("{:?}", spec.positions) };
    (tables[0].frequencies.len(), tables[0].frequencies[1])
}

/// The last frequency's distance from θ's plain one, as a factor.
fn stretched(spec: &Spec, theta: f64) -> f64 {
    let Positions::Rotary(tables) = &spec.positions else { panic!("{:?}", spec.positions) };
    let count = tables[0].frequencies.len();
    let plain = theta.powf(-((count - 1) as f64) / count as f64);
    plain / tables[0].frequencies[count - 1]
}

#[track_caller]
fn close(ours: f64, wanted: f64) {
    assert!((ours / wanted - 1.0).abs() < 1e-6, "{ours} {wanted}");
}

#[test]
fn llama_2_7b() {
    let spec = read(&json!({
        "_name_or_path": "meta-llama/Llama-2-7b-hf", "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096,
        "initializer_range": 0.02, "intermediate_size": 11008, "max_position_embeddings": 4096,
        "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 32, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": null,
        "tie_word_embeddings": false, "torch_dtype": "float16", "transformers_version": "4.31.0.dev0",
        "use_cache": true, "vocab_size": 32000
    }))
    .unwrap();
    assert_eq!((spec.attention.heads, spec.attention.kv_heads, spec.attention.head_size), (32, 32, 128));
    assert_eq!((spec.hidden, spec.mlp.size, spec.layers.len(), spec.context), (4096, 11008, 32, 4096));
    assert_eq!(spec.norm, NormKind::Rms { epsilon: 1e-5 });
    assert!(spec.mlp.gated && spec.mlp.activation == Activation::Silu);
    close(rotary(&spec).1, 10_000_f64.powf(-2.0 / 128.0));
}

#[test]
fn settings_that_older_files_write_down_of_every_model() {
    let older = json!({
        "add_cross_attention": false, "chunk_size_feed_forward": 0, "cross_attention_hidden_size": null,
        "is_decoder": false, "is_encoder_decoder": false, "output_attentions": false, "prefix": null,
        "pruned_heads": {}, "return_dict": true, "sep_token_id": null, "tf_legacy_loss": false,
        "tie_encoder_decoder": false, "torchscript": false, "use_bfloat16": false
    });
    assert_eq!(read(&with("llama", older)).unwrap(), read(&with("llama", json!({}))).unwrap());
}

#[test]
fn rotary_positions_in_both_spellings() {
    let llama3 = json!({
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3"
    });
    let old = with("llama", json!({ "rope_theta": 500_000.0, "rope_scaling": llama3 }));
    let mut inner = llama3;
    inner["rope_theta"] = json!(500_000);
    let new = with("llama", json!({ "rope_parameters": inner }));
    assert_eq!(read(&old).unwrap(), read(&new).unwrap());
    close(stretched(&read(&old).unwrap(), 500_000.0), 8.0);

    let linear = with("llama", json!({ "rope_scaling": { "type": "linear", "factor": 4.0 } }));
    close(stretched(&read(&linear).unwrap(), 10_000.0), 4.0);

    let old = with("gpt_neox", json!({ "rotary_pct": 0.5, "rotary_emb_base": 20_000 }));
    let new = json!({ "rope_theta": 20_000, "partial_rotary_factor": 0.5, "rope_type": "default" });
    let new = with("gpt_neox", json!({ "rope_parameters": new }));
    assert_eq!(read(&old).unwrap(), read(&new).unwrap());
    assert_eq!(rotary(&read(&old).unwrap()).0, 24);

    let old = json!({ "rope_theta": 2e6, "rope_local_base_freq": 2e4, "sliding_window_pattern": 6 });
    let new = json!({ "rope_parameters": {
        "full_attention": { "rope_type": "default", "rope_theta": 2e6 },
        "sliding_attention": { "rope_type": "default", "rope_theta": 2e4 },
    }});
    assert_eq!(read(&with("gemma3_text", old)).unwrap(), read(&with("gemma3_text", new)).unwrap());
}

#[test]
fn yarn() {
    let scaling = json!({ "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768 });
    let spec = read(&with("qwen2", json!({ "rope_theta": 1e6, "rope_scaling": scaling }))).unwrap();
    close(stretched(&spec, 1e6), 4.0);
    let Positions::Rotary(tables) = spec.positions else { panic!("no tables") };
    close(tables[0].scale, 0.1 * 4_f64.ln() + 1.0);
}

#[test]
fn falcon_7b_writes_a_number_of_key_heads_that_it_does_not_use() {
    let spec = read(&json!({
        "alibi": false, "apply_residual_connection_post_layernorm": false,
        "architectures": ["FalconForCausalLM"], "attention_dropout": 0.0,
        "auto_map": { "AutoConfig": "configuration_falcon.FalconConfig" }, "bias": false,
        "bos_token_id": 11, "eos_token_id": 11, "hidden_dropout": 0.0, "hidden_size": 4544,
        "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "falcon",
        "multi_query": true, "new_decoder_architecture": false, "num_attention_heads": 71,
        "num_hidden_layers": 32, "num_kv_heads": 71, "parallel_attn": true, "torch_dtype": "bfloat16",
        "transformers_version": "4.27.4", "use_cache": true, "vocab_size": 65024
    }))
    .unwrap();
    assert_eq!((spec.attention.heads, spec.attention.kv_heads, spec.attention.head_size), (71, 1, 64));
    assert_eq!((spec.residual, spec.mlp.size), (Residual::ParallelOneNorm, 4 * 4544));
}

#[test]
fn falcon_in_its_other_forms() {
    let grouped = json!({ "new_decoder_architecture": true, "num_attention_heads": 128, "num_kv_heads": 8,
                          "hidden_size": 8192 });
    let spec = read(&with("falcon", grouped.clone())).unwrap();
    assert_eq!((spec.attention.kv_heads, spec.residual), (8, Residual::ParallelTwoNorms));
    let mut one = grouped.clone();
    one["num_ln_in_parallel_attn"] = json!(1);
    assert_eq!(read(&with("falcon", one)).unwrap().residual, Residual::ParallelOneNorm);
    // As the first files of 40B put it.
    let early = json!({ "n_head": 128, "n_head_kv": 8, "n_layer": 60, "hidden_size": 8192 });
    let spec = read(&with("RefinedWeb", early)).unwrap();
    assert_eq!((spec.attention.kv_heads, spec.residual), (8, Residual::ParallelTwoNorms));

    let rw = json!({ "alibi": true, "bias": true, "hidden_size": 2048, "multi_query": false,
                     "num_attention_heads": 32, "parallel_attn": false });
    let spec = read(&with("falcon", rw)).unwrap();
    assert_eq!((spec.attention.kv_heads, spec.residual), (32, Residual::Serial));
    let Positions::Alibi { slopes, rounded } = spec.positions else { panic!("no slopes") };
    // 2^-0.25 in 16 bits.
    close(f64::from(slopes[0]), 0.839_843_75);
    assert_eq!(rounded, Some(0.125));
}

#[test]
fn bloom_560m() {
    let spec = read(&json!({
        "apply_residual_connection_post_layernorm": false, "architectures": ["BloomForCausalLM"],
        "attention_dropout": 0.0, "attention_softmax_in_fp32": true, "bias_dropout_fusion": true,
        "bos_token_id": 1, "eos_token_id": 2, "hidden_dropout": 0.0, "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05, "masked_softmax_fusion": true, "model_type": "bloom",
        "n_embed": 1024, "n_inner": null, "n_layer": 24, "num_attention_heads": 16, "offset_alibi": 100,
        "pad_token_id": 3, "pretraining_tp": 1, "seq_length": 2048, "skip_bias_add": true,
        "skip_bias_add_qkv": false, "transformers_version": "4.20.0", "unk_token_id": 0,
        "use_cache": true, "vocab_size": 250_880
    }))
    .unwrap();
    assert_eq!((spec.hidden, spec.layers.len(), spec.attention.heads, spec.context), (1024, 24, 16, 2048));
    assert!(spec.embedding_norm && spec.mlp.activation == Activation::GeluTanh);
}

#[test]
fn mpt_7b_storywriter() {
    let spec = read(&json!({
        "architectures": ["MPTForCausalLM"],
        "attn_config": {
            "alibi": true, "alibi_bias_max": 16, "attn_impl": "torch", "attn_pdrop": 0,
            "attn_type": "multihead_attention", "attn_uses_sequence_id": false, "clip_qkv": 6,
            "prefix_lm": false, "qk_ln": false, "softmax_scale": null
        },
        "auto_map": {}, "d_model": 4096, "emb_pdrop": 0, "embedding_fraction": 1.0, "expansion_ratio": 4,
        "init_config": { "name": "kaiming_normal_" }, "init_device": "cpu", "learned_pos_emb": true,
        "logit_scale": null, "max_seq_len": 65536, "model_type": "mpt", "n_heads": 32, "n_layers": 32,
        "no_bias": true, "norm_type": "low_precision_layernorm", "resid_pdrop": 0,
        "tokenizer_name": "EleutherAI/gpt-neox-20b", "torch_dtype": "bfloat16",
        "transformers_version": "4.28.1", "use_cache": false, "verbose": 0, "vocab_size": 50432
    }))
    .unwrap();
    assert_eq!((spec.context, spec.attention.clip, spec.logit_scale), (65536, Some(6.0), None));
    let Positions::Alibi { slopes, rounded: None } = spec.positions else { panic!("no slopes") };
    close(f64::from(slopes[31]), 2_f64.powi(-16));
}

#[test]
fn mpt_scales() {
    let spec = read(&with(
        "mpt",
        json!({
            "logit_scale": "inv_sqrt_d_model", "attn_config": { "softmax_scale": 0.5, "alibi": false }
        }),
    ))
    .unwrap();
    assert_eq!((spec.positions, spec.attention.scale), (Positions::Learned, 0.5));
    close(f64::from(spec.logit_scale.unwrap()), 1.0 / 2048_f64.sqrt());
    let single = json!({ "attn_config": { "attn_type": "multiquery_attention" } });
    assert_eq!(read(&with("mpt", single)).unwrap().attention.kv_heads, 1);
}

#[test]
fn gpt_neox_20b() {
    let spec = read(&json!({
        "architectures": ["GPTNeoXForCausalLM"], "attention_probs_dropout_prob": 0, "bos_token_id": 0,
        "eos_token_id": 0, "hidden_act": "gelu_fast", "hidden_dropout_prob": 0, "hidden_size": 6144,
        "initializer_range": 0.02, "intermediate_size": 24576, "layer_norm_eps": 1e-05,
        "max_position_embeddings": 2048, "model_type": "gpt_neox", "num_attention_heads": 64,
        "num_hidden_layers": 44, "rotary_emb_base": 10000, "rotary_pct": 0.25,
        "tie_word_embeddings": false, "torch_dtype": "float16", "use_cache": true, "vocab_size": 50432
    }))
    .unwrap();
    assert_eq!((spec.residual, spec.mlp.activation), (Residual::ParallelTwoNorms, Activation::GeluTanh));
    assert_eq!(rotary(&spec).0, 12);
}

#[test]
fn starcoder_and_a_santa_with_many_keys() {
    let spec = read(&json!({
        "activation_function": "gelu_pytorch_tanh", "architectures": ["GPTBigCodeForCausalLM"],
        "attention_softmax_in_fp32": true, "attn_pdrop": 0.1, "bos_token_id": 0, "embd_pdrop": 0.1,
        "eos_token_id": 0, "inference_runner": 0, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05,
        "max_batch_size": null, "max_sequence_length": null, "model_type": "gpt_bigcode",
        "multi_query": true, "n_embd": 6144, "n_head": 48, "n_inner": 24576, "n_layer": 40,
        "n_positions": 8192, "pad_key_length": true, "pre_allocate_kv_cache": false, "resid_pdrop": 0.1,
        "scale_attention_softmax_in_fp32": true, "scale_attn_weights": true, "summary_activation": null,
        "summary_first_dropout": 0.1, "summary_proj_to_labels": true, "summary_type": "cls_index",
        "summary_use_proj": true, "torch_dtype": "float32", "transformers_version": "4.28.1",
        "use_cache": true, "validate_runner_input": true, "vocab_size": 49152
    }))
    .unwrap();
    assert_eq!((spec.attention.heads, spec.attention.kv_heads, spec.context), (48, 1, 8192));
    assert_eq!((&spec.positions, spec.mlp.size), (&Positions::Learned, 24576));
    let many = read(&with("gpt_bigcode", json!({ "multi_query": false }))).unwrap();
    assert_eq!((many.attention.kv_heads, many.mlp.size), (12, 4 * 768));
}

#[test]
fn mixtral_8x7b() {
    let spec = read(&with(
        "mixtral",
        json!({
            "num_experts_per_tok": 2, "num_local_experts": 8, "output_router_logits": false,
            "router_aux_loss_coef": 0.02, "rope_theta": 1e6, "sliding_window": null
        }),
    ))
    .unwrap();
    assert_eq!(spec.mlp.experts, Some(Experts { count: 8, used: 2 }));
    assert_eq!((spec.attention.kv_heads, windows(&spec)), (8, vec![None; 32]));
}

#[test]
fn mistral_slides_unless_null() {
    assert_eq!(windows(&read(&with("mistral", json!({}))).unwrap()), [Some(4096); 32]);
    assert_eq!(windows(&read(&with("mistral", json!({ "sliding_window": null }))).unwrap()), [None; 32]);
}

#[test]
fn qwen2_slides_where_it_says() {
    let settings = |more: Value| {
        let mut it = json!({ "num_hidden_layers": 4, "sliding_window": 64, "max_window_layers": 2 });
        it.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        windows(&read(&with("qwen2", it)).unwrap())
    };
    assert_eq!(settings(json!({})), [None; 4]);
    assert_eq!(settings(json!({ "use_sliding_window": true })), [None, None, Some(64), Some(64)]);
    assert_eq!(settings(json!({ "use_sliding_window": true, "max_window_layers": 0 })), [Some(64); 4]);
    let types = ["sliding_attention", "full_attention", "full_attention", "full_attention"];
    let listed = settings(json!({ "use_sliding_window": true, "layer_types": types }));
    assert_eq!(listed, [Some(64), None, None, None]);
}

#[test]
fn qwen3_06b() {
    let spec = read(&json!({
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
        "bos_token_id": 151_643, "eos_token_id": 151_645, "head_dim": 128, "hidden_act": "silu",
        "hidden_size": 1024, "initializer_range": 0.02, "intermediate_size": 3072,
        "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3",
        "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1_000_000, "sliding_window": null,
        "tie_word_embeddings": true, "torch_dtype": "bfloat16", "transformers_version": "4.51.0",
        "use_cache": true, "use_sliding_window": false, "vocab_size": 151_936
    }))
    .unwrap();
    assert_eq!((spec.attention.heads, spec.attention.kv_heads, spec.attention.head_size), (16, 8, 128));
    assert_eq!(
        (spec.attention.query_key_norm, spec.residual),
        (Some(QueryKeyNorm::Shared), Residual::Serial)
    );
    let silent = read(&with("qwen3", json!({ "hidden_size": 1000 }))).unwrap();
    assert_eq!(silent.attention.head_size, 128);
}

#[test]
fn gemma_2_2b() {
    let spec = read(&json!({
        "architectures": ["Gemma2ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
        "attn_logit_softcapping": 50.0, "bos_token_id": 2, "cache_implementation": "hybrid",
        "eos_token_id": 1, "final_logit_softcapping": 30.0, "head_dim": 256,
        "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 2304,
        "initializer_range": 0.02, "intermediate_size": 9216, "max_position_embeddings": 8192,
        "model_type": "gemma2", "num_attention_heads": 8, "num_hidden_layers": 26,
        "num_key_value_heads": 4, "pad_token_id": 0, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0, "sliding_window": 4096, "torch_dtype": "float32",
        "transformers_version": "4.42.4", "use_cache": true, "vocab_size": 256_000
    }))
    .unwrap();
    assert_eq!((spec.attention.cap, spec.logit_cap, spec.attention.scale), (Some(50.0), Some(30.0), 0.0625));
    assert_eq!(windows(&spec)[..3], [Some(4096), None, Some(4096)]);
    assert!(spec.layers.iter().all(|it| it.rotary == 0));
    let silent = read(&with("gemma2", json!({ "attn_logit_softcapping": null }))).unwrap();
    assert_eq!((silent.attention.cap, silent.logit_cap), (None, Some(30.0)));
}

#[test]
fn gemma_3_4b() {
    let spec = read(&json!({
        "architectures": ["Gemma3ForConditionalGeneration"], "boi_token_index": 255_999,
        "eoi_token_index": 256_000, "eos_token_id": [1, 106], "image_token_index": 262_144,
        "initializer_range": 0.02, "mm_tokens_per_image": 256, "model_type": "gemma3",
        "text_config": {
            "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
            "num_hidden_layers": 34, "rope_scaling": { "factor": 8.0, "rope_type": "linear" },
            "sliding_window": 1024
        },
        "torch_dtype": "bfloat16", "transformers_version": "4.50.0.dev0",
        "vision_config": { "hidden_size": 1152, "model_type": "siglip_vision_model" }
    }))
    .unwrap();
    assert_eq!((spec.attention.heads, spec.attention.kv_heads, spec.attention.head_size), (8, 4, 256));
    assert_eq!(spec.attention.query_key_norm, Some(QueryKeyNorm::Shared));
    assert_eq!(
        windows(&spec)[..7],
        [Some(1024), Some(1024), Some(1024), Some(1024), Some(1024), None, Some(1024)]
    );
    close(stretched(&spec, 1e6), 8.0);
    let Positions::Rotary(tables) = spec.positions else { panic!("no tables") };
    close(tables[1].frequencies[127], 10_000_f64.powf(-127.0 / 128.0));
}

#[test]
fn gemma_has_heads_of_256_whatever_its_hidden_size() {
    let spec = read(&with("gemma3_text", json!({ "hidden_size": 100, "num_attention_heads": 8 }))).unwrap();
    assert_eq!(spec.attention.head_size, 256);
}

#[test]
fn stablelm_2_12b_and_phi_2() {
    let spec = read(&with(
        "stablelm",
        json!({
            "hidden_size": 5120, "num_attention_heads": 32, "num_key_value_heads": 8, "qk_layernorm": true,
            "use_parallel_residual": true, "partial_rotary_factor": 0.25, "rope_theta": 10000
        }),
    ))
    .unwrap();
    assert_eq!(spec.attention.query_key_norm, Some(QueryKeyNorm::PerHead));
    assert_eq!((spec.residual, rotary(&spec).0), (Residual::ParallelOneNorm, 20));
    let phi = read(&with(
        "phi",
        json!({
            "hidden_size": 2560, "partial_rotary_factor": 0.4, "qk_layernorm": false, "hidden_act": "gelu_new"
        }),
    ))
    .unwrap();
    assert_eq!((phi.residual, rotary(&phi).0), (Residual::ParallelOneNorm, 16));
}

#[rstest]
#[case::architecture("mamba", json!({}), "`mamba`")]
#[case::unknown("llama", json!({ "mup_scale": 2 }), "`mup_scale` is 2, an option that the decoder does not know")]
#[case::quantized("llama", json!({ "quantization_config": { "quant_method": "fp8" } }), "`quantization_config.quant_method` is `fp8`")]
#[case::encoder("llama", json!({ "is_encoder_decoder": true }), "`is_encoder_decoder` is true")]
#[case::activation("llama", json!({ "hidden_act": "quick_gelu" }), "`hidden_act` is \"quick_gelu\"")]
#[case::two_names("bloom", json!({ "n_embed": 8, "hidden_size": 16 }), "is 16, but `n_embed` is 8")]
#[case::no_heads("llama", json!({ "num_attention_heads": 0 }), "`num_attention_heads` is 0")]
#[case::many_heads("bloom", json!({ "n_head": 1_u64 << 40 }), "`n_head` is 1099511627776")]
#[case::negative("llama", json!({ "hidden_size": -4 }), "`hidden_size` is -4")]
#[case::fraction("llama", json!({ "hidden_size": 0.5 }), "`hidden_size` is 0.5")]
#[case::many_layers("llama", json!({ "num_hidden_layers": 1 << 20 }), "`num_hidden_layers` is 1048576")]
#[case::uneven("llama", json!({ "hidden_size": 100 }), "do not make 32 heads")]
#[case::key_heads("llama", json!({ "num_key_value_heads": 5 }), "cannot share 5")]
#[case::odd_head("llama", json!({ "head_dim": 15 }), "15 of the 15 elements")]
#[case::odd_share("gpt_neox", json!({ "rotary_pct": 0.01 }), "of the 96 elements")]
#[case::large_share("phi", json!({ "partial_rotary_factor": 1.5 }), "`partial_rotary_factor` is 1.5")]
#[case::share("llama", json!({ "partial_rotary_factor": 0.5 }), "whole heads")]
#[case::theta("llama", json!({ "rope_theta": 0 }), "`rope_theta` is 0")]
#[case::two_thetas(
    "llama",
    json!({ "rope_theta": 1e4, "rope_parameters": { "rope_theta": 2e4 } }),
    "`rope_theta` is 10000 in one place"
)]
#[case::dynamic("llama", json!({ "rope_scaling": { "type": "dynamic", "factor": 2 } }), "`dynamic` scaling")]
#[case::no_factor("llama", json!({ "rope_scaling": { "type": "linear" } }), "no `factor`")]
#[case::scaling(
    "llama",
    json!({ "rope_scaling": { "rope_type": "linear", "factor": 2, "mrope_section": [1] } }),
    "`rope_scaling.mrope_section` is [1]"
)]
#[case::bounds(
    "llama",
    json!({ "rope_scaling": { "type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4 } }),
    "not below"
)]
#[case::experts("mixtral", json!({ "num_experts_per_tok": 9 }), "more than the 8 experts")]
#[case::bidirectional("gemma3_text", json!({ "use_bidirectional_attention": true }), "bidirectional")]
#[case::mlp_bias("qwen3", json!({ "mlp_bias": true }), "`mlp_bias` is true")]
#[case::layer_types("gemma3_text", json!({ "layer_types": ["full_attention"] }), "names 1 layers")]
#[case::layer_type(
    "qwen2",
    json!({ "num_hidden_layers": 1, "layer_types": ["chunked_attention"] }),
    "`chunked_attention`"
)]
#[case::no_text("gemma3", json!({}), "no `text_config`")]
#[case::post_norm(
    "bloom",
    json!({ "apply_residual_connection_post_layernorm": true }),
    "`apply_residual_connection_post_layernorm` is true"
)]
#[case::slices("bloom", json!({ "slow_but_exact": true }), "`slow_but_exact` is true")]
#[case::norms("falcon", json!({ "num_ln_in_parallel_attn": 2 }), "`num_ln_in_parallel_attn` is 2")]
#[case::serial_groups(
    "falcon",
    json!({ "new_decoder_architecture": true, "parallel_attn": false, "num_attention_heads": 64, "hidden_size": 64 }),
    "`parallel_attn` is false"
)]
#[case::query_norm("mpt", json!({ "attn_config": { "qk_ln": true } }), "`attn_config.qk_ln` is true")]
#[case::prefix("mpt", json!({ "attn_config": { "prefix_lm": true } }), "`attn_config.prefix_lm` is true")]
#[case::attention_option("mpt", json!({ "attn_config": { "new": 1 } }), "`attn_config.new` is 1")]
#[case::norm_type("mpt", json!({ "norm_type": "rmsnorm" }), "`rmsnorm`")]
#[case::no_positions(
    "mpt",
    json!({ "learned_pos_emb": false, "attn_config": { "alibi": false } }),
    "both false"
)]
#[case::cross("gpt_bigcode", json!({ "add_cross_attention": true }), "`add_cross_attention` is true")]
#[case::pruned("llama", json!({ "pruned_heads": { "0": [1] } }), "`pruned_heads` is {\"0\":[1]}")]
#[case::epsilon("llama", json!({ "rms_norm_eps": 0 }), "`rms_norm_eps` is 0")]
#[case::long("llama", json!({ "odd": "x".repeat(1000) }), "…")]
fn options_that_nobody_can_follow(#[case] kind: &str, #[case] settings: Value, #[case] reason: &str) {
    let message = read(&with(kind, settings)).unwrap_err();
    assert!(message.contains(reason) && message.len() < 300, "{message}");
}
