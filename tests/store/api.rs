//! The calls, as clients of Container Analysis and Binary Authorization make them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::rig::{Database, digest, occurrence, on_both, text};

const NOTE: &str = "projects/sec/notes/qa";

on_both! {
    notes_and_occurrences
    both_apis_are_one_store
    filters_are_applied
    pages_are_stable
    policies_and_attestors
    all_of_it_moves
}

fn notes_and_occurrences(database: &mut Database) {
    let store = database.open();
    let note = json!({"attestation": {"hint": {"humanReadableName": "qa"}}, "shortDescription": "s"});
    let made = store.done("POST /v1/projects/sec/notes?noteId=qa", Some(&note));
    assert_eq!((text(&made, "/name"), text(&made, "/kind")), (NOTE.to_owned(), "ATTESTATION".to_owned()));
    assert_eq!(store.call("POST /v1/projects/sec/notes?noteId=qa", Some(&note)).status, 409);
    assert_eq!(store.done(&format!("GET /v1/{NOTE}"), None), made);
    let patched = store.done(
        &format!("PATCH /v1/{NOTE}?updateMask=short_description"),
        Some(&json!({"shortDescription": "t", "kind": "x"})),
    );
    assert_eq!(
        (text(&patched, "/shortDescription"), text(&patched, "/createTime")),
        ("t".to_owned(), text(&made, "/createTime"))
    );

    let filed = store.done("POST /v1/projects/shop/occurrences", Some(&occurrence(NOTE, 'a')));
    let name = text(&filed, "/name");
    assert!(
        name.starts_with("projects/shop/occurrences/") && text(&filed, "/kind") == "ATTESTATION",
        "{filed}"
    );
    assert_eq!(store.done(&format!("GET /v1/{name}"), None), filed);
    assert_eq!(text(&store.done(&format!("GET /v1/{name}/notes"), None), "/name"), NOTE);
    let batch = json!({"occurrences": [occurrence(NOTE, 'b'), occurrence(NOTE, 'c')]});
    let made = store.done("POST /v1/projects/shop/occurrences:batchCreate", Some(&batch));
    assert_eq!(made["occurrences"].as_array().unwrap().len(), 2);
    // All of a batch, or none of it.
    let half = json!({"occurrences": [occurrence(NOTE, 'd'), occurrence("projects/sec/notes/none", 'd')]});
    assert_eq!(store.call("POST /v1/projects/shop/occurrences:batchCreate", Some(&half)).status, 404);
    assert_eq!(
        store.done(&format!("GET /v1/{NOTE}/occurrences"), None)["occurrences"].as_array().unwrap().len(),
        3
    );
    // A project is a name, and not the beginning of one.
    store.file("shopping", NOTE, 'e');
    assert_eq!(
        store.done("GET /v1/projects/shop/occurrences", None)["occurrences"].as_array().unwrap().len(),
        3
    );

    let changed =
        store.call(&format!("PATCH /v1/{name}"), Some(&json!({"noteName": "projects/sec/notes/other"})));
    assert_eq!(text(&changed.body, "/error/status"), "INVALID_ARGUMENT");
    let patched =
        store.done(&format!("PATCH /v1/{name}?updateMask=remediation"), Some(&json!({"remediation": "r"})));
    assert_eq!(
        (text(&patched, "/remediation"), &patched["attestation"]),
        ("r".to_owned(), &filed["attestation"])
    );
    // A note under which something is filed stays.
    assert_eq!(
        text(&store.call(&format!("DELETE /v1/{NOTE}"), None).body, "/error/status"),
        "FAILED_PRECONDITION"
    );
    store.done(&format!("DELETE /v1/{name}"), None);
    let gone = store.call(&format!("GET /v1/{name}"), None);
    assert_eq!(
        (gone.status, gone.body["error"]["code"].as_u64(), text(&gone.body, "/error/status").as_str()),
        (404, Some(404), "NOT_FOUND")
    );
    for (line, body, status) in [
        ("POST /v1/projects/shop/occurrences", Some(json!({})), "INVALID_ARGUMENT"),
        ("POST /v1/projects/shop/occurrences", Some(occurrence("projects/sec/notes/none", 'a')), "NOT_FOUND"),
        ("POST /v1/projects/sec/notes?noteId=a%20b", Some(note.clone()), "INVALID_ARGUMENT"),
        (
            "POST /v1/projects/sec/notes?noteId=b",
            Some(json!({"attestation": {}, "build": {}})),
            "INVALID_ARGUMENT",
        ),
        ("GET /v1/projects/sec/nothing", None, "NOT_FOUND"),
        ("PUT /v1/projects/sec/notes/qa", None, "UNIMPLEMENTED"),
        ("POST /v1/projects/sec/notes/qa:setIamPolicy", Some(json!({})), "UNIMPLEMENTED"),
    ] {
        let answer = store.call(line, body.as_ref());
        assert_eq!(text(&answer.body, "/error/status"), status, "{line}: {}", answer.body);
    }
}

fn both_apis_are_one_store(database: &mut Database) {
    let store = database.open();
    // As Kritis' clients write them.
    store.done("POST /v1beta1/projects", Some(&json!({"name": "projects/sec"})));
    let note = json!({"kind": "ATTESTATION", "attestationAuthority": {"hint": {"humanReadableName": "qa"}}});
    let note = store.call("POST /v1beta1/projects/sec/notes?noteId=qa", Some(&note));
    assert_eq!((note.status, note.body["attestationAuthority"].is_object()), (200, true), "{}", note.body);
    let filed = json!({
        "resource": {"uri": format!("https://r.example/a@{}", digest('a'))},
        "noteName": NOTE,
        "attestation": {"attestation": {"genericSignedAttestation": {
            "contentType": "SIMPLE_SIGNING_JSON", "serializedPayload": "aGk=",
            "signatures": [{"signature": "aGk=", "publicKeyId": "k"}],
        }}},
    });
    let filed = store.done("POST /v1beta1/projects/shop/occurrences", Some(&filed));
    let one = store.done(&format!("GET /v1/{}", text(&filed, "/name")), None);
    assert_eq!(text(&one, "/attestation/serializedPayload"), "aGk=", "{one}");
    assert_eq!(text(&one, "/resourceUri"), text(&filed, "/resource/uri"));
    let beta = store.done(&format!("GET /v1beta1/{NOTE}/occurrences"), None);
    assert_eq!(beta["occurrences"][0], filed);
}

fn filters_are_applied(database: &mut Database) {
    let store = database.open();
    store.note("sec", "qa");
    store.note("sec", "qb");
    for (note, digit) in [("qa", 'a'), ("qa", 'b'), ("qb", 'a'), ("qb", 'c')] {
        store.file("shop", &format!("projects/sec/notes/{note}"), digit);
    }
    let build = json!({"build": {"builderVersion": "1"}});
    store.done("POST /v1/projects/sec/notes?noteId=builds", Some(&build));
    let built =
        json!({"resourceUri": "https://r.example/x", "noteName": "projects/sec/notes/builds", "build": {}});
    store.done("POST /v1/projects/shop/occurrences", Some(&built));
    let found = |place: &str, filter: &str| {
        let encoded: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = store.call(&format!("GET /v1/{place}/occurrences?filter={encoded}"), None);
        answer.body["occurrences"].as_array().map(Vec::len).ok_or_else(|| text(&answer.body, "/error/status"))
    };
    let suffix = |digit| format!("has_suffix(resourceUrl, \"{}\")", digest(digit));
    for (place, filter, count) in [
        ("projects/shop", String::new(), 5),
        ("projects/shop", "kind=\"ATTESTATION\"".to_owned(), 4),
        ("projects/shop", "kind=\"BUILD\"".to_owned(), 1),
        ("projects/shop", suffix('a'), 2),
        ("projects/sec/notes/qa", suffix('a'), 1),
        ("projects/sec/notes/qa", suffix('c'), 0),
        ("projects/shop", format!("{} AND noteId=\"qb\"", suffix('a')), 1),
        ("projects/shop", format!("resourceUrl=\"https://r.example/shop/app@{}\"", digest('a')), 2),
        ("projects/shop", format!("{} OR {}", suffix('b'), suffix('c')), 2),
        ("projects/shop", "NOT kind=\"ATTESTATION\"".to_owned(), 1),
        ("projects/shop", "noteProjectId=\"sec\" noteId=\"qa\"".to_owned(), 2),
        ("projects/shop", "createTime>\"2030-01-01T00:00:00Z\"".to_owned(), 0),
        // What would be SQL is a value that nothing has.
        ("projects/shop", "kind=\"x' OR '1'='1\"".to_owned(), 0),
        ("projects/shop", "resourceUrl=\"'; DROP TABLE occurrences; --\"".to_owned(), 0),
    ] {
        assert_eq!(found(place, &filter), Ok(count), "{place} {filter}");
    }
    for filter in ["1=1", "kind='A' OR '1'='1'", "severity=HIGH", "kind=", "x UNION SELECT 1"] {
        assert_eq!(found("projects/shop", filter), Err("INVALID_ARGUMENT".to_owned()), "{filter}");
    }
    assert_eq!(found("projects/shop", ""), Ok(5), "everything is still there");
}

fn pages_are_stable(database: &mut Database) {
    let store = database.open();
    store.note("sec", "qa");
    let all: Vec<_> = (0..50).map(|_| occurrence(NOTE, 'a')).collect();
    store.done("POST /v1/projects/shop/occurrences:batchCreate", Some(&json!({"occurrences": all})));
    let page =
        |token: &str| store.done(&format!("GET /v1/{NOTE}/occurrences?pageSize=7&pageToken={token}"), None);
    let names = |page: &Value| {
        page["occurrences"].as_array().unwrap().iter().map(|one| text(one, "/name")).collect::<Vec<_>>()
    };
    let first = page("");
    let all_at_first: BTreeSet<_> =
        names(&store.done(&format!("GET /v1/{NOTE}/occurrences?pageSize=1000"), None)).into_iter().collect();
    let (mut seen, mut token, mut pages) = (names(&first), text(&first, "/nextPageToken"), 1);
    let mut gone = BTreeSet::new();
    while !token.is_empty() {
        // One that was given already goes, one that was not yet goes, and one comes.
        let left: Vec<_> = all_at_first
            .iter()
            .filter(|name| !seen.contains(name) && !gone.contains(*name))
            .cloned()
            .collect();
        for name in
            seen.iter().find(|name| !gone.contains(*name)).cloned().into_iter().chain(left.last().cloned())
        {
            store.done(&format!("DELETE /v1/{name}"), None);
            gone.insert(name);
        }
        store.file("shop", NOTE, 'b');
        let next = page(&token);
        seen.extend(names(&next));
        token = text(&next, "/nextPageToken");
        pages += 1;
        assert!(pages < 30, "it comes to no end");
    }
    let once: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!(once.len(), seen.len(), "nothing is given twice");
    for name in all_at_first.iter().filter(|name| !gone.contains(*name)) {
        assert!(once.contains(name), "{name} was there all the time");
    }
    let token = text(&first, "/nextPageToken");
    for line in [
        format!("GET /v1/projects/shop/occurrences?pageSize=7&pageToken={token}"),
        format!("GET /v1/{NOTE}/occurrences?filter=kind%3DA&pageToken={token}"),
        format!("GET /v1/{NOTE}/occurrences?pageToken=1"),
        format!("GET /v1/{NOTE}/occurrences?pageSize=-1"),
    ] {
        assert_eq!(text(&store.call(&line, None).body, "/error/status"), "INVALID_ARGUMENT", "{line}");
    }
}

fn policies_and_attestors(database: &mut Database) {
    let store = database.open();
    let default = store.done("GET /v1/projects/shop/policy", None);
    assert_eq!(text(&default, "/defaultAdmissionRule/evaluationMode"), "ALWAYS_ALLOW");
    let policy = json!({"defaultAdmissionRule": {
        "evaluationMode": "REQUIRE_ATTESTATION", "enforcementMode": "ENFORCED_BLOCK_AND_AUDIT_LOG",
        "requireAttestationsBy": ["projects/sec/attestors/qa"],
    }});
    let early = store.call("PUT /v1/projects/shop/policy", Some(&policy));
    assert_eq!(text(&early.body, "/error/status"), "FAILED_PRECONDITION", "{}", early.body);
    // RFC 8032 has no part in it: a P-256 key.
    let pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n";
    let attestor = json!({"userOwnedGrafeasNote": {"noteReference": NOTE, "publicKeys": [
        {"pkixPublicKey": {"publicKeyPem": pem, "signatureAlgorithm": "ECDSA_P256_SHA256"}},
    ]}});
    let made = store.done("POST /v1/projects/sec/attestors?attestorId=qa", Some(&attestor));
    assert!(text(&made, "/userOwnedGrafeasNote/publicKeys/0/id").starts_with("ni:///sha-256;"), "{made}");
    let put = store.done("PUT /v1/projects/shop/policy", Some(&policy));
    assert_eq!(text(&put, "/name"), "projects/shop/policy");
    // Two who have read the same: one of them was faster.
    let (mut one, mut other) = (put.clone(), put.clone());
    one["description"] = "one".into();
    other["description"] = "other".into();
    let one = store.done("PUT /v1/projects/shop/policy", Some(&one));
    assert_eq!(
        text(&store.call("PUT /v1/projects/shop/policy", Some(&other)).body, "/error/status"),
        "ABORTED"
    );
    assert_eq!(store.done("GET /v1/projects/shop/policy", None), one);
    let broken = json!({"defaultAdmissionRule": {"evaluationMode": "SOMETIMES"}});
    assert_eq!(store.call("PUT /v1/projects/shop/policy", Some(&broken)).status, 400);

    assert_eq!(store.done("GET /v1/projects/sec/attestors", None)["attestors"][0], made);
    let beta = store.done("GET /v1beta1/projects/sec/attestors/qa", None);
    assert_eq!(text(&beta, "/userOwnedDrydockNote/noteReference"), NOTE);
    let asked = json!({
        "occurrenceNote": NOTE, "occurrenceResourceUri": format!("https://r.example/a@{}", digest('a')),
        "attestation": {"serializedPayload": "aGk=", "signatures": [{"signature": "aGk=", "publicKeyId": "k"}]},
    });
    let said = store.done("POST /v1/projects/sec/attestors/qa:validateAttestationOccurrence", Some(&asked));
    assert_eq!(text(&said, "/result"), "ATTESTATION_NOT_VERIFIABLE", "{said}");
    assert!(text(&said, "/denialReason").contains("key id 'k'"), "{said}");
    store.done("DELETE /v1/projects/sec/attestors/qa", None);
    assert_eq!(store.call("PUT /v1/projects/sec/attestors/qa", Some(&attestor)).status, 404);

    let platform = json!({"gkePolicy": {"checkSets": [{"displayName": "all", "checks": [{"displayName": "none", "alwaysDeny": true}]}]}});
    let line = "POST /v1/projects/shop/platforms/gke/policies?policyId=p";
    let answer = store.call(line, Some(&platform));
    assert_eq!(
        (answer.status, text(&answer.body, "/name").as_str()),
        (200, "projects/shop/platforms/gke/policies/p"),
        "{}",
        answer.body
    );
    assert_eq!(
        store.done("GET /v1/projects/shop/platforms/gke/policies", None)["platformPolicies"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    store.done("DELETE /v1/projects/shop/platforms/gke/policies/p", None);
    let bundle = json!({"payloadType": "t", "payload": "aGk=", "signatures": []});
    store.done("PUT /v1/projects/shop/bundle", Some(&bundle));
    assert_eq!(store.done("GET /v1/projects/shop/bundle", None), bundle);

    let log = database.verb(&["changes"]);
    let log: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let whats: Vec<_> = log.iter().map(|line| text(line, "/what")).collect();
    assert_eq!(
        whats,
        ["attestor", "policy", "policy", "attestor", "platform policy", "platform policy", "bundle"]
    );
    assert_eq!(
        (text(&log[2], "/who"), text(&log[2], "/before/etag")),
        ("anybody".to_owned(), text(&put, "/etag"))
    );
}

fn all_of_it_moves(database: &mut Database) {
    let store = database.open();
    store.note("sec", "qa");
    let names: Vec<_> = ['a', 'b', 'c'].iter().map(|digit| store.file("shop", NOTE, *digit)).collect();
    store.done("PUT /v1/projects/shop/bundle", Some(&json!({"payload": "x"})));
    database.verb(&["access", "add", "node", "--role", "viewer"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.jsonl");
    database.verb(&["export", file.to_str().unwrap()]);
    let other = Database::sqlite();
    assert_eq!(other.verb(&["import", file.to_str().unwrap()]).trim(), "6 taken in, 0 were there already");
    assert_eq!(other.verb(&["import", file.to_str().unwrap()]).trim(), "0 taken in, 6 were there already");
    let there = other.open();
    for name in names {
        assert_eq!(
            there.done(&format!("GET /v1/{name}"), None),
            store.done(&format!("GET /v1/{name}"), None)
        );
    }
    assert!(other.verb(&["access", "list"]).starts_with("node\ttoken\tviewer\t"));
    assert_eq!(there.done("GET /v1/projects/shop/bundle", None), json!({"payload": "x"}));
}
