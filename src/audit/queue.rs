//! What waits for the disk: bounded, and never waited for by who hands something over.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::told::Decides;

/// How many records may wait for the disk.
pub const QUEUE: usize = 8_192;

/// As many as are looked at while nobody else can hand anything over.
const SOME: usize = 64;

/// A record that waits.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) body: String,
    /// Whether the journal gets it also where the file takes it.
    pub(super) is_loud: bool,
    /// Whether the journal has been offered it.
    pub(super) is_told: bool,
    /// What hangs on it.
    pub(super) then: Option<Then>,
}

/// What happens once a record is written.
#[derive(Debug)]
pub(super) enum Then {
    /// Whoever waits for it hears of it; also, by its end, where it cannot be written now.
    Answer(oneshot::Sender<()>),
    /// The trail has been told of all that decides.
    Keep(Decides),
}

impl Item {
    /// It cannot be written now: nobody waits for it any more.
    pub(super) fn give_up(&mut self) {
        self.then.take_if(|then| matches!(then, Then::Answer(_)));
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    is_closed: bool,
}

/// What there is to do.
pub(super) enum Next {
    Write(Item),
    /// Nothing has come for a while.
    Idle,
    /// Nothing will come any more.
    Closed,
}

impl Queue {
    /// Takes `item`, or gives it back where the queue is full or closed.
    pub(super) fn push(&self, item: Item) -> Result<(), Item> {
        let mut state = self.lock();
        if state.is_closed || state.items.len() >= QUEUE {
            return Err(item);
        }
        state.items.push_back(item);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// Puts back what could not be written; it is the next one again.
    pub(super) fn put_back(&self, item: Item) {
        self.lock().items.push_front(item);
    }

    pub(super) fn next(&self, patience: Duration) -> Next {
        let waiting = |state: &mut State| state.items.is_empty() && !state.is_closed;
        let waited = self.ready.wait_timeout_while(self.lock(), patience, waiting);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.items.pop_front() {
            Some(item) => Next::Write(item),
            None if state.is_closed => Next::Closed,
            None => Next::Idle,
        }
    }

    /// Of what waits for a disk that takes nothing, some that the journal has not been offered yet; it is taken to be.
    pub(super) fn untold(&self) -> Vec<String> {
        let mut state = self.lock();
        let untold = state.items.iter_mut().filter(|item| !item.is_told).take(SOME);
        untold
            .map(|item| {
                item.is_told = true;
                item.give_up();
                item.body.clone()
            })
            .collect()
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.ready.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
