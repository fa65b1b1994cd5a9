//! SQL: the answer, run on an embedded SQLite.

mod database;
mod extract;

use rusqlite::types::Value;
use serde_json::json;

use self::database::{Access, Budget, Database, Failed, ROWS, Table};
use self::extract::extract;
use super::form::Cell;
use super::numeral::Numeral;
use super::{Evidence, Finding, Grader, Spanned, Text, cut, mistake, texts, written};
use crate::count::counted;
use crate::yaml::{Malformed, Span};

/// The answer is SQL that does on an embedded SQLite what it should.
///
/// Where its SQL is, [`extract`](mod@extract) defines. It runs on a new database in memory, with the case's `schema`, in one of three
/// ways:
///
/// - **a query**: one statement that gives rows and changes nothing. Its result must be `rows`, or what the reference
///   `query` gives;
/// - **a change** (`after`): one or more statements that insert, update and delete rows. What the query `after` gives then
///   must be `rows`, or what it gives after the reference `query`;
/// - **definitions** (`creates`), on an empty database: statements that define tables, indexes, views and triggers. Then each
///   statement of `accepts` must run, in order, and each of `rejects`, alone after those, must be refused by a constraint
///   (foreign key, unique, check, not null, a strict table's types); an error of another kind, such as a missing table,
///   is no refusal.
///
/// Two results are equal if they have as many columns and the same rows, as often, in any order unless `ordered`. The
/// names of columns mean nothing unless `names` are given; case does not matter then. NULL is NULL alone. Two integers
/// are equal exactly; of two numbers one of which is real, 1 is 1.0, and they may be apart by 1e-9 of the larger. Texts
/// are equal character by character, and no text is a number; but a text of `rows` that is written as one (as a template
/// writes it) is also met by the number.
///
/// The model's SQL is hostile. SQLite is asked about each thing a statement does, and allows what is named above: no
/// pragma, attached database, virtual table, temporary table, table of SQLite's own, loaded extension, nor functions of
/// chance, of the current time or of the machine's time zone (`random`, `CURRENT_TIMESTAMP`, `'now'`, `'localtime'`). All databases of a grading together take at most
/// one million instructions of SQLite's virtual machine; no value or row of a query has more than 1024 bytes, no database
/// more than 16 MB, no answer more than 20 000 bytes, no result more than 1000 rows. What goes beyond is wrong. Nothing
/// depends on the clock, so the same answer always gets the same grade.
#[derive(Clone, Debug)]
pub(super) struct Sql {
    schema: String,
    task: Task,
    /// SQL of the case's own that does what it should.
    reference: Option<String>,
}

#[derive(Clone, Debug)]
enum Task {
    Rows { wanted: Wanted, query: Option<String>, after: Option<String> },
    Creates { accepts: Vec<String>, rejects: Vec<String> },
}

/// A result that is wanted.
#[derive(Clone, Debug)]
struct Wanted {
    rows: Vec<Vec<Cell>>,
    names: Option<Vec<String>>,
    ordered: bool,
}

impl Sql {
    pub(super) fn check(written: &written::Sql, place: Span, mistakes: &mut Vec<Malformed>) -> Option<Self> {
        let known = mistakes.len();
        let written::Sql { schema, rows, query, after, names, ordered, creates, weight: _ } = written;
        let schema_text = schema.value().map(|it| it.0.clone()).unwrap_or_default();
        if let Err(failed) = Database::with(&schema_text, &Budget::default()) {
            let span = schema.0.as_ref().map_or(place, |it| it.span);
            mistakes.push(mistake(span, format!("the schema does not run: {}", failed.message)));
            return None;
        }
        if let Some(creates) = &creates.0 {
            let span = creates.span;
            for (name, is_given) in [
                ("rows", rows.0.is_some()),
                ("query", query.0.is_some()),
                ("after", after.0.is_some()),
                ("names", names.0.is_some()),
                ("ordered", *ordered),
                ("schema", schema.0.is_some()),
            ] {
                if is_given {
                    mistakes.push(mistake(
                        span,
                        format!("`creates` and `{name}` at once: the answer itself defines the tables"),
                    ));
                }
            }
            let creates = &creates.value.0;
            let list = |name, list: &Option<Spanned<Vec<Spanned<Text>>>>, mistakes: &mut Vec<Malformed>| {
                list.as_ref().map(|it| texts(name, it, mistakes)).unwrap_or_default()
            };
            let accepts = list("accepts", &creates.accepts.0, mistakes);
            let rejects = list("rejects", &creates.rejects.0, mistakes);
            if creates.accepts.0.is_none() {
                mistakes
                    .push(mistake(span, "`accepts` is missing: tables that refuse everything would pass"));
            }
            if let Some(reference) = &creates.reference.0
                && mistakes.len() == known
                && let Err(reason) = defines(&reference.value.0, &accepts, &rejects)
            {
                mistakes.push(mistake(reference.span, format!("the reference is wrong: {reason}")));
            }
            let task = Task::Creates { accepts, rejects };
            let reference = creates.reference.value().map(|it| it.0.clone());
            return (mistakes.len() == known).then_some(Self { schema: schema_text, task, reference });
        }
        let query_text = query.value().map(|it| it.0.clone());
        let after_text = after.value().map(|it| it.0.clone());
        let mut wanted = Wanted { rows: Vec::new(), names: None, ordered: *ordered };
        match (&rows.0, &query.0) {
            (None, None) => {
                mistakes
                    .push(mistake(place, "nothing is wanted: give `rows`, a reference `query` or `creates`"));
            }
            (Some(rows), Some(_)) => {
                mistakes.push(mistake(rows.span, "`rows` and `query` at once: give one of them"));
            }
            (Some(rows), None) => {
                wanted.rows.clone_from(&rows.value);
                let width = rows.value.first().map_or(0, Vec::len);
                if rows.value.len() > ROWS {
                    mistakes.push(mistake(rows.span, format!("more than {ROWS} rows")));
                }
                if rows.value.iter().any(|it| it.len() != width || it.is_empty()) {
                    mistakes.push(mistake(rows.span, "the rows are not of the same length"));
                }
            }
            (None, Some(query)) => match reference(&schema_text, &query.value.0, after_text.as_deref()) {
                Ok(table) => wanted.rows = table,
                Err(message) => {
                    mistakes.push(mistake(query.span, format!("the reference query fails: {message}")));
                }
            },
        }
        if let Some(names) = &names.0 {
            let list = texts("names", names, mistakes);
            if wanted.rows.first().is_some_and(|it| it.len() != list.len()) {
                let names_given = counted(list.len(), "name");
                mistakes.push(mistake(names.span, format!("{names_given} for other columns")));
            }
            wanted.names = Some(list);
        }
        if let Some(after) = &after.0
            && query.0.is_none()
            && let Err(failed) =
                Database::with(&schema_text, &Budget::default()).and_then(|it| it.query(&after.value.0, ROWS))
        {
            mistakes.push(mistake(after.span, format!("the query `after` fails: {}", failed.message)));
        }
        let reference = query_text.clone();
        let task = Task::Rows { wanted, query: query_text, after: after_text };
        (mistakes.len() == known).then_some(Self { schema: schema_text, task, reference })
    }

    fn judge(&self, sql: &str) -> Result<String, String> {
        match &self.task {
            Task::Creates { accepts, rejects } => {
                defines(sql, accepts, rejects)?;
                Ok(format!("accepts {}, rejects {}", statements(accepts), statements(rejects)))
            }
            Task::Rows { wanted, after, .. } => {
                let table = answered(&self.schema, sql, after.as_deref()).map_err(|it| it.message)?;
                wanted.compare(&table)?;
                Ok(format!("found the {}", counted(table.rows.len(), "row")))
            }
        }
    }
}

fn statements(list: &[String]) -> String {
    counted(list.len(), "statement")
}

/// What an answer's SQL gives, or what is there after it.
fn answered(schema: &str, sql: &str, after: Option<&str>) -> Result<Table, Failed> {
    let mut database = Database::with(schema, &Budget::default())?;
    let tables = database.tables()?;
    match after {
        None => {
            database.allow(Access::Read(tables))?;
            database.query(sql, ROWS)
        }
        Some(after) => {
            database.allow(Access::Change(tables))?;
            database.run(sql)?;
            database.allow(Access::Case)?;
            database.query(after, ROWS)
        }
    }
}

/// What the reference gives, as rows that are wanted.
fn reference(schema: &str, query: &str, after: Option<&str>) -> Result<Vec<Vec<Cell>>, String> {
    let table = answered(schema, query, after).map_err(|it| it.message)?;
    if table.more {
        return Err(format!("it gives more than {ROWS} rows"));
    }
    table.rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect()
}

fn cell(value: Value) -> Result<Cell, String> {
    Ok(match value {
        Value::Null => Cell::Null,
        Value::Integer(value) => Cell::Integer(value),
        Value::Real(value) => Cell::Real(value),
        Value::Text(value) => Cell::Text(value),
        Value::Blob(_) => return Err("it gives a blob, which is not compared".to_owned()),
    })
}

/// Whether definitions accept and reject what they should; else the first thing that is not so.
fn defines(sql: &str, accepts: &[String], rejects: &[String]) -> Result<(), String> {
    let budget = Budget::default();
    let define = || -> Result<Database, String> {
        let mut database = Database::new(&budget).map_err(|it| it.message)?;
        database.allow(Access::Define).map_err(|it| it.message)?;
        let count = database.run(sql).map_err(|it| it.message)?;
        if count == 0 {
            return Err("there is no statement".to_owned());
        }
        database.allow(Access::Case).map_err(|it| it.message)?;
        for statement in accepts {
            database
                .run(statement)
                .map_err(|it| format!("refuses `{}`: {}", cut(statement, 80), it.message))?;
        }
        Ok(database)
    };
    if rejects.is_empty() {
        return define().map(drop);
    }
    for statement in rejects {
        // Each on a new one: what was refused leaves no trace, what was not leaves none either.
        match define()?.run(statement) {
            Err(failed) if failed.constraint => {}
            Err(failed) => return Err(format!("fails at `{}`: {}", cut(statement, 80), failed.message)),
            Ok(_) => return Err(format!("accepts `{}`", cut(statement, 80))),
        }
    }
    Ok(())
}

impl Wanted {
    /// An error says in what a result differs.
    fn compare(&self, found: &Table) -> Result<(), String> {
        if let Some(names) = &self.names
            && !names.iter().map(|it| it.to_lowercase()).eq(found.columns.iter().map(|it| it.to_lowercase()))
        {
            return Err(format!(
                "wanted the columns {}, found {}",
                names.join(", "),
                cut(&found.columns.join(", "), 80)
            ));
        }
        if let Some(row) = self.rows.first()
            && row.len() != found.columns.len()
        {
            return Err(format!("wanted {}, found {}", counted(row.len(), "column"), found.columns.len()));
        }
        if found.more || found.rows.len() != self.rows.len() {
            let more = if found.more { "more than " } else { "" };
            let wanted = counted(self.rows.len(), "row");
            return Err(format!("wanted {wanted}, found {more}{}", found.rows.len()));
        }
        if self.ordered {
            let differs = self.rows.iter().zip(&found.rows).position(|(wanted, found)| !same(wanted, found));
            return differs.map_or(Ok(()), |at| {
                let (wanted, found) = (shown(&self.rows[at]), shown_values(&found.rows[at]));
                Err(format!("row {}: wanted {wanted}, found {found}", at + 1))
            });
        }
        let mut left: Vec<&Vec<Value>> = found.rows.iter().collect();
        for wanted in &self.rows {
            let Some(at) = left.iter().position(|it| same(wanted, it)) else {
                let instead = shown_values(left.first().expect("there are as many rows"));
                return Err(format!("no row {}, but {instead}", shown(wanted)));
            };
            left.swap_remove(at);
        }
        Ok(())
    }
}

fn same(wanted: &[Cell], found: &[Value]) -> bool {
    wanted.iter().zip(found).all(|(wanted, found)| matches(wanted, found))
}

fn matches(wanted: &Cell, found: &Value) -> bool {
    match (wanted, found) {
        (Cell::Null, Value::Null) => true,
        (Cell::Integer(wanted), Value::Integer(found)) => wanted == found,
        (Cell::Integer(wanted), Value::Real(found)) => near(*wanted as f64, *found),
        (Cell::Real(wanted), Value::Integer(found)) => near(*wanted, *found as f64),
        (Cell::Real(wanted), Value::Real(found)) => near(*wanted, *found),
        (Cell::Text(wanted), Value::Text(found)) => wanted == found,
        (Cell::Text(wanted), Value::Integer(found)) => {
            wanted.trim().parse::<i64>().is_ok_and(|it| it == *found) || number(wanted, *found as f64)
        }
        (Cell::Text(wanted), Value::Real(found)) => number(wanted, *found),
        _ => false,
    }
}

fn number(wanted: &str, found: f64) -> bool {
    Numeral::whole(wanted).is_some_and(|it| !it.percent && near(it.quantity.approximate(), found))
}

#[expect(clippy::float_cmp, reason = "infinities are equal to themselves alone")]
fn near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()) && a.is_finite() && b.is_finite()
}

fn shown(row: &[Cell]) -> String {
    let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
    cut(&format!("({})", cells.join(", ")), 80).into_owned()
}

fn shown_values(row: &[Value]) -> String {
    let cell = |value: &Value| match value {
        Value::Null => Cell::Null.to_string(),
        Value::Integer(value) => Cell::Integer(*value).to_string(),
        Value::Real(value) => Cell::Real(*value).to_string(),
        Value::Text(value) => Cell::Text(value.clone()).to_string(),
        Value::Blob(_) => "a blob".to_owned(),
    };
    cut(&format!("({})", row.iter().map(cell).collect::<Vec<_>>().join(", ")), 80).into_owned()
}

impl Grader for Sql {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let several = match &self.task {
            Task::Rows { after, .. } => after.is_some(),
            Task::Creates { .. } => true,
        };
        let Some(sql) = extract(evidence.text, several) else {
            return Ok(Finding::wrong("no SQL found"));
        };
        let answer = Some(cut(sql, 200).into_owned());
        Ok(match self.judge(sql) {
            Ok(reason) => Finding::right(reason, answer),
            Err(reason) => Finding::new(0.0, reason, answer),
        })
    }

    fn wanted(&self) -> String {
        match &self.task {
            Task::Creates { accepts, rejects } => {
                format!("definitions that accept {} and reject {}", statements(accepts), statements(rejects))
            }
            Task::Rows { query: Some(query), .. } => format!("what `{}` gives", cut(query, 120)),
            Task::Rows { wanted, .. } => {
                let rows: Vec<String> = wanted.rows.iter().take(3).map(|it| shown(it)).collect();
                let more = if wanted.rows.len() > 3 { ", …" } else { "" };
                format!("the {} {}{more}", counted(wanted.rows.len(), "row"), rows.join(", "))
            }
        }
    }

    fn canonical(&self) -> serde_json::Value {
        match &self.task {
            Task::Creates { accepts, rejects } => json!({ "accepts": accepts, "rejects": rejects }),
            Task::Rows { wanted, query, after } => {
                let rows: Vec<String> = wanted.rows.iter().map(|it| format!("{it:?}")).collect();
                json!({
                    "schema": self.schema,
                    "rows": rows,
                    "names": wanted.names,
                    "ordered": wanted.ordered,
                    "query": query,
                    "after": after,
                })
            }
        }
    }

    fn targets(&self) -> Vec<String> {
        match &self.task {
            Task::Rows { query, .. } => query.iter().cloned().collect(),
            Task::Creates { .. } => Vec::new(),
        }
    }

    fn reference(&self) -> Option<String> {
        self.reference.as_ref().map(|it| format!("```sql\n{it}\n```"))
    }

    fn runs_answer(&self) -> bool {
        true
    }
}
