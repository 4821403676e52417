//! The calls a kubelet makes, in its order and with its fields.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    ContainerConfig, ContainerState, ContainerStatus, ContainerStatusRequest, CreateContainerRequest,
    ImageSpec, ListImagesRequest, ListPodSandboxRequest, PodSandboxConfig, PullImageRequest,
    RemoveContainerRequest, RemoveImageRequest, RemovePodSandboxRequest, RunPodSandboxRequest,
    StartContainerRequest, StatusRequest, StopContainerRequest, StopPodSandboxRequest,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::pod::{self, Container, Pod};
use super::{Home, PATIENCE, eventually};

/// A call that containerd answered with an error. Shown as a kubelet shows it in the pod's events.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// The gRPC code's name.
    pub(crate) code: String,
    /// containerd's own text.
    pub(crate) message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "rpc error: code = {} desc = {}", self.code, self.message)
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self { code: format!("{:?}", status.code()), message: status.message().to_owned() }
    }
}

/// A client of one node's CRI. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Cri {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
    cgroup: String,
    logs: PathBuf,
    pods: Arc<AtomicU32>,
}

impl Cri {
    /// Connects; fails while the runtime says that it is not ready.
    pub(super) fn connect(socket: &Path, home: &Home) -> impl Future<Output = Result<Self, Refusal>> + use<> {
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
        let (cgroup, logs) = (home.cgroup(), home.folder("pods"));
        async move {
            let unavailable =
                |error: tonic::transport::Error| Refusal::from(Status::unavailable(error.to_string()));
            let channel = endpoint.map_err(unavailable)?.connect().await.map_err(unavailable)?;
            let cri = Self {
                runtime: RuntimeServiceClient::new(channel.clone()),
                images: ImageServiceClient::new(channel),
                cgroup,
                logs,
                pods: Arc::default(),
            };
            let status = cri.runtime().status(within(StatusRequest::default())).await?.into_inner().status;
            let conditions = status.unwrap_or_default().conditions;
            match conditions.iter().find(|condition| condition.r#type == "RuntimeReady") {
                Some(condition) if condition.status => Ok(cri),
                _ => Err(Status::unavailable("runtime is not ready").into()),
            }
        }
    }

    /// PullImage, with the sandbox config a kubelet sends along. Answers the image id.
    pub(crate) async fn pull(&self, image: &str) -> Result<String, Refusal> {
        self.pull_for(&self.pod_config("default", "pull"), image).await
    }

    /// RunPodSandbox: a pod of namespace `default` with host networking.
    pub(crate) async fn run_pod(&self, name: &str) -> Result<Pod, Refusal> {
        self.run_pod_in("default", name).await
    }

    pub(crate) async fn run_pod_in(&self, namespace: &str, name: &str) -> Result<Pod, Refusal> {
        self.run_pod_with(namespace, name, "", |_| ()).await
    }

    /// The same with a runtime handler other than the default one (`""`), and a sandbox config changed by
    /// the test, as for a pod's uid, annotations or host access ([`pod`](super::pod)).
    pub(crate) async fn run_pod_with(
        &self,
        namespace: &str,
        name: &str,
        handler: &str,
        change: impl FnOnce(&mut PodSandboxConfig),
    ) -> Result<Pod, Refusal> {
        let mut config = self.pod_config(namespace, name);
        change(&mut config);
        pod::relabel(&mut config);
        let request =
            RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: handler.to_owned() };
        let answer = self.runtime().run_pod_sandbox(within(request)).await?.into_inner();
        Ok(Pod { id: answer.pod_sandbox_id, config })
    }

    /// CreateContainer: `id` is what the pull answered, `text` what the pod's author wrote.
    pub(crate) async fn create(
        &self,
        pod: &Pod,
        name: &str,
        id: &str,
        text: &str,
    ) -> Result<Container, Refusal> {
        self.create_from(pod, pod.container(name, id, text)).await
    }

    /// CreateContainer with a config of the test's own, such as one of [`Pod::container`] with mounts.
    pub(crate) async fn create_from(&self, pod: &Pod, config: ContainerConfig) -> Result<Container, Refusal> {
        let log = pod.log(&config);
        let request = CreateContainerRequest {
            pod_sandbox_id: pod.id.clone(),
            config: Some(config),
            sandbox_config: Some(pod.config.clone()),
        };
        let answer = self.runtime().create_container(within(request)).await?.into_inner();
        Ok(Container { id: answer.container_id, log })
    }

    /// StartContainer.
    pub(crate) async fn launch(&self, container: &Container) -> Result<(), Refusal> {
        let request = StartContainerRequest { container_id: container.id.clone() };
        self.runtime().start_container(within(request)).await?;
        Ok(())
    }

    /// A whole pod of one container as a kubelet brings it up: sandbox, pull, create, start.
    pub(crate) async fn run(&self, name: &str, image: &str) -> Result<(Pod, Container), Refusal> {
        let pod = self.run_pod(name).await?;
        let id = self.pull_for(&pod.config, image).await?;
        let container = self.create(&pod, "main", &id, image).await?;
        self.launch(&container).await?;
        Ok((pod, container))
    }

    /// RuntimeStatus with all that containerd tells of itself: its configuration is JSON under `config`.
    pub(crate) async fn info(&self) -> HashMap<String, String> {
        let request = StatusRequest { verbose: true };
        self.runtime().status(within(request)).await.unwrap().into_inner().info
    }

    /// ContainerStatus.
    pub(crate) async fn status(&self, container: &Container) -> Result<ContainerStatus, Refusal> {
        let request = ContainerStatusRequest { container_id: container.id.clone(), verbose: false };
        let answer = self.runtime().container_status(within(request)).await?.into_inner();
        Ok(answer.status.unwrap_or_default())
    }

    pub(crate) async fn is_running(&self, container: &Container) -> bool {
        self.status(container).await.is_ok_and(|status| status.state() == ContainerState::ContainerRunning)
    }

    /// Waits until the container has ended; its exit code.
    pub(crate) async fn exit_code(&self, container: &Container) -> i32 {
        eventually("a container to end", PATIENCE, || async {
            let status = self.status(container).await.unwrap();
            (status.state() == ContainerState::ContainerExited).then_some(status.exit_code)
        })
        .await
    }

    /// StopContainer (with no grace) and RemoveContainer.
    pub(crate) async fn remove(&self, container: &Container) -> Result<(), Refusal> {
        let request = StopContainerRequest { container_id: container.id.clone(), timeout: 0 };
        self.runtime().stop_container(within(request)).await?;
        let request = RemoveContainerRequest { container_id: container.id.clone() };
        self.runtime().remove_container(within(request)).await?;
        Ok(())
    }

    /// StopPodSandbox and RemovePodSandbox, with the containers in it.
    pub(crate) async fn remove_pod(&self, id: &str) -> Result<(), Refusal> {
        let request = StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        self.runtime().stop_pod_sandbox(within(request)).await?;
        let request = RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        self.runtime().remove_pod_sandbox(within(request)).await?;
        Ok(())
    }

    /// Every pod of the node, at once.
    pub(crate) async fn remove_all_pods(&self) {
        let request = ListPodSandboxRequest::default();
        let pods = self.runtime().list_pod_sandbox(within(request)).await.unwrap().into_inner();
        let removals = pods.items.into_iter().map(|pod| {
            let cri = self.clone();
            tokio::spawn(async move { cri.remove_pod(&pod.id).await.unwrap() })
        });
        for removal in removals.collect::<Vec<_>>() {
            removal.await.unwrap();
        }
    }

    /// Names and digests of the images on the node, as `repository:tag` and `repository@digest`.
    pub(crate) async fn image_names(&self) -> Vec<String> {
        let request = ListImagesRequest::default();
        let answer = self.images().list_images(within(request)).await.unwrap().into_inner();
        answer.images.into_iter().flat_map(|image| [image.repo_tags, image.repo_digests].concat()).collect()
    }

    /// RemoveImage: by name or id; all names of the image go.
    pub(crate) async fn remove_image(&self, image: &str) -> Result<(), Refusal> {
        let image = Some(ImageSpec { image: image.to_owned(), ..Default::default() });
        self.images().remove_image(within(RemoveImageRequest { image })).await?;
        Ok(())
    }

    async fn pull_for(&self, pod: &PodSandboxConfig, image: &str) -> Result<String, Refusal> {
        let image = ImageSpec {
            image: image.to_owned(),
            user_specified_image: image.to_owned(),
            ..Default::default()
        };
        let request = PullImageRequest { image: Some(image), auth: None, sandbox_config: Some(pod.clone()) };
        Ok(self.images().pull_image(within(request)).await?.into_inner().image_ref)
    }

    /// A pod of the same name comes back under another uid.
    fn pod_config(&self, namespace: &str, name: &str) -> PodSandboxConfig {
        let uid = format!("{name}-{}", self.pods.fetch_add(1, Ordering::Relaxed));
        pod::config(namespace, name, &uid, &self.cgroup, &self.logs)
    }

    fn runtime(&self) -> RuntimeServiceClient<Channel> {
        self.runtime.clone()
    }

    fn images(&self) -> ImageServiceClient<Channel> {
        self.images.clone()
    }
}

/// A kubelet's own limit for a call.
fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(120));
    request
}
