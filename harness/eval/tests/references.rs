//! References: every case that has one finds it right, and neither an empty answer nor its own prompt.
//!
//! A `main` of its own, because the sandbox starts this executable anew. A language that is not installed makes its
//! tests ignored, with the reason.
#![expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests leaves out the functions that they share"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use eval::case::{self, Loaded, Suite};
use eval::diagnostic::SourceFile;
use eval::grade::Contained;
use eval::lint::{self, Looked};
use eval::model::Models;
use libtest_mimic::{Arguments, Completion, Trial};

/// What is told of a case whose reference is none: its grade, its reference, and words of it.
const WRONG: &[(&str, &str, &str)] = &[
    ("code: { language: python, calls: ['f(2) == 4'] }", "def f(x): return x + 3", "the reference scores 0"),
    (
        "code: { language: python, entry: f, mutants: { right: 'def f(x): return 2 * x', wrong: \
         ['def f(x): return x * x', 'def f(x): return 4'] } }",
        "assert f(2) == 4\nassert f(3) != 5",
        "the reference scores 0",
    ),
    ("code: { language: shell, prints: [{ stdin: a, stdout: b }] }", "echo a", "the reference scores 0"),
    ("sql: { rows: [[1], [2]] }", "SELECT 1", "the reference scores 0"),
    ("length: { max_words: 9 }", "two words", "an empty answer scores 1, which passes"),
    ("contains: { any: [twice, thrice] }", "twice", "the prompt, as an answer, scores 1, which passes"),
];

/// References that are sound, in each place where a case may have one.
const SOUND: &[(&str, &str)] = &[
    (
        "code: { language: python, calls: ['f(2) == 4'] }",
        "Here it is:\n```python\ndef f(x): return 2 * x\n```",
    ),
    (
        "code: { language: python, entry: f, tests: 'assert f(2) == 4', reference: 'def f(x): return 2 * x' }",
        "",
    ),
    ("sql: { query: SELECT 1 UNION SELECT 2 }", ""),
    ("sql: { creates: { reference: CREATE TABLE t (a), accepts: [INSERT INTO t VALUES (1)] } }", ""),
];

fn main() -> ExitCode {
    sandbox::child();
    let mut trials = Vec::new();
    let Loaded { suites, wrong, .. } =
        case::load(&root("cases"), &Models::load(&root("models.yaml")).unwrap());
    assert!(wrong.is_empty(), "{wrong:?}");
    for suite in suites.into_iter().map(Arc::new) {
        for (at, case) in suite.cases.iter().enumerate() {
            if case.variants.iter().any(|it| it.reference.is_some()) {
                let of = Arc::clone(&suite);
                let name = format!("{}/{}", suite.name, case.id);
                trials.push(Trial::ignorable_test(name, move || Ok(sound(&of, at))));
            }
        }
    }
    assert!(!trials.is_empty(), "no case has a reference");
    trials.extend(WRONG.iter().enumerate().map(|(at, row)| {
        Trial::ignorable_test(format!("told-{at}"), move || Ok(told(row.0, row.1, Some(row.2))))
    }));
    trials.extend(
        SOUND.iter().enumerate().map(|(at, row)| {
            Trial::ignorable_test(format!("sound-{at}"), move || Ok(told(row.0, row.1, None)))
        }),
    );
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn root(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(relative)
}

/// The references of one case.
fn sound(suite: &Suite, at: usize) -> Completion {
    let case = &suite.cases[at];
    for looked in case.variants.iter().filter_map(|it| lint::look(case, it, &Contained)) {
        match looked {
            Looked::Sound => {}
            Looked::Skipped(reason) => return Completion::ignored_with(reason),
            Looked::Wrong(sentences) => panic!("{}/{}: {}", suite.name, case.id, sentences.join("; ")),
        }
    }
    Completion::Completed
}

/// What is said of a case with this grade and this reference, if it has one of its own.
fn told(grade: &str, reference: &str, wanted: Option<&str>) -> Completion {
    let own = if reference.is_empty() { String::new() } else { format!("    reference: {reference:?}\n") };
    let text = format!(
        "version: 1\ncases:\n  - id: it\n    prompt: Do it twice.\n    grade: {{ {grade} }}\n    tags: [easy]\n    \
         why: a test\n{own}"
    );
    let path = Path::new("cases/maths/sums.yaml");
    let models = "version: 1\ndefaults: { family: none, class: small, sources: [] }\nmodels: { tiny: {} }\n";
    let models = Models::read(Path::new("models.yaml"), &SourceFile::new("models.yaml", models)).unwrap();
    let (suite, wrong) =
        case::read("maths/sums", path, &SourceFile::new("sums.yaml", text.as_str()), &models);
    assert!(wrong.is_empty(), "{wrong:?}");
    let suites = [suite.unwrap()];
    let references = lint::references(&suites, &Contained);
    if let Some(reason) = references.skipped.keys().next() {
        return Completion::ignored_with(reason.clone());
    }
    let messages: Vec<&str> = references.wrong.iter().map(|it| it.mistake.message.as_str()).collect();
    match wanted {
        Some(wanted) => {
            assert!(messages.iter().any(|it| it.contains(wanted)), "{grade}: {messages:?}");
            assert_eq!(references.sound, 0, "{grade}");
        }
        None => assert_eq!((messages, references.sound), (Vec::new(), 1), "{grade}"),
    }
    Completion::Completed
}
