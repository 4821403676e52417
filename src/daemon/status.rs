//! The status document, and the metrics that are made from it.

mod exposed;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::bundles::Fetcher;
use super::canary::{Canary, Proof};
use super::cluster::{Cluster, ClusterStatus};
use super::create::{CreateGate, LastPass, OwnTimesStatus};
use super::engine::{Engine, GateCounts, GlassStatus, LastProblem};
use super::metrics::{Exposition, MetricsStatus};
use super::wiring::Wiring;
use crate::attestation::key_ring::Entry;
use crate::audit::{AuditStatus, Gate};
use crate::config::{BundleStatus, Config, DocumentStatus, InForce};
use crate::containerd::{Probe, ProbeStatus};
use crate::document::Version;
use crate::evidence::{CacheStatus, LookUpsStatus, SourceStatus, StoreStats};
use crate::gate::server::{Counters, Counts};
use crate::kubelet::{Pods, PodsStatus, Standing};
use crate::nri::{self, State};
use crate::policy::EvaluationMode;
use crate::policy::Policy;

/// Where the status comes from.
pub(super) struct Inputs {
    pub(super) config: Config,
    pub(super) engine: Arc<Engine>,
    pub(super) gate: Arc<Counters>,
    pub(super) probe: Probe,
    pub(super) create: Arc<CreateGate>,
    /// Where policy bundles come from a URL.
    pub(super) bundles: Option<Arc<Fetcher>>,
    /// What the self-test at start found.
    pub(super) unfit: Vec<String>,
    pub(super) metrics: Arc<Exposition>,
    pub(super) cluster: Cluster,
    pub(super) canary: Canary,
    pub(super) started: Instant,
}

/// How the daemon is doing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    version: &'static str,
    pid: u32,
    uptime_seconds: u64,
    /// Everything that wants looking at, one line each; empty when all is well.
    alarms: Alarms,
    /// The same, by what they are about.
    alarms_by_kind: BTreeMap<&'static str, Vec<String>>,
    policy: PolicyStatus,
    /// Where policy and attestors come from signed bundles.
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<BundleStatus>,
    /// What lets through what the policy refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    break_glass: Option<GlassStatus>,
    /// Platform policy, deny list and system policy, those that are there.
    documents: Vec<DocumentStatus>,
    key_ring: KeyRingStatus,
    sources: Vec<SourceStatus>,
    evidence: EvidenceStatus,
    gates: BTreeMap<&'static str, GateStatus>,
    audit: AuditStatus,
    containerd: ProbeStatus,
    create: CreateStatus,
    metrics: MetricsStatus,
    /// What the cluster is told, where it is.
    cluster: ClusterStatus,
    /// What became of the canary, where it was shown since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<Proof>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_reload_error: Option<LastProblem>,
}

/// What wants looking at, by its kind.
#[derive(Debug)]
struct Alarms([(&'static str, Vec<String>); 14]);

impl Serialize for Alarms {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().flat_map(|(_, alarms)| alarms))
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyStatus {
    #[serde(flatten)]
    document: DocumentStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_rule: Option<String>,
    /// Beside the default one.
    rules: usize,
    patterns: usize,
    /// Whether no rule of it refuses anything.
    enforces_nothing: bool,
    /// Whether its default rule allows every image.
    always_allows: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyRingStatus {
    version: Version,
    attestors: Vec<AttestorStatus>,
    documents: Vec<DocumentStatus>,
}

#[derive(Debug, Serialize)]
struct AttestorStatus {
    name: String,
    keys: usize,
    ambiguous: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EvidenceStatus {
    /// Since the source that was read to the end longest ago was; none before all have been read once.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    cache: CacheStatus,
    disk: StoreStats,
    look_ups: LookUpsStatus,
}

#[derive(Debug, Serialize)]
struct GateStatus {
    #[serde(flatten)]
    decisions: GateCounts,
    /// Of the gate socket, which all gate programs share.
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<Counts>,
}

/// How the create gate is wired.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateStatus {
    /// What asks before a container is created: `nri`, `hook`, both, or nothing.
    asked_by: Vec<&'static str>,
    nri: NriStatus,
    /// What NRI's questions take of the daemon's own time, in microseconds.
    own_times: OwnTimesStatus,
    handlers: Vec<HandlerStatus>,
    /// The last look at what runs.
    running: LastPass,
    /// Where service accounts come from, if anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pods: Option<PodsStatus>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NriStatus {
    /// `synchronized` where containers are asked about.
    state: &'static str,
    /// Why it is no better.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Whether it asks once more after other plugins have had their say (VALIDATE): without that a plugin that ends over a
    /// question lets it through.
    #[serde(skip_serializing_if = "Option::is_none")]
    validates: Option<bool>,
    answered: u64,
    refused: u64,
    late: u64,
    panicked: u64,
    crowded: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HandlerStatus {
    name: String,
    /// Whether containerd starts its containers with the create hook, as far as that is known.
    hooked: bool,
}

impl NriStatus {
    /// A runtime that asked, or was to ask, and does not.
    fn problem(&self) -> Option<String> {
        let cause = self.cause.as_deref().filter(|_| self.state == "lost")?;
        Some(format!("NRI: {cause}; until it is back, containers are created without being asked about"))
    }

    fn of(status: &nri::Status) -> Self {
        let (state, cause, found) = match &status.state {
            State::Starting => ("starting", None, None),
            State::Absent(cause) => ("absent", Some(cause.clone()), None),
            State::Connecting => ("connecting", None, None),
            State::Registered => ("registered", None, None),
            State::Synchronized(found) => ("synchronized", None, Some(found)),
            State::Lost(cause) => ("lost", Some(cause.clone()), None),
            State::Stopped => ("stopped", None, None),
        };
        Self {
            state,
            cause,
            runtime: found.map(|found| format!("{} {}", found.runtime.name, found.runtime.version)),
            since: found.map(|found| humantime::format_rfc3339_seconds(found.since).to_string()),
            validates: found
                .map(|found| found.runtime.events.contains(nri::Event::ValidateContainerAdjustment)),
            answered: status.answered,
            refused: status.refused,
            late: status.late,
            panicked: status.panicked,
            crowded: status.crowded,
        }
    }
}

impl Inputs {
    fn create_status(&self) -> CreateStatus {
        let handlers = self.create.handlers.list().into_iter();
        let nri = NriStatus::of(&self.create.nri());
        let asked_by = [("nri", nri.state == "synchronized"), ("hook", self.create.handlers.hold())];
        CreateStatus {
            asked_by: asked_by.into_iter().filter(|(_, asks)| *asks).map(|(name, _)| name).collect(),
            nri,
            own_times: self.create.own_times.status(),
            running: self.create.last_pass.borrow().clone(),
            handlers: handlers.map(|(name, hooked)| HandlerStatus { name, hooked }).collect(),
            pods: self.create.pods.as_ref().map(Pods::status),
        }
    }

    /// How the gates are wired.
    pub(super) fn wiring(&self) -> Wiring {
        Wiring::of(&self.probe.status(), self.engine.pulls_are_observed(), &self.create)
    }

    /// Whether this node enforces.
    pub(super) fn standing(&self) -> Standing {
        self.wiring().standing(self.probe.status().version.is_some(), &self.engine)
    }

    /// Fetches the policy bundle now, where it comes from a URL.
    pub(super) fn fetch_bundle(&self) {
        if let Some(bundles) = &self.bundles {
            bundles.wake();
        }
    }

    pub(super) fn status(&self) -> Status {
        let in_force = self.engine.in_force();
        let (policy_document, bundle, others, documents, problems) = {
            let documents = self.engine.documents();
            let (policy, others) = (documents.policy_status(), documents.other_statuses());
            let bundle = documents.bundle_status();
            (policy, bundle, others, documents.attestor_statuses(), documents.problems())
        };
        let policy = in_force.state.rulebook().and_then(|rulebook| rulebook.policy.as_deref());
        let attestors = in_force.key_ring.entries().map(|(name, entry)| match entry {
            Entry::Defined(attestor) => {
                AttestorStatus { name: name.to_string(), keys: attestor.keys().len(), ambiguous: false }
            }
            Entry::Ambiguous => AttestorStatus { name: name.to_string(), keys: 0, ambiguous: true },
        });
        let sources = self.engine.sync().map(|sync| sync.status()).unwrap_or_default();
        let audit = self.engine.audit();
        let containerd = self.probe.status();
        let create = self.create_status();
        let metrics = self.metrics.status();
        let one = |of: &str, problem: Option<String>| {
            problem.map(|problem| format!("{of}: {problem}")).into_iter().collect::<Vec<_>>()
        };
        let of_source =
            |source: &SourceStatus| Some(format!("source `{}`: {}", source.name, source.problem.as_ref()?));
        let alarms = Alarms([
            ("documents", problems),
            ("break_glass", self.engine.break_glass_alarms()),
            ("clock", self.engine.clock_problem().into_iter().collect()),
            ("attestors", unsatisfiable(&in_force)),
            ("source", sources.iter().filter_map(of_source).collect()),
            ("evidence", one("evidence", self.engine.ledger().problem())),
            ("audit", one("audit", audit.problem.clone())),
            ("containerd", one("containerd", containerd.problem())),
            ("nri", create.nri.problem().into_iter().collect()),
            ("handlers", self.create.handlers.problems()),
            ("kubelet", one("kubelet", create.pods.as_ref().and_then(|pods| pods.problem.clone()))),
            ("sandbox", self.unfit.clone()),
            ("metrics", one("metrics", metrics.problem.clone())),
            (
                "config",
                self.config.warnings.iter().map(|warning| format!("config.toml: {warning}")).collect(),
            ),
        ]);
        let gates = Gate::ALL.map(|gate| {
            let connections = (gate == Gate::Pull).then(|| self.gate.counts());
            (gate.name(), GateStatus { decisions: self.engine.counts(gate), connections })
        });
        Status {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            alarms_by_kind: alarms.0.iter().filter(|(_, all)| !all.is_empty()).cloned().collect(),
            alarms,
            policy: PolicyStatus {
                document: policy_document,
                default_rule: policy.map(rule),
                rules: policy.map_or(0, |policy| policy.rules().count() - 1),
                patterns: policy.map_or(0, |policy| policy.allowlist().len()),
                enforces_nothing: self.engine.enforces_nothing(),
                always_allows: policy
                    .is_some_and(|policy| policy.default_rule().evaluation == EvaluationMode::AlwaysAllow),
            },
            bundle,
            break_glass: self.engine.break_glass(),
            documents: others,
            key_ring: KeyRingStatus {
                version: in_force.key_ring.version().clone(),
                attestors: attestors.collect(),
                documents,
            },
            evidence: EvidenceStatus {
                age_seconds: sources
                    .iter()
                    .map(|source| source.age_seconds)
                    .max_by_key(|age| age.unwrap_or(u64::MAX))
                    .flatten(),
                cache: self.engine.ledger().cache(),
                disk: self.engine.ledger().disk(),
                look_ups: self.engine.look_ups().status(),
            },
            sources,
            gates: BTreeMap::from(gates),
            audit,
            containerd,
            create,
            metrics,
            cluster: self.cluster.status(),
            canary: self.canary.last(),
            last_reload_error: self.engine.last_problem(),
        }
    }
}

/// Attestors that the policy requires and nobody can satisfy.
fn unsatisfiable(in_force: &InForce) -> Vec<String> {
    let Some(rulebook) = in_force.state.rulebook() else { return Vec::new() };
    let required = rulebook.attestors();
    required.filter_map(|name| Some(format!("policy: {}", in_force.key_ring.hindrance(name)?))).collect()
}

fn rule(policy: &Policy) -> String {
    let rule = policy.default_rule();
    format!("{}, {}", rule.evaluation.as_str(), rule.enforcement.as_str())
}
