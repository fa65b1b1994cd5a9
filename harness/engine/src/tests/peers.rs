//! The decoder beside another implementation: candle-transformers' Llama, where it reads the same settings (it knows no
//! `rope_parameters`).

use candle_core::{DType, Device, IndexOp as _, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{Cache, Llama, LlamaConfig};
use rstest::rstest;

use super::fixture::{checkpoint, tensors};
use crate::parity::{Parity, Reading};

/// Logits spread by about 1.2.
const TOLERANCE: f32 = 1e-4;

#[rstest]
fn logits_are_those_of_candles_llama(#[values("llama-2", "llama-3", "code-llama")] name: &str) {
    let config = std::fs::read(checkpoint(name).join("config.json")).unwrap();
    let config = serde_json::from_slice::<LlamaConfig>(&config).unwrap().into_config(false);
    let weights = VarBuilder::from_tensors(tensors(name, "model.safetensors"), DType::F32, &Device::Cpu);
    let peer = Llama::load(weights, &config).unwrap();
    let ours = Parity::open(&checkpoint(name), crate::Device::Cpu, None, 1).unwrap();
    let logits = ours.logits(Reading::Whole).unwrap();
    for (reference, logits) in ours.references().iter().zip(logits) {
        let tokens = Tensor::new(&reference.tokens[..], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let mut cache = Cache::new(false, DType::F32, &config, &Device::Cpu).unwrap();
        let last = peer.forward(&tokens, 0, &mut cache).unwrap().i(0).unwrap().to_vec1::<f32>().unwrap();
        let found = &logits[logits.len() - last.len()..];
        let furthest = found.iter().zip(&last).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(furthest <= TOLERANCE, "{name}: {furthest}");
    }
}
