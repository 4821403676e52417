use super::*;
use crate::evidence::brake::Loss;
use crate::evidence::signed::{attestation, image, occurrence, ring};
use crate::evidence::source::{Document, Scope};
use crate::evidence::store::RowId;

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
    ledger.close(scope, &present, ring, now, &mut HashSet::new(), |_| false).unwrap()
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

#[test]
fn scopes_that_each_lose_a_little_are_held_back_together() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, ring) = (Ledger::open(folder.path(), []).0, ring("k"));
    ledger.open_scopes("s", &["p", "q"].map(|project| Scope::Project(project.into()))).unwrap();
    let [one, other] = [0, 1].map(|at| ledger.shelves()[at].id);
    list(&ledger, one, &(0..9).map(attestation).collect::<Vec<_>>(), &ring, at(0));
    list(&ledger, other, &(9..18).map(attestation).collect::<Vec<_>>(), &ring, at(0));
    assert!((0..18).all(|n| ledger.evidence(image(n), &ring, at(0)).unwrap().evidence.is_found()));
    let mut lost = HashSet::new();
    let mut empty = |scope| ledger.close(scope, &HashSet::new(), &ring, at(1), &mut lost, |_| false).unwrap();
    assert_eq!(empty(one), Closed::Taken(9));
    assert_eq!(empty(other), Closed::HeldBack(Loss { lost: 18, used: 18 }));
}

#[test]
fn what_was_verified_stays_however_much_is_filed_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, scope) = ledger(folder.path());
    let ring = ring("k");
    let flood = |n: u32| {
        let bad = |at: u32| {
            let mut bad = occurrence(&format!("bad-{at}"), image(n), image(99));
            let mut text = bad.text.into_vec();
            text.resize(1_000_000, b' ');
            bad.text = text.into();
            bad
        };
        (0..40).map(bad).collect::<Vec<_>>()
    };
    let id = |document: &Document| RowId::of(&document.text);
    // One that is read after more than is read.
    let is_last = |n: &u32| {
        let good = id(&attestation(*n));
        flood(*n).iter().filter(|bad| id(bad) < good).count() > 20
    };
    let n = (0..50).find(is_last).unwrap();
    list(&ledger, scope, &[attestation(n)], &ring, at(0));
    assert!(found(&ledger, &ring, n));
    ledger.file(scope, &flood(n)).unwrap();
    assert!(!ledger.store.filed(image(n)).unwrap().iter().any(|row| row.id == id(&attestation(n))));
    assert!(found(&ledger, &ring, n));
    // Nor does it hide what goes.
    let (gone, mut losing) = ([(id(&attestation(n)), image(n))], HashSet::new());
    ledger.loss(&gone, &ring, at(1), &mut losing).unwrap();
    assert_eq!(losing, HashSet::from([image(n)]));
}

fn found(ledger: &Ledger, ring: &KeyRing, n: u32) -> bool {
    ledger.evidence(image(n), ring, at(1)).unwrap().evidence.is_found()
}

#[test]
fn what_could_not_be_written_counts_no_longer_than_its_source_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, scope) = ledger(folder.path());
    let ring = ring("k");
    let forgets: [&dyn Fn(); 2] =
        [&|| assert!(!ledger.file_looked_up(scope, one(), Vec::new(), &ring, at(1))), &|| {
            assert_eq!(list(&ledger, scope, &[], &ring, at(1)), Closed::Taken(0))
        }];
    for forget in forgets {
        ledger.unwritten().push((one(), scope, vec![attestation(0)]));
        ledger.cache.outdate_all();
        assert_eq!(count(&ledger, &ring, at(0)), 1);
        forget();
        ledger.cache.outdate_all();
        assert_eq!(count(&ledger, &ring, at(1)), 0);
    }
}

#[test]
fn a_source_that_is_old_makes_nothing_old_that_another_has() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, fresh) = ledger(folder.path());
    ledger.open_scopes("t", &[Scope::Everything]).unwrap();
    let old = ledger.shelves().iter().map(|shelf| shelf.id).find(|id| *id != fresh).unwrap();
    let ring = ring("k");
    let age = |n, now| ledger.evidence(image(n), &ring, now).unwrap().age.map(|age| age.as_secs());
    // Both have 0; 1 is attested by the fresh one, and the old one has filed rubbish for it.
    list(&ledger, old, &[attestation(0), occurrence("x", image(1), image(9)), attestation(2)], &ring, at(0));
    list(&ledger, fresh, &[attestation(0), attestation(1)], &ring, at(100));
    assert_eq!([0, 1, 2, 3].map(|n| age(n, at(101))), [Some(1), Some(1), Some(101), Some(101)]);
    // A time that has not come makes nothing fresh.
    assert_eq!(age(0, at(40)), Some(40));
}

#[test]
fn a_listing_says_nothing_of_what_was_heard_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, scope) = ledger(folder.path());
    let ring = ring("k");
    ledger.file(scope, &(0..40).map(attestation).collect::<Vec<_>>()).unwrap();
    (0..40).for_each(|n| assert!(found(&ledger, &ring, n)));
    // All of them were looked up behind the last page: that is no loss, and no fault.
    let close = |heard: u32| {
        let heard: HashSet<_> = (0..heard).map(image).collect();
        let is_heard = |digest: Digest| heard.contains(&digest);
        ledger.close(scope, &HashSet::new(), &ring, at(1), &mut HashSet::new(), is_heard).unwrap()
    };
    assert_eq!(close(40), Closed::Taken(0));
    assert_eq!(ledger.shelves()[0].state.rows, 40);
    assert_eq!(close(35), Closed::Taken(5));
    assert_eq!((found(&ledger, &ring, 34), found(&ledger, &ring, 35)), (true, false));
    assert_eq!(ledger.shelves()[0].state.rows, 35);
    assert!(matches!(close(0), Closed::HeldBack(_)));
}

#[test]
fn what_a_digest_is_to_this_node_and_what_is_withdrawn_of_one_that_nobody_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, scope) = ledger(folder.path());
    let ring = ring("k");
    let more = |name: &str| occurrence(name, image(1), image(1));
    ledger.file(scope, &[attestation(0), attestation(1), more("a"), attestation(2)]).unwrap();
    assert!(found(&ledger, &ring, 0) && !found(&ledger, &ring, 9));
    ledger.pin(&HashSet::from([image(3)]));
    let standings = [0, 9, 3, 1, 4].map(|n| ledger.standing(image(n)));
    let (wanted, filed) = (Standing::Wanted, Standing::Filed);
    assert_eq!(standings, [wanted, wanted, wanted, filed, Standing::Unknown]);
    // Also after a start.
    ledger.write_uses();
    ledger.cache.outdate_all();
    assert!(ledger.store.is_used(image(0)).unwrap() && !ledger.store.is_used(image(1)).unwrap());

    let rows = |n: u32| ledger.documents(image(n)).unwrap().len();
    assert!(!ledger.withdraw(scope, image(1), vec![attestation(1), more("a"), more("b")], &ring, at(1)));
    assert!(!ledger.withdraw(scope, image(4), vec![attestation(4)], &ring, at(1)));
    assert_eq!((rows(1), rows(4)), (2, 0), "what is new is not filed");
    assert!(ledger.withdraw(scope, image(1), vec![more("a"), more("b")], &ring, at(1)));
    assert_eq!(rows(1), 1);
    assert!(ledger.withdraw(scope, image(2), vec![], &ring, at(1)));
    assert_eq!(rows(2), 0);
}
