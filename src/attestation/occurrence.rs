//! Grafeas v1 attestation occurrences (`grafeas.proto`, `attestation.proto`): where signatures over
//! payloads are filed. Everything in one is a stranger's claim until `verify` has checked it, so
//! fields that are not needed are not looked at, and one unusable signature leaves the others be.

use std::time::SystemTime;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::base64;
use crate::image::Digest;
use crate::text::shown;

/// The largest occurrence document, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// The longest name that is kept, in characters; nothing is looked up by it.
const MAX_NAME: usize = 256;

/// An attestation occurrence, unverified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// `projects/P/occurrences/O` for people, cut and cleaned; empty where the document has none.
    pub name: String,
    /// The note it hangs on.
    pub note: String,
    /// The digest at the end of `resourceUri`: an index into what is signed, not an authority.
    pub digest: Digest,
    /// `resourceUri` as it stands.
    pub resource: String,
    /// `createTime`, where it is one; orders candidates and decides nothing.
    pub created: Option<SystemTime>,
    /// The signed bytes.
    pub payload: Vec<u8>,
    /// Who is said to have signed them.
    pub signatures: Vec<Signature>,
}

/// One signature of an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Which key, by the signer's word.
    pub key_id: String,
    /// Empty where the document's text was not base64: such bytes verify under no key.
    pub bytes: Vec<u8>,
}

/// Why a document is not an attestation occurrence.
#[derive(Debug, thiserror::Error)]
pub enum OccurrenceError {
    /// Over [`MAX_BYTES`].
    #[error("the document has {0} bytes, more than the {MAX_BYTES} allowed")]
    TooLarge(u64),
    /// Nothing in it.
    #[error("the document is empty")]
    Empty,
    /// Not text.
    #[error("not an occurrence: the document is not UTF-8")]
    NotUtf8,
    /// Not JSON, or not of this shape.
    #[error("not an occurrence: {0}")]
    Json(#[from] serde_json::Error),
    /// An occurrence about something else.
    #[error("not an attestation: the occurrence is of kind `{0}`")]
    Kind(String),
    /// No `@sha256:…` at the end of `resourceUri`.
    #[error("`resourceUri` does not end in `@sha256:` and 64 lower-case hexadecimal digits")]
    Resource,
    /// The payload is not base64.
    #[error("`attestation.serializedPayload` is not base64")]
    Payload,
}

/// What a document is about.
#[derive(Deserialize)]
struct About<'a> {
    #[serde(default, borrow)]
    kind: Option<&'a RawValue>,
    #[serde(default)]
    attestation: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OccurrenceDocument<'a> {
    #[serde(default)]
    name: String,
    resource_uri: String,
    note_name: String,
    #[serde(default)]
    create_time: Option<String>,
    #[serde(borrow)]
    attestation: AttestationDocument<'a>,
}

/// Signatures stay text until each is read by itself: a tree of a million small values would take
/// hundreds of times the room of the document.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AttestationDocument<'a> {
    serialized_payload: String,
    #[serde(default, borrow)]
    signatures: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignatureDocument {
    public_key_id: String,
    signature: String,
}

impl Occurrence {
    /// Reads one occurrence document.
    ///
    /// # Errors
    /// See [`OccurrenceError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, OccurrenceError> {
        if bytes.len() > MAX_BYTES {
            return Err(OccurrenceError::TooLarge(bytes.len() as u64));
        }
        if bytes.trim_ascii().is_empty() {
            return Err(OccurrenceError::Empty);
        }
        std::str::from_utf8(bytes).map_err(|_| OccurrenceError::NotUtf8)?;
        // What it is about is told first: an occurrence of another kind lacks what is asked for below.
        let about: About<'_> = serde_json::from_slice(bytes)?;
        if about.attestation.is_none() {
            let kind = about.kind.and_then(|kind| serde_json::from_str::<String>(kind.get()).ok());
            return Err(OccurrenceError::Kind(shown(kind.as_deref().unwrap_or("unspecified"), 60)));
        }
        let document: OccurrenceDocument<'_> = serde_json::from_slice(bytes)?;
        document.try_into()
    }
}

impl TryFrom<OccurrenceDocument<'_>> for Occurrence {
    type Error = OccurrenceError;

    fn try_from(document: OccurrenceDocument<'_>) -> Result<Self, OccurrenceError> {
        let attestation = document.attestation;
        let digest = document
            .resource_uri
            .rsplit_once('@')
            .and_then(|(_, digest)| digest.parse().ok())
            .ok_or(OccurrenceError::Resource)?;
        let payload = base64::decode(&attestation.serialized_payload).ok_or(OccurrenceError::Payload)?;
        let signatures = attestation
            .signatures
            .into_iter()
            .filter_map(|text| serde_json::from_str::<SignatureDocument>(text.get()).ok())
            .map(|document| Signature {
                key_id: document.public_key_id,
                bytes: base64::decode(&document.signature).unwrap_or_default(),
            })
            .collect();
        Ok(Self {
            name: shown(&document.name, MAX_NAME),
            note: document.note_name,
            digest,
            resource: document.resource_uri,
            created: document.create_time.and_then(|time| humantime::parse_rfc3339(&time).ok()),
            payload,
            signatures,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:abababababababababababababababababababababababababababababababab";

    fn json(resource: &str, attestation: serde_json::Value) -> Vec<u8> {
        serde_json::json!({"name": "projects/p/occurrences/o", "resourceUri": resource, "noteName": "projects/p/notes/n",
            "kind": "ATTESTATION", "attestation": attestation, "remediation": "ignored"})
        .to_string()
        .into_bytes()
    }

    #[test]
    fn one_unusable_signature_leaves_the_others() {
        let signatures = serde_json::json!([5, {"publicKeyId": 1}, {"publicKeyId": "a", "signature": "!"},
            {"publicKeyId": "b", "signature": "AAA_"}]);
        for scheme in ["https://", "http://", ""] {
            let attestation = serde_json::json!({"serializedPayload": "aGk=", "signatures": signatures});
            let occurrence =
                Occurrence::parse(&json(&format!("{scheme}gcr.io/p/i@{D}"), attestation)).unwrap();
            assert_eq!(occurrence.digest.to_string(), D);
            assert_eq!(occurrence.payload, b"hi");
            let ids: Vec<_> =
                occurrence.signatures.iter().map(|s| (s.key_id.as_str(), s.bytes.len())).collect();
            assert_eq!(ids, [("a", 0), ("b", 3)]);
        }
    }

    #[test]
    fn a_name_is_cut_and_stays_on_its_line() {
        let mut document: serde_json::Value =
            serde_json::from_slice(&json(&format!("r@{D}"), serde_json::json!({"serializedPayload": ""})))
                .unwrap();
        document["name"] = format!("a\n\u{9b}\u{202e}{}", "b".repeat(100_000)).into();
        let name = Occurrence::parse(document.to_string().as_bytes()).unwrap().name;
        assert!(name.starts_with("a\u{fffd}\u{fffd}\u{fffd}b"), "{name}");
        assert_eq!(name.chars().count(), MAX_NAME);
    }

    #[test]
    fn refused() {
        let attestation = || serde_json::json!({"serializedPayload": "aGk="});
        let rows = [
            (Vec::new(), "empty"),
            (b" \n".to_vec(), "empty"),
            (b"{".to_vec(), "EOF"),
            (b"\xff\xfe".to_vec(), "not an occurrence"),
            (b"[]".to_vec(), "not an attestation"),
            (br#"{"kind":"VULNERABILITY","vulnerability":{}}"#.to_vec(), "kind `VULNERABILITY`"),
            (json("gcr.io/p/i:latest", attestation()), "does not end in"),
            (json(&format!("gcr.io/p/i@{}", D.to_uppercase()), attestation()), "does not end in"),
            (json(&format!("gcr.io/p/i@{D}"), serde_json::json!({"serializedPayload": "%"})), "not base64"),
            (json(&format!("gcr.io/p/i@{D}"), serde_json::json!({})), "missing field"),
            (vec![b' '; MAX_BYTES + 1], "more than"),
        ];
        for (bytes, part) in rows {
            let error = Occurrence::parse(&bytes).unwrap_err().to_string();
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }
}
