//! The engine: a GGUF file that answers requests.

use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use candle_core::Tensor;
use eval::backend::{
    Backend, BackendError, Chunk, Finish, Generate, Likelihood, Message, Numerics, Prompt, Request, Score,
    StopReason,
};

use crate::decoder::{CHUNK, Cache, Decoder, Wanted};
use crate::detokenize::{Detokenizer, Stops};
use crate::gguf::Gguf;
use crate::old_spec::Spec;
use crate::queue::Queue;
use crate::sampler::Sampler;
use crate::template::Template;
use crate::tokenizer::Tokenizer;

/// Raised by hand, only when answers can change.
const REVISION: u32 = 1;
/// Rows of logits that are in memory together while continuations are scored.
const SCORED_ROWS: usize = 16;

/// What can be chosen when a model is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The most tokens, prompt and answer together, where that is less than the model was made for.
    pub context: Option<usize>,
}

/// Bytes of memory that a model needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Weights: matrices of the layers in `f32`, embeddings and head as stored.
    pub weights: u64,
    /// Keys and values of a full context.
    pub cache: u64,
    /// The most that a pass needs besides.
    pub activations: u64,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.cache + self.activations
    }
}

/// A model in a GGUF file, open for requests.
///
/// It answers one request at a time, in order of arrival. Dropping it gives all memory back.
pub struct Engine {
    file: File,
    gguf: Gguf,
    spec: Spec,
    context: usize,
    tokenizer: Tokenizer,
    template: Option<Template>,
    numerics: Numerics,
    queue: Queue,
    loaded: OnceLock<Result<Loaded, BackendError>>,
}

struct Loaded {
    decoder: Decoder,
    time: Duration,
}

/// Opens a model: reads the file's header, its tokenizer and its chat template, but no weights.
///
/// A file that is not GGUF, is damaged, or holds what the engine does not know is a [`BackendError::Load`].
pub fn open(path: &Path, options: Options) -> Result<Engine, BackendError> {
    let load = |reason: String| BackendError::Load(format!("{}: {reason}", path.display()));
    let file = File::open(path).map_err(|err| load(err.to_string()))?;
    let metadata = file.metadata().map_err(|err| load(err.to_string()))?;
    if !metadata.is_file() {
        return Err(load("not a file".to_owned()));
    }
    let reader = std::io::BufReader::with_capacity(1 << 20, &file);
    let mut gguf = Gguf::read(reader, metadata.len()).map_err(|err| load(err.to_string()))?;
    let spec = Spec::read(&gguf).map_err(load)?;
    let tokenizer = Tokenizer::read(&mut gguf, spec.vocabulary).map_err(load)?;
    let template = gguf.text("tokenizer.chat_template").map_err(|err| load(err.to_string()))?;
    let template = template.map(|it| Template::new(it.to_owned()));
    let context = options.context.map_or(spec.context, |it| it.min(spec.context));
    let numerics =
        Numerics { engine: "candle-0.11.1".to_owned(), revision: REVISION, path: kernel_path().to_owned() };
    let (queue, loaded) = (Queue::default(), OnceLock::new());
    Ok(Engine { file, gguf, spec, context, tokenizer, template, numerics, queue, loaded })
}

/// Whether [`open`] would take this file; if not, why, in one sentence for people.
pub fn supports(path: &Path) -> Result<(), String> {
    open(path, Options::default()).map(drop).map_err(|err| err.to_string())
}

impl Engine {
    /// The architecture's name in GGUF, such as `llama`.
    pub fn architecture(&self) -> &str {
        self.spec.architecture
    }

    /// The most tokens, prompt and answer together.
    pub fn context_length(&self) -> usize {
        self.context
    }

    /// Bytes of the weights as stored.
    pub fn weights_bytes(&self) -> u64 {
        self.gguf.tensors().values().map(|it| it.bytes).sum()
    }

    /// The chat template's source; `None` for a base model.
    pub fn chat_template(&self) -> Option<&str> {
        self.template.as_ref().map(Template::source)
    }

    /// How long the weights took to load; `None` until they are there.
    pub fn load_time(&self) -> Option<Duration> {
        self.loaded.get()?.as_ref().ok().map(|it| it.time)
    }

    /// The memory that answering needs, from the header alone.
    pub fn estimate(&self) -> Memory {
        let Spec { hidden, feed_forward, heads, head_size, vocabulary, .. } = self.spec;
        let tensors = self.gguf.tensors();
        let weights = tensors.iter().map(|(name, it)| {
            let dense = (it.shape.iter().product::<usize>() * size_of::<f32>()) as u64;
            if name.starts_with("blk.") { dense } else { it.bytes }
        });
        let rows = CHUNK.min(self.context);
        // States, their norms and sums; the three of the MLP; queries, keys, values and what they give; scores
        // and their softmax; logits.
        let row = 4 * hidden + 3 * feed_forward + 4 * heads * head_size + 2 * heads * self.context;
        let activations = (rows * row + SCORED_ROWS * vocabulary) * size_of::<f32>();
        Memory {
            weights: weights.sum(),
            cache: self.spec.cache_bytes() * self.context as u64,
            activations: activations as u64,
        }
    }

    fn decoder(&self) -> Result<&Decoder, BackendError> {
        let loaded = self.loaded.get_or_init(|| {
            let begin = now();
            let tensor = |name: &str| self.gguf.tensor(&self.file, name).map_err(candle_core::Error::wrap);
            let decoder = Decoder::load(&self.spec, tensor);
            let decoder = decoder.map_err(|err| BackendError::Load(err.to_string()))?;
            Ok(Loaded { decoder, time: begin.elapsed() })
        });
        loaded.as_ref().map(|it| &it.decoder).map_err(Clone::clone)
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
        let mut sampler = Sampler::new(&request.sampling)?;
        let decoder = self.decoder()?;
        let _turn = self.queue.wait();
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
        let mut cache = Cache::new(&self.spec, tokens.len() + request.max_tokens as usize).map_err(failed)?;
        let mut state = decoder.prefill(&tokens, &mut cache, Wanted::Last).map_err(failed)?;
        let mut detokenizer = Detokenizer::new(&self.tokenizer);
        let mut stops = Stops::new(&request.stop);
        loop {
            let logits = decoder.logits(&state).and_then(|it| it.squeeze(0)).map_err(failed)?;
            let token = sampler.sample(&logits)?;
            let at = now();
            let ended = self.tokenizer.is_stop(token) && !request.ignore_eos;
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
                on_chunk(Chunk { text: &text, tokens: u32::from(!ended), at });
            }
            if met || last {
                finish.reason = match (met, ended) {
                    (true, _) => StopReason::StopString,
                    (false, true) => StopReason::Stop,
                    (false, false) => StopReason::Length,
                };
                return Ok(finish);
            }
            state = decoder.decode(token, &mut cache).map_err(failed)?;
        }
    }

    /// All continuations share one prefill of the prompt.
    ///
    /// After a chat template, prompt and continuation are tokenized apart: the template ends in special tokens.
    /// In plain text they are tokenized together and split where the prompt's tokens end, spaces at the end of
    /// the prompt counted to the continuation, as lm-evaluation-harness does: so the tokens are those that the
    /// model met in training, even where a word reaches across the border.
    fn score(&self, request: &Score) -> Result<Finish, BackendError> {
        let prompt = self.prompt(&request.messages)?;
        let plain = self.template.is_none();
        let border = if plain { prompt.text.trim_end().len() } else { prompt.text.len() };
        let context = if plain { self.encode(&prompt.text[..border])? } else { prompt.tokens };
        let wholes = request.continuations.iter().map(|continuation| {
            if plain {
                self.encode(&format!("{}{continuation}", prompt.text))
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
        let decoder = self.decoder()?;

        let _turn = self.queue.wait();
        let started = now();
        let mut shared = Cache::new(&self.spec, longest).map_err(failed)?;
        let after_prompt = decoder.prefill(&context, &mut shared, Wanted::Last).map_err(failed)?;
        let first = Distribution::of(&decoder.logits(&after_prompt).map_err(failed)?)?.remove(0);
        let mut likelihoods = Vec::with_capacity(wholes.len());
        for whole in &wholes {
            // A border within a token gives the prompt other tokens: those are read by themselves.
            let likelihood = if let Some(continuation) = whole.strip_prefix(&context[..]) {
                shared.truncate(context.len());
                likelihood(decoder, &first, continuation, &mut shared)?
            } else {
                let (own, continuation) = whole.split_at(context.len());
                let mut cache = Cache::new(&self.spec, whole.len()).map_err(failed)?;
                let state = decoder.prefill(own, &mut cache, Wanted::Last).map_err(failed)?;
                let first = Distribution::of(&decoder.logits(&state).map_err(failed)?)?.remove(0);
                likelihood(decoder, &first, continuation, &mut cache)?
            };
            likelihoods.push(likelihood);
        }
        Ok(Finish {
            reason: StopReason::Stop,
            started,
            prompt_tokens: count(context.len()),
            output_tokens: 0,
            likelihoods,
        })
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, BackendError> {
        self.tokenizer.encode(text).map_err(BackendError::Failed)
    }
}

impl Backend for Engine {
    fn numerics(&self) -> &Numerics {
        &self.numerics
    }

    /// A model without a chat template reads the contents of the messages, joined by a blank line, whoever
    /// speaks: one message is read as it is.
    ///
    /// What looks like a control token in a message's content is tokenized as text.
    fn prompt(&self, messages: &[Message]) -> Result<Prompt, BackendError> {
        let Some(template) = &self.template else {
            let contents: Vec<_> = messages.iter().map(|it| it.content.as_str()).collect();
            let text = contents.join("\n\n");
            let tokens = self.encode(&text)?;
            return Ok(Prompt { text, tokens, template: None });
        };
        // A character of the private use area that occurs nowhere keeps look-alikes apart.
        let guard = ('\u{e000}'..='\u{f8ff}').find(|&it| {
            !template.source().contains(it) && !messages.iter().any(|message| message.content.contains(it))
        });
        let guard = guard
            .ok_or_else(|| BackendError::Unsupported("a prompt of all private characters".to_owned()))?;
        let guarded: Vec<_> = messages
            .iter()
            .map(|it| Message {
                role: it.role,
                content: self.tokenizer.control().guarded(&it.content, guard),
            })
            .collect();
        let marked = template.render(&guarded, self.tokenizer.begin(), self.tokenizer.end())?;
        let tokens = self.tokenizer.encode_marked(&marked, guard).map_err(BackendError::Failed)?;
        let text = marked.replace(guard, "");
        Ok(Prompt { text, tokens, template: Some(template.digest().to_owned()) })
    }

    /// The first request does it otherwise. A failure is remembered.
    fn load(&self) -> Result<(), BackendError> {
        self.decoder().map(drop)
    }

    fn answer(&self, request: &Request, on_chunk: &mut dyn FnMut(Chunk<'_>)) -> Result<Finish, BackendError> {
        match request {
            Request::Generate(it) => self.generate(it, on_chunk),
            Request::Score(it) => self.score(it),
        }
    }
}

/// How likely a continuation is, where `first` is what may follow the tokens in the cache.
fn likelihood(
    decoder: &Decoder,
    first: &Distribution,
    continuation: &[u32],
    cache: &mut Cache,
) -> Result<Likelihood, BackendError> {
    let (mut logprob, mut greedy) = (0.0, true);
    let mut add = |distribution: &Distribution, token: u32| {
        logprob += distribution.logprob(token);
        greedy &= distribution.likeliest == token as usize;
    };
    add(first, continuation[0]);
    let (read, targets) = (&continuation[..continuation.len() - 1], &continuation[1..]);
    if !read.is_empty() {
        let states = decoder.prefill(read, cache, Wanted::All).map_err(failed)?;
        for (index, targets) in targets.chunks(SCORED_ROWS).enumerate() {
            let rows = states.narrow(0, index * SCORED_ROWS, targets.len()).map_err(failed)?;
            let logits = decoder.logits(&rows).map_err(failed)?;
            for (distribution, &token) in Distribution::of(&logits)?.iter().zip(targets) {
                add(distribution, token);
            }
        }
    }
    Ok(Likelihood { logprob, tokens: count(continuation.len()), greedy })
}

/// What may come next, and how likely each token is.
struct Distribution {
    logits: Vec<f32>,
    /// Log of the sum of the exponentials of the logits.
    normalizer: f64,
    /// The first of the likeliest tokens.
    likeliest: usize,
}

impl Distribution {
    /// One for each row of logits, `[rows, vocabulary]`.
    fn of(logits: &Tensor) -> Result<Vec<Self>, BackendError> {
        let rows = logits.to_vec2::<f32>().map_err(failed)?;
        rows.into_iter()
            .map(|logits| {
                let mut likeliest = 0;
                for (index, logit) in logits.iter().enumerate() {
                    if *logit > logits[likeliest] {
                        likeliest = index;
                    }
                }
                let most = f64::from(logits[likeliest]);
                let sum: f64 = logits.iter().map(|&it| (f64::from(it) - most).exp()).sum();
                let normalizer = most + sum.ln();
                if !normalizer.is_finite() {
                    return Err(BackendError::Failed("the logits are not numbers".to_owned()));
                }
                Ok(Self { logits, normalizer, likeliest })
            })
            .collect()
    }

    fn logprob(&self, token: u32) -> f64 {
        f64::from(self.logits[token as usize]) - self.normalizer
    }
}

/// The widest instructions that candle finds on this machine.
fn kernel_path() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
            return "avx512";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return "avx2";
        }
    }
    if cfg!(target_arch = "aarch64") { "neon" } else { "portable" }
}

#[expect(clippy::disallowed_methods, reason = "the engine is a backend: it says when its tokens came")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn failed(err: candle_core::Error) -> BackendError {
    BackendError::Failed(err.to_string())
}

/// Counts of tokens are bounded by the context, which is bounded to 2^24.
fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).expect("a count of tokens within the context")
}
