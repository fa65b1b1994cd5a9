//! From weights and token ids to token ids: the local backend.
//!
//! The only crate that names candle and tokenizers. [`open`] a checkpoint and ask it through
//! [`eval::backend::Backend`]; weights are loaded by the first request.
//!
//! | step | file |
//! |---|---|
//! | a file's header, checked | `gguf.rs` |
//! | a folder's or a file's weights, mapped and checked | `checkpoint/` |
//! | what the architecture is | `spec/` |
//! | messages to a prompt | `template.rs`, `source.rs`, `python.rs` |
//! | text to token ids | `tokenizer.rs`, `matcher.rs` |
//! | … by the algorithms that GGUF names | `words.rs`, `merges.rs`, `bytes.rs`, `pieces.rs`, `unigram.rs` |
//! | … as a folder's `tokenizer.json` says | `published.rs`, `folder.rs` |
//! | which requests are computed together | `scheduler.rs` |
//! | where the keys and values of which tokens lie | `blocks.rs` |
//! | token ids to logits | `decoder.rs`, on the operations of `ops.rs` |
//! | the arithmetic, the same on every CPU | `kernels/` |
//! | logits to a token | `sampler.rs` |
//! | tokens to text, up to a stop string | `detokenize.rs` |
//! | all of it for a request | `engine.rs` |
//! | a checkpoint's logits beside reference logits | `parity.rs` |
//! | how fast a checkpoint is computed | `speed.rs` |

mod blocks;
mod bytes;
mod checkpoint;
mod decoder;
mod detokenize;
mod engine;
mod folder;
mod gguf;
mod kernels;
mod matcher;
mod merges;
mod ops;
pub mod parity;
mod pieces;
mod published;
mod python;
mod sampler;
mod scheduler;
mod source;
mod spec;
pub mod speed;
mod template;
mod tokenizer;
mod unigram;
mod words;

pub use engine::{Engine, Memory, Options, open, supports};
pub use kernels::ceilings::{Ceilings, ceilings};
pub use ops::Device;
pub use template::TEMPLATE_DATE;
pub use tokenizer::Tokenizer;

#[cfg(test)]
mod tests;
