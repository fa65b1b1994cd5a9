//! `SentencePiece` unigram: of all ways to cut a text into pieces, the one whose scores sum to the most.
//!
//! Before that the text is normalised by the model's own table of replacements.

use std::collections::HashMap;

use crate::matcher::{LONGEST, Matcher};
use crate::pieces::SPACE;
use crate::tokenizer::Kind;

/// The longest replacement in bytes: ten times that of the longest character in compatibility form.
pub(crate) const LONGEST_REPLACEMENT: usize = 330;
/// What an unknown character costs beyond the rarest piece.
const UNKNOWN_PENALTY: f64 = 10.0;

/// What happens to a text before it is cut.
pub(crate) struct Normalizer {
    /// GGUF's `precompiled_charsmap`.
    pub(crate) replacements: Replacements,
    /// A space comes before the first word.
    pub(crate) add_space: bool,
    /// Runs of spaces are one, and none stands at the end.
    pub(crate) merge_spaces: bool,
}

/// A unigram tokenizer.
pub(crate) struct Unigram {
    pieces: HashMap<String, (u32, f64)>,
    /// Matched before the replacements, which leave them alone.
    added: Matcher,
    longest: usize,
    unknown: u32,
    unknown_score: f64,
    normalizer: Normalizer,
}

impl Unigram {
    pub(crate) fn new(
        tokens: &[String],
        kinds: &[Kind],
        scores: &[f32],
        unknown: u32,
        normalizer: Normalizer,
    ) -> Result<Self, String> {
        if scores.iter().any(|it| !it.is_finite()) {
            return Err("a score is not a number".to_owned());
        }
        let mut pieces = HashMap::with_capacity(tokens.len());
        let mut added = Vec::new();
        let mut least = f64::INFINITY;
        for (((token, kind), score), id) in tokens.iter().zip(kinds).zip(scores).zip(0..) {
            match kind {
                Kind::Text => {
                    let score = f64::from(*score);
                    least = least.min(score);
                    pieces.insert(token.clone(), (id, score));
                }
                Kind::Added if !token.is_empty() => {
                    pieces.insert(token.clone(), (id, 0.0));
                    added.push((token.clone(), id));
                }
                // No text may become a control token.
                Kind::Added | Kind::Control | Kind::Byte => {}
            }
        }
        let added = Matcher::new(added.into_iter())?;
        let longest = pieces.keys().map(String::len).max().unwrap_or(0);
        // Every length up to the longest is looked up at every place of a text.
        if longest > LONGEST {
            return Err(format!("a piece has {longest} bytes, where at most {LONGEST} are possible"));
        }
        let unknown_score = if least.is_finite() { least } else { 0.0 } - UNKNOWN_PENALTY;
        Ok(Self { pieces, added, longest, unknown, unknown_score, normalizer })
    }

    /// Appends the ids of a text without special tokens.
    pub(crate) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        /// The best way to reach a place in the text.
        #[derive(Clone, Copy)]
        struct Best {
            id: u32,
            from: usize,
            score: f64,
        }
        let text = self.normalize(text);
        let mut best = vec![Best { id: self.unknown, from: 0, score: f64::NEG_INFINITY }; text.len() + 1];
        best[0].score = 0.0;
        for (from, character) in text.char_indices() {
            let so_far = best[from].score;
            let mut reach = |end: usize, id: u32, score: f64| {
                if so_far + score > best[end].score {
                    best[end] = Best { id, from, score: so_far + score };
                }
            };
            let next = from + character.len_utf8();
            let mut known = false;
            for end in next..=text.len().min(from + self.longest) {
                if let Some((id, score)) = text.get(from..end).and_then(|it| self.pieces.get(it)) {
                    reach(end, *id, *score);
                    known |= end == next;
                }
            }
            if !known {
                reach(next, self.unknown, self.unknown_score);
            }
        }
        let (mut at, first) = (text.len(), ids.len());
        while at > 0 {
            let Best { id, from, .. } = best[at];
            // A run of unknown characters is one unknown token.
            if id != self.unknown || ids.len() == first || ids.last() != Some(&id) {
                ids.push(id);
            }
            at = from;
        }
        ids[first..].reverse();
    }

    fn normalize(&self, text: &str) -> String {
        let Normalizer { replacements, add_space, merge_spaces } = &self.normalizer;
        let mut normal = String::with_capacity(text.len() + SPACE.len());
        let (mut within, mut begun) = (false, false);
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let (written, length) = match self.added.at(rest) {
                Some((_, length)) => (&rest[..length], length),
                None => {
                    replacements.find(rest).unwrap_or((&rest[..character.len_utf8()], character.len_utf8()))
                }
            };
            for character in written.chars() {
                if character == ' ' {
                    within = false;
                    if !merge_spaces {
                        normal.push_str(SPACE);
                    }
                    continue;
                }
                if !within && (*merge_spaces || (*add_space && !begun)) {
                    normal.push_str(SPACE);
                    begun = true;
                }
                within = true;
                normal.push(character);
            }
            rest = &rest[length..];
        }
        normal
    }
}

/// A table of replacements, as `SentencePiece` writes it: a trie of what is replaced, in 32-bit units, and the
/// texts it is replaced with, each ended by a zero.
#[derive(Default)]
pub(crate) struct Replacements {
    trie: Vec<u32>,
    texts: Vec<u8>,
}

impl Replacements {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let broken = || "the table of replacements is broken".to_owned();
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(broken)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| broken())?;
        let (trie, texts) = rest.split_at_checked(length).ok_or_else(broken)?;
        let (units, odd) = trie.as_chunks::<4>();
        if !odd.is_empty() || units.is_empty() || texts.last() != Some(&0) {
            return Err(broken());
        }
        if let Some(long) = texts.split(|it| *it == 0).find(|it| it.len() > LONGEST_REPLACEMENT) {
            return Err(format!("a character is replaced by {} bytes", long.len()));
        }
        Ok(Self { trie: units.iter().map(|it| u32::from_le_bytes(*it)).collect(), texts: texts.to_vec() })
    }

    /// The replacement of the longest beginning that has one, and the length of that beginning.
    fn find(&self, text: &str) -> Option<(&str, usize)> {
        let base = |unit: u32| (unit >> 10) << ((unit & (1 << 9)) >> 6);
        let unit = |node: u32| self.trie.get(node as usize).copied();
        let mut node = base(unit(0)?);
        let mut found = None;
        for (at, &byte) in text.as_bytes().iter().enumerate() {
            node ^= u32::from(byte);
            let Some(child) = unit(node) else { break };
            if byte == 0 || child & ((1 << 31) | 0xff) != u32::from(byte) {
                break;
            }
            node ^= base(child);
            if child >> 8 & 1 == 1 {
                found = unit(node).map(|it| (it & 0x7fff_ffff, at + 1));
            }
        }
        let (begin, length) = found.filter(|&(_, length)| text.is_char_boundary(length))?;
        let written = self.texts.get(begin as usize..)?;
        let end = written.iter().position(|&it| it == 0)?;
        Some((std::str::from_utf8(&written[..end]).ok()?, length))
    }
}
