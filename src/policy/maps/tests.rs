use proptest::prelude::*;

use crate::document::Format;
use crate::image::Workload;
use crate::policy::{Options, Policy};

/// A rule that is told apart by its attestor.
fn rule(attestor: &str) -> serde_json::Value {
    serde_json::json!({"evaluationMode": "REQUIRE_ATTESTATION", "enforcementMode": "ENFORCED_BLOCK_AND_AUDIT_LOG",
        "requireAttestationsBy": [format!("projects/p/attestors/{attestor}")]})
}

/// `FIELD KEY ATTESTOR` each; the document has them in this order.
fn policy(rules: &[(&str, &str, &str)], default: &str) -> Policy {
    let mut text = String::new();
    for field in [C, N, S, M] {
        let of_field = rules.iter().filter(|(of, ..)| *of == field);
        let pairs: Vec<_> =
            of_field.map(|(_, key, attestor)| format!("\"{key}\":{}", rule(attestor))).collect();
        text.push_str(&format!("\"{field}\":{{{}}},", pairs.join(",")));
    }
    let text = format!("{{{text}\"defaultAdmissionRule\":{}}}", rule(default));
    let options = Options { allow_multiple_rule_maps: true };
    Policy::parse(text.as_bytes(), Format::Json, options).unwrap()
}

/// Cluster, namespace, service account, mesh identity; `?` is not known.
fn pod(known: [&str; 4]) -> Workload {
    let [cluster, namespace, service_account, mesh_identity] =
        known.map(|text| Some(text.to_owned()).filter(|text| text != "?"));
    Workload { cluster, namespace, service_account, mesh_identity, ..Workload::default() }
}

const C: &str = "clusterAdmissionRules";
const N: &str = "kubernetesNamespaceAdmissionRules";
const S: &str = "kubernetesServiceAccountAdmissionRules";
const M: &str = "istioServiceIdentityAdmissionRules";

/// Rules, a pod, and the places of what could apply to it.
type Row =
    (&'static [(&'static str, &'static str, &'static str)], [&'static str; 4], &'static [&'static str]);

#[test]
fn the_rule_for_a_pod() {
    let cluster: &[_] = &[(C, "eu.prod", "p"), (C, "eu.dev", "d")];
    let namespaces: &[_] = &[(N, "shop", "s"), (N, "bank", "b"), (N, "park", "s"), (N, "zoo", "default")];
    let accounts: &[_] =
        &[(S, "shop:web", "w"), (S, "shop:db", "d"), (S, "bank:web", "b"), (S, "bank:api", "w")];
    let mesh: &[_] = &[
        (M, "spiffe://one/ns/shop/sa/web", "w1"),
        (M, "two/ns/shop/sa/web", "w2"),
        (M, "one/ns/shop/sa/db", "d1"),
        (M, "p.svc.id.goog/ns/bank/sa/web", "b"),
    ];
    let all: &[_] = &[
        (C, "eu.prod", "c"),
        (N, "shop", "n"),
        (S, "shop:web", "s"),
        (M, "one/ns/shop/sa/db", "m"),
        (M, "one/ns/shop/sa/web", "m"),
    ];
    let rows: &[Row] = &[
        (&[], ["?", "?", "?", "?"], &["default"]),
        (&[], ["eu.prod", "shop", "web", "one/ns/shop/sa/web"], &["default"]),
        (cluster, ["eu.prod", "?", "?", "?"], &["C[eu.prod]"]),
        (cluster, ["eu.test", "?", "?", "?"], &["default"]),
        (cluster, ["?", "shop", "web", "?"], &["C[eu.prod]", "C[eu.dev]", "default"]),
        (namespaces, ["?", "shop", "?", "?"], &["N[shop]"]),
        (namespaces, ["?", "SHOP", "?", "?"], &["default"]),
        (namespaces, ["?", "", "?", "?"], &["default"]),
        (namespaces, ["?", "zoo", "?", "?"], &["N[zoo]"]),
        (namespaces, ["?", "?", "web", "?"], &["N[shop]", "N[bank]", "default"]),
        (accounts, ["?", "shop", "web", "?"], &["S[shop:web]"]),
        (accounts, ["?", "shop", "api", "?"], &["default"]),
        (accounts, ["?", "shop", "?", "?"], &["S[shop:web]", "S[shop:db]", "default"]),
        (accounts, ["?", "?", "web", "?"], &["S[shop:web]", "S[bank:web]", "default"]),
        (accounts, ["?", "park", "?", "?"], &["default"]),
        (accounts, ["?", "?", "?", "?"], &["S[shop:web]", "S[shop:db]", "S[bank:web]", "default"]),
        (mesh, ["?", "?", "?", "one/ns/shop/sa/web"], &["M[spiffe://one/ns/shop/sa/web]"]),
        (mesh, ["?", "?", "?", "spiffe://two/ns/shop/sa/web"], &["M[two/ns/shop/sa/web]"]),
        (mesh, ["?", "?", "?", "three/ns/shop/sa/web"], &["default"]),
        (
            mesh,
            ["?", "shop", "web", "?"],
            &["M[spiffe://one/ns/shop/sa/web]", "M[two/ns/shop/sa/web]", "default"],
        ),
        (mesh, ["?", "bank", "?", "?"], &["M[p.svc.id.goog/ns/bank/sa/web]", "default"]),
        (mesh, ["?", "?", "db", "?"], &["M[one/ns/shop/sa/db]", "default"]),
        (mesh, ["?", "bank", "db", "?"], &["default"]),
        (all, ["eu.prod", "shop", "web", "one/ns/shop/sa/web"], &["S[shop:web]"]),
        (all, ["eu.prod", "shop", "db", "one/ns/shop/sa/db"], &["M[one/ns/shop/sa/db]"]),
        (all, ["eu.prod", "shop", "api", "one/ns/shop/sa/api"], &["N[shop]"]),
        (all, ["eu.prod", "bank", "web", "one/ns/bank/sa/web"], &["C[eu.prod]"]),
        (all, ["eu.dev", "bank", "web", "one/ns/bank/sa/web"], &["default"]),
        (all, ["eu.prod", "shop", "db", "?"], &["M[one/ns/shop/sa/db]", "N[shop]"]),
        (all, ["eu.prod", "shop", "?", "?"], &["S[shop:web]", "M[one/ns/shop/sa/db]", "N[shop]"]),
        (all, ["eu.dev", "?", "?", "?"], &["S[shop:web]", "M[one/ns/shop/sa/db]", "N[shop]", "default"]),
        // Rules that are alike come once.
        (&[(N, "shop", "x"), (C, "eu.prod", "x")], ["eu.prod", "?", "?", "?"], &["C[eu.prod]"]),
        (&[(N, "shop", "default")], ["?", "?", "?", "?"], &["default"]),
    ];
    for (rules, known, expected) in rows {
        let policy = policy(rules, "default");
        let expected: Vec<_> = expected
            .iter()
            .map(|place| match place.split_at(1) {
                ("C", key) => format!("{C}{key}"),
                ("N", key) => format!("{N}{key}"),
                ("S", key) => format!("{S}{key}"),
                ("M", key) => format!("{M}{key}"),
                _ => "defaultAdmissionRule".to_owned(),
            })
            .collect();
        let workload = pod(*known);
        let found: Vec<_> = policy.candidates(&workload).iter().map(|(place, _)| place.to_string()).collect();
        assert_eq!(found, expected, "{known:?}");
    }
}

#[test]
fn places_in_words() {
    let rules =
        [(C, "us-central1-a.prod", "c"), (N, "shop", "n"), (S, "shop:web", "s"), (M, "d/ns/n/sa/s", "m")];
    let policy = policy(&rules, "x");
    let described: Vec<_> = policy.rules().map(|(place, _)| place.describe()).collect();
    assert_eq!(
        described,
        [
            "service account admission rule for shop:web",
            "service identity admission rule for d/ns/n/sa/s",
            "namespace admission rule for shop",
            "cluster admission rule for us-central1-a.prod",
            "default admission rule",
        ]
    );
}

#[test]
fn many_rules_for_an_unknown_pod_are_few() {
    let keys: Vec<_> = (0..1_000).map(|n| (format!("n{n}"), format!("a{}", n % 3))).collect();
    let rules: Vec<_> = keys.iter().map(|(key, attestor)| (N, key.as_str(), attestor.as_str())).collect();
    let policy = policy(&rules, "a0");
    assert_eq!(policy.rules().count(), 1_001);
    assert_eq!(policy.candidates(&Workload::default()).len(), 3);
    assert_eq!(policy.candidates(&pod(["?", "n999", "?", "?"])).len(), 1);
}

/// As many as a document holds.
#[test]
fn very_many_rules() {
    let deny = |n: usize| {
        format!("n{n}: {{evaluationMode: ALWAYS_DENY, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}}")
    };
    let rules: Vec<_> = (0..80_000).map(deny).collect();
    let text = format!("{N}: {{{}}}\ndefaultAdmissionRule: {}", rules.join(",\n  "), rule("a"));
    let policy = Policy::parse(text.as_bytes(), Format::Yaml, Options::default()).unwrap();
    assert_eq!(policy.rules().count(), 80_001);
    assert_eq!(policy.candidates(&Workload::default()).len(), 2);
    assert_eq!(policy.candidates(&pod(["?", "n79999", "?", "?"])).len(), 1);
}

/// Whether a rule under `key` could be the one of this pod, and whether it surely is.
fn applies(field: &str, key: &str, pod: &Workload) -> (bool, bool) {
    let agrees = |known: &Option<String>, with: &str| known.as_deref().is_none_or(|known| known == with);
    let bare = |text: &str| text.trim_start_matches("spiffe://").to_owned();
    match field {
        C => (agrees(&pod.cluster, key), pod.cluster.is_some()),
        N => (agrees(&pod.namespace, key), pod.namespace.is_some()),
        S => {
            let (namespace, account) = key.split_once(':').unwrap();
            let known = pod.namespace.is_some() && pod.service_account.is_some();
            (agrees(&pod.namespace, namespace) && agrees(&pod.service_account, account), known)
        }
        _ => match &pod.mesh_identity {
            Some(identity) => (bare(identity) == bare(key), true),
            None => {
                let parts: Vec<_> = key.rsplit('/').collect();
                (agrees(&pod.namespace, parts[2]) && agrees(&pod.service_account, parts[0]), false)
            }
        },
    }
}

/// Every rule that could apply, looked for one by one.
fn naive(rules: &[(&'static str, String, String)], default: &str, pod: &Workload) -> Vec<String> {
    let mut found = Vec::new();
    for field in [S, M, N, C] {
        for (_, key, attestor) in rules.iter().filter(|(of, ..)| *of == field) {
            match applies(field, key, pod) {
                (true, true) => {
                    found.push(attestor.clone());
                    return found;
                }
                (true, false) => found.push(attestor.clone()),
                (false, _) => {}
            }
        }
    }
    found.push(default.to_owned());
    found
}

fn some_rules() -> impl Strategy<Value = Vec<(&'static str, String, String)>> {
    let name = || proptest::sample::select(&["a", "b", "c"][..]);
    let key = (proptest::sample::select(&[C, N, S, M][..]), name(), name(), name(), any::<bool>()).prop_map(
        |(field, domain, namespace, account, scheme)| {
            let scheme = if scheme { "spiffe://" } else { "" };
            let key = match field {
                C => format!("{domain}.{namespace}"),
                N => namespace.to_owned(),
                S => format!("{namespace}:{account}"),
                _ => format!("{scheme}{domain}/ns/{namespace}/sa/{account}"),
            };
            (field, key)
        },
    );
    proptest::collection::vec((key, "[v-z]"), 0..24).prop_map(|rules| {
        let mut seen = std::collections::HashSet::new();
        rules
            .into_iter()
            .filter(|((field, key), _)| seen.insert((*field, key.trim_start_matches("spiffe://").to_owned())))
            .map(|((field, key), attestor)| (field, key, attestor))
            .collect()
    })
}

fn some_pod() -> impl Strategy<Value = Workload> {
    let name = || proptest::option::of("[a-d]");
    (proptest::option::of("[a-c][.][a-c]"), name(), name(), proptest::option::of(("[a-d]", any::<bool>())))
        .prop_map(|(cluster, namespace, service_account, mesh)| {
            let mesh_identity = mesh.map(|(domain, scheme)| {
                let scheme = if scheme { "spiffe://" } else { "" };
                let name = |known: &Option<String>| known.clone().unwrap_or("a".into());
                format!("{scheme}{domain}/ns/{}/sa/{}", name(&namespace), name(&service_account))
            });
            Workload { cluster, namespace, service_account, mesh_identity, ..Workload::default() }
        })
}

proptest! {
    #[test]
    fn selection_is_that_of_a_plain_search(rules in some_rules(), pod in some_pod(), default in "[u-z]") {
        let borrowed: Vec<_> = rules.iter().map(|(field, key, rule)| (*field, key.as_str(), rule.as_str())).collect();
        let policy = policy(&borrowed, &default);
        let found: Vec<_> =
            policy.candidates(&pod).iter().map(|(_, rule)| rule.attestors()[0].id().to_owned()).collect();
        let distinct: std::collections::BTreeSet<_> = found.iter().cloned().collect();
        prop_assert_eq!(distinct.len(), found.len(), "no rule twice");
        let expected = naive(&rules, &default, &pod);
        // What comes last is what is left when nothing more specific is.
        prop_assert_eq!(found.last(), expected.last());
        prop_assert_eq!(distinct, expected.into_iter().collect());
    }
}
