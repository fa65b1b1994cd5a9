//! Tokenizers, from GGUF metadata.
//!
//! Text is cut at the special tokens first, then what lies between goes through the model's own algorithm:
//! byte-level BPE ([`bytes`](crate::bytes)) or `SentencePiece` ([`pieces`](crate::pieces)). Control tokens such
//! as `<|im_end|>` are matched only in text that a template wrote; tokens that the model's makers added for
//! text, such as runs of newlines, are matched everywhere.

use std::collections::HashMap;

use crate::bytes::ByteLevel;
use crate::gguf::{Gguf, Value};
use crate::pieces::Pieces;

/// Tokens that end a turn, by the names that models give them.
const TURN_ENDS: [&str; 9] = [
    "<|im_end|>",
    "<end_of_turn>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end|>",
    "<eos>",
    "</s>",
];

/// What a token is for, by GGUF's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A piece of text.
    Text,
    /// A piece of text that is matched before the algorithm runs.
    Added,
    /// A mark for the model, with no text of its own.
    Control,
    /// One byte of a character that has no piece.
    Byte,
}

enum Algorithm {
    Bytes(ByteLevel),
    Pieces(Pieces),
}

/// Maps text to token ids and back.
pub(crate) struct Tokenizer {
    tokens: Vec<String>,
    kinds: Vec<Kind>,
    algorithm: Algorithm,
    control: Matcher,
    added: Matcher,
    begin: Option<u32>,
    add_begin: bool,
    end: Option<u32>,
    /// All tokens that end an answer.
    stops: Vec<u32>,
}

impl Tokenizer {
    /// Takes the vocabulary out of the metadata; `vocabulary` is how many tokens the weights know.
    pub(crate) fn read(gguf: &mut Gguf, vocabulary: usize) -> Result<Self, String> {
        let Some(Value::Texts(tokens)) = gguf.take("tokenizer.ggml.tokens") else {
            return Err("no list of texts `tokenizer.ggml.tokens`".to_owned());
        };
        if tokens.len() != vocabulary {
            return Err(format!("{} tokens, but weights for {vocabulary}", tokens.len()));
        }
        let kinds = match gguf.take("tokenizer.ggml.token_type") {
            None => vec![Kind::Text; tokens.len()],
            Some(Value::Integers(it)) if it.len() == tokens.len() => it.into_iter().map(kind).collect(),
            Some(_) => return Err("`tokenizer.ggml.token_type` does not fit the tokens".to_owned()),
        };
        let special = |name: &str| match gguf.count(&format!("tokenizer.ggml.{name}_token_id")) {
            Ok(Some(it)) if it < vocabulary => Ok(u32::try_from(it).ok()),
            Ok(Some(it)) => Err(format!("the {name} token is {it}, beyond the {vocabulary} tokens")),
            Ok(None) => Ok(None),
            Err(err) => Err(err.to_string()),
        };
        let (begin, end, unknown) = (special("bos")?, special("eos")?, special("unknown")?);
        let named = tokens.iter().enumerate().filter(|(id, it)| {
            matches!(kinds[*id], Kind::Control | Kind::Added) && TURN_ENDS.contains(&it.as_str())
        });
        let mut stops: Vec<u32> = named.filter_map(|(id, _)| u32::try_from(id).ok()).collect();
        stops.extend([end, special("eot")?, special("eom")?].into_iter().flatten());
        stops.sort_unstable();
        stops.dedup();

        let flag = |name: &str| gguf.flag(&format!("tokenizer.ggml.{name}")).map_err(|err| err.to_string());
        let (add_begin, add_space) = (flag("add_bos_token")?, flag("add_space_prefix")?);
        let model = gguf.text("tokenizer.ggml.model").map_err(|err| err.to_string())?.map(str::to_owned);
        let pre = gguf.text("tokenizer.ggml.pre").map_err(|err| err.to_string())?.map(str::to_owned);
        let (algorithm, begins) = match model.as_deref() {
            Some("gpt2") => {
                let Some(Value::Texts(merges)) = gguf.take("tokenizer.ggml.merges") else {
                    return Err("no list of texts `tokenizer.ggml.merges`".to_owned());
                };
                let pre = pre.as_deref().unwrap_or("default");
                (Algorithm::Bytes(ByteLevel::new(&tokens, &kinds, &merges, pre)?), pre == "llama-bpe")
            }
            Some("llama") => {
                let scores = match gguf.take("tokenizer.ggml.scores") {
                    Some(Value::Floats(it)) if it.len() == tokens.len() => it,
                    _ => return Err("`tokenizer.ggml.scores` does not fit the tokens".to_owned()),
                };
                let pieces = Pieces::new(&tokens, &kinds, scores, unknown, add_space.unwrap_or(true));
                (Algorithm::Pieces(pieces), true)
            }
            Some(other) => return Err(format!("the tokenizer `{other}` is not supported")),
            None => return Err("no `tokenizer.ggml.model`".to_owned()),
        };
        let matcher = |wanted: Kind| {
            // A mark of one character could not be told from text.
            let few = if wanted == Kind::Control { 2 } else { 1 };
            let found = tokens
                .iter()
                .zip(&kinds)
                .zip(0..)
                .filter(|((token, kind), _)| **kind == wanted && token.chars().nth(few - 1).is_some());
            Matcher::new(found.map(|((token, _), id)| (token.clone(), id)))
        };
        let (control, added) = (matcher(Kind::Control), matcher(Kind::Added));
        let add_begin = add_begin.unwrap_or(begins);
        Ok(Self { tokens, kinds, algorithm, control, added, begin, add_begin, end, stops })
    }

    /// Whether a token ends an answer.
    pub(crate) fn is_stop(&self, token: u32) -> bool {
        self.stops.contains(&token)
    }

    /// The text of the token that begins a sequence; empty where there is none.
    pub(crate) fn begin(&self) -> &str {
        self.begin.map_or("", |it| &self.tokens[it as usize])
    }

    /// The text of the token that ends a sequence; empty where there is none.
    pub(crate) fn end(&self) -> &str {
        self.end.map_or("", |it| &self.tokens[it as usize])
    }

    /// The control tokens, to be told from look-alikes.
    pub(crate) fn control(&self) -> &Matcher {
        &self.control
    }

    /// Tokenizes a whole plain text, in which control tokens are only text.
    ///
    /// The beginning token comes first where the model wants it, and where there would be no token at all.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let mut ids = Vec::new();
        self.encode_text(text, true, &mut ids)?;
        self.begin_with(&mut ids);
        Ok(ids)
    }

    /// Tokenizes a whole text that a template wrote. `guard` stands in it where text must not be taken for a
    /// control token; it is not part of the text.
    pub(crate) fn encode_marked(&self, text: &str, guard: char) -> Result<Vec<u32>, String> {
        let mut ids = Vec::new();
        self.control.split(text, |part| {
            match part {
                Part::Token(id) => ids.push(id),
                // Every piece begins the text or follows a special token.
                Part::Text(text) => self.encode_text(&text.replace(guard, ""), true, &mut ids)?,
            }
            Ok::<_, String>(())
        })?;
        self.begin_with(&mut ids);
        Ok(ids)
    }

    /// Tokenizes a text that goes on where another ended: no beginning token.
    pub(crate) fn encode_continuation(&self, text: &str) -> Result<Vec<u32>, String> {
        let mut ids = Vec::new();
        self.encode_text(text, false, &mut ids)?;
        Ok(ids)
    }

    fn begin_with(&self, ids: &mut Vec<u32>) {
        if let Some(begin) = self.begin
            && (ids.is_empty() || (self.add_begin && ids[0] != begin))
        {
            ids.insert(0, begin);
        }
    }

    /// `first`: nothing but a special token stands before the text.
    fn encode_text(&self, text: &str, mut first: bool, ids: &mut Vec<u32>) -> Result<(), String> {
        self.added.split(text, |part| {
            match part {
                Part::Token(id) => ids.push(id),
                Part::Text(text) => match &self.algorithm {
                    Algorithm::Bytes(it) => it.encode(text, ids)?,
                    Algorithm::Pieces(it) => it.encode(text, first, ids),
                },
            }
            first = matches!(part, Part::Token(_));
            Ok(())
        })
    }

    /// Appends the bytes that a token stands for; control tokens stand for none.
    ///
    /// Tokens are pieces of bytes, not of characters: see [`Detokenizer`](crate::detokenize::Detokenizer).
    pub(crate) fn bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        let (Some(text), Some(kind)) = (self.tokens.get(token as usize), self.kinds.get(token as usize))
        else {
            return;
        };
        match (kind, &self.algorithm) {
            (Kind::Control, _) => {}
            (Kind::Added, Algorithm::Bytes(_)) => bytes.extend_from_slice(text.as_bytes()),
            (_, Algorithm::Bytes(_)) => ByteLevel::bytes(text, bytes),
            (_, Algorithm::Pieces(_)) => Pieces::bytes(text, *kind, bytes),
        }
    }
}

/// GGUF's numbers: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
fn kind(number: i64) -> Kind {
    match number {
        2 | 3 => Kind::Control,
        4 => Kind::Added,
        6 => Kind::Byte,
        _ => Kind::Text,
    }
}

/// A piece of a text cut at tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Token(u32),
    Text(&'a str),
}

/// Finds given tokens in text: the leftmost, and of several there the longest.
pub(crate) struct Matcher {
    ids: HashMap<String, u32>,
    /// Lengths in bytes, longest first.
    lengths: Vec<usize>,
    /// Whether a token begins with this byte.
    begins: [bool; 256],
}

impl Matcher {
    fn new(tokens: impl Iterator<Item = (String, u32)>) -> Self {
        let ids: HashMap<_, _> = tokens.collect();
        let mut lengths: Vec<_> = ids.keys().map(String::len).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        let mut begins = [false; 256];
        for token in ids.keys() {
            begins[token.as_bytes()[0] as usize] = true;
        }
        Self { ids, lengths, begins }
    }

    /// The longest token at the beginning of a text, and its length in bytes.
    fn at(&self, text: &str) -> Option<(u32, usize)> {
        if !self.begins[*text.as_bytes().first()? as usize] {
            return None;
        }
        self.lengths.iter().find_map(|&length| {
            let id = self.ids.get(text.get(..length)?)?;
            Some((*id, length))
        })
    }

    fn split<'t, E>(&self, text: &'t str, mut take: impl FnMut(Part<'t>) -> Result<(), E>) -> Result<(), E> {
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
