//! What a runtime does without an answer: it goes on, unless it asks twice and requires the plugin.
//!
//! The rows are what was seen of containerd 2.1.9, 2.2.7 and 2.3.4. They hold the fake runtime to it, by
//! which others are measured.

use std::sync::atomic::Ordering;
use std::time::Duration;

use binauthd::nri::Event;
use tokio::io::copy_bidirectional;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::fake_runtime::{FakeRuntime, Outcome, Version};
use super::gate::{Gate, Served, WANTED, options, pod_and_container};
use super::rig::eventually;

const NO_VALIDATE: [Event; 3] = [Event::RunPodSandbox, Event::CreateContainer, Event::StartContainer];

#[tokio::test]
async fn a_required_plugin_that_is_absent_blocks_creation_and_nothing_else() {
    let (pod, container) = pod_and_container("c", &[]);
    for (version, required, blocks) in [
        (Version::CONTAINERD_2_1, "binauthd", false),
        (Version::CONTAINERD_2_2, "binauthd", true),
        (Version::CONTAINERD_2_3, "00-binauthd", true),
    ] {
        let mut runtime = FakeRuntime::new(version);
        assert_eq!(runtime.run(&pod, &container).await, Outcome::Unasked);
        runtime.required = vec![required.to_owned()];
        let outcome = runtime.create(&pod, &container).await;
        assert_eq!(outcome.goes_on(), !blocks, "{outcome:?}");
        assert_eq!(runtime.run_pod(&pod).await, Outcome::Unasked);
        assert_eq!(runtime.start(&pod, &container).await, Outcome::Unasked);

        let (_served, mut runtime) = Served::with_runtime(runtime).await;
        assert_eq!(runtime.run(&pod, &container).await, Outcome::Allowed);
        runtime.required.push("another".to_owned());
        assert_eq!(runtime.create(&pod, &container).await.goes_on(), !blocks);
    }
}

/// A plugin that dies over a CREATE, and one whose process hangs: only VALIDATE sees that.
#[tokio::test]
async fn create_and_validate_together_fail_closed() {
    let mut rows = tokio::task::JoinSet::new();
    for version in [Version::CONTAINERD_2_1, Version::CONTAINERD_2_2, Version::CONTAINERD_2_3] {
        for wanted in [&WANTED[..], &NO_VALIDATE[..]] {
            rows.spawn(dies_or_hangs(version.clone(), wanted, false));
            rows.spawn(dies_or_hangs(version.clone(), wanted, true));
        }
    }
    while let Some(row) = rows.join_next().await {
        row.unwrap();
    }
}

async fn dies_or_hangs(version: Version, wanted: &'static [Event], hangs: bool) {
    let mut runtime = FakeRuntime::new(version.clone());
    runtime.required = vec!["binauthd".to_owned()];
    runtime.request_timeout = Duration::from_secs(1);
    // What is between the two can stop carrying.
    let ((ours, mut left), (mut right, theirs)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    let (hang, stuck) = oneshot::channel::<()>();
    let between = tokio::spawn(async move {
        tokio::select! {
            _ = copy_bidirectional(&mut left, &mut right) => {}
            _ = stuck => std::future::pending().await,
        }
    });
    let mut served = Served::start(theirs, options(wanted), Gate::default());
    runtime.adopt(ours).await.unwrap();
    let (pod, container) = pod_and_container("c", &[("create", "wait")]);
    let gate = served.gate.clone();
    let creating = tokio::spawn(async move {
        let created = runtime.create(&pod, &container).await;
        (runtime, created, pod, container)
    });
    eventually("the handler", Duration::from_secs(5), || async {
        (gate.at_work.load(Ordering::SeqCst) == 1).then_some(())
    })
    .await;
    if hangs {
        hang.send(()).unwrap();
    } else {
        served.stop();
    }
    let (mut runtime, created, pod, container) = creating.await.unwrap();
    let what = format!("{} {hangs} {wanted:?}: {created:?}", version.version);
    let validated = wanted == WANTED && version.events == 0x3fff;
    assert_eq!(created.goes_on(), !validated, "{what}");
    if validated {
        assert!(created.refusal().contains("validator plugin"), "{what}");
    }
    // From now on it is known to be gone.
    let next = runtime.create(&pod, &container).await;
    assert_eq!(next.goes_on(), version.events != 0x3fff, "{what}");
    between.abort();
}
