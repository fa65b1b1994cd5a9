//! KV blocks: examples, and random operations beside a memory that is written and read.

use proptest::prelude::*;

use crate::blocks::{BLOCK, Blocks, BlocksError, Table, Usage};

/// A text of this many tokens; texts of one kind begin alike.
fn text(kind: u32, tokens: usize) -> Vec<u32> {
    (0..tokens).map(|it| kind + u32::try_from(it).unwrap()).collect()
}

/// A sequence that computes a text, as far as it is not there, and how many tokens it found.
#[track_caller]
fn computed(blocks: &mut Blocks, tokens: &[u32]) -> (Table, usize) {
    let mut table = blocks.lookup(tokens);
    let found = table.computed();
    blocks.append(&mut table, tokens.len() - found).unwrap();
    blocks.commit(&mut table, &tokens[found..]).unwrap();
    (table, found)
}

#[track_caller]
fn usage(blocks: &Blocks, free: usize, cached: usize, used: usize) {
    assert_eq!(blocks.usage(), Usage { free, cached, used });
}

#[test]
fn a_text_is_found_in_whole_blocks_but_never_whole() {
    let mut blocks = Blocks::new(8);
    let (table, found) = computed(&mut blocks, &text(0, 48));
    assert_eq!((found, table.computed(), table.room()), (0, 48, 0));
    blocks.free(table);
    usage(&blocks, 5, 3, 0);
    for (tokens, found) in
        [(0, 0), (1, 0), (16, 0), (17, 16), (32, 16), (47, 32), (48, 32), (49, 48), (64, 48)]
    {
        let table = blocks.lookup(&text(0, tokens));
        assert_eq!(table.computed(), found, "of {tokens}");
        blocks.check([&table]).unwrap();
        blocks.free(table);
    }
    let other = blocks.lookup(&text(1, 48));
    assert_eq!(other.computed(), 0);
    blocks.free(other);
    // The same block after another one is of another text.
    let twice = [text(0, 16), text(0, 33)].concat();
    let (table, found) = computed(&mut blocks, &twice);
    assert_eq!(found, 16);
    blocks.check([&table]).unwrap();
    blocks.free(table);
}

#[test]
fn slots_are_places_in_blocks() {
    let mut blocks = Blocks::new(3);
    let mut table = Table::default();
    assert_eq!((table.missing(0), table.missing(16), table.missing(17)), (0, 1, 2));
    blocks.append(&mut table, 17).unwrap();
    assert_eq!(table.blocks(), [0, 1]);
    assert_eq!((table.room(), table.missing(32), table.missing(33)), (32, 0, 1));
    assert_eq!((table.slot(0), table.slot(17), table.slot(31)), (Some(0), Some(17), Some(31)));
    assert_eq!((table.slot(32), table.slot(usize::MAX)), (None, None));
    blocks.free(table);
}

#[test]
fn room_is_made_whole_or_not_at_all() {
    let mut blocks = Blocks::new(2);
    let mut table = Table::default();
    let refused = blocks.append(&mut table, 33);
    assert_eq!(refused, Err(BlocksError::Exhausted { needed: 3, available: 2 }));
    usage(&blocks, 2, 0, 0);
    assert!(blocks.append(&mut table, usize::MAX).is_err());
    blocks.append(&mut table, 32).unwrap();
    assert!(!blocks.can_allocate(1) && blocks.can_allocate(0));
    let refused = blocks.commit(&mut table, &text(0, 33));
    assert_eq!(refused, Err(BlocksError::NoRoom { tokens: 33, room: 32 }));
    assert_eq!(table.computed(), 0);
    // What was not used, as after a rejected draft, is room for the next step.
    blocks.commit(&mut table, &text(0, 3)).unwrap();
    blocks.append(&mut table, 29).unwrap();
    blocks.check([&table]).unwrap();
    blocks.free(table);
    usage(&blocks, 2, 0, 0);
    let mut none = Blocks::new(0);
    assert!(none.append(&mut Table::default(), 1).is_err() && none.append(&mut Table::default(), 0).is_ok());
}

#[test]
fn what_was_used_longest_ago_goes_first_and_from_its_end() {
    let mut blocks = Blocks::new(6);
    let (old, _) = computed(&mut blocks, &text(0, 48));
    let (new, _) = computed(&mut blocks, &text(1000, 32));
    blocks.free(old);
    blocks.free(new);
    usage(&blocks, 1, 5, 0);
    let mut table = Table::default();
    blocks.append(&mut table, 48).unwrap();
    // One was free; the last two blocks of the older text went.
    let found = |blocks: &mut Blocks, tokens: &[u32]| {
        let table = blocks.lookup(tokens);
        let found = table.computed();
        blocks.free(table);
        found
    };
    assert_eq!(found(&mut blocks, &text(1000, 49)), 32);
    assert_eq!(found(&mut blocks, &text(0, 49)), 16);
    // It was just looked at, so the other one goes.
    blocks.append(&mut table, 64).unwrap();
    assert_eq!(found(&mut blocks, &text(1000, 49)), 16);
    assert_eq!(found(&mut blocks, &text(0, 49)), 16);
    blocks.check([&table]).unwrap();
    blocks.free(table);
    blocks.clear();
    usage(&blocks, 6, 0, 0);
    assert_eq!(found(&mut blocks, &text(0, 49)), 0);
}

/// What is in use is never taken from those who use it.
#[test]
fn a_shared_beginning_stays_as_long_as_anyone_uses_it() {
    let mut blocks = Blocks::new(4);
    let (first, _) = computed(&mut blocks, &text(0, 32));
    let mut second = blocks.lookup(&text(0, 33));
    assert_eq!(second.blocks(), first.blocks());
    blocks.free(first);
    usage(&blocks, 2, 0, 2);
    blocks.append(&mut second, 32).unwrap();
    assert!(!blocks.can_allocate(1));
    blocks.check([&second]).unwrap();
    blocks.free(second);
    usage(&blocks, 2, 2, 0);
}

#[test]
fn side_by_side_each_keeps_its_own_and_what_follows_is_found() {
    let mut blocks = Blocks::new(8);
    let (mut one, mut two) = (blocks.lookup(&text(0, 40)), blocks.lookup(&text(0, 40)));
    blocks.append(&mut one, 40).unwrap();
    blocks.append(&mut two, 40).unwrap();
    let (before_one, before_two) = (one.blocks().to_vec(), two.blocks().to_vec());
    blocks.commit(&mut one, &text(0, 40)).unwrap();
    blocks.commit(&mut two, &text(0, 40)).unwrap();
    assert_eq!((one.blocks(), two.blocks()), (&before_one[..], &before_two[..]));
    blocks.check([&one, &two]).unwrap();
    blocks.free(one);
    // The second goes on by itself, and the copy that is shared waits for as long as it does.
    blocks.append(&mut two, 8).unwrap();
    blocks.commit(&mut two, &text(0, 48)[40..]).unwrap();
    usage(&blocks, 3, 0, 5);
    blocks.check([&two]).unwrap();
    blocks.free(two);
    usage(&blocks, 5, 3, 0);
    let table = blocks.lookup(&text(0, 49));
    assert_eq!(table.computed(), 48);
    blocks.check([&table]).unwrap();
    blocks.free(table);
}

/// What a scheduler may do; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Operation {
    /// A prompt of pages that are all zeros or all ones, and a rest.
    Admit {
        pages: Vec<bool>,
        rest: usize,
        cold: bool,
    },
    /// A step that makes room for tokens, and computes as many of them.
    Step {
        sequence: usize,
        room: usize,
        computed: usize,
        token: bool,
    },
    Free {
        sequence: usize,
    },
    /// Preempts and brings back at once.
    Resume {
        sequence: usize,
    },
    Clear,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let admit = (prop::collection::vec(any::<bool>(), 0..4), 0..BLOCK + 1, prop::bool::weighted(0.1))
        .prop_map(|(pages, rest, cold)| Operation::Admit { pages, rest, cold });
    let step = (any::<usize>(), 0..40_usize, 0..44_usize, any::<bool>())
        .prop_map(|(sequence, room, computed, token)| Operation::Step { sequence, room, computed, token });
    let operation = prop_oneof![
        4 => admit,
        6 => step,
        3 => any::<usize>().prop_map(|sequence| Operation::Free { sequence }),
        1 => any::<usize>().prop_map(|sequence| Operation::Resume { sequence }),
        1 => Just(Operation::Clear),
    ];
    prop::collection::vec(operation, 0..120)
}

/// Blocks, and a memory in which each row has the digest of the text that its token ends.
struct World {
    blocks: Blocks,
    rows: Vec<u64>,
    /// Tables, with the text of which the beginning is computed.
    sequences: Vec<(Table, Vec<u32>)>,
}

/// The digests of all beginnings of a text.
fn digests(tokens: &[u32]) -> impl Iterator<Item = u64> {
    tokens.iter().scan(0_u64, |digest, token| {
        *digest = (*digest ^ u64::from(*token + 1)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        Some(*digest)
    })
}

impl World {
    fn admit(&mut self, text: Vec<u32>, cold: bool) -> Result<(), TestCaseError> {
        let table = if cold { Table::default() } else { self.blocks.lookup(&text) };
        prop_assert!(table.computed() % BLOCK == 0 && (table.computed() < text.len() || text.is_empty()));
        self.sequences.push((table, text));
        Ok(())
    }

    fn step(
        &mut self,
        sequence: usize,
        room: usize,
        computed: usize,
        token: u32,
    ) -> Result<(), TestCaseError> {
        let (table, text) = &mut self.sequences[sequence];
        let needed = table.missing(room);
        let (before, could) = (self.blocks.usage(), self.blocks.can_allocate(needed));
        let held = table.blocks().to_vec();
        let appended = self.blocks.append(table, room);
        prop_assert_eq!(appended.is_ok(), could);
        if appended.is_err() {
            prop_assert_eq!(self.blocks.usage(), before);
            prop_assert_eq!(table.blocks(), &held[..]);
        }
        prop_assert!(table.blocks().starts_with(&held), "a table that is in use was changed");
        let from = table.computed();
        let to = from + computed;
        while text.len() < to {
            text.push(token);
        }
        let fits = computed <= table.room();
        if fits {
            for (position, digest) in digests(&text[..to]).enumerate().skip(from) {
                self.rows[table.slot(position).unwrap()] = digest;
            }
        }
        let held = table.blocks().to_vec();
        let committed = self.blocks.commit(table, &text[from..to]);
        prop_assert_eq!(committed.is_ok(), fits);
        prop_assert_eq!(table.computed(), if fits { to } else { from });
        prop_assert_eq!(table.blocks(), &held[..], "a table that is in use was changed");
        Ok(())
    }

    fn take(&mut self, operation: Operation) -> Result<(), TestCaseError> {
        let count = self.sequences.len();
        match operation {
            Operation::Admit { pages, rest, cold } => {
                let pages = pages.into_iter().flat_map(|it| [u32::from(it); BLOCK]);
                self.admit(pages.chain(std::iter::repeat_n(2, rest)).collect(), cold)?;
            }
            Operation::Step { sequence, room, computed, token } if count > 0 => {
                self.step(sequence % count, room, computed, u32::from(token))?;
            }
            Operation::Free { sequence } if count > 0 => {
                let (table, _) = self.sequences.swap_remove(sequence % count);
                self.blocks.free(table);
            }
            Operation::Resume { sequence } if count > 0 => {
                let (table, text) = self.sequences.swap_remove(sequence % count);
                let whole = table.computed() / BLOCK * BLOCK;
                self.blocks.free(table);
                self.admit(text, false)?;
                // Nobody needed its blocks meanwhile.
                let (table, text) = self.sequences.last().expect("it was just admitted");
                prop_assert!(table.computed() >= whole.min(text.len().saturating_sub(1) / BLOCK * BLOCK));
            }
            Operation::Clear => {
                self.blocks.clear();
                prop_assert_eq!(self.blocks.usage().cached, 0);
            }
            _ => {}
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the scheduler does: each sequence reads what it wrote, or what another wrote for the same text.
    #[test]
    fn rows_are_of_the_text_that_is_read(count in 0_u32..14, operations in operations()) {
        let mut world =
            World { blocks: Blocks::new(count), rows: vec![0; count as usize * BLOCK], sequences: Vec::new() };
        for operation in operations {
            world.take(operation)?;
            let World { blocks, rows, sequences } = &world;
            blocks.check(sequences.iter().map(|it| &it.0)).map_err(TestCaseError::fail)?;
            let Usage { free, cached, used } = blocks.usage();
            prop_assert_eq!(free + cached + used, count as usize);
            prop_assert!(blocks.can_allocate(free + cached) && !blocks.can_allocate(free + cached + 1));
            for (table, text) in sequences {
                for (position, digest) in digests(&text[..table.computed()]).enumerate() {
                    prop_assert_eq!(rows[table.slot(position).unwrap()], digest);
                }
            }
        }
        // All that are cached can be had, so nothing waits for what is gone.
        for (table, _) in world.sequences.drain(..) {
            world.blocks.free(table);
        }
        world.blocks.check([]).map_err(TestCaseError::fail)?;
        world.blocks.append(&mut Table::default(), count as usize * BLOCK).unwrap();
    }
}

#[test]
fn a_fork_shares_whole_blocks_and_copies_the_rest() {
    let mut blocks = Blocks::new(4);
    let mut table = Table::default();
    let tokens: Vec<u32> = (0..20).collect();
    blocks.append(&mut table, 20).unwrap();
    blocks.commit(&mut table, &tokens).unwrap();
    let (mut fork, copied) = blocks.fork(&table).unwrap();
    assert_eq!(fork.computed(), 20);
    assert_eq!(fork.blocks()[0], table.blocks()[0]);
    assert_eq!(copied, Some([table.blocks()[1], fork.blocks()[1]]));
    assert_ne!(fork.blocks()[1], table.blocks()[1]);
    blocks.check([&table, &fork]).unwrap();
    // Both go on, each in its own.
    blocks.append(&mut fork, 12).unwrap();
    blocks.commit(&mut fork, &[7; 12]).unwrap();
    blocks.commit(&mut table, &[8; 12]).unwrap();
    blocks.check([&table, &fork]).unwrap();
    // One block is left, so a second fork has room and a third has none; nothing is held by what failed.
    let (whole, nothing) = blocks.fork(&fork).unwrap();
    assert_eq!(nothing, None);
    blocks.append(&mut fork, 1).unwrap();
    blocks.commit(&mut fork, &[9]).unwrap();
    assert!(blocks.fork(&fork).is_err());
    blocks.check([&table, &fork, &whole]).unwrap();
    for it in [table, fork, whole] {
        blocks.free(it);
    }
    blocks.check([]).unwrap();
}
