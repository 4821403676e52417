//! What is known of image targets, in memory: hash links that were recomputed once. They never become
//! wrong, so they go only where the room ends.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;

use super::links::{Leaf, Root};
use crate::image::{Digest, DigestKind};

/// The most targets that are remembered, and the most ways from all of them to a leaf.
const MAX_TARGETS: usize = 16_384;
const MAX_PATHS: usize = 131_072;

/// The most targets of which it is remembered that they are no images.
const MAX_HOPELESS: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// The most running containers whose images are kept.
const MAX_RUNNING: usize = 65_536;

/// How long what is known of an index counts whose children were not all there; twice as long after every
/// look that found nothing more.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// When an image record was last written.
pub(super) type Written = (i64, i32);

/// A way from a target to a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    /// The index within the target, where there is one.
    pub(super) through: Option<Digest>,
    pub(super) leaf: Leaf,
}

/// What a look at a target found.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub(super) paths: BTreeSet<Path>,
    /// Whether everything that the target lists was there.
    pub(super) is_whole: bool,
}

struct Fact {
    found: Found,
    leaves: Arc<[Leaf]>,
    looked: Instant,
    pause: Duration,
    written: Option<Written>,
}

/// Targets, and the way back to them from a chain ID.
pub(super) struct Facts {
    targets: LruCache<Digest, Fact>,
    by_chain: HashMap<Option<Digest>, HashSet<Digest>>,
    paths: usize,
    running: HashSet<(Option<Digest>, Digest)>,
    /// Targets whose bytes are no image.
    hopeless: LruCache<Digest, ()>,
}

impl Fact {
    fn is_due(&self, now: Instant) -> bool {
        !self.found.is_whole && now.saturating_duration_since(self.looked) >= self.pause
    }

    fn chains(&self) -> HashSet<Option<Digest>> {
        self.leaves.iter().map(|leaf| leaf.chain).collect()
    }
}

impl Facts {
    pub(super) fn new() -> Self {
        Self {
            targets: LruCache::unbounded(),
            by_chain: HashMap::new(),
            paths: 0,
            running: HashSet::new(),
            hopeless: LruCache::new(MAX_HOPELESS),
        }
    }

    /// What is known of `target`, unless it should be looked at (again).
    pub(super) fn leaves(&mut self, target: Digest, now: Instant) -> Option<Arc<[Leaf]>> {
        let fact = self.targets.get(&target).filter(|fact| !fact.is_due(now))?;
        Some(Arc::clone(&fact.leaves))
    }

    /// Whether `target`, whose image record was last `written` then, should be looked at (again).
    pub(super) fn wants(&mut self, target: Digest, written: Written, now: Instant) -> bool {
        if self.hopeless.get(&target).is_some() {
            return false;
        }
        // A fetch of other children writes the record.
        self.targets
            .get(&target)
            .is_none_or(|fact| !fact.found.is_whole && (fact.written != Some(written) || fact.is_due(now)))
    }

    /// Remembers that the bytes of `target` are no image, which they will never be.
    pub(super) fn give_up(&mut self, target: Digest) {
        self.hopeless.put(target, ());
    }

    /// Whether everything that `target` lists has been there.
    pub(super) fn is_whole(&self, target: Digest) -> bool {
        self.targets.peek(&target).is_some_and(|fact| fact.found.is_whole)
    }

    /// The configs on `chain` that `target` leads to; where a digest is `pinned`, through that one alone.
    pub(super) fn led(
        &self,
        target: Digest,
        chain: Option<Digest>,
        pinned: Option<Digest>,
    ) -> BTreeSet<Digest> {
        let paths = self.targets.peek(&target).into_iter().flat_map(|fact| &fact.found.paths);
        let led = paths.filter(|path| path.leaf.chain == chain).filter(|path| {
            pinned.is_none_or(|pinned| digests(target, path).any(|(digest, _)| digest == pinned))
        });
        led.map(|path| path.leaf.config).collect()
    }

    /// Every known image of `chain`.
    pub(super) fn rooted(&mut self, chain: Option<Digest>) -> Vec<Root> {
        let mut configs: BTreeMap<Digest, BTreeSet<(Digest, DigestKind)>> = BTreeMap::new();
        for target in self.by_chain.get(&chain).into_iter().flatten() {
            let Some(fact) = self.targets.get(target) else { continue };
            for path in fact.found.paths.iter().filter(|path| path.leaf.chain == chain) {
                configs.entry(path.leaf.config).or_default().extend(digests(*target, path));
            }
        }
        let root =
            |(config, digests): (_, BTreeSet<_>)| Root { config, digests: digests.into_iter().collect() };
        configs.into_iter().map(root).collect()
    }

    /// Keeps the images of these chains and configs, and of no others, when room is needed.
    pub(super) fn pin(&mut self, running: impl IntoIterator<Item = (Option<Digest>, Digest)>) {
        self.running = running.into_iter().take(MAX_RUNNING).collect();
    }

    /// Adds what a look at `target` found to what is known of it.
    pub(super) fn learn(
        &mut self,
        target: Digest,
        found: Found,
        written: Option<Written>,
        now: Instant,
    ) -> Arc<[Leaf]> {
        let before = self.targets.pop(&target);
        let (mut all, pause, was_written) = match before {
            Some(fact) => {
                let found_more = !found.paths.is_subset(&fact.found.paths);
                let pause = if found_more { PAUSE } else { (fact.pause * 2).min(LONGEST_PAUSE) };
                self.paths = self.paths.saturating_sub(fact.found.paths.len());
                (fact.found, pause, fact.written)
            }
            None => (Found::default(), PAUSE, None),
        };
        all.is_whole |= found.is_whole;
        all.paths.extend(found.paths);
        let leaves: BTreeSet<Leaf> = all.paths.iter().map(|path| path.leaf).collect();
        let leaves: Arc<[Leaf]> = leaves.into_iter().collect();
        let fact = Fact {
            found: all,
            leaves: Arc::clone(&leaves),
            looked: now,
            pause,
            written: written.or(was_written),
        };
        for chain in fact.chains() {
            self.by_chain.entry(chain).or_default().insert(target);
        }
        self.paths += fact.found.paths.len();
        self.targets.put(target, fact);
        self.make_room(MAX_TARGETS, MAX_PATHS);
        leaves
    }

    /// Lets go of what was asked for the longest time ago and does not run.
    fn make_room(&mut self, max_targets: usize, max_paths: usize) {
        for _ in 0..self.targets.len() {
            if self.targets.len() <= max_targets && self.paths <= max_paths {
                return;
            }
            let Some((target, fact)) = self.targets.pop_lru() else { return };
            if fact.leaves.iter().any(|leaf| self.running.contains(&(leaf.chain, leaf.config))) {
                self.targets.put(target, fact);
                continue;
            }
            self.paths = self.paths.saturating_sub(fact.found.paths.len());
            for chain in fact.chains() {
                if let Some(targets) = self.by_chain.get_mut(&chain) {
                    targets.remove(&target);
                    if targets.is_empty() {
                        self.by_chain.remove(&chain);
                    }
                }
            }
        }
    }
}

/// What lies on the way from `target` to the leaf's config.
fn digests(target: Digest, path: &Path) -> impl Iterator<Item = (Digest, DigestKind)> {
    let manifest = path.leaf.manifest;
    let outer = (target != manifest).then_some((target, DigestKind::Index));
    let inner = path.through.map(|index| (index, DigestKind::Index));
    outer.into_iter().chain(inner).chain([(manifest, DigestKind::Manifest)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn leaf(manifest: &str, config: &str, chain: &str) -> Leaf {
        Leaf { manifest: d(manifest), config: d(config), chain: Some(d(chain)) }
    }

    fn found(is_whole: bool, paths: &[(Option<&str>, Leaf)]) -> Found {
        let path = |(through, leaf): &(Option<&str>, Leaf)| Path { through: through.map(d), leaf: *leaf };
        Found { paths: paths.iter().map(path).collect(), is_whole }
    }

    #[test]
    fn every_digest_that_leads_to_a_root() {
        use DigestKind::{Index, Manifest};
        let (now, mut facts) = (Instant::now(), Facts::new());
        let (a, b) = (leaf("m1", "c1", "x"), leaf("m2", "c2", "x"));
        facts.learn(d("m1"), found(true, &[(None, a)]), None, now);
        facts.learn(d("i"), found(true, &[(None, a), (None, b), (Some("n"), b)]), None, now);
        facts.learn(d("other"), found(true, &[(None, leaf("m3", "c1", "y"))]), None, now);
        let expected = |config: &str, rows: &[(&str, DigestKind)]| {
            let mut digests: Vec<_> = rows.iter().map(|(text, kind)| (d(text), *kind)).collect();
            digests.sort();
            Root { config: d(config), digests }
        };
        let mut roots = vec![
            expected("c1", &[("i", Index), ("m1", Manifest)]),
            expected("c2", &[("i", Index), ("n", Index), ("m2", Manifest)]),
        ];
        roots.sort_by_key(|root| root.config);
        assert_eq!(facts.rooted(Some(d("x"))), roots);
        assert_eq!(facts.rooted(Some(d("z"))), []);
        assert_eq!(facts.rooted(None), []);
        let led = |target, chain, pinned: Option<&str>| facts.led(d(target), Some(d(chain)), pinned.map(d));
        assert_eq!(led("i", "x", None), [d("c1"), d("c2")].into());
        assert_eq!(led("i", "x", Some("i")), led("i", "x", None));
        assert_eq!(led("i", "x", Some("m1")), [d("c1")].into());
        assert_eq!(led("i", "x", Some("n")), [d("c2")].into());
        for (target, chain, pinned) in
            [("i", "y", None), ("m1", "y", None), ("unknown", "x", None), ("m1", "x", Some("m2"))]
        {
            assert!(led(target, chain, pinned).is_empty(), "{target} {chain} {pinned:?}");
        }
    }

    #[test]
    fn what_was_not_all_there_is_looked_at_again() {
        let (start, mut facts) = (Instant::now(), Facts::new());
        let after = |seconds| start + Duration::from_secs(seconds);
        let (a, b) = (leaf("m1", "c1", "x"), leaf("m2", "c2", "y"));
        assert!(facts.wants(d("i"), (1, 0), start));
        facts.learn(d("i"), found(false, &[(None, a)]), Some((1, 0)), start);
        assert_eq!(facts.leaves(d("i"), after(4)).unwrap().len(), 1);
        assert!(!facts.wants(d("i"), (1, 0), after(4)));
        assert!(facts.wants(d("i"), (2, 0), after(4)), "the record was written since");
        assert!(facts.leaves(d("i"), after(5)).is_none());
        // Nothing more: not so soon again.
        facts.learn(d("i"), found(false, &[(None, a)]), None, after(5));
        assert!(facts.leaves(d("i"), after(14)).is_some());
        assert!(facts.wants(d("i"), (1, 0), after(15)));
        // A child has gone and another has come: both are known.
        let leaves = facts.learn(d("i"), found(false, &[(None, b)]), None, after(15));
        assert_eq!(leaves.len(), 2);
        assert!(facts.leaves(d("i"), after(20)).is_none());
        facts.learn(d("i"), found(true, &[(None, b)]), None, after(20));
        assert_eq!(facts.leaves(d("i"), after(1_000_000)).unwrap().len(), 2);
        assert!(facts.is_whole(d("i")) && !facts.wants(d("i"), (9, 0), after(1_000_000)));
    }

    #[test]
    fn what_is_no_image_is_not_looked_at_again() {
        let (now, mut facts) = (Instant::now(), Facts::new());
        assert!(facts.wants(d("chart"), (1, 0), now));
        facts.give_up(d("chart"));
        assert!(!facts.wants(d("chart"), (2, 0), now) && facts.wants(d("image"), (1, 0), now));
        assert!(facts.leaves(d("chart"), now).is_none(), "whoever asks for this one hears why");
    }

    #[test]
    fn what_does_not_run_goes_first() {
        let (now, mut facts) = (Instant::now(), Facts::new());
        let name = |n: usize| format!("{n}");
        let learn = |facts: &mut Facts, n: usize| {
            let found = found(true, &[(None, leaf(&name(n), &name(n), &name(n)))]);
            facts.learn(d(&name(n)), found, None, now);
        };
        let knows = |facts: &mut Facts, n: usize| !facts.rooted(Some(d(&name(n)))).is_empty();
        facts.pin([(Some(d("0")), d("0"))]);
        (0..10).for_each(|n| learn(&mut facts, n));
        assert!(knows(&mut facts, 1)); // asked for last
        facts.make_room(4, 100);
        let kept: Vec<usize> = (0..10).filter(|n| knows(&mut facts, *n)).collect();
        assert_eq!((kept, facts.by_chain.len(), facts.paths), (vec![0, 1, 8, 9], 4, 4));
        facts.make_room(100, 2);
        assert_eq!((facts.targets.len(), facts.paths, knows(&mut facts, 0)), (2, 2, true));
        facts.make_room(0, 0);
        assert_eq!((facts.targets.len(), facts.by_chain.len()), (1, 1));
        facts.pin([]);
        facts.make_room(0, 0);
        assert_eq!((facts.targets.len(), facts.by_chain.len(), facts.paths), (0, 0, 0));
    }

    #[test]
    fn many_images() {
        let (now, mut facts) = (Instant::now(), Facts::new());
        for n in 0..MAX_TARGETS + 100 {
            let n = n.to_string();
            facts.learn(d(&n), found(true, &[(None, leaf(&n, &n, &n))]), None, now);
        }
        assert_eq!((facts.targets.len(), facts.by_chain.len()), (MAX_TARGETS, MAX_TARGETS));
        assert_eq!(facts.rooted(Some(d("99"))), []);
        assert_eq!(facts.rooted(Some(d("100"))).len(), 1);
    }
}
