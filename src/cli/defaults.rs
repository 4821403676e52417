//! Where files lie unless a flag says otherwise.

use std::path::{Path, PathBuf};

use super::error::CliError;

/// Paths and facts that the configuration gives.
#[derive(Debug)]
pub(super) struct Defaults {
    /// The policy document.
    pub(super) policy: PathBuf,
    /// The folder of attestor documents.
    pub(super) attestors: PathBuf,
    /// The folder of occurrence documents: the first `file://` source.
    pub(super) occurrences: PathBuf,
    /// The folder of the daemon's sockets.
    pub(super) runtime_dir: PathBuf,
}

impl Defaults {
    /// The socket that operators ask the daemon on.
    pub(super) fn admin_socket(&self) -> PathBuf {
        self.runtime_dir.join("admin.sock")
    }
}

/// The defaults of `config`. Without `--config` the usual file need not be there; a file that was named
/// must be.
pub(super) fn defaults(config: Option<&Path>) -> Result<Defaults, CliError> {
    if let Some(path) = config {
        super::files::read(path, crate::document::MAX_BYTES).map_err(|cause| CliError::Read {
            what: "configuration",
            path: path.to_owned(),
            cause,
        })?;
    }
    Ok(Defaults {
        policy: "/etc/binauthd/policy.yaml".into(),
        attestors: "/etc/binauthd/attestors".into(),
        occurrences: "/var/lib/binauthd/occurrences".into(),
        runtime_dir: "/run/binauthd".into(),
    })
}
