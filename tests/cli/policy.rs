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

const PLATFORM: &str = "name: projects/p/platforms/gke/policies/node
binauthdEnforcementMode: AUDIT_AND_ENFORCE
gkePolicy:
  imageAllowlist: {allowPattern: ['registry.k8s.io/pause']}
  checkSets:
  - displayName: all
    checks:
    - trustedDirectoryCheck: {trustedDirPatterns: [gcr.io/good]}
    - vulnerabilityCheck:
        {maximumFixableSeverity: HIGH, maximumUnfixableSeverity: HIGH, binauthdAttestors: [projects/p/attestors/ci]}
";

/// With comments, in snake_case, and with two things that are probably not meant.
const SURPRISING: &str = "# the team decides
admission_whitelist_patterns:
- name_pattern: gcr.io/p/nginx*   # whatever begins so
default_admission_rule:
  enforcement_mode: ENFORCED_BLOCK_AND_AUDIT_LOG
  evaluation_mode: REQUIRE_ATTESTATION
  require_attestations_by: [projects/p/attestors/ci]
kubernetesNamespaceAdmissionRules:
  dev: {evaluationMode: ALWAYS_ALLOW, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}
";

const SEVERAL_MAPS: &str = "
defaultAdmissionRule: {evaluationMode: ALWAYS_DENY, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}
clusterAdmissionRules:
  us.prod: {evaluationMode: ALWAYS_DENY, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}
kubernetesNamespaceAdmissionRules:
  dev: {evaluationMode: ALWAYS_DENY, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}
";

#[test]
fn platform_policies_are_known_by_their_own_field() {
    let bench = Bench::with_attestor();
    bench.write("platform.yaml", PLATFORM);
    let ran = bench.run("policy check platform.yaml $A").gave(0, "platform policy: platform.yaml");
    for part in ["AUDIT_AND_ENFORCE", "check sets:      1", "patterns:        1", "SCAN_WITHOUT_AGE"] {
        assert!(ran.out.contains(part), "{} lacks {part}", ran.out);
    }
    let report = bench.run("policy check platform.yaml $A -o json").json();
    assert_eq!((&report["kind"], &report["valid"]), (&"platform policy".into(), &true.into()));
    assert_eq!(report["warnings"][0]["code"], "SCAN_WITHOUT_AGE");
    assert_eq!(report["warnings"][0]["place"], "checkSets[0].checks[1]");
    assert_eq!(report["attestors"], serde_json::json!(["projects/p/attestors/ci"]));
    bench.run("policy check platform.yaml $A --strict").gave(1, "SCAN_WITHOUT_AGE");
    bench.write("aged.yaml", PLATFORM.replace("{maximumFix", "{maxScanAge: 24h, maximumFix"));
    bench.run("policy check aged.yaml $A --strict").gave(0, "valid:           yes");
    bench.write("none.json", serde_json::json!({"gkePolicy": {"checkSets": []}}).to_string());
    bench.run("policy check none.json").gave(0, "check sets:      0");
    bench.write("gone.yaml", PLATFORM.replace("attestors/ci", "attestors/nobody"));
    bench.run("policy check gone.yaml $A").gave(1, "no document defines attestor");
    bench.write("bad.yaml", PLATFORM.replace("gcr.io/good", "gcr.io/good/"));
    bench.run("policy check bad.yaml").gave(1, "`gcr.io/good/` is not a directory");
    // In place of a policy it is none.
    let named = "`gkePolicy`: this is a platform policy: name it as `platform_policy`";
    bench.run("policy import platform.yaml --to policy.yaml").gave(2, named);
    bench.run("policy export platform.yaml").gave(2, named);
}

#[test]
fn what_is_probably_not_meant_warns_and_fails_only_where_that_is_asked_for() {
    let bench = Bench::with_attestor();
    bench.write("surprising.yaml", SURPRISING);
    let codes = ["PATTERN_WITHOUT_SEPARATOR", "RULE_ALLOWS_MORE", "ATTESTORS_SHARE_KEY"];
    bench.run("attestors create twin --project p --attestation-authority-note twin $A").gave(0, "");
    bench.run("attestors public-keys add --attestor twin --pkix-public-key-file ci.pub $A").gave(0, "");
    let ran = bench.run("policy check surprising.yaml $A").gave(0, "valid:        yes");
    let rows: Vec<_> = ran.out.lines().skip_while(|line| !line.starts_with("WARNING")).skip(1).collect();
    assert_eq!(rows.len(), codes.len(), "{}", ran.out);
    assert!(rows.iter().zip(codes).all(|(row, code)| row.starts_with(code)), "{}", ran.out);
    let report = bench.run("policy check surprising.yaml $A -o json").gave(0, "").json();
    let found: Vec<_> = report["warnings"].as_array().unwrap().iter().map(|one| &one["code"]).collect();
    assert_eq!(found, codes);
    assert_eq!(report["warnings"][1]["place"], "kubernetesNamespaceAdmissionRules[dev]");
    bench.run("policy check surprising.yaml $A --strict").gave(1, "RULE_ALLOWS_MORE");
    bench.policy("ALWAYS_DENY", ENFORCED);
    bench.run("policy check policy.yaml $A --strict").gave(0, "valid:        yes");
}

#[test]
fn spellings_that_are_found_elsewhere_are_refused_with_the_right_ones() {
    let bench = Bench::new();
    let rule = |evaluation: &str, enforcement: &str| {
        format!("defaultAdmissionRule: {{evaluationMode: {evaluation}, enforcementMode: {enforcement}}}")
    };
    let rows = [
        ("spec:\n  defaultAdmissionRule: {}".to_owned(), "move what is under `spec` to the top"),
        ("apiVersion: v1\nkind: Policy".into(), "without `apiVersion`, `kind` and `metadata`"),
        (rule("ALLOW_ALL", ENFORCED), "`ALLOW_ALL` is not an `evaluationMode`: write `ALWAYS_ALLOW`"),
        (rule("ALWAYS_DENY", "ENFORCING_MODE"), "write `ENFORCED_BLOCK_AND_AUDIT_LOG`"),
        ("digests: []".into(), "this is a deny list or a system policy"),
    ];
    for (text, part) in rows {
        bench.write("policy.yaml", text);
        bench.run("policy check policy.yaml").gave(1, part);
        bench.run("policy import policy.yaml --to there.yaml").gave(2, part);
    }
    assert!(!bench.at("there.yaml").exists());
}

#[test]
fn rules_of_several_kinds_are_taken_where_that_is_asked_for() {
    let bench = Bench::new();
    bench.write("several.yaml", SEVERAL_MAPS);
    bench.write("config.toml", "config_version = 1\nallow_multiple_rule_maps = true\n");
    let way_out = "unless `allow_multiple_rule_maps = true` is configured";
    for (verb, code) in [("check several.yaml", 1), ("import several.yaml --to to.yaml", 2)] {
        bench.run(&format!("policy {verb}")).gave(code, way_out);
        assert!(!bench.at("to.yaml").exists());
        for taking in ["--allow-multiple-rule-maps", "--config config.toml"] {
            bench.run(&format!("policy {verb} {taking}")).gave(0, "");
        }
    }
    // What is there can be printed, whoever takes it.
    bench.run("policy export several.yaml").gave(0, "us.prod:");
}

#[test]
fn a_policy_is_imported_as_it_is_or_not_at_all() {
    let bench = Bench::new();
    let before = "# what was there before\n";
    bench.write("new.yaml", SURPRISING);
    bench.write("bad.yaml", "defaultAdmissionRule: {}");
    bench.write("new.json", bench.run("policy export new.yaml -o json").out);
    bench.write("in/policy.yaml", before);
    bench.chmod("in/policy.yaml", 0o640);
    let import = |rest: &str| bench.run(&format!("policy import {rest}"));
    let rows = [
        ("bad.yaml --to in/policy.yaml", "policy `bad.yaml` is refused"),
        ("absent.yaml --to in/policy.yaml", "cannot read policy `absent.yaml`"),
        ("in --to in/policy.yaml", "not a regular file"),
        ("new.yaml --to in/policy.json", "it is read as JSON, because of the name `in/policy.json`"),
        ("new.yaml --to no/such/policy.yaml", "there is no folder `no/such`: make it first"),
        ("new.yaml --to in", "cannot write `"),
    ];
    for (rest, part) in rows {
        import(rest).gave(2, part);
        assert_eq!(bench.read("in/policy.yaml"), before, "{rest}");
        assert_eq!(fs::read_dir(bench.at("in")).unwrap().count(), 1, "{rest}");
    }
    import("new.yaml --to in/policy.yaml").gave(0, "is in in/policy.yaml");
    assert_eq!((bench.read("in/policy.yaml").as_str(), bench.mode("in/policy.yaml")), (SURPRISING, 0o640));
    let told = import("new.json --to in/new.json -o json").gave(0, "").json();
    assert_eq!(told["file"], "in/new.json");
    assert_eq!((bench.read("in/new.json"), bench.mode("in/new.json")), (bench.read("new.json"), 0o644));
    // JSON is YAML as well.
    import("new.json --to in/policy.yaml").gave(0, "is in in/policy.yaml");
    let config = format!("config_version = 1\npolicy = '{}'\n", bench.at("in/policy.yaml").display());
    bench.write("config.toml", config);
    import("new.yaml --config config.toml").gave(0, "in/policy.yaml");
    assert_eq!(bench.read("in/policy.yaml"), SURPRISING);
    bench.run("policy export --config config.toml").gave(0, "admissionWhitelistPatterns:");
}

#[test]
fn an_exported_policy_is_the_same_every_time() {
    let bench = Bench::new();
    bench.write("first.yaml", SURPRISING);
    for (extension, format) in [("yaml", "table"), ("yaml", "yaml"), ("json", "json")] {
        bench.run("policy import first.yaml --to a.yaml").gave(0, "");
        let once = bench.run(&format!("policy export a.yaml -o {format}")).gave(0, "").out;
        bench.write("once", &once);
        bench.run(&format!("policy import once --to b.{extension}")).gave(0, "");
        assert_eq!(bench.read(&format!("b.{extension}")), once);
        let twice = bench.run(&format!("policy export b.{extension} -o {format}")).gave(0, "").out;
        assert_eq!(once, twice, "{extension} {format}");
        assert!(once.contains("namePattern") && !once.contains("name_pattern") && !once.contains('#'));
    }
    let json = bench.run("policy export first.yaml -o json").json();
    assert_eq!(json["defaultAdmissionRule"]["requireAttestationsBy"][0], "projects/p/attestors/ci");
}

#[test]
fn exceptions_are_listed_warned_of_and_kept() {
    let bench = Bench::with_attestor();
    let day = |ahead: i64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let time =
            std::time::UNIX_EPOCH + std::time::Duration::from_secs(now.saturating_add_signed(ahead * 86_400));
        humantime::format_rfc3339_seconds(time).to_string()
    };
    let (past, soon, late) = (day(-1), day(3), day(400));
    let text = format!(
        "admissionWhitelistPatterns:\n\
         - {{namePattern: 'r.io/p/a@*', binauthdExpires: '{past}', binauthdOwner: web}}\n\
         - {{namePattern: 'r.io/p/b@*', binauthdExpires: '{soon}', binauthdOwner: 'web team', binauthdTicket: T-1}}\n\
         - {{name_pattern: 'r.io/p/c@*', binauthd_expires: '{late}', binauthd_owner: web}}\n\
         - namePattern: r.io/p/d@*\n\
         defaultAdmissionRule: {{evaluationMode: ALWAYS_DENY, enforcementMode: {ENFORCED}}}\n"
    );
    bench.write("policy.yaml", &text);
    let report = bench.run("policy check policy.yaml -o json").gave(0, "").json();
    let codes: Vec<_> = report["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| warning["code"].as_str().unwrap())
        .collect();
    let expected =
        ["EXCEPTION_ENDED", "EXCEPTION_ENDS_SOON", "EXCEPTION_WITHOUT_END", "EXCEPTION_WITHOUT_OWNER"];
    assert_eq!(codes, expected);
    let listed = bench.run("policy exceptions policy.yaml").gave(0, "PATTERN");
    for row in [
        vec!["r.io/p/a@*", "web", "-", &past, "ended"],
        vec!["r.io/p/b@*", "web team", "T-1", &soon, "ends soon"],
        vec!["r.io/p/c@*", "web", "-", &late, "holds"],
        vec!["r.io/p/d@*", "-", "-", "-", "without end"],
    ] {
        let found = listed.out.lines().find(|line| line.starts_with(row[0])).unwrap();
        let cells: Vec<_> = found.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells, row);
    }
    bench.run("policy exceptions policy.yaml --strict").gave(1, "ended");
    let json = bench.run("policy exceptions policy.yaml -o json").json();
    assert_eq!(
        (&json[1]["state"], &json[1]["place"]),
        (&"ends-soon".into(), &"admissionWhitelistPatterns[1]".into())
    );
    // Exported and imported again it says the same.
    let exported = bench.run("policy export policy.yaml").gave(0, "binauthdTicket: T-1").out;
    bench.write("exported.yaml", &exported);
    assert_eq!(bench.run("policy export exported.yaml").out, exported);
    bench.run("policy import exported.yaml --to there.yaml").gave(0, "is in");
    assert_eq!(bench.run("policy exceptions there.yaml").out, listed.out);
    bench.write("bad.yaml", text.replace(&late, "soon"));
    bench
        .run("policy check bad.yaml")
        .gave(1, "admissionWhitelistPatterns[2].binauthdExpires: `soon` is not a time");
    bench.write("bad.yaml", text.replace("binauthdTicket", "binauthdIssue"));
    bench.run("policy check bad.yaml").gave(1, "unknown field `binauthdIssue`");
    // What is over exempts nothing.
    let image = |name: &str| format!("evaluate r.io/p/{name}@{} --policy policy.yaml", super::bench::D);
    bench.run(&image("a")).gave(1, "ALWAYS_DENY");
    bench.run(&image("b")).gave(0, "(owner web team, T-1, until ");
}
