//! Rows: the documents of a split, read from files of JSON, JSON lines, comma-separated values or Arrow, plain or
//! compressed by gzip.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Number, Value};

use super::{arrow, python};

/// The largest file that is read, in bytes, unpacked.
const LARGEST: u64 = 2 << 30;

/// How a file's rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A list of objects, an object with such a list, or an object a line.
    Json,
    /// Comma-separated values with a line of names.
    Csv,
    /// Arrow's streams.
    Arrow,
}

/// Which objects of a file are documents, where that are not all.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// The field of an object that is the document.
    pub field: Option<String>,
    /// Only the first object of each value of this field counts.
    pub unique: Option<String>,
}

/// A document: its fields by name.
pub type Row = Map<String, Value>;

/// Reads the rows of some files, one after the other; in the end each has every field, if need be as nothing.
///
/// The error says what is wrong and with which file.
pub fn read(files: &[impl AsRef<Path>], format: Format, records: &Records) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for path in files {
        let path = path.as_ref();
        let told = |problem: String| format!("{}: {problem}", path.display());
        let bytes = contents(path).map_err(|error| told(format!("cannot be read: {error}")))?;
        let read = match format {
            Format::Json => json(&bytes, records),
            Format::Csv => csv(&bytes),
            Format::Arrow => arrow::rows(&bytes),
        };
        rows.extend(read.map_err(told)?);
    }
    complete(&mut rows);
    Ok(rows)
}

fn contents(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?.take(LARGEST + 1);
    file.read_to_end(&mut bytes)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let packed = std::mem::take(&mut bytes);
        flate2::read::MultiGzDecoder::new(&packed[..]).take(LARGEST + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other(format!("it has more than {} GiB", LARGEST >> 30)));
    }
    Ok(bytes)
}

fn json(bytes: &[u8], records: &Records) -> Result<Vec<Row>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("is not UTF-8: {error}"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start();
    let mut rows = Vec::new();
    let mut seen = HashSet::new();
    let mut take = |value: Value, at: String| -> Result<(), String> {
        let Value::Object(mut row) = value else { return Err(format!("{at} is no object")) };
        if let Some(unique) = &records.unique {
            let key = row.get(unique).ok_or_else(|| format!("{at} has no `{unique}`"))?;
            if !seen.insert(key.to_string()) {
                return Ok(());
            }
        }
        match &records.field {
            None => rows.push(row),
            Some(field) => match row.remove(field) {
                Some(Value::Object(row)) => rows.push(row),
                _ => return Err(format!("{at} has no object `{field}`")),
            },
        }
        Ok(())
    };
    // As the `datasets` library does: one whole value, else a value a line.
    let whole = if text.starts_with('[') { serde_json::from_str(text).map(Some) } else { Ok(None) };
    match whole.map_err(|error| format!("is no JSON: {error}"))? {
        Some(Value::Array(items)) => {
            for (index, item) in items.into_iter().enumerate() {
                take(item, format!("item {}", index + 1))?;
            }
        }
        _ => {
            for (index, line) in text.lines().enumerate().filter(|(_, it)| !it.trim().is_empty()) {
                let value = match serde_json::from_str(line) {
                    Ok(value) => value,
                    // An object over several lines.
                    Err(_) if index == 0 => match serde_json::from_str(text) {
                        Ok(value) => {
                            take(value, "the object".to_owned())?;
                            break;
                        }
                        Err(error) => return Err(format!("is no JSON: {error}")),
                    },
                    Err(error) => return Err(format!("line {} is no JSON: {error}", index + 1)),
                };
                take(value, format!("line {}", index + 1))?;
            }
        }
    }
    Ok(rows)
}

/// As pandas reads it: a column of whole numbers, of numbers or of truth values is one, and what stands for nothing is.
fn csv(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let names: Vec<String> =
        reader.headers().map_err(|error| error.to_string())?.iter().map(str::to_owned).collect();
    let records = reader.records().collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let mut rows = vec![Row::new(); records.len()];
    for (column, name) in names.iter().enumerate() {
        let cells = || records.iter().map(|it| it.get(column).unwrap_or_default());
        let given = || cells().filter(|it| !NOTHING.contains(it));
        let none_missing = given().count() == records.len();
        let whole = given().all(|it| it.trim().parse::<i64>().is_ok());
        let numbers = given().all(|it| it.trim().parse::<f64>().is_ok());
        let truth = given().all(|it| ["True", "TRUE", "true", "False", "FALSE", "false"].contains(&it));
        let some = given().next().is_some();
        for (row, cell) in rows.iter_mut().zip(cells()) {
            let value = if NOTHING.contains(&cell) {
                Value::Null
            } else if some && whole && none_missing {
                cell.trim().parse::<i64>().map_or(Value::Null, Value::from)
            } else if some && numbers {
                cell.trim().parse::<f64>().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
            } else if some && truth && none_missing {
                Value::Bool(cell.eq_ignore_ascii_case("true"))
            } else {
                Value::from(cell)
            };
            row.insert(name.clone(), value);
        }
    }
    Ok(rows)
}

/// What pandas takes for a missing value.
const NOTHING: [&str; 18] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "nan", "null",
];

/// Gives every row every field, in one order, and makes numbers of a field with any fraction all fractions: a split has
/// one schema.
fn complete(rows: &mut [Row]) {
    let mut names: Vec<String> = Vec::new();
    let mut known: HashSet<String> = HashSet::new();
    let mut floats: HashSet<String> = HashSet::new();
    for row in rows.iter() {
        for (name, value) in row {
            if !known.contains(name) {
                known.insert(name.clone());
                names.push(name.clone());
            }
            if value.is_f64() && !floats.contains(name) {
                floats.insert(name.clone());
            }
        }
    }
    for row in rows {
        if row.len() < names.len() {
            for name in &names {
                row.entry(name.clone()).or_insert(Value::Null);
            }
        }
        for name in &floats {
            if let Some(value) = row.get_mut(name)
                && let Some(float) = value.as_f64()
            {
                *value = Number::from_f64(float).map_or(Value::Null, Value::Number);
            }
        }
    }
}

/// Whether two documents are one: lm-evaluation-harness compares them so to keep a question out of its own examples.
pub fn same(one: &Row, other: &Row) -> bool {
    one.len() == other.len() && one.iter().all(|(name, value)| other.get(name) == Some(value))
}

/// What a document's field is called in an id.
pub fn id_of(value: &Value) -> String {
    let text = python::text(value).to_lowercase();
    let kept = |it: char| if it.is_ascii_alphanumeric() || "-_.".contains(it) { it } else { '-' };
    text.chars().map(kept).collect::<String>().trim_start_matches(['.', '-']).to_owned()
}
