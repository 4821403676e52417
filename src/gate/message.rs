//! The bodies of version 1: what a gate asks and what the daemon answers.
//!
//! Plain strings: a gate forwards what it was given, the daemon judges it. Members may be added within
//! the version; a reader ignores those it does not know.

use serde::{Deserialize, Serialize};

/// A question of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ask {
    /// Which gate: `pull`.
    pub gate: String,
    /// Program and version, `binauthd-image-verifier/0.1.0`.
    pub program: String,
    /// The name the program was executed by, `00-binauthd`.
    pub entry: String,
    /// What containerd wants to pull.
    pub image: AskedImage,
    /// How the gate's caller broke its contract, if it did. Such a question is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
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

/// What the daemon says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// What happens to the image.
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

/// What happens to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It may be fetched and run.
    Allow,
    /// It may not be fetched.
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
