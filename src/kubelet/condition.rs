//! Whether this node enforces, as a condition of its node in the cluster: `BinauthdEnforcing`.
//!
//! kubelet patches its own conditions and leaves those of others, so this one stays until somebody changes it: it is
//! written on each change, and again now and then, by which readers see that the daemon lives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use super::api::{ApiServer, Write, Written};
use super::error::KubeletError;
use super::series::seconds;
use crate::pace::{doubled, jittered};

/// The type of the condition.
const TYPE: &str = "BinauthdEnforcing";
/// After this time it is written again, though nothing has changed.
const HEARTBEAT: Duration = Duration::from_secs(300);
/// How often there is a look at whether it has changed.
const LOOK: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// How the node stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether it enforces; `None` where that is not known.
    pub enforces: Option<bool>,
    /// One word in CamelCase.
    pub reason: &'static str,
    /// For people, at most 1,024 bytes.
    pub message: String,
}

/// The way to the condition. Dropping it ends nothing: what was written stays.
#[derive(Debug)]
pub struct Condition {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    sent: AtomicU64,
    failed: AtomicU64,
    problem: Mutex<Option<String>>,
}

/// How that goes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionStatus {
    /// Writes since start.
    pub sent: u64,
    /// Writes that failed since start; they are tried again.
    pub failed: u64,
    /// Why the last one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Condition {
    /// Writes what `standing` says, as long as the runtime lives. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`KubeletError::Node`] for a name that no node has.
    pub fn start(
        kubeconfig: std::path::PathBuf,
        node: Option<String>,
        standing: impl Fn() -> Standing + Send + Sync + 'static,
    ) -> Result<Self, KubeletError> {
        let server = ApiServer::new(kubeconfig, node)?;
        let state = Arc::new(State::default());
        tokio::spawn(keep_writing(server, Arc::clone(&state), standing));
        Ok(Self { state })
    }

    /// How that goes.
    #[must_use]
    pub fn status(&self) -> ConditionStatus {
        ConditionStatus {
            sent: self.state.sent.load(Ordering::Relaxed),
            failed: self.state.failed.load(Ordering::Relaxed),
            problem: self.state.problem().clone(),
        }
    }
}

impl State {
    fn problem(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, problem: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut current = self.problem();
        if current.is_none() {
            tracing::warn!("node condition: {problem}");
        }
        *current = Some(problem);
    }
}

async fn keep_writing(server: ApiServer, state: Arc<State>, standing: impl Fn() -> Standing) {
    // At start nobody knows yet: a daemon that is started anew is no news.
    tokio::time::sleep(LOOK).await;
    let mut written: Option<(Standing, Instant)> = None;
    // Since when it has been so, as far as this start of the daemon knows.
    let mut since = SystemTime::now();
    let mut before: Option<Standing> = None;
    let mut failures = 0;
    loop {
        let now = standing();
        if before.as_ref().is_none_or(|before| before.enforces != now.enforces) {
            since = SystemTime::now();
        }
        before = Some(now.clone());
        let stands = written.as_ref().is_some_and(|(last, at)| *last == now && at.elapsed() < HEARTBEAT);
        let mut rest = None;
        if !stands {
            match server.send(|node| write(node, &now, since)).await {
                Ok(Written::Done) => {
                    state.sent.fetch_add(1, Ordering::Relaxed);
                    *state.problem() = None;
                    (written, failures) = (Some((now, Instant::now())), 0);
                }
                Ok(Written::NotThere | Written::Already) => {
                    failures += 1;
                    state.failed("the API server knows no node of this name".to_owned());
                }
                Err(unwritten) => {
                    failures += 1;
                    rest = unwritten.rest;
                    state.failed(unwritten.cause);
                }
            }
        }
        let pause = if failures == 0 { LOOK } else { doubled(LOOK, failures).min(LONGEST_REST) };
        tokio::time::sleep(jittered(rest.unwrap_or(pause).max(LOOK))).await;
    }
}

fn write(node: &str, standing: &Standing, since: SystemTime) -> Write {
    let status = match standing.enforces {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    Write {
        method: Method::PATCH,
        path: ["nodes", node, "status"].map(str::to_owned).to_vec(),
        // Merges lists of conditions by their type.
        kind: "application/strategic-merge-patch+json",
        body: json!({"status": {"conditions": [{
            "type": TYPE,
            "status": status,
            "reason": standing.reason,
            "message": standing.message,
            "lastHeartbeatTime": seconds(SystemTime::now()),
            "lastTransitionTime": seconds(since),
        }]}}),
    }
}
