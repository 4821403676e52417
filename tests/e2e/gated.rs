//! A node whose containers pass the create gate: containerd of a generation, with NRI, with the hook, or both.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::guarded::{DAEMON, Guarded, SOON, Share, policy, requires, verifier};
use super::rig::{
    Container, Daemon, Generation, Image, Node, Pod, Pushed, Refusal, Tool, Wiring, bind, eventually,
};
use super::signer::Signer;

/// How long a container gets that must not do anything.
const LONG_ENOUGH: Duration = Duration::from_millis(300);
/// Stands for the node's folder until there is one.
const NODE: &str = "/ba-node";

/// Which gates a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gates {
    Nri,
    Hook,
    Both,
}

impl Gates {
    /// What containerd is told of them. Handlers that are added afterwards carry no hook.
    pub(crate) async fn on(self, generation: Generation) -> Wiring {
        let mut wiring = Wiring::of(generation);
        wiring.nri = self != Self::Hook;
        if self != Self::Nri {
            wiring.base_spec = Some(base_spec(generation, &[]).await);
        }
        wiring
    }
}

/// What `binauthctl containerd base-spec` prints for this generation.
pub(crate) async fn base_spec(generation: Generation, flags: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    fs::write(&config, format!("config_version = 1\nruntime_dir = \"{NODE}/run\"\n")).unwrap();
    let ctr = generation.program("ctr");
    let version = Tool::new(&ctr).run(&["--version"]).await.success();
    let version = version.split_whitespace().last().unwrap().to_owned();
    let hook = program("binauthd-create-hook", "BINAUTHD_CREATE_HOOK");
    let tool = Tool::new(Path::new(env!("CARGO_BIN_EXE_binauthctl")))
        .with_arg("--config")
        .with_arg(config.to_string_lossy())
        .with_arg("containerd")
        .with_arg("base-spec")
        .with_arg("--hook")
        .with_arg(hook.to_string_lossy())
        .with_arg("--ctr")
        .with_arg(ctr.to_string_lossy())
        .with_arg("--containerd-version")
        .with_arg(version);
    tool.run(flags).await.success().replace(NODE, "@NODE@")
}

/// A static program of the gates; beside the verifier unless the environment says otherwise.
pub(crate) fn program(name: &str, variable: &str) -> PathBuf {
    let beside = verifier().with_file_name(name);
    let path = std::env::var_os(variable).map_or(beside, PathBuf::from);
    assert!(path.exists(), "`{}` is not there: run `make gate` first, or `make test`", path.display());
    path
}

/// What a test adds to the daemon's `config.toml`.
pub(crate) struct Settings<'a> {
    /// TOML before the tables, and whole tables.
    pub(crate) more: &'a str,
    /// Of the table `[containerd]`.
    pub(crate) containerd: &'a str,
}

/// A node, its daemon, who attests, and a folder in which containers prove that they ran.
pub(crate) struct Gated {
    pub(crate) guarded: Guarded,
    pub(crate) proof: PathBuf,
}

impl Gated {
    /// Policy asks for an attestation by `qa` and lets the pause image through by its digest. No pull gate.
    pub(crate) async fn start(gates: Gates, generation: Generation) -> Self {
        Self::start_on(gates.on(generation).await, |_, _| ()).await
    }

    /// The same on a node wired otherwise, and with documents of the test's own.
    pub(crate) async fn start_on(wiring: Wiring, documents: impl FnOnce(&Node, &Signer)) -> Self {
        let share = Share::some().await;
        let nri = wiring.nri && wiring.generation != Generation::V1_6;
        let node = Node::start_with(wiring).await;
        let proof = node.home.folder("proof");
        fs::set_permissions(&proof, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let qa = Signer::new("qa");
        node.etc.write_policy(&policy(&node, &requires(&[&qa])));
        node.etc.write_attestor("qa.json", &qa.document());
        documents(&node, &qa);
        let daemon = Daemon::start(&node, Path::new(DAEMON)).await;
        let gated = Self { guarded: Guarded::of(daemon, node, qa, share), proof };
        if nri {
            gated.asked_by_nri().await;
        }
        gated
    }

    pub(crate) fn node(&self) -> &Node {
        &self.guarded.node
    }

    /// Waits until containerd asks the plugin.
    pub(crate) async fn asked_by_nri(&self) {
        eventually("NRI to ask binauthd", Duration::from_secs(10), || async {
            let status = self.guarded.status().await;
            (status["create"]["nri"]["state"] == "synchronized").then_some(())
        })
        .await;
    }

    /// Pushes an image and pulls it: this node asks nobody about that. Its id, too.
    pub(crate) async fn bring(&self, path: &str, image: &Image) -> (Pushed, String) {
        let pushed = self.node().registry.push(path, "1", image).await;
        let id = self.node().cri.pull(&pushed.tagged()).await.unwrap();
        (pushed, id)
    }

    /// The same with an attestation that the daemon knows of.
    pub(crate) async fn bring_attested(&self, path: &str, image: &Image) -> (Pushed, String) {
        let brought = self.bring(path, image).await;
        self.guarded.attest(&brought.0);
        self.guarded.known(&brought.0).await;
        brought
    }

    /// CreateContainer and StartContainer of a container that can prove itself, in a pod of its own.
    pub(crate) async fn run(&self, name: &str, id: &str, text: &str) -> Result<Container, Refusal> {
        let pod = self.node().cri.run_pod(name).await.unwrap();
        self.run_in(&pod, "main", id, text).await
    }

    pub(crate) async fn run_in(
        &self,
        pod: &Pod,
        name: &str,
        id: &str,
        text: &str,
    ) -> Result<Container, Refusal> {
        let container = self.create_in(pod, name, id, text).await?;
        self.node().cri.launch(&container).await?;
        Ok(container)
    }

    /// CreateContainer alone.
    pub(crate) async fn create_in(
        &self,
        pod: &Pod,
        name: &str,
        id: &str,
        text: &str,
    ) -> Result<Container, Refusal> {
        let mut config = pod.container(name, id, text);
        config.mounts.push(bind(&self.proof, "/proof"));
        self.node().cri.create_from(pod, config).await
    }

    /// It runs, and what it proves is `marker`.
    pub(crate) async fn runs(&self, name: &str, id: &str, text: &str, marker: &str) -> Container {
        let container = self.run(name, id, text).await.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        self.proves(marker).await;
        container
    }

    /// Waits for the proof of whoever runs `marker`, and forgets it.
    pub(crate) async fn proves(&self, marker: &str) {
        let ran = self.proof.join("ran");
        eventually("a container to prove that it ran", Duration::from_secs(5), || async {
            let text = fs::read_to_string(&ran).unwrap_or_default();
            (text.trim_end() == marker).then_some(())
        })
        .await;
        fs::remove_file(ran).unwrap();
    }

    /// It is refused, by a message with each of `parts`, and nothing of it ever ran.
    pub(crate) async fn refused(&self, name: &str, id: &str, text: &str, parts: &[&str]) -> Refusal {
        let refusal = self.run(name, id, text).await.expect_err(&format!("`{name}` must be refused"));
        says(&refusal, parts);
        self.proves_nothing(name).await;
        refusal
    }

    pub(crate) async fn proves_nothing(&self, name: &str) {
        tokio::time::sleep(LONG_ENOUGH).await;
        let ran = fs::read_to_string(self.proof.join("ran"));
        assert!(ran.is_err(), "`{name}` was refused and ran: {ran:?}");
    }

    /// Waits for a record of which all of these hold; a key is a JSON pointer.
    pub(crate) async fn audited(&self, wanted: &[(&str, &str)]) -> Value {
        let fits = |record: &Value| {
            wanted.iter().all(|(pointer, text)| record.pointer(pointer).is_some_and(|value| value == *text))
        };
        let start = Instant::now();
        loop {
            let records = self.node().etc.audit();
            if let Some(record) = records.iter().find(|record| fits(record)) {
                return record.clone();
            }
            assert!(start.elapsed() < Duration::from_secs(8), "no record with {wanted:?} in {records:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Puts another policy into force.
    pub(crate) async fn obey(&self, text: &str) {
        let before = self.guarded.status().await;
        self.node().etc.write_policy(text);
        eventually("the policy", SOON, || async {
            (self.guarded.status().await["policy"] != before["policy"]).then_some(())
        })
        .await;
    }

    /// Ends the daemon and the node, and asserts that nothing is left.
    pub(crate) async fn stop(self) {
        let Guarded { daemon, node, .. } = self.guarded;
        node.cri.remove_all_pods().await;
        drop(daemon);
        node.stop().await;
    }
}

/// The message holds each of `parts`.
pub(crate) fn says(refusal: &Refusal, parts: &[&str]) {
    for part in parts {
        assert!(refusal.message.contains(part), "`{part}` is missing in: {refusal}");
    }
}

/// Settings beside those that every node of a test has.
pub(crate) fn configure(node: &Node, settings: &Settings<'_>) {
    node.etc.write_config("test.cluster", settings.more);
    let text = fs::read_to_string(node.etc.config()).unwrap();
    let text = text.replace("[containerd]\n", &format!("[containerd]\n{}\n", settings.containerd));
    fs::write(node.etc.config(), text).unwrap();
}
