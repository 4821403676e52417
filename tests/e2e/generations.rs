//! Every generation of containerd comes up in the rig and does what a kubelet asks.

use std::fs;
use std::path::Path;

use binauthd::containerd::{Handlers, Hooked};

use super::create::attested_starts_and_unattested_is_refused;
use super::gated::Gates;
use super::guarded::{SOON, Share};
use super::rig::{
    Container, Generation, Image, Node, Pod, Wiring, bind, env, eventually, host_pid, own_users, privileged,
};

/// What a container wrote into the folder mounted at `/proof`, which then forgets it.
async fn proven(proof: &Path) -> String {
    let ran = proof.join("ran");
    let text = eventually("a container to prove that it ran", SOON, || async {
        fs::read_to_string(&ran).ok().filter(|text| !text.is_empty())
    })
    .await;
    fs::remove_file(ran).unwrap();
    text
}

async fn launch(node: &Node, pod: &Pod, id: &str, text: &str, proof: &Path) -> Container {
    let mut config = pod.container("main", id, text);
    config.mounts.push(bind(proof, "/proof"));
    config.mounts.push(bind(&Image::tools(), "/busybox"));
    config.envs.push(env("WHO", "me"));
    let container = node.cri.create_from(pod, config).await.unwrap();
    node.cri.launch(&container).await.unwrap();
    container
}

async fn brings_up_pods(generation: Generation) {
    let _machine = Share::some().await;
    let mut node = Node::start_with(Wiring::of(generation).with_handler("other")).await;
    let proof = node.home.folder("proof");
    let pushed = node.registry.push("app", "1", &Image::proves("it ran")).await;
    let id = node.cri.pull(&pushed.tagged()).await.unwrap();
    for handler in ["", "other"] {
        let pod = node.cri.run_pod_with("shop", &format!("web{handler}"), handler, |_| ()).await.unwrap();
        let container = launch(&node, &pod, &id, &pushed.tagged(), &proof).await;
        assert_eq!(proven(&proof).await, "it ran", "{handler}");
        node.cri.remove(&container).await.unwrap();
    }
    node.restart_containerd().await;
    node.cri.run("after", &pushed.tagged()).await.unwrap();
    node.stop().await;
}

#[tokio::test]
async fn containerd_1_6_brings_up_pods() {
    brings_up_pods(Generation::V1_6).await;
}

#[tokio::test]
async fn containerd_1_7_brings_up_pods() {
    brings_up_pods(Generation::V1_7).await;
}

#[tokio::test]
async fn containerd_2_1_brings_up_pods() {
    brings_up_pods(Generation::V2_1).await;
}

/// What `containerd` tells of its handlers is what it was told.
#[tokio::test]
async fn every_generation_tells_which_handlers_carry_the_hook() {
    let _machine = Share::some().await;
    for generation in Generation::ALL {
        let hook = Path::new("@NODE@/binauthd-create-hook");
        let wiring = Wiring::of(generation).with_handler("other").hooked(hook, &["--observe"]);
        let node = Node::start_with(wiring.with_handler("bare")).await;
        let hook = node.home.path().join("binauthd-create-hook");
        fs::write(&hook, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let handlers = Handlers::ask(&node.socket()).await.unwrap();
        let found: Vec<_> =
            handlers.all.iter().map(|handler| (handler.name.as_str(), handler.hooked())).collect();
        let [("bare", Hooked::NoSpec), ("other", Hooked::Yes(_)), ("runc", Hooked::Yes(told))] = &found[..]
        else {
            panic!("{generation:?}: {found:?}");
        };
        assert!(told.observe && told.path == hook.to_str().unwrap(), "{told:?}");
        assert_eq!(told.socket.as_deref(), node.etc.gate_socket().to_str());
        assert_eq!(handlers.default, "runc");
        let pause = (generation != Generation::V2_1).then(|| node.pause.pinned());
        assert_eq!(handlers.sandbox_image, pause, "{generation:?}");
        node.stop().await;
    }
}

/// The images and pods that the tests of the create gate are made of.
#[tokio::test]
async fn unusual_images_and_pods_come_up() {
    let _machine = Share::some().await;
    // runc is too old for the mounts that containerd 2 asks for where users are a pod's own.
    let node = Node::start_with(Wiring::of(Generation::V1_7)).await;
    let proof = node.home.folder("proof");
    fs::set_permissions(&proof, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let plain = Image::service("plain");
    let says = |what: &str| format!("echo {what} > /proof/ran; exec sleep 1000000");

    let other = plain.reconfigured(&["sh", "-c", &says("$WHO $MORE")], &["MORE=too"]);
    let pushed = node.registry.push_index("other", "1", &[&other, &plain]).await;
    let id = node.cri.pull(&pushed.pinned()).await.unwrap();
    assert_eq!(id, other.id());
    let pod = node.cri.run_pod("other").await.unwrap();
    launch(&node, &pod, &id, &pushed.tagged(), &proof).await;
    assert_eq!(proven(&proof).await, "me too\n");

    let scratch = Image::scratch(&["/busybox", "sh", "-c", &says("nothing")]);
    let pushed = node.registry.push("scratch", "1", &scratch).await;
    let id = node.cri.pull(&pushed.tagged()).await.unwrap();
    launch(&node, &node.cri.run_pod("scratch").await.unwrap(), &id, &pushed.tagged(), &proof).await;
    assert_eq!(proven(&proof).await, "nothing\n");

    let looks = plain
        .reconfigured(&["sh", "-c", &says("$(readlink /proc/self/ns/pid) $(cat /proc/self/uid_map)")], &[]);
    let pushed = node.registry.push("looks", "1", &looks).await;
    let id = node.cri.pull(&pushed.tagged()).await.unwrap();
    let pod = node.cri.run_pod_with("default", "root", "", |pod| {
        host_pid(pod);
        privileged(pod);
    });
    launch(&node, &pod.await.unwrap(), &id, &pushed.tagged(), &proof).await;
    let ours = fs::read_link("/proc/self/ns/pid").unwrap();
    let seen = proven(&proof).await;
    assert!(seen.starts_with(ours.to_str().unwrap()), "{seen}");

    let pod = node.cri.run_pod_with("default", "users", "", own_users).await.unwrap();
    launch(&node, &pod, &id, &pushed.tagged(), &proof).await;
    let seen = proven(&proof).await;
    assert!(seen.contains("1000000") && !seen.starts_with(ours.to_str().unwrap()), "{seen}");
    node.stop().await;
}

/// What each generation can ask, and by that alone the unattested is refused.
#[tokio::test]
async fn the_hook_alone_on_1_6() {
    attested_starts_and_unattested_is_refused(Gates::Hook, Generation::V1_6).await;
}

#[tokio::test]
async fn the_hook_alone_on_1_7() {
    attested_starts_and_unattested_is_refused(Gates::Hook, Generation::V1_7).await;
}

#[tokio::test]
async fn nri_alone_on_1_7() {
    attested_starts_and_unattested_is_refused(Gates::Nri, Generation::V1_7).await;
}

#[tokio::test]
async fn both_on_1_7() {
    attested_starts_and_unattested_is_refused(Gates::Both, Generation::V1_7).await;
}
