//! What an attestation leads to: index, manifest, config, layers, each by hashes of the bytes on the node.

use super::gated::{Gated, Gates};
use super::rig::{Generation, Image, Pushed, bind, own_users};

/// The manifest of `image` in the repository that an index of it was pushed to.
fn manifest_of(pushed: &Pushed, image: &Image) -> Pushed {
    Pushed { digest: image.digest().to_owned(), ..pushed.clone() }
}

async fn either_digest_counts(gates: Gates) {
    let gated = Gated::start(gates, Generation::V2_1).await;
    let cri = &gated.node().cri;
    let foreign = Image::proves("of another platform");

    // The index is attested, the manifest pulled; the index itself has to be here, too.
    let image = Image::proves("by index");
    let index = gated.node().registry.push_index("shop/index", "1", &[&image, &foreign]).await;
    let manifest = manifest_of(&index, &image);
    let id = cri.pull(&manifest.pinned()).await.unwrap();
    gated.guarded.attest(&index);
    gated.guarded.known(&index).await;
    gated.refused("manifest alone", &id, &manifest.pinned(), &["(NO_ATTESTATION)"]).await;
    cri.pull(&index.tagged()).await.unwrap();
    gated.runs("manifest", &id, &manifest.pinned(), "by index").await;
    gated.runs("index", &id, &index.tagged(), "by index").await;

    // The manifest is attested, the index pulled.
    let image = Image::proves("by manifest");
    let index = gated.node().registry.push_index("shop/manifest", "1", &[&image, &foreign]).await;
    let id = cri.pull(&index.tagged()).await.unwrap();
    gated.refused("index", &id, &index.tagged(), &["(NO_ATTESTATION)"]).await;
    gated.guarded.attest(&manifest_of(&index, &image));
    gated.guarded.known(&manifest_of(&index, &image)).await;
    gated.runs("index", &id, &index.tagged(), "by manifest").await;
    gated.runs("pinned", &id, &index.pinned(), "by manifest").await;

    // No layers: its chain is empty, like that of every such image.
    let run = |what: &str| format!("echo {what} > /proof/ran; exec sleep 1000000");
    let tools = |what: &str| Image::scratch(&["/busybox", "sh", "-c", &run(what)]);
    let (good, good_id) = gated.bring_attested("shop/scratch", &tools("from nothing")).await;
    let (bad, bad_id) = gated.bring("shop/scratch-too", &tools("foreign")).await;
    for (pushed, id, marker) in [(&good, &good_id, Some("from nothing")), (&bad, &bad_id, None)] {
        let pod = cri.run_pod("scratch").await.unwrap();
        let mut config = pod.container("main", id, &pushed.tagged());
        config.mounts.push(bind(&gated.proof, "/proof"));
        config.mounts.push(bind(&Image::tools(), "/busybox"));
        let started = match cri.create_from(&pod, config).await {
            Ok(container) => cri.launch(&container).await,
            Err(refusal) => Err(refusal),
        };
        match marker {
            Some(marker) => {
                started.unwrap();
                gated.proves(marker).await;
            }
            None => {
                super::gated::says(&started.unwrap_err(), &[&bad.digest, "(NO_ATTESTATION)"]);
                gated.proves_nothing("scratch").await;
            }
        }
    }
    gated.stop().await;
}

#[tokio::test]
async fn index_and_manifest_count_at_nri() {
    either_digest_counts(Gates::Nri).await;
}

#[tokio::test]
async fn index_and_manifest_count_at_the_hook() {
    either_digest_counts(Gates::Hook).await;
}

/// As `discard_unpacked_layers` leaves an image: manifest and config.
#[tokio::test]
async fn layers_may_be_discarded() {
    let gated = Gated::start(Gates::Both, Generation::V2_1).await;
    let image = Image::proves("thin");
    let (thin, id) = gated.bring_attested("shop/thin", &image).await;
    for layer in &image.layers {
        gated.node().ctr().run(&["content", "rm", &layer.digest]).await.success();
    }
    let left = gated.node().ctr().run(&["content", "ls", "--quiet"]).await.success();
    assert!(image.layers.iter().all(|layer| !left.contains(&layer.digest)), "{left}");
    gated.runs("thin", &id, &thin.tagged(), "thin").await;
    gated.stop().await;
}

/// The files of a pod with users of its own are a snapshot of the image's, or are mapped at the mount.
#[tokio::test]
async fn pods_with_users_of_their_own() {
    for gates in [Gates::Nri, Gates::Hook] {
        // runc is too old for the mounts that containerd 2 asks for where users are a pod's own.
        let gated = Gated::start(gates, Generation::V1_7).await;
        let cri = &gated.node().cri;
        let pod = match cri.run_pod_with("default", "users", "", own_users).await {
            Ok(pod) => pod,
            Err(refusal) => {
                println!("skipped: no pod has users of its own here: {refusal}");
                return gated.stop().await;
            }
        };
        let (bad, id) = gated.bring("shop/bad", &Image::proves("bad")).await;
        let refusal = gated.run_in(&pod, "bad", &id, &bad.tagged()).await.unwrap_err();
        super::gated::says(&refusal, &[&bad.digest, "(NO_ATTESTATION)"]);
        gated.proves_nothing("bad").await;
        let (good, id) = gated.bring_attested("shop/good", &Image::proves("good")).await;
        gated.run_in(&pod, "good", &id, &good.tagged()).await.unwrap();
        gated.proves("good").await;
        gated.stop().await;
    }
}

/// Attested, and its manifest is gone from the node before anybody has read it: nothing leads to its files.
#[tokio::test]
async fn what_nothing_leads_to_is_refused() {
    let gated = Gated::start(Gates::Hook, Generation::V2_1).await;
    let good = gated.node().registry.push("shop/good", "1", &Image::proves("good")).await;
    gated.guarded.attest(&good);
    gated.guarded.known(&good).await;
    // What is new among attestations has what runs judged again, and every image on the node read for that.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let id = gated.node().cri.pull(&good.tagged()).await.unwrap();
    let pod = gated.node().cri.run_pod("good").await.unwrap();
    let created = gated.create_in(&pod, "main", &id, &good.tagged()).await.unwrap();
    gated.node().ctr().run(&["content", "rm", &good.digest]).await.success();
    let refusal = gated.node().cri.launch(&created).await.unwrap_err();
    println!("{refusal}");
    super::gated::says(
        &refusal,
        &["no image on this node leads there", "Pull the image again", "(IMAGE_UNKNOWN)"],
    );
    gated.proves_nothing("good").await;
    // The remedy.
    gated.node().cri.remove_image(&id).await.unwrap();
    let id = gated.node().cri.pull(&good.tagged()).await.unwrap();
    gated.runs("again", &id, &good.tagged(), "good").await;
    gated.stop().await;
}
