//! How a node comes up, whatever is broken.

use std::time::Duration;

use super::rig::Booted;

/// By then kubelet has started, whatever binauthd lacks.
const SOON: Duration = Duration::from_secs(10);

/// What containerd executes, by hand.
const ASK: &str = "/usr/libexec/binauthd/binauthd-image-verifier -name r.example/app:1 \
    -digest sha256:1111111111111111111111111111111111111111111111111111111111111111 </dev/null";

/// Lines of `systemctl show` as the unit has them.
fn property(node: &Booted, unit: &str, name: &str) -> String {
    node.run(&format!("systemctl show --property {name} --value {unit}"))
}

#[tokio::test]
async fn comes_up_with_sockets_of_systemds_before_kubelet_and_within_its_sandbox() {
    let mut node = Booted::new().await;
    node.boot().await;
    for unit in ["binauthd.service", "binauthd.socket", "binauthd-admin.socket", "containerd.service"] {
        super::comes_to_work(&node, &format!("systemctl is-active {unit}")).await;
    }
    let stat = |path: &str| node.run(&format!("stat --format '%U:%G %a %F' {path}"));
    assert_eq!(stat("/run/binauthd/gate.sock"), "root:root 600 socket");
    assert_eq!(stat("/run/binauthd/admin.sock"), "root:binauthd 660 socket");
    // Which the daemon makes itself, in its sandbox.
    assert_eq!(stat("/run/binauthd/metrics.sock"), "root:binauthd 660 socket");
    let active = |unit: &str| property(&node, unit, "ActiveEnterTimestampMonotonic").parse::<u64>().unwrap();
    assert!(active("binauthd.service") < active("kubelet.service"), "READY comes before kubelet");

    // Nothing in its sandbox keeps it from its work, and it keeps no capability.
    let status: serde_json::Value = serde_json::from_str(&node.run("binauthctl status -o json")).unwrap();
    let alarms = status["alarms"].as_array().unwrap();
    let of_sandbox = |alarm: &&serde_json::Value| {
        ["self-test", "metrics: "].iter().any(|part| alarm.as_str().unwrap().contains(part))
    };
    let of_self_test: Vec<_> = alarms.iter().filter(of_sandbox).collect();
    assert!(of_self_test.is_empty(), "{of_self_test:?}");
    let held = node.run("grep -h Cap /proc/$(systemctl show --property MainPID --value binauthd)/status");
    assert!(held.lines().all(|line| line.ends_with("\t0000000000000000")), "{held}");
    let exposure = node.run("systemd-analyze security --no-pager binauthd.service | tail -n 1");
    let figure: f64 = exposure.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!(figure <= 1.5, "{exposure}");
    assert_eq!(node.run("systemctl --failed --plain --no-legend | grep -e binauthd -e containerd; true"), "");

    // It is there again for whoever asks, and gone for good with its sockets.
    node.run("systemctl stop binauthd.service 2>/dev/null");
    assert!(node.run("binauthctl status").contains("binauthd:"));
    node.run("systemctl stop binauthd.socket binauthd-admin.socket binauthd.service");
    assert_eq!(node.shell("binauthctl status").0, 3);
    node.run("systemctl start binauthd.service && binauthctl status");

    // Sockets whose files are lost: the daemon makes its own, also when it starts again, until systemd's are back.
    node.run("rm /run/binauthd/gate.sock /run/binauthd/admin.sock");
    super::comes_to_work(&node, "binauthctl status").await;
    super::comes_to_work(&node, "systemctl kill --signal=KILL --kill-whom=main binauthd").await;
    super::comes_to_work(&node, "binauthctl status").await;
    super::comes_to_work(&node, ASK).await; // the shipped policy refuses nothing
    node.run("systemctl restart binauthd.socket binauthd-admin.socket binauthd.service && binauthctl status");
    assert_eq!(stat("/run/binauthd/admin.sock"), "root:binauthd 660 socket");
}

#[tokio::test]
async fn kubelet_starts_whatever_is_broken() {
    let mut node = Booted::new().await;
    node.wire();
    // No containerd to ask, no policy that could be understood, and a store that nobody reaches.
    node.mask("containerd.service");
    node.write("etc/binauthd/policy.yaml", "defaultAdmissionRule: [");
    let config = std::fs::read_to_string(node.at("etc/binauthd/config.toml")).unwrap();
    let store = "\n[[sources]]\nname = \"store\"\nurl = \"https://192.0.2.1\"\n";
    node.write("etc/binauthd/config.toml", &(config.clone() + store));
    let took = node.boot().await;
    assert!(took < SOON, "{took:?}");
    let status: serde_json::Value = serde_json::from_str(&node.run("binauthctl status -o json")).unwrap();
    let alarms = status["alarms"].to_string();
    for part in ["policy.yaml", "self-test at start: [[sources]] need the network", "binauthd-network.conf"] {
        assert!(alarms.contains(part), "{part}: {alarms}");
    }
    let (code, refusal) = node.shell("binauthctl evaluate registry.example/app:1");
    assert!(code == 2 && refusal.contains("POLICY_UNREADABLE"), "{refusal}");
    node.shut_down().await;

    // A configuration that the daemon cannot start with: it is tried for ever, kubelet comes up, and the gates refuse.
    node.write("etc/binauthd/config.toml", &format!("state_dir = 7\n{config}"));
    let took = node.boot().await;
    assert!(took < SOON, "{took:?}");
    let (code, refusal) = node.shell(ASK);
    assert!(code == 1 && refusal.contains("silent for 2 s"), "{refusal}");
    assert_eq!(property(&node, "binauthd.socket", "ActiveState"), "active");
    let journal = node.journal("binauthd.service");
    assert!(journal.contains("`/etc/binauthd/config.toml`: line 1: invalid type"), "{journal}");
    node.write("etc/binauthd/config.toml", &config);
    super::comes_to_work(&node, "binauthctl status").await;
}
