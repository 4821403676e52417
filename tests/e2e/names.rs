//! What a name is worth at creation: a pattern allows the pod's own text, and only where containerd's record
//! of that very name leads to what would run.

use super::gated::{Gated, Gates, says};
use super::guarded::{requires, verifier};
use super::rig::{Generation, Image, Tool, bind};

/// A policy that lets `pattern` through, and otherwise asks for what nobody has here.
fn letting_through(gated: &Gated, pattern: &str) -> String {
    format!(
        "admissionWhitelistPatterns:\n- namePattern: {}\n- namePattern: {pattern}\n{}",
        gated.node().pause.pinned(),
        requires(&[&gated.guarded.qa])
    )
}

async fn names_count_by_what_they_lead_to(gates: Gates) {
    let gated = Gated::start(gates, Generation::V2_1).await;
    let (app, app_id) = gated.bring("free/app", &Image::proves("app")).await;
    let (other, other_id) = gated.bring("shop/other", &Image::proves("other")).await;
    gated.obey(&letting_through(&gated, &format!("{}/free/**", gated.node().registry.host()))).await;

    // The pod's own text, whether kubelet names the image by its id or by that text.
    gated.runs("text", &app_id, &app.tagged(), "app").await;
    gated.runs("text again", &app.tagged(), &app.tagged(), "app").await;
    let pulled = gated.node().cri.pull(&app.pinned()).await.unwrap();
    gated.runs("digest", &pulled, &app.pinned(), "app").await;

    // The text of one image, and the bytes of another.
    gated.refused("borrowed", &other_id, &app.tagged(), &[&other.digest, "(NO_ATTESTATION)"]).await;
    // A name that was never pulled, which the pattern would let through.
    let never = format!("{}/free/never:1", gated.node().registry.host());
    gated.refused("never", &other_id, &never, &[&other.digest, "(NO_ATTESTATION)"]).await;
    gated.refused("never", &app_id, &never, &[&app.digest, "(NO_ATTESTATION)"]).await;
    // An id is no name.
    for text in [app_id.as_str(), app_id.trim_start_matches("sha256:")] {
        gated.refused("id", &app_id, text, &["(NO_ATTESTATION)"]).await;
    }

    // The record of the name is moved to the other image, and the image that it named stays.
    let ctr = gated.node().ctr();
    ctr.run(&["images", "tag", "--force", &other.tagged(), &app.tagged()]).await.success();
    gated.refused("moved", &app_id, &app.tagged(), &["(NO_ATTESTATION)"]).await;
    // A name with a digest whose record leads to another one.
    ctr.run(&["images", "tag", "--force", &other.tagged(), &app.pinned()]).await.success();
    gated.refused("lying", &other_id, &app.pinned(), &["(NO_ATTESTATION)"]).await;
    gated.stop().await;
}

#[tokio::test]
async fn nri_looks_at_what_names_lead_to() {
    names_count_by_what_they_lead_to(Gates::Nri).await;
}

#[tokio::test]
async fn the_hook_looks_at_what_names_lead_to() {
    names_count_by_what_they_lead_to(Gates::Hook).await;
}

/// The hook is answered by what was read for the creation, where NRI has asked about that; NRI, which asks again at
/// the start, has all of it read anew. The hook alone has nothing but what is there when it asks.
#[tokio::test]
async fn a_name_that_moves_between_creation_and_start() {
    for gates in [Gates::Both, Gates::Nri, Gates::Hook] {
        let gated = Gated::start(gates, Generation::V2_1).await;
        let (app, app_id) = gated.bring("free/app", &Image::proves("app")).await;
        let (other, _) = gated.bring("shop/other", &Image::proves("other")).await;
        gated.obey(&letting_through(&gated, &format!("{}/free/**", gated.node().registry.host()))).await;
        let pod = gated.node().cri.run_pod("moving").await.unwrap();
        let mut config = pod.container("main", &app_id, &app.tagged());
        config.mounts.push(bind(&gated.proof, "/proof"));
        let container = gated.node().cri.create_from(&pod, config).await.unwrap();
        let ctr = gated.node().ctr();
        ctr.run(&["images", "tag", "--force", &other.tagged(), &app.tagged()]).await.success();
        let refusal = gated.node().cri.launch(&container).await.unwrap_err();
        says(&refusal, &[&app.digest, "(NO_ATTESTATION)"]);
        gated.proves_nothing("moving").await;
        gated.stop().await;
    }
}

/// containerd names an image by its id as `docker.io/library/sha256:…`, which a pattern for Docker's own images
/// must not match: not at the pull, not at creation.
#[tokio::test]
async fn an_id_is_no_image_of_docker() {
    let gated = Gated::start(Gates::Both, Generation::V2_1).await;
    let (app, id) = gated.bring("shop/app", &Image::proves("app")).await;
    gated.obey(&letting_through(&gated, "docker.io/library/**")).await;
    let hex = id.trim_start_matches("sha256:");
    let texts = [id.clone(), hex.to_owned(), format!("docker.io/library/{id}"), app.tagged()];
    for text in &texts {
        gated.refused("app", &id, text, &["(NO_ATTESTATION)"]).await;
    }
    // As containerd would ask before a pull.
    let socket = gated.node().etc.gate_socket();
    let verifier = Tool::new(&verifier()).with_env("BINAUTHD_GATE_SOCKET", socket.to_string_lossy());
    for text in &texts {
        let media_type = "application/vnd.oci.descriptor.v1+json";
        let line = ["-name", text, "-digest", &app.digest, "-stdin-media-type", media_type];
        let answer = verifier.run_with(&line, b"{}\n").await;
        assert_eq!(answer.code, Some(1), "{text}: {answer:?}");
    }
    // What really is there by such a name matches.
    let name = "docker.io/library/app:1";
    gated.node().ctr().run(&["images", "tag", &app.tagged(), name]).await.success();
    let pod = gated.node().cri.run_pod("tagged").await.unwrap();
    let mut config = pod.container("main", &id, "app:1");
    config.mounts.push(bind(&gated.proof, "/proof"));
    let container = gated.node().cri.create_from(&pod, config).await.unwrap();
    gated.node().cri.launch(&container).await.unwrap();
    gated.proves("app").await;
    gated.stop().await;
}

/// Whoever writes a pod can write labels and annotations: a name that is let through there says nothing, and
/// neither do the marks by which Binary Authorization and Kritis let a pod through unjudged.
#[tokio::test]
async fn what_a_pod_says_of_itself_counts_for_nothing() {
    let gated = Gated::start(Gates::Both, Generation::V2_1).await;
    let (app, _) = gated.bring("free/app", &Image::proves("app")).await;
    let (other, other_id) = gated.bring("shop/other", &Image::proves("other")).await;
    gated.obey(&letting_through(&gated, &format!("{}/free/**", gated.node().registry.host()))).await;
    let claim = |annotations: &mut std::collections::HashMap<String, String>| {
        for key in ["io.kubernetes.cri.image-name", "io.kubernetes.cri.image-ref"] {
            annotations.insert(key.to_owned(), app.tagged());
        }
    };
    let break_glass = |marks: &mut std::collections::HashMap<String, String>| {
        for prefix in ["image-policy.k8s.io", "alpha.image-policy.k8s.io"] {
            marks.insert(format!("{prefix}/break-glass"), "true".to_owned());
        }
        marks.insert("kritis.grafeas.io/breakglass".to_owned(), "true".to_owned());
    };
    let pod = gated.node().cri.run_pod_with("default", "claims", "", |pod| {
        claim(&mut pod.annotations);
        break_glass(&mut pod.annotations);
        break_glass(&mut pod.labels);
    });
    let pod = pod.await.unwrap();
    let mut config = pod.container("main", &other_id, &other.tagged());
    claim(&mut config.annotations);
    break_glass(&mut config.annotations);
    break_glass(&mut config.labels);
    config.mounts.push(bind(&gated.proof, "/proof"));
    let refusal = gated.node().cri.create_from(&pod, config).await.unwrap_err();
    says(&refusal, &[&other.digest, "(NO_ATTESTATION)"]);
    gated.stop().await;
}
