//! Bad input: each a clear message, and no decision by accident.

use std::fs::{self, File};

use serde_json::{Value, json};

use super::guarded::{ENFORCE, Guarded, Share, file_of, policy, requires};
use super::rig::{Pushed, Tool, eventually};
use super::signer::Signer;

const ENFORCED: &str = "enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG";

/// Policies that must not be obeyed, and what is said about each.
fn bad_policies(qa: &Signer) -> Vec<(&'static str, String, &'static str)> {
    let allow = format!("defaultAdmissionRule: {{evaluationMode: ALWAYS_ALLOW, {ENFORCED}}}");
    let rule = |rule: &str| format!("defaultAdmissionRule: {{{rule}, {ENFORCED}}}");
    let by = |names: &str| format!("evaluationMode: REQUIRE_ATTESTATION, requireAttestationsBy: [{names}]");
    let pattern =
        |pattern: &str| format!("admissionWhitelistPatterns: [{{namePattern: '{pattern}'}}]\n{allow}");
    vec![
        ("an empty file", String::new(), "empty"),
        ("half a document", allow[..30].to_owned(), "line 1 column"),
        (
            "an unknown field",
            format!("{allow}\nadmissionAllowlist: []"),
            "unknown field `admissionAllowlist`",
        ),
        ("a duplicate key", format!("{allow}\n{allow}"), "duplicate"),
        ("a `*` in the middle", pattern("registry.example/*/app"), "`registry.example/*/app`"),
        ("no attestor required", rule(&by("")), "requireAttestationsBy"),
        (
            "attestors that nobody asks",
            rule(&format!("evaluationMode: ALWAYS_ALLOW, requireAttestationsBy: [{}]", qa.attestor())),
            "requireAttestationsBy",
        ),
        (
            "no enforcement mode",
            "defaultAdmissionRule: {evaluationMode: ALWAYS_ALLOW}".into(),
            "enforcementMode",
        ),
        ("an unknown mode", rule("evaluationMode: SOMETIMES"), "SOMETIMES"),
        ("no default rule", "name: projects/shop/policy".into(), "defaultAdmissionRule"),
        (
            "rules of two kinds",
            format!(
                "{allow}\nclusterAdmissionRules: {{a.b: {{evaluationMode: ALWAYS_ALLOW, {ENFORCED}}}}}\n\
                 kubernetesNamespaceAdmissionRules: {{a: {{evaluationMode: ALWAYS_ALLOW, {ENFORCED}}}}}"
            ),
            "are both used",
        ),
        ("a number for a list", format!("{allow}\nadmissionWhitelistPatterns: 5"), "line 2 column"),
    ]
}

#[tokio::test]
async fn a_policy_that_is_broken_from_the_start_refuses_every_pull_by_name() {
    let guarded = Guarded::start_with(ENFORCE, Share::some().await, |node, qa| {
        node.etc.write_attestor("qa.json", &qa.document());
    })
    .await;
    let app = guarded.push("shop/app", "1").await;
    guarded.attest(&app);
    for (what, text, says) in bad_policies(&guarded.qa) {
        guarded.node.etc.write_policy(&text);
        guarded.alarm(&["policy.yaml", says, "(refused)"]).await;
        let refusal =
            guarded.refused(&app.tagged(), &["cannot be obeyed", says, "(POLICY_UNREADABLE)"]).await;
        println!("{what}: {refusal}");
        // The next one's alarm must be its own.
        fs::remove_file(guarded.node.etc.policy()).unwrap();
        guarded.alarm(&["policy.yaml", "does not exist"]).await;
    }
    guarded.write_policy(&requires(&[&guarded.qa]));
    guarded.allowed_soon(&app.tagged()).await;
    guarded.no_alarm().await;
}

#[tokio::test]
async fn a_policy_that_breaks_later_keeps_the_last_good_one() {
    let mut guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let other = guarded.push("shop/other", "1").await;
    for (what, text, says) in bad_policies(&guarded.qa) {
        guarded.node.etc.write_policy(&text);
        println!("{what}: {}", guarded.alarm(&["policy.yaml", says, "(last good)"]).await);
        guarded.node.cri.pull(&app.tagged()).await.unwrap();
        guarded.refused(&other.tagged(), &["(NO_ATTESTATION)"]).await;
        guarded.write_policy(&requires(&[&guarded.qa]));
        guarded.no_alarm().await;
    }
    guarded.node.etc.write_policy("broken:");
    guarded.daemon.restart().await;
    guarded.alarm(&["policy.yaml", "(last good)"]).await;
    guarded.node.cri.pull(&app.tagged()).await.unwrap();
    guarded.refused(&other.tagged(), &["(NO_ATTESTATION)"]).await;
}

#[tokio::test]
async fn an_attestor_that_the_policy_names_and_nobody_defines_is_satisfied_by_nobody() {
    let nobody = Signer::new("nobody");
    let guarded = Guarded::start_with(ENFORCE, Share::some().await, |node, _| {
        node.etc.write_policy(&policy(node, &requires(&[&nobody])));
    })
    .await;
    let app = guarded.push("shop/app", "1").await;
    guarded.attest(&app);
    guarded.file("nobody.json", &nobody.attestation(&app));
    guarded.alarm(&[&nobody.attestor(), "no document defines"]).await;
    guarded.refused(&app.tagged(), &[&nobody.attestor(), "(ATTESTOR_MISSING)"]).await;
}

#[tokio::test]
async fn a_bad_attestor_is_named_and_keeps_its_last_good_keys() {
    let guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let qa = &guarded.qa;
    let key = |member: &str, value: Value| {
        let mut entry = qa.entry();
        entry["pkixPublicKey"][member] = value;
        qa.document_with(&[entry])
    };
    let rows = [
        ("the same key id twice", qa.document_with(&[qa.entry(), qa.entry()]), "twice"),
        ("P-256 declared P-384", key("signatureAlgorithm", json!("ECDSA_P384_SHA384")), "publicKeys[0]"),
        ("data behind the PEM", key("publicKeyPem", json!(qa.pem() + "more")), "publicKeys[0]"),
        ("two PEM blocks", key("publicKeyPem", json!(qa.pem() + &qa.pem())), "publicKeys[0]"),
        ("no PEM at all", key("publicKeyPem", json!("")), "publicKeys[0]"),
        ("an unknown field", qa.document().replace("\"name\"", "\"nom\""), "unknown field"),
        ("half a document", qa.document()[..100].to_owned(), ""),
    ];
    for (what, text, says) in rows {
        guarded.node.etc.write_attestor("qa.json", &text);
        println!("{what}: {}", guarded.alarm(&["qa.json", says, "(last good)"]).await);
        guarded.node.cri.pull(&app.tagged()).await.unwrap();
        guarded.node.etc.write_attestor("qa.json", &guarded.qa.document());
        guarded.no_alarm().await;
    }
    // One without a key is well-formed, and satisfied by nobody.
    guarded.node.etc.write_attestor("qa.json", &guarded.qa.document_without_keys());
    guarded.alarm(&[&guarded.qa.attestor(), "has no keys"]).await;
    guarded.refused(&app.tagged(), &["(ATTESTOR_WITHOUT_KEYS)"]).await;
    // Two documents of one name leave it to nobody.
    guarded.node.etc.write_attestor("qa.json", &guarded.qa.document());
    guarded.allowed_soon(&app.tagged()).await;
    guarded.node.etc.write_attestor("copy.json", &guarded.qa.document());
    let (_, refusal) = guarded.refused_soon(&app.tagged()).await;
    assert!(refusal.message.contains("(ATTESTOR_AMBIGUOUS)"), "{refusal}");
}

#[tokio::test]
async fn bad_occurrence_documents_spoil_no_good_one_and_are_named() {
    let guarded = Guarded::start().await;
    let app = guarded.push("shop/app", "1").await;
    let folder = &guarded.node.etc.occurrences;
    let good = guarded.qa.attestation(&app).to_string();
    let of_another_kind = json!({
        "name": "projects/shop/occurrences/v", "resourceUri": format!("https://{}", app.pinned()),
        "noteName": guarded.qa.note(), "kind": "VULNERABILITY", "vulnerability": {},
    });
    fs::write(folder.join("a-empty.json"), "").unwrap();
    fs::write(folder.join("b-truncated.json"), &good[..good.len() / 2]).unwrap();
    File::create(folder.join("c-large.json")).unwrap().set_len(50 * 1024 * 1024).unwrap();
    let mut bytes = good.clone().into_bytes();
    bytes[good.find("occurrences").unwrap()] = 0xff;
    fs::write(folder.join("d-not-utf8.json"), bytes).unwrap();
    fs::create_dir(folder.join("e-folder.json")).unwrap();
    std::os::unix::fs::symlink("f-loop.json", folder.join("f-loop.json")).unwrap();
    guarded.file("g-kind.json", &of_another_kind);
    guarded.file("h-no-digest.json", &{
        let mut occurrence = guarded.qa.attestation(&app);
        occurrence["resourceUri"] = app.tagged().into();
        occurrence
    });
    nix::unistd::mkfifo(&folder.join("i-pipe.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    guarded.refused(&app.tagged(), &["(NO_ATTESTATION)"]).await;
    guarded.attest(&app);
    guarded.allowed_soon(&app.tagged()).await;

    let refused = eventually("every bad document to be named", super::guarded::SOON, || async {
        let source = guarded.status().await["sources"][0].clone();
        (source["refused"] == 9 && source["attestations"] == 1).then_some(source["refusedDocuments"].clone())
    })
    .await;
    let refused: Vec<_> = refused.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    for line in &refused {
        println!("{line}");
    }
    for (name, says) in [
        ("a-empty", "empty"),
        ("b-truncated", "EOF"),
        ("c-large", "bytes"),
        ("d-not-utf8", "not an occurrence"),
        ("e-folder", "not a regular file"),
        ("f-loop", "symbolic links"),
        ("g-kind", "kind `VULNERABILITY`"),
        ("h-no-digest", "resourceUri"),
        ("i-pipe", "not a regular file"),
    ] {
        let line = refused.iter().find(|line| line.starts_with(&format!("{name}.json: ")));
        let line = line.unwrap_or_else(|| panic!("`{name}` is not named"));
        assert!(line.contains(says), "`{says}` is missing in: {line}");
    }
}

#[tokio::test]
async fn what_was_signed_counts_and_not_where_it_was_filed() {
    let guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let other = guarded.push("shop/other", "1").await;
    let case = async |name: &str, occurrence: Value, image: &Pushed, reason: &str| {
        guarded.file(name, &occurrence);
        eventually(&format!("{reason} because of `{name}`"), super::guarded::SOON, || async {
            (guarded.evaluate(&image.pinned()).await["reason"] == reason).then_some(())
        })
        .await;
        guarded.refused(&image.tagged(), &[&format!("({reason})")]).await;
        guarded.node.etc.remove_occurrence(name);
        // Or the next one could be taken for this one.
        eventually(&format!("`{name}` to be gone"), super::guarded::SOON, || async {
            (guarded.evaluate(&image.pinned()).await["reason"] == "NO_ATTESTATION").then_some(())
        })
        .await;
    };
    // What was signed for one image, filed under another.
    let stolen = guarded.qa.occurrence(&other, &guarded.qa.payload(&app), &[]);
    case("stolen.json", stolen, &other, "WRONG_PAYLOAD").await;
    let empty = guarded.qa.occurrence(&other, "", &[]);
    case("empty.json", empty, &other, "WRONG_PAYLOAD").await;
    let twice = guarded.qa.payload(&other).replacen("{", "{\"critical\": {},", 1);
    case("twice.json", guarded.qa.occurrence(&other, &twice, &[]), &other, "WRONG_PAYLOAD").await;
    // The right payload under a signature over something else.
    let mut swapped = guarded.qa.attestation(&other);
    let wrong = guarded.qa.attestation(&app)["attestation"]["signatures"].clone();
    swapped["attestation"]["signatures"] = wrong;
    case("swapped.json", swapped, &other, "BAD_SIGNATURE").await;
    // Another's note, another's key.
    let mut foreign = guarded.qa.attestation(&other);
    foreign["noteName"] = "projects/shop/notes/somebody".into();
    case("foreign.json", foreign, &other, "NO_ATTESTATION").await;
    let mut stranger = Signer::new("stranger").attestation(&other);
    stranger["noteName"] = guarded.qa.note().into();
    case("stranger.json", stranger, &other, "UNKNOWN_KEY").await;

    // One bad signature, and one that cannot even be read, before a good one.
    let bad = guarded.qa.signature(b"no signature at all");
    let others = [json!({"publicKeyId": 5}), bad];
    guarded.file(&file_of(&other), &guarded.qa.occurrence(&other, &guarded.qa.payload(&other), &others));
    guarded.allowed_soon(&other.tagged()).await;
}

#[tokio::test]
async fn a_question_outside_of_containerds_contract_is_refused_and_audited() {
    let guarded = Guarded::start_with(ENFORCE, Share::some().await, |node, _| {
        let rule = format!("defaultAdmissionRule: {{evaluationMode: ALWAYS_ALLOW, {ENFORCED}}}\n");
        node.etc.write_policy(&rule);
    })
    .await;
    let verifier = Tool::new(&guarded.node.bin_dir().join(ENFORCE))
        .with_env("BINAUTHD_GATE_SOCKET", guarded.node.etc.gate_socket().to_string_lossy());
    let hex = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    let (sha256, sha512) = (format!("sha256:{hex}"), format!("sha512:{hex}{hex}"));
    let upper = format!("sha256:{}", hex.to_uppercase());
    let name = ["-name", "registry.example/app:1"];
    let oci = "application/vnd.oci.descriptor.v1+json";
    let descriptor = |media_type: &str, digest: &str| {
        format!("{}\n", json!({"mediaType": media_type, "digest": digest, "size": 7}))
    };
    let index = "application/vnd.oci.image.index.v1+json";
    // An argument longer than 128 KiB is refused by the kernel: what is left of 1 MiB is what containerd
    // could hand over.
    let long = format!("registry.example/{}", "a".repeat(120 * 1024));
    let rows: &[(&str, &[&str], String, &str)] = &[
        ("no digest", &[], String::new(), "BAD_REQUEST"),
        ("two digests", &["-digest", &sha256, "-digest", &sha256], String::new(), "BAD_REQUEST"),
        ("a sha512 digest", &["-digest", &sha512], String::new(), "DIGEST_UNSUPPORTED"),
        ("upper-case hex", &["-digest", &upper], String::new(), "DIGEST_UNSUPPORTED"),
        ("a digest that is none", &["-digest", "latest"], String::new(), "DIGEST_UNSUPPORTED"),
        ("a long name", &["-name", &long, "-digest", &sha256], String::new(), "BAD_REQUEST"),
        (
            "another stdin",
            &["-digest", &sha256, "-stdin-media-type", "text/plain"],
            String::new(),
            "BAD_REQUEST",
        ),
        (
            "an unknown media type",
            &["-digest", &sha256, "-stdin-media-type", oci],
            descriptor("application/vnd.unknown", &sha256),
            "MEDIA_TYPE_UNKNOWN",
        ),
        (
            "a descriptor of something else",
            &["-digest", &sha256, "-stdin-media-type", oci],
            descriptor(index, &sha256.replace('5', "6")),
            "DIGEST_MISMATCH",
        ),
    ];
    let good: &[&str] = &["-digest", &sha256, "-stdin-media-type", oci, "-operation", "pull"];
    let ran = verifier.run_with(&[&name, good].concat(), descriptor(index, &sha256).as_bytes()).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    for (what, arguments, stdin, reason) in rows {
        let named = arguments.contains(&"-name");
        let all = if named { arguments.to_vec() } else { [&name, *arguments].concat() };
        let ran = verifier.run_with(&all, stdin.as_bytes()).await;
        println!("{what}: {}", ran.stdout.trim_end());
        assert_eq!((ran.code, ran.stdout.lines().count()), (Some(1), 1), "{what}: {}", ran.stdout);
        assert!(ran.stdout.contains(&format!("({reason})")), "{what}: {}", ran.stdout);
    }
    let audited = eventually("a record of each", super::guarded::SOON, || async {
        let records = guarded.node.etc.audit();
        (records.len() > rows.len()).then_some(records)
    })
    .await;
    let reasons: Vec<_> = audited.iter().skip(1).map(|record| record["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, rows.iter().map(|row| row.3).collect::<Vec<_>>());
    assert!(audited.iter().skip(1).all(|record| record["verdict"] == "CANNOT_DECIDE"));
}
