//! Every way by which an image comes to a node, and every known way around a gate: nothing unattested runs.
//!
//! Ways past the image verifier (`every_way_past_the_verifier` unless another test is named):
//!
//! | way | here |
//! |---|---|
//! | CRI pull, containerd up to 2.0 | `generations`: 1.6 and 1.7 ask nobody |
//! | CRI pull, 2.1, no fallback | asked: `pulls` |
//! | CRI pull, 2.1, fallback to local pulls | `b1_a_node_that_pulls_around_the_verifier` |
//! | pause image | `pods::a_foreign_pause_image_never_runs` |
//! | source of an image volume | `pods::image_volumes_are_judged` |
//! | already on the node | way `on the node` |
//! | `ctr images pull --local` | way `pulled around` |
//! | `ctr images import`; nerdctl, BuildKit and others that write content and records themselves do the same | way `imported` |
//! | tag | way `tagged` |
//! | Docker with its own containerd | not here: it serves no pods |
//! | base image of a checkpoint | `b10_a_checkpoint_is_refused`; restoring one takes CRIU, which is not here |
//!
//! Ways around the gates:
//!
//! | | test |
//! |---|---|
//! | B1 local pulls | `b1_a_node_that_pulls_around_the_verifier` |
//! | B2 on the node, imported, tagged | `every_way_past_the_verifier` |
//! | B3 no verifier at all | every test of `create`: their nodes have none |
//! | B4, B5 NRI late, absent | `b4_b5_the_hook_holds_where_nri_does_not` |
//! | B6, B7, B17 `required_plugins` and VALIDATE | not here: of containerd 2.2; see `tests/nri` |
//! | B8 the name a pod claims | `names::what_a_pod_says_of_itself_counts_for_nothing` |
//! | B9 a tag that moves | `names::nri_looks_at_what_names_lead_to` and its like for the hook |
//! | B10 checkpoint | `b10_a_checkpoint_is_refused` |
//! | B11 image volume | `pods::image_volumes_are_judged` |
//! | B12 pause image | `pods::a_foreign_pause_image_never_runs` |
//! | B13 outside CRI | `outside` |
//! | B14 other handlers | `b14_handlers_without_the_hook` |
//! | B15 octet-stream config | `b15_a_config_that_is_no_config` |
//! | B16 index and manifest | `bound` |
//! | B18 answers that NRI does not understand | `tests/nri` |
//! | B19 snapshotters that check nothing | `b19_an_unlisted_snapshotter` |
//! | B20 command of the pod | `b20_a_pods_own_command_is_the_policys_business` |

use std::time::Duration;

use super::gated::{Gated, Gates, Settings, base_spec, configure, says};
use super::guarded::{ENFORCE, verifier};
use super::rig::{Generation, Image, Pushed, Wiring, bind, eventually};

/// Waits until CRI knows an image that came to the node by another way.
async fn known_to_cri(gated: &Gated, name: &str) {
    eventually("CRI to know an image", Duration::from_secs(5), || async {
        gated.node().cri.image_names().await.iter().any(|known| known == name).then_some(())
    })
    .await;
}

async fn pull_around(gated: &Gated, pushed: &Pushed) {
    let snapshotter = gated.node().home.snapshotter();
    let line = ["images", "pull", "--local", "--plain-http", "--snapshotter", snapshotter, &pushed.tagged()];
    gated.node().ctr().run(&line).await.success();
    known_to_cri(gated, &pushed.tagged()).await;
}

async fn every_way(gates: Gates) {
    let gated = Gated::start(gates, Generation::V2_1).await;
    let node = gated.node();
    let ctr = node.ctr();
    let (old, old_id) = gated.bring("shop/old", &Image::proves("old")).await;
    node.install_verifier(ENFORCE, &verifier());
    let refusal = node.cri.pull(&old.tagged()).await.unwrap_err();
    says(&refusal, &["(NO_ATTESTATION)"]);
    let refused = ctr.run(&["images", "pull", "--plain-http", &old.tagged()]).await;
    assert!(refused.code != Some(0) && refused.stderr.contains("(NO_ATTESTATION)"), "{refused:?}");

    let image = Image::proves("around");
    let around = node.registry.push("shop/around", "1", &image).await;
    pull_around(&gated, &around).await;
    let packed_image = Image::proves("packed");
    let packed = node.registry.push("shop/packed", "1", &packed_image).await;
    pull_around(&gated, &packed).await;
    let archive = node.home.path().join("archive.tar");
    let archive = archive.to_str().unwrap();
    ctr.run(&["images", "export", archive, &packed.tagged()]).await.success();
    node.cri.remove_image(&packed.tagged()).await.unwrap();
    ctr.run(&["images", "import", archive]).await.success();
    ctr.run(&["images", "tag", &around.tagged(), "localhost/tagged:1"]).await.success();
    known_to_cri(&gated, "localhost/tagged:1").await;
    known_to_cri(&gated, &packed.tagged()).await;

    for (way, id, text) in [
        ("on the node", old_id.as_str(), old.tagged()),
        ("pulled around", image.id(), around.tagged()),
        ("imported", packed_image.id(), packed.tagged()),
        ("tagged", image.id(), "localhost/tagged:1".to_owned()),
    ] {
        let refusal = gated.refused(way, id, &text, &["(NO_ATTESTATION)"]).await;
        println!("{way}: {refusal}");
    }
    // What is attested runs, whichever way it came.
    gated.guarded.attest(&around);
    gated.guarded.known(&around).await;
    gated.runs("tagged", image.id(), "localhost/tagged:1", "around").await;
    gated.stop().await;
}

#[tokio::test]
async fn every_way_past_the_verifier_ends_at_nri() {
    every_way(Gates::Nri).await;
}

#[tokio::test]
async fn every_way_past_the_verifier_ends_at_the_hook() {
    every_way(Gates::Hook).await;
}

#[tokio::test]
async fn b1_a_node_that_pulls_around_the_verifier() {
    let mut wiring = Gates::Both.on(Generation::V2_1).await;
    wiring.more = "[plugins.\"io.containerd.cri.v1.images\".registry.configs.\"example.invalid\".auth]\n\
                   username = \"any\"\n"
        .to_owned();
    let gated = Gated::start_on(wiring, |_, _| ()).await;
    gated.node().install_verifier(ENFORCE, &verifier());
    let (bad, id) = gated.bring("shop/bad", &Image::proves("bad")).await;
    gated.refused("bad", &id, &bad.tagged(), &["(NO_ATTESTATION)"]).await;
    gated.stop().await;
}

/// A daemon that hangs, or is not there, costs NRI; the hook waits for it and then refuses.
#[tokio::test]
async fn b4_b5_the_hook_holds_where_nri_does_not() {
    let mut wiring = Gates::Both.on(Generation::V2_1).await;
    wiring.base_spec = Some(base_spec(Generation::V2_1, &["--wait", "3"]).await);
    let mut gated = Gated::start_on(wiring, |_, _| ()).await;
    let (bad, bad_id) = gated.bring("shop/bad", &Image::proves("bad")).await;
    let (good, good_id) = gated.bring_attested("shop/good", &Image::proves("good")).await;
    let cri = gated.node().cri.clone();
    let pod = cri.run_pod("bad").await.unwrap();

    gated.guarded.daemon.freeze();
    let created = gated.create_in(&pod, "late", &bad_id, &bad.tagged()).await.unwrap();
    let refusal = cri.launch(&created).await.unwrap_err();
    println!("hung: {refusal}");
    says(&refusal, &["binauthd"]);
    gated.guarded.daemon.thaw();
    gated.proves_nothing("late").await;

    gated.guarded.daemon.kill();
    let created = gated.create_in(&pod, "absent", &bad_id, &bad.tagged()).await.unwrap();
    let refusal = cri.launch(&created).await.unwrap_err();
    println!("absent: {refusal}");
    says(&refusal, &["binauthd"]);
    gated.proves_nothing("absent").await;
    // An attested one whose start is under way when the daemon comes back.
    let created = gated.create_in(&pod, "good", &good_id, &good.tagged()).await.unwrap();
    let launch = tokio::spawn(async move { cri.launch(&created).await });
    gated.guarded.daemon.restart().await;
    launch.await.unwrap().unwrap();
    gated.proves("good").await;
    gated.stop().await;
}

/// The marks that containerd puts on what it restores, under a handler that hands annotations on.
#[tokio::test]
async fn b10_a_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let marks = ["restored", "checkpointedAt", "checkpointImage"];
    let mut wiring = Gates::Nri.on(Generation::V2_1).await;
    let table = "plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.marked";
    wiring.more = format!(
        "[{table}]\nruntime_type = \"io.containerd.runc.v2\"\ncontainer_annotations = {marks:?}\n\
         [{table}.options]\nBinaryName = {:?}\nRoot = {:?}\n",
        super::rig::program("runc"),
        folder.path(),
    );
    let gated = Gated::start_on(wiring, |_, _| ()).await;
    let (good, id) = gated.bring_attested("shop/good", &Image::proves("good")).await;
    let pod = gated.node().cri.run_pod_with("default", "restored", "marked", |_| ()).await.unwrap();
    for mark in marks {
        let mut config = pod.container(&mark.to_lowercase(), &id, &good.tagged());
        config.annotations.insert(mark.to_owned(), "true".to_owned());
        let refusal = gated.node().cri.create_from(&pod, config).await.unwrap_err();
        says(&refusal, &["restores a checkpoint", "(CHECKPOINT_RESTORE)"]);
    }
    gated.run_in(&pod, "main", &id, &good.tagged()).await.unwrap();
    gated.proves("good").await;
    gated.stop().await;
}

#[tokio::test]
async fn b14_handlers_without_the_hook() {
    let wiring = Gates::Both.on(Generation::V2_1).await.with_handler("bare").with_handler("listed");
    let gated = Gated::start_on(wiring, |node, _| {
        configure(node, &Settings { more: "", containerd: "allow_handlers = [\"listed\"]" });
    })
    .await;
    let (good, id) = gated.bring_attested("shop/good", &Image::proves("good")).await;
    let cri = &gated.node().cri;
    match cri.run_pod_with("default", "bare", "bare", |_| ()).await {
        // Its pause container is refused already.
        Err(refusal) => says(&refusal, &["`bare`", "(HANDLER_UNGATED)"]),
        Ok(pod) => {
            let refusal = gated.run_in(&pod, "main", &id, &good.tagged()).await.unwrap_err();
            says(&refusal, &["`bare`", "allow_handlers", "(HANDLER_UNGATED)"]);
        }
    }
    gated.proves_nothing("bare").await;
    gated.guarded.alarm(&["`bare`", "carries no create hook"]).await;
    for handler in ["listed", "runc", ""] {
        let pod = cri.run_pod_with("default", &format!("ok{handler}"), handler, |_| ()).await.unwrap();
        gated.run_in(&pod, "main", &id, &good.tagged()).await.unwrap();
        gated.proves("good").await;
    }
    let bad = gated.bring("shop/bad", &Image::proves("bad")).await;
    let pod = cri.run_pod_with("default", "bad", "listed", |_| ()).await.unwrap();
    let refusal = gated.run_in(&pod, "main", &bad.1, &bad.0.tagged()).await.unwrap_err();
    says(&refusal, &["(NO_ATTESTATION)"]);
    gated.stop().await;
}

/// containerd rewrites the manifest of such an image: its digest on the node is one that nobody attested.
#[tokio::test]
async fn b15_a_config_that_is_no_config() {
    let gated = Gated::start(Gates::Both, Generation::V2_1).await;
    let image = Image::proves("octets").with_config_type("application/octet-stream");
    let pushed = gated.node().registry.push("shop/octets", "1", &image).await;
    gated.guarded.attest(&pushed);
    gated.guarded.known(&pushed).await;
    pull_around(&gated, &pushed).await;
    println!("{}", gated.refused("octets", image.id(), &pushed.tagged(), &["binauthd"]).await);
    gated.stop().await;
}

#[tokio::test]
async fn b19_an_unlisted_snapshotter() {
    for gates in [Gates::Nri, Gates::Hook] {
        let wiring = gates.on(Generation::V2_1).await;
        let gated = Gated::start_on(wiring, |node, _| {
            configure(node, &Settings { more: "", containerd: "snapshotters = [\"stargz\"]" });
        })
        .await;
        let (good, id) = gated.bring_attested("shop/good", &Image::proves("good")).await;
        // At the pause container where NRI asks about it, else at the start.
        let refusal = match gated.node().cri.run_pod("any").await {
            Err(refusal) => refusal,
            Ok(pod) => gated.run_in(&pod, "main", &id, &good.tagged()).await.unwrap_err(),
        };
        says(&refusal, &[gated.node().home.snapshotter(), "(SNAPSHOTTER_UNLISTED)"]);
        gated.proves_nothing("good").await;
        gated.stop().await;
    }
}

/// An attested image runs with what its pod gives it; who may write pods is not this gate's business.
#[tokio::test]
async fn b20_a_pods_own_command_is_the_policys_business() {
    let gated = Gated::start(Gates::Both, Generation::V2_1).await;
    let (good, id) = gated.bring_attested("shop/good", &Image::proves("good")).await;
    let pod = gated.node().cri.run_pod("own").await.unwrap();
    let mut config = pod.container("main", &id, &good.tagged());
    config.mounts.push(bind(&gated.proof, "/proof"));
    config.command = vec!["sh".into(), "-c".into(), "echo own > /proof/ran; sleep 1000000".into()];
    let container = gated.node().cri.create_from(&pod, config).await.unwrap();
    gated.node().cri.launch(&container).await.unwrap();
    gated.proves("own").await;
    gated.stop().await;
}

/// B3, at its simplest: a folder of verifiers that is not there asks nobody.
#[tokio::test]
async fn b3_no_folder_of_verifiers() {
    let gated = Gated::start_on(Wiring { nri: true, ..Wiring::default() }, |_, _| ()).await;
    std::fs::remove_dir_all(gated.node().bin_dir()).unwrap();
    let (bad, id) = gated.bring("shop/bad", &Image::proves("bad")).await;
    gated.refused("bad", &id, &bad.tagged(), &["(NO_ATTESTATION)"]).await;
    gated.stop().await;
}
