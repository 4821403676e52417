//! Sockets that a supervisor has bound and hands over (`sd_listen_fds(3)`), so that they outlive the daemon: what is
//! asked while it restarts waits in their queues.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{getsockopt, sockopt};

use super::listener::{Listener, answers};

/// Names of the sockets, in the order of their descriptors, separated by colons.
const NAMES: &str = "LISTEN_FDNAMES";

/// What was handed over, by the names of `FileDescriptorName=`.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: BTreeMap<String, UnixListener>,
}

/// Why what was handed over is not served.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// A descriptor that is no listening unix socket.
    #[error("what the supervisor hands over as `{name}` is no listening unix stream socket: {cause}")]
    NotListening {
        /// Its name.
        name: String,
        /// What it is.
        cause: io::Error,
    },
    /// Two of one name.
    #[error("the supervisor hands over two sockets as `{0}`")]
    Twice(String),
    /// One that nobody here serves: whoever asks there would wait for ever.
    #[error(
        "the supervisor hands over a socket as `{0}`, which is not known: expected FileDescriptorName= gate or admin"
    )]
    Unknown(String),
    /// It is bound elsewhere than the configuration says.
    #[error(
        "the supervisor's socket `{name}` is bound to `{found}`, and the configuration says `{expected}`: make \
         `runtime_dir` and ListenStream= the same"
    )]
    Elsewhere {
        /// Its name.
        name: &'static str,
        /// Where it is.
        found: String,
        /// Where it should be.
        expected: PathBuf,
    },
    /// Its file lets in others than it should, or does not let in those it should.
    #[error(
        "`{path}` belongs to {uid}:{gid} with mode {mode:04o}, expected {expected}: see SocketMode= and SocketGroup="
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Its mode.
        mode: u32,
        /// What they should be.
        expected: String,
    },
}

impl Inherited {
    /// Takes what the environment says was handed to this very process; nothing, where it says so.
    ///
    /// # Errors
    /// [`InheritError::NotListening`], [`InheritError::Twice`] and [`InheritError::Unknown`].
    pub fn take(known: &[&str]) -> Result<Self, InheritError> {
        let names = std::env::var(NAMES).unwrap_or_default();
        let mut names = names.split(':');
        let mut handed = ListenFd::from_env();
        let mut sockets = BTreeMap::new();
        for index in 0..handed.len() {
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unnamed").to_owned();
            let failed = |cause| InheritError::NotListening { name: name.clone(), cause };
            let socket = handed
                .take_unix_listener(index)
                .and_then(|socket| socket.ok_or_else(|| io::ErrorKind::NotFound.into()))
                .map_err(failed)?;
            let listens = getsockopt(&socket, sockopt::AcceptConn).map_err(|errno| failed(errno.into()))?;
            if !listens {
                return Err(failed(io::Error::other("it does not listen")));
            }
            socket.set_nonblocking(true).map_err(failed)?;
            // A supervisor hands it over so that it survives an exec.
            fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|errno| failed(errno.into()))?;
            if !known.contains(&name.as_str()) {
                return Err(InheritError::Unknown(name));
            }
            if sockets.insert(name.clone(), socket).is_some() {
                return Err(InheritError::Twice(name));
            }
        }
        Ok(Self { sockets })
    }

    /// The socket `name`, if it was handed over: bound to `path`, whose file is this user's and of `group`, with `mode`.
    /// One whose file is gone, or is that of another socket by now, is nobody's way to us any more, and so is none.
    ///
    /// # Errors
    /// [`InheritError::Elsewhere`] and [`InheritError::Mode`].
    pub fn listener(
        &mut self,
        name: &'static str,
        path: &Path,
        mode: u32,
        group: Option<u32>,
    ) -> Result<Option<Listener>, InheritError> {
        let Some(socket) = self.sockets.remove(name) else { return Ok(None) };
        let bound = socket.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
        // `/run` may be the link `/var/run`.
        if !bound.as_deref().is_some_and(|bound| is_same(bound, path)) {
            let found = bound.map_or_else(|| "nothing".to_owned(), |bound| bound.display().to_string());
            return Err(InheritError::Elsewhere { name, found, expected: path.to_owned() });
        }
        let Ok(file) = std::fs::symlink_metadata(path) else { return Ok(None) };
        if !file.file_type().is_socket() {
            return Ok(None);
        }
        // After a loss the daemon binds one of its own there, and the supervisor goes on handing over the lost one: whoever
        // asked would find that of a daemon that has ended. The one handed over listens, whether it is served or not.
        if !answers(path) {
            return Ok(None);
        }
        let uid = nix::unistd::geteuid().as_raw();
        let gid = group.unwrap_or_else(|| nix::unistd::getegid().as_raw());
        let found = (file.uid(), file.gid(), file.mode() & 0o7777);
        // The group of a socket that none may use does not matter.
        let fits = found.0 == uid && found.2 == mode && (found.1 == gid || mode & 0o070 == 0);
        if !fits {
            return Err(InheritError::Mode {
                path: path.to_owned(),
                uid: found.0,
                gid: found.1,
                mode: found.2,
                expected: format!("{uid}:{gid} with mode {mode:04o}"),
            });
        }
        Ok(Some(Listener(socket)))
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let folder = |path: &Path| std::fs::canonicalize(path.parent()?).ok();
    one.file_name() == other.file_name()
        && (one == other || folder(one).is_some_and(|one| Some(one) == folder(other)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn inherited(path: &Path, mode: u32) -> Inherited {
        let socket = UnixListener::bind(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        Inherited { sockets: BTreeMap::from([("gate".to_owned(), socket)]) }
    }

    #[test]
    fn only_the_socket_that_gates_ask_on_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate.sock");
        let mut none = Inherited::default();
        assert!(none.listener("gate", &path, 0o600, None).unwrap().is_none());
        assert!(inherited(&path, 0o600).listener("gate", &path, 0o600, None).unwrap().is_some());
        fs::remove_file(&path).unwrap();
        // Its folder may be reached by another way.
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        assert!(
            inherited(&path, 0o600).listener("gate", &link.join("gate.sock"), 0o600, None).unwrap().is_some()
        );
        fs::remove_file(&path).unwrap();

        let other = folder.path().join("other.sock");
        let error = inherited(&path, 0o600).listener("gate", &other, 0o600, None).unwrap_err();
        assert!(matches!(error, InheritError::Elsewhere { .. }), "{error}");
        fs::remove_file(&path).unwrap();
        for (mode, wanted, group) in [(0o666, 0o600, None), (0o600, 0o660, None), (0o660, 0o660, Some(4242))]
        {
            let error = inherited(&path, mode).listener("gate", &path, wanted, group).unwrap_err();
            assert!(matches!(error, InheritError::Mode { .. }), "{error}");
            fs::remove_file(&path).unwrap();
        }
        // Nobody finds it any more: the daemon binds one of its own.
        let mut gone = inherited(&path, 0o600);
        fs::remove_file(&path).unwrap();
        assert!(gone.listener("gate", &path, 0o600, None).unwrap().is_none());
        // That one outlives its daemon as a file, and is not the one that the next daemon is handed.
        let mut lost = inherited(&path, 0o600);
        fs::remove_file(&path).unwrap();
        drop(Listener::bind(&path, 0o600, None).unwrap());
        assert!(lost.listener("gate", &path, 0o600, None).unwrap().is_none());
        let _again = Listener::bind(&path, 0o600, None).unwrap();
    }
}
