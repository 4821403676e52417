//! Questions nobody answered, left by gates in observe mode for the daemon to audit.
//!
//! One JSON line each, appended with one write. A full disk, a full file or a missing folder loses the
//! record and says so, never the pull or the container. The daemon takes the file aside, audits, and then lets it go, so
//! a crash in between repeats records and loses none.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use crate::text::cut;

/// The name of the file, beside the gate socket.
pub const FILE: &str = "unanswered.jsonl";
/// A file over so many bytes takes no more records.
pub const MAX_FILE: u64 = 8 * 1024 * 1024;
/// A line is shorter than so many bytes.
pub const MAX_LINE: usize = 4096;

/// One question without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When, in seconds since 1970.
    pub time: u64,
    /// Which gate: `pull` or `create`.
    pub gate: String,
    /// The image, cut to what fits into the line. At the gate `create` the pod's own text, as far as known.
    pub name: String,
    /// Its digest as given, cut likewise; empty at the gate `create`.
    pub digest: String,
    /// Why there was no answer, cut likewise.
    pub cause: String,
    /// The container, at the gate `create`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<RecordedContainer>,
}

/// The container of a [`Record`]; its texts are cut like those, and empty where not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecordedContainer {
    /// Its id.
    pub id: String,
    /// containerd's namespace.
    pub namespace: String,
    /// Its name in the pod.
    pub name: String,
    /// The pod's namespace.
    pub pod_namespace: String,
    /// The pod's name.
    pub pod_name: String,
}

impl RecordedContainer {
    fn cut(&self, max: usize) -> Self {
        Self {
            id: cut(&self.id, max).to_owned(),
            namespace: cut(&self.namespace, max).to_owned(),
            name: cut(&self.name, max).to_owned(),
            pod_namespace: cut(&self.pod_namespace, max).to_owned(),
            pod_name: cut(&self.pod_name, max).to_owned(),
        }
    }
}

/// Why a record was not written.
#[derive(Debug)]
pub enum AppendError {
    /// Another error; also that the folder does not exist.
    Io(io::Error),
    /// Not a regular file.
    Foreign,
    /// Over [`MAX_FILE`].
    Full,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Foreign => f.write_str("not a regular file"),
            Self::Full => write!(f, "over {MAX_FILE} bytes that nobody has collected"),
        }
    }
}

impl std::error::Error for AppendError {}

/// Where the records of the gate at `socket` go.
#[must_use]
pub fn beside(socket: &Path) -> PathBuf {
    socket.with_file_name(FILE)
}

/// Appends `record` to the file at `path`, which is created with mode 0600.
///
/// # Errors
/// See [`AppendError`]; then at most a part of a line was written, which [`take`] passes over.
pub fn append(path: &Path, record: &Record) -> Result<(), AppendError> {
    let line = line(record)?;
    let written = append_once(path, &line)?;
    // Taken aside between open and write: the daemon may have read it before the line was there.
    let taken_aside = std::fs::symlink_metadata(path).map_or(true, |now| now.ino() != written.ino());
    if taken_aside {
        append_once(path, &line)?;
    }
    Ok(())
}

fn append_once(path: &Path, line: &[u8]) -> Result<Metadata, AppendError> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(AppendError::Io)?;
    let metadata = file.metadata().map_err(AppendError::Io)?;
    if !metadata.is_file() {
        return Err(AppendError::Foreign);
    }
    if metadata.len() > MAX_FILE {
        return Err(AppendError::Full);
    }
    // The line begins with a newline; it is left out unless the line before was cut off.
    let line = if is_torn(&file, metadata.len()) { line } else { line.get(1..).unwrap_or_default() };
    match file.write(line) {
        Ok(written) if written == line.len() => Ok(metadata),
        Ok(_) => Err(AppendError::Io(io::ErrorKind::WriteZero.into())),
        Err(error) => Err(AppendError::Io(error)),
    }
}

fn is_torn(file: &File, length: u64) -> bool {
    let mut last = [b'\n'];
    length > 0 && file.read_exact_at(&mut last, length - 1).is_ok() && last != [b'\n']
}

/// The record between two newlines; its texts are cut until all of it is shorter than [`MAX_LINE`].
fn line(record: &Record) -> Result<Vec<u8>, AppendError> {
    let mut max = 1024;
    loop {
        let cut = Record {
            time: record.time,
            gate: cut(&record.gate, 32).to_owned(),
            name: cut(&record.name, max).to_owned(),
            digest: cut(&record.digest, max).to_owned(),
            cause: cut(&record.cause, max).to_owned(),
            container: record.container.as_ref().map(|container| container.cut(max)),
        };
        let mut line = vec![b'\n'];
        serde_json::to_writer(&mut line, &cut).map_err(|error| AppendError::Io(error.into()))?;
        line.push(b'\n');
        if line.len() < MAX_LINE {
            return Ok(line);
        }
        max /= 2;
    }
}

/// What was taken. It stays on disk until [`Taken::done`], and comes again otherwise.
#[derive(Debug)]
#[must_use]
pub struct Taken {
    /// In the order they were written.
    pub records: Vec<Record>,
    /// How many lines could not be read.
    pub unreadable: usize,
    aside: PathBuf,
}

impl Taken {
    /// The records are audited: the file may go.
    ///
    /// # Errors
    /// Those of removing a file; the records will come again.
    pub fn done(self) -> io::Result<()> {
        std::fs::remove_file(self.aside)
    }
}

/// Takes the records at `path` aside and reads them; those that an earlier call took and did not finish
/// come first, alone. `None` when there are none. Gates go on appending to a new file meanwhile.
///
/// # Errors
/// Those of moving and reading a file; `InvalidData` for anything but a regular file.
pub fn take(path: &Path) -> io::Result<Option<Taken>> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".taken");
    let aside = PathBuf::from(aside);
    if !is_there(&aside)? {
        if !is_there(path)? {
            return Ok(None);
        }
        std::fs::rename(path, &aside)?;
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(&aside)?;
    let mut lines = BufReader::new(file.take(MAX_FILE * 2));
    let mut taken = Taken { records: Vec::new(), unreadable: 0, aside };
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        match serde_json::from_slice(&line) {
            Ok(record) => taken.records.push(record),
            Err(_) if line.trim_ascii().is_empty() => {}
            Err(_) => taken.unreadable += 1,
        }
        line.clear();
    }
    Ok(Some(taken))
}

fn is_there(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("`{}` is not a regular file", path.display()),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record(name: &str) -> Record {
        Record {
            time: 7,
            gate: "pull".into(),
            name: name.into(),
            digest: "sha256:aa".into(),
            cause: "it was silent".into(),
            container: None,
        }
    }

    #[test]
    fn records_come_back_and_then_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert!(take(&path).unwrap().is_none());
        append(&path, &record("a")).unwrap();
        append(&path, &record("b")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(
            fs::read_to_string(&path).unwrap().lines().next().unwrap(),
            r#"{"time":7,"gate":"pull","name":"a","digest":"sha256:aa","cause":"it was silent"}"#
        );

        let taken = take(&path).unwrap().unwrap();
        assert_eq!((taken.records.clone(), taken.unreadable), (vec![record("a"), record("b")], 0));
        append(&path, &record("c")).unwrap();
        let again = take(&path).unwrap().unwrap();
        assert_eq!(again.records, taken.records, "what is not done comes again");
        again.done().unwrap();
        let next = take(&path).unwrap().unwrap();
        assert_eq!(next.records, [record("c")]);
        next.done().unwrap();
        assert!(take(&path).unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn unreadable_lines_are_counted_and_spoil_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, b"\n{\"time\":1}\n\xff\xfe\n{\"time\":9,\"gate\":\"pu").unwrap();
        append(&path, &record("after a torn line")).unwrap();
        let taken = take(&path).unwrap().unwrap();
        assert_eq!((taken.records, taken.unreadable), (vec![record("after a torn line")], 3));
    }

    #[test]
    fn a_line_stays_short_whatever_it_holds() {
        for filler in ["a", "\u{0}", "\u{1f980}", "\"\\"] {
            let text = filler.repeat(100_000);
            let long = Record {
                time: u64::MAX,
                gate: text.clone(),
                name: text.clone(),
                digest: text.clone(),
                cause: text.clone(),
                container: Some(RecordedContainer {
                    id: text.clone(),
                    namespace: text.clone(),
                    name: text.clone(),
                    pod_namespace: text.clone(),
                    pod_name: text,
                }),
            };
            let line = line(&long).unwrap();
            assert!(line.len() < MAX_LINE, "{}", line.len());
            serde_json::from_slice::<Record>(&line).unwrap();
        }
    }

    #[test]
    fn full_foreign_and_missing_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let full = folder.path().join("full");
        File::create(&full).unwrap().set_len(MAX_FILE + 1).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("full", &link).unwrap();
        for (path, expected) in [
            (full, "over 8388608 bytes"),
            (link.clone(), "symbolic links"),
            (folder.path().join("no/file"), "No such file"),
            (folder.path().to_owned(), "directory"),
            ("/dev/null".into(), "not a regular file"),
        ] {
            let error = append(&path, &record("a")).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(take(&link).unwrap_err().to_string().contains("not a regular file"));
        assert!(take(folder.path()).unwrap_err().to_string().contains("not a regular file"));
    }
}
