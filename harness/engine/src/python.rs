//! What templates expect of Python that minijinja does not have: methods, filters, `json.dumps`, `strftime`.
//!
//! What a template makes is paid for with fuel once it is there. So whatever can make much from little is
//! bounded here first.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, Rest, Tuple, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, escape_formatter};

use crate::source::{PAY, WEIGH};

/// The most bytes that one step may make.
pub(crate) const LONGEST: usize = 16 << 20;
/// How deep values may be nested.
const DEEPEST: usize = 128;
/// How many values one may hold, those within them counted as often as they are held.
const HEAVIEST: usize = 4096;

/// Adds it all.
pub(crate) fn extend(environment: &mut Environment<'_>) {
    environment.set_unknown_method_callback(method);
    environment.set_formatter(|out, state, value| {
        if value.kind() != ValueKind::Number || value.is_integer() {
            return escape_formatter(out, state, value);
        }
        let mut text = String::new();
        number(value, &mut text);
        out.write_str(&text).map_err(Error::from)
    });
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: &str| date(format));
    environment.add_function("dict", dict);
    environment.add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.0));
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment.remove_global("debug");
    environment.add_filter("tojson", to_json);
    environment.add_filter(PAY, pay);
    environment.add_function(WEIGH, |state: &State, value: Value, within: Option<bool>| {
        let mut left = (HEAVIEST, LONGEST);
        weigh(state, &value, usize::from(within.unwrap_or(false)), &mut left)?;
        Ok::<_, Error>(value)
    });
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("center", |text: &str, width: Option<usize>| center(text, width.unwrap_or(80)));
    environment.add_filter("wordcount", |text: &str| text.split_whitespace().count());
    // A dictionary has a length and items, and is iterated by its keys.
    let many = |it: &Value| {
        matches!(it.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
    };
    environment.add_test("iterable", move |it: &Value| many(it));
    environment.add_test("sequence", move |it: &Value| many(it) && it.kind() != ValueKind::Iterable);
    environment.add_test("callable", |it: &Value| it.kind() == ValueKind::Plain);
}

/// Charges for a list that becomes part of a sum.
fn pay(state: &State, value: Value) -> Result<Value, Error> {
    if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        let length = value.len().ok_or_else(|| wrong("a sum of lists without a length"))?;
        state.consume_fuel(length as u64 / 2)?;
    }
    Ok(value)
}

/// Refuses a value that is large when written out. `left` are the values and bytes that may still come.
fn weigh(state: &State, value: &Value, depth: usize, left: &mut (usize, usize)) -> Result<(), Error> {
    let heavy = || Error::new(ErrorKind::OutOfFuel, "a value holds too many others");
    // A namespace can be changed later, also to hold itself.
    let namespace = value.as_object().is_some_and(|it| it.type_name().contains("Namespace"));
    if namespace && depth > 0 {
        return Err(wrong("a namespace within another value"));
    }
    let length = value.as_str().map_or(0, str::len);
    left.0 = left.0.checked_sub(1).ok_or_else(heavy)?;
    left.1 = left.1.checked_sub(length).ok_or_else(heavy)?;
    state.consume_fuel(1 + length as u64 / 4096)?;
    if depth > DEEPEST {
        return Err(heavy());
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            for item in value.try_iter()? {
                weigh(state, &item, depth + 1, left)?;
            }
        }
        ValueKind::Map if !namespace => {
            for key in value.try_iter()? {
                weigh(state, &key, depth + 1, left)?;
                weigh(state, &value.get_item(&key)?, depth + 1, left)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn wrong(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn bounded(what: &str, length: usize) -> Result<(), Error> {
    if length > LONGEST {
        return Err(Error::new(ErrorKind::OutOfFuel, format!("`{what}` would make {length} bytes")));
    }
    Ok(())
}

/// Python's methods.
fn method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let length = |it: &Value| it.as_str().map_or(0, str::len);
    match (method, value.as_str(), args) {
        ("replace", Some(within), [old, new, ..]) => {
            let count = old.as_str().map_or(0, |old| within.matches(old).count());
            bounded(method, count.saturating_mul(length(new)).saturating_add(within.len()))?;
        }
        ("join", Some(between), [parts]) => {
            let sum = |sum: usize, it: Value| sum.saturating_add(length(&it)).saturating_add(between.len());
            bounded(method, parts.try_iter()?.fold(0, sum))?;
        }
        // Every digit may belong to a width.
        ("format", Some(format), _) => {
            let mut widths = format.split(|it: char| !it.is_ascii_digit()).map(str::len);
            let values: usize = args.iter().map(length).fold(0, usize::saturating_add);
            if widths.any(|it| it > 3) {
                return Err(wrong("`format` with a width of more than three digits"));
            }
            let fields = format.matches('{').count();
            bounded(method, fields.saturating_mul(values.saturating_add(1000)))?;
        }
        _ => {}
    }
    let found = match value.as_str() {
        Some(text) => text_method(text, method, args)?,
        None => list_method(value, method, args)?,
    };
    match found {
        Some(found) => Ok(found),
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

/// Those of a string that minijinja lacks.
fn text_method(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let first = args.first().and_then(Value::as_str);
    let width = || args.first().and_then(Value::as_usize).ok_or_else(|| wrong("a width is a number"));
    let three = |left: &str, middle: &str, right: &str| {
        Value::from(Tuple::from(vec![Value::from(left), Value::from(middle), Value::from(right)]))
    };
    Ok(Some(match (method, first) {
        ("removeprefix", Some(it)) => text.strip_prefix(it).unwrap_or(text).into(),
        ("removesuffix", Some(it)) => text.strip_suffix(it).unwrap_or(text).into(),
        ("partition", Some(it)) if !it.is_empty() => match text.split_once(it) {
            Some((left, right)) => three(left, it, right),
            None => three(text, "", ""),
        },
        ("rpartition", Some(it)) if !it.is_empty() => match text.rsplit_once(it) {
            Some((left, right)) => three(left, it, right),
            None => three("", "", text),
        },
        ("rsplit", Some(it)) if !it.is_empty() => {
            let most = args.get(1).and_then(Value::as_i64).and_then(|it| usize::try_from(it).ok());
            let mut parts: Vec<_> = match most {
                Some(most) => text.rsplitn(most.saturating_add(1), it).map(Value::from).collect(),
                None => text.rsplit(it).map(Value::from).collect(),
            };
            parts.reverse();
            parts.into()
        }
        ("index" | "rindex", Some(it)) => {
            let at = if method == "index" { text.find(it) } else { text.rfind(it) };
            let at = at.ok_or_else(|| wrong("substring not found"))?;
            text[..at].chars().count().into()
        }
        ("swapcase", _) => {
            let swapped = text.chars().flat_map(|it| {
                let (lower, upper) = (it.to_lowercase(), it.to_uppercase());
                if it.is_uppercase() { lower.collect::<Vec<_>>() } else { upper.collect() }
            });
            swapped.collect::<String>().into()
        }
        ("casefold", _) => text.to_lowercase().replace('ß', "ss").into(),
        // A letter after anything else than a letter is large.
        ("title", _) => {
            let mut within = false;
            let mut title = String::with_capacity(text.len());
            for character in text.chars() {
                if within {
                    title.extend(character.to_lowercase());
                } else {
                    title.extend(character.to_uppercase());
                }
                within = character.is_alphabetic();
            }
            title.into()
        }
        ("center", _) => center(text, width()?)?.into(),
        ("ljust", _) => padded(text, 0, missing(text, width()?))?.into(),
        ("rjust", _) => padded(text, missing(text, width()?), 0)?.into(),
        ("zfill", _) => {
            let zeros = missing(text, width()?);
            bounded(method, zeros)?;
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            [sign, &"0".repeat(zeros), digits].concat().into()
        }
        _ => return Ok(None),
    }))
}

fn list_method(list: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let ("index", ValueKind::Seq, [wanted]) = (method, list.kind(), args) else { return Ok(None) };
    let at = list.try_iter()?.position(|it| it == *wanted);
    Ok(Some(at.ok_or_else(|| wrong("the value is not in the list"))?.into()))
}

/// How many characters lack to a width.
fn missing(text: &str, width: usize) -> usize {
    width.saturating_sub(text.chars().count())
}

fn padded(text: &str, before: usize, after: usize) -> Result<String, Error> {
    bounded("padding", before.saturating_add(after))?;
    Ok([&" ".repeat(before), text, &" ".repeat(after)].concat())
}

/// Where the spaces are odd, Python puts the greater half left of a text of odd width.
fn center(text: &str, width: usize) -> Result<String, Error> {
    let spaces = missing(text, width);
    let before = spaces / 2 + (spaces & width & 1);
    padded(text, before, spaces - before)
}

/// A number, or the default for what is none.
#[expect(clippy::needless_pass_by_value, reason = "filters take options by value")]
fn int(value: &Value, default: Option<Value>, base: Option<u32>, options: Kwargs) -> Result<Value, Error> {
    let default = options.get::<Option<Value>>("default")?.or(default).unwrap_or(Value::from(0));
    let base = options.get::<Option<u32>>("base")?.or(base).unwrap_or(10);
    options.assert_all_used()?;
    let Some(text) = value.as_str().map(str::trim) else {
        let number = f64::try_from(value.clone()).ok().filter(|it| it.is_finite());
        return Ok(match (value.as_i64(), number) {
            (Some(it), _) => it.into(),
            #[expect(clippy::cast_possible_truncation, reason = "as Python's int: towards zero")]
            (None, Some(it)) => (it.trunc() as i64).into(),
            (None, None) => default,
        });
    };
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).filter(|_| base == 16 || base == 0);
    let base = if digits.is_some() { 16 } else { base.max(2) };
    let number = (2..=36).contains(&base).then(|| i64::from_str_radix(digits.unwrap_or(text), base).ok());
    let of_float = || text.parse::<f64>().ok().filter(|it| it.is_finite());
    Ok(match (number.flatten(), of_float()) {
        (Some(it), _) => it.into(),
        #[expect(clippy::cast_possible_truncation, reason = "as Python's int: towards zero")]
        (None, Some(it)) => (it.trunc() as i64).into(),
        (None, None) => default,
    })
}

/// A number, or the default for what is none.
fn float(value: &Value, default: Option<Value>) -> Value {
    let number = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => f64::try_from(value.clone()).ok(),
    };
    number.map_or_else(|| default.unwrap_or(Value::from(0.0)), Value::from)
}

/// A dictionary of another, or of pairs, and of keyword arguments.
#[expect(clippy::needless_pass_by_value, reason = "functions take options by value")]
fn dict(of: Rest<Value>, options: Kwargs) -> Result<Value, Error> {
    let mut entries: Vec<(Value, Value)> = Vec::new();
    match &of[..] {
        [] => {}
        [map] if map.kind() == ValueKind::Map => {
            for key in map.try_iter()? {
                let value = map.get_item(&key)?;
                entries.push((key, value));
            }
        }
        [pairs] => {
            for pair in pairs.try_iter()? {
                let [key, value] = <[Value; 2]>::try_from(pair.try_iter()?.take(3).collect::<Vec<_>>())
                    .map_err(|_| wrong("a dictionary is made of pairs"))?;
                entries.push((key, value));
            }
        }
        _ => return Err(wrong("`dict` takes one dictionary or one list of pairs")),
    }
    for key in options.args() {
        entries.push((Value::from(key), options.get(key)?));
    }
    Ok(Value::from_pairs(entries))
}

/// The first of January 2025, a Wednesday, at midnight, in C's locale.
fn date(format: &str) -> Result<String, Error> {
    let mut text = String::new();
    let mut rest = format.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let mut letter = rest.next();
        let plain = letter == Some('-');
        if plain {
            letter = rest.next();
        }
        let value = match letter {
            Some('a') => "Wed",
            Some('A') => "Wednesday",
            Some('b' | 'h') => "Jan",
            Some('B') => "January",
            Some('d' | 'm' | 'j') if plain => "1",
            Some('d' | 'm' | 'V') => "01",
            Some('e') => " 1",
            Some('j') => "001",
            Some('Y' | 'G') => "2025",
            Some('y' | 'g') => "25",
            Some('C') => "20",
            Some('H' | 'M' | 'S') if plain => "0",
            Some('H' | 'M' | 'S' | 'U' | 'W') => "00",
            Some('I') => "12",
            Some('p') => "AM",
            Some('f') => "000000",
            Some('u' | 'w') => "3",
            Some('F') => "2025-01-01",
            Some('T' | 'X') => "00:00:00",
            Some('R') => "00:00",
            Some('D' | 'x') => "01/01/25",
            Some('c') => "Wed Jan  1 00:00:00 2025",
            Some('z' | 'Z') => "",
            Some('n') => "\n",
            Some('t') => "\t",
            Some('%') => "%",
            _ => return Err(wrong(format!("the date format `{format}` is not known"))),
        };
        text.push_str(value);
    }
    Ok(text)
}

/// How JSON is written.
struct Style {
    ascii: bool,
    sorted: bool,
    /// What a line is indented by; `None` writes one line.
    indent: Option<String>,
    between: String,
    after_key: String,
}

/// As Python's `json.dumps` writes it, which is what templates were written against: nothing is escaped for
/// HTML, as minijinja's own filter does.
#[expect(clippy::needless_pass_by_value, reason = "filters take options by value")]
fn to_json(state: &State, value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<Value> = options.get("indent")?;
    let indent = match indent.filter(|it| !it.is_none()) {
        None => None,
        Some(it) => match (it.as_str(), it.as_usize()) {
            (Some(text), _) => Some(text.to_owned()),
            (None, Some(width)) if width <= 64 => Some(" ".repeat(width)),
            _ => return Err(wrong("an indent is a text or a number up to 64")),
        },
    };
    let separators: Option<Vec<String>> = options.get("separators")?;
    let (between, after_key) = match separators.as_deref() {
        Some([between, after_key]) => (between.clone(), after_key.clone()),
        Some(_) => return Err(wrong("there are two separators")),
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let style = Style {
        ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        indent,
        between,
        after_key,
    };
    options.assert_all_used()?;
    let mut json = String::new();
    style.write(state, value, 0, &mut json)?;
    Ok(json)
}

impl Style {
    fn write(&self, state: &State, value: &Value, depth: usize, json: &mut String) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(wrong("the value is nested too deeply for JSON"));
        }
        bounded("tojson", json.len())?;
        state.consume_fuel(1)?;
        match value.kind() {
            ValueKind::None => json.push_str("null"),
            ValueKind::Bool => json.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => number(value, json),
            ValueKind::String => self.text(state, value.as_str().unwrap_or_default(), json)?,
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.map(|it| (None, it));
                self.many(state, ['[', ']'], items, depth, json)?;
            }
            ValueKind::Map => {
                let mut entries = Vec::new();
                for key in value.try_iter()? {
                    let name = match key.kind() {
                        ValueKind::String => key.as_str().unwrap_or_default().to_owned(),
                        ValueKind::None | ValueKind::Bool | ValueKind::Number => {
                            let mut name = String::new();
                            self.write(state, &key, depth, &mut name)?;
                            name
                        }
                        kind => return Err(wrong(format!("a {kind} cannot be a key in JSON"))),
                    };
                    entries.push((Some(name), value.get_item(&key)?));
                }
                if self.sorted {
                    entries.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.many(state, ['{', '}'], entries.into_iter(), depth, json)?;
            }
            kind => return Err(wrong(format!("a value that is {kind} has no JSON"))),
        }
        Ok(())
    }

    fn many(
        &self,
        state: &State,
        [open, close]: [char; 2],
        items: impl Iterator<Item = (Option<String>, Value)>,
        depth: usize,
        json: &mut String,
    ) -> Result<(), Error> {
        let line = |depth: usize, json: &mut String| {
            if let Some(indent) = &self.indent {
                json.push('\n');
                (0..depth).for_each(|_| json.push_str(indent));
            }
        };
        json.push(open);
        let mut empty = true;
        for (key, item) in items {
            if !empty {
                json.push_str(&self.between);
            }
            empty = false;
            line(depth + 1, json);
            if let Some(key) = key {
                self.text(state, &key, json)?;
                json.push_str(&self.after_key);
            }
            self.write(state, &item, depth + 1, json)?;
        }
        if !empty {
            line(depth, json);
        }
        json.push(close);
        Ok(())
    }

    fn text(&self, state: &State, text: &str, json: &mut String) -> Result<(), Error> {
        state.consume_fuel(text.len() as u64 / 64)?;
        json.push('"');
        for character in text.chars() {
            match character {
                '"' => json.push_str("\\\""),
                '\\' => json.push_str("\\\\"),
                '\n' => json.push_str("\\n"),
                '\r' => json.push_str("\\r"),
                '\t' => json.push_str("\\t"),
                '\u{8}' => json.push_str("\\b"),
                '\u{c}' => json.push_str("\\f"),
                it if it < ' ' || (self.ascii && !(' '..='~').contains(&it)) => {
                    for unit in it.encode_utf16(&mut [0; 2]) {
                        write!(json, "\\u{unit:04x}").expect("a string takes all");
                    }
                }
                it => json.push(it),
            }
        }
        json.push('"');
        Ok(())
    }
}

/// As Python's `repr`: the fewest digits, an exponent below 1e-4 and from 1e16.
fn number(value: &Value, json: &mut String) {
    let Some(float) = f64::try_from(value.clone()).ok().filter(|_| !value.is_integer()) else {
        write!(json, "{value}").expect("a string takes all");
        return;
    };
    let size = float.abs();
    let written = if float.is_nan() {
        "NaN".to_owned()
    } else if float.is_infinite() {
        if float > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let scientific = format!("{float:e}");
        let (digits, exponent) = scientific.split_once('e').expect("an exponent was asked for");
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(it) => ('-', it),
            None => ('+', exponent),
        };
        format!("{digits}e{sign}{exponent:0>2}")
    } else {
        format!("{float:?}")
    };
    json.push_str(&written);
}
