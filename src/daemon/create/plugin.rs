//! The NRI plugin: what containerd asks about pods and containers, put to the create gate.
//!
//! CREATE and VALIDATE ask the same; VALIDATE sees what other plugins have added since. START asks again,
//! when the container's record says which image config it was made from. RUN_POD holds the pause container.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{CreateGate, Creation, Judged, PodOf, Reach, Stage};
use crate::audit::{Asked, Gate};
use crate::daemon::engine::Occasion;
use crate::nri::api::{Container, PodSandbox};
use crate::nri::{Plugin, Proposal, Refusal, Runtime};

/// The plugin that [`crate::nri`] serves.
pub(in crate::daemon) struct NriPlugin {
    pub(in crate::daemon) gate: Arc<CreateGate>,
    /// Told that what runs is to be judged again.
    pub(in crate::daemon) changed: Arc<Notify>,
}

impl NriPlugin {
    async fn ask(&self, creation: Creation, gate: Gate, entry: &str) -> Result<(), Refusal> {
        let work = Box::pin(async {
            let started = Instant::now();
            let judged = self.gate.judge(creation).await;
            self.tell(judged, gate, entry, started.elapsed()).await
        });
        self.gate.own_times.of(work).await
    }

    /// Records what was decided, and answers it. That VALIDATE allows what CREATE has allowed is no news.
    async fn tell(&self, judged: Judged, gate: Gate, entry: &str, took: Duration) -> Result<(), Refusal> {
        let Judged { verdict, place, .. } = judged;
        let mut verdict = self.gate.engine.if_recorded(verdict);
        if entry != VALIDATE || !verdict.allows() {
            let asked = Asked { pid: 0, uid: 0, program: super::PROGRAM.to_owned(), entry: entry.to_owned() };
            verdict = self.gate.engine.answer(verdict, Occasion::at(gate, &asked, took).of(&place)).await;
        }
        if !verdict.allows() {
            return Err(Refusal(format!("binauthd: {} ({})", verdict.line(), verdict.reason)));
        }
        if entry == START || gate == Gate::Pod {
            self.gate.passed.note(&place.namespace, &place.id);
        }
        Ok(())
    }

    fn creation(&self, stage: Stage, pod: &PodSandbox, container: &Container) -> Creation {
        Creation::by_nri(stage, &self.gate.settings.namespace, pod, container)
    }
}

const RUN_POD: &str = "nri RunPodSandbox";
const CREATE: &str = "nri CreateContainer";
const VALIDATE: &str = "nri ValidateContainerAdjustment";
const START: &str = "nri StartContainer";

impl Plugin for NriPlugin {
    async fn configured(&self, runtime: &Runtime) -> Result<(), Refusal> {
        tracing::info!(name = %runtime.name, version = %runtime.version, nri = ?runtime.nri, "asked by NRI");
        Ok(())
    }

    async fn synchronize(&self, pods: Vec<PodSandbox>, containers: Vec<Container>) -> Result<(), Refusal> {
        tracing::info!(pods = pods.len(), containers = containers.len(), "NRI tells what is there");
        for pod in &pods {
            self.gate.meet(pod);
        }
        self.changed.notify_one();
        self.gate.handlers.restarted();
        Ok(())
    }

    async fn run_pod(&self, pod: &PodSandbox) -> Result<(), Refusal> {
        self.gate.meet(pod);
        let creation =
            Creation::of_sandbox(&self.gate.settings.namespace, PodOf::from(pod), Reach::default());
        self.ask(creation, Gate::Pod, RUN_POD).await
    }

    async fn create(&self, pod: &PodSandbox, container: &Container) -> Result<(), Refusal> {
        self.ask(self.creation(Stage::Create, pod, container), Gate::Create, CREATE).await
    }

    async fn validate(
        &self,
        pod: &PodSandbox,
        container: &Container,
        proposal: &Proposal,
    ) -> Result<(), Refusal> {
        let mut creation = self.creation(Stage::Create, pod, container);
        creation.reach.sources.extend(super::creation::sources(&proposal.adjust.mounts));
        self.ask(creation, Gate::Create, VALIDATE).await
    }

    async fn start(&self, pod: &PodSandbox, container: &Container) -> Result<(), Refusal> {
        self.ask(self.creation(Stage::Start, pod, container), Gate::Create, START).await
    }

    async fn disconnected(&self, why: &str) {
        tracing::warn!(
            "NRI is gone: {why}; containers are created unasked until it is back, the hook still holds"
        );
    }
}
