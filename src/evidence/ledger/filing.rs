//! What sources file, and what becomes of what they no longer give: it is taken away, unless so much of what is
//! in use would go that it looks like a fault.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use super::Ledger;
use super::shelf::{HeldBack, Shelf};
use crate::attestation::KeyRing;
use crate::evidence::brake::{self, Loss};
use crate::evidence::source::{Document, Scope};
use crate::evidence::store::{RowId, ScopeId, ScopeState, StoreError};
use crate::image::Digest;

/// That a scope was listed again, and nothing was new, is written down after so long.
const UNWRITTEN_FOR: Duration = Duration::from_secs(300);
/// For so long it is remembered what look-ups took away.
const LOST: Duration = Duration::from_secs(24 * 3600);
/// The most digests that were looked up and could not be written to disk: the oldest goes first.
const UNWRITTEN: usize = 256;

/// How a listing ended for the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::evidence) enum Closed {
    /// What it did not give is gone; how many documents.
    Taken(usize),
    /// Too much would go.
    HeldBack(Loss),
}

impl Ledger {
    /// From now on exactly these scopes of `source` count; what is filed in others is left where it is.
    pub(in crate::evidence) fn open_scopes(&self, source: &str, scopes: &[Scope]) -> Result<(), StoreError> {
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
    pub(in crate::evidence) fn keep_sources(&self, configured: &[String]) -> Result<(), StoreError> {
        let gone = self.store.retain(&|source, _| configured.iter().any(|name| name == source))?;
        self.cache.outdate(gone);
        Ok(())
    }

    /// Files documents; whether any is news. Each counts from now on.
    pub(in crate::evidence) fn file(
        &self,
        scope: ScopeId,
        documents: &[Document],
    ) -> Result<bool, StoreError> {
        self.file_texts(scope, documents.iter().map(|document| (document.occurrence.digest, &*document.text)))
    }

    /// The same, each the text of one about this digest.
    pub(in crate::evidence) fn file_texts<'a>(
        &self,
        scope: ScopeId,
        documents: impl Iterator<Item = (Digest, &'a [u8])>,
    ) -> Result<bool, StoreError> {
        let rows: Vec<_> = documents.collect();
        let news = self.store.put(scope, &rows)?;
        let any = !news.is_empty();
        self.cache.outdate(news);
        Ok(any)
    }

    /// A listing of a scope has ended as it should: what is not `present` is gone, unless that is too much
    /// together with what digests in use have `lost` already in this round over the scopes of a source. It says
    /// nothing of digests that something else was heard of `meanwhile`.
    pub(in crate::evidence) fn close(
        &self,
        scope: ScopeId,
        present: &HashSet<RowId>,
        key_ring: &KeyRing,
        now: SystemTime,
        lost: &mut HashSet<Digest>,
        meanwhile: impl Fn(Digest) -> bool,
    ) -> Result<Closed, StoreError> {
        let absent = self.store.absent_from(scope, present)?;
        // Asked after they were read: whoever filed one of them has said so before.
        let (newer, gone): (Vec<_>, Vec<_>) = absent.into_iter().partition(|(_, digest)| meanwhile(*digest));
        let rows = (present.len() + newer.len()) as u64;
        if !gone.is_empty() {
            let mut losing = lost.clone();
            let loss = self.loss(&gone, key_ring, now, &mut losing)?;
            // What takes nothing more from anybody may go, whatever others of the source did.
            let holds = losing.len() > lost.len() && brake::holds(loss);
            *lost = losing;
            if holds {
                let kept = rows + gone.len() as u64;
                self.shelf(scope, |shelf| {
                    let since = shelf.held.as_ref().map_or(now, |held| held.since);
                    shelf.held = Some(HeldBack { gone: gone.into(), loss, since });
                    shelf.state.rows = kept;
                });
                return Ok(Closed::HeldBack(loss));
            }
        }
        // What was looked up while nothing could be written is listed, or is not there any more.
        self.unwritten().retain(|(_, of, _)| *of != scope);
        let state = ScopeState { synced: Some(now), rows, lookup_only: false };
        if gone.is_empty() && self.is_written(scope, state) {
            self.shelf(scope, |shelf| (shelf.state, shelf.held) = (state, None));
        } else {
            self.take_away(scope, &gone, state)?;
        }
        Ok(Closed::Taken(gone.len()))
    }

    /// What was held back goes after all; how many documents.
    pub(in crate::evidence) fn accept(&self, scope: ScopeId, now: SystemTime) -> Result<usize, StoreError> {
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
    pub(in crate::evidence) fn only_look_up(
        &self,
        scope: ScopeId,
        rows: u64,
        now: SystemTime,
    ) -> Result<(), StoreError> {
        self.take_away(scope, &[], ScopeState { synced: Some(now), rows, lookup_only: true })
    }

    /// What a look-up found: all that the scope has for the digest. Whether that is news. What is in use and
    /// would be lost is held back as after a listing, counted over a day.
    pub(in crate::evidence) fn file_looked_up(
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
            Ok(news) => {
                self.unwritten().retain(|(other, of, _)| (*other, *of) != (digest, scope));
                news
            }
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

    /// What a look-up found for a digest that nobody here asked for: what it did not find is gone, and what is new
    /// is left to a listing, which has a bound. Whether that is news.
    pub(in crate::evidence) fn withdraw(
        &self,
        scope: ScopeId,
        digest: Digest,
        mut documents: Vec<Document>,
        key_ring: &KeyRing,
        now: SystemTime,
    ) -> bool {
        let Ok(filed) = self.store.ids(scope, digest) else { return false };
        documents.retain(|document| filed.contains(&RowId::of(&document.text)));
        documents.len() < filed.len() && self.file_looked_up(scope, digest, documents, key_ring, now)
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
        let before = self.cache.before(digest);
        let rows = self.rows(digest, before.as_deref())?;
        let gone: HashSet<_> = rows
            .iter()
            .filter(|row| row.scope == scope && !found.contains(&row.id))
            .map(|row| row.id)
            .collect();
        let known = before.as_deref().map(|held| &*held.evidence);
        if gone.is_empty() || !brake::loses(digest, &rows, &gone, key_ring, known) {
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

    /// What the digests in use would lose; adds them to those that are `losing`.
    pub(super) fn loss(
        &self,
        gone: &[(RowId, Digest)],
        key_ring: &KeyRing,
        now: SystemTime,
        losing: &mut HashSet<Digest>,
    ) -> Result<Loss, StoreError> {
        // Whoever is held back now is so after a start, too.
        self.write_uses();
        let used = self.in_use(now)?;
        let mut going: HashMap<Digest, HashSet<RowId>> = HashMap::new();
        for (row, digest) in gone.iter().filter(|(_, digest)| used.contains(digest)) {
            going.entry(*digest).or_default().insert(*row);
        }
        for (digest, going) in going {
            let before = self.cache.before(digest);
            let rows = self.rows(digest, before.as_deref())?;
            let known = before.as_deref().map(|held| &*held.evidence);
            if brake::loses(digest, &rows, &going, key_ring, known) {
                losing.insert(digest);
            }
        }
        Ok(Loss { lost: losing.len(), used: used.len() })
    }
}
