//! A private key in a PEM file: ECDSA P-256 over SHA-256, deterministic (RFC 6979).
//!
//! The key's bytes are wiped when they are dropped. Encrypted keys are refused by name: there is nobody
//! in a build pipeline to type a passphrase.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::zeroize::Zeroizing;
use p256::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _, SecretDocument};

use super::SignError;
use crate::attestation::KeyId;

const MAX_KEY_FILE: usize = 16 * 1024;
const SEC1: &str = "EC PRIVATE KEY";
const PKCS8: &str = "PRIVATE KEY";

/// A private key and where it was read.
pub struct PrivateKey {
    key: SigningKey,
    id: KeyId,
    path: PathBuf,
    is_exposed: bool,
}

/// Without the key.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("path", &self.path).field("id", &self.id).finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Reads a PEM file, SEC1 or PKCS#8; what openssl writes before the key block is passed over.
    ///
    /// # Errors
    /// [`SignError::Read`], and [`SignError::PrivateKey`] for what is no such key.
    pub fn read(path: &Path) -> Result<Self, SignError> {
        let cannot = |cause| SignError::Read { path: path.to_owned(), cause };
        let file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        let is_exposed = metadata.is_file() && metadata.permissions().mode() & 0o044 != 0;
        // Room for all of it at once, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE));
        file.take(MAX_KEY_FILE as u64).read_to_string(&mut text).map_err(cannot)?;
        let refused = |what| SignError::PrivateKey { path: path.to_owned(), what };
        let (key, id) = parse(&text).map_err(refused)?;
        Ok(Self { key, id, path: path.to_owned(), is_exposed })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether others than its owner may read the file.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.is_exposed
    }

    /// The id that its public key has unless somebody gives it another.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The signature over `message`, in ASN.1 DER.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.key.sign(message);
        signature.as_bytes().to_vec()
    }
}

fn parse(pem: &str) -> Result<(SigningKey, KeyId), &'static str> {
    if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || pem.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(
            "holds an encrypted private key: decrypt it first, with `openssl pkey -in KEY -out PLAIN`",
        );
    }
    if pem.contains("-----BEGIN RSA PRIVATE KEY-----") || pem.contains("-----BEGIN OPENSSH PRIVATE KEY-----")
    {
        return Err(NOT_P256);
    }
    let block = block(pem, SEC1)
        .or_else(|| block(pem, PKCS8))
        .ok_or("holds no `EC PRIVATE KEY` (SEC1) and no `PRIVATE KEY` (PKCS#8) block")?;
    let (label, der) =
        SecretDocument::from_pem(block).map_err(|_| "holds a private key block that is not well-formed")?;
    let key = match label {
        SEC1 => SecretKey::from_sec1_der(der.as_bytes()).ok(),
        _ => SecretKey::from_pkcs8_der(der.as_bytes()).ok(),
    };
    let key = key.ok_or(NOT_P256)?;
    let public = key.public_key().to_public_key_der().map_err(|_| NOT_P256)?;
    Ok((SigningKey::from(key), KeyId::of_der(public.as_bytes())))
}

const NOT_P256: &str = "does not hold an EC P-256 private key, the one kind that this version signs with";

fn block<'a>(pem: &'a str, label: &str) -> Option<&'a str> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let from = pem.find(&begin)?;
    let rest = pem.get(from..)?;
    let to = rest.find(&end)? + end.len();
    rest.get(..to)
}
