//! What `binauthctl doctor --canary` last found: the daemon cannot show anything to containerd itself, and has no right to.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

/// The gates at which it is shown.
const GATES: [&str; 2] = ["pull", "create"];

/// The last proof; none since the start.
#[derive(Debug, Default)]
pub(super) struct Canary(Mutex<Option<Proof>>);

/// What it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Proof {
    /// Whether the image was refused as what it is, by gate. A gate that this containerd lacks is not among them.
    pub(super) refused: BTreeMap<&'static str, bool>,
    #[serde(serialize_with = "rfc3339")]
    pub(super) time: SystemTime,
}

impl Canary {
    /// The last proof.
    pub(super) fn last(&self) -> Option<Proof> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes another one, and says whether it came to something else. Gates that do not exist are passed over.
    pub(super) fn note(&self, refused: &BTreeMap<String, bool>) -> bool {
        let known = GATES.iter().filter_map(|gate| Some((*gate, *refused.get(*gate)?)));
        let proof = Proof { refused: known.collect(), time: SystemTime::now() };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = last.as_ref().is_none_or(|last| last.refused != proof.refused);
        *last = Some(proof);
        is_news
    }
}

fn rfc3339<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_seconds(*time))
}
