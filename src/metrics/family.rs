//! The table of families. `tests/metrics` holds that a daemon sets each of them, and `tests/manual.rs` that
//! binauthd-metrics(7) tells of each.

/// What a family counts like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up, and begins anew with the daemon.
    Counter,
    /// Is what it is now.
    Gauge,
    /// How long things took.
    Histogram,
}

impl Kind {
    /// As Prometheus writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A family of samples with `N` labels.
#[derive(Debug)]
pub struct Family<const N: usize> {
    pub(super) name: &'static str,
    pub(super) labels: [&'static str; N],
}

/// What the table says of a family.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// Such as `binauthd_decisions_total`.
    pub name: &'static str,
    /// What it counts like.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// One sentence for people.
    pub help: &'static str,
}

macro_rules! families {
    ($($family:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal)*) => {
        $(
            #[doc = $help]
            pub static $family: Family<{ let labels: &[&str] = &[$($label),*]; labels.len() }> =
                Family { name: $name, labels: [$($label),*] };
        )*

        /// Every family, in the order in which they are written.
        pub const ALL: &[Described] = &[$(
            Described { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help },
        )*];
    };
}

families! {
    BUILD_INFO: Gauge "binauthd_build_info" ["version"]
        "The version that runs; always 1."
    DECISIONS: Counter "binauthd_decisions_total" ["gate", "verdict", "reason", "mode"]
        "Decisions. Mode is `enforced`, `dry_run` where only dry run let it through, `break_glass` where only that did, or `observe` where a gate that observes let it through without an answer; reasons are those of binauthd-reasons(7)."
    DECISION_DURATION: Histogram "binauthd_decision_duration_seconds" ["gate", "cache"]
        "How long decisions took. Cache is `hit` where the evidence was in memory, `miss` where it was read, checked or looked up, `none` where no evidence was asked for."
    ENFORCING: Gauge "binauthd_enforcing" ["gate"]
        "Whether the gate is wired so that a refusal of this daemon, or no answer, refuses, by what containerd has loaded. What the policy makes of it is binauthd_policy_dry_run and binauthd_policy_always_allow."
    OBSERVING: Gauge "binauthd_observing" ["gate"]
        "Whether the gate is wired to observe: no answer allows."
    CANARY_SUCCESS: Gauge "binauthd_canary_success" ["gate"]
        "Whether the canary, an image that nobody may let through, was refused as what it is when it was last shown at the gate; absent before it was."
    CANARY_TIME: Gauge "binauthd_canary_last_timestamp_seconds" []
        "When the canary was last shown (`binauthctl doctor --canary`), as Unix time; absent before it was."
    POLICY_OBEYED: Gauge "binauthd_policy_obeyed" []
        "Whether there is a policy to obey; without one everything is refused."
    POLICY_DRY_RUN: Gauge "binauthd_policy_dry_run" []
        "Whether no rule of the policy in force refuses anything."
    POLICY_ALWAYS_ALLOW: Gauge "binauthd_policy_always_allow" []
        "Whether the default rule of the policy in force allows every image."
    POLICY_RULES: Gauge "binauthd_policy_rules" []
        "Rules of the policy in force beside the default one."
    POLICY_PATTERNS: Gauge "binauthd_policy_patterns" []
        "Allowlist patterns of the policy in force."
    POLICY_BUNDLE_VERSION: Gauge "binauthd_policy_bundle_version" []
        "The version of the signed policy bundle in force; absent without one."
    POLICY_BUNDLE_EXPIRED: Gauge "binauthd_policy_bundle_expired" []
        "Whether the signed policy bundle in force has expired; absent without one."
    BREAK_GLASS_ACTIVE: Gauge "binauthd_break_glass_active" []
        "Break-glass grants that hold: images that the policy refuses run."
    BREAK_GLASS_USES: Counter "binauthd_break_glass_uses_total" ["by"]
        "Decisions at gates that break-glass let through: by a signed `grant`, or by the `label` of a pod."
    DOCUMENT_UP_TO_DATE: Gauge "binauthd_document_up_to_date" ["document"]
        "Whether the document is obeyed as it lies on disk; 0 where a last good version stands in for it, or nothing. `attestors` are all of them together."
    KEY_RING_ATTESTORS: Gauge "binauthd_key_ring_attestors" ["state"]
        "Attestors that are `usable`, have no keys (`without_keys`), or are defined more than once (`ambiguous`)."
    KEY_RING_KEYS: Gauge "binauthd_key_ring_keys" []
        "Keys of all attestors."
    CACHE_ENTRIES: Gauge "binauthd_cache_entries" ["kind"]
        "Digests in memory: attested (`found`), not attested (`absent`), or run by a container (`pinned`)."
    CACHE_BYTES: Gauge "binauthd_cache_bytes" []
        "What the attested digests in memory take, but for those that are pinned."
    CACHE_ANSWERS: Counter "binauthd_cache_answers_total" ["cache"]
        "Questions for the evidence of a digest that were answered from memory (`hit`), or for which it had to be read and checked (`miss`)."
    SYNC_AGE: Gauge "binauthd_sync_age_seconds" ["source"]
        "Since all of the source was last read to the end; absent before the first time."
    SYNC_FAILURES: Counter "binauthd_sync_failures_total" ["source"]
        "Listings and look-ups that the source did not answer as it should."
    SOURCE_WELL: Gauge "binauthd_source_well" ["source"]
        "Whether nothing was wrong with the source when it was last asked."
    SOURCE_ATTESTATIONS: Gauge "binauthd_source_attestations" ["source"]
        "Documents of the source that are on file."
    SOURCE_REFUSED: Gauge "binauthd_source_refused_documents" ["source"]
        "Documents of the source that are none, or belong elsewhere."
    SOURCE_HELD_BACK: Gauge "binauthd_source_held_back_documents" ["source"]
        "Documents that the source no longer gives and that stay on file until somebody agrees to lose them."
    LOOK_UPS: Counter "binauthd_lookups_total" ["outcome"]
        "Look-ups of digests that were not known here: `answered`, `failed` where a source gave no answer, `limited` where the repository or namespace had asked too much."
    LOOK_UPS_UNDER_WAY: Gauge "binauthd_lookups_under_way" []
        "Look-ups that are under way or wait for their turn."
    EVIDENCE_DOCUMENTS: Gauge "binauthd_evidence_documents" []
        "Documents on disk; one that two notes hold counts twice."
    EVIDENCE_BYTES: Gauge "binauthd_evidence_bytes" []
        "Bytes of the evidence file, or of what is held in memory in its place."
    EVIDENCE_IN_MEMORY: Gauge "binauthd_evidence_in_memory" []
        "Whether there is no evidence file: everything is gone with the process."
    CONTAINERD_UP: Gauge "binauthd_containerd_up" []
        "Whether containerd answered when it was last asked."
    VERIFIER_PLUGIN: Gauge "binauthd_containerd_verifier_plugin" []
        "Whether containerd has loaded the plugin that asks before a pull."
    NRI_CONNECTED: Gauge "binauthd_nri_connected" []
        "Whether containerd asks by NRI before a container is created."
    NRI_QUESTIONS: Counter "binauthd_nri_questions_total" ["outcome"]
        "Questions of NRI: `allowed` or `refused`; and refused because they were `late`, `panicked`, or came while too many were at work (`crowded`)."
    HANDLERS: Gauge "binauthd_runtime_handlers" ["hook"]
        "Runtime handlers of containerd whose containers the create hook holds (`yes`) or does not (`no`)."
    RUNNING_CONTAINERS: Gauge "binauthd_running_containers" []
        "Containers that ran at the last look."
    RUNNING_VIOLATIONS: Gauge "binauthd_running_violations" []
        "Containers that ran at the last look and would not be allowed now."
    RUNNING_LOOKS: Counter "binauthd_running_looks_total" []
        "Looks at what runs."
    RUNNING_LOOK_SECONDS: Gauge "binauthd_running_look_duration_seconds" []
        "How long the last look took."
    GATE_CONNECTIONS: Counter "binauthd_gate_connections_total" ["outcome"]
        "Connections to the gate socket by how they ended; all but `answered` are refusals or no question."
    AUDIT_RECORDS: Counter "binauthd_audit_records_total" ["outcome"]
        "Records of the audit trail that were `written`, or `lost` because the queue was full."
    AUDIT_FAILING: Gauge "binauthd_audit_failing" []
        "Whether the audit trail cannot be written now."
    EVENTS: Counter "binauthd_pod_events_total" ["outcome"]
        "Events of pods that were written or counted up (`sent`), writes that `failed` and are tried again, and events that were given up (`dropped`); absent where none are told."
    NODE_CONDITION: Counter "binauthd_node_condition_writes_total" ["outcome"]
        "Writes of the condition of the node that were `sent` or `failed`; absent where none is told."
    ALARMS: Gauge "binauthd_alarms" ["kind"]
        "Alarms that binauthctl status shows."
    SCRAPES: Counter "binauthd_scrapes_total" ["outcome"]
        "Connections to the listener of these metrics by how they ended."
    PROCESS_CPU: Counter "process_cpu_seconds_total" []
        "Time that the daemon spent on processors."
    PROCESS_RESIDENT: Gauge "process_resident_memory_bytes" []
        "Resident memory of the daemon."
    PROCESS_OPEN_FDS: Gauge "process_open_fds" []
        "Open file descriptors of the daemon."
    PROCESS_MAX_FDS: Gauge "process_max_fds" []
        "As many file descriptors as the daemon may open."
    PROCESS_START_TIME: Gauge "process_start_time_seconds" []
        "When the daemon started, in seconds since 1970."
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_told_apart_and_explained() {
        let names: BTreeSet<_> = ALL.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), ALL.len());
        for Described { name, kind, labels, help } in ALL {
            let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(is_word(name) && labels.iter().all(|label| is_word(label) && *label != "le"), "{name}");
            assert!(name.starts_with("binauthd_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(help.ends_with('.') && help.len() > 15, "{name}");
        }
    }
}
