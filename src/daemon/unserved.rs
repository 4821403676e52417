//! Connections to the gate that ended without a decision, for the audit trail: whoever asked was turned away, was not
//! understood or went away, and its gate refused by itself. A line a minute at most, so that nobody fills the trail by knocking.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::Receiver;

use super::engine::Engine;
use crate::audit::Unserved;
use crate::gate::server::{Counters, Counts};

const EACH: Duration = Duration::from_secs(60);

/// Tells of those of the gate socket until the gate has `ended`, then of the last ones.
pub(super) async fn tell(
    engine: Arc<Engine>,
    counters: Arc<Counters>,
    socket: PathBuf,
    mut ended: Receiver<bool>,
) {
    let mut told = Counts::default();
    loop {
        let is_over = tokio::time::timeout(EACH, ended.wait_for(|ended| *ended)).await.is_ok();
        let now = counters.counts();
        if let Some(unserved) = between(&socket, &told, &now) {
            engine.tell_unserved(&unserved);
        }
        told = now;
        if is_over {
            return;
        }
    }
}

/// What came between two readings; none where everybody was answered.
fn between(socket: &Path, before: &Counts, after: &Counts) -> Option<Unserved> {
    let before: BTreeMap<_, _> = before.ends().collect();
    let ends: BTreeMap<_, _> = after
        .ends()
        .filter(|(name, _)| *name != "answered")
        .map(|(name, count)| (name, count.saturating_sub(before.get(name).copied().unwrap_or_default())))
        .filter(|(_, count)| *count > 0)
        .collect();
    let count = ends.values().sum();
    (count > 0).then(|| Unserved { socket: socket.to_owned(), seconds: EACH.as_secs(), count, ends })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_answered_is_not_told_of() {
        let before = Counts { accepted: 9, answered: 8, busy: 1, ..Counts::default() };
        let answered = Counts { accepted: 10, answered: 9, ..before };
        assert!(between(Path::new("s"), &before, &answered).is_none());
        let after = Counts { busy: 3, timed_out: 1, ..answered };
        let told = between(Path::new("s"), &before, &after);
        let told = serde_json::to_value(told).unwrap_or_default();
        let expected = serde_json::json!({
            "socket": "s", "seconds": 60, "count": 3, "ends": {"busy": 2, "timed_out": 1}
        });
        assert_eq!(told, expected);
    }
}
