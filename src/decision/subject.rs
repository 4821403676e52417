//! What is judged: an image by its digests, by its name where it has one, and where it is to run.

use crate::image::reference::without_scheme;
use crate::image::{Digest, DigestKind, Reference, ReferenceError, Workload};
use crate::policy::Subjects;
use crate::text::shown;

const MAX_SHOWN: usize = 512;

/// The thing a verdict is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    image: String,
    name: Option<Reference>,
    /// Of the image itself: all lead to the same bytes.
    digests: Vec<(Digest, DigestKind)>,
    config: Option<Digest>,
    workload: Workload,
}

/// Why a text is not a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// The reference does not parse.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The name pins another digest than those that were resolved.
    #[error("the name pins {pinned}, but {resolved} is what it is of")]
    Contradiction {
        /// In the name.
        pinned: Digest,
        /// As resolved.
        resolved: Digest,
    },
}

impl Subject {
    /// An image as somebody writes it, with or without `https://`, tag and digest.
    ///
    /// # Errors
    /// [`SubjectError::Reference`].
    pub fn named(text: &str) -> Result<Self, SubjectError> {
        let reference = Reference::parse(without_scheme(text))?;
        let digests = reference.digest().map(|digest| (digest, DigestKind::Unknown)).into_iter().collect();
        Ok(Self {
            image: shown(text, MAX_SHOWN),
            name: Some(reference),
            digests,
            config: None,
            workload: Workload::default(),
        })
    }

    /// An image being pulled: `digests` are what `name` resolved to, and all lead to the same bytes. A text
    /// that is no reference, such as an image id, leaves the subject without a name; no pattern matches it.
    ///
    /// # Errors
    /// [`SubjectError::Contradiction`] where the name pins another digest.
    pub fn pulled(name: &str, digests: &[(Digest, DigestKind)]) -> Result<Self, SubjectError> {
        let unresolved = Self {
            image: shown(name, MAX_SHOWN),
            name: Reference::parse(name).ok(),
            digests: Vec::new(),
            config: None,
            workload: Workload::default(),
        };
        unresolved.with_digests(digests)
    }

    /// The same, known by these digests: of its index, of the platform manifest that the index leads to, or
    /// both. Whoever calls this has seen that they lead to the same bytes.
    ///
    /// # Errors
    /// [`SubjectError::Contradiction`] where the name pins none of them.
    pub fn with_digests(mut self, digests: &[(Digest, DigestKind)]) -> Result<Self, SubjectError> {
        let pinned = self.name.as_ref().and_then(Reference::digest);
        if let (Some(pinned), Some(&(resolved, _))) = (pinned, digests.first())
            && !digests.iter().any(|(digest, _)| *digest == pinned)
        {
            return Err(SubjectError::Contradiction { pinned, resolved });
        }
        self.digests = digests.to_vec();
        Ok(self)
    }

    /// The same with the digest of its config, which the deny list may name.
    #[must_use]
    pub fn with_config(mut self, config: Option<Digest>) -> Self {
        self.config = config;
        self
    }

    /// The same in a pod of which this is known.
    #[must_use]
    pub fn in_workload(mut self, workload: Workload) -> Self {
        self.workload = workload;
        self
    }

    /// The image as it was asked for, cut to 512 characters; for people.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.image
    }

    /// Its name, where it has one that counts.
    #[must_use]
    pub fn name(&self) -> Option<&Reference> {
        self.name.as_ref()
    }

    /// Its digest, where it has one: of the index, where several are known and one is of an index.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digests.iter().min_by_key(|(_, kind)| *kind).map(|(digest, _)| *digest)
    }

    /// Whether the name pins a digest, or there is no name that could have left it open.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.name.as_ref().is_none_or(|name| name.digest().is_some())
    }

    /// Those of its digests that an attestation may name.
    pub fn attestable(&self, subjects: Subjects) -> impl Iterator<Item = Digest> {
        self.digests.iter().filter(move |(_, kind)| subjects.include(*kind)).map(|(digest, _)| *digest)
    }

    /// Every digest that the deny list may name.
    pub fn deniable(&self) -> impl Iterator<Item = Digest> {
        self.digests.iter().map(|(digest, _)| *digest).chain(self.config)
    }

    /// Where it is to run, as far as that is known.
    #[must_use]
    pub fn workload(&self) -> &Workload {
        &self.workload
    }
}
