//! What a `publicKeyPem` holds: one PEM block around one DER SubjectPublicKeyInfo (RFC 5280), told apart by
//! its OIDs.
//!
//! Nothing here computes with a key's numbers: a modulus is measured by its bytes, so that a hostile size
//! is refused before it costs anything. Of each type only the usual parameters are taken, since a key that
//! can be written in several ways would have several ids.

use p256::pkcs8::der::Decode as _;
use p256::pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef};
use rsa::pkcs1::RsaPublicKeyRef;

use super::{KeyError, PEM_BEGIN, PEM_END};
use crate::attestation::algorithm::Kind;
use crate::attestation::base64;

const MAX_PEM: usize = 16 * 1024;

/// A SubjectPublicKeyInfo taken apart.
pub(super) struct Spki<'a> {
    /// What the key is.
    pub(super) kind: Kind,
    /// The key itself, encoded as its type has it.
    pub(super) key: &'a [u8],
}

pub(super) fn der_of_pem(pem: &str) -> Result<Vec<u8>, KeyError> {
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

impl<'a> Spki<'a> {
    /// Takes `der` apart: all of it, with nothing left over.
    pub(super) fn read(der: &'a [u8]) -> Result<Self, KeyError> {
        const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
        const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
        const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
        const ML_DSA_65: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");

        let malformed = KeyError::Malformed("SubjectPublicKeyInfo");
        let Ok(info) = SubjectPublicKeyInfoRef::from_der(der) else { return Err(malformed) };
        let Some(key) = info.subject_public_key.as_bytes() else { return Err(malformed) };
        let kind = match info.algorithm.oid {
            RSA => {
                let null = info.algorithm.parameters.is_some_and(|parameters| parameters.is_null());
                if !null {
                    return Err(KeyError::Parameters { of: "RSA", expected: "NULL" });
                }
                let key = RsaPublicKeyRef::from_der(key).map_err(|_| KeyError::Malformed("RSA"))?;
                Kind::Rsa(bits(key.modulus.as_bytes()))
            }
            RSASSA_PSS => return Err(KeyError::RsassaPss),
            EC => curve(&info.algorithm)?,
            // RFC 9881 section 2.
            ML_DSA_65 if info.algorithm.parameters.is_some() => {
                return Err(KeyError::Parameters { of: "ML-DSA-65", expected: "none" });
            }
            ML_DSA_65 => Kind::MlDsa65,
            other => Kind::Other(other),
        };
        Ok(Self { kind, key })
    }
}

/// The bits of a big-endian number without leading zero bytes, as `UintRef` has it.
fn bits(number: &[u8]) -> usize {
    let leading = number.first().map_or(0, |byte| byte.leading_zeros() as usize);
    number.len() * 8 - leading
}

fn curve(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<Kind, KeyError> {
    const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
    const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

    // A curve that is written out could be one with a trapdoor (RFC 5480 section 2.1.1 forbids it).
    let named = KeyError::Parameters { of: "EC", expected: "the name of a curve" };
    Ok(match algorithm.parameters_oid().map_err(|_| named)? {
        P256 => Kind::P256,
        P384 => Kind::P384,
        P521 => Kind::P521,
        other => Kind::OtherCurve(other),
    })
}
