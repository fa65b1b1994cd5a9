//! Plain data: what goes to a candidate and comes back from it, of exact types.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A value of Python's that is data and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Plain {
    /// `None`.
    None,
    /// `True` or `False`, which are no integers here.
    Bool(bool),
    /// An integer of any size.
    Int(Integer),
    /// A floating-point number, in Python's notation: JSON has no infinity.
    Float(#[serde(with = "notation")] f64),
    /// A complex number.
    Complex(#[serde(with = "notation")] f64, #[serde(with = "notation")] f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Self>),
    /// A tuple.
    Tuple(Vec<Self>),
    /// A set; the order means nothing.
    Set(Vec<Self>),
    /// A frozen set.
    FrozenSet(Vec<Self>),
    /// A dictionary; the order means nothing.
    Dict(Vec<(Self, Self)>),
}

/// A whole number: its sign, and its digits in base 16 without zeros in front.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Integer {
    negative: bool,
    digits: String,
}

/// Floats as text.
mod notation {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::float_text(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl From<i64> for Integer {
    fn from(value: i64) -> Self {
        Self { negative: value < 0, digits: format!("{:x}", value.unsigned_abs()) }
    }
}

impl Integer {
    /// From decimal digits, with a sign or without.
    pub(crate) fn from_decimal(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        if digits.is_empty() || digits.len() > 20_000 || !digits.bytes().all(|it| it.is_ascii_digit()) {
            return None;
        }
        // Limbs of 32 bits, the lowest first.
        let mut limbs: Vec<u32> = Vec::new();
        for digit in digits.bytes() {
            let mut carry = u64::from(digit - b'0');
            for limb in &mut limbs {
                carry += u64::from(*limb) * 10;
                *limb = u32::try_from(carry & 0xffff_ffff).expect("32 bits");
                carry >>= 32;
            }
            if carry > 0 {
                limbs.push(u32::try_from(carry).expect("a carry is less than 10"));
            }
        }
        let mut digits = String::new();
        for limb in limbs.iter().rev() {
            let _ = if digits.is_empty() { write!(digits, "{limb:x}") } else { write!(digits, "{limb:08x}") };
        }
        Some(Self::new(negative, &digits))
    }

    /// From Python's `hex`.
    fn from_hex(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let digits = text.strip_prefix("0x")?;
        let is_number =
            !digits.is_empty() && digits.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
        is_number.then(|| Self::new(negative, digits))
    }

    fn new(negative: bool, digits: &str) -> Self {
        match digits.trim_start_matches('0') {
            "" => Self { negative: false, digits: "0".to_owned() },
            digits => Self { negative, digits: digits.to_owned() },
        }
    }

    fn hex(&self) -> String {
        format!("{}0x{}", if self.negative { "-" } else { "" }, self.digits)
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u128::from_str_radix(&self.digits, 16) {
            Ok(value) => write!(f, "{}{value}", if self.negative { "-" } else { "" }),
            Err(_) => f.write_str(&self.hex()),
        }
    }
}

impl Plain {
    /// As it is sent.
    pub(crate) fn encode(&self) -> Value {
        let all = |items: &[Self]| items.iter().map(Self::encode).collect::<Vec<_>>();
        match self {
            Self::None => Value::Null,
            Self::Bool(value) => json!(value),
            Self::Int(value) => json!({ "i": value.hex() }),
            Self::Float(value) => json!({ "f": float_text(*value) }),
            Self::Complex(real, imaginary) => json!({ "c": [float_text(*real), float_text(*imaginary)] }),
            Self::Text(text) => json!(text),
            Self::Bytes(bytes) => json!({ "b": hex_of(bytes) }),
            Self::List(items) => json!({ "l": all(items) }),
            Self::Tuple(items) => json!({ "t": all(items) }),
            Self::Set(items) => json!({ "S": all(items) }),
            Self::FrozenSet(items) => json!({ "F": all(items) }),
            Self::Dict(entries) => {
                json!({ "d": entries.iter().map(|(key, it)| json!([key.encode(), it.encode()])).collect::<Vec<_>>() })
            }
        }
    }

    /// From what was sent by someone who is not to be trusted; `None` if it is not what [`Self::encode`] writes.
    pub(crate) fn decode(value: &Value) -> Option<Self> {
        let entries = match value {
            Value::Null => return Some(Self::None),
            Value::Bool(value) => return Some(Self::Bool(*value)),
            Value::String(text) => return Some(Self::Text(text.clone())),
            Value::Object(entries) if entries.len() == 1 => entries,
            _ => return None,
        };
        let (kind, inner) = entries.iter().next()?;
        let float = |it: &Value| it.as_str()?.parse::<f64>().ok();
        let all = || inner.as_array()?.iter().map(Self::decode).collect::<Option<Vec<_>>>();
        Some(match kind.as_str() {
            "i" => Self::Int(Integer::from_hex(inner.as_str()?)?),
            "f" => Self::Float(float(inner)?),
            "c" => match &inner.as_array()?[..] {
                [real, imaginary] => Self::Complex(float(real)?, float(imaginary)?),
                _ => return None,
            },
            "b" => Self::Bytes(bytes_of(inner.as_str()?)?),
            "l" => Self::List(all()?),
            "t" => Self::Tuple(all()?),
            "S" => Self::Set(distinct(all()?)?),
            "F" => Self::FrozenSet(distinct(all()?)?),
            "d" => {
                let pair = |it: &Value| match &it.as_array()?[..] {
                    [key, it] => Some((Self::decode(key)?, Self::decode(it)?)),
                    _ => None,
                };
                let entries = inner.as_array()?.iter().map(pair).collect::<Option<Vec<_>>>()?;
                distinct(entries.iter().map(|it| it.0.clone()).collect())?;
                Self::Dict(entries)
            }
            _ => return None,
        })
    }

    /// Whether two values are the same, of the same types; floats may differ by the tolerance, absolute or relative
    /// to the second. Nan is the same as nan. What is in a set or the key of a dictionary has no tolerance.
    #[expect(clippy::float_cmp, reason = "equal means equal; the tolerance comes after")]
    pub fn is(&self, wanted: &Self, tolerance: f64) -> bool {
        let near = |a: f64, b: f64| {
            a == b
                || a.is_nan() && b.is_nan()
                || a.is_finite() && b.is_finite() && (a - b).abs() <= tolerance * b.abs().max(1.0)
        };
        let all =
            |a: &[Self], b: &[Self]| a.len() == b.len() && a.iter().zip(b).all(|it| it.0.is(it.1, tolerance));
        match (self, wanted) {
            (Self::Float(a), Self::Float(b)) => near(*a, *b),
            (Self::Complex(a, b), Self::Complex(c, d)) => near(*a, *c) && near(*b, *d),
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => all(a, b),
            (Self::Set(a), Self::Set(b)) | (Self::FrozenSet(a), Self::FrozenSet(b)) => sorted(a) == sorted(b),
            (Self::Dict(a), Self::Dict(b)) => {
                let wanted: HashMap<String, &Self> = b.iter().map(|(key, it)| (key.key(), it)).collect();
                let same =
                    |(key, it): &(Self, Self)| wanted.get(&key.key()).is_some_and(|b| it.is(b, tolerance));
                a.len() == b.len() && a.iter().all(same)
            }
            _ => self == wanted,
        }
    }

    /// Text that is equal for values that are the same, and for no others.
    fn key(&self) -> String {
        // Parts have their lengths before them. To quote them would double the text with each level.
        let joined = |kind: char, keys: Vec<String>| {
            keys.iter().fold(String::from(kind), |mut all, key| {
                let _ = write!(all, "{}:{key}", key.len());
                all
            })
        };
        match self {
            Self::Float(value) => format!("f{}", float_text(if *value == 0.0 { 0.0 } else { *value })),
            Self::Tuple(items) => joined('t', items.iter().map(Self::key).collect()),
            Self::FrozenSet(items) => joined('F', sorted(items)),
            other => other.encode().to_string(),
        }
    }

    /// What kind it is, in Python's words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Complex(..) => "complex",
            Self::Text(_) => "str",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Set(_) => "set",
            Self::FrozenSet(_) => "frozenset",
            Self::Dict(_) => "dict",
        }
    }
}

/// Items without their order.
fn sorted(items: &[Plain]) -> Vec<String> {
    let mut keys: Vec<String> = items.iter().map(Plain::key).collect();
    keys.sort_unstable();
    keys
}

/// The items, if no two are the same.
fn distinct(items: Vec<Plain>) -> Option<Vec<Plain>> {
    sorted(&items).windows(2).all(|it| it[0] != it[1]).then_some(items)
}

/// As Python reads it.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        "nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "inf" } else { "-inf" }.to_owned()
    } else {
        format!("{value:?}")
    }
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|it| u8::from_str_radix(std::str::from_utf8(it).ok().filter(|it| it.len() == 2)?, 16).ok())
        .collect()
}

/// As Python writes it.
impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list(f: &mut fmt::Formatter<'_>, open: &str, items: &[Plain], close: &str) -> fmt::Result {
            f.write_str(open)?;
            for (place, item) in items.iter().enumerate() {
                write!(f, "{}{item}", if place == 0 { "" } else { ", " })?;
            }
            f.write_str(close)
        }
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(value) => f.write_str(if *value { "True" } else { "False" }),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => f.write_str(&float_text(*value)),
            Self::Complex(real, imaginary) => write!(f, "({}{imaginary:+}j)", float_text(*real)),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
            Self::List(items) => list(f, "[", items, "]"),
            Self::Tuple(items) if items.len() == 1 => write!(f, "({},)", items[0]),
            Self::Tuple(items) => list(f, "(", items, ")"),
            Self::Set(items) if items.is_empty() => f.write_str("set()"),
            Self::Set(items) => list(f, "{", items, "}"),
            Self::FrozenSet(items) => list(f, "frozenset([", items, "])"),
            Self::Dict(entries) => {
                f.write_str("{")?;
                for (place, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key}: {value}", if place == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}
