//! What goes on beside the questions: the NRI connection, what runs, what starts unseen, the handlers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use super::running::{Rules, Running};
use super::{CreateGate, NriPlugin, made, unseen};
use crate::config::Config;
use crate::containerd::{Happened, Step};
use crate::nri::{self, Event, Events};

/// The name by which a runtime may require this plugin (`required_plugins`).
const PLUGIN: &str = "binauthd";
/// First of all plugins.
const INDEX: &str = "00";
/// The rest before containerd's events are asked for again.
const RETRY: Duration = Duration::from_secs(1);

/// Starts to ask what containerd does and to be asked by it, until `stopped`. None of the tasks ends before.
///
/// # Errors
/// Those of a socket path that NRI cannot have.
pub(in crate::daemon) fn follow(
    config: &Config,
    gate: &Arc<CreateGate>,
    stopped: watch::Receiver<bool>,
) -> io::Result<JoinSet<()>> {
    let changed = gate.engine.changes();
    let wanted = Events::of([
        Event::RunPodSandbox,
        Event::CreateContainer,
        Event::StartContainer,
        Event::ValidateContainerAdjustment,
    ]);
    let options =
        nri::Options::new(&config.containerd.nri_socket, PLUGIN, INDEX, wanted).map_err(io::Error::other)?;
    let plugin = NriPlugin { gate: Arc::clone(gate), changed: Arc::clone(&changed) };
    let running = Running::new(Arc::clone(gate), Rules::from(&config.running), Arc::clone(&changed));
    let mut tasks = JoinSet::new();
    tasks.spawn(nri::run(options, Arc::new(plugin), gate.nri.clone(), crate::daemon::until(stopped)));
    tasks.spawn(running.run());
    let handlers = Arc::clone(gate);
    tasks.spawn(async move { handlers.handlers.follow().await });
    tasks.spawn(events(Arc::clone(gate), changed));
    Ok(tasks)
}

/// Follows containerd's events for as long as it is polled; `changed` hears when some may have been missed.
async fn events(gate: Arc<CreateGate>, changed: Arc<Notify>) {
    let desks = Arc::new(Semaphore::new(unseen::DESKS));
    loop {
        if let Ok(mut events) = gate.containerd.events().await {
            // What started before is listed, not told.
            changed.notify_one();
            while let Some(Happened { step, namespace, id }) = events.next().await {
                let gate = Arc::clone(&gate);
                match step {
                    Step::Recorded => drop(tokio::spawn(made::read(gate, namespace, id))),
                    Step::Started => {
                        drop(tokio::spawn(unseen::look_later(gate, Arc::clone(&desks), namespace, id)));
                    }
                }
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}
