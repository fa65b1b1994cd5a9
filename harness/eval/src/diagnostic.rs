//! Mistakes in files that people write: what is wrong, where, and what to do.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceSpan};
use thiserror::Error;

use crate::yaml::{self, Malformed, Span};

/// A file's name and text, shared by the mistakes found in it.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The path as the user would write it.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
}

impl SourceFile {
    /// Reads a file that people write; its size and encoding are checked.
    pub fn load(path: &Path) -> Result<Self, Box<Mistake>> {
        let name = path.display().to_string();
        let unreadable = |message: String, help: Option<&str>| {
            Box::new(Mistake {
                message,
                help: help.map(str::to_owned),
                at: None,
                text: NamedSource::new(&name, Arc::from("")),
            })
        };
        let read = || -> std::io::Result<Result<Vec<u8>, u64>> {
            let mut file = File::open(path)?;
            let size = file.metadata()?.len();
            if size > yaml::LARGEST_FILE {
                return Ok(Err(size));
            }
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            // A file may grow, and a device has no size: never more than the limit and a byte.
            file.by_ref().take(yaml::LARGEST_FILE + 1).read_to_end(&mut bytes)?;
            Ok(Ok(bytes))
        };
        let bytes = match read() {
            Err(error) => return Err(unreadable(format!("{name} cannot be read: {error}"), None)),
            Ok(Err(size)) => {
                let (size, limit) = (size >> 20, yaml::LARGEST_FILE >> 20);
                let message =
                    format!("{name} has {size} MB, more than the {limit} MB that are read of one file");
                return Err(unreadable(message, Some("split it into several files")));
            }
            Ok(Ok(bytes)) => bytes,
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, text: Arc::from(text.strip_prefix('\u{feff}').unwrap_or(&text)) }),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let bytes = error.into_bytes();
                let line = 1 + bytes[..valid].iter().filter(|byte| **byte == b'\n').count();
                let message =
                    format!("{name} is not UTF-8: byte {valid}, in line {line}, starts no character");
                Err(unreadable(message, Some("save the file as UTF-8")))
            }
        }
    }

    /// A mistake in this file.
    pub fn mistake(&self, malformed: Malformed) -> Mistake {
        let Malformed { message, span, help } = malformed;
        let message = match span {
            None => format!("{}: {message}", self.name),
            // Its lines would fill the screen, and more.
            Some(span) if !self.is_readable_at(span) => {
                format!("{}:{}: {message}", self.name, self.line(span))
            }
            Some(_) => message,
        };
        let span = span.filter(|it| self.is_readable_at(*it));
        Mistake {
            message,
            help,
            at: span.map(SourceSpan::from),
            text: NamedSource::new(&self.name, Arc::clone(&self.text)),
        }
    }

    /// Whether the lines around a span are of a length that people read.
    fn is_readable_at(&self, span: Span) -> bool {
        const LONGEST_LINE: usize = 2_000;
        let bytes = self.text.as_bytes();
        let start = (span.start as usize).min(bytes.len());
        let end = (start + span.len as usize).min(bytes.len());
        // The line before and the line after are shown, too.
        let before = bytes[..start].rsplit(|it| *it == b'\n').take(2).map(<[u8]>::len);
        let after = bytes[end..].split(|it| *it == b'\n').take(2).map(<[u8]>::len);
        end - start <= LONGEST_LINE && before.chain(after).all(|it| it <= LONGEST_LINE)
    }

    /// The line, counted from 1, in which a span begins.
    pub fn line(&self, span: Span) -> usize {
        let start = (span.start as usize).min(self.text.len());
        1 + self.text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count()
    }
}

/// A mistake in a file, and where it is.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub struct Mistake {
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// The next step.
    pub help: Option<String>,
    /// Where.
    pub at: Option<SourceSpan>,
    /// The file.
    pub text: NamedSource<Arc<str>>,
}

impl Diagnostic for Mistake {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        // Without a place there is nothing to show of the text.
        self.at.map(|_| &self.text as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(Some("here".to_owned()), self.at?);
        Some(Box::new(std::iter::once(label)))
    }
}

impl Mistake {
    /// A mistake without a place in a file's text.
    pub fn of_file(name: impl Into<String>, message: impl Into<String>, help: Option<String>) -> Self {
        Self { message: message.into(), help, at: None, text: NamedSource::new(name.into(), Arc::from("")) }
    }

    /// The name of the file.
    pub fn file(&self) -> &str {
        self.text.name()
    }
}
