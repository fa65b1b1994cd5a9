//! The engine: a checkpoint that answers requests.

use std::collections::HashSet;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use eval::backend::{
    Backend, BackendError, Chunk, Finish, Generate, Likelihood, Message, Numerics, Prompt, Request, Role,
    Score, StopReason, TokenLogprob, TokenLogprobs,
};
use eval::model::{Arithmetic, Model};

use crate::checkpoint::Checkpoint;
use crate::decoder::{Decoder, KeysValues, blocks_of};
use crate::detokenize::{Detokenizer, Stops};
use crate::folder::{self, Folder};
use crate::kernels::{self, pool::Pool};
use crate::ops::{Device, Machine};
use crate::sampler::Sampler;
use crate::scheduler::{Chosen, Event, Job, Likely, Scheduler, Task};
use crate::spec::Spec;
use crate::template::{self, Template};
use crate::tokenizer::Tokenizer;

/// Raised by hand, only when answers can change.
const REVISION: u32 = 3;

/// Bytes that keys and values may take unless the options say otherwise.
const CACHE: usize = 1 << 30;

/// The same in a GPU's memory.
const CUDA_CACHE: usize = 8 << 30;

/// What can be chosen when a model is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The most tokens, prompt and answer together, where that is less than the model was made for.
    pub context: Option<usize>,
    /// Computes in `f32` throughout, also where weights are quantized, and keeps keys and values so; slower, for
    /// comparisons.
    pub dense: bool,
    /// Threads that compute; `None` for as many as the machine has.
    pub threads: Option<usize>,
    /// The most bytes that keys and values of all sequences take; those of one whole context may take more. `None`
    /// for 1 GiB, on a GPU 8 GiB, or sixteen contexts where that is less.
    pub cache: Option<usize>,
    /// Computes every prompt from its first token, also where another began alike: for measurements.
    pub cold: bool,
    /// What computes; `None` for what `PROOFMARK_DEVICE` says, the CPU unless it is set.
    pub device: Option<Device>,
}

impl Options {
    /// What a model's entry says.
    pub fn of(model: &Model) -> Self {
        Self {
            context: model.context.map(|it| it as usize),
            dense: model.numerics == Arithmetic::F32,
            ..Self::default()
        }
    }
}

/// Bytes of memory that a model needs, the machine's or a GPU's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Weights, as they are computed with.
    pub weights: u64,
    /// Keys and values.
    pub cache: u64,
    /// The most that a step needs besides.
    pub activations: u64,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.cache + self.activations
    }
}

/// A model that is open for requests, any number at once.
///
/// Dropping it gives all memory back.
pub struct Engine {
    /// Until the weights are loaded.
    checkpoint: Mutex<Option<Checkpoint>>,
    spec: Spec,
    options: Options,
    device: Device,
    context: usize,
    weights_bytes: u64,
    memory: Memory,
    tokenizer: Tokenizer,
    template: Option<Template>,
    /// Tokens that end an answer.
    stop: Arc<HashSet<u32>>,
    numerics: Numerics,
    loaded: OnceLock<Result<Loaded, BackendError>>,
}

struct Loaded {
    scheduler: Scheduler,
    time: Duration,
}

/// Opens a model, a GGUF file or a folder of safetensors: reads its files' headers, its tokenizer and its chat
/// template, but no weights.
///
/// What is damaged, or holds what the engine does not know, is a [`BackendError::Load`].
pub fn open(path: &Path, options: Options) -> Result<Engine, BackendError> {
    let load = |reason: String| {
        let prefix = path.display().to_string();
        BackendError::Load(if reason.starts_with(&prefix) { reason } else { format!("{prefix}: {reason}") })
    };
    let mut checkpoint = Checkpoint::open(path).map_err(load)?;
    let spec = checkpoint.spec().clone();
    let Folder { tokenizer, template } = match checkpoint.metadata() {
        Some(gguf) => {
            let tokenizer = Tokenizer::read(gguf, spec.vocabulary).map_err(load)?;
            let template = gguf.text("tokenizer.chat_template").map_err(|err| load(err.to_string()))?;
            Folder { tokenizer, template: template.map(|it| Template::new(it.to_owned())) }
        }
        None => folder::read(path, Some(spec.vocabulary)).map_err(load)?,
    };
    let context = options.context.map_or(spec.context, |it| it.min(spec.context));
    let stop = tokenizer.stops.iter().copied().collect();
    let device = options.device.map_or_else(Device::choose, Ok).map_err(load)?;
    let path_name = match device {
        // All instruction sets give the same bits: see `kernels`.
        Device::Cpu if options.dense => "cpu-f32",
        Device::Cpu => "cpu",
        Device::Cuda if options.dense => {
            return Err(load("`numerics: f32` is not possible on a GPU, which computes in bf16".to_owned()));
        }
        Device::Cuda => "cuda-bf16",
    };
    Ok(Engine {
        weights_bytes: checkpoint.size(),
        memory: memory(&checkpoint, context, options, device).map_err(load)?,
        checkpoint: Mutex::new(Some(checkpoint)),
        spec,
        options,
        device,
        context,
        tokenizer,
        template,
        stop: Arc::new(stop),
        numerics: Numerics { engine: "proofmark".to_owned(), revision: REVISION, path: path_name.to_owned() },
        loaded: OnceLock::new(),
    })
}

/// Whether [`open`] would take this file or folder; if not, why, in one sentence for people.
pub fn supports(path: &Path) -> Result<(), String> {
    open(path, Options::default()).map(drop).map_err(|err| err.to_string())
}

/// Blocks of keys and values: enough for one whole context, and for more as far as the budget goes.
fn blocks(spec: &Spec, context: usize, options: Options, device: Device) -> usize {
    let one = blocks_of(context);
    let bytes = KeysValues::block_bytes(spec, options.dense, device);
    let most = match device {
        Device::Cpu => CACHE,
        Device::Cuda => CUDA_CACHE,
    };
    let many = options.cache.unwrap_or_else(|| most.min(bytes.saturating_mul(16 * one)));
    one.max(many / bytes)
}

fn memory(
    checkpoint: &Checkpoint,
    context: usize,
    options: Options,
    device: Device,
) -> Result<Memory, String> {
    let spec = checkpoint.spec();
    let cache = blocks(spec, context, options, device);
    let cache = cache.saturating_mul(KeysValues::block_bytes(spec, options.dense, device));
    Ok(Memory {
        weights: Decoder::weights_bytes(checkpoint, options.dense, device)?,
        cache: cache as u64,
        activations: Scheduler::step_bytes(spec, device) as u64,
    })
}

impl Engine {
    /// The architecture's name, such as `llama`.
    pub fn architecture(&self) -> &str {
        &self.spec.architecture
    }

    /// The most tokens, prompt and answer together.
    pub fn context_length(&self) -> usize {
        self.context
    }

    /// Bytes of the weights as stored.
    pub fn weights_bytes(&self) -> u64 {
        self.weights_bytes
    }

    /// The chat template's source; `None` for a base model.
    pub fn chat_template(&self) -> Option<&str> {
        self.template.as_ref().map(Template::source)
    }

    /// How long the weights took to load; `None` until they are there.
    pub fn load_time(&self) -> Option<Duration> {
        self.loaded.get()?.as_ref().ok().map(|it| it.time)
    }

    /// The memory that answering needs, from the headers alone.
    pub fn estimate(&self) -> Memory {
        self.memory
    }

    fn scheduler(&self) -> Result<&Scheduler, BackendError> {
        let loaded = self.loaded.get_or_init(|| {
            let begin = now();
            let checkpoint = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner).take();
            let checkpoint =
                checkpoint.ok_or_else(|| BackendError::Load("it was loaded before".to_owned()))?;
            let machine = || -> Result<_, String> {
                let path = kernels::Path::choose()?;
                let pool = self.options.threads.map_or_else(Pool::of_machine, Pool::new);
                Machine::new(self.device, path, pool.map_err(|err| err.to_string())?, &self.spec)
            };
            let load = || {
                let decoder = Decoder::load(&checkpoint, Arc::new(machine()?), self.options.dense)?;
                let blocks = blocks(&self.spec, self.context, self.options, self.device);
                let blocks = u32::try_from(blocks).map_err(|_| format!("a cache of {blocks} blocks"))?;
                Scheduler::start(decoder, blocks, self.options.cold)
            };
            let scheduler = load().map_err(|reason: String| BackendError::Load(reason))?;
            Ok(Loaded { scheduler, time: begin.elapsed() })
        });
        loaded.as_ref().map(|it| &it.scheduler).map_err(Clone::clone)
    }

    /// Hands a request to the scheduler.
    fn submit(&self, tokens: Vec<u32>, task: Task) -> Result<Receiver<Event>, BackendError> {
        let (events, answers) = mpsc::channel();
        self.scheduler()?.submit(Job { tokens, task, events });
        Ok(answers)
    }

    /// A prompt and answer that do not fit are an error, never cut.
    fn fits(&self, prompt_tokens: usize, max_tokens: u32) -> Result<(), BackendError> {
        let context = self.context;
        if prompt_tokens.saturating_add(max_tokens as usize) > context {
            return Err(BackendError::TooLong { prompt_tokens, max_tokens, context });
        }
        Ok(())
    }

    fn generate(
        &self,
        request: &Generate,
        on_chunk: &mut dyn FnMut(Chunk<'_>),
    ) -> Result<Finish, BackendError> {
        let tokens = self.prompt(&request.messages)?.tokens;
        self.fits(tokens.len(), request.max_tokens)?;
        if tokens.is_empty() {
            return Err(BackendError::Unsupported("the prompt has no tokens".to_owned()));
        }
        if request.stop.iter().any(String::is_empty) {
            return Err(BackendError::Unsupported("an empty stop string".to_owned()));
        }
        let sampler = Sampler::new(&request.sampling)?;
        let mut finish = Finish {
            reason: StopReason::Length,
            started: now(),
            prompt_tokens: count(tokens.len()),
            output_tokens: 0,
            likelihoods: Vec::new(),
        };
        if request.max_tokens == 0 {
            return Ok(finish);
        }
        let stop = if request.ignore_eos { Arc::default() } else { Arc::clone(&self.stop) };
        let task = Task::Generate {
            sampler,
            max_tokens: request.max_tokens as usize,
            stop: Arc::clone(&stop),
            logprobs: request.logprobs.map(|it| it as usize),
        };
        let answers = self.submit(tokens, task)?;
        let mut detokenizer = Detokenizer::new(&self.tokenizer);
        let mut stops = Stops::new(&request.stop);
        loop {
            let Chosen { token, at, logprobs } = match next(&answers)? {
                Event::Started(at) => {
                    finish.started = at;
                    continue;
                }
                Event::Token(chosen) => chosen,
                Event::Scored(..) => continue,
                Event::Failed(reason) => return Err(BackendError::Failed(reason)),
            };
            let ended = stop.contains(&token);
            let mut new = String::new();
            if !ended {
                finish.output_tokens += 1;
                new = detokenizer.push(token);
            }
            let last = ended || finish.output_tokens == request.max_tokens;
            if last {
                new.push_str(&detokenizer.finish());
            }
            let (mut text, met) = stops.push(&new);
            if last && !met {
                text.push_str(&stops.finish());
            }
            // The token that ends the turn is no output; it may release text that was held back.
            if !ended || !text.is_empty() {
                let logprobs = logprobs.filter(|_| !ended).map(|it| self.named(token, it));
                on_chunk(Chunk { text: &text, tokens: u32::from(!ended), at, logprobs: logprobs.as_slice() });
            }
            if met || last {
                finish.reason = match (met, ended) {
                    (true, _) => StopReason::StopString,
                    (false, true) => StopReason::Stop,
                    (false, false) => StopReason::Length,
                };
                return Ok(finish);
            }
        }
    }

    /// All continuations share one prefill of the prompt.
    ///
    /// After a chat template, prompt and continuation are tokenized apart: the template ends in special tokens.
    /// In plain text they are tokenized together and split where the prompt's tokens end, spaces at the end of
    /// the prompt counted to the continuation, as lm-evaluation-harness does: so the tokens are those that the
    /// model met in training, even where a word reaches across the border. After no text at all stands the token that
    /// texts begin with.
    fn score(&self, request: &Score) -> Result<Finish, BackendError> {
        let prompt = self.prompt(&request.messages)?;
        let plain = prompt.template.is_none();
        let border = if plain { prompt.text.trim_end().len() } else { prompt.text.len() };
        let context = if plain { self.encode(&prompt.text[..border])? } else { prompt.tokens };
        let wholes = request.continuations.iter().map(|continuation| {
            if plain {
                let whole = self.encode(&format!("{}{continuation}", prompt.text))?;
                let begun = border > 0 || whole.starts_with(&context);
                Ok(if begun { whole } else { [&context[..], &whole].concat() })
            } else {
                let rest = self.tokenizer.encode_continuation(continuation).map_err(BackendError::Failed)?;
                Ok([&context[..], &rest].concat())
            }
        });
        let wholes = wholes.collect::<Result<Vec<_>, _>>()?;
        if context.is_empty() {
            return Err(BackendError::Unsupported("the prompt has no tokens".to_owned()));
        }
        if let Some(index) = wholes.iter().position(|it| it.len() <= context.len()) {
            let text = &request.continuations[index];
            return Err(BackendError::Unsupported(format!("the continuation `{text}` has no tokens")));
        }
        let longest = wholes.iter().map(Vec::len).max().unwrap_or(context.len());
        self.fits(context.len(), count(longest - context.len()))?;
        let prompt_tokens = count(context.len());
        let continuations: Vec<Vec<u32>> =
            wholes.iter().map(|whole| whole[context.len()..].to_vec()).collect();
        let (started, likelihoods) = self.compare(context, continuations)?;
        Ok(Finish { reason: StopReason::Stop, started, prompt_tokens, output_tokens: 0, likelihoods })
    }

    /// How likely each continuation is after the same tokens, and when work on it began.
    fn compare(
        &self,
        context: Vec<u32>,
        continuations: Vec<Vec<u32>>,
    ) -> Result<(Instant, Vec<Likelihood>), BackendError> {
        let mut started = None;
        let mut likelihoods = vec![None; continuations.len()];
        let answers = self.submit(context, Task::Compare { continuations })?;
        while likelihoods.iter().any(Option::is_none) {
            match next(&answers)? {
                Event::Started(at) => started = started.or(Some(at)),
                Event::Scored(index, likelihood) => likelihoods[index] = Some(likelihood),
                Event::Token(_) => {}
                Event::Failed(reason) => return Err(BackendError::Failed(reason)),
            }
        }
        Ok((started.unwrap_or_else(now), likelihoods.into_iter().flatten().collect()))
    }

    /// The text's own tokens, the beginning token not among them, each after those before it: the first after the beginning
    /// token (or, where a model has none, the one that ends), as in lm-evaluation-harness's `loglikelihood_rolling`.
    ///
    /// A window holds as many tokens as the context. Each but the last begins with the token before it; the last one
    /// reaches back as far as it can.
    fn read(&self, text: &str) -> Result<Finish, BackendError> {
        let unsupported = |it: &str| BackendError::Unsupported(it.to_owned());
        let tokens = self.tokenizer.encode_bare(text).map_err(BackendError::Failed)?;
        let begin = self.tokenizer.begin.or(self.tokenizer.end);
        let begin = begin.ok_or_else(|| unsupported("the model has no token that a text can begin with"))?;
        if tokens.is_empty() {
            return Err(unsupported("the text has no tokens"));
        }
        let tokens = [&[begin], &tokens[..]].concat();
        let mut likelihood = Likelihood { logprob: 0.0, tokens: 0, greedy: true };
        let mut started = None;
        let mut from = 1;
        while from < tokens.len() {
            let end = tokens.len().min(from + self.context);
            let window = end.saturating_sub(self.context + 1);
            let (at, part) = self.compare(tokens[window..from].to_vec(), vec![tokens[from..end].to_vec()])?;
            started = started.or(Some(at));
            for it in part {
                likelihood.logprob += it.logprob;
                likelihood.tokens += it.tokens;
                likelihood.greedy &= it.greedy;
            }
            from = end;
        }
        Ok(Finish {
            reason: StopReason::Stop,
            started: started.unwrap_or_else(now),
            prompt_tokens: 0,
            output_tokens: 0,
            likelihoods: vec![likelihood],
        })
    }

    /// A token's log-probability and the likeliest tokens, with their texts.
    fn named(&self, token: u32, (logprob, top): Likely) -> TokenLogprobs {
        let named = |(id, logprob)| TokenLogprob { text: self.tokenizer.text(id), id: Some(id), logprob };
        TokenLogprobs { chosen: named((token, logprob)), top: top.into_iter().map(named).collect() }
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, BackendError> {
        self.tokenizer.encode(text).map_err(BackendError::Failed)
    }
}

impl Backend for Engine {
    fn numerics(&self) -> &Numerics {
        &self.numerics
    }

    /// A model without a chat template reads the contents of the messages, an answer in the line below its question and
    /// anything else after a blank line; one message is read as it is.
    ///
    /// A text that nobody speaks is read as it is by every model.
    ///
    /// What looks like a control token in a message's content is tokenized as text.
    fn prompt(&self, messages: &[Message]) -> Result<Prompt, BackendError> {
        let alone = matches!(messages, [Message { role: Role::Text, .. }]);
        let Some(template) = self.template.as_ref().filter(|_| !alone) else {
            let text = plain(messages);
            let tokens = self.encode(&text)?;
            return Ok(Prompt { text, tokens, template: None });
        };
        let (text, tokens) = template::prompt(template, &self.tokenizer, messages)?;
        Ok(Prompt { text, tokens, template: Some(template.digest().to_owned()) })
    }

    /// The first request does it otherwise. A failure is remembered.
    fn load(&self) -> Result<(), BackendError> {
        self.scheduler().map(drop)
    }

    fn answer(&self, request: &Request, on_chunk: &mut dyn FnMut(Chunk<'_>)) -> Result<Finish, BackendError> {
        match request {
            Request::Generate(it) => self.generate(it, on_chunk),
            Request::Score(it) => self.score(it),
            Request::Read(it) => self.read(it),
        }
    }
}

/// A conversation as plain text: an answer in the line below its question, anything else after a blank line.
///
/// So worked examples show that an answer ends with a blank line, and not that it begins with one.
fn plain(messages: &[Message]) -> String {
    let mut text = String::new();
    for (at, message) in messages.iter().enumerate() {
        let answers = message.role == Role::Assistant && at > 0 && messages[at - 1].role == Role::User;
        text.push_str(match at {
            0 => "",
            _ if answers => "\n",
            _ => "\n\n",
        });
        text.push_str(&message.content);
    }
    text
}

/// The next part of an answer.
fn next(answers: &Receiver<Event>) -> Result<Event, BackendError> {
    answers.recv().map_err(|_| BackendError::Failed("the engine's thread is gone".to_owned()))
}

#[expect(clippy::disallowed_methods, reason = "the engine is a backend: it says when its tokens came")]
fn now() -> Instant {
    Instant::now()
}

/// Counts of tokens are bounded by the context, which is bounded to 2^24.
fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).expect("a count of tokens within the context")
}
