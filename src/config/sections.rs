//! What stands in the tables of `config.toml`, typed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::decision::host_access::Mode;
use crate::http::Credentials;
use crate::image::Digest;

/// Snapshotters whose content containerd itself has checked against the layers that an image's config lists
/// (`diff_ids`): what they mount is what the chain ID says.
pub const CHECKED_SNAPSHOTTERS: &[&str] =
    &["overlayfs", "native", "btrfs", "zfs", "devmapper", "blockfile", "erofs"];

/// `[policy]` where signed bundles are obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleConfig {
    /// Where they come from.
    pub origin: BundleOrigin,
    /// PEM files: a bundle counts under any of these keys.
    pub keys: Vec<PathBuf>,
    /// Whose bundles are obeyed.
    pub project: String,
    /// How often a URL is asked, from ten seconds to a day.
    pub interval: Duration,
    /// The certificates that vouch for the URL's host, in place of the system's.
    pub ca: Option<PathBuf>,
    /// The bearer token that the URL is asked with.
    pub token_file: Option<PathBuf>,
}

/// Where bundles come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundleOrigin {
    /// A file, or a folder of `*.json`.
    Path(PathBuf),
    /// `https` always.
    Url(String),
}

impl std::fmt::Display for BundleOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}

impl BundleConfig {
    /// Every path in it, with its key.
    pub(super) fn paths(&self) -> Vec<(&'static str, &Path)> {
        let keys = self.keys.iter().map(|path| ("policy.bundle_keys", path.as_path()));
        let ca = self.ca.iter().map(|path| ("policy.ca", path.as_path()));
        let token = self.token_file.iter().map(|path| ("policy.token_file", path.as_path()));
        let mut paths: Vec<_> = keys.chain(ca).chain(token).collect();
        if let BundleOrigin::Path(path) = &self.origin {
            paths.push(("policy.bundle", path));
        }
        paths
    }
}

/// `[audit]`, but for its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditConfig {
    /// How long the file may get before it is rotated, at least 64 KiB.
    pub rotate_bytes: u64,
    /// How much all files may take together, at least two of them.
    pub keep_bytes: u64,
    /// What happens where the file cannot be written.
    pub on_failure: OnAuditFailure,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { rotate_bytes: 64 << 20, keep_bytes: 1 << 30, on_failure: OnAuditFailure::Journal }
    }
}

/// What happens where the audit trail cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnAuditFailure {
    /// Decisions stand, and the journal gets them.
    Journal,
    /// Nothing is allowed until it can be written.
    Refuse,
}

/// `[containerd]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerdConfig {
    /// Its gRPC socket.
    pub address: PathBuf,
    /// The namespace that CRI keeps its containers in.
    pub namespace: String,
    /// Its NRI socket.
    pub nri_socket: PathBuf,
    /// A container on any other is refused.
    pub snapshotters: BTreeSet<String>,
    /// Runtime handlers that need not carry the create hook.
    pub allow_handlers: BTreeSet<String>,
    /// What it keeps, as in its own configuration.
    pub root: PathBuf,
    /// What it keeps until the next boot, as in its own configuration.
    pub state: PathBuf,
}

impl Default for ContainerdConfig {
    fn default() -> Self {
        Self {
            address: "/run/containerd/containerd.sock".into(),
            namespace: "k8s.io".to_owned(),
            nri_socket: "/var/run/nri/nri.sock".into(),
            snapshotters: CHECKED_SNAPSHOTTERS.iter().map(|name| (*name).to_owned()).collect(),
            allow_handlers: BTreeSet::new(),
            root: "/var/lib/containerd".into(),
            state: "/run/containerd".into(),
        }
    }
}

/// `[break_glass]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakGlassConfig {
    /// Whether a pod may ask for it by its label.
    pub pod_label: bool,
    /// PEM files: a grant counts under any of these keys.
    pub keys: Vec<PathBuf>,
    /// The folder of grants and revocations, `*.json`; it need not be there.
    pub grants: PathBuf,
    /// The longest time that a grant may hold, from a minute to 31 days.
    pub max_duration: Duration,
}

impl Default for BreakGlassConfig {
    fn default() -> Self {
        Self {
            pod_label: false,
            keys: Vec::new(),
            grants: "/var/lib/binauthd/break-glass".into(),
            max_duration: Duration::from_secs(24 * 3600),
        }
    }
}

impl BreakGlassConfig {
    /// Every path in it, with its key.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let keys = self.keys.iter().map(|path| ("break_glass.keys", path.as_path()));
        keys.chain([("break_glass.grants", self.grants.as_path())])
    }
}

/// What is done about a container that runs and would no longer be allowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnViolation {
    /// It is recorded.
    Log,
    /// It is recorded and stopped.
    Stop,
}

/// Where metrics are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// On a unix socket, by root and its group.
    Unix(PathBuf),
    /// On a TCP port, by whoever reaches it.
    Tcp(SocketAddr),
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// `[running]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningConfig {
    /// What is done about one that violates.
    pub on_violation: OnViolation,
    /// All are judged again after this time, from ten seconds to a day.
    pub period: Duration,
    /// Containers of static pods may be stopped, too.
    pub stop_static_pods: bool,
}

impl Default for RunningConfig {
    fn default() -> Self {
        Self { on_violation: OnViolation::Log, period: Duration::from_secs(300), stop_static_pods: false }
    }
}

/// `[host_access]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAccessConfig {
    /// Mounts that reach guarded paths.
    pub paths: Mode,
    /// Mounts that reach what the node runs as root by itself.
    pub programs: Mode,
    /// Privileged containers.
    pub privileged: Mode,
    /// Containers that see the processes of the node.
    pub host_pid: Mode,
    /// Images that may reach all of it: digests of an index or of a platform manifest.
    pub allow_digests: BTreeSet<Digest>,
}

impl Default for HostAccessConfig {
    fn default() -> Self {
        Self {
            paths: Mode::Refuse,
            programs: Mode::Report,
            privileged: Mode::Report,
            host_pid: Mode::Report,
            allow_digests: BTreeSet::new(),
        }
    }
}

/// `[kubelet]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeletConfig {
    /// This node's name in the cluster; without it the host's name.
    pub node_name: Option<String>,
    /// Who is asked.
    pub source: PodSource,
}

/// Who tells which pods this node runs. Whoever answers is authenticated: a service account decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodSource {
    /// kubelet itself.
    Endpoint {
        /// Of its list of pods; `https` always.
        url: String,
        /// The certificates that it must be vouched for by; no others are trusted.
        ca: PathBuf,
        /// Who asks; nobody in particular where kubelet answers everybody.
        login: Option<Login>,
    },
    /// The API server, as whom this kubeconfig says.
    Kubeconfig(PathBuf),
}

/// Who asks kubelet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Whoever the bearer token in this file is of.
    Token(PathBuf),
    /// Whoever the client certificate is of.
    Certificate {
        /// PEM.
        certificate: PathBuf,
        /// Its key, PEM.
        key: PathBuf,
    },
}

impl KubeletConfig {
    /// Every path in it, with its key.
    pub(super) fn paths(&self) -> Vec<(&'static str, &Path)> {
        match &self.source {
            PodSource::Kubeconfig(path) => vec![("kubelet.kubeconfig", path)],
            PodSource::Endpoint { ca, login, .. } => {
                let mut paths = vec![("kubelet.ca", ca.as_path())];
                match login {
                    None => {}
                    Some(Login::Token(path)) => paths.push(("kubelet.token_file", path)),
                    Some(Login::Certificate { certificate, key }) => {
                        paths.push(("kubelet.client_certificate", certificate));
                        paths.push(("kubelet.client_key", key));
                    }
                }
                paths
            }
        }
    }
}

/// `[events]`: what the cluster is told of this node, by the API server of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsConfig {
    /// The kubeconfig; that of `[kubelet]` where `[events]` names none.
    pub kubeconfig: PathBuf,
    /// This node's name in the cluster; without it the host's name.
    pub node_name: Option<String>,
    /// Refusals are told as events of their pods.
    pub pods: bool,
    /// So is what only dry run lets through.
    pub dry_run: bool,
    /// Whether this node enforces is told as a condition of the node.
    pub node_condition: bool,
}

/// What `[[sources]]` says of a server of occurrences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestConfig {
    /// Where it is, up to what comes before `/v1/` or `/v1beta1/`: `https`, or `http` for loopback.
    pub url: String,
    /// What it speaks.
    pub api: Api,
    /// The certificates that it must be vouched for by; without, those that the system trusts.
    pub ca: Option<PathBuf>,
    /// Who asks.
    pub credentials: Credentials,
    /// All of it is listed again after this time, from ten seconds to a day.
    pub interval: Duration,
    /// A note with more occurrences than this is not listed, only asked by digest.
    pub list_limit: usize,
    /// Whether the proxy counts that the environment names.
    pub proxy: bool,
    /// Whether it is followed for changes, as binauth-store tells of them.
    pub changes: bool,
}

/// An API that serves occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Api {
    /// Of Container Analysis and Grafeas, v1.
    #[default]
    V1,
    /// The same, v1beta1.
    V1Beta1,
}

impl RestConfig {
    /// The one at `url` where nothing else is said.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            api: Api::V1,
            ca: None,
            credentials: Credentials::None,
            interval: Duration::from_secs(60),
            list_limit: 250_000,
            proxy: true,
            changes: false,
        }
    }

    /// Every path in it, with its key.
    pub(super) fn paths(&self) -> Vec<(&'static str, &Path)> {
        let mut paths: Vec<_> = self.ca.iter().map(|ca| ("sources.ca", ca.as_path())).collect();
        match &self.credentials {
            Credentials::None | Credentials::Given(_) | Credentials::MetadataServer(_) => {}
            Credentials::Token(path) => paths.push(("sources.token_file", path)),
            Credentials::Certificate { certificate, key } => {
                paths.push(("sources.client_certificate", certificate));
                paths.push(("sources.client_key", key));
            }
        }
        paths
    }
}
