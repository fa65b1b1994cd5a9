//! Tests of the whole crate, on files made by hand and on the tiny checkpoints under `tests/fixtures`.

mod answers;
mod batches;
mod blocks;
mod checkpoint;
mod converted;
mod damaged;
mod fixture;
mod folders;
mod gguf;
mod grouped;
mod peers;
mod published;
mod sampler;
mod served;
mod templates;
mod text;
mod words;
