//! Whether an attestor is satisfied, and the words for it.

use std::time::Duration;

use super::reason::Reason;
use super::verdict::AttestorVerdict;
use crate::attestation::{AttestorName, Evidence, Miss};
use crate::image::{Digest, Reference};

const NONE: &str = "No attestations found that were valid and signed by a key trusted by the attestor";

/// Why more may be attested than is known on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// A source cannot be asked; which, and why.
    Unreachable(String),
    /// It is being asked right now.
    Pending,
    /// Too much was asked lately; when it may be again.
    Limited(Duration),
}

impl AttestorVerdict {
    /// The same where more may be attested than is known: an absence is not the whole truth then. What was
    /// seen and does not count stays what it is.
    #[must_use]
    pub(super) fn lacking(mut self, lack: &Lack) -> Self {
        if self.reason == Reason::NoAttestation {
            let (reason, why) = match lack {
                Lack::Unreachable(cause) => (Reason::SourceUnreachable, cause.clone()),
                Lack::Pending => (Reason::LookupPending, "it is being looked up".to_owned()),
                Lack::Limited(wait) => {
                    let wait = wait.as_secs().max(1);
                    (
                        Reason::LookupLimited,
                        format!("too much was looked up lately, in {wait} s it may be again"),
                    )
                }
            };
            (self.reason, self.detail) = (reason, Some(none(&why)));
        }
        self
    }
}

/// The one place that says whether an attestor is satisfied: by an attestation of any of the digests that
/// `evidence` is about. `name` is the image's, for attestors that compare it.
#[must_use]
pub fn weigh<'a>(
    attestor: &AttestorName,
    evidence: impl IntoIterator<Item = &'a Evidence>,
    name: Option<&Reference>,
) -> AttestorVerdict {
    let mut verdict = AttestorVerdict {
        name: attestor.clone(),
        satisfied: false,
        reason: Reason::AttestorMissing,
        key_id: None,
        occurrence: None,
        digest: None,
        detail: None,
    };
    let mut worst: Option<&Miss> = None;
    for finding in evidence.into_iter().filter_map(|evidence| evidence.finding(attestor)) {
        match finding {
            Ok(verified) => {
                verdict.satisfied =
                    verified.references().is_none_or(|references| is_one_of(name, references));
                verdict.reason =
                    if verdict.satisfied { Reason::Attested } else { Reason::DockerReferenceMismatch };
                verdict.key_id = Some(verified.key_id().clone());
                verdict.occurrence = Some(verified.occurrence().to_owned()).filter(|name| !name.is_empty());
                verdict.digest = Some(verified.digest());
                verdict.detail = (!verdict.satisfied).then(|| {
                    "Attestation(s) found, but of the image under another name (docker-reference)".to_owned()
                });
                if verdict.satisfied {
                    return verdict;
                }
            }
            Err(miss) => worst = worst.max(Some(miss)),
        }
    }
    if verdict.digest.is_none() {
        match worst {
            Some(miss) => (verdict.reason, verdict.detail) = (Reason::from(miss), Some(explain(miss))),
            None => verdict.detail = Some(none("no document on this node defines the attestor")),
        }
    }
    verdict
}

fn is_one_of(name: Option<&Reference>, references: &[String]) -> bool {
    name.is_some_and(|name| {
        references
            .iter()
            .filter_map(|text| Reference::parse(text).ok())
            .any(|one| one.repository() == name.repository())
    })
}

/// A miss in Binary Authorization's words, where it has words for it.
#[must_use]
pub fn explain(miss: &Miss) -> String {
    match miss {
        Miss::Ambiguous => none("several documents on this node define the attestor"),
        Miss::NoKeys => none("the attestor has no keys"),
        Miss::NoAttestation => NONE.to_owned(),
        Miss::UnknownKey(id) => format!(
            "Attestation(s) found, but could not be verified. No key found for attestation with key id '{id}'"
        ),
        Miss::TooMany => none("there are more signatures than are checked"),
        Miss::Malformed(Some(id), what) => none(&format!("under key id '{id}': {what}")),
        Miss::Malformed(None, what) => none(what),
        Miss::BadSignature(id) => none(&format!("a signature under key id '{id}' does not verify")),
        Miss::Expired(id) => none(&format!("a signature was made after key '{id}' had expired")),
        Miss::Revoked(id) => none(&format!("a signature was made with key '{id}', which is revoked")),
        Miss::WrongPayload(_, what) => {
            format!("Signature verified, but unexpected message was signed: {what}")
        }
    }
}

fn none(why: &str) -> String {
    format!("{NONE} ({why})")
}

/// What to do about an attestor that is not satisfied.
pub(super) fn remedy(refusal: &AttestorVerdict, digest: Digest) -> String {
    let name = &refusal.name;
    match refusal.reason {
        Reason::AttestorMissing => format!("Put the document of {name} back, or take it out of the policy"),
        Reason::AttestorAmbiguous => format!("Leave one document that defines {name}"),
        Reason::AttestorWithoutKeys => format!("Give {name} a key, or take it out of the policy"),
        Reason::SourceUnreachable => {
            "Mend the way to that source; kubelet tries again, and what is known here goes on".to_owned()
        }
        Reason::LookupPending | Reason::LookupLimited => "Try again; kubelet does".to_owned(),
        _ => format!("Have {digest} attested by {name}, then try again"),
    }
}
