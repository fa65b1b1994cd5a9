//! The arithmetic on an answer's path, the same bits on every CPU.
//!
//! Integer dot products are exact. Everything in `f32` has one order and one set of formulas, written once over
//! [`lanes::Lanes`]: a result does not depend on the instruction set, on how many rows are worked on together, or
//! on how many threads there are. So an answer depends on nothing but the model and the prompt.
//!
//! | what | file |
//! |---|---|
//! | sixteen numbers at once, by instruction set | `lanes.rs`, `x86.rs` |
//! | weights in tiles, and rows times weights | `pack.rs`, `unpack.rs`, `grouped.rs`, `matmul.rs` |
//! | norms, activations, exponentials | `rows.rs` |
//! | attention over blocks of keys and values | `attention.rs`, `cache.rs` |
//! | threads | `pool.rs` |
//! | memory for what is large | `memory.rs` |
//! | what the machine allows | `ceilings.rs` |
//! | all of it on a GPU, with bits of its own | `cuda/` |
//!
//! # Safety
//! The only `unsafe` code of the engine, but for mapping files. Three invariants carry all of it: a kernel runs on
//! an instruction set only after [`Path::is_here`] found it; pointers come from slices whose lengths the safe
//! functions around each kernel have checked; threads write to parts of an output that do not overlap.
#![expect(unsafe_code, reason = "instruction sets and shared outputs; the invariants stand above")]
#![expect(clippy::cast_ptr_alignment, reason = "loads and stores of intrinsics here need no alignment")]
#![expect(clippy::excessive_precision, reason = "coefficients as they were published")]
#![expect(clippy::inline_always, reason = "a kernel has an instruction set only once it is inlined")]
#![allow(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks, reason = "one invariant for all")]

use lanes::{Lanes, Portable};

pub(crate) mod alibi;
pub(crate) mod attention;
pub(crate) mod cache;
pub(crate) mod ceilings;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
pub(crate) mod grouped;
pub(crate) mod lanes;
pub(crate) mod matmul;
pub(crate) mod memory;
pub(crate) mod pack;
pub(crate) mod pool;
pub(crate) mod rows;
mod unpack;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests;

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// What every CPU has.
    Portable,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512 with BW, VL and VNNI.
    Avx512,
}

impl Path {
    /// The narrowest first.
    pub(crate) const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// The widest that this CPU has, or the one that `PROOFMARK_CPU` names.
    pub(crate) fn choose() -> Result<Self, String> {
        match std::env::var("PROOFMARK_CPU") {
            Ok(name) => Self::named(&name).map_err(|reason| format!("PROOFMARK_CPU: {reason}")),
            Err(_) => Ok(Self::ALL.into_iter().rfind(|it| it.is_here()).unwrap_or(Self::Portable)),
        }
    }

    /// The one with this name, if this CPU has it.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        match Self::ALL.into_iter().find(|it| it.name() == name) {
            Some(path) if path.is_here() => Ok(path),
            Some(_) => Err(format!("this CPU does not have `{name}`")),
            None => Err(format!("`{name}` is not one of portable, avx2, avx512")),
        }
    }

    /// As `PROOFMARK_CPU` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this CPU has it.
    pub(crate) fn is_here(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Portable => true,
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            Self::Avx512 => {
                Self::Avx2.is_here()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        return self == Self::Portable;
    }

    /// How many rows of activations share a load of weights: as many as the registers hold.
    pub(crate) fn rows_at_once(self) -> usize {
        match self {
            Self::Portable => 1,
            Self::Avx2 => 4,
            Self::Avx512 => 8,
        }
    }

    /// Runs a kernel compiled for this instruction set.
    #[inline]
    fn run<K: Kernel>(self, kernel: K) {
        debug_assert!(self.is_here());
        match self {
            Self::Portable => unsafe { kernel.run::<Portable>() },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { by_avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { by_avx512(kernel) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("`is_here` found it nowhere else"),
        }
    }
}

/// Arithmetic over any instruction set.
trait Kernel {
    /// # Safety
    /// The CPU has the instruction set, and the kernel's pointers are good for all that it does.
    unsafe fn run<L: Lanes>(self);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn by_avx2<K: Kernel>(kernel: K) {
    kernel.run::<x86::Avx2>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn by_avx512<K: Kernel>(kernel: K) {
    kernel.run::<x86::Avx512>();
}

/// An output that threads write to in parts that do not overlap.
struct Shared<T>(*mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

unsafe impl<T: Send> Send for Shared<T> {}
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn new(output: &mut [T]) -> Self {
        Self(output.as_mut_ptr())
    }

    /// # Safety
    /// Within the output.
    #[inline(always)]
    unsafe fn at(self, offset: usize) -> *mut T {
        unsafe { self.0.add(offset) }
    }
}
