//! A container runtime as its NRI plugins see one: speaks the protocol to the byte, and goes on without
//! a plugin that is late or gone, as the real ones do.
//!
//! Its frames are written by hand, in [`link`], so that a mistake of the library's codec is not made
//! twice; the messages are the library's. Models `containerd/nri:pkg/adaptation` of the version it is told to be:
//! events of the mask, `StateChange` before 0.12, VALIDATE since 0.10, `required_plugins` of the default
//! validator. One plugin at a time.

#![allow(dead_code, unused_imports, reason = "each test crate uses a part of it")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use binauthd::nri::api::{
    ConfigureRequest, ConfigureResponse, Container, ContainerAdjustment, ContainerRequest, PluginInstance,
    PodRequest, PodSandbox, RegisterPluginRequest, StateChangeEvent, SynchronizeRequest, SynchronizeResponse,
    ValidateContainerAdjustmentRequest, ValidateContainerAdjustmentResponse,
};
use binauthd::nri::ttrpc::Request;
use prost::Message;
use tokio::net::UnixListener;
use tokio::time::timeout;

#[path = "link.rs"]
mod link;

pub(crate) use link::{Answer, Link, PLUGIN, RUNTIME, Stream};

/// Which runtime it plays.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// What it says in `Configure`; empty before 0.12.
    pub(crate) nri: &'static str,
    /// Bits of the mask that it knows.
    pub(crate) events: i32,
    /// Whether it has a method for each event.
    pub(crate) dedicated: bool,
    /// Whether it tells its timeouts and splits `Synchronize`.
    pub(crate) splits: bool,
}

impl Version {
    /// containerd 1.7.24 with NRI 0.6.1.
    pub(crate) const CONTAINERD_1_7: Self = Self {
        name: "containerd",
        version: "1.7.24~ds1",
        nri: "",
        events: 0x7ff,
        dedicated: false,
        splits: false,
    };
    /// containerd 2.1.9 with NRI 0.8.
    pub(crate) const CONTAINERD_2_1: Self =
        Self { version: "2.1.9+unknown", splits: true, ..Self::CONTAINERD_1_7 };
    /// containerd 2.2.7 with NRI 0.11.
    pub(crate) const CONTAINERD_2_2: Self =
        Self { version: "2.2.7+unknown", events: 0x3fff, ..Self::CONTAINERD_2_1 };
    /// containerd 2.3.4 with NRI 0.12.
    pub(crate) const CONTAINERD_2_3: Self =
        Self { version: "2.3.4+unknown", nri: "v0.12.0", dedicated: true, ..Self::CONTAINERD_2_2 };

    pub(crate) const ALL: [Self; 4] =
        [Self::CONTAINERD_1_7, Self::CONTAINERD_2_1, Self::CONTAINERD_2_2, Self::CONTAINERD_2_3];
}

/// What the runtime does with a pod or container.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// It goes on, and the plugin said so.
    Allowed,
    /// It goes on, and nobody was asked, or nobody answered.
    Unasked,
    /// It stops here, with this error.
    Refused(String),
}

impl Outcome {
    /// Whether the pod or container comes to be.
    pub(crate) fn goes_on(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    pub(crate) fn refusal(&self) -> &str {
        match self {
            Self::Refused(why) => why,
            other => panic!("not refused: {other:?}"),
        }
    }
}

/// The runtime. Dropping it closes its socket and connection, and removes the socket's file.
pub(crate) struct FakeRuntime {
    pub(crate) version: Version,
    /// How long a plugin may take for an answer.
    pub(crate) request_timeout: Duration,
    /// `default_validator.required_plugins`, since 2.2.
    pub(crate) required: Vec<String>,
    pub(crate) pods: Vec<PodSandbox>,
    pub(crate) containers: Vec<Container>,
    /// How many of them one `Synchronize` message lists.
    pub(crate) chunk: usize,
    listener: Option<(UnixListener, PathBuf)>,
    pub(crate) link: Option<Link>,
}

impl FakeRuntime {
    /// Without a socket: plugins are given to it by [`FakeRuntime::adopt`].
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            request_timeout: Duration::from_secs(2),
            required: Vec::new(),
            pods: Vec::new(),
            containers: Vec::new(),
            chunk: usize::MAX,
            listener: None,
            link: None,
        }
    }

    pub(crate) fn listen(version: Version, socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let mut runtime = Self::new(version);
        runtime.listener = Some((listener, socket.to_owned()));
        runtime
    }

    /// Waits for a plugin, registers and synchronizes it.
    pub(crate) async fn accept(&mut self) {
        let (listener, _) = self.listener.as_ref().expect("a runtime that listens");
        let (stream, _) = timeout(Duration::from_secs(10), listener.accept()).await.unwrap().unwrap();
        self.adopt(stream).await.unwrap();
    }

    /// Registers, configures and synchronizes the plugin at the other end of `stream`.
    pub(crate) async fn adopt(&mut self, stream: impl Stream + 'static) -> Result<(), String> {
        let mut link = Link::new(stream);
        self.register(&mut link).await?;
        self.configure(&mut link).await?;
        self.synchronize(&mut link).await?;
        self.link = Some(link);
        Ok(())
    }

    /// Takes `RegisterPlugin` and answers it.
    pub(crate) async fn register(&self, link: &mut Link) -> Result<(), String> {
        let (connection, stream, kind, body) = link
            .receive(Duration::from_secs(5))
            .await
            .map_err(|what| format!("no registration: {what:?}"))?;
        assert_eq!((connection, stream, kind), (RUNTIME, 1, 1), "the first message");
        let request = Request::decode(body.as_slice()).unwrap();
        assert_eq!(request.service, "nri.pkg.api.v1alpha1.Runtime");
        assert_eq!(request.method, "RegisterPlugin");
        let plugin = RegisterPluginRequest::decode(request.payload.as_slice()).unwrap();
        (link.name, link.index) = (plugin.plugin_name, plugin.plugin_idx);
        link.send(RUNTIME, 1, 2, &[]).await;
        Ok(())
    }

    pub(crate) async fn configure(&self, link: &mut Link) -> Result<(), String> {
        let told = |millis: Duration| if self.version.splits { millis.as_millis() as i64 } else { 0 };
        let configure = ConfigureRequest {
            config: String::new(),
            runtime_name: self.version.name.to_owned(),
            runtime_version: self.version.version.to_owned(),
            registration_timeout: told(Duration::from_secs(5)),
            request_timeout: told(self.request_timeout),
            nri_version: self.version.nri.to_owned(),
        };
        let answer = link.call("Configure", &configure, self.request_timeout).await;
        let Answer::Ok(payload) = answer else {
            return Err(format!("failed to configure plugin: {answer:?}"));
        };
        let mask = ConfigureResponse::decode(payload.as_slice()).unwrap().events;
        if mask & !self.version.events != 0 {
            return Err(format!("invalid plugin events: {mask:#x}"));
        }
        link.mask = if mask == 0 { self.version.events } else { mask };
        Ok(())
    }

    pub(crate) async fn synchronize(&self, link: &mut Link) -> Result<(), String> {
        let (mut pods, mut containers) = (self.pods.as_slice(), self.containers.as_slice());
        loop {
            let (some, rest) = pods.split_at(self.chunk.min(pods.len()));
            let (few, others) = containers.split_at(self.chunk.min(containers.len()));
            (pods, containers) = (rest, others);
            let more = !pods.is_empty() || !containers.is_empty();
            let part = SynchronizeRequest { pods: some.to_vec(), containers: few.to_vec(), more };
            let answer = link.call("Synchronize", &part, self.request_timeout).await;
            let Answer::Ok(payload) = answer else {
                return Err(format!("failed to synchronize plugin: {answer:?}"));
            };
            if SynchronizeResponse::decode(payload.as_slice()).unwrap().more != more {
                return Err("plugin does not handle split sync requests".to_owned());
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// RUN_POD_SANDBOX.
    pub(crate) async fn run_pod(&mut self, pod: &PodSandbox) -> Outcome {
        if self.version.dedicated {
            let answer = self.ask(1, "RunPodSandbox", &PodRequest { pod: Some(pod.clone()) }).await;
            if !is_unimplemented(answer.as_ref()) {
                return self.outcome(answer, "RunPodSandbox");
            }
        }
        let change = StateChangeEvent { event: 1, pod: Some(pod.clone()), container: None };
        let answer = self.ask(1, "StateChange", &change).await;
        self.outcome(answer, "RunPodSandbox")
    }

    /// CREATE_CONTAINER and what follows it before the container is there: VALIDATE and the default
    /// validator.
    pub(crate) async fn create(&mut self, pod: &PodSandbox, container: &Container) -> Outcome {
        // Whoever is there is consulted, whether or not it will answer.
        let built_in = || PluginInstance { name: "default-validator".into(), index: "00".into() };
        let built_in = (self.version.events & 0x2000 != 0).then(built_in);
        let consulted: Vec<_> = built_in.into_iter().chain(self.link.iter().map(Link::instance)).collect();
        let validates = self.validates();
        let request = ContainerRequest { pod: Some(pod.clone()), container: Some(container.clone()) };
        let answer = self.ask(4, "CreateContainer", &request).await;
        let created = self.outcome(answer, "CreateContainer");
        if !created.goes_on() {
            return created;
        }
        for required in &self.required {
            let is_it = |plugin: &PluginInstance| {
                plugin.name == *required || format!("{}-{}", plugin.index, plugin.name) == *required
            };
            if self.version.events & 0x2000 != 0 && !consulted.iter().any(is_it) {
                return Outcome::Refused(format!("required plugin {required:?} not present"));
            }
        }
        if !validates {
            return created;
        }
        let request = ValidateContainerAdjustmentRequest {
            pod: Some(pod.clone()),
            container: Some(container.clone()),
            adjust: Some(ContainerAdjustment::default()),
            plugins: consulted.clone(),
            ..Default::default()
        };
        // A validator that went away over this very request is still in the list.
        let answer = match self.ask(14, "ValidateContainerAdjustment", &request).await {
            Some(answer) => answer,
            None => Answer::Closed,
        };
        let name = consulted.last().map(|plugin| format!("{}-{}", plugin.index, plugin.name));
        let failed = |why: &str| Outcome::Refused(format!("validator plugin {name:?} failed: {why}"));
        match answer {
            Answer::Ok(payload) => {
                let said = ValidateContainerAdjustmentResponse::decode(payload.as_slice()).unwrap();
                if said.reject { failed(&said.reason) } else { created }
            }
            Answer::Status(status) => failed(&status.message),
            Answer::Late | Answer::Closed => {
                self.link = None;
                failed("ttrpc: closed")
            }
        }
    }

    /// START_CONTAINER.
    pub(crate) async fn start(&mut self, pod: &PodSandbox, container: &Container) -> Outcome {
        let (pod, container) = (Some(pod.clone()), Some(container.clone()));
        if self.version.dedicated {
            let request = ContainerRequest { pod: pod.clone(), container: container.clone() };
            let answer = self.ask(6, "StartContainer", &request).await;
            if !is_unimplemented(answer.as_ref()) {
                return self.outcome(answer, "StartContainer");
            }
        }
        let answer = self.ask(6, "StateChange", &StateChangeEvent { event: 6, pod, container }).await;
        self.outcome(answer, "StartContainer")
    }

    /// CREATE, VALIDATE and START, as far as it goes.
    pub(crate) async fn run(&mut self, pod: &PodSandbox, container: &Container) -> Outcome {
        let created = self.create(pod, container).await;
        if created.goes_on() { self.start(pod, container).await } else { created }
    }

    /// Whether the plugin is asked to validate.
    fn validates(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.mask & 0x2000 != 0)
    }

    /// Asks the plugin about an event; `None` if there is none that wants to be asked.
    async fn ask(&mut self, event: u32, method: &str, message: &impl Message) -> Option<Answer> {
        let limit = self.request_timeout;
        let link = self.link.as_mut().filter(|link| link.mask & 1 << (event - 1) != 0)?;
        Some(link.call(method, message, limit).await)
    }

    /// A plugin that is late or gone is dropped, and the runtime goes on.
    fn outcome(&mut self, answer: Option<Answer>, what: &str) -> Outcome {
        match answer {
            Some(Answer::Ok(_)) => Outcome::Allowed,
            Some(Answer::Status(status)) => Outcome::Refused(format!(
                "{what}: rpc error: code = {} desc = {}",
                status.code, status.message
            )),
            Some(Answer::Late | Answer::Closed) => {
                self.link = None;
                Outcome::Unasked
            }
            None => Outcome::Unasked,
        }
    }
}

impl Drop for FakeRuntime {
    fn drop(&mut self) {
        if let Some((_, socket)) = &self.listener {
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// As of a plugin that is older than the method.
fn is_unimplemented(answer: Option<&Answer>) -> bool {
    matches!(answer, Some(Answer::Status(status)) if status.code == 12)
}
