//! One page of an answer (`ListNoteOccurrencesResponse`, `ListOccurrencesResponse`): JSON to documents.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::question::Sieve;
use crate::attestation::Occurrence;
use crate::document::Object;
use crate::evidence::source::{Document, Page};
use crate::text::shown;

/// The most occurrences of one page. At most 1,000 are asked for; some servers do not care.
const MAX_OCCURRENCES: usize = 100_000;
/// The longest page token, in bytes.
const MAX_TOKEN: usize = 8 * 1024;

/// What a page holds.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) page: Page,
    /// All that is on it, whatever it is.
    pub(super) entries: usize,
    /// How many of them were on no page before, by name, or by content where they have none.
    pub(super) fresh: usize,
    /// The token of the next page; `None` at the end.
    pub(super) next: Option<String>,
}

/// What was on pages before, as hashes that nobody outside can aim at.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hasher: RandomState,
    names: HashSet<u64>,
    texts: HashSet<u64>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageDocument<'a> {
    #[serde(borrow)]
    occurrences: Option<Entries<'a>>,
    #[serde(alias = "next_page_token")]
    next_page_token: Option<String>,
    /// Parts of the server that did not answer (v1).
    unreachable: Option<Vec<String>>,
}

/// The elements as they stand, at most [`MAX_OCCURRENCES`].
struct Entries<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of occurrences")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    if entries.len() == MAX_OCCURRENCES {
                        return Err(A::Error::custom(format_args!(
                            "more than {MAX_OCCURRENCES} occurrences"
                        )));
                    }
                    entries.push(entry);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_seq(List).map(Entries)
    }
}

/// Reads a page; what `sieve` does not keep and what is no attestation is counted and left out, what is
/// word for word as on a page before is left out.
///
/// # Errors
/// Says what is wrong with the page.
pub(super) fn read(body: &[u8], sieve: &Sieve, seen: &mut Seen) -> Result<Contents, String> {
    let begins = || shown(&String::from_utf8_lossy(body.trim_ascii_start().get(..240).unwrap_or(body)), 60);
    let text = std::str::from_utf8(body).map_err(|_| format!("`{}` is not UTF-8", begins()))?;
    let Object(document): Object<PageDocument<'_>> = serde_json::from_str(text).map_err(|error| {
        format!("`{}` is no page of occurrences: {}", begins(), shown(&error.to_string(), 200))
    })?;
    if document.unreachable.is_some_and(|parts| !parts.is_empty()) {
        return Err("it says that a part of it is unreachable, so the list is not whole".to_owned());
    }
    let next = document.next_page_token.filter(|token| !token.is_empty());
    if next.as_ref().is_some_and(|token| token.len() > MAX_TOKEN) {
        return Err(format!("its page token has more than {MAX_TOKEN} bytes"));
    }
    let Entries(entries) = document.occurrences.unwrap_or(Entries(Vec::new()));
    let mut contents = Contents { page: Page::default(), entries: entries.len(), fresh: 0, next };
    for entry in entries {
        let text = entry.get().as_bytes();
        let occurrence = Occurrence::parse(text).ok();
        let new_text = seen.texts.insert(seen.hasher.hash_one(text));
        let new = match &occurrence {
            Some(occurrence) if !occurrence.name.is_empty() => {
                seen.names.insert(seen.hasher.hash_one(&occurrence.name))
            }
            _ => new_text,
        };
        contents.fresh += usize::from(new);
        match occurrence.filter(|occurrence| sieve.keeps(occurrence)) {
            None => contents.page.left_out += 1,
            Some(occurrence) if new_text => {
                contents.page.documents.push(Document { occurrence, text: text.into() });
            }
            Some(_) => {}
        }
    }
    Ok(contents)
}
