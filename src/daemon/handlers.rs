//! The runtime handlers of this node, and which of them carry the create hook.
//!
//! Where the hook holds creations while the daemon is down, a handler without it is a hole: its pods are
//! refused unless the configuration lists it. A node on which no handler carries the hook has no such gate to
//! go around; that is an alarm, and NRI alone holds.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::containerd::{Containerd, HandlerSet};
use crate::decision::Reason;

const PERIOD: Duration = Duration::from_secs(30);

/// What is known of the handlers.
pub(super) struct Handlers {
    containerd: Containerd,
    allowed: BTreeSet<String>,
    last: Mutex<Option<Arc<HandlerSet>>>,
}

/// Why a pod may not run under its handler.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ungated {
    pub(super) reason: Reason,
    pub(super) cause: String,
}

impl Handlers {
    pub(super) fn new(containerd: Containerd, allowed: BTreeSet<String>) -> Self {
        Self { containerd, allowed, last: Mutex::default() }
    }

    /// Looks again and again.
    pub(super) async fn follow(&self) {
        loop {
            self.look().await;
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Asks containerd's CRI for its configuration, and reads the base specs that it names.
    pub(super) async fn look(&self) -> Option<Arc<HandlerSet>> {
        let found = self.containerd.handlers().await;
        let found = found.inspect_err(|error| tracing::debug!("handlers: {}", crate::chain(error))).ok();
        let found = found.map(Arc::new)?;
        let before = self.lock().replace(Arc::clone(&found));
        let problems = |set: Option<&Arc<HandlerSet>>| set.map(|set| problems(set)).unwrap_or_default();
        for problem in problems(Some(&found)) {
            if !problems(before.as_ref()).contains(&problem) {
                tracing::warn!("{problem}");
            }
        }
        Some(found)
    }

    /// Whether pods may run under `handler`; empty is the default one.
    pub(super) async fn admit(&self, handler: &str) -> Result<(), Ungated> {
        if self.allowed.contains(handler) {
            return Ok(());
        }
        let known = self.known();
        let known = match known {
            Some(known) if known.knows(handler) => Some(known),
            // A runtime that was restarted may have others now.
            _ => self.look().await,
        };
        let Some(known) = known else {
            let cause = "containerd does not tell which runtime handlers it has".to_owned();
            return Err(Ungated { reason: Reason::ContainerdUnread, cause });
        };
        let name = known.resolve(handler);
        if self.allowed.contains(name) || known.is_hooked(name) || !known.any_hooked() {
            return Ok(());
        }
        let cause = format!("its runtime handler `{name}` carries no create hook");
        Err(Ungated { reason: Reason::HandlerUngated, cause })
    }

    /// Every handler, and whether it carries the hook.
    pub(super) fn list(&self) -> Vec<(String, bool)> {
        self.known().map(|known| known.list()).unwrap_or_default()
    }

    /// What wants looking at.
    pub(super) fn problems(&self) -> Vec<String> {
        self.known().map(|known| problems(&known)).unwrap_or_default()
    }

    fn known(&self) -> Option<Arc<HandlerSet>> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<HandlerSet>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn problems(known: &HandlerSet) -> Vec<String> {
    known.problems()
}
