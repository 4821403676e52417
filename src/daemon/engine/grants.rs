//! Break-glass as the engine sees it: how often it was used, and what the log tells of grants.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use super::{Engine, Node as _};
use crate::audit::Gate;
use crate::config::{BreakGlassStatus, InForce};
use crate::decision::Verdict;
use crate::policy::{Grant, Serial};

/// Decisions at gates that break-glass has let through since start; what runs is judged and not counted.
#[derive(Debug, Default)]
pub(super) struct GlassUses {
    total: AtomicU64,
    by_label: AtomicU64,
    /// Of grants, by their serials, since they were taken last.
    untaken: Mutex<BTreeMap<String, u64>>,
}

/// How break-glass stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::daemon) struct GlassStatus {
    #[serde(flatten)]
    grants: BreakGlassStatus,
    /// Decisions that were let through since the daemon started.
    uses: u64,
    /// Those of them that a pod's label let through.
    label_uses: u64,
}

impl GlassStatus {
    /// How many grants hold, how many decisions were let through, and how many of them by a label.
    pub(in crate::daemon) fn counts(&self) -> (usize, u64, u64) {
        (self.grants.active, self.uses, self.label_uses)
    }
}

impl GlassUses {
    pub(super) fn count(&self, gate: Gate, verdict: &Verdict) {
        let (Some(broken), false) = (&verdict.break_glass, gate == Gate::Running) else { return };
        self.total.fetch_add(1, Ordering::Relaxed);
        match &broken.grant {
            None => drop(self.by_label.fetch_add(1, Ordering::Relaxed)),
            Some(grant) => {
                let mut untaken = self.untaken.lock().unwrap_or_else(PoisonError::into_inner);
                *untaken.entry(grant.serial.to_string()).or_default() += 1;
            }
        }
    }

    pub(super) fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.untaken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Engine {
    /// How break-glass stands; `None` where nothing of it is configured or known.
    pub(in crate::daemon) fn break_glass(&self) -> Option<GlassStatus> {
        let grants = {
            let mut documents = self.documents();
            documents.count_uses(&self.glass.take());
            documents.break_glass_status(self.now())
        };
        let is_of_interest = grants.pod_label
            || !grants.keys.is_empty()
            || !grants.grants.is_empty()
            || !grants.revoked.is_empty();
        is_of_interest.then(|| GlassStatus {
            grants,
            uses: self.glass.total.load(Ordering::Relaxed),
            label_uses: self.glass.by_label.load(Ordering::Relaxed),
        })
    }

    /// What lets images through that the policy refuses, one line each.
    pub(in crate::daemon) fn break_glass_alarms(&self) -> Vec<String> {
        self.documents().break_glass_alarms(self.now())
    }

    /// Revokes grants by their serials, at once and for good.
    ///
    /// # Errors
    /// Why it is not for good.
    pub(in crate::daemon) fn revoke(&self, serials: &[Serial]) -> Result<(), String> {
        self.change(|documents| documents.revoke(serials, self.now()))
    }

    /// Whether the time has come at which something begins or ends that decides.
    pub(in crate::daemon) fn is_due(&self) -> bool {
        self.in_force().due.is_some_and(|due| due <= self.now())
    }
}

impl Engine {
    /// Says which grants hold.
    pub(super) fn announce_grants(&self) {
        for (serial, terms) in held(&self.in_force()) {
            tracing::warn!("break-glass: grant {serial} holds: {terms}");
        }
    }

    /// Says which grants hold that did not `before`, and which do no more.
    pub(super) fn tell_grants(&self, before: &InForce) {
        let (before, after) = (held(before), held(&self.in_force()));
        for (serial, terms) in after.iter().filter(|(serial, _)| !before.contains_key(serial)) {
            tracing::warn!("break-glass: grant {serial} holds: {terms}");
        }
        for serial in before.keys().filter(|serial| !after.contains_key(*serial)) {
            tracing::warn!("break-glass: grant {serial} holds no more");
        }
    }
}

/// What holds, as it is told.
pub(super) fn held(in_force: &InForce) -> BTreeMap<Serial, Value> {
    let terms = |grant: &Grant| {
        let digests: Vec<_> = grant.digests().map(|digest| digest.to_string()).collect();
        let terms = json!({
            "digests": digests,
            "namespaces": grant.namespaces().to_string(),
            "expires": humantime::format_rfc3339_seconds(grant.expires()).to_string(),
            "reason": grant.reason(),
            "ticket": grant.ticket(),
            "keyId": grant.signer().to_string(),
        });
        (grant.serial().clone(), terms)
    };
    let book = in_force.state.rulebook();
    book.into_iter().flat_map(|book| book.break_glass.in_force(in_force.at).map(terms)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{BrokenGlass, Reason};

    #[test]
    fn uses_are_counted_at_gates_alone() {
        let uses = GlassUses::default();
        let mut verdict = Verdict::refused("r.io/a", None, Reason::NoAttestation, "why", "");
        uses.count(Gate::Create, &verdict);
        let broken = BrokenGlass { overrides: Reason::NoAttestation, grant: None, pod_label: true };
        verdict.break_glass = Some(Box::new(broken));
        for gate in Gate::ALL {
            uses.count(gate, &verdict);
        }
        assert_eq!((uses.total.into_inner(), uses.by_label.into_inner()), (3, 3));
        assert!(uses.untaken.into_inner().unwrap().is_empty());
    }
}
