//! What the metadata of a GGUF file says, and what its tensors tell beyond that.
//!
//! llama.cpp's converter writes down little: whether there are biases, whether queries, keys and values are fused,
//! and whether a block is serial show in the tensors alone. Activations are what the architecture was trained with,
//! as its published code has it; llama.cpp computes every GELU by its tanh approximation.

use std::cell::RefCell;
use std::collections::HashSet;

use super::layout::{Biases, Fusing, Layout, Several};
use super::names;
use super::tensors::Tensors;
use crate::gguf::{Gguf, Malformed};
use crate::spec::{
    Activation, Attention, Experts, LayerSpec, Mlp, NormKind, Positions, QueryKeyNorm, Residual, Rotary,
    Scaling, Spec, alibi_slopes,
};

/// The largest size of anything.
const MOST: usize = 1 << 24;
/// The most layers, heads and experts, and elements of a head.
const MOST_LAYERS: usize = 1024;
const MOST_HEADS: usize = 1 << 14;
const MOST_EXPERTS: usize = 256;
/// A matrix of factors on the wavelengths, as Llama 3.1 has.
const FACTORS: &str = "rope_freqs.weight";

/// Keys that cannot change what a prompt's logits are. StableLM's residuals show in its norms; its converter writes
/// that they are parallel where the published settings are silent, though these mean serial ones then.
const HARMLESS: [&str; 5] = [
    "vocab_size",
    "tensor_data_layout",
    "use_parallel_residual",
    "rope.scaling.finetuned",
    "attention.causal",
];

/// What holds for every model of an architecture.
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
struct Architecture {
    name: &'static str,
    rms_norm: bool,
    positions: Kind,
    activation: Activation,
    gated: bool,
    /// Queries and keys are normalized, by one weight vector for all heads.
    query_key_norm: bool,
    residual: Residual,
    /// What must have biases; other biases are there or not.
    biases: Biases,
    /// Keys and values have one head unless the metadata says otherwise.
    one_key: bool,
    /// Layers may see a window only.
    slides: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rotary,
    /// The converter permutes queries and keys so that neighbours turn together.
    Neighbours,
    Alibi,
    Learned,
}

const NONE: Biases = Biases {
    query_key_value: false,
    output: false,
    mlp: false,
    head: false,
    norms: false,
    head_norms: false,
};
const NORMS: Biases = Biases { norms: true, ..NONE };
const ALL: Biases = Biases { query_key_value: true, output: true, mlp: true, ..NORMS };

const LLAMA: Architecture = Architecture {
    name: "llama",
    rms_norm: true,
    positions: Kind::Neighbours,
    activation: Activation::Silu,
    gated: true,
    query_key_norm: false,
    residual: Residual::Serial,
    biases: NONE,
    one_key: false,
    slides: true,
};
const PLAIN: Architecture = Architecture {
    rms_norm: false,
    positions: Kind::Rotary,
    activation: Activation::Gelu,
    gated: false,
    slides: false,
    ..LLAMA
};

const GEMMA2: Architecture = Architecture {
    name: "gemma2",
    positions: Kind::Rotary,
    activation: Activation::GeluTanh,
    residual: Residual::SerialPostNorms,
    ..LLAMA
};

const ARCHITECTURES: [Architecture; 12] = [
    LLAMA,
    GEMMA2,
    Architecture { name: "gemma3", query_key_norm: true, ..GEMMA2 },
    Architecture {
        name: "qwen2",
        positions: Kind::Rotary,
        biases: Biases { query_key_value: true, ..NONE },
        slides: false,
        ..LLAMA
    },
    Architecture { name: "qwen3", positions: Kind::Rotary, query_key_norm: true, slides: false, ..LLAMA },
    Architecture { name: "stablelm", activation: Activation::Silu, gated: true, biases: NORMS, ..PLAIN },
    Architecture {
        name: "phi2",
        activation: Activation::GeluTanh,
        residual: Residual::ParallelOneNorm,
        biases: Biases { head: true, ..ALL },
        ..PLAIN
    },
    Architecture {
        name: "falcon",
        residual: Residual::ParallelOneNorm,
        biases: NORMS,
        one_key: true,
        ..PLAIN
    },
    Architecture { name: "gptneox", residual: Residual::ParallelTwoNorms, biases: NORMS, ..PLAIN },
    Architecture {
        name: "bloom",
        positions: Kind::Alibi,
        activation: Activation::GeluTanh,
        biases: ALL,
        ..PLAIN
    },
    Architecture { name: "mpt", positions: Kind::Alibi, ..PLAIN },
    Architecture {
        name: "starcoder",
        positions: Kind::Learned,
        activation: Activation::GeluTanh,
        biases: ALL,
        one_key: true,
        ..PLAIN
    },
];

/// An architecture's keys and which of them were asked for.
struct Keys<'g> {
    gguf: &'g Gguf,
    prefix: &'static str,
    asked: RefCell<HashSet<String>>,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        let key = format!("{}.{name}", self.prefix);
        self.asked.borrow_mut().insert(key.clone());
        key
    }

    fn count(&self, name: &str, most: usize) -> Result<Option<usize>, String> {
        let key = self.key(name);
        match self.gguf.count(&key).map_err(text)? {
            Some(it) if it > most => Err(format!("`{key}` is {it}, where at most {most} is possible")),
            it => Ok(it),
        }
    }

    fn needed(&self, name: &str, most: usize) -> Result<usize, String> {
        match self.count(name, most)? {
            Some(0) => Err(format!("`{}.{name}` is 0", self.prefix)),
            Some(it) => Ok(it),
            None => Err(format!("no `{}.{name}`", self.prefix)),
        }
    }

    fn positive(&self, name: &str) -> Result<Option<f64>, String> {
        let key = self.key(name);
        match self.gguf.float(&key).map_err(text)? {
            Some(it) if it <= 0.0 => Err(format!("`{key}` is {it}, where a number above 0 is possible")),
            it => Ok(it),
        }
    }

    /// As [`Self::positive`], but zero means none.
    fn unless_zero(&self, name: &str) -> Result<Option<f64>, String> {
        let key = self.key(name);
        match self.gguf.float(&key).map_err(text)? {
            Some(it) if it < 0.0 => Err(format!("`{key}` is {it}, where a number above 0 is possible")),
            it => Ok(it.filter(|it| *it > 0.0)),
        }
    }

    fn finish(&self) -> Result<(), String> {
        let asked = self.asked.borrow();
        let unknown = self.gguf.keys().filter(|key| {
            let Some((prefix, name)) = key.split_once('.') else { return false };
            prefix == self.prefix && !asked.contains(*key) && !HARMLESS.contains(&name)
        });
        match unknown.min() {
            None => Ok(()),
            Some(key) => Err(format!("`{key}` is an option that the decoder does not know")),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn text(malformed: Malformed) -> String {
    malformed.to_string()
}

#[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
fn float(value: f64) -> f32 {
    value as f32
}

/// Reads the metadata and finds out how the file holds what it describes.
pub(super) fn read(gguf: &Gguf, tensors: &Tensors) -> Result<(Spec, Layout), String> {
    let name = gguf.text("general.architecture").map_err(text)?.ok_or("no `general.architecture`")?;
    let Some(row) = ARCHITECTURES.iter().find(|it| it.name == name) else {
        let known: Vec<_> = ARCHITECTURES.iter().map(|it| it.name).collect();
        return Err(format!("the architecture is `{name}`, and the engine knows {}", known.join(", ")));
    };
    if gguf.count("split.count").map_err(text)?.is_some_and(|it| it > 1) {
        return Err(
            "it is one of several parts; join them with llama.cpp's `llama-gguf-split --merge`".to_owned()
        );
    }
    let keys = Keys { gguf, prefix: row.name, asked: RefCell::default() };
    let layers = keys.needed("block_count", MOST_LAYERS)?;
    let hidden = keys.needed("embedding_length", MOST)?;
    let attention = attention(&keys, row, hidden, layers)?;
    let vocabulary = match tensors.get("token_embd.weight").map(|it| &it.shape[..]) {
        Some(&[rows, _]) if rows <= MOST => rows,
        _ => return Err("no matrix `token_embd.weight`".to_owned()),
    };
    if let Some(tokens) = gguf.length("tokenizer.ggml.tokens").filter(|it| *it != vocabulary) {
        return Err(format!("there are {tokens} tokens, but weights for {vocabulary}"));
    }
    let epsilon = if row.rms_norm { "layer_norm_rms_epsilon" } else { "layer_norm_epsilon" };
    let epsilon = float(keys.positive(&format!("attention.{epsilon}"))?.unwrap_or(1e-5));
    let mut spec = Spec {
        architecture: row.name.to_owned(),
        context: keys.needed("context_length", MOST)?,
        vocabulary,
        hidden,
        embedding_scale: row.name.starts_with("gemma").then(|| float((hidden as f64).sqrt())),
        embedding_norm: row.name == "bloom",
        norm: if row.rms_norm { NormKind::Rms { epsilon } } else { NormKind::Layer { epsilon } },
        positions: Positions::Learned,
        attention,
        residual: row.residual,
        mlp: Mlp {
            size: keys.needed("feed_forward_length", MOST)?,
            gated: row.gated,
            activation: row.activation,
            experts: experts(&keys)?,
        },
        layers: vec![LayerSpec { window: None, rotary: 0 }; layers],
        logit_cap: keys.unless_zero("final_logit_softcapping")?.map(float),
        logit_scale: None,
    };
    if row.name == "gptneox" {
        let key = keys.key("use_parallel_residual");
        if !gguf.flag(&key).map_err(text)?.unwrap_or(true) {
            spec.residual = Residual::Serial;
        }
    }
    if row.slides {
        windows(&keys, &mut spec)?;
    }
    let mut layout = Layout {
        fusing: Fusing::Separate,
        biases: row.biases,
        tied: true,
        experts: Several::Stacked,
        head_norms: Several::Stacked,
        ..Layout::new(&names::GGUF, tensors)?
    };
    spec.positions = positions(&keys, row, &spec, tensors, &mut layout)?;
    from_tensors(row, &mut spec, tensors, &mut layout);
    keys.finish()?;
    Ok((spec, layout))
}

fn attention(keys: &Keys, row: &Architecture, hidden: usize, layers: usize) -> Result<Attention, String> {
    let heads = keys.needed("attention.head_count", MOST_HEADS)?;
    let absent = if row.one_key { 1 } else { heads };
    let kv_heads = keys.count("attention.head_count_kv", MOST_HEADS)?.unwrap_or(absent);
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        return Err(format!("{heads} heads cannot share {kv_heads} heads of keys and values"));
    }
    let head_size = match keys.count("attention.key_length", MOST_HEADS)? {
        Some(it) => it,
        None if hidden.is_multiple_of(heads) => hidden / heads,
        None => return Err(format!("{hidden} hidden elements do not make {heads} heads")),
    };
    if head_size == 0 || head_size > MOST_HEADS {
        return Err(format!("a head size of {head_size}"));
    }
    if let Some(it) = keys.count("attention.value_length", MOST_HEADS)?.filter(|&it| it != head_size) {
        return Err(format!(
            "`{}.attention.value_length` is {it}, where only the head size {head_size} is possible",
            row.name
        ));
    }
    // Gemma's 27B, which show in their layers, divide by what a head would have without a size of its own.
    let queried = match (row.name, layers) {
        ("gemma2", 46) | ("gemma3", 62) => hidden / heads,
        _ => head_size,
    };
    Ok(Attention {
        heads,
        kv_heads,
        head_size,
        scale: float(1.0 / (queried as f64).sqrt()),
        clip: keys.unless_zero("attention.clamp_kqv")?.map(float),
        cap: keys.unless_zero("attn_logit_softcapping")?.map(float),
        query_key_norm: row.query_key_norm.then_some(QueryKeyNorm::Shared),
    })
}

fn experts(keys: &Keys) -> Result<Option<Experts>, String> {
    let count = keys.count("expert_count", MOST_EXPERTS)?.filter(|it| *it > 0);
    let used = keys.count("expert_used_count", MOST_EXPERTS)?.filter(|it| *it > 0);
    match (count, used) {
        (None, None) => Ok(None),
        (Some(count), Some(used)) if used <= count => Ok(Some(Experts { count, used })),
        (count, used) => {
            Err(format!("{} experts are used, of {}", used.unwrap_or_default(), count.unwrap_or_default()))
        }
    }
}

/// Gemma's layers see a window but for each n-th; Llama's (Mistral) all do.
fn windows(keys: &Keys, spec: &mut Spec) -> Result<(), String> {
    let window = keys.count("attention.sliding_window", MOST)?.filter(|it| *it > 0);
    // The period, and the rotary table of layers that see a window.
    let (period, rotary) = match keys.prefix {
        "gemma2" => (2, 0),
        "gemma3" => (keys.count("attention.sliding_window_pattern", MOST)?.unwrap_or(6).max(1), 1),
        _ => {
            spec.layers.iter_mut().for_each(|it| it.window = window);
            return Ok(());
        }
    };
    for (index, layer) in spec.layers.iter_mut().enumerate() {
        if !(index + 1).is_multiple_of(period) {
            let window = window.ok_or_else(|| format!("no `{}.attention.sliding_window`", keys.prefix))?;
            *layer = LayerSpec { window: Some(window), rotary };
        }
    }
    Ok(())
}

fn positions(
    keys: &Keys,
    row: &Architecture,
    spec: &Spec,
    tensors: &Tensors,
    layout: &mut Layout,
) -> Result<Positions, String> {
    let heads = spec.attention.heads;
    match row.positions {
        Kind::Learned => return Ok(Positions::Learned),
        Kind::Alibi => {
            // BLOOM's converter leaves it out; MPT's writes 0 where positions are learned.
            let key = keys.key("attention.max_alibi_bias");
            let steepest = match keys.gguf.float(&key).map_err(text)? {
                Some(it) if it < 0.0 => return Err(format!("`{key}` is {it}")),
                Some(it) if it > 0.0 => it,
                Some(_) => return Ok(Positions::Learned),
                None => 8.0,
            };
            return Ok(Positions::Alibi { slopes: alibi_slopes(heads, steepest), rounded: None });
        }
        Kind::Rotary | Kind::Neighbours => {}
    }
    let head_size = spec.attention.head_size;
    let turning = keys.count("rope.dimension_count", MOST_HEADS)?.unwrap_or(head_size);
    if turning == 0 || turning > head_size || !turning.is_multiple_of(2) {
        return Err(format!("{turning} of a head size of {head_size} would turn, which are no pairs of it"));
    }
    if row.positions == Kind::Neighbours {
        layout.neighbours = turning;
    }
    let base = |name: &str| match keys.positive(name)? {
        Some(it) if it <= 1.0 => {
            Err(format!("`{}.{name}` is {it}, where a number above 1 is possible", row.name))
        }
        it => Ok(it.unwrap_or(10_000.0)),
    };
    let mut full = Rotary::new(base("rope.freq_base")?, turning, scaling(keys, spec.context)?);
    if let Some(stored) = tensors.get(FACTORS).filter(|_| row.name == "llama") {
        let factors = tensors.floats(FACTORS, stored)?;
        if stored.shape[..] != [turning / 2] || factors.iter().any(|it| !it.is_finite() || *it <= 0.0) {
            return Err(format!("`{FACTORS}` does not hold {} factors above 0", turning / 2));
        }
        for (frequency, factor) in full.frequencies.iter_mut().zip(factors) {
            *frequency /= f64::from(factor);
        }
        layout.known = Some(FACTORS);
    }
    if full.frequencies.iter().any(|it| !it.is_finite()) || !full.scale.is_finite() {
        return Err("these rotary positions have no finite frequencies".to_owned());
    }
    if row.name != "gemma3" {
        return Ok(Positions::Rotary(vec![full]));
    }
    let local = Rotary::new(base("rope.freq_base_swa")?, turning, Scaling::None);
    Ok(Positions::Rotary(vec![full, local]))
}

fn scaling(keys: &Keys, context: usize) -> Result<Scaling, String> {
    let kind = keys.key("rope.scaling.type");
    let kind = keys.gguf.text(&kind).map_err(text)?;
    // The older of two names.
    let factor = match keys.unless_zero("rope.scaling.factor")? {
        Some(it) => Some(it),
        None => keys.unless_zero("rope.scale_linear")?,
    };
    let original = keys.count("rope.scaling.original_context_length", MOST)?.filter(|it| *it > 0);
    Ok(match (kind, factor) {
        (Some("none"), _) | (None | Some("linear"), None) => Scaling::None,
        // A factor without a type divides positions, as in llama.cpp.
        (None | Some("linear"), Some(factor)) => Scaling::Linear(factor),
        (Some("yarn"), Some(factor)) => Scaling::Yarn {
            factor,
            original: original.unwrap_or(context) as f64,
            fast: 32.0,
            slow: 1.0,
            truncate: true,
            attention: if factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 },
        },
        (Some(other), _) => return Err(format!("`{other}` scaling of rotary positions is not supported")),
    })
}

/// What shows in the tensors alone.
fn from_tensors(row: &Architecture, spec: &mut Spec, tensors: &Tensors, layout: &mut Layout) {
    let there = |name: &str| tensors.get(&format!("blk.0.{name}")).is_some();
    if there("attn_qkv.weight") {
        layout.fusing = Fusing::Parts;
    }
    let biases = &mut layout.biases;
    biases.query_key_value |= there("attn_q.bias") || there("attn_qkv.bias");
    biases.output |= there("attn_output.bias");
    biases.mlp |= there("ffn_up.bias");
    biases.norms |= there("attn_norm.bias");
    biases.head |= tensors.get("output.bias").is_some();
    match row.name {
        // The second norm is there where attention and MLP have one each.
        "falcon" if there("attn_norm_2.weight") => {
            layout.names = &names::GGUF_FALCON_TWO_NORMS;
            spec.residual = Residual::ParallelTwoNorms;
        }
        "stablelm" => {
            if !there("ffn_norm.weight") {
                spec.residual = Residual::ParallelOneNorm;
            }
            if there("attn_q_norm.weight") {
                spec.attention.query_key_norm = Some(QueryKeyNorm::PerHead);
            }
        }
        _ => {}
    }
}
