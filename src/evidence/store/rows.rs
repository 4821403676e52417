//! Documents: put, given, compared with what a source lists, and taken out.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::SystemTime;

use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::error::{Fault, StoreError};
use super::tables::{
    self, PairKey, Reading, RowKey, ScopeRecord, Writing, astray, pair_key, parts, row_key, span,
};
use super::{MAX_ROW_BYTES, MAX_ROWS, Row, RowId, ScopeId, Store};
use crate::attestation::occurrence::MAX_BYTES;
use crate::image::Digest;

/// How many rows are taken out in one transaction where it need not be one.
const AT_ONCE: usize = 10_000;

impl Store {
    /// Files documents of one scope under their digests. Those that are there already stay as they are.
    /// Gives the digests that have one more than before.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing is filed then.
    pub fn put(&self, scope: ScopeId, rows: &[(Digest, &[u8])]) -> Result<Vec<Digest>, StoreError> {
        self.has_room()?;
        let mut keyed = Vec::with_capacity(rows.len());
        for (digest, text) in rows {
            keyed.push((row_key(*digest, scope, id_of(text)?), *text));
        }
        // Neighbours in the file are written one after the other.
        keyed.sort_unstable_by_key(|(key, _)| *key);
        let name = self.name_of(scope)?;
        self.write(|writing| {
            let mut more = BTreeSet::new();
            let mut added = 0;
            for (key, text) in keyed {
                if writing.file(&key, text)? {
                    added += 1;
                    more.insert(parts(&key).0);
                }
            }
            let changed = change(writing, scope, name, |record| record.rows += added)?;
            Ok((more.into_iter().collect(), changed))
        })
    }

    /// What is filed of a scope and is not in `present`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn absent_from(
        &self,
        scope: ScopeId,
        present: &HashSet<RowId>,
    ) -> Result<Vec<(RowId, Digest)>, StoreError> {
        self.read(|reading| {
            let mut absent = Vec::new();
            for entry in reading.index.iter()? {
                let (digest, filed_in, id) = parts(entry?.0.value());
                if filed_in == scope && !present.contains(&id) {
                    absent.push((id, digest));
                }
            }
            Ok(absent)
        })
    }

    /// Ends a listing: takes out what is gone and records when it was made, in one transaction.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing is taken out or recorded then.
    pub fn settle(
        &self,
        scope: ScopeId,
        gone: &[(RowId, Digest)],
        synced: Option<SystemTime>,
        lookup_only: bool,
    ) -> Result<(), StoreError> {
        let name = self.name_of(scope)?;
        self.write(|writing| {
            let mut removed = 0;
            for (id, digest) in gone {
                removed += u64::from(writing.unfile(&row_key(*digest, scope, *id))?);
            }
            let changed = change(writing, scope, name, |record| {
                record.rows = record.rows.saturating_sub(removed);
                record.synced = synced;
                record.lookup_only = lookup_only;
            })?;
            Ok(((), changed))
        })?;
        self.note_rebuilt(scope);
        Ok(())
    }

    /// What is filed for a digest, scope by scope. Of each at most [`MAX_ROWS`] and [`MAX_ROW_BYTES`], so
    /// that no scope hides another's; which those are does not change while nothing else does.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn filed(&self, digest: Digest) -> Result<Vec<Row>, StoreError> {
        self.read(|reading| {
            let mut rows = Vec::new();
            let mut from = Some(ScopeId(0));
            while let Some(scope) = from {
                from = filed_from(reading, digest, scope, &mut rows)?;
            }
            Ok(rows)
        })
    }

    /// One document, if it is filed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn row(&self, digest: Digest, scope: ScopeId, id: RowId) -> Result<Option<Row>, StoreError> {
        self.read(|reading| {
            let Some(text) = reading.filed.get(&row_key(digest, scope, id))? else { return Ok(None) };
            row(scope, id, text.value()).map(Some)
        })
    }

    /// Whether any scope has something for a digest.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn has(&self, digest: Digest) -> Result<bool, StoreError> {
        self.read(|reading| {
            let (first, last) = span(digest, ScopeId(0));
            Ok(reading.index.range::<&RowKey>(&first..=&last)?.next().transpose()?.is_some())
        })
    }

    /// Which documents a scope has for a digest.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn ids(&self, scope: ScopeId, digest: Digest) -> Result<HashSet<RowId>, StoreError> {
        self.read(|reading| {
            let first = row_key(digest, scope, RowId([0; 16]));
            let last = row_key(digest, scope, RowId([0xff; 16]));
            let mut ids = HashSet::new();
            for entry in reading.index.range::<&RowKey>(&first..=&last)? {
                ids.insert(parts(entry?.0.value()).2);
            }
            Ok(ids)
        })
    }

    /// Files what a look-up of a digest in a scope found: that is all that the scope has for it. Says whether
    /// that changed anything.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing is changed then.
    pub fn replace_looked_up(
        &self,
        scope: ScopeId,
        digest: Digest,
        rows: &[&[u8]],
        at: SystemTime,
    ) -> Result<bool, StoreError> {
        self.has_room()?;
        let mut found = BTreeMap::new();
        for text in rows {
            found.insert(row_key(digest, scope, id_of(text)?), *text);
        }
        let name = self.name_of(scope)?;
        let changed = self.write(|writing| {
            let gone = keys(writing, digest, Some(scope))?;
            let gone: Vec<_> = gone.into_iter().filter(|key| !found.contains_key(key)).collect();
            for key in &gone {
                writing.unfile(key)?;
            }
            let mut added = 0;
            for (key, text) in &found {
                added += u64::from(writing.file(key, text)?);
            }
            let pair = pair_key(digest, scope);
            writing.looked_up.insert(&pair, &tables::mark(super::marks::LOOKED_UP, &pair, at))?;
            change(writing, scope, name, |record| {
                record.rows = (record.rows + added).saturating_sub(gone.len() as u64);
            })?;
            Ok((added > 0 || !gone.is_empty(), true))
        })?;
        self.note_rebuilt(scope);
        Ok(changed)
    }

    /// Takes out what any scope has for a digest, and when it was looked up. Gives the number of documents.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing is taken out then.
    pub fn drop_digest(&self, digest: Digest) -> Result<u64, StoreError> {
        self.write(|writing| {
            let gone = keys(writing, digest, None)?;
            take_out(writing, &gone)?;
            let (first, last) = (pair_key(digest, ScopeId(0)), pair_key(digest, ScopeId(u32::MAX)));
            let mut unmarked = false;
            for entry in writing.looked_up.extract_from_if::<&PairKey, _>(&first..=&last, |_, _| true)? {
                entry?;
                unmarked = true;
            }
            Ok((gone.len() as u64, unmarked || !gone.is_empty()))
        })
    }

    /// Forgets scopes for which `keep(source, scope)` is false, with what is filed of them. Gives the digests
    /// that have fewer documents than before. May leave a part of it to the next call when it fails.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn retain(&self, keep: &dyn Fn(&str, &str) -> bool) -> Result<Vec<Digest>, StoreError> {
        let names = self.names().clone();
        let gone: HashSet<ScopeId> =
            names.into_iter().filter(|(_, name)| !keep(&name.0, &name.1)).map(|(id, _)| id).collect();
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let mut fewer = BTreeSet::new();
        let mut from: RowKey = [0; 52];
        loop {
            let part = self.read(|reading| {
                let mut part = Vec::new();
                for entry in reading.index.range::<&RowKey>(&from..)? {
                    let key = *entry?.0.value();
                    if gone.contains(&parts(&key).1) {
                        part.push(key);
                    }
                    if part.len() >= AT_ONCE {
                        break;
                    }
                }
                Ok(part)
            })?;
            let Some(last) = part.last() else { break };
            from = *last;
            self.write(|writing| take_out(writing, &part).map(|()| ((), true)))?;
            fewer.extend(part.iter().map(|key| parts(key).0));
        }
        self.write(|writing| {
            let mut changed = false;
            for id in &gone {
                changed |= writing.scopes.remove(id.0)?.is_some();
            }
            Ok(((), changed))
        })?;
        self.names().retain(|id, _| !gone.contains(id));
        Ok(fewer.into_iter().collect())
    }

    /// Digests in their order, from behind `after`, at most `limit`, each with the number of its documents.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn digests(&self, after: Option<Digest>, limit: usize) -> Result<Vec<(Digest, u64)>, StoreError> {
        self.read(|reading| {
            let mut digests: Vec<(Digest, u64)> = Vec::new();
            let from = after.map_or([0; 52], |after| span(after, ScopeId(0)).1);
            for entry in reading.index.range::<&RowKey>(&from..)? {
                let (digest, _, _) = parts(entry?.0.value());
                if let Some((last, rows)) = digests.last_mut()
                    && *last == digest
                {
                    *rows += 1;
                } else if digests.len() == limit {
                    break;
                } else if Some(digest) != after {
                    digests.push((digest, 1));
                }
            }
            Ok(digests)
        })
    }

    pub(super) fn count(&self) -> Result<u64, StoreError> {
        self.read(|reading| Ok(reading.filed.len()?))
    }

    fn name_of(&self, scope: ScopeId) -> Result<(String, String), StoreError> {
        self.names().get(&scope).cloned().ok_or(StoreError::Forgotten)
    }
}

fn id_of(text: &[u8]) -> Result<RowId, StoreError> {
    if text.len() > MAX_BYTES { Err(StoreError::TooLarge(text.len())) } else { Ok(RowId::of(text)) }
}

/// Changes what the file says of a scope, beginning with nothing. Says whether that was a change.
fn change(
    writing: &mut Writing<'_>,
    id: ScopeId,
    (source, scope): (String, String),
    edit: impl FnOnce(&mut ScopeRecord),
) -> Result<bool, Fault> {
    let before = writing.scope_record(id)?;
    let new = ScopeRecord { source, scope, synced: None, rows: 0, lookup_only: false };
    let mut record = before.clone().unwrap_or(new);
    edit(&mut record);
    let changed = before.as_ref() != Some(&record);
    if changed {
        writing.record_scope(id, &record)?;
    }
    Ok(changed)
}

/// The keys of a digest, of one scope or all.
fn keys(writing: &Writing<'_>, digest: Digest, scope: Option<ScopeId>) -> Result<Vec<RowKey>, Fault> {
    let (first, last) = span(digest, scope.unwrap_or(ScopeId(0)));
    let mut keys = Vec::new();
    for entry in writing.index.range::<&RowKey>(&first..=&last)? {
        let key = *entry?.0.value();
        if scope.is_some_and(|scope| parts(&key).1 != scope) {
            break;
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Takes out rows and counts them off their scopes.
fn take_out(writing: &mut Writing<'_>, gone: &[RowKey]) -> Result<(), Fault> {
    let mut removed: BTreeMap<ScopeId, u64> = BTreeMap::new();
    for key in gone {
        if writing.unfile(key)? {
            *removed.entry(parts(key).1).or_default() += 1;
        }
    }
    for (scope, removed) in removed {
        let Some(mut record) = writing.scope_record(scope)? else { return Err(astray()) };
        record.rows = record.rows.saturating_sub(removed);
        writing.record_scope(scope, &record)?;
    }
    Ok(())
}

/// Adds what is filed for `digest` from `scope` on, until a scope has given all that it may. Gives the scope
/// to go on with then.
fn filed_from(
    reading: &Reading,
    digest: Digest,
    scope: ScopeId,
    rows: &mut Vec<Row>,
) -> Result<Option<ScopeId>, Fault> {
    let (first, last) = span(digest, scope);
    let mut filed = reading.filed.range::<&RowKey>(&first..=&last)?;
    let mut index = reading.index.range::<&RowKey>(&first..=&last)?;
    let mut current = scope;
    let (mut given, mut bytes) = (0, 0);
    loop {
        let (key, text) = match (filed.next().transpose()?, index.next().transpose()?) {
            (None, None) => return Ok(None),
            (Some((key, text)), Some((listed, _))) if key.value() == listed.value() => (*key.value(), text),
            _ => return Err(astray()),
        };
        let (_, scope, id) = parts(&key);
        if scope != current {
            (current, given, bytes) = (scope, 0, 0);
        }
        if given == MAX_ROWS || bytes >= MAX_ROW_BYTES {
            return Ok(scope.0.checked_add(1).map(ScopeId));
        }
        let row = row(scope, id, text.value())?;
        given += 1;
        bytes += row.text.len();
        rows.push(row);
    }
}

/// A document as it is filed, if it is what its id says.
fn row(scope: ScopeId, id: RowId, text: &[u8]) -> Result<Row, Fault> {
    if RowId::of(text) != id {
        return Err(Fault::Corrupt("a document does not match its hash".to_owned()));
    }
    Ok(Row { scope, id, text: text.to_vec() })
}
