//! Reads the trail: line by line over all its files, oldest first, in memory for one line.
//!
//! Whether the lines are those that the daemon wrote is asked elsewhere ([`super::verify`]). What is no line of a trail is
//! counted and passed over. Compressed files of other rotations are not read.

use std::collections::VecDeque;
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::files::rotated;

/// The longest line that is read, in bytes; longer ones are passed over.
const MAX_LINE: u64 = 1024 * 1024;

/// A line of the trail.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When; the beginning of time where the line does not say.
    pub time: SystemTime,
    /// All that it says.
    pub value: Value,
}

/// Which lines are wanted. What is not set is not asked for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Not before.
    pub since: Option<SystemTime>,
    /// Before.
    pub until: Option<SystemTime>,
    /// Such as `decision` or `change`.
    pub kind: Option<String>,
    /// Such as `pull`.
    pub gate: Option<String>,
    /// `ALLOW`, `DENY` or `CANNOT_DECIDE`.
    pub verdict: Option<String>,
    /// The same without dry run and break-glass.
    pub would: Option<String>,
    /// A reason code.
    pub reason: Option<String>,
    /// A part of the rule's name.
    pub rule: Option<String>,
    /// The pod's namespace.
    pub namespace: Option<String>,
    /// A part of the image's name.
    pub image: Option<String>,
    /// The image's digest.
    pub digest: Option<String>,
}

/// The lines of a trail.
#[derive(Debug)]
pub struct Lines {
    files: VecDeque<PathBuf>,
    open: Option<BufReader<File>>,
    /// Lines that were passed over: torn, foreign, or too long.
    pub passed_over: u64,
}

impl Entry {
    /// A line, if it is one of a trail.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(line).ok()?;
        let time = value.as_object()?.get("time")?.as_str()?;
        let time = humantime::parse_rfc3339(time).ok()?;
        Some(Self { time, value })
    }

    /// A text of it by its JSON pointer; empty where there is none.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it tells of decisions: of one, of repeats of one, or of many by what they have in common.
    #[must_use]
    pub fn is_of_decisions(&self) -> bool {
        matches!(self.kind(), "decision" | "repeats" | "summary")
    }

    /// Its kind; lines of versions that told none are decisions.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self.text("/kind") {
            "" => "decision",
            kind => kind,
        }
    }

    /// How many of what it tells there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.value.get("count").and_then(Value::as_u64).unwrap_or(1)
    }
}

impl Filter {
    /// Whether `entry` is wanted.
    #[must_use]
    pub fn takes(&self, entry: &Entry) -> bool {
        let same =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let within = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| found.contains(wanted))
        };
        self.since.is_none_or(|since| since <= entry.time)
            && self.until.is_none_or(|until| entry.time < until)
            && same(&self.kind, entry.kind())
            && same(&self.gate, entry.text("/gate"))
            && same(&self.verdict, entry.text("/verdict"))
            && same(&self.would, entry.text("/would"))
            && same(&self.reason, entry.text("/reason"))
            && within(&self.rule, entry.text("/rule"))
            && same(&self.namespace, entry.text("/container/podNamespace"))
            && within(&self.image, entry.text("/image"))
            && same(&self.digest, entry.text("/digest"))
    }
}

impl Lines {
    /// Of the trail whose newest file is `file`.
    ///
    /// # Errors
    /// Where its folder, or the file, cannot be read.
    pub fn of(file: &Path) -> io::Result<Self> {
        let mut files: VecDeque<_> = rotated(file)?.into_iter().map(|(_, path)| path).collect();
        match fs::metadata(file) {
            Err(error) if files.is_empty() => return Err(error),
            Err(_) => {}
            Ok(_) => files.push_back(file.to_owned()),
        }
        Ok(Self { files, open: None, passed_over: 0 })
    }

    /// The lines of one file.
    #[must_use]
    pub fn onward(file: File) -> Self {
        Self { files: VecDeque::new(), open: Some(BufReader::new(file)), passed_over: 0 }
    }

    /// Whether what is being read is the file at `path` still.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        let place = |about: Metadata| (about.dev(), about.ino());
        let here = self.open.as_ref().and_then(|open| open.get_ref().metadata().ok()).map(place);
        here.is_some() && here == fs::metadata(path).ok().map(place)
    }

    /// The next line; none at the end, which may be only for now.
    ///
    /// # Errors
    /// Where a file cannot be read. One that was removed meanwhile is passed over.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let mut line = Vec::new();
        loop {
            let Some(open) = &mut self.open else {
                let Some(path) = self.files.pop_front() else { return Ok(None) };
                match File::open(&path) {
                    Ok(file) => self.open = Some(BufReader::new(file)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                continue;
            };
            line.clear();
            let read = open.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
            if read == 0 {
                // The newest one may go on.
                if self.files.is_empty() {
                    return Ok(None);
                }
                self.open = None;
                continue;
            }
            if line.last() != Some(&b'\n') && (read as u64) < MAX_LINE && self.files.is_empty() {
                // It is being written, or its writer has gone: the rest may come.
                open.seek_relative(-i64::try_from(read).unwrap_or(0))?;
                return Ok(None);
            }
            if let Some(entry) = Entry::read(&line) {
                return Ok(Some(entry));
            }
            if line.iter().any(|byte| !byte.is_ascii_whitespace()) {
                self.passed_over += 1;
            }
            // The rest of one that is too long.
            while line.last() != Some(&b'\n') {
                line.clear();
                if open.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seq: u64, more: &str) -> String {
        format!(
            "{{\"time\":\"2026-11-26T00:00:{seq:02}.000Z\",\"kind\":\"decision\"{more},\"seq\":{seq},\"prev\":\"\"}}\n"
        )
    }

    fn seqs(lines: &mut Lines) -> Vec<u64> {
        std::iter::from_fn(|| lines.next_entry().unwrap())
            .map(|entry| entry.value["seq"].as_u64().unwrap())
            .collect()
    }

    #[test]
    fn all_files_in_their_order_and_what_is_none_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.jsonl");
        assert_eq!(Lines::of(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
        let at = |seq: u64| folder.path().join(format!("audit.jsonl.{seq:020}"));
        fs::write(at(3), line(3, "") + &line(4, "")).unwrap();
        fs::write(at(1), line(1, "") + "{\"torn\":\n" + &line(2, "")).unwrap();
        let long = "x".repeat(3 * MAX_LINE as usize);
        fs::write(&file, format!("{}{long}\n\n[]\n{}", line(5, ""), line(6, ""))).unwrap();
        fs::write(folder.path().join("audit.jsonl.1.gz"), "no").unwrap();
        let mut lines = Lines::of(&file).unwrap();
        assert_eq!(seqs(&mut lines), [1, 2, 3, 4, 5, 6]);
        assert_eq!(lines.passed_over, 3);
        // It goes on, in two parts.
        let mut file = fs::OpenOptions::new().append(true).open(&file).unwrap();
        let seventh = line(7, "");
        let (begin, end) = seventh.split_at(20);
        for (part, expected) in [(begin, &[][..]), (end, &[7])] {
            io::Write::write_all(&mut file, part.as_bytes()).unwrap();
            assert_eq!(seqs(&mut lines), expected);
        }
        assert_eq!(lines.passed_over, 3);
    }

    #[test]
    fn what_is_wanted() {
        let entry = |more: &str| Entry::read(line(5, more).as_bytes()).unwrap();
        let pull = entry(
            ",\"gate\":\"pull\",\"verdict\":\"ALLOW\",\"would\":\"DENY\",\"reason\":\"NO_ATTESTATION\",\"rule\":\"default rule\",\
             \"image\":\"r.example/shop/app:1\",\"digest\":\"sha256:ab\",\"container\":{\"podNamespace\":\"shop\"}",
        );
        let text = |text: &str| Some(text.to_owned());
        let at = |second: u64| {
            Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_795_651_200 + second))
        };
        let rows = [
            (Filter::default(), true),
            (Filter { since: at(5), until: at(6), ..Filter::default() }, true),
            (Filter { since: at(6), ..Filter::default() }, false),
            (Filter { until: at(5), ..Filter::default() }, false),
            (Filter { kind: text("decision"), gate: text("pull"), ..Filter::default() }, true),
            (Filter { kind: text("change"), ..Filter::default() }, false),
            (Filter { verdict: text("ALLOW"), would: text("DENY"), ..Filter::default() }, true),
            (Filter { verdict: text("DENY"), ..Filter::default() }, false),
            (Filter { reason: text("NO_ATTESTATION"), rule: text("default"), ..Filter::default() }, true),
            (Filter { reason: text("NO"), ..Filter::default() }, false),
            (
                Filter {
                    namespace: text("shop"),
                    image: text("shop/app"),
                    digest: text("sha256:ab"),
                    ..Filter::default()
                },
                true,
            ),
            (Filter { namespace: text("sho"), ..Filter::default() }, false),
        ];
        for (filter, expected) in rows {
            assert_eq!(filter.takes(&pull), expected, "{filter:?}");
        }
        assert_eq!((entry(",\"count\":7").count(), pull.count(), pull.kind()), (7, 1, "decision"));
    }
}
