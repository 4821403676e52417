//! Whether the gates are wired, as far as the daemon sees from where it sits. A canary can prove it; this only
//! says that nothing visible is against it.

use super::create::CreateGate;
use crate::containerd::ProbeStatus;

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
    pub(super) hindrance: Option<&'static str>,
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
        let (hold, observe) = (create.handlers.hold(), create.handlers.observe());
        let create = match (hold, observe) {
            (false, _) => Some("a runtime handler carries no create hook"),
            (true, true) => Some("a create hook observes: no answer allows"),
            (true, false) => None,
        };
        Self {
            pull: Wired { hindrance: pull, observes: pulls_are_observed },
            create: Wired { hindrance: create, observes: observe },
        }
    }

    /// Both, by their gates' names.
    pub(super) fn gates(&self) -> [(&'static str, &Wired); 2] {
        [("pull", &self.pull), ("create", &self.create)]
    }
}
