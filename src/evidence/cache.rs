//! The cache of checked evidence, keyed by digest and bounded.
//!
//! Digests with something verified and digests without live apart, so that asking for any number of
//! unknown digests pushes out no attested one. An entry counts only for the key ring and the very
//! occurrences it was made with: what is filed for other digests does not touch it.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use serde::Serialize;

use crate::attestation::{Evidence, KeyRing, Occurrence};
use crate::image::Digest;

const FOUND: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();
const ABSENT: NonZeroUsize = NonZeroUsize::new(2_048).unwrap();

/// What is filed for one digest, if anything is. The same allocation as long as nothing of it changes.
pub(super) type Filed = Option<Arc<[Arc<Occurrence>]>>;

#[derive(Debug)]
pub(super) struct Cache {
    halves: Mutex<Halves>,
}

#[derive(Debug)]
struct Halves {
    found: LruCache<Digest, Entry>,
    absent: LruCache<Digest, Entry>,
    hits: u64,
    misses: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    filed: Filed,
    evidence: Arc<Evidence>,
}

/// How full the cache is and how well it serves.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CacheStatus {
    /// Digests with something verified.
    pub found: usize,
    /// Digests without.
    pub absent: usize,
    /// Answers from the cache since start.
    pub hits: u64,
    /// Answers that had to be made since start.
    pub misses: u64,
}

impl Entry {
    fn counts_for(&self, filed: &Filed, key_ring: &KeyRing) -> bool {
        let same = match (&self.filed, filed) {
            (None, None) => true,
            (Some(mine), Some(now)) => Arc::ptr_eq(mine, now),
            _ => false,
        };
        same && self.evidence.is_under(key_ring)
    }
}

impl Cache {
    pub(super) fn new() -> Self {
        let halves =
            Halves { found: LruCache::new(FOUND), absent: LruCache::new(ABSENT), hits: 0, misses: 0 };
        Self { halves: Mutex::new(halves) }
    }

    pub(super) fn lookup(&self, digest: Digest, filed: &Filed, key_ring: &KeyRing) -> Option<Arc<Evidence>> {
        let mut halves = self.lock();
        let Halves { found, absent, hits, .. } = &mut *halves;
        let entry = found.get(&digest).or_else(|| absent.get(&digest));
        let fresh = entry.filter(|entry| entry.counts_for(filed, key_ring));
        *hits += u64::from(fresh.is_some());
        fresh.map(|entry| Arc::clone(&entry.evidence))
    }

    /// What was verified for `digest` when last asked, whether or not it still counts.
    pub(super) fn found_before(&self, digest: Digest) -> Option<Arc<Evidence>> {
        self.lock().found.peek(&digest).map(|entry| Arc::clone(&entry.evidence))
    }

    pub(super) fn store(&self, filed: Filed, evidence: Arc<Evidence>) {
        let digest = evidence.digest();
        let is_found = evidence.is_found();
        let entry = Entry { filed, evidence };
        let mut halves = self.lock();
        halves.misses += 1;
        if is_found {
            halves.absent.pop(&digest);
            halves.found.put(digest, entry);
        } else {
            halves.found.pop(&digest);
            halves.absent.put(digest, entry);
        }
    }

    pub(super) fn status(&self) -> CacheStatus {
        let halves = self.lock();
        CacheStatus {
            found: halves.found.len(),
            absent: halves.absent.len(),
            hits: halves.hits,
            misses: halves.misses,
        }
    }

    /// A panic elsewhere leaves whole entries behind: the lock is usable.
    fn lock(&self) -> MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
