//! The floor: what a node needs to come up, found on a real one, written, and obeyed.

use std::fs;

use serde_json::Value;

use super::gated::{Gated, Gates};
use super::rig::{Generation, Image};

const OPEN: &str =
    "defaultAdmissionRule: {evaluationMode: ALWAYS_ALLOW, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}\n";
const SHUT: &str = "globalPolicyEvaluationMode: ENABLE\n\
    defaultAdmissionRule: {evaluationMode: ALWAYS_DENY, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}\n";

fn need<'a>(generated: &'a Value, what: &str) -> &'a Value {
    let needs = generated["needs"].as_array().unwrap();
    needs.iter().find(|need| need["what"] == what).unwrap_or_else(|| panic!("no {what} in {needs:#?}"))
}

#[tokio::test]
async fn a_node_with_its_floor_alone_starts_what_it_needs_and_nothing_else() {
    let gated =
        Gated::start_on(Gates::Both.on(Generation::V2_1).await, |node, _| node.etc.write_policy(OPEN)).await;
    let (etcd, etcd_id) = gated.bring("kube-system/etcd", &Image::proves("etcd")).await;
    let (cni, cni_id) = gated.bring("calico/node", &Image::service("cni")).await;
    let (app, app_id) = gated.bring("shop/app", &Image::service("app")).await;
    gated.run("calico-node", &cni_id, &cni.tagged()).await.unwrap();
    gated.run("app", &app_id, &app.tagged()).await.unwrap();

    let node = gated.node();
    let manifests = node.home.folder("manifests");
    let pod = |image: &str| {
        format!(
            "kind: Pod\nmetadata: {{name: etcd, namespace: kube-system}}\nspec: {{containers: [{{image: '{image}'}}]}}"
        )
    };
    fs::write(manifests.join("etcd.yaml"), pod(&etcd.tagged())).unwrap();
    fs::write(manifests.join("gone.yaml"), pod(&etcd.tagged().replace("etcd", "gone"))).unwrap();
    let floor = |line: &str| {
        let line = format!("floor {line} --manifests {}", manifests.display());
        let guarded = &gated.guarded;
        async move { guarded.binauthctl(&line).await }
    };

    // What cannot be resolved is told, and nothing is written unasked.
    let ran = floor("generate -o json").await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let generated: Value = serde_json::from_str(&ran.stdout).unwrap();
    let needs: Vec<_> = generated["needs"].as_array().unwrap().iter().map(|need| &need["what"]).collect();
    assert_eq!(needs.len(), 4, "{generated:#}");
    assert_eq!(need(&generated, "static pod kube-system/etcd")["digest"], etcd.digest.as_str());
    assert_eq!(need(&generated, "CNI")["digest"], cni.digest.as_str());
    assert_eq!(need(&generated, "pause")["digest"], node.pause.digest.as_str());
    let gone =
        generated["needs"].as_array().unwrap().iter().find(|need| need["problem"].is_string()).unwrap();
    assert!(gone["problem"].as_str().unwrap().contains("pull it first"), "{gone}");
    let left_out = generated["leftOut"].as_array().unwrap();
    assert!(left_out.len() == 1 && left_out[0].as_str().unwrap().starts_with(&app.tagged()), "{left_out:?}");
    let file = node.etc.folder.join("system-policy.yaml");
    assert!(!file.exists());

    fs::remove_file(manifests.join("gone.yaml")).unwrap();
    let before = format!(
        "trustRegistry: false\ndigests: [{{digest: '{}', reason: kept}}]\n",
        "sha256:".to_owned() + &"ab".repeat(32)
    );
    node.etc.write_beside("system-policy.yaml", &before);
    let ran = floor("generate --write").await;
    assert!(ran.code == Some(0) && ran.stdout.contains("written to"), "{ran:?}");
    assert_eq!(fs::read_to_string(file.with_extension("yaml.old")).unwrap(), before);
    assert!(fs::read_to_string(&file).unwrap().contains("reason: kept"));
    assert!(floor("generate --write").await.success().contains("holds all of it already"));

    // The list of an upgrade: the floor is not asked by this policy, and then the app is missing.
    let ran = floor("check").await;
    assert!(ran.code == Some(1) && ran.stderr.contains("globalPolicyEvaluationMode: ENABLE"), "{ran:?}");
    gated.obey(SHUT).await;
    assert!(floor("check").await.success().contains("holds all of 3 images"));
    fs::write(
        node.home.path().join("images"),
        format!("# of the next version\n{}\n{}\n", etcd.tagged(), app.tagged()),
    )
    .unwrap();
    let ran = floor("check --from-images images -o json").await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let checked: Value = serde_json::from_str(&ran.stdout).unwrap();
    let states: Vec<_> = checked["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| (&image["inFloor"], &image["verdict"]))
        .collect();
    assert_eq!(
        serde_json::json!(states),
        serde_json::json!([[true, "ALLOW SYSTEM_POLICY"], [false, "DENY ALWAYS_DENY"]])
    );

    gated.runs("etcd", &etcd_id, &etcd.tagged(), "etcd").await;
    gated.refused("other", &app_id, &app.tagged(), &["ALWAYS_DENY"]).await;
    gated.stop().await;
}
