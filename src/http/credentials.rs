//! Who asks.

use std::path::PathBuf;

use reqwest::header::HeaderValue;

use super::held::{Held, HeldError};

/// Where a machine of Google Compute Engine asks for the tokens of its service account.
pub const METADATA_SERVER: &str = "http://metadata.google.internal";

/// The longest token, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// Who asks. All files must be root's, or of the user that this program runs as, and writable by nobody else; token
/// and key may not be read by everybody. They are read again for each batch of questions, because they are rotated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// A file that holds a bearer token.
    Token(PathBuf),
    /// A bearer token that the caller holds.
    Given(Held),
    /// The service account of this machine, whose tokens the metadata server of Google Compute Engine at
    /// this address gives. It is asked over plain HTTP, which goes no further than the host.
    MetadataServer(String),
    /// A client certificate with its chain, and its key; both PEM, and may be one file.
    Certificate {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
}

/// The header `authorization` for a token; marked so that it is not printed.
///
/// # Errors
/// [`HeldError::Credentials`] for a text that is no token.
pub fn bearer(token: &Held) -> Result<HeaderValue, HeldError> {
    let none = || HeldError::Credentials { origin: token.origin.clone(), what: "bearer token" };
    let text = std::str::from_utf8(&token.bytes).map(str::trim).unwrap_or_default();
    // RFC 6750 section 2.1 has fewer signs still; none of these may break a header.
    if text.is_empty() || text.len() > MAX_TOKEN || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(none());
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| none())?;
    header.set_sensitive(true);
    Ok(header)
}
