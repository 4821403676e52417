//! The files binauthd reads and writes on one node: the folders a package makes on a real one
//! (`/etc/binauthd`, `/run/binauthd` and the rest), below the node's own folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::Home;
use super::home::write;

/// Configuration, documents, sockets and state of one node's binauthd. All folders are root's and
/// 0755, all files 0644; each file is replaced whole.
#[derive(Clone)]
pub(crate) struct Etc {
    /// `etc/`: `config.toml`, `policy.yaml`, `attestors/`
    pub(crate) folder: PathBuf,
    pub(crate) occurrences: PathBuf,
    pub(crate) runtime_dir: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) audit_file: PathBuf,
    containerd_socket: PathBuf,
    nri_socket: PathBuf,
    home: PathBuf,
}

impl Etc {
    /// The folders, and a `config.toml` for the cluster `test.cluster`; no policy yet.
    pub(crate) fn new(home: &Home, containerd_socket: &Path, nri_socket: &Path) -> Self {
        let etc = Self {
            folder: home.folder("etc"),
            occurrences: home.folder("occurrences"),
            runtime_dir: home.folder("run"),
            state_dir: home.folder("state-binauthd"),
            audit_file: home.folder("log").join("audit.jsonl"),
            containerd_socket: containerd_socket.to_owned(),
            nri_socket: nri_socket.to_owned(),
            home: home.path().to_owned(),
        };
        home.folder("etc/attestors");
        fs::set_permissions(&etc.state_dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        etc.write_config("test.cluster", "");
        etc
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    pub(crate) fn policy(&self) -> PathBuf {
        self.folder.join("policy.yaml")
    }

    pub(crate) fn attestors(&self) -> PathBuf {
        self.folder.join("attestors")
    }

    pub(crate) fn gate_socket(&self) -> PathBuf {
        self.runtime_dir.join("gate.sock")
    }

    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.runtime_dir.join("admin.sock")
    }

    /// `config.toml` with every path in this node; `more` is TOML put before the tables.
    pub(crate) fn write_config(&self, cluster: &str, more: &str) {
        let text = format!(
            r#"config_version = 1
cluster = "{cluster}"
policy = "{policy}"
attestors = "{attestors}"
deny_list = "{deny_list}"
system_policy = "{system_policy}"
state_dir = "{state}"
runtime_dir = "{runtime}"
{more}
[containerd]
address = "{containerd}"
namespace = "k8s.io"
nri_socket = "{nri}"
root = "{root}"
state = "{state_of_containerd}"

[[sources]]
name = "local"
url = "file://{occurrences}"

[audit]
file = "{audit}"
"#,
            policy = self.policy().display(),
            attestors = self.attestors().display(),
            deny_list = self.folder.join("deny.yaml").display(),
            system_policy = self.folder.join("system-policy.yaml").display(),
            state = self.state_dir.display(),
            runtime = self.runtime_dir.display(),
            containerd = self.containerd_socket.display(),
            nri = self.nri_socket.display(),
            root = self.home.join("root").display(),
            state_of_containerd = self.home.join("state").display(),
            occurrences = self.occurrences.display(),
            audit = self.audit_file.display(),
        );
        write(&self.config(), 0o644, text.as_bytes());
    }

    pub(crate) fn write_policy(&self, text: &str) {
        write(&self.policy(), 0o644, text.as_bytes());
    }

    /// A document beside the policy: `deny.yaml`, `system-policy.yaml`, or one that the configuration
    /// names.
    pub(crate) fn write_beside(&self, name: &str, text: &str) {
        write(&self.folder.join(name), 0o644, text.as_bytes());
    }

    pub(crate) fn remove_beside(&self, name: &str) {
        fs::remove_file(self.folder.join(name)).unwrap();
    }

    /// `name` with its extension: the formats differ.
    pub(crate) fn write_attestor(&self, name: &str, text: &str) {
        write(&self.attestors().join(name), 0o644, text.as_bytes());
    }

    pub(crate) fn remove_attestor(&self, name: &str) {
        fs::remove_file(self.attestors().join(name)).unwrap();
    }

    pub(crate) fn write_occurrence(&self, name: &str, text: &str) {
        write(&self.occurrences.join(name), 0o644, text.as_bytes());
    }

    pub(crate) fn remove_occurrence(&self, name: &str) {
        fs::remove_file(self.occurrences.join(name)).unwrap();
    }

    /// The decisions in the audit trail so far, without repeats that were folded.
    pub(crate) fn audit(&self) -> Vec<serde_json::Value> {
        let records = self.trail().into_iter();
        records.filter(|record| record["kind"] == "decision").collect()
    }

    /// The audit trail so far: one JSON document for each whole line.
    pub(crate) fn trail(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&self.audit_file).unwrap_or_default();
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }
}
