//! A client that gets documents from one place, and sends some there.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION, RETRY_AFTER,
};
use reqwest::{RequestBuilder, Response, StatusCode, Url, redirect};

use super::body::{self, Unread};
use super::credentials::{Credentials, bearer};
use super::error::HttpError;
use super::held::Held;
use super::lines::Lines;
use super::metadata::MetadataServer;
use super::proxies::Proxies;
use super::tls::{self, Roots};
use super::{address, retry_after};
use crate::text::shown;

/// What this program calls itself.
pub(super) const USER_AGENT: &str = concat!("binauthd/", env!("CARGO_PKG_VERSION"));

/// For a connection, name look-up and TLS included.
const CONNECT: Duration = Duration::from_secs(3);
/// So much of an answer may be told if it makes no sense.
const LOOKED_AT: usize = 64 * 1024;
/// The shortest token that is looked for there, in bytes.
const LEAST: usize = 16;
/// So many bytes of a token are not told.
const TOLD: usize = 12;
/// Then the system's certificates are read again.
const BUILT_FOR: Duration = Duration::from_secs(3_600);

/// One place, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `https://HOST[:PORT][/PATH]`, or `http` for a loopback address.
    pub url: String,
    /// Certificates (PEM) that the place's own must lead to, and no others count; without it, those of the
    /// system.
    pub authority: Option<PathBuf>,
    /// Who asks.
    pub credentials: Credentials,
    /// By what way.
    pub proxies: Proxies,
}

/// How long and how large an answer may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Of the body, in bytes.
    pub max_bytes: usize,
    /// For question and answer together.
    pub limit: Duration,
}

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// What is there.
    Body {
        /// All of it.
        bytes: Vec<u8>,
        /// Its entity tag, where it has one that could be sent back.
        etag: Option<String>,
    },
    /// It is still what it was under the entity tag that was sent.
    Unchanged,
}

/// What becomes of one document of a place.
#[derive(Debug)]
pub enum Change<'a> {
    /// It is replaced by this JSON, or put there.
    Put(Vec<u8>, Seen<'a>),
    /// It is taken away.
    Delete,
}

/// What the caller has seen in the place of a document that it replaces. Where something else is there now, a place that knows
/// of entity tags (RFC 9110 section 13.1) refuses.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// It does not say.
    Unsaid,
    /// Nothing.
    Nothing,
    /// What has this entity tag.
    This(&'a str),
}

/// Gets documents from one place. Connections are kept and used again, files of certificates and tokens are
/// read again with each [`Session`].
pub struct Client {
    options: Arc<Options>,
    url: Url,
    metadata: Option<MetadataServer>,
    built: Mutex<Option<Built>>,
}

/// A batch of questions, asked as the same caller.
pub struct Session<'a> {
    place: &'a Client,
    client: reqwest::Client,
    bearer: Option<HeaderValue>,
}

struct Built {
    files: TlsFiles,
    at: Instant,
    client: reqwest::Client,
}

#[derive(Clone, PartialEq)]
struct TlsFiles {
    authority: Option<Held>,
    identity: Option<(Held, Held)>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Options {
    /// The address, if it may be asked with these credentials. Reads no file.
    ///
    /// # Errors
    /// [`HttpError::Url`].
    pub fn check(&self) -> Result<Url, HttpError> {
        let refused =
            |cause: &str| HttpError::Url { url: address::shown(&self.url), cause: cause.to_owned() };
        let url = address::parse(&self.url).map_err(|cause| refused(&cause))?;
        match url.scheme() {
            "https" => Ok(url),
            "http" if address::loopback(&url).is_none() => {
                Err(refused("plain http is for a loopback address alone, such as `127.0.0.1`; use https"))
            }
            "http" if self.authority.is_some() => {
                Err(refused("certificates are given for it, which plain http has no use for; use https"))
            }
            "http" if matches!(self.credentials, Credentials::Certificate { .. }) => {
                Err(refused("a client certificate has no place in plain http; use https"))
            }
            "http" => Ok(url),
            _ => Err(refused("only https and http are known")),
        }
    }
}

impl Client {
    /// A client for the place that `options` name. Reads no file and asks nobody.
    ///
    /// # Errors
    /// [`HttpError::Url`] and [`HttpError::Proxy`] for addresses that are not asked.
    pub fn new(options: Options) -> Result<Self, HttpError> {
        let url = options.check()?;
        let _ = options.proxies.apply(reqwest::Client::builder(), &url)?;
        let metadata = match &options.credentials {
            Credentials::MetadataServer(server) => Some(MetadataServer::new(server)?),
            _ => None,
        };
        Ok(Self { options: Arc::new(options), url, metadata, built: Mutex::new(None) })
    }

    /// The place.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Gets one document; the place itself where `url` is its own.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn get(&self, url: Url, bounds: Bounds, etag: Option<&str>) -> Result<Answer, HttpError> {
        self.session().await?.get(url, bounds, etag).await
    }

    /// Sends `json` to one address of the place; the body of the answer.
    ///
    /// # Errors
    /// See [`HttpError`]. After [`HttpError::Slow`] and a broken connection it is not known whether it was taken.
    pub async fn post(&self, url: Url, json: Vec<u8>, bounds: Bounds) -> Result<Vec<u8>, HttpError> {
        self.session().await?.post(url, json, bounds).await
    }

    /// Changes one document of the place; the body of the answer.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub async fn change(&self, url: Url, change: Change<'_>, bounds: Bounds) -> Result<Vec<u8>, HttpError> {
        self.session().await?.change(url, change, bounds).await
    }

    /// Reads the files that say who is believed and who asks, and begins a batch of questions.
    ///
    /// # Errors
    /// [`HttpError::Held`] and [`HttpError::NoToken`].
    pub async fn session(&self) -> Result<Session<'_>, HttpError> {
        let options = Arc::clone(&self.options);
        let (files, token) = blocking(move || read(&options)).await?;
        let bearer = match (token, &self.metadata) {
            (Some(token), _) => Some(bearer(&token)?),
            (None, Some(server)) => Some(server.bearer().await?),
            (None, None) => None,
        };
        Ok(Session { place: self, client: self.connected(files).await?, bearer })
    }

    /// A client for these files; the one from before where they are the same.
    async fn connected(&self, files: TlsFiles) -> Result<reqwest::Client, HttpError> {
        if let Some(built) = self.built.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
            && built.files == files
            && built.at.elapsed() < BUILT_FOR
        {
            return Ok(built.client.clone());
        }
        let at = Instant::now();
        let (options, url, own) = (Arc::clone(&self.options), self.url.clone(), files.clone());
        let client = blocking(move || build(&options, &url, own)).await?;
        let built = Built { files, at, client: client.clone() };
        *self.built.lock().unwrap_or_else(PoisonError::into_inner) = Some(built);
        Ok(client)
    }
}

/// Certificates and keys, and the token.
fn read(options: &Options) -> Result<(TlsFiles, Option<Held>), HttpError> {
    let (mut token, mut identity) = (None, None);
    match &options.credentials {
        Credentials::None | Credentials::MetadataServer(_) => {}
        Credentials::Token(path) => token = Some(Held::read_secret(path)?),
        Credentials::Given(held) => token = Some(held.clone()),
        Credentials::Certificate { certificate, key } => {
            identity = Some((Held::read(certificate)?, Held::read_secret(key)?));
        }
    }
    let authority = options.authority.as_deref().map(Held::read).transpose()?;
    Ok((TlsFiles { authority, identity }, token))
}

fn build(options: &Options, url: &Url, files: TlsFiles) -> Result<reqwest::Client, HttpError> {
    let roots = match files.authority {
        Some(held) => Roots::Given(held),
        None if url.scheme() == "https" => Roots::System,
        None => Roots::None,
    };
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client(roots, files.identity)?)
        .referer(false)
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .user_agent(USER_AGENT);
    let unusable = |error| HttpError::Url { url: address::plain(url), cause: body::cause(error) };
    options.proxies.apply(builder, url)?.build().map_err(unusable)
}

impl Session<'_> {
    /// Gets one document of the place.
    ///
    /// # Errors
    /// See [`HttpError`]; [`HttpError::Url`] for another place's.
    pub async fn get(&self, url: Url, bounds: Bounds, etag: Option<&str>) -> Result<Answer, HttpError> {
        let mut request = self.client.get(url.clone());
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        self.within(url, request, bounds, etag.is_some()).await
    }

    /// Sends `json` to one address of the place; the body of the answer.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub async fn post(&self, url: Url, json: Vec<u8>, bounds: Bounds) -> Result<Vec<u8>, HttpError> {
        let request = self.client.post(url.clone()).header(CONTENT_TYPE, "application/json").body(json);
        self.taken(url, request, bounds).await
    }

    /// Changes one document of the place; the body of the answer.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub async fn change(&self, url: Url, change: Change<'_>, bounds: Bounds) -> Result<Vec<u8>, HttpError> {
        let request = match change {
            Change::Put(json, seen) => {
                let request =
                    self.client.put(url.clone()).header(CONTENT_TYPE, "application/json").body(json);
                match seen {
                    Seen::Unsaid => request,
                    Seen::Nothing => request.header(IF_NONE_MATCH, "*"),
                    Seen::This(etag) => request.header(IF_MATCH, etag),
                }
            }
            Change::Delete => self.client.delete(url.clone()),
        };
        self.taken(url, request, bounds).await
    }

    async fn taken(&self, url: Url, request: RequestBuilder, bounds: Bounds) -> Result<Vec<u8>, HttpError> {
        match self.within(url, request, bounds, false).await? {
            Answer::Body { bytes, .. } => Ok(bytes),
            Answer::Unchanged => Ok(Vec::new()),
        }
    }

    async fn within(
        &self,
        url: Url,
        request: RequestBuilder,
        bounds: Bounds,
        tagged: bool,
    ) -> Result<Answer, HttpError> {
        let slow = |_| HttpError::Slow { url: address::plain(&url), limit: bounds.limit };
        let answer = self.answer(url.clone(), request, bounds.max_bytes, tagged);
        let answer = tokio::time::timeout(bounds.limit, answer).await.map_err(slow)?;
        self.unless_refused(answer).await
    }

    /// Follows a document of the place that has no end, line by line. Nothing may come for `silence`; a line of more
    /// than `max_line` bytes is passed over.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn lines(&self, url: Url, silence: Duration, max_line: usize) -> Result<Lines, HttpError> {
        let asked = address::plain(&url);
        let request = self.client.get(url.clone());
        let slow = |_| HttpError::Slow { url: asked.clone(), limit: silence };
        let response =
            tokio::time::timeout(silence, self.response(&url, request, false)).await.map_err(slow)?;
        let Some(response) = self.unless_refused(response).await? else { return Err(HttpError::GivenUp) };
        Ok(Lines::new(response, asked, silence, max_line))
    }

    /// The same answer. Where it says that the token does not count, another one is asked for next time.
    async fn unless_refused<T>(&self, answer: Result<T, HttpError>) -> Result<T, HttpError> {
        if let (Err(HttpError::Status { status: StatusCode::UNAUTHORIZED, .. }), Some(server)) =
            (&answer, &self.place.metadata)
        {
            server.forget().await;
        }
        answer
    }

    async fn answer(
        &self,
        url: Url,
        request: RequestBuilder,
        max: usize,
        tagged: bool,
    ) -> Result<Answer, HttpError> {
        let asked = address::plain(&url);
        let Some(mut response) = self.response(&url, request, tagged).await? else {
            return Ok(Answer::Unchanged);
        };
        let etag = text_of(response.headers(), ETAG);
        match body::whole(&mut response, max).await {
            Ok(bytes) if self.is_echoed(bytes.get(..LOOKED_AT).unwrap_or(&bytes)) => {
                Err(HttpError::Echo { url: asked })
            }
            Ok(bytes) => Ok(Answer::Body { bytes, etag }),
            Err(Unread::TooMuch(read)) => Err(HttpError::TooMuch { url: asked, max, read }),
            Err(Unread::Broken(error)) => Err(HttpError::broken(asked, error)),
        }
    }

    /// An answer whose body can be read; none where it is what it was.
    async fn response(
        &self,
        url: &Url,
        request: RequestBuilder,
        tagged: bool,
    ) -> Result<Option<Response>, HttpError> {
        let asked = address::plain(url);
        if url.origin() != self.place.url.origin() {
            return Err(HttpError::Url { url: asked, cause: "it is another place".to_owned() });
        }
        let mut request = request.header(ACCEPT, "application/json").header(ACCEPT_ENCODING, "identity");
        if let Some(bearer) = &self.bearer {
            request = request.header(AUTHORIZATION, bearer.clone());
        }
        let broken = |error| HttpError::broken(asked.clone(), error);
        let mut response = request.send().await.map_err(broken)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if tagged => return Ok(None),
            _ => return Err(self.refusal(asked, &mut response).await),
        }
        let encoding = text_of(response.headers(), CONTENT_ENCODING);
        if let Some(encoding) = encoding.filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            return Err(HttpError::Encoded { url: asked, encoding });
        }
        Ok(Some(response))
    }

    async fn refusal(&self, url: String, response: &mut Response) -> HttpError {
        let status = response.status();
        if status.is_redirection()
            && let Some(to) = text_of(response.headers(), LOCATION)
        {
            let to = self.without_token(address::shown(&to));
            return HttpError::Redirect { url, status: status.to_string(), to };
        }
        let after = text_of(response.headers(), RETRY_AFTER);
        HttpError::Status {
            url,
            status,
            said: self.without_token(body::said(response).await),
            retry_after: after.and_then(|text| retry_after::parse(&text, SystemTime::now())),
        }
    }

    /// What is told of an answer ends in logs and in events that many may read. Servers and proxies repeat what
    /// they were asked with, so nothing is told that may hold the token, or its beginning.
    fn without_token(&self, said: String) -> String {
        let token = self.token().and_then(|token| token.get(..TOLD).or(Some(token)));
        let holds = token.is_some_and(|token| said.as_bytes().windows(token.len()).any(|part| part == token));
        if holds { String::new() } else { said }
    }

    /// Whether a token that is no common word is in it.
    fn is_echoed(&self, bytes: &[u8]) -> bool {
        let token = self.token().filter(|token| token.len() >= LEAST);
        token.is_some_and(|token| bytes.windows(token.len()).any(|part| part == token))
    }

    fn token(&self) -> Option<&[u8]> {
        self.bearer.as_ref()?.as_bytes().strip_prefix(b"Bearer ").filter(|token| !token.is_empty())
    }
}

/// A header of the answer, cut and cleaned.
fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(|text| shown(text, 300))
}

/// What reads files, away from the threads that answer.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HttpError> + Send + 'static,
) -> Result<T, HttpError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(HttpError::GivenUp))
}
