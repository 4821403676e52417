//! One proof at a time on a node: the timer's and an operator's.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

/// Of root alone, so that nobody else keeps proofs from being made. tmpfiles.d makes it for those who may write nothing.
pub(super) const FILE: &str = "/run/binauthd-canary.lock";
const RETRY: Duration = Duration::from_millis(100);

/// Waits so long until no other proof is under way; none is as long as the value lives.
///
/// # Errors
/// Says why that does not come about.
pub(super) async fn take(path: &Path, patience: Duration) -> Result<Flock<File>, String> {
    let unusable = |cause: std::io::Error| format!("`{}` cannot be locked: {cause}", path.display());
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_CREAT | OFlag::O_NOFOLLOW).bits())
        .mode(0o600)
        .open(path)
        .map_err(unusable)?;
    let deadline = Instant::now() + patience;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((unlocked, Errno::EAGAIN)) if Instant::now() < deadline => file = unlocked,
            Err((_, Errno::EAGAIN)) => return Err("another proof is under way".to_owned()),
            Err((_, errno)) => return Err(unusable(errno.into())),
        }
        tokio::time::sleep(RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[tokio::test]
    async fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = take(&path, Duration::ZERO).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let late = take(&path, RETRY).await.unwrap_err();
        assert_eq!(late, "another proof is under way");
        let (second, ()) = tokio::join!(take(&path, RETRY * 50), async {
            tokio::time::sleep(RETRY).await;
            drop(first);
        });
        drop(second.unwrap());
        // One that lies there may be all that there is to open.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        take(&path, Duration::ZERO).await.unwrap();
        symlink(&path, folder.path().join("link")).unwrap();
        assert!(take(&folder.path().join("link"), Duration::ZERO).await.unwrap_err().contains("cannot be"));
    }
}
