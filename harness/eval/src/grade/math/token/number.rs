//! Numbers: digits with separators, points, periods and powers of ten.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

use super::{Bracket, Lexer, Token};

/// What a number may have as its power of ten.
const LARGEST_EXPONENT: i64 = 400;

impl Lexer<'_> {
    pub(super) fn number(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let whole = digits(rest);
        let mut written = rest[..whole].to_owned();
        let mut end = whole;
        if (1..=3).contains(&whole) && !rest.starts_with('0') {
            let comma = self.thousands && self.open.iter().all(|it| *it == Bracket::Group);
            for separator in [",", "{,}", "\\,", "\\!", "\u{2009}", "\u{202f}", "\u{a0}", "\\ ", ",\\!"] {
                if matches!(separator, "," | ",\\!") && !comma {
                    continue;
                }
                let group = |end: usize| {
                    let after = rest[end..].strip_prefix(separator)?;
                    (digits(after) == 3).then(|| (end + separator.len() + 3, &after[..3]))
                };
                while let Some((next, group)) = group(end) {
                    written += group;
                    end = next;
                }
                if end > whole {
                    break;
                }
            }
        }
        let mut scale = 0_i64;
        let mut repeating = 0;
        if let Some(part) = rest[end..].strip_prefix('.') {
            let (fixed, period, length) = match repeating_part(part) {
                Some(found) => found,
                None => (&part[..digits(part)], String::new(), digits(part)),
            };
            written += fixed;
            written += &period;
            repeating = period.len();
            scale = i64::try_from(fixed.len()).unwrap_or(i64::MAX);
            // A point with nothing behind it ends a sentence.
            if length > 0 {
                end += 1 + length;
            }
        }
        let mut value = BigRational::from_integer(written.parse().unwrap_or_else(|_| BigInt::zero()));
        if repeating > 0 {
            // With all digits and without the period, over as many nines.
            let short = &written[..written.len() - repeating];
            let short = BigRational::from_integer(short.parse().unwrap_or_else(|_| BigInt::zero()));
            let nines = ten_to(i64::try_from(repeating).unwrap_or(0))? - BigRational::one();
            value = (value - short) / nines;
        }
        if let Some((length, exponent)) = exponent(&rest[end..]) {
            end += length;
            scale = scale.checked_sub(exponent).unwrap_or(i64::MAX);
        }
        value = if scale > 0 { value / ten_to(scale)? } else { value * ten_to(-scale)? };
        self.push(Token::Number(value), end);
        Ok(())
    }
}

/// Digits behind a point of which the last repeat for ever, in any notation: `1\overline{6}`, `1\bar6`, `\dot{1}4\dot{2}`,
/// `1(6)`, `16̅`. Gives those that do not repeat, those that do, and how many bytes all take.
fn repeating_part(part: &str) -> Option<(&str, String, usize)> {
    let (fixed, after) = part.split_at(digits(part));
    if let Some(inner) = ["\\overline", "\\bar"].iter().find_map(|it| after.strip_prefix(it)) {
        let (period, behind) = argument(inner)?;
        return Some((fixed, period.to_owned(), part.len() - behind.len()));
    }
    if let Some(inner) = after.strip_prefix("\\dot") {
        let (first, behind) = argument(inner).filter(|it| it.0.len() == 1)?;
        let (middle, behind) = behind.split_at(digits(behind));
        let last = behind.strip_prefix("\\dot").and_then(argument).filter(|it| it.0.len() == 1);
        return match last {
            Some((last, behind)) => {
                Some((fixed, format!("{first}{middle}{last}"), part.len() - behind.len()))
            }
            None if middle.is_empty() => Some((fixed, first.to_owned(), part.len() - behind.len())),
            None => None,
        };
    }
    if let Some(inner) = after.strip_prefix('(') {
        let (period, behind) = inner.split_at(digits(inner));
        let behind = behind.strip_prefix(')').filter(|_| !period.is_empty())?;
        return Some((fixed, period.to_owned(), part.len() - behind.len()));
    }
    // A line above each digit, which is a character behind it.
    let mut at = fixed.len().checked_sub(1).filter(|_| after.starts_with(OVERLINE))?;
    let fixed = &part[..at];
    let mut period = String::new();
    while digits(&part[at..]) == 1 && part[at + 1..].starts_with(OVERLINE) {
        period += &part[at..=at];
        at += 1 + OVERLINE.len_utf8();
    }
    Some((fixed, period, at))
}

const OVERLINE: char = '\u{305}';

/// The digits that are a command's argument: in braces, or one alone; and what follows.
fn argument(text: &str) -> Option<(&str, &str)> {
    let (found, behind) = match text.strip_prefix('{') {
        Some(inner) => {
            let (found, behind) = inner.split_at(digits(inner));
            (found, behind.strip_prefix('}')?)
        }
        None => text.split_at(digits(text).min(1)),
    };
    (!found.is_empty()).then_some((found, behind))
}

pub(super) fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn ten_to(power: i64) -> Result<BigRational, String> {
    let small = u32::try_from(power).ok().filter(|it| i64::from(*it) <= 4 * LARGEST_EXPONENT);
    let power = small.ok_or("a number that is too large or too small")?;
    Ok(BigRational::from_integer(BigInt::from(10).pow(power)))
}

/// `e-3` behind digits: its length and value.
fn exponent(text: &str) -> Option<(usize, i64)> {
    let after = text.strip_prefix(['e', 'E'])?;
    let unsigned = after.strip_prefix(['-', '+', '−']).unwrap_or(after);
    let count = digits(unsigned);
    let ends = !unsigned[count..].starts_with(char::is_alphabetic);
    let value: i64 = unsigned[..count].parse().ok().filter(|_| ends)?;
    let value = if after.starts_with(['-', '−']) { -value } else { value };
    Some((text.len() - unsigned.len() + count, value))
}
