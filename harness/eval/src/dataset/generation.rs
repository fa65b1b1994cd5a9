//! Generation: how an answer is written, and where it ends.

use super::metrics::{self, OutputType};
use super::settings::{Setting, Settings};
use crate::backend::Sampling;
use crate::diagnostic::Mistake;
use crate::yaml::{self, Node};

/// Tokens that an answer may have unless the task says otherwise, as in lm-evaluation-harness.
const MAX_TOKENS: u32 = 256;

/// How an answer is written.
pub(super) struct Generation {
    pub(super) max_tokens: u32,
    pub(super) stop: Vec<String>,
    pub(super) sampling: Sampling,
}

fn take<T: serde::de::DeserializeOwned>(
    setting: &Setting,
    node: &Node,
    mistakes: &mut Vec<Mistake>,
) -> Option<T> {
    yaml::read(node).map_err(|malformed| mistakes.push(setting.file.mistake(malformed))).ok()
}
const LENGTHS: [&str; 4] = ["max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"];
const KNOWN: [&str; 11] = [
    "until",
    "max_gen_toks",
    "max_new_tokens",
    "max_tokens",
    "max_completion_tokens",
    "do_sample",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
];

/// Reads `generation_kwargs`.
pub(super) fn generation(settings: &Settings, output: OutputType, mistakes: &mut Vec<Mistake>) -> Generation {
    let delimiter = settings.text("fewshot_delimiter", mistakes).unwrap_or_else(|| "\n\n".to_owned());
    let mut found = Generation { max_tokens: MAX_TOKENS, stop: vec![delimiter], sampling: Sampling::GREEDY };
    let Some(setting) = settings.get("generation_kwargs").filter(|_| output == OutputType::Generate) else {
        return found;
    };
    let yaml::Value::Map(entries) = &setting.node.value else {
        mistakes.push(
            setting.mistake(&setting.node, format!("expected a mapping, found {}", setting.node.kind())),
        );
        return found;
    };
    let mut sample: Option<bool> = None;
    let mut temperature: Option<f64> = None;
    for (key, node) in entries.iter().filter(|(_, node)| node.value != yaml::Value::Null) {
        match key.name.as_str() {
            "until" => {
                let texts = match &node.value {
                    yaml::Value::String(text) => vec![text.clone()],
                    _ => take(setting, node, mistakes).unwrap_or_default(),
                };
                found.stop = texts.into_iter().filter(|it| !it.is_empty()).collect();
            }
            name if LENGTHS.contains(&name) => {
                // The first of these names counts where there are several.
                let rank = |it: &str| LENGTHS.iter().position(|name| *name == it);
                let better = entries
                    .iter()
                    .any(|(other, _)| rank(&other.name).is_some_and(|it| Some(it) < rank(name)));
                if let Some(most) = take::<u32>(setting, node, mistakes).filter(|_| !better) {
                    if most == 0 {
                        mistakes.push(setting.mistake(node, "an answer of no token cannot be judged"));
                    }
                    found.max_tokens = most;
                }
            }
            "do_sample" => sample = take(setting, node, mistakes),
            "temperature" => temperature = take(setting, node, mistakes),
            "top_p" => found.sampling.top_p = take(setting, node, mistakes),
            "top_k" => found.sampling.top_k = take(setting, node, mistakes),
            "min_p" => found.sampling.min_p = take(setting, node, mistakes),
            "repetition_penalty" => found.sampling.repetition_penalty = take(setting, node, mistakes),
            other => {
                mistakes.push(metrics::unknown(setting, key.span, "setting of generation", other, KNOWN));
            }
        }
    }
    // Drawing without a temperature is at 1, as transformers has it; not to draw is greedy whatever the temperature.
    found.sampling.temperature = match (sample, temperature) {
        (Some(false), _) | (None, None) => 0.0,
        (Some(true), None) => 1.0,
        (_, Some(temperature)) => temperature,
    };
    if !(0.0..=100.0).contains(&found.sampling.temperature) {
        mistakes.push(setting.mistake(&setting.node, "a temperature lies between 0 and 100"));
    }
    if found.sampling.is_greedy() {
        let Sampling { repetition_penalty, .. } = found.sampling;
        found.sampling = Sampling { repetition_penalty, ..Sampling::GREEDY };
    }
    found
}
