//! Empty: without it cargo does not consider the build dependencies of `Cargo.toml`.

fn main() {}
