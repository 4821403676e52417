//! Puts documents on disk whole or not at all: temporary file, fsync, rename or link, fsync of the folder.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::error::CliError;
use crate::image::Digest;

/// Root's, and gone after a boot.
const LOCKS: &str = "/run";
const FILE_MODE: u32 = 0o644;
const PROGRAM_MODE: u32 = 0o755;
const FOLDER_MODE: u32 = 0o755;

/// Makes the folder, not its parents, where it is not there.
pub(super) fn ensure_folder(folder: &Path) -> Result<(), CliError> {
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)).map_err(at(folder)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(at(folder)(error)),
    }
}

/// Holds other writers of the folder off while a document in it is read, changed and replaced.
pub(super) fn lock(folder: &Path) -> Result<File, CliError> {
    let cannot = |cause| CliError::Read { what: "folder", path: folder.to_owned(), cause };
    let handle = File::open(folder).map_err(cannot)?;
    handle.lock().map_err(cannot)?;
    Ok(handle)
}

/// The same by a file that nobody else can open, where `folder` need not be there yet.
pub(super) fn lock_ahead(folder: &Path) -> Result<File, CliError> {
    let path = Path::new(LOCKS)
        .join(format!("binauthctl-{:.16}.lock", Digest::of(folder.as_os_str().as_bytes()).hex()));
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(false).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    let locked = open.open(&path).and_then(|file| file.lock().map(|()| file));
    locked.map_err(|cause| CliError::Read { what: "lock", path, cause })
}

/// Writes a document that is not there yet.
pub(super) fn create(path: &Path, bytes: &[u8], way_out: &'static str) -> Result<(), CliError> {
    let (temporary, _) = stage(path, FILE_MODE, |file| file.write_all(bytes)).map_err(at(path))?;
    let linked = fs::hard_link(&temporary, path);
    let _ = fs::remove_file(&temporary);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(CliError::Exists { path: path.to_owned(), way_out })
        }
        linked => linked.and_then(|()| sync_folder(path)).map_err(at(path)),
    }
}

/// Replaces a document, or writes it for the first time. The owner and mode of the old one stay.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    replace_with(path, |file| file.write_all(bytes))
}

/// The same with what `write` writes.
pub(super) fn replace_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), CliError> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (temporary, file) = stage(&path, FILE_MODE, write).map_err(at(&path))?;
    let kept = keep_owner(&path, &file);
    put(&temporary, &path, kept).map_err(at(&path))
}

/// Whose a file is, and who may do what with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    uid: u32,
    gid: u32,
    /// The permission bits.
    pub(super) mode: u32,
}

impl Held {
    /// Root's alone.
    pub(super) const SECRET: Self = Self { uid: 0, gid: 0, mode: 0o600 };

    /// As a file is.
    pub(super) fn of(about: &fs::Metadata) -> Self {
        Self { uid: about.uid(), gid: about.gid(), mode: about.mode() & 0o7777 }
    }

    fn give(self, file: &File) -> io::Result<()> {
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (self.uid, self.gid) {
            std::os::unix::fs::fchown(file, Some(self.uid), Some(self.gid))?;
        }
        file.set_permissions(Permissions::from_mode(self.mode))?;
        file.sync_all()
    }
}

/// The same, held so. Nobody else reads it at any moment.
pub(super) fn replace_held(path: &Path, bytes: &[u8], held: Held) -> Result<(), CliError> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let staged = stage(&path, Held::SECRET.mode, |file| file.write_all(bytes));
    let (temporary, file) = staged.map_err(at(&path))?;
    put(&temporary, &path, held.give(&file)).map_err(at(&path))
}

/// Puts a program in place, or replaces it: no moment without the one or the other, and none with half of it in its folder,
/// where containerd executes whatever lies there.
pub(super) fn program(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let name = path.file_name().unwrap_or_default();
    let above = path.parent().and_then(Path::parent).map(|above| above.join(name));
    let put_there = |staged: &Path| {
        let (temporary, file) = stage(staged, PROGRAM_MODE, |file| file.write_all(bytes))?;
        // Executing what somebody has open for writing fails.
        drop(file);
        put(&temporary, path, Ok(()))
    };
    let placed = match above.map(|above| put_there(&above)) {
        // Its folder is a file system of its own: there is no other way into it.
        Some(Err(error)) if error.kind() == io::ErrorKind::CrossesDevices => put_there(path),
        Some(placed) => placed,
        None => put_there(path),
    };
    placed.map_err(at(path))
}

fn put(temporary: &Path, path: &Path, before: io::Result<()>) -> io::Result<()> {
    let replaced = before.and_then(|()| fs::rename(temporary, path));
    if replaced.is_err() {
        let _ = fs::remove_file(temporary);
    }
    replaced.and_then(|()| sync_folder(path))
}

/// Removes a document.
pub(super) fn remove(path: &Path) -> Result<(), CliError> {
    fs::remove_file(path).and_then(|()| sync_folder(path)).map_err(at(path))
}

/// What is written, on disk beside `path`, under a hidden name that no reader takes for a document.
fn stage(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let open = || OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary);
    let mut file = match open() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Left by a process of the same id that did not come to its end.
            fs::remove_file(&temporary)?;
            open()?
        }
        opened => opened?,
    };
    let written = write(&mut file)
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all());
    match written {
        Ok(()) => Ok((temporary, file)),
        Err(error) => {
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

fn keep_owner(old: &Path, new: &File) -> io::Result<()> {
    let old = match fs::metadata(old) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        old => old?,
    };
    Held::of(&old).give(new)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn at(path: &Path) -> impl Fn(io::Error) -> CliError {
    move |cause| CliError::Write { path: path.to_owned(), cause }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_folder_of_programs_holds_whole_ones_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bin/program");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let mut looks = 0;
                while !is_over.load(Ordering::Relaxed) {
                    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
                        assert_eq!(entry.unwrap().file_name(), "program");
                        assert_eq!(fs::metadata(&path).unwrap().len(), 100_000);
                        looks += 1;
                    }
                }
                looks
            });
            for byte in 0..100 {
                program(&path, &[byte; 100_000]).unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
            assert!(watching.join().unwrap() > 0);
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left above it");
    }
}
