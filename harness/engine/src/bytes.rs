//! Byte-level BPE, as GPT-2: every byte has a printable stand-in, and merges join them.

use crate::gguf::Texts;
use crate::merges::Merges;
use crate::tokenizer::Kind;
use crate::words::Words;

/// A byte-level BPE tokenizer.
pub(crate) struct ByteLevel {
    words: Words,
    merges: Merges,
    stand_ins: Vec<char>,
}

impl ByteLevel {
    pub(crate) fn new(
        tokens: &[String],
        kinds: &[Kind],
        merges: &Texts,
        words: Words,
    ) -> Result<Self, String> {
        // Control tokens are left out: no text may become one.
        let known = tokens.iter().zip(kinds).zip(0..).filter(|((_, kind), _)| **kind != Kind::Control);
        let known = known.map(|((token, _), id)| (token.clone(), id));
        let count = u32::try_from(tokens.len()).map_err(|err| err.to_string())?;
        let merges = Merges::new(known, count, merges)?;
        Ok(Self { words, merges, stand_ins: (0..=u8::MAX).map(stand_in).collect() })
    }

    /// Appends the ids of a text without special tokens.
    pub(crate) fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        for word in self.words.cut(text)? {
            let written: String = word.bytes().map(|it| self.stand_ins[usize::from(it)]).collect();
            match self.merges.whole(&written).filter(|_| self.words.whole) {
                Some(id) => ids.push(id),
                None => self.merges.encode(&written, ids),
            }
        }
        Ok(())
    }

    /// Appends the bytes that a token's printable characters stand for.
    pub(crate) fn bytes(token: &str, bytes: &mut Vec<u8>) {
        for character in token.chars() {
            match byte(character) {
                Some(byte) => bytes.push(byte),
                None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
}

/// Whether a byte stands for itself.
fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)
}

/// The printable character of a byte: itself where it is printable Latin-1, else the next of those from U+0100.
fn stand_in(byte: u8) -> char {
    if is_printable(byte) {
        return char::from(byte);
    }
    let index = (0..byte).filter(|&it| !is_printable(it)).count();
    ('\u{100}'..).nth(index).expect("256 characters after U+0100")
}

/// The byte that a character stands for.
fn byte(character: char) -> Option<u8> {
    let code = u32::from(character);
    if code < 0x100 {
        return u8::try_from(code).ok().filter(|&it| is_printable(it));
    }
    (0..=u8::MAX).filter(|&it| !is_printable(it)).nth((code - 0x100) as usize)
}
