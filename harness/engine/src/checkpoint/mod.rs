//! Checkpoints: a folder of safetensors with a `config.json`, or a GGUF file, behind one layout.
//!
//! Files are mapped, never copied: a matrix is a list of rows, each a slice of the mapped file, in the order that the
//! decoder wants. That undoes fused projections, interleaved heads and GGUF's permutation without touching a weight,
//! and works for quantized rows as well.

mod layout;
mod map;
mod metadata;
mod names;
mod published;
mod quantized;
mod rotary;
mod safetensors;
mod settings;
mod tensors;

use std::path::Path;

use candle_core::quantized::GgmlDType;

use crate::gguf::Gguf;
use crate::kernels::grouped::Groups;
use crate::spec::Spec;
use layout::{Layout, Place};
use tensors::Stored;
pub(crate) use tensors::Tensors;

/// Which matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Matrix {
    /// `[vocabulary, hidden]`.
    Embedding,
    /// `[positions, hidden]`; only of [`crate::spec::Positions::Learned`].
    Positions,
    /// `[vocabulary, hidden]`; the embedding where the checkpoint ties them.
    Head,
    /// `[(heads + 2 * kv_heads) * head_size, hidden]`: all queries, then all keys, then all values; the elements of
    /// each query and key head in the order that [`crate::spec::Positions::Rotary`] turns them.
    QueryKeyValue(usize),
    /// `[hidden, heads * head_size]`.
    Output(usize),
    /// `[experts, hidden]`.
    Router(usize),
    /// `[2 * size, hidden]`, the gate first, where the MLP is gated; else `[size, hidden]`. Layer and expert; the
    /// expert is 0 where there are none.
    Up(usize, usize),
    /// `[hidden, size]`. Layer and expert.
    Down(usize, usize),
}

/// Which norm: a weight vector, perhaps with a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Norm {
    /// Of the embeddings.
    Embedding,
    /// Before attention; before both, where attention and MLP stand in parallel behind one norm.
    Attention(usize),
    /// Of what attention gives.
    PostAttention(usize),
    /// Before the MLP.
    Mlp(usize),
    /// Of what the MLP gives.
    PostMlp(usize),
    /// Of queries, `[head_size]` or `[heads * head_size]`.
    Query(usize),
    /// Of keys, `[head_size]` or `[kv_heads * head_size]`.
    Key(usize),
    /// Before the head.
    Last,
}

/// The rows of a matrix, in order, as stored.
#[expect(clippy::struct_field_names, reason = "rows are what it is about")]
pub(crate) struct Rows<'c> {
    /// How they are stored.
    pub(crate) format: GgmlDType,
    /// Elements of a row.
    pub(crate) columns: usize,
    /// Their bytes, not aligned to anything.
    pub(crate) rows: Vec<&'c [u8]>,
}

/// Rows of a matrix, in order, that are stored alike.
pub(crate) enum Run<'c> {
    /// One after the other.
    Rows(Rows<'c>),
    /// As AWQ and GPTQ interleave them.
    Groups(Groups<'c>),
}

#[cfg(feature = "cuda")]
impl Run<'_> {
    /// Rows of the run.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Rows(it) => it.rows.len(),
            Self::Groups(it) => it.rows(),
        }
    }

    /// Elements of a row.
    pub(crate) fn columns(&self) -> usize {
        match self {
            Self::Rows(it) => it.columns,
            Self::Groups(it) => it.columns(),
        }
    }
}

/// Characters of a message.
const MOST_SAID: usize = 800;

/// A model's files, checked: what the [`Spec`] calls for is there, in the right shapes, and nothing else.
pub(crate) struct Checkpoint {
    spec: Spec,
    layout: Layout,
    tensors: Tensors,
    metadata: Option<Gguf>,
}

impl Checkpoint {
    /// Opens a folder with `config.json` and safetensors, or a GGUF file, and checks all but the weights' values.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        Self::read(path).map_err(|message| match message.char_indices().nth(MOST_SAID) {
            // Names and values come from the files and can be of any length.
            Some((at, _)) => format!("{}…", &message[..at]),
            None => message,
        })
    }

    fn read(path: &Path) -> Result<Self, String> {
        if path.is_dir() {
            let tensors = Tensors::of_folder(path)?;
            let config = quantized::with_settings(path, tensors::read_config(path)?)?;
            let (spec, layout) = published::read(&config, &tensors)
                .map_err(|err| format!("{}: {err}", path.join("config.json").display()))?;
            layout.check(&spec, &tensors).map_err(|err| format!("{}: {err}", path.display()))?;
            return Ok(Self { spec, layout, tensors, metadata: None });
        }
        if tensors::is_pickle(path) {
            return Err(tensors::refused_pickle(path));
        }
        if path.extension().is_some_and(|it| it.eq_ignore_ascii_case("safetensors")) {
            return Err(format!("{} is a part of a checkpoint: name its folder", path.display()));
        }
        let (tensors, gguf) = Tensors::of_gguf(path)?;
        let (spec, layout) = metadata::read(&gguf, &tensors)?;
        layout.check(&spec, &tensors)?;
        Ok(Self { spec, layout, tensors, metadata: Some(gguf) })
    }

    /// What a `config.json` says of a checkpoint with these tensors.
    #[cfg(test)]
    pub(crate) fn read_config(config: &serde_json::Value, tensors: &Tensors) -> Result<Spec, String> {
        published::read(config, tensors).map(|it| it.0)
    }

    /// All matrices and norms that there are.
    #[cfg(test)]
    pub(crate) fn contents(&self) -> (Vec<Matrix>, Vec<Norm>) {
        let matrices = layout::matrices(&self.spec).filter(|it| self.place(*it).is_ok());
        let norms = layout::norms(&self.spec).filter(|it| self.layout.norm(&self.spec, *it).is_some());
        (matrices.collect(), norms.collect())
    }

    /// What the architecture is.
    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The metadata of a GGUF file, tokenizer and chat template among them; `None` for a folder.
    pub(crate) fn metadata(&mut self) -> Option<&mut Gguf> {
        self.metadata.as_mut()
    }

    /// Bytes of all tensors.
    pub(crate) fn size(&self) -> u64 {
        self.tensors.size()
    }

    /// A matrix that is stored in one format; see [`Self::runs`] for those that are not.
    #[cfg(test)]
    pub(crate) fn matrix(&self, which: Matrix) -> Result<Rows<'_>, String> {
        let mut runs = self.runs(which)?;
        match (runs.pop(), runs.is_empty()) {
            (Some(Run::Rows(it)), true) => Ok(it),
            _ => Err(format!("{which:?} is stored in several formats")),
        }
    }

    /// The rows of a matrix in order, in runs of one format each: quantized files store queries, keys and values, or
    /// the halves of an MLP, in different ones.
    pub(crate) fn runs(&self, which: Matrix) -> Result<Vec<Run<'_>>, String> {
        let mut runs: Vec<Run> = Vec::new();
        let which = if which == Matrix::Head && self.repeats_embedding() { Matrix::Embedding } else { which };
        for part in self.place(which)?.parts {
            if let (Some(it), &[rows, columns]) =
                (self.layout.quantization(&self.tensors, &part.name), &part.shape[..])
            {
                let matrix = it.open(&self.tensors, &part.name, [rows, columns])?;
                let groups = Groups::new(matrix, part.rows());
                let apart = match runs.last_mut() {
                    Some(Run::Groups(run)) => run.join(groups).err(),
                    _ => Some(groups),
                };
                runs.extend(apart.map(Run::Groups));
                continue;
            }
            let (stored, format) = self.stored(&format!("{}.weight", part.name))?;
            let columns = stored.shape.last().copied().unwrap_or_default();
            let bytes = columns / format.block_size() * format.type_size();
            let rows = part.rows().map(|row| &self.tensors.bytes(stored)[row * bytes..][..bytes]);
            match runs.last_mut() {
                Some(Run::Rows(run)) if run.format == format => run.rows.extend(rows),
                _ => runs.push(Run::Rows(Rows { format, columns, rows: rows.collect() })),
            }
        }
        Ok(runs)
    }

    /// The bias beside a matrix, in the order of its rows; `None` where the checkpoint has none.
    pub(crate) fn bias(&self, which: Matrix) -> Result<Option<Vec<f32>>, String> {
        let place = self.place(which)?;
        if !place.bias {
            return Ok(None);
        }
        let mut bias = Vec::new();
        for part in place.parts {
            let whole = self.vector(&self.layout.bias(which, &part))?;
            bias.extend(part.rows().map(|row| whole[row]));
        }
        Ok(Some(bias))
    }

    /// Weight, and bias where there is one. Gemma's `1 + weight` is added up.
    pub(crate) fn norm(&self, which: Norm) -> Result<(Vec<f32>, Option<Vec<f32>>), String> {
        let place = self.layout.norm(&self.spec, which);
        let place = place.ok_or_else(|| format!("the model has no {which:?}"))?;
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in place.names {
            weight.extend(self.vector(&format!("{name}.weight"))?);
            if place.bias {
                bias.extend(self.vector(&format!("{name}.bias"))?);
            }
        }
        if self.layout.one_plus {
            for it in &mut weight {
                *it += 1.0;
            }
        }
        Ok((weight, place.bias.then_some(bias)))
    }

    /// Whether the embedding serves as head, without a bias.
    pub(crate) fn has_tied_head(&self) -> bool {
        self.layout.tied
            && !self.layout.biases.head
            && (!self.layout.has_head(&self.tensors) || self.repeats_embedding())
    }

    /// Finds files that were cut since they were opened, before their weights are read.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.tensors.check()
    }

    /// Elements of all norms and biases.
    pub(crate) fn vector_elements(&self) -> usize {
        let norms = layout::norms(&self.spec).filter_map(|it| self.layout.norm(&self.spec, it));
        let norms =
            norms.map(|it| it.names.len() * it.shape.iter().product::<usize>() * (1 + usize::from(it.bias)));
        let places = layout::matrices(&self.spec).filter_map(|it| self.place(it).ok());
        let biases =
            places.filter(|it| it.bias).map(|it| it.parts.iter().map(|it| it.rows().count()).sum::<usize>());
        norms.sum::<usize>() + biases.sum::<usize>()
    }

    /// Lets the system take back the pages of what was read so far; they come back when they are touched again.
    pub(crate) fn release(&self) {
        self.tensors.release();
    }

    /// Whether a head that should be the embedding stands in the files once more, as it is. One that differs is taken
    /// for what it is, as transformers 5 does.
    fn repeats_embedding(&self) -> bool {
        let stored = |which| {
            let place = self.layout.matrix(&self.spec, &self.tensors, which)?;
            self.tensors.get(&format!("{}.weight", place.parts.first()?.name))
        };
        let (Some(head), Some(embedding)) = (stored(Matrix::Head), stored(Matrix::Embedding)) else {
            return false;
        };
        self.layout.tied
            && !std::ptr::eq(head, embedding)
            && head.format == embedding.format
            && self.tensors.bytes(head) == self.tensors.bytes(embedding)
    }

    fn place(&self, which: Matrix) -> Result<Place, String> {
        let place = self.layout.matrix(&self.spec, &self.tensors, which);
        place.ok_or_else(|| format!("the model has no {which:?}"))
    }

    fn stored(&self, name: &str) -> Result<(&Stored, GgmlDType), String> {
        let stored = self.tensors.get(name).ok_or_else(|| format!("no tensor `{name}`"))?;
        Ok((stored, stored.format.clone()?))
    }

    fn vector(&self, name: &str) -> Result<Vec<f32>, String> {
        let stored = self.tensors.get(name).ok_or_else(|| format!("no tensor `{name}`"))?;
        self.tensors.floats(name, stored)
    }
}
