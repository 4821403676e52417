//! The node's own pods, as kubelet reports them: whose they are and what their authors wrote; and what the cluster
//! is told of this node.
//!
//! Neither CRI nor NRI tell a pod's service account, and what they do tell is the word of whoever dialled
//! the runtime. So this module asks kubelet itself, or the API server with the node's own credentials
//! ([`Options`]), and keeps what it was told by pod uid ([`Pods`]). Questions are answered from memory;
//! a pod that is not known is looked up behind them, and the next question finds it.
//!
//! As the same user refusals are told to the API server, as events of their pods ([`Events`]), and whether this node
//! enforces, as a condition of the node ([`Condition`]). Nobody waits for either, and nothing is decided by them.
//!
//! What is refused, by name: an endpoint that cannot prove who it is (no certificate authority, plain
//! HTTP off loopback, a loopback port that another user listens on), a redirect, an answer over 64 MiB or
//! 5 s or without end, credentials that a program would have to be run for, and each pod that could be
//! understood in two ways. No proxy is used and no certificate authority of the system counts.
//!
//! What the next boot will run, static pods, is read from their manifests ([`static_pods`]).

mod access;
mod api;
mod ask;
mod condition;
mod error;
mod events;
mod facts;
mod kubeconfig;
mod list;
mod listener;
mod manifests;
mod memory;
mod pods;
mod series;

pub use access::{Credentials, Options};
pub use condition::{Condition, ConditionStatus, Standing};
pub use error::KubeletError;
pub use events::{Events, EventsStatus, Told};
pub use facts::{Container, ContainerKind, ImageVolume, PodFacts};
pub use manifests::{ManifestError, StaticPod, static_pods};
pub use pods::{Pods, PodsStatus};
