//! The decoder: token ids to logits, for every architecture.
//!
//! A step takes tokens of any number of sequences, each with its position and the blocks of its sequence's keys
//! and values: prefills and decodes of many lengths run together. What a token gives depends on the tokens before
//! it in its sequence, and on nothing else in the step: not on how many tokens there are, nor on how a prompt was cut.

mod load;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use candle_core::{Error, Result, Tensor};

use crate::kernels::alibi::Alibi;
use crate::kernels::attention::{Attention, Place, Turns};
use crate::kernels::cache::{BLOCK, Cache};
#[cfg(feature = "cuda")]
use crate::kernels::cuda;
use crate::kernels::rows;
#[cfg(feature = "cuda")]
use crate::ops::on_gpu;
use crate::ops::{Activate, Add, Attend, Device, LayerCache, Linear, Machine, Norm, States};
use crate::sampler;
use crate::spec::{Experts, Positions, Residual, Spec};

/// A model's weights, ready to compute with.
pub(crate) struct Decoder {
    spec: Spec,
    machine: Arc<Machine>,
    /// Whether nothing is rounded below `f32`.
    dense: bool,
    embedding: Linear,
    embedding_norm: Option<Norm>,
    positions: Option<Linear>,
    layers: Vec<Layer>,
    norm: Norm,
    /// `None` where it is the embedding.
    head: Option<Linear>,
    /// Of each table of rotary positions, as far as positions were reached.
    turns: RwLock<Vec<Turns>>,
    /// The same tables in a GPU's memory, where one computes.
    #[cfg(feature = "cuda")]
    tables: Vec<cuda::Table>,
}

struct Layer {
    norm: Norm,
    qkv: Linear,
    query_norms: Vec<rows::Norm>,
    key_norms: Vec<rows::Norm>,
    /// What a GPU has of them, where one computes.
    #[cfg(feature = "cuda")]
    attention: Option<cuda::Attention>,
    output: Linear,
    post_attention_norm: Option<Norm>,
    /// `None` where one norm serves attention and MLP.
    mlp_norm: Option<Norm>,
    router: Option<Linear>,
    /// One, or one an expert.
    mlps: Vec<Mlp>,
    post_mlp_norm: Option<Norm>,
}

struct Mlp {
    up: Linear,
    activate: Activate,
    down: Linear,
}

impl Mlp {
    fn forward(&self, states: &States) -> Result<States> {
        self.down.forward(&self.activate.forward(&self.up.forward(states)?)?)
    }
}

/// Keys and values of all sequences, in blocks of [`BLOCK`] positions.
pub(crate) struct KeysValues {
    layers: Vec<LayerCache>,
    #[cfg(feature = "cuda")]
    blocks: usize,
}

/// Tokens that are read together.
pub(crate) struct Step<'s> {
    /// In the order of their positions within each sequence.
    pub(crate) tokens: &'s [u32],
    /// Where each stands. The places of all earlier tokens of its sequence were written, in this step or before.
    pub(crate) places: &'s [Place<'s>],
    /// The tokens after which logits are wanted, by index.
    pub(crate) wanted: &'s [u32],
}

impl KeysValues {
    /// Bytes of one block, in all layers.
    pub(crate) fn block_bytes(spec: &Spec, dense: bool, device: Device) -> usize {
        let (kv_heads, head_size) = (spec.attention.kv_heads, spec.attention.head_size);
        let bytes = match device {
            #[cfg(feature = "cuda")]
            Device::Cuda => cuda::Cache::block_bytes(kv_heads, head_size),
            // What was built without it loads nothing for it.
            #[cfg(not(feature = "cuda"))]
            Device::Cuda => 1,
            Device::Cpu => Cache::block_bytes(kv_heads, head_size, dense),
        };
        spec.layers.len() * bytes
    }
}

impl Decoder {
    /// What it computes on.
    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What the model is.
    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Room for the keys and values of this many blocks. The machine's memory is touched only as positions are written,
    /// a GPU's is taken at once.
    ///
    /// # Errors
    /// In words, if there is no memory.
    pub(crate) fn keys_values(&self, blocks: usize) -> std::result::Result<KeysValues, String> {
        let (kv_heads, head_size) = (self.spec.attention.kv_heads, self.spec.attention.head_size);
        let cache = |_| {
            #[cfg(feature = "cuda")]
            if let Some(gpu) = &self.machine.gpu {
                let cache = cuda::Cache::new(gpu, blocks, kv_heads).map_err(|err| err.to_string());
                return cache.map(LayerCache::Gpu);
            }
            let cache = Cache::new(&self.machine.arena, blocks, kv_heads, head_size, self.dense)?;
            Ok(LayerCache::Cpu(Mutex::new(cache)))
        };
        Ok(KeysValues {
            layers: self.spec.layers.iter().map(cache).collect::<std::result::Result<_, String>>()?,
            #[cfg(feature = "cuda")]
            blocks,
        })
    }

    /// Makes a block another's copy, in all layers; `false` where a GPU has them, which does not copy yet.
    pub(crate) fn copy(&self, cache: &KeysValues, blocks: [u32; 2]) -> bool {
        cache.layers.iter().all(|layer| match layer {
            LayerCache::Cpu(cache) => {
                let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
                cache.copy(blocks, self.spec.attention.kv_heads);
                true
            }
            #[cfg(feature = "cuda")]
            LayerCache::Gpu(_) => false,
        })
    }

    /// Reads the tokens; writes the logits of what may follow those that are wanted, `[wanted, vocabulary]`.
    ///
    /// The vector is the caller's, to be used again: that of a large vocabulary takes longer to get from the system
    /// than to fill.
    pub(crate) fn forward(&self, cache: &KeysValues, step: &Step<'_>, logits: &mut Vec<f32>) -> Result<()> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.machine.gpu {
            if let Some(given) = self.logits_on(gpu, cache, step)? {
                return gpu.numbers(&given, logits);
            }
            logits.clear();
            return Ok(());
        }
        let furthest = step.places.iter().map(|it| it.position + 1).max().unwrap_or(0);
        for turns in &mut *self.turns.write().unwrap_or_else(PoisonError::into_inner) {
            turns.reach(furthest);
        }
        let turns = self.turns.read().unwrap_or_else(PoisonError::into_inner);
        let mut states = self.embed(step)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let attend = Attend {
                attention: self.attention(index, &turns),
                cache: &cache.layers[index],
                #[cfg(feature = "cuda")]
                on_gpu: None,
                places: step.places,
                machine: &self.machine,
            };
            states = self.layer(layer, &attend, &states)?;
        }
        let states =
            on_cpu(&states)?.index_select(&Tensor::new(step.wanted, &candle_core::Device::Cpu)?, 0)?;
        let states = self.norm.forward(&States::Cpu(states))?;
        self.head.as_ref().unwrap_or(&self.embedding).write(on_cpu(&states)?, logits)?;
        if let Some(scale) = self.spec.logit_scale {
            for it in logits.iter_mut() {
                *it *= scale;
            }
        }
        if let Some(cap) = self.spec.logit_cap {
            for it in logits.iter_mut() {
                *it = capped(*it, cap);
            }
        }
        Ok(())
    }

    /// The first of the likeliest tokens after those that are wanted; `None` where a logit is not a finite number.
    ///
    /// A GPU sends down no more than that.
    pub(crate) fn likeliest(&self, cache: &KeysValues, step: &Step<'_>) -> Result<Vec<Option<u32>>> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.machine.gpu {
            return self.logits_on(gpu, cache, step)?.map_or(Ok(Vec::new()), |it| gpu.likeliest(&it));
        }
        let mut logits = Vec::new();
        self.forward(cache, step, &mut logits)?;
        Ok(logits.chunks_exact(self.spec.vocabulary).map(|it| sampler::greedy(it).ok()).collect())
    }

    /// What computes.
    pub(crate) fn device(&self) -> Device {
        self.machine.device
    }

    /// What computes, by name.
    pub(crate) fn device_name(&self) -> String {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.machine.gpu {
            return gpu.name();
        }
        format!("{} threads of {}", self.machine.pool.threads(), self.machine.path.name())
    }

    /// The GPU, where one computes.
    #[cfg(feature = "cuda")]
    pub(crate) fn gpu(&self) -> Option<&cuda::Gpu> {
        self.machine.gpu.as_ref()
    }

    /// Reads the tokens on a GPU: one array goes up, the logits stay there. `None` where none are wanted.
    #[cfg(feature = "cuda")]
    fn logits_on(
        &self,
        gpu: &cuda::Gpu,
        cache: &KeysValues,
        step: &Step<'_>,
    ) -> Result<Option<cuda::States>> {
        let positions = self.positions.as_ref().map(Linear::matrix).transpose()?;
        let limits = cuda::Limits {
            blocks: cache.blocks,
            vocabulary: self.spec.vocabulary,
            positions: positions.map(|_| self.spec.context),
        };
        let sent = cuda::Step::new(gpu, &self.spec, &self.tables, limits, step)?;
        let embedding = self.embedding.matrix()?;
        let states = States::Gpu(gpu.embed(&sent, embedding, positions, self.spec.embedding_scale)?);
        let mut states = after(self.embedding_norm.as_ref(), &states)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let attend = Attend {
                attention: self.attention(index, &[]),
                cache: &cache.layers[index],
                on_gpu: layer.attention.as_ref().map(|it| (it, &sent)),
                places: step.places,
                machine: &self.machine,
            };
            states = self.layer(layer, &attend, &states)?;
        }
        let States::Gpu(states) = states else { return on_gpu(None).cloned() };
        if step.wanted.is_empty() {
            return Ok(None);
        }
        let states = self.norm.forward(&States::Gpu(gpu.wanted(&sent, &states)?))?;
        let logits = self.head.as_ref().unwrap_or(&self.embedding).forward(&states)?;
        let States::Gpu(logits) = logits else { return on_gpu(None).cloned() };
        gpu.finish(&logits, self.spec.logit_scale, self.spec.logit_cap)?;
        Ok(Some(logits))
    }

    fn embed(&self, step: &Step<'_>) -> Result<States> {
        let hidden = self.spec.hidden;
        let mut states = vec![0.0; step.tokens.len() * hidden];
        let mut learned = vec![0.0; hidden];
        for ((token, place), row) in step.tokens.iter().zip(step.places).zip(states.chunks_exact_mut(hidden))
        {
            if *token as usize >= self.spec.vocabulary {
                return Err(Error::msg(format!("token {token} of a vocabulary of {}", self.spec.vocabulary)));
            }
            self.embedding.row(*token as usize, row);
            if let Some(scale) = self.spec.embedding_scale {
                for it in row.iter_mut() {
                    *it *= scale;
                }
            }
            if let Some(positions) = &self.positions {
                if place.position >= self.spec.context {
                    return Err(Error::msg(format!("position {} of {}", place.position, self.spec.context)));
                }
                positions.row(place.position, &mut learned);
                row.iter_mut().zip(&learned).for_each(|(it, learned)| *it += learned);
            }
        }
        let states = Tensor::from_vec(states, (step.tokens.len(), hidden), &candle_core::Device::Cpu)?;
        after(self.embedding_norm.as_ref(), &States::Cpu(states))
    }

    fn attention<'d>(&'d self, layer: usize, turns: &'d [Turns]) -> Attention<'d> {
        let of = &self.spec.attention;
        Attention {
            heads: of.heads,
            kv_heads: of.kv_heads,
            head_size: of.head_size,
            scale: of.scale,
            clip: of.clip,
            cap: of.cap,
            query_norms: &self.layers[layer].query_norms,
            key_norms: &self.layers[layer].key_norms,
            alibi: match &self.spec.positions {
                Positions::Alibi { slopes, rounded } => Some(Alibi { slopes, rounded: *rounded }),
                Positions::Rotary(_) | Positions::Learned => None,
            },
            window: self.spec.layers[layer].window,
            turns: turns.get(self.spec.layers[layer].rotary),
        }
    }

    fn layer(&self, layer: &Layer, attend: &Attend<'_>, states: &States) -> Result<States> {
        let normed = layer.norm.forward(states)?;
        let attended = layer.output.forward(&attend.forward(&layer.qkv.forward(&normed)?)?)?;
        let add = Add(&self.machine);
        match self.spec.residual {
            Residual::Serial | Residual::SerialPostNorms => {
                let attended = after(layer.post_attention_norm.as_ref(), &attended)?;
                let states = add.forward(states, &attended)?;
                let normed = after(layer.mlp_norm.as_ref(), &states)?;
                let mixed = after(layer.post_mlp_norm.as_ref(), &self.mlp(layer, &normed)?)?;
                add.forward(&states, &mixed)
            }
            Residual::ParallelOneNorm => {
                add.forward(&add.forward(states, &attended)?, &self.mlp(layer, &normed)?)
            }
            Residual::ParallelTwoNorms => {
                let normed = after(layer.mlp_norm.as_ref(), states)?;
                add.forward(&add.forward(states, &attended)?, &self.mlp(layer, &normed)?)
            }
        }
    }

    fn mlp(&self, layer: &Layer, normed: &States) -> Result<States> {
        match (&layer.router, self.spec.mlp.experts, normed) {
            (Some(router), Some(experts), States::Cpu(normed)) => mixture(layer, router, experts, normed),
            #[cfg(feature = "cuda")]
            (Some(router), Some(experts), States::Gpu(normed)) => {
                let gpu = on_gpu(self.machine.gpu.as_ref())?;
                let mlps = layer.mlps.iter().map(|it| Ok((it.up.matrix()?, it.down.matrix()?)));
                let mlps = mlps.collect::<Result<Vec<_>>>()?;
                let mlp = self.spec.mlp;
                Ok(States::Gpu(gpu.mixture(router.matrix()?, &mlps, mlp, experts, normed)?))
            }
            _ => layer.mlps[0].forward(normed),
        }
    }
}

/// `cap * tanh(logit / cap)`, by a tanh that is the same on every CPU.
#[expect(clippy::cast_possible_truncation, reason = "logits are f32")]
fn capped(logit: f32, cap: f32) -> f32 {
    let cap = f64::from(cap);
    (cap * libm::tanh(f64::from(logit) / cap)) as f32
}

fn after(norm: Option<&Norm>, states: &States) -> Result<States> {
    norm.map_or_else(|| Ok(states.clone()), |norm| norm.forward(states))
}

#[cfg_attr(not(feature = "cuda"), expect(clippy::unnecessary_wraps, reason = "states may lie on a GPU"))]
fn on_cpu(states: &States) -> Result<&Tensor> {
    match states {
        States::Cpu(states) => Ok(states),
        #[cfg(feature = "cuda")]
        States::Gpu(_) => Err(Error::msg("the model was loaded for a GPU")),
    }
}

/// Each token goes to the experts with its largest router logits, weighted by the softmax over these; what they give
/// is added in the order of the experts.
fn mixture(layer: &Layer, router: &Linear, experts: Experts, normed: &Tensor) -> Result<States> {
    let logits = on_cpu(&router.forward(&States::Cpu(normed.clone()))?)?.to_vec2::<f32>()?;
    let mut work: Vec<(Vec<u32>, Vec<f32>)> = vec![Default::default(); experts.count];
    for (token, logits) in (0..).zip(&logits) {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        order.truncate(experts.used);
        let most = f64::from(logits[order[0]]);
        let weights: Vec<f64> = order.iter().map(|it| libm::exp(f64::from(logits[*it]) - most)).collect();
        let total: f64 = weights.iter().sum();
        for (expert, weight) in order.into_iter().zip(weights) {
            work[expert].0.push(token);
            #[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
            work[expert].1.push((weight / total) as f32);
        }
    }
    let (tokens, hidden) = normed.dims2()?;
    let mut mixed = vec![0.0; tokens * hidden];
    for (mlp, (tokens, weights)) in layer.mlps.iter().zip(work) {
        if tokens.is_empty() {
            continue;
        }
        let chosen = normed.index_select(&Tensor::new(&tokens[..], &candle_core::Device::Cpu)?, 0)?;
        let given = on_cpu(&mlp.forward(&States::Cpu(chosen))?)?.to_vec2::<f32>()?;
        for ((token, weight), given) in tokens.iter().zip(weights).zip(given) {
            let row = &mut mixed[*token as usize * hidden..][..hidden];
            row.iter_mut().zip(given).for_each(|(sum, it)| *sum += weight * it);
        }
    }
    Ok(States::Cpu(Tensor::from_vec(mixed, (tokens, hidden), &candle_core::Device::Cpu)?))
}

/// Blocks that hold so many positions.
pub(crate) fn blocks_of(positions: usize) -> usize {
    positions.div_ceil(BLOCK)
}
