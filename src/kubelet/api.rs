//! What is written to the API server: who asks and whom to believe, as the kubeconfig says.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};

use super::access::{Access, Options};
use super::ask::{blocking, client};
use super::error::KubeletError;
use super::list::Reporter;
use crate::http::address::plain;
use crate::http::{body, retry_after};

/// For one write, its connection included.
const DEADLINE: Duration = Duration::from_secs(5);

/// The API server, as a kubeconfig says.
#[derive(Debug, Clone)]
pub(super) struct ApiServer {
    options: Arc<Options>,
}

/// What is written, and where.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) method: Method,
    /// Below `/api/v1`; each part is encoded by itself.
    pub(super) path: Vec<String>,
    /// The media type of the body.
    pub(super) kind: &'static str,
    pub(super) body: serde_json::Value,
}

/// How a write ended that the API server has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It stands there.
    Done,
    /// What was to be changed is not there, or what was to be made could not be in that place.
    NotThere,
    /// It is there already.
    Already,
}

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unwritten {
    /// For people.
    pub(super) cause: String,
    /// By its own word, how long the API server wants to be left alone.
    pub(super) rest: Option<Duration>,
    /// Nobody will take this one, whoever is asked when.
    pub(super) is_final: bool,
}

impl ApiServer {
    /// The one of the kubeconfig at `path`, for the node of this name.
    ///
    /// # Errors
    /// [`KubeletError::Node`].
    pub(super) fn new(path: PathBuf, node: Option<String>) -> Result<Self, KubeletError> {
        let options = Options::Kubeconfig { path, node };
        options.check()?;
        Ok(Self { options: Arc::new(options) })
    }

    /// Writes what `write` makes of this node's name.
    pub(super) async fn send(&self, write: impl FnOnce(&str) -> Write) -> Result<Written, Unwritten> {
        let slow = |_| Unwritten::passing(KubeletError::Slow(self.options.describe()).to_string());
        tokio::time::timeout(DEADLINE, self.sent(write)).await.map_err(slow)?
    }

    async fn sent(&self, write: impl FnOnce(&str) -> Write) -> Result<Written, Unwritten> {
        let failed = |error: KubeletError| Unwritten::passing(crate::chain(&error));
        let options = Arc::clone(&self.options);
        // Certificates and tokens are rotated: they are read again each time.
        let access = blocking(move || Access::of(&options)).await.map_err(failed)?;
        let Reporter::ApiServer { node } = &access.reporter else {
            return Err(Unwritten::passing("kubelet takes no events".to_owned()));
        };
        let (client, url) = client(&access).await.map_err(failed)?;
        let Write { method, path, kind, body } = write(node);
        let url = place(url, &path).ok_or_else(|| Unwritten::passing("no address".to_owned()))?;
        let asked = plain(&url);
        let mut request =
            client.request(method, url).header(ACCEPT, "application/json").header(CONTENT_TYPE, kind);
        if let Some(bearer) = &access.bearer {
            request = request.header(AUTHORIZATION, bearer.clone());
        }
        let unreachable =
            |error| failed(KubeletError::Unreachable { url: asked.clone(), cause: body::cause(error) });
        let mut response = request.body(body.to_string()).send().await.map_err(unreachable)?;
        let status = response.status();
        match status {
            status if status.is_success() => return Ok(Written::Done),
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Written::NotThere),
            StatusCode::CONFLICT => return Ok(Written::Already),
            _ => {}
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok());
        let rest = after.and_then(|after| retry_after::parse(after, SystemTime::now()));
        let said = body::said(&mut response).await;
        let cause = format!("`{asked}` answers {status}{said}{}", remedy(status));
        let is_final = matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY);
        Err(Unwritten { cause, rest, is_final })
    }
}

impl Unwritten {
    fn passing(cause: String) -> Self {
        Self { cause, rest: None, is_final: false }
    }
}

/// The address of what has this path, where `pods` is that of all pods.
fn place(mut pods: Url, path: &[String]) -> Option<Url> {
    pods.path_segments_mut().ok()?.pop().extend(path);
    Some(pods)
}

fn remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => ": the token or certificate is not accepted there, renew it",
        StatusCode::FORBIDDEN => {
            ": allow its user to `create` and `patch` `events`, and to `patch` `nodes/status` of its own node; what a \
             kubelet has will do"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_below_the_api() {
        let of = |url: &str, path: &[&str]| {
            let path: Vec<_> = path.iter().map(|part| (*part).to_owned()).collect();
            place(Url::parse(url).unwrap(), &path).unwrap().to_string()
        };
        assert_eq!(
            of("https://api:6443/api/v1/pods", &["namespaces", "shop", "events"]),
            "https://api:6443/api/v1/namespaces/shop/events"
        );
        assert_eq!(
            of("https://api/below/api/v1/pods", &["nodes", "a/b"]),
            "https://api/below/api/v1/nodes/a%2Fb"
        );
    }
}
