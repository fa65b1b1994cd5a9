//! How numbers and foreign text are written: the same way in every format.

use std::fmt::Write as _;

pub(super) use crate::count::counted;
use crate::count::grouped;
use crate::stats::Interval;

/// What stands for a value that is not there: never 0.
pub(super) const NONE: &str = "–";

/// Writes a value, or a dash.
pub(super) fn or_dash<T>(value: Option<T>, write: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), write)
}

/// A score, or a mean of scores.
pub(super) fn score(value: f64) -> String {
    format!("{value:.3}")
}

/// The ends of an interval.
pub(super) fn interval(it: Interval) -> String {
    format!("[{}, {}]", score(it.low), score(it.high))
}

/// A difference of scores, always with its sign.
pub(super) fn difference(value: f64) -> String {
    let size = score(value.abs());
    match () {
        () if size == "0.000" => "0.000".to_owned(),
        () if value < 0.0 => format!("−{size}"),
        () => format!("+{size}"),
    }
}

/// The ends of an interval of a difference of scores.
pub(super) fn differences(it: Interval) -> String {
    format!("[{}, {}]", difference(it.low), difference(it.high))
}

/// A share, in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", significant(share * 100.0))
}

/// A difference of scores, in points of a hundred.
pub(super) fn points(value: f64) -> String {
    format!("{} points", significant(value * 100.0))
}

/// Three significant digits, without an exponent.
pub(super) fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a finite number is small")]
    let magnitude = |it: f64| it.abs().log10().floor() as i32;
    // Rounding may add a digit: 99.96 is 100.
    let unit = 10f64.powi(magnitude(value) - 2);
    let rounded =
        if unit < 1.0 { (value * unit.recip()).round() * unit } else { (value / unit).round() * unit };
    let decimals = usize::try_from(2 - magnitude(rounded * (1.0 + 1e-12))).unwrap_or(0);
    grouped(&format!("{rounded:.decimals$}"))
}

/// Seconds, in milliseconds.
pub(super) fn milliseconds(seconds: f64) -> String {
    significant(seconds * 1e3)
}

/// Seconds, with their unit.
pub(super) fn seconds(value: f64) -> String {
    format!("{} s", significant(value))
}

/// Joules, with their unit.
pub(super) fn joules(value: f64) -> String {
    format!("{} J", significant(value))
}

/// US dollars.
pub(super) fn dollars(value: f64) -> String {
    format!("${}", significant(value))
}

/// Bytes, in the binary unit that fits.
pub(super) fn bytes(value: u64) -> String {
    let mut size = value as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return format!("{} {unit}", significant(size));
        }
        size /= 1024.0;
    }
    format!("{} TiB", significant(size))
}

/// A whole number, in groups of three digits.
pub(super) fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// Milliseconds since 1970, as ISO 8601 has it, in UTC.
pub(super) fn date(milliseconds: i64) -> String {
    let seconds = milliseconds.div_euclid(1_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years that begin in March, so that a leap day is the last of one: Hinnant, "chrono-compatible low-level date
    // algorithms", `civil_from_days`.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Foreign text with what cannot be seen made visible: control characters, and those that turn or hide text.
///
/// New lines and tabs stay; a carriage return before a new line goes.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for it in text.replace("\r\n", "\n").chars() {
        match it {
            '\n' | '\t' => out.push(it),
            '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "⟨U+{:04X}⟩", u32::from(it));
            }
            _ => out.push(it),
        }
    }
    out
}

/// Foreign text on one line.
pub(super) fn line(text: &str) -> String {
    visible(text.trim_end_matches('\n')).replace('\n', "↵").replace('\t', " ")
}

/// The beginning of a text, and how much was left out.
pub(super) fn excerpt(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((cut, _)) => {
            let more = text[cut..].chars().count();
            format!("{}… ({})", &text[..cut], counted(more, "more character"))
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (value, written) in [
            (0.0, "0"),
            (0.012_345, "0.0123"),
            (0.999_9, "1.00"),
            (1.0, "1.00"),
            (9.994, "9.99"),
            (12.34, "12.3"),
            (99.96, "100"),
            (123.4, "123"),
            (1_234.0, "1,230"),
            (1_234_567.0, "1,230,000"),
        ] {
            assert_eq!(significant(value), written, "{value}");
        }
        for (value, written) in [(0.0, "0.000"), (-0.000_4, "0.000"), (0.05, "+0.050"), (-0.25, "−0.250")] {
            assert_eq!(difference(value), written, "{value}");
        }
        for (value, written) in [(512, "512 B"), (1 << 20, "1.00 MiB"), (3 << 29, "1.50 GiB")] {
            assert_eq!(bytes(value), written, "{value}");
        }
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(milliseconds(0.123_4), "123");
    }

    /// Reference values: GNU `date -u -d @… --iso-8601=seconds`.
    #[test]
    fn dates() {
        for (seconds, written) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_793_534_645, "2026-11-01T12:04:05Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(date(seconds * 1_000), written);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(visible("a\0b\u{202e}c\u{1b}[2J\n\u{e0041}"), "a⟨U+0000⟩b⟨U+202E⟩c⟨U+001B⟩[2J\n⟨U+E0041⟩");
        assert_eq!(line("one\r\ntwo\n"), "one↵two");
        assert_eq!(excerpt("äöü", 2), "äö… (1 more character)");
        assert_eq!(excerpt("äöü", 3), "äöü");
    }
}
