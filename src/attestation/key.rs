//! Public keys: PKIX keys in PEM, bound at construction to the algorithm they were declared for.
//!
//! A key whose type, modulus size, curve or parameters are not the algorithm's is refused, and so is
//! anything that is not exactly one SubjectPublicKeyInfo. Key ids are RFC 6920 URIs over its DER.

mod spki;
mod verifying;

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use self::spki::Spki;
use self::verifying::{Encoding, Verifying};
use super::algorithm::{Algorithm, Kind};
use super::base64;

const MAX_ID: usize = 1024;
const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";

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
    /// The DER inside is not a SubjectPublicKeyInfo of its kind, or its point is not on the curve.
    #[error("publicKeyPem does not hold a well-formed {0} public key")]
    Malformed(&'static str),
    /// The parameters beside the OID of the key's type are not those that belong there.
    #[error("publicKeyPem holds an {of} key with wrong algorithm parameters: expected {expected}")]
    Parameters {
        /// The type of key.
        of: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A key that is marked for PSS by its own OID, with constraints that no algorithm of the enum names.
    #[error(
        "publicKeyPem holds an RSASSA-PSS key (1.2.840.113549.1.1.10): PSS, too, is declared for a plain RSA key (1.2.840.113549.1.1.1)"
    )]
    RsassaPss,
    /// RSA numbers that would make signatures cheap to forge or dear to check.
    #[error("publicKeyPem holds an RSA key with {0}")]
    Rsa(&'static str),
    /// Key and declared algorithm do not go together.
    #[error("signatureAlgorithm is {declared}, but the key is {found}")]
    Mismatch {
        /// What the document says.
        declared: Algorithm,
        /// What the PEM holds.
        found: Kind,
    },
    /// A kind of key that no algorithm takes.
    #[error(
        "the key is {0}, which no signature algorithm is for: expected RSA of 2048, 3072 or 4096 bits, EC P-256, P-384 or P-521, or ML-DSA-65"
    )]
    Unusable(Kind),
    /// No algorithm of that name.
    #[error("`{0}` is not a signature algorithm: expected one of {names}", names = names())]
    UnknownAlgorithm(String),
    /// Not usable as an id.
    #[error("`{0}` is not a key id: expected a URI without white space, of at most {MAX_ID} bytes")]
    Id(String),
}

fn names() -> String {
    Algorithm::ALL.iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>().join(", ")
}

/// What checking a signature came to.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It is this key's over the message.
    Holds,
    /// It is not.
    Fails,
    /// Not even the shape of a signature of this kind: its length, its encoding or the range of its
    /// numbers is wrong. Nothing was computed.
    Malformed,
}

/// A key that signatures are checked with; made only from a PEM block that fits its algorithm.
#[derive(Clone)]
pub struct PublicKey {
    key: Verifying,
    algorithm: Algorithm,
    der: Vec<u8>,
}

impl PublicKey {
    /// Reads one PEM block declared to be for `algorithm`.
    ///
    /// # Errors
    /// [`KeyError`]: the PEM is not one clean block, the key is of another kind, size or curve, or no
    /// honest maker would have made it.
    pub fn from_pem(pem: &str, algorithm: Algorithm) -> Result<Self, KeyError> {
        let der = spki::der_of_pem(pem)?;
        let Spki { kind, key } = Spki::read(&der)?;
        if kind != algorithm.kind() {
            return Err(KeyError::Mismatch { declared: algorithm, found: kind });
        }
        let key = Verifying::new(algorithm, key)?;
        Ok(Self { key, algorithm, der })
    }

    /// What kind of key `pem` holds; that it can be used is not said.
    ///
    /// # Errors
    /// [`KeyError`]: the PEM is not one clean block, or holds no SubjectPublicKeyInfo of its type.
    pub fn kind(pem: &str) -> Result<Kind, KeyError> {
        Ok(Spki::read(&spki::der_of_pem(pem)?)?.kind)
    }

    /// The algorithm it verifies.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
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

    /// Whether `signature` is this key's over `message`, written as gcloud, openssl and Cloud KMS write it:
    /// ECDSA in ASN.1 DER.
    ///
    /// RSA signatures are as long as the modulus, those of ML-DSA-65 have 3309 bytes. PSS is taken with a
    /// salt of any length.
    pub fn check(&self, message: &[u8], signature: &[u8]) -> Check {
        self.check_lazily(|| message, signature)
    }

    /// The same over a message that is made only for what has the shape of a signature.
    pub(super) fn check_lazily<M: AsRef<[u8]>>(
        &self,
        message: impl FnOnce() -> M,
        signature: &[u8],
    ) -> Check {
        self.key.check(message, signature, Encoding::Der)
    }

    /// The same for a signature as JWS has it (RFC 7518): ECDSA as `r` and `s` of fixed length.
    pub fn check_jws(&self, message: &[u8], signature: &[u8]) -> Check {
        self.key.check(|| message, signature, Encoding::Fixed)
    }

    /// Whether [`check`](Self::check) holds.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.check(message, signature) == Check::Holds
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.default_id())
    }
}

#[cfg(test)]
pub(crate) mod tests;
