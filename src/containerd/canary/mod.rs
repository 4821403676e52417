//! Shows the real runtime an image that nobody may let through, at the pull and at creation, and sees what becomes of it.
//!
//! At the pull it lies in a registry of this process on the loopback. At creation its content is put into containerd
//! itself, and a container is made of it in a sandbox of its own on the host's network: an empty folder, in which nothing can
//! run. Everything has a name or a label of its own, and is removed before and afterwards, so also what an earlier proof left that
//! was cut off.
//!
//! What it cannot show: that the hook holds where NRI refuses first. Then it is not reached.

mod creation;
mod registry;
mod turn;

use std::path::Path;
use std::time::Duration;

use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::{ImageSpec, PullImageRequest, RemoveImageRequest};
use tonic::transport::Channel;

use crate::decision::Canary;

pub use creation::prove_creation;

/// How long one proof may take in all.
const DEADLINE: Duration = Duration::from_secs(30);

/// containerd's word for a refusal by what it executes.
const BY_VERIFIER: &str = "image verifier";

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// It was refused as the canary, by whom.
    Refused(&'static str),
    /// It was refused as something else: the gate holds, and is not proven.
    Otherwise(String),
    /// It got through.
    Through(String),
    /// It could not be shown; why.
    NotShown(String),
}

/// Shows it at the pull: asks the CRI at `address` to pull it from a registry on the loopback. 30 s at most.
pub async fn prove_pull(address: &Path, image: &Canary) -> Shown {
    within(async {
        let Ok(registry) = registry::Registry::start(image).await else {
            return Shown::NotShown("no registry can listen on the loopback".to_owned());
        };
        let name = format!("{}/binauthd-canary@{}", registry.address(), image.digest());
        let Ok(channel) = containerd_client::connect(address).await else {
            return Shown::NotShown(format!("containerd cannot be reached on `{}`", address.display()));
        };
        let mut images = ImageServiceClient::new(channel);
        let spec =
            ImageSpec { image: name.clone(), user_specified_image: name.clone(), ..Default::default() };
        let asked = PullImageRequest { image: Some(spec), ..Default::default() };
        match images.pull_image(asked).await {
            Ok(_) => {
                remove(&mut images, &name).await;
                Shown::Through("it was pulled: no verifier of ours was asked".to_owned())
            }
            // It would not have been fetched at all.
            Err(status) if registry.was_fetched() => {
                Shown::Through(format!("it was fetched, and then failed: {}", status.message()))
            }
            Err(status) if status.message().contains(BY_VERIFIER) && registry.was_asked() => {
                if image.is_refused_in(status.message()) {
                    Shown::Refused("verifier")
                } else {
                    Shown::Otherwise(status.message().to_owned())
                }
            }
            Err(status) => Shown::NotShown(status.message().to_owned()),
        }
    })
    .await
}

async fn remove(images: &mut ImageServiceClient<Channel>, name: &str) {
    let spec = ImageSpec { image: name.to_owned(), ..Default::default() };
    let _ = images.remove_image(RemoveImageRequest { image: Some(spec) }).await;
}

async fn within(work: impl Future<Output = Shown>) -> Shown {
    let late = || Shown::NotShown(format!("it took more than {} s", DEADLINE.as_secs()));
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| late())
}
