//! What a `config.json` says, architecture by architecture, with the defaults of transformers' config classes.

use serde_json::{Value, json};

mod fused;
mod llama;

use super::layout::{Biases, Layout};
use super::quantized::Quantization;
use super::settings::{MOST, Settings};
use super::tensors::Tensors;
use crate::spec::{Activation, Attention, LayerSpec, Mlp, NormKind, Positions, Residual, Spec};

/// The most layers: ten times those of the deepest published model.
const MOST_LAYERS: usize = 1024;
/// The most heads.
const MOST_HEADS: usize = 1 << 14;
/// The most elements of a head.
const MOST_HEAD: usize = 1 << 14;
/// The most experts.
const MOST_EXPERTS: usize = 256;

const HIDDEN: [&str; 4] = ["hidden_size", "n_embed", "n_embd", "d_model"];
const HEADS: [&str; 3] = ["num_attention_heads", "n_head", "n_heads"];
const LAYERS: [&str; 3] = ["num_hidden_layers", "n_layer", "n_layers"];
const CONTEXT: [&str; 4] = ["max_position_embeddings", "n_positions", "max_seq_len", "seq_length"];
const EPSILON: [&str; 3] = ["layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps"];

/// Of all that architectures with biases have them in.
const ALL_BIASES: Biases =
    Biases { query_key_value: true, output: true, mlp: true, head: false, norms: true, head_norms: false };

/// Reads the settings and finds out how the files hold what they describe.
pub(super) fn read(config: &Value, tensors: &Tensors) -> Result<(Spec, Layout), String> {
    let settings = Settings::new(config, "")?;
    // What older files write down of every model.
    for option in ["is_encoder_decoder", "add_cross_attention", "tie_encoder_decoder"] {
        settings.only(option, &json!(false))?;
    }
    settings.only("chunk_size_feed_forward", &json!(0))?;
    settings.only("pruned_heads", &json!({}))?;
    let Some(kind) = settings.text(&["model_type"])? else { return Err("no `model_type`".to_owned()) };
    let (spec, mut layout) = match kind {
        "llama" => llama::llama(&settings, tensors, &llama::LLAMA)?,
        "mistral" => llama::llama(&settings, tensors, &llama::MISTRAL)?,
        "mixtral" => llama::llama(&settings, tensors, &llama::MIXTRAL)?,
        "qwen2" => llama::llama(&settings, tensors, &llama::QWEN2)?,
        "qwen3" => llama::llama(&settings, tensors, &llama::QWEN3)?,
        "stablelm" => llama::stablelm(&settings, tensors)?,
        "phi" => llama::phi(&settings, tensors)?,
        "gemma2" => llama::gemma2(&settings, tensors)?,
        "gemma3_text" => llama::gemma3(&settings, tensors)?,
        "gemma3" => {
            let Some(text) = settings.object("text_config")? else {
                return Err("no `text_config`".to_owned());
            };
            let read = llama::gemma3(&text, tensors)?;
            text.finish()?;
            settings.only("tie_word_embeddings", &json!(true))?;
            read
        }
        "falcon" | "RefinedWeb" | "RefinedWebModel" => {
            fused::falcon(&settings, tensors, kind == "RefinedWeb")?
        }
        "bloom" => fused::bloom(&settings, tensors)?,
        "gpt_neox" => fused::gpt_neox(&settings, tensors)?,
        "mpt" => fused::mpt(&settings, tensors)?,
        "gpt_bigcode" => fused::gpt_bigcode(&settings, tensors)?,
        other => {
            return Err(format!(
                "`model_type` is `{other}`, and the engine knows llama, mistral, mixtral, qwen2, qwen3, stablelm, \
                 phi, gemma2, gemma3, gemma3_text, falcon, bloom, gpt_neox, mpt and gpt_bigcode"
            ));
        }
    };
    if let Some(written) = settings.object("quantization_config")? {
        layout.quantization = Some(Quantization::read(&written)?);
    }
    settings.finish()?;
    Ok((spec, layout))
}

/// What an architecture has where the settings are silent.
struct Defaults {
    vocabulary: usize,
    hidden: usize,
    layers: usize,
    heads: usize,
    /// Elements of a head; `None` for the hidden size over the heads.
    head_size: Option<usize>,
    context: usize,
    epsilon: f64,
    tied: bool,
}

/// The part that all share: a decoder with serial residuals and a plain MLP of four times the hidden size, without
/// positions. Readers change what is different.
fn common(settings: &Settings, defaults: &Defaults, own_head_size: bool) -> Result<(Spec, bool), String> {
    let count = |names: &[&str], default: usize, most| {
        Ok::<_, String>(settings.count(names, most)?.unwrap_or(default))
    };
    let hidden = count(&HIDDEN, defaults.hidden, MOST)?;
    let heads = count(&HEADS, defaults.heads, MOST_HEADS)?;
    let layers = count(&LAYERS, defaults.layers, MOST_LAYERS)?;
    let written = if own_head_size { settings.count(&["head_dim"], MOST_HEAD)? } else { None };
    let head_size = match written.or(defaults.head_size) {
        Some(it) => it,
        None if hidden.is_multiple_of(heads) => hidden / heads,
        None => return Err(format!("{hidden} hidden elements do not make {heads} heads")),
    };
    if head_size > MOST_HEAD {
        return Err(format!("a head size of {head_size}, where at most {MOST_HEAD} is possible"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
    let epsilon = settings.positive(&EPSILON)?.unwrap_or(defaults.epsilon) as f32;
    let spec = Spec {
        architecture: settings.text(&["model_type"])?.unwrap_or_default().to_owned(),
        context: count(&CONTEXT, defaults.context, MOST)?,
        vocabulary: count(&["vocab_size"], defaults.vocabulary, MOST)?,
        hidden,
        embedding_scale: None,
        embedding_norm: false,
        norm: NormKind::Layer { epsilon },
        positions: Positions::Learned,
        attention: Attention {
            heads,
            kv_heads: heads,
            head_size,
            scale: inverse_root(head_size as f64),
            clip: None,
            cap: None,
            query_key_norm: None,
        },
        residual: Residual::Serial,
        mlp: Mlp { size: 4 * hidden, gated: false, activation: Activation::Gelu, experts: None },
        layers: vec![LayerSpec { window: None, rotary: 0 }; layers],
        logit_cap: None,
        logit_scale: None,
    };
    Ok((spec, settings.flag("tie_word_embeddings", defaults.tied)?))
}

#[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
fn inverse_root(value: f64) -> f32 {
    (1.0 / value.sqrt()) as f32
}

fn share_heads(spec: &mut Spec, kv_heads: usize) -> Result<(), String> {
    let heads = spec.attention.heads;
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        return Err(format!("{heads} heads cannot share {kv_heads} heads of keys and values"));
    }
    spec.attention.kv_heads = kv_heads;
    Ok(())
}
