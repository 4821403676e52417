use proptest::prelude::*;

use super::*;

const SANDBOX: &str = "5a0f1c2b3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8";
const CONTAINER: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
const OTHER: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const ROOT: &str = "/var/lib/containerd/io.containerd.grpc.v1.cri";
const STATE: &str = "/run/containerd/io.containerd.grpc.v1.cri";

/// Of a mount that can be written.
fn writable(path: &str) -> Source<'_> {
    Source { path, is_readonly: false }
}

fn access<'a>(sources: &'a [Source<'a>]) -> HostAccess<'a> {
    HostAccess { sources, sandbox: Some(SANDBOX), container: Some(CONTAINER), ..HostAccess::default() }
}

/// What one mount reaches under the rules without configuration.
fn reached(source: &str) -> Option<Reached> {
    let findings = reaches(&HostRules::default(), access(&[writable(source)]), &[]);
    assert!(findings.len() <= 1, "{findings:?}");
    findings.first().map(|finding| finding.what)
}

#[test]
fn one_mount() {
    use Reached::{Path, Privileged, Processes, Program};
    let rows: &[(&str, Option<Reached>)] = &[
        // Guarded, below it, above it, beside it
        ("/etc/binauthd", Some(Path)),
        ("/etc/binauthd/policy.yaml", Some(Path)),
        ("/etc/binauthd/attestors/a.yaml", Some(Path)),
        ("/etc", Some(Path)),
        ("/", Some(Path)),
        ("/etc/binauthd2", None),
        ("/etc/binauth", None),
        ("/etc/ssl/certs", None),
        ("/var/lib/binauthd/trust", Some(Path)),
        ("/var/lib", Some(Path)),
        ("/var", Some(Path)),
        ("/var/lib/kubelet", Some(Program)),
        ("/var/lib/kubelet/pods/1/volumes", None),
        ("/var/log/binauthd/audit.jsonl", Some(Path)),
        ("/var/log", Some(Path)),
        ("/var/log/pods", None),
        ("/run", Some(Path)),
        ("/run/binauthd/gate.sock", Some(Path)),
        ("/run/containerd/containerd.sock", Some(Path)),
        ("/run/containerd/runc/k8s.io", Some(Path)),
        ("/run/containerd.sock", None),
        ("/run/nri/nri.sock", Some(Path)),
        ("/run/xtables.lock", None),
        ("/etc/containerd/conf.d", Some(Path)),
        ("/opt", Some(Path)),
        ("/opt/containerd/image-verifier/bin", Some(Path)),
        ("/opt/cni/bin", Some(Program)),
        ("/opt/nri/plugins", Some(Path)),
        ("/usr", Some(Path)),
        ("/usr/libexec/binauthd", Some(Path)),
        ("/usr/sbin", Some(Path)),
        ("/usr/share", Some(Program)),
        ("/usr/share/zoneinfo", None),
        ("/var/lib/containerd", Some(Path)),
        ("/var/lib/containerd/io.containerd.content.v1.content", Some(Path)),
        ("/lib/modules", Some(Program)),
        ("/dev/shm", None),
        ("/sys/fs/cgroup", Some(Program)),
        // Other spellings
        ("/etc/binauthd/", Some(Path)),
        ("//etc///binauthd", Some(Path)),
        ("/etc/./binauthd/.", Some(Path)),
        ("/srv/../etc/binauthd", Some(Path)),
        ("/../../etc/binauthd", Some(Path)),
        ("/etc/binauthd/..", Some(Path)),
        ("/etc/binauthd/../ssl", None),
        ("/srv/..", Some(Path)),
        ("/var/run", Some(Path)),
        ("/var/run/containerd/containerd.sock", Some(Path)),
        ("/var/./run//nri/nri.sock", Some(Path)),
        ("/var/run/../etc/binauthd", Some(Path)),
        ("/var/run/../srv", None),
        ("/var/runs/containerd", None),
        ("/ETC/binauthd", None),
        // Through /proc
        ("/proc", Some(Processes)),
        ("/proc/1", Some(Processes)),
        ("/proc/self", Some(Processes)),
        ("/proc/1/ns/mnt", Some(Processes)),
        ("/proc/1/fd", Some(Processes)),
        ("/proc/1/task", Some(Processes)),
        ("/proc/sys", Some(Privileged)),
        ("/proc/sys/kernel/core_pattern", Some(Privileged)),
        ("/proc/1/root/proc/sys", Some(Privileged)),
        ("/proc/sysrq-trigger", Some(Privileged)),
        ("/proc/system", None),
        ("/proc/cpuinfo", None),
        ("/proc/1/root", Some(Path)),
        ("/proc/1/root/etc/binauthd", Some(Path)),
        ("/proc/self/root/", Some(Path)),
        ("/proc/thread-self/root/run", Some(Path)),
        ("/proc/1/task/1/root/etc/binauthd", Some(Path)),
        ("/proc/1/root/proc/2/root/etc/binauthd", Some(Path)),
        ("/proc/1/root/../etc/binauthd", Some(Path)),
        ("/proc/1/root/srv/data", None),
        ("/proc/1/root/proc", Some(Processes)),
        ("/proc/1/cwd", Some(Path)),
        ("/proc/1/cwd/srv", Some(Path)),
        ("/proc/1/fd/7/binauthd", Some(Path)),
        ("/proc/1/exe", Some(Path)),
        ("/proc/1/map_files/55-66", Some(Path)),
        ("/srv/proc/1/root", None),
        ("/dev/fd", Some(Processes)),
        ("/dev/fd/7", Some(Path)),
        ("/dev/fd/7/../..", Some(Path)),
        ("/dev/stdin", Some(Path)),
        ("/dev/fuse", None),
        // Where it starts is not told
        ("etc/binauthd", Some(Path)),
        ("../../../etc", Some(Path)),
        ("srv", Some(Path)),
        ("", Some(Path)),
        // A pod's own files
        ("/var/lib/kubelet/pods/0b1c/volumes/kubernetes.io~empty-dir/tmp", None),
        ("/var/lib/kubelet/pods/0b1c/etc-hosts", None),
        ("/var/lib/kubelet/pods/0b1c/../../../binauthd", Some(Path)),
    ];
    for (source, expected) in rows {
        assert_eq!(reached(source), *expected, "{source}");
    }
}

#[test]
fn what_cri_mounts_itself() {
    let rows = [
        (format!("{ROOT}/sandboxes/{SANDBOX}/hostname"), true),
        (format!("{ROOT}/sandboxes/{SANDBOX}/hosts"), true),
        (format!("{ROOT}/sandboxes/{SANDBOX}/resolv.conf"), true),
        (format!("{STATE}/sandboxes/{SANDBOX}/shm"), true),
        (format!("/var{STATE}/sandboxes/{SANDBOX}/shm"), true),
        (format!("{ROOT}/sandboxes/{SANDBOX}/resolv.conf/"), true),
        (format!("{ROOT}/containers/{CONTAINER}/volumes/{OTHER}"), true),
        (format!("{STATE}/image-volumes/{SANDBOX}/{OTHER}"), true),
        (format!("{STATE}/image-volumes/{SANDBOX}/{OTHER}/models/a"), true),
        // Not the folder, not another's, not another file, not the other place
        (format!("{ROOT}/sandboxes/{SANDBOX}"), false),
        (format!("{ROOT}/sandboxes"), false),
        (ROOT.to_owned(), false),
        (format!("{ROOT}/sandboxes/{OTHER}/hosts"), false),
        (format!("{ROOT}/sandboxes/{SANDBOX}/hosts/x"), false),
        (format!("{ROOT}/sandboxes/{SANDBOX}/shm"), false),
        (format!("{ROOT}/sandboxes/{SANDBOX}/config.json"), false),
        (format!("{ROOT}/sandboxes/{SANDBOX}/../{OTHER}/hosts"), false),
        (format!("{ROOT}/sandboxes//hosts"), false),
        (format!("{STATE}/sandboxes/{SANDBOX}/hosts"), false),
        (format!("{STATE}/sandboxes/{SANDBOX}"), false),
        (format!("{STATE}/sandboxes/{OTHER}/shm"), false),
        (format!("{ROOT}/containers/{OTHER}/volumes/{OTHER}"), false),
        (format!("{ROOT}/containers/{CONTAINER}/volumes"), false),
        (format!("{ROOT}/containers/{CONTAINER}/volumes/a/b"), false),
        (format!("{ROOT}/containers/{CONTAINER}/status"), false),
        (format!("{STATE}/image-volumes/{SANDBOX}"), false),
        (format!("{STATE}/image-volumes/{OTHER}/{OTHER}"), false),
        (format!("{STATE}/image-volumes/{SANDBOX}/abc"), false),
        (format!("{STATE}/image-volumes/{SANDBOX}/{}", OTHER.replace('0', "A")), false),
        (format!("{STATE}/image-volumes/{SANDBOX}/{OTHER}/.."), false),
        (format!("{STATE}/image-volumes/{SANDBOX}/{OTHER}/../../../../containerd.sock"), false),
        (format!("{STATE}x/sandboxes/{SANDBOX}/shm"), false),
    ];
    for (source, is_its_own) in &rows {
        assert_eq!(reached(source).is_none(), *is_its_own, "{source}");
    }
    // Without a sandbox, none of it is.
    let rules = HostRules::default();
    for (source, _) in &rows {
        let sources = [writable(source)];
        let access = HostAccess { sources: &sources, ..HostAccess::default() };
        assert_eq!(reaches(&rules, access, &[]).len(), 1, "{source}");
    }
    let empty = HostAccess { sandbox: Some(""), container: Some(""), ..HostAccess::default() };
    let source = format!("{ROOT}/sandboxes//hosts");
    assert_eq!(reaches(&rules, HostAccess { sources: &[writable(&source)], ..empty }, &[]).len(), 1);
}

#[test]
fn modes_and_listed_digests() {
    use Mode::{Allow, Refuse, Report};
    use Reached::{Path, Privileged, Processes};
    let sources = ["/etc/binauthd", "/srv"].map(writable);
    let all = HostAccess { privileged: true, host_pid: true, ..access(&sources) };
    type Found = &'static [(Reached, bool)];
    let rows: &[(Mode, Mode, Mode, Found)] = &[
        (Refuse, Report, Report, &[(Path, true), (Privileged, false), (Processes, false)]),
        (Report, Refuse, Report, &[(Privileged, true), (Path, false), (Processes, false)]),
        (Report, Report, Refuse, &[(Processes, true), (Path, false), (Privileged, false)]),
        (Refuse, Refuse, Refuse, &[(Path, true), (Privileged, true), (Processes, true)]),
        (Allow, Report, Allow, &[(Privileged, false)]),
        (Allow, Allow, Allow, &[]),
    ];
    let [listed, other] = [Digest::of(b"listed"), Digest::of(b"other")];
    for (paths, privileged, host_pid, expected) in rows {
        let rules = HostRules {
            paths: *paths,
            privileged: *privileged,
            host_pid: *host_pid,
            allowed: [listed].into(),
            ..HostRules::default()
        };
        let found = |digests: &[Digest]| -> Vec<_> {
            reaches(&rules, all, digests).iter().map(|finding| (finding.what, finding.refuses)).collect()
        };
        assert_eq!(found(&[]), *expected);
        assert_eq!(found(&[other]), *expected);
        assert_eq!(found(&[other, listed]), []);
    }
    assert_eq!(reaches(&HostRules::default(), access(&[writable("/srv")]), &[]), []);
}

#[test]
fn what_the_node_runs_by_itself() {
    // Reached by a mount that can be written, and by one that is read-only.
    let rows = [
        ("/etc/systemd/system", true, false),
        ("/etc/systemd/system/x.service", true, false),
        ("/usr/lib/systemd/system-generators", true, false),
        ("/lib/systemd", true, false),
        ("/usr/bin", true, false),
        ("/usr/bin/runc", true, false),
        ("/usr/local", true, false),
        ("/usr/local/sbin", true, false),
        ("/bin", true, false),
        ("/sbin", true, false),
        ("/lib/modules/6.1", true, false),
        ("/usr/lib/x86_64-linux-gnu", true, false),
        ("/usr/libexec/kubernetes/kubelet-plugins", true, false),
        ("/opt/cni/bin", true, false),
        ("/opt/cni", true, false),
        ("/etc/cron.d", true, false),
        ("/etc/crontab", true, false),
        ("/var/spool", true, false),
        ("/etc/ld.so.preload", true, false),
        ("/root/.ssh", true, false),
        ("/sys", true, false),
        ("/run/udev", true, false),
        ("/sys/fs/cgroup", true, false),
        ("/sys/fs/cgroup/kubepods.slice", true, false),
        ("/etc/sysctl.d", true, false),
        ("/etc/sysctl.conf", true, false),
        ("/run/sysctl.d", true, false),
        ("/etc/tmpfiles.d", true, false),
        ("/run/tmpfiles.d", true, false),
        ("/etc/apt/apt.conf.d", true, false),
        ("/etc/profile.d", true, false),
        ("/etc/environment", true, false),
        ("/etc/NetworkManager", true, false),
        ("/etc/polkit-1/rules.d", true, false),
        ("/usr/share/dbus-1/system-services", true, false),
        ("/var/lib/cloud/scripts/per-boot", true, false),
        ("/var/lib/rancher/k3s/data/current/bin", true, false),
        ("/var/lib/kubelet", true, false),
        ("/var/lib/kubelet/config.yaml", true, false),
        ("/var/lib/kubelet/kubeadm-flags.env", true, false),
        // Where it takes orders
        ("/run/systemd", true, true),
        ("/run/systemd/private", true, true),
        ("/run/systemd/system", true, true),
        ("/run/systemd/resolved", true, true),
        ("/run/snapd.socket", true, true),
        ("/run/cri-dockerd.sock", true, true),
        ("/var/run/dbus/system_bus_socket", true, true),
        ("/proc/1/root/run/docker.sock", true, true),
        // Beside them
        ("/run/systemd/resolve", false, false),
        ("/run/systemd/resolve/stub-resolv.conf", false, false),
        ("/run/systemd/journal/socket", false, false),
        ("/run/systemd/netif/links", false, false),
        ("/usr/share/ca-certificates", false, false),
        ("/usr/binary", false, false),
        ("/etc/kubernetes/manifests", false, false),
        ("/etc/cni/net.d", false, false),
        ("/etc/cron.d.bak", false, false),
        ("/run/udev/data", false, false),
        ("/run/dbus2", false, false),
        ("/sys/fs/bpf", false, false),
        ("/var/lib/kubelet/pods", false, false),
        ("/var/lib/kubelet/plugins_registry", false, false),
        ("/var/lib/kubelet/config.yaml.d", false, false),
        ("/var/lib/rancher/k3s/agent/pod-manifests", false, false),
        ("/home", false, false),
    ];
    let refusing = HostRules { programs: Mode::Refuse, ..HostRules::default() };
    let allowing = HostRules { programs: Mode::Allow, ..HostRules::default() };
    for (path, by_writing, by_reading) in rows {
        for (is_readonly, expected) in [(false, by_writing), (true, by_reading)] {
            let sources = [Source { path, is_readonly }];
            let found = |rules: &HostRules| -> Vec<_> {
                let found = reaches(rules, access(&sources), &[]);
                found.iter().map(|finding| (finding.what, finding.refuses)).collect()
            };
            let one = |refuses| if expected { vec![(Reached::Program, refuses)] } else { Vec::new() };
            assert_eq!(found(&HostRules::default()), one(false), "{path} {is_readonly}");
            assert_eq!(found(&refusing), one(true), "{path} {is_readonly}");
            assert_eq!(found(&allowing), [], "{path} {is_readonly}");
        }
    }
}

#[test]
fn a_mount_that_reaches_both_is_told_once_unless_only_one_refuses() {
    use Mode::{Allow, Refuse, Report};
    use Reached::{Path, Program};
    type Found = &'static [(Reached, bool)];
    let rows: [(Mode, Mode, Found); 6] = [
        (Refuse, Refuse, &[(Path, true)]),
        (Refuse, Report, &[(Path, true)]),
        (Report, Refuse, &[(Program, true), (Path, false)]),
        (Report, Report, &[(Path, false)]),
        (Allow, Report, &[(Program, false)]),
        (Allow, Allow, &[]),
    ];
    for (paths, programs, expected) in rows {
        let rules = HostRules { paths, programs, ..HostRules::default() };
        for path in ["/", "/usr", "/etc", "/run"] {
            let found: Vec<_> = reaches(&rules, access(&[writable(path)]), &[])
                .iter()
                .map(|finding| (finding.what, finding.refuses))
                .collect();
            assert_eq!(found, expected, "{path} {paths:?} {programs:?}");
        }
    }
}

#[test]
fn programs_that_are_found() {
    let rules = HostRules::default();
    let found = ["/srv/k3s/bin/containerd", "relative", "/usr/bin/runc", "/containerd", "/opt/r/../rt/runc"];
    let found = rules.running(found.iter().map(|path| (*path).to_owned()));
    for (path, reached) in [
        ("/srv/k3s", true),
        ("/srv/k3s/bin/kubectl", true),
        ("/opt/rt/runc", true),
        ("/opt/r", false),
        ("/srv/x", false),
    ] {
        assert_eq!(!reaches(&found, access(&[writable(path)]), &[]).is_empty(), reached, "{path}");
        assert_eq!(reaches(&rules, access(&[writable(path)]), &[]), [], "{path}");
    }
    let nothing_new = rules.running(["/usr/bin/containerd".to_owned()].into_iter());
    assert!(matches!(nothing_new, Cow::Borrowed(_)));
}

#[test]
fn what_it_says() {
    let sources = ["/proc", "/var/run/nri", "/var/run/nri", "\u{202e}../x"].map(writable);
    let more = ["/opt/cni/bin", "/var/run/dbus"].map(writable);
    let sources = [&sources[..], &more].concat();
    let access = HostAccess { privileged: true, host_pid: true, ..access(&sources) };
    let told: Vec<_> =
        reaches(&HostRules::default(), access, &[]).into_iter().map(|finding| finding.text).collect();
    let expected = [
        "mounts `/var/run/nri`, which reaches `/run/nri` of the node",
        "mounts `\u{fffd}../x`, which starts among the files of containerd",
        "mounts `/opt/cni/bin`, where it can change `/opt/cni/bin`, by which the node runs programs as root",
        "mounts `/var/run/dbus`, where the node takes orders by `/run/dbus`",
        "is privileged",
        "shares the process ids of the node",
        "mounts `/proc`, which shows the processes of the node",
    ];
    assert_eq!(told, expected);
    // However many there are, few are told, and none is long.
    let many: Vec<String> =
        (0..10_000).map(|at| format!("/etc/binauthd/{at}/{}", "x".repeat(3_000))).collect();
    let many: Vec<Source<'_>> = many.iter().map(|path| writable(path)).collect();
    let findings = reaches(&HostRules::default(), HostAccess { sources: &many, ..access }, &[]);
    assert_eq!(findings.len(), MAX_MOUNTS_TOLD + 2);
    assert!(findings.iter().all(|finding| finding.text.len() < 300));
}

#[test]
fn rules_of_another_node() {
    let mut rules = HostRules::default();
    rules.guard("/srv/policy/../policy.yaml");
    rules.guard("relative");
    rules.guard_containerd("/data/containerd/", "/var/run/k3s/containerd");
    let rules = rules.resolved(|path| match path {
        "/data/containerd" => Some("/mnt/disk/containerd".to_owned()),
        "/etc/binauthd" => Some("/srv/etc/binauthd/".to_owned()),
        "/run/nri" => Some("nowhere".to_owned()),
        _ => None,
    });
    let cri = "io.containerd.grpc.v1.cri";
    let rows = [
        ("/srv/policy.yaml".to_owned(), true),
        ("/data".to_owned(), true),
        ("/mnt/disk".to_owned(), true),
        ("/mnt/disk/containerd/x".to_owned(), true),
        ("/srv/etc/binauthd/policy.yaml".to_owned(), true),
        ("/etc/binauthd".to_owned(), true),
        ("/run/k3s".to_owned(), true),
        ("/run/nri".to_owned(), true),
        ("/mnt/other".to_owned(), false),
        ("/relative".to_owned(), false),
        (format!("/data/containerd/{cri}/sandboxes/{SANDBOX}/hosts"), false),
        (format!("/mnt/disk/containerd/{cri}/sandboxes/{SANDBOX}/hosts"), false),
        (format!("/var/run/k3s/containerd/{cri}/sandboxes/{SANDBOX}/shm"), false),
        (format!("/run/k3s/containerd/{cri}/sandboxes/{OTHER}/shm"), true),
    ];
    for (source, found) in &rows {
        assert_eq!(!reaches(&rules, access(&[writable(source)]), &[]).is_empty(), *found, "{source}");
    }
}

/// Paths that lead to, beside and around what is guarded.
fn paths() -> impl Strategy<Value = Vec<&'static str>> {
    let part = prop::sample::select(vec![
        "etc",
        "binauthd",
        "var",
        "run",
        "lib",
        "containerd",
        "proc",
        "1",
        "self",
        "root",
        "cwd",
        "task",
        "fd",
        "nri",
        "opt",
        "srv",
        "..",
        ".",
        "sandboxes",
        "hosts",
        "io.containerd.grpc.v1.cri",
        SANDBOX,
    ]);
    prop::collection::vec(part, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn another_spelling_changes_nothing(
        parts in paths(),
        noise in prop::collection::vec((0_usize..10, prop::sample::select(vec!["/.", "/", "/x/..", "/x/y/../.."])), 0..4),
    ) {
        let plain: String = parts.iter().flat_map(|part| ["/", part]).collect();
        let plain = if plain.is_empty() { "/".to_owned() } else { plain };
        let mut noisy: Vec<String> = parts.iter().map(|part| format!("/{part}")).collect();
        for (place, noise) in noise {
            noisy.insert(place.min(noisy.len()), noise.to_owned());
        }
        let noisy = noisy.concat();
        prop_assume!(!noisy.is_empty());
        prop_assert_eq!(reached(&plain), reached(&noisy), "{} and {}", plain, noisy);
    }

    #[test]
    fn more_that_is_mounted_never_allows(parts in paths(), more in paths()) {
        let spelled = |parts: &[&str]| format!("/{}", parts.join("/"));
        let (one, other) = (spelled(&parts), spelled(&more));
        let rules = HostRules::default();
        let refused = |sources: &[&str]| {
            let sources: Vec<_> = sources.iter().map(|path| writable(path)).collect();
            reaches(&rules, access(&sources), &[]).iter().any(|found| found.refuses)
        };
        prop_assert_eq!(refused(&[&one, &other]), refused(&[&one]) || refused(&[&other]));
        // What holds all of it reaches at least as much.
        prop_assert!(refused(&["/"]));
    }
}
