//! What the fuzz targets found: each file is read again as its target reads it.

use std::path::{Path, PathBuf};

use rstest::rstest;

use crate::readers;
use crate::watch::watched;

#[rstest]
fn seeds(#[files("fuzz/seeds/*/*")] path: PathBuf) {
    let bytes = std::fs::read(&path).unwrap();
    let target = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let checkpoints = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/checkpoints");
    let outcome = watched(|| readers::read(target, &bytes, &checkpoints));
    if let Err(message) = outcome {
        assert!(!message.is_empty() && message.len() < 4000, "a message of {} bytes", message.len());
    }
}
