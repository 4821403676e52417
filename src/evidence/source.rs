//! What a source of attestations is: a place outside that is asked for occurrence documents, and trusted
//! with nothing. It can hide, never forge.
//!
//! A source gives documents and decides nothing about them: which count is `attestation::verify`'s, what
//! becomes of those that it no longer gives is [`super::ledger`]'s.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::store::RowId;
use crate::attestation::{NoteName, Occurrence};
use crate::image::Digest;

/// What a source does for a while.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An occurrence document as a source gave it.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it says.
    pub occurrence: Occurrence,
    /// Its bytes, JSON, at most [`crate::attestation::occurrence::MAX_BYTES`]: what is kept.
    pub text: Box<[u8]>,
}

/// A part of what a source holds that is listed by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All of it.
    Everything,
    /// What is filed under a note.
    Note(NoteName),
    /// What is filed in a project, under any note.
    Project(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Note(note) => note.fmt(f),
            Self::Project(project) => write!(f, "projects/{project}"),
        }
    }
}

/// One page of a listing.
#[derive(Debug, Default)]
pub struct Page {
    /// Attestations that belong to the scope; each counts once it is here, however the listing ends.
    pub documents: Vec<Document>,
    /// Documents that were given before and are as they were.
    pub kept: Vec<RowId>,
    /// How many documents of the page were none, or belong to another scope: they are left out.
    pub left_out: usize,
}

/// What a source says of documents that it leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// How many there are.
    pub refused: usize,
    /// The first of them by name, with the reason.
    pub documents: Vec<String>,
}

/// Takes a listing page by page.
pub trait Pages: Send {
    /// Takes one. An error ends the listing: it is given back by [`Source::list`] as
    /// [`SourceError::NotTaken`].
    ///
    /// # Errors
    /// Says why no more is taken.
    fn take<'a>(&'a mut self, page: Page) -> Work<'a, Result<(), String>>;
}

/// What a source that is followed says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Something about a digest was filed under a note, or has changed there.
    Filed(NoteName, Digest),
    /// Something about a digest that was filed under a note has gone.
    Gone(NoteName, Digest),
    /// A policy bundle was pushed.
    Bundle,
    /// Something was missed, a bundle perhaps: all of it is to be listed.
    Relist,
    /// It is followed from here on, without a gap.
    Follows,
}

/// Hears it. Whoever takes his time is waited for.
pub trait Listener: Send {
    /// One of them.
    fn hear<'a>(&'a mut self, heard: Heard) -> Work<'a, ()>;
}

/// A place that attestations come from.
pub trait Source: fmt::Debug + Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// Where it is, for people; without credentials.
    fn location(&self) -> String;

    /// What it leaves out, where it can be named.
    fn remarks(&self) -> Remarks {
        Remarks::default()
    }

    /// What it gave before is lost: all of it is to be given again.
    fn forget(&self) {}

    /// Gives all of `scope`, page by page. `Ok` says that the listing ended as it should: what it did not
    /// give is not there. Any other end says nothing about what is not there.
    fn list<'a>(&'a self, scope: &'a Scope, pages: &'a mut dyn Pages) -> Work<'a, Result<(), SourceError>>;

    /// Follows what changes, from behind `token` on, until that breaks off; keeps `token` behind what was heard, and
    /// none where what follows makes no sense: the same is not asked for for ever. `None` where this source tells of
    /// nothing. A change says where to look, and nothing of what is there.
    fn follow<'a>(
        &'a self,
        token: &'a mut Option<String>,
        listener: &'a mut dyn Listener,
    ) -> Option<Work<'a, SourceError>> {
        let _ = (token, listener);
        None
    }

    /// Gives what `scope` holds for `digest`, at most [`MAX_LOOKED_UP`] documents and [`MAX_LOOKED_UP_BYTES`] of
    /// it. `Ok` with none says that there is none.
    fn look_up<'a>(&'a self, scope: &'a Scope, digest: Digest) -> Work<'a, Result<LookedUp, SourceError>>;
}

/// The most documents that a look-up takes of one scope.
pub const MAX_LOOKED_UP: usize = 10_000;
/// The most bytes of them: many are asked for at a time, and all of it is in memory then.
pub const MAX_LOOKED_UP_BYTES: usize = 16 * 1024 * 1024;

/// What a look-up found.
#[derive(Debug, Default)]
pub struct LookedUp {
    /// Documents of the digest, each of the scope.
    pub documents: Vec<Document>,
    /// There are more than are taken: what is not among them may be there all the same.
    pub is_cut: bool,
}

/// Why a source did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No connection, or it broke.
    #[error("`{url}` cannot be reached: {cause}")]
    Unreachable {
        /// Scheme, host, port and path.
        url: String,
        /// Why, with a hint where there is one.
        cause: String,
    },
    /// Not within its time.
    #[error("`{url}` did not answer within {} s", limit.as_secs())]
    Slow {
        /// Scheme, host, port and path.
        url: String,
        /// How long that is.
        limit: Duration,
    },
    /// An answer that is a refusal.
    #[error("`{url}` answers {status}{said}: {remedy}")]
    Status {
        /// Scheme, host, port and path.
        url: String,
        /// Code and name.
        status: String,
        /// What the body says, in brackets; or nothing.
        said: String,
        /// What to do about it.
        remedy: &'static str,
        /// When it may be asked again, by its own word (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// An answer that is not what was asked for.
    #[error("`{url}` does not answer as such a server does: {cause}")]
    Malformed {
        /// Scheme, host, port and path.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A listing that ends in no regular way, or never.
    #[error("the listing of {scope} at `{url}` does not end as it should: {cause}")]
    Paging {
        /// Scheme, host, port and path.
        url: String,
        /// Of what.
        scope: String,
        /// How it went on.
        cause: String,
    },
    /// Credentials that cannot be had.
    #[error("no credentials for `{url}`: {cause}")]
    Credentials {
        /// Scheme, host, port and path.
        url: String,
        /// Why not. Never says what they are.
        cause: String,
    },
    /// The listing was given up here.
    #[error("the listing of {scope} was not taken whole: {cause}")]
    NotTaken {
        /// Of what.
        scope: String,
        /// Why.
        cause: String,
    },
}

impl SourceError {
    /// Whether other questions would fare no better: it is away, not refusing this one.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Slow { .. } | Self::Credentials { .. } => true,
            Self::Status { status, retry_after, .. } => {
                retry_after.is_some()
                    || ["5", "401", "408", "429"].iter().any(|code| status.starts_with(code))
            }
            Self::Malformed { .. } | Self::Paging { .. } | Self::NotTaken { .. } => false,
        }
    }

    /// When the source wants to be asked again, where it said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
