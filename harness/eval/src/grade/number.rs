//! Number: the answer's final number.

use std::sync::LazyLock;

use serde_json::json;

use super::numeral::{Numeral, Piece, groups, pieces};
use super::quantity::Quantity;
use super::written;
use super::{Evidence, Finding, Form, Grader, cut, mistake};
use crate::yaml::Malformed;

/// The answer's final number is the value.
///
/// What a number is, [`Numeral`] defines. The final one is:
///
/// 1. of the last `\boxed{…}` that is closed and not empty, the last number in it, and none if it holds none;
/// 2. else, after the last "answer is", "answer:" or "answer =" (markup may stand between) that digits follow
///    anywhere, or the last "####" that digits follow at once: the first number, and none if there is none after it.
///    If it begins a calculation, digits and signs alone (`6 * 7 = 42`), it is what follows the last `=` or `≈` of it;
/// 3. else the last number.
///
/// A number straight after "not", "isn't" or "≠" is denied, and passed over. Numbers that stand with it in a chain of commas and
/// an "or" (in a box also of commas or an "and" alone) are all the answer's: an answer that leaves a choice is right if each of
/// them is.
///
/// Without a tolerance it must be the value exactly: as a fraction of 128-bit integers where both are one (0.50, 1/2
/// and 5e-1 are one number, 0.333 and 1/3 are two), else as `f64`. With `tolerance`, the difference is at most that;
/// with `relative`, at most that share of the value. Both bounds are inclusive and computed without rounding.
///
/// A percent sign in the answer is a unit and not read: "75%" is 75. A value that is itself written as a percentage,
/// `"75%"`, is also met by the number without the sign that it stands for, 0.75.
#[derive(Clone, Debug)]
pub(super) struct Number {
    written: String,
    value: Numeral,
    tolerance: Option<Quantity>,
    /// The tolerance, in words.
    within: String,
}

impl Number {
    pub(super) fn check(
        form: &Form<super::form::Figure, written::Number>,
        mistakes: &mut Vec<Malformed>,
    ) -> Option<Self> {
        let long = match form {
            Form::Short(figure) => {
                let (written, value) = (figure.value.written.clone(), figure.value.numeral);
                return Some(Self { written, value, tolerance: None, within: String::new() });
            }
            Form::Long(long) => long,
        };
        let value = long.value.value.numeral;
        let (tolerance, within) = match (&long.tolerance.0, &long.relative.0) {
            (Some(_), Some(relative)) => {
                mistakes.push(mistake(relative.span, "`tolerance` and `relative` at once: give one of them"));
                return None;
            }
            (None, None) => (None, String::new()),
            (Some(tolerance), None) => {
                let figure = &tolerance.value;
                if figure.numeral.percent {
                    let message = "`tolerance` is a percentage: a share of the value is `relative`";
                    mistakes.push(mistake(tolerance.span, message));
                }
                if figure.numeral.quantity.is_negative() {
                    mistakes.push(mistake(
                        tolerance.span,
                        format!("`tolerance` is negative: {}", figure.written),
                    ));
                }
                (Some(figure.numeral.quantity), format!(" within {}", figure.written))
            }
            (None, Some(relative)) => {
                let figure = &relative.value;
                if figure.numeral.quantity.is_negative() {
                    mistakes
                        .push(mistake(relative.span, format!("`relative` is negative: {}", figure.written)));
                }
                let share = if figure.numeral.percent {
                    hundredth(figure.numeral.quantity)
                } else {
                    Some(figure.numeral.quantity)
                };
                let tolerance = share.and_then(|it| it.times(value.quantity.magnitude()));
                if tolerance.is_none() {
                    mistakes.push(mistake(relative.span, "`relative` allows more than any number can be"));
                }
                (tolerance, format!(" within {} of it", figure.written))
            }
        };
        Some(Self { written: long.value.value.written.clone(), value, tolerance, within })
    }

    fn accepts(&self, found: Numeral) -> bool {
        let Self { value, tolerance, .. } = self;
        let as_share = || {
            let tolerance = tolerance.map_or(Some(None), |it| hundredth(it).map(Some))?;
            Some(meets(found.quantity, hundredth(value.quantity)?, tolerance))
        };
        meets(found.quantity, value.quantity, *tolerance)
            || value.percent && !found.percent && as_share().unwrap_or(false)
    }
}

fn meets(found: Quantity, value: Quantity, tolerance: Option<Quantity>) -> bool {
    let within = |tolerance| Some(found.minus(value)?.magnitude().at_most(tolerance));
    found.equals(value) || tolerance.and_then(within).unwrap_or(false)
}

fn hundredth(quantity: Quantity) -> Option<Quantity> {
    quantity.over(Quantity::decimal("100", 0)?)
}

impl Grader for Number {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let found = final_numbers(evidence.text);
        if found.is_empty() {
            return Ok(Finding::wrong("no number found"));
        }
        let written: Vec<&str> = found.iter().map(|it| it.0).collect();
        let answer = Some(cut(&written.join(" or "), 200).into_owned());
        let shown = cut(&written.join(" or "), 60).into_owned();
        Ok(if found.iter().all(|it| self.accepts(it.1)) {
            Finding::right(format!("found {shown}"), answer)
        } else {
            Finding::new(0.0, format!("wanted {}{}, found {shown}", self.written, self.within), answer)
        })
    }

    fn wanted(&self) -> String {
        format!("the number {}{}", self.written, self.within)
    }

    fn canonical(&self) -> serde_json::Value {
        json!({
            "value": self.value.quantity.canonical(),
            "percent": self.value.percent,
            "tolerance": self.tolerance.filter(|it| !it.is_zero()).map(Quantity::canonical),
        })
    }

    fn targets(&self) -> Vec<String> {
        vec![self.written.clone()]
    }

    /// The prompt holds the value itself, as a number in the sense of [`Numeral`], whatever the tolerance. Whole
    /// numbers of one digit are in most prompts, and give nothing away.
    fn leak(&self, prompt: &str) -> Option<String> {
        let digit = self.written.len() == 1;
        let equal = |it: Piece| it.numeral.is_some_and(|it| it.quantity.equals(self.value.quantity));
        (!digit && pieces(prompt).any(equal)).then(|| self.written.clone())
    }
}

static CUE: LazyLock<regex::Regex> = LazyLock::new(|| {
    regex::Regex::new(r#"(?i)answer(?:\s{1,4}is\b|[*_"'}\s]{0,8}[:=])|####"#).expect("the pattern is sound")
});

/// What stands between the numbers of a calculation.
static CALCULATION: LazyLock<regex::Regex> = LazyLock::new(|| {
    regex::Regex::new(
        r"^[\s\\()\[\]{}$]{0,8}(?:[-+−–*×·⋅÷/=≈]|\\(?:times|cdot|div|approx)\b)[\s\\()\[\]{}$]{0,8}$",
    )
    .expect("the pattern is sound")
});

/// What stands before a number that is denied.
static DENIED: LazyLock<regex::Regex> = LazyLock::new(|| {
    regex::Regex::new(concat!(
        r"(?i)(?:(?:\b(?:can)?not|n['’]t)(?:\s(?:be|equal|to|the|exactly|necessarily)){0,3}|≠|!=|\\neq?)",
        r"[\s$({*_]{0,8}$",
    ))
    .expect("the pattern is sound")
});

/// What stands between two numbers that are both given as the answer: a comma, "or", "and", and markup.
static JOINED: LazyLock<regex::Regex> = LazyLock::new(|| {
    regex::Regex::new(concat!(
        r"(?i)^[\s$)}*_]{0,8}(?P<comma>[,;])?(?:[\s$*_~]|\\[,;: ]|\\q?quad\b){0,8}",
        r"(?:(?:\\(?:text|mathrm|mbox)\{\s{0,4})?\b(?P<word>or|and)\b(?:\s{1,4}(?:maybe|perhaps|possibly|else|even))?",
        r"(?:[\s$*_~}]|\\[,;: ]|\\q?quad\b){0,8})?[$({*_]{0,8}$",
    ))
    .expect("the pattern is sound")
});

/// How two numbers that follow one another belong together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joint {
    Comma,
    And,
    Or,
}

fn joint(between: &str) -> Option<Joint> {
    let found = JOINED.captures(between).filter(|_| between.len() <= 60)?;
    match found.name("word").map(|it| it.as_str().to_lowercase()).as_deref() {
        Some("or") => Some(Joint::Or),
        Some(_) => Some(Joint::And),
        None => found.name("comma").map(|_| Joint::Comma),
    }
}

/// The final number of a text, how it is written and what it is; several where the answer leaves a choice between them.
pub(super) fn final_numbers(text: &str) -> Vec<(&str, Numeral)> {
    if let Some(boxed) = boxed(text).next() {
        return last_of(boxed, &affirmed(boxed), &[Joint::Comma, Joint::And, Joint::Or]);
    }
    let pieces = affirmed(text);
    let cue = CUE.find_iter(text).filter(|cue| {
        let next = pieces.partition_point(|it| it.start < cue.end());
        pieces.get(next).is_some_and(|it| {
            // Headings have four marks too.
            let between = &text[cue.end()..it.start];
            cue.as_str() != "####" || between.len() < 16 && !between.contains(|it: char| it.is_alphanumeric())
        })
    });
    let Some(cue) = cue.last() else {
        return last_of(text, &pieces, &[Joint::Or]);
    };
    let after = &pieces[pieces.partition_point(|it| it.start < cue.end())..];
    let mut chosen = 0;
    for (at, pair) in after.windows(2).enumerate() {
        let between = &text[pair[0].end..pair[1].start];
        if !CALCULATION.is_match(between) {
            break;
        }
        if between.contains(['=', '≈']) {
            chosen = at + 1;
        }
    }
    let Some(first) = (chosen..after.len()).find(|it| after[*it].numeral.is_some()) else {
        return Vec::new();
    };
    first_of(text, &after[first..])
}

/// Whether what stands behind this text is denied.
pub(super) fn is_denied(before: &str) -> bool {
    // What the words that are looked for end with: most numbers stand behind something else.
    let bare = before.trim_end_matches(|it: char| it.is_whitespace() || "$({*_".contains(it));
    if !bare.ends_with(|it: char| "teqloy≠=".contains(it.to_ascii_lowercase())) {
        return false;
    }
    // As long as any words that deny, with markup behind them.
    let from = before.char_indices().rev().nth(40).map_or(0, |it| it.0);
    DENIED.is_match(&before[from..])
}

/// The pieces of a text that are not denied.
fn affirmed(text: &str) -> Vec<Piece> {
    pieces(text).filter(|it| !is_denied(&text[..it.start])).collect()
}

/// Numbers that are looked at behind or before the final one: nobody leaves a choice between more.
const MOST_JOINED: usize = 64;

/// The last number, with those before it that are joined to it, if one of these joints is among them.
fn last_of<'a>(text: &'a str, pieces: &[Piece], joints: &[Joint]) -> Vec<(&'a str, Numeral)> {
    let Some(last) = pieces.iter().rposition(|it| it.numeral.is_some()) else { return Vec::new() };
    let mut first = last;
    let mut is_choice = false;
    while first > last.saturating_sub(MOST_JOINED)
        && let Some(joint) = joint(&text[pieces[first - 1].end..pieces[first].start])
    {
        first -= 1;
        is_choice |= joints.contains(&joint);
    }
    told(text, &pieces[if is_choice { first } else { last }..=last])
}

/// The first number, with those behind it that are joined to it, if an "or" is among them.
fn first_of<'a>(text: &'a str, pieces: &[Piece]) -> Vec<(&'a str, Numeral)> {
    let between = |pair: &[Piece]| joint(&text[pair[0].end..pair[1].start]);
    let found: Vec<Joint> = pieces.windows(2).take(MOST_JOINED).map_while(between).collect();
    let length = if found.contains(&Joint::Or) { found.len() + 1 } else { 1 };
    told(text, &pieces[..length])
}

fn told<'a>(text: &'a str, pieces: &[Piece]) -> Vec<(&'a str, Numeral)> {
    let number = |it: &Piece| it.numeral.map(|numeral| (text_of(text, it.start, it.end), numeral));
    pieces.iter().filter_map(number).collect()
}

fn text_of(text: &str, start: usize, end: usize) -> &str {
    text[start..end].trim()
}

/// The contents of every `\boxed{…}` that is closed and not empty, the last one first.
pub(super) fn boxed(text: &str) -> impl Iterator<Item = &str> {
    let groups = if text.contains("\\boxed") { groups(text) } else { Vec::new() };
    groups.into_iter().rev().filter_map(|(open, close)| {
        let inner = text[open + 1..close].trim();
        (text[..open].trim_end().ends_with("\\boxed") && !inner.is_empty()).then_some(inner)
    })
}
