//! From weights and token ids to token ids: the local backend.
//!
//! The only crate that names candle and tokenizers. [`open`] a GGUF file and ask it through
//! [`eval::backend::Backend`]; weights are loaded by the first request.
//!
//! | step | file |
//! |---|---|
//! | the file's header, checked | `gguf.rs` |
//! | a folder's or a file's weights, mapped and checked | `checkpoint/` |
//! | what the architecture is | `spec/`, `old_spec.rs` |
//! | messages to a prompt | `template.rs`, `source.rs`, `python.rs` |
//! | text to token ids | `tokenizer.rs`, `matcher.rs` |
//! | … by the algorithms that GGUF names | `words.rs`, `merges.rs`, `bytes.rs`, `pieces.rs`, `unigram.rs` |
//! | … as a folder's `tokenizer.json` says | `published.rs`, `folder.rs` |
//! | token ids to logits | `decoder.rs` |
//! | logits to a token | `sampler.rs` |
//! | where the keys and values of which tokens lie | `blocks.rs` |
//! | tokens to text, up to a stop string | `detokenize.rs` |
//! | all of it for one request after another | `engine.rs`, `queue.rs` |

#[cfg_attr(not(test), expect(dead_code, reason = "the decoder still keeps one cache for each request"))]
mod blocks;
mod bytes;
#[cfg_attr(not(test), expect(dead_code, reason = "the decoder that reads it is not there yet"))]
mod checkpoint;
mod decoder;
mod detokenize;
mod engine;
mod folder;
mod gguf;
mod matcher;
mod merges;
mod old_spec;
mod pieces;
mod published;
mod python;
mod queue;
mod sampler;
mod source;
mod spec;
mod template;
mod tokenizer;
mod unigram;
mod words;

pub use engine::{Engine, Memory, Options, open, supports};
pub use template::TEMPLATE_DATE;
pub use tokenizer::Tokenizer;

#[cfg(test)]
mod tests;
