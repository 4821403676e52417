use std::time::Duration;

use proptest::prelude::*;

use super::super::tests::content;
use super::*;
use crate::policy::{EnforcementMode, EvaluationMode, Freshness, OnStale, Options};

/// Text that YAML readers like to take for something else.
#[rustfmt::skip] // one a line says no more
const NASTY: &[&str] = &[
    "yes", "No", "null", "~", "1e3", "0x1f", "0o7", "010", "1_000", "12:30", ".inf", "-", "- a", "? a",
    "a: b", "a #b", "# a", "a\nb\n", "\n", " \n a", "\r\n", "\t", " a", "a ", "'", "\"", "\\",
    "'\"Mna+BCqXznjH\"'", "2026-01-01T00:00:00Z", "2026-01-01", "\u{85}", "\u{2028}", "\u{feff}",
    "\u{7f}", "\u{0}", "\u{fffe}", "@a", "`a", "%a", "!a", "&a", "*a", "|", ">", "{", "[", "---", "...",
    "=", "<<", "\u{1f600}", "on",
];

fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(NASTY).prop_map(str::to_owned),
        any::<String>(),
        "[ \\n\\r\\t'\":#-]{0,12}",
        proptest::collection::vec(proptest::sample::select(NASTY), 0..4).prop_map(|parts| parts.concat()),
    ]
}

fn rule() -> impl Strategy<Value = AdmissionRule> {
    let names = proptest::collection::btree_set("[a-c]", 1..3);
    let evaluation = prop_oneof![
        Just(EvaluationMode::AlwaysAllow),
        Just(EvaluationMode::AlwaysDeny),
        names.prop_map(|names| EvaluationMode::RequireAttestation(
            names.iter().map(|name| format!("projects/p/attestors/{name}").parse().unwrap()).collect()
        )),
    ];
    let enforcement = prop_oneof![Just(EnforcementMode::Enforced), Just(EnforcementMode::DryRun)];
    let spans = prop_oneof![Just(None), (1..90_000_000_u64).prop_map(|s| Some(Duration::from_secs(s)))];
    let words = prop_oneof![Just(None), Just(Some(OnStale::Deny)), Just(Some(OnStale::Allow))];
    (evaluation, enforcement, spans, words).prop_map(|(evaluation, enforcement, max_staleness, on_stale)| {
        let freshness = match &evaluation {
            EvaluationMode::RequireAttestation(_) => Freshness { max_staleness, on_stale },
            _ => Freshness::default(),
        };
        AdmissionRule { evaluation, enforcement, freshness }
    })
}

/// Keys that are valid, those among them that look like something else first.
fn key(scope: Scope) -> BoxedStrategy<String> {
    let label =
        prop_oneof![Just("y"), Just("null"), Just("1e3"), Just("12"), Just("0x1f"), Just("on"), Just("shop")];
    match scope {
        Scope::Namespace => label.prop_map(str::to_owned).boxed(),
        Scope::Cluster => (label.clone(), label).prop_map(|(a, b)| format!("{a}.{b}")).boxed(),
        Scope::ServiceAccount => (label.clone(), label).prop_map(|(a, b)| format!("{a}:{b}")).boxed(),
        Scope::MeshIdentity => (prop_oneof![Just("spiffe://"), Just("")], label.clone(), label)
            .prop_map(|(scheme, a, b)| format!("{scheme}d/ns/{a}/sa/{b}"))
            .boxed(),
    }
}

fn rules(scope: Scope) -> impl Strategy<Value = serde_json::Map<String, serde_json::Value>> {
    proptest::collection::vec((key(scope), rule()), 0..4).prop_map(move |pairs| {
        let mut seen = std::collections::HashSet::new();
        pairs
            .into_iter()
            .filter(|(key, _)| seen.insert(key.trim_start_matches("spiffe://").to_owned()))
            .map(|(key, rule)| (key, serde_json::to_value(rule).unwrap()))
            .collect()
    })
}

proptest! {
    #[test]
    fn what_is_exported_reads_back(
        texts in (nasty(), nasty(), nasty()),
        mode in proptest::option::of(proptest::sample::select(&["ENABLE", "DISABLE"][..])),
        patterns in proptest::collection::vec("[a-z.]{1,9}/[a-z]{0,3}[*]{0,2}", 0..3),
        maps in (rules(Scope::Cluster), rules(Scope::Namespace), rules(Scope::ServiceAccount), rules(Scope::MeshIdentity)),
        default in rule(),
    ) {
        let patterns: Vec<_> = patterns.iter().map(|text| serde_json::json!({"namePattern": text})).collect();
        let document = serde_json::json!({
            "description": texts.0, "etag": texts.1, "updateTime": texts.2, "globalPolicyEvaluationMode": mode,
            "admissionWhitelistPatterns": patterns,
            "clusterAdmissionRules": maps.0, "kubernetesNamespaceAdmissionRules": maps.1,
            "kubernetesServiceAccountAdmissionRules": maps.2, "istioServiceIdentityAdmissionRules": maps.3,
            "defaultAdmissionRule": default,
        });
        let options = Options { allow_multiple_rule_maps: true };
        let policy = Policy::parse(document.to_string().as_bytes(), Format::Json, options).unwrap();
        for format in [Format::Yaml, Format::Json] {
            let exported = policy.export(format);
            let again = Policy::parse(exported.as_bytes(), format, options)
                .unwrap_or_else(|error| panic!("{error}:\n{exported}"));
            prop_assert_eq!(content(&again), content(&policy));
            prop_assert_eq!(again.export(format), exported);
        }
    }
}
