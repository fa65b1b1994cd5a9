//! Rows of activations times packed weights.
//!
//! Lane by lane, a product is summed over columns, or blocks of columns, in order: as many rows as are worked on
//! together share the loads of weights and nothing else.

use half::{bf16, f16};

use super::lanes::{LANES, Lanes};
use super::pack::{Blocks, Factors, Packed, Tiles};
use super::pool::Pool;
use super::rows::{BLOCK, Quantized};
use super::{Kernel, Path, Shared};

/// Activations as a matrix wants them.
pub(crate) enum Input<'i> {
    /// `[rows, columns]`.
    Dense(&'i [f32]),
    /// The same, quantized.
    Quantized(&'i Quantized),
}

/// Where a product goes: some columns of a wider output, `[rows, stride]`.
pub(crate) struct Output<'o> {
    pub(crate) numbers: &'o mut [f32],
    /// Columns of the whole.
    pub(crate) stride: usize,
    /// The first column of this product.
    pub(crate) offset: usize,
}

/// `input * weights^T + bias`: `[rows, columns]` times `[outputs, columns]`, to `[rows, outputs]`.
pub(crate) fn multiply(
    path: Path,
    pool: &Pool,
    weights: &Packed,
    bias: Option<&[f32]>,
    input: &Input<'_>,
    output: Output<'_>,
) {
    let Output { numbers, stride, offset } = output;
    let rows = numbers.len() / stride;
    assert!(numbers.len() == rows * stride && offset + weights.rows <= stride, "whole rows");
    assert!(bias.is_none_or(|bias| bias.len() == weights.rows), "a bias for each output");
    match (input, &weights.tiles) {
        (Input::Dense(it), Tiles::F32(_) | Tiles::F16(_) | Tiles::Bf16(_)) => {
            assert!(it.len() == rows * weights.columns, "as many inputs as outputs");
        }
        (Input::Quantized(it), Tiles::Blocks(_)) => {
            assert!(it.rows() == rows && it.columns == weights.columns, "as many inputs as outputs");
        }
        _ => unreachable!("the input is as `Packed::is_quantized` says"),
    }
    let output = Shared::new(numbers);
    let at_once = path.rows_at_once();
    pool.ranges(weights.rows.div_ceil(LANES), 1, &|tiles| {
        path.run(Multiply { weights, bias, input, rows, tiles, output, stride, offset, at_once });
    });
}

struct Multiply<'m> {
    weights: &'m Packed,
    bias: Option<&'m [f32]>,
    input: &'m Input<'m>,
    rows: usize,
    tiles: std::ops::Range<usize>,
    output: Shared<f32>,
    stride: usize,
    offset: usize,
    at_once: usize,
}

impl Kernel for Multiply<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for tile in self.tiles.clone() {
            let mut row = 0;
            while row < self.rows {
                let left = (self.rows - row).min(self.at_once);
                unsafe {
                    row += match left {
                        8.. => self.some_rows::<L, 8>(tile, row),
                        4.. => self.some_rows::<L, 4>(tile, row),
                        2.. => self.some_rows::<L, 2>(tile, row),
                        _ => self.some_rows::<L, 1>(tile, row),
                    };
                }
            }
        }
    }
}

impl Multiply<'_> {
    /// Sixteen outputs of some rows.
    #[inline(always)]
    unsafe fn some_rows<L: Lanes, const ROWS: usize>(&self, tile: usize, row: usize) -> usize {
        let columns = self.weights.columns;
        let sums = unsafe {
            match (self.input, &self.weights.tiles) {
                (Input::Dense(input), Tiles::F32(tiles)) => {
                    dense::<L, f32, ROWS>(&tiles[tile * columns * LANES..], columns, &input[row * columns..])
                }
                (Input::Dense(input), Tiles::F16(tiles)) => {
                    dense::<L, f16, ROWS>(&tiles[tile * columns * LANES..], columns, &input[row * columns..])
                }
                (Input::Dense(input), Tiles::Bf16(tiles)) => {
                    dense::<L, bf16, ROWS>(&tiles[tile * columns * LANES..], columns, &input[row * columns..])
                }
                (Input::Quantized(input), Tiles::Blocks(blocks)) => {
                    match (blocks.shape.four, blocks.shape.minima) {
                        (true, true) => quantized::<L, true, true, ROWS>(blocks, columns, tile, input, row),
                        (true, false) => quantized::<L, true, false, ROWS>(blocks, columns, tile, input, row),
                        (false, true) => quantized::<L, false, true, ROWS>(blocks, columns, tile, input, row),
                        (false, false) => {
                            quantized::<L, false, false, ROWS>(blocks, columns, tile, input, row)
                        }
                    }
                }
                _ => unreachable!("`multiply` has checked"),
            }
        };
        let outputs = self.weights.rows;
        let whole = (tile + 1) * LANES <= outputs;
        for (index, mut sum) in sums.into_iter().enumerate() {
            let to = (row + index) * self.stride + self.offset + tile * LANES;
            unsafe {
                if whole {
                    if let Some(bias) = self.bias {
                        sum = L::add(sum, L::load(bias.as_ptr().add(tile * LANES)));
                    }
                    L::store(self.output.at(to), sum);
                } else {
                    let mut lanes = [0.0; LANES];
                    L::store(lanes.as_mut_ptr(), sum);
                    for (lane, it) in lanes[..outputs - tile * LANES].iter().enumerate() {
                        let bias = self.bias.map(|bias| bias[tile * LANES + lane]);
                        *self.output.at(to + lane) = bias.map_or(*it, |bias| it + bias);
                    }
                }
            }
        }
        ROWS
    }
}

/// A weight that is not quantized.
trait Weight: Copy {
    /// # Safety
    /// Sixteen of them.
    unsafe fn load<L: Lanes>(from: *const Self) -> L::F;
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L::F {
        unsafe { L::load(from) }
    }
}

impl Weight for f16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L::F {
        unsafe { L::load_f16(from) }
    }
}

impl Weight for bf16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L::F {
        unsafe { L::load_bf16(from) }
    }
}

#[inline(always)]
unsafe fn dense<L: Lanes, W: Weight, const ROWS: usize>(
    tile: &[W],
    columns: usize,
    input: &[f32],
) -> [L::F; ROWS] {
    debug_assert!(tile.len() >= columns * LANES && input.len() >= ROWS * columns);
    unsafe {
        let mut sums = [L::splat(0.0); ROWS];
        let (tile, input) = (tile.as_ptr(), input.as_ptr());
        for column in 0..columns {
            let weights = W::load::<L>(tile.add(column * LANES));
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = L::fma(weights, L::splat(*input.add(row * columns + column)), *sum);
            }
        }
        sums
    }
}

/// Sixteen scales or minima.
#[inline(always)]
unsafe fn factors<L: Lanes>(factors: &Factors, at: usize) -> L::F {
    unsafe {
        match factors {
            Factors::F16(it) => L::load_f16(it.as_ptr().add(at)),
            Factors::F32(it) => L::load(it.as_ptr().add(at)),
        }
    }
}

#[inline(always)]
unsafe fn quantized<L: Lanes, const FOUR: bool, const MINIMA: bool, const ROWS: usize>(
    weights: &Blocks,
    columns: usize,
    tile: usize,
    input: &Quantized,
    row: usize,
) -> [L::F; ROWS] {
    let blocks = columns / BLOCK;
    let half_bytes = if FOUR { LANES * BLOCK / 4 } else { LANES * BLOCK / 2 };
    let lowest = if FOUR { i32::from(weights.shape.lowest) } else { 0 };
    let halves = weights.shape.halves;
    unsafe {
        let mut sums = [L::splat(0.0); ROWS];
        for block in 0..blocks {
            let at = tile * blocks + block;
            let bytes = weights.q.as_ptr().add(at * 2 * half_bytes);
            let q = input.q.as_ptr().add(row * columns + block * BLOCK);
            let totals = input.sums.as_ptr().add((row * blocks + block) * 2);
            let scales = input.scales.as_ptr().add(row * blocks + block);
            if halves {
                for half in 0..2 {
                    let factor = (at * 2 + half) * LANES;
                    let scale = factors::<L>(&weights.scales, factor);
                    for (index, sum) in sums.iter_mut().enumerate() {
                        let total = *totals.add(index * blocks * 2 + half);
                        let dot = half_dot::<L, FOUR>(
                            bytes.add(half * half_bytes),
                            q.add(index * columns + half * LANES),
                            total,
                        );
                        let dot = if lowest == 0 { dot } else { L::sub_i32(dot, -lowest * total) };
                        let by = *scales.add(index * blocks);
                        *sum = L::fma(L::to_f32(dot), L::mul(scale, L::splat(by)), *sum);
                        if MINIMA && let Some(minima) = &weights.minima {
                            *sum = L::fma(factors::<L>(minima, factor), L::splat(by * total as f32), *sum);
                        }
                    }
                }
            } else {
                let scale = factors::<L>(&weights.scales, at * LANES);
                for (index, sum) in sums.iter_mut().enumerate() {
                    let (first, second) =
                        (*totals.add(index * blocks * 2), *totals.add(index * blocks * 2 + 1));
                    let q = q.add(index * columns);
                    let dot = L::add_i32(
                        half_dot::<L, FOUR>(bytes, q, first),
                        half_dot::<L, FOUR>(bytes.add(half_bytes), q.add(LANES), second),
                    );
                    let total = first + second;
                    let dot = if lowest == 0 { dot } else { L::sub_i32(dot, -lowest * total) };
                    let by = *scales.add(index * blocks);
                    *sum = L::fma(L::to_f32(dot), L::mul(scale, L::splat(by)), *sum);
                    if MINIMA && let Some(minima) = &weights.minima {
                        *sum = L::fma(factors::<L>(minima, at * LANES), L::splat(by * total as f32), *sum);
                    }
                }
            }
        }
        sums
    }
}

#[inline(always)]
unsafe fn half_dot<L: Lanes, const FOUR: bool>(bytes: *const u8, q: *const i8, total: i32) -> L::I {
    unsafe { if FOUR { L::dot_four(bytes, q) } else { L::dot_eight(bytes.cast(), q, total) } }
}
