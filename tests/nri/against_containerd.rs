//! The real one.

use std::time::{Duration, Instant};

use binauthd::nri::State;
use binauthd::nri::api::{Container, PodSandbox};
use binauthd::nri::{Event, Events, Options, Plugin, Proposal, Refusal, Status, Version, run};
use std::sync::{Arc, Mutex};
use tokio::sync::{oneshot, watch};

use super::rig::{Image, Node, Wiring};

const SOON: Duration = Duration::from_secs(10);

/// Refuses containers named `refused` when they are created, and `stillborn` ones at their start.
#[derive(Default)]
struct ByName(Mutex<Vec<String>>);

impl ByName {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn seen(&self, what: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|seen| seen.starts_with(what)).count()
    }
}

impl Plugin for ByName {
    async fn synchronize(&self, pods: Vec<PodSandbox>, containers: Vec<Container>) -> Result<(), Refusal> {
        let running: Vec<_> = containers.iter().map(|container| container.name.as_str()).collect();
        self.note(format!("synchronize {} {running:?}", pods.len()));
        Ok(())
    }

    async fn run_pod(&self, pod: &PodSandbox) -> Result<(), Refusal> {
        self.note(format!("run_pod {}", pod.name));
        if pod.name == "refused" { Err("no such pod here".into()) } else { Ok(()) }
    }

    async fn create(&self, _: &PodSandbox, container: &Container) -> Result<(), Refusal> {
        self.note(format!("create {}", container.name));
        match container.name.as_str() {
            "refused" => Err("`refused` is not wanted here".into()),
            "talkative" => Err("so much to say ".repeat(400).into()),
            "hangs" => std::future::pending().await,
            _ => Ok(()),
        }
    }

    async fn validate(&self, _: &PodSandbox, _: &Container, _: &Proposal) -> Result<(), Refusal> {
        Err("containerd 2.1 does not ask this".into())
    }

    async fn start(&self, _: &PodSandbox, container: &Container) -> Result<(), Refusal> {
        self.note(format!("start {}", container.name));
        if container.name == "stillborn" { Err("`stillborn` must not run".into()) } else { Ok(()) }
    }

    async fn state_changed(&self, event: Event, _: Option<&PodSandbox>, container: Option<&Container>) {
        self.note(format!("{event:?} {}", container.map_or("", |container| &container.name)));
    }

    async fn disconnected(&self, _: &str) {
        self.note("disconnected".to_owned());
    }
}

async fn synchronized(status: &mut watch::Receiver<Status>, times: u64) -> Status {
    let is = |status: &Status| status.synchronized == times && matches!(status.state, State::Synchronized(_));
    tokio::time::timeout(SOON, status.wait_for(is)).await.expect("not synchronized").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn against_containerd() {
    let start = Instant::now();
    let mut node = Node::start_with(Wiring { nri: true, ..Wiring::default() }).await;
    let image = node.registry.push("app", "1", &Image::service("app")).await.tagged();
    let id = node.cri.pull(&image).await.unwrap();

    let plugin = Arc::new(ByName::default());
    let events = Events::of(Event::ALL);
    let options = Options::new(&node.nri_socket(), "binauthd", "00", events).unwrap();
    let (sender, mut status) = watch::channel(Status::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let running = tokio::spawn(run(options, Arc::clone(&plugin), sender, stopped));

    let State::Synchronized(is) = synchronized(&mut status, 1).await.state else { panic!("another state") };
    assert_eq!((is.runtime.name.as_str(), is.runtime.nri), ("containerd", Some(Version(0, 8, 0))));
    assert_eq!((is.runtime.events.mask(), is.pods), (0x7ff, 0));
    assert_eq!(is.runtime.request_timeout, Duration::from_secs(2));

    let refusal = node.cri.run_pod("refused").await.err().expect("a pod that is refused");
    assert!(refusal.message.contains("no such pod here"), "{refusal}");
    let pod = node.cri.run_pod("allowed").await.unwrap();
    let allowed = node.cri.create(&pod, "allowed", &id, &image).await.unwrap();
    node.cri.launch(&allowed).await.unwrap();
    assert!(node.cri.is_running(&allowed).await);
    for (name, expected) in [
        ("refused", "`refused` is not wanted here"),
        ("talkative", "so much to say so much to say"),
        ("hangs", "no decision within 1.2 s"),
        ("refused", "`refused` is not wanted here"),
    ] {
        let refusal = node.cri.create(&pod, name, &id, &image).await.unwrap_err();
        assert!(refusal.message.contains("failed to get NRI adjustment"), "{refusal}");
        assert!(refusal.message.contains(expected), "{refusal}");
    }
    let stillborn = node.cri.create(&pod, "stillborn", &id, &image).await.unwrap();
    let refusal = node.cri.launch(&stillborn).await.unwrap_err();
    assert!(refusal.message.contains("`stillborn` must not run"), "{refusal}");
    assert!(!node.cri.is_running(&stillborn).await);
    // Whatever it refused, containerd has kept it.
    assert_eq!((status.borrow().synchronized, plugin.seen("disconnected")), (1, 0));
    assert_eq!(status.borrow().late, 1);

    node.restart_containerd().await;
    let State::Synchronized(again) = synchronized(&mut status, 2).await.state else {
        panic!("another state")
    };
    assert!(again.since > is.since && again.containers >= 1, "{again:?}");
    assert_eq!((plugin.seen("disconnected"), plugin.seen("synchronize")), (1, 2));
    // A pod that was refused may still be listed; what runs in the other one is.
    assert!(plugin.0.lock().unwrap().last().unwrap().ends_with("[\"allowed\"]"), "{again:?}");
    let refusal = node.cri.create(&pod, "refused", &id, &image).await.unwrap_err();
    assert!(refusal.message.contains("`refused` is not wanted here"), "{refusal}");
    assert!(node.cri.is_running(&allowed).await);
    node.cri.remove(&allowed).await.unwrap();
    assert!(
        plugin.seen("PostCreateContainer allowed") == 1 && plugin.seen("PostStartContainer allowed") == 1
    );
    assert!(plugin.seen("StopContainer allowed") >= 1 && plugin.seen("RemoveContainer allowed") >= 1);

    // A plugin that is gone is not asked, and nothing is refused.
    drop(stop);
    running.await.unwrap();
    node.cri.create(&pod, "refused", &id, &image).await.unwrap();
    node.stop().await;
    println!("against containerd: {:.1} s", start.elapsed().as_secs_f32());
}
