//! A node whose containers pass both gates, or none.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use binauthd::gate::admin::{AdminAnswer, AdminAsk, MAX_BODY};
use binauthd::gate::client::{Patience, exchange};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::super::attest::{Key, attestor, policy};
use super::super::programs::Programs;
use super::super::rig::{
    Container, Cri, Daemon, Generation, Handler, Image, Node, Pod, Pushed, Wiring, eventually,
};

const ATTESTOR: &str = "build";
const SOON: Duration = Duration::from_secs(30);
/// Containers of one pod where there are many.
const IN_A_POD: usize = 25;
/// How many containers are brought up at a time.
const AT_A_TIME: usize = 4;

/// Handlers whose hook is the no-op one. The default one has ours.
pub(crate) const NOOP: [&str; 2] = ["noop", "noop-again"];

/// The node, its daemon, and one attested image that is there.
pub(crate) struct Place {
    pub(crate) daemon: Daemon,
    pub(crate) app: App,
    /// Of containers that [`Place::fill`] has started.
    running: usize,
    /// Last, so that it goes last.
    pub(crate) node: Node,
}

/// Containers of the one image.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) cri: Cri,
    image: Pushed,
    id: String,
    made: Arc<AtomicUsize>,
}

impl App {
    /// CreateContainer.
    pub(crate) async fn create(&self, pod: &Pod) -> Result<Container, String> {
        let name = format!("c{}", self.made.fetch_add(1, Ordering::Relaxed));
        let made = self.cri.create(pod, &name, &self.id, &self.image.tagged()).await;
        made.map_err(|refusal| refusal.to_string())
    }

    /// StartContainer, once: its failure is the end of some pods.
    pub(crate) async fn start(&self, container: &Container) -> Result<(), String> {
        self.cri.launch(container).await.map_err(|refusal| refusal.to_string())
    }
}

impl Place {
    pub(crate) async fn set(programs: &Programs) -> Self {
        let node = Node::start_with(wiring(programs)).await;
        let text = fs::read_to_string(node.etc.config()).unwrap();
        let listed = format!("[containerd]\nallow_handlers = {NOOP:?}\n");
        fs::write(node.etc.config(), text.replace("[containerd]\n", &listed)).unwrap();
        let key = Key::new(1);
        let image = node.registry.push("app", "1", &Image::new("app", &["sleep", "1000000"])).await;
        let document = key.attest(ATTESTOR, &image.repository, image.digest.parse().unwrap());
        node.etc.write_occurrence("app.json", &document);
        node.etc.write_policy(&policy(&[ATTESTOR], &[node.pause.pinned()]));
        node.etc.write_attestor("build.json", &attestor(ATTESTOR, &[&key]));
        let stranger = node.registry.push("stranger", "1", &Image::job("stranger")).await;
        let id = node.cri.pull(&image.tagged()).await.unwrap();
        let strange = node.cri.pull(&stranger.tagged()).await.unwrap();
        let daemon = Daemon::start(&node, &programs.daemon).await;
        let app = App { cri: node.cri.clone(), image, id, made: Arc::default() };
        let place = Self { daemon, app, running: 0, node };
        place.asked().await;
        // What is measured is what it is taken for.
        let pod = place.pod("stranger", "").await;
        let refused = place.node.cri.create(&pod, "main", &strange, &stranger.tagged()).await.unwrap_err();
        assert!(refused.message.contains("NO_ATTESTATION"), "{refused}");
        let hooked = &place.status()["create"]["askedBy"];
        assert_eq!(*hooked, json!(["nri", "hook"]), "both gates");
        place
    }

    /// RunPodSandbox.
    pub(crate) async fn pod(&self, name: &str, handler: &str) -> Pod {
        self.node.cri.run_pod_with("default", name, handler, |_| ()).await.unwrap()
    }

    /// The daemon comes back, and containerd asks it.
    pub(crate) async fn guard(&mut self) {
        self.daemon.restart().await;
        self.asked().await;
    }

    /// Waits until containerd asks the plugin, and what runs has been judged.
    async fn asked(&self) {
        eventually("NRI to ask binauthd", SOON, || async {
            let create = &self.status()["create"];
            let is_asked =
                create["nri"]["state"] == "synchronized" && create["askedBy"].as_array()?.len() == 2;
            (is_asked && create["running"]["passes"].as_u64() > Some(0)).then_some(())
        })
        .await;
    }

    pub(crate) fn status(&self) -> Value {
        let patience = Patience { max_body: MAX_BODY, ..Patience::GATE };
        match exchange(&self.node.etc.admin_socket(), &AdminAsk::Status, patience).unwrap() {
            AdminAnswer::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Another policy that means the same; all that runs is judged again by it.
    pub(crate) fn change_policy(&self, round: usize) {
        let patterns = [self.node.pause.pinned(), format!("registry.example.com/round-{round}")];
        self.node.etc.write_policy(&policy(&[ATTESTOR], &patterns));
    }

    /// Starts containers until there are so many.
    pub(crate) async fn fill(&mut self, wanted: usize) {
        let pods = (wanted - self.running).div_ceil(IN_A_POD);
        let mut left = wanted - self.running;
        let mut filling = JoinSet::new();
        for place in 0..pods {
            let pod = self.pod(&format!("fill-{}-{place}", self.running), "").await;
            let (app, count) = (self.app.clone(), left.min(IN_A_POD));
            left -= count;
            if filling.len() == AT_A_TIME {
                filling.join_next().await.unwrap().unwrap();
            }
            filling.spawn(async move {
                for _ in 0..count {
                    let container = app.create(&pod).await.unwrap();
                    app.start(&container).await.unwrap();
                }
            });
        }
        while let Some(filled) = filling.join_next().await {
            filled.unwrap();
        }
        self.running = wanted;
    }
}

/// containerd with NRI, our hook on the default handler and a no-op hook on the others.
fn wiring(programs: &Programs) -> Wiring {
    let mut wiring = Wiring::default().with_nri().hooked(&programs.hook, &[]);
    let handler = |name| Handler { name, runtime: None, base_spec: Some(noop(&programs.nothing)) };
    wiring.handlers = NOOP.map(handler).into();
    wiring
}

fn noop(program: &Path) -> String {
    let mut spec = Generation::V2_1.default_spec();
    spec["hooks"] = json!({ "createRuntime": [{ "path": program, "args": ["nothing"], "timeout": 40 }] });
    spec.to_string()
}
