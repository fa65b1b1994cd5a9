//! SQLite: what no SQL may ask of it where the same text must always give the same rows.

use std::sync::LazyLock;

use regex::Regex;

/// Functions that give other values each time, or that reach outside.
const FORBIDDEN: [&str; 8] = [
    "random",
    "randomblob",
    "load_extension",
    "current_date",
    "current_time",
    "current_timestamp",
    "fts3_tokenizer",
    "sqlite_offset",
];

/// Whether a function gives other values each time, or reaches outside.
pub(crate) fn is_forbidden(function: &str) -> bool {
    FORBIDDEN.iter().any(|it| it.eq_ignore_ascii_case(function))
}

static NOW: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?i)['"]\s*now\b"#,
        r"|\b(?:date|time|datetime|julianday|unixepoch)\s*\(\s*\)",
        r"|\bstrftime\s*\(\s*'[^']*'\s*\)",
        // As a value of time, it is the present one.
        r#"|\b(?:date|time|datetime|julianday|unixepoch|timediff)\s*\(\s*['"]subsec"#,
        r#"|\bstrftime\s*\(\s*'[^']*'\s*,\s*['"]subsec"#,
        r#"|\btimediff\s*\([^()]*,\s*['"]subsec"#,
        // The machine's own time zone.
        r#"|\b(?:date|time|datetime|julianday|unixepoch|strftime)\s*\([^()]*,\s*['"]\s*(?:localtime|utc)\b"#,
    ))
    .expect("the pattern is sound")
});

/// Whether SQL asks for the current time, or for the machine's own, by SQLite's functions of dates.
pub(crate) fn tells_the_time(sql: &str) -> bool {
    NOW.is_match(sql)
}
