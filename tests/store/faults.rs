//! What goes wrong: the database, a replica, a client.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::rig::{Database, Store, occurrence, text};

const NOTE: &str = "projects/sec/notes/qa";

#[test]
fn a_replica_that_is_killed_loses_nothing_for_those_who_follow() {
    let database = Database::postgres();
    let (mut one, other) = (database.open(), database.open());
    one.note("sec", "qa");
    let follower = one.follow("");
    let mut token = text(&follower.any(Duration::from_secs(10)).unwrap(), "/token");
    // What is made at one server is told by the other at once, and not when it happens to look.
    let start = Instant::now();
    let mut filed = vec![other.file("shop", NOTE, 'a')];
    let mut seen = vec![text(&follower.next(), "/filed/name")];
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    filed.extend((0..5).map(|_| other.file("shop", NOTE, 'a')));
    for _ in 0..3 {
        let line = follower.next();
        token = text(&line, "/token");
        seen.push(text(&line, "/filed/name"));
    }
    one.kill();
    filed.extend((0..5).map(|_| other.file("shop", NOTE, 'b')));
    let follower = other.follow(&format!("?token={token}"));
    while seen.len() < filed.len() {
        seen.push(text(&follower.next(), "/filed/name"));
    }
    assert_eq!(seen, filed, "each once, and in order");
}

#[test]
fn a_database_that_crashes_is_gone_on_with_and_nothing_is_half_written() {
    let mut database = Database::postgres();
    let store = database.open();
    store.note("sec", "qa");
    let follower = store.follow("");
    follower.any(Duration::from_secs(10)).unwrap();
    let before = store.file("shop", NOTE, 'a');
    assert_eq!(text(&follower.next(), "/filed/name"), before);
    let stop = AtomicBool::new(false);
    let filed = std::thread::scope(|scope| {
        let filing = scope.spawn(|| {
            let mut filed = BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                let answer = store.call("POST /v1/projects/shop/occurrences", Some(&occurrence(NOTE, 'b')));
                match answer.status {
                    200 => drop(filed.insert(text(&answer.body, "/name"))),
                    503 => assert_eq!(text(&answer.body, "/error/status"), "UNAVAILABLE", "{}", answer.body),
                    _ => panic!("{answer:?}"),
                }
            }
            filed
        });
        std::thread::sleep(Duration::from_millis(500));
        if let Database::Postgres(postgres) = &mut database {
            postgres.crash();
        }
        std::thread::sleep(Duration::from_millis(1500));
        stop.store(true, Ordering::Relaxed);
        filing.join().unwrap()
    });
    let list = store.done(&format!("GET /v1/{NOTE}/occurrences?pageSize=1000"), None);
    let there: BTreeSet<_> =
        list["occurrences"].as_array().unwrap().iter().map(|one| text(one, "/name")).collect();
    assert!(filed.is_subset(&there), "what was answered is there");
    // Whoever followed all the time has heard of all of it, each once.
    let mut heard = BTreeSet::from([before]);
    while heard.len() < there.len() {
        let name = text(&follower.next(), "/filed/name");
        assert!(heard.insert(name.clone()), "{name} was told twice");
    }
    assert_eq!(heard, there);
}

#[test]
fn a_client_that_takes_nothing_and_one_that_sends_too_much_hold_up_nobody() {
    let database = Database::sqlite();
    let store = database.open();
    store.note("sec", "qa");
    let address = store.url.strip_prefix("http://").unwrap();
    // It asks for the stream, and reads none of it.
    let mut deaf = TcpStream::connect(address).unwrap();
    deaf.write_all(b"GET /v1/changes HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut large = TcpStream::connect(address).unwrap();
    large
        .write_all(
            b"POST /v1/projects/shop/occurrences HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n",
        )
        .unwrap();
    let megabyte = vec![b'x'; 1 << 20];
    while large.write_all(&megabyte).is_ok() {}
    let mut said = String::new();
    let _ = large.read_to_string(&mut said);
    assert!(said.starts_with("HTTP/1.1 413"), "{said}");
    let follower = store.follow("");
    follower.any(Duration::from_secs(10)).unwrap();
    for _ in 0..200 {
        store.file("shop", NOTE, 'a');
    }
    for _ in 0..200 {
        assert_eq!(text(&follower.next(), "/filed/noteName"), NOTE);
    }
}

#[test]
fn a_database_that_is_full_says_so_and_keeps_what_it_has() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};

    let folder = tempfile::tempdir().unwrap();
    mount(Some("tmpfs"), folder.path(), Some("tmpfs"), MsFlags::empty(), Some("size=2m")).unwrap();
    let url = format!("sqlite://{}/store.db", folder.path().display());
    let store = Store::start(&url, &["--open-on-loopback"]);
    store.note("sec", "qa");
    let mut filed = 0;
    let refused = loop {
        let answer = store.call("POST /v1/projects/shop/occurrences", Some(&occurrence(NOTE, 'a')));
        if answer.status != 200 {
            break answer;
        }
        filed += 1;
        assert!(filed < 20_000, "a full disk takes everything");
    };
    assert_eq!(text(&refused.body, "/error/status"), "UNAVAILABLE", "{}", refused.body);
    assert!(text(&refused.body, "/error/message").contains("is full"), "{}", refused.body);
    assert_eq!(count(&store), filed, "what was answered is there, and nothing else");
    drop(store);
    umount2(folder.path(), MntFlags::MNT_DETACH).unwrap();
}

/// What is listed.
fn count(store: &Store) -> usize {
    let (mut there, mut token) = (0, String::new());
    loop {
        let page = store.done(&format!("GET /v1/{NOTE}/occurrences?pageSize=1000&pageToken={token}"), None);
        there += page["occurrences"].as_array().unwrap().len();
        token = text(&page, "/nextPageToken");
        if token.is_empty() {
            return there;
        }
    }
}

#[test]
fn a_postgresql_that_may_only_be_read_is_read() {
    let database = Database::postgres();
    let store = database.open();
    let Database::Postgres(postgres) = &database else { unreachable!() };
    let read_only = "default_transaction_read_only";
    is_read_while_it_takes_nothing(&store, "is read-only", || postgres.set(read_only, "on"));
    postgres.set(read_only, "off");
    is_written_again(&store);
}

/// Files that nobody may write, not even root and who has them open: until it is dropped.
struct Frozen([PathBuf; 2]);

impl Frozen {
    fn set(&self, how: &str) {
        let done = Command::new("chattr").arg(how).args(&self.0).status().unwrap();
        assert!(done.success(), "chattr {how} {:?}: the file system of a disk can do this", self.0);
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.set("-i");
    }
}

#[test]
fn a_sqlite_whose_files_may_only_be_read_is_read() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("store.db");
    let store = Store::start(&format!("sqlite://{}", file.display()), &["--open-on-loopback"]);
    let frozen = Frozen([file.clone(), file.with_extension("db-wal")]);
    is_read_while_it_takes_nothing(&store, "the database", || frozen.set("+i"));
    drop(frozen);
    is_written_again(&store);
}

/// Once `read_only`, nothing is written, not even half of it; what is there is read, and no follower hears of anything else.
fn is_read_while_it_takes_nothing(store: &Store, says: &str, read_only: impl FnOnce()) {
    store.note("sec", "qa");
    let follower = store.follow("");
    follower.any(Duration::from_secs(10)).unwrap();
    let mut filed = vec![store.file("shop", NOTE, 'a')];
    read_only();
    let start = Instant::now();
    let refused = loop {
        let answer = store.call("POST /v1/projects/shop/occurrences", Some(&occurrence(NOTE, 'b')));
        if answer.status != 200 {
            break answer;
        }
        filed.push(text(&answer.body, "/name"));
        assert!(start.elapsed() < Duration::from_secs(10), "it takes everything");
    };
    for refused in [
        refused,
        store.call(&format!("DELETE /v1/{}", filed[0]), None),
        store.call("POST /v1/projects/sec/notes?noteId=qb", Some(&json!({"attestation": {}}))),
        store.call("PUT /v1/projects/shop/bundle", Some(&json!({"payload": "x"}))),
    ] {
        let error = &refused.body["error"];
        assert_eq!(
            (refused.status, &error["code"], &error["status"]),
            (503, &json!(503), &json!("UNAVAILABLE"))
        );
        assert!(
            text(error, "/message").contains(says) && text(error, "/message").contains("nothing was changed"),
            "{error}"
        );
    }
    assert_eq!(count(store), filed.len());
    assert_eq!(text(&store.done(&format!("GET /v1/{}", filed[0]), None), "/name"), filed[0]);
    assert_eq!(store.call("GET /healthz", None).status, 200);
    for name in &filed {
        assert_eq!(text(&follower.next(), "/filed/name"), *name);
    }
    while let Some(line) = follower.any(Duration::from_millis(500)) {
        assert_eq!(line["heartbeat"], true, "{line}");
    }
}

fn is_written_again(store: &Store) {
    let (there, start) = (count(store), Instant::now());
    let mut filed = 0;
    while filed < 20 {
        // Connections that were opened meanwhile only read; each is found out by a change that it refuses.
        let answer = store.call("POST /v1/projects/shop/occurrences", Some(&occurrence(NOTE, 'c')));
        filed += usize::from(answer.status == 200);
        assert_eq!(count(store), there + filed, "what is answered is there, and nothing that was refused");
        assert!(start.elapsed() < Duration::from_secs(20), "it takes nothing: {answer:?}");
    }
}

#[test]
fn a_sqlite_in_a_folder_that_may_only_be_read_is_served() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};

    let database = Database::sqlite();
    let store = database.open();
    store.note("sec", "qa");
    let filed = store.file("shop", NOTE, 'a');
    // As it is left by a node that went down.
    drop(store);
    let Database::Sqlite(folder) = &database else { unreachable!() };
    let (place, none) = (folder.path(), None::<&str>);
    mount(Some(place), place, none, MsFlags::MS_BIND, none).unwrap();
    mount(none, place, none, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none).unwrap();
    let store = database.open();
    let refused = store.call("POST /v1/projects/shop/occurrences", Some(&occurrence(NOTE, 'b')));
    assert_eq!(
        (refused.status, text(&refused.body, "/error/message").as_str()),
        (503, "the database is read-only; nothing was changed")
    );
    assert_eq!(text(&store.done(&format!("GET /v1/{filed}"), None), "/name"), filed);
    drop(store);
    umount2(place, MntFlags::MNT_DETACH).unwrap();
    is_written_again(&database.open());
}
