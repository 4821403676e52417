//! The files of the trail: the one that is written, and those that were rotated away beside it.
//!
//! A rotated file is named by the number of its first line, in twenty digits: the name never changes, and names
//! sort as the lines do.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::chain::{Head, Link};
use crate::image::Digest;

const DIGITS: usize = 20;
/// How far back from the end the last whole line is looked for.
const TAIL: u64 = 4 << 20;

/// The name of the file that is rotated away from `file` and begins with line `seq`.
#[must_use]
pub fn rotated_name(file: &Path, seq: u64) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(format!(".{seq:0DIGITS$}"));
    PathBuf::from(name)
}

/// The files that were rotated away from `file`, by the number of their first line.
///
/// # Errors
/// The folder cannot be read; one that is not there holds none.
pub fn rotated(file: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let suffix = path.file_name().and_then(|name| name.to_str()).and_then(|other| {
            let digits = other.strip_prefix(name)?.strip_prefix('.')?;
            (digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
        });
        if let Some(seq) = suffix.and_then(|digits| digits.parse().ok()) {
            found.push((seq, path));
        }
    }
    found.sort();
    Ok(found)
}

/// How a file ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// Its last whole line, of those that belong to a chain.
    pub(super) head: Option<Head>,
    /// What stands behind that line, or in the whole file where there is none: its length, and its hash without
    /// the newline at its end.
    pub(super) torn: Option<(u64, Digest)>,
    /// Whether it ends without a newline.
    pub(super) is_open: bool,
}

/// How `file` ends; of a long stretch that belongs to no chain only the last 4 MiB count.
pub(super) fn tail(file: &File) -> io::Result<Tail> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(TAIL);
    let mut bytes = vec![0; usize::try_from(length - start).unwrap_or(0)];
    file.read_exact_at(&mut bytes, start)?;
    let is_open = bytes.last().is_some_and(|byte| *byte != b'\n');
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let mut end = text.len();
    loop {
        let before = text.get(..end).unwrap_or_default();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.get(line_start..).unwrap_or_default();
        if let Some(link) = Link::of(line) {
            let behind = text.get(end + 1..).filter(|behind| !behind.is_empty());
            let head = Some(Head { seq: link.seq, hash: Digest::of(line) });
            return Ok(Tail { head, torn: behind.map(torn), is_open });
        }
        if line_start == 0 {
            let all = Some(text).filter(|text| !text.is_empty());
            return Ok(Tail { head: None, torn: all.map(torn), is_open });
        }
        end = line_start - 1;
    }
}

fn torn(bytes: &[u8]) -> (u64, Digest) {
    (bytes.len() as u64, Digest::of(bytes))
}

/// The number of the first line of `file` that belongs to a chain, among its first 4 MiB.
pub(super) fn first_seq(file: &File) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len().min(TAIL);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.split(|byte| *byte == b'\n').find_map(Link::of).map(|link| link.seq))
}

/// Writes a small file of the state folder in one step: whole, or as it was.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("json.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(path)
}

/// Makes what was renamed or removed in the folder of `file` last.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_lines_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.jsonl");
        for name in ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.old", "other.00000000000000000001"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        for seq in [1_000, 7, u64::MAX] {
            fs::write(rotated_name(&file, seq), "").unwrap();
        }
        let seqs: Vec<_> = rotated(&file).unwrap().into_iter().map(|(seq, _)| seq).collect();
        assert_eq!(seqs, [7, 1_000, u64::MAX]);
        assert!(rotated(Path::new("/nowhere/at/all")).unwrap().is_empty());
    }

    #[test]
    fn how_files_end() {
        let (first, one) = Head::ORIGIN.seal("{\"a\":1}");
        let (second, two) = one.seal("{\"a\":2}");
        let torn = |text: &str| Some((text.len() as u64, Digest::of(text.as_bytes())));
        let rows = [
            (String::new(), None, None, false),
            (format!("{first}\n{second}\n"), Some(two), None, false),
            (format!("{first}\n{second}"), Some(two), None, true),
            (format!("{first}\n{{\"ti"), Some(one), torn("{\"ti"), true),
            (format!("{first}\n{{\"ti\n\0\0\n"), Some(one), torn("{\"ti\n\0\0"), false),
            ("old\nlines\n".to_owned(), None, torn("old\nlines"), false),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        for (text, head, torn, is_open) in rows {
            fs::write(&path, &text).unwrap();
            assert_eq!(tail(&File::open(&path).unwrap()).unwrap(), Tail { head, torn, is_open }, "{text}");
        }
    }
}
