//! KV blocks: where the keys and values of which tokens lie, and who shares them.
//!
//! The memory for keys and values is cut into blocks of [`BLOCK`] tokens. [`Blocks`] hands out their numbers; it knows
//! nothing of tensors, and what a number means in memory is the decoder's business. A sequence has a [`Table`]: the
//! token at position `p` lies in block `table.blocks()[p / BLOCK]`, at place `p % BLOCK`.
//!
//! A block that is full is known by its tokens and by the block before it, and so by the whole text up to there: a
//! sequence that begins with the same text shares it. After its last user it is kept, until its room is needed.
//!
//! # How a scheduler uses it
//!
//! - *Admit* a request: [`Blocks::lookup`] gives a table whose first [`Table::computed`] tokens are there already.
//!   [`Table::missing`] and [`Blocks::can_allocate`] say whether there is room for the rest.
//! - *Before a step*, for each sequence in it: [`Blocks::append`] makes room for as many tokens as the step computes: a
//!   chunk of the prompt, or one. Where it is refused nothing has changed: leave the sequence out of the step, or free
//!   another and try again.
//! - *The step* writes keys and values at positions from [`Table::computed`] on, and reads all before. Those that it
//!   writes are in blocks that no one else has.
//! - *After the step*: [`Blocks::commit`], with the tokens whose keys and values were written. What became full can be
//!   shared from now on. No table that exists is changed by it, so a step may be in flight for other sequences.
//! - *At its end*, or to make room for others: [`Blocks::free`]. A preempted sequence comes back by a lookup of its
//!   prompt and output together, and finds what nobody needed meanwhile.
//!
//! Room that was made and not used, as after a rejected draft, stays with the table for the next step.
//!
//! Two sequences that compute the same block side by side keep one copy each until they end. The first that became full
//! is the one that is shared from then on; the other sequence holds it too, so that what it computes after it can be
//! found. That is what makes the rule of eviction simple: whoever uses a block uses all before it, so of the blocks that
//! nobody uses, the one that was given back first has nothing after it.

#[cfg(test)]
use std::collections::HashSet;
use std::collections::{BTreeMap, HashMap};

use thiserror::Error;

/// Tokens in a block.
pub(crate) const BLOCK: usize = 16;

/// Why there is no room for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum BlocksError {
    /// All blocks are in use.
    #[error("{needed} more KV blocks are needed, but {available} are left")]
    Exhausted {
        /// Blocks that are needed.
        needed: usize,
        /// Blocks that could be had.
        available: usize,
    },
    /// More tokens are said to be computed than there was room for.
    #[error("{tokens} tokens were computed, but there is room for {room}: append before a step")]
    NoRoom {
        /// Tokens that are said to be computed.
        tokens: usize,
        /// Tokens for which there was room.
        room: usize,
    },
}

/// The blocks of one sequence. It belongs to the [`Blocks`] that filled it, and goes back by [`Blocks::free`]: one that
/// is dropped instead takes its blocks with it.
///
/// A new one, [`Table::default`], shares nothing of what was computed before: for measurements with a cold cache.
#[derive(Debug, Default)]
#[must_use = "a table that is dropped takes its blocks with it"]
pub(crate) struct Table {
    blocks: Vec<u32>,
    /// For each full block, the one that is shared: itself, or one with the same text that was full before.
    shared: Vec<u32>,
    /// The computed tokens of the block that is not full.
    tail: Vec<u32>,
}

impl Table {
    /// The blocks, in order of positions; the last ones may have room that is not used.
    pub(crate) fn blocks(&self) -> &[u32] {
        &self.blocks
    }

    /// Tokens whose keys and values are there.
    pub(crate) fn computed(&self) -> usize {
        self.shared.len() * BLOCK + self.tail.len()
    }

    /// Tokens that may be computed before more room has to be made.
    pub(crate) fn room(&self) -> usize {
        self.blocks.len() * BLOCK - self.computed()
    }

    /// Blocks that are needed for this many tokens more.
    pub(crate) fn missing(&self, tokens: usize) -> usize {
        tokens.saturating_sub(self.room()).div_ceil(BLOCK)
    }

    /// The row of the memory, counted over all blocks, that has the token at a position; `None` beyond the room.
    #[cfg(test)]
    pub(crate) fn slot(&self, position: usize) -> Option<usize> {
        self.blocks.get(position / BLOCK).map(|it| *it as usize * BLOCK + position % BLOCK)
    }
}

/// How many blocks are in which state; together they are all.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Holding nothing.
    pub(crate) free: usize,
    /// Kept, in case that a sequence begins with their text.
    pub(crate) cached: usize,
    /// In the tables of sequences.
    pub(crate) used: usize,
}

/// All blocks, and what is known of them.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "it is about blocks")]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    /// Full blocks by their text.
    known: HashMap<Text, u32>,
    free: Vec<u32>,
    /// Known blocks that nobody uses, by when they were given back.
    cached: BTreeMap<u64, u32>,
    /// Counts what is given back: an order, no time.
    clock: u64,
}

#[derive(Clone, Debug, Default)]
struct Block {
    /// How many tables hold it.
    users: usize,
    /// When it was last given back; means nothing while it has users.
    given_back: u64,
    /// Its text, if it can be found by it.
    text: Option<Text>,
}

/// What identifies a full block. Compared as it is: no two texts are taken for one, whatever their hashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Text {
    /// The shared block before it; `None` at the beginning of a text.
    parent: Option<u32>,
    tokens: [u32; BLOCK],
}

impl Blocks {
    /// All free.
    pub(crate) fn new(count: u32) -> Self {
        Self {
            blocks: vec![Block::default(); count as usize],
            known: HashMap::new(),
            // The lowest number is handed out first.
            free: (0..count).rev().collect(),
            cached: BTreeMap::new(),
            clock: 0,
        }
    }

    /// A table with the longest beginning of a text that is there, in whole blocks.
    ///
    /// At least the last token is left to be computed: it is the one whose logits are asked for.
    pub(crate) fn lookup(&mut self, tokens: &[u32]) -> Table {
        let mut table = Table::default();
        let whole = &tokens[..tokens.len().saturating_sub(1)];
        for tokens in whole.as_chunks::<BLOCK>().0 {
            let text = Text { parent: table.shared.last().copied(), tokens: *tokens };
            let Some(&block) = self.known.get(&text) else { break };
            self.hold(block);
            table.blocks.push(block);
            table.shared.push(block);
        }
        table
    }

    /// Whether this many blocks could be had, if need be instead of cached ones.
    pub(crate) fn can_allocate(&self, count: usize) -> bool {
        count <= self.available()
    }

    /// Makes room for this many tokens after those that are computed: all of it, or none.
    pub(crate) fn append(&mut self, table: &mut Table, tokens: usize) -> Result<(), BlocksError> {
        let needed = table.missing(tokens);
        if !self.can_allocate(needed) {
            return Err(BlocksError::Exhausted { needed, available: self.available() });
        }
        for _ in 0..needed {
            let block = self.free.pop().or_else(|| self.evict()).expect("as many as needed are available");
            self.blocks[block as usize].users = 1;
            table.blocks.push(block);
        }
        Ok(())
    }

    /// Notes that keys and values of these tokens, which follow those that were computed before, are in their places.
    ///
    /// Blocks that they fill can be shared from now on.
    pub(crate) fn commit(&mut self, table: &mut Table, tokens: &[u32]) -> Result<(), BlocksError> {
        if tokens.len() > table.room() {
            return Err(BlocksError::NoRoom { tokens: tokens.len(), room: table.room() });
        }
        for token in tokens {
            table.tail.push(*token);
            let Ok(full) = <[u32; BLOCK]>::try_from(&table.tail[..]) else { continue };
            table.tail.clear();
            let own = table.blocks[table.shared.len()];
            let text = Text { parent: table.shared.last().copied(), tokens: full };
            let shared = self.known.get(&text).copied();
            if let Some(other) = shared {
                self.hold(other);
            } else {
                self.blocks[own as usize].text = Some(text.clone());
                self.known.insert(text, own);
            }
            table.shared.push(shared.unwrap_or(own));
        }
        Ok(())
    }

    /// A table that goes on from what another has computed: whole blocks are shared; what is computed of the last one is to
    /// be copied, from and to the blocks that are given.
    pub(crate) fn fork(&mut self, table: &Table) -> Result<(Table, Option<[u32; 2]>), BlocksError> {
        let mut fork = Table { tail: table.tail.clone(), ..Table::default() };
        for block in &table.shared {
            self.hold(*block);
            fork.blocks.push(*block);
            fork.shared.push(*block);
        }
        if fork.tail.is_empty() {
            return Ok((fork, None));
        }
        let Some(new) = self.free.pop().or_else(|| self.evict()) else {
            self.free(fork);
            return Err(BlocksError::Exhausted { needed: 1, available: 0 });
        };
        self.blocks[new as usize].users = 1;
        fork.blocks.push(new);
        Ok((fork, Some([table.blocks[table.shared.len()], new])))
    }

    /// Gives the blocks of a sequence back; those that can be shared are kept while there is room.
    pub(crate) fn free(&mut self, table: Table) {
        let Table { blocks, shared, tail: _ } = table;
        // From the end, so that a block is given back after those that follow it.
        for (index, own) in blocks.iter().enumerate().rev() {
            self.give_back(*own);
            if let Some(other) = shared.get(index).filter(|it| *it != own) {
                self.give_back(*other);
            }
        }
    }

    /// Forgets all that nobody uses, so that nothing is found that was computed before.
    #[cfg(test)]
    pub(crate) fn clear(&mut self) {
        while let Some(block) = self.evict() {
            self.free.push(block);
        }
    }

    /// How many blocks are in which state.
    #[cfg(test)]
    pub(crate) fn usage(&self) -> Usage {
        let (free, cached) = (self.free.len(), self.cached.len());
        Usage { free, cached, used: self.blocks.len() - free - cached }
    }

    /// What is wrong, if anything: `tables` are all that are in use.
    ///
    /// Costs a look at every block.
    #[cfg(test)]
    pub(crate) fn check<'a>(&self, tables: impl IntoIterator<Item = &'a Table>) -> Result<(), String> {
        let ensure = |holds: bool, what: &dyn Fn() -> String| if holds { Ok(()) } else { Err(what()) };
        let mut users = vec![0; self.blocks.len()];
        for table in tables {
            let Table { blocks, shared, tail } = table;
            ensure(shared.len() <= blocks.len() && tail.len() < BLOCK, &|| format!("{table:?} is torn"))?;
            let others = || shared.iter().zip(blocks).filter(|(it, own)| it != own).map(|(it, _)| it);
            let distinct: HashSet<&u32> = blocks.iter().chain(others()).collect();
            let length = blocks.len() + others().count();
            ensure(distinct.len() == length, &|| format!("{table:?} has a block twice"))?;
            for block in distinct {
                users[*block as usize] += 1;
            }
            for block in &blocks[shared.len()..] {
                let it = &self.blocks[*block as usize];
                let own = it.users == 1 && it.text.is_none();
                ensure(own, &|| format!("block {block} is written to, but it is shared: {it:?}"))?;
            }
        }
        let free: HashSet<u32> = self.free.iter().copied().collect();
        ensure(free.len() == self.free.len(), &|| "a block is free twice".to_owned())?;
        let mut kept = 0;
        for (number, block) in (0..).zip(&self.blocks) {
            let wrong = |what: &'static str| move || format!("block {number} {what}: {block:?}");
            ensure(users[number as usize] == block.users, &wrong("has other users than it counts"))?;
            let is_free = free.contains(&number);
            let is_cached = self.cached.get(&block.given_back) == Some(&number);
            let states = [is_free, is_cached, block.users > 0].into_iter().filter(|it| *it).count();
            ensure(states == 1, &wrong("is not in one place"))?;
            ensure(!(is_free && block.text.is_some()), &wrong("is free, but could be found"))?;
            ensure(!(is_cached && block.text.is_none()), &wrong("is kept, but cannot be found"))?;
            let Some(text) = &block.text else { continue };
            kept += 1;
            ensure(self.known.get(text) == Some(&number), &wrong("is not found by its text"))?;
            let Some(parent) = text.parent.map(|it| &self.blocks[it as usize]) else { continue };
            let reachable = parent.text.is_some() && (parent.users > 0 || block.users == 0);
            ensure(reachable, &wrong("outlived the one before it"))?;
            let later = parent.users > 0 || parent.given_back > block.given_back;
            ensure(later, &wrong("would outlive the one before it"))?;
        }
        ensure(kept == self.known.len(), &|| "a text is known that no block has".to_owned())?;
        ensure(self.usage().used == users.iter().filter(|it| **it > 0).count(), &|| {
            "free, cached and used blocks are not all".to_owned()
        })
    }

    fn available(&self) -> usize {
        self.free.len() + self.cached.len()
    }

    fn hold(&mut self, block: u32) {
        let it = &mut self.blocks[block as usize];
        if it.users == 0 {
            self.cached.remove(&it.given_back);
        }
        it.users += 1;
    }

    fn give_back(&mut self, block: u32) {
        let it = &mut self.blocks[block as usize];
        it.users -= 1;
        if it.users > 0 {
            return;
        }
        if it.text.is_none() {
            self.free.push(block);
            return;
        }
        self.clock += 1;
        it.given_back = self.clock;
        self.cached.insert(self.clock, block);
    }

    /// Forgets the cached block that was given back first, for another use.
    fn evict(&mut self) -> Option<u32> {
        let (_, block) = self.cached.pop_first()?;
        if let Some(text) = self.blocks[block as usize].text.take() {
            self.known.remove(&text);
        }
        Some(block)
    }
}
