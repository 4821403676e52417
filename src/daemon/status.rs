//! The status document.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::engine::{Engine, GateCounts, LastProblem};
use crate::attestation::key_ring::Entry;
use crate::audit::AuditStatus;
use crate::config::{Config, DocumentStatus, PolicyState};
use crate::containerd::{Probe, ProbeStatus};
use crate::document::Version;
use crate::evidence::{CacheStatus, SourceStatus};
use crate::gate::server::{Counters, Counts};
use crate::policy::{EnforcementMode, EvaluationMode};

/// Where the status comes from.
pub(super) struct Sources {
    pub(super) config: Config,
    pub(super) engine: Arc<Engine>,
    pub(super) gate: Arc<Counters>,
    pub(super) probe: Probe,
    pub(super) started: SystemTime,
}

/// How the daemon is doing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    version: &'static str,
    pid: u32,
    started: String,
    uptime_seconds: u64,
    /// Everything that wants looking at, one line each; empty when all is well.
    alarms: Vec<String>,
    policy: PolicyStatus,
    key_ring: KeyRingStatus,
    sources: Vec<SourceStatus>,
    evidence: EvidenceStatus,
    gates: BTreeMap<&'static str, GateStatus>,
    audit: AuditStatus,
    containerd: ProbeStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_reload_error: Option<LastProblem>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyStatus {
    #[serde(flatten)]
    document: DocumentStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_rule: Option<String>,
    patterns: usize,
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
    digests: usize,
    age_seconds: u64,
    cache: CacheStatus,
}

#[derive(Debug, Serialize)]
struct GateStatus {
    #[serde(flatten)]
    decisions: GateCounts,
    connections: Counts,
}

impl Sources {
    pub(super) fn status(&self) -> Status {
        let in_force = self.engine.in_force();
        let (policy_document, documents, problems) = {
            let documents = self.engine.documents();
            (documents.policy_status(), documents.attestor_statuses(), documents.problems())
        };
        let (default_rule, patterns) = match &in_force.policy {
            PolicyState::Obeyed(policy) => (Some(rule(policy)), policy.allowlist().len()),
            PolicyState::Missing(_) | PolicyState::Unreadable(..) => (None, 0),
        };
        let attestors = in_force.key_ring.entries().map(|(name, entry)| match entry {
            Entry::Defined(attestor) => {
                AttestorStatus { name: name.to_string(), keys: attestor.keys().len(), ambiguous: false }
            }
            Entry::Ambiguous => AttestorStatus { name: name.to_string(), keys: 0, ambiguous: true },
        });
        let sources = self.engine.ledger().sources();
        let audit = self.engine.audit();
        let containerd = self.probe.status();
        let (digests, age) = self.engine.ledger().size();
        let alarms = problems
            .into_iter()
            .chain(self.unknown_attestors())
            .chain(sources.iter().filter_map(|source| source.problem.clone()))
            .chain(audit.problem.iter().map(|problem| format!("audit: {problem}")))
            .chain(containerd.problem().map(|problem| format!("containerd: {problem}")))
            .chain(self.config.warnings.iter().map(|warning| format!("config.toml: {warning}")))
            .collect();
        let gate = GateStatus { decisions: self.engine.counts(), connections: self.gate.counts() };
        Status {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started: humantime::format_rfc3339_seconds(self.started).to_string(),
            uptime_seconds: self.started.elapsed().unwrap_or_default().as_secs(),
            alarms,
            policy: PolicyStatus { document: policy_document, default_rule, patterns },
            key_ring: KeyRingStatus {
                version: in_force.key_ring.version().clone(),
                attestors: attestors.collect(),
                documents,
            },
            sources,
            evidence: EvidenceStatus {
                digests,
                age_seconds: age.as_secs(),
                cache: self.engine.ledger().cache(),
            },
            gates: BTreeMap::from([("pull", gate)]),
            audit,
            containerd,
            last_reload_error: self.engine.last_problem(),
        }
    }

    /// Attestors that the policy requires and nobody can satisfy.
    fn unknown_attestors(&self) -> Vec<String> {
        let in_force = self.engine.in_force();
        let PolicyState::Obeyed(policy) = &in_force.policy else { return Vec::new() };
        let problem = |name| match in_force.key_ring.entry(name) {
            None => Some(format!("the policy requires {name}, which no document defines")),
            Some(Entry::Ambiguous) => {
                Some(format!("{name} is defined by several documents and counts for nothing"))
            }
            Some(Entry::Defined(attestor)) if attestor.keys().is_empty() => {
                Some(format!("the policy requires {name}, which has no keys"))
            }
            Some(Entry::Defined(_)) => None,
        };
        policy.attestors().filter_map(problem).collect()
    }
}

fn rule(policy: &crate::policy::Policy) -> String {
    let rule = policy.default_rule();
    let evaluation = match rule.evaluation {
        EvaluationMode::AlwaysAllow => "ALWAYS_ALLOW",
        EvaluationMode::AlwaysDeny => "ALWAYS_DENY",
        EvaluationMode::RequireAttestation(_) => "REQUIRE_ATTESTATION",
    };
    let enforcement = match rule.enforcement {
        EnforcementMode::Enforced => "ENFORCED_BLOCK_AND_AUDIT_LOG",
        EnforcementMode::DryRun => "DRYRUN_AUDIT_LOG_ONLY",
    };
    format!("{evaluation}, {enforcement}")
}
