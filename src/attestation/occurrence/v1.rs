//! What a v1 occurrence holds: signatures over `serializedPayload`, tokens, DSSE envelopes.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Form, OccurrenceError, Parts, Signature, key_id, usable, v1beta1};
use crate::attestation::jwt::Compact;
use crate::attestation::{base64, dsse};
use crate::document::Object;

/// `AttestationOccurrence` of v1, and `Details` of v1beta1, which has the same place.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attestation<'a> {
    #[serde(alias = "serialized_payload")]
    serialized_payload: Option<String>,
    #[serde(borrow)]
    signatures: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    jwts: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    attestation: Option<Object<v1beta1::Attestation<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignatureDocument {
    #[serde(alias = "public_key_id")]
    public_key_id: String,
    signature: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JwtDocument {
    #[serde(alias = "compact_jwt")]
    compact_jwt: String,
}

/// `Envelope` of `common.proto`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope<'a> {
    payload: Option<String>,
    #[serde(alias = "payload_type")]
    payload_type: Option<String>,
    #[serde(borrow)]
    signatures: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
    keyid: Option<String>,
}

impl Attestation<'_> {
    pub(super) fn add_to(self, parts: &mut Parts) {
        if self.serialized_payload.is_some() || self.signatures.as_ref().is_some_and(|list| !list.is_empty())
        {
            const PAYLOAD: &str = "attestation.serializedPayload";
            parts.add(detached(self.serialized_payload, self.signatures, PAYLOAD));
        }
        if self.jwts.is_some() {
            parts.add(Ok(usable(self.jwts).map(token).collect()));
        }
        if let Some(Object(attestation)) = self.attestation {
            attestation.add_to(parts);
        }
    }
}

/// Signatures over a payload beside them; where there is none, an OpenPGP message may still hold its own.
/// `name` is the payload's, for errors.
pub(super) fn detached(
    payload: Option<String>,
    signatures: Option<Vec<&RawValue>>,
    name: &'static str,
) -> Result<Vec<Signature>, OccurrenceError> {
    let form = match &payload {
        Some(payload) => {
            Form::Detached(base64::decode(payload).ok_or(OccurrenceError::Payload(name))?.into())
        }
        None => Form::Attached,
    };
    let signature = |document: SignatureDocument| Signature {
        key_id: key_id(document.public_key_id),
        form: form.clone(),
        bytes: base64::decode(&document.signature).unwrap_or_default(),
    };
    let signatures: Vec<_> = usable(signatures).map(signature).collect();
    if payload.is_none() && signatures.is_empty() {
        return Err(OccurrenceError::Missing(name));
    }
    Ok(signatures)
}

fn token(document: JwtDocument) -> Signature {
    let text = document.compact_jwt;
    let key_id = Compact::parse(&text).map(|token| token.key_id().to_owned()).unwrap_or_default();
    Signature { key_id, form: Form::Jwt, bytes: text.into_bytes() }
}

impl Envelope<'_> {
    pub(super) fn signatures(self) -> Result<Vec<Signature>, OccurrenceError> {
        const PAYLOAD: &str = "envelope.payload";
        let payload = self.payload.ok_or(OccurrenceError::Missing(PAYLOAD))?;
        let envelope = Arc::new(dsse::Envelope {
            payload_type: self.payload_type.ok_or(OccurrenceError::Missing("envelope.payloadType"))?,
            payload: base64::decode(&payload).ok_or(OccurrenceError::Payload(PAYLOAD))?,
        });
        let signature = |document: EnvelopeSignature| Signature {
            key_id: key_id(document.keyid.unwrap_or_default()),
            form: Form::Dsse(Arc::clone(&envelope)),
            bytes: base64::decode(&document.sig).unwrap_or_default(),
        };
        Ok(usable(self.signatures).map(signature).collect())
    }
}
