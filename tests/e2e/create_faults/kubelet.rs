//! A kubelet that brings up attested and unattested containers, counts what becomes of them, and does not
//! give up on a creation.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use k8s_cri::v1::{ContainerConfig, ContainerState};
use tokio::task::JoinSet;

use super::super::rig::{Container, Cri, Node, Pod, Pushed, Refusal, bind};

/// How long a kubelet of these tests asks for the creation of an attested container.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);
/// How long a container gets that must not do anything.
const LONG_ENOUGH: Duration = Duration::from_millis(300);

/// An image on the node.
#[derive(Clone)]
pub(super) struct Brought {
    pub(super) pushed: Pushed,
    /// What CRI calls it.
    pub(super) id: String,
}

/// Of one pod, on one connection to CRI.
#[derive(Clone)]
pub(super) struct Kubelet {
    pub(super) cri: Cri,
    pub(super) pod: Pod,
    /// A folder in which each image leaves a file of its name when it runs.
    proof: PathBuf,
    names: Arc<AtomicU32>,
}

/// What became of containers.
#[derive(Default)]
pub(super) struct Tally {
    /// Attested ones that run.
    pub(super) started: Vec<Container>,
    /// Attested ones that were refused at CREATE first.
    pub(super) retried: usize,
    /// Attested ones whose start failed: a pod with `restartPolicy: Never` is lost by that.
    pub(super) lost: Vec<String>,
    /// Unattested ones, refused at CREATE.
    pub(super) not_made: usize,
    /// Unattested ones that were made, and refused at START.
    pub(super) not_started: Vec<Container>,
    /// Unattested ones that started.
    pub(super) slipped: Vec<Container>,
    /// Attested ones that were seen to run, and have been taken away.
    pub(super) ran: usize,
    /// Unattested ones that were seen never to have run, and have been taken away.
    pub(super) held: usize,
    /// The longest start of an attested one.
    pub(super) worst: Duration,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.started.extend(other.started);
        self.retried += other.retried;
        self.lost.extend(other.lost);
        self.not_made += other.not_made;
        self.not_started.extend(other.not_started);
        self.slipped.extend(other.slipped);
        self.ran += other.ran;
        self.held += other.held;
        self.worst = self.worst.max(other.worst);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} attested started ({} creations retried, {} starts lost, the longest {:.1} s); {} unattested refused \
             at CREATE, {} at START, {} slipped through",
            self.ran + self.started.len(),
            self.retried,
            self.lost.len(),
            self.worst.as_secs_f32(),
            self.not_made,
            self.held + self.not_started.len(),
            self.slipped.len(),
        )
    }
}

impl Kubelet {
    pub(super) async fn of(node: &Node, pod: &str) -> Self {
        let proof = node.home.folder("proof");
        let pod = node.cri.run_pod(pod).await.unwrap();
        Self { cri: node.cri.clone(), pod, proof, names: Arc::default() }
    }

    pub(super) fn config(&self, image: &str, text: &str) -> ContainerConfig {
        let name = format!("c{}", self.names.fetch_add(1, Ordering::Relaxed));
        let mut config = self.pod.container(&name, image, text);
        config.mounts.push(bind(&self.proof, "/proof"));
        config
    }

    pub(super) async fn create(&self, image: &Brought) -> Result<Container, Refusal> {
        let config = self.config(&image.id, &image.pushed.tagged());
        self.cri.create_from(&self.pod, config).await
    }

    /// An attested container, as kubelet does it: a creation that fails is tried again, a start is not.
    pub(super) async fn bring_up(&self, image: &Brought) -> Tally {
        let (mut tally, begun) = (Tally::default(), Instant::now());
        let container = loop {
            match self.create(image).await {
                Ok(container) => break container,
                Err(refusal) => {
                    assert!(begun.elapsed() < PATIENCE, "still refused at CREATE: {refusal}");
                    tally.retried += 1;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        tally.add(self.start(container).await);
        tally
    }

    /// Starts an attested container, once.
    pub(super) async fn start(&self, container: Container) -> Tally {
        let (mut tally, begun) = (Tally::default(), Instant::now());
        match self.cri.launch(&container).await {
            Ok(()) => tally.started.push(container),
            Err(refusal) => tally.lost.push(refusal.to_string()),
        }
        tally.worst = begun.elapsed();
        tally
    }

    /// An unattested container, once.
    pub(super) async fn smuggle(&self, image: &Brought) -> Tally {
        match self.create(image).await {
            Ok(container) => self.smuggle_made(container).await,
            Err(_) => Tally { not_made: 1, ..Tally::default() },
        }
    }

    /// One that was made already.
    pub(super) async fn smuggle_made(&self, container: Container) -> Tally {
        let mut tally = Tally::default();
        match self.cri.launch(&container).await {
            Ok(()) => tally.slipped.push(container),
            Err(_) => tally.not_started.push(container),
        }
        tally
    }

    /// So many of both at once. Await it whenever their fates are to be known.
    pub(super) fn rush(&self, good: &Brought, bad: &Brought, each: usize) -> JoinSet<Tally> {
        let mut rush = JoinSet::new();
        for _ in 0..each {
            let (kubelet, good) = (self.clone(), good.clone());
            rush.spawn(async move { kubelet.bring_up(&good).await });
            let (kubelet, bad) = (self.clone(), bad.clone());
            rush.spawn(async move { kubelet.smuggle(&bad).await });
        }
        rush
    }

    /// Asserts that no attested start was lost, that each attested container runs, and that nothing
    /// unattested ever did: by CRI's word and by what it would have left. Takes the containers away.
    pub(super) async fn settle(&self, what: &str, tally: Tally) -> Tally {
        tokio::time::sleep(LONG_ENOUGH).await;
        println!("{what}: {tally}");
        assert!(!self.proof.join("bad").exists(), "{what}: an unattested container has run");
        assert!(tally.slipped.is_empty(), "{what}: an unattested start was let through");
        for container in &tally.not_started {
            if let Ok(status) = self.cri.status(container).await {
                let never = status.state() != ContainerState::ContainerRunning && status.started_at == 0;
                assert!(never, "{what}: {status:?}");
            }
        }
        assert!(tally.lost.is_empty(), "{what}: {:#?}", tally.lost);
        for container in &tally.started {
            assert!(self.cri.is_running(container).await, "{what}: an attested container does not run");
        }
        for container in tally.started.iter().chain(&tally.not_started) {
            let _ = self.cri.remove(container).await;
        }
        assert!(tally.started.is_empty() || self.proof.join("good").exists(), "{what}: the proof of a run");
        let (ran, held) = (tally.ran + tally.started.len(), tally.held + tally.not_started.len());
        Tally { started: Vec::new(), not_started: Vec::new(), ran, held, ..tally }
    }

    /// Forgets the proofs.
    pub(super) fn forget(&self) {
        for name in ["good", "bad"] {
            let _ = fs::remove_file(self.proof.join(name));
        }
    }

    pub(super) fn proof(&self) -> &Path {
        &self.proof
    }
}

pub(super) async fn all(mut rush: JoinSet<Tally>) -> Tally {
    let mut all = Tally::default();
    while let Some(tally) = rush.join_next().await {
        all.add(tally.unwrap());
    }
    all
}
