//! Host access: whether a container reaches that by which this node guards itself.
//!
//! An attested image runs with whatever mounts and rights its pod gives it. One that reaches binauthd's
//! policy, containerd's socket or the programs that containerd executes needs no gate any more. That is what is
//! *guarded*, and refused.
//!
//! Beside it there are the *programs*: what the node runs as root by itself, such as units, what they execute and the
//! libraries of that ([`EXECUTED`]), and the sockets over which it takes orders ([`ORDERS`]). Agents of many kinds mount
//! some of these, so that is reported. What is executed takes over the node only where it is changed: a mount that is
//! read-only does not count. Behind a socket it does. Whoever may mount anew (`privileged`) is not held by either.
//! Manifests of static pods are none of them: what they start passes the gates.
//!
//! # What a text tells
//!
//! A mount reaches a guarded path where its source is that path, lies below it, or is a folder above it.
//! Sources are compared as texts: without `.`, `..`, `//` and a last `/`, with `/var/run` as `/run`, and
//! with `/proc/PID/root` as `/` and `/dev/fd` as that of a process. A relative source starts in the bundle, among containerd's files, and
//! counts as reaching; so does what leads through another link of a process (`/proc/PID/cwd`, `exe`, `fd/N`,
//! `map_files/N`). `/proc` itself, and what else lies below `/proc/PID`, shows the processes of the node;
//! `/proc/sys` has it run programs (`kernel/core_pattern`), which counts as being privileged.
//!
//! A text does not tell of symbolic links on the host, of bind mounts and propagation there, of devices
//! that hold a file system, or of what a mount of another type takes from its options. So whoever calls
//! this hands every source in two spellings, as it is written and as it resolves on the host, and resolves
//! the rules with [`HostRules::resolved`]; what somebody changes on the host afterwards is not seen.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::image::Digest;
use crate::text::shown;

/// What is guarded wherever binauthd and containerd keep their files.
pub const GUARDED: &[&str] = &[
    // binauthd's policy, state, sockets, audit trail and programs
    "/etc/binauthd",
    "/var/lib/binauthd",
    "/run/binauthd",
    "/var/log/binauthd",
    "/usr/libexec/binauthd",
    "/usr/sbin/binauthd",
    // containerd's configuration, what it executes, and where it takes orders from
    "/etc/containerd",
    "/opt/containerd",
    "/run/containerd",
    "/var/lib/containerd",
    "/run/nri",
    // plugins that containerd starts by itself
    "/etc/nri",
    "/opt/nri",
];
/// What every node runs as root by itself, and what says what that is. Merged and unmerged `/usr` alike.
pub const EXECUTED: &[&str] = &[
    // programs and libraries, kernel modules, units and generators, plugins of kubelet
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local",
    // plugins of the network, which containerd executes
    "/opt/cni/bin",
    "/boot",
    // a distribution that brings programs of its own, and what a cloud's image runs at boot
    "/var/lib/rancher/k3s/data",
    "/var/lib/cloud",
    // units, rules of devices, and what runs at a time or at an event
    "/etc/systemd",
    "/etc/init.d",
    "/etc/rc.d",
    "/etc/rc.local",
    "/etc/default",
    "/etc/sysconfig",
    "/etc/udev",
    "/run/udev/rules.d",
    "/etc/dbus-1",
    "/usr/share/dbus-1",
    "/etc/polkit-1",
    "/etc/tmpfiles.d",
    "/run/tmpfiles.d",
    "/etc/NetworkManager/dispatcher.d",
    // package managers, which run programs before and after
    "/etc/apt",
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/etc/modules-load.d",
    "/etc/crontab",
    "/etc/anacrontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/var/spool/cron",
    "/etc/logrotate.conf",
    "/etc/logrotate.d",
    "/sys/kernel/uevent_helper",
    // the kernel runs a program by what lies there: `release_agent`, and `kernel.core_pattern` by sysctl
    "/sys/fs/cgroup",
    "/etc/sysctl.conf",
    "/etc/sysctl.d",
    "/run/sysctl.d",
    // what kubelet is started with; volumes lie beside it
    "/var/lib/kubelet/kubeadm-flags.env",
    "/var/lib/kubelet/config.yaml",
    // what is set for everybody who logs in
    "/etc/profile.d",
    "/etc/environment",
    // libraries that every program loads
    "/etc/ld.so.preload",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    // who may become root
    "/etc/passwd",
    "/etc/shadow",
    "/etc/pam.d",
    "/etc/ssh",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/root",
];
/// Where every node takes orders as root, be the mount read-only or not. Below the first there are transient units, too.
pub const ORDERS: &[&str] = &[
    "/run/systemd",
    "/run/dbus",
    "/run/snapd.socket",
    "/run/docker.sock",
    "/run/docker",
    "/run/cri-dockerd.sock",
    "/run/crio",
    "/run/podman",
    "/run/buildkit",
];
/// Below [`ORDERS`], and none: name servers, the journal and the state of networks. `/etc/resolv.conf` leads there.
const NO_ORDERS: &[&str] = &["/run/systemd/resolve", "/run/systemd/journal", "/run/systemd/netif"];
/// The folder of CRI in containerd's root and in its state, in every version.
const CRI: &str = "io.containerd.grpc.v1.cri";
/// Mounts that are told of one container; whether it is refused does not hang on their number.
const MAX_MOUNTS_TOLD: usize = 16;
const MAX_SHOWN: usize = 200;

/// What is done about a container that reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// It is refused.
    Refuse,
    /// It is let through, and recorded.
    Report,
    /// It is let through.
    Allow,
}

/// What a container may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRules {
    /// Mounts that reach a guarded path.
    pub paths: Mode,
    /// Mounts that reach what the node runs as root by itself, or where it takes orders.
    pub programs: Mode,
    /// Privileged containers.
    pub privileged: Mode,
    /// Containers that see the processes of the node.
    pub host_pid: Mode,
    /// Images that may reach all of it.
    pub allowed: BTreeSet<Digest>,
    /// Absolute and normalised.
    guarded: BTreeSet<String>,
    executed: BTreeSet<String>,
    orders: BTreeSet<String>,
    roots: BTreeSet<String>,
    states: BTreeSet<String>,
}

/// The source of a bind mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    /// Of the host.
    pub path: &'a str,
    /// Whether nothing below it can be written through the mount.
    pub is_readonly: bool,
}

/// What a container would get of the node.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostAccess<'a> {
    /// The sources of its bind mounts, as they are written and as they resolve on the host. Mounts of
    /// other types have none.
    pub sources: &'a [Source<'a>],
    /// It has the node's devices and every capability.
    pub privileged: bool,
    /// It shares the PID namespace of the node.
    pub host_pid: bool,
    /// Its pod's sandbox, where CRI creates it; what CRI itself mounts for that sandbox does not count.
    pub sandbox: Option<&'a str>,
    /// Its own id; the volumes that CRI makes for this container, because its image asks for them, do not
    /// count.
    pub container: Option<&'a str>,
}

/// What is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// A guarded path, by a mount.
    Path,
    /// What the node runs as root by itself, or where it takes orders, by a mount.
    Program,
    /// Everything, by being privileged, or by what tells the kernel which programs to run.
    Privileged,
    /// The processes of the node, by its PID namespace or its `/proc`.
    Processes,
}

/// One thing that a container reaches.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it reaches.
    pub what: Reached,
    /// Whether that refuses it; otherwise it is recorded.
    pub refuses: bool,
    /// For people: how, as what follows "the container".
    pub text: String,
}

impl Default for HostRules {
    /// [`GUARDED`], refused; the rest reported; containerd where it is without configuration.
    fn default() -> Self {
        let all = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        Self {
            paths: Mode::Refuse,
            programs: Mode::Report,
            privileged: Mode::Report,
            host_pid: Mode::Report,
            allowed: BTreeSet::new(),
            guarded: all(GUARDED),
            executed: all(EXECUTED),
            orders: all(ORDERS),
            roots: ["/var/lib/containerd".to_owned()].into(),
            states: ["/run/containerd".to_owned()].into(),
        }
    }
}

impl HostRules {
    /// Guards `path`, too. A relative path guards nothing: there is nothing it could be compared with.
    pub fn guard(&mut self, path: &str) {
        if let Place::At(path) = place(path) {
            self.guarded.insert(path);
        }
    }

    /// Guards a `root` and a `state` of containerd, too, but for what CRI mounts from there itself.
    pub fn guard_containerd(&mut self, root: &str, state: &str) {
        for (path, known) in [(root, &mut self.roots), (state, &mut self.states)] {
            if let Place::At(path) = place(path) {
                known.insert(path.clone());
                self.guarded.insert(path);
            }
        }
    }

    /// The same, guarding each path also as `resolve` spells it; `None` where there is no such path.
    #[must_use]
    pub fn resolved(mut self, resolve: impl Fn(&str) -> Option<String>) -> Self {
        let all =
            [&mut self.guarded, &mut self.executed, &mut self.orders, &mut self.roots, &mut self.states];
        for known in all {
            let spelled = known.iter().filter_map(|path| match place(&resolve(path)?) {
                Place::At(path) => Some(path),
                _ => None,
            });
            let spelled: Vec<_> = spelled.collect();
            known.extend(spelled);
        }
        self
    }

    /// The same on a node that runs `programs`, too, from folders of their own.
    #[must_use]
    pub fn running(&self, programs: impl Iterator<Item = String>) -> Cow<'_, Self> {
        let mut rules = Cow::Borrowed(self);
        for program in programs {
            let Place::At(program) = place(&program) else { continue };
            let folder = program.rsplit_once('/').map_or("", |(folder, _)| folder);
            let is_known = |executed: &String| lies_in(folder, executed);
            if !folder.is_empty() && !rules.executed.iter().any(is_known) {
                rules.to_mut().executed.insert(folder.to_owned());
            }
        }
        rules
    }

    /// What of what the node runs, or where of where it takes orders, a mount of `path` reaches, and how.
    fn reached_program(&self, path: &str, is_readonly: bool) -> Option<String> {
        let meets = |known: &&String| lies_in(path, known) || lies_in(known, path);
        let takes_none = NO_ORDERS.iter().any(|folder| lies_in(path, folder));
        let orders = self.orders.iter().filter(|_| !takes_none).find(meets);
        let orders = orders.map(|known| format!("where the node takes orders by `{known}`"));
        orders.or_else(|| {
            let known = self.executed.iter().filter(|_| !is_readonly).find(meets)?;
            Some(format!("where it can change `{known}`, by which the node runs programs as root"))
        })
    }

    /// What is guarded, absolute and normalised.
    pub fn guarded(&self) -> impl Iterator<Item = &str> {
        self.guarded.iter().map(String::as_str)
    }
}

/// What a container of the image with these `digests` reaches, of that which `rules` do not allow. What
/// refuses comes first; of mounts, sixteen are told.
#[must_use]
pub fn reaches(rules: &HostRules, access: HostAccess<'_>, digests: &[Digest]) -> Vec<Finding> {
    if digests.iter().any(|digest| rules.allowed.contains(digest)) {
        return Vec::new();
    }
    let (mut paths, mut programs) = (Vec::new(), Vec::new());
    let (mut privileged, mut processes) = (Vec::new(), Vec::new());
    if access.privileged {
        privileged.push("is privileged".to_owned());
    }
    for source in access.sources {
        let mounted = shown(source.path, MAX_SHOWN);
        let found = match place(source.path) {
            Place::Relative => {
                Some(format!("mounts `{mounted}`, which starts among the files of containerd"))
            }
            Place::Link => Some(format!("mounts `{mounted}`, which leads wherever a process has it")),
            Place::Kernel => {
                privileged.push(format!("mounts `{mounted}`, by which the kernel of the node takes orders"));
                None
            }
            Place::Process => {
                processes.push(format!("mounts `{mounted}`, which shows the processes of the node"));
                None
            }
            Place::At(path) if is_of_cri(&path, rules, access) => None,
            Place::At(path) => {
                let guarded =
                    rules.guarded().find(|guarded| lies_in(&path, guarded) || lies_in(guarded, &path));
                // What says more is said once.
                if guarded.is_none() || rules.programs < rules.paths {
                    let reached = rules.reached_program(&path, source.is_readonly);
                    programs.extend(reached.map(|reached| format!("mounts `{mounted}`, {reached}")));
                }
                guarded.map(|guarded| format!("mounts `{mounted}`, which reaches `{guarded}` of the node"))
            }
        };
        paths.extend(found);
    }
    if access.host_pid {
        processes.insert(0, "shares the process ids of the node".to_owned());
    }
    let found = [
        (Reached::Path, rules.paths, paths),
        (Reached::Program, rules.programs, programs),
        (Reached::Privileged, rules.privileged, privileged),
        (Reached::Processes, rules.host_pid, processes),
    ];
    let mut findings: Vec<_> = found
        .into_iter()
        .filter(|(_, mode, _)| *mode != Mode::Allow)
        .flat_map(|(what, mode, mut texts)| {
            let mut told = BTreeSet::new();
            texts.retain(|text| told.len() < MAX_MOUNTS_TOLD && told.insert(text.clone()));
            let refuses = mode == Mode::Refuse;
            texts.into_iter().map(move |text| Finding { what, refuses, text })
        })
        .collect();
    findings.sort_by_key(|finding| !finding.refuses);
    findings
}

/// Where a path leads, as far as its text tells.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Absolute and normalised; `/` for the root.
    At(String),
    /// It does not begin with `/`.
    Relative,
    /// `/proc`, or below `/proc/PID` what is no link.
    Process,
    /// Below `/proc`, where the kernel takes orders.
    Kernel,
    /// Through a link of a process.
    Link,
}

/// Goes along the path as the kernel would, with the links that every node has. So `..` behind one of them
/// leads up from where it leads.
fn place(path: &str) -> Place {
    if !path.starts_with('/') {
        return Place::Relative;
    }
    let mut at: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                at.pop();
            }
            part => at.push(part),
        }
        match at.as_slice() {
            ["var", "run"] => at = vec!["run"],
            ["dev", "fd"] => at = vec!["proc", "self", "fd"],
            ["dev", "stdin" | "stdout" | "stderr"] => return Place::Link,
            ["proc", process, "root"] if is_process(process) => at.clear(),
            ["proc", process, "task", thread] if is_process(process) && is_process(thread) => {
                at = vec!["proc", thread];
            }
            ["proc", process, link @ ..] if is_process(process) && is_link(link) => return Place::Link,
            _ => {}
        }
    }
    match at.as_slice() {
        ["proc"] => Place::Process,
        ["proc", "sys" | "sysrq-trigger", ..] => Place::Kernel,
        ["proc", process, ..] if is_process(process) => Place::Process,
        at => Place::At(format!("/{}", at.join("/"))),
    }
}

fn is_process(name: &str) -> bool {
    matches!(name, "self" | "thread-self") || name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether these parts below `/proc/PID` are a link to what the process has open or runs in.
fn is_link(parts: &[&str]) -> bool {
    match parts {
        ["cwd" | "exe"] => true,
        ["fd", number] => number.bytes().all(|byte| byte.is_ascii_digit()),
        ["map_files", range] => range.contains('-'),
        _ => false,
    }
}

/// Whether `path` is `folder` or lies below it; both are normalised.
fn lies_in(path: &str, folder: &str) -> bool {
    folder == "/" || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether CRI mounts `path` into this container by itself: the files of its own sandbox, volumes that its
/// image declares, and the content of image volumes, which is judged by its digest. Never a folder above.
fn is_of_cri(path: &str, rules: &HostRules, access: HostAccess<'_>) -> bool {
    let is_sandbox = |id: &str| access.sandbox == Some(id);
    let of_root = rules.roots.iter().any(|root| match parts_in_cri(path, root).as_slice() {
        ["sandboxes", id, "hostname" | "hosts" | "resolv.conf"] => is_sandbox(id),
        ["containers", id, "volumes", _] => access.container == Some(*id),
        _ => false,
    });
    of_root
        || rules.states.iter().any(|state| match parts_in_cri(path, state).as_slice() {
            ["sandboxes", id, "shm"] => is_sandbox(id),
            ["image-volumes", id, digest, ..] => is_sandbox(id) && is_hex64(digest),
            _ => false,
        })
}

/// The parts of `path` below CRI's folder in `folder`; none where it does not lie there.
fn parts_in_cri<'a>(path: &'a str, folder: &str) -> Vec<&'a str> {
    let rest = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')?.strip_prefix(CRI));
    rest.and_then(|rest| rest.strip_prefix('/')).map(|rest| rest.split('/').collect()).unwrap_or_default()
}

fn is_hex64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
