//! What a client may take, and what nobody may do by mistake.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::rig::{Database, Store, on_both, program, text};

#[test]
fn what_is_open_is_open_to_no_web_page() {
    let database = Database::sqlite();
    let store = database.open();
    let list = "GET /v1/projects/p/notes";
    for (header, status) in [
        ("Accept: */*", 200),
        ("Host: localhost:8080", 200),
        ("Host: [::1]:8080", 200),
        ("Host: attacker.example", 403),
        ("Host: 10.0.0.1", 403),
        ("Origin: http://attacker.example", 403),
        ("Origin: null", 403),
    ] {
        let answer = store.with("").header(header).call(list, None);
        assert_eq!(answer.status, status, "{header}: {}", answer.body);
    }
}

#[test]
fn a_stranger_has_seconds_to_say_who_it_is() {
    let database = Database::sqlite();
    let viewer = database.verb(&["access", "add", "node", "--role", "viewer"]);
    let store = Store::start(&database.url(), &[]);
    let address = store.url.strip_prefix("http://").unwrap();
    let open = || TcpStream::connect(address).unwrap();
    let start = Instant::now();
    let mut silent = open();
    let mut unknown = open();
    unknown.write_all(b"GET /v1/projects/p/notes HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let ask = |stream: &mut TcpStream| {
        let token = viewer.trim();
        let call =
            format!("GET /v1/projects/p/notes HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(call.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    };
    let until_end = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).map(|_| said)
    };
    assert_eq!(until_end(&mut silent).unwrap(), "");
    assert!(until_end(&mut unknown).unwrap().starts_with("HTTP/1.1 401"));
    assert!((5..25).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    // More strangers than one address may have, and all of them silent: none of them keeps out who says who it is, on a new
    // connection or on one that it has.
    let mut known = open();
    assert!(ask(&mut known).starts_with("HTTP/1.1 200"));
    let mut strangers: Vec<_> = (0..600).map(|_| open()).collect();
    let start = Instant::now();
    assert!(ask(&mut open()).starts_with("HTTP/1.1 200"));
    assert!(ask(&mut known).starts_with("HTTP/1.1 200"));
    // Who has waited longest has made room.
    assert_eq!(until_end(&mut strangers[0]).unwrap(), "");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(strangers);
    // A flood of tokens that nobody has holds up nobody who has one.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..25 {
                    let answer = store.with(&format!("bst_{number}")).call("GET /v1/projects/p/notes", None);
                    assert_eq!(answer.status, 401, "{}", answer.body);
                }
            });
        }
        assert_eq!(store.with(&viewer).call("GET /v1/projects/p/notes", None).status, 200);
    });
}

#[test]
fn what_is_kept_is_bounded_whatever_it_is() {
    let database = Database::sqlite();
    let store = database.open();
    store.done("POST /v1/projects/sec/notes?noteId=built", Some(&json!({"build": {"builderVersion": "1"}})));
    let build = |size: usize| {
        json!({
            "noteName": "projects/sec/notes/built", "resourceUri": "https://r.example/a",
            "build": {"provenance": {"id": "x".repeat(size)}},
        })
    };
    let follower = store.follow("");
    follower.any(Duration::from_secs(10)).unwrap();
    let call = "POST /v1/projects/shop/occurrences";
    let refused = store.call(call, Some(&build(1 << 20)));
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(text(&refused.body, "/error/message").contains("1048576 are allowed"), "{}", refused.body);
    // What is kept is not told: whoever follows hears where to look.
    let filed = store.done(call, Some(&build(1_000_000)));
    let line = follower.next();
    assert_eq!(text(&line, "/filed/name"), text(&filed, "/name"));
    assert!(line.to_string().len() < 1000, "{line}");
    let many = json!({"occurrences": (0..34).map(|_| build(1_000_000)).collect::<Vec<_>>()});
    let batch = "POST /v1/projects/shop/occurrences:batchCreate";
    assert_eq!(store.call(batch, Some(&many)).status, 413);
    // One call has less room than a batch, and few bytes may not become many values.
    let large = "x".repeat(3 << 20);
    assert_eq!(store.call(call, Some(&json!({"a": large}))).status, 413);
    assert_eq!(store.call("PUT /v1/projects/shop/bundle", Some(&json!({"payload": large}))).status, 200);
    for (line, many) in [(call, 60_000), (batch, 300_000), ("PUT /v1/projects/shop/bundle", 300_000)] {
        let refused = store.call(line, Some(&json!({"a": vec![json!({}); many / 2]})));
        let says = text(&refused.body, "/error/message");
        assert!(refused.status == 413 && says.contains("too many values"), "{line}: {says}");
    }
}

on_both! {
    a_page_has_a_bound_in_bytes
}

fn a_page_has_a_bound_in_bytes(database: &mut Database) {
    let store = database.open();
    store.done("POST /v1/projects/sec/notes?noteId=built", Some(&json!({"build": {"builderVersion": "1"}})));
    let mut filed: Vec<_> = (0..20)
        .map(|n| {
            let build = json!({
                "noteName": "projects/sec/notes/built", "resourceUri": format!("https://r.example/{n}"),
                "build": {"provenance": {"id": "x".repeat(1_000_000)}},
            });
            store.put("shop", &build)
        })
        .collect();
    let (mut pages, mut token) = (0, String::new());
    loop {
        let list = format!("GET /v1/projects/shop/occurrences?pageSize=1000&pageToken={token}");
        let page = store.done(&list, None);
        pages += 1;
        assert!(page.to_string().len() < 9 << 20, "{} bytes", page.to_string().len());
        for one in page["occurrences"].as_array().unwrap() {
            assert_eq!(text(one, "/name"), filed.remove(0));
        }
        token = text(&page, "/nextPageToken");
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((pages, filed.len()), (3, 0));
}

#[test]
fn tokens_travel_in_no_clear() {
    let database = Database::sqlite();
    let started = Command::new(program())
        .args(["--listen", "0.0.0.0:0", "--database", &database.url()])
        .output()
        .unwrap();
    let says = String::from_utf8(started.stderr).unwrap();
    assert!(!started.status.success() && says.contains("tokens would travel in the clear"), "{says}");
    Store::start_on("0.0.0.0:0", &database.url(), &["--plain"]);
}

#[test]
fn verbs_work_on_the_database_of_the_server_or_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/store.db", folder.path().display());
    let run = |arguments: &[&str]| {
        let output = Command::new(program()).args(arguments).args(["--database", &url]).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    for verb in [&["export"] as &[&str], &["changes"], &["access", "list"], &["access", "remove", "ci"]] {
        let (done, says) = run(verb);
        assert!(!done && says.contains("there is no database `sqlite://"), "{verb:?}: {says}");
    }
    assert!(!folder.path().join("store.db").exists());
    let (done, says) = run(&["access", "add", "ci", "--role", "viewer"]);
    assert!(done && says.contains("made a new database"), "{says}");
    let (done, says) = run(&["access", "add", "operator", "--role", "viewer"]);
    assert!(!done && says.contains("the log of changes calls others `operator`"), "{says}");
}

#[test]
fn what_no_call_would_take_is_not_imported() {
    let from = Database::sqlite();
    let store = from.open();
    store.note("sec", "qa");
    store.file("shop", "projects/sec/notes/qa", 'a');
    let good = from.verb(&["export"]);
    drop(store);
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}: {good}");
        good.replace(from, to)
    };
    for (lines, says) in [
        (changed("projects/sec/notes/qa\\\"", "projects/sec/qa\\\""), "`noteName`"),
        (changed("\"project\":\"shop\"", "\"project\":\"a/b\""), "is no name"),
        (changed("\"table\":\"occurrences\"", "\"table\":\"other\""), "there is no table `other`"),
    ] {
        let to = Database::sqlite();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("all.jsonl");
        std::fs::write(&file, lines).unwrap();
        let output = Command::new(program())
            .arg("import")
            .arg(&file)
            .args(["--database", &to.url()])
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(says), "{says}: {error}");
    }
    // A row that says otherwise than its body goes by the body.
    let to = Database::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.jsonl");
    let digest = format!("sha256:{}", "a".repeat(64));
    std::fs::write(&file, changed(&format!("\"digest\":\"{digest}\""), "\"digest\":\"\"")).unwrap();
    to.verb(&["import", &file.display().to_string()]);
    assert!(to.verb(&["export"]).contains(&format!("\"digest\":\"{digest}\"")));
}

#[test]
fn servers_that_start_together_share_an_empty_database_and_hear_of_each_other_at_once() {
    let database = Database::postgres();
    let url = database.url();
    let start = || Store::start(&url, &["--open-on-loopback"]);
    let (one, other) = std::thread::scope(|scope| {
        let (one, other) = (scope.spawn(start), scope.spawn(start));
        (one.join().unwrap(), other.join().unwrap())
    });
    one.note("sec", "qa");
    let follower = other.follow("");
    follower.any(Duration::from_secs(10)).unwrap();
    // It looks by itself every five seconds: what comes at once is what the database told it.
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(300));
        let filed = Instant::now();
        one.file("shop", "projects/sec/notes/qa", 'a');
        follower.next();
        assert!(filed.elapsed() < Duration::from_secs(2), "{:?}", filed.elapsed());
    }
    let sqlite = Database::sqlite();
    let url = sqlite.url();
    let add = |name: &'static str| {
        let url = url.clone();
        move || {
            let mut command = Command::new(program());
            command.args(["access", "add", name, "--role", "viewer", "--database", &url]);
            command.output().unwrap().status.success()
        }
    };
    let all = ["a", "b", "c", "d"].map(|name| std::thread::spawn(add(name)));
    assert!(all.into_iter().all(|one| one.join().unwrap()));
    assert_eq!(sqlite.verb(&["access", "list"]).lines().count(), 4);
}
