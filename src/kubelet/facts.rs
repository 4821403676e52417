//! What is kept of a pod.

/// What is known of a pod. Name, namespace and service account of a pod never change; its containers are
/// those of the last look that listed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Its namespace, an RFC 1123 label.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its service account, without the namespace. Blank where it has none, as static pods: Kubernetes
    /// lets them refer to none, so what a manifest on the node says of it is not repeated here.
    pub service_account: String,
    /// It shares the process ids of the node.
    pub host_pid: bool,
    /// It comes from a manifest on the node and not from the API server.
    pub static_pod: bool,
    /// Its containers of all kinds, each name once.
    pub containers: Vec<Container>,
    /// Its volumes that are images.
    pub image_volumes: Vec<ImageVolume>,
}

/// A container as the pod's author wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name within the pod.
    pub name: String,
    /// The image, nothing normalised. An author may change that of a running pod.
    pub image: String,
    /// Which list of the pod it stands in.
    pub kind: ContainerKind,
}

/// The lists of containers that a pod has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerKind {
    /// `containers`.
    Regular,
    /// `initContainers`, sidecars among them.
    Init,
    /// `ephemeralContainers`, which are added to running pods.
    Ephemeral,
}

/// A volume whose content is an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageVolume {
    /// Its name within the pod.
    pub name: String,
    /// The image, nothing normalised.
    pub reference: String,
}

impl PodFacts {
    /// The container of this name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// Whether `other` can be the same pod at another time.
    pub(super) fn is_same_pod(&self, other: &Self) -> bool {
        (&self.namespace, &self.name, &self.service_account, self.static_pod)
            == (&other.namespace, &other.name, &other.service_account, other.static_pod)
    }

    /// About how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let own = self.namespace.len() + self.name.len() + self.service_account.len();
        let containers =
            self.containers.iter().map(|one| size_of::<Container>() + one.name.len() + one.image.len());
        let volumes = self
            .image_volumes
            .iter()
            .map(|one| size_of::<ImageVolume>() + one.name.len() + one.reference.len());
        size_of::<Self>() + own + containers.sum::<usize>() + volumes.sum::<usize>()
    }
}
