//! The judge. No IO, no clock, no environment.
//!
//! Order (Binary Authorization, evaluation order; the canary is ours): canary, deny list, system policy, allowlist patterns, the
//! specific rule, the default rule; and beside these the check sets of a platform policy. AND over the
//! required attestors. Dry run and, last, break-glass turn a refusal into an allowance that says so.

use std::cell::LazyCell;
use std::time::{Duration, SystemTime};

use super::attestors::{Lack, remedy, weigh};
use super::canary;
use super::conformance::{self, Conformity, Facts, Outcome};
use super::reason::Reason;
use super::subject::Subject;
use super::verdict::{AttestorVerdict, CheckVerdict, Decision, Verdict};
use crate::attestation::{AttestorName, Evidence};
use crate::image::Digest;
use crate::policy::deny_list::Denied;
use crate::policy::{
    AdmissionRule, Allowlist, AllowlistPattern, EnforcementMode, EvaluationMode, OnStale, Place,
    PlatformEnforcement, Policy, Rulebook,
};

/// What is known of one digest of a subject.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Findings of every attestor in the key ring.
    pub evidence: &'a Evidence,
    /// Since its sources were last read to the end, or asked for it; `None` where nobody knows.
    pub age: Option<Duration>,
    /// Why there may be more than is known here.
    pub lack: Option<&'a Lack>,
}

impl<'a> Known<'a> {
    /// Everything that there is, at this moment.
    #[must_use]
    pub fn wholly(evidence: &'a Evidence) -> Self {
        Self { evidence, age: Some(Duration::ZERO), lack: None }
    }
}

/// The same of all digests of a subject together.
#[derive(Clone, Copy)]
struct AllKnown<'a> {
    each: &'a [&'a Known<'a>],
    evidence: &'a [&'a Evidence],
    /// The greatest.
    age: Option<Duration>,
    lack: Option<&'a Lack>,
}

impl AllKnown<'_> {
    /// The greatest age of what these attestors are satisfied by. That nothing was found under another digest of
    /// the subject may be long known.
    fn age_of(&self, attestors: &[AttestorVerdict]) -> Option<Duration> {
        let rests = |known: &&&Known<'_>| {
            attestors.iter().any(|attestor| attestor.digest == Some(known.evidence.digest()))
        };
        let ages = self.each.iter().filter(rests).map(|known| known.age);
        ages.max_by_key(|age| age.unwrap_or(Duration::MAX)).flatten()
    }
}

/// A subject before what is in force: it is known which part of it decides, and not yet how.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    pub(super) subject: &'a Subject,
    pub(super) rulebook: &'a Rulebook,
    pub(super) now: SystemTime,
    pub(super) ground: Ground<'a>,
    asks: Vec<Digest>,
}

/// What decides.
#[derive(Debug, Clone)]
pub(super) enum Ground<'a> {
    /// It is the canary.
    Canary,
    /// An entry of the deny list.
    Denied(&'a Denied),
    /// The system policy lists this digest, for this reason.
    SystemDigest(Digest, &'a str),
    /// The system policy trusts this pattern.
    SystemPattern(usize, &'a AllowlistPattern),
    /// A pattern of the policy.
    Pattern(usize, &'a AllowlistPattern),
    /// A rule, or several of which any may apply; most specific first.
    Rules(Vec<(Place<'a>, &'a AdmissionRule)>),
    /// No policy is in force; check sets may be.
    NoPolicy,
}

impl<'a> Case<'a> {
    /// Finds what decides at `now`.
    #[must_use]
    pub fn new(subject: &'a Subject, rulebook: &'a Rulebook, now: SystemTime) -> Self {
        let ground = ground(subject, rulebook, now);
        let asks = if needs_evidence(&ground, subject, rulebook) {
            subject.attestable(rulebook.subjects).collect()
        } else {
            Vec::new()
        };
        Self { subject, rulebook, now, ground, asks }
    }

    /// The digests that evidence is needed of; none where it is decided without.
    #[must_use]
    pub fn asks(&self) -> &[Digest] {
        &self.asks
    }

    /// Judges. What is `known` of other digests than those it asks for counts for nothing.
    pub fn judge(&self, known: &[Known<'_>]) -> Verdict {
        let known: Vec<_> =
            known.iter().filter(|known| self.asks.contains(&known.evidence.digest())).collect();
        let evidence: Vec<_> = known.iter().map(|known| known.evidence).collect();
        let age = known.iter().map(|known| known.age).max_by_key(|age| age.unwrap_or(Duration::MAX));
        let lack = known.iter().find_map(|known| known.lack);
        let all = AllKnown { each: &known, evidence: &evidence, age: age.flatten(), lack };
        let mut verdict = self.by_ground(all);
        if let (Some(platform), false) =
            (&self.rulebook.platform_policy, matches!(self.ground, Ground::Canary | Ground::Denied(_)))
        {
            let facts = Facts { subject: self.subject, evidence: &evidence, now: self.now };
            let conformity = conformance::conform(platform, facts);
            verdict = self.with_checks(verdict, conformity, platform.enforcement());
            verdict.platform_policy_version = Some(platform.version().clone());
        }
        verdict.policy_version = self.rulebook.policy.as_ref().map(|policy| policy.version().clone());
        verdict.key_ring_version = known.first().map(|known| known.evidence.key_ring().clone());
        self.with_break_glass(verdict.aged(all.age))
    }

    fn by_ground(&self, known: AllKnown<'_>) -> Verdict {
        let (subject, image) = (self.subject, self.subject.image());
        let allow = |reason, rule: &str, message: String| {
            Verdict::allow(subject, reason, rule.to_owned(), format!("Image {image} allowed by {message}"))
        };
        match &self.ground {
            Ground::Canary => canary::verdict(subject),
            Ground::Denied(denied) => {
                let message =
                    format!("Image {image} denied by deny list: {} ({})", denied.digest, denied.reason);
                let mut verdict =
                    Verdict::deny(subject, Reason::DenyListed, "denyList".to_owned(), message, false);
                verdict.remedy = "Use another image, or have the digest taken off the deny list".to_owned();
                verdict
            }
            Ground::SystemDigest(digest, reason) => {
                allow(Reason::SystemPolicy, "systemPolicy", format!("system policy: {digest} ({reason})"))
            }
            Ground::SystemPattern(index, pattern) => {
                let terms = self.rulebook.system_policy.allowlist().terms(*index);
                allow(Reason::SystemPolicy, "systemPolicy", format!("system policy pattern {pattern}{terms}"))
            }
            Ground::Pattern(index, pattern) => {
                let rule = format!("admissionWhitelistPatterns[{index}]");
                let terms = self.rulebook.policy.as_deref().map(|policy| policy.allowlist().terms(*index));
                let terms = terms.map(ToString::to_string).unwrap_or_default();
                allow(Reason::Allowlisted, &rule, format!("admission allowlist pattern {pattern}{terms}"))
            }
            Ground::Rules(rules) => self.by_rules(rules, known),
            Ground::NoPolicy if self.rulebook.platform_policy.is_some() => {
                let message = format!("Image {image} allowed: the platform policy refuses nothing of it");
                Verdict::allow(subject, Reason::Conformant, "none".to_owned(), message)
            }
            Ground::NoPolicy => Verdict::refused(
                image,
                subject.digest(),
                Reason::PolicyMissing,
                "no policy is in force",
                "Put a policy in place; `binauthctl policy check` says whether it is valid",
            ),
        }
    }

    /// Where the pod is not known well enough to tell which rule applies, only what all of them say counts.
    fn by_rules(&self, rules: &[(Place<'_>, &AdmissionRule)], known: AllKnown<'_>) -> Verdict {
        let mut verdicts = rules.iter().map(|(place, rule)| self.by_rule(place, rule, known));
        let Some(mut chosen) = verdicts.next() else {
            return self.undecided_context("no rule applies");
        };
        for verdict in verdicts {
            if verdict.verdict != chosen.verdict {
                let (one, other) = (&chosen, &verdict);
                let why = format!("{} says {}, {} says {}", one.rule, one.verdict, other.rule, other.verdict);
                return self.undecided_context(&why);
            }
            // Let through by all; that one of them only does so in dry run is the news.
            if chosen.would == Decision::Allow && verdict.would != Decision::Allow {
                chosen = verdict;
            }
        }
        chosen
    }

    fn undecided_context(&self, why: &str) -> Verdict {
        Verdict::refused(
            self.subject.image(),
            self.subject.digest(),
            Reason::PodContextUnknown,
            &format!("which rule applies depends on a pod that is not known here: {why}"),
            "Give the rules that may apply the same outcome, or name cluster, namespace and service account",
        )
    }

    fn by_rule(&self, place: &Place<'_>, rule: &AdmissionRule, known: AllKnown<'_>) -> Verdict {
        let mut verdict = self.evaluate(place, rule, known);
        verdict.enforced = rule.enforcement == EnforcementMode::Enforced;
        verdict
    }

    fn evaluate(&self, place: &Place<'_>, rule: &AdmissionRule, known: AllKnown<'_>) -> Verdict {
        let (subject, image) = (self.subject, self.subject.image());
        let dry_run = rule.enforcement == EnforcementMode::DryRun;
        let deny = |reason, why: &str, remedy: &str| {
            let message = format!("Image {image} denied by Binary Authorization {}. {why}", place.describe());
            let mut verdict = Verdict::deny(subject, reason, place.to_string(), message, dry_run);
            verdict.remedy = remedy.to_owned();
            verdict
        };
        let required = match &rule.evaluation {
            EvaluationMode::AlwaysAllow => {
                let message = format!("Image {image} allowed by always_allow admission rule");
                return Verdict::allow(subject, Reason::AlwaysAllow, place.to_string(), message);
            }
            EvaluationMode::AlwaysDeny => {
                let remedy = "Whoever owns the policy may exempt this image or change the rule";
                return deny(Reason::AlwaysDeny, "Denied by always_deny admission rule", remedy);
            }
            EvaluationMode::RequireAttestation(required) => required,
        };
        let who = required.first().map(AttestorName::as_str).unwrap_or_default();
        let without_digest = |reason| {
            let why = format!(
                "Image {image} denied by attestor {who}: Expected digest with sha256 scheme, but got tag or malformed digest"
            );
            deny(reason, &why, "Name the image by its digest: REPOSITORY@sha256:…")
        };
        let Some(digest) = subject.digest() else {
            return without_digest(Reason::DigestMissing);
        };
        if self.rulebook.deny_tags && !subject.is_pinned() {
            return without_digest(Reason::TagDenied);
        }
        let mut attestable = subject.attestable(self.rulebook.subjects);
        let Some(attestable) = attestable.next() else {
            let why = format!(
                "Image {image} denied by attestor {who}: `subjects` leaves no digest of it that an attestation may name"
            );
            let remedy = "Have both index and manifest attested, or widen `subjects` in the configuration";
            return deny(Reason::SubjectNotAttestable, &why, remedy);
        };
        let weighed = |name| {
            let verdict = weigh(name, known.evidence.iter().copied(), subject.name());
            if let Some(lack) = known.lack { verdict.lacking(lack) } else { verdict }
        };
        let attestors: Vec<_> = required.iter().map(weighed).collect();
        let refusals: Vec<_> = attestors.iter().filter(|attestor| !attestor.satisfied).collect();
        let mut verdict = match refusals.first() {
            None => {
                let attested = attested(digest, &attestors);
                let freshness = rule.freshness.or(self.rulebook.freshness);
                let age = known.age_of(&attestors);
                let stale = freshness.exceeded(age).map(|max| stale(age, max));
                match (stale, freshness.on_stale.unwrap_or_default()) {
                    (None, _) => {
                        let message = format!("Image {image} allowed: {attested}");
                        Verdict::allow(subject, Reason::Attested, place.to_string(), message)
                    }
                    (Some(stale), OnStale::Allow) => {
                        let message = format!("Image {image} allowed: {attested}; {stale}");
                        Verdict::allow(subject, Reason::Attested, place.to_string(), message)
                    }
                    (Some(stale), OnStale::Deny) => {
                        let why = format!(
                            "Image {image} denied by attestor {who}: Attestation(s) found, but {stale}"
                        );
                        deny(Reason::EvidenceStale, &why, STALE)
                    }
                }
            }
            Some(first) => {
                let why: Vec<_> = refusals
                    .iter()
                    .map(|refusal| {
                        let detail = refusal.detail.as_deref().unwrap_or_default();
                        format!("Image {image} denied by attestor {}: {detail}", refusal.name)
                    })
                    .collect();
                deny(first.reason, &why.join(". "), &remedy(first, attestable))
            }
        };
        verdict.attestors = attestors;
        verdict
    }

    /// The platform policy refuses beside the policy, and allows nothing that the policy refuses.
    fn with_checks(
        &self,
        mut verdict: Verdict,
        conformity: Conformity,
        enforcement: PlatformEnforcement,
    ) -> Verdict {
        let Conformity { outcome, checks } = conformity;
        let changes = match enforcement {
            PlatformEnforcement::Audit => false,
            PlatformEnforcement::AuditAndDryRun => verdict.would == Decision::Allow,
            PlatformEnforcement::AuditAndEnforce => verdict.allows(),
        };
        let failed = checks.iter().find(|check| check.reason.is_some());
        match (outcome, failed) {
            (Outcome::NonConformant(reason), Some(check)) if changes => {
                let attestors = std::mem::take(&mut verdict.attestors);
                verdict = self.by_check(reason, check, enforcement == PlatformEnforcement::AuditAndDryRun);
                verdict.attestors = attestors;
            }
            (Outcome::Unknown, _) if changes => {
                verdict = self.undecided_context("check sets that may apply disagree");
                if enforcement == PlatformEnforcement::AuditAndDryRun {
                    verdict = verdict.in_dry_run();
                }
            }
            _ => {}
        }
        verdict.checks = checks;
        verdict
    }

    fn by_check(&self, reason: Reason, check: &CheckVerdict, dry_run: bool) -> Verdict {
        let name = &check.display_name;
        let named = if name.is_empty() { String::new() } else { format!(" with display name \"{name}\"") };
        let message = format!(
            "Image {} denied by Binary Authorization platform policy. {} at {}{named} has verdict NON_CONFORMANT. {}",
            self.subject.image(),
            check.kind,
            check.place,
            check.explanation
        );
        let mut verdict = Verdict::deny(self.subject, reason, check.place.clone(), message, dry_run);
        verdict.remedy =
            "Make the image conform, or have whoever owns the platform policy exempt it".to_owned();
        verdict
    }
}

const STALE: &str =
    "Mend the way to the sources (`binauthctl status` on the node names them), or let older evidence do";

/// How old evidence is, and how old it may be.
fn stale(age: Option<Duration>, max: Duration) -> String {
    let max = humantime::format_duration(max);
    match age {
        Some(age) => {
            let age = humantime::format_duration(Duration::from_secs(age.as_secs()));
            format!("their sources were last read {age} ago, more than the {max} that evidence may be old")
        }
        None => format!("when their sources were last read is not known, and evidence may be {max} old"),
    }
}

/// Judges `subject` by what is in force at `now`, with what is `known` of its digests.
pub fn judge(subject: &Subject, known: &[Known<'_>], rulebook: &Rulebook, now: SystemTime) -> Verdict {
    Case::new(subject, rulebook, now).judge(known)
}

fn ground<'a>(subject: &Subject, rulebook: &'a Rulebook, now: SystemTime) -> Ground<'a> {
    if canary::is_in(subject) {
        return Ground::Canary;
    }
    if let Some(denied) = subject.deniable().find_map(|digest| rulebook.deny_list.entry(digest, now)) {
        return Ground::Denied(denied);
    }
    let Some(policy) = rulebook.policy.as_deref() else { return Ground::NoPolicy };
    let spellings = LazyCell::new(|| subject.name().map(|name| name.spellings()).unwrap_or_default());
    if let Some(ground) = system_ground(subject, &spellings, policy, rulebook, now) {
        return ground;
    }
    match first_match(policy.allowlist(), &spellings, now) {
        Some((index, pattern)) => Ground::Pattern(index, pattern),
        None => Ground::Rules(policy.candidates(subject.workload())),
    }
}

fn needs_evidence(ground: &Ground<'_>, subject: &Subject, rulebook: &Rulebook) -> bool {
    let by_rule = match ground {
        Ground::Canary | Ground::Denied(_) => return false,
        Ground::Rules(rules) => rules.iter().any(|(_, rule)| requires_attestation(rule)),
        Ground::SystemDigest(..) | Ground::SystemPattern(..) | Ground::Pattern(..) | Ground::NoPolicy => {
            false
        }
    };
    let platform = rulebook.platform_policy.as_deref();
    by_rule || platform.is_some_and(|platform| conformance::asks(platform, subject))
}

fn system_ground<'a>(
    subject: &Subject,
    spellings: &LazyCell<Vec<String>, impl FnOnce() -> Vec<String>>,
    policy: &Policy,
    rulebook: &'a Rulebook,
    now: SystemTime,
) -> Option<Ground<'a>> {
    let system = policy.uses_system_policy().then_some(&rulebook.system_policy)?;
    let listed = |digest| Some(Ground::SystemDigest(digest, system.allows_digest(digest)?));
    if let Some(ground) = subject.attestable(rulebook.subjects).find_map(listed) {
        return Some(ground);
    }
    let (index, pattern) = first_match(system.allowlist(), spellings, now)?;
    Some(Ground::SystemPattern(index, pattern))
}

/// Where there are no patterns, nothing is spelled.
fn first_match<'a>(
    allowlist: &'a Allowlist,
    spellings: &LazyCell<Vec<String>, impl FnOnce() -> Vec<String>>,
    now: SystemTime,
) -> Option<(usize, &'a AllowlistPattern)> {
    if allowlist.is_empty() { None } else { allowlist.first_match(spellings, now) }
}

/// Which of the image's digests carry what was required; `asked` is the one that it is known by.
fn attested(asked: Digest, attestors: &[AttestorVerdict]) -> String {
    let mut digests: Vec<_> = attestors.iter().filter_map(|attestor| attestor.digest).collect();
    digests.sort_unstable();
    digests.dedup();
    match digests.as_slice() {
        [] => format!("{asked} is attested by every required attestor"),
        [one] => format!("{one} is attested by every required attestor"),
        several => {
            let several: Vec<_> = several.iter().map(Digest::to_string).collect();
            format!("every required attestor has attested one of {}", several.join(", "))
        }
    }
}

fn requires_attestation(rule: &AdmissionRule) -> bool {
    matches!(rule.evaluation, EvaluationMode::RequireAttestation(_))
}

#[cfg(test)]
mod tests;
