//! Where the node's pods are asked for, and how: from options and files to what a connection needs.

use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;
use reqwest::header::HeaderValue;
use rustls::ClientConfig;

use super::error::KubeletError;
use super::kubeconfig::Kubeconfig;
use super::list::Reporter;
use crate::http::tls::{self, Roots};
use crate::http::{Held, address, bearer};
use crate::image::workload::is_subdomain;

/// Where the node's pods are asked for. All files must be root's and writable by nobody else; they are
/// read again at each look, because they are rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Options {
    /// kubelet's own endpoint. The credentials must be allowed to `get` `nodes/pods`, before Kubernetes
    /// 1.32 `nodes/proxy`.
    Kubelet {
        /// `https://127.0.0.1:10250/pods`, or `http://127.0.0.1:10255/pods` for the read-only port. HTTP
        /// only on a loopback address that root listens on. Without a path, `/pods` is meant.
        url: String,
        /// The DNS name that kubelet's certificate must hold, where that is not the host of `url`: mostly
        /// the node's name.
        server_name: Option<String>,
        /// Certificates (PEM) that kubelet's own must lead to, the only ones that count: those of the
        /// cluster, or `/var/lib/kubelet/pki/kubelet.crt` where kubelet signs its own. Needed for HTTPS.
        authority: Option<PathBuf>,
        /// Who asks.
        credentials: Credentials,
    },
    /// The API server, as a kubeconfig says: for kubelet's own, mostly `/etc/kubernetes/kubelet.conf` or
    /// `/var/lib/kubelet/kubeconfig`.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The node's name; the host name in lower case if there is none.
        node: Option<String>,
    },
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody in particular.
    None,
    /// A file that holds a bearer token.
    Token(PathBuf),
    /// A client certificate with its chain, and its key; both PEM, and may be one file.
    Certificate {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
}

/// Everything that one look needs.
pub(super) struct Access {
    pub(super) url: Url,
    pub(super) server_name: Option<String>,
    pub(super) tls: ClientConfig,
    /// The header `authorization`.
    pub(super) bearer: Option<HeaderValue>,
    pub(super) reporter: Reporter,
}

impl Options {
    /// Refuses what no file could make right.
    ///
    /// # Errors
    /// [`KubeletError::Url`] and [`KubeletError::Node`].
    pub(super) fn check(&self) -> Result<(), KubeletError> {
        match self {
            Self::Kubelet { url, server_name, authority, credentials } => {
                check_url(url, server_name.as_deref(), authority.is_some(), *credentials != Credentials::None)
                    .map(|_| ())
            }
            Self::Kubeconfig { node: Some(node), .. } if !is_subdomain(node) => {
                Err(KubeletError::Node(node.clone()))
            }
            Self::Kubeconfig { .. } => Ok(()),
        }
    }

    /// For logs and status.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Kubelet { url, .. } => url.clone(),
            Self::Kubeconfig { path, .. } => path.display().to_string(),
        }
    }
}

impl Access {
    /// Reads all files. Blocks for as long as that takes.
    pub(super) fn of(options: &Options) -> Result<Self, KubeletError> {
        match options {
            Options::Kubelet { url, server_name, authority, credentials } => {
                let identified = *credentials != Credentials::None;
                let mut url = check_url(url, server_name.as_deref(), authority.is_some(), identified)?;
                if url.path() == "/" {
                    url.set_path("/pods");
                }
                let authority = authority.as_deref().map(Held::read).transpose()?;
                let (token, certificate) = match credentials {
                    Credentials::None => (None, None),
                    Credentials::Token(path) => (Some(Held::read(path)?), None),
                    Credentials::Certificate { certificate, key } => {
                        (None, Some((Held::read(certificate)?, Held::read(key)?)))
                    }
                };
                Ok(Self {
                    url,
                    server_name: server_name.clone(),
                    tls: tls::client(believed(authority), certificate)?,
                    bearer: token.as_ref().map(bearer).transpose()?,
                    reporter: Reporter::Kubelet,
                })
            }
            Options::Kubeconfig { path, node } => {
                let config = Kubeconfig::load(path)?;
                let mut url = check_url(
                    &config.server,
                    config.server_name.as_deref(),
                    config.authority.is_some(),
                    true,
                )?;
                let node = node.clone().map_or_else(host_name, Ok)?;
                // Some proxies before API servers have them below a path.
                let path = format!("{}/api/v1/pods", url.path().trim_end_matches('/'));
                url.set_path(&path);
                Ok(Self {
                    url,
                    server_name: config.server_name,
                    tls: tls::client(believed(config.authority), config.certificate)?,
                    bearer: config.token.as_ref().map(bearer).transpose()?,
                    reporter: Reporter::ApiServer { node },
                })
            }
        }
    }
}

/// An address that may be asked, with what is known of the other end and of us.
fn check_url(
    text: &str,
    server_name: Option<&str>,
    has_authority: bool,
    identified: bool,
) -> Result<Url, KubeletError> {
    let refused = |cause: &str| Err(KubeletError::Url { url: address::shown(text), cause: cause.to_owned() });
    let url = match address::parse(text) {
        Ok(url) => url,
        Err(cause) => return refused(&cause),
    };
    match url.scheme() {
        "https" if !has_authority => {
            refused("no certificate authority is given, and those of the system do not count")
        }
        "https" if server_name.is_some_and(|name| !is_subdomain(name) || name.parse::<IpAddr>().is_ok()) => {
            refused("the server name that is given for it is no DNS name")
        }
        "https" => Ok(url),
        "http" if address::loopback(&url).is_none() => {
            refused("plain http is for a loopback address alone, such as `127.0.0.1`; use https")
        }
        "http" if identified => refused("credentials would go out in clear; use https, or no credentials"),
        "http" => Ok(url),
        _ => refused("only https and http are known"),
    }
}

/// The given certificates alone; without any, nobody can prove anything.
fn believed(authority: Option<Held>) -> Roots {
    authority.map_or(Roots::None, Roots::Given)
}

/// What Kubernetes knows a node by, unless it was told another name.
fn host_name() -> Result<String, KubeletError> {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy().trim().to_ascii_lowercase();
    if is_subdomain(&name) { Ok(name) } else { Err(KubeletError::Node(name)) }
}
