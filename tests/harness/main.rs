//! What the quality harness does, seen from outside: each test makes a folder, runs the test binary of
//! `tests/quality.rs` in it and reads what it says. The models are scripts; nothing else is pretended.

mod accepted;
mod commands;
mod folders;
mod hostile;
mod mistakes;
mod names;
mod place;
mod resumed;
mod scale;
mod store;
mod weights;
