//! SQL.

use proptest::prelude::*;
use rstest::rstest;

use crate::{check, check_fast, grade};

const SHOP: &str = "
  schema: |
    CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
    CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customer (id), price REAL);
    INSERT INTO customer VALUES (1, 'Ada', 'London'), (2, 'Bob', NULL), (3, 'Eve', 'Rome');
    INSERT INTO purchase VALUES (1, 1, 2.5), (2, 1, 3), (3, 3, 10);
";

fn shop(wanted: &str) -> String {
    format!("sql: {}  {wanted}", SHOP.trim_end_matches(' ')).replace("sql: \n", "sql:\n")
}

#[rstest]
#[case("rows: [[Ada], [Bob], [Eve]]", "SELECT name FROM customer", 1.0, "found the 3 rows")]
#[case("rows: [[Eve], [Bob], [Ada]]", "SELECT name FROM customer", 1.0, "")]
#[case("rows: [[Ada], [Bob]]", "SELECT name FROM customer", 0.0, "wanted 2 rows, found 3")]
#[case("rows: [[Ada], [Bob], [Ada]]", "SELECT name FROM customer", 0.0, "no row ('Ada'), but ('Eve')")]
#[case("rows: [[Ada], [Bob], [Eve]]", "SELECT name, id FROM customer", 0.0, "wanted 1 column, found 2")]
#[case("rows: [[Ada], [Bob], [EVE]]", "SELECT name FROM customer", 0.0, "no row ('EVE'), but ('Eve')")]
#[case("rows: [[London], [null], [Rome]]", "SELECT city FROM customer", 1.0, "")]
#[case("rows: [[London], [''], [Rome]]", "SELECT city FROM customer", 0.0, "no row ('')")]
#[case("rows: [[3]]", "SELECT count(*) FROM customer", 1.0, "")]
#[case("rows: [[3.0]]", "SELECT count(*) FROM customer", 1.0, "")]
#[case("rows: [['3']]", "SELECT count(*) FROM customer", 1.0, "")]
#[case("rows: [[3]]", "SELECT '3'", 0.0, "no row (3), but ('3')")]
#[case("rows: [[5.1666666667]]", "SELECT avg(price) FROM purchase", 1.0, "")]
#[case("rows: [[5.16666]]", "SELECT avg(price) FROM purchase", 0.0, "no row (5.16666)")]
#[case("rows: []", "SELECT * FROM customer WHERE id > 9", 1.0, "found the 0 rows")]
#[case(
    "query: SELECT name FROM customer WHERE city IS NULL",
    "SELECT name FROM customer WHERE id = 2",
    1.0,
    ""
)]
#[case(
    "query: SELECT name FROM customer WHERE city IS NULL",
    "SELECT name FROM customer WHERE city = NULL",
    0.0,
    ""
)]
#[case(
    "{ ordered: true, query: SELECT name FROM customer ORDER BY name DESC }",
    "SELECT name FROM customer ORDER BY id DESC",
    1.0,
    ""
)]
#[case(
    "{ ordered: true, query: SELECT name FROM customer ORDER BY name DESC }",
    "SELECT name FROM customer ORDER BY id",
    0.0,
    "row 1: wanted ('Eve'), found ('Ada')"
)]
#[case("{ names: [who], rows: [[Ada]] }", "SELECT name AS Who FROM customer WHERE id = 1", 1.0, "")]
#[case(
    "{ names: [who], rows: [[Ada]] }",
    "SELECT name FROM customer WHERE id = 1",
    0.0,
    "wanted the columns who, found name"
)]
#[case(
    "{ after: SELECT id FROM customer, rows: [[1], [3]] }",
    "DELETE FROM customer WHERE city IS NULL",
    1.0,
    ""
)]
#[case(
    "{ after: SELECT id FROM customer, rows: [[1], [3]] }",
    "BEGIN; DELETE FROM customer WHERE id = 2; COMMIT;",
    1.0,
    ""
)]
#[case(
    "{ after: SELECT id FROM customer, rows: [[1], [3]] }",
    "DELETE FROM customer WHERE id = 3",
    0.0,
    "FOREIGN KEY constraint failed"
)]
#[case(
    "{ after: SELECT sum(price) FROM purchase, query: UPDATE purchase SET price = price * 2 }",
    "UPDATE purchase SET price = price + price",
    1.0,
    ""
)]
#[case(
    "{ after: SELECT sum(price) FROM purchase, query: UPDATE purchase SET price = price * 2 }",
    "DROP TABLE purchase",
    0.0,
    "what is not allowed"
)]
fn compares(#[case] wanted: &str, #[case] answer: &str, #[case] score: f64, #[case] reason: &str) {
    let inner = wanted.trim_start_matches("{ ").trim_end_matches(" }");
    let wanted = if wanted.starts_with('{') {
        inner.replace(", query:", "\n  query:").replace(", rows:", "\n  rows:")
    } else {
        wanted.to_owned()
    };
    check(&shop(&wanted), answer, score, reason);
}

/// Where the SQL of an answer is.
#[rstest]
#[case("Here it is:\n```sql\nSELECT 1\n```\nIt gives 1.")]
#[case("```sql\nSELECT 2\n```\nNo:\n```SQL\nSELECT 1\n```")]
#[case("```python\nprint(2)\n```\n```\nSELECT 1;\n```")]
#[case("```sql\nSELECT 1;\n```\nResult:\n```\n1\n```")]
#[case("~~~sql\nSELECT 1\n~~~")]
#[case("```sql\nSELECT 1")]
#[case("Use `SELECT 1` here.")]
#[case("The query:\n\nSELECT 1;\n\nWith this, select rows are given.")]
#[case("SELECT 1; -- one")]
#[case("select 1")]
#[case("WITH t (a) AS (SELECT 1)\nSELECT a FROM t")]
#[case("VALUES (1)")]
#[case("WITH t AS (SELECT 5) SELECT count(*) FROM t")]
fn is_found(#[case] answer: &str) {
    check("sql: { rows: [[1]] }", answer, 1.0, "found the 1 row");
}

#[rstest]
#[case("", "no SQL found")]
#[case("I can't.", "no SQL found")]
#[case("Select the rows with this.", "no SQL found")]
#[case("```sql\n```", "no SQL found")]
#[case("SELECT", "incomplete input")]
#[case("SELECT 1; SELECT 1;", "more than one statement")]
#[case("SELECT x FROM y", "no such table: y")]
#[case("```sql\n-- SELECT 1\n```", "no statement")]
// What a hostile answer may try.
#[case("ATTACH 'x.db' AS x", "no SQL found")]
#[case("```sql\nATTACH '/tmp/proofmark-attack.db' AS x\n```", "not allowed")]
#[case("```sql\nPRAGMA table_list\n```", "not allowed")]
#[case("```sql\nPRAGMA hard_heap_limit = 1\n```", "not allowed")]
#[case("SELECT * FROM pragma_table_list", "not allowed")]
#[case("SELECT * FROM sqlite_schema", "not allowed")]
#[case("SELECT * FROM dbstat", "not allowed")]
#[case("SELECT count(*) FROM sqlite_schema", "not allowed")]
#[case("SELECT count(*) FROM pragma_database_list", "not allowed")]
#[case("SELECT load_extension('x')", "not allowed")]
#[case("SELECT random()", "not allowed")]
#[case("SELECT hex(randomblob(1000000000))", "not allowed")]
#[case("SELECT CURRENT_TIMESTAMP", "not allowed")]
#[case("SELECT date('now')", "current time")]
#[case("SELECT strftime('%Y')", "current time")]
#[case("SELECT date()", "current time")]
#[case("SELECT time(/* */)", "current time")]
#[case("SELECT date('no' || 'w')", "current time")]
#[case("SELECT date(x'4E6f77')", "current time")]
#[case("SELECT date('now' || char(0) || 'then')", "current time")]
#[case("SELECT unixepoch('subsec')", "current time")]
#[case("SELECT timediff('2024-01-01', 'NOW')", "current time")]
#[case("SELECT a, datetime(b) FROM (SELECT 1 AS a, 'now' AS b)", "current time")]
#[case("SELECT datetime('2024-01-01', 'localtime')", "time zone")]
#[case("SELECT datetime('2024-01-01', 'u' || 'tc')", "time zone")]
#[case("VACUUM", "no SQL found")]
#[case("```sql\nVACUUM INTO '/tmp/proofmark-attack.db'\n```", "the statement gives no rows")]
#[case("```sql\nDETACH main\n```", "not allowed")]
#[case("```sql\nPRAGMA writable_schema = 1\n```", "not allowed")]
#[case("SELECT writefile('/tmp/proofmark-attack.db', 'x')", "no such function")]
#[case("SELECT edit('x', 'sh')", "no such function")]
#[case("SELECT fts3_tokenizer('simple')", "not allowed")]
#[case("SELECT * FROM generate_series(1, 9)", "no such table")]
#[case("SELECT * FROM sqlite_temp_schema", "not allowed")]
#[case("SELECT sql FROM sqlite_master", "not allowed")]
#[case("SELECT * FROM json_each('[7]'), sqlite_schema", "not allowed")]
#[case("SELECT '7'", "no row (7)")]
#[case("SELECT x'37'", "no row (7)")]
#[case("SELECT NULL", "no row (7)")]
#[case("SELECT 7.00001", "no row (7)")]
#[case("SELECT 7 UNION ALL SELECT 7", "found 2")]
#[case("SELECT 7 WHERE 0", "found 0")]
#[case("SELECT CAST('nan' AS REAL)", "no row (7)")]
#[case("SELECT 9e999 - 9e999", "no row (7)")]
#[case("SELECT strftime('%s', 'subsecond')", "current time")]
#[case("SELECT datetime(0, 'unixepoch', 'localtime')", "time zone")]
#[case("SELECT strftime('%s', '2024-01-01', 'utc')", "time zone")]
#[case("SELECT readfile('/etc/passwd')", "no such function")]
#[case("SELECT zeroblob(1000000000)", "too big")]
#[case("SELECT printf('%.*c', 1000000000, 'x')", "too big")]
#[case("SELECT replace(printf('%1000d', 1), ' ', 'xxxxxxxxxx')", "too big")]
#[case("CREATE TABLE x (a)", "not allowed")]
#[case("```sql\nDELETE FROM t RETURNING 1\n```", "not allowed")]
#[case("```sql\nEXPLAIN SELECT 1\n```", "wanted 1 column,")]
#[case("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n", "more than 1000")]
#[case(
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "too many steps"
)]
#[case("SELECT ?", "parameters")]
fn is_wrong(#[case] answer: &str, #[case] reason: &str) {
    check("sql: { schema: 'CREATE TABLE t (a)', rows: [[7]] }", answer, 0.0, reason);
    assert!(!std::path::Path::new("/tmp/proofmark-attack.db").exists());
}

/// What a change may not reach.
#[rstest]
#[case("VACUUM INTO '/tmp/proofmark-attack.db'")]
#[case("ATTACH '/tmp/proofmark-attack.db' AS x")]
#[case("PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = 'x'")]
#[case("UPDATE sqlite_schema SET sql = 'x'")]
#[case("INSERT INTO sqlite_master SELECT * FROM sqlite_master")]
#[case("CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t; END")]
#[case("CREATE TEMP VIEW t AS SELECT 7")]
#[case("ALTER TABLE t RENAME TO u")]
#[case("INSERT INTO t SELECT date('now')")]
#[case("INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n")]
#[case("SAVEPOINT x; INSERT INTO t VALUES (7); ROLLBACK TO x")]
#[case("BEGIN; INSERT INTO t VALUES (7); ROLLBACK")]
#[case("BEGIN; INSERT INTO t VALUES ('7')")]
fn is_no_change(#[case] sql: &str) {
    let written = "sql: { schema: 'CREATE TABLE t (a)', after: 'SELECT a FROM t', rows: [[7]] }";
    assert!(grade(written, &format!("```sql\n{sql}\n```")).score <= 0.0, "{sql}");
    assert!(!std::path::Path::new("/tmp/proofmark-attack.db").exists());
}

/// Dates that do not depend on when and where they are asked for, and texts that look as if they did.
#[rstest]
#[case("SELECT date('2024-02-28', '+1 day')", "2024-02-29")]
#[case("SELECT datetime(0, 'unixepoch')", "1970-01-01 00:00:00")]
#[case("SELECT strftime('%Y-%m', '2024-02-28')", "2024-02")]
#[case("SELECT time('12:00', '-1 hour', 'subsec')", "11:00:00.000")]
#[case("SELECT julianday('2000-01-01 12:00') - 2451545 || ''", "0.0")]
#[case("SELECT timediff('2024-01-02', '2024-01-01')", "+0000-00-01 00:00:00.000")]
#[case("SELECT coalesce(date(NULL), date('never'), strftime(), 'nothing')", "nothing")]
#[case("SELECT 'now'", "now")]
fn dates(#[case] query: &str, #[case] wanted: &str) {
    check(&format!("sql: {{ rows: [['{wanted}']] }}"), query, 1.0, "");
}

/// Answers that would go on for ever, or grow: the same number of steps ends them on every machine.
#[rstest]
#[case(
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT printf('%1000d', i) AS t FROM n ORDER BY t DESC"
)]
#[case(
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION SELECT printf('%1000d', i + 1) FROM n) SELECT count(*) FROM n"
)]
#[case(
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT replace(printf('%1000d', i), '         x', 'y') AS t FROM n ORDER BY t"
)]
#[case(
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n WHERE printf('%1000d', i) LIKE '%0%0%0%0%0%0%0%0%0%0%0%0%0%x'"
)]
#[case(
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n WHERE printf('%01000d', i) GLOB '*0*0*0*0*0*0*0*0*0*0*0*0*0*x'"
)]
#[case("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT json_group_array(i) FROM n")]
fn is_bounded(#[case] answer: &str) {
    let grade = grade("sql: { rows: [[7]] }", answer);
    assert!(grade.score < 0.5 && grade.reason.contains("too "), "{grade:?}");
}

#[test]
fn nothing_nests_without_end() {
    let mut query = "WITH t0 AS (SELECT 1 AS a)".to_owned();
    for level in 1..40 {
        let below = level - 1;
        query = format!("{query}, t{level} AS (SELECT x.a FROM t{below} x, t{below} y)");
    }
    let answers = [
        query + " SELECT * FROM t39",
        format!("SELECT {}1{}", "(".repeat(9000), ")".repeat(9000)),
        format!("SELECT {}1", "-".repeat(18_000)),
        format!("SELECT {}", vec!["1"; 9000].join(", ")),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(1000)),
        format!("SELECT * FROM {}", vec!["(SELECT 1)"; 60].join(", ")),
        format!("SELECT json('{}{}')", "[".repeat(900), "]".repeat(900)),
        format!("SELECT '{}'", "x".repeat(100_000)),
    ];
    for answer in answers {
        check_fast("sql: { rows: [[7]] }", &answer);
        assert!(grade("sql: { rows: [[7]] }", &answer).score == 0.0);
    }
}

const ACCOUNTS: &str = "sql:
  creates:
    accepts:
      - INSERT INTO account (id, owner, balance) VALUES (1, 'Ada', 10), (2, 'Bob', 0)
      - INSERT INTO transfer (id, source, target, amount) VALUES (1, 1, 2, 5)
    rejects:
      - INSERT INTO account (id, owner, balance) VALUES (1, 'Eve', 10)
      - INSERT INTO account (id, owner, balance) VALUES (3, NULL, 10)
      - INSERT INTO account (id, owner, balance) VALUES (3, 'Eve', -1)
      - INSERT INTO transfer (id, source, target, amount) VALUES (2, 1, 9, 5)
    reference: |
      CREATE TABLE account (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, balance INTEGER NOT NULL CHECK (balance >= 0));
      CREATE TABLE transfer (id INTEGER PRIMARY KEY, source REFERENCES account (id), target REFERENCES account (id), amount);
";

#[rstest]
#[case(
    "balance INTEGER CHECK (balance >= 0)",
    "target INTEGER REFERENCES account (id)",
    1.0,
    "accepts 2 statements, rejects 4"
)]
#[case(
    "balance INTEGER",
    "target INTEGER REFERENCES account (id)",
    0.0,
    "accepts `INSERT INTO account (id, owner, balance) VALUES (3, 'Eve', -1)`"
)]
#[case("balance INTEGER CHECK (balance >= 0)", "target INTEGER", 0.0, "accepts `INSERT INTO transfer")]
#[case(
    "balance INTEGER CHECK (balance >= 0)",
    "target INTEGER REFERENCES account (id) DEFERRABLE INITIALLY DEFERRED",
    1.0,
    ""
)]
#[case(
    "balance INTEGER CHECK (balance >= 5)",
    "target INTEGER REFERENCES account (id)",
    0.0,
    "refuses `INSERT INTO account"
)]
#[case(
    "saldo INTEGER CHECK (saldo >= 0)",
    "target INTEGER REFERENCES account (id)",
    0.0,
    "no column named balance"
)]
fn defines(#[case] balance: &str, #[case] target: &str, #[case] score: f64, #[case] reason: &str) {
    let answer = format!(
        "```sql\nCREATE TABLE account (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, {balance});\n\
         CREATE TABLE transfer (id INTEGER PRIMARY KEY, source INTEGER REFERENCES account (id), {target}, amount INTEGER);\n```"
    );
    check(ACCOUNTS, &answer, score, reason);
}

#[rstest]
#[case(
    "CREATE TABLE account (id, owner, balance); CREATE TABLE transfer (id, source, target, amount); CREATE TRIGGER t BEFORE INSERT ON account BEGIN SELECT RAISE(ABORT, 'no'); END;",
    "refuses `INSERT INTO account"
)]
#[case(
    "CREATE TABLE account (id, owner, balance); CREATE TRIGGER t AFTER INSERT ON account BEGIN INSERT INTO account SELECT * FROM account; INSERT INTO account SELECT * FROM account; END;",
    ""
)]
#[case(
    "CREATE TABLE account AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
    "not allowed"
)]
#[case("CREATE TABLE account (id); INSERT INTO account VALUES (1)", "not allowed")]
#[case("CREATE TEMP TABLE account (id)", "not allowed")]
#[case("CREATE VIRTUAL TABLE account USING fts5 (id, owner, balance)", "not allowed")]
#[case("CREATE TABLE account (id) ; ATTACH 'x' AS y", "not allowed")]
#[case("PRAGMA foreign_keys = OFF; CREATE TABLE account (id)", "not allowed")]
#[case("PRAGMA foreign_keys; CREATE TABLE account (id)", "not allowed")]
#[case("PRAGMA max_page_count = 1000000; CREATE TABLE account (id)", "not allowed")]
fn refuses(#[case] answer: &str, #[case] reason: &str) {
    check(ACCOUNTS, &format!("```sql\n{answer}\n```"), 0.0, reason);
}

const TABLES: &str = "CREATE TABLE account (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, balance INTEGER CHECK (balance >= 0));\n\n\
     -- What goes from one to another\n\
     CREATE TABLE transfer (id INTEGER PRIMARY KEY, source REFERENCES account (id), target REFERENCES account (id), amount);";

/// Right definitions, in the forms in which they are written.
#[rstest]
#[case::bare(TABLES.to_owned())]
#[case::fenced(format!("```sql\n{TABLES}\n```"))]
#[case::in_prose(format!("Here they are:\n\n{TABLES}\n\nThe check keeps balances from falling below 0."))]
#[case::pragma(format!("PRAGMA foreign_keys = ON;\n\n{TABLES}"))]
#[case::pragma_in_a_fence(format!("```sql\npragma foreign_keys=1;\nBEGIN;\n{TABLES}\nCOMMIT;\n```"))]
fn several_statements_are_taken_together(#[case] answer: String) {
    check(ACCOUNTS, &answer, 1.0, "accepts 2 statements");
}

/// Of several queries the last counts, with all that belongs to it.
#[rstest]
#[case("SELECT id FROM customer;\n\nSELECT name FROM customer;")]
#[case("WITH a AS (SELECT id FROM customer),\n\nb AS (SELECT name FROM customer)\n\nSELECT name FROM b")]
#[case(
    "WITH a AS (SELECT id FROM customer),\n\nb AS (SELECT name FROM customer)\nSELECT name FROM b;\n\nIt reads b."
)]
fn one_query_is_taken(#[case] answer: &str) {
    check(&shop("rows: [[Ada], [Bob], [Eve]]"), answer, 1.0, "");
}

#[rstest]
#[case("sql: {}", &["nothing is wanted: give `rows`, a reference `query` or `creates`"])]
#[case("sql: { schema: CREATE TABL t, rows: [[1]] }", &["the schema does not run: near \"TABL\": syntax error @ CREATE"])]
#[case("sql: { rows: [[1]], query: SELECT 1 }", &["`rows` and `query` at once @ [[1]]"])]
#[case("sql: { rows: [[1], [1, 2]] }", &["the rows are not of the same length"])]
#[case("sql: { query: SELECT x }", &["the reference query fails: no such column: x @ SELECT x"])]
#[case("sql: { rows: [[1]], names: [a, b] }", &["2 names for other columns"])]
#[case("sql: { rows: [[1]], after: SELEC }", &["the query `after` fails"])]
#[case("sql: { rows: [[[1]]] }", &["expected text or a number, found a list"])]
#[case("sql: { creates: { rejects: [SELECT 1] } }", &["`accepts` is missing"])]
#[case("sql: { creates: { accepts: [SELECT 1] }, rows: [[1]] }", &["`creates` and `rows` at once"])]
#[case("sql: { creates: { accepts: [INSERT INTO t VALUES (1)], reference: 'CREATE TABLE u (a)' } }", &["the reference is wrong: refuses `INSERT INTO t VALUES (1)`: no such table: t"])]
fn mistakes(#[case] written: &str, #[case] wanted: &[&str]) {
    crate::mistakes::check(written, wanted);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sql_has_a_score(words in prop::collection::vec(prop::sample::select(vec![
        "SELECT", "FROM", "t", "a", "*", "1", "'x'", "(", ")", ",", ";", "JOIN", "WITH", "RECURSIVE", "AS", "UNION", "ALL",
        "ORDER BY", "GROUP BY", "count(*)", "DROP TABLE", "INSERT INTO", "VALUES", "ATTACH", "PRAGMA", "--", "/*", "\"", "NULL",
    ]), 0..20)) {
        let answer = format!("```sql\nSELECT {}\n```", words.join(" "));
        let grade = grade("sql: { schema: 'CREATE TABLE t (a)', rows: [[7]] }", &answer);
        prop_assert!((0.0..=1.0).contains(&grade.score));
        prop_assert!(grade.reason.chars().count() < 600);
    }
}
