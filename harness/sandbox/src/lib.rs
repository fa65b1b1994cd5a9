//! Runs programs that nobody trusts, and judges them without believing them.
//!
//! | what | module |
//! |---|---|
//! | what is run, and what came of it | [`program`] |
//! | which languages this machine has | [`toolchain`] |
//! | running it contained | [`Sandbox`] |
//! | calling it, testing it, comparing what it prints | [`judge`] |
//!
//! Every run has a process of its own, the *helper*: this executable started anew, with one thread. It shuts itself
//! and what it starts away from everything else, watches over it, and ends it. So the `main` of an executable that
//! opens a sandbox begins with [`child`].
//!
//! `docs/sandbox.md` describes what contains a program and why a pass cannot be forged.

#[cfg(not(target_os = "linux"))]
compile_error!("programs are contained by what only Linux has");

mod helper;
mod job;
pub mod judge;
pub mod program;
mod sandbox;
pub mod toolchain;

pub use crate::helper::child;
pub use crate::program::{Containment, Ended, File, Language, Limits, NotRun, Program, Run};
pub use crate::sandbox::Sandbox;
