//! Judge: another model scores the answer by a rubric.

mod prompt;

use serde_json::json;

use self::prompt::{Order, Question, Verdict, verdict};
use super::written;
use super::{Evidence, Finding, Found, Grader, Inquiry, Metric, Spanned, Text, cut, mistake, text};
use crate::backend::Sampling;
use crate::count::counted;
use crate::stats::agreement::{Scale, kappa, krippendorff};
use crate::yaml::{Malformed, Span};

/// Another model of `models.yaml` scores the answer by a rubric.
///
/// The judge reads the prompt that [`Question`] defines: the rubric, the question if one is given, and the answer, quoted as
/// data. It gives its verdict in the last line of its reply, in a fixed form, which [`verdict`] reads.
///
/// - **By a scale** (two whole numbers, `[1, 5]` unless given): the score of one vote is (verdict − lowest) / (highest −
///   lowest).
/// - **By comparison** with a `reference` answer: each vote asks twice, the answers in either order, which of the two is better.
///   An answer that is better scores 1, one that is as good ½, one that is worse 0; a vote is the mean of the two. What a
///   judge prefers for its place alone thereby counts ½. The share of votes whose two verdicts agree is reported as
///   `judge.consistent`.
///
/// With `by: likelihood` the judge writes nothing: its verdict is the likeliest of the replies `VERDICT: 1`, `VERDICT: 2` and
/// so on, of equal ones the first. So a judge that is too small to keep to a form has one, too; how little it may be worth,
/// the agreement tells.
///
/// The score is the mean of `votes` votes. One vote is asked greedily; several are drawn at temperature 0.7 with the seeds
/// 0, 1, …, so that they are the same on every run. A verdict that cannot be read leaves the answer *unscored*.
///
/// No judge is trusted unmeasured: `labelled` holds answers with the verdicts that people gave, on which the judge votes in
/// the same way (once a run, however many answers it judges). How far it agrees with the people is printed beside
/// every score: Krippendorff's α (ordinal) and Cohen's κ (unweighted; several votes are rounded to the nearest verdict). Of
/// labelled answers whose verdict cannot be read, the number is told. Nothing of what the judge says is a score without it.
///
/// What another model said is stored with the trial, so that it is graded again without the judge.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    model: String,
    question: Question,
    votes: usize,
    labelled: Vec<(String, Verdict)>,
}

/// The most votes: an odd number of them decides as well as a larger one.
const MOST_VOTES: usize = 25;
/// The most tokens of a verdict with its reasons.
const MAX_TOKENS: u32 = 512;

impl Judge {
    pub(super) fn check(
        written: &written::Judge,
        place: Span,
        mistakes: &mut Vec<Malformed>,
    ) -> Option<Self> {
        let known = mistakes.len();
        let rubric = text(&written.rubric, mistakes);
        let mut optional = |it: &Option<Spanned<Text>>| it.as_ref().and_then(|it| text(it, mistakes));
        let (asked, reference) = (optional(&written.question.0), optional(&written.reference.0));
        let scale = match (&written.scale.0, &reference) {
            (Some(scale), Some(_)) => {
                mistakes
                    .push(mistake(scale.span, "`scale` and `reference` at once: a comparison has no scale"));
                None
            }
            (Some(scale), None) => match scale.value[..] {
                [low, high] if low < high && high - low <= 100 => Some((low, high)),
                _ => {
                    let message =
                        "`scale` is two whole numbers, the lowest and the highest, at most 100 apart";
                    mistakes.push(mistake(scale.span, message));
                    None
                }
            },
            (None, Some(_)) => None,
            (None, None) => Some((1, 5)),
        };
        let votes = written.votes.0.as_ref();
        if let Some(votes) = votes
            && !(1..=MOST_VOTES).contains(&votes.value.0)
        {
            mistakes.push(mistake(votes.span, format!("`votes` is a number from 1 to {MOST_VOTES}")));
        }
        let weighed = written.by.value() == Some(&written::JudgedBy::Likelihood);
        if let Some(votes) = votes.filter(|it| weighed && it.value.0 > 1) {
            mistakes.push(mistake(votes.span, "by likelihood each of `votes` would be the same"));
        }
        let question = Question { rubric: rubric?, asked, reference, scale, weighed };
        if mistakes.len() > known {
            return None;
        }
        let mut labelled = Vec::new();
        for item in &written.labelled.value {
            let Some(answer) = text(&item.answer, mistakes) else { continue };
            if let Some(label) = question.label(&item.label.value.0) {
                labelled.push((answer, label));
            } else {
                let message =
                    format!("`{}` is no verdict: {}", cut(&item.label.value.0, 40), question.forms());
                mistakes.push(mistake(item.label.span, message));
            }
        }
        let differ = labelled.windows(2).any(|it| it[0].1 != it[1].1);
        if mistakes.len() == known && (labelled.len() < 2 || !differ) {
            let message =
                "`labelled` needs answers with at least two different verdicts: a judge is measured by them";
            mistakes.push(mistake(
                if written.labelled.span.len == 0 { place } else { written.labelled.span },
                message,
            ));
        }
        let model = text(&written.model, mistakes)?;
        let votes = votes.map_or(1, |it| it.value.0);
        (mistakes.len() == known).then_some(Self { model, question, votes, labelled })
    }

    /// What is asked about one answer, a vote after the other.
    fn about(&self, answer: &str) -> Vec<Inquiry> {
        let ask = |vote: usize, order| {
            let (model, messages) = (self.model.clone(), self.question.messages(answer, order));
            if self.question.weighed {
                return Inquiry::Weigh { model, messages, replies: self.question.replies() };
            }
            let sampling = if self.votes == 1 {
                Sampling::GREEDY
            } else {
                Sampling { temperature: 0.7, seed: vote as u64, ..Sampling::GREEDY }
            };
            Inquiry::Ask { model, messages, sampling, max_tokens: MAX_TOKENS }
        };
        let orders = self.question.orders();
        (0..self.votes).flat_map(|vote| orders.iter().map(move |order| ask(vote, *order))).collect()
    }

    /// The verdicts of the votes on one answer, as shares from 0 to 1; an error quotes what cannot be read.
    fn votes<'a>(&self, found: &'a [Found]) -> Result<Vec<Vote>, &'a str> {
        let orders = self.question.orders();
        let read = |(found, order): (&'a Found, &Order)| match found {
            Found::Said(said) => verdict(said, &self.question, *order).ok_or(said.as_str()),
            Found::Weighed(likelihoods) => {
                let reply = self.question.likeliest(likelihoods);
                reply.and_then(|it| verdict(&it, &self.question, *order)).ok_or("no reply is likely")
            }
            Found::Read(_) | Found::Run(_) => Err(""),
        };
        let votes = found.chunks(orders.len()).map(|said| {
            let verdicts = said.iter().zip(orders).map(read).collect::<Result<Vec<_>, _>>()?;
            let shares: Vec<f64> = verdicts.iter().map(|it| self.question.share(*it)).collect();
            let share = shares.iter().sum::<f64>() / shares.len() as f64;
            Ok(Vote { share, consistent: verdicts.windows(2).all(|it| it[0] == it[1]) })
        });
        votes.collect()
    }

    /// How far the judge agrees with people, in words and as metrics.
    fn agreement(&self, found: &[Found], each: usize) -> (String, Vec<Metric>) {
        let mut pairs = Vec::new();
        let mut unread = 0;
        for ((_, label), said) in self.labelled.iter().zip(found.chunks(each)) {
            match self.votes(said) {
                Ok(votes) => pairs.push((label.ordinal(), self.question.nearest(mean(&votes)).ordinal())),
                Err(_) => unread += 1,
            }
        }
        let units: Vec<Vec<f64>> = pairs.iter().map(|it| vec![f64::from(it.0), f64::from(it.1)]).collect();
        let alpha = krippendorff(&units, Scale::Ordinal);
        let cohen = kappa(&pairs);
        let shown = |it: Option<f64>| it.map_or_else(|| "–".to_owned(), |it| format!("{it:.2}"));
        let unread =
            if unread > 0 { format!(", {} unread", counted(unread, "verdict")) } else { String::new() };
        let count = counted(self.labelled.len(), "labelled answer");
        let words = format!("on {count} α = {}, κ = {}{unread}", shown(alpha), shown(cohen));
        let mut metrics = vec![Metric::new("labelled", pairs.len() as f64)];
        metrics.extend(alpha.map(|it| Metric::new("alpha", it)));
        metrics.extend(cohen.map(|it| Metric::new("kappa", it)));
        (words, metrics)
    }
}

/// One vote.
#[derive(Clone, Copy, Debug)]
struct Vote {
    /// From 0 to 1.
    share: f64,
    /// Whether both orders of a comparison gave one verdict.
    consistent: bool,
}

fn mean(votes: &[Vote]) -> f64 {
    votes.iter().map(|it| it.share).sum::<f64>() / votes.len() as f64
}

impl Grader for Judge {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let each = self.votes * self.question.orders().len();
        let Some((own, labelled)) = evidence.found.split_at_checked(each) else {
            return Err(format!("{} of {each} verdicts are there", evidence.found.len()));
        };
        let votes = self.votes(own).map_err(|said| {
            let end = said.trim().lines().last().unwrap_or("");
            format!("the verdict of `{}` cannot be read: `{}`", self.model, cut(end, 120))
        })?;
        let score = mean(&votes).clamp(0.0, 1.0);
        let shares: Vec<String> = votes.iter().map(|it| self.question.shown(it.share)).collect();
        let (agreement, mut metrics) = self.agreement(labelled, each);
        let consistent = votes.iter().filter(|it| it.consistent).count() as f64 / votes.len() as f64;
        if self.question.reference.is_some() {
            metrics.push(Metric::new("consistent", consistent));
        }
        let reason = format!("{} says {}; {agreement}", self.model, shares.join(", "));
        let mut finding = Finding::new(score, reason, None);
        finding.metrics = metrics;
        Ok(finding)
    }

    fn wanted(&self) -> String {
        let rubric = cut(&self.question.rubric, 80);
        match &self.question.reference {
            None => format!("what {} holds to be good: {rubric}", self.model),
            Some(_) => format!("what {} holds to be better than the reference: {rubric}", self.model),
        }
    }

    fn canonical(&self) -> serde_json::Value {
        let labelled: Vec<_> =
            self.labelled.iter().map(|(answer, label)| json!([answer, label.ordinal()])).collect();
        let mut canonical = json!({
            "model": self.model,
            "prompt": prompt::VERSION,
            "rubric": self.question.rubric,
            "question": self.question.asked,
            "reference": self.question.reference,
            "scale": self.question.scale,
            "votes": self.votes,
            "labelled": labelled,
        });
        // What is not asked for leaves no trace: goldens of other judges stay fresh.
        if self.question.weighed {
            canonical["by"] = json!("likelihood");
        }
        canonical
    }

    fn targets(&self) -> Vec<String> {
        self.question.reference.iter().cloned().collect()
    }

    fn inquiries(&self, text: &str) -> Vec<Inquiry> {
        let labelled = self.labelled.iter().flat_map(|it| self.about(&it.0));
        self.about(text).into_iter().chain(labelled).collect()
    }

    fn models(&self) -> Vec<String> {
        vec![self.model.clone()]
    }
}
