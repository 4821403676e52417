//! Break-glass: signed, judged by, put in place, listed and revoked, with a real daemon and no network.

use std::fs;

use super::bench::{Bench, D, ENFORCED, Ran, app, other};
use super::node::Node;

/// With a break-glass key `glass.pem`.
fn bench() -> Bench {
    let bench = Bench::with_attestor();
    bench.openssl("ecparam -genkey -name prime256v1 -noout -out glass.pem");
    bench.openssl("ec -in glass.pem -pubout -out glass.pub");
    bench.chmod("glass.pem", 0o600);
    bench.policy_by_ci(ENFORCED);
    bench
}

/// `$D` stands for the digest of `app()`.
fn grant(bench: &Bench, flags: &str) -> Ran {
    let line = format!("break-glass grant {}", flags.replace("$D", D));
    bench.run_args(&line.split_whitespace().collect::<Vec<_>>())
}

const SHOP: &str =
    "--digest $D --namespace shop --reason signer-down --expires 4h --key glass.pem --to g.json";

#[test]
fn a_grant_is_signed_and_judged_by() {
    let bench = bench();
    let told = grant(&bench, &format!("{SHOP} --serial one --ticket INC-42 -o json")).gave(0, "").json();
    assert_eq!((&told["grant"]["serial"], &told["grant"]["digests"][0]), (&"one".into(), &D.into()));
    assert!(told["keyId"].as_str().unwrap().starts_with("ni:///sha-256;"), "{told}");
    let judge = |rest: &str| {
        bench.run(&format!("evaluate --policy policy.yaml $A --occurrences attestors {} {rest}", app()))
    };
    judge("--namespace shop").gave(1, "NO_ATTESTATION");
    let with = "--break-glass g.json --break-glass-key glass.pub";
    let ran = judge(&format!("--namespace shop {with}"))
        .gave(0, "ALLOW (break-glass: would be DENY)")
        .gave(0, "BREAK_GLASS");
    assert!(ran.out.contains("break-glass grant one until"), "{ran:?}");
    judge(&format!("--namespace shop {with} --strict")).gave(1, "BREAK_GLASS");
    judge(&format!("--namespace shop {with} --explain")).gave(0, "breakGlass: allows: grant one overrides");
    judge(&format!("--namespace other {with}")).gave(1, "NO_ATTESTATION");
    judge(&format!("--namespace shop {with} --now 2099-01-01T00:00:00Z")).gave(1, "NO_ATTESTATION");
    bench
        .run(&format!(
            "evaluate --policy policy.yaml $A --occurrences attestors {} --namespace shop {with}",
            other()
        ))
        .gave(1, "NO_ATTESTATION");
    judge("--break-glass g.json --break-glass-key ci.pub").gave(1, "not signed by a break-glass key");
    judge("--break-glass g.json").gave(1, "there is no break-glass key");
    // By the config of an image, and anywhere.
    let config = D.replace("ab", "ef");
    grant(
        &bench,
        &format!("--digest {config} --any-namespace --reason x --expires 1h --key glass.pem --to any.json"),
    )
    .gave(0, "until");
    let any = "--break-glass any.json --break-glass-key glass.pub";
    judge(&format!("{any} --config-digest {config}")).gave(0, "BREAK_GLASS");
    judge(any).gave(1, "NO_ATTESTATION");
    // A label counts where the configuration says so.
    judge("--break-glass-label --namespace shop").gave(1, "NO_ATTESTATION");
    bench.write("label.toml", "config_version = 1\n[break_glass]\npod_label = true\n");
    judge("--config label.toml --break-glass-label").gave(0, "allowed by the pod's label");
    judge("--config label.toml").gave(1, "NO_ATTESTATION");
}

#[test]
fn what_no_node_would_take_is_not_signed() {
    let bench = bench();
    let key = "--key glass.pem --to no.json";
    let rows = [
        (format!("--digest latest --namespace shop --reason x --expires 1h {key}"), 2, "is not a digest"),
        (format!("--digest $D --reason x --expires 1h {key}"), 2, "--namespace"),
        (
            format!("--digest $D --namespace shop --any-namespace --reason x --expires 1h {key}"),
            2,
            "cannot be used",
        ),
        (
            format!("--digest $D --namespace Shop --reason x --expires 1h {key}"),
            1,
            "`Shop` is not the name of one",
        ),
        (format!("--digest $D --namespace shop --expires 1h {key}"), 2, "--reason"),
        (format!("--digest $D --namespace shop --reason x {key}"), 2, "--expires"),
        (format!("--digest $D --namespace shop --reason x --expires soon {key}"), 2, "`soon` is not a time"),
        (
            format!("--digest $D --namespace shop --reason x --expires 2001-01-01T00:00:00Z {key}"),
            2,
            "is past already",
        ),
        (
            format!("--digest $D --namespace shop --reason x --expires 1h --serial a/b {key}"),
            2,
            "is not a serial",
        ),
        (
            format!("--digest $D --namespace shop --reason x --expires 1h --cluster prod {key}"),
            1,
            "clusters: `prod`",
        ),
        (
            "--digest $D --namespace shop --reason x --expires 1h --to no.json".into(),
            2,
            "no key to sign with",
        ),
    ];
    for (flags, code, part) in rows {
        grant(&bench, &flags).gave(code, part);
    }
    assert!(!bench.at("no.json").exists());
    // What this node would not take, another may.
    grant(&bench, &SHOP.replace("4h", "30d")).gave(0, "refuse a grant for so long");
    // Every serial is another's.
    let serial = || grant(&bench, &format!("{SHOP} -o json")).json()["grant"]["serial"].clone();
    assert_ne!(serial(), serial());
    bench.run("break-glass revoke one --to r.json").gave(2, "no key to sign with");
    bench
        .run("break-glass revoke one --key glass.pem --to r.json --reason stolen")
        .gave(0, "a revocation of one");
}

fn node() -> Node {
    let bench = bench();
    fs::create_dir_all(bench.at("keys")).unwrap();
    fs::copy(bench.at("glass.pub"), bench.at("keys/glass.pem")).unwrap();
    let at = |name: &str| bench.at(name).display().to_string();
    let tables = format!("[break_glass]\nkeys = ['{}']\ngrants = '{}'\n", at("keys/glass.pem"), at("grants"));
    let policy = format!("policy = '{}'\n", at("policy.yaml"));
    let node = Node::of(bench, &policy, &tables);
    for document in fs::read_dir(node.bench.at("attestors")).unwrap().flatten() {
        fs::copy(document.path(), node.bench.at("etc/attestors").join(document.file_name())).unwrap();
    }
    node
}

fn reason(node: &Node, namespace: &str) -> String {
    let verdict = node.run(&format!("evaluate {} --namespace {namespace} -o json", app())).json();
    verdict["reason"].as_str().unwrap().to_owned()
}

#[test]
fn on_a_node_a_grant_holds_until_it_is_revoked_for_good() {
    let mut node = node();
    node.start();
    assert_eq!(reason(&node, "shop"), "NO_ATTESTATION");
    node.run("break-glass list").gave(0, "SERIAL");
    grant(&node.bench, &format!("{SHOP} --serial one --ticket INC-42")).gave(0, "grant one");
    node.run("break-glass apply g.json").gave(0, "grant one, until");
    node.until("the grant", |node| reason(node, "shop") == "BREAK_GLASS");
    assert_eq!(reason(&node, "other"), "NO_ATTESTATION");
    node.until_alarm("break-glass: grant one lets sha256:abab");
    let listed = node.run("break-glass list").gave(0, "in force");
    assert!(listed.out.contains("one ") && listed.out.contains("signer-down"), "{listed:?}");
    // Asking is no use of it.
    assert_eq!(node.status()["breakGlass"]["grants"][0]["uses"], 0);
    node.kill();
    node.start();
    assert_eq!(reason(&node, "shop"), "BREAK_GLASS");
    // What does not hold here is not put there.
    grant(&node.bench, &SHOP.replace("glass.pem", "ci.pem").replace("g.json", "s.json")).gave(0, "");
    node.run("break-glass apply s.json").gave(1, "it is not signed by a break-glass key of this node");
    grant(&node.bench, &SHOP.replace("4h", "3d").replace("g.json", "l.json")).gave(0, "");
    node.run("break-glass apply l.json").gave(1, "longer than the 1day");
    // Dropped there all the same, it is told of.
    fs::copy(node.bench.at("s.json"), node.bench.at("grants/s.json")).unwrap();
    node.until_alarm("s.json` does not count: it is not signed by a break-glass key");
    node.run("break-glass list").gave(0, "refused");

    node.run("break-glass revoke one").gave(0, "revoked for good on this node: one");
    assert_eq!(reason(&node, "shop"), "NO_ATTESTATION");
    node.kill();
    node.start();
    assert_eq!(reason(&node, "shop"), "NO_ATTESTATION");
    node.run("break-glass apply g.json").gave(0, "");
    let listed = node.run("break-glass list -o json").gave(0, "").json();
    let one = listed["grants"].as_array().unwrap().iter().find(|grant| grant["serial"] == "one").unwrap();
    assert_eq!((&one["state"], &listed["revoked"][0]["serial"]), (&"revoked".into(), &"one".into()));
    node.run("trust show -o json").gave(0, "\"serial\": \"one\"");
    node.run("trust reset --all").gave(0, "");
    assert_eq!(reason(&node, "shop"), "NO_ATTESTATION");
}

#[test]
fn revoked_without_the_daemon_and_by_a_signed_document() {
    let mut node = node();
    for serial in ["one", "two"] {
        grant(
            &node.bench,
            &format!("{} --serial {serial}", SHOP.replace("g.json", &format!("{serial}.json"))),
        )
        .gave(0, "");
        node.run(&format!("break-glass apply {serial}.json")).gave(0, "");
    }
    node.run("break-glass revoke one").gave(0, "revoked for good");
    node.start();
    let held = |node: &Node| node.status()["breakGlass"]["active"].as_u64().unwrap();
    assert_eq!(held(&node), 1);
    node.run("break-glass revoke two three --key glass.pem --to r.json")
        .gave(0, "a revocation of two, three");
    assert_eq!(held(&node), 1);
    node.run("break-glass apply r.json").gave(0, "a revocation of three, two");
    node.until("the revocation", |node| held(node) == 0);
    for entry in fs::read_dir(node.bench.at("grants")).unwrap().flatten() {
        fs::remove_file(entry.path()).unwrap();
    }
    node.run("break-glass apply two.json").gave(0, "");
    node.terminate();
    node.start();
    let told = node.status()["breakGlass"].clone();
    assert_eq!((&told["active"], &told["grants"][0]["state"]), (&0.into(), &"revoked".into()));
    node.run("break-glass revoke ../x").gave(2, "is not a serial");
}

#[test]
fn what_ends_is_judged_again_at_its_end() {
    let mut node = node();
    grant(&node.bench, &SHOP.replace("4h", "6s")).gave(0, "");
    let until =
        humantime::format_rfc3339_seconds(std::time::SystemTime::now() + std::time::Duration::from_secs(6));
    node.bench.write(
        "policy.yaml",
        format!(
            "admissionWhitelistPatterns: [{{namePattern: 'registry.example.com/team/web@*', binauthdExpires: '{until}', \
             binauthdOwner: web}}]\n{}",
            node.bench.read("policy.yaml")
        ),
    );
    node.run("break-glass apply g.json").gave(0, "");
    node.start();
    let exempt = |node: &Node| {
        let line = format!("evaluate {} -o json", app().replace("app", "web"));
        node.run(&line).json()["reason"] == "ALLOWLISTED"
    };
    assert!(reason(&node, "shop") == "BREAK_GLASS" && exempt(&node));
    node.until("the end of the grant", |node| reason(node, "shop") == "NO_ATTESTATION");
    node.until("the end of the exception", |node| !exempt(node));
    node.run("break-glass list").gave(0, "expired");
    assert!(!node.alarms().contains("break-glass"), "{}", node.alarms());
}
