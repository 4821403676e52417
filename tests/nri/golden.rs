//! Sessions of real containerd, replayed: what it sent is sent again, and the answers must be those that
//! were recorded, to the byte.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use binauthd::nri::api::{Container, PodSandbox};
use binauthd::nri::{Ended, Plugin, Proposal, Refusal, State, Status, serve};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::gate::{WANTED, options};

/// The plugin that was recorded, and a note of what it was asked.
#[derive(Default)]
struct Recorded(Mutex<Vec<String>>);

impl Recorded {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

/// What a decision would be made of is there.
fn complete(pod: &PodSandbox, container: &Container) -> String {
    let linux = container.linux.as_ref().unwrap();
    assert!(
        linux.namespaces.iter().any(|namespace| namespace.r#type == "mount" && namespace.path.is_empty())
    );
    assert!(container.mounts.iter().any(|mount| mount.destination == "/proc" && mount.r#type == "proc"));
    assert!(!container.args.is_empty() && container.env.iter().any(|env| env.starts_with("PATH=")));
    assert_eq!((pod.namespace.as_str(), container.id.len()), ("default", 64));
    assert_eq!(container.pod_sandbox_id, pod.id);
    container.annotations["io.kubernetes.cri.image-name"].clone()
}

impl Plugin for Recorded {
    async fn synchronize(&self, pods: Vec<PodSandbox>, containers: Vec<Container>) -> Result<(), Refusal> {
        self.note(format!("synchronize {} {}", pods.len(), containers.len()));
        Ok(())
    }

    async fn run_pod(&self, pod: &PodSandbox) -> Result<(), Refusal> {
        self.note(format!("run_pod {}", pod.namespace));
        Ok(())
    }

    async fn create(&self, pod: &PodSandbox, container: &Container) -> Result<(), Refusal> {
        let image = complete(pod, container);
        self.note(format!("create {image}"));
        if image.contains("bad") { Err("binauthd: image not attested".into()) } else { Ok(()) }
    }

    async fn validate(
        &self,
        pod: &PodSandbox,
        container: &Container,
        proposal: &Proposal,
    ) -> Result<(), Refusal> {
        let image = complete(pod, container);
        let consulted: Vec<_> =
            proposal.plugins.iter().map(|it| format!("{}-{}", it.index, it.name)).collect();
        self.note(format!("validate {image} {consulted:?}"));
        Ok(())
    }

    async fn start(&self, pod: &PodSandbox, container: &Container) -> Result<(), Refusal> {
        self.note(format!("start {}", complete(pod, container)));
        Ok(())
    }
}

fn frames(file: &Path) -> Vec<(String, Vec<u8>)> {
    let text = fs::read_to_string(file).unwrap();
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let hex = line["hex"].as_str().unwrap();
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        (line["from"].as_str().unwrap().to_owned(), bytes.collect())
    };
    text.lines().map(line).collect()
}

#[tokio::test]
async fn recorded_sessions_are_answered_to_the_byte() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nri");
    let good = "localhost:5000/team/good:v1";
    let validated = format!("validate {good} [\"00-default-validator\", \"00-binauthd\"]");
    let rows = [
        ("containerd-2.1.9", "2.1.9+unknown", 0x29, 15, None),
        ("containerd-2.2.7", "2.2.7+unknown", 0x2029, 17, Some(&validated)),
        ("containerd-2.3.4", "2.3.4+unknown", 0x2029, 19, Some(&validated)),
    ];
    assert_eq!(fs::read_dir(&golden).unwrap().count(), rows.len() + 1, "recordings and a page on them");
    for (name, version, mask, count, validated) in rows {
        let frames = frames(&golden.join(format!("{name}.jsonl")));
        assert_eq!(frames.len(), count, "{name}");
        let (mut runtime, stream) = UnixStream::pair().unwrap();
        let (status, watched) = watch::channel(Status::default());
        let plugin = Arc::new(Recorded::default());
        let serving = tokio::spawn({
            let plugin = Arc::clone(&plugin);
            async move { serve(stream, &options(&WANTED), plugin, &status, std::future::pending()).await }
        });
        for (number, (from, frame)) in frames.iter().enumerate() {
            if from == "runtime" {
                runtime.write_all(frame).await.unwrap();
                continue;
            }
            // The plugin that was recorded had no RunPodSandbox, which this one has.
            let unimplemented = b"unimplemented";
            let expected = if frame.windows(unimplemented.len()).any(|part| part == unimplemented) {
                let stream = &frame[12..16];
                [&[0, 0, 0, 1, 0, 0, 0, 10, 0, 0, 0, 0], stream, &[2, 0]].concat()
            } else {
                frame.clone()
            };
            let mut found = vec![0; expected.len()];
            let read = timeout(Duration::from_secs(5), runtime.read_exact(&mut found)).await;
            read.unwrap_or_else(|_| panic!("{name}: no frame {number}")).unwrap();
            assert_eq!(found, expected, "{name}: frame {number}");
        }
        let State::Synchronized(synchronized) = watched.borrow().state.clone() else { panic!("{name}") };
        assert_eq!(synchronized.runtime.version, version);
        assert_eq!(synchronized.runtime.events.mask(), mask);
        assert_eq!(synchronized.runtime.request_timeout, Duration::from_secs(2));
        assert_eq!((watched.borrow().refused, watched.borrow().synchronized), (1, 1));
        runtime.shutdown().await.unwrap();
        let mut rest = Vec::new();
        runtime.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "{name}: more than was recorded: {rest:?}");
        assert!(matches!(serving.await.unwrap(), Ended::Closed));

        let seen = plugin.0.lock().unwrap().clone();
        assert!(seen[0].starts_with("synchronize ") && seen[0] != "synchronize 0 0", "{seen:?}");
        let mut asked = vec!["run_pod default".to_owned()];
        asked.extend((name == "containerd-2.3.4").then(|| asked[0].clone()));
        asked.push(format!("create {good}"));
        asked.extend(validated.cloned());
        asked.push(format!("start {good}"));
        asked.push("create localhost:5000/team/bad:v1".to_owned());
        assert_eq!(seen[1..], asked, "{name}");
    }
}
