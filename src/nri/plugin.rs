//! What a plugin is asked.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::api::{
    ConfigureRequest, Container, ContainerAdjustment, ContainerUpdate, OwningPlugins, PluginInstance,
    PodSandbox,
};
use super::event::{Event, Events};
use super::version::Version;

/// A refusal, for people: what is refused, why, and what to do about it. It reaches the pod's events, so
/// it holds no secrets. At most 2900 bytes of it are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Refusal {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// The runtime that a plugin is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// Such as `containerd`. In the runtime's words, like its version.
    pub name: String,
    /// Such as `2.1.9+unknown`.
    pub version: String,
    /// Its NRI, or the least that it has; `None` if nothing tells.
    pub nri: Option<Version>,
    /// The events that it was subscribed for.
    pub events: Events,
    /// Events that were wanted and that it does not know.
    pub left_out: Events,
    /// How long it waits for an answer before it drops the plugin and goes on without it.
    pub request_timeout: Duration,
    /// What the node's administrator wrote for this plugin, if the runtime hands it on.
    pub config: String,
}

/// How long runtimes wait that do not say so.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

impl Runtime {
    /// Whoever sent `configure` to a plugin that wants `events`.
    #[must_use]
    pub fn new(configure: ConfigureRequest, events: Events) -> Self {
        let nri = super::version::of(&configure);
        let known = super::version::events(nri);
        let told = u64::try_from(configure.request_timeout).ok().filter(|millis| *millis > 0);
        Self {
            nri,
            events: events & known,
            left_out: events - known,
            request_timeout: told.map_or(REQUEST_TIMEOUT, Duration::from_millis),
            name: configure.runtime_name,
            version: configure.runtime_version,
            config: configure.config,
        }
    }
}

/// What all plugins together would change, and who asked whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Changes of the container.
    pub adjust: ContainerAdjustment,
    /// Changes of other containers.
    pub update: Vec<ContainerUpdate>,
    /// Which plugin changes what.
    pub owners: OwningPlugins,
    /// Plugins that were asked, also those that did not answer.
    pub plugins: Vec<PluginInstance>,
}

/// An NRI plugin: what it says about pods and containers.
///
/// Each method is called in a task of its own, several at a time maybe, and is given as long as
/// [`Options::with_handler_deadline`](super::Options::with_handler_deadline) says and the runtime's own timeouts
/// allow. A method that takes longer is dropped where it waits, one that panics has ended, and what was
/// asked is refused either way; so is what comes while too many are at work. Every question that can be
/// refused has no default: what a plugin forgot would be allowed.
///
/// The runtime asks one question at a time and lets everything else on the node wait meanwhile: answer
/// from memory. Never call back into the runtime's CRI from here.
pub trait Plugin: Send + Sync + 'static {
    /// The runtime has introduced itself. A refusal keeps it from asking anything: it goes on without
    /// this plugin.
    fn configured(&self, runtime: &Runtime) -> impl Future<Output = Result<(), Refusal>> + Send {
        let _ = runtime;
        async { Ok(()) }
    }

    /// All pods and containers that are there, whether or not this plugin was asked about them. From now
    /// on it is. A refusal, and being late, end the connection: note what there is, and work later.
    fn synchronize(
        &self,
        pods: Vec<PodSandbox>,
        containers: Vec<Container>,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// A pod is being created. containerd 2 has started its pause container already.
    fn run_pod(&self, pod: &PodSandbox) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// A container is being created.
    fn create(
        &self,
        pod: &PodSandbox,
        container: &Container,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// A container is being created, and all plugins have been asked. `container` is as it was before
    /// them. Where this is asked, no answer is a refusal; everywhere else the runtime takes it for none.
    fn validate(
        &self,
        pod: &PodSandbox,
        container: &Container,
        proposal: &Proposal,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// A container is about to be started. It has been created: its first process is there, and waits.
    fn start(
        &self,
        pod: &PodSandbox,
        container: &Container,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Something else happened that was subscribed for.
    fn state_changed(
        &self,
        event: Event,
        pod: Option<&PodSandbox>,
        container: Option<&Container>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (event, pod, container);
        async {}
    }

    /// The connection has ended, and with it all asking, until the next `synchronize`.
    fn disconnected(&self, why: &str) -> impl Future<Output = ()> + Send {
        let _ = why;
        async {}
    }
}
