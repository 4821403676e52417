"""Deny list, system policy, patterns, specific rule, default rule: who speaks first."""

from .shapes import *

CONFIG = THIRD


def denied(digest=D, reason="CVE-2026-0001 in the base layer", **more):
    return {"digests": [{"digest": digest, "reason": reason} | more]}


def system(digest=D, **more):
    return {"digests": [{"digest": digest, "reason": "node agent"}]} | more


def topic():
    t = Topic("order")
    listed = deny("DENY_LISTED", rule="denyList")
    open_policy = {"defaultAdmissionRule": ALWAYS_ALLOW}
    closed = {"defaultAdmissionRule": ALWAYS_DENY}
    enable = {"globalPolicyEvaluationMode": "ENABLE"}
    by_system = allow("SYSTEM_POLICY", rule="systemPolicy")
    why = "our order: the deny list is first"
    t.add("deny-list-over-always-allow", why, listed | {"message": ["CVE-2026-0001"]}, open_policy, denyList=denied())
    t.add("deny-list-over-pattern", why, listed, refuse("registry.example.com/**"), denyList=denied())
    t.add("deny-list-over-attestation", why, listed, require(), [CI], ["occurrences/app-gcloud.json"], denyList=denied())
    t.add("deny-list-over-system-policy", why, listed, open_policy | enable, denyList=denied(), systemPolicy=system())
    t.add("deny-list-is-no-dry-run", "dry run is of a rule; the deny list is none", listed,
          {"defaultAdmissionRule": rule("ALWAYS_DENY", DRY_RUN)}, denyList=denied())
    t.add("deny-list-unknown-pod", "the deny list needs no pod", listed,
          {"kubernetesNamespaceAdmissionRules": {"shop": ALWAYS_ALLOW}, "defaultAdmissionRule": ALWAYS_DENY}, denyList=denied())
    t.add("deny-list-of-another-digest", "it lists other bytes", allow("ALWAYS_ALLOW"), open_policy, denyList=denied(OTHER))
    for what in ("index", "manifest", "config"):
        t.add(f"deny-list-{what}", f"the digest of the {what} counts", listed, open_policy, denyList=denied({"index": D, "manifest": OTHER, "config": CONFIG}[what]),
              subject={"image": IMAGE, "index": D, "manifest": OTHER, "config": CONFIG})
    t.add("deny-list-narrowed-subjects", "narrowed subjects do not narrow the deny list", listed, open_policy, denyList=denied(D),
          subject={"image": IMAGE, "index": D, "manifest": OTHER}, options={"subjects": ["manifest"]})
    t.add("deny-list-tag", "a tag without a digest is on no list", allow("ALWAYS_ALLOW"), open_policy, denyList=denied(), subject=REPOSITORY + ":v1")
    t.add("deny-list-tag-resolved", "what a tag resolved to is", listed, open_policy, denyList=denied(), subject={"image": REPOSITORY + ":v1", "manifest": D})
    t.add("deny-list-not-ended", "an entry counts while now is before its end", listed, open_policy, denyList=denied(until="2026-11-24T12:00:01Z"))
    t.add("deny-list-ends-now", "an entry counts while now is before its end", allow("ALWAYS_ALLOW"), open_policy, denyList=denied(until=NOW))
    t.add("deny-list-ended", "an entry counts while now is before its end", allow("ALWAYS_ALLOW"), open_policy, denyList=denied(until="2026-11-01T00:00:00Z"))
    t.add("deny-list-yaml", "a deny list as text", listed, open_policy, denyList=f"description: incident 7\ndigests:\n- digest: {D}\n  reason: malware\n")
    t.add("deny-list-empty", "nobody on it", allow("ALWAYS_ALLOW"), open_policy, denyList={"digests": []})
    for name, document in (
        ("twice", {"digests": denied()["digests"] * 2}), ("no-reason", {"digests": [{"digest": D}]}), ("empty-reason", denied(reason="")),
        ("bad-digest", denied("sha256:ab")), ("upper-case-digest", denied(D.upper().replace("SHA", "sha"))), ("bad-until", denied(until="tomorrow")),
        ("unknown-field", denied() | {"images": []}),
    ):
        t.add(f"deny-list-refused-{name}", "a deny list that cannot be read refuses everything", unreadable(), open_policy, denyList=document, open=True)

    t.add("system-policy-enabled", "1.5, 2: exempt from everything further", by_system, closed | enable, systemPolicy=system())
    t.add("system-policy-disabled", "1.2: DISABLE", deny("ALWAYS_DENY"), closed | {"globalPolicyEvaluationMode": "DISABLE"}, systemPolicy=system())
    t.add("system-policy-absent-is-disable", "1.2: a key that is absent is DISABLE", deny("ALWAYS_DENY"), closed, systemPolicy=system())
    t.add("system-policy-unspecified-is-disable", "1.2: unspecified is DISABLE", deny("ALWAYS_DENY"),
          closed | {"globalPolicyEvaluationMode": "GLOBAL_POLICY_EVALUATION_MODE_UNSPECIFIED"}, systemPolicy=system())
    t.add("system-policy-none", "ENABLE and there is none", deny("ALWAYS_DENY"), closed | enable)
    t.add("system-policy-other-digest", "it lists other bytes", deny("ALWAYS_DENY"), closed | enable, systemPolicy=system(OTHER))
    t.add("system-policy-before-patterns", "1.5: system policy, then patterns", by_system,
          refuse("registry.example.com/**") | enable, systemPolicy=system())
    t.add("system-policy-index", "digest of the index", by_system, closed | enable, systemPolicy=system(), subject={"image": IMAGE, "index": D, "manifest": OTHER})
    t.add("system-policy-manifest", "digest of the manifest", by_system, closed | enable, systemPolicy=system(OTHER), subject={"image": IMAGE, "index": D, "manifest": OTHER})
    patterns = {"admissionWhitelistPatterns": [{"namePattern": "registry.k8s.io/**"}]}
    pause = "registry.k8s.io/pause:3.10"
    t.add("system-policy-patterns-trusted", "patterns only where the registry is trusted", by_system, closed | enable,
          systemPolicy=patterns | {"trustRegistry": True}, subject=pause)
    t.add("system-policy-patterns-disabled", "1.2: DISABLE", deny("ALWAYS_DENY"), closed, systemPolicy=patterns | {"trustRegistry": True}, subject=pause)
    t.add("system-policy-patterns-other-image", "no pattern matches", deny("ALWAYS_DENY"), closed | enable,
          systemPolicy=patterns | {"trustRegistry": True}, subject="docker.io/library/pause:3.10")
    for name, document in (("patterns-untrusted", patterns), ("patterns-distrusted", patterns | {"trustRegistry": False}),
                           ("bad-pattern", {"trustRegistry": True, "admissionWhitelistPatterns": [{"namePattern": "*"}]}),
                           ("no-reason", {"digests": [{"digest": D}]})):
        t.add(f"system-policy-refused-{name}", "a system policy that cannot be read", unreadable(), closed | enable, systemPolicy=document, subject=pause, open=True)

    shop = {"kubernetesNamespaceAdmissionRules": {"shop": ALWAYS_DENY}}
    t.add("patterns-before-specific-rule", "1.5: patterns, then rules", allow("ALLOWLISTED", rule="admissionWhitelistPatterns[0]"),
          refuse("registry.example.com/**") | shop, subject={"image": IMAGE, "namespace": "shop"})
    t.add("specific-before-default", "1.5, 4: the default rule is not considered", deny("ALWAYS_DENY", rule="kubernetesNamespaceAdmissionRules[shop]"),
          open_policy | shop, subject={"image": IMAGE, "namespace": "shop"})
    t.add("specific-refused-is-final", "1.5, 4: a specific rule that refuses is not followed by the default rule",
          deny("NO_ATTESTATION", rule="kubernetesNamespaceAdmissionRules[shop]"),
          open_policy | {"kubernetesNamespaceAdmissionRules": {"shop": rule("REQUIRE_ATTESTATION", ENFORCED, "built-by-ci")}}, [CI],
          subject={"image": IMAGE, "namespace": "shop"})
    t.add("bad-policy-over-deny-list", "a policy that is refused decides nothing, also where the deny list would refuse", undecided("POLICY_UNREADABLE"),
          {"defaultAdmissionRule": {}}, denyList=denied(OTHER))
    return t
