//! A listing, page by page, to an end that is one.
//!
//! Tokens of servers of the field restart silently at the beginning when they are too old, lead from the last
//! page to an empty one and from there to the first, or mean an offset into what changes meanwhile. So only
//! an empty token ends a listing; whatever else keeps it from going on is an error.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use super::page::{self, Contents, Seen};
use super::question::Question;
use super::{RestSource, trouble};
use crate::evidence::source::{Page, Scope, SourceError};
use crate::http::{Answer, Bounds, HttpError};
use crate::image::Digest;

/// Servers that filter late give empty pages; more of them in a row than this lead nowhere.
const MAX_EMPTY: usize = 10;
/// A page larger than this is read away from the threads that answer, in bytes.
const LARGE: usize = 64 * 1024;

/// A listing under way.
pub(super) struct Listing<'a> {
    source: &'a RestSource,
    scope: &'a Scope,
    question: Question,
    /// For one page, and for all.
    limits: (Duration, Duration),
    /// Of one page.
    page_bytes: usize,
    /// Occurrences a page.
    size: usize,
    next: Next,
    /// Every token that was given, as hashes: they may be long, and many.
    tokens: HashSet<u64>,
    hasher: RandomState,
    seen: Seen,
    asked: usize,
    bytes: u64,
    entries: usize,
    empty: usize,
    /// How long the server was waited for.
    waited: Duration,
}

/// How it goes on.
enum Next {
    First,
    Page(String),
    End,
    /// By what comes after what has been given still.
    Trouble(SourceError),
}

impl<'a> Listing<'a> {
    /// All of `scope`, or what it holds for `digest`.
    ///
    /// # Errors
    /// [`SourceError::NotTaken`] for what such a server cannot be asked.
    pub(super) fn new(
        source: &'a RestSource,
        scope: &'a Scope,
        digest: Option<Digest>,
    ) -> Result<Self, SourceError> {
        let limits = &source.limits;
        Ok(Self {
            source,
            scope,
            question: Question::new(source.client.url(), source.api, scope, digest)?,
            limits: match digest {
                None => (limits.page, limits.listing),
                Some(_) => (limits.look_up, limits.whole_look_up),
            },
            page_bytes: match digest {
                None => limits.page_bytes,
                Some(_) => limits.page_bytes.min(limits.look_up_page_bytes),
            },
            size: limits.page_size.max(1),
            next: Next::First,
            tokens: HashSet::new(),
            hasher: RandomState::new(),
            seen: Seen::default(),
            asked: 0,
            bytes: 0,
            entries: 0,
            empty: 0,
            waited: Duration::ZERO,
        })
    }

    /// The next page; `None` at the end.
    ///
    /// # Errors
    /// See [`SourceError`]. After one, nothing more is given.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, SourceError> {
        let token = match std::mem::replace(&mut self.next, Next::End) {
            Next::First => None,
            Next::Page(token) => Some(token),
            Next::End => return Ok(None),
            Next::Trouble(error) => return Err(error),
        };
        let body = self.body(token.as_deref()).await?;
        let Contents { page, entries, fresh, next } = self.read(body).await?;
        self.entries += entries;
        if entries > 0 && fresh == 0 {
            return Err(self.abnormal("a page brings nothing that was not on a page before"));
        }
        self.empty = if entries == 0 { self.empty + 1 } else { 0 };
        let most = self.source.limits.occurrences;
        self.next = match next {
            // What is on this page is given still: it may be more than is listed.
            _ if self.entries > most => {
                Next::Trouble(self.abnormal(format!("it has more than {most} occurrences")))
            }
            None => Next::End,
            Some(_) if self.empty > MAX_EMPTY => {
                Next::Trouble(self.abnormal(format!("more than {MAX_EMPTY} pages in a row are empty")))
            }
            Some(token) if !self.tokens.insert(self.hasher.hash_one(&token)) => {
                Next::Trouble(self.abnormal("a page token came a second time"))
            }
            Some(token) => Next::Page(token),
        };
        Ok(Some(page))
    }

    /// The page behind `token`, asked for in smaller ones while it is too large.
    async fn body(&mut self, token: Option<&str>) -> Result<Vec<u8>, SourceError> {
        loop {
            let limits = &self.source.limits;
            if self.asked == limits.pages {
                return Err(self.abnormal(format!("it has more than {} pages", limits.pages)));
            }
            self.asked += 1;
            let began = Instant::now();
            let answer = self.ask(token).await;
            self.waited += began.elapsed();
            self.bytes += match &answer {
                Ok(body) => body.len() as u64,
                Err(HttpError::TooMuch { read, .. }) => *read as u64,
                Err(_) => 0,
            };
            if self.bytes > limits.bytes {
                return Err(self.abnormal(format!("it has more than {} bytes", limits.bytes)));
            }
            match answer {
                Ok(body) => return Ok(body),
                Err(HttpError::TooMuch { .. }) if self.size > 1 => self.size /= 2,
                // Some servers refuse a filter that they do not know rather than ignore it.
                Err(HttpError::Status { status, .. })
                    if status == 400 && token.is_none() && self.question.drop_filter() => {}
                Err(HttpError::Slow { .. }) if self.waited >= self.limits.1 => return Err(self.late()),
                Err(error) => return Err(trouble::of(error, &self.question.shown())),
            }
            if self.waited >= self.limits.1 {
                return Err(self.late());
            }
        }
    }

    /// Asks once. What says who asks is read for each page: a token may end before the listing does.
    async fn ask(&self, token: Option<&str>) -> Result<Vec<u8>, HttpError> {
        let (page, all) = self.limits;
        let limit = page.min(all.saturating_sub(self.waited));
        let bounds = Bounds { max_bytes: self.page_bytes, limit };
        let session = self.source.client.session().await?;
        match session.get(self.question.page(self.size, token), bounds, None).await? {
            Answer::Body { bytes, .. } => Ok(bytes),
            Answer::Unchanged => Err(HttpError::GivenUp), // answers a question that was not asked
        }
    }

    async fn read(&mut self, body: Vec<u8>) -> Result<Contents, SourceError> {
        let (sieve, mut seen) = (self.question.sieve(), std::mem::take(&mut self.seen));
        let large = body.len() > LARGE;
        let work = move || {
            let contents = page::read(&body, &sieve, &mut seen);
            (contents, seen)
        };
        let done = if large { tokio::task::spawn_blocking(work).await } else { Ok(work()) };
        let Ok((contents, seen)) = done else {
            return Err(trouble::of(HttpError::GivenUp, &self.question.shown()));
        };
        self.seen = seen;
        contents.map_err(|cause| SourceError::Malformed { url: self.question.shown(), cause })
    }

    fn late(&self) -> SourceError {
        self.abnormal(format!("it is not at its end after {} s", self.limits.1.as_secs_f32()))
    }

    fn abnormal(&self, cause: impl Into<String>) -> SourceError {
        SourceError::Paging { url: self.question.shown(), scope: self.scope.to_string(), cause: cause.into() }
    }
}
