//! Byte-pair encoding: of all neighbours the pair that was learnt first is joined first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::gguf::Texts;

/// Which pieces join to which.
pub(crate) struct Merges {
    /// Numbers of pieces: below `tokens` a token's id, from there on pieces that are no token but are part of a
    /// merge.
    pieces: HashMap<String, u32>,
    /// Rank and result of a pair; the lowest rank is joined first.
    joins: HashMap<(u32, u32), (u32, u32)>,
    tokens: u32,
}

impl Merges {
    /// `known` are the tokens that text can become, with their ids; `tokens` is how many ids there are.
    pub(crate) fn new(
        known: impl Iterator<Item = (String, u32)>,
        tokens: u32,
        merges: &Texts,
    ) -> Result<Self, String> {
        let mut pieces: HashMap<String, u32> = known.collect();
        let mut next = tokens;
        let mut number = |piece: &str| {
            if let Some(number) = pieces.get(piece) {
                return Ok(*number);
            }
            let number = next;
            next = next.checked_add(1).ok_or("too many pieces")?;
            pieces.insert(piece.to_owned(), number);
            Ok::<_, String>(number)
        };
        let mut joins = HashMap::with_capacity(merges.len());
        for (merge, rank) in merges.iter().zip(0..) {
            // A space that comes first belongs to the piece.
            let border = merge.char_indices().skip(1).find(|(_, it)| *it == ' ');
            let Some((border, _)) = border else { return Err(format!("the merge `{merge}` is not a pair")) };
            let (left, right) = (&merge[..border], &merge[border + 1..]);
            let joined = number(&[left, right].concat())?;
            joins.entry((number(left)?, number(right)?)).or_insert((rank, joined));
        }
        Ok(Self { pieces, joins, tokens })
    }

    /// The token of a whole word.
    pub(crate) fn whole(&self, word: &str) -> Option<u32> {
        self.pieces.get(word).copied().filter(|&it| it < self.tokens)
    }

    /// Appends the tokens of one word. A character that is no token is left out, as llama.cpp does: byte-level
    /// vocabularies made from little text lack the rarest bytes.
    pub(crate) fn encode(&self, word: &str, ids: &mut Vec<u32>) {
        /// A piece in the making.
        struct Symbol {
            piece: u32,
            end: usize,
            before: usize,
            after: usize,
            joined: bool,
        }
        const NONE: usize = usize::MAX;
        /// What no merge knows.
        const UNKNOWN: u32 = u32::MAX;
        let mut symbols: Vec<Symbol> = Vec::with_capacity(word.len());
        for (begin, character) in word.char_indices() {
            let end = begin + character.len_utf8();
            let piece = self.pieces.get(&word[begin..end]).copied().unwrap_or(UNKNOWN);
            let before = symbols.len().checked_sub(1).unwrap_or(NONE);
            symbols.push(Symbol { piece, end, before, after: symbols.len() + 1, joined: false });
        }
        let Some(last) = symbols.last_mut() else { return };
        last.after = NONE;
        let candidate = |symbols: &[Symbol], left: usize| {
            let right = symbols[left].after;
            if right == NONE {
                return None;
            }
            let pair = (symbols[left].piece, symbols[right].piece);
            let &(rank, joined) = self.joins.get(&pair)?;
            Some((Reverse(rank), Reverse(left), pair, joined))
        };
        let mut queue: BinaryHeap<_> =
            (0..symbols.len()).filter_map(|left| candidate(&symbols, left)).collect();
        while let Some((_, Reverse(left), pair, piece)) = queue.pop() {
            let right = symbols[left].after;
            // Stale where one of the two has been joined to another since.
            if symbols[left].joined || right == NONE || (symbols[left].piece, symbols[right].piece) != pair {
                continue;
            }
            let after = symbols[right].after;
            symbols[left].end = symbols[right].end;
            symbols[left].piece = piece;
            symbols[left].after = after;
            symbols[right].joined = true;
            if after != NONE {
                symbols[after].before = left;
            }
            queue.extend(candidate(&symbols, left));
            let before = symbols[left].before;
            if before != NONE {
                queue.extend(candidate(&symbols, before));
            }
        }
        let mut begin = 0;
        for symbol in symbols.iter().filter(|it| !it.joined) {
            let text = &word[begin..symbol.end];
            begin = symbol.end;
            if symbol.piece < self.tokens {
                ids.push(symbol.piece);
            } else {
                ids.extend(
                    text.char_indices().filter_map(|(at, it)| self.whole(&text[at..at + it.len_utf8()])),
                );
            }
        }
    }
}
