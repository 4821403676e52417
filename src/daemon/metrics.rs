//! The listener of the metrics: bound where the configuration says, again and again until it can be. That it
//! cannot is an alarm and nothing else.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::Semaphore;

use super::status::Inputs;
use crate::apart::off_the_runtime;
use crate::config::Listen;
use crate::gate::listener::{BindError, Listener, SocketFile};
use crate::metrics::server::{self, Limits, Listening, Outcomes};

/// The rest before it is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How often there is a look at whether the socket is still where it is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Where metrics are read, and how that goes.
#[derive(Debug)]
pub(super) struct Exposition {
    listen: Listen,
    group: Option<u32>,
    problem: Mutex<Option<String>>,
    pub(super) outcomes: Arc<Outcomes>,
    pub(super) started: SystemTime,
}

/// How the listener does.
#[derive(Debug, Serialize)]
pub(super) struct MetricsStatus {
    listen: String,
    /// Why nobody can read metrics, or fewer than should.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

/// A listener, before it belongs to the runtime.
#[derive(Debug)]
pub(super) enum Bound {
    Unix(Listener, SocketFile),
    Tcp(std::net::TcpListener),
}

impl Exposition {
    /// Metrics at `listen`; a socket belongs to `group`.
    pub(super) fn new(listen: Listen, group: Option<u32>) -> Self {
        Self {
            listen,
            group,
            problem: Mutex::default(),
            outcomes: Arc::default(),
            started: SystemTime::now(),
        }
    }

    /// Listens, if that is possible now. A socket whose group may not be given is root's alone, and that is said.
    pub(super) fn bind(&self) -> Option<Bound> {
        let (bound, problem) = match self.bound() {
            Ok((bound, problem)) => (Some(bound), problem),
            Err(problem) => (None, Some(problem)),
        };
        self.report(problem);
        bound
    }

    fn bound(&self) -> Result<(Bound, Option<String>), String> {
        match &self.listen {
            Listen::Unix(path) => {
                let bind = |mode, group| {
                    let listener = Listener::bind(path, mode, group)
                        .map_err(|error| (is_not_permitted(&error), crate::chain(&error)))?;
                    let file = SocketFile::at(path.clone()).map_err(|error| (false, error.to_string()))?;
                    Ok(Bound::Unix(listener, file))
                };
                match bind(0o660, self.group) {
                    Ok(bound) => Ok((bound, None)),
                    Err((true, _)) if self.group.is_some() => {
                        let problem = format!(
                            "`{}` is root's alone: the daemon may not give it its group; let the unit have \
                             `SupplementaryGroups=binauthd`",
                            path.display()
                        );
                        bind(0o600, None).map(|bound| (bound, Some(problem))).map_err(|(_, problem)| problem)
                    }
                    Err((_, problem)) => Err(problem),
                }
            }
            Listen::Tcp(address) => {
                let bind = || {
                    let listener = std::net::TcpListener::bind(address)?;
                    listener.set_nonblocking(true)?;
                    Ok(Bound::Tcp(listener))
                };
                bind().map(|bound| (bound, None)).map_err(|error: io::Error| {
                    format!(
                        "cannot listen on `{address}`: {error}; the unit gives the daemon no network, a port needs the \
                         drop-in binauthd-network.conf"
                    )
                })
            }
        }
    }

    /// Serves what `inputs` give until `stopped`, from the listener that is `first` there.
    pub(super) async fn serve(inputs: Arc<Inputs>, first: Option<Bound>, stopped: impl Future<Output = ()>) {
        let exposition = Arc::clone(&inputs.metrics);
        tokio::select! {
            () = stopped => {}
            () = exposition.keep_serving(inputs, first) => {}
        }
    }

    async fn keep_serving(self: &Arc<Self>, inputs: Arc<Inputs>, first: Option<Bound>) {
        // The thread that a page takes is one that gates need, and who has gone leaves its page behind.
        let desk = Arc::new(Semaphore::new(1));
        let make = move || {
            let (inputs, desk) = (Arc::clone(&inputs), Arc::clone(&desk));
            async move {
                // Never closed.
                let held = desk.acquire_owned().await;
                off_the_runtime(move || {
                    let page = inputs.exposed().text();
                    drop(held);
                    page
                })
                .await
            }
        };
        let mut next = first;
        loop {
            match next.take().map(registered).transpose() {
                Ok(Some((listening, file))) => {
                    let served = server::serve(&listening, Limits::default(), make.clone(), &self.outcomes);
                    tokio::select! {
                        () = served => {}
                        gone = gone(file.as_ref()) => self.report(Some(format!(
                            "`{}` has been removed or replaced: nobody finds it", gone.display()
                        ))),
                    }
                }
                Ok(None) => tokio::time::sleep(RETRY).await,
                Err(error) => self.report(Some(error.to_string())),
            }
            let exposition = Arc::clone(self);
            next = off_the_runtime(move || exposition.bind()).await;
        }
    }

    pub(super) fn status(&self) -> MetricsStatus {
        MetricsStatus { listen: self.listen.to_string(), problem: self.problem().clone() }
    }

    fn report(&self, problem: Option<String>) {
        let mut current = self.problem();
        if let Some(problem) = problem.as_ref().filter(|problem| current.as_ref() != Some(problem)) {
            tracing::warn!("metrics: {problem}");
        }
        *current = problem;
    }

    fn problem(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_not_permitted(error: &BindError) -> bool {
    matches!(error, BindError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
}

fn registered(bound: Bound) -> io::Result<(Listening, Option<SocketFile>)> {
    Ok(match bound {
        Bound::Unix(listener, file) => {
            (Listening::Unix(tokio::net::UnixListener::from_std(listener.into())?), Some(file))
        }
        Bound::Tcp(listener) => (Listening::Tcp(tokio::net::TcpListener::from_std(listener)?), None),
    })
}

/// Waits until the file of the socket is gone; for ever, where there is none.
async fn gone(file: Option<&SocketFile>) -> &Path {
    let Some(file) = file else { return std::future::pending().await };
    while !file.is_gone() {
        tokio::time::sleep(LOOK).await;
    }
    file.path()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_bound_is_an_alarm_until_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.sock");
        std::fs::write(&path, "in the way").unwrap();
        let exposition = Exposition::new(Listen::Unix(path.clone()), None);
        assert!(exposition.bind().is_none());
        assert!(exposition.status().problem.unwrap().ends_with("is not a socket"));
        std::fs::remove_file(&path).unwrap();
        assert!(exposition.bind().is_some());
        assert!(exposition.status().problem.is_none());
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let exposition = Exposition::new(Listen::Tcp(taken.local_addr().unwrap()), None);
        assert!(exposition.bind().is_none());
        let problem = exposition.status().problem.unwrap();
        assert!(problem.contains("binauthd-network.conf"), "{problem}");
        drop(taken);
        assert!(exposition.bind().is_some() && exposition.status().problem.is_none());
    }
}
