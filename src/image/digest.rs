//! The SHA-256 digest of an image index, platform manifest or config.
//!
//! OCI image-spec `descriptor.md` knows other algorithms; attestations name only `sha256`
//! (binauthz payloads, Container Analysis resource URIs), so nothing else is a digest here.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest, written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// What the digest of an image is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DigestKind {
    /// An image index (OCI), or manifest list.
    Index,
    /// A platform manifest.
    Manifest,
    /// One of the two; which is not known here.
    Unknown,
}

/// Why a text is not a [`Digest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No `algorithm:` in front.
    #[error("`{0}` is not a digest: expected `sha256:` and 64 lower-case hexadecimal digits")]
    Shape(String),
    /// An algorithm that attestations cannot name.
    #[error("digest algorithm `{0}` is not supported: only `sha256` digests can be attested")]
    Algorithm(String),
    /// Not 64 digits.
    #[error("a sha256 digest has 64 hexadecimal digits, this one has {0}")]
    Length(usize),
    /// `A` to `F`, which registries and containerd refuse.
    #[error("digest has upper-case hexadecimal digits: write it in lower case")]
    UpperCase,
    /// Something else among the digits.
    #[error("digest has a character that is not a hexadecimal digit")]
    NotHex,
}

impl Digest {
    /// Hashes `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest that has these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 digits without `sha256:`.
    #[must_use]
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let Some((algorithm, digits)) = text.split_once(':') else {
            return Err(DigestError::Shape(brief(text)));
        };
        if algorithm != "sha256" {
            return Err(DigestError::Algorithm(brief(algorithm)));
        }
        if digits.bytes().any(|byte| byte.is_ascii_uppercase() && byte.is_ascii_hexdigit()) {
            return Err(DigestError::UpperCase);
        }
        if digits.len() != 64 {
            return Err(DigestError::Length(digits.len()));
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let &[high, low] = pair else { return Err(DigestError::NotHex) };
            *byte = nibble(high)? << 4 | nibble(low)?;
        }
        Ok(Self(bytes))
    }
}

fn nibble(digit: u8) -> Result<u8, DigestError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(DigestError::NotHex),
    }
}

fn brief(text: &str) -> String {
    text.chars().take(40).collect()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let digest = Digest::of(b"hello");
        let text = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
    }

    #[test]
    fn refused() {
        let ab = "ab".repeat(32);
        let rows = [
            (String::new(), DigestError::Shape(String::new())),
            (ab.clone(), DigestError::Shape(ab[..40].to_owned())),
            (format!("sha512:{}", "ab".repeat(64)), DigestError::Algorithm("sha512".into())),
            (format!("SHA256:{ab}"), DigestError::Algorithm("SHA256".into())),
            (format!("sha256:{}", ab.to_uppercase()), DigestError::UpperCase),
            (format!("sha256:{ab}0"), DigestError::Length(65)),
            ("sha256:".into(), DigestError::Length(0)),
            (format!("sha256:{}g", &ab[1..]), DigestError::NotHex),
            (format!("sha256:{} ", &ab[1..]), DigestError::NotHex),
        ];
        for (text, error) in rows {
            assert_eq!(text.parse::<Digest>(), Err(error), "{text}");
        }
    }
}
