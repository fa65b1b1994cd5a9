//! Files that were cut or lost some bits on their way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rstest::rstest;

use crate::readers::{self, folder, read_folder};
use crate::tiny;
use crate::watch::watched;

/// Cases are the same in every run.
fn runner(cases: u32) -> TestRunner {
    TestRunner::new_with_rng(Config::with_cases(cases), TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Some places of a file, more of them near its beginning, each with what its bits are flipped by.
fn flips(length: usize) -> impl Strategy<Value = Vec<(usize, u8)>> {
    let places = prop_oneof![0..length, 0..length.min(64), 0..length.min(2048)];
    prop::collection::vec((places, 1..=u8::MAX), 1..4)
}

#[rstest]
fn every_cut_of_a_gguf_file_is_an_error(#[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)] index: usize) {
    let bytes = tiny::gguf(tiny::ARCHITECTURES[index]).bytes();
    let step = if index == 0 { 1 } else { 29 };
    watched(|| {
        // Less than the alignment may stand behind the last tensor.
        for length in (0..bytes.len() - 32).step_by(step) {
            assert!(readers::gguf(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
        }
    });
}

#[test]
fn every_byte_of_a_gguf_file_may_be_wrong() {
    let mut bytes = tiny::gguf("llama").bytes();
    watched(|| {
        for at in 0..bytes.len() {
            for value in [bytes[at] ^ 0x80, 0xff] {
                let kept = std::mem::replace(&mut bytes[at], value);
                drop(readers::gguf(&bytes));
                bytes[at] = kept;
            }
        }
    });
}

#[rstest]
fn damaged_gguf_files(#[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)] index: usize) {
    damaged(&tiny::gguf(tiny::ARCHITECTURES[index]).bytes(), readers::gguf);
}

#[rstest]
fn damaged_quantized_files(#[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)] index: usize) {
    damaged(&tiny::quantized(tiny::QUANTIZED[index]).bytes(), readers::gguf);
}

#[test]
fn damaged_safetensors() {
    damaged(&tiny::file_of(&tiny::llama()), readers::safetensors);
}

#[test]
fn damaged_tokenizers() {
    for (_, file) in tiny::tokenizers() {
        damaged(&file.bytes(), readers::gguf_tokenizer);
    }
    for (_, source) in tiny::FOLDER_TOKENIZERS {
        damaged(source.as_bytes(), readers::folder_tokenizer);
    }
}

/// Nothing panics or hangs, whatever else comes of it.
fn damaged(bytes: &[u8], read: fn(&[u8]) -> readers::Outcome) {
    watched(|| {
        let run = runner(60).run(&flips(bytes.len()), |flips| {
            let mut bytes = bytes.to_vec();
            for (at, flip) in flips {
                bytes[at] ^= flip;
            }
            drop(read(&bytes));
            Ok(())
        });
        run.unwrap();
    });
}

#[rstest]
fn damaged_checkpoints(#[files("../../tests/fixtures/checkpoints/*/config.json")] config: PathBuf) {
    let source = config.parent().unwrap();
    let names = std::fs::read_dir(source).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    let is_json = |name: &str| Path::new(name).extension().is_some_and(|it| it == "json");
    let files: BTreeMap<String, Vec<u8>> =
        names.map(|name| (name.clone(), std::fs::read(source.join(name)).unwrap())).collect();
    let copy = folder(&[]);
    watched(|| {
        for (name, bytes) in files.iter().filter(|(name, _)| *name != "reference.safetensors") {
            for (name, bytes) in &files {
                std::fs::write(copy.path().join(name), bytes).unwrap();
            }
            let path = copy.path().join(name);
            let cases = if is_json(name) { 40 } else { 12 };
            runner(cases)
                .run(&(flips(bytes.len()), 0..bytes.len(), any::<bool>()), |(flips, length, cut)| {
                    let mut bytes = bytes.clone();
                    for (at, flip) in flips {
                        bytes[at] ^= flip;
                    }
                    if cut {
                        bytes.truncate(length);
                    }
                    std::fs::write(&path, &bytes).unwrap();
                    let outcome = read_folder(copy.path());
                    // A cut may have taken white space alone from the settings, but never from weights.
                    prop_assert!(outcome.is_err() || !cut || is_json(name));
                    Ok(())
                })
                .unwrap();
        }
    });
}
