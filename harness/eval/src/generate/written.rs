//! Where the characters of an expression stand in its file.

use std::ops::Range;

use super::Wrong;
use crate::yaml::{Malformed, Node, Span, Value};

/// The text of an expression, and the place of each of its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) text: String,
    /// The offset in the file of each byte, and of the end; empty where only the whole has a place.
    offsets: Vec<u32>,
    whole: Span,
}

impl Written {
    /// Of a scalar or a list in brackets, as it stands in the file; `None` for anything else.
    pub(crate) fn of(node: &Node, file: &str) -> Option<Self> {
        let start = node.span.start as usize;
        let raw = file.get(start..start + node.span.len as usize).unwrap_or_default();
        match &node.value {
            Value::String(text) => {
                Some(Self { offsets: offsets(text, raw, start), text: text.clone(), whole: node.place() })
            }
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
                // As digits: a decimal is exact, and YAML's float is not.
                let plain = raw.trim();
                let text = if plain.is_empty() { scalar(&node.value)? } else { plain.to_owned() };
                Some(Self { offsets: offsets(&text, raw, start), text, whole: node.place() })
            }
            Value::List(_) => {
                let rest = file.get(start..).filter(|it| it.starts_with('['))?;
                let end = bracket(rest)?;
                let text = rest[..end].to_owned();
                let offsets = (start..=start + end).map(|it| u32::try_from(it).unwrap_or(u32::MAX)).collect();
                Some(Self { text, offsets, whole: node.place() })
            }
            Value::Null | Value::Map(_) => None,
        }
    }

    /// A mistake in the expression, with its place in the file.
    pub(crate) fn mistake(&self, wrong: Wrong) -> Malformed {
        let Wrong { message, span, help } = wrong;
        Malformed { message, span: Some(self.place(span)), help }
    }

    /// The place in the file of a part of the expression.
    pub(crate) fn place(&self, part: Range<usize>) -> Span {
        // What ends too early is shown at its last byte.
        let part = if part.is_empty() { part.start.saturating_sub(1)..part.start } else { part };
        let of = |at: usize| self.offsets.get(at).copied();
        // The end of the last byte, not the beginning of what follows: a line break may lie between.
        let last = part.end.checked_sub(1).filter(|it| *it >= part.start).unwrap_or(part.start);
        match (of(part.start), of(last)) {
            (Some(start), Some(last)) => Span { start, len: (last + 1).saturating_sub(start).max(1) },
            _ => self.whole,
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Integer(it) => Some(it.to_string()),
        Value::Float(it) => Some(it.to_string()),
        Value::Bool(it) => Some(it.to_string()),
        _ => None,
    }
}

/// The offsets of a scalar's bytes, found by walking over both texts: YAML adds quotes, a block's header and margins
/// to what was meant. Empty where that does not lead to the end, as with escapes and aliases.
fn offsets(text: &str, raw: &str, start: usize) -> Vec<u32> {
    let mut offsets = Vec::with_capacity(text.len() + 1);
    let mut at = 0;
    if raw.starts_with(['|', '>']) {
        at = raw.find('\n').map_or(raw.len(), |it| it + 1);
    } else if raw.starts_with(['"', '\'']) {
        at = 1;
    }
    let place = |at: usize| u32::try_from(start + at).unwrap_or(u32::MAX);
    for it in text.chars() {
        if it.is_whitespace() {
            offsets.extend(std::iter::repeat_n(place(at), it.len_utf8()));
            if raw[at..].starts_with(it) {
                at += it.len_utf8();
            }
            continue;
        }
        let skipped = raw[at..].len() - raw[at..].trim_start().len();
        if !raw[at + skipped..].starts_with(it) {
            return Vec::new();
        }
        at += skipped;
        offsets.extend((0..it.len_utf8()).map(|byte| place(at + byte)));
        at += it.len_utf8();
    }
    offsets.push(place(at));
    offsets
}

/// Where the bracket that a text begins with is closed, what stands in quotes left out.
fn bracket(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((at, it)) = letters.next() {
        match (quote, it) {
            (Some(_), '\\') => {
                letters.next();
            }
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => quote = Some(it),
            (None, '[' | '(' | '{') => depth += 1,
            (None, ']' | ')' | '}') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}
