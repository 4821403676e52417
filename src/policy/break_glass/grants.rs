//! Everything about break-glass that a decision may ask.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Grant, Phase};
use crate::document::Version;
use crate::image::Digest;

/// Grants that may hold, now or later, and whether a pod's label counts. By default nothing does.
#[derive(Debug, Clone, Default)]
pub struct BreakGlass {
    /// Whether a pod may ask for it by its label.
    pub pod_label: bool,
    /// Each under every digest that it names.
    by_digest: HashMap<Digest, Vec<Arc<Grant>>>,
    /// Each once.
    grants: Vec<Arc<Grant>>,
}

impl BreakGlass {
    /// With these grants; who gives them has seen that none of them is revoked.
    #[must_use]
    pub fn new(pod_label: bool, grants: Vec<Arc<Grant>>) -> Self {
        let mut by_digest: HashMap<Digest, Vec<Arc<Grant>>> = HashMap::new();
        for grant in &grants {
            for digest in grant.digests() {
                by_digest.entry(digest).or_default().push(Arc::clone(grant));
            }
        }
        Self { pod_label, by_digest, grants }
    }

    /// Whether it lets nothing through whatever is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.pod_label && self.grants.is_empty()
    }

    /// The grant that lets an image of these digests run in `namespace` at `now`; of several the one that holds
    /// longest.
    #[must_use]
    pub fn covering(
        &self,
        digests: impl Iterator<Item = Digest>,
        namespace: Option<&str>,
        now: SystemTime,
    ) -> Option<&Grant> {
        self.naming(digests, now).filter(|grant| grant.covers(namespace)).max_by_key(|grant| rank(grant))
    }

    /// The same in some namespace or other.
    #[must_use]
    pub fn somewhere(&self, digests: impl Iterator<Item = Digest>, now: SystemTime) -> Option<&Grant> {
        self.naming(digests, now).max_by_key(|grant| rank(grant))
    }

    fn naming(&self, digests: impl Iterator<Item = Digest>, now: SystemTime) -> impl Iterator<Item = &Grant> {
        digests
            .filter_map(|digest| self.by_digest.get(&digest))
            .flatten()
            .map(|grant| &**grant)
            .filter(move |grant| grant.phase(now) == Phase::InForce)
    }

    /// Those that hold at `now`.
    pub fn in_force(&self, now: SystemTime) -> impl Iterator<Item = &Grant> {
        self.grants.iter().map(|grant| &**grant).filter(move |grant| grant.phase(now) == Phase::InForce)
    }

    /// The next time after `now` at which one begins or ends.
    #[must_use]
    pub fn next_change(&self, now: SystemTime) -> Option<SystemTime> {
        let times = self.grants.iter().flat_map(|grant| [grant.not_before(), grant.expires()]);
        times.filter(|time| *time > now).min()
    }

    /// Of what holds at `now`; `None` where nothing does.
    #[must_use]
    pub fn version(&self, now: SystemTime) -> Option<Version> {
        let mut held: Vec<_> = self.in_force(now).map(|grant| grant.payload().to_string()).collect();
        if held.is_empty() && !self.pod_label {
            return None;
        }
        held.sort();
        Some(Version::of(format!("{} {}", self.pod_label, held.join(" ")).as_bytes()))
    }
}

fn rank(grant: &Grant) -> (SystemTime, &super::Serial) {
    (grant.expires(), grant.serial())
}
