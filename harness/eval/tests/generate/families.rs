//! Families in suites: what is drawn, and what is told of those that cannot be.

use std::path::Path;

use eval::case::{self, Suite};
use eval::diagnostic::SourceFile;
use eval::model::Models;
use rstest::rstest;

fn models() -> Models {
    let text = "version: 1\ndefaults: { family: none, class: small, sources: [] }\nmodels: { tiny: {} }\n";
    Models::read(Path::new("models.yaml"), &SourceFile::new("models.yaml", text))
        .expect("there is no mistake")
}

fn read(cases: &str, seed: Option<u64>) -> (Option<Suite>, Vec<case::WrongCase>) {
    let text = format!("version: 1\ndescription: A test\ncases:\n{cases}");
    let file = SourceFile::new("suite.yaml", text);
    case::read_seeded("maths/sums", Path::new("suite.yaml"), &file, &models(), seed)
}

fn suite(cases: &str, seed: Option<u64>) -> Suite {
    let (suite, wrong) = read(cases, seed);
    assert!(wrong.is_empty(), "{wrong:?}");
    suite.expect("it has a case")
}

/// The prompts of all variants, by their labels.
fn prompts(suite: &Suite) -> Vec<(String, String)> {
    let variants = suite.cases.iter().flat_map(|case| case.variants.iter().map(move |it| (case, it)));
    variants
        .map(|(case, it)| (format!("{}[{}]", case.id, it.label), it.messages[0].content.clone()))
        .collect()
}

const SUMS: &str = "
  - id: sums
    generate:
      let:
        a: int(10, 99)
        b: int(10, 99)
        answer: a + b
      where: [a < b]
    prompt: What is {{ a }} + {{ b }}?
    grade: { number: \"{{ answer }}\" }
";

/// These draws are those of every machine, and of every version: a change of one is a change of cases.
#[test]
fn draws_stay_what_they_are() {
    let suite = suite(SUMS, None);
    let drawn: Vec<String> =
        prompts(&suite).into_iter().map(|(name, prompt)| format!("{name} {prompt}")).collect();
    assert_eq!(drawn, DRAWN);
    let wanted: Vec<String> = suite.cases[0].variants.iter().map(|it| it.rubric.wanted()).collect();
    assert_eq!(wanted, WANTED);
}

/// As a few lines of Python draw them, by docs/generate.md.
const DRAWN: [&str; 3] = ["sums[1] What is 33 + 70?", "sums[2] What is 75 + 96?", "sums[3] What is 47 + 63?"];
const WANTED: [&str; 3] = ["the number 103", "the number 171", "the number 110"];

#[test]
fn other_cases_and_variables_change_no_draw() {
    let before = prompts(&suite(SUMS, None));
    let other = SUMS.replace("sums", "others");
    assert_eq!(prompts(&suite(&format!("{other}{SUMS}"), None))[3..], before[..]);
    // A variable before those that are there.
    let more = SUMS
        .replace("        a: int", "        c: int(1, 9)\n        a: int")
        .replace("a + b\n", "a + b + 0 * c\n");
    assert_eq!(prompts(&suite(&more, None)), before);
    let fewer = SUMS.replace("      let:", "      draws: 2\n      let:");
    assert_eq!(prompts(&suite(&fewer, None))[..], before[..2]);
}

#[test]
fn another_seed_gives_other_cases_and_other_digests() {
    let (zero, one) = (suite(SUMS, None), suite(SUMS, Some(1)));
    assert_eq!(prompts(&zero), prompts(&suite(SUMS, Some(0))));
    assert_ne!(prompts(&zero), prompts(&one));
    // Also where two seeds draw the same case.
    let same =
        SUMS.replace("int(10, 99)", "choice([12, 57])").replace("      let:", "      draws: 1\n      let:");
    let (zero, one) = (suite(&same, None), suite(&same, Some(1)));
    assert_eq!(prompts(&zero), prompts(&one));
    let digest = |it: &Suite| it.cases[0].digest(&it.cases[0].variants[0], &it.cases[0].drawn[0]);
    assert_ne!(digest(&zero), digest(&one));
}

#[test]
fn a_matrix_has_draws_for_each_combination() {
    let cases = "
  - id: sums
    matrix: { n: [2, 3] }
    generate:
      draws: 2
      let:
        xs: ints(n, 10, 99)
    prompt: Add up {{ xs | join(', ') }}, {{ n }} numbers.
    grade: { number: \"{{ xs | sum }}\" }
";
    let names: Vec<String> = prompts(&suite(cases, None)).into_iter().map(|it| it.0).collect();
    assert_eq!(names, ["sums[n=2,1]", "sums[n=2,2]", "sums[n=3,1]", "sums[n=3,2]"]);
}

/// Lists stand for lists, fractions for fractions, and filters write them.
#[test]
fn values_reach_templates() {
    let cases = "
  - id: written
    generate:
      draws: 1
      let:
        third: 1 / 3
        names: '[\"Ada\", \"Ben\"]'
        others: '[\"Cleo\"]'
        m: '[[1, 1 / 2], [3, 4]]'
        large: 10 ** 30
    prompt: |-
      {{ third }} {{ third | decimal(2) }} {{ third | percent(1) }} {{ m }} {{ names | series }} {{ names[0] }} {{ large }} {{ 1234 | thousands }}
      {{ m | rows }} {{ 2 | ordinal }} {{ 1 | counted('node') }} {{ 2 | counted('entry', 'entries') }}
    grade:
      contains: { all: \"{{ names }}\", none: \"{{ others }}\" }
      number: \"{{ third }}\"
    lint: { target_in_prompt: a test }
";
    let suite = suite(cases, None);
    let variant = &suite.cases[0].variants[0];
    assert_eq!(
        variant.messages[0].content,
        "1/3 0.33 33.3% [[1, 1/2], [3, 4]] Ada and Ben Ada 1000000000000000000000000000000 1,234\n1 1/2\n3 4 2nd 1 node 2 entries"
    );
    assert_eq!(variant.rubric.wanted(), "text with `ada` and `ben`, without `cleo`; the number 1/3");
}

/// A draw whose prompt holds its own target is drawn again.
#[test]
fn no_draw_gives_its_target_away() {
    let cases = "
  - id: products
    generate:
      draws: 30
      let:
        a: int(1, 12)
        b: int(1, 12)
    prompt: What is {{ a }} * {{ b }}?
    grade: { number: \"{{ a * b }}\" }
";
    for (name, prompt) in prompts(&suite(cases, None)) {
        let numbers: Vec<u32> =
            prompt.split(|it: char| !it.is_ascii_digit()).filter_map(|it| it.parse().ok()).collect();
        let target = numbers[0] * numbers[1];
        assert!(target < 10 || !numbers.contains(&target), "{name}: {prompt}");
    }
}

fn broken(line: &str, by: &str) -> String {
    assert!(SUMS.contains(line), "{line}");
    SUMS.replace(line, by)
}

#[rstest]
#[case("a + b\n", "a + bb\n", "nothing is called `bb`: did you mean `b`?", "bb")]
#[case("a + b\n", "a +\n", "expected a value, and the expression ends", "+")]
#[case("a + b\n", "\"a + (b\"\n", "expected `)`, and the expression ends", "b")]
#[case("a + b\n", "'a / (b - b)'\n", "division by zero", "a / (b - b)")]
#[case("a + b\n", ">-\n          a +\n          foo(b)\n", "there is no function `foo`", "foo")]
#[case("int(10, 99)", "int(10, zz)", "nothing is called `zz`", "zz")]
#[case("[a < b]", "[a < b, b < a]", "this condition fails in", "")]
#[case("[a < b]", "[a < c]", "nothing is called `c`", "c")]
#[case(
    "[a < b]",
    "[\"gcd(a, b) == 0\"]",
    "this condition fails in 1000 of 1000 attempts at draw 1, and no attempt meets all",
    "gcd(a, b) == 0"
)]
#[case("[a < b]", "a", "expected a truth value, found a whole number", "a")]
#[case("      where", "      were", "unknown key `were`: did you mean `where`?", "were")]
#[case("        answer: a", "        2nd: a", "`2nd` is no name of a variable", "2nd")]
#[case("a + b\n", "a + b\n        c: 1\n", "the variable `c` is never used", "c")]
#[case("{{ b }}?", "{{ d }}?", "the case defines no variable `d`", "")]
#[case("      let:", "      draws: 0\n      let:", "`draws` lies between 1 and 1000", "0")]
#[case("int(10, 99)", "12", "this condition fails", "")]
#[case(
    "{{ a }} + {{ b }}?",
    "{{ a }} + {{ b }}, that is {{ answer }}?",
    "the prompt holds its own target in",
    ""
)]
fn what_cannot_be_drawn_is_told(
    #[case] line: &str,
    #[case] by: &str,
    #[case] message: &str,
    #[case] underlined: &str,
) {
    let (suite, wrong) = read(&broken(line, by), None);
    if message.is_empty() {
        assert!(wrong.is_empty(), "{wrong:?}");
        return;
    }
    assert!(suite.is_none(), "it cannot be used");
    let first = &wrong[0].mistake;
    assert!(first.message.starts_with(message) || message.is_empty(), "{}", first.message);
    if !underlined.is_empty() {
        let file = first.at.expect("it has a place");
        let code = miette::Diagnostic::source_code(first).expect("it shows the file");
        let found = code.read_span(&file, 0, 0).unwrap();
        let text = String::from_utf8_lossy(found.data());
        assert_eq!(text, underlined);
        drop(found);
    }
}

/// A family that has fewer cases than it should draw.
#[test]
fn repeats_are_told() {
    let few = SUMS.replace("int(10, 99)", "choice([12, 57])");
    let (_, wrong) = read(&few, None);
    assert_eq!(
        wrong[0].mistake.message,
        "there are fewer than 2 different cases: attempts at draw 2 repeat those before it"
    );
}
