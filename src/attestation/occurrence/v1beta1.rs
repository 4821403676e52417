//! What a v1beta1 occurrence holds (`attestation.attestation`): an OpenPGP message, or signatures as in v1.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Form, OccurrenceError, Parts, Signature, key_id, v1};
use crate::document::Object;
use crate::text::shown;

/// `Attestation`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attestation<'a> {
    #[serde(borrow, alias = "pgp_signed_attestation")]
    pgp_signed_attestation: Option<Object<PgpSigned<'a>>>,
    #[serde(borrow, alias = "generic_signed_attestation")]
    generic_signed_attestation: Option<Object<GenericSigned<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PgpSigned<'a> {
    /// Text, where v1 has bytes.
    signature: Option<String>,
    #[serde(alias = "pgp_key_id")]
    pgp_key_id: Option<String>,
    #[serde(borrow, alias = "content_type")]
    content_type: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GenericSigned<'a> {
    #[serde(borrow, alias = "content_type")]
    content_type: Option<&'a RawValue>,
    #[serde(alias = "serialized_payload")]
    serialized_payload: Option<String>,
    #[serde(borrow)]
    signatures: Option<Vec<&'a RawValue>>,
}

impl Attestation<'_> {
    pub(super) fn add_to(self, parts: &mut Parts) {
        if let Some(Object(signed)) = self.pgp_signed_attestation {
            parts.add(signed.signature().map(|one| vec![one]));
        }
        if let Some(Object(signed)) = self.generic_signed_attestation {
            const PAYLOAD: &str = "genericSignedAttestation.serializedPayload";
            let signatures = simple_signing(signed.content_type)
                .and_then(|()| v1::detached(signed.serialized_payload, signed.signatures, PAYLOAD));
            parts.add(signatures);
        }
    }
}

impl PgpSigned<'_> {
    fn signature(self) -> Result<Signature, OccurrenceError> {
        simple_signing(self.content_type)?;
        let message = self.signature.filter(|text| !text.is_empty());
        let message = message.ok_or(OccurrenceError::Missing("pgpSignedAttestation.signature"))?;
        let key_id = key_id(self.pgp_key_id.unwrap_or_default());
        Ok(Signature { key_id, form: Form::Attached, bytes: message.into_bytes() })
    }
}

/// `ContentType`, by name or by number: simple signing, or not said.
fn simple_signing(content_type: Option<&RawValue>) -> Result<(), OccurrenceError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum ContentType {
        Name(String),
        Number(u8),
    }
    let Some(raw) = content_type else { return Ok(()) };
    match serde_json::from_str(raw.get()) {
        Ok(ContentType::Name(name)) if name == "CONTENT_TYPE_UNSPECIFIED" => Ok(()),
        Ok(ContentType::Name(name)) if name == "SIMPLE_SIGNING_JSON" => Ok(()),
        Ok(ContentType::Number(0 | 1)) => Ok(()),
        Ok(ContentType::Name(name)) => Err(OccurrenceError::ContentType(shown(&name, 60))),
        _ => Err(OccurrenceError::ContentType(shown(raw.get(), 60))),
    }
}
