//! A `v1` `PodList` (Kubernetes API, `core/v1`) as facts.
//!
//! The list as a whole must be one. A pod in it that cannot be read, or could be read in two ways, is
//! left out by name and hides no other. Fields that decide nothing are not looked at.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::facts::{Container, ContainerKind, ImageVolume, PodFacts};
use crate::document::{Object, UniqueMap};
use crate::image::workload::{is_label, is_subdomain};
use crate::text::shown;

/// The most pods of one look.
pub(super) const MAX_PODS: usize = 10_000;
/// The largest pod: above what etcd stores, in bytes.
const MAX_POD: usize = 2 * 1024 * 1024;
/// The most containers of a pod.
const MAX_CONTAINERS: usize = 4_096;
/// The longest text of an image that is kept, in bytes: a reference that can be pulled is shorter.
const MAX_IMAGE: usize = 4_096;
/// Of how many pods that are left out is said why.
const MAX_CAUSES: usize = 8;
/// The longest uid.
const MAX_UID: usize = 128;

const SOURCE: &str = "kubernetes.io/config.source";
const MIRROR: &str = "kubernetes.io/config.mirror";
const HASH: &str = "kubernetes.io/config.hash";

/// Whose list it is: they speak differently of static pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reporter {
    /// kubelet lists static pods themselves, and writes the annotation that says where a pod comes from
    /// over whatever its author wrote there.
    Kubelet,
    /// The API server lists mirror pods in place of this node's static pods, and annotations are their
    /// authors' words. A mirror pod never runs; it may name no service account.
    ApiServer {
        /// The pods of other nodes are left out, also if the server lists them.
        node: String,
    },
}

/// What a list says.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) pods: Vec<Listed>,
    /// How many pods are not known by this list.
    pub(super) left_out: usize,
    /// Why the first of them are not.
    pub(super) causes: Vec<String>,
    /// Where the list goes on.
    pub(super) next: Option<String>,
}

impl List {
    fn leave_out(&mut self, cause: String) {
        self.left_out += 1;
        if self.causes.len() < MAX_CAUSES {
            self.causes.push(cause);
        }
    }

    /// Adds the next part of the same list.
    pub(super) fn extend(&mut self, part: Self) {
        self.pods.extend(part.pods);
        self.left_out += part.left_out;
        self.causes.extend(part.causes);
        self.causes.truncate(MAX_CAUSES);
        self.next = part.next;
    }
}

/// A pod of a list.
#[derive(Debug)]
pub(super) struct Listed {
    /// Its own, and for a mirror pod that of the static pod.
    pub(super) uids: Vec<String>,
    pub(super) facts: Arc<PodFacts>,
    /// It will run no more containers.
    pub(super) finished: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodList<'a> {
    api_version: String,
    kind: String,
    #[serde(default)]
    metadata: Option<ListMeta>,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct ListMeta {
    r#continue: Option<String>,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Object<Metadata>,
    spec: Object<Spec>,
    #[serde(default)]
    status: Option<PodState>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    annotations: Option<UniqueMap<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    service_account_name: Option<String>,
    /// The older name of the same field.
    service_account: Option<String>,
    #[serde(rename = "hostPID")]
    host_pid: Option<bool>,
    node_name: Option<String>,
    containers: Vec<Object<Named>>,
    init_containers: Option<Vec<Object<Named>>>,
    ephemeral_containers: Option<Vec<Object<Named>>>,
    volumes: Option<Vec<Object<Volume>>>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    image: Option<String>,
}

#[derive(Deserialize)]
struct Volume {
    name: String,
    image: Option<Object<VolumeImage>>,
}

#[derive(Deserialize)]
struct VolumeImage {
    reference: Option<String>,
}

#[derive(Deserialize)]
struct PodState {
    phase: Option<String>,
}

/// Reads what `reporter` answered.
///
/// # Errors
/// Why it is no list of pods, or that it has more than [`MAX_PODS`].
pub(super) fn parse(body: &[u8], reporter: &Reporter) -> Result<List, String> {
    let list: PodList<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if (list.api_version.as_str(), list.kind.as_str()) != ("v1", "PodList") {
        let found = shown(&format!("{} {}", list.api_version, list.kind), 80);
        return Err(format!("`{found}` where `v1 PodList` belongs"));
    }
    let items = list.items.unwrap_or_default();
    if items.len() > MAX_PODS {
        return Err(format!("{} pods, more than the {MAX_PODS} that are taken", items.len()));
    }
    let mut read = List { next: list.metadata.and_then(|metadata| metadata.r#continue), ..List::default() };
    read.next.take_if(|next| next.is_empty());
    for item in items {
        match read_pod(item.get(), reporter) {
            Ok(listed) => read.pods.push(listed),
            Err(cause) => read.leave_out(cause),
        }
    }
    Ok(read)
}

fn read_pod(text: &str, reporter: &Reporter) -> Result<Listed, String> {
    if text.len() > MAX_POD {
        return Err(format!("a pod of {} bytes, more than the {MAX_POD} that are taken", text.len()));
    }
    let Object(pod): Object<Pod> = serde_json::from_str(text)
        .map_err(|error| shown(&format!("a pod that cannot be read: {error}"), 300))?;
    let (Object(metadata), Object(spec)) = (pod.metadata, pod.spec);
    let called = shown(&format!("{}/{}", metadata.namespace, metadata.name), 330);
    let named = |cause: String| format!("pod `{called}`: {cause}");
    let bad = |cause: &str| Err(named(cause.to_owned()));
    if let Reporter::ApiServer { node } = reporter
        && spec.node_name.as_ref() != Some(node)
    {
        return bad("it is another node's");
    }
    if !is_label(&metadata.namespace) || !is_subdomain(&metadata.name) {
        return bad("its name or namespace is none of Kubernetes");
    }
    if !is_uid(&metadata.uid) {
        return bad("its uid is none");
    }
    let account = spec.service_account_name.unwrap_or_default();
    if spec.service_account.is_some_and(|older| !older.is_empty() && older != account) {
        return bad("`serviceAccount` and `serviceAccountName` differ");
    }
    if !account.is_empty() && !is_subdomain(&account) {
        return bad("its service account is no name of Kubernetes");
    }
    let annotation = |key: &str| {
        let pairs = metadata.annotations.iter().flat_map(|annotations| &annotations.0);
        pairs.into_iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    };
    let mut uids = vec![metadata.uid.clone()];
    let static_pod = match reporter {
        Reporter::Kubelet => matches!(annotation(SOURCE), Some("file" | "http")),
        Reporter::ApiServer { .. } => match (annotation(MIRROR), annotation(HASH)) {
            (None, _) => false,
            (Some(mirror), Some(hash)) if mirror == hash && is_hash(hash) => {
                uids.push(hash.to_owned());
                true
            }
            _ => return bad("it mirrors a static pod without naming its hash"),
        },
    };
    let containers = [
        (ContainerKind::Regular, Some(spec.containers)),
        (ContainerKind::Init, spec.init_containers),
        (ContainerKind::Ephemeral, spec.ephemeral_containers),
    ];
    let facts = PodFacts {
        containers: read_containers(containers).map_err(named)?,
        image_volumes: read_volumes(spec.volumes.unwrap_or_default()).map_err(named)?,
        namespace: metadata.namespace,
        name: metadata.name,
        service_account: if static_pod { String::new() } else { account },
        host_pid: spec.host_pid.unwrap_or_default(),
        static_pod,
    };
    let phase = pod.status.and_then(|status| status.phase);
    let finished = matches!(phase.as_deref(), Some("Succeeded" | "Failed"));
    Ok(Listed { uids, facts: Arc::new(facts), finished })
}

fn read_containers(
    lists: [(ContainerKind, Option<Vec<Object<Named>>>); 3],
) -> Result<Vec<Container>, String> {
    let mut containers = Vec::new();
    let mut names = std::collections::HashSet::new();
    for (kind, list) in lists {
        for Object(Named { name, image }) in list.into_iter().flatten() {
            let image = image.unwrap_or_default();
            if !is_label(&name) {
                return Err("the name of a container is none of Kubernetes".into());
            }
            if image.len() > MAX_IMAGE {
                return Err(format!("the image of `{name}` has {} bytes", image.len()));
            }
            if !names.insert(name.clone()) {
                return Err(format!("it has two containers `{name}`"));
            }
            containers.push(Container { name, image, kind });
        }
    }
    if containers.len() > MAX_CONTAINERS {
        return Err(format!("it has {} containers, {MAX_CONTAINERS} are taken", containers.len()));
    }
    Ok(containers)
}

fn read_volumes(volumes: Vec<Object<Volume>>) -> Result<Vec<ImageVolume>, String> {
    let mut images = Vec::new();
    for Object(Volume { name, image }) in volumes {
        let Some(Object(VolumeImage { reference })) = image else { continue };
        let reference = reference.unwrap_or_default();
        if name.len() > 63 || reference.len() > MAX_IMAGE {
            return Err(format!("an image volume whose text has {} bytes", name.len() + reference.len()));
        }
        images.push(ImageVolume { name, reference });
    }
    if images.len() > MAX_CONTAINERS {
        return Err(format!("it has {} image volumes, {MAX_CONTAINERS} are taken", images.len()));
    }
    Ok(images)
}

/// The API server's are UUIDs; a static manifest may set its own.
fn is_uid(uid: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    (1..=MAX_UID).contains(&uid.len()) && uid.bytes().all(allowed)
}

/// What kubelet makes the uid of a static pod from: MD5 in hexadecimal, so never the uid of a pod of the
/// API server.
fn is_hash(hash: &str) -> bool {
    hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests;
