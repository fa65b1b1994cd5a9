//! Choice: one of several options.

use serde_json::json;

use super::letter::{Reading, read};
use super::written::{self, By, Normalise};
use super::{Evidence, Finding, Form, Grader, Metric, Options, Spanned, Text, cut, exact, mistake, text};
use crate::backend::Likelihood;
use crate::count::counted;
use crate::yaml::Malformed;

/// The answer settles on the letter of the right option.
///
/// By letter, [`read`] defines on which letter an answer settles; one that settles on none is wrong. By likelihood
/// the options' texts are continuations of the prompt, and the answer is the one with the highest log-probability,
/// divided by nothing, by its tokens, or by the characters (Unicode scalar values) or bytes of the option's text, without
/// what parts it from the prompt; of equal ones, the first. Whichever decides the score, all four are reported as `acc`,
/// `acc-token`, `acc-norm` and `acc-bytes`, each 1 or 0: the first, third and fourth are lm-evaluation-harness's `acc`,
/// `acc_norm` and `acc_bytes`.
///
/// The letters are A to Z; in a case file they may be written small. Without `options` every letter is possible.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    answer: char,
    options: Vec<(char, String)>,
    by: By,
    normalise: Normalise,
}

/// What is measured by likelihood, and how.
const ACCURACIES: [(&str, Normalise); 4] = [
    ("acc", Normalise::None),
    ("acc-token", Normalise::Token),
    ("acc-norm", Normalise::Character),
    ("acc-bytes", Normalise::Byte),
];

impl Choice {
    pub(super) fn check(form: &Form<Text, written::Choice>, mistakes: &mut Vec<Malformed>) -> Option<Self> {
        let long = match form {
            Form::Short(short) => {
                let answer = letter(short, mistakes)?;
                return Some(Self {
                    answer,
                    options: Vec::new(),
                    by: By::Letter,
                    normalise: Normalise::None,
                });
            }
            Form::Long(long) => long,
        };
        let by = long.by.value().copied().unwrap_or(By::Letter);
        let answer = letter(&long.answer, mistakes);
        let options = match &long.options.0 {
            Some(options) => checked(options, mistakes),
            None => Vec::new(),
        };
        if let Some(answer) = answer
            && long.options.0.is_some()
            && !options.iter().any(|it| it.0 == answer)
        {
            let known: Vec<String> = options.iter().map(|it| it.0.to_string()).collect();
            let message = format!("the answer `{answer}` is none of the options {}", known.join(", "));
            mistakes.push(mistake(long.answer.span, message));
        }
        if by == By::Likelihood && long.options.0.is_none() {
            let span = long.by.0.map_or(long.answer.span, |it| it.span);
            mistakes.push(mistake(
                span,
                "a choice by likelihood needs `options`: their texts are what is scored",
            ));
        }
        if let Some(normalise) = long.normalise.0.filter(|_| by == By::Letter) {
            mistakes.push(mistake(normalise.span, "`normalise` is only for `by: likelihood`"));
        }
        let normalise = long.normalise.value().copied().unwrap_or(Normalise::None);
        Some(Self { answer: answer?, options, by, normalise })
    }

    fn likeliest(&self, likelihoods: &[Likelihood], normalise: Normalise) -> Result<char, String> {
        if likelihoods.len() != self.options.len() {
            let found = counted(likelihoods.len(), "likelihood");
            return Err(format!("{found} for {}", counted(self.options.len(), "option")));
        }
        let mut best: Option<(f64, char)> = None;
        for ((letter, text), likelihood) in self.options.iter().zip(likelihoods) {
            let value = match normalise {
                Normalise::None => likelihood.logprob,
                Normalise::Token => likelihood.logprob / f64::from(likelihood.tokens),
                Normalise::Character => likelihood.logprob / text.chars().count() as f64,
                Normalise::Byte => likelihood.logprob / text.len() as f64,
            };
            if !value.is_finite() {
                return Err(format!("the likelihood of option {letter} is not a finite number"));
            }
            if best.is_none_or(|(most, _)| value > most) {
                best = Some((value, *letter));
            }
        }
        best.map(|it| it.1).ok_or_else(|| "there are no options".to_owned())
    }

    fn text(&self) -> Option<&str> {
        self.options.iter().find(|it| it.0 == self.answer).map(|it| it.1.as_str())
    }
}

fn letter(written: &Spanned<Text>, mistakes: &mut Vec<Malformed>) -> Option<char> {
    let letter = single(&written.value.0);
    if letter.is_none() {
        let message = format!("`{}` is not a letter from A to Z", cut(&written.value.0, 40));
        mistakes.push(mistake(written.span, message));
    }
    letter
}

fn single(text: &str) -> Option<char> {
    let mut letters = text.trim().chars();
    letters
        .next()
        .filter(|it| it.is_ascii_alphabetic() && letters.next().is_none())
        .map(|it| it.to_ascii_uppercase())
}

fn checked(options: &Spanned<Options>, mistakes: &mut Vec<Malformed>) -> Vec<(char, String)> {
    let mut checked: Vec<(char, String)> = Vec::new();
    if options.value.0.len() < 2 {
        mistakes.push(mistake(options.span, "fewer than two options"));
    }
    for (key, written) in &options.value.0 {
        let Some(letter) = single(key) else {
            let message = format!("the option `{}` is not named by a letter from A to Z", cut(key, 40));
            mistakes.push(mistake(written.span, message));
            continue;
        };
        if checked.iter().any(|it| it.0 == letter) {
            mistakes.push(mistake(written.span, format!("there are two options {letter}")));
        }
        let Some(text) = text(written, mistakes) else { continue };
        if let Some((other, _)) =
            checked.iter().find(|it| exact::fold(&it.1, false) == exact::fold(&text, false))
        {
            mistakes
                .push(mistake(written.span, format!("the options {other} and {letter} have the same text")));
        }
        checked.push((letter, text));
    }
    checked
}

impl Grader for Choice {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let wanted = self.answer;
        let mut metrics = Vec::new();
        let (found, what) = match self.by {
            By::Likelihood => {
                for (name, normalise) in ACCURACIES {
                    let found = self.likeliest(evidence.likelihoods, normalise)?;
                    metrics.push(Metric::new(name, f64::from(u8::from(found == wanted))));
                }
                (self.likeliest(evidence.likelihoods, self.normalise)?, "the likeliest is")
            }
            By::Letter => match read(evidence.text, &self.options) {
                Reading::Settled(letter) => (letter, "found"),
                Reading::Several(letters) => {
                    let letters: Vec<String> = letters.iter().map(char::to_string).collect();
                    return Ok(Finding::wrong(format!(
                        "wanted {wanted}, settles on none of {}",
                        letters.join(", ")
                    )));
                }
                Reading::Nothing => return Ok(Finding::wrong(format!("wanted {wanted}, found no letter"))),
            },
        };
        let answer = Some(found.to_string());
        let mut finding = if found == wanted {
            Finding::right(format!("{what} {found}"), answer)
        } else {
            Finding::new(0.0, format!("wanted {wanted}, {what} {found}"), answer)
        };
        finding.metrics = metrics;
        Ok(finding)
    }

    fn wanted(&self) -> String {
        match self.text() {
            Some(text) => format!("option {}, `{}`", self.answer, cut(text, 60)),
            None => format!("option {}", self.answer),
        }
    }

    fn canonical(&self) -> serde_json::Value {
        let (by, normalise) = match (self.by, self.normalise) {
            (By::Letter, _) => ("letter", "none"),
            (By::Likelihood, Normalise::None) => ("likelihood", "none"),
            (By::Likelihood, Normalise::Token) => ("likelihood", "token"),
            (By::Likelihood, Normalise::Character) => ("likelihood", "character"),
            (By::Likelihood, Normalise::Byte) => ("likelihood", "byte"),
        };
        json!({ "answer": self.answer, "options": self.options, "by": by, "normalise": normalise })
    }

    fn targets(&self) -> Vec<String> {
        let letter = (self.by == By::Letter).then(|| self.answer.to_string());
        letter.into_iter().chain(self.text().map(str::to_owned)).collect()
    }

    /// The prompt holds the text of the right option and that of no other: where it lists them, it gives nothing away.
    fn leak(&self, prompt: &str) -> Option<String> {
        let given = |text: &str| super::leak::gives_away(prompt, text);
        let others = self.options.iter().filter(|it| it.0 != self.answer);
        self.text().filter(|it| given(it) && !others.clone().any(|it| given(&it.1))).map(str::to_owned)
    }

    fn continuations(&self) -> Option<Vec<String>> {
        (self.by == By::Likelihood).then(|| self.options.iter().map(|it| it.1.clone()).collect())
    }
}
