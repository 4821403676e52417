//! The check: which attestors have attested a digest. The only maker of [`Verified`].
//!
//! OR over occurrences, signatures and keys; a bad one never spoils a good one, as far as
//! [`MAX_VERIFICATIONS`] reaches. The digest in the signed payload is the authority; the payload is parsed only once a signature over it has held.

use serde::Serialize;

use super::attestor::{Attestor, AttestorKey};
use super::key::KeyId;
use super::key_ring::{Entry, KeyRing};
use super::name::AttestorName;
use super::occurrence::{Occurrence, Signature};
use super::payload::Claim;
use crate::document::Version;
use crate::image::Digest;
use crate::text::shown;

/// The most signatures that are checked for one attestor and digest, newest occurrence first. Those
/// that name a key the attestor does not have cost nothing and do not count.
pub const MAX_VERIFICATIONS: usize = 256;

/// Proof that a key of an attestor signed a payload that names a digest. Only [`Evidence`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    attestor: AttestorName,
    key_id: KeyId,
    digest: Digest,
    occurrence: String,
    /// The signature, and the hash of what it is over: by which it is found again.
    signature: Box<[u8]>,
    payload: Digest,
}

impl Verified {
    /// Who attested.
    #[must_use]
    pub fn attestor(&self) -> &AttestorName {
        &self.attestor
    }

    /// With which key.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// What was attested.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The occurrence that held the signature, by its own name.
    #[must_use]
    pub fn occurrence(&self) -> &str {
        &self.occurrence
    }

    /// The very signature in `occurrence`, if it is there.
    fn find_in<'a>(&self, occurrence: &'a Occurrence) -> Option<(&'a Occurrence, &'a Signature)> {
        let same = |one: &&Signature| one.key_id == self.key_id.as_str() && *one.bytes == *self.signature;
        let signature = occurrence.signatures.iter().find(same)?;
        (Digest::of(&occurrence.payload) == self.payload).then_some((occurrence, signature))
    }
}

/// Why an attestor has no attestation of a digest that counts, from least to most specific.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Miss {
    /// Several documents define the attestor.
    Ambiguous,
    /// It has no keys, so nothing can satisfy it.
    NoKeys,
    /// No occurrence of its note names the digest.
    NoAttestation,
    /// There are signatures, all under key ids it does not have; this is one of them.
    UnknownKey(String),
    /// More signatures under its key ids than are checked, none of those checked good.
    TooMany,
    /// A signature under this key id does not verify.
    BadSignature(KeyId),
    /// A signature under this key id holds, but over something else.
    WrongPayload(KeyId, String),
}

/// What was found for one attestor.
pub type Finding = Result<Verified, Miss>;

/// What is known of one digest under one key ring: a finding for every attestor in it.
#[derive(Debug, Clone)]
pub struct Evidence {
    digest: Digest,
    key_ring: Version,
    key_ring_identity: Digest,
    /// In the order of names. Not a map: most have one entry, and up to 18,000 of these are kept.
    findings: Box<[(AttestorName, Finding)]>,
}

impl Evidence {
    /// Checks `occurrences` for `digest` with every attestor of `key_ring`.
    #[must_use]
    pub fn gather<'a>(
        digest: Digest,
        occurrences: impl IntoIterator<Item = &'a Occurrence>,
        key_ring: &KeyRing,
    ) -> Self {
        Self::gather_again(digest, occurrences, key_ring, None)
    }

    /// The same where something was known `before`: what was verified then stays, as long as it is filed
    /// and its key is there.
    #[must_use]
    pub fn gather_again<'a>(
        digest: Digest,
        occurrences: impl IntoIterator<Item = &'a Occurrence>,
        key_ring: &KeyRing,
        before: Option<&Self>,
    ) -> Self {
        let before = before.filter(|before| before.digest == digest);
        let mut candidates: Vec<_> =
            occurrences.into_iter().filter(|occurrence| occurrence.digest == digest).collect();
        candidates.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.name.cmp(&b.name)));
        let findings = key_ring
            .entries()
            .map(|(name, entry)| {
                let finding = match entry {
                    Entry::Defined(attestor) => {
                        let before = before.and_then(|before| before.finding(name)?.as_ref().ok());
                        examine(digest, &candidates, attestor, before)
                    }
                    Entry::Ambiguous => Err(Miss::Ambiguous),
                };
                (name.clone(), finding)
            })
            .collect();
        Self {
            digest,
            key_ring: key_ring.version().clone(),
            key_ring_identity: key_ring.identity(),
            findings,
        }
    }

    /// The digest it is about.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The key ring it was checked with; under another it says nothing.
    #[must_use]
    pub fn key_ring(&self) -> &Version {
        &self.key_ring
    }

    /// Whether it was checked with exactly this key ring.
    #[must_use]
    pub fn is_under(&self, key_ring: &KeyRing) -> bool {
        self.key_ring_identity == key_ring.identity()
    }

    /// What was found for `attestor`; `None` where the key ring does not know it.
    #[must_use]
    pub fn finding(&self, attestor: &AttestorName) -> Option<&Finding> {
        let place = self.findings.binary_search_by(|(name, _)| name.cmp(attestor)).ok()?;
        self.findings.get(place).map(|(_, finding)| finding)
    }

    /// Everything that counts, in the order of attestor names.
    pub fn verified(&self) -> impl Iterator<Item = &Verified> {
        self.findings.iter().filter_map(|(_, finding)| finding.as_ref().ok())
    }
}

/// Looks for an attestation of `digest` among `candidates`, of which those of the attestor's note count.
/// What was verified `before` is looked for first and checked again: nothing that is filed beside it can
/// push it out of [`MAX_VERIFICATIONS`].
fn examine(
    digest: Digest,
    candidates: &[&Occurrence],
    attestor: &Attestor,
    before: Option<&Verified>,
) -> Finding {
    if attestor.keys().is_empty() {
        return Err(Miss::NoKeys);
    }
    let ours =
        candidates.iter().filter(|occurrence| attestor.filing().holds(&occurrence.note, &occurrence.name));
    let again = before.and_then(|before| {
        let (occurrence, signature) = ours.clone().find_map(|occurrence| before.find_in(occurrence))?;
        check(digest, occurrence, signature, attestor, attestor.key(&signature.key_id)?).ok()
    });
    if let Some(verified) = again {
        return Ok(verified);
    }
    let mut miss = Miss::NoAttestation;
    let mut left = MAX_VERIFICATIONS;
    let signatures =
        ours.flat_map(|occurrence| occurrence.signatures.iter().map(move |one| (occurrence, one)));
    for (occurrence, signature) in signatures {
        let Some(key) = attestor.key(&signature.key_id) else {
            // One is told, not every one of them copied.
            if miss < Miss::UnknownKey(String::new()) {
                miss = Miss::UnknownKey(shown(&signature.key_id, 120));
            }
            continue;
        };
        if left == 0 {
            return Err(miss.max(Miss::TooMany));
        }
        left -= 1;
        match check(digest, occurrence, signature, attestor, key) {
            Ok(verified) => return Ok(verified),
            Err(other) => miss = miss.max(other),
        }
    }
    Err(miss)
}

/// Checks one signature with the key it names, and then what it was made over.
fn check(
    digest: Digest,
    occurrence: &Occurrence,
    signature: &Signature,
    attestor: &Attestor,
    key: &AttestorKey,
) -> Finding {
    if !key.key.verifies(&occurrence.payload, &signature.bytes) {
        return Err(Miss::BadSignature(key.id.clone()));
    }
    let wrong = |what: String| Miss::WrongPayload(key.id.clone(), shown(&what, 200));
    let claim = Claim::parse(&occurrence.payload).map_err(|error| wrong(error.to_string()))?;
    if claim.digest != digest {
        return Err(wrong(format!("the signed payload is for {}", claim.digest)));
    }
    Ok(Verified {
        attestor: attestor.name().clone(),
        key_id: key.id.clone(),
        digest,
        occurrence: occurrence.name.clone(),
        signature: signature.bytes.clone().into(),
        payload: Digest::of(&occurrence.payload),
    })
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Signer as _;
    use p256::ecdsa::{DerSignature, SigningKey};
    use p256::pkcs8::EncodePublicKey as _;

    use super::super::key::tests::{P256_ID, P256_PEM};
    use super::super::payload;
    use super::*;
    use crate::attestation::base64;
    use crate::attestation::occurrence::Signature;
    use crate::document::Format;

    const D: &str = "sha256:abababababababababababababababababababababababababababababababab";
    const RAW: &str =
        "MEYCIQDrzbw7EV4LPC5UiBnlOb2oj3loIGcCuNjuAlGwA3Na9wIhAMzJiVJkyHOaDtsdbLXFQDp5jDCQB070Gojt7pnfTghU";
    const PAE: &str =
        "MEYCIQDUMnUewcME3llUW+qUFW3sCpJIKqCdKSuPk40X1pnK0gIhAIX/N77PIIOCfGYJlSXv9ODIdc4JIkb8f7icrH9gfOl1";

    fn attestor(name: &str, keys: &[(&str, &str)]) -> Attestor {
        let keys: Vec<_> = keys
            .iter()
            .map(|(id, pem)| {
                serde_json::json!({"id": id, "pkixPublicKey":
                {"publicKeyPem": pem, "signatureAlgorithm": "ECDSA_P256_SHA256"}})
            })
            .collect();
        let document = serde_json::json!({"name": format!("projects/p/attestors/{name}"),
            "userOwnedGrafeasNote": {"noteReference": format!("projects/p/notes/{name}"), "publicKeys": keys}});
        Attestor::parse(document.to_string().as_bytes(), Format::Json).unwrap()
    }

    fn vector(digest: &str, signatures: &[(&str, &str)]) -> Occurrence {
        Occurrence {
            name: "projects/p/occurrences/o".into(),
            note: "projects/p/notes/a".into(),
            digest: digest.parse().unwrap(),
            resource: format!("https://registry.example.com/team/app@{digest}"),
            created: None,
            payload: payload::gcloud("registry.example.com/team/app", D.parse().unwrap()).into_bytes(),
            signatures: signatures
                .iter()
                .map(|(id, text)| Signature {
                    key_id: (*id).into(),
                    bytes: base64::decode(text).unwrap_or_default(),
                })
                .collect(),
        }
    }

    fn finding(occurrences: &[Occurrence], digest: &str, attestor: Attestor) -> Finding {
        let name = attestor.name().clone();
        let evidence = Evidence::gather(digest.parse().unwrap(), occurrences, &KeyRing::new([attestor]));
        evidence.finding(&name).unwrap().clone()
    }

    fn a() -> Attestor {
        attestor("a", &[("", P256_PEM)])
    }

    #[test]
    fn known_answer() {
        let verified = finding(&[vector(D, &[(P256_ID, RAW)])], D, a()).unwrap();
        assert_eq!((verified.key_id().as_str(), verified.digest().to_string().as_str()), (P256_ID, D));
    }

    #[test]
    fn what_does_not_count_says_why() {
        let other = "sha256:cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";
        let mut no_newline = vector(D, &[(P256_ID, RAW)]);
        no_newline.payload.pop();
        let mut foreign_note = vector(D, &[(P256_ID, RAW)]);
        foreign_note.note = "projects/p/notes/b".into();
        let id = || KeyId::parse(P256_ID).unwrap();
        let rows = [
            (vec![], D, a(), Miss::NoAttestation),
            (vec![vector(other, &[(P256_ID, RAW)])], D, a(), Miss::NoAttestation),
            (vec![foreign_note], D, a(), Miss::NoAttestation),
            (vec![vector(D, &[(P256_ID, RAW)])], D, attestor("a", &[]), Miss::NoKeys),
            (vec![vector(D, &[("other", RAW)])], D, a(), Miss::UnknownKey("other".into())),
            (vec![vector(D, &[("", RAW)])], D, a(), Miss::UnknownKey(String::new())),
            (vec![vector(D, &[("x\nALLOW", RAW)])], D, a(), Miss::UnknownKey("x\u{fffd}ALLOW".into())),
            (vec![vector(D, &[(P256_ID, PAE)])], D, a(), Miss::BadSignature(id())),
            (vec![vector(D, &[(P256_ID, "")])], D, a(), Miss::BadSignature(id())),
            (vec![no_newline], D, a(), Miss::BadSignature(id())),
            (
                vec![vector(other, &[(P256_ID, RAW)])],
                other,
                a(),
                Miss::WrongPayload(id(), format!("the signed payload is for {D}")),
            ),
        ];
        for (occurrences, digest, attestor, miss) in rows {
            assert_eq!(finding(&occurrences, digest, attestor), Err(miss));
        }
    }

    #[test]
    fn a_bad_one_never_spoils_a_good_one() {
        let bad_first = vector(D, &[("x", RAW), (P256_ID, PAE), (P256_ID, "!"), (P256_ID, RAW)]);
        assert!(finding(&[bad_first], D, a()).is_ok());
        let bad = vector(D, &[(P256_ID, PAE)]);
        assert!(finding(&[bad.clone(), bad, vector(D, &[(P256_ID, RAW)])], D, a()).is_ok());
        let strangers = vec![("stranger", RAW); 10_000];
        assert!(finding(&[vector(D, &strangers), vector(D, &[(P256_ID, RAW)])], D, a()).is_ok());
    }

    #[test]
    fn checks_are_bounded_and_newest_come_first() {
        let mut flood = vector(D, &vec![(P256_ID, PAE); MAX_VERIFICATIONS + 1]);
        flood.created = Some(std::time::SystemTime::UNIX_EPOCH);
        let mut newer = vector(D, &[(P256_ID, RAW)]);
        newer.created = Some(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1));
        assert!(finding(&[flood.clone(), newer], D, a()).is_ok());
        assert!(matches!(finding(&[flood], D, a()), Err(Miss::BadSignature(_))));
    }

    #[test]
    fn what_was_verified_stays_whatever_is_filed_beside_it() {
        let good = vector(D, &[(P256_ID, RAW)]);
        let mut flood = vector(D, &vec![(P256_ID, PAE); MAX_VERIFICATIONS + 1]);
        flood.created = Some(std::time::SystemTime::UNIX_EPOCH);
        let mut forged = vector(D, &[(P256_ID, RAW)]);
        forged.payload.push(b' ');
        let digest = D.parse().unwrap();
        let count = |filed: &[Occurrence], ring: &KeyRing, before: Option<&Evidence>| {
            Evidence::gather_again(digest, filed, ring, before).verified().count()
        };
        let ring = KeyRing::new([a()]);
        let before = Evidence::gather(digest, [&good], &ring);
        let all = [flood.clone(), forged, good];
        assert_eq!(count(&all, &ring, None), 0);
        assert_eq!(count(&all, &ring, Some(&before)), 1);
        // Gone from the source, or its key from the attestor: gone.
        assert_eq!(count(&[flood], &ring, Some(&before)), 0);
        assert_eq!(count(&all, &KeyRing::new([attestor("a", &[])]), Some(&before)), 0);
        assert_eq!(count(&all, &KeyRing::new([attestor("a", &[("other", P256_PEM)])]), Some(&before)), 0);
    }

    #[test]
    fn an_ambiguous_attestor_is_satisfied_by_nobody() {
        let ring = KeyRing::new([a(), a()]);
        let evidence = Evidence::gather(D.parse().unwrap(), &[vector(D, &[(P256_ID, RAW)])], &ring);
        assert_eq!(evidence.finding(a().name()), Some(&Err(Miss::Ambiguous)));
        assert_eq!(evidence.verified().count(), 0);
    }

    #[test]
    fn any_key_of_the_attestor_may_sign_and_only_its_own() {
        let mine = SigningKey::from_slice(&[7; 32]).unwrap();
        let pem = mine.verifying_key().to_public_key_pem(p256::pkcs8::LineEnding::LF).unwrap();
        let mut occurrence = vector(D, &[]);
        let signature: DerSignature = mine.sign(&occurrence.payload);
        occurrence.signatures.push(Signature { key_id: "mine".into(), bytes: signature.as_bytes().to_vec() });
        let occurrences = [occurrence];
        assert!(finding(&occurrences, D, attestor("a", &[("", P256_PEM), ("mine", &pem)])).is_ok());
        // The right key under another id, and another key under the right id.
        assert!(finding(&occurrences, D, attestor("a", &[("other", &pem)])).is_err());
        assert!(finding(&occurrences, D, attestor("a", &[("mine", P256_PEM)])).is_err());
    }
}
