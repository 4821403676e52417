//! What containerd's CRI plugin keeps with a container's record: JSON of its own, of version `v1` in every
//! containerd from 1.6 to 2.3 (`pkg/cri/store`, `internal/cri/store`). The outer members have Go's names,
//! the inner ones CRI's. All texts in it are the pod author's.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::image::Digest;
use crate::text::shown;

/// The only version there is.
const VERSION: &str = "v1";

/// What CRI knows of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriContainer {
    /// Its name in the pod.
    pub name: String,
    /// The sandbox of its pod.
    pub sandbox_id: String,
    /// Digest of the config of the image it was made from (`ImageRef`): its process, user and environment
    /// come from that config.
    pub config: Digest,
    /// What CRI was told to run (`image`); a kubelet puts the image id here.
    pub image: String,
    /// The pod's own text (`user_specified_image`); empty where the client gave none.
    pub user_specified_image: String,
    /// The annotations that the CRI client gave.
    pub annotations: BTreeMap<String, String>,
    /// The mounts that the CRI client asked for.
    pub mounts: Vec<CriMount>,
    /// Whether it is privileged.
    pub is_privileged: bool,
    /// Whose processes it sees.
    pub pid: PidNamespace,
}

/// A mount that a CRI client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriMount {
    /// On the host; empty where an image is mounted.
    pub host_path: String,
    /// In the container.
    pub container_path: String,
    /// Whether it is mounted read-only.
    pub is_readonly: bool,
    /// The image that is mounted (image volumes, containerd 2.1 and later).
    pub image: Option<String>,
}

/// Whose processes a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PidNamespace {
    /// The pod's.
    Pod,
    /// Its own.
    Container,
    /// The host's.
    Node,
    /// Another container's.
    Target,
    /// A number that CRI v1 does not know.
    Unknown(i64),
}

/// What CRI knows of a pod's sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriSandbox {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid, as the CRI client gave it; of a static pod it is a hash of its manifest.
    pub uid: String,
    /// The runtime handler; empty for the default one.
    pub runtime_handler: String,
    /// The pod's labels, and the kubelet's.
    pub labels: BTreeMap<String, String>,
    /// The pod's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whose processes the pod sees.
    pub pid: PidNamespace,
    /// Whether the sandbox is privileged, so that its containers may be.
    pub is_privileged: bool,
}

#[derive(Deserialize)]
struct Versioned<T> {
    #[serde(rename = "Metadata", bound(deserialize = "T: Deserialize<'de>"))]
    metadata: T,
}

#[derive(Deserialize)]
struct OnlyVersion {
    #[serde(rename = "Version")]
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireContainer {
    #[serde(rename = "SandboxID")]
    sandbox_id: String,
    config: WireContainerConfig,
    image_ref: String,
}

#[derive(Deserialize)]
struct WireContainerConfig {
    metadata: Named,
    image: Option<WireImage>,
    annotations: Option<BTreeMap<String, String>>,
    mounts: Option<Vec<WireMount>>,
    linux: Option<WireLinux>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireImage {
    image: String,
    user_specified_image: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireMount {
    host_path: String,
    container_path: String,
    readonly: bool,
    image: Option<WireImage>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireLinux {
    security_context: Option<WireSecurity>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireSecurity {
    privileged: bool,
    namespace_options: Option<WireNamespaces>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireNamespaces {
    pid: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireSandbox {
    config: WireSandboxConfig,
    #[serde(default)]
    runtime_handler: String,
}

#[derive(Deserialize)]
struct WireSandboxConfig {
    metadata: WirePod,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    linux: Option<WireLinux>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WirePod {
    name: String,
    uid: String,
    namespace: String,
}

impl CriContainer {
    /// From the extension `io.cri-containerd.container.metadata` of a record.
    ///
    /// # Errors
    /// What is wrong, in words: no JSON, another version, no config digest.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let WireContainer { sandbox_id, config, image_ref } = versioned(bytes)?;
        let digest = image_ref.parse().map_err(|error| format!("`ImageRef`: {error}"))?;
        let image = config.image.unwrap_or_default();
        let (pid, is_privileged) = security(config.linux);
        Ok(Self {
            name: config.metadata.name,
            sandbox_id,
            config: digest,
            image: image.image,
            user_specified_image: image.user_specified_image,
            annotations: config.annotations.unwrap_or_default(),
            mounts: config.mounts.unwrap_or_default().into_iter().map(CriMount::from).collect(),
            is_privileged,
            pid,
        })
    }
}

impl CriSandbox {
    /// From the extension `io.cri-containerd.sandbox.metadata` of a record, or `metadata` of a sandbox.
    ///
    /// # Errors
    /// As [`CriContainer::read`].
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let WireSandbox { config, runtime_handler } = versioned(bytes)?;
        let (pid, is_privileged) = security(config.linux);
        Ok(Self {
            namespace: config.metadata.namespace,
            name: config.metadata.name,
            uid: config.metadata.uid,
            runtime_handler,
            labels: config.labels.unwrap_or_default(),
            annotations: config.annotations.unwrap_or_default(),
            pid,
            is_privileged,
        })
    }
}

impl From<WireMount> for CriMount {
    fn from(wire: WireMount) -> Self {
        Self {
            host_path: wire.host_path,
            container_path: wire.container_path,
            is_readonly: wire.readonly,
            image: wire.image.map(|image| image.image).filter(|image| !image.is_empty()),
        }
    }
}

fn versioned<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let brief = |error: serde_json::Error| shown(&error.to_string(), 160);
    // First, and apart: of another version nothing else is known.
    let OnlyVersion { version } = serde_json::from_slice(bytes).map_err(brief)?;
    if version != VERSION {
        return Err(format!("version `{}`, only `{VERSION}` is known here", shown(&version, 40)));
    }
    let Versioned { metadata } = serde_json::from_slice(bytes).map_err(brief)?;
    Ok(metadata)
}

fn security(linux: Option<WireLinux>) -> (PidNamespace, bool) {
    let context = linux.and_then(|linux| linux.security_context).unwrap_or_default();
    // What is left out is 0 (protobuf), and 0 is the pod's.
    let pid = match context.namespace_options.unwrap_or_default().pid {
        0 => PidNamespace::Pod,
        1 => PidNamespace::Container,
        2 => PidNamespace::Node,
        3 => PidNamespace::Target,
        other => PidNamespace::Unknown(other),
    };
    (pid, context.privileged)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "sha256:259f39f4b5f7b8b2f127f55fae76f15bbd1fc0fc53869a5cff07f5b7942cb88a";

    /// As containerd 2.1.9 writes it, shortened.
    fn container() -> Value {
        json!({"Version": "v1", "Metadata": {
            "ID": "17b2", "Name": "main_app_default_app-0_0", "SandboxID": "acdd",
            "Config": {
                "metadata": {"name": "main"},
                "image": {"image": ID, "user_specified_image": "localhost:5000/shop/app:1"},
                "labels": {"io.kubernetes.pod.name": "app"},
                "annotations": {"a": "b"},
                "mounts": [
                    {"container_path": "/data", "host_path": "/srv", "readonly": true, "propagation": 1},
                    {"container_path": "/models", "image": {"image": "localhost:5000/models:1"}},
                ],
                "log_path": "main.log",
                "linux": {"security_context": {"privileged": true, "namespace_options": {"network": 2, "pid": 2}}},
            },
            "ImageRef": ID, "LogPath": "/main.log", "StopSignal": "", "ProcessLabel": "",
        }})
    }

    fn sandbox() -> Value {
        json!({"Version": "v1", "Metadata": {
            "ID": "acdd", "Name": "app_default_app-0_0",
            "Config": {
                "metadata": {"name": "app", "uid": "app-0", "namespace": "default"},
                "labels": {"app": "app"},
                "log_directory": "/pods/app-0",
                "linux": {"cgroup_parent": "/x", "security_context": {"namespace_options": {"network": 2, "pid": 1}}},
            },
            "NetNSPath": "", "IP": "", "AdditionalIPs": null, "RuntimeHandler": "kata", "CNIResult": null,
        }})
    }

    #[test]
    fn a_container_of_cri() {
        let found = CriContainer::read(container().to_string().as_bytes()).unwrap();
        let mount = |host: &str, container: &str, is_readonly, image: Option<&str>| CriMount {
            host_path: host.into(),
            container_path: container.into(),
            is_readonly,
            image: image.map(str::to_owned),
        };
        let expected = CriContainer {
            name: "main".into(),
            sandbox_id: "acdd".into(),
            config: ID.parse().unwrap(),
            image: ID.into(),
            user_specified_image: "localhost:5000/shop/app:1".into(),
            annotations: [("a".to_owned(), "b".to_owned())].into(),
            mounts: vec![
                mount("/srv", "/data", true, None),
                mount("", "/models", false, Some("localhost:5000/models:1")),
            ],
            is_privileged: true,
            pid: PidNamespace::Node,
        };
        assert_eq!(found, expected);
        // What is zero or empty, Go leaves out.
        let bare = json!({"Version": "v1", "Metadata": {
            "SandboxID": "", "Config": {"metadata": {"name": "main"}}, "ImageRef": ID,
        }});
        let found = CriContainer::read(bare.to_string().as_bytes()).unwrap();
        assert_eq!((found.is_privileged, found.pid, found.mounts.len()), (false, PidNamespace::Pod, 0));
        let odd = container().to_string().replace("\"pid\":2", "\"pid\":9");
        assert_eq!(CriContainer::read(odd.as_bytes()).unwrap().pid, PidNamespace::Unknown(9));
    }

    #[test]
    fn a_sandbox_of_cri() {
        let found = CriSandbox::read(sandbox().to_string().as_bytes()).unwrap();
        assert_eq!(
            (found.namespace.as_str(), found.name.as_str(), found.uid.as_str()),
            ("default", "app", "app-0")
        );
        assert_eq!((found.runtime_handler.as_str(), found.is_privileged), ("kata", false));
        assert_eq!((found.pid, found.annotations.len()), (PidNamespace::Container, 0));
        assert_eq!(found.labels, [("app".to_owned(), "app".to_owned())].into());
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let rows = [
            (container().to_string().replace("\"v1\"", "\"v2\""), "version `v2`"),
            (container().to_string().replace("Version", "version"), "missing field `Version`"),
            (r#"{"Version":"v2"}"#.to_owned(), "version `v2`"),
            (r#"{"Version":"v1"}"#.to_owned(), "missing field `Metadata`"),
            (container().to_string().replace("\"ImageRef\":\"sha256:", "\"ImageRef\":\""), "`ImageRef`"),
            (container().to_string().replace("ImageRef", "imageRef"), "missing field `ImageRef`"),
            (
                container().to_string().replace("\"privileged\":true", "\"privileged\":\"true\""),
                "invalid type",
            ),
            (sandbox().to_string(), "missing field `SandboxID`"),
            (String::new(), "EOF"),
        ];
        for (text, part) in rows {
            let error = CriContainer::read(text.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{text} gave {error:?}, which lacks {part:?}");
        }
    }
}
