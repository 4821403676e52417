//! What already runs is judged again: at start, when NRI has come back, when policy, keys or evidence have
//! changed, and on a period. A permit is not for ever.
//!
//! Each container that would not be allowed now leaves a record. It is stopped only where the
//! configuration says so, and only for what the node's own documents say (deny list, policy, keys): evidence
//! that got lost stops nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::bind::{self, Bound};
use super::{CreateGate, Creation, Judged, place};
use crate::attestation::AttestorName;
use crate::audit::{Asked, Gate, Kind, Violation};
use crate::config::{OnViolation, RunningConfig};
use crate::containerd::Record;
use crate::daemon::engine::Occasion;
use crate::decision::{Decision, Reason, Verdict};
use crate::kubelet::ContainerKind;

/// How long changes are gathered before a pass.
const SETTLE: Duration = Duration::from_millis(200);
/// How many containers are stopped in [`WINDOW`].
const STOPS: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// How long what is still to be stopped waits for the next look.
const BACKLOG: Duration = Duration::from_secs(5);
/// What a container that is stopped gets to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// What the configuration says.
#[derive(Debug, Clone, Copy)]
pub(in crate::daemon) struct Rules {
    pub(in crate::daemon) on_violation: OnViolation,
    pub(in crate::daemon) period: Duration,
    pub(in crate::daemon) stop_static_pods: bool,
}

/// Judges what runs, for as long as the daemon does.
pub(in crate::daemon) struct Running {
    gate: Arc<CreateGate>,
    rules: Rules,
    /// Says that what is in force or known has changed, or that something may have started unseen.
    changed: Arc<Notify>,
    known: HashMap<String, Known>,
    stops: VecDeque<Instant>,
    /// Some are still to be stopped.
    backlog: bool,
}

/// A container that ran at the last pass.
struct Known {
    /// What it runs cannot change while it does.
    bound: Arc<(Creation, Bound)>,
    /// The last verdict, where there was one.
    verdict: Option<Verdict>,
    /// The node's own documents refuse it; until they do not.
    condemned: bool,
}

impl From<&RunningConfig> for Rules {
    fn from(config: &RunningConfig) -> Self {
        let RunningConfig { on_violation, period, stop_static_pods } = *config;
        Self { on_violation, period, stop_static_pods }
    }
}

impl Known {
    /// Takes the verdict; the one before, and whether the container is to be stopped where that is done.
    fn told(&mut self, verdict: &Verdict) -> (Option<Verdict>, bool) {
        let before = self.verdict.replace(verdict.clone());
        self.condemned = verdict.verdict == Decision::Deny
            && (self.condemned || is_by_documents(before.as_ref(), verdict));
        (before, self.condemned)
    }
}

impl Running {
    pub(in crate::daemon) fn new(gate: Arc<CreateGate>, rules: Rules, changed: Arc<Notify>) -> Self {
        Self { gate, rules, changed, known: HashMap::new(), stops: VecDeque::new(), backlog: false }
    }

    /// Passes again and again; ends with the future that runs it.
    pub(in crate::daemon) async fn run(mut self) {
        let mut due = Instant::now();
        loop {
            let all = Instant::now() >= due;
            match self.pass(all).await {
                Ok(()) if all => due = Instant::now() + self.rules.period,
                Ok(()) => {}
                // containerd is not there: what runs is looked at when it is.
                Err(problem) => {
                    tracing::debug!("what runs could not be listed: {problem}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            }
            let rest = due.saturating_duration_since(Instant::now());
            let rest = if std::mem::take(&mut self.backlog) { rest.min(BACKLOG) } else { rest };
            // Nothing else is lost by a timeout: a change is remembered.
            if tokio::time::timeout(rest, self.changed.notified()).await.is_ok() {
                tokio::time::sleep(SETTLE).await;
            }
        }
    }

    /// Judges every container that runs; tells of all violations where `all` is said, and otherwise of those
    /// that are new.
    async fn pass(&mut self, all: bool) -> Result<(), String> {
        let started = Instant::now();
        let namespace = &self.gate.settings.namespace;
        let error = |error| crate::chain(&error);
        let running = self.gate.containerd.running(namespace).await.map_err(error)?;
        let records = self.gate.containerd.containers(namespace).await.map_err(error)?;
        let records: Vec<_> = records
            .into_iter()
            .filter(|(id, _)| running.contains(id))
            // One that cannot be understood is refused where it starts; here it is told of.
            .filter_map(|(id, record)| record.inspect_err(|error| tracing::warn!(%id, "{error}")).ok())
            .filter(|record| record.cri.is_some())
            .collect();
        let here: HashSet<_> = records.iter().map(|record| record.id.as_str()).collect();
        self.known.retain(|id, _| here.contains(id.as_str()));
        let count = records.len();
        let mut violations = 0;
        for record in records {
            violations += usize::from(self.look(&record, all).await);
        }
        // What other images are there, however many, pushes out nothing that is known of these.
        self.gate.links.pin(self.known.values().flat_map(|known| known.bound.1.roots()));
        tracing::debug!(count, violations, took = ?started.elapsed(), "what runs was judged");
        Ok(())
    }

    /// Judges one; whether it violates what is in force.
    async fn look(&mut self, record: &Record, all: bool) -> bool {
        let started = Instant::now();
        let Judged { verdict, place } = self.judge(record).await;
        let (before, condemned) = match self.known.get_mut(&record.id) {
            Some(known) => known.told(&verdict),
            None => (None, is_by_documents(None, &verdict)),
        };
        let kind = self.kind_of(&record.id);
        let violation = Violation { place: &place, verdict: &verdict, kind, deployed: record.created };
        if !violation.is_one() {
            return false;
        }
        let is_news = before.as_ref().is_none_or(|before| {
            (before.reason, before.would, before.verdict) != (verdict.reason, verdict.would, verdict.verdict)
        });
        if all || is_news {
            let asked = Asked { pid: 0, uid: 0, program: super::PROGRAM.to_owned(), entry: String::new() };
            let occasion = Occasion::at(Gate::Running, &asked, started.elapsed()).of(&place);
            let event = Some(violation.payload());
            self.gate.engine.record(&verdict, Occasion { event, ..occasion });
        }
        if condemned && self.may_stop(&record.id) {
            self.stop(record, &verdict).await;
        }
        true
    }

    async fn judge(&mut self, record: &Record) -> Judged {
        if let Some(known) = self.known.get(&record.id) {
            let bound = Arc::clone(&known.bound);
            let (creation, bound) = &*bound;
            let verdict = self.gate.decide_running(creation, bound).await;
            return Judged { verdict, place: place(creation) };
        }
        let mut creation = Creation::running(&self.gate.settings.namespace, &record.id);
        match bind::by_record(&self.gate, &mut creation, record).await {
            Ok(bound) => {
                let verdict = self.gate.decide_running(&creation, &bound).await;
                let place = place(&creation);
                let known = Known { bound: Arc::new((creation, bound)), verdict: None, condemned: false };
                self.known.insert(record.id.clone(), known);
                Judged { verdict, place }
            }
            Err(hindrance) => {
                Judged { verdict: self.gate.hindered(&creation, hindrance), place: place(&creation) }
            }
        }
    }

    fn may_stop(&self, id: &str) -> bool {
        let pod = self.known.get(id).and_then(|known| known.bound.0.pod.as_ref());
        // Whose pod is not known may be a static one's.
        let is_static = pod.is_none_or(|pod| pod.is_static);
        self.rules.on_violation == OnViolation::Stop && (self.rules.stop_static_pods || !is_static)
    }

    fn kind_of(&self, id: &str) -> Kind {
        let creation = self.known.get(id).map(|known| &known.bound.0);
        let facts = creation.and_then(|creation| {
            Some(self.gate.known(creation.pod.as_ref()?)?.container(&creation.name)?.kind)
        });
        facts.map_or(Kind::Container, |kind| match kind {
            ContainerKind::Regular => Kind::Container,
            ContainerKind::Init => Kind::InitContainer,
            ContainerKind::Ephemeral => Kind::EphemeralContainer,
        })
    }

    async fn stop(&mut self, record: &Record, verdict: &Verdict) {
        let now = Instant::now();
        while self.stops.front().is_some_and(|stop| now.duration_since(*stop) > WINDOW) {
            self.stops.pop_front();
        }
        let (image, id, reason) = (&verdict.image, &record.id, verdict.reason);
        if self.stops.len() >= STOPS {
            tracing::warn!(%reason, %image, %id, "not stopped yet: {STOPS} were stopped within a minute");
            self.backlog = true;
            return;
        }
        self.stops.push_back(now);
        match self.gate.containerd.stop_container(&record.id, GRACE).await {
            Ok(()) => tracing::warn!(%reason, %image, %id, "stopped: {}", verdict.message),
            Err(error) => tracing::error!(%reason, %image, %id, "cannot be stopped: {error}"),
        }
    }
}

/// Whether a denial comes from the node's own documents (deny list, policy, keys). Evidence is what a store
/// shows: it may be lost or hidden, and what a store does must stop nothing.
fn is_by_documents(before: Option<&Verdict>, verdict: &Verdict) -> bool {
    match verdict.reason {
        Reason::DenyListed
        | Reason::AlwaysDeny
        | Reason::CheckAlwaysDeny
        | Reason::AttestorMissing
        | Reason::AttestorWithoutKeys => true,
        Reason::UnknownKey | Reason::KeyRevoked => {
            before.is_some_and(|before| allowed_under_other(before, verdict))
        }
        // The policy asks for an attestor that it did not ask for when this was allowed.
        Reason::NoAttestation => before.is_some_and(|before| {
            let satisfied =
                |name: &AttestorName| before.attestors.iter().any(|one| one.satisfied && one.name == *name);
            allowed_under_other(before, verdict)
                && verdict.attestors.iter().filter(|one| !one.satisfied).all(|one| !satisfied(&one.name))
        }),
        _ => false,
    }
}

fn allowed_under_other(before: &Verdict, verdict: &Verdict) -> bool {
    before.would == Decision::Allow
        && (&before.policy_version, &before.key_ring_version)
            != (&verdict.policy_version, &verdict.key_ring_version)
}
