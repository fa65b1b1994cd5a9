//! `SentencePiece` BPE: the neighbours whose joint piece has the best score are joined first.
//!
//! Spaces are written `▁`; a character without a piece becomes its bytes, `<0x0A>` for a newline.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use crate::tokenizer::Kind;

/// What `SentencePiece` writes for a space.
pub(crate) const SPACE: &str = "\u{2581}";

/// A `SentencePiece` tokenizer.
pub(crate) struct Pieces {
    ids: HashMap<String, u32>,
    scores: Vec<f32>,
    /// Length of the longest piece in bytes: longer candidates need no look-up.
    longest: usize,
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
    /// A text that begins, or follows a special token, gets a space in front.
    add_space: bool,
}

impl Pieces {
    pub(crate) fn new(
        tokens: &[String],
        kinds: &[Kind],
        scores: Vec<f32>,
        unknown: Option<u32>,
        add_space: bool,
    ) -> Self {
        let mut bytes = vec![None; 256];
        let mut ids = HashMap::with_capacity(tokens.len());
        for ((token, kind), id) in tokens.iter().zip(kinds).zip(0..) {
            match kind {
                // No text may become a control token.
                Kind::Control => {}
                Kind::Byte => {
                    if let Some(byte) = byte(token) {
                        bytes[usize::from(byte)] = Some(id);
                    }
                }
                Kind::Text | Kind::Added => {
                    ids.insert(token.clone(), id);
                }
            }
        }
        let longest = ids.keys().map(String::len).max().unwrap_or(0);
        Self { ids, scores, longest, bytes, unknown, add_space }
    }

    /// Appends the ids of a text without special tokens. `first`: it begins, or follows a special token.
    pub(crate) fn encode(&self, text: &str, first: bool, ids: &mut Vec<u32>) {
        let mut written = String::with_capacity(text.len() + SPACE.len());
        if first && self.add_space && !text.is_empty() {
            written.push_str(SPACE);
        }
        written.push_str(&text.replace(' ', SPACE));
        for piece in self.join(&written) {
            if let Some(id) = self.ids.get(piece) {
                ids.push(*id);
            } else {
                // Characters without a piece are never joined, so this is one character.
                ids.extend(piece.bytes().filter_map(|it| self.bytes[usize::from(it)].or(self.unknown)));
            }
        }
    }

    /// Joins characters to pieces, the best score first, the leftmost of equals.
    fn join<'t>(&self, text: &'t str) -> Vec<&'t str> {
        /// A piece in the making; empty once it was joined to the one before it.
        struct Symbol {
            begin: usize,
            end: usize,
            before: usize,
            after: usize,
        }
        const NONE: usize = usize::MAX;
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(index, (begin, character))| Symbol {
                begin,
                end: begin + character.len_utf8(),
                before: index.checked_sub(1).unwrap_or(NONE),
                after: index + 1,
            })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.after = NONE;
        }
        let candidate = |symbols: &[Symbol], left: usize| {
            let right = symbols[left].after;
            if right == NONE {
                return None;
            }
            let (begin, end) = (symbols[left].begin, symbols[right].end);
            let id = (end - begin <= self.longest).then(|| self.ids.get(&text[begin..end])).flatten()?;
            Some(Join { score: self.scores[*id as usize], left, begin, end })
        };
        let mut joins: BinaryHeap<Join> =
            (0..symbols.len()).filter_map(|it| candidate(&symbols, it)).collect();
        while let Some(Join { left, begin, end, .. }) = joins.pop() {
            let right = symbols[left].after;
            // Stale where either of the two has been joined to another since.
            let stale = symbols[left].begin == symbols[left].end
                || symbols[left].begin != begin
                || right == NONE
                || symbols[right].end != end;
            if stale {
                continue;
            }
            let after = symbols[right].after;
            symbols[left].end = end;
            symbols[left].after = after;
            symbols[right].end = symbols[right].begin;
            if after != NONE {
                symbols[after].before = left;
            }
            joins.extend(candidate(&symbols, left));
            let before = symbols[left].before;
            if before != NONE {
                joins.extend(candidate(&symbols, before));
            }
        }
        symbols.iter().filter(|it| it.begin < it.end).map(|it| &text[it.begin..it.end]).collect()
    }

    /// Appends the bytes that a token stands for.
    pub(crate) fn bytes(token: &str, kind: Kind, bytes: &mut Vec<u8>) {
        match byte(token).filter(|_| kind == Kind::Byte) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(token.replace(SPACE, " ").as_bytes()),
        }
    }
}

/// The byte that `<0x0A>` names.
pub(crate) fn byte(token: &str) -> Option<u8> {
    u8::from_str_radix(token.strip_prefix("<0x")?.strip_suffix('>')?, 16).ok()
}

/// Two neighbours that can become one piece.
struct Join {
    score: f32,
    left: usize,
    begin: usize,
    end: usize,
}

impl Ord for Join {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Join {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Join {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Join {}
