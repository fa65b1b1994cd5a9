//! Cases: what is asked, read from `cases/<category>/<topic>.yaml`.

mod family;
mod filter;
mod read;
mod sampling;
mod variants;

use std::fmt::Write as _;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::backend::{Message, Role, Sampling};
use crate::dataset;
use crate::diagnostic::{Mistake, SourceFile};
use crate::grade::{Rubric, Text};
use crate::model::{Models, is_name};
use crate::weights::sha256_of_text;
use crate::yaml::{self, Malformed, Node, Span, Spanned};
pub use read::{load, load_selected, read, read_seeded};
use sampling::WrittenSampling;

/// The version of case files that is read.
pub const VERSION: i64 = 1;

/// Tokens that an answer may have unless its case says otherwise.
pub const MAX_TOKENS: u32 = 256;

/// A file of cases with one theme.
#[derive(Clone, Debug)]
pub struct Suite {
    /// `category/topic`: the file's path below the folder of cases, without its ending.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The theme in a line.
    pub description: String,
    /// The cases, in order.
    pub cases: Vec<Case>,
    /// Whether they are the documents of a data set, whose texts goldens do not repeat.
    pub dataset: bool,
    /// What lm-evaluation-harness calls the task, if the file is one of its own.
    pub task: Option<String>,
}

impl Suite {
    /// The folder: the first part of the name.
    pub fn category(&self) -> &str {
        self.name.split('/').next().unwrap_or(&self.name)
    }

    /// The file: the last part of the name.
    pub fn topic(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }
}

/// A question, the models it is for, and how answers are judged.
#[derive(Clone, Debug)]
pub struct Case {
    /// Unique in its suite.
    pub id: String,
    /// The line of the file on which it begins.
    pub line: usize,
    /// Where its id is written.
    pub place: Span,
    /// Which misunderstanding it catches.
    pub why: Option<String>,
    /// Whether it is a family: its variants are drawn.
    pub generated: bool,
    /// Why its prompt may hold its own target; `None` where it may not.
    pub target_in_prompt: Option<String>,
    /// Words to select cases by.
    pub tags: Vec<String>,
    /// Cases that stand or fall together have one cluster.
    pub cluster: Option<String>,
    /// The score that passes where no golden applies.
    pub threshold: f64,
    /// How tokens are chosen: one for each combination of the lists of `sampling`.
    pub drawn: Vec<Drawn>,
    /// Keeps how likely each token of the answer was, beside this many of the likeliest. It changes no answer.
    pub logprobs: Option<u32>,
    /// The most tokens of an answer.
    pub max_tokens: u32,
    /// Strings that end an answer.
    pub stop: Vec<String>,
    /// Positions in [`Models::models`] of the models that are asked; `None` for all.
    pub models: Option<Vec<usize>>,
    /// One for each combination of the matrix; one where there is no matrix.
    pub variants: Vec<Variant>,
}

/// One way in which a case's answers are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// How tokens are chosen; the seed is the first repeat's.
    pub sampling: Sampling,
    /// As it stands in a trial's name: `@t0.7`, and `@p0.9` and `@s3` where lists give several; empty if greedy.
    pub label: String,
    /// How often each variant is asked, each time with another seed.
    pub repeats: u32,
}

impl Drawn {
    /// One way, where no list gives several; nothing is drawn, and so nothing repeated, at temperature 0.
    pub fn new(sampling: Sampling, repeats: u32) -> Self {
        if sampling.is_greedy() {
            return Self { sampling, label: String::new(), repeats: 1 };
        }
        Self { label: format!("@t{}", sampling.temperature), sampling, repeats }
    }
}

/// A case with a value for each variable of its matrix, and for each that is drawn.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The values as they stand in the trial's name: `n=3,k=2`; the number of the draw; empty without either.
    pub label: String,
    /// The seed that it was drawn with.
    pub seed: Option<u64>,
    /// Messages that are worked examples; they follow the system's.
    pub examples: usize,
    /// What is asked, before the chat template.
    pub messages: Vec<Message>,
    /// How an answer is judged.
    pub rubric: Rubric,
    /// An answer that is right, for the lints to have judged: the case's own, else its grader's. No prompt holds it.
    pub reference: Option<String>,
}

impl Variant {
    /// The target that what is asked gives away, if it does; worked examples are not looked at.
    pub fn leak(&self) -> Option<String> {
        let system = usize::from(self.messages.first().is_some_and(|it| it.role == Role::System));
        let asked = self.messages.iter().enumerate();
        let asked = asked.filter(|(at, _)| !(system..system + self.examples).contains(at));
        let text = asked.map(|(_, it)| it.content.as_str()).collect::<Vec<_>>().join("\n");
        self.rubric.leak(&text)
    }

    /// SHA-256 of what is asked.
    pub fn prompt_digest(&self) -> String {
        let mut text = String::new();
        for Message { role, content } in &self.messages {
            let role = match role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
                Role::Text => "text",
            };
            // Lengths, so that no two conversations give one text. Writing to a String cannot fail.
            let _ = write!(text, "{role} {}\n{content}\n", content.len());
        }
        sha256_of_text(&text)
    }
}

impl Case {
    /// SHA-256 of how an answer is produced and judged, beside the prompt.
    pub fn digest(&self, variant: &Variant, drawn: &Drawn) -> String {
        let Sampling { temperature, top_k, top_p, min_p, seed, .. } = &drawn.sampling;
        let Sampling { repetition_penalty, frequency_penalty, presence_penalty, .. } = &drawn.sampling;
        let mut text = format!(
            "{}\nt {temperature} k {top_k:?} p {top_p:?} seed {seed} max {} stop {:?}",
            variant.rubric.canonical(),
            self.max_tokens,
            self.stop,
        );
        // What is off leaves no trace, so that goldens of cases without it stay fresh.
        for (name, value) in [
            ("min-p", min_p),
            ("repetition", repetition_penalty),
            ("frequency", frequency_penalty),
            ("presence", presence_penalty),
        ] {
            if let Some(value) = value {
                // Writing to a String cannot fail.
                let _ = write!(text, " {name} {value}");
            }
        }
        // Another seed's case is another case, also where it comes out alike.
        if let Some(seed) = variant.seed {
            let _ = write!(text, " drawn with {seed}");
        }
        sha256_of_text(&text)
    }
}

/// Suites, and the mistakes that were found beside them.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The suites, by name; wrong cases are left out.
    pub suites: Vec<Suite>,
    /// What is wrong, in the order of the files.
    pub wrong: Vec<WrongCase>,
    /// Names of suites that are there, but not asked.
    pub unasked: Vec<String>,
    /// Names of suites whose data are not there, with what to do.
    pub missing: Vec<(String, String)>,
}

/// A case, or a whole file, that cannot be used.
#[derive(Clone, Debug)]
pub struct WrongCase {
    /// `category/topic/case`, or `category/topic` where the file itself is wrong.
    pub name: String,
    /// What is wrong.
    pub mistake: Mistake,
}

/// A case file as it is written, for its JSON Schema.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A suite of cases")]
#[expect(dead_code, reason = "the file is read case by case; this describes it as a whole")]
pub(crate) struct WrittenSuite {
    /// The version of this format: 1.
    version: i64,
    /// The theme in a line.
    description: Option<String>,
    /// The seed of generated cases; 0 unless given.
    seed: Option<u64>,
    /// false: the suite is asked only of those who name it, as by `PROOFMARK_SUITES`.
    default: Option<bool>,
    /// What holds for every case that does not say otherwise.
    defaults: Option<Defaults>,
    /// The cases.
    #[serde(default)]
    cases: Vec<WrittenCase>,
    /// Instead of cases: the data set whose documents they are.
    dataset: Option<Elsewhere<dataset::Written>>,
}

/// What holds for every case of the file that does not say otherwise.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Defaults {
    /// The system message.
    system: Option<Spanned<String>>,
    /// Worked examples: turns before every prompt.
    #[serde(default)]
    examples: Vec<Example>,
    /// How long an answer may be.
    #[serde(default)]
    limits: Limits,
    /// How tokens are chosen.
    #[serde(default)]
    sampling: WrittenSampling,
    /// Words to select cases by, added to each case's own.
    #[serde(default)]
    tags: Vec<String>,
    /// The models that are asked: names, or `tag:NAME`.
    models: Option<Vec<Spanned<String>>>,
    /// The score that passes where no golden applies.
    threshold: Option<Spanned<f64>>,
    /// What `cargo xtask lint` does not object to.
    lint: Option<Lint>,
}

/// A question and how answers are judged.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenCase {
    /// Lower-case letters, digits, `-`, `_` and `.`; unique in its file.
    id: Spanned<String>,
    /// What is asked, as one user turn.
    prompt: Option<Spanned<String>>,
    /// What is asked, as turns, the last of them the user's.
    messages: Option<Vec<WrittenMessage>>,
    /// How an answer is judged.
    #[expect(dead_code, reason = "read from its node, with the matrix's values in it")]
    grade: Option<Elsewhere<crate::grade::written::Rubric>>,
    /// Named lists of values; each combination is a variant of the case.
    #[expect(dead_code, reason = "read from its node, in the order written")]
    matrix: Option<Elsewhere<std::collections::BTreeMap<String, Vec<serde_json::Value>>>>,
    /// Variables that are drawn and computed; each draw is a variant of the case.
    #[expect(dead_code, reason = "read from its node, in the order written")]
    generate: Option<Elsewhere<family::WrittenGenerate>>,
    /// The score, from 0 to 1, that passes where no golden applies; 1 unless given.
    threshold: Option<Spanned<f64>>,
    /// The system message.
    system: Option<Spanned<String>>,
    /// Worked examples: turns before the prompt.
    examples: Option<Vec<Example>>,
    /// How long an answer may be.
    #[serde(default)]
    limits: Limits,
    /// How tokens are chosen.
    #[serde(default)]
    sampling: WrittenSampling,
    /// The models that are asked: names, or `tag:NAME`.
    models: Option<Vec<Spanned<String>>>,
    /// Words to select cases by.
    #[serde(default)]
    tags: Vec<String>,
    /// Cases that stand or fall together; the case's id unless given.
    cluster: Option<String>,
    /// Which misunderstanding the case catches.
    why: Option<String>,
    /// An answer that is right: `cargo xtask lint` has the case's own graders judge it. No model sees it.
    reference: Option<Spanned<Text>>,
    /// What `cargo xtask lint` does not object to.
    lint: Option<Lint>,
}

/// What `cargo xtask lint` does not object to.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Lint {
    /// Why the prompt holds its own target, and is no gift all the same.
    target_in_prompt: Option<String>,
}

/// A worked example.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Example {
    /// A question.
    user: Spanned<String>,
    /// Its answer.
    assistant: Spanned<String>,
}

/// One turn.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenMessage {
    /// Who speaks.
    role: Role,
    /// What is said.
    content: Spanned<String>,
}

/// How long an answer may be.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limits {
    /// The most tokens; 256 unless given.
    max_tokens: Option<Spanned<u32>>,
    /// Strings that end the answer, which is cut before them.
    stop: Option<Vec<Spanned<String>>>,
}

/// A field that is read by itself, from its node.
struct Elsewhere<T>(std::marker::PhantomData<T>);

impl<'de, T> Deserialize<'de> for Elsewhere<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(std::marker::PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Elsewhere<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

fn mistake(message: impl Into<String>, span: Span) -> Malformed {
    Malformed { message: message.into(), span: Some(span), help: None }
}

/// Where a case stands, and what its draws begin with.
struct Origin<'a> {
    suite: &'a str,
    file: &'a SourceFile,
    seed: u64,
}

fn read_case(
    entry: &Node,
    line: usize,
    origin: &Origin<'_>,
    defaults: &Defaults,
    models: &Models,
    mistakes: &mut Vec<Malformed>,
) -> Option<Case> {
    let written: WrittenCase = match yaml::read(entry) {
        Ok(written) => written,
        Err(malformed) => {
            mistakes.push(malformed);
            return None;
        }
    };
    let before = mistakes.len();
    let id = &written.id;
    if !is_name(&id.value) || id.value.contains(|it: char| it.is_ascii_uppercase()) {
        let message = format!("`{}` is no id: lower-case letters, digits, `-`, `_` and `.`", id.value);
        mistakes.push(mistake(message, id.span));
    }
    let threshold = written.threshold.or(defaults.threshold);
    if let Some(threshold) = threshold
        && !(0.0..=1.0).contains(&threshold.value)
    {
        mistakes.push(mistake("a threshold lies between 0 and 1", threshold.span));
    }
    let (drawn, logprobs) = sampling::check(&written.sampling, &defaults.sampling, mistakes);
    let max_tokens = written.limits.max_tokens.or(defaults.limits.max_tokens);
    if let Some(max_tokens) = max_tokens
        && max_tokens.value == 0
    {
        mistakes.push(mistake("an answer of no token cannot be judged", max_tokens.span));
    }
    let stop = written.limits.stop.as_ref().or(defaults.limits.stop.as_ref());
    for stop in stop.into_iter().flatten() {
        if stop.value.is_empty() {
            mistakes.push(mistake("an empty stop string ends every answer at once", stop.span));
        }
    }
    let known = models;
    let models = written
        .models
        .as_ref()
        .or(defaults.models.as_ref())
        .map(|words| filter::check(words, models, entry.place(), mistakes));
    let allowed = written.lint.as_ref().or(defaults.lint.as_ref());
    let target_in_prompt = allowed.and_then(|it| it.target_in_prompt.clone());
    let variants = variants::expand(entry, &written, defaults, origin, mistakes);
    check_asked(&variants, known, entry, mistakes);
    if let Some(reference) = &written.reference
        && variants.iter().any(|it| !it.rubric.reads_answer())
    {
        mistakes.push(mistake("no answer is asked for, so none can be the reference", reference.span));
    }
    if mistakes.len() > before {
        return None;
    }
    let tags = defaults.tags.iter().chain(&written.tags).cloned().collect();
    Some(Case {
        line,
        place: written.id.span,
        why: written.why,
        generated: entry.field("generate").is_some(),
        target_in_prompt,
        tags,
        cluster: written.cluster,
        threshold: threshold.map_or(1.0, |it| it.value),
        drawn,
        logprobs,
        max_tokens: max_tokens.map_or(MAX_TOKENS, |it| it.value),
        stop: stop.map(|it| it.iter().map(|it| it.value.clone()).collect()).unwrap_or_default(),
        models,
        variants,
        id: written.id.value,
    })
}

/// Models that graders ask must be known; a case that only reads its prompt has just that.
fn check_asked(variants: &[Variant], models: &Models, entry: &Node, mistakes: &mut Vec<Malformed>) {
    let place = entry.field("grade").map_or(entry.place(), Node::place);
    let mut names: Vec<String> = variants.iter().flat_map(|it| it.rubric.models()).collect();
    names.sort();
    names.dedup();
    for name in names.iter().filter(|name| !models.models.iter().any(|it| it.name == **name)) {
        let help = Some(format!("{} defines the models", models.path.display()));
        mistakes.push(Malformed { help, ..mistake(models.unknown(name), place) });
    }
    if variants.iter().any(|it| it.rubric.reads_prompt() && it.messages.len() > 1) {
        let message =
            "`perplexity` without `text` reads the prompt alone: no system message, no examples, one turn";
        mistakes.push(mistake(message, place));
    }
}
