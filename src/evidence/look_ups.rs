//! Questions to sources about one digest: which are under way, which were asked lately, and how many more may
//! be. Whoever can make a node ask (with a pod of any image) must not make it ask without end, nor use up
//! what others may ask.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::decision::Lack;
use crate::image::Digest;

/// Questions that wait for their turn.
const QUEUE: usize = 1_024;
/// Digests whose last answer is remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
/// Repositories and namespaces whose share is remembered.
const SHARES: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
/// What one repository may ask: so many at once, and so many a second.
const REPOSITORY: Share = Share { burst: 200.0, each_second: 10.0 };
/// The same of a namespace.
const NAMESPACE: Share = Share { burst: 400.0, each_second: 20.0 };
/// The rest after there was no room in the queue.
const FULL: Duration = Duration::from_secs(2);

/// What a look-up came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Absence {
    /// Nothing is filed for the digest.
    NoneFound,
    /// Something is, under keys that nobody has.
    WrongKey,
    /// Something is, that does not hold.
    BadSignature,
}

impl Absence {
    /// How long it is not asked for again.
    fn lifetime(self) -> Duration {
        match self {
            Self::NoneFound => Duration::from_secs(5),
            Self::WrongKey => Duration::from_secs(20),
            Self::BadSignature => Duration::from_secs(60),
        }
    }
}

/// Who makes the node ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asker {
    /// The repository of the image, where its name is known.
    pub repository: Option<String>,
    /// The namespace of the pod, where it is known.
    pub namespace: Option<String>,
}

/// How it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LookUpsStatus {
    /// Under way, or waiting for their turn.
    pub under_way: usize,
    /// Asked since start.
    pub asked: u64,
    /// Of these, without an answer of some source.
    pub failed: u64,
    /// Not asked because its repository or namespace had asked too much.
    pub limited: u64,
}

/// The questions of this node.
#[derive(Debug)]
pub struct LookUps {
    inner: Mutex<Inner>,
    queue: mpsc::Sender<Digest>,
}

/// A question that is under way.
#[derive(Debug)]
pub struct UnderWay(watch::Receiver<()>);

impl UnderWay {
    /// Waits until it has been answered, or given up.
    pub async fn ended(mut self) {
        // Nothing is ever sent: the other end is dropped.
        while self.0.changed().await.is_ok() {}
    }
}

/// Questions in the order that they are to be asked in.
#[derive(Debug)]
pub struct Queue(pub(super) mpsc::Receiver<Digest>);

#[derive(Debug)]
struct Inner {
    /// Nobody can be asked without a source beyond this node.
    remote: bool,
    /// Why no source can be asked, and until when that is not tried again.
    outage: Option<(String, Instant)>,
    under_way: HashMap<Digest, watch::Sender<()>>,
    recent: LruCache<Digest, Recent>,
    repositories: LruCache<String, Bucket>,
    namespaces: LruCache<String, Bucket>,
    status: LookUpsStatus,
}

#[derive(Debug)]
struct Recent {
    until: Instant,
    lack: Option<Lack>,
}

/// How much may be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// So many at once.
    pub(super) burst: f64,
    /// So many a second.
    pub(super) each_second: f64,
}

/// What is left of a share.
#[derive(Debug)]
pub(super) struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    /// All of it.
    pub(super) fn full(share: Share, now: Instant) -> Self {
        Self { left: share.burst, at: now }
    }

    /// Takes one, or says how long until there is one.
    pub(super) fn take(&mut self, share: Share, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left, self.at) = ((self.left + since * share.each_second).min(share.burst), now);
        if self.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.left) / share.each_second));
        }
        self.left -= 1.0;
        Ok(())
    }
}

impl LookUps {
    /// None yet.
    #[must_use]
    pub fn new() -> (Self, Queue) {
        let (queue, asked) = mpsc::channel(QUEUE);
        let inner = Inner {
            remote: false,
            outage: None,
            under_way: HashMap::new(),
            recent: LruCache::new(REMEMBERED),
            repositories: LruCache::new(SHARES),
            namespaces: LruCache::new(SHARES),
            status: LookUpsStatus::default(),
        };
        (Self { inner: Mutex::new(inner), queue }, Queue(asked))
    }

    /// Asks for `digest`, unless that was done just now or may not be; the question, where there is one.
    /// [`LookUps::lack`] says then what is still not known.
    #[must_use]
    pub fn ask(&self, digest: Digest, asker: &Asker, now: Instant) -> Option<UnderWay> {
        let mut inner = self.lock();
        if !inner.remote {
            return None;
        }
        if let Some(under_way) = inner.under_way.get(&digest) {
            return Some(UnderWay(under_way.subscribe()));
        }
        // That somebody else has asked too much is nothing that this one has to wait for.
        let answered = |recent: &Recent| recent.until > now && !matches!(recent.lack, Some(Lack::Limited(_)));
        if inner.recent.get(&digest).is_some_and(answered) {
            return None;
        }
        if let Some((cause, until)) = inner.outage.clone().filter(|(_, until)| *until > now) {
            inner.recent.put(digest, Recent { until, lack: Some(Lack::Unreachable(cause)) });
            return None;
        }
        if let Err(wait) = inner.may_ask(asker, now) {
            inner.status.limited += 1;
            inner.recent.put(digest, Recent { until: now + wait, lack: Some(Lack::Limited(wait)) });
            return None;
        }
        inner.start(digest, &self.queue, now)
    }

    /// Asks whatever was asked before.
    pub fn ask_again(&self, digest: Digest, now: Instant) -> Option<UnderWay> {
        let mut inner = self.lock();
        match inner.under_way.get(&digest) {
            Some(under_way) => Some(UnderWay(under_way.subscribe())),
            None => inner.start(digest, &self.queue, now),
        }
    }

    /// Why more may be filed for `digest` than is known here.
    #[must_use]
    pub fn lack(&self, digest: Digest) -> Option<Lack> {
        let inner = self.lock();
        if inner.under_way.contains_key(&digest) {
            return Some(Lack::Pending);
        }
        inner.recent.peek(&digest)?.lack.clone()
    }

    /// Whether somebody asked for `digest` lately: it is among the last 4,096.
    pub(super) fn remembers(&self, digest: Digest) -> bool {
        let inner = self.lock();
        inner.under_way.contains_key(&digest) || inner.recent.contains(&digest)
    }

    /// Whether anybody can be asked.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        self.lock().remote
    }

    /// How it goes.
    #[must_use]
    pub fn status(&self) -> LookUpsStatus {
        let inner = self.lock();
        LookUpsStatus { under_way: inner.under_way.len(), ..inner.status }
    }

    pub(super) fn open(&self) {
        self.lock().remote = true;
    }

    /// No source can be asked, for this reason and for so long.
    pub(super) fn all_are_away(&self, cause: String, rest: Duration, now: Instant) {
        self.lock().outage = Some((cause, now + rest));
    }

    /// An answer: every source has said what it has, which is not enough in this way; or which has not.
    pub(super) fn answered(&self, digest: Digest, answer: Result<Absence, (String, Duration)>, now: Instant) {
        let mut inner = self.lock();
        let recent = match answer {
            Ok(absence) => Recent { until: now + absence.lifetime(), lack: None },
            Err((cause, rest)) => {
                inner.status.failed += 1;
                Recent { until: now + rest, lack: Some(Lack::Unreachable(cause)) }
            }
        };
        inner.recent.put(digest, recent);
        // Dropped, it tells all who wait.
        inner.under_way.remove(&digest);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn may_ask(&mut self, asker: &Asker, now: Instant) -> Result<(), Duration> {
        let Self { repositories, namespaces, .. } = self;
        for (name, shares, share) in
            [(&asker.repository, repositories, REPOSITORY), (&asker.namespace, namespaces, NAMESPACE)]
        {
            let Some(name) = name else { continue };
            shares.get_or_insert_mut(name.clone(), || Bucket::full(share, now)).take(share, now)?;
        }
        Ok(())
    }

    fn start(&mut self, digest: Digest, queue: &mpsc::Sender<Digest>, now: Instant) -> Option<UnderWay> {
        if queue.try_send(digest).is_err() {
            self.status.limited += 1;
            self.recent.put(digest, Recent { until: now + FULL, lack: Some(Lack::Limited(FULL)) });
            return None;
        }
        self.status.asked += 1;
        let (done, wait) = watch::channel(());
        self.under_way.insert(digest, done);
        Some(UnderWay(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u32) -> Digest {
        Digest::of(&n.to_be_bytes())
    }

    #[test]
    fn one_question_at_a_time_and_none_again_so_soon() {
        let (look_ups, mut queue) = LookUps::new();
        let (asker, now) = (Asker::default(), Instant::now());
        assert!(look_ups.ask(digest(1), &asker, now).is_none(), "there is nobody to ask");
        look_ups.open();
        assert!(look_ups.ask(digest(1), &asker, now).is_some());
        assert!(look_ups.ask(digest(1), &asker, now).is_some(), "who asks the same waits for the same");
        assert_eq!((queue.0.try_recv().unwrap(), queue.0.try_recv().is_err()), (digest(1), true));
        assert_eq!(look_ups.lack(digest(1)), Some(Lack::Pending));
        let later = |seconds| now + Duration::from_secs(seconds);
        for (absence, seconds) in
            [(Absence::NoneFound, 5), (Absence::WrongKey, 20), (Absence::BadSignature, 60)]
        {
            look_ups.answered(digest(1), Ok(absence), now);
            assert_eq!(look_ups.lack(digest(1)), None);
            assert!(look_ups.ask(digest(1), &asker, later(seconds - 1)).is_none(), "{absence:?}");
            assert!(look_ups.ask(digest(1), &asker, later(seconds)).is_some(), "{absence:?}");
        }
        look_ups.answered(digest(1), Err(("away".into(), Duration::from_secs(1))), now);
        assert_eq!(look_ups.lack(digest(1)), Some(Lack::Unreachable("away".into())));
        assert!(look_ups.ask(digest(1), &asker, now).is_none());
        assert!(look_ups.ask_again(digest(1), now).is_some());
        let status = look_ups.status();
        assert_eq!((status.asked, status.failed, status.under_way), (5, 1, 1));
    }

    #[test]
    fn whoever_asks_too_much_takes_nothing_from_others() {
        let (look_ups, mut queue) = LookUps::new();
        look_ups.open();
        let now = Instant::now();
        let of = |repository: &str, namespace: &str| Asker {
            repository: Some(repository.to_owned()),
            namespace: Some(namespace.to_owned()),
        };
        let mut asked = 0;
        for n in 0..1_000 {
            asked += u32::from(look_ups.ask(digest(n), &of("r.io/noisy", "a"), now).is_some());
            let _ = queue.0.try_recv();
        }
        assert_eq!(asked, 200);
        assert!(matches!(look_ups.lack(digest(999)), Some(Lack::Limited(_))));
        // By other repositories of the same namespace, no more than that may.
        for n in 1_000..2_000 {
            asked += u32::from(look_ups.ask(digest(n), &of(&format!("r.io/{n}"), "a"), now).is_some());
            let _ = queue.0.try_recv();
        }
        assert_eq!(asked, 400);
        assert!(look_ups.ask(digest(3_000), &of("r.io/quiet", "b"), now).is_some());
        // Nor by asking for what others want.
        assert!(matches!(look_ups.lack(digest(998)), Some(Lack::Limited(_))));
        assert!(look_ups.ask(digest(998), &of("r.io/quiet", "b"), now).is_some());
        let later = now + Duration::from_secs(1);
        assert!(look_ups.ask(digest(999), &of("r.io/noisy", "a"), later).is_some());
    }

    #[test]
    fn a_full_queue_is_said_so() {
        let (look_ups, _queue) = LookUps::new();
        look_ups.open();
        let now = Instant::now();
        for n in 0..1_024 {
            assert!(look_ups.ask(digest(n), &Asker::default(), now).is_some());
        }
        assert!(look_ups.ask(digest(2_000), &Asker::default(), now).is_none());
        assert!(matches!(look_ups.lack(digest(2_000)), Some(Lack::Limited(_))));
    }
}
