//! Host access: containers of attested images whose mounts or rights reach what guards the node.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::gated::{Gated, Gates, Settings, configure, says};
use super::rig::{Container, Generation, Image, Pod, Pushed, Refusal, bind, host_pid, privileged};

/// CreateContainer and StartContainer with `host` mounted.
async fn with_mount(
    gated: &Gated,
    pod: &Pod,
    (pushed, id): &(Pushed, String),
    name: &str,
    host: &Path,
    readonly: bool,
) -> Result<Container, Refusal> {
    let mut config = pod.container(name, id, &pushed.tagged());
    config.mounts.push(bind(&gated.proof, "/proof"));
    let mut mount = bind(host, "/host");
    mount.readonly = readonly;
    config.mounts.push(mount);
    let container = gated.node().cri.create_from(pod, config).await?;
    gated.node().cri.launch(&container).await?;
    Ok(container)
}

async fn mounts_that_reach_the_guard_are_refused(gates: Gates, generation: Generation) {
    let listed = Image::proves("listed");
    let wiring = gates.on(generation).await;
    let gated = Gated::start_on(wiring, |node, _| {
        let more = format!("[host_access]\nallow_digests = [\"{}\"]\n", listed.digest());
        configure(node, &Settings { more: &more, containerd: "" });
    })
    .await;
    let node = gated.node();
    let app = gated.bring_attested("shop/app", &Image::proves("app")).await;
    let listed = gated.bring_attested("shop/listed", &listed).await;
    let pod = node.cri.run_pod("reaches").await.unwrap();

    let home = node.home.path();
    let harmless = node.home.folder("harmless");
    let link = harmless.join("link");
    symlink(&node.etc.folder, &link).unwrap();
    let etc = &node.etc.folder;
    let mut guarded: Vec<(&str, PathBuf)> = vec![
        ("config", etc.clone()),
        ("below", etc.join("policy.yaml")),
        ("above", home.to_owned()),
        ("dots", harmless.join("../etc")),
        ("state", node.etc.state_dir.clone()),
        ("runtime", node.etc.runtime_dir.clone()),
        ("socket", node.socket()),
        ("root", home.join("root")),
        ("containerd-state", home.join("state")),
        ("everything", "/".into()),
        ("link", link),
        ("audit", node.etc.audit_file.clone()),
        // Above what is guarded on every node: configuration, programs, state, sockets, logs.
        ("above-usual", "/etc".into()),
        ("above-opt", "/opt".into()),
        ("above-run", "/run".into()),
        ("above-state", "/var/lib".into()),
        ("above-logs", "/var/log".into()),
        ("above-programs", "/usr".into()),
        ("other-spelling", "/var/run/containerd".into()),
        ("process", format!("/proc/{}/root", gated.guarded.daemon.pid()).into()),
    ];
    if gates != Gates::Hook {
        guarded.push(("nri", node.nri_socket()));
    }
    for (name, path) in &guarded {
        for readonly in [false, true] {
            // What is not there, CRI would make.
            assert!(path.exists(), "{}", path.display());
            let name = format!("{name}-{readonly}");
            let refusal = with_mount(&gated, &pod, &app, &name, path, readonly).await;
            let refusal = refusal.expect_err(&format!("`{name}` must be refused"));
            says(&refusal, &["the container mounts", "(HOST_ACCESS)"]);
        }
    }
    gated.proves_nothing("reaches").await;
    let record = gated.audited(&[("/reason", "HOST_ACCESS"), ("/verdict", "DENY")]).await;
    assert!(record["hostAccess"][0].as_str().unwrap().contains("mounts"), "{record}");

    with_mount(&gated, &pod, &app, "harmless", &harmless, false).await.unwrap();
    gated.proves("app").await;
    with_mount(&gated, &pod, &listed, "listed", etc, false).await.unwrap();
    gated.proves("listed").await;
    // Listed is no attestation.
    let other = gated.bring("shop/other", &Image::proves("other")).await;
    let refusal = with_mount(&gated, &pod, &other, "other", etc, false).await.unwrap_err();
    says(&refusal, &["(NO_ATTESTATION)"]);

    // Rights are reported by default.
    let reported = node.cri.run_pod_with("default", "rights", "", |pod| {
        privileged(pod);
        host_pid(pod);
    });
    let reported = reported.await.unwrap();
    with_mount(&gated, &reported, &app, "rights", &harmless, false).await.unwrap();
    gated.proves("app").await;
    let record = gated
        .audited(&[("/container/pod", "rights"), ("/container/name", "rights"), ("/verdict", "ALLOW")])
        .await;
    let records: Vec<_> = node.etc.audit();
    let told: Vec<String> = records
        .iter()
        .filter(|record| record["container"]["pod"] == "rights")
        .map(|record| record["hostAccess"].to_string())
        .collect();
    for what in ["is privileged", "process ids"] {
        assert!(told.iter().any(|told| told.contains(what)), "`{what}` in {told:?}; {record}");
    }
    assert!(!home.join("etc/host").exists() && fs::read_dir(etc).unwrap().count() > 0);
    gated.stop().await;
}

#[tokio::test]
async fn nri_guards_the_node() {
    mounts_that_reach_the_guard_are_refused(Gates::Nri, Generation::V2_1).await;
}

#[tokio::test]
async fn the_hook_guards_the_node() {
    mounts_that_reach_the_guard_are_refused(Gates::Hook, Generation::V2_1).await;
}

#[tokio::test]
async fn the_hook_guards_the_node_on_1_6() {
    mounts_that_reach_the_guard_are_refused(Gates::Hook, Generation::V1_6).await;
}

#[tokio::test]
async fn rights_are_refused_where_the_configuration_says_so() {
    let wiring = Gates::Both.on(Generation::V2_1).await;
    let gated = Gated::start_on(wiring, |node, _| {
        let more = "[host_access]\nprivileged = \"refuse\"\nhost_pid = \"refuse\"\n";
        configure(node, &Settings { more, containerd: "" });
    })
    .await;
    let cri = &gated.node().cri;
    let (app, id) = gated.bring_attested("shop/app", &Image::proves("app")).await;
    let root = cri.run_pod_with("default", "root", "", privileged).await.unwrap();
    let refusal = gated.run_in(&root, "main", &id, &app.tagged()).await.unwrap_err();
    says(&refusal, &["is privileged", "(HOST_ACCESS)"]);
    let all = cri.run_pod_with("default", "all", "", host_pid).await.unwrap();
    // NRI tells of it at CREATE already, which a kubelet tries again.
    let refusal = gated.create_in(&all, "main", &id, &app.tagged()).await.unwrap_err();
    says(&refusal, &["process ids", "(HOST_ACCESS)"]);
    gated.proves_nothing("app").await;
    gated.runs("app", &id, &app.tagged(), "app").await;
    gated.stop().await;
}

async fn what_the_node_runs_is_reported_where_it_can_be_written(gates: Gates) {
    let programs = Path::new("/usr/local/bin");
    let wiring = gates.on(Generation::V2_1).await;
    let mut gated = Gated::start_on(wiring, |node, _| {
        configure(node, &Settings { more: "", containerd: "" });
    })
    .await;
    let app = gated.bring_attested("shop/app", &Image::proves("app")).await;
    let pod = gated.node().cri.run_pod("agent").await.unwrap();
    for (name, readonly) in [("writes", false), ("reads", true)] {
        with_mount(&gated, &pod, &app, name, programs, readonly).await.unwrap();
        gated.proves("app").await;
        // The hook is asked, and tells more than the rest.
        gated.audited(&[("/container/name", name), ("/verdict", "ALLOW")]).await;
        let records = gated.node().etc.audit();
        let of_it = records.iter().filter(|record| record["container"]["name"] == name);
        let told: Vec<String> = of_it.map(|record| record["hostAccess"].to_string()).collect();
        let is_told = told.iter().any(|told| told.contains("where it can change `/usr/local`"));
        assert_eq!(is_told, !readonly, "{name}: {told:?}");
        assert!(is_told || told.iter().all(|told| told == "[]" || told == "null"), "{name}: {told:?}");
    }

    let more = "[host_access]\nprograms = \"refuse\"\n";
    configure(gated.node(), &Settings { more, containerd: "" });
    gated.guarded.daemon.restart().await;
    if gates != Gates::Hook {
        gated.asked_by_nri().await;
    }
    let refusal = with_mount(&gated, &pod, &app, "writes-again", programs, false).await.unwrap_err();
    says(&refusal, &["`/usr/local/bin`", "by which the node runs programs as root", "(HOST_ACCESS)"]);
    gated.proves_nothing("writes-again").await;
    with_mount(&gated, &pod, &app, "reads-again", programs, true).await.unwrap();
    gated.proves("app").await;
    gated.stop().await;
}

#[tokio::test]
async fn nri_tells_who_can_change_programs() {
    what_the_node_runs_is_reported_where_it_can_be_written(Gates::Nri).await;
}

#[tokio::test]
async fn the_hook_tells_who_can_change_programs() {
    what_the_node_runs_is_reported_where_it_can_be_written(Gates::Hook).await;
}
