//! Files that nobody writes by hand: each ends in a message, none in a panic, and none keeps others from running.

use std::fmt::Write as _;

use crate::place::{Place, Ran};

const FILE: &str = "cases/sums/bad.yaml";

/// Runs good cases beside a bad file, which is one failing test.
#[track_caller]
fn beside(bytes: impl AsRef<[u8]>) -> Ran {
    let ran = Place::with_two_cases().write(FILE, bytes).run(&[]).failed();
    let outcomes = ran.outcomes();
    assert_eq!(outcomes["sums/small/a::tiny"], "ok");
    assert_eq!(outcomes["sums/small/b::tiny"], "ok");
    assert!(
        outcomes.iter().any(|(name, it)| name.starts_with("sums/bad") && it == "FAILED"),
        "{}",
        ran.told()
    );
    assert!(ran.stdout.len() < 20_000, "{} bytes are said", ran.stdout.len());
    ran
}

/// One good case, with this text before it.
fn case_after(text: &str) -> String {
    format!(
        "{text}version: 1\ncases:\n  - id: c\n    prompt: What is 17 + 25?\n    grade: {{ number: 42 }}\n"
    )
}

#[test]
fn a_hundred_megabytes() {
    let place = Place::with_two_cases();
    let file = std::fs::File::create(place.path(FILE)).unwrap();
    file.set_len(100 << 20).unwrap();
    place
        .run(&[])
        .failed()
        .says("cases/sums/bad.yaml has 100 MiB, more than the 32 MiB that are read of one file");
}

#[test]
fn thirty_megabytes_of_anything() {
    beside("[".repeat(30 << 20)).says("sums/bad");
    beside("a: &a [x]\n".repeat(3 << 20)).says("sums/bad");
    beside("- ".repeat(15 << 20)).says("sums/bad");
    beside("? ".repeat(15 << 20)).says("sums/bad");
    beside("!".repeat(30 << 20)).says("sums/bad");
    beside("\"".to_owned() + &"\\".repeat(30 << 20)).says("sums/bad");
}

#[test]
fn other_encodings() {
    beside(b"version: 1\ncases:\n  - id: caf\xe9\n")
        .says("is not UTF-8: byte 29, in line 3, starts no character");
    let utf16: Vec<u8> = case_after("").encode_utf16().flat_map(u16::to_le_bytes).collect();
    beside(utf16).says("sums/bad");
    let utf16_marked: Vec<u8> = case_after("\u{feff}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    beside(utf16_marked).says("is not UTF-8: byte 0, in line 1").says("save the file as UTF-8");
}

#[test]
fn billions_of_laughs() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        let _ = writeln!(text, "a{level}: &a{level} [{}]", [alias.as_str(); 9].join(", "));
    }
    beside(text).says("aliases repeat more than is read").says("write out what is repeated");
}

#[test]
fn an_alias_of_itself() {
    beside("version: 1\ncases: &a [*a]\n").says("sums/bad");
}

#[test]
fn many_aliases_of_something_large() {
    let mut text = format!("big: &big \"{}\"\nall:\n", "x".repeat(1 << 20));
    for _ in 0..5_000 {
        text.push_str("  - *big\n");
    }
    beside(text).says("sums/bad");
}

#[test]
fn a_thousand_levels() {
    let deep = "lists and mappings are nested more than 64 levels deep";
    beside("[".repeat(1_000) + &"]".repeat(1_000)).says(deep);
    let mut text = String::new();
    for level in 0..1_000 {
        let _ = writeln!(text, "{}a:", " ".repeat(level));
    }
    beside(text).says(deep);
    beside("- ".repeat(1_000)).says(deep);
    beside("{a: ".repeat(100_000)).says(deep);
}

/// Values go into templates, patterns and schemas: each has a bound of its own.
#[test]
fn bounds_of_what_is_in_a_case() {
    let case = |grade: &str| {
        format!(
            "version: 1\ncases:\n  - id: c\n    prompt: What is {{{{ n }}}}?\n    matrix: {{ n: [1] }}\n    grade: {grade}\n"
        )
    };
    let long = "{% for i in range(9999) %}{% for j in range(9999) %}{{ n }}{% endfor %}{% endfor %}";
    beside(case(&format!("{{ exact: '{long}' }}"))).says("it takes too long");
    beside(case("{ regex: '(a{1000}){1000}{1000}' }")).says("sums/bad/c");
    beside(case(&format!("{{ regex: '{}' }}", "(".repeat(100_000)))).says("sums/bad/c");
    beside(case(&format!("{{ exact: '{}' }}", "{{ (".repeat(10_000)))).says("sums/bad/c");
    beside(case(&format!("{{ exact: '{{{{ {}n }}}}' }}", "-".repeat(100_000)))).says("sums/bad/c");
    let values: Vec<String> = (0..300).map(|it| it.to_string()).collect();
    let wide = format!("{{ a: [{0}], b: [{0}], c: [{0}] }}", values.join(", "));
    beside(case("{ number: 1 }").replace("{ n: [1] }", &wide))
        .says("the matrix makes more than 10000 variants");
    beside(case("{ number: 1e999999999 }")).says("`1e999999999` is no number that is read");
    beside(case("{ json: { schema: { $ref: 'http://127.0.0.1:9/schema.json' } } }")).says("sums/bad/c");
    beside(case("{ json: { schema: { $ref: 'file:///etc/passwd' } } }"))
        .says("sums/bad/c")
        .never_says("root:");
}

#[test]
fn characters_that_are_not_seen() {
    beside("version: 1\ncases:\n  - id: \0\n").says("sums/bad");
    beside([0; 1_000]).says("sums/bad");
    beside("\u{7}version: 1\n").says("sums/bad").never_says("\u{7}");
    beside("version: 1\n\u{1b}[2Jcases: []\n").says("sums/bad").never_says("\u{1b}");
}

#[test]
fn nothing_at_all() {
    beside("").says("sums/bad");
    beside("\n\n# only a remark\n").says("sums/bad");
    beside("---\n").says("sums/bad");
    beside("~").says("sums/bad");
    beside("42").says("expected a mapping");
    beside("[]").says("expected a mapping");
}

#[test]
fn several_documents() {
    beside(format!("{}---\n{}", case_after(""), case_after(""))).says("sums/bad");
}

#[test]
fn a_file_as_windows_writes_it() {
    let place = Place::new().write(FILE, case_after("\u{feff}").replace('\n', "\r\n"));
    place.run(&[]).passed().says("sums/bad/c::tiny");
    let wrong = case_after("\u{feff}").replace("prompt", "promt").replace('\n', "\r\n");
    place.put(FILE, wrong);
    place.run(&[]).failed().shown("windows");
}

/// The same bytes as the file of models.
#[test]
fn a_hostile_file_of_models() {
    let models = |bytes: &[u8]| {
        let ran = Place::with_two_cases().write("models.yaml", bytes).run(&[]).failed();
        assert!(ran.outcomes().contains_key("models.yaml"), "{}", ran.told());
        assert!(ran.stdout.len() < 20_000, "{} bytes are said", ran.stdout.len());
        ran
    };
    models(b"version: 1\nmodels: { caf\xe9: {} }\n").says("is not UTF-8");
    models("[".repeat(1_000).as_bytes()).says("models.yaml");
    models(b"").says("models.yaml");
    models(&[0; 100]).says("models.yaml");
    models(b"a: &a [*a]\n").says("models.yaml");
}

#[test]
fn a_hostile_golden() {
    let golden = |bytes: &[u8]| {
        let ran = Place::with_two_cases().write("golden/sums/small@tiny.snap", bytes).run(&[]).failed();
        assert_eq!(ran.outcomes()["golden::golden/sums/small@tiny.snap"], "FAILED");
        ran
    };
    golden(b"---\n---\n\xff").says("is not UTF-8");
    golden(b"").says("golden/sums/small@tiny.snap");
    golden(&[0; 100]).says("golden/sums/small@tiny.snap");
    golden("---\nsource: a\n---\nversion: 2\nsuite: a\nmodel: b\ncases: []\n".as_bytes()).says("version");
    golden(("[".repeat(1_000)).as_bytes()).says("golden/sums/small@tiny.snap");
}
