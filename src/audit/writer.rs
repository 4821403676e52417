//! Writes the audit trail from a thread of its own: a decision never waits for the disk.
//!
//! The queue is bounded. While the file cannot be written, lines wait in the queue, and the journal gets each of them at
//! once; what finds the queue full is counted, and a gap record says how many once writing works again. A file that was
//! moved away is opened anew, so any log rotation will do. Refusals, and what would be one, go to the journal always.
//!
//! Where nothing may be allowed that is not on record, whoever allows something waits until it is written ([`Written`]).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::chain::WrittenHead;
use super::fold::{Fold, Over};
use super::journal::{self, Journal, JournalStatus};
use super::queue::{Item, Next, Queue, Then};
use super::record::{Change, Line, Record, Unserved};
use super::told::{self, Decides, Difference, Told};
use super::trail_file::{TrailFile, line};
use crate::decision::Decision;

const RETRY: Duration = Duration::from_secs(1);
/// How long an allowance waits until it is on record, where it must be: what is left of the gate's time
/// after a look-up, and of NRI's.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the head is kept, where it has moved.
const KEEP_HEAD: Duration = Duration::from_secs(5);
/// How often the journal is given the head, where it has moved.
const TELL_HEAD: Duration = Duration::from_secs(600);

/// Where the trail is, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file that is written.
    pub file: PathBuf,
    /// Where the head is kept.
    pub head: PathBuf,
    /// Where it is kept what the trail was told of what decides.
    pub told: PathBuf,
    /// How long the file may get before it is rotated, in bytes.
    pub rotate_bytes: u64,
    /// How much all files may take together, in bytes.
    pub keep_bytes: u64,
    /// Whether nothing is allowed while the file cannot be written.
    pub refuse: bool,
    /// Where the journal listens.
    pub journal: PathBuf,
}

impl Settings {
    /// A trail at `file` of 64 MiB files and 1 GiB in all, whose head is kept in `state_dir`.
    #[must_use]
    pub fn at(file: &Path, state_dir: &Path) -> Self {
        Self {
            file: file.to_owned(),
            head: super::head::path(state_dir),
            told: super::told::path(state_dir),
            rotate_bytes: 64 << 20,
            keep_bytes: 1 << 30,
            refuse: false,
            journal: journal::SOCKET.into(),
        }
    }
}

/// The way to the audit trail; [`Audit::finish`] waits until it is written.
#[derive(Debug)]
pub struct Audit {
    thread: Mutex<Option<JoinHandle<()>>>,
    state: Arc<State>,
    told: Mutex<Told>,
    settings: Settings,
}

/// That a record is written, once it is.
#[derive(Debug)]
pub struct Written(Option<oneshot::Receiver<()>>);

impl Written {
    /// Waits until it is, half a second at most. Where nothing hangs on it, it does not wait.
    ///
    /// # Errors
    /// Where the trail does not take it.
    pub async fn done(self) -> Result<(), String> {
        let Some(written) = self.0 else { return Ok(()) };
        match tokio::time::timeout(PATIENCE, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("it did not take the record".to_owned()),
            Err(_) => Err(format!("it did not take the record within {} ms", PATIENCE.as_millis())),
        }
    }
}

#[derive(Debug)]
struct State {
    queue: Queue,
    fold: Mutex<Fold>,
    journal: Journal,
    taken: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
    folded: AtomicU64,
    unreported: Mutex<Unreported>,
    seq: AtomicU64,
    is_failing: AtomicBool,
    problem: Mutex<Option<String>>,
}

/// What was lost and is not told of in the trail yet.
#[derive(Debug, Default, Clone, Copy)]
struct Unreported {
    lost: u64,
    journaled: u64,
    since: Option<SystemTime>,
}

/// How the audit trail is doing.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditStatus {
    /// The file.
    pub file: PathBuf,
    /// Records handed over since start that are written.
    pub written: u64,
    /// Records that found the queue full since start.
    pub lost: u64,
    /// Refusals that were counted instead of written, since start: repeats, and what came in too great a number.
    pub folded: u64,
    /// The number of the last line.
    pub seq: u64,
    /// The journal.
    pub journal: JournalStatus,
    /// Why nothing can be written now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Audit {
    /// Starts writing by `settings`; the folder of the file is made (0700) when it is not there. A file that cannot be
    /// opened is a problem in the status, not an error.
    #[must_use]
    pub fn open(settings: Settings) -> Self {
        let state = Arc::new(State {
            queue: Queue::default(),
            fold: Mutex::default(),
            journal: Journal::at(&settings.journal),
            taken: AtomicU64::new(0),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            folded: AtomicU64::new(0),
            unreported: Mutex::default(),
            seq: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
            problem: Mutex::default(),
        });
        let Settings { file, head, rotate_bytes, keep_bytes, .. } = &settings;
        let trail = TrailFile::at(file, head, *rotate_bytes, *keep_bytes);
        let now = Instant::now();
        let writer = Writer {
            trail,
            state: Arc::clone(&state),
            path: file.clone(),
            told_path: settings.told.clone(),
            kept: now,
            told: (now, 0),
        };
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run());
        let thread = match thread {
            Ok(thread) => Some(thread),
            Err(error) => {
                state.report(Some(format!("the audit thread did not start: {error}")));
                None
            }
        };
        let told = Mutex::new(Told::at(&settings.told));
        Self { thread: Mutex::new(thread), state, told, settings }
    }

    /// Hands a record over; never waits. A repeat of a refusal is counted instead, as is one too many. Where nothing may be allowed that is not on
    /// record, an allowance holds once it is [`Written`].
    pub fn record(&self, record: &Record<'_>) -> Written {
        let line = Line { time: record.time, kind: "decision", rest: record };
        let Some(body) = self.body(&line) else { return Written(None) };
        if self.state.fold().takes(record, body.len(), Instant::now()) {
            self.state.folded.fetch_add(1, Ordering::Relaxed);
            return Written(None);
        }
        let is_loud = record.verdict.would != Decision::Allow || !record.verdict.allows();
        let (waits, written) =
            (self.settings.refuse && record.verdict.allows()).then(oneshot::channel).unzip();
        self.state.push(Item { body, is_loud, is_told: false, then: waits.map(Then::Answer) });
        Written(written)
    }

    /// Hands over that something has changed; never waits.
    pub fn change(&self, change: &Change) {
        self.tell_change(change, None);
    }

    /// Hands over, as changes by `who`, what of all that decides the trail was not told yet: also what has changed while no
    /// daemon ran.
    pub fn decides(&self, all: impl FnOnce() -> Decides, who: impl Fn(&str, &str) -> Value) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Not before it is its turn: a later state must not be overtaken by this one.
        let all = all();
        let mut differences = told.differences(&all).into_iter().peekable();
        while let Some(Difference { what, name, before, after }) = differences.next() {
            let who = who(&what, &name);
            let then = differences.peek().is_none().then(|| Then::Keep(all.clone()));
            self.tell_change(&Change { what, name, before, after, who }, then);
        }
        told.tell(all);
    }

    fn tell_change(&self, change: &Change, then: Option<Then>) {
        self.hand_over(&Line { time: SystemTime::now(), kind: "change", rest: change }, true, then);
    }

    /// Hands over that connections ended without a decision; never waits.
    pub fn unserved(&self, unserved: &Unserved) {
        self.hand_over(&Line { time: SystemTime::now(), kind: "unserved", rest: unserved }, true, None);
    }

    fn hand_over<T: Serialize>(&self, line: &Line<'_, T>, is_loud: bool, then: Option<Then>) {
        if let Some(body) = self.body(line) {
            self.state.push(Item { body, is_loud, is_told: false, then });
        }
    }

    fn body<T: Serialize>(&self, line: &Line<'_, T>) -> Option<String> {
        let body = serde_json::to_string(line).map_err(|error| {
            self.state.report(Some(format!("a record could not be put into JSON: {error}")));
            self.state.lose(1, false);
        });
        body.ok()
    }

    /// Whether nothing may be allowed that is not on record.
    #[must_use]
    pub fn is_condition(&self) -> bool {
        self.settings.refuse
    }

    /// Why nothing may be allowed now: the trail cannot be written, and is set to be a condition.
    #[must_use]
    pub fn hindrance(&self) -> Option<String> {
        let is_one = self.settings.refuse && self.state.is_failing.load(Ordering::Relaxed);
        is_one.then(|| self.state.problem().unwrap_or_default())
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
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AuditStatus {
            file: self.settings.file.clone(),
            written: of(&self.state.written),
            lost: of(&self.state.lost),
            folded: of(&self.state.folded),
            seq: of(&self.state.seq),
            journal: self.state.journal.status(),
            problem: self.state.problem(),
        }
    }

    /// Takes no more records, and returns once those in the queue are written or cannot be.
    pub fn finish(&self) {
        self.state.push_repeats(None);
        self.state.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic in the thread has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.finish();
    }
}

impl State {
    fn push(&self, item: Item) {
        self.push_all(item, 1);
    }

    /// The same of a line that stands for so many.
    fn push_all(&self, item: Item, count: u64) {
        match self.queue.push(item) {
            Ok(()) => {
                self.taken.fetch_add(1, Ordering::Relaxed);
            }
            Err(item) => self.lose(count, self.journal.send(&item.body, None)),
        }
    }

    fn push_repeats(&self, now: Option<Instant>) {
        let over = self.fold().over(now);
        for Over { kind, count, rest } in over {
            let item = Item { body: line(kind, &rest), is_loud: true, is_told: false, then: None };
            self.push_all(item, count);
        }
    }

    fn fold(&self) -> std::sync::MutexGuard<'_, Fold> {
        self.fold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, count: u64, is_journaled: bool) {
        self.lost.fetch_add(count, Ordering::Relaxed);
        let mut unreported = self.unreported.lock().unwrap_or_else(PoisonError::into_inner);
        unreported.lost += count;
        unreported.journaled += if is_journaled { count } else { 0 };
        unreported.since.get_or_insert_with(SystemTime::now);
    }

    fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn report(&self, problem: Option<String>) {
        self.is_failing.store(problem.is_some(), Ordering::Relaxed);
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
    trail: TrailFile,
    state: Arc<State>,
    path: PathBuf,
    told_path: PathBuf,
    /// When the head was kept.
    kept: Instant,
    /// When the journal was given the head, and which.
    told: (Instant, u64),
}

impl Writer {
    fn run(mut self) {
        // The file is opened, and a problem with it known, before the first decision.
        let ready = self.trail.ready();
        self.look(ready);
        loop {
            match self.state.queue.next(RETRY) {
                Next::Write(item) => {
                    if !self.take(item) {
                        if self.state.queue.is_closed() {
                            return;
                        }
                        std::thread::sleep(RETRY);
                    }
                }
                Next::Idle => {
                    let ready = self.trail.ready().and_then(|()| self.tell_gap());
                    self.look(ready);
                }
                Next::Closed => {
                    let stopped = self.tell_gap().and_then(|()| self.trail.write(&line("stop", &json!({}))));
                    self.look(stopped.map(|_| ()));
                    self.keep_head();
                    self.tell_head();
                    return;
                }
            }
            self.state.push_repeats(Some(Instant::now()));
            if self.kept.elapsed() >= KEEP_HEAD {
                self.keep_head();
            }
            if self.told.0.elapsed() >= TELL_HEAD {
                self.tell_head();
            }
        }
    }

    /// Writes `item`; where that fails, it and all behind it go to the journal, and wait.
    fn take(&mut self, mut item: Item) -> bool {
        let written = self.tell_gap().and_then(|()| self.trail.write(&item.body));
        match written {
            Ok(head) => {
                if item.is_loud && !item.is_told {
                    self.state.journal.send(&item.body, Some(head.seq));
                }
                self.state.written.fetch_add(1, Ordering::Relaxed);
                self.look(Ok(()));
                self.follow_up(item.then);
                true
            }
            Err(error) => {
                self.look(Err(error));
                item.give_up();
                self.state.queue.put_back(item);
                loop {
                    let untold = self.state.queue.untold();
                    if untold.is_empty() {
                        break;
                    }
                    untold.iter().for_each(|body| {
                        self.state.journal.send(body, None);
                    });
                }
                false
            }
        }
    }

    fn follow_up(&mut self, then: Option<Then>) {
        match then {
            None => {}
            Some(Then::Answer(waits)) => {
                // It may have gone.
                let _ = waits.send(());
            }
            Some(Then::Keep(known)) => {
                // What it tells of is on the disk by then.
                self.keep_head();
                if let Err(error) = told::keep(&self.told_path, &known) {
                    tracing::warn!("audit: what decides is told again at the next start: {error}");
                }
            }
        }
    }

    fn tell_gap(&mut self) -> std::io::Result<()> {
        let unreported = *self.state.unreported.lock().unwrap_or_else(PoisonError::into_inner);
        let Unreported { lost, journaled, since: Some(since) } = unreported else { return Ok(()) };
        let since = humantime::format_rfc3339_millis(since).to_string();
        let gap = line("gap", &json!({"lost": lost, "journaled": journaled, "since": since}));
        let head = self.trail.write(&gap)?;
        self.state.journal.send(&gap, Some(head.seq));
        let mut left = self.state.unreported.lock().unwrap_or_else(PoisonError::into_inner);
        left.lost = left.lost.saturating_sub(lost);
        left.journaled = left.journaled.saturating_sub(journaled);
        left.since = (left.lost > 0).then(SystemTime::now);
        Ok(())
    }

    fn look(&mut self, done: std::io::Result<()>) {
        if let Some(head) = self.trail.head() {
            self.state.seq.store(head.seq, Ordering::Relaxed);
        }
        if done.is_err() {
            self.trail.close();
        }
        self.state.report(done.err().map(|error| format!("`{}`: {error}", self.path.display())));
    }

    fn keep_head(&mut self) {
        self.kept = Instant::now();
        if let Err(error) = self.trail.keep_head() {
            tracing::warn!("audit: the head of the chain cannot be kept: {error}");
        }
    }

    fn tell_head(&mut self) {
        let Some(head) = self.trail.head().filter(|head| head.seq != self.told.1) else { return };
        self.told = (Instant::now(), head.seq);
        self.state.journal.send(&line("head", &WrittenHead::from(head)), Some(head.seq));
    }
}

#[cfg(test)]
mod tests;
