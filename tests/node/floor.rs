//! A node that has nothing but its floor.

use std::time::Duration;

use super::rig::{Booted, Image};

#[tokio::test]
async fn a_node_without_a_network_starts_its_static_pods_and_nothing_else() {
    let mut node = Booted::new().await;
    node.wire();
    let dns = node.registry.push("kube-system/dns", "1", &Image::service("dns")).await;
    let app = node.registry.push("shop/app", "1", &Image::service("app")).await;
    let pod = format!(
        "kind: Pod\nmetadata: {{name: dns, namespace: kube-system}}\nspec: {{containers: [{{image: '{}'}}]}}\n",
        dns.tagged()
    );
    node.write("etc/kubernetes/manifests/dns.yaml", &pod);
    node.boot().await;
    let cri = node.cri().await;
    let dns_id = cri.pull(&dns.tagged()).await.unwrap();
    let app_id = cri.pull(&app.tagged()).await.unwrap();
    cri.run("app", &app.tagged()).await.unwrap();
    // What it needs is found on the node, and written; then everything else is refused, and nobody can be asked.
    let written = node.run("binauthctl floor generate --write");
    let floor = node.run("cat /etc/binauthd/system-policy.yaml");
    assert!(floor.contains(&dns.digest) && floor.contains(&node.pause.digest), "{written} {floor}");
    assert!(!floor.contains(&app.digest), "{floor}");
    let policy = "globalPolicyEvaluationMode: ENABLE\ndefaultAdmissionRule: {evaluationMode: ALWAYS_DENY, \
                  enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}\n";
    node.write("etc/binauthd/policy.yaml", policy);
    let config = std::fs::read_to_string(node.at("etc/binauthd/config.toml")).unwrap();
    let store = "\n[[sources]]\nname = \"store\"\nurl = \"https://192.0.2.1\"\n";
    node.write("etc/binauthd/config.toml", &(config + store));
    node.registry.freeze();
    // Nor does NRI ask: the hook alone does.
    node.write(
        "etc/containerd/conf.d/zz.toml",
        "version = 3\n[plugins.'io.containerd.nri.v1.nri']\ndisable = true\n",
    );
    node.power_cut().await;
    let took = node.boot().await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    let cri = node.cri().await;
    // Both are on the node: nothing is pulled.
    let pod = cri.run_pod_in("kube-system", "dns").await.unwrap();
    let container = cri.create(&pod, "main", &dns_id, &dns.tagged()).await.unwrap();
    cri.launch(&container).await.unwrap();
    assert!(cri.is_running(&container).await);
    let pod = cri.run_pod("app").await.unwrap();
    let container = cri.create(&pod, "main", &app_id, &app.tagged()).await.unwrap();
    let refusal = cri.launch(&container).await.unwrap_err();
    assert!(refusal.message.contains("ALWAYS_DENY"), "{refusal}");
    assert!(node.run("binauthctl floor check").contains(&dns.digest));
}
