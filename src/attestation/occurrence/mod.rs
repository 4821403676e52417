//! Attestation occurrences of Grafeas and Container Analysis, v1 and v1beta1 (`grafeas.proto`,
//! `attestation.proto`, `dsse_attestation.proto`): where signatures over payloads are filed.
//!
//! Everything in one is a stranger's claim until `verify` has checked it. What an occurrence is shows in what
//! it holds, never in `kind`, which servers keep as it was sent. Fields that are not needed are not looked at,
//! least of all decoded copies of signed bytes; one unusable signature leaves the others be, and one
//! unusable part of a document the other parts. Members may be spelled as in JSON or as in the proto; the
//! same member twice, in one spelling or both, refuses what it is in.

mod v1;
mod v1beta1;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny};
use serde_json::value::RawValue;

use super::dsse;
use crate::document::{self, Object};
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
    /// The digest at the end of `resource`: an index into what is signed, not an authority.
    pub digest: Digest,
    /// `resourceUri` (v1) or `resource.uri` (v1beta1) as it stands.
    pub resource: String,
    /// `createTime`, where it is one; orders candidates and decides nothing.
    pub created: Option<SystemTime>,
    /// Every signature of every part, in the order of v1, v1beta1, envelopes.
    pub signatures: Vec<Signature>,
}

/// One signature of an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Which key, by the signer's word; empty where it names none. `openpgp4fpr:` is taken off.
    pub key_id: String,
    /// What it is over.
    pub form: Form,
    /// The signature, as `form` says. Empty where the document's text was not base64: such bytes verify
    /// under no key.
    pub bytes: Vec<u8>,
}

/// What a signature is over, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Over this payload, or over its PAE. The key says what the bytes are: a signature by itself, or an
    /// OpenPGP message that holds the payload once more.
    Detached(Arc<[u8]>),
    /// An OpenPGP message that holds its payload; the bytes are its text (v1beta1 `pgpSignedAttestation`).
    Attached,
    /// Over the PAE of this envelope.
    Dsse(Arc<dsse::Envelope>),
    /// The bytes are the text of a compact JSON Web Token; `key_id` is empty where it is none.
    Jwt,
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
    /// What a server answers or a tool lists.
    #[error("a list of occurrences: put each into a document of its own")]
    List,
    /// No `@sha256:…` at the end.
    #[error("`{0}` does not end in `@sha256:` and 64 lower-case hexadecimal digits")]
    Resource(&'static str),
    /// v1 and v1beta1 do not agree.
    #[error("`resourceUri` and `resource.uri` name different digests")]
    Resources,
    /// An attestation that holds nothing.
    #[error("the attestation holds no payload, token or message")]
    Hollow,
    /// Signatures over nothing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// The payload is not base64.
    #[error("`{0}` is not base64")]
    Payload(&'static str),
    /// A payload of another kind.
    #[error("`contentType` is `{0}`, not `SIMPLE_SIGNING_JSON`")]
    ContentType(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OccurrenceDocument<'a> {
    name: Option<String>,
    #[serde(borrow)]
    kind: Option<&'a RawValue>,
    #[serde(alias = "resource_uri")]
    resource_uri: Option<String>,
    resource: Option<Object<Resource>>,
    #[serde(alias = "note_name")]
    note_name: Option<String>,
    #[serde(alias = "create_time")]
    create_time: Option<String>,
    #[serde(borrow)]
    attestation: Option<Object<v1::Attestation<'a>>>,
    #[serde(borrow)]
    envelope: Option<&'a RawValue>,
    #[serde(borrow, alias = "dsse_attestation")]
    dsse_attestation: Option<Object<DsseAttestation<'a>>>,
    /// Of no occurrence.
    occurrences: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Resource {
    uri: Option<String>,
}

/// The statement beside the envelope is a copy that nobody signed.
#[derive(Deserialize)]
struct DsseAttestation<'a> {
    #[serde(borrow)]
    envelope: Option<&'a RawValue>,
}

impl Occurrence {
    /// Reads one occurrence document.
    ///
    /// # Errors
    /// See [`OccurrenceError`]. Where every part of a document is unusable, the first one's error.
    pub fn parse(bytes: &[u8]) -> Result<Self, OccurrenceError> {
        if bytes.len() > MAX_BYTES {
            return Err(OccurrenceError::TooLarge(bytes.len() as u64));
        }
        if bytes.trim_ascii().is_empty() {
            return Err(OccurrenceError::Empty);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| OccurrenceError::NotUtf8)?;
        if text.trim_start().starts_with('[') {
            return Err(OccurrenceError::List);
        }
        let Object(document): Object<OccurrenceDocument<'_>> = serde_json::from_str(text)?;
        document.try_into()
    }
}

impl TryFrom<OccurrenceDocument<'_>> for Occurrence {
    type Error = OccurrenceError;

    fn try_from(document: OccurrenceDocument<'_>) -> Result<Self, OccurrenceError> {
        let wrapped = document.dsse_attestation.and_then(|Object(attestation)| attestation.envelope);
        if document.attestation.is_none() && document.envelope.is_none() && wrapped.is_none() {
            if document.occurrences.is_some() {
                return Err(OccurrenceError::List);
            }
            let kind = document.kind.and_then(|kind| serde_json::from_str::<String>(kind.get()).ok());
            return Err(OccurrenceError::Kind(shown(kind.as_deref().unwrap_or("unspecified"), 60)));
        }
        let beta = document.resource.and_then(|Object(resource)| resource.uri);
        let (resource, digest) = resource(document.resource_uri, beta)?;
        let note = document.note_name.ok_or_else(|| serde_json::Error::missing_field("noteName"))?;
        let mut parts = Parts::default();
        if let Some(Object(attestation)) = document.attestation {
            attestation.add_to(&mut parts);
        }
        // Servers of both fields file the same envelope twice.
        let wrapped = wrapped.filter(|wrapped| document.envelope.is_none_or(|it| it.get() != wrapped.get()));
        for envelope in [document.envelope, wrapped].into_iter().flatten() {
            let Object(envelope) = serde_json::from_str::<Object<v1::Envelope<'_>>>(envelope.get())?;
            parts.add(envelope.signatures());
        }
        Ok(Self {
            name: shown(&document.name.unwrap_or_default(), MAX_NAME),
            note,
            digest,
            resource,
            created: document.create_time.and_then(|time| document::time(&time)),
            signatures: parts.finish()?,
        })
    }
}

/// The resource and the digest at its end, with or without `https://` before it.
fn resource(v1: Option<String>, beta: Option<String>) -> Result<(String, Digest), OccurrenceError> {
    let read = |uri: Option<String>, name| {
        let digest = |uri: String| match uri.rsplit_once('@').and_then(|(_, digest)| digest.parse().ok()) {
            Some(digest) => Ok((uri, digest)),
            None => Err(OccurrenceError::Resource(name)),
        };
        uri.filter(|uri| !uri.is_empty()).map(digest).transpose()
    };
    match (read(v1, "resourceUri")?, read(beta, "resource.uri")?) {
        (Some((_, one)), Some((_, other))) if one != other => Err(OccurrenceError::Resources),
        (Some(found), _) | (None, Some(found)) => Ok(found),
        (None, None) => Err(serde_json::Error::missing_field("resourceUri").into()),
    }
}

/// What the parts of a document give together.
#[derive(Default)]
struct Parts {
    signatures: Vec<Signature>,
    usable: bool,
    trouble: Option<OccurrenceError>,
}

impl Parts {
    fn add(&mut self, part: Result<Vec<Signature>, OccurrenceError>) {
        match part {
            Ok(signatures) => {
                self.usable = true;
                self.signatures.extend(signatures);
            }
            Err(error) => {
                self.trouble.get_or_insert(error);
            }
        }
    }

    fn finish(self) -> Result<Vec<Signature>, OccurrenceError> {
        if self.usable { Ok(self.signatures) } else { Err(self.trouble.unwrap_or(OccurrenceError::Hollow)) }
    }
}

/// Each member of a list that is a `T`; the others are left out.
///
/// Lists stay text until then: a tree of a million small values would take hundreds of times the room of the
/// document.
fn usable<'a, T: Deserialize<'a>>(list: Option<Vec<&'a RawValue>>) -> impl Iterator<Item = T> {
    let read = |text: &'a RawValue| serde_json::from_str::<Object<T>>(text.get()).ok();
    list.into_iter().flatten().filter_map(read).map(|Object(one)| one)
}

/// A fingerprint as attestors write it, where the id is `openpgp4fpr:` and one (Grafeas, `common.proto`).
fn key_id(text: String) -> String {
    const SCHEME: &str = "openpgp4fpr:";
    match text.split_at_checked(SCHEME.len()) {
        Some((scheme, digits)) if scheme.eq_ignore_ascii_case(SCHEME) => digits.to_ascii_uppercase(),
        _ => text,
    }
}
