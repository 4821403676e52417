//! The create gate where a kubelet meets it: what may run runs, and what may not is refused at the first gate
//! that can tell, with a message that says what to do.

use super::gated::{Gated, Gates, base_spec, says};
use super::guarded::{policy, requires};
use super::rig::{Generation, Image, Wiring, bind};

/// The attested starts, the unattested is refused, and starts once it is attested.
pub(crate) async fn attested_starts_and_unattested_is_refused(gates: Gates, generation: Generation) {
    let gated = Gated::start(gates, generation).await;
    let (good, id) = gated.bring_attested("shop/good", &Image::proves("good")).await;
    gated.runs("good", &id, &good.tagged(), "good").await;

    let (bad, id) = gated.bring("shop/bad", &Image::proves("bad")).await;
    let pod = gated.node().cri.run_pod("bad").await.unwrap();
    // containerd before 2.0 does not hand on the pod's own text.
    let text = if generation == Generation::V2_1 { bad.tagged() } else { id.clone() };
    let image = format!("Image {text} denied by");
    let remedy = format!("Have {} attested by {}, then try again", bad.digest, gated.guarded.qa.attestor());
    let attestor = format!("denied by attestor {}", gated.guarded.qa.attestor());
    let parts = [attestor.as_str(), &remedy, "(NO_ATTESTATION)"];
    let refusal = match gates {
        Gates::Hook => {
            let created = gated.create_in(&pod, "main", &id, &bad.tagged()).await.unwrap();
            let refusal = gated.node().cri.launch(&created).await.unwrap_err();
            says(&refusal, &["error running", "hook", "stderr: "]);
            refusal
        }
        // At CREATE: a kubelet tries that again.
        Gates::Nri | Gates::Both => gated.create_in(&pod, "main", &id, &bad.tagged()).await.unwrap_err(),
    };
    println!("{generation:?} {gates:?}: {refusal}");
    says(&refusal, &parts);
    if generation == Generation::V2_1 {
        says(&refusal, &[&image]);
    }
    gated.proves_nothing("bad").await;
    let record = gated.audited(&[("/gate", "create"), ("/verdict", "DENY")]).await;
    assert_eq!(record["container"]["pod"], "bad", "{record}");
    assert_eq!(record["container"]["podNamespace"], "default", "{record}");

    // A kubelet's next try, in the same pod.
    gated.guarded.attest(&bad);
    gated.guarded.known(&bad).await;
    let mut config = pod.container("main", &id, &bad.tagged());
    config.metadata.as_mut().unwrap().attempt = 1;
    config.mounts.push(bind(&gated.proof, "/proof"));
    let container = gated.node().cri.create_from(&pod, config).await.unwrap();
    gated.node().cri.launch(&container).await.unwrap();
    gated.proves("bad").await;
    gated.stop().await;
}

#[tokio::test]
async fn nri_alone_on_2_1() {
    attested_starts_and_unattested_is_refused(Gates::Nri, Generation::V2_1).await;
}

#[tokio::test]
async fn the_hook_alone_on_2_1() {
    attested_starts_and_unattested_is_refused(Gates::Hook, Generation::V2_1).await;
}

#[tokio::test]
async fn both_on_2_1() {
    attested_starts_and_unattested_is_refused(Gates::Both, Generation::V2_1).await;
}

/// Without a gate what the other tests refuse does run: they can fail.
#[tokio::test]
async fn without_a_gate_it_runs() {
    let gated = Gated::start_on(Wiring::default(), |_, _| ()).await;
    let (bad, id) = gated.bring("shop/bad", &Image::proves("bad")).await;
    gated.runs("bad", &id, &bad.tagged(), "bad").await;
    gated.audited(&[("/reason", "UNGATED_START"), ("/image", &bad.tagged()), ("/would", "DENY")]).await;
    gated.stop().await;
}

/// Same files, another config: at CREATE they cannot be told apart, at START they are.
#[tokio::test]
async fn the_config_decides_among_images_of_the_same_files() {
    for gates in [Gates::Nri, Gates::Hook] {
        let gated = Gated::start(gates, Generation::V2_1).await;
        let image = Image::proves("same files");
        let (good, good_id) = gated.bring_attested("shop/good", &image).await;
        let other = image.reconfigured(&["sh", "-c", "echo foreign > /proof/ran; sleep 100"], &[]);
        let (bad, bad_id) = gated.bring("shop/other", &other).await;
        let pod = gated.node().cri.run_pod("other").await.unwrap();
        let created = gated.create_in(&pod, "main", &bad_id, &bad.tagged()).await.unwrap();
        let refusal = gated.node().cri.launch(&created).await.unwrap_err();
        says(&refusal, &[&bad.digest, "(NO_ATTESTATION)"]);
        gated.proves_nothing("other").await;
        gated.runs("good", &good_id, &good.tagged(), "same files").await;
        gated.stop().await;
    }
}

/// What is not enforced is let through and recorded.
#[tokio::test]
async fn a_dry_run_lets_through_and_records() {
    for gates in [Gates::Nri, Gates::Hook] {
        let gated = Gated::start(gates, Generation::V2_1).await;
        let (bad, id) = gated.bring("shop/bad", &Image::proves("bad")).await;
        gated.refused("enforced", &id, &bad.tagged(), &["(NO_ATTESTATION)"]).await;
        let rule = requires(&[&gated.guarded.qa]);
        let rule = rule.replace("ENFORCED_BLOCK_AND_AUDIT_LOG", "DRYRUN_AUDIT_LOG_ONLY");
        gated.obey(&policy(gated.node(), &rule)).await;
        gated.runs("dry", &id, &bad.tagged(), "bad").await;
        let about = [("/container/pod", "dry"), ("/gate", "create"), ("/verdict", "ALLOW")];
        let record = gated.audited(&about).await;
        assert_eq!((&record["would"], &record["enforced"]), (&"DENY".into(), &false.into()), "{record}");
        assert_eq!(record["reason"], "NO_ATTESTATION", "{record}");
        // Nothing is enforced at all, and so neither is the guard of the node.
        let pod = gated.node().cri.run_pod("reaches").await.unwrap();
        let mut config = pod.container("main", &id, &bad.tagged());
        config.mounts.push(bind(&gated.proof, "/proof"));
        config.mounts.push(bind(&gated.node().etc.folder, "/host"));
        let container = gated.node().cri.create_from(&pod, config).await.unwrap();
        gated.node().cri.launch(&container).await.unwrap();
        gated.proves("bad").await;
        gated.audited(&[("/container/pod", "reaches"), ("/reason", "HOST_ACCESS"), ("/would", "DENY")]).await;
        gated.stop().await;
    }
}

/// A hook that observes lets through what it gets no answer for, and the daemon hears of it afterwards.
#[tokio::test]
async fn a_hook_that_observes_refuses_only_what_it_is_told_to() {
    let mut wiring = Wiring::of(Generation::V2_1);
    wiring.base_spec = Some(base_spec(Generation::V2_1, &["--observe", "--wait", "1"]).await);
    let mut gated = Gated::start_on(wiring, |_, _| ()).await;
    let (bad, id) = gated.bring("shop/bad", &Image::proves("bad")).await;
    gated.refused("answered", &id, &bad.tagged(), &["(NO_ATTESTATION)"]).await;
    gated.guarded.daemon.kill();
    gated.runs("unanswered", &id, &bad.tagged(), "bad").await;
    gated.guarded.daemon.restart().await;
    let record = gated.audited(&[("/reason", "UNANSWERED"), ("/gate", "create")]).await;
    assert_eq!((&record["verdict"], &record["enforced"]), (&"ALLOW".into(), &false.into()), "{record}");
    // That record says only that nobody was asked. What it was is told of what runs.
    let about = [("/gate", "running"), ("/container/pod", "unanswered"), ("/would", "DENY")];
    assert_eq!(gated.audited(&about).await["reason"], "NO_ATTESTATION");
    gated.stop().await;
}
