//! From a container to the image whose bytes it would run (design: "What is judged at creation is not a
//! name").
//!
//! Container id → snapshot → chain ID; at start also the config digest of the container's record. An image
//! counts where its digests lead, by hashes recomputed here, to that chain and that config. A name counts
//! where it is the pod's own text and containerd's record of exactly that name leads there too.

use std::time::Duration;

use super::creation::is_static;
use super::{CreateGate, Creation, PodOf, Stage};
use crate::containerd::{PidNamespace, ReadError, Record, Root};
use crate::daemon::handlers::Ungated;
use crate::decision::{Reason, Subject};
use crate::image::{Digest, DigestKind, Reference, Workload};

pub(super) const PULL_AGAIN: &str =
    "Pull the image again on this node; `ctr -n k8s.io content ls` shows what is there";
const ASK_AGAIN: &str = "kubelet tries again; `binauthctl status` on the node says how containerd is doing";

/// Why it is not known what a container runs.
#[derive(Debug)]
pub(super) struct Hindrance {
    pub(super) reason: Reason,
    pub(super) cause: String,
    pub(super) remedy: &'static str,
}

/// What a container runs, as far as its file system and its record tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bound {
    /// The image as its pod's author wrote it; for people.
    text: String,
    images: Vec<Image>,
}

#[derive(Debug, PartialEq, Eq)]
struct Image {
    root: Root,
    /// The pod's own text, where it leads to this image.
    name: Option<Reference>,
}

impl Bound {
    /// One subject for each image that it may be.
    pub(super) fn subjects(&self, workload: &Workload) -> Vec<Subject> {
        let subject = |image: &Image| {
            Subject::created(&self.text, image.name.clone(), &image.root.digests, Some(image.root.config))
                .in_workload(workload.clone())
        };
        self.images.iter().map(subject).collect()
    }

    /// Every digest that leads to what it runs.
    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.images
            .iter()
            .flat_map(|image| image.root.digests.iter().map(|(digest, _)| *digest).chain([image.root.config]))
    }
}

/// What was read of a container.
struct Found {
    chain: Option<Digest>,
    config: Option<Digest>,
    text: String,
}

/// Finds what `creation` runs, and which pod it belongs to where the gate did not say.
pub(super) async fn bind(gate: &CreateGate, creation: &mut Creation) -> Result<Bound, Hindrance> {
    let found = find(gate, creation).await?;
    lead(gate, creation, found).await
}

/// The same for a container whose record is there already.
pub(super) async fn by_record(
    gate: &CreateGate,
    creation: &mut Creation,
    record: &Record,
) -> Result<Bound, Hindrance> {
    let found = recorded(gate, creation, record).await?;
    lead(gate, creation, found).await
}

/// To the images that lead to what was found.
async fn lead(gate: &CreateGate, creation: &Creation, found: Found) -> Result<Bound, Hindrance> {
    let mut roots = roots(gate, &found);
    if roots.is_empty() {
        refresh(gate, creation).await?;
        roots = self::roots(gate, &found);
    }
    if roots.is_empty() {
        return Err(rootless(gate, &found));
    }
    named(gate, creation, found, roots).await
}

/// The same after a look at every image on the node; `None` where that tells nothing new.
pub(super) async fn again(
    gate: &CreateGate,
    creation: &Creation,
    before: &Bound,
) -> Result<Option<Bound>, Hindrance> {
    refresh(gate, creation).await?;
    let bound = bind(gate, &mut creation.clone()).await?;
    Ok((bound != *before).then_some(bound))
}

/// An image whose files are mounted: known by its digests alone.
pub(super) async fn volume(gate: &CreateGate, namespace: &str, target: Digest) -> Subject {
    let mut digests = vec![(target, DigestKind::Unknown)];
    let mut config = None;
    if let Ok(leaves) = gate.links.leaves(&gate.containerd, namespace, target).await {
        // The one platform that this node has fetched.
        if let [leaf] = &*leaves {
            config = Some(leaf.config);
            if leaf.manifest == target {
                digests = vec![(target, DigestKind::Manifest)];
            } else {
                digests = vec![(target, DigestKind::Index), (leaf.manifest, DigestKind::Manifest)];
            }
        }
    }
    Subject::created(&format!("image volume {target}"), None, &digests, config)
}

async fn find(gate: &CreateGate, creation: &mut Creation) -> Result<Found, Hindrance> {
    match creation.stage {
        Stage::Create => {
            let chain = chain(gate, &creation.namespace, &creation.id, None).await?;
            let text = author_text(gate, creation).unwrap_or_else(|| creation.image.clone());
            Ok(Found { chain, config: creation.config, text })
        }
        Stage::Start | Stage::Running => {
            match gate.containerd.container(&creation.namespace, &creation.id).await {
                Ok(record) => recorded(gate, creation, &record).await,
                Err(error) => Err(Hindrance::from(error)),
            }
        }
    }
}

/// By the container's record: it names the snapshot, and the config whose settings the process gets.
async fn recorded(gate: &CreateGate, creation: &mut Creation, record: &Record) -> Result<Found, Hindrance> {
    let namespace = creation.namespace.clone();
    if record.snapshot_key.is_empty() {
        return Err(Hindrance::unknown("its root file system is no snapshot of containerd's"));
    }
    if record.cri.is_some() && record.snapshot_key != creation.id {
        return Err(Hindrance::unknown("its record names another container's snapshot"));
    }
    let chain = chain(gate, &namespace, &record.snapshot_key, Some(&record.snapshotter));
    let (chain, ()) = tokio::try_join!(chain, complete(gate, creation, record))?;
    let (config, text) = match &record.cri {
        Some(cri) => {
            // containerd before 2.0 keeps only what its caller named the image by.
            let told = [&cri.user_specified_image, &cri.image].into_iter().find(|text| !text.is_empty());
            let text = author_text(gate, creation).or(told.cloned()).unwrap_or_default();
            (Some(cri.config), text)
        }
        None => (named_config(gate, &namespace, record, chain).await?, record.image_name.clone()),
    };
    creation.image.clone_from(&text);
    Ok(Found { chain, config, text })
}

/// Takes from the record, and from that of its sandbox, what the gate did not say.
async fn complete(gate: &CreateGate, creation: &mut Creation, record: &Record) -> Result<(), Hindrance> {
    if let Some(cri) = &record.cri {
        creation.name.clone_from(&cri.name);
        creation.reach.privileged |= cri.is_privileged;
        creation.reach.host_pid |= cri.pid == PidNamespace::Node;
    }
    if creation.pod.is_some() {
        return Ok(());
    }
    let sandbox = match (&record.sandbox, &record.cri) {
        (Some(sandbox), _) => Some((record.id.clone(), sandbox.clone())),
        (None, Some(_)) => {
            let sandbox = gate.containerd.sandbox(&creation.namespace, &record.sandbox_id).await?;
            Some((record.sandbox_id.clone(), sandbox))
        }
        // Not a pod's: a service that this node runs without Kubernetes.
        (None, None) => None,
    };
    creation.pod = sandbox.map(|(id, sandbox)| PodOf {
        sandbox: id,
        namespace: sandbox.namespace,
        name: sandbox.name,
        uid: sandbox.uid,
        handler: sandbox.runtime_handler,
        is_static: is_static(|key| sandbox.annotations.get(key).cloned()),
    });
    Ok(())
}

/// The chain ID of what will be mounted as its root.
async fn chain(
    gate: &CreateGate,
    namespace: &str,
    key: &str,
    recorded: Option<&str>,
) -> Result<Option<Digest>, Hindrance> {
    let snapshot = gate.containerd.snapshot(namespace, key).await?;
    if recorded.is_some_and(|recorded| recorded != snapshot.snapshotter) {
        return Err(Hindrance::unknown("its record names another snapshotter than the one that has it"));
    }
    if !gate.settings.snapshotters.contains(&snapshot.snapshotter) {
        return Err(Hindrance {
            reason: Reason::SnapshotterUnlisted,
            cause: format!(
                "its files come from the snapshotter `{}`, which is not listed",
                snapshot.snapshotter
            ),
            remedy: "Use one whose content containerd checks, or list it in `[containerd] snapshotters`",
        });
    }
    Ok(snapshot.parents.chain())
}

/// Outside CRI the record has only the image's name: the config it leads to now, if that is of this chain.
async fn named_config(
    gate: &CreateGate,
    namespace: &str,
    record: &Record,
    chain: Option<Digest>,
) -> Result<Option<Digest>, Hindrance> {
    let Some(target) = gate.containerd.image(namespace, &record.image_name).await? else {
        let cause = format!("its record names the image `{}`, which is not there", record.image_name);
        return Err(Hindrance { reason: Reason::ImageUnknown, cause, remedy: PULL_AGAIN });
    };
    let leaves = gate.links.leaves(&gate.containerd, namespace, target).await?;
    match leaves.iter().find(|leaf| leaf.chain == chain) {
        Some(leaf) => Ok(Some(leaf.config)),
        None => Err(Hindrance {
            reason: Reason::ImageMismatch,
            cause: format!("the image `{}` of its record does not lead to its files", record.image_name),
            remedy: PULL_AGAIN,
        }),
    }
}

/// What the pod's author wrote, by kubelet's word.
fn author_text(gate: &CreateGate, creation: &Creation) -> Option<String> {
    let facts = gate.known(creation.pod.as_ref()?)?;
    facts.container(&creation.name).map(|container| container.image.clone())
}

fn roots(gate: &CreateGate, found: &Found) -> Vec<Root> {
    match found.config {
        Some(config) => gate.links.root(found.chain, config).into_iter().collect(),
        None => gate.links.rooted(found.chain),
    }
}

fn rootless(gate: &CreateGate, found: &Found) -> Hindrance {
    let files = found.chain.map_or_else(|| "no layers".to_owned(), |chain| format!("the layers {chain}"));
    let (reason, cause) = match found.config {
        Some(config) if !gate.links.rooted(found.chain).is_empty() => {
            let cause =
                format!("its files are {files}, and the config {config} of its record does not lead there");
            (Reason::ImageMismatch, cause)
        }
        _ => (Reason::ImageUnknown, format!("its files are {files}, and no image on this node leads there")),
    };
    Hindrance { reason, cause, remedy: PULL_AGAIN }
}

async fn named(
    gate: &CreateGate,
    creation: &Creation,
    Found { chain, text, .. }: Found,
    roots: Vec<Root>,
) -> Result<Bound, Hindrance> {
    let reference = Reference::parse(&text).ok();
    let mut images = Vec::with_capacity(roots.len());
    for root in roots {
        let name = match &reference {
            Some(reference) => leads(gate, creation, chain, &root, reference).await?,
            None => None,
        };
        if let Some(reference) = reference.as_ref().filter(|_| creation.is_sandbox()) {
            let pins = pinned(gate, creation, &root, reference).await?;
            images.extend(pins.into_iter().map(|name| Image { root: root.clone(), name: Some(name) }));
        }
        images.push(Image { root, name });
    }
    Ok(Bound { text, images })
}

/// What the pause container's image is pinned by: of the names that lead to it, containerd puts any into the
/// record, and a tag that some pod has pulled must not hide the pin.
async fn pinned(
    gate: &CreateGate,
    creation: &Creation,
    root: &Root,
    recorded: &Reference,
) -> Result<Option<Reference>, ReadError> {
    for (digest, _) in &root.digests {
        let pin = format!("{}@{digest}", recorded.repository());
        if gate.containerd.image(&creation.namespace, &pin).await? == Some(*digest) {
            return Ok(Reference::parse(&pin).ok());
        }
    }
    Ok(None)
}

/// Whether containerd's record of `name` leads to `root`. For what runs also the record that CRI keeps of the
/// same repository and the digest that was pulled: the tag may be another image's by now.
async fn leads(
    gate: &CreateGate,
    creation: &Creation,
    chain: Option<Digest>,
    root: &Root,
    name: &Reference,
) -> Result<Option<Reference>, ReadError> {
    let (containerd, namespace) = (&gate.containerd, &creation.namespace);
    match gate.links.name_leads_to(containerd, namespace, name, root.config, chain).await {
        Ok(Some(recorded)) => return Ok(Some(recorded)),
        // What it leads to is no image that is here.
        Ok(None) | Err(ReadError::NotThere(_) | ReadError::NotAnImage(..) | ReadError::Corrupt(_)) => {}
        Err(error) => return Err(error),
    }
    if creation.stage != Stage::Running || name.digest().is_some() {
        return Ok(None);
    }
    for (digest, _) in &root.digests {
        let pulled = format!("{}@{digest}", name.repository());
        if containerd.image(namespace, &pulled).await? == Some(*digest) {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

async fn refresh(gate: &CreateGate, creation: &Creation) -> Result<(), Hindrance> {
    Ok(gate.links.refresh(&gate.containerd, &creation.namespace).await?)
}

impl Hindrance {
    pub(super) fn restored() -> Self {
        Self {
            reason: Reason::CheckpointRestore,
            cause: "it restores a checkpoint, whose memory and files nobody attested".to_owned(),
            remedy: "Start it from its image",
        }
    }

    /// Whether it may be known a moment later.
    pub(super) fn may_pass(&self) -> bool {
        self.reason == Reason::ContainerdUnread
    }

    pub(super) fn late(time: Duration) -> Self {
        let cause = format!("containerd had not said within {} ms what it would run", time.as_millis());
        Self { reason: Reason::NotInTime, cause, remedy: ASK_AGAIN }
    }

    fn unknown(cause: &str) -> Self {
        Self { reason: Reason::SnapshotUnknown, cause: cause.to_owned(), remedy: ASK_AGAIN }
    }
}

impl From<Ungated> for Hindrance {
    fn from(Ungated { reason, cause }: Ungated) -> Self {
        let remedy = "Give the handler the base spec with the hook (`binauthctl containerd base-spec`), or list it in \
                      `[containerd] allow_handlers`";
        Self { reason, cause, remedy }
    }
}

impl From<ReadError> for Hindrance {
    fn from(error: ReadError) -> Self {
        let cause = crate::chain(&error);
        let (reason, remedy) = match error {
            ReadError::NotThere(_) | ReadError::Ambiguous(_) => (Reason::SnapshotUnknown, ASK_AGAIN),
            ReadError::Corrupt(_) | ReadError::TooLarge { .. } | ReadError::NotAnImage(..) => {
                (Reason::ImageUnknown, PULL_AGAIN)
            }
            ReadError::Unreachable { .. }
            | ReadError::Late(_)
            | ReadError::Refused(..)
            | ReadError::Unreadable(_) => (Reason::ContainerdUnread, ASK_AGAIN),
        };
        Self { reason, cause, remedy }
    }
}
