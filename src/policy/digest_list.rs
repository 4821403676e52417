//! Lists of digests with reasons, as the deny list and the system policy have them.
//!
//! Refuses a digest that is there twice: two reasons, or two ends, would leave it to chance which counts.

use std::collections::HashSet;

use crate::image::{Digest, DigestError};
use crate::text;

/// The most digests of one list.
pub const MAX_DIGESTS: usize = 100_000;

/// The longest reason, in bytes.
pub const MAX_REASON: usize = 1024;

/// Why a list of digests is refused; places count from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// More than [`MAX_DIGESTS`].
    #[error("digests: {0} entries, more than the {MAX_DIGESTS} allowed")]
    TooMany(usize),
    /// Not a digest.
    #[error("digests[{0}].digest: {1}")]
    Digest(usize, DigestError),
    /// There already.
    #[error("digests[{0}].digest: `{1}` is there twice: leave one")]
    Twice(usize, Digest),
    /// Nothing but white space.
    #[error("digests[{0}].reason: is empty: say why, it is what people will read")]
    NoReason(usize),
    /// Over [`MAX_REASON`].
    #[error("digests[{0}].reason: {1} bytes, more than the {MAX_REASON} allowed")]
    LongReason(usize, usize),
}

/// Reads the digests of a list with their reasons, in their order. Reasons come out fit to be shown.
pub(super) fn read<'a>(
    entries: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<(Digest, String)>, ListError> {
    if entries.len() > MAX_DIGESTS {
        return Err(ListError::TooMany(entries.len()));
    }
    let mut seen = HashSet::with_capacity(entries.len());
    let mut list = Vec::with_capacity(entries.len());
    for (index, (digest, reason)) in entries.enumerate() {
        let digest = digest.parse().map_err(|cause| ListError::Digest(index, cause))?;
        if !seen.insert(digest) {
            return Err(ListError::Twice(index, digest));
        }
        let reason = reason.trim();
        if reason.is_empty() {
            return Err(ListError::NoReason(index));
        }
        if reason.len() > MAX_REASON {
            return Err(ListError::LongReason(index, reason.len()));
        }
        list.push((digest, text::shown(reason, MAX_REASON)));
    }
    Ok(list)
}
