//! Everything of a pod that becomes a container, and what of a pod decides which rule applies.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_cri::v1::{ContainerMetadata, ImageSpec, Mount};
use serde_json::json;
use tokio::net::TcpListener;

use super::authority::Authority;
use super::gated::{Gated, Gates, Settings, configure, says};
use super::guarded::{policy, requires};
use super::kubelet::{Answer, Server};
use super::rig::{Generation, Image, Pod, bind};

const ALLOW: &str = "{evaluationMode: ALWAYS_ALLOW, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}";

/// Containers are added to a pod while it runs: before its own ones and beside them.
#[tokio::test]
async fn every_container_of_a_pod_is_judged() {
    for gates in [Gates::Nri, Gates::Hook] {
        let gated = Gated::start(gates, Generation::V2_1).await;
        let cri = &gated.node().cri;
        let (good, good_id) = gated.bring_attested("shop/good", &Image::proves("good")).await;
        let (bad, bad_id) = gated.bring("shop/bad", &Image::proves("bad")).await;
        let fixed = cri.run_pod_with("kube-system", "static", "", |pod| {
            pod.annotations.insert("kubernetes.io/config.source".to_owned(), "file".to_owned());
        });
        for pod in [cri.run_pod("web").await.unwrap(), fixed.await.unwrap()] {
            let refusal = gated.run_in(&pod, "init", &bad_id, &bad.tagged()).await.unwrap_err();
            says(&refusal, &["(NO_ATTESTATION)"]);
            gated.run_in(&pod, "main", &good_id, &good.tagged()).await.unwrap();
            gated.proves("good").await;
            let refusal = gated.run_in(&pod, "debugger", &bad_id, &bad.tagged()).await.unwrap_err();
            says(&refusal, &["(NO_ATTESTATION)"]);
            gated.proves_nothing("bad").await;
            // One that is started again.
            let mut config = pod.container("main", &good_id, &good.tagged());
            config.metadata = Some(ContainerMetadata { name: "main".to_owned(), attempt: 1 });
            config.mounts.push(bind(&gated.proof, "/proof"));
            let again = cri.create_from(&pod, config).await.unwrap();
            cri.launch(&again).await.unwrap();
            gated.proves("good").await;
        }
        gated.stop().await;
    }
}

#[tokio::test]
async fn image_volumes_are_judged() {
    for gates in [Gates::Nri, Gates::Hook] {
        let gated = Gated::start(gates, Generation::V2_1).await;
        let cri = &gated.node().cri;
        let (app, id) = gated.bring_attested("shop/app", &Image::proves("app")).await;
        let (files, files_id) = gated.bring("shop/files", &Image::service("files")).await;
        let pod = cri.run_pod("volumes").await.unwrap();
        let with_volume = |name: &str| {
            let mut config = pod.container(name, &id, &app.tagged());
            config.mounts.push(bind(&gated.proof, "/proof"));
            config.mounts.push(Mount {
                container_path: "/files".to_owned(),
                readonly: true,
                image: Some(ImageSpec {
                    image: files_id.clone(),
                    user_specified_image: files.tagged(),
                    ..Default::default()
                }),
                ..Default::default()
            });
            config
        };
        let started = match cri.create_from(&pod, with_volume("main")).await {
            Ok(container) => cri.launch(&container).await,
            Err(refusal) => Err(refusal),
        };
        let refusal = started.expect_err("the files are nobody's");
        println!("{gates:?}: {refusal}");
        says(&refusal, &["image volume", &files.digest, "(NO_ATTESTATION)"]);
        gated.proves_nothing("main").await;
        gated.guarded.attest(&files);
        gated.guarded.known(&files).await;
        let container = cri.create_from(&pod, with_volume("again")).await.unwrap();
        cri.launch(&container).await.unwrap();
        gated.proves("app").await;
        gated.stop().await;
    }
}

/// The tag of the pause image is moved, a pod pulls it, and other pods come up.
#[tokio::test]
async fn a_foreign_pause_image_never_runs() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let foreign = Image::calls("foreign", listener.local_addr().unwrap().port());
    let gated = Gated::start(Gates::Both, Generation::V2_1).await;
    let node = gated.node();
    let right = node.cri.pull(&node.pause.tagged()).await.unwrap();
    node.cri.run_pod("before").await.unwrap();

    let moved = node.registry.push("pause", "1", &foreign).await;
    assert_eq!(moved.tagged(), node.pause.tagged());
    let id = node.cri.pull(&moved.tagged()).await.unwrap();
    assert_ne!(id, right);
    let pod = node.cri.run_pod("pulls").await.unwrap();
    let refusal = node.cri.create(&pod, "main", &id, &moved.tagged()).await.unwrap_err();
    says(&refusal, &["(NO_ATTESTATION)"]);
    node.cri.run_pod("after").await.unwrap();
    let called = tokio::time::timeout(Duration::from_millis(500), listener.accept()).await;
    assert!(called.is_err(), "the foreign entrypoint ran");

    // It would have been heard.
    gated.guarded.attest(&moved);
    gated.guarded.known(&moved).await;
    let container = node.cri.create(&pod, "heard", &id, &moved.tagged()).await.unwrap();
    node.cri.launch(&container).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), listener.accept()).await.unwrap().unwrap();

    // Whoever may write containerd's records moves the pin itself: the second line refuses the pod.
    let ctr = node.ctr();
    let other = node.registry.push("shop/other", "1", &Image::service("other")).await;
    node.cri.pull(&other.tagged()).await.unwrap();
    ctr.run(&["images", "tag", "--force", &other.tagged(), &node.pause.pinned()]).await.success();
    let refusal = node.cri.run_pod("moved").await.err().expect("its pause image is another one");
    println!("{refusal}");
    ctr.run(&["images", "rm", &node.pause.pinned()]).await.success();
    node.cri.pull(&node.pause.pinned()).await.unwrap();

    // A pause image that policy does not allow holds up the pod.
    gated.obey(&requires(&[&gated.guarded.qa])).await;
    let refusal = node.cri.run_pod("unlisted").await.err().unwrap();
    println!("{refusal}");
    says(&refusal, &[&node.pause.digest, "(NO_ATTESTATION)"]);
    gated.audited(&[("/gate", "pod"), ("/verdict", "DENY"), ("/container/pod", "unlisted")]).await;
    gated.stop().await;
}

#[tokio::test]
async fn the_pods_namespace_decides() {
    for gates in [Gates::Nri, Gates::Hook] {
        let gated = Gated::start(gates, Generation::V2_1).await;
        let cri = &gated.node().cri;
        let (app, id) = gated.bring("shop/app", &Image::proves("app")).await;
        let rules =
            format!("{}kubernetesNamespaceAdmissionRules:\n  dev: {ALLOW}\n", requires(&[&gated.guarded.qa]));
        gated.obey(&policy(gated.node(), &rules)).await;
        let dev = cri.run_pod_in("dev", "web").await.unwrap();
        gated.run_in(&dev, "main", &id, &app.tagged()).await.unwrap();
        gated.proves("app").await;
        let record = gated
            .audited(&[("/gate", "create"), ("/verdict", "ALLOW"), ("/container/podNamespace", "dev")])
            .await;
        assert!(record["rule"].is_string(), "{record}");
        gated.audited(&[("/rule", "kubernetesNamespaceAdmissionRules[dev]")]).await;
        let shop = cri.run_pod_with("shop", "web", "", |pod| {
            // What a pod says of its namespace elsewhere counts for nothing.
            pod.annotations.insert("io.kubernetes.cri.sandbox-namespace".to_owned(), "dev".to_owned());
        });
        let refusal = gated.run_in(&shop.await.unwrap(), "main", &id, &app.tagged()).await.unwrap_err();
        says(&refusal, &["default admission rule", "(NO_ATTESTATION)"]);
        gated.proves_nothing("shop").await;
        gated.stop().await;
    }
}

/// As kubelet lists its pods.
fn listed(pods: &[(Pod, &str)]) -> String {
    let items: Vec<_> = pods
        .iter()
        .map(|(pod, account)| {
            let metadata = pod.config().metadata.clone().unwrap();
            json!({
                "metadata": {"name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid},
                "spec": {"serviceAccountName": account, "containers": [{"name": "main", "image": "any"}]},
            })
        })
        .collect();
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}).to_string()
}

/// Only the node's own pods say which service account one has.
#[tokio::test]
async fn the_service_account_decides_where_it_is_known() {
    let authority = Authority::new("the node's");
    let pods = Arc::new(Mutex::new(String::from(
        "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[]}",
    )));
    let told = Arc::clone(&pods);
    let kubelet = Server::start(Some((&authority, "127.0.0.1")), move |_| {
        Answer::Whole(200, told.lock().unwrap().clone())
    })
    .await;
    let wiring = Gates::Both.on(Generation::V2_1).await;
    let gated = Gated::start_on(wiring, |node, _| {
        let ca = node.etc.folder.join("kubelet-ca.pem");
        std::fs::write(&ca, authority.pem()).unwrap();
        let url = kubelet.url("https", "/pods");
        let more = format!("trust_domain = \"mesh.example\"\n[kubelet]\nurl = \"{url}\"\nca = {ca:?}\n");
        configure(node, &Settings { more: &more, containerd: "" });
    })
    .await;
    let cri = &gated.node().cri;
    let (app, id) = gated.bring("shop/app", &Image::proves("app")).await;
    let rules = format!(
        "{}kubernetesServiceAccountAdmissionRules:\n  'shop:builder': {ALLOW}\n",
        requires(&[&gated.guarded.qa])
    );
    gated.obey(&policy(gated.node(), &rules)).await;

    let builder = cri.run_pod_in("shop", "builder").await.unwrap();
    let web = cri.run_pod_in("shop", "web").await.unwrap();
    let dev = cri.run_pod_in("dev", "web").await.unwrap();
    // Nobody says yet: the rules that may apply disagree. In another namespace only one may.
    let refusal = gated.run_in(&builder, "early", &id, &app.tagged()).await.unwrap_err();
    println!("{refusal}");
    says(&refusal, &["(POD_CONTEXT_UNKNOWN)"]);
    let refusal = gated.run_in(&dev, "main", &id, &app.tagged()).await.unwrap_err();
    says(&refusal, &["(NO_ATTESTATION)"]);

    *pods.lock().unwrap() = listed(&[(builder.clone(), "builder"), (web.clone(), "web")]);
    let mut tries = 0;
    loop {
        match gated.run_in(&builder, &format!("main-{tries}"), &id, &app.tagged()).await {
            Ok(_) => break,
            Err(refusal) => says(&refusal, &["(POD_CONTEXT_UNKNOWN)"]),
        }
        tries += 1;
        assert!(tries < 60, "its service account is never known");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    gated.proves("app").await;
    let refusal = gated.run_in(&web, "main", &id, &app.tagged()).await.unwrap_err();
    says(&refusal, &["(NO_ATTESTATION)"]);
    gated.proves_nothing("web").await;

    // The mesh knows the same account by its own name.
    let rules = format!(
        "{}istioServiceIdentityAdmissionRules:\n  'spiffe://mesh.example/ns/shop/sa/builder': {ALLOW}\n",
        requires(&[&gated.guarded.qa])
    );
    gated.obey(&policy(gated.node(), &rules)).await;
    gated.run_in(&builder, "meshed", &id, &app.tagged()).await.unwrap();
    gated.proves("app").await;
    let refusal = gated.run_in(&web, "meshed", &id, &app.tagged()).await.unwrap_err();
    says(&refusal, &["(NO_ATTESTATION)"]);
    gated.proves_nothing("web").await;
    drop(kubelet);
    gated.stop().await;
}
