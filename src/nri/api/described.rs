//! What requests are about: pods, containers and what plugins make of them.

use std::collections::BTreeMap;

use prost::Message;

/// A pod, from CRI.
#[derive(Clone, PartialEq, Message)]
pub struct PodSandbox {
    /// Its sandbox's id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Its uid.
    #[prost(string, tag = "3")]
    pub uid: String,
    /// Its Kubernetes namespace.
    #[prost(string, tag = "4")]
    pub namespace: String,
    /// Its labels, and the kubelet's.
    #[prost(btree_map = "string, string", tag = "5")]
    pub labels: BTreeMap<String, String>,
    /// Its annotations, and the runtime's. A client of CRI may write any.
    #[prost(btree_map = "string, string", tag = "6")]
    pub annotations: BTreeMap<String, String>,
    /// Which runtime handler runs it; empty is the default one.
    #[prost(string, tag = "7")]
    pub runtime_handler: String,
    /// What Linux knows of it.
    #[prost(message, optional, tag = "8")]
    pub linux: Option<LinuxPodSandbox>,
    /// The process of its pause container, where the runtime tells it.
    #[prost(uint32, tag = "9")]
    pub pid: u32,
    /// Its addresses.
    #[prost(string, repeated, tag = "10")]
    pub ips: Vec<String>,
}

/// A pod, on Linux.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxPodSandbox {
    /// The cgroup of its containers.
    #[prost(string, tag = "3")]
    pub cgroup_parent: String,
    /// Its own cgroup.
    #[prost(string, tag = "4")]
    pub cgroups_path: String,
    /// Its namespaces.
    #[prost(message, repeated, tag = "5")]
    pub namespaces: Vec<LinuxNamespace>,
}

/// A container, from CRI and its OCI spec.
#[derive(Clone, PartialEq, Message)]
pub struct Container {
    /// Its id, which is its snapshot's key in containerd.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The id of its pod.
    #[prost(string, tag = "2")]
    pub pod_sandbox_id: String,
    /// Its name in the pod.
    #[prost(string, tag = "3")]
    pub name: String,
    /// 0 unknown, 1 created, 2 paused, 3 running, 4 stopped.
    #[prost(int32, tag = "4")]
    pub state: i32,
    /// Its labels.
    #[prost(btree_map = "string, string", tag = "5")]
    pub labels: BTreeMap<String, String>,
    /// Its annotations. A client of CRI may write any, also those that look like the runtime's own.
    #[prost(btree_map = "string, string", tag = "6")]
    pub annotations: BTreeMap<String, String>,
    /// Its command line.
    #[prost(string, repeated, tag = "7")]
    pub args: Vec<String>,
    /// Its environment, `NAME=value`.
    #[prost(string, repeated, tag = "8")]
    pub env: Vec<String>,
    /// Its mounts.
    #[prost(message, repeated, tag = "9")]
    pub mounts: Vec<Mount>,
    /// Its OCI hooks.
    #[prost(message, optional, tag = "10")]
    pub hooks: Option<Hooks>,
    /// What Linux knows of it.
    #[prost(message, optional, tag = "11")]
    pub linux: Option<LinuxContainer>,
    /// Its process, once it has one.
    #[prost(uint32, tag = "12")]
    pub pid: u32,
    /// In nanoseconds since 1970, like the two that follow; 0 is not yet.
    #[prost(int64, tag = "14")]
    pub created_at: i64,
    /// See above.
    #[prost(int64, tag = "15")]
    pub started_at: i64,
    /// See above.
    #[prost(int64, tag = "16")]
    pub finished_at: i64,
    /// Once it has ended.
    #[prost(int32, tag = "17")]
    pub exit_code: i32,
    /// For machines.
    #[prost(string, tag = "18")]
    pub status_reason: String,
    /// For people.
    #[prost(string, tag = "19")]
    pub status_message: String,
    /// Devices by their CDI names.
    #[prost(message, repeated, tag = "20")]
    pub cdi_devices: Vec<CdiDevice>,
    /// Who it runs as.
    #[prost(message, optional, tag = "21")]
    pub user: Option<User>,
    /// Its image; 0.12.2 and later.
    #[prost(message, optional, tag = "22")]
    pub image: Option<Image>,
}

/// The image of a container.
#[derive(Clone, PartialEq, Message)]
pub struct Image {
    /// The reference it was found by.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Of its index or manifest.
    #[prost(string, tag = "2")]
    pub digest: String,
    /// Of its config.
    #[prost(string, tag = "3")]
    pub config_digest: String,
}

/// A mount.
#[derive(Clone, PartialEq, Message)]
pub struct Mount {
    /// Where in the container.
    #[prost(string, tag = "1")]
    pub destination: String,
    /// Such as `bind`.
    #[prost(string, tag = "2")]
    pub r#type: String,
    /// What is mounted: a path on the host for `bind`.
    #[prost(string, tag = "3")]
    pub source: String,
    /// Such as `ro`.
    #[prost(string, repeated, tag = "4")]
    pub options: Vec<String>,
}

/// OCI hooks.
#[derive(Clone, PartialEq, Message)]
pub struct Hooks {
    /// Deprecated by OCI.
    #[prost(message, repeated, tag = "1")]
    pub prestart: Vec<Hook>,
    /// In the runtime's namespaces, at creation.
    #[prost(message, repeated, tag = "2")]
    pub create_runtime: Vec<Hook>,
    /// In the container's namespaces, at creation.
    #[prost(message, repeated, tag = "3")]
    pub create_container: Vec<Hook>,
    /// In the container, at its start.
    #[prost(message, repeated, tag = "4")]
    pub start_container: Vec<Hook>,
    /// After its start.
    #[prost(message, repeated, tag = "5")]
    pub poststart: Vec<Hook>,
    /// After its end.
    #[prost(message, repeated, tag = "6")]
    pub poststop: Vec<Hook>,
}

/// An OCI hook.
#[derive(Clone, PartialEq, Message)]
pub struct Hook {
    /// The program.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Its command line.
    #[prost(string, repeated, tag = "2")]
    pub args: Vec<String>,
    /// Its environment.
    #[prost(string, repeated, tag = "3")]
    pub env: Vec<String>,
}

/// A container, on Linux.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxContainer {
    /// Its own namespaces: one that is not here is the host's.
    #[prost(message, repeated, tag = "1")]
    pub namespaces: Vec<LinuxNamespace>,
    /// Its devices.
    #[prost(message, repeated, tag = "2")]
    pub devices: Vec<LinuxDevice>,
    /// Its cgroup.
    #[prost(string, tag = "5")]
    pub cgroups_path: String,
    /// Where seccomp comes from.
    #[prost(message, optional, tag = "7")]
    pub seccomp_profile: Option<SecurityProfile>,
    /// Kernel parameters.
    #[prost(btree_map = "string, string", tag = "9")]
    pub sysctl: BTreeMap<String, String>,
}

/// A namespace.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxNamespace {
    /// Such as `pid`.
    #[prost(string, tag = "1")]
    pub r#type: String,
    /// An existing one that is joined; empty is a new one.
    #[prost(string, tag = "2")]
    pub path: String,
}

/// A device node.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxDevice {
    /// Where in the container.
    #[prost(string, tag = "1")]
    pub path: String,
    /// `b`, `c`, `u` or `p`.
    #[prost(string, tag = "2")]
    pub r#type: String,
    /// Major number.
    #[prost(int64, tag = "3")]
    pub major: i64,
    /// Minor number.
    #[prost(int64, tag = "4")]
    pub minor: i64,
}

/// A seccomp or AppArmor profile.
#[derive(Clone, PartialEq, Message)]
pub struct SecurityProfile {
    /// 0 the runtime's default, 1 unconfined, 2 on this host.
    #[prost(int32, tag = "1")]
    pub profile_type: i32,
    /// Which of the host's.
    #[prost(string, tag = "2")]
    pub localhost_ref: String,
}

/// A device by its CDI name.
#[derive(Clone, PartialEq, Message)]
pub struct CdiDevice {
    /// Such as `vendor.example/class=name`.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// Who a container runs as.
#[derive(Clone, PartialEq, Message)]
pub struct User {
    /// User.
    #[prost(uint32, tag = "1")]
    pub uid: u32,
    /// Group.
    #[prost(uint32, tag = "2")]
    pub gid: u32,
    /// More groups.
    #[prost(uint32, repeated, tag = "3")]
    pub additional_gids: Vec<u32>,
}

/// What plugins change of a container that is being created.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerAdjustment {
    /// Added; a name that begins with `-` is removed.
    #[prost(btree_map = "string, string", tag = "2")]
    pub annotations: BTreeMap<String, String>,
    /// Added; a destination that begins with `-` is removed.
    #[prost(message, repeated, tag = "3")]
    pub mounts: Vec<Mount>,
    /// Added; a name that begins with `-` is removed.
    #[prost(message, repeated, tag = "4")]
    pub env: Vec<KeyValue>,
    /// Added.
    #[prost(message, optional, tag = "5")]
    pub hooks: Option<Hooks>,
    /// For Linux.
    #[prost(message, optional, tag = "6")]
    pub linux: Option<LinuxContainerAdjustment>,
    /// Added.
    #[prost(message, repeated, tag = "8")]
    pub cdi_devices: Vec<CdiDevice>,
    /// In place of the command line.
    #[prost(string, repeated, tag = "9")]
    pub args: Vec<String>,
}

/// The same, for Linux.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxContainerAdjustment {
    /// Added.
    #[prost(message, repeated, tag = "1")]
    pub devices: Vec<LinuxDevice>,
    /// In place of its cgroup.
    #[prost(string, tag = "3")]
    pub cgroups_path: String,
    /// In place of those of the same types.
    #[prost(message, repeated, tag = "7")]
    pub namespaces: Vec<LinuxNamespace>,
    /// Added.
    #[prost(btree_map = "string, string", tag = "8")]
    pub sysctl: BTreeMap<String, String>,
}

/// An environment variable.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// What plugins change of another container.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerUpdate {
    /// Which.
    #[prost(string, tag = "1")]
    pub container_id: String,
    /// Whether it may fail.
    #[prost(bool, tag = "3")]
    pub ignore_failure: bool,
}

/// Who changes what, by container ids.
#[derive(Clone, PartialEq, Message)]
pub struct OwningPlugins {
    /// By container ids.
    #[prost(btree_map = "string, message", tag = "1")]
    pub owners: BTreeMap<String, FieldOwners>,
}

/// Who changes what of one container. Keys are NRI's numbers of fields, such as 2 for mounts, 3 for OCI
/// hooks and 7 for the command line.
#[derive(Clone, PartialEq, Message)]
pub struct FieldOwners {
    /// Fields with one value, and the plugin that set it.
    #[prost(btree_map = "int32, string", tag = "1")]
    pub simple: BTreeMap<i32, String>,
    /// Fields with many.
    #[prost(btree_map = "int32, message", tag = "2")]
    pub compound: BTreeMap<i32, CompoundFieldOwners>,
}

/// The entries of a field, such as a mount's destination, and the plugin that set each.
#[derive(Clone, PartialEq, Message)]
pub struct CompoundFieldOwners {
    /// By entry.
    #[prost(btree_map = "string, string", tag = "1")]
    pub owners: BTreeMap<String, String>,
}
