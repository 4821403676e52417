//! Check sets: whether an image is as the platform policy wants it.
//!
//! One set is asked, or several where the pod is not known well enough; all checks of a set are made.
//! What is not signed by a signer that the check names counts for nothing here.
//!
//! # Several digests of one image
//!
//! At creation an image is known by its platform manifest and by every index on the node that leads to it.
//! What is filed for an index is said of what it leads to, so provenance, a signed time or an attestation
//! of any of them counts. A digest that nothing is filed for changes nothing: an index that somebody has
//! wrapped around a manifest neither spoils nor mends it. Scans answer for their own digest alone: what
//! the newest scan of any of them found refuses, and one that passes clears no other. A scan that is too
//! old is made good by a newer one of another digest, except where it is of the manifest, which is the
//! very bytes, and found what is refused: an index may have been scanned for another platform.

use std::time::{Duration, SystemTime};

use super::attestors::weigh;
use super::reason::Reason;
use super::subject::Subject;
use super::verdict::{CheckVerdict, Conformance};
use crate::attestation::statement::{Predicate, Provenance, Scan};
use crate::attestation::verify::VerifiedStatement;
use crate::attestation::{AttestorName, Evidence};
use crate::policy::check::{Check, CheckKind, CheckSet, SlsaRule, VulnerabilityBounds};
use crate::policy::{ImagePattern, PlatformPolicy};

/// How far a signed time may lie ahead of this node's clock.
const SKEW: Duration = Duration::from_secs(600);

/// What a platform policy came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conformity {
    pub(super) outcome: Outcome,
    pub(super) checks: Vec<CheckVerdict>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every check that applies passed, or an allowlist exempts the image.
    Conformant,
    /// The first check of these failed, for this reason.
    NonConformant(Reason),
    /// Sets that may apply disagree.
    Unknown,
}

/// What checks are made with.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) subject: &'a Subject,
    pub(super) evidence: &'a [&'a Evidence],
    pub(super) now: SystemTime,
}

/// Holds the subject against `policy`.
pub(super) fn conform(policy: &PlatformPolicy, facts: Facts<'_>) -> Conformity {
    if let Some(pattern) = exempting(policy.allowlist(), facts.subject) {
        return Conformity {
            outcome: Outcome::Conformant,
            checks: vec![exempt("imageAllowlist".to_owned(), String::new(), "ImageAllowlist", pattern)],
        };
    }
    let workload = facts.subject.workload();
    let sets = policy.candidates(workload.namespace.as_deref(), workload.service_account.as_deref());
    let mut outcomes = Vec::new();
    let mut checks = Vec::new();
    for (index, set) in sets {
        let made = by_set(index, set, facts);
        let failed = made.iter().find(|check| check.verdict == Conformance::NonConformant);
        outcomes.push(failed.and_then(|check| check.reason));
        checks.extend(made);
    }
    let outcome = match outcomes.iter().flatten().next() {
        None => Outcome::Conformant,
        Some(_) if outcomes.contains(&None) => Outcome::Unknown,
        Some(reason) => Outcome::NonConformant(*reason),
    };
    Conformity { outcome, checks }
}

/// Whether any check of `policy` needs what is filed for the subject.
pub(super) fn asks(policy: &PlatformPolicy, subject: &Subject) -> bool {
    let workload = subject.workload();
    exempting(policy.allowlist(), subject).is_none()
        && policy
            .candidates(workload.namespace.as_deref(), workload.service_account.as_deref())
            .iter()
            .filter(|(_, set)| exempting(&set.allowlist, subject).is_none())
            .flat_map(|(_, set)| &set.checks)
            .any(|check| !matches!(check.kind, CheckKind::AlwaysDeny | CheckKind::TrustedDirectory(_)))
}

fn by_set(index: usize, set: &CheckSet, facts: Facts<'_>) -> Vec<CheckVerdict> {
    let place = format!("checkSets[{index}]");
    if let Some(pattern) = exempting(&set.allowlist, facts.subject) {
        return vec![exempt(format!("{place}.imageAllowlist"), set.name.clone(), "ImageAllowlist", pattern)];
    }
    let checks = set.checks.iter().enumerate();
    checks.map(|(number, check)| by_check(format!("{place}.checks[{number}]"), check, facts)).collect()
}

fn by_check(place: String, check: &Check, facts: Facts<'_>) -> CheckVerdict {
    if let Some(pattern) = exempting(&check.allowlist, facts.subject) {
        return exempt(place, check.name.clone(), check.kind.type_name(), pattern);
    }
    let (reason, explanation) = match made(&check.kind, facts) {
        Ok(explanation) => (None, explanation),
        Err((reason, explanation)) => (Some(reason), explanation),
    };
    CheckVerdict {
        place,
        display_name: check.name.clone(),
        kind: check.kind.type_name(),
        verdict: if reason.is_none() { Conformance::Conformant } else { Conformance::NonConformant },
        reason,
        explanation,
    }
}

fn exempting<'a>(patterns: &'a [ImagePattern], subject: &Subject) -> Option<&'a ImagePattern> {
    let name = subject.name()?;
    patterns.iter().find(|pattern| pattern.matches(name))
}

fn exempt(place: String, name: String, kind: &'static str, pattern: &ImagePattern) -> CheckVerdict {
    CheckVerdict {
        place,
        display_name: name,
        kind,
        verdict: Conformance::Conformant,
        reason: None,
        explanation: format!("the image matches allowPattern {pattern}"),
    }
}

type Made = Result<String, (Reason, String)>;

fn made(check: &CheckKind, facts: Facts<'_>) -> Made {
    match check {
        CheckKind::AlwaysDeny => Err((Reason::CheckAlwaysDeny, "the check denies every image".to_owned())),
        CheckKind::TrustedDirectory(directories) => {
            let name = facts.subject.name();
            match name.and_then(|name| directories.iter().find(|directory| directory.matches(name))) {
                Some(directory) => Ok(format!("the image lies in trusted directory {directory}")),
                None => {
                    Err((Reason::UntrustedDirectory, "the image lies in no trusted directory".to_owned()))
                }
            }
        }
        // What follows looks for what was said of a digest.
        _ if facts.subject.digest().is_none() => {
            Err((Reason::DigestMissing, "the image is named without a digest".to_owned()))
        }
        _ if facts.evidence.is_empty() => {
            let why = "`subjects` leaves no digest of the image that an attestation may name";
            Err((Reason::SubjectNotAttestable, why.to_owned()))
        }
        CheckKind::SimpleSigning { authority } => {
            let weighed = weigh(authority.name(), facts.evidence.iter().copied(), facts.subject.name());
            match weighed.key_id {
                Some(key) if weighed.satisfied => Ok(format!("attested with key {key}")),
                _ => Err((weighed.reason, weighed.detail.unwrap_or_default())),
            }
        }
        CheckKind::Freshness { max_age, signers } => freshness(*max_age, signers, facts),
        CheckKind::Slsa { rules, signers } => slsa(rules, signers, facts),
        CheckKind::Vulnerability(bounds) => vulnerability(bounds, facts),
    }
}

/// What these signers have verifiably stated about one digest.
struct Stated<'a> {
    statements: Vec<&'a VerifiedStatement>,
    /// Why something that they may have stated is not among it.
    missing: Option<String>,
}

fn stated<'a>(signers: &[AttestorName], evidence: &'a Evidence) -> Stated<'a> {
    let mut stated = Stated { statements: Vec::new(), missing: None };
    for signer in signers {
        let missing = match evidence.statements(signer) {
            None => "is not defined on this node, or more than once",
            Some(found) => {
                stated.statements.extend(&found.verified);
                if found.complete {
                    continue;
                }
                "has no keys, or more is filed under its keys than is looked at"
            }
        };
        stated.missing.get_or_insert_with(|| format!("signer {signer} {missing}"));
    }
    stated
}

/// The same about every digest of the subject.
fn statements<'a>(signers: &[AttestorName], facts: Facts<'a>) -> Vec<&'a VerifiedStatement> {
    facts.evidence.iter().flat_map(|evidence| stated(signers, evidence).statements).collect()
}

/// Whether it is filed in one of these projects; none restrict nothing.
fn is_in(statement: &VerifiedStatement, projects: &[String]) -> bool {
    projects.is_empty() || statement.is_filed_in(projects)
}

fn freshness(max_age: Duration, signers: &[AttestorName], facts: Facts<'_>) -> Made {
    let found = statements(signers, facts);
    let times = found.iter().filter_map(|statement| match &statement.statement().predicate {
        Predicate::Provenance(provenance) => provenance.finished,
        Predicate::Scan(scan) => Some(scan.finished),
        Predicate::Negative(_)
        | Predicate::Unreadable(_)
        | Predicate::UnreadableScan(_)
        | Predicate::Other => None,
    });
    // A time that has not come yet says nothing of an age.
    let Some(newest) = times.filter(|time| *time <= facts.now + SKEW).max() else {
        let why = "no statement by the check's signers says when the image was built or scanned";
        return Err((Reason::NoSignedTime, why.to_owned()));
    };
    let age = facts.now.duration_since(newest).unwrap_or_default();
    let told = format!("built or scanned {} ago, by a signed time", rounded(age));
    if age > max_age {
        return Err((Reason::ImageTooOld, format!("{told}; at most {} are allowed", rounded(max_age))));
    }
    Ok(told)
}

/// OR over rules and over provenance statements: one that satisfies one rule is enough.
fn slsa(rules: &[SlsaRule], signers: &[AttestorName], facts: Facts<'_>) -> Made {
    let found = statements(signers, facts);
    let provenances = found.iter().filter_map(|statement| match &statement.statement().predicate {
        Predicate::Provenance(provenance) => Some((*statement, provenance)),
        _ => None,
    });
    let mut best = (Reason::NoProvenance, "no provenance by the check's signers names the digest".to_owned());
    for (statement, provenance) in provenances {
        for rule in rules.iter().filter(|rule| is_in(statement, &rule.projects)) {
            let missed = if !rule.trusts_builder(&provenance.builder) {
                (
                    Reason::UntrustedBuilder,
                    format!("built by {}, which is not trusted", brief(&provenance.builder)),
                )
            } else if rule.config_based_build_required && !provenance.config_based {
                (Reason::NotConfigBased, "not built from a build configuration in the source".to_owned())
            } else if !provenance.source.as_deref().is_some_and(|source| rule.trusts_source(source)) {
                (Reason::UntrustedSource, format!("built from {}, which is not trusted", source(provenance)))
            } else {
                return Ok(format!("built by {} from {}", brief(&provenance.builder), source(provenance)));
            };
            if missed.0 > best.0 {
                best = missed;
            }
        }
    }
    Err(best)
}

fn source(provenance: &Provenance) -> String {
    provenance.source.as_deref().map_or_else(|| "a source that is not told".to_owned(), brief)
}

/// The newest scan of a digest decides; of several that are equally new, each does. Where several digests
/// were scanned, none answers for another.
fn vulnerability(bounds: &VulnerabilityBounds, facts: Facts<'_>) -> Made {
    let mut passed = None;
    let mut old = None;
    let mut old_and_bad = None;
    for evidence in facts.evidence {
        let newest = match newest_scan(bounds, evidence, facts.now) {
            Ok(newest) => newest,
            // Another digest may have been scanned.
            Err((Reason::NoScan, _)) => continue,
            Err(refused) => return Err(refused),
        };
        if let Some(max_age) = bounds.max_scan_age.filter(|max_age| newest.age > *max_age) {
            let (age, allowed) = (rounded(newest.age), rounded(max_age));
            old = Some((Reason::ScanTooOld, format!("scanned {age} ago; at most {allowed} are allowed")));
            // Another digest may have been scanned since, but these are the very bytes.
            if facts.subject.is_manifest(evidence.digest()) && !newest.refused.is_empty() {
                old_and_bad = Some(newest.found());
            }
        } else if newest.refused.is_empty() {
            passed = Some(format!("scanned {} ago, nothing beyond what is allowed", rounded(newest.age)));
        } else {
            return Err((Reason::Vulnerable, newest.found()));
        }
    }
    match (passed, old_and_bad) {
        (Some(_), Some(found)) => {
            let why = format!("{found}: scan the manifest again, no scan of an index clears it");
            Err((Reason::Vulnerable, why))
        }
        (Some(passed), None) => Ok(passed),
        (None, _) => Err(old.unwrap_or_else(|| {
            (Reason::NoScan, "no scan by the check's signers names the digest".to_owned())
        })),
    }
}

/// What was last found of a digest.
struct Newest {
    age: Duration,
    /// What the check refuses of it, sorted, each once.
    refused: Vec<String>,
}

impl Newest {
    fn found(&self) -> String {
        let shown: Vec<_> = self.refused.iter().take(5).map(String::as_str).collect();
        let more = self.refused.len().saturating_sub(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("the scan of {} ago found {}{more}", rounded(self.age), shown.join(", "))
    }
}

fn newest_scan(
    bounds: &VulnerabilityBounds,
    evidence: &Evidence,
    now: SystemTime,
) -> Result<Newest, (Reason, String)> {
    let Stated { statements, missing } = stated(&bounds.signers, evidence);
    if let Some(missing) = missing {
        return Err((Reason::ScanUnreadable, format!("{missing}: a newer scan may not have been seen")));
    }
    let mut scans: Vec<&Scan> = Vec::new();
    for statement in statements.iter().filter(|statement| is_in(statement, &bounds.projects)) {
        match &statement.statement().predicate {
            Predicate::Scan(scan) => scans.push(scan),
            // It cannot be told whether this is the newest.
            Predicate::UnreadableScan(why) => return Err((Reason::ScanUnreadable, brief(why))),
            Predicate::Provenance(_)
            | Predicate::Negative(_)
            | Predicate::Unreadable(_)
            | Predicate::Other => {}
        }
    }
    let Some(newest) = scans.iter().map(|scan| scan.finished).max() else {
        return Err((Reason::NoScan, String::new()));
    };
    if newest > now + SKEW {
        return Err((Reason::ScanUnreadable, "the newest scan is dated in the future".to_owned()));
    }
    let age = now.duration_since(newest).unwrap_or_default();
    let findings = scans.iter().filter(|scan| scan.finished == newest).flat_map(|scan| &scan.findings);
    let mut refused: Vec<_> =
        findings.filter(|finding| bounds.refuses(finding)).map(|one| brief(&one.id)).collect();
    refused.sort_unstable();
    refused.dedup();
    Ok(Newest { age, refused })
}

fn brief(text: &str) -> String {
    crate::text::shown(text, 120)
}

fn rounded(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
