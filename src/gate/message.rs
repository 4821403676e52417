//! The bodies of version 1: what a gate asks and what the daemon answers.
//!
//! Plain strings: a gate forwards what it was given, the daemon judges it. Members may be added within
//! the version; a reader ignores those it does not know.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A question of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ask {
    /// Which gate: `pull` or `create`.
    pub gate: String,
    /// Program and version, `binauthd-image-verifier/0.1.0`.
    pub program: String,
    /// The name the program was executed by, `00-binauthd`.
    pub entry: String,
    /// What containerd wants to pull; empty at the gate `create`. Written even then: a daemon that does not
    /// know that gate reads the question and refuses the gate by name.
    #[serde(default)]
    pub image: AskedImage,
    /// What is about to be created, at the gate `create`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<AskedContainer>,
    /// Whether no answer would allow, as the gate that asks is wired; none of one that does not tell: the verifier tells by
    /// `entry`, and so did hooks before there was this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observes: Option<bool>,
    /// How the gate's caller broke its contract, if it did. Such a question is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Ask {
    /// A question of the gate `create`.
    #[must_use]
    pub fn about_container(
        program: &str,
        entry: String,
        container: AskedContainer,
        observes: bool,
        problem: Option<String>,
    ) -> Self {
        Self {
            gate: "create".to_owned(),
            program: program.to_owned(),
            entry,
            image: AskedImage::default(),
            container: Some(container),
            observes: Some(observes),
            problem,
        }
    }
}

/// The image of an [`Ask`], raw as it was given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AskedImage {
    /// The reference, at most 1024 bytes; empty when none was given.
    pub name: String,
    /// Every digest given, in order; exactly one in a question without a problem.
    pub digests: Vec<String>,
    /// What the caller says its standard input holds.
    #[serde(default)]
    pub stdin_media_type: Option<String>,
    /// The descriptor from standard input, if it came: advice of a registry, never trusted.
    #[serde(default)]
    pub descriptor: Option<serde_json::Value>,
}

/// The container of an [`Ask`], as its bundle and its final `config.json` describe it. What a question without
/// a problem says here is whole: nothing was left out to make it fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AskedContainer {
    /// Its id, by the runtime's caller.
    pub id: String,
    /// containerd's namespace, from the path of the bundle, `…/io.containerd.runtime.v2.task/NAMESPACE/ID`;
    /// none where the bundle is not containerd's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The bundle's folder, absolute, without symbolic links where it could be read.
    pub bundle: String,
    /// `root.path` of the specification, absolute.
    pub rootfs: String,
    /// The annotations that begin with `io.kubernetes.cri.`, and `restored`, `checkpointedAt` and
    /// `checkpointImage`. Others of the pod's may be among them: its author's word.
    pub annotations: BTreeMap<String, String>,
    /// The host's paths that bind mounts reach, as written and as they resolve, each once, sorted. A relative
    /// one is joined to the bundle, as the runtime joins it. May hold `..` and symbolic links.
    pub sources: Vec<String>,
    /// Which of `sources`, by their places there, are mounted read-only wherever they are mounted. None by a gate that
    /// does not tell: then each counts as one that can be written.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub read_only: BTreeSet<usize>,
    /// Whether it may reach the host by what it is allowed, by the marks of [`super::container`].
    pub privileged: bool,
    /// Whether it sees the host's processes: it has no PID namespace, or the host's.
    pub host_pid: bool,
    /// Whether it has a user namespace that is not the host's.
    pub user_namespace: bool,
    /// `create`, `run` or `restore` of a runtime wrapper; `hook` of the hook.
    pub command: String,
}

/// What the daemon says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// What happens to the image or container.
    pub decision: Decision,
    /// A stable code.
    pub reason: String,
    /// One line for people.
    pub message: String,
}

impl Answer {
    /// Whether this says that nothing was judged, for one of the [`reason`]s below, rather than how.
    #[must_use]
    pub fn is_unjudged(&self) -> bool {
        self.decision == Decision::Refuse && reason::UNJUDGED.contains(&self.reason.as_str())
    }
}

/// What happens to the image or container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It may be fetched and run, or created.
    Allow,
    /// It may not.
    Refuse,
    /// It may be fetched; whether it may run is judged when a container is created.
    Defer,
}

/// The body of an Unsupported frame, the same in every version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unsupported {
    /// The versions that the sender speaks.
    pub supported: Vec<u16>,
    /// One line for people.
    #[serde(default)]
    pub message: String,
}

/// The reason codes of the server itself: the question never reached the judge.
pub mod reason {
    /// Too many connections, in all or from one process.
    pub const BUSY: &str = "BUSY";
    /// The peer may not ask here.
    pub const PEER_REFUSED: &str = "PEER_REFUSED";
    /// The request is not a message of this protocol.
    pub const MALFORMED: &str = "MALFORMED";
    /// The request did not arrive, or was not answered, in time.
    pub const TIMED_OUT: &str = "TIMED_OUT";
    /// The daemon failed at the question.
    pub const INTERNAL: &str = "INTERNAL";

    /// All of them.
    pub const UNJUDGED: [&str; 5] = [BUSY, PEER_REFUSED, MALFORMED, TIMED_OUT, INTERNAL];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_one_looks_like_this() {
        let ask = r#"{"gate":"pull","program":"p/1","entry":"00-binauthd","image":{"name":"a","digests":["d"],"stdinMediaType":"m","descriptor":{"size":1}},"problem":"x"}"#;
        let parsed: Ask = serde_json::from_str(ask).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), ask);
        let answer = r#"{"decision":"defer","reason":"R","message":"m"}"#;
        let parsed: Answer = serde_json::from_str(answer).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), answer);
        assert_eq!(parsed.decision, Decision::Defer);
    }

    #[test]
    fn the_create_gate_looks_like_this() {
        let ask = r#"{"gate":"create","program":"p/1","entry":"e","image":{"name":"","digests":[],"stdinMediaType":null,"descriptor":null},"container":{"id":"c","namespace":"k8s.io","bundle":"/b","rootfs":"/b/rootfs","annotations":{"restored":"true"},"sources":["/a"],"privileged":true,"hostPid":true,"userNamespace":false,"command":"hook"}}"#;
        let parsed: Ask = serde_json::from_str(ask).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), ask);
        // Which gates of 0.1 write without `observes`, and those after them with it.
        assert_eq!(parsed.observes, None);
        let wired = Ask { observes: Some(true), ..parsed.clone() };
        let text = serde_json::to_string(&wired).unwrap();
        assert_eq!(text, ask.replace("\"command\":\"hook\"}", "\"command\":\"hook\"},\"observes\":true"));
        assert_eq!(serde_json::from_str::<Ask>(&text).unwrap(), wired);
        let container = parsed.container.unwrap();
        assert!(container.privileged && container.host_pid && container.sources == ["/a"]);
        // Members may be absent, and new ones may come.
        let other = r#"{"gate":"create","program":"p","entry":"e","container":{"id":"c","seccomp":true}}"#;
        let parsed: Ask = serde_json::from_str(other).unwrap();
        let expected = AskedContainer { id: "c".into(), ..AskedContainer::default() };
        assert_eq!((parsed.image, parsed.container), (AskedImage::default(), Some(expected)));
    }

    #[test]
    fn additions_within_the_version_are_compatible() {
        let newer = r#"{"gate":"pull","program":"p","entry":"e","pod":{"uid":"1"},"image":{"name":"a","digests":[],"platform":"x"}}"#;
        let ask: Ask = serde_json::from_str(newer).unwrap();
        assert_eq!((ask.problem, ask.image.descriptor, ask.image.stdin_media_type), (None, None, None));
        let newer = r#"{"decision":"allow","reason":"R","message":"m","rule":"default"}"#;
        assert_eq!(serde_json::from_str::<Answer>(newer).unwrap().decision, Decision::Allow);
        let unknown = r#"{"decision":"ponder","reason":"R","message":"m"}"#;
        let error = serde_json::from_str::<Answer>(unknown).unwrap_err().to_string();
        assert!(error.contains("unknown variant `ponder`"), "{error}");
    }
}
