//! Static pods, as the manifests say that kubelet reads from a folder of this node (`staticPodPath`).
//!
//! kubelet takes every file whose name does not begin with a dot, as YAML or JSON. What is no pod is told and hides
//! no other; which images a pod runs is all that is looked at.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::bounded;
use crate::document::{self, DocumentError, Format};

/// The largest manifest, in bytes.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// The most files of a folder.
const MAX_FILES: usize = 1_024;

/// A static pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticPod {
    /// Where it is written down.
    pub path: PathBuf,
    /// Its namespace; `default` where it names none.
    pub namespace: String,
    /// Its name, without the node's.
    pub name: String,
    /// The images of its containers and image volumes, as written, each once.
    pub images: Vec<String>,
}

/// Why a manifest counts for nothing.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It, or the folder, cannot be read.
    #[error("`{}`: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// It is no YAML and no JSON, or no pod.
    #[error("`{}` is not a pod: {cause}", path.display())]
    Pod {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: DocumentError,
    },
    /// Something else than a pod.
    #[error("`{}` holds a `{kind}`, not a Pod", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it says that it is.
        kind: String,
    },
    /// More files than are read.
    #[error("`{}` holds more than {MAX_FILES} files", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
}

#[derive(Deserialize)]
struct PodDocument {
    kind: String,
    #[serde(default)]
    metadata: MetadataDocument,
    spec: SpecDocument,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct MetadataDocument {
    name: String,
    namespace: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct SpecDocument {
    init_containers: Option<Vec<ContainerDocument>>,
    containers: Option<Vec<ContainerDocument>>,
    volumes: Option<Vec<VolumeDocument>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ContainerDocument {
    image: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct VolumeDocument {
    image: Option<ReferenceDocument>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ReferenceDocument {
    reference: String,
}

/// Reads the manifests of `folder`, in the order of their names.
///
/// # Errors
/// [`ManifestError::Io`] and [`ManifestError::TooMany`] for the folder; of files, those that count for nothing are
/// the second part of the answer.
pub fn static_pods(folder: &Path) -> Result<(Vec<StaticPod>, Vec<ManifestError>), ManifestError> {
    let cannot = |cause| ManifestError::Io { path: folder.to_owned(), cause };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // kubelet looks into no folder, and follows links.
        if is_hidden || fs::metadata(entry.path()).is_ok_and(|about| about.is_dir()) {
            continue;
        }
        if paths.len() == MAX_FILES {
            return Err(ManifestError::TooMany { path: folder.to_owned() });
        }
        paths.push(entry.path());
    }
    paths.sort();
    let (mut pods, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        match pod(path) {
            Ok(pod) => pods.push(pod),
            Err(problem) => problems.push(problem),
        }
    }
    Ok((pods, problems))
}

fn pod(path: PathBuf) -> Result<StaticPod, ManifestError> {
    let bytes = match read(&path) {
        Ok(bytes) => bytes,
        Err(cause) => return Err(ManifestError::Io { path, cause }),
    };
    // YAML is read whatever the name ends in, and JSON is YAML.
    let pod: PodDocument = match document::parse(&bytes, Format::Yaml) {
        Ok(pod) => pod,
        Err(cause) => return Err(ManifestError::Pod { path, cause }),
    };
    if pod.kind != "Pod" {
        return Err(ManifestError::Kind { path, kind: crate::text::shown(&pod.kind, 60) });
    }
    let containers = pod.spec.init_containers.into_iter().chain(pod.spec.containers).flatten();
    let volumes = pod.spec.volumes.into_iter().flatten().filter_map(|volume| volume.image);
    let mut images = Vec::new();
    for image in containers.map(|container| container.image).chain(volumes.map(|volume| volume.reference)) {
        if !image.is_empty() && !images.contains(&image) {
            images.push(image);
        }
    }
    let namespace = pod.metadata.namespace.unwrap_or_else(|| "default".to_owned());
    Ok(StaticPod { path, namespace, name: pod.metadata.name, images })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would hold us up.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    bounded::bytes(fs::File::open(path)?, MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_static_pods_run() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "etcd.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: etcd, namespace: kube-system}\nspec:\n  initContainers:\n  \
             - {name: a, image: 'r/init:1'}\n  containers:\n  - {name: b, image: 'r/etcd:3'}\n  - {name: c, image: 'r/init:1'}\n  \
             volumes:\n  - {name: v, image: {reference: 'r/data:1'}}\n  - {name: w, hostPath: {path: /}}\n  hostNetwork: yes\n",
        );
        write("proxy.json", r#"{"kind": "Pod", "spec": {"containers": [{"image": "r/proxy"}]}}"#);
        write(".hidden.yaml", "no: pod");
        write("service.yaml", "kind: Service\nspec: {}");
        write("broken.yaml", "kind: [");
        write("none.yaml", "kind: Pod");
        fs::create_dir(folder.path().join("folder")).unwrap();
        let (pods, problems) = static_pods(folder.path()).unwrap();
        let found: Vec<_> = pods
            .iter()
            .map(|pod| format!("{}/{} {}", pod.namespace, pod.name, pod.images.join(",")))
            .collect();
        assert_eq!(found, ["kube-system/etcd r/init:1,r/etcd:3,r/data:1", "default/ r/proxy"]);
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains("broken.yaml") && problems[1].contains("none.yaml"), "{problems:?}");
        assert!(problems[2].contains("service.yaml` holds a `Service`"), "{problems:?}");
        assert!(static_pods(&folder.path().join("gone")).is_err());
    }
}
