//! What goes on beside the questions: the NRI connection, what runs, what starts unseen, the handlers.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::running::{Rules, Running};
use super::{CreateGate, NriPlugin, unseen};
use crate::config::Config;
use crate::nri::{self, Event, Events};

/// The name by which a runtime may require this plugin (`required_plugins`).
const PLUGIN: &str = "binauthd";
/// First of all plugins.
const INDEX: &str = "00";

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
    tasks.spawn(unseen::follow(Arc::clone(gate), changed));
    Ok(tasks)
}
