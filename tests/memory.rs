//! A model's memory is given back when it goes: its own process, so that nothing else changes what is resident.
#![expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests leaves out the functions that they share"
)]

use std::fmt::Write as _;
use std::path::Path;

use eval::backend::{Backend as _, Generate, Message, Request, Role, Sampling};
use eval::machine::resident_memory;

const HIDDEN: usize = 512;
const INNER: usize = 1408;
const LAYERS: usize = 6;
const VOCABULARY: usize = 4096;

/// Writes a llama with weights that look random, and the tests' small tokenizer beside it; gives the bytes of its
/// weights.
fn write(folder: &Path) -> u64 {
    let config = serde_json::json!({
        "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
        "num_attention_heads": 8, "num_key_value_heads": 8, "vocab_size": VOCABULARY,
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "tie_word_embeddings": false,
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    for entry in
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers/small").read_dir().unwrap()
    {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let mut tensors = vec![
        ("model.embed_tokens".to_owned(), vec![VOCABULARY, HIDDEN]),
        ("model.norm".to_owned(), vec![HIDDEN]),
        ("lm_head".to_owned(), vec![VOCABULARY, HIDDEN]),
    ];
    for layer in 0..LAYERS {
        let mut add = |name: &str, shape: &[usize]| {
            tensors.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
        };
        for name in ["q", "k", "v", "o"] {
            add(&format!("self_attn.{name}_proj"), &[HIDDEN, HIDDEN]);
        }
        add("mlp.gate_proj", &[INNER, HIDDEN]);
        add("mlp.up_proj", &[INNER, HIDDEN]);
        add("mlp.down_proj", &[HIDDEN, INNER]);
        add("input_layernorm", &[HIDDEN]);
        add("post_attention_layernorm", &[HIDDEN]);
    }
    let (mut header, mut data, mut random) = (String::from("{"), Vec::new(), 1_u32);
    for (name, shape) in tensors {
        let begin = data.len();
        for _ in 0..shape.iter().product() {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            data.extend((f32::from(random.to_be_bytes()[0]) / 4096.0).to_le_bytes());
        }
        let comma = if header.len() > 1 { "," } else { "" };
        let end = data.len();
        write!(
            header,
            "{comma}\"{name}.weight\":{{\"dtype\":\"F32\",\"shape\":{shape:?},\"data_offsets\":[{begin},{end}]}}"
        )
        .unwrap();
    }
    header.push('}');
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    std::fs::write(folder.join("model.safetensors"), file).unwrap();
    data.len() as u64
}

/// Loads the model, lets it answer, and gives what was resident then.
fn answer(folder: &Path) -> u64 {
    let engine = engine::open(folder, engine::Options::default()).unwrap();
    let request = Request::Generate(Generate {
        messages: vec![Message { role: Role::User, content: "one two three".to_owned() }],
        sampling: Sampling::GREEDY,
        max_tokens: 4,
        stop: Vec::new(),
        ignore_eos: true,
        logprobs: None,
    });
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| engine.answer(&request, &mut |_| {}).unwrap());
        }
    });
    resident_memory().unwrap()
}

/// What stays is the allocator's: glibc keeps up to 64 MB of small blocks, such as a vocabulary's, at the end of its
/// heap once large blocks were freed (`M_TRIM_THRESHOLD` in mallopt(3)). Weights, keys and values lie elsewhere.
#[test]
fn a_model_that_goes_gives_its_memory_back() {
    let folder = tempfile::tempdir().unwrap();
    let weights = write(folder.path());
    // What the process needs once, such as the buffers of its threads, is there.
    let before = resident_memory().unwrap();
    for round in 0..3 {
        let with = answer(folder.path());
        let after = resident_memory().unwrap();
        let found =
            format!("round {round}: {before} bytes before, {with} with {weights} of weights, {after} after");
        assert!(with > before + weights / 2, "{found}");
        assert!(after < before + weights / 4, "{found}");
    }
}
