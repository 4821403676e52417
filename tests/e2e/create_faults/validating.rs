//! VALIDATE and `required_plugins`, which no containerd of these tests has: the containers are real ones of
//! containerd 2.1, made through CRI on a node without NRI, and a runtime of the tests' own asks the real
//! daemon about them as 2.2 and 2.3 would.

use std::time::{Duration, Instant};

use binauthd::nri::api;

use super::super::fake_runtime::{FakeRuntime, Outcome, Version};
use super::super::rig::{Container, Generation, Wiring};
use super::kubelet::Kubelet;
use super::{Brought, Faulty};

/// A container that exists, as NRI tells of it.
struct Told {
    pod: api::PodSandbox,
    container: api::Container,
}

fn told(kubelet: &Kubelet, made: &Container, image: &Brought) -> Told {
    let metadata = kubelet.pod.config().metadata.clone().unwrap();
    let pod = api::PodSandbox {
        id: kubelet.pod.id.clone(),
        name: metadata.name,
        uid: metadata.uid,
        namespace: metadata.namespace,
        ..Default::default()
    };
    let container = api::Container {
        id: made.id.clone(),
        pod_sandbox_id: pod.id.clone(),
        name: "main".to_owned(),
        annotations: [("io.kubernetes.cri.image-name".to_owned(), image.pushed.tagged())].into(),
        ..Default::default()
    };
    Told { pod, container }
}

impl Told {
    async fn asked(&self, runtime: &mut FakeRuntime) -> Outcome {
        runtime.run(&self.pod, &self.container).await
    }
}

#[tokio::test]
async fn validate_and_required_plugins_refuse_whatever_the_daemon_does_not_allow() {
    let mut faulty = Faulty::start_on(Wiring::of(Generation::V2_1)).await;
    let kubelet = faulty.kubelet("shop").await;
    let (good, bad) = (&faulty.good, &faulty.bad);
    let good = told(&kubelet, &kubelet.create(good).await.unwrap(), good);
    let bad = told(&kubelet, &kubelet.create(bad).await.unwrap(), bad);
    for version in [Version::CONTAINERD_2_2, Version::CONTAINERD_2_3] {
        let name = version.version;
        let mut runtime = FakeRuntime::listen(version, &faulty.node.nri_socket());
        runtime.required = vec!["binauthd".to_owned()];
        // Less than it is by default, and more than the daemon needs on a busy machine.
        runtime.request_timeout = Duration::from_secs(1);
        runtime.accept().await;
        assert_eq!(runtime.link.as_ref().unwrap().mask, 0x2029, "{name}: VALIDATE is wanted");
        assert_eq!(good.asked(&mut runtime).await, Outcome::Allowed, "{name}");
        let outcome = bad.asked(&mut runtime).await;
        let refusal = outcome.refusal();
        assert!(refusal.contains("CreateContainer") && refusal.contains("bad:1"), "{name}: {refusal}");
        // CREATE has refused: VALIDATE and START alone refuse too.
        let started = runtime.start(&bad.pod, &bad.container).await;
        assert!(started.refusal().contains("StartContainer"), "{name}: {started:?}");

        // Stopped in CREATE: the runtime goes on from there, and VALIDATE finds nobody.
        faulty.daemon.freeze();
        for container in [&bad, &good] {
            let outcome = container.asked(&mut runtime).await;
            println!("{name}, stopped: {outcome:?}");
            assert!(!outcome.goes_on(), "{name}: {outcome:?}");
        }
        faulty.daemon.thaw();
        runtime.accept().await;
        assert_eq!(good.asked(&mut runtime).await, Outcome::Allowed, "{name}");
        assert!(!bad.asked(&mut runtime).await.goes_on(), "{name}");

        // Absent: the runtime misses a plugin it requires.
        faulty.daemon.kill();
        for container in [&bad, &good] {
            let outcome = container.asked(&mut runtime).await;
            assert!(!outcome.goes_on(), "{name}: {outcome:?}");
            println!("{name}, killed: {outcome:?}");
        }
        assert!(bad.asked(&mut runtime).await.refusal().contains("required plugin \"binauthd\" not present"));
        faulty.daemon.restart().await;
        runtime.accept().await;
        assert_eq!(good.asked(&mut runtime).await, Outcome::Allowed, "{name}");
        assert!(!bad.asked(&mut runtime).await.goes_on(), "{name}");
    }
    faulty.stop().await;
}

#[tokio::test]
async fn a_thousand_containers_at_synchronize_do_not_keep_the_daemon_from_answering() {
    const COUNT: usize = 1000;
    let mut faulty = Faulty::start_on(Wiring::of(Generation::V2_1)).await;
    let kubelet = faulty.kubelet("shop").await;
    let good = told(&kubelet, &kubelet.create(&faulty.good).await.unwrap(), &faulty.good);
    let bad = told(&kubelet, &kubelet.create(&faulty.bad).await.unwrap(), &faulty.bad);
    for version in [Version::CONTAINERD_1_7, Version::CONTAINERD_2_1, Version::CONTAINERD_2_2] {
        let name = version.version;
        let (splits, start) = (version.splits, Instant::now());
        let mut runtime = FakeRuntime::listen(version, &faulty.node.nri_socket());
        runtime.request_timeout = Duration::from_secs(2);
        runtime.chunk = if splits { 64 } else { usize::MAX };
        for number in 0..COUNT {
            let mut container = api::Container { id: format!("{number:064x}"), ..good.container.clone() };
            container.env = vec!["PADDING=".to_owned() + &"x".repeat(1000)];
            if number % 4 == 0 {
                runtime.pods.push(api::PodSandbox { id: format!("p{number:063x}"), ..good.pod.clone() });
            }
            runtime.containers.push(container);
        }
        runtime.accept().await;
        let took = start.elapsed();
        assert_eq!(good.asked(&mut runtime).await, Outcome::Allowed, "{name}");
        assert!(!bad.asked(&mut runtime).await.goes_on(), "{name}");
        println!("{name}: {COUNT} containers synchronized within {took:.2?}");
        drop(runtime);
    }
    assert!(faulty.daemon.ended().is_none());
    assert!(faulty.daemon.resident_kib() < 128 * 1024, "{} KiB", faulty.daemon.resident_kib());
    faulty.stop().await;
}
