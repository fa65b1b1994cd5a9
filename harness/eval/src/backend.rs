//! Backends: what can answer a request.
//!
//! This file is all that `eval` knows of engines and servers. The trait is blocking and shared by
//! many threads: the harness's threads are the clients, and batching is the backend's business.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A model that answers requests, many at once from many threads.
pub trait Backend: Send + Sync {
    /// What can change an answer's bits.
    fn numerics(&self) -> &Numerics;

    /// The exact prompt that the model would read for these messages.
    ///
    /// Costs a tokenization, no forward pass: weights need not be in memory.
    fn prompt(&self, messages: &[Message]) -> Result<Prompt, BackendError>;

    /// Brings the weights into memory, if they are not there.
    fn load(&self) -> Result<(), BackendError> {
        Ok(())
    }

    /// Blocks until the request is answered.
    ///
    /// Chunks arrive with the time at which they were produced, read where they were produced: a
    /// client thread that wakes late must not make the model look slow.
    fn answer(&self, request: &Request, on_chunk: &mut dyn FnMut(Chunk<'_>)) -> Result<Finish, BackendError>;
}

/// What can change an answer's bits: equal numerics give equal answers to equal requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numerics {
    /// The engine, or the server and its version.
    pub engine: String,
    /// Raised by hand, only when answers can change.
    pub revision: u32,
    /// The kernel path, such as `avx2`: other instructions round otherwise.
    pub path: String,
}

impl std::fmt::Display for Numerics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} r{} {}", self.engine, self.revision, self.path)
    }
}

/// Who speaks a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that hold for the whole conversation.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
    /// Nobody: a message that stands alone and is read as it is, without a chat template. A text of no character
    /// stands for the token that texts begin with.
    #[serde(skip)]
    #[schemars(skip)]
    Text,
}

/// One turn of a conversation, before the chat template.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// The exact text and token ids that a model reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The text after the chat template.
    pub text: String,
    /// The text's token ids, with the special tokens that the model wants; empty where a server keeps them to itself.
    pub tokens: Vec<u32>,
    /// SHA-256 of the chat template; `None` for a base model, which reads the plain text.
    pub template: Option<String>,
}

/// What can be asked of a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Text that follows a prompt.
    Generate(Generate),
    /// Log-probabilities of given continuations of a prompt.
    Score(Score),
    /// The log-probability of a text that is read alone, from its beginning: plain text after the token that begins one.
    ///
    /// One likelihood comes back. A text that is longer than the context is read in parts of the context's length, each
    /// token's probability being counted once, as lm-evaluation-harness's `loglikelihood_rolling` does with a
    /// context of one token.
    Read(String),
}

/// A request for text.
#[derive(Clone, Debug, PartialEq)]
pub struct Generate {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// The most tokens to produce.
    pub max_tokens: u32,
    /// Strings that end the answer; the answer is cut before the first of them.
    pub stop: Vec<String>,
    /// Goes on past the model's own end of turn, to [`Generate::max_tokens`]: for measuring speed.
    pub ignore_eos: bool,
    /// Tells how likely each token was, and this many of the likeliest in its place; `None` tells nothing.
    pub logprobs: Option<u32>,
}

/// A request for log-probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// What may follow, each scored by itself after the same prompt.
    pub continuations: Vec<String>,
}

/// How the next token is chosen. What is `None` is off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Flattens the distribution; 0 is greedy.
    pub temperature: f64,
    /// Keep the k likeliest tokens.
    pub top_k: Option<u32>,
    /// Keep the smallest set of tokens with this probability together.
    pub top_p: Option<f64>,
    /// Keep the tokens with at least this part of the likeliest token's probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
    /// Above 1, makes tokens of prompt and output less likely: logits below 0 are multiplied by it, others divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
    /// Taken from a token's logit as often as it came in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// Taken from a token's logit once, if it came in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// Makes the draw repeatable.
    pub seed: u64,
}

impl Sampling {
    /// Always the likeliest token, and no penalties.
    pub const GREEDY: Self = Self {
        temperature: 0.0,
        top_k: None,
        top_p: None,
        min_p: None,
        repetition_penalty: None,
        frequency_penalty: None,
        presence_penalty: None,
        seed: 0,
    };

    /// Whether the likeliest token is always taken, after penalties.
    pub fn is_greedy(&self) -> bool {
        self.temperature == 0.0
    }
}

/// A token, and how likely it is where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// Its text, of a control token the name; U+FFFD where its bytes are only a part of a character.
    pub text: String,
    /// Its number in the vocabulary; `None` where a server keeps it to itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// The natural logarithm of its probability among all tokens, before penalties, temperature and cuts.
    pub logprob: f64,
}

/// How likely a token of an answer was, and what could have stood in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprobs {
    /// The token of the answer.
    pub chosen: TokenLogprob,
    /// The likeliest, as many as were asked for, the likeliest first.
    pub top: Vec<TokenLogprob>,
}

/// Text that came in one piece: one token from the engine, perhaps more from a server.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// Whole characters; may be empty while a character is incomplete.
    pub text: &'a str,
    /// How many tokens came.
    pub tokens: u32,
    /// When it was produced.
    pub at: Instant,
    /// One for each token that came; empty unless [`Generate::logprobs`] asks.
    pub logprobs: &'a [TokenLogprobs],
}

/// Why generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopReason {
    /// The model ended its turn.
    Stop,
    /// A stop string was met.
    StopString,
    /// The limit of tokens, or the context, was reached.
    Length,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    /// Why generation ended.
    pub reason: StopReason,
    /// When the backend began to work on the request, after any queue.
    pub started: Instant,
    /// Tokens of the prompt, special ones included.
    pub prompt_tokens: u32,
    /// Tokens produced, the one that ended the turn not counted.
    pub output_tokens: u32,
    /// For a [`Score`] request: one for each continuation, in order; for [`Request::Read`], one.
    pub likelihoods: Vec<Likelihood>,
}

/// How likely a continuation is after a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// Sum of the natural-log probabilities of its tokens.
    pub logprob: f64,
    /// How many tokens it has.
    pub tokens: u32,
    /// Whether greedy decoding would have produced it.
    pub greedy: bool,
}

/// Why a request was not answered.
#[derive(Clone, Debug, Error)]
pub enum BackendError {
    /// The model could not be loaded.
    #[error("the model could not be loaded: {0}")]
    Load(String),
    /// The prompt does not fit.
    #[error(
        "the prompt has {prompt_tokens} tokens and may get {max_tokens} more, but the context holds {context}"
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Tokens that the answer may have.
        max_tokens: u32,
        /// The context length.
        context: usize,
    },
    /// The chat template refused these messages, or is broken.
    #[error("the chat template failed: {0}")]
    Template(String),
    /// The backend cannot do this at all.
    #[error("{0}")]
    Unsupported(String),
    /// It broke while answering.
    #[error("the backend failed: {0}")]
    Failed(String),
}
