//! SQL: what a query gives, on the database that is built in.

use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, hooks};

use super::{Call, Function, Outcome};
use crate::generate::value::{Value, parsed};
use crate::sqlite::{is_forbidden, without_clock};

/// Instructions of the database's machine between two looks at the steps left.
const INSTRUCTIONS: i32 = 1_000;

/// How often it looks: together two million instructions.
const LOOKS: u32 = 2_000;

/// The largest text or row, in bytes.
const LARGEST: i32 = 1 << 20;

/// The most pages of a database: 16 MB.
const PAGES: u32 = 4096;

/// The most rows of a result.
const MOST_ROWS: usize = 10_000;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "sql(script, query)",
        what: "the rows that a query gives, as lists, after a script has filled an empty SQLite database. NULL is the text `NULL`; give \
               `ORDER BY` where the order matters",
        run: sql,
    },
    Function {
        form: "sql_values(rows)",
        what: "rows as they stand after VALUES: `(1, 'a'), (2, 'b')`",
        run: |call| {
            let mut rows = Vec::new();
            for row in call.list(0)?.iter() {
                let Value::List(items) = row else { return Err(call.wrong(0, "expected a list of rows")) };
                let items = items.iter().map(|it| match it {
                    Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
                    Value::Boolean(truth) => u8::from(*truth).to_string(),
                    other => other.to_string(),
                });
                rows.push(format!("({})", items.collect::<Vec<_>>().join(", ")));
            }
            call.new_text(rows.join(", "))
        },
    },
];

fn sql(call: &mut Call<'_, '_>) -> Outcome {
    let (script, query) = (call.text(0)?, call.text(1)?);
    call.pay(2_000)?;
    let run = || -> Result<Vec<Vec<Value>>, rusqlite::Error> {
        let mut database = Connection::open_in_memory()?;
        let mut looks = LOOKS;
        database.progress_handler(
            INSTRUCTIONS,
            Some(move || {
                looks = looks.saturating_sub(1);
                looks == 0
            }),
        )?;
        database.set_limit(Limit::SQLITE_LIMIT_LENGTH, LARGEST)?;
        without_clock(&database)?;
        database.execute_batch(&format!("PRAGMA max_page_count = {PAGES};"))?;
        // Nothing outside: no other file. Nothing that differs from run to run.
        database.authorizer(Some(|it: hooks::AuthContext<'_>| match it.action {
            hooks::AuthAction::Attach { .. }
            | hooks::AuthAction::Detach { .. }
            | hooks::AuthAction::Pragma { .. } => hooks::Authorization::Deny,
            hooks::AuthAction::Function { function_name } if is_forbidden(function_name) => {
                hooks::Authorization::Deny
            }
            _ => hooks::Authorization::Allow,
        }))?;
        database.execute_batch(&script)?;
        let mut statement = database.prepare(&query)?;
        let columns = statement.column_count();
        let mut found = statement.query([])?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let mut items = Vec::new();
            for column in 0..columns {
                items.push(match row.get_ref(column)? {
                    ValueRef::Null => Value::text("NULL"),
                    ValueRef::Integer(it) => Value::whole(it),
                    ValueRef::Real(it) => {
                        parsed(&it.to_string()).map_or_else(|| Value::text(it.to_string()), Value::Number)
                    }
                    ValueRef::Text(it) | ValueRef::Blob(it) => Value::text(String::from_utf8_lossy(it)),
                });
            }
            rows.push(items);
            if rows.len() > MOST_ROWS {
                break;
            }
        }
        Ok(rows)
    };
    let rows = run().map_err(|error| call.fails(format!("the database says: {error}")))?;
    if rows.len() > MOST_ROWS {
        return Err(call.fails(format!("the query gives more than {MOST_ROWS} rows")));
    }
    let mut items = Vec::new();
    for row in rows {
        items.push(call.new_list(row)?);
    }
    call.new_list(items)
}
