//! Exact, contains, regex and length.

use rstest::rstest;

use crate::check;

#[rstest]
#[case("exact: Paris", "Paris", 1.0, "found `Paris`")]
#[case("exact: Paris", "  Paris\n", 1.0, "")]
#[case("exact: Paris", "paris", 0.0, "wanted `Paris`, found `paris`")]
#[case("exact: Paris", "Paris.", 0.0, "found `Paris.`")]
#[case("exact: Paris", "Paris Paris", 0.0, "")]
#[case("exact: Paris", "", 0.0, "found nothing")]
#[case("exact: Paris", "\u{feff}Paris", 0.0, "")]
#[case("exact: New York", "New \t\n York", 1.0, "")]
#[case("exact: 'New   York'", "New\u{a0}York", 1.0, "")]
#[case("exact: 42", "42", 1.0, "")]
#[case("exact: -7", "-7", 1.0, "")]
#[case("exact: true", "true", 1.0, "")]
#[case("exact: '1.50'", "1.5", 0.0, "")]
#[case("exact: { any: [yes, 'y', 1] }", "1", 1.0, "")]
#[case("exact: { any: [yes, 'y'] }", "Y", 0.0, "wanted `yes` or `y`")]
#[case("exact: { any: [yes, 'y'], ignore_case: true }", "YES", 1.0, "")]
#[case("exact: { any: [STRASSE], ignore_case: true }", "straße", 0.0, "")]
#[case("exact: { any: [ÅNGSTRÖM], ignore_case: true }", "ångström", 1.0, "")]
#[case("exact: \"a\\0b\"", "a\0b", 1.0, "")]
fn exact(#[case] written: &str, #[case] answer: &str, #[case] score: f64, #[case] reason: &str) {
    check(written, answer, score, reason);
}

#[rstest]
#[case("contains: cat", "A Cat sat", 1.0, "all demands are met")]
#[case("contains: cat", "concatenate", 1.0, "")]
#[case("contains: cat", "dog", 0.0, "`cat` is missing")]
#[case("contains: cat", "", 0.0, "`cat` is missing")]
#[case("contains: 42", "it is 142.", 1.0, "")]
#[case("contains: { all: [cat], words: true }", "concatenate", 0.0, "")]
#[case("contains: { all: [cat], words: true }", "(cat)", 1.0, "")]
#[case("contains: { all: [cat], words: true }", "cat_1 cat2 cat", 1.0, "")]
#[case("contains: { all: [cat], words: true }", "cat_1 écat", 0.0, "")]
#[case("contains: { all: [a a], words: true }", "xa a a", 1.0, "")]
#[case("contains: { all: ['+1'], words: true }", "a+1", 0.0, "")]
#[case("contains: { all: [cat], ignore_case: false }", "Cat", 0.0, "")]
#[case("contains: { any: [cat, dog] }", "dogs", 1.0, "")]
#[case("contains: { any: [cat, dog] }", "cow", 0.0, "none of `cat` or `dog` is there")]
#[case(
    "contains: { any: [cat], all: [dog, cow], none: [pig] }",
    "dog",
    0.5,
    "none of `cat` is there, `cow` is missing"
)]
#[case(
    "contains: { any: [cat], all: [dog, cow], none: [pig] }",
    "cat dog cow pig",
    0.75,
    "`pig` is forbidden"
)]
#[case("contains: { none: [pig, cow] }", "", 1.0, "")]
#[case("contains: { none: [pig, cow] }", "PIG", 0.5, "")]
#[case("contains: { none: [pig], words: true }", "pigment", 1.0, "")]
#[case("contains: { all: [ärger] }", "ÄRGER", 1.0, "")]
fn contains(#[case] written: &str, #[case] answer: &str, #[case] score: f64, #[case] reason: &str) {
    check(written, answer, score, reason);
}

#[rstest]
#[case("regex: '\\d+'", "it is 42.", 1.0, "found `42`")]
#[case("regex: '\\d+'", "none", 0.0, "the pattern is not found")]
#[case("regex: '\\d+'", "", 0.0, "the pattern is not found")]
#[case("regex: '^\\d+$'", "42\n43", 0.0, "")]
#[case("regex: '(?m)^\\d+$'", "x\n43", 1.0, "")]
#[case("regex: { pattern: '(\\d+) apples', equals: 3 }", "2 apples, then 3 apples", 1.0, "found `3`")]
#[case(
    "regex: { pattern: '(\\d+) apples', equals: 2 }",
    "2 apples, then 3 apples",
    0.0,
    "wanted `2`, found `3`"
)]
#[case("regex: { pattern: '(\\d+) apples', group: 0, equals: 3 apples }", "3 apples", 1.0, "")]
#[case("regex: { pattern: '\\w+$', equals: end }", "to the end", 1.0, "")]
#[case("regex: { pattern: '(a)|(b)', group: 1, equals: a }", "a b", 0.0, "group 1 is not in the last match")]
#[case("regex: { pattern: '=(.*)', equals: ' x ' }", "=  x  ", 1.0, "")]
#[case("regex: { pattern: '=(.*)', equals: x }", "=X", 0.0, "")]
#[case("regex: { pattern: '\\d*', equals: 42 }", "42", 1.0, "")]
#[case("regex: '(?i)yes'", "\u{0}YES", 1.0, "")]
#[case("regex: '(a+)+b'", &"a".repeat(50_000), 0.0, "")]
#[case("regex: '\\bcat\\b'", "cat", 1.0, "")]
fn regex(#[case] written: &str, #[case] answer: &str, #[case] score: f64, #[case] reason: &str) {
    check(written, answer, score, reason);
}

#[rstest]
#[case("length: { max_words: 3 }", "one two three", 1.0, "all limits are kept")]
#[case("length: { max_words: 3 }", "one two three four", 0.0, "wanted at most 3 words, found 4")]
#[case("length: { min_words: 1 }", "", 0.0, "wanted at least 1 word, found 0")]
#[case("length: { min_words: 1 }", " \n\t ", 0.0, "")]
#[case("length: { max_words: 1 }", "one\u{a0}two", 0.0, "")]
#[case("length: { max_words: 1 }", "one-two", 1.0, "")]
#[case("length: { max_chars: 3 }", "  äöü ", 1.0, "")]
#[case("length: { max_chars: 1 }", "e\u{301}", 0.0, "found 2")]
#[case("length: { min_chars: 4 }", "äöü", 0.0, "at least 4 characters")]
#[case("length: { max_lines: 1 }", "one\n", 1.0, "")]
#[case("length: { max_lines: 1 }", "one\r\ntwo", 0.0, "wanted at most 1 line, found 2")]
#[case("length: { max_lines: 2 }", "one\n\ntwo", 0.0, "found 3")]
#[case("length: { max_lines: 0 }", "", 1.0, "")]
#[case(
    "length: { max_words: '3', max_chars: 3 }",
    "one two three four",
    0.0,
    "found 4, wanted at most 3 characters"
)]
fn length(#[case] written: &str, #[case] answer: &str, #[case] score: f64, #[case] reason: &str) {
    check(written, answer, score, reason);
}
