//! Reads up to a limit: whoever wrote a file does not decide how much memory it takes.

use std::io::{self, Read};

/// All of `from`, `limit` bytes at most.
///
/// # Errors
/// What reading meets; [`io::ErrorKind::Other`] where there is more.
pub fn bytes(from: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::other(format!("it has more than the {limit} bytes allowed")));
    }
    Ok(bytes)
}

/// The same of a text.
///
/// # Errors
/// As [`bytes`]; also where it is not UTF-8.
pub fn text(from: impl Read, limit: usize) -> io::Result<String> {
    String::from_utf8(bytes(from, limit)?).map_err(io::Error::other)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_the_limit_is_read_and_what_is_beyond_is_not() {
        assert_eq!(bytes(&b"four"[..], 4).unwrap(), b"four");
        assert_eq!(
            bytes(io::repeat(b'x'), 4).unwrap_err().to_string(),
            "it has more than the 4 bytes allowed"
        );
        assert_eq!(text(&b"four"[..], 4).unwrap(), "four");
        assert!(text(&b"\xff"[..], 4).is_err());
    }
}
