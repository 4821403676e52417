//! Looks a trail over for edits, gaps and what is missing at its ends.
//!
//! Proves what the chain can: that no line between two others was changed, taken away, added or moved. The last lines
//! are held by the head alone, which the daemon keeps apart; whoever may write both can forge the end, but not what
//! the journal was given.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::chain::{Head, Link};
use super::files::rotated;
use crate::image::Digest;

/// The longest line that is read, in bytes: what is longer is none of a trail's.
const MAX_LINE: u64 = 1024 * 1024;
/// Bytes of lines that belong to no chain, one behind the other, of which it is known what they are.
const MAX_LOOSE: usize = 4 * 1024 * 1024;
/// Problems, and notes, that are told one by one.
pub const MOST: usize = 10_000;
/// How often it is tried to open all files while they are being rotated.
const TRIES: usize = 5;

/// What was found out about a trail.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The files, in the order of their lines.
    pub files: Vec<PathBuf>,
    /// Lines that belong to the chain.
    pub records: u64,
    /// The number of the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The number of the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// What is wrong.
    pub problems: Vec<Finding>,
    /// What is told by the trail itself, or could not be looked at.
    pub notes: Vec<Finding>,
    /// Problems and notes beyond [`MOST`] of each.
    #[serde(skip_serializing_if = "is_zero")]
    pub further: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Such as `edited` or `missing`.
    pub what: &'static str,
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: u64,
    /// The number of the line, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// For people.
    pub detail: String,
}

/// Looks over the trail that is written to `file`, with all files rotated from it. `head` is its end as far as it is
/// known from elsewhere.
///
/// # Errors
/// A file cannot be read.
pub fn trail(file: &Path, head: Option<Head>) -> io::Result<Report> {
    let mut walk = Walk { wants_start: true, head, ..Walk::default() };
    for (path, file) in open_all(file)? {
        walk.file(&path, file)?;
    }
    Ok(walk.end(file))
}

/// Looks over `file` alone: where it begins and ends proves nothing.
///
/// # Errors
/// It cannot be read.
pub fn one(file: &Path) -> io::Result<Report> {
    let mut walk = Walk::default();
    walk.file(file, File::open(file)?)?;
    Ok(walk.end(file))
}

/// All files at one moment: none is rotated between two of them.
fn open_all(file: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    for _ in 0..TRIES {
        let paths: Vec<_> = rotated(file)?.into_iter().map(|(_, path)| path).collect();
        let mut opened = Vec::new();
        for path in &paths {
            match File::open(path) {
                Ok(file) => opened.push((path.clone(), file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
        }
        match File::open(file) {
            Ok(current) => opened.push((file.to_owned(), current)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !opened.is_empty() => {}
            Err(error) => return Err(error),
        }
        let again: Vec<_> = rotated(file)?.into_iter().map(|(_, path)| path).collect();
        if again == paths {
            return Ok(opened);
        }
    }
    Err(io::Error::other("its files are rotated faster than they can be opened"))
}

#[derive(Default)]
struct Walk {
    report: Report,
    wants_start: bool,
    head: Option<Head>,
    /// The last line that stood where it belongs, and where it stands.
    at: Option<(Head, PathBuf, u64)>,
    /// Lines that belong to no chain, since the last one that does.
    loose: Vec<u8>,
    loose_at: Option<(PathBuf, u64)>,
    /// Of the first line: whether it begins a chain.
    begins: bool,
    /// The first line that was kept when older ones were pruned.
    pruned_before: u64,
    first_at: Option<(PathBuf, u64)>,
}

impl Walk {
    fn file(&mut self, path: &Path, file: File) -> io::Result<()> {
        self.report.files.push(path.to_owned());
        let mut reader = BufReader::new(file);
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            line.clear();
            let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(());
            }
            number += 1;
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let is_cut = read as u64 == MAX_LINE && text.len() == line.len();
            match Link::of(text).filter(|_| !is_cut) {
                Some(link) => self.linked(text, link, path, number),
                None => self.unlinked(text, path, number),
            }
            // The rest of one that is too long.
            let mut more = is_cut;
            while more {
                line.clear();
                let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
                more = read > 0 && line.last() != Some(&b'\n');
                self.loosen(&line);
            }
        }
    }

    fn unlinked(&mut self, text: &[u8], path: &Path, number: u64) {
        if self.loose_at.is_none() {
            self.loose_at = Some((path.to_owned(), number));
        } else {
            self.loosen(b"\n");
        }
        self.loosen(text);
    }

    /// More of what belongs to no chain. What is too much is no torn line of the daemon's, whatever it is.
    fn loosen(&mut self, bytes: &[u8]) {
        if self.loose.len() <= MAX_LOOSE {
            self.loose.extend_from_slice(bytes);
        }
    }

    fn linked(&mut self, text: &[u8], link: Link, path: &Path, number: u64) {
        let record: Value = match serde_json::from_slice(text) {
            Ok(record) => record,
            Err(error) => {
                self.problem("edited", path, number, Some(link.seq), format!("it is not JSON: {error}"));
                Value::Null
            }
        };
        self.report.records += 1;
        self.loose_lines(&record);
        let here = Head { seq: link.seq, hash: Digest::of(text) };
        let stands = self.stands(&record, link, path, number);
        if stands {
            self.at = Some((here, path.to_owned(), number));
        }
        if self.head.is_some_and(|head| head.seq == here.seq && head.hash != here.hash) {
            let detail = "it is not the line whose hash the daemon has kept".to_owned();
            self.problem("edited", path, number, Some(here.seq), detail);
        }
        self.told(&record, link, path, number);
    }

    /// Compares the line with the one before it; whether it stands where it belongs.
    fn stands(&mut self, record: &Value, link: Link, path: &Path, number: u64) -> bool {
        let is_new = link.prev == Head::ORIGIN.hash;
        let seq = Some(link.seq);
        let Some((last, last_path, last_number)) = self.at.clone() else {
            self.begins = is_new;
            self.first_at = Some((path.to_owned(), number));
            self.report.first = seq;
            return true;
        };
        if link.seq <= last.seq {
            let detail = format!("it stands behind line {} of the chain: moved, repeated or added", last.seq);
            self.problem("reordered", path, number, seq, detail);
            return false;
        }
        if is_new {
            let why = record.pointer("/why").and_then(Value::as_str).unwrap_or("it does not say why");
            let detail = format!("a new chain begins here: {why}; nothing links it to line {}", last.seq);
            self.problem("new chain", path, number, seq, detail);
        } else if link.seq > last.seq + 1 {
            let detail = match (last.seq + 1, link.seq - 1) {
                (from, to) if from == to => format!("line {from} of the chain is not here"),
                (from, to) => format!("lines {from} to {to} of the chain are not here"),
            };
            self.problem("missing", path, number, seq, detail);
        } else if link.prev != last.hash {
            let detail = format!("it is not the line that line {} was linked to", link.seq);
            self.problem("edited", &last_path, last_number, Some(last.seq), detail);
        }
        true
    }

    /// Lines outside the chain are excused where the next record tells of exactly them.
    fn loose_lines(&mut self, record: &Value) {
        let Some((path, number)) = self.loose_at.take() else { return };
        let loose = std::mem::take(&mut self.loose);
        let hash = record.pointer("/torn/hash").and_then(Value::as_str);
        if hash == Some(Digest::of(&loose).hex().as_str()) {
            let detail =
                format!("{} bytes of an unfinished line, which the next record tells of", loose.len());
            self.note("torn", &path, number, None, detail);
        } else {
            let detail = "it belongs to no chain, and no record tells of it".to_owned();
            self.problem("foreign", &path, number, None, detail);
        }
    }

    /// What the trail says of itself.
    fn told(&mut self, record: &Value, link: Link, path: &Path, number: u64) {
        let seq = Some(link.seq);
        let of = |pointer: &str| record.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        match record.pointer("/kind").and_then(Value::as_str) {
            Some("gap") => {
                let (lost, journaled) = (of("/lost"), of("/journaled"));
                let detail = format!("{lost} records were not written; the journal took {journaled} of them");
                self.note("gap", path, number, seq, detail);
            }
            Some("pruned") => {
                self.pruned_before = self.pruned_before.max(of("/before"));
                let detail = format!("what was before line {} was removed to save space", of("/before"));
                self.note("pruned", path, number, seq, detail);
            }
            _ => {}
        }
    }

    fn end(mut self, file: &Path) -> Report {
        if let Some((path, number)) = self.loose_at.take() {
            let detail = "the last line is unfinished, or belongs to no chain".to_owned();
            self.problem("torn", &path, number, None, detail);
        }
        let first = self.report.first.unwrap_or(0);
        let last = self.at.as_ref().map_or(0, |(head, ..)| head.seq);
        self.report.last = self.at.as_ref().map(|(head, ..)| head.seq);
        if let Some((path, number)) = self.first_at.take()
            && !self.begins
        {
            let detail = format!("the trail begins with line {first}; what was before it is not here");
            if self.wants_start && first > self.pruned_before {
                self.problem("missing", &path, number, Some(first), detail);
            } else if !self.wants_start {
                self.note("begins", &path, number, Some(first), detail);
            }
        }
        if let Some(head) = self.head
            && last < head.seq
        {
            let detail =
                format!("the trail ends with line {last}, and its head was at line {} before", head.seq);
            let lines = self.at.as_ref().map_or(0, |(_, _, number)| *number);
            self.problem("truncated", file, lines, Some(last), detail);
        }
        self.report
    }

    fn problem(&mut self, what: &'static str, file: &Path, line: u64, seq: Option<u64>, detail: String) {
        let finding = Finding { what, file: file.to_owned(), line, seq, detail };
        keep(&mut self.report.problems, &mut self.report.further, finding);
    }

    fn note(&mut self, what: &'static str, file: &Path, line: u64, seq: Option<u64>, detail: String) {
        let finding = Finding { what, file: file.to_owned(), line, seq, detail };
        keep(&mut self.report.notes, &mut self.report.further, finding);
    }
}

fn keep(kept: &mut Vec<Finding>, further: &mut u64, finding: Finding) {
    if kept.len() < MOST {
        kept.push(finding);
    } else {
        *further += 1;
    }
}

/// The trail that `path` means: itself, or in a folder `audit.jsonl`.
#[must_use]
pub fn file_in(path: &Path) -> PathBuf {
    if fs::metadata(path).is_ok_and(|meta| meta.is_dir()) {
        path.join("audit.jsonl")
    } else {
        path.to_owned()
    }
}
