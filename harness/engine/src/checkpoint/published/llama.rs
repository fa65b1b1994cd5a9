//! Llama and its kin: queries, keys and values apart, a gated MLP, rotary positions.

use serde_json::{Value, json};

use super::super::layout::{Biases, Layout};
use super::super::names::{self, Names};
use super::super::rotary::{Rope, Share};
use super::super::settings::{MOST, Settings};
use super::super::tensors::Tensors;
use super::{ALL_BIASES, Defaults, MOST_EXPERTS, MOST_HEADS, common, inverse_root, share_heads};
use crate::spec::{Activation, Experts, NormKind, Positions, QueryKeyNorm, Residual, Spec};

/// Keys that are there under one name only and mean the same everywhere.
fn key_value_heads(settings: &Settings, spec: &mut Spec, absent: Option<usize>) -> Result<(), String> {
    let count = settings.nullable("num_key_value_heads", absent, MOST_HEADS)?;
    share_heads(spec, count.unwrap_or(spec.attention.heads))
}

fn with_rms_norm(spec: &mut Spec) {
    if let NormKind::Layer { epsilon } = spec.norm {
        spec.norm = NormKind::Rms { epsilon };
    }
}

fn with_windows(spec: &mut Spec, window: usize, slides: impl Fn(usize) -> bool) {
    for (index, layer) in spec.layers.iter_mut().enumerate() {
        layer.window = slides(index).then_some(window);
    }
}

/// Which layers see a window only, where the settings say it layer by layer.
fn layer_types(settings: &Settings, layers: usize) -> Result<Option<Vec<bool>>, String> {
    let Some(types) = settings.texts("layer_types")? else { return Ok(None) };
    if types.len() != layers {
        return Err(format!("`layer_types` names {} layers, where there are {layers}", types.len()));
    }
    let slides = types.into_iter().map(|it| match it {
        "sliding_attention" => Ok(true),
        "full_attention" => Ok(false),
        other => Err(format!("`layer_types` names `{other}`, which the decoder does not know")),
    });
    slides.collect::<Result<_, _>>().map(Some)
}

/// Architectures that are Llama but for what stands here.
pub(super) struct LlamaLike {
    names: &'static Names,
    defaults: Defaults,
    /// Size of the MLP.
    mlp: usize,
    kv_heads: Option<usize>,
    query_key_norm: Option<QueryKeyNorm>,
    theta: f64,
    biases: BiasRule,
    windows: WindowRule,
    experts: bool,
}

/// Which projections have biases.
#[derive(Clone, Copy)]
enum BiasRule {
    None,
    /// `attention_bias` and `mlp_bias` say it.
    Written,
    /// Queries, keys and values.
    QueryKeyValue,
    /// Queries, keys, values and output, as `attention_bias` says.
    Attention,
}

/// Which layers see a window only.
#[derive(Clone, Copy)]
enum WindowRule {
    None,
    /// All, where there is a `sliding_window`; this many tokens where the settings are silent.
    All(Option<usize>),
    /// Where `use_sliding_window` is true, those that `layer_types` names, else those from `max_window_layers` on.
    Upper,
}

pub(super) const LLAMA: LlamaLike = LlamaLike {
    names: &names::LLAMA,
    defaults: Defaults {
        vocabulary: 32_000,
        hidden: 4096,
        layers: 32,
        heads: 32,
        head_size: None,
        context: 2048,
        epsilon: 1e-6,
        tied: false,
    },
    mlp: 11_008,
    kv_heads: None,
    query_key_norm: None,
    theta: 10_000.0,
    biases: BiasRule::Written,
    windows: WindowRule::None,
    experts: false,
};
pub(super) const MISTRAL: LlamaLike = LlamaLike {
    defaults: Defaults { context: 131_072, ..LLAMA.defaults },
    mlp: 14_336,
    kv_heads: Some(8),
    biases: BiasRule::None,
    windows: WindowRule::All(Some(4096)),
    ..LLAMA
};
pub(super) const MIXTRAL: LlamaLike = LlamaLike {
    defaults: Defaults { context: 131_072, epsilon: 1e-5, ..LLAMA.defaults },
    theta: 1e6,
    windows: WindowRule::All(None),
    experts: true,
    ..MISTRAL
};
pub(super) const QWEN2: LlamaLike = LlamaLike {
    defaults: Defaults { vocabulary: 151_936, context: 32_768, ..LLAMA.defaults },
    mlp: 22_016,
    kv_heads: Some(32),
    biases: BiasRule::QueryKeyValue,
    windows: WindowRule::Upper,
    ..LLAMA
};

pub(super) const QWEN3: LlamaLike = LlamaLike {
    names: &names::QWEN3,
    defaults: Defaults { head_size: Some(128), ..QWEN2.defaults },
    query_key_norm: Some(QueryKeyNorm::Shared),
    biases: BiasRule::Attention,
    ..QWEN2
};

pub(super) fn llama(
    settings: &Settings,
    tensors: &Tensors,
    like: &LlamaLike,
) -> Result<(Spec, Layout), String> {
    let (mut spec, tied) = common(settings, &like.defaults, true)?;
    with_rms_norm(&mut spec);
    key_value_heads(settings, &mut spec, like.kv_heads)?;
    spec.attention.query_key_norm = like.query_key_norm;
    let rope = Rope { default_theta: like.theta, ..Rope::PLAIN };
    spec.positions = Positions::Rotary(vec![rope.table(settings, spec.context, spec.attention.head_size)?]);
    spec.mlp.size = settings.count(&["intermediate_size"], MOST)?.unwrap_or(like.mlp);
    spec.mlp.gated = true;
    spec.mlp.activation = settings.activation(&["hidden_act"], Activation::Silu)?;
    settings.only("rope_interleaved", &json!(false))?;
    settings.only("use_mrope", &json!(false))?;
    windows(settings, &mut spec, like.windows)?;
    if like.experts {
        let count = settings.count(&["num_local_experts"], MOST_EXPERTS)?.unwrap_or(8);
        let used = settings.count(&["num_experts_per_tok"], MOST_EXPERTS)?.unwrap_or(2);
        if used > count {
            return Err(format!("`num_experts_per_tok` is {used}, more than the {count} experts"));
        }
        spec.mlp.experts = Some(Experts { count, used });
    }
    let biases = biases(settings, like.biases)?;
    Ok((spec, Layout { biases, tied, ..Layout::new(like.names, tensors)? }))
}

fn biases(settings: &Settings, rule: BiasRule) -> Result<Biases, String> {
    let none = Biases::default();
    Ok(match rule {
        BiasRule::Written => {
            let attention = settings.flag("attention_bias", false)?;
            let mlp = settings.flag("mlp_bias", false)?;
            Biases { query_key_value: attention, output: attention, mlp, ..none }
        }
        BiasRule::Attention => {
            let attention = settings.flag("attention_bias", false)?;
            settings.only("mlp_bias", &json!(false))?;
            Biases { query_key_value: attention, output: attention, ..none }
        }
        BiasRule::None | BiasRule::QueryKeyValue => {
            let query_key_value = matches!(rule, BiasRule::QueryKeyValue);
            settings.only("attention_bias", &json!(query_key_value))?;
            settings.only("mlp_bias", &json!(false))?;
            Biases { query_key_value, ..none }
        }
    })
}

fn windows(settings: &Settings, spec: &mut Spec, rule: WindowRule) -> Result<(), String> {
    match rule {
        WindowRule::None => {}
        WindowRule::All(absent) => {
            if let Some(window) = settings.nullable("sliding_window", absent, MOST)? {
                with_windows(spec, window, |_| true);
            }
        }
        WindowRule::Upper => {
            let used = settings.flag("use_sliding_window", false)?;
            let window = settings.nullable("sliding_window", Some(4096), MOST)?.filter(|_| used);
            let first = settings.count_from(0, &["max_window_layers"], MOST)?.unwrap_or(28);
            let types = layer_types(settings, spec.layers.len())?;
            match (window, types) {
                (Some(window), Some(types)) => with_windows(spec, window, |layer| types[layer]),
                (Some(window), None) => with_windows(spec, window, |layer| layer >= first),
                (None, Some(types)) if types.contains(&true) => {
                    return Err(
                        "`layer_types` names layers that slide, without a `sliding_window`".to_owned()
                    );
                }
                (None, _) => {}
            }
        }
    }
    Ok(())
}

pub(super) fn stablelm(settings: &Settings, tensors: &Tensors) -> Result<(Spec, Layout), String> {
    let defaults = Defaults {
        vocabulary: 50_304,
        hidden: 2560,
        layers: 32,
        heads: 32,
        head_size: None,
        context: 4096,
        epsilon: 1e-5,
        tied: false,
    };
    let (mut spec, tied) = common(settings, &defaults, false)?;
    key_value_heads(settings, &mut spec, Some(32))?;
    let rope = Rope { share: Share::Part("partial_rotary_factor", 0.25), ..Rope::PLAIN };
    spec.positions = Positions::Rotary(vec![rope.table(settings, spec.context, spec.attention.head_size)?]);
    spec.mlp.size = settings.count(&["intermediate_size"], MOST)?.unwrap_or(6912);
    spec.mlp.gated = true;
    spec.mlp.activation = settings.activation(&["hidden_act"], Activation::Silu)?;
    if settings.flag("use_parallel_residual", false)? {
        spec.residual = Residual::ParallelOneNorm;
    }
    if settings.flag("qk_layernorm", false)? {
        spec.attention.query_key_norm = Some(QueryKeyNorm::PerHead);
    }
    let query_key_value = settings.flag("use_qkv_bias", false)?;
    let biases = Biases { query_key_value, norms: true, ..Biases::default() };
    Ok((spec, Layout { biases, tied, ..Layout::new(&names::STABLELM, tensors)? }))
}

pub(super) fn phi(settings: &Settings, tensors: &Tensors) -> Result<(Spec, Layout), String> {
    let defaults = Defaults {
        vocabulary: 51_200,
        hidden: 2048,
        layers: 24,
        heads: 32,
        head_size: None,
        context: 2048,
        epsilon: 1e-5,
        tied: false,
    };
    let (mut spec, tied) = common(settings, &defaults, true)?;
    key_value_heads(settings, &mut spec, None)?;
    let rope = Rope { share: Share::Part("partial_rotary_factor", 0.5), ..Rope::PLAIN };
    spec.positions = Positions::Rotary(vec![rope.table(settings, spec.context, spec.attention.head_size)?]);
    spec.mlp.size = settings.count(&["intermediate_size"], MOST)?.unwrap_or(8192);
    spec.mlp.activation = settings.activation(&["hidden_act"], Activation::GeluTanh)?;
    spec.residual = Residual::ParallelOneNorm;
    if settings.flag("qk_layernorm", false)? {
        spec.attention.query_key_norm = Some(QueryKeyNorm::Shared);
    }
    let biases = Biases { head: true, head_norms: true, ..ALL_BIASES };
    Ok((spec, Layout { biases, tied, ..Layout::new(&names::PHI, tensors)? }))
}

const GEMMA3: Defaults = Defaults {
    vocabulary: 262_208,
    hidden: 2304,
    layers: 26,
    heads: 8,
    head_size: Some(256),
    context: 131_072,
    epsilon: 1e-6,
    tied: true,
};
const GEMMA2: Defaults = Defaults { vocabulary: 256_000, context: 8192, ..GEMMA3 };

/// What Gemma 2 and 3 share, their positions apart.
fn gemma(settings: &Settings, defaults: &Defaults, period: usize) -> Result<(Spec, bool, Biases), String> {
    let (mut spec, tied) = common(settings, defaults, true)?;
    with_rms_norm(&mut spec);
    key_value_heads(settings, &mut spec, Some(4))?;
    spec.mlp.size = settings.count(&["intermediate_size"], MOST)?.unwrap_or(9216);
    spec.mlp.gated = true;
    spec.mlp.activation = settings.activation(&["hidden_activation", "hidden_act"], Activation::GeluTanh)?;
    spec.residual = Residual::SerialPostNorms;
    spec.attention.scale = inverse_root(settings.positive(&["query_pre_attn_scalar"])?.unwrap_or(256.0));
    settings.only("use_bidirectional_attention", &json!(false))?;
    // transformers rounds the root to the type of the weights; llama.cpp and candle do not.
    spec.embedding_scale = Some(single((spec.hidden as f64).sqrt()));

    let window = settings.nullable("sliding_window", Some(4096), MOST)?;
    let slides = layer_types(settings, spec.layers.len())?
        .unwrap_or_else(|| (1..=spec.layers.len()).map(|number| !number.is_multiple_of(period)).collect());
    match window {
        Some(window) => with_windows(&mut spec, window, |layer| slides[layer]),
        None if slides.contains(&true) => return Err("`sliding_window` is null, but layers slide".to_owned()),
        None => {}
    }
    let attention = settings.flag("attention_bias", false)?;
    Ok((spec, tied, Biases { query_key_value: attention, output: attention, ..Biases::default() }))
}

#[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
fn single(value: f64) -> f32 {
    value as f32
}

pub(super) fn gemma2(settings: &Settings, tensors: &Tensors) -> Result<(Spec, Layout), String> {
    let (mut spec, tied, biases) = gemma(settings, &GEMMA2, 2)?;
    spec.attention.cap = settings.positive_unless_null("attn_logit_softcapping", 50.0)?.map(single);
    spec.logit_cap = settings.positive_unless_null("final_logit_softcapping", 30.0)?.map(single);
    let size = spec.attention.head_size;
    spec.positions = Positions::Rotary(vec![Rope::PLAIN.table(settings, spec.context, size)?]);
    Ok((spec, Layout { biases, tied, one_plus: true, ..Layout::new(&names::GEMMA2, tensors)? }))
}

pub(super) fn gemma3(settings: &Settings, tensors: &Tensors) -> Result<(Spec, Layout), String> {
    // transformers writes what it was made with under its own name, too.
    let period = ["sliding_window_pattern", "_sliding_window_pattern"];
    let period = settings.count(&period, MOST)?.unwrap_or(6);
    let (mut spec, tied, biases) = gemma(settings, &GEMMA3, period)?;
    spec.attention.query_key_norm = Some(QueryKeyNorm::Shared);
    // Left over from Gemma 2: Gemma 3 was trained without, and transformers does not apply it either.
    settings.positive(&["attn_logit_softcapping"])?;
    spec.logit_cap = settings.positive(&["final_logit_softcapping"])?.map(single);
    for layer in &mut spec.layers {
        layer.rotary = usize::from(layer.window.is_some());
    }
    let by_type = settings.object("rope_parameters")?;
    let (full, sliding) = match &by_type {
        None => (settings.object("rope_scaling")?, None),
        Some(it) => {
            settings.only("rope_scaling", &Value::Null)?;
            (it.object("full_attention")?, it.object("sliding_attention")?)
        }
    };
    let size = spec.attention.head_size;
    let wide = Rope { default_theta: 1e6, ..Rope::PLAIN };
    let local = Rope { theta: "rope_local_base_freq", ..Rope::PLAIN };
    spec.positions = Positions::Rotary(vec![
        wide.table_of(settings, full.as_ref(), spec.context, size)?,
        local.table_of(settings, sliding.as_ref(), spec.context, size)?,
    ]);
    if let Some(it) = by_type {
        it.finish()?;
    }
    Ok((spec, Layout { biases, tied, one_plus: true, ..Layout::new(&names::GEMMA3, tensors)? }))
}
