//! Falcon, BLOOM, GPT-NeoX, MPT and GPT-BigCode: queries, keys and values in one matrix, a plain MLP, layer norms.

use serde_json::{Value, json};

use super::super::layout::{Biases, Fusing, Layout};
use super::super::names;
use super::super::rotary::{Rope, Share};
use super::super::settings::{MOST, Settings};
use super::super::tensors::Tensors;
use super::{ALL_BIASES, Defaults, MOST_HEADS, common, inverse_root, share_heads};
use crate::spec::{Activation, Positions, Residual, Spec, alibi_slopes, to_bf16};

/// `grouped`: an early name of the architecture that means the newer decoder.
pub(super) fn falcon(
    settings: &Settings,
    tensors: &Tensors,
    grouped: bool,
) -> Result<(Spec, Layout), String> {
    let defaults = Defaults {
        vocabulary: 65_024,
        hidden: 4544,
        layers: 32,
        heads: 71,
        head_size: None,
        context: 2048,
        epsilon: 1e-5,
        tied: true,
    };
    let (mut spec, tied) = common(settings, &defaults, false)?;
    settings.only("apply_residual_connection_post_layernorm", &json!(false))?;
    settings.only("ff_factor", &json!(4))?;
    let grouped = settings.flag("new_decoder_architecture", grouped)?;
    let parallel = settings.flag("parallel_attn", true)?;
    let single = settings.flag("multi_query", true)?;
    let heads = spec.attention.heads;
    let written = settings.count(&["num_kv_heads", "n_head_kv"], MOST_HEADS)?;
    share_heads(
        &mut spec,
        match (grouped, single) {
            (true, _) => written.unwrap_or(heads),
            // The older decoder writes down a number that it does not use.
            (false, true) => 1,
            (false, false) => heads,
        },
    )?;
    spec.mlp.size = settings.count(&["ffn_hidden_size"], MOST)?.unwrap_or(4 * spec.hidden);
    spec.mlp.activation = settings.activation(&["activation"], Activation::Gelu)?;
    let norms = settings.count(&["num_ln_in_parallel_attn"], 2)?;
    spec.residual = match (grouped, parallel, norms) {
        (true, true, None | Some(2)) => Residual::ParallelTwoNorms,
        (true, true, Some(_)) | (false, true, None | Some(1)) => Residual::ParallelOneNorm,
        (false, false, None | Some(1)) => Residual::Serial,
        (true, false, _) => {
            return Err("`parallel_attn` is false, which the new decoder architecture cannot be".to_owned());
        }
        (false, _, Some(_)) => {
            return Err(
                "`num_ln_in_parallel_attn` is 2, which only the new decoder architecture has".to_owned()
            );
        }
    };
    let head_size = spec.attention.head_size;
    spec.positions = if settings.flag("alibi", false)? {
        // Here ALiBi is computed in 16 bits, and added before the scores are scaled.
        let slopes = alibi_slopes(heads, 8.0).into_iter().map(to_bf16).collect();
        settings.object("rope_scaling")?.map_or(Ok(()), |it| it.only("rope_type", &json!("default")))?;
        settings.positive(&["rope_theta"])?;
        settings.object("rope_parameters")?;
        Positions::Alibi { slopes, rounded: Some(spec.attention.scale) }
    } else {
        Positions::Rotary(vec![Rope::PLAIN.table(settings, spec.context, head_size)?])
    };
    let bias = settings.flag("bias", false)?;
    let biases = Biases { query_key_value: bias, output: bias, mlp: bias, ..ALL_BIASES };
    let two = spec.residual == Residual::ParallelTwoNorms;
    let names = if two { &names::FALCON_TWO_NORMS } else { &names::FALCON };
    Ok((spec, Layout { biases, tied, ..Layout::new(names, tensors)? }))
}

pub(super) fn bloom(settings: &Settings, tensors: &Tensors) -> Result<(Spec, Layout), String> {
    let defaults = Defaults {
        vocabulary: 250_880,
        hidden: 64,
        layers: 2,
        heads: 8,
        head_size: None,
        context: 2048,
        epsilon: 1e-5,
        tied: true,
    };
    let (mut spec, tied) = common(settings, &defaults, false)?;
    settings.only("apply_residual_connection_post_layernorm", &json!(false))?;
    settings.only("n_inner", &json!(4 * spec.hidden))?;
    // Sums in slices, without the biases.
    settings.only("slow_but_exact", &json!(false))?;
    spec.embedding_norm = true;
    spec.positions = Positions::Alibi { slopes: alibi_slopes(spec.attention.heads, 8.0), rounded: None };
    spec.mlp.activation = Activation::GeluTanh;
    Ok((spec, Layout { biases: ALL_BIASES, tied, ..Layout::new(&names::BLOOM, tensors)? }))
}

pub(super) fn gpt_neox(settings: &Settings, tensors: &Tensors) -> Result<(Spec, Layout), String> {
    let defaults = Defaults {
        vocabulary: 50_432,
        hidden: 6144,
        layers: 44,
        heads: 64,
        head_size: None,
        context: 2048,
        epsilon: 1e-5,
        tied: false,
    };
    let (mut spec, tied) = common(settings, &defaults, false)?;
    let rope =
        Rope { theta: "rotary_emb_base", default_theta: 10_000.0, share: Share::Part("rotary_pct", 0.25) };
    spec.positions = Positions::Rotary(vec![rope.table(settings, spec.context, spec.attention.head_size)?]);
    spec.mlp.size = settings.count(&["intermediate_size"], MOST)?.unwrap_or(24_576);
    spec.mlp.activation = settings.activation(&["hidden_act"], Activation::Gelu)?;
    if settings.flag("use_parallel_residual", true)? {
        spec.residual = Residual::ParallelTwoNorms;
    }
    let attention = settings.flag("attention_bias", true)?;
    let biases = Biases { query_key_value: attention, output: attention, ..ALL_BIASES };
    Ok((spec, Layout { biases, tied, ..Layout::new(&names::GPT_NEOX, tensors)? }))
}

pub(super) fn mpt(settings: &Settings, tensors: &Tensors) -> Result<(Spec, Layout), String> {
    let defaults = Defaults {
        vocabulary: 50_368,
        hidden: 2048,
        layers: 24,
        heads: 16,
        head_size: None,
        context: 2048,
        epsilon: 1e-5,
        tied: true,
    };
    let (mut spec, tied) = common(settings, &defaults, false)?;
    let layout = Layout::new(&names::MPT, tensors)?;
    // transformers has always four times the hidden size, the original code what the settings say: the weights know.
    settings.count(&["expansion_ratio"], MOST)?;
    if let Some(up) = tensors.get(&format!("{}.weight", layout.in_layer(0, names::MPT.up))) {
        spec.mlp.size = *up.shape.first().filter(|it| **it <= MOST).unwrap_or(&spec.mlp.size);
    }
    match settings.text(&["norm_type"])? {
        None | Some("low_precision_layernorm" | "layernorm") => {}
        Some(other) => return Err(format!("`norm_type` is `{other}`, where only layer norms are possible")),
    }
    if let Some(scale) = settings.number_or_text("logit_scale")? {
        #[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
        let scale = match scale {
            Ok(number) => number as f32,
            Err("inv_sqrt_d_model") => inverse_root(spec.hidden as f64),
            Err(other) => return Err(format!("`logit_scale` is `{other}`, which the decoder does not know")),
        };
        spec.logit_scale = Some(scale);
    }
    let learned = settings.flag("learned_pos_emb", true)?;
    let mut alibi = true;
    let mut steepest = 8.0;
    if let Some(attention) = settings.object("attn_config")? {
        alibi = attention.flag("alibi", true)?;
        steepest = attention.positive(&["alibi_bias_max"])?.unwrap_or(8.0);
        #[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
        let float = |it: f64| it as f32;
        // Zero means none, as in the original code.
        spec.attention.clip = attention.number("clip_qkv")?.filter(|it| *it != 0.0).map(float);
        if spec.attention.clip.is_some_and(|it| it < 0.0) {
            return Err("`attn_config.clip_qkv` is below 0".to_owned());
        }
        if let Some(scale) = attention.positive(&["softmax_scale"])? {
            spec.attention.scale = float(scale);
        }
        match attention.text(&["attn_type"])? {
            None | Some("multihead_attention") => {}
            Some("multiquery_attention") => share_heads(&mut spec, 1)?,
            Some(other) => {
                return Err(format!("`attn_config.attn_type` is `{other}`, which the decoder does not know"));
            }
        }
        for option in ["prefix_lm", "qk_ln", "qk_gn", "attn_uses_sequence_id", "rope"] {
            attention.only(option, &json!(false))?;
        }
        attention.only("sliding_window_size", &json!(-1))?;
        // Ways to compute the same.
        attention.text(&["attn_impl"])?;
        attention.finish()?;
    }
    spec.positions = match (alibi, learned) {
        (true, _) => Positions::Alibi { slopes: alibi_slopes(spec.attention.heads, steepest), rounded: None },
        (false, true) => Positions::Learned,
        (false, false) => return Err("`learned_pos_emb` and `attn_config.alibi` are both false".to_owned()),
    };
    let biases = if settings.flag("no_bias", true)? { Biases::default() } else { ALL_BIASES };
    settings.only("ffn_config", &json!({ "ffn_type": "mptmlp" }))?;
    settings.only("fc_type", &json!("torch"))?;
    Ok((spec, Layout { fusing: Fusing::Parts, biases, tied, ..layout }))
}

pub(super) fn gpt_bigcode(settings: &Settings, tensors: &Tensors) -> Result<(Spec, Layout), String> {
    let defaults = Defaults {
        vocabulary: 50_257,
        hidden: 768,
        layers: 12,
        heads: 12,
        head_size: None,
        context: 1024,
        epsilon: 1e-5,
        tied: true,
    };
    let (mut spec, tied) = common(settings, &defaults, false)?;
    let single = settings.flag("multi_query", true)?;
    let kv_heads = if single { 1 } else { spec.attention.heads };
    share_heads(&mut spec, kv_heads)?;
    settings.only("num_key_value_heads", &Value::from(kv_heads))?;
    if !settings.flag("scale_attn_weights", true)? {
        spec.attention.scale = 1.0;
    }
    spec.mlp.size = settings.count(&["n_inner"], MOST)?.unwrap_or(4 * spec.hidden);
    spec.mlp.activation = settings.activation(&["activation_function"], Activation::GeluTanh)?;
    spec.positions = Positions::Learned;
    let fusing = if single { Fusing::Parts } else { Fusing::Groups };
    Ok((spec, Layout { fusing, biases: ALL_BIASES, tied, ..Layout::new(&names::GPT_BIGCODE, tensors)? }))
}
