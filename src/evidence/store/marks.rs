//! When digests were last used and looked up. Forgotten after seven days.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use redb::ReadableTable as _;

use super::error::{Fault, StoreError};
use super::tables::{Writing, mark, marked, pair_key, seconds};
use super::{ScopeId, Store};
use crate::image::Digest;

/// How long a use or a look-up is remembered, counted back from the latest use that is told.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often what is to be forgotten is sought: all entries are read.
const PRUNED_EVERY: Duration = Duration::from_secs(3600);

const USED: &str = "used";
pub(super) const LOOKED_UP: &str = "looked-up";

impl Store {
    /// Records when digests were last used. At most once an hour, by the latest of these times, what is older
    /// than seven days is forgotten.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing is recorded then.
    pub fn touch(&self, used: &[(Digest, SystemTime)]) -> Result<(), StoreError> {
        let Some(latest) = used.iter().map(|(_, at)| *at).max() else { return Ok(()) };
        let prune = self.wants_pruning(latest);
        self.write(|writing| {
            for (digest, at) in used {
                writing.used.insert(digest.bytes(), &mark(USED, digest.bytes(), *at))?;
            }
            if prune {
                forget(writing, latest)?;
            }
            Ok(((), true))
        })?;
        if prune {
            *self.pruned.lock().unwrap_or_else(PoisonError::into_inner) = Some(latest);
        }
        Ok(())
    }

    /// The digests that were used at `time` or after it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn used_since(&self, time: SystemTime) -> Result<HashSet<Digest>, StoreError> {
        self.read(|reading| {
            let mut used = HashSet::new();
            for entry in reading.used.iter()? {
                let (digest, at) = entry?;
                if seconds(marked(USED, digest.value(), at.value())?) >= seconds(time) {
                    used.insert(Digest::from_bytes(*digest.value()));
                }
            }
            Ok(used)
        })
    }

    /// Whether a digest was used in the last seven days, or somewhat longer ago.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn is_used(&self, digest: Digest) -> Result<bool, StoreError> {
        self.read(|reading| Ok(reading.used.get(digest.bytes())?.is_some()))
    }

    /// When a digest was last looked up in a scope, in whole seconds.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn looked_up(&self, scope: ScopeId, digest: Digest) -> Result<Option<SystemTime>, StoreError> {
        self.read(|reading| {
            let key = pair_key(digest, scope);
            let found = reading.looked_up.get(&key)?;
            found.map(|at| marked(LOOKED_UP, &key, at.value())).transpose()
        })
    }

    fn wants_pruning(&self, now: SystemTime) -> bool {
        let pruned = *self.pruned.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that went back prunes once more and finds nothing.
        pruned.is_none_or(|pruned| now.duration_since(pruned).map_or(true, |since| since >= PRUNED_EVERY))
    }
}

/// Takes out what is older than is remembered, and what cannot be told.
fn forget(writing: &mut Writing<'_>, now: SystemTime) -> Result<(), Fault> {
    let oldest = seconds(now).saturating_sub(REMEMBERED.as_secs());
    let kept = |at: Result<SystemTime, Fault>| at.is_ok_and(|at| seconds(at) >= oldest);
    writing.used.retain(|key, at| kept(marked(USED, key, at)))?;
    writing.looked_up.retain(|key, at| kept(marked(LOOKED_UP, key, at)))?;
    Ok(())
}
