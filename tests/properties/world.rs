//! Small worlds: everything a decision depends on, drawn from pools so small that good evidence is common.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use binauthd::attestation::{Attestor, Evidence, KeyRing, Occurrence, dsse, payload, statement};
use binauthd::decision::{Case, Known, Ladder, Looks, Subject, Verdict};
use binauthd::document::Format;
use binauthd::image::{Digest, DigestKind, Workload};
use binauthd::policy::{DenyList, Options, PlatformPolicy, Policy, Rulebook, SystemPolicy};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, Signature, SigningKey};
use p256::pkcs8::EncodePublicKey as _;
use serde_json::{Value, json};

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

static SIGNERS: LazyLock<Vec<(SigningKey, String)>> = LazyLock::new(|| {
    let signer = |number: usize| {
        let key = SigningKey::from_slice(&[number as u8 + 1; 32]).unwrap();
        let pem = key.verifying_key().to_public_key_pem(p256::pkcs8::LineEnding::LF).unwrap();
        (key, pem)
    };
    (0..KEYS).map(signer).collect()
});

fn sign(key: usize, message: &[u8]) -> Vec<u8> {
    let signature: DerSignature = SIGNERS[key].0.sign(message);
    signature.as_bytes().to_vec()
}

fn pkix(key: usize) -> Value {
    json!({"publicKeyPem": SIGNERS[key].1, "signatureAlgorithm": "ECDSA_P256_SHA256"})
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn base64_url(bytes: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn date(age: i64) -> String {
    let seconds = (20_000 * DAY).checked_add_signed(-age).unwrap();
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
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

fn note(number: usize) -> String {
    attestor(number).replace("attestors", "notes")
}

/// What an occurrence says, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Says {
    /// A simple-signing payload, signed as it is.
    Raw,
    /// The same, signed over its PAE.
    Pae,
    /// The same in an envelope.
    Envelope,
    /// The same in a token.
    Token,
    /// Provenance that ended `age` seconds ago, by a builder that is trusted or not.
    Provenance { age: u64, trusted: bool },
    /// A scan that ended `age` seconds ago; how bad its finding is, if it has one.
    Scan { age: i64, found: Option<&'static str> },
    /// A scan that cannot be read.
    BrokenScan,
    /// That a test failed.
    Failed,
}

/// One occurrence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filed {
    /// Under whose note.
    pub(crate) note: usize,
    /// In which project.
    pub(crate) project: &'static str,
    /// By which key, by number.
    pub(crate) key: usize,
    /// Under which digest, and which one is signed.
    pub(crate) under: usize,
    pub(crate) about: usize,
    pub(crate) says: Says,
    pub(crate) created: u64,
    /// Under another name than [`IMAGE`].
    pub(crate) elsewhere: bool,
    pub(crate) spoilt: Spoilt,
}

/// What is wrong with an occurrence besides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Spoilt {
    Nothing,
    /// The signature is another's over the same.
    Signature,
    /// It is no signature.
    Shape,
    /// The key id is nobody's.
    KeyId,
    /// The envelope, where it is one, is of another type.
    Type,
    /// The document ends early.
    Document,
}

impl Filed {
    /// Whether it takes away from what a scan allows.
    pub(crate) fn is_scan(&self) -> bool {
        matches!(self.says, Says::Scan { .. } | Says::BrokenScan)
    }

    fn statement(&self) -> Value {
        let (kind, predicate) = match &self.says {
            Says::Provenance { age, trusted } => (
                "https://slsa.dev/provenance/v1",
                json!({"buildDefinition": {"buildType": "x", "externalParameters":
                        {"workflow": {"repository": "https://github.com/acme/app", "path": "ci.yaml"}}},
                    "runDetails": {"builder": {"id": if *trusted { "https://ci.example/x" } else { "y" }},
                        "metadata": {"finishedOn": date(*age as i64)}}}),
            ),
            Says::Scan { age, found } => {
                let findings: Vec<_> = found
                    .iter()
                    .map(|severity| json!({"id": "CVE-1", "severity": [{"method": "x", "score": severity}]}))
                    .collect();
                (
                    "https://in-toto.io/attestation/vulns/v0.1",
                    json!({"scanner": {"uri": "x", "result": findings},
                        "metadata": {"scanStartedOn": date(*age), "scanFinishedOn": date(*age)}}),
                )
            }
            Says::BrokenScan => ("https://in-toto.io/attestation/vulns/v0.1", json!({"scanner": 5})),
            _ => ("https://in-toto.io/attestation/test-result/v0.1", json!({"result": "FAILED"})),
        };
        json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": kind, "predicate": predicate,
            "subject": [{"name": "x", "digest": {"sha256": digest(self.about).hex()}}]})
    }

    /// The document, as a store has it.
    pub(crate) fn text(&self) -> String {
        let key = if self.spoilt == Spoilt::Signature { KEYS - 1 } else { self.key };
        let id = if self.spoilt == Spoilt::KeyId { "k9".to_owned() } else { format!("k{}", self.key) };
        let signed = |message: &[u8]| match self.spoilt {
            Spoilt::Shape => base64("x"),
            _ => base64(sign(key, message)),
        };
        let reference = if self.elsewhere { "registry.example.com/other" } else { IMAGE };
        let simple = payload::gcloud(reference, digest(self.about));
        let mut document = json!({
            "name": format!("projects/{}/occurrences/{}", self.project, self.created),
            "noteName": note(self.note), "resourceUri": format!("https://{IMAGE}@{}", digest(self.under)),
            "createTime": date(self.created as i64)});
        let envelope = |kind: &str, payload: &str| {
            let filed_kind = if self.spoilt == Spoilt::Type { "application/x" } else { kind };
            let sig = signed(&dsse::pae(kind, payload.as_bytes()));
            json!({"payload": base64(payload), "payloadType": filed_kind, "signatures": [{"keyid": id, "sig": sig}]})
        };
        match &self.says {
            Says::Raw | Says::Pae => {
                let pae = dsse::pae(payload::MEDIA_TYPE, simple.as_bytes());
                let message = if self.says == Says::Raw { simple.as_bytes() } else { &pae };
                document["attestation"] = json!({"serializedPayload": base64(&simple),
                    "signatures": [{"publicKeyId": id, "signature": signed(message)}]});
            }
            Says::Token => {
                let header = json!({"alg": "ES256", "typ": "JWT", "kid": id}).to_string();
                let input = format!("{}.{}", base64_url(header), base64_url(&simple));
                let mut raw = {
                    let signature: Signature = SIGNERS[key].0.sign(input.as_bytes());
                    signature.to_bytes().to_vec()
                };
                if self.spoilt == Spoilt::Shape {
                    raw.truncate(5);
                }
                let token = format!("{input}.{}", base64_url(raw));
                document["attestation"] = json!({"jwts": [{"compactJwt": token}]});
            }
            Says::Envelope => document["envelope"] = envelope(payload::MEDIA_TYPE, &simple),
            _ => document["envelope"] = envelope(statement::PAYLOAD_TYPE, &self.statement().to_string()),
        }
        let mut text = document.to_string();
        if self.spoilt == Spoilt::Document {
            text.truncate(text.len() / 2);
        }
        text
    }
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
        let (rulebook, subject) = (self.rulebook(), self.subject());
        let occurrences = self.occurrences();
        let key_ring = rulebook.narrow(&KeyRing::new(self.parties.iter().map(Party::read)));
        let case = Case::new(&subject, &rulebook, now());
        let evidence: Vec<_> =
            case.asks().iter().map(|digest| Evidence::gather(*digest, &occurrences, &key_ring)).collect();
        case.judge(&known(&evidence))
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
    evidence.iter().map(|evidence| Known { evidence, age: Duration::ZERO }).collect()
}
