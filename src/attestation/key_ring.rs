//! The attestors that are in force together, what is asked of each, and what counts as an attestation,
//! under one version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attestor::{Attestor, Filing};
use super::name::AttestorName;
use super::payload;
use crate::document::Version;
use crate::image::Digest;

/// All attestors by name. Two documents that define one name cancel each other: which of them should
/// count is nobody's to guess, so nothing satisfies that attestor until one is gone.
#[derive(Debug, Clone)]
pub struct KeyRing {
    entries: BTreeMap<AttestorName, Entry>,
    /// `None` asks approvals of all.
    asked: Option<Asked>,
    dsse_types: Arc<[String]>,
    version: Version,
    identity: Digest,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub enum Entry {
    /// One document defines it.
    Defined(Attestor),
    /// Several do.
    Ambiguous,
}

/// What is asked, and of whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Whether they have attested a digest.
    pub approvals: BTreeSet<AttestorName>,
    /// What they have stated about it.
    pub statements: BTreeSet<AttestorName>,
}

impl KeyRing {
    /// Puts attestors together. Signatures count over a payload as it is, and over its PAE under
    /// [`payload::MEDIA_TYPE`].
    #[must_use]
    pub fn new(attestors: impl IntoIterator<Item = Attestor>) -> Self {
        Self::accepting(attestors, &[payload::MEDIA_TYPE.to_owned()])
    }

    /// The same with these payload types for PAE and for envelopes that hold a simple-signing payload.
    #[must_use]
    pub fn accepting(attestors: impl IntoIterator<Item = Attestor>, dsse_types: &[String]) -> Self {
        let mut entries = BTreeMap::new();
        for attestor in attestors {
            entries
                .entry(attestor.name().clone())
                .and_modify(|entry| *entry = Entry::Ambiguous)
                .or_insert(Entry::Defined(attestor));
        }
        let text = text_of(&entries, dsse_types, None);
        let (version, identity) = (Version::of(&text), Digest::of(&text));
        Self { entries, asked: None, dsse_types: dsse_types.into(), version, identity }
    }

    /// The part that is `asked`, and authorities that no document defines, under the version of the whole.
    #[must_use]
    pub fn narrowed<'a>(&self, asked: Asked, inline: impl IntoIterator<Item = &'a Attestor>) -> Self {
        let named = asked.approvals.union(&asked.statements);
        let entries: BTreeMap<_, _> = named
            .filter_map(|name| self.entries.get_key_value(name))
            .map(|(name, entry)| (name.clone(), entry.clone()))
            .chain(inline.into_iter().map(|one| (one.name().clone(), Entry::Defined(one.clone()))))
            .collect();
        let text = text_of(&entries, &self.dsse_types, Some(&asked));
        let text = [self.identity.to_string().into_bytes(), text].concat();
        Self {
            entries,
            asked: Some(asked),
            dsse_types: Arc::clone(&self.dsse_types),
            version: self.version.clone(),
            identity: Digest::of(&text),
        }
    }

    /// Changes whenever a name, note, key id or key does, and not with comments. For people: short enough
    /// that whoever chooses keys could find two rings with one version. What must tell rings apart
    /// compares [`Self::identity`].
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The same in full.
    #[must_use]
    pub fn identity(&self) -> Digest {
        self.identity
    }

    /// Where those who are asked file what they attest.
    pub fn filings(&self) -> impl Iterator<Item = &Filing> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Defined(attestor) => Some(attestor.filing()),
            Entry::Ambiguous => None,
        })
    }

    /// What `name` stands for.
    #[must_use]
    pub fn entry(&self, name: &AttestorName) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Payload types under which a simple-signing payload counts.
    #[must_use]
    pub fn dsse_types(&self) -> &[String] {
        &self.dsse_types
    }

    /// Whether it is asked if this attestor has attested.
    pub(super) fn approves(&self, name: &AttestorName) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked.approvals.contains(name))
    }

    /// Whether it is asked what this attestor has stated.
    pub(super) fn states(&self, name: &AttestorName) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.statements.contains(name))
    }

    /// Why nothing can satisfy `name`, if so.
    #[must_use]
    pub fn hindrance(&self, name: &AttestorName) -> Option<Hindrance> {
        match self.entry(name) {
            None => Some(Hindrance::Missing(name.clone())),
            Some(Entry::Ambiguous) => Some(Hindrance::Ambiguous(name.clone())),
            Some(Entry::Defined(attestor)) if attestor.keys().is_empty() => {
                Some(Hindrance::WithoutKeys(name.clone()))
            }
            Some(Entry::Defined(_)) => None,
        }
    }

    /// Every name with what it stands for, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&AttestorName, &Entry)> {
        self.entries.iter()
    }
}

/// Why nothing can satisfy an attestor that is required.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hindrance {
    /// Nobody defines it.
    #[error("no document defines attestor `{0}`")]
    Missing(AttestorName),
    /// Several documents do.
    #[error("several documents define attestor `{0}`: leave one of them")]
    Ambiguous(AttestorName),
    /// It has no keys.
    #[error("attestor `{0}` has no keys")]
    WithoutKeys(AttestorName),
}

impl Default for KeyRing {
    fn default() -> Self {
        Self::new([])
    }
}

/// Everything that a finding depends on, each field behind its length.
fn text_of(entries: &BTreeMap<AttestorName, Entry>, dsse_types: &[String], asked: Option<&Asked>) -> Vec<u8> {
    let mut text = Text::default();
    text.list(dsse_types.iter().map(String::as_bytes));
    for (name, entry) in entries {
        text.field(name.as_str().as_bytes());
        match entry {
            Entry::Defined(attestor) => text.attestor(attestor),
            Entry::Ambiguous => text.field(b"ambiguous"),
        }
    }
    for names in asked.into_iter().flat_map(|asked| [&asked.approvals, &asked.statements]) {
        text.list(names.iter().map(|name| name.as_str().as_bytes()));
    }
    text.0
}

#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    fn field(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn list<'a>(&mut self, items: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.field(&(items.len() as u64).to_be_bytes());
        items.for_each(|item| self.field(item));
    }

    fn attestor(&mut self, attestor: &Attestor) {
        match attestor.filing() {
            Filing::Note(note) => {
                self.field(b"note");
                self.field(note.as_str().as_bytes());
            }
            Filing::Projects(projects) => {
                self.field(b"projects");
                self.list(projects.iter().map(String::as_bytes));
            }
        }
        self.field(&[u8::from(attestor.compares_docker_reference())]);
        let types = attestor.predicate_types();
        self.field(&[u8::from(types.is_some())]);
        self.list(types.unwrap_or_default().iter().map(String::as_bytes));
        self.field(&(attestor.keys().len() as u64).to_be_bytes());
        for key in attestor.keys() {
            self.field(key.id.as_str().as_bytes());
            self.field(key.key.kind().as_bytes());
            self.field(key.key.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::attestor::PkixDocument;
    use super::super::key::tests::P256_PEM;
    use super::*;
    use crate::document::Format;

    #[test]
    fn whatever_changes_what_counts_changes_the_identity() {
        let of_note = |extra: &str| {
            let text = format!(
                r#"{{"name":"projects/p/attestors/a","userOwnedGrafeasNote":{{"noteReference":"projects/p/notes/n"}}{extra}}}"#
            );
            Attestor::parse(text.as_bytes(), Format::Json).unwrap()
        };
        let key = PkixDocument {
            public_key_pem: P256_PEM.to_owned(),
            signature_algorithm: "ECDSA_P256_SHA256".to_owned(),
            key_id: None,
        };
        let of_projects = |projects: &[&str]| {
            let projects = projects.iter().map(ToString::to_string).collect();
            Attestor::inline(
                AttestorName::inline("checkSets[0].checks[0]"),
                projects,
                std::slice::from_ref(&key),
            )
            .unwrap()
        };
        let rings = [
            of_note(""),
            of_note(r#","binauthdRequireDockerReference":true"#),
            of_note(r#","binauthdPredicateTypes":["a:b"]"#),
            of_note(r#","binauthdPredicateTypes":["a:b","c:d"]"#),
            of_projects(&["p"]),
            of_projects(&["p", "q"]),
            of_projects(&["pq"]),
        ]
        .map(|attestor| KeyRing::new([attestor]).identity());
        for (place, one) in rings.iter().enumerate() {
            assert!(!rings.iter().skip(place + 1).any(|other| one == other), "{place}");
        }
    }
}
