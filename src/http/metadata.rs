//! The metadata server of Google Compute Engine: tokens of this machine's service account.

use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::credentials::bearer;
use super::error::HttpError;
use super::held::Held;
use super::tls::{self, Roots};
use super::{address, body};

const PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// By which server and client know that they do not speak with somebody else's by mistake.
const FLAVOR: &str = "metadata-flavor";
const GOOGLE: &str = "Google";
/// For one token.
const LIMIT: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 64 * 1024;
/// A token is not used in its last minute: it would end on the way.
const MARGIN: Duration = Duration::from_secs(60);

/// One metadata server, and the token that it gave last.
pub(super) struct MetadataServer {
    url: Url,
    client: Client,
    /// Locked while one is asked for, so that it is asked once.
    token: Mutex<Option<(HeaderValue, Instant)>>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: u64,
    token_type: String,
}

impl MetadataServer {
    /// The one at `text`, `http://HOST[:PORT]`. No proxy is used: it is never far.
    pub(super) fn new(text: &str) -> Result<Self, HttpError> {
        let wrong = |cause: String| HttpError::Url { url: address::shown(text), cause };
        let mut url = address::parse(text).map_err(wrong)?;
        if url.scheme() != "http" || url.path() != "/" {
            return Err(wrong("a metadata server is named as `http://HOST[:PORT]`".to_owned()));
        }
        url.set_path(PATH);
        let client = Client::builder()
            .tls_backend_preconfigured(tls::client(Roots::None, None)?)
            .no_proxy()
            .referer(false)
            .redirect(redirect::Policy::none())
            .user_agent(super::client::USER_AGENT)
            .build()
            .map_err(|error| wrong(body::cause(error)))?;
        Ok(Self { url, client, token: Mutex::new(None) })
    }

    /// The header `authorization` with a token that has a minute at least.
    pub(super) async fn bearer(&self) -> Result<HeaderValue, HttpError> {
        let mut held = self.token.lock().await;
        if let Some((header, until)) = held.as_ref()
            && Instant::now() < *until
        {
            return Ok(header.clone());
        }
        *held = None;
        let slow = |_| self.none(format!("it did not answer within {} s", LIMIT.as_secs()));
        let asked = Instant::now();
        let (header, lasts) = tokio::time::timeout(LIMIT, self.ask()).await.map_err(slow)??;
        *held = Some((header.clone(), asked + lasts.saturating_sub(MARGIN)));
        Ok(header)
    }

    /// The token was not accepted: the next question gets a new one.
    pub(super) async fn forget(&self) {
        *self.token.lock().await = None;
    }

    async fn ask(&self) -> Result<(HeaderValue, Duration), HttpError> {
        let broken = |error| self.none(body::cause(error));
        let request = self.client.get(self.url.clone()).header(FLAVOR, GOOGLE);
        let mut response = request.send().await.map_err(broken)?;
        if response.status() != reqwest::StatusCode::OK {
            let said = body::said(&mut response).await;
            return Err(self.none(format!("it answers {}{said}", response.status())));
        }
        if response.headers().get(FLAVOR).is_none_or(|flavor| flavor != GOOGLE) {
            return Err(self.none("its answer lacks the header `Metadata-Flavor: Google`".to_owned()));
        }
        let body = body::whole(&mut response, MAX_BYTES).await.map_err(|unread| match unread {
            body::Unread::TooMuch(_) => self.none(format!("it answers with more than {MAX_BYTES} bytes")),
            body::Unread::Broken(error) => broken(error),
        })?;
        // What is wrong with it is not repeated: a token may stand there.
        let token: Token = serde_json::from_slice(&body)
            .map_err(|_| self.none("it does not answer with a token of a service account".to_owned()))?;
        if !token.token_type.eq_ignore_ascii_case("bearer") {
            return Err(self.none("its token is no bearer token".to_owned()));
        }
        let held = Held { origin: self.url.to_string(), bytes: token.access_token.into_bytes() };
        // An hour is usual; more than a day is not believed, and could overflow.
        Ok((bearer(&held)?, Duration::from_secs(token.expires_in.min(86_400))))
    }

    fn none(&self, cause: String) -> HttpError {
        HttpError::NoToken { server: self.url.to_string(), cause }
    }
}
