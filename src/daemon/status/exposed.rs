//! The status as metrics. Every part of it is named here: what becomes a metric, and what is left out on purpose.

use std::time::UNIX_EPOCH;

use super::{AttestorStatus, CreateStatus, EvidenceStatus, Inputs, Status};
use crate::config::DocumentStatus;
use crate::daemon::engine::GlassStatus;
use crate::metrics::process::Process;
use crate::metrics::{Page, family};

impl Inputs {
    /// All metrics as they are now. Takes no lock that a decision waits for longer than a moment.
    pub(in crate::daemon) fn exposed(&self) -> Page {
        let mut page = Page::default();
        self.status().expose(&mut page);
        self.engine.expose_decisions(&mut page);
        for (gate, wired) in self.wiring().gates() {
            page.set(&family::ENFORCING, [gate], wired.hindrance.is_none());
            page.set(&family::OBSERVING, [gate], wired.observes);
        }
        let in_force = self.engine.in_force();
        page.set(&family::POLICY_OBEYED, [], in_force.state.rulebook().is_some());
        for (outcome, count) in self.metrics.outcomes.counts() {
            page.set(&family::SCRAPES, [outcome], count);
        }
        let started = self.metrics.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        page.set(&family::PROCESS_START_TIME, [], started);
        expose_process(&mut page);
        page
    }
}

impl Status {
    fn expose(&self, page: &mut Page) {
        // Without `..`: what is added to the status is thought of here, too.
        let Self {
            version,
            pid: _,
            uptime_seconds: _, // as process_start_time_seconds
            alarms,
            alarms_by_kind: _, // the same
            policy,
            bundle,
            break_glass,
            documents,
            key_ring,
            sources: _,
            evidence: _,
            gates,
            audit,
            containerd,
            create: _,
            metrics: _, // its problem is an alarm
            cluster,
            canary,
            last_reload_error: _, // of the past; what is wrong now is an alarm
        } = self;
        page.set(&family::BUILD_INFO, [version], true);
        for (kind, alarms) in &alarms.0 {
            page.set(&family::ALARMS, [kind], alarms.len());
        }
        if let Some(proof) = canary {
            for (gate, refused) in &proof.refused {
                page.set(&family::CANARY_SUCCESS, [gate], *refused);
            }
            let time = proof.time.duration_since(UNIX_EPOCH).unwrap_or_default();
            page.set(&family::CANARY_TIME, [], time);
        }
        page.set(&family::POLICY_RULES, [], policy.rules);
        page.set(&family::POLICY_PATTERNS, [], policy.patterns);
        page.set(&family::POLICY_DRY_RUN, [], policy.enforces_nothing);
        page.set(&family::POLICY_ALWAYS_ALLOW, [], policy.always_allows);
        if let Some(bundle) = bundle {
            page.set(&family::POLICY_BUNDLE_EXPIRED, [], bundle.expired);
            if let Some(version) = bundle.version {
                page.set(&family::POLICY_BUNDLE_VERSION, [], version);
            }
        }
        let (active, uses, label_uses) = break_glass.as_ref().map(GlassStatus::counts).unwrap_or_default();
        page.set(&family::BREAK_GLASS_ACTIVE, [], active);
        page.set(&family::BREAK_GLASS_USES, ["grant"], uses - label_uses);
        page.set(&family::BREAK_GLASS_USES, ["label"], label_uses);
        let current = |document: &DocumentStatus| document.state == "current";
        page.set(&family::DOCUMENT_UP_TO_DATE, ["policy"], current(&policy.document));
        for document in documents {
            let name = document.name.as_deref().unwrap_or("other").replace(' ', "_");
            page.set(&family::DOCUMENT_UP_TO_DATE, [&name], current(document));
        }
        page.set(&family::DOCUMENT_UP_TO_DATE, ["attestors"], key_ring.documents.iter().all(current));
        let attestors = &key_ring.attestors;
        let number = |is_so: fn(&AttestorStatus) -> bool| attestors.iter().filter(|one| is_so(one)).count();
        page.set(&family::KEY_RING_ATTESTORS, ["usable"], number(|one| one.keys > 0));
        page.set(
            &family::KEY_RING_ATTESTORS,
            ["without_keys"],
            number(|one| one.keys == 0 && !one.ambiguous),
        );
        page.set(&family::KEY_RING_ATTESTORS, ["ambiguous"], number(|one| one.ambiguous));
        page.set(&family::KEY_RING_KEYS, [], attestors.iter().map(|one| one.keys).sum::<usize>());
        self.expose_evidence(page);
        self.expose_create(page);
        if let Some(counts) = gates.values().find_map(|gate| gate.connections) {
            for (outcome, count) in counts.ends() {
                page.set(&family::GATE_CONNECTIONS, [outcome], count);
            }
        }
        page.set(&family::AUDIT_RECORDS, ["written"], audit.written);
        page.set(&family::AUDIT_RECORDS, ["lost"], audit.lost);
        page.set(&family::AUDIT_FAILING, [], audit.problem.is_some());
        if let Some(events) = &cluster.events {
            page.set(&family::EVENTS, ["sent"], events.sent);
            page.set(&family::EVENTS, ["failed"], events.failed);
            page.set(&family::EVENTS, ["dropped"], events.dropped);
        }
        if let Some(condition) = &cluster.node_condition {
            page.set(&family::NODE_CONDITION, ["sent"], condition.sent);
            page.set(&family::NODE_CONDITION, ["failed"], condition.failed);
        }
        page.set(&family::CONTAINERD_UP, [], containerd.version.is_some());
        page.set(&family::VERIFIER_PLUGIN, [], containerd.verifier_plugin);
    }

    fn expose_evidence(&self, page: &mut Page) {
        for source in &self.sources {
            let name = [source.name.as_str()];
            if let Some(age) = source.age_seconds {
                page.set(&family::SYNC_AGE, name, age);
            }
            let held = source.scopes.iter().filter_map(|scope| scope.held_back.as_ref());
            page.set(&family::SYNC_FAILURES, name, source.failures);
            page.set(&family::SOURCE_WELL, name, source.problem.is_none());
            page.set(&family::SOURCE_ATTESTATIONS, name, source.attestations);
            page.set(&family::SOURCE_REFUSED, name, source.refused);
            page.set(&family::SOURCE_HELD_BACK, name, held.map(|held| held.documents).sum::<usize>());
        }
        // The greatest age says less than that of each source.
        let EvidenceStatus { age_seconds: _, cache, disk, look_ups } = &self.evidence;
        page.set(&family::CACHE_ENTRIES, ["found"], cache.found);
        page.set(&family::CACHE_ENTRIES, ["absent"], cache.absent);
        page.set(&family::CACHE_ENTRIES, ["pinned"], cache.pinned);
        page.set(&family::CACHE_BYTES, [], cache.bytes);
        page.set(&family::CACHE_ANSWERS, ["hit"], cache.hits);
        page.set(&family::CACHE_ANSWERS, ["miss"], cache.misses);
        if let Some(rows) = disk.rows {
            page.set(&family::EVIDENCE_DOCUMENTS, [], rows);
        }
        page.set(&family::EVIDENCE_BYTES, [], disk.file_bytes);
        page.set(&family::EVIDENCE_IN_MEMORY, [], disk.in_memory);
        let ended = look_ups.asked.saturating_sub(look_ups.under_way as u64);
        page.set(&family::LOOK_UPS, ["answered"], ended.saturating_sub(look_ups.failed));
        page.set(&family::LOOK_UPS, ["failed"], look_ups.failed);
        page.set(&family::LOOK_UPS, ["limited"], look_ups.limited);
        page.set(&family::LOOK_UPS_UNDER_WAY, [], look_ups.under_way);
    }

    fn expose_create(&self, page: &mut Page) {
        let CreateStatus {
            asked_by: _, // as binauthd_nri_connected and binauthd_runtime_handlers
            nri,
            own_times: _, // quantiles do not add up; binauthd_decision_duration_seconds does
            handlers,
            running,
            pods: _, // its problem is an alarm
        } = &self.create;
        page.set(&family::NRI_CONNECTED, [], nri.state == "synchronized");
        let failed = nri.late + nri.panicked + nri.crowded;
        page.set(&family::NRI_QUESTIONS, ["allowed"], nri.answered.saturating_sub(nri.refused));
        page.set(&family::NRI_QUESTIONS, ["refused"], nri.refused.saturating_sub(failed));
        page.set(&family::NRI_QUESTIONS, ["late"], nri.late);
        page.set(&family::NRI_QUESTIONS, ["panicked"], nri.panicked);
        page.set(&family::NRI_QUESTIONS, ["crowded"], nri.crowded);
        let hooked = handlers.iter().filter(|handler| handler.hooked).count();
        page.set(&family::HANDLERS, ["yes"], hooked);
        page.set(&family::HANDLERS, ["no"], handlers.len() - hooked);
        page.set(&family::RUNNING_CONTAINERS, [], running.containers);
        page.set(&family::RUNNING_VIOLATIONS, [], running.violations);
        page.set(&family::RUNNING_LOOKS, [], running.passes);
        page.set(&family::RUNNING_LOOK_SECONDS, [], running.took.0);
    }
}

fn expose_process(page: &mut Page) {
    let process = Process::now();
    if let Some(cpu) = process.cpu {
        page.set(&family::PROCESS_CPU, [], cpu);
    }
    let gauges = [
        (&family::PROCESS_RESIDENT, process.resident_bytes),
        (&family::PROCESS_OPEN_FDS, process.open_fds),
        (&family::PROCESS_MAX_FDS, process.max_fds),
    ];
    for (family, value) in gauges {
        if let Some(value) = value {
            page.set(family, [], value);
        }
    }
}
