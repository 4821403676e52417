//! The evidence store against what befalls its process and its disk: kills at any moment, a disk that is
//! full and is not any more. Figures by size come from a test that is ignored:
//! `cargo test --release --test evidence_store -- --ignored --nocapture figures`.
#![cfg(feature = "full")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use binauthd::evidence::store::{RowId, ScopeId, Store, StoreError};
use binauthd::image::Digest;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Where the child of a test works, and what it is to do there.
const FOLDER: &str = "BINAUTHD_TEST_STORE";
const BATCH: u64 = 50;

fn document(number: u64) -> (Digest, Vec<u8>) {
    let digest = Digest::of(&number.to_be_bytes());
    // Not all the same: the size is that of an occurrence with one signature.
    let mut text = format!("{number} ").into_bytes();
    while text.len() < 900 {
        text.extend(Digest::of(&[number.to_be_bytes(), text.len().to_be_bytes()].concat()).hex().bytes());
    }
    text.truncate(900);
    (digest, text)
}

fn put(store: &Store, scope: ScopeId, numbers: std::ops::Range<u64>) -> Result<Vec<Digest>, StoreError> {
    let documents: Vec<_> = numbers.map(document).collect();
    let rows: Vec<_> = documents.iter().map(|(digest, text)| (*digest, text.as_slice())).collect();
    store.put(scope, &rows)
}

fn has(store: &Store, number: u64) -> bool {
    let (digest, text) = document(number);
    let rows = store.filed(digest).unwrap();
    assert!(rows.len() <= 1 && rows.iter().all(|row| row.text == text), "document {number}");
    !rows.is_empty()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Runs a test of this program by itself, in `folder`.
fn child(test: &str, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture"]).env(FOLDER, folder);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The lines that a child says, as numbers behind `word`.
fn numbers(line: &str, word: &str) -> Option<u64> {
    line.split_once(word)?.1.trim().parse().ok()
}

/// What a batch consists of: its documents, and that those of the batch three before are gone.
#[test]
#[ignore = "writes until it is killed; run by a_kill_leaves_whole_batches"]
fn writes_batches() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (store, problems) = Store::open(Path::new(&folder));
    assert_eq!(problems, Vec::<String>::new());
    let scope = store.scope("s", "notes");
    let synced = store.scopes().unwrap()[0].3.synced;
    let first = synced.map_or(0, |at| at.duration_since(UNIX_EPOCH).unwrap().as_secs());
    println!("\nbegins {first}");
    for batch in first.. {
        put(&store, scope, batch * BATCH..(batch + 1) * BATCH).unwrap();
        println!("put {batch}");
        let gone: Vec<_> =
            batch.checked_sub(3).map_or(0..0, |old| old * BATCH..(old + 1) * BATCH).map(document).collect();
        let gone: Vec<_> = gone.iter().map(|(digest, text)| (RowId::of(text), *digest)).collect();
        store.settle(scope, &gone, Some(at(batch + 1)), false).unwrap();
        println!("settled {batch}");
    }
}

#[test]
fn a_kill_leaves_whole_batches() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let (mut put_before, mut settled_before) = (None, None);
    let mut slowest = Duration::ZERO;
    for kill in 0..20 {
        let mut child = child("writes_batches", folder.path());
        let said = BufReader::new(child.stdout.take().unwrap());
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let patience = Duration::from_micros(random % 400_000);
        let mut killer = None;
        for line in said.lines() {
            let line = line.unwrap();
            if line.contains("begins") {
                killer = Some(std::thread::spawn(move || {
                    std::thread::sleep(patience);
                    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
                }));
            }
            put_before = numbers(&line, "put ").or(put_before);
            settled_before = numbers(&line, "settled ").or(settled_before);
        }
        killer.expect("the child said nothing").join().unwrap();
        child.wait().unwrap();

        let start = Instant::now();
        let (store, problems) = Store::open(folder.path());
        slowest = slowest.max(start.elapsed());
        assert_eq!(problems, Vec::<String>::new(), "kill {kill}");
        let state = store.scopes().unwrap().first().map(|scope| scope.3);
        let settled = state
            .and_then(|state| state.synced)
            .map_or(0, |at| at.duration_since(UNIX_EPOCH).unwrap().as_secs());
        assert!(
            settled >= settled_before.map_or(0, |batch| batch + 1),
            "kill {kill}: {settled} {settled_before:?}"
        );
        let mut rows = 0;
        for batch in 0..settled + 3 {
            let there =
                (batch * BATCH..(batch + 1) * BATCH).filter(|number| has(&store, *number)).count() as u64;
            assert!(there == 0 || there == BATCH, "kill {kill}: {there} of batch {batch}");
            let gone = batch + 3 < settled;
            let acknowledged = put_before.is_some_and(|put| batch <= put);
            assert!(!gone || there == 0, "kill {kill}: batch {batch} came back");
            assert!(gone || !acknowledged || there == BATCH, "kill {kill}: batch {batch} is lost");
            rows += there;
        }
        assert_eq!(state.map_or(0, |state| state.rows), rows, "kill {kill}");
        assert_eq!(store.stats().rows, Some(rows), "kill {kill}");
        println!("kill {kill}: {rows} documents after {settled} settled batches");
    }
    println!("slowest opening after a kill: {slowest:?}");
    assert!(settled_before.is_some());
}

/// A small file system of its own.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=700");
        mount(Some("tmpfs"), folder.path(), Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
            .expect("mounting needs root");
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, flags: MsFlags) {
        mount(None::<&str>, self.path(), None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>).unwrap();
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = fs::File::create(self.path().join("ballast")).unwrap();
        let block = [1; 4096];
        while file.write_all(&block).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(self.path(), MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_stops_writes_and_not_reads() {
    let disk = Disk::new("16m");
    let (store, problems) = Store::open(disk.path());
    assert_eq!(problems, Vec::<String>::new());
    let scope = store.scope("s", "notes");
    put(&store, scope, 0..1_000).unwrap();
    disk.fill();
    let (mut committed, mut refused) = (1_000, 0);
    for round in 0..200_u64 {
        match put(&store, scope, committed..committed + 10) {
            Ok(_) => committed += 10,
            Err(error @ StoreError::Full(_)) => {
                refused += 1;
                assert!(binauthd::chain(&error).contains("No space left on device"), "{error:?}");
            }
            Err(error) => panic!("{error:?}"),
        }
        for number in (round * 7 % 50..1_000).step_by(50) {
            assert!(has(&store, number), "document {number} at round {round}");
        }
    }
    assert!(refused > 100, "{refused}");
    assert!(store.problem().unwrap().contains("is read and not written: "), "{:?}", store.problem());
    // A second later it is tried again, in vain, and reads go on.
    std::thread::sleep(Duration::from_millis(1_100));
    assert!(matches!(put(&store, scope, committed..committed + 1_000), Err(StoreError::Full(_))));
    assert!((0..committed).all(|number| has(&store, number)));
    assert!(matches!(put(&store, scope, committed..committed + 1_000), Err(StoreError::Full(_))));
    // A start on a full disk.
    drop(store);
    let (store, _) = Store::open(disk.path());
    assert!((0..committed).all(|number| has(&store, number)));
    assert!(matches!(put(&store, scope, committed..committed + 1_000), Err(StoreError::Full(_))));
    assert!((0..committed).all(|number| has(&store, number)));

    disk.free();
    std::thread::sleep(Duration::from_millis(1_100));
    put(&store, scope, committed..committed + 1_000).unwrap();
    assert_eq!(store.problem(), None);
    assert!((0..committed + 1_000).all(|number| has(&store, number)));
    assert!(!disk.path().join("evidence.redb.aside").exists(), "a full disk is no damage");
    drop(store);
    let (store, problems) = Store::open(disk.path());
    assert_eq!((store.stats().rows, problems), (Some(committed + 1_000), vec![]));
}

#[test]
fn a_start_without_room_is_made_up_for() {
    let disk = Disk::new("1m");
    disk.fill();
    let (store, problems) = Store::open(disk.path());
    assert!(problems[0].contains("evidence is held in memory: "), "{problems:?}");
    let scope = store.scope("s", "notes");
    put(&store, scope, 0..100).unwrap();
    assert!((0..100).all(|number| has(&store, number)));
    disk.free();
    std::thread::sleep(Duration::from_millis(1_100));
    put(&store, scope, 100..200).unwrap();
    assert_eq!((store.problem(), store.stats().in_memory), (None, false));
    drop(store);
    let (store, _) = Store::open(disk.path());
    assert!((0..200).all(|number| has(&store, number)));
}

#[test]
fn a_file_system_that_turns_read_only_is_read() {
    let disk = Disk::new("16m");
    let (store, _) = Store::open(disk.path());
    let scope = store.scope("s", "notes");
    put(&store, scope, 0..1_000).unwrap();
    drop(store);
    disk.remount(MsFlags::MS_RDONLY);
    let (store, problems) = Store::open(disk.path());
    assert!(problems[0].contains("Read-only file system"), "{problems:?}");
    assert!(matches!(put(&store, scope, 1_000..1_001), Err(StoreError::Io(_))));
    assert!((0..1_000).all(|number| has(&store, number)));
    disk.remount(MsFlags::empty());
    std::thread::sleep(Duration::from_millis(1_100));
    put(&store, scope, 1_000..1_001).unwrap();
    assert_eq!(store.problem(), None);
}

/// Resident bytes of this process now, and the most it ever had, in MiB.
fn resident() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let kib = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    (kib("VmRSS:") / 1024, kib("VmHWM:") / 1024)
}

#[test]
#[ignore = "takes minutes"]
fn figures() {
    for (test, rows) in FIGURES {
        let folder = tempfile::tempdir().unwrap();
        let mut child = child(test, folder.path());
        let said = BufReader::new(child.stdout.take().unwrap());
        for line in said.lines() {
            let line = line.unwrap();
            if let Some((_, figures)) = line.split_once("figures: ") {
                println!("{figures}");
            }
            if line.contains("written") {
                child.kill().unwrap();
            }
        }
        let start = Instant::now();
        let (store, problems) = Store::open(folder.path());
        let open = start.elapsed();
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(store.stats().rows, Some(*rows));
        println!("{rows} documents: opened {open:?} after SIGKILL");
        child.wait().unwrap();
    }
}

macro_rules! figures_of {
    ($($test:ident $rows:literal by $batch:literal)*) => {
        const FIGURES: &[(&str, u64)] = &[$((stringify!($test), $rows)),*];
        $(
            #[test]
            #[ignore = "run by figures"]
            fn $test() {
                let Some(folder) = std::env::var_os(FOLDER) else { return };
                measure(Path::new(&folder), $rows, $batch);
            }
        )*
    };
}
figures_of! {
    figures_of_1_000 1_000 by 1_000
    figures_of_100_000 100_000 by 1_000
    figures_of_100_000_by_5_000 100_000 by 5_000
    figures_of_1_000_000 1_000_000 by 5_000
}

fn measure(folder: &Path, rows: u64, at_once: u64) {
    let empty = resident();
    let (store, _) = Store::open(folder);
    let scope = store.scope("s", "notes");
    let mut writing = Duration::ZERO;
    for batch in 0..rows / at_once {
        let documents: Vec<_> = (batch * at_once..(batch + 1) * at_once).map(document).collect();
        let batch: Vec<_> = documents.iter().map(|(digest, text)| (*digest, text.as_slice())).collect();
        let start = Instant::now();
        store.put(scope, &batch).unwrap();
        writing += start.elapsed();
    }
    store.settle(scope, &[], Some(at(1)), false).unwrap();
    let written = resident();
    drop(store);
    let start = Instant::now();
    let (store, _) = Store::open(folder);
    let open = start.elapsed();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut took: Vec<_> = (0..20_000)
        .map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let digest = document(random % rows).0;
            let start = Instant::now();
            assert_eq!(store.filed(digest).unwrap().len(), 1);
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    let read = resident();
    let start = Instant::now();
    assert_eq!(store.absent_from(scope, &HashSet::new()).unwrap().len() as u64, rows);
    let compared = start.elapsed();
    println!(
        "\nfigures: {rows} documents: put {:.2?} ({:.2?} per {at_once}), opened {open:.2?}, filed() median {:.1?} p99 {:.1?}, \
         compared {compared:.2?}, file {} MiB, resident {} MiB written {} MiB read {} MiB (most {} MiB)",
        writing,
        writing / u32::try_from(rows / at_once).unwrap(),
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        store.stats().file_bytes >> 20,
        empty.0,
        written.0,
        read.0,
        read.1,
    );
    println!("figures: written");
    std::thread::sleep(Duration::from_secs(60));
}
