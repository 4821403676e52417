//! What already runs is judged again: at start, when NRI has come back, when policy, keys or evidence have
//! changed, and on a period. A permit is not for ever.
//!
//! Each container that would not be allowed now leaves a record. It is stopped only where the
//! configuration says so, and only for what the node's own documents say (deny list, policy, keys): evidence
//! that got lost stops nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use tokio::sync::Notify;

use super::bind::{self, Bound};
use super::{CreateGate, Creation, Judged};
use crate::attestation::AttestorName;
use crate::audit::{Asked, Gate, Kind, Violation};
use crate::config::{OnViolation, RunningConfig};
use crate::containerd::{ReadError, apart};
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

/// How what runs was judged last.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::daemon) struct LastPass {
    /// How many there were since the daemon started, this one included.
    pub(in crate::daemon) passes: u64,
    pub(in crate::daemon) containers: usize,
    pub(in crate::daemon) violations: usize,
    #[serde(rename = "tookMicros")]
    pub(in crate::daemon) took: Micros,
    /// Without the reads of containerd.
    #[serde(rename = "ownMicros")]
    own: Micros,
}

/// Written in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::daemon) struct Micros(pub(in crate::daemon) Duration);

impl Serialize for Micros {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u128(self.0.as_micros())
    }
}

/// Judges what runs, for as long as the daemon does.
pub(in crate::daemon) struct Running {
    gate: Arc<CreateGate>,
    rules: Rules,
    /// Says that what is in force or known has changed, or that something may have started unseen.
    changed: Arc<Notify>,
    known: HashMap<String, Known>,
    /// What runs and is no container of a pod, such as its pause container.
    others: HashSet<String>,
    stops: VecDeque<Instant>,
    /// Some are still to be stopped.
    backlog: bool,
}

/// A container that ran at the last pass.
struct Known {
    /// What it runs cannot change while it does; which digests lead there may become known later.
    bound: Arc<(Creation, Bound)>,
    created: Option<SystemTime>,
    /// The last verdict, where there was one.
    verdict: Option<Verdict>,
    /// The last one that waited for no source.
    settled: Option<Verdict>,
    /// The node's own documents refuse it; until they do not.
    condemned: bool,
}

/// One look at a container.
struct Looked {
    judged: Judged,
    created: Option<SystemTime>,
}

impl From<&RunningConfig> for Rules {
    fn from(config: &RunningConfig) -> Self {
        let RunningConfig { on_violation, period, stop_static_pods } = *config;
        Self { on_violation, period, stop_static_pods }
    }
}

impl Known {
    fn new(bound: Arc<(Creation, Bound)>, created: Option<SystemTime>) -> Self {
        Self { bound, created, verdict: None, settled: None, condemned: false }
    }

    /// Takes the verdict; the one before, and whether the container is to be stopped where that is done.
    fn told(&mut self, verdict: &Verdict) -> (Option<Verdict>, bool) {
        let before = self.verdict.replace(verdict.clone());
        self.condemned = verdict.verdict == Decision::Deny
            && (self.condemned || is_by_documents(self.settled.as_ref(), verdict));
        if !is_unsettled(verdict.reason) {
            self.settled = Some(verdict.clone());
        }
        (before, self.condemned)
    }
}

impl Running {
    pub(in crate::daemon) fn new(gate: Arc<CreateGate>, rules: Rules, changed: Arc<Notify>) -> Self {
        Self {
            gate,
            rules,
            changed,
            known: HashMap::new(),
            others: HashSet::new(),
            stops: VecDeque::new(),
            backlog: false,
        }
    }

    /// Passes again and again; ends with the future that runs it.
    pub(in crate::daemon) async fn run(mut self) {
        let mut due = Instant::now();
        loop {
            let started = Instant::now();
            let all = started >= due;
            match self.pass(all).await {
                Ok(()) if all => due = Instant::now() + self.rules.period,
                Ok(()) => {}
                // containerd is not there: what runs is looked at when it is.
                Err(error) => {
                    tracing::debug!("what runs could not be listed: {}", crate::chain(&error));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            }
            let took = started.elapsed();
            let rest = due.saturating_duration_since(Instant::now());
            let rest = if std::mem::take(&mut self.backlog) { rest.min(BACKLOG) } else { rest };
            // Nothing else is lost by a timeout: a change is remembered.
            if tokio::time::timeout(rest, self.changed.notified()).await.is_ok() {
                // Whoever files attestations decides how often something changes, not how busy this is.
                tokio::time::sleep(SETTLE.max(took * 4)).await;
            }
        }
    }

    /// Judges every container that runs; tells of all violations where `all` is said, and otherwise of those
    /// that are new.
    async fn pass(&mut self, all: bool) -> Result<(), ReadError> {
        let started = Instant::now();
        let (violations, waited) = apart(Box::pin(self.judge_all(all))).await;
        let (violations, took, containers) = (violations?, started.elapsed(), self.known.len());
        let own = took.saturating_sub(waited);
        tracing::debug!(containers, violations, ?took, ?own, "what runs was judged");
        self.gate.last_pass.send_modify(|last| {
            let passes = last.passes + 1;
            *last = LastPass { passes, containers, violations, took: Micros(took), own: Micros(own) };
        });
        Ok(())
    }

    /// How many violate what is in force.
    async fn judge_all(&mut self, all: bool) -> Result<usize, ReadError> {
        let (containerd, namespace) = (&self.gate.containerd, &self.gate.settings.namespace);
        self.gate.links.refresh(containerd, namespace).await?;
        let running = containerd.running(namespace).await?;
        self.known.retain(|id, _| running.contains(id));
        self.others.retain(|id| running.contains(id));
        let mut violations = 0;
        for id in running.iter().filter(|id| !self.others.contains(*id)).cloned().collect::<Vec<_>>() {
            violations += usize::from(self.look(&id, all).await);
        }
        let known = self.known.values().flat_map(|known| known.bound.1.ways());
        self.gate.links.pin(known);
        let digests = self.known.values().flat_map(|known| known.bound.1.attestable()).collect();
        self.gate.engine.ledger().pin(&digests);
        Ok(violations)
    }

    /// Judges one; whether it violates what is in force.
    async fn look(&mut self, id: &str, all: bool) -> bool {
        let started = Instant::now();
        let Some(Looked { judged: Judged { verdict, place, .. }, created }) = self.judge(id).await else {
            return false;
        };
        let (before, condemned) = match self.known.get_mut(id) {
            Some(known) => known.told(&verdict),
            None => (None, is_by_documents(None, &verdict)),
        };
        let violation =
            Violation { place: &place, verdict: &verdict, kind: self.kind_of(id), deployed: created };
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
        if condemned && self.may_stop(id) {
            self.stop(id, &verdict).await;
        }
        true
    }

    /// By what is known of it; what would be refused is looked at anew, because the node may have learnt of
    /// other digests that lead to it. `None` for what is no container of a pod, and for one that is gone.
    async fn judge(&mut self, id: &str) -> Option<Looked> {
        if let Some(known) = self.known.get(id) {
            let (bound, created) = (Arc::clone(&known.bound), known.created);
            let verdict = self.gate.decide_running(&bound.0, &bound.1).await;
            if verdict.would == Decision::Allow {
                return Some(Looked { judged: Judged::of(&bound.0, verdict), created });
            }
        }
        let namespace = &self.gate.settings.namespace;
        let record = match self.gate.containerd.container(namespace, id).await {
            Ok(record) if record.cri.is_some() => record,
            Ok(_) => {
                self.others.insert(id.to_owned());
                return None;
            }
            Err(ReadError::NotThere(_)) => return None,
            Err(error) => {
                let creation = Creation::running(namespace, id);
                let verdict = self.gate.hindered(&creation, error.into());
                return Some(Looked { judged: Judged::of(&creation, verdict), created: None });
            }
        };
        let mut creation = Creation::running(namespace, id);
        let created = record.created;
        let verdict = match bind::by_record(&self.gate, &mut creation, &record).await {
            Ok(bound) => {
                let verdict = self.gate.decide_running(&creation, &bound).await;
                let bound = Arc::new((creation.clone(), bound));
                match self.known.get_mut(id) {
                    Some(known) => known.bound = bound,
                    None => drop(self.known.insert(id.to_owned(), Known::new(bound, created))),
                }
                verdict
            }
            Err(hindrance) => self.gate.hindered(&creation, hindrance),
        };
        Some(Looked { judged: Judged::of(&creation, verdict), created })
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
            Some(self.gate.known(creation.pod.as_ref()?, &creation.name)?.container(&creation.name)?.kind)
        });
        facts.map_or(Kind::Container, |kind| match kind {
            ContainerKind::Regular => Kind::Container,
            ContainerKind::Init => Kind::InitContainer,
            ContainerKind::Ephemeral => Kind::EphemeralContainer,
        })
    }

    async fn stop(&mut self, id: &str, verdict: &Verdict) {
        let now = Instant::now();
        while self.stops.front().is_some_and(|stop| now.duration_since(*stop) > WINDOW) {
            self.stops.pop_front();
        }
        let (image, reason) = (&verdict.image, verdict.reason);
        if self.stops.len() >= STOPS {
            tracing::warn!(%reason, %image, %id, "not stopped yet: {STOPS} were stopped within a minute");
            self.backlog = true;
            return;
        }
        self.stops.push_back(now);
        match self.gate.containerd.stop_container(id, GRACE).await {
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
            // A store may swap one signature for another; only a key ring that changed takes keys away.
            before.is_some_and(|before| {
                before.would == Decision::Allow && before.key_ring_version != verdict.key_ring_version
            })
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

/// Whether more may be known at the next look: a source is being asked, or could not be.
fn is_unsettled(reason: Reason) -> bool {
    matches!(reason, Reason::LookupPending | Reason::LookupLimited | Reason::SourceUnreachable)
}

fn allowed_under_other(before: &Verdict, verdict: &Verdict) -> bool {
    before.would == Decision::Allow
        && (&before.policy_version, &before.key_ring_version)
            != (&verdict.policy_version, &verdict.key_ring_version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::AttestorVerdict;
    use crate::document::Version;

    fn verdict(reason: Reason, policy: &str, keys: &str, attestors: &[(&str, bool)]) -> Verdict {
        let mut verdict = Verdict::refused("r.io/a", None, reason, "why", "");
        if attestors.iter().all(|(_, satisfied)| *satisfied) && reason == Reason::Attested {
            (verdict.verdict, verdict.would) = (Decision::Allow, Decision::Allow);
        }
        verdict.policy_version = Some(Version::of(policy.as_bytes()));
        verdict.key_ring_version = Some(Version::of(keys.as_bytes()));
        verdict.attestors = attestors
            .iter()
            .map(|(name, satisfied)| AttestorVerdict {
                name: format!("projects/p/attestors/{name}").parse().unwrap(),
                satisfied: *satisfied,
                reason,
                key_id: None,
                occurrence: None,
                digest: None,
                detail: None,
            })
            .collect();
        verdict
    }

    #[test]
    fn a_look_up_in_between_lets_nobody_off() {
        let bound = Arc::new((Creation::running("k8s.io", "c"), Bound::nothing()));
        let mut known = Known::new(bound, None);
        let asked_for = [("a", true), ("b", false)];
        let rows = [
            (Reason::Attested, "one", &[("a", true)][..], false),
            (Reason::LookupPending, "two", &asked_for, false),
            (Reason::SourceUnreachable, "two", &asked_for, false),
            (Reason::NoAttestation, "two", &asked_for, true),
        ];
        for (reason, policy, attestors, condemned) in rows {
            let mut now = verdict(reason, policy, "one", attestors);
            if reason != Reason::Attested {
                (now.verdict, now.would) = (Decision::Deny, Decision::Deny);
            }
            assert_eq!(known.told(&now).1, condemned, "{reason}");
        }
    }

    #[test]
    fn only_documents_stop() {
        let before = verdict(Reason::Attested, "one", "one", &[("a", true)]);
        let rows = [
            (Reason::DenyListed, "one", "one", &[][..], false, true),
            (Reason::AlwaysDeny, "one", "one", &[], false, true),
            (Reason::AttestorMissing, "one", "one", &[("a", false)], false, true),
            // Evidence that is gone, or replaced by a stranger's: a store may do that.
            (Reason::NoAttestation, "one", "one", &[("a", false)], true, false),
            (Reason::NoAttestation, "two", "one", &[("a", false)], true, false),
            (Reason::UnknownKey, "one", "one", &[("a", false)], true, false),
            (Reason::UnknownKey, "two", "one", &[("a", false)], true, false),
            (Reason::UnknownKey, "one", "two", &[("a", false)], false, false),
            (Reason::UnknownKey, "one", "two", &[("a", false)], true, true),
            (Reason::BadSignature, "two", "two", &[("a", false)], true, false),
            // Another attestor is asked for.
            (Reason::NoAttestation, "two", "one", &[("a", true), ("b", false)], true, true),
            (Reason::ImageUnknown, "two", "two", &[], true, false),
        ];
        for (reason, policy, keys, attestors, was_allowed, stops) in rows {
            let now = verdict(reason, policy, keys, attestors);
            let stopped = is_by_documents(was_allowed.then_some(&before), &now);
            assert_eq!(stopped, stops, "{reason} {policy} {keys}");
        }
    }
}
