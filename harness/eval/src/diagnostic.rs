//! Mistakes in files that people write: what is wrong, where, and what to do.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use miette::{
    Diagnostic, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};
use thiserror::Error;

use crate::yaml::{self, Malformed, Span};

/// A file's name and text, shared by the mistakes found in it.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The path as the user would write it.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
    /// Where its lines begin, once somebody asks: a file may have a hundred thousand mistakes.
    lines: OnceLock<Arc<[u32]>>,
}

impl SourceFile {
    /// A file of this text.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into(), lines: OnceLock::new() }
    }

    /// Reads a file that people write; its size and encoding are checked.
    pub fn load(path: &Path) -> Result<Self, Box<Mistake>> {
        let name = path.display().to_string();
        let unreadable = |message: String, help: Option<&str>| {
            Box::new(Mistake {
                message,
                help: help.map(str::to_owned),
                at: None,
                text: Excerpt::nothing_of(&name),
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
                    format!("{name} has {size} MiB, more than the {limit} MiB that are read of one file");
                return Err(unreadable(message, Some("split it into several files")));
            }
            Ok(Ok(bytes)) => bytes,
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(name, text.strip_prefix('\u{feff}').unwrap_or(&text))),
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
            text: span.map_or_else(|| Excerpt::nothing_of(&self.name), |it| self.around(it)),
        }
    }

    /// Where the lines begin.
    fn lines(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let breaks = self.text.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(breaks).map(|it| u32::try_from(it).unwrap_or(u32::MAX)).collect()
        })
    }

    /// The line, counted from 0, that a byte is in.
    fn index(&self, at: u32) -> usize {
        self.lines().partition_point(|it| *it <= at).saturating_sub(1)
    }

    /// The byte at which a line, counted from 0, begins; the end of the text for one that is not there.
    fn start(&self, line: usize) -> usize {
        self.lines().get(line).map_or(self.text.len(), |it| *it as usize)
    }

    /// The lines of a span, counted from 0, with the line before and the line after.
    fn shown(&self, span: Span) -> std::ops::RangeInclusive<usize> {
        self.index(span.start).saturating_sub(1)..=self.index(span.start.saturating_add(span.len)) + 1
    }

    fn around(&self, span: Span) -> Excerpt {
        let lines = self.shown(span);
        Excerpt {
            name: self.name.clone(),
            text: Arc::clone(&self.text),
            start: self.start(*lines.start()),
            end: self.start(lines.end() + 1),
            line: *lines.start(),
        }
    }

    /// Whether the lines around a span are of a length that people read.
    fn is_readable_at(&self, span: Span) -> bool {
        const LONGEST_LINE: usize = 2_000;
        let mut lines = self.shown(span);
        span.len as usize <= LONGEST_LINE
            && lines.all(|it| self.start(it + 1) - self.start(it) <= LONGEST_LINE + 1)
    }

    /// The line, counted from 1, in which a span begins.
    pub fn line(&self, span: Span) -> usize {
        1 + self.index(span.start)
    }
}

/// The lines of a file that a mistake is shown in.
///
/// Of the whole file, a reader of the place would count the lines anew for each mistake.
#[derive(Clone, Debug)]
struct Excerpt {
    name: String,
    text: Arc<str>,
    /// The bytes of the text, from the beginning of a line to the end of one.
    start: usize,
    end: usize,
    /// The first line, counted from 0.
    line: usize,
}

impl Excerpt {
    fn nothing_of(name: &str) -> Self {
        Self { name: name.to_owned(), text: Arc::from(""), start: 0, end: 0, line: 0 }
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let start = span.offset().checked_sub(self.start).ok_or(MietteError::OutOfBounds)?;
        let lines = self.text.get(self.start..self.end).ok_or(MietteError::OutOfBounds)?;
        let found = lines.read_span(&(start, span.len()).into(), before, after)?;
        let place = (found.span().offset() + self.start, found.span().len()).into();
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            // What was found borrows from itself.
            &lines.as_bytes()[found.span().offset()..found.span().offset() + found.span().len()],
            place,
            found.line() + self.line,
            found.column(),
            found.line_count(),
        )))
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
    text: Excerpt,
}

impl Diagnostic for Mistake {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        // Without a place there is nothing to show of the text.
        self.at.map(|_| &self.text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(Some("here".to_owned()), self.at?);
        Some(Box::new(std::iter::once(label)))
    }
}

impl Mistake {
    /// A mistake without a place in a file's text.
    pub fn of_file(name: impl Into<String>, message: impl Into<String>, help: Option<String>) -> Self {
        Self { message: message.into(), help, at: None, text: Excerpt::nothing_of(&name.into()) }
    }

    /// The name of the file.
    pub fn file(&self) -> &str {
        &self.text.name
    }
}
