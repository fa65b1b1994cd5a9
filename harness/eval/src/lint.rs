//! Lints: what cases must be beyond being read, so that their scores mean something.

mod references;

use std::collections::HashMap;
use std::path::Path;

pub use self::references::{Looked, References, look, references};
use crate::case::{Case, Loaded, Suite, Variant, WrongCase};
use crate::diagnostic::{Mistake, SourceFile};
use crate::yaml::Malformed;

/// Tags of which each case has one.
pub const DIFFICULTIES: [&str; 3] = ["easy", "medium", "hard"];

/// Cases written by hand that a topic should have.
const HAND_WRITTEN: usize = 15;

/// Families that a topic should have.
const FAMILIES: usize = 3;

/// What the lints find.
#[derive(Debug, Default)]
pub struct Lints {
    /// What must be changed, each with its place.
    pub wrong: Vec<WrongCase>,
    /// What is good to know.
    pub notes: Vec<String>,
}

/// Looks at every case that was read.
///
/// Wrong are:
/// - what could not be read, ill-posed draws among it;
/// - a prompt that holds its own target, in the sense of each grader, unless the case says why it may: worked examples
///   are not looked at, nor are the seeds' chances, as a draw that does so is drawn again;
/// - two variants, of whatever cases, that ask the same;
/// - a case without `why`, and one without exactly one of [`DIFFICULTIES`] among its tags;
/// - a case whose answer is run, but that has no reference: nobody sees whether any answer passes. Whether references do,
///   [`references()`] finds out.
///
/// Of a suite with a `dataset`, only what cannot be read is wrong: its questions are published as they are.
///
/// A note is a topic with fewer than 15 cases written by hand, or fewer than 3 families.
pub fn lint(loaded: &Loaded) -> Lints {
    let mut lints = Lints { wrong: loaded.wrong.clone(), notes: Vec::new() };
    let mut asked: HashMap<String, String> = HashMap::new();
    // What was published is as it is.
    for suite in loaded.suites.iter().filter(|it| !it.dataset) {
        let mut found = Vec::new();
        for case in &suite.cases {
            described(case, &mut found);
            for variant in &case.variants {
                let name = shown(suite, case, variant);
                if case.target_in_prompt.is_none()
                    && let Some(target) = variant.leak()
                {
                    let help = "ask so that the answer does not stand there, or say why it is no gift: \
                                `lint: { target_in_prompt: … }`";
                    let message =
                        format!("the prompt of `{name}` holds its own target `{}`", shortened(&target));
                    found.push((case, message, Some(help)));
                }
                if let Some(other) = asked.insert(variant.prompt_digest(), name.clone()) {
                    found.push((case, format!("`{name}` asks the same as `{other}`"), None));
                }
            }
        }
        told(suite, &found, &mut lints.wrong);
        lints.notes.extend(counted(suite));
    }
    lints
}

/// A case, what is wrong with it, and what to do.
type Found<'a> = (&'a Case, String, Option<&'static str>);

/// Whether a case says what it is for and how hard it is.
fn described<'a>(case: &'a Case, found: &mut Vec<Found<'a>>) {
    if case.why.as_deref().is_none_or(|it| it.trim().is_empty()) {
        let help = "say in a line which misunderstanding it catches";
        found.push((case, format!("`{}` has no `why`", case.id), Some(help)));
    }
    let grades = case.tags.iter().filter(|it| DIFFICULTIES.contains(&it.as_str())).count();
    if grades != 1 {
        let help = "tag it with one of `easy`, `medium` and `hard`";
        found.push((case, format!("`{}` has {grades} tags for its difficulty", case.id), Some(help)));
    }
    if case.variants.iter().any(|it| it.rubric.runs_answer() && it.reference.is_none()) {
        let help = "give a `reference`: an answer that is right, for the case's own graders to judge";
        found.push((case, format!("`{}` has no reference, and its answers are run", case.id), Some(help)));
    }
}

/// A variant's name: a trial's without the model.
fn shown(suite: &Suite, case: &Case, variant: &Variant) -> String {
    let label = if variant.label.is_empty() { String::new() } else { format!("[{}]", variant.label) };
    format!("{}/{}{label}", suite.name, case.id)
}

fn told(suite: &Suite, found: &[Found<'_>], wrong: &mut Vec<WrongCase>) {
    if found.is_empty() {
        return;
    }
    let file = SourceFile::load(Path::new(&suite.path));
    for (case, message, help) in found {
        let help = help.map(str::to_owned);
        let mistake = match &file {
            Ok(file) => file.mistake(Malformed { message: message.clone(), span: Some(case.place), help }),
            // It was read a moment ago; without it the place is lost, and nothing else.
            Err(_) => Mistake::of_file(suite.path.display().to_string(), message.clone(), help),
        };
        wrong.push(WrongCase { name: format!("{}/{}", suite.name, case.id), mistake });
    }
}

fn counted(suite: &Suite) -> Option<String> {
    let families = suite.cases.iter().filter(|it| it.generated).count();
    let written = suite.cases.len() - families;
    let few = (written < HAND_WRITTEN).then(|| format!("{written} of {HAND_WRITTEN} cases written by hand"));
    let rare = (families < FAMILIES).then(|| format!("{families} of {FAMILIES} families"));
    let lacks: Vec<String> = few.into_iter().chain(rare).collect();
    (!lacks.is_empty()).then(|| format!("{}: {}", suite.name, lacks.join(", ")))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}
