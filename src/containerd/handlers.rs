//! The runtime handlers of this containerd, as CRI tells of them, and which of them carry our create hook.
//!
//! containerd reads a base runtime spec when it starts and goes on with what it read, so what lies there now may not
//! be what it uses; it does not tell what it read. What was [changed](Stamp::changed) since it [started](Run::started)
//! is not it, as far as the clock was not set meanwhile; what has another [stamp](Handler::stamp) than before in the
//! same [run] surely is not.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use k8s_cri::v1::StatusRequest;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use nix::fcntl::OFlag;
use serde::Deserialize;

use super::base_spec::{self, MAX_BYTES};
use super::create_hook::CreateHook;
use crate::bounded;

/// How long CRI is waited for.
const DEADLINE: Duration = Duration::from_secs(5);
/// The runtime family that runs hooks. What another does with them is not known.
pub(super) const RUNC: &str = "io.containerd.runc.v2";

/// Why the handlers are not known.
#[derive(Debug, thiserror::Error)]
pub enum HandlersError {
    /// CRI gives no answer.
    #[error("containerd's CRI does not answer on `{}`: {cause}", address.display())]
    NoAnswer {
        /// The socket.
        address: PathBuf,
        /// Why not.
        cause: String,
    },
    /// CRI answers, and does not show its configuration.
    #[error("containerd's CRI does not show its configuration")]
    NoConfig,
    /// The configuration is of a shape that is not known.
    #[error("containerd's CRI shows a configuration that cannot be understood")]
    Config(#[from] serde_json::Error),
}

/// What CRI starts containers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handlers {
    /// All of them, by name.
    pub all: Vec<Handler>,
    /// The name of the one that pods get which name none.
    pub default: String,
    /// The pause image as it is configured. containerd 2 does not tell it here.
    pub sandbox_image: Option<String>,
}

/// A runtime handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// As a RuntimeClass names it.
    pub name: String,
    /// The shim, such as `io.containerd.runc.v2`.
    pub runtime_type: String,
    /// The OCI runtime, where the handler names one (`BinaryName`).
    pub runtime: Option<String>,
    /// The snapshotter, where the handler has one of its own.
    pub snapshotter: Option<String>,
    /// The base runtime spec, where the handler names one.
    pub base_runtime_spec: Option<PathBuf>,
}

/// Whether containers of a handler pass our hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hooked {
    /// They do.
    Yes(CreateHook),
    /// The handler names no base runtime spec.
    NoSpec,
    /// The base runtime spec has no hook of ours.
    NoHook,
    /// The handler is not of the runc family, so a hook may not be run.
    OtherRuntime,
    /// There is a base runtime spec, or a hook, that cannot be relied upon; why.
    Unusable(String),
}

impl Handlers {
    /// Asks the CRI of the containerd at `address`. Waits 5 s at most, and takes 4 MiB at most.
    ///
    /// # Errors
    /// [`HandlersError`]
    pub async fn ask(address: &Path) -> Result<Self, HandlersError> {
        let no_answer = |cause| HandlersError::NoAnswer { address: address.to_owned(), cause };
        let ask = async {
            let channel =
                containerd_client::connect(address).await.map_err(|error| no_answer(crate::chain(&error)))?;
            let answer = RuntimeServiceClient::new(channel).status(StatusRequest { verbose: true }).await;
            Ok::<_, HandlersError>(
                answer.map_err(|status| no_answer(status.message().to_owned()))?.into_inner().info,
            )
        };
        let answer = tokio::time::timeout(DEADLINE, ask).await;
        let info = answer.map_err(|_| no_answer(format!("nothing within {} s", DEADLINE.as_secs())))??;
        Self::parse(info.get("config").ok_or(HandlersError::NoConfig)?)
    }

    /// The `config` that CRI's `Status` gives when asked to be verbose, as containerd 1.6 to 2.x write it.
    ///
    /// # Errors
    /// [`HandlersError::Config`] where names or handlers are missing.
    pub fn parse(config: &str) -> Result<Self, HandlersError> {
        let config: Config = serde_json::from_str(config)?;
        let all = config.containerd.runtimes.into_iter().map(|(name, table)| Handler {
            name,
            runtime_type: table.runtime_type,
            runtime: table.options.unwrap_or_default().binary_name.and_then(some),
            snapshotter: some(table.snapshotter),
            base_runtime_spec: some(table.base_runtime_spec).map(PathBuf::from),
        });
        Ok(Self {
            all: all.collect(),
            default: config.containerd.default_runtime_name,
            sandbox_image: config.sandbox_image.and_then(some),
        })
    }
}

impl Handler {
    /// What tells its base runtime spec as it lies on disk from any other, in content, owner and name, by the file system's
    /// word; none where there is none.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        Stamp::of(self.base_runtime_spec.as_deref()?)
    }

    /// Whether containers of this handler pass our hook, by what lies on disk now. The base runtime spec and
    /// the hook's program must be root's alone to change.
    #[must_use]
    pub fn hooked(&self) -> Hooked {
        let Some(path) = &self.base_runtime_spec else { return Hooked::NoSpec };
        if self.runtime_type != RUNC {
            return Hooked::OtherRuntime;
        }
        let unusable =
            |why: String| Hooked::Unusable(format!("the base runtime spec `{}` {why}", path.display()));
        let text = match read(path) {
            Ok(text) => text,
            Err(error) => return unusable(format!("cannot be relied upon: {error}")),
        };
        let hooks = match base_spec::hooks(&text) {
            Ok(hooks) => hooks,
            Err(error) => return unusable(format!("cannot be understood: {error}")),
        };
        // Each of several is run, and one that enforces refuses for all of them.
        let strictest = hooks.into_iter().reduce(|one, other| if one.observe { other } else { one });
        let Some(hook) = strictest else { return Hooked::NoHook };
        match open(Path::new(&hook.path)).and_then(|file| file.metadata()) {
            Ok(program) if program.mode() & 0o100 != 0 => Hooked::Yes(hook),
            Ok(_) => Hooked::Unusable(format!("the hook `{}` is not executable", hook.path)),
            Err(error) => {
                Hooked::Unusable(format!("the hook `{}` cannot be relied upon: {error}", hook.path))
            }
        }
    }
}

/// One state of a file, and of the link that leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The inode of each, and when that was changed, which nobody sets but by the clock.
    pub files: Vec<(u64, SystemTime)>,
}

impl Stamp {
    /// As it is now; none where there is none.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let of = |found: fs::Metadata| {
            let nanos = i32::try_from(found.ctime_nsec()).ok()?;
            Some((found.ino(), super::container::time(found.ctime(), nanos)?))
        };
        // Of a link also when it was made: it may have led elsewhere.
        let both = [fs::metadata(path), fs::symlink_metadata(path)];
        let files: Vec<_> = both.into_iter().filter_map(|found| of(found.ok()?)).collect();
        (!files.is_empty()).then_some(Self { files })
    }

    /// When it came to be.
    #[must_use]
    pub fn changed(&self) -> Option<SystemTime> {
        self.files.iter().map(|(_, changed)| *changed).max()
    }
}

/// One run of containerd, which makes its socket anew at each start, once it has read its base runtime specs. To see this
/// takes no sight of its process, which a sandboxed daemon has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Of its socket.
    pub inode: u64,
    /// When that was made, by the clock of then.
    pub started: SystemTime,
}

/// The run of the containerd that serves on `address`; none where there is no such socket.
#[must_use]
pub fn run(address: &Path) -> Option<Run> {
    let socket = fs::metadata(address).ok()?;
    Some(Run { inode: socket.ino(), started: socket.modified().ok()? })
}

fn read(path: &Path) -> io::Result<String> {
    bounded::text(open(path)?, MAX_BYTES)
}

/// Opens a regular file that nobody but root can write.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if found.uid() != 0 || found.mode() & 0o022 != 0 {
        return Err(io::Error::other("others than root may write it"));
    }
    Ok(file)
}

/// containerd writes what is not set as an empty text.
fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

// What is read of CRI's configuration; the rest differs between versions and does not matter here.

#[derive(Deserialize)]
struct Config {
    containerd: ContainerdTable,
    #[serde(default, rename = "sandboxImage")]
    sandbox_image: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerdTable {
    default_runtime_name: String,
    runtimes: BTreeMap<String, RuntimeTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeTable {
    runtime_type: String,
    #[serde(default)]
    options: Option<OptionsTable>,
    #[serde(default)]
    snapshotter: String,
    /// Every version since 1.5 writes it, be it empty: without it there is no telling.
    base_runtime_spec: String,
}

#[derive(Default, Deserialize)]
struct OptionsTable {
    #[serde(default, rename = "BinaryName")]
    binary_name: Option<String>,
}

#[cfg(test)]
mod tests;
