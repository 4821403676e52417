//! What a source says of itself, until it was looked at: which digests are to be looked up, and whether all of it is
//! to be listed.
//!
//! Whoever says so is not trusted. What waits has a bound, and so has how much of it there may be in a time; what goes
//! beyond becomes one listing. A look-up that fails is tried again, later and later.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::evidence::look_ups::{Bucket, Share};
use crate::evidence::store::ScopeId;
use crate::image::Digest;
use crate::pace::{doubled, jittered};

/// Digests that wait to be looked up.
const WAITING: usize = 1_024;
/// How many of them a source may name.
const NAMED: Share = Share { burst: 500.0, each_second: 50.0 };
/// Digests that are remembered while a listing is under way.
const MEANWHILE: usize = 10_000;
/// A look-up that failed so often is left to a listing.
const TRIES: u32 = 8;
/// The least pause before it is tried again; each further one doubles it, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// What one source said.
#[derive(Debug)]
pub(super) struct Hearsay {
    inner: Mutex<Inner>,
    /// A digest waits.
    named: Notify,
    /// A listing is wanted.
    listing: Notify,
}

#[derive(Debug)]
struct Inner {
    waiting: HashMap<Digest, Named>,
    left: Bucket,
    listing: bool,
    /// Of which digests something was heard since the listing began that is under way.
    meanwhile: Option<HashSet<Digest>>,
}

/// How a digest is to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// Where.
    pub(super) scopes: BTreeSet<ScopeId>,
    /// Nobody here asked for it: whether what is on file has gone is all that it is looked up for.
    pub(super) only_gone: bool,
    /// How often that has failed.
    tries: u32,
    /// Not before.
    due: Instant,
}

impl Hearsay {
    pub(super) fn new(now: Instant) -> Self {
        let left = Bucket::full(NAMED, now);
        let inner = Inner { waiting: HashMap::new(), left, listing: false, meanwhile: None };
        Self { inner: Mutex::new(inner), named: Notify::new(), listing: Notify::new() }
    }

    /// A digest is to be looked up in these scopes. One that waits already is looked up once.
    pub(super) fn name(
        &self,
        digest: Digest,
        scopes: impl IntoIterator<Item = ScopeId>,
        only_gone: bool,
        now: Instant,
    ) {
        let named = Named { scopes: scopes.into_iter().collect(), only_gone, tries: 0, due: now };
        let mut inner = self.lock();
        if !inner.waiting.contains_key(&digest) && inner.left.take(NAMED, now).is_err() {
            drop(inner);
            return self.want_listing();
        }
        self.wait(inner, digest, named);
    }

    /// Its look-up has failed; nobody is to be asked for so long.
    pub(super) fn failed(&self, digest: Digest, named: Named, rest: Duration, now: Instant) {
        let tries = named.tries + 1;
        if tries == TRIES {
            return self.want_listing();
        }
        let pause = jittered(doubled(FIRST_PAUSE, tries).min(LAST_PAUSE));
        self.wait(self.lock(), digest, Named { tries, due: now + rest.max(pause), ..named });
    }

    /// What waits is due at `at`, if it was to wait for longer: whoever did not answer is back.
    pub(super) fn hasten(&self, at: Instant) {
        self.lock().waiting.values_mut().for_each(|named| named.due = named.due.min(at));
        self.named.notify_one();
    }

    fn wait(&self, mut inner: MutexGuard<'_, Inner>, digest: Digest, named: Named) {
        if let Some(waiting) = inner.waiting.get_mut(&digest) {
            // What has failed before waits for its time, whoever speaks of it again.
            waiting.scopes.extend(named.scopes);
            waiting.only_gone &= named.only_gone;
            waiting.tries = waiting.tries.max(named.tries);
            waiting.due = waiting.due.max(named.due);
        } else if inner.waiting.len() < WAITING {
            inner.waiting.insert(digest, named);
        } else {
            drop(inner);
            return self.want_listing();
        }
        self.named.notify_one();
    }

    /// Takes the one that is to be looked up next; or says how long there is none, where one waits.
    pub(super) fn next(&self, now: Instant) -> Result<(Digest, Named), Option<Duration>> {
        let mut inner = self.lock();
        let first = inner.waiting.iter().min_by_key(|(_, named)| named.due);
        let (digest, due) = first.map(|(digest, named)| (*digest, named.due)).ok_or(None)?;
        if due > now {
            return Err(Some(due - now));
        }
        let named = inner.waiting.remove(&digest).ok_or(None)?;
        Ok((digest, named))
    }

    /// Waits until [`next`](Self::next) may say something else.
    pub(super) async fn is_named(&self) {
        self.named.notified().await;
    }

    /// All of it is to be listed.
    pub(super) fn want_listing(&self) {
        self.lock().listing = true;
        self.listing.notify_one();
    }

    /// Whether it is; what is wanted from now on is another one.
    pub(super) fn take_listing(&self) -> bool {
        std::mem::take(&mut self.lock().listing)
    }

    /// Waits until it is.
    pub(super) async fn wants_listing(&self) {
        while !self.lock().listing {
            self.listing.notified().await;
        }
    }

    /// A listing begins: what is heard while it is under way may be newer than what it gives.
    pub(super) fn begin_listing(&self) {
        self.lock().meanwhile = Some(HashSet::new());
    }

    /// Something is heard of a digest, or about to be filed for it.
    pub(super) fn note(&self, digest: Digest) {
        let mut inner = self.lock();
        let Some(meanwhile) = &mut inner.meanwhile else { return };
        if meanwhile.len() < MEANWHILE || meanwhile.contains(&digest) {
            meanwhile.insert(digest);
        } else {
            drop(inner);
            self.want_listing();
        }
    }

    /// Whether that was so since the listing began.
    pub(super) fn was_noted(&self, digest: Digest) -> bool {
        self.lock().meanwhile.as_ref().is_some_and(|meanwhile| meanwhile.contains(&digest))
    }

    /// The listing has ended; the digests for which it was.
    pub(super) fn end_listing(&self) -> HashSet<Digest> {
        self.lock().meanwhile.take().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u32) -> Digest {
        Digest::of(&n.to_be_bytes())
    }

    #[test]
    fn more_than_is_looked_up_is_one_listing() {
        let now = Instant::now();
        let hearsay = Hearsay::new(now);
        let name = |n, at| hearsay.name(digest(n), [], false, at);
        (0..10).for_each(|_| (0..500).for_each(|n| name(n, now)));
        assert!(!hearsay.take_listing(), "what waits already takes nothing");
        (500..100_000).for_each(|n| name(n, now));
        assert!(hearsay.take_listing() && !hearsay.take_listing());
        assert_eq!(std::iter::from_fn(|| hearsay.next(now).ok()).count(), 500);
        let later = now + Duration::from_secs(2);
        (0..1_000).for_each(|n| name(n, later));
        assert_eq!(hearsay.lock().waiting.len(), 100);
        // Nobody looks anything up.
        (0..100_u32).for_each(|second| {
            (0..50).for_each(|n| name(50 * second + n + 1_000, later + Duration::from_secs(second.into())));
        });
        assert_eq!(hearsay.lock().waiting.len(), WAITING);
        assert!(hearsay.take_listing());
    }

    #[test]
    fn what_fails_is_tried_later_and_later_and_then_listed() {
        let mut now = Instant::now();
        let hearsay = Hearsay::new(now);
        hearsay.name(digest(1), [], false, now);
        let mut pauses = Vec::new();
        while let Ok((digest, named)) = hearsay.next(now) {
            hearsay.failed(digest, named, Duration::ZERO, now);
            // Whoever speaks of it again hastens nothing.
            if !hearsay.lock().listing {
                hearsay.name(digest, [], false, now);
            }
            let Err(pause) = hearsay.next(now) else { panic!("at once") };
            pauses.extend(pause.map(|pause| pause.as_secs_f64().round()));
            now += pause.unwrap_or_default();
        }
        assert_eq!(pauses.len(), 7);
        for (pause, expected) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]) {
            assert!((pause - expected).abs() <= expected / 9.0 + 0.5, "{pauses:?}");
        }
        assert!(hearsay.take_listing());
        // A source that wants to be left alone is.
        hearsay.name(digest(2), [], true, now);
        let (two, named) = hearsay.next(now).unwrap();
        hearsay.failed(two, named, Duration::from_secs(3_600), now);
        assert_eq!(hearsay.next(now), Err(Some(Duration::from_secs(3_600))));
    }

    #[test]
    fn what_waits_for_a_source_is_due_when_it_is_back() {
        let now = Instant::now();
        let hearsay = Hearsay::new(now);
        hearsay.name(digest(1), [], true, now);
        for _ in 0..6 {
            let (one, named) = hearsay.next(now).unwrap();
            hearsay.failed(one, named, Duration::ZERO, now);
            assert!(hearsay.next(now).unwrap_err().is_some());
            hearsay.hasten(now);
        }
        let (one, named) = hearsay.next(now).unwrap();
        assert_eq!(named.tries, 6, "it is given up as soon as before");
        hearsay.failed(one, named, Duration::ZERO, now);
        hearsay.hasten(now + Duration::from_secs(5));
        assert_eq!(hearsay.next(now), Err(Some(Duration::from_secs(5))));
        hearsay.hasten(now + Duration::from_secs(50));
        assert_eq!(hearsay.next(now), Err(Some(Duration::from_secs(5))), "nothing is put off");
    }

    #[test]
    fn what_is_heard_during_a_listing_is_remembered_within_a_bound() {
        let hearsay = Hearsay::new(Instant::now());
        hearsay.note(digest(1));
        assert!(!hearsay.was_noted(digest(1)));
        hearsay.begin_listing();
        (0..10_000).for_each(|n| hearsay.note(digest(n)));
        assert!(hearsay.was_noted(digest(9_999)) && !hearsay.take_listing());
        hearsay.note(digest(10_000));
        assert!(!hearsay.was_noted(digest(10_000)) && hearsay.take_listing());
        assert_eq!(hearsay.end_listing().len(), 10_000);
        assert!(!hearsay.was_noted(digest(1)));
    }
}
