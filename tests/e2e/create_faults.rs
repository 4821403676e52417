//! The create gate while its parts are dead, hung, gone or flooded. After every fault: no unattested
//! container has ever run, by CRI's word and by what its entrypoint would have left; attested ones start
//! again without a human; and no start of an attested one was refused, since a pod with
//! `restartPolicy: Never` is lost by that. Each test prints what it counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use binauthd::gate::admin::{AdminAnswer, AdminAsk, MAX_BODY};
use binauthd::gate::client::{Patience, exchange};
use serde_json::Value;

use super::guarded::{DAEMON, Share, file_of, policy, requires, verifier};
use super::rig::{Daemon, Generation, Image, Node, Tool, Wiring, eventually};
use super::signer::Signer;

#[path = "create_faults/down.rs"]
mod down;
#[path = "create_faults/kubelet.rs"]
mod kubelet;
#[path = "create_faults/observing.rs"]
mod observing;
#[path = "create_faults/storm.rs"]
mod storm;
#[path = "create_faults/validating.rs"]
mod validating;

use kubelet::{Brought, Kubelet};

const SOON: Duration = Duration::from_secs(15);

/// A node with a daemon, an attested image (`good`) and an unattested one (`bad`), both there already.
pub(super) struct Faulty {
    daemon: Daemon,
    node: Node,
    qa: Signer,
    good: Brought,
    bad: Brought,
    _machine: Share,
}

/// containerd 2.1 with NRI and with the hook on its one handler.
fn gated() -> Wiring {
    Wiring { nri: true, ..Wiring::of(Generation::V2_1) }.hooked(&create_hook(), &["--wait", "20"])
}

fn create_hook() -> PathBuf {
    let beside = verifier().with_file_name("binauthd-create-hook");
    std::env::var_os("BINAUTHD_CREATE_HOOK").map_or(beside, PathBuf::from)
}

/// An image that leaves a file of its marker's name where it runs, and stays up.
fn proving(marker: &str) -> Image {
    Image::new(marker, &["sh", "-c", "cat /marker > /proof/$(cat /marker); exec sleep 1000000"])
}

impl Faulty {
    async fn start() -> Self {
        Self::start_on(gated()).await
    }

    async fn start_on(wiring: Wiring) -> Self {
        let machine = Share::some().await;
        let node = Node::start_with(wiring.clone()).await;
        let proof = node.home.folder("proof");
        fs::set_permissions(proof, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let qa = Signer::new("qa");
        node.etc.write_policy(&policy(&node, &requires(&[&qa])));
        node.etc.write_attestor("qa.json", &qa.document());
        let mut brought = Vec::new();
        for marker in ["good", "bad"] {
            let pushed = node.registry.push(marker, "1", &proving(marker)).await;
            let id = node.cri.pull(&pushed.tagged()).await.unwrap();
            brought.push(Brought { pushed, id });
        }
        let [good, bad] = <[Brought; 2]>::try_from(brought).ok().unwrap();
        node.etc.write_occurrence(&file_of(&good.pushed), &qa.attestation(&good.pushed).to_string());
        let daemon = Daemon::start(&node, Path::new(DAEMON)).await;
        let faulty = Self { daemon, node, qa, good, bad, _machine: machine };
        if wiring.nri {
            faulty.asked().await;
        }
        faulty
    }

    /// Waits until containerd asks the plugin.
    async fn asked(&self) {
        eventually("NRI to ask binauthd", SOON, || async {
            (self.status().await["create"]["nri"]["state"] == "synchronized").then_some(())
        })
        .await;
    }

    async fn status(&self) -> Value {
        let socket = self.node.etc.admin_socket();
        let patience = Patience { max_body: MAX_BODY, ..Patience::GATE };
        let answer = tokio::task::spawn_blocking(move || exchange(&socket, &AdminAsk::Status, patience))
            .await
            .unwrap();
        match answer.unwrap() {
            AdminAnswer::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    async fn kubelet(&self, pod: &str) -> Kubelet {
        Kubelet::of(&self.node, pod).await
    }

    /// Both gates are back, without anybody's doing: the attested starts at once, the unattested is not made.
    async fn well(&self, kubelet: &Kubelet, what: &str) {
        self.asked().await;
        kubelet.forget();
        let tally = kubelet::all(kubelet.rush(&self.good, &self.bad, 1)).await;
        assert_eq!((tally.retried, tally.not_made), (0, 1), "{what}: {tally}");
        kubelet.settle(&format!("after {what}"), tally).await;
    }

    fn tool(&self, program: &str) -> Tool {
        Tool::new(Path::new(program))
            .with_arg("--config")
            .with_arg(self.node.etc.config().to_string_lossy())
            .within(self.node.home.path())
    }

    async fn stop(self) {
        drop(self.daemon);
        self.node.stop().await;
    }
}
