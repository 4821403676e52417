//! `audit tail` and `query` on trails of the test's own; `verify` beside them.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::json;

use super::bench::Bench;

fn line(second: u32, more: serde_json::Value) -> String {
    let mut line =
        json!({"time": format!("2026-11-26T10:00:{second:02}.000Z"), "kind": "decision", "gate": "create"});
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    format!("{line}\n")
}

/// A trail of two files.
fn bench() -> Bench {
    let bench = Bench::new();
    let shop = json!({"podNamespace": "shop", "pod": "web-1"});
    bench.write(
        "log/audit.jsonl.00000000000000000001",
        line(1, json!({"kind": "start"}))
            + &line(2, json!({"verdict": "ALLOW", "would": "ALLOW", "reason": "ATTESTED", "image": "r.example/shop/web:1", "container": shop}))
            + &line(3, json!({"verdict": "ALLOW", "would": "DENY", "reason": "NO_ATTESTATION", "image": "r.example/shop/job:1", "rule": "default rule"})),
    );
    bench.write(
        "log/audit.jsonl",
        line(4, json!({"verdict": "DENY", "would": "DENY", "reason": "NO_ATTESTATION", "image": "r.example/bad\u{202e}:1\n", "container": shop}))
            + "{\"torn\n"
            + &line(5, json!({"kind": "repeats", "verdict": "DENY", "would": "DENY", "reason": "NO_ATTESTATION", "image": "r.example/bad:1", "count": 41}))
            + &line(6, json!({"kind": "change", "what": "policy", "name": "policy.yaml"})),
    );
    bench
}

#[test]
fn what_is_asked_for_is_found_in_all_files() {
    let bench = bench();
    let query = |flags: &str| {
        bench.run(&format!("audit query --file log/audit.jsonl -o json {flags}")).gave(0, "").json()
    };
    for (flags, lines, decisions) in [
        ("", 6, 44),
        ("--verdict DENY", 2, 42),
        ("--verdict ALLOW --would DENY", 1, 1),
        ("--namespace shop", 2, 2),
        ("--image shop/", 2, 2),
        ("--reason NO_ATTESTATION --kind decision", 2, 2),
        ("--kind change", 1, 0),
        ("--gate create --rule default", 1, 1),
        ("--since 2026-11-26T10:00:03Z --until 2026-11-26T10:00:05Z", 2, 2),
        ("--since 36500d", 6, 44),
        ("--until 2026-11-26T10:00:00Z", 0, 0),
    ] {
        let found = query(flags);
        assert_eq!(
            (&found["lines"], &found["decisions"]),
            (&json!(lines), &json!(decisions)),
            "{flags}: {found:#}"
        );
        assert_eq!(found["passedOver"], 1, "{flags}");
    }
    let newest = query("--limit 1");
    assert_eq!(
        (&newest["lines"], &newest["records"][0]["what"]),
        (&json!(6), &json!("policy")),
        "{newest:#}"
    );
    let table = bench.run("audit query --file log/audit.jsonl --limit 3").gave(0, "the newest 3 of 6 lines");
    assert!(
        table.out.contains("shop/web-1")
            && table.out.contains("41")
            && table.out.contains("policy policy.yaml"),
        "{table:?}"
    );
    assert!(!table.out.contains('\u{202e}'), "what a pod's author wrote moves no cursor");
    bench.run("audit tail --file log/audit.jsonl -n 1").gave(0, "policy policy.yaml");
    for (flags, part) in [
        ("--since yesterday", "is neither a time"),
        ("--limit 0", "--limit"),
        ("--file none.jsonl", "cannot read audit trail `none.jsonl`"),
    ] {
        let file = if flags.starts_with("--file") { "" } else { "--file log/audit.jsonl" };
        bench.run(&format!("audit query {file} {flags}")).gave(2, part);
    }
}

#[test]
fn refusals_that_are_only_counted_are_found_and_count() {
    let bench = Bench::new();
    let of = |count: u64, more: serde_json::Value| {
        let mut rest = json!({"kind": "summary", "verdict": "DENY", "would": "DENY", "count": count});
        rest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rest
    };
    let evil = json!({"gate": "create", "reason": "NO_ATTESTATION", "container": {"podNamespace": "evil"}});
    bench.write("audit.jsonl", line(1, of(90, evil)) + &line(2, of(7, json!({"gate": null}))));
    for (flags, decisions) in
        [("", 97), ("--namespace evil", 90), ("--reason NO_ATTESTATION", 90), ("--image x", 0)]
    {
        let found = bench.run(&format!("audit query --file audit.jsonl -o json {flags}")).gave(0, "").json();
        assert_eq!(found["decisions"], decisions, "{flags}: {found:#}");
    }
    let table = bench.run("audit query --file audit.jsonl").gave(0, "images that are only counted");
    assert!(
        table.out.contains("evil/") && table.out.contains("90") && table.out.contains("summary"),
        "{table:?}"
    );
}

#[test]
fn a_trail_is_followed_through_its_rotation() {
    let bench = bench();
    let mut tail = Command::new(env!("CARGO_BIN_EXE_binauthctl"))
        .args([
            "audit",
            "tail",
            "--file",
            "log/audit.jsonl",
            "-n",
            "1",
            "-f",
            "-o",
            "json",
            "--verdict",
            "DENY",
        ])
        .current_dir(bench.folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<serde_json::Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["count"], 41);
    let write = |text: String| {
        let mut file =
            fs::OpenOptions::new().append(true).create(true).open(bench.at("log/audit.jsonl")).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let denied = |second| line(second, json!({"verdict": "DENY", "would": "DENY", "n": second}));
    write(denied(7));
    assert_eq!(next()["n"], 7);
    write(denied(8));
    fs::rename(bench.at("log/audit.jsonl"), bench.at("log/audit.jsonl.00000000000000000009")).unwrap();
    assert_eq!(next()["n"], 8);
    write(line(9, json!({"verdict": "ALLOW"})) + &denied(10));
    assert_eq!(next()["n"], 10);
    tail.kill().unwrap();
    tail.wait().unwrap();
}
