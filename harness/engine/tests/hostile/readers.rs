//! The doors that files come in by, from bytes to an answer: what the fuzz targets and the tests go through.

use std::io::Write as _;
use std::path::Path;

use engine::parity::{Parity, Reading};
use engine::{Device, Engine, Options, Tokenizer};
use eval::backend::{Backend as _, BackendError, Message, Request, Role, Score};
use tempfile::{NamedTempFile, TempDir};

use crate::tiny;

/// What a reader made of its bytes; the error is for people.
pub(super) type Outcome = Result<(), String>;

/// Text with what tokenizers treat in ways of their own.
const TEXT: &str =
    "ab a[n] </s>\n\n don't 1234 \u{e9}\u{65e5}\u{672c} \u{1f642}\u{200d} <0x41>\t\u{2581}\u{0}end";

/// What fits the shortest context.
const SHORT: &str = "ab";

fn message(role: Role, content: &str) -> Message {
    Message { role, content: content.to_owned() }
}

/// A small context and cache, and one thread.
pub(super) fn options() -> Options {
    Options { context: Some(32), threads: Some(1), cache: Some(1 << 20), ..Options::default() }
}

/// Tokenizes a text, loads the weights and asks how likely a text is.
pub(super) fn ask(engine: &Engine) -> Outcome {
    let told = |err: BackendError| {
        let told = err.to_string();
        assert!(!told.contains("thread is gone"), "the scheduler panicked");
        told
    };
    engine.prompt(&[message(Role::User, TEXT)]).map_err(told)?;
    let request = Score { messages: vec![message(Role::User, SHORT)], continuations: vec![SHORT.to_owned()] };
    engine.answer(&Request::Score(request), &mut |_| {}).map(drop).map_err(told)
}

pub(super) fn write(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("room for a file");
    file.write_all(bytes).expect("room for a file");
    file
}

/// A folder of these files.
pub(super) fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("room for a folder");
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).expect("room for a file");
    }
    folder
}

/// Opens and loads a folder, and computes the logits of two tokens.
pub(super) fn read_folder(path: &Path) -> Outcome {
    Parity::open(path, Device::Cpu, None, 1)?.logits(Reading::Whole).map(drop)
}

/// A GGUF file.
pub(super) fn gguf(bytes: &[u8]) -> Outcome {
    let file = write(bytes);
    ask(&engine::open(file.path(), options()).map_err(|err| err.to_string())?)
}

/// `model.safetensors`, beside the settings of a tiny Llama.
pub(super) fn safetensors(bytes: &[u8]) -> Outcome {
    let files: [(&str, &[u8]); 3] = [
        ("config.json", tiny::CONFIG.as_bytes()),
        ("reference.safetensors", &tiny::reference()),
        ("model.safetensors", bytes),
    ];
    read_folder(folder(&files).path())
}

/// `config.json`, after a byte that says beside which of the checkpoints' weights.
pub(super) fn config(bytes: &[u8], checkpoints: &Path) -> Outcome {
    let Some((which, bytes)) = bytes.split_first() else { return Err("no byte".to_owned()) };
    let folder = folder(&[("config.json", bytes)]);
    let mut names: Vec<_> = std::fs::read_dir(checkpoints)
        .expect("a folder of checkpoints")
        .map(|it| it.expect("an entry").path())
        .collect();
    names.sort();
    let weights = &names[usize::from(*which) % names.len()];
    for name in ["model.safetensors", "reference.safetensors"] {
        std::os::unix::fs::symlink(weights.join(name), folder.path().join(name)).expect("a link");
    }
    read_folder(folder.path())
}

/// `model.safetensors.index.json`, beside the two shards of a tiny Llama.
pub(super) fn index(bytes: &[u8]) -> Outcome {
    let (mut one, two) = (tiny::llama(), tiny::llama().split_off(4));
    one.truncate(4);
    let files: [(&str, &[u8]); 5] = [
        ("config.json", tiny::CONFIG.as_bytes()),
        ("reference.safetensors", &tiny::reference()),
        ("1.safetensors", &tiny::file_of(&one)),
        ("2.safetensors", &tiny::file_of(&two)),
        ("model.safetensors.index.json", bytes),
    ];
    read_folder(folder(&files).path())
}

/// The metadata of a GGUF file's tokenizer.
pub(super) fn gguf_tokenizer(bytes: &[u8]) -> Outcome {
    Tokenizer::open(write(bytes).path())?.encode(TEXT).map(drop)
}

/// `tokenizer.json`, then, each after a zero byte, `tokenizer_config.json` and `generation_config.json`.
pub(super) fn folder_tokenizer(bytes: &[u8]) -> Outcome {
    let mut parts = bytes.split(|it| *it == 0);
    let mut files = Vec::new();
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        files.extend(parts.next().map(|it| (name, it)));
    }
    Tokenizer::open(folder(&files).path())?.encode(TEXT).map(drop)
}

/// A chat template.
pub(super) fn template(bytes: &[u8]) -> Outcome {
    let source = std::str::from_utf8(bytes).map_err(|err| err.to_string())?;
    let file = write(&tiny::gguf("llama").text("tokenizer.chat_template", source).bytes());
    let engine = engine::open(file.path(), options()).map_err(|err| err.to_string())?;
    let messages = [
        message(Role::System, "You are</s> kind."),
        message(Role::User, TEXT),
        message(Role::Assistant, "{{ 1 }}"),
        message(Role::User, SHORT),
    ];
    engine.prompt(&messages).map(drop).map_err(|err| err.to_string())
}

/// The readers, by the names of their fuzz targets.
pub(super) fn read(target: &str, bytes: &[u8], checkpoints: &Path) -> Outcome {
    match target {
        "gguf" => gguf(bytes),
        "safetensors" => safetensors(bytes),
        "config" => config(bytes, checkpoints),
        "index" => index(bytes),
        "gguf_tokenizer" => gguf_tokenizer(bytes),
        "folder_tokenizer" => folder_tokenizer(bytes),
        "template" => template(bytes),
        other => panic!("no target `{other}`"),
    }
}
