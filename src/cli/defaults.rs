//! Where files lie unless a flag says otherwise: what the daemon's configuration says.

use std::io;
use std::path::{Path, PathBuf};

use super::error::CliError;
use super::files;
use crate::config::Config;
use crate::config::file::{DEFAULT_PATH, MAX_BYTES};
use crate::policy::Options;

/// Paths that the configuration gives.
#[derive(Debug)]
pub(super) struct Defaults {
    /// The configuration itself.
    pub(super) config: PathBuf,
    /// The policy document.
    pub(super) policy: PathBuf,
    /// The folder of attestor documents.
    pub(super) attestors: PathBuf,
    /// The folder of occurrence documents: the first `file://` source.
    pub(super) occurrences: PathBuf,
    /// All that it says.
    pub(super) settings: Config,
}

impl Defaults {
    /// What `config`, which lies at `path`, says.
    pub(super) fn of(path: &Path, config: Config) -> Self {
        let folder = config.folders().next().map(|(_, path)| path.to_owned());
        Self {
            config: path.to_owned(),
            occurrences: folder.unwrap_or_else(|| "/var/lib/binauthd/occurrences".into()),
            policy: config.policy.clone(),
            attestors: config.attestors.clone(),
            settings: config,
        }
    }

    /// What a policy may contain.
    pub(super) fn options(&self) -> Options {
        Options { allow_multiple_rule_maps: self.settings.allow_multiple_rule_maps }
    }

    /// The socket that operators ask the daemon on.
    pub(super) fn admin_socket(&self) -> PathBuf {
        self.settings.admin_socket()
    }
}

/// Where the configuration is.
pub(super) fn path(config: Option<&Path>) -> &Path {
    config.unwrap_or(Path::new(DEFAULT_PATH))
}

/// The defaults of `config`. Without `--config` the usual file need not be there, nor be readable by this
/// user; a file that was named must be.
pub(super) fn defaults(config: Option<&Path>) -> Result<Defaults, CliError> {
    let path = path(config);
    let found = match files::read(path, MAX_BYTES) {
        Ok(bytes) => Config::parse(path, &bytes)?,
        Err(error) if config.is_none() && is_not_ours(&error) => Config::default(),
        Err(cause) => return Err(CliError::Read { what: "configuration", path: path.to_owned(), cause }),
    };
    Ok(Defaults::of(path, found))
}

fn is_not_ours(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}
