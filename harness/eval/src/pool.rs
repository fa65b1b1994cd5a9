//! The pool: which models are in memory. A model comes with its first trial and goes after its last.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::backend::{Backend, BackendError};
use crate::machine::{self, Energy, Meter};
use crate::model::Model;
use crate::response::timed;
use crate::weights::{self, Weights};

/// Gives the backend of a model; cheap, as weights are loaded later.
pub type Open = dyn Fn(&Model, &Weights) -> Result<Arc<dyn Backend>, String> + Send + Sync;

/// Models by their position in `models.yaml`.
pub(crate) struct Pool {
    slots: Vec<Slot>,
    open: Box<Open>,
    /// Whether a model is loaded.
    taken: Mutex<bool>,
    room: Condvar,
    meter: Meter,
}

struct Slot {
    /// Trials that still need the model.
    remaining: AtomicUsize,
    state: Mutex<State>,
    /// For a model that graders ask: open from the first question, be it a trial's or a grader's, to the end.
    kept: Option<Mutex<Option<Kept>>>,
}

type Kept = Result<Arc<Opened>, Failure>;

enum State {
    Unopened,
    Open(Arc<Opened>),
    Failed(Failure),
    Closed,
}

/// A model that can be asked.
pub(crate) struct Opened {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) sha256: String,
    loaded: OnceLock<Result<Duration, BackendError>>,
    energy: Option<Energy>,
}

/// Why a model cannot be asked.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The whole story.
    pub(crate) message: String,
    /// The trial that met it first, and tells it.
    pub(crate) first: String,
}

/// What a model spent while it was there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) load: Option<Duration>,
    pub(crate) peak_bytes: Option<u64>,
    pub(crate) energy: Option<(f64, String)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// A pool for these numbers of trials, one number for each model, and for the models that graders ask.
    ///
    /// A model that graders ask is there beside the one that answers, as an answer is judged before its trial is over. It is
    /// opened once, whether it answers too or not, waits for no room as a judge, and stays until [`Pool::close`]. So
    /// it slows what is measured beside it, and its memory counts there: such a run's speeds are its own.
    pub(crate) fn new(trials: &[usize], asked: &[bool], open: Box<Open>) -> Self {
        let slot = |(trials, asked): (&usize, &bool)| Slot {
            remaining: AtomicUsize::new(*trials),
            state: Mutex::new(State::Unopened),
            kept: asked.then(Mutex::default),
        };
        Self {
            slots: trials.iter().zip(asked).map(slot).collect(),
            open,
            taken: Mutex::new(false),
            room: Condvar::new(),
            meter: Meter::open(),
        }
    }

    /// The model at this position, for this trial; opened if it is the first to ask.
    pub(crate) fn get(
        &self,
        position: usize,
        model: &Model,
        weights: &Weights,
        trial: &str,
    ) -> Result<Arc<Opened>, Failure> {
        let mut state = lock(&self.slots[position].state);
        match &*state {
            State::Open(opened) => return Ok(Arc::clone(opened)),
            State::Failed(failure) => return Err(failure.clone()),
            State::Unopened | State::Closed => {}
        }
        let room = self.take_room();
        machine::reset_peak_memory();
        match self.open(position, model, weights, trial) {
            Ok(opened) => {
                room.keep();
                *state = State::Open(Arc::clone(&opened));
                Ok(opened)
            }
            Err(failure) => {
                *state = State::Failed(failure.clone());
                Err(failure)
            }
        }
    }

    /// Opens the model at this position; one that graders ask only the first time.
    ///
    /// By itself it is for a grader, which a trial waits for: it must not wait for room, which is the trial's own model's until
    /// the trial is over.
    pub(crate) fn open(
        &self,
        position: usize,
        model: &Model,
        weights: &Weights,
        trial: &str,
    ) -> Result<Arc<Opened>, Failure> {
        let open = || {
            let opened =
                weights::verify(model, weights).map_err(|error| error.to_string()).and_then(|sha256| {
                    let backend = (self.open)(model, weights)?;
                    Ok(Opened { backend, sha256, loaded: OnceLock::new(), energy: self.meter.read() })
                });
            opened.map(Arc::new).map_err(|message| Failure { message, first: trial.to_owned() })
        };
        match &self.slots[position].kept {
            Some(kept) => lock(kept).get_or_insert_with(open).clone(),
            None => open(),
        }
    }

    /// Closes the models that graders asked.
    pub(crate) fn close(&self) {
        for kept in self.slots.iter().filter_map(|it| it.kept.as_ref()) {
            drop(lock(kept).take());
        }
    }

    /// Waits until no other model is loaded, and keeps the next one out: two at once would slow each other, and
    /// neither's speed nor memory would be its own. Trials are begun in the order of their models, so those of the
    /// other one all have a thread.
    fn take_room(&self) -> Room<'_> {
        let taken = lock(&self.taken);
        *self.room.wait_while(taken, |taken| *taken).unwrap_or_else(PoisonError::into_inner) = true;
        Room(self)
    }

    fn give_room(&self) {
        *lock(&self.taken) = false;
        self.room.notify_one();
    }

    /// Remembers that a model could not be loaded: the other trials need not try. Gives what the first of them met.
    pub(crate) fn fail(&self, position: usize, failure: Failure) -> Failure {
        let mut state = lock(&self.slots[position].state);
        match &*state {
            State::Failed(first) => return first.clone(),
            State::Open(_) => self.give_room(),
            State::Unopened | State::Closed => {}
        }
        *state = State::Failed(failure.clone());
        failure
    }

    /// Counts a trial as over; after the last one the model goes, and what it spent is known.
    pub(crate) fn done(&self, position: usize) -> Option<Spent> {
        let slot = &self.slots[position];
        if slot.remaining.fetch_sub(1, Ordering::AcqRel) != 1 {
            return None;
        }
        let State::Open(opened) = std::mem::replace(&mut *lock(&slot.state), State::Closed) else {
            return None;
        };
        let load = opened.loaded.get().and_then(|it| it.as_ref().ok().copied());
        let energy = opened.energy.as_ref().zip(self.meter.read()).map(|(before, now)| now.since(before));
        let peak_bytes = load.and_then(|_| machine::peak_memory());
        drop(opened);
        self.give_room();
        Some(Spent { load, peak_bytes, energy })
    }
}

/// The room for a model; another one may have it if this is dropped, as where opening fails or panics.
struct Room<'a>(&'a Pool);

impl Room<'_> {
    /// Leaves the room to the model until [`Pool::give_room`].
    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.give_room();
    }
}

impl Opened {
    /// Brings the weights into memory, once.
    pub(crate) fn load(&self) -> Result<(), BackendError> {
        let load = || {
            let (result, time) = timed(|| self.backend.load());
            result.map(|()| time)
        };
        self.loaded.get_or_init(load).as_ref().map(|_| ()).map_err(Clone::clone)
    }
}
