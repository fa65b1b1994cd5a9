//! What the machine allows: how fast it multiplies small whole numbers, and how fast it reads weights.
//!
//! A prompt is read no faster than its products can be formed, and a token comes no sooner than all weights were
//! read once. Both are measured with the same instructions and threads that the engine computes with.

use std::hint::black_box;

use eval::response::timed;

use super::lanes::{LANES, Lanes};
use super::memory::Arena;
use super::pool::Pool;
use super::{Kernel, Path, Shared};

/// The limits of this machine, as far as one engine can use it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// Multiplications and additions of small whole numbers in a second, with both numbers in registers.
    pub operations: f64,
    /// Bytes of memory that are read in a second, by far more of them than caches hold.
    pub bytes: f64,
}

/// Measures the limits with as many threads; `None` for as many as the machine has. Takes about a second, and
/// 256 MiB.
///
/// # Errors
/// In words, if there is no memory, threads cannot be started, or `PROOFMARK_CPU` names what this CPU does not have.
pub fn ceilings(threads: Option<usize>) -> Result<Ceilings, String> {
    let path = Path::choose()?;
    let pool = threads.map_or_else(Pool::of_machine, Pool::new).map_err(|err| err.to_string())?;
    // The best of some: what holds a probe up is no limit of the machine.
    let best = |work: &dyn Fn() -> f64| (0..7).map(|_| work()).fold(0.0, f64::max);
    // Where weights would lie; what nobody has written to is one page many times.
    let mut memory = Arena::default().zeros(1 << 26)?;
    memory.fill(1.0);
    Ok(Ceilings {
        operations: best(&|| dots::<4>(path, &pool, 1 << 21).0.max(dots::<12>(path, &pool, 1 << 21).0)),
        bytes: best(&|| stream(path, &pool, &memory).0),
    })
}

/// Operations a second with so many sums at once, and the sums of one thread.
///
/// Few sums fit the registers of every CPU; many hide how long an instruction takes where there is room for them.
fn dots<const SUMS: usize>(path: Path, pool: &Pool, rounds: usize) -> (f64, Vec<f32>) {
    let weights = [0x21; 64];
    let activations: Vec<i8> = (1..=SUMS).flat_map(|it| [i8::try_from(it).unwrap_or(i8::MAX); 4]).collect();
    let threads = pool.threads();
    let mut sums = vec![0.0; threads * SUMS * LANES];
    let shared = Shared::new(&mut sums);
    let ((), time) = timed(|| {
        pool.run(threads, &|thread| {
            let (weights, activations) = (&weights, activations.as_slice());
            path.run(Dots::<SUMS> { rounds, weights, activations, sums: shared, thread });
        });
    });
    // Two operations on each of four columns, twice a round.
    let operations = (threads * rounds * SUMS * LANES * 4 * 2 * 2) as f64;
    sums.truncate(SUMS * LANES);
    (operations / time.as_secs_f64(), sums)
}

/// As [`super::matmul`] multiplies weights of four bits, but always the same ones.
struct Dots<'d, const SUMS: usize> {
    rounds: usize,
    weights: &'d [u8; 64],
    /// Four for each sum.
    activations: &'d [i8],
    sums: Shared<f32>,
    thread: usize,
}

impl<const SUMS: usize> Kernel for Dots<'_, SUMS> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        assert!(self.activations.len() == 4 * SUMS);
        unsafe {
            let mut sums = [L::splat_i32(0); SUMS];
            for _ in 0..self.rounds {
                // What might have changed has to be multiplied again.
                let weights = L::load_four(black_box(self.weights.as_ptr()));
                let activations = black_box(self.activations.as_ptr());
                for weights in weights {
                    for (index, sum) in sums.iter_mut().enumerate() {
                        *sum = L::dot_four(*sum, weights, activations.add(4 * index));
                    }
                }
            }
            for (index, sum) in sums.into_iter().enumerate() {
                L::store(self.sums.at((self.thread * SUMS + index) * LANES), L::to_f32(sum));
            }
        }
    }
}

/// Bytes a second, and the sum of all numbers: each thread reads a part of them, in order.
fn stream(path: Path, pool: &Pool, memory: &[f32]) -> (f64, f32) {
    let threads = pool.threads();
    let mut sums = vec![0.0; threads];
    let shared = Shared::new(&mut sums);
    let ((), time) = timed(|| {
        pool.run(threads, &|thread| {
            let part = memory.len() / threads;
            let memory = &memory[thread * part..(thread + 1) * part];
            path.run(Stream { memory, sum: shared, thread });
        });
    });
    let bytes = (memory.len() / threads * threads * size_of::<f32>()) as f64;
    (bytes / time.as_secs_f64(), sums.iter().sum())
}

struct Stream<'s> {
    memory: &'s [f32],
    sum: Shared<f32>,
    thread: usize,
}

impl Kernel for Stream<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        /// Sums at once, each of its own line of memory.
        const SUMS: usize = 8;
        /// Numbers between what is read and what is asked for.
        const AHEAD: usize = 1024;
        unsafe {
            let mut sums = [L::splat(0.0); SUMS];
            for lines in self.memory.chunks_exact(SUMS * LANES) {
                for (index, sum) in sums.iter_mut().enumerate() {
                    let line = lines.as_ptr().add(index * LANES);
                    L::prefetch(line.wrapping_add(AHEAD).cast());
                    *sum = L::add(*sum, L::load(line));
                }
            }
            let sum = sums.into_iter().map(|it| L::sum(it)).sum();
            *self.sum.at(self.thread) = sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probes do all of their work on every path: none of it is optimized away.
    #[test]
    fn nothing_is_left_out() {
        let pool = Pool::new(2).unwrap();
        for path in Path::ALL.into_iter().filter(|it| it.is_here()) {
            let (speed, sums) = dots::<12>(path, &pool, 100);
            // Weights of 1 and 2, four columns, a hundred rounds.
            let wanted: Vec<f32> = (1..=12_u8).flat_map(|it| [f32::from(it) * 3.0 * 400.0; LANES]).collect();
            assert_eq!(sums, wanted, "{path:?}");
            assert!(speed > 0.0 && speed.is_finite());
            let memory: Vec<f32> = (0..1 << 12).map(|it| f32::from(u8::from(it % 4 == 0))).collect();
            let (speed, sum) = stream(path, &pool, &memory);
            assert_eq!(sum.to_bits(), 1024.0_f32.to_bits(), "{path:?}");
            assert!(speed > 0.0 && speed.is_finite());
        }
    }
}
