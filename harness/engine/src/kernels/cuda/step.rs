//! What a step sends up: all that kernels need to know of its tokens, in one array.

use candle_core::{Error, Result};
use cudarc::driver::CudaSlice;

use super::parameters::Turn;
use super::{Gpu, size};
use crate::decoder;
use crate::kernels::attention::Place;
use crate::kernels::cache::BLOCK;
use crate::spec::{Positions, Spec};

/// Rows of queries that one block of threads looks after.
const ROWS: usize = 16;

/// Positions of a segment: see `kernels.cu`.
const SEGMENT: usize = 256;

/// What the numbers of a step must stay within.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Blocks of the cache.
    pub(crate) blocks: usize,
    /// Tokens of the vocabulary.
    pub(crate) vocabulary: usize,
    /// Rows of learned positions, if there are any.
    pub(crate) positions: Option<usize>,
}

/// A step's numbers in the GPU's memory.
pub(crate) struct Step {
    /// Tiles of queries, four numbers each; tokens, positions and slots; tokens that are wanted; tables of blocks.
    numbers: CudaSlice<u32>,
    tiles: usize,
    tokens: usize,
    wanted: usize,
    /// Segments of the longest sequence.
    segments: usize,
    /// Cosines and sines of each rotary table, `[tokens, pairs, 2]`.
    turns: Vec<CudaSlice<f32>>,
}

impl Step {
    /// Sends up the tokens of a step, with their places and the indices of those that are wanted.
    ///
    /// # Errors
    /// If a number is beyond what there is.
    pub(crate) fn new(
        gpu: &Gpu,
        spec: &Spec,
        tables: &[Table],
        limits: Limits,
        step: &decoder::Step<'_>,
    ) -> Result<Self> {
        check(limits, step)?;
        let decoder::Step { tokens, places, wanted } = *step;
        let group = spec.attention.heads / spec.attention.kv_heads;
        let mut tiles = Vec::new();
        let mut blocks = Vec::new();
        let mut first = 0;
        while first < places.len() {
            let follows = |pair: &[Place<'_>]| {
                std::ptr::eq(pair[0].blocks, pair[1].blocks) && pair[0].position + 1 == pair[1].position
            };
            let run = 1 + places[first..].windows(2).take_while(|pair| follows(pair)).count();
            let rows = run * group;
            for row in (0..rows).step_by(ROWS) {
                tiles.extend([size(first), size(row), size(rows), size(blocks.len())]);
            }
            let last = places[first + run - 1];
            blocks.extend_from_slice(&last.blocks[..=last.position / BLOCK]);
            first += run;
        }
        let slot = |it: &Place<'_>| it.blocks[it.position / BLOCK] * size(BLOCK) + size(it.position % BLOCK);
        let tile_count = tiles.len() / 4;
        let mut numbers = tiles;
        numbers.extend_from_slice(tokens);
        numbers.extend(places.iter().map(|it| size(it.position)));
        numbers.extend(places.iter().map(slot));
        numbers.extend_from_slice(wanted);
        numbers.extend_from_slice(&blocks);
        let furthest = places.iter().map(|it| it.position).max().unwrap_or(0);
        let mut step = Self {
            numbers: gpu.upload(&numbers)?,
            tiles: tile_count,
            tokens: tokens.len(),
            wanted: wanted.len(),
            segments: furthest / SEGMENT + 1,
            turns: Vec::new(),
        };
        for table in tables {
            let turns = gpu.array(tokens.len() * table.frequencies.len() * 2)?;
            let parameters = Turn {
                places: step.positions(gpu),
                frequencies: gpu.address(&table.frequencies),
                turns: gpu.address(&turns),
                pairs: size(table.frequencies.len()),
                scale: table.scale,
            };
            gpu.launch(&gpu.functions.turn, [tokens.len(), 1, 1], 128, &parameters)?;
            step.turns.push(turns);
        }
        Ok(step)
    }

    fn at(&self, gpu: &Gpu, index: usize) -> u64 {
        gpu.address(&self.numbers) + (index * size_of::<u32>()) as u64
    }

    /// How many tokens.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// How many of them are wanted.
    pub(super) fn wanted_count(&self) -> usize {
        self.wanted
    }

    /// How many tiles of queries.
    pub(super) fn tile_count(&self) -> usize {
        self.tiles
    }

    /// Segments of the longest sequence.
    pub(super) fn segments(&self) -> usize {
        self.segments
    }

    pub(super) fn tiles(&self, gpu: &Gpu) -> u64 {
        self.at(gpu, 0)
    }

    pub(super) fn ids(&self, gpu: &Gpu) -> u64 {
        self.at(gpu, 4 * self.tiles)
    }

    pub(super) fn positions(&self, gpu: &Gpu) -> u64 {
        self.at(gpu, 4 * self.tiles + self.tokens)
    }

    pub(super) fn slots(&self, gpu: &Gpu) -> u64 {
        self.at(gpu, 4 * self.tiles + 2 * self.tokens)
    }

    pub(super) fn wanted(&self, gpu: &Gpu) -> u64 {
        self.at(gpu, 4 * self.tiles + 3 * self.tokens)
    }

    pub(super) fn tables(&self, gpu: &Gpu) -> u64 {
        self.at(gpu, 4 * self.tiles + 3 * self.tokens + self.wanted)
    }

    /// Of a rotary table, if there is one.
    pub(super) fn turns(&self, table: usize) -> Option<&CudaSlice<f32>> {
        self.turns.get(table)
    }
}

/// A table of rotary positions in the GPU's memory.
pub(crate) struct Table {
    frequencies: CudaSlice<f64>,
    scale: f64,
}

impl Table {
    /// Those of a model, in order.
    pub(crate) fn all(gpu: &Gpu, positions: &Positions) -> Result<Vec<Self>> {
        let Positions::Rotary(tables) = positions else { return Ok(Vec::new()) };
        let sent = |it: &crate::spec::Rotary| {
            Ok(Self { frequencies: gpu.upload(&it.frequencies)?, scale: it.scale })
        };
        tables.iter().map(sent).collect()
    }
}

fn check(limits: Limits, step: &decoder::Step<'_>) -> Result<()> {
    let Limits { blocks, vocabulary, positions } = limits;
    let decoder::Step { tokens, places, wanted } = *step;
    if tokens.len() != places.len() {
        return Err(Error::msg(format!("{} tokens at {} places", tokens.len(), places.len())));
    }
    if let Some(token) = tokens.iter().find(|it| **it as usize >= vocabulary) {
        return Err(Error::msg(format!("token {token} of a vocabulary of {vocabulary}")));
    }
    if let Some(index) = wanted.iter().find(|it| **it as usize >= tokens.len()) {
        return Err(Error::msg(format!("token {index} of {} is wanted", tokens.len())));
    }
    for place in places {
        if let Some(positions) = positions.filter(|it| place.position >= *it) {
            return Err(Error::msg(format!("position {} of {positions}", place.position)));
        }
        let Some(used) = place.blocks.get(..=place.position / BLOCK) else {
            return Err(Error::msg(format!("position {} has no block", place.position)));
        };
        if let Some(block) = used.iter().find(|it| **it as usize >= blocks) {
            return Err(Error::msg(format!("block {block} of {blocks}")));
        }
    }
    Ok(())
}
