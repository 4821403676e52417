//! One key of a certificate that may sign messages, from when to when; and what is asked of key and
//! signature alike.

use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureVersion, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{
    EcdsaPublicParams, EddsaLegacyPublicParams, Fingerprint, KeyDetails, KeyId, PublicParams, RsaPublicParams,
};

use super::PgpMiss;

/// RSA, in bits.
const MODULUS: std::ops::RangeInclusive<u16> = 2048..=4096;

/// How signatures name a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    fingerprint: Fingerprint,
    id: KeyId,
}

impl Name {
    pub(super) fn of(key: &impl KeyDetails) -> Self {
        Self { fingerprint: key.fingerprint(), id: key.legacy_key_id() }
    }

    pub(super) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// The eight octets that one-pass signatures hold.
    pub(super) fn is_id(&self, octets: &[u8]) -> bool {
        self.id.as_ref() == octets
    }

    /// Every issuer that the signature names is this key, and it names one.
    pub(super) fn issued(&self, signature: &Signature) -> bool {
        let (fingerprints, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
        !(fingerprints.is_empty() && ids.is_empty())
            && fingerprints.into_iter().all(|fingerprint| *fingerprint == self.fingerprint)
            && ids.into_iter().all(|id| *id == self.id)
    }

    /// Nothing that the signature says makes it somebody else's.
    pub(super) fn may_have_issued(&self, signature: &Signature) -> bool {
        let (fingerprints, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
        (fingerprints.is_empty() && ids.is_empty())
            || fingerprints.into_iter().any(|fingerprint| *fingerprint == self.fingerprint)
            || ids.into_iter().any(|id| *id == self.id)
    }
}

#[derive(Debug, Clone)]
pub(super) enum Key {
    Primary(PublicKey),
    Subkey(PublicSubkey),
}

/// A key that may sign, and when its signatures count. Times are seconds since 1970.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    pub(super) name: Name,
    pub(super) key: Key,
    pub(super) created: u32,
    pub(super) algorithm: PublicKeyAlgorithm,
    /// Octets of the shortest digest that is accepted with this key.
    pub(super) least_digest: usize,
    /// Its own expiry or the primary key's, whichever is first.
    pub(super) expires: Option<u64>,
    /// From when on it is revoked, itself or with the primary key; 0 voids all.
    pub(super) revoked: Option<u32>,
}

impl Signer {
    /// As [`Toil::checks`](super::Toil) counts.
    pub(super) fn slowness(&self) -> usize {
        match &self.key {
            Key::Primary(key) => slowness(key.public_params()),
            Key::Subkey(key) => slowness(key.public_params()),
        }
    }

    /// Whether the signature, which names this key, holds over `literal` and was made in time.
    pub(super) fn check(&self, signature: &Signature, literal: &[u8]) -> Result<(), PgpMiss> {
        let refused = |cause: String| Err(PgpMiss::Unsupported(cause));
        if let Err(cause) = legible(signature, self.algorithm) {
            return refused(cause);
        }
        let Some(hash) = signature.hash_alg() else { return refused("no hash".to_owned()) };
        if !strong(hash) {
            return refused(format!("a signature over {hash}"));
        }
        if hash.digest_size().is_none_or(|octets| octets < self.least_digest) {
            return refused(format!("a signature over {hash}, which is too short for the key"));
        }
        let Some(made) = signature.created().map(|time| time.as_secs()) else {
            return Err(PgpMiss::Malformed("the signature does not say when it was made".to_owned()));
        };
        if made < self.created {
            return Err(PgpMiss::Malformed("the signature is older than the key".to_owned()));
        }
        let verified = match &self.key {
            Key::Primary(key) => signature.verify(key, literal),
            Key::Subkey(key) => signature.verify(key, literal),
        };
        if verified.is_err() {
            return Err(PgpMiss::BadSignature);
        }
        if self.revoked.is_some_and(|from| made >= from) {
            return Err(PgpMiss::Revoked);
        }
        if self.expires.is_some_and(|expires| u64::from(made) >= expires) {
            return Err(PgpMiss::Expired);
        }
        Ok(())
    }
}

/// The shortest digest for a key of an accepted kind, or the kind that is not accepted.
pub(super) fn least_digest(key: &impl KeyDetails) -> Result<usize, String> {
    match key.public_params() {
        PublicParams::RSA(modulus) if key.algorithm() != PublicKeyAlgorithm::RSAEncrypt => {
            let bits = bits(modulus);
            if MODULUS.contains(&bits) { Ok(32) } else { Err(format!("RSA of {bits} bits")) }
        }
        PublicParams::ECDSA(EcdsaPublicParams::P256 { .. })
        | PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Ed25519 { .. })
        | PublicParams::Ed25519(_) => Ok(32),
        PublicParams::ECDSA(EcdsaPublicParams::P384 { .. }) => Ok(48),
        PublicParams::ECDSA(EcdsaPublicParams::P521 { .. }) => Ok(64),
        PublicParams::ECDSA(other) => Err(format!("ECDSA on {}", other.curve().name())),
        _ => Err(format!("{:?}", key.algorithm())),
    }
}

fn bits(modulus: &RsaPublicParams) -> u16 {
    // They are counted in the first two octets.
    let octets = modulus.to_bytes().unwrap_or_default();
    octets.first_chunk().map_or(0, |bits| u16::from_be_bytes(*bits))
}

/// Measured; the curves are of an older generation than those of PKIX keys.
fn slowness(params: &PublicParams) -> usize {
    match params {
        PublicParams::ECDSA(EcdsaPublicParams::P521 { .. }) => 8,
        PublicParams::ECDSA(EcdsaPublicParams::P384 { .. }) => 6,
        PublicParams::ECDSA(_) => 2,
        PublicParams::RSA(modulus) if bits(modulus) > 3072 => 4,
        PublicParams::RSA(modulus) if bits(modulus) > 2048 => 3,
        _ => 1,
    }
}

fn strong(hash: HashAlgorithm) -> bool {
    use HashAlgorithm as Hash;
    matches!(hash, Hash::Sha256 | Hash::Sha384 | Hash::Sha512 | Hash::Sha3_256 | Hash::Sha3_512)
}

/// Whether a signature of a key with this algorithm says nothing that is not understood here, and
/// nothing that would need a clock.
pub(super) fn legible(signature: &Signature, algorithm: PublicKeyAlgorithm) -> Result<(), String> {
    let Some(config) = signature.config() else { return Err("a signature of an unknown version".to_owned()) };
    if config.version() != SignatureVersion::V4 {
        return Err(format!("a signature of version {}", u8::from(config.version())));
    }
    if config.pub_alg != algorithm {
        return Err("key and signature are of different algorithms".to_owned());
    }
    for subpacket in &config.hashed_subpackets {
        match &subpacket.data {
            SubpacketData::SignatureExpirationTime(after) if after.as_secs() > 0 => {
                return Err("the signature itself expires".to_owned());
            }
            SubpacketData::Notation(_)
            | SubpacketData::Experimental(..)
            | SubpacketData::Other(..)
            | SubpacketData::RegularExpression(_)
            | SubpacketData::SignatureTarget(..)
                if subpacket.is_critical =>
            {
                return Err(format!("a critical {:?} subpacket", subpacket.typ()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The same of a signature in a certificate, whose hash may be older.
pub(super) fn legible_in_certificate(
    signature: &Signature,
    algorithm: PublicKeyAlgorithm,
) -> Result<(), String> {
    legible(signature, algorithm)?;
    match signature.hash_alg() {
        Some(hash) if strong(hash) || matches!(hash, HashAlgorithm::Sha1 | HashAlgorithm::Sha224) => Ok(()),
        Some(hash) => Err(format!("it is over {hash}")),
        None => Err("it is over no hash".to_owned()),
    }
}
