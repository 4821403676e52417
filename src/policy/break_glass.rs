//! Break-glass: images that run although the policy refuses them, because somebody who may has signed that, for these
//! digests, in these namespaces, for a while and for a reason. A format of this project.
//!
//! A grant is a DSSE envelope ([`Sealed`]) of type [`GRANT`] over one JSON object:
//!
//! ```json
//! {
//!   "version": 1,
//!   "serial": "2027-03-payments-down",
//!   "issued": "2027-03-01T02:10:00Z",
//!   "notBefore": "2027-03-01T02:10:00Z",
//!   "expires": "2027-03-01T06:10:00Z",
//!   "digests": ["sha256:…"],
//!   "namespaces": ["payments"],
//!   "reason": "the signer is down and the fix must go out",
//!   "ticket": "INC-42",
//!   "issuer": "on call",
//!   "clusters": ["us-central1-a.prod"],
//!   "nodes": ["node-1"]
//! }
//! ```
//!
//! In place of `namespaces` it may say `"anyNamespace": true`, never both. `notBefore`, `ticket`, `issuer`, `clusters`
//! and `nodes` may be left out; without the last two it holds on every node that has its key. A revocation, of type
//! [`REVOCATION`], lists serials.
//!
//! Nothing of a payload is read before a signature over it has held, under a break-glass key: neither an attestor's
//! key nor a bundle key counts, nor does an envelope of another type that a break-glass key has signed. Which serials
//! were seen before and are revoked is remembered elsewhere; nobody here knows the time but by argument.

mod grant;
mod grants;
mod serial;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::sealed::{Seal, SealKey, Sealed, SealedError};
use crate::document::{self, DocumentError, Format, Object};
use crate::image::DigestError;
use crate::text::shown;

pub use grant::{Grant, GrantDocument, Namespaces, Phase};
pub use grants::BreakGlass;
pub use serial::Serial;

/// What the envelope of a grant says that it is.
pub const GRANT: Seal =
    Seal { payload_type: "application/vnd.binauthd.break-glass+json", key: "break-glass key" };
/// What that of a revocation says.
pub const REVOCATION: Seal =
    Seal { payload_type: "application/vnd.binauthd.break-glass-revocation+json", key: "break-glass key" };
/// The largest envelope, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// The most digests, and the most namespaces, clusters or nodes, of a grant; the most serials of a revocation.
pub const MAX_ENTRIES: usize = 256;
/// The longest reason, ticket and issuer, in bytes.
pub const MAX_TEXT: usize = 1024;
/// The label by which a pod asks for break-glass where the node allows that, and the only value that does.
pub const POD_LABEL: (&str, &str) = ("image-policy.k8s.io/break-glass", "true");

const VERSION: u64 = 1;

/// Why a grant or a revocation is refused.
#[derive(Debug, thiserror::Error)]
pub enum BreakGlassError {
    /// Its envelope, or who signed it.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// Over [`MAX_BYTES`].
    #[error("it has {0} bytes, more than the {MAX_BYTES} allowed")]
    TooLarge(usize),
    /// What is signed is not what belongs there.
    #[error("its payload cannot be read: {0}")]
    Payload(DocumentError),
    /// A version that is not known here.
    #[error("its version is {0}: only {VERSION} is known here")]
    Version(u64),
    /// No serial.
    #[error(
        "`{0}` is not a serial: expected 1 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit"
    )]
    Serial(String),
    /// Not a time.
    #[error("{field}: `{value}` is not a time of RFC 3339, such as `2027-03-01T02:10:00Z`")]
    Time {
        /// The field.
        field: &'static str,
        /// What stands there.
        value: String,
    },
    /// Times in an order that makes no sense.
    #[error("{earlier} must be before {later}")]
    Order {
        /// The field that must come first.
        earlier: &'static str,
        /// The other.
        later: &'static str,
    },
    /// More time than a node allows.
    #[error(
        "it holds for {}, longer than the {} that this node allows (`[break_glass] max_duration`)",
        humantime::format_duration(*.span),
        humantime::format_duration(*.max)
    )]
    TooLong {
        /// From its beginning to its end.
        span: Duration,
        /// What is allowed.
        max: Duration,
    },
    /// A list with nothing in it.
    #[error("{0}: is empty")]
    Empty(&'static str),
    /// More than [`MAX_ENTRIES`].
    #[error("{field}: {count} entries, more than the {MAX_ENTRIES} allowed")]
    TooMany {
        /// The field.
        field: &'static str,
        /// How many it has.
        count: usize,
    },
    /// Not a digest, by its place in the list.
    #[error("digests[{0}]: {1}")]
    Digest(usize, DigestError),
    /// Neither or both of the two.
    #[error("name `namespaces`, or say `anyNamespace: true`: one of them, and not both")]
    Namespaces,
    /// Not the name of a namespace, cluster or node.
    #[error("{field}: `{name}` is not the name of one")]
    Name {
        /// The field.
        field: &'static str,
        /// What stands there.
        name: String,
    },
    /// No reason.
    #[error("reason: is empty: say why, it is what people will read")]
    NoReason,
    /// Over [`MAX_TEXT`].
    #[error("{field}: {bytes} bytes, more than the {MAX_TEXT} allowed")]
    LongText {
        /// The field.
        field: &'static str,
        /// How long it is.
        bytes: usize,
    },
}

/// What a signed document about break-glass says.
#[derive(Debug, Clone)]
pub enum Word {
    /// Images may run.
    Grant(Arc<Grant>),
    /// Grants are none any more.
    Revocation(Revocation),
}

/// Serials that count for nothing, whenever they come. Made only by [`Word::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Each once.
    pub serials: Vec<Serial>,
    /// For people.
    pub reason: Option<String>,
    /// When it was signed.
    pub issued: SystemTime,
}

/// A revocation as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationDocument {
    /// 1.
    pub version: u64,
    /// RFC 3339.
    pub issued: String,
    /// Of the grants.
    pub serials: Vec<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Word {
    /// Reads an envelope that one of `keys` has signed.
    ///
    /// # Errors
    /// See [`BreakGlassError`]; that of the first step that fails: envelope, signatures, payload. Whether a grant is
    /// too long for a node is not looked at.
    pub fn verify(bytes: &[u8], keys: &[SealKey]) -> Result<Self, BreakGlassError> {
        if bytes.len() > MAX_BYTES {
            return Err(BreakGlassError::TooLarge(bytes.len()));
        }
        let sealed = Sealed::parse(bytes, &[&GRANT, &REVOCATION])?;
        let signer = sealed.signer(keys)?;
        if sealed.seal() == &REVOCATION {
            return Revocation::read(sealed.payload()).map(Self::Revocation);
        }
        Grant::read(sealed.payload(), signer.clone()).map(|grant| Self::Grant(Arc::new(grant)))
    }
}

impl Revocation {
    /// What a payload says, whoever signed it.
    fn read(payload: &[u8]) -> Result<Self, BreakGlassError> {
        let Object(document): Object<RevocationDocument> =
            document::parse(payload, Format::Json).map_err(BreakGlassError::Payload)?;
        known(document.version)?;
        bounded("serials", document.serials.len())?;
        let serials = document.serials.iter().map(|serial| serial.parse());
        let mut serials = serials.collect::<Result<Vec<Serial>, _>>()?;
        serials.sort();
        serials.dedup();
        Ok(Self {
            serials,
            reason: maybe("reason", document.reason)?,
            issued: time("issued", &document.issued)?,
        })
    }
}

impl RevocationDocument {
    /// Of these serials, signed at `now`.
    #[must_use]
    pub fn new(serials: &[Serial], reason: Option<String>, now: SystemTime) -> Self {
        Self {
            version: VERSION,
            issued: humantime::format_rfc3339_seconds(now).to_string(),
            serials: serials.iter().map(ToString::to_string).collect(),
            reason,
        }
    }

    /// As it is signed.
    ///
    /// # Errors
    /// What nodes would refuse it for.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BreakGlassError> {
        let bytes = serde_json::json!(self).to_string().into_bytes();
        Revocation::read(&bytes)?;
        Ok(bytes)
    }
}

fn known(version: u64) -> Result<(), BreakGlassError> {
    if version == VERSION { Ok(()) } else { Err(BreakGlassError::Version(version)) }
}

fn bounded(field: &'static str, count: usize) -> Result<(), BreakGlassError> {
    match count {
        0 => Err(BreakGlassError::Empty(field)),
        1..=MAX_ENTRIES => Ok(()),
        _ => Err(BreakGlassError::TooMany { field, count }),
    }
}

fn time(field: &'static str, text: &str) -> Result<SystemTime, BreakGlassError> {
    document::writable_time(text).ok_or_else(|| BreakGlassError::Time { field, value: shown(text, 60) })
}

/// Text for people, fit to be shown; blank is absent.
fn maybe(field: &'static str, text: Option<String>) -> Result<Option<String>, BreakGlassError> {
    let Some(text) = text else { return Ok(None) };
    let text = text.trim();
    if text.len() > MAX_TEXT {
        return Err(BreakGlassError::LongText { field, bytes: text.len() });
    }
    Ok(Some(shown(text, MAX_TEXT)).filter(|text| !text.is_empty()))
}
