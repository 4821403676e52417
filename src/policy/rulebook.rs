//! Everything that decides, as it is in force at one moment.

use std::sync::Arc;
use std::time::SystemTime;

use super::{BreakGlass, DenyList, Freshness, PlatformPolicy, Policy, SystemPolicy};
use crate::attestation::key_ring::Asked;
use crate::attestation::{Attestor, AttestorName, KeyRing};
use crate::image::DigestKind;

/// Which digests an attestation may name; both unless configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subjects {
    /// That of an image index.
    pub index: bool,
    /// That of a platform manifest.
    pub manifest: bool,
}

impl Default for Subjects {
    fn default() -> Self {
        Self { index: true, manifest: true }
    }
}

impl Subjects {
    /// Whether an attestation may name a digest of this kind; one of unknown kind counts only where its
    /// kind does not matter.
    #[must_use]
    pub fn include(self, kind: DigestKind) -> bool {
        match kind {
            DigestKind::Index => self.index,
            DigestKind::Manifest => self.manifest,
            DigestKind::Unknown => self.index && self.manifest,
        }
    }
}

/// What the judge obeys.
#[derive(Debug, Clone, Default)]
pub struct Rulebook {
    /// Digests that are refused before anything else is looked at.
    pub deny_list: Arc<DenyList>,
    /// What the node itself needs.
    pub system_policy: Arc<SystemPolicy>,
    /// The policy; without one only check sets decide, and without either nothing does.
    pub policy: Option<Arc<Policy>>,
    /// Check sets, obeyed beside the policy.
    pub platform_policy: Option<Arc<PlatformPolicy>>,
    /// What lets through what these refuse.
    pub break_glass: Arc<BreakGlass>,
    /// Which digests an attestation may name.
    pub subjects: Subjects,
    /// Attestation is required by a digest in the image's own text, as Google has it.
    pub deny_tags: bool,
    /// How old evidence may be where a rule does not say.
    pub freshness: Freshness,
}

impl Rulebook {
    /// Every attestor that a document names, some more than once.
    pub fn attestors(&self) -> impl Iterator<Item = &AttestorName> {
        let policy = self.policy.iter().flat_map(|policy| policy.attestors());
        policy.chain(self.platform_policy.iter().flat_map(|platform| platform.signers()))
    }

    /// The next time after `now` at which something that decides begins or ends by itself.
    #[must_use]
    pub fn next_change(&self, now: SystemTime) -> Option<SystemTime> {
        let patterns = [self.policy.as_deref().map(Policy::allowlist), Some(self.system_policy.allowlist())];
        let ends = patterns.into_iter().flatten().map(|allowlist| allowlist.next_end(now));
        ends.chain([self.deny_list.next_end(now), self.break_glass.next_change(now)]).flatten().min()
    }

    /// The part of `key_ring` that any decision could ask, with the authorities that checks carry
    /// themselves: what is filed under the notes of others costs a decision nothing.
    #[must_use]
    pub fn narrow(&self, key_ring: &KeyRing) -> KeyRing {
        let policy = self.policy.iter().flat_map(|policy| policy.attestors());
        let mut asked = Asked { approvals: policy.cloned().collect(), ..Asked::default() };
        let platform = self.platform_policy.as_deref();
        let inline = || platform.into_iter().flat_map(PlatformPolicy::inline);
        asked.approvals.extend(inline().map(Attestor::name).cloned());
        asked.statements.extend(platform.into_iter().flat_map(PlatformPolicy::signers).cloned());
        key_ring.narrowed(asked, inline())
    }
}
