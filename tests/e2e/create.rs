//! The create gate on containerd 2.1.

use std::path::Path;

use super::guarded::{DAEMON, ENFORCE, Share, policy, requires, verifier};
use super::rig::{Daemon, Image, Node, Wiring};
use super::signer::Signer;

#[tokio::test]
async fn nri_lets_the_attested_run_and_refuses_the_rest() {
    let _machine = Share::some().await;
    let node = Node::start_with(Wiring { nri: true, ..Wiring::default() }).await;
    let qa = Signer::new("qa");
    node.etc.write_policy(&policy(&node, &requires(&[&qa])));
    node.etc.write_attestor("qa.json", &qa.document());
    node.install_verifier(ENFORCE, &verifier());
    let _daemon = Daemon::start(&node, Path::new(DAEMON)).await;
    let good = node.registry.push("good", "1", &Image::service("good")).await;
    node.etc.write_occurrence("good.json", &qa.attestation(&good).to_string());
    let bad = node.registry.push("bad", "1", &Image::service("bad")).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let (_, container) = node.cri.run("good", &good.tagged()).await.unwrap();
    assert!(node.cri.is_running(&container).await);
    node.ctr().run(&["images", "pull", "--local", "--plain-http", &bad.tagged()]).await;
    let refusal = node.cri.run("bad", &bad.tagged()).await.err().unwrap();
    println!("{refusal}");
    let pod = node.cri.run_pod("bad2").await.unwrap();
    let refusal = node.cri.create(&pod, "main", &bad.tagged(), &bad.tagged()).await.unwrap_err();
    println!("{refusal}");
    println!("{:#?}", node.etc.audit());
    node.stop().await;
}
