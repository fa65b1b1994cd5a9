//! Weights in tiles, and rows times weights.

use candle_core::quantized::GgmlDType;
use candle_core::{Error, Result};
use cudarc::driver::CudaSlice;
use half::{bf16, f16};

use super::parameters::Product;
use super::states::States;
use super::{CHUNK, Gpu, size};
use crate::checkpoint::{Rows, Run};
use crate::kernels::Shared;
use crate::kernels::grouped::Groups;
use crate::kernels::pack::dequantized;
use crate::kernels::pool::Pool;
use crate::kernels::rows::BLOCK;
use crate::kernels::unpack;

/// Rows of a tile.
const TILE: usize = 16;

/// Bytes that are put into tiles before they are sent up.
const BAND: usize = 64 << 20;

/// A matrix `[rows, columns]` in the GPU's memory, to multiply states by.
pub(crate) struct Matrix {
    /// `[row tiles, chunks of 32 columns, 512]`, as `kernels.cu` describes it; zeros beyond rows and columns.
    weights: CudaSlice<bf16>,
    bias: Option<CudaSlice<f32>>,
    rows: usize,
    columns: usize,
}

/// Which tokens are multiplied, where only the GPU knows.
#[derive(Clone, Copy)]
pub(super) struct Chosen {
    /// Address of how many there are.
    pub(super) count: u64,
    /// Address of the row of the input of each; 0 where they are the first.
    pub(super) rows: u64,
}

impl Matrix {
    /// Sends up rows as they are stored, in runs of one format each, as bfloat16.
    ///
    /// # Errors
    /// In words, if a format is not known, rows are of different lengths, or memory runs out.
    pub(crate) fn new(
        gpu: &Gpu,
        pool: &Pool,
        runs: &[Run<'_>],
        bias: Option<&[f32]>,
    ) -> std::result::Result<Self, String> {
        let columns = runs.first().map_or(0, Run::columns);
        let mut stored: Vec<Stored> = Vec::new();
        for run in runs {
            if run.columns() != columns || columns == 0 {
                return Err(format!("rows of {} columns beside rows of {columns}", run.columns()));
            }
            let Rows { format, rows, .. } = match run {
                Run::Rows(it) => it,
                Run::Groups(it) => {
                    stored.extend((0..it.rows()).map(|row| Stored::Grouped(it, row)));
                    continue;
                }
            };
            let plain = matches!(format, GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16);
            if !plain && unpack::shape(*format).is_none() {
                return Err(format!("weights stored as {format:?} are not supported"));
            }
            let length = columns / format.block_size() * format.type_size();
            if !columns.is_multiple_of(format.block_size()) {
                return Err(format!("rows of {columns} columns cannot be stored as {format:?}"));
            }
            if let Some(row) = rows.iter().find(|it| it.len() != length) {
                return Err(format!("a row of {columns} columns has {} bytes, not {length}", row.len()));
            }
            stored.extend(rows.iter().map(|it| Stored::Alone(*format, it)));
        }
        if bias.is_some_and(|it| it.len() != stored.len()) {
            return Err(format!("a bias that is not of {} elements", stored.len()));
        }
        let padded = columns.next_multiple_of(CHUNK);
        let upload = || {
            let mut weights = gpu.zeros::<bf16>(stored.len().div_ceil(TILE) * TILE * padded)?;
            let band = (BAND / size_of::<bf16>() / (TILE * padded)).max(1) * TILE;
            for (index, rows) in stored.chunks(band).enumerate() {
                let tiles = tiles(pool, rows, columns);
                let from = index * band * padded;
                let mut place = weights.slice_mut(from..from + tiles.len());
                gpu.stream.memcpy_htod(&tiles, &mut place).map_err(Error::wrap)?;
            }
            let bias = bias.map(|it| gpu.upload(it)).transpose()?;
            Ok(Self { weights, bias, rows: stored.len(), columns })
        };
        upload().map_err(|err: Error| format!("weights cannot be sent to {}: {err}", gpu.name()))
    }

    /// Bytes of a matrix in the GPU's memory.
    pub(crate) fn bytes_of(rows: usize, columns: usize) -> usize {
        rows.next_multiple_of(TILE) * columns.next_multiple_of(CHUNK) * size_of::<bf16>()
    }

    /// Columns of the matrix, in the chunks that kernels count.
    pub(super) fn chunks(&self) -> usize {
        self.columns.div_ceil(CHUNK)
    }

    /// Columns of the matrix: elements of an input.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Where its tiles begin.
    pub(super) fn address(&self, gpu: &Gpu) -> u64 {
        gpu.address(&self.weights)
    }
}

/// A row as it is stored.
#[derive(Clone, Copy)]
enum Stored<'s> {
    Alone(GgmlDType, &'s [u8]),
    /// One of several, by index.
    Grouped(&'s Groups<'s>, usize),
}

/// Rows in tiles: see `kernels.cu`.
fn tiles(pool: &Pool, rows: &[Stored], columns: usize) -> Vec<bf16> {
    let padded = columns.next_multiple_of(CHUNK);
    let mut tiles = vec![bf16::ZERO; rows.len().next_multiple_of(TILE) * padded];
    let shared = Shared::new(&mut tiles);
    pool.ranges(rows.len(), TILE, &|range| {
        let mut numbers = vec![0.0; columns];
        for row in range {
            match rows[row] {
                Stored::Alone(format, stored) => read(format, stored, &mut numbers),
                Stored::Grouped(groups, row) => groups.read(row, &mut numbers),
            }
            for (column, number) in numbers.iter().enumerate() {
                let lane = row % 8 * 4 + column % CHUNK / 8;
                let chunk = row / TILE * (padded / CHUNK) + column / CHUNK;
                let to = chunk * TILE * CHUNK + row % TILE / 8 * 256 + lane * 8 + column % 8;
                // SAFETY: each row has places of its own, within the tiles.
                unsafe { *shared.at(to) = bf16::from_f32(*number) };
            }
        }
    });
    tiles
}

/// A row as it is stored, as numbers.
fn read(format: GgmlDType, stored: &[u8], numbers: &mut [f32]) {
    let halves = stored.as_chunks::<2>().0;
    match format {
        GgmlDType::F32 => {
            for (to, from) in numbers.iter_mut().zip(stored.as_chunks::<4>().0) {
                *to = f32::from_le_bytes(*from);
            }
        }
        GgmlDType::F16 => {
            for (to, from) in numbers.iter_mut().zip(halves) {
                *to = f16::from_le_bytes(*from).to_f32();
            }
        }
        GgmlDType::BF16 => {
            for (to, from) in numbers.iter_mut().zip(halves) {
                *to = bf16::from_le_bytes(*from).to_f32();
            }
        }
        _ => {
            for (index, numbers) in numbers.chunks_exact_mut(BLOCK).enumerate() {
                let block = unpack::block(format, stored, index);
                for (to, from) in numbers.iter_mut().zip(dequantized(&block)) {
                    *to = from;
                }
            }
        }
    }
}

impl Gpu {
    /// `states * weights^T + bias`.
    pub(crate) fn multiply(&self, matrix: &Matrix, states: &States) -> Result<States> {
        self.multiply_chosen(matrix, states, states.tokens(), None)
    }

    /// The same for some of the tokens, at most as many as this; rows of the product beyond them hold anything.
    pub(super) fn multiply_chosen(
        &self,
        matrix: &Matrix,
        states: &States,
        tokens: usize,
        chosen: Option<Chosen>,
    ) -> Result<States> {
        if states.size() != matrix.columns {
            return Err(Error::msg(format!("{} columns, not {}", states.size(), matrix.columns)));
        }
        let input = self.narrow(states)?;
        let output = self.array(tokens * matrix.rows)?;
        let product = Product {
            weights: self.address(&matrix.weights),
            bias: self.address_or_null(matrix.bias.as_ref()),
            input: self.address(&input),
            output: self.address(&output),
            chosen: chosen.map_or(0, |it| it.rows),
            count: chosen.map_or(0, |it| it.count),
            tokens: size(tokens),
            rows: size(matrix.rows),
            chunks: size(matrix.chunks()),
        };
        let tiles = matrix.rows.div_ceil(TILE);
        let (function, grid) = match tokens {
            0..=8 => (&self.functions.multiply_8, [tiles, 1, 1]),
            9..=16 => (&self.functions.multiply_16, [tiles, 1, 1]),
            17..=32 => (&self.functions.multiply_32, [tiles.div_ceil(2), 1, 1]),
            33..=64 => (&self.functions.multiply_64, [tiles, 1, 1]),
            _ => (&self.functions.multiply_many, [tokens.div_ceil(64), tiles.div_ceil(8), 1]),
        };
        self.launch(function, grid, 256, &product)?;
        Ok(States::wide(output, tokens, matrix.rows))
    }
}
