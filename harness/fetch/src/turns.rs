//! Turns: how many transfers there are at once, and who has to wait for whom.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

/// Does work for each item, a few at once; gives the results in the items' order.
pub(crate) fn at_once<T: Sync, R: Send>(most: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..most.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|it| (index, it))
                } {
                    let result = work(item);
                    results.lock().expect("no thread panics while it stores a result").push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no thread panics while it stores a result");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A number of places for transfers, whatever models they belong to.
pub(crate) struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// One place; it is free again when this is dropped.
pub(crate) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Mutex::new(count.max(1)), freed: Condvar::new() }
    }

    /// Waits for a place.
    pub(crate) fn take(&self) -> Slot<'_> {
        let free = self.free.lock().expect("no thread panics while it counts");
        let mut free = self.freed.wait_while(free, |it| *it == 0).expect("no thread panics while it counts");
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().expect("no thread panics while it counts") += 1;
        self.0.freed.notify_one();
    }
}

/// Keeps two models that need the same file or package from writing it together.
#[derive(Default)]
pub(crate) struct Turns {
    held: Mutex<Vec<String>>,
    released: Condvar,
}

/// The right to write what some keys stand for.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    keys: Vec<String>,
}

impl Turns {
    /// Waits until nobody else holds any of the keys, then takes all of them together: nobody waits while holding some.
    pub(crate) fn take(&self, keys: Vec<String>) -> Turn<'_> {
        let held = self.held.lock().expect("no thread panics while it looks");
        let mut held = self
            .released
            .wait_while(held, |held| keys.iter().any(|it| held.contains(it)))
            .expect("no thread panics while it looks");
        held.extend(keys.iter().cloned());
        Turn { turns: self, keys }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.held.lock().expect("no thread panics while it looks").retain(|it| !self.keys.contains(it));
        self.turns.released.notify_all();
    }
}
