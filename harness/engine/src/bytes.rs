//! Byte-level BPE, as GPT-2: every byte has a printable stand-in, and merges join them.

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel as ByteLevelPre;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{SplitDelimiterBehavior, Tokenizer};

use crate::tokenizer::Kind;

/// The words of Llama 3 and of Qwen 2, which differ in how many digits stay together.
const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A byte-level BPE tokenizer.
pub(crate) struct ByteLevel(Box<Tokenizer>);

impl ByteLevel {
    /// `pre` is GGUF's name for how text is cut into words before the merges.
    pub(crate) fn new(
        tokens: &[String],
        kinds: &[Kind],
        merges: &[String],
        pre: &str,
    ) -> Result<Self, String> {
        let by_regex = |pattern: &str| {
            let pattern = SplitPattern::Regex(pattern.to_owned());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
            let split = split.map_err(|err| err.to_string())?;
            Ok::<_, String>(vec![split.into(), ByteLevelPre::new(false, false, false).into()])
        };
        let words: Vec<PreTokenizerWrapper> = match pre {
            "default" | "gpt-2" => vec![ByteLevelPre::new(false, false, true).into()],
            "smollm" => vec![Digits::new(true).into(), ByteLevelPre::new(false, false, true).into()],
            "llama-bpe" => by_regex(LLAMA_3)?,
            "qwen2" => by_regex(QWEN_2)?,
            other => return Err(format!("the pre-tokenizer `{other}` is not supported")),
        };
        // Control tokens are left out: no text may become one.
        let known = tokens.iter().zip(kinds).zip(0..).filter(|((_, kind), _)| **kind != Kind::Control);
        let vocabulary: Vocab = known.map(|((token, _), id)| (token.clone(), id)).collect();
        let merges = merges
            .iter()
            .map(|merge| {
                let pair = merge.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned()));
                pair.ok_or_else(|| format!("the merge `{merge}` is not a pair"))
            })
            .collect::<Result<_, _>>()?;
        let bpe = BPE::builder()
            .vocab_and_merges(vocabulary, merges)
            // Llama 3 takes a word that is a token as it is.
            .ignore_merges(pre == "llama-bpe")
            // The crate's cache would stay in every thread that once tokenized.
            .cache_capacity(0)
            .build()
            .map_err(|err| err.to_string())?;
        let mut tokenizer = Tokenizer::new(bpe);
        tokenizer.with_pre_tokenizer(Some(Sequence::new(words)));
        Ok(Self(Box::new(tokenizer)))
    }

    /// Appends the ids of a text without special tokens.
    pub(crate) fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        let encoding = self.0.encode_fast(text, false).map_err(|err| err.to_string())?;
        ids.extend_from_slice(encoding.get_ids());
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

/// The byte that a character stands for: itself where it is printable Latin-1, else the next of those that are
/// not, counted from U+0100.
fn byte(character: char) -> Option<u8> {
    let printable = |it: u32| matches!(it, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let code = u32::from(character);
    if code < 0x100 {
        return u8::try_from(code).ok().filter(|_| printable(code));
    }
    (0..=u8::MAX).filter(|&it| !printable(u32::from(it))).nth((code - 0x100) as usize)
}
