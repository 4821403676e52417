//! Occurrences of one note in one project, and how they are asked for.

use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};

use binauthd::attestation::{base64, payload};
use binauthd::image::Digest;
use serde_json::{Value, json};

use super::PAGE;
use super::rig::program;

const REPOSITORY: &str = "registry.example.com/team/app";
pub(crate) const NOTE: &str = "projects/bench/notes/build";
const TIME: &str = "2026-01-01T00:00:00.000000Z";
/// As long as one of P-256; nobody here checks it.
const SIGNATURE: [u8; 71] = [7; 71];
const KEY: &str = "ni:///sha-256;AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The image of number `n`.
pub(crate) fn digest(n: usize) -> Digest {
    Digest::of(format!("image {n}").as_bytes())
}

fn id(n: usize) -> String {
    Digest::of(format!("occurrence {n}").as_bytes()).hex()[..32].to_owned()
}

/// The path of occurrence number `n`.
pub(crate) fn name(n: usize) -> String {
    format!("/v1/projects/bench/occurrences/{}", id(n))
}

/// The path of the page with this token.
pub(crate) fn page(token: &str) -> String {
    format!("/v1/{NOTE}/occurrences?pageSize={PAGE}&pageToken={token}")
}

pub(crate) fn at_digest_of_note(digest: &Digest) -> String {
    format!("/v1/{NOTE}/occurrences?pageSize={PAGE}&filter={}", suffix(digest))
}

pub(crate) fn at_digest_of_project(digest: &Digest) -> String {
    let kind = "kind%3D%22ATTESTATION%22";
    format!("/v1/projects/bench/occurrences?pageSize={PAGE}&filter={kind}+AND+{}", suffix(digest))
}

fn suffix(digest: &Digest) -> String {
    format!("has_suffix%28resourceUrl%2C+%22{}%22%29", digest.to_string().replace(':', "%3A"))
}

/// Fills a database by `binauth-store import`.
pub(crate) fn fill(database: &str, count: usize) {
    let mut import = Command::new(program())
        .args(["import", "/dev/stdin", "--database", database])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufWriter::new(import.stdin.take().unwrap());
    writeln!(lines, "{}", note()).unwrap();
    for n in 0..count {
        writeln!(lines, "{}", occurrence(n)).unwrap();
    }
    lines.flush().unwrap();
    drop(lines);
    assert!(import.wait().unwrap().success(), "it is filled");
}

fn note() -> Value {
    let body = json!({"attestation": {"hint": {"humanReadableName": "build"}}, "kind": "ATTESTATION"});
    json!({"table": "notes", "row": {
        "project": "bench", "id": "build", "kind": "ATTESTATION", "created": TIME, "updated": TIME,
        "body": body.to_string(),
    }})
}

fn occurrence(n: usize) -> Value {
    let digest = digest(n);
    let resource = format!("https://{REPOSITORY}@{digest}");
    let body = json!({
        "attestation": {
            "serializedPayload": base64::encode(payload::gcloud(REPOSITORY, digest).as_bytes()),
            "signatures": [{"publicKeyId": KEY, "signature": base64::encode(&SIGNATURE)}],
        },
        "kind": "ATTESTATION",
        "noteName": NOTE,
        "resourceUri": resource,
    });
    json!({"table": "occurrences", "row": {
        "project": "bench", "id": id(n), "note_project": "bench", "note": "build", "kind": "ATTESTATION",
        "resource": resource, "digest": digest.to_string(), "created": TIME, "updated": TIME, "body": body.to_string(),
    }})
}
