//! The cases that are committed, and what the lints find in others.
#![expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests leaves out the functions that they share"
)]

use std::path::{Path, PathBuf};

use eval::case;
use eval::dataset::Selection;
use eval::diagnostic::SourceFile;
use eval::lint::{Lints, lint};
use eval::model::Models;
use rstest::rstest;

fn root(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(relative)
}

fn rendered(lints: &Lints) -> Vec<String> {
    lints.wrong.iter().map(|it| format!("{}: {}", it.name, it.mistake.message)).collect()
}

/// Every case of `cases/` can be asked, says why it is there, and gives nothing away: with the seeds written there,
/// and with fresh ones.
#[rstest]
#[case(None)]
#[case(Some(1))]
#[case(Some(20_261_126))]
fn committed_cases_are_sound(#[case] seed: Option<u64>) {
    let models = Models::load(&root("models.yaml")).expect("models.yaml is sound");
    let lints =
        lint(&case::load_selected(&root("cases"), &models, &Selection { seed, ..Selection::default() }));
    assert_eq!(rendered(&lints), Vec::<String>::new());
}

/// Lints a suite of these cases.
fn found(cases: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("maths")).unwrap();
    let text = format!("version: 1\ndescription: A test\ncases:\n{cases}");
    std::fs::write(folder.path().join("maths/sums.yaml"), text).unwrap();
    let models = "version: 1\ndefaults: { family: none, class: small, sources: [] }\nmodels: { tiny: {} }\n";
    let models = Models::read(Path::new("models.yaml"), &SourceFile::new("models.yaml", models)).unwrap();
    rendered(&lint(&case::load(folder.path(), &models)))
}

fn case_of(prompt: &str, grade: &str, more: &str) -> String {
    format!("  - id: it\n    prompt: {prompt}\n    grade: {grade}\n    tags: [easy]\n    why: a test\n{more}")
}

#[rstest]
#[case("What is 40 + 2?", "{ number: 42 }", false)]
#[case("What is 42 + 0?", "{ number: 42 }", true)]
#[case("What is 42.0 + 0?", "{ number: { value: 42, tolerance: 1 } }", true)]
#[case("What is 1,042 - 1000?", "{ number: 42 }", false)]
#[case("What comes after v42?", "{ number: 42 }", false)]
#[case("What is 4 + 0?", "{ number: 4 }", false)]
#[case("Is it a cat?", "{ exact: cat }", true)]
#[case("Is it in the catalogue?", "{ exact: cat }", false)]
#[case("Answer yes or no.", "{ exact: { any: [\"Yes\", \"yes.\"] } }", false)]
#[case("Cats or dogs?", "{ contains: { any: [dogs], none: [cats] } }", false)]
#[case("Dogs or what?", "{ contains: { any: [dogs], none: [cats] } }", true)]
#[case("Red, and which other?", "{ contains: { all: [red, blue] } }", false)]
#[case("Red, blue, and?", "{ contains: { all: [red, blue] } }", true)]
#[case("One of red, blue?", "{ choice: { answer: A, options: { A: red, B: blue } } }", false)]
#[case("Is it red?", "{ choice: { answer: A, options: { A: red, B: blue } } }", true)]
#[case("A or B?", "{ choice: B }", false)]
fn targets_in_prompts(#[case] prompt: &str, #[case] grade: &str, #[case] leaks: bool) {
    let lints = found(&case_of(prompt, grade, ""));
    assert_eq!(lints.len(), usize::from(leaks), "{lints:?}");
    assert!(lints.iter().all(|it| it.contains("holds its own target")), "{lints:?}");
    let allowed = found(&case_of(prompt, grade, "    lint: { target_in_prompt: it is a test }\n"));
    assert_eq!(allowed, Vec::<String>::new());
}

#[test]
fn worked_examples_may_hold_it() {
    let more = "    examples: [{ user: What is 41 + 1?, assistant: \"42\" }]\n";
    assert_eq!(found(&case_of("What is 40 + 2?", "{ number: 42 }", more)), Vec::<String>::new());
}

#[test]
fn what_is_missing_is_told() {
    let bare = "  - id: it\n    prompt: What is 40 + 2?\n    grade: { number: 42 }\n";
    let one = found(bare);
    assert_eq!(
        one,
        ["maths/sums/it: `it` has no `why`", "maths/sums/it: `it` has 0 tags for its difficulty"]
    );
    let sound = case_of("What is 40 + 2?", "{ number: 42 }", "");
    let twice = found(&format!("{sound}{}", sound.replace("id: it", "id: other")));
    assert_eq!(twice, ["maths/sums/other: `maths/sums/other` asks the same as `maths/sums/it`"]);
}

#[test]
fn answers_that_are_run_need_a_reference() {
    let code = "{ code: { language: python, calls: ['add(2, 3) == 5'] } }";
    let bare = case_of("Add.", code, "");
    assert_eq!(found(&bare), ["maths/sums/it: `it` has no reference, and its answers are run"]);
    let given = case_of("Add.", code, "    reference: 'def add(a, b): return a + b'\n");
    assert_eq!(found(&given), Vec::<String>::new());
    assert_eq!(found(&case_of("One?", "{ sql: { rows: [[1]] } }", "")).len(), 1);
    assert_eq!(found(&case_of("One?", "{ sql: { query: SELECT 1 } }", "")), Vec::<String>::new());
}

/// Neither a prompt nor a golden knows of it.
#[test]
fn references_change_nothing_that_is_asked() {
    let models = Models::load(&root("models.yaml")).unwrap();
    let read = |more: &str| {
        let grade = "{ number: \"{{ n + 25 }}\" }\n    matrix: { n: [17, 18] }";
        let text = format!("version: 1\ncases:\n{}", case_of("What is {{ n }} + 25?", grade, more));
        let (suite, wrong) = case::read(
            "maths/sums",
            Path::new("sums.yaml"),
            &SourceFile::new("sums.yaml", text.as_str()),
            &models,
        );
        assert!(wrong.is_empty(), "{wrong:?}");
        suite.unwrap().cases.remove(0)
    };
    let (without, with) = (read(""), read("    reference: It is {{ n + 25 }}.\n"));
    for (a, b) in without.variants.iter().zip(&with.variants) {
        assert_eq!((a.reference.as_ref(), &a.messages), (None, &b.messages));
        assert_eq!(without.digest(a, &without.drawn[0]), with.digest(b, &with.drawn[0]));
    }
    let references: Vec<_> = with.variants.iter().filter_map(|it| it.reference.as_deref()).collect();
    assert_eq!(references, ["It is 42.", "It is 43."]);
}

#[rstest]
#[case(
    "{ choice: { answer: A, options: { A: left, B: right }, by: likelihood } }",
    "left",
    "no answer is asked for"
)]
#[case("{ perplexity: { at_most: 20 } }", "a cat", "no answer is asked for")]
#[case("{ number: 42 }", "' '", "this text is empty")]
#[case(
    "{ number: \"{{ n }}\" }\n    matrix: { n: [42] }",
    "\"{{ m }}\"",
    "the matrix defines no variable `m`"
)]
#[case("{ number: 42 }", "[42]", "text or a number")]
fn references_that_are_none(#[case] grade: &str, #[case] reference: &str, #[case] wanted: &str) {
    let told = found(&case_of("What is it?", grade, &format!("    reference: {reference}\n")));
    assert!(told.len() == 1 && told[0].contains(wanted), "{told:?}");
}
