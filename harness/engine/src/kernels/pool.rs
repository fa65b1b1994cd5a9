//! Threads that share the work of one operation.
//!
//! A step of a small model has some hundred operations of a few microseconds each: threads that sleep in between
//! would be woken for longer than they work. So they look for work for a while before they sleep. Which thread does
//! which part never changes a result: every part writes its own outputs.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How often a thread looks for work before it sleeps: 50 to 200 microseconds.
const LOOKS: u32 = 4_000;

/// Threads of one model.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// One operation at a time.
    turn: Mutex<()>,
}

struct Shared {
    /// Raised with each operation, and at the end.
    news: AtomicU64,
    desk: Mutex<Desk>,
    woken: Condvar,
}

#[derive(Default)]
struct Desk {
    job: Option<Arc<Job>>,
    sleeping: usize,
    ended: bool,
}

/// One operation.
struct Job {
    /// Valid until `done == parts`: [`Pool::run`] returns no sooner.
    work: *const (dyn Fn(usize) + Sync),
    parts: usize,
    taken: AtomicUsize,
    done: AtomicUsize,
    panicked: AtomicUsize,
}

// SAFETY: `work` is `Sync`, and is called only while `Pool::run` keeps what it borrows alive: see `Job::help`.
unsafe impl Send for Job {}
// SAFETY: as above.
unsafe impl Sync for Job {}

impl Job {
    /// Does parts until none is left.
    fn help(&self) {
        loop {
            let part = self.taken.fetch_add(1, Ordering::Relaxed);
            if part >= self.parts {
                return;
            }
            // SAFETY: this part is not done, so `Pool::run` still waits and `work` is alive.
            let work = unsafe { &*self.work };
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(part))).is_err() {
                self.panicked.fetch_add(1, Ordering::Relaxed);
            }
            self.done.fetch_add(1, Ordering::Release);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// As many threads as this, the caller's own counted.
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { news: AtomicU64::new(0), desk: Mutex::default(), woken: Condvar::new() });
        let workers = (1..threads)
            .map(|index| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new().name(format!("engine-{index}")).spawn(move || shared.work())
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { shared, workers, turn: Mutex::new(()) })
    }

    /// As many threads as the machine has for this process.
    pub(crate) fn of_machine() -> std::io::Result<Self> {
        Self::new(std::thread::available_parallelism().map_or(1, NonZero::get))
    }

    /// How many threads work, the caller's own counted.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work` with each of `0..parts`, on all threads, and returns when all have returned.
    pub(crate) fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        if parts <= 1 || self.workers.is_empty() {
            (0..parts).for_each(work);
            return;
        }
        let _turn = lock(&self.turn);
        // SAFETY: only the lifetime changes; `Job` says why it is long enough.
        let work = unsafe {
            std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync + 'static)>(work)
        };
        let job = Arc::new(Job {
            work,
            parts,
            taken: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            panicked: AtomicUsize::new(0),
        });
        let mut desk = lock(&self.shared.desk);
        desk.job = Some(Arc::clone(&job));
        self.shared.news.fetch_add(1, Ordering::Release);
        if desk.sleeping > 0 {
            self.shared.woken.notify_all();
        }
        drop(desk);
        job.help();
        let mut looks = 0;
        while job.done.load(Ordering::Acquire) < parts {
            looks += 1;
            if looks < LOOKS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        let panicked = job.panicked.load(Ordering::Relaxed);
        assert!(panicked == 0, "{panicked} parts of an operation panicked");
    }

    /// Calls `work` with ranges that together are `0..items`, each of about `grain` items or more.
    pub(crate) fn ranges(&self, items: usize, grain: usize, work: &(dyn Fn(std::ops::Range<usize>) + Sync)) {
        self.split(items, grain, 4, work);
    }

    /// The same, for items that take long: the last to be done are fewer.
    pub(crate) fn long_ranges(&self, items: usize, work: &(dyn Fn(std::ops::Range<usize>) + Sync)) {
        self.split(items, 1, 16, work);
    }

    fn split(
        &self,
        items: usize,
        grain: usize,
        parts: usize,
        work: &(dyn Fn(std::ops::Range<usize>) + Sync),
    ) {
        // More parts than threads, so that a thread that is held up holds up little.
        let parts = (items / grain.max(1)).clamp(1, parts * self.threads()).min(items.max(1));
        self.run(parts, &|part| work(part * items / parts..(part + 1) * items / parts));
    }
}

impl Shared {
    fn work(&self) {
        let mut seen = 0;
        loop {
            let mut looks = 0;
            while self.news.load(Ordering::Acquire) == seen && looks < LOOKS {
                std::hint::spin_loop();
                looks += 1;
            }
            let mut desk = lock(&self.desk);
            while !desk.ended && self.news.load(Ordering::Acquire) == seen {
                desk.sleeping += 1;
                desk = self.woken.wait(desk).unwrap_or_else(PoisonError::into_inner);
                desk.sleeping -= 1;
            }
            if desk.ended {
                return;
            }
            seen = self.news.load(Ordering::Acquire);
            let job = desk.job.clone();
            drop(desk);
            if let Some(job) = job {
                job.help();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.desk).ended = true;
        self.shared.news.fetch_add(1, Ordering::Release);
        self.shared.woken.notify_all();
        for worker in self.workers.drain(..) {
            // A worker's panics were caught.
            drop(worker.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::new(threads).unwrap();
            for parts in [0, 1, 2, 5, 64, 1_000] {
                let counts: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
                pool.run(parts, &|part| _ = counts[part].fetch_add(1, Ordering::Relaxed));
                assert!(counts.iter().all(|it| it.load(Ordering::Relaxed) == 1), "{threads} {parts}");
            }
        }
    }

    #[test]
    fn ranges_cover_everything() {
        let pool = Pool::new(3).unwrap();
        for items in [0, 1, 7, 100] {
            let counts: Vec<AtomicUsize> = (0..items).map(|_| AtomicUsize::new(0)).collect();
            pool.ranges(items, 2, &|range| {
                range.for_each(|item| _ = counts[item].fetch_add(1, Ordering::Relaxed));
            });
            assert!(counts.iter().all(|it| it.load(Ordering::Relaxed) == 1), "{items}");
        }
    }

    #[test]
    fn many_callers_take_turns() {
        let pool = Pool::new(2).unwrap();
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        pool.run(4, &|_| _ = count.fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
        });
        assert_eq!(count.into_inner(), 3_200);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(2).unwrap();
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.run(8, &|part| assert_ne!(part, 3));
        }));
        assert!(failed.is_err());
        pool.run(8, &|_| {});
    }
}
