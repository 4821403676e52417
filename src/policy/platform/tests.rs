use std::time::Duration;

use super::*;
use crate::attestation::Filing;
use crate::attestation::key::tests::{P256_ID, P256_PEM};
use crate::policy::check::MaximumSeverity;

const WHOLE: &str = "
name: projects/acme/platforms/gke/policies/base
description: nodes of the shop
etag: '\"x\"'
updateTime: '2026-01-01T00:00:00Z'
binauthdEnforcementMode: AUDIT_AND_ENFORCE
gkePolicy:
  imageAllowlist:
    allowPattern: [gke.gcr.io/**]
  checkSets:
  - displayName: web
    scope: {kubernetesServiceAccount: 'shop:web'}
    checks:
    - displayName: fresh
      imageFreshnessCheck: {maxUploadAgeDays: 30, binauthdAttestors: [projects/acme/attestors/ci]}
  - scope: {kubernetes_namespace: shop}
    imageAllowlist: {allowPattern: [nginx]}
    checks:
    - trustedDirectoryCheck: {trustedDirPatterns: [gcr.io/acme/**, '*-docker.pkg.dev/acme/r']}
      imageAllowlist: {allowPattern: ['redis:7']}
    - imageFreshnessCheck: {max_upload_age_days: 1}
    - slsaCheck:
        rules:
        - trustedBuilder: GOOGLE_CLOUD_BUILD
          attestationSource: {containerAnalysisAttestationProjects: [projects/acme]}
          configBasedBuildRequired: true
          trustedSourceRepoPatterns: [github.com/acme/*]
        - binauthdBuilderIds: ['https://ci.acme.example/builder@v2']
          trusted_source_repo_patterns: [git.acme.example/**]
          customConstraints: ''
        binauthdAttestors: [projects/acme/attestors/ci, projects/acme/attestors/ci]
    - vulnerabilityCheck:
        maximumFixableSeverity: MEDIUM
        maximumUnfixableSeverity: ALLOW_ALL
        allowedCves: [CVE-2021-20305]
        blockedCves: [CVE-2020-10543]
        containerAnalysisVulnerabilityProjects: [projects/scans]
        maxScanAge: 86400s
        binauthdAttestors: [projects/acme/attestors/scanner]
  - displayName: everybody else
    checks:
    - alwaysDeny: true
";

fn parse(text: &str) -> Result<PlatformPolicy, PlatformPolicyError> {
    PlatformPolicy::parse(text.as_bytes(), Format::Yaml)
}

fn with_sets(sets: &str) -> String {
    format!("gkePolicy: {{checkSets: [{sets}]}}")
}

fn with_check(check: &str) -> String {
    with_sets(&format!("{{checks: [{{{check}}}]}}"))
}

/// Of keys `(id, pem)`, one authenticator each.
fn simple_signing(keys: &[(Option<&str>, &str)]) -> String {
    let key = |(id, pem): &(Option<&str>, &str)| {
        let key = serde_json::json!(
            {"publicKeyPem": pem, "signatureAlgorithm": "ECDSA_P256_SHA256", "keyId": id});
        serde_json::json!({"displayName": "x", "pkixPublicKeySet": {"pkixPublicKeys": [key]}})
    };
    let check = serde_json::json!({
        "containerAnalysisAttestationProjects": ["projects/acme", "projects/sec"],
        "attestationAuthenticators": keys.iter().map(key).collect::<Vec<_>>(),
    });
    format!("simpleSigningAttestationCheck: {check}")
}

#[test]
fn whole_schema() {
    let policy = parse(WHOLE).unwrap();
    assert_eq!(policy.name(), Some("projects/acme/platforms/gke/policies/base"));
    assert_eq!((policy.etag(), policy.update_time()), (Some("\"x\""), Some("2026-01-01T00:00:00Z")));
    assert_eq!(policy.enforcement(), PlatformEnforcement::AuditAndEnforce);
    assert_eq!(policy.allowlist().iter().map(ImagePattern::as_str).collect::<Vec<_>>(), ["gke.gcr.io/**"]);
    assert_eq!(policy.attestors().map(AttestorName::id).collect::<Vec<_>>(), ["ci", "scanner"]);
    let [web, shop, rest] = policy.check_sets() else { panic!("three sets") };
    assert_eq!((web.name.as_str(), shop.name.as_str()), ("web", ""));
    assert_eq!(web.scope.as_ref().unwrap().to_string(), "shop:web");
    assert_eq!(shop.allowlist.len(), 1);
    assert!(rest.scope.is_none() && matches!(rest.checks[0].kind, CheckKind::AlwaysDeny));
    let types: Vec<_> = shop.checks.iter().map(|check| check.kind.type_name()).collect();
    assert_eq!(types, ["TrustedDirectoryCheck", "ImageFreshnessCheck", "SlsaCheck", "VulnerabilityCheck"]);
    let CheckKind::Freshness { max_age, signers } = &shop.checks[1].kind else { panic!("freshness") };
    assert_eq!(*max_age, Duration::from_secs(86_400));
    assert_eq!(signers.iter().map(AttestorName::id).collect::<Vec<_>>(), ["ci", "scanner"]);
    let CheckKind::Freshness { max_age, signers } = &web.checks[0].kind else { panic!("freshness") };
    assert_eq!((*max_age, signers.len()), (Duration::from_secs(30 * 86_400), 1));
    let CheckKind::Slsa { rules, signers } = &shop.checks[2].kind else { panic!("slsa") };
    assert_eq!(signers.len(), 1);
    assert!(rules[0].config_based_build_required && rules[0].google_cloud_build);
    assert_eq!(rules[0].projects, ["acme"]);
    assert!(!rules[1].google_cloud_build && rules[1].trusts_source("https://git.acme.example/a/b"));
    let CheckKind::Vulnerability(bounds) = &shop.checks[3].kind else { panic!("vulnerability") };
    assert_eq!(bounds.maximum_fixable, MaximumSeverity::Medium);
    assert_eq!(bounds.maximum_unfixable, MaximumSeverity::AllowAll);
    assert_eq!(bounds.max_scan_age, Some(Duration::from_secs(86_400)));
    assert!(bounds.allowed_cves.contains("CVE-2021-20305") && bounds.blocked_cves.len() == 1);
    assert_eq!(bounds.projects, ["scans"]);
}

#[test]
fn little_is_enough() {
    for text in ["gkePolicy: {}", "gke_policy: {check_sets: []}"] {
        let policy = parse(text).unwrap();
        assert!(policy.check_sets().is_empty() && policy.candidates(None, None).is_empty());
        assert_eq!(policy.enforcement(), PlatformEnforcement::Audit);
    }
    assert!(PlatformPolicy::parse(br#"{"gkePolicy":{"checkSets":[{}]}}"#, Format::Json).is_ok());
    let day = "vulnerabilityCheck: {maximumFixableSeverity: LOW, maximumUnfixableSeverity: LOW, \
        maxScanAge: 24h, binauthdAttestors: [projects/p/attestors/a]}";
    assert!(parse(&with_check(day)).is_ok());
}

#[test]
fn simple_signing_is_an_attestor() {
    let text = with_sets(&format!(
        "{{checks: [{{alwaysDeny: true}}, {{{}}}]}}",
        simple_signing(&[(None, P256_PEM), (Some("k2"), P256_PEM), (Some(P256_ID), P256_PEM)])
    ));
    let policy = parse(&text).unwrap();
    let [authority] = policy.inline().collect::<Vec<_>>()[..] else { panic!("one authority") };
    assert_eq!(authority.name().as_str(), "checkSets[0].checks[1]");
    assert_eq!(authority.keys().iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), [P256_ID, "k2"]);
    assert_eq!(*authority.filing(), Filing::Projects(vec!["acme".into(), "sec".into()]));
    assert_eq!(policy.attestors().count(), 0);
}

#[test]
fn candidates() {
    let policy = parse(WHOLE).unwrap();
    // Namespace, service account, places of the sets.
    let rows: &[(Option<&str>, Option<&str>, &[usize])] = &[
        (Some("shop"), Some("web"), &[0]),
        (Some("shop"), Some("db"), &[1]),
        (Some("shop"), None, &[0, 1]),
        (Some("other"), Some("web"), &[2]),
        (Some("other"), None, &[2]),
        (None, Some("web"), &[0, 1, 2]),
        (None, Some("db"), &[1, 2]),
        (None, None, &[0, 1, 2]),
    ];
    for (namespace, account, places) in rows {
        let found = policy.candidates(*namespace, *account);
        let found: Vec<_> = found.into_iter().map(|(place, _)| place).collect();
        assert_eq!(found, *places, "{namespace:?} {account:?}");
    }
}

#[test]
fn documents_refused() {
    let deny = "checks: [{alwaysDeny: true}]";
    let rows = [
        (String::new(), "empty"),
        ("description: x".into(), "`gkePolicy` is missing"),
        ("gkePolicy: {}\nunknown: x".into(), "unknown field"),
        ("gkePolicy: {}\ngke_policy: {}".into(), "duplicate"),
        ("gkePolicy: {x: y}".into(), "unknown field"),
        ("cloudRunPolicy: {rule: {}}".into(), "`cloudRunPolicy` is not judged"),
        ("cloud_run_policy: {}\ngkePolicy: {}".into(), "`cloudRunPolicy` is not judged"),
        ("name: projects/p/platforms/cloudRun/policies/x\ngkePolicy: {}".into(), "name: `projects"),
        ("name: projects/p/policy\ngkePolicy: {}".into(), "name: `projects/p/policy`"),
        ("binauthdEnforcementMode: ENFORCE\ngkePolicy: {}".into(), "`ENFORCE` is none"),
        (
            "gkePolicy: {imageAllowlist: {allowPattern: [a, 'b:*']}}".into(),
            "gkePolicy: imageAllowlist.allowPattern[1]",
        ),
        (with_sets(&format!("{{scope: {{kubernetesNamespace: a}}, {deny}}}")), "the last check set must be"),
        (with_sets(&format!("{{{deny}}}, {{{deny}}}")), "checkSets[0]: only the last"),
        (
            with_sets("{scope: {kubernetesNamespace: a}}, {}, {scope: {kubernetesNamespace: b}}"),
            "checkSets[1]: only",
        ),
        (
            with_sets("{scope: {kubernetesNamespace: a}}, {scope: {kubernetesNamespace: a}}, {}"),
            "for `a` already",
        ),
        (
            with_sets(
                "{scope: {kubernetesServiceAccount: 'a:b'}}, {scope: {kubernetesServiceAccount: 'a:b'}}, {}",
            ),
            "for `a:b` already",
        ),
        (
            with_sets("{scope: {kubernetesNamespace: a}}, {scope: {kubernetesServiceAccount: 'a:b'}}, {}"),
            "`a:b` must stand before",
        ),
        (with_sets("{scope: {}}, {}"), "checkSets[0].scope: exactly one"),
        (with_sets("{scope: {kubernetesNamespace: A}}, {}"), "RFC 1123"),
        (with_sets("{scope: {kubernetesServiceAccount: a}}, {}"), "NAMESPACE:SERVICEACCOUNT"),
        (with_sets("{scope: {kubernetesNamespace: a, kubernetesServiceAccount: 'a:b'}}, {}"), "exactly one"),
        (with_sets("{imageAllowlist: {allowPattern: ['']}}"), "checkSets[0]: imageAllowlist"),
    ];
    for (text, part) in rows {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{text:?} gave {error:?}, which lacks {part:?}");
    }
}

#[test]
fn checks_refused() {
    let by = "binauthdAttestors: [projects/p/attestors/a]";
    let source = "trustedSourceRepoPatterns: [github.com/o/*]";
    let rule = |rule: &str| format!("slsaCheck: {{rules: [{{{rule}}}], {by}}}");
    let scan = |rest: &str| {
        format!("vulnerabilityCheck: {{maximumFixableSeverity: LOW, maximumUnfixableSeverity: LOW, {rest}}}")
    };
    let eleven: Vec<_> = (0..11).map(|i| format!("projects/p{i}")).collect();
    let eleven = eleven.join(", ");
    let other = P256_PEM.replace("vgIMsXWHkzCb6RxjV0BrxMypUsr2", "XnpuYEfvLl1kj4fjxViFRwY1a+zC").replace(
        "IT8UiavysBcN5+KYYzCNoQ4It9Y1KOJuA3j067n4uRtXdYs/pWwLbpaPiQ==",
        "5qzlf9LJIK+rnjq42tiKGyyXMbnZKJiYPPdMDGyltnkrABnztg2jJ48aYQ==",
    );
    let rows = [
        (String::new(), "exactly one kind of check is needed, found 0"),
        (format!("alwaysDeny: true, {}", scan(by)), "found 2"),
        ("alwaysDeny: false".into(), "must be true"),
        ("unknownCheck: {}".into(), "unknown field"),
        (
            "sigstoreSignatureCheck: {sigstoreAuthorities: []}".into(),
            "`sigstoreSignatureCheck` is not judged",
        ),
        ("imageFreshnessCheck: {}".into(), "`maxUploadAgeDays` is missing"),
        (format!("imageFreshnessCheck: {{maxUploadAgeDays: 0, {by}}}"), "more than zero"),
        (format!("imageFreshnessCheck: {{maxUploadAgeDays: -1, {by}}}"), "more than zero"),
        ("imageFreshnessCheck: {maxUploadAgeDays: 3}".into(), "freshness is the age of a time"),
        (
            "imageFreshnessCheck: {maxUploadAgeDays: 3, binauthdAttestors: [a]}".into(),
            "`a` is not of the form",
        ),
        ("trustedDirectoryCheck: {}".into(), "`trustedDirPatterns` is missing"),
        ("trustedDirectoryCheck: {trustedDirPatterns: [gcr.i*]}".into(), "trustedDirPatterns[0]: `gcr.i*`"),
        ("imageAllowlist: {allowPattern: ['*']}, alwaysDeny: true".into(), "checks[0]: imageAllowlist"),
        ("slsaCheck: {}".into(), "`rules` is missing"),
        (
            format!("slsaCheck: {{rules: [{{trustedBuilder: GOOGLE_CLOUD_BUILD, {source}}}]}}"),
            "whose signed provenance",
        ),
        (rule(source), "no builder is trusted"),
        (rule(&format!("trustedBuilder: BUILDER_UNSPECIFIED, {source}")), "`BUILDER_UNSPECIFIED` is none"),
        (rule(&format!("binauthdBuilderIds: ['a b'], {source}")), "binauthdBuilderIds: `a b`"),
        (rule("trustedBuilder: GOOGLE_CLOUD_BUILD"), "`trustedSourceRepoPatterns` is missing"),
        (
            rule("trustedBuilder: GOOGLE_CLOUD_BUILD, trustedSourceRepoPatterns: ['https://github.com/o/r']"),
            "trustedSourceRepoPatterns[0]: `https://github.com/o/r`: a pattern has no scheme",
        ),
        (
            rule(&format!("trustedBuilder: GOOGLE_CLOUD_BUILD, {source}, customConstraints: 'true'")),
            "`customConstraints` is not judged",
        ),
        (
            rule(&format!(
                "trustedBuilder: GOOGLE_CLOUD_BUILD, {source}, \
                 attestationSource: {{containerAnalysisAttestationProjects: [{eleven}]}}"
            )),
            "has 11 entries",
        ),
        (
            format!("vulnerabilityCheck: {{maximumFixableSeverity: LOW, {by}}}"),
            "`maximumUnfixableSeverity` is missing",
        ),
        (
            format!("vulnerabilityCheck: {{maximumUnfixableSeverity: LOW, {by}}}"),
            "`maximumFixableSeverity` is missing",
        ),
        (
            format!(
                "vulnerabilityCheck: {{maximumFixableSeverity: MAXIMUM_ALLOWED_SEVERITY_UNSPECIFIED, \
                 maximumUnfixableSeverity: LOW, {by}}}"
            ),
            "SEVERITY_UNSPECIFIED` is none",
        ),
        (scan("allowedCves: []"), "whose signed scan counts"),
        (scan(&format!("allowedCves: [a], blockedCves: [a], {by}")), "`a` is in `allowedCves` and"),
        (scan(&format!("allowedCves: [''], {by}")), "allowedCves: `` is not an id"),
        (scan(&format!("maxScanAge: 0s, {by}")), "`maxScanAge` must be more"),
        (scan(&format!("maxScanAge: soon, {by}")), "`soon` is not a duration"),
        (scan(&format!("containerAnalysisVulnerabilityProjects: [acme], {by}")), "`acme` is not of the form"),
        ("simpleSigningAttestationCheck: {}".into(), "`containerAnalysisAttestationProjects` is missing"),
        (simple_signing(&[]), "`attestationAuthenticators` is missing"),
        (
            simple_signing(&[(Some("k"), P256_PEM), (Some("k"), &other)]),
            "publicKeys[1]: key id `k` is there twice",
        ),
        (simple_signing(&[(None, "x")]), "publicKeys[0]"),
        (
            "simpleSigningAttestationCheck: {containerAnalysisAttestationProjects: [projects/p], \
             attestationAuthenticators: [{displayName: x}]}"
                .into(),
            "`pkixPublicKeySet.pkixPublicKeys` is missing",
        ),
    ];
    for (check, part) in rows {
        let error = parse(&with_check(&check)).unwrap_err().to_string();
        assert!(error.contains(part), "{check:?} gave {error:?}, which lacks {part:?}");
        assert!(error.starts_with("gkePolicy.checkSets[0].checks[0]") || part == "unknown field", "{error}");
    }
}

#[test]
fn lists_in_place_of_objects_are_refused() {
    for text in [
        r#"[null, null, null, null, {"checkSets": []}]"#,
        r#"{"gkePolicy": [[], []]}"#,
        r#"{"gkePolicy": {"checkSets": [["name", null, {}, []]]}}"#,
        r#"{"gkePolicy": {"checkSets": [{"checks": [{"imageFreshnessCheck": [1, []]}]}]}}"#,
    ] {
        let error = PlatformPolicy::parse(text.as_bytes(), Format::Json).unwrap_err().to_string();
        assert!(error.contains("expected an object"), "{text}: {error}");
    }
}
