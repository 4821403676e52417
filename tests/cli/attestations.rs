//! Payloads, signatures, occurrences.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;

use super::bench::{Bench, D, ENFORCED, PAYLOAD, app, other, web};

#[test]
fn payload_is_gclouds_byte_for_byte() {
    let bench = Bench::new();
    let rows = [
        (app(), "registry.example.com/team/app"),
        (format!("https://{}", app()), "registry.example.com/team/app"),
        (format!("registry.example.com/team/app:v1@{D}"), "registry.example.com/team/app"),
        (format!("localhost:5000/app@{D}"), "localhost:5000/app"),
        (format!("localhost:5000/app:v1@{D}"), "localhost:5000/app"),
        (format!("nginx@{D}"), "nginx"),
        (format!("team/app@{D}"), "team/app"),
    ];
    for (image, reference) in rows {
        let expected = PAYLOAD.replace("registry.example.com/team/app", reference);
        for line in ["--artifact-url=", "-o json --artifact-url "] {
            let ran = bench.run(&format!("create-signature-payload {line}{image}"));
            assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, expected.as_str(), ""), "{image}");
        }
    }
}

#[test]
fn what_is_no_image_by_digest_is_usage() {
    let bench = Bench::with_attestor();
    let hex = &D[7..];
    let rows = [
        ("gcr.io/p/app:v1".to_owned(), "has no digest"),
        ("gcr.io/p/app".into(), "has no digest"),
        (format!("gcr.io/p/app@sha512:{hex}{hex}"), "sha512"),
        (format!("gcr.io/p/app@sha256:{}", hex.to_uppercase()), "lower case"),
        (format!("gcr.io/p/app@sha256:{}", &hex[1..]), "63"),
        (format!("gcr.io/p/app@{D}@{D}"), "does not name an image"),
        (format!("sha256:{hex}"), "image id"),
        ("GCR.io/P/app@x".into(), "does not name an image"),
    ];
    for (image, part) in rows {
        for verb in [
            "create-signature-payload",
            "attestations sign-and-create --attestor ci --key ci.pem $A $O",
            "attestations create --attestor ci --public-key-id x --signature-file ci.pub $A $O",
            "attestations list $A $O",
            "attestations verify --attestor ci $A $O",
        ] {
            let ran = bench.run(&format!("{verb} --artifact-url {image}")).gave(2, part);
            assert_eq!(ran.out, "", "{image}");
        }
    }
    assert!(!bench.at("occurrences").exists());
}

#[test]
fn from_key_to_verdict() {
    let bench = Bench::with_attestor();
    bench.policy_by_ci(ENFORCED);
    bench.run("policy check policy.yaml $A").gave(0, "valid:        yes");
    fs::create_dir(bench.at("occurrences")).unwrap();
    bench.evaluate(&app()).gave(1, "NO_ATTESTATION");
    bench.verify(&app(), "--attestor ci").gave(1, "not verified");

    let made = bench.sign(&format!("https://{} -o json", app())).gave(0, "").json();
    assert_eq!((&made["created"], &made["digest"]), (&true.into(), &D.into()));
    let name = made["file"].as_str().unwrap().strip_prefix("occurrences/ci-abababababab-").unwrap();
    assert_eq!(name.len(), "01234567.json".len(), "{name}");
    let occurrence: Value = serde_json::from_str(&bench.read(made["file"].as_str().unwrap())).unwrap();
    assert_eq!(occurrence["resourceUri"], format!("https://{}", app()));
    assert_eq!(
        (&occurrence["noteName"], &occurrence["kind"]),
        (&"projects/p/notes/ci".into(), &"ATTESTATION".into())
    );
    assert!(occurrence["name"].as_str().unwrap().starts_with("projects/p/occurrences/"));
    assert!(occurrence["createTime"].as_str().unwrap().ends_with('Z'));
    assert_eq!(occurrence["attestation"]["signatures"][0]["publicKeyId"], made["keyId"]);

    let listed = bench.run("attestations list -o json $A $O").gave(0, "").json();
    assert_eq!((&listed[0]["verified"], &listed[0]["keyIds"][0]), (&true.into(), &made["keyId"]));
    assert_eq!(listed[0]["attestor"], "projects/p/attestors/ci");
    bench.run(&format!("attestations list --attestor ci --artifact-url {} $A $O", app())).gave(0, "verified");
    let none = bench.run(&format!("attestations list --artifact-url {} -o json $A $O", other()));
    assert_eq!(none.gave(0, "").json(), serde_json::json!([]));
    for whom in ["--attestor ci", "--attestor=projects/p/attestors/ci", "--policy policy.yaml"] {
        bench.verify(&app(), whom).gave(0, "ATTESTED");
    }
    bench.evaluate(&app()).gave(0, "ALLOW");
    bench.evaluate(&other()).gave(1, "DENY");

    bench.run("attestors public-keys list --attestor ci $A").gave(0, "ECDSA_P256_SHA256");
    let remove = format!("attestors public-keys remove {} --attestor ci $A", bench.key_id());
    bench.run(&remove).gave(0, "removed");
    bench.evaluate(&app()).gave(1, "ATTESTOR_WITHOUT_KEYS");
    bench.run("attestors delete ci $A").gave(0, "deleted");
    bench.evaluate(&app()).gave(1, "ATTESTOR_MISSING");
}

#[test]
fn signing_twice_is_signing_once() {
    let bench = Bench::with_attestor();
    bench.sign(&app()).gave(0, "created in");
    let path = bench.occurrence_files()[0].clone();
    let first = fs::read_to_string(&path).unwrap();
    bench.sign(&app()).gave(0, "is there already");
    assert_eq!((bench.occurrence_files().len(), fs::read_to_string(&path).unwrap()), (1, first.clone()));
    bench.sign(&web()).gave(0, "created in");
    bench.sign(&other()).gave(0, "created in");
    assert_eq!(bench.occurrence_files().len(), 3);
    // A spoilt file is mended.
    fs::write(&path, &first[..40]).unwrap();
    bench.sign(&app()).gave(0, "created in");
    let states = bench.run("attestations list -o json $A $O").gave(0, "").json();
    assert!(states.as_array().unwrap().iter().all(|row| row["verified"] == true), "{states}");
    // Another occurrence under that name is left alone; and nothing half-written is left behind.
    fs::write(&path, fs::read(&bench.occurrence_files()[2]).unwrap()).unwrap();
    bench.sign(&app()).gave(1, "it holds another occurrence");
    assert_eq!(bench.occurrence_files().len(), 3);
    assert_eq!(fs::read_dir(bench.at("attestors")).unwrap().count(), 1);
}

#[test]
fn keys_and_signatures_of_openssl() {
    let bench = Bench::with_attestor();
    bench.openssl("pkcs8 -topk8 -nocrypt -in ci.pem -out pkcs8.pem");
    bench.openssl("ecparam -genkey -name prime256v1 -out params.pem");
    bench.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out genpkey.pem");
    bench.write("payload", PAYLOAD);
    for name in ["ci", "pkcs8", "params", "genpkey"] {
        bench.openssl(&format!("pkey -in {name}.pem -pubout -out {name}.pub"));
        bench.add_key(&format!("{name}.pub --comment {name}")).gave(0, "ci");
        let line = "attestations sign-and-create --attestor ci -o json $A --private-key-file";
        let made = bench.run(&format!("{line} {name}.pem --artifact-url {} --occurrences in-{name}", app()));
        let made = made.gave(0, "").json();
        let occurrence: Value = serde_json::from_str(&bench.read(made["file"].as_str().unwrap())).unwrap();
        let signature = occurrence["attestation"]["signatures"][0]["signature"].as_str().unwrap();
        bench.write("b64", format!("{signature}\n"));
        bench.openssl("base64 -d -A -in b64 -out sig");
        bench.openssl(&format!("dgst -sha256 -verify {name}.pub -signature sig payload"));
    }
    // A signature made elsewhere, as bytes and as text.
    bench.openssl("dgst -sha256 -sign ci.pem -out raw.sig payload");
    bench.openssl("base64 -in raw.sig -out text.sig");
    let line = format!("attestations create --attestor ci $A --public-key-id {}", bench.key_id());
    for (folder, rest) in [("e1", "raw.sig"), ("e2", "text.sig"), ("e3", "raw.sig --payload-file payload")] {
        let rest = format!("--artifact-url {} --occurrences {folder} --signature-file {rest}", app());
        bench.run(&format!("{line} {rest}")).gave(0, "created in");
        bench.run(&format!("{line} {rest}")).gave(0, "is there already");
        let line = format!("attestations verify --attestor ci $A --occurrences {folder} --artifact-url");
        bench.run(&format!("{line} {}", app())).gave(0, "ATTESTED");
    }
}

#[test]
fn attestations_that_would_not_count_are_not_filed() {
    let bench = Bench::with_attestor();
    bench.write("payload", PAYLOAD);
    bench.write("notjson", "hello");
    for (key, what) in [("ci", "payload"), ("stranger", "payload"), ("ci", "notjson")] {
        bench.openssl(&format!("dgst -sha256 -sign {key}.pem -out {key}-{what}.sig {what}"));
    }
    let id = bench.key_id();
    let create = |image: &str, key: &str, rest: &str| {
        let line = format!("--artifact-url {image} --public-key-id {key} --signature-file {rest}");
        bench.run(&format!("attestations create --attestor ci $A $O {line}"))
    };
    let rows = [
        (app(), &id, "stranger-payload.sig", 1, "[BAD_SIGNATURE]"),
        (app(), &"other".to_owned(), "ci-payload.sig", 1, "[UNKNOWN_KEY]"),
        (other(), &id, "ci-payload.sig", 1, "[BAD_SIGNATURE]"),
        (other(), &id, "ci-payload.sig --payload-file payload", 1, "[WRONG_PAYLOAD]"),
        (app(), &id, "ci-notjson.sig --payload-file notjson", 1, "[WRONG_PAYLOAD]"),
        (app(), &id, "absent", 2, "cannot read signature `absent`"),
        (app(), &id, "ci-payload.sig --payload-file absent", 2, "cannot read payload `absent`"),
        (app(), &id, "ci-payload.sig --validate --no-validate", 2, "cannot be used with"),
    ];
    for (image, key, rest, code, part) in rows {
        create(&image, key, rest).gave(code, part);
    }
    assert!(!bench.at("occurrences").exists());
    create(&app(), &id, "stranger-payload.sig --no-validate").gave(0, "created in");
    bench.run("attestations list $A $O").gave(0, "BAD_SIGNATURE");
    bench.verify(&app(), "--attestor ci").gave(1, "does not verify");
    // The good one takes its place: same note, digest, key and payload.
    create(&app(), &id, "ci-payload.sig --validate").gave(0, "created in");
    bench.verify(&app(), "--attestor ci").gave(0, "ATTESTED");
}

#[test]
fn private_keys_that_cannot_sign() {
    let bench = Bench::with_attestor();
    bench.openssl("ec -in ci.pem -aes256 -passout pass:x -out sec1enc.pem");
    bench.openssl("pkcs8 -topk8 -in ci.pem -passout pass:x -out pkcs8enc.pem");
    bench.openssl("ecparam -genkey -name secp384r1 -noout -out p384.pem");
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem");
    bench.openssl("genpkey -algorithm ED25519 -out ed25519.pem");
    bench.write("empty.pem", "");
    bench.write("torn.pem", bench.read("ci.pem").replace("MHc", "A!c"));
    bench.write("binary.pem", b"\xff\xfe");
    let rows = [
        ("sec1enc.pem", 2, "encrypted"),
        ("pkcs8enc.pem", 2, "encrypted"),
        ("p384.pem", 2, "does not hold an EC P-256 private key"),
        ("rsa.pem", 2, "does not hold an EC P-256 private key"),
        ("ed25519.pem", 2, "does not hold an EC P-256 private key"),
        ("ci.pub", 2, "no `EC PRIVATE KEY`"),
        ("empty.pem", 2, "no `EC PRIVATE KEY`"),
        ("torn.pem", 2, "not well-formed"),
        ("binary.pem", 2, "cannot read private key"),
        ("absent.pem", 2, "cannot read private key `absent.pem`"),
        ("stranger.pem", 1, "public-keys add"),
    ];
    let line = format!("attestations sign-and-create --artifact-url {} $A $O", app());
    for (key, code, part) in rows {
        bench.run(&format!("{line} --attestor ci --key {key}")).gave(code, part);
    }
    let line = format!("{line} --key ci.pem --attestor");
    bench.run(&format!("{line} ci --public-key-id other")).gave(1, "no key with id `other`");
    bench.run(&format!("{line} nobody")).gave(2, "no document in `attestors` defines attestor `nobody`");
    bench.run(&format!("{line} ci --project a/b")).gave(2, "is not of the form");
    assert!(!bench.at("occurrences").exists());
    bench.chmod("ci.pem", 0o644);
    bench.run(&format!("{line} ci --project q")).gave(0, "private key `ci.pem` can be read by others");
    bench.run(&format!("{line} ci")).gave(0, "projects/q/occurrences/");
}

#[test]
fn broken_occurrences_hide_nothing() {
    let bench = Bench::with_attestor();
    bench.policy_by_ci(ENFORCED);
    bench.sign(&app()).gave(0, "");
    bench.write("occurrences/0-empty.json", "");
    bench.write("occurrences/0-truncated.json", r#"{"name": "#);
    bench.write("occurrences/0-binary.json", b"\xff\xfe");
    bench.write("occurrences/0-kind.json", r#"{"kind":"VULNERABILITY"}"#);
    bench.write("occurrences/0-large.json", vec![b' '; 2 << 20]);
    bench.write("occurrences/readme.txt", "not looked at");
    fs::create_dir(bench.at("occurrences/0-folder.json")).unwrap();
    symlink("0-loop.json", bench.at("occurrences/0-loop.json")).unwrap();
    assert!(Command::new("mkfifo").arg(bench.at("occurrences/0-pipe.json")).status().unwrap().success());
    let ran = bench.evaluate(&app()).gave(0, "ALLOW");
    assert_eq!(ran.err.lines().count(), 8, "{}", ran.err);
    assert!(ran.err.lines().all(|line| line.starts_with("binauthctl: warning: `occurrences/0-")));
    let listed = bench.run("attestations list -o json $A $O").gave(1, "`VULNERABILITY`").json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    bench.verify(&app(), "--attestor ci").gave(0, "ATTESTED");
    // What a stranger wrote reaches the terminal as text and nothing more.
    let hostile = serde_json::json!({"name": "n", "resourceUri": format!("\u{1b}[2J@{D}"), "noteName": "x\ny",
        "attestation": {"serializedPayload": "aGk=", "signatures": [{"publicKeyId": "\u{1b}]0;\u{7}", "signature": "aGk="}]}});
    bench.write("occurrences/hostile.json", hostile.to_string());
    let ran = bench.run("attestations list $A $O").gave(1, "ATTESTOR_MISSING");
    assert!(!ran.out.contains('\u{1b}') && !ran.out.contains("x\ny"), "{}", ran.out);
}
