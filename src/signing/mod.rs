//! Keys that sign attestations: a PEM file, a key on a PKCS#11 token, a key version of Google Cloud KMS.
//!
//! Nothing here decides whether a signature is good: whoever asks for one checks it against the attestor's
//! public key before it is filed. Signatures have the form that Binary Authorization keeps: ASN.1 DER for
//! ECDSA, the bare number for RSA.

mod digest;
mod file;
mod kms;
mod pkcs11;
mod pkcs11_uri;

use std::path::PathBuf;

use crate::attestation::Algorithm;
use crate::http::HttpError;

pub use file::PrivateKey;
pub use kms::{KeyVersion, Kms};
pub use pkcs11::TokenKey;
pub use pkcs11_uri::{PIN_VARIABLE, TokenUri};

/// A key that signs.
#[derive(Debug)]
pub enum Signer {
    /// Of a PEM file.
    File(PrivateKey),
    /// Of a PKCS#11 token, which it never leaves.
    Token(TokenKey),
    /// Of Google Cloud KMS, which it never leaves.
    Kms(Kms),
}

/// Why nothing is signed. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A private key file that cannot be read.
    #[error("cannot read private key `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// A private key file that cannot be used.
    #[error("`{}` {what}", path.display())]
    PrivateKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No PKCS#11 URI, or one that names no private key.
    #[error("`{uri}` does not name a private key on a PKCS#11 token: {what}")]
    Uri {
        /// The URI, without what may be secret in it.
        uri: String,
        /// What is wrong with it.
        what: String,
    },
    /// A token that does not do it.
    #[error("{what} of PKCS#11 module `{}`", module.display())]
    Token {
        /// The module.
        module: PathBuf,
        /// What cannot be done.
        what: String,
        /// What the module says.
        #[source]
        cause: Option<cryptoki::error::Error>,
    },
    /// No name of a key version.
    #[error(
        "`{0}` does not name a key version: projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V"
    )]
    KeyVersion(String),
    /// KMS is not asked, or gives no answer.
    #[error("Cloud KMS does not sign with `{version}`")]
    Http {
        /// The key version.
        version: String,
        /// Why not.
        #[source]
        cause: HttpError,
    },
    /// An answer of KMS that makes no sense or was changed on its way.
    #[error("Cloud KMS does not sign with `{version}`: {what}")]
    Kms {
        /// The key version.
        version: String,
        /// What is wrong.
        what: String,
    },
    /// An algorithm that this key is not for.
    #[error("{origin} does not sign with {algorithm}")]
    Algorithm {
        /// The key.
        origin: String,
        /// What was asked for.
        algorithm: Algorithm,
    },
}

impl Signer {
    /// What it is, for messages.
    #[must_use]
    pub fn origin(&self) -> String {
        match self {
            Self::File(key) => format!("the key in `{}`", key.path().display()),
            Self::Token(key) => format!("the key `{}`", key.uri()),
            Self::Kms(key) => format!("the key version `{}`", key.version()),
        }
    }

    /// The id that Google's tools give its public key, where they give it another than other keys have.
    #[must_use]
    pub fn usual_id(&self) -> Option<String> {
        match self {
            Self::File(_) | Self::Token(_) => None,
            Self::Kms(key) => Some(key.version().public_key_id()),
        }
    }

    /// Whether it is a key of the kind that `algorithm` is for.
    #[must_use]
    pub fn signs_with(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::File(_) => algorithm == Algorithm::EcdsaP256Sha256,
            Self::Token(key) => key.kind() == Some(algorithm.kind()),
            Self::Kms(key) => key.algorithm() == Some(algorithm),
        }
    }

    /// The signature over `message`.
    ///
    /// # Errors
    /// [`SignError::Algorithm`] for one that [`Self::signs_with`] excludes, and whatever a token or KMS says.
    pub async fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if !self.signs_with(algorithm) {
            return Err(SignError::Algorithm { origin: self.origin(), algorithm });
        }
        match self {
            Self::File(key) => Ok(key.sign(message)),
            Self::Token(key) => key.sign(algorithm, message),
            Self::Kms(key) => key.sign(algorithm, message).await,
        }
    }
}
