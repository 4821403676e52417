//! What is on file for a digest, what it proves, and how old that knowledge is.
//!
//! Sources file documents here page by page ([`Ledger::file`]); what a whole listing did not give is taken
//! away ([`Ledger::close`]), unless so much of what is in use would go that it looks like a fault
//! ([`super::brake`]). Documents lie on disk ([`super::store`]), what was checked of them in memory
//! ([`super::cache`]). Asks nobody outside.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use super::brake::{self, Loss};
use super::cache::{Cache, CacheStatus, Flight, Held, Turn};
use super::source::{Document, Scope};
use super::store::{Row, RowId, ScopeId, ScopeState, Store, StoreError, StoreStats};
use crate::attestation::verify::Observer;
use crate::attestation::{Evidence, KeyRing, Occurrence};
use crate::image::Digest;

/// How long a question waits for the first reading of what lies on this node: less than a gate waits for
/// its answer.
const FIRST_READING: Duration = if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(6) };
/// A digest counts as used for so long.
pub(super) const USED: Duration = Duration::from_secs(7 * 24 * 3600);
/// That a scope was listed again, and nothing was new, is written down after so long.
const UNWRITTEN_FOR: Duration = Duration::from_secs(300);
/// For so long it is remembered what look-ups took away.
const LOST: Duration = Duration::from_secs(24 * 3600);
/// Digests that were looked up and could not be written to disk.
const UNWRITTEN: usize = 256;

/// What is known of a digest.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What it proves.
    pub evidence: Arc<Evidence>,
    /// Since its sources were last read to the end, or it was last looked up there; `None` where nobody
    /// knows.
    pub age: Option<Duration>,
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

/// What sources give, each scope by itself.
#[derive(Debug, Default)]
struct Shelves {
    by_id: BTreeMap<ScopeId, Shelf>,
}

/// One scope of one source.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    pub(super) id: ScopeId,
    pub(super) source: String,
    pub(super) scope: Scope,
    pub(super) state: ScopeState,
    /// The time in `state` that is on disk.
    written: Option<SystemTime>,
    /// What a listing or look-ups would take away and may not.
    pub(super) held: Option<HeldBack>,
    /// Digests in use that look-ups took evidence from, and when.
    lost: HashMap<Digest, SystemTime>,
}

/// Deletions that wait for somebody's word.
#[derive(Debug, Clone)]
pub(super) struct HeldBack {
    pub(super) gone: Arc<[(RowId, Digest)]>,
    pub(super) loss: Loss,
    pub(super) since: SystemTime,
}

/// How a listing ended for the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// What it did not give is gone; how many documents.
    Taken(usize),
    /// Too much would go.
    HeldBack(Loss),
}

impl Shelf {
    /// What was held back and is given again is not to go any more.
    fn has_again(&mut self, digest: Digest, found: &HashSet<RowId>) {
        let Some(held) = &mut self.held else { return };
        if held.gone.iter().any(|(row, _)| found.contains(row)) {
            held.gone = held.gone.iter().filter(|(row, _)| !found.contains(row)).copied().collect();
            self.lost.remove(&digest);
        }
        if held.gone.is_empty() {
            self.held = None;
        }
    }
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
        let held = match self.cache.turn(digest, key_ring) {
            Turn::Held(held) => held,
            Turn::Yours(flight, before) => self.gather(digest, key_ring, flight, before.as_deref()),
        };
        Some(self.answer(&held, now))
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
        let filed = self.filed(digest);
        let occurrences = filed.iter().map(|(_, occurrence)| occurrence);
        let evidence = Evidence::gather_watched(digest, occurrences, key_ring, before.as_deref(), observer);
        Some(self.answer(&self.held(digest, &filed, Arc::new(evidence)), now))
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
        self.cache.pinned().contains(&digest)
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
        self.store.generation()
    }

    /// What is wrong with what is kept on disk.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.store.problem()
    }

    /// From now on exactly these scopes of `source` count; what is filed in others is left where it is.
    pub(super) fn open_scopes(&self, source: &str, scopes: &[Scope]) -> Result<(), StoreError> {
        let known = self.store.scopes()?;
        let mut opened = Vec::new();
        for scope in scopes {
            let text = scope.to_string();
            let id = self.store.scope(source, &text);
            let state = known.iter().find(|(_, _, other, _)| *other == id).map(|(.., state)| *state);
            opened.push((id, scope.clone(), state.unwrap_or(ScopeState::NEW)));
        }
        let mut shelves = self.shelves.write().unwrap_or_else(PoisonError::into_inner);
        let kept = |shelf: &Shelf| shelf.source != source || opened.iter().any(|(id, ..)| *id == shelf.id);
        let before = shelves.by_id.len();
        shelves.by_id.retain(|_, shelf| kept(shelf));
        let mut changed = shelves.by_id.len() != before;
        for (id, scope, state) in opened {
            shelves.by_id.entry(id).or_insert_with(|| {
                changed |= state.rows > 0;
                let written = state.synced;
                let source = source.to_owned();
                Shelf { id, source, scope, state, written, held: None, lost: HashMap::new() }
            });
        }
        drop(shelves);
        if changed {
            self.cache.outdate_all();
        }
        Ok(())
    }

    /// Forgets what sources filed that are no longer configured.
    pub(super) fn keep_sources(&self, configured: &[String]) -> Result<(), StoreError> {
        let gone = self.store.retain(&|source, _| configured.iter().any(|name| name == source))?;
        self.cache.outdate(gone);
        Ok(())
    }

    /// Files a page; which of its documents are news. Each counts from now on.
    pub(super) fn file(&self, scope: ScopeId, documents: &[Document]) -> Result<bool, StoreError> {
        let rows: Vec<_> =
            documents.iter().map(|document| (document.occurrence.digest, &*document.text)).collect();
        let news = self.store.put(scope, &rows)?;
        let any = !news.is_empty();
        self.cache.outdate(news);
        Ok(any)
    }

    /// A listing of a scope has ended as it should: what is not `present` is gone, unless that is too much.
    pub(super) fn close(
        &self,
        scope: ScopeId,
        present: &HashSet<RowId>,
        key_ring: &KeyRing,
        now: SystemTime,
    ) -> Result<Closed, StoreError> {
        let gone = self.store.absent_from(scope, present)?;
        let rows = present.len() as u64;
        if !gone.is_empty() {
            let loss = self.loss(&gone, key_ring, now)?;
            if brake::holds(loss) {
                let kept = rows + gone.len() as u64;
                self.shelf(scope, |shelf| {
                    let since = shelf.held.as_ref().map_or(now, |held| held.since);
                    shelf.held = Some(HeldBack { gone: gone.into(), loss, since });
                    shelf.state.rows = kept;
                });
                return Ok(Closed::HeldBack(loss));
            }
        }
        let state = ScopeState { synced: Some(now), rows, lookup_only: false };
        if gone.is_empty() && self.is_written(scope, state) {
            self.shelf(scope, |shelf| (shelf.state, shelf.held) = (state, None));
        } else {
            self.take_away(scope, &gone, state)?;
        }
        Ok(Closed::Taken(gone.len()))
    }

    /// What was held back goes after all; how many documents.
    pub(super) fn accept(&self, scope: ScopeId, now: SystemTime) -> Result<usize, StoreError> {
        let shelf = self.shelves().into_iter().find(|shelf| shelf.id == scope);
        let Some((state, held)) = shelf.and_then(|shelf| Some((shelf.state, shelf.held?))) else {
            return Ok(0);
        };
        let rows = state.rows.saturating_sub(held.gone.len() as u64);
        let synced = if state.lookup_only { state.synced } else { Some(now) };
        self.take_away(scope, &held.gone, ScopeState { synced, rows, ..state })?;
        self.shelf(scope, |shelf| shelf.lost.clear());
        Ok(held.gone.len())
    }

    /// A scope has more than is listed: from now on it is only asked for one digest at a time.
    pub(super) fn only_look_up(&self, scope: ScopeId, rows: u64, now: SystemTime) -> Result<(), StoreError> {
        self.take_away(scope, &[], ScopeState { synced: Some(now), rows, lookup_only: true })
    }

    /// What a look-up found: all that the scope has for the digest. Whether that is news. What is in use and
    /// would be lost is held back as after a listing, counted over a day.
    pub(super) fn file_looked_up(
        &self,
        scope: ScopeId,
        digest: Digest,
        documents: Vec<Document>,
        key_ring: &KeyRing,
        now: SystemTime,
    ) -> bool {
        if self.holds_back(scope, digest, &documents, key_ring, now).unwrap_or_default() {
            return self.file(scope, &documents).unwrap_or_default();
        }
        let rows: Vec<_> = documents.iter().map(|document| &*document.text).collect();
        let news = match self.store.replace_looked_up(scope, digest, &rows, now) {
            Ok(news) => news,
            Err(error) => {
                tracing::warn!("what was looked up is kept in memory alone: {}", crate::chain(&error));
                let mut unwritten = self.unwritten();
                unwritten.retain(|(other, at, _)| (*other, *at) != (digest, scope));
                if unwritten.len() >= UNWRITTEN {
                    unwritten.remove(0);
                }
                unwritten.push((digest, scope, documents));
                true
            }
        };
        // Also where nothing is news: how old it is has changed.
        self.cache.outdate([digest]);
        news
    }

    /// Whether what a look-up no longer found is too much to lose, after all that look-ups lost in a day.
    fn holds_back(
        &self,
        scope: ScopeId,
        digest: Digest,
        documents: &[Document],
        key_ring: &KeyRing,
        now: SystemTime,
    ) -> Result<bool, StoreError> {
        let found: HashSet<_> = documents.iter().map(|document| RowId::of(&document.text)).collect();
        self.shelf(scope, |shelf| shelf.has_again(digest, &found));
        let rows = self.store.filed(digest)?;
        let gone: HashSet<_> = rows
            .iter()
            .filter(|row| row.scope == scope && !found.contains(&row.id))
            .map(|row| row.id)
            .collect();
        if gone.is_empty() || !brake::loses(digest, &rows, &gone, key_ring) {
            return Ok(false);
        }
        let used = self.in_use(now)?;
        if !used.contains(&digest) {
            return Ok(false);
        }
        let mut holds = false;
        self.shelf(scope, |shelf| {
            shelf.lost.retain(|_, at| now.duration_since(*at).is_ok_and(|since| since < LOST));
            shelf.lost.insert(digest, now);
            let loss = Loss { lost: shelf.lost.len(), used: used.len() };
            holds = brake::holds(loss);
            if holds {
                let mut all: Vec<_> = gone.iter().map(|row| (*row, digest)).collect();
                let before = shelf.held.take();
                let since = before.as_ref().map_or(now, |held| held.since);
                all.extend(
                    before.iter().flat_map(|held| held.gone.iter()).filter(|(_, other)| *other != digest),
                );
                shelf.held = Some(HeldBack { gone: all.into(), loss, since });
            }
        });
        Ok(holds)
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

    /// Whether the disk says so already, but for a time that is not much earlier: after a start that makes
    /// evidence a little older than it is, never fresher.
    fn is_written(&self, scope: ScopeId, state: ScopeState) -> bool {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        let Some(shelf) = shelves.by_id.get(&scope) else { return false };
        let since = |written: SystemTime| state.synced?.duration_since(written).ok();
        (shelf.state.rows, shelf.state.lookup_only) == (state.rows, state.lookup_only)
            && shelf.written.and_then(since).is_some_and(|since| since < UNWRITTEN_FOR)
    }

    fn take_away(
        &self,
        scope: ScopeId,
        gone: &[(RowId, Digest)],
        state: ScopeState,
    ) -> Result<(), StoreError> {
        self.store.settle(scope, gone, state.synced, state.lookup_only)?;
        self.shelf(scope, |shelf| (shelf.state, shelf.written, shelf.held) = (state, state.synced, None));
        self.cache.outdate(gone.iter().map(|(_, digest)| *digest));
        Ok(())
    }

    /// What the digests in use would lose.
    fn loss(
        &self,
        gone: &[(RowId, Digest)],
        key_ring: &KeyRing,
        now: SystemTime,
    ) -> Result<Loss, StoreError> {
        // Whoever is held back now is so after a start, too.
        self.write_uses();
        let used = self.in_use(now)?;
        let mut going: HashMap<Digest, HashSet<RowId>> = HashMap::new();
        for (row, digest) in gone.iter().filter(|(_, digest)| used.contains(digest)) {
            going.entry(*digest).or_default().insert(*row);
        }
        let mut lost = 0;
        for (digest, going) in going {
            let rows = self.store.filed(digest)?;
            lost += usize::from(brake::loses(digest, &rows, &going, key_ring));
        }
        Ok(Loss { lost, used: used.len() })
    }

    fn gather(
        &self,
        digest: Digest,
        key_ring: &KeyRing,
        flight: Flight<'_>,
        before: Option<&Evidence>,
    ) -> Arc<Held> {
        let filed = self.filed(digest);
        let occurrences = filed.iter().map(|(_, occurrence)| occurrence);
        let evidence = Arc::new(Evidence::gather_again(digest, occurrences, key_ring, before));
        flight.land(self.held(digest, &filed, evidence))
    }

    fn held(&self, digest: Digest, filed: &[(ScopeId, Occurrence)], evidence: Arc<Evidence>) -> Held {
        let mut scopes: Vec<_> = filed.iter().map(|(scope, _)| *scope).collect();
        scopes.dedup();
        let asked = if scopes.is_empty() { self.shelf_ids() } else { scopes.clone() };
        let looked_up = asked.into_iter().filter_map(|scope| Some((scope, self.looked_up(scope, digest)?)));
        Held { evidence, scopes: scopes.into(), looked_up: looked_up.collect(), noted: AtomicU64::default() }
    }

    /// What is on file and can be read, scope by scope.
    fn filed(&self, digest: Digest) -> Vec<(ScopeId, Occurrence)> {
        let open = self.shelf_ids();
        let rows = self.store.filed(digest).unwrap_or_else(|error| {
            tracing::warn!("what is on file for {digest} cannot be read: {}", crate::chain(&error));
            Vec::new()
        });
        let read = |row: Row| Some((row.scope, Occurrence::parse(&row.text).ok()?));
        let mut filed: Vec<_> =
            rows.into_iter().filter(|row| open.contains(&row.scope)).filter_map(read).collect();
        for (other, scope, documents) in self.unwritten().iter() {
            if *other == digest && open.contains(scope) {
                filed.extend(documents.iter().map(|document| (*scope, document.occurrence.clone())));
            }
        }
        filed
    }

    fn answer(&self, held: &Held, now: SystemTime) -> Answer {
        if held.evidence.is_found() && held.is_news(now) {
            self.used().insert(held.evidence.digest(), now);
        }
        Answer { evidence: Arc::clone(&held.evidence), age: self.age(held, now) }
    }

    /// Of the scope that was heard of longest ago: of those that hold something for the digest, or of all
    /// where none does.
    fn age(&self, held: &Held, now: SystemTime) -> Option<Duration> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        let of = |shelf: &Shelf| {
            let looked_up = held.looked_up.iter().find(|(scope, _)| *scope == shelf.id).map(|(_, at)| *at);
            let listed = shelf.state.synced.filter(|_| !shelf.state.lookup_only);
            let heard = listed.max(looked_up)?;
            Some(now.duration_since(heard).unwrap_or_default())
        };
        let mut ages = shelves
            .by_id
            .values()
            .filter(|shelf| held.scopes.is_empty() || held.scopes.contains(&shelf.id))
            .map(of);
        let first = ages.next()??;
        ages.try_fold(first, |oldest, age| Some(oldest.max(age?)))
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

#[cfg(test)]
mod tests;
