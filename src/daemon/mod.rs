//! The daemon: start, serve, stop.
//!
//! READY is said once the gate is served and the documents have been read; it waits for nothing else,
//! neither containerd nor a source. Whatever is wrong with a document is an alarm, never a failed start:
//! without a policy every question is refused by name.

mod admin;
mod bundles;
mod canary;
mod clock;
mod cluster;
mod create;
mod engine;
mod gates;
mod handlers;
mod metrics;
mod privileges;
mod pull;
mod self_test;
mod sources;
mod status;
mod supervisor;
mod unanswered;
mod unserved;
mod watch;
mod wiring;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nix::unistd::Group;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch as channel;
use tokio::task::JoinError;

use crate::apart::off_the_runtime;
use crate::audit::{Audit, Settings};
use crate::config::lock::{self, LockError};
use crate::config::{Config, ConfigError, Documents, OnAuditFailure};
use crate::containerd::Probe;
use crate::evidence::{Ledger, LookUps};
use crate::gate::inherited::{InheritError, Inherited};
use crate::gate::listener::{BindError, Listener, SocketFile};
use crate::gate::server::{self, Counters, Limits, root_only};

use cluster::Cluster;
use create::CreateGate;
pub use engine::Engine;
use metrics::{Bound, Exposition};

const ADMIN_GROUP: &str = "binauthd";
/// The names of the sockets where a supervisor hands them over (`FileDescriptorName=`).
const GATE: &str = "gate";
const ADMIN: &str = "admin";
/// One thread serves all sockets: waking a second one costs more than a question does.
const WORKERS: usize = 1;
/// Threads for what may take its time; questions beyond wait for one.
const BLOCKING: usize = 32;
/// How often there is a look at whether the sockets are still where they are asked for.
const SOCKETS: Duration = Duration::from_secs(1);

/// Why the daemon does not start, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is refused.
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// A folder of the daemon's own cannot be used, or another daemon uses it.
    #[error(transparent)]
    Folder(#[from] LockError),
    /// A socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A socket that was handed over is not the one that gates ask on.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// The runtime did not start, or a server ended without being told to.
    #[error("the daemon cannot serve")]
    Serve(#[source] io::Error),
}

/// Runs the daemon with the configuration at `path` until it is told to stop.
///
/// # Errors
/// See [`StartError`]; once it serves, only a signal or the end of one of its servers ends it.
pub fn run(path: &Path) -> Result<(), StartError> {
    let config = Config::load(path)?;
    for warning in &config.warnings {
        tracing::warn!("{}: {warning}", path.display());
    }
    for note in &config.notes {
        tracing::info!("{}: {note}", path.display());
    }
    let _lock = lock::claim(&config.state_dir)?;
    lock::make_folder(&config.runtime_dir, 0o755)?;
    let group = admin_group();
    let mut inherited = Inherited::take(&[GATE, ADMIN])?;
    let gate = listener(&mut inherited, GATE, &config.gate_socket(), 0o600, None)?;
    let admin = listener(&mut inherited, ADMIN, &config.admin_socket(), 0o660, group)?;
    let exposition = Arc::new(Exposition::new(config.metrics.clone(), group));
    let exposed = exposition.bind();
    // Capabilities are a thread's own: they go before there is a second one.
    privileges::drop_all();
    let unfit = self_test::problems(&config);
    unfit.iter().for_each(|problem| tracing::error!("{problem}"));

    let documents = Documents::open(&config, SystemTime::now());
    let (ledger, problems) = Ledger::open(&config.state_dir, config.folders().map(|(name, _)| name));
    problems.iter().for_each(|problem| tracing::warn!("{problem}"));
    let ledger = Arc::new(ledger);
    let (look_ups, queue) = LookUps::new();
    let settings = Settings {
        rotate_bytes: config.audit.rotate_bytes,
        keep_bytes: config.audit.keep_bytes,
        refuse: config.audit.on_failure == OnAuditFailure::Refuse,
        ..Settings::at(&config.audit_file, &config.state_dir)
    };
    let audit = Audit::open(settings);
    let engine = Engine::new(documents, Arc::clone(&ledger), Arc::new(look_ups), audit, &config);
    let engine = Arc::new(engine);
    let sync = sources::follow(&config, ledger, queue, &engine)?;
    let watcher = watch::start(Arc::clone(&engine), Arc::clone(&sync), &config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build()
        .map_err(StartError::Serve)?;
    let faces = Faces { gate, admin, exposition, exposed };
    let served = runtime.block_on(serve(config, faces, Arc::clone(&engine), &watcher, unfit));
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(watcher);
    drop(sync);
    engine.finish();
    served.map_err(StartError::Serve)
}

/// The socket that the supervisor holds; else, or where that one's file is gone, one of our own.
fn listener(
    inherited: &mut Inherited,
    name: &'static str,
    path: &Path,
    mode: u32,
    group: Option<u32>,
) -> Result<Listener, StartError> {
    if let Some(listener) = inherited.listener(name, path, mode, group)? {
        return Ok(listener);
    }
    match Listener::bind(path, mode, group) {
        // Without a capability it may not be given away; without a socket nothing would be answered at all.
        Err(BindError::Io { source, .. })
            if group.is_some() && source.kind() == io::ErrorKind::PermissionDenied =>
        {
            tracing::warn!(
                "`{}` cannot be given to its group ({source}): only root may ask there",
                path.display()
            );
            Ok(Listener::bind(path, mode, None)?)
        }
        bound => Ok(bound?),
    }
}

/// Where the daemon is asked, bound while it still may.
struct Faces {
    gate: Listener,
    admin: Listener,
    exposition: Arc<Exposition>,
    /// Of the metrics, where that could be bound.
    exposed: Option<Bound>,
}

async fn serve(
    config: Config,
    Faces { gate, admin, exposition, exposed }: Faces,
    engine: Arc<Engine>,
    watcher: &watch::Watcher,
    unfit: Vec<String>,
) -> io::Result<()> {
    // Before anybody is told that the daemon runs: a signal must not find it unprepared.
    let mut signals = Signals::register()?;
    let (stop, stopped) = channel::channel(false);
    let counters = Arc::new(Counters::default());
    let files = [SocketFile::at(config.gate_socket())?, SocketFile::at(config.admin_socket())?];
    let probe = Probe::start(config.containerd.address.clone());
    let unanswered = crate::gate::unanswered::beside(&config.gate_socket());
    let create = Arc::new(CreateGate::new(&config, Arc::clone(&engine)).map_err(io::Error::other)?);
    let mut followers = create::follow(&config, &create, stopped.clone())?;
    let bundles = bundles::start(&engine, &config)?;
    let (cluster, events) = Cluster::new(config.events.as_ref()).map_err(io::Error::other)?;
    if let Some(events) = events {
        engine.telling(events);
    }
    let inputs = Arc::new(status::Inputs {
        config,
        create: Arc::clone(&create),
        engine: Arc::clone(&engine),
        gate: Arc::clone(&counters),
        probe,
        bundles,
        unfit,
        metrics: exposition,
        cluster,
        canary: canary::Canary::default(),
        started: Instant::now(),
    });

    let (served, ended) = channel::channel(false);
    let gate_socket = inputs.config.gate_socket();
    let unserved =
        tokio::spawn(unserved::tell(Arc::clone(&engine), Arc::clone(&counters), gate_socket, ended));
    let mut gates = tokio::spawn(server::serve(
        gate,
        Limits::GATE,
        root_only,
        gates::handler(Arc::clone(&engine), Arc::clone(&create)),
        counters,
        until(stopped.clone()),
    ));
    let mut admins = tokio::spawn(server::serve(
        admin,
        admin::LIMITS,
        // The mode of the socket lets in root and its group; what changes something asks for root itself.
        |_: &server::Peer| Ok(()),
        admin::handler(Arc::clone(&inputs)),
        Arc::default(),
        until(stopped.clone()),
    ));
    Cluster::follow(&inputs).map_err(io::Error::other)?;
    tokio::spawn(Exposition::serve(inputs, exposed, until(stopped.clone())));
    let collector = tokio::task::spawn_blocking(move || {
        unanswered::collect(&engine, &unanswered, || *stopped.borrow());
    });

    supervisor::ready();
    tracing::info!("ready");
    // A daemon whose gate has ended must not live on and look well.
    let told = tokio::select! {
        Some(ended) = followers.join_next() => Err(ended_early("create gate", Ok(ended.map_err(io::Error::other)))),
        () = signals.stop(watcher) => Ok(()),
        ended = &mut gates => Err(ended_early("gate", ended)),
        ended = &mut admins => Err(ended_early("admin", ended)),
        lost = lost(&files) => Err(io::Error::other(format!(
            "`{}` has been removed or replaced: nobody finds this daemon any more",
            lost.display()
        ))),
    };
    supervisor::stopping();
    tracing::info!("stopping");
    stop.send_replace(true);
    told?;
    for task in [gates, admins] {
        task.await.map_err(io::Error::other)??;
    }
    served.send_replace(true);
    unserved.await.map_err(io::Error::other)?;
    collector.await.map_err(io::Error::other)
}

fn ended_early(which: &str, ended: Result<io::Result<()>, JoinError>) -> io::Error {
    let cause = match ended {
        Ok(Ok(())) => "without a reason".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    io::Error::other(format!("the {which} server ended: {cause}"))
}

/// Waits until the file of a socket is gone. The sockets are made with capabilities that have been given up
/// since: whoever supervises the daemon starts it anew.
async fn lost(files: &[SocketFile]) -> &Path {
    loop {
        if let Some(gone) = files.iter().find(|file| file.is_gone()) {
            return gone.path();
        }
        tokio::time::sleep(SOCKETS).await;
    }
}

/// What the daemon is told by signals.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn register() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop; tells the supervisor meanwhile that the daemon lives.
    async fn stop(&mut self, watcher: &watch::Watcher) {
        let mut beat = supervisor::Heartbeat::new();
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => watcher.reload(),
                () = beat.next() => beat.tell(watcher.is_alive()),
            }
        }
    }
}

async fn until(mut stopped: channel::Receiver<bool>) {
    // A sender that is gone means the daemon is going too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// The group that may read status; without it, root alone may.
fn admin_group() -> Option<u32> {
    let group = Group::from_name(ADMIN_GROUP).ok().flatten();
    if group.is_none() {
        tracing::info!("there is no group `{ADMIN_GROUP}`: only root may ask for status");
    }
    group.map(|group| group.gid.as_raw())
}
