//! What operators ask on the admin socket, in the gate's framing. What changes something is answered to root
//! alone.

use serde::{Deserialize, Serialize};

use super::server::Refusal;

/// The longest message on the admin socket, in bytes: status and verdicts are larger than a gate's
/// answers.
pub const MAX_BODY: usize = 8 * 1024 * 1024;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "camelCase")]
pub enum AdminAsk {
    /// How the daemon is doing.
    Status,
    /// What the daemon remembers of what it has accepted.
    Trust,
    /// Forgets some of that; for root.
    TrustReset {
        /// What of it.
        forget: Forget,
    },
    /// What the pull gate would answer for an image; recorded nowhere.
    Evaluate {
        /// A reference, with or without a digest.
        image: String,
        /// Where it is to run, as far as that is to be known.
        #[serde(default)]
        pod: AskedPod,
        /// Whether to tell how the verdict comes about.
        #[serde(default)]
        explain: bool,
    },
}

/// What is to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Forget {
    /// What cannot be read.
    Broken,
    /// The policy bundle and its version.
    Bundle,
    /// The latest time seen.
    Time,
    /// Everything.
    All,
}

/// A pod that is asked about; what is absent is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AskedPod {
    /// In place of the node's own cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its service account, in that namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// `spiffe://DOMAIN/ns/NAMESPACE/sa/SERVICEACCOUNT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh_identity: Option<String>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AdminAnswer {
    /// The status document.
    Status(serde_json::Value),
    /// What is remembered.
    Trust(serde_json::Value),
    /// A verdict, as in the audit trail.
    Verdict(serde_json::Value),
    /// The question cannot be answered.
    Error {
        /// Stable code.
        reason: String,
        /// For people.
        message: String,
    },
}

impl Refusal for AdminAnswer {
    fn refusal(reason: &'static str, message: String) -> Self {
        Self::Error { reason: reason.to_owned(), message }
    }
}
