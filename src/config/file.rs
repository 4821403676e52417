//! `config.toml`.
//!
//! A key that nobody knows is a warning, so that a package that was rolled back still starts;
//! `binauthctl config check` makes it an error. A value that cannot be understood is an error for both.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::trusted::{self, TrustError};
use crate::attestation::payload;
use crate::policy::Subjects;
use crate::policy::maps::is_cluster;

/// Where the configuration lies unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/binauthd/config.toml";
/// The largest configuration that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
const CONFIG_VERSION: u32 = 1;
/// Each is one more check of a signature that does not hold over its payload.
const MAX_DSSE_TYPES: usize = 8;

/// The configuration of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// This node's cluster, `LOCATION.NAME`: the key into cluster rules.
    pub cluster: Option<String>,
    /// The policy document.
    pub policy: PathBuf,
    /// Check sets that are obeyed beside the policy.
    pub platform_policy: Option<PathBuf>,
    /// Digests that are refused before anything else; it need not be there.
    pub deny_list: PathBuf,
    /// What the node itself needs; it need not be there.
    pub system_policy: PathBuf,
    /// Policies may have rules of several kinds.
    pub allow_multiple_rule_maps: bool,
    /// Attestation is required by a digest in the image's own text.
    pub deny_tags: bool,
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
    /// containerd's gRPC socket.
    pub containerd_address: PathBuf,
    /// Where attestations come from.
    pub sources: Vec<Source>,
    /// The audit trail.
    pub audit_file: PathBuf,
    /// What is odd about the file but does not stop the daemon.
    pub warnings: Vec<String>,
    /// What is in order and worth knowing.
    pub notes: Vec<String>,
}

/// `[[sources]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// For logs and status.
    pub name: String,
    /// Where it is.
    pub location: Location,
}

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `file:///…`, a folder of occurrence documents.
    Folder(PathBuf),
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

#[derive(Deserialize)]
struct ConfigFile {
    config_version: Option<u32>,
    cluster: Option<String>,
    policy: Option<PathBuf>,
    platform_policy: Option<PathBuf>,
    deny_list: Option<PathBuf>,
    system_policy: Option<PathBuf>,
    allow_multiple_rule_maps: Option<bool>,
    deny_tags: Option<bool>,
    subjects: Option<Vec<SubjectKind>>,
    dsse_types: Option<Vec<String>>,
    attestors: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    runtime_dir: Option<PathBuf>,
    #[serde(default)]
    containerd: ContainerdTable,
    sources: Option<Vec<SourceTable>>,
    #[serde(default)]
    audit: AuditTable,
    #[serde(default)]
    metrics: MetricsTable,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum SubjectKind {
    Index,
    Manifest,
}

#[derive(Deserialize, Default)]
struct ContainerdTable {
    address: Option<PathBuf>,
    namespace: Option<String>,
    nri_socket: Option<PathBuf>,
}

#[derive(Deserialize)]
struct SourceTable {
    name: String,
    url: String,
}

#[derive(Deserialize, Default)]
struct AuditTable {
    file: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
struct MetricsTable {
    listen: Option<String>,
}

impl Default for Config {
    /// The configuration of an empty file.
    fn default() -> Self {
        Self {
            cluster: None,
            policy: "/etc/binauthd/policy.yaml".into(),
            platform_policy: None,
            deny_list: "/etc/binauthd/deny.yaml".into(),
            system_policy: "/etc/binauthd/system-policy.yaml".into(),
            allow_multiple_rule_maps: false,
            deny_tags: false,
            subjects: Subjects::default(),
            dsse_types: vec![payload::MEDIA_TYPE.to_owned()],
            attestors: "/etc/binauthd/attestors".into(),
            state_dir: "/var/lib/binauthd".into(),
            runtime_dir: "/run/binauthd".into(),
            containerd_address: "/run/containerd/containerd.sock".into(),
            sources: vec![Source {
                name: "local".into(),
                location: Location::Folder("/var/lib/binauthd/occurrences".into()),
            }],
            audit_file: "/var/log/binauthd/audit.jsonl".into(),
            warnings: Vec::new(),
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
        Self::parse(path, &trusted::read(path, MAX_BYTES)?)
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
        let (mut warnings, mut notes) = (Vec::new(), Vec::new());
        let deserializer = toml::Deserializer::parse(text).map_err(|error| toml_error(text, &error))?;
        let file: ConfigFile = serde_ignored::deserialize(deserializer, |key| {
            warnings.push(format!("unknown key `{key}`"));
        })
        .map_err(|error: toml::de::Error| toml_error(text, &error))?;
        let value =
            |key: &str, cause: String| ConfigError::Value { path: path.to_owned(), key: key.into(), cause };
        match file.config_version {
            Some(CONFIG_VERSION) => {}
            None => warnings.push("`config_version` is missing: taken as 1".into()),
            Some(other) => {
                return Err(value(
                    "config_version",
                    format!("{other} is not known, only {CONFIG_VERSION} is"),
                ));
            }
        }
        let unused = [
            ("containerd.namespace", file.containerd.namespace.is_some()),
            ("containerd.nri_socket", file.containerd.nri_socket.is_some()),
            ("metrics.listen", file.metrics.listen.is_some()),
        ];
        for (key, _) in unused.into_iter().filter(|(_, set)| *set) {
            notes.push(format!("`{key}` is known and has no effect in this version"));
        }
        let defaults = Self::default();
        let sources = match file.sources {
            None => defaults.sources,
            Some(tables) => tables.into_iter().map(|table| read_source(table, &mut warnings)).collect(),
        };
        if let Some(cluster) = file.cluster.as_deref().filter(|cluster| !is_cluster(cluster)) {
            return Err(value("cluster", format!("`{cluster}` is not of the form LOCATION.NAME")));
        }
        let subjects = file.subjects.map_or(defaults.subjects, |kinds| Subjects {
            index: kinds.contains(&SubjectKind::Index),
            manifest: kinds.contains(&SubjectKind::Manifest),
        });
        if !subjects.index && !subjects.manifest {
            return Err(value(
                "subjects",
                "is empty: nothing could be attested, name `index` or `manifest`".into(),
            ));
        }
        let dsse_types = file.dsse_types.unwrap_or(defaults.dsse_types);
        if dsse_types.len() > MAX_DSSE_TYPES || dsse_types.iter().any(|one| one.is_empty() || one.len() > 256)
        {
            let cause = format!(
                "at most {MAX_DSSE_TYPES} media types of up to 256 bytes are taken, none of them empty"
            );
            return Err(value("dsse_types", cause));
        }
        let config = Self {
            cluster: file.cluster,
            platform_policy: file.platform_policy,
            deny_list: file.deny_list.unwrap_or(defaults.deny_list),
            system_policy: file.system_policy.unwrap_or(defaults.system_policy),
            allow_multiple_rule_maps: file.allow_multiple_rule_maps.unwrap_or_default(),
            deny_tags: file.deny_tags.unwrap_or_default(),
            subjects,
            dsse_types,
            policy: file.policy.unwrap_or(defaults.policy),
            attestors: file.attestors.unwrap_or(defaults.attestors),
            state_dir: file.state_dir.unwrap_or(defaults.state_dir),
            runtime_dir: file.runtime_dir.unwrap_or(defaults.runtime_dir),
            containerd_address: file.containerd.address.unwrap_or(defaults.containerd_address),
            sources,
            audit_file: file.audit.file.unwrap_or(defaults.audit_file),
            warnings,
            notes,
        };
        for (key, path) in config.paths() {
            if !path.is_absolute() {
                return Err(value(key, format!("`{}` is not an absolute path", path.display())));
            }
        }
        Ok(config)
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
            Location::Unsupported(_) => None,
        })
    }

    fn paths(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        [
            ("policy", self.policy.as_path()),
            ("attestors", &self.attestors),
            ("deny_list", &self.deny_list),
            ("system_policy", &self.system_policy),
            ("state_dir", &self.state_dir),
            ("runtime_dir", &self.runtime_dir),
            ("containerd.address", &self.containerd_address),
            ("audit.file", &self.audit_file),
        ]
        .into_iter()
        .chain(self.platform_policy.as_deref().map(|path| ("platform_policy", path)))
        .chain(self.folders().map(|(_, path)| ("sources.url", path)))
    }
}

fn read_source(table: SourceTable, warnings: &mut Vec<String>) -> Source {
    let location = match table.url.strip_prefix("file://") {
        Some(path) => Location::Folder(path.into()),
        None => {
            warnings.push(format!("source `{}`: this version reads file:// sources only", table.name));
            Location::Unsupported(table.url)
        }
    };
    Source { name: table.name, location }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("config.toml"), text.as_bytes())
    }

    #[test]
    fn defaults_and_values() {
        assert_eq!(parse("config_version = 1").unwrap(), Config::default());
        let config = parse(
            r#"
            config_version = 1
            runtime_dir = "/run/x"
            [containerd]
            address = "/run/containerd/containerd.sock"
            [[sources]]
            name = "a"
            url = "file:///srv/a"
            [audit]
            file = "/srv/audit.jsonl"
            "#,
        )
        .unwrap();
        assert_eq!(config.gate_socket(), Path::new("/run/x/gate.sock"));
        assert_eq!(config.folders().collect::<Vec<_>>(), [("a", Path::new("/srv/a"))]);
        assert_eq!(config.containerd_address, Path::new("/run/containerd/containerd.sock"));
        assert!(config.warnings.is_empty());
    }

    /// The file with every line that begins with `mark` uncommented, of those that hold a key or a table.
    fn uncommented(text: &str, mark: &str) -> String {
        let holds = |line: &&str| line.contains('=') || line.starts_with('[');
        let uncomment = |line| str::strip_prefix(line, mark).filter(holds).unwrap_or(line);
        text.lines().map(uncomment).flat_map(|line| [line, "\n"]).collect()
    }

    #[test]
    fn the_shipped_file_names_the_defaults() {
        let shipped = include_str!("../../packaging/etc/config.toml");
        for text in [shipped, &uncommented(shipped, "# ")] {
            assert_eq!(parse(text).unwrap(), Config::default(), "{text}");
        }
        let examples = Config {
            cluster: Some("us-central1-a.prod".into()),
            platform_policy: Some("/etc/binauthd/platform-policy.yaml".into()),
            ..Config::default()
        };
        assert_eq!(parse(&uncommented(shipped, "#: ")).unwrap(), examples);
        let known = "containerd.namespace, containerd.nri_socket, metrics.listen";
        assert!(shipped.contains(&format!("without effect in this version: {known}.")));
        let set = "[containerd]\nnamespace = 'x'\nnri_socket = 'x'\n[metrics]\nlisten = 'x'";
        assert_eq!(parse(set).unwrap().notes.len(), known.split(", ").count());
    }

    #[test]
    fn the_shipped_documents_are_read() {
        use crate::document::Format::Yaml;
        use crate::policy::{DenyList, Policy, SystemPolicy};
        let policy = include_bytes!("../../packaging/etc/policy.yaml");
        Policy::parse(policy, Yaml, Default::default()).unwrap();
        let deny = include_str!("../../packaging/etc/deny.yaml");
        let system = include_str!("../../packaging/etc/system-policy.yaml");
        assert!(DenyList::parse(deny.as_bytes(), Yaml).unwrap().is_empty());
        assert!(SystemPolicy::parse(system.as_bytes(), Yaml).unwrap().is_empty());
        // And what they show as examples.
        let example = |text: &str| -> String {
            text.lines().filter_map(|line| line.strip_prefix("#   ")).flat_map(|line| [line, "\n"]).collect()
        };
        assert_eq!(DenyList::parse(example(deny).as_bytes(), Yaml).unwrap().len(), 1);
        assert_eq!(SystemPolicy::parse(example(system).as_bytes(), Yaml).unwrap().len(), 2);
    }

    #[test]
    fn what_is_not_known_warns() {
        let text = "config_version = 1\ncolour = 'red'\n[containerd]\nshade = 1\n[metrics]\nlisten = 'x'\n\
                    [[sources]]\nname = 'remote'\nurl = 'https://containeranalysis.googleapis.com'\n";
        let config = parse(text).unwrap();
        assert_eq!(config.notes, ["`metrics.listen` is known and has no effect in this version"]);
        let warnings = config.warnings.join("\n");
        for part in ["unknown key `colour`", "unknown key `containerd.shade`", "source `remote`"] {
            assert!(warnings.contains(part), "{warnings:?} lacks {part:?}");
        }
    }

    #[test]
    fn refused() {
        let rows = [
            ("config_version = 2", "2 is not known"),
            ("config_version = 1\npolicy = 'policy.yaml'", "`policy.yaml` is not an absolute path"),
            ("config_version = 1\npolicy = 5", "line 2"),
            ("policy = '/a'\npolicy = '/b'", "duplicate key"),
            ("config_version = 1\ncluster = 'prod'", "LOCATION.NAME"),
            ("config_version = 1\nsubjects = []", "subjects: is empty"),
            ("config_version = 1\nsubjects = ['config']", "expected `index` or `manifest`"),
            ("config_version = 1\ndsse_types = ['']", "none of them empty"),
            ("config_version = 1\ndeny_list = 'deny.yaml'", "`deny.yaml` is not an absolute path"),
            ("[[sources]]\nname = 'a'", "missing field `url`"),
            ("[[sources]]\nname = 'a'\nurl = 'file://relative'", "not an absolute path"),
            ("=", "line 1"),
        ];
        for (text, part) in rows {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?} gave {error:?}, which lacks {part:?}");
        }
    }
}
