//! Policies: checked, imported, exported.

use std::fs;

use super::bench::{Bench, ENFORCED};

#[test]
fn policies_are_checked_with_the_attestors_they_name() {
    let bench = Bench::with_attestor();
    bench.run("attestors create bare --project p --attestation-authority-note n $A").gave(0, "");
    fs::copy(bench.at("attestors/ci.yaml"), bench.at("attestors/twin.yaml")).unwrap();
    bench.write(
        "attestors/good.yaml",
        bench.read("attestors/ci.yaml").replace("attestors/ci", "attestors/good"),
    );
    let rule = |names: &str| {
        let names: Vec<_> = names.split(' ').map(|name| format!("projects/p/attestors/{name}")).collect();
        format!("REQUIRE_ATTESTATION, requireAttestationsBy: [{}]", names.join(", "))
    };
    let rows = [
        (rule("good"), 0, "valid:        yes"),
        ("ALWAYS_DENY".to_owned(), 0, "ALWAYS_DENY"),
        (rule("nobody"), 1, "no document defines attestor `projects/p/attestors/nobody`"),
        (rule("bare"), 1, "`projects/p/attestors/bare` has no keys"),
        (rule("ci"), 1, "several documents define attestor"),
        (rule("a/b"), 1, "is not of the form"),
        ("REQUIRE_ATTESTATION, requireAttestationsBy: []".into(), 1, "is empty"),
        ("ALLOW_ALL".into(), 1, "`ALLOW_ALL` is not an `evaluationMode`"),
        ("ALWAYS_ALLOW, x: y".into(), 1, "unknown field"),
        ("ALWAYS_ALLOW, evaluationMode: ALWAYS_DENY".into(), 1, "duplicate"),
    ];
    for (rule, code, part) in rows {
        bench.policy(&rule, ENFORCED);
        bench.run("policy check policy.yaml $A").gave(code, part);
        let report = bench.run("policy check policy.yaml $A -o json").gave(code, "").json();
        assert_eq!(report["valid"], code == 0);
    }
    bench.policy(&rule("nobody bare good ci"), ENFORCED);
    let report = bench.run("policy check --policy policy.yaml $A -o json").gave(1, "").json();
    assert_eq!(report["problems"].as_array().unwrap().len(), 3);
    bench.run("policy check policy.yaml --attestors nowhere").gave(2, "attestors folder `nowhere`");
    bench.run("policy check nowhere.yaml $A").gave(2, "cannot read policy `nowhere.yaml`");
    bench.run("policy check . $A").gave(2, "not a regular file");
    bench.write("empty.yaml", "");
    bench.run("policy check empty.yaml $A").gave(1, "the document is empty");
}
