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
    /// Sixteen `f32`.
    type F: Copy;
    /// Sixteen `i32`.
    type I: Copy;

    unsafe fn splat(value: f32) -> Self::F;
    unsafe fn load(from: *const f32) -> Self::F;
    unsafe fn load_f16(from: *const f16) -> Self::F;
    unsafe fn load_bf16(from: *const bf16) -> Self::F;
    unsafe fn store(to: *mut f32, value: Self::F);
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
    unsafe fn add_i32(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn sub_i32(a: Self::I, b: i32) -> Self::I;
    /// For each of sixteen rows the sum of 16 products of weights from 0 to 15 and activations from -127 to 127.
    ///
    /// `weights` are 128 bytes: pairs of groups of four elements, the first group of a pair in the low halves of the
    /// bytes; each group has its four elements of row 0, then those of row 1, and so on.
    unsafe fn dot_four(weights: *const u8, activations: *const i8) -> Self::I;
    /// The same for weights from -128 to 127 in 256 bytes; `sum` is that of the activations.
    unsafe fn dot_eight(weights: *const i8, activations: *const i8, sum: i32) -> Self::I;

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

    /// The largest of all lanes.
    #[inline(always)]
    unsafe fn largest(a: Self::F) -> f32 {
        let mut lanes = [0.0; LANES];
        unsafe { Self::store(lanes.as_mut_ptr(), a) };
        let mut largest = lanes[0];
        for lane in &lanes[1..] {
            if *lane > largest {
                largest = *lane;
            }
        }
        largest
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
    type F = F;
    type I = [i32; LANES];

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
    unsafe fn add_i32(a: [i32; LANES], b: [i32; LANES]) -> [i32; LANES] {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    unsafe fn sub_i32(a: [i32; LANES], b: i32) -> [i32; LANES] {
        a.map(|it| it - b)
    }

    #[inline(always)]
    unsafe fn dot_four(weights: *const u8, activations: *const i8) -> [i32; LANES] {
        let (weights, activations) =
            unsafe { (&*weights.cast::<[u8; 128]>(), &*activations.cast::<[i8; 16]>()) };
        std::array::from_fn(|row| {
            let mut sum = 0;
            for pair in 0..2 {
                for element in 0..4 {
                    let byte = weights[(pair * LANES + row) * 4 + element];
                    sum += i32::from(byte & 15) * i32::from(activations[pair * 8 + element]);
                    sum += i32::from(byte >> 4) * i32::from(activations[pair * 8 + 4 + element]);
                }
            }
            sum
        })
    }

    #[inline(always)]
    unsafe fn dot_eight(weights: *const i8, activations: *const i8, _: i32) -> [i32; LANES] {
        let (weights, activations) =
            unsafe { (&*weights.cast::<[i8; 256]>(), &*activations.cast::<[i8; 16]>()) };
        std::array::from_fn(|row| {
            let mut sum = 0;
            for group in 0..4 {
                for element in 0..4 {
                    let weight = weights[(group * LANES + row) * 4 + element];
                    sum += i32::from(weight) * i32::from(activations[group * 4 + element]);
                }
            }
            sum
        })
    }
}
