//! Pages of lists: rows in the order in which they came, each page from behind the last row of the one before. So what is
//! added or taken away meanwhile moves nothing that was not given yet.

use futures_util::TryStreamExt as _;
use sqlx::any::AnyRow;

use super::database::Database;
use super::error::{ApiError, Code};
use super::filter::{Filter, Row};
use crate::document::Version;

/// Rows of a page where nobody says how many.
const DEFAULT: usize = 20;
/// At most.
pub const MOST: usize = 1_000;
/// Bytes of what the rows of a page have in them; one row may have more by itself.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Rows that a filter is held against for one page; a page may have fewer than were asked for, and the token goes on.
const MOST_LOOKED_AT: usize = 20_000;
/// Rows that are read at a time.
const CHUNK: usize = MOST + 1;

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

/// A row with a number.
pub(super) trait Numbered: Row {
    fn seq(&self) -> i64;

    /// Bytes of what is in it, as the database has them.
    fn bytes(&self) -> usize;
}

/// Reads one page of `query`, which gives rows behind number `$1` in their order, `$2` of them at most, and binds `bound` from
/// `$3` on. The rows, and the token of the next page; empty at the end.
pub(super) async fn page<T: Numbered>(
    database: &Database,
    paging: &Paging,
    filter: &Filter,
    query: &str,
    bound: &[&str],
    kept: fn(&AnyRow) -> Result<T, ApiError>,
) -> Result<(Vec<T>, String), ApiError> {
    let mut page = Page::new(paging, filter);
    while !page.is_over {
        let asked = sqlx::query(sqlx::AssertSqlSafe(query)).bind(page.after).bind(page.chunk());
        let asked = bound.iter().fold(asked, |asked, text| asked.bind(*text));
        // One after the other, and none once the page is full: a thousand of them may be a gigabyte.
        let mut connection = database.pool().acquire().await?;
        let mut came = 0;
        {
            let mut rows = asked.fetch(&mut *connection);
            while !page.is_over
                && let Some(row) = rows.try_next().await?
            {
                came += 1;
                page.take(kept(&row)?);
            }
        }
        if page.is_large && database.is_shared() {
            // PostgreSQL sends all that it was asked for before it is asked again.
            connection.close_on_drop();
        }
        page.end_chunk(came);
    }
    Ok((page.rows, page.rest.map(|rest| paging.token(rest)).unwrap_or_default()))
}

/// A page that is being filled.
struct Page<'a, T> {
    paging: &'a Paging,
    filter: &'a Filter,
    rows: Vec<T>,
    bytes: usize,
    after: i64,
    looked_at: usize,
    /// The last row that was looked at, where there are more.
    rest: Option<i64>,
    is_over: bool,
    /// Whether that is because of its bytes.
    is_large: bool,
}

impl<'a, T: Numbered> Page<'a, T> {
    fn new(paging: &'a Paging, filter: &'a Filter) -> Self {
        Self {
            paging,
            filter,
            rows: Vec::new(),
            bytes: 0,
            after: paging.after,
            looked_at: 0,
            rest: None,
            is_over: false,
            is_large: false,
        }
    }

    /// How many rows are read next: no more than are given, where each of them is.
    fn chunk(&self) -> i64 {
        let rows = if *self.filter == Filter::All { CHUNK.min(self.paging.size + 1) } else { CHUNK };
        i64::try_from(rows).unwrap_or(i64::MAX)
    }

    /// Takes the next row.
    fn take(&mut self, row: T) {
        self.looked_at += 1;
        let (seq, bytes) = (row.seq(), row.bytes());
        if self.filter.keeps(&row) {
            let is_full = self.rows.len() == self.paging.size;
            self.is_large = !is_full && !self.rows.is_empty() && self.bytes + bytes > MOST_BYTES;
            if is_full || self.is_large {
                self.rest = Some(self.after);
                self.is_over = true;
                return;
            }
            self.bytes += bytes;
            self.rows.push(row);
        }
        self.after = seq;
    }

    /// After a [`chunk`](Self::chunk) of which so many rows came; where they are fewer they were the last.
    fn end_chunk(&mut self, came: i64) {
        if self.is_over {
            return;
        }
        if came < self.chunk() {
            self.is_over = true;
        } else if self.looked_at >= MOST_LOOKED_AT {
            self.rest = Some(self.after);
            self.is_over = true;
        }
    }
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

    struct Large(i64, usize);

    impl Row for Large {
        fn value(&self, _: super::super::filter::Field) -> std::borrow::Cow<'_, str> {
            "".into()
        }
    }

    impl Numbered for Large {
        fn seq(&self) -> i64 {
            self.0
        }

        fn bytes(&self) -> usize {
            self.1
        }
    }

    #[test]
    fn a_page_ends_before_it_is_too_large_and_has_one_row_at_least() {
        let of = |rows: &[usize]| {
            let paging = Paging::read("a", "", Some("10"), None).unwrap();
            let mut page = Page::new(&paging, &Filter::All);
            for (seq, bytes) in (1..).zip(rows) {
                if !page.is_over {
                    page.take(Large(seq, *bytes));
                }
            }
            page.end_chunk(i64::try_from(rows.len()).unwrap());
            (page.rows.len(), page.rest)
        };
        assert_eq!(of(&[1, 2, 3]), (3, None));
        assert_eq!(of(&[MOST_BYTES / 2; 3]), (2, Some(2)));
        assert_eq!(of(&[MOST_BYTES / 2, MOST_BYTES / 2]), (2, None));
        assert_eq!(of(&[MOST_BYTES + 1, 1]), (1, Some(1)));
        assert_eq!(of(&[1; 11]), (10, Some(10)));
    }
}
