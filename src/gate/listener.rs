//! A listening unix socket whose mode is right from its first instant.
//!
//! The mode is set on the socket before it is bound, so the file is created with no more than it
//! (Linux: `unix_bind` takes the mode of the socket's inode, less the umask); group and the bits the
//! umask took away are added under a temporary name, and only then does the socket get its own name. The
//! umask of the process is never touched. Refuses a path on which another process answers and a path
//! that is no socket. Two that bind the same path at the same instant are not kept apart here: the
//! daemon's lock on its state directory does that.

use std::fs::Permissions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};
use nix::sys::stat::{Mode, fchmod};

/// Why a socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error("another process answers on `{0}`")]
    Live(PathBuf),
    /// There is something, and it is no socket; it is left alone.
    #[error("`{0}` is not a socket")]
    NotASocket(PathBuf),
    /// Anything else, such as a missing folder or a path over 107 bytes.
    #[error("cannot listen on `{path}`")]
    Io {
        /// The path asked for.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The file of a socket, to see later whether it is still the one by which others find it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

impl SocketFile {
    /// The file at `path` as it is now.
    ///
    /// # Errors
    /// Those of reading its metadata.
    pub fn at(path: PathBuf) -> io::Result<Self> {
        let metadata = std::fs::symlink_metadata(&path)?;
        Ok(Self { path, id: (metadata.dev(), metadata.ino()) })
    }

    /// Whether it has been removed, or another one has taken its place.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match std::fs::symlink_metadata(&self.path) {
            Ok(metadata) => (metadata.dev(), metadata.ino()) != self.id,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Where it is, or was.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A bound and listening socket, not blocking. Dropping it closes it and leaves the file, which the next
/// [`Listener::bind`] replaces: taking it away could take away a successor's.
#[derive(Debug)]
pub struct Listener(pub(super) UnixListener);

impl Listener {
    /// Listens on `path` with exactly `mode`, owned by this process and `group` if one is given.
    ///
    /// # Errors
    /// See [`BindError`]; the path is then as it was before.
    pub fn bind(path: &Path, mode: u32, group: Option<u32>) -> Result<Self, BindError> {
        let failed = |source: io::Error| BindError::Io { path: path.to_owned(), source };
        refuse_occupied(path)?;

        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?);
        name.push(format!(".{}", std::process::id()));
        let temporary = path.with_file_name(name);
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }

        let listener = listening(&temporary, mode).map_err(|errno| failed(errno.into()))?;
        let named = || {
            if group.is_some() {
                std::os::unix::fs::lchown(&temporary, None, group)?;
            }
            std::fs::set_permissions(&temporary, Permissions::from_mode(mode))?;
            std::fs::rename(&temporary, path)
        };
        named().map_err(|error| {
            std::fs::remove_file(&temporary).ok();
            failed(error)
        })?;
        Ok(Self(listener))
    }
}

impl From<Listener> for UnixListener {
    fn from(Listener(listener): Listener) -> Self {
        listener
    }
}

fn listening(path: &Path, mode: u32) -> nix::Result<UnixListener> {
    let address = UnixAddr::new(path)?;
    let socket = unbound()?;
    fchmod(&socket, Mode::from_bits_truncate(mode))?;
    bind(socket.as_raw_fd(), &address)?;
    listen(&socket, Backlog::MAXALLOWABLE)?;
    Ok(socket.into())
}

fn unbound() -> nix::Result<std::os::fd::OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Unix, SockType::Stream, flags, None)
}

/// Only nothing, and a socket that nobody listens on, may be replaced.
fn refuse_occupied(path: &Path) -> Result<(), BindError> {
    let failed = |source: io::Error| BindError::Io { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match probe(path) {
        // A full queue is somebody's.
        Ok(()) | Err(Errno::EAGAIN) => Err(BindError::Live(path.to_owned())),
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(()),
        Err(errno) => Err(failed(errno.into())),
    }
}

fn probe(path: &Path) -> nix::Result<()> {
    UnixAddr::new(path).and_then(|address| connect(unbound()?.as_raw_fd(), &address))
}

/// Whether the file at `path` is that of a socket on which somebody listens. Where it cannot be told, it is.
pub(super) fn answers(path: &Path) -> bool {
    !matches!(probe(path), Err(Errno::ECONNREFUSED | Errno::ENOENT))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_has_its_mode_when_it_appears_whatever_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o660, 0o666] {
            let path = folder.path().join(format!("{mode:o}.sock"));
            // Before the rename already: no more than the mode at creation.
            let created = listening(&path, mode).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777 & !mode, 0);
            drop(created);
            let _listener = Listener::bind(&path, mode, None).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, mode);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "no temporary name is left");
    }

    #[test]
    fn the_socket_may_belong_to_a_group() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let group = if nix::unistd::geteuid().is_root() { 4242 } else { nix::unistd::getegid().as_raw() };
        let _listener = Listener::bind(&path, 0o660, Some(group)).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!((metadata.gid(), metadata.mode() & 0o7777), (group, 0o660));
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate.sock");
        let first = Listener::bind(&path, 0o600, None).unwrap();
        assert!(matches!(Listener::bind(&path, 0o600, None), Err(BindError::Live(_))));
        UnixStream::connect(&path).unwrap();
        drop(first);
        assert!(UnixStream::connect(&path).is_err());
        let _second = Listener::bind(&path, 0o600, None).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_file_that_was_removed_or_replaced_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate.sock");
        assert!(SocketFile::at(path.clone()).is_err());
        let _listener = Listener::bind(&path, 0o600, None).unwrap();
        let file = SocketFile::at(path.clone()).unwrap();
        assert!(!file.is_gone());
        std::fs::rename(&path, folder.path().join("away")).unwrap();
        assert!(file.is_gone());
        let _other = Listener::bind(&path, 0o600, None).unwrap();
        assert!(file.is_gone());
        std::fs::rename(folder.path().join("away"), &path).unwrap();
        assert!(!file.is_gone());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "precious").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for path in [&file, &link, folder.path()] {
            assert!(matches!(Listener::bind(path, 0o600, None), Err(BindError::NotASocket(_))), "{path:?}");
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"precious");
        for path in [folder.path().join("no/gate.sock"), folder.path().join("x".repeat(200))] {
            assert!(matches!(Listener::bind(&path, 0o600, None), Err(BindError::Io { .. })), "{path:?}");
        }
    }
}
