//! The parts of a container's OCI runtime spec (`config.md`, runtime-spec 1.0 to 1.2) that say what it
//! runs and what of the host it reaches.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::text::shown;

/// What a container's spec asks for. For containers of CRI other plugins may change it after the record
/// was written: the bundle's `config.json` is what runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecFacts {
    /// The process and its arguments.
    pub args: Vec<String>,
    /// The annotations.
    pub annotations: BTreeMap<String, String>,
    /// Path of the root filesystem, as it is written.
    pub root: String,
    /// The mounts, in their order.
    pub mounts: Vec<SpecMount>,
    /// The namespaces that it has of its own or joins; a kind that is not here is the host's.
    pub namespaces: Vec<SpecNamespace>,
    /// The capabilities that the process may come to have (`bounding`), as they are spelled.
    pub capabilities: Vec<String>,
    /// Whether every device of the host may be opened.
    pub all_devices: bool,
    /// The programs of the `createRuntime` hooks, in their order.
    pub create_runtime_hooks: Vec<String>,
}

/// A mount of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecMount {
    /// In the container.
    pub destination: String,
    /// On the host for a bind mount.
    pub source: String,
    /// Of what kind (`bind`, `proc`, …); empty where none is given.
    pub kind: String,
    /// As in fstab.
    pub options: Vec<String>,
}

/// A namespace of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecNamespace {
    /// `pid`, `network`, `mount`, …
    pub kind: String,
    /// The one that is joined; a new one where there is none.
    pub path: Option<String>,
}

#[derive(Deserialize)]
struct Wire {
    process: Option<Process>,
    annotations: Option<BTreeMap<String, String>>,
    root: Option<Root>,
    mounts: Option<Vec<Mount>>,
    linux: Option<Linux>,
    hooks: Option<Hooks>,
}

#[derive(Deserialize)]
struct Process {
    args: Option<Vec<String>>,
    capabilities: Option<Capabilities>,
}

#[derive(Deserialize)]
struct Capabilities {
    bounding: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Root {
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Mount {
    destination: String,
    source: String,
    r#type: String,
    options: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Linux {
    namespaces: Option<Vec<Namespace>>,
    resources: Option<Resources>,
}

#[derive(Deserialize)]
struct Namespace {
    r#type: String,
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
struct Resources {
    devices: Option<Vec<Device>>,
}

#[derive(Deserialize)]
struct Device {
    #[serde(default)]
    allow: bool,
    r#type: Option<String>,
    major: Option<i64>,
    minor: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hooks {
    create_runtime: Option<Vec<Hook>>,
}

#[derive(Deserialize)]
struct Hook {
    path: String,
}

impl SpecFacts {
    /// From the JSON of a spec.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let wire: Wire = serde_json::from_slice(bytes).map_err(|error| shown(&error.to_string(), 160))?;
        let (args, capabilities) =
            wire.process.map(|process| (process.args, process.capabilities)).unwrap_or_default();
        let (namespaces, resources) =
            wire.linux.map(|linux| (linux.namespaces, linux.resources)).unwrap_or_default();
        let devices = resources.and_then(|resources| resources.devices).unwrap_or_default();
        let hooks = wire.hooks.and_then(|hooks| hooks.create_runtime).unwrap_or_default();
        Ok(Self {
            args: args.unwrap_or_default(),
            annotations: wire.annotations.unwrap_or_default(),
            root: wire.root.map(|root| root.path).unwrap_or_default(),
            mounts: wire.mounts.unwrap_or_default().into_iter().map(SpecMount::from).collect(),
            namespaces: namespaces.unwrap_or_default().into_iter().map(SpecNamespace::from).collect(),
            capabilities: capabilities.and_then(|sets| sets.bounding).unwrap_or_default(),
            all_devices: devices.iter().any(Device::is_all),
            create_runtime_hooks: hooks.into_iter().map(|hook| hook.path).collect(),
        })
    }

    /// Whether the container has no namespace of this kind of its own and joins none: it is in the host's.
    #[must_use]
    pub fn shares_with_host(&self, kind: &str) -> bool {
        !self.namespaces.iter().any(|namespace| namespace.kind == kind)
    }
}

impl Device {
    fn is_all(&self) -> bool {
        let any = |number: Option<i64>| number.is_none_or(|number| number < 0);
        self.allow
            && self.r#type.as_deref().is_none_or(|kind| matches!(kind, "" | "a"))
            && any(self.major)
            && any(self.minor)
    }
}

impl From<Mount> for SpecMount {
    fn from(wire: Mount) -> Self {
        Self {
            destination: wire.destination,
            source: wire.source,
            kind: wire.r#type,
            options: wire.options.unwrap_or_default(),
        }
    }
}

impl From<Namespace> for SpecNamespace {
    fn from(wire: Namespace) -> Self {
        Self { kind: wire.r#type, path: Some(wire.path).filter(|path| !path.is_empty()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: &Value) -> SpecFacts {
        SpecFacts::read(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_a_spec_asks_for() {
        let found = read(&json!({
            "ociVersion": "1.2.1",
            "process": {"args": ["sh", "-c", "true"], "capabilities": {"bounding": ["CAP_KILL"]}},
            "root": {"path": "rootfs"},
            "annotations": {"a": "b"},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
                {"destination": "/data", "source": "/srv"},
            ],
            "hooks": {"createRuntime": [{"path": "/usr/libexec/hook", "args": ["hook"]}]},
            "linux": {
                "namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}],
                "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            },
        }));
        let mount = |destination: &str, source: &str, kind: &str, options: &[&str]| SpecMount {
            destination: destination.into(),
            source: source.into(),
            kind: kind.into(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        let namespace = |kind: &str, path: Option<&str>| SpecNamespace {
            kind: kind.into(),
            path: path.map(str::to_owned),
        };
        let expected = SpecFacts {
            args: vec!["sh".into(), "-c".into(), "true".into()],
            annotations: [("a".to_owned(), "b".to_owned())].into(),
            root: "rootfs".into(),
            mounts: vec![mount("/proc", "proc", "proc", &["nosuid"]), mount("/data", "/srv", "", &[])],
            namespaces: vec![namespace("pid", None), namespace("network", Some("/proc/1/ns/net"))],
            capabilities: vec!["CAP_KILL".into()],
            all_devices: false,
            create_runtime_hooks: vec!["/usr/libexec/hook".into()],
        };
        assert_eq!(found, expected);
        assert!(found.shares_with_host("user") && !found.shares_with_host("network"));
        assert_eq!(read(&json!({})), SpecFacts::default());
        let empty = json!({"process": null, "mounts": null, "linux": {"namespaces": null}, "hooks": {}});
        assert_eq!(read(&empty), SpecFacts::default());
    }

    #[test]
    fn whether_every_device_may_be_opened() {
        let rows = [
            (json!([{"allow": true, "access": "rwm"}]), true),
            (json!([{"allow": true, "type": "a"}]), true),
            (json!([{"allow": false}, {"allow": true, "type": "a", "major": -1, "minor": -1}]), true),
            (json!([{"allow": true, "type": "c", "major": 1, "minor": 3}]), false),
            (json!([{"allow": true, "type": "b"}]), false),
            (json!([{"allow": true, "type": "a", "major": 1}]), false),
            (json!([{"allow": false}]), false),
            (json!([{}]), false),
            (json!(null), false),
        ];
        for (devices, all) in rows {
            let spec = read(&json!({"linux": {"resources": {"devices": devices}}}));
            assert_eq!(spec.all_devices, all, "{spec:?}");
        }
    }

    #[test]
    fn what_is_no_spec() {
        for text in ["", "[", "5", r#"{"mounts":5}"#, r#"{"process":{"args":"sh"}}"#] {
            assert!(SpecFacts::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
