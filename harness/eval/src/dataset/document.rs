//! Documents: what a question is made of, and how a task's settings are read off it.

use serde_json::Value;

use super::jinja::Template;
use super::python;
use super::rows::Row;
use super::settings::Setting;
use crate::diagnostic::Mistake;
use crate::grade::Rubric;
use crate::yaml;

/// A document: its fields, as they were read and as templates see them.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) row: Row,
    values: minijinja::Value,
}

impl Document {
    pub(super) fn new(row: Row) -> Self {
        let values = super::jinja::fields_of(&row);
        Self { row, values }
    }
}

/// Something that is read off a document.
#[derive(Clone, Debug)]
pub(super) struct Field {
    setting: Setting,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    /// A field's name if the documents have such a field, else a template.
    Text(Template),
    /// The same for every document.
    Fixed(Value),
}

/// What went wrong with a document.
pub(super) type Failure = Box<Mistake>;

impl Field {
    /// Reads a setting whose texts are names of fields or templates.
    pub(super) fn new(setting: &Setting) -> Result<Self, Failure> {
        let source = match &setting.node.value {
            yaml::Value::String(text) => Source::Text(Template::new(text).map_err(|message| {
                Box::new(setting.mistake(&setting.node, format!("this is no template: {message}")))
            })?),
            _ => Source::Fixed(
                yaml::read(&setting.node).map_err(|malformed| Box::new(setting.file.mistake(malformed)))?,
            ),
        };
        Ok(Self { setting: setting.clone(), source })
    }

    pub(super) fn wrong(&self, message: impl Into<String>) -> Failure {
        Box::new(self.setting.mistake(&self.setting.node, message))
    }

    /// A field's value if its name is what is written, else what the template writes, else what is written.
    fn raw(&self, document: &Document, features: &[String]) -> Result<Raw, Failure> {
        match &self.source {
            Source::Fixed(value) => Ok(Raw::Value(value.clone())),
            Source::Text(template) => {
                let named = template.source();
                if features.iter().any(|it| it == named)
                    && let Some(value) = document.row.get(named)
                {
                    return Ok(Raw::Value(value.clone()));
                }
                let text = template.render(&document.values);
                text.map(Raw::Rendered).map_err(|message| self.wrong(message))
            }
        }
    }

    /// As `doc_to_text`: with options, digits are a number.
    pub(super) fn question(
        &self,
        document: &Document,
        features: &[String],
        options: bool,
    ) -> Result<Value, Failure> {
        self.raw(document, features).map(|it| it.read(options))
    }

    /// As `doc_to_target`: with options, digits are a number; what is in square brackets is a list if it can be read
    /// as one.
    pub(super) fn target(
        &self,
        document: &Document,
        features: &[String],
        options: bool,
    ) -> Result<Value, Failure> {
        Ok(match self.raw(document, features)? {
            Raw::Rendered(text) if text.len() >= 2 && text.starts_with('[') && text.ends_with(']') => {
                python::literal(&text).unwrap_or(Value::String(text))
            }
            other => other.read(options),
        })
    }

    /// As `doc_to_choice`: a list of texts.
    pub(super) fn options(&self, document: &Document, features: &[String]) -> Result<Vec<String>, Failure> {
        let value = match self.raw(document, features)? {
            Raw::Value(value) => value,
            Raw::Rendered(text) => python::literal(&text).map_err(|message| {
                self.wrong(format!("it must write a list, but wrote `{}`: {message}", excerpt(&text)))
            })?,
        };
        let items = match value {
            Value::Array(items) => items,
            Value::Object(entries) => entries.into_iter().map(|(_, value)| value).collect(),
            other => {
                return Err(self.wrong(format!(
                    "expected a list of options, found `{}`",
                    excerpt(&python::text(&other))
                )));
            }
        };
        if items.is_empty() {
            return Err(self.wrong("there is no option"));
        }
        let text = |it: Value| match it {
            Value::String(text) => Ok(text),
            other => Err(self.wrong(format!("an option is text, not `{}`", excerpt(&python::repr(&other))))),
        };
        items.into_iter().map(text).collect()
    }

    /// As `description` and `gen_prefix`: a text, empty where it is none.
    pub(super) fn words(&self, document: &Document) -> Result<String, Failure> {
        let names: Vec<String> = document.row.keys().cloned().collect();
        Ok(match self.raw(document, &names)? {
            Raw::Value(Value::Null) => String::new(),
            Raw::Value(value) => python::text(&value),
            Raw::Rendered(text) => text,
        })
    }
}

/// What a setting gives for a document.
enum Raw {
    /// A field's value, or one that is written.
    Value(Value),
    /// What a template wrote.
    Rendered(String),
}

impl Raw {
    /// The value that it is: where there are options, digits that a template wrote are a number, unless they are too many for
    /// one.
    fn read(self, options: bool) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Rendered(text) => match text.parse::<i64>() {
                Ok(number) if options && python::is_digits(&text) => Value::from(number),
                _ => Value::String(text),
            },
        }
    }
}

/// The beginning of a text, for a message.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Document {
    /// The rubric of a `grade`, whose texts are templates over the document's fields.
    pub(super) fn grade(&self, setting: &Setting) -> Result<Rubric, Failure> {
        let node = self.filled(setting, &setting.node)?;
        Rubric::read(&node).map_err(|mut wrong| Box::new(setting.file.mistake(wrong.swap_remove(0))))
    }

    fn filled(&self, setting: &Setting, node: &yaml::Node) -> Result<yaml::Node, Failure> {
        use yaml::Value as Written;
        let value = match &node.value {
            Written::String(text) if text.contains('{') => {
                let rendered = Template::new(text).and_then(|it| it.render(&self.values));
                Written::String(rendered.map_err(|message| Box::new(setting.mistake(node, message)))?)
            }
            Written::List(items) => {
                Written::List(items.iter().map(|it| self.filled(setting, it)).collect::<Result<_, _>>()?)
            }
            Written::Map(entries) => {
                let entry =
                    |(key, it): &(yaml::Key, yaml::Node)| Ok((key.clone(), self.filled(setting, it)?));
                Written::Map(entries.iter().map(entry).collect::<Result<_, Failure>>()?)
            }
            other => other.clone(),
        };
        Ok(yaml::Node { span: node.span, value })
    }
}
