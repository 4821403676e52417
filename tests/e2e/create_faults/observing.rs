//! A node that observes, without its daemon: nothing is refused, and all of it is audited afterwards.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::guarded::{OBSERVE, verifier};
use super::super::rig::{Generation, Wiring, eventually};
use super::kubelet::Kubelet;
use super::{Faulty, SOON, create_hook};

const BINAUTHCTL: &str = env!("CARGO_BIN_EXE_binauthctl");

#[tokio::test]
async fn a_node_that_observes_refuses_nothing_for_ten_seconds_and_audits_all_of_it() {
    observed(Duration::from_secs(10)).await;
}

#[tokio::test]
#[ignore = "takes minutes: make test-full"]
async fn a_node_that_observes_refuses_nothing_for_a_minute_and_audits_all_of_it() {
    observed(Duration::from_secs(60)).await;
}

async fn observed(time: Duration) {
    let generation = Generation::V2_1;
    // A base spec is there from the start, and written anew with the hook.
    let wiring = Wiring {
        nri: true,
        base_spec: Some(generation.default_spec().to_string()),
        ..Wiring::of(generation)
    };
    let mut faulty = Faulty::start_on(wiring).await;
    let spec = faulty.node.base_spec("runc");
    let (spec, hook) = (spec.to_str().unwrap(), create_hook());
    let write = ["containerd", "base-spec", "--observe", "--from", spec, "--to", spec, "--hook"];
    let write = [&write[..], &[hook.to_str().unwrap()]].concat();
    faulty.tool(BINAUTHCTL).run(&write).await.success();
    faulty.node.install_verifier(OBSERVE, &verifier());
    faulty.node.restart_containerd().await;
    faulty.daemon.restart().await;
    faulty.asked().await;
    let kubelet = faulty.kubelet("shop").await;
    let unanswered = |gate: &str| {
        let records = faulty.node.etc.audit().into_iter();
        records
            .filter(|record| record["reason"] == "UNANSWERED" && record["gate"] == gate)
            .collect::<Vec<_>>()
    };
    assert!(unanswered("create").is_empty() && unanswered("pull").is_empty());
    // While it is there, it refuses.
    assert_eq!(kubelet.smuggle(&faulty.bad).await.not_made, 1);

    let daemon = &mut faulty.daemon;
    daemon.kill();
    let (mut started, mut pulls, begun) = (Vec::new(), 0, Instant::now());
    while begun.elapsed() < time {
        for image in [&faulty.good, &faulty.bad] {
            kubelet.cri.pull(&image.pushed.tagged()).await.unwrap_or_else(|refusal| panic!("{refusal}"));
            pulls += 1;
            started.push(start(&kubelet, image).await);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    daemon.restart().await;
    let records = eventually("the audit of what nobody answered", SOON, || async {
        let of_starts = unanswered("create");
        (of_starts.len() >= started.len() && unanswered("pull").len() >= pulls).then_some(of_starts)
    })
    .await;
    // None comes twice.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((unanswered("create").len(), unanswered("pull").len()), (started.len(), pulls));
    let mut of_container = BTreeMap::<String, usize>::new();
    for record in &records {
        assert_eq!(
            (&record["verdict"], &record["enforced"]),
            (&"ALLOW".into(), &Value::from(false)),
            "{record}"
        );
        let id = started.iter().find(|id| record["message"].as_str().unwrap().contains(id.as_str()));
        *of_container.entry(id.unwrap_or_else(|| panic!("{record}")).clone()).or_default() += 1;
    }
    assert!(of_container.values().all(|count| *count == 1), "one record a start: {of_container:?}");
    println!(
        "observed for {time:?} without a daemon: {} starts and {pulls} pulls, none refused, {} and {} audited",
        started.len(),
        records.len(),
        unanswered("pull").len(),
    );
    faulty.asked().await;
    assert_eq!(kubelet.smuggle(&faulty.bad).await.not_made, 1);
    faulty.stop().await;
}

async fn start(kubelet: &Kubelet, image: &super::Brought) -> String {
    let container = kubelet.create(image).await.unwrap_or_else(|refusal| panic!("{refusal}"));
    kubelet.cri.launch(&container).await.unwrap_or_else(|refusal| panic!("{refusal}"));
    assert!(kubelet.cri.is_running(&container).await);
    container.id
}
