//! `binauthctl` as its users run it: the real binary, real folders, keys and signatures by openssl.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests fail by panicking

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use binauthd::attestation::base64;
use serde_json::Value;

const D: &str = "sha256:abababababababababababababababababababababababababababababababab";
const PAYLOAD: &str = r#"{
  "critical": {
    "identity": {
      "docker-reference": "registry.example.com/team/app"
    },
    "image": {
      "docker-manifest-digest": "sha256:abababababababababababababababababababababababababababababababab"
    },
    "type": "Google cloud binauthz container signature"
  }
}
"#;
const ENFORCED: &str = "ENFORCED_BLOCK_AND_AUDIT_LOG";
const DRY_RUN: &str = "DRYRUN_AUDIT_LOG_ONLY";

fn app() -> String {
    format!("registry.example.com/team/app@{D}")
}

fn web() -> String {
    app().replace("app", "web")
}

fn other() -> String {
    app().replace("ab", "cd")
}

/// A folder in which binauthctl is run; `$A` and `$O` stand for the flags of its two folders.
struct Bench {
    folder: tempfile::TempDir,
}

#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn gave(self, code: i32, part: &str) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        let all = format!("{}{}", self.out, self.err);
        assert!(all.contains(part), "{all:?} lacks {part:?}");
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With the attestor `ci` of project `p`, its key `ci.pem`, and a stranger's key `stranger.pem`.
    fn with_attestor() -> Self {
        let bench = Self::new();
        for name in ["ci", "stranger"] {
            bench.openssl(&format!("ecparam -genkey -name prime256v1 -noout -out {name}.pem"));
            bench.openssl(&format!("ec -in {name}.pem -pubout -out {name}.pub"));
            bench.chmod(&format!("{name}.pem"), 0o600);
        }
        bench.run("attestors create ci --project p --attestation-authority-note ci $A").gave(0, "created in");
        bench.add_key("ci.pub").gave(0, "added to");
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap()
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.at(name)).unwrap().permissions().mode() & 0o7777
    }

    fn policy(&self, rule: &str, enforcement: &str) {
        let text =
            format!("defaultAdmissionRule: {{enforcementMode: {enforcement}, evaluationMode: {rule}}}\n");
        self.write("policy.yaml", text);
    }

    fn policy_by_ci(&self, enforcement: &str) {
        self.policy("REQUIRE_ATTESTATION, requireAttestationsBy: [projects/p/attestors/ci]", enforcement);
    }

    fn run(&self, line: &str) -> Ran {
        let line = line.replace("$A", "--attestors attestors").replace("$O", "--occurrences occurrences");
        self.run_args(&line.split_whitespace().collect::<Vec<_>>())
    }

    fn run_args(&self, args: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_binauthctl"))
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn openssl(&self, line: &str) -> String {
        let output = Command::new("openssl")
            .args(line.split_whitespace())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "openssl {line}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    fn add_key(&self, rest: &str) -> Ran {
        self.run(&format!("attestors public-keys add --attestor ci $A --pkix-public-key-file {rest}"))
    }

    /// The id of the first key of `ci`.
    fn key_id(&self) -> String {
        let keys = self.run("attestors public-keys list --attestor ci -o json $A").json();
        keys[0]["id"].as_str().unwrap().to_owned()
    }

    fn sign(&self, image: &str) -> Ran {
        self.run(&format!(
            "attestations sign-and-create --attestor ci --key ci.pem $A $O --artifact-url {image}"
        ))
    }

    fn verify(&self, image: &str, rest: &str) -> Ran {
        self.run(&format!("attestations verify --artifact-url {image} {rest} $A $O"))
    }

    fn evaluate(&self, rest: &str) -> Ran {
        self.run(&format!("evaluate --policy policy.yaml $A $O {rest}"))
    }

    fn occurrence_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.at("occurrences")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }
}

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

#[test]
fn policies_are_checked_with_the_attestors_they_name() {
    let bench = Bench::with_attestor();
    bench.run("attestors create bare --project p --attestation-authority-note n $A").gave(0, "");
    fs::copy(bench.at("attestors/ci.yaml"), bench.at("attestors/twin.yaml")).unwrap();
    bench.write(
        "attestors/good.yaml",
        bench.read("attestors/ci.yaml").replace("attestors/ci", "attestors/good"),
    );
    let rule = |names: &str| {
        let names: Vec<_> = names.split(' ').map(|name| format!("projects/p/attestors/{name}")).collect();
        format!("REQUIRE_ATTESTATION, requireAttestationsBy: [{}]", names.join(", "))
    };
    let rows = [
        (rule("good"), 0, "valid:        yes"),
        ("ALWAYS_DENY".to_owned(), 0, "ALWAYS_DENY"),
        (rule("nobody"), 1, "no document defines attestor `projects/p/attestors/nobody`"),
        (rule("bare"), 1, "`projects/p/attestors/bare` has no keys"),
        (rule("ci"), 1, "several documents define attestor"),
        (rule("a/b"), 1, "is not of the form"),
        ("REQUIRE_ATTESTATION, requireAttestationsBy: []".into(), 1, "is empty"),
        ("ALLOW_ALL".into(), 1, "`ALLOW_ALL` is not an `evaluationMode`"),
        ("ALWAYS_ALLOW, x: y".into(), 1, "unknown field"),
        ("ALWAYS_ALLOW, evaluationMode: ALWAYS_DENY".into(), 1, "duplicate"),
    ];
    for (rule, code, part) in rows {
        bench.policy(&rule, ENFORCED);
        bench.run("policy check policy.yaml $A").gave(code, part);
        let report = bench.run("policy check policy.yaml $A -o json").gave(code, "").json();
        assert_eq!(report["valid"], code == 0);
    }
    bench.policy(&rule("nobody bare good ci"), ENFORCED);
    let report = bench.run("policy check --policy policy.yaml $A -o json").gave(1, "").json();
    assert_eq!(report["problems"].as_array().unwrap().len(), 3);
    bench.run("policy check policy.yaml --attestors nowhere").gave(2, "attestors folder `nowhere`");
    bench.run("policy check nowhere.yaml $A").gave(2, "cannot read policy `nowhere.yaml`");
    bench.run("policy check . $A").gave(2, "not a regular file");
    bench.write("empty.yaml", "");
    bench.run("policy check empty.yaml $A").gave(1, "the document is empty");
}

#[test]
fn verdicts() {
    let bench = Bench::with_attestor();
    bench.sign(&app()).gave(0, "");
    bench.policy_by_ci(ENFORCED);
    let members = |verdict: &Value| {
        ["verdict", "would", "enforced", "reason", "rule"].map(|name| verdict[name].clone())
    };
    let rule = "defaultAdmissionRule";
    let verdict = bench.evaluate(&format!("{} -o json", app())).gave(0, "").json();
    assert_eq!(
        members(&verdict),
        serde_json::json!(["ALLOW", "ALLOW", true, "ATTESTED", rule]).as_array().unwrap()[..]
    );
    assert_eq!(verdict["attestors"][0]["satisfied"], true);
    let pod = "--namespace n --service-account s --cluster l.c";
    let verdict = bench.evaluate(&format!("{} -o json {pod}", other())).gave(1, "").json();
    assert_eq!(
        members(&verdict),
        serde_json::json!(["DENY", "DENY", true, "NO_ATTESTATION", rule]).as_array().unwrap()[..]
    );
    assert!(verdict["message"].as_str().unwrap().contains("denied by attestor projects/p/attestors/ci"));
    bench.evaluate(&format!("{} -o yaml", app())).gave(0, "verdict: ALLOW\n");

    let sentence = "Image gcr.io/p/app:v1 denied by attestor projects/p/attestors/ci: Expected digest with \
                    sha256 scheme, but got tag or malformed digest";
    bench.evaluate("gcr.io/p/app:v1").gave(1, sentence);
    bench.evaluate("https://gcr.io/P/app").gave(2, "does not name an image");
    bench.evaluate(&format!("gcr.io/p/app@{}", D.to_uppercase())).gave(2, "does not name an image");

    bench.policy_by_ci(DRY_RUN);
    bench.evaluate(&other()).gave(0, "ALLOW (dry run: would be DENY)");
    bench.evaluate(&format!("{} --strict", other())).gave(1, "ALLOW (dry run: would be DENY)");
    bench.evaluate(&format!("{} --strict", app())).gave(0, "ALLOW");
    let verdict = bench.evaluate(&format!("{} -o json", other())).gave(0, "").json();
    assert_eq!(
        members(&verdict),
        serde_json::json!(["ALLOW", "DENY", false, "NO_ATTESTATION", rule]).as_array().unwrap()[..]
    );
}

#[test]
fn what_cannot_be_decided_says_so() {
    let bench = Bench::with_attestor();
    bench.write("broken.yaml", "defaultAdmissionRule: 5");
    for (policy, reason) in
        [("absent.yaml", "POLICY_MISSING"), ("broken.yaml", "POLICY_UNREADABLE"), (".", "POLICY_UNREADABLE")]
    {
        let ran = bench.run(&format!("evaluate {} --strict --policy {policy} -o json", app()));
        let verdict = ran.gave(2, reason).json();
        assert_eq!((&verdict["verdict"], &verdict["reason"]), (&"CANNOT_DECIDE".into(), &reason.into()));
    }
    // Attestors and occurrences are needed only where a rule asks for them.
    bench.policy("ALWAYS_ALLOW", ENFORCED);
    let line = format!("evaluate {} --policy policy.yaml $A --occurrences nowhere", app());
    bench.run(&line).gave(0, "ALWAYS_ALLOW");
    bench.policy_by_ci(ENFORCED);
    bench.run(&line).gave(2, "cannot read occurrences folder `nowhere`");
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

#[test]
fn without_the_daemon() {
    let bench = Bench::new();
    let socket = bench.at("run/admin.sock");
    let config = format!("config_version = 1\nruntime_dir = '{}'\n", bench.at("run").display());
    fs::write(bench.at("config.toml"), config).unwrap();
    for line in ["status", &format!("evaluate {}", app())] {
        let line = format!("--config config.toml {line}");
        let expected = format!("binauthd does not answer on `{}`", socket.display());
        let ran = bench.run(&line).gave(3, &expected);
        assert!(ran.err.contains("systemctl status binauthd") && ran.err.contains("No such file"), "{ran:?}");
        assert_eq!((ran.out.as_str(), ran.err.lines().count()), ("", 1));
    }
}

#[test]
fn configuration() {
    let bench = Bench::new();
    let rows = [
        ("config_version = 1\n", 0, "yes"),
        ("config_version = 1\ncolour = 'red'\n", 1, "unknown key `colour`"),
        ("config_version = 9\n", 1, "9 is not known"),
        ("=", 1, "line 1"),
    ];
    for (text, code, part) in rows {
        fs::write(bench.at("config.toml"), text).unwrap();
        bench.run("config check config.toml").gave(code, part);
        bench.run("--config config.toml config check").gave(code, part);
    }
    bench.run("--config config.toml policy check").gave(2, "`binauthctl config check` says what is wrong");
    bench.run("config check nothing.toml").gave(2, "cannot read configuration");
}

#[test]
fn usage() {
    let bench = Bench::new();
    bench.policy("ALWAYS_DENY", ENFORCED);
    fs::create_dir(bench.at("attestors")).unwrap();
    let nobody = format!("attestations verify --artifact-url {} --policy policy.yaml $A", app());
    let rows = [
        ("--help", 0, "Exit codes"),
        ("evaluate --help", 0, "Tell how the verdict comes about"),
        ("--version", 0, "binauthctl "),
        ("", 2, "Usage"),
        ("frobnicate", 2, "unrecognized subcommand"),
        ("evaluate", 2, "<IMAGE>"),
        ("evaluate x -o xml", 2, "possible values: table, json, yaml"),
        ("--config nowhere.toml status", 2, "cannot read configuration `nowhere.toml`"),
        (&nobody, 2, "no attestor to ask"),
    ];
    for (line, code, part) in rows {
        bench.run(line).gave(code, part);
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let bench = Bench::new();
    bench.policy("ALWAYS_DENY", ENFORCED);
    let line = format!("{} evaluate {} --policy policy.yaml", env!("CARGO_BIN_EXE_binauthctl"), app());
    let script = format!("{{ sleep 0.2; {line}; echo $? >&2; }} | true");
    let output = Command::new("sh").args(["-c", &script]).current_dir(bench.folder.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "1\n");
}
