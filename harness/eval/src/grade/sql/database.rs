//! Databases for hostile SQL: in memory, watched, and gone after a grading.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::Value;
use rusqlite::{Batch, Connection, ErrorCode, Statement};

use super::super::cut;
use crate::sqlite::{is_forbidden, without_clock};

/// Instructions of SQLite's virtual machine that one grading may take, all its databases together.
const STEPS: u64 = 1_000_000;
/// How often they are counted.
const COUNTED: u16 = 1000;
/// The largest text, blob or row that a model's SQL may make, in bytes. Together with the steps it bounds what sorting
/// and grouping can take in memory.
const LARGEST: i32 = 1024;
/// The largest of those that a case makes.
const LARGEST_OF_CASES: i32 = 64 << 10;
/// The most pages of a database: 16 MB.
const PAGES: u32 = 4096;
/// The longest SQL, in bytes.
const LONGEST: i32 = 20_000;
/// The most rows that are compared.
pub(super) const ROWS: usize = 1000;

/// Who writes the SQL that is run, and for what.
#[derive(Clone, Debug)]
pub(super) enum Access {
    /// A case: tables, rows and statements.
    Case,
    /// A model: to read these tables, their names in small letters.
    Read(HashSet<String>),
    /// A model: to change the rows of these tables.
    Change(HashSet<String>),
    /// A model: to define tables.
    Define,
}

impl Access {
    fn allows(&self, action: &AuthAction<'_>) -> bool {
        let known = |tables: &HashSet<String>, name: &str| {
            name.is_empty() || tables.contains(&name.to_lowercase()) || is_json(name)
        };
        match action {
            // A table made of a query's rows would be as large as it likes.
            AuthAction::Select | AuthAction::Recursive => !matches!(self, Self::Define),
            AuthAction::Function { function_name } => !is_forbidden(function_name),
            AuthAction::Read { table_name, column_name } => match self {
                Self::Case | Self::Define => !is_internal(table_name),
                // A common table expression of which no column is read, as by `count(*)`, looks like a table.
                Self::Read(_) | Self::Change(_) if column_name.is_empty() => {
                    !is_internal(table_name) && !table_name.to_lowercase().starts_with("sqlite_")
                }
                Self::Read(tables) | Self::Change(tables) => known(tables, table_name),
            },
            AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. } => match self {
                Self::Case => true,
                Self::Read(_) => false,
                Self::Change(tables) => tables.contains(&table_name.to_lowercase()),
                // What defining a table writes.
                Self::Define => matches!(*table_name, "sqlite_master" | "sqlite_schema" | "sqlite_sequence"),
            },
            // Foreign keys hold anyway: SQL for SQLite often says so first.
            AuthAction::Pragma { pragma_name, pragma_value: Some(value) } => {
                let is_on = ["on", "1", "true", "yes"].contains(&value.to_lowercase().as_str());
                let changes = matches!(self, Self::Change(_) | Self::Define);
                changes && is_on && pragma_name.eq_ignore_ascii_case("foreign_keys")
            }
            AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => !matches!(self, Self::Read(_)),
            AuthAction::CreateTable { .. }
            | AuthAction::CreateIndex { .. }
            | AuthAction::CreateView { .. }
            | AuthAction::CreateTrigger { .. }
            | AuthAction::AlterTable { .. }
            | AuthAction::Reindex { .. }
            | AuthAction::DropTable { .. }
            | AuthAction::DropIndex { .. }
            | AuthAction::DropView { .. }
            | AuthAction::DropTrigger { .. } => matches!(self, Self::Case | Self::Define),
            _ => false,
        }
    }
}

fn is_json(table: &str) -> bool {
    ["json_each", "json_tree"].contains(&table.to_lowercase().as_str())
}

/// A table that tells of SQLite itself. (Its schema is read while tables are defined.)
fn is_internal(table: &str) -> bool {
    let table = table.to_lowercase();
    table.starts_with("pragma_")
        || table.starts_with("sqlite_stat")
        || ["dbstat", "sqlite_dbpage", "sqlite_stmt", "bytecode", "tables_used", "fts3tokenize", "fts5vocab"]
            .contains(&table.as_str())
}

/// What one grading may still spend.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget {
    steps: Arc<AtomicU64>,
}

/// The rows of a result, and what its columns are called.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Value>>,
    /// Whether there are more rows than were asked for.
    pub(super) more: bool,
}

/// Why SQL did not run to its end.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    /// Whether a constraint refused it.
    pub(super) constraint: bool,
    pub(super) message: String,
}

impl Failed {
    fn new(message: impl Into<String>) -> Self {
        Self { constraint: false, message: message.into() }
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        let (code, message) = match &error {
            rusqlite::Error::SqliteFailure(code, message) => (Some(code.code), message.clone()),
            rusqlite::Error::SqlInputError { error, msg, .. } => (Some(error.code), Some(msg.clone())),
            _ => (None, None),
        };
        let is_denied = message.as_deref().is_some_and(|it| it.starts_with("not authorized"));
        let message = match code {
            _ if is_denied => "it does what is not allowed".to_owned(),
            Some(ErrorCode::OperationInterrupted) => "it takes too many steps".to_owned(),
            Some(ErrorCode::AuthorizationForStatementDenied) => "it does what is not allowed".to_owned(),
            Some(ErrorCode::DiskFull) => "it writes too much".to_owned(),
            _ => message.unwrap_or_else(|| error.to_string()),
        };
        let constraint = matches!(code, Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch));
        Self { constraint, message: cut(&message, 160).into_owned() }
    }
}

/// A database of one grading.
pub(super) struct Database {
    connection: Connection,
}

impl Database {
    /// An empty one.
    pub(super) fn new(budget: &Budget) -> Result<Self, Failed> {
        let mut connection = Connection::open_in_memory()?;
        connection.execute_batch(&format!("PRAGMA max_page_count = {PAGES}; PRAGMA foreign_keys = ON;"))?;
        for (limit, most) in [
            (Limit::SQLITE_LIMIT_LENGTH, LARGEST_OF_CASES),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, LONGEST),
            (Limit::SQLITE_LIMIT_COLUMN, 100),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
            (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 100),
            (Limit::SQLITE_LIMIT_VDBE_OP, 50_000),
            (Limit::SQLITE_LIMIT_FUNCTION_ARG, 32),
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
            (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100),
            (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 1),
            (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
            (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        ] {
            connection.set_limit(limit, most)?;
        }
        without_clock(&connection)?;
        let steps = Arc::clone(&budget.steps);
        let count =
            move || steps.fetch_add(u64::from(COUNTED), Ordering::Relaxed) + u64::from(COUNTED) > STEPS;
        connection.progress_handler(i32::from(COUNTED), Some(count))?;
        let mut database = Self { connection };
        database.allow(Access::Case)?;
        Ok(database)
    }

    /// One with the tables and rows of a case.
    pub(super) fn with(schema: &str, budget: &Budget) -> Result<Self, Failed> {
        let database = Self::new(budget)?;
        database.run(schema)?;
        Ok(database)
    }

    /// From now on, this alone is allowed.
    pub(super) fn allow(&mut self, access: Access) -> Result<(), Failed> {
        let largest = if matches!(access, Access::Case) { LARGEST_OF_CASES } else { LARGEST };
        // What defines a table is kept as a row.
        let largest = if matches!(access, Access::Define) { LONGEST } else { largest };
        self.connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, largest)?;
        self.connection.authorizer(Some(move |context: AuthContext<'_>| {
            if access.allows(&context.action) { Authorization::Allow } else { Authorization::Deny }
        }))?;
        Ok(())
    }

    /// The tables and views, in small letters.
    pub(super) fn tables(&self) -> Result<HashSet<String>, Failed> {
        let mut statement = self.connection.prepare("SELECT lower(name) FROM sqlite_schema")?;
        let names = statement.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(names)
    }

    /// Runs statements; how many there were.
    pub(super) fn run(&self, sql: &str) -> Result<usize, Failed> {
        let mut batch = Batch::new(&self.connection, sql);
        let mut count = 0;
        while let Some(mut statement) = batch.next()? {
            let mut rows = statement.query(())?;
            while rows.next()?.is_some() {}
            count += 1;
        }
        if !self.connection.is_autocommit() {
            // What a constraint defers is checked at the end.
            self.connection.execute_batch("COMMIT")?;
        }
        Ok(count)
    }

    /// Runs one statement, which gives rows.
    pub(super) fn query(&self, sql: &str, most: usize) -> Result<Table, Failed> {
        let mut batch = Batch::new(&self.connection, sql);
        let Some(mut statement) = batch.next()? else { return Err(Failed::new("there is no statement")) };
        if statement.column_count() == 0 {
            return Err(Failed::new("the statement gives no rows"));
        }
        let table = rows(&mut statement, most)?;
        drop(statement);
        match batch.next() {
            Ok(None) => Ok(table),
            Ok(Some(_)) | Err(_) => Err(Failed::new("there is more than one statement")),
        }
    }
}

fn rows(statement: &mut Statement<'_>, most: usize) -> Result<Table, Failed> {
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut table = Table { rows: Vec::new(), more: false, columns };
    let mut found = statement.query(())?;
    while let Some(row) = found.next()? {
        if table.rows.len() == most {
            table.more = true;
            break;
        }
        let values = (0..table.columns.len()).map(|at| row.get(at)).collect::<Result<_, _>>()?;
        table.rows.push(values);
    }
    Ok(table)
}
