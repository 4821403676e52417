//! Pods and containers as a kubelet describes them to CRI.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_cri::v1::{
    ContainerConfig, ContainerMetadata, IdMapping, ImageSpec, KeyValue, LinuxContainerConfig,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, Mount, NamespaceMode,
    NamespaceOption, PodSandboxConfig, PodSandboxMetadata, UserNamespace,
};

/// A pod's sandbox.
#[derive(Clone)]
pub(crate) struct Pod {
    pub(crate) id: String,
    pub(super) config: PodSandboxConfig,
}

impl Pod {
    /// The config a kubelet sends for a container of this pod, to be changed before
    /// [`Cri::create_from`](super::Cri::create_from).
    pub(crate) fn container(&self, name: &str, id: &str, text: &str) -> ContainerConfig {
        ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.to_owned(), attempt: 0 }),
            image: Some(ImageSpec {
                image: id.to_owned(),
                user_specified_image: text.to_owned(),
                ..Default::default()
            }),
            log_path: format!("{name}.log"),
            labels: labels(&self.config, Some(name)),
            linux: Some(LinuxContainerConfig {
                security_context: Some(LinuxContainerSecurityContext {
                    namespace_options: self.namespaces(),
                    privileged: self.is_privileged(),
                    masked_paths: self.unless_privileged(&["/proc/kcore", "/proc/keys", "/sys/firmware"]),
                    readonly_paths: self.unless_privileged(&["/proc/bus", "/proc/sys"]),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn unless_privileged(&self, paths: &[&str]) -> Vec<String> {
        paths.iter().filter(|_| !self.is_privileged()).map(|path| (*path).to_owned()).collect()
    }

    /// The config it was made with.
    pub(crate) fn config(&self) -> &PodSandboxConfig {
        &self.config
    }

    fn security(&self) -> Option<&LinuxSandboxSecurityContext> {
        self.config.linux.as_ref()?.security_context.as_ref()
    }

    /// The pod's own: a kubelet gives every container of a pod the same.
    fn namespaces(&self) -> Option<NamespaceOption> {
        self.security()?.namespace_options.clone()
    }

    fn is_privileged(&self) -> bool {
        self.security().is_some_and(|security| security.privileged)
    }

    pub(super) fn log(&self, container: &ContainerConfig) -> PathBuf {
        Path::new(&self.config.log_directory).join(&container.log_path)
    }
}

/// A container of a pod.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(super) log: PathBuf,
}

impl Container {
    /// What it printed so far, without the times and stream names of the CRI log format.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).map(|line| format!("{line}\n")).collect()
    }
}

/// A sandbox of a pod with `hostNetwork: true`.
pub(super) fn config(namespace: &str, name: &str, uid: &str, cgroup: &str, logs: &Path) -> PodSandboxConfig {
    let mut config = PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            uid: uid.to_owned(),
            attempt: 0,
        }),
        log_directory: logs.join(uid).to_string_lossy().into_owned(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: cgroup.to_owned(),
            security_context: Some(LinuxSandboxSecurityContext {
                namespace_options: Some(namespaces()),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    relabel(&mut config);
    config
}

/// The labels a kubelet puts on a sandbox, of what its metadata says now; others stay.
pub(super) fn relabel(config: &mut PodSandboxConfig) {
    let labels = labels(config, None);
    config.labels.extend(labels);
}

/// Makes a pod privileged; [`Pod::container`] makes its containers so too.
pub(crate) fn privileged(config: &mut PodSandboxConfig) {
    security(config).privileged = true;
}

/// `hostPID: true`
pub(crate) fn host_pid(config: &mut PodSandboxConfig) {
    let namespaces = security(config).namespace_options.get_or_insert_default();
    namespaces.pid = NamespaceMode::Node.into();
}

/// `hostUsers: false`, and a network of the pod's own, because the kernel lets nobody mount `/sys` of another
/// user namespace's network. The node's CNI gives no address.
pub(crate) fn own_users(config: &mut PodSandboxConfig) {
    let namespaces = security(config).namespace_options.get_or_insert_default();
    namespaces.network = NamespaceMode::Pod.into();
    let ids = || vec![IdMapping { host_id: 1_000_000, container_id: 0, length: 65_536 }];
    namespaces.userns_options =
        Some(UserNamespace { mode: NamespaceMode::Pod.into(), uids: ids(), gids: ids() });
}

fn security(config: &mut PodSandboxConfig) -> &mut LinuxSandboxSecurityContext {
    config.linux.get_or_insert_default().security_context.get_or_insert_default()
}

/// A bind mount of a folder or file of the node, as a `hostPath` volume makes it.
pub(crate) fn bind(host: &Path, container: &str) -> Mount {
    Mount {
        host_path: host.to_string_lossy().into_owned(),
        container_path: container.to_owned(),
        ..Default::default()
    }
}

/// An environment variable.
pub(crate) fn env(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.into() }
}

/// Those of a pod with `hostNetwork: true`: it needs no CNI.
fn namespaces() -> NamespaceOption {
    NamespaceOption {
        network: NamespaceMode::Node.into(),
        pid: NamespaceMode::Container.into(),
        ..Default::default()
    }
}

/// The labels a kubelet puts on sandboxes and containers.
fn labels(pod: &PodSandboxConfig, container: Option<&str>) -> HashMap<String, String> {
    let metadata = pod.metadata.clone().unwrap_or_default();
    let mut labels = HashMap::from([
        ("io.kubernetes.pod.name".to_owned(), metadata.name),
        ("io.kubernetes.pod.namespace".to_owned(), metadata.namespace),
        ("io.kubernetes.pod.uid".to_owned(), metadata.uid),
    ]);
    if let Some(name) = container {
        labels.insert("io.kubernetes.container.name".to_owned(), name.to_owned());
    }
    labels
}
