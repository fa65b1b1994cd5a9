//! Python's `random.Random`, as far as drawing worked examples needs it.
//!
//! lm-evaluation-harness draws with `Random(seed).sample`, and the same examples make the same prompts. The generator is
//! MT19937 (Matsumoto and Nishimura, 1998), the seeding and the drawing are `CPython`'s, unchanged since 3.2 where the
//! seed is a whole number.

use std::collections::HashSet;

const STATE: usize = 624;
const MIDDLE: usize = 397;

/// A Mersenne Twister, seeded and read as Python does.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u32; STATE],
    next: usize,
}

impl Random {
    /// `random.Random(seed)`.
    pub fn new(seed: u64) -> Self {
        // The seed's digits of 32 bits, the lowest first; zero has one.
        let mut key = vec![low(seed)];
        if seed >> 32 != 0 {
            key.push(low(seed >> 32));
        }
        let mut state = [0; STATE];
        state[0] = 19_650_218;
        for index in 1..STATE {
            state[index] = mixed(state[index - 1]).wrapping_mul(1_812_433_253).wrapping_add(position(index));
        }
        let (mut at, mut digit) = (1, 0);
        let step = |state: &mut [u32; STATE], at: &mut usize| {
            *at += 1;
            if *at >= STATE {
                state[0] = state[STATE - 1];
                *at = 1;
            }
        };
        for _ in 0..STATE.max(key.len()) {
            let mixed = mixed(state[at - 1]).wrapping_mul(1_664_525);
            state[at] = (state[at] ^ mixed).wrapping_add(key[digit]).wrapping_add(position(digit));
            digit = (digit + 1) % key.len();
            step(&mut state, &mut at);
        }
        for _ in 1..STATE {
            let mixed = mixed(state[at - 1]).wrapping_mul(1_566_083_941);
            state[at] = (state[at] ^ mixed).wrapping_sub(position(at));
            step(&mut state, &mut at);
        }
        state[0] = 1 << 31;
        Self { state, next: STATE }
    }

    fn word(&mut self) -> u32 {
        if self.next >= STATE {
            for index in 0..STATE {
                let joined =
                    (self.state[index] & 0x8000_0000) | (self.state[(index + 1) % STATE] & 0x7fff_ffff);
                let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[index] = self.state[(index + MIDDLE) % STATE] ^ (joined >> 1) ^ odd;
            }
            self.next = 0;
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A whole number below `bound`, which is not 0.
    fn below(&mut self, bound: u32) -> u32 {
        let bits = u32::BITS - bound.leading_zeros();
        loop {
            let drawn = self.word() >> (u32::BITS - bits);
            if drawn < bound {
                return drawn;
            }
        }
    }

    /// The positions that `Random.sample(population, count)` takes of a population of `size`, in its order; `None` where
    /// there are fewer than `count`.
    pub fn sample(&mut self, size: usize, count: usize) -> Option<Vec<usize>> {
        let total = u32::try_from(size).ok().filter(|_| count <= size)?;
        // CPython's rule of when a list of what is left is smaller than a set of what was taken.
        let mut most = 21;
        if count > 5 {
            let exponent = ((count * 3) as f64).ln() / 4_f64.ln();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small logarithm")]
            let exponent = exponent.ceil() as u32;
            most += 4_usize.saturating_pow(exponent);
        }
        let mut taken = Vec::with_capacity(count);
        if size <= most {
            let mut pool: Vec<usize> = (0..size).collect();
            for index in 0..count {
                let left = size - index;
                let at = self.below(total - position(index)) as usize;
                taken.push(pool[at]);
                pool[at] = pool[left - 1];
            }
        } else {
            let mut seen = HashSet::with_capacity(count);
            for _ in 0..count {
                let mut at = self.below(total);
                while !seen.insert(at) {
                    at = self.below(total);
                }
                taken.push(at as usize);
            }
        }
        Some(taken)
    }
}

fn low(number: u64) -> u32 {
    (number & 0xffff_ffff) as u32
}

fn mixed(word: u32) -> u32 {
    word ^ (word >> 30)
}

/// Positions are below 2^32, as the population is.
fn position(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
