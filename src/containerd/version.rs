//! Which containerd runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_client::services::v1::version_client::VersionClient;

/// How long containerd is waited for.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest version that is believed, in bytes.
const MAX_BYTES: usize = 128;

/// Why the version is not known.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// Nobody answers.
    #[error("containerd does not answer on `{}`: {cause}", address.display())]
    NoAnswer {
        /// The socket.
        address: PathBuf,
        /// Why not.
        cause: String,
    },
    /// Not what a version looks like.
    #[error("containerd on `{}` gives no version that can be believed", .0.display())]
    NoVersion(PathBuf),
}

/// The version of the containerd at `address`, as it writes it itself (`1.7.24~ds1`, `v2.1.4`). Waits 5 s
/// at most.
///
/// # Errors
/// [`VersionError`]
pub async fn version(address: &Path) -> Result<String, VersionError> {
    let no_answer = |cause| VersionError::NoAnswer { address: address.to_owned(), cause };
    let ask = async {
        let channel =
            containerd_client::connect(address).await.map_err(|error| no_answer(crate::chain(&error)))?;
        let answer = VersionClient::new(channel).version(()).await;
        Ok(answer.map_err(|status| no_answer(status.message().to_owned()))?.into_inner().version)
    };
    let answer = tokio::time::timeout(DEADLINE, ask).await;
    let version = answer.map_err(|_| no_answer(format!("nothing within {} s", DEADLINE.as_secs())))??;
    let is_plain = version.bytes().all(|byte| byte.is_ascii_graphic());
    if version.is_empty() || version.len() > MAX_BYTES || !is_plain {
        return Err(VersionError::NoVersion(address.to_owned()));
    }
    Ok(version)
}
