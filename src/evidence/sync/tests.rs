use std::collections::BTreeMap;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::*;
use crate::evidence::Asker;
use crate::evidence::signed::{attestation, image, ring, two};
use crate::evidence::source::{Document, LookedUp, Page, Pages, Work};

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
}

impl Script {
    fn file(&self, images: impl IntoIterator<Item = u32>) {
        self.documents.lock().unwrap().extend(images.into_iter().map(|n| (n, attestation(n))));
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
            let documents = self.documents.lock().unwrap();
            let about = documents.values().filter(|document| document.occurrence.digest == digest);
            Ok(LookedUp { documents: about.cloned().collect(), ..LookedUp::default() })
        })
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
