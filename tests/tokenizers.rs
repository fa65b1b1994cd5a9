//! `cargo test --test tokenizers`: our token ids are llama.cpp's, on 10 000 texts for each default model, and its chat
//! template writes what it writes in transformers.
//!
//! The texts are made here by the rule of `benches/peers/token_ids.py`, which wrote what llama.cpp makes of them
//! to `tests/fixtures/tokenizers/`. A model that is not fetched is *ignored*, with the command that fetches it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use engine::Tokenizer;
use eval::backend::{Backend as _, Message, Role};
use eval::lock::Lock;
use eval::model::Models;
use eval::weights::{self, Cache, NoWeights};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde_json::Value;

const FIXTURES: &str = "tests/fixtures/tokenizers";
const SEED: u64 = 0x0070_726f_6f66;

fn main() -> ExitCode {
    let tests = ["smollm2-135m", "gemma-3-270m"]
        .map(|name| Trial::ignorable_test(format!("llama.cpp::{name}"), move || compare(name)));
    libtest_mimic::run(&Arguments::from_args(), tests.into()).exit_code()
}

fn compare(name: &str) -> Result<Completion, Failed> {
    let list = Path::new("models.yaml");
    let models = Models::load(list).map_err(|_| "models.yaml cannot be read")?;
    let lock = Lock::load(&Lock::path_of(list)).map_err(|_| "models.lock cannot be read")?;
    let model = models.models.iter().find(|it| it.name == name).ok_or("models.yaml lacks the model")?;
    let weights = match weights::locate(model, &lock, &Cache::from_env()) {
        Ok(weights) => weights,
        Err(missing @ NoWeights::NotFetched(..)) => return Ok(Completion::ignored_with(missing.to_string())),
        Err(wrong) => return Err(wrong.to_string().into()),
    };
    let tokenizer = Tokenizer::open(&weights.path)?;
    let expected = json(&format!("{name}.json"))?;
    let engine = engine::open(&weights.path, engine::Options::default()).map_err(|it| it.to_string())?;
    for chat in expected["chats"].as_array().into_iter().flatten() {
        let prompt = engine.prompt(&messages(&chat["messages"])).map_err(|it| it.to_string())?;
        if (&*prompt.text, serde_json::json!(prompt.tokens))
            != (chat["prompt"].as_str().unwrap_or_default(), chat["ids"].clone())
        {
            return Err(format!("ours   {:?} {:?}\ntheirs {chat}", prompt.text, prompt.tokens).into());
        }
    }
    let hashes = expected["hashes"].as_str().ok_or("no hashes")?.as_bytes().as_chunks::<8>().0;
    let parts = Parts::read(&json("fragments.json")?)?;
    let mut wrong = String::new();
    let mut count = 0;
    for (index, hash) in hashes.iter().enumerate() {
        let text = parts.text(index as u64);
        let ids = tokenizer.encode(&text)?;
        if format!("{:08x}", digest(&ids)).as_bytes() != hash {
            count += 1;
            if count <= 10 {
                let theirs = &expected["ids"][index];
                writeln!(wrong, "{index}: {text:?}\n  ours   {ids:?}\n  theirs {theirs}")?;
            }
        }
    }
    if hashes.len() != 10_000 {
        return Err(format!("the fixture has {} texts", hashes.len()).into());
    }
    if count > 0 {
        return Err(format!("{count} of {} texts have other ids\n{wrong}", hashes.len()).into());
    }
    Ok(Completion::Completed)
}

fn messages(turns: &Value) -> Vec<Message> {
    let turn = |it: &Value| Message {
        role: match it["role"].as_str() {
            Some("system") => Role::System,
            Some("assistant") => Role::Assistant,
            _ => Role::User,
        },
        content: it["content"].as_str().unwrap_or_default().to_owned(),
    };
    turns.as_array().into_iter().flatten().map(turn).collect()
}

fn json(name: &str) -> Result<Value, Failed> {
    Ok(serde_json::from_slice(&std::fs::read(Path::new(FIXTURES).join(name))?)?)
}

/// FNV-1a of 32 bits over the ids as little-endian words.
fn digest(ids: &[u32]) -> u32 {
    let bytes = ids.iter().flat_map(|it| it.to_le_bytes());
    bytes.fold(0x811c_9dc5, |value, byte| (value ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).expect("below a usize")
    }

    fn pick<'t, T>(&mut self, them: &'t [T]) -> &'t T {
        &them[self.below(them.len())]
    }

    /// A character of the range, both ends included.
    fn character(&mut self, [first, last]: [u32; 2]) -> char {
        let offset = u32::try_from(self.below((last - first + 1) as usize)).expect("a character's number");
        char::from_u32(first + offset).expect("the ranges hold no surrogates")
    }
}

/// What texts are made of.
struct Parts {
    fragments: Vec<String>,
    special: Vec<String>,
    spaces: Vec<String>,
    scripts: Vec<[u32; 2]>,
}

impl Parts {
    fn read(value: &Value) -> Result<Self, Failed> {
        let texts = |key: &str| serde_json::from_value(value[key].clone());
        Ok(Self {
            fragments: texts("fragments")?,
            special: texts("special")?,
            spaces: texts("spaces")?,
            scripts: serde_json::from_value(value["scripts"].clone())?,
        })
    }

    /// Up to twelve pieces, mostly fragments, one after another.
    fn text(&self, index: u64) -> String {
        let mut random = Random(SEED.wrapping_add(index.wrapping_mul(0x632b_e59b_d9b4_e019)));
        let mut text = String::new();
        for _ in 0..=random.below(12) {
            match random.below(20) {
                0..10 => text.push_str(random.pick::<String>(&self.fragments)),
                10..12 => text.push_str(random.pick::<String>(&self.special)),
                12..14 => {
                    let space = random.pick(&self.spaces);
                    text += &space.repeat(1 + random.below(40));
                }
                14..16 => {
                    let script = *random.pick(&self.scripts);
                    for _ in 0..=random.below(8) {
                        text.push(random.character(script));
                    }
                }
                16 => {
                    for _ in 0..=random.below(20) {
                        text.push(random.character([0x30, 0x39]));
                    }
                }
                17 => {
                    for _ in 0..=random.below(24) {
                        text.push(random.character([0x20, 0x7e]));
                    }
                }
                _ => text.push(' '),
            }
        }
        text
    }
}
