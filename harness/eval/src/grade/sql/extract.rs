//! Where the SQL of an answer is.

use std::ops::Range;
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
///    `Select` or `With` begins none), up to its last `;` if it has any. A paragraph ends with a blank line that does not
///    follow a comma. If it begins with a statement, remarks aside, what stands right before it belongs to it: common
///    table expressions, and, where `several` statements may be given, those that end with `;`.
pub(super) fn extract(text: &str, several: bool) -> Option<&str> {
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
    let (mut found, mut end): (Option<Range<usize>>, usize) = (None, 0);
    for paragraph in paragraphs(text) {
        let start = end;
        end += paragraph.len();
        let Some(statement) = BEGINNING.find(paragraph) else { continue };
        let goes_on = |before: &str| before.ends_with(';') && several || lacks_query(before);
        let before = found.filter(|it| it.end == start && goes_on(text[it.clone()].trim_end()));
        let before = before.filter(|_| is_sql(paragraph));
        found = Some(before.map_or(start + statement.start(), |it| it.start)..end);
    }
    let sql = &text[found?];
    Some(sql.rfind(';').map_or(sql, |end| &sql[..=end]).trim())
}

/// Whether it ends with a common table expression, whose query has yet to come.
fn lacks_query(sql: &str) -> bool {
    sql.get(..4).is_some_and(|it| it.eq_ignore_ascii_case("with")) && sql.ends_with(')')
}

/// Whether a paragraph begins with a statement, remarks aside.
fn is_sql(paragraph: &str) -> bool {
    let mut lines = paragraph.lines().map(str::trim_start);
    lines.find(|it| !it.is_empty() && !it.starts_with("--")).is_some_and(begins)
}

fn begins(code: &str) -> bool {
    BEGINNING.find(code).is_some_and(|it| it.start() == 0)
}

/// The text, parted after blank lines that do not follow a comma.
fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (mut end, mut goes_on) = (0, false);
        for line in rest.split_inclusive('\n') {
            end += line.len();
            if !line.trim().is_empty() {
                goes_on = line.trim_end().ends_with(',');
            } else if !goes_on {
                break;
            }
        }
        let (paragraph, after) = rest.split_at(end);
        rest = after;
        Some(paragraph)
    })
}
