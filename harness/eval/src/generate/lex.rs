//! Words of an expression.

use std::ops::Range;

use num_rational::BigRational;

use super::{Wrong, value};

/// A word and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

/// What a word is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Number(BigRational),
    Text(String),
    Name(String),
    /// An operator, a bracket, a comma, or a word of the language.
    Sign(&'static str),
    End,
}

/// Words that are no names.
pub(super) const WORDS: [&str; 9] = ["and", "or", "not", "in", "if", "else", "for", "true", "false"];

/// Longer signs before those that they begin with.
const SIGNS: [&str; 21] = [
    "**", "//", "==", "!=", "<=", ">=", "=>", "+", "-", "*", "/", "%", "<", ">", "(", ")", "[", "]", ",",
    ".", ":",
];

/// What people write who think of another language, and what it is here.
const FOREIGN: [(&str, &str); 9] = [
    ("^", "a power is written `**`"),
    ("&&", "write `and`"),
    ("&", "write `and`"),
    ("||", "write `or`"),
    ("|", "write `or`; filters belong into templates"),
    ("!", "write `not`"),
    ("?", "write `a if condition else b`"),
    ("=", "write `==` to compare"),
    ("{", "there are no mappings here: use lists of pairs and `lookup`"),
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, length) = if first.is_ascii_digit() {
            number(rest, at)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_').unwrap_or(rest.len());
            let word = &rest[..length];
            let sign = WORDS.iter().find(|it| **it == word);
            (sign.map_or_else(|| Kind::Name(word.to_owned()), |it| Kind::Sign(it)), length)
        } else if first == '"' || first == '\'' {
            quoted(rest, first, at)?
        } else if let Some(sign) = SIGNS.iter().find(|it| rest.starts_with(**it)) {
            (Kind::Sign(sign), sign.len())
        } else {
            let foreign = FOREIGN.iter().find(|(sign, _)| rest.starts_with(sign));
            let length = foreign.map_or(first.len_utf8(), |(sign, _)| sign.len());
            let mut wrong = Wrong::new(format!("`{}` means nothing here", &rest[..length]), at..at + length);
            wrong.help = foreign.map(|(_, help)| (*help).to_owned());
            return Err(wrong);
        };
        tokens.push(Token { kind, span: at..at + length });
        at += length;
    }
    tokens.push(Token { kind: Kind::End, span: text.len()..text.len() });
    Ok(tokens)
}

fn number(rest: &str, at: usize) -> Result<(Kind, usize), Wrong> {
    let digits = |text: &str| text.bytes().take_while(|it| it.is_ascii_digit() || *it == b'_').count();
    let mut length = digits(rest);
    if rest[length..].starts_with('.') && digits(&rest[length + 1..]) > 0 {
        length += 1 + digits(&rest[length + 1..]);
    }
    if let Some(exponent) = rest[length..].strip_prefix(['e', 'E']) {
        let sign = exponent.len() - exponent.strip_prefix(['-', '+']).unwrap_or(exponent).len();
        let count = digits(&exponent[sign..]);
        if count > 0 {
            length += 1 + sign + count;
        }
    }
    if rest[length..].starts_with(|it: char| it.is_alphanumeric() || it == '_') {
        let more =
            rest[length..].find(|it: char| !it.is_alphanumeric() && it != '_').unwrap_or(rest.len() - length);
        return Err(Wrong::new(
            format!("`{}` is neither a number nor a name", &rest[..length + more]),
            at..at + length + more,
        ));
    }
    value::parsed(&rest[..length].replace('_', ""))
        .filter(|it| value::bits(it) <= value::MOST_BITS)
        .map(|it| (Kind::Number(it), length))
        .ok_or_else(|| Wrong::new("this number has more digits than are computed with", at..at + length))
}

fn quoted(rest: &str, quote: char, at: usize) -> Result<(Kind, usize), Wrong> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((offset, it)) = letters.next() {
        match it {
            '\\' => match letters.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, same @ ('\\' | '\'' | '"'))) => text.push(same),
                other => {
                    let length = 1 + other.map_or(0, |(_, it)| it.len_utf8());
                    let wrong = Wrong::new("no such escape", at + offset..at + offset + length);
                    return Err(wrong.help(r#"known are \n, \t, \\, \" and \'"#));
                }
            },
            it if it == quote => return Ok((Kind::Text(text), offset + 1)),
            other => text.push(other),
        }
    }
    Err(Wrong::new("this text is never closed", at..at + rest.len()).help(format!("it ends with {quote}")))
}
