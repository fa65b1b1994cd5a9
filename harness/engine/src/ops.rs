//! The operations of the decoder, between candle's tensors and the kernels.
//!
//! A tensor of states is `[tokens, …]`, whatever sequences the tokens belong to. An operation takes the place of
//! several of candle's where these would round otherwise on another CPU or with other rows beside them.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Error, Layout, Result, Shape, Storage, Tensor};

use crate::kernels::Path;
use crate::kernels::attention::{self, Attention, Place};
use crate::kernels::cache::Cache;
#[cfg(feature = "cuda")]
use crate::kernels::cuda;
use crate::kernels::grouped::reorder;
use crate::kernels::matmul::{Input, Output, multiply};
use crate::kernels::memory::{Arena, unwritten};
use crate::kernels::pack::Packed;
use crate::kernels::pool::Pool;
use crate::kernels::rows::{self, Quantized};
use crate::spec::{Activation, Spec};

/// What computes a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// All CPUs give the same bits.
    Cpu,
    /// An NVIDIA GPU, the first that the system shows; weights, keys and values are bfloat16 there.
    Cuda,
}

impl Device {
    const WITHOUT: &'static str = "this build has no CUDA: build with `--features cuda`";

    /// The one that `PROOFMARK_DEVICE` names; the CPU unless it is set.
    ///
    /// # Errors
    /// In words, if it names none that this build has.
    pub fn choose() -> std::result::Result<Self, String> {
        match std::env::var("PROOFMARK_DEVICE").as_deref() {
            Err(_) | Ok("" | "cpu") => Ok(Self::Cpu),
            Ok("cuda") if cfg!(feature = "cuda") => Ok(Self::Cuda),
            Ok("cuda") => Err(format!("PROOFMARK_DEVICE is `cuda`, but {}", Self::WITHOUT)),
            Ok(other) => Err(format!("PROOFMARK_DEVICE is cpu or cuda, not `{other}`")),
        }
    }
}

/// What operations run on.
pub(crate) struct Machine {
    /// What computes.
    pub(crate) device: Device,
    /// The instruction set.
    pub(crate) path: Path,
    /// The threads.
    pub(crate) pool: Pool,
    /// Where weights, keys and values lie.
    pub(crate) arena: Arena,
    /// The states of the operation that runs, quantized: kept so that its memory is.
    quantized: Mutex<Quantized>,
    /// The GPU, where one computes; weights are read by the threads nevertheless.
    #[cfg(feature = "cuda")]
    pub(crate) gpu: Option<cuda::Gpu>,
}

/// States of tokens, `[tokens, size]`, in the memory of what computes them.
#[derive(Clone)]
pub(crate) enum States {
    /// The machine's.
    Cpu(Tensor),
    /// A GPU's.
    #[cfg(feature = "cuda")]
    Gpu(cuda::States),
}

/// A device's part of a model, where the model was loaded for it.
#[cfg(feature = "cuda")]
pub(crate) fn on_gpu<T>(part: Option<&T>) -> Result<&T> {
    part.ok_or_else(|| Error::msg("the model was not loaded for a GPU"))
}

impl Machine {
    /// For a model of this kind. Whatever computes, weights are read by the CPU.
    ///
    /// # Errors
    /// In words, if there is no such device.
    pub(crate) fn new(
        device: Device,
        path: Path,
        pool: Pool,
        spec: &Spec,
    ) -> std::result::Result<Self, String> {
        #[cfg(feature = "cuda")]
        let gpu = match device {
            Device::Cpu => None,
            Device::Cuda => Some(cuda::Gpu::open(spec.attention.head_size)?),
        };
        #[cfg(not(feature = "cuda"))]
        if device == Device::Cuda {
            return Err(format!("`{}` on a GPU: {}", spec.architecture, Device::WITHOUT));
        }
        Ok(Self {
            device,
            path,
            pool,
            arena: Arena::default(),
            quantized: Mutex::default(),
            #[cfg(feature = "cuda")]
            gpu,
        })
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(&self) -> Result<&cuda::Gpu> {
        on_gpu(self.gpu.as_ref())
    }
}

/// A tensor's numbers.
fn numbers<'s>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [f32]> {
    let (begin, end) =
        layout.contiguous_offsets().ok_or_else(|| Error::msg("the tensor is not contiguous"))?;
    Ok(&storage.as_slice::<f32>()?[begin..end])
}

/// `x * weights^T + bias`.
pub(crate) struct Linear {
    /// One after the other in the output: quantized files store parts of what is one matrix here in several formats.
    parts: Vec<Packed>,
    bias: Option<Vec<f32>>,
    machine: Arc<Machine>,
    /// All of it, where a GPU computes.
    #[cfg(feature = "cuda")]
    matrix: Option<cuda::Matrix>,
}

impl Linear {
    /// The parts are of equal columns; a bias has an element for each of their rows.
    pub(crate) fn new(machine: &Arc<Machine>, parts: Vec<Packed>, bias: Option<Vec<f32>>) -> Self {
        Self {
            parts,
            bias,
            machine: Arc::clone(machine),
            #[cfg(feature = "cuda")]
            matrix: None,
        }
    }

    /// One whose weights are in the memory of the machine's GPU.
    #[cfg(feature = "cuda")]
    pub(crate) fn of_gpu(machine: &Arc<Machine>, matrix: cuda::Matrix) -> Self {
        Self { matrix: Some(matrix), ..Self::new(machine, Vec::new(), None) }
    }

    /// The weights in a GPU's memory.
    #[cfg(feature = "cuda")]
    pub(crate) fn matrix(&self) -> Result<&cuda::Matrix> {
        on_gpu(self.matrix.as_ref())
    }

    /// `[tokens, columns]` to `[tokens, rows]`.
    pub(crate) fn forward(&self, states: &States) -> Result<States> {
        match states {
            States::Cpu(states) => Ok(States::Cpu(states.apply_op1_no_bwd(self)?)),
            #[cfg(feature = "cuda")]
            States::Gpu(states) => Ok(States::Gpu(self.machine.on_gpu()?.multiply(self.matrix()?, states)?)),
        }
    }

    /// The same, written to a vector that is kept from one step to the next.
    pub(crate) fn write(&self, states: &Tensor, output: &mut Vec<f32>) -> Result<()> {
        let (storage, layout) = states.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { return Err(Error::msg("states of another device")) };
        let (tokens, columns) = layout.shape().dims2()?;
        output.resize(tokens * self.rows(), 0.0);
        self.multiply(numbers(storage, layout)?, columns, output)
    }

    /// `[tokens, columns]` to `[tokens, rows]`.
    fn multiply(&self, states: &[f32], columns: usize, output: &mut [f32]) -> Result<()> {
        let Machine { path, pool, .. } = &*self.machine;
        if let Some(part) = self.parts.iter().find(|it| it.columns() != columns) {
            return Err(Error::msg(format!("{columns} columns, not {}", part.columns())));
        }
        let stride = self.rows();
        let mut quantized = self.machine.quantized.lock().unwrap_or_else(PoisonError::into_inner);
        // Parts hardly ever differ in the order of their columns: one arrangement is kept.
        let (mut order, mut given, mut filled) = (None, Cow::Borrowed(states), false);
        let mut offset = 0;
        for part in &self.parts {
            if part.order() != order {
                order = part.order();
                given = order.map_or(Cow::Borrowed(states), |it| Cow::Owned(reorder(pool, states, it)));
                filled = false;
            }
            if part.is_quantized() && !filled {
                quantized.fill(*path, pool, &given, columns);
                filled = true;
            }
            let input = if part.is_quantized() { Input::Quantized(&quantized) } else { Input::Dense(&given) };
            let bias = self.bias.as_ref().map(|it| &it[offset..offset + part.rows()]);
            multiply(*path, pool, part, bias, &input, Output { numbers: output, stride, offset });
            offset += part.rows();
        }
        Ok(())
    }

    /// Elements of the output.
    fn rows(&self) -> usize {
        self.parts.iter().map(Packed::rows).sum()
    }

    /// One row of the weights.
    pub(crate) fn row(&self, mut row: usize, output: &mut [f32]) {
        for part in &self.parts {
            if row < part.rows() {
                return part.row(row, output);
            }
            row -= part.rows();
        }
        output.fill(0.0);
    }
}

impl CustomOp1 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, columns) = layout.shape().dims2()?;
        let mut output = unwritten(tokens * self.rows());
        self.multiply(numbers(storage, layout)?, columns, &mut output)?;
        Ok((CpuStorage::F32(output), (tokens, self.rows()).into()))
    }
}

/// A norm of each token's states.
#[cfg_attr(feature = "cuda", expect(clippy::struct_field_names, reason = "the norm itself, and a GPU's"))]
pub(crate) struct Norm {
    norm: rows::Norm,
    machine: Arc<Machine>,
    /// The same, where a GPU computes.
    #[cfg(feature = "cuda")]
    vectors: Option<cuda::Norm>,
}

impl Norm {
    /// `feeds_linear` says that only linear layers read what it gives.
    #[cfg_attr(
        not(feature = "cuda"),
        expect(clippy::unnecessary_wraps, reason = "a GPU may have no memory left")
    )]
    pub(crate) fn new(machine: &Arc<Machine>, norm: rows::Norm, feeds_linear: bool) -> Result<Self> {
        #[cfg(not(feature = "cuda"))]
        let _ = feeds_linear;
        Ok(Self {
            #[cfg(feature = "cuda")]
            vectors: machine.gpu.as_ref().map(|it| cuda::Norm::new(it, &norm, feeds_linear)).transpose()?,
            norm,
            machine: Arc::clone(machine),
        })
    }

    /// `[tokens, hidden]` to the same.
    pub(crate) fn forward(&self, states: &States) -> Result<States> {
        match states {
            States::Cpu(states) => Ok(States::Cpu(states.apply_op1_no_bwd(self)?)),
            #[cfg(feature = "cuda")]
            States::Gpu(states) => {
                let normed = self.machine.on_gpu()?.normalize(on_gpu(self.vectors.as_ref())?, states)?;
                Ok(States::Gpu(normed))
            }
        }
    }
}

impl CustomOp1 for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let states = numbers(storage, layout)?;
        let (_, size) = layout.shape().dims2()?;
        if size != self.norm.weight.len() {
            return Err(Error::msg(format!("{size} states, not {}", self.norm.weight.len())));
        }
        let mut output = unwritten(states.len());
        self.norm.apply(self.machine.path, &self.machine.pool, states, &mut output);
        Ok((CpuStorage::F32(output), layout.shape().clone()))
    }
}

/// Sums of states: candle's own would keep threads of its own busy beside ours.
pub(crate) struct Add<'m>(pub(crate) &'m Machine);

impl Add<'_> {
    /// Two tensors of one shape.
    pub(crate) fn forward(&self, a: &States, b: &States) -> Result<States> {
        match (a, b) {
            (States::Cpu(a), States::Cpu(b)) => Ok(States::Cpu(a.apply_op2_no_bwd(b, self)?)),
            #[cfg(feature = "cuda")]
            (States::Gpu(a), States::Gpu(b)) => Ok(States::Gpu(self.0.on_gpu()?.add(a, b)?)),
            #[cfg(feature = "cuda")]
            _ => Err(Error::msg("states in two memories are added")),
        }
    }
}

impl CustomOp2 for Add<'_> {
    fn name(&self) -> &'static str {
        "add"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        if a_layout.shape() != b_layout.shape() {
            return Err(Error::msg(format!("{:?} and {:?} are added", a_layout.shape(), b_layout.shape())));
        }
        let (a, b) = (numbers(a, a_layout)?, numbers(b, b_layout)?);
        let mut output = unwritten(a.len());
        rows::add(&self.0.pool, a, b, &mut output);
        Ok((CpuStorage::F32(output), a_layout.shape().clone()))
    }
}

/// `activation(gate) * up`, or `activation(up)`.
pub(crate) struct Activate {
    pub(crate) activation: Activation,
    pub(crate) gated: bool,
    /// Elements of the output.
    pub(crate) size: usize,
    pub(crate) machine: Arc<Machine>,
}

impl Activate {
    /// `[tokens, 2 * size]`, the gate first, or `[tokens, size]`, to `[tokens, size]`.
    pub(crate) fn forward(&self, states: &States) -> Result<States> {
        match states {
            States::Cpu(states) => Ok(States::Cpu(states.apply_op1_no_bwd(self)?)),
            #[cfg(feature = "cuda")]
            States::Gpu(states) => {
                let &Self { activation, gated, size, .. } = self;
                let mlp = crate::spec::Mlp { size, gated, activation, experts: None };
                Ok(States::Gpu(self.machine.on_gpu()?.activate(mlp, states)?))
            }
        }
    }
}

impl CustomOp1 for Activate {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let &Self { activation, gated, size, ref machine } = self;
        let (tokens, wide) = layout.shape().dims2()?;
        if wide != size * (1 + usize::from(gated)) {
            return Err(Error::msg(format!("{wide} elements for an output of {size}")));
        }
        let mut output = unwritten(tokens * size);
        let input = numbers(storage, layout)?;
        rows::activate(machine.path, &machine.pool, activation, gated, size, input, &mut output);
        Ok((CpuStorage::F32(output), (tokens, size).into()))
    }
}

/// Keys and values of one layer, in the memory of what computes them.
pub(crate) enum LayerCache {
    /// The machine's.
    Cpu(Mutex<Cache>),
    /// A GPU's.
    #[cfg(feature = "cuda")]
    Gpu(cuda::Cache),
}

/// Attention of the tokens of a step; their keys and values go to the cache.
pub(crate) struct Attend<'s> {
    pub(crate) attention: Attention<'s>,
    pub(crate) cache: &'s LayerCache,
    /// What a GPU has of the layer and the step, where it computes.
    #[cfg(feature = "cuda")]
    pub(crate) on_gpu: Option<(&'s cuda::Attention, &'s cuda::Step)>,
    /// Of each token.
    pub(crate) places: &'s [Place<'s>],
    pub(crate) machine: &'s Machine,
}

impl Attend<'_> {
    /// `[tokens, (heads + 2 * kv_heads) * head_size]` to `[tokens, heads * head_size]`.
    pub(crate) fn forward(&self, qkv: &States) -> Result<States> {
        match qkv {
            States::Cpu(qkv) => Ok(States::Cpu(qkv.apply_op1_no_bwd(self)?)),
            #[cfg(feature = "cuda")]
            States::Gpu(qkv) => {
                let (attention, step) = on_gpu(self.on_gpu.as_ref())?;
                let LayerCache::Gpu(cache) = self.cache else {
                    return Err(Error::msg("keys and values do not lie in a GPU's memory"));
                };
                Ok(States::Gpu(self.machine.on_gpu()?.attend(attention, cache, step, qkv)?))
            }
        }
    }
}

impl CustomOp1 for Attend<'_> {
    fn name(&self) -> &'static str {
        "attend"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Machine { path, pool, .. } = self.machine;
        let qkv = numbers(storage, layout)?;
        let size = self.attention.heads * self.attention.head_size;
        let mut output = unwritten(self.places.len() * size);
        #[cfg_attr(
            not(feature = "cuda"),
            expect(clippy::infallible_destructuring_match, reason = "they may lie on a GPU")
        )]
        let cache = match self.cache {
            LayerCache::Cpu(cache) => cache,
            #[cfg(feature = "cuda")]
            LayerCache::Gpu(_) => return Err(Error::msg("keys and values lie in a GPU's memory")),
        };
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        attention::attend(*path, pool, &self.attention, &mut cache, self.places, qkv, &mut output);
        Ok((CpuStorage::F32(output), (self.places.len(), size).into()))
    }
}
