//! Attestor documents (Binary Authorization `resources.proto`, `Attestor`): one trusted party, the
//! note its attestations hang on, and its keys.

use serde::{Deserialize, Serialize};

use super::algorithm::Algorithm;
use super::key::{KeyError, KeyId, PublicKey};
use super::name::{AttestorName, NameError, NoteName};
use crate::document::{self, DocumentError, Format};

/// The most keys one attestor may have.
pub const MAX_KEYS: usize = 256;

/// The document as it is written; what it means is an [`Attestor`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttestorDocument {
    /// `projects/P/attestors/A`.
    pub name: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// v1beta1 spells it `userOwnedDrydockNote`.
    #[serde(alias = "userOwnedDrydockNote")]
    pub user_owned_grafeas_note: NoteDocument,
    /// Output only in Google's API; carried along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_time: Option<String>,
    /// Carried along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// `UserOwnedGrafeasNote`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoteDocument {
    /// `projects/P/notes/N`.
    pub note_reference: String,
    /// None at all: nobody can satisfy this attestor.
    #[serde(default)]
    pub public_keys: Vec<KeyDocument>,
    /// Carried along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegation_service_account_email: Option<String>,
}

/// `AttestorPublicKey`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyDocument {
    /// Computed from the key when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// A PKIX key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkix_public_key: Option<PkixDocument>,
    /// An OpenPGP key, which this version does not verify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ascii_armored_pgp_public_key: Option<String>,
}

/// `PkixPublicKey`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PkixDocument {
    /// One `BEGIN PUBLIC KEY` block.
    pub public_key_pem: String,
    /// Such as `ECDSA_P256_SHA256`.
    pub signature_algorithm: String,
    /// Blank or equal to the id beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}

/// Why an attestor document is refused.
#[derive(Debug, thiserror::Error)]
pub enum AttestorError {
    /// Not a document of this shape.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A resource name that is none.
    #[error("{field}: {cause}")]
    Name {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        cause: NameError,
    },
    /// A key that is refused, by its place in the list.
    #[error("publicKeys[{index}]: {cause}")]
    Key {
        /// From 0.
        index: usize,
        /// What is wrong with it.
        cause: KeyError,
    },
    /// Neither or both of the two kinds.
    #[error("publicKeys[{0}]: exactly one of `pkixPublicKey` and `asciiArmoredPgpPublicKey` is needed")]
    KeyKind(usize),
    /// OpenPGP.
    #[error("publicKeys[{0}]: OpenPGP keys are not verified by this version: use a PKIX key")]
    Pgp(usize),
    /// `keyId` and `id` differ.
    #[error("publicKeys[{0}]: `keyId` must be blank or equal to `id`")]
    KeyIdDiffers(usize),
    /// An id that two keys share would leave it to chance which one counts.
    #[error("publicKeys[{index}]: key id `{id}` is there twice")]
    DuplicateKeyId {
        /// From 0.
        index: usize,
        /// The id.
        id: KeyId,
    },
    /// More than [`MAX_KEYS`].
    #[error("{0} keys, more than the {MAX_KEYS} allowed")]
    TooManyKeys(usize),
}

/// One key under the id that signatures name it by.
#[derive(Debug, Clone)]
pub struct AttestorKey {
    /// Matched to the letter.
    pub id: KeyId,
    /// What checks the signature.
    pub key: PublicKey,
}

/// A trusted party.
#[derive(Debug, Clone)]
pub struct Attestor {
    name: AttestorName,
    note: NoteName,
    keys: Vec<AttestorKey>,
}

impl Attestor {
    /// Reads an attestor document.
    ///
    /// # Errors
    /// See [`AttestorError`]; one refused key refuses the document.
    pub fn parse(bytes: &[u8], format: Format) -> Result<Self, AttestorError> {
        document::parse::<AttestorDocument>(bytes, format)?.try_into()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &AttestorName {
        &self.name
    }

    /// The note its attestations hang on.
    #[must_use]
    pub fn note(&self) -> &NoteName {
        &self.note
    }

    /// Its keys; empty means that nothing satisfies it.
    #[must_use]
    pub fn keys(&self) -> &[AttestorKey] {
        &self.keys
    }

    /// The key a signature names.
    #[must_use]
    pub fn key(&self, id: &str) -> Option<&AttestorKey> {
        self.keys.iter().find(|key| key.id.as_str() == id)
    }
}

impl TryFrom<AttestorDocument> for Attestor {
    type Error = AttestorError;

    fn try_from(document: AttestorDocument) -> Result<Self, AttestorError> {
        let name = document.name.parse().map_err(|cause| AttestorError::Name { field: "name", cause })?;
        let note = document.user_owned_grafeas_note;
        let note_name = note
            .note_reference
            .parse()
            .map_err(|cause| AttestorError::Name { field: "userOwnedGrafeasNote.noteReference", cause })?;
        if note.public_keys.len() > MAX_KEYS {
            return Err(AttestorError::TooManyKeys(note.public_keys.len()));
        }
        let mut keys: Vec<AttestorKey> = Vec::with_capacity(note.public_keys.len());
        for (index, document) in note.public_keys.iter().enumerate() {
            let key = read_key(index, document)?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(AttestorError::DuplicateKeyId { index, id: key.id });
            }
            keys.push(key);
        }
        Ok(Self { name, note: note_name, keys })
    }
}

fn read_key(index: usize, document: &KeyDocument) -> Result<AttestorKey, AttestorError> {
    let pkix = match (&document.pkix_public_key, &document.ascii_armored_pgp_public_key) {
        (Some(pkix), None) => pkix,
        (None, Some(_)) => return Err(AttestorError::Pgp(index)),
        _ => return Err(AttestorError::KeyKind(index)),
    };
    let of_key = |cause| AttestorError::Key { index, cause };
    let algorithm = Algorithm::parse(&pkix.signature_algorithm).map_err(of_key)?;
    let key = PublicKey::from_pem(&pkix.public_key_pem, algorithm).map_err(of_key)?;
    let id = match document.id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => KeyId::parse(id).map_err(of_key)?,
        None => key.default_id(),
    };
    if pkix.key_id.as_deref().is_some_and(|key_id| !key_id.is_empty() && key_id != id.as_str()) {
        return Err(AttestorError::KeyIdDiffers(index));
    }
    Ok(AttestorKey { id, key })
}

#[cfg(test)]
mod tests {
    use super::super::key::tests::{P256_ID, P256_PEM};
    use super::*;

    fn document(keys: &serde_json::Value) -> Vec<u8> {
        serde_json::json!({
            "name": "projects/acme-sec/attestors/built-by-ci",
            "userOwnedGrafeasNote": {"noteReference": "projects/acme-sec/notes/built-by-ci", "publicKeys": keys},
        })
        .to_string()
        .into_bytes()
    }

    fn key(algorithm: &str, id: Option<&str>) -> serde_json::Value {
        serde_json::json!({"id": id, "pkixPublicKey": {"publicKeyPem": P256_PEM, "signatureAlgorithm": algorithm}})
    }

    fn parse(keys: &serde_json::Value) -> Result<Attestor, AttestorError> {
        Attestor::parse(&document(keys), Format::Json)
    }

    #[test]
    fn keys_and_ids() {
        let attestor =
            parse(&serde_json::json!([key("ECDSA_P256_SHA256", None), key("ecdsa-p256-sha256", Some("k2"))]))
                .unwrap();
        assert_eq!(attestor.keys().iter().map(|k| k.id.as_str()).collect::<Vec<_>>(), [P256_ID, "k2"]);
        assert!(attestor.key(P256_ID).is_some() && attestor.key("K2").is_none());
        assert!(parse(&serde_json::json!([])).unwrap().keys().is_empty());
    }

    #[test]
    fn refused() {
        let good = || key("ECDSA_P256_SHA256", None);
        let rows = [
            (serde_json::json!([good(), good()]), "there twice"),
            (
                serde_json::json!([key("ECDSA_P384_SHA384", None)]),
                "is ECDSA_P384_SHA384, but the key is EC P-256",
            ),
            (
                serde_json::json!([key("RSA_SIGN_PKCS1_2048_SHA256", None)]),
                "publicKeys[0]: signatureAlgorithm is RSA_SIGN_PKCS1_2048_SHA256, but the key is EC P-256",
            ),
            (serde_json::json!([key("SIGNATURE_ALGORITHM_UNSPECIFIED", None)]), "expected one of RSA_PSS"),
            (serde_json::json!([key("nonsense", None)]), "not a signature algorithm"),
            (serde_json::json!([key("ECDSA_P256_SHA256", Some("a b"))]), "not a key id"),
            (serde_json::json!([{"id": "x"}]), "exactly one of"),
            (serde_json::json!([{"id": "x", "asciiArmoredPgpPublicKey": "y"}]), "OpenPGP"),
            (serde_json::json!([{"id": "x", "unknown": "y"}]), "unknown field"),
            (
                serde_json::json!([{"id": "x", "pkixPublicKey": {"publicKeyPem": P256_PEM,
                    "signatureAlgorithm": "ECDSA_P256_SHA256", "keyId": "y"}}]),
                "`keyId` must be blank",
            ),
        ];
        for (keys, part) in rows {
            let error = parse(&keys).unwrap_err().to_string();
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }
}
