//! Attestor documents as they are written; what one means is an [`Attestor`](super::Attestor).

use serde::{Deserialize, Serialize};

use crate::document;

/// `Attestor`. Members may be spelled as in JSON or as in the proto.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttestorDocument {
    /// `projects/P/attestors/A`.
    pub name: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// v1beta1 spells it `userOwnedDrydockNote`.
    #[serde(
        alias = "user_owned_grafeas_note",
        alias = "userOwnedDrydockNote",
        alias = "user_owned_drydock_note",
        deserialize_with = "document::object"
    )]
    pub user_owned_grafeas_note: NoteDocument,
    /// Ours: a simple-signing payload counts only where its docker-reference is that of the image.
    #[serde(
        default,
        alias = "binauthd_require_docker_reference",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub binauthd_require_docker_reference: bool,
    /// Ours: in-toto statements count only with one of these predicate types.
    #[serde(
        default,
        alias = "binauthd_predicate_types",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "document::given"
    )]
    pub binauthd_predicate_types: Option<Vec<String>>,
    /// Output only in Google's API; carried along.
    #[serde(default, alias = "update_time", skip_serializing_if = "Option::is_none")]
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
    #[serde(alias = "note_reference")]
    pub note_reference: String,
    /// None at all: nobody can satisfy this attestor.
    #[serde(default, alias = "public_keys", deserialize_with = "document::objects")]
    pub public_keys: Vec<KeyDocument>,
    /// Carried along.
    #[serde(default, alias = "delegation_service_account_email", skip_serializing_if = "Option::is_none")]
    pub delegation_service_account_email: Option<String>,
}

/// `AttestorPublicKey`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyDocument {
    /// Computed from the key when absent; of an OpenPGP key always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// A PKIX key.
    #[serde(
        default,
        alias = "pkix_public_key",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "document::maybe_object"
    )]
    pub pkix_public_key: Option<PkixDocument>,
    /// One OpenPGP certificate, as `gpg --export --armor` writes it.
    #[serde(default, alias = "ascii_armored_pgp_public_key", skip_serializing_if = "Option::is_none")]
    pub ascii_armored_pgp_public_key: Option<String>,
}

/// `PkixPublicKey`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PkixDocument {
    /// One `BEGIN PUBLIC KEY` block.
    #[serde(alias = "public_key_pem")]
    pub public_key_pem: String,
    /// Such as `ECDSA_P256_SHA256`.
    #[serde(alias = "signature_algorithm")]
    pub signature_algorithm: String,
    /// Blank or equal to the id beside it.
    #[serde(default, alias = "key_id", skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}
