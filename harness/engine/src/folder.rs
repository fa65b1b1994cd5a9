//! The tokenizer and the chat template of a folder, as Hugging Face publishes them.
//!
//! | file | what is read |
//! |---|---|
//! | `tokenizer.json` | the tokenizer itself |
//! | `tokenizer_config.json`, `special_tokens_map.json` | which tokens begin and end a text; more added tokens; the chat template |
//! | `generation_config.json`, `config.json` | which tokens end an answer |
//! | `chat_template.jinja`, `chat_template.json` | the chat template, where it is a file of its own |
//!
//! The control token that the chat template writes after the model's turn ends an answer, too, and so do those of
//! the names in [`ENDS`].

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::matcher::Matcher;
use crate::published::{Added, File, Published};
use crate::template::Template;
use crate::tokenizer::{Algorithm, ENDS, Kind, Tokenizer};

/// The largest `tokenizer.json`; Gemma's, with 262 144 tokens, has 33 MB.
const LARGEST: u64 = 64 << 20;
/// The largest of the other files; Gemma's has 1 MB.
const LARGEST_OTHER: u64 = 4 << 20;
/// The most added tokens, and the most bytes of them together: ten times those of published files. They are searched
/// for by an automaton with a state for each byte.
const MOST_ADDED: usize = 1 << 16;
const MOST_ADDED_BYTES: usize = 1 << 20;
/// Ids are below this where no weights say how many there are.
const MOST_TOKENS: usize = 1 << 21;
/// The names of the special tokens in a configuration.
const NAMED: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What a folder says about text.
pub(crate) struct Folder {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) template: Option<Template>,
}

/// Reads a folder; `vocabulary` is how many tokens the weights know.
pub(crate) fn read(folder: &Path, vocabulary: Option<usize>) -> Result<Folder, String> {
    let Some(bytes) = bytes(folder, "tokenizer.json")? else {
        return Err(format!(
            "{}: no tokenizer.json; transformers writes one with `AutoTokenizer.from_pretrained(…).save_pretrained(…)`",
            folder.display()
        ));
    };
    let fault = |reason: String| format!("{}: {reason}", folder.join("tokenizer.json").display());
    let file = serde_json::from_slice(&bytes).map_err(|err| fault(err.to_string()))?;
    let config = json(folder, "tokenizer_config.json")?;
    let named = json(folder, "special_tokens_map.json")?;
    let ends = [json(folder, "generation_config.json")?, json(folder, "config.json")?];
    let mut digest = String::new();
    for byte in Sha256::digest(&bytes) {
        write!(digest, "{byte:02x}").expect("a string takes all");
    }
    drop(bytes);
    let mut tokenizer = tokenizer(file, &digest, &config, &named, &ends, vocabulary).map_err(fault)?;
    let template = match bytes_as_text(folder, "chat_template.jinja")? {
        Some(source) => Some(source),
        None => match chat_template(&json(folder, "chat_template.json")?["chat_template"]) {
            Some(source) => Some(source),
            None => chat_template(&config["chat_template"]),
        },
    };
    let template = template.map(Template::new);
    if let Some(end) = template.as_ref().and_then(|it| it.turn_end(&tokenizer))
        && !tokenizer.stops.contains(&end)
    {
        tokenizer.stops.push(end);
    }
    Ok(Folder { tokenizer, template })
}

/// A template, or the one called `default` of several.
fn chat_template(value: &Value) -> Option<String> {
    let of_several = || value.as_array()?.iter().find(|it| it["name"] == "default")?["template"].as_str();
    value.as_str().or_else(of_several).map(str::to_owned)
}

fn tokenizer(
    mut file: File,
    digest: &str,
    config: &Value,
    named: &Value,
    ends: &[Value],
    vocabulary: Option<usize>,
) -> Result<Tokenizer, String> {
    // A special token is given by its text, or by its text and how it is matched.
    let text = |name: &str| {
        let of = |value: &Value| value.as_str().or(value["content"].as_str()).map(str::to_owned);
        of(&config[name]).or_else(|| of(&named[name]))
    };
    let mut places: HashMap<String, usize> =
        file.added_tokens.iter().enumerate().map(|(place, it)| (it.content.clone(), place)).collect();
    for (id, added) in config["added_tokens_decoder"].as_object().into_iter().flatten() {
        let Ok(id) = id.parse() else { return Err(format!("the added token `{id}` has no number")) };
        let mut added: Added = serde_json::from_value(added.clone()).map_err(|err| err.to_string())?;
        added.id = id;
        if let Some(known) = places.get(&added.content) {
            file.added_tokens[*known].special |= added.special;
        } else {
            places.insert(added.content.clone(), file.added_tokens.len());
            file.added_tokens.push(added);
        }
    }
    let added_bytes: usize = file.added_tokens.iter().map(|it| it.content.len()).sum();
    if file.added_tokens.len() > MOST_ADDED || added_bytes > MOST_ADDED_BYTES {
        return Err(format!("{} added tokens of {added_bytes} bytes are too many", file.added_tokens.len()));
    }
    for content in NAMED.iter().filter_map(|it| text(it)) {
        match file.added_tokens.iter_mut().find(|it| it.content == content) {
            Some(known) => known.special = true,
            None => {
                if let Some(id) = file.id(&content) {
                    file.added_tokens.push(Added::special(id, content));
                }
            }
        }
    }
    file.added_tokens.sort_by_key(|it| it.id);

    let limit = vocabulary.unwrap_or(MOST_TOKENS);
    let tokens = file.tokens(limit)?;
    let (begin, end) =
        (text("bos_token").and_then(|it| file.id(&it)), text("eos_token").and_then(|it| file.id(&it)));
    let within = |id: &u32| (*id as usize) < tokens.len();
    let (begin, end) = (begin.filter(within), end.filter(within));
    let mut kinds = vec![Kind::Text; tokens.len()];
    if file.has_bytes() {
        for (kind, token) in kinds.iter_mut().zip(&tokens) {
            if crate::pieces::byte(token).is_some() {
                *kind = Kind::Byte;
            }
        }
    }
    let mut control = Vec::new();
    for added in &file.added_tokens {
        if let Some(kind) = kinds.get_mut(added.id as usize) {
            *kind = if added.special { Kind::Control } else { Kind::Added };
            if added.special {
                control.push((added.content.clone(), added.id));
            }
        }
    }
    let marks = tokens.iter().zip(&kinds).zip(0..).filter(|((token, kind), _)| {
        matches!(kind, Kind::Control | Kind::Added) && ENDS.contains(&token.as_str())
    });
    let mut stops: Vec<u32> = marks.map(|(_, id)| id).chain(end).collect();
    for value in ends.iter().map(|it| &it["eos_token_id"]) {
        let one = value.as_u64().into_iter();
        let all = one.chain(value.as_array().into_iter().flatten().filter_map(Value::as_u64));
        stops.extend(all.filter_map(|it| u32::try_from(it).ok()).filter(within));
    }
    stops.sort_unstable();
    stops.dedup();

    let writing = file.writing()?;
    let published = Published::new(file, digest)?;
    // `add_bos_token` is for folders without a `tokenizer.json`: transformers does not read it otherwise.
    let before = published.before()?;
    if let Some(unknown) = before.iter().find(|it| !within(it)) {
        return Err(format!("a text begins with the token {unknown}, which there is not"));
    }
    Ok(Tokenizer {
        tokens,
        kinds,
        writing,
        algorithm: Algorithm::Published(Box::new(published)),
        control: Matcher::new(control.into_iter())?,
        added: Matcher::new(std::iter::empty())?,
        begin,
        before,
        // A template writes it, where the model wants it.
        before_chat: false,
        end,
        stops,
    })
}

/// A file's JSON; null where there is no file.
fn json(folder: &Path, name: &str) -> Result<Value, String> {
    let Some(bytes) = bytes(folder, name)? else { return Ok(Value::Null) };
    serde_json::from_slice(&bytes).map_err(|err| format!("{}: {err}", folder.join(name).display()))
}

fn bytes_as_text(folder: &Path, name: &str) -> Result<Option<String>, String> {
    let text = bytes(folder, name)?.map(String::from_utf8).transpose();
    text.map_err(|err| format!("{}: {err}", folder.join(name).display()))
}

fn bytes(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, String> {
    let path = folder.join(name);
    let fault = |reason: String| format!("{}: {reason}", path.display());
    let most = if name == "tokenizer.json" { LARGEST } else { LARGEST_OTHER };
    match std::fs::metadata(&path) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(fault(err.to_string())),
        Ok(it) if !it.is_file() => Err(fault("not a file".to_owned())),
        Ok(it) if it.len() > most => {
            Err(fault(format!("it has {} bytes, where at most {most} are read", it.len())))
        }
        Ok(_) => std::fs::read(&path).map(Some).map_err(|err| fault(err.to_string())),
    }
}
