//! What the create hook and the runtime wrapper ask on the gate socket.

use std::sync::Arc;
use std::time::Instant;

use super::{CreateGate, Creation, Judged};
use crate::audit::{Asked, Gate, Place};
use crate::daemon::engine::Occasion;
use crate::decision::{Reason, Verdict};
use crate::gate::message::Ask;

/// What the create hook says that it is called for; a runtime wrapper names its own command.
const HOOK: &str = "hook";

impl CreateGate {
    /// Answers a question of gate `create` with a verdict, and records it.
    pub(in crate::daemon) async fn answer(self: Arc<Self>, ask: &Ask, asked: &Asked) -> Verdict {
        let started = Instant::now();
        let Judged { verdict, place, .. } = match (&ask.container, &ask.problem) {
            (Some(container), None) => {
                let mut creation = Creation::by_hook(&self.settings.namespace, container);
                creation.hook_observes = ask.observes.filter(|_| container.command == HOOK);
                self.judge(creation).await
            }
            (container, problem) => {
                let cause = problem.as_deref().unwrap_or("it names no container");
                let creation = container.as_ref().map(|one| Creation::by_hook(&self.settings.namespace, one));
                self.broken(creation, cause)
            }
        };
        let occasion = Occasion::at(Gate::Create, asked, started.elapsed()).of(&place);
        let verdict = self.engine.answer(verdict, occasion).await;
        if verdict.allows() {
            self.passed.note(&place.namespace, &place.id);
        }
        verdict
    }

    fn broken(&self, creation: Option<Creation>, cause: &str) -> Judged {
        let remedy = "This is no question about a container that can be judged; see the log of the runtime";
        let cause = crate::text::shown(cause, 300);
        let image = creation.as_ref().map(|one| one.image.clone()).unwrap_or_default();
        let verdict = Verdict::refused(&image, None, Reason::BadRequest, &cause, remedy);
        match creation {
            Some(creation) => Judged::of(&creation, verdict),
            None => Judged { verdict, place: Place::default(), is_sandbox: false },
        }
    }
}
