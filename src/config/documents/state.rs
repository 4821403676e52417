//! What decides trust at one moment, or why nothing does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::attestation::KeyRing;
use crate::decision::Reason;
use crate::policy::Rulebook;

/// What decides trust, at one moment.
#[derive(Debug, Clone)]
pub struct InForce {
    /// What is obeyed, or why nothing is.
    pub state: State,
    /// Every attestor.
    pub key_ring: KeyRing,
    /// Those that a decision could ask: what is filed under the notes of others costs it nothing.
    pub asked: Arc<KeyRing>,
    /// The version of the policy bundle that they come from, where they come from one.
    pub bundle: Option<u64>,
    /// The time for which this was put together.
    pub at: SystemTime,
    /// The next time after that at which something in it begins or ends.
    pub due: Option<SystemTime>,
}

/// What is obeyed, or why nothing is.
#[derive(Debug, Clone)]
pub enum State {
    /// This is obeyed.
    Obeyed(Arc<Rulebook>),
    /// A file that must be there is not.
    Missing {
        /// What it would be, such as `policy`.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
    /// A file cannot be obeyed, and no version of it could be before.
    Unreadable {
        /// What it should be, such as `deny list`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// Policy bundles are obeyed here, and none was ever accepted.
    NoBundle {
        /// Where they come from.
        from: String,
        /// What was wrong the last time, if anything.
        problem: Option<String>,
    },
    /// The bundle that was accepted last no longer counts.
    BundleRefused {
        /// Its version.
        version: u64,
        /// Why not.
        problem: String,
    },
    /// What this node accepted before cannot be read any more.
    TrustLost {
        /// The folder it is kept in.
        folder: PathBuf,
    },
}

/// Why nothing is obeyed, as a verdict tells it.
#[derive(Debug, Clone)]
pub struct Hindrance {
    /// The stable code.
    pub reason: Reason,
    /// What is wrong, as the beginning of a sentence.
    pub cause: String,
    /// What to do about it, as a sentence.
    pub remedy: String,
}

impl State {
    /// What is obeyed, if anything is.
    #[must_use]
    pub fn rulebook(&self) -> Option<&Rulebook> {
        match self {
            Self::Obeyed(rulebook) => Some(rulebook),
            _ => None,
        }
    }

    /// Why nothing is obeyed; `None` where something is.
    #[must_use]
    pub fn hindrance(&self) -> Option<Hindrance> {
        let (reason, cause, remedy) = match self {
            Self::Obeyed(_) => return None,
            Self::Missing { what, path } => (
                Reason::PolicyMissing,
                format!("this node has no {what}: `{}` does not exist", path.display()),
                format!("Put a {what} there; `binauthctl policy check` says whether one is valid"),
            ),
            Self::Unreadable { what, path, problem } => (
                Reason::PolicyUnreadable,
                format!("the {what} of this node, `{}`, cannot be obeyed: {problem}", path.display()),
                format!("Mend the {what}; `binauthctl status` on the node says when it is obeyed"),
            ),
            Self::NoBundle { from, problem } => (
                Reason::PolicyMissing,
                match problem {
                    Some(problem) => format!("no policy bundle has been accepted from `{from}`: {problem}"),
                    None => format!("no policy bundle has been accepted from `{from}`: there was none"),
                },
                "Put one there that `binauthctl policy sign` has made".to_owned(),
            ),
            Self::BundleRefused { version, problem } => (
                Reason::PolicyUnreadable,
                format!(
                    "the policy bundle of this node, version {version}, cannot be obeyed any more: {problem}"
                ),
                "Sign it again under a key that this node has in `bundle_keys`, with a higher version"
                    .to_owned(),
            ),
            Self::TrustLost { folder } => (
                Reason::TrustLost,
                format!(
                    "no copy of what this node has accepted before, in `{}`, can be read",
                    folder.display()
                ),
                "Run `binauthctl trust reset` on the node, which forgets it and begins anew".to_owned(),
            ),
        };
        Some(Hindrance { reason, cause, remedy })
    }
}
