//! Signature algorithms: the names of Binary Authorization's `PkixPublicKey.SignatureAlgorithm`, and the
//! one kind of key that each goes with.
//!
//! A name binds padding, hash, key type, modulus size and curve at once. Anything that leaves one of them
//! open, such as `SIGNATURE_ALGORITHM_UNSPECIFIED`, is refused.

use std::fmt;

use p256::pkcs8::ObjectIdentifier;
use serde::{Serialize, Serializer};

use super::key::KeyError;

/// A signature algorithm over a PKIX key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PSS, 2048 bits, SHA-256 (RFC 8017).
    RsaPss2048Sha256,
    /// RSASSA-PSS, 3072 bits, SHA-256.
    RsaPss3072Sha256,
    /// RSASSA-PSS, 4096 bits, SHA-256.
    RsaPss4096Sha256,
    /// RSASSA-PSS, 4096 bits, SHA-512.
    RsaPss4096Sha512,
    /// RSASSA-PKCS1-v1_5, 2048 bits, SHA-256 (RFC 8017).
    RsaPkcs12048Sha256,
    /// RSASSA-PKCS1-v1_5, 3072 bits, SHA-256.
    RsaPkcs13072Sha256,
    /// RSASSA-PKCS1-v1_5, 4096 bits, SHA-256.
    RsaPkcs14096Sha256,
    /// RSASSA-PKCS1-v1_5, 4096 bits, SHA-512.
    RsaPkcs14096Sha512,
    /// ECDSA on NIST P-256, SHA-256 (FIPS 186-5).
    EcdsaP256Sha256,
    /// ECDSA on NIST P-384, SHA-384.
    EcdsaP384Sha384,
    /// ECDSA on NIST P-521, SHA-512.
    EcdsaP521Sha512,
    /// ML-DSA-65 over the message itself, with an empty context (FIPS 204).
    MlDsa65,
}

impl Algorithm {
    /// All of them, in the order of the enum's numbers.
    pub const ALL: &[Self] = &[
        Self::RsaPss2048Sha256,
        Self::RsaPss3072Sha256,
        Self::RsaPss4096Sha256,
        Self::RsaPss4096Sha512,
        Self::RsaPkcs12048Sha256,
        Self::RsaPkcs13072Sha256,
        Self::RsaPkcs14096Sha256,
        Self::RsaPkcs14096Sha512,
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::EcdsaP521Sha512,
        Self::MlDsa65,
    ];

    /// Reads the enum's spelling (`ECDSA_P256_SHA256`), its alias (`EC_SIGN_P256_SHA256`,
    /// `RSA_SIGN_PSS_2048_SHA256`) or gcloud's spelling of either (`ecdsa-p256-sha256`).
    ///
    /// # Errors
    /// [`KeyError::UnknownAlgorithm`] for anything else.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let unknown = || KeyError::UnknownAlgorithm(text.chars().take(60).collect());
        let name = text.to_ascii_uppercase().replace('-', "_");
        let named =
            |algorithm: &&Self| algorithm.as_str() == name || algorithm.alias() == Some(name.as_str());
        Self::ALL.iter().find(named).copied().ok_or_else(unknown)
    }

    /// The enum's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RsaPss2048Sha256 => "RSA_PSS_2048_SHA256",
            Self::RsaPss3072Sha256 => "RSA_PSS_3072_SHA256",
            Self::RsaPss4096Sha256 => "RSA_PSS_4096_SHA256",
            Self::RsaPss4096Sha512 => "RSA_PSS_4096_SHA512",
            Self::RsaPkcs12048Sha256 => "RSA_SIGN_PKCS1_2048_SHA256",
            Self::RsaPkcs13072Sha256 => "RSA_SIGN_PKCS1_3072_SHA256",
            Self::RsaPkcs14096Sha256 => "RSA_SIGN_PKCS1_4096_SHA256",
            Self::RsaPkcs14096Sha512 => "RSA_SIGN_PKCS1_4096_SHA512",
            Self::EcdsaP256Sha256 => "ECDSA_P256_SHA256",
            Self::EcdsaP384Sha384 => "ECDSA_P384_SHA384",
            Self::EcdsaP521Sha512 => "ECDSA_P521_SHA512",
            Self::MlDsa65 => "ML_DSA_65",
        }
    }

    /// The second name that the enum has for the same number; PKCS1 and ML-DSA have none.
    fn alias(self) -> Option<&'static str> {
        match self {
            Self::RsaPss2048Sha256 => Some("RSA_SIGN_PSS_2048_SHA256"),
            Self::RsaPss3072Sha256 => Some("RSA_SIGN_PSS_3072_SHA256"),
            Self::RsaPss4096Sha256 => Some("RSA_SIGN_PSS_4096_SHA256"),
            Self::RsaPss4096Sha512 => Some("RSA_SIGN_PSS_4096_SHA512"),
            Self::EcdsaP256Sha256 => Some("EC_SIGN_P256_SHA256"),
            Self::EcdsaP384Sha384 => Some("EC_SIGN_P384_SHA384"),
            Self::EcdsaP521Sha512 => Some("EC_SIGN_P521_SHA512"),
            Self::RsaPkcs12048Sha256
            | Self::RsaPkcs13072Sha256
            | Self::RsaPkcs14096Sha256
            | Self::RsaPkcs14096Sha512
            | Self::MlDsa65 => None,
        }
    }

    /// What a JWS header calls it in `alg` (RFC 7518 section 3.1; for ML-DSA-65 the JOSE registry).
    /// Modulus sizes share a name.
    #[must_use]
    pub fn jws(self) -> &'static str {
        match self {
            Self::RsaPss2048Sha256 | Self::RsaPss3072Sha256 | Self::RsaPss4096Sha256 => "PS256",
            Self::RsaPss4096Sha512 => "PS512",
            Self::RsaPkcs12048Sha256 | Self::RsaPkcs13072Sha256 | Self::RsaPkcs14096Sha256 => "RS256",
            Self::RsaPkcs14096Sha512 => "RS512",
            Self::EcdsaP256Sha256 => "ES256",
            Self::EcdsaP384Sha384 => "ES384",
            Self::EcdsaP521Sha512 => "ES512",
            Self::MlDsa65 => "ML-DSA-65",
        }
    }

    /// The kind of key it goes with.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::RsaPss2048Sha256 | Self::RsaPkcs12048Sha256 => Kind::Rsa(2048),
            Self::RsaPss3072Sha256 | Self::RsaPkcs13072Sha256 => Kind::Rsa(3072),
            Self::RsaPss4096Sha256
            | Self::RsaPss4096Sha512
            | Self::RsaPkcs14096Sha256
            | Self::RsaPkcs14096Sha512 => Kind::Rsa(4096),
            Self::EcdsaP256Sha256 => Kind::P256,
            Self::EcdsaP384Sha384 => Kind::P384,
            Self::EcdsaP521Sha512 => Kind::P521,
            Self::MlDsa65 => Kind::MlDsa65,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What a SubjectPublicKeyInfo says that its key is; reads as the end of "the key is".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RSA, with the bits of the modulus.
    Rsa(usize),
    /// EC on NIST P-256 (secp256r1).
    P256,
    /// EC on NIST P-384 (secp384r1).
    P384,
    /// EC on NIST P-521 (secp521r1).
    P521,
    /// EC on a curve that no algorithm uses.
    OtherCurve(ObjectIdentifier),
    /// ML-DSA-65.
    MlDsa65,
    /// A type of key that no algorithm uses.
    Other(ObjectIdentifier),
}

impl Kind {
    /// The algorithm to take for a key that comes without one: PKCS1 with SHA-256 for RSA, which is what
    /// tools make unless they are told otherwise. `None` when no algorithm takes such a key.
    #[must_use]
    pub fn usual_algorithm(self) -> Option<Algorithm> {
        match self {
            Self::Rsa(2048) => Some(Algorithm::RsaPkcs12048Sha256),
            Self::Rsa(3072) => Some(Algorithm::RsaPkcs13072Sha256),
            Self::Rsa(4096) => Some(Algorithm::RsaPkcs14096Sha256),
            Self::P256 => Some(Algorithm::EcdsaP256Sha256),
            Self::P384 => Some(Algorithm::EcdsaP384Sha384),
            Self::P521 => Some(Algorithm::EcdsaP521Sha512),
            Self::MlDsa65 => Some(Algorithm::MlDsa65),
            Self::Rsa(_) | Self::OtherCurve(_) | Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
        match self {
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::P256 => f.write_str("EC P-256"),
            Self::P384 => f.write_str("EC P-384"),
            Self::P521 => f.write_str("EC P-521"),
            Self::OtherCurve(oid) => write!(f, "EC on the curve {oid}"),
            Self::MlDsa65 => f.write_str("ML-DSA-65"),
            Self::Other(ED25519) => f.write_str("Ed25519"),
            Self::Other(oid) => write!(f, "of the type {oid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        for &algorithm in Algorithm::ALL {
            for name in [Some(algorithm.as_str()), algorithm.alias()].into_iter().flatten() {
                let kebab = name.to_ascii_lowercase().replace('_', "-");
                assert_eq!(Algorithm::parse(name), Ok(algorithm));
                assert_eq!(Algorithm::parse(&kebab), Ok(algorithm));
            }
            assert_eq!(serde_json::json!(algorithm), algorithm.as_str());
            assert_eq!(algorithm.kind().usual_algorithm().unwrap().kind(), algorithm.kind());
        }
        let rows = [
            ("rsa-sign-pkcs1-2048-sha256", Algorithm::RsaPkcs12048Sha256, "RS256"),
            ("rsa-pss-4096-sha256", Algorithm::RsaPss4096Sha256, "PS256"),
            ("rsa-sign-pss-4096-sha512", Algorithm::RsaPss4096Sha512, "PS512"),
            ("RSA_SIGN_PKCS1_4096_SHA512", Algorithm::RsaPkcs14096Sha512, "RS512"),
            ("ec-sign-p256-sha256", Algorithm::EcdsaP256Sha256, "ES256"),
            ("EC_SIGN_P384_SHA384", Algorithm::EcdsaP384Sha384, "ES384"),
            ("ecdsa-p521-sha512", Algorithm::EcdsaP521Sha512, "ES512"),
            ("ml-dsa-65", Algorithm::MlDsa65, "ML-DSA-65"),
        ];
        for (name, algorithm, jws) in rows {
            assert_eq!(Algorithm::parse(name), Ok(algorithm));
            assert_eq!(algorithm.jws(), jws);
        }
    }

    #[test]
    fn other_names_are_answered_with_what_is_expected() {
        let long = "x".repeat(1000);
        let rows = [
            "",
            "SIGNATURE_ALGORITHM_UNSPECIFIED",
            "signature-algorithm-unspecified",
            "RSA_SIGN_PKCS1_2048_SHA512",
            "RSA_PKCS1_2048_SHA256",
            "RSA_PSS_2048_SHA512",
            "ECDSA_P256_SHA384",
            "EC_SIGN_P521_SHA384",
            "EC_SIGN_SECP256K1_SHA256",
            "ML_DSA_87",
            "ES256",
            " ECDSA_P256_SHA256",
            &long,
        ];
        for text in rows {
            let error = Algorithm::parse(text).unwrap_err();
            assert!(matches!(error, KeyError::UnknownAlgorithm(_)), "{text}");
            let message = error.to_string();
            assert!(message.len() < 500, "{message}");
            for algorithm in Algorithm::ALL {
                assert!(message.contains(algorithm.as_str()), "{message} lacks {algorithm}");
            }
        }
    }
}
