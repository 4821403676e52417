//! Answers on the admin socket.

mod cache;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::engine::Engine;
use super::status::Inputs;
use crate::config::trust::Forget;
use crate::decision::Subject;
use crate::evidence::Asker;
use crate::gate::admin::{self, AdminAnswer, AdminAsk, AskedPod, CacheAsk, MAX_BODY};
use crate::gate::message::reason::PEER_REFUSED;
use crate::gate::server::{Limits, Peer, Refusal as _, root_only};
use crate::image::{Reference, Workload};
use crate::policy::Serial;

/// Operators are few and their answers large.
pub(super) const LIMITS: Limits = Limits {
    connections: 64,
    per_process: 16,
    max_body: MAX_BODY,
    grace: Duration::from_secs(1),
    ..Limits::GATE
};

/// How many questions are worked on at a time: the threads they take are those that gates need, and who
/// has gone leaves its question behind.
const DESKS: usize = 2;

/// How long that is waited for: less than the socket gives.
const PATIENCE: Duration = Duration::from_secs(5);

type Answering = Pin<Box<dyn Future<Output = AdminAnswer> + Send>>;

pub(super) fn handler(inputs: Arc<Inputs>) -> impl Fn(Peer, AdminAsk) -> Answering + Send + Sync + 'static {
    let desks = Arc::new(Semaphore::new(DESKS));
    move |peer, ask| {
        let (inputs, desks) = (Arc::clone(&inputs), Arc::clone(&desks));
        Box::pin(async move {
            if let (true, Err(problem)) = (ask.changes(), root_only(&peer)) {
                return AdminAnswer::refusal(PEER_REFUSED, problem);
            }
            if let AdminAsk::Cache(CacheAsk::Refresh { digest: Some(digest) }) = &ask {
                return cache::look_up(&inputs.engine, digest).await;
            }
            if let AdminAsk::Evaluate { image, pod, .. } = &ask {
                look_up(&inputs.engine, image, pod).await;
            }
            let Ok(desk) = desks.acquire_owned().await else {
                return AdminAnswer::refusal("INTERNAL", "binauthd is stopping".to_owned());
            };
            super::off_the_runtime(move || {
                let answer = answer(&inputs, &ask);
                let is_done = !matches!(answer, AdminAnswer::Error { .. });
                match &ask {
                    _ if !is_done => {}
                    AdminAsk::TrustReset { forget } => {
                        inputs.engine.tell_done("trust", format!("reset: {forget:?}"), &peer);
                    }
                    AdminAsk::Revoke { serials } => {
                        let name = format!("revoke: {}", serials.join(", "));
                        inputs.engine.tell_done("break_glass", name, &peer);
                    }
                    AdminAsk::Cache(CacheAsk::Drop { digest }) => {
                        let name = digest.clone().unwrap_or_else(|| "everything".to_owned());
                        inputs.engine.tell_done("cache", format!("drop: {name}"), &peer);
                    }
                    AdminAsk::Cache(ask @ CacheAsk::AcceptDeletions { .. }) => {
                        inputs.engine.tell_done("cache", format!("{ask:?}"), &peer);
                    }
                    _ => {}
                }
                // Held until here, also for who no longer waits.
                drop(desk);
                answer
            })
            .await
        })
    }
}

fn answer(inputs: &Inputs, ask: &AdminAsk) -> AdminAnswer {
    let internal = |error: serde_json::Error| AdminAnswer::refusal("INTERNAL", error.to_string());
    match ask {
        AdminAsk::Status => serde_json::to_value(inputs.status()).map_or_else(internal, AdminAnswer::Status),
        AdminAsk::Trust => {
            let report = inputs.engine.documents().trust_report();
            serde_json::to_value(report).map_or_else(internal, AdminAnswer::Trust)
        }
        AdminAsk::TrustReset { forget } => reset(inputs, *forget),
        AdminAsk::Evaluate { image, pod, explain } => {
            let engine = &inputs.engine;
            let subject = match Subject::named(image) {
                Ok(subject) => subject.in_workload(workload(engine, pod)),
                Err(error) => return AdminAnswer::refusal("BAD_REQUEST", error.to_string()),
            };
            let value = if *explain {
                serde_json::to_value(engine.explain(&subject))
            } else {
                serde_json::to_value(engine.decide(&subject))
            };
            value.map_or_else(internal, AdminAnswer::Verdict)
        }
        AdminAsk::PolicyBundle => AdminAnswer::PolicyBundle(inputs.engine.documents().kept_bundle()),
        AdminAsk::Revoke { serials } => revoke(&inputs.engine, serials),
        AdminAsk::Cache(ask) => cache::answer(&inputs.engine, ask),
        AdminAsk::Canary { refused } => {
            if inputs.canary.note(refused) {
                tracing::info!(?refused, "what became of the canary");
            }
            serde_json::to_value(inputs.canary.last()).map_or_else(internal, AdminAnswer::Canary)
        }
    }
}

fn reset(inputs: &Inputs, forget: admin::Forget) -> AdminAnswer {
    let what = match forget {
        admin::Forget::Broken => Forget::Broken,
        admin::Forget::Bundle => Forget::Bundle,
        admin::Forget::Time => Forget::Time,
        admin::Forget::All => Forget::All,
    };
    tracing::warn!(?what, "what was accepted before is to be forgotten");
    match inputs.engine.forget(what) {
        Ok(report) => {
            inputs.fetch_bundle();
            serde_json::to_value(report)
                .map_or_else(|error| AdminAnswer::refusal("INTERNAL", error.to_string()), AdminAnswer::Trust)
        }
        Err(error) => AdminAnswer::refusal("NOT_RESET", error.to_string()),
    }
}

fn revoke(engine: &Engine, serials: &[String]) -> AdminAnswer {
    let read = serials.iter().map(|serial| serial.parse());
    let serials = match read.collect::<Result<Vec<Serial>, _>>() {
        Ok(serials) => serials,
        Err(error) => return AdminAnswer::refusal("BAD_REQUEST", error.to_string()),
    };
    tracing::warn!(?serials, "break-glass grants are revoked");
    match engine.revoke(&serials) {
        Ok(()) => serde_json::to_value(engine.break_glass()).map_or_else(
            |error| AdminAnswer::refusal("INTERNAL", error.to_string()),
            AdminAnswer::BreakGlass,
        ),
        Err(problem) => AdminAnswer::refusal("NOT_RECORDED", problem),
    }
}

/// Asks the sources for what is not known here, as a pull would.
async fn look_up(engine: &Arc<Engine>, image: &str, pod: &AskedPod) {
    if let (true, Ok(subject)) = (engine.look_ups().is_possible(), Subject::named(image)) {
        let asker =
            Asker { repository: subject.name().map(Reference::repository), namespace: pod.namespace.clone() };
        let subject = subject.in_workload(workload(engine, pod));
        let _ = engine.decide_looking(subject, asker, Some(PATIENCE)).await;
    }
}

fn workload(engine: &Engine, pod: &AskedPod) -> Workload {
    let AskedPod { cluster, namespace, service_account, mesh_identity, break_glass } = pod.clone();
    let cluster = cluster.or(engine.workload().cluster);
    Workload { cluster, namespace, service_account, mesh_identity, break_glass }
}
