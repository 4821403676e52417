//! `config.toml`.
//!
//! A key that nobody knows is a warning, so that a package that was rolled back still starts;
//! `binauthctl config check` makes it an error. A value that cannot be understood is an error for both.

use std::path::{Path, PathBuf};

use super::sections::{
    AuditConfig, BreakGlassConfig, BundleConfig, ContainerdConfig, EventsConfig, HostAccessConfig,
    KubeletConfig, Listen, RestConfig, RunningConfig,
};
use super::tables::ConfigFile;
use super::trusted::{self, TrustError};
use super::values::Wrong;
use crate::attestation::payload;
use crate::decision::host_access::HostRules;
use crate::document::Version;
use crate::policy::{Freshness, OnStale, Subjects};

/// Where the configuration lies unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/binauthd/config.toml";
/// The largest configuration that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// The configuration of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// This node's cluster, `LOCATION.NAME`: the key into cluster rules.
    pub cluster: Option<String>,
    /// The policy document.
    pub policy: PathBuf,
    /// Signed bundles that are obeyed in place of policy, platform policy and attestors.
    pub bundle: Option<BundleConfig>,
    /// Check sets that are obeyed beside the policy.
    pub platform_policy: Option<PathBuf>,
    /// Digests that are refused before anything else; it need not be there.
    pub deny_list: PathBuf,
    /// What the node itself needs; it need not be there.
    pub system_policy: PathBuf,
    /// What lets through what these refuse.
    pub break_glass: BreakGlassConfig,
    /// Policies may have rules of several kinds.
    pub allow_multiple_rule_maps: bool,
    /// Attestation is required by a digest in the image's own text.
    pub deny_tags: bool,
    /// How old evidence may be where a rule does not say.
    pub freshness: Freshness,
    /// Which digests an attestation may name.
    pub subjects: Subjects,
    /// Payload types under which a simple-signing payload counts.
    pub dsse_types: Vec<String>,
    /// The folder of attestor documents.
    pub attestors: PathBuf,
    /// What must survive a restart.
    pub state_dir: PathBuf,
    /// Where the sockets are.
    pub runtime_dir: PathBuf,
    /// The part of a mesh identity that is the same for every pod; without it none is known.
    pub trust_domain: Option<String>,
    /// The containerd of this node.
    pub containerd: ContainerdConfig,
    /// What becomes of containers that already run.
    pub running: RunningConfig,
    /// What a container may reach of the node.
    pub host_access: HostAccessConfig,
    /// Where it is asked which pods this node runs; without it no service account is known.
    pub kubelet: Option<KubeletConfig>,
    /// What the cluster is told of this node; without it nothing.
    pub events: Option<EventsConfig>,
    /// Where attestations come from.
    pub sources: Vec<Source>,
    /// The audit trail.
    pub audit_file: PathBuf,
    /// Where metrics are read.
    pub metrics: Listen,
    /// How long it may get, and what becomes of decisions where it cannot be written.
    pub audit: AuditConfig,
    /// What is odd about the file but does not stop the daemon.
    pub warnings: Vec<String>,
    /// What is in order and worth knowing.
    pub notes: Vec<String>,
    /// The file that it was read from, and the version of its text.
    pub origin: Option<(PathBuf, Version)>,
}

/// `[[sources]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// For logs and status; no other source has it.
    pub name: String,
    /// Where it is.
    pub location: Location,
}

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `file:///…`, a folder of occurrence documents.
    Folder(PathBuf),
    /// `https://…`, or `http://…` on loopback: a server of occurrences.
    Rest(RestConfig),
    /// A URL that this version does not read from.
    Unsupported(String),
}

/// Why the configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read, or others could have written it.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// Not TOML, or a value of another type.
    #[error("`{path}`: {cause}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        cause: String,
    },
    /// A value that makes no sense.
    #[error("`{path}`: {key}: {cause}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong with it.
        cause: String,
    },
}

impl Default for Config {
    /// The configuration of an empty file.
    fn default() -> Self {
        Self {
            cluster: None,
            policy: "/etc/binauthd/policy.yaml".into(),
            bundle: None,
            platform_policy: None,
            deny_list: "/etc/binauthd/deny.yaml".into(),
            system_policy: "/etc/binauthd/system-policy.yaml".into(),
            break_glass: BreakGlassConfig::default(),
            allow_multiple_rule_maps: false,
            deny_tags: false,
            freshness: Freshness { max_staleness: None, on_stale: Some(OnStale::Deny) },
            subjects: Subjects::default(),
            dsse_types: vec![payload::MEDIA_TYPE.to_owned()],
            attestors: "/etc/binauthd/attestors".into(),
            state_dir: "/var/lib/binauthd".into(),
            runtime_dir: "/run/binauthd".into(),
            trust_domain: None,
            containerd: ContainerdConfig::default(),
            running: RunningConfig::default(),
            host_access: HostAccessConfig::default(),
            kubelet: None,
            events: None,
            sources: vec![Source {
                name: "local".into(),
                location: Location::Folder("/var/lib/binauthd/occurrences".into()),
            }],
            audit_file: "/var/log/binauthd/audit.jsonl".into(),
            metrics: Listen::Unix("/run/binauthd/metrics.sock".into()),
            audit: AuditConfig::default(),
            warnings: Vec::new(),
            origin: None,
            notes: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the configuration as the daemon does: only from files that root alone can write.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = trusted::read(path, MAX_BYTES)?;
        Ok(Self { origin: Some((path.to_owned(), Version::of(&bytes))), ..Self::parse(path, &bytes)? })
    }

    /// Reads a configuration from its bytes; `path` is for messages.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`] or [`ConfigError::Value`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let syntax = |cause: String| ConfigError::Syntax { path: path.to_owned(), cause };
        let toml_error = |text: &str, error: &toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            syntax(format!(
                "line {}: {}",
                before.matches('\n').count() + 1,
                error.message().replace('\n', ", ")
            ))
        };
        let text = std::str::from_utf8(bytes).map_err(|_| syntax("not UTF-8".into()))?;
        let mut warnings = Vec::new();
        let deserializer = toml::Deserializer::parse(text).map_err(|error| toml_error(text, &error))?;
        let file: ConfigFile = serde_ignored::deserialize(deserializer, |key| {
            // What may be left out stands as `?` in its place.
            warnings.push(format!("unknown key `{}`", key.to_string().replace(".?", "")));
        })
        .map_err(|error: toml::de::Error| toml_error(text, &error))?;
        let value = |Wrong { key, cause }| ConfigError::Value { path: path.to_owned(), key, cause };
        let mut config = file.read().map_err(value)?;
        config.warnings.splice(0..0, warnings);
        for (key, path) in config.paths() {
            if !path.is_absolute() {
                return Err(value(Wrong::new(key, format!("`{}` is not an absolute path", path.display()))));
            }
        }
        Ok(config)
    }

    /// The configuration that names nothing outside `folder`: for tests and for benches.
    #[must_use]
    pub fn under(folder: &Path) -> Self {
        let at = |name: &str| folder.join(name);
        Self {
            policy: at("policy.yaml"),
            deny_list: at("deny.yaml"),
            system_policy: at("system-policy.yaml"),
            break_glass: BreakGlassConfig { grants: at("break-glass"), ..BreakGlassConfig::default() },
            attestors: at("attestors"),
            state_dir: at("state"),
            runtime_dir: at("run"),
            containerd: ContainerdConfig {
                address: at("containerd.sock"),
                nri_socket: at("nri.sock"),
                root: at("containerd-root"),
                state: at("containerd-state"),
                ..ContainerdConfig::default()
            },
            sources: vec![Source { name: "local".into(), location: Location::Folder(at("occurrences")) }],
            audit_file: at("audit.jsonl"),
            metrics: Listen::Unix(at("run/metrics.sock")),
            ..Self::default()
        }
    }

    /// The socket that gates ask on.
    #[must_use]
    pub fn gate_socket(&self) -> PathBuf {
        self.runtime_dir.join("gate.sock")
    }

    /// The socket that operators ask on.
    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        self.runtime_dir.join("admin.sock")
    }

    /// The folders that attestations are read from.
    pub fn folders(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.sources.iter().filter_map(|source| match &source.location {
            Location::Folder(path) => Some((source.name.as_str(), path.as_path())),
            Location::Rest(_) | Location::Unsupported(_) => None,
        })
    }

    /// The servers that attestations are got from.
    pub fn servers(&self) -> impl Iterator<Item = (&str, &RestConfig)> {
        self.sources.iter().filter_map(|source| match &source.location {
            Location::Rest(server) => Some((source.name.as_str(), server)),
            Location::Folder(_) | Location::Unsupported(_) => None,
        })
    }

    /// What a container may reach of this node: what is guarded everywhere, and beside it what lies elsewhere
    /// here. Occurrence folders and what belongs to kubelet are left out: neither is trusted for what only
    /// root could write. Nothing is resolved yet; see [`HostRules::resolved`].
    #[must_use]
    pub fn host_rules(&self) -> HostRules {
        let HostAccessConfig { paths, programs, privileged, host_pid, allow_digests } = &self.host_access;
        let mut rules = HostRules::default();
        (rules.paths, rules.programs) = (*paths, *programs);
        (rules.privileged, rules.host_pid) = (*privileged, *host_pid);
        rules.allowed.clone_from(allow_digests);
        let containerd = &self.containerd;
        rules.guard_containerd(&containerd.root.to_string_lossy(), &containerd.state.to_string_lossy());
        let own = [
            &self.policy,
            &self.deny_list,
            &self.system_policy,
            &self.attestors,
            &self.state_dir,
            &self.runtime_dir,
            &self.audit_file,
            &containerd.address,
            &containerd.nri_socket,
        ];
        for path in own.into_iter().chain(&self.platform_policy) {
            rules.guard(&path.to_string_lossy());
        }
        let bundle = self.bundle.iter().flat_map(BundleConfig::paths);
        for (_, path) in bundle.chain(self.break_glass.paths()) {
            rules.guard(&path.to_string_lossy());
        }
        rules
    }

    /// Every path in it, with its key.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        [
            ("policy", self.policy.as_path()),
            ("attestors", &self.attestors),
            ("deny_list", &self.deny_list),
            ("system_policy", &self.system_policy),
            ("state_dir", &self.state_dir),
            ("runtime_dir", &self.runtime_dir),
            ("containerd.address", &self.containerd.address),
            ("containerd.nri_socket", &self.containerd.nri_socket),
            ("containerd.root", &self.containerd.root),
            ("containerd.state", &self.containerd.state),
            ("audit.file", &self.audit_file),
        ]
        .into_iter()
        .chain(self.platform_policy.as_deref().map(|path| ("platform_policy", path)))
        .chain(match &self.metrics {
            Listen::Unix(path) => Some(("metrics.listen", path.as_path())),
            Listen::Tcp(_) => None,
        })
        .chain(self.folders().map(|(_, path)| ("sources.url", path)))
        .chain(self.servers().flat_map(|(_, server)| server.paths()))
        .chain(self.bundle.iter().flat_map(BundleConfig::paths))
        .chain(self.break_glass.paths())
        .chain(self.kubelet.iter().flat_map(KubeletConfig::paths))
        .chain(self.events.iter().map(|events| ("events.kubeconfig", events.kubeconfig.as_path())))
    }
}

#[cfg(test)]
mod tests;
