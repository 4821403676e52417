//! Which signatures were checked under which key, so that none is twice.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::mem::Discriminant;

use super::effort::Effort;
use crate::attestation::occurrence::Form;
use crate::image::Digest;

/// A signature tried with a key, but for the payload that it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Trial<'a> {
    /// The key's place in the attestor.
    pub(super) key: usize,
    pub(super) form: Discriminant<Form>,
    /// Of an envelope.
    pub(super) media_type: &'a str,
    pub(super) signature: &'a [u8],
}

/// The same bytes may stand over several payloads: a copy of a good signature beside something else must
/// not hide it. Payloads are hashed only where that happens, and each once: thousands of signatures share
/// one.
#[derive(Debug, Default)]
pub(super) struct Tried<'a> {
    /// With the payload that they first stood over.
    first: HashMap<Trial<'a>, &'a [u8]>,
    others: HashSet<(Trial<'a>, Digest)>,
    /// By address; everything borrowed outlives this.
    hashes: HashMap<*const [u8], Digest>,
}

impl<'a> Tried<'a> {
    /// Whether this very signature was noted. Hashes at the cost of `effort`.
    pub(super) fn contains(&mut self, trial: Trial<'a>, payload: &'a [u8], effort: &mut Effort) -> bool {
        let Some(first) = self.first.get(&trial).copied() else { return false };
        if std::ptr::eq(first, payload) {
            return true;
        }
        let hash = self.hash(payload, effort);
        hash == self.hash(first, effort) || self.others.contains(&(trial, hash))
    }

    /// Notes one that was checked.
    pub(super) fn note(&mut self, trial: Trial<'a>, payload: &'a [u8], effort: &mut Effort) {
        match self.first.entry(trial) {
            Entry::Vacant(new) => {
                new.insert(payload);
            }
            Entry::Occupied(_) => {
                let hash = self.hash(payload, effort);
                self.others.insert((trial, hash));
            }
        }
    }

    fn hash(&mut self, payload: &'a [u8], effort: &mut Effort) -> Digest {
        *self.hashes.entry(std::ptr::from_ref(payload)).or_insert_with(|| {
            effort.read(payload.len());
            Digest::of(payload)
        })
    }
}
