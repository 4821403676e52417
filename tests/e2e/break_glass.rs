//! Break-glass on a real node: an unattested image runs where and while a signed grant says so, with no network, and
//! is told of loudly.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::gated::{Gated, Gates, Settings, base_spec, configure, says};
use super::guarded::{ENFORCE, policy, requires, verifier};
use super::rig::{Generation, Image, Node, Pushed, Refusal, Wiring, bind, eventually};
use super::signer::Signer;

/// Within which a grant that was dropped must hold: a second, and a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// `[break_glass]` with the key of `glass` for grants, and `more` beside it.
pub(crate) fn table(node: &Node, more: &str) -> String {
    let key = node.home.folder("keys").join("glass.pem");
    fs::write(&key, Signer::new("glass").pem()).unwrap();
    let grants = node.etc.state_dir.join("break-glass");
    format!("[break_glass]\nkeys = ['{}']\ngrants = '{}'\n{more}\n", key.display(), grants.display())
}

fn tables(node: &Node, more: &str) {
    configure(node, &Settings { more: &table(node, more), containerd: "" });
}

/// A grant of `serial` for the image in `namespace`, signed by `signer`.
pub(crate) fn grant(
    signer: &Signer,
    serial: &str,
    image: &Pushed,
    namespace: &str,
    lasts: Duration,
) -> String {
    let time = |ahead: Duration| {
        let time = std::time::SystemTime::now() + ahead;
        humantime::format_rfc3339_seconds(time).to_string()
    };
    let payload = json!({"version": 1, "serial": serial, "issued": time(Duration::ZERO), "expires": time(lasts),
        "digests": [image.digest], "namespaces": [namespace], "reason": "the signer is down", "ticket": "INC-42"});
    signer.sealed("application/vnd.binauthd.break-glass+json", &payload)
}

pub(crate) fn drop_there(node: &Node, name: &str, text: &str) {
    let folder = node.etc.state_dir.join("break-glass");
    fs::create_dir_all(&folder).unwrap();
    let hidden = folder.join(format!(".{name}"));
    fs::write(&hidden, text).unwrap();
    fs::rename(hidden, folder.join(name)).unwrap();
}

async fn held(gated: &Gated, count: u64) {
    eventually("the grants", SOON, || async {
        (gated.guarded.status().await["breakGlass"]["active"] == count).then_some(())
    })
    .await;
}

async fn run(gated: &Gated, namespace: &str, name: &str, id: &str, text: &str) -> Result<(), Refusal> {
    let pod = gated.node().cri.run_pod_in(namespace, name).await.unwrap();
    gated.run_in(&pod, "main", id, text).await.map(drop)
}

async fn wired(gates: Gates) -> Wiring {
    let mut wiring = Wiring::of(Generation::V2_1);
    wiring.nri = gates != Gates::Hook;
    if gates != Gates::Nri {
        wiring.base_spec = Some(base_spec(Generation::V2_1, &[]).await);
    }
    wiring
}

#[tokio::test]
async fn a_grant_lets_an_image_run_where_and_while_it_says() {
    let glass = Signer::new("glass");
    let mut gated = Gated::start_on(wired(Gates::Both).await, |node, _| {
        tables(node, "");
        node.install_verifier(ENFORCE, &verifier());
    })
    .await;
    let image = gated.node().registry.push("shop/fix", "1", &Image::proves("fix")).await;
    let text = image.tagged();
    gated.guarded.refused(&text, &["(NO_ATTESTATION)"]).await;
    // By anybody but a break-glass key it changes nothing.
    let forged = grant(&Signer::new("qa"), "forged", &image, "shop", Duration::from_secs(600));
    drop_there(gated.node(), "forged.json", &forged);
    gated.guarded.alarm(&["forged.json", "it is not signed by a break-glass key of this node"]).await;
    gated.guarded.refused(&text, &["(NO_ATTESTATION)"]).await;

    let granted = grant(&glass, "one", &image, "shop", Duration::from_secs(600));
    drop_there(gated.node(), "one.json", &granted);
    held(&gated, 1).await;
    // Which pod it is for is not known at the pull: creation decides.
    let id = gated.node().cri.pull(&text).await.unwrap();
    let pulled = gated.audited(&[("/gate", "pull"), ("/reason", "BREAK_GLASS")]).await;
    assert_eq!(
        (&pulled["deferred"], &pulled["breakGlass"]["serial"]),
        (&true.into(), &"one".into()),
        "{pulled}"
    );
    let refusal = run(&gated, "default", "elsewhere", &id, &text).await.unwrap_err();
    says(&refusal, &["(NO_ATTESTATION)"]);
    gated.proves_nothing("elsewhere").await;
    run(&gated, "shop", "fix", &id, &text).await.unwrap();
    gated.proves("fix").await;
    let record = gated.audited(&[("/container/pod", "fix"), ("/gate", "create")]).await;
    let told = ["reason", "verdict", "would"].map(|member| record[member].clone());
    assert_eq!(told, ["BREAK_GLASS", "ALLOW", "DENY"].map(Value::from), "{record}");
    assert_eq!(record["breakGlass"]["overrides"], "NO_ATTESTATION", "{record}");
    let alarm = gated.guarded.alarm(&["break-glass: grant one lets", &image.digest, "run in shop"]).await;
    println!("{alarm}");
    let uses = gated.guarded.status().await["breakGlass"]["grants"][1]["uses"].as_u64().unwrap();
    assert!(uses >= 3, "the pull, the creation and the start: {uses}");

    // Over a restart of the daemon.
    gated.guarded.daemon.kill();
    gated.guarded.daemon.restart().await;
    gated.asked_by_nri().await;
    run(&gated, "shop", "again", &id, &text).await.unwrap();
    gated.proves("fix").await;
    // A grant opens no other door: the node's own guard stands.
    let pod = gated.node().cri.run_pod_in("shop", "reaches").await.unwrap();
    let mut config = pod.container("main", &id, &text);
    config.mounts.push(bind(&gated.node().etc.folder, "/host"));
    let reaches = match gated.node().cri.create_from(&pod, config).await {
        Ok(container) => gated.node().cri.launch(&container).await.unwrap_err(),
        Err(refusal) => refusal,
    };
    says(&reaches, &["(HOST_ACCESS)"]);
    // The deny list comes first.
    let denied = format!("digests: [{{digest: '{}', reason: miner}}]", image.digest);
    gated.node().etc.write_beside("deny.yaml", &denied);
    eventually("the deny list", SOON, || async {
        (gated.guarded.evaluate(&image.pinned()).await["reason"] == "DENY_LISTED").then_some(())
    })
    .await;
    says(&run(&gated, "shop", "denied", &id, &text).await.unwrap_err(), &["(DENY_LISTED)"]);
    gated.node().etc.remove_beside("deny.yaml");

    // What runs by it is told of; revoked, it is a violation, and nothing more starts.
    gated.audited(&[("/gate", "running"), ("/container/pod", "fix"), ("/reason", "BREAK_GLASS")]).await;
    gated.guarded.binauthctl("break-glass revoke one").await.success();
    for (pointer, text) in [
        ("/after/reason", "the signer is down"),
        ("/before/reason", "the signer is down"),
        ("/name", "revoke: one"),
    ] {
        eventually(&format!("a change with {pointer}"), SOON, || async {
            let told = |one: &Value| {
                one["kind"] == "change"
                    && one["what"] == "break_glass"
                    && one.pointer(pointer).is_some_and(|found| found == text)
            };
            gated.node().etc.trail().iter().any(told).then_some(())
        })
        .await;
    }
    held(&gated, 0).await;
    let about = [("/gate", "running"), ("/container/pod", "fix"), ("/reason", "NO_ATTESTATION")];
    assert_eq!(gated.audited(&about).await["verdict"], "DENY");
    says(&run(&gated, "shop", "late", &id, &text).await.unwrap_err(), &["(NO_ATTESTATION)"]);
    gated.guarded.daemon.kill();
    gated.guarded.daemon.restart().await;
    drop_there(gated.node(), "once-more.json", &granted);
    gated.asked_by_nri().await;
    says(&run(&gated, "shop", "later", &id, &text).await.unwrap_err(), &["(NO_ATTESTATION)"]);
    gated.guarded.refused(&text, &["(NO_ATTESTATION)"]).await;
    gated.stop().await;
}

/// Where nobody asks about creations, only a grant for every namespace lets an image be fetched.
#[tokio::test]
async fn without_a_create_gate_a_pull_needs_a_grant_for_any_namespace() {
    let glass = Signer::new("glass");
    let gated = Gated::start_on(Wiring::default(), |node, _| {
        tables(node, "pod_label = true");
        node.install_verifier(ENFORCE, &verifier());
    })
    .await;
    let image = gated.node().registry.push("shop/fix", "1", &Image::proves("fix")).await;
    drop_there(gated.node(), "one.json", &grant(&glass, "one", &image, "shop", Duration::from_secs(600)));
    held(&gated, 1).await;
    gated.guarded.refused(&image.tagged(), &["(NO_ATTESTATION)"]).await;
    let mut any: Value = json!({"version": 1, "serial": "any", "anyNamespace": true, "digests": [image.digest], "reason": "x"});
    any["issued"] = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string().into();
    let end = std::time::SystemTime::now() + Duration::from_secs(5);
    any["expires"] = humantime::format_rfc3339_seconds(end).to_string().into();
    drop_there(gated.node(), "any.json", &glass.sealed("application/vnd.binauthd.break-glass+json", &any));
    held(&gated, 2).await;
    gated.node().cri.pull(&image.tagged()).await.unwrap();
    // It ends by itself.
    eventually("the end of the grant", Duration::from_secs(10), || async {
        gated.node().cri.pull(&image.tagged()).await.err()
    })
    .await;
    gated.stop().await;
}

/// The label of a pod counts at each gate of creation, where the node says so.
#[tokio::test]
async fn the_label_of_a_pod_counts_where_the_node_says_so() {
    const LABEL: &str = "image-policy.k8s.io/break-glass";
    for gates in [Gates::Nri, Gates::Hook] {
        let mut gated = Gated::start_on(wired(gates).await, |node, _| tables(node, "")).await;
        let (bad, id) = gated.bring("shop/bad", &Image::proves("bad")).await;
        let run = async |gated: &Gated, name: &str, key: &str, value: &str| {
            let labelled = |config: &mut k8s_cri::v1::PodSandboxConfig| {
                config.labels.insert(key.to_owned(), value.to_owned());
            };
            let pod = gated.node().cri.run_pod_with("default", name, "", labelled).await.unwrap();
            gated.run_in(&pod, "main", &id, &bad.tagged()).await
        };
        says(&run(&gated, "off", LABEL, "true").await.unwrap_err(), &["(NO_ATTESTATION)"]);
        gated.guarded.daemon.kill();
        tables(gated.node(), "pod_label = true");
        gated.guarded.daemon.restart().await;
        if gates == Gates::Nri {
            gated.asked_by_nri().await;
        }
        for (name, key, value) in
            [("other", LABEL, "yes"), ("alpha", "alpha.image-policy.k8s.io/break-glass", "true")]
        {
            says(&run(&gated, name, key, value).await.unwrap_err(), &["(NO_ATTESTATION)"]);
        }
        run(&gated, "on", LABEL, "true").await.unwrap();
        gated.proves("bad").await;
        let record = gated.audited(&[("/container/pod", "on"), ("/reason", "BREAK_GLASS")]).await;
        assert_eq!(record["breakGlass"]["podLabel"], true, "{record}");
        assert!(gated.guarded.status().await["breakGlass"]["labelUses"].as_u64().unwrap() >= 1);
        gated.stop().await;
    }
}

/// An exception that ends is one no more, for what is created and for what runs.
#[tokio::test]
async fn what_runs_by_an_exception_is_a_violation_once_it_ends() {
    let gated = Gated::start(Gates::Nri, Generation::V2_1).await;
    let (bad, id) = gated.bring("shop/bad", &Image::proves("bad")).await;
    let end = std::time::SystemTime::now() + Duration::from_secs(6);
    let end = humantime::format_rfc3339_seconds(end);
    let name = bad.tagged();
    let exempt = policy(gated.node(), &requires(&[&gated.guarded.qa])).replacen(
        "admissionWhitelistPatterns:\n",
        &format!(
            "admissionWhitelistPatterns:\n- {{namePattern: '{name}', binauthdExpires: '{end}', binauthdOwner: web}}\n"
        ),
        1,
    );
    gated.obey(&exempt).await;
    gated.runs("exempt", &id, &bad.tagged(), "bad").await;
    let record = gated.audited(&[("/container/name", "main"), ("/reason", "ALLOWLISTED")]).await;
    assert!(record["message"].as_str().unwrap().contains("(owner web, until "), "{record}");
    let about = [("/gate", "running"), ("/container/pod", "exempt"), ("/reason", "NO_ATTESTATION")];
    let start = std::time::Instant::now();
    while !gated
        .node()
        .etc
        .audit()
        .iter()
        .any(|one| about.iter().all(|(at, text)| one.pointer(at) == Some(&(*text).into())))
    {
        assert!(start.elapsed() < Duration::from_secs(15), "no violation is told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    gated.refused("late", &id, &bad.tagged(), &["(NO_ATTESTATION)"]).await;
    gated.stop().await;
}
