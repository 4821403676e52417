//! One Kubernetes node below the kubelet: a private containerd, its registry and its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::home::write;
use super::image::architecture;
use super::{Cri, Etc, Home, Image, PATIENCE, Process, Pushed, Registry, Tool, eventually, program};

/// What makes containerd ask.
const DROP_IN: &str = include_str!("../../packaging/containerd/50-binauthd.toml");

/// What a test may want different about a node.
#[derive(Clone)]
pub(crate) struct Wiring {
    /// Whether containerd serves NRI, on [`Node::nri_socket`].
    pub(crate) nri: bool,
    /// containerd's own limit for one verifier, in its notation.
    pub(crate) per_verifier_timeout: &'static str,
    /// containerd's environment is the verifiers' environment.
    pub(crate) env: Vec<(String, String)>,
    /// TOML put after the rest of containerd's configuration.
    pub(crate) more: String,
}

impl Default for Wiring {
    fn default() -> Self {
        Self { nri: false, per_verifier_timeout: "10s", env: Vec::new(), more: String::new() }
    }
}

/// A running node. Dropping it ends and removes everything.
pub(crate) struct Node {
    /// The calls a kubelet makes.
    pub(crate) cri: Cri,
    pub(crate) registry: Registry,
    /// binauthd's files on this node.
    pub(crate) etc: Etc,
    /// The pause image: pushed, pinned by digest in containerd's configuration, not pulled yet.
    pub(crate) pause: Pushed,
    wiring: Wiring,
    containerd: Process,
    /// Last, so that it goes last.
    pub(crate) home: Home,
}

impl Node {
    /// Starts a node with no verifier installed, and waits until its CRI answers.
    pub(crate) async fn start() -> Self {
        Self::start_with(Wiring::default()).await
    }

    pub(crate) async fn start_with(wiring: Wiring) -> Self {
        let home = Home::new();
        let registry = Registry::start(&home).await;
        let pause = registry.push("pause", "1", &Image::new("pause", &["sleep", "2147483647"])).await;
        trust_plain_http(&home, &registry);
        let etc = Etc::new(&home, &socket(&home), &nri_socket(&home));
        home.folder("bin");
        write(&home.path().join("containerd.toml"), 0o644, config(&home, &pause, &wiring).as_bytes());
        let drop_in = home.folder("conf.d").join("50-binauthd.toml");
        write(&drop_in, 0o644, drop_in_for(&home, &wiring).as_bytes());
        let mut containerd = launch(&home, &etc, &wiring);
        let cri = ready(&home, &mut containerd).await;
        Self { cri, registry, etc, pause, wiring, containerd, home }
    }

    /// Removes all pods, ends containerd with SIGTERM as a service manager would, and asserts that
    /// nothing is left.
    pub(crate) async fn stop(mut self) {
        self.cri.remove_all_pods().await;
        let ended = self.containerd.terminate(Duration::from_secs(10)).await;
        assert!(ended.is_some(), "containerd does not end:\n{}", self.containerd.log());
        let path = self.home.path().to_owned();
        drop(self);
        assert!(!path.exists(), "`{}` is left", path.display());
    }

    /// Ends containerd with `kill -9` and starts it again. Containers go on running meanwhile.
    pub(crate) async fn restart_containerd(&mut self) {
        self.containerd.kill();
        self.containerd = launch(&self.home, &self.etc, &self.wiring);
        self.cri = ready(&self.home, &mut self.containerd).await;
    }

    /// The folder whose programs containerd asks before a pull (`bin_dir`).
    pub(crate) fn bin_dir(&self) -> PathBuf {
        self.home.path().join("bin")
    }

    /// Installs a verifier as an administrator must: a copy under another name, outside of the
    /// folder, then a rename.
    pub(crate) fn install_verifier(&self, name: &str, program: &Path) {
        self.install_verifier_text(name, &fs::read(program).unwrap());
    }

    /// The same with a program given by its bytes, such as a script.
    pub(crate) fn install_verifier_text(&self, name: &str, bytes: &[u8]) {
        let place = self.home.path().join(format!("{name}.new"));
        write(&place, 0o755, bytes);
        fs::rename(place, self.bin_dir().join(name)).unwrap();
    }

    pub(crate) fn remove_verifier(&self, name: &str) {
        fs::remove_file(self.bin_dir().join(name)).unwrap();
    }

    /// containerd's gRPC socket.
    pub(crate) fn socket(&self) -> PathBuf {
        socket(&self.home)
    }

    pub(crate) fn nri_socket(&self) -> PathBuf {
        nri_socket(&self.home)
    }

    /// `ctr` on this node, in the namespace that CRI uses. `ctr images pull --local` goes around the
    /// verifier.
    pub(crate) fn ctr(&self) -> Tool {
        Tool::new(&program("ctr"))
            .with_arg("--address")
            .with_arg(self.socket().to_string_lossy())
            .with_arg("--namespace")
            .with_arg("k8s.io")
    }

    /// containerd's log.
    pub(crate) fn log(&self) -> String {
        self.containerd.log()
    }
}

/// Without this, containerd tries TLS on a loopback registry first, at every pull.
fn trust_plain_http(home: &Home, registry: &Registry) {
    let host = registry.host();
    let folder = home.folder(&format!("certs.d/{host}"));
    write(&folder.join("hosts.toml"), 0o644, format!("server = \"http://{host}\"\n").as_bytes());
}

fn socket(home: &Home) -> PathBuf {
    home.path().join("c.sock")
}

fn nri_socket(home: &Home) -> PathBuf {
    home.path().join("nri.sock")
}

fn launch(home: &Home, etc: &Etc, wiring: &Wiring) -> Process {
    let containerd = program("containerd");
    let mut command = home.command(&containerd);
    command.arg("--config").arg(home.path().join("containerd.toml"));
    // containerd finds its shim beside itself or on PATH.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", containerd.parent().unwrap().display()));
    command.env("BINAUTHD_GATE_SOCKET", etc.gate_socket()).env_remove("NOTIFY_SOCKET");
    for (key, value) in &wiring.env {
        command.env(key, value);
    }
    Process::start("containerd", command, &home.path().join("log/containerd"))
}

async fn ready(home: &Home, containerd: &mut Process) -> Cri {
    let socket = socket(home);
    eventually("containerd's CRI to answer", PATIENCE, || {
        containerd.must_live();
        let connect = Cri::connect(&socket, home);
        async move { connect.await.ok() }
    })
    .await
}

/// The drop-in that is shipped, with the node's own folder in it.
fn drop_in_for(home: &Home, wiring: &Wiring) -> String {
    let ours = format!("{}/bin", home.path().display());
    [
        ("/opt/containerd/image-verifier/bin", ours.as_str()),
        ("\"10s\"", &format!("{:?}", wiring.per_verifier_timeout)),
    ]
    .iter()
    .fold(DROP_IN.to_owned(), |text, (shipped, ours)| {
        assert_eq!(text.matches(shipped).count(), 1, "`{shipped}` in the shipped drop-in");
        text.replace(shipped, ours)
    })
}

/// Version 3 of containerd's configuration. Every path is the node's: containerd's defaults lie in
/// `/opt`, `/run` and `/etc`.
fn config(home: &Home, pause: &Pushed, wiring: &Wiring) -> String {
    let at = home.path().display();
    format!(
        r#"version = 3
imports = ["{at}/conf.d/*.toml"]
root = "{at}/root"
state = "{at}/state"
# Nothing here uses them, and some probe the machine at start.
disabled_plugins = [
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.differ.v1.erofs",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]

[grpc]
  address = "{socket}"
[ttrpc]
  address = "{socket}.ttrpc"
[debug]
  level = "info"

[plugins."io.containerd.internal.v1.opt"]
  path = "{at}/opt"

[plugins."io.containerd.nri.v1.nri"]
  disable = {no_nri}
  socket_path = "{nri}"
  plugin_path = "{at}/nri/plugins"
  plugin_config_path = "{at}/nri/conf.d"

# What CRI pulls with: it knows no snapshotter but overlayfs unless told.
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux/{architecture}"
  snapshotter = "{snapshotter}"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{snapshotter}"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{at}/certs.d"

[plugins."io.containerd.cri.v1.runtime"]
  # Without CAP_SYS_RESOURCE no sandbox may have the score a kubelet asks for.
  restrict_oom_score_adj = {restrict}
  cdi_spec_dirs = ["{at}/cdi"]
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{at}/cni/bin"]
    conf_dir = "{at}/cni/net.d"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "{runc}"
        Root = "{at}/runc"
        SystemdCgroup = false
{more}
"#,
        socket = socket(home).display(),
        nri = nri_socket(home).display(),
        no_nri = !wiring.nri,
        snapshotter = if home.takes_overlay() { "overlayfs" } else { "native" },
        architecture = architecture(),
        pause = pause.pinned(),
        restrict = !may_lower_oom_score(),
        runc = program("runc").display(),
        more = wiring.more,
    )
}

/// CAP_SYS_RESOURCE is bit 24 of the capabilities.
fn may_lower_oom_score() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(|caps| caps & (1 << 24) != 0)
}
