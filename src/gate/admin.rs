//! What operators ask on the admin socket, in the gate's framing. What changes something only root may ask.

use std::collections::BTreeMap;

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
    /// What the pull gate would answer for an image, which is looked up as there; recorded nowhere.
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
    /// The policy bundle that is in force, as it was signed.
    PolicyBundle,
    /// Revokes break-glass grants; for root.
    Revoke {
        /// Their serials.
        serials: Vec<String>,
    },
    /// About evidence.
    Cache(CacheAsk),
    /// Tells what became of the canary; for root.
    Canary {
        /// Whether it was refused as what it is, by gate.
        refused: BTreeMap<String, bool>,
    },
}

impl AdminAsk {
    /// Whether only root may ask: it changes something, or makes the daemon ask others.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::Status | Self::Trust | Self::PolicyBundle | Self::Evaluate { .. } => false,
            Self::TrustReset { .. } | Self::Revoke { .. } | Self::Canary { .. } => true,
            Self::Cache(ask) => match ask {
                CacheAsk::List { .. } | CacheAsk::Show { .. } | CacheAsk::Export { .. } => false,
                CacheAsk::Refresh { .. } | CacheAsk::Drop { .. } | CacheAsk::AcceptDeletions { .. } => true,
            },
        }
    }
}

/// What is asked about evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cache", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CacheAsk {
    /// Digests that something is on file for, in their order.
    List {
        /// Those after this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// All that is known of a digest.
    Show {
        /// The digest.
        digest: String,
    },
    /// Documents on file, as the sources gave them, with where they are from.
    Export {
        /// Of digests after this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// Asks the sources again: for a digest, and waits for their answers; or for everything, behind this
    /// answer.
    Refresh {
        /// The digest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
    },
    /// Forgets a digest, or everything; the sources give it again.
    Drop {
        /// The digest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
    },
    /// Lets go what a source no longer gives and what was kept for that.
    AcceptDeletions {
        /// Of one source.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
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
    /// Its label asks for break-glass.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
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
    /// The envelope; none where no bundle is obeyed.
    PolicyBundle(Option<String>),
    /// The grants are revoked; how break-glass stands.
    BreakGlass(serde_json::Value),
    /// What was asked about evidence, or what became of it.
    Cache(serde_json::Value),
    /// What is remembered of the canary.
    Canary(serde_json::Value),
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
