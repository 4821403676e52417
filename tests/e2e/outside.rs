//! Containers that no CRI has made: seen where nothing gates them, judged where the runtime is wrapped.

use std::fs;
use std::path::{Path, PathBuf};

use super::gated::{Gated, Gates, program};
use super::rig::{self, Generation, Handler, Image, Output, Pushed, Tool, Wiring};

/// The wrapper, and beside it a link to the runtime that it runs.
fn wrapper(folder: &Path) -> PathBuf {
    let place = folder.join("binauthd-runc");
    fs::copy(program("binauthd-runc", "BINAUTHD_RUNC"), &place).unwrap();
    std::os::unix::fs::symlink(rig::program("runc"), folder.join("binauthd-runc.runtime")).unwrap();
    place
}

/// `ctr` in containerd's namespace `default`.
fn ctr(gated: &Gated) -> Tool {
    gated.node().ctr().with_arg("--namespace").with_arg("default")
}

async fn pull(gated: &Gated, pushed: &Pushed) {
    let snapshotter = gated.node().home.snapshotter();
    let line = ["images", "pull", "--local", "--plain-http", "--snapshotter", snapshotter, &pushed.tagged()];
    ctr(gated).run(&line).await.success();
}

async fn run(gated: &Gated, pushed: &Pushed, id: &str, runtime: Option<&Path>) -> Output {
    let home = gated.node().home.path();
    let mount = format!("type=bind,src={},dst=/proof,options=rbind:rw", gated.proof.display());
    let cgroup = format!("{}/{id}", gated.node().home.cgroup());
    let root = home.join("runc-of-ctr");
    let runc = rig::program("runc");
    let runc = runtime.unwrap_or(&runc).to_str().unwrap();
    let image = pushed.tagged();
    let line = [
        "run",
        "--detach",
        "--null-io",
        "--net-host",
        "--snapshotter",
        gated.node().home.snapshotter(),
        "--cgroup",
        &cgroup,
        "--runc-root",
        root.to_str().unwrap(),
        "--runc-binary",
        runc,
        "--mount",
        &mount,
        &image,
        id,
    ];
    ctr(gated).run(&line).await
}

async fn end(gated: &Gated, id: &str) {
    let ctr = ctr(gated);
    ctr.run(&["tasks", "rm", "--force", id]).await;
    ctr.run(&["containers", "rm", id]).await;
}

#[tokio::test]
async fn what_nothing_gates_is_recorded() {
    let gated = Gated::start(Gates::Both, Generation::V2_1).await;
    let bad = gated.node().registry.push("shop/bad", "1", &Image::proves("bad")).await;
    pull(&gated, &bad).await;
    run(&gated, &bad, "unseen", None).await.success();
    gated.proves("bad").await;
    let record = gated
        .audited(&[
            ("/reason", "UNGATED_START"),
            ("/container/id", "unseen"),
            ("/container/namespace", "default"),
        ])
        .await;
    assert_eq!((&record["would"], &record["verdict"]), (&"DENY".into(), &"ALLOW".into()), "{record}");
    assert_eq!((&record["gate"], &record["enforced"]), (&"running".into(), &false.into()), "{record}");
    assert_eq!(record["image"], bad.tagged().as_str(), "{record}");
    assert!(record["message"].as_str().unwrap().contains("without having passed a gate"), "{record}");
    end(&gated, "unseen").await;

    // What passes through the gates is none of those.
    let (good, id) = gated.bring_attested("shop/good", &Image::proves("good")).await;
    let seen = gated.runs("seen", &id, &good.tagged(), "good").await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let records = gated.node().etc.audit();
    let ungated: Vec<_> = records.iter().filter(|record| record["reason"] == "UNGATED_START").collect();
    assert_eq!(ungated.len(), 1, "{} is {ungated:#?}", seen.id);
    gated.stop().await;
}

#[tokio::test]
async fn a_wrapped_runtime_refuses_what_is_not_attested() {
    let folder = tempfile::tempdir().unwrap();
    let wrapper = wrapper(folder.path());
    let mut wiring = Wiring::of(Generation::V2_1);
    wiring.handlers.push(Handler { name: "wrapped", runtime: Some(wrapper.clone()), base_spec: None });
    let gated = Gated::start_on(wiring, |_, _| ()).await;
    let bad = gated.node().registry.push("shop/bad", "1", &Image::proves("bad")).await;
    let good = gated.node().registry.push("shop/good", "1", &Image::proves("good")).await;
    gated.guarded.attest(&good);
    gated.guarded.known(&good).await;
    for pushed in [&bad, &good] {
        pull(&gated, pushed).await;
    }
    let refused = run(&gated, &bad, "bad", Some(&wrapper)).await;
    println!("{}", refused.stderr);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("(NO_ATTESTATION)"), "{refused:?}");
    assert!(refused.stderr.contains(&bad.digest), "{refused:?}");
    gated.proves_nothing("bad").await;
    end(&gated, "bad").await;
    run(&gated, &good, "good", Some(&wrapper)).await.success();
    gated.proves("good").await;
    end(&gated, "good").await;

    // The same for a handler of CRI's.
    let cri = &gated.node().cri;
    let pod = cri.run_pod_with("default", "wrapped", "wrapped", |_| ()).await.unwrap();
    for (pushed, runs) in [(&bad, false), (&good, true)] {
        let id = cri.pull(&pushed.tagged()).await.unwrap();
        let name = format!("main-{runs}");
        match gated.run_in(&pod, &name, &id, &pushed.tagged()).await {
            Ok(_) => {
                assert!(runs, "the unattested was started");
                gated.proves("good").await;
            }
            Err(refusal) => {
                assert!(!runs, "{refusal}");
                super::gated::says(&refusal, &["(NO_ATTESTATION)"]);
                gated.proves_nothing("bad").await;
            }
        }
    }
    gated.stop().await;
}
