//! Where each matrix and norm stands in a checkpoint's tensors, and the check that all are there and no others.

use std::collections::HashSet;

use candle_core::quantized::GgmlDType;

use super::names::{self, Names, QueryKeyValueNames};
use super::quantized::Quantization;
use super::tensors::{Stored, Tensors};
use super::{Matrix, Norm};
use crate::spec::{NormKind, Positions, QueryKeyNorm, Residual, Spec};

/// How queries, keys and values stand in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fusing {
    /// Three tensors.
    Separate,
    /// One tensor: for each key head its queries, then its key, then its value.
    Groups,
    /// One tensor: all queries, then all keys, then all values.
    Parts,
}

/// Which matrices have a bias.
#[expect(clippy::struct_excessive_bools, reason = "architectures differ in many small things")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Biases {
    pub(super) query_key_value: bool,
    pub(super) output: bool,
    pub(super) mlp: bool,
    pub(super) head: bool,
    /// Of all norms but those of queries and keys.
    pub(super) norms: bool,
    /// Of the norms of queries and keys.
    pub(super) head_norms: bool,
}

/// Several of a kind in one tensor, or each in one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Several {
    Stacked,
    Each,
}

/// What a checkpoint's files do differently for the same computation.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) names: &'static Names,
    /// What stands before all names.
    pub(super) prefix: &'static str,
    /// What stands before the head's.
    pub(super) head_prefix: &'static str,
    pub(super) fusing: Fusing,
    pub(super) biases: Biases,
    /// The embedding serves as head where there is no head.
    pub(super) tied: bool,
    /// Norms are stored as what is added to 1.
    pub(super) one_plus: bool,
    /// How many elements at the beginning of each query and key head turn as neighbours: 0 with 1, 2 with 3.
    pub(super) neighbours: usize,
    /// Experts of a layer.
    pub(super) experts: Several,
    /// Norms of a layer's heads.
    pub(super) head_norms: Several,
    /// A tensor that went into the [`Spec`].
    pub(super) known: Option<&'static str>,
    /// How matrices are stored that are quantized in safetensors.
    pub(super) quantization: Option<Quantization>,
}

/// Some rows of a tensor, in the order that the decoder wants.
#[derive(Debug)]
pub(super) struct Part {
    /// Without `.weight` and `.bias`.
    pub(super) name: String,
    /// What the whole tensor must have.
    pub(super) shape: Vec<usize>,
    first: usize,
    blocks: usize,
    /// Rows of a block.
    size: usize,
    /// Rows from the beginning of a block to the next one's.
    stride: usize,
    /// Of the rows of a block, how many are stored as neighbours.
    neighbours: usize,
}

impl Part {
    fn whole(name: String, rows: usize, columns: usize) -> Self {
        let shape = vec![rows, columns];
        Self { name, shape, first: 0, blocks: 1, size: rows, stride: rows, neighbours: 0 }
    }

    /// The rows of the stored tensor, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> {
        let half = self.neighbours / 2;
        (0..self.blocks).flat_map(move |block| {
            (0..self.size).map(move |row| {
                let stored = match row {
                    row if row < half => 2 * row,
                    row if row < 2 * half => 2 * (row - half) + 1,
                    row => row,
                };
                self.first + block * self.stride + stored
            })
        })
    }
}

/// The parts of a matrix, and whether there is a bias beside them.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) parts: Vec<Part>,
    pub(super) bias: bool,
}

/// The tensors of a norm, and how long each is.
#[derive(Debug)]
pub(super) struct NormPlace {
    /// Without `.weight` and `.bias`.
    pub(super) names: Vec<String>,
    pub(super) shape: Vec<usize>,
    pub(super) bias: bool,
}

impl Layout {
    /// Of files in the form that most published checkpoints have.
    pub(super) fn new(names: &'static Names, tensors: &Tensors) -> Result<Self, String> {
        let (prefix, head_prefix) = names.prefix(tensors)?;
        let fusing = match names.query_key_value {
            QueryKeyValueNames::Separate(_) => Fusing::Separate,
            QueryKeyValueNames::Fused(_) => Fusing::Groups,
        };
        Ok(Self {
            names,
            prefix,
            head_prefix,
            fusing,
            biases: Biases::default(),
            tied: false,
            one_plus: false,
            neighbours: 0,
            experts: Several::Each,
            head_norms: Several::Each,
            known: None,
            quantization: None,
        })
    }

    /// The full name of something that is there once.
    pub(super) fn once(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The full name of something that each layer has.
    pub(super) fn in_layer(&self, layer: usize, name: &str) -> String {
        format!("{}{}.{layer}.{name}", self.prefix, self.names.layers)
    }

    fn head(&self) -> String {
        format!("{}{}", self.head_prefix, self.names.head)
    }

    /// Whether the files hold a head of their own.
    pub(super) fn has_head(&self, tensors: &Tensors) -> bool {
        let head = self.head();
        tensors.get(&format!("{head}.weight")).is_some() || self.quantization(tensors, &head).is_some()
    }

    /// How a matrix is quantized in safetensors; `None` where it is not. Rows are looked up in the embedding alone,
    /// and nobody quantizes that.
    pub(super) fn quantization(&self, tensors: &Tensors, name: &str) -> Option<&Quantization> {
        self.quantization.as_ref().filter(|_| Quantization::is_used(tensors, name))
    }

    /// Where a matrix stands; `None` where the architecture has none such.
    pub(super) fn matrix(&self, spec: &Spec, tensors: &Tensors, which: Matrix) -> Option<Place> {
        let Spec { hidden, vocabulary, mlp, .. } = *spec;
        let attention = spec.attention;
        let (names, biases) = (self.names, self.biases);
        let one = |part: Part, bias: bool| Some(Place { parts: vec![part], bias });
        let layers = 0..spec.layers.len();
        match which {
            Matrix::Embedding => one(Part::whole(self.once(names.embedding), vocabulary, hidden), false),
            Matrix::Head => {
                let name = if self.tied && !self.has_head(tensors) {
                    self.once(names.embedding)
                } else {
                    self.head()
                };
                one(Part::whole(name, vocabulary, hidden), biases.head)
            }
            Matrix::Positions if spec.positions == Positions::Learned => {
                one(Part::whole(self.once(names.positions), spec.context, hidden), false)
            }
            Matrix::QueryKeyValue(layer) if layers.contains(&layer) => {
                Some(self.query_key_value(spec, layer))
            }
            Matrix::Output(layer) if layers.contains(&layer) => {
                let name = self.in_layer(layer, names.output);
                one(Part::whole(name, hidden, attention.heads * attention.head_size), biases.output)
            }
            Matrix::Router(layer) if layers.contains(&layer) => {
                one(Part::whole(self.in_layer(layer, names.router), mlp.experts?.count, hidden), false)
            }
            Matrix::Up(layer, expert) if layers.contains(&layer) => {
                let up = self.half(spec, layer, expert, [names.up, names.expert_up], [mlp.size, hidden])?;
                let mut parts = vec![up];
                if mlp.gated {
                    let gate = [names.gate, names.expert_gate];
                    parts.insert(0, self.half(spec, layer, expert, gate, [mlp.size, hidden])?);
                }
                Some(Place { parts, bias: biases.mlp })
            }
            Matrix::Down(layer, expert) if layers.contains(&layer) => {
                let down = [names.down, names.expert_down];
                one(self.half(spec, layer, expert, down, [hidden, mlp.size])?, biases.mlp)
            }
            _ => None,
        }
    }

    /// The full name of the bias beside a part of a matrix. A head has its own, even where its weights are the embedding.
    pub(super) fn bias(&self, which: Matrix, part: &Part) -> String {
        if which == Matrix::Head { format!("{}.bias", self.head()) } else { format!("{}.bias", part.name) }
    }

    fn query_key_value(&self, spec: &Spec, layer: usize) -> Place {
        let attention = spec.attention;
        let size = attention.head_size;
        let counts = [attention.heads, attention.kv_heads, attention.kv_heads];
        let parts = match self.names.query_key_value {
            QueryKeyValueNames::Separate(names) if self.fusing == Fusing::Separate => names
                .into_iter()
                .zip(counts)
                .enumerate()
                .map(|(index, (name, heads))| {
                    let mut part = Part::whole(self.in_layer(layer, name), heads * size, spec.hidden);
                    if index < 2 && self.neighbours > 0 {
                        (part.blocks, part.size, part.stride) = (heads, size, size);
                        part.neighbours = self.neighbours;
                    }
                    part
                })
                .collect(),
            QueryKeyValueNames::Separate(_) | QueryKeyValueNames::Fused(_) => {
                let name = match self.names.query_key_value {
                    QueryKeyValueNames::Fused(name) => name,
                    QueryKeyValueNames::Separate(_) => self.names.fused,
                };
                let rows = counts.iter().sum::<usize>() * size;
                let group = attention.heads / attention.kv_heads;
                let mut first = 0;
                let mut place = |heads: usize| {
                    let mut part = Part::whole(self.in_layer(layer, name), rows, spec.hidden);
                    part.first = first;
                    if self.fusing == Fusing::Groups {
                        part.blocks = attention.kv_heads;
                        part.size = heads / attention.kv_heads * size;
                        part.stride = (group + 2) * size;
                    } else {
                        part.size = heads * size;
                        // Llama's files are the only ones with neighbours, and they never fuse.
                    }
                    first += part.size;
                    part
                };
                counts.into_iter().map(&mut place).collect()
            }
        };
        Place { parts, bias: self.biases.query_key_value }
    }

    /// A matrix of an MLP, or of one of several; `names` are its name and that of an expert's.
    fn half(
        &self,
        spec: &Spec,
        layer: usize,
        expert: usize,
        names: [&str; 2],
        [rows, columns]: [usize; 2],
    ) -> Option<Part> {
        let Some(experts) = spec.mlp.experts else {
            return (expert == 0).then(|| Part::whole(self.in_layer(layer, names[0]), rows, columns));
        };
        if expert >= experts.count {
            return None;
        }
        match self.experts {
            Several::Each => {
                let name = names[1].replacen("{}", &expert.to_string(), 1);
                Some(Part::whole(self.in_layer(layer, &name), rows, columns))
            }
            Several::Stacked => {
                let mut part = Part::whole(self.in_layer(layer, names[1]), rows, columns);
                part.shape.insert(0, experts.count);
                part.first = expert * rows;
                Some(part)
            }
        }
    }

    /// Where a norm stands; `None` where the architecture has none such.
    pub(super) fn norm(&self, spec: &Spec, which: Norm) -> Option<NormPlace> {
        let names = self.names;
        let layers = 0..spec.layers.len();
        let in_layer = |layer: usize, name: &str| layers.contains(&layer).then(|| self.in_layer(layer, name));
        let name = match which {
            Norm::Query(layer) => return self.head_norm(spec, layer, names.query_norm, spec.attention.heads),
            Norm::Key(layer) => return self.head_norm(spec, layer, names.key_norm, spec.attention.kv_heads),
            Norm::Embedding => spec.embedding_norm.then(|| self.once(names.embedding_norm)),
            Norm::Last => Some(self.once(names.last_norm)),
            Norm::Attention(layer) => in_layer(layer, names.attention_norm),
            Norm::Mlp(_) if spec.residual == Residual::ParallelOneNorm => None,
            Norm::Mlp(layer) => in_layer(layer, names.mlp_norm),
            Norm::PostAttention(_) | Norm::PostMlp(_) if spec.residual != Residual::SerialPostNorms => None,
            Norm::PostAttention(layer) => in_layer(layer, names.post_attention_norm),
            Norm::PostMlp(layer) => in_layer(layer, names.post_mlp_norm),
        };
        let bias = self.biases.norms && matches!(spec.norm, NormKind::Layer { .. });
        name.map(|it| NormPlace { names: vec![it], shape: vec![spec.hidden], bias })
    }

    fn head_norm(&self, spec: &Spec, layer: usize, name: &str, heads: usize) -> Option<NormPlace> {
        if layer >= spec.layers.len() {
            return None;
        }
        let size = spec.attention.head_size;
        let name = self.in_layer(layer, name);
        let (names, shape) = match (spec.attention.query_key_norm?, self.head_norms) {
            (QueryKeyNorm::Shared, _) => (vec![name], vec![size]),
            (QueryKeyNorm::PerHead, Several::Stacked) => (vec![name], vec![heads, size]),
            (QueryKeyNorm::PerHead, Several::Each) => {
                ((0..heads).map(|head| name.replacen("{}", &head.to_string(), 1)).collect(), vec![size])
            }
        };
        Some(NormPlace { names, shape, bias: self.biases.head_norms })
    }

    /// A tensor that is missing, misshapen or not understood makes wrong answers: none is let through.
    pub(super) fn check(&self, spec: &Spec, tensors: &Tensors) -> Result<(), String> {
        let mut seen: HashSet<String> = self.known.iter().map(|&it| it.to_owned()).collect();
        let places = matrices(spec).filter_map(|it| Some((it, self.matrix(spec, tensors, it)?)));
        for (which, place) in places {
            for part in &place.parts {
                if let Some(quantization) = self.quantization(tensors, &part.name)
                    && let &[rows, columns] = &part.shape[..]
                {
                    seen.extend(quantization.check(tensors, &part.name, [rows, columns])?);
                    if !place.bias {
                        seen.extend(idle_bias(tensors, &part.name)?);
                    }
                } else if Quantization::is_used(tensors, &part.name) {
                    return Err(format!(
                        "`{}` is quantized, but config.json has no `quantization_config`",
                        part.name
                    ));
                } else {
                    let name = format!("{}.weight", part.name);
                    expect(tensors, &name, &part.shape)?;
                    seen.insert(name);
                }
                if place.bias {
                    let name = self.bias(which, part);
                    expect_plain(tensors, &name, &part.shape[..part.shape.len() - 1])?;
                    seen.insert(name);
                }
            }
        }
        for which in norms(spec) {
            let Some(place) = self.norm(spec, which) else { continue };
            for name in &place.names {
                let weight = format!("{name}.weight");
                expect_plain(tensors, &weight, &place.shape)?;
                seen.insert(weight);
                if place.bias {
                    let bias = format!("{name}.bias");
                    expect_plain(tensors, &bias, &place.shape)?;
                    seen.insert(bias);
                }
            }
        }
        if seen.len() == tensors.len() {
            return Ok(());
        }
        let strangers = tensors.names().filter(|it| !seen.contains(*it) && !names::is_harmless(it));
        let Some(stranger) = strangers.min() else { return Ok(()) };
        let layers = format!("{}{}.", self.prefix, self.names.layers);
        let layer = stranger.strip_prefix(&layers).and_then(|it| it.split('.').next()?.parse::<usize>().ok());
        Err(match layer {
            Some(layer) if layer >= spec.layers.len() => {
                format!("it holds `{stranger}`, of layers beyond its {}", spec.layers.len())
            }
            _ if self.quantization.is_some() && stranger.ends_with(".scales") => format!(
                "it holds `{stranger}`, by which AWQ divides activations, and the engine knows matrices alone"
            ),
            _ => format!("it holds `{stranger}`, which `{}` with these settings has not", spec.architecture),
        })
    }
}

fn expect<'t>(tensors: &'t Tensors, name: &str, shape: &[usize]) -> Result<&'t Stored, String> {
    let Some(stored) = tensors.get(name) else { return Err(format!("no tensor `{name}`")) };
    if stored.shape != shape {
        return Err(format!("`{name}` has the shape {:?}, not {shape:?}", stored.shape));
    }
    match &stored.format {
        Ok(_) => Ok(stored),
        Err(kind) => Err(format!("`{name}` is stored as {kind}, where F32, F16 and BF16 are possible")),
    }
}

/// A norm or a bias, which nobody quantizes.
fn expect_plain(tensors: &Tensors, name: &str, shape: &[usize]) -> Result<(), String> {
    match expect(tensors, name, shape)?.format {
        Ok(GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16) | Err(_) => Ok(()),
        Ok(other) => Err(format!("`{name}` is quantized, as {other:?}, where plain numbers are possible")),
    }
}

/// The bias that AutoGPTQ writes beside every matrix, of zeros where the model has none.
fn idle_bias(tensors: &Tensors, name: &str) -> Result<Option<String>, String> {
    let name = format!("{name}.bias");
    let Some(stored) = tensors.get(&name) else { return Ok(None) };
    if tensors.floats(&name, stored)?.iter().all(|it| *it == 0.0) {
        return Ok(Some(name));
    }
    Err(format!("`{name}` is not zero, where the model has no bias with these settings"))
}

/// All matrices that a model may have.
pub(super) fn matrices(spec: &Spec) -> impl Iterator<Item = Matrix> {
    let experts = spec.mlp.experts.map_or(1, |it| it.count);
    let once = [Matrix::Embedding, Matrix::Positions, Matrix::Head];
    let layers = (0..spec.layers.len()).flat_map(move |layer| {
        let mlps = (0..experts).flat_map(move |it| [Matrix::Up(layer, it), Matrix::Down(layer, it)]);
        [Matrix::QueryKeyValue(layer), Matrix::Output(layer), Matrix::Router(layer)].into_iter().chain(mlps)
    });
    once.into_iter().chain(layers)
}

/// All norms that a model may have.
pub(super) fn norms(spec: &Spec) -> impl Iterator<Item = Norm> {
    let layers = (0..spec.layers.len()).flat_map(|layer| {
        [
            Norm::Attention(layer),
            Norm::PostAttention(layer),
            Norm::Mlp(layer),
            Norm::PostMlp(layer),
            Norm::Query(layer),
            Norm::Key(layer),
        ]
    });
    [Norm::Embedding, Norm::Last].into_iter().chain(layers)
}
