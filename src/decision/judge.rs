//! The judge. No IO, no clock, no environment.
//!
//! Order (Binary Authorization, evaluation order): allowlist patterns, then the default rule. AND over
//! the required attestors. Dry run turns a refusal into an allowance that says so.

use std::time::Duration;

use super::reason::Reason;
use super::subject::Subject;
use super::verdict::{AttestorVerdict, Verdict};
use crate::attestation::{AttestorName, Evidence, Miss};
use crate::image::Digest;
use crate::policy::{AllowlistPattern, EnforcementMode, EvaluationMode, Policy};

/// What is known of a subject.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Findings of every attestor in the key ring.
    pub evidence: &'a Evidence,
    /// Since its source was last read to the end.
    pub age: Duration,
}

const DEFAULT_RULE: &str = "defaultAdmissionRule";

/// A subject before a policy: it is known which part of the policy decides, and not yet how.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    subject: &'a Subject,
    policy: &'a Policy,
    pattern: Option<(usize, &'a AllowlistPattern)>,
}

impl<'a> Case<'a> {
    /// Finds what decides.
    #[must_use]
    pub fn new(subject: &'a Subject, policy: &'a Policy) -> Self {
        Self { subject, policy, pattern: matching_pattern(subject, policy.allowlist()) }
    }

    /// The digest that evidence is needed of; `None` where the policy decides without.
    #[must_use]
    pub fn asks(&self) -> Option<Digest> {
        let by_attestors =
            matches!(self.policy.default_rule().evaluation, EvaluationMode::RequireAttestation(_));
        self.subject.digest().filter(|_| self.pattern.is_none() && by_attestors)
    }

    /// Judges. `known` must be about the subject's digest; anything else counts for nothing.
    pub fn judge(self, known: Option<Known<'_>>) -> Verdict {
        let known = known.filter(|known| self.subject.digest() == Some(known.evidence.digest()));
        let mut verdict = match self.pattern {
            Some((index, pattern)) => {
                let rule = format!("admissionWhitelistPatterns[{index}]");
                let image = self.subject.image();
                let message = format!("Image {image} allowed by admission allowlist pattern {pattern}");
                Verdict::allow(self.subject, Reason::Allowlisted, rule, message)
            }
            None => {
                let mut verdict = by_default_rule(self.subject, known, self.policy);
                verdict.enforced = self.policy.default_rule().enforcement == EnforcementMode::Enforced;
                verdict
            }
        };
        verdict.policy_version = Some(self.policy.version().clone());
        verdict.key_ring_version = known.map(|known| known.evidence.key_ring().clone());
        verdict
    }
}

/// Judges `subject` by `policy` with what is `known` of it.
pub fn judge(subject: &Subject, known: Option<Known<'_>>, policy: &Policy) -> Verdict {
    Case::new(subject, policy).judge(known)
}

fn matching_pattern<'a>(
    subject: &Subject,
    patterns: &'a [AllowlistPattern],
) -> Option<(usize, &'a AllowlistPattern)> {
    let spellings = subject.name()?.spellings();
    patterns
        .iter()
        .enumerate()
        .find(|(_, pattern)| spellings.iter().any(|spelling| pattern.matches(spelling)))
}

fn by_default_rule(subject: &Subject, known: Option<Known<'_>>, policy: &Policy) -> Verdict {
    let rule = policy.default_rule();
    let dry_run = rule.enforcement == EnforcementMode::DryRun;
    let image = subject.image();
    let denied = format!("Image {image} denied by Binary Authorization default admission rule.");
    let deny = |reason, why: &str| {
        Verdict::deny(subject, reason, DEFAULT_RULE.to_owned(), format!("{denied} {why}"), dry_run)
    };
    let required = match &rule.evaluation {
        EvaluationMode::AlwaysAllow => {
            let message = format!("Image {image} allowed by always_allow admission rule");
            return Verdict::allow(subject, Reason::AlwaysAllow, DEFAULT_RULE.to_owned(), message);
        }
        EvaluationMode::AlwaysDeny => {
            let mut verdict = deny(Reason::AlwaysDeny, "Denied by always_deny admission rule");
            verdict.remedy = "Whoever owns the policy may exempt this image or change the rule".to_owned();
            return verdict;
        }
        EvaluationMode::RequireAttestation(required) => required,
    };
    let Some(digest) = subject.digest() else {
        let who = required.first().map(AttestorName::as_str).unwrap_or_default();
        let why = format!(
            "Image {image} denied by attestor {who}: Expected digest with sha256 scheme, but got tag or malformed digest"
        );
        let mut verdict = deny(Reason::DigestMissing, &why);
        verdict.remedy = "Name the image by its digest: REPOSITORY@sha256:…".to_owned();
        return verdict;
    };
    let attestors: Vec<_> =
        required.iter().map(|name| weigh(name, known.map(|known| known.evidence))).collect();
    let refusals: Vec<_> = attestors.iter().filter(|attestor| !attestor.satisfied).collect();
    let mut verdict = match refusals.first() {
        None => {
            let message = format!("Image {image} allowed: {digest} is attested by every required attestor");
            Verdict::allow(subject, Reason::Attested, DEFAULT_RULE.to_owned(), message)
        }
        Some(first) => {
            let why: Vec<_> = refusals
                .iter()
                .map(|refusal| {
                    let detail = refusal.detail.as_deref().unwrap_or_default();
                    format!("Image {image} denied by attestor {}: {detail}", refusal.name)
                })
                .collect();
            let mut verdict = deny(first.reason, &why.join(". "));
            verdict.remedy = remedy(first, digest);
            verdict
        }
    };
    verdict.attestors = attestors;
    verdict.aged(known.map(|known| known.age))
}

/// The one place that says whether an attestor is satisfied.
#[must_use]
pub fn weigh(name: &AttestorName, evidence: Option<&Evidence>) -> AttestorVerdict {
    let finding = evidence.and_then(|evidence| evidence.finding(name));
    let (reason, detail) = match finding {
        Some(Ok(verified)) => {
            return AttestorVerdict {
                name: name.clone(),
                satisfied: true,
                reason: Reason::Attested,
                key_id: Some(verified.key_id().clone()),
                occurrence: Some(verified.occurrence().to_owned()).filter(|name| !name.is_empty()),
                detail: None,
            };
        }
        Some(Err(miss)) => (Reason::from(miss), explain(miss)),
        None => (Reason::AttestorMissing, explain_none("no document on this node defines the attestor")),
    };
    AttestorVerdict {
        name: name.clone(),
        satisfied: false,
        reason,
        key_id: None,
        occurrence: None,
        detail: Some(detail),
    }
}

fn explain(miss: &Miss) -> String {
    match miss {
        Miss::Ambiguous => explain_none("several documents on this node define the attestor"),
        Miss::NoKeys => explain_none("the attestor has no keys"),
        Miss::NoAttestation => explain_none(""),
        Miss::UnknownKey(id) => format!(
            "Attestation(s) found, but could not be verified. No key found for attestation with key id '{id}'"
        ),
        Miss::TooMany => explain_none("there are more signatures than are checked"),
        Miss::BadSignature(id) => explain_none(&format!("a signature under key id '{id}' does not verify")),
        Miss::WrongPayload(_, what) => {
            format!("Signature verified, but unexpected message was signed: {what}")
        }
    }
}

fn explain_none(why: &str) -> String {
    let sentence = "No attestations found that were valid and signed by a key trusted by the attestor";
    if why.is_empty() { sentence.to_owned() } else { format!("{sentence} ({why})") }
}

fn remedy(refusal: &AttestorVerdict, digest: Digest) -> String {
    let name = &refusal.name;
    match refusal.reason {
        Reason::AttestorMissing => format!("Put the document of {name} back, or take it out of the policy"),
        Reason::AttestorAmbiguous => format!("Leave one document that defines {name}"),
        Reason::AttestorWithoutKeys => format!("Give {name} a key, or take it out of the policy"),
        _ => format!("Have {digest} attested by {name}, then try again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::{Attestor, KeyRing, Occurrence};
    use crate::decision::Decision;
    use crate::document::Format;

    const D: &str = "sha256:abababababababababababababababababababababababababababababababab";
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvgIMsXWHkzCb6RxjV0BrxMypUsr2\nIT8UiavysBcN5+KYYzCNoQ4It9Y1KOJuA3j067n4uRtXdYs/pWwLbpaPiQ==\n-----END PUBLIC KEY-----\n";
    const SIGNATURE: &str =
        "MEYCIQDrzbw7EV4LPC5UiBnlOb2oj3loIGcCuNjuAlGwA3Na9wIhAMzJiVJkyHOaDtsdbLXFQDp5jDCQB070Gojt7pnfTghU";

    fn attestor(name: &str) -> Attestor {
        let document = serde_json::json!({"name": format!("projects/p/attestors/{name}"), "userOwnedGrafeasNote": {
            "noteReference": format!("projects/p/notes/{name}"),
            "publicKeys": [{"id": "k", "pkixPublicKey": {"publicKeyPem": PEM, "signatureAlgorithm": "ECDSA_P256_SHA256"}}]}});
        Attestor::parse(document.to_string().as_bytes(), Format::Json).unwrap()
    }

    fn occurrence(note: &str) -> Occurrence {
        let payload =
            crate::attestation::payload::gcloud("registry.example.com/team/app", D.parse().unwrap());
        let document = serde_json::json!({"resourceUri": format!("https://r.example.com/a@{D}"),
            "noteName": format!("projects/p/notes/{note}"),
            "attestation": {"serializedPayload": crate::attestation::base64::encode(payload.as_bytes()),
                "signatures": [{"publicKeyId": "k", "signature": SIGNATURE}]}});
        Occurrence::parse(document.to_string().as_bytes()).unwrap()
    }

    /// Attestors `a` and `b` exist; `a` has attested D.
    fn evidence(digest: &str) -> Evidence {
        let ring = KeyRing::new([attestor("a"), attestor("b")]);
        Evidence::gather(digest.parse().unwrap(), &[occurrence("a")], &ring)
    }

    fn policy(rule: &str, enforcement: &str, patterns: &str) -> Policy {
        let text = format!(
            "admissionWhitelistPatterns: [{patterns}]\ndefaultAdmissionRule: {{{rule}, enforcementMode: {enforcement}}}"
        );
        Policy::parse(text.as_bytes(), Format::Yaml, crate::policy::Options::default()).unwrap()
    }

    fn require(names: &str) -> String {
        let names: Vec<_> = names.split(' ').map(|name| format!("projects/p/attestors/{name}")).collect();
        format!("evaluationMode: REQUIRE_ATTESTATION, requireAttestationsBy: [{}]", names.join(", "))
    }

    const ENFORCED: &str = "ENFORCED_BLOCK_AND_AUDIT_LOG";
    const DRY_RUN: &str = "DRYRUN_AUDIT_LOG_ONLY";

    #[test]
    fn rules_and_modes() {
        use Decision::{Allow, Deny};
        let image = format!("docker.io/library/nginx@{D}");
        let other = image.replace("ab", "cd");
        let (allow, deny) = ("evaluationMode: ALWAYS_ALLOW", "evaluationMode: ALWAYS_DENY");
        let hub = "{namePattern: 'docker.io/library/*'}";
        let short = "{namePattern: 'nginx@*'}";
        let far = "{namePattern: 'gcr.io/x/*'}";
        let rows: &[(&str, &str, &str, &str, Decision, Decision, Reason)] = &[
            (&image, allow, ENFORCED, "", Allow, Allow, Reason::AlwaysAllow),
            (&image, deny, ENFORCED, "", Deny, Deny, Reason::AlwaysDeny),
            (&image, deny, DRY_RUN, "", Allow, Deny, Reason::AlwaysDeny),
            (&image, deny, ENFORCED, hub, Allow, Allow, Reason::Allowlisted),
            (&image, deny, ENFORCED, short, Allow, Allow, Reason::Allowlisted),
            (&image, deny, ENFORCED, far, Deny, Deny, Reason::AlwaysDeny),
            (&image, &require("a"), ENFORCED, far, Allow, Allow, Reason::Attested),
            (&other, &require("a"), ENFORCED, "", Deny, Deny, Reason::NoAttestation),
            (&other, &require("a"), DRY_RUN, "", Allow, Deny, Reason::NoAttestation),
            (&image, &require("a b"), ENFORCED, "", Deny, Deny, Reason::NoAttestation),
            (&image, &require("b a"), ENFORCED, "", Deny, Deny, Reason::NoAttestation),
            (&image, &require("a a"), ENFORCED, "", Allow, Allow, Reason::Attested),
            (&image, &require("a c"), ENFORCED, "", Deny, Deny, Reason::AttestorMissing),
            ("nginx:latest", &require("a"), ENFORCED, "", Deny, Deny, Reason::DigestMissing),
            ("nginx", allow, ENFORCED, "", Allow, Allow, Reason::AlwaysAllow),
            ("nginx", deny, ENFORCED, "{namePattern: nginx}", Allow, Allow, Reason::Allowlisted),
        ];
        for (image, rule, enforcement, patterns, verdict, would, reason) in rows {
            let subject = Subject::named(image).unwrap();
            let evidence = subject.digest().map(|digest| evidence(&digest.to_string()));
            let known = evidence.as_ref().map(|evidence| Known { evidence, age: Duration::ZERO });
            let found = judge(&subject, known, &policy(rule, enforcement, patterns));
            let row = format!("{image} {rule} {enforcement} {patterns}");
            assert_eq!((found.verdict, found.would, found.reason), (*verdict, *would, *reason), "{row}");
            assert_eq!(
                found.enforced,
                *enforcement == ENFORCED || found.reason == Reason::Allowlisted,
                "{row}"
            );
        }
    }

    #[test]
    fn evidence_about_another_digest_counts_for_nothing() {
        let subject = Subject::named(&format!("nginx@{}", D.replace("ab", "cd"))).unwrap();
        let about_d = evidence(D);
        let known = Known { evidence: &about_d, age: Duration::ZERO };
        assert!(!judge(&subject, Some(known), &policy(&require("a"), ENFORCED, "")).allows());
        assert!(!judge(&subject, None, &policy(&require("a"), ENFORCED, "")).allows());
    }

    #[test]
    fn an_image_id_is_no_name() {
        let text = format!("docker.io/library/{D}");
        let subject = Subject::pulled(&text, D.replace("ab", "cd").parse().unwrap()).unwrap();
        let hub = policy("evaluationMode: ALWAYS_DENY", ENFORCED, "{namePattern: 'docker.io/library/**'}");
        assert!(!judge(&subject, None, &hub).allows());
    }

    #[test]
    fn messages_keep_googles_grammar() {
        let subject = Subject::named(&format!("gcr.io/p/i@{}", D.replace("ab", "cd"))).unwrap();
        let image = subject.image();
        let evidence = evidence(&D.replace("ab", "cd"));
        let known = Some(Known { evidence: &evidence, age: Duration::from_secs(3) });
        let verdict = judge(&subject, known, &policy(&require("a"), ENFORCED, ""));
        assert_eq!(
            verdict.message,
            format!(
                "Image {image} denied by Binary Authorization default admission rule. Image {image} denied by attestor \
                 projects/p/attestors/a: No attestations found that were valid and signed by a key trusted by the attestor"
            )
        );
        assert_eq!(verdict.evidence_age_seconds, Some(3));
        assert!(verdict.line().ends_with("attested by projects/p/attestors/a, then try again"));
        let verdict = judge(&subject, known, &policy("evaluationMode: ALWAYS_DENY", ENFORCED, ""));
        assert_eq!(
            verdict.message,
            format!(
                "Image {image} denied by Binary Authorization default admission rule. Denied by always_deny admission rule"
            )
        );
    }
}
