//! Files that are not what was written: whatever they are, no wrong row comes out of them and no panic.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use redb::{Database, TableDefinition};

use super::*;

/// A whole file, what was in it before the last commit, and what is in it now.
struct Sound {
    bytes: Vec<u8>,
    before: Vec<(Digest, usize)>,
    now: Vec<(Digest, usize)>,
}

const SCOPES: [&str; 2] = ["first", "second"];

fn sound() -> Sound {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path());
    let [first, second] = SCOPES.map(|scope| store.scope("s", scope));
    for batch in 0..8 {
        put(&store, first, &documents(batch * 10..batch * 10 + 10)).unwrap();
    }
    put(&store, second, &documents(0..30)).unwrap();
    store.settle(first, &[], Some(at(1_000)), false).unwrap();
    let uses: Vec<_> = documents(0..80).iter().map(|(digest, _)| (*digest, at(500))).collect();
    store.touch(&uses).unwrap();
    let (digest, text) = document(0, 0);
    store.replace_looked_up(first, digest, &[&text], at(7)).unwrap();
    let filed = || -> Vec<_> {
        (0..100)
            .map(|number| document(number, 0).0)
            .map(|digest| (digest, texts(&store, digest).len()))
            .collect()
    };
    let before = filed();
    put(&store, second, &documents(30..40)).unwrap();
    let now = filed();
    drop(store);
    Sound { bytes: fs::read(folder.path().join("evidence.redb")).unwrap(), before, now }
}

/// Reads everything, twice over, with writes in between. Says whether damage was noticed.
fn read_all(sound: &Sound, folder: &Path, what: &str) -> bool {
    let (store, problems) = Store::open(folder);
    let [first, second] = SCOPES.map(|scope| store.scope("s", scope));
    let mut noticed = !problems.is_empty();
    let mut differs = (false, false);
    for round in 0..2_u64 {
        for (number, (before, now)) in (0..).zip(sound.before.iter().zip(&sound.now)) {
            let (digest, text) = document(number, 0);
            match store.filed(digest) {
                Err(StoreError::Corrupt(_)) => noticed = true,
                Err(error) => panic!("{what}: {error:?}"),
                Ok(rows) => {
                    assert!(rows.iter().all(|row| row.text == text), "{what}: a row of another digest");
                    assert!(rows.iter().all(|row| row.id == RowId::of(&text)), "{what}");
                    differs.0 |= !noticed && rows.len() != before.1;
                    differs.1 |= !noticed && rows.len() != now.1;
                }
            }
        }
        assert!(!(differs.0 && differs.1), "{what}: rows are missing and nothing was noticed");
        for failed in [
            store.used_since(at(0)).err(),
            store.looked_up(first, document(0, 0).0).err(),
            store.scopes().err(),
            store.absent_from(second, &HashSet::new()).err(),
            store.digests(None, 1_000).err(),
            put(&store, first, &documents(1_000 + 20 * round..1_020 + 20 * round)).err(),
            store.settle(second, &[], Some(at(round)), false).err(),
        ] {
            match failed {
                Some(StoreError::Corrupt(_)) => noticed = true,
                Some(error) => panic!("{what}: {error:?}"),
                None => {}
            }
        }
    }
    // Whatever it was, it goes on.
    put(&store, second, &documents(5_000..5_010)).unwrap();
    assert_eq!(texts(&store, document(5_000, 0).0), [document(5_000, 0).1], "{what}");
    drop(store);
    let (store, problems) = Store::open(folder);
    assert_eq!(problems, Vec::<String>::new(), "{what}");
    assert_eq!(texts(&store, document(5_009, 0).0), [document(5_009, 0).1], "{what}");
    noticed
}

/// In memory where that can be had: there are many.
fn file_of(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("evidence.redb");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn a_file_that_is_cut_off_is_begun_anew() {
    let sound = sound();
    let whole = sound.bytes.len();
    for length in [0, 1, 9, 64, 200, 320, 4095, 4096, 8192, whole / 3, whole / 2, whole - 4096, whole - 1] {
        let (folder, _) = file_of(&sound.bytes[..length]);
        assert!(read_all(&sound, folder.path(), &format!("{length} bytes")), "{length} bytes");
        assert!(folder.path().join("evidence.redb.aside").exists(), "{length} bytes");
    }
    // Unless what is cut off was nothing.
    let (folder, _) = file_of(&sound.bytes);
    assert!(!read_all(&sound, folder.path(), "whole"));
}

#[test]
fn a_bit_that_flips_is_noticed_or_matters_not() {
    let sound = sound();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap()
    };
    let mut noticed = 0;
    let cases = 250;
    for case in 0..cases {
        // The header is small and says the most.
        let place = if case % 5 == 0 { next(320) } else { next(sound.bytes.len()) };
        let bit = next(8);
        let mut bytes = sound.bytes.clone();
        bytes[place] ^= 1 << bit;
        let (folder, _) = file_of(&bytes);
        noticed += u32::from(read_all(&sound, folder.path(), &format!("bit {bit} of byte {place}")));
    }
    println!("{cases} bits flipped: {noticed} noticed");
    assert!(noticed > cases / 8, "{noticed}");
}

#[test]
fn a_page_that_is_lost_or_stale_is_noticed_or_matters_not() {
    let sound = sound();
    let pages = sound.bytes.len() / 4096;
    let mut noticed = 0;
    for page in 0..pages {
        for other in [None, Some((page + 1) % pages), Some((page + pages / 2) % pages)] {
            let mut bytes = sound.bytes.clone();
            match other {
                None => bytes[page * 4096..][..4096].fill(0),
                Some(other) => bytes.copy_within(other * 4096..(other + 1) * 4096, page * 4096),
            }
            let (folder, _) = file_of(&bytes);
            noticed += u32::from(read_all(&sound, folder.path(), &format!("page {page} from {other:?}")));
        }
    }
    println!("{pages} pages: {noticed} of {} losses noticed", pages * 3);
    assert!(noticed > 20, "{noticed}");
}

#[test]
fn what_is_no_such_file_is_set_aside() {
    type Make = fn(&Path);
    let rows: [(&str, Make, &str); 7] = [
        ("text", |path| fs::write(path, "not a database").unwrap(), "magic"),
        ("empty", |path| fs::write(path, "").unwrap(), "it is empty"),
        ("folder", |path| fs::create_dir(path).unwrap(), "it is no regular file"),
        ("link", |path| symlink("/etc/passwd", path).unwrap(), "it is no regular file"),
        ("pipe", |path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR).unwrap(), "no regular file"),
        ("foreign", foreign, "meta"),
        ("newer", newer, "it is of format 2, and 1 is what is read here"),
    ];
    for (name, make, says) in rows {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("evidence.redb"), folder.path().join("evidence.redb.aside"));
        fs::write(&aside, "an earlier one").unwrap();
        make(&path);
        let (store, problems) = Store::open(folder.path());
        assert_eq!(problems.len(), 1, "{name}: {problems:?}");
        assert!(problems[0].contains("set aside as") && problems[0].contains(says), "{name}: {problems:?}");
        assert!(fs::metadata(&path).unwrap().is_file(), "{name}");
        assert!(
            !fs::symlink_metadata(&aside).unwrap().is_file()
                || fs::read(&aside).unwrap() != b"an earlier one"
        );
        // The problem ends when the sources have given everything again.
        let [first, second] = SCOPES.map(|scope| store.scope("s", scope));
        put(&store, first, &documents(0..5)).unwrap();
        store.settle(first, &[], Some(at(1)), false).unwrap();
        assert_eq!(store.problem().as_ref(), problems.first(), "{name}");
        store.replace_looked_up(second, document(0, 0).0, &[], at(1)).unwrap();
        assert_eq!(store.problem(), None, "{name}");
        drop(store);
        let (store, problems) = Store::open(folder.path());
        assert_eq!((store.stats().rows, problems), (Some(5), vec![]), "{name}");
    }
}

fn foreign(path: &Path) {
    let database = Database::create(path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<&str, &str>::new("other")).unwrap().insert("a", "b").unwrap();
    transaction.commit().unwrap();
}

fn newer(path: &Path) {
    Paths::of(path.parent().unwrap()).begin(tables::FORMAT + 1, |_| Ok(())).unwrap();
}

#[test]
fn damage_under_an_open_store_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evidence.redb");
    let (store, _) = Store::open(folder.path());
    let scope = store.scope("s", "first");
    for batch in 0..20 {
        put(&store, scope, &documents(batch * 1_000..batch * 1_000 + 1_000)).unwrap();
    }
    // More than is kept in memory.
    let length = fs::metadata(&path).unwrap().len();
    assert!(length > 2 * file::CACHE_BYTES as u64);
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].iter_mut().for_each(|byte| *byte = !*byte);
    {
        use std::os::unix::fs::FileExt as _;
        fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&bytes[4096..], 4096).unwrap();
    }
    let results: Vec<_> = (0..20_000).map(|number| (number, store.filed(document(number, 0).0))).collect();
    let noticed = results.iter().filter(|(_, result)| result.is_err()).count();
    assert_eq!(noticed, 1, "it is begun anew at the first");
    for (number, result) in results {
        match result {
            Ok(rows) => assert!(rows.iter().all(|row| row.text == document(number, 0).1)),
            Err(error) => assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}"),
        }
    }
    assert!(store.problem().unwrap().contains("set aside"));
    put(&store, scope, &documents(0..5)).unwrap();
    assert_eq!(state(&store, scope).rows, 5);
}

#[test]
fn a_file_that_somebody_else_has_open_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = Store::open(folder.path());
    let scope = first.scope("s", "first");
    put(&first, scope, &documents(0..5)).unwrap();
    let (second, problems) = Store::open(folder.path());
    assert!(problems[0].contains("another process has it open"), "{problems:?}");
    assert!(second.stats().in_memory);
    let scope = second.scope("s", "first");
    put(&second, scope, &documents(5..10)).unwrap();
    assert_eq!(texts(&second, document(5, 0).0).len(), 1);
    assert_eq!(texts(&first, document(0, 0).0).len(), 1);
    assert!(!folder.path().join("evidence.redb.aside").exists());
    drop(first);
    // From a second later on a write moves what is in memory into a file.
    std::thread::sleep(Duration::from_millis(1_100));
    put(&second, scope, &documents(10..15)).unwrap();
    assert_eq!((second.stats().in_memory, second.problem()), (false, None));
    drop(second);
    let (third, problems) = Store::open(folder.path());
    assert_eq!((third.stats().rows, problems), (Some(10), vec![]));
    assert_eq!(state(&third, scope).rows, 10);
}

/// Threads without capabilities are refused where root is not.
#[test]
fn a_folder_that_takes_no_file_is_done_without() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            caps::clear(None, caps::CapSet::Effective).unwrap();
            let (store, problems) = Store::open(folder.path());
            assert!(problems[0].contains("evidence is held in memory: "), "{problems:?}");
            assert!(problems[0].ends_with("Permission denied (os error 13)"), "{problems:?}");
            let scope = store.scope("s", "first");
            put(&store, scope, &documents(0..5)).unwrap();
            store.settle(scope, &[], Some(at(9)), false).unwrap();
            assert_eq!(texts(&store, document(1, 0).0).len(), 1);
            assert_eq!(store.stats().rows, Some(5));
            assert_eq!(store.problem().as_ref(), problems.first());

            std::thread::sleep(Duration::from_millis(1_100));
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
            store.touch(&[(document(0, 0).0, at(1))]).unwrap();
            assert_eq!((store.stats().in_memory, store.problem()), (false, None));
            assert_eq!(state(&store, scope), ScopeState { synced: Some(at(9)), rows: 5, lookup_only: false });
        });
    });
}

#[test]
fn a_file_that_may_only_be_read_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evidence.redb");
    {
        let (store, _) = Store::open(folder.path());
        put(&store, store.scope("s", "first"), &documents(0..5)).unwrap();
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let bytes = fs::read(&path).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            caps::clear(None, caps::CapSet::Effective).unwrap();
            let (store, problems) = Store::open(folder.path());
            assert!(problems[0].contains("is read and not written: "), "{problems:?}");
            let scope = store.scope("s", "first");
            assert_eq!(texts(&store, document(1, 0).0).len(), 1);
            let refused = put(&store, scope, &documents(5..6));
            assert!(matches!(refused, Err(StoreError::Io(_))), "{refused:?}");
            assert_eq!(texts(&store, document(1, 0).0).len(), 1);
        });
    });
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn what_is_held_in_memory_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let (_first, _) = Store::open(folder.path());
    let (store, _) = Store::open(folder.path());
    let scope = store.scope("s", "first");
    let large = |number: u64| (Digest::of(&number.to_be_bytes()), vec![7; 1024 * 1024]);
    let refused = (0..200).find_map(|number| put(&store, scope, &[large(number)]).err());
    assert!(matches!(refused, Some(StoreError::Full(_))), "{refused:?}");
    assert!(store.stats().file_bytes < 80 * 1024 * 1024, "{:?}", store.stats());
    assert_eq!(store.filed(large(3).0).unwrap().len(), 1);
}
