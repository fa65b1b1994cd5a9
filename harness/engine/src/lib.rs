//! From weights and token ids to token ids: the local backend.
//!
//! The only crate that names candle and tokenizers. [`open`] a GGUF file and ask it through
//! [`eval::backend::Backend`]; weights are loaded by the first request.
//!
//! | step | file |
//! |---|---|
//! | the file's header, checked | `gguf.rs` |
//! | what the architecture is | `spec.rs` |
//! | messages to a prompt | `template.rs` |
//! | text to token ids | `tokenizer.rs`, `bytes.rs`, `pieces.rs` |
//! | token ids to logits | `decoder.rs` |
//! | logits to a token | `sampler.rs` |
//! | where the keys and values of which tokens lie | `blocks.rs` |
//! | tokens to text, up to a stop string | `detokenize.rs` |
//! | all of it for one request after another | `engine.rs`, `queue.rs` |

#[cfg_attr(not(test), expect(dead_code, reason = "the decoder still keeps one cache for each request"))]
mod blocks;
mod bytes;
mod decoder;
mod detokenize;
mod engine;
mod gguf;
mod pieces;
mod queue;
mod sampler;
mod spec;
mod template;
mod tokenizer;

pub use engine::{Engine, Memory, Options, open, supports};
pub use template::TEMPLATE_DATE;

#[cfg(test)]
mod tests;
