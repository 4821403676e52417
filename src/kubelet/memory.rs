//! What is remembered of pods, by uid and namespace, bounded.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use super::facts::PodFacts;
use super::list::Listed;

/// The most pods that are remembered; kubelet runs some hundreds.
const MAX_PODS: NonZeroUsize = NonZeroUsize::new(2_048).unwrap();
/// The most memory that they take, in bytes: whoever may deploy may deploy large pods.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Uid and namespace.
type Key = (String, String);

#[derive(Debug)]
pub(super) struct Memory {
    pods: LruCache<Key, Entry>,
    bytes: usize,
    contested: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Entry {
    Known(Arc<PodFacts>),
    /// Reported as two different pods: nothing is known of it until it is forgotten.
    Contested,
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Known(facts) => facts.bytes(),
            Self::Contested => 0,
        }
    }

    fn is_contested(&self) -> bool {
        matches!(self, Self::Contested)
    }

    /// This one, in the light of what else is said of the same uid.
    fn with(self, other: Option<&Self>) -> Self {
        match (&self, other) {
            (Self::Known(facts), Some(Self::Known(before))) if facts.is_same_pod(before) => self,
            (_, None) => self,
            _ => Self::Contested,
        }
    }
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { pods: LruCache::new(MAX_PODS), bytes: 0, contested: 0 }
    }

    pub(super) fn find(&mut self, uid: &str, namespace: &str) -> Option<Entry> {
        self.pods.get(&(uid.to_owned(), namespace.to_owned())).cloned()
    }

    /// Remembers a pod, or that it is contested.
    pub(super) fn put(&mut self, key: Key, entry: Entry) {
        let entry = entry.with(self.pods.peek(&key));
        self.bytes += entry.bytes();
        self.contested += usize::from(entry.is_contested());
        // What was there under this key, or what had to make room.
        let mut gone = self.pods.push(key, entry).or_else(|| self.surplus());
        while let Some((_, entry)) = gone {
            self.bytes -= entry.bytes();
            self.contested -= usize::from(entry.is_contested());
            gone = self.surplus();
        }
    }

    fn surplus(&mut self) -> Option<(Key, Entry)> {
        if self.bytes > MAX_BYTES { self.pods.pop_lru() } else { None }
    }

    /// How many pods are known.
    pub(super) fn known(&self) -> usize {
        self.pods.len() - self.contested
    }

    /// How many are contested.
    pub(super) fn contested(&self) -> usize {
        self.contested
    }
}

/// What one list says, in the order in which to remember it: what will not run any more first, so that
/// it is the first to be forgotten. A uid that the list has for two pods of one namespace is contested.
pub(super) fn entries(mut pods: Vec<Listed>) -> Vec<(Key, Entry)> {
    pods.sort_by_key(|listed| !listed.finished);
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut entries: Vec<(Key, Entry)> = Vec::new();
    for Listed { uids, facts, .. } in pods {
        for uid in uids {
            let key = (uid, facts.namespace.clone());
            let entry = Entry::Known(Arc::clone(&facts));
            match places.get(&key).and_then(|place| entries.get_mut(*place)) {
                Some((_, before)) => *before = entry.with(Some(before)),
                None => {
                    places.insert(key.clone(), entries.len());
                    entries.push((key, entry));
                }
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Container, ContainerKind};
    use super::*;

    fn pod(uid: &str, account: &str, image: usize, finished: bool) -> Listed {
        let container =
            Container { name: "a".into(), image: "x".repeat(image), kind: ContainerKind::Regular };
        let facts = PodFacts {
            namespace: "shop".into(),
            name: "p".into(),
            service_account: account.into(),
            host_pid: false,
            static_pod: false,
            containers: vec![container],
            image_volumes: Vec::new(),
        };
        Listed { uids: vec![uid.into()], facts: Arc::new(facts), finished }
    }

    fn learn(memory: &mut Memory, pods: Vec<Listed>) {
        for (key, entry) in entries(pods) {
            memory.put(key, entry);
        }
    }

    fn account(memory: &mut Memory, uid: &str) -> String {
        match memory.find(uid, "shop") {
            None => "unknown".into(),
            Some(Entry::Contested) => "contested".into(),
            Some(Entry::Known(facts)) => facts.service_account.clone(),
        }
    }

    #[test]
    fn what_is_said_twice_must_agree() {
        let mut memory = Memory::new();
        learn(&mut memory, vec![pod("1", "web", 1, false), pod("1", "web", 2, false)]);
        assert_eq!(account(&mut memory, "1"), "web");
        assert!(memory.find("1", "other").is_none());
        learn(
            &mut memory,
            vec![pod("2", "web", 1, false), pod("2", "admin", 1, false), pod("2", "web", 1, false)],
        );
        assert_eq!(account(&mut memory, "2"), "contested");
        learn(&mut memory, vec![pod("1", "admin", 1, false)]);
        assert_eq!(
            (account(&mut memory, "1").as_str(), memory.known(), memory.contested()),
            ("contested", 0, 2)
        );
        // It does not heal by being said once more.
        learn(
            &mut memory,
            vec![pod("1", "admin", 1, false), pod("2", "web", 1, false), pod("3", "web", 1, false)],
        );
        assert_eq!(
            (account(&mut memory, "1").as_str(), memory.known(), memory.contested()),
            ("contested", 1, 2)
        );
    }

    #[test]
    fn it_is_bounded_and_finished_pods_go_first() {
        let mut memory = Memory::new();
        let living = (0..100).map(|n| pod(&format!("living-{n}"), "web", 1, false));
        let finished = (0..9_900).map(|n| pod(&format!("finished-{n}"), "web", 1, true));
        learn(&mut memory, living.chain(finished).collect());
        assert_eq!(memory.known(), MAX_PODS.get());
        for n in 0..100 {
            assert_eq!(account(&mut memory, &format!("living-{n}")), "web");
        }
        assert_eq!(account(&mut memory, "finished-0"), "unknown");
        for n in 0..200 {
            learn(&mut memory, vec![pod(&format!("large-{n}"), "web", 1024 * 1024, false)]);
            assert!(memory.bytes <= MAX_BYTES, "{}", memory.bytes);
        }
        assert_eq!(memory.bytes, memory.pods.iter().map(|(_, entry)| entry.bytes()).sum::<usize>());
        assert_eq!((memory.known(), account(&mut memory, "large-199").as_str()), (63, "web"));
    }
}
