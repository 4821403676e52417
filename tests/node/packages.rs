//! The packages: what they hold, and what they leave.

use std::process::Command;

use super::rig::{Booted, package};

/// Where containerd and NRI execute and read: nothing there is a package's.
const CONTAINERDS: &[&str] =
    &["/opt/containerd", "/etc/containerd", "/opt/nri", "/etc/nri", "/opt/cni", "/etc/cni"];

fn tool(program: &str, args: &[&str]) -> String {
    let output =
        Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Packages of a newer version, made of those that are installed, in the node; their names, as `dpkg` takes them.
pub(crate) fn newer(node: &Booted) -> String {
    let unpacked = node.home.folder("newer");
    let mut names = Vec::new();
    for name in ["binauthctl", "binauthd"] {
        let folder = unpacked.join(name);
        let folder = folder.to_str().unwrap();
        tool("dpkg-deb", &["--raw-extract", package(name).to_str().unwrap(), folder]);
        let control = format!("{folder}/DEBIAN/control");
        let text = std::fs::read_to_string(&control).unwrap().replace(env!("CARGO_PKG_VERSION"), "99.0.0");
        std::fs::write(control, text).unwrap();
        let to = format!("/var/tmp/{name}-newer.deb");
        tool("dpkg-deb", &["--build", "-Znone", folder, node.at(&to).to_str().unwrap()]);
        names.push(to);
    }
    names.join(" ")
}

#[test]
fn hold_what_they_should() {
    let files = |name: &str| {
        let listed = tool("dpkg-deb", &["--contents", package(name).to_str().unwrap()]);
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            (
                words.next().unwrap().to_owned(),
                words.next().unwrap().to_owned(),
                words.nth(3).unwrap().to_owned(),
            )
        };
        listed
            .lines()
            .map(line)
            .map(|(mode, owner, path)| (mode, owner, path[1..].to_owned()))
            .collect::<Vec<_>>()
    };
    let field =
        |name: &str, field: &str| tool("dpkg-deb", &["--field", package(name).to_str().unwrap(), field]);
    for name in ["binauthd", "binauthctl"] {
        for (mode, owner, path) in files(name) {
            let at_containerds = CONTAINERDS.iter().any(|folder| path.starts_with(&format!("{folder}/")));
            assert!(!at_containerds, "{name}: containerd reads `{path}`");
            assert_eq!(owner, "0/0", "{path}");
            let program =
                ["/usr/sbin/", "/usr/bin/", "/usr/libexec/"].iter().any(|folder| path.starts_with(folder));
            let script = path.ends_with(".sh");
            let expected = match (mode.starts_with('d'), program || script) {
                (true, _) => "drwxr-xr-x",
                (false, true) => "-rwxr-xr-x",
                (false, false) => "-rw-r--r--",
            };
            assert_eq!(mode, expected, "{path}");
        }
    }
    let has = |name: &str, path: &str| files(name).iter().any(|(_, _, found)| found == path);
    for path in [
        "/usr/sbin/binauthd",
        "/usr/libexec/binauthd/binauthd-image-verifier",
        "/usr/libexec/binauthd/binauthd-create-hook",
        "/usr/libexec/binauthd/binauthd-runc",
        "/usr/lib/systemd/system/binauthd.service",
        "/usr/lib/systemd/system/binauthd.socket",
        "/usr/lib/systemd/system/binauthd-admin.socket",
        "/usr/lib/systemd/system/binauthd-canary.service",
        "/usr/lib/systemd/system/binauthd-canary.timer",
        "/usr/lib/sysusers.d/binauthd.conf",
        "/usr/lib/tmpfiles.d/binauthd.conf",
        "/usr/share/man/man8/binauthd.8.gz",
        "/usr/share/man/man5/binauthd.toml.5.gz",
        "/etc/apparmor.d/usr.sbin.binauthd",
    ] {
        assert!(has("binauthd", path), "{path}");
    }
    for path in [
        "/usr/bin/binauthctl",
        "/usr/share/man/man1/binauthctl-evaluate.1.gz",
        "/usr/share/man/man7/binauthd-reasons.7.gz",
        "/usr/share/bash-completion/completions/binauthctl",
        "/usr/share/zsh/vendor-completions/_binauthctl",
        "/usr/share/fish/vendor_completions.d/binauthctl.fish",
    ] {
        assert!(has("binauthctl", path), "{path}");
    }
    let version = field("binauthctl", "Version");
    assert!(field("binauthd", "Depends").contains(&format!("binauthctl (= {})", version.trim_end())));
    assert!(version.starts_with(env!("CARGO_PKG_VERSION")), "{version}");
    let conffiles = tool("dpkg-deb", &["--info", package("binauthd").to_str().unwrap(), "conffiles"]);
    let packaged = files("binauthd").into_iter().map(|(_, _, path)| path);
    let configuration: Vec<_> =
        packaged.filter(|path| path.starts_with("/etc/") && !path.ends_with('/')).collect();
    assert_eq!(conffiles.lines().count(), configuration.len(), "{conffiles}");
    assert!(configuration.iter().all(|path| conffiles.contains(path)), "{configuration:?} {conffiles}");

    let packages = [package("binauthd"), package("binauthctl")];
    // It leaves files in the folder for temporary ones.
    let scratch = tempfile::tempdir().unwrap();
    let mut lintian = Command::new("lintian");
    lintian.env("TMPDIR", scratch.path()).args(["--fail-on", "error", "--allow-root"]).args(&packages);
    let lintian = lintian.output().expect("lintian: run `tests/rig/install.sh --deb` first");
    assert!(lintian.status.success(), "{}", String::from_utf8_lossy(&lintian.stdout));
}

#[tokio::test]
async fn leave_what_they_should() {
    let mut node = Booted::bare().await;
    node.boot().await;
    for name in ["binauthctl", "binauthd"] {
        std::fs::copy(package(name), node.at(&format!("var/tmp/{name}.deb"))).unwrap();
    }
    node.cri().await; // until then containerd makes folders of its own
    // On a running system: it works at once, and containerd is as it was.
    let containerd = |node: &Booted| {
        node.run("sha256sum /etc/containerd/config.toml; find /etc/containerd /opt 2>/dev/null | sort")
    };
    let before = containerd(&node);
    let started = node.run("systemctl show --property ExecMainPID containerd");
    node.run("dpkg --install /var/tmp/binauthctl.deb /var/tmp/binauthd.deb");
    node.run("binauthctl status && binauthctl config check && systemctl is-enabled binauthd.service binauthd.socket");
    assert_eq!(containerd(&node), before);
    // An upgrade keeps what was edited, and what was disabled; the daemon is the new one.
    node.run("echo '# mine' >>/etc/binauthd/policy.yaml; systemctl disable binauthd.service 2>/dev/null");
    let pid = node.run("systemctl show --property MainPID --value binauthd");
    let newer = newer(&node);
    node.run(&format!("dpkg --install {newer}"));
    node.run("grep --quiet '# mine' /etc/binauthd/policy.yaml && binauthctl status");
    assert_ne!(node.run("systemctl show --property MainPID --value binauthd"), pid);
    assert_eq!(node.shell("systemctl is-enabled binauthd.service").1.trim_end(), "disabled");
    node.run("systemctl enable binauthd.service 2>/dev/null && dpkg --install /var/tmp/binauthctl.deb /var/tmp/binauthd.deb");
    // Removed: nothing runs, configuration and state are there.
    node.run("dpkg --remove binauthd");
    assert_eq!(node.run("pidof binauthd; ls -A /run/binauthd 2>/dev/null; true"), "");
    node.run("test -e /etc/binauthd/policy.yaml -a -e /var/lib/binauthd -a -e /var/log/binauthd/audit.jsonl");
    node.run("dpkg --install /var/tmp/binauthd.deb && grep --quiet '# mine' /etc/binauthd/policy.yaml && binauthctl status");
    // Purged: nothing is there. The node boots, and kubelet with it.
    node.run("dpkg --purge binauthd binauthctl");
    let left = "find / -xdev \\( -path /proc -o -path /var/tmp -o -path /var/lib/dpkg -o -path /var/log \\) -prune -o \
                -iname '*binauth*' -print; ls -d /var/log/binauthd 2>/dev/null; true";
    assert_eq!(node.run(left), "");
    assert_eq!(node.run("systemctl --failed --plain --no-legend"), "");
    assert_eq!(containerd(&node), before);
    assert_eq!(node.run("systemctl show --property ExecMainPID containerd"), started, "containerd went on");
    node.power_cut().await;
    node.boot().await;
    node.cri().await;
}
