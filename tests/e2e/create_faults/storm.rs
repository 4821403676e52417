//! A name that changes its meaning all the time, and a refusal longer than anybody's bound.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::super::guarded::policy;
use super::super::rig::eventually;
use super::kubelet::Tally;
use super::{Faulty, SOON};

#[tokio::test]
async fn a_retag_storm_lets_nothing_unattested_start() {
    storm(32).await;
}

#[tokio::test]
#[ignore = "takes minutes: make test-full"]
async fn a_retag_storm_during_two_hundred_creations_lets_nothing_unattested_start() {
    storm(200).await;
}

/// So many creations, of the attested image by its id, of the unattested one by its id, and of whatever the
/// name means just then, all under the one name, which meanwhile goes from one image to the other.
async fn storm(creations: usize) {
    let faulty = Faulty::start().await;
    let kubelet = faulty.kubelet("shop").await;
    let name = format!("{}/shop/app:storm", faulty.node.registry.host());
    let (over, moves) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (ctr, sources) = (faulty.node.ctr(), [&faulty.good, &faulty.bad].map(|image| image.pushed.tagged()));
    let tagging = tokio::spawn({
        let (over, moves, name) = (Arc::clone(&over), Arc::clone(&moves), name.clone());
        async move {
            while !over.load(Ordering::Relaxed) {
                for source in &sources {
                    ctr.run(&["images", "tag", "--force", source, &name]).await.success();
                    moves.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    eventually("the storm", SOON, || async { (moves.load(Ordering::Relaxed) > 1).then_some(()) }).await;

    let (mut by_name, mut named_unknown, mut sum) = ([0; 2], 0, Tally::default());
    for round in 0..creations {
        let image = match round % 4 {
            0 | 2 => &faulty.good.id,
            1 => &faulty.bad.id,
            _ => &name,
        };
        let made = kubelet.cri.create_from(&kubelet.pod, kubelet.config(image, &name)).await;
        let tally = match (round % 4, made) {
            (0 | 2, made) => {
                let made = made.unwrap_or_else(|refusal| panic!("attested, and refused: {refusal}"));
                kubelet.start(made).await
            }
            (1, Ok(made)) => kubelet.smuggle_made(made).await,
            (1, Err(_)) => Tally { not_made: 1, ..Tally::default() },
            (_, Err(refusal)) => {
                named_unknown += usize::from(refusal.message.contains("not found"));
                by_name[1] += 1;
                Tally::default()
            }
            (_, Ok(made)) => match kubelet.cri.launch(&made).await {
                // Which image it was is told by what it leaves.
                Ok(()) => {
                    by_name[0] += 1;
                    Tally { started: vec![made], ..Tally::default() }
                }
                Err(_) => {
                    by_name[1] += 1;
                    Tally { not_started: vec![made], ..Tally::default() }
                }
            },
        };
        sum.add(tally);
        if sum.started.len() + sum.not_started.len() >= 16 {
            sum = kubelet.settle("so far", sum).await;
        }
    }
    over.store(true, Ordering::Relaxed);
    tagging.await.unwrap();
    let [ran, refused] = by_name;
    println!(
        "{creations} creations while a name moved {} times; by the name itself {ran} ran and {refused} were refused \
         ({named_unknown} because containerd did not know it)",
        moves.load(Ordering::Relaxed)
    );
    assert!(fs::exists(kubelet.proof().join("good")).unwrap());
    kubelet.settle("the storm", sum).await;
    faulty.well(&kubelet, "the storm").await;
    faulty.stop().await;
}

#[tokio::test]
async fn a_refusal_of_five_thousand_bytes_refuses_at_both_gates_and_disturbs_nothing() {
    let mut faulty = Faulty::start().await;
    let kubelet = faulty.kubelet("shop").await;
    let since = faulty.status().await["create"]["nri"]["since"].clone();
    let attestors: Vec<_> =
        (0..60).map(|number| format!("projects/shop/attestors/{}{number}", "n".repeat(100))).collect();
    let rule = format!(
        "defaultAdmissionRule:\n  evaluationMode: REQUIRE_ATTESTATION\n  \
         enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG\n  requireAttestationsBy: [{}]\n",
        attestors.join(", ")
    );
    faulty.node.etc.write_policy(&policy(&faulty.node, &rule));
    let refusal = eventually("a long refusal", SOON, || async {
        let refusal = kubelet.create(&faulty.good).await.err();
        refusal.filter(|refusal| refusal.message.contains("nnnn"))
    })
    .await;
    assert!(refusal.message.len() < 4096, "{} bytes at CREATE", refusal.message.len());
    let written = faulty.node.etc.audit();
    let longest = written.iter().filter_map(|record| record["message"].as_str()).map(str::len).max().unwrap();
    assert!(longest > 5000, "the refusal had {longest} bytes");
    let nri = faulty.status().await["create"]["nri"].clone();
    assert_eq!((&nri["state"], &nri["since"]), (&"synchronized".into(), &since), "{nri}");

    // The hook alone.
    let (socket, away) = (faulty.node.nri_socket(), faulty.node.home.path().join("nri.away"));
    fs::rename(&socket, &away).unwrap();
    faulty.daemon.restart().await;
    let made = kubelet.create(&faulty.bad).await.expect("nobody is asked at CREATE");
    let refusal_at_start = kubelet.cri.launch(&made).await.unwrap_err();
    let (at_create, at_start) = (refusal.message.len(), refusal_at_start.message.len());
    assert!(refusal_at_start.message.contains("nnnn") && at_start < 4096, "{refusal_at_start}");
    println!("a refusal of {longest} bytes: {at_create} bytes at CREATE, {at_start} at START");
    kubelet.settle("a long refusal", Tally { not_started: vec![made], ..Tally::default() }).await;

    fs::rename(&away, &socket).unwrap();
    let requires = super::super::guarded::requires(&[&faulty.qa]);
    faulty.node.etc.write_policy(&policy(&faulty.node, &requires));
    faulty.asked().await;
    eventually("the policy as it was", SOON, || async {
        let made = kubelet.create(&faulty.good).await.ok()?;
        kubelet.cri.remove(&made).await.unwrap();
        Some(())
    })
    .await;
    faulty.well(&kubelet, "a long refusal").await;
    faulty.stop().await;
}
