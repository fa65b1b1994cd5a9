//! The decoder against reference logits, by transformers in `f32`.

use candle_core::{IndexOp as _, Tensor};
use rstest::rstest;

use super::fixture::{model, tensors};
use crate::decoder::{Cache, Decoder, Wanted};
use crate::gguf::Gguf;
use crate::old_spec::Spec;

fn decoder(name: &str) -> Decoder {
    let bytes = model(name).bytes();
    let gguf = Gguf::read(&bytes[..], bytes.len() as u64).unwrap();
    let spec = Spec::read(&gguf).unwrap();
    let read = |it: &str| gguf.tensor(std::io::Cursor::new(&bytes), it).map_err(candle_core::Error::wrap);
    Decoder::load(&spec, read).unwrap()
}

#[track_caller]
fn close(ours: &Tensor, reference: &Tensor) {
    let difference =
        (ours - reference).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(difference < 1e-4, "logits differ by {difference}");
}

#[rstest]
fn logits_and_greedy(#[values("llama-3", "gemma-3")] name: &str, #[values(0, 1, 2)] prompt: usize) {
    let decoder = decoder(name);
    let reference = tensors(name, "reference.safetensors");
    let ids = |key: &str| -> Vec<u32> {
        let ids = reference[&format!("{key}.{prompt}")].to_vec1::<i64>().unwrap();
        ids.into_iter().map(|it| u32::try_from(it).unwrap()).collect()
    };
    let (tokens, greedy) = (ids("input_ids"), ids("greedy"));
    let logits = &reference[&format!("logits.{prompt}")];
    let cache = || Cache::new(decoder.spec(), tokens.len() + greedy.len()).unwrap();

    let mut at_once = cache();
    let states = decoder.prefill(&tokens, &mut at_once, Wanted::All).unwrap();
    close(&decoder.logits(&states).unwrap(), logits);

    let mut stepwise = cache();
    for (index, &token) in tokens.iter().enumerate() {
        let state = decoder.decode(token, &mut stepwise).unwrap();
        close(&decoder.logits(&state).unwrap(), &logits.i(index..=index).unwrap());
    }

    // From both caches, and from one cut back to the middle and read again.
    let mut again = at_once;
    again.truncate(tokens.len() / 2);
    let rest = &tokens[tokens.len() / 2..];
    let state = decoder.prefill(rest, &mut again, Wanted::Last).unwrap();
    for (mut cache, mut state) in [(again, state), {
        stepwise.truncate(tokens.len() - 1);
        let state = decoder.decode(tokens[tokens.len() - 1], &mut stepwise).unwrap();
        (stepwise, state)
    }] {
        let mut ours = Vec::new();
        while ours.len() < greedy.len() {
            let logits = decoder.logits(&state).unwrap();
            let token = logits.argmax(1).unwrap().to_vec1::<u32>().unwrap()[0];
            ours.push(token);
            state = decoder.decode(token, &mut cache).unwrap();
        }
        assert_eq!(ours, greedy);
    }
}
