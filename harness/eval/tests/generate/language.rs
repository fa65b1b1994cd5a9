//! The language by itself: values, operators, mistakes.

use rstest::rstest;

use super::{fails, gives};

#[rstest]
#[case("1 + 2 * 3", "7")]
#[case("(1 + 2) * 3", "9")]
#[case("-2 ** 2", "-4")]
#[case("(-2) ** 2", "4")]
#[case("2 ** 3 ** 2", "512")]
#[case("2 ** -2", "1/4")]
#[case("7 // 2", "3")]
#[case("-7 // 2", "-4")]
#[case("-7 % 3", "2")]
#[case("7 % -3", "-2")]
#[case("7 / 2 % 1", "1/2")]
#[case("1 / 3 + 1 / 6", "1/2")]
#[case("0.1 + 0.2 == 0.3", "true")]
#[case("1e3 + 1_000", "2000")]
#[case("2.5e-1", "1/4")]
#[case("2 ** 200", "1606938044258990275541962092341162602522202993782792835301376")]
fn numbers_are_exact(#[case] text: &str, #[case] wanted: &str) {
    gives(text, wanted);
}

#[rstest]
#[case("1 < 2 <= 2 != 3", "true")]
#[case("1 < 2 > 3", "false")]
#[case("not 1 == 2 and true", "true")]
#[case("false and 1 / 0 == 1", "false")]
#[case("true or 1 / 0 == 1", "true")]
#[case("1 if 2 > 1 else 1 / 0", "1")]
#[case("2 in [1, 2]", "true")]
#[case("\"bc\" in \"abcd\"", "true")]
#[case("3 not in [1, 2]", "true")]
#[case("[1, 2] < [1, 3]", "true")]
#[case("\"a\" < \"b\"", "true")]
fn truth(#[case] text: &str, #[case] wanted: &str) {
    gives(text, wanted);
}

#[rstest]
#[case("[1, [2, 'a'], true,]", "[1, [2, \"a\"], true]")]
#[case("[1, 2] + [3]", "[1, 2, 3]")]
#[case("[0] * 3", "[0, 0, 0]")]
#[case("\"ab\" * 2 + 'c\\n'", "ababc\n")]
#[case("[1, 2, 3][-1]", "3")]
#[case("\"abc\"[1]", "b")]
#[case("[x * y for x in range(3) if x > 0 for y in [10, x]]", "[10, 1, 20, 4]")]
#[case("[a + b for a, b in [[1, 2], [3, 4]]]", "[3, 7]")]
#[case("[x if x > 1 else -x for x in range(3)]", "[0, -1, 2]")]
#[case("fold(range(5), 0, (sum, x) => sum + x)", "10")]
#[case("scan([1, 2, 3], 10, (s, x) => s * x)", "[10, 10, 20, 60]")]
#[case("iterate(1, 4, x => x * 2)", "[1, 2, 4, 8, 16]")]
#[case("until(27, x => x == 1, x => x / 2 if x % 2 == 0 else 3 * x + 1, 200)[-1]", "1")]
#[case("table(7, (i, t) => 1 if i < 2 else t[i - 1] + t[i - 2])", "[1, 1, 2, 3, 5, 8, 13]")]
#[case("sort_by([3, -1, 2], x => abs(x))", "[-1, 2, 3]")]
#[case("sorted([\"b\", \"a\"])", "[\"a\", \"b\"]")]
#[case("max_by([1, 5, 3], x => x % 5)", "3")]
#[case("range(5, 0, -2)", "[5, 3, 1]")]
#[case("combinations([1, 2, 3], 2)", "[[1, 2], [1, 3], [2, 3]]")]
#[case("len(permutations(range(5)))", "120")]
#[case("tuples([0, 1], 2)", "[[0, 0], [0, 1], [1, 0], [1, 1]]")]
#[case("zip([1, 2], [\"a\", \"b\", \"c\"])", "[[1, \"a\"], [2, \"b\"]]")]
#[case("lookup([[\"a\", 1], [\"b\", 2]], \"b\")", "2")]
#[case("only([7])", "7")]
fn lists(#[case] text: &str, #[case] wanted: &str) {
    gives(text, wanted);
}

#[rstest]
#[case("decimal(2 / 3, 3)", "0.667")]
#[case("decimal(-1 / 8, 2)", "-0.13")]
#[case("decimal(-1 / 800, 2)", "0.00")]
#[case("percent(1 / 8, 1)", "12.5%")]
#[case("thousands(-1234567)", "-1,234,567")]
#[case("series([1, 2, 3], \"or\")", "1, 2 or 3")]
#[case("counted(1, \"node\") + \", \" + counted(2, \"entry\", \"entries\")", "1 node, 2 entries")]
#[case("join([ordinal(i) for i in [1, 2, 3, 11, 22]], \" \")", "1st 2nd 3rd 11th 22nd")]
#[case("rows([[1, 2], [3, 4]])", "1 2\n3 4")]
#[case("replace(\"a-b-c\", \"-\", \"+\")", "a+b+c")]
#[case("text(-3 / 4) + letter(2)", "-3/4C")]
fn texts(#[case] text: &str, #[case] wanted: &str) {
    gives(text, wanted);
}

#[rstest]
#[case("1 + ", "expected a value, and the expression ends", "")]
#[case("1 + * 2", "expected a value, found `*`", "*")]
#[case("a + 1", "nothing is called `a`", "a")]
#[case("max(1, 2", "expected `,` or `)`, and the expression ends", "")]
#[case("[1, 2", "expected `,` or `]`, and the expression ends", "")]
#[case("1 ^ 2", "`^` means nothing here", "^")]
#[case("1 = 2", "`=` means nothing here", "=")]
#[case("x.y", "values have no parts that are named", ".")]
#[case("\"open", "this text is never closed", "\"open")]
#[case("'a\\q'", "no such escape", "\\q")]
#[case("12abc", "`12abc` is neither a number nor a name", "12abc")]
#[case("1 2", "expected an operator, found `2`", "2")]
#[case("gdc(1, 2)", "there is no function `gdc`: did you mean `gcd`?", "gdc")]
#[case("gcd(1)", "`gcd` takes at least 2 arguments, not 1", "gcd(1)")]
#[case("range()", "`range` takes 1 to 3 arguments, not 0", "range()")]
#[case(
    "fold([1], 0, x => x)",
    "`fold` takes `(so_far, item) => …` here: 2 names before `=>`",
    "fold([1], 0, x => x)"
)]
#[case("len(x => x)", "`len` takes a value for `x`, no `=>`", "len(x => x)")]
#[case("1 + (2 / 0)", "division by zero", "(2 / 0)")]
#[case("[1, 2][2]", "there is no place 2 among 2", "2")]
#[case("1 + \"a\"", "`+` of a whole number `1` and text `a`", "1 + \"a\"")]
#[case("1 < \"a\"", "a whole number `1` and text `a` have no order", "1 < \"a\"")]
#[case("1 if 2 else 3", "expected a truth value, found a whole number `2`", "2")]
#[case("[x for x, y in [[1, 2, 3]]]", "2 names for a list `[1, 2, 3]`", "[[1, 2, 3]]")]
#[case("2 ** (1 / 2)", "an exponent is a whole number: what is irrational is not computed", "2 ** (1 / 2)")]
#[case("10 ** 100000", "this number has more than the 8192 bits that are computed with", "10 ** 100000")]
#[case("only([1, 2])", "there are 2 solutions, not one", "only([1, 2])")]
#[case("range(1000000)", "a list has at most 100000 items", "range(1000000)")]
#[case("[x for x in range(1000) for y in range(1000)]", "a list has at most 100000 items", "x")]
#[case("iterate([], 30, x => [x])[-1]", "lists are too deep in lists", "[x]")]
#[case("int(3, 1)", "there is no number from 3 to 1", "3")]
#[case("sorted([1, \"a\"])", "a whole number `1` and text `a` have no order", "[1, \"a\"]")]
#[case("if + 1", "expected a value, found `if`", "if")]
#[case("", "an empty expression", "")]
fn mistakes_point_at_themselves(#[case] text: &str, #[case] message: &str, #[case] underlined: &str) {
    fails(text, message, underlined);
}

/// Programs that would take all time or memory, each of whose parts is within its bounds.
#[rstest]
// Lists that share their items write, and compare, as if they did not.
#[case("text(iterate(0, 12, x => [x] * 100)[-1])", "lists in lists hold more than a million values")]
#[case("iterate([], 15, x => [x, x])[-1] == iterate([], 15, x => [x, x])[-1]", "")]
#[case("unique([iterate(0, 5, x => [x] * 9)[-1] for i in range(2000)])", "")]
#[case("sorted([iterate(0, 5, x => [x] * 9)[-1] for i in range(2000)])", "")]
#[case("[iterate(0, 5, x => [x] * 9)[-1] for i in range(2000)] == 1", "lists in lists")]
#[case("components([iterate(0, 15, x => [x])[-1]], [])", "")]
#[case("shortest([[[[[[[[[[[[[[[1]]]]]]]]]]]]], 2, 3]], 2, 2)", "")]
#[case("topological([iterate(0, 15, x => [x])[-1]], [])", "lists are too deep in lists")]
#[case("orders([iterate(0, 15, x => [x])[-1]], [])", "lists are too deep in lists")]
#[case("matchings([1], [iterate(0, 15, x => [x])[-1]], [])", "lists are too deep in lists")]
// Sums of fractions whose denominators have nothing in common.
#[case("sum([1 / p for p in primes(100000)])", "8192 bits|steps")]
#[case("mean([1 / p for p in primes(100000)])", "8192 bits|steps")]
#[case("variance([1 / p for p in primes(10000)])", "8192 bits|steps")]
#[case("dot([1 / p for p in primes(10000)], [1 / (p + 1) for p in primes(10000)])", "8192 bits|steps")]
#[case("expectation([[1, 1 / p] for p in primes(10000)])", "8192 bits|steps")]
#[case("makespan([1 / p for p in primes(10000)], 1)", "8192 bits|steps")]
#[case("knapsack([[1, 1 / p] for p in primes(4000)], 50)", "")]
#[case(
    "spanning_tree([[0, p, 1 / p] for p in primes(2000)] + [[0, p, 1 / (p * p * p * p * p * p)] for p in primes(1000)])",
    ""
)]
#[case("distance([[i, i + 1, 1 / (10 ** 40 + i)] for i in range(400)], 0, 400)", "8192 bits|steps")]
#[case("max_flow([[0, 1, 1 / (10 ** 100 + i)] for i in range(400)] + [[1, 2, 1]], 0, 2)", "8192 bits|steps")]
#[case(
    "critical_path([[i, 1 / (10 ** 100 + i), [i - 1] if i > 0 else []] for i in range(400)])",
    "8192 bits|steps"
)]
#[case("trapezoid(x => 1 / (x + 10 ** 20), 0, 1, 1000)", "8192 bits|steps")]
#[case("euler((t, y) => 1 / (y * y + 1), 0, 1, 1 / 3, 1000)", "8192 bits|steps")]
#[case("newton([1, 0, -2], 1 / 3, 20)", "8192 bits|steps")]
#[case("poly([1] * 10000, 10 ** 1000)", "8192 bits|steps")]
#[case("bisection([1] * 9999 + [-1], -3, 10 ** 1000, 60)", "")]
#[case("interpolate([[i, 1 / (10 ** 50 + i)] for i in range(600)], 1 / 7)", "")]
#[case("det([[1 / (10 ** 600 + 12 * i + j) for j in range(12)] for i in range(12)])", "")]
#[case("inverse([[10 ** 2000 + (i * j * j) % 7 for j in range(12)] for i in range(12)])", "")]
#[case("characteristic([[1 / (10 ** 300 + 12 * i + j) for j in range(12)] for i in range(12)])", "")]
#[case("solve([[10 ** 2000 + (i * j * j) % 7 for j in range(12)] for i in range(12)], range(12))", "")]
#[case("roots([735134400, 0, 0, 735134400])", "too many divisors")]
#[case("roots([1 / (10 ** 2000 + i) for i in range(12)])", "")]
#[case("binomial_chance(200, 100, 1 / (10 ** 2000))", "8192 bits|steps")]
#[case("linear_program([1, 1], [[10 ** 900, i + 1, 10 ** 900] for i in range(20)])", "bits")]
#[case(
    "gcd(10 ** 2000, 10 ** 1999 + 1) + sum([gcd(10 ** 2000 + i, 7 ** 2900) for i in range(90000)])",
    "steps"
)]
#[case("fold(range(90000), 1 / 10 ** 2000, (s, i) => s + i)", "steps")]
#[case("[round(1 / 7 ** 2900 + i, 3) for i in range(90000)]", "steps")]
#[case("[10 ** 2000 // (i + 1) % 7 for i in range(90000)]", "steps")]
// Continued fractions that agree for a long time.
#[case(
    "[a[-1][0] / a[-1][1] < a[-11][0] / a[-11][1] for a in [iterate([1, 1], 11000, p => [p[1], p[0] + p[1]])]]",
    ""
)]
#[case(
    "[a[-1][0] / a[-1][1] == a[-11][0] / a[-11][1] for a in [iterate([1, 1], 11000, p => [p[1], p[0] + p[1]])]]",
    ""
)]
#[case("combinations(range(100000), 50000)", "more than 20 000 choices")]
#[case("combinations(range(20000), 19999)", "steps")]
#[case("tuples(range(100), 16)", "more than 20 000 such lists")]
#[case("\"ab\" * 131072 + \"c\"", "262144 bytes")]
#[case("replace(\"a\" * 262144, \"a\", \"a\" * 262144)", "")]
#[case("join(range(100000), \"a\" * 262144)", "")]
#[case("powmod(7, 10 ** 2400, 10 ** 2400 + 1)", "steps")]
#[case("srtf([[2000000000, 1]])", "steps")]
#[case("round_robin([[0, 2000000000]], 1)", "steps")]
#[case("knights(range(12), [[0, \"knights\", 1]] * 90000)", "steps")]
#[case("edit_distance(\"a\" * 200000, \"b\" * 200000)", "steps")]
#[case(
    "sql(\"\", \"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n\")",
    "interrupted"
)]
#[case("sql(\"\", \"SELECT zeroblob(1000000000)\")", "too big")]
#[case("sql(\"CREATE TABLE t (a)\", \"SELECT random()\")", "authorized")]
#[case("sql(\"\", \"SELECT CURRENT_TIMESTAMP\")", "authorized")]
#[case("sql(\"\", \"SELECT date('now')\")", "the current time")]
#[case("sql(\"\", \"SELECT date('no' || 'w')\")", "the current time")]
#[case("sql(\"\", \"SELECT datetime(0, 'unixepoch', 'local' || 'time')\")", "the time zone of this machine")]
#[case("sql(\"\", \"SELECT datetime(0, 'unixepoch', 'localtime')\")", "the time zone of this machine")]
#[case("sql(\"ATTACH '/tmp/proofmark-attack.db' AS x\", \"SELECT 1\")", "authorized")]
fn everything_ends(#[case] text: &str, #[case] message: &str) {
    let begun = std::time::SystemTime::now();
    let outcome = super::value_within(text, 4_000_000);
    let took = begun.elapsed().unwrap_or_default();
    // Far above what it takes, far below what it took without bounds.
    assert!(took.as_secs() < 30, "{text} took {took:?}");
    match outcome {
        Ok(_) => assert!(message.is_empty(), "{text} has a value, wanted {message}"),
        Err(wrong) => {
            let told = message.split('|').any(|it| wrong.message.contains(it));
            assert!(told, "{text}: {wrong:?}, wanted {message}");
        }
    }
}

#[test]
fn nothing_runs_for_ever() {
    let text = "len([1 for a in range(300) for b in range(300) for c in range(300) if a + b + c < 0])";
    let wrong = super::value(text).expect_err("too many");
    assert_eq!(wrong.message, "this takes more steps than a draw may");
    let deep = format!("{}1{}", "(".repeat(5_000), ")".repeat(2_999));
    let wrong = super::value(&deep).expect_err("too deep");
    assert!(wrong.message.contains("nested"), "{wrong:?}");
    let long = vec!["1"; 3_000].join("+");
    let wrong = super::value(&long).expect_err("too high");
    assert!(wrong.message.contains("nested"), "{wrong:?}");
}
