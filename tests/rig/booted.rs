//! A booted node: a Debian root under a real systemd (systemd-nspawn), with containerd as a service, a stand-in for
//! kubelet's unit, and binauthd installed as its package lays it out.
//!
//! Shares the machine's network: the registry is on loopback. The node's folder is at the same path inside and outside,
//! so that pods' logs and CNI files are found by both.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::home::write;
use super::image::architecture;
use super::node::trust_plain_http;
use super::{Cri, Home, Image, PATIENCE, Process, Pushed, Registry, eventually, fetched, program};

const CONTAINERD_UNIT: &str = "[Unit]\nDescription=containerd\nAfter=network.target local-fs.target\n\
    [Service]\nType=notify\nExecStart=/usr/local/bin/containerd\nRestart=always\nRestartSec=1\nDelegate=yes\n\
    KillMode=process\nOOMScoreAdjust=-999\n[Install]\nWantedBy=multi-user.target\n";

/// As kubeadm's, which is ordered after the network and nothing else; says when it started, by the clock since boot.
const KUBELET_UNIT: &str = "[Unit]\nDescription=stands for kubelet\nWants=network-online.target\n\
    After=network-online.target\n[Service]\n\
    ExecStart=/bin/sh -c 'systemctl show --property UserspaceTimestampMonotonic --value >/run/kubelet-started; \
    cut -d\" \" -f1 /proc/uptime >>/run/kubelet-started; exec sleep infinity'\n[Install]\nWantedBy=multi-user.target\n";

/// Runs nspawn where `/run/systemd/nspawn` may be written, with cgroups of the node's own in place of the machine's:
/// in a cgroup namespace they are the root of every path.
const BOOT: &str = r#"set -eu
hierarchies() { # those that several controllers share have links beside them
  if [ -e /sys/fs/cgroup/cgroup.procs ]; then
    echo /sys/fs/cgroup
  else
    find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d
  fi
}
if [ "$1" != inside ]; then
  for hierarchy in $(hierarchies); do
    mkdir -p "$hierarchy$1"
    for file in cpuset.cpus cpuset.mems; do
      [ ! -e "$hierarchy/tasks" ] || [ ! -e "$hierarchy/$file" ] || cat "$hierarchy/$file" >"$hierarchy$1/$file"
    done
    echo $$ >"$hierarchy$1/cgroup.procs"
  done
  exec unshare --mount --cgroup sh -c "$0" "$0" inside "$@"
fi
node=$2
shift 2
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
for hierarchy in $(hierarchies); do
  mount --bind "$hierarchy$node" "$hierarchy"
done
exec systemd-nspawn --quiet --register=no --keep-unit --capability=all --system-call-filter='@keyring bpf' \
  --bind=/sys/fs/cgroup "$@"
"#;

/// A node that boots. Dropping it ends and removes everything.
pub(crate) struct Booted {
    pub(crate) registry: Registry,
    pub(crate) pause: Pushed,
    nspawn: Option<Process>,
    init: u32,
    /// Last, so that it goes last.
    pub(crate) home: Home,
}

impl Booted {
    /// One that is not booted yet: containerd 2.1, kubelet's stand-in, and binauthd with
    /// the shipped configuration, not wired.
    pub(crate) async fn new() -> Self {
        let node = Self::bare().await;
        node.install();
        node
    }

    /// The same without binauthd.
    pub(crate) async fn bare() -> Self {
        let home = Home::new();
        let registry = Registry::start(&home).await;
        let pause = registry.push("pause", "1", &Image::new("pause", &["sleep", "2147483647"])).await;
        trust_plain_http(&home, &registry);
        let node = Self { registry, pause, nspawn: None, init: 0, home };
        let copied =
            Command::new("cp").arg("-a").arg(fetched("root/node")).arg(node.root()).status().unwrap();
        assert!(copied.success());
        node.write("etc/hosts", "127.0.0.1 localhost\n");
        node.install_containerd();
        node.enable(&["containerd.service", "kubelet.service"]);
        node
    }

    /// The node's file system, from outside.
    pub(crate) fn root(&self) -> PathBuf {
        self.home.path().join("node")
    }

    /// A file of the node, from outside.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, 0o644, text.as_bytes());
    }

    fn copy(&self, from: &Path, to: &str) {
        let to = self.at(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        write(&to, 0o755, &fs::read(from).unwrap());
    }

    fn install_containerd(&self) {
        for name in ["containerd", "containerd-shim-runc-v2", "ctr"] {
            self.copy(&program("containerd").with_file_name(name), &format!("usr/local/bin/{name}"));
        }
        let home = self.home.path().display();
        self.home.folder("cni/bin");
        self.home.folder("cni/net.d");
        let (images, runtime) = ("io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime");
        let snapshotter = self.home.snapshotter();
        let text = format!(
            r#"version = 3
imports = ["/etc/containerd/conf.d/*.toml"]

[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux/{architecture}"
  snapshotter = "{snapshotter}"
[plugins."{images}"]
  snapshotter = "{snapshotter}"
[plugins."{images}".pinned_images]
  sandbox = "{pause}"
[plugins."{images}".registry]
  config_path = "{home}/certs.d"
[plugins."{runtime}"]
  restrict_oom_score_adj = true
[plugins."{runtime}".cni]
  bin_dirs = ["{home}/cni/bin"]
  conf_dir = "{home}/cni/net.d"
[plugins."{runtime}".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"#,
            architecture = architecture(),
            pause = self.pause.pinned(),
        );
        self.write("etc/containerd/config.toml", &text);
        self.write("etc/systemd/system/containerd.service", CONTAINERD_UNIT);
        self.write("etc/systemd/system/kubelet.service", KUBELET_UNIT);
    }

    /// Installs the packages, as an image of a node is built: nothing of it runs yet.
    fn install(&self) {
        for name in ["binauthctl", "binauthd"] {
            let package = package(name);
            fs::copy(&package, self.at("var/tmp").join(format!("{name}.deb"))).unwrap();
        }
        let output = self.chroot("dpkg --install /var/tmp/binauthctl.deb /var/tmp/binauthd.deb");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs a shell line on the file system of a node that is not booted.
    pub(crate) fn chroot(&self, line: &str) -> std::process::Output {
        assert!(self.nspawn.is_none(), "it is booted");
        Command::new("chroot")
            .arg(self.root())
            .args(["sh", "-c", line])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .unwrap()
    }

    /// containerd asks binauthd from its next start on, and refuses without an answer.
    pub(crate) fn wire(&self) {
        // Neither of the two runs yet.
        let output = self.chroot("binauthctl containerd enable --enforce --force");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn enable(&self, units: &[&str]) {
        let root = format!("--root={}", self.root().display());
        let output = Command::new("systemctl").arg(root).arg("enable").args(units).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A unit that does not exist for this node, however often it is asked for.
    pub(crate) fn mask(&self, unit: &str) {
        let link = self.at(&format!("etc/systemd/system/{unit}"));
        let _ = fs::remove_file(&link);
        symlink("/dev/null", link).unwrap();
    }

    /// Boots, and returns once kubelet's stand-in has started; how long that took from the start of its systemd.
    pub(crate) async fn boot(&mut self) -> Duration {
        assert!(self.nspawn.is_none(), "it is booted");
        let _ = fs::remove_file(self.home.path().join("log/console"));
        let mut command = self.home.command(Path::new("sh"));
        let home = self.home.path().display();
        command.args(["-c", BOOT, BOOT, &self.home.cgroup()]);
        command.args([
            "--directory",
            &format!("{home}/node"),
            &format!("--bind={home}"),
            "--machine=binauthd-node",
        ]);
        command.arg("--boot");
        let mut nspawn = Process::start("systemd-nspawn", command, &self.home.folder("log").join("console"));
        self.init = eventually("the node's init", PATIENCE, || {
            nspawn.must_live();
            let pid = nspawn.pid();
            async move { child_of(pid) }
        })
        .await;
        self.nspawn = Some(nspawn);
        let (root, started) = (self.inside(), "run/kubelet-started");
        let text = eventually("kubelet to start", Duration::from_secs(60), || {
            let text = fs::read_to_string(root.join(started)).unwrap_or_default();
            async move { (text.lines().count() == 2).then_some(text) }
        })
        .await;
        let mut lines = text.lines();
        let from = Duration::from_micros(lines.next().unwrap().parse().unwrap());
        let to = Duration::from_secs_f64(lines.next().unwrap().parse().unwrap());
        to.saturating_sub(from)
    }

    /// The running node's file system as it sees it, `/run` included.
    pub(crate) fn inside(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.init))
    }

    /// Runs a shell line inside; exit code, and what it printed.
    pub(crate) fn shell(&self, line: &str) -> (i32, String) {
        let output = Command::new("nsenter")
            .args(["--target", &self.init.to_string(), "--all", "sh", "-c", line])
            .env_clear()
            // A `kill 0` inside would be for everything in the group, outside too.
            .process_group(0)
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    /// The same of a line that must work.
    pub(crate) fn run(&self, line: &str) -> String {
        let (code, text) = self.shell(line);
        assert_eq!(code, 0, "{line}: {text}");
        text.trim_end().to_owned()
    }

    /// Its CRI, once it answers.
    pub(crate) async fn cri(&self) -> Cri {
        let socket = self.inside().join("run/containerd/containerd.sock");
        eventually("containerd's CRI to answer", PATIENCE, || {
            let connect = Cri::connect(&socket, &self.home);
            async move { connect.await.ok() }
        })
        .await
    }

    /// Shuts down in order, as at a reboot.
    pub(crate) async fn shut_down(&mut self) {
        let mut nspawn = self.nspawn.take().unwrap();
        let _ = self.shell("systemctl poweroff --no-block");
        eventually("the node to shut down", Duration::from_secs(60), || {
            let ended = nspawn.ended();
            async move { ended }
        })
        .await;
    }

    /// The power is gone: everything ends at once.
    pub(crate) async fn power_cut(&mut self) {
        let mut nspawn = self.nspawn.take().unwrap();
        self.kill_init();
        eventually("nspawn to end", PATIENCE, || {
            let ended = nspawn.ended();
            async move { ended }
        })
        .await;
    }

    fn kill_init(&self) {
        let init = nix::unistd::Pid::from_raw(i32::try_from(self.init).unwrap_or(i32::MAX));
        let _ = nix::sys::signal::kill(init, nix::sys::signal::Signal::SIGKILL);
    }

    /// What its journal says of a unit, for messages of tests.
    pub(crate) fn journal(&self, unit: &str) -> String {
        self.shell(&format!("journalctl --no-pager --unit {unit} --lines 40 --output cat")).1
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // Ending nspawn alone leaves its node running.
        if self.nspawn.is_some() {
            self.kill_init();
        }
    }
}

fn child_of(parent: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let child: u32 = children.split_whitespace().next()?.parse().ok()?;
    // nspawn has other children while it sets up.
    let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
    (name.trim_end() == "systemd").then_some(child)
}

/// A package as `make package-test` has made it.
pub(crate) fn package(name: &str) -> PathBuf {
    let made = Path::new(env!("CARGO_BIN_EXE_binauthd")).ancestors().nth(2).unwrap().join("package-test");
    let folder = std::env::var_os("BINAUTHD_PACKAGES").map_or(made, PathBuf::from);
    let begins = format!("{name}_");
    let files = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files = files.filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let found = files.find(|path| path.file_name().unwrap().to_string_lossy().starts_with(&begins));
    found.unwrap_or_else(|| {
        panic!(
            "no package of {name} in `{}`: run `make package-test` first, or `make test`",
            folder.display()
        )
    })
}
