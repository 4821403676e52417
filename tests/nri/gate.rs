//! A plugin for tests, which does what a pod's or container's annotations tell it to do.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use binauthd::nri::api::{Container, PodSandbox};
use binauthd::nri::{Ended, Event, Events, Options, Plugin, Proposal, Refusal, Runtime, Status, serve};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::fake_runtime::{FakeRuntime, Link, Version};

/// What a test's plugin wants to be asked about.
pub(crate) const WANTED: [Event; 4] =
    [Event::RunPodSandbox, Event::CreateContainer, Event::StartContainer, Event::ValidateContainerAdjustment];

/// Says what it was asked in `seen`. An annotation named after the question is what it does: `refuse`,
/// `wait` (for ever), `block` (its thread), `panic` or `long` (a refusal of 5,000 bytes).
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) seen: Mutex<Vec<String>>,
    /// Handlers that are at work, waiting ones included.
    pub(crate) at_work: AtomicUsize,
    pub(crate) refuse_configure: bool,
}

/// Counts a handler for as long as it is there.
struct Working<'a>(&'a Gate);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Gate {
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn note(&self, what: String) -> Working<'_> {
        self.seen.lock().unwrap().push(what);
        self.at_work.fetch_add(1, Ordering::SeqCst);
        Working(self)
    }

    async fn obey(&self, order: Option<&String>) -> Result<(), Refusal> {
        match order.map(String::as_str) {
            Some("refuse") => Err("binauthd: image not attested".into()),
            Some("long") => Err("€".repeat(5000 / 3).into()),
            Some("wait") => std::future::pending().await,
            Some("block") => {
                std::thread::sleep(Duration::from_secs(2));
                Ok(())
            }
            Some("panic") => panic!("a handler that panics, as the test wants"),
            _ => Ok(()),
        }
    }
}

impl Plugin for Gate {
    async fn configured(&self, runtime: &Runtime) -> Result<(), Refusal> {
        let _working = self.note(format!("configured by {} {}", runtime.name, runtime.version));
        if self.refuse_configure { Err("not this one".into()) } else { Ok(()) }
    }

    async fn synchronize(&self, pods: Vec<PodSandbox>, containers: Vec<Container>) -> Result<(), Refusal> {
        let _working = self.note(format!("synchronize {} {}", pods.len(), containers.len()));
        self.obey(pods.first().and_then(|pod| pod.annotations.get("synchronize"))).await
    }

    async fn run_pod(&self, pod: &PodSandbox) -> Result<(), Refusal> {
        let _working = self.note(format!("run_pod {}", pod.name));
        self.obey(pod.annotations.get("run_pod")).await
    }

    async fn create(&self, _: &PodSandbox, container: &Container) -> Result<(), Refusal> {
        let _working = self.note(format!("create {}", container.name));
        self.obey(container.annotations.get("create")).await
    }

    async fn validate(
        &self,
        _: &PodSandbox,
        container: &Container,
        proposal: &Proposal,
    ) -> Result<(), Refusal> {
        let consulted: Vec<_> = proposal.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        let _working = self.note(format!("validate {} {consulted:?}", container.name));
        self.obey(container.annotations.get("validate")).await
    }

    async fn start(&self, _: &PodSandbox, container: &Container) -> Result<(), Refusal> {
        let _working = self.note(format!("start {}", container.name));
        self.obey(container.annotations.get("start")).await
    }

    async fn state_changed(&self, event: Event, _: Option<&PodSandbox>, container: Option<&Container>) {
        let name = container.map(|container| container.name.as_str());
        let _working = self.note(format!("{event:?} {name:?}"));
    }

    async fn disconnected(&self, why: &str) {
        let _working = self.note(format!("disconnected: {why}"));
    }
}

/// A handler's deadline that a busy test machine still keeps for those that do not wait.
pub(crate) fn options(wanted: &[Event]) -> Options {
    let events = Events::of(wanted.iter().copied());
    let options = Options::new(Path::new("/nowhere"), "binauthd", "00", events).unwrap();
    options.with_handler_deadline(Duration::from_millis(400)).unwrap()
}

/// A plugin on a stream of its own.
pub(crate) struct Served {
    pub(crate) gate: Arc<Gate>,
    pub(crate) status: watch::Receiver<Status>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Ended>,
}

impl Served {
    pub(crate) fn start(
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
        options: Options,
        gate: Gate,
    ) -> Self {
        let gate = Arc::new(gate);
        let (sender, status) = watch::channel(Status::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let plugin = Arc::clone(&gate);
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            serve(stream, &options, plugin, &sender, stopped).await
        });
        Self { gate, status, stop: Some(stop), task }
    }

    /// A plugin that is connected to nothing but the test.
    pub(crate) fn bare(options: Options, gate: Gate) -> (Self, Link) {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        (Self::start(theirs, options, gate), Link::new(ours))
    }

    /// A plugin, and a runtime of that version that knows it.
    pub(crate) async fn with(version: Version) -> (Self, FakeRuntime) {
        Self::with_runtime(FakeRuntime::new(version)).await
    }

    pub(crate) async fn with_runtime(mut runtime: FakeRuntime) -> (Self, FakeRuntime) {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        let served = Self::start(theirs, options(&WANTED), Gate::default());
        runtime.adopt(ours).await.unwrap();
        (served, runtime)
    }

    /// Ends the plugin as if its process had died.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// How the connection ended.
    pub(crate) async fn ended(self) -> Ended {
        tokio::time::timeout(Duration::from_secs(10), self.task).await.expect("no end").unwrap()
    }
}

/// A pod and a container in it, with orders for the plugin: (question, what to do).
pub(crate) fn pod_and_container(name: &str, orders: &[(&str, &str)]) -> (PodSandbox, Container) {
    let annotations: std::collections::BTreeMap<_, _> =
        orders.iter().map(|(question, order)| ((*question).to_owned(), (*order).to_owned())).collect();
    let pod = PodSandbox {
        id: "0123456789abcdef".repeat(4),
        name: format!("{name}-pod"),
        uid: "uid".into(),
        namespace: "default".into(),
        annotations: annotations.clone(),
        ..Default::default()
    };
    let container = Container {
        id: "fedcba9876543210".repeat(4),
        pod_sandbox_id: pod.id.clone(),
        name: name.to_owned(),
        annotations,
        args: vec!["sleep".into(), "1".into()],
        ..Default::default()
    };
    (pod, container)
}
