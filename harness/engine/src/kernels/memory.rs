//! Memory for weights, keys and values: on large pages where the system has them, and given back when it is dropped.
//!
//! A step reads all weights and many blocks of keys and values, far apart from each other. On pages of 4 KiB the
//! processor spends a third of that time looking pages up.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use half::{bf16, f16};
use memmap2::MmapMut;

/// What regions are multiples of: a large page of x86 and ARM.
const PAGE: usize = 2 << 20;

/// Bytes of a region that small pieces share.
const REGION: usize = 32 << 20;

/// Bytes that pieces begin at multiples of: a line of cache.
const LINE: usize = 64;

/// Numbers for which all bits mean something, zeros too.
///
/// # Safety
/// As said.
pub(crate) unsafe trait Number: Copy {}

unsafe impl Number for u8 {}
unsafe impl Number for f16 {}
unsafe impl Number for bf16 {}
unsafe impl Number for f32 {}

/// Hands out pieces of memory that are filled with zeros. A region goes back to the system with its last piece.
#[derive(Default)]
pub(crate) struct Arena(Mutex<Option<Rest>>);

/// What is left of a region.
struct Rest {
    region: Arc<Region>,
    used: usize,
}

/// Bytes of their own, zeros at first.
struct Region {
    bytes: *mut u8,
    length: usize,
    /// Keeps the bytes.
    _map: MmapMut,
}

// SAFETY: only pieces look into a region, and no two of them at the same bytes.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    fn new(bytes: usize) -> Result<Self, String> {
        let length = bytes.max(1).next_multiple_of(PAGE);
        let mut map = MmapMut::map_anon(length).map_err(|err| format!("{bytes} bytes of memory: {err}"))?;
        #[cfg(target_os = "linux")]
        // A system without large pages gives small ones.
        drop(map.advise(memmap2::Advice::HugePage));
        Ok(Self { bytes: map.as_mut_ptr(), length, _map: map })
    }
}

/// Some numbers of a region; nobody else has them.
pub(crate) struct Piece<T> {
    region: Arc<Region>,
    offset: usize,
    count: usize,
    of: PhantomData<T>,
}

impl Arena {
    /// So many zeros.
    ///
    /// # Errors
    /// In words, if there is no memory.
    pub(crate) fn zeros<T: Number>(&self, count: usize) -> Result<Piece<T>, String> {
        let bytes = count.checked_mul(size_of::<T>()).filter(|it| *it < usize::MAX / 2);
        let bytes = bytes.ok_or_else(|| format!("{count} numbers do not fit any memory"))?;
        let mut rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Rest { region, used }) = &mut *rest
            && region.length - *used >= bytes
        {
            let offset = *used;
            *used = (offset + bytes).next_multiple_of(LINE).min(region.length);
            return Ok(Piece { region: Arc::clone(region), offset, count, of: PhantomData });
        }
        let region = Arc::new(Region::new(bytes.max(REGION))?);
        let used = bytes.next_multiple_of(LINE);
        // What is left of the one before is little, or this one is large: the fuller one goes on by its pieces alone.
        if rest.as_ref().is_none_or(|it| it.region.length - it.used < region.length - used) {
            *rest = Some(Rest { region: Arc::clone(&region), used });
        }
        Ok(Piece { region, offset: 0, count, of: PhantomData })
    }
}

impl<T: Number> Deref for Piece<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the offset and the count lie within the region, which lives as long as this; lines are aligned for
        // every number; no other piece has these bytes.
        unsafe { std::slice::from_raw_parts(self.region.bytes.add(self.offset).cast(), self.count) }
    }
}

impl<T: Number> DerefMut for Piece<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`.
        unsafe { std::slice::from_raw_parts_mut(self.region.bytes.add(self.offset).cast(), self.count) }
    }
}

/// Bytes that begin where a line of cache does: what is loaded a line at a time must not lie across two.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; LINE]);

impl Line {
    /// Filled with zeros.
    pub(crate) const ZERO: Self = Self([0; LINE]);
}

/// So many numbers of any value, for an operation that writes all of them: zeros would be written twice.
///
/// A vector because candle's tensors are made of vectors.
#[expect(clippy::uninit_vec, reason = "see the safety comment")]
pub(crate) fn unwritten(count: usize) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(count);
    // SAFETY: all bits mean a number, and the operations of `ops.rs` write every element of an output before it becomes
    // a tensor.
    unsafe { numbers.set_len(count) };
    numbers
}

/// Bytes of freed memory that the allocator keeps: more than the states of a step.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 256 << 20;

/// Has glibc's allocator keep what is freed, up to [`KEPT`]: a step frees what the next one needs again, and pages that
/// went in between cost a tenth of its time. [`give_back`] ends it for what is free by then.
pub(crate) fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: these change when memory goes back to the system, nothing else. The second is the most that is allowed.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
    }
}

/// Gives freed memory back to the system.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it touches only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_zeros_and_do_not_overlap() {
        let arena = Arena::default();
        let mut pieces: Vec<Piece<f32>> =
            [0, 1, 17, 1 << 20, 9 << 20, 3, 5].iter().map(|count| arena.zeros(*count).unwrap()).collect();
        for (index, piece) in (0_u8..).zip(&mut pieces) {
            assert!(piece.iter().all(|it| *it == 0.0));
            piece.fill(f32::from(index) + 1.0);
        }
        for (index, piece) in (0_u8..).zip(&pieces) {
            assert_eq!(piece.as_ptr().addr() % LINE, 0);
            assert!(piece.iter().all(|it| it.total_cmp(&(f32::from(index) + 1.0)).is_eq()));
        }
    }

    #[test]
    fn what_no_memory_holds_is_refused() {
        let message = Arena::default().zeros::<f32>(usize::MAX / 4).err().unwrap();
        assert!(message.contains("memory"), "{message}");
    }
}
