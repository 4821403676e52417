//! What goes wrong: the database, a replica, a client.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::rig::{Database, occurrence, text};

const NOTE: &str = "projects/sec/notes/qa";

#[test]
fn a_replica_that_is_killed_loses_nothing_for_those_who_follow() {
    let database = Database::postgres();
    let (mut one, other) = (database.open(), database.open());
    one.note("sec", "qa");
    let follower = one.follow("");
    let mut token = text(&follower.any(Duration::from_secs(10)).unwrap(), "/token");
    let mut filed: Vec<_> = (0..5).map(|_| other.file("shop", NOTE, 'a')).collect();
    let mut seen = Vec::new();
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
    deaf.write_all(b"GET /v1/changes HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut large = TcpStream::connect(address).unwrap();
    large
        .write_all(
            b"POST /v1/projects/shop/occurrences HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n",
        )
        .unwrap();
    let megabyte = vec![b'x'; 1 << 20];
    while large.write_all(&megabyte).is_ok() {}
    let mut said = String::new();
    let _ = large.read_to_string(&mut said);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 413"), "{said}");
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
    let store = super::rig::Store::start(&url, &["--open-on-loopback"]);
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
    let mut there = 0;
    let mut token = String::new();
    loop {
        let page = store.done(&format!("GET /v1/{NOTE}/occurrences?pageSize=1000&pageToken={token}"), None);
        there += page["occurrences"].as_array().unwrap().len();
        token = text(&page, "/nextPageToken");
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(there, filed, "what was answered is there, and nothing else");
    drop(store);
    umount2(folder.path(), MntFlags::MNT_DETACH).unwrap();
}
