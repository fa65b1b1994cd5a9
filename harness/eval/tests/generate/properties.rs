//! What holds for every expression: no panic, an end, and exact numbers.

use eval::generate::evaluate;
use eval::generate::source::Source;
use eval::generate::value::Value;
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;

/// Words of which expressions are made, and some of which none are.
fn words() -> impl Strategy<Value = String> {
    let functions: Vec<String> = eval::generate::functions::FIELDS
        .iter()
        .flat_map(|it| it.functions)
        .map(|it| format!("{}(", it.name()))
        .collect();
    let word = prop_oneof![
        4 => prop::sample::select(vec![
            "+", "-", "*", "/", "//", "%", "**", "==", "<", "(", ")", "[", "]", ",", "=>", "x =>", "(a, b) =>", "for", "in", "if", "else", "not",
            "and", "or", "true", "x", "a", "1", "0", "-3", "1.5", "\"a\"", "''", "[1, 2]", "[[1, 2], [3, 4]]", "99999999999999999999", ".", "é", "\"",
        ])
        .prop_map(str::to_owned),
        3 => prop::sample::select(functions),
        1 => "[ -~]{0,6}",
    ];
    prop::collection::vec(word, 0..30).prop_map(|it| it.join(" "))
}

/// Calls with the right number of arguments, whose values may be anything.
fn calls() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "0",
        "1",
        "-1",
        "2",
        "3",
        "7",
        "1 / 2",
        "10 ** 30",
        "-10 ** 30",
        "\"a\"",
        "\"lru\"",
        "''",
        "true",
        "[]",
        "[1, 2, 3]",
        "[[1, 2], [3, 4]]",
        "[[1, 2, 3], [4, 5, 6]]",
        "[[\"a\", \"b\", 1], [\"b\", \"c\", 2]]",
        "[[\"a\", 3, []], [\"b\", 2, [\"a\"]]]",
        "[\"a\", \"b\", \"c\"]",
        "[[0, 5], [1, 2]]",
        "range(40)",
        "1 / 3",
        "x => x",
        "(a, b) => a",
        "(a, b) => b",
        "x => [x]",
        "x => x == 1",
    ]);
    let function: Vec<&'static str> = eval::generate::functions::FIELDS
        .iter()
        .flat_map(|it| it.functions)
        .map(eval::generate::functions::Function::name)
        .collect();
    let arguments = prop::collection::vec(value, 0..6).prop_map(|it| it.join(", "));
    (prop::sample::select(function), arguments).prop_map(|(name, arguments)| format!("{name}({arguments})"))
}

fn number() -> impl Strategy<Value = BigRational> {
    (any::<i128>(), 1_i64..)
        .prop_map(|(top, bottom)| BigRational::new(BigInt::from(top), BigInt::from(bottom)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_text_ends_in_a_value_or_a_mistake_within_it(text in words()) {
        if let Err(wrong) = evaluate(&text, &[("x", Value::whole(3))], "key", 50_000) {
            prop_assert!(wrong.span.end <= text.len() && text.get(wrong.span.clone()).is_some(), "{wrong:?}");
            prop_assert!(!wrong.message.is_empty());
        }
    }

    #[test]
    fn any_bytes_end_so_too(text in "\\PC{0,60}") {
        let _ = evaluate(&text, &[], "key", 50_000);
    }

    #[test]
    fn every_function_bears_every_argument(text in calls()) {
        let first = evaluate(&text, &[], "key", 50_000);
        prop_assert_eq!(first, evaluate(&text, &[], "key", 50_000), "the same again");
    }

    #[test]
    fn arithmetic_is_that_of_fractions(a in number(), b in number()) {
        let values = [("a", Value::Number(a.clone())), ("b", Value::Number(b.clone()))];
        let of = |text: &str| evaluate(text, &values, "key", 50_000).unwrap();
        prop_assert_eq!(of("a + b"), Value::Number(&a + &b));
        prop_assert_eq!(of("a - b"), Value::Number(&a - &b));
        prop_assert_eq!(of("a * b"), Value::Number(&a * &b));
        prop_assert_eq!(of("a < b"), Value::Boolean(a < b));
        prop_assert_eq!(of("-a"), Value::Number(-&a));
        prop_assert_eq!(of("a ** 3"), Value::Number(&a * &a * &a));
        if b != BigRational::from_integer(0.into()) {
            prop_assert_eq!(of("a / b"), Value::Number(&a / &b));
            prop_assert_eq!(of("a // b * b + a % b"), Value::Number(a.clone()));
            prop_assert_eq!(of("0 <= a % b < b or b < a % b <= 0"), Value::Boolean(true));
        }
        // What is written is read back.
        prop_assert_eq!(evaluate(&Value::Number(a.clone()).to_string(), &[], "key", 50_000).unwrap(), Value::Number(a));
    }

    #[test]
    fn matrices_keep_their_laws(seed in any::<u64>()) {
        let of = |text: &str| {
            let m = evaluate("draw_matrix(3, 3, -9, 9)", &[], &format!("m{seed}"), 50_000).unwrap();
            let n = evaluate("draw_matrix(3, 3, -9, 9)", &[], &format!("n{seed}"), 50_000).unwrap();
            evaluate(text, &[("m", m), ("n", n)], "key", 50_000)
        };
        prop_assert_eq!(of("det(matmul(m, n)) == det(m) * det(n)").unwrap(), Value::Boolean(true));
        prop_assert_eq!(of("det(transpose(m)) == det(m)").unwrap(), Value::Boolean(true));
        if let Ok(identity) = of("matmul(m, inverse(m))") {
            prop_assert_eq!(identity.to_string(), "[[1, 0, 0], [0, 1, 0], [0, 0, 1]]");
        } else {
            prop_assert_eq!(of("det(m) == 0 and rank(m) < 3").unwrap(), Value::Boolean(true));
        }
    }

    #[test]
    fn draws_lie_within_their_bounds(seed in any::<u64>(), bound in 1_u64..) {
        let mut source = Source::new(&seed.to_string());
        prop_assert!(source.below(bound) < bound);
        let drawn = evaluate("distinct(5, -2, 4)", &[], &seed.to_string(), 50_000).unwrap();
        let Value::List(drawn) = drawn else { panic!("a list") };
        prop_assert_eq!(drawn.len(), 5);
        prop_assert!((0..5).all(|at| !drawn[..at].contains(&drawn[at])), "no two are equal");
        prop_assert!(drawn.iter().all(|it| (-2..=4).any(|n| *it == Value::whole(n))));
    }
}

/// The first bits of two keys, as Python's `hashlib.sha256(key + (0).to_bytes(8, "big"))` gives them.
#[test]
fn streams_are_sha256() {
    let mut source = Source::new("proofmark");
    let first: Vec<u64> = (0..5).map(|_| source.bits()).collect();
    assert_eq!(first, FIRST_BITS);
}

const FIRST_BITS: [u64; 5] = [
    0x29e1_413d_b9f8_4aac,
    0x3f21_a203_d9e2_f5c5,
    0x1e06_c570_1b08_e783,
    0xf5b4_460b_7a47_0804,
    0xa85e_14a9_0b23_2734,
];
