//! What break-glass lets through, and what it never does.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::decision::Looks;
use crate::decision::explain::Ladder;
use crate::image::Workload;
use crate::policy::break_glass::tests::{grant, sealed};
use crate::policy::break_glass::{BreakGlass, Word};
use crate::policy::bundle::tests::{TestKey, at};
use crate::policy::{DenyList, Grant, PlatformPolicy};

const NOW: &str = "2027-03-01T13:00:00Z";
const OTHER: &str = "sha256:cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

fn granted(digest: &str, any: bool) -> Arc<Grant> {
    let mut payload = grant("one");
    payload["digests"] = serde_json::json!([digest]);
    if any {
        payload.as_object_mut().unwrap().remove("namespaces");
        payload["anyNamespace"] = true.into();
    }
    let key = TestKey::new(1);
    match Word::verify(sealed(&key, &payload).as_bytes(), &[key.public()]).unwrap() {
        Word::Grant(grant) => grant,
        Word::Revocation(_) => panic!("a revocation"),
    }
}

fn with(rulebook: Rulebook, pod_label: bool, grants: Vec<Arc<Grant>>) -> Rulebook {
    Rulebook { break_glass: Arc::new(BreakGlass::new(pod_label, grants)), ..rulebook }
}

fn subject(namespace: Option<&str>, label: bool) -> Subject {
    let workload =
        Workload { namespace: namespace.map(str::to_owned), break_glass: label, ..Workload::default() };
    let digest = D.parse().unwrap();
    let config = Some(OTHER.parse().unwrap());
    let text = format!("r.example.com/a@{D}");
    Subject::created(&text, None, &[(digest, DigestKind::Manifest)], config).in_workload(workload)
}

fn judge_at(subject: &Subject, rulebook: &Rulebook, now: &str) -> Verdict {
    let none = evidence(D);
    judge(subject, &[Known::wholly(&none)], rulebook, at(now))
}

fn told(verdict: &Verdict) -> (Decision, Decision, Reason) {
    (verdict.verdict, verdict.would, verdict.reason)
}

const BROKEN: (Decision, Decision, Reason) = (Decision::Allow, Decision::Deny, Reason::BreakGlass);

#[test]
fn what_a_rule_refuses_is_let_through_and_says_so() {
    let rule = || policy(&require("b"), ENFORCED, "");
    let rulebook = with(rule(), false, vec![granted(D, false)]);
    let verdict = judge_at(&subject(Some("shop"), false), &rulebook, NOW);
    assert_eq!(told(&verdict), BROKEN);
    assert!(verdict.enforced && !verdict.deferred && verdict.remedy.is_empty());
    assert_eq!(verdict.rule, "defaultAdmissionRule");
    let json = serde_json::json!(verdict);
    let glass = &json["breakGlass"];
    assert_eq!((&glass["serial"], &glass["overrides"]), (&"one".into(), &json!("NO_ATTESTATION")), "{glass}");
    assert_eq!((&glass["grantReason"], &glass["ticket"]), (&"the signer is down".into(), &json!("INC-42")));
    assert_eq!(glass["expires"], "2027-03-01T16:00:00Z");
    assert_eq!(glass["keyId"], json!(TestKey::new(1).public().id()));
    assert!(glass.get("podLabel").is_none());
    for part in [
        "allowed by break-glass grant one until 2027-03-01T16:00:00Z (the signer is down, INC-42)",
        "Without it: ",
    ] {
        assert!(verdict.message.contains(part), "{}", verdict.message);
    }
    // A digest, a namespace, a time; what each of them is when it is another.
    let rows = [
        (granted(OTHER, false), Some("shop"), NOW, true),
        (granted(&D.replace("ab", "ef"), false), Some("shop"), NOW, false),
        (granted(D, false), Some("other"), NOW, false),
        (granted(D, false), None, NOW, false),
        (granted(D, true), None, NOW, true),
        (granted(D, false), Some("shop"), "2027-03-01T11:59:59Z", false),
        (granted(D, false), Some("shop"), "2027-03-01T16:00:00Z", false),
    ];
    for (grant, namespace, now, holds) in rows {
        let found = judge_at(&subject(namespace, false), &with(rule(), false, vec![grant.clone()]), now);
        let expected = if holds { BROKEN } else { (Decision::Deny, Decision::Deny, Reason::NoAttestation) };
        assert_eq!(told(&found), expected, "{grant:?} {namespace:?} {now}");
    }
}

#[test]
fn a_label_counts_where_the_node_says_so() {
    let rule = || policy("evaluationMode: ALWAYS_DENY", ENFORCED, "");
    for (node, pod, reason) in [
        (true, true, Reason::BreakGlass),
        (true, false, Reason::AlwaysDeny),
        (false, true, Reason::AlwaysDeny),
        (false, false, Reason::AlwaysDeny),
    ] {
        let verdict = judge_at(&subject(Some("shop"), pod), &with(rule(), node, Vec::new()), NOW);
        assert_eq!(verdict.reason, reason, "{node} {pod}");
        assert_eq!(verdict.allows(), reason == Reason::BreakGlass);
        let glass = serde_json::json!(verdict)["breakGlass"]["podLabel"].clone();
        assert_eq!(glass == true, verdict.allows());
    }
}

#[test]
fn what_it_never_overrides() {
    let everything = |rulebook: Rulebook| with(rulebook, true, vec![granted(D, true)]);
    let pod = subject(Some("shop"), true);
    // The deny list, by whichever digest.
    for denied in [D, OTHER] {
        let list = format!("digests: [{{digest: '{denied}', reason: miner}}]");
        let deny_list = Arc::new(DenyList::parse(list.as_bytes(), Format::Yaml).unwrap());
        let rulebook = Rulebook { deny_list, ..policy(&require("b"), ENFORCED, "") };
        assert_eq!(judge_at(&pod, &everything(rulebook), NOW).reason, Reason::DenyListed);
    }
    // No policy.
    let verdict = judge_at(&pod, &everything(Rulebook::default()), NOW);
    assert_eq!((verdict.reason, verdict.verdict), (Reason::PolicyMissing, Decision::CannotDecide));
    // What nothing refuses is not told of it, nor what dry run lets through.
    let by_rule = judge_at(&pod, &everything(policy("evaluationMode: ALWAYS_ALLOW", ENFORCED, "")), NOW);
    assert!(by_rule.reason == Reason::AlwaysAllow && by_rule.break_glass.is_none());
    let dry = judge_at(&pod, &everything(policy(&require("b"), DRY_RUN, "")), NOW);
    assert!(dry.reason == Reason::NoAttestation && dry.allows() && dry.break_glass.is_none());
}

#[test]
fn check_sets_and_rules_of_an_unknown_pod_are_overridden() {
    let platform = "binauthdEnforcementMode: AUDIT_AND_ENFORCE\n\
                    gkePolicy: {checkSets: [{checks: [{alwaysDeny: true}]}]}";
    let platform = Arc::new(PlatformPolicy::parse(platform.as_bytes(), Format::Yaml).unwrap());
    let rulebook =
        Rulebook { platform_policy: Some(platform), ..policy("evaluationMode: ALWAYS_ALLOW", ENFORCED, "") };
    let pod = subject(Some("shop"), false);
    assert!(!judge_at(&pod, &rulebook, NOW).allows());
    let verdict = judge_at(&pod, &with(rulebook, false, vec![granted(D, false)]), NOW);
    assert_eq!(told(&verdict), BROKEN);
    assert_eq!(verdict.break_glass.unwrap().overrides, Reason::CheckAlwaysDeny);

    let text = format!(
        "kubernetesServiceAccountAdmissionRules: {{'shop:web': {{evaluationMode: ALWAYS_ALLOW, enforcementMode: {ENFORCED}}}}}\n\
         defaultAdmissionRule: {{evaluationMode: ALWAYS_DENY, enforcementMode: {ENFORCED}}}"
    );
    let policy = Policy::parse(text.as_bytes(), Format::Yaml, Options::default()).unwrap();
    let rulebook = Rulebook { policy: Some(policy.into()), ..Rulebook::default() };
    assert_eq!(judge_at(&pod, &rulebook, NOW).reason, Reason::PodContextUnknown);
    let verdict = judge_at(&pod, &with(rulebook, false, vec![granted(D, false)]), NOW);
    assert_eq!(told(&verdict), (Decision::Allow, Decision::CannotDecide, Reason::BreakGlass));
}

#[test]
fn a_pull_that_creation_decides_about() {
    let rule = || policy(&require("b"), ENFORCED, "");
    let at_pull = |rulebook: &Rulebook, now: &str| {
        let pulled = subject(None, false);
        let case = Case::new(&pulled, rulebook, at(now));
        case.at_pull(judge_at(&pulled, rulebook, now))
    };
    let in_shop = with(rule(), false, vec![granted(D, false)]);
    let fetched = at_pull(&in_shop, NOW);
    assert_eq!(told(&fetched), BROKEN);
    assert!(
        fetched.deferred && fetched.message.contains("(the signer is down, INC-42) in shop"),
        "{fetched:?}"
    );
    assert!(!at_pull(&in_shop, "2027-03-01T16:00:00Z").allows());
    assert!(!at_pull(&with(rule(), false, vec![granted(&D.replace("ab", "ef"), true)]), NOW).allows());
    // Any pod may carry the label: fetched, and not by break-glass yet.
    let labelled = at_pull(&with(rule(), true, Vec::new()), NOW);
    assert_eq!(told(&labelled), (Decision::Allow, Decision::Deny, Reason::NoAttestation));
    assert!(labelled.deferred && !labelled.enforced && labelled.break_glass.is_none());
    // Where creation is not asked about, only what holds for every namespace counts.
    assert!(!judge_at(&subject(None, false), &in_shop, NOW).allows());
    let list = format!("digests: [{{digest: '{D}', reason: miner}}]");
    let denied = Rulebook {
        deny_list: Arc::new(DenyList::parse(list.as_bytes(), Format::Yaml).unwrap()),
        ..with(rule(), true, vec![granted(D, false)])
    };
    assert_eq!(told(&at_pull(&denied, NOW)), (Decision::Deny, Decision::Deny, Reason::DenyListed));
}

#[test]
fn the_ladder_has_a_rung_for_it() {
    let rung = |rulebook: &Rulebook, subject: &Subject| {
        let case = Case::new(subject, rulebook, at(NOW));
        let none = evidence(D);
        let verdict = case.judge(&[Known::wholly(&none)]);
        let ladder = serde_json::json!(Ladder::new(&case, verdict, &Looks::default()));
        let steps = ladder["ladder"].as_array().unwrap();
        let found = steps.iter().find(|step| step["step"] == "breakGlass");
        found.map(|step| {
            format!("{}: {}", step["outcome"].as_str().unwrap(), step["detail"].as_str().unwrap())
        })
    };
    let rule = || policy(&require("b"), ENFORCED, "");
    let rows = [
        (with(rule(), false, Vec::new()), Some("shop"), None),
        (
            with(rule(), false, vec![granted(D, false)]),
            Some("shop"),
            Some("ALLOWS: grant one overrides NO_ATTESTATION, until 2027-03-01T16:00:00Z"),
        ),
        (
            with(rule(), false, vec![granted(D, false)]),
            Some("other"),
            Some("PASSES: grant one lets it run in shop"),
        ),
        (
            with(rule(), true, Vec::new()),
            Some("shop"),
            Some("PASSES: no grant that holds now names the image"),
        ),
        (
            with(policy("evaluationMode: ALWAYS_ALLOW", ENFORCED, ""), true, Vec::new()),
            Some("shop"),
            Some("SKIPPED: nothing refuses"),
        ),
    ];
    for (rulebook, namespace, expected) in rows {
        assert_eq!(rung(&rulebook, &subject(namespace, false)).as_deref(), expected);
    }
}

#[test]
fn an_exception_that_is_over_exempts_nothing() {
    let pattern = "{namePattern: 'r.example.com/a@*', binauthdExpires: '2027-03-01T14:00:00Z', binauthdOwner: web, \
                   binauthdTicket: T-1}";
    let rulebook = policy(&require("b"), ENFORCED, pattern);
    let named = Subject::named(&format!("r.example.com/a@{D}")).unwrap();
    let verdict = judge_at(&named, &rulebook, "2027-03-01T13:59:59Z");
    assert_eq!(verdict.reason, Reason::Allowlisted);
    assert!(
        verdict.message.ends_with("r.example.com/a@* (owner web, T-1, until 2027-03-01T14:00:00Z)"),
        "{}",
        verdict.message
    );
    let over = judge_at(&named, &rulebook, "2027-03-01T14:00:00Z");
    assert_eq!(over.reason, Reason::NoAttestation);
    let case = Case::new(&named, &rulebook, at("2027-03-01T14:00:00Z"));
    let ladder = serde_json::json!(Ladder::new(&case, over, &Looks::default())).to_string();
    assert!(ladder.contains("would match, and ended at 2027-03-01T14:00:00Z"), "{ladder}");
}
