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
