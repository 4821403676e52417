//! `binauthctl containerd base-spec` on real containerds: what it writes changes no container, but for the hook.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::guarded::Share;
use super::rig::{Generation, Image, Node, Output, Pushed, Tool, Wiring, privileged};

const BINAUTHCTL: &str = env!("CARGO_BIN_EXE_binauthctl");

/// Stands for the hook: notes each state it is given, and lets everything through.
const HOOK: &str = "#!/bin/sh\ncat >> @NODE@/states; echo >> @NODE@/states\n";

/// What a kind node has: `ctr oci spec` without limits, with a hook of its own.
fn like_kind(generation: Generation) -> Value {
    let mut spec = generation.default_spec();
    spec["hooks"] = json!({ "createContainer": [{ "path": "@NODE@/other-hook" }] });
    spec
}

/// What an EKS node has: another limit, and fewer devices. The limit is one that this machine grants.
fn like_eks(generation: Generation) -> Value {
    let mut spec = generation.default_spec();
    spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 1111, "hard": 2222 }]);
    spec["linux"]["maskedPaths"] = json!(["/proc/acpi"]);
    spec
}

struct Specs {
    node: Node,
    hook: PathBuf,
    pushed: Pushed,
    id: String,
}

impl Specs {
    /// A node with a handler for each base spec; those to be written hold something else so far.
    async fn start(generation: Generation) -> Self {
        let written = ["hooked", "kind-hooked", "eks-hooked"];
        let mut wiring = Wiring::of(generation);
        for name in ["naive", "kind", "eks"].into_iter().chain(written) {
            wiring = wiring.with_handler(name);
        }
        let ctr = Tool::new(&generation.program("ctr")).run(&["oci", "spec"]).await.success();
        for handler in &mut wiring.handlers {
            handler.base_spec = Some(match handler.name {
                "kind" => like_kind(generation).to_string(),
                "eks" => like_eks(generation).to_string(),
                _ => ctr.clone(),
            });
        }
        let node = Node::start_with(wiring).await;
        let hook = node.home.path().join("binauthd-create-hook");
        for (path, text) in [(&hook, HOOK), (&node.home.path().join("other-hook"), "#!/bin/sh\n")] {
            let text = text.replace("@NODE@", &node.home.path().display().to_string());
            fs::write(path, text).unwrap();
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let pushed = node.registry.push("app", "1", &Image::service("app")).await;
        let id = node.cri.pull(&pushed.tagged()).await.unwrap();
        Self { node, hook, pushed, id }
    }

    async fn write(&self, handler: &str, more: &[&str]) -> Output {
        let config = self.node.etc.config();
        let (to, address) = (self.node.base_spec(handler), self.node.socket());
        let (config, to, address) =
            (config.to_str().unwrap(), to.to_str().unwrap(), address.to_str().unwrap());
        let hook = self.hook.to_str().unwrap();
        let head = ["--config", config, "containerd", "base-spec", "--to", to, "--hook", hook];
        let from = more.contains(&"--from");
        let address: &[&str] = if from { &[] } else { &["--address", address] };
        Tool::new(Path::new(BINAUTHCTL)).run(&[&head[..], address, more].concat()).await
    }

    /// What a container of the handler is made of, without what differs between any two.
    async fn config_json(&self, handler: &str, is_privileged: bool) -> Value {
        let cri = &self.node.cri;
        let pod = cri.run_pod_with("shop", "web", handler, |pod| {
            pod.metadata.as_mut().unwrap().uid = "7c2ed0b1".into();
            if is_privileged {
                privileged(pod);
            }
        });
        let pod = pod.await.unwrap();
        let mut config = pod.container("main", &self.id, &self.pushed.tagged());
        let linux = config.linux.as_mut().unwrap();
        // As a kubelet sends them.
        linux.security_context.as_mut().unwrap().masked_paths =
            vec!["/proc/kcore".into(), "/proc/keys".into()];
        linux.security_context.as_mut().unwrap().readonly_paths = vec!["/proc/sys".into()];
        linux.resources.get_or_insert_default().cpu_shares = 512;
        let container = cri.create_from(&pod, config).await.unwrap();
        cri.launch(&container).await.unwrap();
        let text = fs::read_to_string(self.node.bundle(&container.id).join("config.json")).unwrap();
        cri.remove_pod(&pod.id).await.unwrap();
        let text = text.replace(&container.id, "CONTAINER").replace(&pod.id, "POD");
        let mut config: Value = serde_json::from_str(&text).unwrap();
        for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
            if let Some(path) = namespace.get_mut("path") {
                let name = path.as_str().unwrap().rsplit('/').next().unwrap();
                *path = format!("/proc/PID/ns/{name}").into();
            }
        }
        config
    }

    /// How often the hook was called since it was last asked, with the container's state each time.
    fn calls(&self) -> usize {
        let path = self.node.home.path().join("states");
        let states = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        let states: Vec<Value> = states
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(states.iter().all(|state| state["bundle"].is_string() && state["id"].is_string()));
        states.len()
    }
}

async fn changes_nothing_but_hooks(generation: Generation) {
    let _machine = Share::some().await;
    let mut specs = Specs::start(generation).await;
    let ctr = generation.program("ctr");
    let ctr = ctr.to_str().unwrap();
    specs.write("hooked", &["--ctr", ctr]).await.success();
    for existing in ["kind", "eks"] {
        let from = specs.node.base_spec(existing);
        specs.write(&format!("{existing}-hooked"), &["--from", from.to_str().unwrap()]).await.success();
    }
    // Another containerd's `ctr` does not do.
    let other = Generation::ALL.into_iter().find(|other| *other != generation).unwrap().program("ctr");
    let refused = specs.write("refused", &["--ctr", other.to_str().unwrap()]).await;
    assert!(refused.stderr.contains("does not tell the defaults of containerd"), "{}", refused.stderr);
    assert_eq!(refused.code, Some(2));
    specs.node.restart_containerd().await;

    let pairs = [("", "hooked", false), ("", "hooked", true), ("kind", "kind-hooked", false)];
    for (without, with, is_privileged) in pairs.into_iter().chain([("eks", "eks-hooked", false)]) {
        let before = specs.config_json(without, is_privileged).await;
        assert_eq!(specs.calls(), 0, "{without}");
        let mut after = specs.config_json(with, is_privileged).await;
        // Of the pod's two containers, the pause container has no hook.
        assert_eq!(specs.calls(), 1, "{with}");
        let hooks = after["hooks"].as_object_mut().unwrap();
        let ours = hooks.remove("createRuntime").unwrap();
        assert_eq!(ours.as_array().unwrap().len(), 1, "{ours}");
        assert_eq!(ours[0]["path"], specs.hook.to_str().unwrap());
        let args = ours[0]["args"].to_string();
        assert_eq!(args.contains("--made-for"), without.is_empty(), "{args}");
        if hooks.is_empty() {
            after.as_object_mut().unwrap().remove("hooks");
        }
        assert_eq!(before, after, "`{with}` changes containers");
        let limit = &after["process"]["rlimits"];
        match with {
            "eks-hooked" => assert_eq!(limit[0]["soft"], 1111, "RLIMIT_NOFILE of the spec that was there"),
            _ => assert!(limit.is_null(), "RLIMIT_NOFILE is not containerd's own: {limit}"),
        }
    }
    let naive = specs.config_json("naive", false).await;
    assert_eq!(naive["process"]["rlimits"][0]["soft"], 1024, "RLIMIT_NOFILE of a plain `ctr oci spec`");
    specs.node.stop().await;
}

#[tokio::test]
async fn a_base_spec_changes_nothing_but_hooks_on_1_6() {
    changes_nothing_but_hooks(Generation::V1_6).await;
}

#[tokio::test]
async fn a_base_spec_changes_nothing_but_hooks_on_1_7() {
    changes_nothing_but_hooks(Generation::V1_7).await;
}

#[tokio::test]
async fn a_base_spec_changes_nothing_but_hooks_on_2_1() {
    changes_nothing_but_hooks(Generation::V2_1).await;
}
