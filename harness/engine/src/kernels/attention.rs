//! Attention of tokens of many sequences at once over blocks of keys and values.
//!
//! A token's scores are summed over elements and its values over positions, both in order: what else is computed in the
//! same step changes nothing.

use super::alibi::Alibi;
use super::cache::{BLOCK, Cache, Data, Kept, padded};
use super::lanes::{LANES, Lanes};
use super::memory::unwritten;
use super::pool::Pool;
use super::rows::{Norm, exp, load_part, norm_row, tanh};
use super::{Kernel, Path, Shared};

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
    pub(crate) alibi: Option<Alibi<'l>>,
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
    let numbers = match &cache.data {
        Data::F16(it) => it.len(),
        Data::F32(it) => it.len(),
    };
    let blocks = numbers / (kv_heads * cache.stride);
    assert!(qkv.len() == places.len() * wide && output.len() == places.len() * heads * head_size);
    assert!(cache.stride == Cache::stride(head_size), "the cache has heads of this size");
    for place in places {
        assert!(place.blocks.len() > place.position / BLOCK, "a token has a place");
        assert!(place.blocks.iter().all(|block| (*block as usize) < blocks), "blocks lie within the cache");
        if let Some(turns) = attention.turns {
            assert!(turns.cosines.len() >= (place.position + 1) * turns.frequencies.len(), "turns were made");
        }
    }
    let step = Step { path, pool, attention, stride: cache.stride, places, qkv };
    match &mut cache.data {
        Data::F16(it) => step.run(Shared::new(it), output),
        Data::F32(it) => step.run(Shared::new(it), output),
    }
}

/// Tokens that look at the same time.
#[derive(Clone, Copy)]
struct Step<'a> {
    path: Path,
    pool: &'a Pool,
    attention: &'a Attention<'a>,
    stride: usize,
    places: &'a [Place<'a>],
    qkv: &'a [f32],
}

impl Step<'_> {
    fn run<T: Kept>(self, keys_values: Shared<T>, output: &mut [f32]) {
        let Self { path, pool, attention, stride, places, qkv } = self;
        let &Attention { heads, kv_heads, .. } = attention;
        let mut queries = unwritten(output.len());
        let shared = Shared::new(&mut queries);
        pool.ranges(places.len(), 4, &|tokens| {
            path.run(Write { attention, stride, keys_values, places, tokens, qkv, queries: shared });
        });
        let group = heads / kv_heads;
        // Heads that share keys are worked on together, up to four; where there are registers for it, those of several
        // tokens of a prompt too.
        let together = (1..=4.min(group)).rev().find(|it| group.is_multiple_of(*it)).unwrap_or(1);
        let parts = heads / together;
        let many = if path.rows_at_once() >= 8 { [8, 4, 4, 2][together - 1] } else { 1 };
        let runs = runs(places, many);
        let output = Shared::new(output);
        let queries = &queries;
        pool.long_ranges(runs.len() * parts, &|range| {
            let mut scores = Vec::new();
            for item in range {
                let (tokens, head) = (runs[item / parts].clone(), item % parts * together);
                let scores = &mut scores;
                let look = Look {
                    attention,
                    stride,
                    keys_values,
                    places,
                    tokens,
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
}

/// The tokens, as many at once as follow each other in a sequence, if these are `many`; else one by one.
fn runs(places: &[Place<'_>], many: usize) -> Vec<std::ops::Range<usize>> {
    let mut runs = Vec::with_capacity(places.len());
    let mut first = 0;
    while first < places.len() {
        let Place { blocks, position } = places[first];
        let follows = |(index, it): (usize, &Place<'_>)| {
            std::ptr::eq(it.blocks, blocks) && it.position == position + index
        };
        let some = places.get(first..first + many);
        let length = if some.is_some_and(|it| it.iter().enumerate().all(follows)) { many } else { 1 };
        runs.push(first..first + length);
        first += length;
    }
    runs
}

/// Norm, turn, clip and scale; keys and values go to the cache, queries to a buffer of their own.
struct Write<'a, T> {
    attention: &'a Attention<'a>,
    stride: usize,
    keys_values: Shared<T>,
    places: &'a [Place<'a>],
    tokens: std::ops::Range<usize>,
    qkv: &'a [f32],
    queries: Shared<f32>,
}

impl<T: Kept> Kernel for Write<'_, T> {
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
                    for at in (0..head_size).step_by(LANES) {
                        let kept = unsafe { T::round::<L>(load_part::<L>(head_of.as_ptr(), at, head_size)) };
                        for (element, it) in (at..head_size).zip(kept) {
                            unsafe { *self.keys_values.at(to + element * BLOCK) = it };
                        }
                    }
                }
            }
            for head in 0..kv_heads {
                let to =
                    self.block(place, head) + BLOCK * head_size + place.position % BLOCK * padded(head_size);
                let values = &row[(heads + kv_heads + head) * head_size..][..head_size];
                for (to, from) in head_of.iter_mut().zip(values) {
                    *to = clipped(*from);
                }
                for at in (0..head_size).step_by(LANES) {
                    let kept = unsafe { T::round::<L>(load_part::<L>(head_of.as_ptr(), at, head_size)) };
                    for (element, it) in (at..head_size).zip(kept) {
                        unsafe { *self.keys_values.at(to + element) = it };
                    }
                }
            }
        }
    }
}

impl<T> Write<'_, T> {
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

/// What some heads of some tokens find, that follow each other in a sequence.
struct Look<'a, T> {
    attention: &'a Attention<'a>,
    stride: usize,
    keys_values: Shared<T>,
    places: &'a [Place<'a>],
    tokens: std::ops::Range<usize>,
    /// The first of the heads.
    head: usize,
    together: usize,
    queries: &'a [f32],
    output: Shared<f32>,
    scores: &'a mut Vec<f32>,
}

impl<T: Kept> Kernel for Look<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        let look_at = &mut self;
        unsafe {
            match look_at.together * look_at.tokens.len() {
                12 => look::<L, T, 12>(look_at),
                8 => look::<L, T, 8>(look_at),
                4 => look::<L, T, 4>(look_at),
                3 => look::<L, T, 3>(look_at),
                2 => look::<L, T, 2>(look_at),
                _ => look::<L, T, 1>(look_at),
            }
        }
    }
}

/// Rows are the heads of the first token, then those of the next.
#[inline(always)]
unsafe fn look<L: Lanes, T: Kept, const ROWS: usize>(look: &mut Look<'_, T>) {
    let window = look.attention.window;
    let start = look.places[look.tokens.start].position;
    let seen = std::array::from_fn(|row| {
        let position = start + row / look.together;
        Seen { oldest: window.map_or(0, |window| (position + 1).saturating_sub(window)), position }
    });
    let (first, last) = (seen[0].oldest / BLOCK, seen[ROWS - 1].position / BLOCK);
    let length = (last + 1 - first) * BLOCK;
    look.scores.resize((ROWS * length).max(look.scores.len()), 0.0);
    let scores = look.scores.as_mut_ptr();
    let mut sought = Sought::<T, ROWS> { look, seen, scores, length, first, last, shares: [0.0; ROWS] };
    unsafe {
        let mut most = [L::splat(f32::NEG_INFINITY); ROWS];
        let mut index = first;
        while index <= last {
            // As many sums as there are registers for.
            if L::MANY && ROWS <= 4 && index + 3 <= last {
                sought.score::<L, 4>(index, &mut most);
                index += 4;
            } else if L::MANY && index < last {
                sought.score::<L, 2>(index, &mut most);
                index += 2;
            } else {
                sought.score::<L, 1>(index, &mut most);
                index += 1;
            }
        }
        sought.weigh::<L>(most);
        let padded = padded(sought.look.attention.head_size);
        let mut element = 0;
        while element < padded {
            if L::MANY && ROWS <= 4 && element + 4 * LANES <= padded {
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

/// The positions that a token sees.
#[derive(Clone, Copy)]
struct Seen {
    oldest: usize,
    /// Its own.
    position: usize,
}

impl Seen {
    /// Whether all of a block's positions are seen.
    #[inline(always)]
    fn is_whole(self, index: usize) -> bool {
        self.oldest <= index * BLOCK && index * BLOCK + BLOCK <= self.position + 1
    }

    #[inline(always)]
    fn has(self, position: usize) -> bool {
        (self.oldest..=self.position).contains(&position)
    }
}

/// What the rows look for, and how much of each position's values they take.
struct Sought<'s, 'a, T, const ROWS: usize> {
    look: &'s Look<'a, T>,
    seen: [Seen; ROWS],
    /// `[rows, length]`, from a block's first position on.
    scores: *mut f32,
    length: usize,
    /// The first and the last block.
    first: usize,
    last: usize,
    /// What the weights of each row are multiplied by.
    shares: [f32; ROWS],
}

impl<T: Kept, const ROWS: usize> Sought<'_, '_, T, ROWS> {
    /// Keys and values of a block; of the last one, if it comes after that.
    #[inline(always)]
    unsafe fn block(&self, index: usize) -> *const T {
        let Look { attention, places, tokens, head, .. } = self.look;
        let kv_head = head / (attention.heads / attention.kv_heads);
        let block = places[tokens.end - 1].blocks[index.min(self.last)] as usize;
        unsafe { self.look.keys_values.at((block * attention.kv_heads + kv_head) * self.look.stride) }
    }

    /// Where a row's query and output begin.
    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        let Look { attention, tokens, head, together, .. } = self.look;
        let token = tokens.start + row / together;
        (token * attention.heads + head + row % together) * attention.head_size
    }

    /// Scores of the positions of some blocks from `index` on.
    #[inline(always)]
    unsafe fn score<L: Lanes, const BLOCKS: usize>(&self, index: usize, most: &mut [L::F; ROWS]) {
        let &Attention { head_size, cap, alibi, .. } = self.look.attention;
        unsafe {
            let queries: [*const f32; ROWS] =
                std::array::from_fn(|row| self.look.queries.as_ptr().add(self.place(row)));
            let mut keys = [std::ptr::null(); BLOCKS];
            let mut later = keys;
            for of in 0..BLOCKS {
                keys[of] = self.block(index + of);
                later[of] = self.block(index + of + BLOCKS);
            }
            let mut sums = [[L::splat(0.0); ROWS]; BLOCKS];
            for element in 0..head_size {
                let mut of_element = [L::splat(0.0); BLOCKS];
                for of in 0..BLOCKS {
                    of_element[of] = T::load::<L>(keys[of].add(element * BLOCK));
                    L::prefetch(later[of].wrapping_add(element * BLOCK).cast());
                }
                for row in 0..ROWS {
                    let query = L::splat(*queries[row].add(element));
                    for of in 0..BLOCKS {
                        sums[of][row] = L::fma(of_element[of], query, sums[of][row]);
                    }
                }
            }
            for (index, sums) in (index..).zip(sums) {
                for (row, mut sum) in sums.into_iter().enumerate() {
                    if let Some(cap) = cap {
                        sum = L::mul(tanh::<L>(L::div(sum, L::splat(cap))), L::splat(cap));
                    }
                    let to = self.scores.add(row * self.length + (index - self.first) * BLOCK);
                    L::store(to, sum);
                    let seen = self.seen[row];
                    if alibi.is_some() || !seen.is_whole(index) {
                        for lane in 0..BLOCK {
                            let at = index * BLOCK + lane;
                            if !seen.has(at) {
                                *to.add(lane) = f32::NEG_INFINITY;
                            } else if let Some(alibi) = alibi {
                                let head = self.look.head + row % self.look.together;
                                *to.add(lane) = alibi.add(*to.add(lane), head, at, seen.position);
                            }
                        }
                    }
                    most[row] = L::max(L::load(to), most[row]);
                }
            }
        }
    }

    /// Scores to weights, by the largest of each row.
    #[inline(always)]
    unsafe fn weigh<L: Lanes>(&mut self, most: [L::F; ROWS]) {
        unsafe {
            for (row, most) in most.into_iter().enumerate() {
                let most = L::splat(L::largest(most));
                let mut sum = L::splat(0.0);
                for index in self.first..=self.last {
                    let to = self.scores.add(row * self.length + (index - self.first) * BLOCK);
                    let weight = exp::<L>(L::sub(L::load(to), most));
                    L::store(to, weight);
                    let seen = self.seen[row];
                    if !seen.is_whole(index) {
                        for lane in 0..BLOCK {
                            if !seen.has(index * BLOCK + lane) {
                                *to.add(lane) = 0.0;
                            }
                        }
                    }
                    sum = L::add(sum, L::load(to));
                }
                self.shares[row] = 1.0 / L::sum(sum);
            }
        }
    }

    /// Some elements of the mean of values, from `element` on.
    #[inline(always)]
    unsafe fn values<L: Lanes, const VECTORS: usize>(&self, element: usize) {
        let head_size = self.look.attention.head_size;
        let padded = padded(head_size);
        let (oldest, newest) = (self.seen[0].oldest, self.seen[ROWS - 1].position);
        unsafe {
            let mut sums = [[L::splat(0.0); VECTORS]; ROWS];
            for index in self.first..=self.last {
                let values = self.block(index).add(BLOCK * head_size + element);
                let later = self.block(index + 2).wrapping_add(BLOCK * head_size + element);
                let weights = self.scores.add((index - self.first) * BLOCK);
                for at in oldest.max(index * BLOCK)..=newest.min(index * BLOCK + BLOCK - 1) {
                    let lane = at % BLOCK;
                    let mut of_row = [L::splat(0.0); VECTORS];
                    for (vector, it) in of_row.iter_mut().enumerate() {
                        *it = T::load::<L>(values.add(lane * padded + vector * LANES));
                        L::prefetch(later.wrapping_add(lane * padded + vector * LANES).cast());
                    }
                    for (row, sums) in sums.iter_mut().enumerate() {
                        // Zero for what a row does not see.
                        let weight = L::splat(*weights.add(row * self.length + lane));
                        for (sum, values) in sums.iter_mut().zip(of_row) {
                            *sum = L::fma(weight, values, *sum);
                        }
                    }
                }
            }
            for (row, sums) in sums.into_iter().enumerate() {
                for (index, sum) in sums.into_iter().enumerate() {
                    let mean = L::mul(sum, L::splat(self.shares[row]));
                    put::<L>(self.look.output, self.place(row), element + index * LANES, head_size, mean);
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
