//! Numerals: numbers as people and models write them.

use std::borrow::Cow;

use super::quantity::Quantity;

/// A number in text.
///
/// The notations, each with an optional sign (`-`, `+`, `−`, or `–` before a digit) and currency sign before it:
///
/// - digits, with a decimal point (`42`, `0.5`, `.5`), the whole part in groups of three parted by commas (`1,234.5`,
///   in LaTeX also `1{,}234` and `1\,234`), thin spaces or no-break spaces;
/// - such a number with an exponent: `2.5e-3`, `1.5×10^3`, `1.5 \times 10^{-3}`, `2·10³`, `10^6`;
/// - fractions: `3/4`, `3 / 4`, `\frac{3}{4}`, `\frac34`, `½`; after a whole number, mixed ones: `1 1/2`, `1½`;
/// - with `%`, `\%` or `percent` after it, a percentage.
///
/// Everything else is no number, among it:
///
/// - digits straight after a letter, `_` or a letter and a hyphen (`x2`, `H2O`, `GPT-4`), an exponent or index
///   (`x^2`, `a_{1}`), a word of digits, letters and digits again (`0x1F`): these are parts of words and passed over;
/// - digits joined without a space, by commas, points, hyphens, dashes, colons or slashes, to something that is not
///   one number as a whole (`1,2,3`, `3.14.15`, `10-20`, `2024-05-17`, `10:30`);
/// - powers of anything but ten (`2^10`) and multiples of a root or of π (`3\sqrt{2}`, `2π`), whose value is not
///   written down; fractions of anything but numbers; a fraction over zero; a number beyond the range of `f64`;
/// - numbers in words, `NaN`, `inf`.
///
/// A unit after the number is not read: `5kg`, `3rd` and `3 million` are 5, 3 and 3.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numeral {
    pub(super) quantity: Quantity,
    /// Whether a percent sign follows; it is not part of the quantity.
    pub(super) percent: bool,
}

impl Numeral {
    /// The number that the text is, as a whole.
    pub(super) fn whole(text: &str) -> Option<Self> {
        let text = text.trim();
        let piece = pieces(text).next()?;
        (piece.start == 0 && piece.end == text.len()).then_some(piece.numeral).flatten()
    }
}

/// Digits in text that are no part of a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) start: usize,
    pub(super) end: usize,
    /// What they mean, if they are one number.
    pub(super) numeral: Option<Numeral>,
}

/// All pieces of the text, in order.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = Piece> + '_ {
    let scanner = Scanner { text, groups: groups(text) };
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = scanner.next_start(at)?;
            let (end, piece) = scanner.piece(start);
            at = end;
            if piece.is_some() {
                return piece;
            }
        }
    })
}

/// The braces that belong together: the offsets of `{` and `}`, sorted. Escaped and unmatched ones are left out.
pub(super) fn groups(text: &str) -> Vec<(usize, usize)> {
    let mut open = Vec::new();
    let mut groups = Vec::new();
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'{' => open.push(at),
            b'}' => groups.extend(open.pop().map(|start| (start, at))),
            _ => {}
        }
    }
    groups.sort_unstable();
    groups
}

const FRACTIONS: [&str; 4] = ["\\frac", "\\dfrac", "\\tfrac", "\\cfrac"];
const CURRENCIES: [char; 6] = ['$', '€', '£', '¥', '₹', '₽'];
/// What parts thousands, other than the comma.
const SPACES: [&str; 6] = ["\u{2009}", "\u{202f}", "\u{a0}", "{,}", "\\,", "\\!"];
const JOINERS: [&str; 7] = ["-", "–", "—", "−", "‑", ":", "/"];
const TIMES: [&str; 8] = ["×", "x", "X", "*", "·", "⋅", "\\times", "\\cdot"];
const IRRATIONAL: [&str; 4] = ["√", "π", "\\sqrt", "\\pi"];
/// What may stand above a number without making it a power.
const RAISED: [&str; 8] = ["\\circ", "\\text", "°", "th", "st", "nd", "rd", "\\prime"];
/// Exponents beyond this are beyond `f64`, whatever they belong to; nobody writes that many zeros.
const LARGEST_EXPONENT: i32 = 1_000_000;

/// Digits with their separators.
struct Decimal<'a> {
    end: usize,
    /// Without separators of thousands; `None` if the separators make no sense.
    digits: Option<Cow<'a, str>>,
}

struct Scanner<'a> {
    text: &'a str,
    groups: Vec<(usize, usize)>,
}

impl<'a> Scanner<'a> {
    fn next_start(&self, at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        (at..bytes.len()).find(|&it| match bytes[it] {
            b'0'..=b'9' => true,
            b'.' => {
                bytes.get(it + 1).is_some_and(u8::is_ascii_digit)
                    && (it == 0 || !matches!(bytes[it - 1], b'.' | b'0'..=b'9'))
            }
            b'\\' => starts_with_any(&self.text[it..], &FRACTIONS).is_some(),
            // The first bytes of `½` and its like.
            0xc2 | 0xe2 => vulgar(&self.text[it..]).is_some(),
            _ => false,
        })
    }

    /// What begins at a start: where to go on, and the piece if it is no part of a word.
    fn piece(&self, start: usize) -> (usize, Option<Piece>) {
        let (end, quantity) = self.quantity(start);
        let (end, quantity) = self.tail(end, quantity);
        let before = &self.text[..start];
        let before = before.trim_end_matches(CURRENCIES).trim_end_matches('\\');
        let sign = before.chars().next_back().filter(|it| matches!(it, '-' | '−' | '–' | '+'));
        let outer = sign.map_or(before, |it| &before[..before.len() - it.len_utf8()]);
        let outer_bare = outer.trim_end_matches(CURRENCIES).trim_end_matches('\\');
        let neighbour = outer_bare.chars().next_back();
        let hyphen = matches!(sign, Some('-' | '−'));
        let part_of_word = is_raised(outer)
            || sign.is_none() && is_glued(before) && before.len() == start
            || hyphen && neighbour.is_some_and(is_letter);
        if part_of_word {
            return (end, None);
        }
        let is_operator = neighbour.is_some_and(|it| {
            it.is_alphanumeric() || matches!(it, ')' | ']' | '}' | '%' | '°' | '-' | '−' | '–' | '+')
        });
        let (start, negative) = match sign {
            Some(sign) if !is_operator => (outer_bare.len(), sign != '+'),
            _ => (before.len(), false),
        };
        let percent = self.percent(end);
        let quantity = quantity.map(|it| if negative { it.negated() } else { it });
        let numeral = quantity.map(|quantity| Numeral { quantity, percent: percent.is_some() });
        let end = percent.unwrap_or(end);
        (end, Some(Piece { start, end, numeral }))
    }

    /// A number without its sign, and where it ends.
    fn quantity(&self, start: usize) -> (usize, Option<Quantity>) {
        let rest = &self.text[start..];
        if let Some(command) = starts_with_any(rest, &FRACTIONS) {
            return self.frac(start + command.len());
        }
        if let Some((sign, quantity)) = vulgar(rest) {
            return (start + sign.len_utf8(), quantity);
        }
        let first = self.decimal(start);
        let mut end = first.end;
        let mut joined = Vec::new();
        while let Some(joiner) = starts_with_any(&self.text[end..], &JOINERS)
            && self.is_digit(end + joiner.len())
        {
            let next = self.decimal(end + joiner.len());
            end = next.end;
            if joined.len() < 2 {
                joined.push((joiner, next));
            }
        }
        let Some(digits) = first.digits else { return (end, None) };
        match &joined[..] {
            [] => self.single(end, &digits),
            [("/", bottom)] => (end, bottom.digits.as_deref().and_then(|bottom| ratio(&digits, bottom))),
            _ => (end, None),
        }
    }

    /// What follows digits that stand by themselves: an exponent, or the rest of a fraction.
    fn single(&self, end: usize, digits: &str) -> (usize, Option<Quantity>) {
        let rest = &self.text[end..];
        if let Some(after) = rest.strip_prefix(['e', 'E'])
            && let Some((length, exponent)) = integer(after)
            && !after[length..].starts_with(is_word)
        {
            return (end + 1 + length, Quantity::decimal(digits, exponent));
        }
        if digits == "10"
            && let Some((length, exponent)) = power(rest)
        {
            return (end + length, Quantity::decimal("1", exponent));
        }
        if let Some((length, exponent)) = times_ten(rest) {
            return (end + length, Quantity::decimal(digits, exponent));
        }
        let whole = Quantity::decimal(digits, 0);
        if !digits.contains('.')
            && let Some((end, part)) = self.mixed(end)
        {
            return (end, whole.zip(part).and_then(|(whole, part)| whole.plus(part)));
        }
        if let Some(rest) = rest.strip_prefix(" / ")
            && rest.starts_with(|it: char| it.is_ascii_digit())
        {
            let bottom = self.decimal(end + 3);
            let is_chain = starts_with_any(&self.text[bottom.end..], &JOINERS).is_some();
            if let (Some(bottom_digits), false) = (bottom.digits.as_deref(), is_chain) {
                return (bottom.end, ratio(digits, bottom_digits));
            }
        }
        (end, whole)
    }

    /// The fraction after the whole part of a mixed number.
    fn mixed(&self, end: usize) -> Option<(usize, Option<Quantity>)> {
        let rest = &self.text[end..];
        let spaced = rest.strip_prefix(' ').unwrap_or(rest);
        let at = self.text.len() - spaced.len();
        if let Some((sign, quantity)) = vulgar(spaced) {
            return Some((at + sign.len_utf8(), quantity));
        }
        if let Some(command) = starts_with_any(spaced, &FRACTIONS) {
            return Some(self.frac(at + command.len()));
        }
        // `1 1/2`: short enough that a list of numbers is not walked through twice.
        let digits = |text: &'a str| text.bytes().take(5).take_while(u8::is_ascii_digit).count();
        let top = digits(spaced);
        let below = spaced.get(top..)?.strip_prefix('/')?;
        let bottom = digits(below);
        let is_fraction = at > end
            && (1..5).contains(&top)
            && (1..5).contains(&bottom)
            && !below[bottom..].starts_with(|it: char| it == '/' || is_word(it));
        let (top, bottom) = (&spaced[..top], &below[..bottom]);
        let is_proper = is_fraction && top.parse::<u32>().ok()? < bottom.parse::<u32>().ok()?;
        is_proper.then(|| (at + top.len() + 1 + bottom.len(), ratio(top, bottom)))
    }

    /// The two arguments of `\frac`; passed over as a whole where they are no numbers.
    fn frac(&self, at: usize) -> (usize, Option<Quantity>) {
        if self.is_digit(at) && self.is_digit(at + 1) {
            return (at + 2, ratio(&self.text[at..=at], &self.text[at + 1..at + 2]));
        }
        let Some(top) = self.group(at) else { return (at, None) };
        let Some(bottom) = self.group(top.1 + 1) else { return (top.1 + 1, None) };
        let value = |(open, close): (usize, usize)| {
            let text = self.text[open + 1..close].trim_start();
            let unsigned = text.strip_prefix(['-', '−', '+']).unwrap_or(text);
            let decimal = self.decimal(close - unsigned.len());
            let is_all = self.text[decimal.end..close].trim_start().is_empty();
            let quantity =
                Quantity::decimal(decimal.digits.filter(|it| is_all && !it.is_empty())?.as_ref(), 0)?;
            Some(if text.starts_with(['-', '−']) { quantity.negated() } else { quantity })
        };
        let quantity = value(top).zip(value(bottom)).and_then(|(top, bottom)| top.over(bottom));
        (bottom.1 + 1, quantity)
    }

    fn group(&self, at: usize) -> Option<(usize, usize)> {
        let found = self.groups.binary_search_by_key(&at, |it| it.0).ok()?;
        Some(self.groups[found])
    }

    fn decimal(&self, start: usize) -> Decimal<'a> {
        let mut end = self.digits_end(start);
        let first = end - start;
        let mut separator = None;
        let mut has_point = false;
        let mut is_sound = true;
        loop {
            let rest = &self.text[end..];
            let found = if rest.starts_with('.') {
                "."
            } else if rest.starts_with(',') {
                ","
            } else if let Some(space) = starts_with_any(rest, &SPACES) {
                space
            } else {
                break;
            };
            let next = end + found.len();
            let stop = self.digits_end(next);
            let is_group = stop - next == 3
                && !has_point
                && (1..=3).contains(&first)
                && self.text.as_bytes()[start] != b'0'
                && separator.is_none_or(|it| it == found);
            if stop == next || !matches!(found, "." | ",") && !is_group {
                break;
            }
            if found == "." {
                is_sound &= !has_point;
                has_point = true;
            } else {
                is_sound &= is_group;
                separator = Some(found);
            }
            end = stop;
        }
        let written = &self.text[start..end];
        let digits = is_sound.then(|| match separator {
            None => Cow::Borrowed(written),
            Some(_) => written.chars().filter(|it| it.is_ascii_digit() || *it == '.').collect(),
        });
        Decimal { end, digits }
    }

    fn digits_end(&self, start: usize) -> usize {
        start + self.text.as_bytes()[start..].iter().take_while(|it| it.is_ascii_digit()).count()
    }

    fn is_digit(&self, at: usize) -> bool {
        self.text.as_bytes().get(at).is_some_and(u8::is_ascii_digit)
    }

    /// What follows a number and takes its meaning away.
    fn tail(&self, end: usize, quantity: Option<Quantity>) -> (usize, Option<Quantity>) {
        let rest = &self.text[end..];
        if let Some((length, _)) = power(rest) {
            return (end + length, None);
        }
        if is_power(rest) {
            return (end, None);
        }
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        if letters > 0 && self.is_digit(end + letters) {
            let word = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
            return (end + word, None);
        }
        let factor = rest.strip_prefix(' ').unwrap_or(rest);
        let is_multiple = starts_with_any(factor, &IRRATIONAL).is_some();
        (end, quantity.filter(|_| !is_multiple))
    }

    /// Where the percent sign after a number ends.
    fn percent(&self, end: usize) -> Option<usize> {
        let rest = &self.text[end..];
        let spaced = rest.strip_prefix([' ', '\u{a0}', '\u{202f}']).unwrap_or(rest);
        let sign = starts_with_any(spaced, &["%", "\\%", "percent", "per cent"])?;
        Some(self.text.len() - spaced.len() + sign.len())
    }
}

fn ratio(top: &str, bottom: &str) -> Option<Quantity> {
    Quantity::decimal(top, 0)?.over(Quantity::decimal(bottom, 0)?)
}

fn starts_with_any(text: &str, options: &[&'static str]) -> Option<&'static str> {
    options.iter().copied().find(|it| text.starts_with(it))
}

/// A letter of a script that has cases: others run on into digits without being one word with them.
fn is_letter(letter: char) -> bool {
    letter.is_lowercase() || letter.is_uppercase()
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Whether what follows the text is part of a word: `x|2`, `x_|2`.
fn is_glued(before: &str) -> bool {
    let word = before.trim_end_matches('_');
    let last = word.chars().next_back();
    last.is_some_and(|it| is_letter(it) || word.len() < before.len() && it.is_alphanumeric())
}

/// Whether what follows the text is raised, lowered or under a root: `x^|2`, `x_{|2`, `√|2`.
fn is_raised(before: &str) -> bool {
    let outer = before.strip_suffix(['{', '(']).unwrap_or(before);
    let is_power =
        outer.strip_suffix("**").is_some_and(|it| it.ends_with(|it: char| it.is_alphanumeric() || it == ')'));
    outer.ends_with(['^', '√'])
        || outer.ends_with("\\sqrt")
        || is_power
        || outer.len() < before.len() && before.ends_with('{') && outer.ends_with('_')
}

/// A sign and digits at the beginning of a text: their length and value.
fn integer(text: &str) -> Option<(usize, i32)> {
    let unsigned = text.strip_prefix(['-', '−', '–', '+']).unwrap_or(text);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let value = unsigned[..digits].bytes().fold(0, |value: i32, it| {
        value.saturating_mul(10).saturating_add(i32::from(it - b'0')).min(LARGEST_EXPONENT)
    });
    let value = if unsigned.len() < text.len() && !text.starts_with('+') { -value } else { value };
    (digits > 0).then(|| (text.len() - unsigned.len() + digits, value))
}

/// `^3`, `^{-3}`, `^(3)`, `**3` or `³` at the beginning of a text: its length and the exponent.
fn power(text: &str) -> Option<(usize, i32)> {
    if let Some(rest) = text.strip_prefix('^').or_else(|| text.strip_prefix("**")) {
        let inner = rest.strip_prefix(['{', '(']).unwrap_or(rest);
        let (length, exponent) = integer(inner)?;
        let after = &inner[length..];
        let closed = if inner.len() < rest.len() { after.strip_prefix(['}', ')'])? } else { after };
        return Some((text.len() - closed.len(), exponent));
    }
    let unsigned = text.strip_prefix(['⁻', '⁺']).unwrap_or(text);
    let digits = unsigned.trim_start_matches(|it| superscript(it).is_some());
    let raised = &unsigned[..unsigned.len() - digits.len()];
    let value = raised
        .chars()
        .filter_map(superscript)
        .fold(0, |value: i32, digit| value.saturating_mul(10).saturating_add(digit).min(LARGEST_EXPONENT));
    let length = text.len() - digits.len();
    (!raised.is_empty()).then_some((length, if text.starts_with('⁻') { -value } else { value }))
}

/// Whether the text raises what is before it to some power.
fn is_power(text: &str) -> bool {
    let Some(exponent) = text.strip_prefix('^') else { return false };
    let exponent = exponent.trim_start_matches(['{', ' ']);
    starts_with_any(exponent, &RAISED).is_none()
}

/// `× 10^3` at the beginning of a text: its length and the exponent.
fn times_ten(text: &str) -> Option<(usize, i32)> {
    let space = |text: &'_ str| text.len() - text.strip_prefix([' ', '~']).unwrap_or(text).len();
    let mut length = space(text);
    length += starts_with_any(&text[length..], &TIMES)?.len();
    length += space(&text[length..]);
    let ten = text[length..].strip_prefix("10").or_else(|| text[length..].strip_prefix("{10}"))?;
    let (end, exponent) = power(ten)?;
    Some((text.len() - ten.len() + end, exponent))
}

fn superscript(letter: char) -> Option<i32> {
    "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().zip(0..).find(|(it, _)| *it == letter).map(|(_, digit)| digit)
}

fn vulgar(text: &str) -> Option<(char, Option<Quantity>)> {
    let sign = text.chars().next()?;
    let (top, bottom) = match sign {
        '½' => ("1", "2"),
        '⅓' => ("1", "3"),
        '⅔' => ("2", "3"),
        '¼' => ("1", "4"),
        '¾' => ("3", "4"),
        '⅕' => ("1", "5"),
        '⅛' => ("1", "8"),
        '⅜' => ("3", "8"),
        '⅝' => ("5", "8"),
        '⅞' => ("7", "8"),
        _ => return None,
    };
    Some((sign, ratio(top, bottom)))
}
