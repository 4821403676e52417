//! What a line of the audit trail says.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::decision::Verdict;

/// Where the question was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// An image is about to be pulled.
    Pull,
    /// A container is about to be created.
    Create,
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

/// One decision.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    /// When it was decided.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// Where.
    pub gate: Gate,
    /// What, and why.
    #[serde(flatten)]
    pub verdict: &'a Verdict,
    /// For whom.
    pub asked: &'a Asked,
    /// How long it took, in microseconds.
    #[serde(serialize_with = "micros")]
    pub duration_micros: Duration,
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

fn micros<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
