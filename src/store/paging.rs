//! Pages of lists: rows in the order in which they came, each page from behind the last row of the one before. So what is
//! added or taken away meanwhile moves nothing that was not given yet.

use super::error::{ApiError, Code};
use crate::document::Version;

/// Rows of a page where nobody says how many.
const DEFAULT: usize = 20;
/// At most.
pub const MOST: usize = 1_000;

/// Which page of which list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    /// Rows.
    pub size: usize,
    /// The last row of the page before; 0 at first.
    pub after: i64,
    /// What the list is of.
    list: Version,
}

impl Paging {
    /// What a list with this name, of this filter, was asked for.
    ///
    /// # Errors
    /// A size that is none; a token that is none, or is of another list.
    pub fn read(list: &str, filter: &str, size: Option<&str>, token: Option<&str>) -> Result<Self, ApiError> {
        let list = Version::of(format!("{list}\n{filter}").as_bytes());
        let size = match size.filter(|size| !size.is_empty()).map(str::parse::<i64>) {
            None | Some(Ok(0)) => DEFAULT,
            Some(Ok(size @ 1..)) => usize::try_from(size).unwrap_or(MOST).min(MOST),
            Some(_) => return Err(Code::InvalidArgument.because("`pageSize` is no number from 0 on")),
        };
        let after = match token.filter(|token| !token.is_empty()) {
            None => 0,
            Some(token) => last_row(token, &list).ok_or_else(|| {
                Code::InvalidArgument.because(
                    "`pageToken` is of no page of this list: give the list and the filter that it came with",
                )
            })?,
        };
        Ok(Self { size, after, list })
    }

    /// The token of the page behind row `last`.
    #[must_use]
    pub fn token(&self, last: i64) -> String {
        format!("{last}.{}", self.list)
    }
}

fn last_row(token: &str, list: &Version) -> Option<i64> {
    let (row, of) = token.split_once('.')?;
    row.parse().ok().filter(|row| *row > 0 && of == list.as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_its_list() {
        let read = |list, filter, size, token| Paging::read(list, filter, size, token);
        let first = read("a", "f", None, None).unwrap();
        assert_eq!((first.size, first.after), (20, 0));
        let token = first.token(7);
        assert_eq!(read("a", "f", Some("5000"), Some(&token)).unwrap().after, 7);
        assert_eq!(read("a", "f", Some("5000"), Some("")).unwrap().size, MOST);
        for (list, filter, token) in
            [("b", "f", token.as_str()), ("a", "g", &token), ("a", "f", "7"), ("a", "f", "!")]
        {
            assert!(read(list, filter, None, Some(token)).is_err(), "{list} {filter} {token}");
        }
        for size in ["-1", "x", "1.5"] {
            assert!(read("a", "f", Some(size), None).is_err(), "{size}");
        }
    }
}
