//! The create gate: whether a container may be made, and whether it may start, by the bytes it would run.
//!
//! Both gates of creation end here: the NRI plugin ([`plugin`]) and what the hook and the runtime wrapper
//! ask ([`asked`]). What is found out about the container and its image is [`bind`]'s part, the decision the
//! engine's; this puts them in order. Whatever cannot be found out refuses, by a name of its own.

mod asked;
mod bind;
mod creation;
mod follow;
mod made;
mod own_time;
mod plugin;
mod real_path;
mod running;
mod unseen;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::engine::Engine;
use crate::audit::Place;
use crate::config::{Config, KubeletConfig, Login, PodSource};
use crate::containerd::{Containerd, Links};
use crate::decision::host_access::{self, Finding, HostAccess, HostRules, Source};
use crate::decision::{Decision, Reason, Subject, Verdict};
use crate::evidence::Asker;
use crate::image::{Digest, Reference, Workload};
use crate::kubelet::{self, Credentials, KubeletError, PodFacts, Pods};
use crate::nri::{self, api::PodSandbox};

use creation::{Bind, Creation, PodOf, Reach, Stage};
use plugin::NriPlugin;

use super::handlers::Handlers;
use bind::{Bound, Hindrance};
pub(super) use follow::follow;
use made::Made;
pub(super) use own_time::{OwnTimes, OwnTimesStatus};
pub(super) use running::LastPass;
use unseen::Passed;

/// The rest before containerd is asked again what it did not tell.
const RETRY: Duration = Duration::from_millis(100);

/// Who asks, in records of what no gate program asked.
const PROGRAM: &str = concat!("binauthd/", env!("CARGO_PKG_VERSION"));

/// Everything that judging a container takes.
pub(super) struct CreateGate {
    pub(super) engine: Arc<Engine>,
    pub(super) containerd: Containerd,
    pub(super) links: Links,
    /// The node's pods, where a source of them is configured.
    pub(super) pods: Option<Pods>,
    pub(super) handlers: Handlers,
    pub(super) settings: Settings,
    passed: Passed,
    made: Made,
    /// What NRI's questions take.
    pub(super) own_times: OwnTimes,
    /// How what runs was judged last.
    pub(super) last_pass: watch::Sender<LastPass>,
    /// How NRI stands.
    nri: watch::Sender<nri::Status>,
}

/// What the configuration says.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The namespace of containerd that CRI uses.
    pub(super) namespace: String,
    /// Snapshotters whose content containerd itself has checked.
    pub(super) snapshotters: BTreeSet<String>,
    pub(super) host: HostRules,
    pub(super) trust_domain: Option<String>,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        Self {
            namespace: config.containerd.namespace.clone(),
            snapshotters: config.containerd.snapshotters.clone(),
            host: config.host_rules().resolved(|path| real_path::of(Path::new(path))),
            trust_domain: config.trust_domain.clone(),
        }
    }
}

fn source(config: &KubeletConfig) -> kubelet::Options {
    match config.source.clone() {
        PodSource::Endpoint { url, ca, login } => kubelet::Options::Kubelet {
            url,
            server_name: config.node_name.clone(),
            authority: Some(ca),
            credentials: match login {
                None => Credentials::None,
                Some(Login::Token(path)) => Credentials::Token(path),
                Some(Login::Certificate { certificate, key }) => {
                    Credentials::Certificate { certificate, key }
                }
            },
        },
        PodSource::Kubeconfig(path) => kubelet::Options::Kubeconfig { path, node: config.node_name.clone() },
    }
}

/// What was decided, and of what.
#[must_use]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) place: Place,
    /// It is a pod's pause container.
    pub(super) is_sandbox: bool,
}

impl Judged {
    fn of(creation: &Creation, verdict: Verdict) -> Self {
        let is_sandbox = creation.pod.as_ref().is_some_and(|pod| pod.sandbox == creation.id);
        Self { verdict, place: place(creation), is_sandbox }
    }
}

impl CreateGate {
    /// A gate before `engine`, as `config` says. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Those of a source of pods that could never be asked.
    pub(super) fn new(config: &Config, engine: Arc<Engine>) -> Result<Self, KubeletError> {
        let containerd = Containerd::new(&config.containerd.address);
        let pods = config.kubelet.as_ref().map(|kubelet| Pods::start(source(kubelet))).transpose()?;
        Ok(Self {
            engine,
            links: Links::default(),
            pods,
            handlers: Handlers::new(
                config.containerd.address.clone(),
                config.containerd.allow_handlers.clone(),
            ),
            containerd,
            settings: Settings::from(config),
            passed: Passed::default(),
            made: Made::default(),
            own_times: OwnTimes::default(),
            last_pass: watch::Sender::default(),
            nri: watch::Sender::default(),
        })
    }

    /// Judges a container that is being made or started; records nothing.
    pub(super) async fn judge(&self, mut creation: Creation) -> Judged {
        let patience = creation.patience;
        let until = Instant::now() + patience;
        let verdict = match timeout_at(until, Box::pin(self.bound(&mut creation))).await {
            Ok(Ok(bound)) => self.decide(&creation, bound, until).await,
            Ok(Err(hindrance)) => self.hindered(&creation, hindrance),
            Err(_) => self.hindered(&creation, Hindrance::late(patience)),
        };
        Judged::of(&creation, verdict)
    }

    /// Whether something is judged again when a container is created, also what the pull gate could not know.
    pub(super) fn is_wired(&self) -> bool {
        self.handlers.hold() || matches!(self.nri.borrow().state, nri::State::Synchronized(_))
    }

    /// How NRI stands.
    pub(super) fn nri(&self) -> nri::Status {
        self.nri.borrow().clone()
    }

    /// Judges one that runs, of which everything is known already.
    async fn decide_running(&self, creation: &Creation, bound: &Bound) -> Verdict {
        let verdict = self.of_image(creation, bound.subjects(&self.workload(creation))).await;
        self.with_host_access(creation, bound, verdict)
    }

    /// Hears of a pod before any container of it is asked about.
    fn meet(&self, pod: &PodSandbox) {
        if let Some(pods) = &self.pods {
            pods.wanted(&pod.uid, &pod.namespace);
        }
    }

    /// What kubelet says of the pod; what it is not known to say is asked for, for the next time.
    fn known(&self, pod: &PodOf, container: &str) -> Option<Arc<PodFacts>> {
        let pods = self.pods.as_ref()?;
        let known = pods.known(&pod.uid, &pod.namespace);
        match &known {
            None => pods.wanted(&pod.uid, &pod.namespace),
            Some(facts) if facts.container(container).is_none() && !container.is_empty() => {
                pods.container_wanted(&pod.uid, &pod.namespace, container);
            }
            Some(_) => {}
        }
        known
    }

    /// What is refused whatever the image is, and otherwise what the container runs.
    async fn bound(&self, creation: &mut Creation) -> Result<Bound, Hindrance> {
        if creation.restored {
            return Err(Hindrance::restored());
        }
        let reach = &creation.reach;
        let sources = if reach.is_resolved { Vec::new() } else { reach.sources.clone() };
        let sources = real_path::of_all(sources);
        let bind = async {
            loop {
                match bind::bind(self, creation).await {
                    // A refusal of a start is the end of some pods: what may pass by itself is waited for.
                    Err(hindrance) if hindrance.may_pass() && creation.stage == Stage::Start => {
                        tokio::time::sleep(RETRY).await;
                    }
                    bound => break bound,
                }
            }
        };
        let (bound, sources) = tokio::join!(bind, sources);
        creation.reach.sources.extend(sources);
        let bound = bound?;
        if let Some(pod) = &creation.pod {
            if let Some(observes) = creation.hook_observes {
                self.handlers.heard(&pod.handler, observes, creation.recorded);
            }
            self.handlers.admit(&pod.handler).await?;
            self.learn(creation, pod).await;
        }
        Ok(bound)
    }

    /// Where nobody was asked when the container was made, its pod may not be known yet; a refusal now would
    /// be the end of it.
    async fn learn(&self, creation: &Creation, pod: &PodOf) {
        if let (Some(pods), Some(time)) = (&self.pods, creation.pod_patience) {
            let _ = pods.known_within(&pod.uid, &pod.namespace, time).await;
        }
    }

    /// Asks containerd nothing more after `until`.
    async fn decide(&self, creation: &Creation, mut bound: Bound, until: Instant) -> Verdict {
        let workload = self.workload(creation);
        let mut verdict = self.of_image(creation, bound.subjects(&workload)).await;
        if verdict.would != Decision::Allow
            && let Ok(Ok(Some(again))) = timeout_at(until, bind::again(self, creation, &bound)).await
        {
            // What leads to these bytes may have come to the node since.
            verdict = self.of_image(creation, again.subjects(&workload)).await;
            bound = again;
        }
        if verdict.allows() {
            match timeout_at(until, self.of_volumes(creation, &workload)).await {
                Ok(None) => {}
                // What is let through in dry run is less of a story than what broke the glass.
                Ok(Some(volume)) if volume.allows() && verdict.break_glass.is_some() => {}
                Ok(Some(volume)) => verdict = volume,
                Err(_) => verdict = self.hindered(creation, Hindrance::late(creation.patience)),
            }
        }
        self.with_host_access(creation, &bound, verdict)
    }

    /// One subject, or at creation several that the file system does not tell apart: any of them may be the one.
    async fn of_image(&self, creation: &Creation, subjects: Vec<Subject>) -> Verdict {
        let mut refusal = None;
        for subject in subjects {
            let verdict = self.verdict(creation, subject).await;
            if verdict.would == Decision::Allow {
                return verdict;
            }
            let better = refusal.as_ref().is_none_or(|so_far: &Verdict| !so_far.allows() && verdict.allows());
            if better {
                refusal = Some(verdict);
            }
        }
        refusal.unwrap_or_else(|| {
            let cause = "nothing is known of what it would run";
            Verdict::refused("", None, Reason::ImageUnknown, cause, bind::PULL_AGAIN)
        })
    }

    /// What is not known here is looked up behind the answer; waited for is that only where a refusal would be
    /// the end of a pod and nobody was asked before.
    async fn verdict(&self, creation: &Creation, subject: Subject) -> Verdict {
        match self.engine.decide_at_once(&subject) {
            Some(verdict) if self.engine.is_final(&verdict) => verdict,
            _ => {
                let asker = Asker {
                    repository: subject.name().map(Reference::repository),
                    namespace: creation.pod.as_ref().map(|pod| pod.namespace.clone()),
                };
                self.engine.decide_looking(subject, asker, creation.pod_patience).await
            }
        }
    }

    /// The first image volume that is refused, or else the first that would be without dry run.
    async fn of_volumes(&self, creation: &Creation, workload: &Workload) -> Option<Verdict> {
        let mut unenforced = None;
        for volume in creation.image_volumes() {
            let verdict = match volume {
                Ok(target) => {
                    let subject = bind::volume(self, &creation.namespace, target).await;
                    self.verdict(creation, subject.in_workload(workload.clone())).await
                }
                Err(below) => {
                    let cause = format!("it mounts `{below}` of the image volumes, which names no image");
                    self.refused(creation, Reason::ImageUnknown, &cause, bind::PULL_AGAIN)
                }
            };
            if !verdict.allows() {
                return Some(verdict);
            }
            if verdict.would != Decision::Allow {
                unenforced.get_or_insert(verdict);
            }
        }
        unenforced
    }

    fn with_host_access(&self, creation: &Creation, bound: &Bound, mut verdict: Verdict) -> Verdict {
        let digests: Vec<Digest> = bound.digests().collect();
        let binds = creation.reach.sources.iter();
        let sources: Vec<_> =
            binds.map(|Bind { path, is_readonly }| Source { path, is_readonly: *is_readonly }).collect();
        let access = HostAccess {
            sources: &sources,
            privileged: creation.reach.privileged,
            host_pid: creation.reach.host_pid,
            sandbox: creation.pod.as_ref().map(|pod| pod.sandbox.as_str()),
            container: Some(&creation.id),
        };
        let rules = self.settings.host.running(self.handlers.programs().into_iter());
        let findings = host_access::reaches(&rules, access, &digests);
        verdict.host_access = findings.iter().map(|finding| finding.text.clone()).collect();
        match findings.iter().find(|finding| finding.refuses) {
            Some(finding) if verdict.allows() => self.reaching(finding, verdict),
            _ => verdict,
        }
    }

    /// A container that reaches what guards the node. Only a policy that enforces nothing at all lets it
    /// through: one rule's dry run must not cost the guard of the others.
    fn reaching(&self, finding: &Finding, verdict: Verdict) -> Verdict {
        let cause = format!("the container {}", finding.text);
        let remedy = "Take that from the pod, or list the image's digest in `[host_access] allow_digests`";
        let mut refusal =
            Verdict::refused(&verdict.image, verdict.digest, Reason::HostAccess, &cause, remedy);
        refusal.host_access.clone_from(&verdict.host_access);
        refusal.attestors.clone_from(&verdict.attestors);
        if self.engine.enforces_nothing() { refusal.in_dry_run() } else { refusal }
    }

    /// A refusal before any rule. Where every rule that may apply is in dry run, so is this.
    fn refused(&self, creation: &Creation, reason: Reason, cause: &str, remedy: &str) -> Verdict {
        let shown = if creation.image.is_empty() { &creation.id } else { &creation.image };
        let refusal = Verdict::refused(shown, None, reason, cause, remedy);
        if self.engine.is_dry_run(&self.workload(creation)) { refusal.in_dry_run() } else { refusal }
    }

    fn hindered(&self, creation: &Creation, hindrance: Hindrance) -> Verdict {
        self.refused(creation, hindrance.reason, &hindrance.cause, hindrance.remedy)
    }

    /// The pod, as far as it is known: its service account only from the node's own pods.
    fn workload(&self, creation: &Creation) -> Workload {
        let mut workload = self.engine.workload();
        let Some(pod) = &creation.pod else { return workload };
        workload.namespace = Some(pod.namespace.clone());
        workload.break_glass = pod.break_glass;
        workload.service_account = self.known(pod, &creation.name).map(|facts| facts.service_account.clone());
        if let (Some(domain), Some(account)) = (&self.settings.trust_domain, &workload.service_account) {
            workload.mesh_identity = crate::image::workload::mesh_identity(domain, &pod.namespace, account);
        }
        workload
    }
}

fn place(creation: &Creation) -> Place {
    let pod = creation.pod.clone().unwrap_or_default();
    Place {
        namespace: creation.namespace.clone(),
        id: creation.id.clone(),
        name: creation.name.clone(),
        pod_namespace: pod.namespace,
        pod: pod.name,
        pod_uid: pod.uid,
        handler: pod.handler,
    }
}
