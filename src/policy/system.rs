//! The node's system policy: what must run whatever the policy says, because the node does not come up
//! without it. A document of this project; Google's, which `globalPolicyEvaluationMode: ENABLE` asks for,
//! is not published.
//!
//! ```yaml
//! digests:
//! - digest: sha256:1111111111111111111111111111111111111111111111111111111111111111
//!   reason: pause 3.10
//! trustRegistry: true
//! admissionWhitelistPatterns:
//! - namePattern: registry.k8s.io/kube-proxy@*
//! ```
//!
//! Digests speak for themselves. A pattern trusts whoever can push to the registry, so patterns are
//! refused unless `trustRegistry: true` says that this is meant.

use std::collections::HashMap;

use serde::Deserialize;

use super::allowlist::Allowlist;
use super::digest_list::{self, ListError};
use super::document::{EntryError, MAX_PATTERNS, PatternDocument, patterns};
use crate::document::{self, DocumentError, Format, Object, Version};
use crate::image::Digest;

/// What the node needs. By default nothing.
#[derive(Debug, Clone, Default)]
pub struct SystemPolicy {
    digests: HashMap<Digest, String>,
    allowlist: Allowlist,
    version: Option<Version>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SystemPolicyDocument {
    #[serde(rename = "description")]
    _description: Option<String>,
    digests: Option<Vec<Object<AllowedDocument>>>,
    #[serde(alias = "trust_registry")]
    trust_registry: Option<bool>,
    #[serde(alias = "admission_whitelist_patterns")]
    admission_whitelist_patterns: Option<Vec<Object<PatternDocument>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowedDocument {
    digest: String,
    reason: String,
}

/// Why a system policy is refused.
#[derive(Debug, thiserror::Error)]
pub enum SystemPolicyError {
    /// Not a document of this shape.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// An entry that is none.
    #[error(transparent)]
    List(#[from] ListError),
    /// Patterns, and nothing says that the registry is trusted.
    #[error(
        "admissionWhitelistPatterns: a pattern trusts whoever can push to the registry: list digests, or add \
         `trustRegistry: true`"
    )]
    RegistryNotTrusted,
    /// More than [`MAX_PATTERNS`].
    #[error("admissionWhitelistPatterns: {0} patterns, more than the {MAX_PATTERNS} allowed")]
    TooManyPatterns(usize),
    /// An entry, by its place in the list.
    #[error("admissionWhitelistPatterns[{0}].{1}")]
    Pattern(usize, EntryError),
}

impl SystemPolicy {
    /// Reads a system policy.
    ///
    /// # Errors
    /// See [`SystemPolicyError`]; one refused entry refuses the document.
    pub fn parse(bytes: &[u8], format: Format) -> Result<Self, SystemPolicyError> {
        let Object(document): Object<SystemPolicyDocument> = document::parse(bytes, format)?;
        let digests = document.digests.unwrap_or_default();
        let written = digests.iter().map(|Object(entry)| (entry.digest.as_str(), entry.reason.as_str()));
        let digests = digest_list::read(written)?.into_iter().collect();
        let named = document.admission_whitelist_patterns.unwrap_or_default();
        if !named.is_empty() && document.trust_registry != Some(true) {
            return Err(SystemPolicyError::RegistryNotTrusted);
        }
        if named.len() > MAX_PATTERNS {
            return Err(SystemPolicyError::TooManyPatterns(named.len()));
        }
        let patterns = patterns(&named).map_err(|(index, cause)| SystemPolicyError::Pattern(index, cause))?;
        Ok(Self { digests, allowlist: Allowlist::with_terms(patterns), version: Some(Version::of(bytes)) })
    }

    /// Why `digest` is allowed, if it is listed.
    #[must_use]
    pub fn allows_digest(&self, digest: Digest) -> Option<&str> {
        self.digests.get(&digest).map(String::as_str)
    }

    /// Patterns that allow images by name, in the order of the document.
    #[must_use]
    pub fn allowlist(&self) -> &Allowlist {
        &self.allowlist
    }

    /// How many digests and patterns are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.digests.len() + self.allowlist.len()
    }

    /// Whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

    fn parse(text: &str) -> Result<SystemPolicy, SystemPolicyError> {
        SystemPolicy::parse(text.as_bytes(), Format::Yaml)
    }

    #[test]
    fn digests_and_patterns() {
        let both = format!(
            "description: node\ndigests: [{{digest: '{D}', reason: pause}}]\ntrustRegistry: true\n\
             admissionWhitelistPatterns: [{{namePattern: 'registry.k8s.io/**'}}]"
        );
        for text in [
            both.clone(),
            both.replace("trustRegistry", "trust_registry").replace("namePattern", "name_pattern"),
        ] {
            let policy = parse(&text).unwrap();
            assert_eq!(policy.allows_digest(D.parse().unwrap()), Some("pause"));
            assert_eq!(policy.allows_digest(Digest::of(b"")), None);
            assert_eq!(policy.allowlist().len(), 1);
            assert_eq!(policy.version(), Some(&Version::of(text.as_bytes())));
        }
        let none = SystemPolicy::default();
        assert!(
            none.allowlist().is_empty()
                && none.allows_digest(D.parse().unwrap()).is_none()
                && none.version().is_none()
        );
        assert!(parse("{trustRegistry: true, admissionWhitelistPatterns: [{namePattern: a}]}").is_ok());
        assert!(parse("{admissionWhitelistPatterns: []}").is_ok());
    }

    #[test]
    fn refused() {
        let rows = [
            ("admissionWhitelistPatterns: [{namePattern: a}]", "`trustRegistry: true`"),
            ("trustRegistry: false\nadmissionWhitelistPatterns: [{namePattern: a}]", "`trustRegistry: true`"),
            ("trustRegistry: yes\nadmissionWhitelistPatterns: [{namePattern: a}]", "line 1"),
            ("trustRegistry: true\nadmissionWhitelistPatterns: [{namePattern: '*'}]", "[0].namePattern"),
            ("trustRegistry: true\nadmissionWhitelistPatterns: [a]", "expected"),
            ("trustRegistry: true\ntrust_registry: true", "duplicate field"),
            ("digests: [{digest: nginx, reason: x}]", "digests[0].digest"),
            ("defaultAdmissionRule: {}", "unknown field"),
            ("", "empty"),
        ];
        for (text, part) in rows {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?} gave {error:?}, which lacks {part:?}");
        }
    }
}
