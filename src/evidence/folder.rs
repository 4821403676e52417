//! A folder of occurrence documents, `*.json`, one a file.
//!
//! Nothing in it is trusted: whoever can write there can hide attestations and forge none. A file that
//! is no attestation is left out and named in the status. A folder that cannot be read keeps what was
//! last seen in it; its age tells.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use serde::Serialize;

use crate::attestation::occurrence::{MAX_BYTES, Occurrence, OccurrenceError};
use crate::text::shown;

/// The longest reason that is kept of a document that is refused, in characters: it may quote all of it.
const MAX_REASON: usize = 200;

/// The most bytes of documents that are kept of one folder. Those that are held already keep their place.
const MAX_HELD: u64 = 256 * 1024 * 1024;
/// How many refused documents the status names; the rest are counted.
const SHOWN_PROBLEMS: usize = 20;

/// A folder and what was found in it.
#[derive(Debug)]
pub struct Folder {
    name: String,
    path: PathBuf,
    files: HashMap<OsString, Document>,
    max_held: u64,
    problem: Option<String>,
}

#[derive(Debug)]
struct Document {
    stamp: Stamp,
    content: Result<Arc<Occurrence>, String>,
}

/// Inode, length, and times of last write and change in nanoseconds.
type Stamp = (u64, u64, i64, i64, i64, i64);

/// What became of a source.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Attestations that can be asked for.
    pub attestations: usize,
    /// Documents that are none.
    pub refused: usize,
    /// Why the source as a whole could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The first of the refused documents, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused_documents: Vec<String>,
}

impl Folder {
    /// Not read yet.
    #[must_use]
    pub fn new(name: &str, path: &Path) -> Self {
        Self {
            name: name.to_owned(),
            path: path.to_owned(),
            files: HashMap::new(),
            max_held: MAX_HELD,
            problem: None,
        }
    }

    /// Whether the last scan read the whole folder.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.problem.is_none()
    }

    /// Looks at every file and reads those that are new or changed. Says whether anything changed.
    pub fn scan(&mut self) -> bool {
        let found = match list(&self.path) {
            Ok(found) => found,
            Err(error) => {
                self.problem = Some(format!("`{}`: {error}", self.path.display()));
                return false;
            }
        };
        self.problem = None;
        let before = self.files.len();
        self.files.retain(|name, _| found.contains_key(name));
        let mut changed = self.files.len() != before;
        let kept = |file: &Document| if file.content.is_ok() { file.stamp.1 } else { 0 };
        let mut held: u64 = self.files.values().map(kept).sum();
        for (name, stamp) in found {
            if self.files.get(&name).is_some_and(|file| file.stamp == stamp) {
                continue;
            }
            held -= self.files.get(&name).map_or(0, kept);
            let room = held + stamp.1 <= self.max_held;
            let read = if room { read(&self.path.join(&name)) } else { Err(ReadError::NoRoom) };
            let (stamp, content) = match read {
                Ok(occurrence) => (stamp, Ok(Arc::new(occurrence))),
                // What cannot be read or kept now may be later, with the file unchanged: no stamp is kept.
                Err(error @ (ReadError::Io(_) | ReadError::NoRoom)) => {
                    (Stamp::default(), Err(shown(&error.to_string(), MAX_REASON)))
                }
                Err(error) => (stamp, Err(shown(&error.to_string(), MAX_REASON))),
            };
            held += if content.is_ok() { stamp.1 } else { 0 };
            let before = self.files.get(&name).map(|file| &file.content);
            changed |= before.is_none_or(|before| content.is_ok() || *before != content);
            self.files.insert(name, Document { stamp, content });
        }
        changed
    }

    /// The attestations in it.
    pub fn occurrences(&self) -> impl Iterator<Item = &Arc<Occurrence>> {
        self.files.values().filter_map(|file| file.content.as_ref().ok())
    }

    /// What became of it.
    #[must_use]
    pub fn status(&self) -> SourceStatus {
        let mut refused: Vec<_> = self
            .files
            .iter()
            .filter_map(|(name, file)| {
                Some(format!("{}: {}", name.to_string_lossy(), file.content.as_ref().err()?))
            })
            .collect();
        refused.sort();
        let count = refused.len();
        refused.truncate(SHOWN_PROBLEMS);
        SourceStatus {
            name: self.name.clone(),
            path: self.path.clone(),
            attestations: self.files.len() - count,
            refused: count,
            problem: self.problem.clone(),
            refused_documents: refused,
        }
    }
}

/// Documents in a folder: `*.json`, not hidden. A name whose target cannot be looked at (a link in a
/// circle) is a document that will be refused.
fn list(path: &Path) -> std::io::Result<HashMap<OsString, Stamp>> {
    let mut found = HashMap::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        if shown.ends_with(".json") && !shown.starts_with('.') {
            let stamp = fs::metadata(entry.path()).map(|meta| stamp(&meta)).unwrap_or_default();
            found.insert(name, stamp);
        }
    }
    Ok(found)
}

fn stamp(meta: &Metadata) -> Stamp {
    (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec())
}

/// Why a file is not an attestation.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A folder, device, socket or pipe.
    #[error("not a regular file")]
    NotRegular,
    /// The folder holds more than is kept of one.
    #[error("left out: the folder holds more than {} MiB of attestations", MAX_HELD >> 20)]
    NoRoom,
    /// What is in it is none.
    #[error(transparent)]
    Occurrence(#[from] OccurrenceError),
}

/// Reads one document from disk.
///
/// # Errors
/// See [`ReadError`]. Anything but a regular file is refused before it is opened: opening some devices does
/// something, and whoever may write here may link to any.
pub fn read(path: &Path) -> Result<Occurrence, ReadError> {
    let handle =
        nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map_err(io::Error::from)?;
    let handle = File::from(handle);
    let meta = handle.metadata()?;
    if !meta.is_file() {
        return Err(ReadError::NotRegular);
    }
    if meta.len() > MAX_BYTES as u64 {
        return Err(OccurrenceError::TooLarge(meta.len()).into());
    }
    let file = File::open(format!("/proc/self/fd/{}", handle.as_raw_fd()))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Occurrence::parse(&bytes)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn occurrence(digit: char) -> String {
        let digest = digit.to_string().repeat(64);
        format!(
            r#"{{"resourceUri":"https://r/x@sha256:{digest}","noteName":"projects/p/notes/n",
                "attestation":{{"serializedPayload":"aGk=","signatures":[]}}}}"#
        )
    }

    #[test]
    fn what_is_no_attestation_is_left_out_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("good.json"), occurrence('a')).unwrap();
        fs::write(at("empty.json"), "").unwrap();
        fs::write(at("cut.json"), &occurrence('a')[..40]).unwrap();
        fs::write(at("binary.json"), b"\xff\xfe").unwrap();
        fs::write(at("kind.json"), r#"{"kind":"BUILD","build":{}}"#).unwrap();
        fs::write(at("ignored.txt"), "x").unwrap();
        fs::write(at(".hidden.json"), "x").unwrap();
        fs::create_dir(at("folder.json")).unwrap();
        symlink("loop.json", at("loop.json")).unwrap();
        nix::unistd::mkfifo(&at("pipe.json"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        fs::File::create(at("huge.json")).unwrap().set_len(50 * 1024 * 1024).unwrap();

        let mut source = Folder::new("local", folder.path());
        assert!(source.scan());
        assert!(!source.scan());
        let status = source.status();
        assert_eq!((status.attestations, status.refused), (1, 8));
        let rows = [
            "binary.json: not an occurrence",
            "cut.json: not an occurrence",
            "empty.json: the document is empty",
            "folder.json: not a regular file",
            "huge.json: the document has 52428800 bytes",
            "kind.json: not an attestation: the occurrence is of kind `BUILD`",
            "loop.json: ",
            "pipe.json: not a regular file",
        ];
        for (found, start) in status.refused_documents.iter().zip(rows) {
            assert!(found.starts_with(start), "{found:?} does not start with {start:?}");
        }
    }

    #[test]
    fn what_the_system_refused_once_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs::write(&path, occurrence('a')).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        let mut source = Folder::new("local", folder.path());
        // A thread without capabilities is refused where this one is not: the file stays as it is.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                caps::clear(None, caps::CapSet::Effective).unwrap();
                assert!(source.scan());
                assert_eq!((source.occurrences().count(), source.status().refused), (0, 1));
                assert!(!source.scan(), "the same refusal is no change");
            });
        });
        assert!(source.scan());
        assert_eq!(source.occurrences().count(), 1);
    }

    #[test]
    fn what_finds_no_room_is_read_once_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("1.json"), occurrence('a')).unwrap();
        let mut source = Folder::new("local", folder.path());
        source.max_held = occurrence('a').len() as u64;
        source.scan();
        fs::write(at("2.json"), occurrence('b')).unwrap();
        source.scan();
        let status = source.status();
        assert_eq!((status.attestations, status.refused), (1, 1));
        assert!(status.refused_documents[0].starts_with("2.json: left out"), "{status:?}");
        assert!(!source.scan(), "nothing has changed");
        fs::remove_file(at("1.json")).unwrap();
        assert!(source.scan());
        assert_eq!((source.status().attestations, source.status().refused), (1, 0));
    }

    #[test]
    fn follows_changes() {
        let folder = tempfile::tempdir().unwrap();
        let mut source = Folder::new("local", folder.path());
        source.scan();
        let digests = |source: &Folder| {
            let mut found: Vec<_> =
                source.occurrences().map(|o| o.digest.hex().chars().next().unwrap()).collect();
            found.sort_unstable();
            found.into_iter().collect::<String>()
        };
        for (name, content, expected) in [("1.json", 'a', "a"), ("2.json", 'b', "ab"), ("1.json", 'c', "bc")]
        {
            fs::write(folder.path().join(name), occurrence(content)).unwrap();
            assert!(source.scan());
            assert_eq!(digests(&source), expected);
        }
        fs::remove_file(folder.path().join("2.json")).unwrap();
        assert!(source.scan());
        assert_eq!(digests(&source), "c");
        // A folder that cannot be read keeps what was seen.
        fs::rename(folder.path(), folder.path().with_extension("away")).unwrap();
        assert!(!source.scan());
        assert!(!source.is_readable() && source.status().problem.is_some());
        assert_eq!(digests(&source), "c");
        fs::rename(folder.path().with_extension("away"), folder.path()).unwrap();
        source.scan();
        assert!(source.is_readable());
    }
}
