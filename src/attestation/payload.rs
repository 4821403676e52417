//! The simple-signing payload: what gcloud signs, and what a verified signature turns out to say.
//!
//! Format: containers-signature(5), with gcloud's exact serialisation. [`Claim::parse`] is called by
//! `verify` on bytes whose signature has held, and by nobody before.

use serde::Deserialize;

use crate::document::{AnyUnique, Object};
use crate::image::Digest;

/// `critical.type` of payloads made by gcloud and by this project.
pub const GCLOUD_TYPE: &str = "Google cloud binauthz container signature";

/// The media type of the payload: under which it is signed where a signature names one (cosign).
pub const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// `critical.type` values that count, compared without regard to ASCII case: gcloud, Kritis, cosign.
const TYPES: &[&str] = &[GCLOUD_TYPE, "atomic container signature", "cosign container image signature"];

/// What a payload says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The image that was attested: the authority over where the occurrence was filed.
    pub digest: Digest,
    /// Where the signer saw it. Compared only where the attestor asks for it: the same bytes may lie in any
    /// registry.
    pub docker_reference: String,
}

/// Why verified bytes are not a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Not the JSON that belongs here.
    #[error("the signed payload is not a simple-signing document: {0}")]
    Json(String),
    /// A document of another purpose.
    #[error("the signed payload has type `{0}`, which is not an attestation")]
    Type(String),
    /// Its digest is none.
    #[error("the signed payload names no sha256 digest")]
    Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    critical: Object<Critical>,
    /// Any members, also absent or null; read to find duplicates.
    #[serde(default, rename = "optional")]
    _optional: Option<OptionalMembers>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Object<Identity>,
    image: Object<Image>,
    r#type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

type OptionalMembers = crate::document::UniqueMap<AnyUnique>;

impl Claim {
    /// Reads verified bytes, strictly: duplicate members, wrong types and members that nobody knows
    /// refuse.
    ///
    /// # Errors
    /// See [`PayloadError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PayloadError> {
        let Object(payload): Object<Payload> =
            serde_json::from_slice(bytes).map_err(|error| PayloadError::Json(error.to_string()))?;
        let Object(critical) = payload.critical;
        if !TYPES.iter().any(|known| known.eq_ignore_ascii_case(&critical.r#type)) {
            return Err(PayloadError::Type(critical.r#type.chars().take(80).collect()));
        }
        let digest = critical.image.0.docker_manifest_digest.parse().map_err(|_| PayloadError::Digest)?;
        Ok(Self { digest, docker_reference: critical.identity.0.docker_reference })
    }
}

/// The payload that `gcloud container binauthz create-signature-payload` prints, byte for byte, with
/// the newline at its end.
///
/// `docker_reference` is the repository as it was written, without scheme, tag and digest; it is
/// plain ASCII by the grammar of references, so nothing in it needs escaping.
#[must_use]
pub fn gcloud(docker_reference: &str, digest: Digest) -> String {
    format!(
        r#"{{
  "critical": {{
    "identity": {{
      "docker-reference": "{docker_reference}"
    }},
    "image": {{
      "docker-manifest-digest": "{digest}"
    }},
    "type": "{GCLOUD_TYPE}"
  }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:abababababababababababababababababababababababababababababababab";

    fn compact(critical: &str, rest: &str) -> String {
        format!(r#"{{"critical":{{{critical}}}{rest}}}"#)
    }

    fn members(digest: &str, kind: &str) -> String {
        format!(
            r#""identity":{{"docker-reference":"r"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"{kind}""#
        )
    }

    #[test]
    fn gcloud_bytes() {
        let payload = gcloud("registry.example.com/team/app", D.parse().unwrap());
        assert_eq!(payload.len(), 291);
        let hash = "sha256:31339645182b869cf0f1a4445601cef90b484b335d7dd6ca84a6b65760a9533d";
        assert_eq!(Digest::of(payload.as_bytes()).to_string(), hash);
        assert_eq!(Claim::parse(payload.as_bytes()).unwrap().digest.to_string(), D);
    }

    /// What signers write, byte for byte.
    #[test]
    fn other_producers() {
        let rows = [
            // Kritis and voucher: compact Go.
            compact(&members(D, "atomic container signature"), ""),
            compact(&members(D, GCLOUD_TYPE), ""),
            // Google's guide to continuous validation, by hand.
            compact(&members(D, "Google Cloud BinAuthz container signature"), ""),
            // cosign, without annotations and with those of `-a`.
            compact(&members(D, "cosign container image signature"), r#","optional":null"#),
            compact(
                &members(D, "cosign container image signature"),
                r#","optional":{"creator":"cosign/v2.4.1","timestamp":1735787045}"#,
            ),
            compact(
                &members(D, "cosign container image signature"),
                r#","optional":{"a":{"b":[1,2.5,-1,true,null]}}"#,
            ),
            compact(&members(D, "cosign container image signature"), r#","optional":{}"#),
        ];
        for row in rows {
            let claim = Claim::parse(row.as_bytes()).unwrap();
            assert_eq!(
                (claim.digest.to_string().as_str(), claim.docker_reference.as_str()),
                (D, "r"),
                "{row}"
            );
        }
    }

    #[test]
    fn refused() {
        let good = members(D, GCLOUD_TYPE);
        let double = format!(r#"{good},"type":"{GCLOUD_TYPE}""#);
        let image_twice = good.replace(
            r#""docker-manifest-digest""#,
            &format!(r#""docker-manifest-digest":"{D}","docker-manifest-digest""#),
        );
        let rows = [
            (String::new(), "not a simple-signing"),
            ("[]".into(), "not a simple-signing"),
            (format!(r#"[[["r"],["{D}"],"{GCLOUD_TYPE}"]]"#), "expected an object"),
            (format!(r#"{{"critical":[["r"],["{D}"],"{GCLOUD_TYPE}"]}}"#), "expected an object"),
            (compact(&double, ""), "duplicate field"),
            (compact(&image_twice, ""), "duplicate field"),
            (compact(&format!(r#"{good},"x":1"#), ""), "unknown field"),
            (compact(&good, r#","x":1"#), "unknown field"),
            (compact(&good, r#","optional":5"#), "invalid type"),
            (compact(&good, r#","optional":{"a":1,"a":2}"#), "duplicate key"),
            (compact(&good, r#","optional":{"a":{"b":1,"b":2}}"#), "duplicate key"),
            (compact(&good, "") + "x", "trailing"),
            (compact(&good, r#","optional":{},"optional":null"#), "duplicate field"),
            (compact(&good.replace("\"type\"", "\"Type\""), ""), "unknown field"),
            (compact(&good.replace(&format!("\"{D}\""), "null"), ""), "invalid type"),
            (compact(&good.replace(r#""docker-reference":"r""#, ""), ""), "missing field"),
            // The example in cosign's specification, which nobody writes.
            (compact(&good.replace("docker-manifest", "Docker-manifest"), ""), "unknown field"),
            (compact(&members(D, "something else"), ""), "not an attestation"),
            (compact(&members(&D.replace('a', "A"), GCLOUD_TYPE), ""), "no sha256 digest"),
            (compact(&members("sha512:ab", GCLOUD_TYPE), ""), "no sha256 digest"),
        ];
        for (text, part) in rows {
            let error = Claim::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{text} gave {error:?}, which lacks {part:?}");
        }
    }

    proptest::proptest! {
        /// Whatever is changed or cut, a parser answers.
        #[test]
        fn spoilt_payloads_are_refused_or_read(place in 0usize..400, byte: u8, end in 0usize..400) {
            let optional = r#","optional":{"creator":"c","timestamp":1}"#;
            let mut bytes = compact(&members(D, GCLOUD_TYPE), optional).into_bytes();
            if let Some(old) = bytes.get_mut(place) {
                *old = byte;
            }
            let _ = Claim::parse(&bytes);
            bytes.truncate(end);
            let _ = Claim::parse(&bytes);
        }
    }
}
