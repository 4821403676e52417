//! In-toto statements (in-toto/attestation, Statement v0.1 and v1): what a verified DSSE payload says of which
//! digests.
//!
//! [`Statement::parse`] is called by `verify` on bytes whose signature has held, and by nobody before. It is
//! strict about what it reads: a member twice, anywhere in the document, or a wrong type refuses. Members
//! it does not know are ignored, as the specification asks. A predicate of a type that may say no is never
//! passed over: where it cannot be read it is [`Predicate::Unreadable`], and so is one of a later version of
//! such a type.
//!
//! The caller bounds the bytes; memory is proportional to them.

mod provenance;
mod scan;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use provenance::Provenance;
pub use scan::{MAX_FINDINGS, Scan, Severity, Vulnerability};

use crate::document::{self, AnyUnique, Object, UniqueMap};
use crate::image::Digest;
use crate::text::shown;

/// The DSSE payload type of statements.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it is about, by sha256 digest; at least one. Subjects that have other digests only are left out.
    pub subjects: Vec<Digest>,
    /// The URI that says how to read the predicate.
    pub predicate_type: String,
    /// What it says.
    pub predicate: Predicate,
}

/// What a statement says of its subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// How they were built.
    Provenance(Provenance),
    /// Which vulnerabilities were found in them.
    Scan(Scan),
    /// That they failed: why, for people.
    Negative(String),
    /// Of a type that is known, and not of its shape: why, for people.
    Unreadable(String),
    /// The same of a scan, of which it cannot be told whether it is the newest.
    UnreadableScan(String),
    /// Anything else: a type nobody here knows, or a verification or test that was passed.
    Other,
}

/// Why verified bytes are not a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not the JSON that belongs here.
    #[error("the signed payload is not an in-toto statement: {0}")]
    Json(String),
    /// Another document, or another version.
    #[error("the signed payload has `_type` `{0}`, which is not an in-toto statement of v0.1 or v1")]
    Type(String),
    /// A sha256 that is none.
    #[error("subject {0} of the statement has a sha256 that is not 64 lower-case hexadecimal digits")]
    Digest(usize),
    /// Nothing that an image could be.
    #[error("no subject of the statement has a sha256 digest")]
    NoSubject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatementDocument<'a> {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Object<Subject>>,
    predicate_type: String,
    #[serde(borrow)]
    predicate: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: UniqueMap<String>,
}

impl Statement {
    /// Reads verified bytes.
    ///
    /// # Errors
    /// See [`StatementError`]. A predicate that cannot be read is none: the statement says so.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        let text = std::str::from_utf8(bytes).map_err(|_| StatementError::Json("it is not UTF-8".into()))?;
        let json = |error: serde_json::Error| StatementError::Json(error.to_string());
        let AnyUnique = serde_json::from_str(text).map_err(json)?;
        let Object(document): Object<StatementDocument<'_>> = serde_json::from_str(text).map_err(json)?;
        if !matches!(
            document.kind.as_str(),
            "https://in-toto.io/Statement/v0.1" | "https://in-toto.io/Statement/v1"
        ) {
            return Err(StatementError::Type(shown(&document.kind, 80)));
        }
        let mut subjects = Vec::new();
        for (place, Object(subject)) in document.subject.iter().enumerate() {
            for (_, hex) in subject.digest.0.iter().filter(|(algorithm, _)| algorithm == "sha256") {
                let digest = format!("sha256:{hex}").parse();
                subjects.push(digest.map_err(|_| StatementError::Digest(place))?);
            }
        }
        if subjects.is_empty() {
            return Err(StatementError::NoSubject);
        }
        let predicate =
            Predicate::read(&document.predicate_type, document.predicate.map_or("{}", RawValue::get));
        Ok(Self { subjects, predicate_type: document.predicate_type, predicate })
    }
}

/// Families of predicate types that tell what was found, by the URI without scheme and version. Producers
/// write them with and without both.
const SCANS: &[&str] =
    &["cosign.sigstore.dev/attestation/vuln", "in-toto.io/attestation/vuln", "in-toto.io/attestation/vulns"];

/// Families that say of an image what may be against it: none of them approves unless it is read and
/// says so.
const FINDINGS: &[&str] = &[
    "slsa.dev/provenance",
    "slsa.dev/verification_summary",
    "in-toto.io/attestation/test-result",
    "openvex.dev/ns",
    "binaryauthorization.googleapis.com/policy_verification",
];

impl Predicate {
    fn read(kind: &str, text: &str) -> Self {
        let bare = bare(kind);
        let is_of = |families: &[&str]| {
            families.iter().any(|family| {
                bare.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@']))
            })
        };
        let read = match bare.as_str() {
            "slsa.dev/provenance/v0.1" => provenance::v01(text).map(Self::Provenance),
            "slsa.dev/provenance/v0.2" => provenance::v02(text).map(Self::Provenance),
            "slsa.dev/provenance/v1" => provenance::v1(text).map(Self::Provenance),
            "cosign.sigstore.dev/attestation/vuln/v1" | "cosign.sigstore.dev/attestation/vuln" => {
                scan::cosign(text).map(Self::Scan)
            }
            "in-toto.io/attestation/vulns/v0.1"
            | "in-toto.io/attestation/vulns/v0.2"
            | "in-toto.io/attestation/vulns"
            | "in-toto.io/attestation/vuln/v0.1"
            | "in-toto.io/attestation/vuln" => scan::in_toto(text).map(Self::Scan),
            "slsa.dev/verification_summary/v0.1"
            | "slsa.dev/verification_summary/v0.2"
            | "slsa.dev/verification_summary/v1" => verification_summary(text),
            "in-toto.io/attestation/test-result/v0.1" => test_result(text),
            _ if is_of(SCANS) || is_of(FINDINGS) => {
                Err(Trouble(format!("predicate type `{}` is not read by this version", shown(kind, 120))))
            }
            _ => return Self::Other,
        };
        read.unwrap_or_else(|trouble| {
            let why = shown(&trouble.0, 200);
            if is_of(SCANS) { Self::UnreadableScan(why) } else { Self::Unreadable(why) }
        })
    }
}

/// A predicate type without scheme and slashes at its end, in lower case.
fn bare(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    let bare = kind.strip_prefix("https://").or_else(|| kind.strip_prefix("http://")).unwrap_or(&kind);
    bare.trim_end_matches('/').to_owned()
}

/// Why a predicate is unreadable, for people.
struct Trouble(String);

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// Reads an object.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Trouble> {
    let Object(read) = serde_json::from_str(text)?;
    Ok(read)
}

/// SLSA: a verifier's own verdict, `PASSED` or not.
fn verification_summary(text: &str) -> Result<Predicate, Trouble> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Summary {
        #[serde(alias = "verification_result")]
        verification_result: String,
    }
    let Summary { verification_result: result } = object(text)?;
    match result.as_str() {
        "PASSED" => Ok(Predicate::Other),
        _ => Ok(Predicate::Negative(format!("the verification result is `{}`", shown(&result, 40)))),
    }
}

/// In-toto: how tests ended; those with warnings were passed.
fn test_result(text: &str) -> Result<Predicate, Trouble> {
    #[derive(Deserialize)]
    struct TestResult {
        result: String,
    }
    let TestResult { result } = object(text)?;
    match result.as_str() {
        "PASSED" | "WARNED" => Ok(Predicate::Other),
        _ => Ok(Predicate::Negative(format!("the test result is `{}`", shown(&result, 40)))),
    }
}

/// RFC 3339, with any offset; no year before 1970.
fn time(name: &str, text: &str) -> Result<SystemTime, Trouble> {
    let read = document::time(text).filter(|time| *time >= SystemTime::UNIX_EPOCH);
    read.ok_or_else(|| Trouble(format!("`{name}` is `{}`, not a time of RFC 3339", shown(text, 40))))
}
