//! Pulls while the daemon is killed, restarted, and gone over a reboot.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::rig::{Booted, Cri, Image, Pushed};
use super::signer::Signer;

/// A booted node whose gates refuse what `qa` has not attested; an image of each kind.
async fn enforcing() -> (Booted, Pushed, Pushed) {
    let mut node = Booted::new().await;
    node.wire();
    let qa = Signer::new("qa");
    let policy = format!(
        "admissionWhitelistPatterns:\n- namePattern: {}\ndefaultAdmissionRule:\n  evaluationMode: REQUIRE_ATTESTATION\n  \
         enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG\n  requireAttestationsBy: [{}]\n",
        node.pause.pinned(),
        qa.attestor()
    );
    node.write("etc/binauthd/policy.yaml", &policy);
    node.write("etc/binauthd/attestors/qa.json", &qa.document());
    let good = node.registry.push("shop/app", "1", &Image::service("good")).await;
    let bad = node.registry.push("shop/bad", "1", &Image::service("bad")).await;
    // In a folder of the test's own, which can be gone: that of the package comes back with each boot.
    node.write("srv/attestations/good.json", &qa.attestation(&good).to_string());
    let config = fs::read_to_string(node.at("etc/binauthd/config.toml")).unwrap();
    let source = "\n[[sources]]\nname = \"local\"\nurl = \"file:///srv/attestations\"\n";
    node.write("etc/binauthd/config.toml", &(config + source));
    node.boot().await;
    super::comes_to_work(&node, &format!("binauthctl evaluate {}", good.pinned())).await;
    (node, good, bad)
}

/// Pulls both images again and again until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    pulls: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Load {
    fn start(cri: Cri, good: &Pushed, bad: &Pushed) -> Self {
        let (stop, pulls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&pulls));
        let (good, bad) = (good.tagged(), bad.tagged());
        let task = tokio::spawn(async move {
            let mut wrong = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                if let Err(refusal) = cri.pull(&good).await {
                    wrong.push(format!("an attested pull was refused: {refusal}"));
                }
                if cri.pull(&bad).await.is_ok() {
                    wrong.push("an unattested pull went through".to_owned());
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
            wrong
        });
        Self { stop, pulls, task }
    }

    /// Lets some more pulls happen.
    async fn some(&self, more: usize) {
        let until = self.pulls.load(Ordering::Relaxed) + more;
        super::rig::eventually("pulls", Duration::from_secs(30), || {
            let done = self.pulls.load(Ordering::Relaxed) >= until;
            async move { done.then_some(()) }
        })
        .await;
    }

    /// How many pulls of each there were, none of which went wrong.
    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let wrong = self.task.await.unwrap();
        assert!(wrong.is_empty(), "{} wrong: {:#?}", wrong.len(), wrong.first());
        self.pulls.load(Ordering::Relaxed)
    }
}

/// The chain of the trail holds, and does not once somebody has touched it.
fn audited(node: &Booted) {
    let told: serde_json::Value = serde_json::from_str(&node.run("binauthctl audit verify -o json")).unwrap();
    assert_eq!(told["problems"], serde_json::json!([]), "{told:#}");
    assert!(told["records"].as_u64().unwrap() > 20, "{told:#}");
    node.run(
        "journalctl --quiet --identifier binauthd BINAUTHD_REASON=NO_ATTESTATION | grep --quiet shop/bad",
    );
    // On a copy: edited, a line less, two that changed places, and the end gone, which the daemon's own mark tells.
    let mark =
        r#"$(sed 's/{"seq":\([0-9]*\),"hash":"\([0-9a-f]*\)"}/\1:\2/' /var/lib/binauthd/audit-head.json)"#;
    let verify = format!("binauthctl audit verify /var/tmp/trail --head {mark}");
    node.run(&format!("rm -rf /var/tmp/trail && cp -a /var/log/binauthd /var/tmp/trail && {verify}"));
    for edit in ["s/shop/shoq/", "4d", "4{h;d};5{G}", "6,$d"] {
        let copied = "cp /var/log/binauthd/audit.jsonl /var/tmp/trail/audit.jsonl";
        node.run(&format!("{copied} && sed --in-place '{edit}' /var/tmp/trail/audit.jsonl"));
        let (code, told) = node.shell(&verify);
        assert!(code == 1 && told.contains("PROBLEM"), "{edit}: {told}");
    }
}

/// Kills and restarts the daemon `times` under pulls, and upgrades it; the figures.
async fn killed(times: usize) -> String {
    let (mut node, good, bad) = enforcing().await;
    let inode = node.run("stat --format %i /run/binauthd/gate.sock");
    let load = Load::start(node.cri().await, &good, &bad);
    for _ in 0..times {
        load.some(2).await;
        super::comes_to_work(&node, "systemctl kill --signal=KILL --kill-whom=main binauthd").await;
    }
    for _ in 0..times {
        load.some(1).await;
        node.run("systemctl restart binauthd");
    }
    // Newer packages and older ones again, each while there are pulls.
    let newer = super::packages::newer(&node);
    for packages in [newer.as_str(), "/var/tmp/binauthctl.deb /var/tmp/binauthd.deb"] {
        node.run(&format!("dpkg --force-confold --install {packages}"));
        load.some(1).await;
    }
    load.some(2).await;
    let pulls = load.end().await;
    assert_eq!(node.run("stat --format %i /run/binauthd/gate.sock"), inode, "the socket's file is the same");
    assert_eq!(node.run("systemctl --failed --plain --no-legend | grep binauthd; true"), "");

    // Through all of that the audit trail is one chain, and what was refused is in the journal too.
    audited(&node);

    // The power fails, and comes back with the registry and every source gone: what is on the node is judged as before.
    let cri = node.cri().await;
    let id = cri.pull(&good.tagged()).await.unwrap();
    // The pause image is on the node from its first pod on.
    cri.run("before-reboot", &good.tagged()).await.unwrap();
    let snapshotter = node.home.snapshotter();
    // Around the pull gate.
    node.run(&format!(
        "ctr --namespace k8s.io images pull --plain-http --local --snapshotter {snapshotter} {}",
        bad.tagged()
    ));
    node.power_cut().await;
    fs::remove_dir_all(node.at("srv/attestations")).unwrap();
    node.registry.freeze();
    node.boot().await;
    let cri = node.cri().await;
    super::comes_to_work(&node, &format!("binauthctl evaluate {}", good.pinned())).await;
    let pod = cri.run_pod("after-reboot").await.unwrap();
    cri.create(&pod, "good", &id, &good.tagged()).await.unwrap();
    let refusal = cri.create(&pod, "bad", Image::service("bad").id(), &bad.tagged()).await.unwrap_err();
    assert!(refusal.message.contains("NO_ATTESTATION"), "{refusal}");
    node.registry.thaw();
    format!(
        "{times} kills and {times} restarts under {pulls} pulls of each image: no attested one refused, no other went through"
    )
}

#[tokio::test]
async fn a_daemon_that_is_killed_and_restarted_refuses_nothing_attested_and_allows_nothing_else() {
    println!("{}", killed(10).await);
}

#[tokio::test]
#[ignore = "takes minutes: make test-full"]
async fn the_same_a_hundred_times() {
    println!("{}", killed(100).await);
}
