//! Draws: numbers from a seed, the same on every machine.

use sha2::{Digest as _, Sha256};

/// A stream of random numbers.
///
/// Its bytes are SHA-256(key, n) for n = 0, 1, …, n as eight bytes, the highest first; a draw takes eight of them, the
/// highest first. The key names the seed, the suite, the case, the draw, the attempt and the variable: no other case,
/// and no other variable, changes what one gets.
pub struct Source {
    key: Sha256,
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl Source {
    /// The stream of a key.
    pub fn new(key: &str) -> Self {
        Self { key: Sha256::new_with_prefix(key), counter: 0, block: [0; 32], used: 32 }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        if self.used == self.block.len() {
            let hash = self.key.clone().chain_update(self.counter.to_be_bytes());
            self.block = hash.finalize().into();
            self.counter += 1;
            self.used = 0;
        }
        let bytes =
            self.block[self.used..self.used + 8].try_into().expect("a block has four times eight bytes");
        self.used += 8;
        u64::from_be_bytes(bytes)
    }

    /// A number below `bound`, each as likely; 0 for a bound of 0.
    ///
    /// It is `bits() % bound`, of the first bits below the largest multiple of `bound` in 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // 2^64 modulo the bound: so many of the highest numbers would make the low ones likelier.
        let odd = (u64::MAX % bound + 1) % bound;
        loop {
            let bits = self.bits();
            if bits <= u64::MAX - odd {
                return bits % bound;
            }
        }
    }

    /// A place in a list of this length.
    pub(super) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("it is below a usize")
    }

    /// Puts a list into an order, each as likely: Fisher and Yates, from the end.
    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let other = self.place(last + 1);
            list.swap(last, other);
        }
    }
}
