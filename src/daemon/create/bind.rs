//! From a container to the image whose bytes it would run (design: "What is judged at creation is not a
//! name").
//!
//! Container id → snapshot → chain ID; at start also the config digest of the container's record. An image
//! counts where its digests lead, by hashes recomputed here, to that chain and that config. A name counts
//! where it is the pod's own text and containerd's record of exactly that name leads there too. What the hook asks
//! a moment after the creation is answered by what was read for that ([`super::made`]).

use std::collections::BTreeSet;
use std::time::Duration;

use super::creation::{asks_for_break_glass, is_static};
use super::made::Origin;
use super::{CreateGate, Creation, PodOf, Stage};
use crate::containerd::{PidNamespace, Pointer, ReadError, Record, Root, Snapshot};
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
    found: Found,
    /// Those that the pod's own text leads to come first: whoever makes many images of the same layers holds
    /// nobody up.
    images: Vec<Image>,
}

#[derive(Debug, PartialEq, Eq)]
struct Image {
    root: Root,
    /// The pod's own text, where it leads to this image.
    name: Option<Reference>,
}

impl Bound {
    #[cfg(test)]
    pub(super) fn nothing() -> Self {
        Self { found: Found { chain: None, config: None, text: String::new() }, images: Vec::new() }
    }

    /// One subject for each image that it may be.
    pub(super) fn subjects(&self, workload: &Workload) -> Vec<Subject> {
        let subject = |image: &Image| {
            Subject::created(
                &self.found.text,
                image.name.clone(),
                &image.root.digests,
                Some(image.root.config),
            )
            .in_workload(workload.clone())
        };
        self.images.iter().map(subject).collect()
    }

    /// From its layers to each config that it may have.
    pub(super) fn ways(&self) -> impl Iterator<Item = (Option<Digest>, Digest)> {
        self.images.iter().map(|image| (self.found.chain, image.root.config))
    }

    /// Every digest that leads to what it runs.
    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.attestable().chain(self.images.iter().map(|image| image.root.config))
    }

    /// Those of them that an attestation may name: not those of configs.
    pub(super) fn attestable(&self) -> impl Iterator<Item = Digest> {
        self.images.iter().flat_map(|image| &image.root.digests).map(|(digest, _)| *digest)
    }
}

/// What was read of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    chain: Option<Digest>,
    config: Option<Digest>,
    /// The image as its pod's author wrote it; for people, and the name that may count.
    text: String,
}

/// A text, and it as a name if it is one.
#[derive(Clone)]
pub(super) struct Heard {
    text: String,
    name: Option<Name>,
}

/// A text as a name, and what the image store had of it.
#[derive(Clone)]
struct Name {
    name: Reference,
    pointer: Result<Option<Pointer>, ReadError>,
}

/// Finds what `creation` runs, and which pod it belongs to where the gate did not say.
pub(super) async fn bind(gate: &CreateGate, creation: &mut Creation) -> Result<Bound, Hindrance> {
    let (found, name) = find(gate, creation).await?;
    lead(gate, creation, found, name).await
}

/// The same for a container whose record is there already.
pub(super) async fn by_record(
    gate: &CreateGate,
    creation: &mut Creation,
    record: &Record,
) -> Result<Bound, Hindrance> {
    let (found, name) = recorded(gate, creation, record, None, None).await?;
    lead(gate, creation, found, name).await
}

/// To the images that lead to what was found.
async fn lead(
    gate: &CreateGate,
    creation: &Creation,
    found: Found,
    name: Option<Name>,
) -> Result<Bound, Hindrance> {
    let mut roots = roots(gate, &found);
    // Without a config, others of the same layers may be all that is known yet.
    if roots.is_empty() || found.config.is_none() {
        look_where_it_should_be(gate, creation, &found, name.as_ref()).await;
        roots = self::roots(gate, &found);
    }
    if roots.is_empty() {
        let refreshed = refresh(gate, creation).await;
        roots = self::roots(gate, &found);
        if roots.is_empty() {
            refreshed?;
            return Err(rootless(gate, &found));
        }
    }
    named(gate, creation, found, name, roots).await
}

/// At the images that containerd would have made it from: other images on the node, however many, take no time
/// from these. What cannot be read is not there.
async fn look_where_it_should_be(gate: &CreateGate, creation: &Creation, found: &Found, name: Option<&Name>) {
    let (containerd, namespace) = (&gate.containerd, &creation.namespace);
    // CRI keeps a record of every image under its id, the digest of its config.
    if let Some(config) = found.config
        && let Ok(Some(target)) = containerd.image(namespace, &config.to_string()).await
    {
        drop(gate.links.leaves(containerd, namespace, target).await);
    } else if let Some(Name { pointer: Ok(Some(pointer)), .. }) = name {
        drop(gate.links.led(containerd, namespace, pointer, found.chain, &[]).await);
    }
}

/// The same bytes after a look at every image on the node; `None` where that tells nothing new.
pub(super) async fn again(
    gate: &CreateGate,
    creation: &Creation,
    before: &Bound,
) -> Result<Option<Bound>, Hindrance> {
    refresh(gate, creation).await?;
    let roots = roots(gate, &before.found);
    let name = name(gate, &creation.namespace, &before.found.text).await;
    let bound = named(gate, creation, before.found.clone(), name, roots).await?;
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

async fn find(gate: &CreateGate, creation: &mut Creation) -> Result<(Found, Option<Name>), Hindrance> {
    match creation.stage {
        Stage::Create => {
            let text = author_text(gate, creation).unwrap_or_else(|| creation.image.clone());
            let name = name(gate, &creation.namespace, &text);
            let (snapshot, name) = tokio::join!(unrecorded(gate, creation), name);
            let snapshot = snapshot?;
            let chain = listed(gate, &snapshot)?;
            // What could not be read is read again.
            let is_read = name.as_ref().is_none_or(|name| name.pointer.is_ok());
            let heard = is_read.then(|| Heard { text: text.clone(), name: name.clone() });
            gate.made.note(creation, &snapshot, heard);
            Ok((Found { chain, config: creation.config, text }, name))
        }
        Stage::Start | Stage::Running => {
            let lately = creation.may_be_remembered.then(|| gate.made.lately(creation)).flatten();
            if let Some(Origin { snapshot, pod, heard, record: Some(record), .. }) = lately {
                creation.pod.get_or_insert(pod);
                return recorded(gate, creation, &record, Some(snapshot), heard).await;
            }
            let record = gate.containerd.container(&creation.namespace, &creation.id);
            let heard = async {
                let text = Some(&creation.image).filter(|text| !text.is_empty())?;
                Some(Heard { text: text.clone(), name: name(gate, &creation.namespace, text).await })
            };
            let (record, heard) = tokio::join!(record, heard);
            recorded(gate, creation, &record?, None, heard).await
        }
    }
}

/// The snapshot of a container without a record. All containers of most nodes have theirs from one snapshotter, so
/// the one that had the last is asked before all are. Who really keeps it the record says, at the start.
async fn unrecorded(gate: &CreateGate, creation: &Creation) -> Result<Snapshot, ReadError> {
    let (containerd, Creation { namespace, id, .. }) = (&gate.containerd, creation);
    if let Some(usual) = gate.made.usual_snapshotter()
        && let Ok(snapshot) = containerd.snapshot_in(namespace, &usual, id).await
    {
        return Ok(snapshot);
    }
    containerd.snapshot(namespace, id).await
}

/// By the container's record: it names the snapshot, and the config whose settings the process gets. Its `snapshot`
/// may be known; what was `heard` of a name counts where that is the record's own text.
async fn recorded(
    gate: &CreateGate,
    creation: &mut Creation,
    record: &Record,
    snapshot: Option<Snapshot>,
    heard: Option<Heard>,
) -> Result<(Found, Option<Name>), Hindrance> {
    let namespace = creation.namespace.clone();
    if record.snapshot_key.is_empty() {
        return Err(Hindrance::unknown("its root file system is no snapshot of containerd's"));
    }
    if record.cri.is_some() && record.snapshot_key != creation.id {
        return Err(Hindrance::unknown("its record names another container's snapshot"));
    }
    let told = match &record.cri {
        // containerd before 2.0 keeps only what its caller named the image by.
        Some(cri) if cri.user_specified_image.is_empty() => cri.image.clone(),
        Some(cri) => cri.user_specified_image.clone(),
        None => record.image_name.clone(),
    };
    let snapshot = async {
        match snapshot {
            Some(known) => Ok(known),
            None => {
                let (containerd, key) = (&gate.containerd, &record.snapshot_key);
                Ok(containerd.snapshot_in(&namespace, &record.snapshotter, key).await?)
            }
        }
    };
    let name_told = async {
        Ok(match heard {
            Some(Heard { text, name }) if text == told => name,
            _ => name(gate, &namespace, &told).await,
        })
    };
    let complete = complete(gate, creation, record);
    let (snapshot, (), name_told) = tokio::try_join!(snapshot, complete, name_told)?;
    let chain = listed(gate, &snapshot)?;
    let (config, text) = match &record.cri {
        Some(cri) => (Some(cri.config), author_text(gate, creation).unwrap_or_else(|| told.clone())),
        None => (named_config(gate, &namespace, record, chain).await?, told.clone()),
    };
    let name = if text == told { name_told } else { name(gate, &namespace, &text).await };
    creation.image.clone_from(&text);
    Ok((Found { chain, config, text }, name))
}

/// The text as a name, if it is one, with what the image store has of it now.
async fn name(gate: &CreateGate, namespace: &str, text: &str) -> Option<Name> {
    let name = Reference::parse(text).ok()?;
    let pointer = gate.containerd.pointer(namespace, &name).await;
    Some(Name { name, pointer })
}

/// Takes from the record, and from that of its sandbox, what the gate did not say.
async fn complete(gate: &CreateGate, creation: &mut Creation, record: &Record) -> Result<(), Hindrance> {
    creation.recorded = record.created;
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
        break_glass: asks_for_break_glass(|key| sandbox.labels.get(key).cloned()),
        is_static: is_static(|key| sandbox.annotations.get(key).cloned()),
    });
    Ok(())
}

/// The chain ID of what will be mounted as its root, if who keeps that is listed.
fn listed(gate: &CreateGate, snapshot: &Snapshot) -> Result<Option<Digest>, Hindrance> {
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
    let configs: BTreeSet<Digest> =
        leaves.iter().filter(|leaf| leaf.chain == chain).map(|leaf| leaf.config).collect();
    let mut configs = configs.into_iter();
    match (configs.next(), configs.next()) {
        (Some(config), None) => Ok(Some(config)),
        (first, _) => {
            let how = if first.is_some() { "leads to several images of" } else { "does not lead to" };
            let cause = format!("the image `{}` of its record {how} its files", record.image_name);
            Err(Hindrance { reason: Reason::ImageMismatch, cause, remedy: PULL_AGAIN })
        }
    }
}

/// What the pod's author wrote, by kubelet's word.
fn author_text(gate: &CreateGate, creation: &Creation) -> Option<String> {
    let facts = gate.known(creation.pod.as_ref()?, &creation.name)?;
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
    found: Found,
    name: Option<Name>,
    roots: Vec<Root>,
) -> Result<Bound, Hindrance> {
    let (name, led) = match name {
        Some(Name { name, pointer }) => (Some(name), led(gate, creation, &found, &roots, pointer).await?),
        None => (None, None),
    };
    let mut images = Vec::with_capacity(roots.len());
    for root in roots {
        let counts = match (&led, &name) {
            (Some((recorded, configs)), _) if configs.contains(&root.config) => Some(recorded.clone()),
            (_, Some(name)) if creation.stage == Stage::Running => {
                pulled(gate, creation, &root, name).await?
            }
            _ => None,
        };
        // The look at the name may have found another digest that leads here.
        let root = gate.links.root(found.chain, root.config).unwrap_or(root);
        if let (true, Some(name)) = (creation.is_sandbox(), &name) {
            let pin = pinned(gate, creation, &root, name).await?;
            images.extend(pin.map(|name| Image { root: root.clone(), name: Some(name) }));
        }
        images.push(Image { root, name: counts });
    }
    images.sort_by_key(|image| image.name.is_none());
    Ok(Bound { found, images })
}

/// The name as containerd records it, and to which configs of these files it leads.
async fn led(
    gate: &CreateGate,
    creation: &Creation,
    found: &Found,
    roots: &[Root],
    pointer: Result<Option<Pointer>, ReadError>,
) -> Result<Option<(Reference, BTreeSet<Digest>)>, ReadError> {
    let Some(pointer) = pointer? else { return Ok(None) };
    let configs: Vec<Digest> = roots.iter().map(|root| root.config).collect();
    match gate.links.led(&gate.containerd, &creation.namespace, &pointer, found.chain, &configs).await {
        Ok(led) => Ok(Some((pointer.recorded, led))),
        // What it leads to is no image that is here.
        Err(ReadError::NotThere(_) | ReadError::NotAnImage(..) | ReadError::Corrupt(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The record that CRI keeps beside a tag, of the same repository and the digest that was pulled, where that
/// leads to `root`. For the pause container it is what its image is pinned by: of the names that lead to it,
/// containerd puts any into the record, and a tag that some pod has pulled must not hide the pin.
async fn pinned(
    gate: &CreateGate,
    creation: &Creation,
    root: &Root,
    name: &Reference,
) -> Result<Option<Reference>, ReadError> {
    for (digest, _) in &root.digests {
        let pin = format!("{}@{digest}", name.repository());
        if gate.containerd.image(&creation.namespace, &pin).await? == Some(*digest) {
            return Ok(Reference::parse(&pin).ok());
        }
    }
    Ok(None)
}

/// For what runs that record counts too: the tag may be another image's by now.
async fn pulled(
    gate: &CreateGate,
    creation: &Creation,
    root: &Root,
    name: &Reference,
) -> Result<Option<Reference>, ReadError> {
    if name.digest().is_some() {
        return Ok(None);
    }
    Ok(pinned(gate, creation, root, name).await?.map(|_| name.clone()))
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
        let cause = format!("it was not known within {} ms what it would run", time.as_millis());
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
