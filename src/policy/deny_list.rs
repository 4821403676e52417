//! The deny list: digests that are refused whatever attestations they carry. A document of this project.
//!
//! ```yaml
//! description: known to be bad
//! digests:
//! - digest: sha256:1111111111111111111111111111111111111111111111111111111111111111
//!   reason: "INC-42: miner in the base layer"
//!   until: 2027-01-01T00:00:00Z
//! ```
//!
//! Knows nothing of names: who pushes an image chooses its name, but not its digest.

use std::collections::HashMap;
use std::time::SystemTime;

use serde::Deserialize;

use super::digest_list::{self, ListError};
use crate::document::{self, DocumentError, Format, Object, Version};
use crate::image::Digest;
use crate::text;

/// Digests that are refused. By default nothing is.
#[derive(Debug, Clone, Default)]
pub struct DenyList {
    entries: HashMap<Digest, Denied>,
    version: Option<Version>,
}

/// One refused digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Of an image index, a platform manifest or an image config.
    pub digest: Digest,
    /// For people; not empty, at most [`MAX_REASON`](super::digest_list::MAX_REASON) bytes as written.
    pub reason: String,
    /// From then on the entry counts for nothing; `None` is for good.
    pub until: Option<SystemTime>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DenyListDocument {
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(deserialize_with = "document::objects")]
    digests: Vec<DeniedDocument>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeniedDocument {
    digest: String,
    reason: String,
    until: Option<String>,
}

/// Why a deny list is refused.
#[derive(Debug, thiserror::Error)]
pub enum DenyListError {
    /// Not a document of this shape.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// An entry that is none.
    #[error(transparent)]
    List(#[from] ListError),
    /// Not a time, by the entry's place in the list.
    #[error("digests[{0}].until: `{1}` is not a time of RFC 3339, such as `2027-01-01T00:00:00Z`")]
    Until(usize, String),
}

impl DenyList {
    /// Reads a deny list.
    ///
    /// # Errors
    /// See [`DenyListError`]; one refused entry refuses the list.
    pub fn parse(bytes: &[u8], format: Format) -> Result<Self, DenyListError> {
        let Object(document): Object<DenyListDocument> = document::parse(bytes, format)?;
        let written = document.digests.iter().map(|entry| (entry.digest.as_str(), entry.reason.as_str()));
        let listed = digest_list::read(written)?;
        let mut entries = HashMap::with_capacity(listed.len());
        for (index, ((digest, reason), entry)) in listed.into_iter().zip(&document.digests).enumerate() {
            let until = match entry.until.as_deref() {
                Some(until) => Some(
                    document::time(until)
                        .ok_or_else(|| DenyListError::Until(index, text::shown(until, 60)))?,
                ),
                None => None,
            };
            entries.insert(digest, Denied { digest, reason, until });
        }
        Ok(Self { entries, version: Some(Version::of(bytes)) })
    }

    /// What either list refuses. A digest that both name is refused for as long as one of them says; the version
    /// is that of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut entries = self.entries.clone();
        for (digest, theirs) in &other.entries {
            let longer = |ours: &Denied| match (ours.until, theirs.until) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(ours), Some(theirs)) => ours >= theirs,
            };
            if !entries.get(digest).is_some_and(longer) {
                entries.insert(*digest, theirs.clone());
            }
        }
        let version = match (&self.version, &other.version) {
            (Some(ours), Some(theirs)) => Some(Version::of(format!("{ours} {theirs}").as_bytes())),
            (ours, theirs) => ours.clone().or_else(|| theirs.clone()),
        };
        Self { entries, version }
    }

    /// The entry that refuses `digest` at `now`.
    #[must_use]
    pub fn entry(&self, digest: Digest, now: SystemTime) -> Option<&Denied> {
        self.entries.get(&digest).filter(|entry| entry.until.is_none_or(|until| now < until))
    }

    /// The next time after `now` at which an entry ends.
    #[must_use]
    pub fn next_end(&self, now: SystemTime) -> Option<SystemTime> {
        self.entries.values().filter_map(|entry| entry.until).filter(|until| *until > now).min()
    }

    /// How many digests are listed, those whose time is over too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Of the document's bytes; `None` where there is no document.
    #[must_use]
    pub fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn an_entry_counts_until_its_time() {
        let other = D.replace('1', "2");
        let text = format!(
            "description: bad\ndigests:\n- digest: {D}\n  reason: ' a\u{202e}b '\n  until: 2027-01-01T00:00:00Z\n\
             - {{digest: '{other}', reason: x}}\n"
        );
        let list = DenyList::parse(text.as_bytes(), Format::Yaml).unwrap();
        assert_eq!((list.len(), list.is_empty()), (2, false));
        assert_eq!(list.version(), Some(&Version::of(text.as_bytes())));
        let digest = D.parse().unwrap();
        let entry = list.entry(digest, at("2026-12-31T23:59:59Z")).unwrap();
        assert_eq!((entry.digest, entry.reason.as_str()), (digest, "a\u{fffd}b"));
        assert_eq!(list.entry(digest, at("2027-01-01T00:00:00Z")), None);
        assert!(list.entry(other.parse().unwrap(), at("2999-01-01T00:00:00Z")).is_some());
        assert_eq!(list.entry(Digest::of(b""), at("2026-01-01T00:00:00Z")), None);
        let none = DenyList::default();
        assert!(
            none.is_empty()
                && none.version().is_none()
                && none.entry(digest, at("2026-01-01T00:00:00Z")).is_none()
        );
        assert!(DenyList::parse(b"{\"digests\": []}", Format::Json).unwrap().is_empty());
    }

    #[test]
    fn a_union_refuses_what_either_does_for_as_long_as_either_does() {
        let list = |until: &str| {
            let until = if until.is_empty() { String::new() } else { format!(", until: {until}") };
            DenyList::parse(
                format!("digests: [{{digest: '{D}', reason: x{until}}}]").as_bytes(),
                Format::Yaml,
            )
            .unwrap()
        };
        let (digest, later) = (D.parse().unwrap(), at("2027-06-01T00:00:00Z"));
        let rows = [
            ("", "2027-01-01T00:00:00Z", true),
            ("2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z", false),
            ("2027-01-01T00:00:00Z", "2027-07-01T00:00:00Z", true),
        ];
        for (one, other, held) in rows {
            for (one, other) in [(one, other), (other, one)] {
                let both = list(one).union(&list(other));
                assert_eq!((both.len(), both.entry(digest, later).is_some()), (1, held), "{one} {other}");
            }
        }
        let (one, none) = (list(""), DenyList::default());
        assert_eq!(one.union(&none).version(), one.version());
        assert_eq!(none.union(&one).version(), one.version());
        assert!(none.union(&none).version().is_none());
        assert!(![one.version(), none.version()].contains(&one.union(&one).version()));
    }

    #[test]
    fn refused() {
        let long = "x".repeat(1025);
        let rows = [
            ("digests: x".to_owned(), "expected sequence"),
            ("description: x".into(), "digests"),
            ("- digest: x".into(), "line 1"),
            ("digests: []\nunknown: x".into(), "unknown field `unknown`"),
            (format!("digests: [[{D}, x]]"), "mapping"),
            (format!("digests: [{{digest: '{D}'}}]"), "reason"),
            (
                format!("digests: [{{digest: '{D}', reason: x, until: soon}}]"),
                "digests[0].until: `soon` is not",
            ),
            (format!("digests: [{{digest: '{D}', reason: ' '}}]"), "digests[0].reason: is empty"),
            (format!("digests: [{{digest: '{D}', reason: {long}}}]"), "1025 bytes"),
            (format!("digests: [{{digest: '{D}', reason: x, note: y}}]"), "unknown field `note`"),
            (
                format!("digests: [{{digest: '{D}', reason: x}}, {{digest: '{D}', reason: y}}]"),
                "digests[1].digest",
            ),
            ("digests: [{digest: 'nginx:1.27', reason: x}]".into(), "digests[0].digest"),
            ("digests: [{digest: nginx, reason: x}]".into(), "`nginx` is not a digest"),
        ];
        for (text, part) in rows {
            let error = DenyList::parse(text.as_bytes(), Format::Yaml).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?} gave {error:?}, which lacks {part:?}");
        }
    }
}
