//! Whether the gates are wired, as far as the daemon sees from where it sits. A canary can prove it; this only
//! says that nothing visible is against it.

use super::create::CreateGate;
use super::engine::Engine;
use crate::containerd::ProbeStatus;
use crate::kubelet::Standing;
use crate::policy::EvaluationMode;

/// How each gate is wired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wiring {
    pub(super) pull: Wired,
    pub(super) create: Wired,
}

/// How one gate is wired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wired {
    /// Why a refusal, or no answer, would not refuse; none where it would.
    pub(super) hindrance: Option<String>,
    /// It asks, and no answer allows.
    pub(super) observes: bool,
}

impl Wiring {
    /// As containerd tells, and as the gates' programs say of themselves.
    pub(super) fn of(probe: &ProbeStatus, pulls_are_observed: bool, create: &CreateGate) -> Self {
        let pull = match probe {
            ProbeStatus { version: None, .. } => Some("containerd does not answer"),
            ProbeStatus { verifier_plugin: false, .. } => Some("containerd has no image-verifier plugin"),
            _ => pulls_are_observed.then_some("pulls are observed: no answer allows"),
        };
        let handlers = &create.handlers;
        Self {
            pull: Wired { hindrance: pull.map(str::to_owned), observes: pulls_are_observed },
            create: Wired { hindrance: handlers.hindrance(), observes: handlers.observe() },
        }
    }

    /// Both, by their gates' names.
    pub(super) fn gates(&self) -> [(&'static str, &Wired); 2] {
        [("pull", &self.pull), ("create", &self.create)]
    }
}

impl Wiring {
    /// Whether this node enforces. The create gate says so, as all that is to run passes it; that pulls are judged
    /// too comes on top. A node whose policy refuses nothing does not.
    pub(super) fn standing(&self, is_known: bool, engine: &Engine) -> Standing {
        let of = |enforces, reason, message: &str| Standing { enforces, reason, message: message.to_owned() };
        let in_force = engine.in_force();
        let policy = in_force.state.rulebook().map(|rulebook| rulebook.policy.as_deref());
        let allows_all = policy
            .flatten()
            .is_some_and(|policy| policy.default_rule().evaluation == EvaluationMode::AlwaysAllow);
        if !is_known {
            return of(None, "ContainerdUnreachable", "containerd does not tell how it is wired");
        }
        match (&self.create.hindrance, &self.pull.hindrance) {
            (Some(hindrance), _) => of(Some(false), "NotWired", hindrance),
            _ if policy.is_none() => of(Some(true), "NoPolicy", "there is no policy: everything is refused"),
            _ if engine.enforces_nothing() => {
                of(Some(false), "DryRun", "no rule of the policy refuses anything")
            }
            _ if allows_all => {
                of(Some(false), "AlwaysAllow", "the default rule of the policy allows every image")
            }
            (None, Some(hindrance)) => of(
                Some(true),
                "Enforcing",
                &format!("containers are judged when they are created; {hindrance}"),
            ),
            (None, None) => of(Some(true), "Enforcing", "pulls and creations are judged"),
        }
    }
}
