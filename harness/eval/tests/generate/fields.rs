//! What functions compute, beside values from elsewhere: textbooks, or computed once with Python's `sympy`, `networkx`,
//! `fractions` and plain enumeration.

use std::fmt::Write as _;

use rstest::rstest;

use super::{fails, gives};

#[rstest]
#[case("gcd(84, 36, 60)", "12")]
#[case("lcm(4, 6, 10)", "60")]
#[case("powmod(3, 200, 13)", "9")]
#[case("inverse_mod(7, 40)", "23")]
#[case("primes(20)", "[2, 3, 5, 7, 11, 13, 17, 19]")]
#[case("factors(360)", "[2, 2, 2, 3, 3, 5]")]
#[case("factors(1)", "[]")]
#[case("factors(1000000007)", "[1000000007]")]
#[case("divisors(12)", "[1, 2, 3, 4, 6, 12]")]
#[case("is_prime(1)", "false")]
#[case("is_prime(97)", "true")]
#[case("binomial(10, 3)", "120")]
#[case("factorial(20)", "2432902008176640000")]
#[case("isqrt(99)", "9")]
#[case("ilog(1000, 10)", "3")]
#[case("ilog(999, 10)", "2")]
#[case("in_base(255, 16)", "ff")]
#[case("from_base(\"ff\", 16)", "255")]
#[case("digits(2026)", "[2, 0, 2, 6]")]
#[case("bit_and(438, 511 - 23)", "416")]
#[case("bit_xor(12, 10)", "6")]
#[case("round(5 / 2)", "3")]
#[case("round(-12.345, 2)", "-247/20")]
#[case("floor(-1 / 2)", "-1")]
#[case("ceil(-1 / 2)", "0")]
fn numbers(#[case] text: &str, #[case] wanted: &str) {
    gives(text, wanted);
}

#[rstest]
#[case("det([[2, 1, 3], [0, -1, 4], [5, 2, 1]])", "17")]
#[case("det([[1, 2], [2, 4]])", "0")]
#[case("rank([[1, 2, 3], [2, 4, 6], [1, 0, 1]])", "2")]
#[case("inverse([[4, 7], [2, 6]])", "[[3/5, -7/10], [-1/5, 2/5]]")]
#[case("solve([[2, 1], [1, 3]], [3, 5])", "[4/5, 7/5]")]
#[case("matmul([[1, 2], [3, 4]], [[0, 1], [1, 0]])", "[[2, 1], [4, 3]]")]
#[case("matmul([[1, 2], [3, 4]], [5, 6])", "[17, 39]")]
#[case("transpose([[1, 2, 3]])", "[[1], [2], [3]]")]
#[case("characteristic([[2, 0, 0], [0, 3, 4], [0, 4, 9]])", "[1, -14, 35, -22]")]
#[case("eigenvalues([[2, 0, 0], [0, 3, 4], [0, 4, 9]])", "[1, 2, 11]")]
#[case("eigenvalues([[3, 1], [0, 3]])", "[3, 3]")]
#[case("roots([2, -3, 1])", "[1/2, 1]")]
#[case("roots([1, 0, -2])", "[]")]
#[case("roots([1, 0, 0])", "[0, 0]")]
fn linear_algebra(#[case] text: &str, #[case] wanted: &str) {
    gives(text, wanted);
}

#[rstest]
#[case("binomial_chance(5, 2, 1 / 3)", "80/243")]
#[case("hypergeometric(10, 4, 3, 2)", "3/10")]
#[case("bayes(1 / 100, 9 / 10, 5 / 100)", "2/13")]
#[case("expectation([[1, 1 / 2], [3, 1 / 2]])", "2")]
#[case("mean([1, 2, 6])", "3")]
#[case("median([5, 1, 3, 2])", "5/2")]
#[case("variance([1, 2, 6])", "14/3")]
#[case("sample_variance([1, 2, 6])", "7")]
#[case("poly([1, 0, -2], 3)", "7")]
#[case("derivative([2, 3, 4])", "[4, 3]")]
#[case("newton([1, 0, -2], 1, 3)", "[1, 3/2, 17/12, 577/408]")]
#[case("bisection([1, 0, -2], 1, 2, 2)", "[[1, 2], [1, 3/2], [5/4, 3/2]]")]
#[case("trapezoid(x => x ** 2, 0, 2, 2)", "3")]
#[case("euler((t, y) => t + y, 0, 1, 1 / 2, 2)", "[1, 3/2, 5/2]")]
#[case("interpolate([[0, 1], [1, 3], [2, 9]], 3)", "19")]
fn chances_and_methods(#[case] text: &str, #[case] wanted: &str) {
    gives(text, wanted);
}

#[rstest]
#[case("knapsack([[6, 30], [5, 22], [5, 21], [4, 11]], 10)", "43")]
#[case("coins([1, 5, 8], 15)", "3")]
#[case("coin_ways([1, 2, 5], 10)", "10")]
#[case("linear_program([3, 5], [[1, 0, 4], [0, 2, 12], [3, 2, 18]])", "[[36, 2, 6]]")]
#[case("len(linear_program([1, 1], [[1, 1, 4]]))", "2")]
#[case("linear_program([1, 1], [[1, 0, -1]])", "[]")]
#[case("common_subsequence(\"ABCBDAB\", \"BDCABA\")", "4")]
#[case("edit_distance(\"kitten\", \"sitting\")", "3")]
fn optima(#[case] text: &str, #[case] wanted: &str) {
    gives(text, wanted);
}

const EDGES: &str =
    r#"[["a", "b", 7], ["a", "c", 3], ["b", "d", 2], ["c", "b", 1], ["c", "d", 8], ["d", "e", 2]]"#;

#[rstest]
#[case("distance(EDGES, \"a\", \"e\")", "8")]
#[case("shortest(EDGES, \"a\", \"e\")", "[[8, [\"a\", \"c\", \"b\", \"d\", \"e\"]]]")]
#[case("shortest(EDGES, \"e\", \"a\")", "[]")]
#[case("len(shortest([[1, 2, 1], [1, 3, 1], [2, 4, 1], [3, 4, 1]], 1, 4))", "2")]
#[case("spanning_tree(EDGES)", "8")]
#[case(
    "max_flow([[\"s\", \"a\", 10], [\"s\", \"b\", 5], [\"a\", \"b\", 15], [\"a\", \"t\", 5], [\"b\", \"t\", 10]], \"s\", \"t\")",
    "15"
)]
#[case("components(range(5), [[0, 2], [3, 4]])", "[[0, 2], [1], [3, 4]]")]
#[case("reachable([[1, 2], [2, 3], [4, 1]], 1)", "[1, 2, 3]")]
#[case("topological([1, 2, 3], [[1, 3], [2, 3]])", "[[1, 2, 3], [2, 1, 3]]")]
#[case("topological([1, 2], [[1, 2], [2, 1]])", "[]")]
#[case(
    "critical_path([[\"a\", 3, []], [\"b\", 2, [\"a\"]], [\"c\", 4, [\"a\"]], [\"d\", 1, [\"b\", \"c\"]]])",
    "[[8, [\"a\", \"c\", \"d\"]]]"
)]
fn graphs(#[case] text: &str, #[case] wanted: &str) {
    gives(&text.replace("EDGES", EDGES), wanted);
}

#[rstest]
#[case("fcfs([[0, 5], [1, 3], [2, 8]])", "[5, 8, 16]")]
#[case("sjf([[0, 7], [2, 4], [4, 1], [5, 4]])", "[7, 12, 8, 16]")]
#[case("srtf([[0, 7], [2, 4], [4, 1], [5, 4]])", "[16, 7, 5, 11]")]
#[case("round_robin([[0, 5], [1, 3], [2, 1], [3, 2]], 2)", "[11, 10, 5, 9]")]
#[case("makespan([4, 3, 2, 5], 2)", "9")]
#[case("cache(\"lru\", 2, [1, 2, 1, 3, 2])", "[false, false, true, false, false]")]
#[case("cache(\"fifo\", 2, [1, 2, 1, 3, 2])", "[false, false, true, false, true]")]
#[case("cache(\"direct\", 4, [0, 4, 0, 3, 3])", "[false, false, false, false, true]")]
#[case(
    "states([[0, \"a\", 1], [1, \"a\", 0], [0, \"b\", 0], [1, \"b\", 1]], 0, \"abaa\")",
    "[0, 1, 1, 0, 1]"
)]
#[case("master(2, 2, 1)", "n log n")]
#[case("master(8, 2, 1)", "n^3")]
#[case("master(1, 2, 0)", "log n")]
#[case("master(3, 2, 2)", "n^2")]
fn machines(#[case] text: &str, #[case] wanted: &str) {
    gives(text, wanted);
}

#[rstest]
// A: "B is a knave." B: "A and C are of the same kind." C: "A is a knight."
#[case(
    "knights([\"A\", \"B\", \"C\"], [[\"A\", \"knave\", \"B\"], [\"B\", \"same\", \"A\", \"C\"], [\"C\", \"knight\", \"A\"]])",
    "[[false, true, false]]"
)]
// "We are both knaves": the speaker is a knave, the other a knight.
#[case("knights([1, 2], [[1, \"knights\", 0]])", "[[false, true]]")]
#[case(
    "orders([\"P\", \"Q\", \"R\"], [[\"directly before\", \"P\", \"R\"], [\"not at\", \"Q\", 1]])",
    "[[\"P\", \"R\", \"Q\"]]"
)]
#[case("len(orders(range(4), [[\"next to\", 0, 1], [\"before\", 2, 3]]))", "6")]
#[case("matchings([1, 2], [\"x\", \"y\"], [[\"not\", 1, \"x\"]])", "[[\"y\", \"x\"]]")]
fn puzzles(#[case] text: &str, #[case] wanted: &str) {
    gives(text, wanted);
}

#[rstest]
#[case(
    "sql(\"CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (2, NULL)\", \"SELECT b, a * 1.5 FROM t ORDER BY a DESC\")",
    "[[\"NULL\", 3], [\"x\", 3/2]]"
)]
#[case("sql_values([[1, \"o'clock\"]])", "(1, 'o''clock')")]
#[case("convert(3, \"GiB\", \"MB\")", "50331648/15625")]
#[case("convert(90, \"min\", \"h\")", "3/2")]
fn databases_and_units(#[case] text: &str, #[case] wanted: &str) {
    gives(text, wanted);
}

#[rstest]
#[case(
    "inverse([[1, 2], [2, 4]])",
    "this matrix has no inverse: its determinant is 0",
    "inverse([[1, 2], [2, 4]])"
)]
#[case("solve([[1, 1]], [2])", "there are infinitely many solutions", "solve([[1, 1]], [2])")]
#[case(
    "eigenvalues([[0, 2], [1, 0]])",
    "not all eigenvalues of this matrix are rational",
    "eigenvalues([[0, 2], [1, 0]])"
)]
#[case("det([[1, 2]])", "expected a square matrix, found 1 row and 2 columns", "[[1, 2]]")]
#[case("det([])", "this is no matrix: rows have as many numbers as the first, and at least one", "[]")]
#[case(
    "linear_program([1, 1], [[1, 0, 4]])",
    "there is no greatest value",
    "linear_program([1, 1], [[1, 0, 4]])"
)]
#[case("cache(\"lifo\", 1, [])", "no policy `lifo`", "\"lifo\"")]
#[case("convert(1, \"GB\", \"s\")", "`GB` measures data, `s` time", "convert(1, \"GB\", \"s\")")]
#[case("inverse_mod(4, 6)", "4 has no inverse modulo 6", "inverse_mod(4, 6)")]
fn what_is_not_defined_is_told(#[case] text: &str, #[case] message: &str, #[case] underlined: &str) {
    fails(text, message, underlined);
}

/// Outside an expression's database there is nothing, and no query runs for ever.
#[rstest]
#[case("sql(\"ATTACH 'other.db' AS o\", \"SELECT 1\")", "not authorized")]
#[case(
    "sql(\"\", \"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT count(*) FROM c\")",
    "interrupted"
)]
#[case("sql(\"\", \"SELEC 1\")", "syntax error")]
fn queries_stay_within(#[case] text: &str, #[case] part: &str) {
    let wrong = super::value(text).expect_err(text);
    assert!(wrong.message.contains(part), "{}", wrong.message);
}

/// A needle at depth 0 comes first, at 100 last, and the text has about the length that was asked for.
#[test]
fn needles_lie_where_they_should() {
    for depth in [0_usize, 50, 100] {
        let text = super::value(&format!("haystack(1000, [[{depth}, \"NEEDLE.\"]])")).unwrap();
        let sentences: Vec<&str> = text.split_inclusive(['.']).map(str::trim).collect();
        let at = sentences.iter().position(|it| *it == "NEEDLE.").unwrap();
        let wanted = (depth * (sentences.len() - 1) + 50) / 100;
        assert_eq!(at, wanted, "depth {depth}");
        let tokens = text.split_whitespace().count() + sentences.len();
        assert!((970..=1000).contains(&tokens), "{tokens} tokens");
        assert!(!text.contains(|it: char| it.is_ascii_digit()), "filler has no numbers");
    }
}

/// `docs/generate.md` lists every function as the table does.
#[test]
fn every_function_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/generate.md");
    let docs = std::fs::read_to_string(path).unwrap();
    let mark = "<!-- functions -->\n";
    let (before, listed) = docs.split_once(mark).expect("the list has its mark");
    let mut wanted = String::new();
    for field in &eval::generate::functions::FIELDS {
        // Writing to a String cannot fail.
        let _ = write!(wanted, "\n### {}\n\n| function | gives |\n|---|---|\n", field.name);
        for it in field.functions {
            let _ = writeln!(wanted, "| `{}` | {} |", it.form, it.what.replace('|', "\\|"));
        }
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{mark}{wanted}")).unwrap();
    } else {
        assert_eq!(listed, wanted, "the list in docs/generate.md is not that of the code");
    }
}
