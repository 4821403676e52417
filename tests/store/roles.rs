//! Who may do what.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::rig::{Database, Store, occurrence, on_both, program, text};

const NOTE: &str = "projects/sec/notes/qa";

on_both! {
    nobody_may_do_anything_unless_told_so
    each_call_takes_its_role
}

/// Every call that there is, and which of viewer, attacher, attestor admin and policy admin may make it.
const CALLS: &[(&str, &str)] = &[
    ("GET /v1/projects/sec/notes", "+++-"),
    ("POST /v1/projects/sec/notes?noteId=new", "--+-"),
    ("POST /v1/projects/sec/notes:batchCreate", "--+-"),
    ("GET /v1/projects/sec/notes/qa", "+++-"),
    ("PATCH /v1/projects/sec/notes/qa", "--+-"),
    ("DELETE /v1/projects/sec/notes/gone", "--+-"),
    ("GET /v1/projects/sec/notes/qa/occurrences", "++--"),
    ("GET /v1/projects/shop/occurrences", "++--"),
    ("POST /v1/projects/shop/occurrences", "-+--"),
    ("POST /v1/projects/shop/occurrences:batchCreate", "-+--"),
    ("GET /v1/OCCURRENCE", "++--"),
    ("GET /v1/OCCURRENCE/notes", "++--"),
    ("PATCH /v1/OCCURRENCE?updateMask=remediation", "-+--"),
    ("DELETE /v1/OCCURRENCE", "-+--"),
    ("GET /v1/projects/shop/policy", "+--+"),
    ("PUT /v1/projects/shop/policy", "---+"),
    ("GET /v1/projects/shop/attestors", "+-++"),
    ("POST /v1/projects/shop/attestors?attestorId=new", "--+-"),
    ("GET /v1/projects/shop/attestors/qa", "+-++"),
    ("PUT /v1/projects/shop/attestors/qa", "--+-"),
    ("DELETE /v1/projects/shop/attestors/gone", "--+-"),
    ("POST /v1/projects/shop/attestors/qa:validateAttestationOccurrence", "+-++"),
    ("GET /v1/projects/shop/platforms/gke/policies", "+--+"),
    ("POST /v1/projects/shop/platforms/gke/policies?policyId=new", "---+"),
    ("GET /v1/projects/shop/platforms/gke/policies/x", "+--+"),
    ("PUT /v1/projects/shop/platforms/gke/policies/x", "---+"),
    ("DELETE /v1/projects/shop/platforms/gke/policies/x", "---+"),
    ("GET /v1/projects/shop/bundle", "+--+"),
    ("PUT /v1/projects/shop/bundle", "---+"),
    ("GET /v1/changes", "++--"),
];

/// Whoever may not, is told so before anything else is looked at; whoever may, is told at most what is wrong with the call.
fn each_call_takes_its_role(database: &mut Database) {
    let names = ["viewer", "attacher", "attestor-admin", "policy-admin"];
    let tokens = names.map(|name| {
        let role = if name == "attacher" { format!("attacher={NOTE}") } else { name.to_owned() };
        database.verb(&["access", "add", name, "--role", &role])
    });
    let store = Store::start(&database.url(), &[]);
    let note = json!({"attestation": {"hint": {"humanReadableName": "qa"}}});
    store.with(&tokens[2]).call("POST /v1/projects/sec/notes?noteId=qa", Some(&note));
    let filed = |digit| {
        let filed =
            store.with(&tokens[1]).call("POST /v1/projects/shop/occurrences", Some(&occurrence(NOTE, digit)));
        text(&filed.body, "/name")
    };
    for (call, may) in CALLS {
        for ((name, token), may) in names.iter().zip(&tokens).zip(may.chars()) {
            let line = call.replace("OCCURRENCE", &filed('a'));
            let body = match line.split_once(' ').unwrap() {
                ("GET" | "DELETE", _) => None,
                (_, path) if path.ends_with("/occurrences") => Some(occurrence(NOTE, 'b')),
                (_, path) if path.ends_with("/occurrences:batchCreate") => {
                    Some(json!({"occurrences": [occurrence(NOTE, 'b')]}))
                }
                _ => Some(json!({})),
            };
            let caller = store.with(token);
            if line.ends_with("/changes") {
                let first = caller.follow("").any(Duration::from_secs(10)).unwrap_or_default();
                assert_eq!(first.get("heartbeat").is_some(), may == '+', "{name}: {line}: {first}");
                continue;
            }
            let answer = caller.call(&line, body.as_ref());
            assert_ne!(answer.status, 401, "{name}: {line}");
            assert_eq!(answer.status != 403, may == '+', "{name}: {line}: {}", answer.body);
            let anybody = store.call(&line, body.as_ref());
            assert_eq!(anybody.status, 401, "{line}");
        }
    }
}

fn nobody_may_do_anything_unless_told_so(database: &mut Database) {
    let token = |name: &str, role: &str| database.verb(&["access", "add", name, "--role", role]);
    let (viewer, attacher) = (token("node", "viewer"), token("ci", &format!("attacher={NOTE}")));
    let (attestors, policies) = (token("security", "attestor-admin"), token("platform", "policy-admin"));
    let store = Store::start(&database.url(), &[]);
    let note = json!({"attestation": {"hint": {"humanReadableName": "qa"}}});
    let status = |token: &str, line: &str, body: Option<&serde_json::Value>| {
        let answer =
            if token.is_empty() { store.call(line, body) } else { store.with(token).call(line, body) };
        (answer.status, text(&answer.body, "/error/status"))
    };
    let ok = (200, String::new());
    let forbidden = (403, "PERMISSION_DENIED".to_owned());
    let unknown = (401, "UNAUTHENTICATED".to_owned());
    let make = "POST /v1/projects/sec/notes?noteId=qa";
    assert_eq!(status("", make, Some(&note)), unknown);
    assert_eq!(status("bst_0000", make, Some(&note)), unknown);
    for token in [&viewer, &attacher, &policies] {
        assert_eq!(status(token, make, Some(&note)), forbidden);
    }
    assert_eq!(status(&attestors, make, Some(&note)), ok);
    assert_eq!(status(&attestors, "POST /v1/projects/sec/notes?noteId=qb", Some(&note)), ok);
    let file = "POST /v1/projects/shop/occurrences";
    for token in [&viewer, &attestors, &policies] {
        assert_eq!(status(token, file, Some(&occurrence(NOTE, 'a'))), forbidden);
    }
    assert_eq!(status(&attacher, file, Some(&occurrence("projects/sec/notes/qb", 'a'))), forbidden);
    assert_eq!(status(&attacher, file, Some(&occurrence(NOTE, 'a'))), ok);
    let list = format!("GET /v1/{NOTE}/occurrences");
    assert_eq!(status(&viewer, &list, None), ok);
    assert_eq!(status(&policies, &list, None), forbidden);
    assert_eq!(status("", &list, None), unknown);
    assert_eq!(status(&viewer, "GET /v1/projects/shop/policy", None), ok);
    assert_eq!(status(&attacher, "GET /v1/projects/shop/policy", None), forbidden);
    let policy = json!({"defaultAdmissionRule": {"evaluationMode": "ALWAYS_DENY", "enforcementMode": "ENFORCED_BLOCK_AND_AUDIT_LOG"}});
    assert_eq!(status(&viewer, "PUT /v1/projects/shop/policy", Some(&policy)), forbidden);
    assert_eq!(status(&policies, "PUT /v1/projects/shop/policy", Some(&policy)), ok);
    assert_eq!(status(&policies, "GET /v1/changes", None), forbidden);

    // A token is kept nowhere, and whoever is removed is nobody from then on.
    let all = database.verb(&["export"]);
    for token in [&viewer, &attacher, &attestors, &policies] {
        assert!(!all.contains(token.trim()), "{token}");
    }
    let follower = store.with(&viewer).follow("");
    assert_eq!(follower.any(Duration::from_secs(10)).unwrap()["heartbeat"], true);
    database.verb(&["access", "remove", "node"]);
    // Within a second; a stream that is open, when it is looked after next.
    let removed = Instant::now();
    while status(&viewer, &list, None) == ok {
        assert!(removed.elapsed() < Duration::from_secs(5), "it is known still");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(status(&viewer, &list, None), unknown);
    assert!(follower.ends_within(Duration::from_secs(20)), "it is told still");
    let log = database.verb(&["changes"]);
    assert!(log.contains(r#""who":"ci""#) && log.contains(r#""what":"access""#), "{log}");
}

#[test]
fn it_is_open_on_loopback_alone() {
    let database = Database::sqlite();
    let started = Command::new(program())
        .args(["--listen", "0.0.0.0:0", "--open-on-loopback", "--database", &database.url()])
        .output()
        .unwrap();
    let says = String::from_utf8(started.stderr).unwrap();
    assert!(
        !started.status.success() && says.contains("--open-on-loopback is for a loopback address"),
        "{says}"
    );
}

#[test]
fn a_client_certificate_is_somebody() {
    let database = Database::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let certify = |name: &str| {
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args([
                "-subj",
                &format!("/CN={name}"),
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ])
            .args(["-keyout", &at(&format!("{name}.key")), "-out", &at(&format!("{name}.crt"))])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    ["server", "node", "stranger"].into_iter().for_each(certify);
    database.verb(&["access", "add", "node", "--role", "viewer", "--certificate", &at("node.crt")]);
    let both = ["node.crt", "stranger.crt"].map(|name| std::fs::read_to_string(at(name)).unwrap()).concat();
    std::fs::write(at("clients.crt"), both).unwrap();
    let store = Store::start(
        &database.url(),
        &[
            "--tls-certificate",
            &at("server.crt"),
            "--tls-key",
            &at("server.key"),
            "--client-ca",
            &at("clients.crt"),
        ],
    );
    assert!(store.url.starts_with("https://"), "{}", store.url);
    let status = |arguments: &[&str]| {
        let asked = Command::new("curl")
            .args([
                "-s",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code} %{http_version}",
                "--cacert",
                &at("server.crt"),
            ])
            .args(arguments)
            .arg(format!("{}/v1/projects/p/notes", store.url))
            .output()
            .unwrap();
        String::from_utf8(asked.stdout).unwrap()
    };
    assert_eq!(status(&["--cert", &at("node.crt"), "--key", &at("node.key")]), "200 2");
    assert_eq!(status(&["--http1.1", "--cert", &at("node.crt"), "--key", &at("node.key")]), "200 1.1");
    assert_eq!(status(&["--cert", &at("stranger.crt"), "--key", &at("stranger.key")]), "401 2");
    assert_eq!(status(&[]), "401 2");
}

#[test]
fn who_does_not_say_who_it_is_keeps_no_connection() {
    let database = Database::sqlite();
    let viewer = database.verb(&["access", "add", "node", "--role", "viewer"]);
    let (closed, open) = (Store::start(&database.url(), &[]), database.open());
    open.note("sec", "qa");
    let follower = closed.with(&viewer).follow("");
    follower.any(Duration::from_secs(10)).unwrap();
    let mut stranger = TcpStream::connect(closed.url.strip_prefix("http://").unwrap()).unwrap();
    stranger.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // RFC 9113: the preface and no settings; then it answers whatever asks whether it lives.
    stranger.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let (start, mut head) = (Instant::now(), [0; 9]);
    while stranger.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stranger.read_exact(&mut payload).unwrap();
        let (ping, is_answer) = (6, head[4] & 1 == 1);
        if head[3] == ping && !is_answer {
            stranger.write_all(&[0, 0, 8, ping, 1, 0, 0, 0, 0]).unwrap();
            stranger.write_all(&payload).unwrap();
        }
    }
    let after = start.elapsed();
    assert!((5..25).contains(&after.as_secs()), "closed after {after:?}");
    let filed = open.file("shop", NOTE, 'a');
    assert_eq!(text(&follower.next(), "/filed/name"), filed, "who is known goes on");
}
