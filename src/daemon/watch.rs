//! Follows changes of documents and of sources, each from a thread of its own: how long sources take to
//! read is up to whoever writes them, and a key that is removed waits for none of that.
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
use crate::config::{BundleOrigin, Config};
use crate::evidence::Sources;

const LOOK: Duration = Duration::from_millis(500);
const FULL_LOOK: Duration = Duration::from_secs(10);
/// How long after the first sign of a change others are waited for.
const SETTLE: Duration = Duration::from_millis(20);
/// The longest rest after reading; four times what the reading took, if that is less. Whoever may write
/// to a source cannot keep a core busy.
const REST: Duration = Duration::from_millis(400);
/// A thread that has not looked for so long has stopped following.
const STUCK: Duration = Duration::from_secs(10);

/// Signs that wait to be looked at. Of what finds the queue full it is enough to know that there was
/// something: whoever can write into a folder decides how many there are.
const SIGNS: usize = 256;

/// The threads that follow changes; they end when this is dropped.
pub(super) struct Watcher {
    documents: Thread,
    sources: Thread,
    sync: Arc<Sources>,
    pulse: Arc<Pulse>,
}

struct Thread {
    signs: Signs,
    handle: Option<JoinHandle<()>>,
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
pub(super) fn start(engine: Arc<Engine>, sync: Arc<Sources>, config: &Config) -> Watcher {
    let pulse = Arc::new(Pulse { started: Instant::now(), last: AtomicU64::new(0) });
    let sources: Vec<_> = config.folders().map(|(_, path)| path.to_owned()).collect();
    let (folders, ours) = documents_of(config);
    let documents =
        Follower { what: What::Documents(Arc::clone(&pulse)), folders, ours, engine: Arc::clone(&engine) };
    let sources =
        Follower { what: What::Sources(Arc::clone(&sync)), folders: sources.clone(), ours: sources, engine };
    Watcher {
        documents: Thread::start("documents", documents),
        sources: Thread::start("sources", sources),
        sync,
        pulse,
    }
}

/// The folders that documents lie in, each once, and the paths in them that a change counts of.
fn documents_of(config: &Config) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let singles = [&config.policy, &config.deny_list, &config.system_policy];
    let bundle = config.bundle.as_ref();
    let from = bundle.and_then(|bundle| match &bundle.origin {
        BundleOrigin::Path(path) => Some(path),
        BundleOrigin::Url(_) => None,
    });
    let keys = bundle.into_iter().flat_map(|bundle| &bundle.keys).chain(&config.break_glass.keys);
    let singles: Vec<_> =
        singles.into_iter().chain(&config.platform_policy).chain(keys).chain(from).collect();
    let mut folders: Vec<_> = singles.iter().filter_map(|path| path.parent()).map(Path::to_owned).collect();
    let grants = &config.break_glass.grants;
    folders.extend([config.attestors.clone(), grants.clone()]);
    // A folder of bundles; to watch a file by itself does no harm.
    folders.extend(from.cloned());
    folders.sort();
    folders.dedup();
    let ours = singles.into_iter().chain([&config.attestors, grants]).cloned().collect();
    (folders, ours)
}

impl Thread {
    fn start(name: &str, follower: Follower) -> Self {
        let (queue, incoming) = sync_channel(SIGNS);
        let signs = Signs { queue, notes: Arc::default() };
        let watches = Watches::new(signs.clone());
        let notes = Arc::clone(&signs.notes);
        let handle = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || follower.run(watches, &incoming, &notes))
            .inspect_err(|error| tracing::error!("changes of {name} are not followed: {error}"))
            .ok();
        Self { signs, handle }
    }

    fn runs(&self) -> bool {
        self.handle.as_ref().is_some_and(|handle| !handle.is_finished())
    }

    fn stop(&self) {
        self.signs.notes.stop.store(true, Ordering::Release);
        self.signs.give(Vec::new());
    }
}

impl Watcher {
    /// Reads everything again now.
    pub(super) fn reload(&self) {
        // A thread that is gone shows in `is_alive`.
        self.documents.signs.give(Vec::new());
        self.sync.refresh();
    }

    /// Whether changes are being followed. A source that is slow to read makes its evidence old, which
    /// status tells; to start again would read it from the beginning.
    pub(super) fn is_alive(&self) -> bool {
        let last = Duration::from_millis(self.pulse.last.load(Ordering::Relaxed));
        let fresh = self.pulse.started.elapsed().saturating_sub(last) < STUCK;
        self.documents.runs() && self.sources.runs() && self.sync.is_alive() && fresh
    }
}

impl Drop for Watcher {
    /// Does not wait for a source that is being read: nothing is lost with it.
    fn drop(&mut self) {
        self.sources.stop();
        self.documents.stop();
        if let Some(handle) = self.documents.handle.take() {
            // A panic in the thread has been reported by the panic hook.
            let _ = handle.join();
        }
    }
}

/// What one thread follows.
struct Follower {
    what: What,
    /// What inotify watches.
    folders: Vec<PathBuf>,
    /// What a change must be in to count.
    ours: Vec<PathBuf>,
    engine: Arc<Engine>,
}

enum What {
    /// What decides trust; its thread tells that it lives.
    Documents(Arc<Pulse>),
    Sources(Arc<Sources>),
}

impl Follower {
    fn run(self, mut watches: Watches, signs: &Receiver<Vec<PathBuf>>, notes: &Notes) {
        watches.renew(&self.folders);
        // What changed between the first reading and the watches.
        let mut print = self.fingerprint();
        self.look();
        let mut full = Instant::now();
        let mut next = Instant::now() + LOOK;
        loop {
            let mut changed = false;
            let mut wait = next.saturating_duration_since(Instant::now());
            loop {
                match signs.recv_timeout(wait) {
                    Ok(paths) => {
                        changed |= concern(&paths, &self.ours);
                        wait = wait.min(SETTLE);
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => break,
                }
                if notes.stop.load(Ordering::Acquire) {
                    return;
                }
                if next <= Instant::now() {
                    break;
                }
            }
            changed |= notes.missed.swap(false, Ordering::AcqRel);
            if next <= Instant::now() {
                next = Instant::now() + LOOK;
                let renewed = watches.renew(&self.folders);
                changed |= match self.what {
                    What::Documents(_) => self.engine.is_due() || self.fingerprint() != print,
                    What::Sources(_) => renewed,
                };
                // Two changes within one tick of a file system's clock leave one stamp, and last good
                // versions that could not be kept are tried again.
                changed |= full.elapsed() >= FULL_LOOK;
            }
            let started = Instant::now();
            if changed {
                // The print first: a change during the reading shows at the next look.
                print = self.fingerprint();
                full = Instant::now();
                self.look();
            }
            std::thread::sleep((started.elapsed() * 4).min(REST));
            if let What::Documents(pulse) = &self.what {
                let alive = u64::try_from(pulse.started.elapsed().as_millis()).unwrap_or(u64::MAX);
                pulse.last.store(alive, Ordering::Relaxed);
            }
        }
    }

    fn look(&self) {
        match &self.what {
            What::Documents(_) => self.engine.reload(),
            What::Sources(sync) => sync.wake_local(),
        }
    }

    /// Of documents; a look at sources is one at every stamp.
    fn fingerprint(&self) -> u64 {
        match self.what {
            What::Documents(_) => self.engine.fingerprint(),
            What::Sources(_) => 0,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_followed_wherever_it_lies() {
        let config = Config {
            policy: "/etc/binauthd/policy.yaml".into(),
            deny_list: "/srv/deny/deny.yaml".into(),
            system_policy: "/usr/share/binauthd/system-policy.yaml".into(),
            platform_policy: Some("/srv/platform/platform.yaml".into()),
            attestors: "/etc/binauthd/attestors".into(),
            ..Config::default()
        };
        let (folders, ours) = documents_of(&config);
        let is_folder = |path: &PathBuf| [&config.attestors, &config.break_glass.grants].contains(&path);
        for file in ours.iter().filter(|path| !is_folder(path)) {
            assert!(folders.contains(&file.parent().unwrap().to_owned()), "{}", file.display());
            assert!(concern(std::slice::from_ref(file), &ours));
        }
        assert_eq!((ours.len(), folders.len()), (6, 6));
        assert!(folders.contains(&config.attestors) && folders.contains(&config.break_glass.grants));
        assert!(concern(&["/etc/binauthd/attestors/a.json".into()], &ours));
        assert!(!concern(&["/srv/deny/other.yaml".into()], &ours));
        // What lies together is watched once.
        assert_eq!(documents_of(&Config::default()).0.len(), 3);
    }
}
