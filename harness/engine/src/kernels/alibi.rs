//! What positions do to scores where nothing turns and nothing is learned.

use crate::spec::to_bf16;

/// What scores lose with distance.
#[derive(Clone, Copy)]
pub(crate) struct Alibi<'l> {
    /// One a head.
    pub(crate) slopes: &'l [f32],
    /// Instead, scores gain this times the product of slope and key position, both it and the position rounded to 16
    /// bits. Without rounding that is the same but for a number that all scores of a token share.
    pub(crate) rounded: Option<f32>,
}

impl Alibi<'_> {
    #[inline(always)]
    pub(super) fn add(self, score: f32, head: usize, key: usize, query: usize) -> f32 {
        let slope = self.slopes[head];
        match self.rounded {
            // Never more: a token sees nothing that comes after it.
            None => score - slope * (query - key) as f32,
            Some(scale) => score + to_bf16(slope * to_bf16(key as f32)) * scale,
        }
    }
}
