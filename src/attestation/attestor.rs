//! Attestor documents (Binary Authorization `resources.proto`, `Attestor`): one trusted party, the
//! note its attestations hang on, and its keys.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::key::{Algorithm, KeyError, KeyId, PublicKey};
use super::name::{AttestorName, NameError, NoteName};
use crate::document::{self, DocumentError, Format};

/// The most keys one attestor may have (Binary Authorization's quota).
pub const MAX_KEYS: usize = 1000;
/// The most predicate types one attestor may be held to.
const MAX_PREDICATE_TYPES: usize = 64;
const MAX_PREDICATE_TYPE: usize = 1024;

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
    /// Ours: a simple-signing payload counts only where its docker-reference is that of the image.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub binauthd_require_docker_reference: bool,
    /// Ours: in-toto statements count only with one of these predicate types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binauthd_predicate_types: Option<Vec<String>>,
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
    #[serde(alias = "public_key_pem")]
    pub public_key_pem: String,
    /// Such as `ECDSA_P256_SHA256`.
    #[serde(alias = "signature_algorithm")]
    pub signature_algorithm: String,
    /// In an attestor document blank or equal to the id beside it; in a check, the id.
    #[serde(default, alias = "key_id", skip_serializing_if = "Option::is_none")]
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
    pub key: PublicKey,
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
            Self::Projects(ours) => project_of(occurrence_name, "occurrences")
                .or_else(|| project_of(note, "notes"))
                .is_some_and(|project| ours.iter().any(|one| one == project)),
        }
    }
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
        document::parse::<AttestorDocument>(bytes, format)?.try_into()
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
        Ok(Self { name, filing, keys, by_id, compares_docker_reference: false, predicate_types: None })
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
        let id_at = |place: &usize| self.keys.get(*place).map_or("", |key| key.id.as_str());
        let found = self.by_id.binary_search_by(|place| id_at(place).cmp(id)).ok()?;
        self.keys.get(*self.by_id.get(found)?)
    }
}

impl AttestorKey {
    fn is_same(&self, other: &Self) -> bool {
        self.id == other.id
            && self.key.algorithm() == other.key.algorithm()
            && self.key.der() == other.key.der()
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
            compares_docker_reference: note.binauthd_require_docker_reference,
            predicate_types: note.binauthd_predicate_types.map(read_predicate_types).transpose()?,
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
    let pkix = match (&document.pkix_public_key, &document.ascii_armored_pgp_public_key) {
        (Some(pkix), None) => pkix,
        (None, Some(_)) => return Err(AttestorError::Pgp(index)),
        _ => return Err(AttestorError::KeyKind(index)),
    };
    let key = read_pkix_key(index, document.id.as_deref(), pkix)?;
    if given(pkix.key_id.as_deref()).is_some_and(|key_id| key_id != key.id.as_str()) {
        return Err(AttestorError::KeyIdDiffers(index));
    }
    Ok(key)
}

fn read_pkix_key(
    index: usize,
    id: Option<&str>,
    document: &PkixDocument,
) -> Result<AttestorKey, AttestorError> {
    let of_key = |cause| AttestorError::Key { index, cause };
    let key = read_pkix(document).map_err(of_key)?;
    let id = match given(id) {
        Some(id) => KeyId::parse(id).map_err(of_key)?,
        None => key.default_id(),
    };
    Ok(AttestorKey { id, key })
}

fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// An algorithm that is declared but not verified is told apart from one that does not fit the key:
/// the second is the mistake to mend first.
fn read_pkix(pkix: &PkixDocument) -> Result<PublicKey, KeyError> {
    match Algorithm::parse(&pkix.signature_algorithm) {
        Ok(algorithm) => PublicKey::from_pem(&pkix.public_key_pem, algorithm),
        Err(KeyError::Unsupported(name)) => {
            let found = PublicKey::kind(&pkix.public_key_pem)?;
            match declared_kind(&name) {
                Some((declared, kind)) if kind != found => Err(KeyError::Mismatch { declared, found }),
                _ => Err(KeyError::Unsupported(name)),
            }
        }
        Err(error) => Err(error),
    }
}

fn declared_kind(name: &str) -> Option<(&'static str, &'static str)> {
    [
        ("ECDSA_P384_SHA384", "EC P-384"),
        ("EC_SIGN_P384_SHA384", "EC P-384"),
        ("ECDSA_P521_SHA512", "EC P-521"),
        ("EC_SIGN_P521_SHA512", "EC P-521"),
        ("ML_DSA_65", "ML-DSA-65"),
    ]
    .into_iter()
    .find(|(declared, _)| *declared == name)
}

#[cfg(test)]
mod tests {
    use super::super::key::tests::{P256_ID, P256_PEM};
    use super::*;

    const GOOGLE_PEM: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXnpuYEfvLl1kj4fjxViFRwY1a+zC5qzlf9LJIK+rnjq42tiKGyyXMbnZKJiYPPdMDGyltnkrABnztg2jJ48aYQ==
-----END PUBLIC KEY-----
";

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
            (serde_json::json!([key("RSA_SIGN_PKCS1_2048_SHA256", None)]), "not verified by this version"),
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

    #[test]
    fn what_else_counts() {
        let read = |extra: serde_json::Value| {
            let mut note = serde_json::json!({"noteReference": "projects/acme-sec/notes/n"});
            note.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            let document =
                serde_json::json!({"name": "projects/acme-sec/attestors/a", "userOwnedGrafeasNote": note});
            Attestor::parse(document.to_string().as_bytes(), Format::Json)
        };
        let plain = read(serde_json::json!({})).unwrap();
        assert!(!plain.compares_docker_reference() && plain.predicate_types().is_none());
        let types = ["https://slsa.dev/provenance/v1", "urn:x"];
        let strict = read(serde_json::json!({"binauthdRequireDockerReference": true,
            "binauthdPredicateTypes": types}))
        .unwrap();
        assert!(strict.compares_docker_reference());
        assert_eq!(strict.predicate_types().unwrap(), types);
        let rows = [
            (serde_json::json!([]), "0 types"),
            (serde_json::json!(vec!["a:b"; 65]), "65 types"),
            (serde_json::json!(["provenance"]), "`provenance` is not a URI"),
            (serde_json::json!(["https://a b"]), "is not a URI"),
        ];
        for (types, part) in rows {
            let error = read(serde_json::json!({"binauthdPredicateTypes": types})).unwrap_err().to_string();
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }

    #[test]
    fn defined_by_a_check() {
        let key = |id: Option<&str>, algorithm: &str| PkixDocument {
            public_key_pem: P256_PEM.to_owned(),
            signature_algorithm: algorithm.to_owned(),
            key_id: id.map(str::to_owned),
        };
        let inline = |keys: &[PkixDocument]| {
            Attestor::inline(AttestorName::inline("checkSets[0].checks[1]"), vec!["acme".into()], keys)
        };
        let plain = "ECDSA_P256_SHA256";
        let attestor =
            inline(&[key(None, plain), key(Some("k2"), plain), key(Some(""), "EC_SIGN_P256_SHA256")])
                .unwrap();
        assert_eq!(attestor.keys().iter().map(|k| k.id.as_str()).collect::<Vec<_>>(), [P256_ID, "k2"]);
        assert!(attestor.note().is_none() && attestor.key("k2").is_some());
        let other = GOOGLE_PEM.to_owned();
        let twice = [key(Some("k"), plain), PkixDocument { public_key_pem: other, ..key(Some("k"), plain) }];
        let error = inline(&twice).unwrap_err();
        assert!(matches!(error, AttestorError::DuplicateKeyId { index: 1, .. }), "{error}");
        assert!(matches!(inline(&vec![key(None, plain); 1001]), Err(AttestorError::TooManyKeys(1001))));
    }

    #[test]
    fn filed() {
        let note = Filing::Note("projects/p/notes/n".parse().unwrap());
        let projects = Filing::Projects(vec!["p".into(), "q".into()]);
        // Note, name of the occurrence, filed under the note, filed in the projects.
        let rows = [
            ("projects/p/notes/n", "projects/p/occurrences/1", true, true),
            ("projects/p/notes/n", "projects/x/occurrences/1", true, false),
            ("projects/x/notes/n", "projects/q/occurrences/1", false, true),
            ("projects/q/notes/n", "", false, true),
            ("projects/q/notes/n", "1.json", false, true),
            ("projects/x/notes/n", "1.json", false, false),
            ("projects/p/notes/n", "projects/p/notes/n", true, true),
            ("", "projects/pq/occurrences/1", false, false),
            ("", "projects/p/occurrences/", false, false),
            ("", "", false, false),
        ];
        for (under, name, of_note, of_projects) in rows {
            let found = (note.holds(under, name), projects.holds(under, name));
            assert_eq!(found, (of_note, of_projects), "{name} under {under}");
        }
    }
}
