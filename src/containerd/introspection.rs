//! What this containerd is made of.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use containerd_client::services::v1::PluginsRequest;
use containerd_client::services::v1::introspection_client::IntrospectionClient;
use containerd_client::services::v1::version_client::VersionClient;

use super::client::{Containerd, MAX_MESSAGE, ReadError};

/// The longest version that is believed, in bytes.
const MAX_VERSION: usize = 128;
const SNAPSHOTTERS: &str = "type==io.containerd.snapshotter.v1";

/// The most snapshotters that are asked for a snapshot.
const MAX_SNAPSHOTTERS: usize = 64;

/// A plugin that containerd was built or configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Its type, such as `io.containerd.snapshotter.v1`.
    pub kind: String,
    /// Its id, such as `overlayfs`.
    pub id: String,
    /// Whether it is loaded and usable.
    pub is_loaded: bool,
}

/// Snapshotters, and the connection on which they were asked for.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    epoch: u64,
    snapshotters: Arc<[String]>,
}

impl Containerd {
    /// containerd's own word for its version (`1.7.24~ds1`, `v2.1.4`). One RPC (`Version`).
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn version(&self) -> Result<String, ReadError> {
        let rpc = |channel| async move { VersionClient::new(channel).version(()).await };
        let version = self.in_time(self.call("the version", rpc)).await?.version;
        let is_plain = version.bytes().all(|byte| byte.is_ascii_graphic());
        if version.is_empty() || version.len() > MAX_VERSION || !is_plain {
            return Err(ReadError::Unreadable("containerd gives no version that can be believed".to_owned()));
        }
        Ok(version)
    }

    /// Every plugin, loaded or not. One RPC (`Introspection.Plugins`).
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn plugins(&self) -> Result<Vec<Plugin>, ReadError> {
        self.in_time(self.plugins_of(Vec::new())).await
    }

    async fn plugins_of(&self, filters: Vec<String>) -> Result<Vec<Plugin>, ReadError> {
        let rpc = |channel| {
            let request = PluginsRequest { filters: filters.clone() };
            async move {
                let client = IntrospectionClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
                { client }.plugins(request).await
            }
        };
        let found = self.call("the list of plugins", rpc).await?.plugins;
        let plugin = |plugin: containerd_client::services::v1::Plugin| Plugin {
            is_loaded: plugin.init_err.is_none(),
            kind: plugin.r#type,
            id: plugin.id,
        };
        Ok(found.into_iter().map(plugin).collect())
    }

    /// The snapshotters of the containerd that is connected to: remembered as long as the connection
    /// lasts, unless `anew`. No RPC, or one (`Introspection.Plugins`), two on a new connection.
    pub(super) async fn snapshotters(&self, anew: bool) -> Result<Arc<[String]>, ReadError> {
        let shared = self.shared();
        let mut epoch = shared.epoch.load(Ordering::SeqCst);
        let known = shared.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| !anew && known.epoch == epoch) {
            return Ok(known.snapshotters);
        }
        loop {
            let found = self.plugins_of(vec![SNAPSHOTTERS.to_owned()]).await?;
            let now = shared.epoch.load(Ordering::SeqCst);
            if now != epoch {
                // Connected meanwhile: whose answer it is, is not known.
                epoch = now;
                continue;
            }
            let snapshotters: Arc<[String]> =
                found.into_iter().filter(|plugin| plugin.is_loaded).map(|plugin| plugin.id).collect();
            let number = snapshotters.len();
            if number > MAX_SNAPSHOTTERS {
                let what =
                    format!("{number} snapshotters are loaded, more than the {MAX_SNAPSHOTTERS} allowed");
                return Err(ReadError::Unreadable(what));
            }
            let loaded = Loaded { epoch, snapshotters: Arc::clone(&snapshotters) };
            *shared.loaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
            return Ok(snapshotters);
        }
    }
}
