//! Mistakes in a `grade:`, and where they are.

use eval::grade::Rubric;
use eval::yaml;
use rstest::rstest;

/// Every mistake, as `message` or, where it matters, `message @ the text at its place`.
#[track_caller]
pub(crate) fn check(written: &str, wanted: &[&str]) {
    let node = yaml::parse(written).unwrap();
    let mistakes = Rubric::read(&node).expect_err(written);
    assert_eq!(mistakes.len(), wanted.len(), "{written}: {mistakes:?}");
    for (mistake, wanted) in mistakes.iter().zip(wanted) {
        let (message, place) = wanted.split_once(" @ ").unwrap_or((wanted, ""));
        assert!(mistake.message.contains(message), "{written}: {mistake:?}, wanted {message:?}");
        let span = mistake.span.unwrap_or_else(|| panic!("{written}: {mistake:?} has no place"));
        let found = &written[span.start as usize..];
        assert!(found.starts_with(place), "{written}: {mistake:?} is at {found:?}");
    }
}

/// Each key of each grader with a letter too many: the one that is meant is named, at its own place.
#[test]
fn every_key_is_suggested() {
    let schema = serde_json::to_value(schemars::schema_for!(eval::grade::written::Rubric)).unwrap();
    let mut tried = 0;
    for (grader, form) in schema["properties"].as_object().unwrap() {
        let forms = form["anyOf"].as_array().cloned().unwrap_or_else(|| vec![form.clone()]);
        let name = forms.iter().find_map(|it| it["$ref"].as_str()?.strip_prefix("#/$defs/")).expect(grader);
        for key in schema["$defs"][name]["properties"].as_object().unwrap().keys() {
            let written = format!("{grader}: {{ {key}q: 1 }}");
            let node = yaml::parse(&written).unwrap();
            let mistakes = Rubric::read(&node).expect_err(&written);
            let message = format!("unknown key `{key}q`: did you mean `{key}`?");
            let found = mistakes.iter().find(|it| it.message == message);
            let found = found.unwrap_or_else(|| panic!("{written}: {mistakes:?}, wanted {message}"));
            let place = found.span.expect("it has a place").start as usize;
            assert!(written[place..].starts_with(&format!("{key}q")), "{written}: {found:?}");
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried} keys");
}

#[rstest]
#[case("{}", &["no grader"])]
#[case("42", &["expected a mapping of graders, found a number"])]
#[case("[]", &["expected a mapping of graders, found a list"])]
#[case("numbr: 42", &["unknown key `numbr`: did you mean `number`? @ numbr"])]
#[case("number: { value: 42, tolerence: 1 }", &["unknown key `tolerence`: did you mean `tolerance`? @ tolerence"])]
#[case("{ numbr: 42, exat: a }", &["unknown key `numbr`", "unknown key `exat`: did you mean `exact`?"])]
#[case("exact:", &["found nothing"])]
#[case("exact: []", &["expected a plain value or a mapping, found a list"])]
#[case("exact: { any: a }", &["found the text `a` @ a"])]
#[case("exact: {}", &["`any` is missing"])]
#[case("exact: { any: [] }", &["`any` is empty"])]
#[case("exact: ''", &["an empty text"])]
#[case("exact: { any: [a, ' ', b] }", &["an empty text @ ' '"])]
#[case("exact: { any: [a, A], ignore_case: true }", &["twice"])]
#[case("exact: 1.50", &["put it in quotes"])]
#[case("exact: { any: [a], weight: 0 }", &["`weight` is 0: it must be a number above 0 @ 0"])]
#[case("exact: { any: [a], weight: -1 }", &["`weight` is -1"])]
#[case("exact: { any: [a], weight: NaN }", &["is not a number"])]
#[case("exact: { any: [a], weight: '.inf' }", &["is not a number"])]
#[case("exact: { any: [a], weight: }", &["found nothing"])]
#[case("contains: {}", &["nothing is demanded"])]
#[case("contains: { any: [], all: [''] }", &["`any` is empty", "an empty text @ ''"])]
#[case("contains: { any: [cat, concat], none: [CAT] }", &["`any` wants `cat`, but `none` forbids `cat` @ cat", "`any` wants `concat` @ concat"])]
#[case("contains: { all: [a cat], none: [cat], words: true }", &["`all` wants `a cat`, but `none` forbids `cat` @ a cat"])]
#[case("contains: { any: [a], words: maybe }", &["expected a boolean, found the text `maybe` @ maybe"])]
#[case("code: { language: python }", &["nothing is demanded of the code"])]
#[case("code: { language: cobol, calls: ['f() == 1'] }", &["cobol"])]
#[case("code: { calls: ['f() == 1'] }", &["`language` is missing"])]
#[case("code: { language: python, calls: [] }", &["`calls` is empty"])]
#[case("code: { language: python, calls: ['f(1, 2'] }", &["no call: expected `)` @ 'f(1, 2'"])]
#[case("code: { language: python, calls: ['f(x) == 1', 'f(1)'] }", &["`x` is no literal: text needs quotes, at `x) == 1`", "expected `==` and a value"])]
#[case("code: { language: python, tests: 'assert f()' }", &["`tests` needs `entry`"])]
#[case("code: { language: python, entry: 'f g', tests: 'assert f()' }", &["`f g` is no name of a function @ 'f g'", "`tests` needs `entry`"])]
#[case("code: { language: rust, calls: ['f() == 1'] }", &["`calls` is for Python: rust is judged by `prints`"])]
#[case("code: { language: rust, prints: [{ stdout: '' }] }", &["a program that prints nothing passes"])]
#[case("code: { language: python, calls: ['f() == 1'], prints: [{ stdout: 1 }] }", &["`prints` beside `calls`: give one of them"])]
#[case("code: { language: python, calls: ['f() == 1'], reference: x }", &["`reference` is only for `tests` @ x"])]
#[case("code: { language: python, calls: ['f() == 1'], tolerance: -1 }", &["`tolerance` is below 0"])]
#[case("code: { language: python, calls: ['f() == 1'], extract: completion }", &["a completion completes `before`"])]
#[case("code: { language: python, calls: ['f() == 1'], limits: { cpu: 0, memory: 99999 } }", &["`cpu` is 0: it must be above 0 and at most 120 @ 0", "`memory` is 99999"])]
#[case("code: { language: python, entry: f, mutants: { right: a, wrong: [a] } }", &["one of `wrong` is `right`"])]
#[case("code: { language: python, entry: f, mutants: { right: a, wrong: [] } }", &["`wrong` is empty"])]
#[case("regex: '('", &["the pattern is no regular expression: unclosed group @ '('"])]
#[case("regex: 'a(?=b)'", &["look-around"])]
#[case("regex: '[a&&b]'", &["the pattern can match nothing"])]
#[case("regex: 'a*'", &["the pattern matches every answer"])]
#[case("regex: 'a{1000}{1000}{1000}'", &["the pattern is too large"])]
#[case("regex: { pattern: '(a)', group: 2 }", &["there is no group 2: the pattern has 1 group @ 2"])]
#[case("regex: { pattern: a, group: 1, equals: '' }", &["an empty text", "there is no group 1: the pattern has no groups"])]
#[case("regex: { pattern: a, group: -1 }", &["`-1` is not a whole number from 0"])]
#[case("number: forty", &["`forty` is not a number @ forty"])]
#[case("number: NaN", &["`NaN` is not a number"])]
#[case("number: inf", &["`inf` is not a number"])]
#[case("number: 10-20", &["`10-20` is not a number"])]
#[case("number: 42 km", &["`42 km` is not a number"])]
#[case("number: 1/0", &["`1/0` is not a number"])]
#[case("number: true", &["`true` is not a number"])]
#[case("number: ''", &["`` is not a number"])]
#[case("number: { tolerance: 1 }", &["`value` is missing"])]
#[case("number: { value: 1, tolerance: -1 }", &["`tolerance` is negative: -1 @ -1"])]
#[case("number: { value: 1, tolerance: NaN }", &["is not a number"])]
#[case("number: { value: 1, tolerance: 5% }", &["`tolerance` is a percentage"])]
#[case("number: { value: 1, relative: -0.1 }", &["`relative` is negative"])]
#[case("number: { value: 1, tolerance: 1, relative: 1 }", &["`tolerance` and `relative` at once"])]
#[case("choice: BC", &["`BC` is not a letter from A to Z @ BC"])]
#[case("choice: 1", &["`1` is not a letter"])]
#[case("choice: { answer: E, options: { A: x, B: y } }", &["the answer `E` is none of the options A, B @ E"])]
#[case("choice: { answer: A, options: { A: x } }", &["fewer than two options"])]
#[case("choice: { answer: A, options: {} }", &["fewer than two options", "the answer `A` is none"])]
#[case("choice: { answer: A, options: { A: x, a: y } }", &["there are two options A @ y"])]
#[case("choice: { answer: A, options: { A: x, B: 'x ' } }", &["the options A and B have the same text @ 'x '"])]
#[case("choice: { answer: A, options: { A: x, B: '' } }", &["an empty text @ ''"])]
#[case("choice: { answer: A, options: { A: x, AB: y, C: z } }", &["the option `AB` is not named by a letter @ y"])]
#[case("choice: { answer: A, options: [x, y] }", &["expected a mapping from letters to texts, found a list"])]
#[case("choice: { answer: A, by: likelihood }", &["a choice by likelihood needs `options`: their texts are what is scored @ likelihood"])]
#[case("choice: { answer: A, by: likelyhood }", &["unknown word `likelyhood`: did you mean `likelihood`? @ likelyhood"])]
#[case("choice: { answer: A, normalise: byte }", &["`normalise` is only for `by: likelihood` @ byte"])]
#[case("{ length: { max_words: 3 }, choice: { answer: A, options: { A: x, B: y }, by: likelihood } }", &["a choice by likelihood stands alone: there is no text for another grader @ length"])]
#[case("json: [{ type: object }]", &["expected a mapping, found a list"])]
#[case("length: 3", &["expected a mapping, found the number 3 @ 3"])]
#[case("json: {}", &["`schema` is missing"])]
#[case("json: { schema: false }", &["the schema `false` allows nothing @ false"])]
#[case("json: { schema: { properties: { a: { type: strng } } } }", &["not a JSON Schema @ strng"])]
#[case("json: { schema: 42 }", &["not a JSON Schema"])]
#[case("json: { schema: { $ref: 'https://example.org/x.json' } }", &["not a JSON Schema"])]
#[case("json: { schema: { $ref: 'file:///etc/passwd' } }", &["not a JSON Schema"])]
#[case("json: { schema: { $ref: '#/$defs/none' } }", &["not a JSON Schema"])]
#[case("json: { schema: { pattern: '(' } }", &["not a JSON Schema @ '('"])]
#[case("length: {}", &["no limit is given"])]
#[case("length: { weight: 2 }", &["no limit is given"])]
#[case("length: { min_words: 3, max_words: 2 }", &["`min_words` is above `max_words` @ 3"])]
#[case("length: { min_chars: 3, max_chars: 2 }", &["`min_chars` is above `max_chars` @ 3"])]
#[case("length: { min_words: 3, max_chars: 4 }", &["`max_chars` is too few for `min_words`"])]
#[case("length: { min_words: 1, max_lines: 0 }", &["`max_lines` is too few for `min_words`"])]
#[case("length: { min_words: 0 }", &["`min_words: 0` limits nothing"])]
#[case("length: { max_words: -1 }", &["`-1` is not a whole number"])]
#[case("length: { max_words: 1.5 }", &["`1.5` is not a whole number"])]
fn mistakes(#[case] written: &str, #[case] wanted: &[&str]) {
    check(written, wanted);
}
