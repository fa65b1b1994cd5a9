//! Fetching, against a server, a pip and a hub of its own on this machine.

#![expect(clippy::unwrap_used, reason = "clippy takes the functions beside the tests for no tests")]

mod data;
mod hub;
mod machine;
mod packages;
mod sources;
mod url;
mod world;
