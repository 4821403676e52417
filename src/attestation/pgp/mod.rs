//! OpenPGP (RFC 9580, and RFC 4880 for what is older): certificates that attestors list and the
//! attached messages that they sign.
//!
//! Owns what makes a key of a certificate count, and what a message must look like. Key material,
//! signatures and hashes are the library's work; framing, bounds and every decision are made here, and
//! none of the library's types leaves this module.
//!
//! A certificate is one version 4 primary key with its user ids and subkeys. Its own signatures decide
//! who may sign and how long; signatures of others on it are read over. SHA-1 (with collision
//! detection) and SHA-224 are taken in a certificate's own signatures, since the certificate as a whole
//! comes from whoever wrote the attestor; over a message neither counts.
//!
//! No clock is read. A message counts by the time its signature names: not before the key was made, not
//! at or after its expiry, not at or after a revocation that says the key was superseded or retired, and
//! never under any other revocation. What would need a clock is refused by name: a signature that itself
//! expires, whether over a message or in a certificate.
//!
//! Refused besides: private keys, key versions other than 4, DSA, Elgamal, RSA outside 2048 to 4096
//! bits, other curves than P-256, P-384, P-521 and Ed25519; messages that are clearsigned, detached,
//! encrypted, signed as text or several times, and messages compressed more than once.

mod armor;
mod certificate;
mod message;
mod packet;
mod signer;
mod terms;

#[cfg(test)]
mod tests;

pub use certificate::Certificate;

/// The longest certificate, in bytes of armored text.
pub const MAX_CERTIFICATE: usize = 256 * 1024;
/// The most subkeys of a certificate.
pub const MAX_SUBKEYS: usize = 64;
/// The most user ids and user attributes of a certificate.
pub const MAX_USER_IDS: usize = 64;
/// The most signatures in a certificate, those of others included.
pub const MAX_SIGNATURES: usize = 256;
/// The longest message, in bytes as it is given.
pub const MAX_MESSAGE: usize = 2 * 1024 * 1024;
/// The longest content of a message, in bytes: unpacking is slow, and a payload is a few hundred.
pub const MAX_LITERAL: usize = 64 * 1024;

/// Why a certificate is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PgpError {
    /// Longer than [`MAX_CERTIFICATE`].
    #[error("the certificate has {0} bytes, more than the {MAX_CERTIFICATE} allowed")]
    TooLong(usize),
    /// Not one armored block with nothing around it.
    #[error("a certificate must be exactly one `PGP PUBLIC KEY BLOCK`: {0}")]
    Armor(&'static str),
    /// The block, or a packet in it, is private.
    #[error("the certificate holds a private key, which belongs to the signer alone")]
    PrivateKey,
    /// Not the packets of a certificate.
    #[error("not a well-formed OpenPGP certificate: {0}")]
    Malformed(&'static str),
    /// A second primary key.
    #[error("more than one OpenPGP certificate in the block")]
    Several,
    /// A key that is not of version 4.
    #[error("an OpenPGP key of version {0}: only version 4 is read")]
    Version(u8),
    /// More of something than is read.
    #[error("more than {limit} {what} in the certificate")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// The primary key vouches for everything else.
    #[error("the primary key is {0}, which is not accepted")]
    Primary(String),
    /// The primary key made it, and what it says cannot be told: passing over it could lose an expiry or
    /// a revocation.
    #[error("a signature of the primary key on its {on} cannot be judged: {cause}")]
    Signature {
        /// What it is on.
        on: &'static str,
        /// Why.
        cause: String,
    },
    /// Nothing valid says that the primary key is meant to be used.
    #[error("no valid self-signature on the primary key or a user id that is not revoked")]
    Unbound,
    /// Neither the primary key nor any subkey may sign.
    #[error("no key of the certificate may sign")]
    NoSigner,
}

/// What opening a message took, whatever came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Toil {
    /// Checks of an ECDSA P-256 signature by a PKIX key that take as long as the check that was made; 0 where
    /// it did not come to one.
    pub checks: usize,
    /// Octets that were read; unpacking counts for as many as are read in that time.
    pub octets: usize,
}

/// Why a message does not count. The first three cost no verification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PgpMiss {
    /// Not a signed message.
    #[error("not a signed OpenPGP message: {0}")]
    Malformed(String),
    /// A real thing of OpenPGP that is not accepted.
    #[error("not an accepted OpenPGP message: {0}")]
    Unsupported(String),
    /// The issuer is none of the certificate's keys that may sign.
    #[error("signed by none of the certificate's signing keys")]
    UnknownKey,
    /// The signature does not hold.
    #[error("the OpenPGP signature does not hold")]
    BadSignature,
    /// Made at or after the expiry of the key or of the primary key.
    #[error("signed after the OpenPGP key expired")]
    Expired,
    /// Made under a revocation of the key or of the primary key.
    #[error("signed by a revoked OpenPGP key")]
    Revoked,
}
