//! JSON Schemas of the files that people write, so that editors complete and check them.

use serde_json::{Value, json};

use crate::case::WrittenSuite;
use crate::model::WrittenModels;

/// The schema of `cases/<category>/<topic>.yaml`.
pub fn cases() -> String {
    let mut schema = serde_json::to_value(schemars::schema_for!(WrittenSuite)).expect("a schema is JSON");
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        for (_, it) in definitions.iter_mut().filter(|(name, _)| name.ends_with("Grader")) {
            let Some(Value::Object(settings)) = it.get_mut("properties") else { continue };
            settings.values_mut().for_each(or_drawn);
        }
    }
    text(&schema)
}

/// Where a grader wants a list, the name of one that a family draws will do.
fn or_drawn(setting: &mut Value) {
    if setting.get("type").is_some_and(|it| it == "array") {
        let drawn = json!({ "type": "string", "pattern": r"^\{\{.*\}\}$" });
        let list = setting.take();
        *setting = json!({ "description": list.get("description"), "anyOf": [list, drawn] });
    }
}

/// The schema of `models.yaml`.
pub fn models() -> String {
    text(&serde_json::to_value(schemars::schema_for!(WrittenModels)).expect("a schema is JSON"))
}

fn text(schema: &Value) -> String {
    let mut text = serde_json::to_string_pretty(schema).expect("a schema has only text keys");
    text.push('\n');
    text
}
