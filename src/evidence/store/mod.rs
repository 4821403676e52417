//! The disk part of the evidence: what sources gave, byte for byte, filed by digest, in one redb file.
//!
//! It holds signed documents and never verdicts, and nothing in it is trusted: whoever can write to the
//! file can hide attestations and forge none. All of it can be had again from the sources. So damage of
//! any kind costs what is in the file and nothing else: it is set aside and begun anew. Each look-up
//! notices rows that are changed, moved or missing, since redb checks no page when it reads one.
//!
//! Every write is one durable transaction: after a kill or a loss of power all of it is there or nothing,
//! and opening takes no longer than after an orderly end. [`Store`] does not fail as a whole: see
//! `mending` for how it goes on without room, without a file, or with a damaged one.
//!
//! What it will not do: read documents, judge how old something is, or decide what may be deleted.

mod error;
mod file;
mod marks;
mod mending;
mod overlay;
mod rows;
mod tables;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub use error::StoreError;

use file::Paths;
use mending::{Health, Open};
use tables::ScopeRecord;

/// The most documents that [`Store::filed`] gives of one scope.
pub const MAX_ROWS: usize = 10_000;
/// The most bytes of documents that [`Store::filed`] gives of one scope, but for the last one.
pub const MAX_ROW_BYTES: usize = 16 * 1024 * 1024;

/// Documents by digest on disk. Calls may come from any thread; reads do not wait for writes.
#[derive(Debug)]
pub struct Store {
    paths: Paths,
    open: RwLock<Open>,
    health: Mutex<Health>,
    /// What ids mean. They keep their meaning when the file is begun anew.
    names: Mutex<BTreeMap<ScopeId, Name>>,
    pruned: Mutex<Option<SystemTime>>,
}

/// A source's name and the text of a scope.
type Name = (String, String);

/// One scope of one source. Means the same for as long as the [`Store`] lives, and may mean something else
/// after a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(u32);

/// A document by its content: the first 16 bytes of the SHA-256 of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId([u8; 16]);

/// A document as it is filed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it is from.
    pub scope: ScopeId,
    /// What it is by content.
    pub id: RowId,
    /// Its bytes as the source gave them.
    pub text: Vec<u8>,
}

/// How far a scope is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScopeState {
    /// When all of it was listed last, in whole seconds; never, if not.
    pub synced: Option<SystemTime>,
    /// Documents that are filed of it.
    pub rows: u64,
    /// It is too large to be listed: digests are looked up one by one.
    pub lookup_only: bool,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreStats {
    /// Documents; one that two scopes have counts twice. None when that cannot be read now.
    pub rows: Option<u64>,
    /// Bytes of the file, or of what is held in memory.
    pub file_bytes: u64,
    /// There is no file: everything is gone with the process.
    pub in_memory: bool,
    /// The most bytes of the file that are kept in memory.
    pub cache_bytes_limit: usize,
}

impl RowId {
    /// The id of a document with this text.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let hash: [u8; 32] = Sha256::digest(text).into();
        Self(hash.first_chunk().copied().unwrap_or_default())
    }
}

impl Store {
    /// Opens `evidence.redb` in `folder`, or makes it (0600).
    ///
    /// Never fails. A file that is damaged, of another format or no such file at all is renamed to
    /// `evidence.redb.aside`, in the place of an earlier one, and begun anew. Where no file can be had
    /// everything is held in memory. The second value says to people what became of it, if anything did.
    #[must_use]
    pub fn open(folder: &Path) -> (Self, Vec<String>) {
        let paths = Paths::of(folder);
        let mut health = Health::default();
        let open = Open::establish(&paths, &mut health);
        let store = Self {
            paths,
            open: RwLock::new(open),
            health: Mutex::new(health),
            names: Mutex::default(),
            pruned: Mutex::default(),
        };
        let records = store.read(tables::Reading::scope_records).unwrap_or_default();
        let names = records.into_iter().map(|(id, record)| (id, (record.source, record.scope)));
        store.names().extend(names);
        let problems = store.problems();
        (store, problems)
    }

    /// The id of a scope. A new one is written down with the first thing that is filed under it.
    #[must_use]
    pub fn scope(&self, source: &str, scope: &str) -> ScopeId {
        let mut names = self.names();
        let known = names.iter().find(|(_, name)| name.0 == source && name.1 == scope);
        if let Some((id, _)) = known {
            return *id;
        }
        let id = ScopeId(names.keys().next_back().map_or(0, |last| last.0.saturating_add(1)));
        names.insert(id, (source.to_owned(), scope.to_owned()));
        id
    }

    /// Every scope that is known: source, scope, id and state.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn scopes(&self) -> Result<Vec<(String, String, ScopeId, ScopeState)>, StoreError> {
        let records: BTreeMap<_, _> = self.read(tables::Reading::scope_records)?.into_iter().collect();
        let names = self.names();
        let state = |id| records.get(id).map_or(ScopeState::NEW, ScopeRecord::state);
        Ok(names.iter().map(|(id, name)| (name.0.clone(), name.1.clone(), *id, state(id))).collect())
    }

    /// How much there is.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let held = self.is_in_memory();
        let on_disk = || std::fs::metadata(&self.paths.file).map_or(0, |meta| meta.len());
        StoreStats {
            rows: self.count().ok(),
            file_bytes: held.unwrap_or_else(on_disk),
            in_memory: held.is_some(),
            cache_bytes_limit: file::CACHE_BYTES,
        }
    }

    /// What wants looking at now: no room, no file, or a file that was set aside and is not built again.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let problems = self.problems();
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    /// A panic elsewhere leaves whole names behind: the lock is usable.
    fn names(&self) -> MutexGuard<'_, BTreeMap<ScopeId, Name>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ScopeState {
    /// Of a scope that nothing is known of.
    pub const NEW: Self = Self { synced: None, rows: 0, lookup_only: false };
}

impl ScopeRecord {
    fn state(&self) -> ScopeState {
        ScopeState { synced: self.synced, rows: self.rows, lookup_only: self.lookup_only }
    }
}
