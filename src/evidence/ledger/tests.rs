use super::*;
use crate::evidence::signed::{attestation, image, occurrence, ring};
use crate::evidence::source::Document;

/// The image that most of these are about.
fn one() -> Digest {
    image(0)
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
}

/// A ledger with one scope of a source `s`, and its id.
fn ledger(folder: &Path) -> (Ledger, ScopeId) {
    let (ledger, problems) = Ledger::open(folder, []);
    assert!(problems.is_empty(), "{problems:?}");
    ledger.open_scopes("s", &[Scope::Everything]).unwrap();
    let id = ledger.shelves()[0].id;
    (ledger, id)
}

/// Lists exactly these.
fn list(ledger: &Ledger, scope: ScopeId, documents: &[Document], ring: &KeyRing, now: SystemTime) -> Closed {
    ledger.file(scope, documents).unwrap();
    let present = documents.iter().map(|document| RowId::of(&document.text)).collect();
    ledger.close(scope, &present, ring, now).unwrap()
}

fn count(ledger: &Ledger, ring: &KeyRing, now: SystemTime) -> usize {
    ledger.evidence(one(), ring, now).unwrap().evidence.verified().count()
}

#[test]
fn evidence_follows_keys_and_listings() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, scope) = ledger(folder.path());
    let (k, other) = (ring("k"), ring("other"));
    assert_eq!(count(&ledger, &k, at(0)), 0);
    list(&ledger, scope, &[attestation(0)], &k, at(0));
    assert_eq!([&k, &k, &other, &k].map(|ring| count(&ledger, ring, at(0))), [1, 1, 0, 1]);
    // What is filed for others voids nothing.
    let before = ledger.cache().misses;
    list(&ledger, scope, &[attestation(0), attestation(1)], &k, at(0));
    assert_eq!((count(&ledger, &k, at(0)), ledger.cache().misses), (1, before));
    assert_eq!(list(&ledger, scope, &[], &k, at(0)), Closed::Taken(2));
    assert_eq!((count(&ledger, &k, at(0)), ledger.cache().found, ledger.cache().absent), (0, 0, 1));
}

#[test]
fn what_was_filed_is_checked_again_after_a_start_and_its_age_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring("k");
    let age = |ledger: &Ledger, now| ledger.evidence(one(), &ring, now).unwrap().age;
    {
        let (ledger, scope) = ledger(folder.path());
        assert_eq!(age(&ledger, at(0)), None, "nothing was ever listed");
        list(&ledger, scope, &[attestation(0)], &ring, at(10));
        assert_eq!(age(&ledger, at(13)), Some(Duration::from_secs(3)));
    }
    let (ledger, scope) = ledger(folder.path());
    assert_eq!((count(&ledger, &ring, at(70)), ledger.cache().misses), (1, 1));
    assert_eq!(age(&ledger, at(70)), Some(Duration::from_secs(60)));
    // A look-up makes what is known of one digest younger.
    assert!(!ledger.file_looked_up(scope, one(), vec![attestation(0)], &ring, at(100)));
    assert_eq!(age(&ledger, at(101)), Some(Duration::from_secs(1)));
    // Of a scope that is only looked up, nothing but that counts.
    ledger.only_look_up(scope, 1, at(200)).unwrap();
    ledger.cache.outdate_all();
    assert_eq!(age(&ledger, at(201)), Some(Duration::from_secs(101)));
}

#[test]
fn a_question_waits_for_the_first_reading_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(folder.path(), ["local"]);
    let (ring, digest) = (ring("k"), one());
    assert!(ledger.evidence(digest, &ring, at(0)).is_none());
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ledger.evidence(digest, &ring, at(0)).is_some());
        std::thread::sleep(Duration::from_millis(20));
        assert!(!asked.is_finished());
        ledger.has_read("local");
        assert!(asked.join().unwrap());
    });
}

#[test]
fn unknown_digests_push_out_no_attested_one() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, scope) = ledger(folder.path());
    let ring = ring("k");
    list(&ledger, scope, &[attestation(0)], &ring, at(0));
    assert_eq!(count(&ledger, &ring, at(0)), 1);
    for n in 1..20_000 {
        let digest = image(n);
        assert!(!ledger.evidence(digest, &ring, at(0)).unwrap().evidence.is_found());
    }
    let before = ledger.cache();
    assert_eq!(count(&ledger, &ring, at(0)), 1);
    assert_eq!(ledger.cache().hits, before.hits + 1);
    assert_eq!((before.found, before.absent), (1, 2_048));
}

#[test]
fn an_abrupt_loss_is_held_back_until_somebody_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, scope) = ledger(folder.path());
    let ring = ring("k");
    let documents: Vec<_> = (0..12).map(attestation).collect();
    list(&ledger, scope, &documents, &ring, at(0));
    let known = |ledger: &Ledger| {
        let found = |n: &u32| ledger.evidence(image(*n), &ring, at(0)).unwrap().evidence.is_found();
        (0..12).filter(found).count()
    };
    // Nobody has used them: they may go and come back.
    assert_eq!(list(&ledger, scope, &[], &ring, at(0)), Closed::Taken(12));
    list(&ledger, scope, &documents, &ring, at(0));
    assert_eq!(known(&ledger), 12);
    // All are in use now. Nine may go at once, ten may not.
    assert_eq!(list(&ledger, scope, &documents[9..], &ring, at(1)), Closed::Taken(9));
    list(&ledger, scope, &documents, &ring, at(2));
    assert_eq!(known(&ledger), 12);
    let held = list(&ledger, scope, &documents[10..], &ring, at(3));
    assert_eq!(held, Closed::HeldBack(Loss { lost: 10, used: 12 }));
    assert_eq!(known(&ledger), 12);
    // It does not grow younger meanwhile.
    let age = ledger.evidence(one(), &ring, at(10)).unwrap().age;
    assert_eq!(age, Some(Duration::from_secs(8)));
    // Replaced by what does not verify, they are gone as well.
    let spoilt: Vec<_> = (0..12).map(|n| occurrence("x", image(n), image(99))).collect();
    assert!(matches!(list(&ledger, scope, &spoilt, &ring, at(4)), Closed::HeldBack(_)));
    assert_eq!(known(&ledger), 12);
    // A copy under another name is no loss.
    let copies: Vec<_> = (0..12).map(|n| occurrence(&format!("copy-{n}"), image(n), image(n))).collect();
    assert_eq!(list(&ledger, scope, &copies, &ring, at(5)), Closed::Taken(24));
    assert_eq!(known(&ledger), 12);
    assert!(matches!(list(&ledger, scope, &[], &ring, at(6)), Closed::HeldBack(_)));
    assert_eq!(ledger.accept(scope, at(7)).unwrap(), 12);
    assert_eq!((known(&ledger), ledger.accept(scope, at(8)).unwrap()), (0, 0));
}

#[test]
fn only_open_scopes_count() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, scope) = ledger(folder.path());
    let ring = ring("k");
    list(&ledger, scope, &[attestation(0)], &ring, at(0));
    assert_eq!(count(&ledger, &ring, at(0)), 1);
    ledger.open_scopes("s", &[]).unwrap();
    assert_eq!(count(&ledger, &ring, at(0)), 0);
    ledger.open_scopes("s", &[Scope::Everything]).unwrap();
    assert_eq!(count(&ledger, &ring, at(0)), 1);
    ledger.keep_sources(&["other".to_owned()]).unwrap();
    ledger.open_scopes("s", &[Scope::Everything]).unwrap();
    assert_eq!(count(&ledger, &ring, at(0)), 0);
}

#[test]
fn what_is_forgotten_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, scope) = ledger(folder.path());
    let (ring, digest) = (ring("k"), one());
    for forget in [Ledger::clear, |ledger: &Ledger| ledger.drop_digest(one())] {
        list(&ledger, scope, &[attestation(0)], &ring, at(0));
        assert_eq!((count(&ledger, &ring, at(0)), ledger.documents(digest).unwrap().len()), (1, 1));
        forget(&ledger).unwrap();
        assert_eq!((count(&ledger, &ring, at(0)), ledger.documents(digest).unwrap().len()), (0, 0));
    }
}

#[test]
fn look_ups_that_find_less_and_less_are_held_back_too() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, scope) = ledger(folder.path());
    let ring = ring("k");
    for n in 0..30 {
        assert!(ledger.file_looked_up(scope, image(n), vec![attestation(n)], &ring, at(0)));
    }
    let known = || {
        let found = |n: &u32| ledger.evidence(image(*n), &ring, at(1)).unwrap().evidence.is_found();
        (0..30).filter(found).count()
    };
    assert_eq!(known(), 30);
    for n in 0..30 {
        ledger.file_looked_up(scope, image(n), Vec::new(), &ring, at(2));
    }
    assert_eq!(known(), 21, "nine may go");
    let held = ledger.shelves()[0].held.clone().unwrap();
    assert_eq!((held.gone.len(), held.loss.used), (21, 30));
    // What comes back is no loss; what is agreed to is gone.
    ledger.file_looked_up(scope, image(29), vec![attestation(29)], &ring, at(3));
    assert_eq!(ledger.accept(scope, at(4)).unwrap(), 20);
    assert_eq!(known(), 1);
}
