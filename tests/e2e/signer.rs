//! A party that attests: a P-256 key, the attestor document with its public half, and occurrences.

use binauthd::attestation::{dsse, payload};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};

use super::rig::Pushed;

/// A key and the attestor it belongs to.
pub(crate) struct Signer {
    id: &'static str,
    key: SigningKey,
}

impl Signer {
    /// The key of attestor `id`: another id has another key, the same one always the same.
    pub(crate) fn new(id: &'static str) -> Self {
        let mut seed = [7; 32];
        for (place, byte) in seed.iter_mut().zip(id.bytes()) {
            *place = byte;
        }
        Self { id, key: SigningKey::from_slice(&seed).unwrap() }
    }

    /// `projects/shop/attestors/ID`
    pub(crate) fn attestor(&self) -> String {
        format!("projects/shop/attestors/{}", self.id)
    }

    pub(crate) fn note(&self) -> String {
        format!("projects/shop/notes/{}", self.id)
    }

    pub(crate) fn key_id(&self) -> String {
        format!("key-of-{}", self.id)
    }

    pub(crate) fn pem(&self) -> String {
        self.key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()
    }

    /// The attestor document with this key.
    pub(crate) fn document(&self) -> String {
        self.document_with(&[self.entry()])
    }

    /// The attestor document without a key.
    pub(crate) fn document_without_keys(&self) -> String {
        self.document_with(&[])
    }

    pub(crate) fn document_with(&self, keys: &[Value]) -> String {
        json!({
            "name": self.attestor(),
            "userOwnedGrafeasNote": { "noteReference": self.note(), "publicKeys": keys },
        })
        .to_string()
    }

    /// The key as an entry of `publicKeys`.
    pub(crate) fn entry(&self) -> Value {
        json!({
            "id": self.key_id(),
            "pkixPublicKey": { "publicKeyPem": self.pem(), "signatureAlgorithm": "ECDSA_P256_SHA256" },
        })
    }

    /// An occurrence that attests `image`.
    pub(crate) fn attestation(&self, image: &Pushed) -> Value {
        self.occurrence(image, &self.payload(image), &[])
    }

    /// What is signed for `image`.
    pub(crate) fn payload(&self, image: &Pushed) -> String {
        payload::gcloud(&image.repository, image.digest.parse().unwrap())
    }

    /// An occurrence filed under `image`, with this key's signature over `payload` behind `others`.
    pub(crate) fn occurrence(&self, image: &Pushed, payload: &str, others: &[Value]) -> Value {
        let signature: Signature = self.key.sign(payload.as_bytes());
        let signatures = [others, &[self.signature(signature.to_der().as_bytes())]].concat();
        json!({
            "name": format!("projects/shop/occurrences/{}-{}", self.id, image.tag),
            "resourceUri": format!("https://{}", image.pinned()),
            "noteName": self.note(),
            "kind": "ATTESTATION",
            "createTime": "2026-01-01T00:00:00Z",
            "attestation": {
                "serializedPayload": base64(payload.as_bytes()),
                "signatures": signatures,
            },
        })
    }

    /// An occurrence that attests `image` by a DSSE envelope around the same payload.
    pub(crate) fn envelope(&self, image: &Pushed) -> Value {
        let payload = self.payload(image);
        let encoded = dsse::pae(payload::MEDIA_TYPE, payload.as_bytes());
        let signature: Signature = self.key.sign(&encoded);
        json!({
            "name": format!("projects/shop/occurrences/{}-dsse", self.id),
            "resourceUri": format!("https://{}", image.pinned()),
            "noteName": self.note(),
            "kind": "DSSE_ATTESTATION",
            "envelope": {
                "payload": base64(payload.as_bytes()),
                "payloadType": payload::MEDIA_TYPE,
                "signatures": [{ "keyid": self.key_id(), "sig": base64(signature.to_der().as_bytes()) }],
            },
        })
    }

    /// A sealed document: a DSSE envelope of this type over `payload`.
    pub(crate) fn sealed(&self, payload_type: &str, payload: &Value) -> String {
        let payload = payload.to_string();
        let signature: Signature = self.key.sign(&dsse::pae(payload_type, payload.as_bytes()));
        json!({
            "payloadType": payload_type,
            "payload": base64(payload.as_bytes()),
            "signatures": [{ "keyid": self.key_id(), "sig": base64(signature.to_der().as_bytes()) }],
        })
        .to_string()
    }

    /// An entry of `signatures` under this key's id.
    pub(crate) fn signature(&self, bytes: &[u8]) -> Value {
        json!({ "publicKeyId": self.key_id(), "signature": base64(bytes) })
    }
}

fn base64(bytes: &[u8]) -> String {
    binauthd::attestation::base64::encode(bytes)
}
