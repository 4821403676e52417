//! One grant: as it is written, and what it means.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{BreakGlassError, Serial, VERSION, bounded, known, maybe, time};
use crate::attestation::KeyId;
use crate::document::{self, Format, Object};
use crate::image::Digest;
use crate::image::workload::{is_label, is_subdomain};
use crate::policy::maps::is_cluster;
use crate::text::shown;

/// A grant that somebody with a break-glass key has signed. Made only by [`Word::verify`](super::Word::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    serial: Serial,
    payload: Digest,
    signer: KeyId,
    terms: Terms,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Terms {
    issued: SystemTime,
    not_before: SystemTime,
    expires: SystemTime,
    digests: BTreeSet<Digest>,
    namespaces: Namespaces,
    reason: String,
    ticket: Option<String>,
    issuer: Option<String>,
    clusters: Vec<String>,
    nodes: Vec<String>,
}

/// Where a grant lets images run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// Everywhere.
    Any,
    /// In these.
    These(BTreeSet<String>),
}

/// Where a grant's time stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun.
    NotYet,
    /// It holds.
    InForce,
    /// It is over.
    Expired,
}

/// A grant as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantDocument {
    /// 1.
    pub version: u64,
    /// No other grant has it.
    pub serial: String,
    /// RFC 3339: when it was signed.
    pub issued: String,
    /// RFC 3339: when it begins; left out, when it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// RFC 3339: when it ends.
    pub expires: String,
    /// Of indexes, platform manifests or configs.
    pub digests: Vec<String>,
    /// Where the images may run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Everywhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_namespace: bool,
    /// Why, for people.
    pub reason: String,
    /// Where more is said, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Who granted it, for people: the signature says by which key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The clusters that it holds in, as `LOCATION.NAME`; none are all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    /// The nodes that it holds on; none are all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

impl GrantDocument {
    /// The version of what is written here.
    pub const VERSION: u64 = VERSION;

    /// As it is signed.
    ///
    /// # Errors
    /// What nodes would refuse it for.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BreakGlassError> {
        let bytes = serde_json::json!(self).to_string().into_bytes();
        Terms::read(&bytes)?;
        Ok(bytes)
    }
}

impl Terms {
    fn read(payload: &[u8]) -> Result<(Serial, Self), BreakGlassError> {
        let Object(document): Object<GrantDocument> =
            document::parse(payload, Format::Json).map_err(BreakGlassError::Payload)?;
        known(document.version)?;
        let serial = document.serial.parse()?;
        let issued = time("issued", &document.issued)?;
        let not_before = document.not_before.map_or(Ok(issued), |text| time("notBefore", &text))?;
        let expires = time("expires", &document.expires)?;
        if not_before < issued {
            return Err(BreakGlassError::Order { earlier: "issued", later: "notBefore" });
        }
        if expires <= not_before {
            return Err(BreakGlassError::Order { earlier: "notBefore", later: "expires" });
        }
        bounded("digests", document.digests.len())?;
        let digests = document.digests.iter().enumerate();
        let digests = digests
            .map(|(place, digest)| digest.parse().map_err(|cause| BreakGlassError::Digest(place, cause)));
        let reason = maybe("reason", Some(document.reason))?.ok_or(BreakGlassError::NoReason)?;
        let terms = Self {
            issued,
            not_before,
            expires,
            digests: digests.collect::<Result<_, _>>()?,
            namespaces: namespaces(document.namespaces, document.any_namespace)?,
            reason,
            ticket: maybe("ticket", document.ticket)?,
            issuer: maybe("issuer", document.issuer)?,
            clusters: names("clusters", document.clusters, is_cluster)?,
            nodes: names("nodes", document.nodes, is_subdomain)?,
        };
        Ok((serial, terms))
    }
}

fn namespaces(named: Vec<String>, any: bool) -> Result<Namespaces, BreakGlassError> {
    if any != named.is_empty() {
        return Err(BreakGlassError::Namespaces);
    }
    if any {
        return Ok(Namespaces::Any);
    }
    Ok(Namespaces::These(names("namespaces", named, is_label)?.into_iter().collect()))
}

fn names(
    field: &'static str,
    names: Vec<String>,
    is_one: impl Fn(&str) -> bool,
) -> Result<Vec<String>, BreakGlassError> {
    if !names.is_empty() {
        bounded(field, names.len())?;
    }
    match names.iter().find(|name| !is_one(name)) {
        Some(name) => Err(BreakGlassError::Name { field, name: shown(name, 80) }),
        None => Ok(names),
    }
}

impl Grant {
    pub(super) fn read(payload: &[u8], signer: KeyId) -> Result<Self, BreakGlassError> {
        let (serial, terms) = Terms::read(payload)?;
        Ok(Self { serial, payload: Digest::of(payload), signer, terms })
    }

    /// No other grant has it.
    #[must_use]
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// Of the bytes that were signed.
    #[must_use]
    pub fn payload(&self) -> Digest {
        self.payload
    }

    /// The key that has signed it: the first one found.
    #[must_use]
    pub fn signer(&self) -> &KeyId {
        &self.signer
    }

    /// When it was signed, by its own word.
    #[must_use]
    pub fn issued(&self) -> SystemTime {
        self.terms.issued
    }

    /// From then on it holds.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.terms.not_before
    }

    /// From then on it holds no more.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        self.terms.expires
    }

    /// What may run.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        self.terms.digests.iter().copied()
    }

    /// Where it may.
    #[must_use]
    pub fn namespaces(&self) -> &Namespaces {
        &self.terms.namespaces
    }

    /// Why, for people.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.terms.reason
    }

    /// Where more is said, for people.
    #[must_use]
    pub fn ticket(&self) -> Option<&str> {
        self.terms.ticket.as_deref()
    }

    /// Who granted it, for people.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.terms.issuer.as_deref()
    }

    /// Where its time stands.
    #[must_use]
    pub fn phase(&self, now: SystemTime) -> Phase {
        match () {
            () if now < self.terms.not_before => Phase::NotYet,
            () if now < self.terms.expires => Phase::InForce,
            () => Phase::Expired,
        }
    }

    /// Whether it holds on this node; a node that knows no cluster is in none.
    #[must_use]
    pub fn is_for(&self, cluster: Option<&str>, node: &str) -> bool {
        let Terms { clusters, nodes, .. } = &self.terms;
        let in_cluster =
            clusters.is_empty() || cluster.is_some_and(|own| clusters.iter().any(|one| one == own));
        in_cluster && (nodes.is_empty() || nodes.iter().any(|one| one == node))
    }

    /// Whether it holds no longer than a node allows.
    ///
    /// # Errors
    /// [`BreakGlassError::TooLong`].
    pub fn within(&self, max: Duration) -> Result<(), BreakGlassError> {
        let span = self.terms.expires.duration_since(self.terms.not_before).unwrap_or_default();
        if span > max { Err(BreakGlassError::TooLong { span, max }) } else { Ok(()) }
    }

    /// Whether it lets images run in `namespace`; one that is not known is in none.
    #[must_use]
    pub fn covers(&self, namespace: Option<&str>) -> bool {
        match &self.terms.namespaces {
            Namespaces::Any => true,
            Namespaces::These(these) => namespace.is_some_and(|one| these.contains(one)),
        }
    }
}

impl std::fmt::Display for Namespaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any namespace"),
            Self::These(these) => {
                let these: Vec<_> = these.iter().map(String::as_str).collect();
                f.write_str(&these.join(", "))
            }
        }
    }
}
