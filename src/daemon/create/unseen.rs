//! What starts without having passed a gate, in any namespace of containerd: `ctr run`, `nerdctl run`, a
//! handler without the hook. It runs already; it is judged all the same and recorded, and the operator hears
//! what a gate would have said.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use tokio::sync::Semaphore;

use super::{CreateGate, Creation};
use crate::audit::{Asked, Gate};
use crate::daemon::engine::Occasion;
use crate::decision::{Decision, Reason};

/// How long a start may be ahead of the word of the gate that let it through.
const GRACE: Duration = Duration::from_secs(3);
/// How many starts are looked at at a time; those beyond wait.
pub(super) const DESKS: usize = 8;
/// How many containers that passed a gate are remembered.
const PASSED: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// Containers that a gate has let start.
#[derive(Debug)]
pub(super) struct Passed(Mutex<LruCache<(String, String), ()>>);

impl Default for Passed {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(PASSED)))
    }
}

impl Passed {
    pub(super) fn note(&self, namespace: &str, id: &str) {
        self.lock().put((namespace.to_owned(), id.to_owned()), ());
    }

    /// Once: a container that is started again passes again.
    fn take(&self, namespace: &str, id: &str) -> bool {
        self.lock().pop(&(namespace.to_owned(), id.to_owned())).is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<(String, String), ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at what has started, once its gate can have said that it let it through.
pub(super) async fn look_later(gate: Arc<CreateGate>, desks: Arc<Semaphore>, namespace: String, id: String) {
    tokio::time::sleep(GRACE).await;
    let Ok(_desk) = desks.acquire().await else { return };
    look(&gate, &namespace, &id).await;
}

async fn look(gate: &CreateGate, namespace: &str, id: &str) {
    if gate.passed.take(namespace, id) {
        return;
    }
    let started = Instant::now();
    let judged = gate.judge(Creation::started(namespace, id)).await;
    let (mut verdict, place) = (judged.verdict, judged.place);
    // No hook holds pause containers, and not every containerd has NRI: only a bad one is news.
    if judged.is_sandbox && verdict.would == Decision::Allow {
        return;
    }
    verdict.message = format!(
        "Container {id} in containerd's namespace {namespace} started without having passed a gate. {}",
        verdict.message
    );
    verdict.verdict = Decision::Allow;
    verdict.enforced = false;
    verdict.reason = Reason::UngatedStart;
    let asked = Asked { pid: 0, uid: 0, program: super::PROGRAM.to_owned(), entry: String::new() };
    gate.engine.record(&verdict, Occasion::at(Gate::Running, &asked, started.elapsed()).of(&place));
}
