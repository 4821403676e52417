//! What is told of this node as `config.toml` says it: `[metrics]` and `[events]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::sections::{EventsConfig, KubeletConfig, Listen, PodSource};
use super::values::{Wrong, brief, is_name};

#[derive(Deserialize, Default)]
pub(super) struct EventsTable {
    kubeconfig: Option<PathBuf>,
    node_name: Option<String>,
    pods: Option<bool>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    node_condition: bool,
}

#[derive(Deserialize, Default)]
pub(super) struct MetricsTable {
    listen: Option<String>,
    #[serde(default)]
    allow_remote: bool,
}

impl EventsTable {
    /// Nothing where no kubeconfig is named, here or beside `kubelet`.
    pub(super) fn read(self, kubelet: Option<&KubeletConfig>) -> Result<Option<EventsConfig>, Wrong> {
        let by_kubelet = kubelet.and_then(|kubelet| match &kubelet.source {
            PodSource::Kubeconfig(path) => Some(path.clone()),
            PodSource::Endpoint { .. } => None,
        });
        let Some(kubeconfig) = self.kubeconfig.or(by_kubelet) else {
            let is_wanted = self.pods == Some(true) || self.dry_run || self.node_condition;
            return match is_wanted {
                true => Err(Wrong::new("events.kubeconfig", "is missing: name the kubeconfig of this node")),
                false => Ok(None),
            };
        };
        if let Some(name) = self.node_name.as_deref().filter(|name| !is_name(name)) {
            let cause = format!("`{}` is not the name of a node", brief(name));
            return Err(Wrong::new("events.node_name", cause));
        }
        let node_name = self.node_name.or_else(|| kubelet?.node_name.clone());
        let pods = self.pods.unwrap_or(true);
        let (dry_run, node_condition) = (self.dry_run, self.node_condition);
        Ok(Some(EventsConfig { kubeconfig, node_name, pods, dry_run, node_condition }))
    }
}

impl MetricsTable {
    /// Where metrics are read, if that is said.
    pub(super) fn read(self) -> Result<Option<Listen>, Wrong> {
        let Some(text) = self.listen else { return Ok(None) };
        let wrong = |cause: &str| Wrong::new("metrics.listen", format!("`{}` {cause}", brief(&text)));
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Some(Listen::Unix(path.into())));
        }
        let address: SocketAddr = text.parse().map_err(|_| {
            wrong(
                "is neither `unix:/PATH` nor an address and a port such as `127.0.0.1:9464` or `[::1]:9464`",
            )
        })?;
        if address.port() == 0 {
            return Err(wrong("names no port"));
        }
        if !address.ip().is_loopback() && !self.allow_remote {
            let cause = "is no loopback address: whoever reaches it may read, nobody is asked who they are; say \
                         `allow_remote = true` beside it if that is meant";
            return Err(wrong(cause));
        }
        Ok(Some(Listen::Tcp(address)))
    }
}
