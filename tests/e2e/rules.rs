//! Rules for pods and clusters, and the documents beside the policy, at the gate that knows no pod.

use super::guarded::{ENFORCE, Guarded, Share, policy, requires};
use super::rig::eventually;

const ENFORCED: &str = "enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG";

fn with_rule(default: &str, map: &str, key: &str, evaluation: &str) -> String {
    format!("{default}{map}:\n  {key}: {{evaluationMode: {evaluation}, {ENFORCED}}}\n")
}

#[tokio::test]
async fn rules_that_agree_decide_and_rules_that_differ_refuse() {
    let guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let other = guarded.push("shop/other", "1").await;
    let default = requires(&[&guarded.qa]);
    let namespaces = "kubernetesNamespaceAdmissionRules";
    guarded.write_policy(&with_rule(&default, namespaces, "dev", "ALWAYS_ALLOW"));
    let says = [
        "which rule applies depends on a pod that is not known here",
        "kubernetesNamespaceAdmissionRules[dev] says ALLOW, defaultAdmissionRule says DENY",
        "(POD_CONTEXT_UNKNOWN)",
    ];
    eventually("the rule", super::guarded::SOON, || async {
        (guarded.evaluate(&other.pinned()).await["reason"] == "POD_CONTEXT_UNKNOWN").then_some(())
    })
    .await;
    println!("{}", guarded.refused(&other.tagged(), &says).await);
    guarded.node.cri.pull(&app.tagged()).await.unwrap();

    // Whoever asks for a pod that is known hears what its rule says, and how.
    let ask = |pod: &str| format!("evaluate {} {pod}", other.pinned());
    for (pod, code) in
        [("--namespace dev", 0), ("--service-account dev:web", 0), ("--namespace shop", 1), ("", 2)]
    {
        assert_eq!(guarded.binauthctl(&ask(pod)).await.code, Some(code), "{pod}");
    }
    let told = guarded.binauthctl(&ask("--namespace shop --explain")).await;
    for part in [" 1. denyList: passes", "specific rules: passes: none applies", "denies [NO_ATTESTATION]"] {
        assert!(told.stdout.contains(part), "`{part}` is missing in: {}", told.stdout);
    }
    let ladder =
        guarded.binauthctl(&format!("evaluate {} --namespace shop --explain -o json", app.pinned())).await;
    let ladder = ladder.json();
    let steps = ladder["ladder"].as_array().unwrap();
    let attestor = steps.iter().find(|step| step["step"] == guarded.qa.attestor()).unwrap();
    assert_eq!(attestor["signatures"][0]["keyId"], guarded.qa.key_id());
    let status = guarded.binauthctl("status").await.success();
    assert!(status.contains("REQUIRE_ATTESTATION") && status.contains("1 other rules"), "{status}");

    // Both refuse: for whatever reason, it is refused.
    guarded.write_policy(&with_rule(&default, namespaces, "dev", "ALWAYS_DENY"));
    eventually("the rule", super::guarded::SOON, || async {
        (guarded.evaluate(&other.pinned()).await["verdict"] == "DENY").then_some(())
    })
    .await;
    let refusal = guarded.refused(&other.tagged(), &[]).await;
    assert!(!refusal.message.contains("POD_CONTEXT_UNKNOWN"), "{refusal}");
    guarded.refused(&app.tagged(), &["(POD_CONTEXT_UNKNOWN)"]).await;

    // The node knows its own cluster.
    guarded.write_policy(&with_rule(&default, "clusterAdmissionRules", "test.cluster", "ALWAYS_DENY"));
    eventually("the rule", super::guarded::SOON, || async {
        (guarded.evaluate(&app.pinned()).await["reason"] == "ALWAYS_DENY").then_some(())
    })
    .await;
    guarded.refused(&app.tagged(), &["(ALWAYS_DENY)"]).await;
    let record = guarded.node.etc.audit().pop().unwrap();
    assert_eq!(record["rule"], "clusterAdmissionRules[test.cluster]");
    guarded.write_policy(&with_rule(&default, "clusterAdmissionRules", "other.cluster", "ALWAYS_DENY"));
    guarded.allowed_soon(&app.tagged()).await;
}

#[tokio::test]
async fn lists_beside_the_policy_count_within_a_second() {
    let mut guarded = Guarded::start().await;
    let app = guarded.push_attested("shop/app", "1").await;
    let other = guarded.push("shop/other", "1").await;
    guarded.node.cri.pull(&app.tagged()).await.unwrap();
    let listed =
        |digest: &str, reason: &str| format!("digests: [{{digest: '{digest}', reason: {reason}}}]\n");
    guarded.node.etc.write_beside("deny.yaml", &listed(&app.digest, "stolen key"));
    let (refused, refusal) = guarded.refused_soon(&app.tagged()).await;
    for part in ["denied by deny list", &app.digest, "(stolen key)", "(DENY_LISTED)"] {
        assert!(refusal.message.contains(part), "`{part}` is missing in: {refusal}");
    }
    // A broken one leaves the last good one in force, also across a restart.
    guarded.node.etc.write_beside("deny.yaml", "digests: red");
    guarded.alarm(&["deny.yaml", "(last good)"]).await;
    guarded.refused(&app.tagged(), &["(DENY_LISTED)"]).await;
    guarded.daemon.restart().await;
    guarded.alarm(&["deny.yaml", "(last good)"]).await;
    guarded.refused(&app.tagged(), &["(DENY_LISTED)"]).await;
    let status = guarded.binauthctl("status").await.success();
    let row = status.lines().find(|line| line.starts_with("deny list")).unwrap();
    assert!(row.contains("last good") && row.contains("deny.yaml"), "{status}");
    guarded.node.etc.remove_beside("deny.yaml");
    let allowed = guarded.allowed_soon(&app.tagged()).await;
    println!("denied after {refused:?}, allowed again after {allowed:?}");
    guarded.no_alarm().await;

    // The system policy counts where the policy says so.
    guarded.node.etc.write_beside("system-policy.yaml", &listed(&other.digest, "the node needs it"));
    eventually("the system policy", super::guarded::SOON, || async {
        let status = guarded.status().await;
        (status["documents"][0]["name"] == "system policy").then_some(())
    })
    .await;
    guarded.refused(&other.tagged(), &["(NO_ATTESTATION)"]).await;
    guarded.write_policy(&format!("{}globalPolicyEvaluationMode: ENABLE\n", requires(&[&guarded.qa])));
    guarded.allowed_soon(&other.tagged()).await;
    assert_eq!(guarded.audited(&other.tagged(), 2).await.last().unwrap()["reason"], "SYSTEM_POLICY");
}

#[tokio::test]
async fn a_deny_list_that_never_could_be_read_refuses_everything_by_its_name() {
    let guarded = Guarded::start_with(ENFORCE, Share::some().await, |node, qa| {
        node.etc.write_beside("deny.yaml", "digests: red");
        node.etc.write_policy(&policy(node, &requires(&[qa])));
        node.etc.write_attestor("qa.json", &qa.document());
    })
    .await;
    let app = guarded.push("shop/app", "1").await;
    guarded.attest(&app);
    let says = ["the deny list of this node", "deny.yaml", "cannot be obeyed", "(POLICY_UNREADABLE)"];
    println!("{}", guarded.refused(&app.tagged(), &says).await);
    guarded.alarm(&["deny.yaml", "(refused)"]).await;
    guarded.node.etc.write_beside("deny.yaml", "digests: []");
    guarded.allowed_soon(&app.tagged()).await;
    guarded.no_alarm().await;
}

#[tokio::test]
async fn check_sets_are_recorded_tried_and_enforced() {
    let platform = |mode: &str| {
        let checks = "[{trustedDirectoryCheck: {trustedDirPatterns: [gcr.io/good]}}]";
        format!("binauthdEnforcementMode: {mode}\ngkePolicy: {{checkSets: [{{checks: {checks}}}]}}\n")
    };
    let guarded = Guarded::start_with(ENFORCE, Share::some().await, |node, qa| {
        // In a folder of its own, which is followed as well.
        let folder = node.home.folder("checks");
        let more = format!("platform_policy = '{}'", folder.join("platform.yaml").display());
        node.etc.write_config("test.cluster", &more);
        std::fs::write(folder.join("platform.yaml"), platform("AUDIT")).unwrap();
        node.etc.write_policy(&policy(node, &requires(&[qa])));
        node.etc.write_attestor("qa.json", &qa.document());
    })
    .await;
    let path = guarded.node.home.path().join("checks/platform.yaml");
    let app = guarded.push_attested("shop/app", "1").await;
    let rows = [
        ("AUDIT", "ALLOW", "ALLOW", "ATTESTED"),
        ("AUDIT_AND_DRYRUN", "ALLOW", "DENY", "UNTRUSTED_DIRECTORY"),
        ("AUDIT_AND_ENFORCE", "DENY", "DENY", "UNTRUSTED_DIRECTORY"),
    ];
    for (mode, verdict, would, reason) in rows {
        std::fs::write(&path, platform(mode)).unwrap();
        eventually(mode, super::guarded::SOON, || async {
            let now = guarded.evaluate(&app.pinned()).await;
            (now["verdict"] == verdict && now["would"] == would).then_some(())
        })
        .await;
        let count = guarded.node.etc.audit().iter().filter(|record| record["image"] == app.tagged()).count();
        match guarded.node.cri.pull(&app.tagged()).await {
            Ok(_) => assert_eq!(verdict, "ALLOW", "{mode}"),
            Err(refusal) => {
                assert_eq!(verdict, "DENY", "{mode}: {refusal}");
                assert!(refusal.message.contains("(UNTRUSTED_DIRECTORY)"), "{refusal}");
                println!("{refusal}");
            }
        }
        let record = guarded.audited(&app.tagged(), count + 1).await.pop().unwrap();
        let members = ["verdict", "would", "reason"].map(|name| record[name].clone());
        assert_eq!(members, [verdict, would, reason].map(serde_json::Value::from), "{mode}: {record}");
        let check = &record["checks"][0];
        assert_eq!(
            (&check["place"], &check["verdict"]),
            (&"checkSets[0].checks[0]".into(), &"NON_CONFORMANT".into())
        );
    }
    std::fs::remove_file(&path).unwrap();
    let (_, refusal) = guarded.refused_soon(&app.tagged()).await;
    println!("{refusal}");
    eventually("a platform policy that is gone", super::guarded::SOON, || async {
        let refusal = guarded.node.cri.pull(&app.tagged()).await.err()?.message;
        (refusal.contains("this node has no platform policy") && refusal.contains("(POLICY_MISSING)"))
            .then_some(())
    })
    .await;
}
