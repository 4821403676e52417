//! Writes the audit trail from a thread of its own: a decision never waits for the disk.
//!
//! The queue is bounded. While the file cannot be written, lines wait in the queue; what finds it full
//! is counted, and a gap record says how many once writing works again. A file that was moved away is
//! opened anew, so any log rotation will do.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::record::Record;

/// How many records may wait for the disk.
pub const QUEUE: usize = 8_192;
const RETRY: Duration = Duration::from_secs(1);

/// The way to the audit trail. Dropping the last clone of its sender ends the thread once the queue is
/// written; [`Audit::finish`] waits for that.
#[derive(Debug)]
pub struct Audit {
    queue: Mutex<Option<SyncSender<String>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    state: Arc<State>,
    path: PathBuf,
}

#[derive(Debug, Default)]
struct State {
    taken: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
    unreported: AtomicU64,
    ending: AtomicBool,
    problem: Mutex<Option<String>>,
}

/// How the audit trail is doing.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditStatus {
    /// The file.
    pub file: PathBuf,
    /// Records written since start.
    pub written: u64,
    /// Records that found the queue full since start.
    pub lost: u64,
    /// Why nothing can be written now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Audit {
    /// Starts writing to `path`, whose folder is made (0700) when it is not there. A file that cannot be
    /// opened is a problem in the status, not an error.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let (sender, receiver) = sync_channel(QUEUE);
        let state = Arc::new(State::default());
        let writer = Writer { path: path.to_owned(), file: None, state: Arc::clone(&state) };
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&receiver));
        let thread = match thread {
            Ok(thread) => Some(thread),
            Err(error) => {
                state.report(Some(format!("the audit thread did not start: {error}")));
                None
            }
        };
        Self { queue: Mutex::new(Some(sender)), thread: Mutex::new(thread), state, path: path.to_owned() }
    }

    /// Hands a record over; never waits.
    pub fn record(&self, record: &Record<'_>) {
        let line = match serde_json::to_string(record) {
            Ok(line) => line,
            Err(error) => {
                self.state.report(Some(format!("a record could not be put into JSON: {error}")));
                self.state.lose();
                return;
            }
        };
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match queue.as_ref().map(|queue| queue.try_send(line)) {
            Some(Ok(())) => {
                self.state.taken.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.state.lose(),
        }
    }

    /// How many records were taken and how many of them are written, since start.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        let written = self.state.written.load(Ordering::Relaxed);
        (self.state.taken.load(Ordering::Relaxed), written)
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> AuditStatus {
        AuditStatus {
            file: self.path.clone(),
            written: self.state.written.load(Ordering::Relaxed),
            lost: self.state.lost.load(Ordering::Relaxed),
            problem: self.state.problem.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Takes no more records, and returns once those in the queue are written or cannot be.
    pub fn finish(&self) {
        self.state.ending.store(true, Ordering::Relaxed);
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic in the thread has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl State {
    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.unreported.fetch_add(1, Ordering::Relaxed);
    }

    fn report(&self, problem: Option<String>) {
        let mut current = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(problem) = &problem
            && current.is_none()
        {
            tracing::error!("audit: {problem}");
        }
        *current = problem;
    }
}

struct Writer {
    path: PathBuf,
    file: Option<File>,
    state: Arc<State>,
}

impl Writer {
    fn run(mut self, queue: &Receiver<String>) {
        // The file is opened, and a problem with it known, before the first decision.
        self.check();
        let mut pending: Option<String> = None;
        loop {
            let Some(line) = &pending else {
                match queue.recv_timeout(RETRY) {
                    Ok(line) => pending = Some(line),
                    Err(RecvTimeoutError::Timeout) => self.check(),
                    Err(RecvTimeoutError::Disconnected) => return self.sync(),
                }
                continue;
            };
            match self.write(line) {
                Ok(()) => {
                    pending = None;
                    self.state.report(None);
                    self.state.written.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    self.file = None;
                    self.state.report(Some(format!("`{}`: {error}", self.path.display())));
                    if self.state.ending.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::sleep(RETRY);
                }
            }
        }
    }

    fn sync(&self) {
        if let Some(file) = &self.file {
            // What the disk says now can be told to nobody any more.
            let _ = file.sync_data();
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let state = Arc::clone(&self.state);
        let lost = state.unreported.load(Ordering::Relaxed);
        let file = self.open()?;
        if lost > 0 {
            let time = humantime::format_rfc3339_millis(SystemTime::now());
            file.write_all(format!("{{\"time\":\"{time}\",\"gap\":{lost}}}\n").as_bytes())?;
            state.unreported.fetch_sub(lost, Ordering::Relaxed);
        }
        // One write for a whole line: two daemons or a crash leave no halves of it between others.
        file.write_all(format!("{line}\n").as_bytes())?;
        Ok(())
    }

    fn check(&mut self) {
        let problem = self.open().err().map(|error| format!("`{}`: {error}", self.path.display()));
        self.state.report(problem);
    }

    /// The open file, opened anew when the path leads elsewhere.
    fn open(&mut self) -> io::Result<&mut File> {
        let there = fs::metadata(&self.path).ok().map(|meta| (meta.dev(), meta.ino()));
        let mine = match &self.file {
            Some(file) => file.metadata().ok().map(|meta| (meta.dev(), meta.ino())),
            None => None,
        };
        if mine.is_none() || mine != there {
            if let Some(folder) = self.path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            self.file = None;
        }
        match &mut self.file {
            Some(file) => Ok(file),
            empty => {
                let mut file =
                    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
                // A disk that filled up or lost power left the last line unfinished: it stays alone.
                if is_torn(&file)? {
                    file.write_all(b"\n")?;
                }
                Ok(empty.insert(file))
            }
        }
    }
}

fn is_torn(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let Some(last) = metadata.len().checked_sub(1).filter(|_| metadata.is_file()) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Asked, Gate};
    use crate::decision::{Reason, Verdict};

    fn record(audit: &Audit, image: &str) {
        let verdict = Verdict::refused(image, None, Reason::BadRequest, "cause", "");
        let asked = Asked { pid: 1, uid: 0, program: "p".into(), entry: "e".into() };
        let (time, duration_micros) = (SystemTime::UNIX_EPOCH, Duration::from_micros(7));
        let (gate, container, event) = (Gate::Pull, None, None);
        audit.record(&Record {
            time,
            gate,
            verdict: &verdict,
            asked: &asked,
            container,
            event,
            duration_micros,
        });
    }

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn writes_json_lines_through_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log/audit.jsonl");
        let audit = Audit::open(&path);
        record(&audit, "one");
        while audit.status().written < 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
        fs::rename(&path, folder.path().join("old")).unwrap();
        record(&audit, "two");
        audit.finish();
        assert_eq!(lines(&folder.path().join("old"))[0]["image"], "one");
        let second = &lines(&path)[0];
        assert_eq!((&second["image"], &second["gate"]), (&"two".into(), &"pull".into()));
        assert_eq!(
            (&second["time"], &second["durationMicros"]),
            (&"1970-01-01T00:00:00.000Z".into(), &7.into())
        );
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_cut_off_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        fs::write(&path, "{\"time\":\"2026").unwrap();
        let audit = Audit::open(&path);
        record(&audit, "after");
        audit.finish();
        let text = fs::read_to_string(&path).unwrap();
        let (torn, whole) = text.split_once('\n').unwrap();
        assert_eq!(torn, "{\"time\":\"2026");
        assert_eq!(serde_json::from_str::<serde_json::Value>(whole).unwrap()["image"], "after");
    }

    #[test]
    fn a_disk_that_fails_costs_records_only_beyond_the_queue() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file/audit.jsonl");
        fs::write(folder.path().join("file"), "in the way").unwrap();
        let audit = Audit::open(&path);
        let asked = QUEUE as u64 + 100;
        for _ in 0..asked {
            record(&audit, "waiting");
        }
        let lost = audit.status().lost;
        assert!((98..=100).contains(&lost), "{lost}");
        assert!(audit.status().problem.is_some());
        fs::remove_file(folder.path().join("file")).unwrap();
        while audit.status().written < asked - lost {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(audit.status().problem.is_none());
        audit.finish();
        assert_eq!(lines(&path)[0]["gap"], lost);
        assert_eq!(lines(&path).len() as u64, asked - lost + 1);
    }
}
