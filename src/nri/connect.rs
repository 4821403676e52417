//! A plugin that stays connected, whatever becomes of the runtime.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::ended::Ended;
use super::options::Options;
use super::plugin::Plugin;
use super::session::serve_with;
use super::status::{State, Status};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum NoConnection {
    #[error("`{path}` is not there or nobody listens on it: {error}")]
    Absent { path: String, error: io::Error },
    #[error("`{path}` cannot be connected to: {error}")]
    Unreachable { path: String, error: io::Error },
    #[error("`{path}` belongs to uid {uid}, which is neither root nor this program's")]
    Untrusted { path: String, uid: u32 },
}

/// Keeps `plugin` connected until `stop`: connects, serves, and connects again, for ever.
///
/// A runtime goes on without a plugin that is not connected, so what is between its start and this
/// plugin's registration is not asked about. While nobody listens on the socket it is tried every
/// [`first_pause`](super::Limits::first_pause), which costs a system call; after a connection that came
/// to nothing pauses grow, so that a runtime which refuses this plugin is not kept busy with it.
///
/// Connection and deadlines have a thread of their own, and handlers run on the caller's tokio runtime: one
/// that blocks there is refused in time all the same.
pub async fn run<P: Plugin>(
    options: Options,
    plugin: Arc<P>,
    status: watch::Sender<Status>,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    let handlers = Handle::current();
    loop {
        let (options, plugin) = (options.clone(), Arc::clone(&plugin));
        let (ends, end) = oneshot::channel::<()>();
        let (done, mut over) = oneshot::channel::<()>();
        let (handlers, status) = (handlers.clone(), status.clone());
        let pause = options.limits.longest_pause;
        let thread = Builder::new_current_thread().enable_all().build().and_then(|runtime| {
            let kept = move || {
                let end = async { drop(end.await) };
                runtime.block_on(keep(options, plugin, handlers, status, end));
                let _ = done.send(());
            };
            std::thread::Builder::new().name("nri".to_owned()).spawn(kept)
        });
        if let Err(error) = &thread {
            tracing::error!("NRI: its thread cannot be started: {error}; nothing is asked");
        }
        tokio::select! {
            ended = &mut over => match ended {
                Ok(()) => return,
                Err(_) if thread.is_ok() => tracing::error!("NRI: its thread has died; it is started again"),
                Err(_) => {}
            },
            () = stop.as_mut() => {
                drop(ends);
                let _ = over.await;
                return;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// What the thread does.
async fn keep<P: Plugin>(
    options: Options,
    plugin: Arc<P>,
    handlers: Handle,
    status: watch::Sender<Status>,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    let limits = options.limits;
    let mut pause = limits.first_pause;
    loop {
        let state = tokio::select! {
            connected = connect(&options) => match connected {
                Ok(stream) => {
                    let before = status.borrow().synchronized;
                    let (plugin, handlers) = (Arc::clone(&plugin), handlers.clone());
                    let ended = serve_with(stream, &options, plugin, handlers, &status, stop.as_mut()).await;
                    if matches!(ended, Ended::Stopped) {
                        break;
                    }
                    if status.borrow().synchronized > before {
                        pause = limits.first_pause;
                    }
                    tracing::warn!("NRI: {ended}; nothing is asked until the next connection");
                    State::Lost(ended.to_string())
                }
                Err(error @ NoConnection::Absent { .. }) => {
                    pause = limits.first_pause;
                    State::Absent(error.to_string())
                }
                Err(error) => State::Lost(error.to_string()),
            },
            () = stop.as_mut() => break,
        };
        let absent = matches!(state, State::Absent(_));
        status.send_if_modified(|status| {
            let changed = status.state != state;
            if changed && !matches!(state, State::Lost(_)) {
                tracing::info!("NRI: {state:?}");
            }
            status.state = state;
            changed
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.as_mut() => break,
        }
        if !absent {
            pause = (pause * 2).min(limits.longest_pause);
        }
    }
    status.send_modify(|status| status.state = State::Stopped);
}

/// A connection to a runtime that runs as root or as this program does.
async fn connect(options: &Options) -> Result<UnixStream, NoConnection> {
    let path = || options.socket.display().to_string();
    let unreachable = |error| NoConnection::Unreachable { path: path(), error };
    let connected = match timeout(Duration::from_secs(5), UnixStream::connect(&options.socket)).await {
        Ok(connected) => connected,
        Err(_) => Err(ErrorKind::TimedOut.into()),
    };
    let stream = connected.map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => NoConnection::Absent { path: path(), error },
        _ => unreachable(error),
    })?;
    let uid = stream.peer_cred().map_err(unreachable)?.uid();
    if uid != 0 && uid != nix::unistd::geteuid().as_raw() {
        return Err(NoConnection::Untrusted { path: path(), uid });
    }
    Ok(stream)
}
