//! Keys, attestors, policies and attestations made on the spot.

use binauthd::attestation::{Algorithm, PublicKey, base64, payload};
use binauthd::image::Digest;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde_json::json;

/// An ECDSA P-256 key, its id and its PEM.
pub(crate) struct Key {
    signing: SigningKey,
    id: String,
    pem: String,
}

impl Key {
    /// The same key for the same seed.
    pub(crate) fn new(seed: u8) -> Self {
        let signing = SigningKey::from_slice(&[seed; 32]).unwrap();
        let pem = signing.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        let public = PublicKey::from_pem(&pem, Algorithm::parse("ECDSA_P256_SHA256").unwrap()).unwrap();
        Self { signing, id: public.default_id().to_string(), pem }
    }

    /// Its public half.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// An occurrence document in which the attestor `id` attests `digest`: one signature.
    pub(crate) fn attest(&self, id: &str, repository: &str, digest: Digest) -> String {
        let payload = payload::gcloud(repository, digest);
        let signature: Signature = self.signing.sign(payload.as_bytes());
        json!({
            "name": format!("projects/bench/occurrences/{id}-{}", digest.hex()),
            "kind": "ATTESTATION",
            "resourceUri": format!("https://{repository}@{digest}"),
            "noteName": format!("projects/bench/notes/{id}"),
            "createTime": "2026-01-01T00:00:00Z",
            "attestation": {
                "serializedPayload": base64::encode(payload.as_bytes()),
                "signatures": [{
                    "publicKeyId": self.id,
                    "signature": base64::encode(signature.to_der().as_bytes()),
                }],
            },
        })
        .to_string()
    }
}

/// The document of the attestor `id` with these keys.
pub(crate) fn attestor(id: &str, keys: &[&Key]) -> String {
    let keys: Vec<_> = keys
        .iter()
        .map(|key| {
            let pkix = json!({ "publicKeyPem": key.pem, "signatureAlgorithm": "ECDSA_P256_SHA256" });
            json!({ "id": key.id, "pkixPublicKey": pkix })
        })
        .collect();
    let note = json!({ "noteReference": format!("projects/bench/notes/{id}"), "publicKeys": keys });
    json!({ "name": format!("projects/bench/attestors/{id}"), "userOwnedGrafeasNote": note }).to_string()
}

/// A policy that requires these attestors for everything but what its allowlist matches.
pub(crate) fn policy(attestors: &[&str], allowlist: &[String]) -> String {
    let required: Vec<_> = attestors.iter().map(|id| format!("projects/bench/attestors/{id}")).collect();
    let patterns: Vec<_> = allowlist.iter().map(|pattern| json!({ "namePattern": pattern })).collect();
    // JSON is YAML.
    json!({
        "admissionWhitelistPatterns": patterns,
        "defaultAdmissionRule": {
            "evaluationMode": "REQUIRE_ATTESTATION",
            "enforcementMode": "ENFORCED_BLOCK_AND_AUDIT_LOG",
            "requireAttestationsBy": required,
        },
    })
    .to_string()
}

/// A policy with that many rules for namespaces, up to 1,024, of which no two are alike.
#[allow(dead_code, reason = "for one of the benches that share this file")]
pub(crate) fn wide_policy(namespaces: usize, allowlist: &[String]) -> String {
    let mut document: serde_json::Value =
        serde_json::from_str(&policy(&["build", "test"], allowlist)).unwrap();
    let rule = |n: usize| {
        let mut rule = document["defaultAdmissionRule"].clone();
        let (team, stage) = (n / 32, n % 32);
        rule["requireAttestationsBy"] = json!([
            format!("projects/bench/attestors/team-{team}"),
            format!("projects/bench/attestors/stage-{stage}")
        ]);
        (format!("team-{n}"), rule)
    };
    let rules: serde_json::Map<_, _> = (0..namespaces).map(rule).collect();
    document["kubernetesNamespaceAdmissionRules"] = rules.into();
    document.to_string()
}
