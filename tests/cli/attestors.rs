//! Attestors and their keys.

use std::fs;
use std::time::{Duration, Instant};

use binauthd::attestation::base64;

use super::bench::Bench;

#[test]
fn attestors_are_created_once() {
    let bench = Bench::new();
    bench.run("attestors list $A").gave(2, "cannot read attestors folder `attestors`");
    let create = |rest: &str| bench.run(&format!("attestors create $A {rest}"));
    let rows = [
        ("a --attestation-authority-note n", "id without a project"),
        ("a/b --attestation-authority-note n", "is not of the form"),
        ("../a --project p --attestation-authority-note n", "is not of the form"),
        ("a --project p --attestation-authority-note projects/p/attestors/n", "/notes/ID"),
        ("a --project p", "--attestation-authority-note"),
        (
            "a --project p --attestation-authority-note n --attestors no/such/folder",
            "cannot be used multiple",
        ),
    ];
    for (rest, part) in rows {
        create(rest).gave(2, part);
    }
    let nowhere = "attestors create a --project p --attestation-authority-note n --attestors no/such";
    bench.run(nowhere).gave(2, "cannot write `no/such`");
    assert!(!bench.at("attestors").exists());
    create(
        "a --project=p --attestation-authority-note=n --attestation-authority-note-project=q --description=d",
    )
    .gave(0, "projects/p/attestors/a created in attestors/a.yaml");
    create("projects/p/attestors/b --attestation-authority-note projects/r/notes/m").gave(0, "");
    create("projects/p/attestors/a --attestation-authority-note n").gave(1, "is defined already");
    create("a --project other --attestation-authority-note n").gave(0, "created in attestors/other-a.yaml");
    bench.run("attestors delete projects/other/attestors/a $A").gave(0, "deleted");
    fs::write(bench.at("attestors/broken.yaml"), "{").unwrap();
    create("broken --project other --attestation-authority-note n").gave(1, "exists already");
    fs::remove_file(bench.at("attestors/broken.yaml")).unwrap();
    assert_eq!((bench.mode("attestors"), bench.mode("attestors/a.yaml")), (0o755, 0o644));
    let listed = bench.run("attestors list -o json $A").gave(0, "").json();
    let column = |name: &str| [listed[0][name].as_str().unwrap(), listed[1][name].as_str().unwrap()];
    assert_eq!(column("name"), ["projects/p/attestors/a", "projects/p/attestors/b"]);
    assert_eq!(column("note"), ["projects/q/notes/n", "projects/r/notes/m"]);
    bench.run("attestors describe a $A").gave(0, "description: d");
    bench.run("attestors describe a -o yaml $A").gave(0, "noteReference: projects/q/notes/n");
    // One broken document does not hide the others.
    bench.write("attestors/broken.yaml", "name: [");
    bench.write("attestors/notes.txt", "ignored");
    bench
        .run("attestors list $A")
        .gave(1, "`attestors/broken.yaml` counts for nothing")
        .gave(1, "projects/p/attestors/b");
    bench.run("attestors describe b $A").gave(0, "projects/r/notes/m");
    // The same id in two projects, and the same name in two documents.
    let note = r#""userOwnedGrafeasNote":{"noteReference":"projects/x/notes/n"}"#;
    bench.write("attestors/x.json", format!(r#"{{"name":"projects/x/attestors/b",{note}}}"#));
    bench.run("attestors describe b $A").gave(2, "any of projects/p/attestors/b, projects/x/attestors/b");
    bench.run("attestors describe b --project x $A").gave(0, "projects/x/notes/n");
    fs::copy(bench.at("attestors/a.yaml"), bench.at("attestors/a2.yaml")).unwrap();
    bench
        .run("attestors describe a $A")
        .gave(2, "several documents define attestor `projects/p/attestors/a`");
}

#[test]
fn the_algorithm_is_told_from_the_key() {
    let bench = Bench::with_attestor();
    let rows = [
        ("RSA -pkeyopt rsa_keygen_bits:2048", "", "RSA_SIGN_PKCS1_2048_SHA256"),
        ("RSA -pkeyopt rsa_keygen_bits:2048", "rsa-pss-2048-sha256", "RSA_PSS_2048_SHA256"),
        ("EC -pkeyopt ec_paramgen_curve:P-384", "", "ECDSA_P384_SHA384"),
        ("EC -pkeyopt ec_paramgen_curve:P-521", "ec-sign-p521-sha512", "ECDSA_P521_SHA512"),
    ];
    for (place, (key, declared, algorithm)) in rows.into_iter().enumerate() {
        bench.openssl(&format!("genpkey -out new.pem -algorithm {key}"));
        bench.openssl("pkey -in new.pem -pubout -out new.pub");
        let flag = if declared.is_empty() { "" } else { &format!("--pkix-public-key-algorithm {declared}") };
        bench.add_key(&format!("new.pub {flag}")).gave(0, "added to projects/p/attestors/ci");
        let keys = bench.run("attestors public-keys list --attestor ci -o json $A").json();
        assert_eq!(keys[place + 1]["algorithm"], algorithm);
    }
}

#[test]
fn a_giant_key_is_refused_before_it_costs_anything() {
    let bench = Bench::with_attestor();
    // RSA with a modulus and an exponent of 16,384 bits, all of them ones.
    let number = [[0x02, 0x82, 0x08, 0x01, 0].as_slice(), &[0xff; 2048]].concat();
    let algorithm = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
    let header = [0x30, 0x82, 0x10, 0x22];
    let key = [&[0x03, 0x82, 0x10, 0x0f, 0, 0x30, 0x82, 0x10, 0x0a], number.as_slice(), &number].concat();
    let body = base64::encode(&[header.as_slice(), &algorithm, &key].concat());
    bench.write("giant.pub", format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"));
    let start = Instant::now();
    bench.add_key("giant.pub").gave(2, "RSA 16384, which no signature algorithm is for");
    bench
        .add_key("giant.pub --pkix-public-key-algorithm rsa-sign-pkcs1-4096-sha512")
        .gave(2, "but the key is RSA 16384");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn public_keys_are_checked_before_they_are_added() {
    let bench = Bench::with_attestor();
    bench.openssl("ecparam -genkey -name secp384r1 -noout -out p384.pem");
    bench.openssl("ec -in p384.pem -pubout -out p384.pub");
    bench.openssl("genpkey -algorithm ED25519 -out ed25519.pem");
    bench.openssl("pkey -in ed25519.pem -pubout -out ed25519.pub");
    bench.write("trailing.pub", bench.read("ci.pub") + "x");
    let before = bench.read("attestors/ci.yaml");
    let taken = format!("stranger.pub --public-key-id-override {}", bench.key_id());
    let rows = [
        ("ci.pub", 0, "is a key of projects/p/attestors/ci already"),
        (&taken, 1, "is that of another key"),
        ("ed25519.pub", 2, "Ed25519, which no signature algorithm is for"),
        ("ed25519.pub --pkix-public-key-algorithm ml-dsa-65", 2, "but the key is Ed25519"),
        ("p384.pub --pkix-public-key-algorithm ecdsa-p256-sha256", 2, "but the key is EC P-384"),
        ("ci.pub --pkix-public-key-algorithm ECDSA_P384_SHA384", 2, "but the key is EC P-256"),
        ("ci.pub --pkix-public-key-algorithm ES256", 2, "`ES256` is not a signature algorithm"),
        ("trailing.pub", 2, "data after its END line"),
        ("ci.pem", 2, "holds a private key"),
        ("absent.pub", 2, "cannot read public key `absent.pub`"),
    ];
    for (rest, code, part) in rows {
        bench.add_key(rest).gave(code, part);
        assert_eq!(bench.read("attestors/ci.yaml"), before, "{rest}");
    }
    let line = ["attestors", "public-keys", "add", "--attestor=ci", "--attestors=attestors"];
    let spaced = ["--pkix-public-key-file=stranger.pub", "--public-key-id-override", "a b"];
    bench.run_args(&[&line[..], &spaced].concat()).gave(2, "`a b` is not a key id");
}

#[test]
fn adding_a_key_changes_nothing_else() {
    let bench = Bench::with_attestor();
    bench.write("crlf.pub", bench.read("stranger.pub").replace('\n', "\r\n"));
    let full = serde_json::json!({"name": "projects/p/attestors/full", "description": "yes", "etag": "\"x\"",
        "updateTime": "2026-01-01T00:00:00Z", "userOwnedDrydockNote": {"noteReference": "projects/p/notes/n",
        "delegationServiceAccountEmail": "a@b.example"}});
    bench.write("attestors/full.json", full.to_string());
    bench.write("attestors/text.yaml", full.to_string().replace("/full", "/text"));
    let id = "//kms.example/k/1";
    for (name, file) in [("full", "attestors/full.json"), ("text", "attestors/text.yaml")] {
        bench.chmod(file, 0o640);
        let line = format!("attestors public-keys add --attestor {name} $A --pkix-public-key-file crlf.pub");
        bench.run(&format!("{line} --public-key-id-override={id} --comment=no")).gave(0, "added");
        assert_eq!(bench.mode(file), 0o640);
        let document = bench.run(&format!("attestors describe {name} -o json $A")).json();
        assert_eq!((&document["description"], &document["etag"]), (&"yes".into(), &"\"x\"".into()));
        assert_eq!(document["updateTime"], "2026-01-01T00:00:00Z");
        let note = &document["userOwnedGrafeasNote"];
        assert_eq!(note["delegationServiceAccountEmail"], "a@b.example");
        let key = &note["publicKeys"][0];
        assert_eq!((&key["id"], &key["comment"]), (&id.into(), &"no".into()));
        assert_eq!(key["pkixPublicKey"]["publicKeyPem"], bench.read("stranger.pub"));
        let remove = format!("attestors public-keys remove --attestor {name} $A");
        bench.run(&format!("{remove} nothing")).gave(1, "no key with id `nothing`");
    }
    assert!(bench.read("attestors/full.json").starts_with('{'));
    assert!(bench.read("attestors/text.yaml").contains("publicKeyPem: |\n"));
}
