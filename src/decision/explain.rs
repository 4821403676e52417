//! The ladder: how a verdict came about, step by step in the order of evaluation, with each signature
//! that was looked at.

use serde::Serialize;

use super::attestors::explain;
use super::judge::{Case, Ground};
use super::reason::Reason;
use super::verdict::{AttestorVerdict, Conformance, Decision, Verdict};
use crate::attestation::occurrence::Signature;
use crate::attestation::verify::{Look, Observer};
use crate::attestation::{AttestorName, Occurrence};
use crate::policy::{EnforcementMode, PlatformEnforcement};
use crate::text::shown;

/// What is kept of the looks of each sort, in bytes of JSON; the rest is counted. Together they fit into an
/// answer on the admin socket, and those of one sort, of which strangers can file any number, hide none of
/// another.
const ROOM_FOR_HITS: usize = 1024 * 1024;
const ROOM_FOR_MISSES: usize = 4 * 1024 * 1024 + 512 * 1024;
const ROOM_FOR_STRAYS: usize = 1024 * 1024 + 512 * 1024;

/// A look's JSON beside its text.
const FRAME: usize = 128;

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StepOutcome {
    /// It decides that the image may run.
    Allows,
    /// It decides that the image may not run.
    Denies,
    /// It decides nothing; the next step is taken.
    Passes,
    /// It was not taken.
    Skipped,
}

/// One rung.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What was asked, such as `denyList`, a rule's place, an attestor's name or a check's place.
    pub step: String,
    /// What it came to.
    pub outcome: StepOutcome,
    /// Stable code, where the step has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// For people.
    pub detail: String,
    /// Every signature that was looked at, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Looked>,
}

/// One signature that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Looked {
    /// The occurrence, by its own name.
    pub occurrence: String,
    /// The key that the signature names; absent where all of an occurrence was passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Whether it counts.
    pub counts: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// For people.
    pub detail: String,
}

/// Collects looks, attestor by attestor.
#[derive(Debug)]
pub struct Looks {
    by: Vec<(AttestorName, Looked)>,
    more: usize,
    room_for_hits: usize,
    room_for_misses: usize,
    room_for_strays: usize,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            by: Vec::new(),
            more: 0,
            room_for_hits: ROOM_FOR_HITS,
            room_for_misses: ROOM_FOR_MISSES,
            room_for_strays: ROOM_FOR_STRAYS,
        }
    }
}

impl Looked {
    /// Its length in JSON, or more: what stands there has no control characters.
    fn length(&self) -> usize {
        let texts = [Some(&self.occurrence), self.key_id.as_ref(), Some(&self.detail)];
        let escaped = |text: &String| text.len() + text.matches(['"', '\\']).count();
        FRAME + texts.into_iter().flatten().map(escaped).sum::<usize>()
    }
}

impl Observer for Looks {
    fn look(&mut self, attestor: &AttestorName, at: &Occurrence, signature: Option<&Signature>, look: Look) {
        let room = match &look {
            Look::Attests(_) | Look::States(_) => &mut self.room_for_hits,
            Look::Misses(_) | Look::Repeats => &mut self.room_for_misses,
            Look::Elsewhere => &mut self.room_for_strays,
        };
        // Nothing is made of the thousands that find no room.
        if *room == 0 {
            self.more += 1;
            return;
        }
        let (counts, reason, detail) = match look {
            Look::Attests(form) => (true, None, format!("attests the digest: {form}")),
            Look::States(kind) => (true, None, format!("states {kind} about the digest")),
            Look::Misses(miss) => (false, Some(Reason::from(&miss)), explain(&miss)),
            Look::Repeats => (false, None, "the same signature was looked at before".to_owned()),
            Look::Elsewhere => (
                false,
                None,
                format!("filed under {}, which is not where this attestor files", shown(&at.note, 120)),
            ),
        };
        let key_id = signature.map(|signature| shown(&signature.key_id, 120));
        let looked = Looked { occurrence: at.name.clone(), key_id, counts, reason, detail };
        match room.checked_sub(looked.length()) {
            Some(left) => {
                *room = left;
                self.by.push((attestor.clone(), looked));
            }
            None => {
                *room = 0;
                self.more += 1;
            }
        }
    }
}

/// A verdict and how it came about.
#[derive(Debug, Clone, Serialize)]
pub struct Ladder {
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The steps, in the order of evaluation.
    pub ladder: Vec<Step>,
}

impl Ladder {
    /// Of `case`, which was judged to be `verdict` after these `looks`.
    #[must_use]
    pub fn new(case: &Case<'_>, verdict: Verdict, looks: &Looks) -> Self {
        let mut ladder = Vec::new();
        exemptions(case, &mut ladder);
        rules(case, &verdict, looks, &mut ladder);
        checks(case, &verdict, looks, &mut ladder);
        ladder.extend(break_glass(case, &verdict));
        if looks.more > 0 {
            let detail = format!("{} more signatures were looked at", looks.more);
            ladder.push(step("signatures", StepOutcome::Passes, detail));
        }
        ladder.push(last(&verdict));
        Self { verdict, ladder }
    }
}

impl Ladder {
    /// Of a question that came before no step at all.
    #[must_use]
    pub fn undecided(verdict: Verdict) -> Self {
        let ladder = vec![last(&verdict)];
        Self { verdict, ladder }
    }
}

fn step(step: &str, outcome: StepOutcome, detail: impl Into<String>) -> Step {
    Step { step: step.to_owned(), outcome, reason: None, detail: detail.into(), signatures: Vec::new() }
}

/// Deny list, system policy and allowlist patterns.
fn exemptions(case: &Case<'_>, ladder: &mut Vec<Step>) {
    use StepOutcome::{Allows, Denies, Passes, Skipped};
    let list = &case.rulebook.deny_list;
    let refused = match case.ground {
        Ground::Canary => Some(step("canary", Denies, "it is the canary, which is always refused")),
        Ground::Denied(denied) => {
            let detail = format!("{} is on the deny list: {}", denied.digest, denied.reason);
            Some(step("denyList", Denies, detail))
        }
        _ => None,
    };
    if let Some(refused) = refused {
        ladder.push(refused);
        for (name, detail) in [
            ("systemPolicy", "that is refused before anything else"),
            ("admissionWhitelistPatterns", "as above"),
            ("defaultAdmissionRule", "as above"),
        ] {
            ladder.push(step(name, Skipped, detail));
        }
        return;
    }
    ladder.push(step("denyList", Passes, format!("none of {} denied digests is the image's", list.len())));
    let Some(policy) = case.rulebook.policy.as_deref() else {
        ladder.push(step("policy", Skipped, "no policy is in force beside the platform policy"));
        return;
    };
    let system = match &case.ground {
        Ground::SystemDigest(digest, reason) => {
            step("systemPolicy", Allows, format!("{digest} is listed: {reason}"))
        }
        Ground::SystemPattern(index, pattern) => step(
            "systemPolicy",
            Allows,
            format!("pattern {pattern} (number {index}) matches, and its registry is trusted"),
        ),
        _ if policy.uses_system_policy() => {
            step("systemPolicy", Passes, "neither the digest nor the name is listed")
        }
        _ => step("systemPolicy", Skipped, "globalPolicyEvaluationMode is not ENABLE"),
    };
    let decided = system.outcome == Allows;
    ladder.push(system);
    let patterns = policy.allowlist();
    let spellings = case.subject.name().map(|name| name.spellings()).unwrap_or_default();
    ladder.push(match &case.ground {
        _ if decided => step("admissionWhitelistPatterns", Skipped, "the system policy has decided"),
        Ground::Pattern(index, pattern) => {
            let detail = format!("{pattern} matches{}", patterns.terms(*index));
            step(&format!("admissionWhitelistPatterns[{index}]"), Allows, detail)
        }
        _ if spellings.is_empty() => {
            step("admissionWhitelistPatterns", Passes, "the image has no name that a pattern could match")
        }
        _ => {
            let mut detail =
                format!("none of {} patterns matches {}", patterns.len(), spellings.join(" or "));
            if let Some((place, pattern)) = patterns.first_ended(&spellings, case.now) {
                let end = patterns.terms(place).end().unwrap_or_default();
                detail = format!("{pattern} (number {place}) would match, and ended at {end}");
            }
            step("admissionWhitelistPatterns", Passes, detail)
        }
    });
}

/// The rule that applies, or those that may, and their attestors.
fn rules(case: &Case<'_>, verdict: &Verdict, looks: &Looks, ladder: &mut Vec<Step>) {
    use StepOutcome::{Allows, Denies, Passes, Skipped};
    let Ground::Rules(rules) = &case.ground else {
        if matches!(case.ground, Ground::Pattern(..) | Ground::SystemDigest(..) | Ground::SystemPattern(..)) {
            ladder.push(step("defaultAdmissionRule", Skipped, "the image is exempt"));
        }
        return;
    };
    let specific = |place: &str| place != "defaultAdmissionRule";
    if !rules.iter().any(|(place, _)| specific(&place.to_string())) {
        ladder.push(step("specific rules", Passes, "none applies to the pod"));
    }
    for (place, rule) in rules {
        let may = if rules.len() > 1 { "may apply: " } else { "applies: " };
        let detail = format!("{may}{}, {}", rule.evaluation.as_str(), rule.enforcement.as_str());
        let outcome = match rule.evaluation {
            _ if rules.len() > 1 => Passes,
            crate::policy::EvaluationMode::AlwaysAllow => Allows,
            crate::policy::EvaluationMode::AlwaysDeny => Denies,
            crate::policy::EvaluationMode::RequireAttestation(_) => Passes,
        };
        ladder.push(step(&place.to_string(), outcome, detail));
    }
    if rules.len() == 1 && rules.iter().any(|(place, _)| specific(&place.to_string())) {
        ladder.push(step("defaultAdmissionRule", Skipped, "a specific rule applies"));
    }
    ladder.extend(verdict.attestors.iter().map(|attestor| of_attestor(attestor, looks)));
    let dry_run =
        rules.len() == 1 && rules.iter().any(|(_, rule)| rule.enforcement == EnforcementMode::DryRun);
    if dry_run && verdict.would != Decision::Allow && verdict.allows() {
        ladder.push(step("enforcementMode", Allows, "dry run: the refusal is recorded and not enforced"));
    }
}

fn of_attestor(attestor: &AttestorVerdict, looks: &Looks) -> Step {
    let outcome = if attestor.satisfied { StepOutcome::Passes } else { StepOutcome::Denies };
    let detail = match (&attestor.digest, &attestor.key_id) {
        (Some(digest), Some(key)) if attestor.satisfied => format!("attested {digest} with key {key}"),
        _ => attestor.detail.clone().unwrap_or_default(),
    };
    Step {
        reason: Some(attestor.reason),
        signatures: looks_of(looks, &attestor.name),
        ..step(attestor.name.as_str(), outcome, detail)
    }
}

fn looks_of(looks: &Looks, name: &AttestorName) -> Vec<Looked> {
    looks.by.iter().filter(|(by, _)| by == name).map(|(_, looked)| looked.clone()).collect()
}

fn checks(case: &Case<'_>, verdict: &Verdict, looks: &Looks, ladder: &mut Vec<Step>) {
    let Some(platform) = case.rulebook.platform_policy.as_deref() else { return };
    if matches!(case.ground, Ground::Canary | Ground::Denied(_)) {
        ladder.push(step("checkSets", StepOutcome::Skipped, "as above"));
        return;
    }
    for check in &verdict.checks {
        let outcome = match check.verdict {
            Conformance::Conformant => StepOutcome::Passes,
            Conformance::NonConformant if platform.enforcement() == PlatformEnforcement::AuditAndEnforce => {
                StepOutcome::Denies
            }
            Conformance::NonConformant => StepOutcome::Passes,
        };
        ladder.push(Step {
            reason: check.reason,
            ..step(&format!("{} {}", check.kind, check.place), outcome, check.explanation.clone())
        });
    }
    let named = verdict.attestors.iter().map(|attestor| &attestor.name);
    let mut told: Vec<_> = named.collect();
    for (name, _) in &looks.by {
        if !told.contains(&name) {
            told.push(name);
            let signatures = looks_of(looks, name);
            let detail = "signatures looked at for the checks";
            ladder.push(Step { signatures, ..step(name.as_str(), StepOutcome::Passes, detail) });
        }
    }
    if verdict.checks.is_empty() {
        ladder.push(step("checkSets", StepOutcome::Passes, "no check applies"));
    }
}

/// Where break-glass could have been.
fn break_glass(case: &Case<'_>, verdict: &Verdict) -> Option<Step> {
    use StepOutcome::{Allows, Passes, Skipped};
    let of = |outcome, detail: &str| step("breakGlass", outcome, detail);
    let glass = &case.rulebook.break_glass;
    Some(match &verdict.break_glass {
        None if glass.is_empty() => return None,
        None if matches!(case.ground, Ground::Canary) => of(Skipped, "it does not override the canary"),
        None if matches!(case.ground, Ground::Denied(_)) => of(Skipped, "it does not override the deny list"),
        None if verdict.allows() => of(Skipped, "nothing refuses"),
        None => of(
            Passes,
            &match glass.somewhere(case.subject.deniable(), case.now) {
                Some(grant) => format!("grant {} lets it run in {}", grant.serial(), grant.namespaces()),
                None => "no grant that holds now names the image".to_owned(),
            },
        ),
        Some(broken) => of(
            Allows,
            &match &broken.grant {
                Some(grant) => {
                    format!("grant {} overrides {}, until {}", grant.serial, broken.overrides, grant.expires)
                }
                None => format!("the pod's label overrides {}", broken.overrides),
            },
        ),
    })
}

fn last(verdict: &Verdict) -> Step {
    let outcome = if verdict.allows() { StepOutcome::Allows } else { StepOutcome::Denies };
    Step { reason: Some(verdict.reason), ..step("verdict", outcome, verdict.message.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::verify::Miss;

    /// The longest answer on the admin socket.
    const ANSWER: usize = 8 * 1024 * 1024;

    /// More than anybody reads is filed under other notes and under keys of nobody, before what counts.
    #[test]
    fn what_counts_is_told_and_all_of_it_fits_into_an_answer() {
        let nasty = "\"\\".repeat(128);
        let digest = "ab".repeat(32);
        let text = format!(
            r#"{{"name":{nasty:?},"resourceUri":"r/x@sha256:{digest}","noteName":{nasty:?},
                "attestation":{{"serializedPayload":"aGk=","signatures":[{{"publicKeyId":{nasty:?},"signature":""}}]}}}}"#
        );
        let at = Occurrence::parse(text.as_bytes()).unwrap();
        let attestor: AttestorName = "projects/p/attestors/a".parse().unwrap();
        let mut looks = Looks::default();
        for _ in 0..50_000 {
            looks.look(&attestor, &at, None, Look::Elsewhere);
        }
        for _ in 0..50_000 {
            let miss = Look::Misses(Miss::UnknownKey(nasty.clone()));
            looks.look(&attestor, &at, at.signatures.first(), miss);
        }
        looks.look(&attestor, &at, at.signatures.first(), Look::Attests("signature over the payload"));
        let told = looks_of(&looks, &attestor);
        let (strays, rest): (Vec<_>, Vec<_>) = told.iter().partition(|looked| looked.key_id.is_none());
        assert!(strays.len() > 1_000 && rest.len() > 1_000, "{} {}", strays.len(), rest.len());
        assert!(told.last().is_some_and(|looked| looked.counts));
        assert_eq!(told.len() + looks.more, 100_001);
        assert!(serde_json::to_vec(&told).unwrap().len() < ANSWER - ANSWER / 16);
    }
}
