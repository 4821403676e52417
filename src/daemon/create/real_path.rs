//! What the paths of mounts lead to on the host. Most of them the kernel knows by heart and says at once; the
//! others are followed where nobody is held up: a file system of a server that is gone answers never.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};

use super::creation::Bind;
use crate::daemon::off_the_runtime;

/// `RESOLVE_CACHED` of `openat2(2)`, Linux 5.12 and later: an answer that would take a wait is `EAGAIN`.
const CACHED: ResolveFlag = ResolveFlag::from_bits_retain(0x20);

/// Of these binds where they lead, each that leads elsewhere. What leads nowhere yet is left out.
pub(super) async fn of_all(binds: Vec<Bind>) -> Vec<Bind> {
    // Whoever waits for containerd meanwhile has asked it first.
    tokio::task::yield_now().await;
    let mut real = Vec::new();
    let mut slow = Vec::new();
    for bind in binds {
        match at_once(Path::new(&bind.path)) {
            Ok(found) => {
                let found = found.filter(|found| Path::new(found) != Path::new(&bind.path));
                real.extend(found.map(|path| Bind { path, ..bind }));
            }
            Err(_) => slow.push(bind),
        }
    }
    if !slow.is_empty() {
        let follow = |bind: Bind| Some(Bind { path: of(Path::new(&bind.path))?, ..bind });
        let followed = move || slow.into_iter().filter_map(follow).collect::<Vec<_>>();
        real.extend(off_the_runtime(followed).await);
    }
    real
}

/// The path without symbolic links, where it is there and another one; however long that takes.
pub(super) fn of(path: &Path) -> Option<String> {
    let real = path.canonicalize().ok()?;
    (real != path).then(|| real.to_string_lossy().into_owned())
}

/// The path without symbolic links, where it is there; an error where that is not known without a wait.
fn at_once(path: &Path) -> Result<Option<String>, Errno> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(CACHED);
    let file = match openat2(AT_FDCWD, path, how) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        Err(error) => return Err(error),
    };
    match fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        // So the kernel marks what has been removed meanwhile, and somebody may call a file.
        Ok(real) if !real.as_os_str().as_bytes().ends_with(b" (deleted)") => {
            Ok(Some(real.to_string_lossy().into_owned()))
        }
        _ => Err(Errno::EAGAIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_ways_lead_to_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        fs::create_dir_all(home.join("a/b")).unwrap();
        fs::write(home.join("a/file"), "").unwrap();
        fs::create_dir(home.join("a (deleted)")).unwrap();
        std::os::unix::fs::symlink("a (deleted)", home.join("to-deleted")).unwrap();
        std::os::unix::fs::symlink("a/b", home.join("link")).unwrap();
        std::os::unix::fs::symlink("file", home.join("a/other")).unwrap();
        std::os::unix::fs::symlink("nowhere", home.join("broken")).unwrap();
        std::os::unix::fs::symlink("round", home.join("round")).unwrap();
        let rows = [
            ("a/b", None),
            ("a/file", None),
            ("link", Some("a/b")),
            ("a/other", Some("a/file")),
            ("link/../other", Some("a/file")),
            ("a//b/.", None),
            ("to-deleted", Some("a (deleted)")),
            ("broken", None),
            ("round", None),
            ("a/file/below", None),
        ];
        for (path, leads_to) in rows {
            let path = format!("{}/{path}", home.display());
            let expected = leads_to.map(|to| format!("{}/{to}", home.display()));
            assert_eq!(of(Path::new(&path)).filter(|real| *real != path), expected, "{path}");
            for is_readonly in [false, true] {
                let bind = |path: &String| Bind { path: path.clone(), is_readonly };
                let expected: Vec<_> = expected.iter().map(bind).collect();
                assert_eq!(of_all(vec![bind(&path)]).await, expected, "{path}");
            }
        }
        // The kernel has just been there, at another tick than when the link was made: until then its access time is
        // to be written, which is a wait. Whoever mounts something meanwhile makes it forget.
        let here = home.join("link");
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(here.canonicalize().is_ok());
        let known = std::iter::repeat_with(|| at_once(&here)).take(1_000).find(Result::is_ok);
        assert_eq!(known, Some(Ok(Some(home.join("a/b").to_string_lossy().into_owned()))));
        assert!(matches!(at_once(&home.join("missing")), Ok(None) | Err(Errno::EAGAIN)));
    }
}
