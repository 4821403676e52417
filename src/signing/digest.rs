//! The digest that an algorithm signs.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::attestation::Algorithm;

/// A hash function of an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// The one that `algorithm` signs a digest of; ML-DSA signs the message itself.
    pub(super) fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::RsaPss2048Sha256
            | Algorithm::RsaPss3072Sha256
            | Algorithm::RsaPss4096Sha256
            | Algorithm::RsaPkcs12048Sha256
            | Algorithm::RsaPkcs13072Sha256
            | Algorithm::RsaPkcs14096Sha256
            | Algorithm::EcdsaP256Sha256 => Some(Self::Sha256),
            Algorithm::EcdsaP384Sha384 => Some(Self::Sha384),
            Algorithm::RsaPss4096Sha512 | Algorithm::RsaPkcs14096Sha512 | Algorithm::EcdsaP521Sha512 => {
                Some(Self::Sha512)
            }
            Algorithm::MlDsa65 => None,
        }
    }

    /// As the JSON of Cloud KMS names it (`Digest`).
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    pub(super) fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha384 => Sha384::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }
}
