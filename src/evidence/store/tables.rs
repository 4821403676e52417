//! How rows lie in the file.
//!
//! `filed` and `index` have the same keys. A lookup reads both side by side: damage that hides or moves
//! rows shows as a difference, as redb checks no page when it reads one. A document's bytes are held by
//! the id in its key; what is in the small tables carries a check of its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, Table, TableDefinition, WriteTransaction};
use sha2::{Digest as _, Sha256};

use super::error::Fault;
use super::{RowId, ScopeId};
use crate::image::Digest;

/// The version of all this. Another is not read.
pub(super) const FORMAT: u32 = 1;
const FORMAT_KEY: &str = "format";

/// Digest, scope (big-endian), row.
pub(super) type RowKey = [u8; 52];
/// Digest, scope (big-endian).
pub(super) type PairKey = [u8; 36];

const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
const SCOPES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("scopes");
const FILED: TableDefinition<'_, &RowKey, &[u8]> = TableDefinition::new("filed");
const INDEX: TableDefinition<'_, &RowKey, ()> = TableDefinition::new("index");
const USED: TableDefinition<'_, &[u8; 32], &[u8; 16]> = TableDefinition::new("used");
const LOOKED_UP: TableDefinition<'_, &PairKey, &[u8; 16]> = TableDefinition::new("looked-up");

pub(super) fn row_key(digest: Digest, scope: ScopeId, id: RowId) -> RowKey {
    let mut key = [0; 52];
    let parts = digest.bytes().iter().copied().chain(scope.0.to_be_bytes()).chain(id.0);
    key.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    key
}

pub(super) fn pair_key(digest: Digest, scope: ScopeId) -> PairKey {
    let mut key = [0; 36];
    let parts = digest.bytes().iter().copied().chain(scope.0.to_be_bytes());
    key.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    key
}

/// The parts of a row's key.
pub(super) fn parts(key: &RowKey) -> (Digest, ScopeId, RowId) {
    let (mut digest, mut scope, mut id) = ([0; 32], [0; 4], [0; 16]);
    let all = digest.iter_mut().chain(&mut scope).chain(&mut id);
    all.zip(key).for_each(|(to, from)| *to = *from);
    (Digest::from_bytes(digest), ScopeId(u32::from_be_bytes(scope)), RowId(id))
}

/// The first and the last key that a digest may have from `scope` on.
pub(super) fn span(digest: Digest, scope: ScopeId) -> (RowKey, RowKey) {
    (row_key(digest, scope, RowId([0; 16])), row_key(digest, ScopeId(u32::MAX), RowId([0xff; 16])))
}

/// Whole seconds; what lies before 1970 is 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn time(seconds: u64) -> Result<SystemTime, Fault> {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    time.ok_or_else(|| Fault::Corrupt("a time of no year".to_owned()))
}

/// What an entry of a small table is checked by: it is this table's, under this key.
fn check(table: &str, key: &[u8], value: &[u8]) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(table.as_bytes());
    hash.update([0]);
    hash.update(key);
    hash.update(value);
    hash.finalize().first_chunk().copied().unwrap_or_default()
}

pub(super) fn mark(table: &str, key: &[u8], at: SystemTime) -> [u8; 16] {
    let value = seconds(at).to_be_bytes();
    let mut mark = [0; 16];
    let parts = check(table, key, &value).into_iter().chain(value);
    mark.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    mark
}

pub(super) fn marked(table: &str, key: &[u8], mark: &[u8; 16]) -> Result<SystemTime, Fault> {
    let (found, value) = mark.split_at(8);
    if found != check(table, key, value) {
        return Err(Fault::Corrupt(format!("an entry of `{table}` does not match its check")));
    }
    time(value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// What the file says of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScopeRecord {
    pub(super) source: String,
    pub(super) scope: String,
    pub(super) synced: Option<SystemTime>,
    pub(super) rows: u64,
    pub(super) lookup_only: bool,
}

impl ScopeRecord {
    fn encode(&self, id: u32) -> Vec<u8> {
        let mut value = Vec::new();
        value.push(u8::from(self.lookup_only) | u8::from(self.synced.is_some()) << 1);
        value.extend(self.synced.map_or(0, seconds).to_be_bytes());
        value.extend(self.rows.to_be_bytes());
        value.extend((self.source.len() as u64).to_be_bytes());
        value.extend(self.source.bytes().chain(self.scope.bytes()));
        let mut entry = check("scopes", &id.to_be_bytes(), &value).to_vec();
        entry.append(&mut value);
        entry
    }

    fn decode(id: u32, entry: &[u8]) -> Result<Self, Fault> {
        let damaged = || Fault::Corrupt("a scope does not match its check".to_owned());
        let (found, value) = entry.split_first_chunk::<8>().ok_or_else(damaged)?;
        if *found != check("scopes", &id.to_be_bytes(), value) {
            return Err(damaged());
        }
        let (flags, rest) = value.split_first().ok_or_else(damaged)?;
        let (synced, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (rows, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (length, names) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let length = usize::try_from(u64::from_be_bytes(*length)).map_err(|_| damaged())?;
        let (source, scope) = names.split_at_checked(length).ok_or_else(damaged)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| damaged());
        let synced = time(u64::from_be_bytes(*synced))?;
        Ok(Self {
            source: text(source)?,
            scope: text(scope)?,
            synced: (flags & 2 != 0).then_some(synced),
            rows: u64::from_be_bytes(*rows),
            lookup_only: flags & 1 != 0,
        })
    }
}

/// The tables as one reader sees them.
pub(super) struct Reading {
    pub(super) scopes: ReadOnlyTable<u32, &'static [u8]>,
    pub(super) filed: ReadOnlyTable<&'static RowKey, &'static [u8]>,
    pub(super) index: ReadOnlyTable<&'static RowKey, ()>,
    pub(super) used: ReadOnlyTable<&'static [u8; 32], &'static [u8; 16]>,
    pub(super) looked_up: ReadOnlyTable<&'static PairKey, &'static [u8; 16]>,
}

impl Reading {
    pub(super) fn of(transaction: &ReadTransaction) -> Result<Self, Fault> {
        Ok(Self {
            scopes: transaction.open_table(SCOPES)?,
            filed: transaction.open_table(FILED)?,
            index: transaction.open_table(INDEX)?,
            used: transaction.open_table(USED)?,
            looked_up: transaction.open_table(LOOKED_UP)?,
        })
    }

    pub(super) fn scope_records(&self) -> Result<Vec<(ScopeId, ScopeRecord)>, Fault> {
        let mut records = Vec::new();
        for entry in self.scopes.iter()? {
            let (id, record) = entry?;
            records.push((ScopeId(id.value()), ScopeRecord::decode(id.value(), record.value())?));
        }
        Ok(records)
    }
}

/// What version the file is of.
pub(super) fn format_of(transaction: &ReadTransaction) -> Result<u32, Fault> {
    let found = transaction.open_table(META)?.get(FORMAT_KEY)?.map(|version| version.value());
    found.ok_or_else(|| Fault::Corrupt("it says no format".to_owned()))
}

/// The tables as the writer changes them.
pub(super) struct Writing<'t> {
    pub(super) scopes: Table<'t, u32, &'static [u8]>,
    pub(super) filed: Table<'t, &'static RowKey, &'static [u8]>,
    pub(super) index: Table<'t, &'static RowKey, ()>,
    pub(super) used: Table<'t, &'static [u8; 32], &'static [u8; 16]>,
    pub(super) looked_up: Table<'t, &'static PairKey, &'static [u8; 16]>,
}

impl<'t> Writing<'t> {
    /// Makes those that are not there.
    pub(super) fn of(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            scopes: transaction.open_table(SCOPES)?,
            filed: transaction.open_table(FILED)?,
            index: transaction.open_table(INDEX)?,
            used: transaction.open_table(USED)?,
            looked_up: transaction.open_table(LOOKED_UP)?,
        })
    }

    /// What the file says of a scope, if anything.
    pub(super) fn scope_record(&self, id: ScopeId) -> Result<Option<ScopeRecord>, Fault> {
        self.scopes.get(id.0)?.map(|entry| ScopeRecord::decode(id.0, entry.value())).transpose()
    }

    pub(super) fn record_scope(&mut self, id: ScopeId, record: &ScopeRecord) -> Result<(), Fault> {
        self.scopes.insert(id.0, record.encode(id.0).as_slice())?;
        Ok(())
    }

    /// Files a document. Says whether it was not there before.
    pub(super) fn file(&mut self, key: &RowKey, text: &[u8]) -> Result<bool, Fault> {
        if self.index.get(key)?.is_some() {
            return Ok(false);
        }
        self.index.insert(key, ())?;
        if self.filed.insert(key, text)?.is_some() {
            return Err(astray());
        }
        Ok(true)
    }

    /// Takes a document out. Says whether it was there.
    pub(super) fn unfile(&mut self, key: &RowKey) -> Result<bool, Fault> {
        let listed = self.index.remove(key)?.is_some();
        let filed = self.filed.remove(key)?.is_some();
        if listed == filed { Ok(filed) } else { Err(astray()) }
    }
}

/// Begins an empty file.
pub(super) fn begin(transaction: &WriteTransaction, format: u32) -> Result<(), Fault> {
    transaction.open_table(META)?.insert(FORMAT_KEY, format)?;
    Writing::of(transaction)?;
    Ok(())
}

/// A row that only one of `filed` and `index` has.
pub(super) fn astray() -> Fault {
    Fault::Corrupt("a row is filed and not in the index, or the other way round".to_owned())
}
