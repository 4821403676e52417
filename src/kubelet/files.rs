//! Files that say whom to believe and who we are: root's, and written by nobody else.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;

use super::error::KubeletError;

/// The longest file of certificates, keys or tokens, and the longest kubeconfig, in bytes.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// Reads a file that belongs to root and that nobody else may write. Symbolic links are followed, since
/// kubelet rotates its certificate behind one: what is checked is the file that they end at.
///
/// # Errors
/// [`KubeletError::Io`] and [`KubeletError::Untrusted`], also over [`MAX_BYTES`].
pub(super) fn read(path: &Path) -> Result<Vec<u8>, KubeletError> {
    let io = |cause: io::Error| KubeletError::Io { path: path.to_owned(), cause };
    let untrusted = |cause: String| KubeletError::Untrusted { path: path.to_owned(), cause };
    // A pipe would hold us up.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(io)?;
    let about = file.metadata().map_err(io)?;
    if !about.is_file() {
        return Err(untrusted("is not a regular file".into()));
    }
    if about.uid() != 0 {
        return Err(untrusted(format!(
            "belongs to uid {}, not to root: run `chown root {}`",
            about.uid(),
            path.display()
        )));
    }
    if about.mode() & 0o022 != 0 {
        return Err(untrusted(format!(
            "is writable by others (mode {:04o}): run `chmod go-w {}`",
            about.mode() & 0o7777,
            path.display()
        )));
    }
    contents(file).map_err(io)?.ok_or_else(|| untrusted(format!("has more than {MAX_BYTES} bytes")))
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
        write("group", 0o620, 0);
        write("world", 0o602, 0);
        write("foreign", 0o600, 65534);
        symlink("good", at("link")).unwrap();
        symlink("foreign", at("to-foreign")).unwrap();
        fs::write(at("large"), vec![b'x'; MAX_BYTES + 1]).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        let rows = [
            ("good", "x"),
            ("link", "x"),
            ("group", "chmod go-w"),
            ("world", "chmod go-w"),
            ("foreign", "uid 65534"),
            ("to-foreign", "uid 65534"),
            ("large", "1048576 bytes"),
            ("pipe", "not a regular file"),
            (".", "not a regular file"),
            ("none", "No such file"),
        ];
        for (name, expected) in rows {
            let found = read(&at(name))
                .map_or_else(|error| error.to_string(), |bytes| String::from_utf8(bytes).unwrap());
            assert!(found.contains(expected), "{name}: {found:?} lacks {expected:?}");
        }
    }
}
