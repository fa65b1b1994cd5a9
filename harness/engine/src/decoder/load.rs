//! Loading: weights on their way from a checkpoint to the decoder, and how many bytes they come to.

use std::sync::{Arc, RwLock};

use super::{Decoder, Layer, Mlp};
use crate::checkpoint::{self, Checkpoint, Matrix, Run};
use crate::kernels::attention::Turns;
#[cfg(feature = "cuda")]
use crate::kernels::cuda;
use crate::kernels::pack::{Loading, Packed};
use crate::kernels::rows;
use crate::ops::{Activate, Device, Linear, Machine, Norm};
use crate::spec::{NormKind, Positions, QueryKeyNorm, Residual};

impl Decoder {
    /// Reads and packs all weights; `dense` computes without quantized activations, keys and values.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn load(
        checkpoint: &Checkpoint,
        machine: Arc<Machine>,
        dense: bool,
    ) -> std::result::Result<Self, String> {
        checkpoint.check()?;
        let loader = Loader { checkpoint, machine: &machine, dense };
        let spec = checkpoint.spec().clone();
        let embedding = loader.linear(Matrix::Embedding)?;
        let layers =
            (0..spec.layers.len()).map(|layer| loader.layer(layer)).collect::<std::result::Result<_, _>>()?;
        let turns = match &spec.positions {
            Positions::Rotary(tables) => {
                tables.iter().map(|it| Turns::new(it.frequencies.clone(), it.scale)).collect()
            }
            Positions::Alibi { .. } | Positions::Learned => Vec::new(),
        };
        Ok(Self {
            embedding,
            embedding_norm: spec
                .embedding_norm
                .then(|| loader.norm(checkpoint::Norm::Embedding))
                .transpose()?,
            positions: (spec.positions == Positions::Learned)
                .then(|| loader.linear(Matrix::Positions))
                .transpose()?,
            layers,
            norm: loader.norm(checkpoint::Norm::Last)?,
            head: (!checkpoint.has_tied_head()).then(|| loader.linear(Matrix::Head)).transpose()?,
            #[cfg(feature = "cuda")]
            tables: match &machine.gpu {
                Some(gpu) => cuda::Table::all(gpu, &spec.positions).map_err(|err| err.to_string())?,
                None => Vec::new(),
            },
            turns: RwLock::new(turns),
            machine,
            dense,
            spec,
        })
    }

    /// Bytes of weights that loading a checkpoint gives.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn weights_bytes(
        checkpoint: &Checkpoint,
        dense: bool,
        device: Device,
    ) -> std::result::Result<u64, String> {
        let spec = checkpoint.spec();
        let experts = spec.mlp.experts.map_or(1, |it| it.count);
        let layers = (0..spec.layers.len()).flat_map(|layer| {
            let mlps =
                (0..experts).flat_map(move |expert| [Matrix::Up(layer, expert), Matrix::Down(layer, expert)]);
            let router = spec.mlp.experts.map(|_| Matrix::Router(layer));
            [Matrix::QueryKeyValue(layer), Matrix::Output(layer)].into_iter().chain(router).chain(mlps)
        });
        let head = (!checkpoint.has_tied_head()).then_some(Matrix::Head);
        let positions = (spec.positions == Positions::Learned).then_some(Matrix::Positions);
        let mut bytes = (checkpoint.vector_elements() * size_of::<f32>()) as u64;
        for matrix in [Matrix::Embedding].into_iter().chain(head).chain(positions).chain(layers) {
            bytes += matrix_bytes(checkpoint, matrix, dense, device)?;
        }
        Ok(bytes)
    }

    /// Bytes of weights that any step reads, however few its tokens: of tables that are looked up, only some rows are.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn step_bytes(checkpoint: &Checkpoint, device: Device) -> std::result::Result<u64, String> {
        let embedding = (!checkpoint.has_tied_head()).then_some(Matrix::Embedding);
        let positions = (checkpoint.spec().positions == Positions::Learned).then_some(Matrix::Positions);
        let mut bytes = Self::weights_bytes(checkpoint, false, device)?;
        for matrix in embedding.into_iter().chain(positions) {
            bytes -= matrix_bytes(checkpoint, matrix, false, device)?;
        }
        Ok(bytes)
    }
}

fn matrix_bytes(
    checkpoint: &Checkpoint,
    which: Matrix,
    dense: bool,
    device: Device,
) -> std::result::Result<u64, String> {
    let bytes = checkpoint.runs(which)?.into_iter().map(|run| {
        match (device, &run) {
            (Device::Cpu, Run::Rows(it)) => Packed::bytes_of(it.format, it.rows.len(), it.columns, dense),
            (Device::Cpu, Run::Groups(it)) => Packed::bytes_of_groups(it, dense),
            #[cfg(feature = "cuda")]
            (Device::Cuda, _) => cuda::Matrix::bytes_of(run.rows(), run.columns()),
            // What was built without it loads nothing for it.
            #[cfg(not(feature = "cuda"))]
            (Device::Cuda, _) => 0,
        }
    });
    Ok(bytes.sum::<usize>() as u64)
}

/// Weights on their way from a checkpoint to the decoder.
struct Loader<'l> {
    checkpoint: &'l Checkpoint,
    machine: &'l Arc<Machine>,
    dense: bool,
}

impl Loader<'_> {
    fn linear(&self, which: Matrix) -> std::result::Result<Linear, String> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.machine.gpu {
            let (runs, bias) = (self.checkpoint.runs(which)?, self.checkpoint.bias(which)?);
            let matrix = cuda::Matrix::new(gpu, &self.machine.pool, &runs, bias.as_deref())?;
            self.checkpoint.release();
            return Ok(Linear::of_gpu(self.machine, matrix));
        }
        let Machine { pool, arena, .. } = &**self.machine;
        let loading = Loading { pool, arena, dense: self.dense, read: &|| self.checkpoint.release() };
        let pack = |run: Run<'_>| match run {
            Run::Rows(it) => Packed::new(loading, it.format, it.columns, &it.rows),
            Run::Groups(it) => Packed::of_groups(loading, it),
        };
        let parts =
            self.checkpoint.runs(which)?.into_iter().map(pack).collect::<std::result::Result<_, _>>()?;
        self.checkpoint.release();
        Ok(Linear::new(self.machine, parts, self.checkpoint.bias(which)?))
    }

    fn vectors(&self, which: checkpoint::Norm) -> std::result::Result<rows::Norm, String> {
        let (weight, bias) = self.checkpoint.norm(which)?;
        let (centred, epsilon) = match self.checkpoint.spec().norm {
            NormKind::Rms { epsilon } => (false, epsilon),
            NormKind::Layer { epsilon } => (true, epsilon),
        };
        Ok(rows::Norm { weight, bias, centred, epsilon })
    }

    fn norm(&self, which: checkpoint::Norm) -> std::result::Result<Norm, String> {
        use checkpoint::Norm::{Attention, Last, Mlp};
        let feeds_linear = matches!(which, Attention(_) | Mlp(_) | Last);
        Norm::new(self.machine, self.vectors(which)?, feeds_linear).map_err(|err| err.to_string())
    }

    /// The norms of the heads of queries or keys.
    fn head_norms(&self, which: checkpoint::Norm) -> std::result::Result<Vec<rows::Norm>, String> {
        let attention = &self.checkpoint.spec().attention;
        Ok(match attention.query_key_norm {
            None => Vec::new(),
            Some(QueryKeyNorm::Shared) => vec![self.vectors(which)?],
            Some(QueryKeyNorm::PerHead) => {
                let all = self.vectors(which)?;
                let heads = all.weight.chunks_exact(attention.head_size);
                heads.map(|weight| rows::Norm { weight: weight.to_vec(), bias: None, ..all }).collect()
            }
        })
    }

    fn layer(&self, layer: usize) -> std::result::Result<Layer, String> {
        let spec = self.checkpoint.spec();
        let post = spec.residual == Residual::SerialPostNorms;
        let experts = spec.mlp.experts.map_or(1, |it| it.count);
        let mlps = (0..experts).map(|expert| {
            Ok(Mlp {
                up: self.linear(Matrix::Up(layer, expert))?,
                activate: Activate {
                    activation: spec.mlp.activation,
                    gated: spec.mlp.gated,
                    size: spec.mlp.size,
                    machine: Arc::clone(self.machine),
                },
                down: self.linear(Matrix::Down(layer, expert))?,
            })
        });
        let query_norms = self.head_norms(checkpoint::Norm::Query(layer))?;
        let key_norms = self.head_norms(checkpoint::Norm::Key(layer))?;
        Ok(Layer {
            norm: self.norm(checkpoint::Norm::Attention(layer))?,
            qkv: self.linear(Matrix::QueryKeyValue(layer))?,
            #[cfg(feature = "cuda")]
            attention: match &self.machine.gpu {
                Some(gpu) => cuda::Attention::new(gpu, spec, layer, &query_norms, &key_norms)
                    .map(Some)
                    .map_err(|err| err.to_string())?,
                None => None,
            },
            query_norms,
            key_norms,
            output: self.linear(Matrix::Output(layer))?,
            post_attention_norm: post
                .then(|| self.norm(checkpoint::Norm::PostAttention(layer)))
                .transpose()?,
            mlp_norm: (spec.residual != Residual::ParallelOneNorm)
                .then(|| self.norm(checkpoint::Norm::Mlp(layer)))
                .transpose()?,
            router: spec.mlp.experts.map(|_| self.linear(Matrix::Router(layer))).transpose()?,
            mlps: mlps.collect::<std::result::Result<_, String>>()?,
            post_mlp_norm: post.then(|| self.norm(checkpoint::Norm::PostMlp(layer))).transpose()?,
        })
    }
}
