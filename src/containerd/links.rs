//! From what an image's name points at to what may run of it, and back: target → manifests → configs →
//! chain IDs, every hash recomputed from the content store.
//!
//! A link that was recomputed once is a fact: it stays when the image's record or its blobs go, and
//! whoever puts it together again gets the same. What failed is not remembered, and an index of which
//! something was not there is looked at again.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::client::{Containerd, ReadError};
use super::facts::{Facts, Found, Path, Written};
use super::waiting::Waiting;
use crate::image::content::{self, Content};
use crate::image::{ContentError, Digest, DigestKind};

/// The most manifests and indexes below one target that are read.
const MAX_DOCUMENTS: usize = 1_024;

/// The longest that one part of a look takes, if anybody waits that long.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// How many targets a refresh reads at a time.
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
        Self { shared: Arc::new(Shared { facts: Mutex::new(Facts::new()), looks: Mutex::default() }) }
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
    /// time; all within the deadline of `containerd`. What was learnt until then stays.
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
                loop {
                    while looks.len() < AT_A_TIME
                        && let Some((target, written)) = wanted.pop_front()
                    {
                        let (links, containerd, namespace) =
                            (self.clone(), containerd.clone(), namespace.to_owned());
                        looks.spawn(async move {
                            let look = links.look(&containerd, &namespace, target, Some(written)).await;
                            look.map_err(|error| (target, error))
                        });
                    }
                    let waiting = Waiting::begin();
                    let look = looks.join_next().await;
                    drop(waiting);
                    match look {
                        None => return Ok(()),
                        Some(Ok(Err((_, error @ (ReadError::Unreachable { .. } | ReadError::Late(_)))))) => {
                            return Err(error);
                        }
                        Some(Ok(Err((target, error)))) => tracing::debug!("image target `{target}`: {error}"),
                        Some(Ok(Ok(_))) => {}
                        Some(Err(error)) => tracing::warn!("a look at an image ended early: {error}"),
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
            let found = look_at(&patient, namespace, target).await?;
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

async fn look_at(containerd: &Containerd, namespace: &str, target: Digest) -> Result<Found, ReadError> {
    let mut found = Found { paths: BTreeSet::new(), is_whole: true };
    let outer = match document(containerd, namespace, target).await? {
        Content::Manifest { config } => {
            let leaf = leaf(containerd, namespace, target, config).await?;
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
            let what = format!("image index `{target}` lists more than {MAX_DOCUMENTS} manifests in all");
            return Err(ReadError::Unreadable(what));
        }
        match below(containerd, namespace, child).await {
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

enum Below {
    Index(Vec<Digest>),
    Leaf(Leaf),
}

async fn below(containerd: &Containerd, namespace: &str, child: Digest) -> Result<Below, ReadError> {
    match document(containerd, namespace, child).await? {
        Content::Index(children) => Ok(Below::Index(children)),
        Content::Manifest { config } => leaf(containerd, namespace, child, config).await.map(Below::Leaf),
    }
}

async fn document(containerd: &Containerd, namespace: &str, digest: Digest) -> Result<Content, ReadError> {
    let bytes = containerd.read(namespace, digest, content::MAX_BYTES as u64).await?;
    Content::read(&bytes).map_err(not_an_image(digest))
}

async fn leaf(
    containerd: &Containerd,
    namespace: &str,
    manifest: Digest,
    config: Digest,
) -> Result<Leaf, ReadError> {
    let bytes = containerd.read(namespace, config, content::MAX_BYTES as u64).await?;
    let layers = content::config(&bytes).map_err(not_an_image(config))?;
    Ok(Leaf { manifest, config, chain: content::chain_id(&layers) })
}

fn not_an_image(digest: Digest) -> impl Fn(ContentError) -> ReadError {
    move |error| ReadError::NotAnImage(digest, error)
}
