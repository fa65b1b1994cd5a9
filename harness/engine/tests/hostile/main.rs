//! Files that are damaged or made to do harm: each ends in an error that says what is wrong, or in an answer, in little
//! time and memory.
//!
//! What the fuzz targets in `fuzz/` found stands here as a case with a name, and as a file under `fuzz/seeds`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod damage;
mod folders;
#[path = "../../src/tests/gguf.rs"]
mod gguf;
mod headers;
mod readers;
mod seeds;
mod tiny;
mod tokenizers;
mod watch;
