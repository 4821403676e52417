//! What a registry's owner or a pod's author may try against the create gate, on containerd 2.1 with NRI.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::guarded::{DAEMON, Share, policy, requires, verifier};
use super::rig::{Daemon, Image, Node, Pushed, Wiring, bind, eventually, host_pid, privileged};
use super::signer::Signer;

/// A node on which NRI alone holds, and whose policy asks for `qa`.
struct Held {
    node: Node,
    qa: Signer,
    _daemon: Daemon,
    _machine: Share,
}

impl Held {
    async fn start() -> Self {
        Self::start_before(Wiring::default().with_nri(), |_| ()).await
    }

    async fn start_before(wiring: Wiring, prepare: impl FnOnce(&Node)) -> Self {
        let machine = Share::some().await;
        let node = Node::start_with(wiring).await;
        prepare(&node);
        let qa = Signer::new("qa");
        node.etc.write_policy(&policy(&node, &requires(&[&qa])));
        node.etc.write_attestor("qa.json", &qa.document());
        let daemon = Daemon::start(&node, Path::new(DAEMON)).await;
        let held = Self { node, qa, _daemon: daemon, _machine: machine };
        let first = Image::service("first");
        let first = held.attested("first", &first).await;
        eventually("NRI to ask, and the attested to run", super::guarded::SOON * 4, || async {
            held.node.cri.run("first", &first.tagged()).await.ok()
        })
        .await;
        held
    }

    async fn attested(&self, path: &str, image: &Image) -> Pushed {
        let pushed = self.node.registry.push(path, "1", image).await;
        let name = format!("{}.json", pushed.digest.replace(':', "-"));
        self.node.etc.write_occurrence(&name, &self.qa.attestation(&pushed).to_string());
        pushed
    }
}

/// So many that asking containerd about each would show; a hostile registry has more.
const MANY: usize = 40;

#[tokio::test]
async fn the_layers_of_an_attested_image_lend_nothing_to_another_config() {
    let held = Held::start().await;
    let good = Image::service("good");
    let evil = good.reconfigured(&["sh", "-c", "echo evil"], &[]);
    held.attested("good", &good).await;
    let evil = held.node.registry.push("evil", "1", &evil).await;
    let good = held.node.cri.pull(&format!("{}/good:1", held.node.registry.host())).await.unwrap();
    let id = held.node.cri.pull(&evil.tagged()).await.unwrap();
    assert_ne!(good, id);
    let pod = held.node.cri.run_pod("evil").await.unwrap();
    let text = format!("{}/good:1", held.node.registry.host());
    for text in [&evil.tagged(), &text] {
        let name = if text.contains("good") { "a" } else { "b" };
        // The file system is the attested one's: what tells them apart is known at start.
        if let Ok(container) = held.node.cri.create(&pod, name, &id, text).await {
            let refusal = held.node.cri.launch(&container).await.unwrap_err();
            assert!(refusal.message.contains("binauthd: "), "{refusal}");
            assert!(!held.node.cri.is_running(&container).await);
        }
    }
    held.node.stop().await;
}

#[tokio::test]
async fn many_images_of_the_same_layers_do_not_hold_up_the_attested_one() {
    let held = Held::start().await;
    let good = Image::service("good");
    for n in 0..MANY {
        let other = good.reconfigured(&["sh"], &[&format!("N={n}")]);
        let pushed = held.node.registry.push(&format!("other-{n}"), "1", &other).await;
        held.node.cri.pull(&pushed.tagged()).await.unwrap();
    }
    let pushed = held.attested("good", &good).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    held.node.cri.run("victim", &pushed.tagged()).await.unwrap();
    held.node.stop().await;
}

/// The static hook, beside the verifier.
fn hook() -> PathBuf {
    std::env::var_os("BINAUTHD_CREATE_HOOK")
        .map_or_else(|| verifier().with_file_name("binauthd-create-hook"), PathBuf::from)
}

/// Somebody who may change a folder on the node, as quick as can be: once all is mounted, it is as it was.
const SWAP: &str = "#!/bin/sh\ncd ${0%/*}/data && [ -L swapped ] && rm swapped && mv aside swapped\nexit 0\n";

#[tokio::test]
async fn the_hook_tells_what_is_mounted_and_not_what_a_path_says() {
    let mut wiring = Wiring::default().with_nri().hooked(&hook(), &[]);
    let mut spec: Value = serde_json::from_str(&wiring.base_spec.unwrap()).unwrap();
    let hooks = spec["hooks"]["createRuntime"].as_array_mut().unwrap();
    hooks.insert(0, json!({ "path": "@NODE@/swap" }));
    wiring.base_spec = Some(spec.to_string());
    let held = Held::start_before(wiring, |node| {
        let path = node.home.path().join("swap");
        fs::write(&path, SWAP).unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    });
    let held = held.await;
    let app = held.attested("app", &Image::service("app")).await;
    let id = held.node.cri.pull(&app.tagged()).await.unwrap();
    let (data, guarded) = (held.node.home.folder("data"), held.node.home.folder("run"));

    // An ordinary folder is nothing to complain about, also where the pod shares what the node has.
    for (name, change) in [("plain", (|_| ()) as fn(&mut _)), ("host-pid", host_pid), ("all", privileged)] {
        let pod = held.node.cri.run_pod_with("default", name, "", change).await.unwrap();
        let mut config = pod.container("main", &id, &app.tagged());
        config.mounts.push(bind(&data, "/data"));
        let container = held.node.cri.create_from(&pod, config).await.unwrap();
        held.node.cri.launch(&container).await.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    }

    // What was a folder when it was asked about leads elsewhere when the runtime mounts it, and is a folder
    // again when the hook looks. Only the kernel still knows.
    let swapped = data.join("swapped");
    fs::create_dir(&swapped).unwrap();
    let pod = held.node.cri.run_pod("swaps").await.unwrap();
    let mut config = pod.container("main", &id, &app.tagged());
    config.mounts.push(bind(&swapped, "/data"));
    let container = held.node.cri.create_from(&pod, config).await.unwrap();
    fs::rename(&swapped, data.join("aside")).unwrap();
    symlink(&guarded, &swapped).unwrap();
    let launched = held.node.cri.launch(&container).await;
    assert!(!swapped.is_symlink());
    let refusal = launched.unwrap_err();
    let says = format!("reaches `{}` of the node", guarded.display());
    assert!(refusal.message.contains(&says), "{refusal}");
    held.node.stop().await;
}
