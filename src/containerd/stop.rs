//! Stopping a container, as a kubelet does it.

use std::time::Duration;

use k8s_cri::v1::StopContainerRequest;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;

use super::client::{Containerd, ReadError};

/// What CRI takes beyond the grace it gives the container.
const BEYOND: Duration = Duration::from_secs(10);

impl Containerd {
    /// Has CRI stop container `id`: a signal, and after `grace` an end. One RPC (`StopContainer`); an already
    /// stopped one is stopped. Never to be called from an NRI handler: containerd asks its plugins about it.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), ReadError> {
        let client = self.within(grace + BEYOND);
        let rpc = |channel| {
            let container_id = id.to_owned();
            let timeout = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
            let request = StopContainerRequest { container_id, timeout };
            async move { RuntimeServiceClient::new(channel).stop_container(request).await }
        };
        client.in_time(client.call(&format!("container `{id}`"), rpc)).await.map(|_| ())
    }
}
