//! What is on file for a digest, and by which documents it proves what it does.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::Ledger;
use crate::attestation::key_ring::Entry;
use crate::attestation::{Evidence, KeyRing, Occurrence};
use crate::evidence::cache::{Flight, Ground, Held};
use crate::evidence::store::{Row, RowId, ScopeId, StoreError};
use crate::image::Digest;

/// A document on file.
pub(super) struct Filed {
    pub(super) scope: ScopeId,
    pub(super) row: RowId,
    pub(super) occurrence: Occurrence,
}

impl Ledger {
    pub(super) fn gather(
        &self,
        digest: Digest,
        key_ring: &KeyRing,
        flight: Flight<'_>,
        before: Option<&Held>,
    ) -> Arc<Held> {
        let filed = self.filed(digest, before);
        let occurrences = filed.iter().map(|one| &one.occurrence);
        let known = before.map(|held| &*held.evidence);
        let evidence = Arc::new(Evidence::gather_again(digest, occurrences, key_ring, known));
        flight.land(self.held(digest, &filed, evidence, key_ring))
    }

    pub(super) fn held(
        &self,
        digest: Digest,
        filed: &[Filed],
        evidence: Arc<Evidence>,
        key_ring: &KeyRing,
    ) -> Held {
        let grounds = grounds(filed, &evidence, key_ring);
        let mut asked: Vec<_> = grounds.iter().map(|ground| ground.scope).collect();
        if asked.is_empty() {
            asked = self.shelf_ids();
        }
        asked.sort();
        asked.dedup();
        let looked_up = asked.into_iter().filter_map(|scope| Some((scope, self.looked_up(scope, digest)?)));
        let looked_up = looked_up.collect();
        Held { evidence, grounds, looked_up, noted: AtomicU64::default() }
    }

    /// What is on file and can be read, scope by scope.
    pub(super) fn filed(&self, digest: Digest, before: Option<&Held>) -> Vec<Filed> {
        let open = self.shelf_ids();
        let rows = self.rows(digest, before).unwrap_or_else(|error| {
            tracing::warn!("what is on file for {digest} cannot be read: {}", crate::chain(&error));
            Vec::new()
        });
        let read = |row: Row| {
            let occurrence = Occurrence::parse(&row.text).ok()?;
            Some(Filed { scope: row.scope, row: row.id, occurrence })
        };
        let mut filed: Vec<_> =
            rows.into_iter().filter(|row| open.contains(&row.scope)).filter_map(read).collect();
        for (other, scope, documents) in self.unwritten().iter() {
            if *other == digest && open.contains(scope) {
                filed.extend(documents.iter().map(|document| Filed {
                    scope: *scope,
                    row: RowId::of(&document.text),
                    occurrence: document.occurrence.clone(),
                }));
            }
        }
        filed
    }

    /// What lies on disk for `digest`, as far as it is read; and always what was found good in it `before`,
    /// however much was filed beside it since.
    pub(super) fn rows(&self, digest: Digest, before: Option<&Held>) -> Result<Vec<Row>, StoreError> {
        let mut rows = self.store.filed(digest)?;
        for ground in before.into_iter().flat_map(|held| &held.grounds) {
            if !rows.iter().any(|row| (row.scope, row.id) == (ground.scope, ground.row)) {
                rows.extend(self.store.row(digest, ground.scope, ground.row)?);
            }
        }
        Ok(rows)
    }
}

/// The first document of each scope for each thing that `evidence` proves. Statements are not told apart: each
/// scope that has something filed may have some of them to itself.
fn grounds(filed: &[Filed], evidence: &Evidence, key_ring: &KeyRing) -> Box<[Ground]> {
    let mut grounds: Vec<Ground> = Vec::new();
    let mut proofs = 0;
    for (proof, verified) in evidence.verified().enumerate() {
        let files_here = |one: &Filed| match key_ring.entry(verified.attestor()) {
            Some(Entry::Defined(attestor)) => {
                attestor.filing().holds(&one.occurrence.note, &one.occurrence.name)
            }
            _ => false,
        };
        for one in filed.iter().filter(|one| files_here(one) && verified.is_in(&one.occurrence)) {
            if !grounds.iter().any(|other| (other.proof, other.scope) == (proof, one.scope)) {
                grounds.push(Ground { proof, scope: one.scope, row: one.row });
            }
        }
        proofs = proof + 1;
    }
    if evidence.statement_count() > 0 {
        for one in filed {
            if !grounds.iter().any(|other| other.proof >= proofs && other.scope == one.scope) {
                grounds.push(Ground { proof: proofs + grounds.len(), scope: one.scope, row: one.row });
            }
        }
    }
    grounds.into()
}
