//! What a node's containerd is told. Every path is the node's: containerd's defaults lie in `/opt`,
//! `/run` and `/etc`.

use std::fs;
use std::path::PathBuf;

use super::home::write;
use super::image::architecture;
use super::wiring::{Generation, Handler, Wiring};
use super::{Home, Pushed, program};

/// What makes containerd 2.1 ask before a pull, what opens NRI to the daemon, and what gives the default
/// handler its base runtime spec.
const DROP_IN: &str = include_str!("../../packaging/containerd/50-binauthd.toml");
const NRI_DROP_IN: &str = include_str!("../../packaging/containerd/60-binauthd-nri.toml");
const HOOK_DROP_IN: &str = include_str!("../../packaging/containerd/70-binauthd-hook.toml");
/// The second for containerd 1.7, which has no other.
const NRI_DROP_IN_1_7: &str = include_str!("../../packaging/containerd/1.7/60-binauthd-nri.toml");

/// containerd's gRPC socket.
pub(super) fn socket(home: &Home) -> PathBuf {
    home.path().join("c.sock")
}

pub(super) fn nri_socket(home: &Home) -> PathBuf {
    home.path().join("nri.sock")
}

/// A CNI plugin that does nothing and says so: a pod with a network of its own has an address that leads
/// nowhere, and no link.
const CNI_PLUGIN: &str = r#"#!/bin/sh
[ "$CNI_COMMAND" = ADD ] || exit 0
echo '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/n"}],"ips":[{"address":"192.0.2.2/32","interface":0}]}'
"#;
const CNI_NETWORK: &str = r#"{"cniVersion":"1.0.0","name":"nowhere","plugins":[{"type":"nowhere"}]}"#;

/// Writes `containerd.toml` and what it names.
pub(super) fn configure(home: &Home, pause: &Pushed, wiring: &Wiring) {
    home.folder("bin");
    home.folder("base-specs");
    let plugins = home.folder("cni/bin");
    for name in ["loopback", "nowhere"] {
        write(&plugins.join(name), 0o755, CNI_PLUGIN.as_bytes());
    }
    write(&home.folder("cni/net.d").join("10-nowhere.conflist"), 0o644, CNI_NETWORK.as_bytes());
    for handler in wiring.all_handlers() {
        if let Some(spec) = &handler.base_spec {
            let spec = spec.replace("@NODE@", &home.path().display().to_string());
            write(&base_spec(home, &handler), 0o644, spec.as_bytes());
        }
    }
    let text = match wiring.generation {
        Generation::V1_6 | Generation::V1_7 => version_2(home, pause, wiring),
        Generation::V2_1 => version_3(home, pause, wiring),
    };
    write(&home.path().join("containerd.toml"), 0o644, text.as_bytes());
    let conf_d = home.folder("conf.d");
    for (name, text) in drop_ins(home, wiring) {
        write(&conf_d.join(name), 0o644, text.as_bytes());
    }
}

fn base_spec(home: &Home, handler: &Handler) -> PathBuf {
    home.path().join(format!("base-specs/{}.json", handler.name))
}

/// The drop-ins that are shipped, with the node's own paths in them.
fn drop_ins(home: &Home, wiring: &Wiring) -> Vec<(&'static str, String)> {
    let at = home.path().display();
    let mut files = Vec::new();
    if wiring.nri && wiring.generation == Generation::V1_7 {
        let paths = [
            ("/var/run/nri/nri.sock", nri_socket(home).display().to_string()),
            ("/opt/nri/plugins", format!("{at}/nri/plugins")),
            ("/etc/nri/conf.d", format!("{at}/nri/conf.d")),
        ];
        files.push(("60-binauthd-nri.toml", fitted(NRI_DROP_IN_1_7, &paths)));
    }
    if wiring.generation != Generation::V2_1 {
        return files;
    }
    let verifiers = [
        ("/opt/containerd/image-verifier/bin", format!("{at}/bin")),
        ("\"10s\"", format!("{:?}", wiring.per_verifier_timeout)),
    ];
    files.push(("50-binauthd.toml", fitted(DROP_IN, &verifiers)));
    if wiring.nri {
        files.push(("60-binauthd-nri.toml", NRI_DROP_IN.to_owned()));
    }
    if wiring.base_spec.is_some() {
        let spec = base_spec(home, &wiring.default_handler());
        let spec = [("= \"/etc/containerd/binauthd-base-spec.json\"", format!("= {spec:?}"))];
        files.push(("70-binauthd-hook.toml", fitted(HOOK_DROP_IN, &spec)));
    }
    files
}

/// A shipped file with other paths in it, each of which is there once.
fn fitted(shipped: &str, paths: &[(&str, String)]) -> String {
    paths.iter().fold(shipped.to_owned(), |text, (path, ours)| {
        assert_eq!(text.matches(path).count(), 1, "`{path}` in the shipped drop-in");
        text.replace(path, ours)
    })
}

/// What all generations are told in the same words. `disabled` are plugins that nothing here uses, and
/// that some probe the machine at start.
fn head(home: &Home, version: u32, disabled: &[&str]) -> String {
    let at = home.path().display();
    format!(
        r#"version = {version}
imports = ["{at}/conf.d/*.toml"]
root = "{at}/root"
state = "{at}/state"
disabled_plugins = {disabled:?}

[grpc]
  address = "{socket}"
[ttrpc]
  address = "{socket}.ttrpc"
[debug]
  level = "info"

[plugins."io.containerd.internal.v1.opt"]
  path = "{at}/opt"
"#,
        socket = socket(home).display(),
    )
}

/// NRI off; a drop-in turns it on.
fn nri(home: &Home) -> String {
    let at = home.path().display();
    format!(
        r#"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
  socket_path = "{nri}"
  plugin_path = "{at}/nri/plugins"
  plugin_config_path = "{at}/nri/conf.d"
"#,
        nri = nri_socket(home).display(),
    )
}

/// The runtime handlers, in the table of the plugin that runs them.
fn handlers(home: &Home, wiring: &Wiring, plugin: &str) -> String {
    let at = home.path().display();
    let tables = wiring.all_handlers().map(|handler| {
        let runtime = handler.runtime.clone().unwrap_or_else(|| program("runc"));
        let by_drop_in =
            wiring.generation == Generation::V2_1 && handler.name == wiring.default_handler().name;
        let spec = (handler.base_spec.is_some() && !by_drop_in).then(|| base_spec(home, &handler));
        let spec = spec.map(|path| format!("base_runtime_spec = {path:?}\n")).unwrap_or_default();
        format!(
            r#"[plugins."{plugin}".containerd.runtimes.{name}]
  runtime_type = "io.containerd.runc.v2"
  {spec}
[plugins."{plugin}".containerd.runtimes.{name}.options]
  BinaryName = {runtime:?}
  Root = "{at}/runc"
  SystemdCgroup = false
"#,
            name = handler.name,
        )
    });
    tables.collect()
}

/// containerd 1.6 and 1.7.
fn version_2(home: &Home, pause: &Pushed, wiring: &Wiring) -> String {
    let at = home.path().display();
    let disabled = [
        "io.containerd.snapshotter.v1.aufs",
        "io.containerd.snapshotter.v1.btrfs",
        "io.containerd.snapshotter.v1.devmapper",
        "io.containerd.snapshotter.v1.zfs",
        "io.containerd.tracing.processor.v1.otlp",
        "io.containerd.internal.v1.tracing",
    ];
    let cri = "io.containerd.grpc.v1.cri";
    let nri = if wiring.generation == Generation::V1_6 { String::new() } else { nri(home) };
    format!(
        r#"{head}{nri}
[plugins."{cri}"]
  sandbox_image = "{pause}"
  # Without CAP_SYS_RESOURCE no sandbox may have the score a kubelet asks for.
  restrict_oom_score_adj = {restrict}
[plugins."{cri}".registry]
  config_path = "{at}/certs.d"
[plugins."{cri}".cni]
  bin_dir = "{at}/cni/bin"
  conf_dir = "{at}/cni/net.d"
[plugins."{cri}".containerd]
  snapshotter = "{snapshotter}"
  default_runtime_name = "runc"
{handlers}
{more}
"#,
        head = head(home, 2, &disabled),
        pause = pause.pinned(),
        restrict = !may_lower_oom_score(),
        snapshotter = home.snapshotter(),
        handlers = handlers(home, wiring, cri),
        more = wiring.more,
    )
}

/// containerd 2.
fn version_3(home: &Home, pause: &Pushed, wiring: &Wiring) -> String {
    let at = home.path().display();
    let disabled = [
        "io.containerd.snapshotter.v1.blockfile",
        "io.containerd.snapshotter.v1.btrfs",
        "io.containerd.snapshotter.v1.devmapper",
        "io.containerd.snapshotter.v1.erofs",
        "io.containerd.snapshotter.v1.zfs",
        "io.containerd.differ.v1.erofs",
        "io.containerd.tracing.processor.v1.otlp",
        "io.containerd.internal.v1.tracing",
    ];
    let (images, runtime) = ("io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime");
    format!(
        r#"{head}{nri}
# What CRI pulls with: it knows no snapshotter but overlayfs unless told.
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux/{architecture}"
  snapshotter = "{snapshotter}"

[plugins."{images}"]
  snapshotter = "{snapshotter}"
[plugins."{images}".pinned_images]
  sandbox = "{pause}"
[plugins."{images}".registry]
  config_path = "{at}/certs.d"

[plugins."{runtime}"]
  # Without CAP_SYS_RESOURCE no sandbox may have the score a kubelet asks for.
  restrict_oom_score_adj = {restrict}
  cdi_spec_dirs = ["{at}/cdi"]
[plugins."{runtime}".cni]
  bin_dirs = ["{at}/cni/bin"]
  conf_dir = "{at}/cni/net.d"
[plugins."{runtime}".containerd]
  default_runtime_name = "runc"
{handlers}
{more}
"#,
        head = head(home, 3, &disabled),
        nri = nri(home),
        snapshotter = home.snapshotter(),
        architecture = architecture(),
        pause = pause.pinned(),
        restrict = !may_lower_oom_score(),
        handlers = handlers(home, wiring, runtime),
        more = wiring.more,
    )
}

/// CAP_SYS_RESOURCE is bit 24 of the capabilities.
fn may_lower_oom_score() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(|caps| caps & (1 << 24) != 0)
}
