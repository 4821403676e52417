//! Every kind of key and every form of attestation, as openssl and gpg make them.

use serde_json::Value;

use super::bench::{Bench, PAYLOAD, app};

fn create(bench: &Bench, folder: &str, key: &str, rest: &str) -> super::bench::Ran {
    bench.run(&format!(
        "attestations create --attestor ci $A --occurrences {folder} --artifact-url {} --public-key-id {key} \
         --signature-file {rest}",
        app()
    ))
}

fn verified(bench: &Bench, folder: &str, key: &str) {
    let list = format!("attestations list $A --occurrences {folder}");
    bench.run(&list).gave(0, "verified");
    let listed = bench.run(&format!("{list} -o json")).json();
    assert_eq!((&listed[0]["keyIds"][0], listed.as_array().unwrap().len()), (&key.into(), 1));
    let line =
        format!("attestations verify --attestor ci $A --occurrences {folder} --artifact-url {}", app());
    bench.run(&line).gave(0, key);
}

#[test]
fn signatures_of_every_kind_of_key_that_openssl_makes() {
    let bench = Bench::with_attestor();
    bench.write("payload", PAYLOAD);
    let pss = "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32";
    let rows = [
        ("pss", "RSA -pkeyopt rsa_keygen_bits:2048", "rsa-pss-2048-sha256", pss),
        ("pkcs1", "RSA -pkeyopt rsa_keygen_bits:2048", "RSA_SIGN_PKCS1_2048_SHA256", "-sha256"),
        ("p384", "EC -pkeyopt ec_paramgen_curve:P-384", "ecdsa-p384-sha384", "-sha384"),
        ("p521", "EC -pkeyopt ec_paramgen_curve:P-521", "EC_SIGN_P521_SHA512", "-sha512"),
    ];
    for (name, key, algorithm, digest) in rows {
        bench.openssl(&format!("genpkey -out {name}.pem -algorithm {key}"));
        bench.openssl(&format!("pkey -in {name}.pem -pubout -out {name}.pub"));
        let flags = format!("--pkix-public-key-algorithm {algorithm} --public-key-id-override //k/{name}");
        bench.add_key(&format!("{name}.pub {flags}")).gave(0, "added to projects/p/attestors/ci");
        bench.openssl(&format!("dgst {digest} -sign {name}.pem -out {name}.sig payload"));
        create(&bench, name, &format!("//k/{name}"), &format!("{name}.sig")).gave(0, "created in");
        verified(&bench, name, &format!("//k/{name}"));
    }
    // The digest belongs to the algorithm, and so does the padding.
    bench.openssl("dgst -sha256 -sign p384.pem -out wrong.sig payload");
    create(&bench, "none", "//k/p384", "wrong.sig").gave(1, "[BAD_SIGNATURE]");
    create(&bench, "none", "//k/pkcs1", "pss.sig").gave(1, "[BAD_SIGNATURE]");
    create(&bench, "none", "//k/pss", "pkcs1.sig").gave(1, "[BAD_SIGNATURE]");
    create(&bench, "none", "//k/p384", "pss.sig")
        .gave(1, "(under key id '//k/p384': not a signature of the key's algorithm) [MALFORMED_SIGNATURE]");
    assert!(!bench.at("none").exists());
}

#[test]
fn an_attached_message_of_gpg() {
    let bench = Bench::with_attestor();
    let fingerprint = bench.gpg_key();
    let add = "attestors public-keys add --attestor ci $A --pgp-public-key-file";
    bench.run(&format!("{add} pgp.asc --comment release")).gave(0, &fingerprint);
    bench.run(&format!("{add} pgp.asc")).gave(0, "is a key of projects/p/attestors/ci already");
    bench.run("attestors public-keys list --attestor ci $A").gave(0, "OpenPGP");
    bench.run("attestors describe ci $A").gave(0, &fingerprint);
    bench.write("payload", PAYLOAD);
    bench.gpg("--armor --sign --output message.asc payload");
    bench.gpg("--sign --output message.pgp payload");
    bench.gpg("--armor --detach-sign --output detached.asc payload");
    bench.gpg("--clear-sign --output clear.asc payload");
    for folder in ["message.asc", "message.pgp"] {
        create(&bench, &format!("in-{folder}"), &fingerprint, folder).gave(0, "created in");
        create(&bench, &format!("in-{folder}"), &fingerprint, folder).gave(0, "is there already");
        verified(&bench, &format!("in-{folder}"), &fingerprint);
    }
    let way_out = "[MALFORMED_SIGNATURE]: make it with `gpg --sign --armor`";
    for (file, what) in [("detached.asc", "a detached signature"), ("clear.asc", "a clearsigned message")] {
        create(&bench, "none", &fingerprint, file).gave(1, what).gave(1, way_out);
    }
    let lower = fingerprint.to_lowercase();
    create(&bench, "none", &lower, "message.asc").gave(1, "[UNKNOWN_KEY]");
    bench.write("hello", "hello");
    bench.gpg("--armor --sign --output hello.asc hello");
    create(&bench, "none", &fingerprint, "hello.asc").gave(1, "refused: attestor `projects/p/attestors/ci`");
    assert!(!bench.at("none").exists());
    let remove = format!("attestors public-keys remove --attestor ci $A {fingerprint}");
    bench.run(&remove).gave(0, "removed");
    let list = "attestations list $A --occurrences in-message.asc";
    bench.run(list).gave(0, "UNKNOWN_KEY");
}

#[test]
fn key_files_of_another_family_and_private_ones_are_refused_with_the_way_out() {
    let bench = Bench::with_attestor();
    bench.gpg_key();
    bench.gpg("--armor --output secret.asc --export-secret-keys");
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem");
    bench.openssl("pkey -in rsa.pem -pubout -out rsa.pub");
    bench.write("two.asc", bench.read("pgp.asc") + &bench.read("pgp.asc"));
    bench.write("torn.asc", bench.read("pgp.asc").replace('m', "n"));
    let before = bench.read("attestors/ci.yaml");
    let rows = [
        (
            "--pkix-public-key-file pgp.asc",
            "holds an OpenPGP certificate: name it with --pgp-public-key-file",
        ),
        ("--pgp-public-key-file rsa.pub", "holds a PEM public key: name it with --pkix-public-key-file"),
        ("--pgp-public-key-file secret.asc", "write the public one with `gpg --export --armor`"),
        ("--pkix-public-key-file secret.asc", "write the public one with `gpg --export --armor`"),
        ("--pgp-public-key-file rsa.pem", "write the public one with `openssl pkey -in KEY -pubout`"),
        ("--pgp-public-key-file two.asc", "exactly one `PGP PUBLIC KEY BLOCK`"),
        ("--pgp-public-key-file torn.asc", "would be refused with this change"),
        ("--pgp-public-key-file absent.asc", "cannot read public key `absent.asc`"),
        ("--pgp-public-key-file pgp.asc --public-key-id-override x", "cannot be used with"),
        ("--pgp-public-key-file pgp.asc --pkix-public-key-algorithm ml-dsa-65", "cannot be used with"),
        ("--pgp-public-key-file pgp.asc --pkix-public-key-file rsa.pub", "cannot be used with"),
        ("", "--pkix-public-key-file <FILE>|--pgp-public-key-file <FILE>"),
        (
            "--pkix-public-key-file rsa.pub --pkix-public-key-algorithm rsa-pss-3072-sha256",
            "`rsa.pub` is not a public key to add: signatureAlgorithm is RSA_PSS_3072_SHA256, but the key is RSA 2048",
        ),
        (
            "--pkix-public-key-file rsa.pub --pkix-public-key-algorithm ecdsa-p256-sha256",
            "signatureAlgorithm is ECDSA_P256_SHA256, but the key is RSA 2048",
        ),
    ];
    for (rest, part) in rows {
        bench.run(&format!("attestors public-keys add --attestor ci $A {rest}")).gave(2, part);
        assert_eq!(bench.read("attestors/ci.yaml"), before, "{rest}");
    }
}

#[test]
fn the_pre_authentication_encoding_of_the_payload() {
    let bench = Bench::with_attestor();
    let sign = |folder: &str, rest: &str| {
        bench.run(&format!(
            "attestations sign-and-create --attestor ci --key ci.pem $A --occurrences {folder} --artifact-url {} {rest}",
            app()
        ))
    };
    let made = sign("usual", "--pae-encode-payload -o json").gave(0, "");
    assert_eq!(made.err, "");
    let made = made.json();
    verified(&bench, "usual", made["keyId"].as_str().unwrap());
    sign("usual", "--pae-encode-payload").gave(0, "is there already");
    // The payload is filed as it is, the signature is over its encoding.
    let occurrence: Value = serde_json::from_str(&bench.read(made["file"].as_str().unwrap())).unwrap();
    let field = |name: &str, value: &Value| bench.write(name, value.as_str().unwrap());
    field("payload.b64", &occurrence["attestation"]["serializedPayload"]);
    field("signature.b64", &occurrence["attestation"]["signatures"][0]["signature"]);
    for name in ["payload", "signature"] {
        bench.openssl(&format!("base64 -d -A -in {name}.b64 -out {name}"));
    }
    assert_eq!(bench.read("payload"), PAYLOAD);
    let media_type = "application/vnd.dev.cosign.simplesigning.v1+json";
    let encoded = format!("DSSEv1 {} {media_type} {} {PAYLOAD}", media_type.len(), PAYLOAD.len());
    bench.write("encoded", encoded);
    bench.openssl("dgst -sha256 -verify ci.pub -signature signature encoded");

    // Another type counts where it is configured, and nowhere else.
    let warned = sign("other", "--pae-encode-payload --dsse-type text/x-own").gave(0, "created in");
    assert!(warned.err.contains("payload type `text/x-own` is not among the configured `dsse_types`"));
    let list = "attestations list $A --occurrences other";
    bench.run(list).gave(0, "BAD_SIGNATURE");
    bench.write("config.toml", "config_version = 1\ndsse_types = ['text/x-own']\n");
    bench.run(&format!("--config config.toml {list}")).gave(0, "verified");
    let silent = sign("third", "--pae-encode-payload --dsse-type text/x-own --config config.toml");
    assert_eq!((silent.code, silent.err.as_str()), (0, ""));
    sign("none", "--dsse-type text/x-own").gave(2, "--pae-encode-payload");
}
