//! What was done to containerd, so that all of it can be undone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::edit::Edits;
use super::{Mode, UNIT};

/// The form that is written; another one is not understood.
const FORMAT: u32 = 1;

/// What was done. Written before any of it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// The form of this record.
    pub format: u32,
    /// What no answer means to the gates.
    pub mode: Mode,
    /// Whether the configuration names binauthd; where it does not any more, only a containerd that started before
    /// may still use the copies.
    pub enabled: bool,
    /// The version of containerd for which it was done.
    pub containerd: String,
    /// containerd's systemd unit.
    #[serde(default = "usual_unit")]
    pub unit: String,
    /// containerd's configuration file.
    pub root: RootFile,
    /// Our own, which that one imports; none where all is in the root file.
    pub drop_in: Option<PathBuf>,
    /// The verifier that containerd executes.
    pub verifier: Option<PathBuf>,
    /// The hook that the base runtime specs name.
    pub hook: PathBuf,
    /// The base runtime specs.
    pub specs: Vec<Spec>,
    /// Folders that were made, outermost first.
    pub folders: Vec<PathBuf>,
}

/// containerd's configuration file as it was and as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RootFile {
    /// The file.
    pub path: PathBuf,
    /// A copy of it as it was; none where it was not there.
    pub copy: Option<PathBuf>,
    /// The digest of what was written; none where nothing was.
    pub written: Option<String>,
    /// What was changed in it.
    pub edits: Edits,
}

/// A base runtime spec of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// The handler that names it.
    pub handler: String,
    /// The file.
    pub path: PathBuf,
    /// The base runtime spec that the handler had; none where it had none, and ours is made from containerd's defaults.
    pub from: Option<PathBuf>,
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// It says something that this version does not understand.
    #[error("`{}` cannot be understood: it tells what `containerd enable` has done. Move it away, and `containerd disable` \
             removes what it recognizes", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: serde_json::Error,
    },
}

fn usual_unit() -> String {
    UNIT.to_owned()
}

impl Record {
    /// One of nothing yet.
    #[must_use]
    pub fn new(mode: Mode, containerd: &str, unit: &str, root: &Path, hook: PathBuf) -> Self {
        Self {
            format: FORMAT,
            mode,
            enabled: true,
            containerd: containerd.to_owned(),
            unit: unit.to_owned(),
            root: RootFile { path: root.to_owned(), copy: None, written: None, edits: Edits::default() },
            drop_in: None,
            verifier: None,
            hook,
            specs: Vec::new(),
            folders: Vec::new(),
        }
    }

    /// Reads the one at `path`; none where there is none.
    ///
    /// # Errors
    /// [`RecordError`]
    pub fn read(path: &Path) -> Result<Option<Self>, RecordError> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|cause| RecordError::Read { path: path.to_owned(), cause })?,
        };
        let json = |cause| RecordError::Json { path: path.to_owned(), cause };
        let record: Self = serde_json::from_slice(&bytes).map_err(json)?;
        if record.format != FORMAT {
            let what = format!("its format is {}, and {FORMAT} is understood", record.format);
            return Err(json(serde::de::Error::custom(what)));
        }
        Ok(Some(record))
    }

    /// As it is written.
    ///
    /// # Errors
    /// Never of what can be read.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
