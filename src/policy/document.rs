//! The policy document: the bare `Policy` message of Binary Authorization v1, YAML or JSON.
//!
//! Every field of the schema is read and checked; unknown fields and duplicate keys refuse. Rule maps
//! (cluster, namespace, service account, mesh identity) are checked too, and a policy that uses one is
//! refused by name, because this version does not enforce them: obeying the rest of such a policy
//! would allow or refuse what its author did not mean.

use serde::{Deserialize, Serialize};

use super::pattern::{AllowlistPattern, PatternError};
use super::rule::{AdmissionRule, EvaluationMode, RuleDocument, RuleError};
use crate::attestation::AttestorName;
use crate::document::{self, DocumentError, Format, UniqueMap, Version};

/// A policy in force.
#[derive(Debug, Clone)]
pub struct Policy {
    allowlist: Vec<AllowlistPattern>,
    default_rule: AdmissionRule,
    version: Version,
}

/// `Policy` as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PolicyDocument {
    name: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    global_policy_evaluation_mode: Option<String>,
    #[serde(default)]
    admission_whitelist_patterns: Vec<PatternDocument>,
    #[serde(default)]
    cluster_admission_rules: UniqueMap<RuleDocument>,
    #[serde(default)]
    kubernetes_namespace_admission_rules: UniqueMap<RuleDocument>,
    #[serde(default)]
    kubernetes_service_account_admission_rules: UniqueMap<RuleDocument>,
    #[serde(default)]
    istio_service_identity_admission_rules: UniqueMap<RuleDocument>,
    default_admission_rule: Option<RuleDocument>,
    #[serde(rename = "updateTime")]
    _update_time: Option<String>,
    #[serde(rename = "etag")]
    _etag: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PatternDocument {
    name_pattern: String,
}

/// Why a policy is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not a document of this shape.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// `name` is not `projects/P/policy`.
    #[error("name: `{0}` is not of the form `projects/PROJECT/policy`")]
    Name(String),
    /// No such mode.
    #[error("globalPolicyEvaluationMode: `{0}` is none: expected ENABLE or DISABLE")]
    GlobalMode(String),
    /// A pattern, by its place in the list.
    #[error("admissionWhitelistPatterns[{index}].namePattern: {cause}")]
    Pattern {
        /// From 0.
        index: usize,
        /// What is wrong with it.
        cause: PatternError,
    },
    /// A policy without a default rule decides nothing.
    #[error("`defaultAdmissionRule` is missing")]
    NoDefaultRule,
    /// A rule, by its field or map and key.
    #[error("{place}: {cause}")]
    Rule {
        /// Such as `defaultAdmissionRule`.
        place: String,
        /// What is wrong with it.
        cause: RuleError,
    },
    /// A key that its map cannot hold.
    #[error("{map}[`{key}`]: the key must be {expected}")]
    Key {
        /// The map.
        map: &'static str,
        /// The key.
        key: String,
        /// Its form.
        expected: &'static str,
    },
    /// More than one rule map is used.
    #[error("{0} and {1} are both used: a policy may have rules of one kind only, beside the default")]
    SeveralMaps(&'static str, &'static str),
    /// A rule map is used.
    #[error(
        "{0} is not enforced by this version: only `defaultAdmissionRule` and `admissionWhitelistPatterns` are"
    )]
    NotEnforced(&'static str),
}

impl Policy {
    /// Reads a policy document.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn parse(bytes: &[u8], format: Format) -> Result<Self, PolicyError> {
        let mut document: PolicyDocument = document::parse(bytes, format)?;
        check_name(document.name.as_deref())?;
        check_global_mode(document.global_policy_evaluation_mode.as_deref())?;
        let allowlist = read_patterns(&document.admission_whitelist_patterns)?;
        let default_rule = document.default_admission_rule.take().ok_or(PolicyError::NoDefaultRule)?;
        let default_rule = read_rule("defaultAdmissionRule", default_rule)?;
        check_maps(document)?;
        Ok(Self { allowlist, default_rule, version: Version::of(bytes) })
    }

    /// Patterns that exempt images, in the order of the document.
    #[must_use]
    pub fn allowlist(&self) -> &[AllowlistPattern] {
        &self.allowlist
    }

    /// The rule for whatever no pattern exempts.
    #[must_use]
    pub fn default_rule(&self) -> &AdmissionRule {
        &self.default_rule
    }

    /// Of the document's bytes.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Every attestor that a rule requires.
    pub fn attestors(&self) -> impl Iterator<Item = &AttestorName> {
        match &self.default_rule.evaluation {
            EvaluationMode::RequireAttestation(attestors) => attestors.as_slice(),
            EvaluationMode::AlwaysAllow | EvaluationMode::AlwaysDeny => &[],
        }
        .iter()
    }
}

fn check_name(name: Option<&str>) -> Result<(), PolicyError> {
    let Some(name) = name else { return Ok(()) };
    match name.split('/').collect::<Vec<_>>().as_slice() {
        ["projects", project, "policy"] if !project.is_empty() => Ok(()),
        _ => Err(PolicyError::Name(name.chars().take(120).collect())),
    }
}

/// The system policy that `ENABLE` asks for is the node's own and ships empty, so both modes decide
/// alike here.
fn check_global_mode(mode: Option<&str>) -> Result<(), PolicyError> {
    match mode {
        None | Some("ENABLE" | "DISABLE" | "GLOBAL_POLICY_EVALUATION_MODE_UNSPECIFIED") => Ok(()),
        Some(other) => Err(PolicyError::GlobalMode(other.chars().take(60).collect())),
    }
}

fn read_patterns(documents: &[PatternDocument]) -> Result<Vec<AllowlistPattern>, PolicyError> {
    documents
        .iter()
        .enumerate()
        .map(|(index, document)| {
            AllowlistPattern::parse(&document.name_pattern)
                .map_err(|cause| PolicyError::Pattern { index, cause })
        })
        .collect()
}

fn read_rule(place: &str, document: RuleDocument) -> Result<AdmissionRule, PolicyError> {
    document.try_into().map_err(|cause| PolicyError::Rule { place: place.to_owned(), cause })
}

fn check_maps(document: PolicyDocument) -> Result<(), PolicyError> {
    /// Field, rules, check of a key, form of a key.
    type RuleMap = (&'static str, UniqueMap<RuleDocument>, fn(&str) -> bool, &'static str);
    let maps: [RuleMap; 4] = [
        ("clusterAdmissionRules", document.cluster_admission_rules, is_cluster, "LOCATION.CLUSTER"),
        (
            "kubernetesNamespaceAdmissionRules",
            document.kubernetes_namespace_admission_rules,
            is_label,
            "a namespace (RFC 1123 label)",
        ),
        (
            "kubernetesServiceAccountAdmissionRules",
            document.kubernetes_service_account_admission_rules,
            is_service_account,
            "NAMESPACE:SERVICEACCOUNT",
        ),
        (
            "istioServiceIdentityAdmissionRules",
            document.istio_service_identity_admission_rules,
            is_identity,
            "spiffe://DOMAIN/ns/NAMESPACE/sa/SERVICEACCOUNT",
        ),
    ];
    let mut used: Option<&'static str> = None;
    for (map, rules, valid, expected) in maps {
        if rules.0.is_empty() {
            continue;
        }
        for (key, rule) in rules.0 {
            if !valid(&key) {
                return Err(PolicyError::Key { map, key: key.chars().take(120).collect(), expected });
            }
            read_rule(&format!("{map}[`{key}`]"), rule)?;
        }
        if let Some(first) = used {
            return Err(PolicyError::SeveralMaps(first, map));
        }
        used = Some(map);
    }
    used.map_or(Ok(()), |map| Err(PolicyError::NotEnforced(map)))
}

fn is_cluster(key: &str) -> bool {
    key.split_once('.').is_some_and(|(location, cluster)| is_label(location) && is_label(cluster))
}

fn is_label(key: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&key.len())
        && key.bytes().all(|b| inner(b) || b == b'-')
        && key.bytes().next().is_some_and(inner)
        && key.bytes().next_back().is_some_and(inner)
}

/// A service account's name is an RFC 1123 subdomain.
fn is_service_account(key: &str) -> bool {
    key.split_once(':')
        .is_some_and(|(namespace, account)| is_label(namespace) && account.split('.').all(is_label))
}

fn is_identity(key: &str) -> bool {
    let identity = key.strip_prefix("spiffe://").unwrap_or(key);
    match identity.split('/').collect::<Vec<_>>().as_slice() {
        [domain, "ns", namespace, "sa", account] => {
            domain.split('.').all(is_label) && is_label(namespace) && account.split('.').all(is_label)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::EnforcementMode;

    const DENY: &str = "{evaluationMode: ALWAYS_DENY, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}";

    fn parse(text: &str) -> Result<Policy, PolicyError> {
        Policy::parse(text.as_bytes(), Format::Yaml)
    }

    fn with_default(rest: &str) -> String {
        format!("defaultAdmissionRule: {DENY}\n{rest}")
    }

    fn default_rule(rule: &str) -> String {
        format!("defaultAdmissionRule: {{{rule}}}")
    }

    #[test]
    fn whole_schema() {
        let policy = parse(
            "name: projects/acme-deploy/policy
description: prod baseline
globalPolicyEvaluationMode: ENABLE
admissionWhitelistPatterns:
- namePattern: registry.acme.example/base/**
defaultAdmissionRule:
  evaluationMode: REQUIRE_ATTESTATION
  enforcementMode: DRYRUN_AUDIT_LOG_ONLY
  requireAttestationsBy:
  - projects/acme-sec/attestors/built-by-ci
  - projects/acme-sec/attestors/scanned
  - projects/acme-sec/attestors/built-by-ci
clusterAdmissionRules: {}
kubernetesNamespaceAdmissionRules: {}
kubernetesServiceAccountAdmissionRules: {}
istioServiceIdentityAdmissionRules: {}
updateTime: '2026-01-01T00:00:00Z'
etag: '\"Mna+BCqXznjH\"'
",
        )
        .unwrap();
        assert_eq!(policy.allowlist().len(), 1);
        assert_eq!(policy.default_rule().enforcement, EnforcementMode::DryRun);
        assert_eq!(policy.attestors().map(AttestorName::id).collect::<Vec<_>>(), ["built-by-ci", "scanned"]);
        let json = r#"{"defaultAdmissionRule":{"evaluationMode":"ALWAYS_ALLOW","enforcementMode":"ENFORCED_BLOCK_AND_AUDIT_LOG"}}"#;
        let policy = Policy::parse(json.as_bytes(), Format::Json).unwrap();
        assert_eq!(policy.default_rule().evaluation, EvaluationMode::AlwaysAllow);
    }

    #[test]
    fn refused() {
        let enforced = "enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG";
        let a = "projects/p/attestors/a";
        let rule = DENY;
        let rows = [
            (String::new(), "empty"),
            ("[]".into(), "line"),
            ("description: x".into(), "`defaultAdmissionRule` is missing"),
            (with_default("unknown: x"), "unknown field"),
            (with_default("spec: {}"), "unknown field"),
            (with_default(&format!("defaultAdmissionRule: {DENY}")), "duplicate"),
            (with_default("name: policy"), "name: `policy`"),
            (with_default("globalPolicyEvaluationMode: ON"), "`ON` is none"),
            (with_default("admissionWhitelistPatterns: [{namePattern: gcr.io/n*x}]"), "[0].namePattern"),
            (with_default("admissionWhitelistPatterns: [{namePattern: ''}]"), "is empty"),
            (with_default("admissionWhitelistPatterns: [{namePattern: a, x: b}]"), "unknown field"),
            (default_rule(enforced), "`evaluationMode` is missing"),
            (default_rule("evaluationMode: ALWAYS_DENY"), "`enforcementMode` is missing"),
            (default_rule(&format!("evaluationMode: ALLOW_ALL, {enforced}")), "`ALLOW_ALL` is not an"),
            (default_rule(&format!("evaluationMode: EVALUATION_MODE_UNSPECIFIED, {enforced}")), "is not an"),
            (
                default_rule("evaluationMode: ALWAYS_DENY, enforcementMode: ENFORCING_MODE"),
                "`ENFORCING_MODE`",
            ),
            (default_rule(&format!("evaluationMode: REQUIRE_ATTESTATION, {enforced}")), "is empty"),
            (
                default_rule(&format!(
                    "evaluationMode: REQUIRE_ATTESTATION, {enforced}, requireAttestationsBy: []"
                )),
                "is empty",
            ),
            (
                default_rule(&format!(
                    "evaluationMode: ALWAYS_ALLOW, {enforced}, requireAttestationsBy: [{a}]"
                )),
                "superfluous",
            ),
            (
                default_rule(&format!(
                    "evaluationMode: REQUIRE_ATTESTATION, {enforced}, requireAttestationsBy: [ci]"
                )),
                "`ci` is not of the form",
            ),
            (
                with_default(&format!("clusterAdmissionRules: {{us-central1-a.prod: {rule}}}")),
                "clusterAdmissionRules is not enforced",
            ),
            (
                with_default(&format!("kubernetesNamespaceAdmissionRules: {{shop: {rule}}}")),
                "is not enforced",
            ),
            (
                with_default(&format!("kubernetesServiceAccountAdmissionRules: {{'shop:web': {rule}}}")),
                "is not enforced",
            ),
            (
                with_default(&format!(
                    "istioServiceIdentityAdmissionRules: {{'spiffe://p.svc.id.goog/ns/n/sa/s': {rule}}}"
                )),
                "is not enforced",
            ),
            (with_default(&format!("clusterAdmissionRules: {{prod: {rule}}}")), "LOCATION.CLUSTER"),
            (with_default(&format!("kubernetesNamespaceAdmissionRules: {{Shop: {rule}}}")), "RFC 1123"),
            (
                with_default(&format!("kubernetesNamespaceAdmissionRules: {{a: {rule}, a: {rule}}}")),
                "duplicate",
            ),
            (
                with_default(&format!(
                    "kubernetesNamespaceAdmissionRules: {{a: {rule}}}\nclusterAdmissionRules: {{a.b: {rule}}}"
                )),
                "both used",
            ),
            (with_default("kubernetesNamespaceAdmissionRules: {a: {evaluationMode: X}}"), "[`a`]: `X`"),
        ];
        for (text, part) in rows {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?} gave {error:?}, which lacks {part:?}");
        }
    }
}
