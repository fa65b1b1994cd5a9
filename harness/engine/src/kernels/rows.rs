//! What is done to each row of states by itself: norms, activations, quantization; and the exponential.

use super::lanes::{LANES, Lanes};
use super::memory::Line;
use super::pool::Pool;
use super::{Kernel, Path, Shared};
use crate::spec::Activation;

/// Below this many numbers an operation is not worth a second thread.
const SMALL: usize = 16 << 10;

/// exp, within 2 units in the last place; from -87 on down, 1.6e-38 (Cephes' expf).
#[inline(always)]
pub(super) unsafe fn exp<L: Lanes>(x: L::F) -> L::F {
    unsafe {
        let x = L::max(L::min(x, L::splat(88.0)), L::splat(-87.0));
        let n = L::round(L::mul(x, L::splat(std::f32::consts::LOG2_E)));
        // ln 2 in two parts, the first with few digits: n times it is exact.
        let r = L::fma(n, L::splat(-0.693_359_375), x);
        let r = L::fma(n, L::splat(2.121_944_4e-4), r);
        let mut p = L::splat(1.987_569_1e-4);
        for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.000_000_1e-1] {
            p = L::fma(p, r, L::splat(coefficient));
        }
        let p = L::add(L::fma(p, L::mul(r, r), r), L::splat(1.0));
        L::mul(p, L::exp2(n))
    }
}

/// 1 / (1 + exp(-x)).
#[inline(always)]
unsafe fn sigmoid<L: Lanes>(x: L::F) -> L::F {
    unsafe {
        let e = exp::<L>(L::sub(L::splat(0.0), x));
        L::div(L::splat(1.0), L::add(L::splat(1.0), e))
    }
}

/// tanh x = 2 sigmoid(2x) - 1, within 1.2e-7.
#[inline(always)]
pub(super) unsafe fn tanh<L: Lanes>(x: L::F) -> L::F {
    unsafe { L::fma(L::splat(2.0), sigmoid::<L>(L::add(x, x)), L::splat(-1.0)) }
}

/// The error function, within 3e-7 (Abramowitz and Stegun 7.1.26).
#[inline(always)]
unsafe fn erf<L: Lanes>(x: L::F) -> L::F {
    unsafe {
        let size = L::abs(x);
        let t = L::div(L::splat(1.0), L::fma(L::splat(0.327_591_1), size, L::splat(1.0)));
        let mut p = L::splat(1.061_405_4);
        for coefficient in [-1.453_152, 1.421_413_8, -0.284_496_74, 0.254_829_6] {
            p = L::fma(p, t, L::splat(coefficient));
        }
        let e = exp::<L>(L::sub(L::splat(0.0), L::mul(size, size)));
        let positive = L::sub(L::splat(1.0), L::mul(L::mul(p, t), e));
        // The sign of x, by one that is ±1 wherever the result is not nearly 0.
        let huge = L::mul(x, L::splat(1e30));
        L::mul(positive, L::max(L::min(huge, L::splat(1.0)), L::splat(-1.0)))
    }
}

#[inline(always)]
unsafe fn activated<L: Lanes>(activation: Activation, x: L::F) -> L::F {
    unsafe {
        match activation {
            Activation::Silu => L::mul(x, sigmoid::<L>(x)),
            // x / 2 * (1 + tanh(√(2/π) (x + 0.044715 x³))) = x * sigmoid(2 √(2/π) (x + 0.044715 x³))
            Activation::GeluTanh => {
                let cubic = L::fma(L::mul(x, x), L::splat(0.044_715), L::splat(1.0));
                let inner = L::mul(L::mul(x, L::splat(1.595_769_1)), cubic);
                L::mul(x, sigmoid::<L>(inner))
            }
            Activation::Gelu => {
                let phi =
                    L::add(L::splat(1.0), erf::<L>(L::mul(x, L::splat(std::f32::consts::FRAC_1_SQRT_2))));
                L::mul(L::mul(x, L::splat(0.5)), phi)
            }
            Activation::Relu => L::max(x, L::splat(0.0)),
        }
    }
}

/// Elements from `at` on, zeros beyond the end of the row.
#[inline(always)]
pub(super) unsafe fn load_part<L: Lanes>(row: *const f32, at: usize, length: usize) -> L::F {
    unsafe {
        if at + LANES <= length {
            return L::load(row.add(at));
        }
        let mut lanes = [0.0; LANES];
        std::ptr::copy_nonoverlapping(row.add(at), lanes.as_mut_ptr(), length - at);
        L::load(lanes.as_ptr())
    }
}

/// Stores what is within the row.
#[inline(always)]
unsafe fn store_part<L: Lanes>(row: *mut f32, at: usize, length: usize, value: L::F) {
    unsafe {
        if at + LANES <= length {
            return L::store(row.add(at), value);
        }
        let mut lanes = [0.0; LANES];
        L::store(lanes.as_mut_ptr(), value);
        std::ptr::copy_nonoverlapping(lanes.as_ptr(), row.add(at), length - at);
    }
}

/// What a norm does to one row.
#[derive(Clone, Copy)]
pub(super) struct RowNorm<'n> {
    pub(super) weight: &'n [f32],
    pub(super) bias: Option<&'n [f32]>,
    /// Whether the mean is taken off.
    pub(super) centred: bool,
    pub(super) epsilon: f32,
}

/// Normalizes a row of `weight.len()` elements; input and output may be the same.
#[inline(always)]
pub(super) unsafe fn norm_row<L: Lanes>(norm: RowNorm<'_>, input: *const f32, output: *mut f32) {
    unsafe {
        let length = norm.weight.len();
        let mut mean = 0.0;
        if norm.centred {
            let mut sum = L::splat(0.0);
            for at in (0..length).step_by(LANES) {
                sum = L::add(sum, load_part::<L>(input, at, length));
            }
            mean = L::sum(sum) / length as f32;
        }
        let mut squares = L::splat(0.0);
        for at in (0..length).step_by(LANES) {
            let mut x = load_part::<L>(input, at, length);
            if norm.centred {
                x = L::sub(x, L::splat(mean));
                if at + LANES > length {
                    // What stands for elements beyond the end must not count.
                    let mut lanes = [0.0; LANES];
                    L::store(lanes.as_mut_ptr(), x);
                    lanes[length - at..].fill(0.0);
                    x = L::load(lanes.as_ptr());
                }
            }
            squares = L::fma(x, x, squares);
        }
        let scale = L::splat(1.0 / (L::sum(squares) / length as f32 + norm.epsilon).sqrt());
        for at in (0..length).step_by(LANES) {
            let x = L::sub(load_part::<L>(input, at, length), L::splat(mean));
            let mut y = L::mul(L::mul(x, scale), load_part::<L>(norm.weight.as_ptr(), at, length));
            if let Some(bias) = norm.bias {
                y = L::add(y, load_part::<L>(bias.as_ptr(), at, length));
            }
            store_part::<L>(output, at, length, y);
        }
    }
}

/// Normalizes each of the rows, `[rows, weight.len()]`.
pub(crate) struct Norm {
    /// Multiplies each element.
    pub(crate) weight: Vec<f32>,
    /// Is added to each element.
    pub(crate) bias: Option<Vec<f32>>,
    /// Whether the mean is taken off: layer norm rather than RMS norm.
    pub(crate) centred: bool,
    /// Keeps a row of zeros from a division by zero.
    pub(crate) epsilon: f32,
}

impl Norm {
    pub(super) fn row(&self) -> RowNorm<'_> {
        RowNorm {
            weight: &self.weight,
            bias: self.bias.as_deref(),
            centred: self.centred,
            epsilon: self.epsilon,
        }
    }

    /// `[rows, size]` to the same.
    pub(crate) fn apply(&self, path: Path, pool: &Pool, input: &[f32], output: &mut [f32]) {
        let size = self.weight.len();
        assert!(input.len() == output.len() && input.len().is_multiple_of(size), "whole rows");
        let output = Shared::new(output);
        let norm = self.row();
        pool.ranges(input.len() / size, SMALL / size, &|rows| {
            path.run(NormRows { norm, size, rows, input, output });
        });
    }
}

struct NormRows<'n> {
    norm: RowNorm<'n>,
    size: usize,
    rows: std::ops::Range<usize>,
    input: &'n [f32],
    output: Shared<f32>,
}

impl Kernel for NormRows<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for row in self.rows {
            let at = row * self.size;
            unsafe { norm_row::<L>(self.norm, self.input.as_ptr().add(at), self.output.at(at)) };
        }
    }
}

/// `activation(gate) * up` of `[rows, 2 * size]`, the gate first, where gated; else `activation` of `[rows, size]`.
pub(crate) fn activate(
    path: Path,
    pool: &Pool,
    activation: Activation,
    gated: bool,
    size: usize,
    input: &[f32],
    output: &mut [f32],
) {
    let wide = if gated { 2 * size } else { size };
    let rows = output.len() / size;
    assert!(output.len() == rows * size && input.len() == rows * wide, "whole rows");
    let output = Shared::new(output);
    pool.ranges(rows, SMALL / 4 / size, &|rows| {
        path.run(Activate { activation, gated, size, rows, input, output });
    });
}

struct Activate<'a> {
    activation: Activation,
    gated: bool,
    size: usize,
    rows: std::ops::Range<usize>,
    input: &'a [f32],
    output: Shared<f32>,
}

impl Kernel for Activate<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { activation, gated, size, .. } = self;
        for row in self.rows {
            unsafe {
                let gate = self.input.as_ptr().add(row * size * (1 + usize::from(gated)));
                let up = gate.add(size);
                let output = self.output.at(row * size);
                for at in (0..size).step_by(LANES) {
                    let mut y = activated::<L>(activation, load_part::<L>(gate, at, size));
                    if gated {
                        y = L::mul(y, load_part::<L>(up, at, size));
                    }
                    store_part::<L>(output, at, size, y);
                }
            }
        }
    }
}

/// The sum of `exp(number - most)`, for numbers up to `most`; within 1e-6 of itself.
pub(crate) fn sum_of_exponentials(path: Path, numbers: &[f32], most: f32) -> f64 {
    let mut total = 0.0;
    path.run(Exponentials { numbers, most, total: &mut total });
    total
}

struct Exponentials<'a> {
    numbers: &'a [f32],
    most: f32,
    total: &'a mut f64,
}

impl Kernel for Exponentials<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        unsafe {
            let most = L::splat(self.most);
            // A few at a time, so that a sum in `f32` stays exact enough.
            for some in self.numbers.chunks(64 * LANES) {
                let mut sum = L::splat(0.0);
                let (whole, rest) = some.as_chunks::<LANES>();
                for numbers in whole {
                    sum = L::add(sum, exp::<L>(L::sub(L::load(numbers.as_ptr()), most)));
                }
                *self.total += f64::from(L::sum(sum));
                for number in rest {
                    *self.total += libm::exp(f64::from(*number) - f64::from(self.most));
                }
            }
        }
    }
}

/// Sums of equal elements.
pub(crate) fn add(pool: &Pool, a: &[f32], b: &[f32], output: &mut [f32]) {
    assert!(a.len() == b.len() && a.len() == output.len(), "as many of each");
    let shared = Shared::new(output);
    pool.ranges(a.len(), SMALL, &|range| {
        for index in range {
            // SAFETY: each element is written once, within the output.
            unsafe { *shared.at(index) = a[index] + b[index] };
        }
    });
}

/// Columns of a block of activations with one scale.
pub(crate) const BLOCK: usize = 32;

/// Rows that stand together, so that kernels find what they need of several rows side by side.
pub(super) const GROUP: usize = 16;

/// Rows quantized to 8 bits, block by block: `x ≈ scale * q`, `q` from -127 to 127.
///
/// Rows stand in groups of sixteen, block by block within a group. The last group is filled up by rows that mean nothing:
/// kernels may read them, and drop what comes of them.
#[derive(Default)]
pub(crate) struct Quantized {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// `[groups, blocks, 16, 32]` bytes.
    q: Vec<Line>,
    /// `[groups, blocks, 16]`.
    pub(super) scales: Vec<f32>,
    /// Over blocks, `[groups, blocks]`.
    pub(super) totals: Vec<Totals>,
    /// Over half blocks, `[groups, 2 * blocks]`.
    pub(super) totals_of_halves: Vec<Totals>,
    /// Sums of `scale * q` over blocks, `[groups, blocks, 16]`.
    pub(super) weighted: Vec<f32>,
}

/// The sums of some columns of a group's rows, and what they are times what weights are off by that are stored without
/// a sign: made once, and not for every tile of weights.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Totals {
    pub(super) sums: [i32; GROUP],
    pub(super) times_minus_8: [i32; GROUP],
    pub(super) times_minus_128: [i32; GROUP],
}

impl Totals {
    #[inline(always)]
    fn of(sums: [i32; GROUP]) -> Self {
        // Activations that are no numbers have no sums either; what comes of them is no number whatever stands here.
        let times = |by: i32| sums.map(|it| it.wrapping_mul(by));
        Self { sums, times_minus_8: times(-8), times_minus_128: times(-128) }
    }
}

/// Where a row's block stands, counted in blocks.
#[inline(always)]
pub(super) const fn place(row: usize, block: usize, blocks: usize) -> usize {
    (row / GROUP * blocks + block) * GROUP + row % GROUP
}

impl Quantized {
    /// Quantizes `[rows, columns]` in place of what was here; the columns are whole blocks.
    pub(crate) fn fill(&mut self, path: Path, pool: &Pool, input: &[f32], columns: usize) {
        assert!(columns.is_multiple_of(BLOCK) && input.len().is_multiple_of(columns), "whole blocks");
        let (rows, blocks) = (input.len() / columns, columns / BLOCK);
        let all = rows.next_multiple_of(GROUP) * blocks;
        (self.rows, self.columns) = (rows, columns);
        self.q.resize(all * BLOCK / size_of::<Line>(), Line::ZERO);
        self.scales.resize(all, 0.0);
        self.totals.resize(all / GROUP, Totals::of([0; GROUP]));
        self.totals_of_halves.resize(2 * all / GROUP, Totals::of([0; GROUP]));
        self.weighted.resize(all, 0.0);
        let (q, scales) = (Shared(self.q.as_mut_ptr().cast()), Shared::new(&mut self.scales));
        let (totals, weighted) = (Shared::new(&mut self.totals), Shared::new(&mut self.weighted));
        let totals_of_halves = Shared::new(&mut self.totals_of_halves);
        let of_group = GROUP.min(rows) * BLOCK;
        pool.ranges(rows.div_ceil(GROUP) * blocks, SMALL / of_group.max(1), &|range| {
            path.run(Quantize { range, rows, blocks, input, q, scales, totals, totals_of_halves, weighted });
        });
    }

    /// The numbers, `[groups, blocks, 16, 32]`.
    pub(super) fn q(&self) -> *const i8 {
        self.q.as_ptr().cast()
    }
}

struct Quantize<'a> {
    /// Of the blocks of all groups.
    range: std::ops::Range<usize>,
    rows: usize,
    /// Of one row.
    blocks: usize,
    input: &'a [f32],
    q: Shared<i8>,
    scales: Shared<f32>,
    totals: Shared<Totals>,
    totals_of_halves: Shared<Totals>,
    weighted: Shared<f32>,
}

impl Kernel for Quantize<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for index in self.range.clone() {
            let (group, block) = (index / self.blocks, index % self.blocks);
            let first = group * GROUP;
            let mut halves = [[0; GROUP]; 2];
            unsafe {
                for row in first..self.rows.min(first + GROUP) {
                    let [low, high] = self.block::<L>(row, block);
                    (halves[0][row - first], halves[1][row - first]) = (low, high);
                }
                let totals = std::array::from_fn(|row| halves[0][row] + halves[1][row]);
                for (row, total) in totals.into_iter().enumerate() {
                    let at = index * GROUP + row;
                    *self.weighted.at(at) = *self.scales.at(at) * total as f32;
                }
                *self.totals.at(index) = Totals::of(totals);
                for (half, sums) in halves.into_iter().enumerate() {
                    *self.totals_of_halves.at(2 * index + half) = Totals::of(sums);
                }
            }
        }
    }
}

impl Quantize<'_> {
    /// One block; gives the sums of its halves.
    #[inline(always)]
    unsafe fn block<L: Lanes>(&self, row: usize, block: usize) -> [i32; 2] {
        let to = place(row, block, self.blocks);
        unsafe {
            let from = self.input.as_ptr().add((row * self.blocks + block) * BLOCK);
            let halves = [L::load(from), L::load(from.add(LANES))];
            let most = L::largest(L::max(L::abs(halves[0]), L::abs(halves[1])));
            // Smaller numbers would make the inverse infinite.
            let inverse = if most > 1e-30 { 127.0 / most } else { 0.0 };
            *self.scales.at(to) = most / 127.0;
            let mut sums = [0; 2];
            for (part, half) in halves.into_iter().enumerate() {
                let q = L::round(L::mul(half, L::splat(inverse)));
                L::store_i8(self.q.at(to * BLOCK + part * LANES), q);
                #[expect(clippy::cast_possible_truncation, reason = "whole numbers up to 16 * 127: exact")]
                let sum = L::sum(q) as i32;
                sums[part] = sum;
            }
            sums
        }
    }
}
