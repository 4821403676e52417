//! A plugin that stays connected, whatever becomes of the runtime.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::options::Options;
use super::plugin::Plugin;
use super::session::{Ended, serve};
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
pub async fn run<P: Plugin>(
    options: Options,
    plugin: Arc<P>,
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
                    let ended = serve(stream, &options, Arc::clone(&plugin), &status, stop.as_mut()).await;
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
