//! The content store, read as what it is: bytes that must hash to their name.

use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::{InfoRequest, ReadContentRequest};

use super::client::{Containerd, ReadError};
use super::waiting::Waiting;
use crate::image::Digest;

impl Containerd {
    /// The bytes of `digest`, at most `max` of them, hashed. Two RPCs (`Content.Info`, `Content.Read`).
    ///
    /// # Errors
    /// [`ReadError::NotThere`]; [`ReadError::TooLarge`] before anything is read where containerd says so,
    /// and as soon as more comes; [`ReadError::Corrupt`] where the bytes hash to something else; see
    /// [`ReadError`] for the rest.
    pub async fn read(&self, namespace: &str, digest: Digest, max: u64) -> Result<Vec<u8>, ReadError> {
        let namespaced = self.namespaced(namespace)?;
        let what = format!("content `{digest}`");
        let info = |channel| {
            let request = namespaced.request(InfoRequest { digest: digest.to_string() });
            async move { ContentClient::new(channel).info(request).await }
        };
        let read = |channel| {
            let message = ReadContentRequest { digest: digest.to_string(), offset: 0, size: 0 };
            let request = namespaced.request(message);
            async move { ContentClient::new(channel).read(request).await }
        };
        let _waiting = Waiting::begin();
        self.in_time(async {
            let size = self.call(&what, info).await?.info.map_or(0, |info| info.size);
            let size = u64::try_from(size).unwrap_or(u64::MAX);
            if size > max {
                return Err(ReadError::TooLarge { digest, size, max });
            }
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            let mut stream = self.call(&what, read).await?;
            while let Some(part) = stream.message().await.map_err(|status| self.error(&what, &status))? {
                bytes.extend_from_slice(&part.data);
                let size = bytes.len() as u64;
                if size > max {
                    return Err(ReadError::TooLarge { digest, size, max });
                }
            }
            if Digest::of(&bytes) != digest {
                return Err(ReadError::Corrupt(digest));
            }
            Ok(bytes)
        })
        .await
    }
}
