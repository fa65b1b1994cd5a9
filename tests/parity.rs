//! Every architecture against reference logits that transformers computed in float32.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use engine::Device;
use engine::parity::{Parity, Reading};
use rstest::rstest;

/// Absolute; logits spread by about 1.2.
const TOLERANCE: f32 = 1e-4;

#[rstest]
fn logits_and_greedy_tokens_are_those_of_the_reference(
    #[files("tests/fixtures/checkpoints/*/config.json")] config: PathBuf,
) {
    let folder = config.parent().unwrap();
    let parity = Parity::open(folder, Device::Cpu, None, 2).unwrap();
    for (prompt, difference) in parity.differences().unwrap().into_iter().enumerate() {
        assert!(difference.largest <= TOLERANCE, "{} prompt {prompt}: {difference:?}", folder.display());
        assert_eq!(difference.token, None, "{} prompt {prompt}", folder.display());
    }
}

/// With the numbers that the stored ones mean, there is nothing to lose.
#[rstest]
fn weights_of_four_bits_mean_what_the_reference_computed_with(
    #[files("tests/fixtures/quantized/*/config.json")] config: PathBuf,
) {
    let folder = config.parent().unwrap();
    let parity = Parity::open(folder, Device::Cpu, None, 2).unwrap();
    for (prompt, difference) in parity.differences().unwrap().into_iter().enumerate() {
        assert!(difference.largest <= TOLERANCE, "{} prompt {prompt}: {difference:?}", folder.display());
        assert_eq!(difference.token, None, "{} prompt {prompt}", folder.display());
    }
    // Activations of 8 bits cost a little.
    let parity = Parity::open_rounded(folder, None, 2).unwrap();
    let logits = parity.logits(Reading::Whole).unwrap();
    for (prompt, (logits, reference)) in logits.iter().zip(parity.references()).enumerate() {
        let squares: f32 = logits.iter().zip(&reference.logits).map(|(a, b)| (a - b).powi(2)).sum();
        let apart = (squares / logits.len() as f32).sqrt();
        assert!((1e-4..0.05).contains(&apart), "{} prompt {prompt}: {apart}", folder.display());
    }
}

#[test]
fn there_are_references_of_every_form_of_four_bits() {
    let folders = std::fs::read_dir("tests/fixtures/quantized").unwrap();
    assert_eq!(folders.count(), 7);
}

/// However a prompt is cut, whatever is read beside it, on any instruction set and any number of threads.
#[rstest]
fn logits_are_the_same_to_the_last_bit(
    #[files("tests/fixtures/checkpoints/*/config.json")]
    #[files("tests/fixtures/quantized/*/config.json")]
    config: PathBuf,
) {
    let folder = config.parent().unwrap();
    let wanted = bits(folder, "portable", 1, Reading::Whole).expect("every CPU can do that");
    for cpu in ["portable", "avx2", "avx512"] {
        for threads in [1, 3] {
            for reading in [
                Reading::Whole,
                Reading::Chunks(1),
                Reading::Chunks(3),
                Reading::Chunks(8),
                Reading::Together,
            ] {
                let Some(found) = bits(folder, cpu, threads, reading) else { continue };
                assert!(found == wanted, "{} {cpu} {threads} threads {reading:?}", folder.display());
            }
        }
    }
}

/// `None` where this CPU does not have the instruction set.
fn bits(folder: &Path, cpu: &str, threads: usize, reading: Reading) -> Option<Vec<Vec<u32>>> {
    let quantized = folder.parent().is_some_and(|it| it.ends_with("quantized"));
    let parity = if quantized {
        Parity::open_rounded(folder, Some(cpu), threads)
    } else {
        Parity::open(folder, Device::Cpu, Some(cpu), threads)
    };
    let parity = match parity {
        Ok(parity) => parity,
        Err(reason) => {
            assert!(reason.contains("does not have"), "{reason}");
            return None;
        }
    };
    let logits = parity.logits(reading).expect("the checkpoint can be read");
    Some(logits.into_iter().map(|it| it.into_iter().map(f32::to_bits).collect()).collect())
}

#[test]
fn there_are_references_of_every_architecture() {
    let mut found = BTreeSet::new();
    for folder in std::fs::read_dir("tests/fixtures/checkpoints").unwrap() {
        let config = std::fs::read_to_string(folder.unwrap().path().join("config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        found.insert(config["model_type"].as_str().unwrap().to_owned());
    }
    let all = [
        "bloom",
        "falcon",
        "gemma2",
        "gemma3_text",
        "gpt_bigcode",
        "gpt_neox",
        "llama",
        "mistral",
        "mixtral",
        "mpt",
        "phi",
        "qwen2",
        "qwen3",
        "stablelm",
    ];
    assert_eq!(found, all.map(str::to_owned).into());
}
