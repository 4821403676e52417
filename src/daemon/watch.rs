//! Follows changes of documents and sources, from a thread of its own.
//!
//! inotify says at once that something changed; a look at file stamps twice a second finds what inotify
//! does not see (links that lead elsewhere, permissions of folders above, folders that came back), and a
//! full look every ten seconds, for which documents are read again, finds the rest. Without inotify the looks alone remain.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::engine::Engine;
use crate::config::Config;

const LOOK: Duration = Duration::from_millis(500);
const FULL_LOOK: Duration = Duration::from_secs(10);
/// How long after the first sign of a change others are waited for.
const SETTLE: Duration = Duration::from_millis(20);
/// A thread that has not looked for so long has stopped following.
const STUCK: Duration = Duration::from_secs(10);

/// Signs that wait to be looked at. Of what finds the queue full it is enough to know that there was
/// something: whoever can write into a folder decides how many there are.
const SIGNS: usize = 256;

/// The thread that follows changes; it ends when this is dropped.
pub(super) struct Watcher {
    signs: Signs,
    thread: Option<JoinHandle<()>>,
    pulse: Arc<Pulse>,
}

/// The way to the thread: paths that changed, or none in particular.
#[derive(Clone)]
struct Signs {
    queue: SyncSender<Vec<PathBuf>>,
    notes: Arc<Notes>,
}

#[derive(Default)]
struct Notes {
    /// Signs did not fit into the queue: anything may have changed.
    missed: AtomicBool,
    stop: AtomicBool,
}

impl Signs {
    /// Never waits.
    fn give(&self, paths: Vec<PathBuf>) {
        if self.queue.try_send(paths).is_err() {
            self.notes.missed.store(true, Ordering::Release);
        }
    }
}

struct Pulse {
    started: Instant,
    /// Milliseconds after `started` of the last look.
    last: AtomicU64,
}

/// Starts following what `config` names.
pub(super) fn start(engine: Arc<Engine>, config: &Config) -> Watcher {
    let (queue, incoming) = sync_channel(SIGNS);
    let signs = Signs { queue, notes: Arc::default() };
    let pulse = Arc::new(Pulse { started: Instant::now(), last: AtomicU64::new(0) });
    let sources: Vec<_> = config.folders().map(|(_, path)| path.to_owned()).collect();
    let folders = config.policy.parent().map(Path::to_owned).into_iter().chain([config.attestors.clone()]);
    let follower = Follower {
        folders: folders.chain(sources.clone()).collect(),
        documents: [config.policy.clone(), config.attestors.clone()],
        sources,
        watches: Watches::new(signs.clone()),
        notes: Arc::clone(&signs.notes),
        pulse: Arc::clone(&pulse),
        engine,
    };
    let thread = std::thread::Builder::new().name("watch".into()).spawn(move || follower.run(&incoming));
    let thread = thread.inspect_err(|error| tracing::error!("changes are not followed: {error}")).ok();
    Watcher { signs, thread, pulse }
}

impl Watcher {
    /// Reads everything again now.
    pub(super) fn reload(&self) {
        // A thread that is gone shows in `is_alive`.
        self.signs.give(Vec::new());
    }

    /// Whether changes are being followed.
    pub(super) fn is_alive(&self) -> bool {
        let running = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        let last = Duration::from_millis(self.pulse.last.load(Ordering::Relaxed));
        running && self.pulse.started.elapsed().saturating_sub(last) < STUCK
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.signs.notes.stop.store(true, Ordering::Release);
        self.signs.give(Vec::new());
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

struct Follower {
    folders: Vec<PathBuf>,
    documents: [PathBuf; 2],
    sources: Vec<PathBuf>,
    watches: Watches,
    notes: Arc<Notes>,
    pulse: Arc<Pulse>,
    engine: Arc<Engine>,
}

impl Follower {
    fn run(mut self, signs: &Receiver<Vec<PathBuf>>) {
        self.watches.renew(&self.folders);
        // What changed between the first reading and the watches.
        let mut print = self.engine.fingerprint();
        self.engine.reload();
        self.engine.refresh();
        let mut full = Full { documents: Instant::now(), sources: Instant::now() };
        let mut next = Instant::now() + LOOK;
        loop {
            let mut documents = false;
            let mut sources = false;
            let mut wait = next.saturating_duration_since(Instant::now());
            loop {
                match signs.recv_timeout(wait) {
                    Ok(paths) => {
                        sources |= concern(&paths, &self.sources);
                        documents |= concern(&paths, &self.documents);
                        wait = wait.min(SETTLE);
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => break,
                }
                if self.notes.stop.load(Ordering::Acquire) {
                    return;
                }
                if next <= Instant::now() {
                    break;
                }
            }
            if self.notes.missed.swap(false, Ordering::AcqRel) {
                (documents, sources) = (true, true);
            }
            if next <= Instant::now() {
                next = Instant::now() + LOOK;
                sources |= self.watches.renew(&self.folders) || full.sources.elapsed() >= FULL_LOOK;
                // Two changes within one tick of a file system's clock leave one stamp, and last good
                // versions that could not be kept are tried again.
                documents |= self.engine.fingerprint() != print || full.documents.elapsed() >= FULL_LOOK;
            }
            if documents {
                // The print first: a change during the reading shows at the next look.
                print = self.engine.fingerprint();
                full.documents = Instant::now();
                self.engine.reload();
            }
            if sources {
                full.sources = Instant::now();
                self.engine.refresh();
            }
            let pulse = u64::try_from(self.pulse.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.pulse.last.store(pulse, Ordering::Relaxed);
        }
    }
}

/// When everything was last read whatever its stamps say.
struct Full {
    documents: Instant,
    sources: Instant,
}

/// Whether a change of `paths` may be one of `ours`; a change of nothing in particular is.
fn concern(paths: &[PathBuf], ours: &[PathBuf]) -> bool {
    paths.is_empty() || paths.iter().any(|path| ours.iter().any(|our| path.starts_with(our)))
}

/// inotify watches of folders, set anew when a path leads to another folder than before.
struct Watches {
    watcher: Option<RecommendedWatcher>,
    set: HashMap<PathBuf, (u64, u64)>,
}

impl Watches {
    fn new(signs: Signs) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let paths = match event {
                Ok(event) if event.need_rescan() => Vec::new(),
                Ok(event) if is_change(event.kind) => event.paths,
                Ok(_) => return,
                Err(_) => Vec::new(),
            };
            signs.give(paths);
        });
        let watcher =
            watcher.inspect_err(|error| tracing::warn!("no inotify, looking twice a second: {error}")).ok();
        Self { watcher, set: HashMap::new() }
    }

    /// Whether any watch had to be set anew, or none can be.
    fn renew(&mut self, folders: &[PathBuf]) -> bool {
        let Some(watcher) = &mut self.watcher else { return true };
        let mut renewed = false;
        for folder in folders {
            let now = std::fs::metadata(folder).ok().map(|meta| (meta.dev(), meta.ino()));
            if self.set.get(folder) == now.as_ref() {
                continue;
            }
            renewed = true;
            if self.set.remove(folder).is_some() {
                // The folder is gone, and so is its watch.
                let _ = watcher.unwatch(folder);
            }
            if let Some(now) = now
                && watcher.watch(folder, RecursiveMode::NonRecursive).is_ok()
            {
                self.set.insert(folder.clone(), now);
            }
        }
        renewed
    }
}

/// Reading a file is no change; the daemon reads them itself.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}
