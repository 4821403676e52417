//! How often each gate decided what.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::audit::Gate;
use crate::decision::{Decision, Reason, Verdict};

/// What every gate has decided since start.
#[derive(Debug, Default)]
pub(super) struct GatesCounts([Counts; Gate::ALL.len()]);

impl GatesCounts {
    pub(super) fn of(&self, gate: Gate) -> &Counts {
        let [pull, pod, create, running] = &self.0;
        match gate {
            Gate::Pull => pull,
            Gate::Pod => pod,
            Gate::Create => create,
            Gate::Running => running,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    allowed: AtomicU64,
    denied: AtomicU64,
    undecidable: AtomicU64,
    dry_run: AtomicU64,
    unanswered: AtomicU64,
}

/// Decisions of a gate since start.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::daemon) struct GateCounts {
    pub(in crate::daemon) allowed: u64,
    pub(in crate::daemon) denied: u64,
    pub(in crate::daemon) undecidable: u64,
    pub(in crate::daemon) dry_run: u64,
    pub(in crate::daemon) unanswered: u64,
}

impl Counts {
    /// Counts a decision.
    pub(super) fn count(&self, verdict: &Verdict) {
        let counter = match verdict.verdict {
            Decision::Allow => &self.allowed,
            Decision::Deny => &self.denied,
            Decision::CannotDecide => &self.undecidable,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if verdict.reason == Reason::Unanswered {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
        } else if verdict.allows() && verdict.would != Decision::Allow {
            self.dry_run.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> GateCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        GateCounts {
            allowed: of(&self.allowed),
            denied: of(&self.denied),
            undecidable: of(&self.undecidable),
            dry_run: of(&self.dry_run),
            unanswered: of(&self.unanswered),
        }
    }
}
