//! Goldens: what was accepted, one insta snapshot for each model and suite.
//!
//! The files are read by the trials and written by two callers: a run writes `.snap.new` beside what changed, which
//! `cargo insta review` shows and accepts, and `cargo xtask bless` writes `.snap` itself.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::diagnostic::{Mistake, SourceFile};
use crate::weights::sha256_of_text;
use crate::yaml::{self, Malformed};

/// The version of goldens that is read and written.
const VERSION: u32 = 1;

/// Characters of a response that a golden keeps; the digest is always of all of them.
const LONGEST_RESPONSE: usize = 2_000;

/// What was accepted of one model and suite.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// `category/topic`.
    pub suite: String,
    /// The model.
    pub model: String,
    /// In the order of the suite.
    pub entries: Vec<Entry>,
}

/// What was accepted of one trial.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The trial's name below the suite, without the model.
    pub case: String,
    /// The score; a case that the model never could do is accepted with a low one.
    pub score: f64,
    /// What the grader found.
    pub answer: Option<String>,
    /// What can change the answer's bits.
    pub numerics: String,
    /// What the acceptance holds for.
    pub digests: Digests,
    /// The response, or its beginning; nothing of a data set's, which may repeat it.
    pub response: Option<String>,
}

/// The first 16 digits of SHA-256 digests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digests {
    /// Of how the answer is produced and judged.
    pub case: String,
    /// Of the messages.
    pub prompt: String,
    /// Of the chat template; `none` for a base model.
    pub template: String,
    /// Of the response.
    pub response: String,
}

/// The digits of a digest that a golden keeps.
pub fn short(digest: &str) -> String {
    digest.chars().take(16).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    suite: String,
    model: String,
    cases: Vec<yaml::Spanned<Entry>>,
}

/// The golden of a model and suite below a folder.
pub fn path_of(folder: &Path, suite: &str, model: &str) -> PathBuf {
    folder.join(format!("{suite}@{model}.snap"))
}

impl Golden {
    /// Nothing accepted yet.
    pub fn new(suite: &str, model: &str) -> Self {
        Self { suite: suite.to_owned(), model: model.to_owned(), entries: Vec::new() }
    }

    /// Reads a golden; one that does not exist is `None`.
    pub fn load(path: &Path) -> Result<Option<Self>, Box<Mistake>> {
        if !path.exists() {
            return Ok(None);
        }
        let file = SourceFile::load(path)?;
        // A response's own carriage returns are escaped: those that are left are a checkout's.
        let text = file.text.replace("\r\n", "\n");
        let file = SourceFile::new(file.name, without_header(&text));
        Self::read(&file).map(Some).map_err(|malformed| {
            let help = malformed.help.unwrap_or_else(|| {
                "`cargo xtask bless` writes it anew from the last run; `git checkout` brings the old one back".to_owned()
            });
            Box::new(file.mistake(Malformed { help: Some(help), ..malformed }))
        })
    }

    fn read(file: &SourceFile) -> Result<Self, Malformed> {
        let root = yaml::parse(&file.text)?;
        let Written { version, suite, model, cases } = yaml::read(&root)?;
        let wrong = |message: String, span| Err(Malformed { message, span: Some(span), help: None });
        if version != VERSION {
            return wrong(format!("this golden has version {version}, not {VERSION}"), root.place());
        }
        let mut names = HashSet::new();
        for entry in &cases {
            let Entry { case, score, digests, response, .. } = &entry.value;
            if !(0.0..=1.0).contains(score) {
                return wrong(format!("the score of `{case}` is not between 0 and 1"), entry.span);
            }
            if !names.insert(case) {
                return wrong(format!("`{case}` stands twice"), entry.span);
            }
            let whole = response.as_ref().filter(|it| it.chars().count() < LONGEST_RESPONSE);
            if whole.is_some_and(|it| short(&sha256_of_text(it)) != digests.response) {
                let message = format!("the response of `{case}` was edited: it no longer has its digest");
                return wrong(message, entry.span);
            }
        }
        Ok(Self { suite, model, entries: cases.into_iter().map(|it| it.value).collect() })
    }

    /// What was accepted of a trial.
    pub fn find(&self, case: &str) -> Option<&Entry> {
        self.entries.iter().find(|it| it.case == case)
    }

    /// Puts new entries over old ones, in the order of `cases`; entries that are not among them are dropped.
    pub fn merge(&mut self, new: Vec<Entry>, cases: &[String]) {
        let mut by_name: BTreeMap<String, Entry> =
            self.entries.drain(..).chain(new).map(|it| (it.case.clone(), it)).collect();
        self.entries = cases.iter().filter_map(|it| by_name.remove(it)).collect();
    }

    /// The text of the snapshot: [`Golden::load`] reads it back, and so does insta.
    pub fn text(&self) -> String {
        let mut text = format!(
            "---\nsource: tests/quality.rs\nexpression: {}\n---\nversion: {VERSION}\nsuite: {}\nmodel: {}\ncases:\n",
            quoted(&format!("{}::{}", self.suite, self.model)),
            quoted(&self.suite),
            quoted(&self.model),
        );
        for Entry { case, score, answer, numerics, digests, response } in &self.entries {
            let answer = answer.as_deref().map_or_else(|| "null".to_owned(), quoted);
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "  - case: {}\n    score: {score}\n    answer: {answer}\n    numerics: {}\n    digests: {{ case: \"{}\", \
                 prompt: \"{}\", template: \"{}\", response: \"{}\" }}\n    response: {}\n",
                quoted(case),
                quoted(numerics),
                digests.case,
                digests.prompt,
                digests.template,
                digests.response,
                response.as_deref().map_or_else(|| "null".to_owned(), |it| block(it, 6)),
            );
        }
        text
    }

    /// Writes the text to a file, whole or not at all.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(format!(".{}.partial", std::process::id()));
        let partial = PathBuf::from(partial);
        std::fs::write(&partial, self.text())
            .and_then(|()| std::fs::rename(&partial, path))
            .inspect_err(|_| drop(std::fs::remove_file(&partial)))
    }
}

impl Entry {
    /// What a trial would have accepted.
    pub fn new(
        case: String,
        score: f64,
        answer: Option<String>,
        numerics: String,
        mut digests: Digests,
        text: &str,
    ) -> Self {
        digests.response = short(&sha256_of_text(text));
        let response = text.chars().take(LONGEST_RESPONSE).collect();
        Self { case, score, answer, numerics, digests, response: Some(response) }
    }

    /// The same without a text of its own: of a data set, a golden keeps ids, scores and digests.
    #[must_use]
    pub fn without_texts(self) -> Self {
        Self { answer: None, response: None, ..self }
    }
}

/// The text with insta's header as empty lines: places in it stay what they are in the file.
fn without_header(text: &str) -> String {
    let Some(rest) = text.strip_prefix("---\n") else { return text.to_owned() };
    let Some((header, body)) = rest.split_once("\n---\n") else { return text.to_owned() };
    let lines = 3 + header.matches('\n').count();
    format!("{}{body}", "\n".repeat(lines))
}

/// A text in double quotes, as JSON and YAML write it.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    if json.chars().all(is_printable) {
        return json;
    }
    json.chars().fold(String::new(), |mut out, it| {
        if is_printable(it) {
            out.push(it);
        } else if (it as u32) < 0x1_0000 {
            let _ = write!(out, "\\u{:04x}", it as u32);
        } else {
            let _ = write!(out, "\\U{:08x}", it as u32);
        }
        out
    })
}

/// A text as a literal block, which reads best in a diff, or in quotes where a block could not carry it.
fn block(text: &str, indent: usize) -> String {
    let plain = !text.is_empty()
        && text.lines().count() > 0
        && !text.starts_with(char::is_whitespace)
        // insta, when it accepts a file, cuts any white space at its end.
        && !text.ends_with(char::is_whitespace)
        && text.chars().all(|it| it == '\n' || (is_printable(it) && it != '\t'))
        && text.split('\n').all(|line| !line.ends_with(' '))
        && text.contains('\n');
    if !plain {
        return quoted(text);
    }
    let margin = " ".repeat(indent);
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| if line.is_empty() { String::new() } else { format!("{margin}{line}") })
        .collect();
    format!("|-\n{}", lines.join("\n"))
}

/// Whether YAML takes a character as it is, and people see it.
fn is_printable(it: char) -> bool {
    !it.is_control() && !matches!(it, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// The goldens below a folder whose model or suite is not among these.
pub fn orphans(folder: &Path, known: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    walkdir::WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|it| it.file_name() != SHOWN)
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|it| {
            let name = it.file_name().and_then(|it| it.to_str()).unwrap_or_default();
            name.contains('@') && it.extension().is_some_and(|it| it == "snap") && !known(it)
        })
        .collect()
}

/// The folder below `golden/` with snapshots of what users read: it holds no answers of models.
const SHOWN: &str = "shown";
