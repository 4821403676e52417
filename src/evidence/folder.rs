//! A folder of occurrence documents, `*.json`, one a file.
//!
//! Nothing in it is trusted: whoever can write there can hide attestations and forge none. A file that
//! is no attestation is left out and named in the status. Only files that are new or changed are read again.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::source::{Document, LookedUp, Page, Pages, Remarks, Scope, Source, SourceError, Work};
use super::store::RowId;
use crate::apart::off_the_runtime;
use crate::attestation::Occurrence;
use crate::attestation::occurrence::{MAX_BYTES, OccurrenceError};
use crate::image::Digest;
use crate::text::shown;

/// The longest reason that is kept of a document that is refused, in characters: it may quote all of it.
const MAX_REASON: usize = 200;
/// The most bytes of documents that are kept of one folder. Those that are held already keep their place.
const MAX_HELD: u64 = 256 * 1024 * 1024;
/// How many refused documents the status names; the rest are counted.
const SHOWN_PROBLEMS: usize = 20;
/// The most documents of a page, and about how many bytes.
const PAGE: usize = 1_000;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A folder and what was found in it.
#[derive(Debug)]
pub struct Folder {
    name: String,
    path: PathBuf,
    files: Arc<Mutex<Files>>,
}

/// What was read, by file name.
#[derive(Debug)]
struct Files {
    by_name: HashMap<OsString, Seen>,
    max_held: u64,
}

#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    content: Result<RowId, String>,
}

/// Inode, length, and times of last write and change in nanoseconds.
type Stamp = (u64, u64, i64, i64, i64, i64);

impl Folder {
    /// Not read yet.
    #[must_use]
    pub fn new(name: &str, path: &Path) -> Self {
        let files = Files { by_name: HashMap::new(), max_held: MAX_HELD };
        Self { name: name.to_owned(), path: path.to_owned(), files: Arc::new(Mutex::new(files)) }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }

    fn remarks(&self) -> Remarks {
        self.files().remarks()
    }

    fn forget(&self) {
        self.files().by_name.clear();
    }

    /// Of everything alone: a folder knows no notes.
    fn list<'a>(&'a self, scope: &'a Scope, pages: &'a mut dyn Pages) -> Work<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let path = self.path.clone();
            let found = off_the_runtime(move || list(&path)).await.map_err(|error| {
                SourceError::Unreachable { url: self.path.display().to_string(), cause: error.to_string() }
            })?;
            self.files().by_name.retain(|name, _| found.contains_key(name));
            let mut rest = found.into_iter();
            loop {
                let (files, path) = (Arc::clone(&self.files), self.path.clone());
                let (page, left) = off_the_runtime(move || {
                    let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
                    (files.page(&path, &mut rest), rest)
                })
                .await;
                rest = left;
                let Some(page) = page else { return Ok(()) };
                let not_taken = |cause| SourceError::NotTaken { scope: scope.to_string(), cause };
                if let Err(cause) = pages.take(page).await {
                    // What was not taken is given again.
                    self.forget();
                    return Err(not_taken(cause));
                }
            }
        })
    }

    /// A folder is listed whole, and at once when it changes: there is nothing more to be found.
    fn look_up<'a>(&'a self, _: &'a Scope, _: Digest) -> Work<'a, Result<LookedUp, SourceError>> {
        Box::pin(std::future::ready(Ok(LookedUp::default())))
    }
}

impl Files {
    /// The next files, read where they are new or changed; `None` at the end.
    fn page(&mut self, folder: &Path, rest: &mut impl Iterator<Item = (OsString, Stamp)>) -> Option<Page> {
        let (mut page, mut bytes) = (Page::default(), 0);
        let kept = |seen: &Seen| if seen.content.is_ok() { seen.stamp.1 } else { 0 };
        let mut held: u64 = self.by_name.values().map(kept).sum();
        let mut any = false;
        while page.documents.len() + page.kept.len() < PAGE && bytes < PAGE_BYTES {
            let Some((name, stamp)) = rest.next() else { break };
            any = true;
            if let Some(seen) = self.by_name.get(&name).filter(|seen| seen.stamp == stamp) {
                page.kept.extend(seen.content.as_ref().ok());
                page.left_out += usize::from(seen.content.is_err());
                continue;
            }
            held -= self.by_name.get(&name).map_or(0, kept);
            let room = held + stamp.1 <= self.max_held;
            let read = if room { read(&folder.join(&name)) } else { Err(ReadError::NoRoom) };
            let reason = |error: &ReadError| shown(&error.to_string(), MAX_REASON);
            let (stamp, content) = match read {
                Ok(document) => {
                    let row = RowId::of(&document.text);
                    bytes += document.text.len();
                    page.documents.push(document);
                    (stamp, Ok(row))
                }
                // What cannot be read or kept now may be later, with the file unchanged: no stamp is kept.
                Err(error @ (ReadError::Io(_) | ReadError::NoRoom)) => {
                    (Stamp::default(), Err(reason(&error)))
                }
                Err(error) => (stamp, Err(reason(&error))),
            };
            held += if content.is_ok() { stamp.1 } else { 0 };
            page.left_out += usize::from(content.is_err());
            self.by_name.insert(name, Seen { stamp, content });
        }
        any.then_some(page)
    }

    fn remarks(&self) -> Remarks {
        let refused = self.by_name.iter().filter_map(|(name, seen)| {
            Some(format!("{}: {}", name.to_string_lossy(), seen.content.as_ref().err()?))
        });
        let mut refused: Vec<_> = refused.collect();
        refused.sort();
        let count = refused.len();
        refused.truncate(SHOWN_PROBLEMS);
        Remarks { refused: count, documents: refused }
    }
}

/// Documents in a folder: `*.json`, not hidden. A name whose target cannot be looked at (a link in a
/// circle) is a document that will be refused.
fn list(path: &Path) -> io::Result<HashMap<OsString, Stamp>> {
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
pub fn read(path: &Path) -> Result<Document, ReadError> {
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
    Ok(Document { occurrence: Occurrence::parse(&bytes)?, text: bytes.into() })
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

    /// What a listing gives: first digits of the digests that are new, how many are as they were.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Listed(String, usize);

    impl Pages for Listed {
        fn take<'a>(&'a mut self, page: Page) -> Work<'a, Result<(), String>> {
            let digits = page.documents.iter().filter_map(|one| one.occurrence.digest.hex().chars().next());
            let mut digits: Vec<_> = self.0.chars().chain(digits).collect();
            digits.sort_unstable();
            self.0 = digits.into_iter().collect();
            self.1 += page.kept.len();
            Box::pin(std::future::ready(Ok(())))
        }
    }

    fn listed(folder: &Folder) -> Result<Listed, SourceError> {
        let mut found = Listed::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(folder.list(&Scope::Everything, &mut found)).map(|()| found)
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

        let source = Folder::new("local", folder.path());
        assert_eq!(listed(&source).unwrap(), Listed("a".into(), 0));
        assert_eq!(listed(&source).unwrap(), Listed(String::new(), 1));
        let remarks = source.remarks();
        assert_eq!(remarks.refused, 8);
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
        for (found, start) in remarks.documents.iter().zip(rows) {
            assert!(found.starts_with(start), "{found}");
        }
    }

    #[test]
    fn a_folder_that_grows_too_large_loses_nothing_that_was_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("1.json"), occurrence('a')).unwrap();
        let source = Folder::new("local", folder.path());
        source.files().max_held = occurrence('a').len() as u64;
        assert_eq!(listed(&source).unwrap(), Listed("a".into(), 0));
        fs::write(at("2.json"), occurrence('b')).unwrap();
        assert_eq!(listed(&source).unwrap(), Listed(String::new(), 1));
        assert!(source.remarks().documents[0].starts_with("2.json: left out"));
        fs::remove_file(at("1.json")).unwrap();
        assert_eq!(listed(&source).unwrap(), Listed("b".into(), 0));
    }

    #[test]
    fn what_was_not_taken_is_given_again() {
        #[derive(Debug)]
        struct Full;
        impl Pages for Full {
            fn take<'a>(&'a mut self, _: Page) -> Work<'a, Result<(), String>> {
                Box::pin(std::future::ready(Err("no room".to_owned())))
            }
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("1.json"), occurrence('a')).unwrap();
        let source = Folder::new("local", folder.path());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let error = runtime.block_on(source.list(&Scope::Everything, &mut Full)).unwrap_err();
        assert!(matches!(error, SourceError::NotTaken { .. }));
        assert_eq!(listed(&source).unwrap(), Listed("a".into(), 0));
    }

    #[test]
    fn follows_changes() {
        let folder = tempfile::tempdir().unwrap();
        let source = Folder::new("local", folder.path());
        assert_eq!(listed(&source).unwrap(), Listed::default());
        let rows = [("1.json", 'a', ("a", 0)), ("2.json", 'b', ("b", 1)), ("1.json", 'c', ("c", 1))];
        for (name, content, (new, kept)) in rows {
            fs::write(folder.path().join(name), occurrence(content)).unwrap();
            assert_eq!(listed(&source).unwrap(), Listed(new.into(), kept));
        }
        fs::remove_file(folder.path().join("2.json")).unwrap();
        assert_eq!(listed(&source).unwrap(), Listed(String::new(), 1));
        source.forget();
        assert_eq!(listed(&source).unwrap(), Listed("c".into(), 0));
        // A folder that cannot be read says nothing about what is not in it.
        fs::rename(folder.path(), folder.path().with_extension("away")).unwrap();
        assert!(matches!(listed(&source), Err(SourceError::Unreachable { .. })));
        fs::rename(folder.path().with_extension("away"), folder.path()).unwrap();
        assert_eq!(listed(&source).unwrap(), Listed(String::new(), 1));
    }
}
