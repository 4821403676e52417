//! What the engine has accepted: policy bundles, and the time it has seen.

use std::time::SystemTime;

use super::Engine;
use crate::config::OfferError;
use crate::config::trust::{Forget, ResetError, TrustReport};

impl Engine {
    /// Takes a policy bundle that was fetched, if it may be taken; status tells where it may not.
    pub(in super::super) fn offer(&self, bytes: &[u8]) {
        let taken = self.change(|documents| documents.offer(bytes, self.clock.now()));
        match taken {
            Ok(true) => tracing::info!("a policy bundle was accepted"),
            Ok(false) => {}
            Err(error @ OfferError::NotConfigured) => tracing::error!("{error}"),
            // Announced as a problem of the documents.
            Err(_) => {}
        }
    }

    /// Takes note of a look at where bundles come from that brought nothing new.
    pub(in super::super) fn bundle_unchanged(&self) {
        self.change(|documents| documents.unchanged(self.clock.now()));
    }

    /// Takes note that no bundle could be fetched.
    pub(in super::super) fn bundle_not_fetched(&self, problem: String) {
        self.change(|documents| documents.fetch_failed(problem));
    }

    /// Whether a policy bundle is due and none is in force.
    pub(in super::super) fn lacks_bundle(&self) -> bool {
        self.documents().lacks_bundle()
    }

    /// Forgets what was accepted before.
    pub(in super::super) fn forget(&self, what: Forget) -> Result<TrustReport, ResetError> {
        self.change(|documents| {
            // Whoever forgets the time wants the clock believed.
            let now = if what == Forget::Bundle { self.clock.now() } else { SystemTime::now() };
            documents.forget(what, now)?;
            if what != Forget::Bundle {
                self.clock.reset();
            }
            Ok(documents.trust_report())
        })
    }

    /// The problem with the clock, if there is one.
    pub(in super::super) fn clock_problem(&self) -> Option<String> {
        self.clock.problem()
    }
}
