//! Rows of activations times packed weights.
//!
//! Lane by lane, a product is summed over columns, or blocks of columns, in order: as many rows as are worked on
//! together share the loads of weights and nothing else.
#![expect(clippy::needless_range_loop, reason = "indices keep the sums of all rows in registers")]

use half::{bf16, f16};

use super::lanes::{LANES, Lanes};
use super::pack::{Blocks, Factors, Packed, Tiles};
use super::pool::Pool;
use super::rows::{BLOCK, GROUP, Quantized, Totals, place};
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
        (Input::Quantized(it), Tiles::Blocks(Blocks { shape, .. })) => {
            assert!(it.rows == rows && it.columns == weights.columns, "as many inputs as outputs");
            assert!(shape.lowest == lowest(shape.four, shape.minima, shape.halves), "a format of these");
        }
        _ => unreachable!("the input is as `Packed::is_quantized` says"),
    }
    let output = Shared::new(numbers);
    let at_once = path.rows_at_once();
    let tiles = weights.rows.div_ceil(LANES);
    let some =
        |tiles| path.run(Multiply { weights, bias, input, rows, tiles, output, stride, offset, at_once });
    if rows < MANY { pool.ranges(tiles, 1, &some) } else { pool.long_ranges(tiles, &some) }
}

/// From so many rows on, a tile takes longer than threads do to share out the work.
const MANY: usize = 16;

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
            unsafe { self.tile::<L>(tile) };
        }
    }
}

impl Multiply<'_> {
    /// Sixteen outputs of all rows.
    #[inline(always)]
    unsafe fn tile<L: Lanes>(&self, tile: usize) {
        let mut row = 0;
        while row < self.rows {
            let left = (self.rows - row).min(self.at_once);
            unsafe {
                row += match (left, self.input) {
                    (5.., Input::Quantized(_)) | (8.., Input::Dense(_)) => self.some_rows::<L, 8>(tile, row),
                    (2..=4, Input::Quantized(_)) | (4.., Input::Dense(_)) => {
                        self.some_rows::<L, 4>(tile, row)
                    }
                    _ => self.some_rows::<L, 1>(tile, row),
                };
            }
        }
    }

    /// Sixteen outputs of some rows; gives how many there were. Quantized rows beyond the last are padding.
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
                    let by = Quantities { weights: blocks, columns, tile, input, row };
                    match (blocks.shape.four, blocks.shape.minima, blocks.shape.halves) {
                        (true, true, false) => by.sums::<L, true, true, ROWS>(),
                        (true, false, false) => by.sums::<L, true, false, ROWS>(),
                        (false, true, false) => by.sums::<L, false, true, ROWS>(),
                        (false, false, false) => by.sums::<L, false, false, ROWS>(),
                        (true, true, true) => by.sums_of_halves::<L, true, true, ROWS>(),
                        (true, false, true) => by.sums_of_halves::<L, true, false, ROWS>(),
                        (false, true, true) => by.sums_of_halves::<L, false, true, ROWS>(),
                        (false, false, true) => by.sums_of_halves::<L, false, false, ROWS>(),
                    }
                }
                _ => unreachable!("`multiply` has checked"),
            }
        };
        unsafe { self.store::<L, ROWS>(tile, row, sums) }
    }

    /// Puts sixteen outputs of some rows where they belong; gives how many rows there were.
    #[inline(always)]
    unsafe fn store<L: Lanes, const ROWS: usize>(
        &self,
        tile: usize,
        row: usize,
        sums: [L::F; ROWS],
    ) -> usize {
        let outputs = self.weights.rows;
        let whole = (tile + 1) * LANES <= outputs;
        let count = ROWS.min(self.rows - row);
        for (index, mut sum) in sums.into_iter().enumerate().take(count) {
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
        count
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
            for row in 0..ROWS {
                sums[row] = L::fma(weights, L::splat(*input.add(row * columns + column)), sums[row]);
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

/// A tile of quantized weights and quantized rows, from `row` on.
#[derive(Clone, Copy)]
struct Quantities<'q> {
    weights: &'q Blocks,
    columns: usize,
    tile: usize,
    input: &'q Quantized,
    row: usize,
}

impl Quantities<'_> {
    /// Where blocks have one scale.
    #[inline(always)]
    unsafe fn sums<L: Lanes, const FOUR: bool, const MINIMA: bool, const ROWS: usize>(self) -> [L::F; ROWS] {
        let Self { weights, columns, tile, input, row } = self;
        let blocks = columns / BLOCK;
        let size = if FOUR { LANES * BLOCK / 2 } else { LANES * BLOCK };
        unsafe {
            let mut sums = [L::splat(0.0); ROWS];
            for block in 0..blocks {
                let at = tile * blocks + block;
                let bytes = weights.q.as_ptr().add(at * size);
                if ROWS <= 4 {
                    for line in (0..size).step_by(64) {
                        L::prefetch(bytes.wrapping_add(AHEAD + line));
                    }
                }
                let of = place(row, block, blocks);
                let q = input.q().add(of * BLOCK);
                let totals = &*input.totals.as_ptr().add(of / GROUP);
                let dots =
                    dots::<L, FOUR, 8, ROWS>(bytes, q, totals, row % GROUP, lowest(FOUR, MINIMA, false));
                let scales = input.scales.as_ptr().add(of);
                let scale = factors::<L>(&weights.scales, at * LANES);
                for index in 0..ROWS {
                    let by = L::splat(*scales.add(index));
                    sums[index] = L::fma(L::to_f32(dots[index]), L::mul(scale, by), sums[index]);
                }
                if MINIMA && let Some(minima) = &weights.minima {
                    let minimum = factors::<L>(minima, at * LANES);
                    let weighted = input.weighted.as_ptr().add(of);
                    for index in 0..ROWS {
                        sums[index] = L::fma(minimum, L::splat(*weighted.add(index)), sums[index]);
                    }
                }
            }
            sums
        }
    }

    /// Where each half of a block has a scale.
    #[inline(always)]
    unsafe fn sums_of_halves<L: Lanes, const FOUR: bool, const MINIMA: bool, const ROWS: usize>(
        self,
    ) -> [L::F; ROWS] {
        let Self { weights, columns, tile, input, row } = self;
        let halves = columns / BLOCK * 2;
        let size = if FOUR { LANES * BLOCK / 4 } else { LANES * BLOCK / 2 };
        unsafe {
            let mut sums = [L::splat(0.0); ROWS];
            for half in 0..halves {
                let at = tile * halves + half;
                let bytes = weights.q.as_ptr().add(at * size);
                let of = place(row, half / 2, halves / 2);
                let q = input.q().add(of * BLOCK + half % 2 * (BLOCK / 2));
                let totals = &*input.totals_of_halves.as_ptr().add(place(row, half, halves) / GROUP);
                let dots =
                    dots::<L, FOUR, 4, ROWS>(bytes, q, totals, row % GROUP, lowest(FOUR, MINIMA, true));
                let scales = input.scales.as_ptr().add(of);
                let scale = factors::<L>(&weights.scales, at * LANES);
                for index in 0..ROWS {
                    let by = *scales.add(index);
                    sums[index] = L::fma(L::to_f32(dots[index]), L::mul(scale, L::splat(by)), sums[index]);
                    if MINIMA && let Some(minima) = &weights.minima {
                        let by = by * *totals.sums.as_ptr().add(row % GROUP + index) as f32;
                        sums[index] = L::fma(factors::<L>(minima, at * LANES), L::splat(by), sums[index]);
                    }
                }
            }
            sums
        }
    }
}

/// How many bytes before their use weights are asked for, where nothing else hides the wait for memory.
const AHEAD: usize = 4096;

/// The lowest number of a format with these properties, where a half byte holds it.
pub(super) const fn lowest(four: bool, minima: bool, halves: bool) -> i8 {
    match (four, minima, halves) {
        (false, ..) | (_, true, _) => 0,
        (true, false, false) => -8,
        (true, false, true) => -4,
    }
}

/// Products of `GROUPS` groups of four columns, summed up, for rows of one group, from `row` of it on.
#[inline(always)]
unsafe fn dots<L: Lanes, const FOUR: bool, const GROUPS: usize, const ROWS: usize>(
    bytes: *const u8,
    q: *const i8,
    totals: &Totals,
    row: usize,
    lowest: i8,
) -> [L::I; ROWS] {
    unsafe {
        let mut sums = [L::splat_i32(0); ROWS];
        for index in 0..ROWS {
            let of = |totals: &[i32; GROUP]| *totals.as_ptr().add(row + index);
            sums[index] = match (FOUR, lowest) {
                (false, _) => L::start_eight(of(&totals.times_minus_128)),
                (true, 0) => L::splat_i32(0),
                (true, -8) => L::splat_i32(of(&totals.times_minus_8)),
                (true, _) => L::splat_i32(i32::from(lowest) * of(&totals.sums)),
            };
        }
        if FOUR {
            for pair in 0..GROUPS / 2 {
                let [first, second] = L::load_four(bytes.add(64 * pair));
                for index in 0..ROWS {
                    let q = q.add(index * BLOCK + 8 * pair);
                    sums[index] = L::dot_four(L::dot_four(sums[index], first, q), second, q.add(4));
                }
            }
        } else {
            for group in 0..GROUPS {
                let weights = L::load_eight(bytes.add(64 * group));
                for index in 0..ROWS {
                    sums[index] = L::dot_eight(sums[index], weights, q.add(index * BLOCK + 4 * group));
                }
            }
        }
        sums
    }
}
