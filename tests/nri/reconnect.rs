//! A plugin that stays connected.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use binauthd::nri::{Events, Limits, Options, State, Status, run};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::fake_runtime::{FakeRuntime, Outcome, Version};
use super::gate::{Gate, WANTED, pod_and_container};

const SOON: Duration = Duration::from_secs(10);

/// A plugin that is kept connected to a socket.
pub(crate) struct Kept {
    pub(crate) gate: Arc<Gate>,
    pub(crate) status: watch::Receiver<Status>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Kept {
    pub(crate) fn at(socket: &Path) -> Self {
        Self::with(socket, Gate::default())
    }

    pub(crate) fn with(socket: &Path, gate: Gate) -> Self {
        let events = Events::of(WANTED);
        let limits = Limits {
            first_pause: Duration::from_millis(20),
            longest_pause: Duration::from_millis(200),
            ..Limits::default()
        };
        let options = Options::new(socket, "binauthd", "00", events).unwrap().with_limits(limits);
        let options = options.with_handler_deadline(Duration::from_millis(400)).unwrap();
        let gate = Arc::new(gate);
        let (sender, status) = watch::channel(Status::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let plugin = Arc::clone(&gate);
        let stopped = async { drop(stopped.await) };
        let task = tokio::spawn(async move { run(options, plugin, sender, stopped).await });
        Self { gate, status, stop, task }
    }

    /// Waits until the state is as `wanted`.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&State) -> bool) -> Status {
        let found = timeout(SOON, self.status.wait_for(|status| wanted(&status.state))).await;
        found.unwrap_or_else(|_| panic!("still {:?}", "another state")).unwrap().clone()
    }

    pub(crate) async fn synchronized(&mut self) -> Status {
        self.until(|state| matches!(state, State::Synchronized(_))).await
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        timeout(SOON, self.task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_runtime_that_comes_late_goes_and_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nri.sock");
    let mut kept = Kept::at(&socket);
    let status = kept.until(|state| matches!(state, State::Absent(_))).await;
    let State::Absent(why) = &status.state else { panic!("another state") };
    assert!(why.contains("nri.sock` is not there or nobody listens on it"), "{why}");

    for round in 1..=4 {
        let version = Version::ALL[round - 1].clone();
        let mut runtime = FakeRuntime::listen(version.clone(), &socket);
        let (pod, container) = pod_and_container("c", &[]);
        runtime.pods = vec![pod.clone()];
        runtime.containers = vec![container.clone(); round];
        runtime.accept().await;
        let status = kept.synchronized().await;
        let State::Synchronized(is) = &status.state else { panic!("another state") };
        assert_eq!((is.runtime.version.as_str(), is.containers), (version.version, round));
        assert_eq!(status.synchronized, round as u64);
        assert_eq!(runtime.run(&pod, &container).await, Outcome::Allowed);
        if round % 2 == 0 {
            // The file stays, and nobody listens.
            drop(runtime);
            drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
            kept.until(|state| matches!(state, State::Absent(_))).await;
            std::fs::remove_file(&socket).unwrap();
        } else {
            drop(runtime);
            kept.until(|state| matches!(state, State::Absent(_))).await;
        }
    }
    let gate = Arc::clone(&kept.gate);
    let disconnected = gate.seen().iter().filter(|seen| seen.starts_with("disconnected")).count();
    assert_eq!(disconnected, 4);
    let status = kept.status.clone();
    kept.stop().await;
    assert_eq!(status.borrow().state, State::Stopped);
}

/// A runtime that sends plugins away is tried again, less and less often, and never given up.
#[tokio::test]
async fn a_runtime_that_refuses_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nri.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let mut kept = Kept::at(&socket);
    for _ in 0..6 {
        drop(timeout(SOON, listener.accept()).await.unwrap().unwrap());
        kept.until(|state| matches!(state, State::Lost(_))).await;
    }
    drop(listener);
    std::fs::remove_file(&socket).unwrap();
    let mut runtime = FakeRuntime::listen(Version::CONTAINERD_2_1, &socket);
    runtime.accept().await;
    kept.synchronized().await;
    // Stopped while it is connected: the runtime sees the end, the plugin is told.
    let gate = Arc::clone(&kept.gate);
    kept.stop().await;
    assert_eq!(gate.seen().last().unwrap(), "disconnected: the plugin was stopped");
    let (pod, container) = pod_and_container("c", &[]);
    assert_eq!(runtime.run(&pod, &container).await, Outcome::Unasked);
}

/// Whoever forgets about a plugin has ended it.
#[tokio::test]
async fn a_plugin_that_is_dropped_is_disconnected() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nri.sock");
    let mut runtime = FakeRuntime::listen(Version::CONTAINERD_2_2, &socket);
    let mut kept = Kept::at(&socket);
    runtime.accept().await;
    kept.synchronized().await;
    kept.task.abort();
    kept.until(|state| *state == State::Stopped).await;
    assert_eq!(kept.gate.seen().last().unwrap(), "disconnected: the plugin was stopped");
}

/// A handler that blocks its thread, and with it the only one that handlers have, is refused in time.
#[tokio::test]
async fn a_handler_that_blocks_is_late_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nri.sock");
    let mut runtime = FakeRuntime::listen(Version::CONTAINERD_2_3, &socket);
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut kept = {
        let _entered = threads.enter();
        Kept::at(&socket)
    };
    runtime.accept().await;
    kept.synchronized().await;
    let blocked = pod_and_container("c", &[("create", "block")]);
    let quick = pod_and_container("c", &[]);
    // The second one finds no thread.
    for (pod, container) in [&blocked, &quick] {
        let refused = runtime.create(pod, container).await;
        assert!(refused.refusal().contains("no decision within 0.4 s"), "{refused:?}");
    }
    timeout(SOON, async { while runtime.create(&quick.0, &quick.1).await != Outcome::Allowed {} })
        .await
        .expect("still blocked");
    assert!(kept.status.borrow().late >= 2);
    kept.stop().await;
    threads.shutdown_background();
}
