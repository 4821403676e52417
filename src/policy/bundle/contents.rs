//! What a bundle's payload says: its head, and documents that are valid one by one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{BundleError, MAX_ATTESTORS, MAX_NAME};
use crate::attestation::{Attestor, AttestorName};
use crate::document::{self, Format, Object, Version};
use crate::image::Digest;
use crate::policy::{DenyList, Options, PlatformPolicy, Policy, SystemPolicy};
use crate::text::{misleads, shown};

/// The payload as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// Whose nodes it is for.
    pub project: String,
    /// From 1.
    pub version: u64,
    /// RFC 3339: it is not accepted from then on.
    pub expires: String,
    /// What is to be obeyed.
    #[serde(deserialize_with = "document::object")]
    pub documents: PayloadDocuments,
}

/// The documents of a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PayloadDocuments {
    /// The policy.
    #[serde(deserialize_with = "document::object")]
    pub policy: WrittenMember,
    /// Check sets, obeyed beside the policy.
    #[serde(default, deserialize_with = "document::given_object", skip_serializing_if = "Option::is_none")]
    pub platform_policy: Option<WrittenMember>,
    /// Digests that are refused, beside those of the node's own list.
    #[serde(default, deserialize_with = "document::given_object", skip_serializing_if = "Option::is_none")]
    pub deny_list: Option<WrittenMember>,
    /// In place of the node's own.
    #[serde(default, deserialize_with = "document::given_object", skip_serializing_if = "Option::is_none")]
    pub system_policy: Option<WrittenMember>,
    /// Every attestor.
    #[serde(deserialize_with = "document::objects")]
    pub attestors: Vec<WrittenMember>,
}

/// A document in a payload, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenMember {
    /// That of the file it was; `.json` is JSON, everything else YAML.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// A valid document of a bundle.
#[derive(Debug, Clone)]
pub struct Member<T> {
    /// Its name in the bundle.
    pub name: String,
    /// Of its text, as a file of that text has it.
    pub version: Version,
    /// What it means.
    pub value: Arc<T>,
}

/// What stands before the documents.
#[derive(Debug, Clone)]
pub(super) struct Head {
    version: u64,
    expires: SystemTime,
}

/// What a payload means, whoever signed it.
#[derive(Debug, Clone)]
pub struct Contents {
    project: String,
    head: Head,
    digest: Digest,
    /// The policy.
    pub policy: Member<Policy>,
    /// Check sets, obeyed beside the policy.
    pub platform_policy: Option<Member<PlatformPolicy>>,
    /// Digests that are refused.
    pub deny_list: Option<Member<DenyList>>,
    /// What the node needs.
    pub system_policy: Option<Member<SystemPolicy>>,
    /// Each of another name.
    pub attestors: Vec<Member<Attestor>>,
}

impl Head {
    pub(super) fn is_expired(&self, now: SystemTime) -> bool {
        now >= self.expires
    }

    pub(super) fn expired(&self) -> BundleError {
        BundleError::Expired { version: self.version, expires: rfc3339(self.expires) }
    }
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

impl Payload {
    /// Reads a payload; the documents in it are still texts.
    ///
    /// # Errors
    /// [`BundleError::Payload`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let Object(payload) = document::parse(bytes, Format::Json).map_err(BundleError::Payload)?;
        Ok(payload)
    }

    /// As it is signed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::json!(self).to_string().into_bytes()
    }

    pub(super) fn head(&self) -> Result<Head, BundleError> {
        if self.version == 0 {
            return Err(BundleError::Version);
        }
        let expires = document::writable_time(&self.expires);
        let expires = expires.ok_or_else(|| BundleError::Expires(shown(&self.expires, 60)))?;
        Ok(Head { version: self.version, expires })
    }

    /// Reads every document; `digest` is that of the payload's bytes.
    pub(super) fn read(self, head: Head, digest: Digest, options: Options) -> Result<Contents, BundleError> {
        let documents = self.documents;
        if documents.attestors.len() > MAX_ATTESTORS {
            return Err(BundleError::TooManyAttestors(documents.attestors.len()));
        }
        let policy =
            documents.policy.read("policy", |bytes, format| Policy::parse(bytes, format, options))?;
        let attestors = documents.attestors.into_iter().map(|one| one.read("attestor", Attestor::parse));
        let attestors = attestors.collect::<Result<Vec<_>, _>>()?;
        all_different(&attestors)?;
        Ok(Contents {
            project: self.project,
            head,
            digest,
            policy,
            platform_policy: maybe(documents.platform_policy, "platform policy", PlatformPolicy::parse)?,
            deny_list: maybe(documents.deny_list, "deny list", DenyList::parse)?,
            system_policy: maybe(documents.system_policy, "system policy", SystemPolicy::parse)?,
            attestors,
        })
    }
}

fn maybe<T, E: std::fmt::Display>(
    written: Option<WrittenMember>,
    what: &'static str,
    parse: impl Fn(&[u8], Format) -> Result<T, E>,
) -> Result<Option<Member<T>>, BundleError> {
    written.map(|written| written.read(what, parse)).transpose()
}

fn all_different(attestors: &[Member<Attestor>]) -> Result<(), BundleError> {
    let mut seen: HashMap<&AttestorName, &str> = HashMap::new();
    for attestor in attestors {
        let name = attestor.value.name();
        if let Some(first) = seen.insert(name, &attestor.name) {
            return Err(BundleError::Twice {
                attestor: name.clone(),
                first: first.to_owned(),
                second: attestor.name.clone(),
            });
        }
    }
    Ok(())
}

impl WrittenMember {
    fn read<T, E: std::fmt::Display>(
        self,
        what: &'static str,
        parse: impl Fn(&[u8], Format) -> Result<T, E>,
    ) -> Result<Member<T>, BundleError> {
        let Self { name, text } = self;
        if !is_name(&name) {
            return Err(BundleError::Name(shown(&name, 80)));
        }
        match parse(text.as_bytes(), Format::of(name.as_ref())) {
            Ok(value) => Ok(Member { name, version: Version::of(text.as_bytes()), value: Arc::new(value) }),
            Err(cause) => Err(BundleError::Document { what, name, cause: cause.to_string() }),
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(|c| c == '/' || misleads(c))
}

impl Contents {
    /// Reads a payload that need not have been signed: to be looked at, or before it is signed.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn parse(bytes: &[u8], options: Options) -> Result<Self, BundleError> {
        let payload = Payload::parse(bytes)?;
        let head = payload.head()?;
        payload.read(head, Digest::of(bytes), options)
    }

    /// Whose nodes it is for.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// From 1.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.head.version
    }

    /// Of the payload's bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// RFC 3339, in UTC.
    #[must_use]
    pub fn expires(&self) -> String {
        rfc3339(self.head.expires)
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.head.is_expired(now)
    }

    /// Whether it may still be accepted.
    ///
    /// # Errors
    /// [`BundleError::Expired`].
    pub fn within_time(&self, now: SystemTime) -> Result<(), BundleError> {
        if self.head.is_expired(now) { Err(self.head.expired()) } else { Ok(()) }
    }

    /// What it is called, its name in the bundle and its version, of every document.
    pub fn members(&self) -> impl Iterator<Item = (&'static str, &str, &Version)> {
        let maybe = [
            self.platform_policy.as_ref().map(|one| ("platform policy", one.name.as_str(), &one.version)),
            self.deny_list.as_ref().map(|one| ("deny list", one.name.as_str(), &one.version)),
            self.system_policy.as_ref().map(|one| ("system policy", one.name.as_str(), &one.version)),
        ];
        let policy = ("policy", self.policy.name.as_str(), &self.policy.version);
        let attestors = self.attestors.iter().map(|one| ("attestor", one.name.as_str(), &one.version));
        std::iter::once(policy).chain(maybe.into_iter().flatten()).chain(attestors)
    }
}
