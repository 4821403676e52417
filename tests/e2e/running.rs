//! What runs already is judged again when what is in force changes.

use std::time::Duration;

use super::gated::{Gated, Gates, Settings, configure};
use super::guarded::{file_of, policy};
use super::rig::{Container, Generation, Image, Node, Pod, eventually};

const DENY: &str =
    "defaultAdmissionRule: {evaluationMode: ALWAYS_DENY, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}\n";

/// One that ends when it is told to.
fn obedient() -> Image {
    Image::new("app", &["sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"])
}

fn stopping(node: &Node) {
    configure(node, &Settings { more: "[running]\non_violation = \"stop\"\n", containerd: "" });
}

async fn pods(gated: &Gated, id: &str, text: &str, count: usize) -> Vec<(Pod, Container)> {
    let mut all = Vec::new();
    for place in 0..count {
        let pod = gated.node().cri.run_pod(&format!("web-{place}")).await.unwrap();
        let container = gated.run_in(&pod, "main", id, text).await.unwrap();
        all.push((pod, container));
    }
    all
}

async fn count_running(gated: &Gated, all: &[(Pod, Container)]) -> usize {
    let mut count = 0;
    for (_, container) in all {
        count += usize::from(gated.node().cri.is_running(container).await);
    }
    count
}

#[tokio::test]
async fn each_violation_is_recorded_and_nothing_stopped() {
    let gated = Gated::start(Gates::Both, Generation::V2_1).await;
    let (app, id) = gated.bring_attested("shop/app", &Image::proves("app")).await;
    let all = pods(&gated, &id, &app.tagged(), 3).await;
    gated.obey(&policy(gated.node(), DENY)).await;
    for (place, (_, container)) in all.iter().enumerate() {
        let record = gated
            .audited(&[("/gate", "running"), ("/reason", "ALWAYS_DENY"), ("/container/id", &container.id)])
            .await;
        let event = &record["jsonPayload"]["podEvent"];
        assert_eq!(
            (&event["podNamespace"], &event["pod"]),
            (&"default".into(), &format!("web-{place}").into())
        );
        assert_eq!(
            (&event["verdict"], &event["policyName"]),
            (&"VIOLATES_POLICY".into(), &"defaultAdmissionRule".into())
        );
        let image = &event["images"][0];
        assert_eq!((&image["image"], &image["result"]), (&app.tagged().into(), &"DENY".into()), "{record}");
        assert_eq!((&image["containerName"], &image["containerType"]), (&"main".into(), &"CONTAINER".into()));
        assert!(event["deployTime"].as_str().unwrap().starts_with("20"), "{record}");
    }
    // The pause containers are let through by a pattern, and are none.
    let records = gated.node().etc.audit();
    let events = records.iter().filter(|record| record["jsonPayload"].is_object()).count();
    assert_eq!(events, 3, "{records:#?}");
    assert_eq!(count_running(&gated, &all).await, 3);
    gated.stop().await;
}

#[tokio::test]
async fn at_most_five_are_stopped_and_no_static_pod() {
    let wiring = Gates::Both.on(Generation::V2_1).await;
    let gated = Gated::start_on(wiring, |node, _| stopping(node)).await;
    let cri = &gated.node().cri;
    let (app, id) = gated.bring_attested("shop/app", &obedient()).await;
    let pod = cri.run_pod_with("kube-system", "etcd", "", |pod| {
        pod.annotations.insert("kubernetes.io/config.source".to_owned(), "file".to_owned());
    });
    let pod = pod.await.unwrap();
    let fixed = gated.run_in(&pod, "main", &id, &app.tagged()).await.unwrap();
    let all = pods(&gated, &id, &app.tagged(), 6).await;

    // What a store no longer shows stops nothing.
    gated.node().etc.remove_occurrence(&file_of(&app));
    gated
        .audited(&[("/gate", "running"), ("/reason", "NO_ATTESTATION"), ("/container/id", &all[0].1.id)])
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(count_running(&gated, &all).await, 6);

    gated.obey(&policy(gated.node(), DENY)).await;
    eventually("five to be stopped", Duration::from_secs(20), || async {
        (count_running(&gated, &all).await == 1).then_some(())
    })
    .await;
    gated.audited(&[("/gate", "running"), ("/reason", "ALWAYS_DENY"), ("/container/id", &fixed.id)]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(count_running(&gated, &all).await, 1, "more than five within a minute");
    assert!(cri.is_running(&fixed).await, "a static pod was stopped");
    gated.stop().await;
}
