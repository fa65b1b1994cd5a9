//! A fair queue: whoever came first is served first.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Serves one thread at a time, in order of arrival.
#[derive(Default)]
pub(crate) struct Queue {
    tickets: Mutex<Tickets>,
    served: Condvar,
}

#[derive(Default)]
struct Tickets {
    next: u64,
    serving: u64,
}

/// A thread's turn; it ends when this is dropped.
pub(crate) struct Turn<'q>(&'q Queue);

impl Queue {
    /// Waits for this thread's turn.
    pub(crate) fn wait(&self) -> Turn<'_> {
        let mut tickets = self.tickets();
        let mine = tickets.next;
        tickets.next += 1;
        let waiting = self.served.wait_while(tickets, |it| it.serving != mine);
        drop(waiting.unwrap_or_else(PoisonError::into_inner));
        Turn(self)
    }

    fn tickets(&self) -> MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.tickets().serving += 1;
        self.0.served.notify_all();
    }
}
