//! Keeps the ledger as the sources are: lists each again and again, and asks them for one digest where
//! somebody wants to know.
//!
//! A thread of its own does all of it, so that a source that is slow, large or hostile holds up no answer.
//! A source that cannot be listed keeps what it filed; its age tells.

mod hearing;
mod hearsay;
mod listing;
mod round;
mod status;
mod turns;
mod weather;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use futures_util::stream::{self, FuturesUnordered};
use futures_util::{StreamExt as _, future};
use tokio::sync::{Notify, Semaphore, watch};

use super::ledger::{Ledger, Shelf};
use super::look_ups::{Absence, LookUps, Queue};
use super::source::{LookedUp, Scope, Source, SourceError};
use crate::attestation::{Filing, KeyRing, Miss};
use crate::image::Digest;
use crate::text::shown;

use hearsay::Hearsay;
pub use status::{HeldStatus, ScopeStatus, SourceStatus};
use turns::{Turn, Turns};
use weather::Weather;

/// Look-ups at a time.
const LOOK_UPS: usize = 16;
/// Scopes of one source that are asked for a digest at a time.
const SCOPES: usize = 8;
/// What a source has for the answer to one look-up, all its scopes together.
const PATIENCE: Duration = Duration::from_secs(8);
/// Between two notes of which digests were used.
const USES: Duration = Duration::from_secs(10);
/// How long the thread is waited for at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// A source and how it is followed.
#[derive(Debug)]
pub struct Followed {
    /// Where documents come from.
    pub source: Arc<dyn Source>,
    /// It lies on this node: questions wait for its first reading, and nothing is looked up there.
    pub local: bool,
    /// Between two listings, from the end of one to the beginning of the next; a tenth more or less.
    pub interval: Duration,
    /// A scope with more documents is not listed, but asked for each digest that is wanted.
    pub list_limit: u64,
}

/// What following sources needs of the node.
pub trait Node: Send + Sync + 'static {
    /// Those who may be asked whether they have attested something.
    fn key_ring(&self) -> Arc<KeyRing>;
    /// A time that never goes back.
    fn now(&self) -> SystemTime;
    /// Told when what is filed has changed.
    fn changed(&self);
    /// Told when a policy bundle was pushed, or may have been.
    fn bundle_pushed(&self) {}
}

/// Follows sources until it is dropped.
pub struct Sources {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What the tasks of the thread share.
struct Shared {
    ledger: Arc<Ledger>,
    look_ups: Arc<LookUps>,
    node: Arc<dyn Node>,
    sources: Vec<Tracked>,
}

/// A source and how it does.
struct Tracked {
    followed: Followed,
    wake: Notify,
    /// How often it was asked for that everything be listed, however lately that was done.
    wanted: AtomicU64,
    /// Which of these was the last to be answered.
    served: AtomicU64,
    /// That of the ledger when it was last listed.
    generation: AtomicU64,
    /// Which scope the next round begins with.
    first: AtomicUsize,
    weather: Mutex<Weather>,
    hearsay: Arc<Hearsay>,
    turns: Arc<Turns>,
}

/// What a look-up is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LookUp {
    /// All that there is for the digest.
    All,
    /// What is on file for it and gone.
    OnlyGone,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.shared.sources.iter().map(|one| &one.followed)).finish()
    }
}

impl Sources {
    /// Begins to follow `sources`. What they filed before counts at once.
    ///
    /// # Errors
    /// The system's, where it gives no thread.
    pub fn start(
        ledger: Arc<Ledger>,
        look_ups: Arc<LookUps>,
        queue: Queue,
        node: Arc<dyn Node>,
        sources: Vec<Followed>,
    ) -> io::Result<Self> {
        if sources.iter().any(|source| !source.local) {
            look_ups.open();
        }
        let names: Vec<_> = sources.iter().map(|source| source.source.name().to_owned()).collect();
        if let Err(error) = ledger.keep_sources(&names) {
            tracing::warn!("what sources filed that are no longer there stays: {}", crate::chain(&error));
        }
        let sources = sources.into_iter().map(Tracked::new).collect();
        let shared = Arc::new(Shared { ledger, look_ups, node, sources });
        shared.sources.iter().for_each(|source| drop(shared.open_scopes(source)));
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("sync".into()).spawn(move || {
                runtime.block_on(shared.run(queue, stopped));
                runtime.shutdown_timeout(FAREWELL);
            })?
        };
        Ok(Self { shared, stop, thread: Some(thread) })
    }

    /// Something on this node has changed: its sources are looked at.
    pub fn wake_local(&self) {
        self.shared.sources.iter().filter(|one| one.followed.local).for_each(|one| one.wake.notify_one());
    }

    /// Who may be asked has changed: what is on file of them counts at once, and what was not listed yet is.
    pub fn key_ring_changed(&self) {
        for source in self.shared.sources.iter().filter(|source| !source.followed.local) {
            if let Err(problem) = self.shared.open_scopes(source) {
                tracing::warn!("source `{}`: {problem}", source.name());
            }
            source.wake.notify_one();
        }
    }

    /// Lists everything again now. For each source the number that its status has as `refreshed` once that is
    /// done.
    pub fn refresh(&self) -> Vec<(String, u64)> {
        self.shared.refresh()
    }

    /// Whether sources are still being followed.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// What a listing would have taken away goes after all: of the source of this name, or of all. How many
    /// documents went.
    ///
    /// # Errors
    /// No source of that name, or why nothing can be taken away on disk.
    pub fn accept_deletions(&self, source: Option<&str>) -> Result<usize, String> {
        let Shared { ledger, node, sources, .. } = &*self.shared;
        if let Some(name) = source.filter(|name| !sources.iter().any(|one| one.name() == *name)) {
            return Err(format!("there is no source `{}`", shown(name, 80)));
        }
        let mut gone = 0;
        for shelf in ledger.shelves() {
            if source.is_none_or(|name| name == shelf.source) {
                gone += ledger.accept(shelf.id, node.now()).map_err(|error| crate::chain(&error))?;
            }
        }
        if gone > 0 {
            node.changed();
        }
        Ok(gone)
    }

    /// What was forgotten on purpose is given again; see [`Self::refresh`].
    pub fn forget(&self) -> Vec<(String, u64)> {
        self.shared.sources.iter().for_each(|one| one.followed.source.forget());
        self.refresh()
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by the panic hook.
            let _ = thread.join();
        }
        self.shared.ledger.write_uses();
    }
}

impl Tracked {
    fn new(followed: Followed) -> Self {
        Self {
            followed,
            wake: Notify::new(),
            wanted: AtomicU64::new(0),
            served: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            first: AtomicUsize::new(0),
            weather: Mutex::default(),
            hearsay: Arc::new(Hearsay::new(Instant::now())),
            turns: Arc::default(),
        }
    }

    fn name(&self) -> &str {
        self.followed.source.name()
    }

    /// It has not answered a look-up in time.
    fn slow(&self) -> SourceError {
        SourceError::Slow { url: self.followed.source.location(), limit: PATIENCE }
    }

    fn weather<T>(&self, look: impl FnOnce(&mut Weather) -> T) -> T {
        look(&mut self.weather.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    fn refresh(&self) -> Vec<(String, u64)> {
        let ask = |source: &Tracked| {
            let wanted = source.wanted.fetch_add(1, Ordering::AcqRel) + 1;
            source.wake.notify_one();
            (source.name().to_owned(), wanted)
        };
        self.sources.iter().map(ask).collect()
    }

    async fn run(self: Arc<Self>, queue: Queue, mut stopped: watch::Receiver<bool>) {
        let rounds = (0..self.sources.len()).map(|at| tokio::spawn(Arc::clone(&self).follow(at)));
        let mut tasks: FuturesUnordered<_> = rounds.collect();
        tasks.extend((0..self.sources.len()).map(|at| tokio::spawn(Arc::clone(&self).hear(at))));
        tasks.extend((0..self.sources.len()).map(|at| tokio::spawn(Arc::clone(&self).attend(at))));
        tasks.push(tokio::spawn(Arc::clone(&self).answer(queue)));
        tasks.push(tokio::spawn(Arc::clone(&self).note_uses()));
        tokio::select! {
            // None ends by itself: a panic in one must not leave a daemon that looks well.
            Some(_) = tasks.next() => tracing::error!("sources are not followed any more"),
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    /// Writes down what was used, and has everything given again where what was on file is lost.
    async fn note_uses(self: Arc<Self>) {
        let mut generation = self.ledger.generation();
        loop {
            tokio::time::sleep(USES).await;
            let now = self.ledger.generation();
            if std::mem::replace(&mut generation, now) != now {
                self.refresh();
            }
            let ledger = Arc::clone(&self.ledger);
            let _ = tokio::task::spawn_blocking(move || ledger.write_uses()).await;
        }
    }

    /// Asks for one digest after the other, several at a time.
    async fn answer(self: Arc<Self>, mut queue: Queue) {
        let desks = Arc::new(Semaphore::new(LOOK_UPS));
        while let Some(digest) = queue.0.recv().await {
            let Ok(desk) = Arc::clone(&desks).acquire_owned().await else { return };
            let shared = Arc::clone(&self);
            tokio::spawn(async move {
                let looked_up = tokio::spawn({
                    let shared = Arc::clone(&shared);
                    async move { shared.look_up(digest).await }
                });
                // A panic has been reported by the panic hook; nobody is to wait for ever.
                if looked_up.await.is_err() {
                    let trouble = ("the look-up came to no end".to_owned(), Duration::from_secs(1));
                    shared.look_ups.answered(digest, Err(trouble), Instant::now());
                }
                drop(desk);
            });
        }
    }

    /// Asks every source beyond this node for `digest`.
    async fn look_up(&self, digest: Digest) {
        let shelves = self.ledger.shelves();
        let asked = self.sources.iter().filter(|one| !one.followed.local).map(|source| {
            let shelves = shelves.iter().filter(|shelf| shelf.source == source.name());
            self.look_up_at(source, shelves.cloned().collect(), digest, LookUp::All)
        });
        let answers = future::join_all(asked).await;
        let news = answers.iter().any(|answer| answer.as_ref().is_ok_and(|news| *news));
        let all_are_away = answers.iter().all(Result::is_err);
        let failed = answers.into_iter().find_map(Result::err);
        if let (true, Some((cause, rest))) = (all_are_away, &failed) {
            self.look_ups.all_are_away(cause.clone(), *rest, Instant::now());
        }
        let absence = self.absence(digest).await;
        self.look_ups.answered(digest, failed.map_or(Ok(absence), Err), Instant::now());
        if news {
            self.node.changed();
        }
    }

    /// Whether one source had news; or why it has not answered, and how long it is left alone.
    async fn look_up_at(
        &self,
        source: &Tracked,
        shelves: Vec<Shelf>,
        digest: Digest,
        how: LookUp,
    ) -> Result<bool, (String, Duration)> {
        let closed = || source.weather(|weather| weather.closed(source.name(), Instant::now()));
        if let Some(trouble) = closed() {
            return Err(trouble);
        }
        let turn = &Arc::new(source.turns.take(digest).await);
        if let Some(trouble) = closed() {
            return Err(trouble);
        }
        let asked = stream::iter(shelves)
            .map(|shelf| async move { self.look_up_in(source, &shelf, digest, how, turn).await })
            .buffer_unordered(SCOPES)
            .collect::<Vec<_>>();
        let answers = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answers) => answers,
            Err(_) => vec![Err(source.slow())],
        };
        let news = answers.iter().any(|answer| answer.as_ref().is_ok_and(|news| *news));
        let Some(error) = answers.into_iter().find_map(Result::err) else { return Ok(news) };
        if news {
            self.node.changed();
        }
        Err(source.weather(|weather| weather.failed(source.name(), &error, Instant::now())))
    }

    /// Asks one scope, in somebody's `turn`. Whether it had news.
    async fn look_up_in(
        &self,
        source: &Tracked,
        shelf: &Shelf,
        digest: Digest,
        how: LookUp,
        turn: &Arc<Turn>,
    ) -> Result<bool, SourceError> {
        let LookedUp { documents, is_cut } = source.followed.source.look_up(&shelf.scope, digest).await?;
        let (ledger, scope) = (Arc::clone(&self.ledger), shelf.id);
        let (ring, now) = (self.node.key_ring(), self.node.now());
        let (hearsay, turn) = (Arc::clone(&source.hearsay), Arc::clone(turn));
        let filed = tokio::task::spawn_blocking(move || {
            if !documents.is_empty() {
                hearsay.note(digest);
            }
            let news = match (how, is_cut) {
                (LookUp::All, false) => ledger.file_looked_up(scope, digest, documents, &ring, now),
                (LookUp::OnlyGone, false) => ledger.withdraw(scope, digest, documents, &ring, now),
                // What is beyond the bound is not gone.
                (LookUp::All, true) => ledger.file(scope, &documents).unwrap_or_default(),
                (LookUp::OnlyGone, true) => false,
            };
            if news {
                hearsay.note(digest);
            }
            // Also where nobody waits for it any more, it is filed before the next one asks.
            drop(turn);
            news
        });
        Ok(filed.await.unwrap_or_default())
    }

    /// What kind of nothing there is for a digest that was asked for.
    async fn absence(&self, digest: Digest) -> Absence {
        let (ledger, ring, now) = (Arc::clone(&self.ledger), self.node.key_ring(), self.node.now());
        let known = tokio::task::spawn_blocking(move || ledger.evidence(digest, &ring, now)).await;
        let Ok(Some(answer)) = known else { return Absence::NoneFound };
        let worst = answer.evidence.misses().max();
        match worst {
            None | Some(Miss::Ambiguous | Miss::NoKeys | Miss::NoAttestation) => Absence::NoneFound,
            Some(Miss::UnknownKey(_)) => Absence::WrongKey,
            Some(_) => Absence::BadSignature,
        }
    }

    /// Scopes of a source, as the key ring asks for them.
    fn open_scopes(&self, source: &Tracked) -> Result<(), String> {
        let scopes = if source.followed.local {
            BTreeSet::from([Scope::Everything])
        } else {
            scopes(&self.node.key_ring())
        };
        let scopes: Vec<_> = scopes.into_iter().collect();
        self.ledger.open_scopes(source.name(), &scopes).map_err(|error| crate::chain(&error))
    }
}

/// Where those who may be asked file their attestations.
fn scopes(key_ring: &KeyRing) -> BTreeSet<Scope> {
    let mut scopes = BTreeSet::new();
    for filing in key_ring.filings() {
        match filing {
            Filing::Note(note) => drop(scopes.insert(Scope::Note(note.clone()))),
            Filing::Projects(projects) => scopes.extend(projects.iter().cloned().map(Scope::Project)),
        }
    }
    scopes
}

#[cfg(test)]
mod tests;
