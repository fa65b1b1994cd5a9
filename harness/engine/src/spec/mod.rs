//! What an architecture is: data, read from a checkpoint's `config.json` or GGUF metadata.
//!
//! One decoder reads this. A new architecture is a row of tensor names and a reader of its settings, not a new file
//! of forward code. Whatever a checkpoint's files do differently for the same computation (fused or separate
//! projections, permuted rows, other names) is undone by the loader: behind it there is one layout only.

mod positions;

pub(crate) use positions::{Scaling, alibi_slopes, to_bf16};

/// Everything about a model but its weights and its text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spec {
    /// As the checkpoint calls it: `llama`, `gpt_neox`, `gemma3`.
    pub(crate) architecture: String,
    /// The most tokens, prompt and answer together.
    pub(crate) context: usize,
    pub(crate) vocabulary: usize,
    pub(crate) hidden: usize,
    /// Embeddings are multiplied by this (Gemma: the root of the hidden size).
    pub(crate) embedding_scale: Option<f32>,
    /// Embeddings are normalized before the first layer (BLOOM).
    pub(crate) embedding_norm: bool,
    pub(crate) norm: NormKind,
    pub(crate) positions: Positions,
    pub(crate) attention: Attention,
    pub(crate) residual: Residual,
    pub(crate) mlp: Mlp,
    /// One entry a layer.
    pub(crate) layers: Vec<LayerSpec>,
    /// Logits are `cap * tanh(logits / cap)`.
    pub(crate) logit_cap: Option<f32>,
    /// Logits are multiplied by this (MPT).
    pub(crate) logit_scale: Option<f32>,
}

/// What differs from layer to layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LayerSpec {
    /// How many tokens a token sees, itself included; `None` for all.
    pub(crate) window: Option<usize>,
    /// Which of [`Positions::Rotary`]'s tables turns its queries and keys.
    pub(crate) rotary: usize,
}

/// How states are normalized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum NormKind {
    /// `x / sqrt(mean(x²) + ε) * weight`. Gemma's `1 + weight` is added up by the loader.
    Rms { epsilon: f32 },
    /// `(x - mean) / sqrt(var + ε) * weight + bias`, the bias where the checkpoint has one.
    Layer { epsilon: f32 },
}

/// How a token knows where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Positions {
    /// The first `2 * frequencies.len()` elements of each head turn: element `i` with element
    /// `i + frequencies.len()`, by `position * frequencies[i]` radians, multiplied by `scale` (YaRN's `mscale`).
    /// The loader brings neighbours that turn together (GGUF's Llama) into this order.
    Rotary(Vec<Rotary>),
    /// Scores get `slope * (key position - query position)`, one slope a head. Where it is rounded, they get
    /// `rounded * bf16(slope * bf16(key position))` instead (Falcon).
    Alibi { slopes: Vec<f32>, rounded: Option<f32> },
    /// A row of a learned matrix is added to each embedding.
    Learned,
}

/// One table of rotary positions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rotary {
    /// Radians a position, of each turning pair.
    pub(crate) frequencies: Vec<f64>,
    /// Multiplies sines and cosines.
    pub(crate) scale: f64,
}

/// How tokens look at one another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub(crate) kv_heads: usize,
    pub(crate) head_size: usize,
    /// Scores are multiplied by this.
    pub(crate) scale: f32,
    /// Queries, keys and values are cut to `-clip..=clip` (MPT).
    pub(crate) clip: Option<f32>,
    /// Scores are `cap * tanh(scores / cap)`.
    pub(crate) cap: Option<f32>,
    /// Queries and keys are normalized, head by head.
    pub(crate) query_key_norm: Option<QueryKeyNorm>,
}

/// How queries and keys are normalized, before they turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueryKeyNorm {
    /// One weight vector for all heads (Gemma 3, RMS; Phi, layer norm with bias).
    Shared,
    /// A weight vector for each head (StableLM 2 12B, layer norm without bias).
    PerHead,
}

/// How attention and MLP are joined to the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Residual {
    /// `x += attention(norm(x)); x += mlp(norm'(x))`.
    Serial,
    /// The same with norms of what attention and MLP give, before it is added (Gemma 3).
    SerialPostNorms,
    /// `x += attention(norm(x)) + mlp(norm(x))`, one norm for both (Falcon 7B, Phi 2, StableLM 2 12B).
    ParallelOneNorm,
    /// `x += attention(norm(x)) + mlp(norm'(x))` (GPT-NeoX, Falcon 40B).
    ParallelTwoNorms,
}

/// What follows attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mlp {
    /// Size between the two halves; of one expert, where there are several.
    pub(crate) size: usize,
    /// `down(activation(gate(x)) * up(x))` rather than `down(activation(up(x)))`.
    pub(crate) gated: bool,
    pub(crate) activation: Activation,
    pub(crate) experts: Option<Experts>,
}

/// A mixture of experts: each token is sent to a few of several MLPs (Mixtral).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Experts {
    pub(crate) count: usize,
    /// How many work on a token: those with the largest router logits, weighted by the softmax over these.
    pub(crate) used: usize,
}

/// What stands between the two halves of an MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    Silu,
    /// By the error function.
    Gelu,
    /// By its tanh approximation.
    GeluTanh,
    Relu,
}
