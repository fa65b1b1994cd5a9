//! Calls as they are written: `add(2, 3) == 5`, in Python's notation for plain data.

use super::plain::{Integer, Plain};
use super::{Call, Wanted};

/// Levels of brackets at most.
const DEPTH: usize = 50;

/// Why a text is no call, and the byte at which that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// In words.
    pub message: String,
    /// In bytes from the beginning of the text.
    pub at: usize,
}

impl Call {
    /// Reads `NAME(ARGUMENTS) == VALUE` or `NAME(ARGUMENTS) raises ERROR`.
    ///
    /// Arguments and values are Python's literals: `None`, `True`, `False`, numbers, `inf`, `nan`, text, bytes,
    /// lists, tuples, sets (`set()` is the empty one), `frozenset(…)` and dictionaries; an argument may be named.
    pub fn read(text: &str) -> Result<Self, Mistake> {
        let mut reader = Reader { text, at: 0, depth: 0 };
        let function = reader.name("the name of a function")?;
        reader.expect('(')?;
        let (mut arguments, mut named): (Vec<Plain>, Vec<(String, Plain)>) = (Vec::new(), Vec::new());
        while !reader.take(')') {
            let start = reader.at;
            let name = reader.name("").ok().filter(|_| reader.take('='));
            match name {
                Some(name) => named.push((name, reader.value()?)),
                None if named.is_empty() => {
                    reader.at = start;
                    arguments.push(reader.value()?);
                }
                None => return Err(reader.mistake("an argument without a name behind one with a name")),
            }
            if !reader.take(',') {
                reader.expect(')')?;
                break;
            }
        }
        reader.space();
        let wanted = if reader.take_word("==") {
            Wanted::Returns(reader.value()?)
        } else if reader.take_word("raises ") {
            Wanted::Raises(reader.name("the name of an exception")?)
        } else {
            return Err(reader.mistake("expected `==` and a value, or `raises` and an exception"));
        };
        reader.end()?;
        Ok(Self { function, arguments, named, wanted })
    }
}

impl Plain {
    /// Reads one of Python's literals.
    pub fn read(text: &str) -> Result<Self, Mistake> {
        let mut reader = Reader { text, at: 0, depth: 0 };
        let value = reader.value()?;
        reader.end()?;
        Ok(value)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake { message: message.into(), at: self.at }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Goes past a character, and white space before it, if it is there.
    fn take(&mut self, wanted: char) -> bool {
        self.space();
        // An equals sign alone, not two.
        let is_there = self.rest().starts_with(wanted) && !(wanted == '=' && self.rest().starts_with("=="));
        self.at += if is_there { wanted.len_utf8() } else { 0 };
        is_there
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let is_there = self.rest().starts_with(wanted);
        self.at += if is_there { wanted.len() } else { 0 };
        is_there
    }

    fn expect(&mut self, wanted: char) -> Result<(), Mistake> {
        if self.take(wanted) { Ok(()) } else { Err(self.mistake(format!("expected `{wanted}`"))) }
    }

    fn end(&mut self) -> Result<(), Mistake> {
        self.space();
        if self.rest().is_empty() { Ok(()) } else { Err(self.mistake("expected the end")) }
    }

    fn name(&mut self, what: &str) -> Result<String, Mistake> {
        self.space();
        let rest = self.rest();
        let length = rest.find(|it: char| !it.is_alphanumeric() && it != '_').unwrap_or(rest.len());
        let name = rest[..length].to_owned();
        if name.is_empty() || name.starts_with(|it: char| it.is_numeric()) {
            return Err(self.mistake(format!("expected {what}")));
        }
        self.at += length;
        Ok(name)
    }

    fn value(&mut self) -> Result<Plain, Mistake> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.mistake("a value nested too deep"));
        }
        self.space();
        let value = match self.rest().chars().next() {
            None => Err(self.mistake("expected a value")),
            Some('[') => self.items('[', ']').map(|it| Plain::List(it.0)),
            Some('(') => self.items('(', ')').map(|(mut items, is_tuple)| match items.len() {
                1 if !is_tuple => items.remove(0),
                _ => Plain::Tuple(items),
            }),
            Some('{') => self.braces(),
            Some('"' | '\'') => self.quoted().map(Plain::Text),
            Some('b')
                if self.rest().starts_with(['"', '\'']) || self.rest()[1..].starts_with(['"', '\'']) =>
            {
                self.at += 1;
                let text = self.quoted()?;
                let bytes = text.chars().map(|it| u8::try_from(u32::from(it)));
                bytes
                    .collect::<Result<_, _>>()
                    .map(Plain::Bytes)
                    .map_err(|_| self.mistake("a byte above 255"))
            }
            Some(it) if it.is_ascii_digit() || "+-.".contains(it) => self.number(),
            Some(_) => self.word(),
        };
        self.depth -= 1;
        value
    }

    /// Values between brackets, and whether a comma stood behind the last or between them.
    fn items(&mut self, open: char, close: char) -> Result<(Vec<Plain>, bool), Mistake> {
        self.expect(open)?;
        let (mut items, mut comma) = (Vec::new(), false);
        while !self.take(close) {
            items.push(self.value()?);
            if !self.take(',') {
                self.expect(close)?;
                break;
            }
            comma = true;
        }
        Ok((items, comma))
    }

    fn braces(&mut self) -> Result<Plain, Mistake> {
        self.expect('{')?;
        if self.take('}') {
            return Ok(Plain::Dict(Vec::new()));
        }
        let (mut keys, mut values) = (vec![self.value()?], Vec::new());
        let is_dict = self.take(':');
        if is_dict {
            values.push(self.value()?);
        }
        while self.take(',') {
            if self.rest().trim_start().starts_with('}') {
                break;
            }
            keys.push(self.value()?);
            if is_dict {
                self.expect(':')?;
                values.push(self.value()?);
            }
        }
        self.expect('}')?;
        Ok(if is_dict { Plain::Dict(keys.into_iter().zip(values).collect()) } else { Plain::Set(keys) })
    }

    fn quoted(&mut self) -> Result<String, Mistake> {
        let mut letters = self.text[self.at..].char_indices();
        let Some((_, quote)) = letters.next() else { return Err(self.mistake("expected a quote")) };
        let mut text = String::new();
        while let Some((place, letter)) = letters.next() {
            match letter {
                it if it == quote => {
                    self.at += place + 1;
                    return Ok(text);
                }
                '\n' => break,
                '\\' => {
                    let kind = letters.next().map(|it| it.1);
                    let length = match kind {
                        Some('x') => 2,
                        Some('u') => 4,
                        Some('U') => 8,
                        _ => 0,
                    };
                    let code: String = letters.by_ref().take(length).map(|it| it.1).collect();
                    let number = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                    text.push(match kind {
                        Some('n') => '\n',
                        Some('t') => '\t',
                        Some('r') => '\r',
                        Some('0') => '\0',
                        Some('a') => '\x07',
                        Some('b') => '\x08',
                        Some('f') => '\x0c',
                        Some('v') => '\x0b',
                        Some(it @ ('\\' | '\'' | '"')) => it,
                        Some('x' | 'u' | 'U') if code.len() == length => match number {
                            Some(letter) => letter,
                            None => return Err(self.mistake(format!("`{code}` is no character"))),
                        },
                        _ => return Err(self.mistake("a backslash that means nothing; write two")),
                    });
                }
                letter => text.push(letter),
            }
        }
        Err(self.mistake("a text that does not end"))
    }

    fn number(&mut self) -> Result<Plain, Mistake> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with(['+', '-']));
        let (minus, unsigned) = (rest.starts_with('-'), &rest[sign..]);
        if ["inf", "nan", "float("].iter().any(|it| unsigned.starts_with(it)) {
            self.at += sign;
            return match self.word()? {
                Plain::Float(value) => Ok(Plain::Float(if minus { -value } else { value })),
                _ => Err(self.mistake("expected a number")),
            };
        }
        let mut end = unsigned
            .find(|it: char| !it.is_ascii_digit() && it != '_' && it != '.')
            .unwrap_or(unsigned.len());
        if let Some(exponent) = unsigned[end..].strip_prefix(['e', 'E']) {
            let sign = usize::from(exponent.starts_with(['+', '-']));
            let digits =
                exponent[sign..].find(|it: char| !it.is_ascii_digit()).unwrap_or(exponent.len() - sign);
            end += 1 + sign + digits;
        }
        let written = format!("{}{}", if minus { "-" } else { "" }, unsigned[..end].replace('_', ""));
        let is_float = written.contains(['.', 'e', 'E']);
        let value = if is_float {
            written.parse().ok().map(Plain::Float)
        } else {
            Integer::from_decimal(&written).map(Plain::Int)
        };
        let Some(value) = value else { return Err(self.mistake("expected a number")) };
        self.at += sign + end;
        if self.rest().starts_with(|it: char| it.is_alphanumeric() || it == '_') {
            return Err(self.mistake("a number that does not end"));
        }
        Ok(value)
    }

    fn word(&mut self) -> Result<Plain, Mistake> {
        let start = self.at;
        let word = self.name("a value")?;
        let value = match word.as_str() {
            "None" => Plain::None,
            "True" => Plain::Bool(true),
            "False" => Plain::Bool(false),
            "inf" => Plain::Float(f64::INFINITY),
            "nan" => Plain::Float(f64::NAN),
            "float" | "set" | "frozenset" | "complex" | "tuple" => {
                let (items, _) = self.items('(', ')')?;
                match (word.as_str(), &items[..]) {
                    ("float", [Plain::Text(text)]) if ["inf", "-inf", "nan"].contains(&text.as_str()) => {
                        Plain::Float(text.parse().unwrap_or(f64::NAN))
                    }
                    ("set", []) => Plain::Set(Vec::new()),
                    ("tuple", []) => Plain::Tuple(Vec::new()),
                    ("frozenset", []) => Plain::FrozenSet(Vec::new()),
                    ("frozenset", [Plain::Set(items) | Plain::List(items)]) => {
                        Plain::FrozenSet(items.clone())
                    }
                    ("complex", [Plain::Float(real), Plain::Float(imaginary)]) => {
                        Plain::Complex(*real, *imaginary)
                    }
                    _ => {
                        self.at = start;
                        return Err(self.mistake(format!("no literal of `{word}`")));
                    }
                }
            }
            _ => {
                self.at = start;
                return Err(self.mistake(format!("`{word}` is no literal: text needs quotes")));
            }
        };
        Ok(value)
    }
}
