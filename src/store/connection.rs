//! Connections: how many there are, and how long each may be there for nothing.
//!
//! Whoever is not known yet has few of them, and seconds to say who it is: a flood of strangers takes nothing from those who are.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::access;
use super::server::Store;

/// How long a client may take to say who it is, and for each head of a call.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Connections at a time.
const CONNECTIONS: usize = 20_000;
/// Those of them on which nobody known has asked yet: of all, and of one address.
const STRANGERS: (usize, usize) = (2_000, 500);
/// Calls that are under way on one of them: each asks the database who it is.
const STRANGE_CALLS: usize = 4;
/// A connection on which nothing is asked is closed after this long.
const IDLE: Duration = Duration::from_secs(120);
/// How often a connection of HTTP/2 is asked whether it lives, and how long it may take to answer.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// The seats.
#[derive(Debug)]
struct Seats {
    all: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    /// Strangers by their addresses.
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection, while nobody known has asked on it.
#[derive(Debug)]
struct Stranger {
    seats: Arc<Seats>,
    address: IpAddr,
    _seat: OwnedSemaphorePermit,
}

/// A connection, as the calls on it see it.
#[derive(Debug)]
pub(super) struct Connection {
    /// Where it comes from.
    pub(super) peer: SocketAddr,
    /// The client's certificate, as it is known by.
    pub(super) certificate: Option<String>,
    stranger: Mutex<Option<Stranger>>,
    calls: AtomicUsize,
    /// When a call ended last.
    last: Mutex<Instant>,
}

/// A call that is under way.
#[derive(Debug)]
pub(super) struct Busy(Arc<Connection>);

impl Seats {
    /// One more; none where there is no room.
    fn take(self: &Arc<Self>, address: IpAddr) -> Option<(OwnedSemaphorePermit, Stranger)> {
        let seat = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let strange = Arc::clone(&self.strangers).try_acquire_owned().ok()?;
        let mut by_address = lock(&self.by_address);
        let of_it = by_address.entry(address).or_default();
        if *of_it >= STRANGERS.1 {
            return None;
        }
        *of_it += 1;
        Some((seat, Stranger { seats: Arc::clone(self), address, _seat: strange }))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut by_address = lock(&self.seats.by_address);
        if let Some(of_it) = by_address.get_mut(&self.address) {
            *of_it -= 1;
            if *of_it == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

impl Connection {
    /// Somebody known has asked.
    pub(super) fn is_known(&self) {
        lock(&self.stranger).take();
    }

    /// Whether more is asked at a time than somebody may whom nobody knows.
    pub(super) fn is_crowded(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > STRANGE_CALLS && lock(&self.stranger).is_some()
    }

    /// A call begins.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(self))
    }

    /// Comes to its end when nobody known has asked in time, or nobody asks any more.
    async fn is_neglected(&self) {
        tokio::time::sleep(HEAD_TIME).await;
        if lock(&self.stranger).is_some() {
            return;
        }
        loop {
            let rest = IDLE.saturating_sub(lock(&self.last).elapsed());
            let is_idle = self.calls.load(Ordering::SeqCst) == 0;
            if is_idle && rest.is_zero() {
                return;
            }
            tokio::time::sleep(if is_idle { rest } else { IDLE }).await;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *lock(&self.0.last) = Instant::now();
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Serves until `stopped`; connections under way are given a few seconds then.
pub(super) async fn serve(
    store: Arc<Store>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mut stopped: watch::Receiver<bool>,
) {
    let seats = Arc::new(Seats {
        all: Arc::new(Semaphore::new(CONNECTIONS)),
        strangers: Arc::new(Semaphore::new(STRANGERS.0)),
        by_address: Mutex::default(),
    });
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let Ok((stream, peer)) = accepted else {
            // File descriptors have run out, most likely.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Beyond the bounds nobody is answered; clients try again.
        let Some((seat, stranger)) = seats.take(peer.ip().to_canonical()) else { continue };
        let (store, tls, watcher) = (Arc::clone(&store), tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            connection(store, stream, peer, stranger, tls, watcher).await;
            drop(seat);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(Duration::from_secs(3), graceful.shutdown()).await;
}

async fn connection(
    store: Arc<Store>,
    stream: TcpStream,
    peer: SocketAddr,
    stranger: Stranger,
    tls: Option<TlsAcceptor>,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(64 * 1024);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256).max_header_list_size(64 * 1024);
    builder.http2().keep_alive_interval(Some(PING.0)).keep_alive_timeout(PING.1);
    let came = |certificate: Option<String>| {
        Arc::new(Connection {
            peer,
            certificate,
            stranger: Mutex::new(Some(stranger)),
            calls: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
        })
    };
    let serve = |connection: &Arc<Connection>| {
        let connection = Arc::clone(connection);
        hyper::service::service_fn(move |request| {
            let (store, connection) = (Arc::clone(&store), Arc::clone(&connection));
            async move { Ok::<_, Infallible>(store.answer(request, connection).await) }
        })
    };
    let served = match tls {
        None => {
            let connection = came(None);
            let serving = builder.serve_connection(TokioIo::new(stream), serve(&connection)).into_owned();
            tokio::select! {
                served = watcher.watch(serving) => served,
                () = connection.is_neglected() => Ok(()),
            }
        }
        Some(tls) => {
            let Ok(Ok(stream)) = tokio::time::timeout(HEAD_TIME, tls.accept(stream)).await else { return };
            let certificates = stream.get_ref().1.peer_certificates();
            let certificate = certificates.and_then(|all| all.first()).map(|one| access::of_certificate(one));
            let connection = came(certificate);
            let serving = builder.serve_connection(TokioIo::new(stream), serve(&connection)).into_owned();
            tokio::select! {
                served = watcher.watch(serving) => served,
                () = connection.is_neglected() => Ok(()),
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, "connection: {error}");
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn strangers_take_few_seats_and_give_them_back() {
        let seats = Arc::new(Seats {
            all: Arc::new(Semaphore::new(CONNECTIONS)),
            strangers: Arc::new(Semaphore::new(STRANGERS.0)),
            by_address: Mutex::default(),
        });
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let mut taken: Vec<_> = (0..STRANGERS.1).map(|_| seats.take(address(1)).unwrap()).collect();
        assert!(seats.take(address(1)).is_none(), "more than one address may have");
        for last in 2..5 {
            taken.extend((0..STRANGERS.1).map(|_| seats.take(address(last)).unwrap()));
        }
        assert!(seats.take(address(9)).is_none(), "more than all may have");
        // Once they are known, their seats as strangers are free.
        let known: Vec<_> = taken.into_iter().map(|(seat, _)| seat).collect();
        assert!(seats.take(address(1)).is_some() && seats.take(address(9)).is_some());
        assert!(lock(&seats.by_address).is_empty());
        assert_eq!(seats.all.available_permits(), CONNECTIONS - known.len());
    }
}
