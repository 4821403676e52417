//! What is on file for a digest, what it proves, and how old that knowledge is.
//!
//! Sources file documents here page by page; what a whole listing did not give is taken away (`filing`), unless
//! so much of what is in use would go that it looks like a fault ([`super::brake`]). Documents lie on disk
//! ([`super::store`]), what was checked of them (`filed`) in memory ([`super::cache`]). Asks nobody outside.

mod filed;
mod filing;
mod shelf;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use super::cache::{Cache, CacheStatus, Held, Turn};
use super::source::{Document, Scope};
use super::store::{Row, ScopeId, ScopeState, Store, StoreError, StoreStats};
use crate::attestation::verify::Observer;
use crate::attestation::{Evidence, KeyRing};
use crate::image::Digest;

pub(super) use filing::Closed;
pub(super) use shelf::Shelf;
use shelf::Shelves;

/// How long a question waits for the first reading of what lies on this node: less than a gate waits for
/// its answer.
const FIRST_READING: Duration = if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(6) };
/// A digest counts as used for so long.
const USED: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is known of a digest.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What it proves.
    pub evidence: Arc<Evidence>,
    /// Since its sources were last read to the end, or it was last looked up there; `None` where nobody
    /// knows.
    pub age: Option<Duration>,
    /// It was in memory already.
    pub was_cached: bool,
}

/// What a digest is to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It runs, or somebody asked for it.
    Wanted,
    /// Something is on file for it, and nobody asked for it lately.
    Filed,
    /// Nothing.
    Unknown,
}

/// What is known of images, and where from.
#[derive(Debug)]
pub struct Ledger {
    store: Store,
    cache: Cache,
    shelves: RwLock<Shelves>,
    /// Local sources that have not been read once.
    unread: Mutex<HashSet<String>>,
    read: Condvar,
    used: Mutex<HashMap<Digest, SystemTime>>,
    /// What look-ups found while nothing could be written.
    unwritten: Mutex<Vec<(Digest, ScopeId, Vec<Document>)>>,
}

impl Ledger {
    /// Opens what is kept in `folder`. Questions wait a while for the first reading of the sources in
    /// `local`. The second value says what is wrong with what was kept.
    #[must_use]
    pub fn open<'a>(folder: &Path, local: impl IntoIterator<Item = &'a str>) -> (Self, Vec<String>) {
        let (store, problems) = Store::open(folder);
        let ledger = Self {
            store,
            cache: Cache::new(),
            shelves: RwLock::default(),
            unread: Mutex::new(local.into_iter().map(ToOwned::to_owned).collect()),
            read: Condvar::new(),
            used: Mutex::default(),
            unwritten: Mutex::default(),
        };
        (ledger, problems)
    }

    /// What is known of `digest` under `key_ring`. From memory where it is there; otherwise every signature
    /// that may count is checked now. `None` when a local source has not been read once within 6 s.
    #[must_use]
    pub fn evidence(&self, digest: Digest, key_ring: &KeyRing, now: SystemTime) -> Option<Answer> {
        self.first_reading()?;
        let (held, was_cached) = match self.cache.turn(digest, key_ring) {
            Turn::Held(held) => (held, true),
            Turn::Yours(flight, before) => (self.gather(digest, key_ring, flight, before.as_deref()), false),
        };
        Some(Answer { was_cached, ..self.answer(&held, now) })
    }

    /// The same from memory alone: at once, or not at all.
    #[must_use]
    pub fn cached(&self, digest: Digest, key_ring: &KeyRing, now: SystemTime) -> Option<Answer> {
        self.cache.lookup(digest, key_ring).map(|held| self.answer(&held, now))
    }

    /// The same with every signature looked at again, telling `observer` of each; what is in memory is left
    /// alone.
    pub fn watched(
        &self,
        digest: Digest,
        key_ring: &KeyRing,
        now: SystemTime,
        observer: &mut impl Observer,
    ) -> Option<Answer> {
        self.first_reading()?;
        let before = self.cache.before(digest);
        let filed = self.filed(digest, before.as_deref());
        let occurrences = filed.iter().map(|one| &one.occurrence);
        let known = before.as_deref().map(|held| &*held.evidence);
        let evidence = Evidence::gather_watched(digest, occurrences, key_ring, known, observer);
        let held = self.held(digest, &filed, Arc::new(evidence), key_ring);
        Some(Answer { was_cached: false, ..self.answer(&held, now) })
    }

    /// Every document on file for `digest`: its source, its scope, its text.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn documents(&self, digest: Digest) -> Result<Vec<(String, String, Vec<u8>)>, StoreError> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        let from = |row: Row| {
            let shelf = shelves.by_id.get(&row.scope)?;
            Some((shelf.source.clone(), shelf.scope.to_string(), row.text))
        };
        Ok(self.store.filed(digest)?.into_iter().filter_map(from).collect())
    }

    /// Digests that something is on file for, after one, and for how many documents.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn digests(&self, after: Option<Digest>, limit: usize) -> Result<Vec<(Digest, u64)>, StoreError> {
        self.store.digests(after, limit)
    }

    /// Whether a container runs it.
    #[must_use]
    pub fn is_pinned(&self, digest: Digest) -> bool {
        self.cache.is_pinned(digest)
    }

    /// These containers' images run: what is known of them stays in memory.
    pub fn pin(&self, digests: &HashSet<Digest>) {
        self.cache.pin(digests);
    }

    /// How full the memory is.
    #[must_use]
    pub fn cache(&self) -> CacheStatus {
        self.cache.status()
    }

    /// How full the disk is.
    #[must_use]
    pub fn disk(&self) -> StoreStats {
        self.store.stats()
    }

    /// Changes whenever all that was on file is lost or forgotten.
    #[must_use]
    pub(super) fn generation(&self) -> u64 {
        self.store.losses()
    }

    /// What is wrong with what is kept on disk.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.store.problem()
    }

    /// A local source has been read, or cannot be.
    pub(crate) fn has_read(&self, source: &str) {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).remove(source);
        self.read.notify_all();
    }

    /// Every scope that counts.
    pub(super) fn shelves(&self) -> Vec<Shelf> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        shelves.by_id.values().cloned().collect()
    }

    /// Scopes of `source` that count and are `wanted`.
    pub(super) fn scopes_of(&self, source: &str, wanted: impl Fn(&Scope) -> bool) -> Vec<ScopeId> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        let of = |shelf: &&Shelf| shelf.source == source && wanted(&shelf.scope);
        shelves.by_id.values().filter(of).map(|shelf| shelf.id).collect()
    }

    /// What `digest` is to this node: as far as is known, where the disk cannot be read.
    pub(super) fn standing(&self, digest: Digest) -> Standing {
        if self.cache.knows(digest)
            || self.used().contains_key(&digest)
            || self.store.is_used(digest).unwrap_or_default()
        {
            return Standing::Wanted;
        }
        if self.store.has(digest).unwrap_or_default() { Standing::Filed } else { Standing::Unknown }
    }

    /// Digests that were used lately, or run.
    pub(super) fn in_use(&self, now: SystemTime) -> Result<HashSet<Digest>, StoreError> {
        let mut used = self.store.used_since(now.checked_sub(USED).unwrap_or(SystemTime::UNIX_EPOCH))?;
        used.extend(self.used().keys());
        used.extend(self.cache.pinned());
        Ok(used)
    }

    /// When a scope was last asked for a digest by itself.
    pub(super) fn looked_up(&self, scope: ScopeId, digest: Digest) -> Option<SystemTime> {
        self.store.looked_up(scope, digest).ok().flatten()
    }

    /// Writes down which digests were used.
    pub(super) fn write_uses(&self) {
        let used = std::mem::take(&mut *self.used());
        let uses: Vec<_> = used.into_iter().collect();
        if !uses.is_empty() && self.store.touch(&uses).is_err() {
            self.used().extend(uses);
        }
    }

    /// Forgets a digest, in memory and on disk.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing is forgotten then.
    pub fn drop_digest(&self, digest: Digest) -> Result<(), StoreError> {
        self.unwritten().retain(|(other, ..)| *other != digest);
        self.store.drop_digest(digest)?;
        self.cache.outdate([digest]);
        Ok(())
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing is forgotten then.
    pub fn clear(&self) -> Result<(), StoreError> {
        self.unwritten().clear();
        self.store.clear()?;
        self.read_states()?;
        self.cache.outdate_all();
        Ok(())
    }

    /// Believes what is on disk: the file may have been begun anew.
    pub(super) fn read_states(&self) -> Result<(), StoreError> {
        let known = self.store.scopes()?;
        let mut shelves = self.shelves.write().unwrap_or_else(PoisonError::into_inner);
        for shelf in shelves.by_id.values_mut() {
            let state = known.iter().find(|(_, _, id, _)| *id == shelf.id).map(|(.., state)| *state);
            shelf.state = state.unwrap_or(ScopeState::NEW);
            (shelf.written, shelf.held) = (shelf.state.synced, None);
        }
        Ok(())
    }

    fn answer(&self, held: &Held, now: SystemTime) -> Answer {
        if held.evidence.is_found() && held.is_news(now) {
            self.used().insert(held.evidence.digest(), now);
        }
        Answer { evidence: Arc::clone(&held.evidence), age: self.age(held, now), was_cached: true }
    }

    /// Of each thing that is proved the age by the scope that was heard of last and proves it: others can take
    /// nothing from it. Of these, or where nothing is proved of all scopes, the greatest.
    fn age(&self, held: &Held, now: SystemTime) -> Option<Duration> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        let of = |shelf: &Shelf| {
            let looked_up = held.looked_up.iter().find(|(scope, _)| *scope == shelf.id).map(|(_, at)| *at);
            let listed = shelf.state.synced.filter(|_| !shelf.state.lookup_only);
            [listed, looked_up].into_iter().flatten().map(|heard| since(heard, now)).min()
        };
        if held.grounds.is_empty() {
            return oldest(shelves.by_id.values().map(of));
        }
        let proofs = held.grounds.chunk_by(|one, next| one.proof == next.proof);
        oldest(proofs.map(|grounds| {
            grounds.iter().filter_map(|ground| shelves.by_id.get(&ground.scope).and_then(of)).min()
        }))
    }

    fn first_reading(&self) -> Option<()> {
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let (unread, _) = self
            .read
            .wait_timeout_while(unread, FIRST_READING, |unread| !unread.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        unread.is_empty().then_some(())
    }

    fn shelf(&self, scope: ScopeId, change: impl FnOnce(&mut Shelf)) {
        let mut shelves = self.shelves.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(shelf) = shelves.by_id.get_mut(&scope) {
            change(shelf);
        }
    }

    fn shelf_ids(&self) -> Vec<ScopeId> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        shelves.by_id.keys().copied().collect()
    }

    fn used(&self) -> MutexGuard<'_, HashMap<Digest, SystemTime>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unwritten(&self) -> MutexGuard<'_, Vec<(Digest, ScopeId, Vec<Document>)>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The greatest of these ages; `None` where there is none, or one of them is not known.
fn oldest(mut ages: impl Iterator<Item = Option<Duration>>) -> Option<Duration> {
    let first = ages.next()??;
    ages.try_fold(first, |oldest, age| Some(oldest.max(age?)))
}

/// How long ago that was. Of a time that has not come yet, since the clock was set back, how far away it is:
/// it makes nothing fresh.
pub(super) fn since(heard: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(heard).unwrap_or_else(|ahead| ahead.duration())
}

#[cfg(test)]
mod tests;
