//! Admission allowlists: patterns in the order of their document, each with the terms of the exception that it is.
//!
//! A pattern may have an end (`binauthdExpires`), from which on it matches nothing, and say who answers for it
//! (`binauthdOwner`) and where more is said (`binauthdTicket`). These are ours, not Google's. Whether something is over
//! is said by the time that whoever asks gives.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::pattern::{AllowlistPattern, Reach};
use crate::document;
use crate::text::shown;

/// The longest owner and ticket, in bytes.
pub const MAX_TEXT: usize = 256;
/// What ends within this time ends soon.
pub const SOON: Duration = Duration::from_secs(7 * 86_400);

/// What is said of an exception beside its pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// From then on it matches nothing; `None` is for good.
    pub expires: Option<SystemTime>,
    /// Who answers for it; fit to be shown.
    pub owner: Option<String>,
    /// Where more is said; fit to be shown.
    pub ticket: Option<String>,
}

/// Why the terms of an exception are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// Not a time.
    #[error("binauthdExpires: `{0}` is not a time of RFC 3339, such as `2027-01-01T00:00:00Z`")]
    Expires(String),
    /// Nothing but white space.
    #[error("{0}: is empty: write something, or leave it out")]
    Empty(&'static str),
    /// Over [`MAX_TEXT`].
    #[error("{0}: {1} bytes, more than the {MAX_TEXT} allowed")]
    Long(&'static str, usize),
}

/// How an exception stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExceptionState {
    /// It has no end.
    WithoutEnd,
    /// It holds for more than [`SOON`].
    Holds,
    /// It ends within [`SOON`].
    EndsSoon,
    /// It matches nothing any more.
    Ended,
}

impl ExceptionState {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WithoutEnd => "without-end",
            Self::Holds => "holds",
            Self::EndsSoon => "ends-soon",
            Self::Ended => "ended",
        }
    }
}

/// An entry of an allowlist as an exception from the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception<'a> {
    /// Its place in the list, from 0.
    pub place: usize,
    /// What it exempts.
    pub pattern: &'a AllowlistPattern,
    /// What is said of it.
    pub terms: &'a Terms,
    /// How it stands.
    pub state: ExceptionState,
}

impl Terms {
    /// Reads them as they are written.
    ///
    /// # Errors
    /// See [`TermsError`].
    pub(super) fn read(
        expires: Option<&str>,
        owner: Option<&str>,
        ticket: Option<&str>,
    ) -> Result<Self, TermsError> {
        let time =
            |text: &str| document::writable_time(text).ok_or_else(|| TermsError::Expires(shown(text, 60)));
        Ok(Self {
            expires: expires.map(time).transpose()?,
            owner: owner.map(|text| read_text("binauthdOwner", text)).transpose()?,
            ticket: ticket.map(|text| read_text("binauthdTicket", text)).transpose()?,
        })
    }

    /// Whether the entry still matches.
    #[must_use]
    pub fn hold(&self, now: SystemTime) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// How the entry stands.
    #[must_use]
    pub fn state(&self, now: SystemTime) -> ExceptionState {
        match self.expires.map(|expires| expires.duration_since(now)) {
            None => ExceptionState::WithoutEnd,
            Some(Ok(left)) if left > SOON => ExceptionState::Holds,
            Some(Ok(left)) if !left.is_zero() => ExceptionState::EndsSoon,
            Some(_) => ExceptionState::Ended,
        }
    }

    /// The end, RFC 3339.
    #[must_use]
    pub fn end(&self) -> Option<String> {
        self.expires.map(|expires| humantime::format_rfc3339(expires).to_string())
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn read_text(field: &'static str, text: &str) -> Result<String, TermsError> {
    let text = text.trim();
    match text.len() {
        0 => Err(TermsError::Empty(field)),
        1..=MAX_TEXT => Ok(shown(text, MAX_TEXT)),
        bytes => Err(TermsError::Long(field, bytes)),
    }
}

/// Owner, ticket and end, as a verdict tells them; empty where nothing is said.
impl std::fmt::Display for Terms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            self.owner.as_ref().map(|owner| format!("owner {owner}")),
            self.ticket.clone(),
            self.end().map(|end| format!("until {end}")),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join(", ")) }
    }
}

/// Patterns in the order of their document, with an index: a look-up costs one binary search and a walk
/// over the stems that the spelling begins with, however many patterns there are, and the same again for each
/// different end that patterns have.
#[derive(Debug, Clone, Default)]
pub struct Allowlist {
    patterns: Vec<AllowlistPattern>,
    /// Of the patterns of which something is said, by their places.
    terms: BTreeMap<usize, Terms>,
    /// Of what has no end.
    lasting: Index,
    /// Of what has one, by that.
    ending: BTreeMap<SystemTime, Index>,
}

/// Patterns by their stems.
#[derive(Debug, Clone, Default)]
struct Index(Vec<Stem>);

/// Patterns of one stem, each the first of its kind in the document.
#[derive(Debug, Clone)]
struct Stem {
    text: Box<str>,
    /// The longest other stem that this one begins with.
    parent: Option<usize>,
    exact: Option<usize>,
    name: Option<usize>,
    /// The first of this stem and of all it begins with.
    path: Option<usize>,
}

const NOTHING_SAID: &Terms = &Terms { expires: None, owner: None, ticket: None };

impl Allowlist {
    /// Puts patterns of which nothing more is said under an index.
    #[must_use]
    pub fn new(patterns: Vec<AllowlistPattern>) -> Self {
        Self::with_terms(patterns.into_iter().map(|pattern| (pattern, Terms::default())))
    }

    /// The same of patterns with their terms.
    #[must_use]
    pub fn with_terms(entries: impl IntoIterator<Item = (AllowlistPattern, Terms)>) -> Self {
        let (mut patterns, mut terms) = (Vec::new(), BTreeMap::new());
        for (place, (pattern, said)) in entries.into_iter().enumerate() {
            patterns.push(pattern);
            if !said.is_default() {
                terms.insert(place, said);
            }
        }
        let end = |place: &usize| terms.get(place).and_then(|said| said.expires);
        let mut by_end: BTreeMap<Option<SystemTime>, Vec<usize>> = BTreeMap::new();
        for place in 0..patterns.len() {
            by_end.entry(end(&place)).or_default().push(place);
        }
        let index = |places: Vec<usize>| {
            Index::of(places.into_iter().filter_map(|place| Some((place, patterns.get(place)?))))
        };
        let lasting = by_end.remove(&None).map(index).unwrap_or_default();
        let ending = by_end.into_iter().filter_map(|(end, places)| Some((end?, index(places)))).collect();
        Self { patterns, terms, lasting, ending }
    }

    /// The first pattern of the document that matches any of `spellings` at `now`, and its place.
    #[must_use]
    pub fn first_match(&self, spellings: &[String], now: SystemTime) -> Option<(usize, &AllowlistPattern)> {
        let after = (std::ops::Bound::Excluded(now), std::ops::Bound::Unbounded);
        let held = || self.ending.range(after).map(|(_, index)| index).chain([&self.lasting]);
        let places = spellings.iter().flat_map(|spelling| held().filter_map(|index| index.look_up(spelling)));
        let place = places.min()?;
        Some((place, self.patterns.get(place)?))
    }

    /// The first pattern that would match, were it not over at `now`, and its place.
    #[must_use]
    pub fn first_ended(&self, spellings: &[String], now: SystemTime) -> Option<(usize, &AllowlistPattern)> {
        let over = self.ending.range(..=now).map(|(_, index)| index);
        let place =
            over.flat_map(|index| spellings.iter().filter_map(|spelling| index.look_up(spelling))).min()?;
        Some((place, self.patterns.get(place)?))
    }

    /// The next time after `now` at which a pattern ends.
    #[must_use]
    pub fn next_end(&self, now: SystemTime) -> Option<SystemTime> {
        self.ending.keys().find(|end| **end > now).copied()
    }

    /// What is said of the pattern at `place`.
    #[must_use]
    pub fn terms(&self, place: usize) -> &Terms {
        self.terms.get(&place).unwrap_or(NOTHING_SAID)
    }

    /// Every entry as an exception, in the order of the document, as it stands at `now`.
    pub fn exceptions(&self, now: SystemTime) -> impl Iterator<Item = Exception<'_>> {
        self.patterns.iter().enumerate().map(move |(place, pattern)| {
            let terms = self.terms(place);
            Exception { place, pattern, terms, state: terms.state(now) }
        })
    }

    /// How many patterns there are, those that are over too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// All of them, in the order of the document.
    pub fn iter(&self) -> std::slice::Iter<'_, AllowlistPattern> {
        self.patterns.iter()
    }

    /// All of them, in the order of the document.
    #[must_use]
    pub fn as_slice(&self) -> &[AllowlistPattern] {
        &self.patterns
    }
}

impl Index {
    /// Of patterns with their places, in the order of these.
    fn of<'a>(patterns: impl Iterator<Item = (usize, &'a AllowlistPattern)>) -> Self {
        let mut by_stem: BTreeMap<&str, [Option<usize>; 3]> = BTreeMap::new();
        for (place, pattern) in patterns {
            let [exact, name, path] = by_stem.entry(pattern.stem()).or_default();
            let kind = match pattern.reach() {
                Reach::Exact => exact,
                Reach::Name => name,
                Reach::Path => path,
            };
            kind.get_or_insert(place);
        }
        let mut stems: Vec<Stem> = Vec::with_capacity(by_stem.len());
        for (text, [exact, name, path]) in by_stem {
            let mut parent = stems.len().checked_sub(1);
            while let Some(above) = parent.and_then(|at| stems.get(at))
                && !text.starts_with(&*above.text)
            {
                parent = above.parent;
            }
            let inherited = parent.and_then(|at| stems.get(at)?.path);
            stems.push(Stem { text: text.into(), parent, exact, name, path: first(path, inherited) });
        }
        Self(stems)
    }

    fn look_up(&self, spelling: &str) -> Option<usize> {
        // Whatever stem the spelling begins with sorts between that stem and the spelling, so its
        // neighbour below begins with all of them.
        let below = self.0.partition_point(|stem| *stem.text <= *spelling).checked_sub(1)?;
        let neighbour = self.0.get(below)?;
        let shared = shared_bytes(&neighbour.text, spelling);
        let mut stem = Some(neighbour);
        while let Some(longer) = stem.filter(|stem| stem.text.len() > shared) {
            stem = self.parent(longer);
        }
        let longest = stem?;
        let exact = longest.exact.filter(|_| longest.text.len() == spelling.len());
        // `*` reaches the end only from behind the last `/`.
        let file = spelling.rfind('/').map_or(0, |slash| slash + 1);
        let mut name = None;
        while let Some(behind) = stem.filter(|stem| stem.text.len() >= file) {
            name = first(name, behind.name);
            stem = self.parent(behind);
        }
        first(exact, first(name, longest.path))
    }

    fn parent(&self, stem: &Stem) -> Option<&Stem> {
        self.0.get(stem.parent?)
    }
}

impl<'a> IntoIterator for &'a Allowlist {
    type Item = &'a AllowlistPattern;
    type IntoIter = std::slice::Iter<'a, AllowlistPattern>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn first(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn shared_bytes(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(number: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(number * 86_400)
    }

    fn until(end: Option<u64>) -> Terms {
        Terms { expires: end.map(day), ..Terms::default() }
    }

    #[test]
    fn terms_are_read_and_told() {
        let read = |expires: Option<&str>, owner: Option<&str>, ticket: Option<&str>| {
            Terms::read(expires, owner, ticket).map(|terms| terms.to_string())
        };
        assert_eq!(read(None, None, None).unwrap(), "");
        let all = read(Some("1970-01-02T00:00:00+00:00"), Some(" payments \u{202e}"), Some("INC-7"));
        assert_eq!(all.unwrap(), " (owner payments \u{fffd}, INC-7, until 1970-01-02T00:00:00Z)");
        let long = "x".repeat(MAX_TEXT + 1);
        let rows = [
            (read(Some("soon"), None, None), "binauthdExpires: `soon` is not a time"),
            (read(Some("9999-12-31T23:59:59-01:00"), None, None), "is not a time"),
            (read(None, Some(" "), None), "binauthdOwner: is empty"),
            (read(None, None, Some("")), "binauthdTicket: is empty"),
            (read(None, Some(&long), None), "binauthdOwner: 257 bytes, more than the 256 allowed"),
        ];
        for (refused, part) in rows {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }

    #[test]
    fn an_entry_matches_until_its_end() {
        let pattern = |text: &str| AllowlistPattern::parse(text).unwrap();
        let allowlist = Allowlist::with_terms([
            (pattern("r.io/a/**"), until(Some(10))),
            (pattern("r.io/a/b"), until(Some(20))),
            (pattern("r.io/a/b"), until(None)),
            (pattern("r.io/c"), until(Some(10))),
        ]);
        let at =
            |spelling: &str, now| allowlist.first_match(&[spelling.to_owned()], now).map(|(place, _)| place);
        let just_before = day(10) - Duration::from_nanos(1);
        let rows = [
            ("r.io/a/b", day(9), Some(0)),
            ("r.io/a/b", just_before, Some(0)),
            ("r.io/a/b", day(10), Some(1)),
            ("r.io/a/b", day(20), Some(2)),
            ("r.io/c", just_before, Some(3)),
            ("r.io/c", day(10), None),
        ];
        for (spelling, now, place) in rows {
            assert_eq!(at(spelling, now), place, "{spelling} {now:?}");
        }
        let ended = |now| allowlist.first_ended(&["r.io/c".to_owned()], now).map(|(place, _)| place);
        assert_eq!([ended(just_before), ended(day(10))], [None, Some(3)]);
        let ends = [day(0), day(10), day(20)].map(|now| allowlist.next_end(now));
        assert_eq!(ends, [Some(day(10)), Some(day(20)), None]);
        let states: Vec<_> = allowlist.exceptions(day(10)).map(|one| one.state.as_str()).collect();
        assert_eq!(states, ["ended", "holds", "without-end", "ended"]);
        let states: Vec<_> = allowlist.exceptions(day(13)).map(|one| one.state.as_str()).collect();
        assert_eq!(states, ["ended", "ends-soon", "without-end", "ended"]);
    }

    /// Written without stems and reaches.
    fn naive(pattern: &str, spelling: &str) -> bool {
        let glob: Vec<char> = pattern.chars().collect();
        let text: Vec<char> = spelling.chars().collect();
        let (plain, deep) = match glob.as_slice() {
            [plain @ .., '*', '*'] => (plain, Some(true)),
            [plain @ .., '*'] => (plain, Some(false)),
            plain => (plain, None),
        };
        match deep {
            None => plain == text.as_slice(),
            Some(deep) => {
                text.len() >= plain.len()
                    && text.iter().zip(plain).all(|(a, b)| a == b)
                    && (deep || text.iter().skip(plain.len()).all(|c| *c != '/'))
            }
        }
    }

    proptest! {
        #[test]
        fn the_index_answers_as_a_scan_does(
            patterns in prop::collection::vec("[ab]/[ab/:é]{0,5}\\*{0,2}|[ab]{1,3}", 0..40),
            spellings in prop::collection::vec("[ab]/[ab/:é]{0,7}|[ab]{0,4}", 0..4),
        ) {
            let patterns: Vec<_> =
                patterns.iter().map(|text| AllowlistPattern::parse(text).unwrap()).collect();
            let by = |matches: &dyn Fn(&AllowlistPattern, &String) -> bool| {
                patterns.iter().position(|pattern| spellings.iter().any(|one| matches(pattern, one)))
            };
            let scanned = by(&|pattern, spelling| pattern.matches(spelling));
            prop_assert_eq!(by(&|pattern, spelling| naive(pattern.as_str(), spelling)), scanned);
            let allowlist = Allowlist::new(patterns.clone());
            let found = allowlist.first_match(&spellings, day(1));
            prop_assert_eq!(found.map(|(place, _)| place), scanned);
            prop_assert_eq!(found.map(|(_, pattern)| pattern), scanned.map(|place| &patterns[place]));
        }

        #[test]
        fn what_is_over_is_as_if_it_were_not_there(
            entries in prop::collection::vec(("[ab]/[ab/:]{0,5}\\*{0,2}", prop::option::of(0_u64..5)), 0..40),
            spellings in prop::collection::vec("[ab]/[ab/:]{0,7}", 0..4),
            now in 0_u64..6,
        ) {
            let entries: Vec<_> = entries
                .iter()
                .map(|(text, end)| (AllowlistPattern::parse(text).unwrap(), until(*end)))
                .collect();
            let position = |held: bool| {
                entries.iter().position(|(pattern, terms)| {
                    terms.hold(day(now)) == held && spellings.iter().any(|one| pattern.matches(one))
                })
            };
            let allowlist = Allowlist::with_terms(entries.clone());
            let place = |found: Option<(usize, &AllowlistPattern)>| found.map(|(place, _)| place);
            prop_assert_eq!(place(allowlist.first_match(&spellings, day(now))), position(true));
            prop_assert_eq!(place(allowlist.first_ended(&spellings, day(now))), position(false));
        }
    }
}
