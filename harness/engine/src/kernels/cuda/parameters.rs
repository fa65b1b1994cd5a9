//! What kernels are given: the structs of `kernels.cu`, field by field. Addresses are of the GPU's memory, 0 for none.

use cudarc::driver::DeviceRepr;

macro_rules! parameters {
    ($($(#[$docs:meta])* $name:ident { $($field:ident: $kind:ty),* $(,)? })*) => {$(
        $(#[$docs])*
        #[derive(Clone, Copy, Debug)]
        #[repr(C)]
        pub(super) struct $name {
            $(pub(super) $field: $kind,)*
        }

        // SAFETY: plain numbers in C's layout.
        unsafe impl DeviceRepr for $name {}
    )*};
}

parameters! {
    /// Rows times weights.
    Product {
        weights: u64, bias: u64, input: u64, output: u64, chosen: u64, count: u64, tokens: u32, rows: u32, chunks: u32,
    }
    /// Rows of the embedding.
    Embed {
        embedding: u64, positions: u64, tokens: u64, places: u64, output: u64, hidden: u32, chunks: u32, scale: f32,
    }
    /// A norm of each row.
    Normalize {
        input: u64, wide: u64, narrow: u64, weight: u64, bias: u64, size: u32, stride: u32, centred: u32, epsilon: f32,
    }
    /// Rows in half the bits.
    Narrow { input: u64, output: u64, size: u32, stride: u32 }
    /// Sums.
    Add { a: u64, b: u64, output: u64, count: u64 }
    /// What stands between the halves of an MLP.
    Activate { input: u64, output: u64, count: u64, size: u32, stride: u32, gated: u32, activation: u32 }
    /// Some of the rows.
    Choose { input: u64, chosen: u64, output: u64, size: u32 }
    /// The last touch of logits.
    Finish { logits: u64, count: u64, scale: f32, cap: f32 }
    /// The first of the largest logits.
    Likeliest { logits: u64, tokens: u64, size: u32 }
    /// Memory that is read once.
    Scan { memory: u64, output: u64, count: u64 }
    /// Tokens to experts.
    Route { logits: u64, counts: u64, chosen: u64, shares: u64, tokens: u32, experts: u32, used: u32 }
    /// What an expert gives, to its tokens.
    Mix { given: u64, count: u64, chosen: u64, shares: u64, mixed: u64, size: u32 }
    /// Cosines and sines.
    Turn { places: u64, frequencies: u64, turns: u64, pairs: u32, scale: f64 }
    /// A norm of heads.
    HeadNorm { weight: u64, bias: u64, stride: u32, centred: u32, epsilon: f32, unused: u32 }
    /// Queries, keys and values, before they look at one another.
    Prepare {
        qkv: u64, queries: u64, keys: u64, values: u64, slots: u64, turns: u64, query_norm: HeadNorm,
        key_norm: HeadNorm, tokens: u32, heads: u32, kv_heads: u32, head_size: u32, pairs: u32, scale: f32, clip: f32,
        unused: u32,
    }
    /// Attention.
    Attend {
        queries: u64, keys: u64, values: u64, output: u64, parts: u64, tiles: u64, tables: u64, places: u64,
        slopes: u64, heads: u32, kv_heads: u32, head_size: u32, stride: u32, window: u32, segments: u32, cap: f32,
        rounded: f32,
    }
}
