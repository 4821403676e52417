//! The file that is written, with its links: opened anew when it was moved away, rotated when it is full, and never
//! left with half a line where that can be helped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Value, json};

use super::chain::Head;
use super::files::{self, first_seq, rotated, rotated_name, sync_folder, tail};
use super::head;
use super::record::Line;

/// The trail's end, on disk.
pub(super) struct TrailFile {
    path: PathBuf,
    head_path: PathBuf,
    rotate_bytes: u64,
    keep_bytes: u64,
    open: Option<Open>,
    /// None before it is known where the chain goes on.
    head: Option<Head>,
    kept: Option<Head>,
    /// What the trail has to say of itself before anything else.
    own: Vec<String>,
}

struct Open {
    file: File,
    place: (u64, u64),
    length: u64,
    first: Option<u64>,
}

impl TrailFile {
    pub(super) fn at(path: &Path, head_path: &Path, rotate_bytes: u64, keep_bytes: u64) -> Self {
        let (path, head_path) = (path.to_owned(), head_path.to_owned());
        Self {
            path,
            head_path,
            rotate_bytes,
            keep_bytes,
            open: None,
            head: None,
            kept: None,
            own: Vec::new(),
        }
    }

    pub(super) fn head(&self) -> Option<Head> {
        self.head
    }

    /// Opens the file where it is not, and writes what the trail has to say of itself.
    pub(super) fn ready(&mut self) -> io::Result<()> {
        self.open()?;
        while let Some(own) = self.own.first().cloned() {
            self.append(&own)?;
            self.own.remove(0);
        }
        Ok(())
    }

    /// Writes `body` as the next line.
    pub(super) fn write(&mut self, body: &str) -> io::Result<Head> {
        self.ready()?;
        self.append(body)
    }

    /// After an error: what the file is now is looked at again.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Makes what is written last, and then keeps the head.
    pub(super) fn keep_head(&mut self) -> io::Result<()> {
        let (Some(head), Some(open)) = (self.head, &self.open) else { return Ok(()) };
        if self.kept == Some(head) || head == Head::ORIGIN {
            return Ok(());
        }
        open.file.sync_data()?;
        head::write(&self.head_path, head)?;
        self.kept = Some(head);
        Ok(())
    }

    fn append(&mut self, body: &str) -> io::Result<Head> {
        let head = self.head.unwrap_or(Head::ORIGIN);
        let (line, next) = head.seal(body);
        let is_full = |open: &Open| open.length > 0 && open.length + line.len() as u64 > self.rotate_bytes;
        if self.open.as_ref().is_some_and(is_full) {
            self.rotate()?;
            if self.head != Some(head) {
                return self.append(body);
            }
        }
        let open = self.open.as_mut().ok_or(io::ErrorKind::NotFound)?;
        // One write for a whole line: a crash leaves no halves of it between others.
        let text = line + "\n";
        if let Err(error) = open.file.write_all(text.as_bytes()) {
            // A full disk has taken a part of it. Where that cannot be undone, it is told of when writing works again.
            let _ = open.file.set_len(open.length);
            return Err(error);
        }
        open.length += text.len() as u64;
        open.first = open.first.or(Some(next.seq));
        self.head = Some(next);
        Ok(next)
    }

    fn rotate(&mut self) -> io::Result<()> {
        let Some(first) = self.open.as_ref().and_then(|open| open.first) else { return Ok(()) };
        let target = rotated_name(&self.path, first);
        if target.exists() {
            // No name is given twice: the file grows until its chain has left that number behind.
            return Ok(());
        }
        // Where the head cannot be kept now it is later; the trail goes on.
        let _ = self.keep_head();
        fs::rename(&self.path, &target)?;
        sync_folder(&self.path)?;
        self.open()?;
        self.prune()
    }

    /// Removes the oldest files where all of them take too much, once the chain tells of it.
    fn prune(&mut self) -> io::Result<()> {
        let mut files = Vec::new();
        for (first, path) in rotated(&self.path)? {
            let length = fs::metadata(&path)?.len();
            files.push((first, path, length));
        }
        let mut all = files.iter().fold(self.rotate_bytes, |all, (_, _, length)| all.saturating_add(*length));
        let mut gone = Vec::new();
        let mut rest = files.into_iter().peekable();
        while all > self.keep_bytes
            && let Some((_, path, length)) = rest.next()
        {
            all = all.saturating_sub(length);
            gone.push(path);
        }
        if gone.is_empty() {
            return Ok(());
        }
        let own = self.head.map_or(1, |head| head.seq.saturating_add(1));
        let before = rest.peek().map_or(own, |(first, ..)| *first);
        let names: Vec<_> = gone.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        self.append(&line("pruned", &json!({"files": names, "before": before})))?;
        let _ = self.keep_head();
        gone.iter().try_for_each(fs::remove_file)
    }

    /// The open file, opened anew when the path leads elsewhere.
    fn open(&mut self) -> io::Result<()> {
        let there = fs::metadata(&self.path).ok().map(|meta| ((meta.dev(), meta.ino()), meta.len()));
        if let (Some(open), Some((place, length))) = (&mut self.open, there)
            && open.place == place
        {
            open.length = length;
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        self.open = None;
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        let meta = file.metadata()?;
        let is_file = meta.is_file();
        let tail = if is_file { tail(&file)? } else { files::Tail::default() };
        let first = if is_file { first_seq(&file)? } else { None };
        // A disk that filled up or lost power left the last line unfinished: it stays alone.
        if tail.is_open {
            file.write_all(b"\n")?;
        }
        let torn = tail.torn.map(|(bytes, hash)| json!({"bytes": bytes, "hash": hash.hex()}));
        if self.head.is_none() {
            self.resume(tail.head, torn)?;
        } else if let Some(torn) = torn {
            self.own.push(line("torn", &json!({"torn": torn})));
        }
        let length = file.metadata()?.len();
        self.open = Some(Open { file, place: (meta.dev(), meta.ino()), length, first });
        Ok(())
    }

    /// Finds where the chain goes on: behind the last line, or behind the head that was kept where that is further.
    fn resume(&mut self, tail: Option<Head>, torn: Option<Value>) -> io::Result<()> {
        let (kept, problem) = match head::read(&self.head_path) {
            Ok(kept) => (kept, None),
            Err(error) => (None, Some(format!("`{}`: {error}", self.head_path.display()))),
        };
        let files = rotated(&self.path)?;
        let tail = match (tail, files.last()) {
            (None, Some((_, path))) => files::tail(&File::open(path)?)?.head,
            (tail, _) => tail,
        };
        let mut start = json!({"version": env!("CARGO_PKG_VERSION"), "pid": std::process::id()});
        let mut say = |name: &str, value: Value| {
            if let Some(start) = start.as_object_mut() {
                start.insert(name.to_owned(), value);
            }
        };
        if let Some(problem) = problem {
            say("head", problem.into());
        }
        let head = match (tail, kept) {
            (Some(tail), Some(kept)) if tail.seq < kept.seq => {
                say("missing", (kept.seq - tail.seq).into());
                kept
            }
            (Some(tail), _) => tail,
            (None, Some(kept)) => {
                say("missing", "the files that hold the chain so far are not here".into());
                kept
            }
            (None, None) => {
                say("chain", "new".into());
                let why = match (&torn, files.is_empty()) {
                    (None, true) => "there is neither a trail nor a head",
                    _ => "no line here belongs to a chain, and there is no head",
                };
                say("why", why.into());
                // Numbers go on also where the chain does not: names of files are not given twice.
                Head { seq: files.last().map_or(0, |(first, _)| *first), ..Head::ORIGIN }
            }
        };
        if let Some(torn) = torn {
            say("torn", torn);
        }
        self.own.push(line("start", &start));
        (self.head, self.kept) = (Some(head), kept);
        Ok(())
    }
}

/// A line that the trail says of itself, or that is told without a verdict, now.
pub(super) fn line(kind: &'static str, rest: &impl Serialize) -> String {
    let line = Line { time: SystemTime::now(), kind, rest };
    serde_json::to_string(&line).unwrap_or_else(|_| format!("{{\"kind\":\"{kind}\"}}"))
}
