//! `binauthctl doctor` on a node that is as it should be, and on one on which somebody has been.

use std::collections::BTreeSet;

use k8s_cri::v1::PodSandboxConfig;
use serde_json::Value;

use super::rig::Booted;
use super::signer::Signer;

const CRI_IMAGES: &str = "[plugins.'io.containerd.cri.v1.images']";
const VERIFIER: &str = "[plugins.'io.containerd.image-verifier.v1.bindir']";
const NRI: &str = "[plugins.'io.containerd.nri.v1.nri']";
const FOLDER: &str = "/opt/containerd/image-verifier/bin";
const COPIES: &str = "/opt/containerd/binauthd";

/// What the doctor says: the items, by state and name; exit code.
fn examined(node: &Booted, flag: &str) -> (i32, Vec<(String, String, String)>) {
    let (code, text) = node.shell(&format!("binauthctl doctor {flag} -o json 2>/dev/null"));
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let item = |item: &Value| {
        let of = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
        (of("state"), of("name"), of("found") + " | " + &of("fix"))
    };
    (code, report["items"].as_array().unwrap().iter().map(item).collect())
}

async fn healthy() -> Booted {
    let mut node = Booted::new().await;
    node.wire();
    let qa = Signer::new("qa");
    let policy = format!(
        "globalPolicyEvaluationMode: ENABLE\ndefaultAdmissionRule:\n  evaluationMode: REQUIRE_ATTESTATION\n  \
         enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG\n  requireAttestationsBy: [{}]\n",
        qa.attestor()
    );
    node.write("etc/binauthd/policy.yaml", &policy);
    node.write("etc/binauthd/attestors/qa.json", &qa.document());
    let pause = format!("digests:\n- digest: {}\n  reason: pause\n", node.pause.digest);
    node.write("etc/binauthd/system-policy.yaml", &pause);
    node.boot().await;
    node.cri().await;
    super::comes_to_work(&node, "binauthctl status | grep -q 'asked by nri and hook'").await;
    node
}

#[tokio::test]
async fn is_content_with_a_node_that_is_as_it_should_be_and_finds_what_is_not() {
    let node = healthy().await;
    let (code, items) = examined(&node, "--canary");
    let ill: Vec<_> = items.iter().filter(|(state, ..)| state != "fine").collect();
    assert!(code == 0 && ill.is_empty(), "{ill:#?}");
    assert!(items.len() > 30, "{items:#?}");

    // The unit does the same, and the daemon hears of it; nothing of it is left.
    node.run("systemctl start binauthd-canary.service");
    let status: Value = serde_json::from_str(&node.run("binauthctl status -o json")).unwrap();
    assert_eq!(status["canary"]["refused"], serde_json::json!({"create": true, "pull": true}));
    let left = "ctr -n k8s.io images ls -q; ctr -n k8s.io containers ls -q; ctr -n k8s.io leases ls -q";
    assert!(!node.run(left).contains("canary") && node.run("ctr -n k8s.io tasks ls -q").is_empty());

    // What is in a drop-in of somebody's, and what the doctor calls it.
    let mut seen: BTreeSet<String> = items.iter().map(|(_, name, _)| name.clone()).collect();
    let mut found = |what: &str, state: &str, name: &str, part: &str| {
        let (code, items) = examined(&node, "");
        let is_it = |(is, called, says): &(String, String, String)| {
            is == state && called == name && says.contains(part)
        };
        let ill: Vec<_> = items.iter().filter(|(state, ..)| state != "fine").collect();
        assert!(items.iter().any(is_it), "{what}: {ill:#?}");
        assert_eq!(code, i32::from(items.iter().any(|(state, ..)| state == "broken")), "{what}");
        seen.insert(name.to_owned());
    };
    let drop_ins: &[(&str, &str, &str, &str, &str)] = &[
        (CRI_IMAGES, "use_local_image_pull = true", "broken", "pull-path", "`use_local_image_pull` is true"),
        (
            CRI_IMAGES,
            "disable_snapshot_annotations = false",
            "broken",
            "pull-path",
            "`disable_snapshot_annotations` is false",
        ),
        (
            CRI_IMAGES,
            "discard_unpacked_layers = true",
            "broken",
            "pull-path",
            "`discard_unpacked_layers` is true",
        ),
        (
            CRI_IMAGES,
            "max_concurrent_downloads = 5",
            "broken",
            "pull-path",
            "`max_concurrent_downloads` is 5",
        ),
        (
            CRI_IMAGES,
            "image_pull_with_sync_fs = true",
            "broken",
            "pull-path",
            "`image_pull_with_sync_fs` is true",
        ),
        (
            "[plugins.'io.containerd.cri.v1.images'.registry.mirrors.'docker.io']",
            "endpoint = ['https://m.example']",
            "broken",
            "pull-path",
            "`registry.mirrors` is docker.io",
        ),
        (
            "[plugins.'io.containerd.cri.v1.images'.registry.configs.'r.example'.tls]",
            "insecure_skip_verify = true",
            "broken",
            "pull-path",
            "`registry.configs` is r.example",
        ),
        (
            "[plugins.'io.containerd.cri.v1.images'.registry.auths.'https://r.example']",
            "username = 'u'",
            "broken",
            "pull-path",
            "`registry.auths` is https://r.example",
        ),
        (
            "[plugins.'io.containerd.cri.v1.images'.registry]",
            "config_path = '/a:/b'",
            "warning",
            "registry-path",
            "the list `/a:/b`",
        ),
        (CRI_IMAGES, "snapshotter = 'zfs'", "broken", "unpack-config", "snapshotter `zfs`"),
        (
            "[plugins.'io.containerd.cri.v1.images'.pinned_images]",
            "sandbox = 'pause:3'",
            "warning",
            "pause",
            "`pause:3` is named by a tag",
        ),
        (VERIFIER, "max_verifiers = 0", "broken", "verifier-order", "`max_verifiers` is 0"),
        (VERIFIER, "bin_dir = '/elsewhere'", "broken", "verifier-folder", "`/elsewhere`: No such file"),
        (VERIFIER, "per_verifier_timeout = '1s'", "warning", "verifier-time", "is 1s"),
        (NRI, "disable = true", "broken", "nri", "`disable` is true"),
        (NRI, "disable_connections = true", "broken", "nri", "`disable_connections` is true"),
        (NRI, "socket_path = '/run/other.sock'", "broken", "nri", "it listens on `/run/other.sock`"),
        (NRI, "plugin_request_timeout = '500ms'", "warning", "nri-time", "is 500ms"),
        ("", "disabled_plugins = ['io.containerd.nri.v1.nri']", "broken", "nri", "among `disabled_plugins`"),
        (
            "",
            "disabled_plugins = ['io.containerd.image-verifier.v1.bindir']",
            "broken",
            "verifier-plugin",
            "among `disabled_plugins`",
        ),
        ("[", "", "broken", "containerd-config", "zz.toml"),
    ];
    for (table, line, state, name, part) in drop_ins {
        node.write("etc/containerd/conf.d/zz.toml", &format!("version = 3\n{table}\n{line}\n"));
        found(line, state, name, part);
    }
    node.run("rm /etc/containerd/conf.d/zz.toml");

    // By hand: what is done, what is found, how it is taken back.
    let root = "/etc/containerd/config.toml";
    let ours = "/etc/containerd/conf.d/99-binauthd.toml";
    let config = "/etc/binauthd/config.toml";
    let by_hand: &[(&str, &str, &str, &str, &str)] = &[
        (
            &format!("sed -i.bak 's/^imports.*/imports = []/' {root}"),
            "broken",
            "drop-in",
            "does not import `/etc/containerd/conf.d/99-binauthd.toml`",
            &format!("mv {root}.bak {root}"),
        ),
        (
            &format!("sed -i.bak 's,^imports.*,imports = [\"conf.d/*.toml\"\\, \"none.toml\"],' {root}"),
            "broken",
            "containerd-config",
            "none.toml`, which is not there: containerd does not start with it",
            &format!("mv {root}.bak {root}"),
        ),
        (
            &format!("sed -i.bak '/^required_plugins/d' {ours}"),
            "warning",
            "verifier-required",
            "does not name",
            &format!("mv {ours}.bak {ours}"),
        ),
        (
            &format!("echo x >{FOLDER}/.00-binauthd.swp"),
            "broken",
            "verifier-strangers",
            ".00-binauthd.swp` cannot be executed",
            &format!("rm {FOLDER}/.00-binauthd.swp"),
        ),
        (
            &format!("install -m 755 /bin/true {FOLDER}/10-other"),
            "warning",
            "verifier-strangers",
            "10-other` is executed at every pull",
            &format!("rm {FOLDER}/10-other"),
        ),
        (
            &format!("chmod 644 {FOLDER}/00-binauthd"),
            "broken",
            "verifier-program",
            "cannot be executed",
            &format!("chmod 755 {FOLDER}/00-binauthd"),
        ),
        (
            &format!("chmod 777 {FOLDER}/00-binauthd"),
            "broken",
            "verifier-program",
            "others than root may write",
            &format!("chmod 755 {FOLDER}/00-binauthd"),
        ),
        (
            &format!("mv {FOLDER}/00-binauthd /root/"),
            "broken",
            "verifier-program",
            "holds no verifier of ours",
            &format!("mv /root/00-binauthd {FOLDER}/"),
        ),
        (
            &format!("cp -p {FOLDER}/00-binauthd {FOLDER}/00-binauthd-observe"),
            "warning",
            "verifier-order",
            "both verifiers",
            &format!("rm {FOLDER}/00-binauthd-observe"),
        ),
        (
            &format!("mv {FOLDER}/00-binauthd {FOLDER}/00-binauthd-observe"),
            "warning",
            "mode",
            "pull gate is wired to observe",
            &format!("mv {FOLDER}/00-binauthd-observe {FOLDER}/00-binauthd"),
        ),
        (
            &format!("chmod 777 {FOLDER}"),
            "broken",
            "verifier-folder",
            "others than root may write",
            &format!("chmod 755 {FOLDER}"),
        ),
        (
            &format!("echo >>{COPIES}/binauthd-create-hook"),
            "warning",
            "hook-program",
            "of another version",
            "binauthctl containerd refresh",
        ),
        (
            &format!("rm {COPIES}/binauthd-create-hook"),
            "broken",
            "handler",
            "the hook",
            "binauthctl containerd refresh",
        ),
        (
            &format!("sed -i.bak 's/binauthd-create-hook/another-hook/' {COPIES}/base-spec-runc.json"),
            "broken",
            "handler",
            "has no hook of ours",
            &format!("mv {COPIES}/base-spec-runc.json.bak {COPIES}/base-spec-runc.json"),
        ),
        (
            &format!("sed -i 's/\"2\\.1[^\"]*\"/\"1.0.0\"/' {COPIES}/base-spec-runc.json"),
            "warning",
            "base-spec",
            "defaults of containerd 1.0.0",
            "binauthctl containerd refresh",
        ),
        (
            "chmod 666 /run/binauthd/gate.sock",
            "broken",
            "sockets",
            "gate.sock`: its mode is 666",
            "chmod 600 /run/binauthd/gate.sock",
        ),
        (
            "chmod 777 /etc/binauthd",
            "broken",
            "folders",
            "others than root may write",
            "chmod 755 /etc/binauthd",
        ),
        (
            "chmod 755 /var/lib/binauthd",
            "broken",
            "folders",
            "may look into it",
            "chmod 700 /var/lib/binauthd",
        ),
        (
            "systemctl disable binauthd.service 2>/dev/null",
            "broken",
            "units",
            "it is disabled",
            "systemctl enable binauthd.service 2>/dev/null",
        ),
        (
            &format!("sed -i.bak '1i wrong_key = 1' {config}"),
            "broken",
            "config",
            "wrong_key",
            &format!("mv {config}.bak {config}"),
        ),
    ];
    for (wrong, state, name, part, right) in by_hand {
        node.run(wrong);
        found(wrong, state, name, part);
        node.run(right);
    }

    node.run(&format!("touch {ours}"));
    found("touch", "warning", "containerd-restart", "99-binauthd.toml`");
    // All that it may say, but for what containerd 2.2 and later have.
    let unseen =
        binauthd::cli::DOCTOR_ITEMS.iter().map(|(name, _)| *name).filter(|name| !seen.contains(*name));
    assert_eq!(unseen.collect::<Vec<_>>(), ["canary-told", "nri-required", "nri-tolerated", "nri-validate"]);

    // What the daemon sees by itself takes it a moment.
    let policy = std::fs::read_to_string(node.at("etc/binauthd/policy.yaml")).unwrap();
    let later: &[(String, &str, &str, &str)] = &[
        (
            policy.replace("ENFORCED_BLOCK_AND_AUDIT_LOG", "DRYRUN_AUDIT_LOG_ONLY"),
            "warning",
            "policy-mode",
            "no rule of the policy refuses anything",
        ),
        (policy.replace("/qa", "/nobody"), "broken", "attestors", "nobody"),
        ("defaultAdmissionRule: [".to_owned(), "broken", "documents", "policy.yaml"),
        (
            policy
                .replace("ENABLE\n", "ENABLE\nadmissionWhitelistPatterns: [{namePattern: 'docker.io/**'}]\n"),
            "warning",
            "policy-lint",
            "docker.io",
        ),
    ];
    for (text, state, name, part) in later {
        node.write("etc/binauthd/policy.yaml", text);
        let line = format!("binauthctl doctor 2>/dev/null | grep -E '^{state} +{name} ' | grep -q '{part}'");
        super::comes_to_work(&node, &line).await;
    }
    node.write("etc/binauthd/policy.yaml", &policy);
    let floor = "rm /etc/binauthd/system-policy.yaml";
    node.run(floor);
    super::comes_to_work(&node, "binauthctl doctor | grep -E -q '^warning +floor'").await;

    // Nobody to ask: what can be looked at is looked at.
    node.run("systemctl stop binauthd.service binauthd.socket binauthd-admin.socket");
    let (code, items) = examined(&node, "");
    let names: Vec<_> = items.iter().map(|(_, name, _)| name.as_str()).collect();
    assert!(code == 3 && names.contains(&"pull-path") && names.contains(&"handler"), "{items:#?}");
    let broken: Vec<_> =
        items.iter().filter(|(state, ..)| state == "broken").map(|(_, name, _)| name.as_str()).collect();
    assert!(["daemon", "units"].iter().all(|name| broken.contains(name)), "{items:#?}");
    node.run("systemctl stop containerd");
    let (code, items) = examined(&node, "");
    let is_down = |(state, name, _): &(String, String, String)| state == "broken" && name == "containerd";
    assert!(code == 3 && items.iter().any(is_down), "{items:#?}");
    node.run(&format!("echo nonsense >{config}"));
    assert_eq!(examined(&node, "").0, 3);
}

#[tokio::test]
async fn the_canary_shows_which_gate_is_not_asked_and_leaves_nothing() {
    let node = healthy().await;
    let canary = |name: &str| {
        let (_, items) = examined(&node, "--canary");
        let (state, _, says) = items.into_iter().find(|(_, called, _)| called == name).unwrap();
        (state, says)
    };
    let nothing_is_left = || {
        let left = node.run(
            "for what in 'images ls -q' 'containers ls -q' 'tasks ls -q' 'leases ls -q' 'content ls -q'; do \
             ctr -n k8s.io $what; done",
        );
        let digest =
            binauthd::decision::Canary::of(if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" })
                .digest();
        assert!(!left.contains("canary") && !left.contains(&digest.to_string()), "{left}");
    };
    // A pod that calls itself one is nobody's to remove.
    let cri = node.cri().await;
    let labelled = |config: &mut PodSandboxConfig| {
        config.labels.insert("binauthd-canary".to_owned(), "true".to_owned());
    };
    let pod = cri.run_pod_with("binauthd-canary", "binauthd-canary", "", labelled).await.unwrap();
    // Each of the two refuses by itself, also in dry run, with an allowlist and without a policy.
    assert_eq!(canary("canary-pull").1, "the canary was refused, by the verifier | ");
    assert_eq!(canary("canary-create").1, "the canary was refused, by the nri | ");
    assert!(node.run("ctr -n k8s.io tasks ls -q").contains(&pod.id));
    cri.remove_pod(&pod.id).await.unwrap();
    for policy in [
        "defaultAdmissionRule: {evaluationMode: ALWAYS_ALLOW, enforcementMode: DRYRUN_AUDIT_LOG_ONLY}\n",
        "[",
    ] {
        node.write("etc/binauthd/policy.yaml", policy);
        super::comes_to_work(&node, "binauthctl evaluate r.example/a@sha256:ecfe873bc725c88c42f1cfd176d96ea814b6d89207ea016be3f2f64969968283 | grep CANARY").await;
        assert_eq!(canary("canary-pull").0, "fine", "{policy}");
    }
    node.write("etc/binauthd/policy.yaml", "defaultAdmissionRule: {evaluationMode: ALWAYS_ALLOW, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}\n");
    super::comes_to_work(&node, "binauthctl evaluate r.example/a:1 | grep ALLOW").await;
    let without = |text: &str| {
        node.write("etc/containerd/conf.d/zz.toml", &format!("version = 3\n{text}"));
        node.run("systemctl restart containerd");
    };
    without("[plugins.'io.containerd.nri.v1.nri']\ndisable = true\n");
    node.cri().await;
    assert_eq!(canary("canary-create").1, "the canary was refused, by the hook | ");
    nothing_is_left();
    // Nobody is asked.
    without(
        "[plugins.'io.containerd.nri.v1.nri']\ndisable = true\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\nbase_runtime_spec = ''\n",
    );
    node.cri().await;
    node.run(&format!("mv {FOLDER}/00-binauthd /root/"));
    for name in ["canary-pull", "canary-create"] {
        let (state, says) = canary(name);
        assert!(state == "broken" && says.contains("got through"), "{name}: {says}");
    }
    nothing_is_left();
    // Cut off: the next one clears up.
    node.shell("timeout --signal=KILL 0.4 binauthctl doctor --canary");
    canary("canary-create");
    nothing_is_left();
    let page =
        node.run("curl -s --unix-socket /run/binauthd/metrics.sock http://metrics/metrics 2>/dev/null; true");
    assert!(page.is_empty() || page.contains("binauthd_canary_success{gate=\"create\"} 0"), "{page}");
    // Without the daemon gates refuse, and prove nothing.
    node.run(&format!("mv /root/00-binauthd {FOLDER}/ && systemctl stop binauthd.service binauthd.socket binauthd-admin.socket"));
    let (state, says) = canary("canary-pull");
    assert!(state == "warning" && says.contains("not as the canary"), "{says}");
}
