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
        let WireContainer { config, image_ref } = versioned(bytes)?;
        let digest = image_ref.parse().map_err(|error| format!("`ImageRef`: {error}"))?;
        let image = config.image.unwrap_or_default();
        let (pid, is_privileged) = security(config.linux);
        Ok(Self {
            name: config.metadata.name,
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
