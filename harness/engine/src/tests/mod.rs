//! Tests of the whole crate, on files made by hand and on the tiny checkpoints under `tests/fixtures`.

mod answers;
mod blocks;
mod checkpoint;
mod converted;
mod damaged;
mod fixture;
mod folders;
mod hostile;
mod parity;
mod published;
mod templates;
mod text;
mod words;
