//! What a registry's owner or a pod's author may try against the create gate, on containerd 2.1 with NRI.

use std::path::Path;

use super::guarded::{DAEMON, Share, policy, requires};
use super::rig::{Daemon, Image, Node, Pushed, Wiring, eventually};
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
        let machine = Share::some().await;
        let node = Node::start_with(Wiring::default().with_nri()).await;
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

    /// What the audit trail says of the creations of `name`: reason and microseconds.
    fn told(&self, pod: &str) -> Vec<String> {
        let of_pod = |record: &serde_json::Value| record.to_string().contains(pod);
        self.node.etc.audit().into_iter().filter(of_pod).map(|record| record.to_string()).collect()
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
    let start = std::time::Instant::now();
    let ran = held.node.cri.run("victim", &pushed.tagged()).await;
    println!("{:?} {:?}\n{}", start.elapsed(), ran.is_ok(), held.told("victim").join("\n"));
    ran.unwrap();
    held.node.stop().await;
}
