//! Verdicts by files.

use serde_json::Value;

use super::bench::{Bench, D, DRY_RUN, ENFORCED, app, other};

#[test]
fn verdicts() {
    let bench = Bench::with_attestor();
    bench.sign(&app()).gave(0, "");
    bench.policy_by_ci(ENFORCED);
    let members = |verdict: &Value| {
        ["verdict", "would", "enforced", "reason", "rule"].map(|name| verdict[name].clone())
    };
    let rule = "defaultAdmissionRule";
    let verdict = bench.evaluate(&format!("{} -o json", app())).gave(0, "").json();
    assert_eq!(
        members(&verdict),
        serde_json::json!(["ALLOW", "ALLOW", true, "ATTESTED", rule]).as_array().unwrap()[..]
    );
    assert_eq!(verdict["attestors"][0]["satisfied"], true);
    let pod = "--namespace n --service-account s --cluster l.c";
    let verdict = bench.evaluate(&format!("{} -o json {pod}", other())).gave(1, "").json();
    assert_eq!(
        members(&verdict),
        serde_json::json!(["DENY", "DENY", true, "NO_ATTESTATION", rule]).as_array().unwrap()[..]
    );
    assert!(verdict["message"].as_str().unwrap().contains("denied by attestor projects/p/attestors/ci"));
    bench.evaluate(&format!("{} -o yaml", app())).gave(0, "verdict: ALLOW\n");

    let sentence = "Image gcr.io/p/app:v1 denied by attestor projects/p/attestors/ci: Expected digest with \
                    sha256 scheme, but got tag or malformed digest";
    bench.evaluate("gcr.io/p/app:v1").gave(1, sentence);
    bench.evaluate("https://gcr.io/P/app").gave(2, "does not name an image");
    bench.evaluate(&format!("gcr.io/p/app@{}", D.to_uppercase())).gave(2, "does not name an image");

    bench.policy_by_ci(DRY_RUN);
    bench.evaluate(&other()).gave(0, "ALLOW (dry run: would be DENY)");
    bench.evaluate(&format!("{} --strict", other())).gave(1, "ALLOW (dry run: would be DENY)");
    bench.evaluate(&format!("{} --strict", app())).gave(0, "ALLOW");
    let verdict = bench.evaluate(&format!("{} -o json", other())).gave(0, "").json();
    assert_eq!(
        members(&verdict),
        serde_json::json!(["ALLOW", "DENY", false, "NO_ATTESTATION", rule]).as_array().unwrap()[..]
    );
}

#[test]
fn what_cannot_be_decided_says_so() {
    let bench = Bench::with_attestor();
    bench.write("broken.yaml", "defaultAdmissionRule: 5");
    for (policy, reason) in
        [("absent.yaml", "POLICY_MISSING"), ("broken.yaml", "POLICY_UNREADABLE"), (".", "POLICY_UNREADABLE")]
    {
        let ran = bench.run(&format!("evaluate {} --strict --policy {policy} -o json", app()));
        let verdict = ran.gave(2, reason).json();
        assert_eq!((&verdict["verdict"], &verdict["reason"]), (&"CANNOT_DECIDE".into(), &reason.into()));
    }
    // Attestors and occurrences are needed only where a rule asks for them.
    bench.policy("ALWAYS_ALLOW", ENFORCED);
    let line = format!("evaluate {} --policy policy.yaml $A --occurrences nowhere", app());
    bench.run(&line).gave(0, "ALWAYS_ALLOW");
    bench.policy_by_ci(ENFORCED);
    bench.run(&line).gave(2, "cannot read occurrences folder `nowhere`");
}
