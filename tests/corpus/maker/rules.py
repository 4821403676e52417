"""Admission rules: modes, maps, what is not known of the pod, policies that are refused."""

import json

from .shapes import *

MAPS = {
    "cluster": ("clusterAdmissionRules", "us-central1-a.prod", {"cluster": "us-central1-a.prod"}, {"cluster": "us-central1-a.test"}),
    "namespace": ("kubernetesNamespaceAdmissionRules", "shop", {"namespace": "shop"}, {"namespace": "bank"}),
    "service-account": ("kubernetesServiceAccountAdmissionRules", "shop:web", {"namespace": "shop", "serviceAccount": "web"},
                        {"namespace": "shop", "serviceAccount": "batch"}),
    "mesh": ("istioServiceIdentityAdmissionRules", "spiffe://acme.svc.id.goog/ns/shop/sa/web",
             {"meshIdentity": "spiffe://acme.svc.id.goog/ns/shop/sa/web"},
             {"meshIdentity": "spiffe://acme.svc.id.goog/ns/shop/sa/batch"}),
}
POD = {"cluster": "us-central1-a.prod", "namespace": "shop", "serviceAccount": "web",
       "meshIdentity": "spiffe://acme.svc.id.goog/ns/shop/sa/web"}
MODES = [
    ("always-allow", "ALWAYS_ALLOW", False, "ALWAYS_ALLOW", None),
    ("always-deny", "ALWAYS_DENY", False, None, "ALWAYS_DENY"),
    ("attested", "REQUIRE_ATTESTATION", True, "ATTESTED", None),
    ("unattested", "REQUIRE_ATTESTATION", False, None, "NO_ATTESTATION"),
]
DEFAULT = "defaultAdmissionRule"


def about(**known):
    return {"image": IMAGE} | known


def _modes(t):
    places = {"default": (None, None, {}, {})} | MAPS
    for place, (field, key, here, _) in places.items():
        for mode, evaluation, filed, good, bad in MODES:
            for enforcement, text in ((ENFORCED, "enforced"), (DRY_RUN, "dry-run")):
                found = rule(evaluation, enforcement, *(["built-by-ci"] if evaluation == "REQUIRE_ATTESTATION" else []))
                if field is None:
                    policy, at = {DEFAULT: found}, DEFAULT
                else:  # the default says the contrary, so that the specific rule shows
                    policy = {field: {key: found}, DEFAULT: ALWAYS_DENY if good else ALWAYS_ALLOW}
                    at = f"{field}[{key}]"
                expect = allow(good, rule=at) if good else (deny if enforcement == ENFORCED else dry)(bad, rule=at)
                t.add(f"rule-{place}-{mode}-{text}", "1.2, 1.5: evaluation mode, then enforcement mode of the rule that applies",
                      expect, policy, [CI], ["occurrences/app-gcloud.json"] if filed else [], about(**here))


def _maps(t):
    for place, (field, key, here, elsewhere) in MAPS.items():
        policy = {field: {key: ALWAYS_ALLOW}, DEFAULT: ALWAYS_DENY}
        t.add(f"rule-{place}-elsewhere", "1.5, 5: no specific rule applies, the default rule does",
              deny("ALWAYS_DENY", rule=DEFAULT), policy, subject=about(**elsewhere))
        t.add(f"rule-{place}-unknown", "pod context unknown and the rules differ", undecided("POD_CONTEXT_UNKNOWN"), policy)
        t.add(f"rule-{place}-unknown-all-deny", "every rule that could apply refuses", deny("ALWAYS_DENY"),
              {field: {key: ALWAYS_DENY}, DEFAULT: ALWAYS_DENY})
        t.add(f"rule-{place}-unknown-all-allow", "every rule that could apply allows", allow("ALWAYS_ALLOW"),
              {field: {key: ALWAYS_ALLOW}, DEFAULT: ALWAYS_ALLOW})
    sa, ns = MAPS["service-account"][0], MAPS["namespace"][0]
    account = {sa: {"shop:web": ALWAYS_ALLOW}, DEFAULT: ALWAYS_DENY}
    t.add("rule-service-account-unknown-in-its-namespace", "namespace known, account not: the rules differ",
          undecided("POD_CONTEXT_UNKNOWN"), account, subject=about(namespace="shop"))
    t.add("rule-service-account-unknown-in-another-namespace", "no rule of this namespace: the default rule applies whatever the account",
          deny("ALWAYS_DENY", rule=DEFAULT), account, subject=about(namespace="bank"))
    t.add("rule-service-account-of-another-namespace", "the key is NAMESPACE:SERVICEACCOUNT", deny("ALWAYS_DENY", rule=DEFAULT),
          account, subject=about(namespace="bank", serviceAccount="web"))
    t.add("rule-unknown-pod-and-attested", "every candidate is satisfied, each in its way", allow(),
          {ns: {"shop": rule("REQUIRE_ATTESTATION", ENFORCED, "built-by-ci")}, **require()}, [CI], ["occurrences/app-gcloud.json"])
    t.add("rule-unknown-pod-exempted", "a pattern decides before any rule: the pod does not matter",
          allow("ALLOWLISTED"), {ns: {"shop": ALWAYS_DENY}, **refuse("registry.example.com/**"), DEFAULT: ALWAYS_ALLOW})
    t.add("rule-unknown-pod-other-map-empty", "an empty map asks nothing of the pod", allow("ALWAYS_ALLOW", rule=DEFAULT),
          {ns: {}, "clusterAdmissionRules": {}, DEFAULT: ALWAYS_ALLOW})
    t.add("rule-unknown-pod-dry-run", "what is enforced differs: nobody can tell which applies", undecided("POD_CONTEXT_UNKNOWN"),
          {ns: {"shop": rule("ALWAYS_DENY", DRY_RUN)}, DEFAULT: ALWAYS_DENY}, open=True)
    t.add("rule-mesh-without-scheme-in-the-key", "1.2: the key may lack spiffe://",
          allow("ALWAYS_ALLOW", rule="istioServiceIdentityAdmissionRules[acme.svc.id.goog/ns/shop/sa/web]"),
          {"istioServiceIdentityAdmissionRules": {"acme.svc.id.goog/ns/shop/sa/web": ALWAYS_ALLOW}, DEFAULT: ALWAYS_DENY},
          subject=about(**MAPS["mesh"][2]))
    t.add("rule-mesh-without-scheme-in-the-pod", "1.2: with and without spiffe:// is one identity",
          allow("ALWAYS_ALLOW", rule="istioServiceIdentityAdmissionRules[spiffe://acme.svc.id.goog/ns/shop/sa/web]"),
          {"istioServiceIdentityAdmissionRules": {"spiffe://acme.svc.id.goog/ns/shop/sa/web": ALWAYS_ALLOW}, DEFAULT: ALWAYS_DENY},
          subject=about(meshIdentity="acme.svc.id.goog/ns/shop/sa/web"), open=True)
    t.add("rule-namespace-with-digits", "1.2: real namespaces have digits", allow("ALWAYS_ALLOW", rule=f"{ns}[shop-2]"),
          {ns: {"shop-2": ALWAYS_ALLOW}, DEFAULT: ALWAYS_DENY}, subject=about(namespace="shop-2"))
    t.add("rule-cluster-of-a-fleet", "1.2: on-prem clusters are LOCATION.MEMBERSHIP",
          allow("ALWAYS_ALLOW", rule="clusterAdmissionRules[global.my-member]"),
          {"clusterAdmissionRules": {"global.my-member": ALWAYS_ALLOW}, DEFAULT: ALWAYS_DENY}, subject=about(cluster="global.my-member"))
    t.add("rule-namespace-is-not-a-prefix", "keys are compared whole", deny("ALWAYS_DENY", rule=DEFAULT),
          {ns: {"shop": ALWAYS_ALLOW}, DEFAULT: ALWAYS_DENY}, subject=about(namespace="shop-test"))


def _several(t):
    switch = {"allowMultipleRuleMaps": True}
    names = list(MAPS)
    for index, first in enumerate(names):
        for second in names[index + 1:]:
            policy = {MAPS[first][0]: {MAPS[first][1]: ALWAYS_ALLOW}, MAPS[second][0]: {MAPS[second][1]: ALWAYS_ALLOW}, DEFAULT: ALWAYS_DENY}
            t.add(f"several-maps-{first}-and-{second}", "1.3: at most one of the four maps may be used",
                  unreadable(MAPS[first][0], MAPS[second][0]), policy, subject=about(**POD))
    for first, second in (("namespace", "cluster"), ("service-account", "namespace"), ("service-account", "cluster"),
                          ("mesh", "namespace"), ("mesh", "cluster")):
        policy = {MAPS[first][0]: {MAPS[first][1]: ALWAYS_ALLOW}, MAPS[second][0]: {MAPS[second][1]: ALWAYS_DENY}, DEFAULT: ALWAYS_DENY}
        t.add(f"several-maps-{first}-over-{second}", "with the switch: service account or mesh over namespace over cluster",
              allow("ALWAYS_ALLOW", rule=f"{MAPS[first][0]}[{MAPS[first][1]}]"), policy, subject=about(**POD), options=switch)
    both = {MAPS["namespace"][0]: {"shop": ALWAYS_ALLOW}, "clusterAdmissionRules": {"us-central1-a.prod": ALWAYS_DENY}, DEFAULT: ALWAYS_ALLOW}
    t.add("several-maps-less-specific-applies", "with the switch: no namespace rule for this pod, so the cluster's",
          deny("ALWAYS_DENY", rule="clusterAdmissionRules[us-central1-a.prod]"), both,
          subject=about(cluster="us-central1-a.prod", namespace="bank"), options=switch)
    t.add("several-maps-namespace-unknown", "with the switch: the namespace's rule could apply, or the cluster's",
          undecided("POD_CONTEXT_UNKNOWN"), both, subject=about(cluster="us-central1-a.prod"), options=switch)
    t.add("several-maps-cluster-unknown-but-namespace-decides", "with the switch: the most specific rule applies whatever the cluster",
          allow("ALWAYS_ALLOW", rule="kubernetesNamespaceAdmissionRules[shop]"), both, subject=about(namespace="shop"), options=switch)
    t.add("several-maps-all-empty-but-one", "1.3: an empty map is not used", allow("ALWAYS_ALLOW", rule="kubernetesNamespaceAdmissionRules[shop]"),
          {MAPS["namespace"][0]: {"shop": ALWAYS_ALLOW}, "clusterAdmissionRules": {}, DEFAULT: ALWAYS_DENY}, subject=about(namespace="shop"))


def _spellings(t):
    snake = {"admission_whitelist_patterns": [{"name_pattern": "gcr.io/p/*"}],
             "default_admission_rule": {"evaluation_mode": "ALWAYS_DENY", "enforcement_mode": ENFORCED}}
    t.add("snake-case", "1.3: proto3 JSON parsers accept both spellings", allow("ALLOWLISTED"), snake, subject="gcr.io/p/app:1")
    t.add("snake-case-rule", "1.3: proto3 JSON parsers accept both spellings", deny("NO_ATTESTATION"),
          {"default_admission_rule": {"evaluation_mode": "REQUIRE_ATTESTATION", "enforcement_mode": ENFORCED,
                                      "require_attestations_by": [attestor_name("built-by-ci")]}}, [CI])
    t.add("snake-case-map", "1.3: proto3 JSON parsers accept both spellings", allow("ALWAYS_ALLOW"),
          {"kubernetes_namespace_admission_rules": {"shop": ALWAYS_ALLOW}, DEFAULT: ALWAYS_DENY}, subject=about(namespace="shop"))
    t.add("snake-case-twice", "one field in both spellings is there twice", unreadable("duplicate"),
          {"default_admission_rule": ALWAYS_ALLOW, DEFAULT: ALWAYS_DENY})
    t.add("yaml", "1.2: YAML uses the same names", dry("ALWAYS_DENY"),
          f"name: projects/acme/policy\ndefaultAdmissionRule:\n  evaluationMode: ALWAYS_DENY\n  enforcementMode: {DRY_RUN}\n")
    t.add("yaml-with-a-comment", "YAML", allow("ALWAYS_ALLOW"),
          f"# whole policy\ndefaultAdmissionRule: {{evaluationMode: ALWAYS_ALLOW, enforcementMode: {ENFORCED}}}\n")
    t.add("whole-schema", "1.2, 1.4: every field at once", allow("ALWAYS_ALLOW", rule="kubernetesNamespaceAdmissionRules[sandbox]"),
          {"name": "projects/acme-deploy/policy", "description": "prod baseline", "globalPolicyEvaluationMode": "ENABLE",
           "admissionWhitelistPatterns": [{"namePattern": "registry.acme.example/base/**"}],
           "kubernetesNamespaceAdmissionRules": {"sandbox": ALWAYS_ALLOW},
           "updateTime": "2026-01-01T00:00:00Z", "etag": "\"Mna+BCqXznjH\"", **require("built-by-ci", "scanned")},
          [CI, SCANNED], subject=about(namespace="sandbox"))
    t.add("default-policy", "1.4: the policy of a project that never set one", allow("ALWAYS_ALLOW"),
          {"name": "projects/P/policy", "globalPolicyEvaluationMode": "ENABLE", DEFAULT: ALWAYS_ALLOW})
    t.add("global-mode-unspecified", "1.2: unspecified is DISABLE", allow("ALWAYS_ALLOW"),
          {"globalPolicyEvaluationMode": "GLOBAL_POLICY_EVALUATION_MODE_UNSPECIFIED", DEFAULT: ALWAYS_ALLOW})


def _refused(t):
    body = {DEFAULT: ALWAYS_DENY}
    need = {"enforcementMode": ENFORCED}
    ns = "kubernetesNamespaceAdmissionRules"
    inner = json.dumps(ALWAYS_DENY)
    rows = [
        ("wrapper-spec", {"apiVersion": "binaryauthorization.googleapis.com/v1", "kind": "Policy", "spec": body}, ["apiVersion"], "0.1: there is no wrapper"),
        ("wrapper-policy", {"policy": body}, ["policy"], "0.1: there is no wrapper"),
        ("mode-allow-all", {DEFAULT: {"evaluationMode": "ALLOW_ALL", **need}}, ["ALLOW_ALL", "ALWAYS_ALLOW"], "0.1: ALWAYS_ALLOW is meant"),
        ("mode-deny-all", {DEFAULT: {"evaluationMode": "DENY_ALL", **need}}, ["DENY_ALL"], "1.2: no such mode"),
        ("mode-lower-case", {DEFAULT: {"evaluationMode": "always_allow", **need}}, ["always_allow"], "1.2: enum names are exact"),
        ("mode-unspecified", {DEFAULT: {"evaluationMode": "EVALUATION_MODE_UNSPECIFIED", **need}}, ["EVALUATION_MODE_UNSPECIFIED"], "1.2: do not use"),
        ("mode-number", {DEFAULT: {"evaluationMode": 1, **need}}, [], "1.3: wrong scalar types are refused"),
        ("mode-missing", {DEFAULT: need}, ["evaluationMode", "missing"], "1.2: required"),
        ("enforcement-enforcing-mode", {DEFAULT: {"evaluationMode": "ALWAYS_DENY", "enforcementMode": "ENFORCING_MODE"}}, ["ENFORCING_MODE", ENFORCED], "0.1"),
        ("enforcement-unspecified", {DEFAULT: {"evaluationMode": "ALWAYS_DENY", "enforcementMode": "ENFORCEMENT_MODE_UNSPECIFIED"}}, ["ENFORCEMENT_MODE_UNSPECIFIED"], "1.2: do not use"),
        ("enforcement-missing", {DEFAULT: {"evaluationMode": "ALWAYS_DENY"}}, ["enforcementMode", "missing"], "1.2, our choice: never a default"),
        ("global-mode-wrong", {"globalPolicyEvaluationMode": "ON", **body}, ["globalPolicyEvaluationMode", "ON"], "1.2"),
        ("default-missing", {"description": "x"}, [DEFAULT, "missing"], "1.2: required"),
        ("default-null", {DEFAULT: None}, [DEFAULT], "1.2: required"),
        ("empty-object", {}, [DEFAULT], "1.2: required"),
        ("empty-text", "", ["empty"], "1.3: an empty file is no policy here"),
        ("comment-only", "# nothing\n", [], "1.3: an empty file is no policy here"),
        ("unknown-field", {"unknown": 1, **body}, ["unknown"], "1.3"),
        ("unknown-field-in-a-rule", {DEFAULT: {**ALWAYS_DENY, "comment": "x"}}, ["comment"], "1.3"),
        ("a-list", [], [], "1.2: an object"),
        ("name-of-another-form", {"name": "policy", **body}, ["name", "projects/PROJECT/policy"], "1.2"),
        ("require-nobody", {DEFAULT: {"evaluationMode": "REQUIRE_ATTESTATION", **need}}, ["requireAttestationsBy", "empty"], "1.2: non-empty iff REQUIRE_ATTESTATION"),
        ("require-empty", {DEFAULT: {"evaluationMode": "REQUIRE_ATTESTATION", "requireAttestationsBy": [], **need}}, ["requireAttestationsBy", "empty"], "1.2: non-empty iff REQUIRE_ATTESTATION"),
        ("allow-with-attestors", {DEFAULT: rule("ALWAYS_ALLOW", ENFORCED, "built-by-ci")}, ["requireAttestationsBy", "superfluous"], "1.2: otherwise empty"),
        ("deny-with-attestors", {DEFAULT: rule("ALWAYS_DENY", ENFORCED, "built-by-ci")}, ["requireAttestationsBy", "superfluous"], "1.2: otherwise empty"),
        ("attestor-short-name", {DEFAULT: {**rule("REQUIRE_ATTESTATION"), "requireAttestationsBy": ["built-by-ci"]}}, ["built-by-ci", "projects/PROJECT/attestors/ID"], "1.2: projects/P/attestors/A"),
        ("attestor-is-a-note", {DEFAULT: {**rule("REQUIRE_ATTESTATION"), "requireAttestationsBy": ["projects/p/notes/a"]}}, ["projects/p/notes/a"], "1.2: projects/P/attestors/A"),
        ("attestor-as-text", {DEFAULT: {**rule("REQUIRE_ATTESTATION"), "requireAttestationsBy": "projects/p/attestors/a"}}, [], "1.3: wrong types are refused"),
        ("too-many-attestors", {DEFAULT: rule("REQUIRE_ATTESTATION", ENFORCED, *[f"a{n}" for n in range(201)])}, ["requireAttestationsBy"], "1.8: 200 attestor references a policy; ours is a lower bound a rule"),
        ("bad-rule-in-a-map", {ns: {"shop": {"evaluationMode": "X", **need}}, **body}, [ns, "shop"], "1.2: the message names the rule"),
        ("cluster-key", {"clusterAdmissionRules": {"prod": ALWAYS_DENY}, **body}, ["clusterAdmissionRules", "LOCATION.CLUSTER"], "1.2: LOCATION.CLUSTER"),
        ("namespace-key", {ns: {"Shop": ALWAYS_DENY}, **body}, [ns, "Shop"], "1.2: RFC 1123 labels"),
        ("service-account-key", {"kubernetesServiceAccountAdmissionRules": {"web": ALWAYS_DENY}, **body}, ["NAMESPACE:SERVICEACCOUNT"], "1.2"),
        ("mesh-key", {"istioServiceIdentityAdmissionRules": {"spiffe://acme/shop/web": ALWAYS_DENY}, **body}, ["istioServiceIdentityAdmissionRules"], "1.2"),
        ("duplicate-top-level", f"defaultAdmissionRule: {inner}\ndefaultAdmissionRule: {inner}\n", ["duplicate"], "1.3: duplicate keys"),
        ("duplicate-in-a-map", f"{ns}: {{shop: {inner}, shop: {inner}}}\ndefaultAdmissionRule: {inner}\n", ["duplicate"], "1.3: at most one rule per key"),
        ("duplicate-in-a-rule", f"defaultAdmissionRule: {{evaluationMode: ALWAYS_DENY, evaluationMode: ALWAYS_ALLOW, enforcementMode: {ENFORCED}}}\n", ["duplicate"], "1.3: duplicate keys"),
        ("two-documents", f"defaultAdmissionRule: {inner}\n---\ndefaultAdmissionRule: {inner}\n", [], "one document a file"),
        ("merge-key", f"x: &x {inner}\ndefaultAdmissionRule:\n  <<: *x\n", [], "no merge keys"),
        ("no-document", "just text", [], "not a policy"),
    ]
    for name, policy, message, why in rows:
        t.add(f"refused-{name}", why, unreadable(*message), policy)


def topic():
    t = Topic("rules")
    for part in (_modes, _maps, _several, _spellings, _refused):
        part(t)
    return t
