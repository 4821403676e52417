//! What is pulled and what is not.

use super::guarded::{ENFORCE, Guarded, OBSERVE, requires};
use super::rig::{Image, eventually};

#[tokio::test]
async fn an_attested_image_is_pulled_and_its_container_runs() {
    let guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let (_, container) = guarded.node.cri.run("app", &app.tagged()).await.unwrap();
    assert!(guarded.node.cri.is_running(&container).await);
    eventually("the container to print", super::guarded::SOON, || async {
        (container.log() == "shop/app 1\n").then_some(())
    })
    .await;

    let record = &guarded.audited(&app.tagged(), 1).await[0];
    assert_eq!((&record["verdict"], &record["reason"]), (&"ALLOW".into(), &"ATTESTED".into()));
    assert_eq!(record["digest"], app.digest.as_str());
    let attestor = &record["attestors"][0];
    assert_eq!(attestor["name"], guarded.qa.attestor());
    assert_eq!(attestor["keyId"], guarded.qa.key_id());
    assert_eq!(attestor["occurrence"], "projects/shop/occurrences/qa-1");
    guarded.no_alarm().await;
    let Guarded { node, daemon, .. } = guarded;
    drop(daemon);
    node.stop().await;
}

#[tokio::test]
async fn an_unattested_image_is_refused_with_image_rule_attestor_and_remedy() {
    let guarded = Guarded::start().await;
    let other = guarded.push("shop/other", "1").await;
    let refusal = guarded
        .refused(
            &other.tagged(),
            &[
                &format!("blocked pull of {} with digest {}", other.tagged(), other.digest),
                &format!(
                    "binauthd: Image {} denied by Binary Authorization default admission rule",
                    other.tagged()
                ),
                &format!("denied by attestor {}: No attestations found", guarded.qa.attestor()),
                &format!("Have {} attested by {}, then try again", other.digest, guarded.qa.attestor()),
                "(NO_ATTESTATION)",
            ],
        )
        .await;
    println!("{refusal}");
    assert!(guarded.node.cri.image_names().await.is_empty(), "nothing was fetched");
    let record = &guarded.audited(&other.tagged(), 1).await[0];
    assert_eq!((&record["verdict"], &record["rule"]), (&"DENY".into(), &"defaultAdmissionRule".into()));

    // A kubelet tries again; so may whoever had it attested meanwhile.
    guarded.attest(&other);
    guarded.allowed_soon(&other.tagged()).await;
}

#[tokio::test]
async fn an_attested_tag_moved_to_other_content_is_refused() {
    let guarded = Guarded::start().await;
    let good = guarded.push_attested("shop/app", "stable").await;
    guarded.node.cri.pull(&good.tagged()).await.unwrap();
    let evil = guarded.node.registry.push("shop/app", "stable", &Image::service("evil")).await;
    assert_eq!(good.tagged(), evil.tagged());
    guarded.refused(&evil.tagged(), &[&evil.digest, "(NO_ATTESTATION)"]).await;
    guarded.refused(&evil.pinned(), &[&evil.digest, "(NO_ATTESTATION)"]).await;
    guarded.node.cri.pull(&good.pinned()).await.unwrap();
}

#[tokio::test]
async fn the_pause_image_is_let_through_by_a_pattern_that_names_its_digest() {
    let guarded = Guarded::start().await;
    let pause = guarded.node.pause.clone();
    guarded.node.cri.run_pod("any").await.unwrap();
    let record = &guarded.audited(&pause.pinned(), 1).await[0];
    assert_eq!((&record["verdict"], &record["reason"]), (&"ALLOW".into(), &"ALLOWLISTED".into()));
    assert_eq!(record["rule"], "admissionWhitelistPatterns[0]");
    // The same content by its tag is another name, and other content has another digest.
    guarded.refused(&pause.tagged(), &["(NO_ATTESTATION)"]).await;
    let impostor = guarded.push("pause", "1").await;
    guarded.refused(&impostor.pinned(), &["(NO_ATTESTATION)"]).await;
}

#[tokio::test]
async fn an_image_index_counts_by_its_own_digest() {
    let guarded = Guarded::start().await;
    let (here, there) = (Image::job("here"), Image::job("there"));
    let index = guarded.node.registry.push_index("shop/multi", "1", &[&here, &there]).await;
    guarded.refused(&index.tagged(), &[&index.digest, "(NO_ATTESTATION)"]).await;
    guarded.attest(&index);
    guarded.known(&index).await;
    let (_, container) = guarded.node.cri.run("multi", &index.tagged()).await.unwrap();
    assert_eq!(guarded.node.cri.exit_code(&container).await, 0);
    guarded.node.cri.pull(&index.pinned()).await.unwrap();
    // Nobody attested the manifest itself.
    let manifest = format!("{}@{}", index.repository, here.digest());
    guarded.refused(&manifest, &[here.digest(), "(NO_ATTESTATION)"]).await;
}

#[tokio::test]
async fn a_pull_by_digest_is_asked_about_by_containerds_own_contract() {
    let guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    guarded.node.cri.pull(&app.pinned()).await.unwrap();
    let both = format!("{}@{}", app.tagged(), app.digest);
    guarded.node.cri.pull(&both).await.unwrap();
    let records = guarded.audited(&app.pinned(), 1).await;
    for record in &records {
        assert_eq!(record["digest"], app.digest.as_str());
        assert_eq!((&record["gate"], &record["asked"]["entry"]), (&"pull".into(), &ENFORCE.into()));
        let program = concat!("binauthd-image-verifier/", env!("CARGO_PKG_VERSION"));
        assert_eq!((&record["asked"]["program"], &record["asked"]["uid"]), (&program.into(), &0.into()));
        assert!(record["asked"]["pid"].as_i64().unwrap() > 0);
    }
    let names: Vec<_> = guarded.node.etc.audit().iter().map(|record| record["image"].clone()).collect();
    println!("asked about: {names:?}");
    assert_eq!(names.len(), 2, "{names:?}");
}

#[tokio::test]
async fn a_dry_run_allows_and_audits_what_it_would_have_been() {
    let guarded = Guarded::start().await;
    let other = guarded.push("shop/other", "1").await;
    guarded.refused(&other.tagged(), &["(NO_ATTESTATION)"]).await;
    let rule = requires(&[&guarded.qa]).replace("ENFORCED_BLOCK_AND_AUDIT_LOG", "DRYRUN_AUDIT_LOG_ONLY");
    guarded.write_policy(&rule);
    guarded.allowed_soon(&other.tagged()).await;
    let records = guarded.audited(&other.tagged(), 2).await;
    let last = records.last().unwrap();
    assert_eq!((&last["verdict"], &last["would"]), (&"ALLOW".into(), &"DENY".into()));
    assert_eq!((&last["enforced"], &last["reason"]), (&false.into(), &"NO_ATTESTATION".into()));
    assert_eq!(guarded.status().await["gates"]["pull"]["dryRun"], 1);
    guarded.write_policy(&requires(&[&guarded.qa]));
    guarded.refused_soon(&other.tagged()).await;
}

#[tokio::test]
async fn where_the_gate_observes_a_dead_daemon_stops_nothing_and_hears_of_it_afterwards() {
    let mut guarded = Guarded::start().await;
    guarded.node.remove_verifier(ENFORCE);
    guarded.node.install_verifier(OBSERVE, &super::guarded::verifier());
    let other = guarded.push("shop/other", "1").await;
    let app = guarded.push_attested("shop/app", "1").await;
    guarded.refused(&other.tagged(), &["(NO_ATTESTATION)"]).await; // the daemon's answers count

    guarded.daemon.kill();
    guarded.node.cri.pull(&other.tagged()).await.unwrap();
    guarded.node.cri.pull(&app.tagged()).await.unwrap();
    guarded.daemon.restart().await;
    let records = guarded.audited(&other.tagged(), 2).await;
    let last = records.last().unwrap();
    assert_eq!((&last["verdict"], &last["would"]), (&"ALLOW".into(), &"DENY".into()));
    assert_eq!((&last["enforced"], &last["reason"]), (&false.into(), &"UNANSWERED".into()));
    let records = guarded.audited(&app.tagged(), 1).await;
    assert_eq!((&records[0]["would"], &records[0]["reason"]), (&"ALLOW".into(), &"UNANSWERED".into()));
    assert_eq!(guarded.status().await["gates"]["pull"]["unanswered"], 2);
    let taken = guarded.node.etc.runtime_dir.join("unanswered.jsonl.taken");
    eventually("the record to be gone", super::guarded::SOON, || async { (!taken.exists()).then_some(()) })
        .await;
}
