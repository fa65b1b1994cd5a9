//! Keys and values of a layer, in blocks of [`BLOCK`] positions.
//!
//! Of each block and head, keys lie by element and then by position, so that sixteen scores are one chain of sums; values
//! lie by position, padded to whole lanes.

use half::f16;

use super::lanes::{LANES, Lanes};
use super::memory::{Arena, Number, Piece};

/// Positions of a block.
pub(crate) const BLOCK: usize = LANES;

/// Elements of a value as it is kept.
pub(super) fn padded(head_size: usize) -> usize {
    head_size.next_multiple_of(LANES)
}

/// Keys and values of one layer, `[blocks, kv_heads, keys and values of a block]`.
pub(crate) struct Cache {
    pub(super) data: Data,
    /// Numbers of one block and head.
    pub(super) stride: usize,
}

/// Half the bytes take half the time to read, where many sequences are read from memory; `f32` is for comparisons.
pub(super) enum Data {
    F16(Piece<f16>),
    F32(Piece<f32>),
}

impl Cache {
    /// Room for this many blocks, in `f32` or else in `f16`. Memory is touched only as blocks are written.
    ///
    /// # Errors
    /// In words, if there is no memory.
    pub(crate) fn new(
        arena: &Arena,
        blocks: usize,
        kv_heads: usize,
        head_size: usize,
        dense: bool,
    ) -> Result<Self, String> {
        let stride = Self::stride(head_size);
        let count = blocks.saturating_mul(kv_heads * stride);
        let data = if dense { Data::F32(arena.zeros(count)?) } else { Data::F16(arena.zeros(count)?) };
        Ok(Self { data, stride })
    }

    /// Makes a block another's copy.
    pub(crate) fn copy(&mut self, [from, to]: [u32; 2], kv_heads: usize) {
        let numbers = kv_heads * self.stride;
        let (from, to) = (from as usize * numbers, to as usize * numbers);
        match &mut self.data {
            Data::F16(it) => it.copy_within(from..from + numbers, to),
            Data::F32(it) => it.copy_within(from..from + numbers, to),
        }
    }

    pub(super) fn stride(head_size: usize) -> usize {
        BLOCK * (head_size + padded(head_size))
    }

    /// Bytes of one block.
    pub(crate) fn block_bytes(kv_heads: usize, head_size: usize, dense: bool) -> usize {
        let number = if dense { size_of::<f32>() } else { size_of::<f16>() };
        kv_heads * Self::stride(head_size) * number
    }
}

/// A number of a key or a value as it is kept.
pub(super) trait Kept: Number + Send + Sync {
    /// Sixteen of them.
    ///
    /// # Safety
    /// As for [`Lanes`]; here and below.
    unsafe fn load<L: Lanes>(from: *const Self) -> L::F;
    /// Sixteen numbers, rounded to what is kept.
    unsafe fn round<L: Lanes>(value: L::F) -> [Self; LANES];
}

impl Kept for f16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L::F {
        unsafe { L::load_f16(from) }
    }

    #[inline(always)]
    unsafe fn round<L: Lanes>(value: L::F) -> [Self; LANES] {
        let mut kept = [Self::ZERO; LANES];
        unsafe { L::store_f16(kept.as_mut_ptr(), value) };
        kept
    }
}

impl Kept for f32 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L::F {
        unsafe { L::load(from) }
    }

    #[inline(always)]
    unsafe fn round<L: Lanes>(value: L::F) -> [Self; LANES] {
        let mut kept = [0.0; LANES];
        unsafe { L::store(kept.as_mut_ptr(), value) };
        kept
    }
}
