//! `floor` where no containerd answers, and on what it refuses.

use super::bench::{Bench, D};

fn other() -> String {
    D.replace("ab", "cd")
}

/// A configuration whose containerd is not there.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write(
        "config.toml",
        "config_version = 1\npolicy = \"/nowhere/policy.yaml\"\n[containerd]\naddress = \"/nowhere/containerd.sock\"\n",
    );
    bench.write(
        "images",
        format!(
            "# of 1.35\nregistry.k8s.io/pause@{D}   # the sandbox\n\nregistry.k8s.io/etcd:3@{}\n",
            other()
        ),
    );
    bench
}

const FLAGS: &str = "--config config.toml --system-policy floor.yaml";

#[test]
fn images_with_digests_need_no_node() {
    let bench = bench();
    let run = |line: &str| bench.run(&format!("floor {line} {FLAGS}"));
    let shown = run("generate --from-images images").gave(0, "With --write `floor.yaml` becomes");
    assert!(shown.out.contains(&format!("- digest: {D}")) && !bench.at("floor.yaml").exists(), "{shown:?}");
    run("generate --from-images images --write").gave(0, "written to `floor.yaml`");
    let first = bench.read("floor.yaml");
    run("generate --from-images images --write").gave(0, "holds all of it already");
    assert_eq!(bench.read("floor.yaml"), first);
    assert!(!bench.at("floor.yaml.old").exists(), "there was none before");
    run("check --from-images images").gave(0, "holds all of 2 images");
    let checked =
        run(&format!("check --from-images images --image r.example/new@{} -o json", D.replace("ab", "ef")))
            .gave(1, "");
    assert_eq!(checked.json()["missing"], 1);
    assert!(checked.json().get("asked").is_none(), "the policy cannot be read");
    // As the offline judge sees it.
    let policy = "globalPolicyEvaluationMode: ENABLE\ndefaultAdmissionRule: {evaluationMode: ALWAYS_DENY, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}\n";
    bench.write("policy.yaml", policy);
    let evaluate =
        format!("evaluate registry.k8s.io/pause@{D} --policy policy.yaml --system-policy floor.yaml");
    bench.run(&evaluate).gave(0, "SYSTEM_POLICY");
}

#[test]
fn what_cannot_be_found_out_is_told() {
    let bench = bench();
    let run = |line: &str| bench.run(&format!("floor {line} {FLAGS}"));
    let told = run("generate --manifests none -o json").gave(1, "").json();
    let problems: Vec<_> =
        told["problems"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert!(problems.len() == 3 && problems[0].starts_with("static pods: `none`"), "{problems:?}");
    assert!(
        problems.iter().filter(|line| line.contains("/nowhere/containerd.sock")).count() == 2,
        "{problems:?}"
    );
    run("generate --image r.example/app:1").gave(1, "? ");
    run("generate --image a:b:c").gave(1, "names no image");
    run("generate --from-images none").gave(2, "cannot read list of images `none`");
    run("check --from-images images").gave(2, "cannot read system policy `floor.yaml`");
    bench.write("floor.yaml", "digests: [{digest: sha256:00, reason: x}]\n");
    for verb in ["check --from-images images", "generate --from-images images --write"] {
        run(verb).gave(2, "system policy `floor.yaml` is refused");
    }
    assert!(bench.read("floor.yaml").contains("sha256:00"), "it is left as it is");
}
