//! Attention of tokens of many sequences at once over blocks of keys and values.
//!
//! A block holds [`LANES`] positions of a sequence, for each layer and head of keys and values: keys by element and
//! then by position, so that sixteen scores are one chain of sums; values by position, padded to whole lanes. A
//! token's scores are summed over elements and its values over positions, both in order: what else is computed in the
//! same step changes nothing.

use super::lanes::{LANES, Lanes};
use super::memory::{Arena, Piece, unwritten};
use super::pool::Pool;
use super::rows::{Norm, exp, norm_row, tanh};
use super::{Kernel, Path, Shared};

/// Positions of a block.
pub(crate) const BLOCK: usize = LANES;

/// What attention is in one layer.
pub(crate) struct Attention<'l> {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_size: usize,
    /// Scores are multiplied by this.
    pub(crate) scale: f32,
    /// Queries, keys and values are cut to this on both sides of zero.
    pub(crate) clip: Option<f32>,
    /// Scores are `cap * tanh(scores / cap)`.
    pub(crate) cap: Option<f32>,
    /// Of each head's queries and keys; one for all heads, or one a head.
    pub(crate) query_norms: &'l [Norm],
    pub(crate) key_norms: &'l [Norm],
    /// Slopes of ALiBi, one a head.
    pub(crate) slopes: Option<&'l [f32]>,
    /// How many positions are seen, a token's own included.
    pub(crate) window: Option<usize>,
    /// Cosines and sines of each position, `[positions, turning pairs]`.
    pub(crate) turns: Option<&'l Turns>,
}

/// Cosines and sines of rotary positions, as far as they were needed.
pub(crate) struct Turns {
    frequencies: Vec<f64>,
    scale: f64,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Turns {
    /// For pairs that turn by these radians a position; sines and cosines are multiplied by `scale`.
    pub(crate) fn new(frequencies: Vec<f64>, scale: f64) -> Self {
        Self { frequencies, scale, cosines: Vec::new(), sines: Vec::new() }
    }

    /// Makes the turns of all positions below this one.
    #[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
    pub(crate) fn reach(&mut self, positions: usize) {
        let pairs = self.frequencies.len();
        for position in self.cosines.len() / pairs.max(1)..positions {
            for frequency in &self.frequencies {
                // Not the platform's, which differs from CPU to CPU.
                let (sine, cosine) = libm::sincos(position as f64 * frequency);
                self.cosines.push((cosine * self.scale) as f32);
                self.sines.push((sine * self.scale) as f32);
            }
        }
    }
}

/// Keys and values of one layer, `[blocks, kv_heads, keys and values of a block]`.
pub(crate) struct Cache {
    data: Piece<f32>,
    /// Numbers of one block and head.
    stride: usize,
}

impl Cache {
    /// Room for this many blocks. Memory is touched only as blocks are written.
    ///
    /// # Errors
    /// In words, if there is no memory.
    pub(crate) fn new(
        arena: &Arena,
        blocks: usize,
        kv_heads: usize,
        head_size: usize,
    ) -> Result<Self, String> {
        let stride = Self::stride(head_size);
        Ok(Self { data: arena.zeros(blocks.saturating_mul(kv_heads * stride))?, stride })
    }

    fn stride(head_size: usize) -> usize {
        BLOCK * (head_size + head_size.next_multiple_of(LANES))
    }

    /// Bytes of one block.
    pub(crate) fn block_bytes(kv_heads: usize, head_size: usize) -> usize {
        kv_heads * Self::stride(head_size) * size_of::<f32>()
    }
}

/// Where a token stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'t> {
    /// The blocks of its sequence, in order.
    pub(crate) blocks: &'t [u32],
    /// From 0.
    pub(crate) position: usize,
}

/// Keys and values of the new tokens are written, then each token looks at itself and what was before it.
///
/// `qkv` is `[tokens, (heads + 2 * kv_heads) * head_size]`, all queries first, then all keys; `output` is `[tokens,
/// heads * head_size]`.
pub(crate) fn attend(
    path: Path,
    pool: &Pool,
    attention: &Attention<'_>,
    cache: &mut Cache,
    places: &[Place<'_>],
    qkv: &[f32],
    output: &mut [f32],
) {
    let &Attention { heads, kv_heads, head_size, .. } = attention;
    let wide = (heads + 2 * kv_heads) * head_size;
    let blocks = cache.data.len() / (kv_heads * cache.stride);
    assert!(qkv.len() == places.len() * wide && output.len() == places.len() * heads * head_size);
    assert!(cache.stride == Cache::stride(head_size), "the cache has heads of this size");
    for place in places {
        assert!(place.blocks.len() > place.position / BLOCK, "a token has a place");
        assert!(place.blocks.iter().all(|block| (*block as usize) < blocks), "blocks lie within the cache");
        if let Some(turns) = attention.turns {
            assert!(turns.cosines.len() >= (place.position + 1) * turns.frequencies.len(), "turns were made");
        }
    }
    let stride = cache.stride;
    let keys_values = Shared::new(&mut cache.data);
    let mut queries = unwritten(output.len());
    let shared = Shared::new(&mut queries);
    pool.ranges(places.len(), 4, &|tokens| {
        path.run(Write { attention, stride, keys_values, places, tokens, qkv, queries: shared });
    });
    let group = heads / kv_heads;
    // Heads that share keys are worked on together, up to four.
    let together = (1..=4.min(group)).rev().find(|it| group.is_multiple_of(*it)).unwrap_or(1);
    let parts = heads / together;
    let output = Shared::new(output);
    let queries = &queries;
    pool.ranges(places.len() * parts, 1, &|range| {
        let mut scores = Vec::new();
        for item in range {
            let (token, head) = (item / parts, item % parts * together);
            let scores = &mut scores;
            let look = Look {
                attention,
                stride,
                keys_values,
                place: places[token],
                token,
                head,
                together,
                queries,
                output,
                scores,
            };
            path.run(look);
        }
    });
}

/// Norm, turn, clip and scale; keys and values go to the cache, queries to a buffer of their own.
struct Write<'a> {
    attention: &'a Attention<'a>,
    stride: usize,
    keys_values: Shared<f32>,
    places: &'a [Place<'a>],
    tokens: std::ops::Range<usize>,
    qkv: &'a [f32],
    queries: Shared<f32>,
}

impl Kernel for Write<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let &Attention { heads, kv_heads, head_size, scale, clip, .. } = self.attention;
        let clipped = |it: f32| clip.map_or(it, |clip| it.clamp(-clip, clip));
        let mut head_of = vec![0.0; head_size];
        for token in self.tokens.clone() {
            let place = self.places[token];
            let row = &self.qkv[token * (heads + 2 * kv_heads) * head_size..];
            for head in 0..heads + kv_heads {
                for (to, from) in head_of.iter_mut().zip(&row[head * head_size..]) {
                    *to = clipped(*from);
                }
                let is_query = head < heads;
                let (norms, index) = if is_query {
                    (self.attention.query_norms, head)
                } else {
                    (self.attention.key_norms, head - heads)
                };
                if let Some(norm) = norms.get(index.min(norms.len().saturating_sub(1))) {
                    assert!(norm.weight.len() == head_size, "a norm of a head");
                    let at = head_of.as_mut_ptr();
                    unsafe { norm_row::<L>(norm.row(), at, at) };
                }
                if let Some(turns) = self.attention.turns {
                    turn(turns, place.position, &mut head_of);
                }
                if is_query {
                    let to = (token * heads + head) * head_size;
                    for (element, it) in head_of.iter().enumerate() {
                        unsafe { *self.queries.at(to + element) = it * scale };
                    }
                } else {
                    let to = self.block(place, head - heads) + place.position % BLOCK;
                    for (element, it) in head_of.iter().enumerate() {
                        unsafe { *self.keys_values.at(to + element * BLOCK) = *it };
                    }
                }
            }
            for head in 0..kv_heads {
                let to = self.block(place, head)
                    + BLOCK * head_size
                    + place.position % BLOCK * head_size.next_multiple_of(LANES);
                let values = &row[(heads + kv_heads + head) * head_size..][..head_size];
                for (element, it) in values.iter().enumerate() {
                    unsafe { *self.keys_values.at(to + element) = clipped(*it) };
                }
            }
        }
    }
}

impl Write<'_> {
    fn block(&self, place: Place<'_>, head: usize) -> usize {
        (place.blocks[place.position / BLOCK] as usize * self.attention.kv_heads + head) * self.stride
    }
}

/// Turns the first elements of a head, each with the one that stands a number of pairs behind it.
fn turn(turns: &Turns, position: usize, head: &mut [f32]) {
    let pairs = turns.frequencies.len();
    let cosines = &turns.cosines[position * pairs..][..pairs];
    let sines = &turns.sines[position * pairs..][..pairs];
    let (first, rest) = head.split_at_mut(pairs);
    for ((a, b), (cosine, sine)) in first.iter_mut().zip(rest).zip(cosines.iter().zip(sines)) {
        (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
    }
}

/// What some heads of one token find.
struct Look<'a> {
    attention: &'a Attention<'a>,
    stride: usize,
    keys_values: Shared<f32>,
    place: Place<'a>,
    token: usize,
    head: usize,
    together: usize,
    queries: &'a [f32],
    output: Shared<f32>,
    scores: &'a mut Vec<f32>,
}

impl Kernel for Look<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        let look_at = &mut self;
        unsafe {
            match look_at.together {
                4 => look::<L, 4>(look_at),
                3 => look::<L, 3>(look_at),
                2 => look::<L, 2>(look_at),
                _ => look::<L, 1>(look_at),
            }
        }
    }
}

#[inline(always)]
unsafe fn look<L: Lanes, const HEADS: usize>(look: &mut Look<'_>) {
    let oldest = look.attention.window.map_or(0, |window| (look.place.position + 1).saturating_sub(window));
    let (first, last) = (oldest / BLOCK, look.place.position / BLOCK);
    let length = (last + 1 - first) * BLOCK;
    look.scores.resize((HEADS * length).max(look.scores.len()), 0.0);
    let scores = look.scores.as_mut_ptr();
    let mut sought = Sought { look, scores, length, oldest, first, last, shares: [0.0; HEADS] };
    unsafe {
        let mut most = [L::splat(f32::NEG_INFINITY); HEADS];
        let mut index = first;
        while index <= last {
            if L::MANY && index + 3 <= last {
                sought.score::<L, 4>(index, &mut most);
                index += 4;
            } else {
                sought.score::<L, 1>(index, &mut most);
                index += 1;
            }
        }
        sought.weigh::<L>(most);
        let padded = look.attention.head_size.next_multiple_of(LANES);
        let mut element = 0;
        while element < padded {
            if L::MANY && element + 4 * LANES <= padded {
                sought.values::<L, 4>(element);
                element += 4 * LANES;
            } else if element + 2 * LANES <= padded {
                sought.values::<L, 2>(element);
                element += 2 * LANES;
            } else {
                sought.values::<L, 1>(element);
                element += LANES;
            }
        }
    }
}

/// What some heads of one token look for, and how much of each position's values they take.
struct Sought<'s, 'a, const HEADS: usize> {
    look: &'s Look<'a>,
    /// `[heads, length]`, the first of a block's first position.
    scores: *mut f32,
    length: usize,
    /// The first position that is seen.
    oldest: usize,
    /// The first and the last block.
    first: usize,
    last: usize,
    /// What the scores of each head are multiplied by.
    shares: [f32; HEADS],
}

impl<const HEADS: usize> Sought<'_, '_, HEADS> {
    /// Keys and values of a block; of the last one, if it comes after that.
    #[inline(always)]
    unsafe fn block(&self, index: usize) -> *const f32 {
        let Look { attention, place, head, .. } = self.look;
        let kv_head = head / (attention.heads / attention.kv_heads);
        let block = place.blocks[index.min(self.last)] as usize;
        unsafe { self.look.keys_values.at((block * attention.kv_heads + kv_head) * self.look.stride) }
    }

    #[inline(always)]
    fn is_seen(&self, position: usize) -> bool {
        (self.oldest..=self.look.place.position).contains(&position)
    }

    /// Scores of the positions of some blocks from `index` on.
    #[inline(always)]
    unsafe fn score<L: Lanes, const BLOCKS: usize>(&self, index: usize, most: &mut [L::F; HEADS]) {
        let &Attention { heads, head_size, cap, slopes, .. } = self.look.attention;
        unsafe {
            let query =
                self.look.queries.as_ptr().add((self.look.token * heads + self.look.head) * head_size);
            let mut keys = [std::ptr::null(); BLOCKS];
            let mut later = keys;
            for of in 0..BLOCKS {
                keys[of] = self.block(index + of);
                later[of] = self.block(index + of + BLOCKS);
            }
            let mut sums = [[L::splat(0.0); HEADS]; BLOCKS];
            for element in 0..head_size {
                let mut queries = [L::splat(0.0); HEADS];
                for (of, it) in queries.iter_mut().enumerate() {
                    *it = L::splat(*query.add(of * head_size + element));
                }
                for of in 0..BLOCKS {
                    let key = L::load(keys[of].add(element * BLOCK));
                    L::prefetch(later[of].wrapping_add(element * BLOCK).cast());
                    for head in 0..HEADS {
                        sums[of][head] = L::fma(key, queries[head], sums[of][head]);
                    }
                }
            }
            for (index, sums) in (index..).zip(sums) {
                for (of, mut sum) in sums.into_iter().enumerate() {
                    if let Some(cap) = cap {
                        sum = L::mul(tanh::<L>(L::div(sum, L::splat(cap))), L::splat(cap));
                    }
                    let to = self.scores.add(of * self.length + (index - self.first) * BLOCK);
                    L::store(to, sum);
                    if index == self.first || index == self.last || slopes.is_some() {
                        for lane in 0..BLOCK {
                            let at = index * BLOCK + lane;
                            if !self.is_seen(at) {
                                *to.add(lane) = f32::NEG_INFINITY;
                            } else if let Some(slopes) = slopes {
                                // Never positive: a token sees nothing that comes after it.
                                let distance = self.look.place.position - at;
                                *to.add(lane) -= slopes[self.look.head + of] * distance as f32;
                            }
                        }
                    }
                    most[of] = L::max(L::load(to), most[of]);
                }
            }
        }
    }

    /// Scores to weights, by the largest of each head.
    #[inline(always)]
    unsafe fn weigh<L: Lanes>(&mut self, most: [L::F; HEADS]) {
        unsafe {
            for (of, most) in most.into_iter().enumerate() {
                let most = L::splat(L::largest(most));
                let mut sum = L::splat(0.0);
                for at in (0..self.length).step_by(BLOCK) {
                    let to = self.scores.add(of * self.length + at);
                    let weight = exp::<L>(L::sub(L::load(to), most));
                    L::store(to, weight);
                    if at == 0 || at + BLOCK == self.length {
                        for lane in 0..BLOCK {
                            if !self.is_seen(self.first * BLOCK + at + lane) {
                                *to.add(lane) = 0.0;
                            }
                        }
                    }
                    sum = L::add(sum, L::load(to));
                }
                self.shares[of] = 1.0 / L::sum(sum);
            }
        }
    }

    /// Some elements of the mean of values, from `element` on.
    #[inline(always)]
    unsafe fn values<L: Lanes, const VECTORS: usize>(&self, element: usize) {
        let &Attention { heads, head_size, .. } = self.look.attention;
        let padded = head_size.next_multiple_of(LANES);
        let start = self.first * BLOCK;
        unsafe {
            let mut sums = [[L::splat(0.0); VECTORS]; HEADS];
            for index in self.first..=self.last {
                let values = self.block(index).add(BLOCK * head_size + element);
                let later = self.block(index + 2).wrapping_add(BLOCK * head_size + element);
                let from = self.oldest.max(index * BLOCK);
                let to = self.look.place.position.min(index * BLOCK + BLOCK - 1);
                for at in from..=to {
                    let row = (at % BLOCK) * padded;
                    let mut of_row = [L::splat(0.0); VECTORS];
                    for (vector, it) in of_row.iter_mut().enumerate() {
                        *it = L::load(values.add(row + vector * LANES));
                        L::prefetch(later.wrapping_add(row + vector * LANES).cast());
                    }
                    for (of, sums) in sums.iter_mut().enumerate() {
                        let weight = L::splat(*self.scores.add(of * self.length + at - start));
                        for (sum, values) in sums.iter_mut().zip(of_row) {
                            *sum = L::fma(weight, values, *sum);
                        }
                    }
                }
            }
            for (of, sums) in sums.into_iter().enumerate() {
                let to = (self.look.token * heads + self.look.head + of) * head_size;
                for (index, sum) in sums.into_iter().enumerate() {
                    let mean = L::mul(sum, L::splat(self.shares[of]));
                    put::<L>(self.look.output, to, element + index * LANES, head_size, mean);
                }
            }
        }
    }
}

/// Stores what is within the head.
#[inline(always)]
unsafe fn put<L: Lanes>(output: Shared<f32>, to: usize, element: usize, head_size: usize, value: L::F) {
    unsafe {
        if element + LANES <= head_size {
            return L::store(output.at(to + element), value);
        }
        let mut lanes = [0.0; LANES];
        L::store(lanes.as_mut_ptr(), value);
        for (lane, it) in lanes[..head_size - element].iter().enumerate() {
            *output.at(to + element + lane) = *it;
        }
    }
}
