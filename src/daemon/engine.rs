//! The engine: what is in force, what is known, and one place where a decision is recorded.

mod accepted;
mod announced;
mod changes;
mod counts;
mod grants;

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

use super::bundles::Fetcher;
use super::clock::Clock;
use super::cluster::PodEvents;
use crate::attestation::KeyRing;
use crate::audit::{Asked, Audit, AuditStatus, Gate, Place, Record, Unserved, Written};
use crate::config::{Config, Documents, InForce, State};
use crate::decision::{Cached, Case, Decision, Known, Ladder, Looks, Reason, Subject, Verdict, canary};
use crate::document::Version;
use crate::evidence::{Answer, Asker, Ledger, LookUps, Node, Sources, UnderWay};
use crate::image::{Digest, Workload};
use crate::policy::{EnforcementMode, PlatformEnforcement, PlatformPolicy, Policy};

pub(super) use announced::LastProblem;
use announced::versions;
pub(super) use counts::GateCounts;
use counts::GatesCounts;
pub(super) use grants::GlassStatus;
use grants::GlassUses;

/// Everything a decision needs, shared by the gates.
#[derive(Debug)]
pub struct Engine {
    documents: Mutex<Documents>,
    clock: Clock,
    cluster: Option<String>,
    /// The configuration that this daemon runs with.
    origin: Option<(PathBuf, Version)>,
    in_force: RwLock<Arc<InForce>>,
    ledger: Arc<Ledger>,
    look_ups: Arc<LookUps>,
    sync: OnceLock<Weak<Sources>>,
    audit: Audit,
    counts: GatesCounts,
    events: OnceLock<PodEvents>,
    fetcher: OnceLock<Weak<Fetcher>>,
    glass: GlassUses,
    last_problem: Mutex<Option<LastProblem>>,
    changed: Arc<Notify>,
}

/// When and for whom something was decided.
#[derive(Debug, Clone)]
pub(super) struct Occasion<'a> {
    pub(super) gate: Gate,
    pub(super) asked: &'a Asked,
    pub(super) container: Option<&'a Place>,
    /// Of a container that runs: the entry of continuous validation.
    pub(super) event: Option<serde_json::Value>,
    pub(super) duration: Duration,
}

impl<'a> Occasion<'a> {
    /// A decision at `gate` that took so long.
    pub(super) fn at(gate: Gate, asked: &'a Asked, duration: Duration) -> Self {
        Self { gate, asked, container: None, event: None, duration }
    }

    /// The same about a container.
    pub(super) fn of(self, container: &'a Place) -> Self {
        Self { container: Some(container), ..self }
    }
}

impl Engine {
    /// Puts the parts together, on a node of `config`, and tells the audit trail what decides.
    #[must_use]
    pub fn new(
        documents: Documents,
        ledger: Arc<Ledger>,
        look_ups: Arc<LookUps>,
        audit: Audit,
        config: &Config,
    ) -> Self {
        let in_force = RwLock::new(Arc::new(documents.in_force()));
        let clock = Clock::starting_after(documents.seen());
        let engine = Self {
            clock,
            documents: Mutex::new(documents),
            cluster: config.cluster.clone(),
            origin: config.origin.clone(),
            in_force,
            ledger,
            look_ups,
            sync: OnceLock::new(),
            audit,
            counts: GatesCounts::default(),
            events: OnceLock::new(),
            fetcher: OnceLock::new(),
            glass: GlassUses::default(),
            last_problem: Mutex::new(None),
            changed: Arc::default(),
        };
        engine.announce_problems(&[]);
        engine.announce_versions();
        engine.announce_grants();
        engine.tell_changes();
        engine
    }

    /// What is known of a pod that nothing is known of: the node it would run on.
    pub(super) fn workload(&self) -> Workload {
        Workload { cluster: self.cluster.clone(), ..Workload::default() }
    }

    /// Judges `subject` by what is in force and known now, and records nothing. Takes its time where
    /// signatures have to be checked, or the sources are being read for the first time.
    pub fn decide(&self, subject: &Subject) -> Verdict {
        self.judge(subject).verdict
    }

    /// The same; what would be refused for want of evidence is looked up at the sources, for the next time or,
    /// where there is `patience`, for this one.
    pub(super) async fn decide_looking(
        self: &Arc<Self>,
        subject: Subject,
        asker: Asker,
        patience: Option<Duration>,
    ) -> Verdict {
        let subject = Arc::new(subject);
        let judged = self.judge_apart(&subject).await;
        if judged.asks.is_empty() || self.is_final(&judged.verdict) {
            return judged.verdict;
        }
        let now = Instant::now();
        let waits: Vec<_> =
            judged.asks.iter().filter_map(|digest| self.look_ups.ask(*digest, &asker, now)).collect();
        let mut cached = judged.verdict.cached;
        if let Some(patience) = patience.filter(|_| !waits.is_empty()) {
            let all = waits.into_iter().map(UnderWay::ended);
            let _ = tokio::time::timeout(patience, futures_util::future::join_all(all)).await;
            cached = Cached::Miss;
        }
        Verdict { cached, ..self.judge_apart(&subject).await.verdict }
    }

    /// What becomes of a verdict on a pull where creation is judged too.
    pub(super) fn at_pull(&self, subject: &Subject, verdict: Verdict) -> Verdict {
        match self.in_force().state.rulebook() {
            Some(rulebook) => Case::new(subject, rulebook, self.now()).at_pull(verdict),
            None => verdict,
        }
    }

    /// Whether nobody that could be asked would make more of it.
    pub(super) fn is_final(&self, verdict: &Verdict) -> bool {
        verdict.would == Decision::Allow || !self.look_ups.is_possible()
    }

    async fn judge_apart(self: &Arc<Self>, subject: &Arc<Subject>) -> Judgement {
        let (engine, subject) = (Arc::clone(self), Arc::clone(subject));
        super::off_the_runtime(move || engine.judge(&subject)).await
    }

    fn judge(&self, subject: &Subject) -> Judgement {
        let now = self.now();
        self.decide_by(subject, now, |digest, asked| self.ledger.evidence(digest, asked, now))
            .unwrap_or_else(|| Judgement { verdict: unread(subject), asks: Vec::new() })
    }

    /// The same where it takes no time: where nobody has to be asked, or the evidence is in the cache.
    pub(super) fn decide_at_once(&self, subject: &Subject) -> Option<Verdict> {
        let now = self.now();
        let judged = self.decide_by(subject, now, |digest, asked| self.ledger.cached(digest, asked, now))?;
        Some(judged.verdict)
    }

    /// Judges `subject` with every signature looked at again, and tells of each.
    pub(super) fn explain(&self, subject: &Subject) -> Ladder {
        let looks = RefCell::new(Looks::default());
        let in_force = self.in_force();
        let now = self.now();
        let watched = |digest: Digest, asked: &KeyRing| {
            self.ledger.watched(digest, asked, now, &mut *looks.borrow_mut())
        };
        let verdict =
            self.decide_by(subject, now, watched).map_or_else(|| unread(subject), |judged| judged.verdict);
        match in_force.state.rulebook() {
            Some(rulebook) => {
                let case = Case::new(subject, rulebook, now);
                Ladder::new(&case, verdict, &looks.into_inner())
            }
            None => Ladder::undecided(verdict),
        }
    }

    fn decide_by(
        &self,
        subject: &Subject,
        now: SystemTime,
        find: impl Fn(Digest, &KeyRing) -> Option<Answer>,
    ) -> Option<Judgement> {
        let in_force = self.in_force();
        let mut asks = Vec::new();
        let mut verdict = match &in_force.state {
            State::Obeyed(rulebook) => {
                let case = Case::new(subject, rulebook, now);
                asks.extend_from_slice(case.asks());
                // No source can hold up what needs no evidence.
                let found: Vec<_> =
                    case.asks().iter().map(|digest| find(*digest, &in_force.asked)).collect::<Option<_>>()?;
                let lacks: Vec<_> = case.asks().iter().map(|digest| self.look_ups.lack(*digest)).collect();
                let known = found.iter().zip(&lacks).map(|(answer, lack)| Known {
                    evidence: &answer.evidence,
                    age: answer.age,
                    lack: lack.as_ref(),
                });
                let known: Vec<_> = known.collect();
                let cached = match found.iter().all(|answer| answer.was_cached) {
                    _ if found.is_empty() => Cached::None,
                    true => Cached::Hit,
                    false => Cached::Miss,
                };
                Verdict { cached, ..case.judge(&known) }
            }
            state => match (canary::refusal(subject), state.hindrance()) {
                (Some(refusal), _) => refusal,
                (None, Some(why)) => refuse(subject, why.reason, &why.cause, &why.remedy),
                (None, None) => unread(subject),
            },
        };
        verdict.key_ring_version = Some(in_force.key_ring.version().clone());
        Some(Judgement { verdict, asks })
    }

    /// From now on `sync` hears of what it has to follow.
    pub(super) fn followed_by(&self, sync: &Arc<Sources>) {
        // There is one in the life of a daemon.
        let _ = self.sync.set(Arc::downgrade(sync));
    }

    /// From now on `fetcher` hears of bundles that are pushed.
    pub(super) fn fetched_by(&self, fetcher: &Arc<Fetcher>) {
        // There is one in the life of a daemon.
        let _ = self.fetcher.set(Arc::downgrade(fetcher));
    }

    /// From now on refusals are told as `events` of their pods.
    pub(super) fn telling(&self, events: PodEvents) {
        // There is one in the life of a daemon.
        let _ = self.events.set(events);
    }

    /// What keeps the ledger as the sources are.
    pub(super) fn sync(&self) -> Option<Arc<Sources>> {
        self.sync.get()?.upgrade()
    }

    pub(super) fn look_ups(&self) -> &Arc<LookUps> {
        &self.look_ups
    }

    /// Tells the audit trail of connections that ended without a decision.
    pub(super) fn tell_unserved(&self, unserved: &Unserved) {
        self.audit.unserved(unserved);
    }

    /// Whether every rule that may apply in `workload` only records.
    pub(super) fn is_dry_run(&self, workload: &Workload) -> bool {
        self.policy_says(|policy| {
            policy.candidates(workload).iter().all(|(_, rule)| rule.enforcement == EnforcementMode::DryRun)
        })
    }

    /// Whether no rule of the policy in force refuses anything.
    pub(super) fn enforces_nothing(&self) -> bool {
        self.policy_says(|policy| policy.rules().all(|(_, rule)| rule.enforcement == EnforcementMode::DryRun))
    }

    /// Of a policy beside which no check sets are enforced.
    fn policy_says(&self, question: impl Fn(&Policy) -> bool) -> bool {
        let in_force = self.in_force();
        let Some(rulebook) = in_force.state.rulebook() else { return false };
        let platform = rulebook.platform_policy.as_deref().map(PlatformPolicy::enforcement);
        platform != Some(PlatformEnforcement::AuditAndEnforce)
            && rulebook.policy.as_deref().is_some_and(question)
    }

    /// Whether an allowance holds once it is on record.
    pub(super) fn waits_for_records(&self) -> bool {
        self.audit.is_condition()
    }

    /// Records a decision, and gives what is answered: no allowance that is not on record, where that is asked for.
    pub(super) async fn answer(&self, verdict: Verdict, occasion: Occasion<'_>) -> Verdict {
        let verdict = self.if_recorded(verdict);
        let written = self.record(&verdict, occasion.clone());
        self.once_written(verdict, written, occasion).await
    }

    /// What is answered once it has come out whether it is on record.
    pub(super) async fn once_written(
        &self,
        verdict: Verdict,
        written: Written,
        occasion: Occasion<'_>,
    ) -> Verdict {
        let Err(problem) = written.done().await else { return verdict };
        let refused = unrecorded(&verdict, &problem);
        self.record(&refused, occasion);
        refused
    }

    /// The verdict at a gate: no allowance while it is known that the audit trail cannot be written, where that is asked for.
    pub(super) fn if_recorded(&self, verdict: Verdict) -> Verdict {
        match self.audit.hindrance().filter(|_| verdict.allows()) {
            Some(problem) => unrecorded(&verdict, &problem),
            None => verdict,
        }
    }

    /// Records a decision: the audit trail, the counters and the log, from one value.
    pub(super) fn record(&self, verdict: &Verdict, occasion: Occasion<'_>) -> Written {
        self.counts.of(occasion.gate).count(verdict, &occasion);
        if let Some(events) = self.events.get() {
            events.tell(verdict, &occasion);
        }
        let Occasion { gate, asked, container, event, duration } = occasion;
        let written = self.audit.record(&Record {
            time: SystemTime::now(),
            gate,
            verdict,
            asked,
            container,
            event,
            duration_micros: duration,
        });
        self.glass.count(gate, verdict);
        let (image, reason) = (&verdict.image, verdict.reason);
        if verdict.break_glass.is_some() {
            tracing::warn!(%reason, %image, would = %verdict.would, "{}: {}", verdict.verdict, verdict.message);
        } else if verdict.would == Decision::Allow {
            tracing::debug!(%reason, %image, "{}", verdict.verdict);
        } else {
            tracing::info!(%reason, %image, would = %verdict.would, "{}: {}", verdict.verdict, verdict.message);
        }
        written
    }

    /// Reads policy and attestors again and puts what is good in force, in one swap.
    pub(super) fn reload(&self) {
        let uses = self.glass.take();
        self.change(|documents| {
            documents.count_uses(&uses);
            documents.reload(self.clock.now());
        });
    }

    /// Changes the documents and puts what they come to in force, in one swap.
    fn change<T>(&self, change: impl FnOnce(&mut Documents) -> T) -> T {
        let started = Instant::now();
        let mut documents = self.documents();
        let before = documents.problems();
        let changed_to = change(&mut documents);
        let in_force = Arc::new(documents.in_force());
        let former = self.in_force();
        let is_over = former.due.is_some_and(|due| due <= in_force.at);
        let changed = is_over || versions(&in_force) != versions(&former);
        // Before anybody else may change them: a later state must not be overtaken by this one.
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = in_force;
        drop(documents);
        tracing::debug!(took = ?started.elapsed(), changed, "documents read");
        self.announce_problems(&before);
        if changed {
            self.announce_versions();
            self.tell_changes();
            self.tell_grants(&former);
            self.changed.notify_one();
            if let Some(sync) = self.sync() {
                sync.key_ring_changed();
            }
        }
        changed_to
    }

    /// Told when what is in force or known has changed: what runs may have to be judged again.
    pub(super) fn changes(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Changes when a document that decides trust may have.
    pub(super) fn fingerprint(&self) -> u64 {
        self.documents().fingerprint()
    }

    pub(super) fn documents(&self) -> MutexGuard<'_, Documents> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn audit(&self) -> AuditStatus {
        self.audit.status()
    }

    /// How many records the audit trail has taken, and how many of them it has written.
    pub(super) fn audit_progress(&self) -> (u64, u64) {
        self.audit.progress()
    }

    pub(super) fn last_problem(&self) -> Option<LastProblem> {
        self.last_problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes out what the audit trail still holds, and the time.
    pub fn finish(&self) {
        let uses = self.glass.take();
        let mut documents = self.documents();
        documents.count_uses(&uses);
        documents.mark(self.clock.now());
        drop(documents);
        self.audit.finish();
    }
}

/// What was decided, and the digests whose evidence was asked for.
struct Judgement {
    verdict: Verdict,
    asks: Vec<Digest>,
}

impl Node for Engine {
    fn key_ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.in_force().asked)
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    fn changed(&self) {
        self.changed.notify_one();
    }

    fn bundle_pushed(&self) {
        if let Some(fetcher) = self.fetcher.get().and_then(Weak::upgrade) {
            fetcher.wake();
        }
    }
}

fn unread(subject: &Subject) -> Verdict {
    let cause = "the attestations on this node have not been read yet";
    let remedy = "Try again; `binauthctl status` on the node says how far they are";
    refuse(subject, Reason::EvidenceUnread, cause, remedy)
}

/// An allowance that is none, as it cannot be put on record.
fn unrecorded(verdict: &Verdict, problem: &str) -> Verdict {
    let remedy = "Make room for the audit trail, or set `on_failure = \"journal\"` in [audit]";
    let cause = format!("the audit trail cannot be written ({problem})");
    Verdict::refused(&verdict.image, verdict.digest, Reason::AuditUnavailable, &cause, remedy)
}

fn refuse(subject: &Subject, reason: Reason, cause: &str, remedy: &str) -> Verdict {
    Verdict::refused(subject.image(), subject.digest(), reason, cause, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Settings;
    use crate::config::Config;

    #[test]
    fn a_question_before_the_first_reading_is_refused_unless_it_needs_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let config = Config::under(folder.path());
        std::fs::write(
            at("policy.yaml"),
            "admissionWhitelistPatterns: [{namePattern: r.io/base/*}]\n\
             defaultAdmissionRule: {evaluationMode: REQUIRE_ATTESTATION, requireAttestationsBy: \
             [projects/p/attestors/a], enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}",
        )
        .unwrap();
        let documents = Documents::open(&config, SystemTime::now());
        let ledger = Arc::new(Ledger::open(folder.path(), ["local"]).0);
        let look_ups = Arc::new(LookUps::new().0);
        let engine = Engine::new(
            documents,
            Arc::clone(&ledger),
            look_ups,
            Audit::open(Settings::at(&at("audit.jsonl"), folder.path())),
            &config,
        );
        let reason = |image: &str| {
            let digest = "ab".repeat(32);
            engine.decide(&Subject::named(&format!("{image}@sha256:{digest}")).unwrap()).reason
        };
        assert_eq!(reason("r.io/app"), Reason::EvidenceUnread);
        assert_eq!(reason("r.io/base/app"), Reason::Allowlisted);
        ledger.has_read("local");
        assert_eq!(reason("r.io/app"), Reason::AttestorMissing);
    }
}
