//! What changes under a running daemon: keys, attestations, policy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::guarded::{ENFORCE, Guarded, Share, file_of, policy, requires};
use super::rig::Pushed;
use super::signer::Signer;

#[tokio::test]
async fn a_key_taken_from_the_attestor_refuses_the_same_digest_within_a_second() {
    let guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    guarded.node.cri.pull(&app.pinned()).await.unwrap();
    for round in 1..=3 {
        guarded.node.etc.write_attestor("qa.json", &guarded.qa.document_without_keys());
        let (refused, refusal) = guarded.refused_soon(&app.pinned()).await;
        assert!(refusal.message.contains("(ATTESTOR_WITHOUT_KEYS)"), "{refusal}");
        guarded.node.etc.write_attestor("qa.json", &guarded.qa.document());
        let allowed = guarded.allowed_soon(&app.pinned()).await;
        println!("{round}: key removed, refused after {refused:?}; key back, allowed after {allowed:?}");
    }
    // Another key in its place is no better than none.
    let other = guarded.qa.document_with(&[Signer::new("other").entry()]);
    guarded.node.etc.write_attestor("qa.json", &other);
    let (_, refusal) = guarded.refused_soon(&app.pinned()).await;
    assert!(refusal.message.contains("(UNKNOWN_KEY)"), "{refusal}");
}

#[tokio::test]
async fn an_attestation_taken_away_or_added_counts_within_a_second() {
    let guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    guarded.node.cri.pull(&app.pinned()).await.unwrap();
    guarded.node.etc.remove_occurrence(&file_of(&app));
    let (refused, refusal) = guarded.refused_soon(&app.pinned()).await;
    assert!(refusal.message.contains("(NO_ATTESTATION)"), "{refusal}");
    guarded.attest(&app);
    let allowed = guarded.allowed_soon(&app.pinned()).await;
    println!("removed, refused after {refused:?}; back, allowed after {allowed:?}");
}

#[tokio::test]
async fn every_attestor_of_the_rule_must_have_attested() {
    let guarded = Guarded::start().await;
    let security = Signer::new("security");
    guarded.node.etc.write_attestor("security.json", &security.document());
    let app = guarded.push_attested("shop/app", "1").await;
    guarded.write_policy(&requires(&[&guarded.qa, &security]));
    let (_, refusal) = guarded.refused_soon(&app.tagged()).await;
    assert!(refusal.message.contains(&format!("denied by attestor {}", security.attestor())), "{refusal}");
    // The key of one does not sign for the other.
    let mut forged = guarded.qa.attestation(&app);
    forged["noteName"] = security.note().into();
    guarded.file("forged.json", &forged);
    guarded.file("second.json", &security.attestation(&app));
    guarded.allowed_soon(&app.tagged()).await;
    guarded.node.etc.remove_occurrence("second.json");
    let (_, refusal) = guarded.refused_soon(&app.tagged()).await;
    assert!(refusal.message.contains("(UNKNOWN_KEY)"), "{refusal}");
}

#[tokio::test]
async fn without_a_policy_every_pull_is_refused_by_name_until_there_is_one() {
    let guarded = Guarded::start_with(ENFORCE, Share::some().await, |node, qa| {
        node.etc.write_attestor("qa.json", &qa.document());
    })
    .await;
    let app = guarded.push("shop/app", "1").await;
    guarded.attest(&app);
    let path = guarded.node.etc.policy().display().to_string();
    guarded.refused(&app.tagged(), &["this node has no policy", &path, "(POLICY_MISSING)"]).await;
    guarded.refused(&guarded.node.pause.pinned(), &["(POLICY_MISSING)"]).await;
    guarded.alarm(&[&path, "does not exist"]).await;
    guarded.write_policy(&requires(&[&guarded.qa]));
    guarded.allowed_soon(&app.tagged()).await;
    guarded.no_alarm().await;
    // One that is taken away is gone at once.
    fs::remove_file(guarded.node.etc.policy()).unwrap();
    let (_, refusal) = guarded.refused_soon(&app.tagged()).await;
    assert!(refusal.message.contains("(POLICY_MISSING)"), "{refusal}");
}

#[tokio::test]
async fn a_policy_that_others_may_write_is_not_read() {
    let mut guarded = Guarded::start().await;
    let other = guarded.push("shop/other", "1").await;
    let path = guarded.node.etc.policy();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    // Somebody loosens it first and writes a policy of their own afterwards.
    mode(&path, 0o666);
    guarded.alarm(&["policy.yaml", "is writable by others (mode 0666)", "last good"]).await;
    fs::write(
        &path,
        "defaultAdmissionRule: {evaluationMode: ALWAYS_ALLOW, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}",
    )
    .unwrap();
    for _ in 0..2 {
        // At a reload and after a restart alike.
        guarded.refused(&other.tagged(), &["(NO_ATTESTATION)"]).await;
        guarded.daemon.restart().await;
    }
    guarded.alarm(&["policy.yaml", "is writable by others"]).await;
    // A folder that others may write to is no better.
    mode(&path, 0o644);
    guarded.allowed_soon(&other.tagged()).await;
    guarded.write_policy(&requires(&[&guarded.qa]));
    guarded.refused_soon(&other.tagged()).await;
    guarded.no_alarm().await;
    let attestors = guarded.node.etc.attestors();
    mode(&attestors, 0o777);
    guarded.alarm(&["attestors", "is writable by others (mode 0777)"]).await;
    mode(&attestors, 0o755);
    std::os::unix::fs::chown(guarded.node.etc.attestors().join("qa.json"), Some(65534), None).unwrap();
    guarded.alarm(&["qa.json", "belongs to uid 65534"]).await;
}

/// Policy asks for `qa` and `security`, which have attested one image.
async fn with_two_attestors() -> (Guarded, Signer, Pushed) {
    let security = Signer::new("security");
    let guarded = Guarded::start_with(ENFORCE, Share::some().await, |node, qa| {
        node.etc.write_policy(&policy(node, &requires(&[qa, &security])));
        node.etc.write_attestor("qa.json", &qa.document());
        node.etc.write_attestor("security.json", &security.document());
    })
    .await;
    let app = guarded.push("shop/app", "1").await;
    guarded.attest(&app);
    guarded.file("second.json", &security.attestation(&app));
    guarded.allowed_soon(&app.tagged()).await;
    (guarded, security, app)
}

#[tokio::test]
async fn a_key_taken_away_beside_a_broken_attestor_counts_also_across_a_restart() {
    let (mut guarded, security, app) = with_two_attestors().await;
    guarded.node.etc.write_attestor("security.json", "{ this is not a document");
    guarded.alarm(&["security.json", "last good"]).await;
    guarded.node.cri.pull(&app.tagged()).await.unwrap();
    guarded.daemon.restart().await;
    guarded.alarm(&["security.json", "last good"]).await;
    guarded.node.cri.pull(&app.tagged()).await.unwrap();

    guarded.node.etc.write_attestor("qa.json", &guarded.qa.document_without_keys());
    let (_, refusal) = guarded.refused_soon(&app.tagged()).await;
    assert!(refusal.message.contains("(ATTESTOR_WITHOUT_KEYS)"), "{refusal}");
    guarded.daemon.restart().await;
    guarded.refused(&app.tagged(), &[&guarded.qa.attestor(), "(ATTESTOR_WITHOUT_KEYS)"]).await;

    guarded.node.etc.write_attestor("qa.json", &guarded.qa.document());
    guarded.allowed_soon(&app.tagged()).await;
    // Both change while the daemon is away.
    guarded.daemon.kill();
    guarded.node.etc.write_attestor("qa.json", &guarded.qa.document_without_keys());
    guarded.daemon.restart().await;
    guarded.refused(&app.tagged(), &["(ATTESTOR_WITHOUT_KEYS)"]).await;
    guarded.node.etc.write_attestor("qa.json", &guarded.qa.document());
    guarded.node.etc.write_attestor("security.json", &security.document());
    guarded.allowed_soon(&app.tagged()).await;
    guarded.no_alarm().await;
}

#[tokio::test]
async fn an_attestor_deleted_while_the_policy_names_it_is_gone_also_across_a_restart() {
    let (mut guarded, security, app) = with_two_attestors().await;
    guarded.node.etc.remove_attestor("security.json");
    let (_, refusal) = guarded.refused_soon(&app.tagged()).await;
    let says = ["no document on this node defines the attestor", "(ATTESTOR_MISSING)"];
    assert!(says.iter().all(|part| refusal.message.contains(part)), "{refusal}");
    guarded.alarm(&[&security.attestor(), "no document defines"]).await;
    guarded.daemon.restart().await;
    guarded.refused(&app.tagged(), &says).await;
    // Deleted while the daemon is away.
    guarded.node.etc.write_attestor("security.json", &security.document());
    guarded.allowed_soon(&app.tagged()).await;
    guarded.daemon.kill();
    guarded.node.etc.remove_attestor("security.json");
    guarded.daemon.restart().await;
    guarded.refused(&app.tagged(), &says).await;
}

#[tokio::test]
async fn a_broken_attestor_that_never_was_good_is_satisfied_by_nobody() {
    let guarded = Guarded::start_with(ENFORCE, Share::some().await, |node, qa| {
        node.etc.write_policy(&policy(node, &requires(&[qa])));
        node.etc.write_attestor("qa.json", "{");
    })
    .await;
    let app = guarded.push("shop/app", "1").await;
    guarded.attest(&app);
    guarded.refused(&app.tagged(), &["(ATTESTOR_MISSING)"]).await;
    guarded.alarm(&["qa.json", "refused"]).await;
}
