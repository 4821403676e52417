//! What containers were made from, from their creation to their start. NRI asks about a creation, and again about
//! the start; what asks in between, the hook, is answered by what was read for the first of these, and of the
//! record as soon as there was one: the runtime waits for its answer. Where NRI does not ask, nothing is
//! remembered, and the hook's question is answered by what containerd says then.
//!
//! A snapshot's parent never changes, and neither does the pod of a container, nor the image config in its record.
//! CRI's ids are random: whoever could make another container of the same id may dial containerd's socket, and is
//! not kept out by this gate.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use super::bind::Heard;
use super::{CreateGate, Creation, PodOf};
use crate::containerd::{Record, Snapshot};

/// How many of the containers that were made last are remembered, and how long: names may move on.
const LAST: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
const LATELY: Duration = Duration::from_secs(10);

/// What containers of CRI's were made from, by their ids.
pub(super) struct Made(Mutex<LruCache<String, Origin>>);

/// What one was made from.
#[derive(Clone)]
pub(super) struct Origin {
    /// That of its own id.
    pub(super) snapshot: Snapshot,
    pub(super) pod: PodOf,
    /// What the image store had of its name, where it could be read.
    pub(super) heard: Option<Heard>,
    /// As soon as it has been read, and as far as the hook's question takes it.
    pub(super) record: Option<Arc<Record>>,
    namespace: String,
    noted: Instant,
}

impl Default for Made {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(LAST)))
    }
}

impl Made {
    /// `creation`, which names its pod, is from `snapshot`.
    pub(super) fn note(&self, creation: &Creation, snapshot: &Snapshot, heard: Option<Heard>) {
        let Some(pod) = creation.pod.clone() else { return };
        let (snapshot, namespace) = (snapshot.clone(), creation.namespace.clone());
        let origin = Origin { snapshot, pod, heard, record: None, namespace, noted: Instant::now() };
        self.lock().put(creation.id.clone(), origin);
    }

    /// Who keeps the snapshot of the container that was made last.
    pub(super) fn usual_snapshotter(&self) -> Option<String> {
        self.lock().peek_mru().map(|(_, last)| last.snapshot.snapshotter.clone())
    }

    /// What was noted of it a moment ago, if its record has been read since and does not contradict.
    pub(super) fn lately(&self, creation: &Creation) -> Option<Origin> {
        let origin = self.lock().peek(&creation.id).cloned()?;
        let is_same = origin.noted.elapsed() < LATELY && origin.namespace == creation.namespace;
        is_same.then_some(origin).filter(Origin::is_whole)
    }

    /// Whether the record of this one is of use.
    fn is_waited_for(&self, namespace: &str, id: &str) -> bool {
        self.lock().peek(id).is_some_and(|origin| origin.namespace == namespace && origin.record.is_none())
    }

    /// Adds the record. What is as long as a pod's author likes is left out of it: it is not asked for.
    fn recorded(&self, namespace: &str, record: Record) {
        if let Some(origin) = self.lock().peek_mut(&record.id)
            && origin.namespace == namespace
        {
            let mut record = Record { labels: HashMap::new(), spec: None, ..record };
            if let Some(cri) = &mut record.cri {
                cri.annotations.clear();
                cri.mounts.clear();
            }
            origin.record = Some(Arc::new(record));
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, Origin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Origin {
    /// Its record is CRI's, of this pod and this snapshot.
    fn is_whole(&self) -> bool {
        self.record.as_ref().is_some_and(|record| {
            record.cri.is_some()
                && record.sandbox_id == self.pod.sandbox
                && record.snapshot_key == record.id
                && record.snapshotter == self.snapshot.snapshotter
        })
    }
}

/// Reads the record of a container that has just got one, if its creation was asked about.
pub(super) async fn read(gate: Arc<CreateGate>, namespace: String, id: String) {
    if gate.made.is_waited_for(&namespace, &id)
        && let Ok(record) = gate.containerd.container(&namespace, &id).await
    {
        gate.made.recorded(&namespace, record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerd::Parents;

    fn record(id: &str, key: &str, snapshotter: &str, sandbox: &str) -> Record {
        Record::of_container(id, key, snapshotter, sandbox)
    }

    #[test]
    fn only_what_its_record_says_too() {
        let mut creation = Creation::started("k8s.io", "c");
        creation.pod = Some(PodOf { sandbox: "s".into(), ..PodOf::default() });
        let snapshot = Snapshot { snapshotter: "overlayfs".into(), parents: Parents::Scratch };
        let rows = [
            (record("c", "c", "overlayfs", "s"), true),
            (record("c", "other", "overlayfs", "s"), false),
            (record("c", "c", "native", "s"), false),
            (record("c", "c", "overlayfs", "other"), false),
            (Record { cri: None, ..record("c", "c", "overlayfs", "s") }, false),
        ];
        for (record, counts) in rows {
            let made = Made::default();
            made.note(&creation, &snapshot, None);
            assert!(made.lately(&creation).is_none() && made.is_waited_for("k8s.io", "c"));
            assert!(!made.is_waited_for("other", "c") && !made.is_waited_for("k8s.io", "d"));
            let text = format!("{record:?}");
            made.recorded("other", record.clone());
            assert!(made.is_waited_for("k8s.io", "c"));
            made.recorded("k8s.io", record);
            assert_eq!(made.lately(&creation).is_some(), counts, "{text}");
            assert!(made.lately(&Creation::started("other", "c")).is_none());
            made.lock().peek_mut("c").unwrap().noted -= LATELY;
            assert!(made.lately(&creation).is_none(), "too long ago");
        }
        let made = Made::default();
        made.note(&creation, &snapshot, None);
        let mut long = record("c", "c", "overlayfs", "s");
        long.labels.insert("l".into(), "x".repeat(1 << 20));
        long.cri.as_mut().unwrap().annotations.insert("a".into(), "x".repeat(1 << 20));
        made.recorded("k8s.io", long);
        let kept = made.lately(&creation).unwrap().record.unwrap();
        assert!(format!("{kept:?}").len() < 4_096, "as long as a pod's author likes");

        let made = Made::default();
        assert_eq!(made.usual_snapshotter(), None);
        for (id, snapshotter) in [("a", "native"), ("b", "overlayfs")] {
            let other = Creation { id: id.to_owned(), ..creation.clone() };
            made.note(&other, &Snapshot { snapshotter: snapshotter.into(), ..snapshot.clone() }, None);
            assert_eq!(made.usual_snapshotter().as_deref(), Some(snapshotter));
            made.lately(&Creation::started("k8s.io", "a"));
        }
        made.note(&Creation::started("k8s.io", "c"), &snapshot, None);
        assert!(!made.is_waited_for("k8s.io", "c"), "of no pod");
    }
}
