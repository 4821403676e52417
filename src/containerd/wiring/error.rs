//! Why containerd is left as it is.

use std::io;
use std::path::{Path, PathBuf};

use super::edit::EditError;
use super::sources::SourceError;
use crate::containerd::InstalledError;
use crate::containerd::base_spec::BaseSpecError;

/// Why containerd is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Its files.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What it says that they come to.
    #[error(transparent)]
    Installed(#[from] InstalledError),
    /// A version that nobody has seen yet.
    #[error("containerd {0} is not known: those known are 1.6 to 2.x")]
    Unknown(String),
    /// No CRI.
    #[error(
        "containerd {0} has no runtime handlers: its CRI plugin is disabled (`disabled_plugins`), so no kubelet uses it"
    )]
    NoCri(String),
    /// A gate's plugin is not loaded.
    #[error(
        "`disabled_plugins` of `{}` names `{plugin}`, without which nothing asks binauthd: take it out there, and say `enable` again",
        path.display()
    )]
    Disabled {
        /// The plugin.
        plugin: &'static str,
        /// The file, as far as it is known.
        path: PathBuf,
    },
    /// A file of our name.
    #[error("`{}` was not written by binauthctl: move it away first", _0.display())]
    Foreign(PathBuf),
    /// The root file.
    #[error("`{}` cannot be changed: {cause}", path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: EditError,
    },
    /// A file that is the work of another program.
    #[error("`{}` says that it is generated: wire the template that it is made from, or say --force", _0.display())]
    Generated(PathBuf),
    /// A value that another file decides on.
    #[error("`{key}` would be {found}, not {wanted}: {}", by_whom(by.as_deref()))]
    NotInEffect {
        /// The key.
        key: String,
        /// What it would be.
        found: String,
        /// What was wanted.
        wanted: String,
        /// The file that decides on it.
        by: Option<PathBuf>,
    },
    /// More would change than was meant.
    #[error("this would also change {0}")]
    AlsoChanges(String),
    /// A base runtime spec.
    #[error("the base runtime spec of handler `{handler}`: {from}")]
    BaseSpec {
        /// The handler.
        handler: String,
        /// Where it is from.
        from: String,
        /// What is wrong with it.
        #[source]
        cause: BaseSpecError,
    },
    /// A default handler without a runtime.
    #[error("the default handler `{_0}` has no `runtime_type`, so that no pod would start")]
    NoRuntime(String),
    /// A base runtime spec that is not there.
    #[error("handler `{handler}` names `{}` as its base runtime spec, which is not there: CRI does not start with it", spec.display())]
    NoSpec {
        /// The handler.
        handler: String,
        /// The file.
        spec: PathBuf,
    },
    /// A base runtime spec of ours that is to go.
    #[error(
        "handler `{handler}` still has `{}` as its base runtime spec: take it out of the file that names it, which `containerd \
         config dump` does not tell",
        spec.display()
    )]
    StillNamed {
        /// The handler.
        handler: String,
        /// The file.
        spec: PathBuf,
    },
    /// containerd reads another file than the one that was wired.
    #[error(
        "`{}` was wired, and containerd reads `{}` now: say `binauthctl containerd disable` first",
        wired.display(), read.display()
    )]
    OtherRoot {
        /// What the record tells of.
        wired: PathBuf,
        /// What is read.
        read: PathBuf,
    },
    /// A folder that others may write.
    #[error("what containerd executes would lie in `{}`: {why}", folder.display())]
    NotRootsAlone {
        /// The folder.
        folder: PathBuf,
        /// Who may write it.
        why: String,
    },
    /// A file that is needed.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// containerd's defaults.
    #[error(
        "`{program}` does not tell the defaults of containerd {wanted}: {why}; name the right one with --ctr, or save its \
         `ctr oci spec` and name that with --defaults"
    )]
    Ctr {
        /// What was run.
        program: String,
        /// The version of containerd.
        wanted: String,
        /// Why not.
        why: String,
    },
    /// A copy to try it on.
    #[error("cannot try it on a copy in `{}`", path.display())]
    Trial {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
}

fn by_whom(by: Option<&Path>) -> String {
    by.map_or_else(
        || "another table of the configuration decides on it".to_owned(),
        |path| format!("`{}` decides on it; change it there", path.display()),
    )
}
