//! Files that say whom to believe and who we are: root's or our own, and written by nobody else.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// The longest file of certificates, keys or tokens, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// Bytes, and where they are from. They may be a secret, so they are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Held {
    /// The file, or the field of one.
    pub origin: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Why a certificate, key or token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HeldError {
    /// A file that cannot be read.
    #[error("`{path}`: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file that others could have written, or may read.
    #[error("`{path}` {cause}")]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the way out.
        cause: String,
    },
    /// A certificate, key or token that is none.
    #[error("`{origin}` holds no {what}")]
    Credentials {
        /// The file, or the field of one.
        origin: String,
        /// What it should hold.
        what: &'static str,
    },
    /// Certificates or keys that cannot be used.
    #[error("`{origin}`: {cause}")]
    Tls {
        /// The file, or the field of one.
        origin: String,
        /// Why.
        cause: rustls::Error,
    },
}

impl Held {
    /// Reads a file that belongs to root, or to the user that this program runs as, and that nobody else may
    /// write. Symbolic links are followed, since
    /// credentials are rotated behind them: what is checked is the file that they end at.
    ///
    /// # Errors
    /// [`HeldError::Io`] and [`HeldError::Untrusted`], also over 1 MiB.
    pub fn read(path: &Path) -> Result<Self, HeldError> {
        Self::unless(path, 0o022)
    }

    /// The same for a secret: not everybody may read it either.
    ///
    /// # Errors
    /// As [`Held::read`].
    pub fn read_secret(path: &Path) -> Result<Self, HeldError> {
        Self::unless(path, 0o026)
    }

    fn unless(path: &Path, refused: u32) -> Result<Self, HeldError> {
        let io = |cause: io::Error| HeldError::Io { path: path.to_owned(), cause };
        let untrusted = |cause: String| HeldError::Untrusted { path: path.to_owned(), cause };
        // A pipe would hold us up.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(io)?;
        let about = file.metadata().map_err(io)?;
        if !about.is_file() {
            return Err(untrusted("is not a regular file".into()));
        }
        // The daemon is root: of it nobody else's will do. In a pipeline it is the caller's own.
        if about.uid() != 0 && about.uid() != nix::unistd::geteuid().as_raw() {
            return Err(untrusted(format!(
                "belongs to uid {}, not to root: run `chown root {}`",
                about.uid(),
                path.display()
            )));
        }
        let (mode, found) = (about.mode() & 0o7777, about.mode() & refused);
        if found & 0o022 != 0 {
            return Err(untrusted(format!(
                "is writable by others (mode {mode:04o}): run `chmod go-w {}`",
                path.display()
            )));
        }
        if found != 0 {
            return Err(untrusted(format!(
                "is a secret that everybody may read (mode {mode:04o}): run `chmod o-r {}`",
                path.display()
            )));
        }
        let bytes = contents(file).map_err(io)?;
        let bytes = bytes.ok_or_else(|| untrusted(format!("has more than {MAX_BYTES} bytes")))?;
        Ok(Self { origin: path.display().to_string(), bytes })
    }
}

fn contents(file: File) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= MAX_BYTES).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    #[test]
    fn only_files_that_root_alone_can_write() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, mode: u32, owner: u32| {
            fs::write(at(name), "x").unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
            chown(at(name), Some(owner), None).unwrap();
        };
        write("good", 0o600, 0);
        write("readable", 0o644, 0);
        write("group", 0o620, 0);
        write("world", 0o602, 0);
        write("foreign", 0o600, 65534);
        symlink("good", at("link")).unwrap();
        symlink("foreign", at("to-foreign")).unwrap();
        fs::write(at("large"), vec![b'x'; MAX_BYTES + 1]).unwrap();
        fs::set_permissions(at("large"), fs::Permissions::from_mode(0o600)).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        let rows = [
            ("good", "x", "x"),
            ("readable", "x", "chmod o-r"),
            ("link", "x", "x"),
            ("group", "chmod go-w", "chmod go-w"),
            ("world", "chmod go-w", "chmod go-w"),
            ("foreign", "uid 65534", "uid 65534"),
            ("to-foreign", "uid 65534", "uid 65534"),
            ("large", "1048576 bytes", "1048576 bytes"),
            ("pipe", "not a regular file", "not a regular file"),
            (".", "not a regular file", "not a regular file"),
            ("none", "No such file", "No such file"),
        ];
        let said = |held: Result<Held, HeldError>| {
            held.map_or_else(|error| error.to_string(), |held| String::from_utf8(held.bytes).unwrap())
        };
        for (name, public, secret) in rows {
            for (found, expected) in [(Held::read(&at(name)), public), (Held::read_secret(&at(name)), secret)]
            {
                let found = said(found);
                assert!(found.contains(expected), "{name}: {found:?} lacks {expected:?}");
            }
        }
    }

    #[test]
    fn what_is_held_is_not_printed() {
        let held = Held { origin: "token".into(), bytes: b"secret".to_vec() };
        assert_eq!(format!("{held:?}"), "Held { origin: \"token\", .. }");
    }
}
