//! What Python does, beside what `CPython` did.

use eval::dataset::jinja::{self, Template};
use eval::dataset::pattern::Pattern;
use eval::dataset::python;
use eval::dataset::random::Random;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::EXPECTED;

fn rows(name: &str) -> &'static Vec<Value> {
    EXPECTED["python"][name].as_array().unwrap()
}

#[test]
fn draws() {
    for row in rows("draws") {
        let mut random = Random::new(row["seed"].as_u64().unwrap());
        for sample in row["samples"].as_array().unwrap() {
            let number = |at: usize| usize::try_from(sample[at].as_u64().unwrap()).unwrap();
            assert_eq!(
                json!(random.sample(number(0), number(1)).unwrap()),
                sample[2],
                "seed {}",
                row["seed"]
            );
        }
    }
    assert_eq!(Random::new(0).sample(2, 3), None);
}

#[test]
fn values_are_written_and_read_back() {
    for row in rows("repr") {
        assert_eq!(python::repr(&row[0]), row[1]);
        assert_eq!(python::text(&row[0]), row[2]);
        assert_eq!(python::literal(row[1].as_str().unwrap()).as_ref(), Ok(&row[0]));
    }
    for row in rows("literals") {
        assert_eq!(python::literal(row[0].as_str().unwrap()).as_ref(), Ok(&row[1]));
    }
    for wrong in ["", "[", "'a", "a", "[1 2]", "{'a': }", "__import__('os')", "1 + 1", "'\\x4'", "b'a'"] {
        assert!(python::literal(wrong).is_err(), "{wrong}");
    }
    assert!(python::literal(&"[".repeat(100_000)).is_err());
}

#[test]
fn patterns() {
    for row in rows("patterns") {
        let text = |at: usize| row[at].as_str().unwrap();
        let pattern = Pattern::new(text(0)).unwrap();
        assert_eq!(json!(pattern.find_all(text(1))), row[2], "{}", text(0));
        assert_eq!(pattern.replace(text(1), r"<\g<0>>", 0), text(3), "{}", text(0));
    }
    assert!(Pattern::new("(").is_err());
    // One that goes back and forth without end is given up.
    assert!(Pattern::new(r"(a+)+(?=b)\1$").unwrap().find_all(&"a".repeat(5_000)).is_empty());
}

#[test]
fn templates() {
    let document =
        json!({ "a": ["x", "y'z"], "n": 3, "f": 0.5, "b": true, "s": " Text [x] ", "d": { "k": null } });
    let values = jinja::value_of(&document);
    for row in rows("templates") {
        let source = row[0].as_str().unwrap();
        assert_eq!(Template::new(source).unwrap().render(&values).unwrap(), row[1], "{source}");
    }
    for wrong in [
        "{{ missing }}",
        "{{ d.missing }}",
        "{{ a.index('q') }}",
        "{{ missing.strip() }}",
        "{% for a in range(10000000) %}{{a}}{% endfor %}",
    ] {
        assert!(Template::new(wrong).and_then(|it| it.render(&values)).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_back(text in any::<String>()) {
        let value = Value::from(text);
        prop_assert_eq!(python::literal(&python::repr(&value)), Ok(value));
    }

    #[test]
    fn nothing_that_is_no_literal_panics(text in r#"[\[\](){}'",:rbu\\x0-9a-fTN.+-]{0,40}"#) {
        let _ = python::literal(&text);
    }

    #[test]
    fn no_pattern_panics(pattern in r"[a\[\]\\$^&~{},()|*+?-]{0,12}", text in "[a$&~-]{0,12}") {
        if let Ok(pattern) = Pattern::new(&pattern) {
            let _ = pattern.find_all(&text);
        }
    }
}

/// A template that would go down the stack, or take all memory.
#[test]
fn templates_end() {
    let values = jinja::value_of(&json!({ "a": "x" }));
    for wrong in [
        format!("{{{{ {}1 }}}}", "1+".repeat(100_000)),
        format!("{{{{ {}a }}}}", "not ".repeat(100_000)),
        format!("{{{{ a{} }}}}", "|string".repeat(50_000)),
        "{{ 'a' * 100000000000 }}".to_owned(),
        "{{ a|indent(100000000000) }}".to_owned(),
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}".to_owned(),
    ] {
        assert!(Template::new(&wrong).and_then(|it| it.render(&values)).is_err(), "{wrong:.40}");
    }
    // As long as an expression may be.
    let long = format!("{{{{ {}1 }}}}", "1+".repeat(3_990));
    assert_eq!(Template::new(&long).unwrap().render(&values).unwrap(), "3991");
}
