//! The forward pass: token ids and a cache in, logits out.
//!
//! One decoder for all architectures; what differs is in the [`Spec`]. Activations are `f32`, one sequence at a
//! time. The matrices of the layers are dequantized to `f32`; embeddings and head, the most of a small model,
//! stay as stored. candle's quantized product was slower for many tokens by a factor of ten and more, and for
//! one token wherever other processes run: its threads wait for each other at spinning barriers, 210 times a
//! token. Equal requests take equal paths, whatever the load and the number of threads.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{Device, Module, Result, Tensor};
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::rotary_emb::{rope, rope_i};

use crate::old_spec::{Activation, RopeStyle, Spec};

/// Tokens in one pass of a prefill: bounds the score matrices of attention.
pub(crate) const CHUNK: usize = 256;

/// The final states of which tokens are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Only the last token's.
    Last,
    /// Those of all tokens.
    All,
}

/// Keys and values of the tokens so far, `[kv_heads, capacity, head_size]` for each layer.
pub(crate) struct Cache {
    layers: Vec<(Tensor, Tensor)>,
    length: usize,
}

impl Cache {
    /// Room for `capacity` tokens. The pages are touched only as tokens come.
    pub(crate) fn new(spec: &Spec, capacity: usize) -> Result<Self> {
        let shape = (spec.kv_heads, capacity, spec.head_size);
        let zeros = || Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu);
        let layers = (0..spec.layers).map(|_| Ok((zeros()?, zeros()?))).collect::<Result<_>>()?;
        Ok(Self { layers, length: 0 })
    }

    /// Forgets all tokens after the first `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

/// A matrix, `[out, in]`.
struct Linear(Tensor);

impl Linear {
    /// `[tokens, in]` to `[tokens, out]`.
    fn forward(&self, inputs: &Tensor) -> Result<Tensor> {
        inputs.matmul(&self.0.t()?)
    }
}

struct Layer {
    attention_norm: Tensor,
    queries: Linear,
    keys: Linear,
    values: Linear,
    query_key_norms: Option<(Tensor, Tensor)>,
    output: Linear,
    post_attention_norm: Option<Tensor>,
    mlp_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
    post_mlp_norm: Option<Tensor>,
    window: Option<usize>,
    /// Radians that each pair of a head turns with each position.
    frequencies: Arc<Vec<f64>>,
}

/// A model's weights, ready to compute with.
pub(crate) struct Decoder {
    spec: Spec,
    embeddings: Arc<QTensor>,
    layers: Vec<Layer>,
    norm: Tensor,
    head: QMatMul,
}

impl Decoder {
    /// Builds the decoder from tensors by their GGUF names.
    pub(crate) fn load(spec: &Spec, mut tensor: impl FnMut(&str) -> Result<QTensor>) -> Result<Self> {
        let factors = if spec.rope_factors {
            Some(tensor("rope_freqs.weight")?.dequantize(&Device::Cpu)?.to_vec1::<f32>()?)
        } else {
            None
        };
        let embeddings = Arc::new(tensor("token_embd.weight")?);
        let head = if spec.tied_head {
            QMatMul::from_arc(Arc::clone(&embeddings))?
        } else {
            QMatMul::from_qtensor(tensor("output.weight")?)?
        };
        let norm = tensor("output_norm.weight")?.dequantize(&Device::Cpu)?;
        let mut matrices = matrices(spec, &mut tensor)?;
        let layers = (0..spec.layers)
            .map(|index| {
                let mut read = |name: &str| tensor(&format!("blk.{index}.{name}.weight"));
                let mut vector = |name: &str, there: bool| {
                    let vector: Option<QTensor> = there.then(|| read(name)).transpose()?;
                    vector.map(|it| it.dequantize(&Device::Cpu)).transpose()
                };
                let post_attention_norm = vector("post_attention_norm", spec.post_norms)?;
                let post_mlp_norm = vector("post_ffw_norm", spec.post_norms)?;
                let query_key_norms =
                    vector("attn_q_norm", spec.qk_norm)?.zip(vector("attn_k_norm", spec.qk_norm)?);
                let mut norm = |name: &str| read(name)?.dequantize(&Device::Cpu);
                let (attention_norm, mlp_norm) = (norm("attn_norm")?, norm("ffn_norm")?);
                let mut linear = |name: &str| {
                    let matrix = matrices.remove(&format!("blk.{index}.{name}.weight"));
                    matrix.map(Linear).ok_or_else(|| candle_core::Error::msg(format!("no matrix {name}")))
                };
                Ok(Layer {
                    attention_norm,
                    queries: linear("attn_q")?,
                    keys: linear("attn_k")?,
                    values: linear("attn_v")?,
                    query_key_norms,
                    output: linear("attn_output")?,
                    post_attention_norm,
                    mlp_norm,
                    gate: linear("ffn_gate")?,
                    up: linear("ffn_up")?,
                    down: linear("ffn_down")?,
                    post_mlp_norm,
                    window: spec.window(index),
                    frequencies: Arc::new(frequencies(spec, index, factors.as_deref())),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { spec: spec.clone(), embeddings, layers, norm, head })
    }

    /// What the decoder was built from.
    #[cfg(test)]
    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Reads tokens after those in the cache, in chunks; gives the wanted final states, `[wanted, hidden]`.
    pub(crate) fn prefill(&self, tokens: &[u32], cache: &mut Cache, wanted: Wanted) -> Result<Tensor> {
        let mut kept = Vec::new();
        for chunk in tokens.chunks(CHUNK) {
            let states = self.states(chunk, cache)?;
            if wanted == Wanted::Last {
                kept.clear();
            }
            kept.push(match wanted {
                Wanted::All => states,
                Wanted::Last => states.narrow(0, chunk.len() - 1, 1)?.contiguous()?,
            });
        }
        if kept.len() == 1 { Ok(kept.remove(0)) } else { Tensor::cat(&kept, 0) }
    }

    /// Reads one token after those in the cache; gives its final state, `[1, hidden]`.
    pub(crate) fn decode(&self, token: u32, cache: &mut Cache) -> Result<Tensor> {
        self.states(&[token], cache)
    }

    /// The logits of the tokens that may follow, `[rows, vocabulary]`, for final states `[rows, hidden]`.
    pub(crate) fn logits(&self, states: &Tensor) -> Result<Tensor> {
        self.head.forward(&rms_norm(states, &self.norm, self.spec.norm_epsilon)?)
    }

    /// The states after the last layer, `[tokens, hidden]`.
    fn states(&self, tokens: &[u32], cache: &mut Cache) -> Result<Tensor> {
        let spec = &self.spec;
        let mut states = self.embeddings.embedding(&Tensor::new(tokens, &Device::Cpu)?)?;
        if let Some(scale) = spec.embedding_scale {
            states = (states * scale)?;
        }
        let mut positions = Positions::new(cache.length, tokens.len());
        for (layer, cached) in self.layers.iter().zip(&cache.layers) {
            let normed = rms_norm(&states, &layer.attention_norm, spec.norm_epsilon)?;
            let mut attended = self.attend(layer, &normed, cached, &mut positions)?;
            if let Some(norm) = &layer.post_attention_norm {
                attended = rms_norm(&attended, norm, spec.norm_epsilon)?;
            }
            states = (states + attended)?;

            let normed = rms_norm(&states, &layer.mlp_norm, spec.norm_epsilon)?;
            let gate = layer.gate.forward(&normed)?;
            let gate = match spec.activation {
                Activation::Silu => silu(&gate)?,
                Activation::GeluTanh => gate.gelu()?,
            };
            let up = layer.up.forward(&normed)?;
            let mut mlp = layer.down.forward(&(gate * up)?)?;
            if let Some(norm) = &layer.post_mlp_norm {
                mlp = rms_norm(&mlp, norm, spec.norm_epsilon)?;
            }
            states = (states + mlp)?;
        }
        cache.length += tokens.len();
        Ok(states)
    }

    /// Attention of the new tokens over themselves and the cache, which takes in their keys and values.
    fn attend(
        &self,
        layer: &Layer,
        normed: &Tensor,
        (cached_keys, cached_values): &(Tensor, Tensor),
        positions: &mut Positions,
    ) -> Result<Tensor> {
        let spec = &self.spec;
        let Positions { start, count, .. } = *positions;
        // [tokens, heads × size] to [1, heads, tokens, size]
        let by_head = |linear: &Linear, heads: usize| {
            let it = linear.forward(normed)?.reshape((1, count, heads, spec.head_size))?;
            it.transpose(1, 2)?.contiguous()
        };
        let mut queries = by_head(&layer.queries, spec.heads)?;
        let mut keys = by_head(&layer.keys, spec.kv_heads)?;
        let values = by_head(&layer.values, spec.kv_heads)?;
        if let Some((query_norm, key_norm)) = &layer.query_key_norms {
            queries = rms_norm(&queries, query_norm, spec.norm_epsilon)?;
            keys = rms_norm(&keys, key_norm, spec.norm_epsilon)?;
        }
        let (cos, sin) = positions.rotations(&layer.frequencies)?;
        let rotate = |it: &Tensor| match spec.rope_style {
            RopeStyle::Interleaved => rope_i(it, &cos, &sin),
            RopeStyle::Halves => rope(it, &cos, &sin),
        };
        let queries = (rotate(&queries)? * spec.attention_scale)?;
        cached_keys.slice_set(&rotate(&keys)?.squeeze(0)?, 1, start)?;
        cached_values.slice_set(&values.squeeze(0)?, 1, start)?;

        // The oldest key that the first of the new tokens sees.
        let first = layer.window.map_or(0, |window| (start + 1).saturating_sub(window));
        let seen = start + count - first;
        let keys = cached_keys.narrow(1, first, seen)?;
        let values = cached_values.narrow(1, first, seen)?;
        // The query heads that share keys are rows of one product.
        let group = spec.heads / spec.kv_heads;
        let queries = queries.reshape((spec.kv_heads, group * count, spec.head_size))?;
        let mut scores = queries.matmul(&keys.t()?)?;
        if let Some(mask) = positions.mask(layer.window, first)? {
            scores = scores.reshape((spec.heads, count, seen))?.broadcast_add(&mask)?;
            scores = scores.reshape((spec.kv_heads, group * count, seen))?;
        }
        let mixed = softmax_last_dim(&scores)?.matmul(&values)?;
        let mixed = mixed.reshape((spec.heads, count, spec.head_size))?.transpose(0, 1)?;
        layer.output.forward(&mixed.reshape((count, spec.heads * spec.head_size))?)
    }
}

/// The matrices of all layers by name, views of one long tensor.
///
/// The allocator maps a block of this length by itself and unmaps it when it is dropped; many small ones
/// would stay in its heap.
fn matrices(
    spec: &Spec,
    tensor: &mut impl FnMut(&str) -> Result<QTensor>,
) -> Result<HashMap<String, Tensor>> {
    let tensors = spec.layer_tensors();
    let matrices = tensors.iter().filter_map(|(name, shape)| match shape[..] {
        [rows, columns] => Some((*name, rows, columns)),
        _ => None,
    });
    let matrices: Vec<_> = matrices.collect();
    let in_layer: usize = matrices.iter().map(|(_, rows, columns)| rows * columns).sum();
    let mut values = Vec::with_capacity(spec.layers * in_layer);
    let mut places = Vec::new();
    for layer in 0..spec.layers {
        for &(name, rows, columns) in &matrices {
            let name = format!("blk.{layer}.{name}.weight");
            let dense = tensor(&name)?.dequantize(&Device::Cpu)?.flatten_all()?;
            places.push((name, values.len(), rows, columns));
            values.extend(dense.to_vec1::<f32>()?);
        }
    }
    let length = values.len();
    let all = Tensor::from_vec(values, length, &Device::Cpu)?;
    let view = |(name, begin, rows, columns)| {
        Ok((name, all.narrow(0, begin, rows * columns)?.reshape((rows, columns))?))
    };
    places.into_iter().map(view).collect()
}

/// How far each pair of a head turns with each position, in radians.
fn frequencies(spec: &Spec, layer: usize, factors: Option<&[f32]>) -> Vec<f64> {
    let rope = spec.rope(layer);
    let pairs = spec.head_size / 2;
    (0..pairs)
        .map(|pair| {
            let factor = factors.map_or(1.0, |it| f64::from(it[pair]));
            rope.base.powf(-(pair as f64) / pairs as f64) / (rope.scale * factor)
        })
        .collect()
}

/// Cosines and sines, `[tokens, head_size / 2]` each.
type Rotations = (Tensor, Tensor);

/// Where the tokens of a pass stand; what layers can share is made once.
struct Positions {
    start: usize,
    count: usize,
    rotations: Vec<(Arc<Vec<f64>>, Rotations)>,
    masks: Vec<(Option<usize>, Tensor)>,
}

impl Positions {
    fn new(start: usize, count: usize) -> Self {
        Self { start, count, rotations: Vec::new(), masks: Vec::new() }
    }

    fn rotations(&mut self, frequencies: &Arc<Vec<f64>>) -> Result<Rotations> {
        if let Some((_, it)) = self.rotations.iter().find(|(key, _)| key == frequencies) {
            return Ok(it.clone());
        }
        let angles = (self.start..self.start + self.count)
            .flat_map(|position| frequencies.iter().map(move |frequency| position as f64 * frequency));
        #[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
        let (cos, sin): (Vec<_>, Vec<_>) = angles.map(|it| (it.cos() as f32, it.sin() as f32)).unzip();
        let tensor = |it| Tensor::from_vec(it, (self.count, frequencies.len()), &Device::Cpu);
        let made = (tensor(cos)?, tensor(sin)?);
        self.rotations.push((Arc::clone(frequencies), made.clone()));
        Ok(made)
    }

    /// Zero where a token may look, minus infinity elsewhere, `[tokens, keys]`, the keys from `first` on;
    /// `None` where all may be seen.
    fn mask(&mut self, window: Option<usize>, first: usize) -> Result<Option<Tensor>> {
        if self.count == 1 {
            return Ok(None);
        }
        if let Some((_, it)) = self.masks.iter().find(|(key, _)| *key == window) {
            return Ok(Some(it.clone()));
        }
        let end = self.start + self.count;
        let mask: Vec<f32> = (self.start..end)
            .flat_map(|token| {
                (first..end).map(move |key| {
                    let seen = key <= token && window.is_none_or(|window| token - key < window);
                    if seen { 0.0 } else { f32::NEG_INFINITY }
                })
            })
            .collect();
        let mask = Tensor::from_vec(mask, (self.count, end - first), &Device::Cpu)?;
        self.masks.push((window, mask.clone()));
        Ok(Some(mask))
    }
}
