//! Inquiries: what a grader must know beside the text of a response, and what was found out.
//!
//! A grader never runs anything itself: it says what it wants to know, as data, and judges by what was found, which is
//! stored. So a stored run is graded again without sandbox or model.

use sandbox::judge::{Candidate, Task, Verdict};
use serde::{Deserialize, Serialize};

use crate::backend::{Likelihood, Message, Sampling};

/// What a grader wants to know of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Inquiry {
    /// What another model says to messages.
    Ask {
        /// Its name in `models.yaml`.
        model: String,
        /// The conversation so far.
        messages: Vec<Message>,
        /// How its tokens are chosen.
        sampling: Sampling,
        /// The most tokens that it may say.
        max_tokens: u32,
    },
    /// How likely another model finds each of several replies to messages.
    Weigh {
        /// Its name in `models.yaml`.
        model: String,
        /// The conversation so far.
        messages: Vec<Message>,
        /// The replies.
        replies: Vec<String>,
    },
    /// How likely another model finds a text, read alone from its beginning.
    Read {
        /// Its name in `models.yaml`.
        model: String,
        /// The text.
        text: String,
    },
    /// What a program does.
    Run(Box<Question>),
}

impl Inquiry {
    /// The other model that is asked, by its name in `models.yaml`; `None` where none is.
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::Ask { model, .. } | Self::Weigh { model, .. } | Self::Read { model, .. } => Some(model),
            Self::Run(_) => None,
        }
    }
}

/// A program that is to be judged, and by what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The program.
    pub candidate: Candidate,
    /// What it has to do.
    pub task: Task,
}

/// What was found out: the answer to the [`Inquiry`] of the same name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Found {
    /// What the other model said: the answer to [`Inquiry::Ask`].
    Said(String),
    /// How likely it finds each reply, in order: the answer to [`Inquiry::Weigh`].
    Weighed(Vec<Likelihood>),
    /// How likely it finds the text: the answer to [`Inquiry::Read`].
    Read(Likelihood),
    /// What a program did.
    Run(Verdict),
}

/// Why an inquiry has no answer, and what that makes of the trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Something that was never promised is not here, such as a compiler: the trial is skipped.
    Skipped(String),
    /// It broke, or was refused: the trial is errored.
    Errored(String),
    /// What came back says nothing: the trial is unscored.
    Unscored(String),
}

/// Finds out what graders want to know; shared by many threads.
pub trait Examiner: Send + Sync {
    /// Blocks until it is known.
    fn examine(&self, inquiry: &Inquiry) -> Result<Found, Unanswered>;
}

/// The examiner of a place where nothing can be found out.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

impl Examiner for Nowhere {
    fn examine(&self, inquiry: &Inquiry) -> Result<Found, Unanswered> {
        Err(Unanswered::Errored(format!("nothing here can answer {inquiry:?}")))
    }
}
