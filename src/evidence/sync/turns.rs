//! One look-up of a digest at a time: of two side by side the one that was asked first may file last, and what it
//! found is older.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Line, OwnedMutexGuard};

use crate::image::Digest;

/// Of one source: who looks up which digest, and who stands in line for it.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Digest, Arc<Line<()>>>>);

/// Somebody's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    digest: Digest,
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for those who stand in line before.
    pub(super) async fn take(self: &Arc<Self>, digest: Digest) -> Turn {
        let line = {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(lines.entry(digest).or_default())
        };
        // Made before: whoever stops waiting leaves no line behind.
        let mut turn = Turn { turns: Arc::clone(self), digest, held: None };
        turn.held = Some(line.lock_owned().await);
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.held = None;
        if lines.get(&self.digest).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_after_the_other_and_nothing_stays() {
        let (turns, digest) = (Arc::<Turns>::default(), Digest::of(b"a"));
        let first = turns.take(digest).await;
        drop(turns.take(Digest::of(b"b")).await);
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, turns.take(digest)).await.is_err(), "two at a time");
        let second = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { drop(turns.take(digest).await) }
        });
        tokio::time::sleep(soon).await;
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap();
        assert!(turns.0.lock().unwrap().is_empty());
    }
}
