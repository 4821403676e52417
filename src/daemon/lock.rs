//! The daemon's own folders, and the lock that keeps a second daemon out of them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::StartError;

/// How long a daemon that was just killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(20);

/// Makes the state folder (0700) when it is not there and locks it for as long as the value lives.
pub(super) fn claim(state_dir: &Path) -> Result<Flock<File>, StartError> {
    make_folder(state_dir, 0o700)?;
    let folder = |source| StartError::Folder { path: state_dir.to_owned(), source };
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
            Err((_, Errno::EAGAIN)) => return Err(StartError::Locked(state_dir.to_owned())),
            Err((_, errno)) => return Err(folder(errno.into())),
        }
        std::thread::sleep(RETRY);
    }
}

/// Makes a folder of this mode when it is not there.
pub(super) fn make_folder(path: &Path, mode: u32) -> Result<(), StartError> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|source: io::Error| StartError::Folder { path: path.to_owned(), source })
}
