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
    /// Whether the text it was asked for by leaves no digest open.
    pinned: bool,
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
            pinned: is_pinned(Some(&reference)),
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
        let reference = Reference::parse(name).ok();
        let unresolved = Self {
            image: shown(name, MAX_SHOWN),
            pinned: is_pinned(reference.as_ref()),
            name: reference,
            digests: Vec::new(),
            config: None,
            workload: Workload::default(),
        };
        unresolved.with_digests(digests)
    }

    /// The image of a container being created: `text` is what the pod calls it, for people and for
    /// `deny_tags`; `digests` are all those on the node that lead to the bytes that would run, as many as
    /// whoever looked for them takes; `config` is that of the bytes.
    ///
    /// `name` is given only where the caller has seen that it leads to those bytes on this node; patterns
    /// match nothing else. One that pins none of `digests` does not count.
    #[must_use]
    pub fn created(
        text: &str,
        name: Option<Reference>,
        digests: &[(Digest, DigestKind)],
        config: Option<Digest>,
    ) -> Self {
        let leads_there = |name: &Reference| {
            name.digest().is_none_or(|pinned| digests.iter().any(|(digest, _)| *digest == pinned))
        };
        Self {
            image: shown(text, MAX_SHOWN),
            name: name.filter(leads_there),
            pinned: is_pinned(Reference::parse(text).ok().as_ref()),
            digests: digests.to_vec(),
            config,
            workload: Workload::default(),
        }
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

    /// Its digest, where it has one: where several are known, the first of an index, or else of a manifest.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digests.iter().min_by_key(|(_, kind)| *kind).map(|(digest, _)| *digest)
    }

    /// Whether the text it was asked for by pins a digest, or is no reference that could have left it open,
    /// such as an image id. Also where its name does not count.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Those of its digests that an attestation may name.
    pub fn attestable(&self, subjects: Subjects) -> impl Iterator<Item = Digest> {
        self.digests.iter().filter(move |(_, kind)| subjects.include(*kind)).map(|(digest, _)| *digest)
    }

    /// Whether this is the digest of its platform manifest, and not that of an index or of either.
    pub(super) fn is_manifest(&self, digest: Digest) -> bool {
        self.digests.contains(&(digest, DigestKind::Manifest))
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

fn is_pinned(reference: Option<&Reference>) -> bool {
    reference.is_none_or(|reference| reference.digest().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: &str) -> Digest {
        format!("sha256:{}", byte.repeat(32)).parse().unwrap()
    }

    #[test]
    fn what_a_container_is_created_from() {
        let (a, b) = (digest("aa"), digest("bb"));
        let at = |name: &str, digest: Digest| format!("{name}@{digest}");
        // The pod's text, the name that the caller found to count, whether it is one then, whether pinned.
        let rows: &[(&str, Option<&str>, bool, bool)] = &[
            ("nginx", Some("docker.io/library/nginx"), true, false),
            ("nginx:1", Some("docker.io/library/nginx:1"), true, false),
            ("nginx:1", None, false, false),
            (&at("nginx", a), Some(&at("docker.io/library/nginx", a)), true, true),
            (&at("nginx:1", a), None, false, true),
            (&at("nginx", b), Some(&at("docker.io/library/nginx", b)), false, true),
            (&a.to_string(), None, false, true),
            (&a.hex(), None, false, true),
            (&format!("docker.io/library/{a}"), None, false, true),
            ("no reference", None, false, true),
            ("", None, false, true),
            ("localhost:5000/app", None, false, false),
        ];
        for (text, name, counts, pinned) in rows {
            let name = name.map(|name| Reference::parse(name).unwrap());
            let subject = Subject::created(text, name.clone(), &[(a, DigestKind::Manifest)], Some(b));
            assert_eq!((subject.name().is_some(), subject.is_pinned()), (*counts, *pinned), "{text}");
            assert_eq!(subject.name().cloned(), name.filter(|_| *counts), "{text}");
            assert_eq!(subject.deniable().collect::<Vec<_>>(), [a, b], "{text}");
            assert_eq!((subject.image(), subject.digest()), (*text, Some(a)));
        }
        let long = Subject::created(&"x".repeat(600), None, &[], None);
        assert_eq!((long.image().len(), long.digest()), (512, None));
    }

    #[test]
    fn the_digest_of_several() {
        use DigestKind::{Index, Manifest, Unknown};
        let [a, b, c] = [digest("aa"), digest("bb"), digest("cc")];
        let rows = [
            (vec![], None),
            (vec![(a, Unknown), (b, Manifest)], Some(b)),
            (vec![(a, Manifest), (b, Index), (c, Index)], Some(b)),
            (vec![(a, Manifest), (c, Index), (b, Index)], Some(c)),
        ];
        for (digests, expected) in rows {
            assert_eq!(Subject::created("app", None, &digests, None).digest(), expected, "{digests:?}");
        }
    }

    #[test]
    fn pulled_and_named_are_pinned_by_their_text() {
        let a = digest("aa");
        let known = [(a, DigestKind::Unknown)];
        for (text, pinned) in [("nginx:1", false), ("nginx", false), ("!", true)] {
            assert_eq!(Subject::pulled(text, &known).unwrap().is_pinned(), pinned, "{text}");
        }
        let text = format!("nginx@{a}");
        assert!(Subject::pulled(&text, &known).unwrap().is_pinned());
        assert!(
            Subject::named(&text).unwrap().is_pinned() && !Subject::named("nginx:1").unwrap().is_pinned()
        );
    }
}
