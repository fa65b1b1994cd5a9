//! Values of expressions: exact numbers, text, truth and lists.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use num_bigint::{BigInt, Sign};
use num_rational::BigRational;
use num_traits::{One as _, Signed as _, ToPrimitive as _, Zero as _};

/// The most levels of lists in lists.
const DEEPEST: u8 = 16;

/// The most that a value may hold, as [`Value::size`] has it.
const LARGEST: u64 = 1_000_000;

/// The most bits of a numerator or a denominator: 2 500 decimal digits.
pub const MOST_BITS: u64 = 8_192;

/// What an expression gives.
#[derive(Clone, Debug)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// A rational number; a whole one where the denominator is 1. There are no others.
    Number(BigRational),
    /// Text.
    Text(Arc<str>),
    /// Values, in order.
    List(List),
}

/// Values in order; a copy of it shares them.
#[derive(Clone, Debug)]
pub struct List {
    items: Arc<Vec<Value>>,
    /// Levels of lists, itself included.
    depth: u8,
    /// What all of it takes, as [`Value::size`] has it: a list whose items share theirs is as large as what it writes.
    size: u64,
}

impl List {
    /// A list of values; the error says in what it is too much.
    pub fn new(items: Vec<Value>) -> Result<Self, &'static str> {
        let list = Self::of(items);
        if list.depth > DEEPEST {
            Err("lists are too deep in lists")
        } else if list.size > LARGEST {
            Err("lists in lists hold more than a million values")
        } else {
            Ok(list)
        }
    }

    fn of(items: Vec<Value>) -> Self {
        let depth = items.iter().map(Value::depth).max().unwrap_or(0).saturating_add(1);
        let size = items.iter().map(Value::size).fold(1, u64::saturating_add);
        Self { items: Arc::new(items), depth, size }
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.items, &other.items) || self.size == other.size && self.items == other.items
    }
}

impl std::ops::Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.items
    }
}

impl Value {
    /// A whole number.
    pub fn whole(number: impl Into<BigInt>) -> Self {
        Self::Number(BigRational::from_integer(number.into()))
    }

    /// A text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(Arc::from(text.as_ref()))
    }

    /// A list that becomes part of another, which is looked at as a whole.
    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(List::of(items))
    }

    /// A list of whole numbers.
    pub(super) fn wholes<T: Into<BigInt>>(numbers: impl IntoIterator<Item = T>) -> Self {
        Self::list(numbers.into_iter().map(Self::whole).collect())
    }

    fn depth(&self) -> u8 {
        match self {
            Self::List(list) => list.depth,
            _ => 0,
        }
    }

    /// What it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "a truth value",
            Self::Number(number) if number.is_integer() => "a whole number",
            Self::Number(_) => "a fraction",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
        }
    }

    /// A message's word for it: its kind, and the value itself where that is short.
    pub(super) fn told(&self) -> String {
        let text = self.to_string();
        if text.chars().count() <= 40 && !text.contains('\n') {
            format!("{} `{text}`", self.kind())
        } else {
            self.kind().to_owned()
        }
    }

    /// How much it holds, in about words of memory: whoever writes it or compares it goes through so much.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::List(list) => list.size,
            other => other.length(),
        }
    }

    /// How much it holds itself, what is in its items left out.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Boolean(_) => 1,
            Self::Number(number) => 1 + bits(number) / 64,
            Self::Text(text) => 1 + text.len() as u64 / 8,
            Self::List(list) => 1 + list.len() as u64,
        }
    }

    /// What a function pays for it: most look at the items alone, and some at all that is in them.
    pub(super) fn cost(&self) -> u64 {
        let fraction = match self {
            Self::Number(number) if !number.is_integer() => (bits(number) / 64).pow(2),
            _ => 0,
        };
        self.length() + self.size() / 16 + fraction
    }

    /// Which of two is less: numbers by size, texts by their characters, `false` before `true`, lists by their first
    /// difference. `None` where the kinds differ.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) => Some(compared(a, b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::List(a), Self::List(b)) => {
                for (a, b) in a.iter().zip(b.iter()) {
                    match a.order(b)? {
                        Ordering::Equal => {}
                        other => return Some(other),
                    }
                }
                Some(a.len().cmp(&b.len()))
            }
            _ => None,
        }
    }

    /// An order of all values, which agrees with [`Value::order`] where that has one.
    pub(super) fn total(&self, other: &Self) -> Ordering {
        let rank = |it: &Self| match it {
            Self::Boolean(_) => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
            Self::List(_) => 3,
        };
        match (self, other) {
            (Self::List(a), Self::List(b)) => {
                let first = a.iter().zip(b.iter()).map(|(a, b)| a.total(b)).find(|it| it.is_ne());
                first.unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            _ => self.order(other).unwrap_or_else(|| rank(self).cmp(&rank(other))),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            // In lowest terms.
            (Self::Number(a), Self::Number(b)) => a.numer() == b.numer() && a.denom() == b.denom(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            _ => false,
        }
    }
}

/// Which of two numbers is less. (`BigRational` goes down a level for each term of their continued fractions, and the
/// stack ends.)
pub(super) fn compared(a: &BigRational, b: &BigRational) -> Ordering {
    if a.denom() == b.denom() {
        return a.numer().cmp(b.numer());
    }
    // Denominators are above 0.
    (a.numer() * b.denom()).cmp(&(b.numer() * a.denom()))
}

/// Bits of the longer of numerator and denominator.
pub(super) fn bits(number: &BigRational) -> u64 {
    number.numer().bits().max(number.denom().bits())
}

/// As templates write it: `-3/4`, text as it is, `[1, 2, "three"]`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Number(number) if number.is_integer() => number.numer().fmt(f),
            Self::Number(number) => write!(f, "{}/{}", number.numer(), number.denom()),
            Self::Text(text) => f.write_str(text),
            Self::List(list) => {
                f.write_str("[")?;
                for (index, item) in list.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    match item {
                        Self::Text(text) => write!(f, "\"{text}\"")?,
                        other => other.fmt(f)?,
                    }
                }
                f.write_str("]")
            }
        }
    }
}

/// A number with so many digits after the point; halves are rounded away from zero.
pub(super) fn decimal(number: &BigRational, digits: usize) -> String {
    let scale = BigInt::from(10).pow(u32::try_from(digits).unwrap_or(u32::MAX).min(1_000));
    let scaled = (number.abs() * BigRational::from_integer(scale)).round().to_integer();
    let sign = if number.is_negative() && !scaled.is_zero() { "-" } else { "" };
    let text = scaled.to_string();
    if digits == 0 {
        return format!("{sign}{text}");
    }
    let text = format!("{text:0>width$}", width = digits + 1);
    let (whole, part) = text.split_at(text.len() - digits);
    format!("{sign}{whole}.{part}")
}

/// The number that a text of digits is: `12`, `-0.5`, `3/4`, `1e6`.
pub(super) fn parsed(text: &str) -> Option<BigRational> {
    let text = text.trim();
    if text.len() > 3_000 {
        return None;
    }
    if let Some((top, bottom)) = text.split_once('/') {
        let (top, bottom): (BigInt, BigInt) = (top.trim().parse().ok()?, bottom.trim().parse().ok()?);
        return (!bottom.is_zero()).then(|| BigRational::new(top, bottom));
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
    let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    if !digits(unsigned) || !digits(part) || unsigned.len() + part.len() == 0 {
        return None;
    }
    let number: BigInt = format!("{whole}{part}").parse().ok()?;
    let exponent = i64::from(exponent) - i64::try_from(part.len()).ok()?;
    let power = BigInt::from(10).pow(u32::try_from(exponent.unsigned_abs()).ok().filter(|it| *it <= 2_400)?);
    Some(if exponent < 0 {
        BigRational::new(number, power)
    } else {
        BigRational::from_integer(number * power)
    })
}

impl From<&Value> for minijinja::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Boolean(it) => Self::from(*it),
            Value::Text(it) => Self::from(Arc::clone(it)),
            Value::List(list) => list.iter().map(Self::from).collect::<Vec<_>>().into(),
            Value::Number(number) => {
                match number.is_integer().then(|| number.to_integer().to_i64()).flatten() {
                    Some(it) => Self::from(it),
                    None => Self::from_object(Exact(number.clone())),
                }
            }
        }
    }
}

/// A fraction, or a whole number that is no machine's, in a template.
pub(super) struct Exact(pub(super) BigRational);

/// As it is written: templates write the items of a list so.
impl fmt::Debug for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Value::Number(self.0.clone()))
    }
}

impl minijinja::value::Object for Exact {
    fn repr(self: &Arc<Self>) -> minijinja::value::ObjectRepr {
        minijinja::value::ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Value::Number(self.0.clone()))
    }
}

/// The exact value that a template's value is; of a float, the decimal that it is written as.
pub(crate) fn exact(value: &minijinja::Value) -> Option<Value> {
    use minijinja::value::ValueKind;
    Some(match value.kind() {
        ValueKind::Bool => Value::Boolean(value.is_true()),
        ValueKind::Number => Value::Number(parsed(&value.to_string())?),
        ValueKind::String => Value::text(value.as_str()?),
        ValueKind::Seq => {
            let items = value.try_iter().ok()?.map(|it| exact(&it)).collect::<Option<Vec<_>>>()?;
            Value::List(List::new(items).ok()?)
        }
        _ => Value::Number(value.downcast_object_ref::<Exact>()?.0.clone()),
    })
}

/// A whole number's sign and size as a `usize`, where it is one.
pub(super) fn index(number: &BigRational) -> Option<usize> {
    (number.is_integer() && number.numer().sign() != Sign::Minus).then(|| number.numer().to_usize()).flatten()
}

/// One.
pub(super) fn one() -> BigRational {
    BigRational::one()
}
