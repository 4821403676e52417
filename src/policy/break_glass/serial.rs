//! What tells one grant from every other.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::BreakGlassError;
use crate::text::shown;

/// The longest serial, in bytes.
const MAX: usize = 64;

/// The serial of a grant: 1 to 64 ASCII letters, digits, `.`, `_` and `-`, the first a letter or digit, so that it can
/// stand in a file's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(String);

impl Serial {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Serial {
    type Err = BreakGlassError;

    fn from_str(text: &str) -> Result<Self, BreakGlassError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if begins && text.len() <= MAX && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(BreakGlassError::Serial(shown(text, MAX)))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Serial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
