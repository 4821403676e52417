//! The messages of NRI, as far as a plugin that decides and does not adjust needs them.
//!
//! A subset of `containerd/nri:pkg/api/api.proto` (package `nri.pkg.api.v1alpha1`), with its names and
//! numbers; fields that are not here are skipped, so it reads what every version sends. One message
//! takes up to fifty times its bytes once it is read, because an entry of a list may have but two bytes.

mod described;

use prost::Message;

pub use described::*;

/// The service that a plugin serves.
pub const PLUGIN: &str = "nri.pkg.api.v1alpha1.Plugin";
/// The service that a runtime serves.
pub const RUNTIME: &str = "nri.pkg.api.v1alpha1.Runtime";

/// What semantically is an event is answered with this.
#[derive(Clone, PartialEq, Message)]
pub struct Empty {}

/// The first thing a plugin says.
#[derive(Clone, PartialEq, Message)]
pub struct RegisterPluginRequest {
    /// What it calls itself.
    #[prost(string, tag = "1")]
    pub plugin_name: String,
    /// Two digits: plugins are asked in ascending order.
    #[prost(string, tag = "2")]
    pub plugin_idx: String,
    /// The NRI the plugin was made for; 0.12 and later.
    #[prost(string, tag = "3")]
    pub nri_version: String,
}

/// The first thing a runtime says.
#[derive(Clone, PartialEq, Message)]
pub struct ConfigureRequest {
    /// What the node's administrator wrote for this plugin; for those that the runtime starts itself.
    #[prost(string, tag = "1")]
    pub config: String,
    /// Such as `containerd`.
    #[prost(string, tag = "2")]
    pub runtime_name: String,
    /// Such as `2.1.9+unknown`.
    #[prost(string, tag = "3")]
    pub runtime_version: String,
    /// In milliseconds; 0.8 and later.
    #[prost(int64, tag = "4")]
    pub registration_timeout: i64,
    /// In milliseconds; 0.8 and later.
    #[prost(int64, tag = "5")]
    pub request_timeout: i64,
    /// Such as `v0.12.0`; 0.12 and later.
    #[prost(string, tag = "6")]
    pub nri_version: String,
}

/// Which events the plugin is asked about.
#[derive(Clone, PartialEq, Message)]
pub struct ConfigureResponse {
    /// [`Events::mask`](super::Events::mask). 0 would be all of them, and a bit that the runtime does
    /// not know is the end of the connection.
    #[prost(int32, tag = "2")]
    pub events: i32,
}

/// All that there is already, maybe in several messages.
#[derive(Clone, PartialEq, Message)]
pub struct SynchronizeRequest {
    /// All pods.
    #[prost(message, repeated, tag = "1")]
    pub pods: Vec<PodSandbox>,
    /// All containers.
    #[prost(message, repeated, tag = "2")]
    pub containers: Vec<Container>,
    /// Whether another message follows; 0.8 and later.
    #[prost(bool, tag = "3")]
    pub more: bool,
}

/// The answer to each of them.
#[derive(Clone, PartialEq, Message)]
pub struct SynchronizeResponse {
    /// What the request said: that this plugin waits for what follows.
    #[prost(bool, tag = "2")]
    pub more: bool,
}

/// A pod: `RunPodSandbox`, `StopPodSandbox` and all others that are about one.
#[derive(Clone, PartialEq, Message)]
pub struct PodRequest {
    /// It.
    #[prost(message, optional, tag = "1")]
    pub pod: Option<PodSandbox>,
}

/// A container: `CreateContainer`, `StartContainer` and all others that are about one.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerRequest {
    /// The pod it is in.
    #[prost(message, optional, tag = "1")]
    pub pod: Option<PodSandbox>,
    /// It.
    #[prost(message, optional, tag = "2")]
    pub container: Option<Container>,
}

/// Whatever has no method of its own.
#[derive(Clone, PartialEq, Message)]
pub struct StateChangeEvent {
    /// The number of an [`Event`](super::Event).
    #[prost(int32, tag = "1")]
    pub event: i32,
    /// The pod, or that of the container.
    #[prost(message, optional, tag = "2")]
    pub pod: Option<PodSandbox>,
    /// The container, if it is about one.
    #[prost(message, optional, tag = "3")]
    pub container: Option<Container>,
}

/// What all plugins together made of a container; 0.10 and later.
#[derive(Clone, PartialEq, Message)]
pub struct ValidateContainerAdjustmentRequest {
    /// The pod it is in.
    #[prost(message, optional, tag = "1")]
    pub pod: Option<PodSandbox>,
    /// The container as it was before.
    #[prost(message, optional, tag = "2")]
    pub container: Option<Container>,
    /// What shall be changed.
    #[prost(message, optional, tag = "3")]
    pub adjust: Option<ContainerAdjustment>,
    /// What shall be changed in other containers.
    #[prost(message, repeated, tag = "4")]
    pub update: Vec<ContainerUpdate>,
    /// Who changes what.
    #[prost(message, optional, tag = "5")]
    pub owners: Option<OwningPlugins>,
    /// Who was asked, and not: who answered.
    #[prost(message, repeated, tag = "6")]
    pub plugins: Vec<PluginInstance>,
}

/// The answer, if it is one.
#[derive(Clone, PartialEq, Message)]
pub struct ValidateContainerAdjustmentResponse {
    /// Whether it must not be.
    #[prost(bool, tag = "1")]
    pub reject: bool,
    /// Why.
    #[prost(string, tag = "2")]
    pub reason: String,
}

/// A plugin.
#[derive(Clone, PartialEq, Message)]
pub struct PluginInstance {
    /// What it calls itself.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Two digits.
    #[prost(string, tag = "2")]
    pub index: String,
}
