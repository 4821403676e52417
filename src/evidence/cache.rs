//! The memory of what was checked, keyed by digest and bounded.
//!
//! Digests with something verified and digests without live apart, so that asking for any number of
//! unknown digests pushes out no attested one. What containers run is pinned and never pushed out. An entry
//! counts for the key ring that it was made with, until what is filed for its digest changes. One question
//! at a time makes an entry; others for the same digest wait for it.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use lru::LruCache;
use serde::Serialize;

use super::store::{RowId, ScopeId};
use crate::attestation::{Evidence, KeyRing};
use crate::image::Digest;

/// The most digests with something verified, beside those that are pinned.
pub const MAX_FOUND: usize = 8_192;
/// The most bytes that these take, by [`Evidence::weight`].
pub const MAX_FOUND_BYTES: usize = 8 * 1024 * 1024;
/// The most digests without.
pub const MAX_ABSENT: NonZeroUsize = NonZeroUsize::new(2_048).unwrap();

/// What was checked of one digest, and what it was made from.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) evidence: Arc<Evidence>,
    /// What it rests on; those of one proof stand together.
    pub(super) grounds: Box<[Ground]>,
    /// When scopes were last asked for it by itself.
    pub(super) looked_up: Box<[(ScopeId, SystemTime)]>,
    /// Hours since the epoch of the last use that was noted.
    pub(super) noted: AtomicU64,
}

/// A document that proves something: the first one of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ground {
    /// Which of the things that are proved. One ground of each is enough.
    pub(super) proof: usize,
    pub(super) scope: ScopeId,
    pub(super) row: RowId,
}

#[derive(Debug)]
pub(super) struct Cache {
    inner: Mutex<Inner>,
    landed: Condvar,
}

#[derive(Debug)]
struct Inner {
    pinned: HashMap<Digest, Option<Entry>>,
    found: LruCache<Digest, Entry>,
    found_bytes: usize,
    absent: LruCache<Digest, Entry>,
    /// Digests that somebody is making an entry of, and whether what is filed has changed meanwhile.
    flights: HashMap<Digest, bool>,
    hits: u64,
    misses: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    held: Arc<Held>,
    /// What is filed has changed since: it counts no longer, and says what was verified before.
    outdated: bool,
}

/// How full the cache is and how well it serves.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CacheStatus {
    /// Digests with something verified, beside those that are pinned.
    pub found: usize,
    /// What these take, in bytes.
    pub bytes: usize,
    /// Digests without.
    pub absent: usize,
    /// Digests of images that containers run.
    pub pinned: usize,
    /// Answers from the cache since start.
    pub hits: u64,
    /// Answers that had to be made since start.
    pub misses: u64,
}

/// Whose turn it is.
pub(super) enum Turn<'a> {
    /// It is there.
    Held(Arc<Held>),
    /// The caller's, who knows now what was verified before; others wait.
    Yours(Flight<'a>, Option<Arc<Held>>),
}

/// An entry that is being made. Dropped without having landed, the next one makes it.
pub(super) struct Flight<'a> {
    cache: &'a Cache,
    digest: Digest,
}

impl Flight<'_> {
    /// Gives the entry to those who wait, and keeps it unless what is filed has changed meanwhile.
    pub(super) fn land(self, held: Held) -> Arc<Held> {
        let held = Arc::new(held);
        let mut inner = self.cache.lock();
        inner.misses += 1;
        let outdated = inner.flights.get(&self.digest).copied().unwrap_or_default();
        inner.keep(self.digest, Entry { held: Arc::clone(&held), outdated });
        held
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.cache.lock().flights.remove(&self.digest);
        self.cache.landed.notify_all();
    }
}

impl Entry {
    fn counts_for(&self, key_ring: &KeyRing) -> bool {
        !self.outdated && self.held.evidence.is_under(key_ring)
    }

    fn weight(&self) -> usize {
        let held = &*self.held;
        held.evidence.weight() + std::mem::size_of_val(held) + std::mem::size_of_val(&*held.grounds)
    }
}

impl Inner {
    fn peek(&self, digest: Digest) -> Option<&Entry> {
        self.pinned
            .get(&digest)
            .and_then(Option::as_ref)
            .or_else(|| self.found.peek(&digest))
            .or_else(|| self.absent.peek(&digest))
    }

    fn fresh(&mut self, digest: Digest, key_ring: &KeyRing) -> Option<Arc<Held>> {
        let entry = self.peek(digest).filter(|entry| entry.counts_for(key_ring))?;
        let held = Arc::clone(&entry.held);
        self.found.promote(&digest);
        self.absent.promote(&digest);
        self.hits += 1;
        Some(held)
    }

    fn keep(&mut self, digest: Digest, entry: Entry) {
        self.forget(digest);
        if let Some(pinned) = self.pinned.get_mut(&digest) {
            *pinned = Some(entry);
        } else if entry.held.evidence.is_found() {
            self.found_bytes += entry.weight();
            self.found.put(digest, entry);
            while self.found.len() > MAX_FOUND || self.found_bytes > MAX_FOUND_BYTES {
                let Some((_, oldest)) = self.found.pop_lru() else { break };
                self.found_bytes -= oldest.weight();
            }
        } else {
            self.absent.put(digest, entry);
        }
    }

    fn forget(&mut self, digest: Digest) -> Option<Entry> {
        if let Some(entry) = self.found.pop(&digest) {
            self.found_bytes -= entry.weight();
            return Some(entry);
        }
        self.absent.pop(&digest).or_else(|| self.pinned.get_mut(&digest)?.take())
    }
}

impl Cache {
    pub(super) fn new() -> Self {
        let inner = Inner {
            pinned: HashMap::new(),
            found: LruCache::unbounded(),
            found_bytes: 0,
            absent: LruCache::new(MAX_ABSENT),
            flights: HashMap::new(),
            hits: 0,
            misses: 0,
        };
        Self { inner: Mutex::new(inner), landed: Condvar::new() }
    }

    /// What is held under `key_ring`, at once or not at all.
    pub(super) fn lookup(&self, digest: Digest, key_ring: &KeyRing) -> Option<Arc<Held>> {
        self.lock().fresh(digest, key_ring)
    }

    /// The same, or the turn to make it; waits while somebody else makes it.
    pub(super) fn turn(&self, digest: Digest, key_ring: &KeyRing) -> Turn<'_> {
        let mut inner = self.lock();
        loop {
            if let Some(held) = inner.fresh(digest, key_ring) {
                return Turn::Held(held);
            }
            if let Slot::Vacant(slot) = inner.flights.entry(digest) {
                slot.insert(false);
                let before = inner.peek(digest).map(|entry| Arc::clone(&entry.held));
                return Turn::Yours(Flight { cache: self, digest }, before);
            }
            inner = self.landed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What was verified of `digest` when it was last made, whether or not it still counts.
    pub(super) fn before(&self, digest: Digest) -> Option<Arc<Held>> {
        self.lock().peek(digest).map(|entry| Arc::clone(&entry.held))
    }

    /// What is filed for these has changed.
    pub(super) fn outdate(&self, digests: impl IntoIterator<Item = Digest>) {
        let mut inner = self.lock();
        for digest in digests {
            if let Some(changed) = inner.flights.get_mut(&digest) {
                *changed = true;
            }
            let Inner { pinned, found, absent, .. } = &mut *inner;
            let entry = pinned
                .get_mut(&digest)
                .and_then(Option::as_mut)
                .or_else(|| found.peek_mut(&digest))
                .or_else(|| absent.peek_mut(&digest));
            if let Some(entry) = entry {
                entry.outdated = true;
            }
        }
    }

    /// The same of all.
    pub(super) fn outdate_all(&self) {
        let mut inner = self.lock();
        let Inner { pinned, found, absent, flights, .. } = &mut *inner;
        flights.values_mut().for_each(|changed| *changed = true);
        let found = found.iter_mut().chain(absent.iter_mut()).map(|(_, entry)| entry);
        pinned.values_mut().flatten().chain(found).for_each(|entry| entry.outdated = true);
    }

    /// Keeps these whatever else is asked for, and no others.
    pub(super) fn pin(&self, digests: &HashSet<Digest>) {
        let mut inner = self.lock();
        let loose: Vec<_> =
            inner.pinned.keys().filter(|digest| !digests.contains(*digest)).copied().collect();
        for digest in loose {
            if let Some(entry) = inner.pinned.remove(&digest).flatten() {
                inner.keep(digest, entry);
            }
        }
        for digest in digests {
            if !inner.pinned.contains_key(digest) {
                let entry = inner.forget(*digest);
                inner.pinned.insert(*digest, entry);
            }
        }
    }

    /// Whether somebody asked for it, and it was not pushed out since; or it is pinned.
    pub(super) fn knows(&self, digest: Digest) -> bool {
        let inner = self.lock();
        inner.pinned.contains_key(&digest) || inner.peek(digest).is_some()
    }

    pub(super) fn is_pinned(&self, digest: Digest) -> bool {
        self.lock().pinned.contains_key(&digest)
    }

    /// Those that are pinned.
    pub(super) fn pinned(&self) -> HashSet<Digest> {
        self.lock().pinned.keys().copied().collect()
    }

    pub(super) fn status(&self) -> CacheStatus {
        let inner = self.lock();
        CacheStatus {
            found: inner.found.len(),
            bytes: inner.found_bytes,
            absent: inner.absent.len(),
            pinned: inner.pinned.len(),
            hits: inner.hits,
            misses: inner.misses,
        }
    }

    /// A panic elsewhere leaves whole entries behind: the lock is usable.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Whether its use at this time has not been noted yet; notes it. By the hour: it is asked for often.
    pub(super) fn is_news(&self, now: SystemTime) -> bool {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let hour = since.as_secs() / 3600;
        self.noted.swap(hour, Ordering::Relaxed) != hour
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::Occurrence;

    fn held(digest: Digest) -> Held {
        let evidence = Evidence::gather(digest, std::iter::empty::<&Occurrence>(), &ring());
        Held {
            evidence: Arc::new(evidence),
            grounds: Box::default(),
            looked_up: Box::default(),
            noted: AtomicU64::default(),
        }
    }

    fn ring() -> KeyRing {
        KeyRing::new([])
    }

    #[test]
    fn one_makes_it_and_the_others_wait() {
        let (cache, digest) = (Cache::new(), Digest::of(b"a"));
        let Turn::Yours(flight, None) = cache.turn(digest, &ring()) else { panic!("nobody made it") };
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| matches!(cache.turn(digest, &ring()), Turn::Held(_)));
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!waiting.is_finished());
            flight.land(held(digest));
            assert!(waiting.join().unwrap());
        });
        assert_eq!((cache.status().hits, cache.status().misses), (1, 1));
    }

    #[test]
    fn what_changes_while_it_is_made_is_made_again() {
        let (cache, digest) = (Cache::new(), Digest::of(b"a"));
        let Turn::Yours(flight, _) = cache.turn(digest, &ring()) else { panic!("nobody made it") };
        cache.outdate([digest]);
        flight.land(held(digest));
        assert!(cache.lookup(digest, &ring()).is_none());
        // Given up, the next one's turn has come.
        drop(cache.turn(digest, &ring()));
        let Turn::Yours(flight, Some(_)) = cache.turn(digest, &ring()) else { panic!("somebody else's") };
        flight.land(held(digest));
        assert!(cache.lookup(digest, &ring()).is_some());
    }

    #[test]
    fn what_is_pinned_stays() {
        let (cache, digest) = (Cache::new(), Digest::of(b"a"));
        cache.pin(&HashSet::from([digest]));
        let make = |digest| match cache.turn(digest, &ring()) {
            Turn::Yours(flight, _) => drop(flight.land(held(digest))),
            Turn::Held(_) => {}
        };
        make(digest);
        (0..5_000_u32).for_each(|n| make(Digest::of(&n.to_be_bytes())));
        assert!(cache.lookup(digest, &ring()).is_some());
        assert_eq!((cache.status().absent, cache.status().pinned), (2_048, 1));
        cache.pin(&HashSet::new());
        assert!(cache.lookup(digest, &ring()).is_some());
        (0..5_000_u32).for_each(|n| make(Digest::of(&n.to_be_bytes())));
        assert!(cache.lookup(digest, &ring()).is_none());
    }
}
