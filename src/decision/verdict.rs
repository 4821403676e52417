//! The verdict: one value that feeds the answer, the audit record, the log line and the counters.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::break_glass::BrokenGlass;
use super::reason::{Class, Reason};
use super::subject::Subject;
use crate::attestation::{AttestorName, KeyId};
use crate::document::Version;
use crate::image::Digest;

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Decision {
    /// It may run.
    Allow,
    /// It may not.
    Deny,
    /// It may not, because the question has no answer.
    CannotDecide,
}

impl Decision {
    /// As records and metrics have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::CannotDecide => "CANNOT_DECIDE",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the evidence of a verdict was, which is most of what a decision takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cached {
    /// In memory.
    Hit,
    /// It was read and checked, or looked up at the sources.
    Miss,
    /// None was asked for.
    #[default]
    None,
}

impl Cached {
    /// As metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::None => "none",
        }
    }
}

/// What one required attestor contributed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttestorVerdict {
    /// `projects/P/attestors/A`.
    pub name: AttestorName,
    /// Whether it has attested the digest.
    pub satisfied: bool,
    /// Why, or why not.
    pub reason: Reason,
    /// The key whose signature counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// The occurrence that held it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurrence: Option<String>,
    /// Which digest of the image it attests: that of its index or that of a platform manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// For people, where it is not satisfied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What one check of the platform policy came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckVerdict {
    /// Where it stands, such as `checkSets[0].checks[1]`.
    pub place: String,
    /// The name it is given, where it has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// Such as `TrustedDirectoryCheck`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What it came to.
    pub verdict: Conformance,
    /// Why; absent where an allowlist exempts the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// For people.
    pub explanation: String,
}

/// Whether an image is as a check wants it (continuous validation's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Conformance {
    /// It is.
    Conformant,
    /// It is not.
    NonConformant,
}

/// The answer to one question.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// What is decided.
    pub verdict: Decision,
    /// What it would be without dry run and break-glass.
    pub would: Decision,
    /// Whether a failure of the rule blocks; false under dry run.
    pub enforced: bool,
    /// At a pull: it may be fetched, and whether it may run is decided when a container is created.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deferred: bool,
    /// Stable code.
    pub reason: Reason,
    /// Where in the policy it was decided, such as `defaultAdmissionRule`; `none` before any rule.
    pub rule: String,
    /// One line for people, in the grammar of Binary Authorization.
    pub message: String,
    /// What to do about it; empty where nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// The image as it was asked for.
    pub image: String,
    /// What was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Every required attestor.
    pub attestors: Vec<AttestorVerdict>,
    /// Every check of the platform policy that was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckVerdict>,
    /// By what break-glass it was let through, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<Box<BrokenGlass>>,
    /// What of the host the container reaches that guards it, one line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_access: Vec<String>,
    /// The policy that was obeyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<Version>,
    /// The platform policy that was obeyed beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_policy_version: Option<Version>,
    /// The key ring that evidence was checked with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_ring_version: Option<Version>,
    /// Age of the evidence, in whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_age_seconds: Option<u64>,
    /// Where it was.
    #[serde(skip)]
    pub cached: Cached,
}

impl Verdict {
    /// Whether the image may be fetched or run.
    #[must_use]
    pub fn allows(&self) -> bool {
        self.verdict == Decision::Allow
    }

    /// A refusal before any rule, of a question that `reason` says has no answer or a bad one. `image` is
    /// shown as it is.
    pub fn refused(image: &str, digest: Option<Digest>, reason: Reason, cause: &str, remedy: &str) -> Self {
        let decision = if reason.class() == Class::Denied { Decision::Deny } else { Decision::CannotDecide };
        Self {
            verdict: decision,
            would: decision,
            enforced: true,
            deferred: false,
            reason,
            rule: "none".to_owned(),
            message: format!("Image {image} refused by Binary Authorization: {cause}"),
            remedy: remedy.to_owned(),
            image: image.to_owned(),
            digest,
            attestors: Vec::new(),
            checks: Vec::new(),
            break_glass: None,
            host_access: Vec::new(),
            policy_version: None,
            platform_policy_version: None,
            key_ring_version: None,
            evidence_age_seconds: None,
            cached: Cached::None,
        }
    }

    /// An allowance of `subject`, by a rule that is in force.
    pub(super) fn allow(subject: &Subject, reason: Reason, rule: String, message: String) -> Self {
        Self {
            verdict: Decision::Allow,
            would: Decision::Allow,
            enforced: true,
            deferred: false,
            reason,
            rule,
            message,
            remedy: String::new(),
            image: subject.image().to_owned(),
            digest: subject.digest(),
            attestors: Vec::new(),
            checks: Vec::new(),
            break_glass: None,
            host_access: Vec::new(),
            policy_version: None,
            platform_policy_version: None,
            key_ring_version: None,
            evidence_age_seconds: None,
            cached: Cached::None,
        }
    }

    /// A refusal of `subject`; under dry run an allowance that says what it would have been.
    pub(super) fn deny(
        subject: &Subject,
        reason: Reason,
        rule: String,
        message: String,
        dry_run: bool,
    ) -> Self {
        Self {
            verdict: if dry_run { Decision::Allow } else { Decision::Deny },
            would: Decision::Deny,
            enforced: !dry_run,
            ..Self::allow(subject, reason, rule, message)
        }
    }

    /// The same where what refuses is in dry run: an allowance that says what it would have been.
    pub fn in_dry_run(mut self) -> Self {
        (self.verdict, self.enforced) = (Decision::Allow, false);
        self
    }

    /// The same where creation will decide: it may be fetched.
    pub fn deferred(mut self) -> Self {
        self.message.push_str(". It may be fetched, and is judged when a container is created from it");
        self.remedy.clear();
        self.deferred = true;
        self.in_dry_run()
    }

    /// Notes how old the evidence was.
    pub(super) fn aged(mut self, age: Option<Duration>) -> Self {
        self.evidence_age_seconds = age.map(|age| age.as_secs());
        self
    }

    /// Message and remedy on one line: what a gate prints, with the reason's code behind it.
    #[must_use]
    pub fn line(&self) -> String {
        if self.remedy.is_empty() {
            self.message.clone()
        } else {
            format!("{}. {}", self.message, self.remedy)
        }
    }
}
