use std::collections::BTreeMap;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use tokio::sync::mpsc;

use super::*;
use crate::evidence::Asker;
use crate::evidence::signed::{attestation, image, ring, two};
use crate::evidence::source::{Document, Heard, Listener, LookedUp, Page, Pages, Work};

/// A source that has what it is given, and fails when it is told to.
#[derive(Debug, Default)]
struct Script {
    documents: StdMutex<BTreeMap<u32, Document>>,
    is_away: AtomicBool,
    /// A listing ends in the middle.
    is_cut: AtomicBool,
    /// This scope cannot be listed.
    fails_at: StdMutex<Option<String>>,
    listings: AtomicUsize,
    look_ups: AtomicUsize,
    /// A listing, or look-up, that knows what it will give waits until this is no more so.
    holds_listings: AtomicBool,
    holds_look_ups: AtomicBool,
    /// How many have come to know it.
    known: AtomicUsize,
    /// So many streams break off behind their first line.
    breaks: AtomicUsize,
    /// What it tells.
    told: StdMutex<Option<mpsc::UnboundedReceiver<Heard>>>,
}

impl Script {
    fn file(&self, images: impl IntoIterator<Item = u32>) {
        self.documents.lock().unwrap().extend(images.into_iter().map(|n| (n, attestation(n))));
    }

    async fn held(&self, is_held: &AtomicBool) {
        self.known.fetch_add(1, Ordering::AcqRel);
        while is_held.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn trouble(&self) -> Result<(), SourceError> {
        let unreachable = SourceError::Unreachable { url: "test".into(), cause: "it is away".into() };
        if self.is_away.load(Ordering::Relaxed) { Err(unreachable) } else { Ok(()) }
    }
}

impl Source for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn location(&self) -> String {
        "test".to_owned()
    }

    fn list<'a>(&'a self, scope: &'a Scope, pages: &'a mut dyn Pages) -> Work<'a, Result<(), SourceError>> {
        Box::pin(async move {
            self.listings.fetch_add(1, Ordering::Relaxed);
            self.trouble()?;
            if self.fails_at.lock().unwrap().as_ref() == Some(&scope.to_string()) {
                return Err(SourceError::Unreachable { url: "test".into(), cause: "of this one".into() });
            }
            let documents: Vec<_> = self.documents.lock().unwrap().values().cloned().collect();
            self.held(&self.holds_listings).await;
            for chunk in documents.chunks(2) {
                let page = Page { documents: chunk.to_vec(), ..Page::default() };
                let not_taken = |cause| SourceError::NotTaken { scope: scope.to_string(), cause };
                pages.take(page).await.map_err(not_taken)?;
                if self.is_cut.load(Ordering::Relaxed) {
                    let (url, cause) = ("test".into(), "a token that repeats".into());
                    return Err(SourceError::Paging { url, scope: scope.to_string(), cause });
                }
            }
            Ok(())
        })
    }

    fn look_up<'a>(&'a self, _: &'a Scope, digest: Digest) -> Work<'a, Result<LookedUp, SourceError>> {
        Box::pin(async move {
            self.look_ups.fetch_add(1, Ordering::Relaxed);
            self.trouble()?;
            let mut documents: Vec<_> = self.documents.lock().unwrap().values().cloned().collect();
            self.held(&self.holds_look_ups).await;
            documents.retain(|document| document.occurrence.digest == digest);
            Ok(LookedUp { documents, ..LookedUp::default() })
        })
    }

    fn follow<'a>(
        &'a self,
        _: &'a mut Option<String>,
        listener: &'a mut dyn Listener,
    ) -> Option<Work<'a, SourceError>> {
        let one_less = |left: usize| left.checked_sub(1);
        if self.breaks.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less).is_ok() {
            return Some(Box::pin(async move {
                listener.hear(Heard::Follows).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                SourceError::Malformed { url: "test".into(), cause: "no line".into() }
            }));
        }
        let mut told = self.told.lock().unwrap().take()?;
        Some(Box::pin(async move {
            while let Some(heard) = told.recv().await {
                listener.hear(heard).await;
            }
            std::future::pending().await
        }))
    }
}

struct TestNode(Arc<KeyRing>);

impl Node for TestNode {
    fn key_ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.0)
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn changed(&self) {}
}

struct Fixture {
    script: Arc<Script>,
    ledger: Arc<Ledger>,
    look_ups: Arc<LookUps>,
    sync: Sources,
    ring: Arc<KeyRing>,
}

fn follow(folder: &std::path::Path, script: Arc<Script>, list_limit: u64) -> Fixture {
    let ledger = Arc::new(Ledger::open(folder, []).0);
    let (look_ups, queue) = LookUps::new();
    let (look_ups, ring) = (Arc::new(look_ups), Arc::new(ring("k")));
    let source = Arc::clone(&script) as Arc<dyn Source>;
    let followed = Followed { source, local: false, interval: Duration::from_secs(60), list_limit };
    let node = Arc::new(TestNode(Arc::clone(&ring)));
    let sync =
        Sources::start(Arc::clone(&ledger), Arc::clone(&look_ups), queue, node, vec![followed]).unwrap();
    Fixture { script, ledger, look_ups, sync, ring }
}

impl Fixture {
    /// Everything is listed again, or that fails.
    fn round(&self) -> SourceStatus {
        let wanted = self.sync.refresh().remove(0).1;
        wait(|| self.sync.status().remove(0).refreshed >= wanted);
        self.sync.status().remove(0)
    }

    fn knows(&self, n: u32) -> bool {
        self.ledger.evidence(image(n), &self.ring, SystemTime::now()).unwrap().evidence.is_found()
    }

    /// What is not known after a look-up.
    fn look_up(&self, n: u32) -> Option<crate::decision::Lack> {
        let wait = self.look_ups.ask(image(n), &Asker::default(), Instant::now());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        if let Some(wait) = wait {
            let in_time = async { tokio::time::timeout(Duration::from_secs(5), wait.ended()).await };
            runtime.block_on(in_time).unwrap();
        }
        self.look_ups.lack(image(n))
    }
}

fn wait(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < end, "not within 10 s");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_is_listed_counts_and_what_is_no_longer_listed_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let script = Arc::new(Script::default());
    script.file(0..5);
    let fixture = follow(folder.path(), script, 100);
    wait(|| fixture.knows(4));
    assert!((0..5).all(|n| fixture.knows(n)) && !fixture.knows(5));
    fixture.script.documents.lock().unwrap().remove(&0);
    fixture.script.file([5]);
    let status = fixture.round();
    assert!(!fixture.knows(0) && fixture.knows(5));
    assert_eq!((status.attestations, status.problem, status.scopes.len()), (5, None, 1));
    assert_eq!(status.scopes[0].scope, "projects/p/notes/a");
}

#[test]
fn a_source_that_fails_keeps_what_it_filed_and_adds_what_it_gave() {
    let folder = tempfile::tempdir().unwrap();
    let script = Arc::new(Script::default());
    script.file(0..5);
    let fixture = follow(folder.path(), script, 100);
    wait(|| fixture.knows(4));
    fixture.script.is_away.store(true, Ordering::Relaxed);
    fixture.script.documents.lock().unwrap().clear();
    let status = fixture.round();
    assert_eq!(status.problem.as_deref(), Some("`test` cannot be reached: it is away"));
    assert!((0..5).all(|n| fixture.knows(n)));
    // A listing that ends early takes nothing away either; what it gave counts.
    fixture.script.is_away.store(false, Ordering::Relaxed);
    fixture.script.is_cut.store(true, Ordering::Relaxed);
    fixture.script.file([7, 8, 9]);
    assert!(fixture.round().problem.unwrap().contains("a token that repeats"));
    assert!((0..5).all(|n| fixture.knows(n)) && fixture.knows(7) && fixture.knows(8) && !fixture.knows(9));
    fixture.script.is_cut.store(false, Ordering::Relaxed);
    assert_eq!(fixture.round().problem, None);
    assert!(!fixture.knows(0) && fixture.knows(9));
}

#[test]
fn a_miss_is_looked_up_and_a_source_that_is_away_is_not_asked_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = follow(folder.path(), Arc::default(), 100);
    fixture.round();
    fixture.script.file([1]);
    assert!(!fixture.knows(1));
    assert_eq!(fixture.look_up(1), None);
    assert!(fixture.knows(1));
    assert_eq!(fixture.look_up(2), None);
    assert!(!fixture.knows(2));
    fixture.script.is_away.store(true, Ordering::Relaxed);
    let asked = fixture.script.look_ups.load(Ordering::Relaxed);
    for n in 3..50 {
        let lack = fixture.look_up(n);
        let Some(crate::decision::Lack::Unreachable(cause)) = lack else { panic!("{lack:?}") };
        assert_eq!(cause, "source `script`: `test` cannot be reached: it is away");
    }
    assert!(fixture.script.look_ups.load(Ordering::Relaxed) - asked < 5);
    assert!(fixture.knows(1));
}

#[test]
fn what_is_too_long_to_list_is_asked_for_and_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let script = Arc::new(Script::default());
    script.file(0..10);
    let fixture = follow(folder.path(), script, 4);
    let status = fixture.round();
    assert!(status.scopes[0].lookup_only && status.problem.is_none(), "{status:?}");
    assert_eq!(fixture.look_up(9), None);
    assert!(fixture.knows(9));
    // It runs: it is asked for again without anybody asking, as soon as it is old enough.
    fixture.ledger.pin(&std::collections::HashSet::from([image(9), image(8)]));
    fixture.script.documents.lock().unwrap().remove(&8);
    let listings = fixture.script.listings.load(Ordering::Relaxed);
    fixture.round();
    wait(|| !fixture.knows(8));
    assert!(fixture.knows(9));
    assert_eq!(fixture.script.listings.load(Ordering::Relaxed), listings);
    // Whoever wants all of it to be listed wants that asked for which was asked for just now, too.
    fixture.script.documents.lock().unwrap().remove(&9);
    fixture.round();
    assert!(!fixture.knows(9));
}

#[test]
fn a_source_that_loses_too_much_is_an_alarm_until_somebody_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let script = Arc::new(Script::default());
    script.file(0..20);
    let fixture = follow(folder.path(), script, 100);
    wait(|| fixture.knows(19));
    assert!((0..20).all(|n| fixture.knows(n)));
    fixture.script.documents.lock().unwrap().clear();
    let status = fixture.round();
    assert!(status.problem.as_ref().unwrap().contains("20 of 20 digests in use would lose"), "{status:?}");
    assert_eq!(status.scopes[0].held_back.as_ref().unwrap().documents, 20);
    assert!((0..20).all(|n| fixture.knows(n)));
    assert!(fixture.sync.accept_deletions(Some("another")).unwrap_err().contains("no source `another`"));
    assert_eq!(fixture.sync.accept_deletions(None).unwrap(), 20);
    assert!(!(0..20).any(|n| fixture.knows(n)));
    assert!(fixture.round().problem.is_none());
}

#[test]
fn one_scope_that_fails_does_not_keep_others_from_their_turn() {
    let folder = tempfile::tempdir().unwrap();
    let script = Arc::new(Script::default());
    script.file(0..1);
    let ledger = Arc::new(Ledger::open(folder.path(), []).0);
    let (look_ups, queue) = LookUps::new();
    let ring = Arc::new(two());
    let source = Arc::clone(&script) as Arc<dyn Source>;
    *script.fails_at.lock().unwrap() = Some("projects/p/notes/a".to_owned());
    let followed = Followed { source, local: false, interval: Duration::from_secs(60), list_limit: 10 };
    let node = Arc::new(TestNode(Arc::clone(&ring)));
    let sync = Sources::start(Arc::clone(&ledger), Arc::new(look_ups), queue, node, vec![followed]).unwrap();
    let is_listed = |scope: &str| {
        sync.status()[0].scopes.iter().any(|one| one.scope.ends_with(scope) && one.age_seconds.is_some())
    };
    wait(|| is_listed("/b"));
    assert!(!is_listed("/a"));
}

/// A source that tells what is sent here, listed once.
fn telling(folder: &std::path::Path, images: std::ops::Range<u32>) -> (Fixture, Told) {
    let script = Arc::new(Script::default());
    script.file(images);
    let (told, heard) = mpsc::unbounded_channel();
    *script.told.lock().unwrap() = Some(heard);
    let fixture = follow(folder, script, 100_000);
    wait(|| fixture.sync.status()[0].age_seconds.is_some());
    (fixture, Told(told))
}

struct Told(mpsc::UnboundedSender<Heard>);

impl Told {
    fn filed(&self, n: u32) {
        self.0.send(Heard::Filed("projects/p/notes/a".parse().unwrap(), image(n))).unwrap();
    }

    fn gone(&self, n: u32) {
        self.0.send(Heard::Gone("projects/p/notes/a".parse().unwrap(), image(n))).unwrap();
    }
}

impl Fixture {
    fn remove(&self, n: u32) {
        self.script.documents.lock().unwrap().remove(&n).unwrap();
    }

    fn look_ups(&self) -> usize {
        self.script.look_ups.load(Ordering::Relaxed)
    }

    fn listings(&self) -> usize {
        self.script.listings.load(Ordering::Relaxed)
    }

    /// How many documents are on file, which asks for none.
    fn on_file(&self, n: u32) -> usize {
        self.ledger.documents(image(n)).unwrap().len()
    }

    /// Begins a listing that knows what it will give; whatever comes then is newer.
    fn hold_listing(&self) -> u64 {
        let known = self.script.known.load(Ordering::Acquire);
        self.script.holds_listings.store(true, Ordering::Release);
        let wanted = self.sync.refresh().remove(0).1;
        wait(|| self.script.known.load(Ordering::Acquire) > known);
        wanted
    }

    fn end_listing(&self, wanted: u64) {
        self.script.holds_listings.store(false, Ordering::Release);
        wait(|| self.sync.status()[0].refreshed >= wanted);
    }
}

fn never(mut is_so: impl FnMut() -> bool) {
    for _ in 0..100 {
        assert!(!is_so());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_known_is_looked_up_when_it_is_told_and_what_a_source_picks_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (fixture, told) = telling(folder.path(), 0..10);
    assert!(fixture.knows(0));
    // A store that has something for each digest that it names.
    let rows = fixture.ledger.disk().rows;
    fixture.script.file(1_000..6_000);
    (1_000..6_000).for_each(|n| if n % 2 == 0 { told.filed(n) } else { told.gone(n) });
    // Behind them all: one that is used, and one that is on file alone.
    fixture.remove(0);
    fixture.remove(1);
    told.gone(0);
    told.gone(1);
    wait(|| !fixture.knows(0) && fixture.on_file(1) == 0);
    assert_eq!(fixture.look_ups(), 2);
    assert_eq!(fixture.ledger.disk().rows, rows.map(|rows| rows - 2));
    // Of one that nobody asked for nothing new is filed.
    let more = crate::evidence::signed::occurrence("more", image(2), image(2));
    fixture.script.documents.lock().unwrap().insert(100_000, more);
    told.filed(2);
    told.gone(2);
    wait(|| fixture.look_ups() == 3);
    never(|| fixture.on_file(2) != 1);
    // One that was refused lately counts as soon as it is attested, though it is not asked for again yet.
    assert_eq!(fixture.look_up(20), None);
    assert!(!fixture.knows(20));
    fixture.script.file([20]);
    told.filed(20);
    let began = Instant::now();
    wait(|| fixture.knows(20));
    assert!(began.elapsed() < Duration::from_secs(1));
    // So does the first one that anybody asks for, by itself.
    fixture.script.file([21]);
    told.filed(21);
    assert_eq!(fixture.look_up(21), None);
    assert!(fixture.knows(21));
}

#[test]
fn more_changes_than_are_looked_up_are_one_listing() {
    let folder = tempfile::tempdir().unwrap();
    let (fixture, told) = telling(folder.path(), 0..2_000);
    assert!((0..2_000).all(|n| fixture.knows(n)));
    (0..2_000).for_each(|n| {
        fixture.remove(n);
        fixture.script.file([n]);
        told.filed(n);
    });
    wait(|| fixture.listings() == 2);
    never(|| fixture.listings() > 2);
    assert!(fixture.look_ups() < 900, "{}", fixture.look_ups());
}

#[test]
fn a_source_that_wants_to_be_listed_is_listed_now_and_then() {
    let folder = tempfile::tempdir().unwrap();
    let (fixture, told) = telling(folder.path(), 0..5);
    let began = Instant::now();
    let stop = Instant::now() + Duration::from_millis(3_500);
    while Instant::now() < stop {
        told.0.send(Heard::Relist).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    let listings = fixture.listings();
    assert!((2..=5).contains(&listings), "{listings} in {:?}", began.elapsed());
    // Its own rest comes first.
    let busy = SourceError::Status {
        url: "test".into(),
        status: "429 Too Many Requests".into(),
        said: String::new(),
        remedy: "wait",
        retry_after: Some(Duration::from_secs(60)),
    };
    let source = &fixture.sync.shared.sources[0];
    wait(|| fixture.listings() > listings || !source.hearsay.take_listing());
    source.weather(|weather| weather.failed("script", &busy, Instant::now()));
    let listings = fixture.listings();
    told.0.send(Heard::Relist).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    never(|| fixture.listings() > listings);
    // But not before what somebody here wants.
    assert_eq!(fixture.round().problem, None);
}

#[test]
fn a_change_that_cannot_be_looked_up_is_tried_again_and_makes_nobody_list() {
    let folder = tempfile::tempdir().unwrap();
    let (fixture, told) = telling(folder.path(), 0..50);
    assert!((0..50).all(|n| fixture.knows(n)));
    fixture.script.is_away.store(true, Ordering::Relaxed);
    fixture.remove(7);
    for _ in 0..100 {
        (0..50).for_each(|n| told.gone(n));
    }
    std::thread::sleep(Duration::from_millis(1_500));
    // The first ones at a time, and one or so when it is tried again; the others are not asked for meanwhile.
    assert!((1..=24).contains(&fixture.look_ups()), "{}", fixture.look_ups());
    assert!(fixture.sync.status()[0].problem.is_some() && fixture.knows(7));
    fixture.script.is_away.store(false, Ordering::Relaxed);
    wait(|| !fixture.knows(7));
    assert!((0..50).all(|n| n == 7 || fixture.knows(n)));
    assert_eq!(fixture.listings(), 1);
}

#[test]
fn a_deletion_that_was_told_in_an_outage_counts_once_the_source_is_heard_again() {
    let folder = tempfile::tempdir().unwrap();
    let (fixture, told) = telling(folder.path(), 0..5);
    assert!(fixture.knows(3));
    fixture.script.is_away.store(true, Ordering::Relaxed);
    fixture.remove(3);
    told.gone(3);
    // Tried at once, after a second and after two more: the next time is in four.
    std::thread::sleep(Duration::from_millis(3_800));
    fixture.script.is_away.store(false, Ordering::Relaxed);
    assert!(fixture.knows(3));
    told.0.send(Heard::Follows).unwrap();
    let began = Instant::now();
    wait(|| !fixture.knows(3));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(fixture.listings(), 1);
}

#[test]
fn of_two_look_ups_the_later_one_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (fixture, told) = telling(folder.path(), 0..0);
    fixture.script.file([1]);
    fixture.script.holds_look_ups.store(true, Ordering::Release);
    let known = fixture.script.known.load(Ordering::Acquire);
    let asked = fixture.look_ups.ask(image(1), &Asker::default(), Instant::now());
    wait(|| fixture.script.known.load(Ordering::Acquire) > known);
    // It is deleted while the answer that has it is on its way.
    fixture.remove(1);
    told.gone(1);
    never(|| fixture.look_ups() > 1);
    fixture.script.holds_look_ups.store(false, Ordering::Release);
    wait(|| fixture.look_ups() == 2 && !fixture.knows(1));
    never(|| fixture.knows(1));
    assert!(asked.is_some());
}

#[test]
fn a_deletion_that_was_told_is_not_undone_by_a_page_from_before() {
    let folder = tempfile::tempdir().unwrap();
    let (fixture, told) = telling(folder.path(), 0..5);
    assert!(fixture.knows(0));
    fixture.script.file([7]);
    let wanted = fixture.hold_listing();
    // One that is used, one that is on file, and one that the listing is about to file.
    for n in [0, 1, 7] {
        fixture.remove(n);
        told.gone(n);
    }
    wait(|| !fixture.knows(0) && fixture.on_file(1) == 0);
    fixture.end_listing(wanted);
    wait(|| !fixture.knows(0) && fixture.on_file(1) == 0 && fixture.on_file(7) == 0);
    assert_eq!((2..5).map(|n| fixture.on_file(n)).sum::<usize>(), 3);
}

#[test]
fn what_was_looked_up_behind_the_last_page_stays_and_is_no_loss() {
    let folder = tempfile::tempdir().unwrap();
    let (fixture, told) = telling(folder.path(), 0..5);
    for n in 20..40 {
        assert_eq!(fixture.look_up(n), None);
        assert!(!fixture.knows(n));
    }
    let wanted = fixture.hold_listing();
    fixture.script.file(20..40);
    (20..30).for_each(|n| told.filed(n));
    (41..45).for_each(|n| {
        fixture.script.file([n]);
        assert_eq!(fixture.look_up(n), None);
    });
    let all = || (20..30).chain(41..45).all(|n| fixture.knows(n));
    wait(all);
    fixture.end_listing(wanted);
    assert_eq!(fixture.sync.status()[0].problem, None);
    never(|| !all());
}

#[test]
fn a_stream_that_breaks_each_time_is_asked_for_less_often_and_does_not_look_well() {
    let folder = tempfile::tempdir().unwrap();
    let script = Arc::new(Script::default());
    let (told, heard) = mpsc::unbounded_channel();
    *script.told.lock().unwrap() = Some(heard);
    script.breaks.store(3, Ordering::Release);
    let began = Instant::now();
    let fixture = follow(folder.path(), Arc::clone(&script), 100);
    let tells = || fixture.sync.status().remove(0).tells;
    wait(|| tells() == Some(true));
    wait(|| script.breaks.load(Ordering::Acquire) == 0);
    // The third one, and the one that goes on.
    told.send(Heard::Follows).unwrap();
    while script.told.lock().unwrap().is_some() {
        assert_ne!(tells(), Some(true));
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = began.elapsed();
    assert!(took > Duration::from_secs(3), "half a second, one, two: {took:?}");
    never(|| tells() == Some(true));
    std::thread::sleep(Duration::from_secs(1));
    told.send(Heard::Follows).unwrap();
    wait(|| tells() == Some(true));
}
