//! Tokenizers: text to token ids, and tokens to bytes.
//!
//! Text is cut at the special tokens first, then what lies between goes through the model's own algorithm:
//! byte-level BPE ([`bytes`](crate::bytes)), `SentencePiece` ([`pieces`](crate::pieces),
//! [`unigram`](crate::unigram)) or whatever a `tokenizer.json` describes ([`published`](crate::published)).
//! Control tokens such as `<|im_end|>` are matched only in text that a template wrote; tokens that the model's
//! makers added for text, such as runs of newlines, are matched everywhere.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::bytes::ByteLevel;
use crate::folder;
use crate::gguf::{Gguf, Value};
use crate::matcher::{Matcher, Part};
use crate::pieces::Pieces;
use crate::published::Published;
use crate::unigram::{Normalizer, Replacements, Unigram};
use crate::words::Words;

/// Tokens that end an answer, by the names that models give them.
pub(crate) const ENDS: [&str; 25] = [
    "<|im_end|>",
    "<end_of_turn>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end|>",
    "<eos>",
    "</s>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<reponame>",
    "<|file_sep|>",
];

/// Marks for filling in the middle: control tokens, whatever kind a file gives them.
const MIDDLE: [&str; 12] = [
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<PRE>",
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<SUF>",
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<MID>",
];

/// What a token is for.
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

/// How tokens are written in the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// Each byte is a printable character.
    Bytes,
    /// As it is, with `▁` for a space.
    Pieces,
}

#[expect(clippy::large_enum_variant, reason = "there is one for a model")]
pub(crate) enum Algorithm {
    Bytes(ByteLevel),
    Pieces(Pieces),
    Unigram(Unigram),
    Published(Box<Published>),
}

/// Maps text to token ids and back.
pub struct Tokenizer {
    pub(crate) tokens: Vec<String>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) writing: Writing,
    pub(crate) algorithm: Algorithm,
    pub(crate) control: Matcher,
    /// Matched before the algorithm; empty where the algorithm does it.
    pub(crate) added: Matcher,
    pub(crate) begin: Option<u32>,
    /// What comes before a text.
    pub(crate) before: Vec<u32>,
    /// Whether it comes before what a template wrote, too, if that does not begin with it.
    pub(crate) before_chat: bool,
    pub(crate) end: Option<u32>,
    /// All tokens that end an answer.
    pub(crate) stops: Vec<u32>,
}

impl Tokenizer {
    /// The tokenizer of a GGUF file or of a folder with a `tokenizer.json`, without the weights.
    pub fn open(path: &Path) -> Result<Self, String> {
        let fault = |reason: String| format!("{}: {reason}", path.display());
        if path.is_dir() {
            return folder::read(path, None).map(|it| it.tokenizer);
        }
        let file = File::open(path).map_err(|err| fault(err.to_string()))?;
        let length = file.metadata().map_err(|err| fault(err.to_string()))?.len();
        let reader = BufReader::with_capacity(1 << 20, file);
        let mut gguf = Gguf::read(reader, length).map_err(|err| fault(err.to_string()))?;
        let tokens = gguf.length("tokenizer.ggml.tokens").unwrap_or(0);
        Self::read(&mut gguf, tokens).map_err(fault)
    }

    /// Takes the vocabulary out of the metadata; `vocabulary` is how many tokens the weights know.
    pub(crate) fn read(gguf: &mut Gguf, vocabulary: usize) -> Result<Self, String> {
        let Some(Value::Texts(tokens)) = gguf.take("tokenizer.ggml.tokens") else {
            return Err("no list of texts `tokenizer.ggml.tokens`".to_owned());
        };
        if tokens.len() != vocabulary {
            return Err(format!("{} tokens, but weights for {vocabulary}", tokens.len()));
        }
        let tokens: Vec<String> = tokens.iter().map(str::to_owned).collect();
        let mut kinds = match gguf.take("tokenizer.ggml.token_type") {
            None => vec![Kind::Text; tokens.len()],
            Some(Value::Integers(it)) if it.len() == tokens.len() => it.into_iter().map(kind).collect(),
            Some(_) => return Err("`tokenizer.ggml.token_type` does not fit the tokens".to_owned()),
        };
        for (kind, token) in kinds.iter_mut().zip(&tokens) {
            // Files that call these a piece of text are mistaken; llama.cpp corrects them, too.
            if ENDS.contains(&token.as_str()) || MIDDLE.contains(&token.as_str()) {
                *kind = Kind::Control;
            }
        }
        let model = gguf.text("tokenizer.ggml.model").map_err(|err| err.to_string())?.map(str::to_owned);
        let model = model.ok_or("no `tokenizer.ggml.model`")?;
        let special = |name: &str, usual: Option<u32>| {
            let usual = usual.filter(|&it| (it as usize) < vocabulary);
            match gguf.count(&format!("tokenizer.ggml.{name}_token_id")) {
                Ok(Some(it)) if it < vocabulary => Ok(u32::try_from(it).ok()),
                Ok(Some(it)) => Err(format!("the {name} token is {it}, beyond the {vocabulary} tokens")),
                Ok(None) => Ok(usual),
                Err(err) => Err(err.to_string()),
            }
        };
        // What llama.cpp takes where a file does not say.
        let usual = match model.as_str() {
            "llama" => [Some(1), Some(2), Some(0)],
            "t5" => [None, Some(1), Some(2)],
            _ => [None; 3],
        };
        let (begin, end) = (special("bos", usual[0])?, special("eos", usual[1])?);
        let unknown = special("unknown", usual[2])?;
        let named = tokens.iter().zip(0..).filter(|(it, _)| ENDS.contains(&it.as_str())).map(|(_, id)| id);
        let mut stops: Vec<u32> = named.collect();
        stops.extend([end, special("eot", None)?, special("eom", None)?].into_iter().flatten());
        stops.sort_unstable();
        stops.dedup();

        let add_begin = gguf.flag("tokenizer.ggml.add_bos_token").map_err(|err| err.to_string())?;
        let (algorithm, begins) = algorithm(gguf, &model, &tokens, &kinds, unknown)?;
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
        let (control, added) = (matcher(Kind::Control)?, matcher(Kind::Added)?);
        let before = begin.filter(|_| add_begin.unwrap_or(begins)).into_iter().collect();
        let writing = if matches!(algorithm, Algorithm::Bytes(_)) { Writing::Bytes } else { Writing::Pieces };
        Ok(Self {
            tokens,
            kinds,
            writing,
            algorithm,
            control,
            added,
            begin,
            before,
            before_chat: true,
            end,
            stops,
        })
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
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let mut ids = Vec::new();
        self.encode_text(text, true, &mut ids)?;
        self.begin_with(true, &mut ids);
        Ok(ids)
    }

    /// Tokenizes a whole text that a template wrote. `guard` stands in it where text must not be taken for a
    /// control token; it is not part of the text.
    pub(crate) fn encode_marked(&self, text: &str, guard: char) -> Result<Vec<u32>, String> {
        let mut ids = Vec::new();
        if let Algorithm::Published(published) = &self.algorithm {
            published.encode_marked(text, guard, &self.control, &mut ids)?;
        } else {
            self.control.split(text, |part| {
                match part {
                    Part::Token(id) => ids.push(id),
                    // Every piece begins the text or follows a special token.
                    Part::Text(text) => self.encode_text(&text.replace(guard, ""), true, &mut ids)?,
                }
                Ok::<_, String>(())
            })?;
        }
        self.begin_with(self.before_chat, &mut ids);
        Ok(ids)
    }

    /// Tokenizes a text that goes on where another ended: no beginning token.
    pub(crate) fn encode_continuation(&self, text: &str) -> Result<Vec<u32>, String> {
        let mut ids = Vec::new();
        self.encode_text(text, false, &mut ids)?;
        Ok(ids)
    }

    /// Tokenizes a whole plain text as [`Tokenizer::encode`] does, without the tokens that the model wants before it.
    pub(crate) fn encode_bare(&self, text: &str) -> Result<Vec<u32>, String> {
        let mut ids = Vec::new();
        self.encode_text(text, true, &mut ids)?;
        Ok(ids)
    }

    fn begin_with(&self, wanted: bool, ids: &mut Vec<u32>) {
        if wanted && !ids.starts_with(&self.before) {
            ids.splice(..0, self.before.iter().copied());
        }
        if ids.is_empty() {
            ids.extend(self.begin);
        }
    }

    /// `first`: nothing but a special token stands before the text.
    fn encode_text(&self, text: &str, mut first: bool, ids: &mut Vec<u32>) -> Result<(), String> {
        for part in self.added.cut(text) {
            match part {
                Part::Token(id) => ids.push(id),
                Part::Text(text) => match &self.algorithm {
                    Algorithm::Bytes(it) => it.encode(text, ids)?,
                    Algorithm::Pieces(it) => it.encode(text, first, ids),
                    Algorithm::Unigram(it) => it.encode(text, ids),
                    Algorithm::Published(it) => it.encode(text, ids)?,
                },
            }
            first = matches!(part, Part::Token(_));
        }
        Ok(())
    }

    /// A token by itself, for people: a control token's name, else its text.
    pub(crate) fn text(&self, token: u32) -> String {
        if self.kinds.get(token as usize) == Some(&Kind::Control) {
            return self.tokens[token as usize].clone();
        }
        let mut bytes = Vec::new();
        self.bytes(token, &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Appends the bytes that a token stands for; control tokens stand for none.
    ///
    /// Tokens are pieces of bytes, not of characters: see [`Detokenizer`](crate::detokenize::Detokenizer).
    pub(crate) fn bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        let (Some(text), Some(kind)) = (self.tokens.get(token as usize), self.kinds.get(token as usize))
        else {
            return;
        };
        match (kind, self.writing) {
            (Kind::Control, _) => {}
            (Kind::Added, Writing::Bytes) => bytes.extend_from_slice(text.as_bytes()),
            (_, Writing::Bytes) => ByteLevel::bytes(text, bytes),
            (_, Writing::Pieces) => Pieces::bytes(text, *kind, bytes),
        }
    }
}

/// The algorithm that a file names, and whether a text begins with the beginning token where the file does not say.
fn algorithm(
    gguf: &mut Gguf,
    model: &str,
    tokens: &[String],
    kinds: &[Kind],
    unknown: Option<u32>,
) -> Result<(Algorithm, bool), String> {
    let flag = |name: &str| gguf.flag(&format!("tokenizer.ggml.{name}")).map_err(|err| err.to_string());
    let add_space = flag("add_space_prefix")?;
    let merge_spaces = flag("remove_extra_whitespaces")?.unwrap_or(false);
    Ok(match model {
        "gpt2" => {
            let pre = gguf.text("tokenizer.ggml.pre").map_err(|err| err.to_string())?;
            let words = Words::new(pre)?;
            let Some(Value::Texts(merges)) = gguf.take("tokenizer.ggml.merges") else {
                return Err("no list of texts `tokenizer.ggml.merges`".to_owned());
            };
            let begins = words.begins;
            (Algorithm::Bytes(ByteLevel::new(tokens, kinds, &merges, words)?), begins)
        }
        "llama" => {
            let pieces =
                Pieces::new(tokens, kinds, scores(gguf, tokens.len())?, unknown, add_space.unwrap_or(true));
            (Algorithm::Pieces(pieces), true)
        }
        "t5" => {
            let unknown = unknown.ok_or("no token for what is unknown")?;
            let replacements = match gguf.take("tokenizer.ggml.precompiled_charsmap") {
                None => Vec::new(),
                Some(Value::Integers(it)) => {
                    // A byte may have been written as a signed one.
                    it.into_iter().map(|it| it.to_le_bytes()[0]).collect()
                }
                Some(_) => return Err("`tokenizer.ggml.precompiled_charsmap` is not bytes".to_owned()),
            };
            let replacements = Replacements::read(&replacements)?;
            let normalizer = Normalizer { replacements, add_space: add_space.unwrap_or(false), merge_spaces };
            let scores = scores(gguf, tokens.len())?;
            (Algorithm::Unigram(Unigram::new(tokens, kinds, &scores, unknown, normalizer)?), false)
        }
        other => return Err(format!("the tokenizer `{other}` is not supported")),
    })
}

/// How likely pieces are, one for each token.
fn scores(gguf: &mut Gguf, tokens: usize) -> Result<Vec<f32>, String> {
    match gguf.take("tokenizer.ggml.scores") {
        Some(Value::Floats(it)) if it.iter().any(|it| it.is_nan()) => {
            Err("`tokenizer.ggml.scores` holds what is not a number".to_owned())
        }
        Some(Value::Floats(it)) if it.len() == tokens => Ok(it),
        _ => Err("`tokenizer.ggml.scores` does not fit the tokens".to_owned()),
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
