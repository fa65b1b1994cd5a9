//! Sixteen numbers at once.
//!
//! Every kernel is written once, over [`Lanes`], and compiled for each instruction set. All of them do the same
//! arithmetic in the same order on each lane, with fused multiply-add wherever one is written, so that all give
//! the same bits.

use half::{bf16, f16};

/// Numbers that are worked on together; also the rows of a weight tile and the positions of a block of keys.
pub(crate) const LANES: usize = 16;

/// An instruction set.
///
/// # Safety
/// Every function needs a CPU that has the instructions, and pointers to as many elements as its name says.
pub(crate) trait Lanes: Copy {
    /// Whether a kernel may keep some two dozen [`Self::F`] in registers, rather than half a dozen.
    const MANY: bool;
    /// Sixteen `f32`.
    type F: Copy;
    /// Sixteen `i32`.
    type I: Copy;
    /// Four small whole numbers for each of sixteen rows.
    type Q: Copy;

    unsafe fn splat(value: f32) -> Self::F;
    unsafe fn load(from: *const f32) -> Self::F;
    unsafe fn load_f16(from: *const f16) -> Self::F;
    unsafe fn load_bf16(from: *const bf16) -> Self::F;
    unsafe fn store(to: *mut f32, value: Self::F);
    /// Rounded to the nearest, ties to even.
    unsafe fn store_f16(to: *mut f16, value: Self::F);
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `b` where either is no number.
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F;
    /// `b` where either is no number.
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn abs(a: Self::F) -> Self::F;
    /// To the nearest whole number, ties to even.
    unsafe fn round(a: Self::F) -> Self::F;
    /// 2 to the power of whole numbers from -126 to 127.
    unsafe fn exp2(a: Self::F) -> Self::F;
    /// Whole numbers within `i8` to sixteen of them.
    unsafe fn store_i8(to: *mut i8, value: Self::F);

    unsafe fn to_f32(a: Self::I) -> Self::F;
    unsafe fn splat_i32(value: i32) -> Self::I;
    /// Sixteen rows' weights from 0 to 15 of two groups of four columns, from 64 bytes: the first group in the low
    /// halves of the bytes, four of row 0, then four of row 1, and so on.
    unsafe fn load_four(from: *const u8) -> [Self::Q; 2];
    /// Sixteen rows' weights from -128 to 127 of a group of four columns, from 64 bytes.
    unsafe fn load_eight(from: *const u8) -> Self::Q;
    /// Adds to each row's sum the products of a group of [`Self::load_four`] and four activations from -127 to 127.
    unsafe fn dot_four(sum: Self::I, weights: Self::Q, activations: *const i8) -> Self::I;
    /// What sums of [`Self::dot_eight`] start with; `minus_128` is the sum of all activations that will come, times -128.
    unsafe fn start_eight(minus_128: i32) -> Self::I;
    /// As [`Self::dot_four`], of [`Self::load_eight`].
    unsafe fn dot_eight(sum: Self::I, weights: Self::Q, activations: *const i8) -> Self::I;
    /// Asks for a line of memory that will be read soon; it may lie anywhere.
    unsafe fn prefetch(from: *const u8);

    /// The sum of all lanes, halves added to halves: 0 + 8, 1 + 9, …; then 0 + 4, …
    #[inline(always)]
    unsafe fn sum(a: Self::F) -> f32 {
        let mut lanes = [0.0; LANES];
        unsafe { Self::store(lanes.as_mut_ptr(), a) };
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                lanes[lane] += lanes[lane + half];
            }
            half /= 2;
        }
        lanes[0]
    }

    /// The largest of all lanes, found as [`Self::sum`] sums up.
    #[inline(always)]
    unsafe fn largest(a: Self::F) -> f32 {
        let mut lanes = [0.0; LANES];
        unsafe { Self::store(lanes.as_mut_ptr(), a) };
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                lanes[lane] = if lanes[lane] > lanes[lane + half] { lanes[lane] } else { lanes[lane + half] };
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// Any CPU.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

type F = [f32; LANES];

#[inline(always)]
fn each(a: F, b: F, work: impl Fn(f32, f32) -> f32) -> F {
    std::array::from_fn(|lane| work(a[lane], b[lane]))
}

impl Lanes for Portable {
    const MANY: bool = false;
    type F = F;
    type I = [i32; LANES];
    type Q = [[i8; 4]; LANES];

    #[inline(always)]
    unsafe fn splat(value: f32) -> F {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> F {
        unsafe { from.cast::<F>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> F {
        unsafe { from.cast::<[f16; LANES]>().read_unaligned() }.map(f16::to_f32)
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> F {
        unsafe { from.cast::<[bf16; LANES]>().read_unaligned() }.map(bf16::to_f32)
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: F) {
        unsafe { to.cast::<F>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut f16, value: F) {
        unsafe { to.cast::<[f16; LANES]>().write_unaligned(value.map(f16::from_f32)) }
    }

    #[inline(always)]
    unsafe fn add(a: F, b: F) -> F {
        each(a, b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(a: F, b: F) -> F {
        each(a, b, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(a: F, b: F) -> F {
        each(a, b, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(a: F, b: F) -> F {
        each(a, b, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn fma(a: F, b: F, c: F) -> F {
        std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]))
    }

    #[inline(always)]
    unsafe fn max(a: F, b: F) -> F {
        each(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn min(a: F, b: F) -> F {
        each(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    unsafe fn abs(a: F) -> F {
        a.map(f32::abs)
    }

    #[inline(always)]
    unsafe fn round(a: F) -> F {
        a.map(f32::round_ties_even)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from -126 to 127")]
    unsafe fn exp2(a: F) -> F {
        a.map(|it| f32::from_bits(((it as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "whole numbers within i8")]
    unsafe fn store_i8(to: *mut i8, value: F) {
        unsafe { to.cast::<[i8; LANES]>().write_unaligned(value.map(|it| it as i8)) }
    }

    #[inline(always)]
    unsafe fn to_f32(a: [i32; LANES]) -> F {
        a.map(|it| it as f32)
    }

    #[inline(always)]
    unsafe fn splat_i32(value: i32) -> [i32; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_wrap, reason = "below 16")]
    unsafe fn load_four(from: *const u8) -> [[[i8; 4]; LANES]; 2] {
        let bytes = unsafe { from.cast::<[[u8; 4]; LANES]>().read_unaligned() };
        [bytes.map(|it| it.map(|it| (it & 15) as i8)), bytes.map(|it| it.map(|it| (it >> 4) as i8))]
    }

    #[inline(always)]
    unsafe fn load_eight(from: *const u8) -> [[i8; 4]; LANES] {
        unsafe { from.cast::<[[i8; 4]; LANES]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn dot_four(sum: [i32; LANES], weights: [[i8; 4]; LANES], activations: *const i8) -> [i32; LANES] {
        let activations = unsafe { activations.cast::<[i8; 4]>().read_unaligned() };
        std::array::from_fn(|row| {
            let products = weights[row].iter().zip(activations).map(|(w, x)| i32::from(*w) * i32::from(x));
            sum[row] + products.sum::<i32>()
        })
    }

    #[inline(always)]
    unsafe fn start_eight(_: i32) -> [i32; LANES] {
        [0; LANES]
    }

    #[inline(always)]
    unsafe fn dot_eight(
        sum: [i32; LANES],
        weights: [[i8; 4]; LANES],
        activations: *const i8,
    ) -> [i32; LANES] {
        unsafe { Self::dot_four(sum, weights, activations) }
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const u8) {}
}
