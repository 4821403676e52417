//! Refusals as events of their pods, so that whoever asks why a pod does not run finds it in the pod.
//!
//! Whoever tells never waits: what finds the queue full is counted. One write is under way at a time; while the API
//! server is away, slow or wants to be left alone, what is to be written is counted up here, and at last given up.
//! The kind is `core/v1` `Event`, which is what a node's own user may make.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde::Serialize;
use tokio::sync::mpsc;

use super::api::{ApiServer, Unwritten, Write, Written};
use super::error::KubeletError;
use super::series::{AllSeries, Job};
use crate::image::workload::{is_label, is_subdomain};
use crate::pace::doubled;

/// Refusals that wait to be looked at.
const QUEUE: usize = 256;
/// The longest rest after failures, unless the API server wants a longer one.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// The longest uid, in bytes.
const MAX_UID: usize = 128;

/// A refusal of a pod's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The pod's namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// Its uid.
    pub uid: String,
    /// The container's name; empty for the pod itself. Each has events of its own.
    pub container: String,
    /// The event's reason, in CamelCase.
    pub reason: &'static str,
    /// The stable code of the verdict: repeats of it are one event.
    pub code: &'static str,
    /// For people, at most 1,024 bytes.
    pub message: String,
    /// When it was refused.
    pub at: SystemTime,
}

/// The way to the events of pods; a clone is another handle. When the last is gone, nothing is written any more.
#[derive(Debug, Clone)]
pub struct Events {
    queue: mpsc::Sender<Told>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    sent: AtomicU64,
    failed: AtomicU64,
    /// Of the queue and of the series.
    dropped: AtomicU64,
    waiting: AtomicUsize,
    problem: Mutex<Option<String>>,
}

/// How telling goes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventsStatus {
    /// Events written or counted up since start.
    pub sent: u64,
    /// Writes that failed since start; most are tried again.
    pub failed: u64,
    /// Events given up since start.
    pub dropped: u64,
    /// Events to be written.
    pub waiting: usize,
    /// Why the last write failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Events {
    /// Tells the API server of this kubeconfig, as the node of this name. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`KubeletError::Node`] for a name that no node has.
    pub fn start(kubeconfig: std::path::PathBuf, node: Option<String>) -> Result<Self, KubeletError> {
        let server = ApiServer::new(kubeconfig, node)?;
        let (queue, told) = mpsc::channel(QUEUE);
        let state = Arc::new(State::default());
        tokio::spawn(keep_telling(server, told, Arc::clone(&state)));
        Ok(Self { queue, state })
    }

    /// Has it told; never waits. What names no pod is passed over.
    pub fn tell(&self, told: Told) {
        let is_uid = |uid: &str| {
            (1..=MAX_UID).contains(&uid.len()) && uid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !is_label(&told.namespace) || !is_subdomain(&told.pod) || !is_uid(&told.uid) {
            return;
        }
        if self.queue.try_send(told).is_err() {
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How that goes.
    #[must_use]
    pub fn status(&self) -> EventsStatus {
        EventsStatus {
            sent: self.state.sent.load(Ordering::Relaxed),
            failed: self.state.failed.load(Ordering::Relaxed),
            dropped: self.state.dropped.load(Ordering::Relaxed),
            waiting: self.state.waiting.load(Ordering::Relaxed),
            problem: self.state.problem().clone(),
        }
    }
}

impl State {
    fn problem(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, problem: Option<String>) {
        let mut current = self.problem();
        if let (None, Some(problem)) = (&*current, &problem) {
            tracing::warn!("events: {problem}");
        }
        *current = problem;
    }
}

async fn keep_telling(server: ApiServer, mut told: mpsc::Receiver<Told>, state: Arc<State>) {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut series = AllSeries::new(u64::try_from(seed).unwrap_or_default(), Instant::now());
    let (mut failures, mut earliest, mut dropped) = (0, Instant::now(), 0);
    loop {
        let due = series.due(Instant::now()).map(|due| due.max(earliest));
        tokio::select! {
            next = told.recv() => {
                let Some(next) = next else { return };
                series.take(next, Instant::now());
                // All that came meanwhile is counted up before anything is written.
                while let Ok(next) = told.try_recv() {
                    series.take(next, Instant::now());
                }
            }
            () = until(due) => {}
        }
        if earliest <= Instant::now()
            && let Some(job) = series.next(Instant::now())
        {
            match write(&server, &job).await {
                Ok(Written::Done) => {
                    failures = 0;
                    state.sent.fetch_add(1, Ordering::Relaxed);
                    state.report(None);
                    series.written(&job, Instant::now());
                }
                // It has been forgotten there, or the name is somebody else's.
                Ok(Written::NotThere) if job.is_known => series.unknown(&job),
                Ok(Written::Already) if !job.is_known => series.unknown(&job),
                // The namespace is gone, and the pod with it.
                Ok(Written::NotThere | Written::Already) => series.give_up(&job),
                Err(Unwritten { cause, rest, is_final }) => {
                    state.failed.fetch_add(1, Ordering::Relaxed);
                    state.report(Some(cause));
                    if is_final {
                        series.give_up(&job);
                    } else {
                        failures += 1;
                        let pause = doubled(Duration::from_secs(1), failures).min(LONGEST_REST);
                        earliest = Instant::now() + rest.unwrap_or(pause);
                    }
                }
            }
        }
        // Beside what found the queue full.
        state.dropped.fetch_add(series.dropped - dropped, Ordering::Relaxed);
        dropped = series.dropped;
        state.waiting.store(series.waiting(), Ordering::Relaxed);
    }
}

/// For ever, where there is nothing to wait for.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

async fn write(server: &ApiServer, job: &Job) -> Result<Written, Unwritten> {
    let of = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
    let namespace = &job.told.namespace;
    server
        .send(|node| match job.is_known {
            true => Write {
                method: Method::PATCH,
                path: of(&["namespaces", namespace, "events", &job.name]),
                kind: "application/merge-patch+json",
                body: job.patch(),
            },
            false => Write {
                method: Method::POST,
                path: of(&["namespaces", namespace, "events"]),
                kind: "application/json",
                body: job.event(node),
            },
        })
        .await
}
