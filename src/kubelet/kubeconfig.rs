//! The node's kubeconfig (`client.authentication.k8s.io` aside, the `v1` `Config` of client-go).
//!
//! Only what says where the API server is, whom to believe and who we are is read. What would make that
//! weaker (`insecure-skip-tls-verify`), run a program (`exec`, `auth-provider`) or act as somebody else is
//! refused by name rather than passed over.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::KubeletError;
use crate::attestation::base64;
use crate::document::{self, Format, Object};
use crate::http::Held;

const KUBELET_INSTEAD: &str = "ask kubelet's own endpoint instead";

/// What a kubeconfig says of its current context.
#[derive(Debug)]
pub(super) struct Kubeconfig {
    pub(super) server: String,
    pub(super) server_name: Option<String>,
    pub(super) authority: Option<Held>,
    pub(super) token: Option<Held>,
    /// Certificate and key.
    pub(super) certificate: Option<(Held, Held)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ConfigDocument {
    current_context: Option<String>,
    clusters: Option<Vec<Object<NamedCluster>>>,
    users: Option<Vec<Object<NamedUser>>>,
    contexts: Option<Vec<Object<NamedContext>>>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Object<Cluster>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: Object<User>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Object<Context>,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    tls_server_name: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
    proxy_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    username: Option<String>,
    r#as: Option<String>,
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
}

impl Kubeconfig {
    /// Reads the kubeconfig at `path` and the files that it names; those are relative to its folder.
    ///
    /// # Errors
    /// [`KubeletError::Kubeconfig`] for what it says or lacks, and those of its files.
    pub(super) fn load(path: &Path) -> Result<Self, KubeletError> {
        let bytes = Held::read(path)?.bytes;
        let bad = |cause: String| KubeletError::Kubeconfig { path: path.to_owned(), cause };
        let Object(config): Object<ConfigDocument> =
            document::parse(&bytes, Format::Yaml).map_err(|error| bad(error.to_string()))?;
        let (cluster, user) = current(config).map_err(bad)?;
        let refused = [
            (
                cluster.insecure_skip_tls_verify == Some(true),
                "insecure-skip-tls-verify",
                "the API server must prove who it is: give its `certificate-authority`",
            ),
            (
                cluster.proxy_url.is_some(),
                "proxy-url",
                "no proxy is used: ask kubelet's own endpoint instead",
            ),
            (user.exec.is_some(), "exec", KUBELET_INSTEAD),
            (user.auth_provider.is_some(), "auth-provider", KUBELET_INSTEAD),
            (user.username.is_some(), "username", "passwords are not sent: give a token or a certificate"),
            (user.r#as.is_some(), "as", "nobody else is acted as: give the node's own user"),
        ];
        if let Some((_, key, remedy)) = refused.into_iter().find(|(set, ..)| *set) {
            return Err(bad(format!("`{key}` is not taken; {remedy}")));
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        let held = |key: &str, data: Option<String>, file: Option<PathBuf>| match (data, file) {
            (Some(data), _) => {
                let origin = format!("{}: {key}-data", path.display());
                let bytes =
                    base64::decode(data.trim()).ok_or_else(|| bad(format!("`{key}-data` is not base64")))?;
                Ok(Some(Held { origin, bytes }))
            }
            (None, Some(file)) => Held::read(&folder.join(file)).map(Some).map_err(KubeletError::Held),
            (None, None) => Ok(None),
        };
        let certificate = held("client-certificate", user.client_certificate_data, user.client_certificate)?;
        let key = held("client-key", user.client_key_data, user.client_key)?;
        let certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(bad("`client-certificate` is there and `client-key` is not".into()));
            }
            (None, Some(_)) => {
                return Err(bad("`client-key` is there and `client-certificate` is not".into()));
            }
        };
        // The file is the fresher of the two, as for client-go.
        let token = match (user.token_file, user.token) {
            (Some(file), _) => Some(Held::read(&folder.join(file))?),
            (None, Some(token)) => {
                Some(Held { origin: format!("{}: token", path.display()), bytes: token.into_bytes() })
            }
            (None, None) => None,
        };
        if token.is_none() && certificate.is_none() {
            return Err(bad("the user of the current context has neither token nor certificate".into()));
        }
        Ok(Self {
            authority: held(
                "certificate-authority",
                cluster.certificate_authority_data,
                cluster.certificate_authority,
            )?,
            server: cluster.server,
            server_name: cluster.tls_server_name,
            token,
            certificate,
        })
    }
}

/// Cluster and user of the current context. Of several under one name none is taken.
fn current(config: ConfigDocument) -> Result<(Cluster, User), String> {
    let name = config.current_context.filter(|name| !name.is_empty()).ok_or("it has no `current-context`")?;
    let contexts = config.contexts.into_iter().flatten().map(|Object(one)| (one.name, one.context.0));
    let context = only("contexts", &name, contexts)?;
    let clusters = config.clusters.into_iter().flatten().map(|Object(one)| (one.name, one.cluster.0));
    let users = config.users.into_iter().flatten().map(|Object(one)| (one.name, one.user.0));
    Ok((only("clusters", &context.cluster, clusters)?, only("users", &context.user, users)?))
}

fn only<T>(list: &str, name: &str, entries: impl Iterator<Item = (String, T)>) -> Result<T, String> {
    let mut matching = entries.filter(|(one, _)| one == name).map(|(_, entry)| entry);
    match (matching.next(), matching.next()) {
        (Some(entry), None) => Ok(entry),
        (None, _) => Err(format!("`{list}` has no `{name}`")),
        (Some(_), Some(_)) => Err(format!("`{list}` has `{name}` twice")),
    }
}
