//! From what an image's name points at to what may run of it, and back: target → manifests → configs →
//! chain IDs, every hash recomputed from the content store.
//!
//! A link that was recomputed once is a fact: it stays when the image's record or its blobs go, and
//! whoever puts it together again gets the same. What failed is not remembered, and an index of which
//! something was not there is looked at again.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;

use super::client::{Containerd, ReadError};
use super::facts::{Facts, Found, Path, Written};
use super::waiting::Waiting;
use crate::image::content::{self, Content};
use crate::image::{ContentError, Digest, DigestKind};

/// The most manifests and indexes below one target that are read, and the most bytes of all its documents.
/// What lies beyond is left alone.
const MAX_DOCUMENTS: usize = 1_024;
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The longest that one part of a look takes, if anybody waits that long.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// A document of more bytes is parsed where it holds up nobody else.
const AT_ONCE: usize = 64 * 1024;

/// How many targets all refreshes together read at a time.
const AT_A_TIME: usize = 8;

/// One image for one platform, as the bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Digest of its config.
    pub config: Digest,
    /// Chain ID of its layers; none without layers.
    pub chain: Option<Digest>,
}

/// A config on a chain ID, and every digest known to lead to both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Digest of the config.
    pub config: Digest,
    /// The manifests of exactly that config, and the indexes that list them (at any depth), sorted.
    pub digests: Vec<(Digest, DigestKind)>,
}

/// What is known of the images of a node. Clones share it.
#[derive(Clone)]
pub struct Links {
    shared: Arc<Shared>,
}

struct Shared {
    facts: Mutex<Facts>,
    /// Looks that are under way, by namespace and target.
    looks: Mutex<HashMap<(String, Digest), Arc<Look>>>,
    desks: Arc<Semaphore>,
}

type Look = OnceCell<Result<Arc<[Leaf]>, ReadError>>;

impl Default for Links {
    fn default() -> Self {
        Self::new()
    }
}

impl Links {
    /// Knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let (facts, desks) = (Mutex::new(Facts::new()), Arc::new(Semaphore::new(AT_A_TIME)));
        Self { shared: Arc::new(Shared { facts, looks: Mutex::default(), desks }) }
    }

    /// What `target`, a manifest or an index, leads to: manifests in the index, and in indexes in it. Children
    /// that are not in the store, as those of other platforms, and children that are no image are left out.
    ///
    /// No RPC where the target is known and, of an index with absent children, was looked at lately (5 s, up
    /// to 10 min where looks find nothing more). Otherwise two (`Content.Info`, `Content.Read`) for each
    /// manifest, config and index that is there and one for each that is not; all within the deadline of
    /// `containerd`. Whoever asks for the same target meanwhile waits for the same look.
    ///
    /// # Errors
    /// Those of [`Containerd::read`] for the target, and for any child but [`ReadError::NotThere`] and
    /// [`ReadError::TooLarge`]; [`ReadError::NotAnImage`] for the target itself.
    pub async fn leaves(
        &self,
        containerd: &Containerd,
        namespace: &str,
        target: Digest,
    ) -> Result<Arc<[Leaf]>, ReadError> {
        if let Some(leaves) = self.facts().leaves(target, Instant::now()) {
            return Ok(leaves);
        }
        self.look(containerd, namespace, target, None).await
    }

    /// Learns what every image record of `namespace` leads to that is not known, or whose record was written
    /// since an index was found to lack children. A target that cannot be read says nothing about the others:
    /// it stays unknown.
    ///
    /// `Images.List`, and for each target to be looked at the RPCs of [`Links::leaves`], eight targets at a
    /// time; all within the deadline of `containerd`. What was learnt until then stays, and a look that is
    /// under way then goes on by itself, for a minute at most: whoever makes images that take long to read
    /// makes it wait once. Targets whose bytes are no image are not looked at again.
    ///
    /// # Errors
    /// [`ReadError::Unreachable`] and [`ReadError::Late`]; any of the list of images.
    pub async fn refresh(&self, containerd: &Containerd, namespace: &str) -> Result<(), ReadError> {
        containerd
            .in_time(async {
                let mut targets: HashMap<Digest, Written> = HashMap::new();
                for image in containerd.named(namespace).await? {
                    let written = targets.entry(image.target).or_default();
                    *written = image.written.max(*written);
                }
                let now = Instant::now();
                let mut wanted: VecDeque<_> = {
                    let mut facts = self.facts();
                    targets
                        .into_iter()
                        .filter(|(target, written)| facts.wants(*target, *written, now))
                        .collect()
                };
                let mut looks = JoinSet::new();
                let _waiting = Waiting::begin();
                loop {
                    let (may_begin, desks) =
                        (!wanted.is_empty() && looks.len() < AT_A_TIME, &self.shared.desks);
                    let looked = tokio::select! {
                        // Before the look begins: one that nobody waits for any more holds its desk.
                        Ok(desk) = Arc::clone(desks).acquire_owned(), if may_begin => {
                            let Some((target, written)) = wanted.pop_front() else { continue };
                            let (links, namespace) = (self.clone(), namespace.to_owned());
                            let patient = containerd.within(LONGEST_LOOK);
                            let look = tokio::spawn(async move {
                                let _desk = desk;
                                links.look(&patient, &namespace, target, Some(written)).await
                            });
                            looks.spawn(async move { (target, look.await) });
                            continue;
                        }
                        Some(looked) = looks.join_next(), if !looks.is_empty() => looked,
                        else => return Ok(()),
                    };
                    match looked {
                        Ok((_, Ok(Err(error @ (ReadError::Unreachable { .. } | ReadError::Late(_)))))) => {
                            return Err(error);
                        }
                        Ok((target, Ok(Err(error)))) => tracing::debug!("image target `{target}`: {error}"),
                        Ok((_, Ok(Ok(_)))) => {}
                        Err(error) | Ok((_, Err(error))) => {
                            tracing::warn!("a look at an image ended early: {error}");
                        }
                    }
                }
            })
            .await
    }

    /// Every known image of that chain ID, one [`Root`] for each config, sorted. From memory.
    #[must_use]
    pub fn rooted(&self, chain: Option<Digest>) -> Vec<Root> {
        self.facts().rooted(chain)
    }

    /// The one of that config. From memory.
    #[must_use]
    pub fn root(&self, chain: Option<Digest>, config: Digest) -> Option<Root> {
        self.rooted(chain).into_iter().find(|root| root.config == config)
    }

    /// Keeps what is known of the images of these chains and configs, of what runs, when room is needed: up
    /// to 16,384 targets are remembered, and 131,072 ways from them to a config. Replaces the last call's.
    pub fn pin(&self, running: impl IntoIterator<Item = (Option<Digest>, Digest)>) {
        self.facts().pin(running);
    }

    /// One look at `target`, shared by all who want it meanwhile. A look whose caller gives up is begun
    /// again by the next of them.
    pub(super) async fn look(
        &self,
        containerd: &Containerd,
        namespace: &str,
        target: Digest,
        written: Option<Written>,
    ) -> Result<Arc<[Leaf]>, ReadError> {
        let key = (namespace.to_owned(), target);
        let look = Arc::clone(self.looks().entry(key.clone()).or_default());
        let _end = EndOfLook { links: self, key, look: Arc::clone(&look) };
        let begin = || async {
            // Every waiter has a deadline of its own: that of whoever began must not end up in the answer.
            let patient = containerd.within(LONGEST_LOOK);
            let reading = Reading { containerd: &patient, namespace, left: MAX_BYTES };
            let found = match reading.of(target).await {
                Err(error @ (ReadError::NotAnImage(..) | ReadError::TooLarge { .. })) => {
                    // The same bytes will never be one.
                    self.facts().give_up(target);
                    return Err(error);
                }
                found => found?,
            };
            Ok(self.facts().learn(target, found, written, Instant::now()))
        };
        let _waiting = Waiting::begin();
        containerd.in_time(async { look.get_or_init(begin).await.clone() }).await
    }

    /// A panic elsewhere leaves whole facts behind: the lock is usable.
    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.shared.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn looks(&self) -> MutexGuard<'_, HashMap<(String, Digest), Arc<Look>>> {
        self.shared.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a look off the list when it is done, or when the last who waited for it has given up.
struct EndOfLook<'a> {
    links: &'a Links,
    key: (String, Digest),
    look: Arc<Look>,
}

impl Drop for EndOfLook<'_> {
    fn drop(&mut self) {
        let mut looks = self.links.looks();
        let Some(listed) = looks.get(&self.key) else { return };
        // Nobody comes by another one while the list is locked: the list's, this one's and the caller's.
        let is_last = Arc::strong_count(&self.look) <= 3;
        if Arc::ptr_eq(listed, &self.look) && (self.look.initialized() || is_last) {
            looks.remove(&self.key);
        }
    }
}

/// One look at a target.
struct Reading<'a> {
    containerd: &'a Containerd,
    namespace: &'a str,
    /// The bytes that may still be read.
    left: u64,
}

enum Below {
    Index(Vec<Digest>),
    Leaf(Leaf),
}

impl Reading<'_> {
    async fn of(mut self, target: Digest) -> Result<Found, ReadError> {
        let mut found = Found { paths: BTreeSet::new(), is_whole: true };
        let outer = match self.document(target).await? {
            Content::Manifest { config } => {
                let leaf = self.leaf(target, config).await?;
                found.paths.insert(Path { through: None, leaf });
                return Ok(found);
            }
            Content::Index(children) => children,
        };
        let mut queue: VecDeque<(Option<Digest>, Digest)> =
            outer.into_iter().map(|child| (None, child)).collect();
        let mut read = 0;
        while let Some((through, child)) = queue.pop_front() {
            read += 1;
            if read > MAX_DOCUMENTS {
                tracing::debug!("image index `{target}` lists more than {MAX_DOCUMENTS} manifests in all");
                break;
            }
            match self.below(child).await {
                Ok(Below::Leaf(leaf)) => {
                    found.paths.insert(Path { through, leaf });
                }
                // An index in an index in an index is left alone.
                Ok(Below::Index(children)) if through.is_none() => {
                    queue.extend(children.into_iter().map(|grandchild| (Some(child), grandchild)));
                }
                // What its bytes are will never change.
                Ok(Below::Index(_)) | Err(ReadError::NotAnImage(..) | ReadError::TooLarge { .. }) => {}
                Err(ReadError::NotThere(_)) => found.is_whole = false,
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn below(&mut self, child: Digest) -> Result<Below, ReadError> {
        match self.document(child).await? {
            Content::Index(children) => Ok(Below::Index(children)),
            Content::Manifest { config } => self.leaf(child, config).await.map(Below::Leaf),
        }
    }

    async fn document(&mut self, digest: Digest) -> Result<Content, ReadError> {
        self.read(digest, Content::read).await
    }

    async fn leaf(&mut self, manifest: Digest, config: Digest) -> Result<Leaf, ReadError> {
        let layers = self.read(config, content::config).await?;
        Ok(Leaf { manifest, config, chain: content::chain_id(&layers) })
    }

    async fn read<T: Send + 'static>(
        &mut self,
        digest: Digest,
        parse: fn(&[u8]) -> Result<T, ContentError>,
    ) -> Result<T, ReadError> {
        let max = self.left.min(content::MAX_BYTES as u64);
        let bytes = self.containerd.read(self.namespace, digest, max).await?;
        self.left -= (bytes.len() as u64).min(self.left);
        let parsed = if bytes.len() > AT_ONCE {
            let parsed = tokio::task::spawn_blocking(move || parse(&bytes)).await;
            parsed.map_err(|error| ReadError::Unreadable(format!("content `{digest}`: {error}")))?
        } else {
            parse(&bytes)
        };
        parsed.map_err(|error| ReadError::NotAnImage(digest, error))
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    /// Neither a look that failed nor one that everybody gave up is left on the list.
    #[tokio::test]
    async fn a_look_ends_with_who_waited_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("c.sock");
        let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let target = Digest::of(b"target");
        let links = Links::new();
        let absent = Containerd::new(&folder.path().join("nobody"));
        let silent = Containerd::new(&socket).within(Duration::from_millis(20));
        let (one, two, three) = tokio::join!(
            links.leaves(&silent, "k8s.io", target),
            links.leaves(&silent, "k8s.io", target),
            links.leaves(&absent, "other", target),
        );
        assert!(matches!((one, two), (Err(ReadError::Late(_)), Err(ReadError::Late(_)))));
        assert!(matches!(three, Err(ReadError::Unreachable { .. })));
        assert_eq!(links.looks().len(), 0);
        assert!(links.facts().leaves(target, Instant::now()).is_none());
    }
}
