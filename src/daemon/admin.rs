//! The admin socket: what operators ask. Nothing here changes anything.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::status::Sources;
use crate::decision::Subject;
use crate::gate::server::{Limits, Peer, Refusal};

/// Status and verdicts are larger than a gate's answers.
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

/// The longest message on the admin socket, in bytes.
pub const MAX_BODY: usize = 8 * 1024 * 1024;

/// What an operator asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "camelCase")]
pub enum AdminAsk {
    /// How the daemon is doing.
    Status,
    /// What the pull gate would answer for an image; recorded nowhere.
    Evaluate {
        /// A reference, with or without a digest.
        image: String,
    },
}

/// What the daemon says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AdminAnswer {
    /// The status document.
    Status(serde_json::Value),
    /// A verdict, as in the audit trail.
    Verdict(serde_json::Value),
    /// The question cannot be answered.
    Error {
        /// Stable code.
        reason: String,
        /// For people.
        message: String,
    },
}

impl Refusal for AdminAnswer {
    fn refusal(reason: &'static str, message: String) -> Self {
        Self::Error { reason: reason.to_owned(), message }
    }
}

type Answering = Pin<Box<dyn Future<Output = AdminAnswer> + Send>>;

pub(super) fn handler(sources: Arc<Sources>) -> impl Fn(Peer, AdminAsk) -> Answering + Send + Sync + 'static {
    let desks = Arc::new(Semaphore::new(DESKS));
    move |_, ask| {
        let (sources, desks) = (Arc::clone(&sources), Arc::clone(&desks));
        Box::pin(async move {
            let Ok(desk) = desks.acquire_owned().await else {
                return AdminAnswer::refusal("INTERNAL", "binauthd is stopping".to_owned());
            };
            let answering = move || {
                let answer = answer(&sources, &ask);
                // Held until here, also for who no longer waits.
                drop(desk);
                answer
            };
            match tokio::task::spawn_blocking(answering).await {
                Ok(answer) => answer,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        })
    }
}

fn answer(sources: &Sources, ask: &AdminAsk) -> AdminAnswer {
    let internal = |error: serde_json::Error| AdminAnswer::refusal("INTERNAL", error.to_string());
    match ask {
        AdminAsk::Status => serde_json::to_value(sources.status()).map_or_else(internal, AdminAnswer::Status),
        AdminAsk::Evaluate { image } => match Subject::named(image) {
            Ok(subject) => serde_json::to_value(sources.engine.decide(&subject))
                .map_or_else(internal, AdminAnswer::Verdict),
            Err(error) => AdminAnswer::refusal("BAD_REQUEST", error.to_string()),
        },
    }
}
