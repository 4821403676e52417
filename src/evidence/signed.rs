//! Attestations that tests sign themselves.

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};

use super::source::Document;
use crate::attestation::{Attestor, KeyRing, Occurrence, base64, payload};
use crate::document::Format;
use crate::image::Digest;

fn key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap()
}

/// Attestor `a` of project `p`, whose note has the same name, with a key under this id.
pub(super) fn ring(key_id: &str) -> KeyRing {
    KeyRing::new([attestor("a", key_id)])
}

/// Attestors `a` and `b`, both with the key.
pub(super) fn two() -> KeyRing {
    KeyRing::new(["a", "b"].map(|name| attestor(name, "k")))
}

fn attestor(name: &str, key_id: &str) -> Attestor {
    let pem = key().verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
    let document = serde_json::json!({"name": format!("projects/p/attestors/{name}"), "userOwnedGrafeasNote": {
        "noteReference": format!("projects/p/notes/{name}"),
        "publicKeys": [{"id": key_id,
            "pkixPublicKey": {"publicKeyPem": pem, "signatureAlgorithm": "ECDSA_P256_SHA256"}}]}});
    Attestor::parse(document.to_string().as_bytes(), Format::Json).unwrap()
}

/// The digest of image number `n`.
pub(super) fn image(n: u32) -> Digest {
    Digest::of(&n.to_be_bytes())
}

/// An occurrence of this name: an attestation of `signed` by key `k`, filed for `digest`.
pub(super) fn occurrence(name: &str, digest: Digest, signed: Digest) -> Document {
    let payload = payload::gcloud("registry.example.com/team/app", signed);
    let signature: DerSignature = key().sign(payload.as_bytes());
    let text = serde_json::json!({"name": format!("projects/p/occurrences/{name}"),
        "resourceUri": format!("https://registry.example.com/team/app@{digest}"),
        "noteName": "projects/p/notes/a", "kind": "ATTESTATION",
        "attestation": {"serializedPayload": base64::encode(payload.as_bytes()),
            "signatures": [{"publicKeyId": "k", "signature": base64::encode(signature.as_bytes())}]}})
    .to_string();
    Document { occurrence: Occurrence::parse(text.as_bytes()).unwrap(), text: text.into_bytes().into() }
}

/// A good attestation of image number `n`.
pub(super) fn attestation(n: u32) -> Document {
    occurrence(&n.to_string(), image(n), image(n))
}
