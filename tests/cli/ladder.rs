//! Verdicts by files with everything that can be named: pods, digests, lists, check sets, time.

use serde_json::{Value, json};

use super::bench::{Bench, D, ENFORCED, app, other, web};

const DEFAULT: &str = "defaultAdmissionRule: {evaluationMode: REQUIRE_ATTESTATION, \
                       enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG, \
                       requireAttestationsBy: [projects/p/attestors/ci]}\n";

/// A bench with an attested `app()`, and a policy with an allowing rule for `key` in `map`.
fn bench(map: &str, key: &str) -> Bench {
    let bench = Bench::with_attestor();
    bench.sign(&app()).gave(0, "");
    let rule = format!("{{evaluationMode: ALWAYS_ALLOW, enforcementMode: {ENFORCED}}}");
    bench.write("policy.yaml", format!("{DEFAULT}{map}: {{'{key}': {rule}}}\n"));
    bench
}

fn steps(ladder: &Value) -> Vec<(&str, &str)> {
    let text = |step: &'_ Value, name: &str| step[name].as_str().unwrap().to_owned().leak() as &str;
    ladder["ladder"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (text(step, "step"), text(step, "outcome")))
        .collect()
}

#[test]
fn rules_by_what_is_known_of_the_pod() {
    let spiffe = "spiffe://cluster.local/ns/shop/sa/web";
    // A map, the key of a rule in it, and what flags about the pod come to.
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, i32)]);
    let rows: &[Row<'_>] = &[
        (
            "kubernetesNamespaceAdmissionRules",
            "shop",
            &[
                ("--namespace shop", 0),
                ("--namespace other", 1),
                ("--service-account shop:web", 0),
                ("--service-account other:web", 1),
                ("--service-account web", 2),
                ("--cluster us.prod", 2),
                ("", 2),
            ],
        ),
        (
            "kubernetesServiceAccountAdmissionRules",
            "shop:web",
            &[
                ("--service-account shop:web", 0),
                ("--namespace shop --service-account web", 0),
                ("--namespace shop --service-account shop:web", 0),
                ("--namespace shop --service-account other", 1),
                ("--namespace other", 1),
                ("--namespace shop", 2),
                ("--service-account web", 2),
            ],
        ),
        (
            "clusterAdmissionRules",
            "us-central1-a.prod",
            &[
                ("--cluster us-central1-a.prod", 0),
                ("--cluster us-central1-a.test", 1),
                ("--namespace shop", 2),
                ("--config prod.toml", 0),
                ("--config test.toml", 1),
                ("--config test.toml --cluster us-central1-a.prod", 0),
            ],
        ),
        (
            "istioServiceIdentityAdmissionRules",
            spiffe,
            &[
                ("--mesh-identity spiffe://cluster.local/ns/shop/sa/web", 0),
                ("--mesh-identity cluster.local/ns/shop/sa/web", 0),
                ("--mesh-identity spiffe://cluster.local/ns/shop/sa/db", 1),
                ("", 2),
            ],
        ),
    ];
    for (map, key, cases) in rows {
        let bench = bench(map, key);
        for name in ["prod", "test"] {
            let text = format!("config_version = 1\ncluster = 'us-central1-a.{name}'\n");
            bench.write(&format!("{name}.toml"), text);
        }
        for (pod, code) in *cases {
            let part = match code {
                0 => format!("{map}[{key}]"),
                1 => "NO_ATTESTATION".to_owned(),
                _ => "POD_CONTEXT_UNKNOWN".to_owned(),
            };
            bench.evaluate(&format!("{} {pod}", other())).gave(*code, &part);
        }
        // Where all rules agree nobody needs to know the pod.
        bench.evaluate(&app()).gave(0, "ALLOW");
    }
}

#[test]
fn pods_that_cannot_be_are_usage() {
    let bench = bench("kubernetesNamespaceAdmissionRules", "shop");
    let rows = [
        ("--namespace a --service-account b:web", "is of namespace `b`, and --namespace is `a`"),
        ("--namespace Shop", "--namespace: `Shop` matches no rule: expected a namespace"),
        ("--cluster prod", "--cluster: `prod` matches no rule: expected `LOCATION.CLUSTER`"),
        ("--service-account shop:web:x", "--service-account: `shop:web:x` matches no rule"),
        ("--mesh-identity web", "--mesh-identity: `web` matches no rule: expected `spiffe://DOMAIN/ns/"),
        ("--now yesterday", "expected RFC 3339 in UTC, such as 2026-01-31T12:00:00Z"),
        ("--index latest", "`latest` is not a digest"),
    ];
    for (flags, part) in rows {
        let ran = bench.evaluate(&format!("{} {flags}", app())).gave(2, part);
        assert_eq!(ran.out, "", "{flags}");
        // Nobody is asked about them either.
        bench.run(&format!("evaluate {} {flags}", app())).gave(2, part);
    }
}

#[test]
fn whichever_digest_is_attested_is_told() {
    let bench = Bench::with_attestor();
    bench.policy_by_ci(ENFORCED);
    bench.sign(&app()).gave(0, "");
    let image = other();
    let pinned = image.split_once('@').unwrap().1;
    let rows = [
        (format!("--index {D}"), 0, "ATTESTED"),
        (format!("--manifest {D}"), 0, "ATTESTED"),
        (format!("--index {D} --manifest {pinned}"), 0, "ATTESTED"),
        (format!("--index {pinned}"), 1, "NO_ATTESTATION"),
        (format!("--config-digest {D}"), 1, "NO_ATTESTATION"),
        (format!("--index {D} --manifest {D}"), 2, "which is neither that of --index nor that of --manifest"),
        (format!("--manifest {D} --config only-index.toml"), 1, "NO_ATTESTATION"),
        (format!("--index {D} --config only-index.toml"), 0, "ATTESTED"),
        (format!("--manifest {pinned} --config only-index.toml"), 1, "SUBJECT_NOT_ATTESTABLE"),
    ];
    bench.write("only-index.toml", "config_version = 1\nsubjects = ['index']\n");
    for (flags, code, part) in rows {
        let ran = bench.evaluate(&format!("{image} {flags} -o json")).gave(code, part);
        if code == 0 {
            let verdict = ran.json();
            assert_eq!(verdict["attestors"][0]["digest"], D);
            let told = bench.evaluate(&format!("{image} {flags}")).gave(0, D).out;
            let other = verdict["digest"] != D;
            assert_eq!(told.contains(&format!("{}, for {D}", bench.key_id())), other, "{told}");
        }
    }
    // A tag is resolved by whoever knows how.
    bench.evaluate("registry.example.com/team/app:v1").gave(1, "DIGEST_MISSING");
    bench.evaluate(&format!("registry.example.com/team/app:v1 --manifest {D}")).gave(0, "ATTESTED");
    bench.write("tags.toml", "config_version = 1\ndeny_tags = true\n");
    let line = format!("registry.example.com/team/app:v1 --manifest {D} --config tags.toml");
    bench.evaluate(&line).gave(1, "TAG_DENIED");
    bench.evaluate(&format!("{} --config tags.toml", app())).gave(0, "ATTESTED");
    // The deny list may name any of them.
    bench.write("deny.yaml", format!("digests: [{{digest: '{D}', reason: stolen key}}]"));
    for flag in ["--index", "--manifest", "--config-digest"] {
        bench
            .evaluate(&format!("{image} --deny-list deny.yaml {flag} {D}"))
            .gave(1, &format!("denied by deny list: {D} (stolen key)"));
    }
}

#[test]
fn lists_before_rules() {
    let bench = Bench::with_attestor();
    bench.sign(&app()).gave(0, "");
    let entry = format!("digests: [{{digest: '{D}', reason: urgent");
    bench.write("deny.yaml", format!("{entry}, until: '2026-06-01T00:00:00Z'}}]"));
    bench.write("system.yaml", format!("{entry}}}]"));
    bench.write("policy.yaml", DEFAULT);
    let web = web();
    let deny = "--deny-list deny.yaml";
    bench.evaluate(&format!("{} {deny} --now 2026-05-31T23:59:59Z", app())).gave(1, "DENY_LISTED");
    bench.evaluate(&format!("{} {deny} --now 2026-06-01T00:00:00Z", app())).gave(0, "ATTESTED");
    // A name that nobody attested, and a digest that the system policy knows.
    bench.write("occurrences-of-nobody/readme", "");
    let nobody = "--policy policy.yaml $A --occurrences occurrences-of-nobody --system-policy system.yaml";
    let line = format!("evaluate {web} {nobody}");
    bench.run(&line).gave(1, "NO_ATTESTATION");
    bench.write("policy.yaml", format!("globalPolicyEvaluationMode: ENABLE\n{DEFAULT}"));
    bench.run(&line).gave(0, "allowed by system policy");
    bench.run(&format!("{line} {deny} --now 2026-05-01T00:00:00Z")).gave(1, "DENY_LISTED");
    // A document of our own that is configured is obeyed as well, and need not be there.
    let config = format!(
        "config_version = 1\ndeny_list = '{0}/deny.yaml'\nsystem_policy = '{0}/none.yaml'\n",
        bench.folder.path().display()
    );
    bench.write("config.toml", config);
    let line = format!("{} --config config.toml --now 2026-05-01T00:00:00Z", app());
    bench.evaluate(&line).gave(1, "DENY_LISTED");
}

#[test]
fn documents_that_are_missing_or_broken_are_named_with_the_way_out() {
    let bench = Bench::with_attestor();
    bench.policy_by_ci(ENFORCED);
    bench.write("bad.yaml", "colour: red");
    bench.write(
        "several.yaml",
        format!("{DEFAULT}clusterAdmissionRules: {{}}\nkubernetesNamespaceAdmissionRules: {{}}\n"),
    );
    let rows = [
        ("--deny-list none.yaml", "cannot read deny list `none.yaml`", "by its flag"),
        ("--system-policy none.yaml", "cannot read system policy `none.yaml`", "by its flag"),
        ("--platform-policy none.yaml", "cannot read platform policy `none.yaml`", "by its flag"),
        ("--deny-list bad.yaml", "deny list `bad.yaml` is refused: ", "Mend the file"),
        ("--system-policy bad.yaml", "system policy `bad.yaml` is refused: ", "Mend the file"),
        ("--platform-policy bad.yaml", "platform policy `bad.yaml` is refused: ", "Mend the file"),
        ("--deny-list policy.yaml", "unknown field `defaultAdmissionRule`", "Mend the file"),
    ];
    for (flags, what, way_out) in rows {
        let ran = bench.evaluate(&format!("{} {flags}", app())).gave(2, what).gave(2, way_out);
        assert!(ran.out.starts_with("verdict: CANNOT_DECIDE\n"), "{}", ran.out);
        let ladder = bench.evaluate(&format!("{} {flags} --explain -o json", app())).gave(2, what).json();
        assert_eq!(steps(&ladder), [("verdict", "DENIES")]);
    }
    let line = format!("evaluate {} --policy bad.yaml", app());
    bench.run(&line).gave(2, "policy `bad.yaml` is refused").gave(2, "`binauthctl policy check`");
}

#[test]
fn the_ladder_is_told_in_its_order() {
    let bench = bench("kubernetesNamespaceAdmissionRules", "dev");
    let stray = format!("--artifact-url {} --public-key-id nobody", app());
    bench.write("hello", "hello");
    bench
        .run(&format!("attestations create --attestor ci {stray} --no-validate --signature-file hello $A $O"))
        .gave(0, "");
    let ladder = bench.evaluate(&format!("{} --namespace shop --explain -o json", app())).gave(0, "").json();
    assert_eq!(ladder["verdict"], "ALLOW");
    assert_eq!(
        steps(&ladder),
        [
            ("denyList", "PASSES"),
            ("systemPolicy", "SKIPPED"),
            ("admissionWhitelistPatterns", "PASSES"),
            ("specific rules", "PASSES"),
            ("defaultAdmissionRule", "PASSES"),
            ("projects/p/attestors/ci", "PASSES"),
            ("verdict", "ALLOWS"),
        ]
    );
    let looks = ladder["ladder"][5]["signatures"].as_array().unwrap();
    let counts: Vec<_> = looks.iter().filter(|look| look["counts"] == true).collect();
    assert_eq!(counts.len(), 1, "{looks:?}");
    assert_eq!(counts[0]["keyId"], bench.key_id());

    let ran = bench.evaluate(&format!("{} --namespace shop --explain", app())).gave(0, "verdict: ALLOW");
    let told: Vec<_> = ran.out.lines().filter(|line| line.get(2..4) == Some(". ")).collect();
    assert_eq!(told.len(), 7, "{}", ran.out);
    for (line, (place, (step, _))) in told.iter().zip(steps(&ladder).iter().enumerate()) {
        assert!(line.starts_with(&format!("{:>2}. {step}: ", place + 1)), "{line}");
    }
    assert!(ran.out.contains(&format!("key {}: counts: attests the digest", bench.key_id())), "{}", ran.out);

    let refused =
        bench.evaluate(&format!("{} --namespace shop --explain -o json", web().replace("ab", "ef")));
    let refused = refused.gave(1, "NO_ATTESTATION").json();
    assert_eq!(steps(&refused)[5..], [("projects/p/attestors/ci", "DENIES"), ("verdict", "DENIES")]);
    let unknown = bench.evaluate(&format!("{} --explain -o json", other())).gave(2, "").json();
    let may = [("kubernetesNamespaceAdmissionRules[dev]", "PASSES"), ("defaultAdmissionRule", "PASSES")];
    assert_eq!(steps(&unknown)[3..5], may);
    let message = unknown["message"].as_str().unwrap();
    assert!(message.contains("kubernetesNamespaceAdmissionRules[dev] says ALLOW"), "{message}");
    assert!(message.contains("defaultAdmissionRule says DENY"), "{message}");
}

#[test]
fn check_sets_beside_the_policy_and_alone() {
    let bench = Bench::with_attestor();
    bench.policy("ALWAYS_ALLOW", ENFORCED);
    let platform = |mode: &str| {
        let checks = "[{displayName: dirs, trustedDirectoryCheck: {trustedDirPatterns: [gcr.io/good]}}]";
        let text =
            format!("binauthdEnforcementMode: {mode}\ngkePolicy: {{checkSets: [{{checks: {checks}}}]}}\n");
        bench.write("platform.yaml", text);
    };
    let both = format!("evaluate {} --policy policy.yaml --platform-policy platform.yaml", app());
    let rows = [
        ("AUDIT", 0, ["ALLOW", "ALLOW"], "ALWAYS_ALLOW"),
        ("AUDIT_AND_DRYRUN", 0, ["ALLOW", "DENY"], "UNTRUSTED_DIRECTORY"),
        ("AUDIT_AND_ENFORCE", 1, ["DENY", "DENY"], "UNTRUSTED_DIRECTORY"),
    ];
    for (mode, code, verdicts, reason) in rows {
        platform(mode);
        let verdict = bench.run(&format!("{both} -o json")).gave(code, "").json();
        assert_eq!(["verdict", "would"].map(|name| &verdict[name]), verdicts, "{mode}: {verdict}");
        assert_eq!(verdict["reason"], reason, "{mode}");
        let check = &verdict["checks"][0];
        let members = ["place", "type", "verdict", "reason"].map(|name| check[name].clone());
        let expected = json!([
            "checkSets[0].checks[0]",
            "TrustedDirectoryCheck",
            "NON_CONFORMANT",
            "UNTRUSTED_DIRECTORY"
        ]);
        assert_eq!(members.as_slice(), expected.as_array().unwrap().as_slice());
        let table = bench.run(&both).gave(code, "CHECK").out;
        assert!(table.contains("checkSets[0].checks[0]"), "{table}");
        bench.run(&format!("{both} --explain")).gave(code, "TrustedDirectoryCheck checkSets[0].checks[0]: ");
        let strict = i32::from(verdicts[1] == "DENY");
        bench.run(&format!("{both} --strict")).gave(strict, reason);
    }
    let good = both.replace("registry.example.com/team", "gcr.io/good");
    bench.run(&good).gave(0, "ALWAYS_ALLOW");
    // Check sets by themselves.
    let alone = |image: &str| bench.run(&format!("evaluate {image} --platform-policy platform.yaml"));
    alone(&app()).gave(1, "UNTRUSTED_DIRECTORY");
    alone(&app().replace("registry.example.com/team", "gcr.io/good")).gave(0, "CONFORMANT");
}

#[test]
fn flags_that_only_files_have_ask_no_daemon() {
    let bench = Bench::new();
    let config = format!(
        "config_version = 1\nruntime_dir = '{0}'\npolicy = '{0}/policy.yaml'\n",
        bench.folder.path().display()
    );
    bench.write("config.toml", config);
    bench.policy("ALWAYS_DENY", ENFORCED);
    let line = format!("evaluate {} --config config.toml", app());
    for pod in ["", "--namespace shop", "--service-account a:b", "--cluster l.c", "--explain", "--strict"] {
        bench.run(&format!("{line} {pod}")).gave(3, "binauthd does not answer on `");
    }
    let digest = format!("--config-digest {D}");
    for flag in ["--offline", "--now 2026-01-01T00:00:00Z", "--allow-multiple-rule-maps", &digest] {
        bench.run(&format!("{line} {flag}")).gave(1, "ALWAYS_DENY");
    }
}
