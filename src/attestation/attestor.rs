//! Attestor documents (Binary Authorization `resources.proto`, `Attestor`): one trusted party, the
//! note its attestations hang on, and its keys.

use std::collections::{HashMap, HashSet};

mod document;

use super::algorithm::Algorithm;
use super::key::{KeyError, KeyId, PublicKey};
use super::name::{AttestorName, NameError, NoteName};
use super::pgp::{Certificate, PgpError};
use crate::document::{DocumentError, Format, Object};

pub use document::{AttestorDocument, KeyDocument, NoteDocument, PkixDocument};

/// The most keys one attestor may have (Binary Authorization's quota).
pub const MAX_KEYS: usize = 1000;
/// The most predicate types one attestor may be held to.
const MAX_PREDICATE_TYPES: usize = 64;
const MAX_PREDICATE_TYPE: usize = 1024;

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
    /// An OpenPGP certificate that is refused, by its place in the list.
    #[error("publicKeys[{index}]: {cause}")]
    Pgp {
        /// From 0.
        index: usize,
        /// What is wrong with it.
        cause: PgpError,
    },
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
    /// No predicate type at all, or too many: the first would accept no statement.
    #[error(
        "binauthdPredicateTypes: {0} types, expected 1 to {MAX_PREDICATE_TYPES}: leave it out for any type"
    )]
    PredicateTypes(usize),
    /// Not a URI.
    #[error("binauthdPredicateTypes: `{0}` is not a URI")]
    PredicateType(String),
}

/// One key under the id that signatures name it by.
#[derive(Debug, Clone)]
pub struct AttestorKey {
    /// Matched to the letter.
    pub id: KeyId,
    /// What checks the signature.
    pub key: Key,
}

/// A key of either kind.
#[derive(Debug, Clone)]
pub enum Key {
    /// With the one algorithm it is for.
    Pkix(PublicKey),
    /// With the subkeys that sign for it.
    Pgp(Box<Certificate>),
}

impl Key {
    /// The algorithm's name, or `OpenPGP`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pkix(key) => key.algorithm().as_str(),
            Self::Pgp(_) => "OpenPGP",
        }
    }

    /// What identifies it: a DER SubjectPublicKeyInfo, or the packets of a certificate.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Pkix(key) => key.der(),
            Self::Pgp(certificate) => certificate.bytes(),
        }
    }

    /// Whether `signature` by itself is this key's over `message`; never of an OpenPGP key, whose
    /// signatures hold their message.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        matches!(self, Self::Pkix(key) if key.verifies(message, signature))
    }
}

/// Where the occurrences of an attestor are filed. A store can file anything anywhere, so this chooses
/// what is looked at and proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filing {
    /// Under its note.
    Note(NoteName),
    /// In any of these projects (their ids), under any note.
    Projects(Vec<String>),
}

impl Filing {
    /// Whether an occurrence of this name, under `note`, is filed here. Its project is that of its own
    /// name (`projects/P/occurrences/ID`), or where that has none, of its note.
    #[must_use]
    pub fn holds(&self, note: &str, occurrence_name: &str) -> bool {
        match self {
            Self::Note(ours) => ours.as_str() == note,
            Self::Projects(ours) => is_filed_in(ours, note, occurrence_name),
        }
    }
}

/// Whether an occurrence of this name, under `note`, is filed in one of these projects.
fn is_filed_in(projects: &[String], note: &str, occurrence_name: &str) -> bool {
    project_of_occurrence(note, occurrence_name)
        .is_some_and(|project| projects.iter().any(|one| one == project))
}

pub(in crate::attestation) fn project_of_occurrence<'a>(note: &'a str, name: &'a str) -> Option<&'a str> {
    project_of(name, "occurrences").or_else(|| project_of(note, "notes"))
}

fn project_of<'a>(name: &'a str, collection: &str) -> Option<&'a str> {
    let (project, rest) = name.strip_prefix("projects/")?.split_once('/')?;
    let id = rest.strip_prefix(collection)?.strip_prefix('/')?;
    (!project.is_empty() && !id.is_empty()).then_some(project)
}

/// A trusted party.
#[derive(Debug, Clone)]
pub struct Attestor {
    name: AttestorName,
    filing: Filing,
    keys: Vec<AttestorKey>,
    /// Places in `keys`, in the order of key ids.
    by_id: Box<[usize]>,
    compares_docker_reference: bool,
    predicate_types: Option<Vec<String>>,
}

impl Attestor {
    /// Reads an attestor document.
    ///
    /// # Errors
    /// See [`AttestorError`]; one refused key refuses the document.
    pub fn parse(bytes: &[u8], format: Format) -> Result<Self, AttestorError> {
        let Object(document): Object<AttestorDocument> = crate::document::parse(bytes, format)?;
        document.try_into()
    }

    /// An attestor that a check defines in its place: one with these keys, whose attestations lie in any of
    /// `projects` (their ids). A key may be there several times, but not two keys under one id.
    ///
    /// # Errors
    /// [`AttestorError`]; one refused key refuses the attestor.
    pub fn inline(
        name: AttestorName,
        projects: Vec<String>,
        documents: &[PkixDocument],
    ) -> Result<Self, AttestorError> {
        if documents.len() > MAX_KEYS {
            return Err(AttestorError::TooManyKeys(documents.len()));
        }
        let mut keys: Vec<AttestorKey> = Vec::with_capacity(documents.len());
        let mut places: HashMap<KeyId, usize> = HashMap::new();
        for (index, document) in documents.iter().enumerate() {
            let key = read_pkix_key(index, document.key_id.as_deref(), document)?;
            match places.get(&key.id).and_then(|place| keys.get(*place)) {
                Some(same) if same.is_same(&key) => continue,
                Some(_) => return Err(AttestorError::DuplicateKeyId { index, id: key.id }),
                None => places.insert(key.id.clone(), keys.len()),
            };
            keys.push(key);
        }
        let by_id = in_order_of_ids(&keys);
        let filing = Filing::Projects(projects);
        // Simple signing is all that such a check asks for: no statement counts.
        let predicate_types = Some(Vec::new());
        Ok(Self { name, filing, keys, by_id, compares_docker_reference: false, predicate_types })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &AttestorName {
        &self.name
    }

    /// Where its attestations are filed.
    #[must_use]
    pub fn filing(&self) -> &Filing {
        &self.filing
    }

    /// The note its attestations hang on; one that a check defines has none.
    #[must_use]
    pub fn note(&self) -> Option<&NoteName> {
        match &self.filing {
            Filing::Note(note) => Some(note),
            Filing::Projects(_) => None,
        }
    }

    /// Whether the docker-reference of a payload must be that of the image.
    #[must_use]
    pub fn compares_docker_reference(&self) -> bool {
        self.compares_docker_reference
    }

    /// The predicate types that count in statements; `None` for any.
    #[must_use]
    pub fn predicate_types(&self) -> Option<&[String]> {
        self.predicate_types.as_deref()
    }

    /// Its keys; empty means that nothing satisfies it.
    #[must_use]
    pub fn keys(&self) -> &[AttestorKey] {
        &self.keys
    }

    /// The key a signature names.
    #[must_use]
    pub fn key(&self, id: &str) -> Option<&AttestorKey> {
        self.keys.get(self.place_of(id)?)
    }

    /// The place of that key among [`Self::keys`].
    pub(super) fn place_of(&self, id: &str) -> Option<usize> {
        let id_at = |place: &usize| self.keys.get(*place).map_or("", |key| key.id.as_str());
        let found = self.by_id.binary_search_by(|place| id_at(place).cmp(id)).ok()?;
        self.by_id.get(found).copied()
    }
}

impl AttestorKey {
    fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.key.kind() == other.key.kind() && self.key.bytes() == other.key.bytes()
    }
}

fn in_order_of_ids(keys: &[AttestorKey]) -> Box<[usize]> {
    let mut by_id: Vec<_> = keys.iter().map(|key| &key.id).enumerate().collect();
    by_id.sort_by_key(|(_, id)| *id);
    by_id.into_iter().map(|(place, _)| place).collect()
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
        let mut ids = HashSet::new();
        for (index, document) in note.public_keys.iter().enumerate() {
            let key = read_key(index, document)?;
            if !ids.insert(key.id.clone()) {
                return Err(AttestorError::DuplicateKeyId { index, id: key.id });
            }
            keys.push(key);
        }
        let by_id = in_order_of_ids(&keys);
        Ok(Self {
            name,
            filing: Filing::Note(note_name),
            keys,
            by_id,
            compares_docker_reference: document.binauthd_require_docker_reference,
            predicate_types: document.binauthd_predicate_types.map(read_predicate_types).transpose()?,
        })
    }
}

fn read_predicate_types(types: Vec<String>) -> Result<Vec<String>, AttestorError> {
    if !(1..=MAX_PREDICATE_TYPES).contains(&types.len()) {
        return Err(AttestorError::PredicateTypes(types.len()));
    }
    // A scheme and something behind it (RFC 3986, 3); compared to the letter, so no more is asked.
    let is_uri = |text: &str| {
        text.len() <= MAX_PREDICATE_TYPE
            && text.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty())
            && !text.chars().any(|c| c.is_whitespace() || c.is_control())
    };
    match types.iter().find(|text| !is_uri(text)) {
        Some(other) => Err(AttestorError::PredicateType(other.chars().take(120).collect())),
        None => Ok(types),
    }
}

fn read_key(index: usize, document: &KeyDocument) -> Result<AttestorKey, AttestorError> {
    match (&document.pkix_public_key, &document.ascii_armored_pgp_public_key) {
        (Some(pkix), None) => {
            let key = read_pkix_key(index, document.id.as_deref(), pkix)?;
            match given(pkix.key_id.as_deref()) {
                Some(key_id) if key_id != key.id.as_str() => Err(AttestorError::KeyIdDiffers(index)),
                _ => Ok(key),
            }
        }
        // Its id is its fingerprint, whatever the document says, as in Google's API.
        (None, Some(armored)) => {
            let certificate =
                Certificate::parse(armored).map_err(|cause| AttestorError::Pgp { index, cause })?;
            Ok(AttestorKey { id: certificate.key_id().clone(), key: Key::Pgp(Box::new(certificate)) })
        }
        _ => Err(AttestorError::KeyKind(index)),
    }
}

fn read_pkix_key(
    index: usize,
    id: Option<&str>,
    document: &PkixDocument,
) -> Result<AttestorKey, AttestorError> {
    let of_key = |cause| AttestorError::Key { index, cause };
    let algorithm = Algorithm::parse(&document.signature_algorithm).map_err(of_key)?;
    let key = PublicKey::from_pem(&document.public_key_pem, algorithm).map_err(of_key)?;
    let id = match given(id) {
        Some(id) => KeyId::parse(id).map_err(of_key)?,
        None => key.default_id(),
    };
    Ok(AttestorKey { id, key: Key::Pkix(key) })
}

fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
