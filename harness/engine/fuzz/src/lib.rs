//! What the fuzz targets share. The readers are those of `tests/hostile`, so that what a target finds becomes a test
//! as it is.

#![allow(dead_code, reason = "each target uses a part")]

use std::path::{Path, PathBuf};

#[path = "../../src/tests/gguf.rs"]
mod gguf;
#[path = "../../tests/hostile/readers.rs"]
mod readers;
#[path = "../../tests/hostile/tiny.rs"]
mod tiny;

/// Reads bytes as a target does; what comes of it is no matter, as long as something does.
pub fn read(target: &str, bytes: &[u8]) {
    drop(readers::read(target, bytes, &fixtures("checkpoints")));
}

/// What each target begins with.
pub fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for name in tiny::ARCHITECTURES {
        seeds.push(("gguf", name.to_owned(), tiny::gguf(name).bytes()));
    }
    for kind in tiny::QUANTIZED {
        seeds.push(("gguf", format!("type-{}", kind.0), tiny::quantized(kind).bytes()));
    }
    seeds.push(("safetensors", "llama".to_owned(), tiny::file_of(&tiny::llama())));
    for (which, folder) in (0_u8..).zip(sorted(&fixtures("checkpoints"))) {
        let config = std::fs::read(folder.join("config.json")).expect("settings");
        seeds.push(("config", name_of(&folder), [&[which][..], &config].concat()));
    }
    let place = |shard: u8| {
        tiny::llama().into_iter().enumerate().map(move |(at, it)| {
            let shard = if shard == 0 { usize::from(at >= 4) + 1 } else { usize::from(shard) };
            format!("\"{}\":\"{shard}.safetensors\"", it.0)
        })
    };
    for shard in 0..3 {
        let map = place(shard).collect::<Vec<_>>().join(",");
        seeds.push(("index", shard.to_string(), format!("{{\"weight_map\":{{{map}}}}}").into_bytes()));
    }
    for (name, file) in tiny::tokenizers() {
        seeds.push(("gguf_tokenizer", name.to_owned(), file.bytes()));
    }
    for name in ["byte-level", "metaspace", "unigram"] {
        let folder = fixtures("tokenizers").join(name);
        let files = ["tokenizer.json", "tokenizer_config.json", "generation_config.json"];
        let files = files.map(|it| std::fs::read(folder.join(it)).expect("a tokenizer"));
        seeds.push(("folder_tokenizer", name.to_owned(), files.join(&0)));
    }
    for (name, source) in tiny::FOLDER_TOKENIZERS {
        seeds.push(("folder_tokenizer", name.to_owned(), source.as_bytes().to_vec()));
    }
    for path in sorted(&fixtures("templates")) {
        if path.extension().is_some_and(|it| it == "jinja") {
            seeds.push(("template", name_of(&path), std::fs::read(&path).expect("a template")));
        }
    }
    let expressions =
        std::fs::read_to_string(fixtures("templates").join("expressions.txt")).expect("expressions");
    for (line, source) in expressions.lines().enumerate() {
        seeds.push(("template", format!("expression-{line}"), source.replace('\u{23ce}', "\n").into_bytes()));
    }
    seeds
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|it| it.expect("an entry").path());
    let mut paths: Vec<_> = entries.collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_stem().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A folder under the repository's `tests/fixtures`.
pub fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures").join(name)
}

/// Lets panics of other crates unwind, as the engine catches them where it must; one of its own ends the target.
pub fn init() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let file = info.location().map_or("", |it| it.file());
        if file.contains("engine/src") || file.contains("tests/hostile") {
            usual(info);
        }
    }));
}
