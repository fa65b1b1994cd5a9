//! Consulting: other models that graders ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use super::{Availability, Session, lock};
use crate::backend::{BackendError, Generate, Request, Score};
use crate::grade::{Found, Inquiry, Unanswered};
use crate::response;
use crate::weights::sha256_of_text;

/// What other models said in this run, by the digest of what they were asked: equal questions are asked once, such as
/// those about labelled answers.
#[derive(Default)]
pub(super) struct Consulted {
    answers: Mutex<HashMap<String, Answer>>,
}

type Answer = Arc<OnceLock<Result<Found, Unanswered>>>;

impl Session {
    /// Finds out what a grader wants to know, for a trial.
    pub(super) fn examine(&self, inquiry: &Inquiry, trial: &str) -> Result<Found, Unanswered> {
        let Some(model) = inquiry.model() else { return self.examiner.examine(inquiry) };
        let request = match inquiry {
            Inquiry::Ask { messages, sampling, max_tokens, .. } => Request::Generate(Generate {
                messages: messages.clone(),
                sampling: sampling.clone(),
                max_tokens: *max_tokens,
                stop: Vec::new(),
                ignore_eos: false,
                logprobs: None,
            }),
            Inquiry::Weigh { messages, replies, .. } => {
                Request::Score(Score { messages: messages.clone(), continuations: replies.clone() })
            }
            Inquiry::Read { text, .. } => Request::Read(text.clone()),
            Inquiry::Run(_) => return self.examiner.examine(inquiry),
        };
        let key = serde_json::to_string(inquiry).map_err(|error| Unanswered::Errored(error.to_string()))?;
        let answer = Arc::clone(lock(&self.consulted.answers).entry(sha256_of_text(&key)).or_default());
        answer.get_or_init(|| self.consult(model, request, trial)).clone()
    }

    fn consult(&self, name: &str, mut request: Request, trial: &str) -> Result<Found, Unanswered> {
        let models = &self.plan.models.models;
        let Some(position) = models.iter().position(|it| it.name == name) else {
            return Err(Unanswered::Errored(self.plan.models.unknown(name)));
        };
        let weights = match &self.available[position] {
            Availability::Ready(weights) => weights,
            Availability::Skipped(reason) => {
                return Err(Unanswered::Skipped(format!("a grader asks `{name}`: {reason}")));
            }
            Availability::Wrong(reason) => {
                return Err(Unanswered::Errored(format!("a grader asks `{name}`: {reason}")));
            }
        };
        let opened = self.pool.open(position, &models[position], weights, trial);
        let opened =
            opened.map_err(|failure| Unanswered::Errored(format!("`{name}`: {}", failure.message)))?;
        let response = opened.load().and_then(|()| {
            if let Request::Score(score) = &mut request
                && opened.backend.prompt(&score.messages)?.template.is_none()
            {
                // In plain text a reply stands in a line of its own.
                score.continuations.iter_mut().for_each(|it| it.insert(0, '\n'));
            }
            response::ask(&*opened.backend, &request)
        });
        let response = response.map_err(|error| match error {
            // What does not fit is not judged, and no fault of the answer.
            BackendError::TooLong { .. } => Unanswered::Unscored(format!("`{name}`: {error}")),
            other => Unanswered::Errored(format!("`{name}`: {other}")),
        })?;
        match request {
            Request::Read(_) => match response.likelihoods[..] {
                [likelihood] => Ok(Found::Read(likelihood)),
                _ => Err(Unanswered::Errored(format!("`{name}` gave no likelihood of the text"))),
            },
            Request::Score(_) => Ok(Found::Weighed(response.likelihoods)),
            Request::Generate(_) => Ok(Found::Said(response.text)),
        }
    }
}
