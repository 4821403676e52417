//! What is judged: an image by its digest, and by its name where it has one.

use crate::image::reference::without_scheme;
use crate::image::{Digest, Reference, ReferenceError};
use crate::text::shown;

const MAX_SHOWN: usize = 512;

/// The thing a verdict is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    image: String,
    name: Option<Reference>,
    digest: Option<Digest>,
}

/// Why a text is not a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// The reference does not parse.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The name pins another digest than the one that was resolved.
    #[error("the name pins {pinned}, but {resolved} is being pulled")]
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
        let digest = reference.digest();
        Ok(Self { image: shown(text, MAX_SHOWN), name: Some(reference), digest })
    }

    /// An image being pulled: `digest` is what `name` resolved to. A text that is no reference, such as
    /// an image id, leaves the subject without a name; no pattern matches it.
    ///
    /// # Errors
    /// [`SubjectError::Contradiction`].
    pub fn pulled(name: &str, digest: Digest) -> Result<Self, SubjectError> {
        let reference = Reference::parse(name).ok();
        match reference.as_ref().and_then(Reference::digest) {
            Some(pinned) if pinned != digest => Err(SubjectError::Contradiction { pinned, resolved: digest }),
            _ => Ok(Self { image: shown(name, MAX_SHOWN), name: reference, digest: Some(digest) }),
        }
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

    /// Its digest, where it has one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }
}
