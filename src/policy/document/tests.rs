use proptest::prelude::*;

use super::*;
use crate::policy::EnforcementMode;

const DENY: &str = "{evaluationMode: ALWAYS_DENY, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}";
const ENFORCED: &str = "enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG";

const EXAMPLE: &str = "name: projects/acme-deploy/policy
description: prod baseline
globalPolicyEvaluationMode: ENABLE
admissionWhitelistPatterns:
- namePattern: registry.acme.example/base/**
- namePattern: docker.io/library/redis@sha256:1111111111111111111111111111111111111111111111111111111111111111
defaultAdmissionRule:
  evaluationMode: REQUIRE_ATTESTATION
  enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG
  requireAttestationsBy:
  - projects/acme-sec/attestors/built-by-ci
  - projects/acme-sec/attestors/scanned
kubernetesNamespaceAdmissionRules:
  sandbox:
    evaluationMode: ALWAYS_ALLOW
    enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG
  staging:
    evaluationMode: REQUIRE_ATTESTATION
    enforcementMode: DRYRUN_AUDIT_LOG_ONLY
    requireAttestationsBy:
    - projects/acme-sec/attestors/built-by-ci
";

const EXAMPLE_EXPORTED: &str = "name: projects/acme-deploy/policy
description: prod baseline
globalPolicyEvaluationMode: ENABLE
admissionWhitelistPatterns:
- namePattern: registry.acme.example/base/**
- namePattern: docker.io/library/redis@sha256:1111111111111111111111111111111111111111111111111111111111111111
kubernetesNamespaceAdmissionRules:
  sandbox:
    evaluationMode: ALWAYS_ALLOW
    enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG
  staging:
    evaluationMode: REQUIRE_ATTESTATION
    requireAttestationsBy:
    - projects/acme-sec/attestors/built-by-ci
    enforcementMode: DRYRUN_AUDIT_LOG_ONLY
defaultAdmissionRule:
  evaluationMode: REQUIRE_ATTESTATION
  requireAttestationsBy:
  - projects/acme-sec/attestors/built-by-ci
  - projects/acme-sec/attestors/scanned
  enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG
";

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(text.as_bytes(), Format::Yaml, Options::default())
}

fn with_default(rest: &str) -> String {
    format!("defaultAdmissionRule: {DENY}\n{rest}")
}

fn default_rule(rule: &str) -> String {
    format!("defaultAdmissionRule: {{{rule}}}")
}

/// Everything but the version, which is of the bytes.
pub(super) fn content(policy: &Policy) -> impl PartialEq + std::fmt::Debug + use<> {
    let rules: Vec<_> =
        policy.rules().map(|(place, rule)| (place.to_string(), place.describe(), rule.clone())).collect();
    let attestors: Vec<_> = policy.attestors().cloned().collect();
    (policy.head.clone(), policy.system_policy, policy.allowlist.as_slice().to_vec(), rules, attestors)
}

#[test]
fn whole_example() {
    let policy = parse(EXAMPLE).unwrap();
    assert!(policy.uses_system_policy());
    assert_eq!(policy.allowlist().len(), 2);
    assert_eq!(policy.attestors().map(AttestorName::id).collect::<Vec<_>>(), ["built-by-ci", "scanned"]);
    let at = |namespace: &str| {
        let pod = Workload { namespace: Some(namespace.into()), ..Workload::default() };
        let found = policy.candidates(&pod);
        let [(place, rule)] = found.as_slice() else { panic!("{found:?}") };
        (place.describe(), rule.evaluation.as_str(), rule.enforcement)
    };
    let named = |namespace| format!("namespace admission rule for {namespace}");
    assert_eq!(at("sandbox"), (named("sandbox"), "ALWAYS_ALLOW", EnforcementMode::Enforced));
    assert_eq!(at("staging"), (named("staging"), "REQUIRE_ATTESTATION", EnforcementMode::DryRun));
    assert_eq!(
        at("shop"),
        ("default admission rule".into(), "REQUIRE_ATTESTATION", EnforcementMode::Enforced)
    );
    assert_eq!(policy.candidates(&Workload::default()).len(), 3);
    assert_eq!(policy.export(Format::Yaml), EXAMPLE_EXPORTED);
    let json = policy.export(Format::Json);
    let again = Policy::parse(json.as_bytes(), Format::Json, Options::default()).unwrap();
    assert_eq!(content(&again), content(&policy));
    assert_eq!(again.export(Format::Yaml), EXAMPLE_EXPORTED);
}

#[test]
fn either_spelling_of_fields() {
    let pairs = [
        ("globalPolicyEvaluationMode", "global_policy_evaluation_mode"),
        ("admissionWhitelistPatterns", "admission_whitelist_patterns"),
        ("namePattern", "name_pattern"),
        ("defaultAdmissionRule", "default_admission_rule"),
        ("kubernetesNamespaceAdmissionRules", "kubernetes_namespace_admission_rules"),
        ("evaluationMode", "evaluation_mode"),
        ("enforcementMode", "enforcement_mode"),
        ("requireAttestationsBy", "require_attestations_by"),
    ];
    let snake = pairs.iter().fold(EXAMPLE.to_owned(), |text, (camel, snake)| text.replace(camel, snake));
    assert_eq!(content(&parse(&snake).unwrap()), content(&parse(EXAMPLE).unwrap()));
    let maps = [
        ("cluster_admission_rules", "us-central1-a.prod"),
        ("kubernetes_service_account_admission_rules", "shop:web"),
        ("istio_service_identity_admission_rules", "p.svc.id.goog/ns/n/sa/s"),
    ];
    for (map, key) in maps {
        let policy = parse(&with_default(&format!("update_time: x\n{map}: {{'{key}': {DENY}}}"))).unwrap();
        assert_eq!(policy.rules().count(), 2, "{map}");
    }
    for (camel, snake, value) in [
        ("updateTime", "update_time", "x"),
        ("clusterAdmissionRules", "cluster_admission_rules", "{}"),
        ("defaultAdmissionRule", "default_admission_rule", DENY),
    ] {
        let error = parse(&format!("{camel}: {value}\n{snake}: {value}")).unwrap_err().to_string();
        assert!(error.contains(&format!("duplicate field `{camel}`")), "{error}");
    }
}

#[test]
fn blank_is_absent() {
    for blank in ["", "null", "''"] {
        let fields = ["name", "description", "globalPolicyEvaluationMode", "updateTime", "etag"];
        let text: String = fields.iter().map(|field| format!("{field}: {blank}\n")).collect();
        let maps =
            "admissionWhitelistPatterns:\nclusterAdmissionRules:\nkubernetesNamespaceAdmissionRules: {}\n";
        let policy = parse(&with_default(&(text + maps))).unwrap();
        assert_eq!(content(&policy), content(&parse(&with_default("")).unwrap()));
        assert!(!policy.uses_system_policy());
    }
    let modes = [("ENABLE", true), ("DISABLE", false), ("GLOBAL_POLICY_EVALUATION_MODE_UNSPECIFIED", false)];
    for (mode, uses) in modes {
        let policy = parse(&with_default(&format!("globalPolicyEvaluationMode: {mode}"))).unwrap();
        assert_eq!(policy.uses_system_policy(), uses, "{mode}");
    }
}

#[test]
fn several_maps_only_where_that_is_configured() {
    let text = with_default(&format!(
        "kubernetesNamespaceAdmissionRules: {{a: {DENY}}}\nclusterAdmissionRules: {{a.b: {DENY}}}"
    ));
    let error = parse(&text).unwrap_err().to_string();
    for part in ["clusterAdmissionRules", "kubernetesNamespaceAdmissionRules", "allow_multiple_rule_maps"] {
        assert!(error.contains(part), "{error}");
    }
    let options = Options { allow_multiple_rule_maps: true };
    let policy = Policy::parse(text.as_bytes(), Format::Yaml, options).unwrap();
    assert_eq!(
        policy.rules().map(|(place, _)| place.to_string()).collect::<Vec<_>>(),
        ["kubernetesNamespaceAdmissionRules[a]", "clusterAdmissionRules[a.b]", "defaultAdmissionRule"]
    );
}

#[test]
fn bounds() {
    let pattern = "- namePattern: a\n".repeat(MAX_PATTERNS + 1);
    let rows = [(with_default(&format!("admissionWhitelistPatterns:\n{pattern}")), "100001 patterns"), {
        let named: String =
            (0..=MAX_POLICY_ATTESTORS).map(|n| rule_of(&format!("n{n}"), &format!("a{n}"))).collect();
        (with_default(&format!("kubernetesNamespaceAdmissionRules:\n{named}")), "1001 different attestors")
    }];
    for (text, part) in rows {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let shared: String = (0..=MAX_POLICY_ATTESTORS).map(|n| rule_of(&format!("n{n}"), "a")).collect();
    assert!(parse(&with_default(&format!("kubernetesNamespaceAdmissionRules:\n{shared}"))).is_ok());
}

fn rule_of(namespace: &str, attestor: &str) -> String {
    format!(
        "  {namespace}: {{evaluationMode: REQUIRE_ATTESTATION, {ENFORCED}, \
         requireAttestationsBy: [projects/p/attestors/{attestor}]}}\n"
    )
}

/// What is wrong, and the words that lead out.
#[test]
fn refused() {
    let a = "projects/p/attestors/a";
    let allow = "evaluationMode: ALWAYS_ALLOW";
    let namespace =
        |key: &str| with_default(&format!("kubernetesNamespaceAdmissionRules: {{{key}: {DENY}}}"));
    let require = |by: &str| default_rule(&format!("evaluationMode: REQUIRE_ATTESTATION, {ENFORCED}{by}"));
    let rows: Vec<(String, &str)> = vec![
        (String::new(), "empty"),
        ("[]".into(), "a policy is one object"),
        ("description: x".into(), "`defaultAdmissionRule` is missing"),
        ("defaultAdmissionRule: null".into(), "`defaultAdmissionRule` is missing"),
        (with_default("unknown: x"), "unknown field"),
        (with_default("description: 5"), "quoted"),
        (with_default(&format!("defaultAdmissionRule: {DENY}")), "duplicate"),
        (with_default("name: policy"), "name: `policy`"),
        (with_default("globalPolicyEvaluationMode: ON"), "`ON` is none: expected ENABLE or DISABLE"),
        (with_default("admissionWhitelistPatterns: [{namePattern: gcr.io/n*x}]"), "[0].namePattern"),
        (with_default("admissionWhitelistPatterns: [{namePattern: ''}]"), "is empty"),
        (with_default("admissionWhitelistPatterns: [{namePattern: a, x: b}]"), "unknown field"),
        (with_default("admissionWhitelistPatterns: [{namePattern: a, name_pattern: b}]"), "duplicate field"),
        (
            with_default("admissionWhitelistPatterns: [[a]]"),
            "admissionWhitelistPatterns[0]: expected an object",
        ),
        // Rules.
        (default_rule(ENFORCED), "defaultAdmissionRule: `evaluationMode` is missing"),
        (default_rule("evaluationMode: ALWAYS_DENY"), "`enforcementMode` is missing"),
        (
            default_rule(&format!("evaluationMode: EVALUATION_MODE_UNSPECIFIED, {ENFORCED}")),
            "expected ALWAYS",
        ),
        (
            default_rule(&format!("{allow}, enforcementMode: ENFORCEMENT_MODE_UNSPECIFIED")),
            "expected ENFORCED",
        ),
        (default_rule(&format!("{allow}, enforcementMode: 1")), "quoted"),
        (default_rule(&format!("{allow}, {ENFORCED}, evaluation_mode: ALWAYS_DENY")), "duplicate field"),
        (require(""), "`requireAttestationsBy` is empty"),
        (require(", requireAttestationsBy: []"), "`requireAttestationsBy` is empty"),
        (default_rule(&format!("{allow}, {ENFORCED}, requireAttestationsBy: [{a}]")), "superfluous"),
        (format!("defaultAdmissionRule: [ALWAYS_ALLOW, [], {ENFORCED}]"), "expected one rule, an object"),
        // Keys.
        (
            with_default(&format!("clusterAdmissionRules: {{prod: {DENY}}}")),
            "clusterAdmissionRules[prod]: the key",
        ),
        (with_default(&format!("clusterAdmissionRules: {{a.b.c: {DENY}}}")), "`LOCATION.CLUSTER`"),
        (namespace("Shop"), "RFC 1123"),
        (namespace("-a"), "RFC 1123"),
        (namespace("a.b"), "RFC 1123"),
        (namespace("''"), "RFC 1123"),
        (namespace(&"a".repeat(64)), "RFC 1123"),
        (namespace(&format!("a: {DENY}, a")), "duplicate"),
        (
            with_default(&format!("kubernetesServiceAccountAdmissionRules: {{shop: {DENY}}}")),
            "`NAMESPACE:SERVICEACCOUNT`",
        ),
        (
            with_default(&format!("kubernetesServiceAccountAdmissionRules: {{'a:b:c': {DENY}}}")),
            "the key must be",
        ),
        (
            with_default(&format!("istioServiceIdentityAdmissionRules: {{'d/ns/n/sa': {DENY}}}")),
            "`spiffe://DOMAIN",
        ),
        (
            with_default(&format!("istioServiceIdentityAdmissionRules: {{'d/ns/n/sa/s/x': {DENY}}}")),
            "must be",
        ),
        (with_default(&format!("istioServiceIdentityAdmissionRules: {{'D/ns/n/sa/s': {DENY}}}")), "must be"),
        (
            with_default(&format!(
                "istioServiceIdentityAdmissionRules: {{'d/ns/n/sa/s': {DENY}, 'spiffe://d/ns/n/sa/s': {DENY}}}"
            )),
            "[spiffe://d/ns/n/sa/s]: there is a rule for this key already",
        ),
        (
            with_default("kubernetesNamespaceAdmissionRules: {a: {evaluationMode: X}}"),
            "kubernetesNamespaceAdmissionRules[a]: `X`",
        ),
        // What circulates and is no policy.
        (
            "apiVersion: binaryauthorization.googleapis.com/v1\nkind: Policy\nspec: {}".into(),
            "move what is under `spec` to the top",
        ),
        (with_default("spec: {}"), "the document is the bare Policy"),
        (
            default_rule(&format!("evaluationMode: ALLOW_ALL, {ENFORCED}")),
            "`ALLOW_ALL` is not an `evaluationMode`: write `ALWAYS_ALLOW`",
        ),
        (default_rule(&format!("evaluationMode: DENY_ALL, {ENFORCED}")), "write `ALWAYS_DENY`"),
        (default_rule(&format!("evaluationMode: always_deny, {ENFORCED}")), "write `ALWAYS_DENY`"),
        (
            default_rule(&format!("evaluationMode: require-attestation, {ENFORCED}")),
            "write `REQUIRE_ATTESTATION`",
        ),
        (
            default_rule(&format!("evaluationMode: REQUIRE_ATESTATION, {ENFORCED}")),
            "write `REQUIRE_ATTESTATION`",
        ),
        (
            default_rule(&format!("evaluationMode: ALWAYS, {ENFORCED}")),
            "expected ALWAYS_ALLOW, REQUIRE_ATTESTATION or ALWAYS_DENY",
        ),
        (
            default_rule(&format!("{allow}, enforcementMode: ENFORCE_BLOCK_AND_AUDIT_LOG")),
            "write `ENFORCED_BLOCK_AND_AUDIT_LOG`",
        ),
        (
            default_rule(&format!("{allow}, enforcementMode: ENFORCING_MODE")),
            "write `ENFORCED_BLOCK_AND_AUDIT_LOG`",
        ),
        (default_rule(&format!("{allow}, enforcementMode: DRYRUN")), "write `DRYRUN_AUDIT_LOG_ONLY`"),
        (
            default_rule(&format!("{allow}, enforcementMode: dryrun_audit_log_only")),
            "write `DRYRUN_AUDIT_LOG_ONLY`",
        ),
        (
            require(", requireAttestationsBy: [ci]"),
            "requireAttestationsBy[0]: `ci` is not of the form `projects/PROJECT/attestors/ID`",
        ),
        (require(&format!(", requireAttestationsBy: {a}")), "requireAttestationsBy: expected a list"),
        (
            require(&format!(", requiredAttestors: [{a}]")),
            "defaultAdmissionRule.requiredAttestors: no such field: write `requireAttestationsBy`",
        ),
        (require(&format!(", requireAttestationBy: [{a}]")), "write `requireAttestationsBy`"),
        (
            format!("defaultAdmissionRules: {DENY}"),
            "defaultAdmissionRules: no such field: write `defaultAdmissionRule`",
        ),
        (with_default("whitelistPatterns: []"), "write `admissionWhitelistPatterns`"),
        (with_default("admissionAllowlistPatterns: []"), "write `admissionWhitelistPatterns`"),
        (with_default("admission_allowlist_patterns: []"), "write `admissionWhitelistPatterns`"),
        (with_default("admissionWhitelistPatterns: ['gcr.io/p/*']"), "put `namePattern:` before"),
        (with_default("admissionWhitelistPatterns: {namePattern: gcr.io/p/a}"), "expected a list"),
        (
            with_default("admissionWhitelistPatterns: [{pattern: gcr.io/p/a}]"),
            "[0].pattern: no such field: write `namePattern`",
        ),
        (with_default("gkePolicy: {}"), "name it as `platform_policy`"),
        (with_default("userOwnedGrafeasNote: {}"), "this is an attestor"),
        (format!("digests: []\ndescription: {a}"), "deny list"),
        (
            format!("default_admission_rule:\n- evaluation_mode: ALWAYS_ALLOW\n  {ENFORCED}"),
            "defaultAdmissionRule: expected one rule",
        ),
        (
            with_default(
                "cluster_admission_rules:\n- cluster: us-central1-a.prod\n  evaluation_mode: ALWAYS_ALLOW",
            ),
            "clusterAdmissionRules: expected a map of rules, whose keys are `LOCATION.CLUSTER`",
        ),
        (
            with_default(&format!("kubernetesNamespaceAdmissionRules: {{a: [{DENY}]}}")),
            "kubernetesNamespaceAdmissionRules[a]: expected one rule",
        ),
        (format!("defaultAdmissionRule:\n{allow}\n{ENFORCED}"), "indent it under `defaultAdmissionRule`"),
    ];
    for (text, part) in rows {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{text:?} gave {error:?}, which lacks {part:?}");
        assert!(!error.contains('\n') && error.len() < 500, "{error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(text in any::<String>(), lines in proptest::collection::vec(
        proptest::sample::select(&["defaultAdmissionRule:", "  evaluationMode: ALWAYS_DENY", "- a", "spec: {a: [", "x: &a [*a]",
            "  enforcementMode: DRYRUN", "clusterAdmissionRules: {", "admissionWhitelistPatterns: [{}]"][..]), 0..6)) {
        for format in [Format::Yaml, Format::Json] {
            let _ = Policy::parse(text.as_bytes(), format, Options::default());
            let _ = Policy::parse(lines.join("\n").as_bytes(), format, Options::default());
        }
    }
}
