//! A backend of canned answers: for trying out suites, and the harness itself, without a model.
//!
//! ```yaml
//! version: 1
//! answers:
//!   - { when: "2 + 2", say: "4" }       # the first whose text stands in the prompt
//!   - { when: "the impossible", fail: "no luck" }
//!   - { when: "in a while", say: "now", hold: gate }   # waits as long as the file `gate` is there
//! otherwise: "I do not know."
//! delay_ms: 5                           # before each answer
//! ```

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::backend::{
    Backend, BackendError, Chunk, Finish, Likelihood, Message, Numerics, Prompt, Request, StopReason,
    TokenLogprob, TokenLogprobs,
};
use crate::diagnostic::{Mistake, SourceFile};
use crate::weights::sha256_of_text;
use crate::yaml;

/// Between two looks at the file that an answer waits for.
const LOOK: Duration = Duration::from_millis(5);

/// Canned answers.
#[derive(Debug)]
pub struct Scripted {
    numerics: Numerics,
    script: Script,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    version: u32,
    #[serde(default)]
    answers: Vec<Answer>,
    otherwise: Option<String>,
    #[serde(default)]
    delay_ms: u64,
    /// Stands for another revision of an engine.
    #[serde(default)]
    revision: u32,
    /// Stands for weights that cannot be loaded.
    broken: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    when: String,
    say: Option<String>,
    fail: Option<String>,
    /// A file, relative to the script: the answer waits as long as it is there.
    hold: Option<PathBuf>,
}

impl Scripted {
    /// Reads a script.
    pub fn load(path: &Path) -> Result<Self, Box<Mistake>> {
        let file = SourceFile::load(path)?;
        let mut script: Script = yaml::parse(&file.text)
            .and_then(|root| yaml::read(&root))
            .map_err(|malformed| Box::new(file.mistake(malformed)))?;
        if script.version != 1 {
            let message = format!("a script has version 1, not {}", script.version);
            return Err(Box::new(Mistake::of_file(&file.name, message, None)));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        for hold in script.answers.iter_mut().filter_map(|it| it.hold.as_mut()) {
            *hold = folder.join(&*hold);
        }
        let numerics =
            Numerics { engine: "scripted".to_owned(), revision: script.revision, path: "any".to_owned() };
        Ok(Self { numerics, script })
    }

    fn say(&self, messages: &[Message]) -> Result<&str, BackendError> {
        let prompt = text(messages);
        for Answer { when, say, fail, hold } in &self.script.answers {
            if prompt.contains(when) {
                while hold.as_ref().is_some_and(|it| it.exists()) {
                    std::thread::sleep(LOOK);
                }
                return match (say, fail) {
                    (Some(say), _) => Ok(say),
                    (None, Some(fail)) => Err(BackendError::Failed(fail.clone())),
                    (None, None) => Ok(""),
                };
            }
        }
        let missing = || BackendError::Failed("the script has no answer to this prompt".to_owned());
        self.script.otherwise.as_deref().ok_or_else(missing)
    }
}

fn text(messages: &[Message]) -> String {
    messages.iter().map(|it| it.content.as_str()).collect::<Vec<_>>().join("\n")
}

/// Words, as a script counts tokens.
fn words(text: &str) -> u32 {
    u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX)
}

/// A script knows no other word in the place of one.
fn certain(word: &str, count: u32) -> TokenLogprobs {
    let chosen = TokenLogprob { text: word.to_owned(), id: None, logprob: 0.0 };
    TokenLogprobs { top: (count > 0).then(|| chosen.clone()).into_iter().collect(), chosen }
}

impl Backend for Scripted {
    fn numerics(&self) -> &Numerics {
        &self.numerics
    }

    fn prompt(&self, messages: &[Message]) -> Result<Prompt, BackendError> {
        if let Some(broken) = &self.script.broken {
            return Err(BackendError::Load(broken.clone()));
        }
        Ok(Prompt { text: text(messages), tokens: Vec::new(), template: None })
    }

    #[expect(clippy::disallowed_methods, reason = "a backend reads the clock")]
    fn answer(&self, request: &Request, on_chunk: &mut dyn FnMut(Chunk<'_>)) -> Result<Finish, BackendError> {
        let started = Instant::now();
        if self.script.delay_ms > 0 {
            std::thread::sleep(Duration::from_millis(self.script.delay_ms));
        }
        let finish = |prompt_tokens, output_tokens, likelihoods| Finish {
            reason: StopReason::Stop,
            started,
            prompt_tokens,
            output_tokens,
            likelihoods,
        };
        match request {
            Request::Generate(generate) => {
                let say = self.say(&generate.messages)?;
                for word in say.split_inclusive(char::is_whitespace) {
                    let logprobs = generate.logprobs.map(|count| certain(word, count));
                    let logprobs = logprobs.as_slice();
                    on_chunk(Chunk { text: word, tokens: 1, at: Instant::now(), logprobs });
                }
                Ok(finish(words(&text(&generate.messages)), words(say), Vec::new()))
            }
            Request::Score(score) => {
                let say = self.say(&score.messages)?.trim().to_owned();
                let likelihood = |it: &String| {
                    let greedy = it.trim() == say;
                    // Any order will do for what is not said, as long as it is always the same.
                    let noise = u8::from_str_radix(&sha256_of_text(it)[..2], 16).unwrap_or(0);
                    let logprob = if greedy { -0.1 } else { -5.0 - f64::from(noise) / 64.0 };
                    Likelihood { logprob, tokens: words(it).max(1), greedy }
                };
                let likelihoods = score.continuations.iter().map(likelihood).collect();
                Ok(finish(words(&text(&score.messages)), 0, likelihoods))
            }
            // Every word is as likely as one of eight.
            Request::Read(text) => {
                let tokens = words(text).max(1);
                let logprob = -f64::from(tokens) * 8_f64.ln();
                Ok(finish(0, 0, vec![Likelihood { logprob, tokens, greedy: false }]))
            }
        }
    }
}
