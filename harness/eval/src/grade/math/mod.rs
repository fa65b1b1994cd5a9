//! Mathematics: the answer is the expression, however it is written.

mod answer;
mod approximate;
mod equal;
mod exact;
mod line;
mod parse;
mod same;
mod token;
mod tree;
mod unit;

use serde_json::json;

use self::answer::candidates;
use self::parse::{Context, read};
use self::same::Rules;
use self::tree::Thing;
use super::written::{self, Domain};
use super::{Evidence, Finding, Form, Grader, Text, cut, mistake};
use crate::yaml::{Malformed, Spanned};

/// The answer is the value, however it is written.
///
/// What is read as the final answer, [`candidates`] defines. The value and the answer are read into trees by a reader of
/// our own; no text is ever run. What it reads, in LaTeX, plain text and Unicode:
///
/// - numbers with separators of thousands (outside brackets a comma with three digits behind it, unless the value is a
///   list), decimals, `0.\overline{3}`, `0.\dot3`, `0.(3)`, `1.5e3`; fractions (`\frac`, `\dfrac`, `/`, `½`, `3:4`), mixed
///   numbers (`2\frac12`, `2 1/2`), percentages;
/// - sums, products (also without a sign), powers, roots, factorials, binomials, absolute values, floor and ceiling, the
///   trigonometric, hyperbolic and inverse functions, `ln`, `log` (natural, or to a base `\log_2`, `log2(x)`), `lg`, `exp`; π, e, i, ∞;
///   `1/2x` is (1/2)·x; a root with an odd index of a negative number is real;
/// - variables of one letter, with an index (`x_1`), or Greek. Two or three small letters are a product of variables in the
///   value, and in an answer if all of them are variables of the value; longer names must be given in `variables`;
/// - equations, inequalities in one variable (with `and` all must hold, with `or` one, with commas all if they can), intervals,
///   their unions and intersections, `\mathbb{R} \setminus \{2\}`, sets, tuples, lists (parted by commas, `or`, `and`; `±`
///   makes two), matrices and vectors, words (`\text{Yes}`);
/// - of several steps joined by `\implies`, the last;
/// - units behind an expression.
///
/// Equal are:
///
/// - expressions by value, as [`equal`](equal::equal) defines it, with its bounds of error. A decimal is what it says: 0.33 is
///   not 1/3, 1.414 is not √2;
/// - equations that differ by a constant factor; `y = 2x` is also met by `2x`, and of an answer `x = …` to anything else the
///   last side counts; of an answer `a ≈ b`, b being within 1 % of a, either;
/// - tuples part by part, in order; of two in round or square brackets, the brackets too, as they may be an interval's; lists in
///   any order unless `ordered`; sets in any order, doubles dropped; a list meets a set, and a tuple's parts in order meet
///   it without its brackets; inequalities and intervals as parts of the real line, pieces that meet joined; matrices by
///   rows, a row vector being a column; words in any case, without brackets and punctuation around them.
///
/// Units: where the value has none, the answer's is not read, as with the grader `number`, nor its percent sign; a value
/// `75\%` is also met by 0.75. Where it has one (a letter alone must be written `\text{ m}`), an answer without is right
/// unless `unit: true`, and another known unit of the same kind is converted (500 cm are 5 m).
///
/// With `simplified`, the answer must also be in its simplest form, as [`tree::Expr::is_simplified`] has it.
///
/// A text of over 2000 bytes, or nested deeper than 24 brackets or 40 operations, is no expression. Letters of other
/// scripts that look like Latin ones (`х`) are others; full-width and mathematical letters and digits are the plain ones.
#[derive(Clone, Debug)]
pub(super) struct Math {
    written: String,
    value: Thing,
    variables: Vec<String>,
    declared: Vec<String>,
    /// Whether the value is a list: then commas part numbers.
    is_list: bool,
    simplified: bool,
    rules: Rules,
}

impl Math {
    pub(super) fn check(form: &Form<Text, written::Math>, mistakes: &mut Vec<Malformed>) -> Option<Self> {
        let known = mistakes.len();
        let (value, long) = match form {
            Form::Short(value) => (value, None),
            Form::Long(long) => (&long.value, Some(long)),
        };
        let domains: Vec<(String, Domain)> = long
            .and_then(|it| it.variables.value())
            .map(|it| it.iter().map(|(name, domain)| (name.clone(), *domain)).collect())
            .unwrap_or_default();
        let declared: Vec<String> = domains.iter().map(|it| it.0.clone()).collect();
        if let Some(variables) = long.and_then(|it| it.variables.0.as_ref()) {
            for name in &declared {
                if !name.chars().all(|it| it.is_alphanumeric() || it == '_')
                    || !name.starts_with(char::is_alphabetic)
                {
                    mistakes.push(mistake(
                        variables.span,
                        format!("`{}` is no name of a variable", cut(name, 40)),
                    ));
                }
            }
        }
        let Spanned { value: Text(written), span } = value;
        let context = Context { declared: &declared, known: None, thousands: true };
        let thing = match read(written.trim(), context) {
            Ok(thing) => thing,
            Err(reason) => {
                let message = format!("`{}` cannot be read as mathematics: {reason}", cut(written, 60));
                mistakes.push(mistake(*span, message));
                return None;
            }
        };
        let rules = Rules {
            domains,
            ordered: long.is_some_and(|it| it.ordered),
            unit: long.is_some_and(|it| it.unit),
        };
        let has_unit = matches!(&thing, Thing::Value(it) if it.unit.is_some());
        if rules.unit && !has_unit {
            mistakes.push(mistake(*span, "`unit: true`, but the value has no unit"));
        }
        let mut has_value = true;
        thing.each(&mut |it| has_value &= equal::has_value(it, &rules.domains));
        if !has_value {
            mistakes.push(mistake(*span, format!("`{}` has no value", cut(written, 60))));
        }
        let mut variables = Vec::new();
        thing.each(&mut |it| it.variables(&mut variables));
        let mut is_simple = true;
        thing.each(&mut |it| is_simple &= it.is_simplified());
        let simplified = long.is_some_and(|it| it.simplified);
        if simplified && !is_simple {
            mistakes
                .push(mistake(*span, "`simplified: true`, but the value itself is not in its simplest form"));
        }
        let is_list = matches!(thing, Thing::List(_) | Thing::Set(_) | Thing::Tuple(..));
        let written = written.trim().to_owned();
        (mistakes.len() == known).then_some(Self {
            written,
            value: thing,
            variables,
            declared,
            is_list,
            simplified,
            rules,
        })
    }
}

impl Grader for Math {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let context =
            Context { declared: &self.declared, known: Some(&self.variables), thousands: !self.is_list };
        let candidates = candidates(evidence.text);
        let Some(first) = candidates.first() else { return Ok(Finding::wrong("found nothing")) };
        let read: Vec<_> = candidates.iter().map(|it| (*it, read(it, context))).collect();
        // Words are what is left where nothing else can be read.
        let is_words = matches!(self.value, Thing::Words(_));
        let is_sound = |it: &&(&str, Result<Thing, String>)| {
            it.1.as_ref().is_ok_and(|it| is_words || !matches!(it, Thing::Words(_)))
        };
        let same = |it: &(&str, Result<Thing, String>)| {
            it.1.as_ref().is_ok_and(|it| self.rules.same(&self.value, it))
        };
        // Of words, a whole sentence is some too: what is in it counts.
        let meant = read.iter().filter(|it| is_words && same(it)).find(is_sound);
        let Some((text, Ok(found))) = meant.or_else(|| read.iter().find(is_sound)) else {
            let reason = match &read[0].1 {
                Err(reason) => reason.clone(),
                Ok(_) => "only words".to_owned(),
            };
            let reason = format!(
                "wanted {}, found `{}`: {}",
                cut(&self.written, 60),
                cut(first, 60),
                cut(&reason, 80)
            );
            return Ok(Finding::new(0.0, reason, Some(cut(first, 200).into_owned())));
        };
        let answer = Some(cut(text, 200).into_owned());
        if !self.rules.same(&self.value, found) {
            let reason = format!("wanted {}, found {}", cut(&self.written, 60), cut(text, 60));
            return Ok(Finding::new(0.0, reason, answer));
        }
        let mut is_simple = true;
        found.each(&mut |it| is_simple &= it.is_simplified());
        if self.simplified && !is_simple {
            let reason =
                format!("found {}, which can be simplified to {}", cut(text, 60), cut(&self.written, 60));
            return Ok(Finding::new(0.0, reason, answer));
        }
        Ok(Finding::right(format!("found {}", cut(text, 60)), answer))
    }

    fn wanted(&self) -> String {
        let form = if self.simplified { " in its simplest form" } else { "" };
        format!("{}{form}", cut(&self.written, 120))
    }

    fn canonical(&self) -> serde_json::Value {
        let domains: Vec<String> =
            self.rules.domains.iter().map(|it| format!("{} {:?}", it.0, it.1)).collect();
        json!({
            "value": self.written,
            "simplified": self.simplified,
            "ordered": self.rules.ordered,
            "unit": self.rules.unit,
            "variables": domains,
        })
    }

    fn targets(&self) -> Vec<String> {
        vec![self.written.clone()]
    }
}
