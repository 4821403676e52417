//! A request at work: its handler, and what becomes of one that fails.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::call::Call;
use super::plugin::{Plugin, Proposal, Refusal, Runtime};

/// A request for a handler.
#[derive(Clone, Copy)]
pub(super) struct Work {
    pub(super) stream: u32,
    pub(super) deadline: Instant,
    /// How long that was from the beginning.
    pub(super) allowance: Duration,
}

/// A request whose handler is done, or done with.
pub(super) struct Done {
    pub(super) stream: u32,
    pub(super) outcome: Outcome,
    /// What is the case once this is answered, if all went well.
    pub(super) then: Then,
}

pub(super) enum Outcome {
    Allowed,
    Refused(Refusal),
    Late(Duration),
    Panicked,
}

#[derive(Clone, Copy)]
pub(super) enum Then {
    Nothing,
    Configured(i32),
    Synchronized { pods: usize, containers: usize },
}

impl Work {
    /// Has `plugin` decide about `call`.
    pub(super) fn done<P: Plugin>(
        self,
        call: Call,
        runtime: Option<&Runtime>,
        plugin: Arc<P>,
        handlers: Handle,
    ) -> impl Future<Output = Done> + Send + use<P> {
        let then = match &call {
            Call::Configure(_) => Then::Configured(runtime.map_or(0, |runtime| runtime.events.mask())),
            Call::Synchronize(all) => {
                Then::Synchronized { pods: all.pods.len(), containers: all.containers.len() }
            }
            _ => Then::Nothing,
        };
        let runtime = runtime.cloned();
        async move {
            let decided = by(self.deadline, &handlers, decide(plugin, runtime, call)).await;
            let outcome = match decided {
                Ok(Ok(())) => Outcome::Allowed,
                Ok(Err(refusal)) => Outcome::Refused(refusal),
                Err(Failed::Late) => Outcome::Late(self.allowance),
                Err(Failed::Panicked) => Outcome::Panicked,
            };
            Done { stream: self.stream, outcome, then }
        }
    }
}

async fn decide<P: Plugin>(plugin: Arc<P>, runtime: Option<Runtime>, call: Call) -> Result<(), Refusal> {
    match call {
        Call::Configure(_) => match runtime {
            Some(runtime) => plugin.configured(&runtime).await,
            None => Ok(()),
        },
        Call::Synchronize(all) => plugin.synchronize(all.pods, all.containers).await,
        Call::RunPod(pod) => plugin.run_pod(&pod).await,
        Call::Create(pod, container) => plugin.create(&pod, &container).await,
        Call::Start(pod, container) => plugin.start(&pod, &container).await,
        Call::Validate(pod, container, asked) => {
            let proposal = Proposal {
                adjust: asked.adjust.unwrap_or_default(),
                update: asked.update,
                owners: asked.owners.unwrap_or_default(),
                plugins: asked.plugins,
            };
            plugin.validate(&pod, &container, &proposal).await
        }
        Call::Notice(event, pod, container) => {
            plugin.state_changed(event, pod.as_ref(), container.as_ref()).await;
            Ok(())
        }
        Call::Shutdown => Ok(()),
    }
}

pub(super) enum Failed {
    Late,
    Panicked,
}

/// Ends a task with whoever waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What `work` says by `deadline`. It runs in a task of its own among `handlers`.
pub(super) async fn by<T: Send + 'static>(
    deadline: Instant,
    handlers: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failed> {
    let mut task = Task(handlers.spawn(work));
    match timeout_at(deadline, &mut task.0).await {
        Err(_) => Err(Failed::Late),
        Ok(Err(_)) => Err(Failed::Panicked),
        Ok(Ok(said)) => Ok(said),
    }
}
