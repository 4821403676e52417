//! The keys that check, one variant for each scheme and hash; the padding and the arithmetic are the
//! crates'.

use ml_dsa::{EncodedVerifyingKey, MlDsa65};
use p256::ecdsa::signature::Verifier;
use rsa::pkcs1::RsaPublicKeyRef;
use rsa::pkcs8::der::Decode as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{BoxedUint, pkcs1v15, pss};
use sha2::{Sha256, Sha512};

use super::{Check, KeyError};
use crate::attestation::algorithm::Algorithm;

/// How an ECDSA signature is written; the other schemes have one way.
#[derive(Clone, Copy)]
pub(super) enum Encoding {
    /// ASN.1 DER `SEQUENCE { r, s }` (RFC 3279 section 2.2.3).
    Der,
    /// `r` and `s` one after the other, each as long as the curve's field (RFC 7518 section 3.4).
    Fixed,
}

/// A key bound to scheme and hash.
#[derive(Clone)]
pub(super) enum Verifying {
    Pkcs1Sha256(pkcs1v15::VerifyingKey<Sha256>),
    Pkcs1Sha512(pkcs1v15::VerifyingKey<Sha512>),
    PssSha256(pss::VerifyingKey<Sha256>),
    PssSha512(pss::VerifyingKey<Sha512>),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
    MlDsa65(Box<ml_dsa::VerifyingKey<MlDsa65>>),
}

impl Verifying {
    /// Reads a key that is of the algorithm's kind already.
    pub(super) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, KeyError> {
        Ok(match algorithm {
            Algorithm::RsaPkcs12048Sha256 | Algorithm::RsaPkcs13072Sha256 | Algorithm::RsaPkcs14096Sha256 => {
                Self::Pkcs1Sha256(pkcs1v15::VerifyingKey::new(rsa_key(key)?))
            }
            Algorithm::RsaPkcs14096Sha512 => Self::Pkcs1Sha512(pkcs1v15::VerifyingKey::new(rsa_key(key)?)),
            // Cloud KMS salts with as many bytes as the hash has, Kritis with as many as fit. The hash
            // covers the salt, so its length need not be agreed on.
            Algorithm::RsaPss2048Sha256 | Algorithm::RsaPss3072Sha256 | Algorithm::RsaPss4096Sha256 => {
                Self::PssSha256(pss::VerifyingKey::new_with_auto_salt_len(rsa_key(key)?))
            }
            Algorithm::RsaPss4096Sha512 => {
                Self::PssSha512(pss::VerifyingKey::new_with_auto_salt_len(rsa_key(key)?))
            }
            Algorithm::EcdsaP256Sha256 => Self::P256(point(key, p256::ecdsa::VerifyingKey::from_sec1_bytes)?),
            Algorithm::EcdsaP384Sha384 => Self::P384(point(key, p384::ecdsa::VerifyingKey::from_sec1_bytes)?),
            Algorithm::EcdsaP521Sha512 => Self::P521(point(key, p521::ecdsa::VerifyingKey::from_sec1_bytes)?),
            Algorithm::MlDsa65 => {
                let key = EncodedVerifyingKey::<MlDsa65>::try_from(key)
                    .map_err(|_| KeyError::Malformed("ML-DSA-65"))?;
                Self::MlDsa65(Box::new(ml_dsa::VerifyingKey::decode(&key)))
            }
        })
    }

    /// The message is made once the signature has turned out to have the shape of one.
    pub(super) fn check<M: AsRef<[u8]>>(
        &self,
        message: impl FnOnce() -> M,
        signature: &[u8],
        encoding: Encoding,
    ) -> Check {
        use Encoding::{Der, Fixed};
        match (self, encoding) {
            (Self::Pkcs1Sha256(key), _) => holds(key, message, pkcs1_signature(signature, key.as_ref())),
            (Self::Pkcs1Sha512(key), _) => holds(key, message, pkcs1_signature(signature, key.as_ref())),
            (Self::PssSha256(key), _) => holds(key, message, pss_signature(signature, key.as_ref())),
            (Self::PssSha512(key), _) => holds(key, message, pss_signature(signature, key.as_ref())),
            (Self::P256(key), Der) => holds(key, message, p256::ecdsa::Signature::from_der(signature).ok()),
            (Self::P256(key), Fixed) => {
                holds(key, message, p256::ecdsa::Signature::from_slice(signature).ok())
            }
            (Self::P384(key), Der) => holds(key, message, p384::ecdsa::Signature::from_der(signature).ok()),
            (Self::P384(key), Fixed) => {
                holds(key, message, p384::ecdsa::Signature::from_slice(signature).ok())
            }
            (Self::P521(key), Der) => holds(key, message, p521::ecdsa::Signature::from_der(signature).ok()),
            (Self::P521(key), Fixed) => {
                holds(key, message, p521::ecdsa::Signature::from_slice(signature).ok())
            }
            (Self::MlDsa65(key), _) => {
                holds(key.as_ref(), message, ml_dsa::Signature::<MlDsa65>::try_from(signature).ok())
            }
        }
    }
}

fn holds<S, M: AsRef<[u8]>>(
    key: &impl Verifier<S>,
    message: impl FnOnce() -> M,
    signature: Option<S>,
) -> Check {
    let Some(signature) = signature else { return Check::Malformed };
    if key.verify(message().as_ref(), &signature).is_ok() { Check::Holds } else { Check::Fails }
}

fn pkcs1_signature(signature: &[u8], key: &rsa::PublicKey) -> Option<pkcs1v15::Signature> {
    if signature.len() == key.size() { signature.try_into().ok() } else { None }
}

fn pss_signature(signature: &[u8], key: &rsa::PublicKey) -> Option<pss::Signature> {
    if signature.len() == key.size() { signature.try_into().ok() } else { None }
}

fn rsa_key(key: &[u8]) -> Result<rsa::PublicKey, KeyError> {
    let key = RsaPublicKeyRef::from_der(key).map_err(|_| KeyError::Malformed("RSA"))?;
    let number = |bytes: &[u8]| {
        let bits = u32::try_from(bytes.len() * 8).map_err(|_| KeyError::Malformed("RSA"))?;
        BoxedUint::from_be_slice(bytes, bits).map_err(|_| KeyError::Malformed("RSA"))
    };
    let (modulus, exponent) = (number(key.modulus.as_bytes())?, number(key.public_exponent.as_bytes())?);
    rsa::PublicKey::new(modulus, exponent).map_err(|error| match error {
        rsa::Error::InvalidModulus => {
            KeyError::Rsa("an even modulus, or one that is no larger than its exponent")
        }
        rsa::Error::InvalidExponent => KeyError::Rsa("an even exponent"),
        rsa::Error::PublicExponentTooSmall => KeyError::Rsa("an exponent below 3"),
        rsa::Error::PublicExponentTooLarge => KeyError::Rsa("an exponent of 2^33 or more"),
        _ => KeyError::Malformed("RSA"),
    })
}

/// A point, whole or compressed (RFC 5480 section 2.2); SEC 1 has further ways to write one.
fn point<K, E>(key: &[u8], read: fn(&[u8]) -> Result<K, E>) -> Result<K, KeyError> {
    let Some(2..=4) = key.first() else { return Err(KeyError::Malformed("EC")) };
    read(key).map_err(|_| KeyError::Malformed("EC"))
}
