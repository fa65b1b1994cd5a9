//! Steps: the known intermediate results, in order, before the final answer.

use regex::{Regex, RegexBuilder};
use serde_json::json;

use super::exact::fold;
use super::number::{final_numbers, is_denied};
use super::numeral::{Numeral, Piece, pieces};
use super::{Evidence, Finding, Grader, Metric, Text, cut, mistake, text, written};
use crate::count::counted;
use crate::yaml::{Malformed, Spanned};

/// The known steps are in the answer, in order, before the final answer.
///
/// A step is a number, found where a number of the text (as [`Numeral`] defines it) is equal, or a text, found in any
/// case, white space folded, where no letter or digit touches it. Steps count only before the final answer: the number
/// that the grader `number` takes for final or, where `answer` is a text, the last place where it stands and is not denied
/// ("not done"); without `answer`, anywhere.
///
/// With n steps, three shares are reported:
///
/// - **recall**: the most steps that are found in their order, one behind the other, divided by n;
/// - **prefix**: the most *first* steps without a gap that are so found, divided by n;
/// - **follows**: 1 if the final answer is right and at least one step stands before it, else 0; only with `answer`.
///
/// The score is their mean. A text with more than 40 different numbers and more than 20 for each step lists numbers
/// instead of deriving them: no step of it counts.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    steps: Vec<Sought>,
    answer: Option<Sought>,
}

/// A number or text that is looked for.
#[derive(Clone, Debug)]
struct Sought {
    written: String,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Number(Numeral),
    Text(Regex),
}

/// The most steps: more would be slow in a long answer, and nobody writes them.
const MOST: usize = 50;
const NUMBERS: usize = 40;
const NUMBERS_A_STEP: usize = 20;

impl Steps {
    pub(super) fn check(written: &written::Steps, mistakes: &mut Vec<Malformed>) -> Self {
        let list = &written.of;
        if list.value.is_empty() {
            mistakes.push(mistake(list.span, "`of` is empty: there is no step"));
        }
        if list.value.len() > MOST {
            mistakes.push(mistake(list.span, format!("more than {MOST} steps")));
        }
        let steps: Vec<Sought> = list.value.iter().filter_map(|it| sought(it, mistakes)).collect();
        let answer = written.answer.0.as_ref().and_then(|it| sought(it, mistakes));
        Self { steps, answer }
    }
}

fn sought(written: &Spanned<Text>, mistakes: &mut Vec<Malformed>) -> Option<Sought> {
    let folded = fold(&text(written, mistakes)?, false);
    let what = if let Some(numeral) = Numeral::whole(&folded) {
        What::Number(numeral)
    } else {
        let words: Vec<String> = folded.split(' ').map(regex::escape).collect();
        let is_word = |it: char| it.is_alphanumeric() || it == '_';
        let border = |is_needed: bool| if is_needed { r"\b" } else { "" };
        let (before, after) = (border(folded.starts_with(is_word)), border(folded.ends_with(is_word)));
        let pattern = format!("{before}{}{after}", words.join(r"\s+"));
        let Ok(pattern) = RegexBuilder::new(&pattern).case_insensitive(true).build() else {
            mistakes.push(mistake(written.span, "a text that is too long to be looked for"));
            return None;
        };
        What::Text(pattern)
    };
    Some(Sought { written: folded, what })
}

impl Sought {
    /// Where it is found, as the first and last offset of each place, in order.
    fn places(&self, text: &str, pieces: &[Piece]) -> Vec<(usize, usize)> {
        match &self.what {
            What::Number(number) => {
                let equal = |it: &&Piece| it.numeral.is_some_and(|it| it.quantity.equals(number.quantity));
                pieces.iter().filter(equal).map(|it| (it.start, it.end)).collect()
            }
            What::Text(pattern) => pattern.find_iter(text).map(|it| (it.start(), it.end())).collect(),
        }
    }
}

/// The earliest end of each number of steps that are found one behind the other, in order: `ends[k]` of k + 1 steps.
fn chains(places: &[Vec<(usize, usize)>]) -> Vec<usize> {
    let mut ends: Vec<usize> = Vec::new();
    for places in places {
        // From the longest chain down, so that a step continues none that ends with itself.
        for length in (0..=ends.len()).rev() {
            let from = length.checked_sub(1).map_or(0, |it| ends[it]);
            let next = places.partition_point(|it| it.0 < from);
            let Some((_, end)) = places.get(next) else { continue };
            match ends.get_mut(length) {
                Some(known) => *known = (*known).min(*end),
                None => ends.push(*end),
            }
        }
    }
    ends
}

impl Grader for Steps {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let text = evidence.text;
        let all: Vec<Piece> = pieces(text).collect();
        let (end, is_right, found) = match &self.answer {
            None => (text.len(), None, None),
            Some(Sought { what: What::Number(wanted), .. }) => {
                let found = final_numbers(text);
                match found.first() {
                    None => (text.len(), Some(false), None),
                    Some((written, _)) => {
                        let start = written.as_ptr() as usize - text.as_ptr() as usize;
                        let is_right = found.iter().all(|it| it.1.quantity.equals(wanted.quantity));
                        (start, Some(is_right), Some(*written))
                    }
                }
            }
            Some(answer @ Sought { what: What::Text(_), .. }) => {
                let places = answer.places(text, &all);
                match places.iter().rfind(|it| !is_denied(&text[..it.0])) {
                    None => (text.len(), Some(false), None),
                    Some((start, end)) => (*start, Some(true), Some(&text[*start..*end])),
                }
            }
        };
        let before = &all[..all.partition_point(|it| it.end <= end)];
        let mut numbers: Vec<f64> =
            before.iter().filter_map(|it| Some(it.numeral?.quantity.approximate())).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.dedup();
        let is_list = numbers.len() > NUMBERS.max(NUMBERS_A_STEP * self.steps.len());
        let places: Vec<Vec<(usize, usize)>> = self
            .steps
            .iter()
            .map(|it| if is_list { Vec::new() } else { it.places(&text[..end], before) })
            .collect();
        let count = self.steps.len();
        let in_order = chains(&places).len();
        let prefix = (0..=count).rev().find(|it| chains(&places[..*it]).len() == *it).unwrap_or(0);
        let recall = in_order as f64 / count as f64;
        let prefix_share = prefix as f64 / count as f64;
        let follows = is_right.map(|it| f64::from(u8::from(it && in_order > 0)));
        let shares: Vec<f64> = [Some(recall), Some(prefix_share), follows].into_iter().flatten().collect();
        let score = shares.iter().sum::<f64>() / shares.len() as f64;
        let mut reason =
            format!("{in_order} of {} in order, the first {prefix} without a gap", counted(count, "step"));
        if let Some(missing) = self.steps.get(prefix) {
            reason = format!("{reason}, `{}` not found there", cut(&missing.written, 40));
        }
        match (is_right, follows) {
            (Some(false), _) => reason += "; the final answer is wrong",
            (Some(true), Some(0.0)) => reason += "; the final answer is right but follows no step",
            (Some(true), _) => reason += "; the right answer follows",
            (None, _) => {}
        }
        if is_list {
            reason = format!("{reason}; a list of {} numbers derives nothing", numbers.len());
        }
        let metrics = vec![Metric::new("recall", recall), Metric::new("prefix", prefix_share)];
        let metrics = metrics.into_iter().chain(follows.map(|it| Metric::new("follows", it))).collect();
        Ok(Finding { score, reason, answer: found.map(|it| cut(it, 200).into_owned()), metrics })
    }

    fn wanted(&self) -> String {
        let steps: Vec<String> = self.steps.iter().map(|it| it.written.clone()).collect();
        let steps = super::quoted(&steps, "then");
        match &self.answer {
            None => format!("the steps {steps}"),
            Some(answer) => format!("the steps {steps}, and then {}", cut(&answer.written, 60)),
        }
    }

    fn canonical(&self) -> serde_json::Value {
        let text = |it: &Sought| match &it.what {
            What::Number(numeral) => json!({ "number": numeral.quantity.canonical() }),
            What::Text(_) => json!(it.written.to_lowercase()),
        };
        json!({
            "of": self.steps.iter().map(text).collect::<Vec<_>>(),
            "answer": self.answer.as_ref().map(text),
        })
    }

    fn targets(&self) -> Vec<String> {
        self.answer.iter().map(|it| it.written.clone()).collect()
    }
}
