//! Attestations that are filed at a store.

use super::bench::{Bench, app, other};
use super::google::Fault;
use super::{binauthctl, google};

#[test]
fn is_filed_once_and_verified_there() {
    let bench = Bench::with_attestor();
    let google = google(&bench);
    let with = |line: &str| {
        let line =
            format!("attestations {line} --artifact-url {} --attestor ci $A --store {}", app(), google.url);
        binauthctl(&bench, &line, &[("BINAUTHCTL_STORE_TOKEN", "token-of-the-store")])
    };
    with("verify").gave(1, "not verified");
    let created = with("sign-and-create --key ci.pem -o json").gave(0, "").json();
    assert_eq!(
        (created["created"].clone(), created["name"].clone()),
        (true.into(), "projects/p/occurrences/1".into())
    );
    assert!(created["store"].as_str().unwrap().starts_with(&google.url), "{created}");
    assert_eq!(created.get("file"), None);
    with("sign-and-create --key ci.pem").gave(0, "projects/p/occurrences/1 is there already");
    assert_eq!(google.filed().len(), 1);
    with("verify").gave(0, "verified");
    let asked = google.asked();
    assert!(asked.iter().all(|(_, _, token)| token.as_deref() == Some("token-of-the-store")), "{asked:?}");
    // A signature that was made elsewhere.
    let payload = binauthctl(&bench, &format!("create-signature-payload --artifact-url {}", other()), &[]);
    bench.write("payload", &payload.out);
    bench.openssl("dgst -sha256 -sign ci.pem -out signature payload");
    let line = format!(
        "attestations create --artifact-url {} --attestor ci $A --signature-file signature --public-key-id {} --store {}",
        other(),
        bench.key_id(),
        google.url
    );
    binauthctl(&bench, &line, &[]).gave(0, "projects/p/occurrences/2 created in");
}

#[test]
fn a_store_that_files_something_else_is_not_believed() {
    let bench = Bench::with_attestor();
    let google = google(&bench);
    let line = format!(
        "attestations sign-and-create --artifact-url {} --attestor ci $A --key ci.pem --store {}",
        app(),
        google.url
    );
    for (fault, code, part) in [
        (Fault::AnotherDigest, 1, "another digest"),
        (Fault::AnotherSignature, 1, "not those that were sent"),
        (Fault::Forbidden, 2, "403 Forbidden"),
    ] {
        google.fault(fault);
        binauthctl(&bench, &line, &[]).gave(code, part);
    }
    google.fault(Fault::None);
    // What it holds now is spoilt, so it is filed anew and then counts.
    binauthctl(&bench, &line, &[]).gave(0, "created in");
    let verify =
        format!("attestations verify --artifact-url {} --attestor ci $A --store {}", app(), google.url);
    binauthctl(&bench, &verify, &[]).gave(0, "verified");
    let wrong = line.replace("--key ci.pem", "--key stranger.pem");
    binauthctl(&bench, &wrong, &[]).gave(1, "add its public key");
}

#[test]
fn flags_that_contradict() {
    let bench = Bench::with_attestor();
    let line = format!("attestations verify --artifact-url {} --attestor ci $A ", app());
    for (flags, part) in [
        ("--store https://s.example --occurrences o", "cannot be used with"),
        ("--store-token-file t", "--store"),
        ("--store http://s.example", "plain http is for a loopback address"),
        ("--store ftp://127.0.0.1", "only https and http"),
        ("--store http://127.0.0.1:1 --store-token-file none", "No such file"),
    ] {
        binauthctl(&bench, &format!("{line}{flags}"), &[]).gave(2, part);
    }
}
