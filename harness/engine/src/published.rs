//! What a `tokenizer.json` describes, run by the tokenizers crate.
//!
//! Special tokens are renamed to marks that no text contains before the crate sees them. So it never finds one
//! in text, not even by joining pieces; where a template wrote one, its mark is put in its place.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Deserialize;
use serde_json::Value;
use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::{BPE, BpeBuilder};
use tokenizers::models::unigram::Unigram;
use tokenizers::{AddedToken, Encoding, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Token};

use crate::matcher::{Matcher, Part};
use crate::tokenizer::Writing;
use crate::unigram::{LONGEST_REPLACEMENT, Replacements};

/// The most steps of a part of the file, several times what published ones have.
const MOST_STEPS: usize = 64;
/// How many times as long a text may become; published files stay below a tenth of it.
const MOST_GROWTH: f64 = 1e5;

/// The file, as written.
#[derive(Deserialize)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) added_tokens: Vec<Added>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
    model: Model,
}

/// A token that is matched before the model runs.
#[derive(Clone, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "as the file has them")]
pub(crate) struct Added {
    #[serde(default)]
    pub(crate) id: u32,
    pub(crate) content: String,
    #[serde(default)]
    pub(crate) single_word: bool,
    #[serde(default)]
    pub(crate) lstrip: bool,
    #[serde(default)]
    pub(crate) rstrip: bool,
    #[serde(default)]
    pub(crate) normalized: bool,
    #[serde(default)]
    pub(crate) special: bool,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Vocabulary,
    #[serde(default)]
    merges: Vec<Merge>,
    unk_token: Option<String>,
    unk_id: Option<usize>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    fuse_unk: bool,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vocabulary {
    Ids(HashMap<String, u32>),
    Scores(Vec<(String, f64)>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Text(String),
}

impl Added {
    /// A special token that is matched as it is.
    pub(crate) fn special(id: u32, content: String) -> Self {
        let (single_word, lstrip, rstrip, normalized) = (false, false, false, false);
        Self { id, content, single_word, lstrip, rstrip, normalized, special: true }
    }
}

impl File {
    /// The id of a token's text.
    pub(crate) fn id(&self, text: &str) -> Option<u32> {
        let added = self.added_tokens.iter().find(|it| it.content == text).map(|it| it.id);
        added.or_else(|| match &self.model.vocab {
            Vocabulary::Ids(it) => it.get(text).copied(),
            Vocabulary::Scores(it) => it.iter().position(|(it, _)| it == text)?.try_into().ok(),
        })
    }

    /// The texts of all tokens by their ids; empty where an id has none.
    pub(crate) fn tokens(&self, limit: usize) -> Result<Vec<String>, String> {
        let of_model: Box<dyn Iterator<Item = (&String, u32)>> = match &self.model.vocab {
            Vocabulary::Ids(it) => Box::new(it.iter().map(|(text, id)| (text, *id))),
            Vocabulary::Scores(it) => Box::new(it.iter().zip(0..).map(|((text, _), id)| (text, id))),
        };
        let special: HashSet<u32> =
            self.added_tokens.iter().filter(|it| it.special).map(|it| it.id).collect();
        let mut tokens = Vec::new();
        for (text, id) in of_model.chain(self.added_tokens.iter().map(|it| (&it.content, it.id))) {
            let at = id as usize;
            if at >= limit {
                // A mark that the weights do not know is never used; text could become anything else.
                if special.contains(&id) {
                    continue;
                }
                return Err(format!("`{text}` has the id {id}, beyond the {limit} tokens of the weights"));
            }
            if tokens.len() <= at {
                tokens.resize(at + 1, String::new());
            }
            tokens[at].clone_from(text);
        }
        Ok(tokens)
    }

    /// Whether the decoder takes `<0x0A>` for a byte.
    pub(crate) fn has_bytes(&self) -> bool {
        self.decoder.as_ref().is_some_and(|it| steps(it).any(|it| it["type"] == "ByteFallback"))
    }

    /// How the decoder reads the tokens.
    pub(crate) fn writing(&self) -> Result<Writing, String> {
        let (mut bytes, mut pieces) = (false, false);
        for step in self.decoder.iter().flat_map(steps) {
            match step["type"].as_str() {
                Some("ByteLevel") => bytes = true,
                Some("Metaspace") if step["replacement"].as_str().unwrap_or("▁") == "▁" => pieces = true,
                Some("Replace") if step["pattern"]["String"] == "▁" && step["content"] == " " => {
                    pieces = true;
                }
                Some("ByteFallback" | "Fuse" | "Strip") => {}
                _ => return Err(format!("the decoder `{step}` is not supported")),
            }
        }
        match (bytes, pieces) {
            (true, false) => Ok(Writing::Bytes),
            (false, true) => Ok(Writing::Pieces),
            _ => Err("no decoder says how the tokens are written".to_owned()),
        }
    }
}

/// The steps of a part of the file, those within a sequence one by one.
fn steps(part: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    let within = ["decoders", "normalizers", "pretokenizers", "processors"];
    match within.iter().find_map(|it| part[*it].as_array()) {
        Some(parts) => Box::new(parts.iter().flat_map(steps)),
        None => Box::new(std::iter::once(part)),
    }
}

/// Refuses what takes long or makes much of a short text: each step may make the text longer, so the bounds of all are
/// multiplied.
fn check_steps(parts: [&Option<Value>; 2]) -> Result<(), String> {
    let mut growth = 1.0;
    for part in parts.into_iter().flatten() {
        if steps(part).nth(MOST_STEPS).is_some() {
            return Err(format!("more than {MOST_STEPS} steps one after the other"));
        }
        for step in steps(part) {
            growth *= growth_of(step)?;
        }
    }
    if growth > MOST_GROWTH {
        return Err(format!("its steps can make a text {growth} times as long"));
    }
    Ok(())
}

/// The most bytes that a step makes of one.
fn growth_of(step: &Value) -> Result<f64, String> {
    let length = |text: &Value| text.as_str().map_or(0, str::len);
    Ok(match step["type"].as_str().unwrap_or_default() {
        "Replace" => {
            let content = length(&step["content"]) as f64;
            match length(&step["pattern"]["String"]) {
                // An expression may match between all characters.
                0 => content + 1.0,
                pattern => (content / pattern as f64).max(1.0),
            }
        }
        "Prepend" => length(&step["prepend"]) as f64 + 1.0,
        "Precompiled" => {
            let table = step["precompiled_charsmap"].as_str().unwrap_or_default();
            Replacements::read(&base64(table).ok_or("the table of replacements is broken")?)?;
            LONGEST_REPLACEMENT as f64
        }
        // U+FDFA.
        "NFKC" | "NFKD" => 11.0,
        "Metaspace" => 4.0,
        "ByteLevel" | "Lowercase" | "NFD" | "Nmt" | "BertNormalizer" => 3.0,
        _ => 1.0,
    })
}

/// The bytes that standard base64 stands for.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for character in text.trim_end_matches('=').bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count).to_le_bytes()[0]);
        }
    }
    Some(bytes)
}

/// A tokenizer as its `tokenizer.json` describes it.
pub(crate) struct Published {
    tokenizer: tokenizers::Tokenizer,
    /// What every mark begins with.
    mark: String,
}

impl Published {
    /// `digest` is of the file: it makes marks that nobody writes by chance.
    pub(crate) fn new(file: File, digest: &str) -> Result<Self, String> {
        let mark = format!("\0{}:", digest.get(..16).unwrap_or(digest));
        guarded(|| {
            let File { added_tokens, normalizer, pre_tokenizer, post_processor, model, .. } = file;
            check_steps([&normalizer, &pre_tokenizer])?;
            let mut tokenizer = tokenizers::Tokenizer::new(model.read(&added_tokens, &mark)?);
            let read = |err: serde_json::Error| err.to_string();
            if let Some(it) = normalizer.filter(|it| !it.is_null()) {
                let it: NormalizerWrapper = serde_json::from_value(it).map_err(read)?;
                tokenizer.with_normalizer(Some(it)).map_err(|err| err.to_string())?;
            }
            if let Some(it) = pre_tokenizer.filter(|it| !it.is_null()) {
                let it: PreTokenizerWrapper = serde_json::from_value(it).map_err(read)?;
                tokenizer.with_pre_tokenizer(Some(it));
            }
            if let Some(it) = post_processor.filter(|it| !it.is_null()) {
                let it: PostProcessorWrapper = serde_json::from_value(it).map_err(read)?;
                tokenizer.with_post_processor(Some(it));
            }
            let named = added_tokens.iter().map(|it| {
                let content = if it.special { marked(&mark, it.id) } else { it.content.clone() };
                AddedToken {
                    content,
                    single_word: it.single_word,
                    lstrip: it.lstrip,
                    rstrip: it.rstrip,
                    normalized: it.normalized && !it.special,
                    special: it.special,
                }
            });
            let named: Vec<_> = named.filter(|it| !it.content.is_empty()).collect();
            tokenizer.add_tokens(named.clone()).map_err(|err| err.to_string())?;
            for (token, added) in named.iter().zip(added_tokens.iter().filter(|it| !it.content.is_empty())) {
                if tokenizer.token_to_id(&token.content) != Some(added.id) {
                    return Err(format!(
                        "the added token `{}` cannot have the id {}",
                        added.content, added.id
                    ));
                }
            }
            Ok(Self { tokenizer, mark })
        })
    }

    /// The tokens that the file puts before a text.
    pub(crate) fn before(&self) -> Result<Vec<u32>, String> {
        const TEXT: u32 = u32::MAX;
        guarded(|| {
            let text = Encoding::from_tokens(vec![Token::new(TEXT, "text".to_owned(), (0, 4))], 0);
            let whole = self.tokenizer.post_process(text, None, true).map_err(|err| err.to_string())?;
            Ok(whole.get_ids().iter().copied().take_while(|it| *it != TEXT).collect())
        })
    }

    /// Appends the ids of a text, in which special tokens are only text.
    pub(crate) fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        if text.contains(&self.mark) {
            return Err("the text contains this tokenizer's own mark for special tokens".to_owned());
        }
        self.run(text, ids)
    }

    /// Appends the ids of a text in which `control` tokens are meant, except where `guard` divides them.
    pub(crate) fn encode_marked(
        &self,
        text: &str,
        guard: char,
        control: &Matcher,
        ids: &mut Vec<u32>,
    ) -> Result<(), String> {
        if text.replace(guard, "").contains(&self.mark) {
            return Err("the text contains this tokenizer's own mark for special tokens".to_owned());
        }
        let mut written = String::with_capacity(text.len());
        control.split(text, |part| {
            match part {
                Part::Token(id) => written.push_str(&marked(&self.mark, id)),
                Part::Text(text) => written.extend(text.chars().filter(|it| *it != guard)),
            }
            Ok::<_, String>(())
        })?;
        self.run(&written, ids)
    }

    fn run(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        guarded(|| {
            let encoding = self.tokenizer.encode_fast(text, false).map_err(|err| err.to_string())?;
            ids.extend_from_slice(encoding.get_ids());
            Ok(())
        })
    }
}

/// What stands for a special token.
fn marked(mark: &str, id: u32) -> String {
    format!("{mark}{id}\0")
}

/// The crate panics on some damaged files, such as on a table of replacements that points outside itself.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the tokenizer is damaged".to_owned()))
}

impl Model {
    /// The crate's model, special tokens renamed.
    fn read(self, added: &[Added], mark: &str) -> Result<ModelWrapper, String> {
        let names: HashMap<&str, &Added> = added.iter().map(|it| (it.content.as_str(), it)).collect();
        let special = |it: &str| names.get(it).is_some_and(|it| it.special);
        let kind = self.kind.as_deref().unwrap_or("BPE");
        match (kind, self.vocab) {
            ("BPE", Vocabulary::Ids(mut vocabulary)) => {
                vocabulary.retain(|text, _| !special(text));
                for it in added.iter().filter(|it| !it.content.is_empty()) {
                    let text = if it.special { marked(mark, it.id) } else { it.content.clone() };
                    vocabulary.insert(text, it.id);
                }
                let merges = self.merges.into_iter().map(|merge| match merge {
                    Merge::Pair(left, right) => Ok((left, right)),
                    Merge::Text(text) => match text.split_once(' ') {
                        Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
                        None => Err(format!("the merge `{text}` is not a pair")),
                    },
                });
                // A merge that makes a special token would make it of text.
                let merges = merges.filter(|it| {
                    let makes = |(left, right): &(String, String)| special(&[left.as_str(), right].concat());
                    !it.as_ref().is_ok_and(makes)
                });
                let merges = merges.collect::<Result<Vec<_>, _>>()?;
                let mut builder: BpeBuilder = BPE::builder()
                    .vocab_and_merges(
                        vocabulary.into_iter().collect::<tokenizers::models::bpe::Vocab>(),
                        merges,
                    )
                    .fuse_unk(self.fuse_unk)
                    .byte_fallback(self.byte_fallback)
                    .ignore_merges(self.ignore_merges)
                    // The crate's cache would stay in every thread that once tokenized.
                    .cache_capacity(0);
                if let Some(unknown) = self.unk_token {
                    let name = names.get(unknown.as_str()).filter(|it| it.special);
                    builder = builder.unk_token(name.map_or(unknown, |it| marked(mark, it.id)));
                }
                if let Some(prefix) = self.continuing_subword_prefix.filter(|it| !it.is_empty()) {
                    builder = builder.continuing_subword_prefix(prefix);
                }
                if let Some(suffix) = self.end_of_word_suffix.filter(|it| !it.is_empty()) {
                    builder = builder.end_of_word_suffix(suffix);
                }
                Ok(ModelWrapper::BPE(builder.build().map_err(|err| err.to_string())?))
            }
            ("Unigram", Vocabulary::Scores(mut vocabulary)) => {
                // A text may stand there twice.
                for ((text, _), id) in vocabulary.iter_mut().zip(0..) {
                    if special(text) {
                        *text = marked(mark, id);
                    }
                }
                let model = Unigram::from(vocabulary, self.unk_id, self.byte_fallback);
                let mut model = ModelWrapper::Unigram(model.map_err(|err| err.to_string())?);
                model.resize_cache(0);
                Ok(model)
            }
            (kind, _) => Err(format!("the model `{kind}` is not supported")),
        }
    }
}
