//! Reading files that decide trust: only what belongs to root and nobody else may write.
//!
//! The path is walked from `/` with one open handle a step, so what is checked is what is read; a
//! symbolic link is followed only if it is root's and out of a folder that has passed. The folder that holds the file must
//! be root's and writable by nobody else; folders above it may also be sticky, as `/tmp` is, because
//! nobody else can replace an entry of root's there. Access lists show in the group bits that are
//! checked. Regular files only, and never more than the caller's bound.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

const MAX_LINKS: usize = 40;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It is not there.
    #[error("`{0}` does not exist")]
    Missing(PathBuf),
    /// Somebody else owns it.
    #[error("`{path}` belongs to uid {owner}, not to root: run `chown root:root {path}`")]
    Owner {
        /// File or folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Somebody else may write it.
    #[error("`{path}` is writable by others (mode {mode:04o}): run `chmod go-w {path}`")]
    Writable {
        /// File or folder.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// A folder, device, socket or pipe.
    #[error("`{0}` is not a regular file")]
    NotRegular(PathBuf),
    /// Not a folder where one must be.
    #[error("`{0}` is not a folder")]
    NotFolder(PathBuf),
    /// Symbolic links without end.
    #[error("`{0}` leads through too many symbolic links")]
    Loop(PathBuf),
    /// Over the bound.
    #[error("`{path}` has more than {max} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        max: usize,
    },
    /// The system refused.
    #[error("`{path}`: {cause}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl TrustError {
    /// Whether the file simply is not there, which is a statement and not a fault.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }
}

/// Reads a file of at most `max` bytes.
///
/// # Errors
/// See [`TrustError`].
pub fn read(path: &Path, max: usize) -> Result<Vec<u8>, TrustError> {
    let file = walk(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK, Strictness::Exact)?;
    let stat = stat_of(&file, path)?;
    check(path, &stat, Strictness::Exact)?;
    if kind(&stat) != SFlag::S_IFREG {
        return Err(TrustError::NotRegular(path.to_owned()));
    }
    let mut bytes = Vec::new();
    File::from(file)
        .take(max as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| TrustError::Io { path: path.to_owned(), cause })?;
    if bytes.len() > max {
        return Err(TrustError::TooLarge { path: path.to_owned(), max });
    }
    Ok(bytes)
}

/// The names in a folder, in order.
///
/// # Errors
/// See [`TrustError`].
pub fn list(path: &Path) -> Result<Vec<OsString>, TrustError> {
    let folder = walk(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Strictness::StickyWillDo)?;
    check(path, &stat_of(&folder, path)?, Strictness::Exact)?;
    let io = |cause: Errno| TrustError::Io { path: path.to_owned(), cause: cause.into() };
    let mut names = Vec::new();
    for entry in nix::dir::Dir::from_fd(folder).map_err(io)?.iter() {
        let name = OsStr::from_bytes(entry.map_err(io)?.file_name().to_bytes()).to_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[derive(Clone, Copy, PartialEq)]
enum Strictness {
    Exact,
    StickyWillDo,
}

/// Opens `path` with `flags`, having checked every folder and link on the way; `parent` says how strict
/// to be with the folder that holds it.
fn walk(path: &Path, flags: OFlag, parent: Strictness) -> Result<OwnedFd, TrustError> {
    let io = |path: &Path, errno: Errno| match errno {
        Errno::ENOENT => TrustError::Missing(path.to_owned()),
        Errno::ENOTDIR => TrustError::NotFolder(path.to_owned()),
        errno => TrustError::Io { path: path.to_owned(), cause: errno.into() },
    };
    let absolute =
        std::path::absolute(path).map_err(|cause| TrustError::Io { path: path.to_owned(), cause })?;
    let mut ahead: VecDeque<OsString> = steps(&absolute);
    let mut here = PathBuf::from("/");
    let mut handle = open_root().map_err(|errno| io(&here, errno))?;
    let mut links = 0;
    while let Some(step) = ahead.pop_front() {
        let strictness = if ahead.is_empty() { parent } else { Strictness::StickyWillDo };
        check(&here, &stat_of(&handle, &here)?, strictness)?;
        let next = here.join(&step);
        let seen = openat(
            &handle,
            step.as_os_str(),
            OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| io(&next, errno))?;
        let stat = stat_of(&seen, &next)?;
        if kind(&stat) == SFlag::S_IFLNK {
            // In a sticky folder anybody may have put the link there.
            if stat.st_uid != 0 {
                return Err(TrustError::Owner { path: next, owner: stat.st_uid });
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(TrustError::Loop(path.to_owned()));
            }
            let target = PathBuf::from(readlinkat(&seen, "").map_err(|errno| io(&next, errno))?);
            if target.is_absolute() {
                here = PathBuf::from("/");
                handle = open_root().map_err(|errno| io(&here, errno))?;
            }
            for step in steps(&target).into_iter().rev() {
                ahead.push_front(step);
            }
            continue;
        }
        let last = ahead.is_empty();
        let flags = if last { flags } else { OFlag::O_PATH | OFlag::O_DIRECTORY };
        handle =
            openat(&handle, step.as_os_str(), flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
                .map_err(|errno| io(&next, errno))?;
        here = next;
    }
    Ok(handle)
}

fn open_root() -> Result<OwnedFd, Errno> {
    nix::fcntl::open("/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

fn steps(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        })
        .collect()
}

fn stat_of(handle: &OwnedFd, path: &Path) -> Result<FileStat, TrustError> {
    fstat(handle).map_err(|errno| TrustError::Io { path: path.to_owned(), cause: errno.into() })
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn check(path: &Path, stat: &FileStat, strictness: Strictness) -> Result<(), TrustError> {
    if stat.st_uid != 0 {
        return Err(TrustError::Owner { path: path.to_owned(), owner: stat.st_uid });
    }
    let excused = strictness == Strictness::StickyWillDo && stat.st_mode & STICKY != 0;
    if stat.st_mode & WRITABLE_BY_OTHERS != 0 && !excused {
        return Err(TrustError::Writable { path: path.to_owned(), mode: stat.st_mode & 0o7777 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "x").unwrap();
        folder
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn reads_what_only_root_can_write() {
        let folder = folder();
        let a = folder.path().join("a");
        assert_eq!(read(&a, 1).unwrap(), b"x");
        symlink("a", folder.path().join("relative")).unwrap();
        symlink(&a, folder.path().join("absolute")).unwrap();
        assert_eq!(read(&folder.path().join("relative"), 1).unwrap(), b"x");
        assert_eq!(read(&folder.path().join("absolute"), 1).unwrap(), b"x");
        assert_eq!(list(folder.path()).unwrap(), ["a", "absolute", "relative"]);
    }

    #[test]
    fn refuses_what_others_can_write() {
        let folder = folder();
        let (path, a) = (folder.path(), folder.path().join("a"));
        for bits in [0o620, 0o602] {
            mode(&a, bits);
            assert!(matches!(read(&a, 9), Err(TrustError::Writable { .. })), "{bits:o}");
        }
        mode(&a, 0o644);
        for bits in [0o770, 0o707, 0o1777] {
            mode(path, bits);
            assert!(matches!(read(&a, 9), Err(TrustError::Writable { .. })), "{bits:o}");
            assert!(matches!(list(path), Err(TrustError::Writable { .. })), "{bits:o}");
        }
        mode(path, 0o700);
        chown(&a, Some(65534), None).unwrap();
        assert!(matches!(read(&a, 9), Err(TrustError::Owner { owner: 65534, .. })));
        chown(&a, Some(0), None).unwrap();
        chown(path, Some(65534), None).unwrap();
        assert!(matches!(read(&a, 9), Err(TrustError::Owner { .. })));
        // A link that somebody else's folder holds may point anywhere, whoever owns the target.
        let outer = tempfile::tempdir().unwrap();
        symlink(path, outer.path().join("link")).unwrap();
        assert!(matches!(read(&outer.path().join("link/a"), 9), Err(TrustError::Owner { .. })));
        // Anybody may put a link into a sticky folder, and it leads where they want.
        chown(path, Some(0), None).unwrap();
        mode(outer.path(), 0o1777);
        assert_eq!(read(&outer.path().join("link/a"), 9).unwrap(), b"x");
        lchown(outer.path().join("link"), Some(65534), None).unwrap();
        assert!(matches!(read(&outer.path().join("link/a"), 9), Err(TrustError::Owner { owner: 65534, .. })));
    }

    #[test]
    fn refuses_what_is_no_file() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("folder")).unwrap();
        symlink("loop", at("loop")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
        assert!(matches!(read(&at("folder"), 9), Err(TrustError::NotRegular(_))));
        assert!(matches!(read(&at("pipe"), 9), Err(TrustError::NotRegular(_))));
        assert!(matches!(read(&at("loop"), 9), Err(TrustError::Loop(_))));
        assert!(matches!(read(&at("a/b"), 9), Err(TrustError::NotFolder(_))));
        assert!(read(&at("none"), 9).unwrap_err().is_missing());
        assert!(matches!(read(&at("a"), 0), Err(TrustError::TooLarge { .. })));
        assert!(matches!(list(&at("a")), Err(TrustError::NotFolder(_))));
    }
}
