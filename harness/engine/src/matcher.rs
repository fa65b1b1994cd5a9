//! Tokens that are found in text before a tokenizer's algorithm runs.

use std::collections::HashMap;

/// The longest token in bytes, several times that of published models' longest run of spaces. Every length that there
/// is is looked up at every place of a text.
pub(crate) const LONGEST: usize = 512;

/// A piece of a text cut at tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Token(u32),
    Text(&'a str),
}

/// Finds given tokens in text.
pub(crate) struct Matcher {
    ids: HashMap<String, u32>,
    /// Lengths in bytes, longest first.
    lengths: Vec<usize>,
    /// Whether a token begins with this byte.
    begins: [bool; 256],
}

impl Matcher {
    pub(crate) fn new(tokens: impl Iterator<Item = (String, u32)>) -> Result<Self, String> {
        let ids: HashMap<_, _> = tokens.filter(|(token, _)| !token.is_empty()).collect();
        if let Some(id) = ids.iter().find_map(|(token, id)| (token.len() > LONGEST).then_some(id)) {
            return Err(format!("the special token {id} has more than {LONGEST} bytes"));
        }
        let mut lengths: Vec<_> = ids.keys().map(String::len).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        let mut begins = [false; 256];
        for token in ids.keys() {
            begins[token.as_bytes()[0] as usize] = true;
        }
        Ok(Self { ids, lengths, begins })
    }

    /// The longest token at the beginning of a text, and its length in bytes.
    pub(crate) fn at(&self, text: &str) -> Option<(u32, usize)> {
        if !self.begins[*text.as_bytes().first()? as usize] {
            return None;
        }
        self.lengths.iter().find_map(|&length| {
            let id = self.ids.get(text.get(..length)?)?;
            Some((*id, length))
        })
    }

    /// Cuts a text at tokens: the leftmost first, and of several there the longest.
    pub(crate) fn split<'t, E>(
        &self,
        text: &'t str,
        mut take: impl FnMut(Part<'t>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut rest, mut from) = (text, 0);
        while from < rest.len() {
            let found = rest.is_char_boundary(from).then(|| self.at(&rest[from..])).flatten();
            let Some((id, length)) = found else {
                from += 1;
                continue;
            };
            if from > 0 {
                take(Part::Text(&rest[..from]))?;
            }
            take(Part::Token(id))?;
            (rest, from) = (&rest[from + length..], 0);
        }
        if rest.is_empty() { Ok(()) } else { take(Part::Text(rest)) }
    }

    /// Cuts a text at tokens: the longest of all first, wherever it is, as llama.cpp does.
    pub(crate) fn cut<'t>(&self, text: &'t str) -> Vec<Part<'t>> {
        let mut parts = vec![Part::Text(text)];
        for &length in &self.lengths {
            let mut finer = Vec::with_capacity(parts.len());
            for part in parts {
                let Part::Text(text) = part else {
                    finer.push(part);
                    continue;
                };
                let (mut from, mut at) = (0, 0);
                while at + length <= text.len() {
                    let begins = self.begins[usize::from(text.as_bytes()[at])];
                    let found = begins.then(|| self.ids.get(text.get(at..at + length)?)).flatten();
                    let Some(&id) = found else {
                        at += 1;
                        continue;
                    };
                    finer.extend([Part::Text(&text[from..at]), Part::Token(id)]);
                    at += length;
                    from = at;
                }
                finer.push(Part::Text(&text[from..]));
            }
            finer.retain(|it| *it != Part::Text(""));
            parts = finer;
        }
        parts
    }

    /// Puts `guard` into a text so that it holds no token, neither by itself nor together with what a
    /// template writes around it.
    pub(crate) fn guarded(&self, text: &str, guard: char) -> String {
        let mut guarded = String::with_capacity(text.len());
        let joins = |token: &String, text: &str, end: bool| {
            token.char_indices().skip(1).any(|(cut, _)| {
                if end { text.ends_with(&token[..cut]) } else { text.starts_with(&token[cut..]) }
            })
        };
        if self.ids.keys().any(|token| joins(token, text, false)) {
            guarded.push(guard);
        }
        for (index, character) in text.char_indices() {
            guarded.push(character);
            if self.at(&text[index..]).is_some() {
                guarded.push(guard);
            }
        }
        if self.ids.keys().any(|token| joins(token, text, true)) {
            guarded.push(guard);
        }
        guarded
    }
}
