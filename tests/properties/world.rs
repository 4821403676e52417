//! Small worlds: everything a decision depends on, drawn from pools so small that good evidence is common.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use binauthd::attestation::{Attestor, Evidence, KeyRing, Occurrence};
use binauthd::decision::{Canary, Case, Known, Ladder, Looks, Subject, Verdict};
use binauthd::document::Format;
use binauthd::image::{Digest, DigestKind, Workload};
use binauthd::policy::{BreakGlass, DenyList, Options, PlatformPolicy, Policy, Rulebook, SystemPolicy};
use serde_json::{Value, json};

use super::filed::{Filed, pkix};

pub(crate) const IMAGE: &str = "registry.example.com/team/app";
pub(crate) const DAY: u64 = 86_400;
/// The age that a vulnerability check allows, where it has a bound.
pub(crate) const MAX_SCAN_AGE: u64 = 3 * DAY;
/// How many attestors there may be; they are named `a`, `b` and `c`.
pub(crate) const ATTESTORS: usize = 3;
/// How many keys there are; the last is nobody's.
pub(crate) const KEYS: usize = 4;

pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * DAY)
}

/// Of the index, of the manifest, and of another image.
pub(crate) fn digest(which: usize) -> Digest {
    Digest::of(&[which as u8])
}

/// Attestor `a`, `b` or `c`.
#[derive(Debug, Clone)]
pub(crate) struct Party {
    pub(crate) number: usize,
    /// Which keys, by number; their ids are `k0` and so on.
    pub(crate) keys: Vec<usize>,
    pub(crate) compares_reference: bool,
}

pub(crate) fn attestor(number: usize) -> String {
    format!("projects/p/attestors/{}", ["a", "b", "c"][number])
}

impl Party {
    fn read(&self) -> Attestor {
        let key = |key: &usize| json!({"id": format!("k{key}"), "pkixPublicKey": pkix(*key)});
        let keys: Vec<_> = self.keys.iter().map(key).collect();
        let document = json!({"name": attestor(self.number),
            "userOwnedGrafeasNote": {"noteReference": note(self.number), "publicKeys": keys},
            "binauthdRequireDockerReference": self.compares_reference});
        Attestor::parse(document.to_string().as_bytes(), Format::Json).unwrap()
    }
}

pub(crate) fn note(number: usize) -> String {
    attestor(number).replace("attestors", "notes")
}

/// How a rule decides; of the attestors that it requires, their numbers.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    Allow,
    Deny,
    Require(Vec<usize>),
}

impl Rule {
    fn document(&self, dry_run: bool) -> Value {
        let mode = if dry_run { "DRYRUN_AUDIT_LOG_ONLY" } else { "ENFORCED_BLOCK_AND_AUDIT_LOG" };
        match self {
            Self::Allow => json!({"evaluationMode": "ALWAYS_ALLOW", "enforcementMode": mode}),
            Self::Deny => json!({"evaluationMode": "ALWAYS_DENY", "enforcementMode": mode}),
            Self::Require(who) => json!({"evaluationMode": "REQUIRE_ATTESTATION", "enforcementMode": mode,
                "requireAttestationsBy": who.iter().map(|one| attestor(*one)).collect::<Vec<_>>()}),
        }
    }
}

/// A check, of the platform policy.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    AlwaysDeny,
    Directory { trusted: bool },
    SimpleSigning { keys: Vec<usize> },
    Freshness { signer: usize },
    Slsa { signer: usize },
    Vulnerability(Bounds),
}

/// Of a vulnerability check.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) signers: Vec<usize>,
    /// Whether a scan must not be older than [`MAX_SCAN_AGE`].
    pub(crate) ages: bool,
    /// Whether scans are looked for in one project alone.
    pub(crate) one_project: bool,
}

impl Check {
    fn document(&self) -> Value {
        let names = |who: &[usize]| who.iter().map(|one| attestor(*one)).collect::<Vec<_>>();
        match self {
            Self::AlwaysDeny => json!({"alwaysDeny": true}),
            Self::Directory { trusted } => {
                let folder = if *trusted { "registry.example.com/team" } else { "gcr.io/x" };
                json!({"trustedDirectoryCheck": {"trustedDirPatterns": [folder]}})
            }
            Self::SimpleSigning { keys } => {
                let key = |key: &usize| {
                    let mut document = pkix(*key);
                    document["keyId"] = format!("k{key}").into();
                    document
                };
                let keys: Vec<_> = keys.iter().map(key).collect();
                json!({"simpleSigningAttestationCheck": {
                    "containerAnalysisAttestationProjects": ["projects/p"],
                    "attestationAuthenticators": [{"pkixPublicKeySet": {"pkixPublicKeys": keys}}]}})
            }
            Self::Freshness { signer } => {
                json!({"imageFreshnessCheck": {"maxUploadAgeDays": 3, "binauthdAttestors": names(&[*signer])}})
            }
            Self::Slsa { signer } => json!({"slsaCheck": {"binauthdAttestors": names(&[*signer]), "rules": [{
                "binauthdBuilderIds": ["https://ci.example/x"], "trustedSourceRepoPatterns": ["github.com/acme/*"]}]}}),
            Self::Vulnerability(bounds) => {
                let mut check = json!({"maximumFixableSeverity": "MEDIUM", "maximumUnfixableSeverity": "MEDIUM",
                    "binauthdAttestors": names(&bounds.signers)});
                if bounds.ages {
                    check["maxScanAge"] = format!("{MAX_SCAN_AGE}s").into();
                }
                if bounds.one_project {
                    check["containerAnalysisVulnerabilityProjects"] = json!(["projects/p"]);
                }
                json!({"vulnerabilityCheck": check})
            }
        }
    }
}

/// Everything.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) default_rule: (Rule, bool),
    /// Map and key, as written, with a rule and whether it runs dry.
    pub(crate) rules: Vec<(&'static str, &'static str, Rule, bool)>,
    pub(crate) patterns: Vec<&'static str>,
    pub(crate) uses_system: bool,
    pub(crate) system_digests: Vec<usize>,
    pub(crate) system_patterns: Vec<&'static str>,
    pub(crate) denied: Vec<usize>,
    /// `AUDIT` and so on, and the check sets: for which namespace or service account, with which checks, and
    /// whether an allowlist exempts the image.
    pub(crate) platform: Option<(&'static str, Vec<Set>)>,
    pub(crate) parties: Vec<Party>,
    pub(crate) filed: Vec<Filed>,
    pub(crate) workload: Workload,
    /// Whether index and manifest are known apart; else only the first digest is.
    pub(crate) resolved: bool,
}

/// A check set.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    pub(crate) scope: Option<(&'static str, &'static str)>,
    pub(crate) exempts: bool,
    pub(crate) checks: Vec<Check>,
}

/// The maps that a policy may have rules in.
pub(crate) const KEYED: &[(&str, &str)] = &[
    ("clusterAdmissionRules", "eu.prod"),
    ("kubernetesNamespaceAdmissionRules", "shop"),
    ("kubernetesNamespaceAdmissionRules", "ops"),
    ("kubernetesServiceAccountAdmissionRules", "shop:web"),
    ("kubernetesServiceAccountAdmissionRules", "ops:web"),
    ("istioServiceIdentityAdmissionRules", "spiffe://mesh/ns/shop/sa/web"),
    ("istioServiceIdentityAdmissionRules", "mesh/ns/ops/sa/job"),
];

impl World {
    fn rulebook(&self) -> Rulebook {
        let (default_rule, dry_run) = &self.default_rule;
        let patterns =
            |names: &[&str]| Value::from_iter(names.iter().map(|pattern| json!({"namePattern": pattern})));
        let mut policy = json!({"defaultAdmissionRule": default_rule.document(*dry_run),
            "admissionWhitelistPatterns": patterns(&self.patterns),
            "globalPolicyEvaluationMode": if self.uses_system { "ENABLE" } else { "DISABLE" }});
        for (map, key, rule, dry_run) in &self.rules {
            policy[map][key] = rule.document(*dry_run);
        }
        let options = Options { allow_multiple_rule_maps: true };
        let policy = Policy::parse(policy.to_string().as_bytes(), Format::Json, options).unwrap();
        let listed = |numbers: &[usize]| {
            Value::from_iter(
                numbers.iter().map(|one| json!({"digest": digest(*one).to_string(), "reason": "x"})),
            )
        };
        let denied = json!({"digests": listed(&self.denied)});
        let system = json!({"digests": listed(&self.system_digests), "trustRegistry": true,
            "admissionWhitelistPatterns": patterns(&self.system_patterns)});
        Rulebook {
            policy: Some(Arc::new(policy)),
            deny_list: Arc::new(DenyList::parse(denied.to_string().as_bytes(), Format::Json).unwrap()),
            system_policy: Arc::new(
                SystemPolicy::parse(system.to_string().as_bytes(), Format::Json).unwrap(),
            ),
            platform_policy: self.platform_policy().map(Arc::new),
            ..Rulebook::default()
        }
    }

    fn platform_policy(&self) -> Option<PlatformPolicy> {
        let (mode, sets) = self.platform.as_ref()?;
        let set = |set: &Set| {
            let exempt = if set.exempts { json!(["registry.example.com/team/**"]) } else { json!([]) };
            let checks: Vec<_> = set.checks.iter().map(Check::document).collect();
            let mut document = json!({"checks": checks, "imageAllowlist": {"allowPattern": exempt}});
            if let Some((field, value)) = set.scope {
                document["scope"][field] = value.into();
            }
            document
        };
        let sets: Vec<_> = sets.iter().map(set).collect();
        let document = json!({"binauthdEnforcementMode": mode, "gkePolicy": {"checkSets": sets}});
        Some(PlatformPolicy::parse(document.to_string().as_bytes(), Format::Json).unwrap())
    }

    fn subject(&self) -> Subject {
        let digests: &[_] = if self.resolved {
            &[(digest(0), DigestKind::Index), (digest(1), DigestKind::Manifest)]
        } else {
            &[(digest(0), DigestKind::Unknown)]
        };
        let subject = Subject::named(&format!("{IMAGE}@{}", digest(0))).unwrap();
        subject.with_digests(digests).unwrap().in_workload(self.workload.clone())
    }

    /// Judges the world; with the ladder, where that is asked for.
    pub(crate) fn judge(&self) -> Verdict {
        self.judge_with(BreakGlass::default())
    }

    /// The same with break-glass.
    pub(crate) fn judge_with(&self, glass: BreakGlass) -> Verdict {
        let rulebook = Rulebook { break_glass: Arc::new(glass), ..self.rulebook() };
        let subject = self.subject();
        let occurrences = self.occurrences();
        let key_ring = rulebook.narrow(&KeyRing::new(self.parties.iter().map(Party::read)));
        let case = Case::new(&subject, &rulebook, now());
        let evidence: Vec<_> =
            case.asks().iter().map(|digest| Evidence::gather(*digest, &occurrences, &key_ring)).collect();
        case.judge(&known(&evidence))
    }

    /// What becomes of the canary in this world, with every digest of it allowed by the system policy.
    pub(crate) fn judge_canary(&self, glass: BreakGlass) -> Verdict {
        let canary = Canary::of("amd64").digest();
        let system = json!({"digests": [{"digest": canary.to_string(), "reason": "x"}]}).to_string();
        let system = SystemPolicy::parse(system.as_bytes(), Format::Json).unwrap();
        let rulebook =
            Rulebook { break_glass: Arc::new(glass), system_policy: Arc::new(system), ..self.rulebook() };
        let subject =
            Subject::named(&format!("{IMAGE}@{canary}")).unwrap().in_workload(self.workload.clone());
        Case::new(&subject, &rulebook, now()).judge(&[])
    }

    /// The same, watched and told.
    pub(crate) fn explained(&self) -> Ladder {
        let (rulebook, subject) = (self.rulebook(), self.subject());
        let occurrences = self.occurrences();
        let key_ring = rulebook.narrow(&KeyRing::new(self.parties.iter().map(Party::read)));
        let case = Case::new(&subject, &rulebook, now());
        let mut looks = Looks::default();
        let evidence: Vec<_> = case
            .asks()
            .iter()
            .map(|digest| Evidence::gather_watched(*digest, &occurrences, &key_ring, None, &mut looks))
            .collect();
        Ladder::new(&case, case.judge(&known(&evidence)), &looks)
    }

    /// Those that can be read, as a source gives them.
    fn occurrences(&self) -> Vec<Occurrence> {
        self.filed.iter().filter_map(|filed| Occurrence::parse(filed.text().as_bytes()).ok()).collect()
    }
}

fn known(evidence: &[Evidence]) -> Vec<Known<'_>> {
    evidence.iter().map(Known::wholly).collect()
}
