//! Tests of the whole crate, on files made by hand and on the tiny checkpoints under `tests/fixtures`.

mod answers;
mod batches;
mod blocks;
mod checkpoint;
mod converted;
mod damaged;
mod fixture;
mod folders;
mod grouped;
mod hostile;
mod peers;
mod published;
mod sampler;
mod templates;
mod text;
mod words;
