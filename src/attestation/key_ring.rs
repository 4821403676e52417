//! The attestors that are in force together, under one version.

use std::collections::BTreeMap;

use super::attestor::{Attestor, Filing};
use super::name::AttestorName;
use crate::document::Version;
use crate::image::Digest;

/// All attestors by name. Two documents that define one name cancel each other: which of them should
/// count is nobody's to guess, so nothing satisfies that attestor until one is gone.
#[derive(Debug, Clone)]
pub struct KeyRing {
    entries: BTreeMap<AttestorName, Entry>,
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

impl KeyRing {
    /// Puts attestors together.
    #[must_use]
    pub fn new(attestors: impl IntoIterator<Item = Attestor>) -> Self {
        let mut entries = BTreeMap::new();
        for attestor in attestors {
            entries
                .entry(attestor.name().clone())
                .and_modify(|entry| *entry = Entry::Ambiguous)
                .or_insert(Entry::Defined(attestor));
        }
        let text = text_of(&entries);
        Self { entries, version: Version::of(&text), identity: Digest::of(&text) }
    }

    /// The part that `names` stand for, under the version of the whole.
    #[must_use]
    pub fn narrowed<'a>(&self, names: impl IntoIterator<Item = &'a AttestorName>) -> Self {
        let entries: BTreeMap<_, _> = names
            .into_iter()
            .filter_map(|name| self.entries.get_key_value(name))
            .map(|(n, e)| (n.clone(), e.clone()))
            .collect();
        let text = [self.identity.to_string().into_bytes(), text_of(&entries)].concat();
        Self { entries, version: self.version.clone(), identity: Digest::of(&text) }
    }

    /// Changes whenever a name, filing, key id, key or what counts for an attestor does, and not with comments. For people: short enough
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

    /// What `name` stands for.
    #[must_use]
    pub fn entry(&self, name: &AttestorName) -> Option<&Entry> {
        self.entries.get(name)
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

fn text_of(entries: &BTreeMap<AttestorName, Entry>) -> Vec<u8> {
    let mut text = Vec::new();
    let mut field = |bytes: &[u8]| {
        text.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        text.extend_from_slice(bytes);
    };
    for (name, entry) in entries {
        field(name.as_str().as_bytes());
        let Entry::Defined(attestor) = entry else {
            field(b"ambiguous");
            continue;
        };
        match attestor.filing() {
            Filing::Note(note) => {
                field(b"note");
                field(note.as_str().as_bytes());
            }
            Filing::Projects(projects) => {
                field(b"projects");
                field(&(projects.len() as u64).to_be_bytes());
                projects.iter().for_each(|project| field(project.as_bytes()));
            }
        }
        field(&[u8::from(attestor.compares_docker_reference())]);
        match attestor.predicate_types() {
            None => field(b"any"),
            Some(types) => {
                field(b"types");
                field(&(types.len() as u64).to_be_bytes());
                types.iter().for_each(|one| field(one.as_bytes()));
            }
        }
        field(&(attestor.keys().len() as u64).to_be_bytes());
        for key in attestor.keys() {
            field(key.id.as_str().as_bytes());
            field(key.key.algorithm().as_str().as_bytes());
            field(key.key.der());
        }
    }
    text
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
                r#"{{"name":"projects/p/attestors/a","userOwnedGrafeasNote":{{"noteReference":"projects/p/notes/n"{extra}}}}}"#
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
