//! Signed policy bundles: the documents that decide, as one signed whole with a version. A format of this
//! project.
//!
//! A bundle is a DSSE envelope ([`Sealed`]) of type [`SEAL`] over one JSON object ([`Contents`]):
//!
//! ```json
//! {
//!   "project": "shop",
//!   "version": 7,
//!   "expires": "2027-01-01T00:00:00Z",
//!   "documents": {
//!     "policy": {"name": "policy.yaml", "text": "defaultAdmissionRule: …"},
//!     "platformPolicy": {"name": "platform.yaml", "text": "…"},
//!     "denyList": {"name": "deny.yaml", "text": "…"},
//!     "systemPolicy": {"name": "system-policy.yaml", "text": "…"},
//!     "attestors": [{"name": "ci.json", "text": "…"}]
//!   }
//! }
//! ```
//!
//! Documents are texts, not values: what is obeyed is what somebody wrote, byte for byte, under the version that
//! a file of it has, and read by its name's format as a file is. `policy` and `attestors` must be there.
//!
//! Nothing of the payload is read before a signature over it has held. Key ids in the envelope are hints: every
//! signature may be under any key. A bundle is taken whole or not at all: one document that is not valid refuses
//! all of it. Which version may follow which is [`Highest`]'s part; nobody here remembers anything.

mod contents;
#[cfg(test)]
pub(crate) mod tests;

use std::time::SystemTime;

pub use contents::{Contents, Member, Payload, PayloadDocuments, WrittenMember};

use super::Options;
use super::sealed::{Seal, SealKey, Sealed, SealedError};
use crate::attestation::{AttestorName, KeyId};
use crate::document::{self, DocumentError};
use crate::image::Digest;

/// What a bundle's envelope says that it is.
pub const SEAL: Seal =
    Seal { payload_type: "application/vnd.binauthd.policy-bundle.v1+json", key: "bundle key" };
/// The largest envelope, and the largest payload, in bytes.
pub const MAX_BYTES: usize = document::MAX_BYTES;
/// The most attestors of a bundle.
pub const MAX_ATTESTORS: usize = 1_000;
/// The longest name of a document, in bytes.
pub const MAX_NAME: usize = 255;

/// What a node asks of a bundle.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// One of them must have signed it.
    pub keys: &'a [SealKey],
    /// It must be of this project.
    pub project: &'a str,
    /// What its policy may contain.
    pub options: Options,
}

/// A bundle that somebody with a bundle key has signed. Made only by its two checks.
#[derive(Debug, Clone)]
pub struct Bundle {
    contents: Contents,
    signer: KeyId,
}

/// The highest version that was ever accepted: what a later one is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Highest {
    /// The version.
    pub version: u64,
    /// Of its payload.
    pub digest: Digest,
}

/// Why a bundle is refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Its envelope, or who signed it.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// What is signed is not what belongs there.
    #[error("its payload cannot be read: {0}")]
    Payload(DocumentError),
    /// Another project's.
    #[error("it is of project `{found}`, and this node obeys `{expected}`")]
    Project {
        /// Whose it is.
        found: String,
        /// Whose it must be.
        expected: String,
    },
    /// Not a version.
    #[error("its version is 0: versions begin with 1")]
    Version,
    /// Not a time.
    #[error("expires: `{0}` is not a time of RFC 3339, such as `2027-01-01T00:00:00Z`")]
    Expires(String),
    /// Its time is over.
    #[error("version {version} expired at {expires}: sign it again with a later time and a higher version")]
    Expired {
        /// Its version.
        version: u64,
        /// RFC 3339.
        expires: String,
    },
    /// A name that could not be a file's.
    #[error(
        "documents: `{0}` is not a name: expected that of a file, without `/`, of at most {MAX_NAME} bytes"
    )]
    Name(String),
    /// More than [`MAX_ATTESTORS`].
    #[error("documents.attestors: {0} documents, more than the {MAX_ATTESTORS} allowed")]
    TooManyAttestors(usize),
    /// One document that cannot be obeyed.
    #[error("its {what} `{name}` is refused: {cause}")]
    Document {
        /// Such as `deny list`.
        what: &'static str,
        /// Its name in the bundle.
        name: String,
        /// Why.
        cause: String,
    },
    /// Two documents of one attestor: it would be left to chance whose keys count.
    #[error("its documents `{first}` and `{second}` both define attestor `{attestor}`")]
    Twice {
        /// Who.
        attestor: AttestorName,
        /// The name of one.
        first: String,
        /// And of the other.
        second: String,
    },
    /// A step back.
    #[error(
        "version {version} is lower than {highest}, which was accepted before: sign it with a higher version, or, if \
         {highest} was a mistake, run `binauthctl trust reset --bundle` on the node"
    )]
    Older {
        /// Its version.
        version: u64,
        /// The highest that was accepted.
        highest: u64,
    },
    /// Two bundles of one version.
    #[error(
        "version {0} was accepted before with other contents: sign it with a higher version, or, if that one was a \
         mistake, run `binauthctl trust reset --bundle` on the node"
    )]
    OtherContents(u64),
}

impl Bundle {
    /// Takes a bundle that has just been offered.
    ///
    /// # Errors
    /// See [`BundleError`]; that of the first step that fails: envelope, signatures, payload, project, time,
    /// documents.
    pub fn verify(bytes: &[u8], terms: Terms<'_>, now: SystemTime) -> Result<Self, BundleError> {
        Self::check(bytes, terms, Some(now))
    }

    /// The same of one that was accepted before: its time may be over meanwhile, since what expires is the
    /// offer, not what was made of it.
    ///
    /// # Errors
    /// As [`verify`](Self::verify), but for [`BundleError::Expired`].
    pub fn verify_kept(bytes: &[u8], terms: Terms<'_>) -> Result<Self, BundleError> {
        Self::check(bytes, terms, None)
    }

    fn check(bytes: &[u8], terms: Terms<'_>, now: Option<SystemTime>) -> Result<Self, BundleError> {
        let sealed = Sealed::parse(bytes, &[&SEAL])?;
        let signer = sealed.signer(terms.keys)?.clone();
        let payload = Payload::parse(sealed.payload())?;
        if payload.project != terms.project {
            let found = crate::text::shown(&payload.project, 200);
            return Err(BundleError::Project { found, expected: terms.project.to_owned() });
        }
        let head = payload.head()?;
        if now.is_some_and(|now| head.is_expired(now)) {
            return Err(head.expired());
        }
        let contents = payload.read(head, Digest::of(sealed.payload()), terms.options)?;
        Ok(Self { contents, signer })
    }

    /// What it says.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The key that has signed it: the first one found.
    #[must_use]
    pub fn signer(&self) -> &KeyId {
        &self.signer
    }

    /// What later versions are held against once this one is accepted.
    #[must_use]
    pub fn rank(&self) -> Highest {
        Highest { version: self.contents.version(), digest: self.contents.digest() }
    }
}

impl Highest {
    /// Whether a bundle of this rank may follow: one of a higher version, or this very one again.
    ///
    /// # Errors
    /// [`BundleError::Older`] or [`BundleError::OtherContents`].
    pub fn admits(&self, next: Self) -> Result<(), BundleError> {
        if next.version < self.version {
            return Err(BundleError::Older { version: next.version, highest: self.version });
        }
        if next.version == self.version && next.digest != self.digest {
            return Err(BundleError::OtherContents(next.version));
        }
        Ok(())
    }
}
