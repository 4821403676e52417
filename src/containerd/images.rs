//! The image store: names, and what they point at. A name proves nothing, and may be moved at any time.

use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::{GetImageRequest, Image, ListImagesRequest};

use super::client::{Containerd, MAX_MESSAGE, ReadError};
use crate::image::Digest;
use crate::text::shown;

/// A record of the image store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) target: Digest,
    /// When the record was last written, for comparison alone: a pull writes it anew.
    pub(super) written: (i64, i32),
}

impl Containerd {
    /// What the image `name` points at; none where there is no record of that very name. One RPC
    /// (`Images.Get`).
    ///
    /// # Errors
    /// [`ReadError::Unreadable`] where it points at something other than a `sha256` digest; see
    /// [`ReadError`] for the rest.
    pub async fn image(&self, namespace: &str, name: &str) -> Result<Option<Digest>, ReadError> {
        let namespaced = self.namespaced(namespace)?;
        let rpc = |channel| {
            let request = namespaced.request(GetImageRequest { name: name.to_owned() });
            async move { ImagesClient::new(channel).get(request).await }
        };
        let what = format!("image `{}`", shown(name, 300));
        match self.in_time(self.call(&what, rpc)).await {
            Ok(found) => {
                let target = found.image.and_then(|image| image.target).unwrap_or_default().digest;
                let digest = target.parse();
                digest
                    .map(Some)
                    .map_err(|error| ReadError::Unreadable(format!("{what}: its target: {error}")))
            }
            Err(ReadError::NotThere(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every name of `namespace` and what it points at, without those that point at something other than a
    /// `sha256` digest. One RPC (`Images.List`); the answer may have up to 32 MiB, which 30,000 names need.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn images(&self, namespace: &str) -> Result<Vec<(String, Digest)>, ReadError> {
        let named = self.in_time(self.named(namespace)).await?;
        Ok(named.into_iter().map(|named| (named.name, named.target)).collect())
    }

    pub(super) async fn named(&self, namespace: &str) -> Result<Vec<Named>, ReadError> {
        let namespaced = self.namespaced(namespace)?;
        let rpc = |channel| {
            let request = namespaced.request(ListImagesRequest { filters: Vec::new() });
            async move {
                let client = ImagesClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
                { client }.list(request).await
            }
        };
        let images = self.call("the list of images", rpc).await?.images;
        let named = |image: Image| {
            let written = image.updated_at.map(|at| (at.seconds, at.nanos)).unwrap_or_default();
            Some(Named { target: image.target?.digest.parse().ok()?, name: image.name, written })
        };
        Ok(images.into_iter().filter_map(named).collect())
    }
}
