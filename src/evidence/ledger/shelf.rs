//! What a source gives, each scope by itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use crate::evidence::brake::Loss;
use crate::evidence::source::Scope;
use crate::evidence::store::{RowId, ScopeId, ScopeState};
use crate::image::Digest;

/// What sources give, each scope by itself.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    pub(super) by_id: BTreeMap<ScopeId, Shelf>,
}

/// One scope of one source.
#[derive(Debug, Clone)]
pub(in crate::evidence) struct Shelf {
    pub(in crate::evidence) id: ScopeId,
    pub(in crate::evidence) source: String,
    pub(in crate::evidence) scope: Scope,
    pub(in crate::evidence) state: ScopeState,
    /// The time in `state` that is on disk.
    pub(super) written: Option<SystemTime>,
    /// What a listing or look-ups would take away and may not.
    pub(in crate::evidence) held: Option<HeldBack>,
    /// Digests in use that look-ups took evidence from, and when.
    pub(super) lost: HashMap<Digest, SystemTime>,
}

/// Deletions that wait for somebody's word.
#[derive(Debug, Clone)]
pub(in crate::evidence) struct HeldBack {
    pub(in crate::evidence) gone: Arc<[(RowId, Digest)]>,
    pub(in crate::evidence) loss: Loss,
    pub(in crate::evidence) since: SystemTime,
}

impl Shelf {
    /// What was held back and is given again is not to go any more.
    pub(super) fn has_again(&mut self, digest: Digest, found: &HashSet<RowId>) {
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
