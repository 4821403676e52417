//! The envelope of a bundle and the keys it is held against.
//!
//! Reads of the envelope only what a signature is checked with. Members that nobody knows are passed over, as
//! DSSE asks: they are not signed, so they say nothing.

use serde::{Deserialize, Serialize};

use super::{BundleError, MAX_SIGNATURES, PAYLOAD_TYPE};
use crate::attestation::{KeyError, KeyId, PublicKey, base64, dsse};
use crate::document::{self, Format, Object};
use crate::text::shown;

/// A key that bundles count under, for the algorithm that is usual for its kind: ECDSA by its curve, RSA as
/// PKCS#1 v1.5 with SHA-256, ML-DSA-65.
#[derive(Debug, Clone)]
pub struct BundleKey {
    id: KeyId,
    key: PublicKey,
}

impl BundleKey {
    /// Reads a PEM file with one `PUBLIC KEY` block.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::Unusable`] for a kind of key that no algorithm takes.
    pub fn parse(pem: &str) -> Result<Self, KeyError> {
        let kind = PublicKey::kind(pem)?;
        let algorithm = kind.usual_algorithm().ok_or(KeyError::Unusable(kind))?;
        let key = PublicKey::from_pem(pem, algorithm)?;
        Ok(Self { id: key.default_id(), key })
    }

    /// `ni:///sha-256;…` of the key.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Whether `signature` is this key's over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verifies(message, signature)
    }
}

/// An envelope whose payload nobody has vouched for yet.
#[derive(Debug)]
pub struct Sealed {
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

#[derive(Debug)]
struct Signature {
    key_id: String,
    bytes: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvelopeDocument {
    payload_type: String,
    payload: String,
    #[serde(deserialize_with = "document::objects")]
    signatures: Vec<SignatureDocument>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SignatureDocument {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    keyid: String,
    sig: String,
}

impl Sealed {
    /// Reads an envelope of at most [`MAX_BYTES`](super::MAX_BYTES); base64 of either alphabet, padded or not. A
    /// signature that is not even base64 holds under nothing.
    ///
    /// # Errors
    /// [`BundleError::Envelope`], [`BundleError::PayloadType`], [`BundleError::Encoding`] and
    /// [`BundleError::TooManySignatures`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let Object(document): Object<EnvelopeDocument> =
            document::parse(bytes, Format::Json).map_err(BundleError::Envelope)?;
        if document.payload_type != PAYLOAD_TYPE {
            return Err(BundleError::PayloadType(shown(&document.payload_type, 200)));
        }
        if document.signatures.len() > MAX_SIGNATURES {
            return Err(BundleError::TooManySignatures(document.signatures.len()));
        }
        let payload = base64::decode(&document.payload).ok_or(BundleError::Encoding)?;
        let signature = |one: SignatureDocument| Signature {
            key_id: one.keyid,
            bytes: base64::decode(&one.sig).unwrap_or_default(),
        };
        Ok(Self { payload, signatures: document.signatures.into_iter().map(signature).collect() })
    }

    /// What may have been signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The bytes that a signature is over.
    #[must_use]
    pub fn signed(payload: &[u8]) -> Vec<u8> {
        dsse::pae(PAYLOAD_TYPE, payload)
    }

    /// Every signature: the key id it gives, fit to be shown, and the key that it holds under, if any.
    pub fn signatures<'a>(
        &'a self,
        keys: &'a [BundleKey],
    ) -> impl Iterator<Item = (String, Option<&'a KeyId>)> {
        let signed = Self::signed(&self.payload);
        self.signatures.iter().map(move |one| (shown(&one.key_id, 200), one.signer(keys, &signed)))
    }

    /// The first of `keys` that a signature holds under.
    ///
    /// # Errors
    /// [`BundleError::NoKeys`] without keys, [`BundleError::Stranger`] otherwise.
    pub fn signer<'a>(&self, keys: &'a [BundleKey]) -> Result<&'a KeyId, BundleError> {
        if keys.is_empty() {
            return Err(BundleError::NoKeys);
        }
        let signed = Self::signed(&self.payload);
        let signer = self.signatures.iter().find_map(|one| one.signer(keys, &signed));
        signer.ok_or_else(|| BundleError::Stranger(self.strangers()))
    }

    /// Who is said to have signed it, for people.
    fn strangers(&self) -> String {
        if self.signatures.is_empty() {
            return "it has no signature".to_owned();
        }
        let names = self.signatures.iter().take(3).map(|one| match one.key_id.as_str() {
            "" => "a key without an id".to_owned(),
            id => format!("`{}`", shown(id, 100)),
        });
        let names: Vec<_> = names.collect();
        format!("no signature holds, those there are name {}", names.join(", "))
    }

    /// The envelope of `payload` with these signatures, each with the id of its key.
    #[must_use]
    pub fn assemble(payload: &[u8], signatures: &[(String, Vec<u8>)]) -> String {
        let signatures = signatures
            .iter()
            .map(|(id, signature)| SignatureDocument { keyid: id.clone(), sig: base64::encode(signature) });
        let document = EnvelopeDocument {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: base64::encode(payload),
            signatures: signatures.collect(),
        };
        let mut text = serde_json::json!(document).to_string();
        text.push('\n');
        text
    }
}

impl Signature {
    fn signer<'a>(&self, keys: &'a [BundleKey], signed: &[u8]) -> Option<&'a KeyId> {
        // The named one first: it is the right one unless somebody wants to waste time.
        let named = |key: &&BundleKey| key.id.as_str() == self.key_id;
        let order = keys.iter().filter(named).chain(keys.iter().filter(|key| !named(key)));
        order.into_iter().find(|key| key.verifies(signed, &self.bytes)).map(BundleKey::id)
    }
}
