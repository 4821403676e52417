//! Signed policy bundles: signed, shown, obeyed by a real daemon, and forgotten.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::bench::{Bench, ENFORCED, Ran};
use super::node::Node;

const FOREVER: &str = "--expires 2099-01-01T00:00:00Z";

fn bench() -> Bench {
    let bench = Bench::with_attestor();
    bench.openssl("genrsa -out rsa.pem 2048");
    bench.openssl("rsa -in rsa.pem -pubout -out rsa.pub");
    bench.chmod("rsa.pem", 0o600);
    bench.policy_by_ci(ENFORCED);
    bench
}

/// A bundle of this version whose policy has this rule.
fn sign(bench: &Bench, version: u64, rule: &str, rest: &str) -> Ran {
    bench.policy(rule, ENFORCED);
    bench.run(&format!(
        "policy sign --project shop --version {version} {FOREVER} --policy policy.yaml $A {rest}"
    ))
}

fn signed(bench: &Bench, version: u64, rule: &str, to: &str) {
    sign(bench, version, rule, &format!("--private-key-file ci.pem --to {to}.new")).gave(0, "is in");
    fs::create_dir_all(bench.at(to).parent().unwrap()).unwrap();
    fs::rename(bench.at(&format!("{to}.new")), bench.at(to)).unwrap();
}

#[test]
fn a_bundle_is_signed_and_shown() {
    let bench = bench();
    let by_ci = "REQUIRE_ATTESTATION, requireAttestationsBy: [projects/p/attestors/ci]";
    bench.write("deny.yaml", format!("digests: [{{digest: 'sha256:{}', reason: x}}]", "cd".repeat(32)));
    let ran = sign(&bench, 7, by_ci, "--deny-list deny.yaml --private-key-file ci.pem --to 7.json -o json");
    let told = ran.gave(0, "").json();
    assert_eq!(
        (&told["version"], &told["project"], &told["keyIds"][0]),
        (&7.into(), &"shop".into(), &bench.key_id().into())
    );
    let shown = bench.run("policy show 7.json").gave(0, "verified:      not checked");
    assert!(shown.out.contains("ci.yaml") && shown.out.contains("deny.yaml"), "{shown:?}");
    bench.run("policy show 7.json --bundle-keys ci.pub").gave(0, "verified:      yes");
    bench
        .run("policy show 7.json --bundle-keys stranger.pub")
        .gave(1, "not signed by a bundle key of this node");
    let report = bench.run("policy show 7.json --bundle-keys stranger.pub,ci.pub -o json").gave(0, "").json();
    assert_eq!((&report["verified"], &report["expires"]), (&true.into(), &"2099-01-01T00:00:00Z".into()));
    assert_eq!(report["signatures"][0]["verifiedBy"], report["signatures"][0]["keyId"]);
    assert_eq!(report["digest"], told["digest"]);
    assert_eq!(report["documents"].as_array().unwrap().len(), 3);
    let version = bench.run("policy check policy.yaml $A -o json").json();
    assert_eq!(report["documents"][0]["version"], version["version"]);
    bench.run("policy show 7.json -o yaml").gave(0, "project: shop");
    // The same flags, the same bytes.
    let first = bench.read("7.json");
    sign(&bench, 7, by_ci, "--deny-list deny.yaml --private-key-file ci.pem --to 7.json").gave(0, "");
    assert_eq!(bench.read("7.json"), first);
}

#[test]
fn a_bundle_is_signed_with_a_key_that_is_elsewhere() {
    let bench = bench();
    sign(&bench, 3, "ALWAYS_DENY", "--pae --to pae").gave(0, "the bytes to sign are in pae");
    bench.openssl("dgst -sha256 -sign rsa.pem -out rsa.sig pae");
    bench.openssl("dgst -sha256 -sign ci.pem -out ci.sig pae");
    bench.openssl("base64 -in ci.sig -out ci.sig64");
    let both = "--signature-file rsa.sig --signature-file ci.sig64 --key-id release --to 3.json";
    sign(&bench, 3, "ALWAYS_DENY", both).gave(0, "is in 3.json");
    for key in ["rsa.pub", "ci.pub"] {
        bench.run(&format!("policy show 3.json --bundle-keys {key}")).gave(0, "verified:      yes");
    }
    bench.run("policy show 3.json --bundle-keys stranger.pub").gave(1, "those there are name `release`");
}

#[test]
fn what_no_node_would_take_is_not_signed() {
    let bench = bench();
    let key = "--private-key-file ci.pem --to no.json";
    let by =
        |name: &str| format!("REQUIRE_ATTESTATION, requireAttestationsBy: [projects/p/attestors/{name}]");
    bench.write("broken.yaml", "digests: [x]");
    bench.write("deny.json", "{\"digests\": []}");
    let rows = [
        (by("nobody"), key.to_owned(), 1, "no document defines attestor `projects/p/attestors/nobody`"),
        ("ALWAYS".to_owned(), key.into(), 1, "its policy `policy.yaml` is refused"),
        (by("ci"), format!("--deny-list broken.yaml {key}"), 1, "its deny list `broken.yaml` is refused"),
        (
            by("ci"),
            format!("--system-policy absent.yaml {key}"),
            2,
            "cannot read system policy `absent.yaml`",
        ),
        (
            by("ci"),
            "--private-key-file rsa.pem --to no.json".into(),
            2,
            "does not hold an EC P-256 private key",
        ),
        (by("ci"), "--to no.json".into(), 2, "--private-key-file"),
        (by("ci"), format!("--expires-in 1d {key}"), 2, "cannot be used with"),
    ];
    for (rule, rest, code, part) in rows {
        sign(&bench, 1, &rule, &rest).gave(code, part);
    }
    bench.policy_by_ci(ENFORCED);
    let base = "policy sign --project shop --version 1 --policy policy.yaml $A --to no.json";
    for (rest, code, part) in [
        ("--expires 2001-01-01T00:00:00Z --key ci.pem", 1, "version 1 expired at 2001-01-01T00:00:00Z"),
        ("--expires soon --key ci.pem", 1, "`soon` is not a time of RFC 3339"),
        ("--expires-in 1d --pae", 2, "cannot be used with"),
        ("--key ci.pem", 2, "--expires"),
    ] {
        bench.run(&format!("{base} {rest}")).gave(code, part);
    }
    assert!(!bench.at("no.json").exists());
    bench.run(&format!("{base} --expires-in 90d --key ci.pem --deny-list deny.json")).gave(0, "version 1");
    bench.run("policy show policy.yaml").gave(2, "policy bundle `policy.yaml` is refused: it is not a DSSE");
    bench.run("policy show no.json --bundle-keys ci.pem").gave(2, "`ci.pem` is not a bundle key");
}

/// A daemon that obeys bundles from the folder `bundles`, signed with `ci` or `rsa`.
fn obeying() -> Node {
    let bench = bench();
    for folder in ["bundles", "keys"] {
        fs::create_dir_all(bench.at(folder)).unwrap();
    }
    for key in ["ci", "rsa"] {
        fs::copy(bench.at(&format!("{key}.pub")), bench.at(&format!("keys/{key}.pem"))).unwrap();
    }
    let at = |name: &str| bench.at(name).display().to_string();
    let policy = format!(
        "[policy]\npath = '{policy}'\nbundle = 'file://{bundles}'\nbundle_keys = ['{ci}', '{rsa}']\n\
         project = 'shop'\n",
        policy = at("etc/policy.yaml"),
        bundles = at("bundles"),
        ci = at("keys/ci.pem"),
        rsa = at("keys/rsa.pem"),
    );
    Node::of(bench, "", &policy)
}

#[test]
fn a_node_obeys_bundles_over_restarts() {
    let mut node = obeying();
    node.start();
    let refused = node.verdict();
    assert_eq!(refused["reason"], "POLICY_MISSING");
    assert!(refused["message"].as_str().unwrap().contains("no policy bundle has been accepted"), "{refused}");
    node.until_alarm("policy bundle: none has been accepted");
    signed(&node.bench, 7, "ALWAYS_ALLOW", "bundles/7.json");
    node.until_version(7);
    assert_eq!(node.verdict()["reason"], "ALWAYS_ALLOW");
    node.run("status").gave(0, "7, until 2099-01-01T00:00:00Z: project shop from");
    signed(&node.bench, 8, "ALWAYS_DENY", "bundles/8.json");
    let dropped = Instant::now();
    node.until("the new policy", |node| node.verdict()["reason"] == "ALWAYS_DENY");
    println!("a new bundle was in force {} ms after it was put there", dropped.elapsed().as_millis());
    // Back to the one before: refused, now and after a crash.
    fs::remove_file(node.bench.at("bundles/8.json")).unwrap();
    node.until_alarm("version 7 is lower than 8");
    node.kill();
    node.start();
    assert_eq!(node.verdict()["reason"], "ALWAYS_DENY");
    node.until_alarm("version 8 stays in force");
    node.run("trust show").gave(0, "highest bundle:");
    // The key is taken away.
    fs::remove_file(node.bench.at("keys/ci.pem")).unwrap();
    node.until("the key to be gone", |node| node.verdict()["reason"] == "POLICY_UNREADABLE");
    node.terminate();
    fs::copy(node.bench.at("ci.pub"), node.bench.at("keys/ci.pem")).unwrap();
    node.start();
    assert_eq!(node.verdict()["reason"], "ALWAYS_DENY");
}

#[test]
fn what_was_recorded_is_never_lower_than_what_was_used() {
    let mut node = obeying();
    let mut highest = 0;
    node.start();
    for round in 1..=10 {
        signed(&node.bench, round, "ALWAYS_DENY", &format!("bundles/{round}.json"));
        sleep(Duration::from_millis(round * 7 % 60));
        highest = node.version().unwrap_or(0).max(highest);
        node.kill();
        let kept = node.run("trust show -o json").gave(0, "").json();
        let recorded = kept["bundle"]["version"].as_u64().unwrap_or(0);
        assert!(recorded >= highest, "{recorded} recorded, {highest} used");
        node.start();
        assert!(node.version().unwrap_or(0) >= recorded);
    }
    node.until_version(10);
}

#[test]
fn what_was_accepted_is_forgotten_by_root_alone() {
    let mut node = obeying();
    for version in [3, 9] {
        signed(&node.bench, version, "ALWAYS_DENY", &format!("bundles/{version}.json"));
    }
    node.start();
    node.until_version(9);
    fs::remove_file(node.bench.at("bundles/9.json")).unwrap();
    node.until_alarm("version 3 is lower than 9");
    node.run("trust reset").gave(2, "say what to forget, with --bundle, --time or --all");
    // A reader: whoever may open the socket and is not root.
    fs::set_permissions(node.bench.at("run/admin.sock"), std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .unwrap();
    let reader = |line: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_binauthctl"))
            .args(["--config", "config.toml"])
            .args(line.split_whitespace())
            .current_dir(node.bench.folder.path())
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(reader("trust show").0, Some(0));
    let (code, told) = reader("trust reset --bundle");
    assert!(code == Some(2) && told.contains("uid 65534 may not ask here, only root"), "{code:?} {told}");
    assert_eq!(node.version(), Some(9));
    node.run("trust reset --bundle").gave(0, "forgotten: policy bundle 9: any version is accepted again");
    assert_eq!(node.version(), Some(3));
    // The same with nobody to ask.
    signed(&node.bench, 9, "ALWAYS_DENY", "bundles/9.json");
    node.until_version(9);
    fs::remove_file(node.bench.at("bundles/9.json")).unwrap();
    node.terminate();
    node.run("trust reset --bundle").gave(0, "forgotten: policy bundle 9");
    node.start();
    assert_eq!(node.version(), Some(3));
}

#[test]
fn with_nothing_left_of_what_was_accepted_every_image_is_refused() {
    let mut node = obeying();
    signed(&node.bench, 3, "ALWAYS_ALLOW", "bundles/3.json");
    node.start();
    node.until_version(3);
    node.kill();
    fs::write(node.bench.at("state/trust.0"), "spoilt").unwrap();
    node.start();
    assert_eq!((node.version(), node.alarms().contains("a copy was lost")), (Some(3), true));
    for offline in [false, true] {
        node.kill();
        for copy in ["state/trust.0", "state/trust.1"] {
            fs::write(node.bench.at(copy), "spoilt").unwrap();
        }
        node.run("trust show").gave(1, "broken");
        node.start();
        let verdict = node.verdict();
        assert_eq!(
            (&verdict["reason"], &verdict["verdict"]),
            (&"TRUST_LOST".into(), &"CANNOT_DECIDE".into())
        );
        assert!(verdict["remedy"].as_str().unwrap().contains("binauthctl trust reset"), "{verdict}");
        if offline {
            node.kill();
        }
        node.run("trust reset").gave(0, "none of which could be read");
        if offline {
            node.start();
        }
        assert_eq!(node.verdict()["reason"], "ALWAYS_ALLOW");
        node.run("trust show").gave(0, "whole");
    }
}

#[test]
fn a_clock_that_went_back_is_told_and_believed_again_on_request() {
    let mut node = obeying();
    signed(&node.bench, 3, "ALWAYS_ALLOW", "bundles/3.json");
    node.start();
    node.until_version(3);
    node.terminate();
    let year = Duration::from_secs(365 * 86_400);
    let ahead = (SystemTime::now() + year).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for copy in ["state/trust.0", "state/trust.1"] {
        let text = node.bench.read(copy);
        let (_, body) = text.split_once('\n').unwrap();
        let mut body: Value = serde_json::from_str(body).unwrap();
        assert!(body["mark"].as_u64().is_some_and(|mark| mark + 600 > ahead - year.as_secs()));
        body["mark"] = ahead.into();
        let body = body.to_string();
        let sum = binauthd::image::Digest::of(body.as_bytes());
        node.bench.write(copy, format!("{sum}\n{body}"));
    }
    node.start();
    // What is offered until then has expired by what was seen.
    node.bench.policy("ALWAYS_DENY", ENFORCED);
    let sign = "policy sign --project shop --version 4 --expires-in 30d --policy policy.yaml $A --key ci.pem --to bundles/4.json";
    node.bench.run(sign).gave(0, "version 4");
    node.until_alarm("version 4 expired at");
    node.until_alarm("was seen before, and time goes on from there");
    assert_eq!(node.verdict()["reason"], "ALWAYS_ALLOW");
    node.run("trust reset --time").gave(0, "the clock is believed again");
    node.until_version(4);
    assert!(!node.alarms().contains("was seen before"));
}

#[test]
fn a_bundle_is_carried_to_a_node_that_takes_its_own_alone() {
    let mut node = obeying();
    signed(&node.bench, 3, "ALWAYS_ALLOW", "bundles/3.json");
    node.start();
    node.until_version(3);
    let exported = node.run("bundle export --to carried -o json").gave(0, "").json();
    assert_eq!(exported["policyBundle"], 3, "{exported}");

    let mut other = obeying();
    fs::copy(node.bench.at("carried"), other.bench.at("carried")).unwrap();
    other.run("bundle import carried").gave(2, "it is not signed by a bundle key of this node");
    fs::copy(node.bench.at("keys/ci.pem"), other.bench.at("keys/ci.pem")).unwrap();
    other.start();
    assert_eq!(other.version(), None);
    let imported = other.run("bundle import carried -o json").gave(0, "").json();
    assert_eq!(imported["policyBundle"], 3, "{imported}");
    other.until_version(3);

    // Another project's is refused, and nothing of the file is put anywhere.
    let text = fs::read_to_string(other.bench.at("config.toml")).unwrap();
    other.bench.write("config.toml", text.replace("project = 'shop'", "project = 'other'"));
    fs::remove_file(other.bench.at("bundles/00000000000000000003.json")).unwrap();
    other.run("bundle import carried").gave(2, "of project `shop`, and this node obeys `other`");
    assert_eq!(fs::read_dir(other.bench.at("bundles")).unwrap().count(), 0);
}
