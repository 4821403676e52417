//! The chain: each line of the trail ends with its number and the hash of the line before it.
//!
//! Who edits, removes or moves a line breaks the link behind it. The last line has none behind it: the daemon keeps
//! its number and hash apart ([`super::head`]) and gives them to the journal.

use serde::{Deserialize, Serialize};

use crate::image::Digest;

/// What the last two members of a line begin with.
const SEQ: &str = ",\"seq\":";
const PREV: &str = ",\"prev\":\"";

/// The end of a chain: the number of its last line, from 1, and the hash of that line without its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number.
    pub seq: u64,
    /// SHA-256.
    pub hash: Digest,
}

impl Head {
    /// Before the first line.
    pub const ORIGIN: Self = Self { seq: 0, hash: Digest::from_bytes([0; 32]) };

    /// The line that follows, without its newline, and the head then. `body` is a JSON object with at least one
    /// member.
    #[must_use]
    pub fn seal(&self, body: &str) -> (String, Self) {
        let seq = self.seq.saturating_add(1);
        let open = body.strip_suffix('}').unwrap_or(body);
        let line = format!("{open}{SEQ}{seq}{PREV}{}\"}}", self.hash.hex());
        let hash = Digest::of(line.as_bytes());
        (line, Self { seq, hash })
    }
}

/// As it is kept on disk and given to the journal.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WrittenHead {
    seq: u64,
    hash: String,
}

impl From<Head> for WrittenHead {
    fn from(head: Head) -> Self {
        Self { seq: head.seq, hash: head.hash.hex() }
    }
}

impl WrittenHead {
    pub(super) fn read(&self) -> Option<Head> {
        Some(Head { seq: self.seq, hash: digest(&self.hash)? })
    }
}

/// The link at the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The line's number.
    pub seq: u64,
    /// The hash of the line before it.
    pub prev: Digest,
}

impl Link {
    /// The link of `line`, which has no newline; none where it does not end as [`Head::seal`] ends one.
    #[must_use]
    pub fn of(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok().filter(|text| text.starts_with('{'))?;
        let (_, end) = text.strip_suffix("\"}")?.rsplit_once(SEQ)?;
        let (seq, prev) = end.split_once(PREV)?;
        let number: u64 = seq.parse().ok().filter(|number: &u64| number.to_string() == seq)?;
        Some(Self { seq: number, prev: digest(prev)? })
    }
}

/// A digest by its hex digits alone.
pub(super) fn digest(hex: &str) -> Option<Digest> {
    format!("sha256:{hex}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_its_link() {
        let (first, head) = Head::ORIGIN.seal("{\"a\":1}");
        assert_eq!(first, format!("{{\"a\":1,\"seq\":1,\"prev\":\"{}\"}}", "0".repeat(64)));
        assert_eq!(Link::of(first.as_bytes()), Some(Link { seq: 1, prev: Head::ORIGIN.hash }));
        let (second, next) = head.seal("{\"a\":2}");
        assert_eq!(Link::of(second.as_bytes()), Some(Link { seq: 2, prev: Digest::of(first.as_bytes()) }));
        assert_eq!(WrittenHead::from(next).read(), Some(next));
    }

    #[test]
    fn what_is_no_link() {
        let zeros = "0".repeat(64);
        let good = format!("{{\"a\":1,\"seq\":1,\"prev\":\"{zeros}\"}}");
        assert!(Link::of(good.as_bytes()).is_some());
        let rows = [
            String::new(),
            "{\"gate\":\"pull\"}".to_owned(),
            good.replace(":1,\"prev", ":01,\"prev"),
            good.replace(":1,\"prev", ":-1,\"prev"),
            good.replace(&zeros, &zeros[1..]),
            good.replace(&zeros, &"A".repeat(64)),
            format!("{good} "),
            good[1..].to_owned(),
            format!("{{\"a\":\",\\\"seq\\\":1,\\\"prev\\\":\\\"{zeros}\\\"\"}}"),
        ];
        for row in rows {
            assert_eq!(Link::of(row.as_bytes()), None, "{row}");
        }
    }
}
