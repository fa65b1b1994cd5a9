//! The settings of a `config.json`, each asked for by name.
//!
//! What nobody asked for and what is not known to be harmless is an error: an option that is ignored makes wrong
//! answers.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::spec::Activation;

/// The largest size of anything: hidden states, vocabularies, MLPs.
pub(super) const MOST: usize = 1 << 24;

/// Keys that cannot change what a prompt's logits are: what happens in training, how text is generated where a
/// request does not say, which program wrote the file, how the numbers were stored.
const HARMLESS: [&str; 75] = [
    "architectures",
    "attention_softmax_in_fp32",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bias_dropout_fusion",
    "cache_implementation",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "embedding_fraction",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "gradient_checkpointing",
    "id2label",
    "inference_runner",
    "init_config",
    "init_device",
    "initializer_range",
    "is_decoder",
    "is_llama_config",
    "label2id",
    "length_penalty",
    "masked_softmax_fusion",
    "max_batch_size",
    "max_length",
    "max_sequence_length",
    "min_length",
    "mm_tokens_per_image",
    "model_type",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "offset_alibi",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "output_scores",
    "pad_key_length",
    "pre_allocate_kv_cache",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "scale_attention_softmax_in_fp32",
    "skip_bias_add",
    "skip_bias_add_qkv",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tokenizer_class",
    "tokenizer_name",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "validate_runner_input",
    "verbose",
    "vision_config",
];

fn is_harmless(key: &str) -> bool {
    // Dropout is off where nothing is trained; token ids belong to the tokenizer; a summary is a classifier's head;
    // a leading underscore is a note of the writing library's to itself.
    key.contains("dropout")
        || key.ends_with("_pdrop")
        || key.ends_with("_token_id")
        || key.ends_with("_token_index")
        || key.starts_with("summary_")
        || key.starts_with('_')
        || HARMLESS.binary_search(&key).is_ok()
}

/// The keys of a JSON object and which of them were asked for.
pub(super) struct Settings<'v> {
    values: &'v Map<String, Value>,
    /// What stands before a key in messages, such as `text_config.`.
    within: String,
    asked: RefCell<BTreeSet<&'v str>>,
}

impl<'v> Settings<'v> {
    /// `within` names the object where it is not the whole file.
    pub(super) fn new(value: &'v Value, within: &str) -> Result<Self, String> {
        let Some(values) = value.as_object() else {
            return Err(format!(
                "{} is not an object",
                if within.is_empty() { "config.json" } else { within }
            ));
        };
        let within = if within.is_empty() { String::new() } else { format!("{within}.") };
        Ok(Self { values, within, asked: RefCell::default() })
    }

    /// A key's value under the first of its names that is there and not null. Two names with two values are an error.
    fn find(&self, names: &[&str]) -> Result<Option<(&'v str, &'v Value)>, String> {
        let mut found: Option<(&str, &Value)> = None;
        for name in names {
            let Some((key, value)) = self.values.get_key_value(*name) else { continue };
            self.asked.borrow_mut().insert(key);
            if value.is_null() {
                continue;
            }
            match found {
                Some((other, earlier)) if earlier != value => {
                    return Err(format!(
                        "`{}{other}` is {}, but `{}{key}` is {}",
                        self.within,
                        short(earlier),
                        self.within,
                        short(value)
                    ));
                }
                Some(_) => {}
                None => found = Some((key, value)),
            }
        }
        Ok(found)
    }

    /// `message` says what would be possible instead.
    fn fault(&self, key: &str, value: &Value, message: &str) -> String {
        format!("`{}{key}` is {}, {message}", self.within, short(value))
    }

    /// Whether a key is there and null, which is not the same as absent where the default is a value.
    fn is_null(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(Value::is_null)
    }

    /// A count of 1 to `most`.
    pub(super) fn count(&self, names: &[&str], most: usize) -> Result<Option<usize>, String> {
        self.count_from(1, names, most)
    }

    /// A count of `least` to `most`.
    pub(super) fn count_from(
        &self,
        least: usize,
        names: &[&str],
        most: usize,
    ) -> Result<Option<usize>, String> {
        let Some((key, value)) = self.find(names)? else { return Ok(None) };
        let count = value.as_u64().and_then(|it| usize::try_from(it).ok());
        match count.filter(|it| (least..=most).contains(it)) {
            Some(it) => Ok(Some(it)),
            None => {
                Err(self.fault(key, value, &format!("where a number from {least} to {most} is possible")))
            }
        }
    }

    /// A count of 1 to `most` that has a default where it is absent and another meaning where it is null.
    pub(super) fn nullable(
        &self,
        name: &str,
        absent: Option<usize>,
        most: usize,
    ) -> Result<Option<usize>, String> {
        match self.count(&[name], most)? {
            Some(it) => Ok(Some(it)),
            None if self.is_null(name) => Ok(None),
            None => Ok(absent),
        }
    }

    /// A size of 1 to `most` where -1 means none.
    pub(super) fn nullable_size(
        &self,
        names: &[&str],
        absent: usize,
        most: usize,
    ) -> Result<Option<usize>, String> {
        match self.find(names)? {
            None => Ok(Some(absent)),
            Some((_, value)) if value.as_i64() == Some(-1) => Ok(None),
            Some(_) => self.count(names, most),
        }
    }

    /// Whatever stands there.
    pub(super) fn value(&self, name: &str) -> Result<Option<&'v Value>, String> {
        Ok(self.find(&[name])?.map(|it| it.1))
    }

    /// A finite number above zero.
    pub(super) fn positive(&self, names: &[&str]) -> Result<Option<f64>, String> {
        let Some((key, value)) = self.find(names)? else { return Ok(None) };
        match value.as_f64().filter(|it| it.is_finite() && *it > 0.0) {
            Some(it) => Ok(Some(it)),
            None => Err(self.fault(key, value, "where a number above 0 is possible")),
        }
    }

    /// A finite number above zero that has a default where it is absent, and is none where it is null.
    pub(super) fn positive_unless_null(&self, name: &str, absent: f64) -> Result<Option<f64>, String> {
        match self.positive(&[name])? {
            None if !self.is_null(name) => Ok(Some(absent)),
            it => Ok(it),
        }
    }

    /// A finite number.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, String> {
        match self.number_or_text(name)? {
            Some(Ok(it)) => Ok(Some(it)),
            Some(Err(text)) => Err(self.fault(name, &Value::from(text), "where a number is possible")),
            None => Ok(None),
        }
    }

    /// A finite number, or a text in place of one.
    pub(super) fn number_or_text(&self, name: &str) -> Result<Option<Result<f64, &'v str>>, String> {
        let Some((key, value)) = self.find(&[name])? else { return Ok(None) };
        match (value.as_f64().filter(|it| it.is_finite()), value.as_str()) {
            (Some(number), _) => Ok(Some(Ok(number))),
            (None, Some(text)) => Ok(Some(Err(text))),
            (None, None) => Err(self.fault(key, value, "where a number is possible")),
        }
    }

    /// True or false.
    pub(super) fn flag(&self, name: &str, absent: bool) -> Result<bool, String> {
        let Some((key, value)) = self.find(&[name])? else { return Ok(absent) };
        value.as_bool().ok_or_else(|| self.fault(key, value, "where true and false are possible"))
    }

    /// A text.
    pub(super) fn text(&self, names: &[&str]) -> Result<Option<&'v str>, String> {
        let Some((key, value)) = self.find(names)? else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.fault(key, value, "where a text is possible"))
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&'v str>>, String> {
        let Some((key, value)) = self.find(&[name])? else { return Ok(None) };
        let texts = value.as_array().and_then(|it| it.iter().map(Value::as_str).collect());
        texts.map(Some).ok_or_else(|| self.fault(key, value, "where a list of texts is possible"))
    }

    /// Settings within these.
    pub(super) fn object(&self, name: &str) -> Result<Option<Settings<'v>>, String> {
        let Some((key, value)) = self.find(&[name])? else { return Ok(None) };
        Settings::new(value, &format!("{}{key}", self.within)).map(Some)
    }

    /// An option that the decoder has only one value of.
    pub(super) fn only(&self, name: &str, possible: &Value) -> Result<(), String> {
        match self.find(&[name])? {
            Some((key, value)) if value != possible => {
                Err(self.fault(key, value, &format!("where only {possible} is possible")))
            }
            _ => Ok(()),
        }
    }

    /// What stands between the halves of an MLP.
    pub(super) fn activation(&self, names: &[&str], absent: Activation) -> Result<Activation, String> {
        let Some((key, value)) = self.find(names)? else { return Ok(absent) };
        Ok(match value.as_str() {
            Some("silu" | "swish") => Activation::Silu,
            Some("gelu" | "gelu_python") => Activation::Gelu,
            Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_accurate") => Activation::GeluTanh,
            Some("relu") => Activation::Relu,
            _ => return Err(self.fault(key, value, "an activation that the decoder does not know")),
        })
    }

    /// Refuses what nobody asked for, unless it is null or known to be harmless.
    pub(super) fn finish(&self) -> Result<(), String> {
        let asked = self.asked.borrow();
        let unknown = self
            .values
            .iter()
            .find(|(key, value)| !value.is_null() && !asked.contains(key.as_str()) && !is_harmless(key));
        match unknown {
            None => Ok(()),
            Some((key, value)) => Err(self.fault(key, value, "an option that the decoder does not know")),
        }
    }
}

/// A value as it stands in a message.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        None => text,
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(HARMLESS.is_sorted());
    }
}
