//! Requests from many threads, answered together by one decoder.
//!
//! A thread of its own admits requests in the order of their arrival, as long as there is room for their keys and
//! values; reads prompts in chunks beside the running decodes; and shares what prompts have in common: continuations
//! that are compared branch off where their prompt ends. Where room runs out, the youngest sequence gives way and comes
//! back later. None of it changes an answer: see [`crate::decoder`].

use std::collections::{HashSet, VecDeque};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use eval::backend::Likelihood;

use crate::blocks::{BLOCK, Blocks, Table};
use crate::decoder::{Decoder, KeysValues, Step};
use crate::kernels::attention::Place;
use crate::kernels::{Path, memory};
use crate::ops::Device;
use crate::sampler::{Logprobs, Sampler};
use crate::spec::Spec;

/// Tokens of prompts that are read in one step, beside the decodes: as many as keep the device busy for a while.
pub(crate) fn chunk(device: Device) -> usize {
    match device {
        Device::Cpu => 256,
        Device::Cuda => 2_048,
    }
}

/// Rows of logits that one step gives at most.
const WANTED: usize = 128;

/// Sequences that run at once.
const RUNNING: usize = 256;

/// What is asked.
pub(crate) enum Task {
    /// Tokens that follow the prompt.
    Generate {
        /// How they are chosen.
        sampler: Sampler,
        /// The most of them.
        max_tokens: usize,
        /// Tokens that end the answer.
        stop: Arc<HashSet<u32>>,
        /// Tells how likely each token is, and this many of the likeliest.
        logprobs: Option<usize>,
    },
    /// How likely each of some continuations is after the prompt, which is computed once.
    Compare {
        /// None is empty.
        continuations: Vec<Vec<u32>>,
    },
    /// How likely the tokens are, from this index on: one of the continuations of more than one token.
    Score {
        /// At least 1.
        from: usize,
        /// Which of the continuations.
        index: usize,
    },
}

/// A request: a prompt, or the text that is scored.
pub(crate) struct Job {
    /// At least one.
    pub(crate) tokens: Vec<u32>,
    /// What is asked.
    pub(crate) task: Task,
    /// Where the answer goes; a request whose receiver is gone is dropped.
    pub(crate) events: Sender<Event>,
}

/// Parts of an answer.
#[derive(Debug)]
pub(crate) enum Event {
    /// Work on it began.
    Started(Instant),
    /// The next token. The one that ends the answer comes too.
    Token(Chosen),
    /// How likely one of the continuations of a [`Task::Compare`] is, by its index.
    Scored(usize, Likelihood),
    /// It cannot be answered; the reason in words.
    Failed(String),
}

/// A token that was chosen.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) token: u32,
    /// When it was chosen.
    pub(crate) at: Instant,
    /// How likely it was, where that was asked for.
    pub(crate) logprobs: Option<Likely>,
}

/// A token's log-probability, and the likeliest tokens with theirs.
pub(crate) type Likely = (f64, Vec<(u32, f64)>);

/// The thread that runs the decoder.
pub(crate) struct Scheduler {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Scheduler {
    /// Starts it, with room for this many blocks of keys and values; `cold` shares none between requests.
    ///
    /// # Errors
    /// In words, if the system has no memory or no thread.
    pub(crate) fn start(decoder: Decoder, blocks: u32, cold: bool) -> Result<Self, String> {
        let (jobs, incoming) = mpsc::channel();
        let cache = decoder.keys_values(blocks as usize)?;
        memory::keep_freed();
        let thread = std::thread::Builder::new().name("engine-scheduler".to_owned()).spawn(move || {
            let state = State {
                blocks: Blocks::new(blocks),
                cache,
                logits: Vec::new(),
                decoder,
                waiting: VecDeque::new(),
                cold,
                running: Vec::new(),
            };
            state.run(&incoming);
        });
        let thread = thread.map_err(|err| format!("a thread: {err}"))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Bytes that a step needs at most, besides weights and keys and values.
    pub(crate) fn step_bytes(spec: &Spec, device: Device) -> usize {
        let attention = &spec.attention;
        let heads = (2 * attention.heads + 2 * attention.kv_heads) * attention.head_size;
        // States, their norm and sum; queries, keys, values and what they give; both halves of the MLP.
        let row = 4 * spec.hidden + 2 * heads + 3 * spec.mlp.size;
        // Logits, and a copy of them.
        ((chunk(device) + RUNNING) * row + 2 * (WANTED + RUNNING) * spec.vocabulary) * size_of::<f32>()
    }

    /// Hands a request in; the answer comes by its events.
    pub(crate) fn submit(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // If the thread is gone, so is the sender of the job's events, and its receiver sees that.
            drop(jobs.send(job));
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic has reached the clients as events that never came.
            drop(thread.join());
            memory::give_back();
        }
    }
}

/// Before any token was scored.
const NONE: Likelihood = Likelihood { logprob: 0.0, tokens: 0, greedy: true };

/// A request on its way.
struct Sequence {
    /// The prompt, and what came after it.
    tokens: Vec<u32>,
    /// How many of them were asked.
    prompt: usize,
    table: Table,
    task: Task,
    events: Sender<Event>,
    started: bool,
    likelihood: Likelihood,
    ended: bool,
}

impl Sequence {
    fn new(job: Job) -> Self {
        let Job { tokens, task, events } = job;
        Self {
            prompt: tokens.len(),
            tokens,
            table: Table::default(),
            task,
            events,
            started: false,
            likelihood: NONE,
            ended: false,
        }
    }

    /// Tokens that are to be computed, all that are known but the last of a text that is scored.
    fn needed(&self) -> usize {
        match self.task {
            Task::Generate { .. } | Task::Compare { .. } => self.tokens.len(),
            Task::Score { .. } => self.tokens.len() - 1,
        }
    }

    /// The tokens up to the first after which logits are wanted: what comes after it has to be computed, whether its
    /// keys and values are there or not.
    fn shareable(&self) -> &[u32] {
        match self.task {
            Task::Generate { .. } | Task::Compare { .. } => &self.tokens,
            Task::Score { from, .. } => &self.tokens[..from],
        }
    }

    /// Tokens that are still to be computed.
    fn left(&self) -> usize {
        self.needed() - self.table.computed()
    }

    /// Whether logits are wanted after the token at this index.
    fn wants(&self, index: usize) -> bool {
        match self.task {
            Task::Generate { .. } | Task::Compare { .. } => index + 1 == self.tokens.len(),
            Task::Score { from, .. } => index + 1 >= from + self.likelihood.tokens as usize,
        }
    }

    fn tell(&mut self, event: Event) {
        if self.events.send(event).is_err() {
            self.ended = true;
        }
    }

    fn fail(&mut self, reason: String) {
        self.tell(Event::Failed(reason));
        self.ended = true;
    }

    /// Whether all that it wants of logits is the first of the likeliest tokens.
    fn takes_likeliest(&self) -> bool {
        let Task::Generate { sampler, logprobs, .. } = &self.task else { return false };
        logprobs.is_none() && sampler.takes_likeliest()
    }

    /// What the logits after the token at an index say.
    fn read(&self, path: Path, index: usize, logits: &[f32]) -> Result<Read, String> {
        match &self.task {
            Task::Generate { sampler, logprobs, .. } => {
                let (prompt, output) = self.tokens.split_at(self.prompt);
                let next = sampler.sample(logits, prompt, output).and_then(|token| {
                    let beside = |count| {
                        let of = Logprobs::of(path, logits)?;
                        Ok((of.of_token(token).expect("a token of these logits"), of.top(count)))
                    };
                    Ok(Read::Next { token, logprobs: logprobs.map(beside).transpose()? })
                });
                next.map_err(|error| error.to_string())
            }
            Task::Compare { continuations } => {
                let logprobs = Logprobs::of(path, logits).map_err(|error| error.to_string())?;
                let first = |it: &Vec<u32>| target(&logprobs, it[0]);
                continuations.iter().map(first).collect::<Result<_, _>>().map(Read::Firsts)
            }
            Task::Score { .. } => {
                let logprobs = Logprobs::of(path, logits).map_err(|error| error.to_string())?;
                target(&logprobs, self.tokens[index + 1]).map(Read::Target)
            }
        }
    }

    /// Goes on by what was read after the token at an index.
    fn take(&mut self, index: usize, read: Result<Read, String>) {
        match read {
            Ok(Read::Next { token, logprobs }) => {
                self.tokens.push(token);
                if let Task::Generate { max_tokens, stop, .. } = &self.task {
                    let full = self.tokens.len() - self.prompt >= *max_tokens;
                    self.ended = full || stop.contains(&token);
                }
                self.tell(Event::Token(Chosen { token, at: now(), logprobs }));
            }
            Ok(Read::Target(likelihood)) => {
                self.likelihood = and(self.likelihood, likelihood);
                if let Task::Score { index: which, .. } = self.task
                    && index + 2 == self.tokens.len()
                {
                    self.tell(Event::Scored(which, self.likelihood));
                    self.ended = true;
                }
            }
            // Goes on in sequences of its own.
            Ok(Read::Firsts(_)) => self.ended = true,
            Err(reason) => self.fail(reason),
        }
    }
}

/// What a row of logits says.
enum Read {
    /// The next token, as [`Chosen`].
    Next { token: u32, logprobs: Option<Likely> },
    /// Of the token that is scored.
    Target(Likelihood),
    /// Of the first token of each continuation.
    Firsts(Vec<Likelihood>),
}

/// The likelihood of one token.
fn target(logprobs: &Logprobs<'_>, token: u32) -> Result<Likelihood, String> {
    let logprob = logprobs.of_token(token);
    let logprob = logprob.ok_or_else(|| format!("token {token} is not in the vocabulary"))?;
    Ok(Likelihood { logprob, tokens: 1, greedy: logprobs.likeliest == token })
}

/// That of one text after another.
fn and(before: Likelihood, after: Likelihood) -> Likelihood {
    Likelihood {
        logprob: before.logprob + after.logprob,
        tokens: before.tokens + after.tokens,
        greedy: before.greedy && after.greedy,
    }
}

struct State {
    /// Whether nothing is shared between requests.
    cold: bool,
    decoder: Decoder,
    cache: KeysValues,
    /// Of the last step.
    logits: Vec<f32>,
    blocks: Blocks,
    waiting: VecDeque<Sequence>,
    /// The oldest first.
    running: Vec<Sequence>,
}

/// The next token, where the device chose it; `None` where a logit is not a finite number.
fn next(token: Option<u32>) -> Result<Read, String> {
    let token = token.ok_or_else(|| "a logit is not a finite number".to_owned())?;
    Ok(Read::Next { token, logprobs: None })
}

/// A sequence's part in a step.
struct Part {
    /// In [`State::running`].
    sequence: usize,
    /// Index of its first token.
    from: usize,
    count: usize,
}

impl State {
    fn run(mut self, incoming: &Receiver<Job>) {
        loop {
            if self.waiting.is_empty() && self.running.is_empty() {
                match incoming.recv() {
                    Ok(job) => self.waiting.push_back(Sequence::new(job)),
                    Err(_) => return,
                }
            }
            loop {
                match incoming.try_recv() {
                    Ok(job) => self.waiting.push_back(Sequence::new(job)),
                    Err(TryRecvError::Empty) => break,
                    // The engine is gone, and with it all that waited for answers.
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            self.admit();
            let parts = self.plan();
            self.step(&parts);
            self.clear();
        }
    }

    /// Takes in what waits, in order, while there is room for its tokens.
    fn admit(&mut self) {
        let mut next = 0;
        while self.running.len() < RUNNING && next < self.waiting.len() {
            let sequence = &self.waiting[next];
            let mut table =
                if self.cold { Table::default() } else { self.blocks.lookup(sequence.shareable()) };
            if !self.cold && self.is_coming(sequence, table.computed()) {
                self.blocks.free(table);
                next += 1;
                continue;
            }
            // Made now, so that the next in line is not promised the same.
            let needed = sequence.needed();
            let room = needed - table.computed();
            if self.blocks.append(&mut table, room).is_err() {
                self.blocks.free(table);
                if !self.running.is_empty() {
                    return;
                }
                if let Some(mut sequence) = self.waiting.remove(next) {
                    sequence.fail(format!("{needed} tokens do not fit the cache of keys and values"));
                }
                continue;
            }
            let Some(mut sequence) = self.waiting.remove(next) else { return };
            sequence.table = table;
            if !sequence.started {
                sequence.started = true;
                sequence.tell(Event::Started(now()));
            }
            self.running.push(sequence);
        }
    }

    /// Whether a running sequence is about to compute what this one begins with, beyond what is there already.
    fn is_coming(&self, sequence: &Sequence, computed: usize) -> bool {
        let shareable = sequence.shareable();
        self.running.iter().any(|other| {
            let alike =
                other.tokens[..other.needed()].iter().zip(shareable).take_while(|(a, b)| a == b).count();
            let whole = alike.min(shareable.len() - 1) / BLOCK * BLOCK;
            whole > computed && other.table.computed() < whole
        })
    }

    /// What the next step computes: a token of each decode, then prompts in order, as far as the step reaches.
    fn plan(&mut self) -> Vec<Part> {
        let (mut parts, mut budget, mut wanted) = (Vec::new(), chunk(self.decoder.device()), WANTED);
        let mut index = 0;
        while index < self.running.len() {
            let left = self.running[index].left();
            let count = if left == 1 { 1 } else { left.min(budget) };
            if self.running[index].ended || count == 0 {
                index += 1;
                continue;
            }
            let from = self.running[index].table.computed();
            let asked =
                |count: usize| (from..from + count).filter(|it| self.running[index].wants(*it)).count();
            let count = (1..=count).rev().find(|it| asked(*it) <= wanted).unwrap_or(0);
            if count == 0 {
                index += 1;
                continue;
            }
            if !self.make_room(index, count) {
                // It gave way itself.
                continue;
            }
            wanted -= (from..from + count).filter(|it| self.running[index].wants(*it)).count();
            if left > 1 {
                budget -= count;
            }
            parts.push(Part { sequence: index, from, count });
            index += 1;
        }
        parts
    }

    /// Makes room for the next tokens of a sequence, if need be by sending younger ones back to wait.
    ///
    /// `false` if it is the youngest itself and had to go.
    fn make_room(&mut self, index: usize, count: usize) -> bool {
        loop {
            let Self { blocks, running, .. } = self;
            if blocks.append(&mut running[index].table, count).is_ok() {
                return true;
            }
            let Some(mut youngest) = self.running.pop() else { return false };
            self.blocks.free(std::mem::take(&mut youngest.table));
            if self.running.is_empty() {
                youngest.fail("the cache of keys and values is too small for one sequence".to_owned());
                return false;
            }
            let gone = self.running.len() == index;
            // A score is summed up anew.
            youngest.likelihood = NONE;
            self.waiting.push_front(youngest);
            if gone {
                return false;
            }
        }
    }

    fn step(&mut self, parts: &[Part]) {
        if parts.is_empty() {
            return;
        }
        let (mut tokens, mut places, mut wanted, mut takers) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            let sequence = &self.running[part.sequence];
            for index in part.from..part.from + part.count {
                if sequence.wants(index) {
                    wanted.push(u32::try_from(tokens.len()).expect("a step is short"));
                    takers.push((part.sequence, index));
                }
                tokens.push(sequence.tokens[index]);
                places.push(Place { blocks: sequence.table.blocks(), position: index });
            }
        }
        let step = Step { tokens: &tokens, places: &places, wanted: &wanted };
        // A GPU that chooses tokens itself has no logits to send down.
        let likeliest = self.decoder.device() == Device::Cuda
            && takers.iter().all(|(sequence, _)| self.running[*sequence].takes_likeliest());
        let computed = if likeliest {
            self.decoder.likeliest(&self.cache, &step).map(Some)
        } else {
            self.decoder.forward(&self.cache, &step, &mut self.logits).map(|()| None)
        };
        drop(places);
        for part in parts {
            let sequence = &mut self.running[part.sequence];
            let tokens = &sequence.tokens[part.from..part.from + part.count];
            match &computed {
                Ok(_) => {
                    if let Err(error) = self.blocks.commit(&mut sequence.table, tokens) {
                        sequence.fail(error.to_string());
                    }
                }
                Err(error) => sequence.fail(error.to_string()),
            }
        }
        let Ok(chosen) = computed else { return };
        let read = chosen.map_or_else(|| self.read(&takers), |tokens| tokens.into_iter().map(next).collect());
        for ((sequence, index), read) in takers.into_iter().zip(read) {
            if self.running[sequence].ended {
                continue;
            }
            if let Ok(Read::Firsts(firsts)) = &read {
                self.branch(sequence, firsts);
            }
            self.running[sequence].take(index, read);
        }
    }

    /// Goes on with each continuation of a prompt whose first tokens are scored.
    fn branch(&mut self, sequence: usize, firsts: &[Likelihood]) {
        let Task::Compare { continuations } = &mut self.running[sequence].task else { return };
        let continuations = std::mem::take(continuations);
        for (index, (continuation, first)) in continuations.into_iter().zip(firsts).enumerate() {
            let prompt = &mut self.running[sequence];
            if continuation.len() == 1 {
                prompt.tell(Event::Scored(index, *first));
                continue;
            }
            let from = prompt.tokens.len();
            let job = Job {
                tokens: [&prompt.tokens[..], &continuation].concat(),
                task: Task::Score { from, index },
                events: prompt.events.clone(),
            };
            let mut branch = Sequence { started: true, ..Sequence::new(job) };
            if self.go_on(sequence, &mut branch) {
                branch.likelihood = *first;
                self.running.push(branch);
            } else {
                // Comes again, from the blocks that are shared.
                self.waiting.push_front(branch);
            }
        }
    }

    /// Gives a branch what its prompt has computed; `false` where there is no room.
    fn go_on(&mut self, prompt: usize, branch: &mut Sequence) -> bool {
        let Self { blocks, running, decoder, cache, .. } = self;
        if running.len() >= RUNNING {
            return false;
        }
        let Ok((table, copied)) = blocks.fork(&running[prompt].table) else { return false };
        branch.table = table;
        let room = branch.left();
        if copied.is_none_or(|it| decoder.copy(cache, it)) && blocks.append(&mut branch.table, room).is_ok() {
            return true;
        }
        blocks.free(std::mem::take(&mut branch.table));
        false
    }

    /// What the logits of the last step say to those that wanted them, each a sequence and the index of a token.
    fn read(&self, takers: &[(usize, usize)]) -> Vec<Result<Read, String>> {
        let (vocabulary, machine) = (self.decoder.spec().vocabulary, self.decoder.machine());
        let read: Vec<_> = takers.iter().map(|_| OnceLock::new()).collect();
        machine.pool.run(takers.len(), &|index| {
            let (sequence, token) = takers[index];
            let logits = &self.logits[index * vocabulary..][..vocabulary];
            // Set once: each index is run once.
            drop(read[index].set(self.running[sequence].read(machine.path, token, logits)));
        });
        let none = || Err("a row of logits was not read".to_owned());
        read.into_iter().map(|it| it.into_inner().unwrap_or_else(none)).collect()
    }

    /// Lets go of what ended.
    fn clear(&mut self) {
        for ended in self.running.extract_if(.., |it| it.ended) {
            self.blocks.free(ended.table);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the engine is a backend: it says when its tokens came")]
fn now() -> Instant {
    Instant::now()
}
