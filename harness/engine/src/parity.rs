//! A checkpoint's logits beside reference logits: for whoever adds an architecture.
//!
//! A folder holds `config.json`, `model.safetensors` or shards, and `reference.safetensors` with, for each prompt `i`,
//! `input_ids.i` (`[tokens]`, i64), `logits.i` (`[tokens, vocabulary]`, f32) and `greedy.i` (`[more tokens]`, i64).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::Tensor;

use crate::checkpoint::Checkpoint;
use crate::decoder::{Decoder, KeysValues, Step, blocks_of};
use crate::kernels;
use crate::kernels::attention::Place;
use crate::kernels::pool::Pool;
use crate::ops::{Device, Machine};
use crate::sampler;

/// How prompts are given to the decoder. Logits are the same to the last bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Each prompt by itself, at once.
    Whole,
    /// Each prompt by itself, so many tokens at a time.
    Chunks(usize),
    /// All prompts in one batch.
    Together,
}

/// A prompt and what a trusted implementation makes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The prompt.
    pub tokens: Vec<u32>,
    /// After each of its tokens, `[tokens, vocabulary]`.
    pub logits: Vec<f32>,
    /// The likeliest tokens that follow it.
    pub greedy: Vec<u32>,
}

/// How a prompt's answer differs from its reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The largest absolute difference of two logits.
    pub largest: f32,
    /// The length of the difference of all logits, as a part of the reference's length.
    pub relative: f32,
    /// The first greedy token that is another, if any.
    pub token: Option<usize>,
}

/// A checkpoint with references.
pub struct Parity {
    decoder: Decoder,
    references: Vec<Reference>,
}

impl Parity {
    /// Opens a folder; computes on a GPU, or on a named instruction set, `None` for the widest that there is.
    ///
    /// # Errors
    /// In words.
    pub fn open(folder: &Path, device: Device, cpu: Option<&str>, threads: usize) -> Result<Self, String> {
        let parity = Self::without_references(folder, device, cpu, threads)?;
        Ok(Self { references: references(&folder.join("reference.safetensors"))?, ..parity })
    }

    /// The same for a checkpoint that has no references, to be asked by [`Self::logits_of`].
    ///
    /// # Errors
    /// In words.
    pub fn without_references(
        path: &Path,
        device: Device,
        cpu: Option<&str>,
        threads: usize,
    ) -> Result<Self, String> {
        Self::load(path, device, cpu, threads, true)
    }

    /// As [`Self::open`], with what an engine rounds unless it is told otherwise: activations before quantized
    /// weights, keys and values.
    ///
    /// # Errors
    /// In words.
    pub fn open_rounded(folder: &Path, cpu: Option<&str>, threads: usize) -> Result<Self, String> {
        let parity = Self::load(folder, Device::Cpu, cpu, threads, false)?;
        Ok(Self { references: references(&folder.join("reference.safetensors"))?, ..parity })
    }

    fn load(
        path: &Path,
        device: Device,
        cpu: Option<&str>,
        threads: usize,
        dense: bool,
    ) -> Result<Self, String> {
        let checkpoint = Checkpoint::open(path)?;
        let path = match cpu {
            None => kernels::Path::choose()?,
            Some(name) => kernels::Path::named(name)?,
        };
        let pool = Pool::new(threads).map_err(|err| err.to_string())?;
        let machine = Machine::new(device, path, pool, checkpoint.spec())?;
        let decoder = Decoder::load(&checkpoint, Arc::new(machine), dense)?;
        Ok(Self { references: Vec::new(), decoder })
    }

    /// The prompts and what should come of them.
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The logits of each prompt, `[tokens, vocabulary]`.
    ///
    /// # Errors
    /// In words.
    pub fn logits(&self, reading: Reading) -> Result<Vec<Vec<f32>>, String> {
        let prompts: Vec<&[u32]> = self.references.iter().map(|it| &it.tokens[..]).collect();
        self.logits_of(&prompts, reading)
    }

    /// The same for other prompts.
    ///
    /// # Errors
    /// In words.
    pub fn logits_of(&self, prompts: &[&[u32]], reading: Reading) -> Result<Vec<Vec<f32>>, String> {
        if reading == Reading::Together {
            return self.together(prompts);
        }
        let read = |tokens: &&[u32]| {
            let cache = self.decoder.keys_values(blocks_of(tokens.len()))?;
            let blocks = table(0, tokens.len());
            let size = if let Reading::Chunks(size) = reading { size } else { tokens.len() };
            let mut logits = Vec::new();
            for (chunk, part) in tokens.chunks(size.max(1)).enumerate() {
                let place = |index| Place { blocks: &blocks, position: chunk * size + index };
                logits.extend(self.step(&cache, part, &(0..part.len()).map(place).collect::<Vec<_>>())?);
            }
            Ok(logits)
        };
        prompts.iter().map(read).collect()
    }

    fn together(&self, prompts: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
        let mut tables = Vec::new();
        let mut first = 0;
        for prompt in prompts {
            tables.push(table(first, prompt.len()));
            first += blocks_of(prompt.len());
        }
        let cache = self.decoder.keys_values(first)?;
        let place = |(prompt, blocks): (&&[u32], _)| {
            (0..prompt.len()).map(move |position| Place { blocks, position }).collect::<Vec<_>>()
        };
        let places: Vec<_> = prompts.iter().zip(tables.iter().map(|it| &it[..])).flat_map(place).collect();
        let logits = self.step(&cache, &prompts.concat(), &places)?;
        let mut rows = logits.chunks_exact(self.decoder.spec().vocabulary);
        Ok(prompts.iter().map(|it| rows.by_ref().take(it.len()).flatten().copied().collect()).collect())
    }

    /// The likeliest tokens after each prompt, as many as the reference has.
    ///
    /// # Errors
    /// In words.
    pub fn greedy(&self) -> Result<Vec<Vec<u32>>, String> {
        let continued = |reference: &Reference| {
            let length = reference.tokens.len() + reference.greedy.len();
            let cache = self.decoder.keys_values(blocks_of(length))?;
            let blocks = table(0, length);
            let place = |position| Place { blocks: &blocks, position };
            let mut greedy = Vec::new();
            let mut last = reference.tokens.clone();
            let mut position = 0;
            while greedy.len() < reference.greedy.len() {
                let places: Vec<_> = (position..position + last.len()).map(place).collect();
                let logits = self.step(&cache, &last, &places)?;
                position += last.len();
                let row = logits.rchunks_exact(self.decoder.spec().vocabulary).next().unwrap_or_default();
                let token = sampler::greedy(row).map_err(|err| err.to_string())?;
                greedy.push(token);
                last = vec![token];
            }
            Ok(greedy)
        };
        self.references.iter().map(continued).collect()
    }

    /// How each prompt's answer differs from its reference.
    ///
    /// # Errors
    /// In words.
    pub fn differences(&self) -> Result<Vec<Difference>, String> {
        let (logits, greedy) = (self.logits(Reading::Whole)?, self.greedy()?);
        let compare = |((reference, logits), greedy): ((&Reference, Vec<f32>), Vec<u32>)| {
            if logits.len() != reference.logits.len() {
                return Err(format!("{} logits, not {}", logits.len(), reference.logits.len()));
            }
            let pairs = logits.iter().zip(&reference.logits);
            // What is no number must not pass for small.
            let largest = pairs
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, |a: f32, b| if b > a || b.is_nan() { b } else { a });
            let token = greedy.iter().zip(&reference.greedy).position(|(a, b)| a != b);
            let relative = relative(&logits, &reference.logits);
            Ok(Difference { largest, relative, token })
        };
        self.references.iter().zip(logits).zip(greedy).map(compare).collect()
    }

    fn step(&self, cache: &KeysValues, tokens: &[u32], places: &[Place<'_>]) -> Result<Vec<f32>, String> {
        let wanted: Vec<u32> = (0..).take(tokens.len()).collect();
        let step = Step { tokens, places, wanted: &wanted };
        let mut logits = Vec::new();
        self.decoder.forward(cache, &step, &mut logits).map_err(|err| err.to_string())?;
        Ok(logits)
    }
}

/// The length of the difference of two vectors, as a part of the second's length. It is no number where one of their
/// elements is none.
pub fn relative(ours: &[f32], reference: &[f32]) -> f32 {
    let square = |it: f32| f64::from(it) * f64::from(it);
    let difference: f64 = ours.iter().zip(reference).map(|(a, b)| square(a - b)).sum();
    let length: f64 = reference.iter().map(|it| square(*it)).sum();
    #[expect(clippy::cast_possible_truncation, reason = "a measure of a few digits")]
    let relative = (difference / length).sqrt() as f32;
    relative
}

/// Blocks one after the other.
fn table(first: usize, positions: usize) -> Vec<u32> {
    (0..).skip(first).take(blocks_of(positions)).collect()
}

fn references(path: &Path) -> Result<Vec<Reference>, String> {
    let fault = |err: candle_core::Error| format!("{}: {err}", path.display());
    let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu).map_err(fault)?;
    let get = |tensors: &HashMap<String, Tensor>, name: String| {
        tensors.get(&name).cloned().ok_or_else(|| format!("{}: no `{name}`", path.display()))
    };
    let ids = |name: String| {
        let ids = get(&tensors, name)?.to_vec1::<i64>().map_err(fault)?;
        let id = |it: i64| u32::try_from(it).map_err(|_| format!("{}: token {it}", path.display()));
        ids.into_iter().map(id).collect::<Result<Vec<_>, _>>()
    };
    let mut references = Vec::new();
    while tensors.contains_key(&format!("input_ids.{}", references.len())) {
        let index = references.len();
        let logits = get(&tensors, format!("logits.{index}"))?;
        references.push(Reference {
            tokens: ids(format!("input_ids.{index}"))?,
            logits: logits.flatten_all().and_then(|it| it.to_vec1()).map_err(fault)?,
            greedy: ids(format!("greedy.{index}"))?,
        });
    }
    if references.is_empty() {
        return Err(format!("{} has no `input_ids.0`", path.display()));
    }
    Ok(references)
}
