//! Attention of tokens of many sequences at once over blocks of keys and values, behind one function.

use candle_core::{Error, Result};
use cudarc::driver::CudaSlice;
use half::bf16;

use super::parameters::{Attend, HeadNorm, Prepare};
use super::states::States;
use super::step::Step;
use super::{CHUNK, Gpu, size};
use crate::kernels::cache::BLOCK;
use crate::kernels::rows;
use crate::spec::{self, Spec};

/// Keys and values of one layer: see `kernels.cu` for their order.
pub(crate) struct Cache {
    keys: CudaSlice<bf16>,
    values: CudaSlice<bf16>,
}

impl Cache {
    /// Room for this many blocks.
    pub(crate) fn new(gpu: &Gpu, blocks: usize, kv_heads: usize) -> Result<Self> {
        let length = blocks * kv_heads * BLOCK * gpu.head;
        Ok(Self { keys: gpu.zeros(length)?, values: gpu.zeros(length)? })
    }

    /// Bytes of one block.
    pub(crate) fn block_bytes(kv_heads: usize, head_size: usize) -> usize {
        2 * kv_heads * BLOCK * head_size.next_multiple_of(CHUNK) * size_of::<bf16>()
    }
}

/// What attention is in one layer.
pub(crate) struct Attention {
    of: spec::Attention,
    query_norms: Option<Norms>,
    key_norms: Option<Norms>,
    slopes: Option<CudaSlice<f32>>,
    /// As [`crate::kernels::alibi::Alibi`] has it.
    rounded: Option<f32>,
    window: Option<usize>,
    rotary: usize,
}

/// Norms of heads: one for all, or one a head.
struct Norms {
    weight: CudaSlice<f32>,
    bias: Option<CudaSlice<f32>>,
    count: usize,
    head_size: usize,
    centred: bool,
    epsilon: f32,
}

impl Norms {
    fn new(gpu: &Gpu, norms: &[rows::Norm]) -> Result<Option<Self>> {
        let Some(first) = norms.first() else { return Ok(None) };
        let weight: Vec<f32> = norms.iter().flat_map(|it| it.weight.iter().copied()).collect();
        let bias: Option<Vec<f32>> =
            norms.iter().map(|it| it.bias.as_deref()).collect::<Option<Vec<_>>>().map(|it| it.concat());
        Ok(Some(Self {
            weight: gpu.upload(&weight)?,
            bias: bias.map(|it| gpu.upload(&it)).transpose()?,
            count: norms.len(),
            head_size: first.weight.len(),
            centred: first.centred,
            epsilon: first.epsilon,
        }))
    }

    /// For a number of heads.
    fn parameters(gpu: &Gpu, norms: Option<&Self>, heads: usize, head_size: usize) -> Result<HeadNorm> {
        let none = HeadNorm { weight: 0, bias: 0, stride: 0, centred: 0, epsilon: 0.0, unused: 0 };
        let Some(norms) = norms else { return Ok(none) };
        if norms.head_size != head_size || norms.count != 1 && norms.count != heads {
            return Err(Error::msg(format!("{} norms of {} elements", norms.count, norms.head_size)));
        }
        Ok(HeadNorm {
            weight: gpu.address(&norms.weight),
            bias: gpu.address_or_null(norms.bias.as_ref()),
            stride: if norms.count == 1 { 0 } else { size(head_size) },
            centred: u32::from(norms.centred),
            epsilon: norms.epsilon,
            unused: 0,
        })
    }
}

impl Attention {
    /// Of one layer, with the norms of its heads.
    pub(crate) fn new(
        gpu: &Gpu,
        spec: &Spec,
        layer: usize,
        query_norms: &[rows::Norm],
        key_norms: &[rows::Norm],
    ) -> Result<Self> {
        let (slopes, rounded) = match &spec.positions {
            spec::Positions::Alibi { slopes, rounded } => (Some(gpu.upload(slopes)?), *rounded),
            spec::Positions::Rotary(_) | spec::Positions::Learned => (None, None),
        };
        Ok(Self {
            of: spec.attention,
            query_norms: Norms::new(gpu, query_norms)?,
            key_norms: Norms::new(gpu, key_norms)?,
            slopes,
            rounded,
            window: spec.layers[layer].window,
            rotary: spec.layers[layer].rotary,
        })
    }
}

impl Gpu {
    /// Keys and values of the new tokens are written, then each token looks at itself and what was before it:
    /// `[tokens, (heads + 2 * kv_heads) * head_size]` to `[tokens, heads * head_size]`.
    pub(crate) fn attend(
        &self,
        attention: &Attention,
        cache: &Cache,
        step: &Step,
        qkv: &States,
    ) -> Result<States> {
        let spec::Attention { heads, kv_heads, head_size, scale, clip, cap, .. } = attention.of;
        let tokens = step.tokens();
        let wide = (heads + 2 * kv_heads) * head_size;
        if (qkv.tokens(), qkv.size()) != (tokens, wide) {
            let shape = (qkv.tokens(), qkv.size());
            return Err(Error::msg(format!("{shape:?} queries, keys and values, not {:?}", (tokens, wide))));
        }
        let queries = self.array::<bf16>(tokens * heads * self.head)?;
        let turns = step.turns(attention.rotary);
        let prepare = Prepare {
            qkv: self.address(qkv.numbers()?),
            queries: self.address(&queries),
            keys: self.address(&cache.keys),
            values: self.address(&cache.values),
            slots: step.slots(self),
            turns: self.address_or_null(turns),
            query_norm: Norms::parameters(self, attention.query_norms.as_ref(), heads, head_size)?,
            key_norm: Norms::parameters(self, attention.key_norms.as_ref(), kv_heads, head_size)?,
            tokens: size(tokens),
            heads: size(heads),
            kv_heads: size(kv_heads),
            head_size: size(head_size),
            pairs: size(turns.map_or(0, |it| it.len() / 2 / tokens.max(1))),
            scale,
            clip: clip.unwrap_or(f32::INFINITY),
            unused: 0,
        };
        let warps = (tokens * (heads + 2 * kv_heads)).div_ceil(4);
        self.launch(&self.functions.prepare, [warps, 1, 1], 128, &prepare)?;

        let stride = (heads * head_size).next_multiple_of(CHUNK);
        // What pads a row must be zeros; the kernel writes only what is within it.
        let output: CudaSlice<bf16> = if stride == heads * head_size {
            self.array(tokens * stride)?
        } else {
            self.zeros(tokens * stride)?
        };
        // Segments are looked at side by side only where there are too few queries to keep the GPU busy. The order
        // of sums is the same.
        let blocks = step.tile_count() * kv_heads;
        let beside = step.segments() > 1 && blocks < 2 * self.processors;
        let segments = if beside { step.segments() } else { 0 };
        let parts = self.array::<f32>(tokens * heads * segments * (self.head + 2))?;
        let attend = Attend {
            queries: self.address(&queries),
            keys: self.address(&cache.keys),
            values: self.address(&cache.values),
            output: self.address(&output),
            parts: self.address(&parts),
            tiles: step.tiles(self),
            tables: step.tables(self),
            places: step.positions(self),
            slopes: self.address_or_null(attention.slopes.as_ref()),
            heads: size(heads),
            kv_heads: size(kv_heads),
            head_size: size(head_size),
            stride: size(stride),
            window: attention.window.map_or(u32::MAX, size),
            segments: size(segments),
            cap: cap.unwrap_or(0.0),
            rounded: attention.rounded.unwrap_or(0.0),
        };
        self.launch(&self.functions.attend, [step.tile_count(), kv_heads, segments.max(1)], 128, &attend)?;
        if beside {
            self.launch(&self.functions.join_segments, [tokens, heads, 1], self.head, &attend)?;
        }
        Ok(States::narrow(output, tokens, heads * head_size))
    }
}
