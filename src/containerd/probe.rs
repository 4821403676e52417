//! A look at the running containerd, now and then: its version, and whether the image-verifier plugin is
//! loaded. Decides nothing; a gate that nothing calls should not look like one that guards.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::client::{Containerd, ReadError};
use super::introspection::Plugin;

const PERIOD: Duration = Duration::from_secs(30);
const DEADLINE: Duration = Duration::from_secs(5);
const VERIFIER: (&str, &str) = ("io.containerd.image-verifier.v1", "bindir");

/// Looks at containerd every 30 s for as long as the runtime lives.
#[derive(Debug, Clone)]
pub struct Probe {
    last: Arc<Mutex<ProbeStatus>>,
}

/// What the last look found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeStatus {
    /// The socket.
    pub address: PathBuf,
    /// containerd's own word; none while it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether the plugin that runs image verifiers is loaded. That pulls reach it, the settings decide.
    pub verifier_plugin: bool,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl ProbeStatus {
    /// What wants looking at.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match (&self.error, &self.version) {
            (Some(error), _) => Some(format!("`{}` does not answer: {error}", self.address.display())),
            (None, Some(version)) if !self.verifier_plugin => {
                Some(format!("{version} has no image-verifier plugin: pulls are not judged"))
            }
            _ => None,
        }
    }
}

impl Probe {
    /// Starts looking. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(address: PathBuf) -> Self {
        let first =
            ProbeStatus { address: address.clone(), version: None, verifier_plugin: false, error: None };
        let probe = Self { last: Arc::new(Mutex::new(first)) };
        let last = Arc::clone(&probe.last);
        let containerd = Containerd::new(&address).within(DEADLINE);
        tokio::spawn(async move {
            loop {
                let found = look(&containerd).await;
                *last.lock().unwrap_or_else(PoisonError::into_inner) = found;
                tokio::time::sleep(PERIOD).await;
            }
        });
        probe
    }

    /// What the last look found.
    #[must_use]
    pub fn status(&self) -> ProbeStatus {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn look(containerd: &Containerd) -> ProbeStatus {
    let (version, verifier_plugin, error) = match ask(containerd).await {
        Ok((version, verifier_plugin)) => (Some(version), verifier_plugin, None),
        // The socket is told beside it.
        Err(ReadError::Unreachable { cause, .. }) => (None, false, Some(cause)),
        Err(error) => (None, false, Some(error.to_string())),
    };
    ProbeStatus { address: containerd.address().to_owned(), version, verifier_plugin, error }
}

async fn ask(containerd: &Containerd) -> Result<(String, bool), ReadError> {
    let version = containerd.version().await?;
    let is_verifier = |plugin: &Plugin| (plugin.kind.as_str(), plugin.id.as_str()) == VERIFIER;
    let verifier = containerd.plugins().await?.iter().any(|plugin| is_verifier(plugin) && plugin.is_loaded);
    Ok((format!("containerd {version}"), verifier))
}
