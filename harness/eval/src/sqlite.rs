//! SQLite: what no SQL may ask of it where the same text must always give the same rows.

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};

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

/// SQLite's functions of dates, and which of their arguments, from 0, are times.
const DATES: [(&str, &[usize]); 7] = [
    ("date", &[0]),
    ("time", &[0]),
    ("datetime", &[0]),
    ("julianday", &[0]),
    ("unixepoch", &[0]),
    ("strftime", &[1]),
    ("timediff", &[0, 1]),
];

thread_local! {
    /// Where SQLite's own functions of dates are, once others stand in their place.
    static PLAIN: Option<Connection> = Connection::open_in_memory().ok();
}

/// Puts functions in the place of SQLite's that do the same, but know neither the current time nor the time zone of
/// this machine. What asks for them is an argument like any other, which may have been put together.
pub(crate) fn without_clock(connection: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    for (name, times) in DATES {
        connection.create_scalar_function(name, -1, flags, move |call| {
            let refused = |why: &str| rusqlite::Error::UserFunctionError(why.into());
            let mut arguments = Vec::new();
            for place in 0..call.len() {
                let value = call.get_raw(place);
                let text = match value {
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
                    ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => &[],
                };
                // As C sees it.
                let text = text.split(|it| *it == 0).next().unwrap_or_default();
                let is = |words: &[&str]| words.iter().any(|it| text.eq_ignore_ascii_case(it.as_bytes()));
                let is_now: &[&str] =
                    if times.contains(&place) { &["now", "subsec", "subsecond"] } else { &["now"] };
                if is(is_now) {
                    return Err(refused("it asks for the current time"));
                }
                if is(&["localtime", "utc"]) {
                    return Err(refused("it asks for the time zone of this machine"));
                }
                arguments.push(Value::try_from(value)?);
            }
            // Without a time they take the current one; `strftime` without a format gives nothing.
            if arguments.len() <= times[0] && (name != "strftime" || arguments.len() == 1) {
                return Err(refused("it asks for the current time"));
            }
            let places = vec!["?"; arguments.len()].join(", ");
            PLAIN.with(|plain| {
                let plain = plain.as_ref().ok_or_else(|| refused("out of memory"))?;
                let mut statement = plain.prepare_cached(&format!("SELECT {name}({places})"))?;
                statement.query_row(params_from_iter(arguments), |row| row.get::<_, Value>(0))
            })
        })?;
    }
    Ok(())
}
