//! What is read of an OCI runtime specification, `config.json` (opencontainers/runtime-spec 1.0 to 1.2).
//!
//! Members that are not read here are passed over; `null` counts as absent, as Go writes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Each of these reaches the host by itself outside of a user namespace.
pub const CAPABILITIES: [&str; 6] =
    ["SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "DAC_READ_SEARCH", "BPF"];
/// The types of mounts that hold nothing of the host's.
pub const FILE_SYSTEMS: [&str; 8] =
    ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "hugetlbfs"];

#[derive(Deserialize)]
pub(super) struct Specification {
    root: Option<Root>,
    process: Option<Process>,
    mounts: Option<Vec<Mount>>,
    annotations: Option<BTreeMap<String, String>>,
    linux: Option<Linux>,
}

#[derive(Deserialize)]
struct Root {
    path: Option<String>,
}

#[derive(Deserialize)]
struct Process {
    capabilities: Option<BTreeMap<String, Option<Vec<String>>>>,
}

#[derive(Deserialize)]
struct Mount {
    #[serde(rename = "type")]
    kind: Option<String>,
    source: Option<String>,
    destination: Option<String>,
    options: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    namespaces: Option<Vec<Namespace>>,
    resources: Option<Resources>,
    masked_paths: Option<Vec<String>>,
    readonly_paths: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    path: Option<String>,
}

#[derive(Deserialize)]
struct Resources {
    devices: Option<Vec<DeviceRule>>,
}

#[derive(Deserialize)]
struct DeviceRule {
    #[serde(default)]
    allow: bool,
    #[serde(rename = "type")]
    kind: Option<String>,
    major: Option<i64>,
    minor: Option<i64>,
    access: Option<String>,
}

impl Specification {
    pub(super) fn root(&self) -> Option<&str> {
        self.root.as_ref()?.path.as_deref().filter(|path| !path.is_empty())
    }

    pub(super) fn annotations(&self, is_wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
        let all = self.annotations.iter().flatten();
        all.filter(|(key, _)| is_wanted(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// What bind mounts reach, and whether read-only; a relative source lies in the bundle.
    pub(super) fn bind_sources(&self, bundle: &Path) -> impl Iterator<Item = (PathBuf, bool)> {
        let binds = self.mounts.iter().flatten().filter(|mount| mount.is_bind());
        binds.map(|mount| (bundle.join(mount.source.as_deref().unwrap_or_default()), mount.is_readonly()))
    }

    /// Whether it has a namespace of that kind that is not this process's own, which is the runtime's and so
    /// the host's. One that cannot be looked at counts as the host's.
    pub(super) fn has_own_namespace(&self, kind: &str) -> bool {
        let all = self.linux.iter().filter_map(|linux| linux.namespaces.as_ref()).flatten();
        let mut of_kind = all.filter(|namespace| namespace.kind == kind).peekable();
        of_kind.peek().is_some()
            && of_kind.all(|namespace| match namespace.path.as_deref() {
                None | Some("") => true,
                Some(path) => is_foreign(Path::new(path), kind),
            })
    }

    /// By the marks in the table of [`super`].
    pub(super) fn is_privileged(&self) -> bool {
        let Some(linux) = &self.linux else { return true };
        self.has_reaching_capability()
            || linux.reaches_devices()
            || self.mounts.iter().flatten().any(|mount| mount.reaches_host(linux))
    }

    fn has_reaching_capability(&self) -> bool {
        let sets = self.process.iter().filter_map(|process| process.capabilities.as_ref());
        let named = sets.flat_map(BTreeMap::values).flatten().flatten();
        named
            .map(|name| name.to_ascii_uppercase())
            .any(|name| CAPABILITIES.contains(&name.strip_prefix("CAP_").unwrap_or(&name)))
    }
}

fn is_foreign(path: &Path, kind: &str) -> bool {
    use std::os::unix::fs::MetadataExt;
    let of = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    let own = Path::new("/proc/self/ns").join(kind);
    matches!((of(path), of(&own)), (Ok(path), Ok(own)) if path != own)
}

impl Linux {
    /// Rules are obeyed in order, and one for all devices makes those before it void. Before the first there
    /// is what the runtime or the kernel has, which may be everything.
    fn reaches_devices(&self) -> bool {
        let rules = self.resources.iter().filter_map(|resources| resources.devices.as_ref()).flatten();
        rules.fold(true, |reaches, rule| match rule.kind.as_deref() {
            None | Some("" | "a") => rule.allow,
            Some(kind) => reaches || (rule.allow && rule.is_wide(kind)),
        })
    }
}

impl DeviceRule {
    fn is_wide(&self, kind: &str) -> bool {
        let is_any = |number: Option<i64>| number.is_none_or(|number| number < 0);
        // Making a node is not opening it.
        let opens = self.access.as_deref().is_none_or(|access| access != "m");
        // All terminals share a major number, as do all disks of a driver.
        opens && (is_any(self.major) || (kind == "b" && is_any(self.minor)))
    }
}

impl Mount {
    fn has_option(&self, option: &str) -> bool {
        self.options.iter().flatten().any(|given| given == option)
    }

    /// The runtime binds what has the option, whatever its type.
    fn is_bind(&self) -> bool {
        matches!(self.kind.as_deref(), Some("bind" | "rbind"))
            || self.has_option("bind")
            || self.has_option("rbind")
    }

    /// Whichever of two that contradict each other the runtime obeys.
    fn is_readonly(&self) -> bool {
        let has_one = |of: [&str; 2]| of.into_iter().any(|option| self.has_option(option));
        has_one(["ro", "rro"]) && !has_one(["rw", "rrw"])
    }

    fn reaches_host(&self, linux: &Linux) -> bool {
        if self.is_bind() {
            return false; // its source says what it reaches
        }
        match self.kind.as_deref() {
            Some("proc") => {
                let is_guarded = |paths: &Option<Vec<String>>, path: Option<&str>| {
                    paths.iter().flatten().any(|guarded| path.is_none_or(|path| guarded == path))
                };
                self.destination.as_deref() != Some("/proc")
                    || !is_guarded(&linux.masked_paths, None)
                    || !is_guarded(&linux.readonly_paths, Some("/proc/sys"))
            }
            Some("sysfs") => !self.is_readonly(),
            Some(kind) => !FILE_SYSTEMS.contains(&kind),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// As containerd writes it for an ordinary container, as far as it is read here.
    fn ordinary() -> Value {
        let capabilities = json!(["CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_MKNOD"]);
        json!({
            "ociVersion": "1.1.0",
            "root": {"path": "rootfs"},
            "process": {"args": ["sh"], "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": null}},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]},
                {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
                {"destination": "/etc/hosts", "type": "bind", "source": "/var/lib/kubelet/hosts", "options": ["rbind"]},
            ],
            "linux": {
                "resources": {"devices": [
                    {"allow": false, "access": "rwm"},
                    {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
                    {"allow": true, "type": "c", "major": 136, "access": "rwm"},
                    {"allow": true, "type": "b", "access": "m"},
                    {"allow": true, "type": "b", "major": 8, "minor": 1, "access": "rwm"},
                ]},
                "namespaces": [{"type": "pid"}, {"type": "mount"}],
                "maskedPaths": ["/proc/kcore"],
                "readonlyPaths": ["/proc/bus", "/proc/sys"],
            },
        })
    }

    fn read(value: &Value) -> Specification {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn each_mark_is_enough() {
        assert!(!read(&ordinary()).is_privileged());
        let mount = |kind: &str, destination: &str, options: Value| json!({"type": kind, "source": "/dev/sda1", "destination": destination, "options": options});
        let add = |at: &str, value: Value| (at.to_owned(), value);
        for (at, value) in [
            add("/process/capabilities/bounding/0", json!("CAP_SYS_ADMIN")),
            add("/process/capabilities/permitted", json!(["cap_sys_module"])),
            add("/process/capabilities/effective/1", json!("DAC_READ_SEARCH")),
            add("/linux/resources/devices", json!([{"allow": true, "access": "rwm"}])),
            add("/linux/resources/devices", json!([])),
            add("/linux/resources/devices", Value::Null),
            add("/linux/resources", Value::Null),
            add(
                "/linux/resources/devices/4",
                json!({"allow": true, "type": "a", "major": 1, "minor": 1, "access": "m"}),
            ),
            add("/linux/resources/devices/4", json!({"allow": true, "type": "b", "major": 8, "access": "r"})),
            add("/linux/resources/devices/4", json!({"allow": true, "type": "b", "major": 8, "minor": -1})),
            add("/linux/resources/devices/4", json!({"allow": true, "type": "c", "minor": 1, "access": "w"})),
            add("/linux/maskedPaths", json!([])),
            add("/linux/readonlyPaths", Value::Null),
            add("/linux/readonlyPaths", json!(["/proc/bus"])),
            add("/linux", Value::Null),
            add("/mounts/0", mount("proc", "/p", json!([]))),
            add("/mounts/2", mount("sysfs", "/sys", json!([]))),
            add("/mounts/2", mount("sysfs", "/sys", json!(["ro", "rw"]))),
            add("/mounts/1", mount("ext4", "/mnt", json!(["ro"]))),
            add("/mounts/1", mount("devtmpfs", "/dev", json!([]))),
            add("/mounts/1", json!({"source": "/dev/sda1", "destination": "/mnt"})),
        ] {
            let mut specification = ordinary();
            *specification.pointer_mut(&at).unwrap() = value.clone();
            assert!(read(&specification).is_privileged(), "{at} = {value}");
        }
    }

    #[test]
    fn some_look_like_marks_and_are_none() {
        for (at, value) in [
            ("/mounts/0", json!({"type": "tmpfs", "destination": "/proc"})),
            ("/process", Value::Null),
            ("/process/capabilities/bounding/0", json!("CAP_SYS_PTRACE")),
            ("/linux/resources/devices", json!([{"allow": true}, {"allow": false}])),
            ("/mounts/1", json!({"type": "ext4", "source": "/a", "destination": "/b", "options": ["rbind"]})),
        ] {
            let mut specification = ordinary();
            *specification.pointer_mut(at).unwrap() = value.clone();
            assert!(!read(&specification).is_privileged(), "{at} = {value}");
        }
    }

    #[test]
    fn what_binds_reach() {
        for (mount, expected) in [
            (json!({"type": "bind", "source": "/etc"}), Some(("/etc", false))),
            (
                json!({"type": "none", "source": "/etc/../run", "options": ["ro", "rbind"]}),
                Some(("/etc/../run", true)),
            ),
            (json!({"source": "data", "options": ["bind"]}), Some(("/b/data", false))),
            (json!({"source": "/d", "options": ["rbind", "rro"]}), Some(("/d", true))),
            (json!({"source": "/d", "options": ["bind", "ro", "rw"]}), Some(("/d", false))),
            (json!({"source": "/d", "options": ["bind", "rw", "ro"]}), Some(("/d", false))),
            (json!({"type": "bind"}), Some(("/b/", false))),
            (json!({"type": "tmpfs", "source": "/etc"}), None),
        ] {
            let specification = read(&json!({"mounts": [mount]}));
            let sources: Vec<_> = specification.bind_sources(Path::new("/b")).collect();
            let expected = expected.map(|(path, is_readonly)| (PathBuf::from(path), is_readonly));
            assert_eq!(sources, expected.into_iter().collect::<Vec<_>>(), "{mount}");
        }
    }

    #[test]
    fn namespaces_are_own_or_the_hosts() {
        let own = "/proc/self/ns/pid";
        let other = "/proc/self/ns/mnt"; // any namespace that is not the host's of the kind asked for
        for (namespaces, expected) in [
            (json!([{"type": "pid"}]), true),
            (json!([{"type": "pid", "path": ""}]), true),
            (json!([{"type": "pid", "path": other}]), true),
            (json!([{"type": "pid", "path": own}]), false),
            (json!([{"type": "pid"}, {"type": "pid", "path": own}]), false),
            (json!([{"type": "pid", "path": "/no/where"}]), false),
            (json!([{"type": "mount"}]), false),
            (json!([]), false),
            (Value::Null, false),
        ] {
            let specification = read(&json!({"linux": {"namespaces": namespaces}}));
            assert_eq!(specification.has_own_namespace("pid"), expected, "{namespaces}");
        }
        assert!(!read(&json!({})).has_own_namespace("pid"));
    }
}
