//! Public keys: PKIX keys in PEM, bound at construction to the algorithm they were declared for.
//!
//! Algorithm names are those of Binary Authorization's `PkixPublicKey.SignatureAlgorithm`; key ids
//! are RFC 6920 URIs over the DER of the key. This version verifies ECDSA P-256 with SHA-256; every
//! other algorithm of that enum is known by name and refused by name.

use std::fmt;

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::der::{Decode as _, asn1::ObjectIdentifier};
use p256::pkcs8::{DecodePublicKey as _, SubjectPublicKeyInfoRef};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::base64;

const MAX_PEM: usize = 16 * 1024;
const MAX_ID: usize = 1024;
const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";

/// A signature algorithm this version verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Algorithm {
    /// ECDSA on NIST P-256 over SHA-256, signatures in ASN.1 DER (FIPS 186-5, RFC 3279).
    #[serde(rename = "ECDSA_P256_SHA256")]
    EcdsaP256Sha256,
}

/// Names of the enum that this version knows and does not verify.
const UNSUPPORTED: &[&str] = &[
    "RSA_PSS_2048_SHA256",
    "RSA_PSS_3072_SHA256",
    "RSA_PSS_4096_SHA256",
    "RSA_PSS_4096_SHA512",
    "RSA_SIGN_PSS_2048_SHA256",
    "RSA_SIGN_PSS_3072_SHA256",
    "RSA_SIGN_PSS_4096_SHA256",
    "RSA_SIGN_PSS_4096_SHA512",
    "RSA_SIGN_PKCS1_2048_SHA256",
    "RSA_SIGN_PKCS1_3072_SHA256",
    "RSA_SIGN_PKCS1_4096_SHA256",
    "RSA_SIGN_PKCS1_4096_SHA512",
    "ECDSA_P384_SHA384",
    "EC_SIGN_P384_SHA384",
    "ECDSA_P521_SHA512",
    "EC_SIGN_P521_SHA512",
    "ML_DSA_65",
];

impl Algorithm {
    /// Reads the enum's spelling (`ECDSA_P256_SHA256`), its alias (`EC_SIGN_P256_SHA256`) or gcloud's
    /// (`ecdsa-p256-sha256`).
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for a name of the enum that is not verified yet,
    /// [`KeyError::UnknownAlgorithm`] for anything else.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let name = text.to_ascii_uppercase().replace('-', "_");
        match name.as_str() {
            "ECDSA_P256_SHA256" | "EC_SIGN_P256_SHA256" => Ok(Self::EcdsaP256Sha256),
            known if UNSUPPORTED.contains(&known) => Err(KeyError::Unsupported(name)),
            _ => Err(KeyError::UnknownAlgorithm(text.chars().take(60).collect())),
        }
    }

    /// The enum's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "ECDSA_P256_SHA256",
        }
    }
}

/// The id a signature names its key by: matched to the letter, never trusted for more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// An id that the attestor document gives.
    ///
    /// # Errors
    /// [`KeyError::Id`] when it is empty, over 1024 bytes, or holds white space or control characters.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bad = text.is_empty()
            || text.len() > MAX_ID
            || text.chars().any(|c| c.is_whitespace() || c.is_control());
        if bad { Err(KeyError::Id(text.chars().take(80).collect())) } else { Ok(Self(text.to_owned())) }
    }

    /// `ni:///sha-256;` and the unpadded URL-safe base64 of SHA-256 of the DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn of_der(der: &[u8]) -> Self {
        Self(format!("ni:///sha-256;{}", base64::encode_url(&Sha256::digest(der))))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not one PEM block of a SubjectPublicKeyInfo, with nothing around it.
    #[error("publicKeyPem must be exactly one `{PEM_BEGIN}` block: {0}")]
    Pem(&'static str),
    /// The DER inside is not a SubjectPublicKeyInfo of its kind.
    #[error("publicKeyPem does not hold a well-formed {0} public key")]
    Malformed(&'static str),
    /// Key and declared algorithm do not go together.
    #[error("signatureAlgorithm is {declared}, but the key is {found}")]
    Mismatch {
        /// What the document says.
        declared: &'static str,
        /// What the PEM holds.
        found: &'static str,
    },
    /// A real algorithm that this version does not verify.
    #[error("signatureAlgorithm {0} is not verified by this version: use ECDSA_P256_SHA256")]
    Unsupported(String),
    /// No algorithm of that name.
    #[error("`{0}` is not a signature algorithm: expected for example ECDSA_P256_SHA256")]
    UnknownAlgorithm(String),
    /// Not usable as an id.
    #[error("`{0}` is not a key id: expected a URI without white space, of at most {MAX_ID} bytes")]
    Id(String),
}

/// A key that signatures are checked with; made only from a PEM block that fits its algorithm.
#[derive(Clone)]
pub struct PublicKey {
    key: VerifyingKey,
    der: Vec<u8>,
}

impl PublicKey {
    /// Reads one PEM block declared to be for `algorithm`.
    ///
    /// # Errors
    /// [`KeyError`]: the PEM is not one clean block, or the key is of another kind or curve.
    pub fn from_pem(pem: &str, algorithm: Algorithm) -> Result<Self, KeyError> {
        let der = der_of_pem(pem)?;
        let found = kind_of(&der)?;
        let Algorithm::EcdsaP256Sha256 = algorithm;
        if found != "EC P-256" {
            return Err(KeyError::Mismatch { declared: algorithm.as_str(), found });
        }
        let key = VerifyingKey::from_public_key_der(&der).map_err(|_| KeyError::Malformed(found))?;
        Ok(Self { key, der })
    }

    /// What kind of key `pem` holds, such as `EC P-256`.
    ///
    /// # Errors
    /// [`KeyError::Pem`] or [`KeyError::Malformed`].
    pub fn kind(pem: &str) -> Result<&'static str, KeyError> {
        kind_of(&der_of_pem(pem)?)
    }

    /// The algorithm it verifies.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        Algorithm::EcdsaP256Sha256
    }

    /// The DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The id the key has unless the document gives another.
    #[must_use]
    pub fn default_id(&self) -> KeyId {
        KeyId::of_der(&self.der)
    }

    /// Whether `signature` (ASN.1 DER) is this key's over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        DerSignature::from_bytes(signature)
            .is_ok_and(|signature| self.key.verify(message, &signature).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.default_id())
    }
}

fn der_of_pem(pem: &str) -> Result<Vec<u8>, KeyError> {
    if pem.len() > MAX_PEM {
        return Err(KeyError::Pem("it is larger than 16 KiB"));
    }
    let text = pem.trim();
    let Some(rest) = text.strip_prefix(PEM_BEGIN) else {
        return Err(KeyError::Pem("something else stands first"));
    };
    let Some((body, after)) = rest.split_once(PEM_END) else {
        return Err(KeyError::Pem("its END line is missing"));
    };
    if !after.is_empty() {
        return Err(KeyError::Pem("there is data after its END line"));
    }
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    if body.contains(['-', '_']) {
        return Err(KeyError::Pem("its body is not base64"));
    }
    base64::decode(&body).ok_or(KeyError::Pem("its body is not base64"))
}

fn kind_of(der: &[u8]) -> Result<&'static str, KeyError> {
    const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
    const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
    const ML_DSA_65: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");

    let info =
        SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::Malformed("SubjectPublicKeyInfo"))?;
    Ok(match info.algorithm.oid {
        EC => match info.algorithm.parameters_oid() {
            Ok(P256) => "EC P-256",
            Ok(P384) => "EC P-384",
            Ok(P521) => "EC P-521",
            _ => "EC on an unsupported curve",
        },
        RSA => "RSA",
        ED25519 => "Ed25519",
        ML_DSA_65 => "ML-DSA-65",
        _ => "of an unsupported kind",
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The P-256 key of the known-answer vectors.
    pub(crate) const P256_PEM: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvgIMsXWHkzCb6RxjV0BrxMypUsr2
IT8UiavysBcN5+KYYzCNoQ4It9Y1KOJuA3j067n4uRtXdYs/pWwLbpaPiQ==
-----END PUBLIC KEY-----
";
    pub(crate) const P256_ID: &str = "ni:///sha-256;brF8RW4OMNJYtiWM4A2K0q3hkfUX-WdkF42aSb0G5oY";
    const GOOGLE_BODY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXnpuYEfvLl1kj4fjxViFRwY1a+zC5qzlf9LJIK+rnjq42tiKGyyXMbnZKJiYPPdMDGyltnkrABnztg2jJ48aYQ==";

    fn p256(pem: &str) -> Result<PublicKey, KeyError> {
        PublicKey::from_pem(pem, Algorithm::EcdsaP256Sha256)
    }

    #[test]
    fn ids_are_over_the_der() {
        assert_eq!(p256(P256_PEM).unwrap().default_id().as_str(), P256_ID);
        let one_line = format!("{PEM_BEGIN}\r\n{GOOGLE_BODY}\r\n{PEM_END}\r\n");
        let id = "ni:///sha-256;EwVxs8fNUAHq9FI2AMfh8WNIXVBuuTMeGtPH72U-I70";
        assert_eq!(p256(&one_line).unwrap().default_id().as_str(), id);
    }

    #[test]
    fn a_pem_is_one_clean_block() {
        let rows = [
            String::new(),
            "not pem".into(),
            format!("{P256_PEM}trailing"),
            format!("{P256_PEM}{P256_PEM}"),
            format!("# comment\n{P256_PEM}"),
            P256_PEM.replace("PUBLIC", "PRIVATE"),
            P256_PEM.replace(PEM_END, ""),
            P256_PEM.replace("MFkw", "MF-w"),
            P256_PEM.replace("MFkw", "M!kw"),
            " ".repeat(20_000),
        ];
        for pem in rows {
            assert!(matches!(p256(&pem), Err(KeyError::Pem(_))), "{pem:?}");
        }
        assert!(matches!(p256(&P256_PEM.replace("MFkw", "AAAA")), Err(KeyError::Malformed(_))));
    }

    #[test]
    fn algorithms_by_name() {
        for name in ["ECDSA_P256_SHA256", "EC_SIGN_P256_SHA256", "ecdsa-p256-sha256"] {
            assert_eq!(Algorithm::parse(name), Ok(Algorithm::EcdsaP256Sha256));
        }
        assert!(matches!(Algorithm::parse("ECDSA_P384_SHA384"), Err(KeyError::Unsupported(_))));
        assert!(matches!(Algorithm::parse("rsa-sign-pkcs1-2048-sha256"), Err(KeyError::Unsupported(_))));
        assert!(matches!(Algorithm::parse("ES256"), Err(KeyError::UnknownAlgorithm(_))));
    }
}
