//! What a line of the audit trail says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::decision::Verdict;

/// Where the question was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// An image is about to be pulled.
    Pull,
    /// A pod's sandbox is being set up.
    Pod,
    /// A container is being made, or is about to start.
    Create,
    /// A container runs.
    Running,
}

impl Gate {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Pull, Self::Pod, Self::Create, Self::Running];

    /// Its name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Pod => "pod",
            Self::Create => "create",
            Self::Running => "running",
        }
    }
}

/// Who asked, by the kernel's word and by its own.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Process id of the gate program; 0 where the question was found afterwards.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Program and version, as it says.
    pub program: String,
    /// The name it was started under, as it says.
    pub entry: String,
}

/// The container or the pod that a decision is about; what is empty is not known or not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// containerd's namespace.
    pub namespace: String,
    /// containerd's id of the container; of a pod that of its sandbox.
    pub id: String,
    /// Its name in the pod.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The pod's namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod_namespace: String,
    /// The pod's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// The pod's uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod_uid: String,
    /// The runtime handler; empty for the default one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub handler: String,
}

/// One decision.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    /// When it was decided; every line of the trail begins with its time.
    #[serde(skip)]
    pub time: SystemTime,
    /// Where.
    pub gate: Gate,
    /// What, and why.
    #[serde(flatten)]
    pub verdict: &'a Verdict,
    /// For whom.
    pub asked: &'a Asked,
    /// Which container, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<&'a Place>,
    /// Of a container that runs: the entry of continuous validation.
    #[serde(rename = "jsonPayload", skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
    /// How long it took, in microseconds.
    #[serde(serialize_with = "micros")]
    pub duration_micros: Duration,
}

/// A change of what decides, or of what is remembered.
#[derive(Debug, Serialize)]
pub struct Change {
    /// What has changed, such as `policy`, `attestor` or `trust`.
    pub what: String,
    /// Which of them; empty where there is one alone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The version before, or the key ids; null where there was none.
    pub before: Value,
    /// The same afterwards.
    pub after: Value,
    /// By whom, as far as it is known.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub who: Value,
}

/// Connections that ended without a decision: whoever asked was turned away, or left without an answer, and refused by
/// itself.
#[derive(Debug, Serialize)]
pub struct Unserved {
    /// The file of the socket.
    pub socket: PathBuf,
    /// Over how many seconds.
    pub seconds: u64,
    /// How many.
    pub count: u64,
    /// How many of them ended how, by the names of `binauthd_gate_connections_total`.
    pub ends: BTreeMap<&'static str, u64>,
}

/// A line of the trail, but for its link.
#[derive(Serialize)]
pub(super) struct Line<'a, T> {
    #[serde(serialize_with = "rfc3339")]
    pub(super) time: SystemTime,
    pub(super) kind: &'static str,
    #[serde(flatten)]
    pub(super) rest: &'a T,
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

fn micros<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
