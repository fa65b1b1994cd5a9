//! Tests of the whole crate, on files made by hand and on the tiny checkpoints under `tests/fixtures`.

mod answers;
mod checkpoint;
mod converted;
mod damaged;
mod blocks;
mod fixture;
mod hostile;
mod parity;
mod published;
mod text;
