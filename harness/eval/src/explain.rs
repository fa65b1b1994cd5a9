//! Failures in full: everything needed to understand one, without another look.

use std::fmt::Write as _;

use similar::{ChangeTag, TextDiff};

use crate::backend::{Role, StopReason};
use crate::gate::{Ruling, Standing};
use crate::golden::{Entry, short};
use crate::store::{Outcome, TrialRow};
use crate::trial::{Plan, Trial};
use crate::weights::sha256_of_text;

/// Characters of a prompt or a response that are shown.
const SHOWN: usize = 1_500;

/// One word for a ruling, for counts.
pub(crate) fn word(ruling: Ruling) -> &'static str {
    match ruling {
        Ruling::Same => "same",
        Ruling::Drifted => "drifted",
        Ruling::Better => "better",
        Ruling::Regressed => "regressed",
        Ruling::Reached => "reached",
        Ruling::Missed => "missed",
        Ruling::Undecided => "undecided",
        Ruling::Unscored => "unscored",
        Ruling::Errored => "errored",
    }
}

/// The whole story of a trial that failed.
pub(crate) fn failure(
    plan: &Plan,
    trial: Trial,
    row: &TrialRow,
    standing: Standing,
    ruling: Ruling,
    golden: Option<&Entry>,
) -> String {
    let case = plan.case(trial);
    let variant = plan.variant(trial);
    let headline = match ruling {
        Ruling::Regressed => "regressed: scored below its golden",
        Ruling::Drifted => "drifted: scored as accepted, with another text (PROOFMARK_GATE=strict)",
        Ruling::Missed => "below its threshold",
        Ruling::Unscored => "unscored: the answer cannot be judged",
        _ => "errored: there is no answer",
    };
    let mut out = format!("{}:{}: {headline}\n\n", plan.suite(trial).path.display(), case.line);
    let mut line = |label: &str, text: &str| {
        let text = safe(text).replace('\n', "\n               ");
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {label:<12} {text}");
    };
    for message in &variant.messages {
        let label = match message.role {
            Role::System => "system",
            Role::User | Role::Text => "prompt",
            Role::Assistant => "assistant",
        };
        line(label, &shown(message.content.trim_end()));
    }
    line("wanted", &variant.rubric.wanted());
    match &row.outcome {
        Outcome::Scored(grade) => {
            line("found", grade.answer.as_deref().map_or("nothing", |it| it));
            line("because", &grade.reason);
            let accepted = match golden {
                Some(golden) if !standing.is_stale() => format!("{} accepted", golden.score),
                _ => format!("{} wanted ({})", row.threshold, standing.words()),
            };
            line("score", &format!("{} now, {accepted}", grade.score));
        }
        Outcome::Unscored(reason) | Outcome::Errored(reason) | Outcome::Skipped(reason) => {
            line("because", reason);
        }
    }
    if let Some(response) = &row.response {
        let ended = match response.reason {
            StopReason::Stop => "",
            StopReason::StopString => " (a stop string followed)",
            StopReason::Length => " (cut at the limit of tokens)",
        };
        if variant.rubric.continuations().is_none() {
            line("response", &format!("{}{ended}", shown(&quoted(&response.text))));
        } else {
            let scores: Vec<String> =
                response.likelihoods.iter().map(|it| format!("{:.3}", it.logprob)).collect();
            line("logprobs", &scores.join(", "));
        }
        if let Some(golden) = golden
            && let Some(accepted) = &golden.response
            && golden.digests.response != short(&sha256_of_text(&response.text))
        {
            line("diff", &shown(&diff(accepted, &response.text)));
        }
    }
    let _ = write!(out, "\nrerun: cargo test --test quality -- --exact '{}'", row.name);
    out
}

/// A text in quotes if it is one line, else as it is; control characters never reach a terminal.
fn quoted(text: &str) -> String {
    let safe = safe(text);
    if safe.contains('\n') { format!("\n{safe}") } else { format!("\"{safe}\"") }
}

/// A text without what a terminal would obey.
fn safe(text: &str) -> String {
    text.chars().map(|it| if it.is_control() && it != '\n' && it != '\t' { '\u{fffd}' } else { it }).collect()
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => {
            format!("{}… ({} more characters)", &text[..cut], text[cut..].chars().count())
        }
        None => text.to_owned(),
    }
}

/// Lines that went and came, from the accepted response to this one.
fn diff(accepted: &str, now: &str) -> String {
    let mut out = String::from("- accepted, + now");
    for change in TextDiff::from_lines(accepted, now).iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        // Writing to a String cannot fail.
        let _ = write!(out, "\n{sign} {}", safe(change.value().trim_end_matches('\n')));
    }
    out
}
