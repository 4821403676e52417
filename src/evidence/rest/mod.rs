//! Container Analysis and Grafeas over REST, v1 and v1beta1 (`grafeas.proto`: `ListNoteOccurrences`,
//! `ListOccurrences`): occurrences of a note or of a project, listed whole or looked up by digest; and filed there,
//! by whoever attests.
//!
//! The server is believed nothing. What it gives is filtered here again, because servers of the field ignore
//! filters; a listing counts as ended only by an empty page token, because some of them page for ever; and
//! every answer has a bound in bytes and in time. No redirect is followed and nothing is decompressed.

mod changes;
mod create;
mod listing;
mod page;
mod question;
mod trouble;

use std::time::Duration;

use super::source::{
    Listener, LookedUp, MAX_LOOKED_UP, MAX_LOOKED_UP_BYTES, Pages, Scope, Source, SourceError, Work,
};
use crate::http::{self, Client, HttpError};
use crate::image::Digest;
use listing::Listing;

/// Which API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Api {
    /// What Container Analysis speaks.
    #[default]
    V1,
    /// The only one that the open-source server of Grafeas speaks.
    V1Beta1,
}

/// A source that is asked over REST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestOptions {
    /// Its name in the configuration.
    pub name: String,
    /// Which API it speaks.
    pub api: Api,
    /// Where it is, up to what comes before `/v1/` or `/v1beta1/`, and how it is asked.
    pub http: http::Options,
    /// Whether it tells of changes (`GET /v1/changes`, as binauth-store does).
    pub tells: bool,
    /// How much of it is waited for and read.
    pub limits: Limits,
}

/// How much of a server is waited for and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// For one page of a listing.
    pub page: Duration,
    /// For one page of a look-up.
    pub look_up: Duration,
    /// For all pages of a look-up.
    pub whole_look_up: Duration,
    /// For all pages of a listing; what is done with them meanwhile is not counted.
    pub listing: Duration,
    /// The body of one page of a listing, in bytes.
    pub page_bytes: usize,
    /// The same of a look-up, of which there are many at a time.
    pub look_up_page_bytes: usize,
    /// All bodies of a listing or look-up together, in bytes.
    pub bytes: u64,
    /// How many occurrences of a page are asked for at first; halved while a page is too large.
    pub page_size: usize,
    /// Pages of a listing or look-up.
    pub pages: usize,
    /// Occurrences of a listing or look-up, whatever is left of them.
    pub occurrences: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            page: Duration::from_secs(30),
            look_up: Duration::from_secs(10),
            whole_look_up: Duration::from_secs(30),
            listing: Duration::from_secs(300),
            page_bytes: 32 * 1024 * 1024,
            look_up_page_bytes: 4 * 1024 * 1024,
            bytes: 4 * 1024 * 1024 * 1024,
            page_size: 1_000,
            pages: 20_000,
            occurrences: 1_000_000,
        }
    }
}

/// A server of occurrences.
#[derive(Debug)]
pub struct RestSource {
    name: String,
    api: Api,
    client: Client,
    tells: bool,
    limits: Limits,
}

impl RestSource {
    /// A source as `options` say. Reads no file and asks nobody.
    ///
    /// # Errors
    /// [`HttpError::Url`] and [`HttpError::Proxy`] for addresses that are not asked.
    pub fn new(options: RestOptions) -> Result<Self, HttpError> {
        let RestOptions { name, api, http, tells, limits } = options;
        let client = Client::new(http)?;
        Ok(Self { name, api, client, tells, limits })
    }
}

impl Source for RestSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn location(&self) -> String {
        http::address::plain(self.client.url())
    }

    fn list<'a>(&'a self, scope: &'a Scope, pages: &'a mut dyn Pages) -> Work<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let mut listing = Listing::new(self, scope, None)?;
            while let Some(page) = listing.next().await? {
                pages
                    .take(page)
                    .await
                    .map_err(|cause| SourceError::NotTaken { scope: scope.to_string(), cause })?;
            }
            Ok(())
        })
    }

    fn follow<'a>(
        &'a self,
        token: &'a mut Option<String>,
        listener: &'a mut dyn Listener,
    ) -> Option<Work<'a, SourceError>> {
        self.tells.then(|| Box::pin(changes::follow(self, token, listener)) as Work<'a, SourceError>)
    }

    fn look_up<'a>(&'a self, scope: &'a Scope, digest: Digest) -> Work<'a, Result<LookedUp, SourceError>> {
        Box::pin(async move {
            let mut listing = Listing::new(self, scope, Some(digest))?;
            let (mut found, mut bytes) = (LookedUp::default(), 0);
            while let Some(page) = listing.next().await? {
                for document in page.documents {
                    bytes += document.text.len();
                    if found.documents.len() == MAX_LOOKED_UP || bytes > MAX_LOOKED_UP_BYTES {
                        return Ok(LookedUp { is_cut: true, ..found });
                    }
                    found.documents.push(document);
                }
            }
            Ok(found)
        })
    }
}
