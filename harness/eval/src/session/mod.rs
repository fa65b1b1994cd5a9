//! A session: one run over a plan, from the first trial to the summary.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::backend::{BackendError, Generate, Message, Prompt, Request, Score};
use crate::count::counted;
use crate::diagnostic::Mistake;
use crate::explain;
use crate::gate::{Gate, Ruling, Standing};
use crate::golden::{self, Digests, Entry, Golden, short};
use crate::grade::task::Scoring;
use crate::grade::{Evidence, Examiner, Found, Judgement, Rubric, Unanswered};
pub use crate::pool::Open;
use crate::pool::{Failure, Opened, Pool};
use crate::response::{self, Response};
use crate::store::{Alive, ModelRow, NewRun, Outcome, RunRow, Store, StoreError, TrialRow};
use crate::trial::{Plan, Trial};
use crate::weights::{Weights, sha256_of_text};
pub use summary::Summary;

mod consult;
mod summary;
mod verdict;

use consult::Consulted;

/// Whether a model can be asked here.
#[derive(Clone, Debug)]
pub enum Availability {
    /// It can.
    Ready(Weights),
    /// Something is missing that was never promised: its trials are skipped.
    Skipped(String),
    /// Something is not what it was pinned to be: its trials are skipped, and that is a failure.
    Wrong(String),
}

/// What a session needs to know.
pub struct Options {
    /// What has to hold for a trial to pass.
    pub gate: Gate,
    /// The folder of goldens.
    pub golden: PathBuf,
    /// Whether a filter left trials out.
    pub partial: bool,
    /// Whether to go on with the newest run that did not end.
    pub resume: bool,
    /// Whether changed goldens are proposed as `.snap.new`; not in CI.
    pub propose: bool,
    /// Cases, by `category/topic/case`, and whole suites, by `category/topic`, that are there but mistaken: what was
    /// accepted of them is neither gone nor an orphan.
    pub mistaken: HashSet<String>,
    /// What the store keeps of the run; the number of trials is filled in.
    pub run: NewRun,
}

/// What the test of a trial says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It passed.
    Passed,
    /// It failed, with the whole story.
    Failed(String),
    /// It was not asked, with the reason.
    Ignored(String),
}

/// One run over a plan.
pub struct Session {
    plan: Plan,
    available: Vec<Availability>,
    options: Options,
    store: Store,
    run: i64,
    _alive: Alive,
    resumed: HashMap<String, TrialRow>,
    goldens: HashMap<(u32, u32), Golden>,
    unreadable: HashSet<(u32, u32)>,
    pool: Pool,
    consulted: Consulted,
    examiner: Box<dyn Examiner>,
    ledger: Mutex<Ledger>,
    /// A trial is done.
    ended: Condvar,
    store_broke: OnceLock<(String, String)>,
}

/// What came of the trials so far.
#[derive(Default)]
struct Ledger {
    models: Vec<ModelRow>,
    tallies: Vec<Tally>,
    /// Entries that would be accepted, by model and suite.
    entries: HashMap<(u32, u32), Vec<Entry>>,
    served: usize,
}

/// What came of a model's trials.
#[derive(Clone, Debug, Default)]
struct Tally {
    scored: Vec<verdict::Scored>,
    /// Trials that were run, whatever came of them.
    done: usize,
    unscored: usize,
    errored: usize,
    skipped: usize,
    rulings: HashMap<&'static str, usize>,
    stale: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// Begins a run, or takes one up again, over the chosen trials of a plan.
    ///
    /// Gives the session, notes for the user, and what is wrong with the goldens of the chosen trials.
    pub fn begin(
        plan: Plan,
        chosen: &[usize],
        available: Vec<Availability>,
        mut options: Options,
        store: Store,
        open: Box<Open>,
        examiner: Box<dyn Examiner>,
    ) -> Result<(Self, Vec<String>, Vec<Mistake>), StoreError> {
        let mut notes = Vec::new();
        let mut counts = vec![0; plan.models.models.len()];
        for index in chosen {
            counts[plan.trials[*index].model as usize] += 1;
        }
        options.run.planned = chosen.len();
        options.run.partial = options.partial;
        let taken_up = if options.resume { take_up(&store, &plan, chosen, &mut notes)? } else { None };
        let mut resumed = HashMap::new();
        let (run, alive) = match taken_up {
            Some(TakenUp { row, alive, kept, gone }) => {
                store.forget(row.id, &gone)?;
                notes.push(format!(
                    "run {} goes on: {} of {} are there",
                    row.id,
                    kept.len(),
                    counted(chosen.len(), "trial")
                ));
                resumed = kept.into_iter().map(|it| (it.name.clone(), it)).collect();
                store.resume(row.id, &options.run)?;
                (row.id, alive)
            }
            None => store.begin(&options.run)?,
        };
        let mut models = Vec::new();
        let mut tallies = vec![Tally::default(); counts.len()];
        for (position, model) in plan.models.models.iter().enumerate() {
            let mut row = ModelRow {
                name: model.name.clone(),
                position,
                planned: counts[position],
                info: info(model),
                ..ModelRow::default()
            };
            match &available[position] {
                Availability::Ready(weights) => row.weights_bytes = Some(weights.size),
                Availability::Skipped(reason) | Availability::Wrong(reason) => {
                    row.skipped = Some(reason.clone());
                    tallies[position].skipped = counts[position];
                }
            }
            store.put_model(run, &row)?;
            models.push(row);
        }
        let mut goldens = HashMap::new();
        let mut unreadable = Vec::new();
        let mut broken = HashSet::new();
        let asked: HashSet<(u32, u32)> =
            chosen.iter().map(|it| plan.trials[*it]).map(|it| (it.model, it.suite)).collect();
        for (model, row) in models.iter().enumerate().filter(|(_, row)| row.skipped.is_none()) {
            for (suite, it) in plan.suites.iter().enumerate() {
                match Golden::load(&golden::path_of(&options.golden, &it.name, &row.name)) {
                    Ok(Some(golden)) => drop(goldens.insert((index(model), index(suite)), golden)),
                    Ok(None) => {}
                    Err(mistake) => {
                        let key = (index(model), index(suite));
                        broken.insert(key);
                        if asked.contains(&key) {
                            unreadable.push(*mistake);
                        }
                    }
                }
            }
        }
        let session = Self {
            pool: Pool::new(&counts, &plan.asked_by_graders(chosen), open),
            consulted: Consulted::default(),
            examiner,
            ledger: Mutex::new(Ledger { models, tallies, ..Ledger::default() }),
            ended: Condvar::new(),
            store_broke: OnceLock::new(),
            _alive: alive,
            plan,
            available,
            options,
            store,
            run,
            resumed,
            goldens,
            unreadable: broken,
        };
        Ok((session, notes, unreadable))
    }

    /// The number of the run in the store.
    pub fn number(&self) -> i64 {
        self.run
    }

    /// Runs one trial of the plan, by its position; blocks until it is judged and stored.
    pub fn run(&self, position: usize) -> Told {
        let trial = self.plan.trials[position];
        let name = self.plan.name(trial);
        let model = trial.model as usize;
        let weights = match &self.available[model] {
            Availability::Ready(weights) => weights,
            Availability::Skipped(reason) | Availability::Wrong(reason) => {
                return Told::Ignored(reason.clone());
            }
        };
        let told = match self.store_broke.get() {
            Some((_, first)) => Told::Failed(format!("not asked: the store cannot be written, see {first}")),
            None => self.judge(position, trial, &name, weights),
        };
        if let Some(spent) = self.pool.done(model) {
            let mut ledger = lock(&self.ledger);
            let row = &mut ledger.models[model];
            row.load = spent.load;
            row.peak_bytes = spent.peak_bytes;
            (row.joules, row.meter) = spent.energy.unzip();
            if let Err(error) = self.store.put_model(self.run, row) {
                drop(self.store_broke.set((error.to_string(), name)));
            }
        }
        lock(&self.ledger).tallies[model].done += 1;
        self.ended.notify_all();
        told
    }

    fn judge(&self, position: usize, trial: Trial, name: &str, weights: &Weights) -> Told {
        let case = self.plan.case(trial);
        let variant = self.plan.variant(trial);
        let mut row = TrialRow {
            name: name.to_owned(),
            model: self.plan.model(trial).name.clone(),
            suite: self.plan.suite(trial).name.clone(),
            entry: self.plan.entry(trial),
            position,
            cluster: case.cluster.clone().unwrap_or_else(|| case.id.clone()),
            key: None,
            outcome: Outcome::Skipped(String::new()),
            threshold: case.threshold,
            greedy: self.plan.drawn(trial).sampling.is_greedy(),
            sampling: self.plan.sampling(trial),
            standing: String::new(),
            golden: None,
            passed: false,
            prompt: None,
            response: None,
            found: Vec::new(),
            case_digest: self.plan.digest(trial),
            prompt_digest: variant.prompt_digest(),
            template: None,
            numerics: None,
        };
        // A panic is a bug of ours, and an error of this trial alone.
        let mut failure = None;
        let asked = catch_unwind(AssertUnwindSafe(|| self.ask(trial, &mut row, weights, &mut failure)));
        row.outcome = asked.unwrap_or_else(|panic| {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Outcome::Errored(format!("a panic, which is a bug in Proofmark: {message}"))
        });
        let digests = digests_of(&row);
        let golden = self.goldens.get(&(trial.model, trial.suite)).and_then(|it| it.find(&row.entry));
        let numerics = row.numerics.clone().unwrap_or_default();
        let standing = Standing::of(golden, &digests, &numerics, row.greedy);
        let gate = self.options.gate;
        let ruling = Ruling::of(gate, &row.outcome, row.threshold, standing, golden, &digests.response);
        standing.words().clone_into(&mut row.standing);
        row.golden = golden.filter(|_| !standing.is_stale()).map(|it| it.score);
        row.passed = ruling.passes(gate);
        let stored = self.store.put_trial(self.run, &row);
        self.count(trial, &row, standing, ruling);
        if let Err(error) = stored {
            // The first to meet it tells the story.
            drop(self.store_broke.set((error.to_string(), name.to_owned())));
            return Told::Failed(format!("{name}: answered, but not stored\n\n  {error}"));
        }
        if let Outcome::Skipped(reason) = &row.outcome {
            return Told::Ignored(reason.clone());
        }
        if row.passed {
            return Told::Passed;
        }
        match failure.filter(|it| it.first != name) {
            Some(failure) => {
                Told::Failed(format!("{} could not be loaded: see {}", row.model, failure.first))
            }
            None => Told::Failed(explain::failure(&self.plan, trial, &row, standing, ruling, golden)),
        }
    }

    /// Asks the model, or takes the stored answer of the run that is taken up again; grades either.
    fn ask(
        &self,
        trial: Trial,
        row: &mut TrialRow,
        weights: &Weights,
        failure: &mut Option<Failure>,
    ) -> Outcome {
        let position = trial.model as usize;
        let variant = self.plan.variant(trial);
        let opened = match self.pool.get(position, self.plan.model(trial), weights, &row.name) {
            Ok(opened) => opened,
            Err(found) => {
                let message = found.message.clone();
                *failure = Some(found);
                return Outcome::Errored(message);
            }
        };
        row.numerics = Some(opened.backend.numerics().to_string());
        let broke = |error: BackendError, failure: &mut Option<Failure>| {
            if let BackendError::Load(message) = &error {
                let found = Failure { message: message.clone(), first: row.name.clone() };
                *failure = Some(self.pool.fail(position, found));
            }
            Outcome::Errored(error.to_string())
        };
        let prompt = match opened.backend.prompt(&variant.messages) {
            Ok(prompt) => prompt,
            Err(error) => return broke(error, failure),
        };
        self.note_opened(position, &opened, &prompt);
        let key = self.key(trial, &row.name, &opened, &prompt);
        row.template.clone_from(&prompt.template);
        row.prompt = Some(prompt.text.clone());
        row.key = Some(key.clone());
        let stored = self
            .resumed
            .get(&row.name)
            .filter(|it| it.key.as_deref() == Some(&key) && !matches!(it.outcome, Outcome::Errored(_)))
            .and_then(|it| Some((it.response.clone()?, it.found.clone())));
        let (response, found) = if let Some(stored) = stored {
            lock(&self.ledger).served += 1;
            stored
        } else {
            let asked = opened.load().and_then(|()| {
                let requests = self.requests(trial, prompt.template.is_some());
                response::ask_all(&*opened.backend, &requests)
            });
            match asked {
                Ok(response) => (response, Vec::new()),
                Err(error) => return broke(error, failure),
            }
        };
        let response = row.response.insert(response);
        let text =
            if variant.rubric.reads_prompt() { plain(&variant.messages) } else { response.text.clone() };
        row.found = match self.find_out(&variant.rubric, &text, found, &row.name) {
            Ok(found) => found,
            Err(Unanswered::Skipped(reason)) => return Outcome::Skipped(reason),
            Err(Unanswered::Errored(reason)) => return Outcome::Errored(reason),
            Err(Unanswered::Unscored(reason)) => return Outcome::Unscored(reason),
        };
        let evidence = Evidence { text: &text, likelihoods: &response.likelihoods, found: &row.found };
        match variant.rubric.grade(&evidence) {
            Judgement::Scored(grade) => Outcome::Scored(grade),
            Judgement::Unscored(reason) => Outcome::Unscored(reason),
        }
    }

    /// What graders have to know beside a response's text, unless it is known of the run that is taken up again.
    fn find_out(
        &self,
        rubric: &Rubric,
        text: &str,
        known: Vec<Found>,
        trial: &str,
    ) -> Result<Vec<Found>, Unanswered> {
        let inquiries = rubric.inquiries(text);
        if known.len() == inquiries.len() {
            return Ok(known);
        }
        inquiries.iter().map(|it| self.examine(it, trial)).collect()
    }

    /// What is asked: one request, or several where continuations follow prompts of their own.
    fn requests(&self, trial: Trial, templated: bool) -> Vec<Request> {
        let case = self.plan.case(trial);
        let variant = self.plan.variant(trial);
        let messages = variant.messages.clone();
        if variant.rubric.reads_prompt() {
            return vec![Request::Read(plain(&messages))];
        }
        if let Some(scorings) = variant.rubric.scorings() {
            let request = |it: &Scoring| {
                let messages = it.prompt.clone().unwrap_or_else(|| messages.clone());
                Request::Score(Score { messages, continuations: it.continuations.clone() })
            };
            return scorings.iter().map(request).collect();
        }
        vec![match variant.rubric.continuations() {
            Some(continuations) => {
                // A turn begins anew; in plain text a word follows a space, as lm-evaluation-harness has it.
                let delimiter = if templated { "" } else { " " };
                let continuations = continuations.iter().map(|it| format!("{delimiter}{it}")).collect();
                Request::Score(Score { messages, continuations })
            }
            None => Request::Generate(Generate {
                messages,
                sampling: self.plan.sampling(trial),
                max_tokens: case.max_tokens,
                stop: case.stop.clone(),
                ignore_eos: false,
                logprobs: case.logprobs,
            }),
        }]
    }

    /// The digest of everything that an answer and its grade depend on.
    fn key(&self, trial: Trial, name: &str, opened: &Opened, prompt: &Prompt) -> String {
        let case = self.plan.case(trial);
        let variant = self.plan.variant(trial);
        // A server keeps its tokens to itself: then the messages stand for them.
        let asked =
            if prompt.tokens.is_empty() { variant.prompt_digest() } else { format!("{:?}", prompt.tokens) };
        // What is not asked for leaves no trace: the answer is the same.
        let logprobs = case.logprobs.map(|it| format!("\nlogprobs {it}")).unwrap_or_default();
        sha256_of_text(&format!(
            "{name}\n{}\n{}\n{asked}\n{}\nseed {}{logprobs}",
            opened.sha256,
            opened.backend.numerics(),
            self.plan.digest(trial),
            self.plan.sampling(trial).seed,
        ))
    }

    fn note_opened(&self, position: usize, opened: &Opened, prompt: &Prompt) {
        let mut ledger = lock(&self.ledger);
        let row = &mut ledger.models[position];
        if row.sha256.is_none() {
            row.sha256 = Some(opened.sha256.clone());
            row.numerics = Some(opened.backend.numerics().to_string());
            row.template.clone_from(&prompt.template);
            // The trials say the same again: nothing is lost if this one line is.
            drop(self.store.put_model(self.run, row));
        }
    }

    fn count(&self, trial: Trial, row: &TrialRow, standing: Standing, ruling: Ruling) {
        let mut ledger = lock(&self.ledger);
        let tally = &mut ledger.tallies[trial.model as usize];
        match &row.outcome {
            Outcome::Scored(grade) => tally.scored.push(verdict::Scored {
                position: row.position,
                suite: row.suite.clone(),
                cluster: row.cluster.clone(),
                score: grade.score,
                golden: row.golden,
            }),
            Outcome::Unscored(_) => tally.unscored += 1,
            Outcome::Errored(_) => tally.errored += 1,
            Outcome::Skipped(_) => tally.skipped += 1,
        }
        tally.stale += usize::from(standing.is_stale());
        *tally.rulings.entry(explain::word(ruling)).or_default() += 1;
        // Of other numerics, or drawn: no reason to propose another golden.
        if ruling != Ruling::Undecided
            && let Some(entry) = entry_of(row)
        {
            let entry = if self.plan.suite(trial).dataset { entry.without_texts() } else { entry };
            ledger.entries.entry((trial.model, trial.suite)).or_default().push(entry);
        }
    }
}

/// A run that did not end, and what it has so far.
struct TakenUp {
    row: RunRow,
    alive: Alive,
    kept: Vec<TrialRow>,
    /// Names of trials that are planned no more.
    gone: Vec<String>,
}

/// The newest run that did not end, if nobody is at work on it.
fn take_up(
    store: &Store,
    plan: &Plan,
    chosen: &[usize],
    notes: &mut Vec<String>,
) -> Result<Option<TakenUp>, StoreError> {
    match store.unfinished()? {
        Some(Ok((row, alive))) => {
            let known: HashSet<String> = chosen.iter().map(|it| plan.name(plan.trials[*it])).collect();
            let (kept, gone): (Vec<_>, Vec<_>) =
                store.trials(row.id)?.into_iter().partition(|it| known.contains(&it.name));
            let gone: HashSet<String> = gone.into_iter().map(|it| it.name).collect();
            // A part of a run must not throw the rest away.
            if !gone.is_empty() && plan.trials.iter().any(|it| gone.contains(&plan.name(*it))) {
                notes.push(format!(
                    "run {} has trials that a filter leaves out now: it is kept as it is, this is a new run",
                    row.id
                ));
                return Ok(None);
            }
            Ok(Some(TakenUp { row, alive, kept, gone: gone.into_iter().collect() }))
        }
        Some(Err(pid)) => {
            notes.push(format!(
                "process {pid} is still at work on the run that did not end: this is a new run"
            ));
            Ok(None)
        }
        None => {
            notes.push("every run ended: there is none to go on with, this is a new one".to_owned());
            Ok(None)
        }
    }
}

fn index(it: usize) -> u32 {
    u32::try_from(it).expect("a plan has fewer than 2^32 of anything")
}

/// What reports need of a model's entry, as JSON.
fn info(model: &crate::model::Model) -> String {
    let price = model
        .price
        .map(|it| serde_json::json!({ "per_hour": it.per_hour, "input": it.input, "output": it.output }));
    serde_json::json!({
        "class": model.class,
        "family": model.family,
        "backend": model.backend,
        "parameters": model.parameters,
        "tags": model.tags,
        "price": price,
        "note": model.note,
    })
    .to_string()
}

/// The digests that a golden of this trial has.
fn digests_of(row: &TrialRow) -> Digests {
    Digests {
        case: short(&row.case_digest),
        prompt: short(&row.prompt_digest),
        template: row.template.as_deref().map_or_else(|| "none".to_owned(), short),
        response: short(&sha256_of_text(row.response.as_ref().map_or("", text_of))),
    }
}

/// The text that a model without a chat template reads.
fn plain(messages: &[Message]) -> String {
    messages.iter().map(|it| it.content.as_str()).collect::<Vec<_>>().join("\n\n")
}

/// What a golden keeps of a response.
fn text_of(response: &Response) -> &str {
    &response.text
}

/// What would be accepted of a trial; `None` if it was not scored.
pub fn entry_of(row: &TrialRow) -> Option<Entry> {
    let Outcome::Scored(grade) = &row.outcome else { return None };
    let text = row.response.as_ref().map_or("", text_of);
    let numerics = row.numerics.clone().unwrap_or_default();
    Some(Entry::new(row.entry.clone(), grade.score, grade.answer.clone(), numerics, digests_of(row), text))
}
