//! Sealed documents: DSSE envelopes of this project, and the keys they are held against.
//!
//! What an envelope holds is said by its payload type, which every signature covers ([`Seal`]): a document of one
//! kind is never taken for another, also where one key signs both. Reads of the envelope only what a signature is
//! checked with. Members that nobody knows are passed over, as DSSE asks: they are not signed, so they say nothing.

use serde::{Deserialize, Serialize};

use crate::attestation::{KeyError, KeyId, PublicKey, base64, dsse};
use crate::document::{self, DocumentError, Format, Object};
use crate::text::shown;

/// The most keys that documents of one kind count under.
pub const MAX_KEYS: usize = 16;
/// The most signatures of an envelope; each may be tried with every key.
pub const MAX_SIGNATURES: usize = 16;

/// A kind of sealed documents.
#[derive(Debug, PartialEq, Eq)]
pub struct Seal {
    /// The type that the envelope names, and a signature covers.
    pub payload_type: &'static str,
    /// What their keys are called, such as `bundle key`.
    pub key: &'static str,
}

/// Why an envelope is refused.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// Not a DSSE envelope.
    #[error("it is not a DSSE envelope: {0}")]
    Envelope(DocumentError),
    /// An envelope of something else.
    #[error("its payloadType is `{found}`, not `{expected}`")]
    PayloadType {
        /// What it says.
        found: String,
        /// What it must say.
        expected: String,
    },
    /// A payload that cannot be decoded.
    #[error("its payload is not base64")]
    Encoding,
    /// More than [`MAX_SIGNATURES`].
    #[error("it has {0} signatures, more than the {MAX_SIGNATURES} allowed")]
    TooManySignatures(usize),
    /// No key to hold it against.
    #[error("there is no {0} to check it with")]
    NoKeys(&'static str),
    /// A stranger's.
    #[error("it is not signed by a {key} of this node: {who}")]
    Stranger {
        /// What the node's keys are called.
        key: &'static str,
        /// Who is said to have signed it.
        who: String,
    },
}

/// A key that sealed documents count under, for the algorithm that is usual for its kind: ECDSA by its curve, RSA as
/// PKCS#1 v1.5 with SHA-256, ML-DSA-65.
#[derive(Debug, Clone)]
pub struct SealKey {
    id: KeyId,
    key: PublicKey,
}

impl SealKey {
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
    seal: &'static Seal,
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
    /// Reads an envelope of one of these kinds, of at most [`document::MAX_BYTES`]; base64 of either alphabet, padded
    /// or not. A signature that is not even base64 holds under nothing.
    ///
    /// # Errors
    /// [`SealedError::Envelope`], [`SealedError::PayloadType`], [`SealedError::Encoding`] and
    /// [`SealedError::TooManySignatures`].
    pub fn parse(bytes: &[u8], kinds: &[&'static Seal]) -> Result<Self, SealedError> {
        let Object(document): Object<EnvelopeDocument> =
            document::parse(bytes, Format::Json).map_err(SealedError::Envelope)?;
        let Some(seal) = kinds.iter().find(|seal| seal.payload_type == document.payload_type) else {
            let expected: Vec<_> = kinds.iter().map(|seal| seal.payload_type).collect();
            let found = shown(&document.payload_type, 200);
            return Err(SealedError::PayloadType { found, expected: expected.join("` or `") });
        };
        if document.signatures.len() > MAX_SIGNATURES {
            return Err(SealedError::TooManySignatures(document.signatures.len()));
        }
        let payload = base64::decode(&document.payload).ok_or(SealedError::Encoding)?;
        let signature = |one: SignatureDocument| Signature {
            key_id: one.keyid,
            bytes: base64::decode(&one.sig).unwrap_or_default(),
        };
        Ok(Self { seal, payload, signatures: document.signatures.into_iter().map(signature).collect() })
    }

    /// What its envelope says that it is.
    #[must_use]
    pub fn seal(&self) -> &'static Seal {
        self.seal
    }

    /// What may have been signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Every signature: the key id it gives, fit to be shown, and the key that it holds under, if any.
    pub fn signatures<'a>(
        &'a self,
        keys: &'a [SealKey],
    ) -> impl Iterator<Item = (String, Option<&'a KeyId>)> {
        let signed = self.seal.signed(&self.payload);
        self.signatures.iter().map(move |one| (shown(&one.key_id, 200), one.signer(keys, &signed)))
    }

    /// The first of `keys` that a signature holds under.
    ///
    /// # Errors
    /// [`SealedError::NoKeys`] without keys, [`SealedError::Stranger`] otherwise.
    pub fn signer<'a>(&self, keys: &'a [SealKey]) -> Result<&'a KeyId, SealedError> {
        if keys.is_empty() {
            return Err(SealedError::NoKeys(self.seal.key));
        }
        let signed = self.seal.signed(&self.payload);
        let signer = self.signatures.iter().find_map(|one| one.signer(keys, &signed));
        signer.ok_or_else(|| SealedError::Stranger { key: self.seal.key, who: self.strangers() })
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
}

impl Seal {
    /// The bytes that a signature is over.
    #[must_use]
    pub fn signed(&self, payload: &[u8]) -> Vec<u8> {
        dsse::pae(self.payload_type, payload)
    }

    /// The envelope of `payload` with these signatures, each with the id of its key.
    #[must_use]
    pub fn assemble(&self, payload: &[u8], signatures: &[(String, Vec<u8>)]) -> String {
        let signatures = signatures
            .iter()
            .map(|(id, signature)| SignatureDocument { keyid: id.clone(), sig: base64::encode(signature) });
        let document = EnvelopeDocument {
            payload_type: self.payload_type.to_owned(),
            payload: base64::encode(payload),
            signatures: signatures.collect(),
        };
        let mut text = serde_json::json!(document).to_string();
        text.push('\n');
        text
    }
}

impl Signature {
    fn signer<'a>(&self, keys: &'a [SealKey], signed: &[u8]) -> Option<&'a KeyId> {
        // The named one first: it is the right one unless somebody wants to waste time.
        let named = |key: &&SealKey| key.id.as_str() == self.key_id;
        let order = keys.iter().filter(named).chain(keys.iter().filter(|key| !named(key)));
        order.into_iter().find(|key| key.verifies(signed, &self.bytes)).map(SealKey::id)
    }
}
