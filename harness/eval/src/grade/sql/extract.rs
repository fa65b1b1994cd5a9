//! Where the SQL of an answer is.

use std::sync::LazyLock;

use regex::Regex;

use super::super::fence::fences;

const NAMES: [&str; 10] =
    ["sql", "sqlite", "sqlite3", "postgres", "postgresql", "psql", "mysql", "tsql", "plsql", "ddl"];

/// What begins a statement. Sentences begin with a capital and go on small: `Select the rows`, `With this query`.
static BEGINNING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?m)^[ \t]*(?:",
        r"(?:SELECT|select|INSERT|insert|UPDATE|update|DELETE|delete|REPLACE|CREATE|create|ALTER|DROP|BEGIN)\b",
        r#"|(?:WITH|with)\s{1,9}(?:(?i:recursive)\s{1,9})?["`\[]?\w+["`\]]?\s{0,9}(?:\([^()]*\)\s{0,9})?(?i:as)\b"#,
        r"|(?:VALUES|values)\s{0,9}\()",
    ))
    .expect("the pattern is sound")
});

/// The SQL of an answer:
///
/// 1. the content of the last code fence that is named `sql`, `sqlite` or after another dialect; else of the last one
///    without a name;
/// 2. else the last code within a line, in back quotes, that begins with a statement's first word;
/// 3. else the last paragraph from the first line on that begins with one (in capitals or small letters: a sentence's
///    `Select` or `With` begins none), up to its last `;` if it has any. A paragraph ends with a blank line.
pub(super) fn extract(text: &str) -> Option<&str> {
    let fences = fences(text);
    let is_named = |name: &str| NAMES.contains(&name.to_lowercase().trim_matches(['{', '}', '.']));
    let named = fences.iter().rev().find(|it| is_named(it.name));
    if let Some(fence) = named.or_else(|| fences.iter().rev().find(|it| it.name.is_empty())) {
        return Some(fence.code.trim()).filter(|it| !it.is_empty());
    }
    let quotes: Vec<usize> = text.match_indices('`').map(|it| it.0).collect();
    let mut codes = quotes.chunks_exact(2).rev().map(|it| text[it[0] + 1..it[1]].trim());
    if let Some(code) = codes.find(|it| begins(it)) {
        return Some(code);
    }
    let found = paragraphs(text).filter_map(|it| Some(&it[BEGINNING.find(it)?.start()..]));
    let sql = found.last()?;
    Some(sql.rfind(';').map_or(sql, |end| &sql[..=end]).trim())
}

fn begins(code: &str) -> bool {
    BEGINNING.find(code).is_some_and(|it| it.start() == 0)
}

/// The text, parted after blank lines.
fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0;
        for line in rest.split_inclusive('\n') {
            end += line.len();
            if line.trim().is_empty() {
                break;
            }
        }
        let (paragraph, after) = rest.split_at(end);
        rest = after;
        Some(paragraph)
    })
}
