//! One look: the question to kubelet or the API server, all pages of the answer, and their bounds.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, LOCATION};
use reqwest::{Client, StatusCode, Url, redirect};

use super::access::{Access, Options};
use super::error::KubeletError;
use super::list::{self, List, MAX_PODS, Reporter};
use super::listener;
use crate::http::address::{loopback, plain};
use crate::http::body::{self, Unread};
use crate::text::shown;

/// For one look, all pages together.
const DEADLINE: Duration = Duration::from_secs(5);
/// For one look, all pages together, in bytes.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// How many pods of a page are asked for; a server may give fewer.
const PAGE: &str = "500";
const MAX_PAGES: usize = 64;

/// Looks at the node's pods once. Either the whole list or none of it: one that ends before its end
/// could hide what disputes the rest.
///
/// # Errors
/// See [`KubeletError`].
pub(super) async fn look(options: &Arc<Options>) -> Result<List, KubeletError> {
    let slow = |_| KubeletError::Slow(options.describe());
    tokio::time::timeout(DEADLINE, whole(options)).await.map_err(slow)?
}

async fn whole(options: &Arc<Options>) -> Result<List, KubeletError> {
    let options = Arc::clone(options);
    let access = blocking(move || Access::of(&options)).await?;
    // The certificates and their keys are new at each look, and so is the connection: nothing outlives a
    // rotation, and a kubelet that was restarted is met without an old connection's error.
    let (client, mut url) = client(&access).await?;
    if let Reporter::ApiServer { node } = &access.reporter {
        let selector = format!("spec.nodeName={node}");
        url.query_pairs_mut().append_pair("fieldSelector", &selector).append_pair("limit", PAGE);
    }
    let (mut all, mut bytes) = (List::default(), 0);
    for _ in 0..MAX_PAGES {
        let mut page = url.clone();
        if let Some(next) = &all.next {
            page.query_pairs_mut().append_pair("continue", next);
        }
        let body = get(&client, &access, page, MAX_BYTES - bytes).await?;
        bytes += body.len();
        let reporter = access.reporter.clone();
        let parsed = blocking(move || Ok(list::parse(&body, &reporter))).await?;
        let part = parsed.map_err(|cause| KubeletError::NotPods { url: plain(&access.url), cause })?;
        all.extend(part);
        if all.pods.len() + all.left_out > MAX_PODS {
            return Err(KubeletError::TooMuch { url: plain(&access.url), bound: "10000 pods" });
        }
        if all.next.is_none() || access.reporter == Reporter::Kubelet {
            return Ok(all);
        }
    }
    Err(KubeletError::TooMuch { url: plain(&access.url), bound: "64 pages" })
}

/// A client that goes to one place, and the address that it is asked by: under another server name, that
/// name stands in place of the host, and leads to where the host is.
pub(super) async fn client(access: &Access) -> Result<(Client, Url), KubeletError> {
    let unreachable = |cause: String| KubeletError::Unreachable { url: plain(&access.url), cause };
    let mut url = access.url.clone();
    let mut builder = Client::builder()
        .tls_backend_preconfigured(access.tls.clone())
        .no_proxy()
        .referer(false)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("binauthd/", env!("CARGO_PKG_VERSION")));
    if let Some(name) = &access.server_name
        && url.scheme() == "https"
    {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![(address, 0).into()],
            Err(_) => {
                let found = tokio::net::lookup_host((host, 0)).await;
                found.map_err(|error| unreachable(error.to_string()))?.collect()
            }
        };
        builder = builder.resolve_to_addrs(name, &addresses);
        url.set_host(Some(name)).map_err(|error| unreachable(error.to_string()))?;
    }
    let client = builder.build().map_err(|error| unreachable(crate::chain(&error)))?;
    Ok((client, url))
}

/// The body of the answer, at most `max` bytes of it.
async fn get(client: &Client, access: &Access, url: Url, max: usize) -> Result<Vec<u8>, KubeletError> {
    let asked = plain(&access.url);
    let unreachable =
        |error: reqwest::Error| KubeletError::Unreachable { url: asked.clone(), cause: body::cause(error) };
    held_by_root(&url).await?;
    let mut request = client.get(url.clone()).header(ACCEPT, "application/json");
    if let Some(bearer) = &access.bearer {
        request = request.header(AUTHORIZATION, bearer.clone());
    }
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
        return Err(KubeletError::Redirect { url: asked, to: shown(to, 300) });
    }
    if status != StatusCode::OK {
        let said = body::said(&mut response).await;
        return Err(KubeletError::Status {
            url: asked,
            status: status.to_string(),
            said,
            remedy: remedy(status),
        });
    }
    let body = body::whole(&mut response, max).await.map_err(|unread| match unread {
        Unread::TooMuch(_) => KubeletError::TooMuch { url: asked.clone(), bound: "64 MiB" },
        Unread::Broken(error) => unreachable(error),
    })?;
    held_by_root(&url).await?;
    Ok(body)
}

/// Plain HTTP believes whoever listens, so that must be root.
async fn held_by_root(url: &Url) -> Result<(), KubeletError> {
    match loopback(url).filter(|_| url.scheme() == "http") {
        Some(port) => blocking(move || listener::check(port)).await,
        None => Ok(()),
    }
}

fn remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "the token or certificate is not accepted there, renew it",
        StatusCode::FORBIDDEN => {
            "allow its user to `get` `nodes/pods` (before Kubernetes 1.32 `nodes/proxy`), at the API server to `list` `pods`"
        }
        StatusCode::NOT_FOUND => "this is no address of pods, look at its path",
        _ => "it is asked again",
    }
}

/// What reads files or long texts, away from the threads that answer.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KubeletError> + Send + 'static,
) -> Result<T, KubeletError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(KubeletError::GivenUp))
}
