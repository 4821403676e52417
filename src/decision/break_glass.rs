//! Break-glass: the last step. What a rule or a check refuses is let through, and says so, where a signed grant names
//! one of the image's digests and the pod's namespace, or, where the node allows that, the pod asks by its label.
//!
//! It overrides nothing else: not the deny list, because that names what is known to be bad, and a grant is for what is
//! not attested; not what has no answer, but for which of several rules applies, since it would let through whatever
//! each of them refuses.

use std::time::SystemTime;

use serde::Serialize;

use super::judge::{Case, Ground};
use super::reason::{Class, Reason};
use super::verdict::{Decision, Verdict};
use crate::attestation::KeyId;
use crate::policy::Grant;
use crate::policy::break_glass::{POD_LABEL, Serial};

/// By what break-glass a refusal was let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokenGlass {
    /// The reason of the refusal.
    pub overrides: Reason,
    /// The grant; absent where the pod's label asked.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub grant: Option<UsedGrant>,
    /// Whether it was the pod's label, and no grant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pod_label: bool,
}

/// What a verdict tells of a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsedGrant {
    /// No other grant has it.
    pub serial: Serial,
    /// Why it was granted.
    #[serde(rename = "grantReason")]
    pub reason: String,
    /// Where more is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Who granted it, by its own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The key that has signed it.
    pub key_id: KeyId,
    /// When it ends, RFC 3339.
    pub expires: String,
}

impl UsedGrant {
    fn of(grant: &Grant) -> Self {
        Self {
            serial: grant.serial().clone(),
            reason: grant.reason().to_owned(),
            ticket: grant.ticket().map(str::to_owned),
            issuer: grant.issuer().map(str::to_owned),
            key_id: grant.signer().clone(),
            expires: rfc3339(grant.expires()),
        }
    }

    /// In the middle of a sentence.
    fn describe(&self) -> String {
        let Self { serial, reason, ticket, expires, .. } = self;
        let ticket = ticket.as_ref().map(|ticket| format!(", {ticket}")).unwrap_or_default();
        format!("break-glass grant {serial} until {expires} ({reason}{ticket})")
    }
}

impl Case<'_> {
    /// The verdict, if break-glass has nothing to say, or an allowance that says what it overrides.
    pub(super) fn with_break_glass(&self, verdict: Verdict) -> Verdict {
        if !self.may_break(&verdict) {
            return verdict;
        }
        let (glass, workload) = (&self.rulebook.break_glass, self.subject.workload());
        let covering = glass.covering(self.subject.deniable(), workload.namespace.as_deref(), self.now);
        if let Some(grant) = covering.map(UsedGrant::of) {
            let by = grant.describe();
            return broken(verdict, Some(grant), &by);
        }
        if glass.pod_label && workload.break_glass {
            return broken(verdict, None, &format!("the pod's label {}", POD_LABEL.0));
        }
        verdict
    }

    /// The verdict on a pull of which creation is asked about too: what only the pod could decide, which rule is
    /// its own or whether break-glass lets it through, may be fetched.
    pub fn at_pull(&self, verdict: Verdict) -> Verdict {
        let (glass, may_break) = (&self.rulebook.break_glass, self.may_break(&verdict));
        match glass.somewhere(self.subject.deniable(), self.now) {
            Some(grant) if may_break => {
                let used = UsedGrant::of(grant);
                let by = format!("{} in {}", used.describe(), grant.namespaces());
                broken(verdict, Some(used), &by).deferred()
            }
            _ if (may_break && glass.pod_label) || verdict.reason == Reason::PodContextUnknown => {
                verdict.deferred()
            }
            _ => verdict,
        }
    }

    /// Whether this is a refusal that break-glass may override.
    fn may_break(&self, verdict: &Verdict) -> bool {
        let is_overridable = match self.ground {
            Ground::Canary | Ground::Denied(_) => false,
            Ground::SystemDigest(..)
            | Ground::SystemPattern(..)
            | Ground::Pattern(..)
            | Ground::Rules(_)
            | Ground::NoPolicy => {
                verdict.reason.class() == Class::Denied || verdict.reason == Reason::PodContextUnknown
            }
        };
        is_overridable && verdict.verdict != Decision::Allow
    }
}

fn broken(verdict: Verdict, grant: Option<UsedGrant>, by: &str) -> Verdict {
    Verdict {
        verdict: Decision::Allow,
        reason: Reason::BreakGlass,
        message: format!("Image {} allowed by {by}. Without it: {}", verdict.image, verdict.message),
        remedy: String::new(),
        break_glass: Some(Box::new(BrokenGlass {
            overrides: verdict.reason,
            pod_label: grant.is_none(),
            grant,
        })),
        ..verdict
    }
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
