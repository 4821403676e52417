//! The canary at creation.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::{
    CreateImageRequest, CreateRequest, DeleteImageRequest, DeleteRequest, Image, WriteAction,
    WriteContentRequest,
};
use containerd_client::types::Descriptor;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    ContainerConfig, ContainerMetadata, CreateContainerRequest, ImageSpec, ImageStatusRequest,
    LinuxPodSandboxConfig, LinuxSandboxSecurityContext, ListPodSandboxRequest, NamespaceMode,
    NamespaceOption, PodSandbox, PodSandboxConfig, PodSandboxFilter, PodSandboxMetadata,
    RemovePodSandboxRequest, RunPodSandboxRequest, StartContainerRequest, StatusRequest,
    StopPodSandboxRequest,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request};

use super::{Shown, remove, within};
use crate::decision::Canary;

/// Labels its sandboxes, and names its lease.
const MARK: &str = "binauthd-canary";
/// Nobody serves images of this name (RFC 2606).
const REPOSITORY: &str = "binauthd-canary.invalid/canary";
/// After this containerd collects what a proof has left that was cut off.
const LEASE: Duration = Duration::from_secs(5 * 60);

/// What the canary would run; a runtime that finds nothing to run names it.
const PROGRAM: &str = "/nothing";

/// Shows it at creation, in containerd's namespace of CRI. 30 s at most, and a few to clean up, once no other proof is
/// under way: as long is waited for that.
pub async fn prove_creation(address: &Path, namespace: &str, image: &Canary) -> Shown {
    let Ok(channel) = containerd_client::connect(address).await else {
        return Shown::NotShown(format!("containerd cannot be reached on `{}`", address.display()));
    };
    let Ok(namespace) = namespace.parse::<MetadataValue<Ascii>>() else {
        return Shown::NotShown(format!("`{namespace}` is no namespace of containerd"));
    };
    // They clear up each other's.
    let _alone = match super::turn::take(Path::new(super::turn::FILE), super::DEADLINE).await {
        Ok(alone) => alone,
        Err(why) => return Shown::NotShown(why),
    };
    let stage = Stage { channel, namespace, image, name: format!("{REPOSITORY}@{}", image.digest()) };
    stage.clear().await;
    let shown = within(async { stage.show().await.unwrap_or_else(Shown::NotShown) }).await;
    // What takes too long here, the lease ends.
    let _ = tokio::time::timeout(super::DEADLINE, stage.clear()).await;
    shown
}

struct Stage<'a> {
    channel: Channel,
    namespace: MetadataValue<Ascii>,
    image: &'a Canary,
    name: String,
}

impl Stage<'_> {
    async fn show(&self) -> Result<Shown, String> {
        self.put().await?;
        let mut cri = RuntimeServiceClient::new(self.channel.clone());
        let config = self.sandbox().await;
        let asked = RunPodSandboxRequest { config: Some(config.clone()), ..Default::default() };
        let sandbox = cri.run_pod_sandbox(asked).await.map_err(|status| {
            format!("a sandbox cannot be made, so no container was asked about: {}", status.message())
        })?;
        let spec = ImageSpec {
            image: self.image.config.digest.to_string(),
            user_specified_image: self.name.clone(),
            ..Default::default()
        };
        let container = ContainerConfig {
            metadata: Some(ContainerMetadata { name: "canary".to_owned(), attempt: 0 }),
            image: Some(spec),
            labels: labels(),
            ..Default::default()
        };
        let asked = CreateContainerRequest {
            pod_sandbox_id: sandbox.into_inner().pod_sandbox_id,
            config: Some(container),
            sandbox_config: Some(config),
        };
        let made = match cri.create_container(asked).await {
            Ok(made) => made.into_inner().container_id,
            Err(status) if self.image.is_refused_in(status.message()) => return Ok(Shown::Refused("nri")),
            Err(status) if is_ours(status.message()) => {
                return Ok(Shown::Otherwise(status.message().to_owned()));
            }
            Err(status) => return Err(status.message().to_owned()),
        };
        let started = cri.start_container(StartContainerRequest { container_id: made }).await;
        Ok(match started {
            Ok(_) => Shown::Through("a container of it was created and started".to_owned()),
            Err(status) if self.image.is_refused_in(status.message()) => {
                Shown::Refused(if status.message().contains("hook") { "hook" } else { "nri" })
            }
            Err(status) if is_ours(status.message()) => Shown::Otherwise(status.message().to_owned()),
            Err(status) => failed(status.message()),
        })
    }

    /// Puts its content and its name into containerd.
    async fn put(&self) -> Result<(), String> {
        let told = |what: &'static str| move |status: tonic::Status| format!("{what}: {}", status.message());
        let until = humantime::format_rfc3339_seconds(SystemTime::now() + LEASE).to_string();
        let expire = HashMap::from([("containerd.io/gc.expire".to_owned(), until)]);
        let lease = CreateRequest { id: MARK.to_owned(), labels: expire };
        let leased = LeasesClient::new(self.channel.clone()).create(self.request(lease)).await;
        unless_there(leased).map_err(told("no lease"))?;
        for blob in self.image.blobs() {
            let size = i64::try_from(blob.bytes.len()).unwrap_or_default();
            let write = WriteContentRequest {
                action: WriteAction::Commit as i32,
                r#ref: format!("{MARK}-{}", blob.digest),
                total: size,
                expected: blob.digest.to_string(),
                offset: 0,
                data: blob.bytes.clone(),
                ..Default::default()
            };
            let stream = once(write);
            let written = ContentClient::new(self.channel.clone()).write(self.request(stream)).await;
            match written {
                Err(status) if status.code() == Code::AlreadyExists => {}
                Err(status) => return Err(told("its content cannot be stored")(status)),
                Ok(answers) => {
                    let mut answers = answers.into_inner();
                    loop {
                        match answers.message().await {
                            Ok(Some(_)) => {}
                            Ok(None) => break,
                            Err(status) if status.code() == Code::AlreadyExists => break,
                            Err(status) => return Err(told("its content cannot be stored")(status)),
                        }
                    }
                }
            }
        }
        let target = Descriptor {
            media_type: self.image.manifest.kind.to_owned(),
            digest: self.image.digest().to_string(),
            size: i64::try_from(self.image.manifest.bytes.len()).unwrap_or_default(),
            ..Default::default()
        };
        let image = Image { name: self.name.clone(), target: Some(target), ..Default::default() };
        let asked = CreateImageRequest { image: Some(image), ..Default::default() };
        let named = ImagesClient::new(self.channel.clone()).create(self.request(asked)).await;
        unless_there(named).map_err(told("its name cannot be stored"))?;
        self.until_known().await
    }

    /// CRI hears of images by events.
    async fn until_known(&self) -> Result<(), String> {
        let mut images = ImageServiceClient::new(self.channel.clone());
        for _ in 0..50 {
            let spec = ImageSpec { image: self.name.clone(), ..Default::default() };
            let status = images.image_status(ImageStatusRequest { image: Some(spec), verbose: false }).await;
            if status.is_ok_and(|status| status.into_inner().image.is_some()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err("CRI does not take notice of an image that was put into containerd".to_owned())
    }

    async fn sandbox(&self) -> PodSandboxConfig {
        let host = NamespaceOption { network: NamespaceMode::Node as i32, ..Default::default() };
        let parent = if self.is_systemds().await { "system.slice" } else { "" };
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: MARK.to_owned(),
                namespace: MARK.to_owned(),
                uid: MARK.to_owned(),
                attempt: 0,
            }),
            labels: labels(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: parent.to_owned(),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(host),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// Whether systemd makes the cgroups of the default handler.
    async fn is_systemds(&self) -> bool {
        let asked = StatusRequest { verbose: true };
        let status = RuntimeServiceClient::new(self.channel.clone()).status(asked).await;
        let info = status.map(|status| status.into_inner().info).unwrap_or_default();
        let config = info.get("config").and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let config = config.unwrap_or_default();
        let default = config.pointer("/containerd/defaultRuntimeName").and_then(|name| name.as_str());
        let runtimes = config.pointer("/containerd/runtimes");
        let options = default.and_then(|name| runtimes?.get(name)?.get("options")?.get("SystemdCgroup"));
        options.and_then(serde_json::Value::as_bool).unwrap_or_default()
    }

    /// Removes everything of this proof, and of earlier ones.
    async fn clear(&self) {
        let mut cri = RuntimeServiceClient::new(self.channel.clone());
        let filter = PodSandboxFilter { label_selector: labels(), ..Default::default() };
        let found = cri.list_pod_sandbox(ListPodSandboxRequest { filter: Some(filter) }).await;
        let found = found.map(|found| found.into_inner().items).unwrap_or_default();
        for sandbox in found.into_iter().filter(is_of_a_proof) {
            let stop = StopPodSandboxRequest { pod_sandbox_id: sandbox.id.clone() };
            let _ = cri.stop_pod_sandbox(stop).await;
            let _ = cri.remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id: sandbox.id }).await;
        }
        let mut images = ImageServiceClient::new(self.channel.clone());
        let config = self.image.config.digest.to_string();
        remove(&mut images, &config).await;
        let mut names = ImagesClient::new(self.channel.clone());
        for name in [&self.name, &config] {
            let gone = DeleteImageRequest { name: name.clone(), sync: false, ..Default::default() };
            let _ = names.delete(self.request(gone)).await;
        }
        // Not before its content is collected, too.
        let lease = DeleteRequest { id: MARK.to_owned(), sync: true };
        let _ = LeasesClient::new(self.channel.clone()).delete(self.request(lease)).await;
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("containerd-namespace", self.namespace.clone());
        request.metadata_mut().insert("containerd-lease", MetadataValue::from_static(MARK));
        request
    }
}

/// A pod may carry the label, too: what is removed has the name, too, that no kubelet gives.
fn is_of_a_proof(sandbox: &PodSandbox) -> bool {
    let kubelets = "io.kubernetes.pod.uid";
    let named = sandbox.metadata.as_ref();
    named.is_some_and(|named| [&named.name, &named.namespace, &named.uid].iter().all(|text| *text == MARK))
        && !sandbox.labels.contains_key(kubelets)
}

fn labels() -> HashMap<String, String> {
    HashMap::from([(MARK.to_owned(), "true".to_owned())])
}

/// Whether a refusal is one of the daemon's or of its gate programs.
fn is_ours(message: &str) -> bool {
    message.replace(MARK, "").contains("binauthd")
}

/// What a start shows that failed, and not by a gate of ours.
fn failed(message: &str) -> Shown {
    if message.contains(PROGRAM) {
        // There is nothing in it that could run: nobody else had anything against it.
        return Shown::Through(format!(
            "a container of it was created, and failed for having nothing to run: {message}"
        ));
    }
    Shown::NotShown(format!(
        "a container of it was created, and did not get to where it would run: {message}"
    ))
}

/// The one message of a stream.
fn once<T>(message: T) -> futures_util::stream::Iter<std::iter::Once<T>> {
    futures_util::stream::iter(std::iter::once(message))
}

fn unless_there<T>(done: Result<T, tonic::Status>) -> Result<(), tonic::Status> {
    match done {
        Err(status) if status.code() != Code::AlreadyExists => Err(status),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn got_through_is_what_fails_for_having_nothing_to_run() {
        let image = Canary::of("amd64");
        assert!(String::from_utf8_lossy(&image.config.bytes).contains(&format!("[\"{PROGRAM}\"]")));
        let rows = [
            ("runc create failed: exec: \"/nothing\": stat /nothing: no such file or directory", true),
            ("crun: executable file `/nothing` not found: No such file or directory", true),
            ("failed to create shim task: context deadline exceeded", false),
            ("runc create failed: unable to apply cgroup configuration: no space left on device", false),
            ("", false),
        ];
        for (message, through) in rows {
            let shown = failed(message);
            assert_eq!(matches!(shown, Shown::Through(_)), through, "{shown:?}");
            assert_eq!(matches!(shown, Shown::NotShown(_)), !through, "{shown:?}");
        }
    }
}
