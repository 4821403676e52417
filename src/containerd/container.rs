//! Records of containers. Of a container of CRI there is none before its creation has been allowed.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::sandbox::StoreGetRequest;
use containerd_client::services::v1::sandbox::store_client::StoreClient;
use containerd_client::services::v1::{Container, GetContainerRequest, ListContainersRequest};

use super::client::{Containerd, MAX_MESSAGE, ReadError};
use super::cri::{CriContainer, CriSandbox};
use super::spec::SpecFacts;
use crate::text::shown;

const CONTAINER: &str = "io.cri-containerd.container.metadata";
const SANDBOX: &str = "io.cri-containerd.sandbox.metadata";
/// Of a sandbox of containerd 2: there a sandbox need not be a container.
const SANDBOX_IN_STORE: &str = "metadata";
const SPEC: &str = "opencontainers/runtime-spec/1/Spec";

/// The most containers of one namespace that are read.
const MAX_CONTAINERS: usize = 65_536;

/// What containerd keeps about a container.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// Its labels: whoever may dial the socket sets them.
    pub labels: HashMap<String, String>,
    /// The name of the image; proves nothing.
    pub image_name: String,
    /// Who keeps its snapshot; empty where it has none.
    pub snapshotter: String,
    /// Of its snapshot; empty where it has none (`ctr run --rootfs`).
    pub snapshot_key: String,
    /// The runtime, such as `io.containerd.runc.v2`, or the path of a shim.
    pub runtime: String,
    /// The sandbox that it belongs to, as containerd (2.0 and later) or CRI notes it; empty where neither does.
    pub sandbox_id: String,
    /// When it was made, by containerd's clock.
    pub created: Option<SystemTime>,
    /// What CRI knows of it, where it is a container of CRI.
    pub cri: Option<CriContainer>,
    /// What CRI knows of its pod, where it is a pod's sandbox (the pause container).
    pub sandbox: Option<CriSandbox>,
    /// What its spec asks for.
    pub spec: Option<SpecFacts>,
}

impl Containerd {
    /// The record of container `id`. One RPC (`Containers.Get`).
    ///
    /// # Errors
    /// [`ReadError::NotThere`], also while CRI is still creating the container; [`ReadError::Unreadable`]
    /// where a part of the record cannot be understood; see [`ReadError`] for the rest.
    pub async fn container(&self, namespace: &str, id: &str) -> Result<Record, ReadError> {
        let namespaced = self.namespaced(namespace)?;
        let rpc = |channel| {
            let request = namespaced.request(GetContainerRequest { id: id.to_owned() });
            async move {
                let client = ContainersClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
                { client }.get(request).await
            }
        };
        let what = words(id);
        let found = self.in_time(self.call(&what, rpc)).await?.container;
        let found = found.ok_or_else(|| ReadError::Unreadable(format!("{what} comes without a record")))?;
        Record::read(found)
    }

    /// The records of every container of `namespace`, each with its id: one that cannot be understood says
    /// nothing about the others. One RPC (`Containers.ListStream`), up to 65,536 records.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn containers(
        &self,
        namespace: &str,
    ) -> Result<Vec<(String, Result<Record, ReadError>)>, ReadError> {
        let namespaced = self.namespaced(namespace)?;
        let rpc = |channel| {
            let request = namespaced.request(ListContainersRequest { filters: Vec::new() });
            async move {
                let client = ContainersClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
                { client }.list_stream(request).await
            }
        };
        self.in_time(async {
            let what = "the list of containers";
            let mut records = Vec::new();
            let mut stream = self.call(what, rpc).await?;
            while let Some(message) = stream.message().await.map_err(|status| self.error(what, &status))? {
                let Some(container) = message.container else { continue };
                if records.len() == MAX_CONTAINERS {
                    return Err(ReadError::Unreadable(format!("{what} is longer than {MAX_CONTAINERS}")));
                }
                records.push((container.id.clone(), Record::read(container)));
            }
            Ok(records)
        })
        .await
    }

    /// What CRI knows of the sandbox `id`. One RPC (`Containers.Get`) where the sandbox is a container, as
    /// it is with runc; another (`Sandboxes.Get`, containerd 2.0 and later) where it is not.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn sandbox(&self, namespace: &str, id: &str) -> Result<CriSandbox, ReadError> {
        let what = format!("sandbox `{}`", shown(id, 100));
        let namespaced = self.namespaced(namespace)?;
        self.in_time(async {
            match self.container(namespace, id).await {
                Ok(Record { sandbox: Some(sandbox), .. }) => return Ok(sandbox),
                Ok(_) => return Err(ReadError::Unreadable(format!("{what} is another container"))),
                Err(ReadError::NotThere(_)) => {}
                Err(error) => return Err(error),
            }
            let rpc = |channel| {
                let request = namespaced.request(StoreGetRequest { sandbox_id: id.to_owned() });
                async move { StoreClient::new(channel).get(request).await }
            };
            let found = self.call(&what, rpc).await?.sandbox.unwrap_or_default();
            let Some(metadata) = found.extensions.get(SANDBOX_IN_STORE) else {
                return Err(ReadError::Unreadable(format!("{what} has no metadata of CRI")));
            };
            CriSandbox::read(&metadata.value)
                .map_err(|why| ReadError::Unreadable(format!("{what}: its CRI metadata: {why}")))
        })
        .await
    }
}

impl Record {
    /// One of a container of CRI's.
    #[cfg(test)]
    pub(crate) fn of_container(id: &str, key: &str, snapshotter: &str, sandbox: &str) -> Self {
        let metadata = format!(
            r#"{{"Version":"v1","Metadata":{{"ID":"{id}","SandboxID":"{sandbox}","ImageRef":"{}","Config":{{"metadata":{{}}}}}}}}"#,
            crate::image::Digest::of(b"config")
        );
        Self {
            id: id.to_owned(),
            labels: HashMap::new(),
            image_name: String::new(),
            snapshotter: snapshotter.to_owned(),
            snapshot_key: key.to_owned(),
            runtime: String::new(),
            sandbox_id: sandbox.to_owned(),
            created: None,
            cri: Some(CriContainer::read(metadata.as_bytes()).unwrap()),
            sandbox: None,
            spec: None,
        }
    }

    fn read(wire: Container) -> Result<Self, ReadError> {
        let what = words(&wire.id);
        let unreadable =
            |part: &str, why: String| ReadError::Unreadable(format!("{what}: its {part}: {why}"));
        let extension = |name| wire.extensions.get(name).map(|any| any.value.as_slice());
        let cri = extension(CONTAINER).map(CriContainer::read).transpose();
        let sandbox = extension(SANDBOX).map(CriSandbox::read).transpose();
        let cri = cri.map_err(|why| unreadable("CRI metadata", why))?;
        let of_cri = || cri.as_ref().map(|cri| cri.sandbox_id.clone()).unwrap_or_default();
        let spec = wire.spec.as_ref().map(|spec| match spec.type_url.ends_with(SPEC) {
            true => SpecFacts::read(&spec.value),
            false => Err(format!("`{}` is not known here", shown(&spec.type_url, 100))),
        });
        Ok(Self {
            sandbox: sandbox.map_err(|why| unreadable("CRI metadata", why))?,
            spec: spec.transpose().map_err(|why| unreadable("spec", why))?,
            image_name: wire.image,
            runtime: wire.runtime.map(|Runtime { name, .. }| name).unwrap_or_default(),
            created: wire.created_at.and_then(|at| time(at.seconds, at.nanos)),
            id: wire.id,
            labels: wire.labels,
            snapshotter: wire.snapshotter,
            snapshot_key: wire.snapshot_key,
            sandbox_id: if wire.sandbox.is_empty() { of_cri() } else { wire.sandbox },
            cri,
        })
    }
}

fn words(id: &str) -> String {
    format!("container `{}`", shown(id, 100))
}

/// A protobuf timestamp, if it is one.
pub(super) fn time(seconds: i64, nanos: i32) -> Option<SystemTime> {
    let (seconds, nanos) = (u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
    let since = Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanos.into()))?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}
