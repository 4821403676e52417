//! One Kubernetes node below the kubelet: a private containerd, its registry and its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::containerd::{configure, nri_socket, socket};
use super::home::write;
use super::{Cri, Etc, Home, Image, PATIENCE, Process, Pushed, Registry, Tool, Wiring, eventually};

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
        configure(&home, &pause, &wiring);
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
        Tool::new(&self.wiring.generation.program("ctr"))
            .with_arg("--address")
            .with_arg(self.socket().to_string_lossy())
            .with_arg("--namespace")
            .with_arg("k8s.io")
    }

    /// The base runtime spec of a handler, where it has one. containerd reads it when it starts.
    pub(crate) fn base_spec(&self, handler: &str) -> PathBuf {
        self.home.path().join(format!("base-specs/{handler}.json"))
    }

    /// A container's bundle: `config.json` in it is what the runtime was told.
    pub(crate) fn bundle(&self, container: &str) -> PathBuf {
        self.home.path().join("state/io.containerd.runtime.v2.task/k8s.io").join(container)
    }

    /// containerd's log.
    pub(crate) fn log(&self) -> String {
        self.containerd.log()
    }
}

/// Without this, containerd tries TLS on a loopback registry first, at every pull.
pub(super) fn trust_plain_http(home: &Home, registry: &Registry) {
    let host = registry.host();
    let folder = home.folder(&format!("certs.d/{host}"));
    write(&folder.join("hosts.toml"), 0o644, format!("server = \"http://{host}\"\n").as_bytes());
}

fn launch(home: &Home, etc: &Etc, wiring: &Wiring) -> Process {
    let containerd = wiring.generation.program("containerd");
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
