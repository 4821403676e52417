//! The daemon's own folders, and the lock that keeps a second daemon out of them, and everybody else who would
//! change what it remembers.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// How long a daemon that was just killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(20);

/// Why a folder of the daemon's own cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon uses the state folder.
    #[error("another binauthd uses `{0}`")]
    Locked(PathBuf),
    /// The folder cannot be used.
    #[error("cannot use `{path}`")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes the state folder (0700) when it is not there and locks it for as long as the value lives.
///
/// # Errors
/// [`LockError::Locked`] when another process has held it for a second.
pub fn claim(state_dir: &Path) -> Result<Flock<File>, LockError> {
    make_folder(state_dir, 0o700)?;
    let folder = |source| LockError::Folder { path: state_dir.to_owned(), source };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(state_dir.join("lock"))
        .map_err(folder)?;
    let deadline = Instant::now() + PATIENCE;
    let mut unlocked = file;
    loop {
        match Flock::lock(unlocked, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((file, Errno::EAGAIN)) if Instant::now() < deadline => unlocked = file,
            Err((_, Errno::EAGAIN)) => return Err(LockError::Locked(state_dir.to_owned())),
            Err((_, errno)) => return Err(folder(errno.into())),
        }
        std::thread::sleep(RETRY);
    }
}

/// Makes a folder of this mode when it is not there.
///
/// # Errors
/// [`LockError::Folder`].
pub fn make_folder(path: &Path, mode: u32) -> Result<(), LockError> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|source: io::Error| LockError::Folder { path: path.to_owned(), source })
}
