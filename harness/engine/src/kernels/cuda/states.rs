//! States of tokens in the GPU's memory, and what is done to each of them by itself.

use std::sync::Arc;

use candle_core::{Error, Result};
use cudarc::driver::CudaSlice;
use half::bf16;

use super::matrix::{Chosen, Matrix};
use super::parameters::{Activate, Add, Choose, Embed, Finish, Likeliest, Mix, Narrow, Normalize, Route};
use super::step::Step;
use super::{CHUNK, Gpu, size};
use crate::kernels::rows;
use crate::spec::{Activation, Experts, Mlp};

/// States of tokens, `[tokens, size]`.
#[derive(Clone)]
pub(crate) struct States {
    data: Data,
    tokens: usize,
    size: usize,
}

#[derive(Clone)]
enum Data {
    Wide(Arc<CudaSlice<f32>>),
    /// Rows padded with zeros to whole chunks, as products take them.
    Narrow(Arc<CudaSlice<bf16>>),
}

impl States {
    pub(super) fn wide(data: CudaSlice<f32>, tokens: usize, size: usize) -> Self {
        Self { data: Data::Wide(Arc::new(data)), tokens, size }
    }

    pub(super) fn narrow(data: CudaSlice<bf16>, tokens: usize, size: usize) -> Self {
        Self { data: Data::Narrow(Arc::new(data)), tokens, size }
    }

    /// How many there are.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Elements of each.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn numbers(&self) -> Result<&CudaSlice<f32>> {
        match &self.data {
            Data::Wide(it) => Ok(it),
            Data::Narrow(_) => Err(Error::msg("states in 16 bits where 32 are needed")),
        }
    }
}

/// A norm's vectors in the GPU's memory.
pub(crate) struct Norm {
    weight: CudaSlice<f32>,
    bias: Option<CudaSlice<f32>>,
    centred: bool,
    epsilon: f32,
    /// Whether only products read what it gives.
    narrow: bool,
}

impl Norm {
    /// Sends a norm up. `narrow` says that only linear layers read what it gives.
    pub(crate) fn new(gpu: &Gpu, norm: &rows::Norm, narrow: bool) -> Result<Self> {
        Ok(Self {
            weight: gpu.upload(&norm.weight)?,
            bias: norm.bias.as_ref().map(|it| gpu.upload(it)).transpose()?,
            centred: norm.centred,
            epsilon: norm.epsilon,
            narrow,
        })
    }
}

impl Gpu {
    /// The embeddings of a step's tokens.
    pub(crate) fn embed(
        &self,
        step: &Step,
        embedding: &Matrix,
        positions: Option<&Matrix>,
        scale: Option<f32>,
    ) -> Result<States> {
        let hidden = embedding.columns();
        let output = self.array(step.tokens() * hidden)?;
        let parameters = Embed {
            embedding: embedding.address(self),
            positions: positions.map_or(0, |it| it.address(self)),
            tokens: step.ids(self),
            places: step.positions(self),
            output: self.address(&output),
            hidden: size(hidden),
            chunks: size(embedding.chunks()),
            scale: scale.unwrap_or(1.0),
        };
        self.launch(&self.functions.embed, [step.tokens(), 1, 1], 256, &parameters)?;
        Ok(States::wide(output, step.tokens(), hidden))
    }

    /// A norm of each token's states.
    pub(crate) fn normalize(&self, norm: &Norm, states: &States) -> Result<States> {
        let States { tokens, size: length, .. } = *states;
        if length != norm.weight.len() {
            return Err(Error::msg(format!("{length} states, not {}", norm.weight.len())));
        }
        let stride = length.next_multiple_of(CHUNK);
        let (wide, narrow) = if norm.narrow {
            (None, Some(self.array::<bf16>(tokens * stride)?))
        } else {
            (Some(self.array::<f32>(tokens * length)?), None)
        };
        let parameters = Normalize {
            input: self.address(states.numbers()?),
            wide: self.address_or_null(wide.as_ref()),
            narrow: self.address_or_null(narrow.as_ref()),
            weight: self.address(&norm.weight),
            bias: self.address_or_null(norm.bias.as_ref()),
            size: size(length),
            stride: size(stride),
            centred: u32::from(norm.centred),
            epsilon: norm.epsilon,
        };
        self.launch(&self.functions.normalize, [tokens, 1, 1], 256, &parameters)?;
        Ok(match (wide, narrow) {
            (_, Some(it)) => States::narrow(it, tokens, length),
            (Some(it), None) => States::wide(it, tokens, length),
            (None, None) => return Err(Error::msg("a norm that gives nothing")),
        })
    }

    /// As products take them.
    pub(super) fn narrow(&self, states: &States) -> Result<Arc<CudaSlice<bf16>>> {
        let input = match &states.data {
            Data::Narrow(it) => return Ok(Arc::clone(it)),
            Data::Wide(it) => it,
        };
        let stride = states.size.next_multiple_of(CHUNK);
        let output = self.array(states.tokens * stride)?;
        let parameters = Narrow {
            input: self.address(input),
            output: self.address(&output),
            size: size(states.size),
            stride: size(stride),
        };
        let grid = [states.tokens, stride.div_ceil(256), 1];
        self.launch(&self.functions.narrow_rows, grid, 256, &parameters)?;
        Ok(Arc::new(output))
    }

    /// Sums of equal elements.
    pub(crate) fn add(&self, a: &States, b: &States) -> Result<States> {
        if (a.tokens, a.size) != (b.tokens, b.size) {
            let shapes = [(a.tokens, a.size), (b.tokens, b.size)];
            return Err(Error::msg(format!("{:?} and {:?} are added", shapes[0], shapes[1])));
        }
        let count = a.tokens * a.size;
        let output = self.array(count)?;
        let parameters = Add {
            a: self.address(a.numbers()?),
            b: self.address(b.numbers()?),
            output: self.address(&output),
            count: count as u64,
        };
        self.launch(&self.functions.add, [count.div_ceil(256), 1, 1], 256, &parameters)?;
        Ok(States::wide(output, a.tokens, a.size))
    }

    /// `activation(gate) * up`, or `activation(up)`.
    pub(crate) fn activate(&self, mlp: Mlp, states: &States) -> Result<States> {
        self.activate_chosen(mlp, states, None)
    }

    fn activate_chosen(&self, mlp: Mlp, states: &States, chosen: Option<Chosen>) -> Result<States> {
        let wide = mlp.size * (1 + usize::from(mlp.gated));
        if states.size != wide {
            return Err(Error::msg(format!("{} elements, not {wide}", states.size)));
        }
        let stride = mlp.size.next_multiple_of(CHUNK);
        let output = self.array(states.tokens * stride)?;
        let parameters = Activate {
            input: self.address(states.numbers()?),
            output: self.address(&output),
            count: chosen.map_or(0, |it| it.count),
            size: size(mlp.size),
            stride: size(stride),
            gated: u32::from(mlp.gated),
            // As `kernels.cu` numbers them.
            activation: match mlp.activation {
                Activation::Silu => 0,
                Activation::Gelu => 1,
                Activation::GeluTanh => 2,
                Activation::Relu => 3,
            },
        };
        let grid = [states.tokens, stride.div_ceil(256), 1];
        self.launch(&self.functions.activate, grid, 256, &parameters)?;
        Ok(States::narrow(output, states.tokens, mlp.size))
    }

    /// The states of the tokens whose logits are wanted.
    pub(crate) fn wanted(&self, step: &Step, states: &States) -> Result<States> {
        let output = self.array(step.wanted_count() * states.size)?;
        let parameters = Choose {
            input: self.address(states.numbers()?),
            chosen: step.wanted(self),
            output: self.address(&output),
            size: size(states.size),
        };
        self.launch(&self.functions.choose, [step.wanted_count(), 1, 1], 256, &parameters)?;
        Ok(States::wide(output, step.wanted_count(), states.size))
    }

    /// Brings logits to the machine's memory.
    pub(crate) fn numbers(&self, logits: &States, numbers: &mut Vec<f32>) -> Result<()> {
        self.download(logits.numbers()?, numbers)?;
        numbers.truncate(logits.tokens * logits.size);
        Ok(())
    }

    /// Scales logits and caps them, in place.
    pub(crate) fn finish(&self, logits: &States, scale: Option<f32>, cap: Option<f32>) -> Result<()> {
        let numbers = logits.numbers()?;
        if scale.is_some() || cap.is_some() {
            let parameters = Finish {
                logits: self.address(numbers),
                count: (logits.tokens * logits.size) as u64,
                scale: scale.unwrap_or(1.0),
                cap: cap.unwrap_or(0.0),
            };
            let grid = [(logits.tokens * logits.size).div_ceil(256), 1, 1];
            self.launch(&self.functions.finish, grid, 256, &parameters)?;
        }
        Ok(())
    }

    /// The first of the likeliest tokens of each row of logits, scaled and capped or not; `None` where a logit is not
    /// a finite number.
    pub(crate) fn likeliest(&self, logits: &States) -> Result<Vec<Option<u32>>> {
        let tokens = self.array(logits.tokens)?;
        let parameters = Likeliest {
            logits: self.address(logits.numbers()?),
            tokens: self.address(&tokens),
            size: size(logits.size),
        };
        self.launch(&self.functions.likeliest, [logits.tokens, 1, 1], 1024, &parameters)?;
        let mut found = Vec::new();
        self.download(&tokens, &mut found)?;
        found.truncate(logits.tokens);
        Ok(found.into_iter().map(|it| (it != u32::MAX).then_some(it)).collect())
    }

    /// Each token goes to the experts with its largest router logits, weighted by the softmax over these; what they
    /// give is added in the order of the experts. Which tokens an expert has is known to the GPU alone.
    pub(crate) fn mixture(
        &self,
        router: &Matrix,
        experts: &[(&Matrix, &Matrix)],
        mlp: Mlp,
        of: Experts,
        states: &States,
    ) -> Result<States> {
        let (tokens, count) = (states.tokens, experts.len());
        let logits = self.multiply(router, states)?;
        let counts = self.zeros::<u32>(count)?;
        let chosen = self.array::<u32>(count * tokens)?;
        let shares = self.array::<f32>(count * tokens)?;
        let parameters = Route {
            logits: self.address(logits.numbers()?),
            counts: self.address(&counts),
            chosen: self.address(&chosen),
            shares: self.address(&shares),
            tokens: size(tokens),
            experts: size(count),
            used: size(of.used.min(count)),
        };
        self.launch(&self.functions.route, [tokens.div_ceil(256), 1, 1], 256, &parameters)?;
        let mixed = self.zeros::<f32>(tokens * states.size)?;
        for (index, (up, down)) in experts.iter().enumerate() {
            let at = |array: u64, item: usize| array + (item * size_of::<u32>()) as u64;
            let count = at(self.address(&counts), index);
            let rows = at(self.address(&chosen), index * tokens);
            let wide = self.multiply_chosen(up, states, tokens, Some(Chosen { count, rows }))?;
            let first = Some(Chosen { count, rows: 0 });
            let given = self.activate_chosen(mlp, &wide, first)?;
            let given = self.multiply_chosen(down, &given, tokens, first)?;
            let parameters = Mix {
                given: self.address(given.numbers()?),
                count,
                chosen: rows,
                shares: at(self.address(&shares), index * tokens),
                mixed: self.address(&mixed),
                size: size(states.size),
            };
            self.launch(&self.functions.mix, [tokens, 1, 1], 256, &parameters)?;
        }
        Ok(States::wide(mixed, tokens, states.size))
    }
}
