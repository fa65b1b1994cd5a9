//! What users read: every mistake that a file can have, the names of all trials, the schemas, and goldens as insta
//! sees them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use eval::case::{self, Loaded};
use eval::diagnostic::{Mistake, SourceFile};
use eval::golden::{Digests, Entry, Golden};
use eval::model::Models;
use eval::trial::{self, Plan};
use proptest::prelude::*;

/// A file of the repository.
fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Snapshots lie in `golden/shown/`, named after what they show.
fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden/shown");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

fn rendered(mistake: &Mistake) -> String {
    let mut text = String::new();
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .render_report(&mut text, mistake)
        .expect("writing to a String does not fail");
    text
}

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile::new(name, text)
}

/// The models that the cases with mistakes may name.
fn three_models() -> Models {
    let text = "
version: 1
defaults: { family: none, class: small, sources: [] }
models: { tiny: { tags: [default] }, small: {}, absent: {} }
";
    Models::read(Path::new("models.yaml"), &file("models.yaml", text)).expect("there is no mistake")
}

#[test]
fn mistakes_point_at_themselves() {
    let models = three_models();
    settings().bind(|| {
        insta::glob!("fixtures/mistakes/*.yaml", |path| {
            let name = path.file_name().and_then(|it| it.to_str()).expect("names here are ASCII");
            let text = std::fs::read_to_string(path).expect("the glob found it");
            let told: Vec<String> = if name.starts_with("models-") {
                let mistakes = Models::read(Path::new(name), &file(name, &text)).err().unwrap_or_default();
                mistakes.iter().map(rendered).collect()
            } else {
                let (_, wrong) = case::read("sums/suite", Path::new(name), &file(name, &text), &models);
                wrong.iter().map(|it| format!("{}\n{}", it.name, rendered(&it.mistake))).collect()
            };
            assert!(!told.is_empty(), "{name} has no mistake");
            insta::assert_snapshot!("mistakes", told.join("\n"));
        });
    });
}

/// No mistake hides another: each case of these files has one, and is told.
#[test]
fn each_wrong_case_is_told() {
    let models = three_models();
    for entry in path("tests/fixtures/mistakes").read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let written = text.matches("\n  - id:").count();
        // Of these, some cases are right, or the file as a whole is wrong.
        let whole = [
            "version",
            "malformed",
            "twice",
            "merge",
            "defaults",
            "top",
            "ids",
            "list",
            "no-cases",
            "not-finite",
        ];
        if !name.starts_with("case-") || whole.iter().any(|it| name.contains(it)) {
            continue;
        }
        let (suite, wrong) = case::read("sums/suite", &path, &file(&name, &text), &models);
        let told: BTreeSet<&str> = wrong.iter().map(|it| it.name.as_str()).collect();
        let right: Vec<String> =
            suite.into_iter().flat_map(|it| it.cases).map(|it| format!("{name}: {}", it.id)).collect();
        assert_eq!(right, [""; 0], "these are taken, though they are mistaken");
        assert_eq!(
            told.iter().filter(|it| it.matches('/').count() == 2).count(),
            written,
            "{name}: {told:?}"
        );
    }
}

/// Everything that is asked: `cases/` and `models.yaml` as they are committed.
fn committed() -> Plan {
    let models = Models::load(&path("models.yaml")).unwrap_or_else(|wrong| {
        panic!("{}", wrong.iter().map(rendered).collect::<String>());
    });
    let Loaded { suites, wrong, .. } = case::load(&path("cases"), &models);
    assert!(wrong.is_empty(), "{}", wrong.iter().map(|it| rendered(&it.mistake)).collect::<String>());
    trial::expand(models, suites)
}

#[test]
fn committed_cases_have_these_trials() {
    let plan = committed();
    let names: BTreeSet<String> = plan.trials.iter().map(|it| plan.name(*it)).collect();
    assert_eq!(names.len(), plan.trials.len(), "names are unique");
    let first = plan.trials.iter().filter(|it| it.model == 0);
    let entries: Vec<String> =
        first.map(|it| format!("{}/{}\n", plan.suite(*it).name, plan.entry(*it))).collect();
    settings().bind(|| insta::assert_snapshot!("trials", entries.concat()));
}

/// Two cases of a suite with one prompt would be one question, counted twice.
#[test]
fn committed_cases_ask_each_question_once() {
    let plan = committed();
    for suite in &plan.suites {
        let mut asked = std::collections::BTreeMap::new();
        for case in &suite.cases {
            for variant in &case.variants {
                let name = format!("{}/{}[{}]", suite.name, case.id, variant.label);
                let other = asked.insert(variant.prompt_digest(), name.clone());
                assert_eq!(other, None, "asks the same as {name}");
            }
        }
    }
}

#[track_caller]
fn check_schema(file: &str, generated: &str) {
    let committed = std::fs::read_to_string(path(file)).unwrap_or_default();
    assert!(committed == generated, "{file} is not what the code says: run cargo xtask schema");
}

#[test]
fn committed_schemas_are_what_the_code_says() {
    check_schema("docs/schema/cases.json", &eval::schema::cases());
    check_schema("docs/schema/models.json", &eval::schema::models());
}

/// One table for the code, the README and the messages.
#[test]
fn the_readme_has_every_variable() {
    let readme = std::fs::read_to_string(path("README.md")).unwrap();
    let written: Vec<&str> = readme.lines().filter(|it| it.starts_with("| `PROOFMARK_")).collect();
    let known = eval::settings::VARIABLES.map(|(name, meaning)| format!("| `{name}` | {meaning} |"));
    assert_eq!(written, known);
}

/// A file of the repository, as an editor with a YAML plugin gives it to a validator.
fn as_json(text: &str) -> serde_json::Value {
    serde_yaml::from_str(text).expect("the file is YAML")
}

fn validator(schema: &str) -> jsonschema::Validator {
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    jsonschema::validator_for(&schema).expect("the schema is one")
}

#[track_caller]
fn mistakes_of(validator: &jsonschema::Validator, text: &str) -> Vec<String> {
    validator.iter_errors(&as_json(text)).map(|it| format!("{}: {it}", it.instance_path())).collect()
}

#[test]
fn committed_files_satisfy_their_schemas() {
    let models = validator(&eval::schema::models());
    let text = std::fs::read_to_string(path("models.yaml")).unwrap();
    assert_eq!(mistakes_of(&models, &text), [""; 0], "models.yaml");
    assert!(text.starts_with("# yaml-language-server: $schema=docs/schema/models.json\n"), "models.yaml");

    let cases = validator(&eval::schema::cases());
    for suite in committed().suites {
        let text = std::fs::read_to_string(&suite.path).unwrap();
        assert_eq!(mistakes_of(&cases, &text), [""; 0], "{}", suite.name);
        let names = text.starts_with("# yaml-language-server: $schema=../../docs/schema/cases.json\n");
        assert!(names, "{} names its schema", suite.name);
    }
}

/// What an editor can know of a mistake, it says; and it says nothing of what is right.
#[test]
fn schemas_know_mistakes() {
    let cases = validator(&eval::schema::cases());
    let check = |case: &str, right: bool| {
        let text = format!("version: 1\ncases:\n  - {{ id: a, prompt: What is 17 + 25?, {case} }}\n");
        assert_eq!(mistakes_of(&cases, &text).is_empty(), right, "{case}: {:?}", mistakes_of(&cases, &text));
    };
    check("grade: { number: 42 }", true);
    check("grade: { number: '1/3' }", true);
    check("grade: { number: { value: 42, tolerance: 0.5, weight: 2 } }", true);
    check("grade: { contains: { all: [a, b], none: [c] }, length: { max_words: 5 } }", true);
    check("grade: { json: { schema: { type: object } } }", true);
    check("grade: { number: 42 }, matrix: { a: [1, x, true, 0.5] }", true);
    check("grade: { nubmer: 42 }", false);
    check("grade: {}", false);
    check("grade: { number: 42 }, colour: blue", false);
    check("grade: { number: 42 }, sampling: { temprature: 1 }", false);
    check("grade: { number: 42 }, limits: { max_tokens: many }", false);
    check("grade: { number: [42] }", false);
    check("grade: { number: 42 }, examples: [{ user: a }]", false);
}

/// A golden with these responses.
fn golden(responses: &[String]) -> Golden {
    let mut golden = Golden::new("sums/small", "tiny");
    for (index, response) in responses.iter().enumerate() {
        let digests = Digests {
            case: "0123456789abcdef".to_owned(),
            prompt: "0123456789abcdef".to_owned(),
            template: "none".to_owned(),
            response: String::new(),
        };
        let answer = (!response.is_empty()).then(|| response.clone());
        let score = 1.0 / (index + 1) as f64;
        golden.entries.push(Entry::new(
            format!("c[n={index}]"),
            score,
            answer,
            "scripted r0 any".to_owned(),
            digests,
            response,
        ));
    }
    golden
}

/// Writes a golden, reads it back, lets insta accept it as it would a proposal, and reads that.
fn round_trip(golden: &Golden) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let new = folder.path().join("small@tiny.snap.new");
    golden.write(&new).expect("the folder is ours");
    let text = std::fs::read_to_string(&new).expect("it was just written");
    let read = |path: &Path| match Golden::load(path) {
        Ok(read) => Ok(read),
        Err(mistake) => Err(TestCaseError::fail(format!("{}\n{text}", rendered(&mistake)))),
    };
    let back = read(&new)?;
    prop_assert_eq!(back.as_ref(), Some(golden), "\n{}", text);
    let accepted = folder.path().join("small@tiny.snap");
    let snapshot = insta::Snapshot::from_file(&new).expect("insta reads it");
    snapshot.save(&accepted).expect("the folder is ours");
    let back = read(&accepted)?;
    prop_assert_eq!(back.as_ref(), Some(golden), "after insta\n{}", text);
    Ok(())
}

#[test]
fn insta_reads_goldens_as_its_own() {
    let responses =
        ["42", "", "Six times seven,\nthat is 42.", "```\ncode\n```\n", "---\nsource: evil\n---\n"];
    let golden = golden(&responses.map(str::to_owned));
    let folder = tempfile::tempdir().unwrap();
    golden.write(&folder.path().join("small@tiny.snap")).unwrap();
    let (_, body) = golden.text().split_once("\n---\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder.path());
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!("small@tiny", body));
    let files: Vec<_> = folder.path().read_dir().unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(files, ["small@tiny.snap"], "nothing to accept");
    round_trip(&golden).unwrap();
}

/// What models write, and what YAML and insta trip over.
fn response() -> impl Strategy<Value = String> {
    let odd = proptest::sample::select(vec![
        "\n",
        "\n\n",
        " ",
        "  ",
        "\t",
        "\r",
        "\r\n",
        "---",
        "\n---\n",
        "...",
        "\u{85}",
        "\u{2028}",
        "\u{2029}",
        "\u{a0}",
        "\u{3000}",
        "\u{feff}",
        "\u{fffe}",
        "\u{ffff}",
        "\0",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{9f}",
        "\u{200b}",
        "\u{202e}",
        "🙂",
        "👩‍👩‍👧",
        "é",
        "e\u{301}",
        "#",
        " # no remark",
        ": ",
        "- ",
        "? ",
        "\"",
        "\\",
        "'",
        "|",
        "|-",
        ">",
        "%YAML 1.2",
        "{{ a }}",
        "&a",
        "*a",
        "!",
        "~",
        "null",
        "42",
        "1e3",
        "true",
        "a",
        "word",
        "```",
        "$x^2$",
        "\\boxed{42}",
    ]);
    let piece = prop_oneof![
        4 => odd.prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "[a-z ]{0,12}",
    ];
    prop_oneof![
        9 => proptest::collection::vec(piece, 0..12).prop_map(|it| it.concat()),
        1 => any::<String>(),
        // Longer than a golden keeps.
        1 => (1_900..2_100_usize).prop_map(|it| "ä\n".repeat(it / 2)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_response_can_be_accepted(responses in proptest::collection::vec(response(), 1..4)) {
        round_trip(&golden(&responses))?;
    }
}
