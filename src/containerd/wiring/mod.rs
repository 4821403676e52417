//! What containerd is told, so that it asks binauthd; and the way back.
//!
//! containerd 2.x gets one drop-in, which its root file imports. Before 2.0 a table in a drop-in replaces the whole one of
//! the root file, so there the root file itself is changed, value by value. What containerd executes and reads are copies
//! in a folder of their own, so that no package takes them away from under it.
//!
//! A [`Plan`] is made from what containerd says that its files come to, is tried on copies of them, and says which files
//! become what; nothing here writes any of them. [`undone`] is the way back, from a [`Record`] of what was done.
//!
//! | question | answer |
//! |---|---|
//! | which values are wanted, and which cannot be had | `wanted` |
//! | where a value is in which form of the file | `view` |
//! | which files there are, and which imports which | `sources` |
//! | how a value is changed and taken back | `edit` |
//! | what of it decides whether the gates are asked | [`Effective`] |
//! | which copies of programs and specs it names | `copies` |
//! | what it would come to | `trial` |
//! | whether containerd would start with it | [`startable`] |
//! | what was done | [`Record`] |

mod copies;
mod edit;
mod effective;
mod error;
mod plan;
mod record;
mod refresh;
mod sources;
mod startable;
mod trial;
mod undo;
mod view;
mod wanted;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use copies::default_spec;
pub use edit::{EditError, Edits};
pub use effective::{Around, Effective, Nri, Verifiers, files, not_imported};
pub use error::PlanError;
pub use plan::{Made, Order, Plan};
pub use record::{Record, RecordError, RootFile, Spec};
pub use refresh::{Refreshed, refreshed};
pub use sources::SourceError;
pub use startable::startable;
pub use undo::{Undone, undone};
pub use view::{VERIFIER_PLUGIN, View};

/// What a gate that gets no answer from the daemon does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It lets through, and leaves a record.
    Observe,
    /// It refuses.
    Enforce,
}

/// What becomes of the pause image, which no gate sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pause {
    /// It is pinned by digest.
    Pinned,
    /// It is to be pinned so.
    To(String),
    /// It cannot be; why, and the way out.
    Unknown(String),
}

/// Where our own things are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The folder of copies.
    pub folder: PathBuf,
    /// The folder of the packaged programs.
    pub programs: PathBuf,
}

/// A file that becomes something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file.
    pub path: PathBuf,
    /// What it becomes; none where it goes.
    pub after: Option<Vec<u8>>,
    /// What it is.
    pub kind: Kind,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Configuration of containerd.
    Configuration,
    /// A program.
    Program,
    /// One of ours that nobody writes by hand.
    Ours,
    /// A copy of what may hold secrets, which root alone reads.
    Secret,
}

impl Mode {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Observe => Self::Enforce,
            Self::Enforce => Self::Observe,
        }
    }

    /// The verifier's name in containerd's folder: first among others, and what no answer means hangs on it.
    #[must_use]
    pub const fn verifier(self) -> &'static str {
        match self {
            Self::Observe => "00-binauthd-observe",
            Self::Enforce => "00-binauthd",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Places {
    /// The usual folder of copies.
    pub const FOLDER: &str = "/opt/containerd/binauthd";
    /// Where the package puts programs.
    pub const PROGRAMS: &str = "/usr/libexec/binauthd";
    /// The packaged verifier.
    pub const VERIFIER: &str = "binauthd-image-verifier";

    /// The copy of the hook.
    #[must_use]
    pub fn hook(&self) -> PathBuf {
        self.folder.join(super::CreateHook::PROGRAM)
    }

    /// The base runtime spec of a handler.
    #[must_use]
    pub fn spec(&self, handler: &str) -> PathBuf {
        self.folder.join(format!("base-spec-{handler}.json"))
    }

    /// Whether a file lies in the folder of copies.
    #[must_use]
    pub fn holds(&self, file: &Path) -> bool {
        file.starts_with(&self.folder)
    }

    /// The record of what was done.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.folder.join("wiring.json")
    }

    /// The copy of containerd's root file.
    #[must_use]
    pub fn copy(&self) -> PathBuf {
        self.folder.join("config.toml.before")
    }
}

/// Our drop-in of a root file.
#[must_use]
pub fn drop_in(root: &Path) -> PathBuf {
    root.parent().unwrap_or(Path::new("/")).join("conf.d").join("99-binauthd.toml")
}

/// What our drop-in begins with.
pub const HEADER: &str =
    "# Written by `binauthctl containerd enable`, and taken away by `binauthctl containerd disable`.\n";

/// By this name containerd knows the daemon's NRI plugin.
pub const NRI_NAME: &str = "binauthd";
/// What a verifier is given at least. Ours answers within 3 s where nobody answers it, and waits for a look-up.
pub const VERIFIER_TIME: Duration = Duration::from_secs(10);

/// containerd's systemd unit, unless told otherwise.
pub const UNIT: &str = "containerd.service";
/// Where containerd looks for verifiers unless told otherwise.
pub const BIN_DIR: &str = "/opt/containerd/image-verifier/bin";
