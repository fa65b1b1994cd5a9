//! From tokens back to text, as they come.

use crate::tokenizer::Tokenizer;

/// Gives text as soon as it is certain: never a part of a character.
pub(crate) struct Detokenizer<'t> {
    tokenizer: &'t Tokenizer,
    /// The beginning of a character.
    pending: Vec<u8>,
}

impl<'t> Detokenizer<'t> {
    pub(crate) fn new(tokenizer: &'t Tokenizer) -> Self {
        Self { tokenizer, pending: Vec::new() }
    }

    /// The text that is complete with this token. Bytes that cannot become a character are U+FFFD.
    pub(crate) fn push(&mut self, token: u32) -> String {
        self.tokenizer.bytes(token, &mut self.pending);
        let complete = complete(&self.pending);
        let text = String::from_utf8_lossy(&self.pending[..complete]).into_owned();
        self.pending.drain(..complete);
        text
    }

    /// What is left at the end: U+FFFD for an incomplete character, nothing otherwise.
    pub(crate) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// How many bytes stand before a character that is only begun.
fn complete(bytes: &[u8]) -> usize {
    let mut from = 0;
    loop {
        match std::str::from_utf8(&bytes[from..]) {
            Ok(_) => return bytes.len(),
            Err(err) => match err.error_len() {
                None => return from + err.valid_up_to(),
                Some(length) => from += err.valid_up_to() + length,
            },
        }
    }
}

/// Holds text back until it cannot be the beginning of a stop string.
///
/// The stop string that is complete first ends the text, of several the longest: so the answer is the same
/// however the text was cut into tokens.
pub(crate) struct Stops<'s> {
    stops: &'s [String],
    held: String,
}

impl<'s> Stops<'s> {
    pub(crate) fn new(stops: &'s [String]) -> Self {
        Self { stops, held: String::new() }
    }

    /// Takes text in; gives what is certain, and whether a stop string ended it.
    pub(crate) fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        let found = self.stops.iter().filter_map(|stop| Some((self.held.find(stop)?, stop.len())));
        if let Some((begin, _)) = found.min_by_key(|&(begin, length)| (begin + length, begin)) {
            self.held.truncate(begin);
            return (std::mem::take(&mut self.held), true);
        }
        let begins = |tail: &str| self.stops.iter().any(|it| it.starts_with(tail));
        let certain = self.held.char_indices().map(|(at, _)| at).find(|&at| begins(&self.held[at..]));
        let rest = self.held.split_off(certain.unwrap_or(self.held.len()));
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What was held back when the answer ended otherwise.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}
