//! A container as a gate sees it, before anything is known of its image.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::gate::message::AskedContainer;
use crate::image::Digest;
use crate::nri::api;
use crate::policy::break_glass::POD_LABEL;

/// Annotations by which containerd marks what comes out of a checkpoint.
const RESTORED: [&str; 3] = ["restored", "checkpointedAt", "checkpointImage"];
/// What CRI calls the image of a container, or the pod's author did (containerd 2.0 and later).
const IMAGE_NAME: &str = "io.kubernetes.cri.image-name";
const CONTAINER_NAME: &str = "io.kubernetes.cri.container-name";
/// Below containerd's state folder: where CRI mounts the images of image volumes, `SANDBOX/HEX`.
const IMAGE_VOLUMES: [&str; 2] = ["io.containerd.grpc.v1.cri", "image-volumes"];

/// Of NRI: less than the time that its runtime gives.
const NRI_PATIENCE: Duration = Duration::from_millis(900);
/// Of the gate socket: less than the time that its server gives.
const GATE_PATIENCE: Duration = Duration::from_secs(6);

/// Of that, for kubelet.
const POD_PATIENCE: Duration = Duration::from_secs(2);

/// How far a container has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::daemon) enum Stage {
    /// It is being made: containerd has its snapshot and no record of it yet.
    Create,
    /// It is about to start, and its record says which image config it was made from.
    Start,
    /// It runs. Its tag may have moved on since: then its name counts by the digest that containerd keeps
    /// beside the tag.
    Running,
}

/// A container that asks to be.
#[derive(Debug, Clone)]
pub(in crate::daemon) struct Creation {
    pub(super) stage: Stage,
    /// containerd's namespace.
    pub(super) namespace: String,
    pub(super) id: String,
    pub(super) pod: Option<PodOf>,
    /// Its name in the pod; empty where it has none.
    pub(super) name: String,
    /// The image as the gate heard of it: a hint until the record is there.
    pub(super) image: String,
    /// The config digest, where the runtime itself tells (containerd 2.4).
    pub(super) config: Option<Digest>,
    /// It comes out of a checkpoint.
    pub(super) restored: bool,
    /// What was read of it a moment ago, when NRI asked about its creation, will do.
    pub(super) may_be_remembered: bool,
    /// Whether the create hook that asks about it would let it through without an answer, where it says so.
    pub(super) hook_observes: Option<bool>,
    /// When containerd made its record, where that has been read.
    pub(super) recorded: Option<SystemTime>,
    /// How long may be spent on finding out what it runs.
    pub(super) patience: Duration,
    /// How long of that may be waited for kubelet's word about its pod, if at all.
    pub(super) pod_patience: Option<Duration>,
    pub(super) reach: Reach,
}

/// The pod it is to run in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::daemon) struct PodOf {
    pub(super) sandbox: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// Runtime handler; empty for the default one.
    pub(super) handler: String,
    /// Its label asks for break-glass.
    pub(super) break_glass: bool,
    /// kubelet has it from a file or an address of its own, not from the API server.
    pub(super) is_static: bool,
}

/// Where kubelet has a pod from, by its own annotation.
const CONFIG_SOURCE: &str = "kubernetes.io/config.source";

/// Whether these annotations of a sandbox are a static pod's.
pub(super) fn is_static(mut annotation: impl FnMut(&str) -> Option<String>) -> bool {
    annotation(CONFIG_SOURCE).is_some_and(|source| source != "api")
}

/// Whether these labels of a sandbox ask for break-glass: by that label and by that value alone.
pub(super) fn asks_for_break_glass(mut label: impl FnMut(&str) -> Option<String>) -> bool {
    let (key, value) = POD_LABEL;
    label(key).is_some_and(|found| found == value)
}

/// A path of the host, and whether it is mounted read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::daemon) struct Bind {
    pub(super) path: String,
    pub(super) is_readonly: bool,
}

/// What of the host it reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Reach {
    /// Host paths of its bind mounts.
    pub(super) sources: Vec<Bind>,
    /// With what they lead to, by who has followed them in the node's own view.
    pub(super) is_resolved: bool,
    pub(super) privileged: bool,
    pub(super) host_pid: bool,
}

impl Creation {
    /// As NRI tells of a container that is being made.
    pub(super) fn by_nri(
        stage: Stage,
        namespace: &str,
        pod: &api::PodSandbox,
        container: &api::Container,
    ) -> Self {
        let annotation = |key: &str| container.annotations.get(key).cloned().unwrap_or_default();
        let image = container.image.as_ref();
        Self {
            stage,
            namespace: namespace.to_owned(),
            id: container.id.clone(),
            pod: Some(PodOf::from(pod)),
            name: Some(container.name.clone())
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| annotation(CONTAINER_NAME)),
            image: annotation(IMAGE_NAME),
            may_be_remembered: false,
            hook_observes: None,
            recorded: None,
            config: image.and_then(|image| image.config_digest.parse().ok()),
            patience: NRI_PATIENCE,
            pod_patience: None,
            restored: RESTORED.iter().any(|mark| container.annotations.contains_key(*mark)),
            reach: Reach {
                sources: sources(&container.mounts).collect(),
                is_resolved: false,
                privileged: false,
                host_pid: shares_host_pid(pod, container),
            },
        }
    }

    /// As the hook or the runtime wrapper tells of one.
    pub(super) fn by_hook(namespace: &str, asked: &AskedContainer) -> Self {
        let annotations: &BTreeMap<String, String> = &asked.annotations;
        let annotation = |key: &str| annotations.get(key).cloned().unwrap_or_default();
        Self {
            stage: Stage::Start,
            namespace: asked.namespace.clone().unwrap_or_else(|| namespace.to_owned()),
            id: asked.id.clone(),
            pod: None,
            name: annotation(CONTAINER_NAME),
            image: annotation(IMAGE_NAME),
            config: None,
            may_be_remembered: true,
            hook_observes: None,
            recorded: None,
            patience: GATE_PATIENCE,
            pod_patience: Some(POD_PATIENCE),
            restored: asked.command == "restore"
                || RESTORED.iter().any(|mark| annotations.contains_key(*mark)),
            reach: Reach {
                sources: told(asked),
                is_resolved: true,
                privileged: asked.privileged,
                host_pid: asked.host_pid,
            },
        }
    }

    /// The pause container of a pod.
    pub(super) fn of_sandbox(namespace: &str, pod: PodOf, reach: Reach) -> Self {
        let id = pod.sandbox.clone();
        Self { pod: Some(pod), reach, ..Self::started(namespace, &id) }
    }

    /// A container of which nothing is known but that it starts.
    pub(super) fn started(namespace: &str, id: &str) -> Self {
        Self {
            stage: Stage::Start,
            namespace: namespace.to_owned(),
            id: id.to_owned(),
            pod: None,
            name: String::new(),
            image: String::new(),
            config: None,
            may_be_remembered: false,
            hook_observes: None,
            recorded: None,
            patience: NRI_PATIENCE,
            pod_patience: None,
            restored: false,
            reach: Reach::default(),
        }
    }

    /// One that runs.
    pub(super) fn running(namespace: &str, id: &str) -> Self {
        Self { stage: Stage::Running, ..Self::started(namespace, id) }
    }

    /// Whether it is the pause container of its pod.
    pub(super) fn is_sandbox(&self) -> bool {
        self.pod.as_ref().is_some_and(|pod| pod.sandbox == self.id)
    }

    /// The images whose files it mounts, by their targets; and what lies there that is no digest. Wherever
    /// containerd's state folder is: a configuration that has it wrong must not hide a volume.
    pub(super) fn image_volumes(&self) -> Vec<Result<Digest, String>> {
        let mut volumes: Vec<_> = self
            .reach
            .sources
            .iter()
            .filter_map(|source| below_image_volumes(&source.path))
            .map(|below| {
                let hex = below.get(1).copied().unwrap_or_default();
                format!("sha256:{hex}").parse().map_err(|_| below.join("/"))
            })
            .collect();
        volumes.sort();
        volumes.dedup();
        volumes
    }
}

impl From<&api::PodSandbox> for PodOf {
    fn from(pod: &api::PodSandbox) -> Self {
        Self {
            sandbox: pod.id.clone(),
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            handler: pod.runtime_handler.clone(),
            break_glass: asks_for_break_glass(|key| pod.labels.get(key).cloned()),
            is_static: is_static(|key| pod.annotations.get(key).cloned()),
        }
    }
}

/// The parts of a path below the folder of image volumes; none where it does not lie there.
fn below_image_volumes(source: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = source.split('/').filter(|part| !part.is_empty()).collect();
    let at = parts.windows(2).position(|two| two == IMAGE_VOLUMES)?;
    parts.get(at + 2..).map(<[_]>::to_vec)
}

/// The host paths that the hook or the runtime wrapper tells of.
fn told(asked: &AskedContainer) -> Vec<Bind> {
    let of = |(place, path): (usize, &String)| Bind {
        path: path.clone(),
        is_readonly: asked.read_only.contains(&place),
    };
    asked.sources.iter().enumerate().map(of).collect()
}

/// The host paths of mounts that have one.
pub(super) fn sources(mounts: &[api::Mount]) -> impl Iterator<Item = Bind> {
    let has = |mount: &api::Mount, of: [&str; 2]| mount.options.iter().any(|option| of.contains(&&**option));
    let binds = move |mount: &&api::Mount| mount.r#type == "bind" || has(mount, ["bind", "rbind"]);
    let of_host = mounts.iter().filter(binds).filter(|mount| mount.source.starts_with('/'));
    of_host.map(move |mount| Bind {
        path: mount.source.clone(),
        is_readonly: has(mount, ["ro", "rro"]) && !has(mount, ["rw", "rrw"]),
    })
}

/// It is given no PID namespace, or joins that of its pod, which has none. A runtime that tells of no
/// namespaces at all says nothing about it.
fn shares_host_pid(pod: &api::PodSandbox, container: &api::Container) -> bool {
    let of_container = container.linux.as_ref().map(|linux| linux.namespaces.as_slice());
    let of_pod = pod.linux.as_ref().map(|linux| linux.namespaces.as_slice());
    match (of_container.and_then(pid_namespace), of_pod.and_then(pid_namespace)) {
        (Some(None), _) => true,
        (Some(Some(own)), Some(None)) => !own.path.is_empty(),
        _ => false,
    }
}

/// Of a list of namespaces that is not empty, the one of process ids.
fn pid_namespace(all: &[api::LinuxNamespace]) -> Option<Option<&api::LinuxNamespace>> {
    (!all.is_empty()).then(|| all.iter().find(|namespace| namespace.r#type == "pid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, source: &str, option: &str) -> api::Mount {
        api::Mount {
            r#type: kind.into(),
            source: source.into(),
            options: vec![option.into()],
            ..api::Mount::default()
        }
    }

    fn container() -> api::Container {
        let annotations = [(IMAGE_NAME, "r.io/app:1"), (CONTAINER_NAME, "main")];
        api::Container {
            id: "c1".into(),
            annotations: annotations.map(|(key, value)| (key.into(), value.into())).into(),
            mounts: vec![
                mount("bind", "/srv", "ro"),
                mount("none", "/opt", "rbind"),
                mount("proc", "proc", "nosuid"),
                mount("bind", "relative", "ro"),
            ],
            ..api::Container::default()
        }
    }

    fn by_nri(container: &api::Container) -> Creation {
        Creation::by_nri(Stage::Create, "k8s.io", &api::PodSandbox::default(), container)
    }

    #[test]
    fn what_nri_tells() {
        let creation = by_nri(&container());
        assert_eq!((creation.name.as_str(), creation.image.as_str()), ("main", "r.io/app:1"));
        let sources = [("/srv", true), ("/opt", false)]
            .map(|(path, is_readonly)| Bind { path: path.to_owned(), is_readonly });
        assert_eq!(creation.reach.sources, sources);
        assert!(!creation.restored && !creation.reach.host_pid && creation.config.is_none());
        for mark in RESTORED {
            let mut restored = container();
            restored.annotations.insert(mark.into(), String::new());
            assert!(by_nri(&restored).restored, "{mark}");
        }
    }

    #[test]
    fn the_pid_namespace_of_the_host() {
        let with = |kinds: &[&str]| {
            let namespace =
                |kind: &&str| api::LinuxNamespace { r#type: (*kind).into(), ..Default::default() };
            let linux = api::LinuxContainer {
                namespaces: kinds.iter().map(namespace).collect(),
                ..Default::default()
            };
            by_nri(&api::Container { linux: Some(linux), ..container() }).reach.host_pid
        };
        assert_eq!([with(&["ipc", "pid"]), with(&["ipc"]), with(&[])], [false, true, false]);
    }

    #[test]
    fn images_that_are_mounted() {
        let hex = "ab".repeat(32);
        let folder = format!("/run/c/{}", IMAGE_VOLUMES.join("/"));
        let rows = [
            (format!("{folder}/sandbox/{hex}"), Some(Ok(format!("sha256:{hex}")))),
            (format!("{folder}/sandbox/{hex}/sub/path"), Some(Ok(format!("sha256:{hex}")))),
            (format!("{folder}/sandbox"), Some(Err("sandbox"))),
            (folder.clone(), Some(Err(""))),
            (format!("{folder}/sandbox/latest"), Some(Err("sandbox/latest"))),
            (format!("/elsewhere{folder}//sandbox/{hex}"), Some(Ok(format!("sha256:{hex}")))),
            ("/run/c/other".to_owned(), None),
            (format!("/run/c/image-volumes/sandbox/{hex}"), None),
        ];
        for (source, expected) in rows {
            let mut creation = by_nri(&container());
            creation.reach.sources = vec![Bind { path: source.clone(), is_readonly: true }];
            let found: Vec<_> = creation.image_volumes();
            let found = found.into_iter().next().map(|found| found.map(|digest| digest.to_string()));
            assert_eq!(found, expected.map(|one| one.map_err(str::to_owned)), "{source}");
        }
    }

    #[test]
    fn what_a_hook_tells() {
        let asked = AskedContainer { id: "c1".into(), command: "restore".into(), ..Default::default() };
        let creation = Creation::by_hook("k8s.io", &asked);
        assert_eq!((creation.namespace.as_str(), creation.stage), ("k8s.io", Stage::Start));
        assert!(creation.restored && creation.pod.is_none());
        let elsewhere = AskedContainer { namespace: Some("default".into()), ..AskedContainer::default() };
        assert_eq!(Creation::by_hook("k8s.io", &elsewhere).namespace, "default");
    }

    #[test]
    fn pods_that_ask_for_break_glass() {
        let by = |value: Option<&str>| {
            asks_for_break_glass(|key| {
                value.filter(|_| key == "image-policy.k8s.io/break-glass").map(str::to_owned)
            })
        };
        let rows = [
            (Some("true"), true),
            (Some("True"), false),
            (Some("1"), false),
            (Some(""), false),
            (None, false),
        ];
        for (value, asks) in rows {
            assert_eq!(by(value), asks, "{value:?}");
        }
        let pod = |key: &str| {
            let labels = [(key.to_owned(), "true".to_owned())].into();
            PodOf::from(&api::PodSandbox { labels, ..api::PodSandbox::default() }).break_glass
        };
        assert!(pod("image-policy.k8s.io/break-glass") && !pod("alpha.image-policy.k8s.io/break-glass"));
        // As an annotation it asks for nothing.
        let annotations = [(POD_LABEL.0.to_owned(), POD_LABEL.1.to_owned())].into();
        assert!(!PodOf::from(&api::PodSandbox { annotations, ..api::PodSandbox::default() }).break_glass);
    }

    #[test]
    fn static_pods() {
        let by = |source: Option<&str>| {
            is_static(|key| source.filter(|_| key == CONFIG_SOURCE).map(str::to_owned))
        };
        assert_eq!(
            [by(Some("file")), by(Some("http")), by(Some("api")), by(None)],
            [true, true, false, false]
        );
    }
}
