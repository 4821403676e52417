use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::image::Digest;

mod damage;

/// A document about the `number`th digest.
fn document(number: u64, copy: u64) -> (Digest, Vec<u8>) {
    let digest = Digest::of(&number.to_be_bytes());
    (digest, format!("{digest} {copy} {}", "x".repeat(800)).into_bytes())
}

fn documents(numbers: std::ops::Range<u64>) -> Vec<(Digest, Vec<u8>)> {
    numbers.map(|number| document(number, 0)).collect()
}

fn put(store: &Store, scope: ScopeId, documents: &[(Digest, Vec<u8>)]) -> Result<Vec<Digest>, StoreError> {
    let rows: Vec<_> = documents.iter().map(|(digest, text)| (*digest, text.as_slice())).collect();
    store.put(scope, &rows)
}

fn texts(store: &Store, digest: Digest) -> Vec<Vec<u8>> {
    store.filed(digest).unwrap().into_iter().map(|row| row.text).collect()
}

fn state(store: &Store, scope: ScopeId) -> ScopeState {
    store.scopes().unwrap().into_iter().find(|(_, _, id, _)| *id == scope).unwrap().3
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn what_is_put_is_there_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evidence.redb");
    let (digest, text) = document(1, 0);
    {
        let (store, problems) = Store::open(folder.path());
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let (notes, other) = (store.scope("local", "notes"), store.scope("local", "other"));
        assert_ne!(notes, other);
        assert_eq!(put(&store, notes, &documents(0..3)).unwrap().len(), 3);
        assert_eq!(put(&store, notes, &documents(1..4)).unwrap(), vec![document(3, 0).0]);
        assert_eq!(put(&store, notes, &documents(1..4)).unwrap(), vec![]);
        assert_eq!(put(&store, other, &[document(1, 0), document(1, 7)]).unwrap(), vec![digest]);
        store.settle(notes, &[], Some(at(1_000)), false).unwrap();
        store.settle(other, &[], None, true).unwrap();
    }
    let (store, problems) = Store::open(folder.path());
    assert_eq!(problems, Vec::<String>::new());
    let (notes, other) = (store.scope("local", "notes"), store.scope("local", "other"));
    assert_eq!(state(&store, notes), ScopeState { synced: Some(at(1_000)), rows: 4, lookup_only: false });
    assert_eq!(state(&store, other), ScopeState { synced: None, rows: 2, lookup_only: true });
    assert_eq!(store.scopes().unwrap().len(), 2);
    let rows = store.filed(digest).unwrap();
    assert_eq!(rows.iter().map(|row| row.scope).collect::<Vec<_>>(), [notes, other, other]);
    assert!(rows.iter().all(|row| row.id == RowId::of(&row.text)));
    assert_eq!(rows[0].text, text);
    assert_eq!(texts(&store, Digest::of(b"unknown")), Vec::<Vec<u8>>::new());
    let stats = store.stats();
    assert_eq!((stats.rows, stats.in_memory), (Some(6), false));
    assert_eq!(store.problem(), None);
}

#[test]
fn a_listing_takes_out_what_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path());
    let (notes, other) = (store.scope("s", "notes"), store.scope("s", "other"));
    put(&store, notes, &documents(0..10)).unwrap();
    put(&store, other, &documents(0..10)).unwrap();
    let present: HashSet<_> = documents(0..7).iter().map(|(_, text)| RowId::of(text)).collect();
    let gone = store.absent_from(notes, &present).unwrap();
    let expected: HashSet<_> =
        documents(7..10).iter().map(|(digest, text)| (RowId::of(text), *digest)).collect();
    assert_eq!(gone.iter().copied().collect::<HashSet<_>>(), expected);
    store.settle(notes, &gone, Some(at(5)), false).unwrap();
    assert_eq!(store.absent_from(notes, &present).unwrap(), vec![]);
    assert_eq!((state(&store, notes).rows, state(&store, other).rows), (7, 10));
    assert_eq!(texts(&store, document(8, 0).0).len(), 1, "the other scope has it still");
    // What is gone already is no error.
    store.settle(notes, &gone, Some(at(6)), false).unwrap();
    assert_eq!(state(&store, notes), ScopeState { synced: Some(at(6)), rows: 7, lookup_only: false });
}

#[test]
fn a_look_up_is_all_that_a_scope_has_for_a_digest() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path());
    let (notes, other) = (store.scope("s", "notes"), store.scope("s", "other"));
    let digest = Digest::of(b"d");
    put(&store, other, &[(digest, b"kept".to_vec())]).unwrap();
    let replace = |rows: &[&[u8]], time| store.replace_looked_up(notes, digest, rows, at(time)).unwrap();
    let rows: [(&[&[u8]], bool); 6] = [
        (&[b"a", b"b"], true),
        (&[b"b", b"a", b"a"], false),
        (&[b"b", b"c"], true),
        (&[b"b"], true),
        (&[], true),
        (&[], false),
    ];
    for (time, (found, changed)) in (0..).zip(rows) {
        assert_eq!(replace(found, time), changed, "{found:?}");
        let mut there = texts(&store, digest);
        there.sort();
        let mut expected: Vec<Vec<u8>> = found.iter().map(|text| text.to_vec()).collect();
        expected.push(b"kept".to_vec());
        expected.sort();
        expected.dedup();
        assert_eq!(there, expected);
        assert_eq!(state(&store, notes).rows, expected.len() as u64 - 1);
        assert_eq!(store.looked_up(notes, digest).unwrap(), Some(at(time)));
    }
    assert_eq!(store.looked_up(other, digest).unwrap(), None);
    store.replace_looked_up(other, digest, &[b"kept"], at(77)).unwrap();
    assert_eq!(store.looked_up(other, digest).unwrap(), Some(at(77)));
    assert_eq!(store.drop_digest(digest).unwrap(), 1);
    assert_eq!(store.drop_digest(digest).unwrap(), 0);
    assert_eq!(store.looked_up(other, digest).unwrap(), None);
    assert_eq!(state(&store, other).rows, 0);
}

#[test]
fn no_scope_hides_anothers_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path());
    let scopes: Vec<_> = (0..4).map(|number| store.scope("s", &number.to_string())).collect();
    let digest = Digest::of(b"d");
    let many: Vec<_> = (0..MAX_ROWS + 5).map(|number| (digest, format!("{number}").into_bytes())).collect();
    let large: Vec<_> = (0..20_u8).map(|number| (digest, vec![number; 1024 * 1024])).collect();
    put(&store, scopes[0], &many).unwrap();
    put(&store, scopes[1], &large).unwrap();
    put(&store, scopes[2], &many[..2]).unwrap();
    put(&store, scopes[3], &many).unwrap();
    let rows = store.filed(digest).unwrap();
    let of = |scope| rows.iter().filter(|row| row.scope == scope).count();
    assert_eq!(scopes.iter().map(|scope| of(*scope)).collect::<Vec<_>>(), [MAX_ROWS, 16, 2, MAX_ROWS]);
    assert_eq!(rows, store.filed(digest).unwrap());
}

#[test]
fn a_document_that_is_too_large_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path());
    let scope = store.scope("s", "");
    let large = vec![0; crate::attestation::occurrence::MAX_BYTES + 1];
    let result = put(&store, scope, &[(Digest::of(b"a"), b"a".to_vec()), (Digest::of(b"b"), large)]);
    assert!(matches!(result, Err(StoreError::TooLarge(1_048_577))), "{result:?}");
    assert_eq!(store.stats().rows, Some(0));
}

#[test]
fn scopes_that_are_not_kept_go_with_their_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path());
    let (gone, kept) = (store.scope("gone", "x"), store.scope("kept", "x"));
    put(&store, gone, &documents(0..25_000)).unwrap();
    put(&store, kept, &documents(0..2)).unwrap();
    assert_eq!(store.retain(&|_, _| true).unwrap(), vec![]);
    let fewer = store.retain(&|source, scope| source == "kept" && scope == "x").unwrap();
    assert_eq!(fewer.len(), 25_000);
    assert_eq!(store.stats().rows, Some(2));
    assert_eq!(store.scopes().unwrap().len(), 1);
    assert!(matches!(put(&store, gone, &documents(0..1)), Err(StoreError::Forgotten)));
    assert_eq!(texts(&store, document(1, 0).0).len(), 1);
}

#[test]
fn uses_are_remembered_for_a_week() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path());
    let scope = store.scope("s", "");
    let [a, b, c] = [b"a", b"b", b"c"].map(|text| Digest::of(text));
    let day = 24 * 3600;
    store.touch(&[(a, at(day)), (b, at(3 * day))]).unwrap();
    store.replace_looked_up(scope, a, &[], at(day)).unwrap();
    store.replace_looked_up(scope, b, &[], at(3 * day)).unwrap();
    assert_eq!(store.used_since(at(day)).unwrap(), [a, b].into());
    assert_eq!(store.used_since(at(day + 1)).unwrap(), [b].into());
    drop(store);
    let (store, _) = Store::open(folder.path());
    assert_eq!(store.used_since(at(0)).unwrap(), [a, b].into());
    store.touch(&[(c, at(9 * day))]).unwrap();
    assert_eq!(store.used_since(at(0)).unwrap(), [b, c].into());
    assert_eq!(store.looked_up(scope, a).unwrap(), None);
    assert_eq!(store.looked_up(scope, b).unwrap(), Some(at(3 * day)));
    store.touch(&[(b, at(9 * day + 10))]).unwrap();
    assert_eq!(store.used_since(at(9 * day + 10)).unwrap(), [b].into());
}

#[test]
fn digests_come_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path());
    let (one, two) = (store.scope("s", "1"), store.scope("s", "2"));
    put(&store, one, &documents(0..25)).unwrap();
    put(&store, two, &documents(0..5)).unwrap();
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let page = store.digests(seen.last().map(|(digest, _)| *digest), 10).unwrap();
        if page.is_empty() {
            break;
        }
        pages += 1;
        seen.extend(page);
    }
    assert_eq!((pages, seen.len()), (3, 25));
    assert!(seen.is_sorted());
    for (number, rows) in [(0, 2), (4, 2), (5, 1), (24, 1)] {
        assert!(seen.contains(&(document(number, 0).0, rows)), "{number}");
    }
    assert_eq!(store.digests(None, 0).unwrap(), vec![]);
}

#[test]
fn clearing_keeps_what_ids_mean() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path());
    let (one, two) = (store.scope("s", "1"), store.scope("s", "2"));
    put(&store, one, &documents(0..25)).unwrap();
    store.clear().unwrap();
    assert_eq!((store.stats().rows, store.problem()), (Some(0), None));
    assert_eq!(state(&store, one), ScopeState { synced: None, rows: 0, lookup_only: false });
    put(&store, two, &documents(0..3)).unwrap();
    drop(store);
    let (store, problems) = Store::open(folder.path());
    assert_eq!((store.scope("s", "2"), problems.len()), (two, 0));
    assert_eq!(state(&store, two).rows, 3);
    assert!(!folder.path().join("evidence.redb.aside").exists());
}

#[test]
fn reads_go_on_beside_writes_and_clearing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path());
    let scope = store.scope("s", "1");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Acquire) {
                    for number in 0..100 {
                        let (digest, text) = document(number, 0);
                        assert!(store.filed(digest).unwrap().iter().all(|row| row.text == text));
                    }
                }
            });
        }
        for round in 0..20 {
            put(&store, scope, &documents(0..100)).unwrap();
            let gone = store.absent_from(scope, &HashSet::new()).unwrap();
            assert_eq!(gone.len(), 100);
            store.settle(scope, &gone[..50], Some(at(round)), false).unwrap();
            if round % 5 == 4 {
                store.clear().unwrap();
            }
        }
        done.store(true, std::sync::atomic::Ordering::Release);
    });
    assert_eq!((store.stats().rows, store.problem()), (Some(0), None));
}
