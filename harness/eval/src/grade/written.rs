//! Graders as they are written, before they are checked: what the JSON Schema of `grade:` is made from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::form::{Cell, Count, Figure, Form, Given, Mapping, Options, Text};
use crate::yaml::Spanned;

/// How the answer is judged: the mean of its graders' scores by weight.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a mapping of graders")]
#[schemars(rename = "Grade", extend("minProperties" = 1))]
pub struct Rubric {
    /// The answer is the text, or one of several.
    pub exact: Given<Form<Text, Exact>>,
    /// The answer contains the text, or meets several demands; the score is the share that is met.
    pub contains: Given<Form<Text, Contains>>,
    /// The pattern is found in the answer.
    pub regex: Given<Form<Text, Regex>>,
    /// The answer's final number is the value.
    pub number: Given<Form<Figure, Number>>,
    /// The answer settles on the letter.
    pub choice: Given<Form<Text, Choice>>,
    /// The answer holds one JSON value that satisfies a schema.
    pub json: Given<Mapping<Json>>,
    /// The answer keeps all the limits.
    pub length: Given<Mapping<Length>>,
    /// The answer is the expression, however it is written.
    pub math: Given<Form<Text, Math>>,
    /// The answer is SQL that gives the rows, makes the changes or defines the tables that are wanted.
    pub sql: Given<Mapping<Sql>>,
    /// The known steps are in the answer, in order, before the final answer.
    pub steps: Given<Mapping<Steps>>,
    /// The answer does not repeat itself, break off or change its language.
    pub coherence: Given<Mapping<Coherence>>,
    /// The model finds a text likely; no answer is asked for.
    pub perplexity: Given<Mapping<Perplexity>>,
    /// Another model holds the answer to be good.
    pub judge: Given<Mapping<Judge>>,
    /// The answer's code does what it should.
    pub code: Given<Mapping<Code>>,
}

/// The answer is one of several texts; white space at the ends is removed and runs of it are folded.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "ExactGrader")]
pub struct Exact {
    /// The texts, one of which the answer must be.
    #[schemars(length(min = 1))]
    pub any: Spanned<Vec<Spanned<Text>>>,
    /// Whether upper and lower case are the same.
    #[serde(default)]
    pub ignore_case: bool,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

/// The answer contains one of `any`, each of `all` and nothing of `none`; the score is the share of these demands
/// that is met.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "ContainsGrader")]
pub struct Contains {
    /// Texts, one of which must be there.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub any: Given<Vec<Spanned<Text>>>,
    /// Texts that must all be there.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub all: Given<Vec<Spanned<Text>>>,
    /// Texts that must not be there.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub none: Given<Vec<Spanned<Text>>>,
    /// Whether upper and lower case are the same.
    #[serde(default = "yes")]
    pub ignore_case: bool,
    /// Whether a text counts only where no letter, digit or underscore touches it.
    #[serde(default)]
    pub words: bool,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

fn yes() -> bool {
    true
}

/// The pattern is found in the answer; with `equals`, the last match's group is that text.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "RegexGrader")]
pub struct Regex {
    /// The pattern, in the syntax of the Rust crate `regex`.
    pub pattern: Spanned<Text>,
    /// The group that is the answer, 0 being the whole match; 1 unless given, or 0 where the pattern has no groups.
    #[serde(default)]
    pub group: Given<Count>,
    /// What the group must be, white space at the ends removed.
    #[serde(default)]
    pub equals: Given<Text>,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

/// The answer's final number is the value, within a tolerance if one is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "NumberGrader")]
pub struct Number {
    /// The value: a number, or text such as `"1/3"`, `"2.5e-3"` or `"75%"`.
    pub value: Spanned<Figure>,
    /// How far from the value the answer may be, the bound included.
    #[serde(default)]
    pub tolerance: Given<Figure>,
    /// How far from the value the answer may be, as a share of the value, the bound included.
    #[serde(default)]
    pub relative: Given<Figure>,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

/// The answer settles on a letter; by likelihood, the option of that letter is the likeliest continuation.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "ChoiceGrader")]
pub struct Choice {
    /// The letter of the right option.
    pub answer: Spanned<Text>,
    /// The options: a mapping from letters to texts.
    #[serde(default)]
    pub options: Given<Options>,
    /// What the choice is read from; `letter` unless given.
    #[serde(default)]
    pub by: Given<By>,
    /// What an option's log-probability is divided by; `none` unless given. Only by likelihood.
    #[serde(default)]
    pub normalise: Given<Normalise>,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

/// What a choice is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The letter that the answer settles on.
    Letter,
    /// The likeliest of the options' texts.
    Likelihood,
}

/// What an option's log-probability is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Normalise {
    /// Nothing: short options have the advantage.
    None,
    /// The number of the option's tokens.
    Token,
    /// The number of characters of the option's text, as lm-evaluation-harness's `acc_norm` does.
    Character,
    /// The number of bytes of the option's text, as its `acc_bytes` does.
    Byte,
}

/// The answer holds one JSON value, in a code fence or bare, that satisfies the schema.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "JsonGrader")]
pub struct Json {
    /// A JSON Schema, draft 2020-12 unless it names another; references stay inside it.
    pub schema: Spanned<serde_json::Value>,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

/// The answer keeps all the limits, white space at its ends not counted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of limits")]
#[schemars(rename = "LengthGrader", extend("minProperties" = 1))]
pub struct Length {
    /// The fewest words: runs of anything but white space.
    #[serde(default)]
    pub min_words: Given<Count>,
    /// The most words.
    #[serde(default)]
    pub max_words: Given<Count>,
    /// The fewest characters (Unicode scalar values).
    #[serde(default)]
    pub min_chars: Given<Count>,
    /// The most characters.
    #[serde(default)]
    pub max_chars: Given<Count>,
    /// The most lines, blank ones between others included.
    #[serde(default)]
    pub max_lines: Given<Count>,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

/// The answer is the expression, however it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "MathGrader")]
pub struct Math {
    /// The value, in LaTeX or plain: an expression, equation, interval, set, tuple, list or matrix.
    pub value: Spanned<Text>,
    /// Whether the answer must be in its simplest form too.
    #[serde(default)]
    pub simplified: bool,
    /// Whether the order of a list counts; that of a tuple always does.
    #[serde(default)]
    pub ordered: bool,
    /// Whether the unit must be there.
    #[serde(default)]
    pub unit: bool,
    /// Variables, and what they stand for; those of the value stand for real numbers unless given.
    #[serde(default)]
    pub variables: Given<BTreeMap<String, Domain>>,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

/// What a variable stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// Any real number.
    Real,
    /// A real number above 0.
    Positive,
    /// A whole number above 0.
    Whole,
}

/// The answer is SQL that gives the rows, makes the changes or defines the tables that are wanted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "SqlGrader")]
pub struct Sql {
    /// Statements that make the tables and their rows, in SQLite's dialect; run before the answer.
    #[serde(default)]
    pub schema: Given<Text>,
    /// The rows that are wanted: lists of values.
    #[serde(default)]
    pub rows: Given<Vec<Vec<Cell>>>,
    /// A reference: its result is what is wanted. With `after`, statements that make the change.
    #[serde(default)]
    pub query: Given<Text>,
    /// The answer changes rows: this query is asked after it.
    #[serde(default)]
    pub after: Given<Text>,
    /// What the columns must be called; not compared unless given.
    #[serde(default)]
    pub names: Given<Vec<Spanned<Text>>>,
    /// Whether the order of the rows counts.
    #[serde(default)]
    pub ordered: bool,
    /// The answer defines tables.
    #[serde(default)]
    pub creates: Given<Mapping<Creates>>,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

/// The answer's code, run in the sandbox, does what it should: give `calls`, `tests`, `prints` or `mutants`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "CodeGrader")]
pub struct Code {
    /// What the code is written in.
    pub language: Spanned<Language>,
    /// Calls and what they should come to, such as `add(2, 3) == 5` or `parse("x") raises ValueError`. Python.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub calls: Given<Vec<Spanned<Text>>>,
    /// How far a float that a call returns may be off, absolute or relative to the one that is wanted; 0 unless given.
    #[serde(default)]
    pub tolerance: Given<Figure>,
    /// The function that `tests` or `mutants` are about; several with commas between.
    #[serde(default)]
    pub entry: Given<Text>,
    /// Tests as code: `assert …`, functions `test…()`, or `check(candidate)`. Python.
    #[serde(default)]
    pub tests: Given<Text>,
    /// Definitions that `tests` may use.
    #[serde(default)]
    pub given: Given<Text>,
    /// A solution that `tests` may compare the CPU time with, by `slowdown(…)`.
    #[serde(default)]
    pub reference: Given<Text>,
    /// Runs of the program and what they should print.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub prints: Given<Vec<Printed>>,
    /// The answer is tests, which a right implementation passes and wrong ones do not. Python.
    #[serde(default)]
    pub mutants: Given<Mutants>,
    /// Code that is put before the answer's.
    #[serde(default)]
    pub before: Given<Text>,
    /// Code that is put behind the answer's.
    #[serde(default)]
    pub after: Given<Text>,
    /// How the code is taken from the answer; `block` unless given.
    #[serde(default)]
    pub extract: Given<Extract>,
    /// What the program may use.
    #[serde(default)]
    pub limits: Given<CodeLimits>,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

/// What the tables that an answer defines accept and reject.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "SqlDefinitions")]
pub struct Creates {
    /// Statements that must run after the answer, in order.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub accepts: Given<Vec<Spanned<Text>>>,
    /// Statements each of which a constraint must refuse, after those that are accepted.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub rejects: Given<Vec<Spanned<Text>>>,
    /// Definitions that do as they should: a case whose own do not is a mistake.
    #[serde(default)]
    pub reference: Given<Text>,
}

/// The known steps are in the answer, in order, before the final answer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "StepsGrader")]
pub struct Steps {
    /// The intermediate results, in order: numbers or texts.
    #[schemars(length(min = 1))]
    pub of: Spanned<Vec<Spanned<Text>>>,
    /// The final answer, a number or text; without it, the steps may stand anywhere.
    #[serde(default)]
    pub answer: Given<Text>,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

/// The answer does not repeat itself, break off or change its language.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "CoherenceGrader")]
pub struct Coherence {
    /// The language of the answer, as a code such as `en`, which it is unless given.
    #[serde(default)]
    pub language: Given<Text>,
    /// A model that must find the answer likely, too.
    #[serde(default)]
    pub perplexity: Given<Mapping<Reference>>,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

/// A model that must find the answer likely.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "CoherenceReference")]
pub struct Reference {
    /// Its name in `models.yaml`.
    pub model: Spanned<Text>,
    /// The perplexity of a token from which on the score falls.
    pub at_most: Spanned<Figure>,
}

/// The model finds a text likely; no answer is asked for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of limits")]
#[schemars(rename = "PerplexityGrader", extend("minProperties" = 1))]
pub struct Perplexity {
    /// The text, after the prompt; the prompt itself unless given.
    #[serde(default)]
    pub text: Given<Text>,
    /// The highest perplexity.
    #[serde(default)]
    pub at_most: Given<Figure>,
    /// Of what `at_most` is the perplexity; `word` unless given.
    #[serde(default)]
    pub per: Given<Per>,
    /// The most bits per byte.
    #[serde(default)]
    pub bits_per_byte: Given<Figure>,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

/// What a perplexity is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// What white space parts.
    Word,
    /// Bytes of UTF-8.
    Byte,
    /// The model's own tokens.
    Token,
}

/// Another model holds the answer to be good.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of settings")]
#[schemars(rename = "JudgeGrader")]
pub struct Judge {
    /// The judge's name in `models.yaml`.
    pub model: Spanned<Text>,
    /// What is good, in words.
    pub rubric: Spanned<Text>,
    /// What the answer answers, for the judge to read.
    #[serde(default)]
    pub question: Given<Text>,
    /// The lowest and the highest verdict; `[1, 5]` unless given.
    #[serde(default)]
    #[schemars(length(equal = 2))]
    pub scale: Given<Vec<i64>>,
    /// An answer to compare with, instead of a scale.
    #[serde(default)]
    pub reference: Given<Text>,
    /// How often the judge votes; 1 unless given.
    #[serde(default)]
    pub votes: Given<Count>,
    /// How a verdict is found: `text` unless given.
    #[serde(default)]
    pub by: Given<JudgedBy>,
    /// Answers with the verdicts that people gave, by which the judge is measured.
    #[schemars(length(min = 2))]
    pub labelled: Spanned<Vec<Labelled>>,
    /// How much this grader counts among the others; 1 unless given.
    #[serde(default)]
    pub weight: Given<Figure>,
}

/// How the verdict of a judge is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JudgedBy {
    /// Read from the last line of what the judge writes.
    Text,
    /// The likeliest reply: for judges that are too small to keep to a form.
    Likelihood,
}

/// An answer with the verdict that a person gave.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an answer and its label")]
#[schemars(rename = "LabelledAnswer")]
pub struct Labelled {
    /// The answer.
    pub answer: Spanned<Text>,
    /// A point of the scale; with `reference`, `better`, `equal` or `worse`.
    pub label: Spanned<Text>,
}

/// What code is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "CodeLanguage")]
pub enum Language {
    /// Python 3, without packages.
    Python,
    /// Rust, without crates.
    Rust,
    /// JavaScript, in Node.
    JavaScript,
    /// SQL, on an empty SQLite database.
    Sql,
    /// A script for `sh`.
    Shell,
}

/// How code is taken from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "CodeExtract")]
pub enum Extract {
    /// From a fenced block.
    Block,
    /// The answer goes on where `before` breaks off, up to the first line that leaves the function.
    Completion,
}

/// A run of a program.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of `stdin` and `stdout`")]
pub struct Printed {
    /// What it reads; nothing unless given.
    #[serde(default)]
    pub stdin: Given<Text>,
    /// What it should print.
    pub stdout: Spanned<Text>,
}

/// Implementations that tests are tried on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of `right` and `wrong`")]
pub struct Mutants {
    /// The one that passes.
    pub right: Spanned<Text>,
    /// Those that must not.
    #[schemars(length(min = 1))]
    pub wrong: Spanned<Vec<Spanned<Text>>>,
}

/// What a program may use.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of limits")]
pub struct CodeLimits {
    /// Seconds of CPU time; 5 unless given.
    #[serde(default)]
    pub cpu: Given<Figure>,
    /// Seconds on the clock; 20, or four times `cpu`, unless given.
    #[serde(default)]
    pub wall: Given<Figure>,
    /// MiB of memory; 512 unless given.
    #[serde(default)]
    pub memory: Given<Figure>,
}
