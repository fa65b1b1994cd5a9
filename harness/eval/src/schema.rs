//! JSON Schemas of the files that people write, so that editors complete and check them.

use crate::case::WrittenSuite;
use crate::model::WrittenModels;

/// The schema of `cases/<category>/<topic>.yaml`.
pub fn cases() -> String {
    text(&schemars::schema_for!(WrittenSuite))
}

/// The schema of `models.yaml`.
pub fn models() -> String {
    text(&schemars::schema_for!(WrittenModels))
}

fn text(schema: &schemars::Schema) -> String {
    let mut text = serde_json::to_string_pretty(schema).expect("a schema has only text keys");
    text.push('\n');
    text
}
