//! The attestors that are in force together, under one version.

use std::collections::BTreeMap;

use super::attestor::Attestor;
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
        field(attestor.note().as_str().as_bytes());
        field(&(attestor.keys().len() as u64).to_be_bytes());
        for key in attestor.keys() {
            field(key.id.as_str().as_bytes());
            field(key.key.algorithm().as_str().as_bytes());
            field(key.key.der());
        }
    }
    text
}
