//! What Python does with values and texts, where lm-evaluation-harness leaves it to Python: `str`, `repr`,
//! `ast.literal_eval`, white space.

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde_json::{Map, Number, Value};

/// How deep lists and dictionaries may be nested in a literal.
const DEEPEST: usize = 64;

/// What Python's `str` makes of a value.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// What Python's `repr` makes of a value.
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(value, &mut out);
    out
}

fn write_repr(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => out.push_str(&float_repr(float)),
            None => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{number}");
            }
        },
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_repr(item, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (index, (key, item)) in entries.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_text(key, out);
                out.push_str(": ");
                write_repr(item, out);
            }
            out.push('}');
        }
    }
}

/// The fewest digits that give the number back, with an exponent below 1e-4 and from 1e16.
pub fn float_repr(float: f64) -> String {
    let size = float.abs();
    if float.is_nan() {
        "nan".to_owned()
    } else if float.is_infinite() {
        if float > 0.0 { "inf" } else { "-inf" }.to_owned()
    } else if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let scientific = format!("{float:e}");
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        }
    } else {
        format!("{float:?}")
    }
}

/// Characters that Python does not print as they are.
static UNPRINTABLE: LazyLock<regex::Regex> =
    LazyLock::new(|| regex::Regex::new(r"[\p{C}\p{Zl}\p{Zp}\p{Zs}]").expect("classes of Unicode"));

fn write_text(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    let mut buffer = [0; 4];
    for character in text.chars() {
        let code = character as u32;
        // Writing to a String cannot fail.
        let _ = match character {
            '\\' => write!(out, "\\\\"),
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            it if it == quote => write!(out, "\\{it}"),
            ' '..='~' => write!(out, "{character}"),
            it if !UNPRINTABLE.is_match(it.encode_utf8(&mut buffer)) => write!(out, "{it}"),
            _ if code < 0x100 => write!(out, "\\x{code:02x}"),
            _ if code < 0x1_0000 => write!(out, "\\u{code:04x}"),
            _ => write!(out, "\\U{code:08x}"),
        };
    }
    out.push(quote);
}

/// Whether Python's `str.isspace` says so of a character.
pub fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

/// Python's `str.strip`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Python's `str.isdigit` of a whole text, as far as decimal digits go.
pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|it| it.is_ascii_digit())
}

/// Python's `ast.literal_eval`; a tuple and a set become a list. The error is a fragment that says what is wrong.
pub fn literal(text: &str) -> Result<Value, String> {
    let mut reader = Reader { rest: text.trim_matches([' ', '\t']), deep: 0 };
    let value = reader.value()?;
    reader.skip();
    if reader.rest.is_empty() { Ok(value) } else { Err(reader.unexpected()) }
}

struct Reader<'a> {
    rest: &'a str,
    deep: usize,
}

impl Reader<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
        while let Some(remark) = self.rest.strip_prefix('#') {
            self.rest = remark.split_once('\n').map_or("", |it| it.1).trim_start();
        }
    }

    fn unexpected(&self) -> String {
        match self.rest.chars().next() {
            Some(found) => format!("unexpected `{found}` in a Python literal"),
            None => "a Python literal ends too early".to_owned(),
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        self.skip();
        match self.rest.chars().next() {
            Some('[') => self.many('[', ']'),
            Some('(') => self.many('(', ')'),
            Some('{') => self.many('{', '}'),
            Some('\'' | '"' | 'r' | 'R' | 'u' | 'U' | 'b' | 'B') => self.texts(),
            Some('0'..='9' | '.' | '-' | '+') => self.number(),
            Some('T' | 'F' | 'N') => {
                for (word, value) in
                    [("True", Value::Bool(true)), ("False", Value::Bool(false)), ("None", Value::Null)]
                {
                    if let Some(rest) = self.rest.strip_prefix(word) {
                        self.rest = rest;
                        return Ok(value);
                    }
                }
                Err(self.unexpected())
            }
            _ => Err(self.unexpected()),
        }
    }

    fn many(&mut self, open: char, close: char) -> Result<Value, String> {
        self.deep += 1;
        if self.deep > DEEPEST {
            return Err("a Python literal is nested too deeply".to_owned());
        }
        self.take(open);
        let (mut items, mut entries, mut comma) = (Vec::new(), Map::new(), false);
        while !self.take(close) {
            let item = self.value()?;
            if open == '{' && self.take(':') {
                entries.insert(text(&item), self.value()?);
            } else {
                items.push(item);
            }
            if self.take(',') {
                comma = true;
            } else if self.take(close) {
                break;
            } else {
                return Err(self.unexpected());
            }
        }
        self.deep -= 1;
        if open == '{' && items.is_empty() {
            return Ok(Value::Object(entries));
        }
        if open == '(' && !comma && items.len() == 1 {
            // Only in brackets, no tuple.
            return Ok(items.swap_remove(0));
        }
        Ok(Value::Array(items))
    }

    /// Texts that stand beside each other are one.
    fn texts(&mut self) -> Result<Value, String> {
        let mut whole = self.text()?;
        loop {
            self.skip();
            if !self.rest.starts_with(['\'', '"']) {
                return Ok(Value::String(whole));
            }
            whole.push_str(&self.text()?);
        }
    }

    fn text(&mut self) -> Result<String, String> {
        let raw = self.rest.starts_with(['r', 'R']);
        if self.rest.starts_with(['b', 'B']) {
            return Err("bytes are no text".to_owned());
        }
        let unprefixed = self.rest.strip_prefix(['r', 'R', 'u', 'U']).unwrap_or(self.rest);
        let Some(quote @ ('\'' | '"')) = unprefixed.chars().next() else { return Err(self.unexpected()) };
        let three = [quote; 3].iter().collect::<String>();
        let one = quote.to_string();
        let end = if unprefixed.starts_with(&three) { three } else { one };
        self.rest = &unprefixed[end.len()..];
        let mut out = String::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix(end.as_str()) {
                self.rest = rest;
                return Ok(out);
            }
            match self.character() {
                None => return Err("a text in a Python literal has no end".to_owned()),
                Some('\n') if end.len() == 1 => {
                    return Err("a text in a Python literal has no end".to_owned());
                }
                Some('\\') if raw => {
                    out.push('\\');
                    out.extend(self.character());
                }
                Some('\\') => self.escape(&mut out)?,
                Some(it) => out.push(it),
            }
        }
    }

    fn character(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn escape(&mut self, out: &mut String) -> Result<(), String> {
        let Some(letter) = self.character() else { return Ok(()) };
        let plain = match letter {
            '\n' => return Ok(()),
            '\\' | '\'' | '"' => letter,
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            'x' => self.code(16, 2)?,
            'u' => self.code(16, 4)?,
            'U' => self.code(16, 8)?,
            '0'..='7' => {
                let digits =
                    1 + self.rest.bytes().take(2).take_while(|it| (b'0'..=b'7').contains(it)).count();
                let octal = format!("{letter}{}", &self.rest[..digits - 1]);
                self.rest = &self.rest[digits - 1..];
                u32::from_str_radix(&octal, 8)
                    .ok()
                    .and_then(char::from_u32)
                    .unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => {
                out.push('\\');
                other
            }
        };
        out.push(plain);
        Ok(())
    }

    fn code(&mut self, radix: u32, digits: usize) -> Result<char, String> {
        let wrong = || "a character's number in a Python literal is wrong".to_owned();
        let written = self.rest.get(..digits).ok_or_else(wrong)?;
        let code = u32::from_str_radix(written, radix).map_err(|_| wrong())?;
        self.rest = &self.rest[digits..];
        char::from_u32(code).ok_or_else(wrong)
    }

    fn number(&mut self) -> Result<Value, String> {
        let signs = self.rest.len() - self.rest.trim_start_matches(['-', '+', ' ']).len();
        let negative = self.rest[..signs].matches('-').count() % 2 == 1;
        self.rest = &self.rest[signs..];
        let mut end = 0;
        let bytes = self.rest.as_bytes();
        while let Some(byte) = bytes.get(end) {
            let after_e = end > 0 && matches!(bytes[end - 1], b'e' | b'E');
            if byte.is_ascii_alphanumeric()
                || matches!(byte, b'.' | b'_')
                || (after_e && matches!(byte, b'-' | b'+'))
            {
                end += 1;
            } else {
                break;
            }
        }
        let written = self.rest[..end].replace('_', "");
        let wrong = || format!("`{}` is no number in a Python literal", &self.rest[..end]);
        let value = if let Ok(whole) = written.parse::<i64>() {
            Value::from(if negative { -whole } else { whole })
        } else {
            let float = written.parse::<f64>().map_err(|_| wrong())?;
            let float = if negative { -float } else { float };
            Number::from_f64(float).map(Value::Number).ok_or_else(wrong)?
        };
        self.rest = &self.rest[end..];
        Ok(value)
    }
}
