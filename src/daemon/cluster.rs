//! What the cluster is told of this node: refusals as events of their pods, and whether it enforces. Both go out behind
//! what is decided, and never hold it up.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::engine::Occasion;
use super::status::Inputs;
use crate::audit::Gate;
use crate::config::EventsConfig;
use crate::decision::{Decision, Reason, Verdict};
use crate::kubelet::{Condition, ConditionStatus, Events, EventsStatus, KubeletError, Told};
use crate::text::{cut, shown};

/// The longest message of an event, in bytes, without its reason code: the API takes 1,024 in all.
const MAX_MESSAGE: usize = 960;

/// The events of pods.
#[derive(Debug)]
pub(super) struct PodEvents {
    events: Events,
    /// What only dry run lets through is told, too.
    dry_run: bool,
}

/// What the cluster is told, as far as the configuration wants it.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    events: Option<Events>,
    condition: std::sync::OnceLock<Condition>,
}

/// How telling goes.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) events: Option<EventsStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node_condition: Option<ConditionStatus>,
}

impl PodEvents {
    /// Tells of a refusal at creation; of a pull no pod is known, and what runs is not refused.
    pub(super) fn tell(&self, verdict: &Verdict, occasion: &Occasion<'_>) {
        let Some(place) = occasion.container.filter(|_| matches!(occasion.gate, Gate::Pod | Gate::Create))
        else {
            return;
        };
        let Some(reason) = self.reason(verdict) else { return };
        if verdict.reason == Reason::Canary {
            // There is no such pod.
            return;
        }
        let code = verdict.reason.code();
        // In which list of its pod it stands is not always known: the message names it, not a field path.
        let container = match place.name.as_str() {
            "" => String::new(),
            name => format!("Container {}: ", shown(name, 63)),
        };
        self.events.tell(Told {
            namespace: place.pod_namespace.clone(),
            pod: place.pod.clone(),
            uid: place.pod_uid.clone(),
            container: place.name.clone(),
            reason,
            code,
            message: format!("{} ({code})", cut(&(container + &verdict.line()), MAX_MESSAGE)),
            at: SystemTime::now(),
        });
    }

    /// That of the event, for what is told.
    fn reason(&self, verdict: &Verdict) -> Option<&'static str> {
        match verdict.verdict {
            Decision::Deny => Some("BinauthdDenied"),
            Decision::CannotDecide => Some("BinauthdUndecided"),
            Decision::Allow if verdict.break_glass.is_some() => Some("BinauthdBreakGlass"),
            Decision::Allow => {
                let is_dry = verdict.would != Decision::Allow && verdict.reason != Reason::Unanswered;
                (self.dry_run && is_dry).then_some("BinauthdDryRun")
            }
        }
    }
}

impl Cluster {
    /// Begins with the events, as `config` says. Must be called within a tokio runtime.
    pub(super) fn new(config: Option<&EventsConfig>) -> Result<(Self, Option<PodEvents>), KubeletError> {
        let Some(config) = config.filter(|config| config.pods) else { return Ok((Self::default(), None)) };
        let events = Events::start(config.kubeconfig.clone(), config.node_name.clone())?;
        let pods = PodEvents { events: events.clone(), dry_run: config.dry_run };
        Ok((Self { events: Some(events), ..Self::default() }, Some(pods)))
    }

    /// Begins with the condition, where `inputs` want it.
    pub(super) fn follow(inputs: &Arc<Inputs>) -> Result<(), KubeletError> {
        let Some(config) = inputs.config.events.as_ref().filter(|config| config.node_condition) else {
            return Ok(());
        };
        let seen = Arc::clone(inputs);
        let condition =
            Condition::start(config.kubeconfig.clone(), config.node_name.clone(), move || seen.standing())?;
        // There is one in the life of a daemon.
        let _ = inputs.cluster.condition.set(condition);
        Ok(())
    }

    pub(super) fn status(&self) -> ClusterStatus {
        ClusterStatus {
            events: self.events.as_ref().map(Events::status),
            node_condition: self.condition.get().map(Condition::status),
        }
    }
}
