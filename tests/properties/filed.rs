//! What is filed in a world: occurrences, as a store has them, each signed when its text is asked for.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use binauthd::attestation::{dsse, payload, statement};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, Signature, SigningKey};
use p256::pkcs8::EncodePublicKey as _;
use serde_json::{Value, json};

use super::world::{DAY, IMAGE, KEYS, digest, note};

static SIGNERS: LazyLock<Vec<(SigningKey, String)>> = LazyLock::new(|| {
    let signer = |number: usize| {
        let key = SigningKey::from_slice(&[number as u8 + 1; 32]).unwrap();
        let pem = key.verifying_key().to_public_key_pem(p256::pkcs8::LineEnding::LF).unwrap();
        (key, pem)
    };
    (0..KEYS).map(signer).collect()
});

fn sign(key: usize, message: &[u8]) -> Vec<u8> {
    let signature: DerSignature = SIGNERS[key].0.sign(message);
    signature.as_bytes().to_vec()
}

pub(crate) fn pkix(key: usize) -> Value {
    json!({"publicKeyPem": SIGNERS[key].1, "signatureAlgorithm": "ECDSA_P256_SHA256"})
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn base64_url(bytes: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn date(age: i64) -> String {
    let seconds = (20_000 * DAY).checked_add_signed(-age).unwrap();
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// What an occurrence says, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Says {
    /// A simple-signing payload, signed as it is.
    Raw,
    /// The same, signed over its PAE.
    Pae,
    /// The same in an envelope.
    Envelope,
    /// The same in a token.
    Token,
    /// Provenance that ended `age` seconds ago, by a builder that is trusted or not.
    Provenance { age: u64, trusted: bool },
    /// A scan that ended `age` seconds ago; how bad its finding is, if it has one.
    Scan { age: i64, found: Option<&'static str> },
    /// A scan that cannot be read.
    BrokenScan,
    /// That a test failed.
    Failed,
}

/// One occurrence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filed {
    /// Under whose note.
    pub(crate) note: usize,
    /// In which project.
    pub(crate) project: &'static str,
    /// By which key, by number.
    pub(crate) key: usize,
    /// Under which digest, and which one is signed.
    pub(crate) under: usize,
    pub(crate) about: usize,
    pub(crate) says: Says,
    pub(crate) created: u64,
    /// Under another name than [`IMAGE`].
    pub(crate) elsewhere: bool,
    pub(crate) spoilt: Spoilt,
}

/// What is wrong with an occurrence besides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Spoilt {
    Nothing,
    /// The signature is another's over the same.
    Signature,
    /// It is no signature.
    Shape,
    /// The key id is nobody's.
    KeyId,
    /// The envelope, where it is one, is of another type.
    Type,
    /// The document ends early.
    Document,
}

impl Filed {
    /// Whether it takes away from what a scan allows.
    pub(crate) fn is_scan(&self) -> bool {
        matches!(self.says, Says::Scan { .. } | Says::BrokenScan)
    }

    fn statement(&self) -> Value {
        let (kind, predicate) = match &self.says {
            Says::Provenance { age, trusted } => (
                "https://slsa.dev/provenance/v1",
                json!({"buildDefinition": {"buildType": "x", "externalParameters":
                        {"workflow": {"repository": "https://github.com/acme/app", "path": "ci.yaml"}}},
                    "runDetails": {"builder": {"id": if *trusted { "https://ci.example/x" } else { "y" }},
                        "metadata": {"finishedOn": date(*age as i64)}}}),
            ),
            Says::Scan { age, found } => {
                let findings: Vec<_> = found
                    .iter()
                    .map(|severity| json!({"id": "CVE-1", "severity": [{"method": "x", "score": severity}]}))
                    .collect();
                (
                    "https://in-toto.io/attestation/vulns/v0.1",
                    json!({"scanner": {"uri": "x", "result": findings},
                        "metadata": {"scanStartedOn": date(*age), "scanFinishedOn": date(*age)}}),
                )
            }
            Says::BrokenScan => ("https://in-toto.io/attestation/vulns/v0.1", json!({"scanner": 5})),
            _ => ("https://in-toto.io/attestation/test-result/v0.1", json!({"result": "FAILED"})),
        };
        json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": kind, "predicate": predicate,
            "subject": [{"name": "x", "digest": {"sha256": digest(self.about).hex()}}]})
    }

    /// The document, as a store has it.
    pub(crate) fn text(&self) -> String {
        let key = if self.spoilt == Spoilt::Signature { KEYS - 1 } else { self.key };
        let id = if self.spoilt == Spoilt::KeyId { "k9".to_owned() } else { format!("k{}", self.key) };
        let signed = |message: &[u8]| match self.spoilt {
            Spoilt::Shape => base64("x"),
            _ => base64(sign(key, message)),
        };
        let reference = if self.elsewhere { "registry.example.com/other" } else { IMAGE };
        let simple = payload::gcloud(reference, digest(self.about));
        let mut document = json!({
            "name": format!("projects/{}/occurrences/{}", self.project, self.created),
            "noteName": note(self.note), "resourceUri": format!("https://{IMAGE}@{}", digest(self.under)),
            "createTime": date(self.created as i64)});
        let envelope = |kind: &str, payload: &str| {
            let filed_kind = if self.spoilt == Spoilt::Type { "application/x" } else { kind };
            let sig = signed(&dsse::pae(kind, payload.as_bytes()));
            json!({"payload": base64(payload), "payloadType": filed_kind, "signatures": [{"keyid": id, "sig": sig}]})
        };
        match &self.says {
            Says::Raw | Says::Pae => {
                let pae = dsse::pae(payload::MEDIA_TYPE, simple.as_bytes());
                let message = if self.says == Says::Raw { simple.as_bytes() } else { &pae };
                document["attestation"] = json!({"serializedPayload": base64(&simple),
                    "signatures": [{"publicKeyId": id, "signature": signed(message)}]});
            }
            Says::Token => {
                let header = json!({"alg": "ES256", "typ": "JWT", "kid": id}).to_string();
                let input = format!("{}.{}", base64_url(header), base64_url(&simple));
                let mut raw = {
                    let signature: Signature = SIGNERS[key].0.sign(input.as_bytes());
                    signature.to_bytes().to_vec()
                };
                if self.spoilt == Spoilt::Shape {
                    raw.truncate(5);
                }
                let token = format!("{input}.{}", base64_url(raw));
                document["attestation"] = json!({"jwts": [{"compactJwt": token}]});
            }
            Says::Envelope => document["envelope"] = envelope(payload::MEDIA_TYPE, &simple),
            _ => document["envelope"] = envelope(statement::PAYLOAD_TYPE, &self.statement().to_string()),
        }
        let mut text = document.to_string();
        if self.spoilt == Spoilt::Document {
            text.truncate(text.len() / 2);
        }
        text
    }
}
