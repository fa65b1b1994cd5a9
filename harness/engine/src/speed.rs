//! How fast a checkpoint is computed, by token ids alone: for shapes that have no tokenizer, on any device.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::checkpoint::Checkpoint;
use crate::decoder::{Decoder, KeysValues, Step, blocks_of};
use crate::kernels;
use crate::kernels::attention::Place;
use crate::kernels::pool::Pool;
use crate::ops::{Device, Machine};
use crate::scheduler::chunk;

/// A checkpoint whose speed is measured.
pub struct Speed {
    decoder: Decoder,
    device: Device,
    weights: u64,
}

/// How long prompts and what follows them took.
#[derive(Clone, Debug)]
pub struct Run {
    /// Until the first token after each prompt was there.
    pub prefill: Duration,
    /// Each step that gave one more token to each sequence.
    pub steps: Vec<Duration>,
}

impl Speed {
    /// Loads a folder or a file.
    ///
    /// # Errors
    /// In words.
    pub fn open(path: &Path, device: Device, threads: usize) -> Result<Self, String> {
        let checkpoint = Checkpoint::open(path)?;
        let pool = Pool::new(threads).map_err(|err| err.to_string())?;
        let machine = Machine::new(device, kernels::Path::choose()?, pool, checkpoint.spec())?;
        let weights = Decoder::step_bytes(&checkpoint, device)?;
        Ok(Self { decoder: Decoder::load(&checkpoint, Arc::new(machine), false)?, device, weights })
    }

    /// What computes, by name.
    pub fn device(&self) -> String {
        self.decoder.device_name()
    }

    /// The most tokens of a sequence.
    pub fn context(&self) -> usize {
        self.decoder.spec().context
    }

    /// Bytes that a step must read from memory at least: every weight once, and the keys and values of so many
    /// sequences of such a length.
    pub fn step_bytes(&self, sequences: usize, length: usize) -> u64 {
        let block = KeysValues::block_bytes(self.decoder.spec(), false, self.device);
        self.weights + (sequences * blocks_of(length) * block) as u64
    }

    /// Bytes a second that a GPU's memory gives, measured; `None` on a CPU.
    ///
    /// # Errors
    /// In words, if the GPU fails.
    pub fn bandwidth(&self) -> Result<Option<f64>, String> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = self.decoder.gpu() {
            const TIMES: usize = 10;
            let time = || {
                let measure = gpu.measure()?;
                gpu.scan(&measure, 1)?;
                let begin = now();
                gpu.scan(&measure, TIMES)?;
                Ok(begin.elapsed())
            };
            let time = time().map_err(|err: candle_core::Error| err.to_string())?;
            let bytes = TIMES * crate::kernels::cuda::Measure::BYTES;
            return Ok(Some(bytes as f64 / time.as_secs_f64()));
        }
        Ok(None)
    }

    /// Reads prompts of so many tokens, in steps as the scheduler cuts them, then adds so many tokens to each.
    ///
    /// # Errors
    /// In words.
    pub fn run(&self, sequences: usize, prompt: usize, steps: usize) -> Result<Run, String> {
        let vocabulary = self.decoder.spec().vocabulary as u64;
        let blocks = blocks_of(prompt + steps);
        let cache = self.decoder.keys_values(sequences * blocks)?;
        let tables: Vec<Vec<u32>> =
            (0..sequences).map(|it| (0..).skip(it * blocks).take(blocks).collect()).collect();
        let read = |tokens: &[u32], places: &[Place<'_>], wanted: &[u32]| {
            let given = self.decoder.likeliest(&cache, &Step { tokens, places, wanted });
            let tokens: Option<Vec<u32>> = given.map_err(|err| err.to_string())?.into_iter().collect();
            tokens.ok_or_else(|| "a logit is not a finite number".to_owned())
        };
        let token = |index: usize| {
            // Any spread of tokens will do.
            u32::try_from((index as u64 * 7_919 + 13) % vocabulary).unwrap_or(0)
        };
        let all: Vec<_> = tables
            .iter()
            .flat_map(|blocks| (0..prompt).map(move |position| Place { blocks, position }))
            .enumerate()
            .collect();
        let begin = now();
        let mut last = Vec::new();
        for part in all.chunks(chunk(self.device)) {
            let tokens: Vec<u32> = part.iter().map(|(index, _)| token(*index)).collect();
            let places: Vec<_> = part.iter().map(|(_, place)| *place).collect();
            let wanted =
                (0..).zip(&places).filter(|(_, it)| it.position + 1 == prompt).map(|(index, _)| index);
            last.extend(read(&tokens, &places, &wanted.collect::<Vec<_>>())?);
        }
        let prefill = begin.elapsed();
        let wanted: Vec<u32> = (0..).take(sequences).collect();
        let step = |index: usize| {
            let begin = now();
            let places: Vec<_> =
                tables.iter().map(|it| Place { blocks: it, position: prompt + index }).collect();
            last = read(&last, &places, &wanted)?;
            Ok(begin.elapsed())
        };
        let steps = (0..steps).map(step).collect::<Result<_, String>>()?;
        Ok(Run { prefill, steps })
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}
